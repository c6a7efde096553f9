"""From which density on are rows of all targets faster than a word per synapse?"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from benchmarks.drivers import repeat_add_rows8, repeat_add_synapses
from benchmarks.measure import Cell, Options, Table, time_together
from neurosim.codes import TARGET_BITS
from neurosim.mapping.formats import rows_pay

SHAPES = ((10, 256), (64, 64), (256, 784), (1_024, 1_024), (2_048, 4_096), (10_000, 10_000))  # n_post, n_pre
PERCENTS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
SPIKING = 10  # one source in so many fires in a step
N_LISTS = 16


def tables(options: Options) -> list[Table]:
    """Time both formats over shapes and densities."""
    shapes = SHAPES[:3] if options.quick else SHAPES
    rows = [_row(shape, options) for shape in shapes]
    columns = (
        "targets x sources", "bytes of rows", *(f"{percent:g} %" for percent in PERCENTS), "equal at, %", "chosen from, %",
    )  # fmt: skip
    note = (
        "Time of a word per synapse over time of rows of int8, one thread, 10 % of the sources firing; above 1 rows are "
        "faster. Equal: interpolated. Chosen: what `mapping.formats` makes of a connection of this shape."
    )
    return [Table("Formats", columns, rows, note)]


def _row(shape: tuple[int, int], options: Options) -> list[Cell]:
    n_post, n_pre = shape
    ratios = [_ratio(n_post, n_pre, percent, options) for percent in PERCENTS]
    chosen = next((p / 10 for p in range(1_000) if rows_pay(shape, n_post * n_pre * p // 1_000)), None)
    return [f"{n_post:,} x {n_pre:,}", n_post * n_pre, *ratios, _crossing(ratios), chosen]


def _crossing(ratios: list[float]) -> float | None:
    """Return the density at which the ratio is 1, between the two around it, on logarithmic axes."""
    if ratios[0] >= 1:
        return PERCENTS[0]
    for i in range(1, len(ratios)):
        if ratios[i] >= 1:
            low, high = np.log(ratios[i - 1]), np.log(ratios[i])
            step = float(-low / (high - low))
            return float(PERCENTS[i - 1] * (PERCENTS[i] / PERCENTS[i - 1]) ** step)
    return None


def _ratio(n_post: int, n_pre: int, percent: float, options: Options) -> float:
    rng = np.random.default_rng(options.seed)
    start, word = random_words(n_post, n_pre, percent, rng)
    rows = rng.integers(-128, 128, n_post * n_pre, np.int8)
    n_spikes = max(1, n_pre // SPIKING)
    lists = np.sort(np.stack([rng.permutation(n_pre)[:n_spikes] for _ in range(N_LISTS)]), axis=1).astype(np.int32)
    total = np.zeros(n_post, np.int32)
    programs = {
        "words": [partial(repeat_add_synapses, start=start, word=word, lists=lists, total=total)],
        "rows": [partial(repeat_add_rows8, rows=rows, n_post=n_post, lists=lists, total=total)],
    }
    # Many short measurements rather than few long ones: there are many cases, and only the best counts.
    rounds = [time_together(programs, options._replace(quick=True)) for _ in range(1 if options.quick else 8)]
    words, full = (min(timings[name].best_s for timings in rounds) for name in ("words", "rows"))
    return words / full


def random_words(
    n_post: int, n_pre: int, percent: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return random synapses by presynaptic neuron: where each one's begin, and their words."""
    per_source = rng.binomial(n_post, percent / 100, n_pre)
    start = np.concatenate([[0], np.cumsum(per_source)]).astype(np.int64)
    target = np.concatenate([np.sort(rng.choice(n_post, n, replace=False)) for n in per_source])
    weight = rng.integers(-256, 256, target.size)
    return start, (weight << TARGET_BITS | target).astype(np.int32)
