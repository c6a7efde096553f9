"""Layers of pooling: named, laid out, exact on the chip, and what users expect of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.backend import get_backend
from neurosim.compile_network import compile
from neurosim.config import NetworkConfig, TrainConfig, override
from neurosim.errors import ConfigError
from neurosim.events import events_from_dense
from neurosim.floatsim import simulate
from neurosim.learning.activity import find_gains
from neurosim.learning.build import build_network, map_names, run_steps
from neurosim.network import Conv, ConvConnection, CubaLIF, Network, Probe
from neurosim.neurons import MultiSpikeLIF, TernaryLIF
from neurosim.quantize import quantize
from neurosim.tasks import load_task

Frames = npt.NDArray[np.int64]
SHAPE = (7, 6, 2)


def layers(text: str, **settings: Any) -> NetworkConfig:
    return NetworkConfig(hidden=(3,), convolutions=("3c2", text), **settings)


def built(config: NetworkConfig, shape: tuple[int, int, int] = SHAPE) -> Network:
    return build_network(config, int(np.prod(shape)), 4, 1, "net", shape)


def pool_alone(config: NetworkConfig) -> Network:
    """The pooling layer of a network, fed by an input whose values are messages."""
    network = built(config)
    pool, link = network.group("pool"), network.connection("conv->pool")
    assert isinstance(link, ConvConnection) and isinstance(pool, CubaLIF)
    source = network.group("conv")
    fed = ConvConnection(
        "input", "pool", link.weights, link.num_weight_bits, False, link.num_message_bits, input_shape=link.input_shape,
        stride=link.stride, groups=link.groups,
    )  # fmt: skip
    return Network([type(network.groups[0])("input", source.n), pool], [fed], [Probe("pool"), Probe("pool", "v")])


def sent_by_pool(config: NetworkConfig, frames: Frames, scale: str = "free") -> tuple[Frames, Frames]:
    """What the pool of a network sends on the chip, (samples, steps, x, y, channel), and its voltages in thresholds."""
    network = pool_alone(config)
    quantized = quantize(network, scale=scale).network  # type: ignore[arg-type]
    samples, steps = frames.shape[:2]
    events = events_from_dense(frames.reshape(samples, steps, -1), graded=True)
    with get_backend().open(compile(quantized, "unlimited"), strict=True) as runner:
        result = runner.run(events)
    link, group = quantized.connections[0], quantized.group("pool")
    assert isinstance(link, Conv)
    shape = link.output_shape
    train = result.spikes["pool"]
    sent = np.zeros((samples, steps, group.n), np.int64)
    sent[train.sample, train.step, train.neuron] = 1 if train.value is None else train.value
    v = result.states["pool", "v"] / ((getattr(group, "vth", 0) or 1) << 6)
    return sent.reshape(samples, steps, *shape), v.reshape(samples, steps, *shape)


def windows(frames: Frames, window: int, stride: int) -> Frames:
    """Every window of pictures, (samples, steps, x, y, channel, window * window)."""
    found = np.lib.stride_tricks.sliding_window_view(frames, (window, window), axis=(2, 3))[:, :, ::stride, ::stride]
    return np.asarray(found.reshape(*found.shape[:-2], -1))


POOLS = [("p2", 2, 2), ("p3s2", 3, 2), ("p1", 1, 1), ("p5s1", 5, 1)]


@pytest.mark.parametrize("neuron", ["lif", "refractory", "atrlif", "binary"])
@pytest.mark.parametrize(("text", "window", "stride"), POOLS)
def test_binary_spikes_pool_to_a_spike_where_any_fired(neuron: str, text: str, window: int, stride: int) -> None:
    settings: dict[str, Any] = {"neuron": neuron}
    if neuron == "binary":
        settings = {"neuron": "multispike", "max_spikes": 1, "signed": False}
    config = layers(text, tau_syn=5e-3, threshold=0.7, **settings)
    frames = (np.random.default_rng(2).random((2, 9, 6, 5, 3)) < 0.15).astype(np.int64)
    sent, v = sent_by_pool(config, frames)
    np.testing.assert_array_equal(sent[:, 1:], windows(frames, window, stride).any(axis=-1)[:, :-1])
    assert sent.any() and not sent[:, 1:].all() and not v.any(), "nothing is left in v"


@pytest.mark.parametrize(("text", "window", "stride"), POOLS)
def test_ternary_spikes_pool_to_the_sign_of_their_sum(text: str, window: int, stride: int) -> None:
    frames = np.random.default_rng(3).integers(-1, 2, (2, 9, 6, 5, 3))
    sent, v = sent_by_pool(layers(text, neuron="ternary"), frames)
    np.testing.assert_array_equal(sent[:, 1:], np.sign(windows(frames, window, stride).sum(axis=-1))[:, :-1])
    assert {-1, 0, 1} == set(np.unique(sent)) and not v.any()


@pytest.mark.parametrize(("most", "signed"), [(15, True), (4, False), (127, True), (1, True)])
@pytest.mark.parametrize(("text", "window", "stride"), POOLS)
def test_messages_pool_to_their_mean_and_nothing_is_lost(
    most: int, signed: bool, text: str, window: int, stride: int
) -> None:
    config = layers(text, neuron="multispike", max_spikes=most, signed=signed, threshold=0.7)
    rng = np.random.default_rng(4)
    frames = rng.integers(-most if signed else 0, most + 1, (2, 40, 6, 5, 3))
    frames[:, 20:] = most  # the largest sums there are
    sent, v = sent_by_pool(config, frames)
    sums = windows(frames, window, stride).sum(axis=-1)[:, :-1].cumsum(axis=1)
    total = sent[:, 1:].cumsum(axis=1) * window * window
    np.testing.assert_array_equal(np.rint(v[:, 1:] * window * window), sums - total)
    assert np.abs(sums - total).max() < window * window, "less than one message waits"
    assert np.abs(sent).max() == most


@pytest.mark.parametrize("scale", ["free", "power-of-two"])
@pytest.mark.parametrize("window", range(1, 17))
@pytest.mark.parametrize("most", [2, 15, 127])
def test_means_are_exact_in_integers_for_every_window(most: int, window: int, scale: str) -> None:
    config = layers(f"p{window}", neuron="multispike", max_spikes=most, threshold=1.3)
    quantized = quantize(built(config, (20, 20, 1)), scale=scale)  # type: ignore[arg-type]
    group, link = quantized.network.group("pool"), quantized.network.connection("conv->pool")
    assert isinstance(group, MultiSpikeLIF) and isinstance(link, Conv)
    weights = np.unique(link.weights)
    if scale == "free":
        assert len(weights) == 1 and weights[0] * window * window == group.vth
        found = {note.quantity: note.value for note in quantized.notes if note.owner == "group/pool"}
        assert found["input_bound"] is not None and found["input_bound"] < 1
        assert found["v_bound"] is not None and found["v_bound"] <= 1, "it cannot saturate"
    elif weights[0] * window * window != group.vth:
        off = [n for n in quantized.notes if n.quantity in ("weight_sqnr_db", "threshold_error") and "pool" in n.owner]
        assert any(note.value for note in off), "what is not exact is noted"


@pytest.mark.parametrize("neuron", ["lif", "ternary"])
@pytest.mark.parametrize("window", [1, 2, 9, 16])
def test_any_of_the_largest_windows_cannot_overflow(neuron: str, window: int) -> None:
    quantized = quantize(built(layers(f"p{window}", neuron=neuron), (20, 20, 1)))
    found = {note.quantity: note.value for note in quantized.notes if note.owner == "group/pool"}
    assert max(found["input_bound"] or 0, found["v_bound"] or 2, found["sum_bound"] or 0) < 1
    assert {note.value for note in quantized.notes if note.quantity == "weight_sqnr_db" and "->pool" in note.owner} == {
        None
    }
    group, link = quantized.network.group("pool"), quantized.network.connection("conv->pool")
    vth = group.vth_hi if isinstance(group, TernaryLIF) else getattr(group, "vth", 0)
    assert (vth, set(np.unique(link.weights))) == (170, {255})


def test_floats_pool_like_the_chip() -> None:
    for settings in ({}, {"neuron": "ternary"}, {"neuron": "multispike", "max_spikes": 6}):
        config = layers("p2", **settings)
        network, most = pool_alone(config), settings.get("max_spikes", 1)
        low = 0 if not settings else -most
        frames = np.random.default_rng(5).integers(low, most + 1, (2, 12, 6, 5, 3))
        found = simulate(network, events_from_dense(frames.reshape(2, 12, -1), graded=True))
        sent, _ = sent_by_pool(config, frames)
        np.testing.assert_array_equal(found.values.get("pool", found.spikes["pool"]), sent.reshape(2, 12, -1))


def test_layers_are_named_by_kind_and_each_takes_a_step() -> None:
    config = NetworkConfig(hidden=(5,), convolutions=("4c3p1", "p2", "3c2", "p2s1"), n_steps=6)
    network = built(config, (8, 7, 2))
    assert [(g.name, g.n) for g in network.groups] == [
        ("input", 112), ("conv1", 8 * 7 * 4), ("pool1", 4 * 3 * 4), ("conv2", 3 * 2 * 3), ("pool2", 2 * 1 * 3), ("hidden", 5),
        ("readout", 4),
    ]  # fmt: skip
    assert run_steps(config) == 6 + 6
    assert [c.plastic for c in network.connections] == [True, False, True, False, True, True]
    pool = network.connection("conv1->pool1")
    assert isinstance(pool, ConvConnection) and pool.groups == 4 and np.shape(pool.weights) == (4, 2, 2, 1)
    assert map_names(NetworkConfig(convolutions=("p2", "8c3"))) == ["pool", "conv"]
    assert map_names(NetworkConfig(convolutions=("8c3", "8c3"))) == ["conv1", "conv2"]


def test_other_layers_weigh_the_same_with_a_pool_of_one_neuron() -> None:
    """A pool draws no weights of its own; those of each layer follow from its place."""
    with_pool = built(NetworkConfig(hidden=(5,), convolutions=("3c2", "p1"), n_steps=6))
    without = built(NetworkConfig(hidden=(5,), convolutions=("3c2",), n_steps=6))
    np.testing.assert_array_equal(
        with_pool.connection("input->conv").weights, without.connection("input->conv").weights
    )


def test_windows_that_do_not_fit_are_refused() -> None:
    for text, words in (
        ("p8", "'p8' cannot pool a picture of 6 x 5; use windows of 1 to 5"),
        ("p0", "'p0' cannot pool"),
        ("p2s0", "'p2s0' cannot pool .* a stride of 1 or more"),
    ):
        with pytest.raises(ConfigError, match=words):
            built(layers(text))
    with pytest.raises(ConfigError, match="'p17' cannot pool a picture of 19 x 19; use windows of 1 to 16"):
        built(layers("p17"), (20, 20, 1))
    with pytest.raises(ConfigError, match="network.convolutions: 'p' cannot be read; layers of convolution"):
        layers("p")
    with pytest.raises(ConfigError, match="inputs of 'net' are no pictures"):
        build_network(NetworkConfig(convolutions=("p2",)), 9, 2, 1, "net")


def test_gains_are_sought_for_layers_that_learn() -> None:
    config = override(
        TrainConfig(), ["network.convolutions=['3c3', 'p2']", "network.hidden=[8]", "network.rate=0.05", "network.n_steps=4"]
    )  # fmt: skip
    gains = find_gains(config, load_task("digits", n_steps=4, augment=False))
    assert len(gains) == 4 and gains[1] == gains[3] == config.network.gain and gains[2] != config.network.gain
