"""Turn integer values into input spikes, deterministically and in integer arithmetic only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError
from neurosim.events import Events

MAX_CELLS = 1 << 24  # sample x step x input cells looked at together: bounds the memory
GOLDEN = 2654435769  # 2**32 / golden ratio: multiples of it spread evenly modulo 2**32

_Rule = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.bool_]]


def rate_code(values: npt.ArrayLike, n_steps: int, levels: int, *, stagger: bool = True) -> Events:
    """Encode values as spike counts: value x fires ``x * n_steps // levels`` times, evenly spread.

    Input i with value x fires in step t (from 0) where ``(t + 1) * x // levels > t * x // levels``
    (Bresenham's line), so that gaps between spikes differ by at most one step.

    Parameters
    ----------
    values : (n_samples, n_inputs) int
        0..levels.
    n_steps : int
    levels : int
        The value that fires in each step.
    stagger : bool
        Rotate the pattern of input i by ``(i * 2654435769 mod 2**32) * n_steps >> 32`` steps, so that equal
        values do not fire together. Counts stay the same; the gap across the rotation's seam may be longer.

    Examples
    --------
    >>> rate_code([[0, 2, 4]], n_steps=4, levels=4, stagger=False).to_dense()[0].astype(int).T.tolist()
    [[0, 0, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1]]
    """
    table = _check(values, n_steps, levels)
    t = np.arange(n_steps, dtype=np.int64)[:, None]
    if stagger:
        t = (t - _shifts(table.shape[1], n_steps)) % n_steps

    def fires(block: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        x = block[:, None, :]
        return np.asarray((t + 1) * x // levels > t * x // levels)

    return _encode(table, n_steps, fires)


def latency_code(values: npt.ArrayLike, n_steps: int, levels: int) -> Events:
    """Encode values as spike times: value x > 0 fires once, in step ``(levels - x) * n_steps // levels``; 0 never.

    Parameters as in `rate_code`.

    Examples
    --------
    >>> latency_code([[0, 1, 4]], n_steps=4, levels=4).to_dense()[0].astype(int).T.tolist()
    [[0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    """
    table = _check(values, n_steps, levels)
    t = np.arange(n_steps, dtype=np.int64)[:, None]

    def fires(block: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        x = block[:, None, :]
        return np.asarray((t == (levels - x) * n_steps // levels) & (x > 0))

    return _encode(table, n_steps, fires)


def _check(values: npt.ArrayLike, n_steps: int, levels: int) -> npt.NDArray[np.int64]:
    table = np.asarray(values)
    if table.ndim != 2 or table.dtype.kind not in "iu":
        raise DataError(
            "encoder: values must be integers of shape (n_samples, n_inputs), "
            f"found {table.dtype} of shape {table.shape}; reshape or round them"
        )
    for name, number in (("n_steps", n_steps), ("levels", levels)):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not 1 <= number < 1 << 31:
            raise DataError(f"encoder: {name} {number!r} is not an integer in 1..2**31 - 1; choose another")
    if table.size and (int(table.min()) < 0 or int(table.max()) > levels):
        worst = int(table.max()) if int(table.max()) > levels else int(table.min())
        raise DataError(f"encoder: value {worst} is outside 0..{levels}; scale the values or raise levels")
    return table.astype(np.int64)


def _shifts(n_inputs: int, n_steps: int) -> npt.NDArray[np.int64]:
    """Rotation of each input, 0..n_steps - 1."""
    spread = (np.arange(n_inputs, dtype=np.uint64) * np.uint64(GOLDEN)) & np.uint64(0xFFFFFFFF)
    return np.asarray((spread * np.uint64(n_steps)) >> np.uint64(32), dtype=np.int64)


def _encode(table: npt.NDArray[np.int64], n_steps: int, fires: _Rule) -> Events:
    """Collect the spikes of blocks of samples; `fires` maps (n, n_inputs) to (n, n_steps, n_inputs)."""
    n_samples, n_inputs = table.shape
    block = max(1, MAX_CELLS // max(1, n_steps * n_inputs))
    per_step, neurons = [np.zeros(1, np.int64)], [np.zeros(0, np.int32)]
    for first in range(0, n_samples, block):
        spikes = fires(table[first : first + block])
        per_step.append(spikes.sum(axis=2, dtype=np.int64).ravel())
        neurons.append(np.nonzero(spikes)[2].astype(np.int32))
    start = np.cumsum(np.concatenate(per_step), dtype=np.int64)
    return Events(start, np.concatenate(neurons), n_samples, n_steps, n_inputs)
