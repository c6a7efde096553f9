"""HDF5 files of others: right answers, and clear errors for all that may be in a hostile or damaged one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from neurosim import hdf5tree
from neurosim.errors import ModelFileError
from neurosim.hdf5tree import TreeReader, describe, read_rows, read_tree

VLEN = h5py.vlen_dtype(np.float32)


def write(path: Path, fill: Callable[[Any], object]) -> Path:
    """Write a file with h5py."""
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def sample(file: Any) -> None:
    """Fill a file with one of each kind that is read."""
    for kind in "bhiqBHIQefd":
        file[f"numbers/{kind}"] = np.arange(6, dtype=kind).reshape(2, 3)
    file["big"] = np.arange(3, dtype=">i4")
    file["packed"] = np.arange(1000, dtype=np.float32)
    file.create_dataset("gzip", data=np.arange(1000), compression="gzip", shuffle=True, fletcher32=True)
    file.create_dataset("lzf", data=np.arange(1000), compression="lzf")
    file["true"] = True
    file["flags"] = np.array([True, False])
    file["scalar"] = np.int64(-7)
    file["empty"] = np.zeros((0, 4), np.int16)
    file["text"] = "spike \u03bb"
    file["fixed"] = np.array([b"dense"])
    file["edges"] = np.array([["a", "b"], ["b", "c"], ["c", "a"]], dtype=object)
    file.create_group("nothing")
    file["same"] = file["numbers/i"]  # a second hard link


@pytest.fixture(scope="module")
def reader() -> Any:
    """One child for all tests that do not ask for another."""
    with TreeReader() as found:
        yield found


def test_every_kind_comes_back(tmp_path: Path) -> None:
    tree = read_tree(write(tmp_path / "a.h5", sample))
    for kind in "bhiqBHIQefd":
        found = tree["numbers"][kind]
        np.testing.assert_array_equal(found, np.arange(6).reshape(2, 3))
        assert found.dtype == np.dtype(kind)
        assert found.flags.writeable
    assert tree["big"].tolist() == [0, 1, 2] and tree["big"].dtype == np.dtype(np.int32)
    np.testing.assert_array_equal(tree["gzip"], np.arange(1000))
    np.testing.assert_array_equal(tree["lzf"], np.arange(1000))
    assert tree["true"].dtype == np.bool_ and tree["true"].shape == () and tree["true"]
    assert tree["flags"].tolist() == [True, False]
    assert tree["scalar"].shape == () and tree["scalar"] == -7
    assert tree["empty"].shape == (0, 4) and tree["empty"].dtype == np.int16
    assert tree["text"] == "spike \u03bb"
    assert tree["fixed"] == ["dense"]
    assert tree["edges"] == [["a", "b"], ["b", "c"], ["c", "a"]]
    assert tree["nothing"] == {}
    np.testing.assert_array_equal(tree["same"], tree["numbers"]["i"])
    assert list(tree) == sorted(tree)


def test_describe_tells_without_reading(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        sample(file)
        file.create_dataset("times", (3,), dtype=VLEN)
        file.create_dataset("huge", (1 << 40,), dtype="i8", chunks=(1024,))
        file.create_dataset("rows", (2,), dtype=[("t", "i8"), ("x", "i2")])

    found = describe(write(tmp_path / "a.h5", fill))
    assert found["numbers/h"] == ((2, 3), "array", "<i2")
    assert found["edges"] == ((3, 2), "text", "")
    assert found["times"] == ((3,), "ragged", "<f4")
    assert found["huge"] == ((1 << 40,), "array", "<i8")
    assert found["rows"].form == "unreadable" and "compound" in found["rows"].dtype


def test_rows_of_every_form(tmp_path: Path) -> None:
    pieces = [np.arange(n, dtype=np.float32) / 8 for n in (3, 0, 5, 1)]

    def fill(file: Any) -> None:
        times = file.create_dataset("spikes/times", (4,), dtype=VLEN)
        for i, piece in enumerate(pieces):
            times[i] = piece
        file.create_dataset("data", data=np.arange(1 << 16).reshape(-1, 4), chunks=(16, 4), compression="gzip")
        file["keys"] = np.array(["u", "v", "w"], dtype=object)

    path = write(tmp_path / "a.h5", fill)
    with TreeReader() as reader:
        for start, stop in ((0, 4), (1, 3), (2, 2), (3, 100), (9, 12)):
            found = reader.read_rows(path, "spikes/times", start, stop)
            assert [piece.tolist() for piece in found] == [piece.tolist() for piece in pieces[start:stop]]
        np.testing.assert_array_equal(
            reader.read_rows(path, "data", 100, 103, max_bytes=96), np.arange(400, 412).reshape(3, 4)
        )
        assert reader.read_rows(path, "keys", 1, 9) == ["v", "w"]
        with pytest.raises(ModelFileError, match="brings the arrays to 128 bytes, 96 are allowed"):
            reader.read_rows(path, "data", 100, 104, max_bytes=96)
        with pytest.raises(ModelFileError, match="brings the arrays"):
            reader.read_rows(path, "spikes/times", 0, 4, max_bytes=40)
        for name in ("spikes/units", "spikes", "spikes/times/more", "", "/data", "../data"):
            with pytest.raises(ModelFileError, match=r"a\.h5.*(no dataset|not a dataset|not a group)"):
                reader.read_rows(path, name, 0, 1)
        with pytest.raises(ModelFileError, match="0 <= start <= stop"):
            reader.read_rows(path, "data", 3, 1)
    np.testing.assert_array_equal(read_rows(path, "data", 0, 1), [[0, 1, 2, 3]])


def test_a_bomb_counts_at_full_size(tmp_path: Path, reader: TreeReader) -> None:
    """One gzip chunk of zeros is a thousandth of what it unpacks to; a chunk never written is nothing at all."""
    path = write(
        tmp_path / "a.h5",
        lambda file: file.create_dataset(
            "bomb", data=np.zeros(1 << 24, np.int8), chunks=(1 << 24,), compression="gzip"
        ),
    )
    assert path.stat().st_size < 1 << 16
    with pytest.raises(ModelFileError, match=r"a\.h5.*/bomb brings the arrays to 16777216 bytes, 1048576 are allowed"):
        reader.read_tree(path, max_bytes=1 << 20)
    assert reader.read_tree(path)["bomb"].shape == (1 << 24,)
    unwritten = write(tmp_path / "b.h5", lambda f: f.create_dataset("d", (1 << 60,), dtype="i8", chunks=(64,)))
    with pytest.raises(ModelFileError, match="are allowed; raise max_bytes"):
        reader.read_tree(unwritten)
    wide = write(
        tmp_path / "c.h5",
        lambda f: f.create_dataset("d", (1,), maxshape=(None,), dtype="i8", chunks=(1 << 28,), compression="gzip"),
    )
    with pytest.raises(ModelFileError, match="has chunks of 2147483648 bytes"):
        reader.read_tree(wide)


def _external_link(file: Any) -> None:
    file["out"] = h5py.ExternalLink("other.h5", "/secret")


def _external_data(file: Any) -> None:
    file.create_dataset("raw", (4,), dtype="i1", external=[("/etc/hostname", 0, 4)])


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="i4")
    layout[:] = h5py.VirtualSource("other.h5", "d", shape=(4,))
    file.create_virtual_dataset("vds", layout)


def _soft(file: Any) -> None:
    file["d"] = 1
    file["alias"] = h5py.SoftLink("/d")


def _circle(file: Any) -> None:
    file.create_group("a")["again"] = file["/"]


def _deep(file: Any) -> None:
    file["/".join("g" * 40)] = 1


def _many(file: Any) -> None:
    group = file.create_group("g")
    group["x"] = 1
    for i in range(20_001):
        group[f"{i}"] = group["x"]


def _reference(file: Any) -> None:
    file["d"] = 1
    file.create_dataset("ref", data=file["d"].ref, dtype=h5py.ref_dtype)


def _scaleoffset(file: Any) -> None:
    file.create_dataset("d", data=np.arange(100), chunks=(10,), scaleoffset=True)


def _rank(file: Any) -> None:
    file["d"] = np.zeros((1,) * 9)


REFUSED: dict[str, tuple[Callable[[Any], object], str]] = {
    "external link": (_external_link, "/out is a link of kind 'external'"),
    "external storage": (_external_data, "/raw keeps its data in external files"),
    "virtual": (_virtual, "/vds is virtual"),
    "soft link": (_soft, "/alias is a link of kind 'soft'"),
    "circle": (_circle, "links may form a circle"),
    "deep": (_deep, "deeper than 32 groups"),
    "many": (_many, "more than 20000 groups and datasets"),
    "reference": (_reference, "/ref has a type of kind 'reference'"),
    "compound": (lambda f: f.create_dataset("d", (1,), dtype=[("a", "i4")]), "'compound'"),
    "opaque": (lambda f: f.create_dataset("d", data=np.array([b"x"], "V3")), "'opaque'"),
    "array type": (lambda f: f.create_dataset("d", (2,), dtype=np.dtype(("i4", (3,)))), "'array'"),
    "ragged": (lambda f: f.create_dataset("d", (2,), dtype=VLEN), "'variable-length'"),
    "enumeration": (
        lambda f: f.create_dataset("d", (2,), dtype=h5py.enum_dtype({"A": 1, "B": 5, "C": 7})),
        "'enumeration'",
    ),
    "complex": (lambda f: f.create_dataset("d", data=np.ones(2, np.complex64)), "type of kind"),
    "long double": (lambda f: f.create_dataset("d", data=np.ones(2, np.longdouble)), "'float' with 16 bytes"),
    "filter": (_scaleoffset, "through filter 6"),
    "rank": (_rank, "9 dimensions, 8 are allowed"),
    "null": (lambda f: f.create_dataset("d", data=h5py.Empty("f4")), "null dataspace"),
    "long name": (lambda f: f.create_dataset("n" * 1001, data=1), "a name of 1001 bytes, 1000 are allowed"),
    "long string": (lambda f: f.create_dataset("s", data="x" * (1 << 20) + "y"), "a string of 1048577 bytes"),
    "many strings": (lambda f: f.create_dataset("s", (1 << 22,), dtype="S8"), "strings of 8 bytes"),
    "named type": (lambda f: f.__setitem__("t", np.dtype("i4")), "neither a group nor a dataset"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_read_is_refused_by_name(tmp_path: Path, reader: TreeReader, what: str) -> None:
    fill, told = REFUSED[what]
    with pytest.raises(ModelFileError, match=f"a.h5': .*{told}"):
        reader.read_tree(write(tmp_path / "a.h5", fill))


def test_what_is_no_hdf5_file_is_said(tmp_path: Path, reader: TreeReader) -> None:
    (tmp_path / "text.net").write_text("layer: 3\n" * 100)
    (tmp_path / "empty.net").touch()
    with pytest.raises(ModelFileError, match=r"text\.net.*not an HDF5 file"):
        reader.read_tree(tmp_path / "text.net")
    with pytest.raises(ModelFileError, match="not an HDF5 file"):
        reader.read_tree(tmp_path / "empty.net")
    with pytest.raises(ModelFileError, match=r"absent\.net.*cannot be read.*check the path"):
        reader.read_tree(tmp_path / "absent.net")
    with pytest.raises(ModelFileError, match="is not a file"):
        reader.read_tree(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no named pipes")
def test_a_pipe_does_not_hang(tmp_path: Path, reader: TreeReader) -> None:
    os.mkfifo(tmp_path / "pipe.net")
    with pytest.raises(ModelFileError, match="is not a file"):
        reader.read_tree(tmp_path / "pipe.net")


def test_text_that_is_not_utf8_is_refused(tmp_path: Path, reader: TreeReader) -> None:
    with pytest.raises(ModelFileError, match="not UTF-8"):
        reader.read_tree(write(tmp_path / "a.h5", lambda f: f.create_dataset("s", data=np.array([b"\xff\xfe"]))))


def test_mutated_files_give_an_error_or_an_answer(tmp_path: Path) -> None:
    """Bytes changed, cut off and put in at random, the structure at the front more often than the data behind it."""
    good = write(tmp_path / "good.h5", sample).read_bytes()
    rng = np.random.default_rng(6)
    answers = errors = 0
    with TreeReader(keep_after_error=True) as reader:
        for i in range(150):
            data = bytearray(good)
            for _ in range(int(rng.integers(1, 12))):
                at = int(rng.integers(len(data)) if rng.random() < 0.5 else rng.integers(min(4096, len(data))))
                data[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)]))
            if i % 10 == 0:
                del data[int(rng.integers(len(data))) :]
            path = tmp_path / "mutant.h5"
            path.write_bytes(data)
            try:
                reader.read_tree(path, max_bytes=1 << 24, timeout_s=20)
                answers += 1
            except ModelFileError as error:
                assert "mutant.h5" in str(error)
                errors += 1
    assert answers and errors


def test_a_child_that_dies_is_reported_and_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", sample)
    with TreeReader() as reader:
        reader.read_tree(path)
        assert reader._process is not None
        first = reader._process.pid
        reader._process.kill()
        reader._process.wait()
        assert reader.read_tree(path)["scalar"] == -7
        assert reader._process.pid != first


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this platform cannot stop a process")
def test_a_child_that_hangs_is_killed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", sample)
    with TreeReader() as reader:
        reader.read_tree(path)
        assert reader._process is not None
        os.kill(reader._process.pid, signal.SIGSTOP)
        begun = time.monotonic()
        with pytest.raises(ModelFileError, match=r"took more than 0\.5 s"):
            reader.read_tree(path, timeout_s=0.5)
        assert time.monotonic() - begun < 30
        assert reader.read_tree(path)["scalar"] == -7


def _fake_child(tmp_path: Path, code: str) -> str:
    (tmp_path / "child.py").write_text("import sys, os, struct, json\nsys.stdin.readline()\n" + code)
    return f"import runpy; runpy.run_path({str(tmp_path / 'child.py')!r})"


SEND = "t = json.dumps({}).encode(); sys.stdout.buffer.write(struct.pack('<Q', len(t)) + t); sys.stdout.flush()\n"
HUGE = '{"entries": [["array", ["a"], "<f8", [1 << 40]]]}'
LIES = {
    "crash": "os.abort()\n",
    "silence": "sys.exit(3)\n",
    "endless header": "sys.stdout.buffer.write(struct.pack('<Q', 1 << 60)); sys.stdout.flush(); sys.stdin.readline()\n",
    "too much": SEND.format(HUGE),
    "wrong type": SEND.format('{"entries": [["array", ["a"], "|O", [1]]]}'),
    "negative": SEND.format('{"entries": [["array", ["a"], "<f8", [-1, 4]]]}'),
    "float shape": SEND.format('{"entries": [["array", ["a"], "<f8", [1.5]]]}'),
    "no dictionary": SEND.format("[1]"),
    "cut off": SEND.format('{"entries": [["array", ["a"], "<f8", [1]]]}') + "sys.exit(0)\n",
}


@pytest.mark.parametrize("lie", LIES)
def test_the_child_itself_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    path = write(tmp_path / "a.h5", sample)
    monkeypatch.setattr(hdf5tree, "_START", _fake_child(tmp_path, LIES[lie]))
    with TreeReader() as reader, pytest.raises(ModelFileError, match=r"a\.h5.*damaged: the HDF5 library failed"):
        reader.read_tree(path)


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="only Linux limits a process's memory")
def test_memory_of_the_child_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk that unpacks to more than its size says makes HDF5 take more and more; the limit stops it."""
    import zlib

    def fill(file: Any) -> None:
        made = file.create_dataset("d", (1 << 20,), dtype="i1", chunks=(1 << 20,), compression="gzip")
        made.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 28), 9))

    monkeypatch.setattr(hdf5tree, "CHILD_MEMORY", 1 << 28)
    with TreeReader() as reader, pytest.raises(ModelFileError, match="damaged"):
        reader.read_tree(write(tmp_path / "a.h5", fill))


def test_files_in_the_working_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.h5", sample)
    for name in ("json", "runpy", "struct", "numpy", "h5py"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    assert read_tree("a.h5")["scalar"] == -7
    assert path.is_file()
