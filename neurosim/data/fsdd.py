"""Load the Free Spoken Digit Dataset, heard by a cochlea of resonators."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.augment_sounds import Distortion, distorted
from neurosim.data.cochlea import N_CHANNELS, RATE_HZ, cochlea_loudness, overflow_spikes
from neurosim.data.collect import EventCollector
from neurosim.data.folder import DataSet, find_data, read_bytes
from neurosim.data.task import Task
from neurosim.errors import DataError
from neurosim.events import Events
from neurosim.reference.noise import fold

N_CLASSES = 10
N_STEPS = 64  # 0.8 s; 98 of 100 recordings are shorter
N_TEST = 5  # recordings of each speaker and digit
BLOCK = 256  # recordings encoded together: bounds the memory
STREAM_COPIES = 0x73706F6B656E  # names the random numbers of changed copies
#: How far training recordings are changed, chosen on index 10 to 14 of the training recordings.
COPIES = Distortion(early=512, late=1024, fast=26, high=192, wide=8)
NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")
FSDD = DataSet(
    "fsdd",
    "recordings/DIGIT_SPEAKER_INDEX.wav, mono, 16 bits, 8 kHz",
    ("recordings/*.wav",),
    "Z. Jackson, https://github.com/Jakobovski/free-spoken-digit-dataset",
)
LICENCE = "CC BY-SA 4.0"
ATTRIBUTION = (
    "Z. Jackson and others. Free Spoken Digit Dataset. https://github.com/Jakobovski/free-spoken-digit-dataset"
)


class Spoken(NamedTuple):
    """One file's name: the digit, who speaks, and which of the recordings it is."""

    path: Path
    digit: int
    speaker: str
    take: int


def list_spoken(folder: Path) -> list[Spoken]:
    """Return the recordings of a folder in a fixed order.

    Raises
    ------
    DataError
        If a name says neither digit, speaker nor index.
    """
    found = []
    for path in (folder / "recordings").glob("*.wav"):
        match = NAME.fullmatch(path.name)
        if match is None:
            raise DataError(f"file {str(path)!r}: its name is not DIGIT_SPEAKER_INDEX.wav; rename or remove it")
        found.append(Spoken(path, int(match[1]), match[2], int(match[3])))
    return sorted(found, key=lambda spoken: (spoken.digit, spoken.speaker, spoken.take))


def parse_wav(content: bytes, where: str) -> npt.NDArray[np.int16]:
    """Return the samples of a WAV file, (n,) int16.

    Raises
    ------
    DataError
        If it is not whole, or not mono with 16 bits and 8 kHz.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            found = (file.getnchannels(), 8 * file.getsampwidth(), file.getframerate())
            n_samples, data = file.getnframes(), file.readframes(file.getnframes())
    except (
        wave.Error,
        EOFError,
        RuntimeError,
    ) as error:  # RuntimeError: wave's, where a piece leaves the one that it is in
        raise DataError(f"file {where!r}: not a WAV file ({str(error) or 'cut off'}); get it anew") from error
    if found != (1, 16, RATE_HZ):
        raise DataError(
            f"file {where!r}: {found[0]} channel(s), {found[1]} bits, {found[2]} Hz, need 1, 16, {RATE_HZ}; convert it"
        )
    if len(data) != 2 * n_samples:
        raise DataError(f"file {where!r}: {len(data)} bytes follow, its header announces {2 * n_samples}; get it anew")
    return np.frombuffer(data, "<i2").astype(np.int16)


def split_spoken(spoken: list[Spoken]) -> tuple[list[Spoken], list[Spoken], str]:
    """Return training and test recordings, and the split in words.

    The official test set is index 0 to 4 of each speaker and digit. Where none of them is there, index 5 to 9 takes its place.
    """
    first = 0 if any(each.take < N_TEST for each in spoken) else N_TEST
    bound = first + N_TEST
    test = [each for each in spoken if each.take < bound]
    train = [each for each in spoken if each.take >= bound]
    words = (
        "the official split"
        if first == 0
        else f"index {first} to {bound - 1} for testing, as the official 0 to 4 are missing"
    )
    return train, test, words


def delayed(spikes: npt.NDArray[np.bool_], n_taps: int, gap: int) -> npt.NDArray[np.bool_]:
    """Return delay lines: input ``k * n_inputs + c`` repeats input c after ``k * gap`` steps, k = 0..n_taps - 1.

    Parameters
    ----------
    spikes : (n, n_steps, n_inputs) bool
    n_taps, gap : int
        At least 1.

    Examples
    --------
    >>> delayed(np.array([[[1, 0], [0, 1], [0, 0]]], bool), 2, 1)[0].astype(int).tolist()
    [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
    """
    n, n_steps, n_inputs = spikes.shape
    lines = np.zeros((n, n_steps, n_taps, n_inputs), np.bool_)
    for k in range(min(n_taps, -(-n_steps // gap))):
        lines[:, k * gap :, k] = spikes[:, : n_steps - k * gap]
    return lines.reshape(n, n_steps, n_taps * n_inputs)


def fsdd_task(n_steps: int | None, augment: bool, options: Mapping[str, int]) -> Task:
    """Return spoken digits as spikes of 40 channels, `cochlea_events`, in `n_steps` (64) steps of 12.5 ms.

    With `augment` each epoch hears other copies of the training recordings, changed at random within `COPIES`. Options: "taps" and
    "gap", the delay lines of each channel, as in `delayed`.
    """
    steps = N_STEPS if n_steps is None else n_steps
    n_taps, gap = options["taps"], options["gap"]
    train, test, words = split_spoken(list_spoken(find_data(FSDD)))
    if not train or not test:
        raise DataError(
            f"data set 'fsdd': {len(train)} recordings to learn from, {len(test)} to test with; get the full set"
        )
    heard, tested = (
        cochlea_loudness([parse_wav(read_bytes(s.path), str(s.path)) for s in part], steps).astype(np.int16)
        for part in (train, test)
    )

    def encoded(loud: npt.NDArray[np.int16], key: int | None = None) -> Events:
        collected = EventCollector(steps, n_taps * N_CHANNELS)
        for first in range(0, len(loud), BLOCK):
            block = loud[first : first + BLOCK].astype(np.int64)
            if key is not None:
                block = distorted(block, COPIES, key, first)
            collected.add(delayed(overflow_spikes(block), n_taps, gap))
        return collected.events()

    def copies(epoch: int) -> Events:
        return encoded(heard, fold(STREAM_COPIES, epoch))

    lines = "" if n_taps == 1 else f", each {n_taps} times, {gap} steps apart"
    more = "; training recordings moved and stretched anew in each epoch" if augment else ""
    return Task(
        name="fsdd",
        train_events=copies(0) if augment else encoded(heard),
        train_labels=np.array([each.digit for each in train], np.int64),
        test_events=encoded(tested),
        test_labels=np.array([each.digit for each in test], np.int64),
        n_classes=N_CLASSES,
        n_inputs=n_taps * N_CHANNELS,
        n_steps_input=steps,
        description=f"spoken digits, {N_CHANNELS} resonators{lines}, {steps} steps of 12.5 ms; {words}{more}",
        source="Free Spoken Digit Dataset, WAV files",
        licence=LICENCE,
        attribution=ATTRIBUTION,
        copies=copies if augment else None,
    )
