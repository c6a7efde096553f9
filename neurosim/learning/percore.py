"""Where on the chip a generation of learning happens, core by core."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from neurosim.codes import NEURON_GROUP, NEURON_RESIDUAL
from neurosim.costs.corecounts import COUNTED, OUTSIDE, SYNAPTIC
from neurosim.costs.deliveries import deliveries_of, spread
from neurosim.counters import COLUMN, LEARNING
from neurosim.errors import ConfigError
from neurosim.learning.trainer import Trainer
from neurosim.learning.weights import learned_weights
from neurosim.learnplan import LearnPlan, Squares, learned_neurons
from neurosim.mapping.layout import ROUTE_COLUMNS
from neurosim.network import Connection, Conv
from neurosim.program import Program

if TYPE_CHECKING:
    from neurosim.reference.run import Chip

#: What is counted at a core, beside synaptic operations.
NAMES = (*COUNTED, *LEARNING)


@dataclass(frozen=True, eq=False)
class LearningByCore:
    """Operations of one generation, all runs of all candidates included, exact.

    Parameters
    ----------
    generation : int
        Its number, from 0.
    cores : tuple of int
        Numbers of the cores in use.
    kinds : tuple of str
        Kinds of connections (`neurosim.program.Program.kinds`).
    operations : (n_cores + 1, len(NAMES)) int64
        `NAMES`; the last row is the world outside, where input lines are.
    synaptic : (n_cores, n_kinds) int64
        Synaptic operations.
    n_samples, n_steps : int
        Samples learned from, and steps of the chip over all runs; each ends with a barrier.
    """

    generation: int
    cores: tuple[int, ...]
    kinds: tuple[str, ...]
    operations: npt.NDArray[np.int64]
    synaptic: npt.NDArray[np.int64]
    n_samples: int
    n_steps: int

    def total(self, name: str) -> int:
        """Sum of one of `NAMES`, or of "synaptic_operations", over all cores and input lines."""
        return int(self.synaptic.sum() if name == SYNAPTIC else self.operations[:, NAMES.index(name)].sum())

    def of(self, core: int | str, name: str) -> int:
        """One of `NAMES`, or "synaptic_operations", of a core or of "outside"."""
        row = len(self.cores) if core == OUTSIDE else self.cores.index(int(core))
        if name == SYNAPTIC:
            return 0 if core == OUTSIDE else int(self.synaptic[row].sum())
        return int(self.operations[row, NAMES.index(name)])

    def by_core(self) -> dict[int | str, dict[str, int]]:
        """What each core, and the world outside, did: `NAMES` and "synaptic_operations", where not 0."""
        owners: Iterable[int | str] = (*self.cores, OUTSIDE)
        return {owner: {name: n for name in (SYNAPTIC, *NAMES) if (n := self.of(owner, name))} for owner in owners}

    def by_kind(self, core: int) -> dict[str, int]:
        """Synaptic operations of a core by kind of connection, those that occur."""
        found = self.synaptic[self.cores.index(core)].tolist()
        return {kind: n for kind, n in zip(self.kinds, found, strict=True) if n}


def learning_by_core(trainer: Trainer) -> LearningByCore:
    """Return where the operations of a generation happen: a trainer's next one, or its last again if it is done.

    The trainer stays as it is.

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
    program, plan, g = trainer.program, trainer.plan, min(trainer.generation, trainer.n_generations - 1)
    twin = Learner(
        program, plan, trainer.scales, learned_weights(program, plan, trainer.full),
        learned_neurons(program, plan, trainer.full, trainer.actual),
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
    return _by_core(g, program, twin.chip, spent, len(found.predictions))


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


def _by_core(
    generation: int, program: Program, chip: Chip, spent: npt.NDArray[np.int64], n_samples: int
) -> LearningByCore:
    """Add up what happened at each neuron on its core, and what its spikes did at the cores that they reached."""
    deliveries = deliveries_of(program)
    kinds = tuple(dict.fromkeys(reach.kind for reach in deliveries.reaches))
    n_cores, neurons = deliveries.n_cores, np.arange(len(chip.fired_at))
    at = np.zeros((len(neurons), len(NAMES)), np.int64)
    inside = deliveries.core < n_cores  # input lines are not updated
    at[:, NAMES.index("neuron_updates_active")] = chip.active_at
    at[:, NAMES.index("neuron_updates_idle")] = inside * (chip.n_run - chip.active_at)
    at[:, NAMES.index("spikes")] = chip.fired_at
    for column, name in enumerate(ROUTE_COLUMNS):
        if name != "synapse_bits_read":  # counted where it is read
            at[:, NAMES.index(name)] = chip.fired_at * program.mapping.route[:, column].astype(np.int64)
    for name in LEARNING:
        at[:, NAMES.index(name)] = spent[COLUMN[name]]
    operations = np.zeros((n_cores + 1, len(NAMES)), np.int64)
    np.add.at(operations, deliveries.core, at)
    fired, delivered = (np.repeat(neurons, times) for times in (chip.fired_at, chip.delivered_at))
    sent = spread(deliveries, kinds, np.zeros(len(fired), np.int64), fired, 1)
    operations[:n_cores, NAMES.index("messages_in")] = sent.arrived[0]
    operations[:n_cores, NAMES.index("synapse_bits_read")] = sent.bits[0]
    met = spread(deliveries, kinds, np.zeros(len(delivered), np.int64), delivered, 1)
    cores = tuple(use.core for use in program.mapping.cores)
    return LearningByCore(generation, cores, kinds, operations, met.synapses[0], n_samples, chip.n_run)
