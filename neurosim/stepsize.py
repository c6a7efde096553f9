"""How large a step is in each generation, and how many weights may move by chance: schedules in integers."""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from math import isqrt

import numpy as np
import numpy.typing as npt

FULL_STEP = 256  # the step's value at its largest
SCHEDULES = ("linear", "constant", "cosine", "halving")
Z_ONE = 256  # one standard deviation in a threshold of significance
SHARE_BITS = 32  # shares are in units of 2**-32
DECAY_NUMERATOR, DECAY_PER_GENERATION = 200, 3  # the share falls as 1 / (0.015 g + 1) = 200 / (3 g + 200)
COSINE_BITS = 128
HALF_TOSSES = 2 * Z_ONE * Z_ONE  # heads of twice as many tosses, less half of them, have a standard deviation of 256


def step_size(schedule: str, generation: int, n_generations: int, halvings: int = 4) -> int:
    """Return the step's value in a generation, 1..256.

    Parameters
    ----------
    schedule : {"linear", "constant", "cosine", "halving"}
        From 256 to 1 in a line, or along half a wave of the cosine; 256 throughout; or halved `halvings` times, in
        equal parts of the run.
    generation : int
        0..n_generations - 1
    n_generations : int
    halvings : int
        0..8

    Examples
    --------
    >>> [[step_size(s, g, 8) for g in (0, 1, 4, 7)] for s in SCHEDULES]
    [[256, 224, 128, 32], [256, 256, 256, 256], [256, 246, 128, 10], [256, 256, 64, 16]]
    """
    size = FULL_STEP
    if schedule == "linear":
        size = (n_generations - generation) * FULL_STEP // n_generations
    elif schedule == "cosine":
        size = int(cosine_table()[generation * FULL_STEP // n_generations])
    elif schedule == "halving":
        size = FULL_STEP >> (generation * (halvings + 1) // n_generations)
    else:
        assert schedule == "constant", schedule
    return max(1, size)


@cache
def cosine_table() -> npt.NDArray[np.int64]:
    """Return ``round(128 (1 + cos(pi i / 256)))`` for i = 0..256, (257,) int64.

    The cosine of the smallest angle comes from halving a right angle by integer square roots, the others from
    ``cos((i + 1) x) = 2 cos(x) cos(i x) - cos((i - 1) x)``; 128 bits leave no doubt about any entry.
    """
    one = 1 << COSINE_BITS
    smallest = 0
    for _ in range(7):  # cos(x / 2)**2 = (1 + cos(x)) / 2
        smallest = isqrt((one + smallest) * one // 2)
    values = [one, smallest]
    while len(values) <= FULL_STEP:
        values.append((2 * smallest * values[-1] >> COSINE_BITS) - values[-2])
    half = FULL_STEP // 2
    return np.array([(half * (one + value) + one // 2) >> COSINE_BITS for value in values], np.int64)


def moving_share(share: int, generation: int) -> int:
    """Return the share of weights that may move by chance in a generation: ``share / (0.015 generation + 1)``.

    Both in units of 2**-32. The decay is EGG's (arXiv:2511.16652, appendix G).
    """
    return share * DECAY_NUMERATOR // (DECAY_PER_GENERATION * generation + DECAY_NUMERATOR)


def significance(share: int) -> int:
    """Return z, in 1/256, such that a normal number lies beyond z standard deviations with that probability.

    Parameters
    ----------
    share : int
        Probability of both tails together in units of 2**-32; 2**32 and more give 0.

    Examples
    --------
    >>> [significance((1 << 32) // n) for n in (1, 2, 4, 8, 16)]  # 0, 0.674, 1.150, 1.534, 1.863
    [0, 173, 294, 393, 477]
    """
    tails, total = _tails()
    low, high = 0, len(tails) - 1  # the first entry that is small enough
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if tails[middle] << SHARE_BITS <= share * total else (middle + 1, high)
    return max(0, low - 1)  # heads from `low` on are numbers from `low - 1/2` on


@cache
def _tails() -> tuple[list[int], int]:
    """Return how often heads differ from half the tosses by h or more, for h = 0, 1, ..., and the sum of all."""
    weights = [1 << COSINE_BITS]
    while weights[-1]:
        h = len(weights)
        weights.append(weights[-1] * (HALF_TOSSES + 1 - h) // (HALF_TOSSES + h))
    both = [weights[0], *(2 * weight for weight in weights[1:])]
    tails = list(accumulate(reversed(both)))[::-1]
    return tails, tails[0]
