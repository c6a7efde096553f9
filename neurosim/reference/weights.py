"""Turn votes into weights; twin of `neurosim.kernels.weights`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import FIRST_FACTOR, WEIGHT_BITS
from neurosim.learnplan import LearnPlan
from neurosim.reference.noise import bits32, fold

LARGEST_VOTE = 1 << 22  # larger ones count as this in the mean square


class NewWeights(NamedTuple):
    """Weights after a generation."""

    full: npt.NDArray[np.int64]  # (W,) with residual bits
    n_changed: list[int]  # mantissas that changed, per plastic connection
    n_saturated: int


def rounding_noise(drawn: int, shift: int) -> int:
    """Return 0..2**shift - 1 from 32 random bits; beyond a shift of 32 the lowest bits stay zero."""
    return drawn & ((1 << shift) - 1) if shift <= 32 else drawn << (shift - 32)


def update_weights(
    plan: LearnPlan, full: npt.NDArray[np.int64], votes: npt.NDArray[np.int64], step: int,
    step_shift: npt.NDArray[np.int64], key: int, power: npt.NDArray[np.int64] | None = None, memory: int = 0, age: int = 1,
) -> NewWeights:  # fmt: skip
    """Return ``full + floor((vote * step + r) / 2**shift)``, r uniform in 0..2**shift - 1, saturated.

    With `power`, (F,) leaky sums of the mean square of the votes of each row, written in place, the shift of a row is
    `step_shift` and the binary logarithm of the root of its mean square.
    """
    new, n_changed, n_saturated = full.copy(), [], 0
    for c, connection in enumerate(plan.connections):
        first, last = plan.votes_of(c).start, plan.votes_of(c).stop
        limit = 1 << (int(plan.plastic[c, WEIGHT_BITS]) - 1 + plan.residual_bits)
        stream = fold(key, int(connection))
        first_row = int(plan.plastic[c, FIRST_FACTOR])
        n_post = (last - first) // int(plan.plastic[c + 1, FIRST_FACTOR] - plan.plastic[c, FIRST_FACTOR])
        shifts = np.full((last - first) // n_post, step_shift[c])
        if power is not None:
            sizes = np.minimum(np.abs(votes[first:last].reshape(-1, n_post)), LARGEST_VOTE)
            rows = power[first_row : first_row + len(shifts)]
            rows += (sizes**2).sum(axis=1) // n_post - (rows >> memory)
            shifts += [int(square // min(age, 1 << memory)).bit_length() >> 1 for square in rows]
        for i in range(first, last):
            if votes[i]:
                row, k = divmod(i - first, n_post)  # each presynaptic neuron has a stream of its own
                shift, left = max(0, int(shifts[row])), max(0, -int(shifts[row]))
                noise = rounding_noise(bits32(fold(stream, row), k), shift)
                moved = int(full[i]) + (((int(votes[i]) * step << left) + noise) >> shift)
                new[i] = min(max(moved, -limit), limit - 1)
                n_saturated += int(new[i] != moved)
        changed = (new[first:last] >> plan.residual_bits) != (full[first:last] >> plan.residual_bits)
        n_changed.append(int(changed.sum()))
    return NewWeights(new, n_changed, n_saturated)
