"""The whole mapping: nothing lost, nothing over a limit, the same every time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_examples import chip_with, random_network, roomy, slow_links, slow_reads, slow_use

from neurosim.chip import load_chip
from neurosim.errors import CapacityError
from neurosim.mapping import map_network, utilisation_rows
from neurosim.mapping.layout import ROUTE_COLUMNS
from neurosim.network import LIF, Dense, Input, Network

#: Resources that every core lists; others follow where a chip limits them.
ALWAYS = ("compartments", "synapse_memory_bits", "axons_in", "axons_out")
SMALL = {"compartments_per_core": 7, "synapse_memory_bits_per_core": 6400, "axons_in_per_core": 90}


def mapped(seed, **limits):
    network, chip = random_network(seed), roomy(**(SMALL | limits))
    return network, chip, map_network(network, chip)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_counts_equal_the_slow_ones_and_limits_hold(seed):
    network, chip = random_network(seed), roomy(axons_in_per_core=90, synapse_memory_bits_per_core=24000)
    mapping = map_network(network, chip)
    used, _ = slow_use(network, chip, mapping)
    assert [{name: use.used[name] for name in ALWAYS} for use in mapping.cores] == used
    for use in mapping.cores:
        assert all(use.limit[name] is None or count <= use.limit[name] for name, count in use.used.items())


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_every_neuron_is_on_one_core_and_inputs_are_outside(seed):
    network, _, mapping = mapped(seed)
    assert np.all(mapping.core[: network.n_inputs] == -1)
    assert np.all(mapping.core[network.n_inputs :] >= 0)
    assert sum(use.used["compartments"] for use in mapping.cores) == network.n_neurons - network.n_inputs
    assert set(mapping.core[network.n_inputs :].tolist()) == set(range(len(mapping.cores)))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_limits_hold_on_small_cores(seed):
    network, chip, mapping = mapped(seed, axons_out_per_core=100)
    for use in mapping.cores:
        assert use.used["compartments"] <= 7 and use.used["axons_in"] <= 90
        assert use.used["synapse_memory_bits"] <= 6400 and use.used["axons_out"] <= 100
    _, targets = slow_use(network, chip, mapping)
    for use in mapping.cores:
        own = np.flatnonzero(mapping.core == use.core)
        assert use.used["axons_out"] == sum(len(targets.get(int(neuron), ())) for neuron in own)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_route_equals_the_slow_one(seed):
    network, _, mapping = mapped(seed)
    _, targets = slow_use(network, chip_with(), mapping)
    tile = {use.core: use.tile for use in mapping.cores} | {-1: (0, 0)}
    for neuron, own in enumerate(mapping.core.tolist()):
        others = [core for core in targets.get(neuron, ()) if core != own]
        links = np.sum([slow_links(tile[own], tile[core]) for core in others], axis=0, dtype=int, initial=0).tolist()
        expected = [len(others), int(own in targets.get(neuron, ())), *(links if others else [0] * 4)]
        assert mapping.route[neuron, :6].tolist() == expected


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_memory_read_equals_the_slow_one(seed):
    network, chip, mapping = mapped(seed)
    assert mapping.route[:, 6].tolist() == slow_reads(network, chip, mapping)


def test_a_spike_of_every_neuron_reads_the_whole_memory_once():
    network, _, mapping = mapped(3)
    assert mapping.route[:, 6].sum() == sum(use.used["synapse_memory_bits"] for use in mapping.cores) > 0


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_blocks_of_a_group_are_contiguous(seed):
    network, _, mapping = mapped(seed)
    for group in network.ordered_groups[1:]:
        first = network.offsets[group.name]
        cores = mapping.core[first : first + group.n]
        assert np.count_nonzero(np.diff(cores)) + 1 == len(np.unique(cores))


def test_mapping_is_deterministic():
    (_, _, a), (_, _, b) = mapped(5), mapped(5)
    assert a.core.tobytes() == b.core.tobytes() and a.route.tobytes() == b.route.tobytes() and a.cores == b.cores


def test_hops_there_and_back_are_equal():
    weights = np.full((40, 40), 2)
    network = Network([LIF("a", 40), LIF("b", 40)], [Dense("a", "b", weights), Dense("b", "a", weights)])
    mapping = map_network(network, roomy(compartments_per_core=5, mesh=(3, 512)))
    there, back = mapping.route[:40].sum(axis=0), mapping.route[40:].sum(axis=0)
    east, west, north, south = (ROUTE_COLUMNS.index(f"hops_{way}") for way in ("east", "west", "north", "south"))
    assert there[east] == back[west] and there[west] == back[east] and there[[east, west]].sum() > 0
    assert there[north] == back[south] and there[south] == back[north] and there[[north, south]].sum() > 0


def test_small_network_shares_one_core():
    network = Network(
        [Input("in", 3), LIF("a", 4), LIF("b", 2)],
        [Dense("in", "a", np.ones((4, 3), int)), Dense("a", "b", np.ones((2, 4), int))],
    )
    mapping = map_network(network, load_chip("loihi1"))
    assert mapping.core.tolist() == [-1] * 3 + [0] * 6
    assert mapping.cores[0].groups == ("a", "b")
    # an input sends one packet to the core, `a` sends to its own core, `b` to nobody
    assert mapping.route[[0, 3, 7]].tolist() == [[1, 0, 0, 0, 0, 0, 64], [0, 1, 0, 0, 0, 0, 64], [0] * 7]
    # axons: 3 inputs with 4 synapses, 4 neurons with 2: each 8 bits a weight and 10 of header in one word
    assert mapping.cores[0].used == {
        "compartments": 6, "synapse_memory_bits": 7 * 64, "axons_in": 7, "axons_out": 4, "compartment_configs": 1,
        "threshold_configs": 1, "synapse_formats": 1,
    }  # fmt: skip


def test_unlimited_takes_everything_on_one_core():
    network = Network([Input("in", 5000), LIF("a", 3000)], [Dense("in", "a", np.zeros((3000, 5000), np.int64))])
    mapping = map_network(network, load_chip("unlimited"))
    assert len(mapping.cores) == 1 and not mapping.route[:, 2:6].any()


def test_network_without_neurons_needs_no_core():
    mapping = map_network(Network([Input("in", 3)]), load_chip("loihi1"))
    assert mapping.cores == () and mapping.core.tolist() == [-1] * 3 and not mapping.route.any()


def test_too_many_cores_are_refused_with_both_numbers():
    with pytest.raises(CapacityError, match="network 'network' needs 140 cores, chip 'loihi1' has 128; use fewer"):
        map_network(Network([LIF("a", 140 * 1024)]), load_chip("loihi1"))


def test_loihi2_learns_nothing_about_unknown_limits():
    network = Network([Input("in", 5000), LIF("a", 8)], [Dense("in", "a", np.zeros((8, 5000), np.int64))])
    mapping = map_network(network, load_chip("loihi2"))
    assert mapping.cores[0].limit["axons_in"] is None and mapping.cores[0].used["axons_in"] == 5000


def test_utilisation_has_a_row_per_core_and_resource():
    network = Network([Input("in", 2), LIF("a", 1024), LIF("b", 512)], [Dense("in", "a", np.ones((1024, 2), int))])
    rows = utilisation_rows(map_network(network, load_chip("loihi2")))
    assert [(row["core"], row["resource"]) for row in rows[:2]] == [(0, "compartments"), (0, "synapse_memory_bits")]
    assert len(rows) == 4 and rows[0]["share"] == 1536 / 8192 and rows[2]["share"] is None
    mapping = map_network(network, load_chip("loihi1"))
    assert len(utilisation_rows(mapping)) == 2 * 4
    rows = utilisation_rows(mapping, configurations=True)
    assert len(rows) == 2 * 7 and rows[0]["share"] == 1.0 and rows[7]["share"] == 0.5
    assert rows[0]["groups"] == ("a",) and rows[7]["tile"] == (0, 0) and rows[7]["site"] == 1


def test_utilisation_without_limit_has_no_share():
    rows = utilisation_rows(map_network(Network([LIF("a", 2)]), load_chip("unlimited")))
    assert {row["share"] for row in rows} == {None}
