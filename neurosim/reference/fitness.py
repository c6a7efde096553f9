"""Integer log-softmax of a readout; twin of `neurosim.kernels.fitness`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.logtables import EXP2_ONE_BITS, FRACTION_BITS, N_FRACTIONS, log_tables


def log2_fixed(x: int) -> int:
    """Return ``floor(256 log2 x)`` for x > 0, with the mantissa cut to 8 bits."""
    n = x.bit_length() - 1
    mantissa = (x << FRACTION_BITS) >> n
    return n * N_FRACTIONS + int(log_tables().log2[mantissa - N_FRACTIONS])


def log_softmax(
    z: npt.NDArray[np.int64], label: int, temperature: int, error_bits: int
) -> tuple[int, npt.NDArray[np.int64]]:
    """Return the log-likelihood of the label in 1/256 bit, and (probability - target) * 2**error_bits per class.

    ``p_o = 2**(-d_o / 256) / sum``, with ``d_o = (max z - z_o) >> temperature``.
    """
    below = (z.max() - z) >> temperature
    octaves, fraction = below >> FRACTION_BITS, below & (N_FRACTIONS - 1)
    powers = np.where(octaves <= EXP2_ONE_BITS, log_tables().exp2[fraction] >> np.minimum(octaves, 63), 0)
    total = int(powers.sum())
    error = ((powers << error_bits) + (total >> 1)) // total
    error[label] -= 1 << error_bits
    return EXP2_ONE_BITS * N_FRACTIONS - int(below[label]) - log2_fixed(total), error


def predict(z: npt.NDArray[np.int64]) -> int:
    """Return the first class with the largest readout."""
    return int(np.argmax(z))
