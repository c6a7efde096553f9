"""EVT 3.0 of Prophesee's cameras: words of 16 bits that say only what changes.

Source: the maker's page "EVT 3.0 Format". The kind is in bits 12 to 15: a row (0), an event at a column (2), the column from which
vectors go on (3), vectors of 12 and 8 pixels (4, 5), low and high part of the time (6, 8), and what is not of pixels (7, 10, 14, 15).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.data.eventblock import Block
from neurosim.data.formats.binary import Clock

ROW, COLUMN, BASE, VECTOR_12, VECTOR_8, TIME_LOW, TIME_HIGH = 0, 2, 3, 4, 5, 6, 8
KNOWN = np.isin(np.arange(16), [ROW, COLUMN, BASE, VECTOR_12, VECTOR_8, TIME_LOW, 7, TIME_HIGH, 10, 14, 15])
WIDTH = np.zeros(16, np.int64)  # how far a word moves the column from which vectors go on
WIDTH[VECTOR_12], WIDTH[VECTOR_8] = 12, 8
COLUMNS = 0x7FF
BAD = "a word of unknown kind, or an event before the first row"

Ints = npt.NDArray[np.int64]


class Evt3:
    """Decodes words block by block; the state goes over from one to the next."""

    def __init__(self) -> None:
        self.clock = Clock(24)
        self.row, self.high, self.low = -1, -1, 0
        self.base, self.polarity = 0, 0

    def decode(self, words: npt.NDArray[Any]) -> Block:
        """Return the events in words."""
        words = words.astype(np.int64)
        kind, value = words >> 12, words & 0xFFF
        row = _latest(kind == ROW, value & COLUMNS, self.row)
        high = _latest(kind == TIME_HIGH, value, self.high)
        low = self._low(kind, value, high)
        base, polarity = self._bases(kind, value)
        if len(words):
            self.row, self.high, self.low = int(row[-1]), int(high[-1]), int(low[-1])
        is_vector = (kind == VECTOR_12) | (kind == VECTOR_8)
        chosen = ((kind == COLUMN) | is_vector | ~KNOWN[kind]) & (high >= 0)
        mask = np.where(is_vector, np.where(kind == VECTOR_8, value & 0xFF, value), 1)[chosen]
        i, bit = np.nonzero(mask[:, None] >> np.arange(12) & 1)
        first = np.where(is_vector, base, value & COLUMNS)[chosen]
        p = np.where(is_vector, polarity, value >> 11)[chosen]
        bad = (~KNOWN[kind] | (row < 0))[chosen]
        time = (high << 12 | low)[chosen][i]
        y = np.maximum(row, 0)[chosen]
        return Block(self.clock.unwrap(time), first[i] + bit, y[i], p[i], bad[i], BAD)

    def _low(self, kind: Ints, value: Ints, high: Ints) -> Ints:
        """Return the low part of the time at each word: a new high part begins at 0, a repeated one changes nothing."""
        before = np.concatenate([[self.high], high[:-1]]) if len(high) else high
        begins = (kind == TIME_HIGH) & (high != before)
        return _latest((kind == TIME_LOW) | begins, np.where(begins, 0, value), self.low)

    def _bases(self, kind: Ints, value: Ints) -> tuple[Ints, Ints]:
        """Return the column at which a vector in each place begins, and its polarity."""
        moves = np.cumsum(WIDTH[kind]) - WIDTH[kind]  # before each word
        is_base = kind == BASE
        start = _latest(is_base, (value & COLUMNS) - moves, self.base)
        polarity = _latest(is_base, value >> 11, self.polarity)
        if len(kind):
            self.base, self.polarity = int(start[-1] + moves[-1] + WIDTH[kind[-1]]), int(polarity[-1])
        return start + moves, polarity


def _latest(is_new: npt.NDArray[np.bool_], value: Ints, before: int) -> Ints:
    """Return at each place the latest new value up to there, or what was before."""
    if not len(value):
        return value
    last = np.maximum.accumulate(np.where(is_new, np.arange(len(value)), -1))
    return np.where(last < 0, before, value[last])
