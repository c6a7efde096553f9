"""Cut a network into cores and hold it against every limit that does not depend on where the cores lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurosim.chip import Chip
from neurosim.fixedpoint import Int32Array, Int64Array
from neurosim.mapping.demand import (
    Block,
    Fan,
    all_limits,
    check_fits,
    configuration_limits,
    configuration_sets,
    configurations,
    demand_of,
    fan_in,
    joined,
    used_by,
)
from neurosim.mapping.fans import reordered
from neurosim.mapping.layout import Mapping
from neurosim.mapping.learning import LearningNeeds
from neurosim.mapping.limits import check_neurons, check_spread
from neurosim.mapping.orders import choose_orders
from neurosim.mapping.partition import core_of_neurons, partition
from neurosim.mapping.route import Targets, axons_out_of, targets_of
from neurosim.mapping.sites import Rooms, assign, in_rows, rooms_for
from neurosim.mapping.validate import check_formats
from neurosim.network import Network


class Fitted(NamedTuple):
    """A network on cores without a place yet."""

    blocks: tuple[tuple[Block, ...], ...]  # of each core
    core: Int32Array  # (n_neurons,) core of each neuron, -1 for input lines
    compartment: Int32Array  # (n_neurons,) its place on the core, -1 for input lines
    targets: list[Targets]
    used: list[dict[str, int]]  # of each core; configurations are listed where the chip limits them
    rooms: Rooms | None


def fit(network: Network, chip: Chip, learning: LearningNeeds | None = None) -> Fitted:
    """Return a network cut into cores, or refuse it; arguments and errors as those of `map_network`."""
    check_formats(network, chip, learning)
    fans = fan_in(network, chip, learning)
    check_neurons(network, chip, fans)
    orders, fans, cuts = choose_orders(network, chip, fans, learning)
    blocks = partition(network, chip, fans, learning, orders, cuts)
    core, compartment = core_of_neurons(network, blocks, orders)
    targets = targets_of(network, core)
    sends = axons_out_of(network, targets)
    check_spread(network, chip, core, sends)
    used = _used(network, blocks, fans, sends, core, chip, learning)
    limits = all_limits(chip)
    for i, of_core in enumerate(used):
        groups = ", ".join(dict.fromkeys(block.group for block in blocks[i]))
        check_fits(f"core {i} with {groups} needs", of_core, limits, chip)
    rooms = rooms_for(used, chip)
    assign(len(blocks), in_rows(chip), rooms, chip, f"network {network.name!r}")
    return Fitted(blocks, core, compartment, targets, used, rooms)


def used_with(network: Network, chip: Chip, mapping: Mapping, learning: LearningNeeds) -> list[dict[str, int]]:
    """Return what each core of a mapping would use if learning kept other bits; limits are not checked."""
    fans = fan_in(network, chip, learning)
    blocks: list[list[Block]] = [[] for _ in mapping.cores]
    for group in network.ordered_groups:
        here = slice(network.offsets[group.name], network.offsets[group.name] + group.n)
        place = np.arange(group.n) if mapping.compartment is None else mapping.compartment[here]
        order = np.lexsort((place, mapping.core[here]))  # as it was cut, core by core
        of_group = mapping.core[here][order]
        fans[group.name] = [reordered(fan, order) for fan in fans[group.name]]
        starts = np.flatnonzero(np.diff(of_group, prepend=-2)).tolist()
        for start, stop in zip(starts, [*starts[1:], group.n], strict=True):
            if of_group[start] >= 0:
                blocks[int(of_group[start])].append(Block(group.name, start, stop))
    sends = axons_out_of(network, targets_of(network, mapping.core))
    return _used(network, tuple(map(tuple, blocks)), fans, sends, mapping.core, chip, learning)


def _used(
    network: Network, cores: tuple[tuple[Block, ...], ...], fans: dict[str, list[Fan]], sends: Int64Array, core: Int32Array,
    chip: Chip, learning: LearningNeeds | None,
) -> list[dict[str, int]]:  # fmt: skip
    axons_out = np.zeros(len(cores), np.int64)
    np.add.at(axons_out, core[core >= 0], sends[core >= 0])
    sets = configuration_sets(network)
    limited = [name for name, limit in configuration_limits(chip).items() if limit is not None]
    found = []
    for i, blocks in enumerate(cores):
        demand = demand_of(blocks[0], fans[blocks[0].group], chip, learning)
        for block in blocks[1:]:
            demand = joined(demand, demand_of(block, fans[block.group], chip, learning))
        counts = configurations([block.group for block in blocks], sets)
        used = used_by(demand, chip) | {"axons_out": int(axons_out[i])} | {name: counts[name] for name in limited}
        if learning is not None:
            learns = any(block.group in learning.neuron for block in blocks)
            used["learning_bits"] = demand.learning + (learning.core if learns else 0)
        found.append(used)
    return found
