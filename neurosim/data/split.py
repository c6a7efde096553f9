"""Choose test samples by a hash of their index: the same everywhere, without a random generator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


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


def disjoint_tests(labels: npt.ArrayLike, n_test: int, n_splits: int) -> list[npt.NDArray[np.int64]]:
    """Choose `n_splits` test sets of `n_test` samples that share none; each is `stratified_test` of what is left."""
    classes = np.asarray(labels)
    left = np.arange(len(classes), dtype=np.int64)
    tests = []
    for _ in range(n_splits):
        chosen = stratified_test(classes[left], n_test)
        tests.append(left[chosen])
        left = np.delete(left, chosen)
    return tests
