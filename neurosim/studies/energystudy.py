"""What a model spends: its samples run, every operation priced by several tables, and the artificial network beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from neurosim.backend import get_backend
from neurosim.chip import Chip, chip_names, load_chip
from neurosim.compile_network import compile as compile_network
from neurosim.costs.ann import against_ann
from neurosim.costs.workload import workload
from neurosim.counters import OpCounts
from neurosim.energy import EnergyReport, energy, load_energy_table
from neurosim.energytable import EnergyTable
from neurosim.episoderun import N_TEST, evaluate_controller
from neurosim.errors import ConfigError, ModelFileError, NetworkError
from neurosim.events import Events
from neurosim.experiment import run_test_samples
from neurosim.learning.percore import LearningByCore
from neurosim.metrics import counts_matrix, counts_metrics, describe_program, unknown_counter
from neurosim.modelfile import Model
from neurosim.program import Program
from neurosim.report import bottleneck
from neurosim.studies.corestudy import (
    CoreStudy,
    by_core,
    seconds_of,
    steps_of,
    study_cores,
    time_tables_of,
    times_of,
    traffic_of_links,
    why_no_cores,
)
from neurosim.tasks import Task
from neurosim.version import VERSION

ARITHMETIC_TABLE = "cpu-45nm"  # bare arithmetic: every chip is shown beside it


class Counted(NamedTuple):
    """A model's run: what was loaded, what came in, and what was counted."""

    program: Program
    events: Events | None  # None: a controller, whose inputs depend on what it does
    n_steps: int
    counts: OpCounts | None  # None: the backend counts nothing
    backend: str
    answers: dict[str, Any] | None  # as of `evaluate_model`; None where there are no labels


def on_chip(model: Model, chip: Chip | None) -> Model:
    """Return a model for another chip, priced by that chip's first table; None leaves it as it is."""
    if chip is None:
        return model
    tables = tables_of(chip)
    config = model.metadata.get("config")
    metadata = model.metadata
    if isinstance(config, Mapping):
        metadata = metadata | {"config": dict(config) | {"chip": chip.name, "energy_table": tables[0]}}
    return replace(model, chip=chip, metadata=metadata)


def tables_of(chip: Chip) -> tuple[str, ...]:
    """Return the energy tables to price a chip by: its own, and bare arithmetic.

    A chip from an older file that names none is priced as the preset of its name.
    """
    own = chip.energy_tables
    if not own and chip.name in chip_names():
        own = load_chip(chip.name).energy_tables
    return tuple(dict.fromkeys([*own, ARITHMETIC_TABLE]))


def count_samples(model: Model, task: Task, *, backend: str = "simulator", threads: int = 1, limit: int) -> Counted:
    """Run the first test samples of a task; parameters as in `neurosim.experiment.evaluate_model`."""
    tested = run_test_samples(model, task, backend=backend, threads=threads, limit=limit)
    result = tested.result
    return Counted(tested.program, tested.events, tested.n_steps, result.counts, result.backend, tested.answers)


def count_events(
    model: Model, events: Events, *, backend: str = "simulator", threads: int = 1, n_steps: int | None = None
) -> Counted:
    """Run a model on events without labels."""
    if events.n_samples < 1:
        raise ConfigError("events: no sample to run; give at least one")
    program = compile_network(model.network, model.chip, model.arithmetic)
    steps = events.n_steps if n_steps is None else n_steps
    with get_backend(backend).open(program, threads=threads) as runner:
        result = runner.run(events, steps)
    return Counted(program, events, steps, result.counts, result.backend, None)


def count_controller(
    model: Model, *, backend: str = "simulator", threads: int = 1, n_episodes: int | None = None
) -> Counted:
    """Play episodes with a controller; a sample is one decision. Parameters as in `neurosim.episoderun`."""
    found = evaluate_controller(model, backend=backend, threads=threads, n_episodes=n_episodes or N_TEST)
    program = compile_network(model.network, model.chip, model.arithmetic)
    counts = counts_from_metrics(found["counts"], program)
    return Counted(program, None, counts.n_steps // max(1, counts.n_samples), counts, found["backend"], None)


def counts_from_metrics(found: Mapping[str, Any], program: Program, where: str = "metrics") -> OpCounts:
    """Return counts as `neurosim.metrics.counts_metrics` wrote them, so that other tables can price them.

    Raises
    ------
    ModelFileError
        If they are of another network or of a version that counted otherwise.
    """
    by_row = found["by_row"]
    for row in by_row:
        if row not in program.rows:
            raise ModelFileError(f"{where}: counts of {row!r}, which the model does not have; train it again")
    name = unknown_counter(by_row)
    if name is not None:
        raise ModelFileError(f"{where}: counter {name!r} is of another version of neurosim; train it again")
    matrix = counts_matrix(program.rows, by_row)
    return OpCounts(program.rows, matrix, int(found["samples"]), int(found["totals"]["barriers"]), program.kinds)


def cores_of(counted: Counted, tables: Sequence[str], times: Sequence[str] | None, threads: int) -> CoreStudy | None:
    """Count a run by core and time it by the tables named, else by those of its chip; None where that cannot be."""
    if counted.events is None or counted.counts is None or why_no_cores(counted.backend, counted.events) is not None:
        return None
    chosen = time_tables_of(counted.program.chip.name, tables) if times is None else times
    return study_cores(counted.program, counted.events, counted.n_steps, counted.backend, threads, chosen)


def study(
    counted: Counted, tables: Sequence[str], learning: OpCounts | None = None, cores: CoreStudy | None = None,
    learning_cores: LearningByCore | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return everything known of the energy of a run, in plain values: units stand in names, sources beside values.

    Parameters
    ----------
    counted : Counted
    tables : sequence of str
        Names or paths of energy tables, each used once.
    learning : OpCounts, optional
        Operations of training, all candidates included.
    cores : CoreStudy, optional
        The same run by core, from `cores_of`; without it no time and no static energy is given.
    learning_cores : LearningByCore, optional
        A generation of the training by core, from `neurosim.studies.learningcores`.
    """
    prices = [load_energy_table(name) for name in dict.fromkeys(tables)]
    program, counts = counted.program, counted.counts
    described = describe_program(program)
    chip = program.chip
    found: dict[str, Any] = {
        "neurosim": VERSION,
        "backend": counted.backend,
        "network": described["network"] | {"n_steps": counted.n_steps},
        "chip": chip.name,
        "chip_title": chip.title,
        "chip_cannot": list(chip.cannot),
        "mesh": described["mesh"],
        "utilisation": described["utilisation"],
        "bottleneck": bottleneck(described),
        "test": None if counted.answers is None else
        {key: counted.answers[key] for key in ("accuracy", "n", "n_correct", "classes", "windows")},
        "samples": None if counts is None else counts.n_samples,
        "counts": {"per_inference": None if counts is None else counts_metrics(counts),
                   "per_learning_step": None if learning is None else counts_metrics(learning)},
        "energies": {},
        "by_core": None if cores is None else cores.whole.to_dict(),
        "no_cores": None if cores is not None else why_no_cores(counted.backend, counted.events),
        "times": [] if cores is None else times_of(cores),
        "links": [] if cores is None else traffic_of_links(cores),
        "per_step": [] if cores is None else steps_of(cores),
        "ann": None,
    }  # fmt: skip
    if counts is not None:
        found["energies"]["per_inference"] = [_energy_of(counts, table, program, cores) for table in prices]
    if learning is not None:
        energies = [_energy_of(learning, table, program, None) for table in prices]
        if learning_cores is not None:
            of = f"generation {learning_cores.generation + 1:,}"
            for energy_of_table, table in zip(energies, prices, strict=True):
                energy_of_table |= {"by_core_pj": by_core(learning_cores, table), "by_core_of": of}
        found["energies"]["per_learning_step"] = energies
    if counts is not None and counts.n_samples:
        found["ann"] = against_ann(program.network, counts, load_energy_table(ARITHMETIC_TABLE))
    return found


def neurobench_of(counted: Counted, threads: int) -> dict[str, Any]:
    """Return the run in NeuroBench's terms, or why its terms do not fit."""
    if counted.events is None:
        return {"why_not": "a controller's inputs depend on what it does; give a recording with --input"}
    if counted.counts is None:
        return {"why_not": f"backend {counted.backend!r} counts no operations; use --backend simulator"}
    try:
        work = workload(
            counted.program, counted.events, n_steps=counted.events.n_steps, backend=counted.backend, threads=threads
        )
    except NetworkError as error:  # NeuroBench has no terms for such a network, which is all there is to say of it
        return {"why_not": str(error)}
    return work.to_dict()


def _energy_of(counts: OpCounts, table: EnergyTable, program: Program, cores: CoreStudy | None) -> dict[str, Any]:
    time = seconds_of(cores, table.name, program.chip.name)
    report = energy(counts, table, per=max(1, counts.n_samples), seconds=None if time is None else time[0])
    return report.to_dict() | {
        "notes": table.notes,
        "by_group_pj": by_group(report, program),
        "by_core_pj": None if cores is None else by_core(cores.whole, table),
        "time_table": None if time is None else time[1].table,
        "time_is_complete": None if time is None else time[1].is_complete,
    }


def by_group(report: EnergyReport, program: Program) -> dict[str, dict[str, float | None]]:
    """Return the energy of each group in pJ: of its neurons and packets, and of the synapses that lead to it.

    None where operations were counted and none has a price; what did nothing has 0.
    """
    rows = report.row_totals()
    found: dict[str, dict[str, float | None]] = {}
    for group in program.network.ordered_groups:
        incoming = [rows.get(c.name, 0.0) for c in program.network.connections if c.target == group.name]
        parts = {"neurons_pj": rows.get(group.name, 0.0), "synapses_pj": _sum(incoming)}
        found[group.name] = parts | {"total_pj": _sum(list(parts.values()))}
    return found


def _sum(parts: Sequence[float | None]) -> float | None:
    """Return the sum of what is priced; None where that is nothing and something has no price."""
    priced = sum(part for part in parts if part is not None)
    return None if not priced and None in parts else priced
