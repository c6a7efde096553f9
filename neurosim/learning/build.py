"""Describe the layered network of a training configuration in the user's terms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.config import CONVOLUTION, POOLING, NetworkConfig
from neurosim.errors import ConfigError
from neurosim.groups import message_bits
from neurosim.learning.keys import STREAM_WEIGHTS, stream_key, uniform_integers
from neurosim.network import Connection, ConvConnection, CubaLIF, Group, Input, Network, Probe

READOUT = "readout"
INPUT = "input"
RECURRENT_GAIN = 0.5  # of weights within a layer
RECURRENT_STREAM = 1 << 16  # their draws, beside those of layers
POOL_DRIVE = 1.5  # weight in thresholds where one spike of a window is enough: half a threshold off both sides of it
POOL_MOST = 16  # side of a window: its sums stay far below 2**23
WEIGHT_LEVELS = 1 << 15  # of the hashed integers behind the initial weights


def initial_weights(seed: int, layer: int, n_post: int, n_pre: int, limit: float) -> npt.NDArray[np.float64]:
    """Return weights (n_post, n_pre), uniform in -limit..limit; a hash of seed, layer and index."""
    drawn = uniform_integers(stream_key(seed, STREAM_WEIGHTS, layer), n_post * n_pre, WEIGHT_LEVELS)
    return np.asarray(drawn.reshape(n_post, n_pre) * (limit / WEIGHT_LEVELS), dtype=np.float64)


def build_network(
    config: NetworkConfig, n_inputs: int, n_classes: int, seed: int, name: str,
    input_shape: tuple[int, int, int] | None = None, gains: Sequence[float] | None = None,
) -> Network:  # fmt: skip
    """Return input, layers of convolution and pooling, hidden layers and a readout that integrates.

    All connections are plastic but those of pooling layers, whose neurons have neither leak nor current filter. They fire where
    any neuron of their window did; with "ternary" neurons they send the sign of the window's sum, and with "multispike" ones
    that send more than single spikes its mean, whose rest they keep for later steps.

    The readout has no current filter and, unless the configuration says otherwise, no threshold and no leak: its voltage at
    the end is the sum of the weights of all spikes that it received, and the largest voltage is the answer. Each layer has
    its gain; without any, that of the configuration for all.
    """
    gains = initial_gains(config) if gains is None else gains
    groups: list[Group] = [Input(INPUT, n_inputs)]
    connections: list[Connection] = []
    bits, shape, maps = 0, input_shape, map_names(config)
    if config.convolutions and shape is None:
        raise ConfigError(f"network.convolutions: the inputs of {name!r} are no pictures; leave it empty")
    for layer, target in enumerate([*maps, *hidden_names(config), READOUT]):
        source = groups[-1]
        if layer < len(maps):
            assert shape is not None
            text = config.convolutions[layer]
            connection: Connection = (
                _pooling(config, text, source, target, shape, bits)
                if is_pooling(text)
                else _convolution(config, text, source, target, shape, seed, layer, gains[layer], bits)
            )
            shape = connection.output_shape if isinstance(connection, ConvConnection) else None
        else:
            n = n_classes if target == READOUT else config.hidden[layer - len(maps)]
            limit = gains[layer] * config.threshold / sqrt(source.n)
            connection = _dense(config, source.name, target, seed, layer, n, source.n, limit, bits)
        connections.append(connection)
        if target == READOUT:
            threshold = config.readout_threshold or inf
            groups.append(CubaLIF(READOUT, n_classes, tau_mem=config.readout_tau or None, v_threshold=threshold))
            break
        n = connection.shape[0]
        group = (_hidden if connection.plastic else _pool)(config, target, n)
        groups.append(group)
        bits = group.message_bits
        if config.recurrent and layer >= len(maps):
            limit = RECURRENT_GAIN * config.threshold / sqrt(n)
            stream = RECURRENT_STREAM + layer
            connections.append(_dense(config, target, target, seed, stream, n, n, limit, bits))
    fires = config.readout_threshold > 0
    probes = (Probe(READOUT), Probe(READOUT, "v")) if fires else (Probe(READOUT, "v"),)
    return Network(tuple(groups), tuple(connections), probes, config.dt, name)


def _hidden(config: NetworkConfig, name: str, n: int) -> CubaLIF:
    """Return the neurons of a hidden layer or a convolution."""
    messages: dict[str, Any] = {}
    if config.neuron == "multispike":
        messages = {"max_spikes": config.max_spikes, "signed": config.signed}
    return CubaLIF(
        name, n, tau_mem=config.tau_mem, tau_syn=config.tau_syn or None, v_threshold=config.threshold,
        model=config.neuron, **messages,
    )  # fmt: skip


def _pool(config: NetworkConfig, name: str, n: int) -> CubaLIF:
    """Return the neurons of a pooling layer, without leak and current filter: those that average, or `POOL_DRIVE` ones.

    The latter leave nothing in v: whatever arrives makes them fire, which sets v to 0, or cancels.
    """
    if averages(config):
        return CubaLIF(name, n, v_threshold=config.threshold, model="multispike", max_spikes=config.max_spikes,
                       signed=config.signed)  # fmt: skip
    model = "ternary" if config.neuron == "ternary" else "lif"
    return CubaLIF(name, n, v_threshold=config.threshold, model=model)


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


def _pooling(
    config: NetworkConfig, text: str, source: Group, target: str, shape: tuple[int, int, int], message_bits: int
) -> ConvConnection:
    """Return a layer as its text describes it, such as p2 or p3s2: each channel by itself, with weights that do not learn."""
    found = re.fullmatch(POOLING, text)
    assert found is not None
    window, stride = int(found[1]), int(found[2] or found[1])
    if not 1 <= window <= min(*shape[:2], POOL_MOST) or not stride:
        raise ConfigError(
            f"network.convolutions: {text!r} cannot pool a picture of {shape[0]} x {shape[1]}; use windows of 1 to "
            f"{min(*shape[:2], POOL_MOST)} and a stride of 1 or more"
        )
    weight = config.threshold * (1 / (window * window) if averages(config) else POOL_DRIVE)
    return ConvConnection(
        source.name, target, np.full((shape[2], window, window, 1), weight), 8, False, message_bits, input_shape=shape,
        stride=stride, groups=shape[2],
    )  # fmt: skip


def is_pooling(text: str) -> bool:
    """Return whether a text of ``network.convolutions`` describes a pooling layer.

    Examples
    --------
    >>> is_pooling("p3s2"), is_pooling("16c5p2")
    (True, False)
    """
    return re.fullmatch(POOLING, text) is not None


def averages(config: NetworkConfig) -> bool:
    """Return whether pooling layers send the mean of a window: neurons "multispike" whose messages are more than a spike."""
    return config.neuron == "multispike" and message_bits(config.neuron, config.max_spikes, config.signed) > 0


def initial_gains(config: NetworkConfig) -> tuple[float, ...]:
    """Return the gain of every layer, the readout's last."""
    return (len(config.convolutions) + len(config.hidden) + 1) * (config.gain,)


def map_names(config: NetworkConfig) -> list[str]:
    """Return the names of the layers of convolution and pooling, each kind numbered where there are several of it.

    Examples
    --------
    >>> map_names(NetworkConfig(convolutions=("8c3", "p2", "16c3", "16c3"))), map_names(NetworkConfig(convolutions=("8c3",)))
    (['conv1', 'pool', 'conv2', 'conv3'], ['conv'])
    """
    kinds = ["pool" if is_pooling(text) else "conv" for text in config.convolutions]
    return [kind if kinds.count(kind) == 1 else f"{kind}{kinds[: i + 1].count(kind)}" for i, kind in enumerate(kinds)]


def hidden_names(config: NetworkConfig) -> list[str]:
    """Return the names of the hidden layers: "hidden", or "hidden1", "hidden2" and so on."""
    n = len(config.hidden)
    return ["hidden"] if n == 1 else [f"hidden{i + 1}" for i in range(n)]


def run_steps(config: NetworkConfig) -> int:
    """Return the steps that a sample takes: its input steps, and one more for each layer on the way."""
    return config.n_steps + len(config.convolutions) + len(config.hidden) + 1
