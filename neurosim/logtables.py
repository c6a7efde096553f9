"""Integer tables of 2**x and log2(x), made without floats so that every machine has the same."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FRACTION_BITS = 8  # logits and likelihoods are in 1/256 of a bit (octave)
EXP2_ONE_BITS = 16  # 1.0 in the table of powers is 2**16
N_FRACTIONS = 1 << FRACTION_BITS


class LogTables(NamedTuple):
    """Powers and logarithms of two.

    Attributes
    ----------
    exp2 : (256,) int64
        ``floor(2**(16 - f/256))`` for f = 0..255.
    log2 : (256,) int64
        ``floor(256 log2(1 + f/256))`` for f = 0..255.
    """

    exp2: npt.NDArray[np.int64]
    log2: npt.NDArray[np.int64]


@cache
def log_tables() -> LogTables:
    """Return the tables; exact by construction.

    The 256-th root is eight nested integer square roots (nested floors of roots are exact), and
    ``floor(256 log2 m)`` is the bit length of ``m**256``, less one.
    """
    exp2 = []
    for fraction in range(N_FRACTIONS):
        root = 1 << (EXP2_ONE_BITS * N_FRACTIONS - fraction)
        for _ in range(FRACTION_BITS):
            root = math.isqrt(root)
        exp2.append(root)
    log2 = [
        (m**N_FRACTIONS).bit_length() - 1 - FRACTION_BITS * N_FRACTIONS for m in range(N_FRACTIONS, 2 * N_FRACTIONS)
    ]
    return LogTables(np.array(exp2, np.int64), np.array(log2, np.int64))
