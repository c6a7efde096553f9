"""Changed copies of pictures: the kernel equals its twin, and the limits mean what they say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.data.augment import Warp, warped
from neurosim.reference.warp import warp as twin


def pictures(shape: tuple[int, int, int], seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize(
    "limits",
    [Warp(), Warp(shift=700), Warp(turn=60), Warp(zoom=60), Warp(shear=60), Warp(bend=900), Warp(384, 52, 38, 38, 512)],
)
@pytest.mark.parametrize("shape", [(3, 28, 28), (2, 7, 12), (2, 1, 1), (0, 5, 5)])
def test_kernel_equals_twin(shape: tuple[int, int, int], limits: Warp) -> None:
    images = pictures(shape)
    for key in (0, 12345, (1 << 64) - 1):
        expected = twin(images, key, 5, np.array(limits, np.int64))
        np.testing.assert_array_equal(warped(images, limits, key, first=5), expected)


def test_no_limits_leave_a_picture_as_it_is() -> None:
    images = pictures((4, 9, 11))
    np.testing.assert_array_equal(warped(images, Warp(), key=3), images)


def test_an_image_is_changed_in_the_same_way_in_any_block() -> None:
    images, limits = pictures((6, 10, 10)), Warp(300, 40, 30, 30, 200)
    whole = warped(images, limits, key=9)
    np.testing.assert_array_equal(warped(images[4:], limits, key=9, first=4), whole[4:])
    assert (warped(images, limits, key=10) != whole).any(axis=(1, 2)).all()
    assert (warped(images[:1].repeat(6, axis=0), limits, key=9)[1:] != whole[0]).any(axis=(1, 2)).all()


def test_shifts_fill_their_range_evenly() -> None:
    spot = np.zeros((2000, 9, 9), np.uint8)
    spot[:, 4, 4] = 255
    moved = warped(spot, Warp(shift=512), key=1).astype(np.float64)
    weight = moved.sum(axis=(1, 2))
    for axis in (1, 2):
        places = (moved.sum(axis=3 - axis) * np.arange(9)).sum(axis=1) / weight - 4
        assert np.abs(places).max() <= 2.05  # rounding of the two pixels
        # uniform in -2..2: standard deviation 2 / sqrt(3), mean within four standard errors of 0
        assert places.std() == pytest.approx(2 / np.sqrt(3), rel=0.05)
        assert abs(places.mean()) < 4 * 2 / np.sqrt(3 * 2000)


def test_a_turn_keeps_the_middle_and_moves_the_rim() -> None:
    lines = np.zeros((200, 21, 21), np.uint8)
    lines[:, :, 10] = 255
    moved = warped(lines, Warp(turn=64), key=4).astype(np.int64)
    assert (moved[:, 10, 10] == 255).all()
    top, bottom = ((row * np.arange(21)).sum(axis=1) / row.sum(axis=1) - 10 for row in (moved[:, 1], moved[:, 19]))
    np.testing.assert_allclose(top, -bottom, atol=0.05)  # a straight line through the middle
    assert 2.0 < np.abs(top).max() <= 9 * 64 / 256 + 0.05
