"""Does training on Lava end with the simulator's weights, and how long do both take?"""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

import numpy as np

from benchmarks.measure import Cell, Options, Table
from neurosim.arrayfile import pack_arrays
from neurosim.backend import load_backend_class, registered
from neurosim.config import TrainConfig, override
from neurosim.errors import BackendError
from neurosim.experiment import prepare_program
from neurosim.learning.build import READOUT, run_steps
from neurosim.learning.trainer import Trainer
from neurosim.modelfile import Model, pack_model
from neurosim.program import Program
from neurosim.tasks import Task, load_task

FORMS = {"response": ["rule.pairs=1"], "scalar": ["rule.pairs=2"]}
COMMON = ["network.hidden=[32]", "network.n_steps=8", "batch=16", "rule.warmup=2", "augment=false"]
N_GENERATIONS, N_GENERATIONS_QUICK = 8, 1
N_SAMPLES = 256
BACKENDS = ("simulator", "lava")


class Trained(NamedTuple):
    """How a run ended, and the seconds that it took."""

    model: bytes
    state: bytes
    correct: int
    seconds: float


def tables(options: Options) -> list[Table]:
    """Train with both forms of the rule on both backends, and compare the ends byte by byte."""
    columns = ("form", "generations", "members run", "Lava steps", "simulator, s", "Lava, s", "same model and state")
    n_generations = N_GENERATIONS_QUICK if options.quick else N_GENERATIONS
    note = _why_not_lava()
    rows: list[list[Cell]] = []
    for form, lines in FORMS.items() if not note else ():
        config = override(TrainConfig(seed=options.seed), [*COMMON, *lines, f"rule.form={form}"])
        task = load_task("digits", n_steps=config.network.n_steps, augment=False)
        program, _ = prepare_program(config, task)
        _train(config, task, program, "simulator", 1)  # compiles
        simulator, lava = (_train(config, task, program, name, n_generations) for name in BACKENDS)
        if simulator[:3] != lava[:3]:
            raise AssertionError(f"form {form}: training on Lava ended with other weights than on the simulator")
        members = (n_generations + config.rule.warmup + 3) * config.batch * (1 + 2 * config.rule.pairs)
        steps = members * run_steps(config.network)
        rows.append([form, n_generations, members, steps, simulator.seconds, lava.seconds, "yes"])
    if not note:
        note = (
            "Digits, 64-32-10, 8 input steps, 16 samples a generation; response: one pair, scalar: two. Calibration is "
            "included. Equal are the bytes of the model file and of everything that a checkpoint holds beside counts. "
            "Each generation starts Lava twice: for the members and for the learning engine, whose steps come on top."
        )
    return [Table("Training on Lava", columns, rows, note)]


def _why_not_lava() -> str:
    """Say what is missing, if anything; nothing is measured then."""
    if "lava" not in registered():
        return "Not measured: the backend 'lava' is not registered here."
    try:
        status = load_backend_class("lava").status()
    except (BackendError, ImportError) as error:
        return f"Not measured: {error}."
    return "" if status.available else f"Not measured: {status.detail}."


def _train(config: TrainConfig, task: Task, program: Program, backend: str, n_generations: int) -> Trained:
    ids = np.arange(N_SAMPLES)
    start = perf_counter()
    with Trainer(
        program, READOUT, config.rule, task.train_events.take(ids), task.train_labels[ids],
        n_steps=run_steps(config.network), n_generations=n_generations, batch=config.batch, seed=config.seed,
        backend=backend,
    ) as trainer:  # fmt: skip
        shown = [trainer.step() for _ in range(n_generations)]
        taken = perf_counter() - start
        header, arrays = trainer.state()
        arrays.pop("counts", None)  # Lava counts no operations
        model = Model(program.network.with_weights(trainer.weights), program.chip)
    return Trained(pack_model(model), pack_arrays(header, arrays), shown[-1].correct, taken)
