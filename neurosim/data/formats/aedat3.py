"""Recordings of cAER (.aedat, version 3.1), as the DVS gesture set has them.

Source: iniVation's page "AEDAT 3.1": lines of text up to "#!END-HEADER", then packets, all little-endian. The head of a packet has
28 bytes: kind and source (16 bits each), bytes of an event, offset of its time, times the clock has wrapped, and events there is room
for, there are, and are valid (32 bits each). An event of a pixel has two words: valid (bit 0), polarity (1), y (2 to 16), x (17 to 31);
and 31 bits of time in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from neurosim.data.eventblock import Block, Size, bad_block
from neurosim.data.eventfile import Recorded
from neurosim.data.formats.binary import BLOCK_BYTES, brief, start_of_events
from neurosim.errors import DataError

MARK = b"#!AER-DAT3"
END = b"#!END-HEADER"
PACKET = np.dtype([("kind", "<i2"), ("source", "<i2"), ("size", "<i4"), ("time_offset", "<i4"), ("overflow", "<i4"),
                   ("capacity", "<i4"), ("number", "<i4"), ("valid", "<i4")])  # fmt: skip
POLARITY, N_KINDS = 1, 14
EVENT_BYTES = 8
CUT = "cut short at the end of the file"
#: Sensors by the words of the line "Source", in small letters.
SENSORS: dict[str, Size] = {
    "dvs128": (128, 128), "dvs132": (132, 104), "dvxplorer": (640, 480), "davis128": (128, 128), "davis208": (208, 192),
    "davis240": (240, 180), "davis346": (346, 260), "davis640": (640, 480),
}  # fmt: skip


def open_file(path: Path, sensor_size: Size | None) -> Recorded:
    """Open a file of version 3.1, not compressed."""
    where = f"file {str(path)!r}"
    lines, start = start_of_events(path, b"#", END)
    if not lines or lines[-1] != END.decode() or not lines[0].startswith("#!AER-DAT3.1"):
        raise DataError(
            f"{where}: is of version {lines[0][2:12]!r}; 3.1 with a line {END.decode()!r} is read. Convert it with the maker's tools"
        )
    form = next((line.partition(":")[2].strip() for line in lines if line.startswith("#Format")), "RAW")
    if form != "RAW":
        raise DataError(
            f"{where}: its packets are of format {brief(repr(form))}, 'RAW' is read; convert it with the maker's tools"
        )
    sources = " ".join(line.partition(":")[2].lower() for line in lines if line.startswith("#Source"))
    size = next((size for name, size in SENSORS.items() if name in sources), None)
    return Recorded(partial(_blocks, path, start), sensor_size or size)


def _blocks(path: Path, start: int) -> Iterator[Block]:
    n_bytes = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(start)
        while content := stream.read(PACKET.itemsize):
            if len(content) < PACKET.itemsize:
                yield bad_block(CUT)
                return
            head = np.frombuffer(content, PACKET)[0]
            kind, size, number = int(head["kind"]), int(head["size"]), int(head["number"])
            wrong_size = kind == POLARITY and (size != EVENT_BYTES or int(head["overflow"]) < 0)
            if size < 0 or number < 0 or not 0 <= kind or wrong_size:
                yield bad_block("behind a damaged head of a packet, as all after it")
                return
            if kind == POLARITY:
                yield from _events(stream, number, int(head["overflow"]))
                continue
            if kind >= N_KINDS:
                yield bad_block("a packet of unknown kind")
            if stream.tell() + size * number > n_bytes:
                yield bad_block(CUT)
                return
            stream.seek(size * number, 1)


def _events(stream: IO[bytes], number: int, overflow: int) -> Iterator[Block]:
    """Read the events of pixels of one packet."""
    n_left = number * EVENT_BYTES
    while n_left:
        content = stream.read(min(n_left, BLOCK_BYTES))
        words = np.frombuffer(content, "<u4", len(content) // EVENT_BYTES * 2).astype(np.int64).reshape(-1, 2)
        data, time = words[words[:, 0] & 1 == 1].T  # the others were struck out by a filter
        yield Block(time | overflow << 31, data >> 17, data >> 2 & 0x7FFF, data >> 1 & 1)
        n_left -= len(content)
        if n_left and len(content) < BLOCK_BYTES:
            yield bad_block(CUT)
            return
