"""Learners whose updates are the numpy twins: the reference, and the base of backends that evaluate elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from neurosim.aims import ask
from neurosim.codes import (
    FORM_RESPONSE,
    NEURON_GROUP,
)
from neurosim.counters import COLUMN, N_COUNTERS
from neurosim.errors import FeatureError
from neurosim.events import Events, check_events
from neurosim.goals import RESPONSE_BITS
from neurosim.learning.generation import (
    NO_EXTRA,
    Extra,
    Memory,
    Outcome,
    Step,
    Updated,
    check_batch,
    check_squares,
    joined,
)
from neurosim.learning.weights import learned_weights
from neurosim.learnplan import LearnPlan, Scales, Squares, learned_neurons
from neurosim.network import LIF
from neurosim.program import Program


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

    def set_thresholds(self, groups: Mapping[str, LIF]) -> None:
        """Refuse thresholds that the backend's copy of the program does not have; see `Learner.set_thresholds`."""
        raise FeatureError(
            f"{type(self).__name__}: runs neurons with the program's thresholds only; learn on a chip with other thresholds "
            f"(of {', '.join(groups)}) with the backend 'simulator' or 'reference'"
        )


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
        self.actual: dict[str, LIF] = {}

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

    def load(self, full: npt.NDArray[np.int32]) -> None:
        """Put weights on the chip; see `Learner.load`."""
        super().load(full)
        self.neurons = learned_neurons(self.program, self.plan, full, self.actual)

    def set_thresholds(self, groups: Mapping[str, LIF]) -> None:
        """Give neurons other thresholds; see `Learner.set_thresholds`."""
        self.actual = dict(groups)

    def show(self, events: Events) -> None:
        """Take other input spikes; see `Learner.show`."""
        self.events = check_events(events, self.program.network.n_inputs)
        self.inputs = self.events.to_values()

    def close(self) -> None:
        """Nothing is held."""
