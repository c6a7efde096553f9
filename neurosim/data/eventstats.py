"""What a recording of events is like: counted piece by piece, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.data.eventblock import Size

FIRST_BIN_US = 1000  # of the rate over time; twice as long whenever the recording outgrows the bins
MAX_BINS = 512
MAX_PIXELS = 1 << 22  # counted apart; of a larger sensor only the totals are known
US_PER_S = 1_000_000

Counts = npt.NDArray[np.int64]


class EventStats:
    """Counts of a recording.

    Attributes
    ----------
    n_events, n_on : int
        All, and those of polarity 1.
    first_us, last_us : int or None
        Time of the first and the last event.
    extent : (width, height)
        The smallest sensor that holds all events; (0, 0) without events.
    bin_us : int
        Length of a bin of `rate`, in microseconds.
    """

    def __init__(self) -> None:
        self.n_events = self.n_on = 0
        self.first_us: int | None = None
        self.last_us: int | None = None
        self.extent: Size = (0, 0)
        self.bin_us = FIRST_BIN_US
        self._pixels: Counts | None = np.zeros((2, 0, 0), np.int64)
        self._rate: Counts = np.zeros((2, MAX_BINS), np.int64)

    def add(self, events: npt.NDArray[Any]) -> None:
        """Count more events, `EVENT`, in order of time."""
        if not len(events):
            return
        self.n_events += len(events)
        self.n_on += int(np.count_nonzero(events["p"]))
        if self.first_us is None:
            self.first_us = int(events["t"][0])
        self.last_us = int(events["t"][-1])
        width, height = int(events["x"].max()) + 1, int(events["y"].max()) + 1
        self.extent = max(self.extent[0], width), max(self.extent[1], height)
        self._count_pixels(events)
        self._count_rate(events, self.first_us)

    def _count_pixels(self, events: npt.NDArray[Any]) -> None:
        if self._pixels is None:
            return
        width, height = self.extent
        if width * height > MAX_PIXELS:
            self._pixels = None
            return
        if self._pixels.shape != (2, height, width):
            grown = np.zeros((2, height, width), np.int64)
            grown[:, : self._pixels.shape[1], : self._pixels.shape[2]] = self._pixels
            self._pixels = grown
        cell = (events["p"].astype(np.int64) * height + events["y"]) * width + events["x"]
        self._pixels += np.bincount(cell, minlength=2 * height * width).reshape(2, height, width)

    def _count_rate(self, events: npt.NDArray[Any], first: int) -> None:
        time = events["t"] - first
        while time[-1] >= MAX_BINS * self.bin_us:
            self._rate = np.pad(self._rate[:, ::2] + self._rate[:, 1::2], ((0, 0), (0, MAX_BINS // 2)))
            self.bin_us *= 2
        cell = events["p"].astype(np.int64) * MAX_BINS + time // self.bin_us
        self._rate += np.bincount(cell, minlength=2 * MAX_BINS).reshape(2, MAX_BINS)

    @property
    def duration_us(self) -> int:
        """Time from the first to the last event."""
        return 0 if self.first_us is None or self.last_us is None else self.last_us - self.first_us

    @property
    def rate_hz(self) -> float | None:
        """Events per second from the first to the last; None: all are at one time."""
        return self.n_events * US_PER_S / self.duration_us if self.duration_us else None

    @property
    def pixels(self) -> Counts | None:
        """Events by polarity and pixel, (2, height, width); None: there are too many pixels."""
        return self._pixels

    @property
    def rate(self) -> Counts:
        """Events by polarity in each bin of `bin_us`, (2, n)."""
        return self._rate[:, : self.duration_us // self.bin_us + 1]

    @property
    def busiest(self) -> tuple[int, int, int] | None:
        """The pixel with most events (the first one in the order of rows): x, y and how many."""
        if self._pixels is None or not self.n_events:
            return None
        both = self._pixels.sum(axis=0)
        y, x = divmod(int(both.argmax()), both.shape[1])
        return x, y, int(both[y, x])
