"""What does a trained model lose on a faulty chip, and how much does learning on that chip win back?"""

from __future__ import annotations

from dataclasses import replace
from statistics import mean, stdev

import numpy as np

from benchmarks.measure import Cell, Options, Table
from neurosim.answers import Answer
from neurosim.backend import get_backend
from neurosim.compile_network import compile as compile_network
from neurosim.config import TrainConfig, override
from neurosim.errors import DataError
from neurosim.experiment import open_trainer, prepare_program
from neurosim.faultconfig import FaultConfig
from neurosim.faults import draw_faults, faulty_network
from neurosim.faultychip import won_back
from neurosim.learning.build import READOUT, run_steps
from neurosim.network import Network
from neurosim.tasks import Task, load_task

N_SEEDS = 3
TASKS: dict[str, list[str]] = {
    "digits": ["epochs=16"],
    "mnist:limit=6000": ["augment=false", "network.n_steps=8", "epochs=4"],
}
#: What is broken, in the order of the table.
CHIPS = {
    "10 % of the synapses stuck at zero": FaultConfig(stuck_zero=0.1),
    "30 % stuck at zero": FaultConfig(stuck_zero=0.3),
    "2 % stuck at the end of their range": FaultConfig(stuck_largest=0.02),
    "5 % stuck at the end of their range": FaultConfig(stuck_largest=0.05),
    "20 % of the neurons dead": FaultConfig(dead=0.2),
    "thresholds spread by 20 %": FaultConfig(threshold_spread=0.2),
    "all: 10 % zero, 2 % end, 10 % as they are, 10 % dead, spread 20 %": FaultConfig(0.1, 0.02, 0.1, 0.1, 0.2),
}
#: How the faulty chip learns on: settings on top of those of the first training.
FORMS = {
    "response": ["epochs=4", "rule.step=0.25"],
    "scalar": ["epochs=4", "rule.form=scalar", "rule.pairs=16", "rule.step=0.25"],
}


def tables(options: Options) -> list[Table]:
    """Break, test, learn on, and test again."""
    seeds = options.seeds[: 1 if options.quick else N_SEEDS]
    threads = max(options.threads)
    names = dict(list(TASKS.items())[:1]) if options.quick else TASKS
    chips = dict(list(CHIPS.items())[-1:]) if options.quick else CHIPS
    return [_table(name, settings, chips, seeds, threads, options.quick) for name, settings in names.items()]


def _table(
    name: str, settings: list[str], chips: dict[str, FaultConfig], seeds: tuple[int, ...], threads: int, quick: bool
) -> Table:
    title = f"A faulty chip, {name}"
    columns = ("what is broken", "healthy chip", "faulty chip", *(f"after learning on it, {form}" for form in FORMS),
               *(f"won back, {form}" for form in FORMS))  # fmt: skip
    config = override(TrainConfig(), [f"task={name}", *settings])
    try:
        task = load_task(name, n_steps=config.network.n_steps, augment=config.augment)
    except DataError as error:
        return Table(title, columns, [], f"Not measured: {error}.")
    found: dict[str, list[list[float]]] = {}
    for seed in seeds:
        one = replace(config, seed=seed, epochs=1 if quick else config.epochs)
        healthy = learn(one, task, None, None, threads)
        whole = accuracy(healthy, task, one, threads)
        for what, rates in chips.items():
            faults = replace(rates, seed=seed)
            broken = accuracy(faulty_network(healthy, draw_faults(healthy, faults)), task, one, threads)
            after = []
            for changed in FORMS.values():
                again = override(one, changed)
                again = replace(again, epochs=1) if quick else again
                after.append(accuracy(learn(again, task, healthy, faults, threads), task, one, threads))
            found.setdefault(what, []).append([whole, broken, *after])
    rows = [_row(what, runs) for what, runs in found.items()]
    note = (
        f"784 or 64 inputs, 256 hidden neurons, 8-bit weights, form response; test accuracy, mean and standard deviation over seeds {', '.join(map(str, seeds))} "
        f"(of training and of the faults). First training: {', '.join(settings)}. On the faulty chip: "
        + "; ".join(f"{form}: {', '.join(changed)}" for form, changed in FORMS.items())
        + ". Stuck weights never move; a dead neuron sends nothing. Won back: share of the loss, where half a point or more was lost."
    )
    return Table(title, columns, rows, note)


def _row(what: str, runs: list[list[float]]) -> list[Cell]:
    columns = list(zip(*runs, strict=True))
    cells: list[Cell] = [what]
    for each in columns:
        spread = f" ± {100 * stdev(each):.2f}" if len(each) > 1 else ""
        cells.append(f"{100 * mean(each):.2f}{spread} %")
    whole, broken = mean(columns[0]), mean(columns[1])
    shares = [won_back(whole, broken, mean(after)) for after in columns[2:]]
    return [*cells, *(None if share is None else f"{100 * share:.0f} %" for share in shares)]


def learn(config: TrainConfig, task: Task, start: Network | None, faults: FaultConfig | None, threads: int) -> Network:
    """Train, from given weights and on a faulty chip if there are such; return what the chip holds at the end."""
    program, _ = prepare_program(config, task)
    if start is not None and faults is not None:
        program, config = compile_network(start, config.chip), replace(config, faults=faults, start=start.name)
    with open_trainer(config, program, task, threads) as trainer:
        for _ in range(trainer.n_generations):
            trainer.step()
        return trainer.network


def accuracy(network: Network, task: Task, config: TrainConfig, threads: int) -> float:
    """Return the share of the test samples that a network classifies right.

    On the chip without limits: thresholds that vary by accident take none of a chip's settings.
    """
    program = compile_network(network, "unlimited")
    assert network.group(READOUT).n == task.n_classes
    with get_backend("simulator").open(program, threads=threads) as runner:
        result = runner.run(task.test_events, run_steps(config.network))
    return float(np.mean(Answer(READOUT).classes(result)[:, 0] == task.test_labels))
