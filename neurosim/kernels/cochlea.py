"""A bank of resonators that hears sounds."""

import numpy as np

from neurosim.kernels.jit import jit

STATE_BITS_LESS = 6  # a resonator has so many bits less below a unit of the sound than its coefficients below 1


@jit
def hear(sound, start, coefficients, bits, frame, strength):
    """Add the strength of each channel to `strength`, as `neurosim.reference.cochlea.hear` describes.

    Parameters
    ----------
    sound, start, coefficients, bits, frame
        As in the twin.
    strength : (n_sounds, n_frames, n_channels) int64
        Zeros on entry; written.
    """
    n_frames = strength.shape[1]
    half, state_bits = np.int64(1) << (bits - 1), bits - STATE_BITS_LESS
    for s in range(len(start) - 1):
        first = start[s]
        last = min(start[s + 1], first + frame * n_frames)
        for c in range(len(coefficients)):
            b = np.int64(coefficients[c, 0])
            a1 = np.int64(coefficients[c, 1])
            a2 = np.int64(coefficients[c, 2])
            x1, x2, y1, y2 = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
            for f in range((last - first + frame - 1) // frame):
                total = np.int64(0)
                for n in range(first + f * frame, min(last, first + (f + 1) * frame)):
                    x = np.int64(sound[n])
                    # |y| stays below 2**(bits + 12) for poles inside the circle, so that no product leaves 64 bits
                    y = ((b * (x - x2) << state_bits) + a1 * y1 - a2 * y2 + half) >> bits
                    total += abs(y) >> state_bits
                    x2, x1, y2, y1 = x1, x, y1, y
                strength[s, f, c] = total
