"""Build a network from Lava's own LIF, Dense and Sparse Processes, run it once, and read what was recorded.

Imported only by the worker, after `shim`: this module imports Lava.
"""

# Lava has no types, and is missing in the environments that are checked; so is scipy.
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.lif.process import LIF
from lava.proc.sparse.process import Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

from neurosim_lava.board import FEEDS, RECORDINGS, Feed, Recording, clear, shared_bytes
from neurosim_lava.processes.relay import Relay
from neurosim_lava.processes.source import Source
from neurosim_lava.watch import watching
from neurosim_lava.wire import Arrays, Header

#: The integer models; Lava takes a float model where a tag is missing or misspelt.
MODELS = {
    LIF: "PyLifModelBitAcc",
    Dense: "PyDenseModelBitAcc",
    Sparse: "PySparseModelBitAcc",
    Relay: "RelayModel",
    Source: "SourceModel",
}
SIGN_MODES = {
    "mixed": SignMode.MIXED,
    "excitatory": SignMode.EXCITATORY,
    "inhibitory": SignMode.INHIBITORY,
}


class LavaProblem(Exception):
    """Lava did not build what it was asked for."""


def run(header: Header, arrays: Arrays, report: Callable[[str], None], complain: Callable[[str], None]) -> Arrays:
    """Build, run and stop a network.

    Parameters
    ----------
    header, arrays
        As made by `neurosim_lava.translate.request`.
    report : callable
        Called with the stage ("build", "run") that has just been finished.
    complain : callable
        Called from a thread when a Lava process dies in the run, which Lava may never come back from.

    Returns
    -------
    dict of str to array
        "spikes_i", "u_i", "v_i" of the i-th group, one row per step, where probed.
    """
    n_steps, n_total = header["n_steps"], header["n_steps"] * header["n_samples"]
    clear()
    execute(_assemble(header, arrays, n_steps, n_total), n_total, MODELS, report, complain)
    return _recorded(header)


def execute(
    first: AbstractProcess,
    n_steps: int,
    models: Mapping[type, str],
    report: Callable[[str], None],
    complain: Callable[[str], None],
) -> None:
    """Build all Processes that hang together with `first`, run and stop them.

    Parameters
    ----------
    first : AbstractProcess
    n_steps : int
    models : mapping of Process class to str
        Name of the model that each class must get.
    report, complain
        As in `run`.
    """
    executable = first.compile(Loihi2SimCfg(select_tag="fixed_pt"))
    for process, builder in executable.proc_builders.items():
        expected = models[type(process)]
        if builder.proc_model.__name__ != expected:
            raise LavaProblem(f"Lava chose the model {builder.proc_model.__name__} instead of {expected}")
    first.create_runtime(executable=executable)
    report("build")
    with watching(first.runtime._messaging_infrastructure.actors, complain):
        first.run(RunSteps(num_steps=n_steps))
    report("run")
    first.stop()


def _assemble(header: Header, arrays: Arrays, n_steps: int, n_total: int) -> AbstractProcess:
    """Create and connect all Processes; return one of them."""
    targets: dict[str, LIF] = {}
    senders: dict[str, AbstractProcess] = {}
    relays: list[Relay] = []
    for i, group in enumerate(header["groups"]):
        name, n = group["name"], group["n"]
        lif = LIF(
            shape=(n,), du=group["du"], dv=group["dv"], vth=group["vth"],
            bias_mant=arrays[f"bias_mant_{i}"].astype(np.int32), bias_exp=arrays[f"bias_exp_{i}"].astype(np.int32),
        )  # fmt: skip
        relay = Relay(group=name, n=n)
        lif.s_out.connect(relay.s_in)
        relay.u.connect_var(lif.u)
        relay.v.connect_var(lif.v)
        if relays:
            relays[-1].tick_out.connect(relay.tick_in)
        relays.append(relay)
        targets[name], senders[name] = lif, relay
        RECORDINGS[name] = Recording(
            shared_bytes(n_total, -(-n // 8)) if "spikes" in group["probes"] else None,
            shared_bytes(n_total, 4 * n).view(np.int32) if "u" in group["probes"] else None,
            shared_bytes(n_total, 4 * n).view(np.int32) if "v" in group["probes"] else None,
            n_steps,
        )
    for i, source in enumerate(header["inputs"]):
        senders[source["name"]] = Source(group=source["name"], n=source["n"])
        FEEDS[source["name"]] = Feed(arrays[f"start_{i}"], arrays[f"neuron_{i}"], n_steps)
    for i, connection in enumerate(header["connections"]):
        synapses = make_connection(connection, i, arrays)
        senders[connection["source"]].s_out.connect(synapses.s_in)
        synapses.a_out.connect(targets[connection["target"]].a_in)
    return relays[0]


def make_connection(connection: dict[str, Any], i: int, arrays: Arrays) -> AbstractProcess:
    """Return the Lava Process of one connection."""
    options = {
        "weight_exp": connection["weight_exp"],
        "num_weight_bits": connection["num_weight_bits"],
        "sign_mode": SIGN_MODES[connection["sign_mode"]],
    }
    if connection["kind"] == "dense":
        return Dense(weights=arrays[f"weights_{i}"].astype(np.int32), **options)
    data = arrays[f"data_{i}"].astype(np.int32)  # Sparse computes in the type it is given
    place = (arrays[f"row_{i}"], arrays[f"col_{i}"])
    return Sparse(weights=csr_matrix((data, place), shape=tuple(connection["shape"])), **options)


def _recorded(header: Header) -> Arrays:
    found: Arrays = {}
    for i, group in enumerate(header["groups"]):
        recording = RECORDINGS[group["name"]]
        for what in ("spikes", "u", "v"):
            array = getattr(recording, what)
            if array is not None:
                found[f"{what}_{i}"] = array
    return found
