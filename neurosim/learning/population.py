"""Evaluate a generation's population on a backend and apply its votes; the learners of the built-in backends."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from neurosim.backend import LearningBackend, check_features, check_threads, get_backend
from neurosim.codes import (
    FACTOR_FULL,
    FIRST_FACTOR,
    FORM_RESPONSE,
    N_STATISTICS,
    N_TOTALS,
    OFFSET,
    START,
    STOP,
    TARGET,
    WEIGHT_BITS,
)
from neurosim.counters import COLUMN, N_COUNTERS
from neurosim.errors import BackendError, DataError
from neurosim.events import Events, check_events
from neurosim.fixedpoint import lost_weight_bits
from neurosim.layerplan import lay_lanes
from neurosim.learning.calibrate import RESPONSE_BITS
from neurosim.learning.scratch import Terms, make_learn_scratch, make_terms, make_update_work
from neurosim.learnplan import LearnPlan, Scales
from neurosim.logtables import log_tables
from neurosim.normaltable import normal_table
from neurosim.program import Program, aligned_copy
from neurosim.scratch import make_scratch

EVALUATE, UPDATE = 1, 2  # phases of a generation
WAITS = os.environ.get("NUMBA_DISABLE_JIT", "0") != "1"  # compiled threads can wait for each other inside a kernel


class Outcome(NamedTuple):
    """What the samples of one generation give."""

    votes: npt.NDArray[np.int64]  # (W,) sum over samples and pairs; (0,) where they were applied at once
    measured: npt.NDArray[np.int64]  # (R, C, N) sum of (readout of plus - readout of minus) x post factor
    predictions: npt.NDArray[np.int64]  # (B,) class of the unperturbed run
    statistics: npt.NDArray[np.int64]  # (5, max(G, 5)) rows STAT_*
    counts: npt.NDArray[np.int64] | None  # (rows, N_COUNTERS); None where the backend counts no operations


class Memory(NamedTuple):
    """What pairs measured so far: the response of each readout to each neuron. Arrays change in place."""

    accumulated: npt.NDArray[np.int64]  # (R, C, N) a leaky sum
    response: npt.NDArray[np.int32]  # (R, C, N) its upper bits
    leak: int  # it forgets 2**-leak in each generation


class Step(NamedTuple):
    """How votes become weights in one generation."""

    size: int  # an integer that decays over the run
    shift: npt.NDArray[np.int64]  # (P,) weight change = vote * size >> shift
    key: int  # names the rounding noise
    power: npt.NDArray[np.int64] = np.zeros(0, np.int64)  # (F,) by row, changed in place; (0,): one step for all rows
    memory: int = 0  # the power forgets 2**-memory in each generation
    age: int = 1  # generations that it holds, this one included


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
        self, full: npt.NDArray[np.int32], memory: Memory, ids: npt.NDArray[np.int64], scales: Scales, keys: Sequence[int],
        steps: Sequence[Step],
    ) -> list[tuple[Outcome, Updated]]:  # fmt: skip
        """Run generations: `evaluate`, `update` and `remember` in turn, with samples `ids` (n_generations, B).

        The votes need not be handed out. Operation counts may all stand with the first generation.
        """
        ...

    def remember(self, measured: npt.NDArray[np.int64], memory: Memory) -> None:
        """Add what was measured to the memory."""
        ...

    def load(self, full: npt.NDArray[np.int32]) -> None:
        """Put weights (with residual bits) on the chip."""
        ...

    def show(self, events: Events) -> None:
        """Take other input spikes for the same training samples."""
        ...

    def close(self) -> None:
        """Free threads and memory."""
        ...


class SimulatorLearner:
    """Learning on the compiled kernels; threads take blocks of samples, then blocks of rows of weights."""

    def __init__(
        self, program: Program, plan: LearnPlan, events: Events, labels: npt.NDArray[np.int64], threads: int
    ) -> None:
        self.program, self.plan, self.events = program, plan, events
        self.labels = np.ascontiguousarray(labels, np.int64)
        self.arrays = program.arrays._replace(dense8=aligned_copy(program.arrays.dense8))
        self.lanes = lay_lanes(program)
        self.work = [make_learn_scratch(program, plan, self.lanes) for _ in range(threads)]
        size = plan.n_weights if plan.factor >= FACTOR_FULL else 0
        self.votes = np.zeros((threads if size else 0, size), np.int32)
        self.measured = np.zeros((threads, plan.rank, plan.n_classes, program.network.n_neurons), np.int64)
        for number in range(threads):
            own = {"measured": self.measured[number]} | ({"votes": self.votes[number]} if size else {})
            self.work[number] = self.work[number]._replace(**own)
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
        memory = Memory(np.zeros(response.shape, np.int64), response, 0)
        none = np.zeros(0, np.int32)
        ((outcome, _),) = self._run(EVALUATE, none, memory, ids[None], scales, [key], [self._no_step()])
        return outcome._replace(votes=self._votes())

    def learn(
        self, full: npt.NDArray[np.int32], memory: Memory, ids: npt.NDArray[np.int64], scales: Scales, keys: Sequence[int],
        steps: Sequence[Step],
    ) -> list[tuple[Outcome, Updated]]:  # fmt: skip
        """Run generations; see `Learner.learn`."""
        if WAITS:
            return self._run(EVALUATE | UPDATE, full, memory, ids, scales, keys, steps)
        found = []
        for g, step in enumerate(steps):  # threads cannot wait for each other: one phase at a time
            ((outcome, _),) = self._run(EVALUATE, full, memory, ids[g : g + 1], scales, keys[g : g + 1], [step])
            ((_, updated),) = self._run(UPDATE, full, memory, ids[g : g + 1], scales, keys[g : g + 1], [step])
            found.append((outcome, updated))
        return found

    def _no_step(self) -> Step:
        return Step(0, np.zeros(len(self.plan.connections), np.int64), 0)

    def _run(
        self, phases: int, full: npt.NDArray[np.int32], memory: Memory, ids: npt.NDArray[np.int64], scales: Scales,
        keys: Sequence[int], steps: Sequence[Step],
    ) -> list[tuple[Outcome, Updated]]:  # fmt: skip
        """Run generations, or a phase of one, on all threads."""
        from neurosim.kernels.generations import run_generations

        check_batch(ids.ravel(), memory.response, self.plan, self.program, self.events)
        n_threads, (n_generations, n_samples), table = len(self.work), ids.shape, log_tables()
        ids = np.ascontiguousarray(ids, np.int64)
        if self.terms.n_samples != n_samples:
            self.terms = make_terms(self.plan, self.lanes, n_samples)
        predictions = np.zeros(ids.shape, np.int64)
        shape = (N_STATISTICS, max(len(self.program.group_names), N_TOTALS))
        statistics = np.zeros((n_generations, n_threads, *shape), np.int64)
        counts = np.zeros((n_generations, n_threads, len(self.program.rows), N_COUNTERS), np.int64)
        written, saturated = np.zeros_like(counts), np.zeros((n_generations, n_threads), np.int64)
        arrived = np.zeros(1, np.int64)
        sizes = np.array([step.size for step in steps], np.int64)
        pair_keys, rounding_keys = np.array(keys, np.uint64), np.array([step.key for step in steps], np.uint64)
        step = steps[0]

        def block(number: int) -> None:
            run_generations(
                number, n_threads, phases, arrived, self.arrays, self.lanes, self.scratch[number], self.work[number],
                self.plan, scales, memory.response, memory.accumulated, self.measured, memory.leak, RESPONSE_BITS, ids,
                self.labels, self.events.start, self.events.neuron, self.events.n_steps, pair_keys, table.exp2,
                table.log2, normal_table(), self.terms.pre, self.terms.post, self.votes, full, sizes, step.shift,
                rounding_keys, step.power, step.memory, step.age, *self.update_work[number], predictions, statistics,
                saturated, written, counts,
            )  # fmt: skip

        self._in_threads(block)
        measured = self.measured.sum(axis=0) if phases == EVALUATE else np.zeros(0, np.int64)
        statistics, counts, written = (part.sum(axis=1) for part in (statistics, counts, written))
        return [
            (
                Outcome(np.zeros(0, np.int64), measured, predictions[g], statistics[g], counts[g]),
                Updated(written[g], int(saturated[g].sum())),
            )
            for g in range(n_generations)
        ]

    def _in_threads(self, block: Callable[[int], None]) -> None:
        """Call a function for every thread's number, one of them here."""

        def wrapping(number: int) -> None:
            with np.errstate(over="ignore"):  # of this thread: hashes of uncompiled kernels wrap
                block(number)

        others = [self.pool.submit(wrapping, number) for number in range(1, len(self.work))]
        wrapping(0)
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
        return np.asarray(
            np.concatenate(parts) + self.votes.sum(axis=0, dtype=np.int64) if len(self.votes) else np.concatenate(parts)
        )

    def update(self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: Step) -> Updated:
        """Apply votes; see `Learner.update`."""
        limit = np.iinfo(np.int32)
        if votes.size and not limit.min <= int(votes.min()) <= int(votes.max()) <= limit.max:
            raise DataError(f"votes: {int(np.abs(votes).max())} is beyond 32 bits; lower the batch")
        return self._update(full, make_terms(self.plan, self.lanes, 0), votes.astype(np.int32)[None], step)

    def _update(self, full: npt.NDArray[np.int32], terms: Terms, votes: npt.NDArray[np.int32], step: Step) -> Updated:
        from neurosim.kernels.weights import update_rows

        n_threads, n_rows = len(self.work), int(self.plan.plastic[-1, FIRST_FACTOR])
        counts = np.zeros((n_threads, len(self.program.rows), N_COUNTERS), np.int64)
        saturated = np.zeros(n_threads, np.int64)

        def block(number: int) -> None:
            saturated[number] = update_rows(
                self.arrays, self.lanes, self.plan, terms.pre, terms.post, votes, n_rows * number // n_threads,
                n_rows * (number + 1) // n_threads, full, step.size, step.shift, np.uint64(step.key), step.power, step.memory, step.age,
                *self.update_work[number], counts[number],
            )  # fmt: skip

        self._in_threads(block)
        return Updated(counts.sum(axis=0), int(saturated.sum()))

    def remember(self, measured: npt.NDArray[np.int64], memory: Memory) -> None:
        """Keep the response; see `Learner.remember`."""
        from neurosim.kernels.response import remember

        remember(self.arrays, self.plan, measured, memory.accumulated, memory.response, memory.leak, RESPONSE_BITS)

    def load(self, full: npt.NDArray[np.int32]) -> None:
        """Put weights on the chip; see `Learner.load`."""
        for c, connection in enumerate(self.plan.connections):
            mantissa = full[self.plan.votes_of(c)] >> self.plan.residual_bits
            start = int(self.arrays.conn[connection, OFFSET])
            self.arrays.dense8[start : start + len(mantissa)] = mantissa

    def show(self, events: Events) -> None:
        """Take other input spikes; see `Learner.show`."""
        self.events = check_events(events, self.program.network.n_inputs)

    def close(self) -> None:
        """End the worker threads."""
        self.pool.shutdown()


class TwinUpdates(ABC):
    """Weights kept on the host and changed by the numpy twin: what learners share whose backend only runs members."""

    program: Program
    plan: LearnPlan
    weights: dict[str, npt.NDArray[np.int64]]

    def update(self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: Step) -> Updated:
        """Apply votes; see `Learner.update`."""
        from neurosim.reference.weights import update_weights

        power = step.power if len(step.power) else None
        new = update_weights(
            self.plan, full.astype(np.int64), votes, step.size, step.shift, step.key, power, step.memory, step.age
        )
        counts = np.zeros((len(self.program.rows), N_COUNTERS), np.int64)
        for connection, n in zip(self.plan.connections, new.n_changed, strict=True):
            counts[len(self.program.group_names) + connection, COLUMN["weight_updates"]] = n
        full[:] = new.full
        self.load(full)
        return Updated(counts, new.n_saturated)

    @abstractmethod
    def evaluate(
        self, ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales, key: int
    ) -> Outcome:
        """Run the population; see `Learner.evaluate`."""

    def learn(
        self, full: npt.NDArray[np.int32], memory: Memory, ids: npt.NDArray[np.int64], scales: Scales, keys: Sequence[int],
        steps: Sequence[Step],
    ) -> list[tuple[Outcome, Updated]]:  # fmt: skip
        """Run generations, phase by phase; see `Learner.learn`."""
        found = []
        for batch, key, step in zip(ids, keys, steps, strict=True):
            outcome = self.evaluate(batch, memory.response, scales, key)
            found.append((outcome, self.update(full, outcome.votes, step)))
            if self.plan.form == FORM_RESPONSE:
                self.remember(outcome.measured, memory)
        return found

    def remember(self, measured: npt.NDArray[np.int64], memory: Memory) -> None:
        """Keep the response; see `Learner.remember`."""
        from neurosim.reference.response import remember

        remember(self.program, self.plan, measured, memory.accumulated, memory.response, memory.leak, RESPONSE_BITS)

    def load(self, full: npt.NDArray[np.int32]) -> None:
        """Put weights on the chip; see `Learner.load`."""
        self.weights = learned_weights(self.program, self.plan, full)


class ReferenceLearner(TwinUpdates):
    """Learning on the numpy twins."""

    def __init__(
        self, program: Program, plan: LearnPlan, events: Events, labels: npt.NDArray[np.int64], threads: int
    ) -> None:
        self.program, self.plan, self.events, self.labels = program, plan, events, labels
        self.inputs = events.to_dense()
        self.weights: dict[str, npt.NDArray[np.int64]] = {}

    def evaluate(
        self, ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales, key: int
    ) -> Outcome:
        """Run the population; see `Learner.evaluate`."""
        from neurosim.reference.learn import Learner as Twin

        check_batch(ids, response, self.plan, self.program, self.events)
        twin = Twin(self.program, self.plan, scales, self.weights)
        return Outcome(*twin.learn(ids, self.labels, self.inputs, response.astype(np.int64), key))

    def show(self, events: Events) -> None:
        """Take other input spikes; see `Learner.show`."""
        self.events = check_events(events, self.program.network.n_inputs)
        self.inputs = self.events.to_dense()

    def close(self) -> None:
        """Nothing is held."""


def open_learner(
    backend: str, program: Program, plan: LearnPlan, events: Events, labels: npt.NDArray[np.int64], threads: int
) -> Learner:
    """Load a program for learning on a backend.

    Parameters
    ----------
    backend : str
        A registered backend with the feature "learning"; its attribute `learner` says what class to open.
    program, plan
        The program, and the learning rule laid out over it.
    events : Events
        Training samples.
    labels : (n_samples,) integers
        0..n_classes - 1.
    threads : int
        Does not change any result.

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
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape != (events.n_samples,):
        raise DataError(
            f"labels: {labels.dtype} of shape {labels.shape}; give one integer for each of {events.n_samples} samples"
        )
    if labels.size and (int(labels.min()) < 0 or int(labels.max()) >= plan.n_classes):
        worst = int(labels.min()) if int(labels.min()) < 0 else int(labels.max())
        raise DataError(
            f"labels: {worst} is outside 0..{plan.n_classes - 1}, the readout's neurons; use those as labels"
        )
    learner = getattr(import_module(module), name)
    return cast(Learner, learner(program, plan, events, labels.astype(np.int64), check_threads(threads)))


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
