"""Columns of events by their many names, as tables, arrays and HDF5 files have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.data.eventblock import LATEST, Block
from neurosim.data.formats.binary import brief
from neurosim.errors import DataError

#: Names of a column, small letters; the first is ours.
NAMES = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps", "time_us", "timestamp_us"),
    "x": ("x", "xs", "x_pos", "addr", "address", "channel", "channels", "unit", "units", "neuron"),
    "y": ("y", "ys", "y_pos"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
}
US_PER_S = 1_000_000
EXACT = LATEST  # floats hold integers up to here


def find_columns(names: Sequence[str], where: str) -> dict[str, str]:
    """Return the name of each column, t and x at least, and y and p where they are there.

    Raises
    ------
    DataError
        If t or x is missing, or two columns could be the same one.
    """
    found: dict[str, str] = {}
    for column, aliases in NAMES.items():
        matches = [name for name in names if name.strip().lower() in aliases]
        if len(matches) > 1:
            raise DataError(
                f"{where}: {brief(' and '.join(map(repr, matches)))} both name column {column!r}; keep one of them"
            )
        if matches:
            found[column] = matches[0]
    for column in ("t", "x"):
        if column not in found:
            raise DataError(
                f"{where}: has {brief(', '.join(map(repr, names))) or 'nothing'}, but no column {column!r} "
                f"({', '.join(NAMES[column])}); name the columns t, x, y, p"
            )
    return found


def to_microseconds(t: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return times in microseconds, and where there is none: integers are microseconds, floats are seconds."""
    if t.dtype.kind in "iu":
        too_late = t > np.iinfo(np.int64).max if t.dtype == np.uint64 else np.zeros(len(t), np.bool_)
        return t.astype(np.int64), too_late
    us = t.astype(np.float64) * US_PER_S
    bad = ~(np.abs(us) < EXACT)  # also where it is no number
    return np.rint(np.where(bad, 0, us)).astype(np.int64), bad


def to_block(t: npt.NDArray[Any], x: npt.NDArray[Any], y: npt.NDArray[Any] | None, p: npt.NDArray[Any] | None) -> Block:
    """Return columns of one length as events: without y a sensor in one dimension, without p all are ON.

    Polarities may be 0 and 1, -1 and 1, or booleans; coordinates are whole numbers.
    """
    time, bad = to_microseconds(t)
    places = []
    for column in (x, np.zeros(len(t), np.uint16) if y is None else y):
        if column.dtype.kind == "f":
            whole = np.abs(column) < EXACT
            whole &= np.rint(np.where(whole, column, 0)) == column
            bad = bad | ~whole
            column = np.where(whole, column, 0).astype(np.int64)
        places.append(column)
    if p is None:
        p = np.ones(len(t), np.uint8)
    elif p.dtype.kind == "b":
        p = p.astype(np.uint8)
    else:
        p = np.where((p == 0) | (p == -1), 0, np.where(p == 1, 1, 2)).astype(np.uint8)
    return Block(time, places[0], places[1], p, bad if bad.any() else None, "no numbers")
