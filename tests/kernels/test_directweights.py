"""Weights rounded in one pass, against the numpy form that `neurosim.quantize` is tested with."""

import numpy as np
import pytest

from neurosim.direct.quant import chip_weights, largest_size
from neurosim.fixedpoint import lost_weight_bits, weight_range
from neurosim.kernels.directweights import hold_bytes, hold_weights
from neurosim.network import Connection
from neurosim.scale import largest_weight


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("factor", [300.0, 37.123, 1e-3])
def test_weights_are_rounded_as_in_numpy(bits: int, factor: float) -> None:
    rng, peak = (
        np.random.default_rng(bits),
        np.float32(largest_weight(Connection("a", "b", [[0.0]], bits, True)) / factor),
    )
    ties = np.arange(-200, 201, dtype=np.float32) / np.float32(factor)  # halves go to even multiples of the unit
    drawn = rng.uniform(-peak, peak, 4000).astype(np.float32)
    weights = np.concatenate([drawn, ties[np.abs(ties) <= peak], np.float32([0, -0.0, peak, -peak])])
    connection = Connection("a", "b", weights[None].astype(np.float64), bits, True)
    expected, exponent = chip_weights(connection, weights.astype(np.float64), factor)
    out = np.empty_like(weights)
    low, high = weight_range(bits, "mixed")
    unit = float(1 << lost_weight_bits(bits, "mixed"))
    hold_weights(weights, factor, unit, float(low), float(high), out)
    assert exponent == 0
    np.testing.assert_array_equal(out, expected)
    short = np.empty(len(weights), np.int8)
    hold_bytes(weights, factor / unit, int(low // unit), int(high // unit), short)
    np.testing.assert_array_equal(short * unit, out)


def test_weights_beyond_the_range_are_clipped() -> None:
    out = np.empty(3, np.float32)
    hold_weights(np.float32([300, -300, 3]), 1.0, 2.0, -256.0, 254.0, out)
    np.testing.assert_array_equal(out, [254, -256, 4])


def test_bytes_beyond_the_range_are_clipped() -> None:
    out = np.empty(6, np.int8)
    hold_bytes(np.float32([3e9, -3e9, 1.5, 2.5, -0.5, 127.4]), 1.0, -128, 127, out)
    np.testing.assert_array_equal(out, [127, -128, 2, 2, 0, 127])


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("weights", [[], [0.0, -0.0], [1.5, -2.5, 0.25], [-1e-40, 1e-42], [3e38, -1.0]])
def test_largest_size_is_that_of_either_sign(weights: list[float], kind: type) -> None:
    array = np.array(weights, kind)
    assert largest_size(array) == np.abs(array).max(initial=0.0)
    assert largest_size(np.asfortranarray(np.stack([array, array]))) == largest_size(array)
