"""Tasks by name."""

from __future__ import annotations

import numpy as np
import pytest

from neurosim.data.digits import load_digits
from neurosim.errors import DataError
from neurosim.events import check_events
from neurosim.tasks import TASKS, load_task


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_is_consistent(name: str) -> None:
    task = load_task(name, n_steps=8)
    assert task.name == name and task.n_steps_input == 8
    for events, labels in ((task.train_events, task.train_labels), (task.test_events, task.test_labels)):
        check_events(events, task.n_inputs)
        assert (events.n_samples, events.n_steps) == (len(labels), 8)
        assert set(labels.tolist()) == set(range(task.n_classes))
        assert labels.dtype == np.int64
    assert task.images is None or len(task.images) == len(task.test_labels)
    assert all((task.description, task.source, task.licence, task.attribution))


def test_digit_pixels_are_spike_counts() -> None:
    task = load_task("digits", augment=False)
    assert (task.n_inputs, task.n_classes, task.n_steps_input, len(task.train_labels)) == (64, 10, 16, 1437)
    assert task.images is not None
    np.testing.assert_array_equal(task.test_events.to_dense().sum(axis=1), task.images.reshape(360, 64))


def test_unknown_task_names_the_closest() -> None:
    with pytest.raises(
        DataError, match="unknown task 'digit'; tasks are digits, digits-ordered; did you mean 'digits'"
    ):
        load_task("digit")
    with pytest.raises(DataError, match="unknown task 'zzz'; tasks are digits, digits-ordered$"):
        load_task("zzz")


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
