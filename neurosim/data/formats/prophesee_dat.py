"""Prophesee's decoded events (.dat).

Source: the maker's page "DAT File Format": lines of text that begin with "% ", two bytes for type and size of an event, then
eight bytes each: a word with the time in microseconds, and one with x (bits 0 to 13), y (14 to 27) and the polarity (28 to 31).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from neurosim.data.eventblock import Block, Size, bad_block
from neurosim.data.eventfile import Recorded
from neurosim.data.formats.binary import Clock, brief, start_of_events, word_blocks
from neurosim.errors import DataError

EVENT_BYTES = 8
PIXEL_EVENTS = (0, 12)  # generic events in two dimensions, and contrast detection
FIELD = "<u8"


def recognise(head: bytes) -> bool:
    """Whether the first bytes are of this format."""
    if not head.startswith(b"% "):
        return False
    lines = head.split(b"\n")
    n_lines = next((i for i, line in enumerate(lines) if not line.startswith(b"% ")), len(lines))
    kind = lines[n_lines][:2] if n_lines < len(lines) else b""
    return any(line.startswith(b"% Data file containing") for line in lines) or (
        len(kind) == 2 and kind[0] in PIXEL_EVENTS and kind[1] == EVENT_BYTES
    )


def open_file(path: Path, sensor_size: Size | None) -> Recorded:
    """Open a file of version 2."""
    where = f"file {str(path)!r}"
    lines, start = start_of_events(path, b"% ", b"% end")
    values = {key.lower(): value for key, _, value in (line[2:].partition(" ") for line in lines)}
    if values.get("version", "2").strip() != "2":
        raise DataError(
            f"{where}: has version {brief(repr(values['version']))} of the .dat format, 2 is read; convert it with the maker's tools"
        )
    with path.open("rb") as stream:
        stream.seek(start)
        kind = stream.read(2)
    if len(kind) < 2 or kind[0] not in PIXEL_EVENTS or kind[1] != EVENT_BYTES:
        told = f"type {kind[0]} of {kind[1]} bytes" if len(kind) == 2 else "nothing"
        raise DataError(f"{where}: holds events of {told}; types 0 and 12 of 8 bytes are read, the events of pixels")
    sides = [values.get(name, "").strip() for name in ("width", "height")]
    if sensor_size is None and all(re.fullmatch(r"[1-9]\d{0,4}", side) for side in sides):
        sensor_size = int(sides[0]), int(sides[1])
    return Recorded(partial(_blocks, path, start + 2), sensor_size)


def _blocks(path: Path, start: int) -> Iterator[Block]:
    clock = Clock(32)
    for words, n_left in word_blocks(path, start, FIELD):
        time, data = words & 0xFFFFFFFF, words >> 32
        yield Block(clock.unwrap(time), data & 0x3FFF, data >> 14 & 0x3FFF, data >> 28)
        if n_left:
            yield bad_block("cut short at the end of the file")
