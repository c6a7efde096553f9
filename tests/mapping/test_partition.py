"""Blocks: as long as a core allows, sharing cores where they fit."""

import numpy as np
import pytest
from mapping_examples import chip_with, random_network, roomy, synapses

from neurosim.chip import load_chip
from neurosim.errors import CapacityError
from neurosim.mapping.demand import fan_in
from neurosim.mapping.partition import core_of_neurons, partition
from neurosim.network import LIF, Dense, Input, Network


def blocks_of(network, chip):
    return [[tuple(block) for block in core] for core in partition(network, chip, fan_in(network, chip))]


def dense(n_pre, n_post, **options):
    return Network(
        [Input("in", n_pre), LIF("hidden", n_post)], [Dense("in", "hidden", np.zeros((n_post, n_pre), int), **options)]
    )


def test_group_is_split_at_the_compartment_limit():
    assert blocks_of(Network([LIF("a", 2500)]), load_chip("loihi1")) == [
        [("a", 0, 1024)],
        [("a", 1024, 2048)],
        [("a", 2048, 2500)],
    ]


def test_block_is_the_longest_that_the_memory_allows():
    # 2312 axons of 16 bits a weight: 27 neurons take 2312 * 448 bits, 28 would take 2312 * 512 > 2**20
    blocks = blocks_of(dense(2312, 256, plastic=True), load_chip("loihi1"))
    assert [stop - start for ((_, start, stop),) in blocks] == [27] * 9 + [13]


def test_last_block_joins_the_first_core_with_room():
    network = Network([LIF("a", 1000), LIF("b", 100), LIF("c", 24)])
    assert blocks_of(network, load_chip("loihi1")) == [[("a", 0, 1000), ("c", 0, 24)], [("b", 0, 100)]]


def test_configurations_keep_groups_apart():
    network = Network([LIF("a", 1, vth=1), LIF("b", 1, vth=2), LIF("c", 1, vth=1)])
    assert blocks_of(network, chip_with(threshold_configs_per_core=1)) == [[("a", 0, 1), ("c", 0, 1)], [("b", 0, 1)]]


def test_more_than_sixteen_thresholds_open_a_second_core():
    network = Network([LIF(f"g{i}", 1, vth=i) for i in range(20)])
    assert [len(core) for core in blocks_of(network, load_chip("loihi1"))] == [16, 4]


def test_axons_out_split_the_sender_until_it_fits():
    # each of 8 neurons sends to 3 cores: with room for 6, a core holds two of them
    network = Network([LIF("a", 8), LIF("b", 24, vth=11)], [Dense("a", "b", np.zeros((24, 8), int))])
    cores = blocks_of(network, roomy(compartments_per_core=8, axons_out_per_core=6))
    assert [core for core in cores if core[0][0] == "a"] == [[("a", i, i + 2)] for i in range(0, 8, 2)]


def test_every_synapse_lies_on_the_core_of_its_target():
    for seed in range(5):
        network, chip = random_network(seed), roomy(compartments_per_core=5)
        cores = partition(network, chip, fan_in(network, chip))
        core, compartment = core_of_neurons(network, cores)
        assert all(core[post] >= 0 for _, _, post in synapses(network))
        places = list(zip(core.tolist(), compartment.tolist(), strict=True))[network.n_inputs :]
        assert len(set(places)) == len(places) and compartment.max() < 5


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (
            {"axons_in_per_core": 4096},
            "group 'hidden': one neuron needs 5000 axons in, core limit of chip 'loihi1' is 4096",
        ),
        (
            {"axons_in_per_core": None, "synapse_memory_bits_per_core": 1000},
            "group 'hidden': one neuron needs 320000 bits of synapse memory, core limit of chip 'loihi1' is 1000; use fewer",
        ),
    ],
)
def test_neuron_that_fits_on_no_core_is_refused(limits, words):
    with pytest.raises(CapacityError, match=words):
        blocks_of(dense(5000, 4), chip_with(**limits))


def test_neuron_with_too_many_target_cores_is_refused():
    network = Network([LIF("a", 1), LIF("b", 30)], [Dense("a", "b", np.zeros((30, 1), int))])
    with pytest.raises(
        CapacityError, match="group 'a': one neuron needs 10 axons out, core limit of chip 'loihi1' is 4"
    ):
        blocks_of(network, roomy(compartments_per_core=3, axons_out_per_core=4))
