"""A float network as parameters that torch trains, and the run of a batch through it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from neurosim.codes import DIRECT_HARD, DIRECT_SOFT
from neurosim.decays import decays_of, time_constant
from neurosim.direct.convolution import Geometry, convolve, geometry_of
from neurosim.direct.eventlayer import EventInput, event_convolution, event_linear
from neurosim.direct.layers import Layer, Link, layers_of
from neurosim.direct.quant import chip_weights, group_scale
from neurosim.direct.scan import scan
from neurosim.directconfig import SURROGATES, DirectConfig
from neurosim.fixedpoint import DECAY_ONE, lost_weight_bits, weight_range
from neurosim.kernels.directweights import hold_weights
from neurosim.learning.build import READOUT
from neurosim.network import AnyConnection, Connection, ConvConnection, CubaLIF, Group, Input, Network
from neurosim.quantize import Quantized, quantize
from neurosim.reference.direct import Neurons
from neurosim.scale import needed_sign_mode

WEIGHT, THRESHOLD, DECAY, CURRENT, WIDTH = "weight", "threshold", "decay", "current", "width"
LEAST_THRESHOLD = 1e-3
Tensor = Any


class _Round(torch.autograd.Function):
    """To whole numbers; gradients pass as they are."""

    @staticmethod
    def forward(ctx: Any, current: Any) -> Any:
        return torch.round(current)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient


class Prepared(NamedTuple):
    """What a batch runs with: leaves of their own, whose gradients `DirectNet.collect` brings to the parameters.

    Attributes
    ----------
    neurons : dict of group to Neurons
    weights : dict of connection to tensor
        In units of the current of its target.
    numbers : dict of group to (threshold, keep, keep_current) tensors
    widths : dict of group to (T,) tensor
    scales : dict of connection to float
        What a parameter is multiplied by to become a weight.
    """

    neurons: dict[str, Neurons]
    weights: dict[str, Tensor]
    numbers: dict[str, tuple[Tensor, Tensor, Tensor]]
    widths: dict[str, Tensor]
    scales: dict[str, float]

    def leaves(self) -> dict[tuple[str, str], Tensor]:
        """Return every tensor that gradients are wanted of, by (kind, name)."""
        found = {(WEIGHT, name): tensor for name, tensor in self.weights.items()}
        for name, numbers in self.numbers.items():
            found |= {(kind, name): number for kind, number in zip((THRESHOLD, DECAY, CURRENT), numbers, strict=True)}
        found |= {(WIDTH, name): tensor for name, tensor in self.widths.items()}
        return {key: tensor for key, tensor in found.items() if tensor.requires_grad}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a batch gave.

    Parameters
    ----------
    logits : (B, C) tensor
        Last voltages of the readout in units of the float weights.
    potentials : dict of group to (T, B, n) tensor
    sent : dict of group to float
        Sizes of all messages added up.
    """

    logits: Tensor
    potentials: dict[str, Tensor]
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
    parameters : dict of (kind, name) to float32 tensor
        "weight" of connections; of groups "threshold", "decay" and "current" (logits of what is lost in a step) and "width" (logarithms),
        where they are learned.
    """

    def __init__(self, network: Network, config: DirectConfig, n_steps: int) -> None:
        self.network, self.config, self.n_steps = network, config, n_steps
        self.layers = layers_of(network)
        self._source = next(group.name for group in network.groups if isinstance(group, Input))
        self._geometry: dict[str, Geometry] = {}
        self.parameters: dict[tuple[str, str], Tensor] = {}
        self._fixed: dict[tuple[str, str], float] = {}
        for layer in self.layers:
            self._add(layer)

    def _add(self, layer: Layer) -> None:
        config, name = self.config, layer.group.name
        for connection in layer.incoming:
            if connection.plastic:
                self.parameters[WEIGHT, connection.name] = self._tensor(connection, np.asarray(connection.weights))
            if isinstance(connection, ConvConnection):
                self._geometry[connection.name] = geometry_of(connection)
        decays = decays_of(layer.group, self.network.dt)
        lost = {DECAY: float(decays.mem[0]), CURRENT: float(decays.syn[0])}
        hidden = layer.fires
        for kind, value in lost.items():
            if config.learn_decay and hidden and 0 < value < 1:
                self.parameters[kind, name] = torch.tensor(math.log(value / (1 - value)), dtype=torch.float32)
            self._fixed[kind, name] = value
        learns = any(c.plastic for c in layer.incoming)  # the threshold of a pool is given with its weights
        if config.learn_threshold and hidden and learns:
            self.parameters[THRESHOLD, name] = torch.tensor(
                float(layer.group.each("v_threshold")[0]), dtype=torch.float32
            )
        self._fixed[THRESHOLD, name] = float(layer.group.each("v_threshold")[0])
        width = config.width or SURROGATES[config.surrogate]
        self._fixed[WIDTH, name] = width
        if hidden and config.learn_width != "fixed":
            n = self.n_steps if config.learn_width == "step" else 1
            self.parameters[WIDTH, name] = torch.full((n,), math.log(width), dtype=torch.float32)

    def _tensor(self, connection: Connection, weights: Any) -> Tensor:
        """Return weights as float32, those of a matrix on the input by input in memory, as lists of events need them."""
        if isinstance(connection, ConvConnection) or connection.source != self._source:
            return torch.tensor(weights, dtype=torch.float32)
        return torch.from_numpy(np.array(weights.T, np.float32, order="C")).t()

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
        return [float(x) for x in torch.exp(parameter)]

    def _held(self, connection: Connection, factor: float) -> Tensor:
        """Return the present weights as the chip holds them."""
        weights = self._present(connection)
        if not connection.plastic:
            held, exponent = chip_weights(connection, weights, factor)
            return self._tensor(connection, held * 2.0**exponent)
        bits, mode = connection.num_weight_bits, needed_sign_mode(connection)
        flat, order = weights.reshape(-1, order="A"), "C" if weights.flags.c_contiguous else "F"
        out = np.empty_like(flat)
        low, high = weight_range(bits, mode)
        hold_weights(flat, factor, float(1 << lost_weight_bits(bits, mode)), float(low), float(high), out)
        return torch.from_numpy(out.reshape(weights.shape, order=order))

    def _present(self, connection: Connection) -> Any:
        """Return the present weights in the layout of the description: float32 where they are learned."""
        parameter = self.parameters.get((WEIGHT, connection.name))
        return np.asarray(connection.weights) if parameter is None else parameter.numpy()

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

    def prepare(self, train: bool = True, chip: bool | None = None) -> Prepared:
        """Return what the present parameters mean for a batch.

        Parameters
        ----------
        train : bool
            Gradients are wanted.
        chip : bool, optional
            In the chip's integers; by default as the configuration says.
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
            neurons = Neurons(
                layer.model, chip, group.max_spikes, group.signed, round(scale * threshold) if layer.fires else 0, dv, du,
                threshold if layer.fires else 1.0, 1 - lost[1], 1 - lost[0], scale, shape, self.config.reset_gradient,
            )  # fmt: skip
            found.neurons[name] = neurons
            for connection in layer.incoming:
                factor = scale * lost[0]
                tensor = (
                    self._held(connection, factor)
                    if chip
                    else self._tensor(connection, self.weights(connection) * factor)
                )
                found.weights[connection.name] = tensor.requires_grad_(train and connection.plastic)
                found.scales[connection.name] = factor
            numbers = [
                torch.tensor(x, dtype=torch.float32) for x in (neurons.threshold, neurons.keep, neurons.keep_current)
            ]
            for kind, number in zip((THRESHOLD, DECAY, CURRENT), numbers, strict=True):
                number.requires_grad_(train and (kind, name) in self.parameters)
            found.numbers[name] = (numbers[0], numbers[1], numbers[2])
            widths = torch.tensor(self.widths(name), dtype=torch.float32).expand(self.n_steps).clone()
            found.widths[name] = widths.requires_grad_(train and (WIDTH, name) in self.parameters)
        return found

    def run(self, prepared: Prepared, frames: Tensor | EventInput, kept: dict[str, Tensor] | None = None) -> Outcome:
        """Run a batch.

        Parameters
        ----------
        prepared : Prepared
        frames : (T, B, n_inputs) float32 tensor, or EventInput
        kept : dict of group to (B, n) float32 tensor, optional
            Factors of the messages: dropout.
        """
        messages, potentials, sent = {self._source: frames}, {}, {}
        for layer in self.layers:
            name = layer.group.name
            parts = [self._deliver(link, messages[link.connection.source], prepared) for link in layer.links]
            current = parts[0]
            for part in parts[1:]:
                current = current + part
            if prepared.neurons[name].chip and kept:
                current = _Round.apply(current)
            recurrent = None if layer.recurrent is None else prepared.weights[layer.recurrent.name]
            spikes, potential = scan(
                current, *prepared.numbers[name], prepared.widths[name], prepared.neurons[name], recurrent
            )
            potentials[name] = potential
            if layer.fires:
                sizes, group = spikes.detach(), prepared.neurons[name]
                positive = layer.model == DIRECT_HARD or (layer.model == DIRECT_SOFT and not group.signed)
                sent[name] = float((sizes if positive else sizes.abs()).sum())
                messages[name] = spikes if not kept or name not in kept else spikes * kept[name]
        return Outcome(potentials[READOUT][-1] / prepared.neurons[READOUT].scale, potentials, sent)

    def _deliver(self, link: Link, frames: Tensor | EventInput, prepared: Prepared) -> Tensor:
        """Return what a connection brings in each step, (T, B, n_post)."""
        connection, weights = link.connection, prepared.weights[link.connection.name]
        if isinstance(frames, EventInput):
            if isinstance(connection, ConvConnection):
                return event_convolution(frames, weights, self._geometry[connection.name].pieces)
            return event_linear(frames, weights)
        if link.late:
            zero = torch.zeros_like(frames[: link.late])
            frames = torch.cat([zero, frames[: -link.late]])
        if not isinstance(connection, ConvConnection):
            return torch.nn.functional.linear(frames, weights)
        return convolve(frames, weights, self._geometry[connection.name])

    @property
    def takes_events(self) -> bool:
        """Whether the input may come as events: nothing that it feeds also hears others sooner."""
        links = [link for layer in self.layers for link in layer.links if link.connection.source == self._source]
        return all(link.late == 0 for link in links)

    def collect(self, prepared: Prepared, gradients: dict[tuple[str, str], Tensor]) -> dict[tuple[str, str], Tensor]:
        """Return the gradients of the parameters from those of what a batch ran with; rounding passes gradients as they are."""
        found = {}
        for key, parameter in self.parameters.items():
            kind, name = key
            gradient = gradients[key]
            if kind == WEIGHT:
                gradient = gradient * prepared.scales[name]
            elif kind in (DECAY, CURRENT):
                lost = self.value(kind, name)
                if kind == CURRENT:  # weights are multiplied by what the current loses, and so meet it twice
                    layer = next(each for each in self.layers if each.group.name == name)
                    for c in layer.incoming:
                        weighed = gradients[WEIGHT, c.name] * prepared.weights[c.name].detach()
                        gradient = gradient - float(weighed.sum()) / lost
                gradient = -gradient * lost * (1 - lost)
            elif kind == WIDTH:
                gradient = gradient * prepared.widths[name].detach()
                gradient = gradient.sum().reshape(1) if len(parameter) == 1 else gradient
            found[key] = gradient
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
