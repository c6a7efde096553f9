"""Frames and lists of events equal their twins, and say what the events say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.direct.batches import frames_of, rows_of
from neurosim.events import Events, events_from_dense
from neurosim.reference import frames as twin


def drawn(seed: int, n_samples: int, n_steps: int, n_inputs: int, graded: bool) -> Events:
    """Return random events, a sample and a step without any among them."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(-3, 4, (n_samples, n_steps, n_inputs)) * (rng.random((n_samples, n_steps, n_inputs)) < 0.5)
    if graded:
        dense[-1, -1, -1] = 1 << 24
        dense[0, -1, -1] = -(1 << 24)
    dense[n_samples // 2] = dense[:, n_steps // 2] = 0
    return events_from_dense(dense if graded else dense != 0, graded)


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("n_frames", [1, 4, 5, 9])
@pytest.mark.parametrize("seed", range(4))
def test_kernels_equal_their_twins(seed: int, n_frames: int, graded: bool) -> None:
    n_samples = 6
    events = drawn(seed, n_samples, 5, 7, graded)
    samples = np.random.default_rng(seed).integers(0, n_samples, 2 * n_samples)
    for chosen in (samples, samples[:1], samples[:0], np.arange(n_samples)):
        frames, rows = frames_of(events, chosen, n_frames), rows_of(events, chosen, n_frames).rows
        expected = twin.fill_frames(events, chosen, n_frames)
        assert (frames.dtype, frames.shape) == (np.float32, expected.shape) and frames.flags.c_contiguous
        np.testing.assert_array_equal(frames, expected)
        assert rows.is_valued == graded
        start, neuron, value = twin.gather_events(events, chosen, n_frames)
        for found, wanted in zip(rows[:3], (start, neuron, value if graded else []), strict=True):
            np.testing.assert_array_equal(found, wanted)
        assert [array.dtype for array in rows[:3]] == [np.int64, np.int32, np.float32]


def test_a_frame_holds_what_each_input_sends_in_a_step() -> None:
    events = events_from_dense([[[0, 5, 0], [-2, 0, 0]], [[0, 0, 0], [0, 0, 9]]], graded=True)
    frames = frames_of(events, np.array([1, 0]), 3)
    assert frames.tolist() == [[[0, 0, 0], [0, 5, 0]], [[0, 0, 9], [-2, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    start, neuron, value, is_valued = rows_of(events, np.array([1, 0]), 3).rows
    assert is_valued
    assert (start.tolist(), neuron.tolist(), value.tolist()) == ([0, 0, 1, 2, 3, 3, 3], [1, 2, 0], [5, 9, -2])


def test_events_without_samples_give_frames_without_samples() -> None:
    nothing: npt.NDArray[np.int64] = np.zeros(0, np.int64)
    events = Events(np.zeros(1, np.int64), np.zeros(0, np.int32), 0, 4, 3)
    assert frames_of(events, nothing, 4).shape == (4, 0, 3)
    assert rows_of(events, nothing, 4).rows.start.tolist() == [0]
