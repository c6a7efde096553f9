"""The commands that use a trained model or a finished run: run, evaluate, inspect and report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.commands.options import BackendName, Json, ModelPath, Threads, model_file, usable_threads

if TYPE_CHECKING:
    from neurosim.backend import RunResult
    from neurosim.events import Events
    from neurosim.modelfile import Model
    from neurosim.network import Network
    from neurosim.tables import Table

Limit = Annotated[int | None, typer.Option(min=1, help="Use only the first samples.")]
TaskName = Annotated[str | None, typer.Option(help="Take the samples of this task; by default that of the model.")]


def run(
    model: ModelPath,
    source: Annotated[Path | None, typer.Option("--input", metavar="EVENTS.npz", help="A file with an array 'spikes' "
                      "of shape (n_samples, n_steps, n_inputs), zeros and ones.")] = None,
    task: TaskName = None,
    sample: Annotated[int, typer.Option(min=0, help="Test sample of the task to run.")] = 0,
    backend: BackendName = "simulator",
    steps: Annotated[int | None, typer.Option(min=1, help="Time steps to run.")] = None,
    threads: Threads = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Run a trained model on input spikes and show what its neurons do."""
    from neurosim.backend import get_backend
    from neurosim.commands.show import make_console, show_table, write_json
    from neurosim.errors import ConfigError
    from neurosim.experiment import run_model

    if source is not None and task is not None:
        raise ConfigError("--input and --task: both say where the spikes come from; give one")
    get_backend(backend)
    loaded = _load(model)
    events, labels = _events_of(loaded, source, task, sample)
    result = run_model(
        replace(loaded, network=_probed(loaded.network)), events,
        backend=backend, threads=usable_threads(threads), n_steps=steps or _steps_of(loaded, source),
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
    threads: Threads = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Measure the accuracy of a trained model on the test samples of a task, with operations and energy."""
    from neurosim import report
    from neurosim.backend import get_backend
    from neurosim.commands.show import make_console, show_energy, show_heading, show_lines, show_table, write_json
    from neurosim.experiment import evaluate_model
    from neurosim.tasks import load_task

    get_backend(backend)
    loaded = _load(model)
    found = evaluate_model(loaded, load_task(_task_of(loaded, task)), backend=backend,
                           threads=usable_threads(threads), limit=limit)  # fmt: skip
    if as_json:
        write_json(found)
        return
    metrics = {
        "test": {key: found[key] for key in ("accuracy", "n", "n_correct", "confusion")},
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


def inspect(model: ModelPath, as_json: Json = False) -> None:
    """Show what a model file holds and how the network lies on its chip."""
    from neurosim import report
    from neurosim.commands.show import make_console, show_heading, show_lines, show_table, write_json
    from neurosim.compile_network import compile
    from neurosim.metrics import describe_program

    loaded = _load(model)
    program = compile(loaded.network, loaded.chip)
    described = describe_program(program)
    facts = {"neurosim": loaded.version, "chip": loaded.chip.name, "fingerprint": program.fingerprint}
    if as_json:
        write_json(described | facts | {"scales": loaded.scales, "metadata": loaded.metadata})
        return
    console = make_console()
    show_heading(console, f"Model {loaded.network.name}")
    described_facts = facts | {key: value for key, value in loaded.metadata.items() if not isinstance(value, dict)}
    show_lines(console, [f"{name:<14} {value}" for name, value in described_facts.items()])
    for table in (report.network_table(described), report.connections_table(described),
                  report.utilisation_table(described)):  # fmt: skip
        show_table(console, table)


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUNFOLDER", help="Folder of a finished run.")],
    as_json: Json = False,
) -> None:
    """Write the plots and the report of a run again, from its metrics."""
    from neurosim.commands.show import write_json
    from neurosim.plots import save_plots
    from neurosim.report_html import write_report
    from neurosim.runfolder import RunFolder

    run_folder = RunFolder.open(folder)
    metrics = run_folder.read_metrics()
    run_folder.plots.mkdir(exist_ok=True)
    paths = [*save_plots(metrics, run_folder.plots), run_folder.report_path]
    write_report(metrics, run_folder.report_path)
    if as_json:
        write_json([str(path) for path in paths])
        return
    for path in paths:
        print(path)


def _load(path: Path) -> Model:
    from neurosim.modelfile import load_model

    return load_model(model_file(path))


def _task_of(model: Model, task: str | None) -> str:
    from neurosim.errors import ConfigError

    name = task or model.metadata.get("task")
    if name is None:
        raise ConfigError("--task: the model does not say which task it was trained for; give one, for instance digits")
    return str(name)


def _events_of(model: Model, source: Path | None, task: str | None, sample: int) -> tuple[Events, list[int] | None]:
    """Return the input and, for the sample of a task, its label."""
    from neurosim.commands.eventfile import load_events
    from neurosim.errors import DataError
    from neurosim.tasks import load_task

    if source is not None:
        return load_events(source), None
    found = load_task(_task_of(model, task))
    if sample >= found.test_events.n_samples:
        raise DataError(
            f"task {found.name!r}: no test sample {sample}; give --sample 0..{found.test_events.n_samples - 1}"
        )
    return found.test_events.take([sample]), [int(found.test_labels[sample])]


def _steps_of(model: Model, source: Path | None) -> int | None:
    """Steps of a sample of the model's own task; an input file says itself how long it is."""
    return None if source is not None else model.metadata.get("n_steps")


def _readout(model: Model) -> str:
    """Group whose voltages at the end are the answer."""
    return str(model.metadata.get("readout") or model.network.groups[-1].name)


def _probed(network: Network) -> Network:
    """Return the network with probes on all spikes and voltages, beside those it has."""
    from neurosim.network import Input, Probe

    spikes = [Probe(group.name) for group in network.groups]
    voltages = [Probe(group.name, "v") for group in network.groups if not isinstance(group, Input)]
    return replace(network, probes=tuple(dict.fromkeys([*network.probes, *spikes, *voltages])))


def _describe_run(result: RunResult, model: Model, labels: list[int] | None) -> dict[str, Any]:
    """Return a run in types that JSON can hold: spikes as lists, the answer, counts."""
    name = _readout(model)
    final = result.states[name, "v"][:, -1]
    return {
        "backend": result.backend,
        "version": result.version,
        "spikes": {group: {key: column.tolist() for key, column in train._asdict().items() if column is not None}
                   for group, train in result.spikes.items()},
        "sizes": {group.name: group.n for group in model.network.groups},
        "readout": {"group": name, "v": final.tolist(), "answer": final.argmax(axis=1).tolist(), "label": labels},
        "counts": None if result.counts is None else
        {"samples": result.counts.n_samples, "totals": result.counts.totals(), "by_row": result.counts.by_row()},
    }  # fmt: skip


def _answers(found: dict[str, Any]) -> Table:
    from neurosim.tables import Table

    readout = found["readout"]
    labels = readout["label"] or [None] * len(readout["answer"])
    rows = [(i, answer, label, max(v)) for i, (answer, label, v) in
            enumerate(zip(readout["answer"], labels, readout["v"], strict=True))]  # fmt: skip
    title = f"Answers: the largest final voltage of group {readout['group']} (backend {found['backend']})"
    return Table(title, ("sample", "answer", "label", "voltage"), tuple(rows))


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
