"""Batches of training samples: order, copies, what is made in advance, and what is refused."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.config import NetworkConfig, TrainConfig
from neurosim.data.task import Task
from neurosim.direct.batches import Batches, part_bounds
from neurosim.errors import ConfigError, DataError
from neurosim.events import Events, events_from_dense
from neurosim.experiment import open_trainer, prepare_program
from neurosim.tasks import load_task

N, STEPS, INPUTS = 23, 3, 5


def numbered(epoch: int) -> Events:
    """Return samples that tell their number and their epoch: input 0 has the one, input 1 the other, less 1."""
    dense = np.zeros((N, STEPS, INPUTS), np.int64)
    dense[:, 0, 0] = np.arange(N) + 1
    dense[:, 1, 1] = epoch + 1
    return events_from_dense(dense, graded=True)


class Counted:
    """Copies of `numbered`, and the epochs that were asked for."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def __call__(self, epoch: int) -> Events:
        self.epochs.append(epoch)
        return numbered(epoch)


def made(copies: Counted | None = None) -> Task:
    labels = (np.arange(N) % 4).astype(np.int64)
    return Task(
        "made", numbered(0), labels, numbered(0), labels, 4, INPUTS, STEPS, "", "", "", "", copies=copies
    )  # fmt: skip


def shown(frames: npt.NDArray[np.float32]) -> tuple[list[int], set[int]]:
    """Return the samples and the epochs that frames are of."""
    return (frames[0, :, 0] - 1).astype(int).tolist(), set((frames[1, :, 1] - 1).astype(int).tolist())


def test_every_sample_comes_once_in_an_epoch_and_orders_differ() -> None:
    with Batches(made(), 5, seed=3, n_steps=STEPS) as batches:
        assert batches.n_batches == 4
        order = [i for g in range(23) for i in shown(batches.frames(g)[0])[0]]  # five epochs of 23 samples
    epochs = [order[N * e : N * (e + 1)] for e in range(5)]
    assert all(sorted(epoch) == list(range(N)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5
    with Batches(made(), 5, seed=4, n_steps=STEPS) as other:
        assert shown(other.frames(0)[0])[0] != order[:5]


def test_labels_belong_to_their_samples() -> None:
    task = made()
    with Batches(task, 6, seed=1, n_steps=STEPS) as batches:
        for g in (0, 3, 4, 9):
            frames, labels = batches.frames(g)
            np.testing.assert_array_equal(labels, task.train_labels[shown(frames)[0]])
            (events,), again = batches.events(g)
            np.testing.assert_array_equal(labels, again)
            assert (events.rows.value[:6] - 1).astype(int).tolist() == shown(frames)[
                0
            ]  # the first step, sample by sample


def test_a_batch_shows_the_copies_of_the_epoch_that_it_begins_in() -> None:
    copies = Counted()
    with Batches(made(copies), 7, seed=1, n_steps=STEPS, n_generations=10) as batches:
        for g in range(10):
            samples, epochs = shown(batches.frames(g)[0])
            assert epochs == {7 * g // N} == {batches.epoch_of(g)}
            assert samples == batches.samples_of(g).tolist()
    assert copies.epochs == [1, 2]  # each once, epoch 0 is the task's own, nothing beyond the end


def test_at_most_two_epochs_are_kept() -> None:
    with Batches(made(Counted()), 7, seed=1, n_steps=STEPS) as batches:
        for g in [0, 1, 2, 3, 4, 30, 31, 2]:
            batches.frames(g)
            assert set(batches._copies) <= {batches.epoch_of(g), batches.epoch_of(g) + 1}
            assert len(batches._orders) <= 3


@pytest.mark.parametrize("with_copies", [False, True])
def test_a_batch_is_the_same_whenever_it_is_asked_for(with_copies: bool) -> None:
    wanted = {}
    with Batches(made(Counted() if with_copies else None), 7, seed=5, n_steps=4) as batches:
        for g in range(12):
            wanted[g] = batches.frames(g)
    for g in (11, 0, 4, 5, 3, 3):
        with Batches(made(Counted() if with_copies else None), 7, seed=5, n_steps=4) as fresh:
            for found, expected in zip(fresh.frames(g), wanted[g], strict=True):
                np.testing.assert_array_equal(found, expected)
    with Batches(made(Counted() if with_copies else None), 7, seed=5, n_steps=4) as jumping:
        for g in (9, 2, 10, 11, 0, 1, 7, 6):
            np.testing.assert_array_equal(jumping.frames(g)[0], wanted[g][0])


@pytest.mark.parametrize("n_parts", [1, 2, 3, 7])
def test_events_come_in_parts_of_what_frames_show(n_parts: int) -> None:
    with Batches(made(), 7, seed=5, n_steps=4) as batches:
        for g in (0, 1, 3):
            frames, labels = batches.frames(g)
            parts, same_labels = batches.events(g, n_parts)
            np.testing.assert_array_equal(labels, same_labels)
            bounds = part_bounds(7, n_parts)
            assert [one.n_samples for one in parts] == [last - first for first, last in bounds]
            for one, (first, last) in zip(parts, bounds, strict=True):
                shown_by_events = np.zeros((4 * (last - first), INPUTS), np.float32)
                row = np.repeat(np.arange(len(shown_by_events)), np.diff(one.rows.start))
                shown_by_events[row, one.rows.neuron] = one.rows.value
                np.testing.assert_array_equal(shown_by_events, frames[:, first:last].reshape(-1, INPUTS))


def test_the_next_batch_does_not_touch_the_last() -> None:
    with Batches(made(), 7, seed=5, n_steps=STEPS) as batches:
        first = batches.frames(0)[0]
        kept = first.copy()
        first_samples = shown(first)[0]
        first *= 2  # the caller's own
        assert shown(batches.frames(1)[0])[0] == batches.samples_of(1).tolist()
        np.testing.assert_array_equal(first, 2 * kept)
        assert first_samples == batches.samples_of(0).tolist()


def test_the_order_is_that_of_learning_on_the_chip() -> None:
    task = load_task("digits", n_steps=2, augment=False)
    config = TrainConfig(batch=100, seed=7, augment=False, network=NetworkConfig(hidden=(), n_steps=2))
    with (
        open_trainer(config, prepare_program(config, task)[0], task, threads=1) as trainer,
        Batches(task, 100, 7, n_steps=2) as batches,
    ):
        for g in (0, 1, 14, 15, 40):
            np.testing.assert_array_equal(batches.samples_of(g), trainer.samples_of(g))
            np.testing.assert_array_equal(
                batches.frames(g)[0].transpose(1, 0, 2), task.train_events.to_dense()[trainer.samples_of(g)]
            )


def test_test_samples_are_frames_too() -> None:
    task = made()
    with Batches(task, 7, seed=5, n_steps=STEPS) as batches:
        assert shown(batches.test_frames(task.test_events, 4, 9))[0] == [4, 5, 6, 7, 8]
        assert batches.test_frames(task.test_events, 4, 4).shape == (STEPS, 0, INPUTS)
        with pytest.raises(DataError, match="samples 20 to 23 of 23 are asked for"):
            batches.test_frames(task.test_events, 20, 24)


def test_threads_end_with_the_batches() -> None:
    before = threading.active_count()
    with Batches(made(Counted()), 7, seed=5, n_steps=STEPS) as batches:
        for g in range(5):
            batches.frames(g)
        assert threading.active_count() > before
    assert threading.active_count() == before
    samples, _ = shown(batches.frames(2)[0])  # and begin again where they are needed
    assert samples == batches.samples_of(2).tolist()
    batches.close()


def test_an_error_of_the_copies_reaches_the_caller() -> None:
    def broken(epoch: int) -> Events:
        raise DataError(f"no copies for epoch {epoch}")

    with Batches(dataclasses.replace(made(), copies=broken), N, seed=5, n_steps=STEPS) as batches:
        batches.frames(0)
        with pytest.raises(DataError, match="no copies for epoch 1"):
            batches.frames(1)
    large = events_from_dense(np.full((N, STEPS, INPUTS), 1 << 25), graded=True)
    with (
        Batches(dataclasses.replace(made(), copies=lambda epoch: large), N, seed=5, n_steps=STEPS) as batches,
        pytest.raises(DataError, match="an event has the value 33554432"),
    ):
        batches.frames(1)


def test_what_does_not_fit_is_refused() -> None:
    task = made()
    for batch in (0, N + 1):
        with pytest.raises(ConfigError, match=f"batch: {batch} samples of the 23 of the task; choose 1..23"):
            Batches(task, batch, 1, STEPS)
    with pytest.raises(ConfigError, match="its samples have 3 steps, more than the 2 that are learned from"):
        Batches(task, 4, 1, 2)
    large = events_from_dense(np.full((N, STEPS, INPUTS), -(1 << 24) - 1), graded=True)
    with pytest.raises(
        DataError, match="an event has the value 16777217, floats of 32 bits hold whole numbers up to 16777216"
    ):
        Batches(dataclasses.replace(task, train_events=large), 4, 1, STEPS)
    narrow = events_from_dense(np.ones((N, STEPS, 2), bool))
    with pytest.raises(DataError, match="samples with 2 inputs, the task has 5"):
        Batches(dataclasses.replace(task, train_events=narrow), 4, 1, STEPS)
