"""``neurosim run`` and ``compare`` on models other than those that training makes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurosim.chip import load_chip
from neurosim.cli import app
from neurosim.modelfile import Model, save_model
from neurosim.network import Dense, Input, Network
from neurosim.neurons import Sigma


def output(*arguments: object) -> Any:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neurons that have no voltage, and input of messages with values."""
    monkeypatch.chdir(tmp_path)
    network = Network([Input("in", 2), Sigma("sum", 1)], [Dense("in", "sum", [[2, -4]], num_message_bits=8)])
    save_model("model.npz", Model(network, load_chip("unlimited")))
    np.savez("events.npz", spikes=np.array([[[3, 0], [0, 5], [0, 0]]]))


def test_model_without_voltages_shows_spikes_and_no_answer() -> None:
    shown = output("run", "model.npz", "--input", "events.npz")
    assert "Answers" not in shown
    assert "sum" in shown
    found = json.loads(output("run", "model.npz", "--input", "events.npz", "--json"))
    assert found["readout"] is None
    assert found["spikes"]["sum"]["value"] == [2 * 3, 2 * 3 - 4 * 5]
    assert found["spikes"]["sum"]["step"] == [1, 2]


def test_messages_with_values_are_compared() -> None:
    found = json.loads(output("compare", "model.npz", "--input", "events.npz", "--json"))
    assert found["equal"]
    assert {"group": "sum", "quantity": "sigma", "n_compared": 3, "n_different": 0} in found["comparisons"][0][
        "compared"
    ]
