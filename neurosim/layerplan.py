"""Lay neurons out in lanes for learning: sixteen to a vector, groups on their own words, sources before targets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import HALF, KEEP_U, KEEP_V, MODEL, MODEL_INPUT, SOURCE, START, STOP, TARGET, THRESHOLD
from neurosim.program import Program, ProgramArrays

WORD = 64  # lanes in a word of flags


class Lanes(NamedTuple):
    """Where each neuron lies in arrays that are read in vectors, and what its lane needs.

    L lanes: those of a group begin at a multiple of 64, and lanes without a neuron never fire.
    """

    first: npt.NDArray[np.int64]  # (G,) first lane of each group
    order: npt.NDArray[np.int64]  # (n,) groups of neurons, sources before targets; empty if spikes run in circles
    later: npt.NDArray[np.int64]  # (G,) 1 for groups that neurons send to
    filtered: npt.NDArray[np.int64]  # (G,) 1 for groups in which a current has a memory
    keep_u: npt.NDArray[np.int32]  # (L,)
    keep_v: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.int32]
    half: npt.NDArray[np.int32]
    bias: npt.NDArray[np.int32]
    valid: npt.NDArray[np.int32]  # (L,) -1 where there is a neuron, 0 elsewhere

    @property
    def n(self) -> int:
        """L, the number of lanes."""
        return len(self.valid)


def lay_lanes(program: Program) -> Lanes:
    """Return the lanes of a program's neurons."""
    arrays = program.arrays
    sizes = arrays.group[:, STOP] - arrays.group[:, START]
    widths = -(-sizes // WORD) * WORD
    first = np.concatenate([[0], np.cumsum(widths)]).astype(np.int64)
    lanes = {
        name: np.zeros(int(first[-1]), np.int32) for name in ("keep_u", "keep_v", "threshold", "half", "bias", "valid")
    }
    lanes["threshold"][:] = lanes["half"][:] = np.iinfo(np.int32).max
    for g, row in enumerate(arrays.group):
        here = slice(int(first[g]), int(first[g] + sizes[g]))
        lanes["valid"][here] = -1
        if row[MODEL] != MODEL_INPUT:
            for name, column in (("keep_u", KEEP_U), ("keep_v", KEEP_V), ("threshold", THRESHOLD), ("half", HALF)):
                lanes[name][here] = row[column]
            lanes["bias"][here] = arrays.bias[int(row[START]) : int(row[STOP])]
    later = np.zeros(len(arrays.group), np.int64)
    for connection in arrays.conn:
        later[connection[TARGET]] |= arrays.group[connection[SOURCE], MODEL] != MODEL_INPUT
    filtered = (arrays.group[:, KEEP_U] != 0).astype(np.int64)
    return Lanes(first=first[:-1], order=_order(arrays), later=later, filtered=filtered, **lanes)


def _order(arrays: ProgramArrays) -> npt.NDArray[np.int64]:
    """Return the groups of neurons, each behind all groups that it hears; nothing if some hear each other."""
    waiting = [g for g, row in enumerate(arrays.group) if row[MODEL] != MODEL_INPUT]
    order: list[int] = []
    while waiting:
        ready = [
            g for g in waiting if not any(c[TARGET] == g and int(c[SOURCE]) in waiting for c in arrays.conn)
        ]  # fmt: skip
        if not ready:
            return np.zeros(0, np.int64)
        order += ready
        waiting = [g for g in waiting if g not in ready]
    return np.array(order, np.int64)
