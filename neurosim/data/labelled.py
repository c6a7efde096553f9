"""Labelled input spikes for a network from wherever they lie: files of spikes or events, folders of them, tasks."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurosim.data.binning import Binner, Shape, checked_shape, renumber
from neurosim.data.eventfile import EventFile
from neurosim.data.eventfolder import Recordings, list_recordings, spread
from neurosim.data.readers import iterate_samples, open_events
from neurosim.data.spikefile import holds_spikes, load_spikes
from neurosim.data.stages import EventArray, Size, Transform, transform_chunks, transformed_size
from neurosim.errors import DataError
from neurosim.events import Events

US_PER_S = 1_000_000
DT_TOLERANCE = 1e-9  # of a dt in seconds that is meant to be whole microseconds


@dataclass(frozen=True, eq=False)
class Labelled:
    """Input spikes of samples, and their classes.

    Parameters
    ----------
    events : Events
        Inputs in C order of the shape asked for.
    labels : (n_samples,) int64, or None
        None: the source does not say.
    name : str
        Of the source.
    n_malformed : int
        Events that readers left out (only where ``strict=False``).
    n_late, n_outside : int
        Events after the last step, and outside the shape, that were left out.
    classes : tuple of str
        Names of the classes by label, where they have some.
    """

    events: Events
    labels: npt.NDArray[np.int64] | None
    name: str
    n_malformed: int = 0
    n_late: int = 0
    n_outside: int = 0
    classes: tuple[str, ...] = ()

    def known_labels(self) -> npt.NDArray[np.int64]:
        """Return the labels.

        Raises
        ------
        DataError
            If there are none.
        """
        if self.labels is None:
            raise DataError(
                f"data {self.name!r}: has no labels to compare answers with; add labels.csv (columns file, label), one folder for each "
                "class, or an array 'labels'"
            )
        return self.labels


def load_labelled(
    source: str | os.PathLike[str],
    shape: Iterable[int],
    *,
    dt: float,
    n_steps: int | None = None,
    count: str = "once",
    limit: int | None = None,
    transforms: Sequence[Transform] = (),
    part: str | None = None,
    strict: bool = True,
    sensor_size: Size | None = None,
    origin: int | str = "auto",
    outside: str = "error",
) -> Labelled:
    """Load samples as input spikes of a network, recording by recording; never the whole set at once but for its spikes.

    Parameters
    ----------
    source : str or path
        The name of a task (`neurosim.tasks.TASKS`, with options; for a folder of that name write ``./NAME``); a .npz file with
        spikes (n, T, *shape) and labels; a file of events, of one recording or many; or a folder, as `neurosim.data.eventfolder.list_recordings` reads it.
    shape : tuple of int
        Of the network's input, as in `neurosim.data.binning.Binner`. (n,) also takes a sensor with n pixels, or n / 2 with a channel
        for each polarity, in C order.
    dt : float
        Seconds per step, whole microseconds. Tasks and files of spikes have steps of their own, and do not look at it.
    n_steps : int or None
        Steps of a sample. None: as many as the longest recording needs, or as the task or the file has.
    count : {"once", "sum"}
        Several events of an input in a step are one spike, or one with their number as its value. Tasks have spikes of
        their own.
    limit : int or None
        Take so many samples, evenly spread over the list, so that classes keep their shares.
    transforms : sequence of Transform
        Applied to the events of each recording (`neurosim.data.transforms`), whose number is its place among all.
    part : {"train", "test"} or None
        Of a task or of a folder with both. None: the test samples, or all where there is one set.
    strict : bool
        Malformed events are an error; otherwise they are left out and counted.
    sensor_size : (width, height), optional
        Where the files do not say it.
    origin : int, "first" or "auto"
        As in `neurosim.data.binning.Binner.add`.
    outside : {"error", "drop"}
        As in `neurosim.data.binning.Binner`.

    Raises
    ------
    DataError
        If there is no such source, it has another shape, or it is damaged.

    Examples
    --------
    >>> data = load_labelled("digits", (8, 8), dt=1e-3, limit=10)
    >>> data.events.n_samples, data.events.n_inputs, len(data.known_labels())
    (10, 64, 10)
    """
    wanted, dt_us = checked_shape(shape), whole_microseconds(dt)
    name = os.fspath(source)
    if isinstance(source, str) and _is_task(source):
        if transforms:
            raise DataError(f"task {name!r}: is encoded already, transforms are for events; leave them out")
        return _from_task(source, wanted, n_steps, limit, part)
    path = Path(name)
    if not os.path.exists(name):  # also for names that no file can have
        from neurosim.tasks import TASKS

        raise DataError(f"data {name!r}: no such file or folder, and no task; tasks are {', '.join(TASKS)}")
    if path.is_file() and holds_spikes(path):
        if transforms:
            raise DataError(f"file {name!r}: holds spikes, transforms are for events; leave them out")
        spikes = load_spikes(path, wanted, n_steps=n_steps, count=count, limit=limit)
        return Labelled(spikes.events, spikes.labels, name)
    found = list_recordings(path, part) if path.is_dir() else Recordings([path], None)
    files = _Files(found, limit, strict, sensor_size)
    binner: Binner | None = None
    for number, file in files:
        size = None if file.sensor_size is None else transformed_size(transforms, file.sensor_size)
        lines = _fitting(wanted, size, file.name)
        if binner is None:
            binner = Binner(lines, dt_us=dt_us, n_steps=n_steps, count=count, outside=outside)
        elif binner.shape != lines:
            raise DataError(
                f"{file.name!r}: its sensor reads as {lines}, that of those before it as {binner.shape}; give the shape with all axes"
            )
        binner.add(_transformed(file, transforms, number), origin, f"file {file.name!r}")
        files.n_malformed += file.n_malformed
    if binner is None:
        raise DataError(f"data {name!r}: holds no recordings; give another folder")
    labels = files.known_labels()
    return Labelled(binner.events(), labels, name, files.n_malformed, binner.n_late, binner.n_outside, found.classes)


def whole_microseconds(dt: float) -> int:
    """Return a time step in microseconds.

    Parameters
    ----------
    dt : float
        In seconds.

    Examples
    --------
    >>> whole_microseconds(1e-3)
    1000
    """
    us = round(dt * US_PER_S) if isinstance(dt, (int, float, np.number)) and 0 < dt < 1e9 else 0
    if us < 1 or abs(us - dt * US_PER_S) > DT_TOLERANCE * us:
        raise DataError(
            f"dt: {dt!r} s is not a whole number of microseconds above 0; choose another, for instance 1e-3"
        )
    return us


class _Files:
    """Recordings with their numbers, opened one by one; all must be of one format.

    Attributes
    ----------
    n_malformed : int
        For whoever reads them to add to.
    """

    def __init__(self, recordings: Recordings, limit: int | None, strict: bool, sensor_size: Size | None) -> None:
        self.recordings, self.limit = recordings, limit
        self.strict, self.sensor_size = strict, sensor_size
        self.labels: list[int | None] = []
        self.n_malformed = 0

    def __iter__(self) -> Iterator[tuple[int, EventFile]]:
        formats: set[str] = set()
        for number, path, file in self._chosen():
            formats.add(file.format)
            if len(formats) > 1:
                raise DataError(
                    f"file {str(path)!r}: is of format {file.format}, others are {', '.join(sorted(formats - {file.format}))}; keep one format"
                )
            known = self.recordings.labels
            self.labels.append(file.label if known is None else int(known[number]))
            yield number, file

    def _chosen(self) -> Iterator[tuple[int, Path, EventFile]]:
        files = self.recordings.files
        if self.recordings.labels is not None:
            for number in spread(len(files), self.limit).tolist():
                file = self._open(files[number])
                if file.n_samples != 1:
                    raise DataError(
                        f"file {str(files[number])!r}: holds {file.n_samples} recordings, its label is for one; give the file itself"
                    )
                yield number, files[number], file
            return
        counts = [self._open(path).n_samples for path in files]
        wanted = set(spread(sum(counts), self.limit).tolist())
        first = 0
        for path, n in zip(files, counts, strict=True):
            inside = [number for number in range(first, first + n) if number in wanted]
            if inside:
                samples = iterate_samples(path, strict=self.strict, sensor_size=self.sensor_size)
                for number, file in zip(range(first, inside[-1] + 1), samples, strict=False):
                    if number in wanted:
                        yield number, path, file
            first += n

    def _open(self, path: Path) -> EventFile:
        return open_events(path, strict=self.strict, sensor_size=self.sensor_size)

    def known_labels(self) -> npt.NDArray[np.int64] | None:
        """Return the labels of what was read, if all have one."""
        known = [label for label in self.labels if label is not None]
        return np.array(known, np.int64) if known and len(known) == len(self.labels) else None


def _transformed(file: EventFile, transforms: Sequence[Transform], number: int) -> Iterator[EventArray]:
    if not transforms:
        return file.chunks()
    if file.sensor_size is None:
        raise DataError(f"file {file.name!r}: does not say its sensor's size, which transforms need; give sensor_size")
    return transform_chunks(file.chunks(), transforms, file.sensor_size, number)


def _fitting(shape: Shape, size: Size | None, name: str) -> Shape:
    """Return the shape with all axes, if events of a sensor of that size can have it."""
    if size is None:
        return shape
    width, height = size
    if len(shape) == 1 and height > 1:
        for full in ((2, height, width), (height, width)):
            if math.prod(full) == shape[0]:
                return full
    elif len(shape) == 1 and shape[0] == width or len(shape) > 1 and shape[-2:] == (height, width):
        return shape
    raise DataError(
        f"file {name!r}: its sensor has {width} x {height} pixels, which does not fit input shape {shape}; need (2, {height}, {width}) or "
        f"({height}, {width}), or bring the events to size with the transforms Crop or Downscale"
    )


def _is_task(name: str) -> bool:
    from neurosim.tasks import EPISODE_TASKS, TASKS

    return name.partition(":")[0] in (*TASKS, *EPISODE_TASKS)


def _from_task(name: str, shape: Shape, n_steps: int | None, limit: int | None, part: str | None) -> Labelled:
    """Return samples of a task, with the inputs in C order of the shape."""
    from neurosim.tasks import load_task

    if part not in (None, "train", "test"):
        raise DataError(f"part: {part!r} is none of train, test; choose one, or leave it out")
    task = load_task(name, n_steps=n_steps, augment=False, test_only=part != "train")
    events, labels = (task.train_events, task.train_labels) if part == "train" else (task.test_events, task.test_labels)
    full = shape
    if task.input_shape is not None:
        rows, columns, channels = task.input_shape  # what `Conv` calls x is the row of these pictures
        full = (channels, rows, columns)
    flat = (task.n_inputs,)
    if shape not in (full, flat, full[1:] if full[0] == 1 else full) or math.prod(shape) != task.n_inputs:
        raise DataError(
            f"task {task.name!r}: its samples have {task.n_inputs} inputs{'' if task.input_shape is None else f', {full}'}, which does not fit "
            f"input shape {shape}; choose a task, or options of it, with that shape"
        )
    chosen = spread(events.n_samples, limit)
    events = events.take(chosen)
    if task.input_shape is not None and full[0] > 1:
        # Input (row * columns + column) * channels + c of the task is (c * rows + row) * columns + column here.
        line = np.arange(task.n_inputs, dtype=np.int64).reshape(full)
        events = renumber(events, np.ascontiguousarray(line.transpose(1, 2, 0)).ravel())
    return Labelled(events, labels[chosen], task.name)
