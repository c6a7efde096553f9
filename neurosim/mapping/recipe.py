"""The recipe of mapping: partition, place, route, validate."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.chip import Chip
from neurosim.fixedpoint import Int32Array, Int64Array
from neurosim.mapping.demand import Block, Fan, core_limits, demand_of, fan_in, joined, used_by
from neurosim.mapping.layout import CoreUse, Mapping
from neurosim.mapping.partition import axons_out_of, core_of_neurons, partition
from neurosim.mapping.place import place
from neurosim.mapping.reads import synapse_reads
from neurosim.mapping.route import route, targets_of
from neurosim.mapping.validate import check_formats, validate
from neurosim.network import Network


def map_network(network: Network, chip: Chip) -> Mapping:
    """Map a network onto a chip.

    Parameters
    ----------
    network : Network
        Quantised.
    chip : Chip

    Raises
    ------
    CapacityError
        If the network does not fit; the text names the group or core, the need and the limit.

    Examples
    --------
    >>> from neurosim.chip import load_chip
    >>> from neurosim.network import LIF, Dense, Input
    >>> network = Network([Input("in", 2), LIF("out", 1)], [Dense("in", "out", [[6, 8]])])
    >>> map_network(network, load_chip("loihi1")).core.tolist()
    [-1, -1, 0]
    """
    check_formats(network, chip)
    fans = fan_in(network, chip)
    blocks = partition(network, chip, fans)
    core = core_of_neurons(network, blocks)
    targets = targets_of(network, core)
    tiles = place(len(blocks), chip, f"network {network.name!r}")
    routes = np.column_stack([route(network, core, tiles, targets), synapse_reads(network, core, chip)])
    uses = _core_uses(blocks, fans, axons_out_of(network, targets), core, tiles, chip)
    mapping = Mapping(core, uses, routes.astype(np.int32))
    validate(network, chip, mapping)
    return mapping


def utilisation_rows(mapping: Mapping) -> list[dict[str, Any]]:
    """Return one row per core and resource: core, tile, groups, resource, used, limit, share (None without limit)."""
    rows: list[dict[str, Any]] = []
    for use in mapping.cores:
        for resource, used in use.used.items():
            limit = use.limit[resource]
            share = None if limit is None else used / limit
            row = {"core": use.core, "tile": use.tile, "groups": use.groups, "resource": resource, "used": used}
            rows.append(row | {"limit": limit, "share": share})
    return rows


def _core_uses(
    cores: tuple[tuple[Block, ...], ...],
    fans: dict[str, list[Fan]],
    sends: Int64Array,
    core: Int32Array,
    tiles: Int64Array,
    chip: Chip,
) -> tuple[CoreUse, ...]:
    axons_out = np.zeros(len(cores), np.int64)
    np.add.at(axons_out, core[core >= 0], sends[core >= 0])
    uses = []
    for i, blocks in enumerate(cores):
        demand = demand_of(blocks[0], fans[blocks[0].group], chip)
        for block in blocks[1:]:
            demand = joined(demand, demand_of(block, fans[block.group], chip))
        used = used_by(demand) | {"axons_out": int(axons_out[i])}
        groups = tuple(dict.fromkeys(block.group for block in blocks))
        uses.append(CoreUse(i, (int(tiles[i, 0]), int(tiles[i, 1])), groups, used, core_limits(chip)))
    return tuple(uses)
