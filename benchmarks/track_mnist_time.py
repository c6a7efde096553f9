"""How long does MNIST take to learn, beside surrogate gradients in torch?"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Cell, Options, Table
from benchmarks.peers import Curve, Point, interpreter, run_torch
from neurosim.answers import Answer
from neurosim.backend import get_backend
from neurosim.config import TrainConfig, override
from neurosim.errors import DataError
from neurosim.experiment import prepare_program
from neurosim.fixedpoint import DECAY_ONE
from neurosim.learning.build import READOUT, run_steps
from neurosim.learning.trainer import Trainer
from neurosim.network import LIF
from neurosim.program import Program
from neurosim.tasks import Task, load_task

N_STEPS, N_SEEDS = 8, 3
COMMON = ["task=mnist", "augment=false", "network.hidden=[256]", f"network.n_steps={N_STEPS}"]
TARGETS = (0.95, 0.97, 0.98)
#: Passes over the training images and settings of neurosim for each form and target: how fast a target is reached depends on how soon steps become small.
FORMS: dict[str, dict[float, tuple[float, list[str]]]] = {
    "response": {
        0.95: (0.5, ["batch=64", "rule.step=1.5", "rule.perturbation=1.0", "rule.pair_every=4"]),
        0.97: (1.25, ["batch=64", "rule.step=1.0", "rule.perturbation=1.0", "rule.pair_every=4"]),
        0.98: (5.0, ["batch=64", "rule.step=0.7", "rule.perturbation=1.0", "rule.pair_every=4"]),
    },
    "scalar": {
        0.95: (4.0, ["batch=64", "rule.pairs=8", "rule.step=0.5", "rule.perturbation=0.15", "rule.skip=0.8"]),
        0.97: (10.0, ["batch=64", "rule.pairs=24", "rule.step=0.5", "rule.perturbation=0.1", "rule.skip=0.9"]),
    },
}
#: Settings of torch for each target, found by random search (`peer_torch.py` says what they mean).
TORCH: dict[float, dict[str, Any]] = {
    0.95: {"epochs": 0.3, "batch": 64, "rate": 0.006, "surrogate": "rectangular", "steep": 1.0},
    0.97: {"epochs": 1.1, "batch": 128, "rate": 0.01},
    0.98: {"epochs": 6.0, "batch": 128, "rate": 0.01},
}
TORCH_COMMON: dict[str, Any] = {
    "hidden": 256, "bfloat16": True, "surrogate": "arctan", "steep": 2.0, "gain": 3.0, "beta1": 0.8, "beta2": 0.99,
    "warm": 0.3,
}  # fmt: skip
TEST_FROM = 0.5  # share of a run after which accuracy is measured
TEST_EVERY = 1024  # samples
N_QUICK = 512  # samples that a quick run learns from, once
PROGRAMS = ("torch", *FORMS)


class Reached(NamedTuple):
    """When a target was reached, None where it was not, and how far the run came."""

    seconds: float | None
    n_samples: int | None
    best: float | None  # accuracy; None where nothing ran


def tables(options: Options) -> list[Table]:
    """Train to every target with torch and both forms of the rule, in turn, with every seed."""
    columns = ("test accuracy", "seed", *(f"{name}, {what}" for name in PROGRAMS for what in ("s", "samples", "best")))
    columns += tuple(f"{form} / torch" for form in FORMS)
    title = "Time to learn MNIST"
    try:
        task = load_task("mnist", n_steps=N_STEPS, augment=False)
    except DataError as error:
        return [Table(title, columns, [], f"Not measured: {error}.")]
    if options.quick:
        task = shortened(task, N_QUICK)
    seeds = options.seeds[: 1 if options.quick else N_SEEDS]
    threads = max(options.threads)
    found: dict[tuple[str, float, int], Curve] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "mnist.npz"
        program, _ = prepare_program(override(TrainConfig(), COMMON), task)
        write_data(task, program, data)
        for seed in seeds:
            found |= _torch_curves(data, seed, threads, options.quick)
            for target in TARGETS:
                for form, settings in FORMS.items():
                    if target not in settings:
                        continue
                    epochs, texts = settings[target]
                    config = override(TrainConfig(seed=seed), [*COMMON, f"rule.form={form}", *texts])
                    found[form, target, seed] = train_curve(
                        config, task, target, threads, 1.0 if options.quick else epochs
                    )
    return [Table(title, columns, _rows(found, seeds), _note(threads))]


def shortened(task: Task, n: int) -> Task:
    """Return a task with so many samples to learn from and to test on."""
    ids = np.arange(n)
    return replace(
        task, train_events=task.train_events.take(ids), train_labels=task.train_labels[ids],
        test_events=task.test_events.take(ids), test_labels=task.test_labels[ids],
    )  # fmt: skip


def write_data(task: Task, program: Program, path: Path) -> None:
    """Write input spikes as bits (samples, steps, bytes of inputs), labels, and what a hidden voltage keeps in a step."""
    hidden = program.network.group("hidden")
    assert isinstance(hidden, LIF) and int(hidden.du) == DECAY_ONE - 1, "torch's neurons have no current filter"
    arrays: dict[str, npt.NDArray[Any]] = {
        "train": np.packbits(task.train_events.to_dense(), axis=2),
        "test": np.packbits(task.test_events.to_dense(), axis=2),
        "train_labels": task.train_labels,
        "test_labels": task.test_labels,
        "n_inputs": np.array(task.n_inputs),
        "keep": np.array(1 - int(hidden.dv) / DECAY_ONE),
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _torch_curves(data: Path, seed: int, threads: int, quick: bool) -> dict[tuple[str, float, int], Curve]:
    python = interpreter("torch")
    if python is None:
        return {}
    runs = []
    for target, settings in TORCH.items():
        run = {**TORCH_COMMON, **settings, "seed": seed, "stop_at": target, "test_from": TEST_FROM}
        run["test_every"] = max(1, TEST_EVERY // run["batch"])
        runs.append({**run, "epochs": 1} if quick else run)
    curves = run_torch(python, data, runs, threads)
    return {("torch", target, seed): curve for target, curve in zip(TORCH, curves, strict=True)}


def train_curve(config: TrainConfig, task: Task, target: float, threads: int, epochs: float) -> Curve:
    """Train for so many epochs or until the target is reached; calibration is in the time, compiling and testing are not."""
    program, _ = prepare_program(config, task)
    n_generations = max(1, int(epochs * len(task.train_labels)) // config.batch)
    with _trainer(config, task, program, n_generations, threads) as trainer:
        trainer.step()  # compiles
        _test(trainer, task, run_steps(config.network), threads)
    curve, seconds = [], 0.0
    every = max(1, TEST_EVERY // config.batch)
    with _trainer(config, task, program, n_generations, threads) as trainer:
        while trainer.generation < n_generations:
            start = perf_counter()
            trainer.advance(every - trainer.generation % every)
            seconds += perf_counter() - start
            generation = trainer.generation
            late = generation >= TEST_FROM * n_generations and generation % every == 0
            if late or generation == n_generations:
                right = _test(trainer, task, run_steps(config.network), threads)
                curve.append(Point(seconds, generation * config.batch, right))
                if right >= target:
                    break
    return curve


def _trainer(config: TrainConfig, task: Task, program: Program, n_generations: int, threads: int) -> Trainer:
    return Trainer(
        program, READOUT, config.rule, task.train_events, task.train_labels, n_steps=run_steps(config.network),
        n_generations=n_generations, batch=config.batch, seed=config.seed, threads=threads, copies=task.copies,
    )  # fmt: skip


def _test(trainer: Trainer, task: Task, n_steps: int, threads: int) -> float:
    with get_backend("simulator").open(trainer.program, threads=threads) as runner:
        for name, weights in trainer.weights.items():
            runner.write_weights(name, weights)
        result = runner.run(task.test_events, n_steps)
    return float(np.mean(Answer(READOUT).classes(result)[:, 0] == task.test_labels))


def reached(curve: Curve, target: float) -> Reached:
    """Return when a curve first met the target.

    Examples
    --------
    >>> reached([Point(1.0, 100, 0.9), Point(2.0, 200, 0.96)], 0.95)
    Reached(seconds=2.0, n_samples=200, best=0.96)
    """
    best = max((point.accuracy for point in curve), default=None)
    hit = next((point for point in curve if point.accuracy >= target), None)
    return Reached(None, None, best) if hit is None else Reached(hit.seconds, hit.n_samples, best)


def _rows(found: Mapping[tuple[str, float, int], Curve], seeds: tuple[int, ...]) -> list[list[Cell]]:
    """Return a row for each target and seed, and one of means."""
    rows: list[list[Cell]] = []
    for target in TARGETS:
        times = {(name, s): reached(found.get((name, target, s), []), target) for name in PROGRAMS for s in seeds}
        for seed in seeds:
            rows.append(_row(target, str(seed), {name: [times[name, seed]] for name in PROGRAMS}))
        rows.append(_row(target, "mean", {name: [times[name, seed] for seed in seeds] for name in PROGRAMS}))
    return rows


def _row(target: float, which: str, times: Mapping[str, list[Reached]]) -> list[Cell]:
    """Return means over the given runs; a target that one of them missed is missed."""
    seconds = {name: _mean([one.seconds for one in ones]) for name, ones in times.items()}
    cells: list[Cell] = [f"{target:.0%}", which]
    for name, ones in times.items():
        best = _mean([one.best for one in ones])
        samples = _mean([one.n_samples for one in ones])
        cells += [seconds[name], None if samples is None else round(samples), None if best is None else f"{best:.2%}"]
    torch = seconds["torch"]
    for form in FORMS:
        ours = seconds[form]
        cells.append(None if ours is None or torch is None else ours / torch)
    return cells


def _mean(numbers: list[float | None] | list[int | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return mean(known) if len(known) == len(numbers) else None


def _note(threads: int) -> str:
    note = (
        f"784-256-10, {N_STEPS} steps of rate code, 60,000 images to learn from, accuracy on the 10,000 test images after every "
        f"{TEST_EVERY:,} samples in the second half of a run, {threads} threads. Seconds of training until the target is first met: "
        "encoding, testing and compiling are outside for all, calibration is in. Every target has settings of its own for every "
        "program (tables at the top of the benchmark), because steps shrink over a run; -: not met; best: accuracy. torch: floats, surrogate gradients "
        "by hand-written backpropagation through time, compiled, products in bfloat16, Adam. neurosim: integers, weights of 8 bits."
    )
    if interpreter("torch") is None:
        note += " torch is not here, so not measured (docs/benchmarks.md says how to name an interpreter)."
    return note
