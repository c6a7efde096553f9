"""Evaluate a generation's population on a backend and apply its votes; the learners of the built-in backends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from neurosim.aims import Aims, FitnessFunction, ask, check_labels, check_targets
from neurosim.backend import LearningBackend, check_features, check_threads, get_backend
from neurosim.codes import (
    FIRST_FACTOR,
    FIT_USER,
    N_STATISTICS,
    N_TOTALS,
    OFFSET,
    PASS_LOOK,
    PASS_VOTE,
    PASS_WHOLE,
    START,
    STAT_DRIVE,
    STAT_DRIVE_STEPS,
    STOP,
    TARGET,
    WEIGHT_BITS,
    WINDOWS_ONE,
)
from neurosim.counters import COLUMN, N_COUNTERS
from neurosim.errors import BackendError, ConfigError, DataError, FeatureError
from neurosim.events import Events, check_events
from neurosim.fixedpoint import lost_weight_bits
from neurosim.goals import Goal
from neurosim.layerplan import lay_lanes
from neurosim.learning.calibrate import RESPONSE_BITS
from neurosim.learning.scratch import Terms, make_learn_scratch, make_terms, make_update_work
from neurosim.learnplan import LearnPlan, Scales
from neurosim.logtables import log_tables
from neurosim.normaltable import normal_table
from neurosim.program import Program, aligned_copy
from neurosim.scratch import make_scratch


class Outcome(NamedTuple):
    """What the samples of one generation give."""

    votes: npt.NDArray[np.int64]  # (W,) sum over samples and pairs; (0,) where they were applied at once
    measured: npt.NDArray[np.int64]  # (R, C, N) sum of (readout of plus - readout of minus) x post factor
    predictions: npt.NDArray[np.int64]  # (B,) class of the unperturbed run, or (B, R) where windows have answers
    statistics: npt.NDArray[np.int64]  # (5, max(G, N_TOTALS)) rows STAT_*
    counts: npt.NDArray[np.int64] | None  # (rows, N_COUNTERS); None where the backend counts no operations


class Extra(NamedTuple):
    """What a learner gets beside labels."""

    targets: npt.NDArray[np.int32] = np.zeros((0, 0, 0), np.int32)  # (n_samples, n_steps, C) for fitness "trace"
    fitness: FitnessFunction | None = None  # for fitness "function"


NO_EXTRA = Extra()


class Step(NamedTuple):
    """How votes become weights in one generation."""

    size: int  # an integer that decays over the run
    shift: npt.NDArray[np.int64]  # (P,) weight change = vote * size >> shift
    key: int  # names the rounding noise


class Updated(NamedTuple):
    """What an update did."""

    counts: npt.NDArray[np.int64]  # (rows, N_COUNTERS); the column "weight_updates" in any case
    n_saturated: int  # weights that met the end of their range


class Learner(Protocol):
    """A program being trained on a backend; the backend's attribute `learner` names the class."""

    def evaluate(
        self, ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales, key: int
    ) -> Outcome:
        """Run the population on the samples `ids` with the present weights."""
        ...

    def update(self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: Step) -> Updated:
        """Apply votes to `full` (in place) and to the chip."""
        ...

    def learn(
        self, full: npt.NDArray[np.int32], ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales,
        key: int, step: Step,
    ) -> tuple[Outcome, Updated]:  # fmt: skip
        """Evaluate and update in one, as `evaluate` and `update` would; the votes need not be kept."""
        ...

    def remember(
        self, measured: npt.NDArray[np.int64], accumulated: npt.NDArray[np.int64], response: npt.NDArray[np.int32],
        memory: int,
    ) -> None:  # fmt: skip
        """Add what was measured to `accumulated`, which forgets, and write its upper bits to `response`, both in place."""
        ...

    def load(self, full: npt.NDArray[np.int32]) -> None:
        """Put weights (with residual bits) on the chip."""
        ...

    def close(self) -> None:
        """Free threads and memory."""
        ...


class SimulatorLearner:
    """Learning on the compiled kernels; threads take blocks of samples, then blocks of rows of weights."""

    any_goal = True  # every kind of fitness

    def __init__(
        self, program: Program, plan: LearnPlan, events: Events, labels: npt.NDArray[np.int64], threads: int,
        extra: Extra = NO_EXTRA,
    ) -> None:  # fmt: skip
        self.program, self.plan, self.events, self.extra = program, plan, events, extra
        self.labels = np.ascontiguousarray(labels.reshape(len(labels), -1), np.int64)
        self.arrays = program.arrays._replace(dense8=aligned_copy(program.arrays.dense8))
        self.lanes = lay_lanes(program)
        self.work = [make_learn_scratch(program, plan, self.lanes) for _ in range(threads)]
        # A network without circles runs layer by layer and needs no state between steps.
        circles = len(self.lanes.order) == 0
        self.scratch = [make_scratch(self.arrays) if circles else None for _ in range(threads)]
        self.update_work = [make_update_work(program) for _ in range(threads)]
        self.terms = make_terms(plan, self.lanes, 0)
        self.pool = ThreadPoolExecutor(threads)

    def evaluate(
        self, ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales, key: int
    ) -> Outcome:
        """Run the population; see `Learner.evaluate`."""
        return self._run(ids, response, scales, key)._replace(votes=self._votes())

    def _run(self, ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales, key: int) -> Outcome:
        """Run the population; the votes stay in terms."""
        check_batch(ids, response, self.plan, self.program, self.events)
        ids = np.ascontiguousarray(ids, np.int64)
        if self.terms.n_samples != len(ids):
            self.terms = make_terms(self.plan, self.lanes, len(ids))
        function, seen = self.extra.fitness, np.zeros((len(ids), 1, 1, 1, 1), np.int64)
        aims = Aims(self.labels, self.extra.targets, seen, np.zeros((len(ids), 0), np.int64))
        if function is None:
            return self._pass(PASS_WHOLE, aims, ids, response, scales, key)
        goal, n_members = self.plan.goal, 1 + 2 * self.plan.n_pairs
        aims = aims._replace(seen=np.zeros((len(ids), n_members, 3, goal.n_windows, self.plan.n_classes), np.int64))
        looked = self._pass(PASS_LOOK, aims, ids, response, scales, key)
        aims = aims._replace(given=ask(function, aims.seen, ids))
        return joined(looked, self._pass(PASS_VOTE, aims, ids, response, scales, key))

    def _pass(
        self, number: int, aims: Aims, ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales, key: int
    ) -> Outcome:  # fmt: skip
        """Run the population once; without a function of the user's, one pass is all."""
        from neurosim.kernels.learn import learn_samples

        n_threads, goal = len(self.work), self.plan.goal
        bounds = [len(ids) * i // n_threads for i in range(n_threads + 1)]
        predictions, table = np.zeros((len(ids), goal.n_windows), np.int64), log_tables()
        shape = (N_STATISTICS, max(len(self.program.group_names), N_TOTALS))
        statistics = np.zeros((n_threads, *shape), np.int64)
        counts = np.zeros((n_threads, len(self.program.rows), N_COUNTERS), np.int64)

        def block(thread: int) -> None:
            work = self.work[thread]
            work.votes[:] = 0
            work.measured[:] = 0
            learn_samples(
                self.arrays, self.lanes, self.scratch[thread], work, self.plan, scales, response, ids, aims, number,
                self.events.start, self.events.neuron, self.events.n_steps, bounds[thread], bounds[thread + 1],
                np.uint64(key), table.exp2, table.log2, normal_table(), self.terms.pre, self.terms.post, predictions,
                statistics[thread], counts[thread],
            )  # fmt: skip

        self._in_threads(block)
        return Outcome(
            votes=np.zeros(0, np.int64),
            measured=functools.reduce(np.add, [work.measured for work in self.work]),
            predictions=predictions.ravel() if goal.windows == WINDOWS_ONE else predictions,
            statistics=statistics.sum(axis=0),
            counts=counts.sum(axis=0),
        )

    def _in_threads(self, block: Callable[[int], None]) -> None:
        """Call a function for every thread's number, one of them here."""
        with np.errstate(over="ignore"):
            others = [self.pool.submit(block, number) for number in range(1, len(self.work))]
            block(0)
            for other in others:
                other.result()

    def _votes(self) -> npt.NDArray[np.int64]:
        """Sum the votes up, for those who want to see them."""
        parts = []
        for c, connection in enumerate(self.plan.connections):
            rows = slice(int(self.plan.plastic[c, FIRST_FACTOR]), int(self.plan.plastic[c + 1, FIRST_FACTOR]))
            where = self.arrays.group[self.arrays.conn[connection, TARGET]]
            lane = int(self.lanes.first[self.arrays.conn[connection, TARGET]])
            columns = slice(lane, lane + int(where[STOP] - where[START]))
            # Exact: products and sums stay below 2**53 (`trainer.check_votes`: below 2**31).
            pre, post = (
                self.terms.pre[:, :, rows].transpose(0, 2, 1).astype(np.float64),
                self.terms.post[:, :, columns].astype(np.float64),
            )
            parts.append(np.matmul(pre, post).sum(axis=0).astype(np.int64).ravel())
        summed = sum((work.votes.astype(np.int64) for work in self.work if len(work.votes)), np.zeros((), np.int64))
        return np.asarray(np.concatenate(parts) + summed)

    def update(self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: Step) -> Updated:
        """Apply votes; see `Learner.update`."""
        limit = np.iinfo(np.int32)
        if votes.size and not limit.min <= int(votes.min()) <= int(votes.max()) <= limit.max:
            raise DataError(f"votes: {int(np.abs(votes).max())} is beyond 32 bits; lower the batch")
        return self._update(full, make_terms(self.plan, self.lanes, 0), votes.astype(np.int32)[None], step)

    def learn(
        self, full: npt.NDArray[np.int32], ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales,
        key: int, step: Step,
    ) -> tuple[Outcome, Updated]:  # fmt: skip
        """Evaluate and update; see `Learner.learn`."""
        outcome = self._run(ids, response, scales, key)
        summed = np.stack([work.votes for work in self.work]) if len(self.work[0].votes) else np.zeros((0, 0), np.int32)
        return outcome, self._update(full, self.terms, summed, step)

    def _update(self, full: npt.NDArray[np.int32], terms: Terms, votes: npt.NDArray[np.int32], step: Step) -> Updated:
        from neurosim.kernels.weights import update_rows

        n_threads, n_rows = len(self.work), int(self.plan.plastic[-1, FIRST_FACTOR])
        counts = np.zeros((n_threads, len(self.program.rows), N_COUNTERS), np.int64)
        saturated = np.zeros(n_threads, np.int64)

        def block(number: int) -> None:
            saturated[number] = update_rows(
                self.arrays, self.lanes, self.plan, terms.pre, terms.post, votes, n_rows * number // n_threads,
                n_rows * (number + 1) // n_threads, full, step.size, step.shift, np.uint64(step.key),
                *self.update_work[number], counts[number],
            )  # fmt: skip

        self._in_threads(block)
        return Updated(counts.sum(axis=0), int(saturated.sum()))

    def remember(
        self, measured: npt.NDArray[np.int64], accumulated: npt.NDArray[np.int64], response: npt.NDArray[np.int32],
        memory: int,
    ) -> None:  # fmt: skip
        """Keep the response; see `Learner.remember`."""
        from neurosim.kernels.response import remember

        remember(self.arrays, self.plan, measured, accumulated, response, memory, RESPONSE_BITS)

    def load(self, full: npt.NDArray[np.int32]) -> None:
        """Put weights on the chip; see `Learner.load`."""
        for c, connection in enumerate(self.plan.connections):
            mantissa = full[self.plan.votes_of(c)] >> self.plan.residual_bits
            start = int(self.arrays.conn[connection, OFFSET])
            self.arrays.dense8[start : start + len(mantissa)] = mantissa

    def close(self) -> None:
        """End the worker threads."""
        self.pool.shutdown()


class TwinUpdates:
    """Weights kept on the host and changed by the numpy twin: what learners share whose backend only runs members."""

    program: Program
    plan: LearnPlan
    weights: dict[str, npt.NDArray[np.int64]]

    def update(self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: Step) -> Updated:
        """Apply votes; see `Learner.update`."""
        from neurosim.reference.weights import update_weights

        new = update_weights(self.plan, full.astype(np.int64), votes, step.size, step.shift, step.key)
        counts = np.zeros((len(self.program.rows), N_COUNTERS), np.int64)
        for connection, n in zip(self.plan.connections, new.n_changed, strict=True):
            counts[len(self.program.group_names) + connection, COLUMN["weight_updates"]] = n
        full[:] = new.full
        self.load(full)
        return Updated(counts, new.n_saturated)

    def evaluate(
        self, ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales, key: int
    ) -> Outcome:
        """Run the population; see `Learner.evaluate`."""
        raise NotImplementedError

    def learn(
        self, full: npt.NDArray[np.int32], ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales,
        key: int, step: Step,
    ) -> tuple[Outcome, Updated]:  # fmt: skip
        """Evaluate, then update; see `Learner.learn`."""
        outcome = self.evaluate(ids, response, scales, key)
        return outcome, self.update(full, outcome.votes, step)

    def remember(
        self, measured: npt.NDArray[np.int64], accumulated: npt.NDArray[np.int64], response: npt.NDArray[np.int32],
        memory: int,
    ) -> None:  # fmt: skip
        """Keep the response; see `Learner.remember`."""
        from neurosim.reference.response import remember

        remember(self.program, self.plan, measured, accumulated, response, memory, RESPONSE_BITS)

    def load(self, full: npt.NDArray[np.int32]) -> None:
        """Put weights on the chip; see `Learner.load`."""
        self.weights = learned_weights(self.program, self.plan, full)


class ReferenceLearner(TwinUpdates):
    """Learning on the numpy twins."""

    any_goal = True

    def __init__(
        self, program: Program, plan: LearnPlan, events: Events, labels: npt.NDArray[np.int64], threads: int,
        extra: Extra = NO_EXTRA,
    ) -> None:  # fmt: skip
        self.program, self.plan, self.events, self.labels, self.extra = program, plan, events, labels, extra
        self.inputs = events.to_dense()
        self.weights: dict[str, npt.NDArray[np.int64]] = {}

    def evaluate(
        self, ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales, key: int
    ) -> Outcome:
        """Run the population; see `Learner.evaluate`."""
        from neurosim.reference.learn import Learner as Twin

        check_batch(ids, response, self.plan, self.program, self.events)
        targets = self.extra.targets if len(self.extra.targets) else None
        given, looked = None, None
        if self.extra.fitness is not None:
            first = Twin(self.program, self.plan, scales, self.weights)
            given = ask(self.extra.fitness, first.look(ids, self.inputs, key), ids)
            looked = Outcome(first.votes, first.measured, ids, first.statistics, first.chip.counts)
        twin = Twin(self.program, self.plan, scales, self.weights)
        outcome = Outcome(*twin.learn(ids, self.labels, self.inputs, response.astype(np.int64), key, targets, given))
        return outcome if looked is None else joined(looked, outcome)

    def close(self) -> None:
        """Nothing is held."""


def open_learner(
    backend: str, program: Program, plan: LearnPlan, events: Events, labels: npt.ArrayLike, threads: int, *,
    targets: npt.ArrayLike | None = None, fitness: FitnessFunction | None = None,
) -> Learner:  # fmt: skip
    """Load a program for learning on a backend.

    Parameters
    ----------
    backend : str
        A registered backend with the feature "learning"; its attribute `learner` says what class to open.
    program, plan
        The program, and the learning rule laid out over it.
    events : Events
        Training samples.
    labels : (n_samples,) or (n_samples, R) integers
        0..n_classes - 1, one for each window where the plan's goal has windows; see `neurosim.aims.check_labels`.
    threads : int
        Does not change any result.
    targets : (n_samples, n_steps, C) integers, optional
        What the readout's voltages should be, for fitness "trace".
    fitness : callable, optional
        For fitness "function": see `neurosim.aims.FitnessFunction`.

    Raises
    ------
    BackendError
        If the backend is unknown or what it drives is not installed.
    FeatureError
        If it cannot learn.
    DataError
        If the labels do not fit the samples or the readout.
    """
    found = get_backend(backend)
    check_features(backend, found.features, frozenset({"learning"}))
    module, _, name = cast(LearningBackend, found).learner.partition(":")
    if not name:
        raise BackendError(
            f"backend {backend!r} has the feature 'learning' and no learner {module!r}: set its attribute to 'module:class'"
        )
    events = check_events(events, program.network.n_inputs)
    goal = plan.goal
    checked = check_labels(labels, events.n_samples, goal, plan.n_classes)
    extra = Extra(check_targets(targets, events.n_samples, plan.n_steps, goal, plan.n_classes), fitness)
    if (goal.kind == FIT_USER) != (fitness is not None):
        raise ConfigError(
            "rule: fitness 'function' and a function belong together; give fitness= a function and set rule.fitness to 'function', "
            "or neither"
        )
    learner = getattr(import_module(module), name)
    if goal == Goal():
        return cast(Learner, learner(program, plan, events, checked.ravel(), check_threads(threads)))
    if not getattr(learner, "any_goal", False):
        raise FeatureError(
            f"backend {backend!r}: learns from the likelihood of one label a sample only; leave rule.fitness, rule.rate_cost and "
            "rule.balance_cost at their defaults, or use the backend 'simulator'"
        )
    shaped = checked.ravel() if goal.windows == WINDOWS_ONE else checked
    return cast(Learner, learner(program, plan, events, shaped, check_threads(threads), extra))


def joined(looked: Outcome, voted: Outcome) -> Outcome:
    """Return the outcome of a generation of two passes; what the second does again is not counted again."""
    statistics = voted.statistics.copy()
    for row in (STAT_DRIVE, STAT_DRIVE_STEPS):
        statistics[row] = looked.statistics[row]
    assert looked.counts is not None and voted.counts is not None
    counts = looked.counts.copy()
    for column in (COLUMN["votes"], COLUMN["reward_broadcasts"]):
        counts[:, column] += voted.counts[:, column]
    return voted._replace(statistics=statistics, counts=counts)


def check_batch(
    ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], plan: LearnPlan, program: Program, events: Events
) -> None:
    """Refuse samples that do not exist and responses of another shape; kernels trust both."""
    if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= events.n_samples):
        raise DataError(f"samples: {int(ids.max())} is outside 0..{events.n_samples - 1}; choose others")
    shape = (plan.rank, plan.n_classes, program.network.n_neurons)
    if response.shape != shape or response.dtype != np.int32:
        raise DataError(f"response: {response.dtype} of shape {response.shape}, need int32 of shape {shape}")


def learned_weights(program: Program, plan: LearnPlan, full: npt.NDArray[np.int32]) -> dict[str, npt.NDArray[np.int64]]:
    """Return the chip weights (n_post, n_pre) of each plastic connection."""
    weights = {}
    for c, index in enumerate(plan.connections):
        connection = program.network.connections[index]
        n_post, n_pre = connection.shape
        part = full[plan.votes_of(c)].astype(np.int64) >> plan.residual_bits
        shift = lost_weight_bits(int(plan.plastic[c, WEIGHT_BITS]), "mixed")
        weights[connection.name] = np.ascontiguousarray((part << shift).reshape(n_pre, n_post).T)
    return weights
