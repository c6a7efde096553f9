"""Damaged event files: a clear error or events that are well-formed, never another exception, and little memory.

``NEUROSIM_FUZZ=10000`` tries so many mutations of each format; by default it is fewer.
"""

from __future__ import annotations

import os
import random
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from camera_files import (
    AEDAT3_HEAD,
    aedat2,
    aedat3_packet,
    aedat4_head,
    aedat4_packet,
    evt2_words,
    evt3_words,
    raw_head,
    some_events,
)

from neurosim.data.eventstats import EventStats
from neurosim.data.eventtype import EVENT
from neurosim.data.readers import FORMATS, open_events
from neurosim.data.writers import TARGETS, Selection, convert
from neurosim.errors import DataError

N = int(os.environ.get("NEUROSIM_FUZZ", "150"))
SLOW = 1 if N < 1000 else 20  # of HDF5, which is read in another process, only so many parts
LIMIT = 1 << 30  # bytes that reading may add
EVENTS = some_events(300, 34, 34, 1 << 22)


def evt(version: str, words: npt.NDArray[Any]) -> bytes:
    return raw_head(f"evt {version}", "geometry 34x34") + words.tobytes()


def compressed(name: str) -> bytes:
    if name == "lz4":
        frame = pytest.importorskip("lz4.frame", reason="the extra 'events' is not installed")
        return aedat4_head(method=1) + aedat4_packet(EVENTS, pack=frame.compress)
    zstandard = pytest.importorskip("zstandard", reason="the extra 'events' is not installed")
    return aedat4_head(method=3) + aedat4_packet(EVENTS, pack=zstandard.ZstdCompressor().compress)


def hdf5(folder: Path) -> bytes:
    import h5py

    with h5py.File(folder / "seed.h5", "w") as file:
        for name, dtype in (("times", np.float32), ("units", np.uint16)):
            data = file.create_dataset(f"spikes/{name}", (2,), h5py.vlen_dtype(dtype))
            for i in (0, 1):
                data[i] = np.arange(20 + i, dtype=dtype)
        file["labels"] = np.array([4, 9])
    return (folder / "seed.h5").read_bytes()


def written(name: str) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        out = folder / f"seed{TARGETS[name].suffix}"
        convert(open_events(EVENTS), out, name, Selection())
        return out.read_bytes()

    return make


#: A small file of each format (and of its variants), by the name of the format.
SEEDS: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    **{name: (f"a{target.suffix}", written(name)) for name, target in TARGETS.items()},
    "aedat2": ("a.aedat", lambda folder: aedat2(EVENTS, "DVS128", False)),
    "aedat2 of a DAVIS": ("a.aedat", lambda folder: aedat2(EVENTS, "DAVIS240C", True)),
    "aedat3": ("a.aedat", lambda folder: AEDAT3_HEAD + aedat3_packet(EVENTS[:100]) + aedat3_packet(EVENTS[100:])),
    "aedat4": ("a.aedat4", lambda folder: aedat4_head() + aedat4_packet(EVENTS[:100]) + aedat4_packet(EVENTS[100:])),
    "aedat4 with lz4": ("a.aedat4", lambda folder: compressed("lz4")),
    "aedat4 with zstd": ("a.aedat4", lambda folder: compressed("zstd")),
    "evt": ("a.raw", lambda folder: evt("2.0", evt2_words(EVENTS).astype("<u4"))),
    "evt 2.1": ("a.raw", lambda folder: evt("2.1", evt2_words(EVENTS).astype("<u8") << 32 | 5)),
    "evt 3.0": ("a.raw", lambda folder: evt("3.0", np.array(evt3_words(EVENTS)[0], "<u2"))),
    "hdf5": ("a.h5", hdf5),
}


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Flip bits, set bytes, cut, double or insert parts: at least one of them."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(found)) if rng.random() < 0.6 else rng.randrange(min(len(found), 160))
        kind = rng.randrange(6)
        if kind == 0:
            found[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            found[place] = rng.choice((0, 1, 127, 128, 255))
        elif kind == 2:
            found[place : place + 4] = rng.choice(
                (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", rng.randbytes(4))
            )
        elif kind == 3:
            found[place : place + rng.randint(1, 40)] = b""
        elif kind == 4:
            found[place:place] = rng.randbytes(rng.randint(1, 20))
        else:
            found = found[:place] if rng.random() < 0.5 else found + found[place:]
        if not found:
            found = bytearray(b"\0")
    return bytes(found)


def test_every_format_has_a_seed() -> None:
    assert {name.split()[0] for name in SEEDS} == set(FORMATS)


@pytest.mark.parametrize("kind", SEEDS)
def test_damaged_files_give_an_error_or_events(tmp_path: Path, kind: str) -> None:
    name, make = SEEDS[kind]
    content = make(tmp_path)
    path = tmp_path / name
    path.write_bytes(content)
    assert len(open_events(path, strict=False).read()) > 0, "the seed itself is read"
    rng = random.Random(kind)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = {"read": 0, "refused": 0}
    for _ in range(N // (30 * SLOW) if kind == "hdf5" else N):
        path.write_bytes(mutate(content, rng))
        try:
            file = open_events(path, strict=False)
            events = file.read()
        except DataError as error:
            assert str(path) in str(error) and len(str(error)) < 3000
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        assert events.dtype == EVENT and np.all(np.diff(events["t"]) >= 0) and np.all(events["p"] <= 1)
        if file.sensor_size is not None and len(events):
            assert events["x"].max() < file.sensor_size[0] and events["y"].max() < file.sensor_size[1]
        stats = EventStats()
        stats.add(events)
        assert stats.n_events == len(events) == stats.rate.sum()
        assert (file.n_malformed > 0) == bool(file.first_malformed)
    assert kind == "hdf5" or min(outcomes.values()) > (0 if kind != "atis" else -1), f"mutations reach both: {outcomes}"
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < LIMIT
