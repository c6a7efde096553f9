"""Synapse memory against nengo-loihi's rule written out."""

import numpy as np
import pytest
from mapping_examples import chip_with

from neurosim.chip import load_chip
from neurosim.mapping.demand import (
    Block,
    axon_memory,
    configuration_sets,
    configurations,
    demand_of,
    fan_in,
    joined,
    synapse_bits,
)
from neurosim.network import LIF, Dense, Input, Network, Sparse


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (1, 64), (6, 64), (7, 128), (64, 576), (65, 640), (128, 1152)])
def test_axon_memory_of_eight_bit_weights(n, expected):
    # 6 weights: 48 + 10 = 58 bits in one word; 64 weights: 512 + 10 = 522 bits in nine words
    assert int(axon_memory(n, 8, load_chip("loihi1"))) == expected


def test_axon_memory_equals_the_loop_over_chunks():
    chip = load_chip("loihi1")
    for bits in (1, 8, 16, 18, 26):
        for n in range(300):
            loop = sum(-(-(min(n - i, 64) * bits + 10) // 64) * 64 for i in range(0, n, 64))
            assert int(axon_memory(n, bits, chip)) == loop


@pytest.mark.parametrize(("weight_bits", "stored"), [(1, 1), (6, 6), (7, 8), (8, 8)])
def test_seven_bit_weights_are_stored_in_eight(weight_bits, stored):
    assert synapse_bits(Dense("a", "b", [[0]], num_weight_bits=weight_bits), load_chip("loihi1")) == stored
    assert synapse_bits(Dense("a", "b", [[0]], num_weight_bits=weight_bits), load_chip("unlimited")) == weight_bits


def test_plastic_costs_the_residual_and_sparse_the_index():
    chip = load_chip("loihi1")
    assert synapse_bits(Dense("a", "b", [[0]], plastic=True), chip) == 8 + 8
    sparse = Sparse("a", "b", (1, 1), [0], [0], [1])
    assert synapse_bits(sparse, chip) == 8 + 10
    assert synapse_bits(sparse, chip_with(compartments_per_core=8)) == 8 + 6
    assert synapse_bits(sparse, load_chip("loihi2")) == 8 + 13


def test_sparse_block_counts_only_its_own_synapses():
    network = Network(
        [Input("in", 3), LIF("a", 4)], [Sparse("in", "a", (4, 3), [0, 1, 2, 2], [0, 0, 0, 2], [1, 1, 1, 1])]
    )
    fans = fan_in(network, load_chip("loihi1"))
    demand = demand_of(Block("a", 1, 3), fans["a"], load_chip("loihi1"))
    assert demand.axons.tolist() == [0, 2] and demand.memory == 2 * 64 and demand.compartments == 2


def test_joined_demands_share_axons():
    weights = np.ones((2, 3), int)
    network = Network(
        [Input("in", 3), LIF("a", 2), LIF("b", 2)], [Dense("in", "a", weights), Dense("in", "b", weights)]
    )
    chip = load_chip("loihi1")
    fans = fan_in(network, chip)
    both = joined(demand_of(Block("a", 0, 2), fans["a"], chip), demand_of(Block("b", 0, 2), fans["b"], chip))
    assert len(both.axons) == 3 and both.memory == 6 * 64


def test_configurations_count_what_differs():
    groups = [Input("in", 1), LIF("a", 1, du=1), LIF("b", 1, du=1, vth=11), LIF("c", 1, du=2)]
    connections = [Dense("in", "a", [[2]]), Dense("in", "b", [[2]]), Dense("in", "c", [[2]], weight_exp=1)]
    sets = configuration_sets(Network(groups, connections))
    found = configurations(["a", "b", "c"], sets)
    assert found == {"compartment_configs": 2, "threshold_configs": 2, "synapse_formats": 2, "groups": 3}
    assert configurations(["a", "a"], sets)["groups"] == 1
