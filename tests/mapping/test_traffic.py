"""Rates, and the packets between cores that they make; against sums over synapses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_examples import chip_with, random_network, roomy, slow_links, slow_use

from neurosim.compile_network import compile
from neurosim.counters import N_COUNTERS, SPIKES, OpCounts
from neurosim.errors import NetworkError
from neurosim.mapping import busiest_link, link_loads, map_network, packets_per_step, rates_of
from neurosim.mapping.descent import Mesh, cost_of, descend, grow
from neurosim.mapping.layout import ROUTE_COLUMNS
from neurosim.mapping.rates import neuron_rates
from neurosim.mapping.route import targets_of
from neurosim.mapping.sites import along_hilbert, in_rows, tiles_of
from neurosim.mapping.traffic import EXACT, UNIT, traffic_of
from neurosim.network import LIF, Conv, Dense, Input, Network

SMALL = {"compartments_per_core": 7, "axons_in_per_core": 90, "axons_out_per_core": None}


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_traffic_equals_the_slow_one(seed):
    network, chip = random_network(seed), roomy(**SMALL)
    rates = np.random.default_rng(seed).integers(0, 5, network.n_neurons) / 4
    mapping = map_network(network, chip)
    _, targets = slow_use(network, chip, mapping)
    n_cores = len(mapping.cores)
    between, entering = np.zeros((n_cores, n_cores)), np.zeros(n_cores)
    for neuron, cores in targets.items():
        for core in cores:
            home = int(mapping.core[neuron])
            if home < 0:
                entering[core] += rates[neuron]
            elif home != core:
                between[home, core] += rates[neuron]
                between[core, home] += rates[neuron]
    found = traffic_of(network, mapping.core, targets_of(network, mapping.core), rates, 64)
    np.testing.assert_array_equal(found.between, between * UNIT)
    np.testing.assert_array_equal(found.entering, entering * UNIT)


def test_units_become_coarser_before_sums_leave_the_exact_numbers():
    network = Network([LIF("a", 4), LIF("b", 4)], [Dense("a", "b", np.ones((4, 4), int))])
    core = np.array([0, 0, 0, 0, 1, 1, 1, 1], np.int32)
    found = traffic_of(network, core, targets_of(network, core), np.full(8, 1e9), 1 << 12)
    assert float(found.between.sum()) * (1 << 12) < EXACT and found.between[0, 1] > 0
    assert np.all(found.between == np.rint(found.between))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_the_cost_that_is_minimised_is_the_hops_of_the_route(seed):
    network, chip = random_network(seed), roomy(**SMALL, mesh=(5, 30), n_cores=600)
    rates = np.random.default_rng(seed).integers(0, 9, network.n_neurons) / 8
    mapping = map_network(network, chip, rates)
    traffic = traffic_of(network, mapping.core, targets_of(network, mapping.core), rates, sum(chip.mesh))
    mesh = Mesh(tiles_of(in_rows(chip), chip), (0, 0))
    sites = np.array([use.site for use in mapping.cores])
    assert cost_of(sites, traffic, mesh) == packets_per_step(network, mapping, rates)["hops"] * UNIT


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 14))
def test_no_exchange_of_two_places_helps_after_a_descent(seed, n):
    rng = np.random.default_rng(seed)
    chip = chip_with(n_cores=20, mesh=(3, 4), cores_per_tile=2)
    between = np.triu(rng.integers(0, 9, (n, n)), 1).astype(float)
    traffic = type(traffic_of(*_nothing()))(between + between.T, rng.integers(0, 9, n).astype(float))
    mesh = Mesh(tiles_of(in_rows(chip), chip), (0, 0))
    for start in (np.arange(n), along_hilbert(chip)[:n], grow(traffic, mesh)):
        site = descend(start, traffic, mesh)
        assert len(set(site.tolist())) == n and cost_of(site, traffic, mesh) <= cost_of(start, traffic, mesh)
        for i in range(n):
            for place in range(20):
                other = site.copy()
                other[site == place] = site[i]
                other[i] = place
                assert cost_of(other, traffic, mesh) >= cost_of(site, traffic, mesh)


def _nothing():
    network = Network([LIF("a", 1)])
    return network, np.zeros(1, np.int32), [], np.ones(1), 1


def test_rates_of_groups_and_of_neurons():
    network = Network([LIF("b", 2), Input("a", 3)])
    assert neuron_rates(network).tolist() == [1.0] * 5
    assert neuron_rates(network, {"a": 0.5}).tolist() == [0.5] * 3 + [1.0] * 2
    assert neuron_rates(network, [1, 2, 3, 4, 5]).tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ({"c": 1.0}, "unknown group 'c'; groups are"),
        ([1.0], r"rates have shape \(1,\), need \(5,\), input lines first; or give a dictionary"),
        ([0, 0, 0, 0, -1], "rates must be finite and not negative; measure them again"),
        ({"a": float("nan")}, "rates must be finite"),
    ],
)
def test_wrong_rates_are_refused(rates, words):
    with pytest.raises(NetworkError, match=words):
        map_network(Network([LIF("b", 2), Input("a", 3)]), chip_with(), rates)


def test_measured_rates_are_spikes_per_neuron_and_step():
    network = Network([Input("in", 2), LIF("a", 5)], [Dense("in", "a", np.ones((5, 2), int))])
    matrix = np.zeros((3, N_COUNTERS), np.int64)
    matrix[:2, SPIKES] = 12, 10
    counts = OpCounts(("in", "a", "in->a"), matrix, 4, 20)
    assert rates_of(counts, network) == {"in": 12 / 40, "a": 10 / 100}
    with pytest.raises(NetworkError, match="counts are of a run without a step"):
        rates_of(OpCounts(counts.rows, matrix, 0, 0), network)


def test_measured_rates_decide_who_lies_near():
    groups = [Input("in", 4), *(LIF(name, 4) for name in "abcd")]
    ones = np.ones((4, 4), int)
    network = Network(groups, [Dense("in", name, ones) for name in "abcd"])
    chip = chip_with(n_cores=4, mesh=(4, 1), cores_per_tile=1, compartments_per_core=4)
    weights = [Dense("in", name, ones) for name in "abcd"] + [Dense("d", "a", ones)]
    busy = compile(Network(groups, weights), chip, rates={"d": 100.0, "in": 0.0}).mapping
    tile = {use.groups[0]: use.tile for use in busy.cores}
    assert abs(tile["a"][0] - tile["d"][0]) == 1
    assert len({use.tile for use in map_network(network, chip).cores}) == 4


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_loads_of_links_equal_the_slow_ones_and_add_up_to_hops(seed):
    network, chip = random_network(seed), roomy(**SMALL)
    rates = np.random.default_rng(seed).integers(0, 9, network.n_neurons) / 8
    mapping = map_network(network, chip, rates, placement=("traffic", "rows", "random:2")[seed % 3])
    _, targets = slow_use(network, chip, mapping)
    tile = {use.core: use.tile for use in mapping.cores} | {-1: (0, 0)}
    loads = link_loads(network, mapping, rates)
    expected = packets_per_step(network, mapping, rates)
    for i, way in enumerate(("east", "west", "north", "south")):
        slow = sum(
            rates[neuron] * slow_links(tile[int(mapping.core[neuron])], tile[core])[i]
            for neuron, cores in targets.items()
            for core in cores
        )
        assert sum(load.packets for load in loads if load.direction == way) == slow == expected[f"hops_{way}"]
    assert all(load.packets > 0 for load in loads) and len({load[:2] for load in loads}) == len(loads)


def test_the_busiest_link_by_hand():
    groups = [Input("in", 4), LIF("a", 4), LIF("b", 4), LIF("c", 4)]
    ones = np.ones((4, 4), int)
    network = Network(groups, [Dense("in", "a", ones), Dense("a", "b", ones), Dense("a", "c", ones)])
    chip = chip_with(n_cores=4, mesh=(2, 2), cores_per_tile=1, compartments_per_core=4)
    mapping = map_network(network, chip, {"in": 0.25}, placement="rows")
    loads = link_loads(network, mapping, {"in": 0.25})
    assert loads == [((0, 0), "east", 4.0), ((0, 0), "north", 4.0)] and busiest_link(loads) == loads[0]
    assert busiest_link([]) is None
    assert packets_per_step(network, mapping, {"in": 0.25})["messages"] == 4 * 0.25 + 4 * 2


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_packets_sent_equal_packets_received(seed):
    network, chip = random_network(seed), roomy(**SMALL)
    mapping = map_network(network, chip)
    sent = mapping.route[:, [ROUTE_COLUMNS.index("messages"), ROUTE_COLUMNS.index("messages_local")]].sum()
    assert sent == sum(use.used["axons_in"] for use in mapping.cores)  # each neuron fires once
    inside = mapping.route[network.n_inputs :, :2].sum()
    assert inside == sum(use.used["axons_out"] for use in mapping.cores)


def layered(sizes):
    groups = [Input("in", sizes[0]), *(LIF(f"l{i}", n) for i, n in enumerate(sizes[1:]))]
    pairs = zip(groups[:-1], groups[1:], strict=True)
    return Network(groups, [Dense(a.name, b.name, np.ones((b.n, a.n), int)) for a, b in pairs])


def convolutional():
    groups, connections, shape = [Input("in", 24 * 24 * 2)], [], (24, 24, 2)
    for i, channels in enumerate((8, 16, 16)):
        weights = np.ones((channels, 3, 3, shape[2]), int)
        conv = Conv(groups[-1].name, f"c{i}", weights, shape, 1 + i % 2, 1)
        shape = conv.output_shape
        groups.append(LIF(f"c{i}", conv.shape[0]))
        connections.append(conv)
    return Network(groups, connections)


# Dense layers that fill the mesh send to every core of the next one, and gain least: benchmarks/track_mapping.py.
@pytest.mark.parametrize(("network", "at_most"), [(convolutional(), 0.5), (layered((200, 500, 500, 100)), 0.85)])
def test_traffic_saves_hops_on_layered_networks(network, at_most):
    chip = chip_with(compartments_per_core=128)
    hops = {
        way: packets_per_step(network, map_network(network, chip, placement=way))["hops"]
        for way in ("traffic", "rows", "random:1")
    }
    assert hops["traffic"] < at_most * hops["rows"] and hops["traffic"] < hops["random:1"]
