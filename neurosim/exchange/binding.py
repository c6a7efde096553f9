"""Samples of a task for an imported model, which numbers its inputs as its framework did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from neurosim.data.task import Task
from neurosim.errors import DataError
from neurosim.events import Events
from neurosim.exchange.imported import Order, Port, reorder_events


def inputs_of(metadata: Mapping[str, Any]) -> Port | None:
    """Return the inputs that a model's metadata describe; None for a model that was made here."""
    kept = metadata.get("inputs")
    return None if kept is None else Port.from_dict(kept)


def bind_task(task: Task, inputs: Port | None) -> Task:
    """Return a task whose events go to the input lines of an imported model, or the task itself where `inputs` is None.

    Tasks number pictures as (row, column, channel); the framework's order of them is (channel, row, column).

    Raises
    ------
    DataError
        If the numbers of inputs differ.
    """
    if inputs is None:
        return task
    if task.n_inputs != len(inputs.order):
        raise DataError(
            f"task {task.name!r}: has {task.n_inputs} inputs, the imported model has {len(inputs.order)} "
            f"{inputs.shape}; choose the data that the model was trained on"
        )
    line = inputs.line_of[_framework_element(task)]
    if np.array_equal(line, np.arange(len(line))):
        return task
    port = Port(inputs.group, inputs.shape, np.argsort(line))
    copies = task.copies

    def bound(events: Events) -> Events:
        return reorder_events(events, port)

    return replace(
        task, train_events=bound(task.train_events), test_events=bound(task.test_events), input_shape=None,
        copies=None if copies is None else lambda epoch: bound(copies(epoch)),
    )  # fmt: skip


def _framework_element(task: Task) -> Order:
    """Return which element of the framework's array each input of a task is, (n_inputs,) int64."""
    index = np.arange(task.n_inputs, dtype=np.int64)
    if task.input_shape is None:
        return index
    rows, columns, channels = task.input_shape
    return np.ascontiguousarray(index.reshape(channels, rows, columns).transpose(1, 2, 0)).ravel()
