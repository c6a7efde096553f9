"""Working memory of one thread: everything that a kernel needs besides program, state and results."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import LINK_CONNECTION, LINK_RING, N_LANES, RING_LENGTH, START, STOP, TARGET
from neurosim.program import ModelArrays, ProgramArrays, aligned_copy

WORD = 64  # flags that kernels look at together


class Scratch(NamedTuple):
    """One thread's working arrays for N neurons in G groups."""

    lanes: npt.NDArray[np.int32]  # (6, N) U, V, ACC (zero between steps), NOISE, SPIKES, TOTAL
    near: npt.NDArray[np.uint8]  # (N,) came near the threshold
    fired: npt.NDArray[np.uint8]  # (largest group, padded to 64,) flags of the group being updated
    counted: npt.NDArray[np.int64]  # (5,) what happened in it
    n_spikes: npt.NDArray[np.int64]  # (G,) length of each group's list in lane SPIKES
    sent: npt.NDArray[np.int64]  # (N,) spikes noted since counts were last made


def make_scratch(arrays: ProgramArrays) -> Scratch:
    """Allocate the working memory of one thread."""
    n = len(arrays.bias)
    largest = int((arrays.group[:, STOP] - arrays.group[:, START]).max())
    # Threads that share a cache line wait for each other.
    return Scratch(
        lanes=aligned_copy(np.zeros((N_LANES, n), np.int32)),
        near=aligned_copy(np.zeros(n, np.uint8)),
        fired=aligned_copy(np.zeros(-(-largest // WORD) * WORD, np.uint8)),
        counted=aligned_copy(np.zeros(5, np.int64)),
        n_spikes=aligned_copy(np.zeros(len(arrays.group), np.int64)),
        sent=aligned_copy(np.zeros(n, np.int64)),
    )


class ModelScratch(NamedTuple):
    """What a thread needs besides for programs with `ModelArrays`."""

    extra: npt.NDArray[np.int32]  # (2, N) third and fourth states
    value: npt.NDArray[np.int32]  # (N,) values of the spikes of the last step
    second: npt.NDArray[np.int32]  # (N,) sums at second ports
    ring: npt.NDArray[np.int32]  # what arrives later
    wide: npt.NDArray[np.int64]  # sums of one link, by delay and target


def make_model_scratch(arrays: ProgramArrays, models: ModelArrays) -> ModelScratch:
    """Allocate the further working memory of one thread."""
    n = len(arrays.bias)
    widest = 0
    for link in models.link:
        target = arrays.group[arrays.conn[link[LINK_CONNECTION], TARGET]]
        steps = int(models.ring[link[LINK_RING], RING_LENGTH]) if link[LINK_RING] >= 0 else 1
        widest = max(widest, int(target[STOP] - target[START]) * steps)
    return ModelScratch(
        extra=np.zeros((2, n), np.int32),
        value=np.zeros(n, np.int32),
        second=np.zeros(n, np.int32),
        ring=np.zeros(models.ring_size, np.int32),
        wide=np.zeros(widest, np.int64),
    )
