"""Results do not depend on the mapping: only messages, hops and the memory read do, and they follow from the spikes."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_examples import chip_with, roomy
from model_networks import model_network, random_values
from random_networks import random_events, random_network

from neurosim.chip import load_chip
from neurosim.compile_network import compile
from neurosim.counters import COUNTERS
from neurosim.mapping import LearningNeeds, packets_per_step, rates_of
from neurosim.mapping.layout import ROUTE_COLUMNS
from neurosim.network import LIF, Conv, Dense, Input, Network, Probe
from neurosim.simulator import ReferenceBackend, SimulatorBackend

FREE = {
    "axons_in_per_core": None,
    "axons_out_per_core": None,
    "synapse_formats_per_core": None,
    "threshold_configs_per_core": None,
}
CHIPS = {
    "unlimited": load_chip("unlimited"),
    "small cores": roomy(compartments_per_core=4, **FREE),
    "long mesh": chip_with(n_cores=300, mesh=(300, 1), cores_per_tile=1, compartments_per_core=3, **FREE),
    "one group a core": roomy(groups_per_core=1, **FREE),
    "kernels": roomy(compartments_per_core=6, shared_synapses="kernel", **FREE),
    "shifted": roomy(compartments_per_core=6, shared_synapses="shifted", **FREE),
    "crossbar": roomy(compartments_per_core=5, axon_row_bits=256, **FREE),
    "uneven": dataclasses.replace(
        roomy(compartments_per_core=30, **FREE), n_cores=128, mesh=(8, 4), compartments_by_core=(30, 3, 5, 7) * 32
    ),
}  # fmt: skip
PLACEMENTS = ("traffic", "rows", "snake", "random:1", "random:2")
#: Counters that say where the network lies; all others must not.
OF_THE_MAPPING = [COUNTERS.index(name) for name in ROUTE_COLUMNS]
OF_THE_NETWORK = [i for i in range(len(COUNTERS)) if i not in OF_THE_MAPPING]


def run(backend, program, events):
    with backend().open(program, threads=1) as runner:
        return runner.run(events)


def assert_same_results(one, other):
    for name, train in one.spikes.items():
        for part, twin in zip(train, other.spikes[name], strict=True):
            np.testing.assert_array_equal(part, twin, err_msg=name)
    for key, states in one.states.items():
        np.testing.assert_array_equal(states, other.states[key], err_msg=str(key))
    for part, twin in zip(one.final, other.final, strict=True):
        np.testing.assert_array_equal(part, twin)
    assert one.counts.rows == other.counts.rows
    np.testing.assert_array_equal(one.counts.matrix[:, OF_THE_NETWORK], other.counts.matrix[:, OF_THE_NETWORK])


@pytest.mark.parametrize("backend", [SimulatorBackend, ReferenceBackend])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), placement=st.sampled_from(PLACEMENTS), chip=st.sampled_from(sorted(CHIPS)))
def test_results_do_not_depend_on_chip_placement_or_rates(backend, seed, placement, chip):
    network = random_network(seed)
    events = random_events(seed, 2, 8, network.n_inputs)
    plain = run(backend, compile(network, CHIPS["unlimited"]), events)
    rates = rates_of(plain.counts, network) if seed % 2 else None
    program = compile(network, CHIPS[chip], rates=rates, placement=placement)
    found = run(backend, program, events)
    assert_same_results(plain, found)
    assert network.n_neurons == len(program.mapping.core)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), placement=st.sampled_from(PLACEMENTS), chip=st.sampled_from(sorted(CHIPS)))
def test_messages_and_hops_follow_from_the_spikes(seed, placement, chip):
    network = random_network(seed)
    program = compile(network, CHIPS[chip], placement=placement)
    result = run(SimulatorBackend, program, random_events(seed, 2, 8, network.n_inputs))
    spikes = np.zeros(network.n_neurons, np.int64)
    for name, train in result.spikes.items():
        np.add.at(spikes, network.offsets[name] + train.neuron, 1)
    expected = packets_per_step(network, program.mapping, spikes)
    assert {name: result.counts.total(name) for name in ROUTE_COLUMNS} == {
        name: expected[name] for name in ROUTE_COLUMNS
    }


@pytest.mark.parametrize("backend", [SimulatorBackend, ReferenceBackend])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), placement=st.sampled_from(PLACEMENTS), chip=st.sampled_from(sorted(CHIPS)))
def test_results_of_every_model_do_not_depend_on_the_mapping(backend, seed, placement, chip):
    network = model_network(seed)
    events = random_values(seed, 2, 8, network.n_inputs)
    any_model = dataclasses.replace(CHIPS[chip], neuron_models=None, message_bits=None)
    plain = run(backend, compile(network, "unlimited"), events)
    assert_same_results(plain, run(backend, compile(network, any_model, placement=placement), events))


@pytest.mark.parametrize("chip", sorted(CHIPS))
@pytest.mark.parametrize("backend", [SimulatorBackend, ReferenceBackend])
def test_results_of_a_convolution_do_not_depend_on_how_it_is_stored(backend, chip):
    weights = np.random.default_rng(3).integers(-60, 200, (2, 3, 3, 2))
    conv = Conv("in", "a", weights, (4, 5, 2), padding=1)
    groups = [Input("in", 40), LIF("a", 40, vth=3), LIF("b", 5)]
    ties = Dense("a", "b", np.random.default_rng(4).integers(-60, 90, (5, 40)))
    network = Network(groups, [conv, ties], [Probe("a"), Probe("b"), Probe("b", "v")])
    chip = dataclasses.replace(CHIPS[chip], compartments_by_core=None)  # 40 neurons fill many of the uneven cores
    events = random_events(5, 2, 10, 40)
    plain = run(backend, compile(network, "unlimited"), events)
    assert plain.counts.of("b", "spikes") > 0
    assert_same_results(plain, run(backend, compile(network, chip), events))


def test_measured_rates_give_the_hops_of_the_run():
    network = random_network(12, 2, 4)
    events = random_events(12, 3, 20, network.n_inputs)
    chip = CHIPS["small cores"]
    first = run(SimulatorBackend, compile(network, chip), events)
    rates = rates_of(first.counts, network)
    assert 0 < sum(rates.values())
    again = run(SimulatorBackend, compile(network, chip, rates=rates), events)
    assert_same_results(first, again)
    assert rates_of(again.counts, network) == rates


def test_what_learning_keeps_changes_no_result():
    network = random_network(7, 2, 4)
    events = random_events(7, 2, 8, network.n_inputs)
    needs = LearningNeeds({c.name: 16 for c in network.connections if c.plastic}, core=64)
    chip = dataclasses.replace(CHIPS["small cores"], tag_bits=None)
    assert_same_results(
        run(SimulatorBackend, compile(network, chip), events),
        run(SimulatorBackend, compile(network, chip, learning=needs), events),
    )
