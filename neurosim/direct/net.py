"""A float network as parameters to be trained, and the run of a batch through it and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.decays import decays_of, time_constant
from neurosim.direct.convolution import Geometry, convolve, convolve_back, geometry_of
from neurosim.direct.eventlayer import (
    EventInput,
    Held,
    convolution_by_kernel,
    convolution_of,
    linear_by_weight,
    linear_of,
)
from neurosim.direct.layers import Layer, Link, layers_of
from neurosim.direct.quant import chip_weights, group_scale, weight_format
from neurosim.direct.scan import product, run_backward, run_forward
from neurosim.directconfig import SURROGATES, DirectConfig
from neurosim.fixedpoint import DECAY_ONE
from neurosim.kernels.directweights import hold_bytes, hold_weights, scale_weights
from neurosim.learning.build import READOUT
from neurosim.network import AnyConnection, Connection, ConvConnection, CubaLIF, Group, Input, Network
from neurosim.program import aligned_empty
from neurosim.quantize import Quantized, quantize
from neurosim.reference.direct import Floats, Neurons

WEIGHT, THRESHOLD, DECAY, CURRENT, WIDTH = "weight", "threshold", "decay", "current", "width"
LEAST_THRESHOLD = 1e-3


class Prepared(NamedTuple):
    """What a batch runs with.

    Attributes
    ----------
    neurons : dict of group to Neurons
    weights : dict of connection to float32 array
        In units of the current of its target.
    held : dict of connection to Held
        The weights of others, which events meet.
    widths : dict of group to (T,) float32 array
    scales : dict of connection to float
        What a parameter is multiplied by to become a weight.
    """

    neurons: dict[str, Neurons]
    weights: dict[str, Floats]
    held: dict[str, Held]
    widths: dict[str, Floats]
    scales: dict[str, float]


class Heard(NamedTuple):
    """What a connection took of the messages of its source.

    Attributes
    ----------
    frames : (T, B, n_pre) float32, or EventInput
    events : EventInput or None
        The frames as a list, where a convolution added them as that.
    """

    frames: Floats | EventInput
    events: EventInput | None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a batch gave.

    Parameters
    ----------
    logits : (B, C) float32
        Last voltages of the readout in units of the float weights.
    potentials, spikes : dict of group to (T, B, n) float32
    heard : dict of group to list of Heard
        By its links.
    sent : dict of group to float
        Sizes of all messages added up.
    """

    logits: Floats
    potentials: dict[str, Floats]
    spikes: dict[str, Floats]
    heard: dict[str, list[Heard]]
    sent: dict[str, float]


class DirectNet:
    """A network to be trained.

    Parameters
    ----------
    network : Network
        In floats; its last layer is called "readout" and only integrates.
    config : DirectConfig
    n_steps : int
        Steps of input per sample.

    Attributes
    ----------
    parameters : dict of (kind, name) to float32 array
        "weight" of connections; of groups "threshold", "decay" and "current" (logits of what is lost in a step) and "width" (logarithms),
        where they are learned.
    """

    def __init__(self, network: Network, config: DirectConfig, n_steps: int) -> None:
        self.network, self.config, self.n_steps = network, config, n_steps
        self.layers = layers_of(network)
        self._source = next(group.name for group in network.groups if isinstance(group, Input))
        self._geometry: dict[str, Geometry] = {}
        self.parameters: dict[tuple[str, str], Floats] = {}
        self._fixed: dict[tuple[str, str], float] = {}
        for layer in self.layers:
            self._add(layer)

    def _add(self, layer: Layer) -> None:
        config, name = self.config, layer.group.name
        for connection in layer.incoming:
            if connection.plastic:
                self.parameters[WEIGHT, connection.name] = self._array(connection, np.asarray(connection.weights))
            if isinstance(connection, ConvConnection):
                self._geometry[connection.name] = geometry_of(connection)
        decays = decays_of(layer.group, self.network.dt)
        lost = {DECAY: float(decays.mem[0]), CURRENT: float(decays.syn[0])}
        hidden = layer.fires
        for kind, value in lost.items():
            if config.learn_decay and hidden and 0 < value < 1:
                self.parameters[kind, name] = np.array(math.log(value / (1 - value)), np.float32)
            self._fixed[kind, name] = value
        learns = any(c.plastic for c in layer.incoming)  # the threshold of a pool is given with its weights
        if config.learn_threshold and hidden and learns:
            self.parameters[THRESHOLD, name] = np.array(layer.group.each("v_threshold")[0], np.float32)
        self._fixed[THRESHOLD, name] = float(layer.group.each("v_threshold")[0])
        width = config.width or SURROGATES[config.surrogate]
        self._fixed[WIDTH, name] = width
        if hidden and config.learn_width != "fixed":
            n = self.n_steps if config.learn_width == "step" else 1
            self.parameters[WIDTH, name] = np.full(n, math.log(width), np.float32)

    def _array(self, connection: Connection, weights: npt.ArrayLike) -> Floats:
        """Return weights as float32, those of a matrix on the input by input in memory, as lists of events need them."""
        if isinstance(connection, ConvConnection) or connection.source != self._source:
            return np.array(weights, np.float32, order="C")
        return np.array(weights, np.float32, order="F")

    def value(self, kind: str, name: str) -> float:
        """Return the threshold, or the part of voltage ("decay") or current that is lost in a step, as it is now."""
        parameter = self.parameters.get((kind, name))
        if parameter is None:
            return self._fixed[kind, name]
        if kind == THRESHOLD:
            return max(LEAST_THRESHOLD, float(parameter))
        return 1 / (1 + math.exp(-float(parameter)))

    def widths(self, name: str) -> list[float]:
        """Return the surrogate widths of a group, one or one for each step, in thresholds."""
        parameter = self.parameters.get((WIDTH, name))
        if parameter is None:
            return [self._fixed[WIDTH, name]]
        return [float(x) for x in np.exp(parameter)]

    def _scaled(self, connection: Connection, factor: float) -> Floats:
        """Return the present weights times a factor."""
        weights = self._present(connection)
        if not connection.plastic:
            return self._array(connection, weights * factor)
        return _passed(scale_weights, weights, factor)

    def _held(self, connection: Connection, factor: float) -> Floats:
        """Return the present weights as the chip holds them."""
        weights = self._present(connection)
        if not connection.plastic:
            held, exponent = chip_weights(connection, weights, factor)
            return self._array(connection, held * 2.0**exponent)
        low, high, unit = weight_format(connection)
        return _passed(hold_weights, weights, factor, float(unit), float(low), float(high))

    def _fits_bytes(self, connection: Connection) -> bool:
        """Whether events meet these weights, and each is a whole number of -128..127 units on the chip."""
        if connection.source != self._source or not connection.plastic or isinstance(connection, ConvConnection):
            return False
        low, high, unit = weight_format(connection)
        return -128 * unit <= low and high <= 127 * unit

    def _held_in_bytes(self, connection: Connection, factor: float) -> Held:
        """Return the present weights as the chip holds them, in bytes."""
        low, high, unit = weight_format(connection)
        weights = self._present(connection)
        flat = weights.reshape(-1, order="A")  # by input in memory
        table = aligned_empty(flat.shape, np.int8)
        hold_bytes(flat, factor / unit, low // unit, high // unit, table)
        return Held(table, len(weights), float(unit))

    def _present(self, connection: Connection) -> Any:
        """Return the present weights in the layout of the description: float32 where they are learned."""
        parameter = self.parameters.get((WEIGHT, connection.name))
        return np.asarray(connection.weights) if parameter is None else parameter

    def weights(self, connection: Connection) -> Any:
        """Return the present weights in the layout of the description, float64."""
        return self._present(connection).astype(np.float64)

    def registers(self, layer: Layer) -> tuple[int, int]:
        """Return du and dv of a group on the chip."""
        name = layer.group.name
        du = min(max(round(DECAY_ONE * self.value(CURRENT, name)), 1), DECAY_ONE) - 1
        dv = min(max(round(DECAY_ONE * self.value(DECAY, name)), 0), DECAY_ONE - 1)
        return du, dv

    def scale(self, layer: Layer) -> float:
        """Return the scale of a group, as the chip would hold the present weights."""
        du, _ = self.registers(layer)
        weights = [(connection, self._present(connection)) for connection in layer.incoming]
        threshold = math.inf if not layer.fires else self.value(THRESHOLD, layer.group.name)
        return group_scale(layer.group, weights, threshold, (du + 1) / DECAY_ONE)

    def prepare(self, chip: bool | None = None, for_events: bool = False) -> Prepared:
        """Return what the present parameters mean for a batch.

        Parameters
        ----------
        chip : bool, optional
            In the chip's integers; by default as the configuration says.
        for_events : bool
            Inputs will come as events: weights that they meet are held in bytes where they fit.
        """
        chip = self.config.arithmetic == "chip" if chip is None else chip
        found = Prepared({}, {}, {}, {}, {})
        shape = list(SURROGATES).index(self.config.surrogate)
        for layer in self.layers:
            name, group = layer.group.name, layer.group
            du, dv = self.registers(layer)
            threshold = self.value(THRESHOLD, name)
            lost = (
                ((du + 1) / DECAY_ONE, dv / DECAY_ONE) if chip else (self.value(CURRENT, name), self.value(DECAY, name))
            )
            scale = self.scale(layer) if chip else 1.0
            found.neurons[name] = Neurons(
                layer.model, chip, group.max_spikes, group.signed, round(scale * threshold) if layer.fires else 0, dv, du,
                threshold if layer.fires else 1.0, 1 - lost[1], 1 - lost[0], scale, shape, self.config.reset_gradient,
            )  # fmt: skip
            for connection in layer.incoming:
                factor = scale * lost[0]
                found.scales[connection.name] = factor
                if not chip:
                    found.weights[connection.name] = self._scaled(connection, factor)
                elif for_events and (CURRENT, name) not in self.parameters and self._fits_bytes(connection):
                    found.held[connection.name] = self._held_in_bytes(connection, factor)
                else:
                    found.weights[connection.name] = self._held(connection, factor)
            found.widths[name] = np.full(self.n_steps, self.widths(name), np.float32)
        return found

    def run(self, prepared: Prepared, frames: Floats | EventInput, kept: dict[str, Floats] | None = None) -> Outcome:
        """Run a batch.

        Parameters
        ----------
        prepared : Prepared
        frames : (T, B, n_inputs) float32, or EventInput
        kept : dict of group to (B, n) float32, optional
            Factors of the messages: dropout.
        """
        messages: dict[str, Floats | EventInput] = {self._source: frames}
        potentials: dict[str, Floats] = {}
        sent: dict[str, float] = {}
        spikes: dict[str, Floats] = {}
        heard: dict[str, list[Heard]] = {}
        for layer in self.layers:
            name, neurons = layer.group.name, prepared.neurons[layer.group.name]
            brought = [self._bring(link, messages, prepared) for link in layer.links]
            heard[name] = [taken for _, taken in brought]
            current = brought[0][0]
            for part, _ in brought[1:]:
                current = current + part
            if neurons.chip and kept:
                current = np.rint(current)
            recurrent = None if layer.recurrent is None else prepared.weights[layer.recurrent.name]
            spikes[name], potentials[name], size = run_forward(current, neurons, recurrent)
            if layer.fires:
                sent[name] = size
                messages[name] = spikes[name] * kept[name] if kept and name in kept else spikes[name]
        logits = potentials[READOUT][-1] / np.float32(prepared.neurons[READOUT].scale)
        return Outcome(logits, potentials, spikes, heard, sent)

    def _bring(self, link: Link, messages: dict[str, Floats | EventInput], prepared: Prepared) -> tuple[Floats, Heard]:
        """Return what a connection brings in each step, (T, B, n_post), and of what."""
        connection, frames = link.connection, messages[link.connection.source]
        name = connection.name
        if isinstance(frames, EventInput):
            if isinstance(connection, ConvConnection):
                current = convolution_of(frames, prepared.weights[name], self._geometry[name].pieces)
            else:
                current = linear_of(frames, prepared.held[name] if name in prepared.held else prepared.weights[name])
            return current, Heard(frames, None)
        weights = prepared.weights[name]
        if link.late:
            frames = np.concatenate([np.zeros_like(frames[: link.late]), frames[: -link.late]])
        if not isinstance(connection, ConvConnection):
            return _times(frames, weights.T), Heard(frames, None)
        current, events = convolve(frames, weights, self._geometry[name])
        return current, Heard(frames, events)

    def gradients(
        self, prepared: Prepared, out: Outcome, by_potentials: dict[str, Floats], kept: dict[str, Floats] | None = None
    ) -> dict[tuple[str, str], Floats]:
        """Return the gradients by what a batch ran with, back through time.

        Parameters
        ----------
        prepared, kept
            As `run` was given them.
        out : Outcome
        by_potentials : dict of group to (T, B, n) float32
            Gradients by the potentials, where there are any.

        Returns
        -------
        dict of (kind, name) to array
            Of all that `collect` needs; of weights in the layout of the parameters.
        """
        found: dict[tuple[str, str], Floats] = {}
        by_messages: dict[str, Floats] = {}
        for layer in reversed(self.layers):
            name = layer.group.name
            by_spike = by_messages.pop(name, None)
            if by_spike is not None and kept and name in kept:
                by_spike = by_spike * kept[name]
            learned = [kind for kind in (THRESHOLD, DECAY, CURRENT, WIDTH) if (kind, name) in self.parameters]
            recurrent = None if layer.recurrent is None else prepared.weights[layer.recurrent.name]
            back = run_backward(
                prepared.neurons[name], out.spikes[name], out.potentials[name], prepared.widths[name], by_spike,
                by_potentials.get(name), recurrent, bool(learned),
            )  # fmt: skip
            by_number = dict(zip((THRESHOLD, DECAY, CURRENT, WIDTH), back[1:5], strict=True))
            found |= {(kind, name): np.asarray(by_number[kind], np.float32) for kind in learned}
            if layer.recurrent is not None and back.recurrent is not None:
                found[WEIGHT, layer.recurrent.name] = back.recurrent
            for link, heard in zip(layer.links, out.heard[name], strict=True):
                source, connection = link.connection.source, link.connection
                wanted = (
                    source != self._source,
                    any(key in self.parameters for key in ((WEIGHT, connection.name), (CURRENT, name))),
                )
                by_frames, by_weight = self._bring_back(link, heard, back.current, prepared, wanted)
                if by_frames is not None:
                    by_messages[source] = by_messages[source] + by_frames if source in by_messages else by_frames
                if by_weight is not None:
                    found[WEIGHT, connection.name] = by_weight
        return found

    def _bring_back(
        self, link: Link, heard: Heard, gradient: Floats, prepared: Prepared, wanted: tuple[bool, bool]
    ) -> tuple[Floats | None, Floats | None]:
        """Return the gradients by the messages of a connection's source and by its weights, those that are wanted."""
        connection, frames = link.connection, heard.frames
        if isinstance(frames, EventInput):
            if not wanted[1]:
                return None, None
            if isinstance(connection, ConvConnection):
                return None, convolution_by_kernel(frames, gradient, self._geometry[connection.name].pieces)
            return None, linear_by_weight(frames, gradient)
        weights = prepared.weights[connection.name]
        if isinstance(connection, ConvConnection):
            geometry = self._geometry[connection.name]
            by_frames, by_weight = convolve_back(gradient, frames, heard.events, weights, geometry, wanted)
        else:
            flat = gradient.reshape(-1, gradient.shape[2])
            by_frames = _times(gradient, weights) if wanted[0] else None
            by_weight = product(flat.T, frames.reshape(-1, frames.shape[2])) if wanted[1] else None
        if link.late and by_frames is not None:
            by_frames = np.concatenate([by_frames[link.late :], np.zeros_like(by_frames[: link.late])])
        return by_frames, by_weight

    @property
    def takes_events(self) -> bool:
        """Whether the input may come as events: nothing that it feeds also hears others sooner."""
        links = [link for layer in self.layers for link in layer.links if link.connection.source == self._source]
        return all(link.late == 0 for link in links)

    def collect(
        self, prepared: Prepared, gradients: dict[tuple[str, str], Floats]
    ) -> dict[tuple[str, str], tuple[Floats, float]]:
        """Return the gradients of the parameters from those of what a batch ran with; rounding passes gradients as they are.

        Returns
        -------
        dict of (kind, name) to (array, factor)
            The gradient is their product; its layout in memory is that of the parameter.
        """
        found = {}
        for key, parameter in self.parameters.items():
            kind, name = key
            gradient, factor = gradients[key], 1.0
            if kind == WEIGHT:
                factor = prepared.scales[name]
            elif kind in (DECAY, CURRENT):
                lost = self.value(kind, name)
                if kind == CURRENT:  # weights are multiplied by what the current loses, and so meet it twice
                    layer = next(each for each in self.layers if each.group.name == name)
                    for c in layer.incoming:
                        weighed = gradients[WEIGHT, c.name] * prepared.weights[c.name]
                        gradient = gradient - float(weighed.sum()) / lost
                gradient = -gradient * lost * (1 - lost)
            elif kind == WIDTH:
                gradient = gradient * prepared.widths[name]
                gradient = gradient.sum().reshape(1) if len(parameter) == 1 else gradient
            order: Literal["C", "F"] = "C" if parameter.flags.c_contiguous else "F"
            found[key] = np.asarray(gradient, np.float32, order=order), factor
        return found

    def float_network(self) -> Network:
        """Return the network with the present weights, thresholds and time constants, in floats."""
        dt = self.network.dt
        groups: dict[str, Group] = {group.name: group for group in self.network.groups}
        connections: dict[str, AnyConnection] = {c.name: c for c in self.network.connections}
        for layer in self.layers:
            name, du_dv = layer.group.name, self.registers(layer)
            changed: dict[str, Any] = {}
            if (THRESHOLD, name) in self.parameters:
                changed["v_threshold"] = self.value(THRESHOLD, name)
            if (DECAY, name) in self.parameters:
                changed["tau_mem"] = time_constant(du_dv[1], dt)
            if (CURRENT, name) in self.parameters:
                changed["tau_syn"] = time_constant(du_dv[0] + 1, dt)
            group: CubaLIF = replace(layer.group, **changed)
            groups[name] = group
            for c in layer.incoming:
                connections[c.name] = replace(c, weights=self.weights(c))
        return replace(self.network, groups=tuple(groups.values()), connections=tuple(connections.values()))

    def quantized(self) -> Quantized:
        """Return the network in chip integers: those that training in the chip's arithmetic sees."""
        scales = {layer.group.name: self.scale(layer) for layer in self.layers}
        return quantize(self.float_network(), 1.0, scales=scales)


def _passed(kernel: Callable[..., None], weights: Floats, *numbers: float) -> Floats:
    """Return what a kernel of `neurosim.kernels.directweights` makes of weights, in their layout."""
    flat = weights.reshape(-1, order="A")
    out = aligned_empty(flat.shape)
    kernel(flat, *numbers, out)
    return out.reshape(weights.shape, order="C" if weights.flags.c_contiguous else "F")


def _times(frames: Floats, matrix: Floats) -> Floats:
    """Return frames (T, B, n) times a matrix."""
    return product(frames.reshape(-1, frames.shape[2]), matrix).reshape(*frames.shape[:2], -1)
