"""A bank of resonators that hears sounds, in plain numpy; twin of `neurosim.kernels.cochlea`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

STATE_BITS_LESS = 6  # a resonator has so many bits less below a unit of the sound than its coefficients below 1


def hear(
    sound: npt.NDArray[np.int16],
    start: npt.NDArray[np.int64],
    coefficients: npt.NDArray[np.int32],
    bits: int,
    frame: int,
    n_frames: int,
) -> npt.NDArray[np.int64]:
    """Return the strength of each channel in each frame of every sound, (n_sounds, n_frames, n_channels).

    A channel is a resonator with two poles: ``y = (b (x - x'') 2**(bits - 6) + a1 y' - a2 y'' + 2**(bits - 1)) >> bits`` with x the sound, ' one
    and '' two samples earlier, and 0 before the start. Its strength is the sum of ``abs(y) >> (bits - 6)`` over the samples of the frame;
    silence follows the end of a sound, and the resonators are not heard there.

    Parameters
    ----------
    sound : (n_total,) int16
        All sounds, one after the other.
    start : (n_sounds + 1,) int64
    coefficients : (n_channels, 3) int32
        b, a1 and a2 in 2**-bits.
    bits : int
        14..24.
    frame : int
        Samples of a frame.
    n_frames : int
        What comes after the last frame is not heard.
    """
    strength = np.zeros((len(start) - 1, n_frames, len(coefficients)), np.int64)
    state_bits = bits - STATE_BITS_LESS
    b, a1, a2 = coefficients.T.astype(np.int64)
    for s in range(len(start) - 1):
        x1 = x2 = 0
        y1 = y2 = np.zeros(len(coefficients), np.int64)
        for n, x in enumerate(sound[start[s] : start[s + 1]][: frame * n_frames].tolist()):
            y = ((b * (x - x2) << state_bits) + a1 * y1 - a2 * y2 + (1 << (bits - 1))) >> bits
            strength[s, n // frame] += np.abs(y) >> state_bits
            x1, x2, y1, y2 = x, x1, y, y1
    return strength
