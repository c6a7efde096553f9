"""The chips that ship with neurosim: what their sources say, and that each file is complete."""

import re
from pathlib import Path

import pytest

import neurosim.chip
from neurosim.chip import chip_names, load_chip
from neurosim.chipfields import FIELDS
from neurosim.energytable import load_energy_table
from neurosim.fixedpoint import INPUT_SHIFT
from neurosim.neurons import MODEL_FEATURES

FOLDER = Path(neurosim.chip.__file__).with_name("data") / "chips"
#: Quantities that only some forms of chip have: a file may be silent about them.
FORMS = (
    "compartments_by_core",
    "synapse_memory_bits_by_core",
    "bits_per_synapse",
    "axon_row_bits",
    "address_padding",
)


def test_every_file_is_a_preset():
    assert sorted(path.stem for path in FOLDER.glob("*.toml")) == sorted(chip_names())


@pytest.mark.parametrize("name", chip_names())
def test_a_preset_says_something_of_every_quantity(name):
    chip = load_chip(name)
    assert set(FIELDS) - set(FORMS) <= set(chip.provenance)
    assert chip.title and chip.notes and chip.cannot


@pytest.mark.parametrize("name", chip_names())
def test_a_source_is_more_than_a_word(name):
    for field, constant in load_chip(name).provenance.items():
        assert len(constant.source) > 5 or constant.kind == "unlimited", field
        if constant.kind == "published":
            assert re.search(r"doi|datasheet|[12][0-9]{3}", constant.source), field
        if constant.kind == "second hand":
            assert re.search(r"third parties|\.rst", constant.source), field
        if constant.kind == "source code":
            assert re.search(r"[/.]|[Ll]ava|SANA-FE|neurosim", constant.source), field


@pytest.mark.parametrize("name", chip_names())
def test_neuron_models_are_those_that_neurosim_has(name):
    known = {*MODEL_FEATURES.values(), "per_neuron"}
    assert set(load_chip(name).neuron_models or ()) <= known


@pytest.mark.parametrize("name", chip_names())
def test_energy_tables_of_a_chip_exist(name):
    for table in load_chip(name).energy_tables:
        assert load_energy_table(table).name == table


def test_a_chip_that_cannot_learn_keeps_nothing_beside_a_weight():
    for name in ("truenorth", "xylo-audio-2", "speck"):
        chip = load_chip(name)
        assert (chip.tag_bits, chip.trace_bits, chip.pre_traces, chip.post_traces) == (0, 0, 0, 0)
        assert any("learn" in text for text in chip.cannot)


def test_truenorth_is_a_crossbar_of_single_bits():
    chip = load_chip("truenorth")
    assert (chip.n_cores, chip.mesh, chip.cores_per_tile) == (4096, (64, 64), 1)
    assert (chip.compartments_per_core, chip.axons_in_per_core, chip.axons_out_per_core) == (256, 256, 256)
    assert chip.axon_row_bits == chip.compartments_per_core
    assert chip.synapse_memory_bits_per_core == chip.axons_in_per_core * chip.axon_row_bits == 65536
    assert (chip.weight_bits_max, chip.weight_levels_per_neuron, chip.target_cores_max) == (9, 4, 1)
    assert (chip.state_bits, chip.state_fraction_bits, chip.decay_forms) == (20, 0, ("none",))
    assert (chip.delay_max, chip.delay_levels_per_neuron, chip.delay_bits) == (14, 1, 0)
    assert chip.n_cores * chip.compartments_per_core == 2**20  # 1 million neurons
    assert chip.n_cores * chip.synapse_memory_bits_per_core == 2**28  # 256 million synapses


def test_a_row_of_spinnaker_is_words_of_32_bits():
    chip = load_chip("spinnaker1")
    assert (chip.synapse_word_bits, chip.synapse_header_bits, chip.bits_per_synapse) == (32, 3 * 32, 32)
    weight, index = chip.weight_formats[0], chip.index_formats[0]
    assert weight + chip.delay_bits + index <= chip.bits_per_synapse  # the rest is the type of a synapse
    assert chip.compartments_per_core == chip.synapses_per_chunk == 1 << index
    assert chip.synapse_memory_bits_per_core == 123_469_792 // 16 * 8


def test_spinnaker2_has_as_many_places_as_cores():
    chip = load_chip("spinnaker2")
    assert (chip.n_cores, chip.n_tiles * chip.cores_per_tile) == (152, 168)
    assert chip.synapse_memory_bits_per_core == 128 * 1024 * 8
    assert chip.compartments_per_core is None and chip.provenance["compartments_per_core"].kind == "unknown"


def test_xylo_has_sixteen_inputs_and_weights_for_its_fan_out():
    chip = load_chip("xylo-audio-2")
    assert (chip.n_cores, chip.inputs_max, chip.compartments_per_core) == (1, 16, 1000 + 8)
    assert chip.fan_out_max == 64 + 8
    assert chip.synapse_memory_bits_per_core == 8 * (2 * 16 * 1000 + 64 * 1000 + 8 * 1000)
    assert (chip.weight_bits_max, chip.state_bits, chip.delay_max, chip.decay_forms) == (8, 16, 0, ("shift",))


def test_cores_of_speck_differ():
    chip = load_chip("speck")
    words = [bits // 8 for bits in chip.synapse_memory_bits_by_core]
    ki = 1024
    assert words == [16 * ki, 16 * ki, 16 * ki, 32 * ki, 32 * ki, 64 * ki, 64 * ki, 16 * ki, 16 * ki]
    assert list(chip.compartments_by_core) == [64 * ki] * 3 + [32 * ki] * 2 + [16 * ki] * 4
    assert sum(chip.compartments_by_core) == 320 * ki  # 0.32 M neurons (docs/speck/overview.md of sinabs)
    assert (chip.groups_per_core, chip.cores_per_group, chip.target_cores_max) == (1, 1, 2)
    assert (chip.shared_synapses, chip.address_padding) == ("kernel", "power_of_two")


def test_loihi_shares_lists_of_weights_up_to_a_shift():
    chip = load_chip("loihi1")
    assert chip.shared_synapses == "shifted" and "axons" in chip.provenance["shared_synapses"].source
    assert chip.state_fraction_bits == INPUT_SHIFT
    assert load_chip("loihi2").provenance["shared_synapses"].kind == "assumed"


def test_nothing_binds_on_the_unlimited_chip():
    chip = load_chip("unlimited")
    limits = [name for name in FIELDS if name.endswith(("_per_core", "_max", "_per_neuron", "_per_group"))]
    assert {name: getattr(chip, name) for name in limits if name != "weight_bits_max"} == dict.fromkeys(
        [name for name in limits if name != "weight_bits_max"]
    )
