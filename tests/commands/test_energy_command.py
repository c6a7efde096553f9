"""``neurosim energy`` and ``--chip``: what they show, write and refuse."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurosim.chip import load_chip
from neurosim.cli import app
from neurosim.modelfile import Model, save_model
from neurosim.network import LIF, Dense, Input, Network

PRESET = Path(__file__).parents[2] / "neurosim" / "data" / "chips" / "loihi1.toml"


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def output(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def error(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == "" and result.stderr.count("\n") == 1
    return str(result.stderr)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of two groups, three samples of input, and a chip of the user's."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    network = Network(
        [Input("in", 3), LIF("hidden", 5, 1000, 100, vth=60), LIF("out", 2, vth=60)],
        [Dense("in", "hidden", np.arange(15).reshape(5, 3) * 8), Dense("hidden", "out", np.ones((2, 5), int) * 40)],
    )
    save_model("model.npz", Model(network, load_chip("loihi1")))
    np.savez("events.npz", spikes=np.random.default_rng(1).random((3, 12, 3)) < 0.4)
    Path("my.toml").write_text(
        PRESET.read_text(encoding="utf-8").replace('name = "loihi1"', 'name = "mine"'), encoding="utf-8"
    )


ENERGY = ("energy", "model.npz", "--input", "events.npz", "--threads", 1)


def test_every_section_is_shown() -> None:
    shown = output(*ENERGY, "--per-step")
    for words in (
        "3 samples of events.npz, on backend simulator", "1 of 128; bottleneck: ", "Operations", "Time", "critical-path",
        "Steps: means over samples", "Energy per inference by loihi1-davies2018: at least", "By core", "synapses into it",
        "Not in the energy per inference by loihi1-davies2018", "How far to trust it", "source of synaptic operations: Davies 2018",
        "as an artificial one", "MAC / AC", "spikes per synapse and inference", "In NeuroBench's terms", "ParameterCount",
    ):  # fmt: skip
        assert words in shown, words


@pytest.mark.parametrize("columns", [80, 120])
def test_the_terminal_need_not_be_wide(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    tables = [line for line in output(*ENERGY).splitlines() if line.startswith(" ") and not line.startswith("  ")]
    assert tables and max(map(len, tables)) <= columns


def test_json_has_every_number_with_its_table_and_sources() -> None:
    found = json.loads(output(*ENERGY, "--json"))
    energies = found["energies"]["per_inference"]
    assert [energy["table"] for energy in energies] == ["loihi1-davies2018", "loihi1-sanafe2026", "cpu-45nm"]
    for energy in energies:
        for name, pj in energy["components_pj"].items():
            constant = energy["constants"].get(name)
            assert pj is None or (constant["unit"] == "pJ" and constant["source"] and constant["kind"])
    assert found["samples"] == 3 and found["model"] == "model.npz" and found["source"] == "events.npz"
    assert found["neurobench"]["neurobench"]["ParameterCount"] == 25
    assert len(found["per_step"]) == 12 and found["files"] == []


def test_the_number_of_samples_is_the_user_s() -> None:
    found = json.loads(output(*ENERGY, "--limit", 2, "--steps", 7, "--json"))
    assert found["samples"] == 2 and found["network"]["n_steps"] == 7


def test_tables_are_those_named() -> None:
    found = json.loads(output(*ENERGY, "--table", "spinnaker1", "--time", "loihi1-davies2018", "--json"))
    assert [energy["table"] for energy in found["energies"]["per_inference"]] == ["spinnaker1"]
    assert {time["table"] for time in found["times"]} == {"loihi1-davies2018"}


def test_csv_has_unit_kind_and_source_in_each_row() -> None:
    shown = output(*ENERGY, "--csv", "all.csv")
    assert "all.csv" in shown
    rows = list(csv.DictReader(Path("all.csv").read_text(encoding="utf-8").splitlines()))
    assert all(row["unit"] and row["kind"] and row["source"] for row in rows)
    total = [row for row in rows if row["what"] == "energy_total" and row["table"] == "loihi1-davies2018"]
    parts = [row for row in rows if row["what"] == "energy_by_component" and row["table"] == "loihi1-davies2018"]
    assert len(total) == 1 and sum(float(row["value"] or 0) for row in parts) == pytest.approx(float(total[0]["value"]))
    assert {
        "energy_by_core",
        "energy_by_group",
        "energy_by_row",
        "unpriced",
        "utilisation",
        "time",
        "ann",
        "count",
        "price",
    } <= {row["what"] for row in rows}


def test_a_folder_gets_a_file_for_each_sort_of_number() -> None:
    output(*ENERGY, "--csv", "whole.csv")
    output(*ENERGY, "--csv", "parts")
    names = {path.stem for path in Path("parts").iterdir()}
    assert {"count", "energy_total", "energy_by_core", "time", "utilisation", "ann"} <= names
    whole = Path("whole.csv").read_text(encoding="utf-8").splitlines()
    parts = [path.read_text(encoding="utf-8").splitlines() for path in Path("parts").iterdir()]
    assert sorted(whole[1:]) == sorted(line for lines in parts for line in lines[1:])
    assert all(lines[0] == whole[0] for lines in parts)


def test_pictures_are_written_and_named() -> None:
    shown = output(*ENERGY, "--plot", "pictures")
    names = sorted(path.name for path in Path("pictures").iterdir())
    assert names == ["energy-ann.png", "energy-components.png", "energy-cores.png", "utilisation.png"], (
        "one core, so no links"
    )
    assert all(f"pictures/{name}" in shown for name in names)


def test_another_chip_is_priced_by_its_own_tables() -> None:
    shown = output(*ENERGY, "--chip", "loihi2")
    assert "loihi2: Intel Loihi 2" in shown
    assert "Energy per inference by loihi2: not known" in shown
    assert "no energy per event of Loihi 2 is published" in shown


def test_a_chip_of_the_user_s_is_mapped_and_priced() -> None:
    found = json.loads(output(*ENERGY, "--chip", "my.toml", "--json"))
    assert found["chip"] == "mine"
    assert found["energies"]["per_inference"][0]["table"] == "loihi1-davies2018", "the file names it"
    assert "mine" in output("inspect", "model.npz", "--chip", "my.toml")


@pytest.mark.parametrize("command", [ENERGY, ("inspect", "model.npz"), ("evaluate", "model.npz"), ("train", "digits")])
def test_wrong_chip_files_are_refused_by_name(command: tuple[object, ...]) -> None:
    text = Path("my.toml").read_text(encoding="utf-8")
    Path("less.toml").write_text(text.replace("[n_cores]", "[n_coers]"), encoding="utf-8")
    assert "chip file 'less.toml': unknown key 'n_coers'; did you mean 'n_cores'?" in error(
        *command, "--chip", "less.toml"
    )
    Path("below.toml").write_text(text.replace("value = 128\n", "value = -128\n", 1), encoding="utf-8")
    assert "value -128 is below 1" in error(*command, "--chip", "below.toml")
    assert "did you mean 'loihi1'?" in error(*command, "--chip", "loihi11")
    assert "cannot be read" in error(*command, "--chip", "absent.toml")


def test_what_does_not_fit_says_why() -> None:
    text = Path("my.toml").read_text(encoding="utf-8")
    Path("tiny.toml").write_text(
        text.replace("value = 1024\n", "value = 2\n").replace("value = 128\n", "value = 1\n", 1), encoding="utf-8"
    )
    assert "chip 'mine'" in error(*ENERGY, "--chip", "tiny.toml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--task", "digits"), "--input and --task"),
        (("--table", "loihi"), "unknown energy table 'loihi'"),
        (("--time", "loihi"), "unknown time table 'loihi'"),
        (("--backend", "simulatr"), "did you mean 'simulator'?"),
    ],
)
def test_wrong_names_are_one_line(arguments: tuple[object, ...], words: str) -> None:
    assert words in error(*ENERGY, *arguments)


def test_a_model_without_a_task_asks_for_input() -> None:
    assert "--task: the model does not say which task it was trained for" in error("energy", "model.npz")


def test_the_reference_counts_the_same_by_core_and_in_all() -> None:
    found = [json.loads(output(*ENERGY, "--backend", name, "--json")) for name in ("simulator", "reference")]
    assert found[0]["counts"] == found[1]["counts"]
    assert [e["by_core_pj"] for e in found[0]["energies"]["per_inference"]] == [
        e["by_core_pj"] for e in found[1]["energies"]["per_inference"]
    ]


def test_a_controller_is_counted_by_decision() -> None:
    from dataclasses import replace

    from neurosim.config import TrainConfig, override
    from neurosim.episoderun import prepare_controller
    from neurosim.tasks import task_settings

    config = override(replace(TrainConfig(), task="cartpole"), (*task_settings("cartpole"), "network.hidden=[4]"))
    program, _ = prepare_controller(config)
    metadata = {"task": "cartpole", "config": config.to_dict(), "n_steps_input": config.network.n_steps}
    save_model("pole.npz", Model(program.network, program.chip, metadata=metadata))
    found = json.loads(output("energy", "pole.npz", "--limit", 2, "--threads", 1, "--json"))
    assert found["samples"] >= 2 and found["energies"]["per_inference"][0]["total_pj"] > 0
    assert found["times"] == [] and "a controller's inputs depend on what it does" in found["no_cores"]
    assert "why_not" in found["neurobench"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the digits with a tiny network."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    settings = ("--set", "epochs=1", "--set", "network.hidden=[4]", "--chip", "spinnaker2", "--threads", 1)
    output("train", "digits", *settings, "--out", folder)
    return folder


def test_the_short_form_sets_chip_and_its_table(run: Path) -> None:
    config = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["config"]
    assert (config["chip"], config["energy_table"]) == ("spinnaker2", "spinnaker2")
    assert "leave out --set, --seed, --backend, --chip" in error("train", "--resume", run, "--chip", "loihi1")


def test_a_table_that_is_set_stays() -> None:
    given = (
        "--chip",
        "spinnaker2",
        "--set",
        "energy_table=cpu-45nm",
        "--set",
        "network.hidden=[4]",
        "--dry-run",
        "--json",
    )
    found = json.loads(output("train", "digits", *given))
    assert (found["config"]["chip"], found["config"]["energy_table"]) == ("spinnaker2", "cpu-45nm")


def test_learning_is_priced_by_every_table(run: Path) -> None:
    found = json.loads(output("energy", run, "--limit", 3, "--table", "cpu-45nm", "--table", "spinnaker2", "--json"))
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    learning = {energy["table"]: energy for energy in found["energies"]["per_learning_step"]}
    assert learning["spinnaker2"]["total_pj"] == pytest.approx(metrics["energy"]["per_learning_step"]["total_pj"])
    assert learning["cpu-45nm"]["total_pj"] > 0 and found["no_learning"] == ""
    assert found["test"]["n"] == 3


def test_a_generation_of_learning_is_shown_by_core(run: Path) -> None:
    arguments = ("energy", run, "--limit", 2, "--table", "cpu-45nm", "--per-core")
    found = json.loads(output(*arguments, "--json"))
    (energy,) = found["energies"]["per_learning_step"]
    parts = [pj for core in energy["by_core_pj"].values() for pj in core.values() if pj is not None]
    n = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["training"]["generations"]
    assert energy["by_core_of"] == f"generation {n}" and found["no_learning_cores"] == ""
    # one generation of the run, whose mean is the total: about as much, not the same
    assert 0.5 * energy["total_pj"] < sum(parts) < 2 * energy["total_pj"]
    shown = output(*arguments, "--csv", "all.csv")
    assert f"By core, generation {n}" in shown and "learning" in shown
    assert "energy_by_core_of_a_generation" in Path("all.csv").read_text(encoding="utf-8")
    assert "by_core_of" not in output("energy", run, "--limit", 2, "--json")  # only when asked for


def test_cores_of_learning_that_cannot_be_known_leave_the_rest(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    for name in ("model.npz", "metrics.json"):
        (tmp_path / "bare" / name).write_bytes((run / name).read_bytes())
    shown = output("energy", "bare", "--limit", 2, "--per-core")
    assert "cores of learning: not known, " in shown and "Energy per training sample" in shown


def test_a_model_alone_says_that_it_knows_nothing_of_learning(run: Path, tmp_path: Path) -> None:
    (tmp_path / "alone.npz").write_bytes((run / "model.npz").read_bytes())
    assert "a model file knows nothing of its training" in output("energy", "alone.npz", "--limit", 2)


def test_counts_of_an_older_version_leave_the_inference(run: Path, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "model.npz").write_bytes((run / "model.npz").read_bytes())
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    metrics["counts"]["per_learning_step"]["by_row"]["hidden"]["hops_x"] = 3
    (tmp_path / "old" / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    shown = output("energy", "old", "--limit", 2)
    assert "energy of learning: not known, old/metrics.json: counter 'hops_x' is of another version" in shown


def test_a_study_stays_in_the_run_and_in_its_report(run: Path) -> None:
    from neurosim.runfolder import RunFolder

    report = RunFolder(run).report_path
    before = report.read_text(encoding="utf-8")
    assert "Time, cores and other prices" not in before
    shown = output("energy", run, "--limit", 2, "--save")
    assert str(run / "energy.json") in shown
    with_study = report.read_text(encoding="utf-8")
    assert "Time, cores and other prices" in with_study
    output("report", run)
    assert report.read_text(encoding="utf-8") == with_study
    (run / "energy.json").write_text("{", encoding="utf-8")
    assert "write it again: neurosim energy" in error("report", run)
    (run / "energy.json").unlink()
    assert "--save: keeps the result with a run on its own chip" in error("energy", run, "--save", "--chip", "loihi1")


def test_inspect_and_evaluate_take_another_chip(run: Path) -> None:
    found = json.loads(output("inspect", run, "--chip", "loihi1", "--json"))
    assert found["chip"] == "loihi1" and found["mesh"]["cores"] == 128
    here, there = (
        json.loads(output("evaluate", run, "--limit", 4, "--json", *chip)) for chip in ((), ("--chip", "loihi1"))
    )
    assert here["predictions"] == there["predictions"], "answers do not depend on the chip"
    assert (here["energy"]["table"], there["energy"]["table"]) == ("spinnaker2", "loihi1-davies2018")


def test_a_backend_that_counts_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from neurosim.backend import BUILT_IN

    monkeypatch.setitem(BUILT_IN, "countless", "faulty_backend:CountlessBackend")
    given = (*ENERGY, "--backend", "countless")
    assert "backend countless counts no operations, hence no energy; use --backend simulator" in output(*given)
    found = json.loads(output(*given, "--json", "--csv", "few.csv", "--plot", "few"))
    assert found["counts"]["per_inference"] is None and found["energies"] == {} and found["ann"] is None
    assert "lacks counts" in found["no_cores"] and "counts no operations" in found["neurobench"]["why_not"]
    assert {row.split(",")[1] for row in Path("few.csv").read_text(encoding="utf-8").splitlines()[1:]} == {
        "utilisation"
    }


def test_silence_costs_the_idle_neurons_and_nothing_else() -> None:
    np.savez("silent.npz", spikes=np.zeros((2, 6, 3), np.int8))
    found = json.loads(output("energy", "model.npz", "--input", "silent.npz", "--json", "--plot", "quiet"))
    davies = found["energies"]["per_inference"][0]
    assert davies["total_pj"] == pytest.approx(7 * 6 * 52.0)
    assert {name for name, pj in davies["components_pj"].items() if pj} == {"neuron_updates_idle"}
    assert found["ann"]["spikes_per_synapse"] == 0 and found["links"] == []
    assert "Energy per inference by" in output("energy", "model.npz", "--input", "silent.npz")


def test_models_without_voltages_and_messages_with_values() -> None:
    from neurosim.neurons import Sigma

    network = Network([Input("in", 2), Sigma("sum", 1)], [Dense("in", "sum", [[2, -4]], num_message_bits=8)])
    save_model("graded.npz", Model(network, load_chip("unlimited")))
    np.savez("values.npz", spikes=np.array([[[3, 0], [0, 5], [0, 0]]]))
    given = ("energy", "graded.npz", "--input", "values.npz")
    found = json.loads(output(*given, "--json"))
    assert found["ann"]["snn"]["synaptic_operations_graded"] == found["ann"]["snn"]["synaptic_operations"] == 2
    assert "no table of times for chip 'unlimited'; give one with --time" in output(*given)


def test_a_run_is_compared_with_a_model(run: Path) -> None:
    """The model is run on the first samples of its task."""
    (run.parent / "alone.npz").write_bytes((run / "model.npz").read_bytes())
    found = json.loads(output("compare", run, run.parent / "alone.npz", "--json"))
    assert found["measured"] == ["by its training run", "now, on 100 test samples"]
    assert found["configuration"] == [] and found["names"] == ["run", "alone.npz"]
    energies = [row for row in found["quantities"] if row["what"] == "energy" and row["per"] == "inference"]
    assert energies[-1]["item"] == "sum" and energies[-1]["a"] == pytest.approx(energies[-1]["b"], rel=0.1)
    shown = output("compare", run, run.parent / "alone.npz")
    assert "the same configuration" in shown and "no more than chance may give" in shown
