"""How much memory does it take to read a recording of many events, and how fast is it read?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Cell, Options, Table, run_python
from benchmarks.peakmem import PEAK
from neurosim.data.eventblock import Block
from neurosim.data.eventfile import EventFile, Recorded
from neurosim.data.eventtype import EVENT
from neurosim.data.writers import TARGETS, Selection, convert

SIZES = (1_000_000, 20_000_000)  # events
QUICK_SIZES = (20_000, 200_000)
BLOCK = 1 << 16
SIDE = 34
LAST_US = 1 << 23

#: Counts the events of a file as ``neurosim data info`` does; prints how many, seconds, and the peak.
COUNT = """
from time import perf_counter
from neurosim.data.eventstats import EventStats
from neurosim.data.readers import open_events
start, stats = perf_counter(), EventStats()
for events in open_events({path!r}).chunks(1 << 18):
    stats.add(events)
print(stats.n_events, perf_counter() - start)
"""


def tables(options: Options) -> list[Table]:
    """Measure a process for each format and length."""
    sizes = QUICK_SIZES if options.quick else SIZES
    rows: list[list[Cell]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, target in TARGETS.items():
            for n in sizes:
                path = Path(folder) / f"events{target.suffix}"
                convert(recording(n, options.seed), path, name, Selection())
                counted, seconds, peak = measure(path)
                if counted != n:
                    raise RuntimeError(f"format {name}: {counted} of {n} events were read")
                rows.append(
                    [name, n, path.stat().st_size / 2**20, n * EVENT.itemsize / 2**20, peak / 2**20, n / seconds]
                )
                path.unlink()
    note = (
        "A process of its own counts a recording of 34 x 34 pixels by pixel, polarity and time, in pieces of 262,144 events. Peak: "
        "largest resident set, numpy and neurosim included; it must not grow with the events."
    )
    columns = ("format", "events", "file, MiB", "events in memory, MiB", "peak, MiB", "events per second")
    return [Table("Reading recordings", columns, rows, note)]


def measure(path: Path) -> tuple[int, float, int]:
    """Return events, seconds and peak of bytes of reading a file."""
    n, seconds, peak = run_python(["-c", COUNT.format(path=str(path)) + PEAK])[1].split()[-3:]
    return int(n), float(seconds), int(peak)


def recording(n: int, seed: int) -> EventFile:
    """Return a recording of n random events that is made piece by piece."""

    def blocks() -> Iterator[Block]:
        rng = np.random.default_rng(seed)
        for first in range(0, n, BLOCK):
            size = min(BLOCK, n - first)
            time: npt.NDArray[Any] = np.arange(first, first + size) * LAST_US // n
            x, y = rng.integers(0, SIDE, (2, size))
            yield Block(time, x, y, rng.integers(0, 2, size))

    return EventFile("random events", "array", Recorded(blocks))
