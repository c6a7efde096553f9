"""What is written is read again; what cannot be kept is refused, and nothing is left behind."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.data.eventblock import LATEST
from neurosim.data.eventtype import EVENT
from neurosim.data.readers import open_events
from neurosim.data.writers import TARGETS, Selection, convert
from neurosim.errors import DataError, RunFolderError

ALL = Selection()


def some_events(n: int = 300_000, width: int = 34, height: int = 34, last: int = 1 << 23) -> npt.NDArray[Any]:
    rng = np.random.default_rng(9)
    found = np.zeros(n, EVENT)
    found["t"] = np.sort(rng.integers(0, last, n))
    found["x"], found["y"], found["p"] = rng.integers(0, width, n), rng.integers(0, height, n), rng.integers(0, 2, n)
    return found


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_written_is_read_again(tmp_path: Path, name: str) -> None:
    events = some_events()
    out = tmp_path / f"a{TARGETS[name].suffix}"
    size = (34, 34) if TARGETS[name].keeps_size or name == "atis" else None
    seen: list[tuple[str, int, int | None]] = []
    stats = convert(open_events(events, sensor_size=size), out, name, ALL, on_progress=lambda *told: seen.append(told))
    assert stats.n_events == len(events)
    assert seen[-1] == ("written", len(events), len(events)) and seen[0][2] is None
    file = open_events(out)
    assert (file.format, file.sensor_size) == (name, size)
    np.testing.assert_array_equal(file.read(), events)
    before = out.read_bytes()
    convert(open_events(events, sensor_size=size), out, name, ALL)
    assert out.read_bytes() == before, "the same events give the same bytes"
    assert os.listdir(tmp_path) == [out.name]


@pytest.mark.parametrize("name", TARGETS)
def test_no_events_can_be_written(tmp_path: Path, name: str) -> None:
    out = tmp_path / f"a{TARGETS[name].suffix}"
    convert(open_events(np.zeros(0, EVENT)), out, name, ALL)
    if name == "atis":
        assert out.read_bytes() == b""
        return
    assert len(open_events(out).read()) == 0


def test_the_extremes_of_each_format_are_kept(tmp_path: Path) -> None:
    for name, target in TARGETS.items():
        x, y, t = target.limits
        first = 1 - t if t == LATEST else 0
        events = np.array([(first, 0, 0, 0), (t - 1, x - 1, y - 1, 1)], EVENT)
        out = tmp_path / f"a{target.suffix}"
        convert(open_events(events), out, name, ALL)
        np.testing.assert_array_equal(open_events(out, sensor_size=(x, y)).read(), events)
        for field, limit in zip("xyt", target.limits, strict=True):
            if limit <= np.iinfo(EVENT[field]).max and limit != LATEST:
                wrong = events.copy()
                wrong[field][1] = limit
                with pytest.raises(
                    DataError, match=f"an event has {field} = {limit}, format '{name}' holds 0..{limit - 1}; "
                ):
                    convert(open_events(wrong), tmp_path / "wrong", name, ALL)
    with pytest.raises(DataError, match="an event has t = -1, format 'dat' holds 0..4294967295"):
        convert(open_events(np.array([(-1, 0, 0, 0)], EVENT)), tmp_path / "wrong", "dat", ALL)
    assert not (tmp_path / "wrong").exists()


def test_a_label_and_the_sensor_are_kept_or_asked_about(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", events=some_events(100), label=np.int64(7), sensor_size=np.array([40, 34]))
    file = open_events(tmp_path / "a.npz")
    convert(file, tmp_path / "b.npz", "npz", ALL)
    again = open_events(tmp_path / "b.npz")
    assert (again.label, again.sensor_size) == (7, (40, 34))
    for name, lost in (("npy", "its label 7 and the size of its sensor, 40 x 34"), ("text", "its label 7"), ("dat", "its label 7"),
                       ("atis", "its label 7 and the size of its sensor, 40 x 34")):  # fmt: skip
        out = tmp_path / f"c{TARGETS[name].suffix}"
        with pytest.raises(DataError, match=f"format '{name}' would lose {lost}; write .npz, or add --force"):
            convert(file, out, name, ALL)
        assert not out.exists()
        convert(file, out, name, ALL, force=True)
        assert len(open_events(out).read()) == 100


def test_the_larger_sensor_of_bin_files_is_found_again_or_asked_about(tmp_path: Path) -> None:
    wide, narrow = some_events(1000, 240, 180), some_events(1000)
    convert(open_events(wide, sensor_size=(240, 180)), tmp_path / "a.bin", "atis", ALL)
    assert open_events(tmp_path / "a.bin").sensor_size == (240, 180)
    with pytest.raises(DataError, match="the size of its sensor, 240 x 180"):
        convert(open_events(narrow, sensor_size=(240, 180)), tmp_path / "b.bin", "atis", ALL)


def test_a_part_is_counted_from_the_first_event(tmp_path: Path) -> None:
    events = some_events(400_000)
    events["t"] += 1_000_000
    first = int(events["t"][0])
    out = tmp_path / "a.npy"
    for low, high in ((None, None), (1000, None), (None, 5_000_000), (2_000_000, 2_000_500), (1 << 40, None)):
        for from_zero in (False, True):
            convert(open_events(events), out, "npy", Selection(low, high, from_zero))
            since = events["t"] - first
            chosen = events[(since >= (low or 0)) & (since < (high or 1 << 62))].copy()
            chosen["t"] -= first if from_zero else 0
            np.testing.assert_array_equal(open_events(out).read(), chosen)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "a.npz"
    out.write_bytes(b"old")
    source = tmp_path / "a.csv"
    source.write_text("t,x,y,p\n1,2,3,0\n1,2,x,0\n")
    with pytest.raises(DataError, match="not a line of numbers"):
        convert(open_events(source), out, "npz", ALL)
    calls = 0

    def stop(*told: object) -> None:
        nonlocal calls
        calls += 1
        if told[0] == "written":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(open_events(some_events(10)), out, "npz", ALL, on_progress=stop)
    assert calls == 2 and out.read_bytes() == b"old" and sorted(os.listdir(tmp_path)) == ["a.csv", "a.npz"]
    with pytest.raises(RunFolderError, match="is a folder, not a regular file"):
        convert(open_events(some_events(10)), tmp_path, "npz", ALL)
    with pytest.raises(RunFolderError, match="cannot write the file: No such file or directory; make the folder first"):
        convert(open_events(some_events(10)), tmp_path / "none" / "a.npz", "npz", ALL)


def test_numpy_reads_what_was_written(tmp_path: Path) -> None:
    events = some_events(1000)
    convert(open_events(events, sensor_size=(34, 34)), tmp_path / "a.npz", "npz", ALL)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["events"], events)
        assert stored["sensor_size"].tolist() == [34, 34]
    convert(open_events(events), tmp_path / "a.npy", "npy", ALL)
    buffer = io.BytesIO()
    np.save(buffer, events)
    assert (tmp_path / "a.npy").read_bytes() == buffer.getvalue()
