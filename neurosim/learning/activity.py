"""Find how large initial weights must be for every hidden layer to fire about as often as wanted."""

from __future__ import annotations

import numpy as np

from neurosim.backend import get_backend
from neurosim.compile_network import compile as compile_network
from neurosim.config import TrainConfig
from neurosim.data.task import Task
from neurosim.learning.build import build_network, initial_gains, is_pooling, run_steps
from neurosim.quantize import quantize

N_SAMPLES = 64  # training samples that are looked at
LEAST, MOST = -12, 20  # gains are those of the configuration times 2**(k / 4)
PER_OCTAVE = 4


def find_gains(config: TrainConfig, task: Task) -> tuple[float, ...]:
    """Return a gain for each layer, the readout's as configured, with which hidden layers fire at ``network.rate``.

    Pooling layers have none: they keep that of the configuration, which they do not use. Layers are taken in the order in which spikes pass through them: each gets the smallest of a row of gains, four to an
    octave, with which it fires at least that often on the first training samples, or the largest.

    Parameters
    ----------
    config : TrainConfig
        With a rate above 0.
    task : Task
    """
    gains = list(initial_gains(config.network))
    for layer in range(len(gains) - 1):
        if layer < len(config.network.convolutions) and is_pooling(config.network.convolutions[layer]):
            continue  # its weights are given
        low, high = LEAST, MOST  # the answer is in low..high
        while low < high:
            middle = (low + high) // 2
            gains[layer] = _gain(config, middle)
            if _rate(config, task, gains, layer) >= config.network.rate:
                high = middle
            else:
                low = middle + 1
        gains[layer] = _gain(config, low)
    return tuple(gains)


def _gain(config: TrainConfig, k: int) -> float:
    return float(config.network.gain * 2 ** (k / PER_OCTAVE))


def _rate(config: TrainConfig, task: Task, gains: list[float], layer: int) -> float:
    """Return how often the neurons of a layer fire, in spikes per step."""
    network = build_network(
        config.network, task.n_inputs, task.n_classes, config.seed, "activity", task.input_shape, gains
    )
    n = min(N_SAMPLES, task.train_events.n_samples)
    with get_backend("simulator").open(compile_network(quantize(network).network, config.chip)) as runner:
        counts = runner.run(task.train_events.take(np.arange(n)), run_steps(config.network)).counts
    assert counts is not None
    group = network.groups[1 + layer]
    return counts.of(group.name, "spikes") / (group.n * n * run_steps(config.network))
