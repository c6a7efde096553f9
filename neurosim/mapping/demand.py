"""What neurons ask of a core: compartments, synapse memory, axons, configurations and what learning keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from neurosim.chip import Chip
from neurosim.errors import CapacityError
from neurosim.fixedpoint import Int64Array
from neurosim.mapping.fans import Fan as Fan
from neurosim.mapping.fans import fan_in as fan_in
from neurosim.mapping.learning import RESIDUAL_BITS as RESIDUAL_BITS
from neurosim.mapping.learning import LearningNeeds
from neurosim.mapping.route import distinct
from neurosim.mapping.shared import distinct_lists
from neurosim.mapping.storage import axon_memory as axon_memory
from neurosim.mapping.storage import dense_memory, kernel_memory, kernel_words, power_of_two
from neurosim.mapping.storage import synapse_bits as synapse_bits
from neurosim.network import LIF, Connection, Conv, Network

#: Resources of a core in the words of messages; the first four are always counted in `CoreUse`, others where a chip limits them.
RESOURCES = {
    "compartments": "compartments",
    "synapse_memory_bits": "bits of synapse memory",
    "axons_in": "axons in",
    "axons_out": "axons out",
    "compartment_configs": "different pairs (du, dv)",
    "threshold_configs": "different thresholds",
    "synapse_formats": "different synapse formats",
    "groups": "groups",
    "learning_bits": "bits of state for learning",
}
REMEDIES = {
    "compartments": "use a chip with larger cores",
    "synapse_memory_bits": "use fewer weight bits or presynaptic neurons, or a sparse connection",
    "axons_in": "use fewer presynaptic neurons or a sparse connection",
    "axons_out": "connect it to fewer or smaller groups, which need fewer cores",
    "synapse_formats": "give its incoming connections the same weight bits, weight_exp and sign_mode",
    "compartment_configs": "use fewer different du and dv",
    "threshold_configs": "use fewer different vth",
    "groups": "use a chip whose cores hold several groups",
}


#: By group: different (du, dv), thresholds and synapse formats.
Configurations = dict[str, tuple[set[Any], set[Any], set[Any]]]


class Block(NamedTuple):
    """Neurons ``start..stop - 1`` of a group in the order in which it is cut, all on one core."""

    group: str
    start: int
    stop: int


class Demand(NamedTuple):
    """What a block asks of its core."""

    compartments: int
    memory: int  # bits of stored synapses; a crossbar stores none (`used_by`)
    axons: Int64Array  # presynaptic neurons in the program's numbering, ascending
    learning: int = 0  # bits that a learning rule keeps, those in the synapse memory included


def demand_of(block: Block, fans: list[Fan], chip: Chip, learning: LearningNeeds | None = None) -> Demand:
    """Return what a block needs; several connections from one neuron share an axon, not their memory."""
    n, memory, axons = block.stop - block.start, 0, []
    kept = n * (learning or LearningNeeds()).neuron.get(block.group, 0)
    for fan in fans:
        if fan.start is None or fan.pre is None:
            n_pre = fan.connection.shape[1]
            memory += dense_memory(n_pre, n, fan.bits, chip)
            axons.append(fan.offset + np.arange(n_pre, dtype=np.int64))
            kept += n_pre * (n * fan.beside + fan.row)
        else:
            pre, bits, n_stored = _listed(block, fan, chip)
            memory += bits
            axons.append(fan.offset + pre)
            kept += n_stored * fan.beside + len(pre) * fan.row
    return Demand(_compartments(block, fans, chip), memory, distinct(axons), kept if learning is not None else 0)


def _compartments(block: Block, fans: list[Fan], chip: Chip) -> int:
    """Return the compartments of a block; with `Chip.address_padding`, those of a map fill powers of two of its sides."""
    n = block.stop - block.start
    maps = [fan.connection.output_shape for fan in fans if isinstance(fan.connection, Conv)]
    if chip.address_padding != "power_of_two" or not maps:
        return n
    _, height, channels = maps[0]
    first, last = block.start // channels, (block.stop - 1) // channels  # pixels
    columns = last // height - first // height + 1
    rows = height if columns > 1 else last - first + 1
    return min(n, channels) * power_of_two(columns) * power_of_two(rows)


def _listed(block: Block, fan: Fan, chip: Chip) -> tuple[Int64Array, int, int]:
    """Return the presynaptic neurons of a block, the bits of its synapses, and how many synapses are stored."""
    assert fan.start is not None and fan.pre is not None
    first, last = int(fan.start[block.start]), int(fan.start[block.stop])
    pre, count = _count(fan.pre[first:last], fan.connection.shape[1])
    if fan.sharing == "kernel":
        assert isinstance(fan.connection, Conv)
        n_channels = min(block.stop - block.start, fan.connection.output_shape[2])
        if fan.channel is not None:
            n_channels = len(np.unique(fan.channel[block.start : block.stop]))
        n_channels = n_channels if len(pre) else 0
        return pre, kernel_memory(fan.connection, n_channels, fan.bits, chip), kernel_words(fan.connection, n_channels)
    if fan.tap is not None:
        post = np.repeat(np.arange(block.start, block.stop), np.diff(fan.start[block.start : block.stop + 1]))
        count = distinct_lists(post, fan.pre[first:last], fan.tap[first:last])
    return pre, int(axon_memory(count, fan.bits, chip).sum()), int(count.sum())


def used_by(demand: Demand, chip: Chip) -> dict[str, int]:
    """Return a demand as counts of resources; the memory of a crossbar is that of its rows, one for each axon."""
    memory = demand.memory if chip.axon_row_bits is None else chip.axon_row_bits * len(demand.axons)
    return {"compartments": demand.compartments, "synapse_memory_bits": memory, "axons_in": len(demand.axons)}


def within(used: Mapping[str, int], limits: Mapping[str, int | None]) -> bool:
    """Whether no count exceeds its limit; None is no limit."""
    bounds = ((count, limits[resource]) for resource, count in used.items())
    return all(limit is None or count <= limit for count, limit in bounds)


def joined(a: Demand, b: Demand) -> Demand:
    """Return the demand of two blocks on one core; axons from the same neuron count once."""
    axons = distinct([a.axons, b.axons])
    return Demand(a.compartments + b.compartments, a.memory + b.memory, axons, a.learning + b.learning)


def core_limits(chip: Chip, site: int | None = None) -> dict[str, int | None]:
    """Return the limits of the first counts of `CoreUse`, of the largest core or of core `site` of the chip.

    None is no limit, or an unknown one.
    """
    compartments, memory = chip.compartments_per_core, chip.synapse_memory_bits_per_core
    if site is not None and chip.compartments_by_core is not None:
        compartments = chip.compartments_by_core[site]
    if site is not None and chip.synapse_memory_bits_by_core is not None:
        memory = chip.synapse_memory_bits_by_core[site]
    return {
        "compartments": compartments,
        "synapse_memory_bits": memory,
        "axons_in": chip.axons_in_per_core,
        "axons_out": chip.axons_out_per_core,
    }


def configuration_sets(network: Network) -> Configurations:
    """Return what each group makes its cores configure, as `configurations` counts it."""
    found: Configurations = {group.name: (set(), set(), set()) for group in network.groups}
    for group in network.groups:
        if isinstance(group, LIF):
            pairs = np.broadcast_arrays(group.du, group.dv)
            found[group.name][0].update(zip(pairs[0].ravel().tolist(), pairs[1].ravel().tolist(), strict=True))
            found[group.name][1].update(np.ravel(group.vth).tolist())
    for c in network.connections:
        assert not isinstance(c, Connection)
        format_ = (type(c).__name__, c.num_weight_bits, c.weight_exp, c.sign_mode, c.plastic, c.delays is None)
        found[c.target][2].add(format_)
    return found


def configurations(groups: Sequence[str], sets: Configurations) -> dict[str, int]:
    """Count what the groups on a core must configure: different (du, dv), thresholds, synapse formats, and the groups."""
    chosen = [sets[group] for group in dict.fromkeys(groups)]
    counts = [len(set[object]().union(*(each[i] for each in chosen))) for i in range(3)]
    names = ("compartment_configs", "threshold_configs", "synapse_formats")
    return dict(zip(names, counts, strict=True)) | {"groups": len(chosen)}


def configuration_limits(chip: Chip) -> dict[str, int | None]:
    """Return the limit of each count of `configurations`."""
    return {
        "compartment_configs": chip.compartment_configs_per_core,
        "threshold_configs": chip.threshold_configs_per_core,
        "synapse_formats": chip.synapse_formats_per_core,
        "groups": chip.groups_per_core,
    }


def all_limits(chip: Chip, site: int | None = None) -> dict[str, int | None]:
    """Return the limit of each count of `CoreUse`; no chip states one for what learning keeps."""
    return core_limits(chip, site) | configuration_limits(chip) | {"learning_bits": None}


def check_fits(owner: str, used: Mapping[str, int], limits: Mapping[str, int | None], chip: Chip) -> None:
    """Refuse the first resource that is used beyond its limit."""
    for resource, count in used.items():
        limit = limits[resource]
        if limit is not None and count > limit:
            raise CapacityError(
                f"{owner} {count} {RESOURCES[resource]}, core limit of chip {chip.name!r} is {limit}; {REMEDIES[resource]}"
            )


def _count(pre: Int64Array, n_pre: int) -> tuple[Int64Array, Int64Array]:
    """Distinct presynaptic neurons, ascending, and how often each occurs."""
    if 8 * len(pre) < n_pre:  # sorting few synapses beats a table of all neurons
        pre = np.sort(pre)
        first = np.flatnonzero(np.diff(pre, prepend=-1))
        return pre[first], np.diff(first, append=len(pre))
    table = np.bincount(pre, minlength=n_pre).astype(np.int64)
    found = np.flatnonzero(table)
    return found.astype(np.int64), table[found]
