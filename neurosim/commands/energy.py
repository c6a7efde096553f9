"""The command that tells what a model spends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.commands.inputs import (
    InputFile,
    Steps,
    TaskName,
    check_one_source,
    file_events,
    load_on,
    steps_of,
    task_of,
    task_to_test,
)
from neurosim.commands.options import BackendName, ChipName, Json, ModelPath, Threads, usable_threads

if TYPE_CHECKING:
    from rich.console import Console

    from neurosim.counters import OpCounts
    from neurosim.learning.percore import LearningByCore
    from neurosim.modelfile import Model
    from neurosim.studies.energystudy import Counted

MAX_CORES = 8
LIMIT = 100  # samples of a task: enough for a mean, and a second of work


def energy(
    model: ModelPath,
    source: InputFile = None,
    task: TaskName = None,
    limit: Annotated[int | None, typer.Option(min=1, help=f"Run the first so many samples: by default {LIMIT} of a task, all of "
                     "a file.")] = None,
    chip: ChipName = None,
    tables: Annotated[list[str] | None, typer.Option("--table", metavar="NAME or TABLE.toml", help="Energy table; may be repeated. "
                      "By default those of the chip, and cpu-45nm.")] = None,
    times: Annotated[list[str] | None, typer.Option("--time", metavar="NAME or TIMES.toml", help="Table of times; may be repeated. "
                     "By default those that go with the energy tables.")] = None,
    per_core: Annotated[bool, typer.Option("--per-core", help=f"Show every core, not only the {MAX_CORES} that spend most; of a run folder, "
                   "the cores of a generation of learning as well, which takes a while.")] = False,
    per_step: Annotated[bool, typer.Option("--per-step", help="Show what happens in each time step.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE.csv or FOLDER", help="Write every number with unit, kind and "
                   "source, one a row: into one file, or a file for each sort of number.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FOLDER", help="Write the pictures as PNG files.")] = None,
    save: Annotated[bool, typer.Option("--save", help="Keep the result in the run folder, and write its report again with "
                    "it.")] = False,
    backend: BackendName = "simulator",
    steps: Steps = None, threads: Threads = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Show what an inference costs: operations, energy by component, group and core, and what has no price.

    Of a run folder, the energy of learning is shown as well.
    """
    from neurosim.backend import get_backend
    from neurosim.commands.show import make_console, write_json
    from neurosim.costs.latency import load_time_table
    from neurosim.energy import load_energy_table
    from neurosim.errors import ConfigError
    from neurosim.studies.energystudy import cores_of, neurobench_of, study, tables_of

    check_one_source(source, task)
    get_backend(backend)
    if save and not (model.is_dir() and chip is None):
        raise ConfigError("--save: keeps the result with a run on its own chip; give the run folder, and no --chip")
    for name in tables or ():
        load_energy_table(name)
    ready = load_on(model, chip)
    for name in times or ():
        load_time_table(name)
    n_threads = usable_threads(threads)
    counted, where = _count(ready, source, task, limit, steps, backend, n_threads)
    learning, no_learning = (None, "of another chip") if chip is not None else _learning(model, counted)
    chosen = tables or list(tables_of(ready.chip))
    cores = cores_of(counted, chosen, times, n_threads)
    learned, no_cores = _learning_cores(model) if per_core and learning is not None else (None, "")
    found = study(counted, chosen, learning, cores, learned) | {"model": str(model), "source": where}
    found |= {"no_learning": no_learning, "no_learning_cores": no_cores}
    found["neurobench"] = neurobench_of(counted, n_threads)
    written = _write_files(found, csv, plot)
    written += _save(model, found) if save else []
    if as_json:
        write_json(found | {"files": [str(path) for path in written]})
        return
    _show(make_console(), found, written, per_core, per_step)


def _count(
    model: Model, source: Path | None, task: str | None, limit: int | None, steps: int | None, backend: str, threads: int
) -> tuple[Counted, str]:  # fmt: skip
    """Run the model and say on what."""
    from neurosim.errors import ConfigError
    from neurosim.studies.energystudy import count_controller, count_events, count_samples
    from neurosim.tasks import EPISODE_TASKS

    if source is not None:
        events = file_events(model, source)
        chosen = events if limit is None else events.take(range(min(limit, events.n_samples)))
        return count_events(model, chosen, backend=backend, threads=threads, n_steps=steps), str(source)
    name = task_of(model, task)
    if steps is not None:
        raise ConfigError(
            f"--steps: samples of task {name!r} run for {steps_of(model, None)}; leave it out, or give --input"
        )
    if name in EPISODE_TASKS:
        return count_controller(model, backend=backend, threads=threads, n_episodes=limit), f"task {name}, decisions"
    loaded = task_to_test(model, task)
    counted = count_samples(model, loaded, backend=backend, threads=threads, limit=limit or LIMIT)
    return counted, f"task {loaded.name}, from the test set"


def _learning(path: Path, counted: Counted) -> tuple[OpCounts | None, str]:
    """Return what training counted, where the model lies in the folder of a run; or why that cannot be priced."""
    from neurosim.errors import ModelFileError
    from neurosim.runfolder import RunFolder
    from neurosim.studies.energystudy import counts_from_metrics

    folder = RunFolder(path if path.is_dir() else path.parent)
    if not folder.metrics_path.exists() or (path.is_file() and path.resolve() != folder.model_path.resolve()):
        return None, "a model file knows nothing of its training; give a run folder"
    metrics = folder.read_metrics()
    found = (metrics.get("counts") or {}).get("per_learning_step")
    if found is None:
        off_chip = (metrics.get("training") or {}).get("method") == "direct"
        return None, "it was trained off the chip" if off_chip else "its backend counted nothing"
    try:
        return counts_from_metrics(found, counted.program, str(folder.metrics_path)), ""
    except ModelFileError as error:  # an inference can be priced all the same
        return None, str(error)


def _learning_cores(path: Path) -> tuple[LearningByCore | None, str]:
    """Return a generation of a run by core, or why there is none."""
    from neurosim.errors import NeurosimError
    from neurosim.runfolder import RunFolder
    from neurosim.studies.learningcores import learning_cores

    try:
        return learning_cores(RunFolder(path if path.is_dir() else path.parent)), ""
    except NeurosimError as error:  # all else can be shown
        return None, str(error)


def _write_files(found: dict[str, Any], csv: Path | None, plot: Path | None) -> list[Path]:
    """Write what was asked for beside the terminal."""
    from neurosim.atomic import write_atomically
    from neurosim.energyrows import machine_table, split
    from neurosim.tables import to_csv

    written: list[Path] = []
    if csv is not None:
        table = machine_table(found)
        parts = {csv: table} if csv.suffix == ".csv" else {csv / f"{part.title}.csv": part for part in split(table)}
        for path, part in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, to_csv(part).encode("utf-8"))
            written.append(path)
    if plot is not None:
        from neurosim.figures.energy import save_study_plots

        plot.mkdir(parents=True, exist_ok=True)
        written += save_study_plots(found, plot)
    return written


def _save(folder: Path, found: dict[str, Any]) -> list[Path]:
    """Keep a study in a run folder and write the report with it."""
    import json

    from neurosim.atomic import write_atomically
    from neurosim.commands.models import STUDY
    from neurosim.report_html import write_report
    from neurosim.runfolder import RunFolder

    run = RunFolder.open(folder)
    metrics = run.read_metrics()
    write_atomically(
        folder / STUDY, (json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    )
    write_report(metrics | {"study": found}, run.report_path)
    return [folder / STUDY, run.report_path]


def _show(console: Console, found: dict[str, Any], written: list[Path], per_core: bool, per_step: bool) -> None:
    """Show a study on the terminal."""
    from neurosim import report, report_energy
    from neurosim.commands.show import show_heading, show_lines, show_priced, show_table

    show_heading(console, f"What {found['network']['name']} spends")
    show_lines(console, report_energy.ran_lines(found))
    show_table(console, report.fill_table(found, MAX_CORES), right=True)
    if found["counts"]["per_inference"] is None:
        show_lines(
            console, [f"backend {found['backend']} counts no operations, hence no energy; use --backend simulator"]
        )
        return
    show_table(console, report.counts_table(found))
    show_table(console, report_energy.times_table(found), right=True)
    show_lines(console, report_energy.time_lines(found))
    if per_step:
        show_table(console, report_energy.steps_table(found), right=True)
    before: dict[str, Any] = {}
    for per in report.UNITS:
        show_table(console, report_energy.overview_table(found, per), right=True)
        if found["energies"].get(per) and per == "per_inference":
            show_lines(console, report_energy.OVERVIEW_LINES)
        for energy in found["energies"].get(per) or ():
            show_priced(console, energy, per, before.get(energy["table"]), None if per_core else MAX_CORES)
            before[energy["table"]] = energy
    if found["no_learning"]:
        show_lines(console, [f"energy of learning: not known, {found['no_learning']}"])
    if found["no_learning_cores"]:
        show_lines(console, [f"cores of learning: not known, {found['no_learning_cores']}"])
    show_heading(console, "How far to trust it")
    about = {energy["table"]: energy for energies in found["energies"].values() for energy in energies}
    show_lines(console, [f"{name}: {energy['uncertainty']}" for name, energy in about.items()])
    show_lines(console, [f"{name} leaves out: {'; '.join(energy['not_modelled'])}" for name, energy in about.items()])
    show_table(console, report_energy.ann_table(found), right=True)
    show_lines(console, report_energy.ann_lines(found))
    show_table(console, report_energy.neurobench_table(found))
    if "why_not" in found["neurobench"]:
        show_heading(console, "In NeuroBench's terms")
        show_lines(console, [found["neurobench"]["why_not"]])
    if written:
        show_heading(console, "Files")
        show_lines(console, map(str, written))
