"""Runs by gradients: folders that repeat to the byte, models that learn on on the chip, metrics and pictures."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="needs torch (pip install neurosim-hal[torch])")

from neurosim import experiment
from neurosim.cli import app
from neurosim.config import TrainConfig, override
from neurosim.errors import ConfigError
from neurosim.experiment import TrainingStart, describe_network, evaluate_model, plan_training, train_model
from neurosim.modelfile import load_model
from neurosim.network import Conv, Dense
from neurosim.quantize import quantize
from neurosim.report import all_tables, summary_lines
from neurosim.runfolder import RunFolder
from neurosim.runloop import Progress, checkpoint_config
from neurosim.studies.compareruns import compare_runs
from neurosim.studies.learningcores import learning_cores
from neurosim.tasks import load_task
from neurosim.transfer import starting_model

SETTINGS = (
    "method=direct", "epochs=2", "batch=64", "augment=false", "network.hidden=[16]", "network.n_steps=4", "evaluate_every=17",
    "checkpoint_every=10", "direct.rate=0.02", "direct.learn_width=step", "direct.learn_threshold=true", "direct.learn_decay=true",
    "direct.balance=0.1",
)  # fmt: skip
CONFIG = override(TrainConfig(), SETTINGS)
N_GENERATIONS = 2 * 1437 // 64
OTHERS = {
    "multispike": ("chip=loihi2", "network.neuron=multispike", "network.tau_syn=0.005"),
    "ternary": ("chip=loihi2", "network.neuron=ternary", "direct.surrogate=arctan"),
    "recurrent": ("network.recurrent=true", "direct.learn_width=layer", "direct.dropout=0.1"),
    "conv": ("network.convolutions=['4c3']", "network.hidden=[]", "direct.arithmetic=float", "direct.learn_width=fixed"),
}  # fmt: skip


class Run(NamedTuple):
    folder: RunFolder
    metrics: dict[str, Any]
    starts: list[TrainingStart]
    progress: list[Progress]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = RunFolder.create(tmp_path_factory.mktemp("direct") / "run")
    starts: list[TrainingStart] = []
    progress: list[Progress] = []
    metrics = train_model(CONFIG, folder, threads=1, on_start=starts.append, on_progress=progress.append)
    return Run(folder, metrics, starts, progress)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots and report take seconds to draw; one run of this file has them."""
    for name in ("save_plots", "save_direct_plots", "write_report"):
        monkeypatch.setattr(experiment, name, lambda metrics, path: None)


def digest(folder: RunFolder) -> str:
    return hashlib.sha256(folder.model_path.read_bytes()).hexdigest()


def repeatable(metrics: dict[str, Any]) -> dict[str, Any]:
    """Everything but what may differ between equal runs; next_steps names the folder."""
    training = {key: value for key, value in metrics["training"].items() if key != "seconds"}
    return {key: value for key, value in metrics.items() if key not in ("threads", "next_steps")} | {
        "training": training
    }


def started(run: Run, *settings: str) -> TrainConfig:
    return override(CONFIG, [f"start={run.folder.model_path.as_posix()}", *settings])


def test_training_fills_the_folder_and_learns(run: Run) -> None:
    assert json.loads(run.folder.metrics_path.read_text(encoding="utf-8")) == run.metrics
    assert run.metrics["test"]["accuracy"] > 0.7
    for name in ("accuracy", "surrogates", "widths", "potentials", "raster", "confusion"):
        assert (run.folder.plots / f"{name}.png").exists()
    page = run.folder.report_path.read_text(encoding="utf-8")
    for words in (
        "trained by gradients for the chip",
        "Surrogate gradients and membrane potentials",
        "learn_width step",
    ):
        assert words in page


def test_what_is_shown_while_it_trains(run: Run) -> None:
    assert len(run.starts) == 1 and run.starts[0].cost is None and run.starts[0].n_generations == N_GENERATIONS
    assert plan_training(CONFIG).n_generations == N_GENERATIONS
    assert [shown.generation for shown in run.progress] == list(range(1, N_GENERATIONS + 1))
    last = run.progress[-1]
    assert last.samples == 64 * N_GENERATIONS and last.test_accuracy == run.metrics["test"]["accuracy"]
    assert last.loss is not None and last.fitness == -last.loss and last.loss < run.progress[0].loss


def test_the_learning_curve_has_loss_balance_rates_and_widths(run: Run) -> None:
    training = run.metrics["training"]
    assert (training["method"], training["generations"], training["samples"]) == (
        "direct",
        N_GENERATIONS,
        64 * N_GENERATIONS,
    )
    history = training["history"]
    assert [point["generation"] for point in history if point["test_accuracy"] is not None] == [17, 34, N_GENERATIONS]
    assert history[-1]["test_accuracy"] == run.metrics["test"]["accuracy"]
    assert history[-1]["loss"] < history[0]["loss"] and all(point["balance"] > 0 for point in history)
    assert 0 < history[-1]["rates"]["hidden"] < 1
    assert len(history[-1]["widths"]["hidden"]) == 4 and history[0]["widths"] != history[-1]["widths"]
    np.testing.assert_allclose(history[-1]["widths"]["hidden"], training["widths"]["hidden"], atol=1e-6)


def test_thresholds_and_decays_before_and_after_are_kept(run: Run) -> None:
    found = {(n["group"], n["quantity"]): n for n in run.metrics["training"]["neurons"]}
    assert set(found) == {("hidden", "v_threshold"), ("hidden", "tau_mem")}
    assert found["hidden", "v_threshold"]["before"] == 1.0 != found["hidden", "v_threshold"]["after"]
    assert found["hidden", "tau_mem"]["before"] == 8e-3 != found["hidden", "tau_mem"]["after"]
    model = load_model(run.folder.model_path)
    hidden = model.network.group("hidden")
    np.testing.assert_allclose(
        hidden.vth / model.scales["group/hidden"], found["hidden", "v_threshold"]["after"], rtol=0.01
    )


def test_potentials_before_and_after_count_each_neuron_and_step(run: Run) -> None:
    potentials = run.metrics["training"]["potentials"]
    for when in ("before", "after"):
        histogram = potentials[when]["hidden"]
        assert sum(histogram["counts"]) == 256 * 4 * 16  # samples, steps, neurons
        assert len(histogram["edges"]) == len(histogram["counts"]) + 1
    assert potentials["before"] != potentials["after"]


def test_the_chip_answers_as_the_network_that_was_trained(run: Run) -> None:
    assert run.metrics["training"]["agreement"]["chip"] == 1.0
    assert "same answers       100.00% as in training" in "\n".join(summary_lines(run.metrics))
    test = evaluate_model(
        load_model(run.folder.model_path), load_task("digits", n_steps=4), backend="reference", limit=30
    )
    assert test["accuracy"] > 0.6


@pytest.mark.usefixtures("no_pictures")
def test_the_same_bytes_on_any_number_of_threads(run: Run, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "again")
    metrics = train_model(CONFIG, folder, threads=3)
    assert digest(folder) == digest(run.folder) and repeatable(metrics) == repeatable(run.metrics)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("last", [30, 44])
def test_a_resumed_run_ends_in_the_same_bytes(run: Run, tmp_path: Path, last: int) -> None:
    folder = RunFolder(tmp_path / "cut")
    shutil.copytree(run.folder.checkpoints, folder.checkpoints)
    for path in folder.checkpoints.iterdir():
        if int(path.stem.partition("-")[2]) > last:
            path.unlink()
    assert folder.latest_checkpoint() == folder.checkpoint_path(last)
    metrics = train_model(checkpoint_config(folder), folder, threads=2, resume=True)
    assert digest(folder) == digest(run.folder) and repeatable(metrics) == repeatable(run.metrics)


def test_a_run_on_the_chip_does_not_resume_as_one_by_gradients(run: Run, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "other")
    shutil.copytree(run.folder.checkpoints, folder.checkpoints)
    with pytest.raises(ConfigError, match="trained with method = 'direct', now 'on-chip'"):
        train_model(override(CONFIG, ["method=on-chip"]), folder, threads=1, resume=True)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("form", ["response", "scalar"])
def test_a_model_learns_on_on_the_chip(run: Run, tmp_path: Path, form: str) -> None:
    config = started(run, "method=on-chip", f"rule.form={form}", "rule.warmup=3", "epochs=1")
    metrics = train_model(config, RunFolder.create(tmp_path / form), threads=1)
    assert metrics["training"]["method"] == "on-chip" and metrics["chip_cost"]["chip"] == "loihi1"
    assert metrics["test"]["accuracy"] > 0.6
    learned, before = (load_model(path).network for path in (tmp_path / form / "model.npz", run.folder.model_path))
    assert learned.group("hidden").vth == before.group("hidden").vth
    assert np.any(learned.connection("input->hidden").weights != before.connection("input->hidden").weights)
    found = compare_runs(run.metrics, metrics, ("direct", form))
    assert {"key": "method", "a": "direct", "b": "on-chip"} in found["configuration"]


def test_gradients_begin_with_the_integers_of_a_model(run: Run) -> None:
    config = started(run)
    network = describe_network(config, load_task("digits", n_steps=4, augment=False), starting_model(config))
    begun, model = quantize(network, 1.0).network, load_model(run.folder.model_path).network
    for connection in model.connections:
        assert isinstance(connection, Dense)
        again = begun.connection(connection.name)
        assert (
            np.abs(np.asarray(again.weights) - np.asarray(connection.weights)).max() <= 2
        )  # one step: scales are chosen anew
    hidden = begun.group("hidden")
    assert (hidden.du, hidden.dv) == (model.group("hidden").du, model.group("hidden").dv)


@pytest.mark.usefixtures("no_pictures")
def test_gradients_go_on_from_a_model(run: Run, tmp_path: Path) -> None:
    progress: list[Progress] = []
    config = started(run, "epochs=1", "direct.rate=0.001")
    metrics = train_model(config, RunFolder.create(tmp_path / "more"), threads=1, on_progress=progress.append)
    assert progress[0].train_accuracy > 0.6 and metrics["test"]["accuracy"] > 0.7
    assert load_model(tmp_path / "more" / "model.npz").metadata["config"]["start"] == config.start


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", OTHERS)
def test_other_networks_become_models(name: str, tmp_path: Path) -> None:
    config = override(CONFIG, [*OTHERS[name], "epochs=1", "evaluate_every=100", "checkpoint_every=100"])
    metrics = train_model(config, RunFolder.create(tmp_path / name), threads=1)
    same = metrics["training"]["agreement"]
    assert same["chip"] == (None if name == "conv" else 1.0)
    assert metrics["test"]["accuracy"] > 0.3
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics and all_tables(metrics)
    network = load_model(tmp_path / name / "model.npz").network
    assert isinstance(network.connections[0], Conv) == (name == "conv")


def test_labels_for_windows_of_time_are_refused(tmp_path: Path) -> None:
    task = load_task("digits", n_steps=4, augment=False)
    labels = {
        f"{part}_step_labels": np.repeat(getattr(task, f"{part}_labels")[:, None], 4, 1) for part in ("train", "test")
    }
    config = override(CONFIG, ["rule.rank=2"])
    with pytest.raises(ConfigError, match="rule.rank: 2 windows of task 'digits' have a label each.*set rule.rank=1"):
        train_model(config, RunFolder.create(tmp_path / "windows"), task=dataclasses.replace(task, **labels))


def test_learning_is_not_counted_by_core_where_no_core_learned(run: Run) -> None:
    with pytest.raises(ConfigError, match="method 'direct' trained off the chip, where no core works"):
        learning_cores(run.folder)


def test_the_command_line_trains_shows_and_reports(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")

    def output(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    small = [
        word
        for text in ("epochs=1", "augment=false", "network.hidden=[8]", "network.n_steps=4")
        for word in ("--set", text)
    ]
    shown = output("train", "--method", "direct", *small, "--threads", 1, "digits")
    for words in ("\nTraining", "gradients through time, off the chip, in the chip's integers", "surrogate triangle, of fixed width",
                  "loss", "by gradients off the chip", "same answers", "neurosim train --method response --from runs/digits-001"):  # fmt: skip
        assert words in shown
    assert "fitness" not in shown and "learning needs" not in shown
    assert "energy of learning: not known, it was trained off the chip" in output(
        "energy", "runs/digits-001", "--per-core"
    )
    assert "runs/digits-001/plots/surrogates.png" in output("report", "runs/digits-001")
