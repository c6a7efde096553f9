"""Read arrays of numbers from MATLAB 5 files, as little of the format as such files need."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError

HEADER_BYTES = 128
COMPRESSED, MATRIX = 15, 14
CLASSES = range(6, 16)  # of numbers: 6 double, 7 single, 8..15 integers of 8 to 64 bits
COMPLEX = 8  # flag of an array
MAX_UNPACKED = 1 << 28  # bytes of all compressed variables together
#: Storage of an element by its code; numbers are stored in the smallest type that holds them, whatever their class.
TYPES = {1: "<i1", 2: "<u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}


def read_matfile(content: bytes, wanted: Collection[str], where: str) -> dict[str, npt.NDArray[Any]]:
    """Return the wanted variables of a file, in the type they are stored in.

    The layout is that of "MAT-File Format", MathWorks, chapter 1 (level 5): a header of 128 bytes, then elements with a tag of
    type and size; an array is an element of elements (flags, shape, name, numbers in Fortran's order), mostly compressed.
    Little-endian files with real, full arrays of numbers are read.

    Parameters
    ----------
    content : bytes
    wanted : collection of str
    where : str
        For errors.

    Raises
    ------
    DataError
        If the file is of another format, is cut off or damaged, says more than 256 MiB in its compressed variables, or a wanted
        variable is missing or is something else.
    """
    if len(content) < HEADER_BYTES or content[124:128] != b"\x00\x01IM":
        raise DataError(f"file {where!r}: not a little-endian MATLAB 5 file; get it anew, or save it with -v7")
    found: dict[str, npt.NDArray[Any]] = {}
    place, left = HEADER_BYTES, MAX_UNPACKED
    try:
        while place < len(content):
            kind, n_bytes = struct.unpack_from("<II", content, place)
            body = content[place + 8 : place + 8 + n_bytes]
            if len(body) < n_bytes:
                raise ValueError(f"{n_bytes} bytes announced at {place}, {len(body)} there")
            if kind == COMPRESSED:
                unpacked = _decompress(body, left)
                left -= len(unpacked)
                kind, body, _ = _element(unpacked, 0)
            if kind == MATRIX:
                _read_array(body, wanted, found)
            place += 8 + n_bytes
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(f"file {where!r}: damaged or of an unknown kind ({error}); get it anew") from error
    missing = sorted(set(wanted) - found.keys())
    if missing:
        raise DataError(f"file {where!r}: has no variable {', '.join(missing)}; get it anew")
    return found


def _decompress(body: bytes, most: int) -> bytes:
    """Return what was compressed; a small file may say much, so only so many bytes are taken."""
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(body, most + 1)
    if len(unpacked) > most:
        raise ValueError(f"compressed variables of more than {MAX_UNPACKED} bytes")
    if not unpacker.eof:
        raise ValueError("a compressed variable is cut off")
    return unpacked


def _element(data: bytes, place: int) -> tuple[int, bytes, int]:
    """Return type and content of an element, and where the next one starts."""
    (kind,) = struct.unpack_from("<I", data, place)
    if kind >> 16:  # small: up to four bytes share the tag's eight
        return kind & 0xFFFF, data[place + 4 : place + 4 + (kind >> 16)], place + 8
    (n_bytes,) = struct.unpack_from("<I", data, place + 4)
    body = data[place + 8 : place + 8 + n_bytes]
    if len(body) < n_bytes:
        raise ValueError(f"an element of {n_bytes} bytes has {len(body)}")
    return kind, body, place + 8 + -(-n_bytes // 8) * 8


def _read_array(body: bytes, wanted: Collection[str], found: dict[str, npt.NDArray[Any]]) -> None:
    _, flags, place = _element(body, 0)
    _, shape, place = _element(body, place)
    _, name, place = _element(body, place)
    key = name.decode("ascii", "replace")
    if key not in wanted:
        return
    if len(flags) < 2 or flags[0] not in CLASSES or flags[1] & COMPLEX:
        raise ValueError(f"variable {key!r} is not a full array of real numbers")
    kind, numbers, _ = _element(body, place)
    if kind not in TYPES:
        raise ValueError(f"variable {key!r} has numbers of type {kind}")
    sizes = np.frombuffer(shape, "<i4").tolist()
    array = np.frombuffer(numbers, TYPES[kind])
    if min(sizes, default=-1) < 0 or math.prod(sizes) != len(array):
        raise ValueError(f"variable {key!r} has {len(array)} numbers for shape {tuple(sizes)}")
    found[key] = array.reshape(sizes, order="F")
