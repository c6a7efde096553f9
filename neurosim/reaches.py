"""Which rows of a convolution's kernel each source adds, and where: laid out for learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import (
    CONV_CHANNELS,
    CONV_DILATION_X,
    CONV_DILATION_Y,
    CONV_FIRST,
    CONV_GROUPS,
    CONV_HEIGHT,
    CONV_KERNEL_X,
    CONV_KERNEL_Y,
    CONV_OUT_CHANNELS,
    CONV_OUT_HEIGHT,
    CONV_OUT_WIDTH,
    CONV_PAD_X,
    CONV_PAD_Y,
    CONV_STRIDE_X,
    CONV_STRIDE_Y,
    CONV_WIDTH,
    N_REACH_COLUMNS,
)

SAFE_FAN_IN = 1 << 15  # so many weights of 9 bits stay within the 24 bits of a sum


class Reaches(NamedTuple):
    """Rows of out channels of one group, by source; n convolutions.

    A source j of convolution i adds the rows ``start[FIRST + j]`` to ``start[FIRST + j + 1]``, FIRST being a column of `table`.
    """

    table: npt.NDArray[
        np.int64
    ]  # (n, 3) codes.REACH_*: first row of `start`, out channels of a group, whether sums fit 24 bits
    start: npt.NDArray[np.int64]
    weight: npt.NDArray[np.int64]  # first weight of the row in `Links.kernels`
    place: npt.NDArray[np.int64]  # first neuron that it goes to


def lay_reaches(geometry: Sequence[npt.NDArray[np.int64]]) -> Reaches:
    """Return the reaches of convolutions.

    Parameters
    ----------
    geometry : sequence of (16,) int64
        codes.CONV_*; CONV_FIRST is the place of the kernel in `Links.kernels`.
    """
    none = np.zeros(0, np.int64)
    table, starts, weights, places, n_rows, n_reaches = [], [none], [none], [none], 0, 0
    for c in geometry:
        start, weight, place = _reaches(c)
        fan_in = int(c[CONV_KERNEL_X] * c[CONV_KERNEL_Y] * (c[CONV_CHANNELS] // c[CONV_GROUPS]))
        table.append([n_rows, int(c[CONV_OUT_CHANNELS] // c[CONV_GROUPS]), int(fan_in <= SAFE_FAN_IN)])
        starts.append(start + n_reaches)
        weights.append(weight)
        places.append(place)
        n_rows, n_reaches = n_rows + len(start), n_reaches + len(weight)
    return Reaches(
        np.array(table, np.int64).reshape(-1, N_REACH_COLUMNS), np.concatenate(starts), np.concatenate(weights),
        np.concatenate(places),
    )  # fmt: skip


def _reaches(c: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where each source's reaches begin, their weights and their places."""
    kernel_x, kernel_y, channels = int(c[CONV_KERNEL_X]), int(c[CONV_KERNEL_Y]), int(c[CONV_CHANNELS])
    source, a, b = np.indices((int(c[CONV_WIDTH] * c[CONV_HEIGHT]) * channels, kernel_x, kernel_y)).reshape(3, -1)
    pixel, channel = np.divmod(source, channels)
    x, y = np.divmod(pixel, c[CONV_HEIGHT])
    to_x, off_x = np.divmod(x + c[CONV_PAD_X] - a * c[CONV_DILATION_X], c[CONV_STRIDE_X])
    to_y, off_y = np.divmod(y + c[CONV_PAD_Y] - b * c[CONV_DILATION_Y], c[CONV_STRIDE_Y])
    there = (off_x == 0) & (off_y == 0)
    there &= (to_x >= 0) & (to_x < c[CONV_OUT_WIDTH]) & (to_y >= 0) & (to_y < c[CONV_OUT_HEIGHT])
    width = c[CONV_OUT_CHANNELS] // c[CONV_GROUPS]
    tap = (kernel_x - 1 - a) * kernel_y + kernel_y - 1 - b  # kernels are flipped
    weight = c[CONV_FIRST] + (tap * channels + channel) * width
    group = channel // (channels // c[CONV_GROUPS])
    place = (to_x * c[CONV_OUT_HEIGHT] + to_y) * c[CONV_OUT_CHANNELS] + group * width
    n = there.reshape(-1, kernel_x * kernel_y).sum(axis=1)
    return np.concatenate([[0], np.cumsum(n)]), weight[there], place[there]
