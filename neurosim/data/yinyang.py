"""Load the Yin-Yang points, as rates of tuned neurons or as spike times."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.encode import latency_code
from neurosim.data.folder import DataSet, find_data, read_bytes
from neurosim.data.npyhead import read_head
from neurosim.data.population import population_code
from neurosim.data.task import Task, refuse_copies
from neurosim.errors import DataError
from neurosim.events import Events

N_CLASSES = 3
N_TUNED = 16  # neurons per coordinate of the population code
SPACING = 1 << 12  # between their best places
ONE = (N_TUNED - 1) * SPACING  # a coordinate of 1
N_STEPS = 16
N_STEPS_LATENCY = 32
FILES = ("train_samples.npy", "train_labels.npy", "validation_samples.npy", "validation_labels.npy")
YINYANG = DataSet(
    "yinyang",
    ", ".join(FILES),
    ("train_samples.npy",),
    "L. Kriener, https://github.com/lkriener/yin_yang_data_set, folder publication_data",
)
LICENCE = "MIT"
ATTRIBUTION = (
    "L. Kriener, J. Goeltz, M. A. Petrovici. The Yin-Yang dataset. NICE 2022. https://arxiv.org/abs/2102.08211"
)


class Points(NamedTuple):
    """Points of the plane.

    Attributes
    ----------
    coordinates : (n, 4) int64
        x, y, 1 - x, 1 - y in units of 1 / 61440, rounded.
    labels : (n,) int64
        0: yin, 1: yang, 2: dot.
    """

    coordinates: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]


def load_yinyang(part: str, folder: Path | None = None) -> Points:
    """Return the "train" or the "validation" points.

    Raises
    ------
    DataError
        If a file is missing, is not an array of numbers in range, or does not fit the other.
    """
    folder = find_data(YINYANG) if folder is None else folder
    samples = _read_npy(folder / f"{part}_samples.npy")
    labels = _read_npy(folder / f"{part}_labels.npy")
    if samples.ndim != 2 or samples.shape[1] != 4 or labels.shape != samples.shape[:1] or labels.dtype.kind not in "iu":
        raise DataError(
            f"{folder}: {part} samples have shape {samples.shape} and labels {labels.shape} ({labels.dtype}), "
            "need (n, 4) and n integers; get both files from one source"
        )
    if len(labels) and not (0 <= labels.min() and labels.max() < N_CLASSES):
        raise DataError(f"{folder}: {part} labels reach {labels.min()}..{labels.max()}, need 0..2; get the file anew")
    if samples.dtype.kind not in "fiu" or not ((samples >= 0) & (samples <= 1)).all():
        raise DataError(
            f"{folder}: {part} coordinates ({samples.dtype}) are not all numbers in 0..1; get the file anew"
        )
    return Points(np.rint(samples * ONE).astype(np.int64), labels.astype(np.int64))


def population_spikes(points: Points, n_steps: int) -> Events:
    """Encode x and y by 16 tuned neurons each, 32 inputs; at its best place a neuron fires in every step.

    The rate of a neuron falls in a straight line to 0 at two neurons' distance.
    """
    return population_code(points.coordinates[:, :2], n_steps, ONE, n_tuned=N_TUNED)


def latency_spikes(points: Points, n_steps: int) -> Events:
    """Encode each of the four coordinates by the time of one spike, later for larger ones; a fifth input fires first.

    The form of the publication: spike times rise with the coordinate, and a bias spike marks the start.
    """
    early = np.maximum(ONE - points.coordinates, 1)  # `latency_code` lets large values fire early, and 0 never
    bias = np.full((len(early), 1), ONE, np.int64)
    return latency_code(np.concatenate([early, bias], axis=1), n_steps, ONE)


def yinyang_task(n_steps: int | None, augment: bool, options: Mapping[str, int]) -> Task:
    """Return the points by `population_spikes` in 16 steps: 5,000 to learn from, 1,000 of the validation files to test with."""
    steps = N_STEPS if n_steps is None else n_steps
    refuse_copies("yinyang", augment)
    train, test = load_yinyang("train"), load_yinyang("validation")
    text = f"points of the plane in three classes, rates of {2 * N_TUNED} tuned neurons over {steps} steps"
    return _task("yinyang", train, test, population_spikes(train, steps), population_spikes(test, steps), text)


def yinyang_latency_task(n_steps: int | None, augment: bool, options: Mapping[str, int]) -> Task:
    """Return the points by `latency_spikes` in 32 steps; otherwise as `yinyang_task`."""
    steps = N_STEPS_LATENCY if n_steps is None else n_steps
    refuse_copies("yinyang-latency", augment)
    train, test = load_yinyang("train"), load_yinyang("validation")
    text = f"points of the plane in three classes, five spike times in {steps} steps"
    return _task("yinyang-latency", train, test, latency_spikes(train, steps), latency_spikes(test, steps), text)


def _task(name: str, train: Points, test: Points, train_events: Events, test_events: Events, text: str) -> Task:
    return Task(
        name=name,
        train_events=train_events,
        train_labels=train.labels,
        test_events=test_events,
        test_labels=test.labels,
        n_classes=N_CLASSES,
        n_inputs=train_events.n_inputs,
        n_steps_input=train_events.n_steps,
        description=text,
        source="The Yin-Yang data set, files of the publication",
        licence=LICENCE,
        attribution=ATTRIBUTION,
    )


def _read_npy(path: Path) -> npt.NDArray[Any]:
    stream = io.BytesIO(read_bytes(path))
    try:
        head = read_head(stream)
        content = stream.read()
        if len(content) != head.n_bytes:
            raise ValueError(f"{len(content)} bytes follow, shape {head.shape} of {head.dtype} needs {head.n_bytes}")
    except ValueError as error:
        raise DataError(f"file {str(path)!r}: not an array of numbers ({error}); get it anew") from error
    return np.frombuffer(content, head.dtype).reshape(head.shape, order="F" if head.fortran else "C")
