"""The artificial network beside a spiking one: counts by hand, kernels one by one, prices of one table."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.ann import ARITHMETICS, against_ann, ann_work, conv_macs
from neurosim.counters import COLUMN, N_COUNTERS, OpCounts
from neurosim.energytable import load_energy_table
from neurosim.errors import ConfigError
from neurosim.network import LIF, Conv, Dense, Input, Network, OneToOne, Sparse

CPU = load_energy_table("cpu-45nm")


def small() -> Network:
    """Three inputs, two neurons and one: 6 + 2 synapses."""
    return Network(
        [Input("in", 3), LIF("a", 2), LIF("b", 1)],
        [Dense("in", "a", [[1, 2, 0], [3, 0, 4]]), Dense("a", "b", [[5, 6]])],
    )


def counted(
    network: Network, n_samples: int, steps: int, kinds: tuple[str, ...] | None = None, **totals: int
) -> OpCounts:
    """Return counts with everything in the last row."""
    rows = (*(group.name for group in network.groups), *(c.name for c in network.connections))
    matrix = np.zeros((len(rows), N_COUNTERS), np.int64)
    for name, count in totals.items():
        matrix[-1, COLUMN[name]] = count
    return OpCounts(rows, matrix, n_samples, n_samples * steps, kinds or ("",) * len(rows))


@given(
    st.tuples(st.integers(1, 7), st.integers(1, 7)), st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)), st.tuples(st.integers(0, 2), st.integers(0, 2)), st.integers(1, 2), st.integers(1, 2),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_convolution_multiplies_once_for_each_of_its_synapses(size, kernel, stride, padding, groups, dilation):
    reach = [dilation * (kernel[i] - 1) + 1 - 2 * padding[i] for i in (0, 1)]
    size = tuple(max(size[i], reach[i]) for i in (0, 1))
    conv = Conv(
        "a", "b", np.ones((2 * groups, *kernel, 3), int), (*size, 3 * groups), stride, padding, dilation, groups
    )
    assert conv_macs(conv) == len(conv.as_sparse().word)


def test_each_form_of_connection_counts_what_it_stores():
    network = Network(
        [Input("in", 4), LIF("a", 4), LIF("b", 4), LIF("c", 4)],
        [
            Dense("in", "a", np.ones((4, 4), int), num_weight_bits=4), Sparse("a", "b", (4, 4), [0, 1, 2], [0, 0, 3], [9, 8, 7]),
            OneToOne("in", "b", 4, [50, 50, 50, 50]), Conv("in", "c", np.full((1, 2, 1, 1), 3), (2, 2, 1), padding=(1, 0), stride=(2, 1)),
        ],
    )  # fmt: skip
    work = ann_work(network, 10)
    assert [layer.macs for layer in work.layers] == [16, 3, 4, 4]
    assert [layer.weights for layer in work.layers] == [16, 3, 4, 2]
    assert (work.macs, work.passes, work.n_inputs, work.n_neurons) == (27, 1, 4, 12)
    assert work.weight_bits == 16 * 4 + (3 + 4 + 2) * 8


def test_a_recurrent_network_passes_once_a_step():
    looped = Network(
        [Input("in", 2), LIF("a", 2)], [Dense("in", "a", np.ones((2, 2), int)), Dense("a", "a", np.eye(2, dtype=int))]
    )
    assert ann_work(looped, 7).macs == 7 * 8
    assert ann_work(small(), 7).passes == 1


def test_energies_by_hand():
    """40 operations and 30 updates in 2 samples of 5 steps; 20 and 15 for each."""
    counts = counted(small(), 2, 5, synaptic_operations=40, neuron_updates_active=10, neuron_updates_idle=20, spikes=12)
    found = against_ann(small(), counts, CPU)
    bits = next(row for row in found["arithmetic"] if row["format"] == "int8")
    assert bits["ann_macs_pj"] == pytest.approx(8 * 0.23)
    assert bits["ann_activations_pj"] == pytest.approx(3 * 0.03)
    assert bits["snn_accumulates_pj"] == pytest.approx(20 * 0.03)
    assert bits["snn_neurons_pj"] == pytest.approx(15 * (2 * 0.2 + 4 * 0.03))
    assert bits["snn_pj"] == pytest.approx(20 * 0.03 + 15 * 0.52) and bits["ann_pj"] == pytest.approx(8 * 0.23 + 0.09)
    memory = found["memory"]
    assert memory["memory"] == "sram_64bit_8kb" and memory["price"]["value"] == 10.0
    assert memory["ann_words"] == pytest.approx((8 * (8 + 8) + 3 * 8) / 64)
    assert memory["snn_words"] == pytest.approx((20 * (8 + 64) + 15 * 128) / 64)
    assert memory["snn_pj"] == pytest.approx(10 * memory["snn_words"])
    assert found["spikes_per_synapse"] == pytest.approx(20 / 8)
    assert found["activation_sparsity"] == pytest.approx(1 - 6 / (6 * 5))
    assert "so it should win on none" in found["reading"][0]
    assert any("weights have up to 8 bits on both sides" in line for line in found["reading"])


def test_memory_counts_the_bits_of_each_connection():
    """10 operations on weights of 4 bits, in one sample; one pass reads 6 weights of 8 bits and 2 of 4."""
    network = replace(small(), connections=(small().connections[0], Dense("a", "b", [[5, 6]], num_weight_bits=4)))
    memory = against_ann(network, counted(network, 1, 1, synaptic_operations=10), CPU)["memory"]
    assert memory["ann_words"] == pytest.approx((6 * 16 + 2 * 12 + 3 * 8) / 64)
    assert memory["snn_words"] == pytest.approx(10 * (4 + 64) / 64)


def test_formats_are_those_of_the_table_with_kind_and_source():
    found = against_ann(small(), counted(small(), 1, 1), CPU)
    assert [row["format"] for row in found["arithmetic"]] == list(ARITHMETICS)
    for row in found["arithmetic"]:
        assert row["mac"]["unit"] == row["ac"]["unit"] == "pJ" and row["mac"]["source"] and row["ac"]["kind"]
        assert row["mac"]["value"] > row["ac"]["value"]


def test_messages_with_values_are_multiplied():
    kinds = ("input", "", "", "dense", "dense graded")
    counts = counted(small(), 1, 1, kinds, synaptic_operations=10)
    bits = against_ann(small(), counts, CPU)["arithmetic"][0]
    assert bits["format"] == "int8" and bits["snn_accumulates_pj"] == pytest.approx(10 * 0.23)


@pytest.mark.parametrize(
    ("spikes", "words"),
    [(1, "so it should win on all"), (4, "depends on the hardware"), (50, "so it should win on none")],
)
def test_the_reading_follows_the_published_bounds(spikes, words):
    found = against_ann(small(), counted(small(), 1, 1, synaptic_operations=spikes), CPU)
    assert words in found["reading"][0]


@pytest.mark.parametrize(
    ("bits", "memory"), [(4096, "sram_64bit_8kb"), (8193, "sram_64bit_32kb"), (1 << 22, "dram_64bit_low")]
)
def test_memory_is_the_smallest_that_holds_all_weights(bits, memory):
    """So many weights of 8 bits."""
    network = Network([Input("in", bits), LIF("a", 1)], [Dense("in", "a", np.ones((1, bits), int))])
    assert against_ann(network, counted(network, 1, 1), CPU)["memory"]["memory"] == memory


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ConfigError, match="lists no mac_int8 and ac_int8"):
        against_ann(small(), counted(small(), 1, 1), load_energy_table("loihi1-davies2018"))
    with pytest.raises(ConfigError, match="no sample was counted"):
        against_ann(small(), counted(small(), 0, 1), CPU)
    bare = replace(CPU, information={name: c for name, c in CPU.information.items() if "64bit" not in name})
    assert against_ann(small(), counted(small(), 1, 1), bare)["memory"] is None
