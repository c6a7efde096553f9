"""What does a generation cost beside full-rank evolution strategies, and how does the cost grow?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np

from benchmarks.measure import Cell, Options, Table, time_together
from benchmarks.time_population import GENERATIONS, Problem, calibrated, generation_work, large_problem, make_problem
from neurosim.config import NetworkConfig, RuleConfig
from neurosim.errors import DataError
from neurosim.events import Events, events_from_dense
from neurosim.tasks import load_task

BATCH, BATCH_QUICK = 32, 2
PAIRS = 32
GEOMETRY, N_STEPS = (34 * 34 * 2, 256, 10), 16  # of N-MNIST: inputs, hidden neurons, classes
RATE = 0.08  # of N-MNIST's inputs in a step, where its recordings are not here
#: Rules that are compared; those whose factor is full are the baseline.
RULES = (
    ("response", "trace", 1), ("scalar", "trace", 1), ("scalar", "random", 1), ("scalar", "random", 4),
    ("scalar", "gaussian", 1), ("scalar", "full", 1), ("scalar", "full-gaussian", 1),
)  # fmt: skip


class Axis(NamedTuple):
    """One thing that grows while the others stay."""

    name: str
    values: tuple[int, ...]
    quick: tuple[int, ...]
    change: Callable[[int, int], tuple[Problem, RuleConfig]]  # of a value and a seed
    note: str


def tables(options: Options) -> list[Table]:
    """Compare rules on N-MNIST's geometry; then let population, rank, hidden neurons and input spikes grow."""
    return [against_full_rank(options), *(growth(axis, options) for axis in AXES)]


def against_full_rank(options: Options) -> Table:
    """Time a generation of each rule with the same population on the same batch."""
    batch, pairs = (BATCH_QUICK, 2) if options.quick else (BATCH, PAIRS)
    problem, what = nmnist_problem(options.seed)
    works = {}
    with ExitStack() as stack:
        for rule in RULES:
            for threads in options.threads:
                form, factor, rank = rule
                config = RuleConfig(form=form, factor=factor, rank=rank, pairs=pairs, warmup=1)
                trainer, _ = calibrated(problem, config, batch, threads, options.seed, stack)
                works[f"{rule} {threads}"] = [generation_work(trainer, batch)]
        timings = time_together(works, options)
    rows: list[list[Cell]] = []
    for threads in options.threads:
        full = min(timings[f"{rule} {threads}"].best_s / GENERATIONS for rule in RULES if rule[1].startswith("full"))
        for rule in RULES:
            best, median = (x / GENERATIONS for x in timings[f"{rule} {threads}"])
            row: list[Cell] = [*rule, threads, 1e3 * best, 1e3 * median]
            rows.append([*row, batch * 2 * pairs / best, full / best])
    columns = (
        "form",
        "factor",
        "rank",
        "threads",
        "ms per generation",
        "median",
        "member-samples/s",
        "times faster than full rank",
    )
    note = (
        f"{problem.name}, {what}; generations of {batch} samples with {pairs} antithetic pairs each, whole: noise, runs, votes, "
        "measured responses, update. Full rank: the faster of both full factors. For each pair it draws "
        "a number for every synapse of the sources that fired, 64 signs from one hash, keeps them in a byte each, and sums their rows as "
        "it sums weights, those of inputs once for both members."
    )
    return Table("A generation beside full rank", columns, rows, note)


def nmnist_problem(seed: int) -> tuple[Problem, str]:
    """Return 2312-256-10 on N-MNIST's recordings, or on random spikes as dense as they are, and which of them it is."""
    n_inputs, n_hidden, n_classes = GEOMETRY
    config = NetworkConfig(hidden=(n_hidden,), n_steps=N_STEPS)
    try:
        task = load_task("nmnist:pool=1,phases=1,least=1,copies=1", n_steps=N_STEPS, augment=False)
        events, labels, what = task.train_events, task.train_labels, "recordings of N-MNIST"
    except DataError:
        rng = np.random.default_rng(seed)
        events = events_from_dense(rng.random((2 * BATCH, N_STEPS, n_inputs)) < RATE)
        labels, what = rng.integers(0, n_classes, 2 * BATCH), "random spikes"
    problem = make_problem("nmnist", config, events, labels, n_classes, seed)
    return problem, f"{what}, {len(events.neuron) / events.n_samples:.0f} input spikes a sample"


def growth(axis: Axis, options: Options) -> Table:
    """Time a generation for each value, and say how far the times are from a straight line."""
    batch = BATCH_QUICK if options.quick else BATCH
    values = axis.quick if options.quick else axis.values
    works, found = {}, []
    with ExitStack() as stack:
        for value in values:
            problem, rule = axis.change(value, options.seed)
            for threads in options.threads:
                trainer, shown = calibrated(problem, rule, batch, threads, options.seed, stack)
                works[f"{value} {threads}"] = [generation_work(trainer, batch)]
            found.append(sum(shown.rates.values()) / len(shown.rates))
        timings = time_together(works, options)
    first, last = options.threads[0], options.threads[-1]
    times = {t: np.array([timings[f"{value} {t}"].best_s / GENERATIONS for value in values]) for t in options.threads}
    line = fitted(values, times[first])
    rows: list[list[Cell]] = []
    for i, value in enumerate(values):
        row: list[Cell] = [value, f"{100 * found[i]:.0f} %", *(1e3 * float(times[t][i]) for t in options.threads)]
        rows.append([*row, 1e3 * float(line[i]), float(times[first][i] / times[last][i])])
    columns = (
        axis.name, "hidden rate", *(f"ms, threads {t}" for t in options.threads), f"straight line, ms, threads {first}",
        f"threads {first} to {last}",
    )  # fmt: skip
    return Table(f"Cost against {axis.name}", columns, rows, f"Generations of {batch} samples; {axis.note}")


def fitted(values: Sequence[int], seconds: np.ndarray) -> np.ndarray:
    """Return the straight line through the times whose relative errors are smallest, in least squares.

    Examples
    --------
    >>> fitted([1, 2, 4], np.array([3.0, 5.0, 9.0])).round(6).tolist()
    [3.0, 5.0, 9.0]
    """
    terms = np.stack([np.ones(len(values)), np.asarray(values, np.float64)], axis=1)
    found = np.linalg.lstsq(terms / seconds[:, None], np.ones(len(values)), rcond=None)[0]
    return np.asarray(terms @ found)


def _pairs(n: int, seed: int) -> tuple[Problem, RuleConfig]:
    return large_problem(seed), RuleConfig(pairs=n, warmup=1)


def _rank(n: int, seed: int) -> tuple[Problem, RuleConfig]:
    rule = RuleConfig(form="scalar", factor="random", rank=n, pairs=8, warmup=1)
    return large_problem(seed), rule


def _hidden(n: int, seed: int) -> tuple[Problem, RuleConfig]:
    problem = large_problem(seed)
    config = NetworkConfig(hidden=(n,), n_steps=problem.events.n_steps)
    return make_problem("wide", config, problem.events, problem.labels, 10, seed), RuleConfig(pairs=8, warmup=1)


def _spikes(percent: int, seed: int) -> tuple[Problem, RuleConfig]:
    problem = large_problem(seed)
    return problem._replace(events=thinned(problem.events, percent, seed)), RuleConfig(pairs=8, warmup=1)


def thinned(events: Events, percent: int, seed: int) -> Events:
    """Keep so many of a hundred input spikes, chosen at random."""
    fires = events.to_dense()
    return events_from_dense(fires & (np.random.default_rng(seed).random(fires.shape) < percent / 100))


AXES = (
    Axis("pairs", (1, 4, 16, 64, 256), (1, 2), _pairs, "784-256-10, response form with traces."),
    Axis("rank", (1, 2, 4, 8, 16), (1, 2), _rank, "784-256-10, scalar form with random factors, 8 pairs."),
    Axis(
        "hidden neurons", (64, 128, 256, 512, 1024, 2048), (64, 128), _hidden,
        "784-h-10, response form with traces, 8 pairs.",
    ),
    Axis(
        "share of input spikes, %", (10, 25, 50, 75, 100), (50, 100), _spikes,
        "784-256-10, response form with traces, 8 pairs; 100 %: about 820 spikes in 8 steps.",
    ),
)  # fmt: skip
