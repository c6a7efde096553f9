"""Episodes of a control task: kernel equals twin in rewards, votes, statistics and counts."""

from __future__ import annotations

import numpy as np
import pytest

from neurosim.compile_network import compile as compile_network
from neurosim.config import NetworkConfig
from neurosim.episodeplan import DIFFERENCE, LENGTH, PERIODS, SOLVED, TIES, TOTALS, EpisodeScales, World
from neurosim.learning.build import READOUT, build_network, run_steps
from neurosim.learning.episodes import RANGES
from neurosim.learning.players import KernelPlayer, Played, TwinPlayer
from neurosim.learnplan import LearnPlan, initial_weights, make_plan
from neurosim.program import Program
from neurosim.reference.noise import fold, signs


def small(
    factor: str, hidden: tuple[int, ...] = (8,), n_pairs: int = 2, shift: int = 0
) -> tuple[Program, LearnPlan, EpisodeScales]:
    """A network of a few neurons, its plan, and perturbations that change what it does."""
    config = NetworkConfig(hidden=hidden, n_steps=3, tau_mem=0.05)
    program = compile_network(build_network(config, 16, 2, 3, "small"))
    plan = make_plan(program, READOUT, form="scalar", factor=factor, rank=1, n_pairs=max(1, n_pairs), n_steps=run_steps(config),
                     error_bits=7, residual_bits=8)._replace(n_pairs=n_pairs)  # fmt: skip
    exponents = np.full(len(program.group_names), 12 if factor == "random" else 7, np.int64)
    return program, plan, EpisodeScales(exponents, np.zeros(len(plan.connections), np.int64), shift)


def world(max_periods: int = 40) -> World:
    return World(np.array(RANGES, np.int64), 3, max_periods)


def played(kind: type[KernelPlayer] | type[TwinPlayer], factor: str, hidden: tuple[int, ...] = (8,), n_pairs: int = 2,
           threads: int = 1, n_episodes: int = 4, shift: int = 0) -> Played:  # fmt: skip
    program, plan, scales = small(factor, hidden, n_pairs, shift)
    player = kind(program, plan, world(), threads)
    player.load(initial_weights(program, plan))
    result = player.play(plan, scales, fold(0, 1), fold(0, 2), n_episodes)
    player.close()
    return result


@pytest.mark.parametrize("factor", ["random", "trace"])
@pytest.mark.parametrize("hidden", [(), (8,), (8, 6)])
def test_kernel_equals_twin(factor: str, hidden: tuple[int, ...]) -> None:
    kernel, twin = played(KernelPlayer, factor, hidden), played(TwinPlayer, factor, hidden)
    for ours, expected in zip(kernel, twin, strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert np.ptp(kernel.lengths) > 0 and kernel.votes.any() and kernel.counts.any()


def test_small_differences_of_rewards_are_shifted_away_alike() -> None:
    kernel, twin = (played(kind, "random", shift=1, n_episodes=8) for kind in (KernelPlayer, TwinPlayer))
    for ours, expected in zip(kernel, twin, strict=True):
        np.testing.assert_array_equal(ours, expected)
    differences = np.abs(kernel.lengths[:, 1::2] - kernel.lengths[:, 2::2])
    assert (differences == 1).any() and kernel.statistics[TOTALS, TIES] == (differences < 2).sum()


def test_threads_change_nothing() -> None:
    one, three = played(KernelPlayer, "random"), played(KernelPlayer, "random", threads=3)
    for ours, expected in zip(three, one, strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_without_pairs_nothing_is_learned() -> None:
    for kind in (KernelPlayer, TwinPlayer):
        bare, whole = played(kind, "random", n_pairs=0), played(kind, "random")
        np.testing.assert_array_equal(bare.lengths[:, 0], whole.lengths[:, 0])
        assert bare.lengths.shape == (4, 1) and not bare.votes.any()


def test_votes_are_reward_times_post_times_pre() -> None:
    """The votes of a network without hidden layer, from its rewards and the hashed factors alone."""
    program, plan, _ = small("random", ())
    found = played(KernelPlayer, "random", ())
    expected = np.zeros((16, 2), np.int64)
    for episode, lengths in enumerate(found.lengths):
        for pair in range(2):
            difference = int(lengths[1 + 2 * pair] - lengths[2 + 2 * pair])
            key = fold(fold(fold(0, 2), episode), pair)
            pre, post = signs(fold(fold(key, len(program.group_names)), 0), 16), signs(fold(fold(key, 1), 0), 2)
            expected += difference * np.outer(pre, post)
    votes = found.votes.reshape(16, 2)
    rows = votes.any(axis=1)  # silent sources get none
    assert rows.any() and votes[rows].any()
    fired_always = np.abs(votes).sum(axis=1) == np.abs(expected).sum(axis=1)
    assert fired_always.sum() >= 8  # the neurons near the middle of each range fire in every episode
    np.testing.assert_array_equal(votes[fired_always], expected[fired_always])


def test_statistics_say_what_was_played() -> None:
    found = played(KernelPlayer, "random", n_episodes=6)
    totals, lengths = found.statistics[TOTALS], found.lengths
    differences = np.abs(lengths[:, 1::2] - lengths[:, 2::2])
    assert totals[LENGTH] == lengths[:, 0].sum() and totals[PERIODS] == lengths.sum()
    assert totals[DIFFERENCE] == differences.sum() and totals[TIES] == (differences == 0).sum()
    assert totals[SOLVED] == (lengths[:, 0] == 40).sum()
    assert 1 <= lengths.min() and lengths.max() <= 40
