"""The recipe of mapping: fit (partition and its checks), place, route, validate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.chip import Chip
from neurosim.errors import CapacityError
from neurosim.fixedpoint import Int64Array
from neurosim.mapping.demand import Block, all_limits
from neurosim.mapping.fit import fit
from neurosim.mapping.layout import CoreUse, Mapping
from neurosim.mapping.learning import LearningNeeds
from neurosim.mapping.place import check_placement, place
from neurosim.mapping.rates import Rates, neuron_rates
from neurosim.mapping.reads import synapse_reads
from neurosim.mapping.remedy import explained
from neurosim.mapping.route import route
from neurosim.mapping.sites import tiles_of
from neurosim.mapping.traffic import traffic_of
from neurosim.mapping.validate import validate
from neurosim.network import Network


def map_network(
    network: Network, chip: Chip, rates: Rates | None = None, *, learning: LearningNeeds | None = None,
    placement: str = "traffic",
) -> Mapping:  # fmt: skip
    """Map a network onto a chip.

    Parameters
    ----------
    network : Network
        Quantised.
    chip : Chip
    rates : (n_neurons,) float or dict of str to float, optional
        Spikes per step, expected or measured (`rates_of`), of each neuron in the program's numbering or of each group; for
        the placement only. None: all neurons fire alike.
    learning : LearningNeeds, optional
        What a learning rule keeps on the cores. None: `RESIDUAL_BITS` beside each plastic weight, and nothing else is counted.
    placement : {"traffic", "snake", "rows", "random:SEED"}
        Where cores go: see `neurosim.mapping.place`. Results of a run do not depend on it, only counts of hops do.

    Raises
    ------
    CapacityError
        If the network does not fit; the text names the group or core, the need and the limit, and the smallest changes
        that were found to fit.
    NetworkError
        If rates, needs or the placement do not belong to the network, or it is in floats.

    Examples
    --------
    >>> from neurosim.chip import load_chip
    >>> from neurosim.network import LIF, Dense, Input
    >>> network = Network([Input("in", 2), LIF("out", 1)], [Dense("in", "out", [[6, 8]])])
    >>> map_network(network, load_chip("loihi1")).core.tolist()
    [-1, -1, 0]
    """
    check_placement(placement)
    expected = neuron_rates(network, rates)
    if learning is not None:
        learning.check(network)
    try:
        return _mapped(network, chip, expected, learning, placement)
    except CapacityError as error:
        raise explained(error, network, chip, learning) from None


def _mapped(
    network: Network, chip: Chip, rates: npt.NDArray[np.float64], learning: LearningNeeds | None, placement: str
) -> Mapping:
    blocks, core, compartment, targets, used, rooms = fit(network, chip, learning)
    traffic = traffic_of(network, core, targets, rates, sum(chip.mesh)) if placement == "traffic" else None
    sites = place(len(blocks), chip, f"network {network.name!r}", placement=placement, traffic=traffic, rooms=rooms)
    tiles = tiles_of(sites, chip)
    routes = np.column_stack([route(network, core, tiles, targets), synapse_reads(network, core, chip, learning)])
    mapping = Mapping(core, _core_uses(blocks, used, sites, tiles, chip), routes.astype(np.int32), compartment)
    validate(network, chip, mapping)
    return mapping


def _core_uses(
    cores: tuple[tuple[Block, ...], ...], used: list[dict[str, int]], sites: Int64Array, tiles: Int64Array, chip: Chip
) -> tuple[CoreUse, ...]:
    uses = []
    for i, blocks in enumerate(cores):
        site, tile = int(sites[i]), (int(tiles[i, 0]), int(tiles[i, 1]))
        limits = all_limits(chip, site)
        groups = tuple(dict.fromkeys(block.group for block in blocks))
        uses.append(CoreUse(i, tile, groups, used[i], {name: limits[name] for name in used[i]}, site))
    return tuple(uses)
