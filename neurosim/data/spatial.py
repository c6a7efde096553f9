"""Transforms of the places and polarities of events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurosim.data.draws import STREAM_SHIFT, below, stream_key
from neurosim.data.stages import Each, EventArray, Size, Stage, Transform, check_number, no_events
from neurosim.errors import DataError


@dataclass(frozen=True)
class Crop(Transform):
    """Keep a rectangle of the sensor: ``left <= x < left + width`` and so for y; x and y count from its corner.

    Examples
    --------
    >>> from neurosim.data.eventtype import EVENT
    >>> Crop(1, 0, 2, 1)(np.array([(5, 0, 0, 1), (6, 2, 0, 0)], EVENT), (3, 1)).tolist()
    [(6, 1, 0, 0)]
    """

    left: int
    top: int
    width: int
    height: int

    def __post_init__(self) -> None:
        for name, low in (("left", 0), ("top", 0), ("width", 1), ("height", 1)):
            check_number("Crop", name, getattr(self, name), low, 1 << 16)

    def size(self, size: Size) -> Size:
        """Return the rectangle's size."""
        if self.left + self.width > size[0] or self.top + self.height > size[1]:
            raise DataError(
                f"transform Crop: columns {self.left}..{self.left + self.width - 1} and rows {self.top}.."
                f"{self.top + self.height - 1} leave the sensor of {size[0]} x {size[1]} pixels; choose a smaller part"
            )
        return self.width, self.height

    def open(self, size: Size, number: int = 0) -> Stage:
        """Begin a recording."""
        self.size(size)

        def push(events: EventArray) -> EventArray:
            x, y = events["x"].astype(np.int64) - self.left, events["y"].astype(np.int64) - self.top
            return _moved(events, x, y, (self.width, self.height))

        return Each(push)


@dataclass(frozen=True)
class Downscale(Transform):
    """Join squares of pixels: ``x // factor``, ``y // factor``; columns and rows that fill no square go to a smaller one.

    Parameters
    ----------
    factor : int
        Pixels of a square's side, at least 1.
    merge_us : int or None
        Keep only the first event of a square and polarity in each span ``t // merge_us``. None keeps all.

    Examples
    --------
    >>> from neurosim.data.eventtype import EVENT
    >>> events = np.array([(5, 0, 0, 1), (6, 1, 1, 1), (12, 1, 0, 1)], EVENT)
    >>> Downscale(2)(events, (4, 4)).tolist()
    [(5, 0, 0, 1), (6, 0, 0, 1), (12, 0, 0, 1)]
    >>> Downscale(2, merge_us=10)(events, (4, 4)).tolist()
    [(5, 0, 0, 1), (12, 0, 0, 1)]
    """

    factor: int
    merge_us: int | None = None

    def __post_init__(self) -> None:
        check_number("Downscale", "factor", self.factor, 1, 1 << 16)
        if self.merge_us is not None:
            check_number("Downscale", "merge_us", self.merge_us, 1)

    def size(self, size: Size) -> Size:
        """Return the number of squares beside and above each other."""
        return -(-size[0] // self.factor), -(-size[1] // self.factor)

    def open(self, size: Size, number: int = 0) -> Stage:
        """Begin a recording."""
        if self.merge_us is None:
            return Each(self._scaled)
        return _Merge(self, self.merge_us, self.size(size))

    def _scaled(self, events: EventArray) -> EventArray:
        scaled = events.copy()
        scaled["x"] //= self.factor
        scaled["y"] //= self.factor
        return scaled


class _Merge:
    """Keep the first event of each square, polarity and span; the last span of each square and polarity is remembered."""

    def __init__(self, transform: Downscale, span: int, size: Size) -> None:
        self.transform, self.span, self.width = transform, span, size[0]
        self.last = np.full(2 * size[0] * size[1], -(1 << 63), np.int64)

    def push(self, events: EventArray) -> EventArray:
        """Return the events that are the first of their square, polarity and span."""
        scaled = self.transform._scaled(events)
        cell = (scaled["y"].astype(np.int64) * self.width + scaled["x"]) * 2 + (scaled["p"] > 0)
        span = scaled["t"] // self.span
        order = np.argsort(cell, kind="stable")
        cells, spans = cell[order], span[order]
        starts = np.ones(len(cells), np.bool_)
        starts[1:] = cells[1:] != cells[:-1]
        before = np.where(starts, self.last[cells], np.roll(spans, 1))
        ends = np.ones(len(cells), np.bool_)
        ends[:-1] = starts[1:]
        self.last[cells[ends]] = spans[ends]
        keep = np.zeros(len(events), np.bool_)
        keep[order] = spans != before
        return scaled[keep]

    def finish(self) -> EventArray:
        """Nothing was held back."""
        return no_events()


@dataclass(frozen=True)
class Flip(Transform):
    """Mirror the sensor: ``x`` becomes ``width - 1 - x``, y likewise, and polarity becomes ``1 - p``, each where asked for."""

    x: bool = False
    y: bool = False
    p: bool = False

    def open(self, size: Size, number: int = 0) -> Stage:
        """Begin a recording."""

        def push(events: EventArray) -> EventArray:
            flipped = events.copy()
            if self.x:
                flipped["x"] = size[0] - 1 - flipped["x"].astype(np.int64)
            if self.y:
                flipped["y"] = size[1] - 1 - flipped["y"].astype(np.int64)
            if self.p:
                flipped["p"] = flipped["p"] == 0
            return flipped

        return Each(push)


@dataclass(frozen=True)
class Shift(Transform):
    """Move events by whole pixels, to the right and down; what leaves the sensor is gone."""

    dx: int = 0
    dy: int = 0

    def __post_init__(self) -> None:
        for name in ("dx", "dy"):
            check_number("Shift", name, getattr(self, name), -(1 << 16), 1 << 16)

    def open(self, size: Size, number: int = 0) -> Stage:
        """Begin a recording."""

        def push(events: EventArray) -> EventArray:
            return _moved(events, events["x"].astype(np.int64) + self.dx, events["y"].astype(np.int64) + self.dy, size)

        return Each(push)


@dataclass(frozen=True)
class RandomShift(Transform):
    """Move every recording by its own whole pixels, uniform in ``-limit_x..limit_x`` and ``-limit_y..limit_y``.

    The moves are words 0 and 1 of the stream named by the seed and the recording's number (`neurosim.data.draws`), so that the
    same number gives the same move in any order; what leaves the sensor is gone.
    """

    limit_x: int
    limit_y: int
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("limit_x", "limit_y"):
            check_number("RandomShift", name, getattr(self, name), 0, 1 << 16)
        check_number("RandomShift", "seed", self.seed, 0)

    def move(self, number: int) -> tuple[int, int]:
        """Return by how many pixels the recording of that number moves, to the right and down."""
        key = stream_key(self.seed, STREAM_SHIFT, number)
        limits = (self.limit_x, self.limit_y)
        dx, dy = (int(below(key, np.array([i], np.uint64), 2 * n + 1)[0]) - n for i, n in enumerate(limits))
        return dx, dy

    def open(self, size: Size, number: int = 0) -> Stage:
        """Begin a recording."""
        return Shift(*self.move(number)).open(size)


@dataclass(frozen=True)
class MergePolarity(Transform):
    """Forget polarities: every event becomes ON, p = 1."""

    def open(self, size: Size, number: int = 0) -> Stage:
        """Begin a recording."""

        def push(events: EventArray) -> EventArray:
            merged = events.copy()
            merged["p"] = 1
            return merged

        return Each(push)


@dataclass(frozen=True)
class StackPolarity(Transform):
    """Make polarities places: rows of OFF events stay, ON events go ``height`` rows further down; all become ON.

    Read in C order, the pixels of the sensor (2 height, width) are the channels of (2, height, width).
    """

    def size(self, size: Size) -> Size:
        """Return the sensor with twice the rows."""
        return size[0], 2 * size[1]

    def open(self, size: Size, number: int = 0) -> Stage:
        """Begin a recording."""
        if 2 * size[1] > 1 << 16:
            raise DataError(
                f"transform StackPolarity: twice {size[1]} rows exceed the {1 << 16} of an event; use Downscale first"
            )

        def push(events: EventArray) -> EventArray:
            stacked = events.copy()
            stacked["y"] = events["y"].astype(np.int64) + size[1] * (events["p"] > 0)
            stacked["p"] = 1
            return stacked

        return Each(push)


def _moved(events: EventArray, x: npt.NDArray[np.int64], y: npt.NDArray[np.int64], size: Size) -> EventArray:
    """Return events at new places, without those outside a sensor of that size."""
    inside = (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])
    moved = events[inside]
    moved["x"], moved["y"] = x[inside], y[inside]
    return moved
