"""Formats of the chip, and a mapping that breaks a limit."""

import dataclasses

import numpy as np
import pytest
from mapping_examples import chip_with

from neurosim.chip import load_chip
from neurosim.errors import CapacityError, NetworkError
from neurosim.mapping import map_network
from neurosim.mapping.validate import check_formats, validate
from neurosim.network import LIF, Connection, CubaLIF, Dense, Input, Network
from neurosim.neurons import Sigma

PAIR = Network([Input("in", 1), LIF("a", 1)], [Dense("in", "a", [[2]])])


@pytest.mark.parametrize("chip", ["loihi1", "loihi2", "unlimited"])
def test_largest_registers_fit_on_the_presets(chip):
    groups = [Input("in", 1), LIF("a", 1, du=4095, dv=4095, vth=131071, bias_mant=-4096, bias_exp=7)]
    check_formats(Network(groups, [Dense("in", "a", [[-256]], plastic=True)]), load_chip(chip))


def test_floats_are_refused():
    with pytest.raises(NetworkError, match="'a' is in floats; call quantize"):
        map_network(Network([CubaLIF("a", 1)]), load_chip("loihi1"))
    with pytest.raises(NetworkError, match="'a->a' is in floats; call quantize"):
        map_network(Network([LIF("a", 1)], [Connection("a", "a", [[0.5]])]), load_chip("loihi1"))


def test_wide_weights_are_refused():
    with pytest.raises(
        CapacityError, match="connection 'in->a': 8 weight bits exceed the limit of 4.*num_weight_bits=4"
    ):
        check_formats(PAIR, chip_with(weight_bits_max=4))


def test_high_threshold_is_refused_with_the_highest_allowed():
    with pytest.raises(
        CapacityError, match="group 'a': vth 512 is 32768 in units of v, .* up to 32767 in 16 bits; use vth up to 511"
    ):
        check_formats(Network([LIF("a", 1, vth=512)]), chip_with(state_bits=16))
    check_formats(Network([LIF("a", 1, vth=511)]), chip_with(state_bits=16))


def test_large_bias_is_refused():
    with pytest.raises(CapacityError, match="group 'a': bias 524288 exceeds the 32767"):
        check_formats(Network([LIF("a", 1, bias_mant=-4096, bias_exp=7)]), chip_with(state_bits=16))


def test_learning_without_room_for_the_residual_is_refused():
    network = Network([Input("in", 1), LIF("a", 1)], [Dense("in", "a", [[2]], plastic=True)])
    with pytest.raises(
        CapacityError, match="connection 'in->a': learning keeps 8 bits beside each weight, chip 'loihi1' has 0"
    ):
        check_formats(network, chip_with(tag_bits=0))
    check_formats(network, load_chip("loihi2"))  # unknown is not refused


def test_too_many_synapse_formats_of_one_group_are_refused():
    groups = [LIF("a", 1), LIF("b", 1)]
    connections = [Dense("a", "b", [[2]]), Dense("b", "b", [[2]], weight_exp=1)]
    with pytest.raises(CapacityError, match="needs 2 different synapse formats, core limit of chip 'loihi1' is 1"):
        map_network(Network(groups, connections), chip_with(synapse_formats_per_core=1))


def test_core_over_its_limit_is_refused():
    chip = load_chip("loihi1")
    mapping = map_network(PAIR, chip)
    use = dataclasses.replace(mapping.cores[0], used=mapping.cores[0].used | {"axons_in": 4097})
    with pytest.raises(CapacityError, match="core 0 with a needs 4097 axons in, core limit of chip 'loihi1' is 4096"):
        validate(PAIR, chip, dataclasses.replace(mapping, cores=(use,)))


def test_lost_neuron_is_noticed():
    chip = load_chip("loihi1")
    mapping = map_network(PAIR, chip)
    with pytest.raises(AssertionError):
        validate(PAIR, chip, dataclasses.replace(mapping, core=np.array([-1, -1], np.int32)))


def test_what_the_chip_does_not_have_is_refused_by_name():
    sums = Network([Input("in", 1), Sigma("s", 1)], [Dense("in", "s", [[2]])])
    with pytest.raises(CapacityError, match="group 's': chip 'loihi1' has no Sigma neurons, only lif.*'loihi2'"):
        map_network(sums, load_chip("loihi1"))
    map_network(sums, load_chip("loihi2"))
    graded = Network([Input("in", 1), LIF("a", 1)], [Dense("in", "a", [[2]], num_message_bits=8)])
    with pytest.raises(
        CapacityError, match="connection 'in->a': 8 message bits exceed the limit of 0 of chip 'loihi1'"
    ):
        map_network(graded, load_chip("loihi1"))
    late = Network([Input("in", 1), LIF("a", 1)], [Dense("in", "a", [[2]], delays=[[9]])])
    with pytest.raises(CapacityError, match="connection 'in->a': delay 9 exceeds the limit of 8 steps"):
        check_formats(late, chip_with(delay_max=8))


@pytest.mark.parametrize(
    ("chip", "du", "dv", "fits"),
    [
        ("truenorth", 4095, 0, True), ("truenorth", 4095, 1, False), ("speck", 2047, 0, False),
        ("xylo-audio-2", 2047, 1024, True), ("xylo-audio-2", 4095, 4095, True), ("xylo-audio-2", 2048, 1024, False),
        ("xylo-audio-2", 1023, 0, False), ("loihi1", 17, 19, True), ("spinnaker1", 17, 19, True),
        ("xylo-audio-2", [2047, 0], [1, 2048], True), ("truenorth", [4095, 4094], 0, False),
    ],
)  # fmt: skip
def test_decays_are_of_a_form_that_the_chip_has(chip, du, dv, fits):
    network = Network([LIF("a", 2, du=du, dv=dv)])
    if fits:
        check_formats(network, load_chip(chip))
    else:
        with pytest.raises(CapacityError, match="group 'a': neurons decay by du .* those of chip .*; use such decays"):
            check_formats(network, load_chip(chip))
