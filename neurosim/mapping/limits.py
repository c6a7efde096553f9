"""Limits of a chip that each neuron must keep, and those of the whole network."""

from __future__ import annotations

import numpy as np

from neurosim.chip import Chip
from neurosim.errors import CapacityError
from neurosim.fixedpoint import RANGES, Int32Array, Int64Array
from neurosim.mapping.demand import Fan
from neurosim.mapping.route import distinct
from neurosim.network import Connection, Dense, Input, IntegerConnection, Network


def check_neurons(network: Network, chip: Chip, fans: dict[str, list[Fan]]) -> None:
    """Refuse a neuron with too many synapses in or out or too many different weights, and too many input lines."""
    if chip.inputs_max is not None and network.n_inputs > chip.inputs_max:
        raise CapacityError(
            f"network {network.name!r}: {network.n_inputs} input lines exceed the limit of {chip.inputs_max} of chip "
            f"{chip.name!r}; use fewer inputs, or another chip"
        )
    for group in network.ordered_groups:
        if chip.fan_in_max is not None and not isinstance(group, Input):
            received = fan_in_counts(network, group.name, fans[group.name], chip)
            _refuse(
                group.name,
                "receives",
                received,
                "synapses",
                chip.fan_in_max,
                chip,
                "use fewer sources or a sparse connection",
            )
        if chip.fan_out_max is not None and not isinstance(group, Input):
            sent = fan_out_counts(network, group.name, chip)
            _refuse(group.name, "sends to", sent, "synapses", chip.fan_out_max, chip, "connect it to fewer neurons")
        if chip.weight_levels_per_neuron is not None and not isinstance(group, Input):
            levels = weight_levels(network, group.name)
            what = "has", levels, "different weights", chip.weight_levels_per_neuron
            _refuse(group.name, *what, chip, "quantize to fewer values")
        if chip.delay_levels_per_neuron is not None and not isinstance(group, Input):
            levels = delay_levels(network, group.name)
            what = "sends with", levels, "different delays", chip.delay_levels_per_neuron
            _refuse(group.name, *what, chip, "use one delay for the synapses of a neuron")


def check_spread(network: Network, chip: Chip, core: Int32Array, sends: Int64Array) -> None:
    """Refuse a group on too many cores, and a neuron that sends to too many cores; input lines may send to all.

    `sends` is of `route.axons_out_of`.
    """
    offsets = network.offsets
    for group in network.groups:
        used = len(np.unique(core[offsets[group.name] : offsets[group.name] + group.n]))
        if not isinstance(group, Input) and chip.cores_per_group is not None and used > chip.cores_per_group:
            raise CapacityError(
                f"group {group.name!r}: needs {used} cores, chip {chip.name!r} spreads a group over {chip.cores_per_group} "
                "at most; use a smaller group, or split it into several"
            )
    if chip.target_cores_max is None:
        return
    for group in network.ordered_groups:
        if not isinstance(group, Input):
            n = sends[offsets[group.name] : offsets[group.name] + group.n]
            remedy = "connect it to neurons that fit on fewer cores, or relay through copies of it"
            _refuse(group.name, "sends to", n, "cores", chip.target_cores_max, chip, remedy)


def fan_in_counts(network: Network, group: str, fans: list[Fan], chip: Chip) -> Int64Array:
    """Return how many synapses each neuron of a group receives: (n,) int64. In a crossbar, a 0 is no synapse."""
    received = np.zeros(network.group(group).n, np.int64)
    for fan in fans:
        if isinstance(fan.connection, Dense):
            received += _of_dense(fan.connection, 1, chip)
        else:
            received += np.diff(np.asarray(fan.start))
    return received


def fan_out_counts(network: Network, group: str, chip: Chip) -> Int64Array:
    """Return how many synapses each neuron of a group has on others: (n,) int64. In a crossbar, a 0 is no synapse."""
    sent = np.zeros(network.group(group).n, np.int64)
    for connection in network.connections:
        assert not isinstance(connection, Connection)
        if connection.source == group:
            if isinstance(connection, Dense):
                sent += _of_dense(connection, 0, chip)
            else:
                sent += np.diff(connection.as_sparse().start)
    return sent


def _of_dense(connection: Dense, axis: int, chip: Chip) -> Int64Array:
    """Count the synapses of each neuron along one axis of the weights (n_post, n_pre)."""
    if chip.axon_row_bits is None:
        return np.full(connection.shape[1 - axis], connection.shape[axis], np.int64)
    return np.asarray(np.count_nonzero(np.asarray(connection.weights), axis=axis), dtype=np.int64)


def delay_levels(network: Network, group: str) -> Int64Array:
    """Return how many different delays each neuron of a group sends with: (n,) int64."""
    n, keys = network.group(group).n, [np.zeros(0, np.int64)]
    reach = RANGES["delay"].high + 1
    for connection in network.connections:
        assert not isinstance(connection, Connection)
        if connection.source == group:
            if isinstance(connection, Dense):
                pre = np.tile(np.arange(n), connection.shape[0])
            else:
                pre = np.asarray(connection.as_sparse().col)
            delays = 0 if connection.delays is None else np.asarray(connection.delays, dtype=np.int64).ravel()
            keys.append(pre * reach + delays)
    return np.bincount(distinct(keys) // reach, minlength=n).astype(np.int64)


def weight_levels(network: Network, group: str) -> Int64Array:
    """Return how many different weights, zero apart and exponents included, each neuron of a group has: (n,) int64."""
    n, keys = network.group(group).n, [np.zeros(0, np.int64)]
    lowest, reach = RANGES["weight_exp"][0], 1 << 24  # 9 bits of weight, shifted by up to 15
    for connection in network.connections:
        assert not isinstance(connection, Connection)
        if connection.target == group:
            post, weight = _weights(connection)
            value = weight << (connection.weight_exp - lowest)
            keys.append((post * (2 * reach) + value + reach)[weight != 0])
    return np.bincount(distinct(keys) // (2 * reach), minlength=n).astype(np.int64)


def _weights(connection: IntegerConnection) -> tuple[Int64Array, Int64Array]:
    if isinstance(connection, Dense):
        weights = np.asarray(connection.weights, dtype=np.int64)
        return np.repeat(np.arange(weights.shape[0]), weights.shape[1]), weights.ravel()
    sparse = connection.as_sparse()
    return np.asarray(sparse.row), np.asarray(sparse.data)


def _refuse(group: str, does: str, n: Int64Array, what: str, limit: int, chip: Chip, remedy: str) -> None:
    worst = int(np.argmax(n)) if len(n) else 0
    if len(n) and n[worst] > limit:
        raise CapacityError(
            f"group {group!r}: neuron {worst} {does} {n[worst]} {what}, limit of chip {chip.name!r} is {limit}; {remedy}"
        )
