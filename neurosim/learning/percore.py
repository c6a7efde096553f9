"""Where on the chip the operations of learning happen, core by core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurosim.codes import NEURON_GROUP, NEURON_RESIDUAL
from neurosim.counters import COLUMN, N_COUNTERS
from neurosim.errors import ConfigError
from neurosim.learning.trainer import Trainer
from neurosim.learning.weights import learned_weights
from neurosim.learnplan import LearnPlan, Squares, learned_neurons
from neurosim.network import Connection, Conv
from neurosim.program import Program

#: Counters of learning; those of running the members are `neurosim.costs.percore`'s.
LEARNING = (
    "noise_draws",
    "perturbations",
    "trace_updates",
    "response_updates",
    "votes",
    "weight_updates",
    "reward_broadcasts",
)


@dataclass(frozen=True, eq=False)
class LearningByCore:
    """Operations of learning of one generation, exact.

    Parameters
    ----------
    generation : int
        Its number, from 0.
    cores : (n_cores, len(LEARNING)) int64
        Counters of `LEARNING` on each core.
    outside : (len(LEARNING),) int64
        The same at input lines, which lie outside the chip: their counts of spikes and their factors.
    """

    generation: int
    cores: npt.NDArray[np.int64]
    outside: npt.NDArray[np.int64]

    def total(self, counter: str) -> int:
        """Sum over all cores and input lines."""
        column = LEARNING.index(counter)
        return int(self.cores[:, column].sum() + self.outside[column])

    def of(self, core: int, counter: str) -> int:
        """One counter of one core."""
        return int(self.cores[core, LEARNING.index(counter)])


def learning_by_core(trainer: Trainer) -> LearningByCore:
    """Return where the operations of a trainer's next generation happen; the trainer stays as it is.

    Parameters
    ----------
    trainer : Trainer
        One that has run at least one generation, on any backend: all of them learn alike, bit for bit. The twin
        (`neurosim.reference.learn`) repeats the generation, which takes a while for large networks.

    Returns
    -------
    LearningByCore
        An operation counts at the neuron whose state or synapses it reads or writes: votes and written weights at the
        postsynaptic neuron, draws of pre factors and spike counts at the source. A scalar that is sent to a group, a draw for a whole
        group, and a weight that a convolution shares count once, on the core of the group's first neuron.

    Raises
    ------
    ConfigError
        If no generation was run, or the fitness is a function of the user's.
    """
    from neurosim.reference.learn import Learner
    from neurosim.reference.weights import update_weights

    if trainer.generation == 0:
        raise ConfigError("learning by core: the trainer has run 0 generations, need at least 1; call step() first")
    if trainer.fitness is not None:
        raise ConfigError(
            "learning by core: the fitness is a function of yours, which the twin does not call; use a built-in fitness"
        )
    program, plan, g = trainer.program, trainer.plan, trainer.generation
    twin = Learner(
        program, plan, trainer.scales, learned_weights(program, plan, trainer.full),
        learned_neurons(program, plan, trainer.full),
    )  # fmt: skip
    targets = None if trainer.targets is None else np.asarray(trainer.targets, dtype=np.int32)
    found = twin.learn(
        trainer.samples_of(g), trainer.labels.astype(np.int64), trainer.events_of(g).to_values(),
        trainer.response.astype(np.int64), trainer.key_of(g), targets,
    )  # fmt: skip
    spent = twin.spent
    for group in program.network.ordered_groups:
        start = program.network.offsets[group.name]
        n = int(found.counts[program.rows.index(group.name), COLUMN["perturbations"]])
        spent[COLUMN["perturbations"], start : start + group.n] = n // group.n  # each neuron gets every one
    step, full = trainer.step_of(g), trainer.full.astype(np.int64)
    power = step.power.copy() if len(step.power) else None  # a step writes it
    new = update_weights(
        plan, full, found.votes, step.size, step.shift, step.key, power, step.memory, step.age, step.z, step.average,
        Squares(*found.squares), program,
    )  # fmt: skip
    np.add.at(spent[COLUMN["weight_updates"]], *_written(program, plan, full, new.full))
    return _by_core(g, spent, program)


def _written(
    program: Program, plan: LearnPlan, old: npt.NDArray[np.int64], new: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the neurons at which values that learn were written anew, and how many at each."""
    from neurosim.reference.learn import links_of

    home = np.zeros(plan.n_learned, np.int64)  # neuron of each
    for c, index in enumerate(plan.connections):
        connection = program.network.connections[index]
        assert not isinstance(connection, Connection)
        first = program.network.offsets[connection.target]
        where = plan.votes_of(c)
        if isinstance(connection, Conv):
            home[where] = first
        else:
            (_, post), number = links_of(connection)
            home[where.start + number] = first + post
    residual = np.full(plan.n_learned, plan.residual_bits, np.int64)
    for q, row in enumerate(plan.neuron[:-1]):
        where = plan.votes_of_neurons(q)
        first = program.network.offsets[program.group_names[int(row[NEURON_GROUP])]]
        home[where] = first + np.arange(where.stop - where.start)
        residual[where] = int(row[NEURON_RESIDUAL])
    changed = (old >> residual) != (new >> residual)
    return home[changed], np.ones(int(changed.sum()), np.int64)


def _by_core(generation: int, spent: npt.NDArray[np.int64], program: Program) -> LearningByCore:
    core, n_cores = program.mapping.core, len(program.mapping.cores)
    columns = [COLUMN[name] for name in LEARNING]
    found = np.zeros((n_cores + 1, N_COUNTERS), np.int64)
    np.add.at(found, np.where(core < 0, n_cores, core), spent.T)
    return LearningByCore(generation, found[:n_cores, columns], found[n_cores, columns])
