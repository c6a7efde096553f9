"""Energy tables and the sum of counts times prices."""

import json

import numpy as np
import pytest

from neurosim.counters import COLUMN, N_COUNTERS, OVERFLOWS, OpCounts
from neurosim.energy import ENERGY_KINDS, OPERATIONS, EnergyTable, energy, energy_table_names, load_energy_table
from neurosim.energytable import SYNAPTIC_KINDS
from neurosim.errors import ChipError, ConfigError


def counts_of(n_steps=10, n_samples=2, **rows):
    """Make counts: one keyword per row, a dictionary of counters each."""
    matrix = np.zeros((len(rows), N_COUNTERS), np.int64)
    for i, found in enumerate(rows.values()):
        for name, count in found.items():
            matrix[i, COLUMN[name]] = count
    return OpCounts(tuple(rows), matrix, n_samples, n_steps)


def minimal(**changes):
    price = {"value": 2.0, "unit": "pJ", "source": "a test", "kind": "assumed"}
    table = {
        "format": 1, "name": "t", "title": "t", "notes": "t", "uncertainty": "u", "not_modelled": [],
        "price": {"synaptic_operations": price},
    }  # fmt: skip
    return table | changes


def price(**changes):
    return {"value": 1, "unit": "pJ", "source": "a test", "kind": "measured"} | changes


EXAMPLE = {
    "input": {"spikes": 5, "messages": 7, "hops_east": 3},
    "hidden": {
        "neuron_updates_active": 30,
        "neuron_updates_idle": 20,
        "spikes": 4,
        "messages_local": 6,
        "hops_south": 2,
    },
    "input->hidden": {"synaptic_operations": 100},
}


@pytest.mark.parametrize("name", energy_table_names())
def test_preset_loads_with_sources_and_kinds(name):
    table = load_energy_table(name)
    assert table.name == name and table.uncertainty and table.not_modelled
    for constant in (*table.prices.values(), *table.information.values()):
        assert constant.source and constant.kind in ENERGY_KINDS and constant.value > 0


@pytest.mark.parametrize("name", energy_table_names())
def test_preset_prices_explains_or_dismisses_every_operation(name):
    table = load_energy_table(name)
    listed = {*table.prices, *table.unpriced, *table.not_work, *table.included}
    assert listed >= set(OPERATIONS) - set(SYNAPTIC_KINDS) and listed <= set(OPERATIONS)


def test_davies_table_by_hand():
    report = energy(counts_of(**EXAMPLE), load_energy_table("loihi1-davies2018"))
    expected = 100 * 23.6 + 30 * 81 + 20 * 52 + 6 * 1.7 + 2 * 4.0 + 7 * 1.7 + 3 * 3.0
    assert report.total_pj == pytest.approx(expected, rel=1e-12)
    assert report.components["neuron_updates_active"] == 30 * 81.0
    assert report.components["input_messages"] == pytest.approx(7 * 1.7)


def test_sanafe_table_by_hand():
    report = energy(counts_of(**EXAMPLE), load_energy_table("loihi1-sanafe2026"))
    expected = 100 * 35.5 + 30 * (51.2 + 21.6) + 20 * 51.2 + 4 * 69.3 + 6 * 111.0 + 2 * 4.2 + 3 * 3.0
    assert report.total_pj == pytest.approx(expected, rel=1e-12)


def test_input_spikes_are_not_charged_as_neurons():
    report = energy(counts_of(**EXAMPLE), load_energy_table("loihi1-sanafe2026"))
    assert report.components["spikes"] == pytest.approx(4 * 69.3)
    assert {(item.counter, item.count) for item in report.unpriced} == {
        ("input_spikes", 5), ("input_messages", 7), ("barriers", 10),
    }  # fmt: skip


def test_unpriced_work_is_named_with_its_count_and_reason():
    counts = counts_of(hidden={"neuron_updates_idle": 1, "noise_draws": 9})
    report = energy(counts, load_energy_table("loihi1-davies2018"))
    assert ("noise_draws", 9, "no energy is published for the noise generator") in report.unpriced
    assert report.components["noise_draws"] is None and not report.is_complete


def test_overflows_are_events_not_work():
    counts = counts_of(n_steps=0, hidden={name: 3 for name in OVERFLOWS})
    report = energy(counts, load_energy_table("loihi1-davies2018"))
    assert report.unpriced == () and report.total_pj == 0.0 and report.by_row == {}


def test_loihi2_prices_nothing_and_says_so():
    report = energy(counts_of(**EXAMPLE), load_energy_table("loihi2"))
    assert report.total_pj is None and not report.is_complete
    assert set(report.components.values()) == {None} and set(report.row_totals().values()) == {None}
    assert {item.counter for item in report.unpriced} == set(report.components)


def test_cpu_has_no_packets():
    report = energy(counts_of(**EXAMPLE), load_energy_table("cpu-45nm"))
    assert not {"messages", "hops_east", "spikes", "barriers"} & set(report.components)
    assert report.total_pj == pytest.approx(100 * 0.1 + 50 * 6.6) and report.is_complete


def test_energy_is_linear_in_counts():
    table = load_energy_table("loihi1-davies2018")
    one, two = counts_of(**EXAMPLE), counts_of(**EXAMPLE)
    assert energy(one + two, table).total_pj == pytest.approx(2 * energy(one, table).total_pj)


def test_per_divides_energies_and_leaves_counts():
    table, counts = load_energy_table("loihi1-davies2018"), counts_of(**EXAMPLE)
    whole, part = energy(counts, table), energy(counts, table, per=2)
    assert part.total_pj == pytest.approx(whole.total_pj / 2) and part.unpriced == whole.unpriced and part.per == 2


@pytest.mark.parametrize("per", [0, -1, 1.5, True])
def test_per_must_be_a_positive_integer(per):
    with pytest.raises(ConfigError, match="is not a positive integer"):
        energy(counts_of(**EXAMPLE), load_energy_table("loihi2"), per=per)


def test_rows_and_components_have_the_same_sum():
    report = energy(counts_of(**EXAMPLE), load_energy_table("loihi1-davies2018"))
    rows = [total for total in report.row_totals().values() if total is not None]
    assert sum(rows) == pytest.approx(report.total_pj)
    assert report.by_row["input->hidden"] == {"synaptic_operations": pytest.approx(2360.0)}


def test_learning_price_is_marked_as_assumed():
    report = energy(counts_of(w={"weight_updates": 2}), load_energy_table("loihi1-davies2018"))
    assert report.components["weight_updates"] == 240.0
    assert report.constants["weight_updates"].kind == "assumed"


def test_report_can_be_written_as_json():
    report = energy(counts_of(**EXAMPLE), load_energy_table("loihi1-sanafe2026"), per=2)
    again = json.loads(json.dumps(report.to_dict()))
    assert again["total_pj"] == report.total_pj and again["constants"]["spikes"]["kind"] == "fitted"
    assert again["uncertainty_percent"] == 12 and again["unpriced"][0]["why"]


def test_unknown_table_suggests_a_close_one():
    with pytest.raises(ChipError, match="unknown energy table 'loihi1-davies'.*did you mean 'loihi1-davies2018'"):
        load_energy_table("loihi1-davies")


def test_own_table_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'format = 1\nname = "mine"\ntitle = "t"\nnotes = "n"\nuncertainty = "u"\nnot_modelled = ["all else"]\n'
        '[price.spikes]\nvalue = 2\nunit = "pJ"\nsource = "me"\nkind = "measured"\n',
        encoding="utf-8",
    )
    report = energy(counts_of(g={"spikes": 3, "neuron_updates_idle": 1}), load_energy_table(path))
    assert report.total_pj == 6.0
    assert ("neuron_updates_idle", 1, "the table has no price for it") in report.unpriced


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"price": {"spike": {}}}, "unknown key 'spike'; did you mean 'spikes'"),
        ({"price": {"overflow_u": {}}}, "unknown key 'overflow_u'"),
        ({"price": {"spikes": 3}}, "price of spikes: 3 is a bare value"),
        ({"price": 3}, "price 3 is not a table"),
        ({"price": {"spikes": {"value": 1, "unit": "nJ", "source": "s", "kind": "measured"}}}, "prices are in pJ"),
        (
            {"price": {"spikes": {"value": -1, "unit": "pJ", "source": "s", "kind": "measured"}}},
            "value -1 is not a number",
        ),
        (
            {"price": {"spikes": {"value": "?", "unit": "pJ", "source": "s", "kind": "measured"}}},
            "leave out what is unknown",
        ),
        (
            {"price": {"spikes": {"value": 1, "unit": "pJ", "source": "", "kind": "measured"}}},
            "source '' is not a text",
        ),
        ({"price": {"spikes": {"value": 1, "unit": "pJ", "source": "s", "kind": "guess"}}}, "unknown kind 'guess'"),
        ({"price": {"spikes": {"value": 1, "unit": "pJ", "kind": "measured"}}}, "missing source"),
        ({"unpriced": {"synaptic_operations": "no"}}, "listed under price and unpriced"),
        ({"unpriced": {"spikes": ""}}, "is not a table of reasons"),
        ({"not_modelled": "x"}, "is not a list of texts"),
        ({"uncertainty": ""}, "uncertainty '' is not a text"),
        ({"uncertainty_percent": "12"}, "uncertainty_percent: value '12' is not a number"),
        ({"price": {"spikes": price(value=float("nan"))}}, "price of spikes: value nan is not a number of at least 0"),
        ({"price": {"spikes": price(value=float("inf"))}}, "value inf is not a number of at least 0"),
        ({"price": {"spikes": price(value=True)}}, "value True is not a number of at least 0"),
        ({"price": {"spikes": {"value": 1, "source": "s", "kind": "measured"}}}, "price of spikes: missing unit"),
        ({"price": {"spikes": {"value": 1, "unit": "pJ", "source": "s"}}}, "price of spikes: missing kind"),
        ({"price": {"spikes": price(note="x")}}, "price of spikes: unknown key 'note'"),
        ({"included": {"spike": "in another"}}, "included: unknown key 'spike'; did you mean 'spikes'"),
        ({"included": {"spikes": 3}}, "included .* is not a table of reasons"),
        ({"included": "spikes"}, "included 'spikes' is not a table of reasons"),
        (
            {"included": {"synaptic_operations": "x"}},
            "synaptic_operations is listed under price and included; keep one",
        ),
        ({"included": {"spikes": "x"}, "not_work": {"spikes": "y"}}, "spikes is listed under not_work and included"),
        ({"not_work": {"spikes": ""}}, "not_work .* is not a table of reasons"),
        ({"static": {"power_per_chip": price(unit="W")}}, "static power_per_chip is in 'W'; static power is in mW"),
        ({"static": {"power_per_chip": price(unit="mW", value=-1)}}, "static of power_per_chip: value -1 is not a num"),
        (
            {"static": {"power_per_core": price(unit="mW")}},
            "unknown key 'power_per_core'; did you mean 'power_per_chip'",
        ),
        ({"static": {"power_per_chip": 3}}, "static of power_per_chip: 3 is a bare value"),
        ({"information": {"anything": price(value=-2)}}, "information of anything: value -2 is not a number"),
        ({"information": {"anything": price(kind="felt")}}, "information of anything: unknown kind 'felt'"),
        ({"information": [1]}, "information .* is not a table; write"),
        ({"not_modelled": ["a", ""]}, "not_modelled .* is not a list of texts"),
        ({"uncertainty_percent": -1}, "uncertainty_percent: value -1 is not a number of at least 0"),
        ({"format": 2}, "format 2 cannot be read"),
        ({"colour": 1}, "unknown key 'colour'"),
    ],
)
def test_wrong_table_is_refused_by_name(changes, words):
    with pytest.raises(ChipError, match=words):
        EnergyTable.from_dict(minimal(**changes))


@pytest.mark.parametrize("key", ["format", "name", "title", "notes", "uncertainty", "not_modelled"])
def test_a_table_without_one_of_its_texts_is_refused_by_name(key):
    table = minimal()
    del table[key]
    with pytest.raises(ChipError, match=f"missing {key}"):
        EnergyTable.from_dict(table)


@pytest.mark.parametrize("name", SYNAPTIC_KINDS)
def test_a_kind_of_connection_may_have_its_own_price(name):
    table = EnergyTable.from_dict(minimal(price={name: price(value=3)}))
    kind = name.removeprefix("synaptic_operations_")
    assert table.priced_as("synaptic_operations", "dense graded" if kind == "graded" else kind) == name
    assert table.priced_as("synaptic_operations", "dense") == "synaptic_operations"


def test_included_work_is_left_out_and_static_power_is_kept_apart():
    table = EnergyTable.from_dict(
        minimal(included={"spikes": "in a synaptic operation"}, static={"power_per_chip": price(value=2, unit="mW")})
    )
    report = energy(counts_of(g={"spikes": 3, "neuron_updates_idle": 1}), table, seconds=1e-3)
    assert "spikes" not in report.components and report.static_pj == pytest.approx(2e6)
    assert report.total_pj == 0.0


def test_minimal_table_is_accepted():
    assert EnergyTable.from_dict(minimal()).prices["synaptic_operations"].value == 2.0
