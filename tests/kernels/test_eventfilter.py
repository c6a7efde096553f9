"""The filters of sensor events equal their twins."""

from __future__ import annotations

import numpy as np
import pytest

from neurosim.kernels import eventfilter as kernel
from neurosim.reference import eventfilter as twin


@pytest.mark.parametrize("span", [0, 1, 7, 60, 1 << 62])
@pytest.mark.parametrize("seed", range(4))
def test_kernels_equal_twins(seed: int, span: int) -> None:
    rng = np.random.default_rng(seed)
    n, width, height = 300, 9, 7
    t = np.cumsum(rng.integers(0, 4, n))  # several at one time among them
    x, y = rng.integers(0, width, n), rng.integers(0, height, n)
    keep = np.zeros(n, np.bool_)
    kernel.supported(t, x, y, span, np.full((height + 2, width + 2), kernel.NEVER, np.int64), keep)
    expected = twin.supported(t, x, y, span)
    np.testing.assert_array_equal(keep, expected)
    assert not expected[0] and expected.any()
    kernel.rested(t, x, y, span, np.full((height, width), kernel.NEVER, np.int64), keep)
    expected = twin.rested(t, x, y, span)
    np.testing.assert_array_equal(keep, expected)
    assert expected[0] and (span < 2 or not expected.all())


def test_the_largest_times_do_not_wrap() -> None:
    t = np.array([0, (1 << 62) - 1, 1 << 62], np.int64)
    x, y = np.array([0, 1, 0]), np.array([0, 0, 0])
    for span, expected in ((1, [False, False, True]), (1 << 62, [False, True, True])):
        keep = np.zeros(3, np.bool_)
        kernel.supported(t, x, y, span, np.full((3, 4), kernel.NEVER, np.int64), keep)
        assert keep.tolist() == expected == twin.supported(t, x, y, span).tolist()
    keep = np.zeros(3, np.bool_)
    kernel.rested(t, x, y, 1 << 62, np.full((1, 2), kernel.NEVER, np.int64), keep)
    assert keep.tolist() == [True, True, True] == twin.rested(t, x, y, 1 << 62).tolist()


def test_the_corners_of_a_sensor_have_no_company_beyond_it() -> None:
    t, x, y = np.arange(2), np.array([0, 1]), np.array([0, 2])
    keep = np.ones(2, np.bool_)
    kernel.supported(t, x, y, 1 << 62, np.full((5, 4), kernel.NEVER, np.int64), keep)
    assert not keep.any()
