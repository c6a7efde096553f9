"""``neurosim bench``: the same numbers each time, rows that say why, going on after an interrupt."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurosim.benchconfig import Suite, example_suite, load_suite, parse_network
from neurosim.benchsuite import pruned, thinned, unequal_backends
from neurosim.cli import app
from neurosim.errors import ConfigError
from neurosim.events import events_from_dense
from neurosim.modelfile import load_model
from neurosim.network import LIF, Dense, Input, Network
from neurosim.tasks import load_task

TINY = (
    "--networks",
    "0;3:bits=4,keep=50",
    "--epochs",
    1,
    "--samples",
    4,
    "--chips",
    "loihi1,truenorth",
    "--threads",
    1,
)


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def output(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def error(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stderr.count("\n") == 1
    return str(result.stderr)


def without_times(results: Any) -> Any:
    """Drop what this machine's clock measured."""
    if isinstance(results, dict):
        return {key: without_times(value) for key, value in results.items() if not key.endswith("wall_s")}
    return [without_times(value) for value in results] if isinstance(results, list) else results


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished suite and what it showed."""
    folder = tmp_path_factory.mktemp("bench") / "first"
    return folder, output("bench", *TINY, "--out", folder)


def results_of(folder: Path) -> Any:
    return json.loads((folder / "bench.json").read_text(encoding="utf-8"))


def test_a_suite_leaves_tables_and_pictures(finished: tuple[Path, str]) -> None:
    folder, shown = finished
    for name in ("accuracy-energy", "energy-activity", "operations-size"):
        assert (folder / "plots" / f"{name}.png").stat().st_size > 10_000
    rows = list(csv.DictReader((folder / "table.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["network"], row["chip"], row["backend"]) for row in rows][:3] == [
        ("0", "loihi1", "simulator"), ("0", "loihi1", "reference"), ("0", "truenorth", "simulator")
    ]  # fmt: skip
    numbers = list(csv.DictReader((folder / "numbers.csv").read_text(encoding="utf-8").splitlines()))
    assert all(row["unit"] and row["kind"] and row["source"] for row in numbers)
    for words in (
        "Per inference",
        "all backends give the same answers and counts",
        "Driven by part of the input",
        "plots/",
    ):
        assert words in shown


def test_what_does_not_fit_is_a_row_that_says_why(finished: tuple[Path, str]) -> None:
    folder, shown = finished
    refused = [row for row in results_of(folder)["rows"] if row["chip"] == "truenorth"]
    assert len(refused) == 4 and {row["state"] for row in refused} == {"does not fit"}
    assert all("chip 'truenorth'" in row["why"] for row in refused)
    assert "0 on truenorth, simulator; 0 on truenorth, reference: " in shown


def test_the_same_seed_gives_the_same_numbers(finished: tuple[Path, str]) -> None:
    output("bench", *TINY, "--out", "again")
    assert without_times(results_of(Path("again"))) == without_times(results_of(finished[0]))
    for path in (finished[0] / "models").iterdir():
        assert path.read_bytes() == (Path("again") / "models" / path.name).read_bytes()


def test_without_input_only_idle_neurons_cost(finished: tuple[Path, str]) -> None:
    silent = [row for row in results_of(finished[0])["drives"] if row["kept_percent"] == 0]
    assert len(silent) == 2
    for row in silent:
        assert row["activity"] == 0 and row["counts"]["synaptic_operations"] == 0
        davies = row["energies"][0]
        assert davies["total_pj"] == pytest.approx(52.0 * row["neurons"] * row["steps"])


def test_more_input_means_more_energy(finished: tuple[Path, str]) -> None:
    for network in ("0", "3:bits=4,keep=50"):
        spent = [
            row["energies"][0]["total_pj"] for row in results_of(finished[0])["drives"] if row["network"] == network
        ]
        assert spent == sorted(spent) and len(set(spent)) == len(spent)


def test_an_interrupted_suite_goes_on(monkeypatch: pytest.MonkeyPatch, finished: tuple[Path, str]) -> None:
    import neurosim.benchsuite as benchsuite

    measured, calls = benchsuite.count_samples, []

    def interrupted(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measured(*arguments, **named)

    monkeypatch.setattr(benchsuite, "count_samples", interrupted)
    result = call("bench", *TINY, "--out", "cut")
    assert result.exit_code == 130
    assert "interrupted; continue with: neurosim bench --suite cut/suite.toml --out cut" in result.stderr
    assert len(results_of(Path("cut"))["rows"]) == 2 and (Path("cut") / "table.csv").exists()
    before = len(calls)
    output("bench", "--suite", "cut/suite.toml", "--out", "cut", "--threads", 1)
    assert without_times(results_of(Path("cut"))) == without_times(results_of(finished[0]))
    whole = len(results_of(finished[0])["rows"]) + len(results_of(finished[0])["drives"])
    assert len(calls) - before == whole - 2, "what was done is not done again"


def test_another_suite_does_not_touch_the_results(finished: tuple[Path, str]) -> None:
    assert "holds results of another suite" in error("bench", *TINY, "--seed", 2, "--out", finished[0])
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    assert "exists and is not empty" in error("bench", *TINY, "--out", "mine")


def test_runs_take_part_as_they_are(finished: tuple[Path, str]) -> None:
    model = finished[0] / "models" / "0.npz"
    given = ("--samples", 4, "--chips", "loihi1", "--backends", "simulator", "--threads", 1, "--json")
    found = json.loads(output("bench", model, *given))
    assert found["folder"] == "runs/bench-001"
    assert [row["network"] for row in found["results"]["rows"]] == [str(model)]
    first = results_of(finished[0])["rows"][0]
    assert found["results"]["rows"][0]["counts"] == first["counts"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--networks", "big"), "'big' cannot be read"),
        (("--networks", "16:keep=0"), "keeps no 1..100 percent"),
        (("--networks", "16;16"), "networks: '16' is there twice"),
        (("--chips", "loihi11"), "did you mean 'loihi1'?"),
        (("--backends", "simulatr"), "did you mean 'simulator'?"),
        (("--tables", "loihi"), "unknown energy table 'loihi'"),
        (("--task", "cartpole"), "is played and has no samples"),
        (("--epochs", "0"), "epochs: 0 is out of range"),
        (("--suite", "absent.toml"), "begin with: neurosim bench --example"),
        (("absent.npz",), "does not exist"),
    ],
)
def test_wrong_suites_are_one_line_and_leave_no_folder(
    arguments: tuple[object, ...], words: str, tmp_path: Path
) -> None:
    assert words in error("bench", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_the_example_is_the_default_suite() -> None:
    Path("suite.toml").write_text(output("bench", "--example"), encoding="utf-8")
    assert Path("suite.toml").read_text(encoding="utf-8") == example_suite()
    assert load_suite(Path("suite.toml")) == Suite()
    Path("suite.toml").write_text(Suite(networks=("7:keep=9",)).to_toml(), encoding="utf-8")
    assert load_suite(Path("suite.toml")).networks == ("7:keep=9",)


@pytest.mark.parametrize(
    ("text", "words"),
    [("chip = 'loihi1'", "unknown key 'chip'"), ("epochs = ", "not a TOML file"), ("chips = []", "leaves nothing to run on"),
     ("networks = []", "nothing takes part")],
)  # fmt: skip
def test_wrong_suite_files_are_refused(text: str, words: str) -> None:
    Path("suite.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        load_suite(Path("suite.toml"))


def test_names_of_networks() -> None:
    assert parse_network("0").hidden == ()
    assert parse_network("64x32").hidden == (64, 32)
    assert parse_network("8:keep=10")[2:] == (8, 10)


def test_thinning_nests_and_keeps_the_ends() -> None:
    events = events_from_dense(np.random.default_rng(3).random((4, 20, 30)) < 0.5)
    kept = {percent: thinned(events, percent, 1).to_dense() for percent in (0, 30, 70, 100)}
    assert not kept[0].any() and np.array_equal(kept[100], events.to_dense())
    assert not np.any(kept[30] & ~kept[70]) and not np.any(kept[70] & ~kept[100])
    assert abs(kept[30].sum() / kept[100].sum() - 0.3) < 0.05
    assert not np.array_equal(thinned(events, 30, 2).to_dense(), kept[30])


def test_pruning_keeps_the_largest_weights() -> None:
    network = Network([Input("in", 3), LIF("a", 2)], [Dense("in", "a", [[6, -50, 2], [0, 40, -6]], num_weight_bits=7)])
    (sparse,) = pruned(network, 50).connections
    np.testing.assert_array_equal([sparse.row, sparse.col, sparse.data], [[0, 0, 1], [0, 1, 1], [6, -50, 40]])
    assert sparse.num_weight_bits == 7
    assert len(pruned(network, 1).connections[0].data) == 1


def test_a_trained_network_is_that_of_the_suite(finished: tuple[Path, str]) -> None:
    model = load_model(finished[0] / "models" / "3-bits4-keep50.npz")
    assert [group.n for group in model.network.groups] == [64, 3, 10]
    assert [len(c.data) for c in model.network.connections] == [64 * 3 // 2, 3 * 10 // 2]
    assert load_task("digits").n_steps_input == model.metadata["n_steps_input"]


def test_backends_that_differ_are_named(finished: tuple[Path, str]) -> None:
    results = results_of(finished[0])
    assert unequal_backends(results) == []
    results["rows"][1]["counts"]["spikes"] += 1
    assert unequal_backends(results) == ["0 on loihi1: reference differs from simulator"]


def test_progress_is_a_bar_on_a_terminal_and_few_lines_elsewhere() -> None:
    import io

    from rich.console import Console

    from neurosim.benchsuite import Step
    from neurosim.commands.progress import PLAIN_LINES, StepsView

    shown = {}
    for terminal in (True, False):
        file = io.StringIO()
        with StepsView(Console(file=file, force_terminal=terminal, width=100)) as view:
            for i in range(201):
                view.show(Step(i, 200, f"network {i}"))
        shown[terminal] = file.getvalue()
    lines = shown[False].splitlines()
    assert len(lines) == PLAIN_LINES + 1 and "\x1b[" not in shown[False]
    assert "200 of 200, " in lines[-1] and lines[-1].endswith(" a minute: network 200")
    assert "200/200" in shown[True] and "left" in shown[True]


def test_a_backend_that_counts_nothing_has_accuracy_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from neurosim.backend import BUILT_IN

    monkeypatch.setitem(BUILT_IN, "countless", "faulty_backend:CountlessBackend")
    given = ("--networks", "0", "--epochs", 1, "--samples", 3, "--chips", "loihi1", "--threads", 1)
    shown = output("bench", *given, "--backends", "countless,simulator", "--out", "some")
    first, second = results_of(Path("some"))["rows"]
    assert first["counts"] is None and first["energies"] == [] and first["n_correct"] == second["n_correct"]
    assert "all backends give the same answers and counts" in shown and "countless" in shown


def test_a_backend_that_lacks_what_the_network_needs_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    from neurosim.backend import BUILT_IN

    monkeypatch.setitem(BUILT_IN, "narrow", "faulty_backend:NarrowBackend")
    given = ("--networks", "0", "--epochs", 1, "--samples", 3, "--chips", "loihi1", "--threads", 1)
    shown = output("bench", *given, "--backends", "simulator,narrow", "--out", "some")
    refused = results_of(Path("some"))["rows"][1]
    assert refused["state"] == "cannot run" and "lacks: dense" in refused["why"]
    assert "0 on loihi1, narrow: backend 'narrow' lacks: dense" in shown
