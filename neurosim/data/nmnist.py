"""Load N-MNIST from its event files, binned into steps."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.augment_events import warp_events
from neurosim.data.collect import EventCollector
from neurosim.data.event_code import SIDE, EventCode
from neurosim.data.eventblock import Screen
from neurosim.data.folder import DataSet, find_data, read_bytes
from neurosim.data.formats.atis import decode_all
from neurosim.data.split import disjoint_tests
from neurosim.data.task import Task
from neurosim.errors import DataError
from neurosim.events import Events

N_CLASSES = 10
N_STEPS = 9
BLOCK = 32  # recordings encoded together
NUMBER_BITS = 16  # of a recording's name; above it stands the number of its warp
N_WARPS = 1023  # of a recording: numbers of warps have 26 bits, and 0 is the recording as it is
DURATION_US = 315_000  # three saccades of 105 ms; what comes later joins the last step
N_TEST = 100  # recordings of each split, where there is no official test set
N_SPLITS = 5
NMNIST = DataSet(
    "nmnist",
    "either the folders Train and Test of the full set, or events/*.bin with labels.csv (columns file, label)",
    ("labels.csv", "Train/0"),
    "G. Orchard, https://www.garrickorchard.com/datasets/n-mnist",
)
SOURCE = "N-MNIST, original event files"
LICENCE = "CC BY-SA 4.0"
ATTRIBUTION = (
    "G. Orchard, A. Jayawant, G. Cohen, N. Thakor. Converting Static Image Datasets to Spiking Neuromorphic Datasets "
    "Using Saccades. Frontiers in Neuroscience 9:437, 2015. https://doi.org/10.3389/fnins.2015.00437"
)


class Recording(NamedTuple):
    """Events of one recording, in order of time.

    Attributes
    ----------
    x, y : (n,) int64
        0..33.
    polarity : (n,) int64
        1: ON, 0: OFF.
    time : (n,) int64
        In microseconds, 0..2**23 - 1.
    n_malformed : int
        Events that were dropped.
    """

    x: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]
    polarity: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]
    n_malformed: int = 0


def parse_events(content: bytes, where: str, strict: bool = True) -> Recording:
    """Read the events of a file.

    They lie as `neurosim.data.formats.atis.decode` says. An event is malformed if it lies outside the 34 x 34 pixels, if it is
    earlier than one before it, or if the file ends within it.

    Parameters
    ----------
    content : bytes
    where : str
        What error texts call the file.
    strict : bool
        Refuse malformed events; otherwise they are left out and counted.
    """
    screen = Screen(where, (SIDE, SIDE), strict=False)
    events = np.concatenate([screen.take(block) for block in decode_all(content)])
    if strict and screen.first is not None:
        raise DataError(
            f"file {where!r}: {screen.n_malformed} of {screen.n_seen} events are malformed, the first is number {screen.first[0]} "
            f"(outside {SIDE} x {SIDE} pixels, going back in time, or cut short); get the file anew"
        )
    x, y, p = (events[field].astype(np.int64) for field in ("x", "y", "p"))
    return Recording(x, y, p, events["t"].astype(np.int64), screen.n_malformed)


def count_events(recording: Recording, n_steps: int) -> npt.NDArray[np.int64]:
    """Count events, (n_steps, 2, 34 * 34); an event at time t is in step ``t * n_steps // 315000``, or in the last."""
    step = np.minimum(recording.time * n_steps // DURATION_US, n_steps - 1)
    cell = ((step * 2 + recording.polarity) * SIDE + recording.y) * SIDE + recording.x
    counted = np.bincount(cell, minlength=n_steps * 2 * SIDE * SIDE)
    return counted.reshape(n_steps, 2, SIDE * SIDE).astype(np.int64)


def encode_recordings(recordings: Iterable[Recording], code: EventCode) -> Events:
    """Make input spikes of recordings."""
    collected = EventCollector(code.n_steps, code.n_inputs)
    add_recordings(collected, recordings, code)
    return collected.events()


def add_recordings(collected: EventCollector, recordings: Iterable[Recording], code: EventCode) -> None:
    """Add recordings as `encode_recordings` does."""
    stream = iter(recordings)
    while block := list(islice(stream, BLOCK)):
        collected.add(code.spikes(np.array([count_events(recording, code.n_steps) for recording in block])))


def warped_copies(
    recordings: list[Recording], numbers: npt.NDArray[np.int64], n_copies: int, epoch: int = 0
) -> Iterator[Recording]:
    """Yield the recordings, then `n_copies` - 1 times all of them, each time through warps of their own.

    Parameters
    ----------
    recordings : list of Recording
    numbers : (n,) int64
        Names of the recordings, 0..65535; the same recording has the same copies in every split.
    n_copies : int
        1..1000, the recordings themselves among them.
    epoch : int
        Other numbers give other warps, until after 1,023 warps of a recording the first comes again.
    """
    yield from recordings
    for copy in range(1, n_copies):
        warp = 1 + (epoch * (n_copies - 1) + copy - 1) % N_WARPS
        for recording, number in zip(recordings, numbers.tolist(), strict=True):
            yield warped(recording, (warp << NUMBER_BITS) + number)


def warped(recording: Recording, number: int) -> Recording:
    """Return a recording through the warp of that number; events that leave the field are gone."""
    x, y = warp_events(recording.x, recording.y, number, SIDE)
    inside = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    return Recording(x[inside], y[inside], recording.polarity[inside], recording.time[inside])


def pictures(recordings: list[Recording]) -> npt.NDArray[np.uint8]:
    """Return how many events each pixel had, (n, 34, 34), scaled to 0..255 of the pixel with most."""
    counts = np.array([np.bincount(r.y * SIDE + r.x, minlength=SIDE * SIDE) for r in recordings], np.int64)
    most = np.maximum(counts.max(axis=1, keepdims=True), 1)
    return np.asarray((counts * 255 // most).reshape(len(recordings), SIDE, SIDE), np.uint8)


class Listing(NamedTuple):
    """Files of a folder with their labels; `is_test` is None where the folder has no official test set."""

    files: list[Path]
    labels: npt.NDArray[np.int64]
    is_test: npt.NDArray[np.bool_] | None

    def split(self, number: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the indices of the training and of the test recordings of a split, counted from 1."""
        if self.is_test is not None:
            if number != 1:
                raise DataError(f"nmnist: split {number} is asked for, the full set has one; leave the option out")
            return np.flatnonzero(~self.is_test), np.flatnonzero(self.is_test)
        if len(self.files) < N_SPLITS * N_TEST:
            raise DataError(
                f"nmnist: {len(self.files)} recordings are too few for {N_SPLITS} test sets of {N_TEST}; get the full set"
            )
        test = disjoint_tests(self.labels, N_TEST, N_SPLITS)[number - 1]
        return np.delete(np.arange(len(self.files)), test), test


def list_recordings(folder: Path) -> Listing:
    """Return the event files of a folder: of Train and Test where it has them, else those in labels.csv."""
    if (folder / "Train").is_dir():
        parts = [sorted((folder / part).glob("[0-9]/*.bin")) for part in ("Train", "Test")]
        if not all(parts):
            raise DataError(
                f"data set 'nmnist': {folder} needs files Train/LABEL/*.bin and Test/LABEL/*.bin; unpack both"
            )
        files = parts[0] + parts[1]
        is_test = np.arange(len(files)) >= len(parts[0])
        return Listing(files, np.array([int(path.parent.name) for path in files], np.int64), is_test)
    text = read_bytes(folder / "labels.csv").decode("utf-8", "replace")
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error as error:
        raise DataError(f"file {str(folder / 'labels.csv')!r}: not a table ({error}); get it anew") from error
    for number, row in enumerate(rows, 1):
        right = row == ["file", "label"] if number == 1 else len(row) == 2 and row[1] in set("0123456789")
        if not right:
            raise DataError(
                f"file {str(folder / 'labels.csv')!r}: line {number} is {','.join(row)[:60]!r}, "
                "not the head 'file,label' or a file and its digit; get it anew"
            )
    return Listing([folder / row[0] for row in rows[1:]], np.array([int(row[1]) for row in rows[1:]], np.int64), None)


def image_number(path: Path) -> int:
    """Return which MNIST image a recording shows, counted from 0: the files are numbered from 1."""
    return int(path.stem) - 1


def read_recordings(files: list[Path]) -> list[Recording]:
    """Read files strictly."""
    return [parse_events(read_bytes(path), str(path)) for path in files]


def task_code(n_steps: int | None, options: Mapping[str, int]) -> EventCode:
    """Return how a task with these options codes events, in `n_steps` steps (9)."""
    steps = N_STEPS if n_steps is None else n_steps
    return EventCode(steps, options["pool"], options["phases"], options["least"], bool(options["pictures"])).checked()


def nmnist_task(n_steps: int | None, augment: bool, options: Mapping[str, int]) -> Task:
    """Return the recordings as binary events in `n_steps` steps (9); of 900 recordings, 100 are for testing.

    With `augment` the training recordings are followed by warped copies. Options: "split" 1..5, which share no test
    recording; "pool", "phases", "least", "pictures" as in `EventCode`; "copies": how often each recording is there, the first time
    as it is; "anew": 1 draws the other copies anew in each epoch.
    """
    code = task_code(n_steps, options)
    listing = list_recordings(find_data(NMNIST))
    train, test = listing.split(options["split"])
    recordings = read_recordings([listing.files[i] for i in train])
    test_recordings = read_recordings([listing.files[i] for i in test])
    n_copies = options["copies"] if augment else 1
    anew = bool(options["anew"]) and n_copies > 1
    more = f"; each training recording {n_copies} times, warped but for the first" if n_copies > 1 else ""

    def copies(epoch: int) -> Events:
        return encode_recordings(warped_copies(recordings, train, n_copies, epoch), code)

    return Task(
        name="nmnist",
        train_events=copies(0),
        train_labels=np.tile(listing.labels[train], n_copies),
        test_events=encode_recordings(test_recordings, code),
        test_labels=listing.labels[test],
        n_classes=N_CLASSES,
        n_inputs=code.n_inputs,
        n_steps_input=code.n_steps,
        description=f"digits recorded by an event camera in three saccades, {code.n_inputs} inputs, {code.n_steps} steps{more}{', anew in each epoch' if anew else ''}",
        source=SOURCE,
        licence=LICENCE,
        attribution=ATTRIBUTION,
        images=pictures(test_recordings),
        copies=copies if anew else None,
        input_shape=code.input_shape,
    )
