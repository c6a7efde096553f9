"""Convolutions as maps between images, and two of them as one where that is exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Pair = tuple[int, int]
Image = tuple[int, int, int]

MAX_KERNEL = 1 << 22  # elements of a kernel


@dataclass(frozen=True, eq=False)
class Kernel:
    """A map as a cross-correlation, as torch's.

    Parameters
    ----------
    weights : (out_channels, in_channels / groups, height, width) float
    in_shape, out_shape : (channels, height, width)
        Of what it takes and gives; out_shape says how many places it has.
    stride, dilation : (vertical, horizontal)
    low : (vertical, horizontal)
        Rows and columns of zeros before the first pixel. Behind the last one there are as many as out_shape needs.
    groups : int
    delay : int
        In steps.
    """

    weights: Floats
    in_shape: Image
    out_shape: Image
    stride: Pair = (1, 1)
    low: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    delay: int = 0


def image_shape(shape: Sequence[int]) -> Image:
    """Return (channels, height, width) of a shape of two or three numbers: (channels, length) has height 1."""
    return (int(shape[0]), int(shape[1]) if len(shape) == 3 else 1, int(shape[-1]))


def is_diagonal(kernel: Kernel) -> bool:
    """Whether each output has one input, its own: then it is no convolution worth the name."""
    one = kernel.weights.shape[1:] == (1, 1, 1) and kernel.groups == kernel.in_shape[0]
    return one and kernel.in_shape == kernel.out_shape and kernel.stride == (1, 1) and kernel.low == (0, 0)


def fuse(second: Kernel, first: Kernel) -> Kernel | None:
    """Return two convolutions as one, or None where that would not be exact.

    Where the second one reads beyond the edge of what the first one gives, it finds zeros. One convolution would find there what the
    first kernel makes of the image's edge. So it is exact if all that the first one would have there lies outside of the image.
    """
    if first.out_shape != second.in_shape:
        return None  # elements were renamed between them
    for axis in (0, 1):
        n_in, n_middle = first.in_shape[1 + axis], first.out_shape[1 + axis]
        reads = (
            np.arange(second.out_shape[1 + axis])[:, None] * second.stride[axis]
            + np.arange(second.weights.shape[2 + axis]) * second.dilation[axis]
            - second.low[axis]
        )
        beyond = np.unique(reads[(reads < 0) | (reads >= n_middle)])
        window = np.arange(first.weights.shape[2 + axis]) * first.dilation[axis] - first.low[axis]
        place = beyond[:, None] * first.stride[axis] + window
        if np.any((place >= 0) & (place < n_in)):
            return None
    groups = math.gcd(first.groups, second.groups)
    if any(k.weights.size * (k.groups // groups) > MAX_KERNEL for k in (first, second)):
        return None
    inner, outer = _regroup(first, groups), _regroup(second, groups)
    n_out, n_middle_channels, *outer_size = outer.shape
    _, n_in_channels, *inner_size = inner.shape
    unit, inner_step, outer_step, size = [], [], [], []
    for axis in (0, 1):
        near = first.dilation[axis] if inner_size[axis] > 1 else 0
        far = second.dilation[axis] * first.stride[axis] if outer_size[axis] > 1 else 0
        unit.append(math.gcd(near, far) or 1)
        inner_step.append(near // unit[axis])
        outer_step.append(far // unit[axis])
        size.append(1 + inner_step[axis] * (inner_size[axis] - 1) + outer_step[axis] * (outer_size[axis] - 1))
    if n_out * n_in_channels * math.prod(size) > MAX_KERNEL:
        return None
    weights = np.zeros((groups, n_out // groups, n_in_channels, *size))
    outer = outer.reshape(groups, n_out // groups, n_middle_channels, *outer_size)
    inner = inner.reshape(groups, n_middle_channels, n_in_channels, *inner_size)
    for i in range(outer_size[0]):
        for j in range(outer_size[1]):
            y, x = i * outer_step[0], j * outer_step[1]
            rows = slice(y, y + inner_step[0] * (inner_size[0] - 1) + 1, inner_step[0] or 1)
            columns = slice(x, x + inner_step[1] * (inner_size[1] - 1) + 1, inner_step[1] or 1)
            weights[..., rows, columns] += np.einsum("gom,gmcyx->gocyx", outer[..., i, j], inner)
    return Kernel(
        weights.reshape(n_out, n_in_channels, *size), first.in_shape, second.out_shape,
        _pair([a * b for a, b in zip(first.stride, second.stride, strict=True)]),
        _pair([a + s * b for a, s, b in zip(first.low, first.stride, second.low, strict=True)]),
        _pair(unit), groups, first.delay + second.delay,
    )  # fmt: skip


def _regroup(kernel: Kernel, groups: int) -> Floats:
    """Return the weights of a kernel with fewer groups: those between channels of different groups are 0."""
    n_out, per_group, *size = kernel.weights.shape
    if groups == kernel.groups:
        return kernel.weights
    wide = kernel.groups // groups
    weights = np.zeros((groups, wide, n_out // kernel.groups, wide, per_group, *size))
    given = kernel.weights.reshape(groups, wide, n_out // kernel.groups, per_group, *size)
    for k in range(wide):
        weights[:, k, :, k] = given[:, k]
    return weights.reshape(n_out, wide * per_group, *size)


def _pair(numbers: Sequence[int]) -> Pair:
    return int(numbers[0]), int(numbers[1])
