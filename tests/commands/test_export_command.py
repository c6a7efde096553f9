"""``neurosim export``: the files it writes, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurosim import backend
from neurosim.chip import load_chip
from neurosim.cli import app
from neurosim.modelfile import Model, save_model
from neurosim.network import LIF, Dense, Input, Network

pytest.importorskip("neurosim_lava", reason="the package neurosim_lava is not on the path")


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(backend.BUILT_IN, "lava", "neurosim_lava:LavaBackend")  # also where it is not installed
    network = Network([Input("in", 3), LIF("out", 2, vth=60)], [Dense("in", "out", [[90, -20, 30], [10, 80, -60]])])
    save_model("model.npz", Model(network, load_chip("loihi1")))
    np.savez("events.npz", spikes=np.random.default_rng(1).random((3, 20, 3)) < 0.4)


EXPORT = ("export", "lava", "model.npz", "out.py", "--input", "events.npz")


def test_script_and_arrays_are_written_and_named() -> None:
    result = call(*EXPORT)
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == ["out.py", "out.npz"]
    assert "N_SAMPLES, N_STEPS = 3, 20" in Path("out.py").read_text()
    assert sorted(path.name for path in Path().iterdir()) == ["events.npz", "model.npz", "out.npz", "out.py"]


def test_sample_and_steps_are_chosen() -> None:
    result = call(*EXPORT, "--sample", 1, "--steps", 7, "--json")
    assert json.loads(result.stdout) == ["out.py", "out.npz"]
    assert "N_SAMPLES, N_STEPS = 1, 7" in Path("out.py").read_text()
    with np.load("out.npz") as arrays, np.load("events.npz") as given:
        np.testing.assert_array_equal(arrays["group_in_spikes"][0].T, given["spikes"][1, :7])


def test_existing_files_are_kept_unless_forced() -> None:
    Path("out.py").write_text("mine")
    result = call(*EXPORT)
    assert result.exit_code == 1
    assert "file 'out.py': exists already; give another name, or --force" in result.stderr
    assert Path("out.py").read_text() == "mine"
    assert call(*EXPORT, "--force").exit_code == 0
    assert "plain Lava Processes" in Path("out.py").read_text()


@pytest.mark.parametrize("out", ["model.py", "events.py"])
def test_what_is_read_is_never_replaced(out: str) -> None:
    before = Path(out).with_suffix(".npz").read_bytes()
    result = call("export", "lava", "model.npz", out, "--input", "events.npz", "--force")
    assert result.exit_code == 1
    assert "beside it is what is read; give another name" in result.stderr
    assert Path(out).with_suffix(".npz").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("simulator", "backend 'simulator': there is nothing to export to; what there is: nir, lava"),
        ("lawa", "unknown backend 'lawa'"),
    ],
)
def test_backends_that_export_nothing_are_refused(name: str, words: str) -> None:
    result = call("export", name, "model.npz", "out.py", "--input", "events.npz")
    assert result.exit_code == 1
    assert words in result.stderr
    assert not Path("out.py").exists()
