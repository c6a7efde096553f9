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

from neurosim.aims import Aims, FitnessFunction, ask, check_labels, check_targets
from neurosim.backend import LearningBackend, check_features, check_threads, check_values, get_backend
from neurosim.codes import (
    CONV_FIRST,
    FACTOR_FULL,
    FIRST_FACTOR,
    FIT_USER,
    FORM_RESPONSE,
    KIND,
    KIND_BIAS,
    KIND_KERNEL,
    KIND_ROWS,
    N_STATISTICS,
    N_TOTALS,
    NEURON_GROUP,
    NEURON_KIND,
    NEURON_RESIDUAL,
    PASS_LOOK,
    PASS_VOTE,
    PASS_WHOLE,
    START,
    STAT_DRIVE,
    STAT_DRIVE_STEPS,
    STOP,
    TARGET,
    UPDATE_SIGNIFICANCE,
    WEIGHT_BITS,
    WINDOWS_ONE,
)
from neurosim.counters import COLUMN, N_COUNTERS
from neurosim.errors import BackendError, ConfigError, DataError, FeatureError
from neurosim.events import Events, check_events
from neurosim.fixedpoint import ARITHMETICS, INPUT_SHIFT, lost_weight_bits
from neurosim.goals import RESPONSE_BITS, Goal
from neurosim.layerplan import lay_lanes
from neurosim.learning.scratch import LearnModels, Terms, make_learn_scratch, make_terms, make_update_work
from neurosim.learnplan import LearnPlan, Scales, Squares, described_weights, learned_neurons
from neurosim.linkplan import copy_chip, is_layered, store_weights
from neurosim.logtables import log_tables
from neurosim.network import LIF, Connection
from neurosim.normaltable import normal_table
from neurosim.program import Program
from neurosim.scratch import Scratch, make_model_scratch, make_scratch

EVALUATE, UPDATE = 1, 2  # phases of a generation
WAITS = os.environ.get("NUMBA_DISABLE_JIT", "0") != "1"  # compiled threads can wait for each other inside a kernel


class Outcome(NamedTuple):
    """What the samples of one generation give."""

    votes: npt.NDArray[np.int64]  # (n_learned,) sum over samples and pairs; (0,) where they were applied at once
    measured: npt.NDArray[np.int64]  # (R, C, N) sum of (readout of plus - readout of minus) x post factor
    predictions: npt.NDArray[np.int64]  # (B,) class of the unperturbed run, or (B, R) where windows have answers
    statistics: npt.NDArray[np.int64]  # (5, max(G, N_TOTALS)) rows STAT_*
    counts: npt.NDArray[np.int64] | None  # (rows, N_COUNTERS); None where the backend counts no operations
    row_squares: npt.NDArray[np.int64] | None = None  # see `Squares`; None where votes were applied at once
    column_squares: npt.NDArray[np.int64] | None = None
    neuron_squares: npt.NDArray[np.int64] | None = None
    n_terms: int | None = None

    @property
    def squares(self) -> Squares | None:
        """What updates by significance need to know beside the votes."""
        rows, columns, neurons, n_terms = self.row_squares, self.column_squares, self.neuron_squares, self.n_terms
        if rows is None or columns is None or neurons is None or n_terms is None:
            return None
        return Squares(rows, columns, n_terms, neurons)


class Extra(NamedTuple):
    """What a learner gets beside labels."""

    targets: npt.NDArray[np.int32] = np.zeros((0, 0, 0), np.int32)  # (n_samples, n_steps, C) for fitness "trace"
    fitness: FitnessFunction | None = None  # for fitness "function"


NO_EXTRA = Extra()


class Memory(NamedTuple):
    """What pairs measured so far: the response of each readout to each neuron. Arrays change in place."""

    accumulated: npt.NDArray[np.int64]  # (R, C, N) a leaky sum
    response: npt.NDArray[np.int32]  # (R, C, N) its upper bits
    leak: int  # it forgets 2**-leak in each generation


class Step(NamedTuple):
    """How votes become weights in one generation."""

    size: int  # an integer that decays over the run; where weights move by signs, times the step in 1/256
    shift: npt.NDArray[np.int64]  # (P + Q,) change = vote * size >> shift; with momentum vote >> shift is averaged
    key: int  # names the rounding noise
    power: npt.NDArray[np.int64] = np.zeros(0, np.int64)  # (F,) by row, changed in place; (0,): one step for all rows
    memory: int = 0  # the power forgets 2**-memory in each generation
    age: int = 1  # generations that it holds, this one included
    z: int = 0  # standard deviations in 1/256 beyond which a vote is significant
    average: npt.NDArray[np.int16] = np.zeros(0, np.int16)  # (n_learned,) with momentum: the averages; written


class Chance(NamedTuple):
    """As `Squares`, in roots: what `neurosim.kernels.directions.keep_significant` compares votes with."""

    z: int
    rows: npt.NDArray[np.int64]  # (F,) root of the mean square, in 1/256
    columns: npt.NDArray[np.int64]  # (L,) root of the sum of squares, in 1/16


def no_chance() -> Chance:
    """Return what updates that do not ask for significance get."""
    return Chance(0, np.zeros(0, np.int64), np.zeros(0, np.int64))


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

    def update(
        self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: Step, squares: Squares | None = None
    ) -> Updated:
        """Apply votes to `full` (in place) and to the chip; by significance, with the votes' squares."""
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

    any_goal = True  # every kind of fitness

    def __init__(
        self, program: Program, plan: LearnPlan, events: Events, labels: npt.NDArray[np.int64], threads: int,
        extra: Extra = NO_EXTRA,
    ) -> None:  # fmt: skip
        self.program, self.plan, self.events, self.extra = program, plan, events, extra
        self.labels = np.ascontiguousarray(labels.reshape(len(labels), -1), np.int64)
        self.chip = copy_chip(program, plan)
        self.arrays, links = self.chip.arrays, self.chip.links
        self.lanes = lay_lanes(program)
        self.shared = np.zeros((threads, 0 if links is None else len(links.kernels)), np.int32)
        self.work = [make_learn_scratch(program, plan, self.lanes) for _ in range(threads)]
        size = plan.n_weights if plan.factor >= FACTOR_FULL else 0
        self.votes = np.zeros((threads if size else 0, size), np.int32)
        self.measured = np.zeros((threads, plan.rank, plan.n_classes, program.network.n_neurons), np.int64)
        for number in range(threads):
            own = {"measured": self.measured[number], "shared": self.shared[number]} | (
                {"votes": self.votes[number]} if size else {}
            )
            self.work[number] = self.work[number]._replace(**own)
        # A network without circles, of plain neurons, runs layer by layer and needs no state between steps.
        layered = len(self.lanes.order) > 0 and is_layered(program)
        self.scratch: list[Scratch | None] = [None] * threads
        self.models: list[LearnModels | None] = [None] * threads
        if not layered:
            self.scratch = [make_scratch(self.arrays)._replace(sent=work.sent) for work in self.work]
        if not layered and self.chip.models is not None:
            self.models = [
                LearnModels(self.chip.models, make_model_scratch(self.arrays, self.chip.models), spike_values(events))
                for _ in range(threads)
            ]
        self.update_work = [make_update_work(program, plan) for _ in range(threads)]
        self.terms = make_terms(plan, self.lanes, 0)
        self.pool = ThreadPoolExecutor(threads)

    def evaluate(
        self, ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales, key: int
    ) -> Outcome:
        """Run the population; see `Learner.evaluate`."""
        memory = Memory(np.zeros(response.shape, np.int64), response, 0)
        none = np.zeros(0, np.int32)
        ((outcome, _),) = self._run(EVALUATE, none, memory, ids[None], scales, [key], [self._no_step()])
        return self._evaluated(outcome)

    def _evaluated(self, outcome: Outcome) -> Outcome:
        """Sum up what the threads left."""
        neurons = np.sum([work.neuron_squares for work in self.work], axis=0)
        rows, columns = self._squares()
        lanes = np.concatenate(
            [
                np.arange(first, first + row[STOP] - row[START])
                for first, row in zip(self.lanes.first, self.arrays.group, strict=True)
            ]
        )
        n_terms = self.terms.pre.shape[0] * self.terms.pre.shape[1]
        return outcome._replace(
            votes=self._votes(), row_squares=rows, column_squares=columns[lanes], neuron_squares=neurons, n_terms=n_terms
        )  # fmt: skip

    def _squares(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the sums of squares of the terms, by source and by lane."""
        from neurosim.kernels.directions import sum_squares

        rows, columns = np.zeros(int(self.plan.plastic[-1, FIRST_FACTOR]), np.int64), np.zeros(self.lanes.n, np.int64)
        sum_squares(self.terms.pre, self.terms.post, rows, columns)
        return rows, columns

    def learn(
        self, full: npt.NDArray[np.int32], memory: Memory, ids: npt.NDArray[np.int64], scales: Scales, keys: Sequence[int],
        steps: Sequence[Step],
    ) -> list[tuple[Outcome, Updated]]:  # fmt: skip
        """Run generations; see `Learner.learn`."""
        one_by_one = self.plan.update == UPDATE_SIGNIFICANCE or self.plan.n_learned > self.plan.n_weights
        one_by_one = (
            one_by_one or self.chip.links is not None
        )  # whose weights are brought into their formats in between
        if WAITS and not one_by_one and self.extra.fitness is None:
            return self._run(EVALUATE | UPDATE, full, memory, ids, scales, keys, steps)
        found = []
        for g, step in enumerate(steps):  # threads cannot wait for each other: one phase at a time
            ((outcome, _),) = self._run(EVALUATE, full, memory, ids[g : g + 1], scales, keys[g : g + 1], [step])
            chance, squares = no_chance(), self._no_votes()
            if self.plan.update == UPDATE_SIGNIFICANCE:
                chance = self._chance(step.z, *self._squares(), self.terms.pre.shape[0] * self.terms.pre.shape[1])
                squares = self._neuron_squares()
            ((_, updated),) = self._run(UPDATE, full, memory, ids[g : g + 1], scales, keys[g : g + 1], [step], chance)
            store_weights(self.chip, self.plan, full, every=False)
            n_saturated = self._update_neurons(full, self._neuron_votes(), squares, step, updated.counts)
            found.append((outcome, updated._replace(n_saturated=updated.n_saturated + n_saturated)))
        return found

    def _no_step(self) -> Step:
        return Step(0, np.zeros(len(self.plan.connections), np.int64), 0)

    def _no_votes(self) -> npt.NDArray[np.int64]:
        return np.zeros(self.plan.n_learned - self.plan.n_weights, np.int64)

    def _neuron_votes(self) -> npt.NDArray[np.int64]:
        return np.asarray(np.sum([work.neuron_votes for work in self.work], axis=0), dtype=np.int64)

    def _neuron_squares(self) -> npt.NDArray[np.int64]:
        return np.asarray(np.sum([work.neuron_squares for work in self.work], axis=0), dtype=np.int64)

    @staticmethod
    def _chance(z: int, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], n_terms: int) -> Chance:
        from neurosim.kernels.directions import take_roots

        take_roots(n_terms, rows, columns)
        return Chance(z, rows, columns)

    def _update_neurons(
        self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], squares: npt.NDArray[np.int64], step: Step,
        counts: npt.NDArray[np.int64],
    ) -> int:  # fmt: skip
        """Apply votes to biases and thresholds; return how many met the end of their range."""
        from neurosim.kernels.neuron_params import update_neurons

        if self.plan.n_learned == self.plan.n_weights:
            return 0
        with np.errstate(over="ignore"):
            n_saturated = update_neurons(
                self.arrays, self.lanes, self.plan, votes, squares, full, step.size, step.shift, np.uint64(step.key), step.z,
                step.average, counts,
            )  # fmt: skip
        self._load_neurons(full)
        return int(n_saturated)

    def _run(
        self, phases: int, full: npt.NDArray[np.int32], memory: Memory, ids: npt.NDArray[np.int64], scales: Scales,
        keys: Sequence[int], steps: Sequence[Step], chance: Chance | None = None,
    ) -> list[tuple[Outcome, Updated]]:  # fmt: skip
        """Run generations, or a phase of one, on all threads; in two passes where a function of the user's comes between."""
        check_batch(ids.ravel(), memory.response, self.plan, self.program, self.events)
        ids, goal = np.ascontiguousarray(ids, np.int64), self.plan.goal
        n_samples, function = ids.shape[1], self.extra.fitness
        nothing = np.zeros((n_samples, 1, 1, 1, 1), np.int64)
        aims = Aims(self.labels, self.extra.targets, nothing, np.zeros((n_samples, 0), np.int64))
        if function is None or phases != EVALUATE:
            return self._pass(PASS_WHOLE, aims, phases, full, memory, ids, scales, keys, steps, chance)
        shape = (n_samples, 1 + 2 * self.plan.n_pairs, 3, goal.n_windows, self.plan.n_classes)
        aims = aims._replace(seen=np.zeros(shape, np.int64))
        ((looked, _),) = self._pass(PASS_LOOK, aims, phases, full, memory, ids, scales, keys, steps)
        aims = aims._replace(given=ask(function, aims.seen, ids[0]))
        ((voted, updated),) = self._pass(PASS_VOTE, aims, phases, full, memory, ids, scales, keys, steps)
        return [(joined(looked, voted), updated)]

    def _pass(
        self, number: int, aims: Aims, phases: int, full: npt.NDArray[np.int32], memory: Memory, ids: npt.NDArray[np.int64],
        scales: Scales, keys: Sequence[int], steps: Sequence[Step], chance: Chance | None = None,
    ) -> list[tuple[Outcome, Updated]]:  # fmt: skip
        """Run generations once."""
        from neurosim.kernels.generations import run_generations

        n_threads, (n_generations, n_samples), table = len(self.work), ids.shape, log_tables()
        if self.terms.n_samples != n_samples:
            self.terms = make_terms(self.plan, self.lanes, n_samples)
        predictions = np.zeros((*ids.shape, self.plan.goal.n_windows), np.int64)
        shape = (N_STATISTICS, max(len(self.program.group_names), N_TOTALS))
        statistics = np.zeros((n_generations, n_threads, *shape), np.int64)
        counts = np.zeros((n_generations, n_threads, len(self.program.rows), N_COUNTERS), np.int64)
        written, saturated = np.zeros_like(counts), np.zeros((n_generations, n_threads), np.int64)
        arrived = np.zeros(1, np.int64)
        sizes = np.array([step.size for step in steps], np.int64)
        pair_keys, rounding_keys = np.array(keys, np.uint64), np.array([step.key for step in steps], np.uint64)
        step, known, links = steps[0], chance or no_chance(), self.chip.links

        def block(thread: int) -> None:
            run_generations(
                thread, n_threads, phases, number, aims, arrived, self.arrays, self.lanes, self.scratch[thread], self.work[thread],
                self.plan, scales, memory.response, memory.accumulated, self.measured, memory.leak, RESPONSE_BITS, ids,
                self.events.start, self.events.neuron, self.events.n_steps, pair_keys, table.exp2,
                table.log2, normal_table(), self.terms.pre, self.terms.post, self.votes, full, sizes, step.shift,
                rounding_keys, step.power, step.memory, step.age, known, step.average, *self.update_work[thread], predictions, statistics,
                saturated, written, counts, links, self.models[thread], None if links is None else self.shared,
            )  # fmt: skip

        self._in_threads(block)
        measured = self.measured.sum(axis=0) if phases == EVALUATE else np.zeros(0, np.int64)
        if self.plan.goal.windows == WINDOWS_ONE:
            predictions = predictions[:, :, 0]
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

        def quietly(number: int) -> None:
            with np.errstate(over="ignore"):  # hashes wrap; every thread has settings of its own
                block(number)

        others = [self.pool.submit(quietly, number) for number in range(1, len(self.work))]
        quietly(0)
        for other in others:
            other.result()

    def _votes(self) -> npt.NDArray[np.int64]:
        """Sum the votes up, for those who want to see them."""
        parts = []
        for c, connection in enumerate(self.plan.connections):
            if self.plan.plastic[c, KIND] != KIND_ROWS:
                parts.append(self._link_votes(c))
                continue
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
        summed = self.votes.sum(axis=0, dtype=np.int64) if len(self.votes) else np.zeros((), np.int64)
        return np.concatenate([np.concatenate(parts) + summed, self._neuron_votes()])

    def _link_votes(self, c: int) -> npt.NDArray[np.int64]:
        """Sum up the votes of stored synapses, or of a convolution's kernel."""
        links, connection = self.chip.links, self.plan.connections[c]
        n = self.plan.votes_of(c).stop - self.plan.votes_of(c).start
        assert links is not None
        if self.plan.plastic[c, KIND] == KIND_KERNEL:
            first = int(links.conv[links.conv_of[connection], CONV_FIRST])
            summed = self.shared.sum(axis=0, dtype=np.int64)
            return np.asarray(summed[first + links.place[first : first + n]])
        start = links.start[links.row[c] :][: int(np.diff(self.plan.plastic[c : c + 2, FIRST_FACTOR])[0]) + 1]
        pre = int(self.plan.plastic[c, FIRST_FACTOR]) + np.repeat(np.arange(len(start) - 1), np.diff(start))
        post = int(self.lanes.first[self.arrays.conn[connection, TARGET]]) + links.target[start[0] : start[-1]]
        votes = np.zeros(n, np.int64)
        for factors, local in zip(self.terms.pre, self.terms.post, strict=True):
            for factor, vote in zip(factors, local, strict=True):
                votes += factor[pre].astype(np.int64) * vote[post]
        return votes

    def update(
        self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: Step, squares: Squares | None = None
    ) -> Updated:
        """Apply votes; see `Learner.update`."""
        check_squares(self.plan, squares)
        limit = np.iinfo(np.int32)
        if votes.size and not limit.min <= int(votes.min()) <= int(votes.max()) <= limit.max:
            raise DataError(f"votes: {int(np.abs(votes).max())} is beyond 32 bits; lower the batch")
        terms, n_weights, chance, neurons = (
            make_terms(self.plan, self.lanes, 0),
            self.plan.n_weights,
            no_chance(),
            self._no_votes(),
        )
        if squares is not None:
            columns = np.zeros(self.lanes.n, np.int64)
            for first, row in zip(self.lanes.first, self.arrays.group, strict=True):
                columns[first : first + row[STOP] - row[START]] = squares.columns[row[START] : row[STOP]]
            chance, neurons = self._chance(step.z, squares.rows.copy(), columns, squares.n_terms), squares.neurons
        updated = self._update(full, terms, votes[:n_weights].astype(np.int32)[None], chance, step)
        n_saturated = self._update_neurons(full, votes[n_weights:], neurons, step, updated.counts)
        return updated._replace(n_saturated=updated.n_saturated + n_saturated)

    def _update(
        self, full: npt.NDArray[np.int32], terms: Terms, votes: npt.NDArray[np.int32], chance: Chance, step: Step
    ) -> Updated:
        """Apply votes of weights that are summed up already."""
        from neurosim.kernels.weights import update_rows

        n_threads, n_rows, links = len(self.work), int(self.plan.plastic[-1, FIRST_FACTOR]), self.chip.links
        shared = None if links is None else self.shared[:0]
        counts = np.zeros((n_threads, len(self.program.rows), N_COUNTERS), np.int64)
        saturated = np.zeros(n_threads, np.int64)

        def block(number: int) -> None:
            saturated[number] = update_rows(
                self.arrays, self.lanes, self.plan, terms.pre, terms.post, votes, n_rows * number // n_threads,
                n_rows * (number + 1) // n_threads, full, step.size, step.shift, np.uint64(step.key), step.power, step.memory, step.age,
                chance, step.average, *self.update_work[number], counts[number], links, shared,
            )  # fmt: skip

        self._in_threads(block)
        store_weights(self.chip, self.plan, full, every=False)
        return Updated(counts.sum(axis=0), int(saturated.sum()))

    def remember(self, measured: npt.NDArray[np.int64], memory: Memory) -> None:
        """Keep the response; see `Learner.remember`."""
        from neurosim.kernels.response import remember

        remember(self.arrays, self.plan, measured, memory.accumulated, memory.response, memory.leak, RESPONSE_BITS)

    def load(self, full: npt.NDArray[np.int32]) -> None:
        """Put weights on the chip; see `Learner.load`."""
        store_weights(self.chip, self.plan, full, every=True)
        self._load_neurons(full)

    def _load_neurons(self, full: npt.NDArray[np.int32]) -> None:
        """Write learned biases and thresholds to the lanes."""
        below = int(ARITHMETICS[self.program.arithmetic].fires_at_threshold)
        for q, row in enumerate(self.plan.neuron[:-1]):
            lane = int(self.lanes.first[row[NEURON_GROUP]])
            register = full[self.plan.votes_of_neurons(q)] >> int(row[NEURON_RESIDUAL]) << INPUT_SHIFT
            here = slice(lane, lane + len(register))
            if row[NEURON_KIND] == KIND_BIAS:
                self.lanes.bias[here] = register
            else:
                self.lanes.threshold[here] = register - below
                self.lanes.half[here] = (register - below) // 2

    def show(self, events: Events) -> None:
        """Take other input spikes; see `Learner.show`."""
        self.events = check_events(events, self.program.network.n_inputs)
        values = spike_values(self.events)
        self.models = [None if models is None else models._replace(event_value=values) for models in self.models]

    def close(self) -> None:
        """End the worker threads."""
        self.pool.shutdown()


def spike_values(events: Events) -> npt.NDArray[np.int32]:
    """Return the value of each input spike; nothing if all are 1."""
    return np.zeros(0, np.int32) if events.value is None else events.value


class TwinUpdates(ABC):
    """Weights kept on the host and changed by the numpy twin: what learners share whose backend only runs members."""

    program: Program
    plan: LearnPlan
    weights: dict[str, npt.NDArray[np.int64]]
    neurons: dict[str, LIF]

    def update(
        self, full: npt.NDArray[np.int32], votes: npt.NDArray[np.int64], step: Step, squares: Squares | None = None
    ) -> Updated:
        """Apply votes; see `Learner.update`."""
        from neurosim.reference.weights import update_weights

        check_squares(self.plan, squares)
        power = step.power if len(step.power) else None
        new = update_weights(
            self.plan,
            full.astype(np.int64),
            votes,
            step.size,
            step.shift,
            step.key,
            power,
            step.memory,
            step.age,
            step.z,
            step.average,
            squares,
            self.program,
        )
        counts = np.zeros((len(self.program.rows), N_COUNTERS), np.int64)
        places = [*(len(self.program.group_names) + self.plan.connections), *self.plan.neuron[:-1, NEURON_GROUP]]
        for place, n in zip(places, new.n_changed, strict=True):
            counts[place, COLUMN["weight_updates"]] += n
        full[:] = new.full
        step.average[:] = new.averages
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
            found.append((outcome, self.update(full, outcome.votes, step, outcome.squares)))
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
        self.neurons = learned_neurons(self.program, self.plan, full)


class ReferenceLearner(TwinUpdates):
    """Learning on the numpy twins."""

    any_goal = True

    def __init__(
        self, program: Program, plan: LearnPlan, events: Events, labels: npt.NDArray[np.int64], threads: int,
        extra: Extra = NO_EXTRA,
    ) -> None:  # fmt: skip
        self.program, self.plan, self.events, self.labels, self.extra = program, plan, events, labels, extra
        self.inputs = events.to_values()
        self.weights: dict[str, npt.NDArray[np.int64]] = {}
        self.neurons: dict[str, LIF] = {}

    def evaluate(
        self, ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales, key: int
    ) -> Outcome:
        """Run the population; see `Learner.evaluate`."""
        from neurosim.reference.learn import Learner as Twin

        check_batch(ids, response, self.plan, self.program, self.events)
        targets = self.extra.targets if len(self.extra.targets) else None
        given, looked = None, None
        if self.extra.fitness is not None:
            first = Twin(self.program, self.plan, scales, self.weights, self.neurons)
            given = ask(self.extra.fitness, first.look(ids, self.inputs, key), ids)
            looked = Outcome(first.votes, first.measured, ids, first.statistics, first.chip.counts)
        twin = Twin(self.program, self.plan, scales, self.weights, self.neurons)
        found = twin.learn(ids, self.labels, self.inputs, response.astype(np.int64), key, targets, given)
        rows, columns, n_terms, neurons = found.squares
        outcome = Outcome(*found[:-1], rows, columns, neurons, n_terms)
        return outcome if looked is None else joined(looked, outcome)

    def show(self, events: Events) -> None:
        """Take other input spikes; see `Learner.show`."""
        self.events = check_events(events, self.program.network.n_inputs)
        self.inputs = self.events.to_values()

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
    check_values(program.network, events)
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


def check_squares(plan: LearnPlan, squares: Squares | None) -> None:
    """Refuse votes of which nobody knows how large they are by chance."""
    if plan.update == UPDATE_SIGNIFICANCE and squares is None:
        raise DataError(
            "votes: update 'significance' needs the squares of what they are made of; give those of the outcome"
        )


def learned_weights(program: Program, plan: LearnPlan, full: npt.NDArray[np.int32]) -> dict[str, npt.NDArray[np.int64]]:
    """Return the chip weights of each plastic connection, in the shape of its description."""
    weights = {}
    for c, index in enumerate(plan.connections):
        connection = program.network.connections[index]
        assert not isinstance(connection, Connection)
        part = full[plan.votes_of(c)].astype(np.int64) >> plan.residual_bits
        shift = lost_weight_bits(int(plan.plastic[c, WEIGHT_BITS]), "mixed")
        weights[connection.name] = described_weights(connection, part << shift)
    return weights
