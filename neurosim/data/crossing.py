"""Turn signals into events where they cross levels, as an asynchronous delta converter does, in integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neurosim.data.collect import EventCollector
from neurosim.errors import DataError
from neurosim.events import Events

BLOCK = 4096  # samples looked at together: bounds the memory


def crossing_events(signals: npt.ArrayLike, deltas: Sequence[int]) -> Events:
    """Encode changes: input ``(2 d + down) * n_channels + c`` fires where channel c moved by ``deltas[d]``.

    A tracker starts at the first value. In each step where the signal is at least delta above it, it fires "up" and moves up by as
    many whole deltas as fit; likewise "down". So a fast change makes one event and a slow one as many as it has deltas, and a
    change smaller than delta none.

    Parameters
    ----------
    signals : (n_samples, n_steps, n_channels) int
    deltas : sequence of int
        At least 1.

    Examples
    --------
    >>> crossing_events([[[0], [3], [5], [1]]], [2]).to_dense()[0].astype(int).T.tolist()
    [[0, 1, 1, 0], [0, 0, 0, 1]]
    """
    values = np.asarray(signals)
    if values.ndim != 3 or values.dtype.kind not in "iu":
        raise DataError(
            "crossing encoder: signals must be integers of shape (n_samples, n_steps, n_channels), "
            f"found {values.dtype} of shape {values.shape}; reshape or round them"
        )
    if not deltas or min(deltas) < 1:
        raise DataError(f"crossing encoder: deltas {list(deltas)} must be whole numbers of at least 1; choose others")
    n_samples, n_steps, n_channels = values.shape
    collected = EventCollector(n_steps, 2 * len(deltas) * n_channels)
    for first in range(0, n_samples, BLOCK):
        block = values[first : first + BLOCK].astype(np.int64)
        fired = np.zeros((len(block), n_steps, len(deltas), 2, n_channels), np.bool_)
        for d, delta in enumerate(deltas):
            tracker = block[:, 0].copy() if n_steps else block[:, :0]
            for t in range(n_steps):
                up = np.maximum(block[:, t] - tracker, 0) // delta
                down = np.maximum(tracker - block[:, t], 0) // delta
                tracker += (up - down) * delta
                fired[:, t, d, 0], fired[:, t, d, 1] = up > 0, down > 0
        collected.add(fired.reshape(len(block), n_steps, -1))
    return collected.events()
