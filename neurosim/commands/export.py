"""The command that writes a network for other frameworks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurosim.commands.inputs import InputFile, Steps, TaskName, check_one_source, events_of, load, steps_of
from neurosim.commands.options import Json, ModelPath

NIR = "nir"


def export(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="What to write: nir (a file that many frameworks read), or lava "
                      "(a script of plain Processes).")],
    model: ModelPath,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write: a .nir file; or a script, beside which weights and "
                   "input spikes go into an .npz file.")],
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
    """Write a model for other frameworks: as a NIR graph, or as a script of plain Processes of Lava.

    The NIR file holds the network in floats for every reader, and the exact integers beside them, which neurosim import takes
    back to the last bit. The script rebuilds the network from integers, plays input spikes, and gives the same spikes as
    neurosim; it needs the framework when it runs, not now.
    """
    from neurosim.commands.show import show_paths
    from neurosim.errors import ConfigError
    from neurosim.runfolder import model_file

    if target == NIR:
        given = {"--input": source, "--task": task, "--sample": sample, "--samples": samples, "--steps": steps}
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise ConfigError(f"{', '.join(named)}: a NIR file holds a network and no spikes; leave it out")
        _check_free([out], force)
        from neurosim.exchange.nirexport import write_nir

        write_nir(load(model), out)
        show_paths([out], as_json)
        return
    write = _exporter(target)
    check_one_source(source, task)
    loaded = load(model)
    events, _ = events_of(loaded, source, task, sample, samples)
    beside = out.with_suffix(".npz")
    if beside.resolve() in {path.resolve() for path in (model_file(model), source) if path is not None}:
        raise ConfigError(f"script {str(out)!r}: {str(beside)!r} beside it is what is read; give another name")
    _check_free([out, beside], force)
    show_paths(write(loaded, events, steps or steps_of(loaded, source) or events.n_steps, out), as_json)


def _check_free(paths: list[Path], force: bool) -> None:
    """Refuse to replace files without being told to."""
    from neurosim.errors import ConfigError

    existing = [path for path in paths if path.exists()]
    if existing and not force:
        raise ConfigError(f"file {str(existing[0])!r}: exists already; give another name, or --force to replace it")


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
        able = ", ".join([NIR, *sorted(each for each, function in found.items() if function is not None)])
        raise BackendError(f"backend {name!r}: there is nothing to export to; what there is: {able}")
    return found[name]
