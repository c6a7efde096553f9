"""What does tuning on the chip, with few samples, add to a model trained elsewhere?"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from math import isqrt
from statistics import mean, stdev
from typing import NamedTuple

import numpy as np

from benchmarks.measure import Cell, Options, Table
from benchmarks.track_faults import accuracy
from neurosim.config import TrainConfig, override
from neurosim.errors import DataError
from neurosim.events import events_from_dense
from neurosim.experiment import open_trainer, prepare_program, train_model
from neurosim.learning.keys import permutation, stream_key
from neurosim.runfolder import RunFolder
from neurosim.tasks import Task, load_task

N_SEEDS = 3
GENERATIONS = 256  # of tuning, and of training from scratch with the same samples
STREAM_SHARES = 201  # which samples are tuned with and which tested; apart from the streams of a training run


class Move(NamedTuple):
    """From where to where a model is taken."""

    what: str
    source: str  # task; {split} is 1 to 5 by seed
    target: str
    settings: tuple[str, ...]  # of both
    first: tuple[str, ...]  # of the first training
    other_sensor: bool  # tune with one half of the target's test samples, moved by a pixel, and test with the other
    counts: tuple[int, ...]


EVENT_NETWORK = ("network.n_steps=9", "network.tau_mem=0.02", "network.gain=2.5")
MOVES = (
    Move(
        "digits of some writers, then of others seen by a sensor that sits one pixel off", "digits-ordered", "digits-ordered",
        (), ("epochs=16",), True, (25, 50, 100, 200),
    ),
    Move(
        "simulated saccades of MNIST, then real recordings", "nmnist-saccades:pool=2,limit=3000,copies=0,split={split}",
        "nmnist:pool=2,copies=1,split={split}", EVENT_NETWORK, ("epochs=4", "rule.step=0.125"), False, (50, 100, 200, 400),
    ),
)  # fmt: skip
TUNE = ("batch=16", "rule.step=0.0625")
SCRATCH = ("batch=16", "rule.step=0.5")


def tables(options: Options) -> list[Table]:
    """Train elsewhere, test, tune, and test again."""
    seeds = options.seeds[: 1 if options.quick else N_SEEDS]
    moves = MOVES[:1] if options.quick else MOVES
    return [table(move, seeds, max(options.threads), options.quick) for move in moves]


def table(move: Move, seeds: Sequence[int], threads: int, quick: bool) -> Table:
    """Return a row for each number of samples."""
    title = f"Transfer: {move.what}"
    columns = ("samples of the target", "as it came", "tuned on chip", "from scratch")
    counts = move.counts[:1] if quick else move.counts
    found: dict[int, list[tuple[float, float, float]]] = {n: [] for n in counts}
    n_tested = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            split = (seed - 1) % 5 + 1
            source = override(
                TrainConfig(seed=seed), [f"task={move.source.format(split=split)}", *move.settings, *move.first]
            )
            source = replace(source, epochs=1) if quick else source
            run = RunFolder.create(f"{folder}/{seed}")
            try:
                train_model(source, run, threads=threads)
                target = load_task(move.target.format(split=split), n_steps=source.network.n_steps, augment=False)
            except DataError as error:
                return Table(title, columns, [], f"Not measured: {error}.")
            chosen = other_sensor(target, seed) if move.other_sensor else target
            n_tested += len(chosen.test_labels)
            base = override(TrainConfig(seed=seed), [f"task={target.name}", *move.settings])
            tuned = replace(override(base, TUNE), start=run.model_path.as_posix())
            for n in counts:
                few = first_samples(chosen, n, seed)
                found[n].append((
                    accuracy(prepare_program(tuned, few)[0].network, few, tuned, threads),
                    learned_accuracy(tuned, few, threads, quick),
                    learned_accuracy(override(base, SCRATCH), few, threads, quick),
                ))  # fmt: skip
    rows: list[list[Cell]] = [[n, *(_spread(each) for each in zip(*found[n], strict=True))] for n in counts]
    note = (
        f"Test accuracy, mean and standard deviation over seeds {', '.join(map(str, seeds))} ({n_tested} test samples over the seeds). Trained elsewhere on "
        f"{move.source} ({', '.join((*move.settings, *move.first))}); tuned on {move.target} for {GENERATIONS} generations ({', '.join(TUNE)}); "
        f"from scratch: the same samples, as many generations ({', '.join(SCRATCH)})."
    )
    return Table(title, columns, rows, note)


def other_sensor(task: Task, seed: int) -> Task:
    """Return a task of square pictures that learns from one half of the test samples and is tested on the other, all moved."""
    order = permutation(stream_key(seed, STREAM_SHARES), len(task.test_labels))
    learn, test = order[: len(order) // 2], order[len(order) // 2 :]
    seen = task.test_events.to_dense()
    side = isqrt(task.n_inputs)
    moved = np.zeros((*seen.shape[:2], side, side), np.bool_)
    moved[..., 1:] = seen.reshape(moved.shape)[..., :-1]  # the last column falls off, the first sees nothing
    events = events_from_dense(moved.reshape(seen.shape))
    return replace(
        task, train_events=events.take(learn), train_labels=task.test_labels[learn], copies=None,
        test_events=events.take(test), test_labels=task.test_labels[test], images=None,
    )  # fmt: skip


def first_samples(task: Task, n: int, seed: int) -> Task:
    """Return the task with n of its training samples, chosen by hash; fewer are among more."""
    ids = permutation(stream_key(seed, STREAM_SHARES, 1), len(task.train_labels))[:n]
    return replace(task, train_events=task.train_events.take(ids), train_labels=task.train_labels[ids], copies=None)


def learned_accuracy(config: TrainConfig, task: Task, threads: int, quick: bool) -> float:
    """Train on a task for `GENERATIONS` generations and test."""
    n_generations = 4 if quick else GENERATIONS
    config = replace(config, epochs=max(1, -(-n_generations * config.batch // len(task.train_labels))))
    program, _ = prepare_program(config, task)
    with open_trainer(config, program, task, threads) as trainer:
        trainer.n_generations = n_generations
        for _ in range(n_generations):
            trainer.step()
        return accuracy(program.network.with_weights(trainer.weights), task, config, threads)


def _spread(found: Sequence[float]) -> str:
    spread = f" ± {100 * stdev(found):.2f}" if len(found) > 1 else ""
    return f"{100 * mean(found):.2f}{spread} %"
