"""Shared scalar integer functions, against Python's unbounded integers."""

import numpy as np
import pytest

from neurosim.kernels.arith import copy_into, scale_toward_zero, shift_signed

KEEPS = (0, 1, 2, 1023, 2047, 2048, 2049, 4094, 4095, 4096)
POWERS = [1 << k for k in range(31)]
MAGNITUDES = sorted({0, 4095, 4096, 4097, (1 << 31) - 1} | {p + d for p in POWERS for d in (-1, 0, 1)})
EXTREMES = sorted({sign * m for m in MAGNITUDES for sign in (1, -1)})


def exact_scale(x: int, keep: int) -> int:
    """Return sign(x) * (abs(x) * keep >> 12)."""
    return (1 if x >= 0 else -1) * (abs(x) * keep >> 12)


@pytest.mark.parametrize("keep", KEEPS)
def test_scale_is_exact_on_extremes(keep: int) -> None:
    found = [int(scale_toward_zero(np.int32(x), np.int32(keep))) for x in EXTREMES]
    assert found == [exact_scale(x, keep) for x in EXTREMES]


def test_scale_is_exact_on_random_values() -> None:
    rng = np.random.default_rng(1)
    values, keeps = rng.integers(-(2**31) + 1, 2**31, 20_000), rng.integers(0, 4097, 20_000)
    found = [
        int(scale_toward_zero(np.int32(x), np.int32(k))) for x, k in zip(values.tolist(), keeps.tolist(), strict=True)
    ]
    assert found == [exact_scale(x, k) for x, k in zip(values.tolist(), keeps.tolist(), strict=True)]


def test_scale_rounds_toward_zero() -> None:
    assert int(scale_toward_zero(np.int32(-1), np.int32(4095))) == 0
    assert int(scale_toward_zero(np.int32(-3), np.int32(2048))) == -1
    assert int(scale_toward_zero(np.int32(3), np.int32(2048))) == 1


def test_scale_by_one_changes_nothing() -> None:
    assert [int(scale_toward_zero(np.int32(x), np.int32(4096))) for x in EXTREMES] == EXTREMES


@pytest.mark.parametrize("exponent", [-40, -32, -31, -12, -1, 0, 1, 5, 12, 30])
def test_shift_keeps_opposites_opposite(exponent: int) -> None:
    for x in EXTREMES:
        magnitude = abs(x) << exponent if exponent >= 0 else abs(x) >> -exponent
        assert int(shift_signed(np.int64(x), exponent)) == (magnitude if x >= 0 else -magnitude)


def test_copy_fills_the_length_of_the_source() -> None:
    target = np.full(5, 9, np.int32)
    copy_into(target, np.arange(3, dtype=np.int32))
    assert target.tolist() == [0, 1, 2, 9, 9]
