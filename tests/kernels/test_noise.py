"""Hashed noise: published values, its twin, balance, and streams that share nothing."""

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.kernels.factors import draw_normal
from neurosim.kernels.noise import bits, bits32, fill_signs, fold, mix
from neurosim.normaltable import SIGMA_BITS, normal_table
from neurosim.reference import noise as twin

WORDS = [0, 1, 2, 63, 64, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1, 0x9E3779B97F4A7C15]
#: First outputs of Vigna's public-domain splitmix64.c for two seeds.
PUBLISHED = {
    1234567: [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ],
    0: [16294208416658607535, 7960286522194355700, 487617019471545679],
}
N_SIGNS = 512
BOUND = 7 / N_SIGNS**0.5  # 7 standard deviations: the chance that any of 1e5 pairs exceeds it is below 1e-6


@pytest.fixture(autouse=True)
def quiet_wrap():
    """Unsigned products wrap on purpose; without compilation numpy warns."""
    with np.errstate(over="ignore"):
        yield


@pytest.mark.parametrize("seed", PUBLISHED)
def test_stream_is_splitmix64(seed: int) -> None:
    published = PUBLISHED[seed]
    assert [int(bits(np.uint64(seed), i)) for i in range(len(published))] == published
    assert [twin.bits(seed, i) for i in range(len(published))] == published


def random_words(n: int) -> list[int]:
    return [int(x) for x in np.random.default_rng(2).integers(0, 2**64, n, dtype=np.uint64)]


def test_mix_equals_twin() -> None:
    words = WORDS + random_words(500)
    assert [int(mix(np.uint64(x))) for x in words] == [twin.mix(x) for x in words]


def test_mix_is_bijective() -> None:
    def undo_shift(x: int, shift: int) -> int:
        found = x
        for _ in range(64 // shift + 1):
            found = x ^ (found >> shift)
        return found

    def unmix(x: int) -> int:
        x = undo_shift(x, 31) * pow(0x94D049BB133111EB, -1, 1 << 64) & twin.WORD
        x = undo_shift(x, 27) * pow(0xBF58476D1CE4E5B9, -1, 1 << 64) & twin.WORD
        return undo_shift(x, 30)

    words = WORDS + random_words(500)
    assert [unmix(int(mix(np.uint64(x)))) for x in words] == words


def test_fold_and_bits_equal_twins() -> None:
    for key, word in product(WORDS + random_words(20), [0, 1, 2, 1000, 2**31, 2**40]):
        assert int(fold(np.uint64(key), word)) == twin.fold(key, word)
        assert int(bits(np.uint64(key), word)) == twin.bits(key, word)


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 200])
def test_signs_equal_twin(n: int) -> None:
    signs = np.zeros(n, np.int8)
    fill_signs(np.uint64(77), signs)
    np.testing.assert_array_equal(signs, twin.signs(77, n))
    assert set(signs.tolist()) <= {-1, 1}


def test_longer_draws_begin_like_shorter_ones() -> None:
    short, long = np.zeros(70, np.int8), np.zeros(130, np.int8)
    fill_signs(np.uint64(5), short)
    fill_signs(np.uint64(5), long)
    np.testing.assert_array_equal(long[:70], short)


def words_as_signs(key: int, n: int) -> npt.NDArray[np.int64]:
    """Return n signs of a stream, unpacked outside the kernel."""
    words = np.array([bits(np.uint64(key), i) for i in range(-(-n // 64))], np.uint64)
    unpacked = (words[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    return 1 - 2 * unpacked.ravel()[:n].astype(np.int64)


def test_every_bit_is_balanced() -> None:
    n = 4096
    words = np.array([bits(np.uint64(3), i) for i in range(n)], np.uint64)
    ones = ((words[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)).sum(axis=0).astype(np.int64)
    assert np.abs(2 * ones - n).max() < 5 * n**0.5


def words_as_normals(key: int, n: int) -> npt.NDArray[np.float64]:
    """Return n numbers of normal shape, in units of their standard deviation, unpacked outside the kernel."""
    words = np.array([bits(np.uint64(key), i) for i in range(-(-n // 8))], np.uint64)
    return normal_table()[words.astype("<u8").view(np.uint8)[:n]] / (1 << SIGMA_BITS)


DRAWS = {"signs": words_as_signs, "normals": words_as_normals}


def largest_correlation(streams: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> float:
    """Return the largest correlation of any two streams, also when one is moved by a word or by one number."""
    n_streams, n = streams.shape
    worst = 0.0
    for lag in (0, 1, 8, 64):
        products = streams[:, : n - lag] @ streams[:, lag:].T / (n - lag)
        products[np.arange(n_streams), np.arange(n_streams)] = 0
        worst = max(worst, float(np.abs(products).max()))
    return worst


#: Generation, slot, pair, group or connection, rank (or, in full rank, source).
NAMES = list(product(range(2), range(3), range(3), range(3), range(3)))


@pytest.mark.parametrize("draw", DRAWS)
def test_neighbouring_streams_share_nothing(draw: str) -> None:
    def key(generation: int, *words: int) -> int:
        found = twin.fold(twin.fold(0, 1), generation)
        for word in words:
            found = twin.fold(found, word)
        return found

    keys = [key(*name) for name in NAMES]
    assert len(set(keys)) == len(NAMES)
    assert largest_correlation(np.stack([DRAWS[draw](k, N_SIGNS) for k in keys])) < BOUND


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize(
    "offset",
    [
        lambda g, s, p, group, r: 1 + g + s + p + group + r,
        lambda g, s, p, group, r: 1 + twin.GOLDEN * (g * 1000 + s * 100 + p * 10 + group * 3 + r),
    ],
    ids=["seed plus indices", "seed plus steps of the stream"],
)
def test_the_bound_catches_seeds_that_are_added(offset, draw: str) -> None:
    keys = [offset(*name) & twin.WORD for name in NAMES]
    assert largest_correlation(np.stack([DRAWS[draw](k, N_SIGNS) for k in keys])) > BOUND


@pytest.mark.parametrize("draw", DRAWS)
def test_streams_of_neighbouring_keys_share_nothing(draw: str) -> None:
    streams = np.stack([DRAWS[draw](twin.fold(seed, 0), N_SIGNS) for seed in range(200)])
    assert largest_correlation(streams) < BOUND
    assert abs(float(streams.sum())) < 5 * streams.size**0.5


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 64, 200])
def test_normals_equal_twin(n: int) -> None:
    values = np.full(n + 1, 99, np.int8)
    draw_normal(np.uint64(77), normal_table(), values[:n])
    np.testing.assert_array_equal(values[:n], twin.normals(77, n))
    assert values[n] == 99
    np.testing.assert_array_equal(values[:n] / 16, words_as_normals(77, n))


def test_normals_use_every_entry_of_the_table_equally_often() -> None:
    n = 1 << 16
    values = np.zeros(n, np.int8)
    draw_normal(np.uint64(6), np.arange(-128, 128).astype(np.int8), values)  # the table of the indices themselves
    found = np.bincount(values.astype(np.int64) + 128, minlength=256)
    assert np.abs(found - n / 256).max() < 5 * (n / 256) ** 0.5
    drawn = words_as_normals(6, n)
    assert abs(drawn.mean()) < 5 / n**0.5
    assert abs(drawn.std() - 1) < 0.01


def kernel_bits32(key: int, index: int) -> int:
    return int(bits32(np.uint32(key & twin.WORD_32), np.uint32(key >> 32), index))


def test_bits_of_32_equal_twin() -> None:
    for key, index in product(WORDS + random_words(20), [0, 1, 2, 1000, 2**16, 2**31, 2**32 - 1]):
        assert kernel_bits32(key, index) == twin.bits32(key, index)


def test_every_bit_of_32_is_balanced_and_neighbours_are_independent() -> None:
    """Streams that round: rows are named by neighbouring keys, weights of a row by neighbouring indices."""
    n_rows, n = 60, 1024
    streams = np.array([[twin.bits32(twin.fold(9, row), k) for k in range(n)] for row in range(n_rows)])
    signs = 1 - 2 * ((streams[:, :, None] >> np.arange(32)) & 1)
    assert np.abs(signs.sum(axis=(0, 1))).max() < 5 * (n_rows * n) ** 0.5
    for bit in (0, 1, 15, 16, 31):
        assert largest_correlation(signs[:, :, bit]) < 7 / n**0.5
    for bit, other in ((0, 1), (0, 16), (7, 8), (15, 31)):  # of the same word
        assert abs(int((signs[:, :, bit] * signs[:, :, other]).sum())) < 5 * (n_rows * n) ** 0.5
    assert len(np.unique(streams)) > 0.999 * streams.size
