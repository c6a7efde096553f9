"""MATLAB 5 files: arrays come back as they were, everything else is refused."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from tiny_sets import MAT_CLASSES, mat_bytes

from neurosim.data.matfile import read_matfile
from neurosim.errors import DataError

TABLE = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("kind", sorted(MAT_CLASSES))
def test_arrays_come_back(kind: str, compress: bool) -> None:
    variables = {"a": TABLE.astype(kind), "scalar": np.array([[7]], kind), "rest": np.zeros((0, 4), kind)}
    found = read_matfile(mat_bytes(variables, compress), ("a", "scalar", "rest"), "f.mat")
    assert list(found) == ["a", "scalar", "rest"]
    for name, array in variables.items():
        assert found[name].dtype == array.dtype.newbyteorder("<")
        np.testing.assert_array_equal(found[name], array)


def test_what_is_not_wanted_is_passed_over() -> None:
    assert list(read_matfile(mat_bytes({"a": TABLE, "b": TABLE}), ["b"], "f.mat")) == ["b"]


def changed(place: int, value: int) -> bytes:
    """A file with one plain array, and one byte of it changed; the array's body starts at 136."""
    content = bytearray(mat_bytes({"a": TABLE}, compress=False))
    content[place] = value
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a little-endian MATLAB 5 file"),
        (b"\x89HDF" + bytes(200), "not a little-endian MATLAB 5 file; get it anew, or save it with -v7"),
        (changed(126, ord("M")), "not a little-endian MATLAB 5 file"),
        (mat_bytes({"b": TABLE}), "has no variable a; get it anew"),
        (mat_bytes({"a": TABLE})[:-1], "bytes announced at 128"),
        (mat_bytes({"a": TABLE}, compress=False)[:-9], "bytes announced at 128"),
        (mat_bytes({"a": TABLE})[:140] + bytes(8) + mat_bytes({"a": TABLE})[148:], "damaged or of an unknown kind"),
        (mat_bytes({"a": TABLE}) + b"\x0f\0\0", "damaged or of an unknown kind"),
        (changed(144, 1), "variable 'a' is not a full array of real numbers"),  # a cell array
        (changed(145, 8), "variable 'a' is not a full array of real numbers"),  # complex
        (changed(160, 3), r"variable 'a' has 24 numbers for shape \(3, 3, 4\)"),
        (changed(184, 14), "variable 'a' has numbers of type 14"),
        (changed(188, 255), "an element of 255 bytes has 48"),
    ],
)  # fmt: skip
def test_other_files_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=f"file 'f.mat': .*{words}"):
        read_matfile(content, ["a"], "f.mat")


def test_a_compressed_element_that_is_cut_off_is_refused() -> None:
    packed = zlib.compress(struct.pack("<II", 14, 100) + bytes(50))
    content = mat_bytes({}) + struct.pack("<II", 15, len(packed)) + packed
    with pytest.raises(DataError, match="an element of 100 bytes has 50"):
        read_matfile(content, ["a"], "f.mat")


def test_small_compressed_variables_that_say_very_much_are_refused() -> None:
    packed = zlib.compress(bytes(1 << 28) + b"more", 1)
    content = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(packed)) + packed
    with pytest.raises(DataError, match="compressed variables of more than 268435456 bytes"):
        read_matfile(content, ("x",), "x.mat")


def test_arrays_without_their_flags_and_cut_streams_are_refused() -> None:
    body = struct.pack("<II", 6, 0) + struct.pack("<II", 5, 8) + bytes(8) + struct.pack("<II", 1 << 16 | 1, ord("x"))
    head = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"
    with pytest.raises(DataError, match="'x' is not a full array"):
        read_matfile(head + struct.pack("<II", 14, len(body)) + body, ("x",), "x.mat")
    packed = zlib.compress(bytes(1000))[:-6]
    with pytest.raises(DataError, match="a compressed variable is cut off"):
        read_matfile(head + struct.pack("<II", 15, len(packed)) + packed, ("x",), "x.mat")
