"""Tables of what spikes do, against counting synapse by synapse and packet by packet."""

import numpy as np
import pytest
from percore_cases import KINDS, case

from neurosim.costs.deliveries import DIRECTIONS, deliveries_of, spread
from neurosim.fixedpoint import ARITHMETICS
from neurosim.mapping.route import ENTRY_TILE
from neurosim.program import kind_of
from neurosim.reference.deliver import connection_matrices

TOWARDS = {"east": (1, 0), "west": (-1, 0), "north": (0, 1), "south": (0, -1)}


def kinds_of(deliveries):
    return tuple(dict.fromkeys(reach.kind for reach in deliveries.reaches))


def slow_synapses(program, fired, kinds):
    """Count the synapses that spikes meet, from the connections written out."""
    network, core = program.network, program.mapping.core
    found = np.zeros((len(fired), len(program.mapping.cores), len(kinds)), np.int64)
    for c in network.connections:
        stored = connection_matrices(c, ARITHMETICS[program.arithmetic]).stored
        first, target = network.offsets[c.source], network.offsets[c.target]
        for pre in range(c.shape[1]):
            for post in np.flatnonzero(stored[:, pre]):
                found[:, core[target + post], kinds.index(kind_of(c))] += fired[:, first + pre]
    return found


def slow_packets(program, fired):
    """Send packets one by one: arrivals by core, and crossings by link."""
    network, core = program.network, program.mapping.core
    tiles = [use.tile for use in program.mapping.cores]
    arrived = np.zeros((len(fired), len(tiles)), np.int64)
    loads, far = {}, np.zeros((len(fired), 2), np.int64)
    for neuron in range(network.n_neurons):
        targets = set()
        for c in network.connections:
            pre, target = neuron - network.offsets[c.source], network.offsets[c.target]
            if 0 <= pre < c.shape[1]:
                stored = connection_matrices(c, ARITHMETICS[program.arithmetic]).stored
                targets |= {int(core[target + post]) for post in np.flatnonzero(stored[:, pre])}
        for target in targets:
            arrived[:, target] += fired[:, neuron]
            (x, y), (to_x, to_y) = ENTRY_TILE if core[neuron] < 0 else tiles[core[neuron]], tiles[target]
            far = np.maximum(far, (fired[:, neuron] > 0)[:, None] * np.array([abs(to_x - x), abs(to_y - y)]))
            while (x, y) != (to_x, to_y):
                way = ("east" if to_x > x else "west") if x != to_x else ("north" if to_y > y else "south")
                loads[x, y, way] = loads.get((x, y, way), 0) + fired[:, neuron]
                x, y = x + TOWARDS[way][0], y + TOWARDS[way][1]
    return arrived, loads, far


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_spread_is_that_of_single_packets_and_synapses(kind, seed):
    program, _ = case(kind, seed)
    rng = np.random.default_rng(seed)
    fired = (rng.random((4, program.network.n_neurons)) < 0.3).astype(np.int64)
    fired[3] = 0
    deliveries = deliveries_of(program)
    kinds = kinds_of(deliveries)
    place, neuron = np.nonzero(fired)
    found = spread(deliveries, kinds, place, neuron, 4)
    np.testing.assert_array_equal(found.synapses, slow_synapses(program, fired, kinds))
    arrived, loads, far = slow_packets(program, fired)
    np.testing.assert_array_equal(found.arrived, arrived)
    np.testing.assert_array_equal(found.farthest, far)
    links = [(x, y, DIRECTIONS[way]) for x, y, way in deliveries.link.tolist()]
    assert len(set(links)) == len(links) and set(loads) == set(links)
    for i, link in enumerate(links):
        np.testing.assert_array_equal(found.loads[:, i], loads[link])
    reads = program.mapping.route[:, -1].astype(np.int64)
    np.testing.assert_array_equal(found.bits.sum(axis=1), fired @ reads)


def test_all_of_a_spike_is_counted_as_often_as_it_occurs():
    program, _ = case("random", 1)
    deliveries = deliveries_of(program)
    neuron = np.arange(program.network.n_neurons)
    once = spread(deliveries, kinds_of(deliveries), np.zeros_like(neuron), neuron, 1)
    twice = spread(deliveries, kinds_of(deliveries), np.zeros(2 * len(neuron), np.int64), np.tile(neuron, 2), 1)
    for part in ("synapses", "bits", "arrived", "loads"):
        np.testing.assert_array_equal(getattr(twice, part), 2 * getattr(once, part))
    np.testing.assert_array_equal(twice.farthest, once.farthest)
