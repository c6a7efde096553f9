"""Recordings of jAER (.aedat, version 2.0), of a DVS128 or a camera of the DAVIS family.

Source: iniVation's page "AEDAT 2.0": lines that begin with "#", then eight bytes for each event, two big-endian words: the address
and the time in microseconds. Addresses of a DVS128: polarity (bit 0), x (1 to 7), y (8 to 14), an external event (15). Of a DAVIS:
an external event (bit 10), polarity (11), x (12 to 21), y (22 to 30), a sample of a frame or of a motion sensor (31).
Rows are counted from below there; they are given as stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from neurosim.data.eventblock import Block, Size, bad_block
from neurosim.data.eventfile import Recorded
from neurosim.data.formats.binary import Clock, brief, start_of_events, word_blocks
from neurosim.errors import DataError

MARK = b"#!AER-DAT2"
DVS128 = (128, 128)
#: Sensors by the name of jAER's class, in small letters.
SENSORS: dict[str, Size] = {
    "dvs128": DVS128, "davis128": DVS128, "davis208": (208, 192), "davis240": (240, 180), "davis346": (346, 260), "davis640": (640, 480),
}  # fmt: skip


def open_file(path: Path, sensor_size: Size | None) -> Recorded:
    """Open a file; the line "AEChip" names the sensor, and without one it is a DVS128."""
    lines, start = start_of_events(path, b"#", b"#End Of ASCII Header")
    chips = [line.partition(":")[2].strip().lower().rpartition(".")[2] for line in lines if line.startswith("# AEChip")]
    chip = chips[0] if chips else "dvs128"
    size = next((size for name, size in SENSORS.items() if chip.startswith(name)), None)
    if size is None:
        raise DataError(
            f"file {str(path)!r}: is of a sensor {brief(repr(chip))}; addresses of {', '.join(SENSORS)} are known. "
            "Convert it with jAER's or the maker's tools"
        )
    return Recorded(partial(_blocks, path, start, not chip.startswith("dvs128")), sensor_size or size)


def _blocks(path: Path, start: int, is_davis: bool) -> Iterator[Block]:
    clock = Clock(32)
    for words, n_left in word_blocks(path, start, ">u8"):
        address, time = (words >> 32).astype(np.int64), clock.unwrap(words & 0xFFFFFFFF)
        if is_davis:
            chosen = address & (1 << 31 | 1 << 10) == 0
            a = address[chosen]
            yield Block(time[chosen], a >> 12 & 0x3FF, a >> 22 & 0x1FF, a >> 11 & 1)
        else:
            unknown = address >> 16 != 0
            chosen = (address & 1 << 15 == 0) | unknown
            a = address[chosen]
            yield Block(time[chosen], a >> 1 & 0x7F, a >> 8 & 0x7F, a & 1, unknown[chosen], "no address of a DVS128")
        if n_left:
            yield bad_block("cut short at the end of the file")
