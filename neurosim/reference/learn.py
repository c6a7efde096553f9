"""Evaluate antithetic pairs and turn what they show into votes; twin of `neurosim.kernels.learn`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim import counters
from neurosim.codes import (
    CORRECT,
    CREDIT_LIMIT,
    CREDIT_SHIFT,
    FACTOR_FULL,
    FACTOR_FULL_GAUSSIAN,
    FACTOR_GAUSSIAN,
    FACTOR_TRACE,
    FIRST_FACTOR,
    FIT_TRACE,
    FITNESS_LIMIT,
    FITNESS_SIZE,
    FORM_RESPONSE,
    IMBALANCE,
    KIND_BIAS,
    LABELLED,
    LEARNS,
    LIKELIHOOD,
    N_TOTALS,
    NEURON_GROUP,
    NEURON_KIND,
    NOISE_EXP,
    PERTURBED,
    SPREAD,
    TIES,
    TRACE_LIMIT,
    VALUES,
    WINDOWS_ONE,
    WINDOWS_OWN,
)
from neurosim.learnplan import LearnPlan, Scales, Squares
from neurosim.network import LIF, Connection, Conv, Dense, IntegerConnection
from neurosim.program import Program
from neurosim.reference.fitness import predict
from neurosim.reference.noise import fold, normals, signs
from neurosim.reference.readouts import Watch, fitness_of
from neurosim.reference.run import Chip

Int64Array = npt.NDArray[np.int64]
Values = npt.NDArray[np.integer[Any]] | npt.NDArray[np.bool_]
BYTE = 256
BoolArray = npt.NDArray[np.bool_]


class Outcome(NamedTuple):
    """What a generation's samples give; see `neurosim.learning.generation.Outcome`."""

    votes: Int64Array
    measured: Int64Array
    predictions: Int64Array
    statistics: Int64Array
    counts: Int64Array
    squares: Squares


def shift_signed(x: int, exponent: int) -> int:
    """Return ``x * 2**exponent``, rounding toward zero."""
    magnitude = abs(x) << exponent if exponent >= 0 else abs(x) >> -exponent
    return -magnitude if x < 0 else magnitude


def links_of(connection: IntegerConnection) -> tuple[tuple[Int64Array, Int64Array], Int64Array]:
    """Return (pre, post) of every link of a connection, and which weight it has, in the order of votes."""
    if isinstance(connection, Dense):
        n_post, n_pre = connection.shape
        pre, post = (part.ravel() for part in np.indices((n_pre, n_post)))
        return (pre, post), np.arange(n_pre * n_post)
    if isinstance(connection, Conv):  # a convolution of the weights' numbers, in parts that its weights can hold
        kernel = np.arange(np.size(connection.weights)).reshape(np.shape(connection.weights))
        low = replace(connection, weights=kernel % BYTE, plastic=False, num_weight_bits=8).as_sparse()
        high = replace(connection, weights=kernel // BYTE % BYTE, plastic=False, num_weight_bits=8).as_sparse()
        top = replace(connection, weights=kernel // BYTE**2, plastic=False, num_weight_bits=8).as_sparse()
        number = [np.asarray(part.data) for part in (low, high, top)]
        return (np.asarray(low.col), np.asarray(low.row)), number[0] + BYTE * (number[1] + BYTE * number[2])
    sparse = connection.as_sparse()
    return (np.asarray(sparse.col), np.asarray(sparse.row)), np.arange(len(sparse.word))


class Learner:
    """One generation's evaluation, sample by sample, pair by pair.

    A backend that makes the runs or sums the votes itself overrides ``_run_base`` and ``_run_member``, or ``_reward``
    and ``_vote``; the rule stays this one.

    Attributes
    ----------
    spent : (N_COUNTERS, N) int64
        Where the operations of learning happened: at the neuron whose state or synapses they read or write; draws of
        pre factors at the source. A scalar sent to a group counts once, at its first neuron.
    """

    def __init__(
        self, program: Program, plan: LearnPlan, scales: Scales, weights: dict[str, Int64Array],
        neurons: dict[str, LIF] | None = None,
    ) -> None:  # fmt: skip
        self.plan, self.scales = plan, scales
        self.chip = Chip(program, weights, neurons)
        self.groups = program.network.ordered_groups
        every = [program.network.connections[i] for i in plan.connections]
        self.connections = [c for c in every if not isinstance(c, Connection)]
        self.links = [links_of(c) for c in self.connections]
        self.slices, self.row = self.chip.slices, self.chip.row
        self.index = {group.name: i for i, group in enumerate(self.groups)}
        self.voting: set[int] = set()  # groups whose local votes are counted next
        n, n_rows = program.network.n_neurons, max(len(self.groups), N_TOTALS)
        self.n_neurons = n
        self.spent = np.zeros((counters.N_COUNTERS, n), np.int64)
        self.sums = np.zeros((plan.rank, n), np.int64)
        self.votes = np.zeros(plan.n_learned, np.int64)
        self.squares = Squares(
            np.zeros(int(plan.plastic[-1, FIRST_FACTOR]), np.int64), np.zeros(n, np.int64), 0,
            np.zeros(plan.n_learned - plan.n_weights, np.int64),
        )  # fmt: skip
        self.always_groups = np.unique(plan.neuron[:-1, NEURON_GROUP])  # those that hear a source which always fires
        self.measured = np.zeros((plan.rank, plan.n_classes, n), np.int64)
        self.statistics = np.zeros((5, n_rows), np.int64)
        self.readout = self.slices[self.groups[plan.readout].name]
        self.watch = Watch(program, plan, self.chip)
        self.spreading = plan.goal.windows not in (WINDOWS_ONE, WINDOWS_OWN)  # effects are followed into later windows

    def learn(
        self, ids: Int64Array, labels: Int64Array, inputs: Values, response: Int64Array, key: int,
        targets: npt.NDArray[np.int32] | None = None, given: Int64Array | None = None,
    ) -> Outcome:  # fmt: skip
        """Evaluate the samples of a generation.

        Parameters
        ----------
        ids : (B,) int64
            Samples; the position in it names the noise of a sample's pairs.
        labels : (n_samples,) or (n_samples, W) int64
        inputs : (n_samples, n_event_steps, n_inputs) int or bool
            Values of the input spikes, 0 for none.
        response : (R, C, N) int64
        key : int
        targets : (n_samples, n_steps, C) int32, optional
            For fitness "trace".
        given : (B, M) int64, optional
            Fitness of every member, where it is a function of the user's.
        """
        answers = labels.reshape(len(labels), -1)
        predictions = [
            self._sample(
                i, answers[x], inputs[x], response, key, None if targets is None else targets[x].astype(np.int64),
                None if given is None else given[i],
            )
            for i, x in enumerate(ids)
        ]  # fmt: skip
        shape = (len(ids),) if self.plan.goal.windows == WINDOWS_ONE else (len(ids), self.plan.goal.n_windows)
        found = np.array(predictions, np.int64).reshape(shape)
        return Outcome(self.votes, self.measured, found, self.statistics, self.chip.counts, self.squares)

    def look(self, ids: Int64Array, inputs: Values, key: int) -> Int64Array:
        """Run all members of a generation and only look at them, for a fitness function of the user's.

        Returns
        -------
        seen : (B, M, 3, W, C) int64
            Voltages, spike counts and first spikes of the readout; see `neurosim.aims.Readouts`.
        """
        plan, found = self.plan, []
        for position, x in enumerate(ids):
            _, trace, _ = self._run_base(inputs[x])
            self.trace, self.always = trace, self._always_counts()
            found.append([self.watch.seen()])
            pre, sample_key = self._trace_factors(trace), fold(key, position)
            for pair in range(plan.n_pairs):
                pre, post = self._draw_pair(sample_key, position, pair, trace, pre)
                for sign in (1, -1):
                    self._run_member(inputs[x], pre, post, sign)
                    found[-1].append(self.watch.seen())
        shape = (len(ids), 1 + 2 * plan.n_pairs, 3, plan.goal.n_windows, plan.n_classes)
        return np.array(found, np.int64).reshape(shape)

    def _draw_pair(
        self, sample_key: int, position: int, pair: int, trace: Int64Array, pre: list[Int64Array]
    ) -> tuple[list[Int64Array], Int64Array]:
        """Return the factors of a pair; those with traces are the sample's own."""
        pair_key = fold(sample_key, pair)
        self._choose_groups(position // self.plan.pair_every * self.plan.n_pairs + pair)
        post = self._post_factors(pair_key)
        if self.plan.factor == FACTOR_TRACE:
            return pre, post
        self.always = self._always_factors(pair_key)
        return self._random_factors(pair_key, trace), post

    def _sample(
        self, position: int, labels: Int64Array, inputs: Values, response: Int64Array, key: int,
        target: Int64Array | None, given: Int64Array | None,
    ) -> list[int]:  # fmt: skip
        plan = self.plan
        z, trace, near = self._run_base(inputs)
        z = np.atleast_2d(z)
        target = np.zeros((plan.n_steps, plan.n_classes), np.int64) if target is None else target
        fitness, errors = fitness_of(self.watch, z, labels, target, self.scales)
        predictions = self._count_answers(z, labels, target, fitness if given is None else int(given[0]))
        if plan.form == FORM_RESPONSE:
            credit = self._respond(errors, near, response) - self._costs(trace, near)
        else:
            credit = np.zeros((plan.rank, self.n_neurons), np.int64)
        pre = self._trace_factors(trace)
        self.trace, self.always = trace, self._always_counts()
        self._gate(near)
        self.voting = set(range(len(self.groups)) if plan.form == FORM_RESPONSE else ())
        sample_key = fold(key, position)
        has_pairs = position % plan.pair_every == 0 and (plan.skip == 0 or fitness <= plan.skip)
        for pair in range(plan.n_pairs if has_pairs else 0):
            pre, post = self._draw_pair(sample_key, position, pair, trace, pre)
            reached, rated = [], []
            for member, sign in ((2 * pair + 1, 1), (2 * pair + 2, -1)):
                if given is None:
                    reached.append(np.atleast_2d(self._run_member(inputs, pre, post, sign)))
                    rated.append(fitness_of(self.watch, reached[-1], labels, target, self.scales)[0])
                else:
                    rated.append(int(given[member]))
            if plan.form == FORM_RESPONSE:
                self._measure(reached[0] - reached[1], post)
                continue
            self._reward(self._pair_fitness(rated[0] - rated[1]), pre, post * self.open, credit)
        if plan.factor == FACTOR_TRACE:
            self._vote(pre, credit)
        elif plan.factor < FACTOR_FULL and not has_pairs:  # pairs that are left out are terms of zeros
            self.squares = self.squares._replace(n_terms=self.squares.n_terms + plan.rank * plan.n_pairs)
        return predictions

    def _count_answers(self, z: Int64Array, labels: Int64Array, target: Int64Array, fitness: int) -> list[int]:
        """Count what the unperturbed run answered; return the classes by window."""
        totals, predictions = self.statistics[4], [predict(row) for row in z]
        totals[CORRECT] += sum(p == label for p, label in zip(predictions, labels.tolist(), strict=True))
        totals[LABELLED] += int((labels >= 0).sum())
        totals[LIKELIHOOD] += fitness
        if self.plan.goal.kind == FIT_TRACE:  # what the temperature is found from
            totals[SPREAD] += int(self.watch.distances(target).sum()) // target.size
        else:
            totals[SPREAD] += int((z.max(axis=1) - z.min(axis=1)).sum())
        if self.plan.goal.balance_gain:
            totals[IMBALANCE] += abs(self.watch.imbalance)
        return predictions

    def _costs(self, trace: Int64Array, near: BoolArray) -> Int64Array:
        """Return what the local votes lose to the cost of the rate, where neurons came near their threshold."""
        goal, lost = self.plan.goal, np.zeros(near.shape, np.int64)
        for i, group in enumerate(self.groups):
            if self.plan.group[i, LEARNS] and i != self.plan.readout:
                where = self.slices[group.name]
                beyond = np.maximum((trace[:, where].sum(axis=0) << 8) - goal.rate_target, 0)
                rate = np.minimum(beyond * goal.rate_gain >> 8, CREDIT_LIMIT)
                lost[:, where] = rate * near[:, where]
        return lost

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

    def _count(self, row: str, counter: int, group: str, amounts: Int64Array | int) -> None:
        """Count operations of a group or connection where they happen: so many at each neuron of a group."""
        where = self.slices[group]
        at = np.broadcast_to(np.asarray(amounts, dtype=np.int64), (where.stop - where.start,))
        self.chip.counts[self.row[row], counter] += int(at.sum())
        self.spent[counter, where] += at

    def _count_once(self, group: str, counter: int, n: int) -> None:
        """Count what happens once for a whole group."""
        self.chip.counts[self.row[group], counter] += n
        self.spent[counter, self.slices[group].start] += n

    def _inputs_at(self, inputs: Values, t: int) -> Values:
        return inputs[t] if t < len(inputs) else np.zeros(inputs.shape[1], np.bool_)

    def _run_base(self, inputs: Values) -> tuple[Int64Array, Int64Array, BoolArray]:
        """Run unperturbed; return the readout by window, and spike counts and near flags per window."""
        plan, chip = self.plan, self.chip
        self.watch.start()
        trace = np.zeros((plan.rank, self.n_neurons), np.int64)
        near = np.zeros((plan.rank, self.n_neurons), np.bool_)
        self.sums = np.zeros((plan.rank, self.n_neurons), np.int64)
        chip.reset()
        for t in range(plan.n_steps):
            chip.near[:] = False
            chip.step(self._inputs_at(inputs, t))
            near[self._window(t)] |= chip.near
            self.watch.see(t)
            if t + 1 < plan.n_steps:
                trace[self._window(t + 1)] += chip.fired
                self.sums[self._window(t + 1)] += np.clip(chip.value, -TRACE_LIMIT, TRACE_LIMIT)
        self._count_traces(trace, near)
        return self.watch.z(), trace, near

    def _count_traces(self, trace: Int64Array, near: BoolArray) -> None:
        for i, group in enumerate(self.groups):
            where = self.slices[group.name]
            spikes, close = trace[:, where].sum(axis=0), near[:, where].sum(axis=0)
            self.statistics[0, i] += int(spikes.sum())
            self.statistics[3, i] += int(close.sum())
            self._count(group.name, counters.TRACE_UPDATES, group.name, spikes + close)

    def _run_member(self, inputs: Values, pre: list[Int64Array], post: Int64Array, sign: int) -> Int64Array:
        """Run with the perturbation +/- post x (pre of the sources that fired); return the readout by window."""
        plan, scales = self.plan, self.scales
        t = 0

        def noise(name: str, sent: Int64Array) -> Int64Array | None:
            i = self.index[name]
            if i not in self.active:
                return None
            where = self.slices[name]
            total = np.zeros(where.stop - where.start, np.int64)
            if plan.factor >= FACTOR_FULL:
                for drawn, c in zip(pre, self.connections, strict=True):
                    if c.target == name:
                        total += self._heard(c, sent) @ drawn
                total += self.always[0, where] * (i in self.always_groups)
                size = int(np.abs(total).sum())
                self.statistics[1, i] += size // len(total)
                self.statistics[2, i] += size != 0
                return np.array([sign * shift_signed(int(d), int(scales.group[i, NOISE_EXP])) for d in total])
            ranks = [self._window(t)] if plan.factor == FACTOR_TRACE else range(plan.rank)
            for r in ranks:
                drive = sum(
                    int(b[r] @ self._heard(c, sent))
                    for b, c in zip(pre, self.connections, strict=True)
                    if c.target == name
                )
                drive += int(self.always[r, where.start]) if i in self.always_groups else 0
                self.statistics[1, i] += abs(drive)
                self.statistics[2, i] += drive != 0
                total += sign * shift_signed(drive, int(scales.group[i, NOISE_EXP])) * post[r, where]
            return total

        self.chip.reset()
        self.watch.start()
        for t in range(plan.n_steps):
            self.chip.step(self._inputs_at(inputs, t), noise)
            self.watch.see(t)
        return self.watch.z()

    def _heard(self, connection: IntegerConnection, sent: Int64Array) -> Int64Array:
        """Return what a connection multiplies weights with: the values of its sources' spikes, or 1 for each."""
        value = sent[self.slices[connection.source]]
        return value if connection.num_message_bits else (value != 0).astype(np.int64)

    def _trace_factors(self, trace: Int64Array) -> list[Int64Array]:
        factors = []
        for c, limit in zip(self.connections, self.plan.plastic[:-1, VALUES], strict=True):
            where = self.slices[c.source]
            factors.append(np.clip(self.sums[:, where], -limit, limit) if limit else trace[:, where])
        return factors

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
                self._count(c.name, counters.NOISE_DRAWS, c.target, len(fired))
            else:
                drawn = np.stack([self._draw(fold(stream, r), len(fired)) for r in range(self.plan.rank)])
                pre.append(drawn * fired)
                self._count(c.name, counters.NOISE_DRAWS, c.source, self.plan.rank)
        return pre

    def _always_counts(self) -> Int64Array:
        """Return how often a source that always fires does so in each window: (R, N), the same for all neurons."""
        steps = [sum(self._window(t) == r for t in range(self.plan.n_steps)) for r in range(self.plan.rank)]
        return np.repeat(np.array(steps, np.int64)[:, None], self.n_neurons, axis=1)

    def _always_factors(self, pair_key: int) -> Int64Array:
        """Draw the pre factor of the source that always fires, by rank and group: (R, N); full rank, by neuron."""
        always = np.zeros((self.plan.rank, self.n_neurons), np.int64)
        for i in self.always_groups:
            group = self.groups[i]
            stream = fold(pair_key, len(self.groups) + len(self.chip.connections) + int(i))
            n = group.n if self.plan.factor >= FACTOR_FULL else 1
            for r in range(self.plan.rank):
                always[r, self.slices[group.name]] = self._draw(fold(stream, r), n)
            if self.plan.factor >= FACTOR_FULL:
                self._count(group.name, counters.NOISE_DRAWS, group.name, self.plan.rank)
            else:
                self._count_once(group.name, counters.NOISE_DRAWS, self.plan.rank)
        return always

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
                self._count(group.name, counters.NOISE_DRAWS, group.name, self.plan.rank)
        return post

    def _measure(self, difference: Int64Array, post: Int64Array) -> None:
        """Add dz x post to the measured response.

        Parameters
        ----------
        difference : (W, C)
            Of the readouts of plus and minus.
        post : (R, N)
        """
        for rank in range(self.plan.rank):
            for window, row in self._effects(rank):
                self.measured[row] += difference[window][:, None] * post[rank]
        for i in self.active:
            group, n_effects = self.groups[i], sum(len(self._effects(rank)) for rank in range(self.plan.rank))
            self._count(group.name, counters.RESPONSE_UPDATES, group.name, n_effects * self.plan.n_classes)
            self._count_once(group.name, counters.REWARD_BROADCASTS, difference.size)

    def _effects(self, rank: int) -> list[tuple[int, int]]:
        """Return the windows in which a rank's effects are looked for, and which row of the response tells of them."""
        if self.plan.goal.windows == WINDOWS_ONE:
            return [(0, rank)]
        return [(window, window - rank) for window in range(rank, self.plan.rank)] if self.spreading else [(rank, rank)]

    def _respond(self, errors: Int64Array, near: BoolArray, response: Int64Array) -> Int64Array:
        """Return the local votes: minus the errors seen through the response, where the neuron came near firing."""
        credit = np.zeros((self.plan.rank, self.n_neurons), np.int64)
        for i, group in enumerate(self.groups):
            if not self.plan.group[i, LEARNS]:
                continue
            self._count_once(group.name, counters.REWARD_BROADCASTS, errors.size)
            where = self.slices[group.name]
            if i == self.plan.readout:
                credit[:, where] = -self._readout_errors(errors)
                continue
            total = np.zeros((self.plan.rank, group.n), np.int64)
            for rank in range(self.plan.rank):
                for window, row in self._effects(rank):
                    total[rank] -= errors[window] @ response[row, :, where]
            shift = int(self.scales.group[i, CREDIT_SHIFT])
            assert shift >= 0
            local = np.sign(total) * (np.abs(total) >> shift)
            credit[:, where] = np.clip(local, -CREDIT_LIMIT, CREDIT_LIMIT) * near[:, where]
        return credit

    def _readout_errors(self, errors: Int64Array) -> Int64Array:
        """Return the readout's errors by rank, those of later windows as far as its voltage keeps what it got, (R, C)."""
        if self.plan.goal.windows == WINDOWS_ONE:
            return np.repeat(errors, self.plan.rank, axis=0)
        found = errors.copy()
        for rank in reversed(range(self.plan.rank - 1)):
            later = found[rank + 1]
            found[rank] += np.sign(later) * (np.abs(later) * self.plan.goal.keep >> 12)
        return found

    def _pair_fitness(self, difference: int) -> int:
        self.statistics[4, FITNESS_SIZE] += abs(difference)
        fitness = shift_signed(difference, -self.scales.fitness_shift)
        fitness = min(max(fitness, -FITNESS_LIMIT), FITNESS_LIMIT)
        self.statistics[4, TIES] += fitness == 0
        for i in self.active:
            self._count_once(self.groups[i].name, counters.REWARD_BROADCASTS, 1)
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
                self.votes[self.plan.votes_of(c)] += rows.ravel()
                self._count(connection.name, counters.VOTES, connection.target, n_sources)
                continue
            stored, where = self.links[c]
            rows = np.einsum("rj,rk->jk", pre[c], local)
            np.add.at(self.votes[self.plan.votes_of(c)], where, rows[stored])
            n_ranks = np.count_nonzero(pre[c], axis=0)[stored[0]]  # that each link multiplies in
            at = np.zeros(local.shape[1], np.int64)
            np.add.at(at, stored[1], n_ranks)
            self._count(connection.name, counters.VOTES, connection.target, at)
            first = int(self.plan.plastic[c, FIRST_FACTOR])
            self.squares.rows[first : first + pre[c].shape[1]] += np.square(pre[c]).sum(axis=0)
        if self.plan.factor < FACTOR_FULL:
            learns = np.repeat(self.plan.group[:, LEARNS], [group.n for group in self.groups])
            self.squares.columns[:] += np.square(credit * learns).sum(axis=0)
            self.squares = self.squares._replace(n_terms=self.squares.n_terms + self.plan.rank)
        self._vote_neurons(credit)

    def _vote_neurons(self, credit: Int64Array) -> None:
        """Add the votes of biases, always x credit, and of thresholds, which lower what a neuron that fired adds.

        The vote of a threshold is minus the neuron's spikes x credit; where factors are drawn, minus always x credit of neurons that fired.
        """
        for q, row in enumerate(self.plan.neuron[:-1]):
            group = self.groups[int(row[NEURON_GROUP])]
            where = self.slices[group.name]
            factor = self.always[:, where]
            if row[NEURON_KIND] != KIND_BIAS:
                spikes = self.trace[:, where]
                factor = -spikes if self.plan.factor == FACTOR_TRACE else -factor * (spikes.sum(axis=0) > 0)
            votes, here = factor * credit[:, where], self.plan.votes_of_neurons(q)
            self.votes[here] += votes.sum(axis=0)
            self.squares.neurons[here.start - self.plan.n_weights : here.stop - self.plan.n_weights] += np.square(
                votes
            ).sum(axis=0)
            self._count(group.name, counters.VOTES, group.name, self.plan.rank)
