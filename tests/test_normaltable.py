"""The table behind numbers of normal shape."""

import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np

from neurosim.normaltable import COINS, N_ENTRIES, SIGMA_BITS, normal_table


def test_the_table_is_antisymmetric_and_ascends() -> None:
    table = normal_table()
    assert table.shape == (N_ENTRIES,) and table.dtype == np.int8
    np.testing.assert_array_equal(table, -table[::-1])
    assert (np.diff(table.astype(np.int64)) >= 0).all()
    assert int(table.astype(np.int64).sum()) == 0


def test_its_standard_deviation_is_near_sixteen() -> None:
    table = normal_table().astype(np.int64)
    assert COINS == 4 * (1 << SIGMA_BITS) ** 2  # n tosses have a variance of n / 4
    variance = Fraction(int((table**2).sum()), N_ENTRIES)
    assert abs(variance - 256) < 8, "within 3 %: what lies beyond the outermost quantiles is missing"
    assert int(table[-1]) == 46


def test_entries_are_the_quantiles_of_heads_in_whole_numbers() -> None:
    """Entry i is the smallest h with ``P(heads - 512 <= h) >= (i + 1/2) / 256``, checked from the top down."""
    total, below, quantile = 1 << COINS, [], Fraction(0)
    for heads in range(COINS + 1):
        quantile += math.comb(COINS, heads)
        below.append(quantile)
    for i, entry in enumerate(normal_table().tolist()):
        if i >= N_ENTRIES // 2:  # the lower half is its mirror image
            heads = entry + COINS // 2
            wanted = Fraction(2 * i + 1, 2 * N_ENTRIES) * total
            assert below[heads] >= wanted > below[heads - 1] or (entry == 0 and below[heads] >= wanted)


def test_entries_are_near_those_of_the_normal_law() -> None:
    law = NormalDist(0, 1 << SIGMA_BITS)
    expected = [law.inv_cdf((i + 0.5) / N_ENTRIES) for i in range(N_ENTRIES)]
    assert np.abs(normal_table() - np.array(expected)).max() < 1


def test_the_table_is_made_once() -> None:
    assert normal_table() is normal_table()
