"""Train, evaluate and run models: from a configuration or a model file to results and a run folder."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.aims import FitnessFunction, window_labels
from neurosim.answers import Answer
from neurosim.backend import RunResult, get_backend
from neurosim.chipcost import ChipCost, cost_of
from neurosim.compile_network import compile as compile_network
from neurosim.config import TrainConfig, as_stream, assignments, override
from neurosim.counters import OpCounts
from neurosim.directrun import (
    DirectRun,
    Predictions,
    agreement,
    check_direct,
    check_torch,
    open_direct_trainer,
    program_of,
)
from neurosim.energy import energy, load_energy_table
from neurosim.errors import ConfigError, DataError
from neurosim.events import Events
from neurosim.exchange.binding import bind_task, inputs_of
from neurosim.faultconfig import FaultConfig
from neurosim.faultychip import break_program, check_faults, fault_metrics, faulty_model, healthy_model
from neurosim.figures.direct import save_direct_plots
from neurosim.figures.run import save_plots
from neurosim.learning.activity import find_gains
from neurosim.learning.build import READOUT, build_network, run_steps
from neurosim.learning.trainer import Trainer
from neurosim.metrics import counts_metrics, direct_metrics, rule_metrics, training_metrics
from neurosim.modelfile import Model, save_model
from neurosim.network import Network, Probe
from neurosim.program import Program
from neurosim.quantize import QuantNote, quantize
from neurosim.report_html import write_report
from neurosim.runfolder import RunFolder
from neurosim.runloop import Progress as Progress
from neurosim.runloop import checkpoint_config as checkpoint_config
from neurosim.tasks import Task, load_task, task_settings
from neurosim.trainrun import TrainRun
from neurosim.transfer import kept_metadata, starting_floats, starting_model, starting_network, task_to_learn
from neurosim.version import VERSION


class TrainingStart(NamedTuple):
    """What is known before the first generation."""

    config: TrainConfig
    program: Program
    task: Task
    n_generations: int
    cost: ChipCost | None  # what a chip would need to learn so; None for training off the chip


class _Trained(NamedTuple):
    """What a training leaves behind."""

    program: Program  # with what was learned, and its scales
    begun: Program  # as it was before, on a healthy chip
    notes: tuple[QuantNote, ...]
    training: dict[str, Any]  # the metrics of that name
    counts: OpCounts | None  # of learning on the chip
    cost: ChipCost | None
    predictions: Predictions | None  # of what was trained off the chip, to hold the chip's answers against


OnStart = Callable[[TrainingStart], None]
OnProgress = Callable[[Progress], None]


def prepare_program(
    config: TrainConfig, task: Task, start: Model | None = None
) -> tuple[Program, tuple[QuantNote, ...]]:
    """Describe the network of a configuration, or take that of its `start`, quantise it, and map it onto its chip.

    `start` is the model that the configuration names, where it has been read already. The program is that of a healthy chip.
    """
    check_faults(config)
    name = f"{task.name}-{config.seed}"
    start = start or starting_model(config)
    if start is not None:
        started, scales = starting_network(config, start, task.n_inputs, task.n_classes, name)
        return dataclasses.replace(compile_network(started, config.chip), scales=scales), ()
    quantized = quantize(describe_network(config, task))
    program = compile_network(quantized.network, config.chip)
    return dataclasses.replace(program, scales=dict(quantized.scales)), quantized.notes


def describe_network(config: TrainConfig, task: Task, start: Model | None = None) -> Network:
    """Return the network of a configuration in floats, with random weights or, off the chip, those of its `start`."""
    name = f"{task.name}-{config.seed}"
    gains = find_gains(config, task) if config.network.rate and start is None else None
    network = build_network(config.network, task.n_inputs, task.n_classes, config.seed, name, task.input_shape, gains)
    return network if start is None else starting_floats(config, start, network)


def train_model(
    config: TrainConfig,
    folder: RunFolder,
    *,
    threads: int = 2,
    resume: bool = False,
    on_start: OnStart | None = None,
    on_progress: OnProgress | None = None,
    fitness: FitnessFunction | None = None,
    task: Task | None = None,
) -> dict[str, Any]:
    """Train a network and fill a run folder with model, checkpoints, metrics, plots and report.

    Parameters
    ----------
    config : TrainConfig
        Its method says how: by a rule on the chip, or by gradients off the chip.
    folder : RunFolder
    threads : int
        Does not change any result.
    resume : bool
        Continue from the newest checkpoint in the folder; the final model is the same, byte for byte, as that of
        a run without interruption.
    on_start, on_progress : callable, optional
        Called before the first and after every generation.
    fitness : callable, optional
        With rule.fitness "function": takes the readouts of a generation's members (`neurosim.aims.Readouts`) and returns
        their fitness, (B, M) integers, higher is better.
    task : Task, optional
        Samples of your own instead of those that config.task names, such as `neurosim.data.datasets.task_from_datasets` makes; what is
        kept of the run names it, but commands cannot load it again.

    Returns
    -------
    metrics : dict
        What is in the folder's metrics.json.

    Raises
    ------
    KeyboardInterrupt
        After an interrupt: the generation is finished and a checkpoint written first.
    """
    if config.method == "direct":
        check_direct(config)
        check_torch()
    config = as_stream(config) if config.mode == "stream" else config
    own = task is not None
    if task is None:
        task = load_task(config.task, n_steps=config.network.n_steps, augment=config.augment)
    elif task.n_steps_input != config.network.n_steps:
        raise ConfigError(
            f"network.n_steps: {config.network.n_steps}, task {task.name!r} was given with {task.n_steps_input} steps of input; set it to that"
        )
    config = dataclasses.replace(config, task=task.name) if own else config
    start = starting_model(config)  # once, and before the training: the file may be gone at its end
    loaded, task = task, task_to_learn(task, start)
    _check_samples(config, task)
    answer = answer_of(config, task)
    if config.method == "direct":
        trained = _train_off_chip(config, folder, task, start, answer, threads, resume, on_start, on_progress)
    else:
        trained = _train_on_chip(config, folder, task, start, answer, threads, resume, on_start, on_progress, fitness)
    final, begun = trained.program, trained.begun
    first = Model(begun.network, begun.chip, dict(begun.scales), model_metadata(config, task, start), VERSION)
    broken = faulty_model(first, config.faults) if config.faults.any else first
    model = dataclasses.replace(broken, network=final.network, scales=dict(final.scales))
    test = evaluate_model(model, loaded, backend=config.backend, threads=threads)
    metrics = training_metrics(config, task, final, trained.notes, trained.training, trained.counts, test, threads)
    if trained.cost is not None:
        metrics["chip_cost"] = trained.cost.to_dict()
    if trained.predictions is not None:
        metrics["training"]["agreement"] = agreement(trained.predictions, test["predictions"], task.test_labels)
    if config.faults.any:
        before = [evaluate_model(each, loaded, backend=config.backend, threads=threads)["accuracy"]
                  for each in (first, broken) if start is not None]  # random weights have nothing to lose  # fmt: skip
        metrics["faults"] = fault_metrics(broken.metadata["faults"], before, test["accuracy"])
    settings = "".join(f" --set {shlex.quote(text)}" for text in assignments(config))
    command = f"from Python, train_model(config, folder, task={task.name!r})" if own else f"neurosim train{settings}"
    metrics |= {"command": command, "next_steps": next_steps(config, folder, own)}
    save_model(folder.model_path, model)
    folder.write_metrics(metrics)
    folder.plots.mkdir(exist_ok=True)
    save_plots(metrics, folder.plots)
    save_direct_plots(metrics, folder.plots)
    write_report(metrics, folder.report_path)
    return metrics


def _train_on_chip(
    config: TrainConfig, folder: RunFolder, task: Task, start: Model | None, answer: Answer, threads: int, resume: bool,
    on_start: OnStart | None, on_progress: OnProgress | None, fitness: FitnessFunction | None,
) -> _Trained:  # fmt: skip
    """Learn by the rule of a configuration."""
    program, notes = prepare_program(config, task, start)
    with open_trainer(config, program, task, threads, fitness) as trainer:
        run = TrainRun(config, folder, task, trainer, answer, threads)
        if resume:
            run.restore()
        if on_start is not None:
            on_start(TrainingStart(config, trainer.program, task, trainer.n_generations, cost_of(trainer)))
        run.train(on_progress)
        final = dataclasses.replace(run.trained_program(), scales=program.scales)
        training = rule_metrics(config, trainer, run.history, run.seconds)
        return _Trained(final, program, notes, training, trainer.op_counts, cost_of(trainer), None)


def _train_off_chip(
    config: TrainConfig, folder: RunFolder, task: Task, start: Model | None, answer: Answer, threads: int, resume: bool,
    on_start: OnStart | None, on_progress: OnProgress | None,
) -> _Trained:  # fmt: skip
    """Train by gradients, and bring what came of it onto the chip."""
    _check_one_answer(config, task)
    network = describe_network(config, task, start)
    with open_direct_trainer(config, network, task, threads) as trainer:
        run = DirectRun(config, folder, task, trainer, answer, threads)
        if resume:
            run.restore()
        program = run.trained_program()  # what does not fit on the chip is an error now, not after the training
        if on_start is not None:
            on_start(TrainingStart(config, program, task, trainer.n_generations, None))
        run.train(on_progress)
        training, predictions = direct_metrics(run, network), run.predictions()
        return _Trained(run.trained_program(), program, trainer.quantized().notes, training, None, None, predictions)


def _check_samples(config: TrainConfig, task: Task) -> None:
    """Refuse before the training what would fail in it, or after it."""
    if config.batch > len(task.train_labels):
        raise ConfigError(f"batch: {config.batch} samples exceed the {len(task.train_labels)} of the task; lower it")
    load_energy_table(config.energy_table)


def _check_one_answer(config: TrainConfig, task: Task) -> None:
    """Refuse labels for windows of time, which training by gradients does not have."""
    if has_windows(config, task):
        raise ConfigError(
            f"rule.rank: {config.rule.rank} windows of task {task.name!r} have a label each, method 'direct' takes one label a sample; "
            "set rule.rank=1, or rule.window_labels=false"
        )


def has_windows(config: TrainConfig, task: Task) -> bool:
    """Whether a network is to give an answer for each window of time."""
    rule = config.rule
    return task.train_step_labels is not None and rule.window_labels and rule.rank > 1 and rule.fitness != "trace"


def train_labels(config: TrainConfig, task: Task) -> npt.NDArray[np.int64]:
    """Return what the training samples are learned with: a class each, or one for each window of time (n_samples, R)."""
    if task.train_step_labels is None or not has_windows(config, task):
        return task.train_labels
    n_steps = run_steps(config.network)
    return window_labels(task.train_step_labels, config.rule.rank, n_steps, n_steps - config.network.n_steps)


def answer_of(config: TrainConfig, task: Task) -> Answer:
    """Return how the answer of a network that learns a task is read."""
    rule, windows = config.rule, has_windows(config, task)
    return Answer(
        READOUT, rule.fitness, rule.rank if windows else 1, windows and rule.window_read == "since",
        run_steps(config.network) - config.network.n_steps,
    )  # fmt: skip


def open_trainer(
    config: TrainConfig, program: Program, task: Task, threads: int = 2, fitness: FitnessFunction | None = None
) -> Trainer:  # fmt: skip
    """Return a trainer of the program with the settings of a configuration."""
    _check_samples(config, task)
    broken = break_program(program, config.faults) if config.faults.any else None
    return Trainer(
        program if broken is None else broken.program, READOUT, config.rule, task.train_events, train_labels(config, task),
        n_steps=run_steps(config.network), n_generations=_n_generations(config, task), batch=config.batch, seed=config.seed,
        backend=config.backend, threads=threads, copies=task.copies, fitness=fitness, stuck=None if broken is None else broken.stuck,
        actual=None if broken is None else broken.groups, trained=bool(config.start),
    )  # fmt: skip


def _n_generations(config: TrainConfig, task: Task) -> int:
    return max(1, config.epochs * len(task.train_labels) // config.batch)


def plan_training(config: TrainConfig, threads: int = 1) -> TrainingStart:
    """Return what is known of a training before it runs: network, chip, and what learning would need of the chip.

    Examples
    --------
    >>> plan_training(TrainConfig(chip="unlimited")).cost.verdict[:3]
    'yes'
    """
    if config.method == "direct":
        check_direct(config)
    config = as_stream(config) if config.mode == "stream" else config
    start = starting_model(config)
    task = task_to_learn(load_task(config.task, n_steps=config.network.n_steps, augment=config.augment), start)
    if config.method == "direct":
        _check_one_answer(config, task)
        program = program_of(quantize(describe_network(config, task, start), 1.0), config.chip)
        return TrainingStart(config, program, task, _n_generations(config, task), None)
    program, _ = prepare_program(config, task, start)
    with open_trainer(config, program, task, threads) as trainer:
        return TrainingStart(config, trainer.program, task, trainer.n_generations, cost_of(trainer))


def next_steps(config: TrainConfig, folder: RunFolder, own_task: bool = False) -> list[str]:
    """Return commands to try after a run; on samples of the user's own, those that need none."""
    model = folder.model_path
    inspect = f"neurosim inspect {model}   # what is on the chip, core by core"
    if own_task:
        return [inspect]
    ways = _ways_on_chip(config) if config.method == "on-chip" else _ways_off_chip(config, folder)
    return [
        inspect,
        f"neurosim energy {folder.path}   # what an inference costs, by several tables, with its time",
        f"neurosim run {model} --task {config.task} --sample 0   # one sample, spike by spike",
        f"neurosim evaluate {model} --backend reference --limit 20   # the same numbers from the plain numpy twin",
        *ways,
        "neurosim train --example > my.toml   # every setting, with its meaning; then: neurosim train my.toml",
    ]


def _ways_on_chip(config: TrainConfig) -> list[str]:
    return [
        f"neurosim train {config.task} --set rule.form=scalar --set rule.pairs=16 --set epochs=8   # a reward per pair is all",
        f"neurosim train {config.task} --set network.weight_bits=2   # weights of four values",
    ]


def _ways_off_chip(config: TrainConfig, folder: RunFolder) -> list[str]:
    """Return what else to train after a training by gradients, first how the model learns on."""
    options = f" --chip {shlex.quote(config.chip)}" if config.chip != TrainConfig().chip else ""
    steps = config.network.n_steps
    if override(TrainConfig(), task_settings(config.task)).network.n_steps != steps:
        options += f" --set network.n_steps={steps}"
    more = [f"neurosim train --method response --from {folder.path}{options} {config.task}   # learn on, on the chip"]
    if config.direct.learn_width != "step":
        more.append(
            f"neurosim train --method direct --set direct.learn_width=step {config.task}   # learn the surrogate gradient too"
        )
    if config.network.neuron != "multispike":
        more.append(
            f"neurosim train --method direct --chip loihi2 --set network.neuron=multispike {config.task}   # several spikes in a step"
        )
    return more


def model_metadata(config: TrainConfig, task: Task, start: Model | None = None) -> dict[str, Any]:
    """Return what a model keeps of the training that made it, and of the model that this began with."""
    return {
        "task": task.name,
        "readout": READOUT,
        "n_steps_input": config.network.n_steps,
        "n_steps": run_steps(config.network),
        "answer": answer_of(config, task).to_metadata(),
        "config": config.to_dict(),
    } | kept_metadata(start)


def _with_readout_probe(network: Network, answer: Answer) -> Network:
    names = [group.name for group in network.groups]
    if answer.readout not in names:
        raise ConfigError(
            f"model {network.name!r}: no group {answer.readout!r} to read a class from; groups are {', '.join(names)}"
        )
    return network.with_probes(answer.probes)


class Tested(NamedTuple):
    """Test samples of a task as a model ran them."""

    program: Program
    events: Events
    n_steps: int
    result: RunResult
    answers: dict[str, Any]  # accuracy, n, n_correct, classes, confusion, predictions and windows of `evaluate_model`


def run_test_samples(
    model: Model, task: Task, *, backend: str = "simulator", threads: int = 2, limit: int | None = None
) -> Tested:
    """Run a task's test samples and compare the answers with the labels; parameters as in `evaluate_model`.

    The task's inputs are numbered as tasks do; the lines of an imported model are found here.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: {limit} is not a positive number of samples")
    n = len(task.test_labels) if limit is None else min(limit, len(task.test_labels))
    task = bind_task(task, inputs_of(model.metadata))
    n_steps = int(model.metadata.get("n_steps", task.n_steps_input + int(model.metadata.get("latency", 2))))
    trained_steps = model.metadata.get("n_steps_input", task.n_steps_input)
    if trained_steps != task.n_steps_input:
        raise DataError(
            f"model {model.network.name!r}: trained on {trained_steps} steps of input, task {task.name!r} has "
            f"{task.n_steps_input}; load the task with n_steps={trained_steps}"
        )
    answer = Answer.from_metadata(model.metadata, model.readout, f"model {model.network.name!r}")
    network = _with_readout_probe(model.network, answer)
    if network.group(answer.readout).n != task.n_classes:
        raise DataError(
            f"model {network.name!r}: its readout has {network.group(answer.readout).n} classes, task {task.name!r} has "
            f"{task.n_classes}; choose the model's own task"
        )
    program = compile_network(network, model.chip, model.arithmetic)
    events = task.test_events.take(np.arange(n))
    with get_backend(backend).open(program, threads=threads) as runner:
        result = runner.run(events, n_steps)
    predictions, labels = answer.classes(result), answer.labels(task)[:n]
    known, confusion = labels >= 0, np.zeros((task.n_classes, task.n_classes), np.int64)
    np.add.at(confusion, (labels[known], predictions[known]), 1)
    n_labels, n_correct = int(confusion.sum()), int(np.trace(confusion))
    per_window = [
        float(np.mean(predictions[known[:, i], i] == labels[known[:, i], i])) if known[:, i].any() else None
        for i in range(answer.n_windows)
    ]
    answers = {
        "accuracy": n_correct / n_labels if n_labels else 0.0,
        "n": n_labels,
        "n_correct": n_correct,
        "classes": [str(c) for c in range(task.n_classes)],
        "confusion": confusion.tolist(),
        "predictions": predictions[:, -1].tolist(),
        "windows": per_window if answer.n_windows > 1 else None,
    }
    return Tested(program, events, n_steps, result, answers)


def evaluate_model(
    model: Model, task: Task, *, backend: str = "simulator", threads: int = 2, limit: int | None = None
) -> dict[str, Any]:
    """Classify a task's test samples with a model.

    Parameters
    ----------
    model : Model
        Its metadata name the group that answers; the last group otherwise.
    task : Task
    backend : str
    threads : int
    limit : int, optional
        Use only the first samples.

    Returns
    -------
    dict
        accuracy, n, n_correct, classes, confusion (rows: true class), predictions, windows, counts, energy, backend. A network
        that answers for each window of time is measured over all windows that have a label (n of them); `windows` has the
        accuracy of each, None where none has a label, and `predictions` the answers of the last one.
    """
    tested = run_test_samples(model, task, backend=backend, threads=threads, limit=limit)
    counts = tested.result.counts
    table = str(model.metadata.get("config", {}).get("energy_table") or _table_of(model))
    return tested.answers | {
        "counts": None if counts is None else counts_metrics(counts),
        "energy": None if counts is None else _priced(counts, table),
        "backend": tested.result.backend,
    }


def evaluate_faulty(
    model: Model, task: Task, faults: FaultConfig, *, backend: str = "simulator", threads: int = 2, limit: int | None = None
) -> dict[str, Any]:  # fmt: skip
    """Classify a task's test samples with a model on a faulty chip; parameters and result as in `evaluate_model`.

    Returns
    -------
    dict
        As of `evaluate_model`, of the faulty chip; `faults` has what is broken, and the accuracy on a healthy chip.
    """
    whole, broken = healthy_model(model), faulty_model(model, faults)
    healthy, found = (
        evaluate_model(each, task, backend=backend, threads=threads, limit=limit) for each in (whole, broken)
    )
    accuracies = {"healthy": healthy["accuracy"], "before": found["accuracy"]}
    return found | {"faults": broken.metadata["faults"] | accuracies}


def _table_of(model: Model) -> str:
    """Return the energy table of a model that says none: the first of its chip."""
    return (*model.chip.energy_tables, TrainConfig().energy_table)[0]


def _priced(counts: OpCounts, table: str) -> dict[str, Any]:
    return energy(counts, load_energy_table(table), per=max(1, counts.n_samples)).to_dict()


def run_model(
    model: Model, events: Events, *, backend: str = "simulator", threads: int = 1, n_steps: int | None = None
) -> RunResult:
    """Run a model on input spikes and record what its probes ask for; every group's spikes if it has none."""
    network = model.network
    if not network.probes:
        network = network.with_probes(Probe(group.name) for group in network.groups)
    program = compile_network(network, model.chip, model.arithmetic)
    with get_backend(backend).open(program, threads=threads) as runner:
        return runner.run(events, n_steps)


def train(
    config: TrainConfig | None = None,
    out: str | Path = "runs/train",
    *,
    threads: int = 2,
    force: bool = False,
    task: Task | None = None,
) -> dict[str, Any]:
    """Train in one call; see `train_model`.

    Examples
    --------
    >>> metrics = train(TrainConfig(epochs=5), "runs/example")  # doctest: +SKIP
    """
    return train_model(config or TrainConfig(), RunFolder.create(out, force), threads=threads, task=task)
