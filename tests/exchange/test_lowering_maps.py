"""Maps compose and add as their matrices do, and convolutions stay exact at every edge."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.errors import CapacityError, NetworkError
from neurosim.exchange import lowering_maps
from neurosim.exchange.imported import chip_order
from neurosim.exchange.lowering_kernels import Kernel, fuse
from neurosim.exchange.lowering_links import LinkFormat, link
from neurosim.exchange.lowering_maps import LinearMap, Matrix, Pairs, add, apply, as_pairs, compose, delayed, diagonal
from neurosim.network import Connection, ConvConnection, SparseConnection

Floats = npt.NDArray[np.float64]


def matrix_of(found: LinearMap) -> Floats:
    pairs = as_pairs(found)
    dense = np.zeros(pairs.shape)
    np.add.at(dense, (pairs.row, pairs.col), pairs.value)
    return dense


def by_loops(kernel: Kernel) -> Floats:
    """Return the matrix of a cross-correlation, pixel by pixel."""
    (n_in, height, width), (n_out, out_height, out_width) = kernel.in_shape, kernel.out_shape
    dense = np.zeros((n_out, out_height, out_width, n_in, height, width))
    per_group = kernel.weights.shape[1]
    for o, y, x in np.ndindex(n_out, out_height, out_width):
        for c, i, j in np.ndindex(per_group, *kernel.weights.shape[2:]):
            row = y * kernel.stride[0] + i * kernel.dilation[0] - kernel.low[0]
            column = x * kernel.stride[1] + j * kernel.dilation[1] - kernel.low[1]
            if 0 <= row < height and 0 <= column < width:
                dense[o, y, x, o // (n_out // kernel.groups) * per_group + c, row, column] += kernel.weights[o, c, i, j]
    return dense.reshape(n_out * out_height * out_width, -1)


@st.composite
def kernels(draw: st.DrawFn, in_shape: tuple[int, int, int] | None = None) -> Kernel:
    """Draw a kernel; its output may end before the image does, or go on behind it (padding of one side only)."""
    if in_shape is None:
        in_shape = (draw(st.sampled_from([1, 2, 4])), draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    groups = draw(st.sampled_from([g for g in (1, 2, 4) if in_shape[0] % g == 0]))
    n_out = groups * draw(st.integers(1, 2))
    size = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride, dilation = ((draw(st.integers(1, 3)), draw(st.integers(1, 3))) for _ in range(2))
    low = (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    out = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    weights = rng.normal(size=(n_out, in_shape[0] // groups, *size))
    return Kernel(weights, in_shape, (n_out, *out), stride, low, dilation, groups)


@given(kernels())
def test_kernels_are_cross_correlations(kernel: Kernel):
    np.testing.assert_array_equal(matrix_of(kernel), by_loops(kernel))


@settings(max_examples=300)
@given(st.data())
def test_convolutions_compose_exactly(data: st.DataObject):
    first = data.draw(kernels())
    second = data.draw(kernels(first.out_shape))
    expected = matrix_of(second) @ matrix_of(first)
    np.testing.assert_allclose(matrix_of(compose(second, first)), expected, atol=1e-12)
    fused = fuse(second, first)
    if fused is not None:
        np.testing.assert_allclose(by_loops(fused), expected, atol=1e-12)


@settings(max_examples=300)
@given(kernels())
def test_connections_of_kernels_are_exact(kernel: Kernel):
    """Whatever the padding of either side, in the chip's order: as a true convolution, or else synapse by synapse."""
    source, target = chip_order(kernel.in_shape), chip_order(kernel.out_shape)
    found = link("a", "b", kernel, source, target, LinkFormat())
    sparse = found.as_sparse() if isinstance(found, ConvConnection) else found
    dense = np.zeros(found.shape)
    if isinstance(sparse, SparseConnection):
        dense[np.asarray(sparse.row), np.asarray(sparse.col)] = np.asarray(sparse.weights)
    else:
        dense = np.asarray(sparse.weights)
    expected = by_loops(kernel)[np.ix_(target, source)]
    np.testing.assert_allclose(dense, expected, atol=1e-12)


def padded(n: int, size: int, stride: int, low: int, high: int) -> Kernel:
    out = (n + low + high - size) // stride + 1
    return Kernel(np.ones((1, 1, size, size)), (1, n, n), (1, out, out), (stride, stride), (low, low))


@pytest.mark.parametrize(("low", "high"), [(0, 0), (1, 1), (0, 1), (1, 0), (1, 2), (2, 1), (3, 3)])
def test_usual_paddings_stay_convolutions(low: int, high: int):
    for n, size, stride in ((6, 3, 1), (7, 2, 1), (8, 4, 2), (9, 3, 3), (5, 3, 2)):
        kernel = padded(n, size, stride, low, high)
        found = link("a", "b", kernel, chip_order(kernel.in_shape), chip_order(kernel.out_shape), LinkFormat())
        assert isinstance(found, ConvConnection), (n, size, stride)


def test_usual_pairs_are_one_convolution():
    """A pool whose windows tile the image, then a padded convolution; two convolutions without padding between them."""
    pool = Kernel(np.ones((4, 1, 2, 2)), (4, 8, 8), (4, 4, 4), (2, 2), groups=4)
    conv = Kernel(np.random.default_rng(0).normal(size=(6, 4, 3, 3)), (4, 4, 4), (6, 4, 4), low=(1, 1))
    fused = fuse(conv, pool)
    assert fused is not None and fused.weights.shape == (6, 4, 6, 6) and fused.stride == (2, 2) and fused.low == (2, 2)
    grouped = Kernel(np.ones((6, 2, 3, 3)), (4, 4, 4), (6, 4, 4), low=(1, 1), groups=2)
    fused = fuse(grouped, pool)
    assert fused is not None and fused.groups == 2
    wide = Kernel(np.ones((4, 4, 3, 3)), (4, 8, 8), (4, 8, 8), low=(1, 1))
    assert fuse(Kernel(np.ones((1, 4, 3, 3)), (4, 8, 8), (1, 6, 6)), wide) is not None
    assert fuse(Kernel(np.ones((1, 4, 3, 3)), (4, 8, 8), (1, 8, 8), low=(1, 1)), wide) is None


def test_a_dilated_kernel_keeps_its_dilation():
    scale = diagonal(np.repeat([2.0, 3.0], 36), (2, 6, 6))
    conv = Kernel(np.ones((1, 2, 3, 3)), (2, 6, 6), (1, 2, 2), dilation=(2, 2))
    found = compose(conv, scale)
    assert isinstance(found, Kernel) and found.dilation == (2, 2) and found.weights.shape == (1, 2, 3, 3)
    np.testing.assert_allclose(matrix_of(found), by_loops(conv) @ np.diag(np.repeat([2.0, 3.0], 36)))


def test_maps_of_all_forms_compose_add_and_apply():
    rng = np.random.default_rng(1)
    image = (2, 4, 3)
    forms: list[LinearMap] = [
        Kernel(rng.normal(size=(2, 2, 3, 3)), image, image, low=(1, 1)),
        Matrix(rng.normal(size=(24, 24))),
        diagonal(rng.normal(size=24), image),
        diagonal(np.repeat(rng.normal(size=2), 12), image),
        as_pairs(Matrix(rng.normal(size=(24, 24)) * (rng.random((24, 24)) < 0.2))),
    ]
    x = rng.normal(size=24)
    for second in forms:
        np.testing.assert_allclose(apply(second, x), matrix_of(second) @ x, atol=1e-12)
        for first in forms:
            np.testing.assert_allclose(
                matrix_of(compose(second, first)), matrix_of(second) @ matrix_of(first), atol=1e-12
            )
            np.testing.assert_allclose(matrix_of(add(second, first)), matrix_of(second) + matrix_of(first), atol=1e-12)


def test_delays_add_up_along_a_path_and_stay_apart_in_a_sum():
    one = diagonal(np.ones(3), (3,), [0, 1, 2])
    two = delayed(Matrix(np.ones((2, 3)), 1), 2)
    path = as_pairs(compose(two, one))
    assert sorted(zip(path.row, path.col, path.delay, strict=True)) == [(r, c, 3 + c) for r in (0, 1) for c in range(3)]
    both = as_pairs(add(Matrix(np.ones((1, 1))), Matrix(np.ones((1, 1)), 2)))
    assert both.delay.tolist() == [0, 2]
    assert as_pairs(add(Matrix(np.ones((1, 1)), 2), Matrix(np.ones((1, 1)), 2))).value.tolist() == [2]


def test_forms_of_connections():
    rng = np.random.default_rng(2)
    line = np.arange(20)
    dense = link("a", "b", Matrix(rng.normal(size=(20, 20))), line, line, LinkFormat(4, 2))
    assert type(dense) is Connection and (dense.num_weight_bits, dense.num_message_bits) == (4, 2)
    thin = Matrix(np.eye(20), 3)
    sparse = link("a", "b", thin, line, line, LinkFormat())
    assert isinstance(sparse, SparseConnection) and np.all(np.asarray(sparse.delays) == 3)
    order = rng.permutation(20)
    turned = link("a", "b", Matrix(np.diag(np.arange(1.0, 21))), order, order, LinkFormat())
    assert isinstance(turned, SparseConnection)
    np.testing.assert_array_equal(np.asarray(turned.weights), np.arange(1, 21)[order])
    with pytest.raises(NetworkError, match=r"connection 'a->b': needs a delay of 70 steps, the chip holds up to 62"):
        link("a", "b", Matrix(np.ones((20, 20)), 70), line, line, LinkFormat())


def test_too_many_synapses_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch):
    huge = Kernel(np.ones((512, 512, 3, 3)), (512, 64, 64), (512, 64, 64), low=(1, 1))
    with pytest.raises(CapacityError, match="9663676416 single synapses exceed the limit"):
        as_pairs(huge)
    monkeypatch.setattr(lowering_maps, "MAX_PAIRS", 100)
    ones = Pairs((5, 5), *(np.repeat(np.arange(5), 5), np.tile(np.arange(5), 5)), np.ones(25), np.zeros(25, np.int64))
    with pytest.raises(CapacityError, match="125 single synapses"):
        compose(ones, ones)
    assert math.prod(matrix_of(ones).shape) == 25
