"""Turn votes into weights; twin of `neurosim.kernels.weights`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import WEIGHT_BITS
from neurosim.learnplan import LearnPlan
from neurosim.reference.noise import bits, fold


class NewWeights(NamedTuple):
    """Weights after a generation."""

    full: npt.NDArray[np.int64]  # (W,) with residual bits
    n_changed: list[int]  # mantissas that changed, per plastic connection
    n_saturated: int


def update_weights(
    plan: LearnPlan, full: npt.NDArray[np.int64], votes: npt.NDArray[np.int64], step: int,
    step_shift: npt.NDArray[np.int64], key: int,
) -> NewWeights:  # fmt: skip
    """Return ``full + floor((vote * step + r) / 2**shift)``, r uniform in 0..2**shift - 1, saturated."""
    new, n_changed, n_saturated = full.copy(), [], 0
    for c, connection in enumerate(plan.connections):
        first, last = plan.votes_of(c).start, plan.votes_of(c).stop
        limit = 1 << (int(plan.plastic[c, WEIGHT_BITS]) - 1 + plan.residual_bits)
        shift, left = max(0, int(step_shift[c])), max(0, -int(step_shift[c]))
        stream = fold(key, int(connection))
        for i in range(first, last):
            if votes[i]:
                noise = bits(stream, i - first) & ((1 << shift) - 1)
                moved = int(full[i]) + (((int(votes[i]) * step << left) + noise) >> shift)
                new[i] = min(max(moved, -limit), limit - 1)
                n_saturated += int(new[i] != moved)
        changed = (new[first:last] >> plan.residual_bits) != (full[first:last] >> plan.residual_bits)
        n_changed.append(int(changed.sum()))
    return NewWeights(new, n_changed, n_saturated)
