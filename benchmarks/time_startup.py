"""How long does it take until something happens?"""

from __future__ import annotations

import tempfile
from statistics import median

from benchmarks.measure import Cell, Options, Table, run_python

INFERENCE = """
import numpy as np
from benchmarks.networks import layered
from neurosim.backend import get_backend
workload = layered(1, 10, 1)
with get_backend("simulator").open(workload.program) as runner:
    runner.run(workload.events)
"""

#: What is shown, and Python's arguments.
LIGHT = (
    ("python, doing nothing", ("-c", "pass")),
    ("import numpy", ("-c", "import numpy")),
    ("import neurosim", ("-c", "import neurosim")),
    ("neurosim --help", ("-m", "neurosim", "--help")),
    ("neurosim chips", ("-m", "neurosim", "chips")),
)


def tables(options: Options) -> list[Table]:
    """Start processes: light ones often, the first run with an empty kernel cache once."""
    rows = [_repeated(what, arguments, options) for what, arguments in LIGHT]
    for what, arguments in heavy(options):
        with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as folder:
            environment = {"NEUROSIM_CACHE_DIR": cache}
            for name in ("empty", "warm"):
                full = [argument.format(out=f"{folder}/{name}") for argument in arguments]
                taken, _ = run_python(full, environment)
                rows.append([f"{what}, {name} kernel cache", taken, None])
    note = "Whole processes, from start to end. With an empty cache kernels are compiled; runs with a cache were done once."
    return [Table("Start-up", ("what", "seconds", "median"), rows, note)]


def heavy(options: Options) -> list[tuple[str, tuple[str, ...]]]:
    """Return what needs kernels."""
    inference = ("run 784-256-10 once", ("-c", INFERENCE))
    demo = ("neurosim demo --epochs 1", ("-m", "neurosim", "demo", "--epochs", "1", "--out", "{out}"))
    return [inference] if options.quick else [inference, demo]


def _repeated(what: str, arguments: tuple[str, ...], options: Options) -> list[Cell]:
    run_python(arguments)  # the first one fills the caches of files and bytecode
    taken = [run_python(arguments)[0] for _ in range(options.repeats)]
    return [what, min(taken), median(taken)]
