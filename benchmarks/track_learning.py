"""How well is each task learned, with each form of the rule, in how many bits, from batches and from a stream?

Every row is one command, repeated for each seed; `docs/learning.md` quotes the table.
"""

from __future__ import annotations

import shlex
import tempfile
from statistics import mean, stdev
from typing import NamedTuple

from benchmarks.measure import Cell, Options, Table
from neurosim.config import TrainConfig, override
from neurosim.errors import DataError
from neurosim.experiment import train_model
from neurosim.runfolder import RunFolder
from neurosim.tasks import task_settings

N_SEEDS = 3
QUICK = ("epochs=1",)


class Row(NamedTuple):
    """One line of the table."""

    what: str
    tasks: tuple[str, ...]  # more than one: splits, whose mean is a seed's accuracy
    settings: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What a user types, but for the seed."""
        name = self.tasks[0].replace("split=1", "split=K")
        return " ".join([f"neurosim train {name}", *(f"--set {shlex.quote(text)}" for text in self.settings)])


SPLITS = tuple(f":split={k}" for k in range(1, 6))
SCALAR = (
    "rule.form=scalar", "rule.pairs=32", "batch=64", "rule.skip=0.9", "rule.perturbation=0.1", "rule.momentum=0", "rule.step=0.5",
)  # fmt: skip
DEEPER = ("network.hidden=[512,256]", "network.rate=0.03", "rule.memory=8")
CONVOLUTION = (
    'network.convolutions=["16c5s2"]', "network.rate=0.05", "network.n_steps=16", "network.tau_mem=0.016", "rule.memory=11",
    "epochs=10", "chip=unlimited",
)  # fmt: skip
ROWS = (
    Row("MNIST, 784-256-10, response form", ("mnist",)),
    Row("MNIST, 784-256-10, scalar form", ("mnist",), SCALAR),
    Row("MNIST, deeper: 784-512-256-10", ("mnist",), DEEPER),
    Row("MNIST, 16 channels of 5 x 5 convolved, 256 hidden", ("mnist",), CONVOLUTION),
    Row("MNIST, 4-bit weights", ("mnist",), ("network.weight_bits=4",)),
    Row("MNIST, 2-bit weights", ("mnist",), ("network.weight_bits=2",)),
    Row(
        "MNIST, stream, one pass",
        ("mnist",),
        ("augment=false", "mode=stream", "epochs=1", "rule.momentum=0", "rule.step=0.5", "rule.memory=5"),
    ),
    Row("real N-MNIST, 5 splits", tuple(f"nmnist{split}" for split in SPLITS)),
    Row("simulated saccades, then real N-MNIST, 5 splits", tuple(f"nmnist-saccades{split}" for split in SPLITS)),
)


def tables(options: Options) -> list[Table]:
    """Train every row with every seed; rows whose data is not here are left out and named."""
    rows: list[list[Cell]] = []
    missing = []
    for row in ROWS[:1] if options.quick else ROWS:
        try:
            rows.append(_row(row, options))
        except DataError as error:
            missing.append(f"{row.what} ({error})")
    note = "Test accuracy with each seed (the mean of all splits, where there are some); spread: standard deviation."
    if missing:
        note += f" Not measured: {'; '.join(missing)}."
    columns = ("what", "by seed", "mean", "spread", "command, with --seed")
    return [Table("Accuracy", columns, rows, note)]


def accuracies(row: Row, options: Options) -> list[float]:
    """Train a row with every seed; return the test accuracy of each, over all splits."""
    found = []
    for seed in options.seeds[:1] if options.quick else options.seeds[:N_SEEDS]:
        each = []
        for task in row.tasks[:1] if options.quick else row.tasks:
            settings = [f"task={task}", f"seed={seed}", *task_settings(task), *row.settings]
            config = override(TrainConfig(), [*settings, *(QUICK if options.quick else ())])
            with tempfile.TemporaryDirectory() as folder:
                run = RunFolder.create(f"{folder}/run")
                each.append(float(train_model(config, run, threads=max(options.threads))["test"]["accuracy"]))
        found.append(mean(each))
    return found


def _row(row: Row, options: Options) -> list[Cell]:
    found = accuracies(row, options)
    spread = f"{100 * stdev(found):.2f}" if len(found) > 1 else "-"
    return [row.what, ", ".join(f"{100 * x:.2f}" for x in found), f"{100 * mean(found):.2f} %", spread, row.command]
