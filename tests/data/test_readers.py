"""Event files of the simple formats, streaming, and what is malformed."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from realdata import data_file
from tiny_sets import event_bytes

from neurosim.data.eventtype import EVENT
from neurosim.data.readers import FORMATS, open_events
from neurosim.errors import DataError

EVENTS = [(0, 0, 0, 0), (33, 1, 1, 105_000), (33, 1, 1, 105_001), (2, 33, 0, 314_999), (5, 5, 1, 8_388_607)]


def as_events(rows: list[tuple[int, int, int, int]]) -> npt.NDArray[Any]:
    """Return rows of x, y, p, t as an array."""
    return np.array([(t, x, y, p) for x, y, p, t in rows], EVENT)


def random_events(n: int, seed: int = 1, width: int = 34, height: int = 34) -> npt.NDArray[Any]:
    rng = np.random.default_rng(seed)
    found = np.zeros(n, EVENT)
    found["t"] = np.sort(rng.integers(0, 1 << 22, n))
    found["x"], found["y"], found["p"] = rng.integers(0, width, n), rng.integers(0, height, n), rng.integers(0, 2, n)
    return found


def test_the_bytes_of_n_mnist_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(event_bytes(EVENTS))
    file = open_events(path)
    assert (file.format, file.sensor_size, file.label, file.n_samples) == ("atis", (34, 34), None, 1)
    np.testing.assert_array_equal(file.read(), as_events(EVENTS))
    assert file.n_malformed == 0 and file.read().dtype == EVENT


def test_a_larger_sensor_is_seen_by_the_events_outside(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(event_bytes([(i % 240, i % 180, 1, i) for i in range(1000)]))
    assert open_events(path).sensor_size == (240, 180)
    assert len(open_events(path).read()) == 1000
    file = open_events(path, sensor_size=(240, 100), strict=False)
    assert len(file.read()) + file.n_malformed == 1000 and file.n_malformed == sum(i % 180 >= 100 for i in range(1000))
    path.write_bytes(event_bytes([(i % 34, i % 34, 1, i) for i in range(999)] + [(34, 0, 1, 2000)]))
    with pytest.raises(DataError, match=r"number 999 is malformed, outside the sensor of 34 x 34 \(x 34, y 0\)"):
        open_events(path).read()


@pytest.mark.parametrize("max_events", [1, 7, 65536, 65537, 10**9])
def test_chunks_hold_as_many_as_asked_for_and_lose_none(tmp_path: Path, max_events: int) -> None:
    events = random_events(200_000 if max_events > 7 else 100)
    path = tmp_path / "a.npz"
    np.savez(path, events=events)
    pieces = list(open_events(path).chunks(max_events))
    assert all(len(piece) == max_events for piece in pieces[:-1]) and 0 < len(pieces[-1]) <= max_events
    np.testing.assert_array_equal(np.concatenate(pieces), events)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("names", [("t", "x", "y", "p"), ("timestamp", "X", "Y", "polarity"), ("ts", "x", "y", "on")])
def test_columns_and_structured_arrays_have_many_names(tmp_path: Path, names: tuple[str, ...], compress: bool) -> None:
    events = random_events(70_000)
    path = tmp_path / "a.npz"
    save = np.savez_compressed if compress else np.savez
    columns = {name: events[field].astype(np.int64) for name, field in zip(names, "txyp", strict=True)}
    save(path, **columns, label=np.int64(7), sensor_size=np.array([34, 35]))
    file = open_events(path)
    assert (file.format, file.sensor_size, file.label) == ("npz", (34, 35), 7)
    np.testing.assert_array_equal(file.read(), events)
    other = np.zeros(len(events), [(names[3], "i1"), (names[1], ">u2"), (names[0], "u4"), (names[2], "i4")])
    for name, field in zip(names, "txyp", strict=True):
        other[name] = events[field]
    other[names[3]] = 2 * other[names[3]] - 1  # -1 and 1
    np.save(tmp_path / "a.npy", other)
    np.testing.assert_array_equal(open_events(tmp_path / "a.npy").read(), events)
    file = open_events(other, sensor_size=(34, 34))
    assert (file.format, file.sensor_size) == ("array", (34, 34))
    np.testing.assert_array_equal(file.read(), events)


def test_floats_are_seconds_and_a_line_of_channels_has_no_y() -> None:
    array = np.array([(0.0, 3), (0.25, 699)], [("times", "f8"), ("units", "u2")])
    np.testing.assert_array_equal(open_events(array).read(), np.array([(0, 3, 0, 1), (250_000, 699, 0, 1)], EVENT))


TEXTS = {
    "head": "t,x,y,p\n0,0,0,0\n105000,33,1,1\n105001,33,1,1\n",
    "other order": "x,y,polarity,timestamp\n0,0,0,0\n33,1,1,105000\n33,1,1,105001\n",
    "no head": "0 0 0 0\n105000 33 1 1\n105001 33 1 1",
    "seconds": "0.000000 0 0 0\n0.105000 33 1 1\n0.105001 33 1 1\n",
    "tabs, windows": "t\tx\ty\tp\r\n0\t0\t0\t0\r\n105000\t33\t1\t1\r\n105001\t33\t1\t1\r\n",
    "words": "t;x;y;p\n0;0;0;False\n105000;33;1;True\n\n105001;33;1;true\n",
    "signs": "t, x, y, p\n0, 0, 0, -1\n105000, 33, 1, 1\n105001, 33, 1, +1\n",
    "comments": "# sensor_size 34 20\n% by hand\nt,x,y,p,more\n0,0,0,0,a\n105000,33,1,1,b\n# again\n105001,33,1,1,c\n",
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("suffix", [".csv", ".anything"])
def test_tables_of_text_are_read(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(TEXTS[kind].encode())
    file = open_events(path)
    assert file.format == "text" and file.sensor_size == ((34, 20) if kind == "comments" else None)
    np.testing.assert_array_equal(file.read(), as_events(EVENTS[:3]))


def test_a_long_table_is_read_in_blocks(tmp_path: Path) -> None:
    events = random_events(150_000)
    path = tmp_path / "a.csv"
    with path.open("w") as stream:
        stream.write("t,x,y,p\n")
        np.savetxt(stream, np.stack([events[field] for field in "txyp"], axis=1), fmt="%d", delimiter=",")
    assert path.stat().st_size > 2 << 20
    np.testing.assert_array_equal(open_events(path).read(), events)


BAD_EVENTS = [
    (b"t,x,y,p\n1,2,3,0\n2,x,3,1\n", 1, "number 1 is malformed, not a line of numbers"),
    (b"t,x,y,p\n1,2,3,0\n2,3,1\n", 1, "number 1 is malformed, not a line of numbers"),
    (b"t,x,y,p\n5,2,3,0\n2,3,1,1\n6,1,1,1\n", 1, "number 1 is malformed, going back in time .to 2 us"),
    (b"t,x,y,p\n5,70000,3,0\n6,1,1,1\n", 1, r"number 0 is malformed, outside the sensor .x 70000, y 3"),
    (b"t,x,y,p\n5,-1,3,0\n6,1,1,1\n", 1, r"number 0 is malformed, outside the sensor .x -1, y 3"),
    (b"t,x,y,p\n5,1,3,2\n6,1,1,1\n", 1, "number 0 is malformed, no polarity of 0 or 1 .but 2"),
    (b"t,x,y,p\n5,1.5,3,1\n6,1,1,1\n1e300,1,1,1\nnan,1,1,1\n7.5,1,1,1\n", 4, "number 0 is malformed, not a line of numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "n_malformed", "text"), BAD_EVENTS)
def test_malformed_events_are_counted_or_an_error(tmp_path: Path, content: bytes, n_malformed: int, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path}.*{text}.*strict=False"):
        open_events(path).read()
    file = open_events(path, strict=False)
    n_lines = content.count(b"\n") - 1
    assert len(file.read()) == n_lines - n_malformed
    assert file.n_malformed == n_malformed == sum(file.malformed.values())
    assert file.first_malformed.startswith("event number ")
    file.read()
    assert file.n_malformed == n_malformed, "a second reading counts anew"


@pytest.mark.parametrize("time", [1 << 53, -(1 << 53), np.iinfo(np.int64).max, np.iinfo(np.int64).min])
def test_a_time_beyond_285_years_is_malformed(time: int) -> None:
    events = np.array([(5, 1, 1, 1), (time, 1, 1, 1), (6, 1, 1, 1)], EVENT)
    with pytest.raises(DataError, match=f"number 1 is malformed, no time within 285 years .{time} us"):
        open_events(events).read()
    file = open_events(events, strict=False)
    np.testing.assert_array_equal(file.read(), events[[0, 2]])
    assert file.n_malformed == 1


def stored(save: Any, *args: Any, **arrays: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, *args, **arrays)
    return stream.getvalue()


COLUMNS = {name: np.arange(3) for name in "txyp"}
BAD_FILES = [
    ("a.csv", b"", r"is empty \(0 bytes\)"),
    ("a.xyz", bytes(range(256)), "its content is of no format known here; known are"),
    ("a.csv", bytes(range(256)), "whatever its suffix '.csv' says"),
    ("a.csv", b"t,x,y,p" + b" " * 5000, "a line is longer than 4096 characters"),
    ("a.csv", b"1,2,3\n4,5,6\n", "3 columns and no head"),
    ("a.csv", b"x,y\n5,6\n", "no column 't' .*name the columns t, x, y, p"),
    ("a.csv", b"t,time,x,y\n5,6\n", "'t' and 'time' both name column 't'"),
    ("a.npz", stored(np.savez, **COLUMNS)[:300], "a damaged .npz file"),
    ("a.npz", stored(np.savez, **COLUMNS).replace(b"shape", b"shapf"), "a damaged array"),
    ("a.npz", stored(np.savez, **{**COLUMNS, "x": np.arange(2)}), r"differ in shape \(t \(3,\), x \(2,\)"),
    ("a.npz", stored(np.savez, **COLUMNS, label=np.arange(3)), "array 'label' has .* must be 1 integers"),
    ("a.npz", stored(np.savez, **COLUMNS, sensor_size=np.array([0, 9])), "array 'sensor_size' is .0, 9.; it must be 2"),
    ("a.npz", stored(np.savez, spikes=np.zeros((1, 2, 3))), "which are no events of a sensor"),
    ("a.npz", stored(np.savez, **{**COLUMNS, "x": np.array(["a", "b", "c"])}), "column 'x' has type <U1"),
    ("a.npy", stored(np.save, np.arange(3)), "a structured array .n,. with fields t, x, y, p"),
    (
        "a.npy",
        stored(np.save, np.array([(1, {})], [("t", int), ("x", object)])),
        "column 'x' holds Python objects, which could run code",
    ),
    ("a.npy", stored(np.save, np.zeros(9, EVENT))[:-1], r"announces \(9,\) of 13 bytes each, and 116 bytes follow"),
    ("a.npy", stored(np.save, np.zeros(9, EVENT)).replace(b"(9,)", b"(9_)"), "a damaged array"),
]


@pytest.mark.parametrize(("name", "content", "text"), BAD_FILES)
def test_damaged_files_are_one_clear_error(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=text) as caught:
        open_events(path, strict=False).read()
    assert str(path) in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder, not a file of events"):
        open_events(tmp_path)
    with pytest.raises(DataError, match="cannot be read .No such file or directory"):
        open_events(tmp_path / "none.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match="a device or a pipe"):
        open_events(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match="sensor_size is .0, 4."):
        open_events(np.zeros(0, EVENT), sensor_size=(0, 4))
    with pytest.raises(DataError, match="max_events is 0"):
        open_events(np.zeros(0, EVENT)).chunks(0)
    with pytest.raises(DataError, match="holds more than 3 events"):
        open_events(np.zeros(4, EVENT)).read(max_events=3)
    with pytest.raises(DataError, match="array of events: has type int64 and shape .3,."):
        open_events(np.zeros(3, np.int64))


def test_recordings_of_n_mnist_are_whole() -> None:
    folder = data_file("nmnist", "labels.csv").parent
    for path in sorted((folder / "events").glob("*.bin"))[:20]:
        events = open_events(path).read()
        raw = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 5)
        assert len(events) == len(raw) and events["x"].tolist() == raw[:, 0].tolist()


def test_formats_are_listed_with_what_opens_them() -> None:
    assert {"npz", "npy", "text", "atis"} <= set(FORMATS)
    assert all(format.title and format.suffixes for format in FORMATS.values())
