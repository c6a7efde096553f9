"""What a task is: labelled input spikes for training and testing, and where they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError
from neurosim.events import Events


@dataclass(frozen=True, eq=False)
class Task:
    """A classification problem in spikes.

    Parameters
    ----------
    name : str
    train_events, test_events : Events
        One sample per label, `n_steps_input` steps each.
    train_labels, test_labels : (n_samples,) int64
        0..n_classes - 1.
    n_classes, n_inputs : int
    n_steps_input : int
        Steps with input. A network needs one more step per connection on the way to its output.
    description, source, licence, attribution : str
    images : (n_test, rows, columns) uint8 or None
        The test samples as pictures, for reports.
    input_shape : (rows, columns, channels) or None
        Inputs that are pictures: input ``(row * columns + column) * channels + c``. What `Conv` calls x is the row of these.
    train_step_labels, test_step_labels : (n_samples, n_steps_input) int64 or None
        Class at each step, -1 where there is none, for tasks that know it.
    copies : function of int to Events, or None
        Called with the number of an epoch (from 0): the training samples as that epoch sees them, changed anew for
        each, in the order of `train_labels`, so that one epoch's events are in memory at a time; `train_events` are
        those of epoch 0. None: every epoch sees `train_events`.
    """

    name: str
    train_events: Events
    train_labels: npt.NDArray[np.int64]
    test_events: Events
    test_labels: npt.NDArray[np.int64]
    n_classes: int
    n_inputs: int
    n_steps_input: int
    description: str
    source: str
    licence: str
    attribution: str
    images: npt.NDArray[np.uint8] | None = None
    input_shape: tuple[int, int, int] | None = None
    train_step_labels: npt.NDArray[np.int64] | None = None
    test_step_labels: npt.NDArray[np.int64] | None = None
    copies: Callable[[int], Events] | None = None


def refuse_copies(name: str, augment: bool) -> None:
    """Say that a task has no changed copies of its training samples, if they are asked for."""
    if augment:
        raise DataError(f"task {name!r}: has no changed copies of its training samples; set augment=false")
