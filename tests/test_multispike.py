"""Multi-spike neurons from the description to the chip: their messages, bits and rest, and firing one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.backend import get_backend
from neurosim.compile_network import compile
from neurosim.errors import NetworkError
from neurosim.events import events_from_dense
from neurosim.exchange.arrays import ArrayLayer, from_arrays
from neurosim.floatsim import simulate
from neurosim.groups import CUBA_MODELS, CubaLIF, Input, message_bits
from neurosim.network import Connection, Network, Probe
from neurosim.neurons import MultiSpikeLIF
from neurosim.quantize import quantize

STATE_MAX = (1 << 23) - 1


def repeated_firing(v: int, threshold: int, most: int, signed: bool) -> tuple[int, int]:
    """Fire and take the threshold off while v has reached it, at most so often: the sum of what was sent, and the rest."""
    sent = 0
    while abs(v) >= threshold and abs(sent) < most and (signed or v > 0):
        sign = 1 if v > 0 else -1
        sent += sign
        v -= sign * threshold
    return sent, v


@st.composite
def neurons(draw: st.DrawFn) -> MultiSpikeLIF:
    """Neurons that their biases drive, each with a threshold of its own: from far below the bias to far above it."""
    n = draw(st.integers(1, 12))
    numbers = lambda low, high: draw(st.lists(st.integers(low, high), min_size=n, max_size=n))  # noqa: E731
    threshold = st.one_of(st.integers(1, 40), st.integers(1, 131071), st.just(131071))
    return MultiSpikeLIF(
        "a", n, du=4095, dv=draw(st.sampled_from([0, 1, 100, 2048, 4095])),
        vth=np.array(draw(st.lists(threshold, min_size=n, max_size=n))), bias_mant=numbers(-4096, 4095),
        bias_exp=numbers(0, 7), max_spikes=draw(st.one_of(st.integers(1, 127), st.sampled_from([1, 127]))),
        signed=draw(st.booleans()),
    )  # fmt: skip


@pytest.mark.parametrize("backend", ["simulator", "reference"])
@settings(max_examples=150, deadline=None, derandomize=True)
@given(group=neurons())
def test_closed_form_equals_repeated_firing(backend: str, group: MultiSpikeLIF) -> None:
    n_steps = 12
    network = Network([group], [], [Probe("a"), Probe("a", "v")])
    with get_backend(backend).open(compile(network, "unlimited")) as runner:
        result = runner.run(events_from_dense(np.zeros((1, n_steps, 0), np.int64)), n_steps)
    train = result.spikes["a"]
    assert train.value is not None
    sent = np.zeros((n_steps, group.n), np.int64)
    sent[train.step, train.neuron] = train.value
    for i, (vth, bias) in enumerate(zip(np.asarray(group.vth).tolist(), group.bias.tolist(), strict=True)):
        v = 0
        for t in range(n_steps):
            decayed = (abs(v) * (4096 - int(group.dv)) >> 12) * (1 if v > 0 else -1) + bias
            v = max(-STATE_MAX, min(STATE_MAX, decayed))
            n_sent, v = repeated_firing(v, vth << 6, group.max_spikes, group.signed)
            assert (n_sent, v) == (sent[t, i], result.states["a", "v"][0, t, i]), (t, i)


def test_repeated_firing_is_what_it_says() -> None:
    found = [repeated_firing(v, 10, 3, signed) for signed in (True, False) for v in (35, 29, 10, 9, -9, -10, -45)]
    assert found[:7] == [(3, 5), (2, 9), (1, 0), (0, 9), (0, -9), (-1, 0), (-3, -15)]
    assert found[7:] == [(3, 5), (2, 9), (1, 0), (0, 9), (0, -9), (0, -10), (0, -45)]


def two_layers(max_spikes: int, signed: bool, seed: int = 1) -> Network:
    """Weights that are exact at a power of two: a group of multi-spike neurons, and a readout that shows what it sent."""
    rng = np.random.default_rng(seed)
    middle = CubaLIF("mid", 5, v_threshold=0.25, model="multispike", max_spikes=max_spikes, signed=signed)
    first, second = (rng.integers(-120, 120, shape) / 128 for shape in ((5, 8), (2, 5)))
    first[0, 0] = second[0, 0] = 127 / 128
    return Network(
        [Input("in", 8), middle, CubaLIF("out", 2, v_threshold=math.inf)],
        [Connection("in", "mid", first), Connection("mid", "out", second, num_message_bits=middle.message_bits)],
        [Probe("mid"), Probe("mid", "v"), Probe("out", "v")],
    )


@pytest.mark.parametrize(
    ("max_spikes", "signed"), [(1, True), (1, False), (2, False), (6, True), (16, True), (127, False)]
)
def test_floats_and_chip_send_the_same(max_spikes: int, signed: bool) -> None:
    network = two_layers(max_spikes, signed)
    events = events_from_dense(np.random.default_rng(3).random((4, 30, 8)) < 0.5)
    floats = simulate(network, events, record=[("mid", "v"), ("out", "v")])
    quantized = quantize(network, scales={"mid": 256.0, "out": 256.0})
    group = quantized.network.group("mid")
    assert isinstance(group, MultiSpikeLIF)
    assert (group.max_spikes, group.signed, group.vth) == (max_spikes, signed, 64)
    with get_backend().open(compile(quantized.network, "unlimited"), strict=True) as runner:
        result = runner.run(events)
    train = result.spikes["mid"]
    sent = np.zeros((4, 30, 5), np.int64)
    sent[train.sample, train.step, train.neuron] = train.value
    np.testing.assert_array_equal(floats.values["mid"], sent)
    for name in ("mid", "out"):
        np.testing.assert_array_equal(floats.states[name, "v"] * 64 * 256, result.states[name, "v"])
    assert sent.max() == min(max_spikes, int(sent.max())) and (sent.min() < 0) == signed
    if max_spikes < 6:
        assert sent.max() == max_spikes


def test_bits_of_messages_follow_the_group() -> None:
    wanted = {(1, False): 0, (1, True): 1, (2, False): 2, (3, True): 2, (4, True): 3, (15, True): 4, (127, False): 7}
    for (most, signed), bits in wanted.items():
        assert message_bits("multispike", most, signed) == bits
        assert CubaLIF("a", 1, model="multispike", max_spikes=most, signed=signed).message_bits == bits
    for model, bits in CUBA_MODELS.items():
        assert CubaLIF("a", 1, model=model).message_bits == bits
    assert CubaLIF("a", 1, model="threshold").message_bits == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "multispike", "max_spikes": 0}, "max_spikes 0 is outside 1..127"),
        ({"model": "multispike", "max_spikes": 128}, "max_spikes 128 is outside 1..127"),
        ({"model": "multispike", "max_spikes": 2.0}, "max_spikes 2.0 is not an integer"),
        ({"model": "multispike", "signed": 1}, "signed 1 is not a truth value; give True or False"),
        ({"max_spikes": 3}, "max_spikes 3 and signed True are for model 'multispike', and this one's is 'lif'"),
        (
            {"model": "ternary", "signed": False},
            "signed False are for model 'multispike', .* 'ternary'; leave them out",
        ),
    ],
)
def test_messages_that_cannot_be_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        CubaLIF("a", 1, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("most", "vth"), [(15, 16384), (16, 7710), (127, 1024)])
def test_voltages_have_room_for_large_messages(most: int, vth: int) -> None:
    """Weights that are small beside the threshold would let it rise until v has no room."""
    group = CubaLIF("out", 1, v_threshold=1.0, model="multispike", max_spikes=most)
    network = Network([Input("in", 3), group], [Connection("in", "out", [[1e-3, 2e-3, -1e-3]])])
    found = quantize(network).network.group("out")
    assert isinstance(found, MultiSpikeLIF) and found.vth == vth
    assert most == 15 or (most + 1) * (vth << 6) <= STATE_MAX + 1  # what v reaches is below it


def test_layers_of_arrays_multiply_with_the_messages() -> None:
    weights = np.array([[1.0, 2.0], [3.0, 4.0]])
    layers = [
        ArrayLayer(weights, model="multispike", max_spikes=5, signed=False, recurrent=weights),
        ArrayLayer(weights, model="multispike", max_spikes=1, signed=False), ArrayLayer(weights, model="ternary"), weights,
    ]  # fmt: skip
    network = from_arrays(layers, 2).network
    assert [(c.name, c.num_message_bits) for c in network.connections] == [
        ("input->layer1", 0), ("layer1->layer1", 3), ("layer1->layer2", 3), ("layer2->layer3", 0), ("layer3->layer4", 1)
    ]  # fmt: skip
    group = network.group("layer1")
    assert isinstance(group, CubaLIF) and (group.max_spikes, group.signed) == (5, False)
