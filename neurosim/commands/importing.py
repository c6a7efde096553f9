"""The command that takes in a model of another framework."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.commands.options import BackendName, Json, Out, Threads, usable_threads

if TYPE_CHECKING:
    from rich.console import Console

    from neurosim.data.labelled import Labelled
    from neurosim.exchange.imported import Imported
    from neurosim.modelfile import Model
    from neurosim.runfolder import RunFolder

RUNS = Path("runs")
LIMIT = 200  # samples of calibration data
KEPT_SAMPLES = 10
SAMPLES = "samples.npz"  # in the folder
MAX_CORES = 16  # shown on a terminal; the report has all
CHOICES = {"--spike": ("unit", "impulse"), "--decay": ("euler", "exact"), "--current-bias": ("steady", "neuron"),
           "--scale": ("free", "power-of-two"), "--count": ("once", "sum"), "--format": ("nir", "lava-dl", "slayer"), "--arithmetic": ("lava-0.10", "loihi1", "lava-dl")}  # fmt: skip


def import_model(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A NIR graph (.nir), a network of lava-dl or SLAYER (.net), or a folder "
                     "of SLAYER's weights.")],
    dt: Annotated[float | None, typer.Option(help="Length of a time step in the file's unit of time, seconds as a rule (NIR).")] = None,
    spike: Annotated[str | None, typer.Option(metavar="unit|impulse", help="What a spike counts: 1 (snnTorch, Norse), or 1/dt (Sinabs); "
                     "NIR does not say.")] = None,
    decay: Annotated[str, typer.Option(metavar="euler|exact", help="Decay per step from a time constant: dt/tau, as most frameworks have "
                     "it, or 1 - exp(-dt/tau) (NIR).")] = "euler",
    current_bias: Annotated[str, typer.Option(metavar="steady|neuron", help="A bias into a neuron with a current filter: what it comes to "
                            "in the steady state, or a neuron that fires in every step (NIR).")] = "steady",
    bits: Annotated[int, typer.Option(min=1, max=8, help="Bits of a weight (NIR).")] = 8,
    scale: Annotated[str, typer.Option(metavar="free|power-of-two", help="Units of a layer's weights and threshold (NIR).")] = "free",
    arithmetic: Annotated[str | None, typer.Option(metavar="lava-0.10|loihi1|lava-dl", help="Whose neurons to follow where they differ "
                          "(docs/arithmetic.md); by default the reader's choice, Lava's.")] = None,
    sizes: Annotated[str | None, typer.Option(metavar="N,N,...", help="Neurons of the inputs and of each layer (SLAYER's folders, where "
                     "their description does not say them).")] = None,
    weight_scale: Annotated[float | None, typer.Option(help="Weights before rounding are in the files: the chip's are even numbers near so "
                            "many times theirs (SLAYER's folders).")] = None,
    chip: Annotated[str, typer.Option("--chip", metavar="NAME or CHIP.toml", help="Chip to map the network onto; the list: neurosim "
                    "chips.")] = "loihi1",
    calibrate: Annotated[str | None, typer.Option(metavar="DATA", help="Samples to run in floats and in integers: an .npz file (spikes, labels), "
                         "event files with labels.csv or in folders by class, or a task.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Use so many samples of the data, evenly spread over it.")] = LIMIT,
    sample_steps: Annotated[int | None, typer.Option("--sample-steps", min=1, help="Steps of a sample of event files or a task.")] = None,
    count: Annotated[str, typer.Option(metavar="once|sum", help="Several events of a pixel in a step: one spike, or a value.")] = "once",
    search: Annotated[bool, typer.Option("--search", help="Search each layer's scale on the data (with --calibrate).")] = False,
    form: Annotated[str | None, typer.Option("--format", metavar="nir|lava-dl|slayer", help="By default found in the file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that holds an earlier run.")] = False,
    out: Out = None, backend: BackendName = "simulator", threads: Threads = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Take in a model of another framework: chip integers out, with a report of every error on the way.

    The folder gets the model, which every other command runs, maps, prices and trains on, and the report.
    """
    from neurosim.backend import get_backend
    from neurosim.chip import load_chip
    from neurosim.commands.progress import StepsView
    from neurosim.commands.show import make_console, write_json
    from neurosim.errors import ConfigError
    from neurosim.exchange.formats import Reading, read_model
    from neurosim.runfolder import RunFolder, unique_run_path
    from neurosim.studies.benchsuite import Step
    from neurosim.studies.importstudy import Wanted, study_import

    given = {
        "--spike": spike,
        "--decay": decay,
        "--current-bias": current_bias,
        "--scale": scale,
        "--count": count,
        "--format": form,
        "--arithmetic": arithmetic,
    }
    for option, value in given.items():
        if value is not None and value not in CHOICES[option]:
            raise ConfigError(f"{option}: {value!r} is not known; choose {' or '.join(CHOICES[option])}")
    if search and calibrate is None:
        raise ConfigError("--search: compares scales on data; give --calibrate DATA")
    get_backend(backend)
    load_chip(chip)
    if out is not None and not force:
        RunFolder(out).check_empty()  # before the work, not after it
    reading = Reading(dt, spike, decay, current_bias, count == "sum", bits, _sizes(sizes), weight_scale)  # type: ignore[arg-type]  # checked above
    imported = read_model(model, reading, form)
    if scale != "free" and imported.network.is_quantized:
        raise ConfigError(
            f"--scale: {scale} is for networks in floats, and {str(model)!r} holds chip integers; leave it out"
        )
    imported = imported if arithmetic is None else replace(imported, arithmetic=arithmetic)
    data = None if calibrate is None else _data(calibrate, imported, dt, sample_steps, count, limit)
    # Everything that can be refused is refused before a folder is made.
    console = make_console(stderr=as_json)
    if not as_json:
        _show_read(console, model, imported)
    wanted = Wanted(chip=chip, scale=scale, search=search)  # type: ignore[arg-type]
    with StepsView(console) as view:
        made, metrics = study_import(
            imported, wanted, calibrate=data, backend=backend, threads=usable_threads(threads),
            on_progress=lambda text, done, of: view.show(Step(done, of, text)),
        )  # fmt: skip
    folder = RunFolder.create(out or unique_run_path(RUNS, f"import-{imported.network.name}"), force=force)
    kept = None if data is None else _keep_samples(folder, data)
    metrics |= {"command": _command(model, given | {"--dt": dt, "--chip": chip, "--calibrate": calibrate}, search),
                "next_steps": _next_steps(folder, kept)}  # fmt: skip
    _write(folder, made, metrics)
    if as_json:
        write_json(metrics)
        return
    _show_result(console, metrics, folder)


def _sizes(text: str | None) -> tuple[int, ...] | None:
    """Return the sizes of layers."""
    from neurosim.errors import ConfigError

    if text is None:
        return None
    parts = text.split(",")
    if len(parts) < 2 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"--sizes: {text!r} is not a list of two or more positive numbers; for instance 2312,512,10")
    return tuple(int(part) for part in parts)


def _data(source: str, imported: Imported, dt: float | None, n_steps: int | None, count: str, limit: int) -> Labelled:
    """Read labelled samples for the inputs of a network."""
    from neurosim.data.labelled import load_labelled

    step = dt if dt is not None else imported.network.dt
    return load_labelled(source, imported.inputs.shape, dt=step, n_steps=n_steps, count=count, limit=limit)


def _write(folder: RunFolder, model: Model, metrics: dict[str, Any]) -> None:
    """Fill the folder: model, metrics, plots, report."""
    from neurosim.figures.quant import save_quant_plots
    from neurosim.figures.run import save_plots
    from neurosim.modelfile import save_model
    from neurosim.report_html import write_report

    save_model(folder.model_path, model)
    folder.write_metrics(metrics)
    save_plots(metrics, folder.plots)
    if "data" not in metrics:  # of an earlier import into this folder
        (folder.path / SAMPLES).unlink(missing_ok=True)
    if metrics.get("quant_error"):
        save_quant_plots(metrics["quant_error"], folder.plots)
    write_report(metrics, folder.report_path)


def _show_read(console: Console, path: Path, imported: Imported) -> None:
    """Show what the file holds, and what the user should know of it."""
    from neurosim.commands.show import show_heading, show_lines

    network = imported.network
    show_heading(console, f"Read {path} ({imported.format})")
    neurons = sum(group.n for group in network.groups) - network.n_inputs
    synapses = len(network.connections)
    show_lines(console, [
        f"{network.n_inputs:,} inputs {imported.inputs.shape}, {neurons:,} neurons in {len(network.groups) - 1} groups, "
        f"{synapses} connection{'s' * (synapses != 1)}, {imported.outputs.group!r} answers {imported.outputs.shape}",
        *(f"{'warning: ' if note.kind == 'warning' else ''}{note}" for note in imported.notes),
    ])  # fmt: skip


def _show_result(console: Console, metrics: dict[str, Any], folder: RunFolder) -> None:
    """Show what quantising lost, what runs cost, and the files."""
    from neurosim import report, report_quant
    from neurosim.commands.show import show_energy, show_heading, show_lines, show_outcome, show_table

    for table in (report.network_table(metrics), report.connections_table(metrics)):
        show_table(console, table)
    show_table(console, report.fill_table(metrics, MAX_CORES), right=True)
    found = metrics.get("quant_error")
    if found:
        for table in report_quant.quant_tables(found):
            show_table(console, table, right="what happened first" not in table.columns)  # a column of sentences
        if found["samples"]:
            show_heading(console, "Floats against integers")
            show_lines(console, report_quant.quant_lines(found))
    show_heading(console, "Result")
    show_lines(console, report.summary_lines(metrics))
    show_table(console, report.counts_table(metrics))
    show_energy(console, metrics)
    files = {
        "report": folder.report_path,
        "model": folder.model_path,
        "metrics": folder.metrics_path,
        "plots": folder.plots,
    }
    show_outcome(console, files, metrics["next_steps"])


def _command(path: Path, options: dict[str, Any], search: bool) -> str:
    """Return the command that does this again."""
    import shlex

    words = ["neurosim", "import", shlex.quote(str(path))]
    for option, value in options.items():
        if value is not None:
            words += [option, shlex.quote(str(value))]
    return " ".join([*words, *(["--search"] if search else [])])


def _keep_samples(folder: RunFolder, data: Labelled) -> Path:
    """Write a few samples, inputs numbered as in the framework, for commands to run."""
    import io

    import numpy as np

    from neurosim.atomic import write_atomically

    path, buffer = folder.path / SAMPLES, io.BytesIO()
    some = data.events.take(range(min(KEPT_SAMPLES, data.events.n_samples)))
    arrays: dict[str, Any] = {"spikes": some.to_dense() if some.value is None else some.to_values()}
    if data.labels is not None:
        arrays["labels"] = data.labels[: some.n_samples]
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())
    return path


def _next_steps(folder: RunFolder, samples: Path | None) -> list[str]:
    """Return commands to try after an import."""
    model = folder.model_path
    data = f"--input {'SPIKES.npz' if samples is None else samples}"
    return [
        f"neurosim inspect {model}   # what is on the chip, core by core",
        f"neurosim run {model} {data}   # one sample, spike by spike",
        f"neurosim compare {model} --backends simulator,lava {data}   # the same spikes on Lava",
        f"neurosim energy {model} {data}   # what an inference costs, by several tables, with its time",
        f"neurosim export nir {model} model.nir   # for other frameworks, with the exact integers beside",
        f"neurosim train TASK --from {model}   # learn on, on the chip",
    ]
