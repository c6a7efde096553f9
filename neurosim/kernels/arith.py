"""Scalar integer functions that several kernels share."""

import numpy as np

from neurosim.kernels.jit import jit

LOW_BITS = 4095  # low 12 bits


@jit
def scale_toward_zero(x, keep):
    """Return ``sign(x) * (abs(x) * keep >> 12)`` for |x| < 2**31 and 0 <= keep <= 4096.

    The product has up to 43 bits; splitting x at bit 12 keeps every term below 2**31, so that the compiler
    may use 32-bit lanes: ``abs(x) * keep >> 12 = high * keep + (low * keep >> 12)`` exactly.
    """
    magnitude = -np.int64(x) if x < 0 else np.int64(x)
    high = np.int32(magnitude >> 12)
    low = np.int32(magnitude & LOW_BITS)
    product = np.int32(np.int64(low) * np.int64(keep))
    scaled = np.int32(np.int64(high) * np.int64(keep) + (np.int64(product) >> 12))
    return np.int32(-np.int64(scaled)) if x < 0 else scaled


@jit
def shift_signed(x, exponent):
    """Return ``x * 2**exponent``; a negative exponent rounds toward zero, so that +x and -x stay opposite."""
    if exponent >= 0:
        return np.int64(x) << exponent
    return -((-np.int64(x)) >> -exponent) if x < 0 else np.int64(x) >> -exponent


@jit
def copy_into(target, source):
    """Copy element by element; an assignment of whole arrays would allocate, which kernels cannot."""
    for k in range(len(source)):
        target[k] = source[k]


@jit
def largest_size(values):
    """Return the largest magnitude; that of ``-2**31`` has no place in 32 bits."""
    low, high = np.int32(0), np.int32(0)
    for k in range(len(values)):
        low, high = min(low, values[k]), max(high, values[k])
    return max(np.int64(high), -np.int64(low))
