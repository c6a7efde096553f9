"""How many members does learning evaluate per second, beside independent inference; what does the update cost?"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Cell, Options, Table, Work, calls, time_together
from neurosim.backend import get_backend
from neurosim.compile_network import compile as compile_network
from neurosim.config import NetworkConfig, RuleConfig
from neurosim.events import Events, events_from_dense
from neurosim.learning.build import READOUT, build_network, run_steps
from neurosim.learning.generation import Memory, Step
from neurosim.learning.keys import STREAM_PAIRS, STREAM_ROUNDING, stream_key
from neurosim.learning.trainer import FULL_STEP, Generation, Trainer
from neurosim.program import Program
from neurosim.tasks import load_task

BATCH = 64  # samples of a generation
GENERATIONS = 8  # of one call
BATCH_QUICK = 4
MAX_INFERENCES = 1024  # more are not faster each
BRIGHT = 0.25  # share of the inputs of the larger network that ever fire in a sample, as the ink of a digit
BRIGHT_RATE = 820 / (8 * 784 * BRIGHT)  # their rate, for 820 input spikes in 8 steps


class Problem(NamedTuple):
    """A network with the samples that it is trained on."""

    name: str
    program: Program
    events: Events
    labels: npt.NDArray[np.int64]
    n_steps: int


def tables(options: Options) -> list[Table]:
    """Measure both networks with both forms of the rule, few and many pairs."""
    members, updates = [], []
    for problem in (demo_problem(options.seed), large_problem(options.seed)):
        for form in ("response", "scalar"):
            for n_pairs in (1, 4) if options.quick else (1, 64):
                rows, update = _measure(problem, form, n_pairs, options)
                members += rows
                if form == "response":
                    updates.append(update)
    batch = BATCH_QUICK if options.quick else BATCH
    note = (
        f"Generations of {batch} samples, factor trace, rank 1. A member-sample is one perturbed run of one sample; "
        "the unperturbed run of each sample, the votes, the measured responses and the update of the weights are in the "
        "time but not in the number. Inference: the same kernels running each sample as often as it has members, each run on its own, "
        "without perturbing, measuring or voting. A share above 1 means that sharing what inputs deliver saves more "
        "than learning adds."
    )
    columns = (
        "network", "form", "pairs", "threads", "spikes per sample, input / hidden", "member-samples/s", "median",
        "inference, samples/s", "share of inference",
    )  # fmt: skip
    update_columns = (
        "network",
        "pairs",
        "weights",
        "ms per update",
        "weights/s",
        f"share of a generation, threads {options.threads[0]}",
    )
    update_note = (
        "Scaling, stochastic rounding and saturation of votes that are summed up. A generation sums them up row by row, "
        "while it updates: that is in its time and not in the update's."
    )
    return [
        Table("Populations", columns, members, note),
        Table("Weight update", update_columns, updates, update_note),
    ]


def demo_problem(seed: int) -> Problem:
    """Return the demo's network on its task."""
    task = load_task("digits", n_steps=NetworkConfig().n_steps)
    return make_problem("demo", NetworkConfig(), task.train_events, task.train_labels, task.n_classes, seed)


def large_problem(seed: int) -> Problem:
    """Return 784-256-10 on random spikes, about 820 a sample in 8 steps."""
    rng = np.random.default_rng(seed)
    config = NetworkConfig(hidden=(256,), n_steps=8)
    bright = rng.random((2 * BATCH, 1, 784)) < BRIGHT
    events = events_from_dense(bright & (rng.random((2 * BATCH, config.n_steps, 784)) < BRIGHT_RATE))
    return make_problem("large", config, events, rng.integers(0, 10, events.n_samples), 10, seed)


def make_problem(
    name: str, config: NetworkConfig, events: Events, labels: npt.NDArray[np.int64], n_classes: int, seed: int
) -> Problem:
    network = build_network(config, events.n_inputs, n_classes, seed, name)
    sizes = f"{events.n_inputs}-{config.hidden[0]}-{n_classes}, {run_steps(config)} steps"
    return Problem(sizes, compile_network(network), events, labels, run_steps(config))


def _measure(problem: Problem, form: str, n_pairs: int, options: Options) -> tuple[list[list[Cell]], list[Cell]]:
    """Return a row for each number of threads, and the row of the update."""
    batch = BATCH_QUICK if options.quick else BATCH
    n_members = GENERATIONS * batch * 2 * n_pairs
    ids = np.repeat(np.arange(batch), 2 * n_pairs)[:MAX_INFERENCES]
    samples = problem.events.take(ids)
    works: dict[str, list[Work]] = {}
    rule = RuleConfig(form=form, pairs=n_pairs, warmup=1)
    with ExitStack() as stack:
        for threads in options.threads:
            trainer, shown = calibrated(problem, rule, batch, threads, options.seed, stack)
            works[f"learn {threads}"] = [generation_work(trainer, batch)]
            runner = get_backend("simulator").open(problem.program, threads=threads)
            works[f"infer {threads}"] = [calls(partial(runner.run, samples, problem.n_steps))]
        trainer, shown = calibrated(problem, rule, batch, 1, options.seed, stack)
        works["update"] = [_updating(trainer, batch)]  # of a learner of its own: it changes the weights
        timings = time_together(works, options)
    n_in = len(problem.events.neuron) / problem.events.n_samples
    n_hidden = shown.rates["hidden"] * problem.n_steps * problem.program.network.group("hidden").n
    rows: list[list[Cell]] = []
    for threads in options.threads:
        learn, infer = timings[f"learn {threads}"], timings[f"infer {threads}"]
        members, inferred = n_members / learn.best_s, len(ids) / infer.best_s
        rows.append([
            problem.name, form, n_pairs, threads, f"{n_in:.0f} / {n_hidden:.0f}", members, n_members / learn.median_s,
            inferred, members / inferred,
        ])  # fmt: skip
    update_s, learn_s = timings["update"].best_s / 2, timings[f"learn {options.threads[0]}"].best_s / GENERATIONS
    n_weights, share = trainer.plan.n_weights, update_s / learn_s
    return rows, [problem.name, n_pairs, n_weights, 1e3 * update_s, n_weights / update_s, share]


def calibrated(
    problem: Problem, rule: RuleConfig, batch: int, threads: int, seed: int, stack: ExitStack
) -> tuple[Trainer, Generation]:
    """Return a trainer after its first generation, and what that one showed."""
    trainer = stack.enter_context(
        Trainer(
            problem.program, READOUT, rule, problem.events, problem.labels,
            n_steps=problem.n_steps, n_generations=100, batch=batch, seed=seed, threads=threads,
        )
    )  # fmt: skip
    return trainer, trainer.step()


def generation_work(trainer: Trainer, batch: int) -> Work:
    """Return the work of some generations in one call, as training makes them, with steps of zero, so that weights stay."""
    memory = Memory(trainer.accumulated, trainer.response, trainer.rule.memory)
    keys = [stream_key(trainer.seed, STREAM_PAIRS, g) for g in range(GENERATIONS)]
    ids = np.tile(np.arange(batch), (GENERATIONS, 1))
    rounding = stream_key(trainer.seed, STREAM_ROUNDING, 0)
    steps = GENERATIONS * [Step(0, trainer.scales.step_shift, rounding, trainer.power.copy(), trainer.row_memory)]
    return calls(partial(trainer.learner.learn, trainer.full, memory, ids, trainer.scales, keys, steps))


def _updating(trainer: Trainer, batch: int) -> Work:
    """Return the work of two updates, there and back, so that weights stay where they are."""
    key = stream_key(trainer.seed, STREAM_ROUNDING, 0)
    votes = trainer.learner.evaluate(np.arange(batch), trainer.response, trainer.scales, key).votes
    # Without memory the power of a row is that of these votes alone, the same there and back.
    full, step = trainer.full.copy(), Step(FULL_STEP, trainer.scales.step_shift, key, np.zeros_like(trainer.power))

    def there_and_back() -> None:
        trainer.learner.update(full, votes, step)
        trainer.learner.update(full, -votes, step)

    return calls(there_and_back)
