"""The command line with Lava, as a user types it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurosim import backend
from neurosim.cli import app

pytestmark = pytest.mark.lava


@pytest.fixture
def trained(lava: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model of a very short training on the digits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(backend.BUILT_IN, "lava", "neurosim_lava:LavaBackend")  # also where it is not installed
    short = ("epochs=1", "network.hidden=[24]", "evaluate_every=10", "batch=64")
    settings = [word for setting in short for word in ("--set", setting)]
    output("train", *settings, "--threads", "1", "--out", "run")
    return Path("run")


def output(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_trained_model_runs_on_lava_and_compares_equal(trained: Path) -> None:
    chosen = ("run", trained, "--sample", 7, "--json")
    on_lava, simulated = (json.loads(output(*chosen, "--backend", name)) for name in ("lava", "simulator"))
    assert on_lava["spikes"] == simulated["spikes"]
    assert on_lava["readout"] == simulated["readout"]
    assert on_lava["spikes"]["hidden"]["step"], "the hidden neurons fire"
    assert (on_lava["backend"], on_lava["counts"]) == ("lava", None)
    compared = output("compare", trained, "--backends", "simulator,lava", "--samples", 3)
    assert "simulator and lava: equal" in compared
    assert "numbers of 3 samples of" in compared
