"""Run a network on a Loihi 2 board through Intel's lava-loihi. Written from public sources; never run on a chip.

Neurons and connections are Lava's own Processes, on neuro cores. What stays on the host are our Source, which plays the
input, and our Relay, which writes down spikes; lava-loihi's adapters carry messages between host and chip. A Relay cannot
stand between groups there, nor read or reset states: references to Vars of a neuro core do not exist in a running step. So
states are not recorded, and every sample is a start of its own.
"""

# Lava has no types, and is missing in the environments that are checked; lava-loihi is not public.
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from lava.magma.core.model.py.model import AbstractPyProcessModel
from lava.magma.core.process.ports.ports import AbstractPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_configs import Loihi2HwCfg
from lava.utils.loihi import is_installed

from neurosim_lava.board import FEEDS, RECORDINGS, Feed, clear
from neurosim_lava.build import LavaProblem, new_relays, play, recorded, recording_of
from neurosim_lava.neurons import NEURON_MODELS, make_neurons
from neurosim_lava.processes.relay import SLOTS, Relay
from neurosim_lava.processes.source import Source
from neurosim_lava.synapses import SYNAPSE_MODELS, make_connection
from neurosim_lava.wire import Arrays, Header

ADAPTERS = "lava.proc.embedded_io.spike.process"  # a part of lava-loihi
GRADED_BITS = 24  # of a graded message between host and chip
UNUSED_BITS = 8  # the adapter leaves the sign of 24 bits in a word of 32


def run(header: Header, arrays: Arrays, report: Callable[[str], None], complain: Callable[[str], None]) -> Arrays:
    """Build, run and stop a network on the chip; arguments and answer as of `neurosim_lava.build.run`.

    Every group must get a model of a neuro core: Lava takes a Python model without a word where it has no other.
    """
    if not is_installed():
        raise LavaProblem("lava-loihi is not installed beside Lava, so no chip can be reached")
    clear()
    relays = _assemble(header, arrays)
    executable = relays[0].compile(Loihi2HwCfg())  # no tag: with one, Python models with it come before neuro cores
    for process, builder in executable.proc_builders.items():
        on_chip = type(process) in NEURON_MODELS or type(process) in SYNAPSE_MODELS
        if on_chip and issubclass(builder.proc_model, AbstractPyProcessModel):
            raise LavaProblem(f"{type(process).__name__} has no model for neuro cores in this lava-loihi")
    play(relays[0], executable, header["period"], report, complain)
    found = recorded(header)
    return {name: _signed(array) if name.startswith("values_") else array for name, array in found.items()}


def _signed(messages: Any) -> Any:
    """Return 24-bit messages with their sign, int32."""
    return (messages.astype(np.int32) << UNUSED_BITS) >> UNUSED_BITS


def _assemble(header: Header, arrays: Arrays) -> list[Relay]:
    """Create and connect all Processes; return the relays, which are all on the host."""
    adapters = import_module(ADAPTERS)
    targets: dict[str, AbstractProcess] = {}
    senders: dict[str, AbstractPort] = {}
    relays = new_relays(header["groups"])
    for i, group in enumerate(header["groups"]):
        own = {register: arrays[f"{register}_{i}"].astype(np.int32) for register in group["registers"]}
        neurons = make_neurons(group, own)
        targets[group["name"]], senders[group["name"]] = neurons, neurons.s_out
        RECORDINGS[group["name"]] = recording_of(header, group | {"states": [], "rest": []})
        if "spikes" in group["probes"]:
            out = adapters.NxToPyAdapter(shape=(group["n"],), num_message_bits=GRADED_BITS * group["graded"])
            neurons.s_out.connect(out.inp)
            out.out.connect(getattr(relays[i // SLOTS], f"s_in_{i % SLOTS}"))
    for i, source in enumerate(header["inputs"]):
        name, value = source["name"], arrays.get(f"value_{i}")
        FEEDS[name] = Feed(arrays[f"start_{i}"], arrays[f"neuron_{i}"], header["n_steps"], header["period"], value)
        into = adapters.PyToNxAdapter(shape=(source["n"],), num_message_bits=0 if value is None else GRADED_BITS)
        Source(group=name, n=source["n"]).s_out.connect(into.inp)
        senders[name] = into.out
    for i, connection in enumerate(header["connections"]):
        synapses = make_connection(connection, i, arrays)
        senders[connection["source"]].connect(synapses.s_in)
        synapses.a_out.connect(getattr(targets[connection["target"]], connection["port"]))
    return relays
