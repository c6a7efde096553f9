"""The command line on faulty chips: ``neurosim evaluate --faults`` and ``neurosim train`` with a table [faults]."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from neurosim.cli import app

FAULTS = "stuck_zero=0.1,dead=0.5,threshold_spread=0.2,seed=3"
SMALL = ("--set", "epochs=1", "--set", "network.hidden=[8]", "--set", "network.n_steps=4", "--threads", "1")


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def output(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("healthy") / "run"
    output("train", "digits", *SMALL, "--out", folder)
    return folder


def test_evaluate_says_what_a_faulty_chip_would_cost(trained: Path) -> None:
    healthy = json.loads(output("evaluate", trained, "--json", "--threads", 1))
    found = json.loads(output("evaluate", trained, "--faults", FAULTS, "--json", "--threads", 1))
    assert found["faults"]["healthy"] == healthy["accuracy"]
    assert found["faults"]["before"] == found["accuracy"] < healthy["accuracy"]
    assert found["faults"]["config"]["dead"] == 0.5
    shown = " ".join(output("evaluate", trained, "--faults", FAULTS, "--threads", 1).split())
    assert f"{found['faults']['dead']} of 8 neurons dead" in shown
    cost = f"what it cost {healthy['accuracy']:.2%} on a healthy chip, {found['accuracy']:.2%} on the faulty one"
    assert cost in shown
    assert "faulty chip" not in output("evaluate", trained, "--threads", 1)


def test_train_learns_on_a_faulty_chip_from_a_model(trained: Path, tmp_path: Path) -> None:
    given = [part for key in FAULTS.split(",") for part in ("--set", f"faults.{key}")]
    run = tmp_path / "run"
    shown = output("train", "digits", "--from", trained, *SMALL[:2], *SMALL[4:], *given, "--out", run)
    shown = " ".join(shown.split())
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    found = metrics["faults"]
    assert f"{found['before']:.2%} on the faulty one, {found['after']:.2%} after learning on it" in shown
    assert f"won back {found['won_back']:.0%} of the accuracy that was lost" in shown
    assert "won back" in (run / "report.html").read_text(encoding="utf-8")
    again = json.loads(output("evaluate", run, "--json", "--threads", 1))
    assert again["accuracy"] == found["after"]


def test_wrong_faults_are_refused_before_anything_is_read() -> None:
    for text, words in (("zero=0.1", "no key with its value"), ("dead=3", "faults.dead: 3.0 is out of range")):
        result = call("evaluate", "nowhere.npz", "--faults", text)
        assert result.exit_code == 1
        assert words in " ".join(result.stderr.split())
