"""What does training by gradients reach on the chip: neurons, surrogates, balance, steps, tasks, and what rounding costs?

Each run is one `neurosim train --method direct TASK --set ... --seed S`, on one thread; its command is in the metrics. With
``NEUROSIM_BENCH_RUNS`` naming a folder, runs are kept there, and those that are there already are not made again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from benchmarks.measure import Cell, Options, Table
from neurosim.compile_network import compile as compile_network
from neurosim.config import TrainConfig, override
from neurosim.energy import energy, load_energy_table
from neurosim.errors import RunFolderError
from neurosim.experiment import train_model
from neurosim.modelfile import load_model
from neurosim.runfolder import RunFolder
from neurosim.studies.energystudy import counts_from_metrics
from neurosim.tasks import task_settings
from neurosim.transfer import started_from

KEPT = "NEUROSIM_BENCH_RUNS"
N_SEEDS = 3
N_SPLITS = 5  # of the recordings of N-MNIST; a seed has its own
STEPS = (8, 4, 2, 1)
ABLATION_STEPS = 2
ENERGY_TABLE = "loihi1-davies2018"
COUNTED = ("synaptic_operations", "spikes", "neuron_updates_active")
QUICK = ("epochs=1", "batch=60")
QUICK_TASKS = {
    "mnist": "mnist:limit=600",
    "nmnist": "nmnist:copies=1",
    "nmnist-saccades": "nmnist-saccades:copies=1,limit=200",
}

#: What the network of 784-256-10 is compared with and without.
NEURON = (
    "network.neuron=multispike",
    "network.signed=false",
    "network.max_spikes=15",
    "direct.surrogate=rectangle",
    "chip=loihi2",
)
WIDTHS = ("direct.learn_width=step",)
BALANCE = ("direct.balance=0.1",)
PLAIN: tuple[str, ...] = ("chip=loihi2",)
QUIET = ("evaluate_every=1000000", "checkpoint_every=1000000")
DENSE = ("epochs=15", "network.hidden=[256]", *QUIET)


class Run(NamedTuple):
    """A training, without its seed."""

    task: str
    settings: tuple[str, ...]
    start: Run | None = None  # whose model it goes on from


class Found(NamedTuple):
    """What came of a training."""

    accuracy: float
    seconds: float
    metrics: dict[str, Any]


SACCADES = Run("nmnist-saccades:pictures=1,anew=1,split={split}", (
    "network.convolutions=['24c5s2', '48c3']", "network.hidden=[]", "epochs=4", "direct.rate=0.004", "chip=unlimited", *QUIET,
))  # fmt: skip
DROPPED = SACCADES._replace(settings=(*SACCADES.settings, "direct.dropout=0.1"))
TASKS = {
    "conv net, MNIST": Run("mnist", (
        "network.convolutions=['32c5s2', '64c3s2']", "network.hidden=[256]", "network.n_steps=4", "network.rate=0.1", "epochs=40",
        "direct.dropout=0.1", *NEURON, *QUIET,
    )),
    "conv net, N-MNIST, recordings only": Run("nmnist:pictures=1,anew=1,split={split}", (
        "network.convolutions=['24c5s2', '48c3']", "network.hidden=[]", "epochs=6", "direct.rate=0.004", "chip=unlimited", *QUIET,
    )),
    "conv net, N-MNIST, simulated saccades and recordings": SACCADES,
    "the same, a tenth of the neurons dropped out": DROPPED,
    "and then the recordings alone": Run("nmnist:pictures=1,anew=1,split={split}", (
        "epochs=4", "direct.rate=0.001", "direct.dropout=0.1", "chip=unlimited", *QUIET,
    ), DROPPED),
    "two layers of 256, spoken digits": Run("fsdd", QUIET),
    "recurrent layer of 128 behind delay lines, spoken digits": Run("fsdd:taps=8,gap=4", (
        "network.hidden=[128]", "network.recurrent=true", *QUIET,
    )),
}  # fmt: skip


def name_of(run: Run, seed: int) -> str:
    """Return a folder name of its own for a run; its configuration is in the folder."""
    lines = [run.task, *run.settings, *(() if run.start is None else (name_of(run.start, seed),))]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
    return f"{run.task.partition(':')[0]}-{digest}-{seed}"


def config_of(run: Run, seed: int, quick: bool) -> TrainConfig:
    """Return the configuration of a run: the task's own settings for gradients, then those of the run."""
    name, _, options = run.task.partition(":")
    task = run.task.format(split=(seed - 1) % N_SPLITS + 1)
    if quick and name in QUICK_TASKS:
        task = QUICK_TASKS[name] + (",pictures=1" if "pictures=1" in options else "")
    config = override(TrainConfig(task=task, method="direct"), task_settings(task, "direct"))
    return replace(override(config, [*run.settings, *(QUICK if quick else ())]), seed=seed)


def train(run: Run, seed: int, quick: bool, base: str) -> dict[str, Any]:
    """Train, or take what is there; return the metrics."""
    folder = Path(base) / name_of(run, seed)
    if (folder / "metrics.json").is_file():
        try:
            return RunFolder.open(folder).read_metrics()
        except RunFolderError:
            pass  # half a file of another version: train anew
    config = config_of(run, seed, quick)
    if run.start is not None:
        train(run.start, seed, quick, base)
        path = RunFolder.open(Path(base) / name_of(run.start, seed)).model_path
        config = started_from(config, load_model(path), path, str(path))
    return train_model(config, RunFolder.create(folder, force=True), threads=1)


def train_all(runs: Iterable[Run], seeds: Sequence[int], options: Options, base: str) -> dict[tuple[Run, int], Found]:
    """Make every run, as many at once as there are threads, each on one of them."""
    asked = [(run, seed) for run in dict.fromkeys(runs) for seed in seeds]
    with ProcessPoolExecutor(max(options.threads), mp_context=get_context("spawn")) as pool:
        done = {}
        for goes_on in (False, True):  # those that others go on from first
            wave = [key for key in asked if (key[0].start is not None) == goes_on]
            jobs = [pool.submit(train, run, seed, options.quick, base) for run, seed in wave]
            done |= {key: job.result() for key, job in zip(wave, jobs, strict=True)}
        found = [done[key] for key in asked]
    return {
        key: Found(metrics["test"]["accuracy"], metrics["training"]["seconds"], metrics)
        for key, metrics in zip(asked, found, strict=True)
    }


def tables(options: Options) -> list[Table]:
    """Train everything, and put it together."""
    seeds = options.seeds[: 1 if options.quick else N_SEEDS]
    steps = STEPS[-2:] if options.quick else STEPS
    kept = os.environ.get(KEPT)
    with tempfile.TemporaryDirectory() as scratch:
        base = kept or scratch
        made = train_all(all_runs(steps), seeds, options, base)
        return [
            steps_table(made, steps, seeds),
            ablation_table(made, seeds),
            tasks_table(made, seeds),
            rounding_table(made, seeds),
            energy_table(made, steps, seeds, base),
        ]


def dense(steps: int, *parts: tuple[str, ...]) -> Run:
    """Return a training of 784-256-10."""
    chosen = parts if NEURON in parts else (PLAIN, *parts)
    return Run("mnist", (f"network.n_steps={steps}", *DENSE, *(text for part in chosen for text in part)))


def combinations() -> dict[str, Run]:
    """Return every choice of neuron, surrogate and balance, by what it has."""
    found = {}
    for neuron in (False, True):
        for widths in (False, True):
            for balance in (False, True):
                parts = [part for part, has in ((NEURON, neuron), (WIDTHS, widths), (BALANCE, balance)) if has]
                names = [
                    ("multi-spike" if neuron else "LIF"),
                    *(["widths per step"] * widths),
                    *(["balance"] * balance),
                ]
                found[", ".join(names)] = dense(ABLATION_STEPS, *parts)
    return found


def as_floats(run: Run) -> Run:
    """Return a training that sees floats, rounded at its end."""
    return run._replace(settings=(*run.settings, "direct.arithmetic=float"))


def all_runs(steps: Sequence[int]) -> list[Run]:
    """Return every run that the tables need."""
    pairs = [run for t in steps for run in (dense(t), dense(t, NEURON, WIDTHS, BALANCE))]
    rounding = [
        as_floats(dense(8)),
        as_floats(dense(ABLATION_STEPS, NEURON, WIDTHS, BALANCE)),
        as_floats(TASKS["two layers of 256, spoken digits"]),
    ]
    lacking = [dense(8)] if 8 not in steps else []
    return [*pairs, *lacking, *combinations().values(), *TASKS.values(), *rounding]


def percent(accuracies: Sequence[float]) -> str:
    """Return mean and spread in percent."""
    spread = f" +- {100 * stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
    return f"{100 * mean(accuracies):.2f}{spread}"


def accuracies(made: dict[tuple[Run, int], Found], run: Run, seeds: Sequence[int]) -> list[float]:
    """Return the accuracy of the chip's integers for each seed."""
    return [made[run, seed].accuracy for seed in seeds]


def steps_table(made: dict[tuple[Run, int], Found], steps: Sequence[int], seeds: Sequence[int]) -> Table:
    """Compare LIF with all three additions at each number of steps."""
    rows: list[list[Cell]] = []
    for t in steps:
        runs = dense(t), dense(t, NEURON, WIDTHS, BALANCE)
        a, b = (accuracies(made, run, seeds) for run in runs)
        rows.append([t, percent(a), percent(b), f"{100 * (mean(b) - mean(a)):+.2f}"])
    return Table(
        "MNIST, 784-256-10, trained by gradients: test accuracy of the chip's integers, %",
("T", "LIF, fixed surrogate", "multi-spike, widths per step, balance", "gain, points"),
        rows,
        f"Seeds {', '.join(map(str, seeds))}; mean and standard deviation.",
    )  # fmt: skip


def ablation_table(made: dict[tuple[Run, int], Found], seeds: Sequence[int]) -> Table:
    """Show every combination."""
    rows: list[list[Cell]] = []
    base = mean(accuracies(made, dense(ABLATION_STEPS), seeds))
    for name, run in combinations().items():
        found = accuracies(made, run, seeds)
        rows.append(
            [
                name,
                percent(found),
                f"{100 * (mean(found) - base):+.2f}",
                f"{100 * min(found):.2f}",
                f"{100 * max(found):.2f}",
            ]
        )
    return Table(
        f"Neuron, surrogate and balance, alone and together: MNIST, 784-256-10, T = {ABLATION_STEPS}",
        ("network", "test accuracy, %", "against LIF, points", "lowest", "highest"), rows,
    )  # fmt: skip


def tasks_table(made: dict[tuple[Run, int], Found], seeds: Sequence[int]) -> Table:
    """Show other networks and data."""
    rows: list[list[Cell]] = []
    for name, run in TASKS.items():
        found = [made[run, seed] for seed in seeds]
        agree = [each.metrics["training"]["agreement"]["chip"] for each in found]
        rows.append([
            name, percent([each.accuracy for each in found]), found[0].metrics["test"]["n"], f"{100 * min(agree):.2f}",
            f"{mean(each.seconds for each in found):.0f}",
        ])  # fmt: skip
    return Table(
        "Other networks and data, chip integers",
        ("network, data", "test accuracy, %", "test samples", "same label as in training, lowest %", "s of training"), rows,
    )  # fmt: skip


def rounding_table(made: dict[tuple[Run, int], Found], seeds: Sequence[int]) -> Table:
    """Compare training in the chip's integers with floats that are rounded at the end."""
    rows: list[list[Cell]] = []
    for name, run in (
        ("784-256-10, LIF, T = 8", dense(8)),
        (f"784-256-10, multi-spike, T = {ABLATION_STEPS}", dense(ABLATION_STEPS, NEURON, WIDTHS, BALANCE)),
        ("spoken digits", TASKS["two layers of 256, spoken digits"]),
    ):
        floats = as_floats(run)
        seen = [made[floats, seed].metrics["training"]["agreement"]["float_accuracy"] for seed in seeds]
        after, aware = accuracies(made, floats, seeds), accuracies(made, run, seeds)
        rows.append([name, percent(seen), percent(after), percent(aware), f"{100 * (mean(seen) - mean(after)):.2f}",
                     f"{100 * (mean(seen) - mean(aware)):.2f}"])  # fmt: skip
    return Table(
        "What integers cost: rounded after training in floats, and seen by training",
        ("network", "floats, %", "rounded after, %", "trained in integers, %", "lost by rounding, points", "lost by training in integers, points"),
        rows,
    )  # fmt: skip


def energy_table(made: dict[tuple[Run, int], Found], steps: Sequence[int], seeds: Sequence[int], base: str) -> Table:
    """Count the work of an inference of each network, and price it."""
    table = load_energy_table(ENERGY_TABLE)
    rows: list[list[Cell]] = []
    for t in steps:
        for name, run in (
            ("LIF", dense(t)), ("multi-spike, widths per step, balance", dense(t, NEURON, WIDTHS, BALANCE)),
        ):  # fmt: skip
            spent = []
            for seed in seeds:
                model = load_model(Path(base) / name_of(run, seed) / "model.npz")
                program = compile_network(model.network, model.chip)
                counts = counts_from_metrics(made[run, seed].metrics["counts"]["per_inference"], program)
                priced = energy(counts, table, per=counts.n_samples)
                totals = counts.totals()
                spent.append([totals[key] / counts.n_samples for key in COUNTED] + [(priced.total_pj or 0.0) / 1e6])
            means = [mean(column) for column in zip(*spent, strict=True)]
            rows.append(
                [name, t, percent(accuracies(made, run, seeds)), *(f"{x:,.0f}" for x in means[:-1]), f"{means[-1]:.3f}"]
            )
    return Table(
        "Work and energy of an inference: 784-256-10 on MNIST, as trained above",
        ("neurons", "T", "test accuracy, %", "synaptic operations", "messages, inputs included", "active neuron updates", "uJ"), rows,
        f"Priced by table {ENERGY_TABLE}, the events of Loihi 1, because nobody has published energies of Loihi 2, which has messages with values: a message is "
        "priced as a spike, an addition of a weight times a value as one of a weight. Means over seeds.",
    )  # fmt: skip
