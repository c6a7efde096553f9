"""Transforms of events in time: windows, noise, pixels that fire too often, jitter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurosim.data.draws import STREAM_JITTER, below, stream_key
from neurosim.data.stages import Each, EventArray, Size, Stage, Transform, check_inside, check_number, no_events
from neurosim.errors import DataError


@dataclass(frozen=True)
class TimeWindow(Transform):
    """Keep the events with ``start_us <= t < stop_us``; time counts from the window's start.

    Examples
    --------
    >>> from neurosim.data.eventtype import EVENT
    >>> TimeWindow(10, 20)(np.array([(9, 0, 0, 1), (10, 1, 0, 0), (20, 0, 0, 1)], EVENT), (2, 1)).tolist()
    [(0, 1, 0, 0)]
    """

    start_us: int
    stop_us: int

    def __post_init__(self) -> None:
        check_number("TimeWindow", "start_us", self.start_us, 0)
        check_number("TimeWindow", "stop_us", self.stop_us, self.start_us)

    def open(self, size: Size, number: int = 0) -> Stage:
        """Begin a recording."""

        def push(events: EventArray) -> EventArray:
            kept = events[(events["t"] >= self.start_us) & (events["t"] < self.stop_us)]
            kept["t"] -= self.start_us
            return kept

        return Each(push)


@dataclass(frozen=True)
class NoiseFilter(Transform):
    """Drop background activity: an event stays if one of the eight pixels around it had an event at most `span_us` before.

    The pixel itself does not count, nor do polarities; events that are dropped count for those after them. Definition:
    `neurosim.reference.eventfilter.supported`, after T. Delbruck, Frame-free dynamic digital vision, 2008.
    """

    span_us: int

    def __post_init__(self) -> None:
        check_number("NoiseFilter", "span_us", self.span_us, 0)

    def open(self, size: Size, number: int = 0) -> Stage:
        """Begin a recording."""
        from neurosim.kernels.eventfilter import NEVER, supported

        last = np.full((size[1] + 2, size[0] + 2), NEVER, np.int64)

        def push(events: EventArray) -> EventArray:
            keep = np.zeros(len(events), np.bool_)
            supported(*_columns(events), self.span_us, last, keep)
            return events[keep]

        return Each(push)


@dataclass(frozen=True)
class Refractory(Transform):
    """Drop events of a pixel less than `span_us` after the last one of it that was kept, whatever their polarities."""

    span_us: int

    def __post_init__(self) -> None:
        check_number("Refractory", "span_us", self.span_us, 0)

    def open(self, size: Size, number: int = 0) -> Stage:
        """Begin a recording."""
        from neurosim.kernels.eventfilter import NEVER, rested

        last = np.full((size[1], size[0]), NEVER, np.int64)

        def push(events: EventArray) -> EventArray:
            keep = np.zeros(len(events), np.bool_)
            rested(*_columns(events), self.span_us, last, keep)
            return events[keep]

        return Each(push)


@dataclass(frozen=True)
class DropPixels(Transform):
    """Drop all events of some pixels, for instance those of `hot_pixels`.

    Parameters
    ----------
    pixels : tuple of (x, y)
    """

    pixels: tuple[tuple[int, int], ...]

    def open(self, size: Size, number: int = 0) -> Stage:
        """Begin a recording."""
        keep = np.ones((size[1], size[0]), np.bool_)
        for x, y in self.pixels:
            if not (0 <= x < size[0] and 0 <= y < size[1]):
                raise DataError(
                    f"transform DropPixels: pixel ({x}, {y}) is outside the sensor of {size[0]} x {size[1]} pixels; leave it out"
                )
            keep[y, x] = False

        def push(events: EventArray) -> EventArray:
            return np.asarray(events[keep[events["y"], events["x"]]])

        return Each(push)


def hot_pixels(chunks: Iterable[EventArray], size: Size, ratio: int = 20) -> tuple[tuple[int, int], ...]:
    """Return the pixels (x, y) with more than `ratio` times the mean number of events of the pixels that have any.

    ``count * n_active > ratio * n_events``, in integers. The recording is read once for this, and once more to drop them
    with `DropPixels`.

    Parameters
    ----------
    chunks : iterable of (n,) EVENT
    size : (width, height)
    ratio : int
        At least 1.
    """
    check_number("hot_pixels", "ratio", ratio, 1, 1 << 31)
    counts = np.zeros(size[0] * size[1], np.int64)
    for events in chunks:
        check_inside(events, size)
        counts += np.bincount(events["y"].astype(np.int64) * size[0] + events["x"], minlength=len(counts))
    hot = np.flatnonzero(counts * np.count_nonzero(counts) > ratio * counts.sum())
    return tuple((int(i % size[0]), int(i // size[0])) for i in hot)


@dataclass(frozen=True)
class TimeJitter(Transform):
    """Move every event by its own microseconds, uniform in ``-limit_us..limit_us``, not before 0; then sort them again.

    The moves are the words 0, 1, ... of the stream named by the seed and the recording's number (`neurosim.data.draws`).
    Events that come to one time keep their order.
    """

    limit_us: int
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("TimeJitter", "limit_us", self.limit_us, 0, (1 << 30) - 1)
        check_number("TimeJitter", "seed", self.seed, 0)

    def open(self, size: Size, number: int = 0) -> Stage:
        """Begin a recording."""
        return _Jitter(self.limit_us, stream_key(self.seed, STREAM_JITTER, number))


class _Jitter:
    """Hold events back that a later one could still come before."""

    def __init__(self, limit: int, key: int) -> None:
        self.limit, self.key, self.n_seen, self.held = limit, key, 0, no_events()

    def push(self, events: EventArray) -> EventArray:
        """Return the events that are certainly before all that come."""
        if not len(events):
            return events
        index = np.arange(self.n_seen, self.n_seen + len(events), dtype=np.uint64)
        self.n_seen += len(events)
        moved = events.copy()
        moved["t"] = np.maximum(events["t"] + below(self.key, index, 2 * self.limit + 1) - self.limit, 0)
        moved = np.concatenate([self.held, moved])
        moved = moved[np.argsort(moved["t"], kind="stable")]
        # What comes is at `events["t"][-1] - limit` or later, and after these where it comes to the same time.
        n_ready = int(np.searchsorted(moved["t"], max(0, int(events["t"][-1]) - self.limit), side="right"))
        self.held = moved[n_ready:]
        return moved[:n_ready]

    def finish(self) -> EventArray:
        """Return the events that were held back."""
        held, self.held = self.held, no_events()
        return held


def _columns(events: EventArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return t, x and y as the kernels take them."""
    t, x, y = (np.ascontiguousarray(events[name], np.int64) for name in ("t", "x", "y"))
    return t, x, y
