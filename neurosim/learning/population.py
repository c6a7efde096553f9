"""Evaluate a generation's population on a backend and apply its votes; the learners of the built-in backends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from neurosim.backend import LearningBackend, check_features, check_threads, get_backend
from neurosim.codes import FIRST_FACTOR, N_STATISTICS, N_TOTALS, OFFSET, WEIGHT_BITS
from neurosim.counters import COLUMN, N_COUNTERS
from neurosim.errors import BackendError, DataError
from neurosim.events import Events, check_events
from neurosim.fixedpoint import lost_weight_bits
from neurosim.learnplan import LearnPlan, Scales
from neurosim.logtables import log_tables
from neurosim.program import Program, aligned_copy
from neurosim.scratch import make_scratch


class Outcome(NamedTuple):
    """What the samples of one generation give."""

    votes: npt.NDArray[np.int64]  # (W,) sum over samples and pairs
    measured: npt.NDArray[np.int64]  # (R, C, N) sum of (readout of plus - readout of minus) x post factor
    predictions: npt.NDArray[np.int64]  # (B,) class of the unperturbed run
    statistics: npt.NDArray[np.int64]  # (5, max(G, 5)) rows STAT_*
    counts: npt.NDArray[np.int64] | None  # (rows, N_COUNTERS); None where the backend counts no operations


class Learner(Protocol):
    """A program being trained on a backend; the backend's attribute `learner` names the class."""

    def evaluate(
        self, ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales, key: int
    ) -> Outcome:
        """Run the population on the samples `ids` with the present weights."""
        ...

    def update(
        self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: int, step_shift: npt.NDArray[np.int64],
        key: int,
    ) -> tuple[npt.NDArray[np.int64], int]:  # fmt: skip
        """Apply votes to `full` (in place) and to the chip; return counts and the number of saturated weights.

        The counts have the column "weight_updates" in any case; it is how a run knows what share of its weights moved.
        """
        ...

    def load(self, full: npt.NDArray[np.int32]) -> None:
        """Put weights (with residual bits) on the chip."""
        ...

    def close(self) -> None:
        """Free threads and memory."""
        ...


class LearnScratch(NamedTuple):
    """Working memory of one thread while learning."""

    base: npt.NDArray[np.int32]  # (T, N) what inputs deliver
    trace: npt.NDArray[np.int32]  # (R, N)
    near: npt.NDArray[np.uint8]  # (R, N)
    drive: npt.NDArray[np.int64]  # (R, T, G) pre factors of the input spikes
    factor_a: npt.NDArray[np.int8]  # (R, N) post
    factor_b: npt.NDArray[np.int32]  # (R, pre neurons of all plastic connections)
    credit: npt.NDArray[np.int32]  # (R, N)
    measured: npt.NDArray[np.int64]  # (R, C, N)
    votes: npt.NDArray[np.int32]  # (W,)
    classes: npt.NDArray[np.int64]  # (3, C) POWERS, ERROR, PLUS
    shared_counts: npt.NDArray[np.int64]  # (rows, N_COUNTERS)


def make_learn_scratch(program: Program, plan: LearnPlan) -> LearnScratch:
    """Allocate one thread's working memory: O(T N + R (N + C N)) and one vote per weight."""
    n, groups, rank = program.network.n_neurons, len(program.group_names), plan.rank
    return LearnScratch(
        base=np.zeros((plan.n_steps, n), np.int32),
        trace=np.zeros((rank, n), np.int32),
        near=np.zeros((rank, n), np.uint8),
        drive=np.zeros((rank, plan.n_steps, groups), np.int64),
        factor_a=np.zeros((rank, n), np.int8),
        factor_b=np.zeros((rank, int(plan.plastic[-1, FIRST_FACTOR])), np.int32),
        credit=np.zeros((rank, n), np.int32),
        measured=np.zeros((rank, plan.n_classes, n), np.int64),
        votes=np.zeros(plan.n_weights, np.int32),
        classes=np.zeros((3, plan.n_classes), np.int64),
        shared_counts=np.zeros((len(program.rows), N_COUNTERS), np.int64),
    )


class SimulatorLearner:
    """Learning on the compiled kernels; threads take blocks of samples."""

    def __init__(
        self, program: Program, plan: LearnPlan, events: Events, labels: npt.NDArray[np.int64], threads: int
    ) -> None:
        self.program, self.plan, self.events = program, plan, events
        self.labels = np.ascontiguousarray(labels, np.int64)
        self.arrays = program.arrays._replace(dense8=aligned_copy(program.arrays.dense8))
        self.work = [(make_scratch(self.arrays), make_learn_scratch(program, plan)) for _ in range(threads)]
        self.pool = ThreadPoolExecutor(threads)

    def evaluate(
        self, ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales, key: int
    ) -> Outcome:
        """Run the population; see `Learner.evaluate`."""
        from neurosim.kernels.learn import learn_samples

        check_batch(ids, response, self.plan, self.program, self.events)
        bounds = np.linspace(0, len(ids), len(self.work) + 1).astype(int)
        predictions, table = np.zeros(len(ids), np.int64), log_tables()
        ids = np.ascontiguousarray(ids, np.int64)

        def block(number: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
            scratch, work = self.work[number]
            work.votes[:] = 0
            work.measured[:] = 0
            statistics = np.zeros((N_STATISTICS, max(len(self.program.group_names), N_TOTALS)), np.int64)
            counts = np.zeros((len(self.program.rows), N_COUNTERS), np.int64)
            with np.errstate(over="ignore"):
                learn_samples(
                    self.arrays, scratch, work, self.plan, scales, response, ids, self.labels, self.events.start,
                    self.events.neuron, self.events.n_steps, int(bounds[number]), int(bounds[number + 1]),
                    np.uint64(key), table.exp2, table.log2, predictions, statistics, counts,
                )  # fmt: skip
            return statistics, counts

        done = list(self.pool.map(block, range(len(self.work))))
        return Outcome(
            votes=np.sum([work.votes for _, work in self.work], axis=0, dtype=np.int64),
            measured=np.sum([work.measured for _, work in self.work], axis=0, dtype=np.int64),
            predictions=predictions,
            statistics=np.sum([part[0] for part in done], axis=0, dtype=np.int64),
            counts=np.sum([part[1] for part in done], axis=0, dtype=np.int64),
        )

    def update(
        self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: int, step_shift: npt.NDArray[np.int64],
        key: int,
    ) -> tuple[npt.NDArray[np.int64], int]:  # fmt: skip
        """Apply votes; see `Learner.update`."""
        from neurosim.kernels.weights import update_weights

        counts = np.zeros((len(self.program.rows), N_COUNTERS), np.int64)
        with np.errstate(over="ignore"):
            n_saturated = update_weights(self.arrays, self.plan, full, votes, step, step_shift, np.uint64(key), counts)
        return counts, int(n_saturated)

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

    def update(
        self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: int, step_shift: npt.NDArray[np.int64],
        key: int,
    ) -> tuple[npt.NDArray[np.int64], int]:  # fmt: skip
        """Apply votes; see `Learner.update`."""
        from neurosim.reference.weights import update_weights

        new = update_weights(self.plan, full.astype(np.int64), votes, step, step_shift, key)
        counts = np.zeros((len(self.program.rows), N_COUNTERS), np.int64)
        for connection, n in zip(self.plan.connections, new.n_changed, strict=True):
            counts[len(self.program.group_names) + connection, COLUMN["weight_updates"]] = n
        full[:] = new.full
        self.load(full)
        return counts, new.n_saturated

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
