"""Problems to learn, by name: which module loads each, its options, and the settings to train it with."""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from neurosim.data.task import Task as Task
from neurosim.errors import DataError


class Option(NamedTuple):
    """A whole number that a task takes, as in ``nmnist:split=3``."""

    default: int
    low: int
    high: int
    text: str


class TaskEntry(NamedTuple):
    """A task that can be loaded.

    Attributes
    ----------
    loader : str
        "module:function", imported when the task is loaded. The function takes the number of steps or None for the
        task's own, whether to augment the training data, and every option by name; it returns a `Task`.
    summary : str
        One line for lists.
    settings : tuple of str
        "key=value" of the configuration that ``neurosim train NAME`` begins with; ``--set`` comes after it.
    options : mapping from name to `Option`
    direct : tuple of str
        What ``neurosim train --method direct NAME`` begins with instead of `settings`.
    """

    loader: str
    summary: str
    settings: tuple[str, ...] = ()
    options: Mapping[str, Option] = {}
    direct: tuple[str, ...] = ()


class EpisodeTask(NamedTuple):
    """A task that is played instead of loaded: a network acts, and is told how long it did well.

    Attributes
    ----------
    summary : str
        One line for lists.
    settings : tuple of str
        As in `TaskEntry`.
    source, attribution : str
    """

    summary: str
    settings: tuple[str, ...]
    source: str
    attribution: str


LIMIT = Option(0, 0, 10_000_000, "learn from the first so many samples only; 0: all")
SPLIT = Option(1, 1, 5, "which recordings are tested with")
POOL = Option(2, 1, 34, "join squares of so many pixels a side into one input; 1, 2, 17 or 34")
PHASES = Option(3, 1, 64, "parts of the time with inputs of their own; 3: one for each saccade")
LEAST = Option(2, 1, 255, "events in a square and a step that make its input fire")
PICTURES = Option(0, 0, 1, "1: number inputs square by square, as network.convolutions needs them")
ANEW = Option(0, 0, 1, "1: draw the changed copies anew in each epoch")

#: Both orders of the digits are trained off the chip alike.
DIGITS_DIRECT = ("epochs=10", "batch=64", "evaluate_every=100")

#: Every task by name.
TASKS: dict[str, TaskEntry] = {
    "digits": TaskEntry(
        "neurosim.data.digits:digits_task", "handwritten digits, 8 x 8 pixels; comes with neurosim", direct=DIGITS_DIRECT
    ),
    "digits-ordered": TaskEntry(
        "neurosim.data.digits:digits_ordered_task", "the same digits, tested on the end of the file, by other writers",
        direct=DIGITS_DIRECT,
    ),
    "mnist": TaskEntry(
        "neurosim.data.mnist:mnist_task", "handwritten digits, 28 x 28 pixels, 60,000 and 10,000",
        (
            "network.n_steps=8", "epochs=20", "rule.perturbation=1.0", "rule.momentum=3", "rule.step=0.0625", "rule.memory=7",
        ),
        {"limit": LIMIT},
        ("network.n_steps=8", "epochs=20", "batch=128", "evaluate_every=1000"),  # 10,000 tests take as long as 200 batches
    ),
    "nmnist": TaskEntry(
        "neurosim.data.nmnist:nmnist_task", "digits seen by an event camera, 34 x 34 x 2",
        ("network.n_steps=9", "network.tau_mem=0.02", "network.gain=2.5", "rule.step=0.125", "epochs=6"),
        {
            "split": SPLIT, "pool": POOL, "phases": PHASES, "least": LEAST, "pictures": PICTURES,
            "copies": Option(20, 1, 1000, "how often each recording is there, warped but for the first"), "anew": ANEW,
        },
        ("network.n_steps=9", "network.tau_mem=0.02", "network.gain=2.5", "epochs=20", "batch=64"),
    ),
    "nmnist-saccades": TaskEntry(
        "neurosim.data.saccades:saccades_task", "MNIST seen by a simulated event camera, tested on real recordings",
        (
            "network.n_steps=9", "network.tau_mem=0.02", "network.gain=2.5", "epochs=3", "rule.perturbation=1.0", "rule.momentum=3",
            "rule.step=0.125", "rule.memory=7",
        ),
        {
            "split": SPLIT, "pool": POOL, "phases": PHASES, "least": LEAST, "pictures": PICTURES, "limit": LIMIT,
            "copies": Option(20, 0, 1000, "how often each recording is there, warped but for the first"), "anew": ANEW,
        },
        ("network.n_steps=9", "network.tau_mem=0.02", "network.gain=2.5", "epochs=10", "batch=128"),
    ),
    "fsdd": TaskEntry(
        "neurosim.data.fsdd:fsdd_task", "spoken digits of six speakers, heard by a cochlea of resonators",
        ("augment=false", "network.n_steps=64", "network.tau_mem=0.03", "epochs=40"),
        {
            "taps": Option(1, 1, 64, "delay lines of each channel: each is an input of its own"),
            "gap": Option(4, 1, 64, "steps from one delay line to the next"),
        },
        (
            "augment=true", "network.n_steps=64", "network.hidden=[256,256]", "network.tau_mem=0.01", "epochs=40", "batch=64",
            "direct.rate=0.005", "direct.dropout=0.1",
        ),
    ),
    "emg": TaskEntry(
        "neurosim.data.emg:emg_task", "wrist gestures from eight muscle sensors, tested on another session",
        ("augment=false", "network.n_steps=50"),
        direct=("augment=false", "network.n_steps=50", "network.tau_mem=0.02", "epochs=30", "batch=64"),
    ),
    "ecg": TaskEntry(
        "neurosim.data.ecg:ecg_task", "bands of the heartbeat from two leads, one at each step",
        ("augment=false", "network.n_steps=8", "epochs=2"),
        {"split": Option(1, 1, 5, "which fifth of the recordings is tested with")},
        ("augment=false", "network.n_steps=8", "epochs=8", "batch=128"),
    ),
    "yinyang": TaskEntry(
        "neurosim.data.yinyang:yinyang_task", "points of the plane in three classes, rates of tuned neurons",
        ("augment=false", "network.n_steps=16"),
        direct=("augment=false", "network.n_steps=16", "epochs=60", "batch=64"),
    ),
    "yinyang-latency": TaskEntry(
        "neurosim.data.yinyang:yinyang_latency_task", "the same points as times of single spikes",
        ("augment=false", "network.n_steps=32"),
        direct=("augment=false", "network.n_steps=32", "network.tau_mem=0.02", "epochs=60", "batch=64"),
    ),
}  # fmt: skip

#: Every task that is played, by name; `neurosim.episoderun` trains them.
EPISODE_TASKS: dict[str, EpisodeTask] = {
    "cartpole": EpisodeTask(
        "balance a pole on a cart, told only for how long",
        (
            "augment=false", "network.hidden=[32]", "network.n_steps=4", "rule.form=scalar", "rule.factor=random",
            "rule.pairs=4", "rule.step=1.0", "batch=16", "epochs=2", "evaluate_every=16", "checkpoint_every=32",
        ),
        "equations in fixed point, start states by hash",
        "A. G. Barto, R. S. Sutton, C. W. Anderson. Neuronlike adaptive elements that can solve difficult learning control "
        "problems. IEEE Trans. Systems, Man, and Cybernetics 13, 1983",
    ),
}  # fmt: skip


def parse_task(name: str) -> tuple[str, dict[str, int]]:
    """Return the task and all its options from a name such as ``nmnist:split=3,pool=2``.

    Raises
    ------
    DataError
        If the task or an option is unknown, or a value is out of range.
    """
    base, _, rest = name.partition(":")
    known = [*TASKS, *EPISODE_TASKS]
    if base not in known:
        close = difflib.get_close_matches(base, known, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise DataError(f"unknown task {base!r}; tasks are {', '.join(known)}{hint}")
    options = TASKS[base].options if base in TASKS else {}
    values = {key: option.default for key, option in options.items()}
    for given in filter(None, rest.split(",")):
        key, _, text = given.partition("=")
        if key not in options:
            choices = ", ".join(options) if options else "none"
            raise DataError(f"task {base!r}: unknown option {key!r}; options are {choices}")
        about = options[key]
        if not text.isdecimal() or not about.low <= int(text) <= about.high:
            raise DataError(
                f"task {base!r}: {key} {text!r} is not a whole number in {about.low}..{about.high} ({about.text}); "
                f"write {base}:{key}={about.default}"
            )
        values[key] = int(text)
    return base, values


def task_settings(name: str, method: str = "on-chip") -> tuple[str, ...]:
    """Return the "key=value" settings that training a task by a method begins with."""
    base, _ = parse_task(name)
    if base in EPISODE_TASKS:
        return EPISODE_TASKS[base].settings
    return TASKS[base].direct if method == "direct" else TASKS[base].settings


def load_task(name: str, *, n_steps: int | None = None, augment: bool | None = None, test_only: bool = False) -> Task:
    """Return the task of that name.

    Parameters
    ----------
    name : str
        A key of `TASKS`; options follow a colon, as in ``nmnist:split=3,pool=2``.
    n_steps : int, optional
        Steps of input per sample; the task's own where it is None.
    augment : bool, optional
        Add changed copies of the training samples, as the task describes them; test samples stay as they are. None
        does so where the task's settings do.
    test_only : bool
        The training samples are not needed: load as few as the task's options allow.
    """
    base, values = parse_task(name)
    if base in EPISODE_TASKS:
        raise DataError(
            f"task {base!r}: is played and has no samples; give one of {', '.join(TASKS)}, or: neurosim train {base}"
        )
    entry = TASKS[base]
    if augment is None:
        augment = "augment=false" not in entry.settings
    fewest = {"limit": 1, "copies": 0}.items() if test_only else ()
    loaded = values | {key: value for key, value in fewest if key in values}
    task: Task = pkgutil.resolve_name(entry.loader)(n_steps, augment, loaded)
    given = [f"{key}={value}" for key, value in values.items() if value != entry.options[key].default]
    return replace(task, name=":".join([base, ",".join(given)]) if given else base)
