"""Random integers of encoders and transforms: each is a hash of the words that name it, so order and blocks do not matter.

The hash is that of `neurosim.reference.noise` (SplitMix64's mixer), here over whole arrays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.reference.noise import GOLDEN, fold

# Streams of data; those of a training run are in `neurosim.learning.keys`, and share no number with these.
STREAM_POISSON = 16  # spikes of `poisson_code`: then the sample
STREAM_SHIFT = 17  # moves of `RandomShift`: then the recording
STREAM_JITTER = 18  # delays of `TimeJitter`: then the recording

_WORD = (1 << 64) - 1


def stream_key(seed: int, *words: int) -> int:
    """Return the 64-bit key of a stream, named by the seed and any number of words.

    Examples
    --------
    >>> stream_key(1, STREAM_POISSON, 7) == stream_key(1, STREAM_POISSON, 7)
    True
    """
    key = fold(0, seed)
    for word in words:
        key = fold(key, word)
    return key


def words_at(key: int, index: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return the 64 random bits at places of a stream: `neurosim.reference.noise.bits` of each, of the shape of `index`."""
    with np.errstate(over="ignore"):
        x = np.uint64(key & _WORD) + (index + np.uint64(1)) * np.uint64(GOLDEN)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)


def below(key: int, index: npt.NDArray[np.uint64], n: int) -> npt.NDArray[np.int64]:
    """Return integers in 0..n - 1, n at most 2**31: the upper 32 bits of each word, times n, over 2**32.

    The probability of each is off by at most 2**-32.
    """
    high = (words_at(key, index) >> np.uint64(32)).astype(np.int64)
    return np.asarray(high * n >> 32, np.int64)
