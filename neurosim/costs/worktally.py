"""Add up what NeuroBench counts, block by block: spikes, changes of v and operations in the steps that count."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurosim.backend import RunResult
from neurosim.costs.footprint import TorchLayer, torch_layer, torch_neuron
from neurosim.errors import NetworkError
from neurosim.network import Connection, Group, Input, Network
from neurosim.program import Program


class GroupWork(NamedTuple):
    """What a group did, over all samples and steps; None where NeuroBench has no such term for its model."""

    group: str
    outputs: int  # neurons times steps times samples
    spikes: int  # outputs other than 0
    membrane_updates: int | None  # all neurons in the first step, then those whose v changed
    neuron_operations: int | None
    neuron_operations_dense: int | None


class ConnectionWork(NamedTuple):
    """Synaptic operations of a connection, over all samples and steps."""

    connection: str
    dense: int  # as if all inputs and weights were other than 0
    effective_acs: int  # in steps in which the whole batch sends -1, 0 and 1 only
    effective_macs: int  # in all other steps
    stored: int  # one for each spike and stored synapse: our counter `synaptic_operations`


def depths(network: Network) -> dict[str, int]:
    """Return the connections on the shortest way to each group, from an input or from a group that no input reaches."""
    depth = {group.name: 0 for group in network.groups if isinstance(group, Input)}
    _spread(network, depth)
    depth |= {group.name: 0 for group in network.groups if group.name not in depth}
    _spread(network, depth)
    return depth


def _spread(network: Network, depth: dict[str, int]) -> None:
    """Shorten and add ways in place until none is shorter."""
    changed = True
    while changed:
        changed = False
        for connection in network.connections:
            way = depth.get(connection.source)
            if way is not None and depth.get(connection.target, way + 2) > way + 1:
                depth[connection.target] = way + 1
                changed = True


class Tally:
    """Sums over blocks of samples.

    Parameters
    ----------
    program : Program
    depth : dict of group to int
        First step in which each group is counted; all 0: steps are those of the chip.
    steps : int
        Steps that are counted.
    batch : int
        Samples that decide together between ACs and MACs.
    n_samples : int
        Over all blocks.
    """

    def __init__(self, program: Program, depth: dict[str, int], steps: int, batch: int, n_samples: int) -> None:
        network = program.network
        self.network, self.depth, self.steps, self.batch, self.n_samples = network, depth, steps, batch, n_samples
        self.neurons = [group for group in network.groups if not isinstance(group, Input)]
        self.links = [c for c in network.connections if not isinstance(c, Connection)]
        self.layers: list[TorchLayer] = [torch_layer(c, program.arithmetic) for c in self.links]
        shape = (len(self.links), -(-n_samples // batch), steps)  # connection, batch, step
        self.effective, self.valued = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
        self.stored = [0] * len(self.links)
        self.spikes: dict[str, int] = {group.name: 0 for group in self.neurons}
        self.updates: dict[str, int] = {}

    def add(self, result: RunResult, first: int, n_samples: int) -> None:
        """Count the samples of a block, of which `first` is the first."""
        for group in self.neurons:
            start = self.depth[group.name]
            step = result.spikes[group.name].step
            if np.any(step < start):
                raise NetworkError(
                    f"group {group.name!r}: fires in step {int(step.min())}, before its input arrives in step {start}, so that "
                    "no model that calls all layers in one step does the same; use aligned=False"
                )
            self.spikes[group.name] += int(np.count_nonzero(step < start + self.steps))
            v = result.states.get((group.name, "v"))
            if v is not None:
                window = v[:, start : start + self.steps]
                changed = int(np.count_nonzero(window[:, 1:] != window[:, :-1]))
                self.updates[group.name] = self.updates.get(group.name, 0) + n_samples * group.n + changed
        for i, (connection, layer) in enumerate(zip(self.links, self.layers, strict=True)):
            train = result.spikes[connection.source]
            # In which torch delivers the spike; never before call 0, since a target is at most one connection further away.
            call = train.step.astype(np.int64) + 1 - self.depth[connection.target]
            counted = call < self.steps
            neuron, batch = train.neuron[counted], (first + train.sample[counted].astype(np.int64)) // self.batch
            place = batch * self.steps + call[counted]
            np.add.at(self.effective[i].reshape(-1), place, layer.effective[neuron])
            self.stored[i] += int(layer.stored[neuron].sum())
            if connection.num_message_bits and train.value is not None:
                wide = np.abs(train.value[counted].astype(np.int64)) > 1
                self.valued[i].reshape(-1)[place[wide]] = True

    def groups(self) -> tuple[GroupWork, ...]:
        """Return what the groups did."""
        return tuple(self._group(group) for group in self.neurons)

    def _group(self, group: Group) -> GroupWork:
        outputs = group.n * self.steps * self.n_samples
        updates, neuron = self.updates.get(group.name), torch_neuron(group)
        effective = None if updates is None or neuron is None else updates * neuron.operations
        dense = None if neuron is None else outputs * neuron.operations
        return GroupWork(group.name, outputs, self.spikes[group.name], updates, effective, dense)

    def connections(self) -> tuple[ConnectionWork, ...]:
        """Return the operations of the connections."""
        return tuple(
            ConnectionWork(
                layer.connection,
                layer.dense * self.steps * self.n_samples,
                int(self.effective[i][~self.valued[i]].sum()),
                int(self.effective[i][self.valued[i]].sum()),
                self.stored[i],
            )
            for i, layer in enumerate(self.layers)
        )
