"""Two runs side by side: published intervals, energies of one table, what differs."""

import copy
import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurosim.chip import load_chip
from neurosim.cli import app
from neurosim.errors import ConfigError
from neurosim.modelfile import Model, save_model
from neurosim.network import LIF, Dense, Input, Network
from neurosim.runfolder import RunFolder
from neurosim.studies.compareruns import (
    compare_runs,
    difference_interval,
    machine_table,
    metrics_of,
    priced_anew,
    quantities_table,
)

full_metrics = runpy.run_path(str(Path(__file__).parents[1] / "metrics_fixture.py"))["full_metrics"]
NAMES = ("first", "second")


@pytest.fixture(scope="module")
def pair() -> tuple[dict[str, Any], dict[str, Any]]:
    """A run, and one with half the synaptic operations, other settings and fewer right answers."""
    a = full_metrics() | {"config": {"seed": 1, "epochs": 4, "rule": {"pairs": 1}}}
    b = copy.deepcopy(a) | {"config": {"seed": 1, "epochs": 2, "rule": {"pairs": 2}}}
    b["counts"]["per_inference"]["totals"]["synaptic_operations"] //= 2
    b["counts"]["per_inference"]["by_row"]["pixels->hidden"]["synaptic_operations"] //= 2
    b["test"] |= {"accuracy": 300 / 360, "n_correct": 300}
    return a, b


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((29, 98), (6, 84), -0.3281, -0.1175 + 0.0),
    ],
)
def test_the_interval_of_a_difference(a, b, low, high):
    """The first two are in Newcombe 1998, Table II (method 10); the third is computed here from Wilson's intervals."""
    found = difference_interval(a, b)
    if a == (29, 98):
        from neurosim.report import accuracy_interval

        (la, ua), (lb, ub), d = accuracy_interval(*a), accuracy_interval(*b), 6 / 84 - 29 / 98
        low, high = d - np.hypot(6 / 84 - lb, ua - 29 / 98), d + np.hypot(ub - 6 / 84, 29 / 98 - la)
    assert found == pytest.approx((low, high), abs=6e-5)


def test_swapping_the_runs_swaps_the_interval():
    low, high = difference_interval((48, 80), (56, 70))
    assert difference_interval((56, 70), (48, 80)) == pytest.approx((-high, -low))


def test_a_run_equals_itself(pair):
    found = compare_runs(pair[0], pair[0], NAMES)
    assert found["configuration"] == []
    assert all(row["a"] == row["b"] for row in found["quantities"])
    assert not found["accuracy"]["difference"]["beyond_chance"]


def test_settings_that_differ_are_listed(pair):
    found = compare_runs(*pair, NAMES)
    assert found["configuration"] == [{"key": "epochs", "a": 4, "b": 2}, {"key": "rule.pairs", "a": 1, "b": 2}]


def test_accuracies_differ_beyond_chance_or_not(pair):
    found = compare_runs(*pair, NAMES)["accuracy"]
    assert found["difference"]["b_minus_a"] == pytest.approx(300 / 360 - 349 / 360)
    assert found["difference"]["beyond_chance"]
    near = copy.deepcopy(pair[0])
    near["test"] |= {"accuracy": 347 / 360, "n_correct": 347}
    assert not compare_runs(pair[0], near, NAMES)["accuracy"]["difference"]["beyond_chance"]


def test_operations_and_energies_have_both_values(pair):
    found = compare_runs(*[priced_anew(run, "loihi1-davies2018") for run in pair], NAMES)
    table = quantities_table(found, ("operations",), "Operations")
    row = next(row for row in table.rows if row[:2] == ("synaptic operations", "inference"))
    assert row[3] / row[4] == pytest.approx(29_610_000 / (29_610_000 // 2)) and row[5] == pytest.approx(0.5, abs=1e-6)
    energies = {
        row["item"]: row for row in found["quantities"] if row["what"] == "energy" and row["per"] == "inference"
    }
    synapses = energies["synaptic operations"]
    assert synapses["a"] == pytest.approx(23.6 * 29_610_000 / 360) and synapses["kind"] == "simulated"
    assert energies["sum"]["a"] > energies["sum"]["b"]


def test_sums_of_different_tables_stand_without_components(pair):
    found = compare_runs(pair[0], priced_anew(pair[1], "cpu-45nm"), NAMES)
    assert {row["item"] for row in found["quantities"] if row["what"] == "energy"} == {"sum"}
    assert [side["per_inference"] for side in found["tables"]] == ["loihi1-davies2018", "cpu-45nm"]


def test_rows_for_machines_have_unit_kind_and_source(pair):
    table = machine_table(compare_runs(*pair, NAMES))
    assert table.columns[4:6] == NAMES
    for row in table.rows:
        assert len(row) == len(table.columns)
        if row[1] in ("operations", "energy", "time", "use", "shape"):
            assert row[3] and row[7] and row[8], row


@pytest.mark.parametrize("missing", list(full_metrics()))
def test_any_part_may_be_missing(pair, missing):
    less = {key: value for key, value in pair[1].items() if key != missing}
    found = compare_runs(pair[0], less, NAMES)
    assert json.loads(json.dumps(found)) == found
    machine_table(found)


def test_counters_of_another_version_cannot_be_priced_anew(pair):
    old = copy.deepcopy(pair[0])
    old["counts"]["per_inference"]["by_row"]["pixels"]["hops_x"] = 4
    with pytest.raises(ConfigError, match="'hops_x' is of another version"):
        priced_anew(old, "cpu-45nm")


def test_connections_are_priced_anew_by_their_kind(pair):
    run = copy.deepcopy(pair[0])
    counts = run["counts"]["per_inference"]
    counts["kinds"] = {row: "sparse" if "->" in row else "" for row in counts["by_row"]} | {"pixels": "input"}
    plain, kinds = (priced_anew(each, "loihi1-sanafe2026")["energy"]["per_inference"] for each in (pair[0], run))
    n = counts["totals"]["synaptic_operations"] / counts["samples"]
    assert kinds["components_pj"]["synaptic_operations_sparse"] == pytest.approx(33.6 * n)
    assert plain["components_pj"]["synaptic_operations"] == pytest.approx(35.5 * n)


def test_a_model_without_a_task_has_nothing_measured(tmp_path):
    network = Network([Input("in", 2), LIF("out", 1)], [Dense("in", "out", [[6, 8]])])
    save_model(tmp_path / "model.npz", Model(network, load_chip("loihi1")))
    with pytest.raises(ConfigError, match="says no task"):
        metrics_of(tmp_path / "model.npz")


class TestCommand:
    """``neurosim compare RUN_A RUN_B``."""

    @pytest.fixture(autouse=True)
    def _runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: Any) -> None:
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.chdir(tmp_path)
        for name, metrics in zip(NAMES, pair, strict=True):
            RunFolder.create(name).write_metrics(metrics)

    def output(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, ["compare", *NAMES, *arguments])
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    def test_both_runs_are_shown_side_by_side(self) -> None:
        shown = self.output()
        for words in ("first and second", "Configuration where it differs", "epochs", "95 % interval", "more than chance",
                      "synaptic operations", "Energy", "fullest resource", "Time"):  # fmt: skip
            assert words in shown, words

    def test_json_and_csv(self) -> None:
        found = json.loads(self.output("--json", "--csv", "both.csv"))
        assert found["names"] == list(NAMES) and found["accuracy"]["difference"]["beyond_chance"]
        assert (
            Path("both.csv")
            .read_text(encoding="utf-8")
            .startswith("per,what,item,unit,first,second,table,kind,source\n")
        )

    def test_another_table_prices_both(self) -> None:
        assert "loihi1-sanafe2026" in self.output("--table", "loihi1-sanafe2026")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ((*NAMES, "--backends", "simulator,reference"), "--backends: for the comparison of backends"),
            (("first", "--csv", "x.csv"), "for the comparison of two runs; give a second run folder"),
            (("first", "absent"), "'absent': does not exist"),
            ((*NAMES, "--table", "loihi"), "unknown energy table 'loihi'"),
        ],
    )
    def test_wrong_uses_are_one_line(self, arguments: tuple[str, ...], words: str) -> None:
        result = CliRunner().invoke(app, ["compare", *arguments])
        assert result.exit_code == 1 and words in result.stderr and result.stderr.count("\n") == 1
