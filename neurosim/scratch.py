"""Working memory of one thread: everything that a kernel needs besides program, state and results."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.program import ProgramArrays


class Scratch(NamedTuple):
    """One thread's working arrays for N neurons in G groups."""

    u: npt.NDArray[np.int32]  # (N,)
    v: npt.NDArray[np.int32]  # (N,)
    acc: npt.NDArray[np.int32]  # (N,) sums at the input ports; zero between steps
    current: npt.NDArray[np.int32]  # (N,) input in units of u
    noise: npt.NDArray[np.int32]  # (N,) perturbation in units of u
    near: npt.NDArray[np.uint8]  # (N,) came near the threshold
    spikes: npt.NDArray[np.int32]  # (N,) who fired, per group from its first neuron on
    n_spikes: npt.NDArray[np.int64]  # (G,) how many
    fired: npt.NDArray[np.uint8]  # (largest group, padded to 8,) flags of the group being updated
    fired64: npt.NDArray[np.uint64]  # the same memory, eight flags to a word
    total: npt.NDArray[np.int32]  # (largest group,) sum of one connection
    sum16: npt.NDArray[np.int16]  # (largest group,)
    quiet: npt.NDArray[np.uint8]  # (G,) all zero: no group is perturbed


def make_scratch(arrays: ProgramArrays) -> Scratch:
    """Allocate the working memory of one thread."""
    n = int(arrays.group_start[-1])
    largest = int(np.diff(arrays.group_start).max())
    fired = np.zeros(-(-largest // 8) * 8, np.uint8)
    return Scratch(
        u=np.zeros(n, np.int32),
        v=np.zeros(n, np.int32),
        acc=np.zeros(n, np.int32),
        current=np.zeros(n, np.int32),
        noise=np.zeros(n, np.int32),
        near=np.zeros(n, np.uint8),
        spikes=np.zeros(n, np.int32),
        n_spikes=np.zeros(len(arrays.group_model), np.int64),
        fired=fired,
        fired64=fired.view(np.uint64),
        total=np.zeros(largest, np.int32),
        sum16=np.zeros(largest, np.int16),
        quiet=np.zeros(len(arrays.group_model), np.uint8),
    )
