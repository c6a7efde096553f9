"""Run samples step by step, straight from the network's description; twin of `neurosim.kernels.run`.

Nothing here reads the packed weights or settings of a program, so that packing is tested as well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from neurosim import counters
from neurosim.codes import RING_FIRST, RING_LENGTH, RING_OFFSET, RING_PORT
from neurosim.counters import N_COUNTERS
from neurosim.fixedpoint import ARITHMETICS, DECAY_ONE, INPUT_SHIFT, shift_toward_zero, wrap_int32
from neurosim.network import LIF, Connection, CubaLIF, Input, replace_weights
from neurosim.neurons import Neurons, rest_of
from neurosim.program import Program, State
from neurosim.reference.deliver import connection_matrices, deliver
from neurosim.reference.models import ModelStep, came_near, update_model
from neurosim.reference.neuron import LIFStep, update_lif

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
N_SLOTS = 4  # states of a neuron


class Chip:
    """One sample's state on the simulated chip, and the step that advances it.

    Attributes
    ----------
    counts : (n_rows, N_COUNTERS) int64
        Of all steps so far.
    fired_at, delivered_at, active_at : (n_neurons,) int64
        How often each neuron fired, had its spike delivered, and was updated as active, in all steps so far.
    n_run : int
        Steps so far, over all samples.
    """

    def __init__(
        self, program: Program, weights: dict[str, Int64Array] | None = None, neurons: dict[str, LIF] | None = None
    ) -> None:
        network = program.network
        self.neurons = neurons or {}  # groups whose biases and thresholds are no longer the description's
        self.network, self.route = network, program.mapping.route.astype(np.int64)
        self.profile = ARITHMETICS[program.arithmetic]
        self.slices = {g.name: slice(network.offsets[g.name], network.offsets[g.name] + g.n) for g in network.groups}
        self.row = {name: i for i, name in enumerate(program.rows)}
        self.connections = [c for c in network.connections if not isinstance(c, Connection)]
        self.matrices = {c.name: connection_matrices(c, self.profile) for c in self.connections}
        for name, given in (weights or {}).items():
            new = replace_weights(network.connection(name), given)
            self.matrices[name] = connection_matrices(new, self.profile)
        self.counts = np.zeros((len(self.row), N_COUNTERS), np.int64)
        n = network.n_neurons
        self.slots = np.zeros((N_SLOTS, n), np.int64)
        self.u, self.v = self.slots[0], self.slots[1]
        self.fired, self.near = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        self.value = np.zeros(n, np.int64)
        self.fired_at, self.delivered_at, self.active_at = (np.zeros(n, np.int64) for _ in range(3))
        self.t = self.n_run = 0
        self.rings = () if program.models is None else program.models.ring
        self.later = {(int(r[RING_PORT]), int(r[RING_FIRST])): self._empty(r) for r in self.rings}
        self.reset()

    @staticmethod
    def _empty(ring: Int64Array) -> Int64Array:
        _, _, width, _, length = (int(x) for x in ring)
        return np.zeros((length, width), np.int64)

    def reset(self) -> None:
        """Set the state, not the counts, to rest."""
        for array in (self.slots, self.fired, self.near, self.value, *self.later.values()):
            array[:] = 0
        for group in self.network.groups:
            if not isinstance(group, (Input, CubaLIF)):
                for slot, value in enumerate(rest_of(group)):
                    self.slots[slot, self.slices[group.name]] = value
        self.t = 0

    def load(self, state: State) -> None:
        """Take over one sample's state; see `neurosim.program.State`."""
        n = len(self.fired)
        self.u[:], self.v[:], self.fired[:] = state.u, state.v, state.fired
        self.value[:] = self.fired
        if not len(state.more):
            return
        self.t = int(state.more[0])
        self.slots[2], self.slots[3] = state.more[1 : 1 + n], state.more[1 + n : 1 + 2 * n]
        self.value[:] = np.where(self.fired, state.more[1 + 2 * n : 1 + 3 * n], 0)
        for ring in self.rings:
            place = 1 + 3 * n + int(ring[RING_OFFSET])
            for i, row in enumerate(self.later[int(ring[RING_PORT]), int(ring[RING_FIRST])]):
                start = place + (self.t + i) % int(ring[RING_LENGTH]) * len(row)
                row[:] = state.more[start : start + len(row)]

    def store(self, state: State) -> None:
        """Write the state back; see `load`."""
        n = len(self.fired)
        state.u[:], state.v[:], state.fired[:] = self.u, self.v, self.fired
        if not len(state.more):
            return
        state.more[0] = self.t
        state.more[1 : 1 + n], state.more[1 + n : 1 + 2 * n] = self.slots[2], self.slots[3]
        state.more[1 + 2 * n : 1 + 3 * n] = self.value
        for ring in self.rings:
            place = 1 + 3 * n + int(ring[RING_OFFSET])
            for i, row in enumerate(self.later[int(ring[RING_PORT]), int(ring[RING_FIRST])]):
                start = place + (self.t + i) % int(ring[RING_LENGTH]) * len(row)
                state.more[start : start + len(row)] = row

    def state(self, name: str, what: str) -> Int64Array:
        """Return a state of a group by its name."""
        return self.slots[self.network.group(name).states.index(what), self.slices[name]]

    def step(
        self,
        inputs: npt.NDArray[np.integer] | BoolArray,
        noise: Callable[[str, Int64Array], Int64Array | None] | None = None,
    ) -> None:
        """Advance by one step: deliver the spikes of the step before, then update every group.

        Parameters
        ----------
        inputs : (n_inputs,) bool or int
            Values of the input spikes of this step, 0 for none; they reach their targets in the next.
        noise : callable, optional
            Perturbation of a group, in the unit of a LIF's current (1/64 weight), given its name and the values of the
            spikes of the step before (0: none); None for none. Models other than plain LIF get it at their first port,
            in whole weight units, rounded toward zero.
        """
        sent = self.value * self.fired
        sums = self._deliver(sent)
        self.delivered_at += self.fired
        self.t += 1
        self.n_run += 1
        for group in self.network.ordered_groups:
            where = self.slices[group.name]
            if isinstance(group, Input):
                self.value[where] = inputs[where]  # inputs come first in the numbering
                self.fired[where] = self.value[where] != 0
                self._count_spikes(group.name, where)
                continue
            assert not isinstance(group, CubaLIF)
            drawn = None if noise is None else noise(group.name, sent)
            if drawn is not None:
                self.counts[self.row[group.name], counters.PERTURBATIONS] += group.n
            if type(group) is LIF and group.is_uniform and not self.profile.chip:
                self._update(self.neurons.get(group.name, group), where, sums[group.name][0], drawn)
            else:
                if drawn is not None:
                    whole = shift_toward_zero(wrap_int32(drawn), INPUT_SHIFT)
                    sums[group.name][0] = wrap_int32(sums[group.name][0] + whole)
                self._update_model(group, where, sums[group.name])
            self.fired[where] = self.value[where] != 0
            self._count_spikes(group.name, where)

    def _deliver(self, value: Int64Array) -> dict[str, list[Int64Array]]:
        """Return what reaches each port of each group in this step; keep what comes later."""
        sums = {g.name: [np.zeros(g.n, np.int64) for _ in g.ports] for g in self.network.groups}
        for connection in self.connections:
            target = self.network.group(connection.target)
            port = target.ports.index(connection.port) if connection.port else 0
            sent = value[self.slices[connection.source]]
            matrices = self.matrices[connection.name]
            arriving = deliver(connection, matrices, sent, self.profile)
            operations = int((matrices.stored @ (sent != 0).astype(np.int64)).sum())
            self.counts[self.row[connection.name], counters.SYNAPTIC_OPERATIONS] += operations
            for delay, total in arriving.items():
                if connection.delays is None:
                    sums[connection.target][port] = wrap_int32(sums[connection.target][port] + total)
                else:
                    ring = self.later[port, self.slices[connection.target].start]
                    ring[delay] = wrap_int32(ring[delay] + total)
        for (port, first), ring in self.later.items():
            name = next(name for name, where in self.slices.items() if where.start == first and where.stop > first)
            sums[name][port] = wrap_int32(sums[name][port] + ring[0])
            ring[:-1] = ring[1:]
            ring[-1] = 0
        return sums

    def _update(self, group: LIF, where: slice, acc: Int64Array, noise: Int64Array | None) -> None:
        threshold = (np.asarray(group.vth) << INPUT_SHIFT) - int(self.profile.fires_at_threshold)
        out = update_lif(
            acc,
            np.zeros(group.n, np.int64) if noise is None else noise,
            self.u[where],
            self.v[where],
            group.bias,
            DECAY_ONE - (group.du + 1),
            DECAY_ONE - group.dv,
            threshold,
            threshold // 2,
        )
        self.u[where], self.v[where], self.value[where] = out.u, out.v, out.fired
        self.near[where] |= out.near
        self._count_updates(group, where, out)

    def _update_model(self, group: Neurons, where: slice, sums: list[Int64Array]) -> None:
        states = [self.slots[i, where] for i in range(len(group.states))]
        out = update_model(group, sums, states, self.t, self.profile)
        for i, new in enumerate(out.states):
            self.slots[i, where] = new
        self.value[where] = out.value
        self.near[where] |= came_near(group, out, self.profile)
        self._count_updates(group, where, out)

    def _count_updates(self, group: Neurons, where: slice, out: LIFStep | ModelStep) -> None:
        row, n_active = self.counts[self.row[group.name]], int(out.active.sum())
        self.active_at[where] += out.active
        row[counters.NEURON_UPDATES_ACTIVE] += n_active
        row[counters.NEURON_UPDATES_IDLE] += group.n - n_active
        row[counters.OVERFLOW_ACCUMULATOR] += out.n_over_input
        row[counters.OVERFLOW_U] += out.n_corrected
        row[counters.SATURATION_V] += out.n_saturated

    def _count_spikes(self, name: str, where: slice) -> None:
        row, fired = self.counts[self.row[name]], self.fired[where]
        self.fired_at[where] += fired
        row[counters.SPIKES] += int(fired.sum())
        sent = self.route[where][fired].sum(axis=0)
        row[counters.MESSAGES : counters.MESSAGES + len(sent)] += sent
