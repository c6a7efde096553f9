"""Linear maps between the elements of NIR nodes: convolutions, matrices, single pairs; how they compose and add."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.errors import CapacityError
from neurosim.exchange.lowering_kernels import Floats, Kernel, Pair, fuse, image_shape

Ints = npt.NDArray[np.int64]

MAX_PAIRS = 1 << 23  # of one map: some 0.5 GiB while it is made


class Pairs(NamedTuple):
    """A map as single pairs of elements; a pair with two delays is there twice.

    Attributes
    ----------
    shape : (n_out, n_in)
    row, col : (n,) int64
        Elements of the output and of the input, in C order of their shapes.
    value : (n,) float64
    delay : (n,) int64
        In steps.
    """

    shape: Pair
    row: Ints
    col: Ints
    value: Floats
    delay: Ints


class Matrix(NamedTuple):
    """A map as a matrix: weights (n_out, n_in) float64, one delay in steps for all."""

    weights: Floats
    delay: int = 0


LinearMap = Pairs | Matrix | Kernel


def diagonal(values: Floats, shape: Sequence[int], delay: npt.ArrayLike = 0) -> LinearMap:
    """Return the map that multiplies each element with its value: a kernel of size 1 where channels share theirs.

    Parameters
    ----------
    values : (n,) float
    shape : tuple of int
        Of n elements.
    delay : int or (n,) int
    """
    n = math.prod(shape)
    if len(shape) in (2, 3) and np.ndim(delay) == 0:
        image = image_shape(shape)
        channels = values.reshape(image[0], -1)
        if np.all(channels == channels[:, :1]):
            return Kernel(
                channels[:, :1].reshape(-1, 1, 1, 1), image, image, groups=image[0], delay=int(np.asarray(delay))
            )
    index = np.arange(n, dtype=np.int64)
    return Pairs((n, n), index, index, values, np.broadcast_to(np.asarray(delay, np.int64), (n,)))


def delayed(given: LinearMap, steps: int) -> LinearMap:
    """Return a map that takes so many steps more."""
    if isinstance(given, Kernel):
        return replace(given, delay=given.delay + steps)
    if isinstance(given, Matrix):
        return given._replace(delay=given.delay + steps)
    return given._replace(delay=given.delay + steps)


def n_pairs(given: LinearMap) -> int:
    """Return an upper bound of how many pairs a map has."""
    if isinstance(given, Kernel):
        return math.prod(given.out_shape) * math.prod(given.weights.shape[1:])
    return given.weights.size if isinstance(given, Matrix) else len(given.row)


def as_pairs(given: LinearMap) -> Pairs:
    """Return a map as single pairs, those with weight 0 left out.

    Raises
    ------
    CapacityError
        If there are more than `MAX_PAIRS`.
    """
    if isinstance(given, Pairs):
        return given
    _limit(n_pairs(given))
    if isinstance(given, Matrix):
        row, col = np.nonzero(given.weights)
        return Pairs(
            (given.weights.shape[0], given.weights.shape[1]),
            row,
            col,
            given.weights[row, col],
            np.full(len(row), given.delay, np.int64),
        )
    return _pairs_of_kernel(given)


def _pairs_of_kernel(kernel: Kernel) -> Pairs:
    (channels, height, width), (n_out, out_height, out_width) = kernel.in_shape, kernel.out_shape
    per_group = kernel.weights.shape[1]
    (y_out, i, y_in), (x_out, j, x_in) = (_taps(kernel, axis) for axis in (0, 1))
    out = np.arange(n_out)[:, None, None, None]
    part = np.arange(per_group)[None, :, None, None]
    value = kernel.weights[out, part, i[:, None], j]  # (out, part, vertical taps, horizontal taps)
    used = value != 0
    channel = part + out // (n_out // kernel.groups) * per_group
    row = np.broadcast_to((out * out_height + y_out[:, None]) * out_width + x_out, used.shape)[used]
    col = np.broadcast_to((channel * height + y_in[:, None]) * width + x_in, used.shape)[used]
    shape = (n_out * out_height * out_width, channels * height * width)
    return Pairs(
        shape, row.astype(np.int64), col.astype(np.int64), value[used], np.full(len(row), kernel.delay, np.int64)
    )


def _taps(kernel: Kernel, axis: int) -> tuple[Ints, Ints, Ints]:
    """Return output place, place in the kernel and input place of all that lie inside of the image, along an axis."""
    n_in, n_out, size = kernel.in_shape[1 + axis], kernel.out_shape[1 + axis], kernel.weights.shape[2 + axis]
    out, tap = (index.ravel() for index in np.meshgrid(np.arange(n_out), np.arange(size), indexing="ij"))
    place = out * kernel.stride[axis] + tap * kernel.dilation[axis] - kernel.low[axis]
    inside = (place >= 0) & (place < n_in)
    return out[inside], tap[inside], place[inside]


def compose(second: LinearMap, first: LinearMap) -> LinearMap:
    """Return the map that does `first`, then `second`: as kernel or matrix where that is exact, else as pairs."""
    if isinstance(second, Kernel) and isinstance(first, Kernel):
        fused = fuse(second, first)
        if fused is not None:
            return fused
    if isinstance(second, Matrix) and isinstance(first, Matrix):
        return Matrix(second.weights @ first.weights, second.delay + first.delay)
    if isinstance(second, Matrix):
        inner = as_pairs(first)
        if len(inner.col) and len(np.unique(inner.col)) == len(inner.col) and np.ptp(inner.delay) == 0:
            weights = np.zeros((len(second.weights), inner.shape[1]))
            weights[:, inner.col] = second.weights[:, inner.row] * inner.value
            return Matrix(weights, second.delay + int(inner.delay[0]))
    return _join(as_pairs(second), as_pairs(first))


def _join(second: Pairs, first: Pairs) -> Pairs:
    """Compose maps as pairs: each pair of the second meets those of the first that end where it begins."""
    order = np.argsort(first.row, kind="stable")
    start = np.searchsorted(first.row[order], np.arange(first.shape[0] + 1))
    count = (start[1:] - start[:-1])[second.col]
    _limit(int(count.sum()))
    left = np.repeat(np.arange(len(second.col)), count)
    within = np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
    right = order[np.repeat(start[second.col], count) + within]
    return merged(
        Pairs(
            (second.shape[0], first.shape[1]), second.row[left], first.col[right],
            second.value[left] * first.value[right], second.delay[left] + first.delay[right],
        )
    )  # fmt: skip


def add(one: LinearMap, other: LinearMap) -> LinearMap:
    """Return the sum of two maps with the same ends."""
    if isinstance(one, Matrix) and isinstance(other, Matrix) and one.delay == other.delay:
        return Matrix(one.weights + other.weights, one.delay)
    a, b = as_pairs(one), as_pairs(other)
    return merged(Pairs(a.shape, *(np.concatenate([x, y]) for x, y in zip(a[1:], b[1:], strict=True))))


def merged(given: Pairs) -> Pairs:
    """Return a map with pairs of equal ends and delay added up, in the order of output, input, delay."""
    _limit(len(given.row))
    order = np.lexsort((given.delay, given.col, given.row))
    row, col, delay = given.row[order], given.col[order], given.delay[order]
    new = np.ones(len(row), np.bool_)
    new[1:] = (np.diff(row) != 0) | (np.diff(col) != 0) | (np.diff(delay) != 0)
    first = np.flatnonzero(new)
    value = np.add.reduceat(given.value[order], first) if len(first) else given.value
    return Pairs(given.shape, row[first], col[first], value, delay[first])


def apply(given: LinearMap, values: Floats) -> Floats:
    """Return what a map makes of values that stay the same in all steps, (n_out,)."""
    if isinstance(given, Matrix):
        return np.asarray(given.weights @ values)
    pairs = as_pairs(given)
    return np.bincount(pairs.row, pairs.value * values[pairs.col], minlength=pairs.shape[0]).astype(np.float64)


def _limit(n: int) -> None:
    if n > MAX_PAIRS:
        raise CapacityError(f"{n} single synapses exceed the limit of {MAX_PAIRS}")
