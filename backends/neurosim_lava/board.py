"""Memory that the forked Lava processes share with the process that started them.

Lava's own way to move data (`Var.get`, `Var.set`) sends one element per message. Here the arrays are made
before Lava forks: input events are inherited, and recordings lie in anonymous shared memory, which has no
name and ends with its processes.
"""

from __future__ import annotations

import mmap
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Feed(NamedTuple):
    """What a source plays: ``neuron[start[i]:start[i + 1]]`` fire in step i, counted over all samples."""

    start: npt.NDArray[np.int64]  # (n_total + 1,)
    neuron: npt.NDArray[np.int32]
    n_steps: int  # of one sample


class Recording(NamedTuple):
    """What a relay writes, row i in step i counted over all samples; None where nothing is probed."""

    spikes: npt.NDArray[np.uint8] | None  # (n_total, ceil(n / 8)) packed bits
    u: npt.NDArray[np.int32] | None  # (n_total, n)
    v: npt.NDArray[np.int32] | None  # (n_total, n)
    n_steps: int  # of one sample


#: By group name, filled by the worker before each build.
FEEDS: dict[str, Feed] = {}
RECORDINGS: dict[str, Recording] = {}


def shared_bytes(n_rows: int, row_bytes: int) -> npt.NDArray[np.uint8]:
    """Return a zeroed array in anonymous memory that forked processes write to."""
    return np.frombuffer(mmap.mmap(-1, n_rows * row_bytes), dtype=np.uint8).reshape(n_rows, row_bytes)


def clear() -> None:
    """Forget the arrays of the last build."""
    FEEDS.clear()
    RECORDINGS.clear()
