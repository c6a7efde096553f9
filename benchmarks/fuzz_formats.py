"""Every format that neurosim reads: whole files to begin with, how they are damaged, and what reads them."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import os
import shutil
import struct
import sys
import wave
import zipfile
import zlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.fuzz_hdf5 import damaged_hdf5, nir_seeds, read_with_one_child, shd_seeds, small_files
from benchmarks.fuzz_models import (
    checkpoint_seeds,
    damaged_container,
    model_seeds,
    read_model_file,
    run_network,
)
from benchmarks.fuzz_mutations import Random, damaged, recompressed, rezipped

ROOT = Path(__file__).resolve().parent.parent


class Unavailable(Exception):
    """A format that this checkout does not read, or that has no file to begin with."""


class Format(NamedTuple):
    """A format.

    Attributes
    ----------
    name : str
    file : str
        What a file is called.
    seeds : callable
        Whole files to begin with.
    read : callable
        Reads a file and uses what it holds; the answer is compared with that of the whole files.
    damage : callable
        Damages a file, given all of them, at random.
    """

    name: str
    file: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], Any]
    damage: Callable[[bytes, Sequence[bytes], Random], bytes] = damaged


def real(folder: str, pattern: str) -> list[bytes]:
    """Return small real files, where they are."""
    root = os.environ.get("NEUROSIM_DATA")
    return small_files(Path(root) / folder if root else None, pattern)


def need(module: str) -> None:
    """Refuse a format whose reader is not there."""
    try:
        there = find_spec(module) is not None
    except ModuleNotFoundError:
        there = False
    if not there:
        raise Unavailable(f"there is no {module}")


# --- spikes and events


def events_of(n: int = 300, size: int = 34) -> dict[str, np.ndarray]:
    """Return events in order of time."""
    rng = np.random.default_rng(11)
    return {"t": np.sort(rng.integers(0, 100_000, n)), "x": rng.integers(0, size, n), "y": rng.integers(0, size, n),
            "p": rng.integers(0, 2, n)}  # fmt: skip


def nmnist_bytes() -> bytes:
    """Return events as N-MNIST stores them."""
    e = events_of()
    words = [
        bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255])
        for t, x, y, p in zip(*(e[k].tolist() for k in "txyp"), strict=True)
    ]
    return b"".join(words)


def spike_files() -> list[bytes]:
    """Return .npz files for --input."""
    rng = np.random.default_rng(5)
    dense = rng.random((2, 6, 9)) < 0.3
    found = []
    for save, array in (
        (np.savez, dense),
        (np.savez_compressed, dense.astype(np.int64) * 3),
        (np.savez, np.asfortranarray(dense * 1.0)),
    ):
        buffer = io.BytesIO()
        save(buffer, spikes=array, labels=np.arange(2))
        found.append(buffer.getvalue())
    return found


def read_spike_file(path: Path) -> Any:
    """Read input spikes, and check that backends would take them."""
    from neurosim.commands.eventfile import load_events
    from neurosim.events import check_events

    events = load_events(path)
    return check_events(events, events.n_inputs)


def read_labelled(path: Path) -> Any:
    """Read spikes with their labels."""
    need("neurosim.data.labelled")
    from neurosim.data.labelled import load_labelled

    found = load_labelled(str(path), (9,), dt=1e-3, count="sum")
    return [found.events, found.labels]


def event_arrays() -> list[bytes]:
    """Return .npz files with events."""
    e = events_of()
    structured = np.zeros(300, [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "?")])
    for key, value in e.items():
        structured[key] = value
    found = []
    for save, arrays in ((np.savez, e), (np.savez_compressed, {"events": structured, "label": np.array(3)})):
        buffer = io.BytesIO()
        save(buffer, **arrays)
        found.append(buffer.getvalue())
    return found


def event_npy() -> list[bytes]:
    """Return the structured array alone."""
    with zipfile.ZipFile(io.BytesIO(event_arrays()[1])) as archive:
        return [archive.read("events.npy")]


def event_tables() -> list[bytes]:
    """Return tables of events as text."""
    e = events_of(100)
    rows = list(zip(*(e[k].tolist() for k in "txyp"), strict=True))
    comma = "t,x,y,p\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n"
    spaces = "\n".join(" ".join(map(str, row)) for row in rows) + "\n"
    return [comma.encode(), spaces.encode()]


def open_with(form: str) -> Callable[[Path], Any]:
    """Return what reads an event file, strictly and leniently."""

    def read(path: Path) -> Any:
        need("neurosim.data.readers")
        from neurosim.data.readers import FORMATS, open_events
        from neurosim.errors import DataError

        if form not in FORMATS:
            raise Unavailable(f"open_events does not read {form}")
        lenient = open_events(path, strict=False)
        events = lenient.read(1 << 22)
        assert len(events) == 0 or bool((events["t"][1:] >= events["t"][:-1]).all()), "times go back"
        if lenient.n_malformed == 0:
            return [np.array(events), open_events(path).read(1 << 22), lenient.sensor_size]
        try:
            open_events(path).read(1 << 22)
        except DataError:
            return [np.array(events), lenient.n_malformed, lenient.sensor_size]
        raise AssertionError(f"{lenient.n_malformed} malformed events were left out, and strict reading says nothing")

    return read


def aedat2_seeds() -> list[bytes]:
    """Return events of a DVS128 in AEDAT 2: a head of comments, then pairs of big-endian words."""
    e = events_of()
    head = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"
    words = [
        struct.pack(">II", y << 8 | x << 1 | p, t) for t, x, y, p in zip(*(e[k].tolist() for k in "txyp"), strict=True)
    ]
    return [head + b"".join(words), *real("aedat", "*.aedat")]


def aedat3_seeds() -> list[bytes]:
    """Return events in AEDAT 3.1: a head of comments, then a packet of polarity events."""
    e = events_of(100)
    head = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2020-01-01 00:00:00 (TZ+0000)\r\n#!END-HEADER\r\n"
    body = b"".join(
        struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t)
        for t, x, y, p in zip(*(e[k].tolist() for k in "txyp"), strict=True)
    )
    packet = struct.pack("<HHIIIIII", 1, 1, 8, 4, 0, 100, 100, 100) + body
    return [head + packet]


def dat_seeds() -> list[bytes]:
    """Return events in Prophesee's DAT 2: a head of comments, type and size, then pairs of words."""
    e = events_of()
    words = [
        struct.pack("<II", t, p << 28 | y << 14 | x)
        for t, x, y, p in zip(*(e[k].tolist() for k in "txyp"), strict=True)
    ]
    head = b"% Data file containing CD events.\n% Version 2\n% Width 34\n% Height 34\n"
    return [head + bytes([12, 8]) + b"".join(words)]


def evt2_seeds() -> list[bytes]:
    """Return events in Prophesee's EVT 2: a head of comments, then words of 32 bits."""
    e = events_of()
    words, high = [], -1
    for t, x, y, p in zip(*(e[k].tolist() for k in "txyp"), strict=True):
        if t >> 6 != high:
            high = t >> 6
            words.append(struct.pack("<I", 8 << 28 | high))
        words.append(struct.pack("<I", p << 28 | (t & 63) << 22 | x << 11 | y))
    return [
        b"% camera_integrator_name Prophesee\n% evt 2.0\n% format EVT2;height=34;width=34\n% end\n" + b"".join(words)
    ]


def evt3_seeds() -> list[bytes]:
    """Return events in Prophesee's EVT 3: words of 16 bits."""
    e = events_of()
    words, high, row = [], -1, -1
    for t, x, y, p in zip(*(e[k].tolist() for k in "txyp"), strict=True):
        if t >> 12 != high:
            high = t >> 12
            words.append(8 << 12 | high & 4095)
        words.append(6 << 12 | t & 4095)
        if y != row:
            row = y
            words.append(0 << 12 | y)
        words.append(2 << 12 | p << 11 | x)
    return [b"% evt 3.0\n% format EVT3;height=34;width=34\n% end\n" + np.array(words, "<u2").tobytes()]


def aedat4_seeds() -> list[bytes]:
    """Return events in AEDAT 4, as the tests of its reader make them."""
    sys.path.append(str(ROOT / "tests"))
    try:
        camera = importlib.import_module("camera_files")
    except ImportError:
        raise Unavailable("there is no tests/camera_files.py, which makes the files") from None
    events = camera.some_events(200, 34, 34, 90_000)
    return [
        camera.aedat4_head() + camera.aedat4_packet(events),
        camera.aedat4_head() + camera.aedat4_packet(events[:50]) * 2,
    ]


# --- data sets


def wav_seeds() -> list[bytes]:
    """Return short recordings."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((np.sin(np.arange(1500) / 5) * 9000).astype("<i2").tobytes())
    return [buffer.getvalue(), *real("fsdd", "recordings/0_george_1?.wav")[:3]]


def read_wav_file(path: Path) -> Any:
    """Read a recording and let the cochlea hear it."""
    from neurosim.data.cochlea import cochlea_events
    from neurosim.data.fsdd import parse_wav

    samples = parse_wav(path.read_bytes(), str(path))
    return [samples, cochlea_events([samples], 16)]


def idx_seeds() -> list[bytes]:
    """Return images and labels, packed and not."""
    rng = np.random.default_rng(2)
    images = struct.pack(">4I", 2051, 3, 28, 28) + rng.integers(0, 256, 3 * 28 * 28).astype(np.uint8).tobytes()
    return [images, struct.pack(">2I", 2049, 9) + bytes(range(9))]


def read_idx_file(path: Path) -> Any:
    """Read images or labels."""
    from neurosim.data.mnist import read_idx
    from neurosim.errors import DataError

    try:
        return read_idx(path, "images")
    except DataError as error:
        if "magic number 2049" not in str(error):
            raise
        return read_idx(path, "labels")


def mat_seeds() -> list[bytes]:
    """Return MATLAB files, compressed and not."""
    rng = np.random.default_rng(4)
    x = (rng.random((2, 40, 4)) < 0.2).astype(np.int8)
    x[:, -1] = -1
    y = np.zeros((2, 40, 6), np.uint8)
    y[:, np.arange(40), np.arange(40) % 6] = 1
    arrays = {"x": x, "y": y, "max_i": np.full((2, 1), 40, np.uint16)}
    return [_matfile(arrays, False), _matfile(arrays, True)]


def _element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def _matfile(arrays: dict[str, np.ndarray], compressed: bool) -> bytes:
    kinds = {"int8": (8, 1), "uint8": (9, 2), "uint16": (11, 4)}
    parts = [b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"]
    for name, array in arrays.items():
        kind, storage = kinds[array.dtype.name]
        body = _element(6, struct.pack("<II", kind, 0)) + _element(5, np.array(array.shape, "<i4").tobytes())
        body += _element(1, name.encode()) + _element(storage, array.tobytes(order="F"))
        whole = _element(14, body)
        packed = zlib.compress(whole)
        parts.append(struct.pack("<II", 15, len(packed)) + packed if compressed else whole)
    return b"".join(parts)


def damaged_mat(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Damage a file, or what is compressed in it."""
    if random.random() < 0.5 or content[128:132] != struct.pack("<I", 15):
        return damaged(content, others, random)
    (n,) = struct.unpack_from("<I", content, 132)
    inner = damaged(zlib.decompress(content[136 : 136 + n]), others, random)
    if random.random() < 0.002:
        inner += bytes(1 << 28)
    packed = zlib.compress(inner)
    return content[:128] + struct.pack("<II", 15, len(packed)) + packed + content[136 + n :]


def read_mat_file(path: Path) -> Any:
    """Read coded heartbeats."""
    from neurosim.data.ecg import parse_sequences, tapped_events, window_ends

    spikes, labels = parse_sequences(path.read_bytes(), str(path))
    return [spikes, labels, tapped_events(spikes, window_ends(labels, 8, 16)[:100], 8)]


def emg_seeds() -> list[bytes]:
    """Return readings of an armband."""
    rng = np.random.default_rng(6)
    rows = rng.integers(-128, 128, (40, 8))
    return ["\n".join(",".join(map(str, [*row, i // 20])) for i, row in enumerate(rows.tolist())).encode()]


def read_emg_file(path: Path) -> Any:
    """Read readings and cut them into windows."""
    from neurosim.data.emg import parse_readings, windows

    readings = parse_readings(path.read_bytes(), str(path))
    return [readings, windows(readings, 5, 2)]


def read_listing(path: Path) -> Any:
    """Read labels.csv of a folder of recordings."""
    from neurosim.data.nmnist import list_recordings

    files, labels, is_test = list_recordings(path.parent)
    return [[file.name for file in files], labels, is_test]


def yinyang_seeds() -> list[bytes]:
    """Return arrays of points."""
    found = []
    for array in (np.random.default_rng(8).random((20, 4)), np.arange(20) % 3):
        buffer = io.BytesIO()
        np.save(buffer, array)
        found.append(buffer.getvalue())
    return found


def read_points(path: Path) -> Any:
    """Read an array of a data set."""
    from neurosim.data.yinyang import _read_npy

    return _read_npy(path)


# --- descriptions


def tomls(folder: str) -> Callable[[], list[bytes]]:
    """Return the files of that kind that ship with neurosim."""
    return lambda: [path.read_bytes() for path in sorted((ROOT / "neurosim" / "data" / folder).glob("*.toml"))]


def read_chip(path: Path) -> Any:
    """Read a chip, and map a small network onto it."""
    from neurosim.chip import load_chip
    from neurosim.network import LIF, Dense, Input, Network

    chip = load_chip(path)
    network = Network([Input("in", 4), LIF("out", 3, du=4095)], [Dense("in", "out", [[2, 4, 6, 8]] * 3)])
    if chip.n_cores > 4096 or chip.n_tiles > 4096:
        return chip
    return [chip, run_network(network, chip)]


def read_energy(path: Path) -> Any:
    """Read prices."""
    from neurosim.energytable import load_energy_table

    return load_energy_table(path)


def read_times(path: Path) -> Any:
    """Read times."""
    from neurosim.costs.timetable import load_time_table

    return load_time_table(path)


def read_config(path: Path) -> Any:
    """Read a configuration."""
    from neurosim.config import load_config

    return load_config(path).to_dict()


def read_suite(path: Path) -> Any:
    """Read a suite of benchmarks."""
    from neurosim.studies.benchconfig import load_suite

    return load_suite(path).to_dict()


def config_seeds() -> list[bytes]:
    """Return the example, and a short one."""
    from neurosim.config import example_toml

    return [example_toml().encode(), b'task = "digits"\nseed = 3\n[network]\nhidden = [16, 8]\n[rule]\npairs = 2\n']


def suite_seeds() -> list[bytes]:
    """Return the example, and a short one."""
    from neurosim.studies.benchconfig import example_suite

    return [example_suite().encode(), b'networks = ["8"]\nchips = ["loihi1"]\ndrives = [0, 100]\n']


def read_metrics(path: Path) -> Any:
    """Read the measurements of a run."""
    from neurosim.runfolder import RunFolder

    return RunFolder(path.parent).read_metrics()


# --- models of other frameworks


def read_checkpoint(path: Path) -> Any:
    """Read the container of a checkpoint."""
    from neurosim.arrayfile import unpack_arrays

    return unpack_arrays(path.read_bytes(), path)


def import_with(form: str) -> Callable[[Path], Any]:
    """Return what reads a model of another framework and runs it."""
    modules = {
        "nir": "neurosim.exchange.nirfile",
        "lava-dl": "neurosim.exchange.lavadl",
        "slayer": "neurosim.exchange.slayer",
    }

    def read(path: Path) -> Any:
        need(modules[form])
        from neurosim.exchange.formats import Reading, read_model
        from neurosim.quantize import quantize

        reading = Reading(dt=1e-4, spike="unit") if form == "nir" else Reading()
        imported = read_model(path, reading, form)
        if imported.network.n_neurons > 1 << 16:
            return "large"
        return [run_network(quantize(imported.network).network, "unlimited")]

    return read


def nets() -> list[bytes]:
    """Return networks of lava-dl: real ones, where they are."""
    found = [*real("lava-models", "*.net"), *real("loihi-nets", "*.net")]
    if not found:
        raise Unavailable("no .net file to begin with; set NEUROSIM_DATA")
    return found


def slayer_folders() -> list[bytes]:
    """Return folders of SLAYER's weights, zipped: real ones, where they are."""
    root = os.environ.get("NEUROSIM_DATA")
    found = []
    for folder in (
        sorted((Path(root) / "slayer-loihi").iterdir()) if root and (Path(root) / "slayer-loihi").is_dir() else []
    ):
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.is_dir() else []
        if files and sum(path.stat().st_size for path in files) < 1 << 23:
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                for path in files:
                    archive.writestr(str(path.relative_to(folder)), path.read_bytes())
            found.append(buffer.getvalue())
    if not found:
        raise Unavailable("no folder of SLAYER's weights to begin with; set NEUROSIM_DATA")
    return found


def damaged_folder(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Damage or lose one file of a folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    chosen = sorted(files)[int(random.integers(len(files)))]
    if random.random() < 0.1:
        del files[chosen]
    else:
        files[chosen] = damaged(files[chosen], list(files.values()), random)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def read_slayer_folder(path: Path) -> Any:
    """Unpack a folder and import it."""
    folder = path.parent / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return import_with("slayer")(folder)


def hdf5_seeds(seeds: Callable[[], list[bytes]]) -> Callable[[], list[bytes]]:
    """Return seeds of a format that is read through HDF5, and read them all with one child."""

    def made() -> list[bytes]:
        read_with_one_child(("neurosim.data.readers", "neurosim.exchange.nirfile", "neurosim.exchange.lavadl"))
        return seeds()

    return made


def mostly(
    special: Callable[[bytes, Sequence[bytes], Random], bytes],
) -> Callable[[bytes, Sequence[bytes], Random], bytes]:
    """Return damage of which half is of a special kind."""

    def damage(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
        return special(content, others, random) if random.random() < 0.5 else damaged(content, others, random)

    return damage


#: All formats, by name.
FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format("model", "model.npz", model_seeds, read_model_file, damaged_container),
        Format("checkpoint", "gen-000007.npz", checkpoint_seeds, read_checkpoint, damaged_container),
        Format("spikes", "spikes.npz", spike_files, read_spike_file, mostly(rezipped)),
        Format("labelled", "labelled.npz", spike_files, read_labelled, mostly(rezipped)),
        Format("nir", "model.nir", hdf5_seeds(lambda: [*nir_seeds(), *real("nir-models", "*.nir")]), import_with("nir"), damaged_hdf5),
        Format("net", "network.net", hdf5_seeds(nets), import_with("lava-dl"), damaged_hdf5),
        Format("slayer", "folder.zip", slayer_folders, read_slayer_folder, damaged_folder),
        Format("nmnist", "00001.bin", lambda: [nmnist_bytes(), *real("nmnist", "*.bin")[:5]], open_with("atis")),
        Format("events-npz", "events.npz", event_arrays, open_with("npz"), mostly(rezipped)),
        Format("events-npy", "events.npy", event_npy, open_with("npy")),
        Format("events-text", "events.csv", event_tables, open_with("text")),
        Format("aedat2", "events.aedat", aedat2_seeds, open_with("aedat2")),
        Format("aedat3", "events.aedat", aedat3_seeds, open_with("aedat3")),
        Format("aedat4", "events.aedat4", aedat4_seeds, open_with("aedat4")),
        Format("dat", "events.dat", dat_seeds, open_with("dat")),
        Format("evt2", "events.raw", evt2_seeds, open_with("evt")),
        Format("evt3", "events.raw", evt3_seeds, open_with("evt")),
        Format("shd", "shd.h5", hdf5_seeds(shd_seeds), open_with("hdf5"), damaged_hdf5),
        Format("wav", "0_a_0.wav", wav_seeds, read_wav_file),
        Format("idx", "images", idx_seeds, read_idx_file),
        Format("idx-gz", "images.gz", lambda: [gzip.compress(each, mtime=0) for each in idx_seeds()], read_idx_file, mostly(recompressed)),
        Format("mat", "QTDB_train.mat", mat_seeds, read_mat_file, damaged_mat),
        Format("emg", "0.txt", emg_seeds, read_emg_file),
        Format("listing", "labels.csv", lambda: [b"file,label\nevents/1.bin,3\nevents/2.bin,7\n"], read_listing),
        Format("points", "x.npy", yinyang_seeds, read_points),
        Format("chip", "chip.toml", tomls("chips"), read_chip),
        Format("energy", "energy.toml", tomls("energy"), read_energy),
        Format("times", "times.toml", tomls("time"), read_times),
        Format("config", "config.toml", config_seeds, read_config),
        Format("suite", "suite.toml", suite_seeds, read_suite),
        Format("metrics", "metrics.json", lambda: [json.dumps({"accuracy": 0.5, "history": [1, 2, {"a": None}]}).encode()], read_metrics),
    )
}  # fmt: skip
