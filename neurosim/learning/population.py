"""Evaluate a generation's population in compiled kernels, and apply its votes: the simulator's learner."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from neurosim.aims import Aims, ask
from neurosim.codes import (
    FACTOR_FULL,
    FIRST_FACTOR,
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
    STOP,
    TARGET,
    UPDATE_SIGNIFICANCE,
    WINDOWS_ONE,
)
from neurosim.counters import N_COUNTERS
from neurosim.errors import DataError
from neurosim.events import Events, check_events
from neurosim.fixedpoint import ARITHMETICS, INPUT_SHIFT
from neurosim.goals import RESPONSE_BITS
from neurosim.layerplan import lay_lanes
from neurosim.learning.generation import (
    NO_EXTRA,
    Chance,
    Extra,
    Memory,
    Outcome,
    Step,
    Updated,
    check_batch,
    check_squares,
    joined,
    no_chance,
)
from neurosim.learning.scratch import LearnModels, Terms, make_learn_scratch, make_terms, make_update_work
from neurosim.learnplan import LearnPlan, Scales, Squares
from neurosim.linkplan import copy_chip, has_lanes, is_layered, store_weights
from neurosim.logtables import log_tables
from neurosim.mapping.pack_models import threshold_of
from neurosim.network import LIF
from neurosim.normaltable import normal_table
from neurosim.program import Program
from neurosim.scratch import Scratch, make_model_scratch, make_scratch

EVALUATE, UPDATE = 1, 2  # phases of a generation
WAITS = os.environ.get("NUMBA_DISABLE_JIT", "0") != "1"  # compiled threads can wait for each other inside a kernel


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
            first = int(links.first[links.conv_of[connection]])
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

    def set_thresholds(self, groups: Mapping[str, LIF]) -> None:
        """Give neurons other thresholds; see `Learner.set_thresholds`."""
        if not has_lanes(self.program):
            raise DataError(
                f"network {self.program.network.name!r}: has other models than plain LIF, or convolutions in circles, whose "
                "thresholds are the program's; compile it with those wanted"
            )
        for g, group in enumerate(self.program.network.ordered_groups):
            if group.name in groups:
                first = int(self.lanes.first[g])
                register = threshold_of(groups[group.name], self.program.arithmetic)
                self.lanes.threshold[first : first + group.n] = register
                self.lanes.half[first : first + group.n] = register // 2

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
