"""Remedies: each fits when followed, and the next smaller change does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_examples import chip_with, random_network
from model_networks import conv_network, model_network

from neurosim.chip import load_chip
from neurosim.errors import CapacityError
from neurosim.mapping import map_network, remedy
from neurosim.mapping.fit import fit
from neurosim.mapping.learning import LearningNeeds
from neurosim.mapping.remedy import Remedy, followed, remedies
from neurosim.network import LIF, Conv, Dense, Input, Network, OneToOne, Sparse


def fits(network, chip, learning=None):
    try:
        map_network(network, chip, learning=learning)
    except CapacityError:
        return False
    return True


def dense(n_pre, n_post, **options):
    return Network(
        [Input("in", n_pre), LIF("hidden", n_post)], [Dense("in", "hidden", np.zeros((n_post, n_pre), int), **options)]
    )


def by_kind(found):
    return {change.kind: change for change in found if change.kind != "chip"}


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), n_cores=st.integers(1, 4), memory=st.integers(1, 60))
def test_every_remedy_fits_when_followed(seed, n_cores, memory):
    network = random_network(seed, largest=12)
    chip = chip_with(
        n_cores=n_cores, compartments_per_core=9, synapse_memory_bits_per_core=64 * memory, axons_out_per_core=40
    )
    learning = LearningNeeds(core=64) if seed % 2 else None
    found = remedies(network, chip, learning)
    assert bool(found) <= (not fits(network, chip, learning))
    for change in found:
        assert fits(*followed(change, network, chip, learning))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), memory=st.integers(10, 60))
def test_the_change_before_does_not_fit(seed, memory):
    network = random_network(seed, largest=12)
    chip = chip_with(
        n_cores=3, compartments_per_core=9, synapse_memory_bits_per_core=64 * memory, axons_out_per_core=None
    )
    for change in remedies(network, chip):
        more = {"weight_bits": 1, "group_size": 1, "scale": 1, "learning_bits": 1, "n_cores": -1}.get(change.kind)
        if more is not None:
            assert not fits(*followed(change._replace(value=change.value + more), network, chip))


def test_what_fits_needs_no_remedy():
    assert remedies(dense(3, 3), load_chip("loihi1")) == ()


def test_fewer_bits_by_hand():
    # a neuron listens to 5000 lines: 5000 words of 64 bits; two fit in one word up to 27 bits each, so bits do not help ...
    chip = chip_with(axons_in_per_core=None, synapse_memory_bits_per_core=6400, n_cores=1)
    assert "weight_bits" not in by_kind(remedies(dense(200, 1), chip))
    # ... but nine neurons in a word do at 6 bits (54 + 10 bits), not at 8 (72 + 10 bits)
    found = by_kind(remedies(dense(100, 9), chip))
    assert found["weight_bits"] == Remedy(
        "weight_bits", "in->hidden", 6, "6 weight bits in connection 'in->hidden' instead of 8"
    )
    assert found["group_size"].value == 6 and found["group_size"].of == "hidden"  # 6 x 8 + 10 bits
    assert found["n_cores"].value == 2


def test_one_guilty_connection_is_named():
    groups = [Input("in", 100), LIF("a", 9), LIF("b", 9)]
    network = Network(groups, [Dense("in", "a", np.zeros((9, 100), int)), Dense("a", "b", np.zeros((9, 9), int))])
    chip = chip_with(axons_in_per_core=None, synapse_memory_bits_per_core=6400 + 18 * 64, n_cores=1)
    found = by_kind(remedies(network, chip))["weight_bits"]
    assert found.of == "in->a" and found.value == 6


def test_less_learning_by_hand():
    network = dense(100, 3, plastic=True)  # 3 x (8 + 8) + 10 = 58 bits
    chip = chip_with(axons_in_per_core=None, synapse_memory_bits_per_core=6400, n_cores=1, tag_bits=None)
    needs = LearningNeeds({"in->hidden": 16})
    assert fits(network, chip) and not fits(network, chip, needs)
    found = by_kind(remedies(network, chip, needs))["learning_bits"]
    assert (
        found.value == 10 and found.text == "10 bits of learning beside each weight instead of 16"
    )  # 3 x 18 + 10 = 64


def test_convolutions_and_one_to_one_keep_their_size():
    conv = Conv("in", "a", np.ones((4, 3, 3, 1), int), (8, 8, 1), padding=1)
    network = Network([Input("in", 64), LIF("a", 256), LIF("b", 256)], [conv, OneToOne("a", "b", 256)])
    found = remedies(network, chip_with(n_cores=1, compartments_per_core=300))
    assert {change.kind for change in found} >= {"n_cores"} and not {"group_size", "scale"} & set(by_kind(found))


def test_all_groups_shrink_together_where_one_is_not_enough():
    network = Network([LIF("a", 64), LIF("b", 64)])
    found = by_kind(remedies(network, chip_with(n_cores=1, compartments_per_core=32)))
    assert found["scale"] == Remedy("scale", "", 4, "4/16 of the neurons of every group")


def test_shrinking_keeps_delays_and_registers():
    groups = [LIF("a", 6, vth=np.arange(6)), LIF("b", 6, bias_mant=np.arange(6))]
    sparse = Sparse("a", "b", (6, 6), [0, 1, 5], [0, 5, 5], [1, 2, 3], delays=[1, 2, 3])
    network = Network(
        groups, [sparse, Dense("b", "a", np.arange(36).reshape(6, 6), delays=np.arange(36).reshape(6, 6))]
    )
    small, _, _ = followed(Remedy("group_size", "a", 4, ""), network, load_chip("loihi1"))
    assert small.group("a").vth.tolist() == [0, 1, 2, 3] and small.group("b").bias_mant.tolist() == list(range(6))
    assert small.connection("a->b").col.tolist() == [0] and small.connection("a->b").delays.tolist() == [1]
    assert small.connection("b->a").delays.tolist() == np.arange(36).reshape(6, 6)[:4].tolist()


def test_the_error_says_what_would_fit():
    with pytest.raises(
        CapacityError,
        match="needs 2 cores, chip 'loihi1' has 1.*found to fit: 1024 neurons in group 'a' instead of 1500; or 2 cores of this kind instead of 1; or chip .*loihi2",
    ) as caught:
        map_network(Network([LIF("a", 1500)]), chip_with(n_cores=1))
    assert "\n" not in str(caught.value)


def test_no_more_work_is_done_than_allowed(monkeypatch):
    network, chip = Network([LIF("a", 1500)]), chip_with(n_cores=1)
    tried = []
    monkeypatch.setattr(remedy, "fit", lambda *case: tried.append(case) or fit(*case))
    monkeypatch.setattr(remedy, "WORK", 5_500)
    remedies(network, chip)
    assert len(tried) == 5  # of 1000 each: what is left is too little for a sixth
    monkeypatch.setattr(remedy, "WORK", -1)
    assert remedies(network, chip) == () and len(tried) == 5


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), work=st.integers(1, 60))
def test_with_little_work_there_are_fewer_remedies_and_no_others(seed, work):
    network = random_network(seed, largest=12)
    chip = chip_with(n_cores=2, compartments_per_core=9, synapse_memory_bits_per_core=64 * 30, axons_out_per_core=40)
    everything, before = remedies(network, chip), remedy.WORK
    remedy.WORK = 1500 * work
    try:
        found = remedies(network, chip)
    finally:
        remedy.WORK = before
    assert {change for change in found if change.kind not in ("weight_bits", "group_size")} <= set(everything)
    bits = {change.kind: change.value for change in everything}
    assert all(change.value == bits[change.kind] for change in found if change.kind == "weight_bits")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 100_000),
    memory=st.integers(1, 40),
    room=st.integers(1, 12),
    shared=st.sampled_from(["none", "kernel"]),
)
def test_remedies_know_every_model_and_connection(seed, memory, room, shared):
    network = conv_network(seed) if seed % 5 == 0 else model_network(seed)
    chip = chip_with(
        n_cores=2, compartments_per_core=room, synapse_memory_bits_per_core=64 * memory, axons_out_per_core=30,
        neuron_models=None, message_bits=24, shared_synapses=shared,
    )  # fmt: skip
    for change in remedies(network, chip):
        assert fits(*followed(change, network, chip))
