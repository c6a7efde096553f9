"""Load the bundled handwritten digits (see ATTRIBUTION.md), with their fixed splits."""

from __future__ import annotations

import gzip
import hashlib
import io
from importlib.resources import files
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

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


def mix32(x: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """Hash 32-bit integers: the finaliser of MurmurHash3 (public domain, A. Appleby).

    Examples
    --------
    >>> mix32([0, 1]).tolist()
    [0, 1364076727]
    """
    mask = np.uint64(0xFFFFFFFF)
    h = np.asarray(x, dtype=np.uint64) & mask
    h ^= h >> np.uint64(16)
    h = (h * np.uint64(0x85EBCA6B)) & mask
    h ^= h >> np.uint64(13)
    h = (h * np.uint64(0xC2B2AE35)) & mask
    return np.asarray(h ^ (h >> np.uint64(16)), dtype=np.uint64)


def stratified_test(labels: npt.ArrayLike, n_test: int) -> npt.NDArray[np.int64]:
    """Choose `n_test` samples, the same share of each class, by a rule without a random generator.

    A class with n of all N samples gets ``n * n_test // N`` places; places left over go to the classes with the
    largest remainders, the lower class first. Within a class the samples with the smallest ``mix32(index)`` are taken.
    """
    classes = np.asarray(labels)
    counts = np.bincount(classes)
    places, remainder = np.divmod(counts * n_test, len(classes))
    places[np.argsort(-remainder, kind="stable")[: n_test - int(places.sum())]] += 1
    chosen = []
    for label, n in enumerate(places):
        members = np.flatnonzero(classes == label)
        chosen.append(members[np.argsort(mix32(members), kind="stable")[:n]])
    return np.sort(np.concatenate(chosen)).astype(np.int64)
