"""Run a suite of benchmarks: every network on every chip and backend, and each driven at several rates."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neurosim.backend import get_backend
from neurosim.chip import Chip, load_chip
from neurosim.config import TrainConfig, override
from neurosim.energy import load_energy_table
from neurosim.errors import CapacityError, ConfigError, FeatureError
from neurosim.events import Events
from neurosim.experiment import model_metadata, open_trainer, prepare_program
from neurosim.modelfile import Model, load_model, save_model
from neurosim.network import Dense, IntegerConnection, Network, Sparse
from neurosim.report import accuracy_interval
from neurosim.runfolder import model_file
from neurosim.studies.benchconfig import NetworkSpec, Suite, parse_network
from neurosim.studies.benchfolder import BenchFolder
from neurosim.studies.energystudy import Counted, cores_of, count_samples, on_chip, study, tables_of
from neurosim.tasks import EPISODE_TASKS, Task, load_task, parse_task, task_settings

STREAM = 0x7468696E  # of the numbers that thin an input, apart from all others of a seed


class Step(NamedTuple):
    """One piece of work of a suite, as progress shows it."""

    done: int
    total: int
    text: str


def check_suite(suite: Suite) -> None:
    """Refuse names that do not exist, before anything is trained."""
    base, _ = parse_task(suite.task)
    if base in EPISODE_TASKS:
        raise ConfigError(f"task: {suite.task!r} is played and has no samples; choose one with samples, such as digits")
    for name in suite.chips:
        load_chip(name)
    for name in suite.backends:
        get_backend(name)
    for name in suite.tables:
        load_energy_table(name)
    for name in suite.runs:
        load_model(model_file(Path(name)))


def run_suite(
    suite: Suite, folder: BenchFolder, *, threads: int = 1, on_step: Callable[[Step], None] | None = None
) -> dict[str, Any]:
    """Run everything that the folder does not hold yet; results are written after each piece of work.

    Parameters
    ----------
    suite : Suite
    folder : BenchFolder
    threads : int
        Does not change any result but times.
    on_step : callable, optional
        Called before each piece of work, and after the last.

    Returns
    -------
    dict
        suite, neurosim; rows: one for each network, chip and backend; drives: one for each network and share of the input.
        The same suite gives the same numbers; only keys that end in ``wall_s`` are times of this machine.
    """
    check_suite(suite)
    results = folder.open(suite)
    chips = {name: load_chip(name) for name in suite.chips}
    networks = [parse_network(text) for text in suite.networks]
    total = len(networks) + (len(networks) + len(suite.runs)) * (len(chips) * len(suite.backends) + len(suite.drives))
    progress = _Progress(total, on_step)
    models: dict[str, Model] = {}
    for spec in networks:
        progress.next(f"train {spec.name}")
        models[spec.name] = _trained(suite, spec, folder, threads)
    models |= {name: load_model(model_file(Path(name))) for name in suite.runs}
    tasks: dict[int | None, Task] = {}
    done = {(row["network"], row["chip"], row["backend"]) for row in results["rows"]}
    for name, model in models.items():
        task = _task_for(model, suite, tasks)
        for chip_name, chip in chips.items():
            for backend in suite.backends:
                progress.next(f"{name} on {chip_name}, {backend}")
                if (name, chip_name, backend) not in done:
                    row = _measured(suite, model, chip, backend, task, threads)
                    results["rows"].append({"network": name, "chip": chip_name, "backend": backend} | row)
                    folder.write(results)
    first_chip, first_backend = suite.chips[0], suite.backends[0]
    driven = {(row["network"], row["kept_percent"]) for row in results["drives"]}
    for name, model in models.items():
        task = _task_for(model, suite, tasks)
        for percent in suite.drives:
            progress.next(f"{name} with {percent} % of its input")
            if (name, percent) not in driven:
                weaker = replace(task, test_events=thinned(task.test_events, percent, suite.seed))
                row = _measured(suite, model, chips[first_chip], first_backend, weaker, threads)
                results["drives"].append({"network": name, "chip": first_chip, "kept_percent": percent} | row)
                folder.write(results)
    progress.finish()
    folder.write(results)
    return results


def thinned(events: Events, percent: int, seed: int) -> Events:
    """Return events of which each is kept with so many percent of chance.

    Those kept at a lower percentage are among those kept at a higher one; 0 keeps none and 100 all.
    """
    raw = np.random.PCG64([seed, STREAM]).random_raw(len(events.neuron))  # its bits are the same in every numpy
    kept = (raw >> np.uint64(32)) * np.uint64(100) >> np.uint64(32) < percent
    start = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)[events.start]
    value = None if events.value is None else events.value[kept]
    return events._replace(start=start, neuron=events.neuron[kept], value=value)


def pruned(network: Network, keep: int) -> Network:
    """Return the network with the largest weights of each dense connection only, so many percent, as sparse connections.

    Of equal weights the first in the order of [post, pre] are kept.
    """
    return replace(network, connections=tuple(_pruned(c, keep) for c in network.connections))


def _pruned(connection: Any, keep: int) -> IntegerConnection:
    if not isinstance(connection, Dense):
        kept: IntegerConnection = connection
        return kept
    weights = np.asarray(connection.weights)
    n = max(1, weights.size * keep // 100)
    chosen = np.sort(np.argsort(-np.abs(weights).ravel(), kind="stable")[:n])
    row, col = np.unravel_index(chosen, weights.shape)
    return Sparse(
        connection.source, connection.target, connection.shape, row, col, weights[row, col], connection.weight_exp,
        connection.num_weight_bits, connection.sign_mode, connection.plastic, num_message_bits=connection.num_message_bits, port=connection.port,
    )  # fmt: skip


class _Progress:
    """Counts pieces of work."""

    def __init__(self, total: int, on_step: Callable[[Step], None] | None) -> None:
        self.total, self.on_step, self.done = total, on_step, 0

    def next(self, text: str) -> None:
        """Say what begins."""
        if self.on_step is not None:
            self.on_step(Step(self.done, self.total, text))
        self.done += 1

    def finish(self) -> None:
        """Say that all is done."""
        if self.on_step is not None:
            self.on_step(Step(self.total, self.total, "done"))


def _task_for(model: Model, suite: Suite, loaded: dict[int | None, Task]) -> Task:
    """Return the task in as many steps as the model was trained with; each is loaded once, and kept in `loaded`."""
    steps = model.metadata.get("n_steps_input")
    if steps not in loaded:
        loaded[steps] = load_task(suite.task, n_steps=steps, augment=False, test_only=True)
    return loaded[steps]


def _trained(suite: Suite, spec: NetworkSpec, folder: BenchFolder, threads: int) -> Model:
    """Return a network of the suite, trained now or by an earlier call."""
    path = folder.models / f"{spec.name.replace(':', '-').replace(',', '-').replace('=', '')}.npz"
    if path.exists():
        return load_model(path)
    settings = override(replace(TrainConfig(), task=suite.task), task_settings(suite.task))
    network = replace(settings.network, hidden=spec.hidden, weight_bits=spec.bits)
    config = replace(settings, seed=suite.seed, epochs=suite.epochs, network=network, chip="unlimited")
    loaded = load_task(config.task, n_steps=config.network.n_steps, augment=config.augment)
    program, _ = prepare_program(config, loaded)
    with open_trainer(config, program, loaded, threads) as trainer:
        while trainer.generation < trainer.n_generations:
            trainer.advance(trainer.n_generations - trainer.generation)
        found = trainer.network
    found = found if spec.keep == 100 else pruned(found, spec.keep)
    model = Model(found, program.chip, dict(program.scales), model_metadata(config, loaded))
    save_model(path, model)
    return model


def _measured(suite: Suite, model: Model, chip: Chip, backend: str, task: Task, threads: int) -> dict[str, Any]:
    """Return a row: what a network does on a chip and backend, or why it cannot be there."""
    ready = on_chip(model, chip)
    begin = time.perf_counter()
    try:
        counted = count_samples(ready, task, backend=backend, threads=threads, limit=suite.samples)
    except (CapacityError, FeatureError) as error:  # a row that says why is what the table is for
        return {"state": "does not fit" if isinstance(error, CapacityError) else "cannot run", "why": str(error)}
    wall = time.perf_counter() - begin
    tables = suite.tables or tables_of(chip)
    cores = cores_of(counted, tables, None, threads)
    return {"state": "ok", "why": ""} | _summary(counted, study(counted, tables, None, cores)) | {"wall_s": wall}


def _summary(counted: Counted, found: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of a study that tables and pictures show."""
    assert counted.answers is not None
    n, n_correct = counted.answers["n"], counted.answers["n_correct"]
    low, high = accuracy_interval(n_correct, n) if n else (None, None)
    network, ann = counted.program.network, found["ann"]
    row: dict[str, Any] = {
        "accuracy": counted.answers["accuracy"], "accuracy_low": low, "accuracy_high": high, "n": n, "n_correct": n_correct,
        "neurons": network.n_neurons - network.n_inputs, "steps": counted.n_steps, "cores": len(found["utilisation"]),
        "bottleneck": found["bottleneck"],
    }  # fmt: skip
    if counted.counts is None:
        return row | {"counts": None, "energies": [], "times": [], "ann": None}
    samples = counted.counts.n_samples
    counts = {name: count / samples for name, count in counted.counts.totals().items()}
    kept = ("table", "total_pj", "range_pj", "static_pj", "seconds", "components_pj", "uncertainty", "is_complete")
    energies = [
        {key: energy[key] for key in kept}
        | {"unpriced": [item["counter"] for item in energy["unpriced"]], "kinds": sorted({c["kind"] for name, c in energy["constants"].items() if energy["components_pj"].get(name)})}
        for energy in found["energies"]["per_inference"]
    ]  # fmt: skip
    times = [{key: each[key] for key in ("table", "model", "mean_step_s", "per_inference_s", "is_complete", "uncertainty")}
             for each in found["times"]]  # fmt: skip
    return row | {
        "counts": counts,
        "activity": counts["spikes"] / (network.n_neurons * counted.n_steps),
        "energies": energies,
        "times": times,
        "synapses": sum(layer["macs"] for layer in ann["ann"]["layers"]),
        "weight_bits": ann["ann"]["weight_bits"],
        "ann": {"macs": ann["ann"]["macs"], "arithmetic": ann["arithmetic"], "memory": ann["memory"]},
        "spikes_per_synapse": ann["spikes_per_synapse"],
    }


def unequal_backends(results: dict[str, Any]) -> list[str]:
    """Return rows whose answers or counts differ from those of the first backend that has them on the same chip: none should."""
    firsts: dict[tuple[str, str, str], dict[str, Any]] = {}
    found = []
    for row in results["rows"]:
        for key in ("n_correct", "counts"):
            if row.get(key) is not None:
                first = firsts.setdefault((row["network"], row["chip"], key), row)
                if row[key] != first[key]:
                    found.append(f"{row['network']} on {row['chip']}: {row['backend']} differs from {first['backend']}")
    return list(dict.fromkeys(found))
