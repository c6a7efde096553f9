"""Describe the layered network of a training configuration in the user's terms."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import numpy.typing as npt

from neurosim.config import NetworkConfig
from neurosim.learning.keys import STREAM_WEIGHTS, stream_key, uniform_integers
from neurosim.network import Connection, CubaLIF, Group, Input, Network, Probe

READOUT = "readout"
INPUT = "input"
WEIGHT_LEVELS = 1 << 15  # of the hashed integers behind the initial weights


def initial_weights(seed: int, layer: int, n_post: int, n_pre: int, limit: float) -> npt.NDArray[np.float64]:
    """Return weights (n_post, n_pre), uniform in -limit..limit; a hash of seed, layer and index."""
    drawn = uniform_integers(stream_key(seed, STREAM_WEIGHTS, layer), n_post * n_pre, WEIGHT_LEVELS)
    return np.asarray(drawn.reshape(n_post, n_pre) * (limit / WEIGHT_LEVELS), dtype=np.float64)


def build_network(config: NetworkConfig, n_inputs: int, n_classes: int, seed: int, name: str) -> Network:
    """Return input, hidden layers and a readout that integrates, all connections plastic.

    The readout has no current filter and, unless the configuration says otherwise, no threshold and no leak: its voltage at
    the end is the sum of the weights of all spikes that it received, and the largest voltage is the answer.
    """
    sizes = [n_inputs, *config.hidden, n_classes]
    names = [INPUT, *hidden_names(config), READOUT]
    groups: list[Group] = [Input(INPUT, n_inputs)]
    for hidden, n in zip(names[1:-1], config.hidden, strict=True):
        groups.append(
            CubaLIF(hidden, n, tau_mem=config.tau_mem, tau_syn=config.tau_syn or None, v_threshold=config.threshold)
        )
    fires = config.readout_threshold > 0
    groups.append(
        CubaLIF(
            READOUT, n_classes, tau_mem=config.readout_tau or None,
            v_threshold=config.readout_threshold if fires else inf,
        )
    )  # fmt: skip
    connections = [
        Connection(
            names[i],
            names[i + 1],
            initial_weights(seed, i, sizes[i + 1], sizes[i], config.gain * config.threshold / sqrt(sizes[i])),
            num_weight_bits=config.weight_bits,
            plastic=True,
        )
        for i in range(len(sizes) - 1)
    ]
    probes = (Probe(READOUT), Probe(READOUT, "v")) if fires else (Probe(READOUT, "v"),)
    return Network(tuple(groups), tuple(connections), probes, config.dt, name)


def hidden_names(config: NetworkConfig) -> list[str]:
    """Return the names of the hidden layers: "hidden", or "hidden1", "hidden2" and so on."""
    n = len(config.hidden)
    return ["hidden"] if n == 1 else [f"hidden{i + 1}" for i in range(n)]


def run_steps(config: NetworkConfig) -> int:
    """Return the steps that a sample takes: its input steps, and one more for each connection on the way."""
    return config.n_steps + len(config.hidden) + 1
