"""What the binary formats share: headers of lines, clocks that wrap, blocks of words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError

MAX_HEADER = 1 << 20  # bytes of all lines before the events; jAER writes its settings there
LONGEST_TOLD = 150  # characters of a file in an error
BLOCK_BYTES = 1 << 18  # decoded together


def brief(value: object) -> str:
    """Return a text for an error: what a damaged file says may be long."""
    text = str(value)
    return text if len(text) <= LONGEST_TOLD else f"{text[: LONGEST_TOLD - 3]}..."


def read_lines(stream: IO[bytes], mark: bytes, end: bytes, where: str) -> list[str]:
    """Read the lines that begin with `mark`, up to the one that is `end`, and leave the stream behind them.

    Without the line `end`, the first byte that does not fit ends the header.
    """
    lines: list[str] = []
    n_bytes = 0
    while True:
        place = stream.tell()
        if stream.read(len(mark)) != mark:
            stream.seek(place)
            return lines
        line = mark + stream.readline(MAX_HEADER)
        n_bytes += len(line)
        if n_bytes > MAX_HEADER or not line.endswith(b"\n"):
            raise DataError(f"{where}: its header does not end within {MAX_HEADER} bytes, or is cut short; get it anew")
        lines.append(line.decode("utf-8", "replace").strip())
        if line.strip() == end:
            return lines


def start_of_events(path: Path, mark: bytes, end: bytes) -> tuple[list[str], int]:
    """Return the lines of a header, and where the events begin."""
    with path.open("rb") as stream:
        lines = read_lines(stream, mark, end, f"file {str(path)!r}")
        return lines, stream.tell()


def word_blocks(path: Path, start: int, dtype: str) -> Iterator[tuple[npt.NDArray[Any], int]]:
    """Yield the words of a file from `start` on, and how many bytes are left over: not 0 only at the very end."""
    size = np.dtype(dtype).itemsize
    with path.open("rb") as stream:
        stream.seek(start)
        while content := stream.read(BLOCK_BYTES):
            n, n_left = divmod(len(content), size)
            yield np.frombuffer(content, dtype, n), n_left


class Clock:
    """Makes times that wrap at a power of two go on.

    A fall from the last to the first sixteenth of the range is a wrap; any other stays what it is. Feed times in the order of
    the file.
    """

    def __init__(self, bits: int) -> None:
        self.bits, self.turns, self.last = bits, 0, 0

    def unwrap(self, time: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return times of the range 0..2**bits - 1 as ones that go on."""
        if not len(time):
            return time.astype(np.int64)
        time = time.astype(np.int64)
        part = time >> (self.bits - 4)
        before = np.concatenate([[self.last >> (self.bits - 4)], part[:-1]])
        turns = np.where((before == 15) & (part == 0), 1, np.where((before == 0) & (part == 15), -1, 0))
        if self.turns == 0 and turns[0] < 0:
            turns[0] = 0  # no file begins before its first turn
        total = np.maximum(self.turns + np.cumsum(turns), 0)
        self.turns, self.last = int(total[-1]), int(time[-1])
        return np.asarray(time + (total << self.bits), np.int64)
