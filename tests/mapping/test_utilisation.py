"""How full cores are, what is scarcest, and what learning keeps; by hand and the slow way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_examples import chip_with, random_network, roomy, slow_lists

from neurosim.chip import load_chip
from neurosim.errors import CapacityError, NetworkError
from neurosim.mapping import LearningNeeds, bottleneck, map_network, resource_rows
from neurosim.network import LIF, Conv, Dense, Input, Network


def dense(n_pre=3, n_post=2, **options):
    return Network([Input("in", n_pre), LIF("a", n_post)], [Dense("in", "a", np.ones((n_post, n_pre), int), **options)])


def test_bottleneck_by_hand():
    found = bottleneck(map_network(dense(3000, 8), load_chip("loihi1")))
    assert (found.resource, found.core, found.used, found.limit) == ("axons_in", 0, 3000, 4096)
    assert found.groups == ("a",) and found.share == 3000 / 4096
    assert bottleneck(map_network(dense(), load_chip("unlimited"))) is None


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_bottleneck_is_the_largest_share_of_all(seed):
    mapping = map_network(random_network(seed), roomy(compartments_per_core=7, axons_in_per_core=90))
    shares = [u.used[name] / u.limit[name] for u in mapping.cores for name in u.used if u.limit[name] is not None]
    assert bottleneck(mapping).share == max(shares)


def test_resource_rows_by_hand():
    rows = {row["resource"]: row for row in resource_rows(map_network(Network([LIF("a", 1500)]), load_chip("loihi1")))}
    assert rows["compartments"] == {
        "resource": "compartments", "total": 1500, "largest": 1024, "core": 0, "limit": 1024, "share": 1.0,
        "mean_share": (1 + 476 / 1024) / 2,
    }  # fmt: skip
    rows = {row["resource"]: row for row in resource_rows(map_network(dense(), load_chip("loihi2")))}
    assert rows["axons_in"]["share"] is None and rows["axons_in"]["total"] == 3


def test_learning_by_hand():
    network = dense(3, 2, plastic=True)
    needs = LearningNeeds({"in->a": 12}, {"in->a": 5}, {"a": 21}, 64)
    use = map_network(network, chip_with(tag_bits=None), learning=needs).cores[0]
    assert use.used["learning_bits"] == 6 * 12 + 3 * 5 + 2 * 21 + 64 and use.limit["learning_bits"] is None
    assert use.used["synapse_memory_bits"] == 3 * 64  # 2 x (8 + 12) + 10 = 50 bits
    wide = map_network(network, chip_with(tag_bits=None), learning=LearningNeeds({"in->a": 24})).cores[0]
    assert wide.used["synapse_memory_bits"] == 3 * 128 and wide.used["learning_bits"] == 6 * 24
    assert "learning_bits" not in map_network(network, load_chip("loihi1")).cores[0].used


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_learning_bits_equal_the_slow_ones(seed):
    rng = np.random.default_rng(seed)
    network = random_network(seed)
    plastic = [c.name for c in network.connections if c.plastic]
    needs = LearningNeeds(
        {name: int(rng.integers(0, 20)) for name in plastic[::2]}, {name: int(rng.integers(0, 20)) for name in plastic},
        {group.name: int(rng.integers(0, 50)) for group in network.groups if isinstance(group, LIF)}, 64,
    )  # fmt: skip
    mapping = map_network(network, roomy(compartments_per_core=7, tag_bits=None), learning=needs)
    expected = [64] * len(mapping.cores)
    for (core, name, _), count in slow_lists(network, mapping).items():
        if name in plastic:
            expected[core] += count * needs.synapse.get(name, 8) + needs.row[name]
    for group in network.ordered_groups[1:]:
        first = network.offsets[group.name]
        for core in mapping.core[first : first + group.n].tolist():
            expected[core] += needs.neuron[group.name]
    assert [use.used["learning_bits"] for use in mapping.cores] == expected


def test_partition_makes_room_for_what_learning_keeps():
    chip = chip_with(synapse_memory_bits_per_core=100 * 64, axons_in_per_core=None, tag_bits=None)
    network = dense(100, 6, plastic=True)
    sizes = [
        [use.used["compartments"] for use in map_network(network, chip, learning=needs).cores]
        for needs in (LearningNeeds({"in->a": 1}), None, LearningNeeds({"in->a": 19}))
    ]
    assert sizes == [[6], [3, 3], [2, 2, 2]]  # 6 x 9 + 10, 3 x 16 + 10, 2 x 27 + 10 bits in a word


def test_a_plastic_kernel_keeps_its_state_once():
    conv = Conv("in", "a", np.zeros((2, 3, 3, 1), int), (6, 6, 1), padding=1, plastic=True)
    network = Network([Input("in", 36), LIF("a", 72)], [conv])
    needs = LearningNeeds({"in->a": 10}, {"in->a": 3})
    use = map_network(network, chip_with(shared_synapses="kernel", tag_bits=None), learning=needs).cores[0]
    assert use.used["learning_bits"] == 18 * 10 + 36 * 3
    assert use.used["synapse_memory_bits"] == 384  # 18 x 18 bits in words of 64


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (lambda: LearningNeeds({"in->a": -1}), "learning needs of 'in->a': -1 is not a number of bits"),
        (lambda: LearningNeeds(core=True), "learning needs of 'core': True is not a number of bits"),
        (lambda: LearningNeeds({"in->a": 8}), "connection 'in->a': it is not plastic; make it plastic=True"),
        (lambda: LearningNeeds(row={"in->b": 8}), "unknown connection 'in->b'"),
        (lambda: LearningNeeds(neuron={"b": 8}), "unknown group 'b'"),
    ],
)
def test_wrong_needs_are_refused(needs, words):
    with pytest.raises(NetworkError, match=words):
        map_network(dense(), load_chip("loihi1"), learning=needs())


def test_needs_that_do_not_fit_are_refused_with_the_most_that_does():
    chip = chip_with(synapse_memory_bits_per_core=64 * 64, n_cores=1, tag_bits=None)
    with pytest.raises(CapacityError, match="found to fit: 19 bits of learning beside each weight instead of 30"):
        map_network(dense(64, 2, plastic=True), chip, learning=LearningNeeds({"in->a": 30}))


def test_bits_beside_a_weight_are_held_against_the_tag_of_the_chip():
    network = dense(3, 2, plastic=True)
    map_network(network, chip_with(tag_bits=9), learning=LearningNeeds({"in->a": 9}))
    with pytest.raises(
        CapacityError,
        match="'in->a': learning keeps 10 bits beside each weight, chip 'loihi1' has 9; .*found to fit: 9 bits",
    ):
        map_network(network, chip_with(tag_bits=9), learning=LearningNeeds({"in->a": 10}))
