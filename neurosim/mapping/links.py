"""How many packets cross each link of the mesh in a step, and how many there are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.mapping.layout import ROUTE_COLUMNS, Mapping
from neurosim.mapping.rates import Rates, neuron_rates
from neurosim.mapping.route import ENTRY_TILE, OUTSIDE, WAYS, targets_of
from neurosim.network import Network


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
    n_cores = len(mapping.cores)
    flows = np.zeros((n_cores + 1, n_cores))  # packets from core to core
    offsets = network.offsets
    for sent in targets_of(network, mapping.core):
        first, n = offsets[sent.group], network.group(sent.group).n
        home, rate = mapping.core[first : first + n].astype(np.int64), expected[first : first + n]
        home[home == OUTSIDE] = n_cores
        flows[:, sent.everyone] += np.bincount(home, rate, n_cores + 1)[:, None]
        pairs = home[sent.neuron] * n_cores + sent.core
        flows += np.bincount(pairs, rate[sent.neuron], flows.size).reshape(flows.shape)
    source, target = np.nonzero(flows)
    loads = _along_ways(tiles[source], tiles[target], flows[source, target])
    found = [
        LinkLoad((x, y), way, float(load[x, y])) for way, load in loads.items() for x, y in np.argwhere(load).tolist()
    ]
    return sorted(found, key=lambda link: (link.tile[1], link.tile[0], list(WAYS).index(link.direction)))


def busiest_link(loads: list[LinkLoad]) -> LinkLoad | None:
    """Return the link with most packets, the first of equals; None where no packet leaves its tile."""
    return max(loads, key=lambda load: load.packets, default=None)


def packets_per_step(network: Network, mapping: Mapping, rates: Rates | None = None) -> dict[str, float]:
    """Return what a step costs if neurons fire at these rates: each entry of `ROUTE_COLUMNS`, and "hops", all directions."""
    expected = neuron_rates(network, rates)
    sums = {name: float(expected @ mapping.route[:, i]) for i, name in enumerate(ROUTE_COLUMNS)}
    return sums | {"hops": sum(sums[f"hops_{way}"] for way in WAYS)}


def _along_ways(
    source: npt.NDArray[np.int64], target: npt.NDArray[np.int64], packets: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the packets that leave each tile (x, y) in each direction: all ways go along x, then along y, step by step."""
    size = np.concatenate([source, target, [[0, 0]]]).max(axis=0) + 1
    loads = {way: np.zeros(size) for way in WAYS}
    for way, (x, y) in WAYS.items():
        axis, sign = (0, x) if x else (1, y)
        at = source.copy() if axis == 0 else np.column_stack([target[:, 0], source[:, 1]])
        links = sign * (target[:, axis] - at[:, axis])
        for step in range(int(links.max(initial=0))):
            on = links > step
            np.add.at(loads[way], (at[on, 0], at[on, 1]), packets[on])
            at[on, axis] += sign
    return loads
