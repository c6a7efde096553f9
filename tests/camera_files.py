"""Recordings of cameras in the bytes of the published pages, written independently of the readers."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.data.eventtype import EVENT

Events = npt.NDArray[Any]


def some_events(n: int, width: int, height: int, last: int, seed: int = 3) -> Events:
    rng = np.random.default_rng(seed)
    found = np.zeros(n, EVENT)
    found["t"] = np.sort(rng.integers(0, last, n))
    found["x"], found["y"], found["p"] = rng.integers(0, width, n), rng.integers(0, height, n), rng.integers(0, 2, n)
    return found


def rows(events: Events) -> list[tuple[int, int, int, int]]:
    return [(int(t), int(x), int(y), int(p)) for t, x, y, p in events]


def aedat2(events: Events, chip: str | None, davis: bool) -> bytes:
    lines = ["#!AER-DAT2.0", "# This is a raw AE data file - do not edit"] + ([f"# AEChip: {chip}"] if chip else [])
    content = "".join(f"{line}\r\n" for line in lines).encode()
    for t, x, y, p in rows(events):
        address = y << 22 | x << 12 | p << 11 if davis else y << 8 | x << 1 | p
        content += struct.pack(">II", address, t & 0xFFFFFFFF)
    return content


def aedat3_packet(events: Events, overflow: int = 0, kind: int = 1, valid: int = 1) -> bytes:
    body = b"".join(
        struct.pack("<II", valid | p << 1 | y << 2 | x << 17, t & 0x7FFFFFFF) for t, x, y, p in rows(events)
    )
    return struct.pack("<hhiiiiii", kind, 1, 8, 4, overflow, len(events), len(events), len(events)) + body


AEDAT3_HEAD = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2017-01-01 00:00:00 (TZ+0100)\r\n#!END-HEADER\r\n"


def flat_table(identifier: bytes, fields: list[tuple[str, Any]], tail: bytes = b"") -> bytes:
    """Return a table whose fields are numbers, or the bytes of a vector with the number of its items."""
    numbers = [(form, value) for form, value in fields]
    sizes = [4 if form == "vector" else struct.calcsize("<" + form) for form, _ in numbers]
    places, place = [], 4
    for size in sizes:
        place += -place % size
        places.append(place)
        place += size
    head = 8  # the place of the table, and what it is
    listing = struct.pack(f"<HH{len(places)}H", 4 + 2 * len(places), place, *places)
    table_at = head + len(listing) + -(head + len(listing)) % 8
    body = bytearray(place)
    struct.pack_into("<i", body, 0, table_at - head)
    vectors, vector_at = b"", table_at + place
    for (form, value), at in zip(numbers, places, strict=True):
        if form == "vector":
            n, content = value
            vector_at += -(vector_at + 4) % 8
            vectors = vectors.ljust(vector_at - table_at - place, b"\0")
            struct.pack_into("<I", body, at, vector_at - table_at - at)
            vectors += struct.pack("<I", n) + content
            vector_at += 4 + len(content)
        else:
            struct.pack_into("<" + form, body, at, value)
    content = struct.pack("<I4s", table_at, identifier) + listing.ljust(table_at - head, b"\0") + bytes(body) + vectors
    return struct.pack("<I", len(content)) + content


XML = (
    '<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/"><node name="0" path="/mainloop/Recorder/outInfo/0/">'
    '<attr key="typeIdentifier" type="string">FRME</attr></node><node name="3" path="/mainloop/Recorder/outInfo/3/">'
    '<attr key="compression" type="string">NONE</attr><attr key="typeIdentifier" type="string">EVTS</attr>'
    '<node name="info" path="/mainloop/Recorder/outInfo/3/info/"><attr key="sizeX" type="int">346</attr>'
    '<attr key="sizeY" type="int">260</attr></node></node></node></dv>'
)


def aedat4_head(xml: str = XML, method: int = 0, last: int = -1) -> bytes:
    text = xml.encode()
    return b"#!AER-DAT4.0\r\n" + flat_table(
        b"IOHE", [("i", method), ("q", last), ("vector", (len(text), text + b"\0"))]
    )


def aedat4_packet(events: Events, stream: int = 3, pack: Any = bytes) -> bytes:
    items = b"".join(struct.pack("<qhhBxxx", t, x, y, p) for t, x, y, p in rows(events))
    content = pack(flat_table(b"EVTS", [("vector", (len(events), items))]))
    return struct.pack("<iI", stream, len(content)) + content


DAT_HEAD = b"% Data file containing CD events\n% Version 2\n% Width 640\n% Height 480\n"


def dat_bytes(events: Events) -> bytes:
    return b"".join(struct.pack("<II", t & 0xFFFFFFFF, x | y << 14 | p << 28) for t, x, y, p in rows(events))


def raw_head(*lines: str) -> bytes:
    return "".join(f"% {line}\n" for line in ("camera_integrator_name Prophesee", *lines, "end")).encode()


def evt2_words(events: Events) -> npt.NDArray[Any]:
    """Return words of EVT 2.0, one time for every event of another 64 us."""
    words: list[int] = []
    high = None
    for t, x, y, p in rows(events):
        if t >> 6 != high:
            high = t >> 6
            words.append(8 << 28 | high & 0xFFFFFFF)
        words.append(p << 28 | (t & 63) << 22 | x << 11 | y)
    return np.array(words, np.uint32)


def evt3_words(events: Events, seed: int = 5) -> tuple[list[int], list[tuple[int, int, int, int]]]:
    """Return words of EVT 3.0 with vectors among single events, and the events in them."""
    rng = np.random.default_rng(seed)
    words, found = [], []
    row = high = low = None
    for t, x, y, p in rows(events):
        if t >> 12 != high:
            high = t >> 12
            words.append(8 << 12 | high & 0xFFF)
            low = None
        if t & 0xFFF != low:
            low = t & 0xFFF
            words.append(6 << 12 | low)
        if y != row:
            row = y
            words.append(y)
        if rng.random() < 0.7:
            words.append(2 << 12 | p << 11 | x)
            found.append((t, x, y, p))
            continue
        words.append(3 << 12 | p << 11 | x)
        for width in (12, 8, 12):
            mask = int(rng.integers(0, 1 << width))
            words.append((4 if width == 12 else 5) << 12 | mask)
            found += [(t, x + bit, y, p) for bit in range(width) if mask >> bit & 1]
            x += width
    return words, found
