"""Number formats: against slow versions written from the facts, one number at a time."""

from __future__ import annotations

import numpy as np
import pytest

from neurosim import fixedpoint as fp

M = 1 << 23
POWERS = [1 << k for k in range(40)]
SIZES = {0, *POWERS, *(p - 1 for p in POWERS), M + 1, 3 * M, 3 * M + 1}
EXTREMES = sorted(SIZES | {-x for x in SIZES})


def slow_weight(w: int, bits: int, mode: str) -> int:
    """Weight pipeline by division, remainder and comparison only."""
    negate = mode == "inhibitory"
    w = -w if negate else w
    low = -256 if mode == "mixed" else 0
    w = low if w < low else 255 if w > 255 else w
    step = 2 ** (8 - bits)
    if mode == "mixed":
        step *= 2
    w -= w % step  # Python's remainder is never negative: rounds down
    return -w if negate else w


@pytest.mark.parametrize("mode", ["mixed", "excitatory", "inhibitory"])
@pytest.mark.parametrize("bits", range(1, 9))
def test_weight_pipeline_exhaustively(bits: int, mode: str) -> None:
    values = range(-300, 301)
    expected = [slow_weight(w, bits, mode) for w in values]
    result = fp.truncate_weights(list(values), bits, mode)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(fp.truncate_weights(result, bits, mode), result)  # nothing more to lose
    assert fp.weight_range(bits, mode) == (min(expected), max(expected))


def test_eight_bit_mixed_weights_are_the_even_numbers() -> None:
    held = np.unique(fp.truncate_weights(np.arange(-300, 301), 8, "mixed"))
    np.testing.assert_array_equal(held, np.arange(-256, 255, 2))


@pytest.mark.parametrize(
    ("weights", "mode", "resolved"),
    [
        ([0, 3], None, "excitatory"),
        ([0, -3], None, "inhibitory"),
        ([-1, 1], None, "mixed"),
        ([0, 0], None, "excitatory"),
        ([], None, "excitatory"),
        ([-1], "null", "excitatory"),
        ([5], "mixed", "mixed"),
        ([5], "inhibitory", "inhibitory"),
    ],
)
def test_sign_mode_is_inferred_as_lava_does(weights: list[int], mode: str | None, resolved: str) -> None:
    assert fp.resolve_sign_mode(weights, mode) == resolved


@pytest.mark.parametrize("bits", [0, 1, 6, 12, 30])
def test_shift_rounds_toward_zero(bits: int) -> None:
    expected = [abs(x) // 2**bits * (1 if x > 0 else -1) for x in EXTREMES]
    np.testing.assert_array_equal(fp.shift_toward_zero(EXTREMES, bits), expected)


def test_shift_toward_zero_differs_from_a_plain_shift_below_zero() -> None:
    assert int(fp.shift_toward_zero(-1, 12)) == 0
    assert -1 >> 12 == -1


@pytest.mark.parametrize("exponent", [-8, -1, 0, 1, 7])
def test_exponent_rounds_down(exponent: int) -> None:
    expected = [x * 2**exponent if exponent >= 0 else x // 2**-exponent for x in EXTREMES]
    np.testing.assert_array_equal(fp.shift_exponent(EXTREMES, exponent), expected)


def test_channel_wraps_at_32_bits() -> None:
    def slow(x: int) -> int:
        return int.from_bytes((x % 2**32).to_bytes(4, "little"), "little", signed=True)

    np.testing.assert_array_equal(fp.wrap_int32(EXTREMES), [slow(x) for x in EXTREMES])
    assert int(fp.wrap_int32(2**31)) == -(2**31)


def test_current_is_corrected_once() -> None:
    cases = {
        M: M,
        M + 1: M + 1 - 2 * M,
        -M: M,
        -M + 1: -M + 1,
        3 * M + 1: M + 1,
        3 * M: M,
        -3 * M: -M,
        -3 * M - 1: -M - 1,
        0: 0,
    }
    np.testing.assert_array_equal(fp.correct_current(list(cases)), list(cases.values()))


def test_voltage_saturates_on_both_sides() -> None:
    expected = [max(-(M - 1), min(M - 1, x)) for x in EXTREMES]
    np.testing.assert_array_equal(fp.saturate_voltage(EXTREMES), expected)


def test_results_are_int64_for_any_input_dtype() -> None:
    for dtype in (np.int8, np.int32, np.int64, np.uint8):
        small = np.array([1, 2], dtype=dtype)
        results = [
            fp.shift_toward_zero(small, 1), fp.wrap_int32(small), fp.correct_current(small), fp.saturate_voltage(small),
            fp.shift_exponent(small, 3), fp.truncate_weights(small, 8, "mixed"),
        ]  # fmt: skip
        assert {r.dtype for r in results} == {np.dtype(np.int64)}


def test_ranges_are_the_documented_registers() -> None:
    registers = ("du", "dv", "vth", "bias_mant", "bias_exp", "weight_exp", "num_weight_bits")
    assert {name: tuple(fp.RANGES[name]) for name in registers} == {
        "du": (0, 4095), "dv": (0, 4095), "vth": (0, 2**17 - 1), "bias_mant": (-4096, 4095), "bias_exp": (0, 7),
        "weight_exp": (-8, 7), "num_weight_bits": (1, 8),
    }  # fmt: skip
