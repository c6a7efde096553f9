"""Formats of cameras: bytes written here from the published pages, and by the package faery where it is installed."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from camera_files import (
    AEDAT3_HEAD,
    DAT_HEAD,
    XML,
    Events,
    aedat2,
    aedat3_packet,
    aedat4_head,
    aedat4_packet,
    dat_bytes,
    evt2_words,
    evt3_words,
    raw_head,
    rows,
    some_events,
)

from neurosim.data.eventtype import EVENT
from neurosim.data.readers import open_events
from neurosim.errors import DataError


def write(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def check(path: Path, events: Events, format: str, size: tuple[int, int] | None) -> None:
    file = open_events(path)
    assert (file.format, file.sensor_size) == (format, size)
    np.testing.assert_array_equal(file.read(), events)
    assert file.n_malformed == 0


# AEDAT 2.0


def test_aedat_2_of_a_dvs128(tmp_path: Path) -> None:
    events = some_events(40_000, 128, 128, 9_000_000)
    check(write(tmp_path / "a.aedat", aedat2(events, None, False)), events, "aedat2", (128, 128))
    check(
        write(tmp_path / "b.aedat", aedat2(events[:9], "ch.unizh.ini.jaer.chip.retina.DVS128", False)),
        events[:9],
        "aedat2",
        (128, 128),
    )
    special = write(tmp_path / "c.aedat", aedat2(events[:9], None, False), struct.pack(">II", 1 << 15, 5))
    assert len(open_events(special).read()) == 9, "an event of the synchronising pin is none of a pixel"
    strange = write(tmp_path / "d.aedat", aedat2(events[:9], None, False), struct.pack(">II", 1 << 20, 5))
    with pytest.raises(DataError, match="number 9 is malformed, no address of a DVS128"):
        open_events(strange).read()


def test_aedat_2_of_a_davis(tmp_path: Path) -> None:
    events = some_events(9000, 240, 180, 9_000_000)
    content = aedat2(events, "eu.seebetter.ini.chips.davis.DAVIS240C", True)
    content += struct.pack(">IIII", 1 << 31 | 77, 3, 1 << 10 | 77, 3)  # a sample of a frame, and of the pin
    check(write(tmp_path / "a.aedat", content), events, "aedat2", (240, 180))
    with pytest.raises(DataError, match="of a sensor 'cochleaams1c'; addresses of dvs128, davis128"):
        open_events(
            write(tmp_path / "b.aedat", aedat2(events[:1], "ch.unizh.ini.jaer.chip.cochlea.CochleaAMS1c", True))
        )


def test_a_clock_of_32_bits_wraps(tmp_path: Path) -> None:
    events = some_events(5000, 128, 128, 1 << 33)
    check(write(tmp_path / "a.aedat", aedat2(events, None, False)), events, "aedat2", (128, 128))


# AEDAT 3.1


def test_aedat_3_reads_the_valid_events_of_pixels(tmp_path: Path) -> None:
    events = some_events(70_000, 128, 128, 9_000_000)
    other = struct.pack("<hhiiiiii", 0, 1, 8, 4, 0, 2, 2, 2) + bytes(16)
    parts = [aedat3_packet(events[:1000]), other, aedat3_packet(events[900:950], valid=0), aedat3_packet(events[1000:])]
    check(write(tmp_path / "a.aedat", AEDAT3_HEAD, *parts), events, "aedat3", (128, 128))


def test_aedat_3_counts_how_often_the_clock_wrapped(tmp_path: Path) -> None:
    events = some_events(2000, 128, 128, 1 << 33)
    parts = [aedat3_packet(events[events["t"] >> 31 == turn], turn) for turn in range(4)]
    check(write(tmp_path / "a.aedat", AEDAT3_HEAD, *parts), events, "aedat3", (128, 128))


def test_aedat_3_tells_what_is_damaged(tmp_path: Path) -> None:
    events = some_events(100, 128, 128, 1000)
    whole = aedat3_packet(events)
    cases = [
        ([whole, aedat3_packet(events, kind=77)], "number 100 is malformed, a packet of unknown kind", 100),
        ([whole[:-4]], "number 99 is malformed, cut short", 99),
        ([whole, whole[:20]], "number 100 is malformed, cut short", 100),
        ([whole, struct.pack("<hhiiiiii", 1, 1, -8, 4, 0, 1, 1, 1)], "number 100 is malformed, behind a damaged head", 100),
        ([whole, struct.pack("<hhiiiiii", 2, 1, 1 << 30, 4, 0, 9, 9, 9)], "number 100 is malformed, cut short", 100),
    ]  # fmt: skip
    for parts, text, n_good in cases:
        path = write(tmp_path / "a.aedat", AEDAT3_HEAD, *parts)
        with pytest.raises(DataError, match=text):
            open_events(path).read()
        file = open_events(path, strict=False)
        assert (len(file.read()), file.n_malformed) == (n_good, 1)
    with pytest.raises(DataError, match="of format 'SerializedTS', 'RAW' is read"):
        open_events(write(tmp_path / "b.aedat", AEDAT3_HEAD.replace(b"RAW", b"SerializedTS")))
    with pytest.raises(DataError, match="of version 'AER-DAT3.0'; 3.1"):
        open_events(write(tmp_path / "c.aedat", AEDAT3_HEAD.replace(b"T3.1", b"T3.0")))


# AEDAT 4


def test_aedat_4_reads_the_events_of_one_stream(tmp_path: Path) -> None:
    events = some_events(5000, 346, 260, 1 << 40)
    parts = [aedat4_packet(events[:4000]), struct.pack("<iI", 0, 12) + bytes(12), aedat4_packet(events[4000:])]
    check(write(tmp_path / "a.aedat4", aedat4_head(), *parts), events, "aedat4", (346, 260))
    size = len(b"".join([aedat4_head(last=1), *parts]))
    check(
        write(tmp_path / "b.aedat4", aedat4_head(last=size), *parts, b"a table of packets"),
        events,
        "aedat4",
        (346, 260),
    )


@pytest.mark.parametrize("method", ["lz4", "zstd"])
def test_packets_of_aedat_4_are_compressed(tmp_path: Path, method: str) -> None:
    if method == "lz4":
        pack, code = pytest.importorskip("lz4.frame", reason="the extra 'events' is not installed").compress, 1
    else:
        zstandard = pytest.importorskip("zstandard", reason="the extra 'events' is not installed")
        pack, code = zstandard.ZstdCompressor().compress, 3
    events = some_events(5000, 346, 260, 1 << 40)
    parts = [aedat4_packet(events[:4000], pack=pack), aedat4_packet(events[4000:], pack=pack)]
    check(write(tmp_path / "a.aedat4", aedat4_head(method=code), *parts), events, "aedat4", (346, 260))
    broken = bytearray(b"".join(parts))
    broken[8:200] = bytes(192)
    file = open_events(write(tmp_path / "b.aedat4", aedat4_head(method=code), broken), strict=False)
    np.testing.assert_array_equal(file.read(), events[4000:])
    assert file.n_malformed == 1 and "a damaged packet" in file.first_malformed
    bomb = pack(bytes((1 << 27) + 1))
    file = open_events(
        write(tmp_path / "c.aedat4", aedat4_head(method=code), struct.pack("<iI", 3, len(bomb)), bomb, parts[0]),
        strict=False,
    )
    assert len(file.read()) == 4000 and "holds more than 134217728 bytes" in file.first_malformed


def test_a_missing_decompressor_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosim.data.formats.decompress.find_spec", lambda name: None)
    path = write(tmp_path / "a.aedat4", aedat4_head(method=2))
    with pytest.raises(
        DataError,
        match=r"compressed with lz4, which needs the package 'lz4'; install it with: pip install 'neurosim-hal\[events\]'",
    ):
        open_events(path)


def test_aedat_4_tells_what_is_damaged(tmp_path: Path) -> None:
    events = some_events(50, 346, 260, 1000)
    whole = aedat4_packet(events)
    moved = bytearray(aedat4_packet(events))
    moved[-16 * 50 - 4 : -16 * 50] = struct.pack("<I", 51)  # one more event than there is
    for parts, text in (
        ([whole, whole[:30]], "number 50 is malformed, cut short"),
        ([whole, whole[:5]], "number 50 is malformed, cut short"),
        ([whole, bytes(moved)], "number 50 is malformed, a damaged packet .a vector of 51 items does not fit"),
        ([whole, whole.replace(b"EVTS", b"FRME")], "number 50 is malformed, a damaged packet .is marked b'FRME'"),
    ):
        path = write(tmp_path / "a.aedat4", aedat4_head(), *parts)
        with pytest.raises(DataError, match=text):
            open_events(path).read()
        file = open_events(path, strict=False)
        assert (len(file.read()), file.n_malformed) == (50, 1)
    for content, text in (
        (aedat4_head(XML.replace("EVTS", "IMUS")), "names no stream of events"),
        (aedat4_head(method=9), "compressed in a way 9 that is not known"),
        (aedat4_head()[:60], "header of .* bytes is too long or cut short"),
        (aedat4_head().replace(b"IOHE", b"IOHO"), "its header is damaged"),
    ):
        with pytest.raises(DataError, match=text):
            open_events(write(tmp_path / "b.aedat4", content))


# Prophesee


def test_decoded_events_of_prophesee(tmp_path: Path) -> None:
    events = some_events(40_000, 640, 480, 1 << 33)
    check(write(tmp_path / "a.dat", DAT_HEAD, b"\x0c\x08", dat_bytes(events)), events, "dat", (640, 480))
    check(write(tmp_path / "b.dat", b"% Version 2\n\x00\x08", dat_bytes(events)), events, "dat", None)
    with pytest.raises(DataError, match=r"number 40000 is malformed, cut short"):
        open_events(write(tmp_path / "c.dat", DAT_HEAD, b"\x0c\x08", dat_bytes(events), b"abc")).read()
    with pytest.raises(DataError, match="events of type 14 of 8 bytes"):
        open_events(write(tmp_path / "d.dat", DAT_HEAD, b"\x0e\x08", dat_bytes(events)))
    with pytest.raises(DataError, match="has version '1'"):
        open_events(write(tmp_path / "e.dat", DAT_HEAD.replace(b"Version 2", b"Version 1"), b"\x0c\x08"))
    with pytest.raises(DataError, match="header does not end"):
        open_events(write(tmp_path / "f.dat", DAT_HEAD, b"% " + b"a" * (1 << 20) + b"\n\x0c\x08"))


def test_evt_2(tmp_path: Path) -> None:
    events = some_events(20_000, 640, 480, 1 << 35)
    words = evt2_words(events).astype("<u4").tobytes()
    check(write(tmp_path / "a.raw", raw_head("evt 2.0", "geometry 640x480"), words), events, "evt", (640, 480))
    check(write(tmp_path / "b.raw", raw_head("format EVT2;height=480;width=640"), words), events, "evt", (640, 480))
    early = np.array([1 << 28 | 5 << 11], "<u4").tobytes()
    check(write(tmp_path / "c.raw", raw_head("evt 2.0"), early, words), events, "evt", None)
    other = np.array([10 << 28, 14 << 28, 15 << 28], "<u4").tobytes()  # no events of pixels
    check(write(tmp_path / "d.raw", raw_head("evt 2.0"), other, words, other), events, "evt", None)
    bad = write(tmp_path / "e.raw", raw_head("evt 2.0"), words, np.array([7 << 28], "<u4").tobytes(), b"ab")
    with pytest.raises(DataError, match="number 20000 is malformed, a word of unknown kind"):
        open_events(bad).read()
    file = open_events(bad, strict=False)
    np.testing.assert_array_equal(file.read(), events)
    assert file.malformed == {"a word of unknown kind": 1, "cut short at the end of the file": 1}


@pytest.mark.parametrize(("line", "swapped"), [("evt 2.1", False), ("format EVT21;endianness=legacy", True),
                                               ("evt 2.1\n% plugin_name hal_plugin_imx636_evk4", True)])  # fmt: skip
def test_evt_2_1_groups_pixels_of_a_row(tmp_path: Path, line: str, swapped: bool) -> None:
    rng = np.random.default_rng(4)
    words, expected, high = [], [], None
    for t in np.sort(rng.integers(0, 1 << 22, 4000)).tolist():
        if t >> 6 != high:
            high = t >> 6
            words.append(8 << 60 | high << 32)
        x, y, p, mask = (
            int(rng.integers(0, 1248)),
            int(rng.integers(0, 720)),
            int(rng.integers(0, 2)),
            int(rng.integers(1, 1 << 32)),
        )
        words.append(p << 60 | (t & 63) << 54 | x << 43 | y << 32 | mask)
        expected += [(t, x + bit, y, p) for bit in range(32) if mask >> bit & 1]
    content = np.array(words, np.uint64)
    content = content << np.uint64(32) | content >> np.uint64(32) if swapped else content
    path = write(tmp_path / "a.raw", raw_head(line, "geometry 1280x720"), content.astype("<u8").tobytes())
    check(path, np.array(expected, EVENT), "evt", (1280, 720))


def test_evt_3_keeps_its_state_between_words_and_blocks(tmp_path: Path) -> None:
    words, found = evt3_words(some_events(60_000, 1200, 720, 60_000_000))
    assert len(words) > 1 << 17, "more than a block"
    content = np.array(words, "<u2").tobytes()
    check(
        write(tmp_path / "a.raw", raw_head("evt 3.0", "geometry 1280x720"), content),
        np.array(found, EVENT),
        "evt",
        (1280, 720),
    )


def test_evt_3_tells_what_is_damaged(tmp_path: Path) -> None:
    def read(*words: int, tail: bytes = b"") -> tuple[list[tuple[int, int, int, int]], dict[str, int]]:
        path = write(
            tmp_path / "a.raw", raw_head("format EVT3;height=720;width=1280"), np.array(words, "<u2").tobytes(), tail
        )
        file = open_events(path, strict=False)
        return rows(file.read()), file.malformed

    event = 2 << 12 | 1 << 11 | 7
    unknown = "a word of unknown kind, or an event before the first row"
    assert read(event, 0x8001, 0x6002, 5, event) == ([(0x1002, 7, 5, 1)], {}), (
        "before the first time nothing is an event"
    )
    assert read(0x8001, 0x6002, event, 5, event) == ([(0x1002, 7, 5, 1)], {unknown: 1})
    assert read(0x8001, 0x6002, 5, 0x1000, event) == ([(0x1002, 7, 5, 1)], {unknown: 1})
    assert read(0x8001, 0x6002, 5, event, tail=b"a") == ([(0x1002, 7, 5, 1)], {"cut short at the end of the file": 1})
    assert read(0x8001, 0x6002, 5, event, 0x8002, event, 0x8002, 0x6001, 0x8002, event)[0] == [
        (0x1002, 7, 5, 1), (0x2000, 7, 5, 1), (0x2001, 7, 5, 1)
    ]  # fmt: skip
    assert read(0x8001, 0x6002, 800, event) == ([], {"outside the sensor": 1})


def test_other_encodings_are_refused_by_name(tmp_path: Path) -> None:
    for line, text in (
        ("format HISTO3D;height=320", "'HISTO3D;height=320'"),
        ("evt 4.0", "'4.0'"),
        ("date today", "'nothing of it'"),
    ):
        with pytest.raises(DataError, match=f"its encoding is {text}; EVT 2.0, 2.1 and 3.0 are read"):
            open_events(write(tmp_path / "a.raw", raw_head(line)))
    with pytest.raises(DataError, match="big-endian"):
        open_events(write(tmp_path / "a.raw", raw_head("evt 3.0", "endianness big")))


FAERY = importlib.util.find_spec("faery") is not None


@pytest.mark.skipif(not FAERY, reason="the package faery, another writer of these formats, is not installed")
@pytest.mark.parametrize(("name", "options"), [
    ("lz4.aedat4", {}), ("zstd.aedat4", {"compression": ("zstd", 3)}), ("plain.aedat4", {"compression": None}),
    ("a.dat", {"version": "dat2", "zero_t0": False}), ("2.raw", {"version": "evt2", "zero_t0": False}),
    ("3.raw", {"version": "evt3", "zero_t0": False}), ("a.csv", {}),
])  # fmt: skip
def test_what_another_package_wrote_is_read(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    import faery

    events = some_events(50_000, 346, 260, 40_000_000)
    theirs = np.zeros(len(events), faery.EVENTS_DTYPE)
    for field, other in zip("txyp", ("t", "x", "y", "on"), strict=True):
        theirs[other] = events[field]
    faery.events_stream_from_array(theirs, (346, 260)).to_file(tmp_path / name, **options)
    file = open_events(tmp_path / name)
    assert file.sensor_size == (346, 260)
    np.testing.assert_array_equal(file.read(), events)
