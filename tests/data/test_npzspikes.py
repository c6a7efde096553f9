import io
import struct
import zipfile

import numpy as np
import pytest

from neurosim.commands.eventfile import load_events
from neurosim.data.npzspikes import MAX_UNITS, read_spikes
from neurosim.errors import DataError
from neurosim.events import events_from_dense


def same(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a, b)
            assert np.asarray(a).dtype == np.asarray(b).dtype


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, ">i4", np.int64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_spikes_of_every_type_and_layout_are_those_of_the_array(save, dtype, order, tmp_path):
    rng = np.random.default_rng(1)
    spikes = np.asarray((rng.random((3, 5, 7)) < 0.3).astype(dtype), order=order)
    save(tmp_path / "x.npz", spikes=spikes, labels=np.arange(3))
    events, shape = read_spikes(tmp_path / "x.npz")
    assert shape == (3, 5, 7)
    same(events, events_from_dense(spikes))


@pytest.mark.parametrize("order", ["C", "F"])
def test_values_and_more_axes_come_in_c_order(order, tmp_path, monkeypatch):
    monkeypatch.setattr("neurosim.data.npzspikes.BLOCK", 11)  # many blocks that end anywhere
    rng = np.random.default_rng(2)
    values = rng.integers(-3, 4, (2, 4, 3, 5)) * (rng.random((2, 4, 3, 5)) < 0.5)
    np.savez(tmp_path / "x.npz", spikes=np.asarray(values, order=order))
    events, shape = read_spikes(tmp_path / "x.npz")
    assert shape == values.shape
    same(events, events_from_dense(values.reshape(2, 4, 15), graded=True))
    with pytest.raises(DataError, match=r"have shape \(2, 4, 3, 5\), need"):
        load_events(tmp_path / "x.npz")


def archive_of(npy: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("spikes.npy", npy)
    return buffer.getvalue()


def npy_of(text: str, data: bytes = b"") -> bytes:
    head = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def head(shape: str, descr: str = "|i1") -> str:
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a .npz file of events"),
        (b"hello world", "not a .npz file of events"),
        (archive_of(b""), "no .npy array"),
        (archive_of(npy_of(head("(1, 2, 3)"), b"\0" * 5)), "5 bytes follow, shape .* needs 6"),
        (archive_of(npy_of(head("(1, 2, 3)"), b"\0" * 7)), "7 bytes follow"),
        (archive_of(npy_of(head("(4000000, 4000000, 4000000)"))), "0 bytes follow"),
        (archive_of(npy_of(head("(9999999999, 1, 1)"))), "axes, or one of more than 2147483647"),
        (archive_of(npy_of(head("(0, 5, 5)"))), "an axis has no entries"),
        (archive_of(npy_of(head("(-1, 5, 5)"))), "its head is damaged"),
        (archive_of(npy_of(head("(1, 2)"), b"\0\1")), "found 2 axes; add the missing axes"),
        (archive_of(npy_of(head("(1, 1, 1)", "|O"), b"\0")), "holds no numbers"),
        (archive_of(npy_of("__import__('os')")), "its head is damaged"),
        (archive_of(npy_of("[" * 5000)), "its head is damaged"),
        (archive_of(npy_of(head("(1, 1, 1)", "|i2"), b"\0\0"), zipfile.ZIP_BZIP2), "a way that numpy does not use"),
        (archive_of(npy_of(head("(1, 1, 2)"), b"\1\1"))[:-30], "not a .npz file of events"),
    ],
)
def test_other_contents_are_refused_with_the_reason(content, words, tmp_path):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_spikes(tmp_path / "x.npz")


def test_other_arrays_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, spike=np.zeros((1, 1, 1)))
    with pytest.raises(DataError, match="holds no array 'spikes'; write one with"):
        read_spikes(path)
    with pytest.raises(DataError, match="cannot be read .No such file"):
        read_spikes(tmp_path / "none.npz")
    np.savez(path, spikes=np.full((1, 1, 1), 0.5))
    with pytest.raises(DataError, match="spikes are 0 or 1, found float64 value 0.5"):
        read_spikes(path)
    np.savez(path, spikes=np.full((1, 1, 1), np.nan))
    with pytest.raises(DataError, match="found float64 value nan"):
        read_spikes(path)
    np.savez(path, spikes=np.full((1, 1, 1), 2**63, np.uint64))
    with pytest.raises(DataError, match="value 9223372036854775808 exceeds"):
        read_spikes(path)
    np.savez(path, spikes=np.array([[[{}]]], dtype=object))
    with pytest.raises(DataError, match="holds no numbers"):
        read_spikes(path)


def test_a_small_file_with_very_many_spikes_or_steps_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, spikes=np.ones((1, 2, MAX_UNITS // 2), bool))
    assert path.stat().st_size < MAX_UNITS // 500
    with pytest.raises(DataError, match="its spikes exceed the limit of 16777216; split the file"):
        read_spikes(path)
    np.savez_compressed(path, spikes=np.zeros((MAX_UNITS + 1, 1, 1), bool))
    with pytest.raises(DataError, match="samples and steps exceed the limit of 16777216"):
        read_spikes(path)


def test_a_size_that_the_list_of_members_makes_up_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, spikes=np.zeros((1, 1, 1), np.int8))
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = b"\xff\xff\xff\x7f"
    path.write_bytes(content)
    with pytest.raises(DataError, match="has 2147483647 bytes, the limit is the file's size"):
        read_spikes(path)
