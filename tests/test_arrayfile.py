import hashlib
import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurosim.arrayfile import DIGEST_LENGTH, TRAILER, pack_arrays, unpack_arrays
from neurosim.errors import ModelFileError

HEADER = {"generation": 7, "name": "zéro", "nested": {"a": [1, 2.5, None, True]}}
ARRAYS = {
    "weights": np.arange(-6, 6, dtype=np.int16).reshape(3, 4),
    "flags": np.array([True, False]),
    "key": np.array(2**64 - 1, dtype=np.uint64),
    "fitness": np.array([0.1, -1e300]),
    "empty": np.zeros((0, 3), np.int32),
}
SMALL = pack_arrays({"a": 1}, {"w": np.array([1, -2], np.int8)})


def signed(body: bytes) -> bytes:
    """Return bytes with a correct checksum, as somebody who knows the format could make them."""
    return body + hashlib.sha256(body).hexdigest().encode()


def rewritten(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a correctly signed archive of any members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.comment = TRAILER + b"0" * DIGEST_LENGTH
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr, info.compress_type = 3, 0o644 << 16, compression
            archive.writestr(info, data)
    return signed(buffer.getvalue()[:-DIGEST_LENGTH])


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def npy_of(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=True)
    return buffer.getvalue()


def header_member(text: str) -> dict[str, bytes]:
    return {"header.npy": npy_of(np.frombuffer(text.encode(), np.uint8))}


def test_header_and_arrays_come_back_with_type_and_shape():
    header, arrays = unpack_arrays(pack_arrays(HEADER, ARRAYS))
    assert header == HEADER
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].flags.writeable


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        st.one_of(hnp.integer_dtypes(endianness="?"), hnp.unsigned_integer_dtypes(), hnp.boolean_dtypes()),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
def test_any_integer_array_comes_back(array):
    _, arrays = unpack_arrays(pack_arrays({}, {"x": array}))
    np.testing.assert_array_equal(arrays["x"], array)
    assert arrays["x"].dtype.isnative


def test_numpy_load_reads_the_file():
    with np.load(io.BytesIO(pack_arrays(HEADER, ARRAYS)), allow_pickle=False) as loaded:
        np.testing.assert_array_equal(loaded["weights"], ARRAYS["weights"])
        assert sorted(loaded.files) == sorted([*ARRAYS, "header"])


def test_same_content_gives_the_same_bytes_whatever_the_order_and_layout():
    first = pack_arrays({"a": 1, "b": 2}, {"x": np.arange(6, dtype="<i4").reshape(2, 3), "y": np.array([1])})
    x = np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3))
    assert pack_arrays({"b": 2, "a": 1}, {"y": np.array([1]), "x": x}) == first


def test_bytes_are_those_of_every_other_machine():
    # Made with Python 3.11 and numpy 2.4; the same with Python 3.10 and numpy 1.26.
    assert hashlib.sha256(SMALL).hexdigest() == "9e3c86c1dd4f86b67fa8252409ca6e3b39f3fa7c1b9cfa8e1637b7ddc7388bfe"


def test_npy_members_are_what_numpy_writes():
    members = members_of(pack_arrays({}, ARRAYS))
    for name, array in ARRAYS.items():
        assert members[f"{name}.npy"] == npy_of(array)


def test_every_flipped_bit_is_detected():
    for i in range(len(SMALL)):
        for bit in range(8):
            altered = bytearray(SMALL)
            altered[i] ^= 1 << bit
            with pytest.raises(ModelFileError):
                unpack_arrays(bytes(altered), "x.npz")


def test_every_truncation_and_extension_is_refused():
    for n in range(len(SMALL)):
        with pytest.raises(ModelFileError):
            unpack_arrays(SMALL[:n], "x.npz")
    for extra in (b"\0", b"more", SMALL):
        with pytest.raises(ModelFileError):
            unpack_arrays(SMALL + extra, "x.npz")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "'m.npz': is empty"),
        (b"hello world" * 20, "is not a neurosim file"),
        (SMALL[:-100], "truncated at"),
        (SMALL[:-70] + b"x" + SMALL[-69:], "checksum"),
        (SMALL[:60] + b"x" + SMALL[61:], "is corrupt: its checksum is"),
    ],
)
def test_broken_files_say_what_is_wrong_and_where(data, words):
    with pytest.raises(ModelFileError, match=words):
        unpack_arrays(data, "m.npz")


def test_an_ordinary_npz_is_refused_as_such():
    buffer = io.BytesIO()
    np.savez(buffer, w=np.arange(3))
    with pytest.raises(ModelFileError, match="without neurosim's checksum"):
        unpack_arrays(buffer.getvalue())


def test_newer_format_version_asks_for_a_newer_neurosim():
    data = rewritten(header_member('{"format": "neurosim", "format_version": 2, "content": {}}'))
    with pytest.raises(ModelFileError, match="format version 2, neurosim .* reads up to 1; install a newer neurosim"):
        unpack_arrays(data, "m.npz")


GOOD = '{"format": "neurosim", "format_version": 1, "content": {}}'


@pytest.mark.parametrize(
    "members",
    [
        {"w.npy": npy_of(np.arange(3))},  # no header
        header_member("{not json"),
        header_member("[1]"),
        header_member('{"format": "other", "format_version": 1, "content": {}}'),
        header_member('{"format": "neurosim", "format_version": "1", "content": {}}'),
        header_member('{"format": "neurosim", "format_version": 1, "content": []}'),
        header_member("[" * 100000),
        header_member(GOOD) | {"w.npy": npy_of(np.array([{"a": 1}], dtype=object))},  # would be unpickled
        header_member(GOOD) | {"w.npy": npy_of(np.array(["text"]))},
        header_member(GOOD) | {"w.npy": npy_of(np.asfortranarray(np.ones((2, 2), np.int8)))},
        header_member(GOOD) | {"w.npy": npy_of(np.arange(3)) + b"x"},
        header_member(GOOD) | {"w.npy": npy_of(np.arange(3)).replace(b"(3,)", b"(9,)")},
        header_member(GOOD) | {"w.npy": b"\x93NUMPY\x02\x00" + npy_of(np.arange(3))[8:]},
        header_member(GOOD) | {"w.npy": b"short"},
        header_member(GOOD) | {"readme.txt": b"text"},
    ],
)
def test_signed_but_unexpected_contents_are_refused(members):
    with pytest.raises(ModelFileError, match="unexpected contents"):
        unpack_arrays(rewritten(members), "m.npz")


def test_compressed_members_are_refused():
    with pytest.raises(ModelFileError, match="is compressed"):
        unpack_arrays(rewritten(header_member(GOOD), zipfile.ZIP_DEFLATED), "m.npz")


@pytest.mark.parametrize("name", ["header", "", "a/b", "pixels->hidden", "ü"])
def test_bad_array_names_are_refused(name):
    with pytest.raises(ModelFileError, match="a name has letters, digits"):
        pack_arrays({}, {name: np.arange(2)})


@pytest.mark.parametrize("array", [np.array([object()]), np.array(["a"]), np.array([1j]), np.array(["2020"], "M8[D]")])
def test_arrays_of_other_types_are_refused(array):
    with pytest.raises(ModelFileError, match="files hold booleans, integers and floats"):
        pack_arrays({}, {"x": array})


@pytest.mark.parametrize("value", [float("nan"), np.int64(3), {1, 2}, b"x"])
def test_headers_that_json_cannot_hold_are_refused(value):
    with pytest.raises(ModelFileError, match="cannot be written as JSON"):
        pack_arrays({"x": value}, {})
