"""Counter-based integer noise in Python's unbounded integers; twin of `neurosim.kernels.noise`.

SplitMix64's mixer: Steele, Lea, Flood, OOPSLA 2014, doi 10.1145/2660193.2660195, figure 13.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.normaltable import normal_table

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
WORD_32 = (1 << 32) - 1
GOLDEN_32 = 0x9E3779B9


def mix(x: int) -> int:
    """Return a bijective scramble of 64 bits."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def fold(key: int, word: int) -> int:
    """Return the key of the sub-stream of that name."""
    return mix((mix(key) + (word + 1) * GOLDEN) & WORD)


def bits(key: int, index: int) -> int:
    """Return the 64 random bits at a position of a stream."""
    return mix((key + (index + 1) * GOLDEN) & WORD)


def bits32(key: int, index: int) -> int:
    """Return the 32 random bits at a position of a stream."""
    low, high = key & WORD_32, key >> 32
    x = (low + (index + 1) * GOLDEN_32) & WORD_32
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & WORD_32
    x ^= high
    x = ((x ^ (x >> 15)) * 0x846CA68B) & WORD_32
    return x ^ (x >> 16)


def signs(key: int, n: int) -> npt.NDArray[np.int64]:
    """Return n numbers of +1 or -1: bit ``i % 64`` of the stream's word ``i // 64``, 0 is +1."""
    return np.array([1 - 2 * (bits(key, i // 64) >> (i % 64) & 1) for i in range(n)], dtype=np.int64)


def normals(key: int, n: int) -> npt.NDArray[np.int64]:
    """Return n integers of normal shape: entry ``byte i % 8`` of the stream's word ``i // 8`` of the table."""
    table = normal_table()
    return np.array([table[bits(key, i // 8) >> (8 * (i % 8)) & 255] for i in range(n)], dtype=np.int64)
