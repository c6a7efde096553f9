"""Half-pixel shifts."""

from __future__ import annotations

import numpy as np

from neurosim.data.augment import half_shifts, shift


def test_shift_moves_and_fills_with_zero() -> None:
    image = np.arange(1, 7, dtype=np.uint8).reshape(1, 2, 3)
    assert shift(image, 0, 1).tolist() == [[[0, 1, 2], [0, 4, 5]]]
    assert shift(image, 0, -1).tolist() == [[[2, 3, 0], [5, 6, 0]]]
    assert shift(image, 1, 0).tolist() == [[[0, 0, 0], [1, 2, 3]]]
    assert shift(image, -1, 0).tolist() == [[[4, 5, 6], [0, 0, 0]]]


def test_half_shift_is_the_mean_rounded_up_and_keeps_the_range() -> None:
    image = np.array([[[16, 16], [0, 3]]], np.uint8)
    right, left, down, up = half_shifts(image)
    assert right.tolist() == [[8, 16], [0, 2]]
    assert left.tolist() == [[16, 8], [2, 2]]
    assert down.tolist() == [[8, 8], [8, 10]]
    assert up.tolist() == [[8, 10], [0, 2]]
    assert half_shifts(np.full((2, 8, 8), 255, np.uint8)).max() == 255
