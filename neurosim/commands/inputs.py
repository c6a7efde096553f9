"""The model and the input spikes that commands run, as the user names them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neurosim.data.task import Task
    from neurosim.events import Events
    from neurosim.modelfile import Model

InputFile = Annotated[Path | None, typer.Option("--input", metavar="EVENTS.npz", help="A file with an array 'spikes' "
                      "of shape (n_samples, n_steps, n_inputs): zeros and ones, or integers as messages with values.")]  # fmt: skip
TaskName = Annotated[str | None, typer.Option(help="Take the samples of this task; by default that of the model.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Time steps to run.")]


def load(path: Path) -> Model:
    """Read a model file, or the model of a run folder."""
    from neurosim.modelfile import load_model
    from neurosim.runfolder import model_file

    return load_model(model_file(path))


def load_on(path: Path, chip: str | None) -> Model:
    """Read a model as `load` does, for another chip where one is named."""
    from neurosim.chip import load_chip
    from neurosim.studies.energystudy import on_chip

    other = None if chip is None else load_chip(chip)  # a wrong file is an error before anything is read
    return on_chip(load(path), other)


def check_one_source(source: Path | None, task: str | None) -> None:
    """Refuse two places for spikes to come from."""
    from neurosim.errors import ConfigError

    if source is not None and task is not None:
        raise ConfigError("--input and --task: both say where the spikes come from; give one")


def task_of(model: Model, task: str | None) -> str:
    """Return the name of the task given, or of the one that the model was trained for."""
    from neurosim.errors import ConfigError

    name = task or model.metadata.get("task")
    if name is None:
        raise ConfigError("--task: the model does not say which task it was trained for; give one, for instance digits")
    return str(name)


def task_to_test(model: Model, task: str | None) -> Task:
    """Return the task given, or the model's own, in as many steps as the model was trained with, for its test samples."""
    from neurosim.tasks import load_task

    return load_task(task_of(model, task), n_steps=model.metadata.get("n_steps_input"), augment=False, test_only=True)


def events_of(
    model: Model, source: Path | None, task: str | None, first: int | None, n: int | None
) -> tuple[Events, list[int] | None]:
    """Return input spikes and, for samples of a task, their labels.

    Parameters
    ----------
    model : Model
    source, task
        A file of events, or the name of a task whose test samples are taken; None for the model's own task.
    first, n : int or None
        First sample and how many; all of a file, one of a task by default.
    """
    from neurosim.errors import DataError
    from neurosim.exchange.binding import bind_task, inputs_of

    if source is not None:
        events, labels, owner = file_events(model, source), None, f"file {str(source)!r}"
    else:
        found = bind_task(task_to_test(model, task), inputs_of(model.metadata))
        events, labels, owner = found.test_events, found.test_labels, f"task {found.name!r}"
    everything = source is not None and first is None
    count = (events.n_samples if everything else 1) if n is None else n
    start, there = first or 0, events.n_samples
    if start >= there:
        raise DataError(f"{owner}: no sample {start}; give --sample 0..{there - 1}")
    if start + count > there:
        raise DataError(
            f"{owner}: samples {start}..{start + count - 1} asked for, there are {there}; "
            f"give --samples 1..{there - start}"
        )
    chosen = range(start, start + count)
    return events.take(list(chosen)), None if labels is None else [int(labels[i]) for i in chosen]


def file_events(model: Model, source: Path) -> Events:
    """Read a file of events for a model; an imported one numbers its inputs as its framework did."""
    from neurosim.commands.eventfile import load_events
    from neurosim.exchange.binding import inputs_of
    from neurosim.exchange.imported import reorder_events

    events, inputs = load_events(source), inputs_of(model.metadata)
    if inputs is None or events.n_inputs != len(inputs.order):  # another number is an error when it runs
        return events
    return reorder_events(events, inputs)


def steps_of(model: Model, source: Path | None) -> int | None:
    """Steps of a sample of the model's own task; an input file says itself how long it is."""
    return None if source is not None else model.metadata.get("n_steps")
