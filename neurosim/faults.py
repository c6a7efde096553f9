"""Break a chip on purpose: stuck synapses, dead neurons and thresholds that vary, each by hash of a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import CONNECTION
from neurosim.errors import ConfigError, DataError
from neurosim.fixedpoint import INPUT_SHIFT, RANGES, lost_weight_bits
from neurosim.learning.keys import stream_key, uniform_bits
from neurosim.learning.population import SimulatorLearner
from neurosim.learning.trainer import Stuck
from neurosim.learnplan import LearnPlan, initial_weights
from neurosim.network import LIF, AnyConnection, Dense, Group, Network
from neurosim.normaltable import normal_table
from neurosim.program import Program

BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]

ZERO, LARGEST, PRESENT = "zero", "largest", "present"
STREAM_SYNAPSES, STREAM_DEAD, STREAM_THRESHOLDS = 101, 102, 103  # of a fault seed; apart from those of a training run
TABLE_STD = 16  # standard deviation of the normal table
LARGEST_VTH = RANGES["vth"][1]


@dataclass(frozen=True)
class FaultRates:
    """How much of a chip is broken.

    Parameters
    ----------
    zero, largest, present : float
        Shares of the synapses whose weight is stuck at zero, at the end of its range (either sign, by hash), and at
        what it holds now; 0..1 each and in sum.
    dead : float
        Share of the neurons that never fire, 0..1.
    threshold_spread : float
        Standard deviation of a neuron's threshold, in thresholds, 0..0.3 (the table of normal shape ends at 2.9
        standard deviations, so that no threshold falls to zero).
    seed : int
        Names the chip: the same seed breaks the same parts.
    """

    zero: float = 0.0
    largest: float = 0.0
    present: float = 0.0
    dead: float = 0.0
    threshold_spread: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name, high in (("zero", 1.0), ("largest", 1.0), ("present", 1.0), ("dead", 1.0), ("threshold_spread", 0.3)):
            value = getattr(self, name)
            if not 0 <= value <= high:
                raise ConfigError(f"faults: {name} {value} is outside 0..{high}; choose a value in between")
        if self.zero + self.largest + self.present > 1:
            total = self.zero + self.largest + self.present
            raise ConfigError(
                f"faults: zero, largest and present are {total:.3g} in sum, more than all synapses; lower one"
            )


class Faults(NamedTuple):
    """What is broken, by name of connection and group."""

    stuck: dict[str, BoolArray]  # (n_post, n_pre) synapses that no write reaches
    weights: dict[str, Int64Array]  # (n_post, n_pre) what the chip holds then
    dead: dict[str, BoolArray]  # (n,)
    vth: dict[str, Int64Array]  # (n,) thresholds; groups at the largest, which never fire, keep it


def draw_faults(network: Network, rates: FaultRates) -> Faults:
    """Draw the faults of a chip that holds a quantised network with dense connections.

    A dead neuron has the largest threshold and sends nothing: its outgoing synapses are stuck at zero.
    """
    dead: dict[str, BoolArray] = {}
    vth: dict[str, Int64Array] = {}
    for g, group in enumerate(network.ordered_groups):
        if not isinstance(group, LIF):
            continue
        given = np.broadcast_to(np.asarray(group.vth, np.int64), (group.n,))
        fires = given < LARGEST_VTH
        dead[group.name] = _chosen(stream_key(rates.seed, STREAM_DEAD, g), group.n, rates.dead) & fires
        varied = _varied(given, rates.threshold_spread, stream_key(rates.seed, STREAM_THRESHOLDS, g))
        vth[group.name] = np.where(dead[group.name] | ~fires, LARGEST_VTH, varied)
    stuck: dict[str, BoolArray] = {}
    weights: dict[str, Int64Array] = {}
    for c, connection in enumerate(network.connections):
        if not isinstance(connection, Dense) or connection.delays is not None:
            raise ConfigError(
                f"connection {connection.name!r}: faults are drawn for dense integer connections without delays, this is "
                f"{type(connection).__name__}; quantise it, or describe it as Dense"
            )
        key = stream_key(rates.seed, STREAM_SYNAPSES, c)
        stuck[connection.name], weights[connection.name] = _stick(connection, dead.get(connection.source), rates, key)
    return Faults(stuck, weights, dead, vth)


def _stick(connection: Dense, dead: BoolArray | None, rates: FaultRates, key: int) -> tuple[BoolArray, Int64Array]:
    """Return which synapses are stuck, and the weights with those at their value; a synapse has one word of hash."""
    held = np.array(connection.weights, np.int64)
    words = uniform_bits(key, held.size).reshape(held.shape)
    place = (words >> np.uint64(32)).astype(np.int64)  # 32 bits choose the fault, the lowest one the sign
    zero, largest, present = (round(share * 2**32) for share in (rates.zero, rates.largest, rates.present))
    lost = lost_weight_bits(connection.num_weight_bits, "mixed")
    end = 1 << (connection.num_weight_bits - 1)
    positive = (words & np.uint64(1)).astype(np.bool_)
    ends = np.where(positive, (end - 1) << lost, -end << lost)
    new = np.where(place < zero, 0, np.where(place < zero + largest, ends, held))
    stuck = place < zero + largest + present
    if dead is not None:
        new, stuck = np.where(dead, 0, new), stuck | dead
    return stuck, new


def _chosen(key: int, n: int, share: float) -> BoolArray:
    return np.asarray((uniform_bits(key, n) >> np.uint64(32)).astype(np.int64) < round(share * 2**32))


def _varied(vth: Int64Array, spread: float, key: int) -> Int64Array:
    """Return thresholds times 1 + spread x normal, from the integer table, in 1..the largest below `LARGEST_VTH`."""
    drawn = normal_table()[(uniform_bits(key, len(vth)) >> np.uint64(56)).astype(np.int64)].astype(np.int64)
    parts = 1 << 16
    change = vth * drawn * round(spread * parts) // (TABLE_STD * parts)
    return np.asarray(np.clip(vth + change, 1, LARGEST_VTH - 1), np.int64)


def faulty_network(network: Network, faults: Faults) -> Network:
    """Return what the broken chip holds: stuck weights at their values, a threshold for each neuron."""
    groups: list[Group] = []
    for group in network.groups:
        if isinstance(group, LIF) and group.name in faults.vth:
            vth = faults.vth[group.name]
            group = replace(group, vth=int(vth[0]) if (vth == vth[0]).all() else vth)
        groups.append(group)
    return replace(with_stuck_weights(network, faults), groups=tuple(groups))


def with_stuck_weights(network: Network, faults: Faults) -> Network:
    """Return the network with stuck weights at their values; all other weights stay as they are."""
    connections: list[AnyConnection] = []
    for connection in network.connections:
        if connection.name in faults.stuck:
            assert isinstance(connection, Dense)
            weights = np.where(faults.stuck[connection.name], faults.weights[connection.name], connection.weights)
            connection = replace(connection, weights=weights)
        connections.append(connection)
    return replace(network, connections=tuple(connections))


def stuck_weights(program: Program, plan: LearnPlan, faults: Faults) -> Stuck:
    """Return where stuck synapses lie among the weights that learn, and what they hold with residual bits.

    Parameters
    ----------
    program : Program
        Of a network that holds the stuck values (`faulty_network` or `with_stuck_weights`).
    """
    held, where = initial_weights(program, plan), []
    for c, index in enumerate(plan.plastic[:-1, CONNECTION]):
        name = program.network.connections[index].name
        where.append(plan.votes_of(c).start + np.flatnonzero(faults.stuck[name].T.ravel()))
    index_of = np.concatenate(where).astype(np.int64)
    return Stuck(index_of, held[index_of])


def set_thresholds(learner: object, program: Program, faults: Faults) -> None:
    """Give each neuron of a learner its own threshold, in the lanes of the compiled kernels.

    The program keeps one threshold for each group, which calibrates the perturbation; the chip has others.

    Raises
    ------
    DataError
        If the learner is not the simulator's, or neurons run in circles, step by step.
    """
    if not isinstance(learner, SimulatorLearner):
        raise DataError(
            f"learner {type(learner).__name__}: has no lanes to set thresholds in; learn on backend 'simulator'"
        )
    if len(learner.lanes.order) == 0:
        raise DataError(
            f"network {program.network.name!r}: neurons hear each other in circles, which run with one threshold for a "
            "group; leave out threshold_spread and dead"
        )
    threshold, half = learner.lanes.threshold.copy(), learner.lanes.half.copy()
    for g, group in enumerate(program.network.ordered_groups):
        if group.name in faults.vth:
            first = int(learner.lanes.first[g])
            threshold[first : first + group.n] = faults.vth[group.name] << INPUT_SHIFT
            half[first : first + group.n] = faults.vth[group.name] << INPUT_SHIFT >> 1
    learner.lanes = learner.lanes._replace(threshold=threshold, half=half)
