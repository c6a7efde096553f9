"""Operations of learning, core by core: their sums are the counts of the same generation on any backend."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurosim.chip import load_chip
from neurosim.compile_network import compile
from neurosim.config import TrainConfig, override
from neurosim.costs.corecounts import OUTSIDE, SYNAPTIC
from neurosim.costs.percore import core_energy
from neurosim.counters import COLUMN, OpCounts
from neurosim.energy import energy, load_energy_table
from neurosim.errors import ConfigError
from neurosim.experiment import prepare_program
from neurosim.learning.build import READOUT, run_steps
from neurosim.learning.percore import NAMES, LearningByCore, learning_by_core
from neurosim.learning.trainer import Trainer
from neurosim.tasks import load_task

RULES = (
    ("response", "trace", ()),
    ("scalar", "trace", ("rule.biases=true",)),
    ("scalar", "random", ("rule.rank=2", "rule.thresholds=true")),
    ("scalar", "full", ("rule.biases=true",)),
    ("response", "trace", ("network.convolutions=['2c3s2']",)),
)


def opened(form: str, factor: str, more: tuple[str, ...], backend: str = "reference") -> Trainer:
    """Return a trainer of a few neurons on cores that hold five of them."""
    lines = ["network.hidden=[8]", "network.n_steps=4", "batch=3", "rule.warmup=1", "rule.pairs=2"]
    config = override(TrainConfig(), [*lines, f"rule.form={form}", f"rule.factor={factor}", *more])
    task = load_task("digits", n_steps=4, augment=False)
    program, _ = prepare_program(config, task)
    small = replace(load_chip("loihi1"), compartments_per_core=7 if more and "convolutions" in more[0] else 5)
    ids = np.arange(9)
    return Trainer(
        compile(program.network, small), READOUT, config.rule, task.train_events.take(ids), task.train_labels[ids],
        n_steps=run_steps(config.network), n_generations=40, batch=3, seed=1, backend=backend,
    )  # fmt: skip


@pytest.mark.parametrize(("form", "factor", "more"), RULES)
def test_sums_over_cores_are_the_counts_of_the_generation(form: str, factor: str, more: tuple[str, ...]) -> None:
    with opened(form, factor, more) as trainer:
        trainer.step()
        before = None if trainer.counts is None else trainer.counts.copy()
        weights = trainer.full.copy()
        found = learning_by_core(trainer)
        np.testing.assert_array_equal(trainer.full, weights)  # it only looks
        again = learning_by_core(trainer)
        trainer.step()
        assert before is not None and trainer.counts is not None
        spent = trainer.counts - before
    for name in (SYNAPTIC, *NAMES):
        if name != "messages_in":
            assert found.total(name) == spent[:, COLUMN[name]].sum(), name
        assert found.total(name) == again.total(name)
    assert found.total("messages_in") == found.total("messages") + found.total("messages_local")
    counts = OpCounts(trainer.program.rows, spent, 3, found.n_steps, trainer.program.kinds)
    for table in map(load_energy_table, ("loihi1-davies2018", "loihi1-sanafe2026")):
        cores = core_energy(found, table)
        parts = [pj for each in cores.values() for pj in each.values() if pj is not None]
        assert sum(parts) == pytest.approx(energy(counts, table).total_pj)
    assert found.generation == 1 and found.total("votes") > 0 and found.total("weight_updates") > 0
    assert len(found.cores) == len(trainer.program.mapping.cores) > 1


def test_the_simulator_learns_where_the_reference_does() -> None:
    def first(backend: str) -> LearningByCore:
        with opened(*RULES[0], backend=backend) as trainer:
            trainer.step()
            return learning_by_core(trainer)

    one, twin = first("simulator"), first("reference")
    np.testing.assert_array_equal(one.operations, twin.operations)
    np.testing.assert_array_equal(one.synaptic, twin.synaptic)


def test_neurons_of_a_core_vote_on_that_core() -> None:
    with opened(*RULES[0]) as trainer:
        trainer.step()
        found = learning_by_core(trainer)
        core, offsets = trainer.program.mapping.core, trainer.program.network.offsets
        readout = core[offsets[READOUT] : offsets[READOUT] + trainer.program.network.group(READOUT).n]
        inputs = trainer.program.network.n_inputs
    # traces of a sample are the same for every neuron of a layer, so a layer's votes are spread evenly over its neurons
    neurons = np.bincount(core[inputs:], minlength=len(found.cores))
    mixed = set(readout.tolist()) & set(core[inputs : inputs + 8].tolist())
    alone = [c for c in set(readout.tolist()) - mixed]
    per_neuron = {found.of(c, "votes") / neurons[c] for c in alone}
    assert len(alone) > 0 and len(per_neuron) == 1
    assert found.of(OUTSIDE, "trace_updates") > 0 and found.of(OUTSIDE, "votes") == 0


def test_a_trainer_that_has_not_begun_is_refused() -> None:
    with opened(*RULES[0]) as trainer, pytest.raises(ConfigError, match="0 generations, need at least 1"):
        learning_by_core(trainer)
