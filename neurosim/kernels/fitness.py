"""Integer log-softmax of a readout: likelihood of the label, and the error of every class."""

import numpy as np

from neurosim.codes import ERROR, POWERS
from neurosim.kernels.jit import jit

FRACTION_BITS = 8
EXP2_ONE_BITS = 16


@jit
def log2_fixed(x, log2_table):
    """Return ``floor(256 log2 x)``, up to the table's step, for x > 0."""
    n = 0
    while (x >> n) > 1:
        n += 1
    mantissa = x >> (n - FRACTION_BITS) if n >= FRACTION_BITS else x << (FRACTION_BITS - n)
    return n * (1 << FRACTION_BITS) + log2_table[mantissa - (1 << FRACTION_BITS)]


@jit
def log_likelihood(z, label, temperature, exp2_table, log2_table, classes):
    """Return the log-likelihood of the label in 1/256 bit, and keep every class's power of two.

    Parameters
    ----------
    z : (C,) integers
        Readout; larger means more likely.
    label : int
    temperature : int
        Shift: ``2**temperature`` units of z are 1/256 bit.
    exp2_table, log2_table
        `neurosim.logtables`.
    classes : (2, C) int64
        Row POWERS is written.
    """
    powers = classes[POWERS]
    largest = np.int64(z[0])
    for o in range(1, len(z)):
        largest = max(largest, np.int64(z[o]))
    total = np.int64(0)
    for o in range(len(z)):
        below = (largest - np.int64(z[o])) >> temperature
        octaves = below >> FRACTION_BITS
        powers[o] = exp2_table[below & ((1 << FRACTION_BITS) - 1)] >> octaves if octaves <= EXP2_ONE_BITS else 0
        total += powers[o]
    distance = (largest - np.int64(z[label])) >> temperature
    return (EXP2_ONE_BITS << FRACTION_BITS) - distance - log2_fixed(total, log2_table)


@jit
def readout_errors(label, error_bits, classes):
    """Write (probability - target) of every class, in units of ``2**-error_bits``, to row ERROR, from row POWERS."""
    powers, error = classes[POWERS], classes[ERROR]
    total = np.int64(0)
    for o in range(len(powers)):
        total += powers[o]
    for o in range(len(powers)):
        error[o] = ((powers[o] << error_bits) + (total >> 1)) // total
    error[label] -= 1 << error_bits


@jit
def predict(z):
    """Return the first class with the largest readout."""
    best = 0
    for o in range(1, len(z)):
        if z[o] > z[best]:
            best = o
    return best


@jit
def spread(z):
    """Return the distance from the smallest to the largest readout."""
    low = np.int64(z[0])
    high = np.int64(z[0])
    for o in range(1, len(z)):
        low = min(low, np.int64(z[o]))
        high = max(high, np.int64(z[o]))
    return high - low
