"""Tasks by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_sets import write_all
from typer.testing import CliRunner

from neurosim.cli import app
from neurosim.commands.training import TASK_HELP
from neurosim.config import NetworkConfig, TrainConfig, override
from neurosim.data.digits import load_digits
from neurosim.errors import ConfigError, DataError
from neurosim.events import check_events
from neurosim.learning.build import build_network
from neurosim.tasks import EPISODE_TASKS, TASKS, load_task, parse_task, task_settings


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_all(root)
    return root


@pytest.fixture(autouse=True)
def only_tiny_data(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROSIM_DATA", str(tiny))


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_is_consistent(name: str) -> None:
    task = load_task(name, n_steps=8)
    assert task.name == name and task.n_steps_input == 8
    for events, labels in ((task.train_events, task.train_labels), (task.test_events, task.test_labels)):
        check_events(events, task.n_inputs)
        assert (events.n_samples, events.n_steps) == (len(labels), 8)
        assert set(labels.tolist()) == set(range(task.n_classes))
        assert labels.dtype == np.int64 and len(events.neuron)
    for steps, labels in ((task.train_step_labels, task.train_labels), (task.test_step_labels, task.test_labels)):
        if steps is not None:
            assert steps.shape == (len(labels), 8) and steps.dtype == np.int64
            assert steps.min() >= -1 and steps.max() < task.n_classes
    assert task.images is None or (len(task.images) == len(task.test_labels) and task.images.dtype == np.uint8)
    assert all((task.description, task.source, task.licence, task.attribution))


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_is_the_same_each_time(name: str) -> None:
    first, second = load_task(name, n_steps=4), load_task(name, n_steps=4)
    for one, other in ((first.train_events, second.train_events), (first.test_events, second.test_events)):
        assert one.start.tobytes() == other.start.tobytes() and one.neuron.tobytes() == other.neuron.tobytes()


@pytest.mark.parametrize("name", sorted(TASKS))
def test_settings_are_settings_and_give_the_steps_that_the_task_has_by_itself(name: str) -> None:
    config = override(replace(TrainConfig(), task=name), task_settings(name))
    assert load_task(name).n_steps_input == config.network.n_steps
    by_default, as_set = load_task(name), load_task(name, augment=config.augment)
    assert len(by_default.train_labels) == len(as_set.train_labels)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_copies_are_made_or_refused(name: str) -> None:
    plain = load_task(name, n_steps=4, augment=False)
    try:
        more = load_task(name, n_steps=4, augment=True)
    except DataError as error:
        assert "has no changed copies of its training samples; set augment=false" in str(error)
        return
    if more.copies is None:
        assert len(more.train_labels) > len(plain.train_labels)
    else:
        np.testing.assert_array_equal(more.train_labels, plain.train_labels)
        epochs = [more.train_events, more.copies(0), more.copies(1), plain.train_events]
        seen = [events.start.tobytes() + events.neuron.tobytes() for events in epochs]
        assert seen[0] == seen[1] and len(set(seen)) == 3
        assert [events[2:] for events in epochs] == 4 * [plain.train_events[2:]]
    np.testing.assert_array_equal(more.test_events.neuron, plain.test_events.neuron)
    np.testing.assert_array_equal(more.test_labels, plain.test_labels)


@pytest.mark.parametrize("name", sorted(name for name in TASKS if "limit" in TASKS[name].options))
def test_a_limit_takes_the_first_training_samples(name: str) -> None:
    whole, part = load_task(name, n_steps=4), load_task(f"{name}:limit=7", n_steps=4)
    assert part.name == f"{name}:limit=7"
    np.testing.assert_array_equal(part.train_events.take(range(7)).neuron, whole.train_events.take(range(7)).neuron)
    np.testing.assert_array_equal(part.test_labels, whole.test_labels)
    few = load_task(name, n_steps=4, test_only=True)
    assert few.name == name and len(few.train_labels) == 1
    np.testing.assert_array_equal(few.test_events.neuron, whole.test_events.neuron)


@pytest.mark.parametrize("name", sorted(EPISODE_TASKS))
def test_a_task_that_is_played_has_settings_and_no_samples(name: str) -> None:
    override(replace(TrainConfig(), task=name), task_settings(name))
    with pytest.raises(DataError, match=f"task '{name}': is played and has no samples.*neurosim train {name}"):
        load_task(name)


def test_names_hold_the_options_that_are_not_the_default() -> None:
    assert parse_task("nmnist:least=1,split=3") == (
        "nmnist",
        {"split": 3, "pool": 2, "phases": 3, "least": 1, "pictures": 0, "copies": 20, "anew": 0},
    )
    assert load_task("nmnist:least=1,split=3").name == "nmnist:split=3,least=1"
    assert load_task("nmnist:split=1").name == "nmnist"


def test_the_help_of_train_names_every_task() -> None:
    assert [name for name in [*TASKS, *EPISODE_TASKS] if f" {name}," not in TASK_HELP] == []


@pytest.mark.parametrize("name", ["nmnist", "nmnist-saccades"])
def test_recordings_are_pictures_for_convolutions_where_that_is_asked_for(name: str) -> None:
    plain, task = load_task(name, augment=False), load_task(f"{name}:pictures=1", augment=False)
    assert plain.input_shape is None and task.input_shape == (17, 17, 6)
    for before, after in ((plain.train_events, task.train_events), (plain.test_events, task.test_events)):
        by_channel = before.to_dense().reshape(before.n_samples, 9, 6, 17, 17)
        by_square = after.to_dense().reshape(before.n_samples, 9, 17, 17, 6)
        np.testing.assert_array_equal(by_square.transpose(0, 1, 4, 2, 3), by_channel)
    settings = NetworkConfig(convolutions=("4c5s2",), hidden=(), n_steps=9)
    network = build_network(settings, task.n_inputs, 10, 1, "conv", task.input_shape)
    assert [group.n for group in network.groups] == [1734, 7 * 7 * 4, 10]
    with pytest.raises(ConfigError, match="the inputs of 'conv' are no pictures"):
        build_network(settings, plain.n_inputs, 10, 1, "conv", plain.input_shape)


def test_digit_pixels_are_spike_counts() -> None:
    task = load_task("digits", augment=False)
    assert (task.n_inputs, task.n_classes, task.n_steps_input, len(task.train_labels)) == (64, 10, 16, 1437)
    assert task.images is not None
    np.testing.assert_array_equal(task.test_events.to_dense().sum(axis=1), task.images.reshape(360, 64))


def test_unknown_task_names_the_closest() -> None:
    with pytest.raises(
        DataError, match="unknown task 'digit'; tasks are digits, digits-ordered, .*did you mean 'digits'"
    ):
        load_task("digit")
    with pytest.raises(DataError, match="unknown task 'zzz'; tasks are digits, .*yinyang-latency, cartpole$"):
        load_task("zzz")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("digits:split=2", "task 'digits': unknown option 'split'; options are none"),
        (
            "nmnist:spilt=2",
            "task 'nmnist': unknown option 'spilt'; options are split, pool, phases, least, pictures, copies, anew",
        ),
        ("nmnist:split=6", r"split '6' is not a whole number in 1\.\.5 \(which recordings.*write nmnist:split=1"),
        ("nmnist:split", "split '' is not a whole number"),
        ("nmnist:split=-1", "split '-1' is not a whole number"),
        ("nmnist:phases=10", r"10 phases do not fit 9 steps; set phases to 1\.\.9, or more steps"),
        ("nmnist:least=0", "least '0' is not a whole number in 1"),
        ("nmnist:pool=3", "pool 3 does not divide the 34 pixels of a side; choose 1, 2, 17 or 34"),
    ],
)
def test_wrong_options_are_refused(name: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_task(name)


@pytest.mark.parametrize(
    "name", ["mnist", "nmnist", "nmnist-saccades", "fsdd", "emg", "ecg", "yinyang", "yinyang-latency"]
)
def test_missing_data_are_one_clear_error(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    with pytest.raises(
        DataError, match=r"not found in .*the folder must hold .*Get it from .*http.*set NEUROSIM_DATA"
    ) as told:
        load_task(name)
    assert str(tmp_path) in str(told.value)


def test_augmentation_adds_four_half_shifts_to_the_training_images_only() -> None:
    plain, augmented = load_task("digits", augment=False), load_task("digits")
    n = len(plain.train_labels)
    assert len(augmented.train_labels) == 5 * n
    np.testing.assert_array_equal(augmented.train_labels, np.tile(plain.train_labels, 5))
    np.testing.assert_array_equal(augmented.train_events.take(range(n)).neuron, plain.train_events.neuron)
    np.testing.assert_array_equal(augmented.test_events.neuron, plain.test_events.neuron)


def test_ordered_split_tests_on_the_end_of_the_file() -> None:
    task, digits = load_task("digits-ordered", augment=False), load_digits("ordered")
    np.testing.assert_array_equal(task.train_labels, digits.labels[:1347])
    np.testing.assert_array_equal(task.test_labels, digits.labels[1347:])
    np.testing.assert_array_equal(task.images, digits.images[1347:])
    assert task.train_events.n_samples == 1347


def test_a_model_is_evaluated_on_its_own_split_and_number_of_steps(tmp_path: Path) -> None:
    run = tmp_path / "run"
    small = ("network.n_steps=5", "network.hidden=[4]", "epochs=1", "rule.warmup=1", "augment=false")
    arguments = ["train", "nmnist:split=2,pool=34", "--out", str(run), "--threads", "1", "--json"]
    trained = CliRunner().invoke(app, [*arguments, *(word for text in small for word in ("--set", text))])
    assert trained.exit_code == 0, trained.output
    metrics = json.loads(trained.stdout)["metrics"]
    assert metrics["task"] == "nmnist:split=2,pool=34"
    assert metrics["command"].startswith("neurosim train --set task=nmnist:split=2,pool=34 ")
    found = CliRunner().invoke(app, ["evaluate", str(run), "--json"])
    assert found.exit_code == 0, found.output
    test = json.loads(found.stdout)
    assert (test["n"], test["n_correct"]) == (100, metrics["test"]["n_correct"])


def test_training_begins_with_the_settings_of_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = ("network.hidden=[2]", "epochs=1", "rule.warmup=0", "network.tau_mem=0.5")
    words = [word for text in small for word in ("--set", text)]
    trained = CliRunner().invoke(app, ["train", "mnist:limit=40", *words, "--threads", "1", "--json"])
    assert trained.exit_code == 0, trained.output
    config = json.loads(trained.stdout)["metrics"]["config"]
    assert (config["network"]["n_steps"], config["augment"], config["epochs"]) == (8, True, 1)
    assert (tmp_path / "runs" / "mnist-limit-40-001" / "model.npz").is_file()


def test_the_settings_in_the_documentation_are_those_of_the_tasks() -> None:
    page = (Path(__file__).parents[1] / "docs" / "tasks.md").read_text(encoding="utf-8")
    for name, entry in TASKS.items():
        columns = [
            ", ".join(f"`{text}`" for text in settings if text != "augment=false") or "the defaults"
            for settings in (entry.settings, entry.direct)
        ]
        assert f"| `{name}` | {columns[0]} | {columns[1]} |\n" in page, name
