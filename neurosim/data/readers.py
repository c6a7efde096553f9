"""Open a recording of events in any of the formats that are known."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.eventblock import Size
from neurosim.data.eventfile import EventFile as EventFile
from neurosim.data.eventfile import Recorded
from neurosim.data.formats import aedat2, aedat3, aedat4, arrays, atis, hdf5, prophesee_dat, prophesee_raw, text
from neurosim.errors import DataError

HEAD_BYTES = 1 << 12  # of a file, by which its format is told


#: What to do with files that others give.
FOREIGN = {
    ".mat": "Of MATLAB's files, save the columns t, x, y, p as .csv",
    ".bag": "Of a ROS bag, write the events as .csv",
    ".es": "Convert Event Stream files with the package faery",
}


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


def _begins(*marks: bytes) -> Callable[[bytes], bool]:
    """Return whether the first bytes are one of the marks; without marks nothing is recognised by its content."""
    return lambda head: head.startswith(marks)


#: The formats by name, in the order in which content is compared with them.
FORMATS: dict[str, Format] = {
    "npz": Format("numpy arrays, zipped", (".npz",), _begins(b"PK\x03\x04"), arrays.open_npz),
    "npy": Format("a structured numpy array", (".npy",), _begins(b"\x93NUMPY"), arrays.open_npy),
    "aedat2": Format("AEDAT 2.0 of jAER", (".aedat", ".aedat2"), _begins(aedat2.MARK), aedat2.open_file),
    "aedat3": Format("AEDAT 3.1 of cAER", (".aedat", ".aedat3"), _begins(aedat3.MARK), aedat3.open_file),
    "aedat4": Format("AEDAT 4.0 of DV", (".aedat4",), _begins(aedat4.MARK), aedat4.open_file),
    "dat": Format("Prophesee's decoded events", (".dat",), prophesee_dat.recognise, prophesee_dat.open_file),
    "evt": Format("Prophesee's EVT 2.0, 2.1 and 3.0", (".raw",), prophesee_raw.recognise, prophesee_raw.open_file),
    "hdf5": Format("HDF5 of SHD and SSC, or columns", (".h5", ".hdf5"), _begins(hdf5.MARK), hdf5.open_file),
    "text": Format("a table of text", (".csv", ".tsv", ".txt"), text.looks_like_text, text.open_file),
    "atis": Format("N-MNIST and N-Caltech101", (".bin",), _begins(), atis.open_file),
}


#: Suffixes of all formats.
SUFFIXES = frozenset(suffix for format in FORMATS.values() for suffix in format.suffixes)
#: Tables about recordings, which are no recordings, and texts.
NO_RECORDINGS = frozenset({"labels.csv", "labels.tsv", "readme.txt", "licence.txt", "license.txt", "sha256sums.txt"})


def open_events(
    source: str | os.PathLike[str] | npt.NDArray[Any], *, strict: bool = True,
    sensor_size: Size | None = None, sample: int = 0,
) -> EventFile:  # fmt: skip
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

    sample : int
        Which recording of a file that holds several, from 0; `EventFile.n_samples` tells how many there are.

    Raises
    ------
    DataError
        If there is no such file or recording, it is of no known format, or its head is damaged.
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
    if not 0 <= sample < recorded.n_samples:
        raise DataError(f"{where}: recording {sample} is asked for, it holds {recorded.n_samples}, counted from 0")
    if sample and recorded.sample is not None:
        recorded = recorded.sample(sample)._replace(sensor_size=sensor_size)
    return EventFile(str(path), name, recorded, strict=strict)


def iterate_samples(
    path: str | os.PathLike[str], *, strict: bool = True, sensor_size: Size | None = None
) -> Iterator[EventFile]:
    """Yield every recording of a file, in order; most formats hold one.

    Parameters as in `open_events`. Of a file with many recordings some are in memory at a time.
    """
    first = open_events(path, strict=strict, sensor_size=sensor_size)
    if first.n_samples == 1:
        yield first
        return
    for recorded in hdf5.iterate(Path(path)):
        yield EventFile(str(path), first.format, recorded._replace(sensor_size=sensor_size), strict=strict)


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
    known += f". {FOREIGN[suffix]}" if suffix in FOREIGN else ""
    meant = [name for name, format in FORMATS.items() if suffix in format.suffixes]
    also = f", whatever its suffix {suffix!r} says" if meant else ""
    raise DataError(f"{where}: its content is of no format known here{also}; known are {known}")
