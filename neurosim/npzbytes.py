"""Arrays in an uncompressed .npz, byte for byte as this module writes it: for `neurosim.arrayfile`.

zip is described in PKWARE's application note, .npy in numpy's `numpy.lib.format`. Both are written and read here, so that no version
of Python or numpy changes a byte, and a reader can refuse everything that is not exactly what the writer would have written.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import ModelFileError

MAGIC = b"PK\x03\x04"  # first bytes of a zip with at least one member, and of each member
DIRECTORY, END = b"PK\x01\x02", b"PK\x05\x06"  # of an entry in the list of members, and of the last record
DATE = 33  # 1980-01-01, the earliest that zip can say; a real time would change the bytes
ZIP_VERSION = 20
UNIX_FILE = 0o644 << 16  # what the list says of a member: readable by all; the writing system would show otherwise
NPY_MAGIC = b"\x93NUMPY\x01\x00"
_NPY_HEAD = re.compile(rb"\{'descr': '([<|][biuf][1248])', 'fortran_order': False, 'shape': \(([0-9, ]*)\), \} *\n")

MAX_ARRAYS = (1 << 16) - 2  # without the extensions of zip
MAX_BYTES = (1 << 31) - 1  # of a file, likewise
MAX_AXES = 32
MAX_AXIS = (1 << 31) - 1

Arrays = dict[str, npt.NDArray[Any]]


def write_members(members: Mapping[str, npt.NDArray[Any]], comment: bytes, n_more: int) -> bytes:
    """Return an .npz whose zip comment is given without its last `n_more` bytes, which belong behind the returned ones.

    Raises
    ------
    ModelFileError
        If an array is of another type, or the arrays are too many or too large.
    """
    size = sum(array.nbytes + 512 for array in members.values())
    if len(members) > MAX_ARRAYS or size > MAX_BYTES:
        raise ModelFileError(
            f"file: {len(members)} arrays of {size} bytes exceed the limits of {MAX_ARRAYS} and {MAX_BYTES}; "
            "store it in several files"
        )
    parts: list[bytes] = []
    listed: list[tuple[bytes, int, int, int]] = []
    place = 0
    for name, array in members.items():
        member, data = f"{name}.npy".encode("ascii"), _npy_bytes(name, array)
        listed.append((member, len(data), zlib.crc32(data), place))
        parts += [_member_head(member, len(data), zlib.crc32(data)), data]
        place += len(parts[-2]) + len(data)
    return b"".join([*parts, _directory(listed, place, len(comment) + n_more), comment])


def read_members(data: memoryview, comment: bytes, n_more: int) -> Arrays:
    """Read the arrays of `write_members`, one behind the other, and compare what lists them with what it must be.

    Raises
    ------
    ValueError
        If anything is not as it is written there.
    """
    arrays: Arrays = {}
    listed: list[tuple[bytes, int, int, int]] = []
    place = 0
    while bytes(data[place : place + 4]) == MAGIC:
        if len(data) - place < 30:
            raise ValueError("a member is cut off")
        size, length = struct.unpack_from("<LH", data, place + 22)
        start = place + 30 + length
        member, content = bytes(data[place + 30 : start]), data[start : start + size]
        crc = zlib.crc32(content)
        if len(content) < size or bytes(data[place:start]) != _member_head(member, size, crc):
            raise ValueError(f"member {member!r} is compressed, cut off or not stored as neurosim does")
        name = member.decode("ascii").removesuffix(".npy")
        if not member.endswith(b".npy") or name in arrays or len(arrays) >= MAX_ARRAYS:
            raise ValueError(f"member {member!r} is repeated, one too many or not an array")
        arrays[name] = _read_npy(name, content)
        listed.append((member, size, crc, place))
        place = start + size
    if data[place:] != _directory(listed, place, len(comment) + n_more) + comment:
        raise ValueError("the list of members is not that of the members")
    return arrays


def _member_head(name: bytes, size: int, crc: int) -> bytes:
    """Return what stands before a stored member (PKWARE's application note on .ZIP, section 4.3.7)."""
    return MAGIC + struct.pack("<5H3L2H", ZIP_VERSION, 0, 0, 0, DATE, crc, size, size, len(name), 0) + name


def _directory(listed: list[tuple[bytes, int, int, int]], place: int, n_comment: int) -> bytes:
    """Return the list of members and the last record up to its comment (sections 4.3.12 and 4.3.16).

    Parameters
    ----------
    listed : list of (name, size, crc, place)
    place : int
        Where the list begins.
    n_comment : int
        Bytes of the comment.
    """
    created = 3 << 8 | ZIP_VERSION  # by a Unix
    entries = b"".join(
        DIRECTORY
        + struct.pack(
            "<6H3L5H2L", created, ZIP_VERSION, 0, 0, 0, DATE, crc, size, size, len(name), 0, 0, 0, 0, UNIX_FILE, at
        )
        + name
        for name, size, crc, at in listed
    )
    n = len(listed)
    return entries + END + struct.pack("<4H2LH", 0, 0, n, n, len(entries), place, n_comment)


def _npy_bytes(name: str, array: npt.NDArray[Any]) -> bytes:
    """Return the array in .npy format 1.0, written here so that no numpy version can change a byte."""
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ModelFileError(
            f"array {name!r}: has type {array.dtype}, files hold booleans, integers and floats up to 64 bits; "
            "convert it"
        )
    little = array.astype(array.dtype.newbyteorder("<"))
    return _npy_head(little.dtype.str, tuple(int(n) for n in array.shape)) + little.tobytes(order="C")


def _npy_head(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Return what stands before an array's numbers in .npy format 1.0, as every numpy writes it."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    padding = -(len(NPY_MAGIC) + 2 + len(text) + 1) % 64  # numpy aligns the data to 64 bytes
    head = (text + " " * padding + "\n").encode("ascii")
    return NPY_MAGIC + struct.pack("<H", len(head)) + head


def _read_npy(name: str, data: memoryview) -> npt.NDArray[Any]:
    """Read an array; its size is held against what is there first."""
    start = len(NPY_MAGIC) + 2
    if len(data) < start or bytes(data[: len(NPY_MAGIC)]) != NPY_MAGIC:
        raise ValueError(f"array {name!r} is not in .npy format 1.0")
    length = int.from_bytes(data[start - 2 : start], "little")
    head = _NPY_HEAD.fullmatch(bytes(data[start : start + length]))
    if head is None:
        raise ValueError(f"array {name!r} is not of booleans, integers or floats in C order, or its head is cut off")
    sizes = [each for each in head[2].decode("ascii").replace(" ", "").split(",") if each]
    if len(sizes) > MAX_AXES or any(len(each) > 10 or int(each) > MAX_AXIS for each in sizes):
        raise ValueError(f"array {name!r} has more than {MAX_AXES} axes, or one longer than {MAX_AXIS}")
    dtype, shape = np.dtype(head[1].decode("ascii")), tuple(int(each) for each in sizes)
    start += length
    if bytes(data[:start]) != _npy_head(dtype.str, shape):
        raise ValueError(f"array {name!r} has a head that neurosim does not write")
    if len(data) - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(
            f"array {name!r} has {len(data) - start} bytes, its shape {shape} needs {math.prod(shape) * dtype.itemsize}"
        )
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
