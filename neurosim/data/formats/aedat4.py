"""Recordings of iniVation's DV (.aedat4).

Source: iniVation's page "AEDAT 4.0" and the schemas it names: a line of text, a table "IOHE" (compression, place of the last table, XML
about the streams), then packets: number of the stream and size (32 bits each), and a table "EVTS", mostly compressed: a vector of 16
bytes for each event, time in microseconds (64 bits), x, y (16 bits each), polarity (8 bits). Packets of frames and others are left out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from neurosim.data.eventblock import Block, Size, bad_block
from neurosim.data.eventfile import Recorded
from neurosim.data.formats.decompress import DecompressionError, check_available, decompress
from neurosim.data.formats.flatbuffer import FlatBufferError, root
from neurosim.errors import DataError

MARK = b"#!AER-DAT4.0\r\n"
MAX_HEADER, MAX_PACKET = 1 << 24, 1 << 27  # bytes, the latter compressed or not
METHODS = {0: "none", 1: "lz4", 2: "lz4", 3: "zstd", 4: "zstd"}
EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1"), ("", "V3")])
CUT = "cut short at the end of the file"
STREAM = re.compile(r'path="[^"]*/outInfo/(\d{1,9})/"')
ATTRIBUTE = re.compile(r'<attr key="(typeIdentifier|sizeX|sizeY)"[^>]*>([^<]*)<')


class Header(NamedTuple):
    """What stands before the packets."""

    method: str
    stream: int  # of events
    size: Size | None
    start: int
    end: int  # of the packets


def open_file(path: Path, sensor_size: Size | None) -> Recorded:
    """Open a file; of several streams of events the first is read."""
    header = _header(path)
    check_available(header.method, f"file {str(path)!r}")
    return Recorded(partial(_blocks, path, header), sensor_size or header.size)


def _header(path: Path) -> Header:
    where, n_bytes = f"file {str(path)!r}", path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(len(MARK))
        prefix = stream.read(4)
        (n,) = struct.unpack("<I", prefix.ljust(4, b"\0"))
        if len(prefix) < 4 or n > min(MAX_HEADER, n_bytes):
            raise DataError(f"{where}: its header of {n} bytes is too long or cut short; get it anew")
        content = stream.read(n)
    try:
        table = root(content, b"IOHE")
        method, last, text = table.scalar(0, "<i", 0), table.scalar(1, "<q", -1), table.text(2)
    except FlatBufferError as error:
        raise DataError(f"{where}: its header is damaged ({error}); get it anew") from error
    if method not in METHODS:
        raise DataError(f"{where}: its packets are compressed in a way {method} that is not known; convert it with DV")
    start = len(MARK) + 4 + n
    streams = _streams(text)
    if not streams:
        raise DataError(f"{where}: its header names no stream of events ('EVTS'); it holds frames or other data only")
    number, size = streams[0]
    return Header(METHODS[method], number, size, start, last if start <= last <= n_bytes else n_bytes)


def _streams(text: str) -> list[tuple[int, Size | None]]:
    """Return number and sensor of the streams of events in the XML of a header."""
    _, *parts = STREAM.split(text)
    found = []
    for number, part in zip(parts[::2], parts[1::2], strict=True):
        about = dict(ATTRIBUTE.findall(part))
        if about.get("typeIdentifier", "").strip() == "EVTS":
            sides = [about.get(name, "").strip() for name in ("sizeX", "sizeY")]
            known = all(re.fullmatch(r"[1-9]\d{0,4}", side) for side in sides)
            found.append((int(number), (int(sides[0]), int(sides[1])) if known else None))
    return found


def _blocks(path: Path, header: Header) -> Iterator[Block]:
    with path.open("rb") as stream:
        stream.seek(header.start)
        while (place := stream.tell()) < header.end:
            head = stream.read(8)
            number, n = struct.unpack("<iI", head) if len(head) == 8 else (0, 0)
            if len(head) < 8 or place + 8 + n > header.end:
                yield bad_block(CUT)
                return
            if number == header.stream and n <= MAX_PACKET:
                yield _events(stream, n, header.method)
                continue
            if number == header.stream:
                yield bad_block(f"a packet of more than {MAX_PACKET} bytes")
            stream.seek(n, 1)


def _events(stream: IO[bytes], n: int, method: str) -> Block:
    """Read the events of a packet."""
    try:
        content = decompress(stream.read(n), method, MAX_PACKET)
        first, n_events = root(content[4:], b"EVTS").vector(0, EVENT.itemsize)
    except (DecompressionError, FlatBufferError) as error:
        return bad_block(f"a damaged packet ({error})")
    found = np.frombuffer(content, EVENT, n_events, 4 + first)
    return Block(found["t"], found["x"], found["y"], found["p"])
