"""Muscle gestures: reading, windows, sessions, the real recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_sets import real_folder, write_emg

from neurosim.data import emg
from neurosim.errors import DataError

LINE = "1,-2,3,-4,5,-6,127,-128,7"


def test_lines_are_eight_values_and_a_label() -> None:
    values, labels = emg.parse_readings(f"{LINE}\r\n{LINE}\n\n".encode(), "3.txt")
    assert values.tolist() == [[1, -2, 3, -4, 5, -6, 127, -128]] * 2 and labels.tolist() == [7, 7]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1,2,3,4,5,6,7,8", "line 2 is '1,2,3,4,5,6,7,8', need eight whole numbers and a label"),
        (LINE + ",1", "line 2 is"),
        ("", "line 2 is ''"),
        (LINE.replace("3", "3.5"), "line 2 is"),
        (LINE.replace("127", "128"), r"a value of line 2 is outside -128\.\.127"),
        (LINE.replace("7", "8"), r"line 2 is outside"),
        (LINE[:-1] + "8", r"a label of line 2 is outside 0\.\.7"),
    ],
)
def test_other_lines_are_refused(line: str, words: str) -> None:
    with pytest.raises(DataError, match=f"file '3.txt': .*{words}"):
        emg.parse_readings(f"{LINE}\n{line}\n{LINE}\n".encode(), "3.txt")


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(DataError, match="file '3.txt': line 1 is '', need eight"):
        emg.parse_readings(b"\n", "3.txt")


def test_windows_keep_away_from_changes() -> None:
    labels = np.repeat([0, 3, 0], [500, 431, 230])
    values = np.arange(len(labels))[:, None] + np.zeros(8, np.int64)[None]
    found, label = emg.windows(emg.Readings(values, labels), 30, 100)
    assert found[:, 0, 0].tolist() == [200, 300, 400, 700, 800, 900, 1131]
    assert label.tolist() == [0, 0, 0, 3, 3, 3, 0]
    np.testing.assert_array_equal(found[:, :, 5] - found[:, :1, 0], np.tile(np.arange(30), (7, 1)))


def test_sessions_are_kept_apart_and_rest_comes_from_its_file(tmp_path: Path) -> None:
    write_emg(tmp_path)
    for session in (1, 2):
        values, labels = emg.load_windows(tmp_path, session, 50, 50)
        assert np.bincount(labels).tolist() == [20] + [4] * 7
        assert values.shape == (48, 50, 8)
        for window, label in zip(values, labels, strict=True):
            assert int(np.argmax(np.ptp(window, axis=0))) == label
    (tmp_path / "99999-2" / "6.txt").unlink()
    with pytest.raises(
        DataError, match="has not all eight gestures of session 2 in windows of 50 readings; get the full"
    ):
        emg.load_windows(tmp_path, 2, 50, 50)


def test_the_real_recordings() -> None:
    folder = real_folder(emg.EMG)
    values, labels = emg.load_windows(folder, 2, 50, 50)
    counts = np.bincount(labels)
    assert len(counts) == 8 and counts.min() > 100 and values.shape[1:] == (50, 8)
    by_gesture = [np.abs(values[labels == gesture]).mean() for gesture in range(8)]
    assert min(by_gesture[1:]) > 1.5 * by_gesture[0]  # muscles at rest are quiet
