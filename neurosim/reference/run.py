"""Run samples step by step, straight from the network's description; twin of `neurosim.kernels.run`.

Nothing here reads the packed arrays of a program, so that packing is tested as well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from neurosim import counters
from neurosim.counters import N_COUNTERS
from neurosim.fixedpoint import DECAY_ONE, INPUT_SHIFT, wrap_int32
from neurosim.network import LIF, Dense, Sparse
from neurosim.program import Program
from neurosim.reference.deliver import connection_matrices, deliver
from neurosim.reference.neuron import update_lif

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Chip:
    """One sample's state on the simulated chip, and the step that advances it."""

    def __init__(self, program: Program, weights: dict[str, Int64Array] | None = None) -> None:
        network = program.network
        self.network, self.route = network, program.mapping.route.astype(np.int64)
        self.slices = {g.name: slice(network.offsets[g.name], network.offsets[g.name] + g.n) for g in network.groups}
        self.row = {name: i for i, name in enumerate(program.rows)}
        self.matrices = {c.name: connection_matrices(c) for c in network.connections}
        for name, matrix in (weights or {}).items():
            self.matrices[name] = (matrix, self.matrices[name][1])
        self.counts = np.zeros((len(self.row), N_COUNTERS), np.int64)
        n = network.n_neurons
        self.u, self.v = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.fired, self.near = np.zeros(n, np.bool_), np.zeros(n, np.bool_)

    def reset(self) -> None:
        """Set the state, not the counts, to rest."""
        for array in (self.u, self.v, self.fired, self.near):
            array[:] = 0

    def step(self, inputs: BoolArray, noise: Callable[[str, BoolArray], Int64Array | None] | None = None) -> None:
        """Advance by one step: deliver the spikes of the step before, then update every group.

        Parameters
        ----------
        inputs : (n_inputs,) bool
            Input spikes of this step; they reach their targets in the next.
        noise : callable, optional
            Perturbation of a group's current, given its name and the spikes of the step before; None for none.
        """
        previous = self.fired.copy()
        for group in self.network.ordered_groups:
            where = self.slices[group.name]
            if isinstance(group, LIF):
                self._update(group, where, previous, None if noise is None else noise(group.name, previous))
            else:
                self.fired[where] = inputs[where]  # inputs come first in the numbering
            self._count_spikes(group.name, where)

    def _update(self, group: LIF, where: slice, previous: BoolArray, noise: Int64Array | None) -> None:
        row = self.counts[self.row[group.name]]
        acc = np.zeros(group.n, np.int64)
        for connection in self.network.connections:
            if connection.target == group.name:
                assert isinstance(connection, (Dense, Sparse))
                weights, stored = self.matrices[connection.name]
                sources = previous[self.slices[connection.source]]
                acc = wrap_int32(acc + deliver(weights, sources, connection.weight_exp))
                operations = int((stored @ sources.astype(np.int64)).sum())
                self.counts[self.row[connection.name], counters.SYNAPTIC_OPERATIONS] += operations
        if noise is not None:
            row[counters.PERTURBATIONS] += group.n
        out = update_lif(
            acc,
            np.zeros(group.n, np.int64) if noise is None else noise,
            self.u[where],
            self.v[where],
            group.bias,
            DECAY_ONE - (group.du + 1),
            DECAY_ONE - group.dv,
            group.vth << INPUT_SHIFT,
            (group.vth << INPUT_SHIFT) // 2,
        )
        self.u[where], self.v[where], self.fired[where] = out.u, out.v, out.fired
        self.near[where] |= out.near
        row[counters.NEURON_UPDATES_ACTIVE] += out.n_active
        row[counters.NEURON_UPDATES_IDLE] += group.n - out.n_active
        row[counters.OVERFLOW_ACCUMULATOR] += out.n_over_input
        row[counters.OVERFLOW_U] += out.n_corrected
        row[counters.SATURATION_V] += out.n_saturated

    def _count_spikes(self, name: str, where: slice) -> None:
        row, fired = self.counts[self.row[name]], self.fired[where]
        row[counters.SPIKES] += int(fired.sum())
        sent = self.route[where][fired].sum(axis=0)
        row[counters.MESSAGES : counters.MESSAGES + len(sent)] += sent
