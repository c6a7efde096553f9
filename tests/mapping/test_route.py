"""Packets and links."""

import numpy as np

from neurosim.mapping.route import distinct, route, targets_of
from neurosim.network import LIF, Dense, Input, Network, Sparse

TILES = np.array([[0, 0], [0, 0], [2, 0], [2, 3]])


def routes(connections, core):
    network = Network([Input("in", 1), LIF("a", 2), LIF("b", 3)], connections)
    core = np.array([-1, *core], np.int32)
    return route(network, core, TILES, targets_of(network, core)).tolist()


def test_dense_sends_one_packet_per_core():
    found = routes([Dense("a", "b", np.zeros((3, 2), int))], [0, 1, 1, 2, 3])
    # from core 0: cores 1 (same tile), 2 (2 links east), 3 (2 links east, 3 north)
    assert found[1] == [3, 0, 4, 0, 3, 0] and found[2] == [2, 1, 4, 0, 3, 0]


def test_two_synapses_on_one_core_share_a_packet():
    found = routes([Sparse("a", "b", (3, 2), [0, 1, 2], [0, 0, 1], [1, 1, 1])], [0, 0, 2, 2, 3])
    assert found[1] == [1, 0, 2, 0, 0, 0] and found[2] == [1, 0, 2, 0, 3, 0]


def test_dense_and_sparse_to_one_core_share_a_packet():
    found = routes(
        [Dense("a", "b", np.zeros((3, 2), int)), Sparse("a", "a", (2, 2), [0, 1], [1, 1], [1, 1])], [0, 2, 2, 2, 2]
    )
    assert found[1] == [1, 0, 2, 0, 0, 0] and found[2] == [1, 1, 0, 2, 0, 0]


def test_inputs_enter_at_the_corner_and_are_never_local():
    found = routes([Dense("in", "b", np.zeros((3, 1), int))], [0, 0, 0, 2, 3])
    assert found[0] == [3, 0, 4, 0, 3, 0]


def test_ways_back_go_west_and_south():
    found = routes([Dense("b", "a", np.zeros((2, 3), int))], [0, 0, 3, 2, 1])
    assert found[3:] == [[1, 0, 0, 2, 0, 3], [1, 0, 0, 2, 0, 0], [1, 0, 0, 0, 0, 0]]


def test_neuron_without_targets_sends_nothing():
    assert routes([], [0, 0, 0, 0, 0]) == [[0] * 6] * 6


def test_distinct_sorts_and_drops_repeats():
    assert distinct([np.array([3, 1]), np.array([1, 0])]).tolist() == [0, 1, 3]
    assert distinct([]).tolist() == [] and distinct([np.zeros(0, np.int64)]).tolist() == []
