"""Where Lava is found: in the current environment, or in a private folder that `install` fills."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from neurosim.backend import Status
from neurosim.errors import BackendError

LAVA_VERSION = "0.10.0"  # the last release; the project is archived
OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)  # 3.11 and later with `shim.import_var_model`
LOIHI_MODULE = "lava.utils.loihi2_profiler"
INSTALL_COMMAND = "neurosim backends install lava"
HOME_VARIABLE = "NEUROSIM_LAVA_HOME"
CHECKED = "neurosim-checked.json"  # written last, so that a folder without it counts as incomplete
PIP_LIMIT_S = 1800

#: What Lava imports beside itself: module to name on the package index.
NEEDED = {"numpy": "numpy", "networkx": "networkx", "scipy": "scipy", "asteval": "asteval", "sklearn": "scikit-learn"}


class Place(NamedTuple):
    """Where Lava lies; no folder means the current environment."""

    folder: Path | None

    def __str__(self) -> str:
        return "this environment" if self.folder is None else str(self.folder)


def private_folder() -> Path:
    """Return the folder that `install` fills, one for each Python version.

    It lies in ``$NEUROSIM_LAVA_HOME``, else in ``$XDG_DATA_HOME/neurosim``, else in ``~/.local/share/neurosim``.
    """
    if HOME_VARIABLE in os.environ:
        base = Path(os.environ[HOME_VARIABLE])
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "neurosim"
    return base / f"lava-{LAVA_VERSION}-cp{sys.version_info[0]}{sys.version_info[1]}"


def find() -> Place | None:
    """Return where Lava can be used, the current environment first, without importing it."""
    if _missing_here() is None:
        return Place(None)
    folder = private_folder()
    return Place(folder) if (folder / CHECKED).is_file() else None


def found() -> Place:
    """Return where Lava can be used, or say how to get it."""
    place = find()
    if place is None:
        state = status()
        raise BackendError(f"backend 'lava' is not available: {state.detail}; run: {state.remedy}")
    return place


def missing_for_chip(place: Place) -> str | None:
    """Say what Lava lacks to reach a Loihi 2 board, if anything; looks where `lava.utils.loihi.is_installed` looks."""
    if place.folder is None:
        there = find_spec(LOIHI_MODULE) is not None
    else:
        there = any((place.folder / "lava" / "utils").glob(LOIHI_MODULE.rpartition(".")[2] + "*"))
    if there:
        return None
    return (
        f"Intel's lava-loihi (module {LOIHI_MODULE}) is not in {place}; only members of its research community get it"
    )


def status() -> Status:
    """Tell whether Lava can run here, without starting it."""
    unfit = _unfit()
    if unfit is not None:
        return Status(False, unfit)
    place = find()
    if place is not None:
        return Status(True, f"lava-nc {LAVA_VERSION} in {place}")
    return Status(False, f"{_missing_here()}, and nothing in {private_folder()}", INSTALL_COMMAND)


def worker_environment(place: Place) -> dict[str, str]:
    """Return the environment of the worker: our modules and Lava in sight, one thread for each process."""
    ours = [path for path in sys.path if path]
    private = [] if place.folder is None else [str(place.folder)]
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    return os.environ | threads | {"PYTHONPATH": os.pathsep.join(private + ours)}


def install() -> list[str]:
    """Install Lava and what it needs into the private folder, and run two neurons on it.

    Returns
    -------
    list of str
        What was done, a line each.

    Raises
    ------
    BackendError
        If Lava cannot run on this system, pip fails, or the two neurons give wrong spikes.
    """
    unfit = _unfit()
    if unfit is not None:
        raise BackendError(f"backend 'lava': {unfit}")
    place = find()
    if place is not None:
        return [f"found lava-nc {LAVA_VERSION} in {place}; nothing to install", _check(place)]
    folder = private_folder()
    partial = folder.with_name(folder.name + ".partial")
    for leftover in (folder, partial):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        # Lava's metadata allow Python 3.10 only, so its requirements are given here.
        _pip(partial, "--no-deps", "--ignore-requires-python", f"lava-nc=={LAVA_VERSION}")
        _pip(partial, *_requirements())
        partial.rename(folder)
        done = _check(Place(folder))
        (folder / CHECKED).write_text(
            json.dumps({"lava-nc": LAVA_VERSION, "python": list(sys.version_info[:3])}) + "\n"
        )
    except BaseException:
        for leftover in (folder, partial):
            shutil.rmtree(leftover, ignore_errors=True)
        raise
    return [f"installed lava-nc {LAVA_VERSION}, {', '.join(_requirements())} in {folder}", done]


def _requirements() -> tuple[str, ...]:
    """Return the versions with which Lava was seen to work."""
    numpy = "numpy>=1.26,<2" if sys.version_info < (3, 13) else "numpy>=2.1"  # numpy 1 has no wheel for 3.13
    return (numpy, "networkx==2.8.7", "scipy", "asteval", "scikit-learn")


def _unfit() -> str | None:
    """Say why Lava can never run here, if so."""
    if not sys.platform.startswith("linux"):
        return f"it runs on Linux only, this is {sys.platform!r}"
    version = sys.version_info[:2]
    if not OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        return f"Lava {LAVA_VERSION} was made to work on Python 3.10 to 3.13, this is {version[0]}.{version[1]}"
    return None


def _missing_here() -> str | None:
    """Say what the current environment lacks, if anything."""
    try:
        version = metadata.version("lava-nc")
    except metadata.PackageNotFoundError:
        return "lava-nc is not installed in this environment"
    if version != LAVA_VERSION:
        return f"this environment has lava-nc {version}, needed is {LAVA_VERSION}"
    missing = [package for module, package in NEEDED.items() if find_spec(module) is None]
    return f"lava-nc is installed without {', '.join(missing)}" if missing else None


def _pip(folder: Path, *arguments: str) -> None:
    """Install into a folder with this interpreter's pip."""
    if find_spec("pip") is None:
        raise BackendError("backend 'lava': this environment has no pip to install with; run: python -m ensurepip")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
               "--target", str(folder), *arguments]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_LIMIT_S)
    if done.returncode:
        what, tail = " ".join(arguments), done.stderr.strip()[-2000:]
        raise BackendError(f"backend 'lava': pip could not install {what} in {folder}:\n{tail}")


def _check(place: Place) -> str:
    """Run two neurons in a chain and compare their spikes with the arithmetic worked out by hand."""
    from neurosim.events import events_from_dense
    from neurosim.network import LIF, Dense, Input, Network, Probe
    from neurosim_lava.backend import LavaRunner

    # Weight 20 over threshold 10 fires at once; each connection takes a step: input 0 -> a 1 -> b 2.
    neurons = {"du": 4095, "dv": 0, "vth": 10}
    network = Network(
        (Input("in", 1), LIF("a", 1, **neurons), LIF("b", 1, **neurons)),
        (Dense("in", "a", [[20]]), Dense("a", "b", [[20]])),
        (Probe("a"), Probe("b")),
        name="two neurons",
    )
    with LavaRunner(network, place, patience=1.0) as runner:
        spikes = runner.run(events_from_dense([[[1], [0], [0], [0]]])).spikes
    steps = {name: spikes[name].step.tolist() for name in ("a", "b")}
    if steps != {"a": [1], "b": [2]}:
        raise BackendError(
            f"backend 'lava': two neurons fired in steps {steps}, not a in [1] and b in [2]; report this"
        )
    return "two neurons ran on Lava and fired as they should"
