"""What Prophesee's cameras send (.raw): EVT 2.0, EVT 2.1 and EVT 3.0.

Source: the maker's pages "RAW File Format" and "EVT 2.0 Format", "EVT 2.1 Format", "EVT 3.0 Format". Words before the first
time belong to what the camera sent earlier, and are left out without being counted as malformed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.data.eventblock import Block, Size, bad_block
from neurosim.data.eventfile import Recorded
from neurosim.data.formats.binary import Clock, brief, start_of_events, word_blocks
from neurosim.data.formats.evt3 import Evt3
from neurosim.errors import DataError

KEYS = ("evt", "format", "geometry", "camera_integrator_name", "integrator_name", "plugin_name", "system_id", "date")
VERSIONS = {
    "2.0": "2.0",
    "2.1": "2.1",
    "3.0": "3.0",
    "2": "2.0",
    "3": "3.0",
    "EVT2": "2.0",
    "EVT21": "2.1",
    "EVT3": "3.0",
}
OFF, ON, TIME_HIGH = 0, 1, 8
KNOWN = np.isin(np.arange(16), [OFF, ON, TIME_HIGH, 10, 14, 15])  # triggers, others and what continues them
UNKNOWN = "a word of unknown kind"

Words = npt.NDArray[Any]
Decoder = Callable[[Words], Block]


def recognise(head: bytes) -> bool:
    """Whether the first bytes are of this format."""
    if not head.startswith(b"% "):
        return False
    keys = {
        line[2:].split(b" ")[0].decode("ascii", "replace").lower() for line in head.split(b"\n") if line[:2] == b"% "
    }
    return not keys.isdisjoint(KEYS)


def open_file(path: Path, sensor_size: Size | None) -> Recorded:
    """Open a file in any of the three encodings."""
    where = f"file {str(path)!r}"
    lines, start = start_of_events(path, b"% ", b"% end")
    values = {key.lower(): value.strip() for key, _, value in (line[2:].partition(" ") for line in lines)}
    name, *pairs = values.get("format", "").split(";")
    options = {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
    version = VERSIONS.get(name.strip() or values.get("evt", ""))
    if version is None:
        told = values.get("format") or values.get("evt") or "nothing of it"
        raise DataError(f"{where}: its encoding is {brief(repr(told))}; EVT 2.0, 2.1 and 3.0 are read")
    order = values.get("endianness", options.get("endianness", "")).lower()
    if order not in ("", "little", "legacy"):
        raise DataError(
            f"{where}: its words are {brief(order)}-endian, little-endian ones are read; convert it with the maker's tools"
        )
    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", values.get("geometry", "").strip())
    found = (size[1], size[2]) if size else (options.get("width", ""), options.get("height", ""))
    if sensor_size is None and all(re.fullmatch(r"[1-9]\d{0,4}", side) for side in found):
        sensor_size = int(found[0]), int(found[1])
    swapped = order == "legacy" or (not order and "imx636" in values.get("plugin_name", ""))
    return Recorded(partial(_blocks, path, start, version, swapped), sensor_size)


def _blocks(path: Path, start: int, version: str, swapped: bool) -> Iterator[Block]:
    """Decode with a state of its own, from the first word on."""
    decoders: dict[str, tuple[str, Decoder]] = {
        "2.0": ("<u4", Evt2().decode),
        "2.1": ("<u8", Evt21(swapped).decode),
        "3.0": ("<u2", Evt3().decode),
    }
    dtype, decode = decoders[version]
    for words, n_left in word_blocks(path, start, dtype):
        yield decode(words)
        if n_left:
            yield bad_block("cut short at the end of the file")


class Evt2:
    """EVT 2.0: words of 32 bits; the kind in bits 28 to 31, then six bits of time, and eleven each of x and y.

    The other 28 bits of the time come in words of their own.
    """

    def __init__(self) -> None:
        self.clock, self.high = Clock(34), -1

    def decode(self, words: Words) -> Block:
        """Return the events in words."""
        kind = words >> 28
        high = self.times(kind == TIME_HIGH, words & 0xFFFFFFF)
        chosen = ((kind <= ON) | ~KNOWN[kind]) & (high >= 0)
        w, kind = words[chosen].astype(np.int64), kind[chosen]
        bad = ~KNOWN[kind]
        time = high[chosen] << 6 | np.where(bad, 0, w >> 22 & 0x3F)
        return Block(self.clock.unwrap(time), w >> 11 & 0x7FF, w & 0x7FF, kind & 1, bad, UNKNOWN)

    def times(self, is_time: npt.NDArray[np.bool_], value: Words) -> npt.NDArray[np.int64]:
        """Return the high part of the time at each word; -1: none was sent yet."""
        last = (
            np.maximum.accumulate(np.where(is_time, np.arange(len(value)), -1)) if len(value) else np.zeros(0, np.int64)
        )
        high = np.where(last < 0, self.high, value.astype(np.int64)[last])
        if len(high):
            self.high = int(high[-1])
        return high


class Evt21(Evt2):
    """EVT 2.1: words of 64 bits; the upper half as in EVT 2.0, the lower one says which of 32 pixels in a row from x on fired.

    Parameters
    ----------
    swapped : bool
        The halves are stored the other way round, as the IMX636 sends them.
    """

    def __init__(self, swapped: bool) -> None:
        super().__init__()
        self.swapped = swapped

    def decode(self, words: Words) -> Block:
        """Return the events in words."""
        upper, lower = words >> 32, words & 0xFFFFFFFF
        if self.swapped:
            upper, lower = lower, upper
        kind = upper >> 28
        high = self.times(kind == TIME_HIGH, upper & 0xFFFFFFF)
        chosen = ((kind <= ON) | ~KNOWN[kind]) & (high >= 0)
        w, kind, mask = upper[chosen].astype(np.int64), kind[chosen].astype(np.int64), lower[chosen]
        mask = np.where(KNOWN[kind], mask, 1)  # one malformed event
        i, bit = np.nonzero(mask[:, None] >> np.arange(32, dtype=np.uint64) & np.uint64(1))
        bad = ~KNOWN[kind[i]]
        time = high[chosen][i] << 6 | np.where(bad, 0, w[i] >> 22 & 0x3F)
        return Block(self.clock.unwrap(time), (w[i] >> 11 & 0x7FF) + bit, w[i] & 0x7FF, kind[i] & 1, bad, UNKNOWN)
