"""The training loop: generations of evaluate, measure, vote, update; with checkpoints that resume to the bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.aims import FitnessFunction
from neurosim.codes import (
    CORRECT,
    CREDIT_LIMIT,
    FACTOR_FULL,
    FACTOR_FULL_GAUSSIAN,
    FACTOR_GAUSSIAN,
    FACTOR_RANDOM,
    FACTOR_TRACE,
    FIRST_FACTOR,
    FIT_TRACE,
    FITNESS_LIMIT,
    FORM_RESPONSE,
    LABELLED,
    LIKELIHOOD,
    N_STATISTICS,
    N_TOTALS,
    SHARED,
    SIZE,
    STAT_SPIKES,
    STAT_TOTALS,
    TIES,
    TRACE_LIMIT,
    VALUES,
)
from neurosim.config import RuleConfig
from neurosim.counters import COLUMN, N_COUNTERS, OpCounts
from neurosim.errors import ConfigError
from neurosim.events import Events
from neurosim.goals import Wanted
from neurosim.learning.calibrate import (
    calibrate_balance,
    calibrate_fitness,
    calibrate_noise,
    calibrate_steps,
    calibrate_temperature,
    follow_fitness,
    initial_scales,
    row_step_size,
    row_steps,
)
from neurosim.learning.generation import Memory, Outcome, Step, Updated
from neurosim.learning.keys import STREAM_ORDER, STREAM_PAIRS, STREAM_ROUNDING, STREAM_WARMUP, permutation, stream_key
from neurosim.learning.opening import open_learner
from neurosim.learning.state import check_state
from neurosim.learning.weights import learned_weights, stuck_weights
from neurosim.learnplan import LearnPlan, Scales, initial_weights, learned_neurons, make_plan
from neurosim.network import LIF, Network
from neurosim.normaltable import normal_table
from neurosim.program import Program
from neurosim.reference.response import quantize_response
from neurosim.stepsize import FULL_STEP, SHARE_BITS, moving_share, significance, step_size

RECALIBRATE_EVERY = 32  # generations between calibrations of the perturbation and of the fitness, of 32 samples or more
CALIBRATION_SAMPLES = 32  # fewer are not measured together before the first update
COOLING_SAMPLES = 128  # that tell how sure a trained readout may be
POWER_SAMPLES = 1 << 12  # samples over which a row's votes are averaged, about
STATE_VERSION = 4  # of what a checkpoint holds


def check_votes(plan: LearnPlan, batch: int) -> None:
    """Refuse a batch whose votes could leave 32 bits: a vote is a sum over the samples."""
    limit = (2**31 - 1) // largest_vote(plan)
    if batch > limit:
        raise ConfigError(
            f"batch: {batch} samples of {plan.n_steps} steps could bring a vote beyond 32 bits; the limit is {limit}, "
            "lower batch, rule.pairs or network.n_steps"
        )


def _wanted(rule: RuleConfig, windowed: bool) -> Wanted:
    return Wanted(
        rule.fitness, windowed, rule.window_response, rule.window_read, rule.rate_cost, rule.rate_target, rule.balance_cost
    )  # fmt: skip


def skip_level(probability: float) -> int:
    """Return the binary logarithm of a probability in 1/256, rounded down: a setting, read before any noise is drawn."""
    return math.floor(256 * math.log2(probability)) if probability < 1 else 0


def largest_vote(plan: LearnPlan) -> int:
    """Return the largest vote that a sample can give: a pre factor times a local vote, summed over ranks and pairs.

    Over all links that share a weight as well. Traces hold spikes, at most the number of steps, or as far as values add up.
    """
    values, shared = plan.plastic[:-1, VALUES], plan.plastic[:-1, SHARED]
    windows = np.where(values < TRACE_LIMIT, 1, plan.rank)  # each saturates for itself
    trace = int((np.maximum(values * windows, plan.n_steps) * shared).max())
    if plan.form == FORM_RESPONSE:
        largest = max(CREDIT_LIMIT, 1 << plan.error_bits)
        if plan.goal.keep:  # errors of later windows reach back
            largest = max(largest, plan.goal.n_windows << plan.error_bits)
        return trace * (largest + (CREDIT_LIMIT if plan.goal.rate_gain else 0))
    normal = int(normal_table()[-1])
    product = {  # largest pre factor times largest post factor
        FACTOR_TRACE: trace,  # over all windows together
        FACTOR_RANDOM: plan.rank * int(shared.max()),
        FACTOR_GAUSSIAN: plan.rank * normal * normal * int(shared.max()),
        FACTOR_FULL: 1,
        FACTOR_FULL_GAUSSIAN: normal,
    }[plan.factor]
    return FITNESS_LIMIT * plan.n_pairs * product


class Generation(NamedTuple):
    """What one generation showed."""

    generation: int  # from 1
    correct: int  # samples classified right by the unperturbed network, before this update
    n_samples: int  # that have a label; windows of time, where each has one
    likelihood: float  # mean fitness of the unperturbed network; in bits where it is a log-probability
    rates: dict[str, float]  # spikes per neuron and step, per group that learns
    moved: float  # share of what learns whose value on the chip changed
    saturated: float  # share of what learns that met the end of its range
    ties: float  # share of the pairs whose fitness was the same on both sides; 0 where none is compared


class Trainer:
    """A program learning a classification task on a backend.

    Parameters
    ----------
    program : Program
    readout : str
        Group whose final voltages are the answer, one neuron per class.
    rule : RuleConfig
    events : Events
        Training samples.
    labels : (n_samples,) or (n_samples, R) integers
        Classes; one for each window of time, -1 for none, if there are two axes (`neurosim.aims.window_labels`). With fitness
        "trace" and "function" samples without a class have -1.
    n_steps : int
        Steps per sample.
    n_generations, batch : int
        Generations in the whole run, and samples in each.
    seed : int
    backend : str
    threads : int
        Does not change any result.
    copies : function of int to Events, optional
        The training samples as an epoch sees them, by the epoch's number; `events` are those of epoch 0.
    targets : (n_samples, n_steps, C) integers, optional
        For fitness "trace": what the readout's voltages should be.
    fitness : callable, optional
        For fitness "function": takes the readouts of a generation's members (`neurosim.aims.Readouts`) and returns their
        fitness, (B, M) integers. The same input must give the same output, or runs cannot be repeated.
    stuck : mapping of name to bool array, optional
        Synapses that are broken, by connection and in the shape of its weights: they are put back after each update.
    actual : mapping of name to LIF, optional
        Groups whose neurons have other thresholds on the chip than in the program, whose thresholds calibrate the rule.
    trained : bool
        The weights are trained already: the temperature is then found from what the readout knows, see `prepare`.
    """

    def __init__(
        self, program: Program, readout: str, rule: RuleConfig, events: Events, labels: npt.ArrayLike, *,
        n_steps: int, n_generations: int, batch: int, seed: int, backend: str = "simulator", threads: int = 1,
        copies: Callable[[int], Events] | None = None, targets: npt.ArrayLike | None = None,
        fitness: FitnessFunction | None = None, stuck: Mapping[str, npt.NDArray[np.bool_]] | None = None,
        actual: Mapping[str, LIF] | None = None, trained: bool = False,
    ) -> None:  # fmt: skip
        self.program, self.rule, self.seed = program, rule, seed
        self.n_generations, self.batch, self.n_samples = n_generations, batch, events.n_samples
        self.plan: LearnPlan = make_plan(
            program, readout, form=rule.form, factor=rule.factor, rank=rule.rank, n_pairs=rule.pairs, n_steps=n_steps,
            error_bits=rule.error_bits, residual_bits=rule.residual_bits, pair_every=rule.pair_every,
            one_group=rule.one_group, gate=rule.gate, skip=skip_level(rule.skip),
            update=rule.update, momentum=rule.momentum, biases=rule.biases, thresholds=rule.thresholds,
            wanted=_wanted(rule, np.ndim(labels) == 2),
        )  # fmt: skip
        check_votes(self.plan, batch)
        self.learner = open_learner(
            backend, program, self.plan, events, labels, threads, targets=targets, fitness=fitness
        )
        self.events, self.labels, self.targets, self.fitness = events, np.asarray(labels), targets, fitness
        self.copies, self._shown, self.trained, self.actual = copies, 0, trained, dict(actual or {})
        self.stuck = None if stuck is None else stuck_weights(program, self.plan, stuck)
        if self.actual:
            self.learner.set_thresholds(self.actual)
        self.generation = 0
        self.full = initial_weights(program, self.plan)
        self.average = np.zeros(len(self.full) if rule.momentum else 0, np.int16)
        self.row_step = rule.row_step and not self.plan.moves_by_sign
        shape = (self.plan.rank, self.plan.n_classes, program.network.n_neurons)
        self.accumulated, self.response = np.zeros(shape, np.int64), np.zeros(shape, np.int32)
        self.power = np.zeros(int(self.plan.plastic[-1, FIRST_FACTOR]) if self.row_step else 0, np.int64)
        self.row_memory = max(0, POWER_SAMPLES.bit_length() - batch.bit_length())
        self.scales: Scales = initial_scales(self.plan)
        self.counts: npt.NDArray[np.int64] | None = np.zeros((len(program.rows), N_COUNTERS), np.int64)
        self.every = max(RECALIBRATE_EVERY, RECALIBRATE_EVERY * CALIBRATION_SAMPLES // batch)
        self.recent = np.zeros(
            (N_STATISTICS, max(len(program.group_names), N_TOTALS)), np.int64
        )  # since the last calibration
        self._order: tuple[int, npt.NDArray[np.int64]] = (-1, np.zeros(0, np.int64))
        self.learner.load(self.full)

    def prepare(self) -> None:
        """Calibrate on the first samples and measure the response, before any weight moves.

        An untrained readout answers with probabilities spread over three octaves. One that is trained already would be told that
        it is far from sure where it is right, and would unlearn while it becomes so: its temperature is the one at which the
        labels are most likely.
        """
        outcome = self._evaluate(0, 0)
        goal, n = self.plan.goal, len(outcome.predictions)
        self.scales = calibrate_temperature(self.scales, outcome.statistics, n * goal.n_windows, goal.kind)
        if self.trained and goal.kind < FIT_TRACE:
            self._cool()
        self.scales = calibrate_balance(self.scales, outcome.statistics, n)
        self._calibrate_noise(outcome.statistics)
        for w in range(1, self.rule.warmup + 2):  # one more, so that there are votes in any case
            outcome = self._evaluate(w, w)
            if self.rule.form == "scalar":
                self.scales = calibrate_fitness(self.scales, outcome.statistics, n * self.rule.pairs)
            self._accumulate(outcome)
        outcome = self._evaluate(0, self.rule.warmup + 2)
        self.scales = calibrate_steps(self.scales, self.plan, outcome.votes, int(self.rule.step * 256), FULL_STEP)
        if self.row_step:
            self.scales = row_steps(self.plan, self.scales, int(self.rule.step * 256), FULL_STEP)

    def _cool(self) -> None:
        """Lower the temperature while the labels become more likely by it; there is one best temperature."""
        ids, best = self._samples(0, max(self.batch, min(COOLING_SAMPLES, self.n_samples))), -math.inf
        for temperature in range(self.scales.temperature, -1, -1):
            colder = self.scales._replace(temperature=temperature)
            outcome = self.learner.evaluate(ids, self.response, colder, stream_key(self.seed, STREAM_WARMUP, 0))
            if outcome.statistics[STAT_TOTALS, LIKELIHOOD] <= best:
                return
            self.scales, best = colder, int(outcome.statistics[STAT_TOTALS, LIKELIHOOD])

    def step(self) -> Generation:
        """Run one generation and apply its votes."""
        return self.advance(1)[0]

    def advance(self, most: int) -> list[Generation]:
        """Run up to so many generations, at least one: no further than the next calibration or the end of the epoch.

        The generations are the same in any portions.
        """
        if self.generation == 0:
            self.prepare()
        g = self.generation
        until = min(g + most, self.n_generations, (g // self.every + 1) * self.every)
        if self.copies is not None:  # the first generation that begins in the next epoch sees other copies
            epoch = g * self.batch // self.n_samples
            until = min(until, -(-(epoch + 1) * self.n_samples // self.batch))
        if self.stuck is not None:  # what is stuck is put back after each update
            until = g + 1
        self._show(g)
        numbers = range(g, max(g + 1, until))
        found = self.learner.learn(
            self.full,
            Memory(self.accumulated, self.response, self.rule.memory),
            np.stack([self.samples_of(i) for i in numbers]),
            self.scales,
            [self.key_of(i) for i in numbers],
            [self.step_of(i) for i in numbers],
        )
        if self.stuck is not None:
            self.full[self.stuck.where] = self.stuck.full
            self.learner.load(self.full)
        shown = []
        for outcome, updated in found:
            if self.counts is not None:  # what one generation did not count makes the whole run's counts unknown
                self.counts = None if outcome.counts is None else self.counts + outcome.counts + updated.counts
            self.generation += 1
            self.recent += outcome.statistics
            shown.append(self._summary(outcome, updated))
        if self.generation % self.every == 0:
            self._calibrate_noise(self.recent)
            if self.rule.form == "scalar" and not self.rule.row_step:  # that one finds its size by itself
                self.scales = follow_fitness(self.scales, self.recent, self.every * self.batch * self.rule.pairs)
            self.recent[:] = 0
        return shown

    def samples_of(self, g: int) -> npt.NDArray[np.int64]:
        """Return the samples of a generation: (batch,) int64."""
        return self._samples(g * self.batch, self.batch)

    def events_of(self, g: int) -> Events:
        """Return all training samples as a generation sees them."""
        return self.events if self.copies is None else self.copies(g * self.batch // self.n_samples)

    def key_of(self, g: int) -> int:
        """Return what seeds the noise of a generation."""
        return stream_key(self.seed, STREAM_PAIRS, g)

    def step_of(self, g: int) -> Step:
        """Return how votes become weights in a generation."""
        size = step_size(self.rule.schedule, g, self.n_generations, self.rule.halvings)
        if self.plan.moves_by_sign:
            size *= int(self.rule.step * 256)
        elif self.row_step:
            size = row_step_size(size, int(self.rule.step * 256))
        z = 0
        if self.rule.update == "significance":
            z = significance(moving_share(int(self.rule.chance * 2**SHARE_BITS), g))
        key = stream_key(self.seed, STREAM_ROUNDING, g)
        return Step(size, self.scales.step_shift, key, self.power, self.row_memory, g + 1, z, self.average)

    def _evaluate(self, position: int, generation: int) -> Outcome:
        """Measure a batch, of enough samples, before the first update."""
        n = max(self.batch, min(CALIBRATION_SAMPLES, self.n_samples))
        key = stream_key(self.seed, STREAM_WARMUP, generation)
        return self.learner.evaluate(self._samples(position * n, n), self.response, self.scales, key)

    def _show(self, position: int) -> None:
        """Show the copies of the epoch that a batch begins in."""
        epoch = position * self.batch // self.n_samples
        if self.copies is not None and epoch != self._shown:
            self.learner.show(self.copies(epoch))
            self._shown = epoch

    def _accumulate(self, outcome: Outcome) -> None:
        """Add what was measured to the response, and forget a part of the old (toward zero)."""
        if self.plan.form == FORM_RESPONSE:
            self.learner.remember(outcome.measured, Memory(self.accumulated, self.response, self.rule.memory))

    def _calibrate_noise(self, statistics: npt.NDArray[np.int64]) -> None:
        self.scales = calibrate_noise(
            self.scales,
            self.plan,
            self.program.arrays,
            statistics,
            int(self.rule.perturbation * 256),
            int(self.rule.readout_perturbation * 256),
        )

    def _samples(self, first: int, n: int) -> npt.NDArray[np.int64]:
        """Return n samples from the endless sequence of shuffled epochs."""
        parts, missing = [], n
        while missing:
            epoch, offset = divmod(first, self.n_samples)
            part = self._epoch(epoch)[offset : offset + missing]
            parts.append(part)
            first, missing = first + len(part), missing - len(part)
        return np.concatenate(parts)

    def _epoch(self, epoch: int) -> npt.NDArray[np.int64]:
        if self._order[0] != epoch:
            self._order = (epoch, permutation(stream_key(self.seed, STREAM_ORDER, epoch), self.n_samples))
        return self._order[1]

    def _summary(self, outcome: Outcome, updated: Updated) -> Generation:
        totals, rates = outcome.statistics[STAT_TOTALS], {}
        unit = 256 * max(1, int(totals[LABELLED])) if self.plan.goal.kind < FIT_TRACE else self.batch
        for i, group in enumerate(self.program.network.ordered_groups):
            if self.plan.group[i, :SIZE].any() and i != self.plan.readout:
                steps = group.n * self.plan.n_steps * self.batch
                rates[group.name] = int(outcome.statistics[STAT_SPIKES, i]) / steps
        return Generation(
            generation=self.generation,
            correct=int(totals[CORRECT]),
            n_samples=int(totals[LABELLED]),
            likelihood=int(totals[LIKELIHOOD]) / unit,
            rates=rates,
            moved=int(updated.counts[:, COLUMN["weight_updates"]].sum()) / self.plan.n_learned,
            saturated=updated.n_saturated / self.plan.n_learned,
            ties=int(totals[TIES]) / (self.batch * self.plan.n_pairs),
        )

    @property
    def weights(self) -> dict[str, npt.NDArray[np.int64]]:
        """The learned chip weights by connection, each in the shape of its description."""
        return learned_weights(self.program, self.plan, self.full)

    @property
    def network(self) -> Network:
        """The network with all that it learned."""
        network, learned = (
            self.program.network.with_weights(self.weights),
            learned_neurons(self.program, self.plan, self.full, self.actual),
        )
        if not learned:
            return network
        return replace(network, groups=tuple(learned.get(group.name, group) for group in network.groups))

    @property
    def op_counts(self) -> OpCounts | None:
        """Operations of all generations so far, as a chip would do them: every member is a run of its own.

        Steps are those that were run: samples may have no pairs. A step updates each neuron of the readout once. None
        if the backend counts none.
        """
        if self.counts is None:
            return None
        updates = [COLUMN["neuron_updates_active"], COLUMN["neuron_updates_idle"]]
        n_steps = int(self.counts[self.plan.readout, updates].sum()) // self.plan.n_classes
        return OpCounts(
            self.program.rows, self.counts.copy(), self.generation * self.batch, n_steps, self.program.kinds
        )

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return everything that changes during training: a header in plain values, and arrays of integers."""
        header: dict[str, Any] = {
            "state_version": STATE_VERSION,
            "fingerprint": self.program.fingerprint,
            "generation": self.generation,
            "temperature": self.scales.temperature,
            "fitness_shift": self.scales.fitness_shift,
            "balance_shift": self.scales.balance_shift,
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            "full": self.full.copy(),
            "accumulated": self.accumulated.copy(),
            "power": self.power.copy(),
            "recent": self.recent.copy(),
            "scales_group": self.scales.group,
            "scales_step_shift": self.scales.step_shift,
        }
        if self.rule.momentum:
            arrays["average"] = self.average.copy()
        if self.counts is not None:
            arrays["counts"] = self.counts.copy()
        return header, arrays

    def restore(self, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], where: str = "checkpoint") -> None:
        """Continue from a state; the next generation is the one that would have followed.

        Raises
        ------
        ModelFileError
            If the state belongs to another program or version.
        """
        present = self.state()[1]
        if "counts" not in arrays:  # of a backend that counts no operations
            present.pop("counts", None)
        check_state(header, arrays, present, STATE_VERSION, self.program.fingerprint, where)
        self.generation = int(header["generation"])
        self.full = arrays["full"].astype(np.int32)
        self.accumulated = arrays["accumulated"].astype(np.int64)
        self.power = arrays["power"].astype(np.int64)
        self.recent = arrays["recent"].astype(np.int64)
        self.average = arrays["average"].astype(np.int16) if self.rule.momentum else self.average
        self.response[:] = 0
        quantize_response(self.program.arrays, self.plan, self.accumulated, self.response)
        self.counts = arrays["counts"].astype(np.int64) if "counts" in arrays else None
        self.scales = Scales(
            arrays["scales_group"].astype(np.int64), arrays["scales_step_shift"].astype(np.int64),
            int(header["temperature"]), int(header["fitness_shift"]), int(header["balance_shift"]),
        )  # fmt: skip
        self.learner.load(self.full)

    def close(self) -> None:
        """Free the learner."""
        self.learner.close()

    def __enter__(self) -> Trainer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
