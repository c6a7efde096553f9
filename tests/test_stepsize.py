"""Schedules of the step and of the share that moves by chance: exact integers, against formulas in floats."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from neurosim.stepsize import (
    FULL_STEP,
    SCHEDULES,
    SHARE_BITS,
    Z_ONE,
    cosine_table,
    moving_share,
    significance,
    step_size,
)

ONE = 1 << SHARE_BITS


def test_linear_is_what_it_was() -> None:
    for n in (1, 3, 100, 7185):
        for g in {0, n // 3, n // 2, n - 1}:
            assert step_size("linear", g, n) == max(1, (n - g) * 256 // n)


def test_exact_values_of_every_schedule() -> None:
    expected = {
        "linear": [256, 192, 128, 64],
        "constant": [256, 256, 256, 256],
        "cosine": [256, 219, 128, 37],
        "halving": [256, 128, 64, 32],
    }
    assert {s: [step_size(s, g, 4, 3) for g in range(4)] for s in SCHEDULES} == expected


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_never_rise_and_never_reach_zero(schedule: str) -> None:
    sizes = [step_size(schedule, g, 1000, 8) for g in range(1000)]
    assert sizes[0] == FULL_STEP and min(sizes) >= 1
    assert all(a >= b for a, b in zip(sizes, sizes[1:], strict=False))


def test_halving_takes_equal_parts() -> None:
    sizes = [step_size("halving", g, 90, 8) for g in range(90)]
    assert [sizes.count(256 >> i) for i in range(9)] == 9 * [10]
    assert {step_size("halving", g, 90, 0) for g in range(90)} == {256}


def test_cosine_table_is_the_cosine_to_the_last_digit() -> None:
    exact = 128 * (1 + np.cos(np.pi * np.arange(257) / 256))
    np.testing.assert_array_equal(cosine_table(), np.rint(exact))


@pytest.mark.parametrize("share", [0.999, 0.5, 0.25, 0.1, 0.01, 1e-4, 1e-6])
def test_significance_is_the_quantile_of_a_normal_law(share: float) -> None:
    assert abs(significance(int(share * ONE)) / Z_ONE - NormalDist().inv_cdf(1 - share / 2)) <= 1 / Z_ONE


def test_significance_at_its_ends() -> None:
    assert significance(ONE) == significance(5 * ONE) == 0
    assert significance(1) / Z_ONE == pytest.approx(NormalDist().inv_cdf(1 - 2.0**-33), abs=1 / Z_ONE)
    assert 12 < significance(0) / Z_ONE < 14  # beyond what the table's weights of 128 bits can tell from nothing


def test_moving_share_decays_as_in_egg() -> None:
    for g in (0, 1, 10, 1000, 10**6):
        assert moving_share(ONE, g) == math.floor(ONE * 200 / (3 * g + 200))
