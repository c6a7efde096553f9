"""Evaluate antithetic pairs and turn what they show into votes; twin of `neurosim.kernels.learn`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim import counters
from neurosim.codes import (
    CREDIT_LIMIT,
    CREDIT_SHIFT,
    FACTOR_FULL,
    FACTOR_FULL_GAUSSIAN,
    FACTOR_GAUSSIAN,
    FACTOR_TRACE,
    FITNESS_LIMIT,
    FORM_RESPONSE,
    LEARNS,
    NOISE_EXP,
    PERTURBED,
)
from neurosim.learnplan import LearnPlan, Scales
from neurosim.program import Program
from neurosim.reference.fitness import log_softmax, predict
from neurosim.reference.noise import fold, normals, signs
from neurosim.reference.run import Chip

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Outcome(NamedTuple):
    """What a generation's samples give; see `neurosim.learning.population.Outcome`."""

    votes: Int64Array
    measured: Int64Array
    predictions: Int64Array
    statistics: Int64Array
    counts: Int64Array


def shift_signed(x: int, exponent: int) -> int:
    """Return ``x * 2**exponent``, rounding toward zero."""
    magnitude = abs(x) << exponent if exponent >= 0 else abs(x) >> -exponent
    return -magnitude if x < 0 else magnitude


class Learner:
    """One generation's evaluation, sample by sample, pair by pair.

    A backend that makes the runs or sums the votes itself overrides ``_run_base`` and ``_run_member``, or ``_reward``
    and ``_vote``; the rule stays this one.
    """

    def __init__(self, program: Program, plan: LearnPlan, scales: Scales, weights: dict[str, Int64Array]) -> None:
        self.plan, self.scales = plan, scales
        self.chip = Chip(program, weights)
        self.groups = program.network.ordered_groups
        self.connections = [program.network.connections[i] for i in plan.connections]
        self.slices, self.row = self.chip.slices, self.chip.row
        self.index = {group.name: i for i, group in enumerate(self.groups)}
        self.voting: set[int] = set()  # groups whose local votes are counted next
        n, n_rows = program.network.n_neurons, max(len(self.groups), 5)
        self.n_neurons = n
        self.votes = np.zeros(plan.n_weights, np.int64)
        self.measured = np.zeros((plan.rank, plan.n_classes, n), np.int64)
        self.statistics = np.zeros((5, n_rows), np.int64)
        self.readout = self.slices[self.groups[plan.readout].name]

    def learn(self, ids: Int64Array, labels: Int64Array, inputs: BoolArray, response: Int64Array, key: int) -> Outcome:
        """Evaluate the samples of a generation.

        Parameters
        ----------
        ids : (B,) int64
            Samples; the position in it names the noise of a sample's pairs.
        labels : (n_samples,) int64
        inputs : (n_samples, n_event_steps, n_inputs) bool
        response : (R, C, N) int64
        key : int
        """
        predictions = np.array(
            [self._sample(i, int(labels[x]), inputs[x], response, key) for i, x in enumerate(ids)], np.int64
        )
        return Outcome(self.votes, self.measured, predictions, self.statistics, self.chip.counts)

    def _sample(self, position: int, label: int, inputs: BoolArray, response: Int64Array, key: int) -> int:
        plan, totals = self.plan, self.statistics[4]
        z, trace, near = self._run_base(inputs)
        likelihood, error = self._fitness(z, label)
        totals[:3] += [predict(z) == label, likelihood, z.max() - z.min()]
        if plan.form == FORM_RESPONSE:
            credit = self._respond(error, near, response)
        else:
            credit = np.zeros((plan.rank, self.n_neurons), np.int64)
        pre = self._trace_factors(trace)
        self._gate(near)
        self.voting = set(range(len(self.groups)) if plan.form == FORM_RESPONSE else ())
        sample_key = fold(key, position)
        has_pairs = position % plan.pair_every == 0 and likelihood <= plan.skip
        for pair in range(plan.n_pairs if has_pairs else 0):
            pair_key = fold(sample_key, pair)
            self._choose_groups(position // plan.pair_every * plan.n_pairs + pair)
            post = self._post_factors(pair_key)
            if plan.factor != FACTOR_TRACE:
                pre = self._random_factors(pair_key, trace)
            plus = self._run_member(inputs, pre, post, 1)
            minus = self._run_member(inputs, pre, post, -1)
            if plan.form == FORM_RESPONSE:
                self._measure(plus - minus, post)
                continue
            self._reward(self._pair_fitness(plus, minus, label), pre, post * self.open, credit)
        if plan.factor == FACTOR_TRACE:
            self._vote(pre, credit)
        return predict(z)

    def _gate(self, near: BoolArray) -> None:
        """Set whose local votes count: all, or those of neurons that came near their threshold in the window (or ever)."""
        self.open = np.ones_like(near)
        if self.plan.gate:
            self.open[:] = near if self.plan.factor == FACTOR_TRACE else near.any(axis=0)
            self.open[:, self.readout] = True  # it answers without a threshold

    def _choose_groups(self, pair: int) -> None:
        """Set which groups the pair perturbs: all, or one after the other. Pairs count through the generation.

        Also note whose votes the next call of `_vote` counts.
        """
        perturbed = np.nonzero(self.plan.group[:, PERTURBED])[0]
        self.active = perturbed[[pair % len(perturbed)]] if self.plan.one_group and len(perturbed) else perturbed
        merged = self.voting if self.plan.factor == FACTOR_TRACE else set()  # traces: the votes of a sample's pairs
        self.voting = merged | set(self.active.tolist())

    def _window(self, t: int) -> int:
        return t * self.plan.rank // self.plan.n_steps

    def _count(self, name: str, counter: int, amount: int) -> None:
        self.chip.counts[self.row[name], counter] += amount

    def _inputs_at(self, inputs: BoolArray, t: int) -> BoolArray:
        return inputs[t] if t < len(inputs) else np.zeros(inputs.shape[1], np.bool_)

    def _run_base(self, inputs: BoolArray) -> tuple[Int64Array, Int64Array, BoolArray]:
        """Run unperturbed; return the readout, and spike counts and near flags per window."""
        plan, chip = self.plan, self.chip
        trace = np.zeros((plan.rank, self.n_neurons), np.int64)
        near = np.zeros((plan.rank, self.n_neurons), np.bool_)
        chip.reset()
        for t in range(plan.n_steps):
            chip.near[:] = False
            chip.step(self._inputs_at(inputs, t))
            near[self._window(t)] |= chip.near
            if t + 1 < plan.n_steps:
                trace[self._window(t + 1)] += chip.fired
        self._count_traces(trace, near)
        return np.array(chip.v[self.readout]), trace, near

    def _count_traces(self, trace: Int64Array, near: BoolArray) -> None:
        for i, group in enumerate(self.groups):
            spikes, close = int(trace[:, self.slices[group.name]].sum()), int(near[:, self.slices[group.name]].sum())
            self.statistics[0, i] += spikes
            self.statistics[3, i] += close
            self._count(group.name, counters.TRACE_UPDATES, spikes + close)

    def _run_member(self, inputs: BoolArray, pre: list[Int64Array], post: Int64Array, sign: int) -> Int64Array:
        """Run with the perturbation +/- post x (pre of the sources that fired); return the readout."""
        plan, scales = self.plan, self.scales
        t = 0

        def noise(name: str, previous: BoolArray) -> Int64Array | None:
            i = self.index[name]
            if i not in self.active:
                return None
            where = self.slices[name]
            total = np.zeros(where.stop - where.start, np.int64)
            if plan.factor >= FACTOR_FULL:
                for drawn, c in zip(pre, self.connections, strict=True):
                    if c.target == name:
                        total += previous[self.slices[c.source]].astype(np.int64) @ drawn
                size = int(np.abs(total).sum())
                self.statistics[1, i] += size // len(total)
                self.statistics[2, i] += size != 0
                return np.array([sign * shift_signed(int(d), int(scales.group[i, NOISE_EXP])) for d in total])
            ranks = [self._window(t)] if plan.factor == FACTOR_TRACE else range(plan.rank)
            for r in ranks:
                drive = sum(
                    int(b[r][previous[self.slices[c.source]]].sum())
                    for b, c in zip(pre, self.connections, strict=True)
                    if c.target == name
                )
                self.statistics[1, i] += abs(drive)
                self.statistics[2, i] += drive != 0
                total += sign * shift_signed(drive, int(scales.group[i, NOISE_EXP])) * post[r, where]
            return total

        self.chip.reset()
        for t in range(plan.n_steps):
            self.chip.step(self._inputs_at(inputs, t), noise)
        return np.array(self.chip.v[self.readout])

    def _fitness(self, z: Int64Array, label: int) -> tuple[int, Int64Array]:
        return log_softmax(z, label, self.scales.temperature, self.plan.error_bits)

    def _trace_factors(self, trace: Int64Array) -> list[Int64Array]:
        return [trace[:, self.slices[c.source]] for c in self.connections]

    def _random_factors(self, pair_key: int, trace: Int64Array) -> list[Int64Array]:
        """Draw a number per rank and source, or per synapse; 0 for sources that were silent in the unperturbed run.

        Nothing is drawn for connections whose target the pair leaves alone.
        """
        pre = []
        for index, c in zip(self.plan.connections, self.connections, strict=True):
            fired = trace[:, self.slices[c.source]].sum(axis=0) > 0
            stream = fold(pair_key, len(self.groups) + int(index))
            n_post = self.slices[c.target].stop - self.slices[c.target].start
            if self.index[c.target] not in self.active:
                n = n_post if self.plan.factor >= FACTOR_FULL else len(fired)
                rows = len(fired) if self.plan.factor >= FACTOR_FULL else self.plan.rank
                pre.append(np.zeros((rows, n), np.int64))
                continue
            if self.plan.factor >= FACTOR_FULL:  # a row of draws for each source
                drawn = np.stack([self._draw(fold(stream, j), n_post) for j in range(len(fired))])
                pre.append(drawn * fired[:, None])
            else:
                drawn = np.stack([self._draw(fold(stream, r), len(fired)) for r in range(self.plan.rank)])
                pre.append(drawn * fired)
            self._count(c.name, counters.NOISE_DRAWS, drawn.size)
        return pre

    def _draw(self, key: int, n: int) -> Int64Array:
        """Draw n numbers of +1 or -1, or of normal shape."""
        return normals(key, n) if self.plan.factor in (FACTOR_GAUSSIAN, FACTOR_FULL_GAUSSIAN) else signs(key, n)

    def _post_factors(self, pair_key: int) -> Int64Array:
        """Draw a factor per rank and neuron of the chosen groups; ones for full rank, which has draws for synapses."""
        post = np.zeros((self.plan.rank, self.n_neurons), np.int64)
        for i in self.active:
            group = self.groups[i]
            if self.plan.factor >= FACTOR_FULL:
                post[:, self.slices[group.name]] = 1
            else:
                for r in range(self.plan.rank):
                    post[r, self.slices[group.name]] = self._draw(fold(fold(pair_key, int(i)), r), group.n)
                self._count(group.name, counters.NOISE_DRAWS, self.plan.rank * group.n)
        return post

    def _measure(self, difference: Int64Array, post: Int64Array) -> None:
        """Add dz x post to the measured response."""
        self.measured += difference[None, :, None] * post[:, None, :]
        for i in self.active:
            group = self.groups[i]
            self._count(group.name, counters.RESPONSE_UPDATES, self.plan.rank * self.plan.n_classes * group.n)
            self._count(group.name, counters.REWARD_BROADCASTS, self.plan.n_classes)

    def _respond(self, error: Int64Array, near: BoolArray, response: Int64Array) -> Int64Array:
        """Return the local votes: minus the errors seen through the response, where the neuron came near firing."""
        credit = np.zeros((self.plan.rank, self.n_neurons), np.int64)
        for i, group in enumerate(self.groups):
            if not self.plan.group[i, LEARNS]:
                continue
            self._count(group.name, counters.REWARD_BROADCASTS, self.plan.n_classes)
            where = self.slices[group.name]
            if i == self.plan.readout:
                credit[:, where] = -error
                continue
            total = -np.einsum("o,rok->rk", error, response[:, :, where])
            shift = int(self.scales.group[i, CREDIT_SHIFT])
            assert shift >= 0
            local = np.sign(total) * (np.abs(total) >> shift)
            credit[:, where] = np.clip(local, -CREDIT_LIMIT, CREDIT_LIMIT) * near[:, where]
        return credit

    def _pair_fitness(self, plus: Int64Array, minus: Int64Array, label: int) -> int:
        difference = self._fitness(plus, label)[0] - self._fitness(minus, label)[0]
        self.statistics[4, 3] += abs(difference)
        fitness = shift_signed(difference, -self.scales.fitness_shift)
        fitness = min(max(fitness, -FITNESS_LIMIT), FITNESS_LIMIT)
        self.statistics[4, 4] += fitness == 0
        for i in self.active:
            self._count(self.groups[i].name, counters.REWARD_BROADCASTS, 1)
        return fitness

    def _reward(self, fitness: int, pre: list[Int64Array], post: Int64Array, credit: Int64Array) -> None:
        """Add fitness x post, of neurons whose votes count, to the local votes.

        Vote at once where each pair draws pre factors of its own.
        """
        credit += fitness * post
        if self.plan.factor != FACTOR_TRACE:
            self._vote(pre, credit)
            credit[:] = 0

    def _vote(self, pre: list[Int64Array], credit: Int64Array) -> None:
        """Add pre x credit, summed over ranks, to the votes of each connection."""
        for c, connection in enumerate(self.connections):
            if self.index[connection.target] not in self.voting:
                continue
            local = credit[:, self.slices[connection.target]]
            if self.plan.factor >= FACTOR_FULL:
                rows, n_sources = pre[c] * local, int(np.count_nonzero(pre[c].any(axis=1)))
            else:
                rows, n_sources = np.einsum("rj,rk->jk", pre[c], local), int(np.count_nonzero(pre[c]))
            self.votes[self.plan.votes_of(c)] += rows.ravel()
            self._count(connection.name, counters.VOTES, n_sources * local.shape[1])
