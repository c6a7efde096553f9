"""Messages between neurosim and the process that runs Lava: a JSON header plus integer arrays, never pickles."""

from __future__ import annotations

import io
import json
import os
import select
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

LENGTH_BYTES = 8
CHUNK_BYTES = 1 << 20
POLL_S = 0.2  # how often a waiting side looks whether the other one still lives

Header = dict[str, Any]
Arrays = dict[str, npt.NDArray[Any]]


class PeerGone(Exception):
    """The other side closed the pipe or died."""


class Expired(Exception):
    """The deadline passed before the message was complete."""


def encode(header: Header, arrays: Arrays) -> bytes:
    """Return one message as bytes; arrays must hold integers or booleans."""
    for name, array in arrays.items():
        if array.dtype.kind not in "iub":
            raise TypeError(f"message array {name!r} has type {array.dtype}; only integers cross the pipe")
    body = io.BytesIO()
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez(body, **{f"array_{name}": array for name, array in arrays.items()}, header=text)  # type: ignore[arg-type]
    data = body.getvalue()
    return len(data).to_bytes(LENGTH_BYTES, "little") + data


def decode(data: bytes) -> tuple[Header, Arrays]:
    """Return header and arrays of a message without its length."""
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        header = json.loads(stored["header"].tobytes())
        arrays = {name[len("array_") :]: stored[name] for name in stored.files if name != "header"}
    return header, arrays


def send(descriptor: int, message: bytes, alive: Callable[[], bool], deadline: float | None = None) -> None:
    """Write a message to a non-blocking pipe.

    Parameters
    ----------
    descriptor : int
    message : bytes
        From `encode`.
    alive : callable
        Whether the other side still lives; asked every `POLL_S` seconds.
    deadline : float, optional
        Time of `time.monotonic` at which `Expired` is raised.
    """
    waiting = select.poll()
    waiting.register(descriptor, select.POLLOUT)
    rest = memoryview(message)
    while rest:
        _wait(waiting, alive, deadline)
        try:
            rest = rest[os.write(descriptor, rest[:CHUNK_BYTES]) :]
        except BlockingIOError:
            continue
        except BrokenPipeError as error:
            raise PeerGone from error


def receive(descriptor: int, alive: Callable[[], bool], deadline: float | None = None) -> tuple[Header, Arrays]:
    """Read one message from a non-blocking pipe; arguments as in `send`."""
    length = int.from_bytes(_read(descriptor, LENGTH_BYTES, alive, deadline), "little")
    return decode(_read(descriptor, length, alive, deadline))


def _read(descriptor: int, size: int, alive: Callable[[], bool], deadline: float | None) -> bytes:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    data = bytearray()
    while len(data) < size:
        _wait(waiting, alive, deadline)
        try:
            part = os.read(descriptor, min(CHUNK_BYTES, size - len(data)))
        except BlockingIOError:
            continue
        if not part:
            raise PeerGone
        data += part
    return bytes(data)


def _wait(waiting: select.poll, alive: Callable[[], bool], deadline: float | None) -> None:
    """Return when the pipe is ready, was closed, or `POLL_S` passed with the other side alive."""
    while True:
        if waiting.poll(POLL_S * 1000):
            return
        if not alive() and not waiting.poll(0):  # what it wrote before it died is still read
            raise PeerGone
        if deadline is not None and time.monotonic() > deadline:
            raise Expired
