"""The metrics of a training run are plain values that agree with each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from neurosim.config import TrainConfig, override
from neurosim.counters import COUNTERS, N_COUNTERS, OpCounts
from neurosim.energy import energy, load_energy_table
from neurosim.experiment import evaluate_model, prepare_program
from neurosim.learning.build import READOUT, run_steps
from neurosim.learning.trainer import Trainer
from neurosim.metrics import N_EXAMPLES, N_WEIGHT_IMAGES, counts_metrics, rule_metrics, training_metrics
from neurosim.modelfile import Model
from neurosim.network import Dense
from neurosim.program import Program
from neurosim.report import summary_lines
from neurosim.tasks import Task, load_task

N_GENERATIONS, BATCH, PAIRS = 4, 5, 2
TABLE = "loihi1-sanafe2026"  # not the default: the configured one must be used


class Run(NamedTuple):
    metrics: dict[str, Any]
    test: dict[str, Any]
    learning: OpCounts
    program: Program
    task: Task


@pytest.fixture(scope="module")
def run() -> Run:
    lines = ["network.hidden=[18]", "network.n_steps=4", f"batch={BATCH}", f"rule.pairs={PAIRS}", "rule.warmup=2",
             f"energy_table={TABLE}", "seed=3", "augment=false"]  # fmt: skip
    config = override(TrainConfig(), lines)
    task = load_task("digits", n_steps=4, augment=False)
    program, notes = prepare_program(config, task)
    with Trainer(
        program, READOUT, config.rule, task.train_events, task.train_labels, n_steps=run_steps(config.network),
        n_generations=N_GENERATIONS, batch=BATCH, seed=config.seed,
    ) as trainer:  # fmt: skip
        for _ in range(N_GENERATIONS):
            trainer.step()
        metadata = {"n_steps": run_steps(config.network), "config": config.to_dict()}
        test = evaluate_model(Model(program.network, program.chip, {}, metadata), task)
        training = rule_metrics(config, trainer, [], 1.23456)
        metrics = training_metrics(config, task, program, notes, training, trainer.op_counts, test, 2)
        return Run(metrics, test, trainer.op_counts, program, task)


def leaves(value: Any, where: str = "metrics") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            assert type(key) is str, where
            yield from leaves(inner, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for i, inner in enumerate(value):
            yield from leaves(inner, f"{where}[{i}]")
    else:
        yield where, value


def test_metrics_survive_json(run: Run) -> None:
    assert json.loads(json.dumps(run.metrics, allow_nan=False)) == run.metrics


def test_metrics_hold_no_numpy_scalars(run: Run) -> None:
    plain = (str, int, float, bool, type(None))
    assert [(where, type(value)) for where, value in leaves(run.metrics) if type(value) not in plain] == []
    assert [(where, type(value)) for where, value in leaves(run.test) if type(value) not in plain] == []


@pytest.mark.parametrize("which", ["per_inference", "per_learning_step"])
def test_totals_equal_the_sums_over_rows(run: Run, which: str) -> None:
    counts = run.metrics["counts"][which]
    assert set(counts["by_row"]) == set(run.program.rows)
    for name in COUNTERS:
        assert counts["totals"][name] == sum(row.get(name, 0) for row in counts["by_row"].values()), name
    assert counts["totals"]["spikes"] > 0 and counts["totals"]["synaptic_operations"] > 0


def test_a_backend_without_counts_leaves_counts_and_energy_unknown(run: Run) -> None:
    """Nothing is priced that was not counted, and the summary says so."""
    config = override(TrainConfig(), ["network.hidden=[18]", "network.n_steps=4", "backend=reference"])
    silent = SimpleNamespace(op_counts=None, generation=1)
    test = run.test | {"counts": None, "energy": None}
    training = rule_metrics(config, silent, [], 1.0)
    metrics = training_metrics(config, run.task, run.program, (), training, None, test, 1)
    assert metrics["counts"] == metrics["energy"] == {"per_inference": None, "per_learning_step": None}
    lines = "\n".join(summary_lines(metrics))
    assert "not counted by the backend 'reference'; hence no energy" in lines
    assert "training" in lines and "per inference" not in lines and "per training sample" not in lines


def test_counts_say_for_how_many_samples_and_steps_they_are(run: Run) -> None:
    inference, learning = run.metrics["counts"]["per_inference"], run.metrics["counts"]["per_learning_step"]
    assert inference["samples"] == 360 and inference["totals"]["barriers"] == 360 * 6
    samples = N_GENERATIONS * BATCH
    assert learning["samples"] == samples == run.metrics["training"]["samples"]
    assert learning["totals"]["barriers"] == samples * (1 + 2 * PAIRS) * 6
    assert run.metrics["training"]["member_evaluations"] == samples * (1 + 2 * PAIRS)
    assert run.metrics["training"]["generations"] == N_GENERATIONS


def counts_of(metrics: dict[str, Any], rows: tuple[str, ...]) -> OpCounts:
    matrix = np.array([[metrics["by_row"][row].get(name, 0) for name in COUNTERS] for row in rows], np.int64)
    return OpCounts(rows, matrix, metrics["samples"], metrics["totals"]["barriers"])


@pytest.mark.parametrize("which", ["per_inference", "per_learning_step"])
def test_energies_are_the_prices_of_the_same_counts(run: Run, which: str) -> None:
    counts = counts_of(run.metrics["counts"][which], run.program.rows)
    priced = energy(counts, load_energy_table(TABLE), per=counts.n_samples).to_dict()
    assert run.metrics["energy"][which] == priced
    assert priced["table"] == TABLE == run.metrics["energy_table"]
    assert priced["total_pj"] > 0


def test_learning_counts_are_the_trainers(run: Run) -> None:
    np.testing.assert_array_equal(
        counts_of(run.metrics["counts"]["per_learning_step"], run.program.rows).matrix, run.learning.matrix
    )


def test_accuracy_is_the_diagonal_of_the_confusion_matrix(run: Run) -> None:
    test = run.metrics["test"]
    confusion = np.array(test["confusion"])
    assert confusion.shape == (10, 10) and test["classes"] == [str(c) for c in range(10)]
    assert confusion.sum() == test["n"] == 360
    assert np.trace(confusion) == test["n_correct"]
    assert test["accuracy"] == test["n_correct"] / test["n"]
    np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(run.task.test_labels))
    np.testing.assert_array_equal(confusion.sum(axis=0), np.bincount(run.test["predictions"], minlength=10))


def test_the_raster_shows_the_first_test_sample(run: Run) -> None:
    raster = run.metrics["raster"]
    assert (raster["sample"], raster["label"], raster["n_steps"]) == (0, int(run.task.test_labels[0]), 6)
    assert raster["prediction"] == run.test["predictions"][0]
    assert [group["name"] for group in raster["groups"]] == ["input", "hidden"]
    for group in raster["groups"]:
        assert len(group["step"]) == len(group["neuron"])
        assert all(0 <= step < 6 for step in group["step"]) and all(0 <= i < group["n"] for i in group["neuron"])
    shown = raster["groups"][0]
    spikes = sorted(zip(shown["step"], shown["neuron"], strict=True))
    step, neuron = np.nonzero(run.task.test_events.take([0]).to_dense()[0])
    assert spikes == sorted(zip(step.tolist(), neuron.tolist(), strict=True))
    voltage = np.array(raster["readout"]["v"])
    assert voltage.shape == (10, 6)
    assert int(np.argmax(voltage[:, -1])) == raster["prediction"]


def test_examples_show_mistakes_first_and_in_order(run: Run) -> None:
    assert run.task.images is not None
    shown = run.metrics["examples"]
    assert len(shown) == N_EXAMPLES
    wrong = [i for i, answer in enumerate(run.test["predictions"]) if answer != run.task.test_labels[i]]
    assert len(wrong) >= N_EXAMPLES  # this little training leaves so many
    for i, example in zip(wrong, shown, strict=False):
        np.testing.assert_array_equal(example["image"], run.task.images[i])
        assert example["label"] == run.task.test_labels[i] != example["prediction"] == run.test["predictions"][i]


def test_weight_images_are_the_first_rows_of_the_first_connection(run: Run) -> None:
    shown = run.metrics["weight_images"]
    connection = run.program.network.connections[0]
    assert isinstance(connection, Dense) and shown["connection"] == connection.name == "input->hidden"
    images = np.array(shown["images"])
    assert images.shape == (N_WEIGHT_IMAGES, 8, 8)
    np.testing.assert_array_equal(images.reshape(N_WEIGHT_IMAGES, 64), np.asarray(connection.weights)[:N_WEIGHT_IMAGES])


def test_the_network_is_described_in_chip_units(run: Run) -> None:
    network = run.metrics["network"]
    assert [(group["name"], group["n"], group["kind"]) for group in network["groups"]] == [
        ("input", 64, "input"), ("hidden", 18, "lif"), ("readout", 10, "lif"),
    ]  # fmt: skip
    assert [(c["name"], c["n_post"], c["n_pre"], c["bits"], c["plastic"]) for c in network["connections"]] == [
        ("input->hidden", 18, 64, 8, True), ("hidden->readout", 10, 18, 8, True),
    ]  # fmt: skip
    assert network["n_steps"] == 6
    assert all(type(group[key]) is int for group in network["groups"][1:] for key in ("du", "dv", "vth"))


def test_utilisation_has_one_entry_per_core_and_no_core_is_too_full(run: Run) -> None:
    cores = run.metrics["utilisation"]
    assert len({core["core"] for core in cores}) == len(cores) > 0
    for core in cores:
        for resource, found in core["resources"].items():
            assert 0 <= found["used"] <= found["limit"], resource
            assert found["share"] == pytest.approx(found["used"] / found["limit"])


def test_what_is_needed_to_repeat_the_run_is_there(run: Run) -> None:
    metrics = run.metrics
    assert TrainConfig.from_dict(metrics["config"]).to_dict() == metrics["config"]
    assert (metrics["seed"], metrics["task"], metrics["chip"]) == (3, "digits", "loihi1")
    assert metrics["backend"] == "simulator"
    assert metrics["neurosim"] and metrics["data"]["licence"] and metrics["quantization"]
    assert metrics["training"]["seconds"] == 1.235


def test_counts_metrics_leave_out_zeros_by_row_only() -> None:
    matrix = np.zeros((2, N_COUNTERS), np.int64)
    matrix[1, 0] = 7
    found = counts_metrics(OpCounts(("a", "a->b"), matrix, 3, 12))
    assert found["samples"] == 3
    assert found["by_row"] == {"a": {}, "a->b": {COUNTERS[0]: 7}} and found["kinds"] == {}
    kinds = counts_metrics(OpCounts(("a", "a->b"), matrix, 3, 12, ("input", "conv")))["kinds"]
    assert kinds == {"a": "input", "a->b": "conv"}
    assert found["totals"] == dict.fromkeys(COUNTERS, 0) | {COUNTERS[0]: 7, "barriers": 12}
