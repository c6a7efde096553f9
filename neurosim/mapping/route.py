"""Find the packets that one spike of each neuron sends, and the links they cross."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from neurosim.fixedpoint import Int32Array, Int64Array
from neurosim.network import Connection, Dense, Network

ENTRY_TILE = (0, 0)  # where spikes of input lines enter the mesh: an assumption, see docs/chips.md
OUTSIDE = -1  # core of an input line
N_COLUMNS = 6  # of what `route` returns

#: Directions in which a packet leaves a tile, and where they lead; x grows to the east, y to the north.
WAYS = {"east": (1, 0), "west": (-1, 0), "north": (0, 1), "south": (0, -1)}


class Targets(NamedTuple):
    """The cores that the neurons of one group send to."""

    group: str
    everyone: Int64Array  # cores that each neuron of the group sends to (dense connections)
    neuron: Int64Array  # further pairs of neuron (within the group) ...
    core: Int64Array  # ... and core, each pair once (sparse connections)


def targets_of(network: Network, core: Int32Array) -> list[Targets]:
    """Return the target cores of each group that has outgoing connections.

    Parameters
    ----------
    network : Network
        Quantised.
    core : (n_neurons,) int32
        Core of each neuron, -1 for input lines.
    """
    offsets = network.offsets
    n_cores = int(core.max(initial=OUTSIDE)) + 1
    found = []
    for group in network.ordered_groups:
        everyone = np.zeros(n_cores, np.bool_)
        keys = []  # neuron * n_cores + core
        for connection in network.connections:
            if connection.source == group.name:
                first = offsets[connection.target]
                of_post = core[first : first + connection.shape[0]].astype(np.int64)
                if isinstance(connection, Dense):
                    everyone[of_post] = True
                else:
                    assert not isinstance(connection, Connection)
                    sparse = connection.as_sparse()
                    key = np.asarray(sparse.col) * n_cores + of_post[np.asarray(sparse.row)]
                    # synapses come by neuron, and blocks are contiguous: most repeats are neighbours
                    keys.append(key[np.flatnonzero(np.diff(key, prepend=-1))])
        pairs = distinct(keys)
        neuron, target = pairs // n_cores, pairs % n_cores
        further = ~everyone[target]
        if everyone.any() or len(pairs):
            found.append(
                Targets(group.name, np.flatnonzero(everyone).astype(np.int64), neuron[further], target[further])
            )
    return found


def count_pairs(neuron: Int64Array, core: Int64Array, n_cores: int) -> tuple[Int64Array, Int64Array]:
    """Return the pairs ``neuron * n_cores + core`` that occur, ascending, and how often each does."""
    key = neuron * n_cores + core
    first = np.flatnonzero(np.diff(key, prepend=-1))  # runs: synapses come by neuron, and neighbours share a core
    pairs, run = np.unique(key[first], return_inverse=True)
    times = np.zeros(len(pairs), np.int64)
    np.add.at(times, run, np.diff(first, append=len(key)))
    return pairs, times


def axons_out_of(network: Network, targets: Sequence[Targets]) -> Int64Array:
    """Return to how many cores each neuron sends, its own included: (n_neurons,) int64."""
    sends = np.zeros(network.n_neurons, np.int64)
    offsets = network.offsets
    for sent in targets:
        first, n = offsets[sent.group], network.group(sent.group).n
        sends[first : first + n] = len(sent.everyone) + np.bincount(sent.neuron, minlength=n)
    return sends


def distinct(parts: Sequence[Int64Array]) -> Int64Array:
    """Return the values of several arrays, ascending, each once (sorting beats the hash table of `np.unique`)."""
    values = np.sort(np.concatenate(parts)) if len(parts) else np.zeros(0, np.int64)
    return values[np.flatnonzero(np.diff(values, prepend=-1))]


def route(network: Network, core: Int32Array, tiles: Int64Array, targets: Sequence[Targets]) -> Int64Array:
    """Return what one spike of each neuron sends: (n_neurons, 6) int64, `ROUTE_COLUMNS` of `mapping.layout` but the last.

    Parameters
    ----------
    network : Network
        Quantised.
    core : (n_neurons,) int32
        Core of each neuron, -1 for input lines.
    tiles : (n_cores, 2) int64
        Tile (x, y) of each core.
    targets : sequence of Targets
        From `targets_of`.

    Notes
    -----
    One packet for each target core, however many synapses lie there. A packet goes along x, then along y: it
    crosses ``abs(dx) + abs(dy)`` links, those towards larger x counted as east and towards larger y as north. Packets from outside start at `ENTRY_TILE`, the link into it not counted.
    """
    routes = np.zeros((len(core), N_COLUMNS), np.int64)
    place = np.tile(np.asarray(ENTRY_TILE, dtype=np.int64), (len(core), 1))  # tile of each neuron
    place[core != OUTSIDE] = tiles[core[core != OUTSIDE]]
    offsets = network.offsets
    for sent in targets:
        first, n = offsets[sent.group], network.group(sent.group).n
        rows = routes[first : first + n]
        own, at = core[first : first + n].astype(np.int64), place[first : first + n]
        if len(sent.everyone):
            homes, first_of, which = np.unique(
                own, return_index=True, return_inverse=True
            )  # a core's neurons send alike
            local = (homes[:, None] == sent.everyone[None, :]).sum(axis=1)
            links = _links(tiles[sent.everyone][None, :, :] - at[first_of][:, None, :]).sum(axis=1)
            alike = np.column_stack([len(sent.everyone) - local, local, links])
            rows += alike[which.reshape(-1)]
        if len(sent.neuron):  # bincount adds whole numbers in doubles: exact, and far faster than `np.add.at`
            local = own[sent.neuron] == sent.core
            rows[:, 0] += np.bincount(sent.neuron[~local], minlength=n)
            rows[:, 1] += np.bincount(sent.neuron[local], minlength=n)
            for axis in (0, 1):
                way = tiles[sent.core, axis] - at[sent.neuron, axis]
                forth = np.bincount(sent.neuron, np.maximum(way, 0), n).astype(np.int64)
                total = np.bincount(sent.neuron, way, n).astype(np.int64)
                rows[:, 2 + 2 * axis] += forth
                rows[:, 3 + 2 * axis] += forth - total
    return routes


def _links(way: Int64Array) -> Int64Array:
    """Links that a packet crosses to the east, west, north and south: (..., 2) to (..., 4)."""
    x, y = way[..., 0], way[..., 1]
    return np.stack([np.maximum(x, 0), np.maximum(-x, 0), np.maximum(y, 0), np.maximum(-y, 0)], axis=-1)
