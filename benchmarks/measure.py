"""What every benchmark needs: options, timing of several programs side by side, tables, child processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from threading import Barrier
from time import perf_counter
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

Work = Callable[[int], object]  # do it so many times
Cell = str | int | float | None  # None: not measured


class Options(NamedTuple):
    """What the command line asks for."""

    quick: bool = False  # small cases and few repeats: shows that everything works, not how fast it is
    seed: int = 1
    threads: tuple[int, ...] = (1, 2)
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)  # of the benchmark that trains

    @property
    def repeats(self) -> int:
        """How often each time is measured."""
        return 3 if self.quick else 9

    @property
    def at_least_s(self) -> float:
        """What is faster is done several times per measurement, until it takes so long."""
        return 0.002 if self.quick else 0.2


class Timing(NamedTuple):
    """Seconds that doing something once takes, over the repeats."""

    best_s: float
    median_s: float


class Table(NamedTuple):
    """Results that answer one question."""

    title: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    note: str = ""


def time_together(programs: Mapping[str, Sequence[Work]], options: Options) -> dict[str, Timing]:
    """Time programs in turn, again and again, so that all of them meet the machine in the same moods.

    Parameters
    ----------
    programs : mapping of name to list of Work
        One work per thread; the threads of a program start together, and the last one to end counts.
    """
    times = {name: _enough(works, options.at_least_s) for name, works in programs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(options.repeats):
        for name, works in programs.items():
            seconds[name].append(_run(works, times[name]) / times[name])
    return {name: Timing(min(found), median(found)) for name, found in seconds.items()}


def _enough(works: Sequence[Work], at_least_s: float) -> int:
    """Return how many times take long enough to be measured; the first run, which may compile, does not count."""
    _run(works, 1)
    times = 1
    while _run(works, times) < at_least_s:
        times *= 2
    return times


def _run(works: Sequence[Work], times: int) -> float:
    if len(works) == 1:
        start = perf_counter()
        works[0](times)
        return perf_counter() - start
    barrier = Barrier(len(works) + 1)

    def one(work: Work) -> None:
        barrier.wait()
        work(times)

    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(one, work) for work in works]
        barrier.wait()
        start = perf_counter()
        for future in futures:
            future.result()
        return perf_counter() - start


def calls(function: Callable[[], object]) -> Work:
    """Return the work of calling a function."""

    def work(times: int) -> None:
        for _ in range(times):
            function()

    return work


def run_python(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[float, str]:
    """Run Python in a process of its own; return the seconds that it took, and its output.

    Raises
    ------
    RuntimeError
        With what it wrote to stderr, if it failed.
    """
    paths = [str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path), **(environment or {})}
    start = perf_counter()
    done = subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True, check=False)
    taken = perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"python {' '.join(arguments)}: ended with {done.returncode}: {done.stderr[-2000:]}")
    return taken, done.stdout
