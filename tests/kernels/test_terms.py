"""Sums of the terms of votes: written in vectors, equal to their plain forms and to matrix products."""

import numpy as np
import pytest

from neurosim.kernels import terms
from neurosim.kernels.jit import jit
from neurosim.kernels.terms import nonzero_mask, sum_terms, trailing_zeros


@jit
def mask_of(values, first):
    """Call what is an instruction to the compiler."""
    return nonzero_mask(values, first)


@jit
def zeros_of(word):
    """Call what is an instruction to the compiler."""
    return trailing_zeros(word)


@jit
def sum_all(post, n_vectors, starts, factors, n_terms, total):
    """Call what is an instruction to the compiler."""
    sum_terms(post, n_vectors, starts, factors, n_terms, total)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
def test_masks_say_which_values_are_not_zero(density: float) -> None:
    rng = np.random.default_rng(1)
    values = (rng.choice([-32768, -1, 1, 256, 32767], 200) * (rng.random(200) < density)).astype(np.int16)
    for first in (0, 1, 63, 64, 100, 136):
        found = int(mask_of(values, first)) % (1 << 64)
        assert found == int(terms._plain_nonzero_mask(values, first)) % (1 << 64)
        assert found == sum(1 << i for i in range(64) if values[first + i] != 0)


def test_the_lowest_bit_is_found() -> None:
    rng = np.random.default_rng(2)
    for bit in range(64):
        for above in (0, int(rng.integers(1 << 62)) << 1):
            word = (1 << bit | above << bit) % (1 << 64)
            assert zeros_of(np.uint64(word)) == terms._plain_trailing_zeros(word) == bit


@pytest.mark.parametrize("n_vectors", [0, 1, 7, 8, 9, 17])
@pytest.mark.parametrize("n_terms", [0, 1, 5, 64])
def test_sums_are_matrix_products(n_vectors: int, n_terms: int) -> None:
    rng = np.random.default_rng(n_vectors + n_terms)
    n = 16 * n_vectors
    for largest in (100, (1 << 31) - 1):  # the second wraps
        post = rng.integers(-largest, largest + 1, 4000).astype(np.int32)
        starts, factors = rng.integers(0, 4000 - n, 64), rng.integers(-300, 301, 64).astype(np.int32)
        before = rng.integers(-largest, largest + 1, n + 1).astype(np.int32)
        found, plain = before.copy(), before.copy()
        sum_all(post, n_vectors, starts, factors, n_terms, found)
        with np.errstate(over="ignore"):
            terms._plain_sum_terms(post, n_vectors, starts, factors, n_terms, plain)
        rows = np.array([post[s : s + n] for s in starts[:n_terms]], np.int64).reshape(n_terms, n)
        exact = before[:n] + factors[:n_terms].astype(np.int64) @ rows
        np.testing.assert_array_equal(found[:n], exact.astype(np.int32))
        np.testing.assert_array_equal(found, plain)
        assert found[n] == before[n]
