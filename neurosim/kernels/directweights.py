"""Weights as the chip holds them, in one pass; twin: `neurosim.direct.quant.chip_weights`."""

import numpy as np

from neurosim.kernels.jit import jit


@jit
def hold_weights(weights, factor, unit, low, high, out):
    """Round to multiples of a unit, half to even, and clip.

    Parameters
    ----------
    weights : (n,) float32
    factor : float64
        What they are multiplied by.
    unit : float64
        A power of two.
    low, high : float64
    out : (n,) float32
        Written.
    """
    inverse = 1 / unit
    for i in range(len(weights)):
        held = np.rint(np.float64(weights[i]) * factor * inverse) * unit
        held = held if held > low else low
        out[i] = np.float32(held if held < high else high)
