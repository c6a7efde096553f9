"""Split neuron groups into blocks, and give each block a core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from neurosim.chip import Chip
from neurosim.fixedpoint import Int32Array, Int64Array
from neurosim.mapping.demand import (
    Block,
    Configurations,
    Demand,
    Fan,
    check_fits,
    configuration_limits,
    configuration_sets,
    configurations,
    core_limits,
    demand_of,
    joined,
    used_by,
    within,
)
from neurosim.mapping.learning import LearningNeeds
from neurosim.mapping.route import OUTSIDE, axons_out_of, distinct, targets_of
from neurosim.mapping.sites import assign, in_rows, rooms_for
from neurosim.network import Input, Network

Limits = dict[str, int | None]
#: By group: its neurons in the order in which they are cut; groups that are not named are cut as they are numbered.
Orders = dict[str, Int64Array]
#: By group: its blocks, what each asks of its core, and whether it is the last.
Cuts = dict[str, list[tuple[Block, Demand, bool]]]


@dataclass(eq=False)
class _Core:
    """A core while it is being filled."""

    blocks: list[Block]
    demand: Demand
    limits: Limits


def partition(
    network: Network,
    chip: Chip,
    fans: dict[str, list[Fan]],
    learning: LearningNeeds | None = None,
    orders: Orders | None = None,
    cuts: Cuts | None = None,
) -> tuple[tuple[Block, ...], ...]:
    """Split every group into contiguous blocks and give each block a core.

    Parameters
    ----------
    network : Network
        Quantised.
    chip : Chip
    fans : dict of group to list of Fan
        From `fan_in`.
    learning : LearningNeeds, optional
        As for `fan_in`.
    orders : dict of group to (n,) int64, optional
        From `choose_orders`, with the fans that it returns: blocks are then stretches of these orders.
    cuts : dict of group to its blocks, optional
        From there as well: what need not be cut again.

    Returns
    -------
    tuple of tuple of Block
        The blocks of each core, by core number.

    Notes
    -----
    Groups come in the order of programs. A block is as long as an empty core allows; the last block of a group
    goes to the first core that has room for it, else to a new one. Then cores whose neurons send to too many
    cores are split until all fit. More cores than the chip has are refused by `place`, not here.

    Where cores differ, blocks are first cut for the largest one. If the blocks then find no cores, they are cut again, the
    first for the largest core, the next for the next largest, and so on; not where a group must stay on one core.
    """
    largest = core_limits(chip)
    cores = _fill(network, chip, fans, learning, lambda i: largest, cuts or {})
    if chip.cores_per_group != 1 and not _assignable(cores, chip):
        memory, room = (
            np.array(x or (1,) * chip.n_cores) for x in (chip.synapse_memory_bits_by_core, chip.compartments_by_core)
        )
        order = np.lexsort((-memory, -room)).tolist()
        cores = _fill(network, chip, fans, learning, lambda i: core_limits(chip, order[min(i, len(order) - 1)]), {})
    return _split_by_axons_out([core.blocks for core in cores], fans, network, chip, orders or {})


def _fill(
    network: Network,
    chip: Chip,
    fans: dict[str, list[Fan]],
    learning: LearningNeeds | None,
    limits_of: Callable[[int], Limits],
    cuts: Cuts,
) -> list[_Core]:
    """Fill cores with the blocks of all groups; `limits_of` gives the limits of the core with a number."""
    cores: list[_Core] = []
    configs = configuration_sets(network)
    for group in network.ordered_groups:
        if not isinstance(group, Input):
            blocks: Iterable[tuple[Block, Demand, bool]] = cuts.get(group.name, ())
            if group.name not in cuts:
                blocks = blocks_of(group.name, group.n, fans[group.name], chip, learning, lambda: limits_of(len(cores)))
            for block, demand, is_last in blocks:
                room = (core for core in cores if is_last and _joins(core, block, demand, configs, chip))
                home = next(room, None)
                if home is None:
                    cores.append(_Core([block], demand, limits_of(len(cores))))
                else:
                    home.blocks.append(block)
                    home.demand = joined(home.demand, demand)
    return cores


def _assignable(cores: list[_Core], chip: Chip) -> bool:
    """Whether all cores find a physical one that is large enough; too many are refused later."""
    rooms = rooms_for([used_by(core.demand, chip) for core in cores], chip)
    if rooms is None or len(cores) > chip.n_cores:
        return rooms is None
    return len(assign(len(cores), in_rows(chip), rooms, chip, "", partly=True)) == len(cores)


def core_of_neurons(
    network: Network, cores: Sequence[Sequence[Block]], orders: Orders | None = None
) -> tuple[Int32Array, Int32Array]:
    """Return core and compartment of each neuron in the program's numbering, -1 for input lines: twice (n_neurons,) int32."""
    core, compartment = (np.full(network.n_neurons, OUTSIDE, np.int32) for _ in range(2))
    offsets = network.offsets
    for i, blocks in enumerate(cores):
        taken = 0
        for block in blocks:
            here = neurons_of(block, offsets, orders or {})
            core[here] = i
            compartment[here] = np.arange(taken, taken + len(here))
            taken += len(here)
    return core, compartment


def neurons_of(block: Block, offsets: dict[str, int], orders: Orders) -> Int64Array:
    """Return the neurons of a block, in the program's numbering and in the order of their compartments."""
    within_group = np.arange(block.start, block.stop, dtype=np.int64)
    if block.group in orders:
        within_group = orders[block.group][block.start : block.stop]
    return offsets[block.group] + within_group


def blocks_of(
    group: str, n: int, fans: list[Fan], chip: Chip, learning: LearningNeeds | None, limits_now: Callable[[], Limits]
) -> Iterator[tuple[Block, Demand, bool]]:
    """Yield the longest blocks that fit on empty cores, and whether each is the last of its group."""
    start, guess = 0, n if chip.compartments_per_core is None else min(n, chip.compartments_per_core)
    while start < n:
        limits = limits_now()
        one = demand_of(Block(group, start, start + 1), fans, chip, learning)
        for resource, count in used_by(one, chip).items():
            check_fits(f"group {group!r}: one neuron needs", {resource: count}, limits, chip)
        longest, too_long, size, best = 1, n - start + 1, guess, one
        stride, found = max(1, guess // 32), 0  # 1: a block that fits has been met, 2: one that does not, 3: both
        while too_long - longest > 1:  # growing strides from the size of the block before, then halve the interval
            size = min(max(size, longest + 1), too_long - 1)
            demand = demand_of(Block(group, start, start + size), fans, chip, learning)
            if within(used_by(demand, chip), limits):
                longest, best, found = size, demand, found | 1
                size = longest + stride
            else:
                too_long, found = size, found | 2
                size = too_long - stride
            stride *= 2
            if found == 3:
                size = (longest + too_long) // 2
        guess = longest
        yield Block(group, start, start + longest), best, start + longest == n
        start += longest


def _joins(core: _Core, block: Block, demand: Demand, configs: Configurations, chip: Chip) -> bool:
    """Whether a core has room for one more block (cheap tests first)."""
    if any(other.group == block.group for other in core.blocks):
        return False  # a core holds one stretch of a group
    sizes = Demand(
        core.demand.compartments + demand.compartments, core.demand.memory + demand.memory, core.demand.axons
    )
    if not within(used_by(sizes, chip), core.limits):
        return False
    together = configurations([*(other.group for other in core.blocks), block.group], configs)
    if not within(together, configuration_limits(chip)):
        return False
    return within(used_by(joined(core.demand, demand), chip), core.limits)


def _split_by_axons_out(
    cores: list[list[Block]], fans: dict[str, list[Fan]], network: Network, chip: Chip, orders: Orders
) -> tuple[tuple[Block, ...], ...]:
    """Split cores whose neurons send to more cores than a core's table of axons out can hold.

    A split gives the presynaptic neurons of the core more targets, so it is repeated until nothing changes.
    """
    limit, offsets = chip.axons_out_per_core, network.offsets
    if limit is None or len(cores) > chip.n_cores:  # too many already: `place` says so
        return tuple(tuple(blocks) for blocks in cores)
    sends = axons_out_of(network, targets_of(network, core_of_neurons(network, cores, orders)[0]))
    while len(cores) <= chip.n_cores:
        pieces = [_cut(blocks, sends, offsets, limit, chip, orders) for blocks in cores]
        for blocks, runs in zip(cores, pieces, strict=True):
            if len(runs) > 1:  # who sent to the core now sends to each piece where it has a synapse
                sends[_axons(blocks, fans, chip)] -= 1
                for run in runs:
                    sends[_axons(run, fans, chip)] += 1
        if all(len(runs) == 1 for runs in pieces):
            break
        cores = [run for runs in pieces for run in runs]
    return tuple(tuple(blocks) for blocks in cores)


def _axons(blocks: list[Block], fans: dict[str, list[Fan]], chip: Chip) -> Int64Array:
    """Presynaptic neurons of a core, each once."""
    demands = [demand_of(block, fans[block.group], chip) for block in blocks]
    return distinct([demand.axons for demand in demands])


def _cut(
    blocks: list[Block], sends: Int64Array, offsets: dict[str, int], limit: int, chip: Chip, orders: Orders
) -> list[list[Block]]:
    """Cut the neurons of a core, in order, into runs that need at most `limit` axons out each."""
    runs: list[list[Block]] = [[]]
    free = limit
    for block in blocks:
        total = np.cumsum(sends[neurons_of(block, offsets, orders)])
        begin, spent = block.start, 0
        while begin < block.stop:
            end = block.start + int(np.searchsorted(total, spent + free, side="right"))
            if end > begin:
                runs[-1].append(Block(block.group, begin, end))
                free -= int(total[end - 1 - block.start]) - spent
                spent, begin = int(total[end - 1 - block.start]), end
            elif free < limit:
                runs.append([])
                free = limit
            else:
                check_fits(
                    f"group {block.group!r}: one neuron needs", {"axons_out": int(total[begin - block.start]) - spent},
                    {"axons_out": limit}, chip,
                )  # fmt: skip
    return [run for run in runs if run]
