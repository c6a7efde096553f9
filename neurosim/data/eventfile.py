"""A recording of events that is read piece by piece, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.eventblock import Block, Screen, Size
from neurosim.data.eventtype import EVENT
from neurosim.errors import DataError

MAX_EVENTS = 1 << 26  # that `EventFile.read` returns at once: 872 MB


class Recorded(NamedTuple):
    """What a format makes of a file before its events are read.

    Attributes
    ----------
    blocks : callable
        Returns an iterator over blocks of some ten thousand events from the start of the recording.
    sensor_size : (width, height), optional
        As the file tells; None: it does not.
    label : int, optional
        The class of the recording, where the file holds it.
    n_samples : int
        Recordings in the file.
    sample : callable, optional
        Returns the recording of a number, where there are several.
    """

    blocks: Callable[[], Iterator[Block]]
    sensor_size: Size | None = None
    label: int | None = None
    n_samples: int = 1
    sample: Callable[[int], Recorded] | None = None


class EventFile:
    """A recording: iterate over `chunks`, or `read` it.

    Attributes
    ----------
    name : str
        Path, or what stands for it.
    format : str
        A name in `neurosim.data.readers.FORMATS`, or "array".
    sensor_size : (width, height) or None
        None: neither the file nor the caller says.
    label : int or None
    n_samples : int
        Recordings in the file; this is one of them.
    n_malformed : int
        Events that were left out, of the last reading.
    malformed : dict of str to int
        The same by what was wrong.
    first_malformed : str
        The first of them in words; empty: there was none.
    """

    def __init__(self, name: str, format: str, recorded: Recorded, *, strict: bool = True) -> None:
        self.name, self.format, self.strict = name, format, strict
        self.sensor_size, self.label, self.n_samples = recorded.sensor_size, recorded.label, recorded.n_samples
        self.n_malformed = 0
        self.malformed: dict[str, int] = {}
        self.first_malformed = ""
        self._blocks = recorded.blocks

    def chunks(self, max_events: int = 1_000_000) -> Iterator[npt.NDArray[Any]]:
        """Yield the events in order, `EVENT` arrays of `max_events` but for the last; none is empty.

        Memory is bounded by `max_events`, whatever the length of the file. Each call starts from the beginning.

        Raises
        ------
        DataError
            At a malformed event in strict mode; if the file cannot be read.
        """
        if max_events < 1:
            raise DataError(f"chunks: max_events is {max_events}, it must be at least 1; leave it out for a million")
        return self._chunks(max_events)

    def _chunks(self, max_events: int) -> Iterator[npt.NDArray[Any]]:
        screen = Screen(self.name, self.sensor_size, self.strict)
        self._note(screen)
        held: list[npt.NDArray[Any]] = []
        n_held = 0
        try:
            for block in self._blocks():
                good = screen.take(block)
                self._note(screen)
                while n_held + len(good) >= max_events:
                    piece, good = good[: max_events - n_held], good[max_events - n_held :]
                    whole = np.concatenate([*held, piece]) if held else piece
                    held, n_held = [], 0
                    yield whole
                if len(good):
                    held.append(good)
                    n_held += len(good)
        except OSError as error:
            raise DataError(
                f"file {self.name!r}: cannot be read ({error.strerror or error}); check the disk, or get it anew"
            ) from error
        if held:
            yield np.concatenate(held)

    def _note(self, screen: Screen) -> None:
        self.n_malformed, self.malformed = screen.n_malformed, dict(screen.malformed)
        self.first_malformed = f"event number {screen.first[0]}: {screen.first[1]}" if screen.first else ""

    def read(self, max_events: int = MAX_EVENTS) -> npt.NDArray[Any]:
        """Return all events, `EVENT`.

        Raises
        ------
        DataError
            As `chunks` does, and if there are more than `max_events`.
        """
        pieces: list[npt.NDArray[Any]] = []
        n_events = 0
        for piece in self.chunks():
            n_events += len(piece)
            if n_events > max_events:
                raise DataError(
                    f"file {self.name!r}: holds more than {max_events:,} events; go through chunks(), or raise max_events"
                )
            pieces.append(piece)
        return np.concatenate(pieces) if pieces else np.zeros(0, EVENT)
