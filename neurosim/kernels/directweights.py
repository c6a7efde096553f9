"""Weights as the chip holds them, in one pass each; twin: `neurosim.direct.quant.chip_weights`."""

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


@jit
def hold_bytes(weights, factor, low, high, out):
    """Round to whole numbers, half to even, and clip.

    Parameters
    ----------
    weights : (n,) float32
    factor : float64
        What they are multiplied by.
    low, high : int
        -128..127.
    out : (n,) int8
        Written.
    """
    least, most = np.float64(low), np.float64(high)
    for i in range(len(weights)):
        held = np.rint(np.float64(weights[i]) * factor)
        held = held if held > least else least
        out[i] = np.int8(np.int32(held if held < most else most))


@jit
def scale_weights(weights, factor, out):
    """Multiply (n,) float32 by a float64; `out` is (n,) float32."""
    for i in range(len(weights)):
        out[i] = np.float32(np.float64(weights[i]) * factor)


@jit
def largest_size(bits):
    """Return the largest magnitude of floats, by their bits: without signs those are in the order of the floats.

    Maxima of integers run on vectors, those of floats do not.

    Parameters
    ----------
    bits : (n,) int32
        Of finite floats of 32 bits.

    Returns
    -------
    int32
        Its bits; 0 if there are none.
    """
    largest = np.int32(0)
    for i in range(len(bits)):
        size = bits[i] & np.int32(0x7FFFFFFF)
        largest = size if size > largest else largest
    return largest
