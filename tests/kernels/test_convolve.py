"""Convolutions as learning runs them: the same sums as links, and votes of shared weights equal the dense formula."""

import numpy as np
import pytest

from neurosim.codes import CONV_FIRST, N_CONV_COLUMNS, REACH_SAFE
from neurosim.connections import Conv
from neurosim.kernels.convolve import convolve, vote_source
from neurosim.linkplan import kernel_places
from neurosim.reaches import SAFE_FAN_IN, Reaches, lay_reaches
from neurosim.reference.learn import links_of

SKIPPED = 12  # weights before the kernel


def table_of(conv: Conv) -> np.ndarray:
    """Return the geometry, in the order of codes.CONV_*."""
    stride, padding, dilation = conv.geometry
    kernel = np.shape(conv.weights)[1:3]
    row = [*conv.input_shape, *conv.output_shape, *kernel, *stride, *padding, *dilation, conv.groups, 0]
    assert len(row) == N_CONV_COLUMNS
    return np.array(row, np.int64)


def reaches_of(conv: Conv) -> Reaches:
    """Return the reaches of the second of two convolutions, so that nothing begins at 0."""
    other = table_of(Conv("a", "b", np.ones((3, 2, 2, 1), np.int64), (5, 4, 1)))
    second = table_of(conv)
    second[CONV_FIRST] = SKIPPED
    return lay_reaches([other, second])


def random_conv(seed: int) -> Conv:
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 3))
    shape = (int(rng.integers(4, 9)), int(rng.integers(4, 9)), groups * int(rng.integers(1, 4)))
    kernel = (groups * int(rng.integers(1, 4)), *(int(x) for x in rng.integers(1, 4, 2)), shape[2] // groups)
    geometry = {key: tuple(int(x) for x in rng.integers(low, high, 2)) for key, low, high in
                (("stride", 1, 4), ("padding", 0, 4), ("dilation", 1, 3))}  # fmt: skip
    while True:
        try:
            return Conv("a", "b", rng.integers(-256, 256, kernel), shape, groups=groups, **geometry)
        except ValueError:
            geometry["padding"] = (4, 4)


def laid_out(conv: Conv) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel as `Links` holds it, and the place of each weight."""
    place = kernel_places(np.shape(conv.weights), conv.groups).ravel()
    kernel = np.zeros(place.size, np.int16)
    kernel[place] = np.ravel(conv.weights)
    return np.concatenate([np.full(SKIPPED, 99, np.int16), kernel]), SKIPPED + place


def matrix_of(conv: Conv) -> np.ndarray:
    """Return the convolution written out, (n_post, n_pre)."""
    sparse, matrix = conv.as_sparse(), np.zeros(conv.shape, np.int64)
    matrix[np.asarray(sparse.row), np.asarray(sparse.col)] = sparse.data
    return matrix


@pytest.mark.parametrize("seed", range(40))
def test_sums_and_votes_equal_the_matrix(seed: int) -> None:
    conv, rng = random_conv(seed), np.random.default_rng(seed + 1000)
    reaches, (kernel, place), (n_post, n_pre) = reaches_of(conv), laid_out(conv), conv.shape
    fired = rng.random(n_pre) < 0.5
    sources = np.nonzero(fired)[0].astype(np.int32)
    acc = rng.integers(-1000, 1000, n_post).astype(np.int32)
    expected = acc + matrix_of(conv) @ fired
    n_products = convolve(kernel, reaches, 1, sources, len(sources), acc, np.zeros(n_post, np.int32))
    np.testing.assert_array_equal(acc, expected)
    assert n_products == np.isin(np.asarray(conv.as_sparse().col), sources).sum()

    factor, local = rng.integers(-9, 10, n_pre), rng.integers(-99, 99, n_post).astype(np.int32)
    votes = np.zeros(kernel.size, np.int32)
    n_links = sum(vote_source(votes, reaches, 1, j, factor[j], local) for j in range(n_pre))
    (pre, post), weight = links_of(conv)
    dense = np.zeros(kernel.size - SKIPPED, np.int64)
    np.add.at(dense, weight, (factor[:, None] * local)[pre, post])
    np.testing.assert_array_equal(votes[place], dense)
    assert not votes[:SKIPPED].any()
    np.testing.assert_array_equal(np.ravel(conv.weights)[weight], matrix_of(conv)[post, pre])
    assert n_links == len(weight)


def test_a_sum_beyond_24_bits_wraps() -> None:
    channels = SAFE_FAN_IN + 1
    conv = Conv("a", "b", np.full((2, 1, 1, channels), 255), (1, 1, channels))
    kernel, _ = laid_out(conv)
    acc, total = np.array([5, -5], np.int32), np.full(2, 77, np.int32)
    reaches = reaches_of(conv)
    assert reaches.table[1, REACH_SAFE] == 0
    convolve(kernel, reaches, 1, np.arange(channels, dtype=np.int32), channels, acc, total)
    exact = 255 * channels
    assert exact > 1 << 22
    wrapped = (exact + (1 << 23)) % (1 << 24) - (1 << 23)
    np.testing.assert_array_equal(acc, [5 + wrapped, wrapped - 5])
    acc[:] = 0
    convolve(
        np.full(len(kernel), -256, np.int16), reaches, 1, np.arange(channels, dtype=np.int32), channels, acc, total
    )
    np.testing.assert_array_equal(acc, (-256 * channels + (1 << 23)) % (1 << 24) - (1 << 23))


def test_places_of_a_kernel_are_a_permutation() -> None:
    place = kernel_places((6, 3, 2, 4), 2)
    assert sorted(place.ravel()) == list(range(6 * 3 * 2 * 4))
    assert place[1, 0, 0, 0] - place[0, 0, 0, 0] == 1  # out channels of a group lie beside each other
