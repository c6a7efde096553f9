"""Convolutions: synapses in order, lists stored once, kernels; each against the description written out."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_examples import chip_with, roomy

from neurosim.mapping import LearningNeeds, map_network
from neurosim.mapping.demand import fan_in
from neurosim.mapping.fit import used_with
from neurosim.mapping.orders import by_channel, choose_orders
from neurosim.mapping.partition import partition
from neurosim.network import LIF, Conv, Dense, Input, Network


def random_conv(seed):
    """Return a network with one convolution whose kernel has no weight twice, and the seed's geometry."""
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 1, 2]))
    n_in, n_out = (groups * int(x) for x in rng.integers(1, 3, 2))
    kernel = rng.integers(1, 4, 2)
    size = n_out * int(kernel.prod()) * (n_in // groups)
    weights = (np.arange(size) - size // 2).reshape(n_out, *kernel, n_in // groups)
    options = {
        name: tuple(int(x) for x in rng.integers(low, 3, 2))
        for name, low in (("stride", 1), ("padding", 0), ("dilation", 1))
    }
    shape = (int(rng.integers(5, 9)), int(rng.integers(5, 9)), n_in)
    conv = Conv("in", "a", weights, shape, groups=groups, **options)
    return Network([Input("in", int(np.prod(shape))), LIF("a", conv.shape[0])], [conv])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), shared=st.sampled_from(["none", "shifted", "kernel"]))
def test_synapses_of_a_convolution_equal_its_sparse_form(seed, shared):
    network = random_conv(seed)
    (fan,) = fan_in(network, chip_with(shared_synapses=shared))["a"]
    conv, sparse = network.connections[0], network.connections[0].as_sparse()
    post = np.repeat(np.arange(conv.shape[0]), np.diff(fan.start))
    order = np.lexsort((sparse.col, sparse.row))
    assert post.tolist() == sparse.row[order].tolist() and fan.pre.tolist() == sparse.col[order].tolist()
    if shared == "shifted":
        flipped = conv.weights[:, ::-1, ::-1]
        assert flipped.ravel()[fan.tap].tolist() == sparse.data[order].tolist()
    else:
        assert fan.tap is None


def slow_memory(network, chip, mapping, stored):
    """Sum the memory of the lists that `stored` picks of those of each core."""
    sparse, offset = network.connections[0].as_sparse(), network.offsets["a"]
    lists = {}
    for post, pre, weight in zip(sparse.row.tolist(), sparse.col.tolist(), sparse.data.tolist(), strict=True):
        place = int(mapping.compartment[offset + post])
        lists.setdefault((int(mapping.core[offset + post]), pre), []).append((place, weight))
    bits = 8 + {1024: 10, 20: 6}[chip.compartments_per_core]
    used, read = [0] * len(mapping.cores), [0] * network.n_inputs
    seen = set()
    for (core, pre), entries in lists.items():
        entries.sort()
        entries = [(place - entries[0][0], weight) for place, weight in entries]
        length, total = len(entries), 0
        while length > 0:
            total += -(-(min(length, 64) * bits + 10) // 64) * 64
            length -= 64
        read[pre] += total
        key = (core, tuple(entries))
        if not (stored == "once" and key in seen):
            used[core] += total
        seen.add(key)
    return used, read


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000), small=st.booleans(), memory=st.integers(20, 400), shared=st.sampled_from(["none", "shifted"])
)  # fmt: skip
def test_lists_that_differ_by_a_shift_are_stored_once(seed, small, memory, shared):
    network, limits = random_conv(seed), {"compartments_per_core": 20} if small else {}
    chip = roomy(shared_synapses=shared, synapse_memory_bits_per_core=64 * memory, axons_out_per_core=None, **limits)
    mapping = map_network(network, chip)
    used, read = slow_memory(network, chip, mapping, "once" if shared == "shifted" else "each")
    assert [use.used["synapse_memory_bits"] for use in mapping.cores] == used
    assert mapping.route[: network.n_inputs, 6].tolist() == read  # whoever shares a list still reads it


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), size=st.integers(2, 40))
def test_a_kernel_is_stored_once_on_each_core_for_its_channels(seed, size):
    network = random_conv(seed)
    chip = roomy(shared_synapses="kernel", compartments_per_core=size, synapse_word_bits=8)
    mapping = map_network(network, chip)
    conv, sparse = network.connections[0], network.connections[0].as_sparse()
    channel = np.arange(conv.shape[0]) % conv.output_shape[2]
    for use in mapping.cores:
        here = mapping.core[network.n_inputs :] == use.core
        heard = bool(np.isin(sparse.row, np.flatnonzero(here)).any())
        words = len(np.unique(channel[here])) * conv.weights[0].size if heard else 0
        assert use.used["synapse_memory_bits"] == 8 * words
    fan_out = np.bincount(sparse.col, minlength=network.n_inputs)
    assert mapping.route[: network.n_inputs, 6].tolist() == (8 * fan_out).tolist()


def test_sharing_never_costs_more_and_often_less():
    conv = Conv("in", "a", np.arange(72).reshape(8, 3, 3, 1), (20, 20, 1), padding=1)
    network = Network([Input("in", 400), LIF("a", 3200)], [conv])
    cores, memory = {}, {}
    for shared in ("none", "shifted", "kernel"):
        chip = chip_with(shared_synapses=shared, compartments_per_core=8192, axons_out_per_core=None)
        uses = map_network(network, chip).cores
        cores[shared], memory[shared] = len(uses), sum(use.used["synapse_memory_bits"] for use in uses)
    assert memory["none"] > 5 * memory["shifted"] > 5 * memory["kernel"] and set(cores.values()) == {1}


def many_channels():
    """Return a convolution whose lists are long: 3 to 24 channels on 10 x 10 pixels."""
    conv = Conv("in", "a", np.arange(24 * 27).reshape(24, 3, 3, 3) % 200, (10, 10, 3), padding=1)
    return Network([Input("in", 300), LIF("a", 2400)], [conv])


@pytest.mark.parametrize("shared", ["shifted", "kernel"])
def test_cutting_by_channels_needs_fewer_cores_where_lists_are_shared(shared):
    network = many_channels()
    memory = {"shifted": 60_000, "kernel": 1728}[shared]  # a third of the kernel
    chip = roomy(
        shared_synapses=shared, synapse_memory_bits_per_core=memory, compartments_per_core=1024, axons_out_per_core=None
    )
    mapping = map_network(network, chip)
    orders, fans, cuts = choose_orders(network, chip, fan_in(network, chip))
    assert list(orders) == ["a"] and sorted(orders["a"].tolist()) == list(range(2400))
    plain = partition(network, chip, fan_in(network, chip))
    assert partition(network, chip, fans, orders=orders, cuts=cuts) == partition(network, chip, fans, orders=orders)
    assert len(mapping.cores) == len(partition(network, chip, fans, orders=orders)) < len(plain)
    if shared == "shifted":
        used, read = slow_memory(network, chip, mapping, "once")
        assert [use.used["synapse_memory_bits"] for use in mapping.cores] == used
        assert mapping.route[:300, 6].tolist() == read
    here = [np.flatnonzero(mapping.core[300:] == use.core) for use in mapping.cores]
    assert sum(len(neurons) for neurons in here) == 2400
    for use, neurons in zip(mapping.cores, here, strict=True):
        assert sorted(mapping.compartment[300 + neurons].tolist()) == list(range(use.used["compartments"]))


def test_what_learning_would_keep_is_counted_in_the_order_of_the_cut():
    network = many_channels()
    conv = dataclasses.replace(network.connections[0], plastic=True, weights=network.connections[0].weights // 2 * 2)
    network = dataclasses.replace(network, connections=(conv,))
    chip = roomy(shared_synapses="shifted", synapse_memory_bits_per_core=90_000, axons_out_per_core=None)
    needs = LearningNeeds({"in->a": 8}, {"in->a": 3}, {"a": 5}, 64)
    mapping = map_network(network, chip, learning=needs)
    assert np.any(np.diff(mapping.core[300:]) < 0)  # cut by channels: cores repeat from pixel to pixel
    assert [use.used for use in mapping.cores] == used_with(network, chip, mapping, needs)


def test_a_map_is_cut_as_it_is_numbered_where_that_needs_no_more_cores():
    network = random_conv(5)
    chip = roomy(shared_synapses="shifted", compartments_per_core=20, axons_out_per_core=None)
    assert np.all(np.diff(map_network(network, chip).core[network.n_inputs :]) >= 0)


def test_bands_hold_whole_columns():
    order = by_channel((5, 3, 2), 2)
    assert sorted(order.tolist()) == list(range(30))
    x, channel = order // 6, order % 2
    band = x * 2 // 5
    assert np.all(np.diff(band * 2 + channel) >= 0)


def test_sharing_is_for_convolutions_only():
    same = Network([Input("in", 5), LIF("a", 3)], [Dense("in", "a", np.ones((3, 5), int))])
    used = [map_network(same, chip_with(shared_synapses=s)).cores[0].used for s in ("none", "shifted", "kernel")]
    assert used[0] == used[1] == used[2]


@pytest.mark.parametrize("shared", ["none", "shifted", "kernel"])
def test_what_weights_are_does_not_change_the_memory(shared):
    network = random_conv(11)
    alike = dataclasses.replace(
        network,
        connections=(
            dataclasses.replace(network.connections[0], weights=np.zeros_like(network.connections[0].weights)),
        ),
    )
    chip = chip_with(shared_synapses=shared)
    assert map_network(network, chip).cores == map_network(alike, chip).cores
