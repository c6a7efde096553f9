"""What a transform of sensor events is, and how several are put together over a stream of chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from neurosim.data.eventtype import EVENT
from neurosim.errors import DataError

EventArray = npt.NDArray[Any]  # of dtype EVENT
Size = tuple[int, int]  # (width, height) in pixels


class Stage(Protocol):
    """A transform at work on one recording: it is given the recording's chunks in order."""

    def push(self, events: EventArray) -> EventArray:
        """Return what can be given on after this chunk."""
        ...

    def finish(self) -> EventArray:
        """Return what was held back, when the recording is over."""
        ...


class Each:
    """A stage that treats every event by itself."""

    def __init__(self, function: Callable[[EventArray], EventArray]) -> None:
        self.push = function

    def finish(self) -> EventArray:
        """Nothing was held back."""
        return no_events()


class Transform(ABC):
    """A description of what is done to the events of every recording; frozen, without state of its own.

    Called with an array of events, it returns a new one and leaves the old one as it is.
    """

    def size(self, size: Size) -> Size:
        """Return the sensor's size after the transform."""
        return size

    @abstractmethod
    def open(self, size: Size, number: int = 0) -> Stage:
        """Begin a recording.

        Parameters
        ----------
        size : (width, height)
            Of the sensor.
        number : int
            Names the recording, 0..2**63 - 1: what is random follows from the transform's seed and this number.
        """

    def __call__(self, events: EventArray, size: Size, number: int = 0) -> EventArray:
        """Return the events of a whole recording, transformed."""
        return transform_events(events, (self,), size, number)


def no_events() -> EventArray:
    """Return an array of no events."""
    return np.zeros(0, EVENT)


def transformed_size(transforms: Sequence[Transform], size: Size) -> Size:
    """Return the sensor's size after all transforms."""
    for transform in transforms:
        size = transform.size(size)
    return size


def transform_chunks(
    chunks: Iterable[EventArray], transforms: Sequence[Transform], size: Size, number: int = 0
) -> Iterator[EventArray]:
    """Yield a recording's events through all transforms, in order, chunk by chunk; together they are those of the whole.

    Parameters
    ----------
    chunks : iterable of (n,) EVENT
        In order of time.
    transforms : sequence of Transform
    size : (width, height)
        Of the sensor that the chunks come from; an event outside it is an error.
    number : int
        As in `Transform.open`.
    """
    stages: list[Stage] = [_Inside(size)]
    for transform in transforms:
        stages.append(transform.open(size, number))
        size = transform.size(size)
    for chunk in chunks:
        found = _through(stages, chunk)
        if len(found):
            yield found
    for i, stage in enumerate(stages):
        found = _through(stages[i + 1 :], stage.finish())
        if len(found):
            yield found


def transform_events(
    events: EventArray, transforms: Sequence[Transform], size: Size, number: int = 0
) -> EventArray:  # fmt: skip
    """Return a recording's events through all transforms; parameters as in `transform_chunks`."""
    return np.concatenate([no_events(), *transform_chunks([events], transforms, size, number)])


def _through(stages: Sequence[Stage], events: EventArray) -> EventArray:
    for stage in stages:
        events = stage.push(events)
    return events


class _Inside:
    """Refuse events outside the sensor, or of another form, before anything is indexed with them."""

    def __init__(self, size: Size) -> None:
        self.size = size

    def push(self, events: EventArray) -> EventArray:
        """Return the chunk itself."""
        if events.dtype != EVENT or events.ndim != 1:
            raise DataError(
                f"events: found {events.dtype} of shape {events.shape}, need one dimension of {EVENT}; "
                "convert them with neurosim.data.readers.open_events(array).read()"
            )
        check_inside(events, self.size)
        return events

    def finish(self) -> EventArray:
        """Nothing was held back."""
        return no_events()


def check_inside(events: EventArray, size: Size) -> None:
    """Refuse events that lie outside a sensor of that size."""
    outside = (events["x"] >= size[0]) | (events["y"] >= size[1])
    if outside.any():
        at = events[int(np.argmax(outside))]
        raise DataError(
            f"events: x {at['x']}, y {at['y']} at {at['t']} us is outside the sensor of {size[0]} x {size[1]} pixels; "
            "give the sensor's size (width, height), or leave such events out (strict=False)"
        )


def check_number(owner: str, name: str, value: int, low: int, high: int = (1 << 62)) -> None:
    """Refuse a number of a transform that is no integer of its range."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise DataError(f"transform {owner}: {name} {value!r} is not a whole number in {low}..{high}; choose another")
