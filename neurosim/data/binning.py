"""Turn events of sensors into input spikes of steps, a recording at a time, without ever making a dense array."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.stages import EventArray
from neurosim.errors import DataError
from neurosim.events import MAX_VALUE, Events

COUNTS = ("once", "sum")
OUTSIDE = ("error", "drop")
ORDERS = ("framework", "task")
MAX_CELLS = 1 << 28  # samples x steps: each takes 8 bytes
MAX_STEPS = 1 << 26
MAX_LINES = (1 << 31) - 1
MAX_TIME = 1 << 62  # microseconds
OWN_CLOCK_US = 10_000_000  # a recording that begins later counts from when its device was started, or from 1970

Shape = tuple[int, ...]
_Cells = npt.NDArray[np.int64]


class Clock(NamedTuple):
    """Which step a time is in: ``t * numerator // denominator``, t in microseconds since the recording's start.

    Examples
    --------
    >>> Clock.of(dt_us=1000).step(np.array([0, 999, 1000])).tolist()
    [0, 0, 1]
    >>> Clock.of(n_steps=9, duration_us=315_000).step(np.array([34_999, 35_000])).tolist()
    [0, 1]
    """

    numerator: int
    denominator: int

    @classmethod
    def of(cls, dt_us: int | None = None, n_steps: int | None = None, duration_us: int | None = None) -> Clock:
        """Return the clock of steps of `dt_us` microseconds, or of `n_steps` equal parts of `duration_us` microseconds."""
        if (dt_us is None) == (duration_us is None):
            raise DataError(f"binning: dt_us {dt_us!r} and duration_us {duration_us!r}; give exactly one of them")
        for name, value in (("dt_us", dt_us), ("duration_us", duration_us)):
            if value is not None and (not isinstance(value, (int, np.integer)) or not 1 <= value <= MAX_TIME):
                raise DataError(
                    f"binning: {name} {value!r} is not a whole number of microseconds above 0; choose another"
                )
        if n_steps is not None and (not isinstance(n_steps, (int, np.integer)) or not 1 <= n_steps <= MAX_STEPS):
            raise DataError(f"binning: n_steps {n_steps!r} is not a whole number in 1..{MAX_STEPS}; choose another")
        if dt_us is not None:
            return cls(1, int(dt_us))
        if n_steps is None:
            raise DataError(f"binning: duration_us {duration_us} is to be cut into steps; give n_steps")
        common = math.gcd(n_steps, int(duration_us or 1))
        return cls(n_steps // common, int(duration_us or 1) // common)

    def step(self, t: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the step of each time, at least 0."""
        if len(t) and int(t.max()) > MAX_TIME // self.numerator:
            raise DataError(
                f"binning: time {int(t.max())} us exceeds {MAX_TIME // self.numerator}, beyond which steps cannot be counted; "
                "count from the first event"
            )
        return np.asarray(t * self.numerator // self.denominator, np.int64)


def checked_shape(shape: Iterable[int]) -> Shape:
    """Return the shape of a network's input as a tuple, or say what is wrong with it."""
    found = tuple(shape)
    if not found or not all(isinstance(n, (int, np.integer)) and n >= 1 for n in found) or math.prod(found) > MAX_LINES:
        raise DataError(
            f"binning: shape {found} is not one or more positive numbers with a product of up to {MAX_LINES}; give the shape that the "
            "network's input has"
        )
    return tuple(int(n) for n in found)


class Binner:
    """Input spikes of recordings, added one by one; memory holds a chunk and the spikes found so far.

    Parameters
    ----------
    shape : tuple of int
        Of the network's input: (2, height, width) with a channel for each polarity, OFF first; (1, height, width) and
        (height, width) for both together; (n,) for a sensor in one dimension, whose channel is in x. Others are for spikes
        that are there already (`add_spikes`).
    dt_us, n_steps, duration_us : int
        As in `Clock.of`. With `n_steps`, events after the last step are left out and counted in `n_late`; without, there are as
        many steps as the longest recording needs.
    count : {"once", "sum"}
        Several events of a line in a step are one spike, or a spike whose value is their number.
    outside : {"error", "drop"}
        What happens to events that are not within `shape`; dropped ones are counted in `n_outside`.
    order : {"framework", "task"}
        Lines are numbered in C order of `shape`, or of (height, width, channels), as tasks number pictures.

    Examples
    --------
    >>> from neurosim.data.eventtype import EVENT
    >>> binner = Binner((2, 1, 3), dt_us=1000)
    >>> binner.add([np.array([(10, 0, 0, 1), (20, 0, 0, 1), (2500, 2, 0, 0)], EVENT)])
    >>> binner.events().to_dense()[0].astype(int).tolist()
    [[0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]]
    """

    def __init__(
        self,
        shape: Iterable[int],
        *,
        dt_us: int | None = None,
        n_steps: int | None = None,
        duration_us: int | None = None,
        count: str = "once",
        outside: str = "error",
        order: str = "framework",
    ) -> None:
        for name, value, choices in (("count", count, COUNTS), ("outside", outside, OUTSIDE), ("order", order, ORDERS)):
            if value not in choices:
                raise DataError(f"binning: {name} {value!r} is none of {', '.join(choices)}; choose one")
        self.shape, self.clock = checked_shape(shape), Clock.of(dt_us, n_steps, duration_us)
        self.n_lines, self.n_steps, self.n_samples = math.prod(self.shape), n_steps, 0
        self.count, self.outside, self.order = count, outside, order
        self.n_late = self.n_outside = 0
        self._narrow: npt.DTypeLike = np.uint16 if self.n_lines <= 1 << 16 else np.int32
        self._lines: list[npt.NDArray[Any]] = []
        self._values: list[npt.NDArray[np.int32]] = []
        self._per_step: list[npt.NDArray[np.int64]] = []

    def add(self, chunks: Iterable[EventArray], origin: int | str = 0, where: str = "events") -> None:
        """Add a recording.

        Parameters
        ----------
        chunks : iterable of (n,) EVENT
            In order of time.
        origin : int, "first" or "auto"
            Time in microseconds that step 0 begins at; or that of the first event; or 0, but the first event where that comes before 0
            or after more than 10 s, as in recordings with a clock of their own.
        where : str
            What error texts call the recording.
        """
        begin: int | None = None
        kept: list[_Cells] = []
        counts: list[_Cells] = []
        # Cells of the last step seen: the next chunk may have more of them.
        open_cells, open_counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
        for chunk in chunks:
            if not len(chunk):
                continue
            if begin is None:
                begin = _begin(origin, int(chunk["t"][0]))
            found, n = np.unique(self._cells(chunk, begin, where), return_counts=True)
            if not len(found):
                continue
            if len(open_cells):
                if found[0] // self.n_lines < open_cells[0] // self.n_lines:
                    raise DataError(f"{where}: a chunk of events goes back in time; sort the recording")
                found, n = _merged(open_cells, open_counts, found, n)
            last = int(np.searchsorted(found, found[-1] // self.n_lines * self.n_lines))
            kept.append(found[:last])
            counts.append(n[:last])
            open_cells, open_counts = found[last:], n[last:]
        self._store(np.concatenate([*kept, open_cells]), np.concatenate([*counts, open_counts]))

    def add_spikes(self, spikes: Events) -> None:
        """Add samples that are spikes already, with inputs in C order of `shape`; later steps than there are get counted."""
        if spikes.n_inputs != self.n_lines:
            raise DataError(
                f"binning: spikes of {spikes.n_inputs} inputs do not fit input shape {self.shape}, which has {self.n_lines}; give their shape"
            )
        if self.order == "task":
            spikes = renumber(spikes, self._task_lines())
        kept = spikes.n_steps if self.n_steps is None else min(self.n_steps, spikes.n_steps)
        bounds = spikes.start
        for sample in range(spikes.n_samples):
            first, late, last = (int(bounds[sample * spikes.n_steps + t]) for t in (0, kept, spikes.n_steps))
            steps = np.zeros(self.n_steps or kept, np.int64)
            steps[:kept] = np.diff(bounds[sample * spikes.n_steps : sample * spikes.n_steps + kept + 1])
            self._lines.append(spikes.neuron[first:late].astype(self._narrow))
            if self.count == "sum":
                value = np.ones(late - first, np.int32) if spikes.value is None else spikes.value[first:late]
                self._values.append(value.astype(np.int32))
            self._per_step.append(steps)
            self.n_late += last - late
            self.n_samples += 1

    def _task_lines(self) -> npt.NDArray[np.int64]:
        """Return the line in a task of each input in C order of `shape`."""
        line = np.arange(self.n_lines, dtype=np.int64)
        if len(self.shape) == 3:
            channels, height, width = self.shape
            line = np.ascontiguousarray(line.reshape(height, width, channels).transpose(2, 0, 1)).ravel()
        return line

    def _cells(self, chunk: EventArray, origin: int, where: str) -> _Cells:
        """Return ``step * n_lines + line`` of the events that have both."""
        t = chunk["t"] - origin
        if int(t.min()) < 0:
            raise DataError(
                f"{where}: event at {int(chunk['t'].min())} us comes before the start of step 0 at {origin} us; "
                "count from the first event, or sort the recording"
            )
        line, inside = self._line(chunk)
        if not inside.all():
            if self.outside == "error":
                at = chunk[int(np.argmin(inside))]
                raise DataError(
                    f"{where}: event at x {at['x']}, y {at['y']} does not fit input shape {self.shape}; give the sensor's own "
                    "shape, or use the transforms Crop or Downscale"
                )
            self.n_outside += int((~inside).sum())
            t, line = t[inside], line[inside]
        step = self.clock.step(t)
        if self.n_steps is not None:
            early = step < self.n_steps
            self.n_late += len(step) - int(early.sum())
            step, line = step[early], line[early]
        elif len(step) and int(step.max()) >= MAX_STEPS:
            raise DataError(
                f"{where}: the event at {int(chunk['t'].max())} us is in step {int(step.max())}, the limit is {MAX_STEPS} steps; give "
                "n_steps, use longer steps, or count from the first event"
            )
        return np.asarray(step * self.n_lines + line, np.int64)

    def _line(self, chunk: EventArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return the line of each event, and whether it is within the shape."""
        if len(self.shape) > 3 or (len(self.shape) == 3 and self.shape[0] > 2):
            raise DataError(
                f"binning: events have no place in input shape {self.shape}; it must be (2, height, width), (1, height, width), "
                "(height, width) or (n,)"
            )
        x, y = chunk["x"].astype(np.int64), chunk["y"].astype(np.int64)
        if len(self.shape) == 1:
            return x, (x < self.shape[0]) & (y == 0)
        height, width = self.shape[-2:]
        n_channels = self.shape[0] if len(self.shape) == 3 else 1
        channel = (chunk["p"] > 0).astype(np.int64) if n_channels == 2 else np.zeros(len(chunk), np.int64)
        inside = (x < width) & (y < height)
        if self.order == "task":
            return (y * width + x) * n_channels + channel, inside
        return (channel * height + y) * width + x, inside

    def _store(self, cells: _Cells, counts: _Cells) -> None:
        steps, lines = np.divmod(cells, self.n_lines)
        self._lines.append(lines.astype(self._narrow))
        if self.count == "sum":
            self._values.append(np.minimum(counts, MAX_VALUE).astype(np.int32))
        self._per_step.append(np.bincount(steps, minlength=self.n_steps or 0))
        self.n_samples += 1

    def events(self) -> Events:
        """Return all that was added, and forget it."""
        n_steps = self.n_steps or max(1, *(len(steps) for steps in self._per_step), 1)
        if self.n_samples * n_steps > MAX_CELLS:
            raise DataError(
                f"binning: {self.n_samples} samples of {n_steps} steps are more than {MAX_CELLS} lists of spikes; take fewer samples "
                "at a time, give n_steps, or use longer steps"
            )
        start = np.zeros(self.n_samples * n_steps + 1, np.int64)
        for i, steps in enumerate(self._per_step):
            start[1 + i * n_steps : 1 + i * n_steps + len(steps)] = steps
        np.cumsum(start, out=start)
        neuron = _joined(self._lines, int(start[-1]))
        value = _joined(self._values, int(start[-1])) if self.count == "sum" else None
        n_samples, self.n_samples, self._per_step = self.n_samples, 0, []
        return Events(start, neuron, n_samples, n_steps, self.n_lines, value)


def bin_events(
    events: EventArray, shape: Iterable[int], *, dt_us: int | None = None, n_steps: int | None = None,
    duration_us: int | None = None, count: str = "once", outside: str = "error", origin: int | str = 0,
) -> Events:  # fmt: skip
    """Return the events of one recording as input spikes of one sample; parameters as in `Binner` and `Binner.add`.

    Examples
    --------
    >>> from neurosim.data.eventtype import EVENT
    >>> events = np.array([(10, 0, 0, 1), (20, 0, 0, 0), (2500, 2, 0, 0)], EVENT)
    >>> bin_events(events, (1, 3), dt_us=1000, count="sum").to_values()[0].tolist()
    [[2, 0, 0], [0, 0, 0], [0, 0, 1]]
    """
    binner = Binner(shape, dt_us=dt_us, n_steps=n_steps, duration_us=duration_us, count=count, outside=outside)
    binner.add([events], origin)
    return binner.events()


def renumber(events: Events, line_of: npt.NDArray[np.int64]) -> Events:
    """Return events whose input i is now input ``line_of[i]``, sorted within each step.

    Parameters
    ----------
    events : Events
    line_of : (n_inputs,) int64
        A permutation.
    """
    line = line_of[events.neuron]
    order = np.lexsort((line, np.repeat(np.arange(len(events.start) - 1), np.diff(events.start))))
    value = None if events.value is None else events.value[order]
    return events._replace(neuron=line[order].astype(np.int32), value=value)


def join_events(parts: Iterable[Events]) -> Events:
    """Return the samples of several `Events` of one number of steps and inputs, one after the other."""
    found = list(parts)
    first = found[0]
    offsets = np.cumsum([0, *(len(part.neuron) for part in found)])
    starts = [part.start[:-1] + offset for part, offset in zip(found, offsets, strict=False)]
    graded = any(part.value is not None for part in found)
    values = [np.ones(len(p.neuron), np.int32) if p.value is None else p.value for p in found] if graded else []
    return Events(
        np.concatenate([*starts, offsets[-1:]]).astype(np.int64),
        np.concatenate([part.neuron for part in found]),
        sum(part.n_samples for part in found),
        first.n_steps,
        first.n_inputs,
        np.concatenate(values) if graded else None,
    )


def _begin(origin: int | str, first: int) -> int:
    """Return when step 0 begins, for a recording whose first event is at that time."""
    if origin not in ("first", "auto") and (isinstance(origin, bool) or not isinstance(origin, (int, np.integer))):
        raise DataError(
            f"binning: origin {origin!r} is none of first, auto or a whole number of microseconds; choose one"
        )
    if origin == "auto":
        return 0 if 0 <= first <= OWN_CLOCK_US else first
    return first if origin == "first" else int(origin)


def _merged(cells: _Cells, counts: _Cells, more: _Cells, n: _Cells) -> tuple[_Cells, _Cells]:
    """Return the cells of both lists with their counts added up."""
    found, place = np.unique(np.concatenate([cells, more]), return_inverse=True)
    total = np.zeros(len(found), np.int64)
    np.add.at(total, place.ravel(), np.concatenate([counts, n]))
    return found, total


def _joined(blocks: list[npt.NDArray[Any]], n: int) -> npt.NDArray[np.int32]:
    """Return the blocks as one array; each is freed once it is copied."""
    joined, first = np.empty(n, np.int32), 0
    blocks.reverse()
    while blocks:
        block = blocks.pop()
        joined[first : first + len(block)] = block
        first += len(block)
    return joined
