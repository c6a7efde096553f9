"""Open a recording of events in any of the formats that are known."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.eventblock import Size
from neurosim.data.eventfile import EventFile as EventFile
from neurosim.data.eventfile import Recorded
from neurosim.data.formats import arrays, atis, text
from neurosim.errors import DataError

HEAD_BYTES = 1 << 12  # of a file, by which its format is told


class Format(NamedTuple):
    """A format of event files.

    Attributes
    ----------
    title : str
        In words.
    suffixes : tuple of str
        Usual ones, in small letters.
    recognises : callable
        Whether the first bytes of a file are of this format; the suffix decides where none is sure.
    open : callable
        From a path and the size of the sensor, where the caller knows it.
    """

    title: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    open: Callable[[Path, Size | None], Recorded]


#: The formats by name, in the order in which content is compared with them.
FORMATS: dict[str, Format] = {
    "npz": Format("numpy arrays, zipped", (".npz",), lambda head: head.startswith(b"PK\x03\x04"), arrays.open_npz),
    "npy": Format("a structured numpy array", (".npy",), lambda head: head.startswith(b"\x93NUMPY"), arrays.open_npy),
    "text": Format("a table of text", (".csv", ".tsv", ".txt"), text.looks_like_text, text.open_file),
    "atis": Format("N-MNIST and N-Caltech101", (".bin",), lambda head: False, atis.open_file),
}  # fmt: skip


def open_events(
    source: str | os.PathLike[str] | npt.NDArray[Any], *, strict: bool = True, sensor_size: Size | None = None
) -> EventFile:
    """Open a recording of events; nothing but its head is read yet.

    Parameters
    ----------
    source : path or structured array
        A file in one of `FORMATS`, told by its content where that is distinct, else by its suffix; or an array (n,) with
        fields t, x, y, p or their usual names in any order.
    strict : bool
        Whether a malformed event is an error; otherwise such events are left out and counted.
    sensor_size : (width, height), optional
        1..65536; events outside are malformed. By default what the file says.

    Raises
    ------
    DataError
        If there is no such file, it is of no known format, or its head is damaged.
    """
    if sensor_size is not None and not all(1 <= side <= 1 << 16 for side in sensor_size):
        raise DataError(f"sensor_size is {sensor_size}; it must be a width and a height, 1..65536")
    if isinstance(source, np.ndarray):
        recorded = arrays.array_blocks(source, "array of events")._replace(sensor_size=sensor_size)
        return EventFile("array", "array", recorded, strict=strict)
    path = Path(source)
    where = f"file {str(path)!r}"
    try:
        name = detect_format(path)
        recorded = FORMATS[name].open(path, sensor_size)
    except OSError as error:
        raise DataError(f"{where}: cannot be read ({error.strerror or error}); check the path") from error
    return EventFile(str(path), name, recorded, strict=strict)


def detect_format(path: Path) -> str:
    """Return the name of a file's format, by its content first and then by its suffix.

    Raises
    ------
    DataError
        If it is none of `FORMATS`, empty, or not a regular file.
    OSError
        If it cannot be read.
    """
    where, found = f"file {str(path)!r}", path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise DataError(f"{where}: is a folder, not a file of events; give a file in it, or see: neurosim data info")
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{where}: is a device or a pipe; write it to a file first")
    if found.st_size == 0:
        raise DataError(f"{where}: is empty (0 bytes); get it anew")
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    for name, format in FORMATS.items():
        if format.recognises(head):
            return name
    suffix = path.suffix.lower()
    for name in ("atis",):
        if suffix in FORMATS[name].suffixes:
            return name
    known = "; ".join(f"{format.title} ({', '.join(format.suffixes)})" for format in FORMATS.values())
    meant = [name for name, format in FORMATS.items() if suffix in format.suffixes]
    also = f", whatever its suffix {suffix!r} says" if meant else ""
    raise DataError(f"{where}: its content is of no format known here{also}; known are {known}")
