"""A faulty chip in use: what learns there stays broken, kernels and twin agree, models remember what they were."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosim import experiment
from neurosim.answers import Answer
from neurosim.backend import get_backend
from neurosim.codes import LIKELIHOOD, STAT_TOTALS
from neurosim.compile_network import compile as compile_network
from neurosim.config import RuleConfig, TrainConfig, override
from neurosim.episoderun import train_controller
from neurosim.errors import ConfigError, DataError, FeatureError, ModelFileError
from neurosim.events import events_from_dense
from neurosim.experiment import (
    evaluate_faulty,
    evaluate_model,
    open_trainer,
    plan_training,
    prepare_program,
    train_model,
)
from neurosim.faultconfig import FaultConfig
from neurosim.faults import LARGEST_VTH, draw_faults, faulty_network
from neurosim.faultychip import break_program, faulty_model, healthy_model, won_back
from neurosim.learning.build import run_steps
from neurosim.learning.trainer import COOLING_SAMPLES, Trainer
from neurosim.learning.twin import TwinUpdates
from neurosim.learnplan import perturbation_size
from neurosim.modelfile import Model, load_model, save_model
from neurosim.network import LIF, Dense, Input, Network, Sparse
from neurosim.neurons import TernaryLIF
from neurosim.program import Program
from neurosim.runfolder import RunFolder
from neurosim.tasks import Task, load_task

ALL = ["faults.stuck_zero=0.1", "faults.stuck_largest=0.05", "faults.stuck_present=0.1", "faults.dead=0.2",
       "faults.threshold_spread=0.2", "faults.seed=3"]  # fmt: skip
SMALL = override(
    TrainConfig(),
    [
        "network.hidden=[16]",
        "network.gain=3",
        "network.n_steps=4",
        "batch=5",
        "rule.warmup=2",
        "rule.step=4.0",
        "augment=false",
    ],
)
TASK = load_task("digits", n_steps=4, augment=False)
#: Networks that learn by all paths of the learner: layer by layer, step by step, and by model.
NETWORKS: dict[str, list[str]] = {
    "dense": [],
    "scalar": ["rule.form=scalar", "rule.pairs=2"],
    "biases": ["rule.biases=true"],
    "circles": ["network.recurrent=true"],
    "convolution": ["network.convolutions=[\"3c3s2p1\"]"],
    "current": ["network.tau_syn=0.004", "rule.form=scalar"],
    "ternary": ["network.neuron=ternary", "chip=loihi2"],
    "multispike": ["network.neuron=multispike", "network.signed=true", "network.max_spikes=3", "chip=loihi2", "rule.form=scalar"],
    "unsigned": ["network.neuron=multispike", "network.signed=false", "chip=loihi2"],
    "all kinds": ["network.convolutions=[\"3c3s2\"]", "network.neuron=multispike", "network.hidden=[8, 6]", "chip=loihi2"],
}  # fmt: skip


def learned(config: TrainConfig, n: int = 3) -> tuple[Trainer, Program]:
    """Learn a few generations; return the closed trainer and the healthy program."""
    program, _ = prepare_program(config, TASK)
    with open_trainer(config, program, TASK, threads=1) as trainer:
        for _ in range(n):
            trainer.step()
    return trainer, program


@pytest.mark.parametrize("lines", NETWORKS.values(), ids=NETWORKS)
def test_kernels_and_twin_learn_the_same_on_a_faulty_chip(lines: list[str]) -> None:
    config = override(SMALL, [*lines, *ALL])
    found, healthy = learned(config, 2)
    twin, _ = learned(override(config, ["backend=reference"]), 2)
    (header, arrays), (other, expected) = found.state(), twin.state()
    assert header == other
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name], name)
    faults = draw_faults(healthy.network, config.faults)
    assert faults.n_dead > 0
    for name, stuck in faults.stuck.items():
        before, after = (np.asarray(w) for w in (faults.weights[name], found.weights[name]))
        assert stuck.any()
        assert (after[stuck] == before[stuck]).all()
        assert (after[~stuck] != before[~stuck]).any()
    for name, group in faults.groups.items():
        assert (np.asarray(found.network.group(name).vth) == np.asarray(group.vth)).all()


@pytest.mark.parametrize("lines", NETWORKS.values(), ids=NETWORKS)
def test_what_the_learner_evaluates_is_what_the_saved_network_does(lines: list[str]) -> None:
    config = override(SMALL, [*lines, *ALL])
    program, _ = prepare_program(config, TASK)
    with open_trainer(config, program, TASK, threads=1) as trainer:
        for _ in range(3):
            trainer.step()
        ids = np.arange(200)
        found = trainer.learner.evaluate(ids, trainer.response, trainer.scales, 1).predictions
        saved = compile_network(trainer.network, trainer.program.chip)
    with get_backend("simulator").open(saved) as runner:
        result = runner.run(TASK.train_events.take(ids), run_steps(config.network))
    assert (found == Answer("readout").classes(result)[:, 0]).all()
    dead = draw_faults(program.network, config.faults).dead
    probed = trainer.network.with_probes(experiment.Probe(name) for name in dead)
    with get_backend("simulator").open(compile_network(probed, trainer.program.chip)) as runner:
        spikes = runner.run(TASK.train_events.take(ids), run_steps(config.network)).spikes
    for name, silent in dead.items():
        assert not silent[spikes[name].neuron].any()
        assert len(spikes[name].neuron) > 0


def test_sparse_synapses_that_are_stuck_stay_with_kernels_and_twin() -> None:
    row, col = np.indices((12, 20)).reshape(2, -1)
    chosen = (3 * row + col) % 4 != 0
    data = 2 * ((np.arange(chosen.sum()) * 37) % 61 - 20)
    network = Network(
        (Input("input", 20), LIF("hidden", 12, 0, 0, 60), LIF("readout", 3, 0, 0, LARGEST_VTH)),
        (
            Sparse("input", "hidden", (12, 20), row[chosen], col[chosen], data, plastic=True),
            Dense("hidden", "readout", 4 * (np.arange(36).reshape(3, 12) % 9 - 4), plastic=True),
        ),
    )
    events = events_from_dense((np.arange(30 * 4 * 20).reshape(30, 4, 20) * 2654435761 % 7) < 2)
    rates = FaultConfig(stuck_zero=0.2, stuck_largest=0.1, dead=0.3, threshold_spread=0.2, seed=2)
    broken, faults = break_program(compile_network(network, "loihi2"), rates), draw_faults(network, rates)
    found = []
    for backend in ("simulator", "reference"):
        with Trainer(
            broken.program, "readout", RuleConfig(step=8.0, warmup=1), events, np.arange(30) % 3, n_steps=6,
            n_generations=4, batch=6, seed=1, backend=backend, stuck=broken.stuck, actual=broken.groups,
        ) as trainer:  # fmt: skip
            for _ in range(4):
                trainer.step()
            found.append(trainer.weights)
    for name, stuck in faults.stuck.items():
        assert 0 < stuck.sum() < stuck.size
        assert (found[0][name] == found[1][name]).all()
        assert (found[0][name][stuck] == faults.weights[name][stuck]).all()
        assert (found[0][name][~stuck] != faults.weights[name][~stuck]).any()


def leave_pictures_out(patch: pytest.MonkeyPatch) -> None:
    """Plots and report take seconds to draw, and these tests are about the model."""
    patch.setattr(experiment, "save_plots", lambda metrics, folder: None)
    patch.setattr(experiment, "write_report", lambda metrics, path: None)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_pictures_out(monkeypatch)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model file of a run on a healthy chip."""
    folder = RunFolder.create(tmp_path_factory.mktemp("healthy") / "run")
    with pytest.MonkeyPatch.context() as patch:
        leave_pictures_out(patch)
        train_model(override(SMALL, ["epochs=4", "batch=32", "rule.step=0.5"]), folder, threads=1)
    return folder.model_path


def started(path: Path, *lines: str) -> TrainConfig:
    given = [f"start={path}", "epochs=1", "batch=32", "rule.step=0.125", "evaluate_every=20", "checkpoint_every=10"]
    return override(SMALL, [*given, *ALL, *lines])


def test_a_run_says_what_was_lost_and_won_back(trained: Path, tmp_path: Path, no_pictures: None) -> None:
    config = started(trained)
    folder = RunFolder.create(tmp_path / "run")
    metrics = train_model(config, folder, threads=1)
    found, model = metrics["faults"], load_model(folder.model_path)
    assert found["healthy"] == evaluate_model(load_model(trained), TASK, threads=1)["accuracy"]
    option = evaluate_faulty(load_model(trained), TASK, config.faults, threads=1)
    assert found["before"] == option["accuracy"] == option["faults"]["before"]
    assert option["faults"]["healthy"] == found["healthy"]
    assert found["after"] == metrics["test"]["accuracy"] == evaluate_model(model, TASK, threads=1)["accuracy"]
    assert found["before"] < found["after"] < found["healthy"]
    lost = found["healthy"] - found["before"]
    assert found["won_back"] == pytest.approx((found["after"] - found["before"]) / lost)
    assert metrics["training"]["history"][-1]["test_accuracy"] == found["after"]
    faults = draw_faults(load_model(trained).network, config.faults)
    assert (found["stuck"], found["dead"], found["neurons"]) == (faults.n_stuck, faults.n_dead, 16)
    assert (np.asarray(model.network.group("hidden").vth) == faults.groups["hidden"].vth).all()
    for name, stuck in faults.stuck.items():
        assert (np.asarray(model.network.connection(name).weights)[stuck] == faults.weights[name][stuck]).all()
    assert model.metadata["faults"]["config"] == dataclasses.asdict(config.faults)


def test_a_run_from_random_weights_has_nothing_to_lose(tmp_path: Path, no_pictures: None) -> None:
    metrics = train_model(
        override(SMALL, ["epochs=1", "batch=64", *ALL]), RunFolder.create(tmp_path / "run"), threads=1
    )
    assert metrics["faults"]["healthy"] is metrics["faults"]["before"] is metrics["faults"]["won_back"] is None
    assert metrics["faults"]["after"] == metrics["test"]["accuracy"]


def test_a_resumed_run_is_the_same(trained: Path, tmp_path: Path, no_pictures: None) -> None:
    whole = RunFolder.create(tmp_path / "whole")
    train_model(started(trained), whole, threads=1)
    again = tmp_path / "again"
    shutil.copytree(whole.checkpoints, again / "checkpoints")
    for path in (again / "checkpoints").iterdir():
        if "gen-000020" not in path.name:
            path.unlink()
    train_model(started(trained), RunFolder.open(again), threads=2, resume=True)
    assert (again / "model.npz").read_bytes() == whole.model_path.read_bytes()
    with pytest.raises(ConfigError, match=r"trained with faults.dead = 0.2, now 0.1"):
        train_model(started(trained, "faults.dead=0.1"), RunFolder.open(again), resume=True)


def test_a_model_of_a_faulty_chip_moves_to_another(trained: Path, tmp_path: Path, no_pictures: None) -> None:
    folder = RunFolder.create(tmp_path / "run")
    train_model(started(trained), folder, threads=1)
    model, first = load_model(folder.model_path), load_model(trained)
    whole = healthy_model(model)
    assert whole.network.group("hidden").vth == first.network.group("hidden").vth
    assert "faults" not in whole.metadata
    same = faulty_model(model, started(trained).faults)  # the same chip again
    assert (np.asarray(same.network.group("hidden").vth) == np.asarray(model.network.group("hidden").vth)).all()
    for connection in same.network.connections:
        assert (np.asarray(connection.weights) == np.asarray(model.network.connection(connection.name).weights)).all()
    on = started(folder.model_path)
    config = dataclasses.replace(on, faults=FaultConfig())
    program, _ = prepare_program(config, TASK)
    assert program.network.group("hidden").vth == first.network.group("hidden").vth


def test_metadata_that_do_not_fit_are_refused(trained: Path, tmp_path: Path) -> None:
    model = faulty_model(load_model(trained), FaultConfig(dead=0.5))
    for wrong in ({}, {"thresholds": []}, {"thresholds": {"nobody": {"vth": 1}}}, {"thresholds": {"hidden": {"du": 1}}},
                  {"thresholds": {"hidden": {"vth": "high"}}}, {"thresholds": {"input": {"vth": 1}}}):  # fmt: skip
        broken = dataclasses.replace(model, metadata=model.metadata | {"faults": wrong})
        with pytest.raises(ModelFileError, match="says of faults does not go with its network; train anew"):
            healthy_model(broken)
    path = tmp_path / "model.npz"
    save_model(path, model)
    assert (np.asarray(load_model(path).network.group("hidden").vth) == model.network.group("hidden").vth).all()
    assert load_model(path).chip.threshold_configs_per_core is None
    assert load_model(path).chip.provenance["threshold_configs_per_core"].kind == "unlimited"


def test_faults_without_rates_break_nothing(trained: Path) -> None:
    model = load_model(trained)
    same = faulty_model(model, FaultConfig(seed=9))
    assert same.network.group("hidden").vth == model.network.group("hidden").vth
    for connection in same.network.connections:
        assert (np.asarray(connection.weights) == np.asarray(model.network.connection(connection.name).weights)).all()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["method=direct"], "faults: method 'direct' trains off the chip, .* neurosim train --method response --from"),
        (["rule.thresholds=true"], "rule.thresholds: on a chip whose thresholds are broken .* none are learned"),
        (["network.neuron=atrlif", "chip=loihi2"], "ATRLIF has no threshold of the LIF family"),
    ],
)  # fmt: skip
def test_what_cannot_learn_on_a_faulty_chip_is_refused(lines: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        plan_training(override(SMALL, [*ALL, *lines]))


def test_a_player_is_refused(tmp_path: Path) -> None:
    config = override(TrainConfig(), ["task=cartpole", "faults.dead=0.1", "rule.form=scalar"])
    with pytest.raises(ConfigError, match="'cartpole' is played, and players learn on healthy chips only"):
        train_controller(config, RunFolder.create(tmp_path / "run"))


def test_learners_without_thresholds_of_their_own_refuse_them() -> None:
    class Elsewhere(TwinUpdates):
        def evaluate(self, *given: Any) -> Any:
            raise AssertionError

    with pytest.raises(FeatureError, match="Elsewhere: runs neurons with the program's thresholds only.*of hidden"):
        Elsewhere().set_thresholds({"hidden": LIF("hidden", 2)})
    config = override(SMALL, ["network.neuron=ternary", "chip=loihi2"])
    program, _ = prepare_program(config, TASK)
    with (
        open_trainer(config, program, TASK, threads=1) as trainer,
        pytest.raises(DataError, match="whose thresholds are the program's; compile it"),
    ):
        trainer.learner.set_thresholds({})


def test_the_perturbation_is_measured_by_who_can_fire() -> None:
    assert perturbation_size(LIF("a", 3, vth=np.array([100, LARGEST_VTH, 200]))) == 150 << 6
    assert perturbation_size(LIF("a", 3, vth=LARGEST_VTH)) == LARGEST_VTH << 6
    ternary = TernaryLIF("a", 2, vth_hi=np.array([10, LARGEST_VTH]), vth_lo=np.array([-20, -LARGEST_VTH - 1]))
    assert perturbation_size(ternary) == 15 << 6


def test_the_share_won_back_needs_a_loss() -> None:
    assert won_back(0.9, 0.8, 0.89) == pytest.approx(0.9)
    assert won_back(0.9, 0.899, 0.9) is None


def test_a_faulty_network_of_a_small_chip_fits_although_thresholds_differ(trained: Path) -> None:
    model = load_model(trained)
    assert model.chip.threshold_configs_per_core == 16
    broken = faulty_model(Model(model.network, model.chip, metadata=model.metadata), FaultConfig(threshold_spread=0.3))
    compile_network(broken.network, broken.chip)
    faults = draw_faults(model.network, FaultConfig(threshold_spread=0.3))
    assert len(np.unique(np.asarray(faulty_network(model.network, faults).group("hidden").vth))) > 4


def test_tasks_are_what_runs_learn(trained: Path) -> None:
    assert isinstance(TASK, Task)
    assert plan_training(started(trained)).program.chip.threshold_configs_per_core is None


def test_a_trained_readout_stays_as_sure_as_it_may_be(trained: Path) -> None:
    config = dataclasses.replace(started(trained), faults=FaultConfig())
    program, _ = prepare_program(config, TASK)
    with (
        open_trainer(config, program, TASK, threads=1) as trainer,
        open_trainer(override(config, ["start="]), program, TASK, threads=1) as anew,
        open_trainer(override(config, ["backend=reference"]), program, TASK, threads=1) as twin,
    ):
        for each in (trainer, anew, twin):
            each.prepare()
        assert trainer.scales.temperature < anew.scales.temperature  # of a readout that knows nothing
        assert twin.scales.temperature == trainer.scales.temperature
        ids = trainer.samples_of(0)
        ids = np.concatenate([trainer.samples_of(g) for g in range(COOLING_SAMPLES // len(ids))])
        likely = [
            int(trainer.learner.evaluate(ids, trainer.response, trainer.scales._replace(temperature=t), 1).statistics[STAT_TOTALS, LIKELIHOOD])
            for t in range(anew.scales.temperature + 1)
        ]  # fmt: skip
    assert trainer.scales.temperature == int(np.argmax(likely))


def test_learning_on_does_not_unlearn(trained: Path, tmp_path: Path, no_pictures: None) -> None:
    config = dataclasses.replace(started(trained, "rule.step=0.03125"), faults=FaultConfig())
    metrics = train_model(config, RunFolder.create(tmp_path / "run"), threads=1)
    assert "faults" not in metrics
    assert metrics["test"]["accuracy"] >= evaluate_model(load_model(trained), TASK, threads=1)["accuracy"] - 0.005
