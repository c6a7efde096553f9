"""Problems to learn: input spikes with labels, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurosim.data.augment import half_shifts
from neurosim.data.digits import LEVELS, N_CLASSES, load_digits
from neurosim.data.encode import rate_code
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


def digits_task(
    n_steps: int | None = None, augment: bool = True, split: Literal["random", "ordered"] = "random"
) -> Task:
    """Return the 8 x 8 digits as 64 rate-coded inputs; in the default 16 steps a pixel fires as often as its value.

    With `augment` the training images are followed by four copies, moved by half a pixel each. The split "ordered" tests on the
    last quarter of the file, most likely written by other people, and is harder.
    """
    steps = LEVELS if n_steps is None else n_steps
    digits = load_digits(split)
    images = digits.images[digits.train]
    labels = digits.labels.astype(np.int64)
    train_labels, more = labels[digits.train], ""
    if augment:
        images = np.concatenate([images, half_shifts(images)])
        train_labels = np.tile(train_labels, len(images) // len(train_labels))
        more = "; training images also moved by half a pixel in four directions"
    test = digits.images[digits.test]
    return Task(
        name="digits" if split == "random" else f"digits-{split}",
        train_events=rate_code(images.reshape(len(images), -1), steps, LEVELS),
        train_labels=train_labels,
        test_events=rate_code(test.reshape(len(test), -1), steps, LEVELS),
        test_labels=labels[digits.test],
        n_classes=N_CLASSES,
        n_inputs=test[0].size,
        n_steps_input=steps,
        description=f"handwritten digits, 8 x 8 pixels, rate-coded over {steps} steps{more}",
        source=digits.source,
        licence=digits.licence,
        attribution=digits.attribution,
        images=test,
    )


#: Every task by name; each takes the number of steps or None for its default, and whether to augment the training data.
TASKS: dict[str, Callable[[int | None, bool], Task]] = {
    "digits": digits_task,
    "digits-ordered": partial(digits_task, split="ordered"),
}


def load_task(name: str, *, n_steps: int | None = None, augment: bool = True) -> Task:
    """Return the task of that name.

    Parameters
    ----------
    name : str
        A key of `TASKS`.
    n_steps : int, optional
        Steps of input per sample.
    augment : bool
        Add changed copies of the training samples, as the task describes them; test samples stay as they are.
    """
    if name not in TASKS:
        close = difflib.get_close_matches(name, TASKS, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise DataError(f"unknown task {name!r}; tasks are {', '.join(TASKS)}{hint}")
    return TASKS[name](n_steps, augment)
