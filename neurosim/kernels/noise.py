"""Counter-based integer noise: every number is a hash of the words that name it (SplitMix64's mixer).

Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, doi 10.1145/2660193.2660195,
figure 13 (the constants of `mix`). Unsigned 64-bit throughout, but for the noise of rounding, which has 32 bits so that
sixteen weights are rounded at once; its multipliers are "lowbias32" of C. Wellons' hash prospector (2018).
"""

import numpy as np

from neurosim.kernels.jit import jit

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
SHIFT_1, SHIFT_2, SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
GOLDEN_32 = np.uint32(0x9E3779B9)
MIX_32_1, MIX_32_2 = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
ONE, LANE_BITS, LANE_MASK = np.uint64(1), np.uint64(6), np.uint64(63)


@jit
def mix(x):
    """Return a bijective scramble of 64 bits."""
    x = (x ^ (x >> SHIFT_1)) * MIX_1
    x = (x ^ (x >> SHIFT_2)) * MIX_2
    return x ^ (x >> SHIFT_3)


@jit
def fold(key, word):
    """Return the key of a sub-stream: the scrambled key, moved by the word, scrambled again."""
    return mix(mix(key) + (np.uint64(word) + ONE) * GOLDEN)


@jit
def bits(key, index):
    """Return the 64 random bits at a position of a stream."""
    return mix(key + (np.uint64(index) + ONE) * GOLDEN)


@jit
def fill_signs(key, signs):
    """Write +1 or -1 to ``signs`` (n,) int8: bit ``i % 64`` of the stream's word ``i // 64``."""
    n = len(signs)
    for word in range((n + 63) // 64):
        r = bits(key, word)
        for i in range(64 * word, min(n, 64 * word + 64)):
            signs[i] = np.int8(1) - np.int8(2) * np.int8((r >> np.uint64(i & 63)) & ONE)


@jit
def bits32(low, high, index):
    """Return the 32 random bits at a position of a stream whose key has the halves `low` and `high`.

    low, high : uint32
    index : int
        0..2**32 - 1
    """
    x = np.uint32(low + np.uint32(np.uint32(index) + np.uint32(1)) * GOLDEN_32)
    x = np.uint32(np.uint32(x ^ (x >> np.uint32(16))) * MIX_32_1)
    x = np.uint32(x ^ high)
    x = np.uint32(np.uint32(x ^ (x >> np.uint32(15))) * MIX_32_2)
    return np.uint32(x ^ (x >> np.uint32(16)))
