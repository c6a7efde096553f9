"""Whether neurosim works on this machine: versions, folders, backends, and two neurons run twice."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from neurosim.backend import backend_status
from neurosim.errors import NeurosimError
from neurosim.version import VERSION

OK, WARN, FAIL = "ok", "warn", "fail"

OLDEST_PYTHON = (3, 10)
NEWEST_PYTHON = (3, 13)  # newest that the tests ran on
MIN_FREE_BYTES = 500_000_000  # compiled kernels, a run folder and some room


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    state: str  # OK, WARN or FAIL
    detail: str
    remedy: str | None = None


def check_all() -> list[Check]:
    """Look at everything that neurosim needs; nothing is changed but the cache of compiled kernels."""
    checks = [check_python(sys.version_info[:2])]
    checks += [check_package(name) for name in ("numpy", "numba", "typer", "rich", "matplotlib", "jinja2")]
    checks += [check_processors(), check_cache(), check_disk(shutil.disk_usage(Path.cwd()).free)]
    checks += check_backends()
    checks.append(check_self())
    return checks


def check_python(found: tuple[int, int]) -> Check:
    """Compare the version of Python with those that are tested."""
    detail = f"{platform.python_version()} ({platform.system()} {platform.machine()}), neurosim {VERSION}"
    if found < OLDEST_PYTHON:
        return Check("python", FAIL, detail, "use Python 3.10 or later")
    if found > NEWEST_PYTHON:
        return Check("python", WARN, f"{detail}; newer than tested", "use Python 3.10 to 3.13 if something fails")
    return Check("python", OK, detail)


def check_package(name: str) -> Check:
    """Look for a package that neurosim needs, without importing it."""
    try:
        return Check(name, OK, version(name))
    except PackageNotFoundError:
        return Check(name, FAIL, "not installed", f"python -m pip install {name}")


def check_processors() -> Check:
    """Count the processors that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("processors", OK, f"{usable} usable of {os.cpu_count()}")


def check_cache() -> Check:
    """Look whether compiled kernels can be kept: without that every start compiles for some seconds."""
    from neurosim.kernels.jit import cache_folder

    folder = cache_folder()
    wanted = os.environ.get("NEUROSIM_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        remedy = "set NEUROSIM_CACHE_DIR to a folder that can be written"
        return Check("kernel cache", WARN, f"{folder} cannot be written: {error.strerror}", remedy)
    n_kernels = sum(1 for _ in folder.glob("**/*.nbc"))
    if wanted and not folder.is_relative_to(Path(wanted)):
        return Check("kernel cache", WARN, f"{folder}; {wanted} cannot be written", "change its permissions")
    return Check("kernel cache", OK, f"{folder} ({n_kernels} compiled)")


def check_disk(free: int) -> Check:
    """Compare the free space where runs are written with what one may need."""
    detail = f"{free / 1e9:.1f} GB free in {Path.cwd()}"
    if free < MIN_FREE_BYTES:
        return Check("disk", WARN, detail, "free some space, or choose another disk with --out")
    return Check("disk", OK, detail)


def check_backends() -> list[Check]:
    """Look at every backend; one that is missing and can be installed is no failure."""
    checks = []
    for name, status in sorted(backend_status().items()):
        state = OK if status.available else WARN
        checks.append(Check(f"backend {name}", state, status.detail, None if status.available else status.remedy))
    return checks


def check_self(run: Callable[[str], tuple[list[int], list[int]]] | None = None) -> Check:
    """Run two neurons on the compiled and on the plain backend, and compare every integer.

    Parameters
    ----------
    run : callable, optional
        From the name of a backend to what it gave; `run_two_neurons` by default.
    """
    run = run or run_two_neurons
    try:
        simulator, reference = run("simulator"), run("reference")
    except NeurosimError as error:
        return Check("self-test", FAIL, str(error), "python -m pip install --force-reinstall neurosim-hal")
    if simulator != reference:
        detail = f"simulator gave {simulator}, reference {reference}"
        return Check(
            "self-test", FAIL, detail, "remove the folder of the kernel cache; if that does not help, report it"
        )
    return Check("self-test", OK, f"two neurons: simulator and reference agree ({len(simulator[0])} spikes)")


def run_two_neurons(backend: str) -> tuple[list[int], list[int]]:
    """Return the spike steps and the voltages of two neurons in a chain."""
    from neurosim.backend import get_backend
    from neurosim.compile_network import compile
    from neurosim.events import events_from_dense
    from neurosim.network import LIF, Dense, Input, Network, Probe

    network = Network(
        (Input("in", 1), LIF("first", 1, du=2000, dv=300, vth=40), LIF("second", 1, du=4095, dv=100, vth=20)),
        (Dense("in", "first", [[60]]), Dense("first", "second", [[12]])),
        (Probe("first"), Probe("second"), Probe("second", "v")),
        name="self-test",
    )
    events = events_from_dense([[[step % 3 == 0] for step in range(24)]])
    with get_backend(backend).open(compile(network)) as runner:
        result = runner.run(events)
    steps = [int(step) for name in ("first", "second") for step in result.spikes[name].step]
    return steps, [int(v) for v in result.states["second", "v"].ravel()]
