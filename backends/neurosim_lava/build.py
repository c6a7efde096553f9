"""Build a network from Lava's own Processes, run it once, and read what was recorded.

Imported only by the worker, after `shim`: this module imports Lava.
"""

# Lava has no types, and is missing in the environments that are checked.
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from lava.magma.core.process.ports.ports import AbstractPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg

from neurosim_lava.board import FEEDS, RECORDINGS, Feed, Recording, clear, shared_bytes
from neurosim_lava.neurons import NEURON_MODELS, make_neurons
from neurosim_lava.processes.relay import SLOTS, Relay
from neurosim_lava.processes.source import Source
from neurosim_lava.synapses import SYNAPSE_MODELS, link
from neurosim_lava.synapses import make_connection as make_connection
from neurosim_lava.watch import watching
from neurosim_lava.wire import Arrays, Header

#: The model that each Process must get; Lava takes a float model where a tag is missing or misspelt.
MODELS = NEURON_MODELS | SYNAPSE_MODELS | {Relay: "RelayModel", Source: "SourceModel"}


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
        "spikes_i" or "values_i", and "u_i", "v_i", ... of the i-th group, one row per step, where probed.
    """
    clear()
    first = _assemble(header, arrays)
    execute(first, header["period"] * header["n_samples"], MODELS, report, complain)
    return recorded(header)


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
    play(first, executable, n_steps, report, complain)


def play(
    first: AbstractProcess,
    executable: Any,
    n_steps: int,
    report: Callable[[str], None],
    complain: Callable[[str], None],
) -> None:
    """Run and stop what Lava has compiled; arguments as in `execute`."""
    first.create_runtime(executable=executable)
    report("build")
    with watching(first.runtime._messaging_infrastructure.actors, complain):
        first.run(RunSteps(num_steps=n_steps))
    report("run")
    first.stop()


def _assemble(header: Header, arrays: Arrays) -> AbstractProcess:
    """Create and connect all Processes; return one of them."""
    targets: dict[str, AbstractProcess] = {}
    senders: dict[str, AbstractPort] = {}
    relays = new_relays(header["groups"])
    for i, group in enumerate(header["groups"]):
        name, relay, k = group["name"], relays[i // SLOTS], i % SLOTS
        own = {register: arrays[f"{register}_{i}"].astype(np.int32) for register in group["registers"]}
        neurons = make_neurons(group, own)
        neurons.s_out.connect(getattr(relay, f"s_in_{k}"))
        for number, state in enumerate(group["states"]):
            getattr(relay, f"state_{k}_{number}").connect_var(getattr(neurons, state))
        targets[name], senders[name] = neurons, getattr(relay, f"s_out_{k}")
        RECORDINGS[name] = recording_of(header, group)
    for i, source in enumerate(header["inputs"]):
        senders[source["name"]] = Source(group=source["name"], n=source["n"]).s_out
        FEEDS[source["name"]] = Feed(
            arrays[f"start_{i}"], arrays[f"neuron_{i}"], header["n_steps"], header["period"], arrays.get(f"value_{i}")
        )
    for i, connection in enumerate(header["connections"]):
        port = getattr(targets[connection["target"]], connection["port"])
        link(senders[connection["source"]], make_connection(connection, i, arrays), port)
    return relays[0]


def new_relays(groups: list[dict[str, Any]]) -> list[Relay]:
    """Return relays for all groups, `SLOTS` to each, chained so that Lava finds all of them from the first."""
    relays: list[Relay] = []
    for begin in range(0, len(groups), SLOTS):
        held = groups[begin : begin + SLOTS]
        relay = Relay(groups=tuple(group["name"] for group in held), sizes=tuple(group["n"] for group in held))
        if relays:
            relays[-1].tick_out.connect(relay.tick_in)
        relays.append(relay)
    return relays


def recording_of(header: Header, group: dict[str, Any]) -> Recording:
    """Return the memory for what is probed of a group."""
    n_rows, n = header["n_steps"] * header["n_samples"], group["n"]
    probed, graded = "spikes" in group["probes"], group["graded"]
    return Recording(
        shared_bytes(n_rows, -(-n // 8)) if probed and not graded else None,
        shared_bytes(n_rows, 4 * n).view(np.int32) if probed and graded else None,
        tuple(
            shared_bytes(n_rows, 4 * n).view(np.int32) if state in group["probes"] else None
            for state in group["states"]
        ),
        tuple(group["rest"]),
        header["n_steps"],
        header["period"],
    )


def recorded(header: Header) -> Arrays:
    """Return what was recorded, by the names that `run` gives it."""
    found: Arrays = {}
    for i, group in enumerate(header["groups"]):
        recording = RECORDINGS[group["name"]]
        arrays = zip(
            ("spikes", "values", *group["states"]), (recording.spikes, recording.values, *recording.states), strict=True
        )
        found |= {f"{what}_{i}": array for what, array in arrays if array is not None}
    return found
