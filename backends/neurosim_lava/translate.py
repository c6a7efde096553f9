"""Between neurosim's descriptions and the messages of the worker."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.backend import RunResult, SpikeTrain
from neurosim.events import Events
from neurosim.network import AnyConnection, Connection, Conv, CubaLIF, Dense, Input, Network
from neurosim.neurons import Neurons, rest_of
from neurosim_lava.wire import Arrays, Header

#: Registers that each neuron has of its own in Lava; all others are one number per group there.
OWN_REGISTERS = ("bias_mant", "bias_exp", "bias", "vth_hi", "vth_lo")


def request(network: Network, events: Events, n_steps: int, period: int = 0) -> tuple[Header, Arrays]:
    """Describe a run for the worker, in integers only.

    Connections without synapses are left out: they add nothing, and Lava refuses empty matrices.

    Parameters
    ----------
    network : Network
        In chip integers.
    events : Events
    n_steps : int
        Of one sample.
    period : int
        Steps from the start of a sample to that of the next; 0: as many as `n_steps`.
    """
    arrays: Arrays = {}
    groups: list[dict[str, Any]] = []
    inputs: list[dict[str, Any]] = []
    for group in network.ordered_groups:
        if isinstance(group, Input):
            found = _events_of(network, group, events, n_steps)
            arrays |= {f"{name}_{len(inputs)}": array for name, array in found.items()}
            inputs.append({"name": group.name, "n": group.n})
            continue
        assert not isinstance(group, CubaLIF)
        described, own = _group(network, group)
        arrays |= {f"{register}_{len(groups)}": value for register, value in own.items()}
        groups.append(described)
    connections: list[dict[str, Any]] = []
    for connection in network.connections:
        described, own = _connection(network, connection)
        if own:
            arrays |= {f"{name}_{len(connections)}": array for name, array in own.items()}
            connections.append(described)
    header = {"n_steps": n_steps, "period": period or n_steps, "n_samples": events.n_samples,
              "groups": groups, "inputs": inputs, "connections": connections}  # fmt: skip
    return header, arrays


def _group(network: Network, group: Neurons) -> tuple[dict[str, Any], Arrays]:
    """Return a group's model and its parameters: one for all, and one for each neuron."""
    described: dict[str, Any] = {"model": type(group).__name__}
    own: Arrays = {}
    for register in dataclasses.fields(group):
        value = getattr(group, register.name)
        if register.name in OWN_REGISTERS:
            own[register.name] = np.broadcast_to(np.asarray(value), (group.n,)).astype(np.int32)
        else:
            described[register.name] = value.item() if isinstance(value, np.generic) else value
    described["registers"] = list(own)
    described["states"] = list(group.states)
    described["rest"] = list(rest_of(group))
    described["probes"] = sorted({probe.what for probe in network.probes if probe.group == group.name})
    described["graded"] = group.graded
    return described, own


def _connection(network: Network, connection: AnyConnection) -> tuple[dict[str, Any], Arrays]:
    """Return a connection's settings and its synapses; no arrays where it has none."""
    assert not isinstance(connection, Connection)
    ports = network.group(connection.target).ports
    described: dict[str, Any] = {
        "kind": {Dense: "dense", Conv: "conv"}.get(type(connection), "sparse"),
        "source": connection.source,
        "target": connection.target,
        "port": connection.port or ports[0],
        "shape": list(connection.shape),
        "weight_exp": connection.weight_exp,
        "num_weight_bits": connection.num_weight_bits,
        "sign_mode": connection.sign_mode,
        "num_message_bits": connection.num_message_bits,
    }
    if isinstance(connection, Conv):
        stride, padding, dilation = connection.geometry
        described |= {"input_shape": list(connection.input_shape), "stride": list(stride), "padding": list(padding),
                      "dilation": list(dilation), "groups": connection.groups}  # fmt: skip
        return described, {"weights": np.asarray(connection.weights, dtype=np.int16)}
    if isinstance(connection, Dense):
        own: Arrays = {"weights": np.asarray(connection.weights, dtype=np.int16)}
        delays = connection.delays
    else:
        sparse = connection.as_sparse()
        if not np.asarray(sparse.data).size:
            return described, {}
        own = {"row": np.asarray(sparse.row, np.int32), "col": np.asarray(sparse.col, np.int32),
               "data": np.asarray(sparse.data, np.int16)}  # fmt: skip
        delays = sparse.delays
    if delays is not None:
        own["delays"] = np.asarray(delays, dtype=np.uint8)
    return described, own


def _events_of(network: Network, group: Input, events: Events, n_steps: int) -> Arrays:
    """Return start, neuron and value (where given) of one input's events, `n_steps` for each sample."""
    first = network.offsets[group.name]
    row = np.repeat(np.arange(events.n_samples * events.n_steps), np.diff(events.start))
    sample, step = np.divmod(row, max(events.n_steps, 1))
    kept = (events.neuron >= first) & (events.neuron < first + group.n) & (step < n_steps)
    per_step = np.bincount((sample * n_steps + step)[kept], minlength=events.n_samples * n_steps)
    found: Arrays = {
        "start": np.concatenate([[0], np.cumsum(per_step)]).astype(np.int64),
        "neuron": (events.neuron[kept] - first).astype(np.int32),
    }
    if events.value is not None:
        found["value"] = events.value[kept]
    return found


def result(
    network: Network, events: Events, n_steps: int, found: Arrays, backend: str, version: str, graded: bool = False
) -> RunResult:
    """Turn the worker's answer into a `RunResult`; spikes of inputs are the events themselves.

    Parameters
    ----------
    graded : bool
        Whether the program has more than plain LIF neurons and binary connections, so that spikes of groups with
        graded messages come with values.
    """
    neurons = [group.name for group in network.ordered_groups if not isinstance(group, Input)]
    spikes: dict[str, SpikeTrain] = {}
    states: dict[tuple[str, str], npt.NDArray[np.int32]] = {}
    for probe in network.probes:
        group = network.group(probe.group)
        value: npt.NDArray[Any] | None = None
        if isinstance(group, Input):
            mine = _events_of(network, group, events, n_steps)
            row = np.repeat(np.arange(len(mine["start"]) - 1), np.diff(mine["start"]))
            if graded:
                value = mine.get("value", np.ones(len(row), np.int32))
            spikes[group.name] = _train(row, mine["neuron"], n_steps, value)
            continue
        i = neurons.index(group.name)
        if probe.what != "spikes":
            array = found[f"{probe.what}_{i}"]
            states[group.name, probe.what] = array.reshape(events.n_samples, n_steps, group.n)
            continue
        if group.graded:
            messages = found[f"values_{i}"]
            where = np.argwhere(messages)
            value = messages[where[:, 0], where[:, 1]]
        else:
            where = np.argwhere(np.unpackbits(found[f"spikes_{i}"], axis=1, count=group.n))
        spikes[group.name] = _train(where[:, 0], where[:, 1], n_steps, value)
    return RunResult(spikes, states, None, None, backend, version)


def _train(row: npt.NDArray[Any], neuron: npt.NDArray[Any], n_steps: int, value: npt.NDArray[Any] | None) -> SpikeTrain:
    sample, step = np.divmod(row, max(n_steps, 1))
    values = None if value is None else value.astype(np.int32)
    return SpikeTrain(sample.astype(np.int32), step.astype(np.int32), neuron.astype(np.int32), values)


def joined(parts: list[Arrays]) -> Arrays:
    """Return the answers of several requests, each for some samples, as one."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def nothing_recorded(network: Network) -> Arrays:
    """Return the answer for a run of no steps, no samples or no neurons."""
    found: Arrays = {}
    for i, group in enumerate(g for g in network.ordered_groups if not isinstance(g, Input)):
        found[f"spikes_{i}"] = np.zeros((0, -(-group.n // 8)), np.uint8)
        found |= {f"{what}_{i}": np.zeros((0, group.n), np.int32) for what in ("values", *group.states)}
    return found
