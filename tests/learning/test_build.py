"""The layered network of a training configuration."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest

from neurosim.config import NetworkConfig
from neurosim.learning.build import (
    INPUT,
    READOUT,
    build_network,
    hidden_names,
    initial_weights,
    run_steps,
)
from neurosim.network import Connection, CubaLIF, Input, Network
from neurosim.quantize import quantize

HIDDEN: list[tuple[int, ...]] = [(), (12,), (12, 7), (5, 6, 7)]


def built(hidden: tuple[int, ...], seed: int = 1) -> Network:
    return build_network(NetworkConfig(hidden=hidden, n_steps=6), 20, 4, seed, "net")


def weights_of(network: Network) -> list[np.ndarray]:
    return [np.asarray(c.weights) for c in network.connections if isinstance(c, Connection)]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_layers_are_chained_from_input_to_readout(hidden: tuple[int, ...]) -> None:
    network = built(hidden)
    names = [INPUT, *hidden_names(NetworkConfig(hidden=hidden)), READOUT]
    assert [group.name for group in network.ordered_groups] == names
    assert [group.n for group in network.ordered_groups] == [20, *hidden, 4]
    assert isinstance(network.groups[0], Input)
    assert [(c.source, c.target) for c in network.connections] == list(zip(names, names[1:], strict=False))
    assert [c.shape for c in network.connections] == list(zip([*hidden, 4], [20, *hidden], strict=True))
    assert all(c.plastic for c in network.connections)


def test_hidden_layers_are_numbered_only_when_there_are_several() -> None:
    assert hidden_names(NetworkConfig(hidden=())) == []
    assert hidden_names(NetworkConfig(hidden=(3,))) == ["hidden"]
    assert hidden_names(NetworkConfig(hidden=(3, 4))) == ["hidden1", "hidden2"]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_sample_takes_one_more_step_per_connection(hidden: tuple[int, ...]) -> None:
    assert run_steps(NetworkConfig(hidden=hidden, n_steps=6)) == 6 + len(built(hidden).connections)


def test_the_readout_only_integrates_and_is_probed() -> None:
    network = built((12,))
    readout = network.group(READOUT)
    assert isinstance(readout, CubaLIF) and readout.v_threshold == inf
    assert [(probe.group, probe.what) for probe in network.probes] == [(READOUT, "v")]


def test_hidden_neurons_follow_the_configuration() -> None:
    config = NetworkConfig(hidden=(3,), tau_mem=5e-3, tau_syn=2e-3, threshold=2.0, weight_bits=6, dt=5e-4)
    network = build_network(config, 4, 2, 1, "net")
    hidden = network.group("hidden")
    assert isinstance(hidden, CubaLIF)
    assert (hidden.tau_mem, hidden.tau_syn, hidden.v_threshold, network.dt) == (5e-3, 2e-3, 2.0, 5e-4)
    assert [c.num_weight_bits for c in network.connections] == [6, 6]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_initial_weights_stay_within_their_limit_and_use_it(hidden: tuple[int, ...]) -> None:
    for weights in weights_of(built(hidden)):
        limit = NetworkConfig().gain / sqrt(weights.shape[1])
        assert np.abs(weights).max() <= limit
        if weights.size >= 40:  # the largest of n uniform numbers is near the limit
            assert np.abs(weights).max() > 0.8 * limit
            assert np.abs(weights.mean()) < 5 * limit / sqrt(3 * weights.size)


def test_the_threshold_scales_the_initial_weights() -> None:
    one = weights_of(build_network(NetworkConfig(hidden=(5,), threshold=1.0), 9, 3, 1, "net"))
    four = weights_of(build_network(NetworkConfig(hidden=(5,), threshold=4.0), 9, 3, 1, "net"))
    for a, b in zip(one, four, strict=True):
        np.testing.assert_array_equal(4.0 * a, b)


def test_the_gain_scales_the_initial_weights() -> None:
    one, three = (weights_of(build_network(NetworkConfig(gain=g), 9, 3, 1, "net")) for g in (1.0, 3.0))
    for a, b in zip(one, three, strict=True):
        np.testing.assert_allclose(3.0 * a, b, rtol=1e-12)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    one, again, other = (weights_of(built((12, 7), seed)) for seed in (1, 1, 2))
    for a, b, c in zip(one, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.mean(a != c) > 0.99


def test_layers_of_the_same_shape_get_different_weights() -> None:
    first = initial_weights(1, 0, 30, 30, 1.0)
    second = initial_weights(1, 1, 30, 30, 1.0)
    assert np.abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 5 / 30
    assert len(np.unique(first)) > 850  # 900 draws of 65,537 values


@pytest.mark.parametrize("hidden", HIDDEN)
def test_the_network_can_be_quantized(hidden: tuple[int, ...]) -> None:
    network = quantize(built(hidden)).network
    assert network.is_quantized
    assert all(c.plastic for c in network.connections)
