"""`neurosim train cartpole`: run folder, resume, evaluation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurosim.cli import app
from neurosim.config import TrainConfig, override
from neurosim.episoderun import evaluate_controller, train_controller
from neurosim.errors import ConfigError, DataError
from neurosim.modelfile import load_model
from neurosim.runfolder import RunFolder
from neurosim.runloop import Progress
from neurosim.tasks import task_settings

SMALL = ("network.hidden=[8]", "rule.pairs=2", "batch=128", "epochs=1", "evaluate_every=3", "checkpoint_every=2")


def config(*settings: str) -> TrainConfig:
    return override(replace(TrainConfig(), task="cartpole"), (*task_settings("cartpole"), *SMALL, *settings))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder.create(tmp_path_factory.mktemp("runs") / "whole")
    train_controller(config(), folder, threads=1)
    return folder


def test_a_run_leaves_everything(finished: RunFolder) -> None:
    metrics = finished.read_metrics()
    assert metrics["training"]["generations"] == 8 and metrics["training"]["samples"] == 1024
    assert metrics["training"]["episodes"] == (8 + 3) * 128 * 5  # three generations for calibration
    assert [point["generation"] for point in metrics["training"]["history"]] == list(range(1, 9))
    assert [p["generation"] for p in metrics["training"]["history"] if p["test_length"] is not None] == [3, 6, 8]
    test = metrics["test"]
    assert len(test["lengths"]) == test["n"] == 100 and 1 <= test["shortest"] <= test["mean_length"] <= 500
    assert metrics["counts"]["per_inference"]["samples"] == sum(test["lengths"])
    assert metrics["counts"]["per_inference"]["totals"]["trace_updates"] == 0  # nothing is learned in a test
    assert metrics["counts"]["per_learning_step"]["totals"]["votes"] > 0
    assert finished.report_path.is_file() and (finished.plots / "accuracy.png").is_file()
    assert "control periods per episode" in finished.report_path.read_text(encoding="utf-8")


class Stop(Exception):
    """Ends a run from within."""


def test_an_interrupted_run_goes_on_to_the_same_model(finished: RunFolder, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")

    def stop(progress: Progress) -> None:
        if progress.generation == 5:
            raise Stop

    with pytest.raises(Stop):
        train_controller(config(), folder, threads=1, on_progress=stop)
    newest = folder.latest_checkpoint()
    assert newest is not None and newest.name == "gen-000004.npz"
    resumed = CliRunner().invoke(app, ["train", "--resume", str(folder.path), "--threads", "2", "--json"])
    assert resumed.exit_code == 0, resumed.output
    assert folder.model_path.read_bytes() == finished.model_path.read_bytes()
    assert folder.read_metrics()["test"] == finished.read_metrics()["test"]


def test_other_settings_are_refused_on_resume(finished: RunFolder) -> None:
    with pytest.raises(ConfigError, match="trained with rule.pairs = 2, now 3; resume with the same configuration"):
        train_controller(config("rule.pairs=3"), finished, resume=True)


def test_evaluating_the_model_gives_the_run_s_result(finished: RunFolder) -> None:
    found = CliRunner().invoke(app, ["evaluate", str(finished.path), "--json"])
    assert found.exit_code == 0, found.output
    test = finished.read_metrics()["test"]
    assert json.loads(found.stdout)["lengths"] == test["lengths"]
    model = load_model(finished.model_path)
    assert evaluate_controller(model, backend="reference", n_episodes=2)["lengths"] == test["lengths"][:2]
    shown = CliRunner().invoke(app, ["evaluate", str(finished.path), "--limit", "3"])
    assert shown.exit_code == 0 and "of 500 control periods on average" in shown.output


def test_a_model_of_another_task_is_refused(finished: RunFolder) -> None:
    model = replace(load_model(finished.model_path), metadata={"task": "digits"})
    with pytest.raises(DataError, match="was not trained on a task that is played; give another model"):
        evaluate_controller(model)


def test_the_command_line_shows_the_task_and_the_result(tmp_path: Path) -> None:
    words = [word for text in (*SMALL, "batch=512") for word in ("--set", text)]
    shown = CliRunner().invoke(app, ["train", "cartpole", *words, "--threads", "1", "--out", str(tmp_path / "run")])
    assert shown.exit_code == 0, shown.output
    for text in (
        "balance a pole on a cart",
        "2 generations of 512 start states",
        "generation      2 of 2",
        "episodes  ",
    ):
        assert text in shown.output
