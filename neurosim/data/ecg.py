"""Load heartbeats of the QT Database, coded as level crossings, with the band of the wave at every step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.collect import EventCollector
from neurosim.data.folder import DataSet, find_data, read_bytes
from neurosim.data.matfile import read_matfile
from neurosim.data.task import Task, refuse_copies
from neurosim.errors import DataError
from neurosim.events import Events

N_LINES = 4  # two leads, up and down each
BANDS = ("P", "PQ", "QR", "RS", "ST", "TP")
NO_LABEL = -1
N_STEPS = 8
N_TAPS = 24  # delayed copies of each line, so that every step knows what came before
TAP = 8  # steps between them: 32 ms
STRIDE = 16  # steps between training windows
TEST_STRIDE = 13  # between test windows; no divisor of the length of a beat's parts, so that all steps are seen alike
N_SPLITS = 5
GAP = 12  # sequences between those learned from and those tested with: a record has about six in a row
BLOCK = 4096  # windows looked at together: bounds the memory
END_MARK = -1
FILE = "QTDB_train.mat"
ECG = DataSet(
    "ecg-qtdb",
    FILE,
    (FILE,),
    "B. Yin, F. Corradi, S. Bohte, https://github.com/byin-cwi/Efficient-spiking-networks, folder ECG",
)
LICENCE = "MIT (repository); Open Data Commons Attribution 1.0 (QT Database)"
ATTRIBUTION = (
    "P. Laguna, R. Mark, A. Goldberger, G. Moody. A Database for Evaluation of Algorithms for Measurement of QT and Other Waveform "
    "Intervals in the ECG. Computers in Cardiology 24, 1997; coded by B. Yin, F. Corradi, S. Bohte, Nature Machine Intelligence 3, 2021"
)


class Sequences(NamedTuple):
    """Stretches of a few beats.

    Attributes
    ----------
    spikes : (n, length, 4) bool
    labels : (n, length) int64
        0..5, the index in `BANDS`; -1 where there is none.
    """

    spikes: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int64]


def parse_sequences(content: bytes, where: str) -> Sequences:
    """Read the variables x (spikes), y (one-hot bands) and max_i (steps in use) of a file.

    The last step in use holds a mark of the end (-1) and no data; it and what follows has no label.

    Raises
    ------
    DataError
        If a shape or a value is not what the format says.
    """
    found = read_matfile(content, ("x", "y", "max_i"), where)
    x, y, used = found["x"], found["y"], found["max_i"]
    n, length = (*x.shape, 0, 0)[:2]
    if not n * length or x.shape != (n, length, N_LINES) or y.shape != (n, length, len(BANDS)) or used.shape != (n, 1):
        raise DataError(
            f"file {where!r}: x, y and max_i have shapes {x.shape}, {y.shape} and {used.shape}, need (n, steps, {N_LINES}), "
            f"(n, steps, {len(BANDS)}) and (n, 1); get it anew"
        )
    if not (np.isin(x, (END_MARK, 0, 1)).all() and np.isin(y, (0, 1)).all() and y.sum(axis=2).max(initial=0) <= 1):
        raise DataError(f"file {where!r}: x must hold -1, 0 or 1 and y at most one 1 a step; get it anew")
    if not ((used >= 0) & (used <= length)).all():
        raise DataError(f"file {where!r}: max_i must hold steps, 0..{length}; get it anew")
    labels = np.where(y.any(axis=2), y.argmax(axis=2), NO_LABEL)
    labels[np.arange(length) >= used.astype(np.int64) - 1] = NO_LABEL
    return Sequences(x == 1, labels.astype(np.int64))


def window_ends(labels: npt.NDArray[np.int64], n_steps: int, stride: int) -> npt.NDArray[np.int64]:
    """Return (sequence, last step) of windows whose last step has a label, (n, 2) int64, `stride` steps apart."""
    last = np.arange(n_steps - 1, labels.shape[1], stride)
    sequence, column = np.nonzero(labels[:, last] != NO_LABEL)
    return np.stack([sequence, last[column]], axis=1).astype(np.int64)


def tapped_events(spikes: npt.NDArray[np.bool_], ends: npt.NDArray[np.int64], n_steps: int) -> Events:
    """Encode windows: input ``4 k + c`` fires in step t where line c fired ``8 k`` steps before t.

    So a window of 8 steps holds every event of the last 192 steps (768 ms, about a beat) once, and knows in which order they
    came; before a sequence there is silence.

    Parameters
    ----------
    spikes : (n, length, 4) bool
    ends : (n_windows, 2) int64
        As `window_ends` gives them.
    n_steps : int
    """
    reach = TAP * (N_TAPS - 1)
    padded = np.pad(spikes, ((0, 0), (reach, 0), (0, 0)))
    back = np.arange(n_steps)[:, None] - np.arange(N_TAPS) * TAP + (reach - n_steps + 1)
    collected = EventCollector(n_steps, N_TAPS * N_LINES)
    for first in range(0, len(ends), BLOCK):
        sequence, last = ends[first : first + BLOCK].T
        seen = padded[sequence[:, None, None], last[:, None, None] + back]
        collected.add(seen.reshape(len(sequence), n_steps, -1))
    return collected.events()


def split_sequences(n: int, split: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the sequences to learn from and to test with: one fifth of the file, in one piece.

    The file has neighbours of one record in a row and does not say which; the 12 on either side of the fifth are left
    out, so that no record is on both sides.
    """
    first, last = (split - 1) * n // N_SPLITS, split * n // N_SPLITS
    every = np.arange(n, dtype=np.int64)
    return every[(every < first - GAP) | (every >= last + GAP)], every[first:last]


def ecg_task(n_steps: int | None, augment: bool, options: Mapping[str, int]) -> Task:
    """Return windows of `n_steps` (8) steps of 4 ms; the label of a window is the band at its last step.

    Every step's band is in the step labels. A sequence has about six beats in 1,300 steps.
    """
    steps = N_STEPS if n_steps is None else n_steps
    refuse_copies("ecg", augment)
    path: Path = find_data(ECG) / FILE
    spikes, labels = parse_sequences(read_bytes(path), str(path))
    parts = []
    for ids, stride in zip(split_sequences(len(spikes), options["split"]), (STRIDE, TEST_STRIDE), strict=True):
        ends = window_ends(labels[ids], steps, stride)
        window = ends[:, 1, None] + np.arange(1 - steps, 1)
        parts.append((tapped_events(spikes[ids], ends, steps), labels[ids][ends[:, :1], window]))
    (train, train_labels), (test, test_labels) = parts
    return Task(
        name="ecg",
        train_events=train,
        train_labels=np.ascontiguousarray(train_labels[:, -1]),
        test_events=test,
        test_labels=np.ascontiguousarray(test_labels[:, -1]),
        n_classes=len(BANDS),
        n_inputs=N_TAPS * N_LINES,
        n_steps_input=steps,
        description=f"bands of the heartbeat ({', '.join(BANDS)}), level crossings of two leads, {steps} steps of 4 ms",
        source="QT Database of PhysioNet, coded for adaptive spiking recurrent networks",
        licence=LICENCE,
        attribution=ATTRIBUTION,
        train_step_labels=train_labels,
        test_step_labels=test_labels,
    )
