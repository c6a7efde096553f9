"""The 40-bit events of N-MNIST and N-Caltech101 (.bin)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurosim.data.eventblock import Block, Size, bad_block
from neurosim.data.eventfile import Recorded

EVENT_BYTES = 5
BLOCK = 1 << 16  # events decoded together
N_MNIST, N_CALTECH = (34, 34), (240, 180)  # pixels; images of N-Caltech101 were shown at up to 240 x 180
STRAY = 100  # one event in so many may lie outside 34 x 34 before the sensor is taken for the larger one


def decode(raw: npt.NDArray[np.uint8]) -> Block:
    """Return the events in bytes, (n, 5).

    An event has 5 bytes: x, y, and a big-endian word of 24 bits, the upper one of which is the polarity and the others the
    time in microseconds (G. Orchard et al., Frontiers in Neuroscience 9:437, 2015, and the README of the data sets).
    """
    late = raw[:, 2:].astype(np.int64)
    time = ((late[:, 0] & 127) << 16) | (late[:, 1] << 8) | late[:, 2]
    return Block(time, raw[:, 0], raw[:, 1], raw[:, 2] >> 7)


def open_file(path: Path, sensor_size: Size | None) -> Recorded:
    """Open a file; without a size given, the first events tell a sensor of 34 x 34 from one of 240 x 180."""
    if sensor_size is None:
        with path.open("rb") as stream:
            raw = _records(stream.read(EVENT_BYTES * BLOCK))
        outside = (raw[:, :2] >= N_MNIST[0]).any(axis=1)
        sensor_size = N_CALTECH if np.count_nonzero(outside) * STRAY > len(raw) else N_MNIST
    return Recorded(partial(_blocks, path), sensor_size)


def decode_all(content: bytes) -> list[Block]:
    """Return the events in the bytes of a file, and a bad one where the bytes end within one."""
    blocks = [decode(_records(content))]
    if len(content) % EVENT_BYTES:
        blocks.append(bad_block("cut short at the end of the file"))
    return blocks


def _records(content: bytes) -> npt.NDArray[np.uint8]:
    n = len(content) // EVENT_BYTES
    return np.frombuffer(content, np.uint8, n * EVENT_BYTES).reshape(n, EVENT_BYTES)


def _blocks(path: Path) -> Iterator[Block]:
    with path.open("rb") as stream:
        while content := stream.read(EVENT_BYTES * BLOCK):
            yield from decode_all(content)
