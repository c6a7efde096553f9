"""Move, stretch and interrupt sounds at random."""

import numpy as np

from neurosim.kernels.jit import jit
from neurosim.kernels.noise import bits, fold
from neurosim.kernels.warp import DRAW_BITS, FRACTION_BITS, pixel

N_WHOLE = 4  # random words of a sound before those of its gaps


@jit
def distort(loud, key, first, limits, copies):
    """Write a changed copy of each sound, as `neurosim.reference.distort.distort` describes.

    Parameters
    ----------
    loud : (n, n_steps, n_channels) int64
        0..2**31 - 1.
    key : uint64
    first : int
        Number of the first sound; with the key it names the random numbers.
    limits : (9,) int64
        As in the twin.
    copies : (n, n_steps, n_channels) int64
        Written.
    """
    n_steps, n_channels = loud.shape[1], loud.shape[2]
    one = np.int64(1) << FRACTION_BITS
    for i in range(len(loud)):
        stream = fold(key, first + i)
        late = below(stream, 0, limits[0] + limits[1] + 1) - limits[0]
        fast = below(stream, 1, 2 * limits[2] + 1) - limits[2]
        up = below(stream, 2, 2 * limits[3] + 1) - limits[3]
        wide = below(stream, 3, 2 * limits[4] + 1) - limits[4]
        for t in range(n_steps):
            step = (one * t - late) * (one + fast) >> FRACTION_BITS
            for c in range(n_channels):
                channel = one * c + up + (wide * (2 * c - (n_channels - 1)) >> 1)
                copies[i, t, c] = pixel(loud[i], step, channel) >> (2 * FRACTION_BITS)
        index = N_WHOLE
        for _ in range(limits[5]):
            length = below(stream, index, min(limits[6], n_steps) + 1)
            begin = below(stream, index + 1, n_steps - length + 1)
            copies[i, begin : begin + length, :] = 0
            index += 2
        for _ in range(limits[7]):
            length = below(stream, index, min(limits[8], n_channels) + 1)
            begin = below(stream, index + 1, n_channels - length + 1)
            copies[i, :, begin : begin + length] = 0
            index += 2


@jit
def below(stream, index, n):
    """Return an integer in 0..n - 1 from a word of a stream."""
    return np.int64(bits(stream, index) >> np.uint64(64 - DRAW_BITS)) * n >> DRAW_BITS
