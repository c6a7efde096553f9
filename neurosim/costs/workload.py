"""What a run costs in the terms of the `neurobench` package, counted exactly from our integers.

The terms are those of Yik et al., Nature Communications 16, 1545 (2025), as version 2.3.0 of the package counts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neurosim.backend import check_steps, get_backend
from neurosim.costs.footprint import Footprint, footprint, has_bias
from neurosim.costs.worktally import ConnectionWork, GroupWork, Tally, depths
from neurosim.errors import ConfigError, DataError, NetworkError
from neurosim.events import Events
from neurosim.network import Connection, Network, Probe
from neurosim.program import Program

BLOCK = 1 << 24  # values of v that are held at once: samples run in blocks of about so many


@dataclass(frozen=True)
class Workload:
    """What a run costs in NeuroBench's terms; all parts are sums over samples, in integers.

    Parameters
    ----------
    n_samples, n_steps : int
        Steps that each layer is counted for: calls of the model in torch.
    batch : int
        Samples that decide together whether a step is counted in ACs or MACs.
    groups : tuple of GroupWork
        Neurons; input lines are no layer of NeuroBench.
    connections : tuple of ConnectionWork
    footprint : Footprint
    """

    n_samples: int
    n_steps: int
    batch: int
    groups: tuple[GroupWork, ...]
    connections: tuple[ConnectionWork, ...]
    footprint: Footprint

    @property
    def activation_sparsity(self) -> float | None:
        """Zeros in the outputs of all neurons and steps; None without neurons."""
        outputs = sum(group.outputs for group in self.groups)
        return (outputs - sum(group.spikes for group in self.groups)) / outputs if outputs else None

    @property
    def synaptic_operations(self) -> dict[str, float]:
        """Per sample, with the names of NeuroBench."""
        sums = {
            "Effective_MACs": sum(part.effective_macs for part in self.connections),
            "Effective_ACs": sum(part.effective_acs for part in self.connections),
            "Dense": sum(part.dense for part in self.connections),
        }
        return {name: total / self.n_samples for name, total in sums.items()}

    @property
    def membrane_updates(self) -> float | None:
        """Per sample; None where a group has no membrane potential or the backend cannot show it."""
        return self._mean([group.membrane_updates for group in self.groups])

    @property
    def neuron_operations(self) -> dict[str, float] | None:
        """Per sample, with the names of NeuroBench; None where it has no cost for a group's model."""
        effective = self._mean([group.neuron_operations for group in self.groups])
        dense = self._mean([group.neuron_operations_dense for group in self.groups])
        if effective is None or dense is None:
            return None
        return {"Effective Neuron Ops": effective, "Neuron Dense Ops": dense}

    def _mean(self, parts: Sequence[int | None]) -> float | None:
        known = [part for part in parts if part is not None]
        return sum(known) / self.n_samples if len(known) == len(parts) else None

    def neurobench(self) -> dict[str, Any]:
        """Return what ``Benchmark.run()`` of NeuroBench 2.3.0 returns for a fresh model, with None where nothing can be said."""
        held = self.footprint
        sparsity = None  # NeuroBench divides in float32 and rounds to four places
        if held.weights:
            sparsity = round(float(np.float32(held.zero_weights) / np.float32(held.weights)), 4)
        return {
            "Footprint": held.torch_bytes,
            "ParameterCount": held.parameter_count,
            "ConnectionSparsity": sparsity,
            "ActivationSparsity": self.activation_sparsity,
            "SynapticOperations": self.synaptic_operations,
            "MembraneUpdates": self.membrane_updates,
            "NeuronOperations": self.neuron_operations,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return it in types that JSON can hold: NeuroBench's values, and the sums behind them."""
        return {
            "n_samples": self.n_samples,
            "n_steps": self.n_steps,
            "batch": self.batch,
            "neurobench": self.neurobench(),
            "footprint": self.footprint.to_dict(),
            "groups": [part._asdict() for part in self.groups],
            "connections": [part._asdict() for part in self.connections],
        }


def workload(
    program: Program,
    events: Events,
    *,
    n_steps: int | None = None,
    batch: int | None = None,
    aligned: bool = True,
    backend: str = "simulator",
    threads: int = 1,
) -> Workload:
    """Run a network and count what NeuroBench would count of the same network in torch.

    Parameters
    ----------
    program : Program
    events : Events
        All samples; each runs from rest.
    n_steps : int, optional
        Calls of the model in torch; ``events.n_steps`` by default.
    batch : int, optional
        Samples of a batch, all by default. A step counts as MACs as soon as one message of the batch is not -1, 0 or 1.
    aligned : bool
        True: torch calls all layers in one step. With us a spike takes a step to its target, so a group that is d
        connections away from the input does in step t + d what its layer does in call t. The run is as many steps longer as
        the deepest group is away, each group is counted in its steps d to n_steps + d - 1, and no spike that torch
        delivers is missing. False: steps are those of the chip for all groups. Then the model in torch gives each layer
        what the others sent in the call before, the first call delivers nothing, and what is sent in the last one is not
        delivered.
    backend : str
        Without the feature "probe_state" membrane updates are None.
    threads : int
        Does not change the result.

    Raises
    ------
    NetworkError
        If a connection has delays, which no layer of NeuroBench has, or if `aligned` and a group with a bias waits for
        its input: it would be driven in steps that the model in torch does not have.
    DataError
        If there are no samples.

    Notes
    -----
    A layer's inputs are messages where the connection has ``num_message_bits``, else 1 for each spike. Weights are those
    that the chip holds. A group's depth is the shortest way from the inputs (or from a group that no input reaches). In
    torch a connection from depth a to depth b, with b at most a + 1, then delivers a + 1 - b calls later: none from layer
    to layer, one within a layer.

    Examples
    --------
    >>> from neurosim import LIF, Dense, Input, Network, compile, events_from_dense
    >>> net = Network([Input("in", 2), LIF("out", 2, du=4095, vth=5)], [Dense("in", "out", [[6, 0], [3, 0]])])
    >>> work = workload(compile(net), events_from_dense([[[1, 0], [1, 1]]]))
    >>> work.synaptic_operations, work.activation_sparsity
    ({'Effective_MACs': 0.0, 'Effective_ACs': 4.0, 'Dense': 8.0}, 0.25)
    """
    steps = check_steps(events.n_steps if n_steps is None else n_steps)
    if events.n_samples < 1:
        raise DataError("events: no samples, so nothing can be counted for each; give at least one")
    size = _check_batch(events.n_samples if batch is None else batch)
    network = program.network
    _check_delays(network)
    depth = depths(network) if aligned else {group.name: 0 for group in network.groups}
    _check_biases(network, depth)
    chosen = get_backend(backend)
    states = "probe_state" in chosen.features
    probes = [Probe(group.name) for group in network.groups]
    probes += [Probe(group.name, "v") for group in network.groups if states and "v" in group.states]
    run_steps = steps + max(depth.values())
    per_block = max(1, BLOCK // (run_steps * network.n_neurons))
    tally = Tally(program, depth, steps, size, events.n_samples)
    with chosen.open(replace(program, network=network.with_probes(probes)), threads=threads) as runner:
        for first in range(0, events.n_samples, per_block):
            block = events.take(range(first, min(first + per_block, events.n_samples)))
            tally.add(runner.run(block, run_steps), first, block.n_samples)
    return Workload(events.n_samples, steps, size, tally.groups(), tally.connections(), footprint(program))


def _check_batch(batch: int) -> int:
    if not isinstance(batch, (int, np.integer)) or isinstance(batch, bool) or int(batch) < 1:
        raise ConfigError(f"batch: {batch!r} is not a positive integer; give the samples of a batch")
    return int(batch)


def _check_delays(network: Network) -> None:
    for connection in network.connections:
        if not isinstance(connection, Connection) and connection.delays is not None:
            raise NetworkError(
                f"connection {connection.name!r}: delays up to {int(np.asarray(connection.delays).max())} steps, which no layer that "
                "NeuroBench counts has; use a network without delays"
            )


def _check_biases(network: Network, depth: dict[str, int]) -> None:
    for group in network.groups:
        if depth[group.name] and has_bias(group):
            raise NetworkError(
                f"group {group.name!r}: its bias acts in {depth[group.name]} steps before its input arrives, which a model that "
                "calls all layers in one step does not have; use aligned=False"
            )
