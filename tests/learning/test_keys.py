"""Keys and streams of a training run."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from neurosim.learning import keys
from neurosim.learning.build import WEIGHT_LEVELS
from neurosim.learning.keys import permutation, stream_key, uniform_bits, uniform_integers
from neurosim.reference.noise import GOLDEN, bits

STREAMS = {name: value for name, value in vars(keys).items() if name.startswith("STREAM_")}
KEYS = [0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - GOLDEN, stream_key(7, 2, 3)]


@pytest.mark.parametrize("key", KEYS)
def test_uniform_bits_equal_the_reference_stream(key: int) -> None:
    found = uniform_bits(key, 300)
    assert found.dtype == np.uint64
    assert found.tolist() == [bits(key, i) for i in range(300)]


def test_a_longer_stream_begins_with_the_shorter_one() -> None:
    np.testing.assert_array_equal(uniform_bits(5, 100)[:40], uniform_bits(5, 40))
    assert uniform_bits(5, 0).shape == (0,)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 64, 1437])
def test_permutation_holds_every_number_once(n: int) -> None:
    for key in KEYS:
        order = permutation(key, n)
        assert order.dtype == np.int64
        np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_permutations_differ_by_epoch_and_by_seed() -> None:
    orders = [
        permutation(stream_key(seed, keys.STREAM_ORDER, epoch), 50).tolist()
        for seed in range(20)
        for epoch in range(20)
    ]
    assert len({tuple(order) for order in orders}) == 400


def test_every_order_of_three_is_equally_likely() -> None:
    n = 6000
    found = [tuple(permutation(stream_key(seed, keys.STREAM_ORDER, 0), 3).tolist()) for seed in range(n)]
    for order in itertools.permutations(range(3)):
        # binomial (6000, 1/6): sigma 28.9; five of them are 145
        assert abs(found.count(order) - n // 6) < 145


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 127, 1000, WEIGHT_LEVELS, (1 << 30) - 1])
def test_uniform_integers_follow_their_formula_in_python_integers(limit: int) -> None:
    found = uniform_integers(11, 200, limit)
    assert found.dtype == np.int64
    assert found.tolist() == [((bits(11, i) >> 32) * (2 * limit + 1) >> 32) - limit for i in range(200)]
    assert np.abs(found).max() <= limit


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_uniform_integers_reach_both_ends_equally_often(limit: int) -> None:
    n, values = 50_000, 2 * limit + 1
    found = np.bincount(uniform_integers(3, n, limit) + limit, minlength=values)
    sigma = (n / values * (1 - 1 / values)) ** 0.5
    assert len(found) == values
    assert np.abs(found - n / values).max() < 5 * sigma


@pytest.mark.parametrize("limit", [1, 127, WEIGHT_LEVELS])
def test_uniform_integers_have_a_mean_bias_below_2_to_minus_20(limit: int) -> None:
    values, words = 2 * limit + 1, 1 << 32
    # Value v comes from the upper halves h with v <= h * values / 2**32 < v + 1: exact counts of them.
    first = [-(-v * words // values) for v in range(values + 1)]
    n_words = [b - a for a, b in zip(first, first[1:], strict=False)]
    assert sum(n_words) == words
    mean = sum(n * (v - limit) for v, n in enumerate(n_words))
    assert abs(mean) * (1 << 20) < limit * words
    assert all(abs(n * values - words) < values for n in n_words)  # each probability is exact within 2**-32
    sample = uniform_integers(stream_key(1, 9), 100_000, limit)
    sigma = limit / 3**0.5 if limit > 1 else (2 / 3) ** 0.5
    assert abs(sample.mean()) < 5 * 1.01 * sigma / 100_000**0.5


def test_streams_have_numbers_of_their_own() -> None:
    assert len(set(STREAMS.values())) == len(STREAMS) == 5


def test_neighbouring_streams_share_no_word() -> None:
    seeds, generations = range(4), range(10)
    words = [
        uniform_bits(stream_key(seed, stream, g), 500)
        for seed in seeds
        for stream in STREAMS.values()
        for g in generations
    ]
    # 100,000 words of 64 bits: two independent ones agree with a chance of 3e-10 in all
    assert len(np.unique(np.concatenate(words))) == 500 * len(words)


def test_bits_of_neighbouring_streams_are_uncorrelated() -> None:
    n = 256
    rows = np.stack(
        [
            np.unpackbits(uniform_bits(stream_key(seed, stream, g), n).view(np.uint8))
            for seed in range(3)
            for stream in STREAMS.values()
            for g in range(4)
        ]
    )
    signs = 1.0 - 2.0 * rows.astype(np.float64)
    shifted = np.roll(signs, 64, axis=1)  # a stream must not be its neighbour one word later
    sigma = (n * 64) ** 0.5
    for other in (signs, shifted):
        products = signs @ other.T
        if other is signs:
            np.fill_diagonal(products, 0)
        # 3,600 products of 16,384 signs: five and a half sigma is met by chance once in 7,000 runs, and it is seeded
        assert np.abs(products).max() < 5.5 * sigma
    assert np.abs(signs.sum(axis=1)).max() < 5.5 * sigma


def test_keys_depend_on_every_word_and_on_their_order() -> None:
    assert stream_key(1, 2, 3) == stream_key(1, 2, 3)
    named = [stream_key(*words) for words in itertools.product(range(8), repeat=3)]
    named += [stream_key(*words) for words in itertools.product(range(8), repeat=2)] + [stream_key(s) for s in range(8)]
    assert len(set(named)) == len(named)
    assert all(0 <= key < 1 << 64 for key in named)


def test_the_largest_seed_has_a_key() -> None:
    assert 0 <= stream_key((1 << 63) - 1, keys.STREAM_ORDER) < 1 << 64
