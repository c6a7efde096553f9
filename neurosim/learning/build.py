"""Describe the layered network of a training configuration in the user's terms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf, sqrt

import numpy as np
import numpy.typing as npt

from neurosim.config import CONVOLUTION, NetworkConfig
from neurosim.errors import ConfigError
from neurosim.groups import CUBA_MODELS
from neurosim.learning.keys import STREAM_WEIGHTS, stream_key, uniform_integers
from neurosim.network import Connection, ConvConnection, CubaLIF, Group, Input, Network, Probe

READOUT = "readout"
INPUT = "input"
RECURRENT_GAIN = 0.5  # of weights within a layer
RECURRENT_STREAM = 1 << 16  # their draws, beside those of layers
WEIGHT_LEVELS = 1 << 15  # of the hashed integers behind the initial weights


def initial_weights(seed: int, layer: int, n_post: int, n_pre: int, limit: float) -> npt.NDArray[np.float64]:
    """Return weights (n_post, n_pre), uniform in -limit..limit; a hash of seed, layer and index."""
    drawn = uniform_integers(stream_key(seed, STREAM_WEIGHTS, layer), n_post * n_pre, WEIGHT_LEVELS)
    return np.asarray(drawn.reshape(n_post, n_pre) * (limit / WEIGHT_LEVELS), dtype=np.float64)


def build_network(
    config: NetworkConfig, n_inputs: int, n_classes: int, seed: int, name: str,
    input_shape: tuple[int, int, int] | None = None, gains: Sequence[float] | None = None,
) -> Network:  # fmt: skip
    """Return input, layers of convolution, hidden layers and a readout that integrates, all connections plastic.

    The readout has no current filter and, unless the configuration says otherwise, no threshold and no leak: its voltage at
    the end is the sum of the weights of all spikes that it received, and the largest voltage is the answer. Each layer has
    its gain; without any, that of the configuration for all.
    """
    gains = initial_gains(config) if gains is None else gains
    groups: list[Group] = [Input(INPUT, n_inputs)]
    connections: list[Connection] = []
    message_bits, shape = 0, input_shape
    if config.convolutions and shape is None:
        raise ConfigError(f"network.convolutions: the inputs of {name!r} are no pictures; leave it empty")
    for layer, kind in enumerate([*config.convolutions, *hidden_names(config), READOUT]):
        source = groups[-1]
        if layer < len(config.convolutions):
            target = "conv" if len(config.convolutions) == 1 else f"conv{layer + 1}"
            assert shape is not None
            connection: Connection = _convolution(
                config, kind, source, target, shape, seed, layer, gains[layer], message_bits
            )
            shape = connection.output_shape if isinstance(connection, ConvConnection) else None
        else:
            n = n_classes if kind == READOUT else config.hidden[layer - len(config.convolutions)]
            limit = gains[layer] * config.threshold / sqrt(source.n)
            connection, target = _dense(config, source.name, kind, seed, layer, n, source.n, limit, message_bits), kind
        connections.append(connection)
        if kind == READOUT:
            threshold = config.readout_threshold or inf
            groups.append(CubaLIF(READOUT, n_classes, tau_mem=config.readout_tau or None, v_threshold=threshold))
            break
        n = connection.shape[0]
        groups.append(
            CubaLIF(target, n, tau_mem=config.tau_mem, tau_syn=config.tau_syn or None, v_threshold=config.threshold,
                    model=config.neuron)
        )  # fmt: skip
        message_bits = CUBA_MODELS[config.neuron]
        if config.recurrent and layer >= len(config.convolutions):
            limit = RECURRENT_GAIN * config.threshold / sqrt(n)
            stream = RECURRENT_STREAM + layer
            connections.append(_dense(config, target, target, seed, stream, n, n, limit, message_bits))
    fires = config.readout_threshold > 0
    probes = (Probe(READOUT), Probe(READOUT, "v")) if fires else (Probe(READOUT, "v"),)
    return Network(tuple(groups), tuple(connections), probes, config.dt, name)


def _dense(
    config: NetworkConfig, source: str, target: str, seed: int, layer: int, n_post: int, n_pre: int, limit: float,
    message_bits: int,
) -> Connection:  # fmt: skip
    weights = initial_weights(seed, layer, n_post, n_pre, limit)
    return Connection(source, target, weights, config.weight_bits, True, message_bits)


def _convolution(
    config: NetworkConfig, text: str, source: Group, target: str, shape: tuple[int, int, int], seed: int, layer: int,
    gain: float, message_bits: int,
) -> ConvConnection:  # fmt: skip
    """Return a layer as its text describes it, such as 16c5s2p1."""
    found = re.fullmatch(CONVOLUTION, text)
    assert found is not None  # the configuration is checked
    channels, kernel, stride, padding = (int(part or 0) for part in found.groups())
    if not channels or not kernel or kernel > min(shape[:2]) + 2 * padding:
        raise ConfigError(
            f"network.convolutions: {text!r} leaves nothing of a picture of {shape[0]} x {shape[1]}; "
            "use one channel or more, and a smaller kernel"
        )
    fan_in = kernel * kernel * shape[2]
    weights = initial_weights(seed, layer, channels, fan_in, gain * config.threshold / sqrt(fan_in))
    return ConvConnection(
        source.name, target, weights.reshape(channels, kernel, kernel, shape[2]), config.weight_bits, True, message_bits,
        input_shape=shape, stride=stride or 1, padding=padding,
    )  # fmt: skip


def initial_gains(config: NetworkConfig) -> tuple[float, ...]:
    """Return the gain of every layer, the readout's last."""
    return (len(config.convolutions) + len(config.hidden) + 1) * (config.gain,)


def hidden_names(config: NetworkConfig) -> list[str]:
    """Return the names of the hidden layers: "hidden", or "hidden1", "hidden2" and so on."""
    n = len(config.hidden)
    return ["hidden"] if n == 1 else [f"hidden{i + 1}" for i in range(n)]


def run_steps(config: NetworkConfig) -> int:
    """Return the steps that a sample takes: its input steps, and one more for each layer on the way."""
    return config.n_steps + len(config.convolutions) + len(config.hidden) + 1
