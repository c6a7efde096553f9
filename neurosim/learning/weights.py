"""Weights as a network describes them: those that were learned, and those that no write reaches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import (
    WEIGHT_BITS,
)
from neurosim.fixedpoint import lost_weight_bits
from neurosim.learnplan import LearnPlan, described_weights, initial_weights
from neurosim.network import Connection, Dense
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


class Stuck(NamedTuple):
    """Weights that no write reaches."""

    where: npt.NDArray[np.int64]  # indices of weights that learn
    full: npt.NDArray[np.int32]  # what they hold, with residual bits


def stuck_weights(program: Program, plan: LearnPlan, stuck: Mapping[str, npt.NDArray[np.bool_]]) -> Stuck:
    """Return where stuck synapses lie among the weights that learn, and what they hold.

    Parameters
    ----------
    program : Program
        Of a network that holds the stuck values.
    stuck : mapping of name to bool array
        By connection, in the shape of its weights; none is stuck in those that are missing.
    """
    where = [np.zeros(0, np.int64)]
    for c, index in enumerate(plan.connections):
        connection = program.network.connections[index]
        if connection.name in stuck:
            chosen = stuck[connection.name]
            chosen = chosen.T if isinstance(connection, Dense) else chosen  # as `stored_weights`
            where.append(plan.votes_of(c).start + np.flatnonzero(chosen))
    index_of = np.concatenate(where)
    return Stuck(index_of, initial_weights(program, plan)[index_of])
