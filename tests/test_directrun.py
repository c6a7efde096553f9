"""Training by gradients as a user meets it, without torch: what is refused, what is planned, what comes onto the chip."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurosim.chip import load_chip
from neurosim.config import TrainConfig, override
from neurosim.directrun import NEURONS, Predictions, agreement, check_direct, check_torch, plain_histograms, program_of
from neurosim.episoderun import train_controller
from neurosim.errors import ConfigError
from neurosim.experiment import next_steps, plan_training
from neurosim.network import Connection, CubaLIF, Input, Network
from neurosim.quantize import quantize
from neurosim.runfolder import RunFolder
from neurosim.tasks import TASKS, task_settings

DIRECT = override(TrainConfig(), ["method=direct", "augment=false", "network.n_steps=4", "network.hidden=[8]"])
NETWORK = Network(
    [Input("in", 2), CubaLIF("out", 1, tau_mem=8e-3)], [Connection("in", "out", [[0.5, -0.25]], plastic=True)]
)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["task=cartpole"], "task 'cartpole': is played and has no labels"),
        (["mode=stream"], "mode: 'stream' learns after every sample.*set mode=batch"),
        (["rule.form=scalar", "rule.fitness=trace"], "rule.fitness: 'trace' has no gradient here.*set rule.fitness=likelihood"),
        (["network.neuron=atrlif"], "network.neuron: 'atrlif' has no gradient here, method 'direct' trains lif, multispike, ternary"),
    ],
)  # fmt: skip
def test_what_has_no_gradient_is_refused_with_the_remedy(settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_direct(override(DIRECT, settings))


def test_a_task_that_is_played_is_refused_from_python_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="task 'cartpole': is played and has no labels"):
        train_controller(override(DIRECT, ["task=cartpole"]), RunFolder(tmp_path / "run"))


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_settings_that_gradients_can_be_used_with(name: str) -> None:
    config = override(dataclasses.replace(TrainConfig(), task=name, method="direct"), task_settings(name, "direct"))
    check_direct(config)
    assert config.network.neuron in NEURONS


def test_without_torch_one_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ConfigError, match=r"^method 'direct' needs torch, which is not installed; pip install 'neurosim-hal\[torch\]'$"
    ):
        check_torch()


def test_no_torch_is_loaded_to_plan_a_run() -> None:
    script = (
        "import sys, neurosim.directrun, neurosim.experiment, neurosim.figures.direct; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_plan_shows_network_and_chip_and_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    start = plan_training(DIRECT)
    assert start.cost is None and start.n_generations == 32 * 1437 // 32
    assert start.program.network.group("hidden").n == 8 and start.program.chip.name == "loihi1"
    assert start.program.scales["group/hidden"] > 0


def test_a_chip_that_cannot_learn_gets_weights_that_stay() -> None:
    learns, fixed = (dataclasses.replace(load_chip("unlimited"), tag_bits=bits) for bits in (None, 0))
    quantized = quantize(NETWORK)
    assert program_of(quantized, learns).network.connection("in->out").plastic
    program = program_of(quantized, fixed)
    assert not program.network.connection("in->out").plastic
    assert program.scales == quantized.scales
    np.testing.assert_array_equal(
        program.network.connection("in->out").weights, quantized.network.connection("in->out").weights
    )


def test_agreement_compares_the_chip_with_what_was_trained() -> None:
    seen, floats = np.array([1, 2, 3, 0]), np.array([1, 2, 0, 1])
    found = agreement(Predictions(seen, floats), [1, 2, 3, 1], np.array([1, 0, 0, 1]))
    assert found == {"chip": 0.75, "floats": 0.75, "float_accuracy": 0.75}
    assert agreement(Predictions(None, floats), [1, 2, 3, 1], np.array([1, 0, 0, 1]))["chip"] is None


def test_histograms_are_kept_as_plain_numbers() -> None:
    found = plain_histograms({"hidden": (np.linspace(-1, 1, 3), np.array([4, 7]))})
    assert found == {"hidden": {"edges": [-1.0, 0.0, 1.0], "counts": [4, 7]}}
    assert {type(n) for n in found["hidden"]["counts"]} == {int}


def test_next_steps_name_the_way_on_with_its_chip_and_steps(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    steps = next_steps(DIRECT, folder)
    learn_on = f"neurosim train --method response --from {folder.path} --set network.n_steps=4 digits   # learn on, on the chip"
    assert learn_on in steps and not any("rule.form=scalar" in step for step in steps)
    config = override(
        DIRECT, ["chip=loihi2", "network.n_steps=16", "network.neuron=multispike", "direct.learn_width=step"]
    )
    steps = next_steps(config, folder)
    assert (
        f"neurosim train --method response --from {folder.path} --chip loihi2 digits   # learn on, on the chip" in steps
    )
    assert not any("multispike" in step or "learn_width" in step for step in steps)
    assert "--method response" not in "".join(next_steps(override(DIRECT, ["method=on-chip"]), folder))
