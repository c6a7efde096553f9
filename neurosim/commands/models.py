"""The commands that use a trained model or a finished run: run, evaluate, inspect and report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.commands.inputs import (
    InputFile,
    Steps,
    TaskName,
    check_one_source,
    events_of,
    load,
    load_on,
    steps_of,
    task_of,
    task_to_test,
)
from neurosim.commands.options import BackendName, ChipName, Json, ModelPath, Threads, usable_threads

if TYPE_CHECKING:
    from neurosim.backend import RunResult
    from neurosim.modelfile import Model
    from neurosim.network import Network
    from neurosim.runfolder import RunFolder
    from neurosim.tables import Table

STUDY = "energy.json"  # in a run folder
#: How answers are read, by the kind of fitness: what is looked for, and what its numbers are.
ANSWERS = {
    "likelihood": ("the largest final voltage", "voltage"), "count": ("the most spikes", "spikes"),
    "first-spike": ("the earliest spike", "steps left"),
}  # fmt: skip
MAX_CORES = 32  # shown on a terminal; JSON has all
FaultsOption = Annotated[str | None, typer.Option("--faults", metavar="KEY=VALUE,...", help="Also test the model on a faulty chip: keys "
                         "of the table [faults] of a configuration, for instance stuck_zero=0.05,dead=0.05,seed=3.")]  # fmt: skip
Limit = Annotated[int | None, typer.Option(min=1, help="Use only the first samples.")]


def run(
    model: ModelPath,
    source: InputFile = None,
    task: TaskName = None,
    sample: Annotated[int, typer.Option(min=0, help="Test sample of the task to run.")] = 0,
    backend: BackendName = "simulator",
    steps: Steps = None, threads: Threads = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Run a trained model on input spikes and show what its neurons do."""
    from neurosim.backend import get_backend
    from neurosim.commands.show import make_console, show_table, write_json
    from neurosim.experiment import run_model

    check_one_source(source, task)
    get_backend(backend)
    loaded = load(model)
    events, labels = events_of(loaded, source, task, None if source else sample, None)
    result = run_model(
        replace(loaded, network=_probed(loaded.network)), events,
        backend=backend, threads=usable_threads(threads), n_steps=steps or steps_of(loaded, source),
    )  # fmt: skip
    found = _describe_run(result, loaded, labels)
    if as_json:
        write_json(found)
        return
    console = make_console()
    for table in (_answers(found), _spikes(found), _counts(found)):
        show_table(console, table)


def evaluate(
    model: ModelPath, task: TaskName = None, backend: BackendName = "simulator", limit: Limit = None,
    chip: ChipName = None, faults: FaultsOption = None, threads: Threads = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Measure the accuracy of a trained model on the test samples of a task, with operations and energy."""
    from neurosim import report
    from neurosim.backend import get_backend
    from neurosim.commands.show import make_console, show_energy, show_heading, show_lines, show_table, write_json
    from neurosim.errors import ConfigError
    from neurosim.experiment import evaluate_faulty, evaluate_model
    from neurosim.faultconfig import parse_faults
    from neurosim.tasks import EPISODE_TASKS

    get_backend(backend)
    broken = None if faults is None else parse_faults(faults)
    loaded = load_on(model, chip)
    if task_of(loaded, task) in EPISODE_TASKS:
        if broken is not None:
            raise ConfigError(f"--faults: task {task_of(loaded, task)!r} is played; choose a task with samples")
        _evaluate_controller(loaded, backend, limit, usable_threads(threads), as_json)
        return
    tested = task_to_test(loaded, task)
    if broken is None:
        found = evaluate_model(loaded, tested, backend=backend, threads=usable_threads(threads), limit=limit)
    else:
        found = evaluate_faulty(loaded, tested, broken, backend=backend, threads=usable_threads(threads), limit=limit)
    if as_json:
        write_json(found)
        return
    metrics = {
        "faults": found.get("faults"),
        "test": {key: found[key] for key in ("accuracy", "n", "n_correct", "confusion", "windows")},
        "counts": {"per_inference": found["counts"]},
        "energy": {"per_inference": found["energy"]},
    }
    console = make_console()
    show_heading(console, f"Result on backend {found['backend']}")
    show_lines(console, report.summary_lines(metrics))
    show_table(console, report.confusion_table(metrics))
    show_table(console, report.counts_table(metrics))
    show_energy(console, metrics)
    if found["counts"] is None:
        show_lines(
            console, [f"backend {found['backend']} counts no operations; for those and energy: --backend simulator"]
        )


def _evaluate_controller(model: Model, backend: str, limit: int | None, threads: int, as_json: bool) -> None:
    """Play episodes with a model and show how long they were."""
    from neurosim import report
    from neurosim.commands.show import make_console, show_energy, show_heading, show_lines, show_table, write_json
    from neurosim.episoderun import N_TEST, evaluate_controller

    found = evaluate_controller(model, backend=backend, threads=threads, n_episodes=limit or N_TEST)
    if as_json:
        write_json(found)
        return
    metrics = {
        "test": found,
        "counts": {"per_inference": found["counts"]},
        "energy": {"per_inference": found["energy"]},
    }
    console = make_console()
    show_heading(console, f"Result on backend {found['backend']}")
    show_lines(console, report.summary_lines(metrics))
    show_table(console, report.counts_table(metrics))
    show_energy(console, metrics)


def inspect(model: ModelPath, chip: ChipName = None, as_json: Json = False) -> None:
    """Show what a model file holds and how the network lies on its chip."""
    from neurosim import report
    from neurosim.commands.show import make_console, show_heading, show_lines, show_table, write_json
    from neurosim.compile_network import compile
    from neurosim.metrics import describe_program

    loaded = load_on(model, chip)
    program = compile(loaded.network, loaded.chip, loaded.arithmetic)
    described = describe_program(program)
    facts = {
        "neurosim": loaded.version,
        "chip": loaded.chip.name,
        "arithmetic": loaded.arithmetic,
        "fingerprint": program.fingerprint,
    }
    if as_json:
        write_json(described | facts | {"scales": loaded.scales, "metadata": loaded.metadata})
        return
    console = make_console()
    show_heading(console, f"Model {loaded.network.name}")
    described_facts = facts | {key: value for key, value in loaded.metadata.items() if not isinstance(value, dict)}
    show_lines(console, [f"{name:<14} {value}" for name, value in described_facts.items()])
    show_lines(console, report.bottleneck_lines(described))
    for table in (report.network_table(described), report.connections_table(described)):
        show_table(console, table)
    show_table(console, report.fill_table(described, MAX_CORES), right=True)


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUNFOLDER", help="Folder of a finished run.")],
    as_json: Json = False,
) -> None:
    """Write the plots and the report of a run again, from its metrics."""
    from neurosim.commands.show import show_paths
    from neurosim.figures.direct import save_direct_plots
    from neurosim.figures.run import save_plots
    from neurosim.report_html import write_report
    from neurosim.runfolder import RunFolder

    run_folder = RunFolder.open(folder)
    metrics = with_study(run_folder, run_folder.read_metrics())
    run_folder.plots.mkdir(exist_ok=True)
    plots = [*save_plots(metrics, run_folder.plots), *save_direct_plots(metrics, run_folder.plots)]
    paths = [*plots, run_folder.report_path]
    write_report(metrics, run_folder.report_path)
    show_paths(paths, as_json)


def with_study(folder: RunFolder, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return metrics with the study of energy that ``neurosim energy --save`` left in the folder, if there is one."""
    import json

    from neurosim.errors import RunFolderError

    path = folder.path / STUDY
    if not path.exists():
        return metrics
    try:
        return metrics | {"study": json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"file {str(path)!r}: cannot be read ({error}); write it again: neurosim energy {folder.path} --save"
        ) from error


def _probed(network: Network) -> Network:
    """Return the network with probes on all spikes and voltages, beside those it has."""
    from neurosim.network import Probe

    spikes = [Probe(group.name) for group in network.groups]
    voltages = [Probe(group.name, "v") for group in network.groups if "v" in group.states]
    return replace(network, probes=tuple(dict.fromkeys([*network.probes, *spikes, *voltages])))


def _describe_run(result: RunResult, model: Model, labels: list[int] | None) -> dict[str, Any]:
    """Return a run in types that JSON can hold: spikes as lists, the answer, counts."""
    from neurosim.answers import Answer

    name = model.readout
    readout: dict[str, Any] | None = None
    if "v" in model.network.group(name).states:
        answer = Answer.from_metadata(model.metadata, name, f"model {model.network.name!r}")
        values = answer.values(result)[:, -1]
        readout = {"group": name, "fitness": answer.fitness, "v": result.states[name, "v"][:, -1].tolist(), "value": values.tolist(),
                   "answer": values.argmax(axis=1).tolist(), "label": labels}  # fmt: skip
    return {
        "backend": result.backend,
        "version": result.version,
        "spikes": {group: {key: column.tolist() for key, column in train._asdict().items() if column is not None}
                   for group, train in result.spikes.items()},
        "sizes": {group.name: group.n for group in model.network.groups},
        "readout": readout,
        "counts": None if result.counts is None else
        {"samples": result.counts.n_samples, "totals": result.counts.totals(), "by_row": result.counts.by_row()},
    }  # fmt: skip


def _answers(found: dict[str, Any]) -> Table:
    from neurosim.tables import Table

    readout = found["readout"]
    if readout is None:  # a model without voltages gives no answer of this kind
        return Table("", (), ())
    labels = readout["label"] or [None] * len(readout["answer"])
    rows = [(i, answer, label, max(value)) for i, (answer, label, value) in
            enumerate(zip(readout["answer"], labels, readout["value"], strict=True))]  # fmt: skip
    what, column = ANSWERS.get(readout["fitness"], ANSWERS["likelihood"])
    title = f"Answers: {what} of group {readout['group']} (backend {found['backend']})"
    return Table(title, ("sample", "answer", "label", column), tuple(rows))


def _spikes(found: dict[str, Any]) -> Table:
    from neurosim.tables import Table

    rows = []
    for group, train in found["spikes"].items():
        fired = set(zip(train["sample"], train["neuron"], strict=True))
        rows.append((group, found["sizes"][group], len(train["neuron"]), len(fired)))
    return Table("Spikes", ("group", "neurons", "spikes", "neurons that fired"), tuple(rows))


def _counts(found: dict[str, Any]) -> Table:
    from neurosim import report

    return report.counts_table({"counts": {"per_inference": found["counts"]}})
