"""Limits of each neuron and of the network, on small made-up chips; counts done the slow way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_examples import chip_with, random_network, roomy, synapses

from neurosim.errors import CapacityError
from neurosim.mapping import map_network
from neurosim.mapping.demand import fan_in
from neurosim.mapping.limits import delay_levels, fan_in_counts, fan_out_counts, weight_levels
from neurosim.network import LIF, Conv, Dense, Input, Network, OneToOne, Sparse


def dense(weights, **options):
    n_post, n_pre = np.shape(weights)
    return Network([Input("in", n_pre), LIF("a", n_post)], [Dense("in", "a", weights, **options)])


def slow_synapses(network, zeros=True):
    """List (pre, post, weight, weight_exp, delay) of every synapse, from the description."""
    offsets = network.offsets
    for c in network.connections:
        if isinstance(c, Dense):
            delays = np.zeros(c.shape, int) if c.delays is None else c.delays
            found = [(pre, post, c.weights[post, pre], delays[post, pre]) for post, pre in np.ndindex(*c.shape)]
        else:
            s = c.as_sparse()
            delays = np.zeros(len(s.row), int) if c.delays is None else c.as_sparse().delays
            found = list(zip(s.col.tolist(), s.row.tolist(), s.data.tolist(), delays.tolist(), strict=True))
        for pre, post, weight, delay in found:
            if zeros or weight or not isinstance(c, Dense):
                yield offsets[c.source] + pre, offsets[c.target] + post, int(weight), c.weight_exp, int(delay)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), crossbar=st.booleans())
def test_counts_of_synapses_equal_the_slow_ones(seed, crossbar):
    network, chip = random_network(seed), chip_with(axon_row_bits=256 if crossbar else None)
    received, sent = [0] * network.n_neurons, [0] * network.n_neurons
    for pre, post, *_ in slow_synapses(network, zeros=not crossbar):
        sent[pre], received[post] = sent[pre] + 1, received[post] + 1
    fans = fan_in(network, chip)
    for group in network.groups:
        here = slice(network.offsets[group.name], network.offsets[group.name] + group.n)
        assert fan_in_counts(network, group.name, fans[group.name], chip).tolist() == received[here]
        assert fan_out_counts(network, group.name, chip).tolist() == sent[here]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_levels_equal_the_slow_ones(seed):
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 7, 3)
    groups = [Input("in", int(n[0])), LIF("a", int(n[1])), LIF("b", int(n[2]))]
    delays = rng.integers(0, 3, (n[2], n[1]))
    mask = np.argwhere(rng.random((n[2], n[0])) < 0.6)
    connections = [
        Dense("a", "b", rng.integers(-2, 3, (n[2], n[1])), weight_exp=int(rng.integers(-1, 2)), delays=delays),
        Sparse("in", "b", (n[2], n[0]), mask[:, 0], mask[:, 1], rng.integers(-2, 3, len(mask)), weight_exp=1),
        OneToOne("a", "a", int(n[1]), rng.integers(1, 3, n[1])),
    ]
    network = Network(groups, connections)
    weights, late = {}, {}
    for pre, post, weight, exponent, delay in slow_synapses(network):
        late.setdefault(pre, set()).add(delay)
        if weight:
            weights.setdefault(post, set()).add(weight * 2.0**exponent)
    for group in network.groups:
        numbers = range(network.offsets[group.name], network.offsets[group.name] + group.n)
        assert weight_levels(network, group.name).tolist() == [len(weights.get(i, ())) for i in numbers]
        assert delay_levels(network, group.name).tolist() == [len(late.get(i, ())) for i in numbers]


CASES = [
    ({"inputs_max": 2}, dense(np.ones((2, 3), int)), "3 input lines exceed the limit of 2 of chip 'loihi1'; use fewer inputs"),
    ({"fan_in_max": 2}, dense(np.ones((2, 3), int)), "group 'a': neuron 0 receives 3 synapses, limit of chip 'loihi1' is 2"),
    (
        {"fan_out_max": 1},
        Network([LIF("a", 3), LIF("b", 2)], [Sparse("a", "b", (2, 3), [0, 1], [1, 1], [1, 1])]),
        "group 'a': neuron 1 sends to 2 synapses, limit of chip 'loihi1' is 1; connect it to fewer",
    ),
    (
        {"weight_levels_per_neuron": 2},
        dense([[1, 2, 2, 0], [1, 2, 3, 0]]),
        "group 'a': neuron 1 has 3 different weights, limit of chip 'loihi1' is 2; quantize to fewer",
    ),
    (
        {"delay_levels_per_neuron": 1},
        Network([LIF("a", 1), LIF("b", 2)], [Dense("a", "b", [[1], [1]], delays=[[0], [3]])]),
        "group 'a': neuron 0 sends with 2 different delays, limit of chip 'loihi1' is 1; use one delay",
    ),
    (
        {"target_cores_max": 1, "compartments_per_core": 2},
        Network([LIF("a", 1), LIF("b", 5)], [Dense("a", "b", np.ones((5, 1), int))]),
        "group 'a': neuron 0 sends to 3 cores, limit of chip 'loihi1' is 1; connect it",
    ),
    (
        {"cores_per_group": 2, "compartments_per_core": 2},
        Network([LIF("a", 5)]),
        "group 'a': needs 3 cores, chip 'loihi1' spreads a group over 2 at most; use a smaller group",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("limits", "network", "words"), CASES, ids=[next(iter(case[0])) for case in CASES])
def test_each_limit_is_refused_with_object_value_limit_and_remedy(limits, network, words):
    with pytest.raises(CapacityError, match=words):
        map_network(network, chip_with(**limits))


@pytest.mark.parametrize(("limits", "network", "words"), CASES, ids=[next(iter(case[0])) for case in CASES])
def test_a_limit_as_large_as_the_need_is_kept(limits, network, words):
    name = next(iter(limits))
    needed = {"inputs_max": 3, "fan_in_max": 3, "fan_out_max": 2, "target_cores_max": 3}.get(name, limits[name] + 1)
    assert len(map_network(network, chip_with(**(limits | {name: needed}))).cores) > 0


def test_limits_of_neurons_do_not_bind_input_lines():
    network = dense(np.ones((6, 1), int))
    mapping = map_network(network, chip_with(fan_out_max=1, target_cores_max=1, compartments_per_core=2))
    assert mapping.route[0, 0] == 3


def test_groups_per_core_keeps_groups_apart():
    network = Network([LIF("a", 2), LIF("b", 2), LIF("c", 2)])
    assert [use.groups for use in map_network(network, chip_with(groups_per_core=2)).cores] == [("a", "b"), ("c",)]
    uses = map_network(network, chip_with(groups_per_core=1)).cores
    assert [(use.groups, use.used["groups"], use.limit["groups"]) for use in uses] == [
        (("a",), 1, 1),
        (("b",), 1, 1),
        (("c",), 1, 1),
    ]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_special_limits_hold_or_are_refused(seed):
    network = random_network(seed)
    chip = roomy(groups_per_core=2, cores_per_group=4, target_cores_max=6, compartments_per_core=9)
    targets, cores = {}, {}
    try:
        mapping = map_network(network, chip)
    except CapacityError as error:
        assert any(words in str(error) for words in ("spreads a group over 4", "limit of chip 'loihi1' is 6"))
        return
    for _, pre, post in synapses(network):
        targets.setdefault(pre, set()).add(int(mapping.core[post]))
    assert all(len(targets.get(i, ())) <= 6 for i in range(network.n_inputs, network.n_neurons))
    for group in network.ordered_groups[1:]:
        first = network.offsets[group.name]
        used = set(mapping.core[first : first + group.n].tolist())
        assert len(used) <= 4
        for core in used:
            cores.setdefault(core, set()).add(group.name)
    assert all(len(groups) <= 2 for groups in cores.values())


def test_a_crossbar_stores_rows_of_axons():
    chip = chip_with(axon_row_bits=256, compartments_per_core=256, axons_in_per_core=256)
    network = Network(
        [Input("in", 5), LIF("a", 3), LIF("b", 4)],
        [Dense("in", "a", np.ones((3, 5), int)), Dense("in", "b", np.ones((4, 5), int)), Dense("a", "b", np.ones((4, 3), int))],
    )  # fmt: skip
    mapping = map_network(network, chip)
    assert mapping.cores[0].used["synapse_memory_bits"] == 256 * 8  # 5 inputs and 3 neurons, each once
    assert mapping.route[:, 6].tolist() == [256] * 8 + [0] * 4
    apart = map_network(network, chip_with(axon_row_bits=256, groups_per_core=1))
    assert [use.used["synapse_memory_bits"] for use in apart.cores] == [256 * 5, 256 * 8]
    assert apart.route[:, 6].tolist() == [512] * 5 + [256] * 3 + [0] * 4
    with pytest.raises(
        CapacityError,
        match="group 'a': one neuron needs 1280 bits of synapse memory, core limit of chip 'loihi1' is 1024",
    ):
        map_network(network, chip_with(axon_row_bits=256, synapse_memory_bits_per_core=1024))


def test_a_fixed_word_holds_whatever_a_synapse_has():
    network = Network([LIF("a", 3)], [Dense("a", "a", np.ones((3, 3), int), plastic=True, delays=2)])
    chip = chip_with(bits_per_synapse=32, synapse_word_bits=32, synapse_header_bits=96)
    assert map_network(network, chip).cores[0].used["synapse_memory_bits"] == 3 * (3 * 32 + 96)


def test_padding_fills_powers_of_two():
    conv = Conv("in", "a", np.ones((5, 3, 3, 2), int), (6, 7, 2), padding=1)
    network = Network([Input("in", 84), LIF("a", 210), LIF("b", 10)], [conv, Dense("a", "b", np.ones((10, 210), int))])
    speck = chip_with(
        shared_synapses="kernel", address_padding="power_of_two", bits_per_synapse=8, synapse_word_bits=8,
        synapse_header_bits=0, groups_per_core=1,
    )  # fmt: skip
    uses = map_network(network, speck).cores
    assert uses[0].used["synapse_memory_bits"] == 2 * 16 * 8 * 8  # area 9 in 16, 5 channels in 8, words of 8 bits
    assert uses[0].used["compartments"] == 5 * 8 * 8  # 6 x 7 in 8 x 8
    assert uses[1].used["synapse_memory_bits"] == 210 * 16 * 8 and uses[1].used["compartments"] == 10
    exact = map_network(
        network,
        chip_with(
            shared_synapses="kernel", bits_per_synapse=8, synapse_word_bits=8, synapse_header_bits=0, groups_per_core=1
        ),
    )
    assert exact.cores[0].used["synapse_memory_bits"] == 5 * 9 * 2 * 8 and exact.cores[0].used["compartments"] == 210


@pytest.mark.parametrize(("fraction", "highest"), [(None, 511), (6, 511), (0, 32767), (2, 8191)])
def test_thresholds_are_held_in_the_fraction_of_the_chip(fraction, highest):
    chip = chip_with(state_bits=16, state_fraction_bits=fraction)
    map_network(Network([LIF("a", 1, vth=highest)]), chip)
    with pytest.raises(CapacityError, match=f"use vth up to {highest}"):
        map_network(Network([LIF("a", 1, vth=highest + 1)]), chip)


def test_a_bias_is_held_in_the_fraction_of_the_chip():
    group = LIF("a", 1, bias_mant=-4096, bias_exp=4)  # 65536 of our units: 1024 of weight
    map_network(Network([group]), chip_with(state_bits=16, state_fraction_bits=0))
    with pytest.raises(CapacityError, match="bias 65536 exceeds the 32767"):
        map_network(Network([group]), chip_with(state_bits=16, state_fraction_bits=6))


def test_delay_bits_are_those_of_the_chip():
    network = Network([LIF("a", 6)], [Dense("a", "a", np.ones((6, 6), int), delays=2)])
    used = [
        map_network(network, chip_with(delay_bits=bits)).cores[0].used["synapse_memory_bits"] for bits in (None, 6, 0)
    ]
    assert used == [6 * 128, 6 * 128, 6 * 64]  # 6 x 14 + 10 bits in two words, 6 x 8 + 10 in one
