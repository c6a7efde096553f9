"""Learning from the reward of episodes: it learns, resumes to the bit, and refuses what it cannot do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from realdata import INTERPRETED

from neurosim.codes import THRESHOLD
from neurosim.config import RuleConfig, TrainConfig, override
from neurosim.episodeplan import DIFFERENCE, DRIVE, DRIVE_STEPS, TOTALS
from neurosim.episoderun import open_trainer, prepare_controller
from neurosim.errors import BackendError, ConfigError, FeatureError, ModelFileError
from neurosim.learning.build import READOUT, run_steps
from neurosim.learning.episodes import STATE_VERSION, EpisodeTrainer
from neurosim.learning.players import PLAYERS
from neurosim.learning.weights import learned_weights
from neurosim.tasks import task_settings

SMALL = ("network.hidden=[8]", "rule.pairs=2", "batch=3", "network.tau_mem=0.05")


def config(*settings: str) -> TrainConfig:
    return override(replace(TrainConfig(), task="cartpole"), (*task_settings("cartpole"), *settings))


def trainer(*settings: str, n_generations: int = 4, threads: int = 1) -> EpisodeTrainer:
    chosen = config(*settings)
    return open_trainer(chosen, prepare_controller(chosen)[0], n_generations, threads)


@pytest.mark.parametrize("factor", ["random", "trace"])
def test_backends_and_threads_agree(factor: str) -> None:
    results = []
    for backend, threads in (("simulator", 1), ("simulator", 2), ("reference", 1)):
        with trainer(*SMALL, f"rule.factor={factor}", f"backend={backend}", n_generations=2, threads=threads) as one:
            shown = [one.step() for _ in range(2)]
            played = one.test(2, 0)
            results.append((one.full.tolist(), shown, one.scales, one.counts.tolist(), played.lengths.tolist()))
    assert any(any(row) for row in results[0][3])
    for other in results[1:]:
        assert other[0] == results[0][0] and other[1] == results[0][1] and other[3:] == results[0][3:]
        for ours, expected in zip(other[2], results[0][2], strict=True):
            np.testing.assert_array_equal(ours, expected)


def test_a_run_resumes_to_the_bit() -> None:
    with trainer(*SMALL, n_generations=5) as whole:
        for _ in range(2):
            whole.step()
        header, arrays = whole.state()
        rest = [whole.step() for _ in range(3)]
        with trainer(*SMALL, n_generations=5) as resumed:
            resumed.restore(header, arrays)
            assert [resumed.step() for _ in range(3)] == rest
            np.testing.assert_array_equal(resumed.full, whole.full)
            np.testing.assert_array_equal(resumed.counts, whole.counts)
            assert resumed.op_counts.n_samples == whole.op_counts.n_samples == 15


@pytest.mark.skipif(INTERPRETED, reason="kernels that run as plain Python take hours to learn")
def test_it_learns_to_balance() -> None:
    """From about 10 control periods to all 500, within 40 generations of 144 episodes."""
    with trainer(n_generations=40) as learner:
        first = learner.test(20, 0).lengths.mean()
        for _ in range(40):
            last = learner.step()
        lengths = learner.test(20, 1).lengths[:, 0]
    assert first < 30 and lengths.mean() > 300
    assert last.episodes == 43 * 16 * 9 and 0 <= last.ties <= 1


def test_scales_are_found_from_what_was_played() -> None:
    with trainer(*SMALL) as learner:
        learner.prepare()
        played = learner.player.play(learner.plan, learner.scales, 1, 2, 3)
        learner._calibrate_noise(played)
        learner._calibrate_fitness(played)
        hidden = learner.program.group_names.index("hidden")
        drive = int(played.statistics[DRIVE, hidden]) / int(played.statistics[DRIVE_STEPS, hidden])
        moved = drive * 2.0 ** int(learner.scales.noise_exp[hidden])
        wanted = int(learner.program.arrays.group[hidden, THRESHOLD]) * learner.rule.perturbation
        assert 2**-0.6 < moved / wanted < 2**0.6
        size = int(played.statistics[TOTALS, DIFFERENCE]) / played.lengths[:, 1::2].size
        assert learner.scales.fitness_shift == max(0, int(np.log2(max(1, size) / 16)))


def test_tests_do_not_change_what_is_learned_and_use_their_own_starts() -> None:
    with trainer(*SMALL) as learner:
        before = learner.full.copy()
        one, again, other = learner.test(4, 0), learner.test(4, 0), learner.test(4, 1)
        np.testing.assert_array_equal(learner.full, before)
        np.testing.assert_array_equal(one.lengths, again.lengths)
        assert one.lengths.shape == (4, 1) and not one.votes.any()
        assert one.counts.tolist() != other.counts.tolist()


def test_weights_are_those_on_the_chip() -> None:
    with trainer(*SMALL) as learner:
        learner.step()
        expected = learned_weights(learner.program, learner.plan, learner.full)
        assert learner.weights.keys() == expected.keys()
        for name, weights in learner.weights.items():
            np.testing.assert_array_equal(weights, expected[name])


def opened(rule: RuleConfig, n_inputs: int = 32, n_classes: int = 2, backend: str = "simulator") -> EpisodeTrainer:
    from neurosim.compile_network import compile as compile_network
    from neurosim.learning.build import build_network

    chosen = config(*SMALL)
    program = compile_network(build_network(chosen.network, n_inputs, n_classes, 1, "net"))
    return EpisodeTrainer(
        program, READOUT, rule, n_input_steps=4, n_steps=run_steps(chosen.network), n_generations=2, batch=2, seed=1,
        backend=backend,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("n_inputs", "n_classes", "words"),
    [
        (30, 2, "network 'net': 30 inputs cannot code 4 numbers alike; give it 32"),
        (4, 2, "network 'net': 4 inputs cannot code 4 numbers alike"),
        (32, 3, "group 'readout': 3 neurons cannot choose one of two sides; give it 2"),
    ],
)
def test_other_networks_are_refused(n_inputs: int, n_classes: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        opened(config().rule, n_inputs, n_classes)


def test_other_rules_and_backends_are_refused() -> None:
    with pytest.raises(
        ConfigError, match="form 'response' with rank 1 cannot learn from the reward of an episode; set"
    ):
        opened(RuleConfig())
    with pytest.raises(ConfigError, match="form 'scalar' with rank 2 cannot learn"):
        opened(RuleConfig(form="scalar", rank=2))
    with pytest.raises(FeatureError, match=f"backend 'lava': plays no episodes; choose one of {', '.join(PLAYERS)}"):
        opened(config().rule, backend="lava")
    with pytest.raises((BackendError, ConfigError), match="threads"):
        trainer(*SMALL, threads=0)


def test_a_state_of_another_run_is_refused() -> None:
    with trainer(*SMALL) as learner, trainer(*SMALL, "seed=2") as other:
        header, arrays = learner.state()
        with pytest.raises(ModelFileError, match="made for another network, chip or seed; resume with the same"):
            other.restore(header, arrays)
        with pytest.raises(ModelFileError, match=f"state version 0, this neurosim reads {STATE_VERSION}; train anew"):
            learner.restore(header | {"state_version": 0}, arrays)
        with pytest.raises(ModelFileError, match="step_shift does not fit this rule"):
            learner.restore(header, arrays | {"step_shift": np.zeros(9, np.int64)})
