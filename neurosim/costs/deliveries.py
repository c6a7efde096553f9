"""What a spike of each neuron does on a chip: synapses and bits read at each core, packets, and links crossed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurosim.chip import Chip
from neurosim.fixedpoint import Int64Array
from neurosim.mapping.learning import LearningNeeds
from neurosim.mapping.reads import reads_of
from neurosim.mapping.route import ENTRY_TILE, WAYS, count_pairs, targets_of
from neurosim.network import Connection, Dense, IntegerConnection
from neurosim.program import Program, kind_of

#: A packet leaves a tile in one of these directions; north is towards larger y.
DIRECTIONS = tuple(WAYS)
EAST, NORTH = DIRECTIONS.index("east"), DIRECTIONS.index("north")  # the opposite direction comes next


class Listed(NamedTuple):
    """Cores that the neurons of a group reach, neuron by neuron, with something for each pair."""

    start: Int64Array  # (n + 1,) first entry of each neuron
    core: Int64Array
    parts: tuple[Int64Array, ...]  # as long as core


class Reach(NamedTuple):
    """Synapses, and bits of synapse memory, that a spike meets on each core through one connection."""

    first: int  # neuron of the source group, in the program's numbering
    n: int
    kind: str
    everyone: tuple[Int64Array, Int64Array] | None  # synapses and bits by core, the same for each neuron (dense)
    listed: Listed | None  # parts: synapses, bits


class Sent(NamedTuple):
    """Where the spikes of one group go, one packet for each core."""

    first: int
    n: int
    everyone: Int64Array  # cores that all neurons of the group send to
    listed: Listed  # further cores; parts: none


class Deliveries(NamedTuple):
    """What spikes of a program do, as tables; cores are those of its mapping, and the last row is the world outside.

    Attributes
    ----------
    core : (n_neurons,) int64
        Row of each neuron's core; n_cores for input lines.
    tile : (n_cores + 1,) int64
        Tile ``y * width + x`` of each row; packets from outside start at `ENTRY_TILE`.
    reaches : tuple of Reach
        One for each connection.
    sent : tuple of Sent
        One for each group that sends.
    row_bits : int
        Bits that a packet reads on a crossbar, whatever its connections; 0 elsewhere.
    pair : (n_pairs,) int64
        Pairs of different tiles between which packets may go: ``source * n_tiles + target``, ascending.
    crossed_start, crossed : (n_pairs + 1,), (n_crossed,) int64
        Links that a packet of each pair crosses: along x, then along y.
    link : (n_links, 3) int64
        x and y of the tile that a link leaves, and its direction, for the links that are crossed.
    """

    core: Int64Array
    tile: Int64Array
    n_tiles: int
    reaches: tuple[Reach, ...]
    sent: tuple[Sent, ...]
    row_bits: int
    pair: Int64Array
    crossed_start: Int64Array
    crossed: Int64Array
    link: Int64Array
    way: Int64Array  # (n_pairs, 2) links along x and along y

    @property
    def n_cores(self) -> int:
        """Cores in use."""
        return len(self.tile) - 1


def deliveries_of(program: Program, learning: LearningNeeds | None = None) -> Deliveries:
    """Return the tables of a program's spikes; `learning` as the program was mapped with."""
    network, mapping, chip = program.network, program.mapping, program.chip
    width, n_cores = chip.mesh[0], len(mapping.cores)
    places = [use.tile for use in mapping.cores] + [ENTRY_TILE]
    tile = np.array([y * width + x for x, y in places], np.int64)
    core = np.where(mapping.core < 0, n_cores, mapping.core).astype(np.int64)
    reaches = []
    for c in network.connections:
        assert not isinstance(c, Connection)
        first, target = network.offsets[c.source], network.offsets[c.target]
        at = core[target : target + c.shape[0]]
        everyone = listed = None
        if isinstance(c, Dense):
            n_synapses = np.bincount(at, minlength=n_cores).astype(np.int64)
            everyone = n_synapses, _bits(c, n_synapses, chip, learning)
        else:
            sparse = c.as_sparse()
            listed = _listed(np.asarray(sparse.col, dtype=np.int64), at[np.asarray(sparse.row)], c.shape[1], n_cores)
            listed = listed._replace(parts=(*listed.parts, _bits(c, listed.parts[0], chip, learning)))
        reaches.append(Reach(first, c.shape[1], kind_of(c), everyone, listed))
    sent = []
    for targets in targets_of(network, mapping.core):
        n = network.group(targets.group).n
        listed = _listed(targets.neuron, targets.core, n, n_cores)._replace(parts=())
        sent.append(Sent(network.offsets[targets.group], n, targets.everyone, listed))
    n_tiles = width * chip.mesh[1]
    pair = _pairs(sent, core, tile, n_tiles)
    start, crossed, link, way = _ways(pair, n_tiles, width)
    row_bits = chip.axon_row_bits or 0
    return Deliveries(core, tile, n_tiles, tuple(reaches), tuple(sent), row_bits, pair, start, crossed, link, way)


def _bits(c: IntegerConnection, n_synapses: Int64Array, chip: Chip, learning: LearningNeeds | None) -> Int64Array:
    """Return the bits that a spike reads where it has so many synapses; none by connection on a crossbar."""
    return np.zeros_like(n_synapses) if chip.axon_row_bits is not None else reads_of(c, n_synapses, chip, learning)


def _listed(neuron: Int64Array, core: Int64Array, n: int, n_cores: int) -> Listed:
    """List the cores of each neuron, and how often each pair occurs."""
    pairs, times = count_pairs(neuron, core, n_cores)
    start = np.searchsorted(pairs, np.arange(n + 1, dtype=np.int64) * n_cores).astype(np.int64)
    return Listed(start, pairs % max(n_cores, 1), (times,))


def _pairs(sent: list[Sent], core: Int64Array, tile: Int64Array, n_tiles: int) -> Int64Array:
    """Return the pairs of different tiles between which some neuron sends packets."""
    found = [np.zeros(0, np.int64)]
    for group in sent:
        home = tile[core[group.first : group.first + group.n]]
        found.append((np.unique(home)[:, None] * n_tiles + np.unique(tile[group.everyone])).ravel())
        found.append(np.repeat(home, np.diff(group.listed.start)) * n_tiles + tile[group.listed.core])
    pairs = np.unique(np.concatenate(found))
    return np.asarray(pairs[pairs // n_tiles != pairs % n_tiles])


def _ways(pair: Int64Array, n_tiles: int, width: int) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
    """Return the links that a packet of each pair crosses, the links, and how many along x and along y."""
    source, target = pair // n_tiles, pair % n_tiles
    x, y = source % width, source // width
    delta = np.stack([target % width - x, target // width - y], axis=1)
    way = np.abs(delta)
    start = np.concatenate([[0], np.cumsum(way.sum(axis=1))]).astype(np.int64)
    which = np.repeat(np.arange(len(pair)), way.sum(axis=1))
    done = np.arange(int(start[-1]), dtype=np.int64) - start[which]  # links crossed before this one
    along_x = np.minimum(done, way[which, 0])
    x = x[which] + np.sign(delta[which, 0]) * along_x
    y = y[which] + np.sign(delta[which, 1]) * (done - along_x)
    on_x = done < way[which, 0]
    back = np.where(on_x, delta[which, 0], delta[which, 1]) < 0
    codes = (y * width + x) * len(DIRECTIONS) + np.where(on_x, EAST, NORTH) + back
    used, crossed = np.unique(codes, return_inverse=True)
    at, headed = used // len(DIRECTIONS), used % len(DIRECTIONS)
    return start, crossed.reshape(-1).astype(np.int64), np.stack([at % width, at // width, headed], axis=1), way


class Spread(NamedTuple):
    """What the spikes of a piece of a run do; rows are its samples and steps.

    Attributes
    ----------
    synapses : (n_rows, n_cores, n_kinds) int64
        Stored synapses that the spikes meet, by kind of connection.
    bits : (n_rows, n_cores) int64
        Bits of synapse memory read.
    arrived : (n_rows, n_cores) int64
        Packets.
    loads : (n_rows, n_links) int64
        Packets over each link.
    farthest : (n_rows, 2) int64
        Most links along x, and along y, that a packet crosses.
    """

    synapses: Int64Array
    bits: Int64Array
    arrived: Int64Array
    loads: Int64Array
    farthest: Int64Array


def spread(
    deliveries: Deliveries, kinds: tuple[str, ...], place: Int64Array, neuron: Int64Array, n_rows: int
) -> Spread:
    """Return what spikes do at the cores that they reach and on the links between.

    Parameters
    ----------
    deliveries : Deliveries
    kinds : tuple of str
        Kinds of connections, in the order of the result.
    place, neuron : (n_spikes,) int64
        Row, and neuron in the program's numbering, of each spike.
    n_rows : int
    """
    n_cores = deliveries.n_cores
    synapses = np.zeros((n_rows, n_cores, len(kinds)), np.int64)
    bits, arrived = np.zeros((n_rows, n_cores), np.int64), np.zeros((n_rows, n_cores), np.int64)
    packets = np.zeros((n_rows, len(deliveries.pair)), np.int64)
    for reach in deliveries.reaches:
        where, which = _of_group(place, neuron, reach.first, reach.n)
        mine = synapses[:, :, kinds.index(reach.kind)]
        if reach.everyone is not None:
            fired = np.bincount(where, minlength=n_rows).astype(np.int64)[:, None]
            mine += fired * reach.everyone[0]
            bits += fired * reach.everyone[1]
        if reach.listed is not None:
            row, entry = _entries(reach.listed, where, which)
            at = row, reach.listed.core[entry]
            np.add.at(mine, at, reach.listed.parts[0][entry])
            np.add.at(bits, at, reach.listed.parts[1][entry])
    for group in deliveries.sent:
        where, which = _of_group(place, neuron, group.first, group.n)
        home = deliveries.tile[deliveries.core[group.first : group.first + group.n]]
        arrived[:, group.everyone] += np.bincount(where, minlength=n_rows).astype(np.int64)[:, None]
        tiles, times = np.unique(deliveries.tile[group.everyone], return_counts=True)
        for source in np.unique(home).tolist() if len(tiles) else []:
            fired = np.bincount(where[home[which] == source], minlength=n_rows).astype(np.int64)
            others = tiles != source
            columns = np.searchsorted(deliveries.pair, source * deliveries.n_tiles + tiles[others])
            packets[:, columns] += fired[:, None] * times[others]
        row, entry = _entries(group.listed, where, which)
        np.add.at(arrived, (row, group.listed.core[entry]), 1)
        leaves = np.repeat(home[which], np.diff(group.listed.start)[which])
        target = deliveries.tile[group.listed.core[entry]]
        away = leaves != target
        columns = np.searchsorted(deliveries.pair, leaves[away] * deliveries.n_tiles + target[away])
        np.add.at(packets, (row[away], columns), 1)
    bits += deliveries.row_bits * arrived
    return Spread(synapses, bits, arrived, *_crossings(deliveries, packets))


def _of_group(place: Int64Array, neuron: Int64Array, first: int, n: int) -> tuple[Int64Array, Int64Array]:
    """Return the rows and the neurons, counted within the group, of a group's spikes."""
    mine = (neuron >= first) & (neuron < first + n)
    return place[mine], neuron[mine] - first


def _entries(listed: Listed, row: Int64Array, neuron: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return the row and the entry of everything that is listed for the neurons that fired."""
    begin, times = listed.start[neuron], np.diff(listed.start)[neuron]
    shift = np.repeat(begin - np.concatenate([[0], np.cumsum(times)[:-1]]), times) if len(times) else times
    return np.repeat(row, times), np.arange(int(times.sum()), dtype=np.int64) + shift


def _crossings(deliveries: Deliveries, packets: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return packets over each link, and the most links along x and along y; `packets` by pair of tiles."""
    n_rows = len(packets)
    if not len(deliveries.pair):
        return np.zeros((n_rows, 0), np.int64), np.zeros((n_rows, 2), np.int64)
    by_link = np.argsort(deliveries.crossed, kind="stable")
    pair = np.repeat(np.arange(len(deliveries.pair)), np.diff(deliveries.crossed_start))[by_link]
    first = np.flatnonzero(np.diff(deliveries.crossed[by_link], prepend=-1))
    loads = np.add.reduceat(packets[:, pair], first, axis=1)
    went = packets > 0
    farthest = np.stack([(went * deliveries.way[:, axis]).max(axis=1) for axis in (0, 1)], axis=1)
    return loads, farthest.astype(np.int64)
