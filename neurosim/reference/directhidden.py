"""Lists of messages and a convolution's gradient by its input; twin of `neurosim.kernels.directhidden`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.reference.noise import bits

Floats = npt.NDArray[np.float32]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


def list_messages(frames: Floats, most: int) -> tuple[Int64Array, Int32Array, Floats, int] | None:
    """Return what is not 0, row after row.

    Parameters
    ----------
    frames : (n_rows, n) float32
    most : int
        Largest number of messages to list.

    Returns
    -------
    start : (n_rows + 1,) int64
        Messages of row r are ``start[r]`` to ``start[r + 1]``.
    index : (n_messages,) int32
        The sender of each, ascending within a row.
    value : (n_messages,) float32
    is_valued : int
        Whether some message is not 1.
        All of it None where there are more than `most`.
    """
    rows, index = np.nonzero(frames)
    if len(index) > most:
        return None
    value = frames[rows, index]
    start = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(frames)))]).astype(np.int64)
    return start, index.astype(np.int32), value, int((value != 1).any())


def gather_taps(
    source: Floats, taps: Int32Array, from_: Int32Array, weight: Int32Array, table: Floats, n_from: int
) -> Floats:
    """Return the sums of rows of a table over the taps of each cell, each times a number of `source`.

    The kernel adds a product in one rounding where the machine can; this adds in 64 bits, so that both are equal where all sums are
    whole numbers below 2**24, and equal to rounding elsewhere.

    Parameters
    ----------
    source : (n_rows, n_source) float32
    taps : (n_cells + 1,) int32
        Taps of cell i are ``taps[i]`` to ``taps[i + 1]``.
    from_, weight : (n_taps,) int32
        Where a tap begins in a row of `source` and in the rows of `table`.
    table : (n, width) float32
    n_from : int
        Numbers of `source`, and rows of `table`, of each tap.

    Returns
    -------
    (n_rows, n_cells, width) float32
    """
    out = np.zeros((len(source), len(taps) - 1, table.shape[1]))
    for cell in range(len(taps) - 1):
        for k in range(taps[cell], taps[cell + 1]):
            told = source[:, from_[k] : from_[k] + n_from].astype(np.float64)
            out[:, cell] += told @ table[weight[k] : weight[k] + n_from].astype(np.float64)
    return out.astype(np.float32)


def draw_kept(key: int, first: int, limit: int, factor: float, n: int) -> Floats:
    """Return `factor` for neurons that are not dropped out, and 0 for the others, (n,) float32.

    Parameters
    ----------
    key : int
        Of the stream (`neurosim.reference.noise`).
    first : int
        Place of the first neuron's word in the stream.
    limit : int
        A neuron is dropped whose word's upper 32 bits are below it.
    factor : float
    n : int
    """
    words = np.array([bits(key, first + i) >> 32 for i in range(n)], np.int64)
    return np.where(words >= limit, np.float32(factor), np.float32(0))
