"""How well does the demo learn, over several seeds and both splits of its data?"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from statistics import mean, stdev

from benchmarks.measure import Cell, Options, Table
from neurosim.config import TrainConfig
from neurosim.experiment import train_model
from neurosim.runfolder import RunFolder

ORDERED = "digits-ordered"
EPOCHS_QUICK = 1


def tables(options: Options) -> list[Table]:
    """Train with every seed on every split."""
    config = TrainConfig(epochs=EPOCHS_QUICK) if options.quick else TrainConfig()
    seeds = options.seeds[:2] if options.quick else options.seeds
    rows: list[list[Cell]] = []
    for task in ("digits", ORDERED):
        found = [_accuracy(replace(config, task=task, seed=seed), max(options.threads)) for seed in seeds]
        spread = stdev(found) if len(found) > 1 else None
        each = ", ".join(f"{accuracy:.2%}" for accuracy in found)
        rows.append([task, each, f"{mean(found):.2%}", "-" if spread is None else f"{spread:.2%}", f"{min(found):.2%}"])
    names = ", ".join(map(str, seeds))
    note = (
        f"Test accuracy with the default configuration (epochs: {config.epochs}), seeds {names}: initial weights, order "
        "and noise; the split is fixed. Spread: standard deviation over seeds. digits: 360 test images, chosen evenly "
        f"over the classes; {ORDERED}: the last 450 images of the file, mostly by other writers."
    )
    return [Table("Accuracy of the demo", ("split", "accuracy by seed", "mean", "spread", "worst"), rows, note)]


def _accuracy(config: TrainConfig, threads: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        metrics = train_model(config, RunFolder.create(f"{folder}/run"), threads=threads)
    return float(metrics["test"]["accuracy"])
