"""Settings of the update reach the weights: schedules, significance, momentum, biases and thresholds; resume to the bit."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosim.arrayfile import pack_arrays, unpack_arrays
from neurosim.config import RuleConfig, TrainConfig, example_toml, override
from neurosim.errors import ConfigError, ModelFileError
from neurosim.experiment import prepare_program, train_model
from neurosim.learning.build import READOUT, run_steps
from neurosim.learning.generation import Step
from neurosim.learning.trainer import Generation, Trainer
from neurosim.modelfile import load_model
from neurosim.network import LIF
from neurosim.runfolder import RunFolder
from neurosim.stepsize import SCHEDULES, significance, step_size
from neurosim.tasks import Task, load_task

RULES = {
    "significance": ("rule.update=significance", "rule.chance=0.5"),
    "momentum": ("rule.momentum=4",),
    "neurons": ("rule.biases=true", "rule.thresholds=true"),
    "momentum, neurons": ("rule.momentum=3", "rule.biases=true", "rule.thresholds=true"),
    "scalar": (
        "rule.form=scalar",
        "rule.factor=random",
        "rule.pairs=2",
        "rule.update=significance",
        "rule.biases=true",
    ),
}


@functools.cache
def digits() -> Task:
    return load_task("digits", n_steps=4, augment=False)


def small(*extra: str) -> TrainConfig:
    lines = ["network.hidden=[8]", "network.n_steps=4", "batch=3", "rule.warmup=2", "chip=unlimited"]
    return override(TrainConfig(), [*lines, *extra])


def open_trainer(config: TrainConfig, backend: str = "simulator", threads: int = 1, n_generations: int = 40) -> Trainer:
    task, ids = digits(), np.arange(60)
    return Trainer(
        prepare_program(config, task)[0], READOUT, config.rule, task.train_events.take(ids), task.train_labels[ids],
        n_steps=run_steps(config.network), n_generations=n_generations, batch=config.batch, seed=config.seed,
        backend=backend, threads=threads,
    )  # fmt: skip


def trained(config: TrainConfig, n: int = 4, **options: Any) -> tuple[bytes, list[Generation]]:
    with open_trainer(config, **options) as trainer:
        shown = [trainer.step() for _ in range(n)]
        return pack_arrays(*trainer.state()), shown


@pytest.mark.parametrize("rule", RULES)
def test_threads_and_backends_change_no_bit(rule: str) -> None:
    config = small(*RULES[rule])
    expected = trained(config)
    assert trained(config, threads=3) == expected
    assert trained(config, backend="reference") == expected
    assert trained(small()) != expected


@pytest.mark.parametrize("rule", RULES)
def test_resumed_training_continues_to_the_bit(rule: str) -> None:
    config = small(*RULES[rule])
    expected = trained(config, 6)[0]
    with open_trainer(config) as first, open_trainer(config) as second:
        for _ in range(3):
            first.step()
        second.restore(*unpack_arrays(pack_arrays(*first.state()), Path("state")))
        for _ in range(3):
            second.step()
        assert pack_arrays(*second.state()) == expected


def test_averages_are_part_of_a_checkpoint() -> None:
    with open_trainer(small("rule.momentum=4")) as trainer, open_trainer(small("rule.row_step=false")) as plain:
        for _ in range(3):
            trainer.step()
        arrays = trainer.state()[1]
        assert arrays["average"].dtype == np.int16 and arrays["average"].any()
        assert "average" not in plain.state()[1]
        with pytest.raises(ModelFileError, match="average does not fit this rule"):
            trainer.restore(*plain.state())
        assert (trainer.rule.tag_bits, plain.rule.tag_bits) == (24, 8)


class Steps:
    """A learner that notes the steps it is given."""

    def __init__(self, trainer: Trainer) -> None:
        self.inner, self.steps = trainer.learner, list[Step]()
        trainer.learner = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def learn(self, *given: Any) -> Any:
        self.steps += given[-1]
        return self.inner.learn(*given)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_schedule_sets_the_step_of_each_generation(schedule: str) -> None:
    with open_trainer(small(f"rule.schedule={schedule}", "rule.halvings=2"), n_generations=6) as trainer:
        seen = Steps(trainer)
        for _ in range(6):
            trainer.step()
        assert [step.size for step in seen.steps] == [step_size(schedule, g, 6, 2) for g in range(6)]


def test_steps_by_sign_carry_their_size_and_the_share_that_may_move() -> None:
    with open_trainer(
        small("rule.update=significance", "rule.chance=0.25", "rule.step=0.75"), n_generations=4
    ) as trainer:
        seen = Steps(trainer)
        for _ in range(4):
            trainer.step()
        assert [step.size for step in seen.steps] == [192 * size for size in (256, 192, 128, 64)]
        assert seen.steps[0].z == significance(1 << 30)
        assert [step.z for step in seen.steps] == [significance((1 << 30) * 200 // (3 * g + 200)) for g in range(4)]


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("rule", ["rounding", "significance", "momentum"])
def test_every_format_trains(rule: str, bits: int) -> None:
    """Weights move, stay in their format, and the label's likelihood rises."""
    settings = {"rounding": (), "significance": ("rule.update=significance",), "momentum": ("rule.momentum=3",)}[rule]
    config = small(f"network.weight_bits={bits}", "batch=20", "rule.step=2.0", *settings)
    with open_trainer(config) as trainer:
        shown = [trainer.step() for _ in range(30)]
        weights = trainer.weights.values()
    likelihood = [each.likelihood for each in shown]
    assert np.mean(likelihood[-8:]) > np.mean(likelihood[:8]) + 0.2
    assert any(each.moved > 0 for each in shown)
    for each in weights:
        assert not np.any(each % (1 << (9 - bits))) and -256 <= each.min() < each.max() <= 255


def test_a_model_keeps_the_biases_and_thresholds_it_learned(tmp_path: Path) -> None:
    config = override(
        TrainConfig(),
        ["epochs=1", "augment=false", "network.hidden=[16]", "chip=unlimited", "rule.biases=true", "rule.thresholds=true",
         "evaluate_every=44"],
    )  # fmt: skip
    metrics = train_model(config, RunFolder.create(tmp_path / "run"), threads=1)
    model = load_model(tmp_path / "run" / "model.npz")
    hidden = model.network.group("hidden")
    assert isinstance(hidden, LIF)
    assert len(np.unique(hidden.vth)) > 1 and len(np.unique(hidden.bias)) > 1
    history = metrics["training"]["history"]
    assert history[-1]["test_accuracy"] == metrics["test"]["accuracy"] > 0.5
    assert {"ties", "moved"} <= history[-1].keys()


def test_ties_are_reported_where_fitness_is_compared() -> None:
    assert all(0 <= each.ties <= 1 for each in trained(small(*RULES["scalar"]))[1])
    with open_trainer(small("rule.form=scalar", "rule.perturbation=0.00390625", "network.threshold=1000.0")) as trainer:
        assert trainer.step().ties > 0  # nothing fires: both sides are alike
    assert {each.ties for each in trained(small())[1]} == {0.0}


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="rule.update: 'significance' does not go with rule.momentum 4; change one"):
        RuleConfig(update="significance", momentum=4)
    with pytest.raises(ConfigError, match="'significance' does not go with rule.factor 'full'; change one"):
        RuleConfig(form="scalar", factor="full", update="significance")
    with pytest.raises(ConfigError, match="one bit and both signs is -256 or 0, which cannot excite, give one in 2..8"):
        override(TrainConfig(), ["network.weight_bits=1"])


def test_thresholds_that_a_core_cannot_hold_are_refused_before_training() -> None:
    with pytest.raises(ConfigError, match="chip 'loihi1' holds 16 different ones; turn rule.thresholds off"):
        open_trainer(small("rule.thresholds=true", "chip=loihi1", "network.hidden=[32]"))


def test_the_example_explains_every_setting_of_the_update() -> None:
    text = example_toml()
    for key in ("update", "chance", "momentum", "schedule", "halvings", "biases", "thresholds"):
        assert f"\n{key} = " in text
