"""Networks from numpy arrays do what the equations of their trainer do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neurosim.backend import get_backend
from neurosim.chip import load_chip
from neurosim.compile_network import compile
from neurosim.errors import NetworkError
from neurosim.events import events_from_dense
from neurosim.exchange.arrays import ArrayLayer, from_arrays
from neurosim.exchange.imported import Imported, reorder_events
from neurosim.floatsim import simulate
from neurosim.network import Network, Probe
from neurosim.quantize import quantize

Layers = list[ArrayLayer]


def cross_correlation(layer: ArrayLayer, x: np.ndarray) -> np.ndarray:
    """torch's conv2d in plain loops: (channels, height, width) in and out."""
    weights = np.asarray(layer.weights)
    (sy, sx), (py, px), (dy, dx) = (
        pair if isinstance(pair, tuple) else (pair, pair) for pair in (layer.stride, layer.padding, layer.dilation)
    )
    padded = np.pad(x, ((0, 0), (py, py), (px, px)))
    n_out, per_group, ky, kx = weights.shape
    height = (padded.shape[1] - dy * (ky - 1) - 1) // sy + 1
    width = (padded.shape[2] - dx * (kx - 1) - 1) // sx + 1
    out = np.zeros((n_out, height, width))
    for o in range(n_out):
        first = o // (n_out // layer.groups) * per_group
        for c in range(per_group):
            for j in range(ky):
                for i in range(kx):
                    rows = slice(j * dy, j * dy + sy * (height - 1) + 1, sy)
                    columns = slice(i * dx, i * dx + sx * (width - 1) + 1, sx)
                    out[o] += weights[o, c, j, i] * padded[first + c, rows, columns]
    return out


def trained(layers: Layers, inputs: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Spikes and v after the reset of each layer, (n_steps, n) in C order; all layers act in the same step."""
    states: list[dict[str, np.ndarray]] = [{} for _ in layers]
    found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in layers]
    for x in inputs:
        for k, layer in enumerate(layers):
            weights = np.asarray(layer.weights)
            drive = cross_correlation(layer, x) if weights.ndim == 4 else weights @ x.ravel()
            state = states[k] or {"u": 0.0, "v": 0.0, "z": np.zeros(drive.shape)}
            if layer.recurrent is not None:
                drive = drive + np.asarray(layer.recurrent) @ state["z"].ravel()
            spread = (-1, 1, 1) if drive.ndim == 3 else (-1,)
            alpha, beta, bias, threshold = (
                np.asarray(value, float).reshape(spread) if np.ndim(value) else value
                for value in (layer.alpha, layer.beta, layer.bias, layer.v_threshold)
            )
            if not states[k]:  # the bias acts while the first spikes are on their way, one step per layer
                state["v"] = sum(beta**step * bias for step in range(k + 1))
            u = alpha * state["u"] + drive
            v = beta * state["v"] + u + bias
            z = v > threshold
            states[k] = {"u": u, "v": np.where(z, 0, v), "z": z}
            found[k].append((z.ravel(), states[k]["v"].ravel()))
            x = z.astype(float)
    return [(np.array([z for z, _ in run]), np.array([v for _, v in run])) for run in found]


def compare(model: Imported, layers: Layers, inputs: np.ndarray) -> int:
    """Check every layer's spikes and voltages, each behind by its lag; return the number of spikes."""
    expected = trained(layers, inputs)
    names = [group.name for group in model.network.groups[1:]]
    events = reorder_events(events_from_dense(inputs.reshape(1, len(inputs), -1) > 0), model.inputs)
    found = simulate(model.network, events, len(inputs) + len(layers), record=[(name, "v") for name in names])
    total = 0
    for name, (z, v) in zip(names, expected, strict=True):
        lag = model.lag[name]
        got_z = found.spikes[name][0, lag : lag + len(inputs)]
        got_v = found.states[name, "v"][0, lag : lag + len(inputs)]
        order = np.arange(z.shape[1]) if name != "conv" else chip_port(layers, inputs)
        np.testing.assert_array_equal(got_z, z[:, order])
        np.testing.assert_allclose(got_v, v[:, order], atol=1e-9)
        total += int(z.sum())
    return total


def chip_port(layers: Layers, inputs: np.ndarray) -> np.ndarray:
    """C-order element of each neuron of the convolution: neurons lie as (x, y, channel)."""
    shape = cross_correlation(layers[0], inputs[0]).shape
    return np.arange(np.prod(shape)).reshape(shape).transpose(2, 1, 0).ravel()


def test_dense_and_recurrent_layers_follow_their_trainer() -> None:
    rng = np.random.default_rng(0)
    layers = [
        ArrayLayer(rng.normal(0.2, 0.5, (6, 5)), beta=rng.uniform(0.5, 1, 6), alpha=rng.uniform(0, 0.9, 6),
                   v_threshold=rng.uniform(0.5, 2, 6), recurrent=rng.normal(0, 0.3, (6, 6)), name="hidden"),
        ArrayLayer(rng.normal(0, 0.5, (3, 6)), beta=0.9, alpha=0.5, bias=[0.01, 0.0, -0.01], v_threshold=np.inf),
    ]  # fmt: skip
    model = from_arrays(layers, 5)
    assert [group.name for group in model.network.groups] == ["input", "hidden", "layer2"]
    assert model.network.probes == (Probe("layer2", "v"),) and model.lag == {"hidden": 1, "layer2": 2}
    assert [str(note) for note in model.notes] == [
        "layer2: the bias acts from the first step on, 2 before the first input can arrive"
    ]
    assert (model.format, model.source) == ("arrays", {"dt": 1e-3, "spike": "unit", "decay": "exact"})
    assert compare(model, layers, (rng.random((80, 5)) < 0.3).astype(float)) > 50


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"), [(1, 0, 1, 1), ((2, 1), (1, 2), 1, 2), (1, 1, (1, 2), 1)]
)
def test_convolutions_follow_torch(
    stride: int | tuple[int, int], padding: int | tuple[int, int], dilation: int | tuple[int, int], groups: int
) -> None:
    rng = np.random.default_rng(1)
    conv = ArrayLayer(
        rng.normal(0.1, 0.5, (4, 2 // groups, 3, 2)), beta=[0.9, 0.8, 1.0, 0.5], alpha=[0.0, 0.5, 0.3, 0.0], bias=0.02,
        stride=stride, padding=padding, dilation=dilation, groups=groups, name="conv",
    )  # fmt: skip
    inputs = (rng.random((40, 2, 6, 7)) < 0.3).astype(float)
    n = cross_correlation(conv, inputs[0]).size
    layers = [conv, ArrayLayer(rng.normal(0, 0.3, (5, n)), beta=0.95)]
    model = from_arrays(layers, (2, 6, 7))
    assert model.outputs.shape == (5,) and model.network.probes == (Probe("layer2"),)
    assert compare(model, layers, inputs) > 200


def test_delays_move_with_the_inputs_they_belong_to() -> None:
    delays = np.arange(8)[None]
    model = from_arrays([ArrayLayer(np.arange(8.0)[None], delays=delays)], (2, 2, 2))
    line = model.network.connection("input->layer1")
    np.testing.assert_array_equal(line.delays, np.asarray(line.weights))
    assert np.asarray(line.weights)[0].tolist() == [0, 4, 2, 6, 1, 5, 3, 7]


def test_factors_come_back_from_the_registers_and_the_network_runs() -> None:
    rng = np.random.default_rng(2)
    model = from_arrays(
        [ArrayLayer(rng.uniform(0.2, 0.5, (4, 3)), beta=0.9, alpha=0.75), rng.uniform(0.2, 0.5, (2, 4))], 3
    )
    quantized = quantize(model.network)
    first = quantized.network.group("layer1")
    assert (first.du, first.dv) == (round(4096 * 0.25) - 1, round(4096 * 0.1))
    program = compile(quantized.network, load_chip("loihi1"))
    with get_backend("simulator").open(program) as runner:
        found = runner.run(events_from_dense(np.ones((1, 20, 3), bool)))
    assert len(found.spikes["layer2"].step)


def test_all_weights_may_learn_and_have_their_bits() -> None:
    model = from_arrays([np.ones((2, 2)), np.ones((2, 2))], 2, num_weight_bits=6, plastic=True)
    assert isinstance(model.network, Network)
    assert [(c.num_weight_bits, c.plastic) for c in model.network.connections] == [(6, True)] * 2


ONES = np.ones((2, 3))
WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: from_arrays([], 3), "0 layers on inputs of shape"),
    (lambda: from_arrays([ONES], (3, 1)), r"inputs of shape \(3, 1\); give layers, and n or"),
    (lambda: from_arrays([ONES], 4), r"layer 'layer1': weights \(2, 3\) take 3 inputs, 'input' has 4"),
    (lambda: from_arrays([np.ones(3)], 3), "layer 'layer1': weights are float64 of shape"),
    (
        lambda: from_arrays([np.ones((1, 1, 2, 2))], 4),
        "a convolution needs inputs .channels, height, width., 'input' has",
    ),
    (lambda: from_arrays([ArrayLayer(ONES, alpha=1.0)], 3), "alpha is not in 0..1, 1 excluded"),
    (lambda: from_arrays([ArrayLayer(ONES, beta=0.0)], 3), "beta is not in 0..1, 0 excluded"),
    (lambda: from_arrays([ArrayLayer(ONES, beta=[0.5] * 3)], 3), r"beta has shape \(3,\); give one number or 2"),
    (lambda: from_arrays([ArrayLayer(ONES, recurrent=ONES)], 3), r"recurrent weights are \(2, 3\); give \(2, 2\)"),
    (
        lambda: from_arrays([ArrayLayer(np.ones((2, 1, 1, 1)), bias=[1.0] * 3)], (1, 2, 2)),
        "give one number, 2 of the channels or 8",
    ),
]


@pytest.mark.parametrize(("make", "words"), WRONG, ids=[words[:40] for _, words in WRONG])
def test_what_is_wrong_is_said(make: Callable[[], object], words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        make()
