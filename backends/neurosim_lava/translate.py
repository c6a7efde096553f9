"""Between neurosim's descriptions and the messages of the worker."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.backend import RunResult, SpikeTrain
from neurosim.events import Events
from neurosim.network import LIF, Dense, Input, Network, Sparse
from neurosim_lava.wire import Arrays, Header


def request(network: Network, events: Events, n_steps: int) -> tuple[Header, Arrays]:
    """Describe a run for the worker, in integers only.

    Connections without synapses are left out: they add nothing, and Lava refuses empty matrices.
    """
    arrays: Arrays = {}
    groups: list[dict[str, Any]] = []
    inputs: list[dict[str, Any]] = []
    connections: list[dict[str, Any]] = []
    for group in network.ordered_groups:
        if isinstance(group, Input):
            start, neuron = _events_of(network, group, events, n_steps)
            arrays[f"start_{len(inputs)}"], arrays[f"neuron_{len(inputs)}"] = start, neuron
            inputs.append({"name": group.name, "n": group.n})
            continue
        assert isinstance(group, LIF)
        for register in ("bias_mant", "bias_exp"):
            value = np.asarray(getattr(group, register))
            arrays[f"{register}_{len(groups)}"] = np.broadcast_to(value, (group.n,)).astype(np.int16)
        probes = sorted({probe.what for probe in network.probes if probe.group == group.name})
        groups.append(
            {"name": group.name, "n": group.n, "du": group.du, "dv": group.dv, "vth": group.vth, "probes": probes}
        )
    for connection in network.connections:
        assert isinstance(connection, (Dense, Sparse))
        if isinstance(connection, Sparse) and not np.asarray(connection.data).size:
            continue
        i = len(connections)
        if isinstance(connection, Dense):
            arrays[f"weights_{i}"] = np.asarray(connection.weights, dtype=np.int16)
        else:
            arrays[f"row_{i}"] = np.asarray(connection.row, dtype=np.int32)
            arrays[f"col_{i}"] = np.asarray(connection.col, dtype=np.int32)
            arrays[f"data_{i}"] = np.asarray(connection.data, dtype=np.int16)
        connections.append({
            "kind": "dense" if isinstance(connection, Dense) else "sparse",
            "source": connection.source,
            "target": connection.target,
            "shape": list(connection.shape),
            "weight_exp": connection.weight_exp,
            "num_weight_bits": connection.num_weight_bits,
            "sign_mode": connection.sign_mode,
        })  # fmt: skip
    header = {"n_steps": n_steps, "n_samples": events.n_samples,
              "groups": groups, "inputs": inputs, "connections": connections}  # fmt: skip
    return header, arrays


def _events_of(
    network: Network, group: Input, events: Events, n_steps: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return start and neuron of one input's events, samples laid end to end with `n_steps` each."""
    first = network.offsets[group.name]
    row = np.repeat(np.arange(events.n_samples * events.n_steps), np.diff(events.start))
    sample, step = np.divmod(row, max(events.n_steps, 1))
    kept = (events.neuron >= first) & (events.neuron < first + group.n) & (step < n_steps)
    per_step = np.bincount((sample * n_steps + step)[kept], minlength=events.n_samples * n_steps)
    start = np.concatenate([[0], np.cumsum(per_step)]).astype(np.int64)
    return start, (events.neuron[kept] - first).astype(np.int32)


def result(network: Network, events: Events, n_steps: int, found: Arrays, backend: str, version: str) -> RunResult:
    """Turn the worker's answer into a `RunResult`; spikes of inputs are the events themselves."""
    lifs = [group.name for group in network.ordered_groups if isinstance(group, LIF)]
    spikes: dict[str, SpikeTrain] = {}
    states: dict[tuple[str, str], npt.NDArray[np.int32]] = {}
    for probe in network.probes:
        group = network.group(probe.group)
        if isinstance(group, Input):
            start, neuron = _events_of(network, group, events, n_steps)
            row = np.repeat(np.arange(len(start) - 1), np.diff(start))
            spikes[group.name] = _train(row, neuron, n_steps)
        elif probe.what == "spikes":
            packed = found[f"spikes_{lifs.index(group.name)}"]
            where = np.argwhere(np.unpackbits(packed, axis=1, count=group.n))
            spikes[group.name] = _train(where[:, 0], where[:, 1], n_steps)
        else:
            array = found[f"{probe.what}_{lifs.index(group.name)}"]
            states[group.name, probe.what] = array.reshape(events.n_samples, n_steps, group.n)
    return RunResult(spikes, states, None, None, backend, version)


def _train(row: npt.NDArray[Any], neuron: npt.NDArray[Any], n_steps: int) -> SpikeTrain:
    sample, step = np.divmod(row, max(n_steps, 1))
    return SpikeTrain(sample.astype(np.int32), step.astype(np.int32), neuron.astype(np.int32))


def nothing_recorded(network: Network) -> Arrays:
    """Return the answer for a run of no steps, no samples or no neurons."""
    found: Arrays = {}
    for i, group in enumerate(g for g in network.ordered_groups if isinstance(g, LIF)):
        found[f"spikes_{i}"] = np.zeros((0, -(-group.n // 8)), np.uint8)
        found[f"u_{i}"] = found[f"v_{i}"] = np.zeros((0, group.n), np.int32)
    return found
