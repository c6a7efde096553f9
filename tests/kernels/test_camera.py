"""The event camera equals its twin, and sees what it should."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.kernels import camera as kernel
from neurosim.reference import camera as twin


def both(scenes, columns, rows, levels, thresholds, lag, step_of_frame, n_steps):  # type: ignore[no-untyped-def]
    """Return the twin's events after comparing the kernel's."""
    expected = twin.see(scenes, columns, rows, levels, thresholds, lag, step_of_frame, n_steps)
    n_pixels = thresholds.shape[1]
    counts = np.zeros((len(scenes), n_steps, 2, n_pixels), np.uint8)
    scratch = np.full(n_pixels, 77, np.int32), np.full(n_pixels, -9, np.int32)  # whatever was left there
    kernel.see(scenes, columns, rows, levels, thresholds, lag, step_of_frame, *scratch, counts)
    np.testing.assert_array_equal(counts, expected)
    assert (counts.dtype, counts.shape) == (expected.dtype, expected.shape)
    return expected


def lines(offsets: npt.ArrayLike, n: int, n_points: int) -> npt.NDArray[np.int32]:
    """Return the places that n sensor lines see when the scene is moved by each offset."""
    return np.clip(np.arange(n) * 256 - np.asarray(offsets)[:, None], 0, (n_points - 1) * 256 - 1).astype(np.int32)


@pytest.mark.parametrize("lag", [1, 100, 255, 256])
@pytest.mark.parametrize("seed", range(4))
def test_kernel_equals_twin(seed: int, lag: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = rng.integers(0, 256, (3, 9, 7)).astype(np.uint8)
    scenes[1] = rng.choice([0, 255], (9, 7))
    columns = lines(np.cumsum(rng.integers(-200, 200, 12)), 5, 7)
    rows = lines(np.cumsum(rng.integers(-200, 200, 12)), 6, 9)
    levels = np.sort(rng.integers(0, 2000, 4081)).astype(np.int32)
    thresholds = rng.integers(1 << 8, 200 << 8, (2, 30)).astype(np.int32)
    assert both(scenes, columns, rows, levels, thresholds, lag, np.arange(12, dtype=np.int32) // 3, 4).any()


def test_more_events_than_a_byte_holds_are_255() -> None:
    scenes = np.zeros((1, 2, 4), np.uint8)
    scenes[0, :, 2:] = 255
    columns = lines([0, -512], 1, 4)
    levels = np.arange(4081, dtype=np.int32)
    thresholds = np.full((2, 1), 1 << 8, np.int32)
    events = both(scenes, columns, lines([0, 0], 1, 2), levels, thresholds, 256, np.zeros(2, np.int32), 1)
    assert events.tolist() == [[[[255], [0]]]]


def test_a_bright_edge_that_comes_and_goes_makes_equal_rising_and_falling_events() -> None:
    scenes = np.zeros((1, 3, 12), np.uint8)
    scenes[0, :, 4:6] = 200
    offsets = [64 * k for k in range(9)] + [64 * k for k in range(8, -1, -1)]
    levels = (np.arange(4081) // 4).astype(np.int32)
    thresholds = np.full((2, 2 * 11), 50 << 8, np.int32)
    events = both(
        scenes, lines(offsets, 11, 12), lines([0] * 18, 2, 3), levels, thresholds, 256, np.zeros(18, np.int32), 1
    )[0, 0]
    np.testing.assert_array_equal(events[0].reshape(2, 11)[0], events[0].reshape(2, 11)[1])
    # levels reach 200 * 16 / 4 = 800, 16 thresholds; columns 6 and 7 rise and fall that far, 4 and 5 the other way round
    assert events[0, :11].tolist() == events[1, :11].tolist() == [0, 0, 0, 0, 16, 16, 16, 16, 0, 0, 0]


def test_a_still_picture_makes_no_events() -> None:
    scenes = np.random.default_rng(0).integers(0, 256, (2, 5, 5)).astype(np.uint8)
    still = lines([100] * 6, 4, 5)
    thresholds = np.full((2, 16), 1 << 8, np.int32)
    assert not both(
        scenes, still, still, np.arange(4081, dtype=np.int32), thresholds, 9, np.zeros(6, np.int32), 1
    ).any()
