"""How each chip packs synapses: the memory of small mapped networks, counted by hand in bits."""

import numpy as np
import pytest

from neurosim.backend import get_backend
from neurosim.chip import chip_names, load_chip
from neurosim.compile_network import compile
from neurosim.errors import CapacityError
from neurosim.events import events_from_dense
from neurosim.mapping.reads import synapse_reads
from neurosim.mapping.recipe import map_network
from neurosim.network import LIF, Conv, Dense, Input, Network, Probe, Sparse


def lif(name, n, chip="truenorth"):
    """Return neurons whose decays a chip has: by a shift on Xylo, none elsewhere, which suits every other chip."""
    return LIF(name, n, du=4095, dv=2048 if load_chip(chip).decay_forms == ("shift",) else 0, vth=10)


def memory(network, chip):
    """Return the bits of synapse memory that each core of a chip takes."""
    return [core.used["synapse_memory_bits"] for core in map_network(network, load_chip(chip)).cores]


def dense(n_pre, n_post, chip="truenorth", **settings):
    """Return input lines connected with all neurons of a group."""
    weights = np.full((n_post, n_pre), 2)
    return Network([Input("in", n_pre), lif("a", n_post, chip)], [Dense("in", "a", weights, **settings)])


def sparse(chip="truenorth"):
    """Return three synapses: two from the first input line, one from the second."""
    connection = Sparse("in", "a", (7, 3), [0, 6, 1], [0, 0, 1], [2, 2, 2])
    return Network([Input("in", 3), lif("a", 7, chip)], [connection])


def conv(channels, width, kernel, filters):
    """Return a convolution of an image of spikes, without padding."""
    weights, n_out = np.full((filters, kernel, kernel, channels), 2), (width - kernel + 1) ** 2 * filters
    groups = [Input("in", width * width * channels), lif("a", n_out)]
    return Network(groups, [Conv("in", "a", weights, (width, width, channels))])


def test_loihi1_packs_chunks_into_words_of_64_bits():
    assert memory(dense(5, 10), "loihi1") == [5 * 128]  # 10 x 8 + 10 bits
    assert memory(dense(5, 10, delays=2), "loihi1") == [5 * 192]  # 10 x (8 + 6) + 10 bits
    assert memory(dense(5, 10, plastic=True), "loihi1") == [5 * 192]  # 10 x (8 + 8) + 10 bits
    assert memory(sparse(), "loihi1") == [64 + 64]  # 2 x (8 + 10) + 10 and 18 + 10 bits


def test_loihi1_stores_a_list_once_for_targets_that_are_equal_up_to_a_shift():
    shifted, each = memory(conv(1, 8, 3, 1), "loihi1")[0], memory(conv(1, 8, 3, 1), "unlimited")[0]
    assert shifted < each / 2


def test_truenorth_takes_a_row_of_256_bits_for_each_axon():
    assert memory(dense(5, 10), "truenorth") == [5 * 256]
    assert memory(sparse(), "truenorth") == [2 * 256]
    assert memory(dense(256, 256), "truenorth") == [65536]  # a full crossbar


def test_an_axon_of_truenorth_is_shared_by_the_groups_of_a_core():
    weights = np.full((4, 5), 2)
    network = Network(
        [Input("in", 5), lif("a", 4), lif("b", 4)], [Dense("in", "a", weights), Dense("in", "b", weights)]
    )
    assert memory(network, "truenorth") == [5 * 256]


def test_truenorth_reads_a_row_for_each_spike():
    network, chip = sparse(), load_chip("truenorth")
    reads = synapse_reads(network, map_network(network, chip).core, chip)
    assert reads[:3].tolist() == [256, 256, 0]  # the third input line has no synapse


def test_spinnaker1_stores_rows_of_32_bit_words_with_three_more():
    assert memory(dense(5, 7), "spinnaker1") == [5 * (7 * 32 + 96)]
    assert memory(dense(5, 7, delays=3, plastic=False), "spinnaker1") == [5 * (7 * 32 + 96)]
    assert memory(dense(5, 7, plastic=True), "spinnaker1") == [5 * (7 * 32 + 96)]
    assert memory(sparse(), "spinnaker1") == [2 * 32 + 96 + 32 + 96]


def test_spinnaker1_cuts_a_group_after_256_neurons():
    assert memory(dense(2, 300), "spinnaker1") == [2 * (256 * 32 + 96), 2 * (44 * 32 + 96)]


def test_spinnaker2_is_counted_at_its_exact_width_in_bytes():
    assert memory(dense(5, 7), "spinnaker2") == [5 * 7 * 8]
    assert memory(dense(5, 7, num_weight_bits=5), "spinnaker2") == [5 * 40]  # 35 bits
    assert memory(sparse(), "spinnaker2") == [24 + 16]  # 2 x (8 + 3) and 8 + 3 bits
    assert memory(conv(2, 8, 3, 4), "spinnaker2") == [4 * 2 * 9 * 8]


def test_xylo_stores_weights_alone():
    assert memory(dense(16, 10, "xylo-audio-2"), "xylo-audio-2") == [16 * 10 * 8]
    assert memory(sparse("xylo-audio-2"), "xylo-audio-2") == [3 * 8]


def test_speck_stores_a_kernel_with_its_area_and_channels_rounded_up():
    assert memory(conv(2, 8, 3, 3), "speck") == [2 * 16 * 4 * 8]  # area 9 -> 16, filters 3 -> 4
    assert memory(dense(10, 3), "speck") == [10 * 4 * 8]  # a kernel of 1 x 1, outputs 3 -> 4


def test_a_kernel_of_speck_finds_a_core_that_is_large_enough():
    network = conv(64, 4, 3, 64)  # 64 x 16 x 64 words of 8 bits: the cores with 64 Ki words alone
    mapping = map_network(network, load_chip("speck"))
    (core,) = mapping.cores
    assert core.used["synapse_memory_bits"] == core.limit["synapse_memory_bits"] == 64 * 1024 * 8


def test_a_layer_of_speck_that_no_core_holds_is_refused():
    with pytest.raises(CapacityError, match="speck"):
        map_network(conv(65, 4, 3, 64), load_chip("speck"))


def test_the_processor_stores_a_word_for_each_synapse():
    assert memory(dense(5, 7), "cpu-45nm") == [5 * 7 * 32]
    assert memory(sparse(), "cpu-45nm") == [3 * 32]


@pytest.mark.parametrize("name", chip_names())
def test_spikes_do_not_depend_on_the_chip(name):
    rng = np.random.default_rng(3)
    groups = [Input("in", 6)] + [lif(which, 5, name) for which in "ab"]
    connections = [
        Dense("in", "a", rng.choice([-4, 2, 6, 8], (5, 6))), Dense("a", "b", rng.choice([-2, 4, 10], (5, 5))),
    ]  # fmt: skip
    network = Network(groups, connections, [Probe("a"), Probe("b")])
    lines = events_from_dense(rng.integers(0, 2, (1, 20, 6)))

    def spikes(chip):
        with get_backend("reference").open(compile(network, chip)) as runner:
            result = runner.run(lines)
        return [list(zip(*(column.tolist() for column in result.spikes[which][:3]), strict=True)) for which in "ab"]

    found = spikes(name)
    assert found == spikes("unlimited") and all(map(len, found))
