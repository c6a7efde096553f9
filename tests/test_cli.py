"""The command line: what each command shows, writes and refuses."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurosim.backend import BUILT_IN
from neurosim.chip import chip_names
from neurosim.cli import app
from neurosim.config import TrainConfig, example_toml
from neurosim.modelfile import load_model

SMALL = ("--set", "epochs=1", "--set", "network.hidden=[8]", "--set", "evaluate_every=10", "--threads", "1")
COMMANDS = (
    "demo",
    "train",
    "run",
    "evaluate",
    "energy",
    "bench",
    "compare",
    "export",
    "inspect",
    "report",
    "backends",
    "chips",
    "doctor",
)


def call(*arguments: object) -> Any:
    """Run the command line in this process; a NeurosimError never comes through."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def output(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def read_json(*arguments: object) -> Any:
    return json.loads(output(*arguments, "--json"))


def error(*arguments: object, code: int = 1) -> str:
    result = call(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return str(result.stderr)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "neurosim", *map(str, arguments)]


def sorted_plots(folder: Path) -> list[Path]:
    """The figures in the order in which they are made."""
    from neurosim.figures.run import FIGURES

    return [folder / "plots" / f"{name}.png" for name in FIGURES]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test works in a folder of its own, on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The run folder of a small training."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    output("train", *SMALL, "--out", folder)
    yield folder


def test_help_names_every_command() -> None:
    shown = output("--help")
    assert all(name in shown for name in COMMANDS)
    for name in COMMANDS:
        assert "Usage: " in output(name, "--help")


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys, neurosim.cli; heavy = {'numpy', 'numba', 'matplotlib', 'jinja2'} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_version() -> None:
    from neurosim.version import VERSION

    assert output("--version") == f"neurosim {VERSION}\n"


def test_demo_shows_every_section() -> None:
    shown = output("demo", "--epochs", 1, "--seed", 3, "--threads", 1)
    for heading in ("Data", "Network", "Chip loihi1", "Learning", "Result", "Operations", "Energy per inference",
                    "Not in the energy per inference", "Files", "Next"):  # fmt: skip
        assert f"\n{heading}" in shown
    for words in ("UCI", "compartments", "generation", "accuracy", "kind", "simulated", "runs/demo-001/report.html"):
        assert words in shown
    metrics = json.loads(Path("runs/demo-001/metrics.json").read_text(encoding="utf-8"))
    assert metrics["config"] == TrainConfig(epochs=1, seed=3).to_dict()


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere() -> None:
    from rich.console import Console

    from neurosim.commands.progress import PLAIN_LINES, ProgressView
    from neurosim.experiment import Progress

    shown = {}
    for terminal, width in ((True, 120), (True, 80), (False, 120)):
        file = io.StringIO()
        with ProgressView(Console(file=file, force_terminal=terminal, width=width)) as view:
            for g in range(1, 2001):
                view.show(Progress(g, 2000, 64 * g, 0.1 * g, 0.5, -1.0, 0.75 if g >= 100 else None))
        shown[terminal, width] = file.getvalue()
    lines = shown[False, 120].splitlines()
    assert len(lines) == PLAIN_LINES + 1
    assert "generation  2,000 of 2,000" in lines[-1]
    assert "train  50.0%  test  75.0%  fitness  -1.000  640 samples/s" in lines[-1]
    assert "\x1b[" not in shown[False, 120]
    assert "640 samples/s" in shown[True, 120]
    for width in (120, 80):
        assert "2000/2000" in shown[True, width]
        assert "fitness  -1.000" in shown[True, width]
        assert "left" in shown[True, width]


def test_train_fills_the_folder(trained: Path) -> None:
    for name in ("model.npz", "metrics.json", "report.html", "plots/accuracy.png", "checkpoints"):
        assert (trained / name).exists()
    assert load_model(trained / "model.npz").network.group("hidden").n == 8


def test_train_takes_a_file_overrides_it_and_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "runs" / "digits-001").mkdir(parents=True)
    (tmp_path / "my.toml").write_text(
        "epochs = 1\nseed = 5\nbackend = 'reference'\n[network]\nhidden = [4]\n", encoding="utf-8"
    )
    found = read_json("train", "my.toml", "--set", "network.hidden=[6]", "--seed", 9, "--backend", "simulator")
    assert found["folder"] == "runs/digits-002"
    config = found["metrics"]["config"]
    assert (config["seed"], config["backend"], config["network"]["hidden"]) == (9, "simulator", [6])


def test_a_dry_run_says_what_learning_needs_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = output("train", "digits", *SMALL, "--dry-run")
    assert "fits on loihi1     no, because: state of a presynaptic neuron" in shown
    assert "not modelled: " in shown
    found = read_json("train", "digits", *SMALL, "--dry-run", "--set", "chip=unlimited")
    assert found["chip_cost"]["fits"] == "yes"
    assert found["generations"] == 224
    assert list(tmp_path.iterdir()) == []


def test_train_begins_with_another_model(trained: Path, tmp_path: Path) -> None:
    output("train", "digits", "--from", trained, "--set", "epochs=1", "--threads", "1", "--out", tmp_path / "tuned")
    metrics = json.loads((tmp_path / "tuned" / "metrics.json").read_text())
    assert metrics["config"]["network"]["hidden"] == [8]
    assert metrics["config"]["start"] == (trained / "model.npz").as_posix()
    assert metrics["chip_cost"]["chip"] == "loihi1"
    assert "leave out --set, --seed, --backend, --chip, --out, --from" in error(
        "train", "--resume", trained, "--from", trained
    )


def test_train_prints_an_example() -> None:
    assert output("train", "--example") == example_toml()


def test_train_keeps_an_earlier_run_unless_forced(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.npz").write_bytes(b"precious")
    assert "exists and is not empty" in error("train", *SMALL, "--out", "run")
    assert (tmp_path / "run" / "model.npz").read_bytes() == b"precious"
    output("train", *SMALL, "--out", "run", "--force")
    assert (tmp_path / "run" / "model.npz").read_bytes() == (trained / "model.npz").read_bytes()


def test_an_interrupted_training_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    options = ("--set", "epochs=8", "--set", "network.hidden=[8]", "--threads", "1")
    process = subprocess.Popen(
        command("train", *options, "--out", "cut"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "generation" in line and " of " in line and "  train" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "interrupted; continue with: neurosim train --resume cut\n"
    assert not (tmp_path / "cut" / "model.npz").exists()
    assert "neurosim train --resume cut" in error("report", "cut")
    output("train", "--resume", "cut", "--threads", 2)
    output("train", *options, "--out", "whole")
    assert (tmp_path / "cut" / "model.npz").read_bytes() == (tmp_path / "whole" / "model.npz").read_bytes()


def test_an_interrupt_before_the_first_checkpoint_promises_nothing(tmp_path: Path) -> None:
    from neurosim.commands.training import interrupted_line
    from neurosim.runfolder import RunFolder

    assert "--resume" not in interrupted_line(RunFolder.create(tmp_path / "early"))


def test_resume_takes_no_other_configuration(trained: Path, tmp_path: Path) -> None:
    assert "leave out --set, --seed, --backend, --chip, --out, --from, --method, --force and --dry-run" in error(
        "train", "--resume", trained, "--seed", 2
    )
    assert "leave out" in error("train", "--resume", trained, "--backend", "reference")
    (tmp_path / "empty").mkdir()
    assert "no checkpoint" in error("train", "--resume", "empty")
    assert "does not exist" in error("train", "--resume", "absent")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["leters"], "unknown task 'leters'; tasks are digits"),
        (["digit"], "did you mean 'digits'"),
        (["absent.toml"], "cannot be read"),
        (["--set", "rule.pair=2"], "did you mean 'rule.pairs'"),
        (["--set", "chip=loihi3"], "unknown chip 'loihi3'"),
        (["--set", "energy_table=loihi"], "unknown energy table 'loihi'"),
        (["--set", "backend=simulatr"], "did you mean 'simulator'"),
        (["--backend", "simulatr"], "did you mean 'simulator'"),
        (["--seed", "-1"], "seed: -1 is out of range"),
        (["--method", "gradients"], "--method: unknown method 'gradients'; choose one of direct, response, scalar"),
        (["--method", "direct", "cartpole"], "task 'cartpole': is played and has no labels"),
        (["--method", "direct", "--set", "mode=stream"], "method 'direct' from batches"),
    ],
)
def test_wrong_configurations_are_one_line_and_leave_no_folder(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    shown = error("train", *arguments)
    assert words in shown
    assert shown.startswith("error: ")
    assert shown.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_training_by_gradients_without_torch_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    shown = error("train", "--method", "direct", "digits")
    assert shown == "error: method 'direct' needs torch, which is not installed; pip install 'neurosim-hal[torch]'\n"
    assert not (tmp_path / "runs").exists()


def test_a_method_begins_with_the_settings_of_its_task(tmp_path: Path) -> None:
    def planned(*arguments: object) -> Any:
        return read_json("train", *arguments, "--dry-run", "--set", "network.hidden=[8]")

    found = planned("--method", "direct", "digits", "--set", "direct.balance=0.1")
    assert (
        found["chip_cost"] is None
        and found["generations"] == found["config"]["epochs"] * 7185 // found["config"]["batch"]
    )
    config = found["config"]
    assert (config["method"], config["batch"], config["direct"]["balance"]) == ("direct", 64, 0.1)
    shown = output("train", "--method", "direct", "digits", "--dry-run")
    assert "gradients through time, off the chip, in the chip's integers" in shown and "fits on" not in shown
    for form in ("response", "scalar"):
        config = planned("--method", form, "digits")["config"]
        assert (config["method"], config["rule"]["form"], config["batch"]) == ("on-chip", form, 32)
    (tmp_path / "my.toml").write_text(
        "method = 'direct'\nepochs = 3\n[rule]\nform = 'scalar'\nfactor = 'random'\n", encoding="utf-8"
    )
    config = planned("--method", "response", "my.toml")["config"]
    assert (config["method"], config["rule"]["form"], config["rule"]["factor"], config["epochs"]) == (
        "on-chip",
        "response",
        "trace",
        3,
    )
    assert planned("my.toml")["config"]["method"] == "direct"


def test_traceback_is_shown_on_request() -> None:
    from neurosim.errors import ConfigError

    assert isinstance(call("--traceback", "train", "--seed", "-1").exception, ConfigError)


def test_usage_errors_exit_with_2() -> None:
    assert "No such option" in error("train", "--sed", 3, code=2)
    assert "No such command" in error("trian", code=2)
    assert "Missing argument" in error("inspect", code=2)


def test_run_shows_answer_spikes_and_operations(trained: Path) -> None:
    shown = output("run", trained, "--sample", 3)
    for words in ("Answers", "label", "Spikes", "neurons that fired", "synaptic operations"):
        assert words in shown


def test_run_is_the_same_on_both_backends_and_from_a_file(trained: Path, tmp_path: Path) -> None:
    from neurosim.tasks import load_task

    task = load_task("digits")
    model = load_model(trained / "model.npz")
    np.savez(tmp_path / "events.npz", spikes=task.test_events.take([3]).to_dense())
    n_steps = model.metadata["n_steps"]
    results = [
        read_json("run", trained, "--sample", 3),
        read_json("run", trained / "model.npz", "--sample", 3, "--backend", "reference"),
        read_json("run", trained, "--input", "events.npz", "--steps", n_steps),
    ]
    assert results[0]["readout"]["label"] == [int(task.test_labels[3])]
    assert results[2]["readout"]["label"] is None
    for result in results[1:]:
        assert result["spikes"] == results[0]["spikes"]
        assert result["counts"] == results[0]["counts"]
        assert result["readout"]["v"] == results[0]["readout"]["v"]


def test_run_refuses_input_that_it_cannot_use(trained: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", pixels=np.zeros(3))
    np.savez(tmp_path / "narrow.npz", spikes=np.zeros((1, 4, 3), np.uint8))
    np.save(tmp_path / "bare.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("no arrays")
    wrong = {
        "other.npz": "no array 'spikes'",
        "bare.npy": "not a .npz file of events",
        "absent.npz": "check the path",
        "text.npz": "not a .npz file",
        "narrow.npz": "the network has 64",
    }
    for name, words in wrong.items():
        assert words in error("run", trained, "--input", name)
    assert "give one" in error("run", trained, "--input", "other.npz", "--task", "digits")
    assert "give --sample 0..359" in error("run", trained, "--sample", 360)
    assert "unknown backend" in error("run", trained, "--backend", "chip")


def test_evaluate_agrees_with_training(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    found = read_json("evaluate", trained)
    assert {key: found[key] for key in ("accuracy", "n", "confusion")} == {
        key: metrics["test"][key] for key in ("accuracy", "n", "confusion")
    }
    assert found["counts"] == metrics["counts"]["per_inference"]


def test_evaluate_shows_accuracy_and_energy(trained: Path) -> None:
    shown = output("evaluate", trained, "--limit", 5, "--backend", "reference")
    for words in ("Result on backend reference", "of 5 test samples", "true class", "Energy per inference"):
        assert words in shown


def test_inspect_shows_what_a_model_holds(trained: Path) -> None:
    shown = output("inspect", trained)
    for words in ("task", "digits", "hidden->readout", "compartments", "fingerprint"):
        assert words in shown
    found = read_json("inspect", trained / "model.npz")
    assert found["metadata"]["task"] == "digits"
    assert [group["n"] for group in found["network"]["groups"]] == [64, 8, 10]


def test_models_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"not a model")
    assert "'absent.npz': does not exist" in error("inspect", "absent.npz")
    assert "'bad.npz'" in error("evaluate", "bad.npz")


def test_report_is_written_again_from_the_metrics(trained: Path) -> None:
    paths = [trained / "report.html", trained / "plots" / "energy.png"]
    for path in paths:
        path.unlink()
    assert output("report", trained).splitlines() == [*map(str, sorted_plots(trained)), str(paths[0])]
    before = [path.read_bytes() for path in paths]
    assert str(paths[0]) in read_json("report", trained)
    assert [path.read_bytes() for path in paths] == before


def test_backends_are_listed_with_their_state() -> None:
    shown = output("backends")
    assert "ready" in shown
    assert all(name in shown for name in BUILT_IN)
    assert read_json("backends")["simulator"]["available"] is True


def test_built_in_backends_need_no_installing() -> None:
    assert "nothing to install" in output("backends", "install", "reference")
    assert read_json("backends", "install", "simulator")["backend"] == "simulator"
    assert "did you mean 'simulator'" in error("backends", "install", "simulatr")


def test_chips_are_listed_and_shown() -> None:
    shown = output("chips")
    assert all(name in shown for name in chip_names())
    assert set(read_json("chips")) == set(chip_names())
    one = output("chips", "loihi1")
    assert all(words in one for words in ("compartments per core", "1,024", "kind", "source"))
    assert read_json("chips", "loihi1")["n_cores"]["value"] == 128
    assert "did you mean 'loihi1'" in error("chips", "loihi11")


def test_doctor_finds_this_machine_fit() -> None:
    assert "simulator and reference agree" in output("doctor")
    assert {check["state"] for check in read_json("doctor")} <= {"ok", "warn"}


@pytest.mark.skipif(os.name != "posix", reason="pipes are closed in another way")
def test_a_closed_pipe_is_quiet() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(command("chips", "loihi1"), stdout=write_end, stderr=subprocess.PIPE, text=True)
    os.close(write_end)
    assert done.stderr == ""


def test_characters_that_the_terminal_lacks_do_not_fail() -> None:
    done = subprocess.run(command("chips"), capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert b"loihi1" in done.stdout


def test_a_refused_run_leaves_no_folder(tmp_path: Path) -> None:
    said = error("train", "digits", "--set", "network.hidden=[5000]", "--out", tmp_path / "run")
    assert "needs 5000 axons in" in said
    assert not (tmp_path / "run").exists()
