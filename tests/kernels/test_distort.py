"""Changed copies of sounds: the kernel equals its twin, and the limits mean what they say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.data.augment_sounds import Distortion, distorted
from neurosim.reference.distort import distort as twin


def sounds(shape: tuple[int, int, int], seed: int = 0) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, 2000, shape)


LIMITS = [
    Distortion(),
    Distortion(early=300, late=900),
    Distortion(fast=64),
    Distortion(high=700),
    Distortion(wide=64),
    Distortion(n_pauses=2, longest=5),
    Distortion(n_bands=3, broadest=4),
    Distortion(512, 1536, 38, 384, 13, 1, 8, 2, 6),
]


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("shape", [(3, 16, 10), (2, 3, 30), (2, 1, 1), (0, 5, 5)])
def test_kernel_equals_twin(shape: tuple[int, int, int], limits: Distortion) -> None:
    loud = sounds(shape)
    for key in (0, 12345, (1 << 64) - 1):
        expected = twin(loud, key, 5, np.array(limits, np.int64))
        np.testing.assert_array_equal(distorted(loud, limits, key, first=5), expected)


def test_the_loudest_sounds_do_not_wrap() -> None:
    loud = np.full((2, 6, 6), (1 << 31) - 1)
    copies = distorted(loud, Distortion(0, 200, 10, 300, 20), key=1)
    np.testing.assert_array_equal(copies, twin(loud, 1, 0, np.array(Distortion(0, 200, 10, 300, 20), np.int64)))
    assert copies.min() >= 0 and copies.max() == (1 << 31) - 1


def test_no_limits_leave_a_sound_as_it_is() -> None:
    loud = sounds((4, 9, 11))
    np.testing.assert_array_equal(distorted(loud, Distortion(), key=3), loud)


def test_a_sound_is_changed_in_the_same_way_in_any_block() -> None:
    loud, limits = sounds((6, 10, 10)), LIMITS[-1]
    whole = distorted(loud, limits, key=9)
    np.testing.assert_array_equal(distorted(loud[4:], limits, key=9, first=4), whole[4:])
    assert (distorted(loud, limits, key=10) != whole).any(axis=(1, 2)).all()
    assert (distorted(loud[:1].repeat(6, axis=0), limits, key=9)[1:] != whole[0]).any(axis=(1, 2)).all()


def middles(copies: npt.NDArray[np.int64], axis: int) -> npt.NDArray[np.float64]:
    """Return the middle of what is heard along steps (1) or channels (2)."""
    heard = copies.sum(axis=3 - axis).astype(np.float64)
    return np.asarray((heard * np.arange(heard.shape[1])).sum(axis=1) / heard.sum(axis=1), np.float64)


@pytest.mark.parametrize(
    ("limits", "axis", "low", "high"),
    [(Distortion(early=512, late=1024), 1, -2, 4), (Distortion(high=768), 2, -3, 3)],
)
def test_moves_fill_their_range_evenly(limits: Distortion, axis: int, low: int, high: int) -> None:
    click = np.zeros((2000, 17, 17), np.int64)
    click[:, 8, 8] = 1 << 16
    places = middles(distorted(click, limits, key=1), axis) - 8
    assert low - 0.01 <= places.min() and places.max() <= high + 0.01
    spread = (high - low) / np.sqrt(12)  # of a uniform number; its mean is within four standard errors
    assert places.std() == pytest.approx(spread, rel=0.05)
    assert abs(places.mean() - (low + high) / 2) < 4 * spread / np.sqrt(2000)


def test_speed_moves_what_is_late_and_width_what_is_at_the_rim() -> None:
    early, late = np.zeros((2, 300, 40, 21), np.int64)
    early[:, 2], late[:, 30] = 1 << 16, 1 << 16
    limits = Distortion(fast=51)
    assert np.ptp(middles(distorted(late, limits, 4), 1)) > 10 * np.ptp(middles(distorted(early, limits, 4), 1)) > 0
    rim, middle = np.zeros((2, 300, 3, 21), np.int64)
    rim[:, :, 18], middle[:, :, 10] = 1 << 16, 1 << 16
    limits = Distortion(wide=51)
    assert np.ptp(middles(distorted(rim, limits, 4), 2)) > 2.5
    np.testing.assert_array_equal(distorted(middle, limits, 4)[:, :, 10], middle[:, :, 10])


def test_gaps_are_cut_from_all_channels_or_from_all_steps() -> None:
    loud = np.ones((2000, 20, 10), np.int64)
    pauses = distorted(loud, Distortion(n_pauses=1, longest=6), key=2)
    assert (pauses == pauses[:, :, :1]).all()
    assert np.unique(20 - pauses[:, :, 0].sum(axis=1)).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert (pauses[:, :, 0].sum(axis=0) < 2000).all()  # anywhere
    bands = distorted(loud, Distortion(n_bands=2, broadest=3), key=2)
    assert (bands == bands[:, :1]).all()
    assert np.unique(10 - bands[:, 0].sum(axis=1)).tolist() == [0, 1, 2, 3, 4, 5, 6]
    whole = distorted(
        loud[:200], Distortion(n_bands=1, broadest=99), key=2
    )  # broader than all channels: all of them at most
    assert whole[:, 0].sum(axis=1).min() == 0
