"""``neurosim compare``: what it shows, and the exit status that says whether all is equal."""

import json
from pathlib import Path
from typing import Any

import faulty_backend
import numpy as np
import pytest
from typer.testing import CliRunner

from neurosim.backend import BUILT_IN
from neurosim.chip import load_chip
from neurosim.cli import app
from neurosim.modelfile import Model, save_model
from neurosim.network import LIF, Dense, Input, Network


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small model and three samples of input, in a folder of their own; a backend with a fault."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    network = Network(
        [Input("in", 3), LIF("out", 2, 1000, 100, vth=60)], [Dense("in", "out", [[90, -20, 30], [10, 80, -60]])]
    )
    save_model("model.npz", Model(network, load_chip("loihi1")))
    np.savez("events.npz", spikes=np.random.default_rng(1).random((3, 20, 3)) < 0.4)
    monkeypatch.setitem(BUILT_IN, "faulty", "faulty_backend:FaultyBackend")
    monkeypatch.setitem(BUILT_IN, "silent", "faulty_backend:SilentBackend")


COMPARE = ("compare", "model.npz", "--input", "events.npz")


def test_equal_backends_end_with_status_0() -> None:
    result = call(*COMPARE)
    assert result.exit_code == 0, result.output
    assert "simulator and reference: equal" in result.stdout
    assert "of 3 samples of 20 steps are equal" in result.stdout


def test_a_fault_is_found_named_and_ends_with_status_1() -> None:
    result = call(*COMPARE, "--backends", "simulator,faulty")
    assert result.exit_code == 1
    assert "simulator and faulty: DIFFERENT" in result.stdout
    where = f"first in step {faulty_backend.STEP} of sample {faulty_backend.SAMPLE}: group 'out', neuron 1, v: simulator has"
    assert where in result.stdout
    assert result.stdout.count("  1 of ") == 1, "one number of all differs"


def test_the_sample_shown_is_that_of_the_file() -> None:
    """The second sample that is run is the third of the file."""
    chosen = (*COMPARE, "--backends", "reference,faulty", "--sample", 1, "--samples", 2)
    assert f"first in step {faulty_backend.STEP} of sample 2: " in call(*chosen).stdout
    found = json.loads(call(*chosen, "--json").stdout)
    assert found["comparisons"][0]["first"]["sample"] == 2
    assert found["run"]["first_sample"] == 1


def test_json_holds_the_whole_comparison() -> None:
    result = call(*COMPARE, "--backends", "reference,simulator,faulty", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["equal"] is False
    assert found["run"] == {"first_sample": 0, "n_samples": 3, "n_steps": 20}
    assert [comparison["equal"] for comparison in found["comparisons"]] == [True, False]
    first = found["comparisons"][1]["first"]
    assert first["values"][1] - first["values"][0] == faulty_backend.ADDED


def test_what_a_backend_does_not_show_is_said() -> None:
    result = call(*COMPARE, "--backends", "reference,silent")
    assert result.exit_code == 0
    assert "not compared, since only one of them shows it: u of out, v of out" in result.stdout


def test_silence_is_not_praised() -> None:
    np.savez("events.npz", spikes=np.zeros((1, 5, 3), np.int8))
    result = call(*COMPARE, "--backends", "reference,silent")
    assert result.exit_code == 0
    assert "nothing fired in 1 sample of 5 steps, and no state is shown by both" in result.stdout


def test_steps_shorten_the_run() -> None:
    """The fault lies in the step after the last one."""
    result = call(*COMPARE, "--backends", "reference,faulty", "--steps", faulty_backend.STEP)
    assert result.exit_code == 0
    assert f"of 3 samples of {faulty_backend.STEP} steps are equal" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--backends", "simulator"), "need two or more different ones"),
        (("--backends", "simulator,simulater"), "did you mean 'simulator'?"),
        (("--task", "digits"), "--input and --task"),
        (("--sample", 3), "file 'events.npz': no sample 3; give --sample 0..2"),
        (("--sample", 2, "--samples", 2), "samples 2..3 asked for, there are 3; give --samples 1..1"),
    ],
)
def test_errors_are_one_line(arguments: tuple[object, ...], words: str) -> None:
    result = call(*COMPARE, *arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_model_without_a_task_asks_for_input() -> None:
    result = call("compare", "model.npz")
    assert result.exit_code == 1
    assert "--task: the model does not say which task it was trained for" in result.stderr
