"""Raw events as a decoder gives them, and the screen that takes the malformed ones out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.eventtype import EVENT
from neurosim.errors import DataError

Column = npt.NDArray[Any]  # integers of any width
Size = tuple[int, int]

COORDINATES = 1 << 16  # what a field of `EVENT` holds
EARLIEST = np.iinfo(np.int64).min
#: Times lie between the negative and the positive of this, 285 years: floats hold them, and differences do not overflow.
LATEST = 1 << 53
OUTSIDE, POLARITY, BACK, NO_TIME = (
    "outside the sensor",
    "no polarity of 0 or 1",
    "going back in time",
    "no time within 285 years",
)


class Block(NamedTuple):
    """Events in the order of the file, not yet checked.

    Attributes
    ----------
    t, x, y, p : (n,) integers of any width
        As in `EVENT`.
    bad : (n,) bool, optional
        Places that hold no event: half of one at the end, a packet of unknown kind. Their columns say nothing.
    why : str
        What is wrong with them.
    """

    t: Column
    x: Column
    y: Column
    p: Column
    bad: npt.NDArray[np.bool_] | None = None
    why: str = ""


def bad_block(why: str) -> Block:
    """Return one place that holds no event."""
    nothing = np.zeros(1, np.int64)
    return Block(nothing, nothing, nothing, nothing, np.ones(1, np.bool_), why)


class Screen:
    """Takes malformed events out of blocks, counts them, or raises at the first one.

    An event is malformed if its place holds none (see `Block`), if it lies outside the sensor, if its polarity is neither
    0 nor 1, if its time is 285 years or more away, or if it is earlier than a well-formed one before it.

    Parameters
    ----------
    where : str
        What error texts call the file.
    size : (width, height), optional
        Of the sensor; None: what 16 bits hold.
    strict : bool
        Raise `DataError` at the first malformed event.

    Attributes
    ----------
    n_seen : int
        Events so far, the malformed ones among them.
    malformed : dict of str to int
        How many, by what is wrong with them.
    first : tuple of int and str, optional
        Number (from 0) of the first one, and what is wrong with it.
    """

    def __init__(self, where: str, size: Size | None, strict: bool) -> None:
        self.where, self.size, self.strict = where, size, strict
        self.n_seen, self.latest = 0, int(EARLIEST)
        self.malformed: dict[str, int] = {}
        self.first: tuple[int, str] | None = None

    @property
    def n_malformed(self) -> int:
        """How many events were malformed so far."""
        return sum(self.malformed.values())

    def take(self, block: Block) -> npt.NDArray[Any]:
        """Return the well-formed events of a block, `EVENT`."""
        t = block.t.astype(np.int64, copy=False)
        width, height = self.size or (COORDINATES, COORDINATES)
        good = np.ones(len(t), np.bool_)
        if block.bad is not None:
            self._leave_out(good, block.bad, block.why, block)
        self._leave_out(good, (block.x < 0) | (block.x >= width) | (block.y < 0) | (block.y >= height), OUTSIDE, block)
        self._leave_out(good, (block.p != 0) & (block.p != 1), POLARITY, block)
        self._leave_out(good, (t <= -LATEST) | (t >= LATEST), NO_TIME, block)
        latest = np.maximum.accumulate(np.where(good, t, EARLIEST)) if len(t) else t
        latest = np.maximum(latest, self.latest)
        self._leave_out(good, t < latest, BACK, block)
        if self.strict and self.first is not None:
            raise DataError(
                f"file {self.where!r}: event number {self.first[0]} is malformed, {self.first[1]}; get the file anew, or read it "
                "with strict=False (--no-strict), which leaves such events out and counts them"
            )
        self.n_seen += len(t)
        if len(t):
            self.latest = int(latest[-1])
        return _pack(block, t, good)

    def _leave_out(self, good: npt.NDArray[np.bool_], wrong: npt.NDArray[np.bool_], why: str, block: Block) -> None:
        """Take events out that were good so far, and note them."""
        wrong = wrong & good
        n = int(np.count_nonzero(wrong))
        if not n:
            return
        good[wrong] = False
        self.malformed[why] = self.malformed.get(why, 0) + n
        i = int(np.argmax(wrong))
        if self.first is None or self.n_seen + i < self.first[0]:
            self.first = self.n_seen + i, why + self._found(why, block, i)

    def _found(self, why: str, block: Block, i: int) -> str:
        """Return the values that show what is wrong."""
        if why == OUTSIDE:
            size = "" if self.size is None else f" of {self.size[0]} x {self.size[1]}"
            return f"{size} (x {int(block.x[i])}, y {int(block.y[i])})"
        if why == POLARITY:
            return f" (but {int(block.p[i])})"
        if why == NO_TIME:
            return f" ({int(block.t[i])} us)"
        return f" (to {int(block.t[i])} us)" if why == BACK else ""


def _pack(block: Block, t: npt.NDArray[np.int64], good: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return the good events as one array."""
    chosen = slice(None) if good.all() else good
    t = t[chosen]
    found = np.empty(len(t), EVENT)
    found["t"], found["x"], found["y"], found["p"] = t, block.x[chosen], block.y[chosen], block.p[chosen]
    return found
