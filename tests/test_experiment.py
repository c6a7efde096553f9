"""Training fills a run folder with results that repeat to the byte; models are evaluated and run."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from neurosim import experiment
from neurosim.arrayfile import unpack_arrays
from neurosim.config import TrainConfig, override
from neurosim.errors import ChipError, ConfigError, DataError, ModelFileError, NeurosimError, RunFolderError
from neurosim.experiment import (
    Progress,
    TrainingStart,
    checkpoint_config,
    evaluate_model,
    prepare_program,
    run_model,
    train_model,
)
from neurosim.learning.build import READOUT, build_network
from neurosim.modelfile import Model, load_model
from neurosim.network import LIF, Dense, Input, Network, Probe
from neurosim.runfolder import RunFolder
from neurosim.tasks import load_task

CONFIG = override(
    TrainConfig(),
    ["epochs=1", "batch=64", "augment=false", "network.hidden=[16]", "network.n_steps=4", "rule.warmup=3",
     "evaluate_every=7", "checkpoint_every=5"],
)  # fmt: skip
N_GENERATIONS = 1437 // 64
TASK = load_task("digits", n_steps=4, augment=False)


class Run(NamedTuple):
    folder: RunFolder
    metrics: dict[str, Any]
    starts: list[TrainingStart]
    progress: list[Progress]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = RunFolder.create(tmp_path_factory.mktemp("experiment") / "run")
    starts: list[TrainingStart] = []
    progress: list[Progress] = []
    metrics = train_model(CONFIG, folder, threads=1, on_start=starts.append, on_progress=progress.append)
    return Run(folder, metrics, starts, progress)


@pytest.fixture(scope="module")
def model(run: Run) -> Model:
    return load_model(run.folder.model_path)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots and report take seconds to draw; one run of this file has them, the others are about the model."""
    monkeypatch.setattr(experiment, "save_plots", lambda metrics, folder: None)
    monkeypatch.setattr(experiment, "write_report", lambda metrics, path: None)


def copy_of(run: Run, path: Path) -> RunFolder:
    """The run's checkpoints in a folder of their own, without its results."""
    shutil.copytree(run.folder.checkpoints, path / "checkpoints")
    return RunFolder.open(path)


def repeatable(metrics: dict[str, Any]) -> dict[str, Any]:
    """Everything but what may differ between equal runs; next_steps names the folder."""
    training = {key: value for key, value in metrics["training"].items() if key != "seconds"}
    rest = {key: value for key, value in metrics.items() if key not in ("threads", "next_steps")}
    return rest | {"training": training}


def test_training_fills_the_folder(run: Run) -> None:
    assert json.loads(run.folder.metrics_path.read_text(encoding="utf-8")) == run.metrics
    assert run.folder.read_metrics() == run.metrics
    assert "<html" in run.folder.report_path.read_text(encoding="utf-8").lower()
    assert any(run.folder.plots.iterdir())
    assert sorted(path.name for path in run.folder.checkpoints.iterdir()) == [
        "gen-000015.npz", "gen-000020.npz", "gen-000022.npz",
    ]  # fmt: skip
    assert not list(run.folder.path.rglob("*.tmp"))


def test_progress_is_told_after_every_generation(run: Run) -> None:
    assert len(run.starts) == 1
    start = run.starts[0]
    assert (start.n_generations, start.config, start.task.name) == (N_GENERATIONS, CONFIG, "digits")
    assert [shown.generation for shown in run.progress] == list(range(1, N_GENERATIONS + 1))
    assert all(
        shown.n_generations == N_GENERATIONS and shown.samples == 64 * shown.generation for shown in run.progress
    )
    assert [shown.generation for shown in run.progress if shown.test_accuracy is not None][0] == 7
    assert all(0 <= shown.train_accuracy <= 1 and shown.fitness < 0 for shown in run.progress)
    assert [shown.seconds for shown in run.progress] == sorted(shown.seconds for shown in run.progress)


def test_the_learning_curve_holds_every_generation_of_a_short_run(run: Run) -> None:
    history = run.metrics["training"]["history"]
    assert [point["generation"] for point in history] == list(range(1, N_GENERATIONS + 1))
    measured = {point["generation"]: point["test_accuracy"] for point in history if point["test_accuracy"] is not None}
    assert list(measured) == [7, 14, 21, 22]
    assert measured[22] == run.metrics["test"]["accuracy"] > 0.2  # the last one is the model's own


def test_the_model_file_holds_what_the_checkpoint_learned(run: Run, model: Model) -> None:
    _, arrays = unpack_arrays((run.folder.checkpoint_path(22)).read_bytes())
    connection = model.network.connections[0]
    assert isinstance(connection, Dense)
    mantissa = (arrays["full"][: 16 * 64] >> 8).reshape(64, 16).T
    np.testing.assert_array_equal(np.asarray(connection.weights), mantissa << 1)  # mixed signs: even weights
    start = prepare_program(CONFIG, TASK)[0].network.connections[0]
    assert isinstance(start, Dense) and np.any(np.asarray(start.weights) != np.asarray(connection.weights))
    assert model.metadata["task"] == "digits" and model.metadata["n_steps"] == 6
    assert TrainConfig.from_dict(model.metadata["config"]) == CONFIG


@pytest.mark.usefixtures("no_pictures")
def test_the_same_configuration_gives_the_same_bytes_on_any_number_of_threads(run: Run, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "again")
    metrics = train_model(CONFIG, folder, threads=3)
    assert digest(folder.model_path) == digest(run.folder.model_path)
    assert repeatable(metrics) == repeatable(run.metrics)
    for generation in (15, 20, 22):
        ours, theirs = (unpack_arrays(f.checkpoint_path(generation).read_bytes()) for f in (folder, run.folder))
        assert ours[0] | {"seconds": 0} == theirs[0] | {"seconds": 0}
        for name, array in theirs[1].items():
            np.testing.assert_array_equal(ours[1][name], array)


@pytest.mark.usefixtures("no_pictures")
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(run: Run, tmp_path: Path) -> None:
    folder = copy_of(run, tmp_path / "damaged")
    newest, before = folder.checkpoint_path(22), folder.checkpoint_path(20)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    before.write_bytes(before.read_bytes()[:-100])
    seen: list[int] = []
    metrics = train_model(CONFIG, folder, resume=True, on_progress=lambda shown: seen.append(shown.generation))
    assert seen == list(range(16, N_GENERATIONS + 1))
    assert digest(folder.model_path) == digest(run.folder.model_path)
    assert repeatable(metrics) == repeatable(run.metrics)


class FullDisk:
    """`os.write` of a disk that takes so many more writes."""

    def __init__(self) -> None:
        self.write, self.left, self.active = os.write, 0, False

    def __call__(self, handle: int, data: Any) -> int:
        if not self.active or self.left > 0:
            self.left -= self.active
            return self.write(handle, data)
        self.write(handle, bytes(data)[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.usefixtures("no_pictures")
def test_a_full_disk_leaves_no_half_model_and_the_run_can_be_finished(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, disk = copy_of(run, tmp_path / "full"), FullDisk()
    folder.checkpoint_path(22).unlink()

    def fill(shown: Progress) -> None:
        if shown.generation == N_GENERATIONS:  # the last checkpoint still fits, the model does not
            disk.active, disk.left = True, 1

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", disk)
        with pytest.raises(RunFolderError, match=r"model\.npz.*No space left on device; free some space"):
            train_model(CONFIG, folder, resume=True, on_progress=fill)
    assert [path.name for path in folder.path.iterdir()] == ["checkpoints"]
    assert folder.latest_checkpoint() == folder.checkpoint_path(22)

    seen: list[Progress] = []  # the checkpoint is of the last generation: nothing is left to train
    metrics = train_model(CONFIG, folder, resume=True, on_progress=seen.append)
    assert seen == []
    assert digest(folder.model_path) == digest(run.folder.model_path)
    assert repeatable(metrics) == repeatable(run.metrics)


def test_resume_in_an_empty_folder_starts_anew(tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def stop(shown: Progress) -> None:
        assert shown.generation == 1
        raise Enough

    with pytest.raises(Enough):
        train_model(CONFIG, RunFolder.create(tmp_path / "empty"), resume=True, on_progress=stop)


def test_resume_refuses_the_checkpoint_of_another_seed(run: Run, tmp_path: Path) -> None:
    folder = copy_of(run, tmp_path / "other")
    with pytest.raises(ConfigError, match=r"gen-000022\.npz: trained with seed = 1, now 2"):
        train_model(override(CONFIG, ["seed=2"]), folder, resume=True)


def test_resume_refuses_a_model_in_place_of_a_checkpoint(run: Run, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "mixed")
    shutil.copy(run.folder.model_path, folder.checkpoint_path(3))
    with pytest.raises(ModelFileError, match="holds 'model', not 'checkpoint'"):
        train_model(CONFIG, folder, resume=True)


def test_the_configuration_of_a_run_is_in_its_checkpoint(run: Run, tmp_path: Path) -> None:
    assert checkpoint_config(run.folder) == CONFIG
    with pytest.raises(ModelFileError, match="has no checkpoint; train it anew"):
        checkpoint_config(RunFolder.create(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("energy_table=loihi9", NeurosimError, "loihi9"),
        ("batch=1438", ConfigError, "batch: 1438 samples exceed the 1437 of the task; lower it"),
        ("task=digit", DataError, "unknown task 'digit'.*did you mean 'digits'"),
        ("chip=loihi7", ChipError, "loihi7"),
        ("backend=nothing", NeurosimError, "nothing"),
    ],
)
def test_a_wrong_configuration_is_refused_before_training(
    line: str, error: type[Exception], words: str, tmp_path: Path
) -> None:
    folder = RunFolder.create(tmp_path / "refused")
    called: list[object] = []
    with pytest.raises(error, match=words):
        train_model(override(CONFIG, [line]), folder, on_start=called.append, on_progress=called.append)
    assert called == []
    assert not list(folder.path.rglob("*.*"))


def test_a_batch_of_all_samples_is_one_generation_per_epoch() -> None:
    config = override(CONFIG, ["batch=1437", "epochs=1", "rule.warmup=0"])
    starts: list[TrainingStart] = []

    class Enough(Exception):
        pass

    def stop(start: TrainingStart) -> None:
        starts.append(start)
        raise Enough

    with pytest.raises(Enough):
        train_model(config, RunFolder(Path("unused")), on_start=stop)
    assert starts[0].n_generations == 1


def test_evaluation_repeats_the_accuracy_of_training(run: Run, model: Model) -> None:
    found = evaluate_model(model, TASK)
    for key, value in run.metrics["test"].items():
        assert found[key] == value
    assert found["counts"] == run.metrics["counts"]["per_inference"]
    assert found["energy"] == run.metrics["energy"]["per_inference"]
    assert found["backend"] == "simulator"


def test_evaluation_is_equal_on_simulator_and_reference(model: Model) -> None:
    fast = evaluate_model(model, TASK, limit=4)
    plain = evaluate_model(model, TASK, backend="reference", limit=4)
    assert (fast.pop("backend"), plain.pop("backend")) == ("simulator", "reference")
    assert fast == plain
    assert fast["n"] == 4 and len(fast["predictions"]) == 4 and fast["counts"]["samples"] == 4


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_evaluation_does_not_depend_on_threads(model: Model, threads: int) -> None:
    assert evaluate_model(model, TASK, limit=30, threads=threads) == evaluate_model(model, TASK, limit=30)


def test_evaluation_takes_the_first_samples(model: Model) -> None:
    whole = evaluate_model(model, TASK)
    part = evaluate_model(model, TASK, limit=50)
    assert part["predictions"] == whole["predictions"][:50]
    assert np.trace(part["confusion"]) == part["n_correct"] and np.sum(part["confusion"]) == part["n"] == 50
    assert evaluate_model(model, TASK, limit=10_000)["n"] == 360


@pytest.mark.parametrize("limit", [0, -1])
def test_evaluation_of_no_samples_is_refused(model: Model, limit: int) -> None:
    with pytest.raises(ConfigError, match=f"limit: {limit} is not a positive number of samples"):
        evaluate_model(model, TASK, limit=limit)


def test_evaluation_on_a_task_with_other_classes_is_refused(model: Model) -> None:
    other = dataclasses.replace(TASK, name="letters", n_classes=26)
    with pytest.raises(DataError, match="readout has 10 classes, task 'letters' has 26; choose the model's own task"):
        evaluate_model(model, other)


def test_evaluation_on_a_task_with_other_inputs_is_refused(model: Model) -> None:
    other = dataclasses.replace(TASK, test_events=TASK.test_events._replace(n_inputs=65))
    with pytest.raises(NeurosimError, match="65"):
        evaluate_model(model, other)


def test_evaluation_of_a_network_without_a_readout_is_refused(model: Model) -> None:
    groups = (Input("in", 64), LIF("out", 10, 4095, 0, 100))
    network = Network(groups, (Dense("in", "out", np.ones((10, 64), np.int64)),), name="plain")
    with pytest.raises(ConfigError, match="model 'plain': no group 'readout' to read a class from; groups are in, out"):
        evaluate_model(dataclasses.replace(model, network=network), TASK)


def test_a_model_runs_with_its_own_probes(model: Model) -> None:
    result = run_model(model, TASK.test_events.take([0, 1, 2]), n_steps=6)
    assert set(result.states) == {(READOUT, "v")} and not result.spikes
    answers = np.argmax(result.states[READOUT, "v"][:, -1, :], axis=1)
    assert answers.tolist() == evaluate_model(model, TASK, limit=3)["predictions"]


@pytest.mark.parametrize("backend", ["simulator", "reference"])
def test_a_model_without_probes_records_the_spikes_of_every_group(model: Model, backend: str) -> None:
    bare = dataclasses.replace(model, network=dataclasses.replace(model.network, probes=()))
    events = TASK.test_events.take([0, 5])
    result = run_model(bare, events, backend=backend, n_steps=6)
    assert set(result.spikes) == {"input", "hidden", READOUT}
    dense = events.to_dense()
    found = sorted(zip(*(np.asarray(column).tolist() for column in result.spikes["input"][:3]), strict=True))
    expected = sorted(zip(*(column.tolist() for column in np.nonzero(dense)), strict=True))
    assert found == expected
    assert len(result.spikes["hidden"].step) > 0 and len(result.spikes[READOUT].step) == 0
    assert result.counts is not None and result.counts.of("hidden", "spikes") == len(result.spikes["hidden"].step)


def test_the_prepared_program_carries_its_scales_and_notes() -> None:
    program, notes = prepare_program(CONFIG, TASK)
    assert program.scales and notes
    assert program.network.name == "digits-1"
    assert list(program.network.probes) == [Probe(READOUT, "v")]
    described = build_network(CONFIG.network, 64, 10, 1, "digits-1")
    assert [group.name for group in program.network.groups] == [group.name for group in described.groups]


def test_formats_of_two_bits_can_be_trained_too() -> None:
    for bits in range(2, 9):
        config = override(TrainConfig(), [f"network.weight_bits={bits}"])
        program, _ = prepare_program(config, load_task("digits", augment=False))
        assert all(np.count_nonzero(connection.weights) for connection in program.network.connections)


@pytest.mark.parametrize("change", ["rule.step=0.25", "batch=7", "epochs=9", "augment=true", "rule.rank=2"])
def test_resume_refuses_another_configuration_and_names_the_key(run: Run, tmp_path: Path, change: str) -> None:
    folder = RunFolder.open(shutil.copytree(run.folder.path, tmp_path / "copy"))
    with pytest.raises(ConfigError, match=rf"trained with {change.split('=')[0]} = .*resume with the same"):
        train_model(override(CONFIG, [change]), folder, resume=True)


def test_evaluation_refuses_a_task_of_other_steps(run: Run) -> None:
    model = load_model(run.folder.model_path)
    with pytest.raises(DataError, match="steps of input, task 'digits' has 9; load the task with n_steps="):
        evaluate_model(model, load_task("digits", n_steps=9, augment=False))
