"""HDF5 files with many recordings, as SHD has them, and with columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from neurosim.data.eventtype import EVENT
from neurosim.data.readers import iterate_samples, open_events
from neurosim.errors import DataError


def write_shd(path: Path, n: int = 150, labels: bool = True) -> list[npt.NDArray[Any]]:
    """Write recordings as SHD has them (times in seconds, 32 bits here), and return their events."""
    rng = np.random.default_rng(7)
    times = [np.sort(rng.random(int(rng.integers(1, 90)))).astype(np.float32) for _ in range(n)]
    units = [rng.integers(0, 700, len(time)).astype(np.uint16) for time in times]
    with h5py.File(path, "w") as file:
        for name, rows, dtype in (("times", times, np.float32), ("units", units, np.uint16)):
            data = file.create_dataset(f"spikes/{name}", (n,), h5py.vlen_dtype(dtype))
            for i, row in enumerate(rows):
                data[i] = row
        if labels:
            file["labels"] = np.arange(n) % 20
        file.create_dataset("extra/speaker", data=np.arange(n) % 12)
    found = []
    for time, unit in zip(times, units, strict=True):
        events = np.zeros(len(time), EVENT)
        events["t"], events["x"], events["p"] = np.rint(time.astype(np.float64) * 1e6), unit, 1
        found.append(events)
    return found


def test_every_recording_of_a_file_is_found(tmp_path: Path) -> None:
    expected = write_shd(tmp_path / "a.h5")
    for i in (0, 1, 70, 149):
        file = open_events(tmp_path / "a.h5", sample=i, sensor_size=(700, 1))
        assert (file.format, file.n_samples, file.label, file.sensor_size) == ("hdf5", 150, i % 20, (700, 1))
        np.testing.assert_array_equal(file.read(), expected[i])
    files = list(iterate_samples(tmp_path / "a.h5"))
    assert [file.label for file in files] == [i % 20 for i in range(150)]
    for file, events in zip(files, expected, strict=True):
        np.testing.assert_array_equal(file.read(), events)
    with pytest.raises(DataError, match="recording 150 is asked for, it holds 150, counted from 0"):
        open_events(tmp_path / "a.h5", sample=150)


def test_labels_may_be_missing(tmp_path: Path) -> None:
    expected = write_shd(tmp_path / "a.h5", 3, labels=False)
    assert [(file.label, len(file.read())) for file in iterate_samples(tmp_path / "a.h5")] == [
        (None, len(events)) for events in expected
    ]


def test_other_files_hold_one_recording(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3, EVENT))
    assert [len(file.read()) for file in iterate_samples(tmp_path / "a.npy")] == [3]
    with pytest.raises(DataError, match="recording 1 is asked for, it holds 1"):
        open_events(tmp_path / "a.npy", sample=1)


def test_columns_in_a_group_are_one_recording(tmp_path: Path) -> None:
    n = 150_000
    rng = np.random.default_rng(8)
    events = np.zeros(n, EVENT)
    events["t"], events["x"], events["y"] = (
        np.sort(rng.integers(0, 1 << 40, n)),
        rng.integers(0, 640, n),
        rng.integers(0, 480, n),
    )
    events["p"] = rng.integers(0, 2, n)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "txyp":
            file.create_dataset(f"events/{name}", data=events[name], compression="gzip")
        file["ms_to_idx"] = np.arange(5)
    file = open_events(tmp_path / "a.h5")
    np.testing.assert_array_equal(file.read(), events)
    assert [piece["t"][0] for piece in file.chunks(100_000)] == [events["t"][0], events["t"][100_000]]


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["CD/events"] = np.zeros(3, [("x", "u2"), ("y", "u2"), ("p", "i2"), ("t", "i8")])
    with pytest.raises(DataError, match="no events are found, .*'CD/events' cannot be read"):
        open_events(path)
    with h5py.File(path, "w") as file:
        file["layer/weight"] = np.zeros(3)
    with pytest.raises(DataError, match="no events are found, .* it has 'layer/weight'"):
        open_events(path)
    with h5py.File(path, "w") as file:
        for name, length in (("t", 3), ("x", 2), ("y", 3), ("p", 3)):
            file[name] = np.zeros(length, int)
    with pytest.raises(DataError, match=r"dataset 'x' is array \(2,\) of .*as many as times"):
        open_events(path)
    with h5py.File(path, "w") as file:
        file["spikes/times"], file["spikes/units"] = np.zeros(3), np.zeros(3, int)
    with pytest.raises(DataError, match="dataset 'spikes/times' is array .* a row of numbers for each recording"):
        open_events(path)
    write_shd(path, 3)
    with h5py.File(path, "a") as file:
        del file["labels"]
        file["labels"] = np.arange(4)
    with pytest.raises(DataError, match=r"of different lengths, or empty .*labels \(4,\)"):
        open_events(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match="damaged"):
        open_events(path)


def test_rows_that_do_not_match_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_shd(path, 3)
    with h5py.File(path, "a") as file:
        file["spikes/units"][1] = np.zeros(200, np.uint16)
    with pytest.raises(DataError, match="recording 1 has not as many times as units"):
        list(iterate_samples(path))
