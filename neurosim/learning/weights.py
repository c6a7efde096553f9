"""The weights that were learned, as a network describes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.codes import (
    WEIGHT_BITS,
)
from neurosim.fixedpoint import lost_weight_bits
from neurosim.learnplan import LearnPlan, described_weights
from neurosim.network import Connection
from neurosim.program import Program


def learned_weights(program: Program, plan: LearnPlan, full: npt.NDArray[np.int32]) -> dict[str, npt.NDArray[np.int64]]:
    """Return the chip weights of each plastic connection, in the shape of its description."""
    weights = {}
    for c, index in enumerate(plan.connections):
        connection = program.network.connections[index]
        assert not isinstance(connection, Connection)
        part = full[plan.votes_of(c)].astype(np.int64) >> plan.residual_bits
        shift = lost_weight_bits(int(plan.plastic[c, WEIGHT_BITS]), "mixed")
        weights[connection.name] = described_weights(connection, part << shift)
    return weights
