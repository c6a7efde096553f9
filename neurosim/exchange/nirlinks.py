"""Connections in chip integers as chains of NIR's linear nodes, with Delay nodes where the chip is slower than layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import UnsupportedNode
from neurosim.exchange.imported import ImportNote
from neurosim.exchange.lowering_timing import schedule
from neurosim.exchange.nirgroups import FloatGroup
from neurosim.exchange.nirshapes import Place, as_torch
from neurosim.fixedpoint import ARITHMETICS, lost_weight_bits, truncate_weights
from neurosim.network import AnyConnection, Connection, Conv, Dense, Network

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MAX_MATRIX = 1 << 24  # elements of all matrices of a connection: 128 MiB


@dataclass(frozen=True, eq=False)
class Chain:
    """Linear nodes from one group to another.

    Parameters
    ----------
    source, target : str
    nodes : list of (str, nir.NIRNode)
        Each with a word for its name.
    brings_bias : bool
        Whether the bias of the target comes through it.
    """

    source: str
    target: str
    nodes: list[tuple[str, Any]]
    brings_bias: bool = False


def chains(
    network: Network,
    groups: Mapping[str, FloatGroup],
    places: Mapping[str, Place],
    arithmetic: str,
    notes: list[ImportNote],
) -> list[Chain]:
    """Return all connections of a network as chains of nodes; several where one has several delays.

    Raises
    ------
    UnsupportedNode
        If a connection multiplies with values of messages, has another port, or is too large for a matrix.
    """
    for connection in network.connections:
        _refuse_unsayable(connection)
    wait = _waits(network)
    found: list[Chain] = []
    biased: set[str] = set()
    for connection in network.connections:
        source, target = places[connection.source], places[connection.target]
        group = groups[connection.target]
        wants_bias = group.takes_bias_as_input and bool(np.any(group.bias)) and connection.target not in biased
        first = wait[connection.source, connection.target]
        if isinstance(connection, Conv) and source.shape == as_torch(connection.input_shape):
            bias = _shared_bias(group.input_bias, connection) if wants_bias else None
            nodes = [*_delay(source, first, network.dt), ("conv", _convolution(connection, group.input_scale, bias))]
            if len(target.shape) == 1:
                nodes.append(("flatten", _flatten(as_torch(connection.output_shape))))
            found.append(Chain(connection.source, connection.target, nodes, bias is not None))
        else:
            bias = group.input_bias if wants_bias else None
            found += _matrices(connection, source, target, group.input_scale, first, network.dt, bias, arithmetic)
        if found[-1].brings_bias:
            biased.add(connection.target)
        if not isinstance(connection, (Connection, Conv)) and connection.weight_exp < 0:
            notes.append(
                ImportNote(
                    connection.name, "info", "the chip rounds the sum of each step down to whole units, floats do not"
                )
            )
    return found


def _refuse_unsayable(connection: AnyConnection) -> None:
    if connection.num_message_bits:
        raise UnsupportedNode(
            f"connection {connection.name!r}: multiplies with values of messages ({connection.num_message_bits} bits); "
            "NIR's neurons send spikes: use num_message_bits=0"
        )
    if getattr(connection, "port", ""):
        raise UnsupportedNode(f"connection {connection.name!r}: NIR's neurons have one input; use the first port")


def _waits(network: Network) -> dict[tuple[str, str], int]:
    """Return by how many steps beyond its own delay each connection is slower than in a framework.

    A group is as many steps behind the framework as spikes need on the shortest way from an input. Then no connection would have
    to be faster than layers that act at once, or feedback that takes one step.
    """
    names = [group.name for group in network.ordered_groups]
    least = {(c.source, c.target): int(_delays(c).min(initial=62)) for c in network.connections}
    targets = {name: [c.target for c in network.connections if c.source == name] for name in names}
    order = schedule(names, targets)
    onward = {
        edge: 1 if order.lag[edge[1]] > order.lag[edge[0]] else 0 for edge in least
    }  # lags rise but along feedback
    entered = {target for _, target in least}
    lag = {name: 0 if name not in entered else len(names) * 64 for name in names}
    for _ in names:
        for (source, target), delay in least.items():
            lag[target] = min(lag[target], lag[source] + delay + onward[source, target])
    return {(s, t): onward[s, t] + lag[s] - lag[t] for s, t in least}


def _delays(connection: AnyConnection) -> Ints:
    """Return the delays of a connection's synapses, those of `as_sparse` or of a matrix; 0 if it has none."""
    delays = getattr(connection, "delays", None)
    return np.zeros(1, np.int64) if delays is None else np.asarray(delays, np.int64)


def _delay(place: Place, steps: int, dt: float) -> list[tuple[str, Any]]:
    import nir

    assert steps >= 0
    return [("delay", nir.Delay(np.full(place.shape, steps * dt)))] if steps else []


def _flatten(shape: tuple[int, ...]) -> Any:
    import nir

    return nir.Flatten({"input": np.array(shape)}, 0, -1)


def _shared_bias(bias: Floats, connection: Conv) -> Floats | None:
    """Return the bias of each channel of a convolution's target; None if neurons of a channel differ."""
    channels = bias.reshape(-1, connection.output_shape[2])
    return channels[0] if np.all(channels == channels[0]) else None


def _convolution(connection: Conv, scale: float, bias: Floats | None) -> Any:
    import nir

    weights = np.asarray(connection.weights)[:, ::-1, ::-1].transpose(0, 3, 2, 1) / scale
    stride, padding, dilation = (pair[::-1] for pair in connection.geometry)
    width, height, _ = connection.input_shape
    return nir.Conv2d(
        (height, width), np.ascontiguousarray(weights), stride, padding, dilation, connection.groups,
        np.zeros(len(weights)) if bias is None else np.array(bias),
    )  # fmt: skip


def _matrices(
    connection: AnyConnection, source: Place, target: Place, scale: float, first: int, dt: float, bias: Floats | None, arithmetic: str
) -> list[Chain]:  # fmt: skip
    """Return a connection as matrices, one for each delay."""
    import nir

    n_post, n_pre = connection.shape
    weights, delays = _effective(connection, arithmetic) if n_post * n_pre <= MAX_MATRIX else (np.zeros(0), np.zeros(0))
    n_matrices = len(np.unique(delays)) or 1
    if n_matrices * n_post * n_pre > MAX_MATRIX:
        raise UnsupportedNode(
            f"connection {connection.name!r}: NIR has matrices and convolutions only; {n_matrices} of {n_post} x {n_pre} (one for "
            f"each delay) exceed the limit of {MAX_MATRIX} elements; make the groups smaller, or the delays equal"
        )
    weights = weights / scale
    found: list[Chain] = []
    for delay in np.unique(delays[weights != 0]) if np.any(weights) else [0]:
        matrix = np.zeros((n_post, n_pre))
        matrix[np.ix_(target.order, source.order)] = np.where(delays == delay, weights, 0.0)
        nodes = _delay(source, int(delay) + first, dt)
        if len(source.shape) > 1:
            nodes.append(("flatten", _flatten(source.shape)))
        if bias is None or found:
            nodes.append(("linear", nir.Linear(matrix)))
        else:
            laid = np.empty(n_post)
            laid[target.order] = bias
            nodes.append(("affine", nir.Affine(matrix, laid)))
        found.append(Chain(connection.source, connection.target, nodes, bias is not None))
    return found


def _effective(connection: AnyConnection, arithmetic: str) -> tuple[Floats, Ints]:
    """Return what each synapse adds in units of weight, and its delay, both (n_post, n_pre)."""
    assert not isinstance(connection, Connection)
    if isinstance(connection, Dense):
        stored, delays = np.asarray(connection.weights), np.broadcast_to(_delays(connection), connection.shape)
    else:
        sparse = connection.as_sparse()
        stored, delays = np.zeros(connection.shape, np.int64), np.zeros(connection.shape, np.int64)
        row, col = np.asarray(sparse.row), np.asarray(sparse.col)
        stored[row, col], delays[row, col] = np.asarray(sparse.data), _delays(sparse)
    if isinstance(connection, Conv):
        return stored.astype(np.float64), delays
    kept = truncate_weights(stored, connection.num_weight_bits, str(connection.sign_mode))
    if ARITHMETICS[arithmetic].cuts_each_weight and connection.weight_exp < 0:
        low = lost_weight_bits(connection.num_weight_bits, str(connection.sign_mode))
        shift = low + connection.weight_exp
        whole = kept >> low
        return (whole << shift if shift >= 0 else whole >> -shift).astype(np.float64), delays
    return kept.astype(np.float64) * 2.0**connection.weight_exp, delays
