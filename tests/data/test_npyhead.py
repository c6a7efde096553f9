"""The head of a .npy array is read as numpy writes it, and nothing in it is evaluated."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest

from neurosim.data.eventtype import EVENT
from neurosim.data.npyhead import Head, read_head

NUMBERS = ["?", "<u1", "<i8", ">i4", ">u2", "<f2", "<f4", ">f8"]
OTHERS = [
    EVENT, np.dtype([("t", ">i8"), ("x", "<f4")]), np.dtype({"names": ["a", "b"], "formats": ["u1", "<i8"], "offsets": [0, 8]}),
    np.dtype([(("title", "on"), "?"), ("t", "<u8")]), np.dtype("<c16"), np.dtype("<U7"), np.dtype("S3"), np.dtype("<M8[us]"),
    np.dtype("V5"),
]  # fmt: skip


def saved(array: np.ndarray) -> io.BytesIO:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    stream.seek(0)
    return stream


@pytest.mark.parametrize("any_type", [False, True])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (1, 2, 3, 4)])
@pytest.mark.parametrize("dtype", NUMBERS)
def test_arrays_of_numbers(dtype: str, shape: tuple[int, ...], any_type: bool) -> None:
    array = np.zeros(shape, dtype, order="F")
    stream = saved(array)
    assert read_head(stream, any_type=any_type) == Head(array.dtype, not array.flags.c_contiguous, shape, array.nbytes)
    assert len(stream.read()) == array.nbytes


@pytest.mark.parametrize("dtype", OTHERS, ids=str)
def test_other_types_only_where_they_are_taken(dtype: np.dtype) -> None:
    stream = saved(np.zeros(4, dtype))
    head = read_head(stream, any_type=True)
    assert (head.dtype.itemsize, head.shape, len(stream.read())) == (dtype.itemsize, (4,), 4 * dtype.itemsize)
    if dtype.names is None:
        assert head.dtype == dtype
    else:  # what lies between fields is a field without a name
        assert {name: head.dtype.fields[name][:2] for name in dtype.names} == {
            name: field[:2] for name, field in dtype.fields.items() if name in dtype.names
        }
    with pytest.raises(ValueError, match="holds no numbers"):
        read_head(saved(np.zeros(4, dtype)))


def head(text: str, version: bytes = b"\x01\x00", length: int | None = None) -> io.BytesIO:
    n = len(text) + 1 if length is None else length
    return io.BytesIO(
        b"\x93NUMPY" + version + n.to_bytes(2 if version[0] == 1 else 4, "little") + text.encode() + b"\n"
    )


GOOD = "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }"


def test_what_is_no_head_is_refused() -> None:
    assert read_head(head(GOOD)).shape == (3,)
    assert read_head(head(GOOD, b"\x02\x00")).shape == (3,)
    for stream, text in (
        (io.BytesIO(b""), "no .npy array"),
        (head(GOOD, b"\x04\x00"), "no .npy array of version 1 to 3"),
        (head(GOOD, b"\x02\x00", 1 << 31), "a head of 2147483648 bytes"),
        (head(GOOD[:-3]), "its head is damaged"),
        (head(GOOD.replace("(3,)", "(3, __import__('os'))")), "its head is damaged"),
        (head(GOOD.replace("'<i8'", "[" * 999 + "]" * 999)), "its head is damaged"),
        (head(GOOD.replace("'<i8'", "[('a', '<i8')('b', '<i8')]")), "its head is damaged"),
        (head(GOOD.replace("'<i8'", "[('a', [('b', '<i8')])]")), "its head is damaged"),
        (head(GOOD.replace("'<i8'", "[('a', '<i8'), ('a', '<i8')]")), "occurs more than once"),
        (head(GOOD.replace("'<i8'", "'<U3000000000'")), "its head is damaged"),
        (head(GOOD.replace("(3,)", "(99999999999,)")), "or one of more than"),
        (head(GOOD.replace("(3,)", "(1, 1" + ", 1" * 40 + ")")), "42 axes"),
    ):
        with warnings.catch_warnings(), pytest.raises(ValueError, match=text):
            warnings.simplefilter("error")
            read_head(stream, any_type=True)
