"""Play episodes with antithetic pairs and turn rewards into votes; twin of `neurosim.kernels.episodes`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim import counters
from neurosim.codes import FACTOR_TRACE, FITNESS_LIMIT, LEARNS, PERTURBED
from neurosim.episodeplan import (
    DIFFERENCE,
    DRIVE,
    DRIVE_STEPS,
    LENGTH,
    MARGIN,
    N_COLUMNS,
    N_ROWS,
    PERIODS,
    RATE_BITS,
    SOLVED,
    TIES,
    TOTALS,
    EpisodeScales,
    World,
)
from neurosim.learnplan import LearnPlan
from neurosim.program import Program
from neurosim.reference import cartpole
from neurosim.reference.cartpole import CartPole
from neurosim.reference.noise import fold, signs
from neurosim.reference.run import Chip

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def shift_toward_zero(x: int, exponent: int) -> int:
    """Return ``x * 2**exponent``, rounding toward zero."""
    magnitude = abs(x) << exponent if exponent >= 0 else abs(x) >> -exponent
    return -magnitude if x < 0 else magnitude


class EpisodePlayer:
    """One generation's episodes, start by start, pair by pair.

    Attributes
    ----------
    votes : (W,) int64
    statistics : (3, max(G, 6)) int64
    chip : Chip
        Its counts are those of all that was played.
    """

    def __init__(
        self, program: Program, plan: LearnPlan, world: World, scales: EpisodeScales, weights: dict[str, Int64Array]
    ) -> None:
        self.plan, self.world, self.scales = plan, world, scales
        self.chip = Chip(program, weights)
        self.groups = program.network.ordered_groups
        self.index = {group.name: i for i, group in enumerate(self.groups)}
        self.connections = [program.network.connections[i] for i in plan.connections]
        self.slices = self.chip.slices
        self.readout = self.slices[self.groups[plan.readout].name]
        self.n_tuned = program.network.n_inputs // len(world.ranges)
        self.votes = np.zeros(plan.n_weights, np.int64)
        self.statistics = np.zeros((N_ROWS, max(len(self.groups), N_COLUMNS)), np.int64)
        self.trace = np.zeros(program.network.n_neurons, np.int64)

    def play(self, start_key: int, key: int, n_episodes: int) -> Int64Array:
        """Return the control periods survived, (n_episodes, 1 + 2 n_pairs)."""
        lengths = np.zeros((n_episodes, 1 + 2 * self.plan.n_pairs), np.int64)
        for episode in range(n_episodes):
            start = cartpole.start(fold(start_key, episode))
            base = lengths[episode, 0] = self._play(start, 0, [], np.zeros(0, np.int64))
            for pair in range(self.plan.n_pairs):
                pair_key = fold(fold(key, episode), pair)
                post, pre = self._post_factors(pair_key), self._pre_factors(pair_key, base)
                plus, minus = (self._play(start, sign, pre, post) for sign in (1, -1))
                lengths[episode, 1 + 2 * pair : 3 + 2 * pair] = plus, minus
                self._reward(plus - minus, pre, post)
        return lengths

    def _count(self, name: str, counter: int, amount: int) -> None:
        self.chip.counts[self.chip.row[name], counter] += amount

    def _play(self, state: CartPole, sign: int, pre: list[Int64Array], post: Int64Array) -> int:
        def noise(name: str, previous: BoolArray) -> Int64Array | None:
            i = self.index[name]
            if sign == 0 or not self.plan.group[i, PERTURBED]:
                return None
            drive = sum(
                int(b[previous[self.slices[c.source]]].sum())
                for b, c in zip(pre, self.connections, strict=True)
                if c.target == name
            )
            self.statistics[DRIVE, i] += abs(drive)
            self.statistics[DRIVE_STEPS, i] += drive != 0
            return sign * shift_toward_zero(drive, int(self.scales.noise_exp[i])) * post[self.slices[name]]

        if sign == 0:
            self.trace[:] = 0
        totals, ranges, n_input_steps = (
            self.statistics[TOTALS],
            tuple(self.world.ranges.tolist()),
            self.world.n_input_steps,
        )
        period = 0
        while period < self.world.max_periods and not cartpole.has_failed(state):
            drives = cartpole.drive(state, self.n_tuned, ranges)
            self.chip.reset()
            for t in range(self.plan.n_steps):
                firing = [t < n_input_steps and cartpole.fires(each, t, n_input_steps) for each in drives]
                self.chip.step(np.array(firing, np.bool_), noise)
                if sign == 0 and self.plan.n_pairs and t + 1 < self.plan.n_steps:
                    self._trace_spikes()
            left, right = (int(z) for z in self.chip.v[self.readout])
            totals[MARGIN] += abs(right - left) if sign == 0 else 0
            state = cartpole.advance(state, right > left)
            period += 1
        totals[PERIODS] += period
        if sign == 0:
            totals[LENGTH] += period
            totals[SOLVED] += period == self.world.max_periods
        return period

    def _trace_spikes(self) -> None:
        self.trace += self.chip.fired
        for name, where in self.slices.items():
            self._count(name, counters.TRACE_UPDATES, int(self.chip.fired[where].sum()))

    def _post_factors(self, pair_key: int) -> Int64Array:
        post = np.zeros(len(self.trace), np.int64)
        for i, group in enumerate(self.groups):
            if self.plan.group[i, PERTURBED]:
                post[self.slices[group.name]] = signs(fold(fold(pair_key, i), 0), group.n)
                self._count(group.name, counters.NOISE_DRAWS, group.n)
        return post

    def _pre_factors(self, pair_key: int, n_periods: int) -> list[Int64Array]:
        pre = []
        for index, c in zip(self.plan.connections, self.connections, strict=True):
            trace = self.trace[self.slices[c.source]]
            if self.plan.factor == FACTOR_TRACE:
                pre.append((trace << RATE_BITS) // max(1, n_periods * self.plan.n_steps))
                continue
            pre.append(signs(fold(fold(pair_key, len(self.groups) + int(index)), 0), len(trace)) * (trace > 0))
            self._count(c.name, counters.NOISE_DRAWS, len(trace))
        return pre

    def _reward(self, difference: int, pre: list[Int64Array], post: Int64Array) -> None:
        fitness = shift_toward_zero(difference, -self.scales.fitness_shift)
        fitness = min(max(fitness, -FITNESS_LIMIT), FITNESS_LIMIT)
        self.statistics[TOTALS, DIFFERENCE] += abs(difference)
        self.statistics[TOTALS, TIES] += fitness == 0
        for i, group in enumerate(self.groups):
            if self.plan.group[i, LEARNS]:
                self._count(group.name, counters.REWARD_BROADCASTS, 1)
        for c, connection in enumerate(self.connections):
            local = fitness * post[self.slices[connection.target]]
            self.votes[self.plan.votes_of(c)] += np.outer(pre[c], local).ravel()
            if fitness:
                self._count(connection.name, counters.VOTES, int(np.count_nonzero(pre[c])) * len(local))
