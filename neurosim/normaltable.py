"""An integer table of normal shape, made without floats so that every machine has the same."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

N_ENTRIES = 256
SIGMA_BITS = 4  # a standard deviation of 16
COINS = 4 << 2 * SIGMA_BITS  # tosses whose heads, less half of them, have it: half the square root of their number


@cache
def normal_table() -> npt.NDArray[np.int8]:
    """Return 256 quantiles of a normal law of standard deviation 16, ascending and antisymmetric, (256,) int8.

    Entry i is the quantile at (i + 1/2) / 256 of heads less 512 in 1,024 tosses of a coin, by whole-number binomials.
    A byte of a hash picks an entry; the largest is 46. (EGGROLL's integer form takes round(16 N(0, 1)),
    arXiv:2511.16652, appendix G.)
    """
    upper: list[int] = []
    heads, below = 0, 1  # sequences with at most so many heads
    for i in range(N_ENTRIES // 2, N_ENTRIES):
        while below * 2 * N_ENTRIES < (2 * i + 1) << COINS:
            heads += 1
            below += math.comb(COINS, heads)
        upper.append(heads - COINS // 2)
    return np.array([-x for x in reversed(upper)] + upper, np.int8)
