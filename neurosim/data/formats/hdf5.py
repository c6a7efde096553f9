"""Events in HDF5 files: many recordings as in SHD and SSC, or one as columns.

The Heidelberg sets (Cramer et al., IEEE TNNLS 33:2744, 2022) have ``spikes/times`` in seconds and ``spikes/units``, one row of its own
length for each recording, and ``labels``. Others have one dataset for each column in a group, such as ``events/t``. The HDF5 library
runs in a process of its own (`neurosim.hdf5tree`), so that a damaged file cannot harm this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.eventblock import Block, Size
from neurosim.data.eventfile import Recorded
from neurosim.data.formats.binary import brief
from neurosim.data.formats.columns import find_columns, to_block
from neurosim.errors import DataError, ModelFileError
from neurosim.hdf5tree import Description, TreeReader, describe

MARK = b"\x89HDF\r\n\x1a\n"
BLOCK = 1 << 16  # events read together
TOGETHER = 64  # recordings read together
TIMES, UNITS, LABELS = "spikes/times", "spikes/units", "labels"

Array = npt.NDArray[Any]


class Recordings(NamedTuple):
    """A file with many recordings."""

    path: Path
    n: int
    has_labels: bool

    def read(self, reader: TreeReader, first: int, stop: int) -> Iterator[Recorded]:
        """Yield some recordings, all of them in memory."""
        try:
            times = reader.read_rows(self.path, TIMES, first, stop)
            units = reader.read_rows(self.path, UNITS, first, stop)
            labels = reader.read_rows(self.path, LABELS, first, stop) if self.has_labels else [None] * len(times)
        except ModelFileError as error:
            raise DataError(str(error)) from error
        for number, (time, unit, label) in enumerate(zip(times, units, labels, strict=True), first):
            if not isinstance(time, np.ndarray) or not isinstance(unit, np.ndarray) or time.shape != unit.shape:
                raise DataError(
                    f"file {str(self.path)!r}: recording {number} has not as many times as units; get it anew"
                )
            yield Recorded(
                partial(_in_memory, time, unit), None, None if label is None else int(label), self.n, self.one
            )

    def one(self, number: int) -> Recorded:
        """Return one recording, read when it is asked for."""
        label = None
        if self.has_labels:
            with TreeReader() as reader:
                (recorded,) = self.read(reader, number, number + 1)
                label = recorded.label
        return Recorded(partial(self._blocks, number), None, label, self.n, self.one)

    def _blocks(self, number: int) -> Iterator[Block]:
        with TreeReader() as reader:
            (recorded,) = self.read(reader, number, number + 1)
        yield from recorded.blocks()


def open_file(path: Path, sensor_size: Size | None) -> Recorded:
    """Open a file; of several recordings it is the first."""
    where = f"file {str(path)!r}"
    try:
        found = describe(path)
    except ModelFileError as error:
        raise DataError(str(error)) from error
    recordings = _recordings(path, found, where)
    if recordings is not None:
        return recordings.one(0)._replace(sensor_size=sensor_size)
    return Recorded(partial(_columns, path, _find_group(found, where)), sensor_size)


def iterate(path: Path) -> Iterator[Recorded]:
    """Yield every recording of a file, some in memory at a time."""
    where = f"file {str(path)!r}"
    with TreeReader() as reader:
        try:
            recordings = _recordings(path, reader.describe(path), where)
        except ModelFileError as error:
            raise DataError(str(error)) from error
        if recordings is None:
            yield open_file(path, None)
            return
        for first in range(0, recordings.n, TOGETHER):
            yield from recordings.read(reader, first, min(recordings.n, first + TOGETHER))


def _recordings(path: Path, found: dict[str, Description], where: str) -> Recordings | None:
    """Return what the file holds if it is of the form of SHD; None: it is not."""
    if TIMES not in found or UNITS not in found:
        return None
    for name, kind in ((TIMES, "f"), (UNITS, "iu")):
        one = found[name]
        if one.form != "ragged" or len(one.shape) != 1 or np.dtype(one.dtype).kind not in kind:
            raise DataError(
                f"{where}: dataset {name!r} is {_told(one)}; it must have a row of numbers for each recording"
            )
    n = found[TIMES].shape[0]
    labels = found.get(LABELS)
    if found[UNITS].shape[0] != n or n == 0 or (labels is not None and labels.shape != (n,)):
        shapes = ", ".join(f"{name} {found[name].shape}" for name in (TIMES, UNITS, LABELS) if name in found)
        raise DataError(f"{where}: its datasets are of different lengths, or empty ({shapes}); get it anew")
    if labels is not None and (labels.form != "array" or np.dtype(labels.dtype).kind not in "iu"):
        raise DataError(f"{where}: dataset {LABELS!r} is {_told(labels)}; it must be integers")
    return Recordings(path, n, labels is not None)


def _find_group(found: dict[str, Description], where: str) -> dict[str, str]:
    """Return the dataset of each column, in the one group that has them."""
    groups: dict[str, list[str]] = {}
    for name in found:
        group, _, last = name.rpartition("/")
        groups.setdefault(group, []).append(last)
    for group, names in groups.items():
        if "x" in (name.lower() for name in names):
            prefix = f"{group}/" if group else ""
            columns = {c: prefix + name for c, name in find_columns(names, f"{where}, group {group!r}").items()}
            about = {column: found[name] for column, name in columns.items()}
            wrong = [
                c
                for c, one in about.items()
                if one.form != "array" or one.shape != about["t"].shape or len(one.shape) != 1
            ]
            if wrong:
                raise DataError(
                    f"{where}: dataset {columns[wrong[0]]!r} is {_told(about[wrong[0]])}; it must be numbers, as many as times"
                )
            return columns
    unreadable = [f"{name!r} cannot be read ({one.dtype})" for name, one in found.items() if one.form == "unreadable"]
    told = brief("; ".join(unreadable[:3])) or f"it has {brief(', '.join(map(repr, list(found)[:8]))) or 'nothing'}"
    raise DataError(
        f"{where}: no events are found, neither {TIMES} with {UNITS} nor a group with datasets t, x, y, p: {told}. "
        "Write them as columns, or convert the file with its maker's tools"
    )


def _told(one: Description) -> str:
    return f"{one.form} {one.shape} of {one.dtype or 'text'}"


def _in_memory(time: Array, unit: Array) -> Iterator[Block]:
    for first in range(0, len(time), BLOCK):
        part = slice(first, first + BLOCK)
        yield to_block(time[part], unit[part], None, None)


def _columns(path: Path, columns: dict[str, str]) -> Iterator[Block]:
    """Read columns side by side."""
    with TreeReader() as reader:
        first = 0
        while True:
            try:
                found = {c: reader.read_rows(path, name, first, first + BLOCK) for c, name in columns.items()}
            except ModelFileError as error:
                raise DataError(str(error)) from error
            arrays = {column: rows for column, rows in found.items() if isinstance(rows, np.ndarray)}
            if len(arrays) < len(found) or len({len(array) for array in arrays.values()}) > 1:
                raise DataError(f"file {str(path)!r}: its columns differ from {first} on; get it anew")
            if not len(arrays["t"]):
                return
            yield to_block(arrays["t"], arrays["x"], arrays.get("y"), arrays.get("p"))
            first += len(arrays["t"])
