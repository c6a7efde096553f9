"""Sum rows of floats that events name; twin of `neurosim.kernels.directinput`, in floats of the same width and order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


def sum_rows(table: Floats, start: Int64Array, index: Int32Array, value: Floats | None = None) -> Floats:
    """Return, for each row of events, the sum of the rows of `table` that they name.

    ``out[r] = sum over k in start[r]..start[r + 1] of table[index[k]] * value[k]``, added one after the other.

    Parameters
    ----------
    table : (n, n_columns) float32
    start : (n_rows + 1,) int64
    index : (n_events,) int32
        0..n - 1.
    value : (n_events,) float32, optional
        None: 1 for all.

    Returns
    -------
    (n_rows, n_columns) float32
    """
    out = np.zeros((len(start) - 1, table.shape[1]), table.dtype)
    for row in range(len(out)):
        for k in range(start[row], start[row + 1]):
            out[row] += table[index[k]] if value is None else table[index[k]] * value[k]
    return out


def add_reaches(
    start: Int64Array,
    index: Int32Array,
    value: Floats | None,
    reaches: Int32Array,
    from_: Int32Array,
    to: Int32Array,
    lanes: int,
    source: Floats,
    target: Floats,
) -> Floats:
    """Return `target` with the pieces of `source` added that the events reach, one after the other.

    Parameters
    ----------
    start, index, value
        As in `sum_rows`; `index` is the input of each event.
    reaches : (n_inputs + 1,) int32
        Input j reaches pieces ``reaches[j]`` to ``reaches[j + 1]``.
    from_, to : (n_pieces,) int32
        Where a piece begins in a row of `source` and of `target`.
    lanes : int
        Numbers in a piece.
    source, target : (n_rows, n) or (n,) float32
        With one axis: the same for all rows.
    """
    out = target.copy()
    for row in range(len(start) - 1):
        here, there = (one[row] if one.ndim == 2 else one for one in (source, out))
        for k in range(start[row], start[row + 1]):
            for r in range(reaches[index[k]], reaches[index[k] + 1]):
                added = here[from_[r] : from_[r] + lanes]
                there[to[r] : to[r] + lanes] += added if value is None else added * value[k]
    return out


def sum_byte_rows(
    table: npt.NDArray[np.int8], start: npt.NDArray[np.int64], index: npt.NDArray[np.int32], unit: float
) -> npt.NDArray[np.float32]:
    """Return the sums of rows of bytes that events name, times a unit, (n_rows, n_columns) float32.

    Parameters
    ----------
    table : (n, n_columns) int8
    start, index
        As in `sum_rows`.
    unit : float
        A power of two.
    """
    out = np.zeros((len(start) - 1, table.shape[1]), np.int64)
    for row in range(len(out)):
        out[row] = table[index[start[row] : start[row + 1]]].sum(axis=0, dtype=np.int64)
    return (out * unit).astype(np.float32)


def add_rows(table: Floats, start: Int64Array, index: Int32Array, n_inputs: int, value: Floats | None = None) -> Floats:
    """Return, for each input, the sum of the rows of `table` in which it has an event, (n_inputs, n_columns) float32.

    Parameters
    ----------
    table : (n_rows, n_columns) float32
    start, index, value
        As in `sum_rows`.
    n_inputs : int
    """
    out = np.zeros((n_inputs, table.shape[1]), table.dtype)
    for row in range(len(table)):
        for k in range(start[row], start[row + 1]):
            out[index[k]] += table[row] if value is None else table[row] * value[k]
    return out
