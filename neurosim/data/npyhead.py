"""Read the head of a .npy array; numpy's own reader evaluates it as Python and raises what its parser raises."""

from __future__ import annotations

import math
import re
from typing import IO, Any, NamedTuple

import numpy as np

HEAD = re.compile(
    rb"\{'descr': ('[^']{1,24}'|\[[^\]]{1,8000}\]), 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), \} *\n"
)
NUMBER = re.compile(r"'([<>|=]?[biuf][1248])'")
#: What may lie beside numbers: complex ones, texts, dates, bytes, and objects, which are never read.
PLAIN = re.compile(r"'([<>|=]?[?biufcmMOSUV]\d{0,9}(?:\[\w{1,9}\])?)'")
NAME = r"'([^'\\]{0,64})'"
FIELD = re.compile(rf"\((?:{NAME}|\({NAME}, {NAME}\)), {PLAIN.pattern}\)(?:, |$)")
MAX_HEAD = 10_000  # bytes
MAX_AXES = 32
MAX_AXIS = (1 << 31) - 1


class Head(NamedTuple):
    """What the head of an array says.

    Attributes
    ----------
    dtype : dtype
        In the file's order of bytes.
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


def read_head(stream: IO[bytes], *, any_type: bool = False) -> Head:
    """Read the head of an array, and leave the stream where the numbers begin.

    Parameters
    ----------
    stream : binary stream
    any_type : bool
        Take every type that is no structure in a structure, such as fields of numbers; by default booleans, integers and floats of
        up to 64 bits.

    Raises
    ------
    ValueError
        If there is none, it is damaged, or of a type that is not taken.
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
        dtype = _parse_dtype(found[1].decode("utf-8"), PLAIN if any_type else NUMBER)
    except TypeError as error:
        raise ValueError(str(error)) from error
    shape = tuple(int(each) for each in sizes)
    return Head(dtype, found[2] == b"True", shape, math.prod(shape) * dtype.itemsize)


def _parse_dtype(text: str, plain: re.Pattern[str]) -> np.dtype[Any]:
    """Return the type that numpy writes as a string, or, where any is taken, as a list of fields."""
    found: np.dtype[Any]
    single = plain.fullmatch(text)
    if single is not None:
        found = np.dtype(single[1])
        return found
    fields, place = [], 1
    while plain is PLAIN and text[0] == "[" and (field := FIELD.match(text, place, len(text) - 1)):
        fields.append(((field[2], field[3]) if field[1] is None else field[1], field[4]))
        place = field.end()
    if not fields or place != len(text) - 1:
        raise ValueError("the array holds no numbers, or its head is damaged")
    found = np.dtype(fields)
    return found
