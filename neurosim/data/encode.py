"""Turn integer values into input spikes, deterministically and in integer arithmetic only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.data.collect import EventCollector
from neurosim.errors import DataError
from neurosim.events import Events

MAX_CELLS = 1 << 22  # sample x step x input cells looked at together: bounds the memory
GOLDEN = 2654435769  # 2**32 / golden ratio: multiples of it spread evenly modulo 2**32

_Integers = npt.NDArray[Any]  # int32 or int64
_Rule = Callable[[_Integers], npt.NDArray[np.bool_]]


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
    table = check_values(values, n_steps, levels)
    times = np.arange(n_steps, dtype=np.int64)[:, None]
    if stagger:
        times = (times - stagger_shifts(table.shape[1], n_steps)) % n_steps
    t = _narrow(times, n_steps, levels)

    def fires(block: _Integers) -> npt.NDArray[np.bool_]:
        x = block[:, None, :]
        return np.asarray((t + 1) * x // levels > t * x // levels)

    return _encode(table, n_steps, t.dtype, fires)


def latency_code(values: npt.ArrayLike, n_steps: int, levels: int) -> Events:
    """Encode values as spike times: value x > 0 fires once, in step ``(levels - x) * n_steps // levels``; 0 never.

    Parameters as in `rate_code`.

    Examples
    --------
    >>> latency_code([[0, 1, 4]], n_steps=4, levels=4).to_dense()[0].astype(int).T.tolist()
    [[0, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    """
    table = check_values(values, n_steps, levels)
    t = _narrow(np.arange(n_steps, dtype=np.int64)[:, None], n_steps, levels)

    def fires(block: _Integers) -> npt.NDArray[np.bool_]:
        x = block[:, None, :]
        return np.asarray((t == (levels - x) * n_steps // levels) & (x > 0))

    return _encode(table, n_steps, t.dtype, fires)


def _narrow(t: npt.NDArray[np.int64], n_steps: int, levels: int) -> _Integers:
    """Return steps in 32 bits where every product fits, which is twice as fast."""
    return t.astype(np.int32) if (n_steps + 1) * levels < 1 << 31 else t


def check_values(values: npt.ArrayLike, n_steps: int, levels: int) -> npt.NDArray[Any]:
    """Return the values that an encoder was given as an array, or say what is wrong with them, the steps or the levels."""
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
    return table


def stagger_shifts(n_inputs: int, n_steps: int) -> npt.NDArray[np.int64]:
    """Return the rotation of each input in `rate_code`, (n_inputs,) in 0..n_steps - 1."""
    spread = (np.arange(n_inputs, dtype=np.uint64) * np.uint64(GOLDEN)) & np.uint64(0xFFFFFFFF)
    return np.asarray((spread * np.uint64(n_steps)) >> np.uint64(32), dtype=np.int64)


def _encode(table: npt.NDArray[Any], n_steps: int, width: np.dtype[Any], fires: _Rule) -> Events:
    """Collect the spikes of blocks of samples; `fires` maps (n, n_inputs) to (n, n_steps, n_inputs)."""
    n_samples, n_inputs = table.shape
    collected = EventCollector(n_steps, n_inputs)
    block = max(1, MAX_CELLS // max(1, n_steps * n_inputs))
    for first in range(0, n_samples, block):
        collected.add(fires(table[first : first + block].astype(width)))
    return collected.events()
