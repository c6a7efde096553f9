import csv
import io
import json
import runpy
from pathlib import Path

import pytest

from neurosim.counters import COUNTERS
from neurosim.energy import OPERATIONS
from neurosim.report import (
    COUNTER_WORDS,
    Table,
    accuracy_interval,
    all_tables,
    confusion_table,
    count_per,
    counts_by_row_table,
    counts_table,
    energy_table_rows,
    format_cell,
    format_energy,
    format_share,
    history_table,
    quantization_table,
    summary_lines,
    to_csv,
    unpriced_table,
    utilisation_table,
)  # fmt: skip

full_metrics = runpy.run_path(str(Path(__file__).with_name("metrics_fixture.py")))["full_metrics"]
direct_metrics = runpy.run_path(str(Path(__file__).with_name("metrics_fixture.py")))["direct_metrics"]


@pytest.fixture
def metrics():
    return full_metrics()


def test_every_counter_has_words():
    assert {*COUNTERS, *OPERATIONS} == set(COUNTER_WORDS)


def test_summary_says_accuracy_energy_work_and_cores(metrics):
    text = "\n".join(summary_lines(metrics))
    assert "accuracy           96.9%  (349 of 360 test samples; 95 % interval 94.6% to 98.3%)" in text
    assert "1,000 generations, 512,000 samples in 93.4 s" in text
    assert "energy             at least 2.33 µJ per inference (loihi1-davies2018)" in text
    assert "per training sample (loihi1-davies2018)" in text
    assert "82,250 synaptic operations, 563.9 spikes per inference" in text
    assert "2 of chip loihi1; fullest: compartments of core 0, 25%" in text
    assert "overflows" not in text


def test_summary_names_overflows_with_a_remedy(metrics):
    metrics["counts"]["per_inference"]["totals"]["saturation_v"] = 1200
    assert (
        summary_lines(metrics)[-1]
        == "overflows          1,200 in the test run; scale the weights down or raise the thresholds"
    )


@pytest.mark.parametrize("missing", list(full_metrics()))
def test_any_part_may_be_missing(metrics, missing):
    del metrics[missing]
    summary_lines(metrics)
    for table in all_tables(metrics):
        assert table.rows


@pytest.mark.parametrize(
    "empty", [{}, {"training": None, "test": None, "counts": None, "energy": None, "utilisation": None}]
)
def test_nothing_measured_gives_nothing(empty):
    assert summary_lines(empty) == [] and all_tables(empty) == []


def test_all_rows_have_a_value_for_each_column(metrics):
    tables = all_tables(metrics)
    assert len(tables) == 13
    for table in tables:
        assert all(len(row) == len(table.columns) for row in table.rows), table.title


def test_counts_are_means_over_samples(metrics):
    table = counts_table(metrics)
    assert table.columns == ("operation", "per inference", "per training sample", "meaning")
    rows = {row[0]: row for row in table.rows}
    totals = {per: metrics["counts"][per] for per in ("per_inference", "per_learning_step")}
    assert rows["synaptic operations"][1] == totals["per_inference"]["totals"]["synaptic_operations"] / 360
    assert rows["votes"][2] == totals["per_learning_step"]["totals"]["votes"] / 1437
    assert rows["barriers"][1] == 18
    assert "overflows, current" not in rows  # never happened
    by_part = {row[:2]: row[2] for row in counts_by_row_table(metrics).rows}
    assert sum(n for (_, name), n in by_part.items() if name == "synaptic operations") == pytest.approx(
        rows["synaptic operations"][1]
    )


def test_counters_of_a_newer_version_are_shown_by_their_own_name(metrics):
    metrics["counts"]["per_inference"]["totals"]["quantum_leaps"] = 720
    assert ("quantum leaps", 2.0, None, "") in counts_table(metrics).rows


def test_what_was_not_counted_is_none(metrics):
    assert count_per(metrics, "per_inference", "nothing") is None
    metrics["counts"]["per_inference"] = None
    assert count_per(metrics, "per_inference", "spikes") is None


def test_energy_rows_carry_price_kind_and_source_and_add_up(metrics):
    table = energy_table_rows(metrics)
    *rows, total = table.rows
    assert total[:2] == ("sum of what is priced", metrics["energy"]["per_inference"]["total_pj"])
    assert sum(row[1] for row in rows if row[1] is not None) == pytest.approx(total[1])
    assert sum(row[2] for row in rows if row[2] is not None) == pytest.approx(100)
    synops = next(row for row in rows if row[0] == "synaptic operations")
    assert synops[3:5] == (23.6, "simulated") and "Davies 2018" in synops[5]
    assert next(row for row in rows if row[0] == "spikes")[1:] == (None, None, None, "no price", None)


def test_unpriced_work_is_listed_with_its_reason(metrics):
    rows = {row[0]: row for row in unpriced_table(metrics, "per_learning_step").rows}
    assert rows["votes"][2] == "our rule; no chip has published such an operation"
    assert rows["votes"][1] == pytest.approx(count_per(metrics, "per_learning_step", "votes"))


def test_utilisation_shows_used_and_limit_with_unknown_limits(metrics):
    table = utilisation_table(metrics)
    assert table.columns[3:5] == ("compartments", "limit")
    assert table.rows[0] == (0, "0, 0", "hidden", 256, 1024, 196608, 1 << 20, 64, 4096, 256, None)


def test_history_confusion_and_quantisation_keep_every_entry(metrics):
    assert len(history_table(metrics).rows) == 100 and history_table(metrics).rows[0][3] is None
    assert confusion_table(metrics).rows[3] == ("3", 0, 0, 0, 34, 0, 0, 0, 0, 2, 0)
    table = quantization_table(metrics)
    assert table.columns[-1] == "note" and table.rows[1][-1] == "rounded to nearest"


def test_quantisation_entries_of_any_form_become_cells():
    table = quantization_table({"quantization": [{"object": "a", "range": [-128, 127], "extra": {"b": 1}}]})
    assert table.rows == (("a", "-128, 127", "b", None),)


def test_tables_survive_json(metrics):
    again = json.loads(json.dumps(metrics))
    assert all_tables(again) == all_tables(metrics) and summary_lines(again) == summary_lines(metrics)


def test_csv_comes_back_with_full_precision():
    text = to_csv(Table("t", ("a", "b,c"), ((0.1 + 0.2, None), (7, 'say "x"'))))
    assert list(csv.reader(io.StringIO(text))) == [["a", "b,c"], ["0.30000000000000004", ""], ["7", 'say "x"']]


@pytest.mark.parametrize(
    ("pj", "text"),
    [
        (0.0, "0 pJ"),
        (1.7, "1.7 pJ"),
        (999.4, "999 pJ"),
        (999.6, "1 nJ"),
        (2.33e6, "2.33 µJ"),
        (5e9, "5 mJ"),
        (3e12, "3 J"),
        (3e16, "3e+04 J"),
        (None, "unknown"),
    ],
)
def test_energies_take_the_unit_that_suits(pj, text):
    assert format_energy(pj) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        ("a", "a"),
        (True, "True"),
        (1234567, "1,234,567"),
        (3.0, "3"),
        (0.123456, "0.1235"),
        (20605.43, "20,605.4"),
    ],
)
def test_cells_are_readable(value, text):
    assert format_cell(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, ""), (0.0, "0.0 %"), (0.0004, "< 0.1 %"), (0.0456, "4.6 %"), (0.83, "83 %"), (1.0, "100 %")],
)
def test_shares_never_round_to_nothing(share, text):
    assert format_share(share) == text


def test_accuracy_interval_matches_a_published_value_and_stays_within_bounds():
    # Newcombe 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I, method 3
    assert accuracy_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert accuracy_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert accuracy_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert accuracy_interval(20, 20)[1] == 1.0


def test_runs_by_gradients_have_tables_of_their_own() -> None:
    metrics = direct_metrics(4)
    tables = {table.title: table for table in all_tables(metrics)}
    assert tables["Learning"].columns[-2:] == ("loss", "balance")
    assert tables["Neurons"].rows == (("hidden1", "membrane time constant", 0.008, 0.011, "s"),)
    name, shape, n, mean, smallest, largest = tables["Surrogate gradients"].rows[1]
    assert (name, shape, n) == ("hidden2", "triangle", 4) and smallest < mean < largest
    lines = summary_lines(metrics)
    assert "training           1,000 generations, 64,000 samples in 12.5 s, by gradients off the chip" in lines
    assert "same answers       100.00% as in training, 99.72% as in floats, whose accuracy is 98.6%" in lines
    metrics["training"]["agreement"]["chip"] = None
    assert "same answers       99.72% as in floats, whose accuracy is 98.6%" in summary_lines(metrics)
    assert not {"Neurons", "Surrogate gradients"} & {table.title for table in all_tables(full_metrics())}
