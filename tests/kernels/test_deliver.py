"""Sums of weights of the sources that fired, against plain matrix products."""

import numpy as np
import pytest

from neurosim.fixedpoint import wrap_int32
from neurosim.kernels.deliver import CHUNK, SMALL, UNROLL, add_scaled, sum_csr, sum_dense8, sum_dense16
from neurosim.network import Dense
from neurosim.reference.deliver import connection_matrices, deliver

N_PRE = 520


def extreme_rows(n_post: int, low: int, high: int) -> np.ndarray:
    """Return rows (N_PRE, n_post): one column all low, one all high, the others random."""
    rng = np.random.default_rng(n_post)
    rows = rng.integers(low, high + 1, (N_PRE, n_post))
    rows[:, 0] = low
    rows[:, -1] = high
    return rows


def some_sources(n: int) -> np.ndarray:
    return np.sort(np.random.default_rng(n).permutation(N_PRE)[:n]).astype(np.int32)


def padded_sources(n: int) -> np.ndarray:
    """Return a spike list as the scratch holds it: longer than its n entries, stale numbers behind."""
    lane = np.full(N_PRE, N_PRE - 1, np.int32)
    lane[:n] = some_sources(n)
    return lane


def test_chunks_fit_16_bits() -> None:
    assert CHUNK * 128 < 2**15
    assert CHUNK % UNROLL == 0


@pytest.mark.parametrize("n_post", [1, 7, SMALL - 1, SMALL, SMALL + 1, 70])
def test_dense8_is_the_matrix_product(n_post: int) -> None:
    rows, offset = extreme_rows(n_post, -128, 127), 13
    flat = np.concatenate([np.full(offset, 99), rows.ravel()]).astype(np.int8)
    for n_spikes in (0, 1, 7, 8, 9, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 9, 2 * CHUNK + 3):
        total, sum16 = np.full(n_post + 3, 5, np.int32), np.full(n_post + 3, 6, np.int16)
        sum_dense8(flat, offset, n_post, padded_sources(n_spikes), n_spikes, total, sum16)
        np.testing.assert_array_equal(total[:n_post], rows[some_sources(n_spikes)].sum(axis=0))
        assert total[n_post:].tolist() == [5, 5, 5]


@pytest.mark.parametrize("n_post", [1, 33])
def test_dense16_is_the_matrix_product(n_post: int) -> None:
    rows, offset = extreme_rows(n_post, -(2**15), 2**15 - 1), 7
    flat = np.concatenate([np.full(offset, 99), rows.ravel()]).astype(np.int16)
    for n_spikes in (0, 1, 8, 500):
        total = np.full(n_post + 2, 5, np.int32)
        sum_dense16(flat, offset, n_post, padded_sources(n_spikes), n_spikes, total)
        np.testing.assert_array_equal(total[:n_post], rows[some_sources(n_spikes)].sum(axis=0))
        assert total[n_post:].tolist() == [5, 5]


def test_csr_is_the_matrix_product_and_counts_synapses() -> None:
    rng = np.random.default_rng(3)
    n_post, first_row = 20, 4
    stored = rng.random((N_PRE, n_post)) < 0.2
    stored[::5] = False  # sources without synapses
    rows = np.where(stored, rng.integers(-256, 256, stored.shape), 0)
    start = np.concatenate([np.zeros(first_row + 1), np.cumsum(stored.sum(axis=1))]).astype(np.int64)
    target = np.nonzero(stored)[1].astype(np.int32)
    weight = rows[stored].astype(np.int16)
    for n_spikes in (0, 1, 30, 500):
        total = np.full(n_post + 1, 5, np.int32)
        sources = some_sources(n_spikes)
        n = sum_csr(start, target, weight, first_row, n_post, padded_sources(n_spikes), n_spikes, total)
        np.testing.assert_array_equal(total[:n_post], rows[sources].sum(axis=0))
        assert total[n_post] == 5
        assert n == stored[sources].sum()


TOTALS = np.array([0, 1, -1, 2, -2, 3, -3, 255, -255, 256, -257, 2**30, -(2**30), 2**30 + 1, -(2**30) - 1])


@pytest.mark.parametrize("scale", range(-9, 9))
def test_scaling_a_sum_rounds_down_and_wraps(scale: int) -> None:
    for before in (0, 1, -1, 2**31 - 1, -(2**31)):
        acc = np.full(len(TOTALS), before, np.int32)
        add_scaled(TOTALS.astype(np.int32), scale, acc)
        expected = [before + (t << scale if scale >= 0 else t >> -scale) for t in TOTALS.tolist()]
        np.testing.assert_array_equal(acc, wrap_int32(expected))


def test_negative_exponent_rounds_the_sum_and_not_each_weight() -> None:
    weights, fired = np.array([[-2, -2, 4], [2, 2, 2]]), np.array([1, 1, 0])

    def sums(weights: np.ndarray, fired: np.ndarray, exponent: int) -> np.ndarray:
        connection = Dense("a", "b", weights, exponent, sign_mode="mixed")
        return deliver(connection, connection_matrices(connection), fired)[0]

    np.testing.assert_array_equal(sums(weights, fired, -2), [-1, 1])
    np.testing.assert_array_equal(sums(weights, 1 - fired, -3), [0, 0])
    np.testing.assert_array_equal(sums(-weights, 1 - fired, -3), [-1, -1])
