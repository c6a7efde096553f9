"""``neurosim import`` and ``export nir``: from files of other frameworks to models that every command takes, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from typer.testing import CliRunner

from neurosim.cli import app
from neurosim.compile_network import compile as compile_network
from neurosim.modelfile import load_model


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A convolutional graph of NIR, a net of lava-dl, and labelled pictures in spikes; label: the brighter half."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(3)
    weight = np.zeros((2, 32))
    weight[0].reshape(2, 4, 4)[:, :2], weight[1].reshape(2, 4, 4)[:, 2:] = 0.4, 0.4
    nodes = {
        "in": nir.Input({"input": np.array([1, 6, 6])}),
        "conv": nir.Conv2d((6, 6), 0.3 + draw.random((2, 1, 3, 3)), 1, 0, 1, 1, np.zeros(2)),
        "if": nir.IF(np.full((2, 4, 4), 1e3), np.full((2, 4, 4), 1.5)),
        "flat": nir.Flatten({"input": np.array([2, 4, 4])}, 0, -1),
        "fc": nir.Linear(weight + 0.01 * draw.standard_normal((2, 32))),
        "out": nir.LIF(np.full(2, 0.02), np.full(2, 20.0), np.zeros(2), np.ones(2)),
        "output": nir.Output({"output": np.array([2])}),
    }
    names = list(nodes)
    nir.write("cnn.nir", nir.NIRGraph(nodes, list(zip(names[:-1], names[1:], strict=True))))
    labels = np.arange(12) % 2
    spikes = draw.random((12, 15, 1, 6, 6)) < 0.02
    for i, label in enumerate(labels):
        half = slice(0, 3) if label == 0 else slice(3, 6)
        spikes[i, :, 0, half] |= draw.random((15, 3, 6)) < 0.5
    np.savez("data.npz", spikes=spikes, labels=labels)
    with h5py.File("dense.net", "w") as file:
        layer = file.create_group("layer/0")
        layer["type"], layer["shape"] = np.array([b"dense"]), np.array([2])
        layer["inFeatures"], layer["outFeatures"] = 36, 2
        layer["weight"] = (2 * draw.integers(-20, 60, (2, 36))).astype(np.float32)
        for key, value in {"type": "CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 80, "refDelay": 1}.items():
            layer[f"neuron/{key}"] = value


IMPORT = ("import", "cnn.nir", "--dt", 1e-3, "--spike", "unit")


def test_a_graph_becomes_a_model_with_a_report() -> None:
    result = call(*IMPORT, "--calibrate", "data.npz", "--threads", 1)
    assert result.exit_code == 0, result.output
    folder = Path("runs/import-cnn-001")
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoints", "metrics.json", "model.npz", "plots", "report.html", "samples.npz",
    ]  # fmt: skip
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["test"]["n"] == 12
    assert metrics["test"]["accuracy"] == metrics["quant_error"]["accuracy"]["integer"] == 1.0
    assert "Floats against integers" in (folder / "report.html").read_text(encoding="utf-8")
    for telling in ("12 of 12 agree", "accuracy           100.0%", "neurosim inspect"):
        assert telling in result.stdout


def test_what_was_imported_runs_and_goes_back_to_nir_with_the_same_integers() -> None:
    call(*IMPORT, "--calibrate", "data.npz", "--out", "made", "--threads", 1)
    run = call("run", "made", "--input", "made/samples.npz", "--json")
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)["readout"]
    with np.load("made/samples.npz") as kept:
        assert found["answer"] == kept["labels"].tolist()
    assert found["fitness"] == "count"
    for command in (("inspect", "made"), ("energy", "made", "--input", "made/samples.npz")):
        assert call(*command).exit_code == 0
    assert call("export", "nir", "made", "back.nir").exit_code == 0
    assert call("import", "back.nir", "--dt", 1e-3, "--spike", "unit", "--out", "again").exit_code == 0
    programs = [
        compile_network((m := load_model(f"{name}/model.npz")).network, m.chip, m.arithmetic)
        for name in ("made", "again")
    ]
    assert programs[0].fingerprint == programs[1].fingerprint
    assert load_model("again/model.npz").metadata["inputs"] == load_model("made/model.npz").metadata["inputs"]


def test_a_net_of_lava_dl_needs_no_options() -> None:
    result = call("import", "dense.net", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["import"]["format"] == "lava-dl"
    assert load_model("runs/import-dense-001/model.npz").network.groups[1].vth == 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("import", "cnn.nir"), "NIR says neither the length of a step nor the size of a spike; give --dt and --spike"),
        (("import", "cnn.nir", "--dt", 1e-3), "give --spike"),
        (("import", "absent.nir", "--dt", 1e-3, "--spike", "unit"), "file 'absent.nir': does not exist"),
        (("import", "data.npz"), "is a zip archive, as models of neurosim are"),
        ((*IMPORT, "--decay", "slow"), "--decay: 'slow' is not known; choose euler or exact"),
        ((*IMPORT, "--search"), "--search: compares scales on data; give --calibrate DATA"),
        ((*IMPORT, "--chip", "loihi9"), "loihi9"),
        (("import", "dense.net", "--spike", "unit"), "--spike: unit is for nir, and 'dense.net' is lava-dl; leave it out"),
        (("import", "dense.net", "--bits", 4), "--bits: 4 is for nir"),
        (("import", "dense.net", "--scale", "power-of-two"), "--scale: power-of-two is for networks in floats"),
        ((*IMPORT, "--sizes", "36,2"), "--sizes: (36, 2) is for slayer, and 'cnn.nir' is nir; leave it out"),
        ((*IMPORT, "--sizes", "3"), "--sizes: '3' is not a list of two or more positive numbers"),
        ((*IMPORT, "--calibrate", "absent.npz"), "absent.npz"),
        (("export", "nir", "cnn.nir", "x.nir"), "is not a neurosim file"),
        (("export", "nir", "absent", "x.nir", "--steps", 3), "--steps: a NIR file holds a network and no spikes"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line_and_leaves_nothing(arguments: tuple[object, ...], words: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("runs").exists()
    assert not Path("x.nir").exists()


def test_a_file_that_exists_is_kept() -> None:
    call(*IMPORT, "--out", "made")
    Path("x.nir").write_text("mine")
    result = call("export", "nir", "made", "x.nir")
    assert result.exit_code == 1
    assert "file 'x.nir': exists already" in result.stderr
    assert Path("x.nir").read_text() == "mine"


def test_hdf5_files_of_other_kinds_are_named() -> None:
    with h5py.File("other.h5", "w") as file:
        file["weights"] = np.zeros(3)
    result = call("import", "other.h5")
    assert result.exit_code == 1
    assert (
        "is an HDF5 file with weights at its root; a NIR graph has 'node', a network of lava-dl 'layer'"
        in result.stderr
    )


def test_a_folder_with_files_is_refused_before_the_work() -> None:
    Path("made").mkdir()
    Path("made/mine.txt").write_text("mine")
    result = call(*IMPORT, "--out", "made")
    assert result.exit_code == 1
    assert "run folder 'made': exists and is not empty" in result.stderr
    assert "Read cnn.nir" not in result.stdout
    assert call(*IMPORT, "--out", "made", "--force").exit_code == 0
    assert Path("made/mine.txt").read_text() == "mine"
