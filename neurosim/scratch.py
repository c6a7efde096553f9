"""Working memory of one thread: everything that a kernel needs besides program, state and results."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import N_LANES, START, STOP
from neurosim.program import ProgramArrays


class Scratch(NamedTuple):
    """One thread's working arrays for N neurons in G groups."""

    lanes: npt.NDArray[np.int32]  # (7, N) U, V, ACC (zero between steps), CURRENT, NOISE, SPIKES, TOTAL
    near: npt.NDArray[np.uint8]  # (N,) came near the threshold
    fired: npt.NDArray[np.uint8]  # (largest group, padded to 8,) flags of the group being updated
    fired64: npt.NDArray[np.uint64]  # the same memory, eight flags to a word
    n_spikes: npt.NDArray[np.int64]  # (G,) length of each group's list in lane SPIKES
    sent: npt.NDArray[np.int64]  # (N,) spikes noted since counts were last made


def make_scratch(arrays: ProgramArrays) -> Scratch:
    """Allocate the working memory of one thread."""
    n = len(arrays.bias)
    largest = int((arrays.group[:, STOP] - arrays.group[:, START]).max())
    fired = np.zeros(-(-largest // 8) * 8, np.uint8)
    return Scratch(
        lanes=np.zeros((N_LANES, n), np.int32),
        near=np.zeros(n, np.uint8),
        fired=fired,
        fired64=fired.view(np.uint64),
        n_spikes=np.zeros(len(arrays.group), np.int64),
        sent=np.zeros(n, np.int64),
    )
