"""Read the head of a .npy array of numbers; numpy's own reader evaluates it as Python and raises what its parser raises."""

from __future__ import annotations

import math
import re
from typing import IO, Any, NamedTuple

import numpy as np

HEAD = re.compile(
    rb"\{'descr': '([<>|=]?[biuf][1248])', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), \} *\n"
)
MAX_HEAD = 10_000  # bytes
MAX_AXES = 32
MAX_AXIS = (1 << 31) - 1


class Head(NamedTuple):
    """What the head of an array says.

    Attributes
    ----------
    dtype : dtype
        Booleans, integers or floats of up to 64 bits, in the file's order of bytes.
    fortran : bool
        Whether the first axis changes fastest.
    shape : tuple of int
        Each 0..2**31 - 1.
    n_bytes : int
        Of the numbers that must follow.
    """

    dtype: np.dtype[Any]
    fortran: bool
    shape: tuple[int, ...]
    n_bytes: int


def read_head(stream: IO[bytes]) -> Head:
    """Read the head of an array, and leave the stream where the numbers begin.

    Raises
    ------
    ValueError
        If there is none, it is damaged, or the array holds something else than numbers: Python objects, texts, fields.
    """
    start = stream.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:7] not in (b"\x01", b"\x02", b"\x03"):
        raise ValueError("no .npy array of version 1 to 3")
    length = int.from_bytes(stream.read(2 if start[6] == 1 else 4), "little")
    if length > MAX_HEAD:
        raise ValueError(f"a head of {length} bytes")
    found = HEAD.fullmatch(stream.read(length))
    if found is None:
        raise ValueError("the array holds no numbers, or its head is damaged")
    sizes = [each for each in found[3].decode("ascii").replace(" ", "").split(",") if each]
    if len(sizes) > MAX_AXES or any(len(each) > 10 or int(each) > MAX_AXIS for each in sizes):
        raise ValueError(f"{len(sizes)} axes, or one of more than {MAX_AXIS}")
    try:
        dtype = np.dtype(found[1].decode("ascii"))
    except TypeError as error:
        raise ValueError(str(error)) from error
    shape = tuple(int(each) for each in sizes)
    return Head(dtype, found[2] == b"True", shape, math.prod(shape) * dtype.itemsize)
