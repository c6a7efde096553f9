"""The command that writes a network for another framework."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosim.commands.inputs import InputFile, Steps, TaskName, check_one_source, events_of, load, steps_of
from neurosim.commands.options import Json, ModelPath


def export(
    backend: Annotated[str, typer.Argument(metavar="BACKEND", help="Whose framework to write for: lava.")],
    model: ModelPath,
    out: Annotated[Path, typer.Argument(metavar="OUT.py", help="Script to write; weights and input spikes go into an "
                   ".npz file beside it.")],
    source: InputFile = None,
    task: TaskName = None,
    sample: Annotated[int | None, typer.Option(min=0, help="First sample that the script plays; 0 by "
                      "default.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="How many samples the script plays; by default one of a "
                       "task, all of a file.")] = None,
    steps: Steps = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Write a model as a script of plain Processes of another framework, without neurosim in it.

    The script rebuilds the network from integers, plays input spikes, and gives the same spikes as neurosim. It needs
    the framework when it runs, not now.
    """
    from neurosim.commands.show import write_json
    from neurosim.errors import ConfigError
    from neurosim.runfolder import model_file

    write = _exporter(backend)
    check_one_source(source, task)
    loaded = load(model)
    events, _ = events_of(loaded, source, task, sample, samples)
    beside = out.with_suffix(".npz")
    if beside.resolve() in {path.resolve() for path in (model_file(model), source) if path is not None}:
        raise ConfigError(f"script {str(out)!r}: {str(beside)!r} beside it is what is read; give another name")
    existing = [path for path in (out, beside) if path.exists()]
    if existing and not force:
        raise ConfigError(f"file {str(existing[0])!r}: exists already; give another name, or --force to replace it")
    written = write(loaded, events, steps or steps_of(loaded, source) or events.n_steps, out)
    if as_json:
        write_json([str(path) for path in written])
        return
    for path in written:
        print(path)


def _exporter(name: str) -> Any:
    """Return the function of a backend's package that writes a network for what it drives."""
    from importlib import import_module

    from neurosim.backend import load_backend_class, registered
    from neurosim.errors import BackendError

    load_backend_class(name)
    found = {
        each: getattr(import_module(value.partition(":")[0]), "export", None) for each, value in registered().items()
    }
    if found[name] is None:
        able = ", ".join(sorted(each for each, function in found.items() if function is not None)) or "none here"
        raise BackendError(f"backend {name!r}: there is nothing to export to; backends that can: {able}")
    return found[name]
