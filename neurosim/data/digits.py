"""Load the bundled handwritten digits (see ATTRIBUTION.md), with their fixed splits."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Mapping
from importlib.resources import files
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.augment import half_shifts
from neurosim.data.encode import rate_code
from neurosim.data.split import stratified_test
from neurosim.data.task import Task
from neurosim.errors import DataError

FILE = "digits.csv.gz"
SHA256 = "e31b7ccbf8cc2b158de948b1bb7a67bf39a856fb064b3aa8ef489f12a2dc4b63"
N_IMAGES = 1797
N_CLASSES = 10
N_TEST = 360  # of the "random" split: 20 %
N_ORDERED_TRAIN = 1347  # of the "ordered" split: the first three quarters
LEVELS = 16  # pixels are 0..16

SOURCE = (
    "UCI Machine Learning Repository, Optical Recognition of Handwritten Digits (test set), as bundled by scikit-learn"
)
LICENCE = "CC BY 4.0"
ATTRIBUTION = (
    "E. Alpaydin and C. Kaynak (1998). Optical Recognition of Handwritten Digits. "
    "UCI Machine Learning Repository. https://doi.org/10.24432/C50P49. CC BY 4.0. Content unchanged; re-encoded as CSV."
)


class Digits(NamedTuple):
    """8 x 8 images of handwritten digits, and one split of them.

    Attributes
    ----------
    images : (1797, 8, 8) uint8
        Ink per pixel, 0..16.
    labels : (1797,) uint8
        0..9.
    train, test : (n,) int64
        Ascending indices; together all images, none twice.
    source, licence, attribution : str
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    train: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]
    source: str
    licence: str
    attribution: str


def load_digits(split: Literal["random", "ordered"] = "random") -> Digits:
    """Return the digits with a split that is the same everywhere and for any seed.

    Parameters
    ----------
    split : {"random", "ordered"}
        "random": 1,437 for training and 360 for testing, stratified by class (`stratified_test`).
        "ordered": the first 1,347 against the last 450 of the file, mostly by other writers; harder.

    Raises
    ------
    DataError
        If the file is not the one that was bundled, or the split is unknown.
    """
    if split not in ("random", "ordered"):
        raise DataError(f"digits: unknown split {split!r}; choose 'random' or 'ordered'")
    table = parse(files("neurosim.data").joinpath(FILE).read_bytes())
    images, labels = table[:, :-1].reshape(N_IMAGES, 8, 8), table[:, -1].copy()
    is_test = np.zeros(N_IMAGES, dtype=np.bool_)
    if split == "random":
        is_test[stratified_test(labels, N_TEST)] = True
    else:
        is_test[N_ORDERED_TRAIN:] = True
    train, test = np.flatnonzero(~is_test).astype(np.int64), np.flatnonzero(is_test).astype(np.int64)
    return Digits(np.ascontiguousarray(images), labels, train, test, SOURCE, LICENCE, ATTRIBUTION)


def parse(content: bytes) -> npt.NDArray[np.uint8]:
    """Check the bytes of the file and return its table: (1797, 65) uint8, 64 pixels and the label."""
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise DataError(
            f"{FILE}: SHA-256 {found[:12]}... is not {SHA256[:12]}...: the file is corrupt; install neurosim again"
        )
    text = gzip.decompress(content).decode("ascii")
    return np.loadtxt(io.StringIO(text), delimiter=",", dtype=np.uint8)


def digits_task(
    n_steps: int | None, augment: bool, options: Mapping[str, int], split: Literal["random", "ordered"] = "random"
) -> Task:
    """Return the 8 x 8 digits as 64 rate-coded inputs; in the default 16 steps a pixel fires as often as its value.

    With `augment` the training images are followed by four copies, moved by half a pixel each.
    """
    steps = LEVELS if n_steps is None else n_steps
    digits = load_digits(split)
    images = digits.images[digits.train]
    labels = digits.labels.astype(np.int64)
    train_labels, more = labels[digits.train], ""
    if augment:
        images = np.concatenate([images, half_shifts(images)])
        train_labels = np.tile(train_labels, len(images) // len(train_labels))
        more = "; training images also moved by half a pixel in four directions"
    test = digits.images[digits.test]
    return Task(
        name="digits" if split == "random" else f"digits-{split}",
        train_events=rate_code(images.reshape(len(images), -1), steps, LEVELS),
        train_labels=train_labels,
        test_events=rate_code(test.reshape(len(test), -1), steps, LEVELS),
        test_labels=labels[digits.test],
        n_classes=N_CLASSES,
        n_inputs=test[0].size,
        n_steps_input=steps,
        description=f"handwritten digits, 8 x 8 pixels, rate-coded over {steps} steps{more}",
        source=digits.source,
        licence=digits.licence,
        attribution=digits.attribution,
        images=test,
        input_shape=(*test[0].shape, 1),
    )


def digits_ordered_task(n_steps: int | None, augment: bool, options: Mapping[str, int]) -> Task:
    """Return the digits with the last quarter of the file for testing, most likely written by other people; harder."""
    return digits_task(n_steps, augment, options, "ordered")
