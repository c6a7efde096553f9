"""Input layers of lava-dl networks, which take numbers: their neurons, and the events that numbers become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.backend import get_backend
from neurosim.compile_network import compile
from neurosim.errors import ModelFileError
from neurosim.events import Events, events_from_dense
from neurosim.exchange.imported import Imported, reorder_events
from neurosim.exchange.lavaneurons import MESSAGE_BITS, Neurons, integers, make_neurons
from neurosim.network import Group, Input, Network, OneToOne, Probe

INPUT = "input"
MAX_VALUES = 1 << 28  # numbers in all steps together


def input_neurons(owner: str, i: int, stored: Mapping[str, Any], shape: tuple[int, ...]) -> Neurons:
    """Return the neurons of an input layer, named after its number i."""
    return make_neurons(owner, f"{INPUT}{i}", stored, shape, is_input=True)


def number_connection(group: Group) -> OneToOne:
    """Return the connection that brings numbers to the neurons: a message of m moves v by 64 m, as a bias of m does."""
    return OneToOne(INPUT, group.name, group.n, 1, num_message_bits=MESSAGE_BITS)


def analogue_events(model: Imported, values: npt.ArrayLike, n_steps: int) -> Events:
    """Return the events of numbers that are held for a whole sample, for a network whose input layer takes numbers.

    Parameters
    ----------
    model : Imported
        From `neurosim.exchange.lavadl.read_net`, with an input layer that has neurons (``model.source["input"]``).
    values : (n_samples, *model.inputs.shape)
        Integers are taken as they are, as the bias mantissa that netx would set. Floats are lava-dl's inputs x: they become
        ``weight x + bias``, rounded toward zero. Networks trained on images from -1 to 1, as in lava-dl's tutorials, want
        ``2 image - 1`` of an image from 0 to 1.
    n_steps : int

    Returns
    -------
    Events
        Spikes of the input layer's neurons, or the numbers themselves where the network has the neurons (``input_layer`` of
        `read_net`). Numbered as the framework does; `neurosim.exchange.imported.reorder_events` gives the network's lines.

    Raises
    ------
    ModelFileError
        If the network takes spikes, or shape or type are others.
    """
    name, shape = f"network {model.network.name!r}", model.inputs.shape
    constants = model.source.get("input")
    array = np.asarray(values)
    if not isinstance(constants, Mapping):
        raise ModelFileError(f"{name}: its input takes spikes, not numbers; encode the data")
    if array.shape[1:] != shape or array.dtype.kind not in "biuf" or n_steps < 1:
        raise ModelFileError(
            f"{name}: values are {array.dtype} of shape {array.shape} for {n_steps} steps; give numbers of shape "
            f"(n_samples, {', '.join(map(str, shape))}) and at least one step"
        )
    if array.size * n_steps > MAX_VALUES:
        raise ModelFileError(
            f"{name}: {array.size} values in {n_steps} steps are more than {MAX_VALUES}; give fewer samples"
        )
    if array.dtype.kind == "f":
        array = np.trunc(array * constants["weight"] + constants["bias"])
    flat = integers(name, "values", array).reshape(len(array), 1, -1)
    on_chip = constants["on"] == "chip"
    steps = n_steps if on_chip else n_steps + 1  # the numbers reach the neurons in the next step
    numbers = events_from_dense(np.broadcast_to(flat, (len(array), steps, flat.shape[2])), graded=True)
    return numbers if on_chip else _spikes(model, constants, numbers)


def _spikes(model: Imported, constants: Mapping[str, Any], numbers: Events) -> Events:
    """Run the input layer alone, and return what it sends as events, one step earlier."""
    port = model.inputs
    group, message_bits = input_neurons(model.network.name, int(constants["layer"]), constants["neuron"], port.shape)
    network = Network([Input(INPUT, group.n), group], [number_connection(group)], [Probe(group.name)])
    with get_backend("simulator").open(compile(network, "unlimited")) as runner:
        found = runner.run(reorder_events(numbers, port)).spikes[group.name]
    sent = np.zeros((numbers.n_samples, numbers.n_steps, group.n), np.int32)
    sent[found.sample, found.step, port.order[found.neuron]] = 1 if found.value is None else found.value
    return events_from_dense(sent[:, 1:], graded=bool(message_bits))
