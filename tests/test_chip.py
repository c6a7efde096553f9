"""Chip files: presets, round trip, and what a wrong file says."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

import neurosim.chip
from neurosim.chip import CHIP_KINDS, Chip, chip_names, load_chip
from neurosim.chipfields import FIELDS
from neurosim.errors import ChipError


@pytest.fixture
def data():
    return copy.deepcopy(load_chip("loihi1").to_dict())


@pytest.fixture
def everything():
    """Return a description with a value for every quantity: Speck's, and numbers where it has none."""
    found = copy.deepcopy(load_chip("speck").to_dict())
    for name, rule in FIELDS.items():
        if name not in found or found[name]["value"] in ("unknown", "unlimited"):
            value = [4, 8] if rule.form == "widths" else 8
            found[name] = {"value": value, "unit": "bits", "source": "a test", "kind": "assumed"}
    return found


@pytest.mark.parametrize("name", chip_names())
def test_preset_loads_and_carries_its_name(name):
    assert load_chip(name).name == name


@pytest.mark.parametrize("name", chip_names())
def test_preset_survives_json_exactly(name):
    chip = load_chip(name)
    assert Chip.from_dict(json.loads(json.dumps(chip.to_dict()))) == chip


@pytest.mark.parametrize("name", chip_names())
def test_every_value_has_unit_source_and_kind(name):
    chip = load_chip(name)
    for field, constant in chip.provenance.items():
        assert constant.unit and constant.source and constant.kind in CHIP_KINDS
        assert getattr(chip, field) == constant.value


@pytest.mark.parametrize("name", chip_names())
def test_unknown_is_none_and_none_is_unknown(name):
    for constant in load_chip(name).provenance.values():
        assert (constant.value is None) == (constant.kind in ("unknown", "unlimited"))


def test_loihi1_has_the_published_limits():
    chip = load_chip("loihi1")
    assert (chip.n_cores, chip.mesh, chip.cores_per_tile) == (128, (8, 4), 4)
    assert chip.compartments_per_core == 1024
    assert chip.synapse_memory_bits_per_core == 16384 * 64
    assert (chip.axons_in_per_core, chip.axons_out_per_core) == (4096, 4096)
    assert (chip.compartment_configs_per_core, chip.threshold_configs_per_core) == (32, 16)
    assert (chip.state_bits, chip.delay_max, chip.tag_bits) == (24, 62, 9)


def test_loihi2_does_not_invent_axons():
    chip = load_chip("loihi2")
    assert chip.axons_in_per_core is None and chip.provenance["axons_in_per_core"].kind == "unknown"


def test_unknown_name_suggests_a_close_one():
    with pytest.raises(ChipError, match="unknown chip 'loihi'.*did you mean 'loihi[12]'"):
        load_chip("loihi")


def test_far_name_asks_for_a_path():
    with pytest.raises(ChipError, match=r"unknown chip 'xyz'; known: loihi1, .*path of a \.toml file"):
        load_chip("xyz")


def test_own_file_is_read(tmp_path):
    preset = Path(neurosim.chip.__file__).with_name("data") / "chips" / "loihi1.toml"
    text = preset.read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(
        text.replace('name = "loihi1"', 'name = "mine"').replace("value = 1024", "value = 12"), encoding="utf-8"
    )
    chip = load_chip(path)
    assert (chip.name, chip.compartments_per_core) == ("mine", 12)
    assert load_chip(str(path)) == chip


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ChipError, match=r"none\.toml': cannot be read"):
        load_chip(tmp_path / "none.toml")


@pytest.mark.parametrize("content", [b"a = ", b"\xff\xfe"])
def test_broken_toml_is_named(tmp_path, content):
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(ChipError, match=r"bad\.toml': not a TOML file"):
        load_chip(tmp_path / "bad.toml")


def test_missing_key_is_refused(data):
    del data["axons_in_per_core"]
    with pytest.raises(ChipError, match="missing axons_in_per_core"):
        Chip.from_dict(data)


def test_misspelt_key_is_refused_with_the_right_one(data):
    data["n_core"] = data.pop("n_cores")
    with pytest.raises(ChipError, match="unknown key 'n_core'; did you mean 'n_cores'"):
        Chip.from_dict(data)


def test_foreign_key_lists_the_known(data):
    data["zzz"] = 1
    with pytest.raises(ChipError, match="unknown key 'zzz'; known are format, name"):
        Chip.from_dict(data)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("n_cores", -1, "n_cores: value -1 is below 1"),
        ("n_cores", 1.5, "n_cores: value 1.5 is not an integer"),
        ("n_cores", True, "n_cores: value True is not an integer"),
        ("n_cores", "many", "n_cores: value 'many' is not an integer"),
        ("n_cores", 129, r"n_cores 129 exceeds 8 x 4 tiles of 4 cores"),
        ("compartments_per_core", 0, "compartments_per_core: value 0 is below 1"),
        ("tag_bits", -1, "tag_bits: value -1 is below 0"),
        ("mesh", 8, r"mesh: value 8 is not \[width, height\]"),
        ("mesh", [8, 4, 2], r"is not \[width, height\]"),
        ("mesh", [8, 0], "mesh: value 0 is below 1"),
        ("weight_formats", [], "is not a list of widths"),
        ("weight_formats", [4, 4], "does not rise"),
        ("tag_bits", "unknown", "value 'unknown' and kind 'second hand' disagree"),
    ],
)
def test_wrong_value_is_refused_by_name(data, key, value, words):
    data[key]["value"] = value
    with pytest.raises(ChipError, match=words):
        Chip.from_dict(data)


@pytest.mark.parametrize("name", FIELDS)
def test_every_quantity_is_read_and_kept(everything, name):
    chip = Chip.from_dict(everything)
    assert chip.provenance[name].value == getattr(chip, name) is not None
    assert chip.to_dict()[name] == everything[name] | {"value": everything[name]["value"]}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("wrong", [-1, 1.5, float("nan"), True, None, {}])
def test_a_wrong_value_of_any_quantity_is_refused_by_name(everything, name, wrong):
    value = everything[name]["value"]
    everything[name]["value"] = [*value[:-1], wrong] if isinstance(value, list) else wrong
    with pytest.raises(ChipError, match=f"{name}: value .* (is below|is not|does not rise)"):
        Chip.from_dict(everything)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("key", ["value", "unit", "source", "kind"])
def test_a_quantity_without_one_of_its_four_keys_is_refused_by_name(everything, name, key):
    del everything[name][key]
    with pytest.raises(ChipError, match=f"{name}: missing {key}"):
        Chip.from_dict(everything)


@pytest.mark.parametrize("name", FIELDS)
def test_a_quantity_may_be_left_out_only_if_earlier_files_lack_it(everything, name):
    del everything[name]
    if FIELDS[name].later:
        assert getattr(Chip.from_dict(everything), name) is None
    else:
        with pytest.raises(ChipError, match=f"missing {name}; add it"):
            Chip.from_dict(everything)


@pytest.mark.parametrize("name", [name for name, rule in FIELDS.items() if rule.required])
def test_what_mapping_needs_cannot_be_unknown(everything, name):
    everything[name] |= {"value": "unknown", "kind": "unknown"}
    with pytest.raises(ChipError, match=f"{name}: unknown is not possible, mapping needs the number"):
        Chip.from_dict(everything)


@pytest.mark.parametrize("name", ["compartments", "synapse_memory_bits"])
def test_capacities_by_core_fit_the_cores(everything, name):
    listed = everything[f"{name}_by_core"]["value"]
    everything[f"{name}_by_core"]["value"] = listed[:-1]
    with pytest.raises(ChipError, match=f"{name}_by_core has 8 numbers, n_cores is 9; give one for each core"):
        Chip.from_dict(everything)
    everything[f"{name}_by_core"]["value"] = [1, *listed[1:-1], 2 * max(listed)]
    with pytest.raises(ChipError, match=f"{name}_per_core is {max(listed)}, the largest of .* make them equal"):
        Chip.from_dict(everything)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shared_synapses", "one of none, shifted, kernel"),
        ("address_padding", "one of none, power_of_two"),
        ("decay_forms", "from factor, shift, none"),
    ],
)
def test_a_choice_is_one_of_those_known(everything, name, words):
    everything[name]["value"] = ["none", "some"] if name == "decay_forms" else "some"
    with pytest.raises(ChipError, match=f"{name}: value 'some' is not known; choose {words}"):
        Chip.from_dict(everything)


@pytest.mark.parametrize("key", ["cannot", "energy_tables"])
@pytest.mark.parametrize("wrong", ["text", [1], [""], {"a": 1}])
def test_lists_of_texts_are_lists_of_texts(data, key, wrong):
    data[key] = wrong
    with pytest.raises(ChipError, match=f"{key} .* is not a list of texts; write each in quotes"):
        Chip.from_dict(data)


def test_lists_of_texts_may_be_left_out(data):
    del data["cannot"], data["energy_tables"]
    chip = Chip.from_dict(data)
    assert chip.cannot == () and chip.energy_tables == ()
    assert "cannot" not in chip.to_dict()


def test_number_marked_unknown_is_refused(data):
    data["tag_bits"]["kind"] = "unknown"
    with pytest.raises(ChipError, match="value 9 and kind 'unknown' disagree"):
        Chip.from_dict(data)


def test_mapping_needs_the_number_of_cores(data):
    data["n_cores"] |= {"value": "unknown", "kind": "unknown"}
    with pytest.raises(ChipError, match="n_cores: unknown is not possible"):
        Chip.from_dict(data)


def test_bare_value_is_refused(data):
    data["n_cores"] = 128
    with pytest.raises(ChipError, match="n_cores: 128 is a bare value"):
        Chip.from_dict(data)


@pytest.mark.parametrize(("key", "words"), [("source", "source '' is not a text"), ("kind", "unknown kind ''")])
def test_value_without_source_or_kind_is_refused(data, key, words):
    data["n_cores"][key] = ""
    with pytest.raises(ChipError, match=words):
        Chip.from_dict(data)


@pytest.mark.parametrize("number", [2, "1", True])
def test_other_format_is_refused(data, number):
    data["format"] = number
    with pytest.raises(ChipError, match="cannot be read, this version reads 1"):
        Chip.from_dict(data)


def test_name_is_a_text(data):
    data["name"] = 3
    with pytest.raises(ChipError, match="name 3 is not a text"):
        Chip.from_dict(data)


def test_zero_tag_bits_mean_none_and_differ_from_unknown(data):
    data["tag_bits"]["value"] = 0
    assert Chip.from_dict(data).tag_bits == 0


def test_import_is_light():
    code = "import sys, neurosim.chip; print(sorted({'numba', 'matplotlib', 'rich'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
