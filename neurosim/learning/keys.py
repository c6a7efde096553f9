"""Keys of everything random in a training run; each is a hash of the words that name its use."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.data.draws import stream_key as stream_key
from neurosim.data.draws import words_at

# Streams of a run. Keys are mixed, never added: neighbouring seeds, generations and streams share nothing.
STREAM_ORDER = 1  # order of the samples in an epoch
STREAM_PAIRS = 2  # noise of a generation's pairs
STREAM_ROUNDING = 3  # rounding of a generation's updates
STREAM_WARMUP = 4  # noise of the generations measured before weights move
STREAM_WEIGHTS = 5  # initial weights of a connection


def uniform_bits(key: int, n: int) -> npt.NDArray[np.uint64]:
    """Return the first n words of a stream, (n,) uint64: `neurosim.reference.noise.bits` for 0..n - 1, at once."""
    return words_at(key, np.arange(n, dtype=np.uint64))


def permutation(key: int, n: int) -> npt.NDArray[np.int64]:
    """Return 0..n - 1 in the order of the stream's words."""
    return np.argsort(uniform_bits(key, n), kind="stable").astype(np.int64)


def uniform_integers(key: int, n: int, limit: int) -> npt.NDArray[np.int64]:
    """Return n integers in -limit..limit, (n,) int64.

    Made from the upper 32 bits of each word, so the probability of a value is off by at most 2**-32.
    """
    high = (uniform_bits(key, n) >> np.uint64(32)).astype(np.int64)
    return (high * (2 * limit + 1) >> 32) - limit
