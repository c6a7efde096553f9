"""Other simulators: where they are found, how a network is handed to them, what they give back."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.networks import Workload
from benchmarks.sanafe_networks import Described
from neurosim.events import Events
from neurosim.network import LIF, Dense, Sparse

#: Environment variable that names the Python of each peer.
VARIABLES = {
    "lava": "NEUROSIM_BENCH_LAVA",
    "brian2": "NEUROSIM_BENCH_BRIAN2",
    "torch": "NEUROSIM_BENCH_TORCH",
    "sanafe": "NEUROSIM_BENCH_SANAFE",
    "frameworks": "NEUROSIM_BENCH_FRAMEWORKS",
    "direct": "NEUROSIM_BENCH_DIRECT",
}
SCRIPTS = Path(__file__).parent
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class LavaRun(NamedTuple):
    """What Lava gives: seconds of all steps but the first, states at the end, spikes (n, n_steps) if asked for."""

    seconds: float
    states: dict[str, npt.NDArray[np.int64]]  # "u hidden", "v hidden"
    spikes: dict[str, npt.NDArray[np.bool_]]


class Point(NamedTuple):
    """Where training stands."""

    seconds: float
    n_samples: int
    accuracy: float  # on the test samples


Curve = list[Point]


class SanafeRun(NamedTuple):
    """What SANA-FE gives.

    Attributes
    ----------
    trains : (n_spikes, 4) int64
        Sample, step, group (index into `names`), neuron.
    names : list of str
        Of the groups.
    packets : int
        Sent in all samples.
    steps : dict of str to (n_samples * n_steps,) float64
        "fired", "updated", "spikes" (synapses read), "hops", "synapse_energy" and others in J, "simple" and "detailed" in seconds.
    """

    trains: npt.NDArray[np.int64]
    names: list[str]
    packets: int
    steps: dict[str, npt.NDArray[np.float64]]


def interpreter(peer: str) -> str | None:
    """Return the Python of a peer, named by its environment variable, or None."""
    return os.environ.get(VARIABLES[peer]) or None


def describe(workload: Workload, events: Events, path: Path) -> None:
    """Write a network of LIF neurons, dense and sparse connections, and the input of one sample."""
    network = workload.program.network
    arrays: dict[str, npt.NDArray[Any]] = {"start": events.start, "neuron": events.neuron}
    groups, connections = [], []
    for group in network.ordered_groups:
        entry: dict[str, Any] = {"name": group.name, "n": group.n, "input": not isinstance(group, LIF)}
        if isinstance(group, LIF):
            entry |= {"du": int(group.du), "dv": int(group.dv), "vth": int(group.vth)}
            arrays[f"bias {group.name}"] = group.bias
        groups.append(entry)
    for i, connection in enumerate(network.connections):
        assert isinstance(connection, (Dense, Sparse)) and connection.weight_exp == 0
        connections.append({"source": connection.source, "target": connection.target, "shape": connection.shape})
        if isinstance(connection, Dense):
            arrays[f"weights {i}"] = np.asarray(connection.weights).astype(np.int16)
        else:
            arrays |= {f"row {i}": connection.row, f"col {i}": connection.col, f"data {i}": connection.data}
    header = json.dumps({"groups": groups, "connections": connections, "n_steps": events.n_steps})
    np.savez(path, header=np.array(header), **arrays)  # type: ignore[arg-type]


def run_lava(python: str, description: Path, spikes: bool) -> LavaRun:
    """Run a description on Lava in a process of its own."""
    result = description.with_suffix(".lava.npz")
    _call([python, str(SCRIPTS / "peer_lava.py"), str(description), str(result), *(["--spikes"] if spikes else [])])
    with np.load(result) as found:
        parts = {name: found[name] for name in found.files}
    states = {name: part.astype(np.int64) for name, part in parts.items() if name[:2] in ("u ", "v ")}
    fired = {name[7:]: part for name, part in parts.items() if name.startswith("spikes ")}
    return LavaRun(float(parts["seconds"]), states, fired)


def build_brian2(python: str, description: Path, folder: Path) -> int:
    """Compile a description as a C++ program in a folder; return how many spikes its neurons had."""
    said = _call([python, str(SCRIPTS / "peer_brian2.py"), str(description), str(folder)])
    return int(json.loads(said.splitlines()[-1])["spikes"])


def run_brian2(folder: Path) -> float:
    """Run the program again; return the seconds that its loop over steps took."""
    _call([str(folder / "main")], folder)
    return float((folder / "results" / "last_run_info.txt").read_text().split()[0])


def run_torch(python: str, data: Path, runs: Sequence[Mapping[str, Any]], threads: int) -> list[Curve]:
    """Train with torch in a process of its own, once for each of the settings; return how accuracy rose with time."""
    asked = data.with_suffix(".json")
    asked.write_text(json.dumps({"threads": threads, "runs": runs}), encoding="utf-8")
    said = _call([python, str(SCRIPTS / "peer_torch.py"), str(data), str(asked)], threads=threads)
    return [[Point(*point) for point in curve] for curve in json.loads(said.splitlines()[-1])["curves"]]


def read_sanafe_yaml(python: str, path: Path) -> dict[str, Any]:
    """Return a network file of SANA-FE's YAML form, every scalar as text."""
    found: dict[str, Any] = json.loads(_call([python, str(SCRIPTS / "peer_sanafe.py"), "yaml", str(path)]))
    return found


def run_sanafe(
    python: str,
    described: Described,
    spikes: Mapping[str, Any],
    shape: tuple[int, int],
    architecture: Path,
    folder: Path,
) -> SanafeRun:
    """Run a network on SANA-FE; spikes of its inputs are (n_samples, n_steps, n), shape is (n_samples, n_steps)."""
    path = folder / "described.npz"
    arrays: dict[str, npt.NDArray[Any]] = {f"spikes {name}": train for name, train in spikes.items()}
    for group in described.groups:
        for key in ("threshold", "bias", "leak_decay", "place"):
            arrays[f"{key} {group.name}"] = getattr(group, key)
    for i, link in enumerate(described.links):
        arrays |= {f"weights {i}": link.weights, f"pairs {i}": link.pairs}
    keys = ("source", "target", "form", "image", "stride")
    header = {
        "groups": [{"name": group.name, "n": group.n, "input": group.is_input} for group in described.groups],
        "links": [{key: getattr(link, key) for key in keys} for link in described.links],
        "n_samples": shape[0],
        "n_steps": shape[1],
    }
    np.savez(path, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]
    return _sanafe(python, ["run", str(path), str(architecture)], folder)


def run_sanafe_file(python: str, path: Path, architecture: Path, n_steps: int, folder: Path) -> SanafeRun:
    """Run a network file as SANA-FE's own loader reads it, with its simple timing only."""
    return _sanafe(python, ["file", str(path), str(architecture), str(n_steps)], folder)


def _sanafe(python: str, arguments: Sequence[str], folder: Path) -> SanafeRun:
    result = folder / "result.npz"
    _call([python, str(SCRIPTS / "peer_sanafe.py"), *arguments, str(result)])
    with np.load(result) as found:
        parts = {name: found[name] for name in found.files}
    names = [str(name) for name in parts.pop("names")]
    return SanafeRun(parts.pop("trains"), names, int(parts.pop("packets").sum()), parts)


def _call(command: Sequence[str], folder: Path | None = None, threads: int = 1) -> str:
    limits = {name: str(threads) for name in ONE_THREAD}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **limits, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
