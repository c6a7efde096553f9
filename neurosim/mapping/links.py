"""How many packets cross each link of the mesh in a step, and how many there are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurosim.mapping.layout import ROUTE_COLUMNS, Mapping
from neurosim.mapping.rates import Rates, neuron_rates
from neurosim.mapping.route import ENTRY_TILE, OUTSIDE, targets_of
from neurosim.network import Network

DIRECTIONS = {"east": (1, 0), "west": (-1, 0), "north": (0, 1), "south": (0, -1)}


class LinkLoad(NamedTuple):
    """Packets per step that leave a tile in one direction."""

    tile: tuple[int, int]
    direction: str
    packets: float


def link_loads(network: Network, mapping: Mapping, rates: Rates | None = None) -> list[LinkLoad]:
    """Return the load of every link that is used, by tile (rows first), then direction.

    Parameters
    ----------
    network : Network
        Quantised; the one that was mapped.
    mapping : Mapping
    rates : (n_neurons,) float or dict of str to float, optional
        As for `map_network`.

    Notes
    -----
    A packet goes along x, then along y, as `route` counts it; the loads add up to the hops.
    """
    expected = neuron_rates(network, rates)
    tiles = np.array([*(use.tile for use in mapping.cores), ENTRY_TILE], np.int64)  # the last: where inputs enter
    flows: dict[tuple[int, int], float] = {}
    offsets = network.offsets
    for sent in targets_of(network, mapping.core):
        first, n = offsets[sent.group], network.group(sent.group).n
        home, rate = mapping.core[first : first + n].astype(np.int64), expected[first : first + n]
        for source in np.unique(home).tolist():
            total = float(rate[home == source].sum())
            for target in sent.everyone.tolist():
                flows[source, target] = flows.get((source, target), 0.0) + total
        pairs = home[sent.neuron] * len(tiles) + sent.core
        known, which = np.unique(pairs, return_inverse=True)
        sums = np.bincount(which.reshape(-1), rate[sent.neuron], len(known))
        for pair, load in zip(known.tolist(), sums.tolist(), strict=True):
            source, target = pair // len(tiles), pair % len(tiles)
            flows[source, target] = flows.get((source, target), 0.0) + load
    loads: dict[tuple[int, int, str], float] = {}
    for (source, target), load in flows.items():
        if source != target and load:
            _walk(tuple(tiles[source].tolist()), tuple(tiles[target].tolist()), load, loads)
    assert OUTSIDE == -1  # the tile of an input is the last of `tiles`
    order = sorted(loads, key=lambda link: (link[1], link[0], link[2]))
    return [LinkLoad((x, y), direction, loads[x, y, direction]) for x, y, direction in order]


def busiest_link(loads: list[LinkLoad]) -> LinkLoad | None:
    """Return the link with most packets, the first of equals; None where no packet leaves its tile."""
    return max(loads, key=lambda load: load.packets, default=None)


def packets_per_step(network: Network, mapping: Mapping, rates: Rates | None = None) -> dict[str, float]:
    """Return what a step costs if neurons fire at these rates: each entry of `ROUTE_COLUMNS`, and "hops", all directions."""
    expected = neuron_rates(network, rates)
    sums = {name: float(expected @ mapping.route[:, i]) for i, name in enumerate(ROUTE_COLUMNS)}
    return sums | {"hops": sum(sums[f"hops_{way}"] for way in DIRECTIONS)}


def _walk(
    source: tuple[int, ...], target: tuple[int, ...], load: float, loads: dict[tuple[int, int, str], float]
) -> None:
    """Add a load to each link on the way, in place: along x, then along y."""
    x, y = source
    while (x, y) != target:
        if x != target[0]:
            direction = "east" if target[0] > x else "west"
        else:
            direction = "north" if target[1] > y else "south"
        loads[x, y, direction] = loads.get((x, y, direction), 0.0) + load
        x, y = x + DIRECTIONS[direction][0], y + DIRECTIONS[direction][1]
