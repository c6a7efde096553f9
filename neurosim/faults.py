"""Break a chip on purpose: stuck synapses, dead neurons and thresholds that vary, each by hash of a seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.errors import ConfigError
from neurosim.faultconfig import FaultConfig
from neurosim.fixedpoint import RANGES, weight_range
from neurosim.learning.keys import stream_key, uniform_bits
from neurosim.network import LIF, Connection, Conv, Dense, Group, Input, IntegerConnection, Network, Sparse
from neurosim.neurons import TernaryLIF
from neurosim.normaltable import normal_table

BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]

STREAM_SYNAPSES, STREAM_DEAD, STREAM_THRESHOLDS = 101, 102, 103  # of a fault seed; apart from those of a training run
TABLE_STD = 16  # standard deviation of the normal table
LARGEST_VTH = RANGES["vth"][1]
LOWEST_VTH = RANGES["vth_lo"][0]


class Faults(NamedTuple):
    """What is broken, by name of connection and group."""

    stuck: dict[str, BoolArray]  # in the shape of a connection's weights: those that no write reaches
    weights: dict[str, Int64Array]  # all weights as the chip holds them when learning begins
    dead: dict[str, BoolArray]  # (n,) of each group that is meant to fire
    groups: dict[str, LIF]  # with their thresholds on the chip; only those whose thresholds are others than described

    @property
    def n_stuck(self) -> int:
        """Synapses that are stuck; the weights of a kernel count once."""
        return sum(int(np.count_nonzero(stuck)) for stuck in self.stuck.values())

    @property
    def n_synapses(self) -> int:
        """Synapses that there are."""
        return sum(stuck.size for stuck in self.stuck.values())

    @property
    def n_dead(self) -> int:
        """Neurons that never fire and are meant to."""
        return sum(int(np.count_nonzero(dead)) for dead in self.dead.values())


def draw_faults(network: Network, config: FaultConfig) -> Faults:
    """Draw the faults of a chip that holds a quantised network.

    What is stuck is a stored weight: one synapse of dense and sparse connections; of a convolution, whose kernel a core stores
    once, one weight of the kernel, with all its places. A dead neuron has the largest threshold, and where it has synapses of
    its own they are stuck at zero, so that it sends nothing. A threshold is the described one times 1 + spread x normal; both
    thresholds of a ternary neuron change alike. Groups that are meant never to fire, such as most readouts, stay as they are.

    Raises
    ------
    ConfigError
        If a connection has float weights, or neurons without such a threshold are to die or to vary.
    """
    dead: dict[str, BoolArray] = {}
    groups: dict[str, LIF] = {}
    for g, group in enumerate(network.ordered_groups):
        if isinstance(group, LIF):
            fires, silent, broken = _break_group(group, config, g)
            if fires.any():
                dead[group.name] = silent
            if broken is not None:
                groups[group.name] = broken
        elif not isinstance(group, Input) and (config.dead or config.threshold_spread):
            raise ConfigError(
                f"group {group.name!r}: {type(group).__name__} has no threshold of the LIF family that could die or vary; "
                "leave faults.dead and faults.threshold_spread at 0"
            )
    stuck: dict[str, BoolArray] = {}
    weights: dict[str, Int64Array] = {}
    for c, connection in enumerate(network.connections):
        if isinstance(connection, Connection):
            raise ConfigError(
                f"connection {connection.name!r}: has float weights, faults are those of chip integers; quantize the network first"
            )
        key = stream_key(config.seed, STREAM_SYNAPSES, c)
        stuck[connection.name], weights[connection.name] = _stick(connection, dead.get(connection.source), config, key)
    return Faults(stuck, weights, dead, groups)


def _break_group(group: LIF, config: FaultConfig, g: int) -> tuple[BoolArray, BoolArray, LIF | None]:
    """Return which neurons are meant to fire, which are dead, and the group as it is on the chip if that differs."""
    names = {"vth_hi": LARGEST_VTH, "vth_lo": LOWEST_VTH} if isinstance(group, TernaryLIF) else {"vth": LARGEST_VTH}
    given = {name: np.broadcast_to(np.asarray(getattr(group, name), np.int64), (group.n,)) for name in names}
    fires = np.any([given[name] != never for name, never in names.items()], axis=0)
    dead = _chosen(stream_key(config.seed, STREAM_DEAD, g), group.n, config.dead) & fires
    key = stream_key(config.seed, STREAM_THRESHOLDS, g)
    broken: dict[str, int | Int64Array] = {}
    for name, never in names.items():
        varied = _varied(given[name], config.threshold_spread, key)
        vth = np.where(dead, never, np.where(fires, varied, given[name]))
        if (vth != given[name]).any():
            broken[name] = int(vth[0]) if (vth == vth[0]).all() else vth
    return np.asarray(fires), dead, replace(group, **broken) if broken else None  # type: ignore[arg-type]


def _stick(
    connection: IntegerConnection, dead: BoolArray | None, config: FaultConfig, key: int
) -> tuple[BoolArray, Int64Array]:
    """Return which weights are stuck, and all with those at their value; each has one word of hash."""
    held = np.asarray(connection.data if isinstance(connection, Sparse) else connection.weights, np.int64)
    words = uniform_bits(key, held.size).reshape(held.shape)
    place = (words >> np.uint64(32)).astype(np.int64)  # 32 bits choose the fault, the lowest one the sign
    zero, largest, present = (
        round(share * 2**32) for share in (config.stuck_zero, config.stuck_largest, config.stuck_present)
    )
    low, high = weight_range(connection.num_weight_bits, connection.sign_mode or "mixed")
    positive = (words & np.uint64(1)).astype(np.bool_)
    ends = np.where(positive, high or low, low or high)  # formats of one sign have one end
    new = np.where(place < zero, 0, np.where(place < zero + largest, ends, held))
    stuck = place < zero + largest + present
    if dead is not None and not isinstance(connection, Conv):  # whose weights other neurons use as well
        silent = dead if isinstance(connection, Dense) else dead[np.asarray(connection.as_sparse().col)]
        new, stuck = np.where(silent, 0, new), stuck | silent
    return stuck, new


def _chosen(key: int, n: int, share: float) -> BoolArray:
    return np.asarray((uniform_bits(key, n) >> np.uint64(32)).astype(np.int64) < round(share * 2**32))


def _varied(vth: Int64Array, spread: float, key: int) -> Int64Array:
    """Return thresholds times 1 + spread x normal, from the integer table; 1 or more in size, and below those that never fire.

    Negative ones change as their opposites do.
    """
    drawn = normal_table()[(uniform_bits(key, len(vth)) >> np.uint64(56)).astype(np.int64)].astype(np.int64)
    parts, size = 1 << 16, np.abs(vth)
    change = size * drawn * round(spread * parts) // (TABLE_STD * parts)
    varied = np.sign(vth) * np.clip(size + change, 1, LARGEST_VTH - 1)
    return np.asarray(np.where(size < LARGEST_VTH, varied, vth), np.int64)


def faulty_network(network: Network, faults: Faults) -> Network:
    """Return what the broken chip holds: stuck weights at their values, a threshold for each neuron."""
    return with_groups(with_stuck_weights(network, faults), faults.groups.values())


def with_stuck_weights(network: Network, faults: Faults) -> Network:
    """Return the network with stuck weights at their values; all other weights stay as they are."""
    weights = {}
    for connection in network.connections:
        assert not isinstance(connection, Connection)  # nothing was drawn for it
        held = connection.data if isinstance(connection, Sparse) else connection.weights
        weights[connection.name] = np.where(faults.stuck[connection.name], faults.weights[connection.name], held)
    return network.with_weights(weights)


def with_groups(network: Network, groups: Iterable[LIF]) -> Network:
    """Return the network with other groups in place of those of the same names."""
    others: dict[str, Group] = {group.name: group for group in groups}
    return replace(network, groups=tuple(others.get(group.name, group) for group in network.groups))
