"""Small data sets in the formats of the real ones, written by the tests that need them."""

from __future__ import annotations

import gzip
import struct
import wave
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.data.folder import DataSet, find_data
from neurosim.errors import DataError

N_MNIST = 1010  # the simulated camera takes what comes after the first 1,000
N_RECORDINGS = 520  # five test sets of 100 need 500


def real_folder(data_set: DataSet) -> Path:
    """Return the folder of the real data, or skip the test with the reason."""
    try:
        return find_data(data_set)
    except DataError as error:
        pytest.skip(str(error))


def idx_bytes(array: npt.NDArray[np.uint8], magic: int) -> bytes:
    """Return an idx file: magic number and shape in big-endian words, then the bytes."""
    return np.array([magic, *array.shape], ">u4").tobytes() + array.tobytes()


def write_mnist(folder: Path, n_train: int = N_MNIST, n_test: int = 20) -> None:
    """Write bars: digit d is a row of ink at height 3 + 2 d; the training images are compressed."""
    folder.mkdir(parents=True)
    for part, n in (("train", n_train), ("t10k", n_test)):
        labels = (np.arange(n) % 10).astype(np.uint8)
        images = np.zeros((n, 28, 28), np.uint8)
        images[np.arange(n), 3 + 2 * labels, 5:20] = 255
        images[:, 14, 14] = 128
        packed = gzip.compress(idx_bytes(images, 2051))
        if part == "train":
            (folder / "train-images-idx3-ubyte.gz").write_bytes(packed)
        else:
            (folder / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(images, 2051))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels, 2049))


def event_bytes(events: list[tuple[int, int, int, int]]) -> bytes:
    """Return events (x, y, polarity, time) as N-MNIST stores them."""
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for x, y, p, t in events)


def write_nmnist(folder: Path) -> None:
    """Write recordings of ten pairs of events each, in the place that belongs to the digit."""
    (folder / "events").mkdir(parents=True)
    lines = ["file,label"]
    for i in range(N_RECORDINGS):
        digit = i % 10
        events = [(3 * digit + k % 3, i % 34, k % 2, 30_000 * k + late) for k in range(10) for late in (0, 1)]
        (folder / f"events/{i + 1:05d}.bin").write_bytes(event_bytes(events))
        lines.append(f"events/{i + 1:05d}.bin,{digit}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def write_wav(path: Path, samples: npt.NDArray[np.int16], rate: int = 8000, channels: int = 1) -> None:
    """Write a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def write_fsdd(folder: Path, indices: range = range(5, 13)) -> None:
    """Write tones: digit d is a square wave with 2 (d + 2) samples per period."""
    (folder / "recordings").mkdir(parents=True)
    for digit in range(10):
        for index in indices:
            samples = 8000 * (1 - 2 * (np.arange(800 + 10 * index) // (digit + 2) % 2))
            write_wav(folder / f"recordings/{digit}_ann_{index}.wav", samples)


def write_emg(folder: Path) -> None:
    """Write square waves: gesture g moves channel g by 40; each gesture holds for 400 readings between rests."""
    for session in (1, 2):
        (folder / f"99999-{session}").mkdir(parents=True)
        for gesture in range(8):
            lines = []
            for n in range(1200):
                label = gesture if 400 <= n < 800 or gesture == 0 else 0
                values = [20 * (n // 3 % 2 * 2 - 1) if c == label else n % 2 for c in range(8)]
                lines.append(",".join(map(str, [*values, label])))
            (folder / f"99999-{session}/{gesture}.txt").write_text("\n".join(lines) + "\n")


def write_yinyang(folder: Path) -> None:
    """Write points on a line with their thirds as classes."""
    folder.mkdir(parents=True)
    for part, n in (("train", 30), ("validation", 12)):
        x = np.arange(n) / (n - 1)
        np.save(folder / f"{part}_samples.npy", np.stack([x, x / 2, 1 - x, 1 - x / 2], axis=1))
        np.save(folder / f"{part}_labels.npy", np.arange(n) * 3 // n)


MAT_TYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9}
MAT_CLASSES = {"i1": 8, "u1": 9, "i2": 10, "u2": 11, "i4": 12, "u4": 13, "f4": 7, "f8": 6}


def mat_element(kind: int, data: bytes) -> bytes:
    """Return an element of a MATLAB 5 file, in the short form where it fits."""
    if 0 < len(data) <= 4:
        return struct.pack("<I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def mat_bytes(variables: dict[str, npt.NDArray[Any]], compress: bool = True) -> bytes:
    """Return a MATLAB 5 file."""
    content = b"MATLAB 5.0 MAT-file, written by a test".ljust(124) + b"\x00\x01IM"
    for name, array in variables.items():
        kind = array.dtype.str[1:]
        body = mat_element(6, struct.pack("<II", MAT_CLASSES[kind], 0))
        body += mat_element(5, np.array(array.shape, "<i4").tobytes()) + mat_element(1, name.encode())
        body += mat_element(MAT_TYPES[kind], array.astype(f"<{kind}").tobytes(order="F"))
        whole = struct.pack("<II", 14, len(body)) + body
        packed = zlib.compress(whole)
        content += struct.pack("<II", 15, len(packed)) + packed if compress else whole
    return content


def ecg_variables(n: int = 40, length: int = 60) -> dict[str, npt.NDArray[Any]]:
    """Return bands of ten steps, one later in each sequence; line b % 4 fires in every second step of band b."""
    band = (np.arange(length) // 10 + np.arange(n)[:, None]) % 6
    x = np.zeros((n, length, 4), np.int16)
    i, t = np.nonzero(np.broadcast_to(np.arange(length) % 2 == 0, band.shape))
    x[i, t, band[i, t] % 4] = 1
    x[:, -1] = 0
    x[:, -1, 0] = -1
    y = (band[:, :, None] == np.arange(6)).astype(np.uint8)
    y[:, :2] = 0
    time = np.broadcast_to(np.arange(length, dtype=np.uint16), band.shape)
    return {"x": x, "y": y, "t": time, "max_i": np.full((n, 1), length, np.uint16)}


def write_ecg(folder: Path) -> None:
    """Write the file of the coded QT Database."""
    folder.mkdir(parents=True)
    (folder / "QTDB_train.mat").write_bytes(mat_bytes(ecg_variables()))


def write_all(root: Path) -> None:
    """Write every set."""
    write_mnist(root / "mnist")
    write_nmnist(root / "nmnist")
    write_fsdd(root / "fsdd")
    write_emg(root / "emg-myo")
    write_ecg(root / "ecg-qtdb")
    write_yinyang(root / "yinyang")
