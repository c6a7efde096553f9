"""Read the spikes of samples from .npz files of any origin, a block at a time, with memory for the spikes only."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from neurosim.data.npyhead import MAX_AXIS, Head, read_head
from neurosim.errors import DataError, one_line
from neurosim.events import MAX_VALUE, Events

ADVICE = "write one with numpy.savez(FILE, spikes=array) of shape (n_samples, n_steps, n_inputs): zeros and ones, or integers"
BLOCK = 1 << 19  # numbers looked at together
#: A compressed file can say much with few bytes. Spikes and steps take memory, numbers take time.
MAX_UNITS = 1 << 24  # spikes and steps of samples together; or as many as the file has bytes
MAX_UNPACKED = 1 << 31  # bytes of a compressed array

#: What zipfile and zlib raise over damaged bytes.
DAMAGES = (ValueError, EOFError, LookupError, OverflowError, RuntimeError, NotImplementedError, OSError, struct.error, zlib.error,
           zipfile.BadZipFile)  # fmt: skip


def read_spikes(path: Path, name: str = "spikes") -> tuple[Events, tuple[int, ...]]:
    """Read an array (n_samples, n_steps, ...) as events; what lies behind the first two axes is numbered in C order.

    Zeros and ones are spikes; other integers are messages with values. Arrays may be compressed (``numpy.savez_compressed``) up to
    2**31 bytes; there may be 2**24 spikes and steps of samples together, or as many as the file has bytes. Reading takes up to
    about 30 bytes for each.

    Parameters
    ----------
    path : Path
    name : str
        Of the array.

    Returns
    -------
    Events
    tuple of int
        The array's shape.

    Raises
    ------
    DataError
        If the file cannot be read or is not a .npz file, lacks the array, or the array is damaged, too large, of another type or
        holds numbers that are neither 0, 1 nor integers of 32 bits.
    """
    where = f"file {str(path)!r}"
    try:
        n_bytes = path.stat().st_size
        stream: IO[bytes] = path.open("rb")
    except OSError as error:
        raise DataError(f"{where}: cannot be read ({error.strerror or error}); check the path") from error
    with stream:
        try:
            archive = zipfile.ZipFile(stream)
            info = archive.NameToInfo.get(f"{name}.npy")
        except DAMAGES as error:
            raise DataError(one_line(f"{where}: not a .npz file of events ({error}); {ADVICE}")) from error
        if info is None:
            raise DataError(f"{where}: holds no array {name!r}; {ADVICE}")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{where}: array {name!r} is compressed in a way that numpy does not use; {ADVICE}")
        if info.file_size > (n_bytes if info.compress_type == zipfile.ZIP_STORED else MAX_UNPACKED):
            raise DataError(
                f"{where}: array {name!r} has {info.file_size} bytes, the limit is the file's size, or {MAX_UNPACKED} if it is "
                "compressed; store it with numpy.savez, as small integers"
            )
        try:
            with archive.open(info) as member:
                found = _read_head(member, info.file_size)
                limit = max(MAX_UNITS, n_bytes)
                if math.prod(found.shape[:2]) > limit:
                    raise DataError(
                        f"{where}: {found.shape[:2]} samples and steps exceed the limit of {limit}; split the file"
                    )
                return _events(where, found, _numbers(member, found), limit), found.shape
        except DAMAGES as error:
            if isinstance(error, DataError):
                raise
            raise DataError(one_line(f"{where}: not a .npz file of events ({error}); {ADVICE}")) from error


def _read_head(member: IO[bytes], n_bytes: int) -> Head:
    """Read the head of an array and hold its size against what follows."""
    found = read_head(member)
    there = n_bytes - member.tell()
    if len(found.shape) < 3:
        raise DataError(
            f"events: need shape (n_samples, n_steps, n_inputs), found {len(found.shape)} axes; add the missing axes"
        )
    if 0 in found.shape:
        raise ValueError(f"shape {found.shape}: an axis has no entries")
    if found.n_bytes != there:
        raise ValueError(f"{there} bytes follow, shape {found.shape} of {found.dtype} needs {found.n_bytes}")
    if math.prod(found.shape[2:]) > MAX_AXIS:
        raise ValueError(f"{math.prod(found.shape[2:])} inputs exceed the limit of {MAX_AXIS}")
    return found


def _numbers(member: IO[bytes], found: Head) -> Iterator[npt.NDArray[Any]]:
    """Yield the numbers of an array in the order of the file."""
    left = math.prod(found.shape)
    while left:
        content = member.read(min(left, BLOCK) * found.dtype.itemsize)
        block = np.frombuffer(content, found.dtype, len(content) // found.dtype.itemsize)
        if not block.size:
            raise EOFError("the array is cut off")
        left -= block.size
        yield block


def _events(where: str, found: Head, numbers: Iterator[npt.NDArray[Any]], limit: int) -> Events:
    """Make events of numbers that come in blocks."""
    n_samples, n_steps = found.shape[:2]
    n_inputs = math.prod(found.shape[2:])
    places: list[npt.NDArray[np.int64]] = []
    values: list[npt.NDArray[np.int32]] = []
    first, n_events, graded = 0, 0, False
    for block in numbers:
        at = np.flatnonzero(block)
        chosen = block[at]
        if found.dtype.kind == "f" and not (chosen == 1).all():
            raise DataError(
                f"{where}: spikes are 0 or 1, found {found.dtype} value {chosen[chosen != 1][0]}; binarise the input, or use integers"
            )
        if found.dtype.kind in "iu" and chosen.size:
            least, most = int(chosen.min()), int(chosen.max())
            if least < -MAX_VALUE - 1 or most > MAX_VALUE:
                worst = most if most > MAX_VALUE else least
                raise DataError(f"{where}: value {worst} exceeds the {MAX_VALUE} of a message; scale the input")
            graded |= (least, most) != (1, 1)
        n_events += at.size
        if n_events + n_samples * n_steps > limit:
            raise DataError(f"{where}: its spikes exceed the limit of {limit}; split the file")
        places.append(at + first)
        values.append(chosen.astype(np.int32))
        first += block.size
    value = np.concatenate(values) if graded else None
    values.clear()
    place = np.concatenate(places)
    places.clear()
    if found.fortran:
        place = np.ravel_multi_index(np.unravel_index(place, found.shape, order="F"), found.shape).astype(np.int64)
        order = np.argsort(place)
        place, value = place[order], None if value is None else value[order]
    start = np.searchsorted(place, np.arange(n_samples * n_steps + 1, dtype=np.int64) * n_inputs).astype(np.int64)
    return Events(start, (place % n_inputs).astype(np.int32), n_samples, n_steps, n_inputs, value)
