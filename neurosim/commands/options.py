"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

MAX_DEFAULT_THREADS = 8

Json = Annotated[bool, typer.Option("--json", help="Write the result as JSON, and nothing else, to standard output.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the results; by default the next free one in runs/.")]
Seed = Annotated[int | None, typer.Option(help="Everything random follows from it.")]
Threads = Annotated[int | None, typer.Option(help="Worker threads; results do not depend on them.")]
BackendName = Annotated[str, typer.Option("--backend", help="What runs the network; see: neurosim backends.")]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file, or the run folder that holds one.")]
ChipName = Annotated[str | None, typer.Option("--chip", metavar="NAME or CHIP.toml", help="Map the network onto another chip; "
                     "the list: neurosim chips.")]  # fmt: skip


def usable_threads(threads: int | None) -> int:
    """Return the number given, or one thread for each processor that this process may use, up to eight."""
    if threads is not None:
        return threads
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MAX_DEFAULT_THREADS)
    return min(os.cpu_count() or 1, MAX_DEFAULT_THREADS)
