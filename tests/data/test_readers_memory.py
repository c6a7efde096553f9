"""Long recordings are read in bounded memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peakmem_events
from neurosim.data.readers import open_events
from neurosim.data.writers import TARGETS, Selection, convert

N = 3_000_000
SIZE = 13  # bytes of an event in memory
MIB = 1 << 20


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "text"])
def test_millions_of_events_need_memory_for_a_piece(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"a{TARGETS[name].suffix}"
    tracemalloc.start()
    try:
        convert(peakmem_events.recording(N, 1), path, name, Selection())
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        n_events = sum(len(events) for events in open_events(path).chunks(100_000))
        read = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_events == N
    assert N * SIZE > 37 * MIB and written < 24 * MIB
    assert read < 16 * MIB, f"read with {read / MIB:.0f} MiB"


def test_the_benchmark_counts_every_event(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    convert(peakmem_events.recording(70_000, 1), path, "npz", Selection())
    n_events, seconds, peak = peakmem_events.measure(path)
    assert n_events == 70_000 and seconds > 0 and peak > 10 * MIB
    np.testing.assert_array_equal(open_events(path).read()["t"], np.arange(70_000) * (1 << 23) // 70_000)
