"""The price tables that ship with neurosim: each against its source, by hand."""

import re
from pathlib import Path

import numpy as np
import pytest
from realdata import data_file

import neurosim.energytable
from neurosim.counters import COLUMN, N_COUNTERS, OpCounts
from neurosim.energy import energy, energy_table_names, load_energy_table
from neurosim.energytable import ENERGY_KINDS, OPERATIONS, STATIC, SYNAPTIC_KINDS

FOLDER = Path(neurosim.energytable.__file__).with_name("data") / "energy"
LEARNING = (
    "noise_draws",
    "perturbations",
    "trace_updates",
    "response_updates",
    "votes",
    "weight_updates",
    "reward_broadcasts",
)


def counts_of(n_steps=10, **rows):
    """Make counts: one keyword per row, a dictionary of counters each."""
    matrix = np.zeros((len(rows), N_COUNTERS), np.int64)
    for i, found in enumerate(rows.values()):
        for name, count in found.items():
            matrix[i, COLUMN[name]] = count
    return OpCounts(tuple(rows), matrix, 2, n_steps)


def example():
    """Return counts of two groups and a connection; the first group is one of input lines."""
    hidden = {
        "neuron_updates_active": 30, "neuron_updates_idle": 20, "spikes": 4, "messages": 8, "messages_local": 6,
        "hops_south": 2, "hops_west": 5, "synapse_bits_read": 2560,
    }  # fmt: skip
    return counts_of(
        lines={"spikes": 5, "messages": 7, "synapse_bits_read": 1280},
        hidden=hidden,
        synapses={"synaptic_operations": 100},
    )


def unpriced(report):
    return {item.counter for item in report.unpriced}


def test_every_file_is_a_preset():
    assert sorted(path.stem for path in FOLDER.glob("*.toml")) == sorted(energy_table_names())


@pytest.mark.parametrize("name", energy_table_names())
def test_every_number_has_unit_source_and_kind(name):
    table = load_energy_table(name)
    for found, unit in ((table.prices, "pJ"), (table.static, "mW"), (table.information, None)):
        for constant in found.values():
            assert constant.value > 0 and constant.unit and constant.kind in ENERGY_KINDS and len(constant.source) > 10
            assert unit is None or constant.unit == unit
    assert set(table.static) <= set(STATIC)
    assert set(OPERATIONS) - set(SYNAPTIC_KINDS) <= {
        *table.prices, *table.unpriced, *table.not_work, *table.included,
    }  # fmt: skip


@pytest.mark.parametrize("name", energy_table_names())
def test_an_all_in_price_stands_alone(name):
    table = load_energy_table(name)
    kinds = {constant.kind for constant in table.prices.values()}
    assert "all-in" not in kinds or (len(table.prices) == 1 and not table.static)


@pytest.mark.parametrize("name", energy_table_names())
def test_work_of_learning_is_never_dropped_in_silence(name):
    table = load_energy_table(name)
    dropped = {operation for operation in LEARNING if not table.is_work(operation)}
    assert dropped <= {"reward_broadcasts"}  # of the processor, where a scalar in memory is no work


def test_truenorth_is_all_in():
    report = energy(example(), load_energy_table("truenorth"), seconds=0.01)
    assert report.total_pj == 100 * 26.0 and set(report.constants) == {"synaptic_operations"}
    assert report.constants["synaptic_operations"].kind == "all-in"
    assert unpriced(report) == {"input_spikes", "input_messages"} and report.static_pj is None


def test_parts_of_truenorth_are_a_lower_bound():
    report = energy(example(), load_energy_table("truenorth-components"))
    assert report.total_pj == pytest.approx((2560 + 1280) * 0.047 + 7 * 2.3)
    assert {"synaptic_operations", "neuron_updates_active", "neuron_updates_idle"} <= unpriced(report)
    assert load_energy_table("truenorth-components").information["bit_to_next_core"].value * 32 == pytest.approx(2.304)


def test_spinnaker_pays_a_packet_for_each_spike():
    report = energy(example(), load_energy_table("spinnaker1"), seconds=2e-3)
    assert report.total_pj == pytest.approx(100 * 13300 + 50 * 26000 + (4 + 5) * 25 * 40)
    assert not {"messages", "messages_local", "input_messages", "hops_west"} & set(report.components)
    assert unpriced(report) == {"synapse_bits_read", "barriers"}
    assert report.static_pj == pytest.approx(0.35 * 2e-3 * 1e12)  # 0.35 W in pJ
    assert load_energy_table("spinnaker1").prices["spikes"].kind == "derived"


def test_spinnaker2_prices_what_is_published():
    report = energy(example(), load_energy_table("spinnaker2"))
    assert report.total_pj == pytest.approx(100 * 450 + 50 * 2190)
    assert {"spikes", "messages", "hops_west", "input_messages"} <= unpriced(report)


@pytest.mark.parametrize("name", ["xylo-audio-2", "speck"])
def test_powers_of_tasks_make_no_prices(name):
    table = load_energy_table(name)
    report = energy(example(), table, seconds=1.0)
    assert table.prices == {} and report.total_pj is None and not report.is_complete
    assert {"synaptic_operations", "neuron_updates_active", "spikes"} <= unpriced(report)
    assert table.information


def test_resting_power_of_speck_is_static():
    report = energy(example(), load_energy_table("speck"), seconds=0.5)
    assert report.static_pj == pytest.approx(0.42e-3 * 0.5 * 1e12)
    assert energy(example(), load_energy_table("speck")).static_pj is None


def test_loihi2_has_no_number_at_all():
    table = load_energy_table("loihi2")
    assert not table.prices and not table.static and not table.information


@pytest.mark.parametrize(
    ("form", "ac", "mac"),
    [("int8", 0.03, 0.23), ("int16", 0.05, 1.05), ("int32", 0.1, 3.2), ("fp16", 0.4, 1.5), ("fp32", 0.9, 4.6)],
)
def test_45nm_has_mac_and_ac_by_bit_width(form, ac, mac):
    known = load_energy_table("cpu-45nm").information
    assert (known[f"ac_{form}"].value, known[f"mac_{form}"].value) == (ac, mac)
    assert (known[f"ac_{form}"].kind, known[f"mac_{form}"].kind) == ("model constant", "derived")
    assert {known[f"ac_{form}"].unit, known[f"mac_{form}"].unit} == {"pJ"}


def test_energy_of_floats_overstates_an_integer_network_twenty_times():
    known = load_energy_table("cpu-45nm").information
    assert known["mac_fp32"].value / known["mac_int8"].value == pytest.approx(20)
    assert known["ac_fp32"].value / known["ac_int8"].value == pytest.approx(30)


def test_45nm_neuron_update_by_hand():
    known, prices = load_energy_table("cpu-45nm").information, load_energy_table("cpu-45nm").prices
    add, multiply = known["ac_int32"].value, known["mac_int32"].value - known["ac_int32"].value
    assert prices["neuron_updates_active"].value == pytest.approx(2 * multiply + 4 * add)
    assert prices["synaptic_operations"].value == add


def test_sanafe_prices_are_those_of_its_file():
    text = data_file("sanafe", "arch", "loihi.yaml").read_text(encoding="utf-8")

    def pj(unit: str, attribute: str) -> float:
        """Return an attribute of a unit in pJ."""
        part = text[text.index(f"name: {unit}") :]
        found = re.search(rf"{attribute}: ([0-9.e-]+)", part)
        assert found is not None
        return float(found[1]) * 1e12

    access, update = pj("loihi_lif", "energy_access_neuron"), pj("loihi_lif", "energy_update_neuron")
    expected = {
        "synaptic_operations": pj("loihi_dense_synapse", "energy_process_spike"),
        "synaptic_operations_sparse": pj("loihi_sparse_synapse", "energy_process_spike"),
        "synaptic_operations_one_to_one": pj("loihi_sparse_synapse", "energy_process_spike"),
        "synaptic_operations_conv": pj("loihi_conv_synapse", "energy_process_spike"),
        "neuron_updates_active": access + update,
        "neuron_updates_idle": access,
        "spikes": pj("loihi_lif", "energy_spike_out"),
        "messages": pj("loihi_out", "energy_message_out"),
        "messages_local": pj("loihi_out", "energy_message_out"),
        **{f"hops_{side}": pj("loihi_tile", f"energy_{side}_hop") for side in ("east", "west", "north", "south")},
    }
    prices = load_energy_table("loihi1-sanafe2026").prices
    assert {name: price.value for name, price in prices.items()} == pytest.approx(expected)
    assert pj("loihi_in", "energy_message_in") == 0  # so a packet that arrives costs nothing there
