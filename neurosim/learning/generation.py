"""What a generation is given and what it gives: the types that learners of all backends share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from neurosim.aims import FitnessFunction
from neurosim.codes import (
    STAT_DRIVE,
    STAT_DRIVE_STEPS,
    UPDATE_SIGNIFICANCE,
)
from neurosim.counters import COLUMN
from neurosim.errors import DataError
from neurosim.events import Events
from neurosim.learnplan import LearnPlan, Scales, Squares
from neurosim.network import LIF
from neurosim.program import Program


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

    def set_thresholds(self, groups: Mapping[str, LIF]) -> None:
        """Give neurons other thresholds than the program's, by name of the group; called before anything is loaded."""
        ...

    def show(self, events: Events) -> None:
        """Take other input spikes for the same training samples."""
        ...

    def close(self) -> None:
        """Free threads and memory."""
        ...


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
