"""Faults by hash: how many, where, what they hold, and that learning leaves them alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurosim.answers import Answer
from neurosim.backend import get_backend
from neurosim.compile_network import compile as compile_network
from neurosim.config import TrainConfig, override
from neurosim.errors import ConfigError, DataError
from neurosim.experiment import open_trainer, prepare_program
from neurosim.faults import (
    LARGEST_VTH,
    FaultRates,
    draw_faults,
    faulty_network,
    set_thresholds,
    stuck_weights,
    with_stuck_weights,
)
from neurosim.learning.build import run_steps
from neurosim.learning.opening import open_learner
from neurosim.network import LIF, Dense, Input, Network
from neurosim.program import Program
from neurosim.tasks import Task, load_task

ALL = FaultRates(zero=0.1, largest=0.05, present=0.1, dead=0.25, threshold_spread=0.2, seed=3)


def small(*extra: str) -> tuple[TrainConfig, Task, Program]:
    lines = ["network.hidden=[16]", "network.n_steps=4", "batch=5", "rule.warmup=2", "rule.step=4.0", "chip=unlimited"]
    config = override(TrainConfig(), [*lines, *extra])
    task = load_task("digits", n_steps=4, augment=False)
    return config, task, prepare_program(config, task)[0]


def big() -> Network:
    """A network with enough synapses and neurons for shares to be told from chance."""
    weights = 2 * (np.arange(1000 * 200).reshape(1000, 200) % 101 - 50)
    return Network(
        (Input("input", 200), LIF("hidden", 1000, 0, 0, 1000), LIF("readout", 5, 0, 0, LARGEST_VTH)),
        (Dense("input", "hidden", weights), Dense("hidden", "readout", np.full((5, 1000), 6), num_weight_bits=4)),
    )


def test_shares_are_met():
    faults = draw_faults(big(), FaultRates(zero=0.1, largest=0.05, present=0.2, dead=0.25, seed=7))
    stuck, weights = faults.stuck["input->hidden"], faults.weights["input->hidden"]
    assert stuck.mean() == pytest.approx(0.35, abs=0.005)
    given = np.asarray(big().connections[0].weights)
    assert (stuck & (weights == given) & (given != 0)).mean() == pytest.approx(0.2, abs=0.01)
    ends = weights[(weights != given) & (weights != 0)]
    assert set(np.unique(ends)) == {-256, 254}
    assert len(ends) / weights.size == pytest.approx(0.05, abs=0.005)
    assert (ends > 0).mean() == pytest.approx(0.5, abs=0.02)
    assert faults.dead["hidden"].mean() == pytest.approx(0.25, abs=0.05)
    assert (weights[~stuck] == given[~stuck]).all()


def test_the_end_of_a_range_is_that_of_the_format():
    faults = draw_faults(big(), FaultRates(largest=1.0))
    assert set(np.unique(faults.weights["hidden->readout"])) == {-256, 224}  # 4 bits: -8..7, times 32


def test_dead_neurons_send_nothing_and_never_fire():
    network = faulty_network(big(), draw_faults(big(), FaultRates(dead=0.5)))
    dead = np.asarray(network.group("hidden").vth) == LARGEST_VTH
    assert 0.4 < dead.mean() < 0.6
    assert (np.asarray(network.connections[1].weights)[:, dead] == 0).all()
    assert (np.asarray(network.connections[1].weights)[:, ~dead] != 0).all()


def test_thresholds_spread_as_asked_and_the_readout_keeps_its_own():
    faults = draw_faults(big(), FaultRates(threshold_spread=0.2))
    vth = faults.vth["hidden"]
    assert vth.mean() == pytest.approx(1000, abs=25)
    assert vth.std() == pytest.approx(200, abs=15)
    assert vth.min() > 0
    assert (faults.vth["readout"] == LARGEST_VTH).all()


def test_the_seed_names_the_chip():
    one, same, other = (draw_faults(big(), replace(ALL, seed=seed)) for seed in (1, 1, 2))
    assert (one.stuck["input->hidden"] == same.stuck["input->hidden"]).all()
    assert (one.vth["hidden"] == same.vth["hidden"]).all()
    both = (one.stuck["input->hidden"] & other.stuck["input->hidden"]).mean()
    assert both == pytest.approx(0.25**2, rel=0.3)  # as often as two unrelated chips


def test_no_faults_change_nothing():
    network = big()
    same = faulty_network(network, draw_faults(network, FaultRates()))
    assert [np.asarray(c.weights).tolist() for c in same.connections] == [
        np.asarray(c.weights).tolist() for c in network.connections
    ]
    assert [group.vth for group in same.groups[1:]] == [1000, LARGEST_VTH]


@pytest.mark.parametrize("backend", ["simulator", "reference"])
def test_learning_leaves_stuck_weights_where_they_are(backend):
    config, task, program = small(f"backend={backend}")
    faults = draw_faults(program.network, replace(ALL, threshold_spread=0.0, dead=0.0))
    program = compile_network(with_stuck_weights(program.network, faults), "unlimited")
    with open_trainer(config, program, task, threads=1) as trainer:
        before = trainer.weights
        trainer.stuck = stuck_weights(program, trainer.plan, faults)
        for _ in range(3):
            trainer.step()
        after, full, stuck = trainer.weights, trainer.full, trainer.stuck
        assert (full[stuck.where] == stuck.full).all()
    for name, where in faults.stuck.items():
        assert (after[name][where] == faults.weights[name][where]).all()
        assert (after[name][~where] != before[name][~where]).any()


def test_what_the_learner_evaluates_is_the_faulty_network():
    config, task, program = small()
    faults = draw_faults(program.network, ALL)
    program = compile_network(with_stuck_weights(program.network, faults), "unlimited")
    with open_trainer(config, program, task, threads=1) as trainer:
        trainer.stuck = stuck_weights(program, trainer.plan, faults)
        set_thresholds(trainer.learner, program, faults)
        for _ in range(3):
            trainer.step()
        learned, plan, scales, full = (
            trainer.program.network.with_weights(trainer.weights),
            trainer.plan,
            trainer.scales,
            trainer.full,
        )
        response = trainer.response
    broken = compile_network(faulty_network(learned, faults), "unlimited")
    with get_backend("simulator").open(broken) as runner:
        expected = Answer("readout").classes(runner.run(task.test_events, run_steps(config.network)))[:, 0]
    learner = open_learner("simulator", program, plan, task.test_events, task.test_labels, 1)
    learner.load(full)
    ids = np.arange(len(task.test_labels))
    healthy = learner.evaluate(ids, response, scales, 1).predictions
    set_thresholds(learner, program, faults)
    found = learner.evaluate(ids, response, scales, 1).predictions
    learner.close()
    assert (found == expected).all()
    assert (found != healthy).any()


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match=r"faults: zero 1.5 is outside 0..1"):
        FaultRates(zero=1.5)
    with pytest.raises(ConfigError, match=r"threshold_spread 0.4 is outside 0..0.3"):
        FaultRates(threshold_spread=0.4)
    with pytest.raises(ConfigError, match="more than all synapses"):
        FaultRates(zero=0.5, largest=0.5, present=0.5)
    config, task, program = small("backend=reference")
    with open_trainer(config, program, task, threads=1) as trainer, pytest.raises(DataError, match="has no lanes"):
        set_thresholds(trainer.learner, program, draw_faults(program.network, ALL))
