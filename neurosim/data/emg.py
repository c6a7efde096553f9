"""Load Myo armband recordings of wrist gestures as windows of level-crossing events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.crossing import crossing_events
from neurosim.data.folder import DataSet, find_data, read_bytes
from neurosim.data.task import Task
from neurosim.errors import DataError

N_CHANNELS = 8
N_CLASSES = 8
REST = 0
N_STEPS = 50  # readings of a window: 250 ms at 200 Hz
SETTLE = 200  # readings after a change of label that are left out: people take about a second to follow
DELTAS = (4, 8, 16, 32)  # changes that make an event, in units of the sensor; a channel has one pair of inputs for each
EMG = DataSet(
    "emg-myo",
    "PARTICIPANT-SESSION/GESTURE.txt with eight values and a label on each line",
    ("*-[0-9]*/[0-9].txt",),
    "A. Francic, https://github.com/aljazfrancic/myo-readings-dataset",
)
LINE = re.compile(r"(?:-?\d{1,4},){8}\d{1,4}")
LICENCE = "MIT"
ATTRIBUTION = "A. Francic and others. Myo readings dataset: surface EMG of wrist gestures. github.com/aljazfrancic/myo-readings-dataset"


class Readings(NamedTuple):
    """One file.

    Attributes
    ----------
    values : (n, 8) int64
        -128..127.
    labels : (n,) int64
        0..7; 0 is rest.
    """

    values: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]


def parse_readings(content: bytes, where: str) -> Readings:
    """Read lines of eight signed values and a label, separated by commas.

    Raises
    ------
    DataError
        With the number of the first line that is something else.
    """
    text = content.decode("ascii", "replace").rstrip()
    lines = text.splitlines() or [""]
    for number, line in enumerate(lines, 1):
        if LINE.fullmatch(line) is None:
            raise DataError(
                f"file {where!r}: line {number} is {line[:60]!r}, need eight whole numbers and a label; get it anew"
            )
    table = np.fromstring(",".join(lines), np.int64, sep=",").reshape(len(lines), N_CHANNELS + 1)
    values, labels = table[:, :N_CHANNELS], table[:, N_CHANNELS]
    for what, array, low, high in (("value", values, -128, 127), ("label", labels, 0, N_CLASSES - 1)):
        wrong = np.flatnonzero(((array < low) | (array > high)).reshape(len(lines), -1).any(axis=1))
        if len(wrong):
            raise DataError(
                f"file {where!r}: a {what} of line {wrong[0] + 1} is outside {low}..{high}; get the file anew"
            )
    return Readings(values, labels)


def windows(readings: Readings, n_steps: int, stride: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Cut stretches of one label into windows, and return them, (n, n_steps, 8), with their labels.

    The first second of a stretch is left out; windows start `stride` readings apart and do not reach into the next stretch.
    """
    changes = np.flatnonzero(np.diff(readings.labels)) + 1
    bounds = [0, *changes.tolist(), len(readings.labels)]
    firsts = [
        np.arange(first + SETTLE, last - n_steps + 1, stride)
        for first, last in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    first = np.concatenate(firsts).astype(np.int64)
    return readings.values[first[:, None] + np.arange(n_steps)], readings.labels[first]


def load_windows(
    folder: Path, session: int, n_steps: int, stride: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the windows of one session of every participant.

    Rest comes from the file of rest (0.txt) only: in the other files it is what lies between two gestures, and there would be
    several times as much of it.
    """
    values, labels = [], []
    for directory in sorted(folder.glob(f"*-{session}")):
        for path in sorted(directory.glob("[0-7].txt")):
            found, label = windows(parse_readings(read_bytes(path), str(path)), n_steps, stride)
            wanted = label == int(path.stem)
            values.append(found[wanted])
            labels.append(label[wanted])
    if not labels or set(np.concatenate(labels).tolist()) != set(range(N_CLASSES)):
        raise DataError(
            f"data set 'emg-myo': {folder} has not all eight gestures of session {session} in windows of {n_steps} readings; "
            "get the full set, or lower network.n_steps"
        )
    return np.concatenate(values), np.concatenate(labels)


def emg_task(n_steps: int | None, augment: bool, options: Mapping[str, int]) -> Task:
    """Return windows of `n_steps` (50) readings, one step each: session 1 to learn from, session 2 to test with.

    A channel has eight inputs: for each of four sizes, one that fires when the value has risen by it since the last event, and
    one for falling. Training windows overlap by half, with `augment` by three quarters; test windows do not overlap.
    """
    steps = N_STEPS if n_steps is None else n_steps
    folder = find_data(EMG)
    stride = max(1, steps // (4 if augment else 2))
    train, train_labels = load_windows(folder, 1, steps, stride)
    test, test_labels = load_windows(folder, 2, steps, steps)
    return Task(
        name="emg",
        train_events=crossing_events(train, DELTAS),
        train_labels=train_labels,
        test_events=crossing_events(test, DELTAS),
        test_labels=test_labels,
        n_classes=N_CLASSES,
        n_inputs=N_CHANNELS * 2 * len(DELTAS),
        n_steps_input=steps,
        description=f"wrist gestures, eight muscle sensors, level crossings in {steps} steps of 5 ms; tested on another session",
        source="Myo readings dataset",
        licence=LICENCE,
        attribution=ATTRIBUTION,
    )
