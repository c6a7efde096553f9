"""Move, stretch and interrupt sounds at random, in plain numpy; twin of `neurosim.kernels.distort`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.reference.noise import bits, fold
from neurosim.reference.warp import bilinear

ONE = 256  # places are in 1/256 step and 1/256 channel
N_WHOLE = 4  # random words of a sound before those of its gaps

Int64Array = npt.NDArray[np.int64]


def distort(loud: Int64Array, key: int, first: int, limits: Int64Array) -> Int64Array:
    """Return a changed copy of each sound, (n, n_steps, n_channels) int64.

    Cell (t, c) of the copy hears the sound at the place

        (t - late) (1 + fast)                        steps
        c + up + wide (c - (n_channels - 1) / 2)     channels

    bilinear between steps and channels, 0 outside, rounded down. Then gaps are cut: all channels for some steps, all steps of some
    channels are 0.

    Parameters
    ----------
    loud : (n, n_steps, n_channels) int64
        0..2**31 - 1.
    key : int
        64 bits; names the random numbers of all sounds.
    first : int
        Number of the first sound: sound i has the same random numbers in any block.
    limits : (9,) int64
        late is uniform in -limits[0]..limits[1], in 1/256 step; fast within limits[2], in 1/256; up within limits[3], in 1/256 channel;
        wide within limits[4], in 1/256. limits[5] gaps in time are 0 to limits[6] steps long, limits[7] gaps among the channels
        0 to limits[8] channels wide, and each lies anywhere, uniformly.
    """
    n, n_steps, n_channels = loud.shape
    early, latest, fastest, highest, widest, n_pauses, longest, n_bands, broadest = (int(limit) for limit in limits)
    t, c = np.arange(n_steps)[:, None], np.arange(n_channels)[None, :]
    copies = np.zeros_like(loud)
    for i in range(n):
        stream = fold(key, first + i)
        late = _below(stream, 0, early + latest + 1) - early
        fast, up, wide = (
            _below(stream, k, 2 * limit + 1) - limit for k, limit in ((1, fastest), (2, highest), (3, widest))
        )
        step = ((ONE * t - late) * (ONE + fast) >> 8) + 0 * c
        channel = ONE * c + up + (wide * (2 * c - (n_channels - 1)) >> 1) + 0 * t
        copies[i] = bilinear(loud[i], step, channel) >> 16
        for k in range(n_pauses):
            a, b = _gap(stream, N_WHOLE + 2 * k, longest, n_steps)
            copies[i, a:b] = 0
        for k in range(n_pauses, n_pauses + n_bands):
            a, b = _gap(stream, N_WHOLE + 2 * k, broadest, n_channels)
            copies[i, :, a:b] = 0
    return copies


def _below(stream: int, index: int, n: int) -> int:
    """Return an integer in 0..n - 1."""
    return (bits(stream, index) >> 40) * n >> 24


def _gap(stream: int, index: int, longest: int, n: int) -> tuple[int, int]:
    """Return where a gap begins and ends among n places."""
    length = _below(stream, index, min(longest, n) + 1)
    begin = _below(stream, index + 1, n - length + 1)
    return begin, begin + length
