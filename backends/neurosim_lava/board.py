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
    """What a source plays: ``neuron[start[i]:start[i + 1]]`` fire in step i, counted over the steps of all samples."""

    start: npt.NDArray[np.int64]  # (n_samples * n_steps + 1,)
    neuron: npt.NDArray[np.int32]
    n_steps: int  # of one sample
    period: int = 0  # steps from the start of a sample to that of the next; 0: as many as n_steps
    value: npt.NDArray[np.int32] | None = None  # of each event; None: all 1


class Recording(NamedTuple):
    """What a relay writes about a group, row i in step i counted over the steps of all samples; None: not probed."""

    spikes: npt.NDArray[np.uint8] | None  # (n_rows, ceil(n / 8)) packed bits
    values: npt.NDArray[np.int32] | None  # (n_rows, n) messages, where they are not just 0 and 1
    states: tuple[npt.NDArray[np.int32] | None, ...]  # (n_rows, n) each, in the order of the model's states
    rest: tuple[int, ...]  # value of each state at the start of a sample
    n_steps: int  # of one sample
    period: int  # steps from the start of a sample to that of the next


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
