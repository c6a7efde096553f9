"""Events: conversion, selection and the border check."""

from __future__ import annotations

import numpy as np
import pytest

from neurosim.errors import DataError
from neurosim.events import Events, check_events, events_from_dense


def random_dense(seed: int, shape: tuple[int, int, int] = (5, 7, 11), share: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_dense_round_trip(share: float) -> None:
    dense = random_dense(0, share=share)
    events = events_from_dense(dense)
    np.testing.assert_array_equal(events.to_dense(), dense)
    assert (events.n_samples, events.n_steps, events.n_inputs) == (5, 7, 11)
    assert len(events.neuron) == dense.sum()


def test_layout_is_by_sample_then_step_then_line() -> None:
    dense = random_dense(1)
    events = events_from_dense(dense.astype(np.int8))
    for s in range(5):
        for t in range(7):
            k = s * 7 + t
            np.testing.assert_array_equal(
                events.neuron[events.start[k] : events.start[k + 1]], np.flatnonzero(dense[s, t])
            )


@pytest.mark.parametrize("chosen", [[], [0], [4, 0, 4], range(1, 3)])
def test_take_selects_samples_in_order(chosen: list[int]) -> None:
    dense = random_dense(2)
    taken = events_from_dense(dense).take(chosen)
    np.testing.assert_array_equal(taken.to_dense(), dense[list(chosen)])
    check_events(taken, 11)


@pytest.mark.parametrize("sample", [-1, 5])
def test_take_refuses_unknown_samples(sample: int) -> None:
    with pytest.raises(DataError, match=r"is outside 0\.\.4; choose others"):
        events_from_dense(random_dense(3)).take([sample])


def test_dense_needs_three_axes_of_zeros_and_ones() -> None:
    with pytest.raises(DataError, match=r"need shape \(n_samples, n_steps, n_inputs\)"):
        events_from_dense([[0, 1]])
    with pytest.raises(DataError, match="spikes are 0 or 1, found int64 values up to 2"):
        events_from_dense(np.array([[[0, 2]]], dtype=np.int64))


def test_check_returns_kernel_dtypes() -> None:
    events = events_from_dense(random_dense(4))
    loose = events._replace(neuron=events.neuron.astype(np.int64), start=events.start.astype(np.int32))
    checked = check_events(loose, 11)
    assert (checked.start.dtype, checked.neuron.dtype) == (np.int64, np.int32)
    np.testing.assert_array_equal(checked.neuron, events.neuron)


def make(start: list[int], neuron: object, n_steps: int = 2) -> Events:
    return Events(np.array(start), np.asarray(neuron), 1, n_steps, 4)


@pytest.mark.parametrize(
    ("events", "n_inputs", "words"),
    [
        (make([0, 1, 2], [0.5, 1.5]), 4, "neuron must be a list of integers"),
        (make([0, 1, 2], [[0, 1]]), 4, "neuron must be a list of integers"),
        (make([0, 2], [0, 1]), 4, r"start has shape \(2,\), need \(1 \* 2 \+ 1,\)"),
        (make([0, 3, 2], [0, 1]), 4, "start must rise from 0 to 2 events"),
        (make([1, 1, 2], [0, 1]), 4, "start must rise from 0"),
        (make([0, 1, 3], [0, 1]), 4, "start must rise from 0 to 2"),
        (make([0, 1, 2], [0, 1]), 5, "made for 4 input lines, the network has 5"),
        (make([0, 1, 2], [0, 4]), 4, r"input line 4 is outside 0\.\.3"),
        (make([0, 1, 2], [-1, 1]), 4, r"is outside 0\.\.3"),
        (make([0, 2, 2], [1, 1]), 4, "must ascend within a step, each at most once"),
        (make([0, 2, 2], [2, 1]), 4, "must ascend within a step"),
    ],
)
def test_check_says_what_is_wrong(events: Events, n_inputs: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_events(events, n_inputs)


def test_lines_may_repeat_in_different_steps() -> None:
    check_events(make([0, 1, 2], [3, 1]), 4)
    check_events(make([0, 1, 2], [1, 1]), 4)
