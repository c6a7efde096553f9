"""What a study of energy says: bounds, ranges, reasons, units."""

import copy

import numpy as np
import pytest
from matplotlib.text import Text

from neurosim.chip import load_chip
from neurosim.energyrows import machine_table
from neurosim.energystudy import cores_of, count_events, neurobench_of, study, tables_of
from neurosim.events import events_from_dense
from neurosim.modelfile import Model
from neurosim.network import LIF, Dense, Input, Network
from neurosim.plots import draw
from neurosim.plots_energy import STUDY_FIGURES
from neurosim.plotstyle import DARK, LIGHT
from neurosim.report_energy import (
    bounded,
    components_table,
    cores_table,
    groups_table,
    overview_table,
    range_text,
    source_lines,
    time_lines,
    times_table,
    unpriced_lines,
)
from neurosim.report_html import make_report


@pytest.fixture(scope="module")
def found():
    """6,000 neurons on more than one tile of Loihi 1."""
    rng = np.random.default_rng(4)
    network = Network(
        [Input("in", 8), LIF("hidden", 3000, 800, 300, vth=40), LIF("more", 3000, 800, 300, vth=40), LIF("out", 4, 4095, 0, vth=90)],
        [
            Dense("in", "hidden", rng.integers(-60, 90, (3000, 8))), Dense("in", "more", rng.integers(-60, 90, (3000, 8))),
            Dense("hidden", "out", rng.integers(-40, 60, (4, 3000))),
        ],
    )  # fmt: skip
    counted = count_events(Model(network, load_chip("loihi1")), events_from_dense(rng.random((2, 9, 8)) < 0.3))
    tables = tables_of(counted.program.chip)
    made = study(counted, tables, counted.counts, cores_of(counted, tables, None, 1))
    return made | {"source": "a test", "neurobench": neurobench_of(counted, 1)}


def energies(found, i):
    return found["energies"]["per_inference"][i]


def test_a_sum_with_gaps_is_a_lower_bound(found):
    energy = copy.deepcopy(energies(found, 0))
    assert bounded(energy).startswith("at least ")
    assert not bounded(energy | {"unpriced": []}).startswith("at least")
    assert bounded(energy | {"total_pj": None}) == "not known"


def test_the_range_is_the_table_s_own_or_unknown(found):
    assert range_text(energies(found, 0)) == "unknown", "nobody measured how wrong Davies' table is"
    low, high = energies(found, 1)["range_pj"]
    assert high / low == pytest.approx(1.12 / 0.88) and " to " in range_text(energies(found, 1))
    assert range_text({"total_pj": None}) == ""
    same = {"total_pj": 1.0, "range_pj": [2.0e6, 3.0e6], "uncertainty_percent": 20}
    assert range_text(same) == "2 to 3 µJ" and range_text(same | {"range_pj": [900e3, 1.1e6]}) == "900 nJ to 1.1 µJ"


def test_overview_has_a_row_for_each_table_with_kinds_and_static_energy(found):
    table = overview_table(found)
    assert [row[0] for row in table.rows] == ["loihi1-davies2018", "loihi1-sanafe2026", "cpu-45nm"]
    assert [row[5] for row in table.rows] == ["simulated", "fitted", "model constant, assumed"]
    assert table.rows[0][3].startswith("≥ ") and table.rows[1][3].endswith("J") and table.rows[2][3] == "no power"
    assert all(row[1].startswith("≥ ") and row[4] > 0 for row in table.rows)
    assert overview_table(found, "per_learning_step").rows[0][3] == "no time"


def test_components_and_groups_carry_shares_of_the_sum(found):
    rows = components_table(energies(found, 0)).rows
    assert rows[0][0] == "neuron updates, active" or rows[0][0] == "synaptic operations"
    assert all(row[3].endswith(" pJ") and row[4] for row in rows)
    assert [row[0] for row in groups_table(energies(found, 0)).rows] == ["in", "hidden", "more", "out"]


def test_cores_that_spend_most_come_first(found):
    energy = energies(found, 0)
    whole, most = cores_table(energy), cores_table(energy, 1)
    assert len(whole.rows) >= 3 and len(most.rows) == 1 and "the 1 that spend most of" in most.title
    spent = {owner: sum(pj for pj in parts.values() if pj) for owner, parts in energy["by_core_pj"].items()}
    assert most.rows[0][0] == max(spent, key=spent.get)


def test_reasons_and_sources_are_said_once(found):
    lines = unpriced_lines(energies(found, 0))
    assert any("no energy is published for the generation of a spike" in line for line in lines)
    assert any(line.startswith("barriers (9)") for line in lines), "per sample"
    assert source_lines(energies(found, 0)) and source_lines(energies(found, 0), energies(found, 0)) == []


def test_times_name_what_bounds_them(found):
    rows = times_table(found).rows
    assert [row[:2] for row in rows] == [
        (table, model)
        for table in ("loihi1-davies2018", "loihi1-sanafe2026")
        for model in ("critical-path", "max-affine")
    ]
    assert rows[0][2].startswith("≥ ") and not rows[2][2].startswith("≥") and " to " in rows[2][4]
    bound = [line for line in time_lines(found) if ", most steps are bound by: " in line]
    assert len(bound) == 2 and all(
        " of steps); the longest takes " in line and (" on core " in line or " on chip" in line) for line in bound
    )
    assert any("has no time for" in line for line in time_lines(found))
    assert time_lines(found | {"times": []}) == ["time: no table of times for chip 'loihi1'; give one with --time"]
    assert time_lines(found | {"no_cores": "because"}) == ["time and cores: because"]


def test_no_number_without_unit_kind_and_source(found):
    for row in machine_table(found).rows:
        assert len(row) == 9 and row[4] and row[6] and row[7] and row[8], row


@pytest.mark.parametrize("name", list(STUDY_FIGURES))
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_pictures_are_the_same_each_time(found, name, theme):
    first = draw(STUDY_FIGURES[name], found, theme, "svg", name)
    assert first is not None and first == draw(STUDY_FIGURES[name], found, theme, "svg", name)


@pytest.mark.parametrize("name", list(STUDY_FIGURES))
def test_pictures_are_left_out_where_there_is_nothing_to_show(name):
    empty = {"energies": {"per_inference": [], "per_learning_step": []}, "ann": None, "utilisation": [], "links": []}
    assert draw(STUDY_FIGURES[name], empty, LIGHT, "png", name) is None


def test_pictures_say_at_least_and_name_parts(found):
    words = [text.get_text() for text in STUDY_FIGURES["energy-components"](found, LIGHT).findobj(Text)]
    assert bounded(energies(found, 0)) in words and "synaptic operations" in words and "cpu-45nm" in words
    words = [text.get_text() for text in STUDY_FIGURES["links"](found, LIGHT).findobj(Text)]
    assert any("packets over each link per inference; most: " in word for word in words)


def test_the_report_shows_a_study_where_there_is_one(found):
    bare = make_report({"task": "digits", "chip": "loihi1"})
    whole = make_report({"task": "digits", "chip": "loihi1", "study": found})
    for words in (
        "Time, cores and other prices",
        "critical-path",
        "By core",
        "Packets over each link",
        "as an artificial one",
    ):
        assert words in whole and words not in bare


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_many_cores_are_drawn_where_they_lie(found, theme):
    cores = [
        {"core": i, "site": i, "tile": [i // 4 % 8, i // 32], "groups": ["a"], "resources": {}} for i in range(120)
    ]
    spent = {str(i): {"synaptic_operations": 10.0 * i, "spikes": None} for i in range(120)}
    energy = energies(found, 0) | {"by_core_pj": spent, "total_pj": 71400.0}
    many = found | {"utilisation": cores, "energies": {"per_inference": [energy]}}
    figure = STUDY_FIGURES["energy-cores"](many, theme)
    pixels = figure.axes[0].get_images()[0].get_array()
    assert np.ma.count(pixels) == 120 and pixels.max() == 1190.0 and pixels.sum() == 71400.0
    assert "1.19 nJ" in [text.get_text() for text in figure.findobj(Text)]
    assert draw(STUDY_FIGURES["energy-cores"], many, theme, "png", "cores")
