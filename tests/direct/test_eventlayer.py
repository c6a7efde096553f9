"""The first layer on events: sums, gradients and errors, against the products of matrices that it replaces."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch (pip install neurosim-hal[torch])")

from neurosim.config import TrainConfig, override
from neurosim.direct import eventlayer
from neurosim.direct.eventlayer import (
    EventInput,
    Held,
    convolution_by_kernel,
    convolution_of,
    linear_by_weight,
    linear_of,
    pieces_of,
)
from neurosim.direct.trainer import DirectTrainer
from neurosim.errors import ConfigError, DataError
from neurosim.events import events_from_dense
from neurosim.learning.build import build_network
from neurosim.network import ConvConnection
from neurosim.tasks import load_task

N_STEPS, N_SAMPLES = 3, 5


def random_input(n_inputs: int, share: float, seed: int, largest: int = 1) -> tuple[np.ndarray, EventInput]:
    """Return frames (N_STEPS, N_SAMPLES, n_inputs) float32 and the same as events."""
    rng = np.random.default_rng(seed)
    shape = N_STEPS, N_SAMPLES, n_inputs
    frames = np.where(rng.random(shape) < share, rng.integers(1, largest + 1, shape), 0).astype(np.float32)
    flat = frames.reshape(-1, n_inputs)
    start = np.concatenate([[0], np.cumsum((flat != 0).sum(axis=1))])
    return frames, EventInput(start, np.nonzero(flat)[1], flat[flat != 0], N_STEPS, n_inputs)


def integers(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return even integers, as of weights in chip arithmetic."""
    return (2 * np.random.default_rng(seed).integers(-128, 128, shape)).astype(np.float32)


def factors_of(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return integers by which sums are weighed: a gradient."""
    return np.random.default_rng(seed).integers(-50, 51, shape).astype(np.float32)


def by_matrix(frames: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return the gradient by the matrix of a product, from that by the product."""
    return gradient.reshape(-1, gradient.shape[2]).T @ frames.reshape(-1, frames.shape[2])


@pytest.mark.parametrize("largest", [1, 9])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_layer_equals_the_matrix_product(share: float, largest: int) -> None:
    frames, events = random_input(60, share, seed=1, largest=largest)
    weight, gradient = integers((20, 60), seed=2), factors_of((N_STEPS, N_SAMPLES, 20), seed=3)
    np.testing.assert_array_equal(linear_of(events, weight), frames @ weight.T)
    np.testing.assert_array_equal(linear_of(events, np.asfortranarray(weight)), frames @ weight.T)
    np.testing.assert_array_equal(linear_by_weight(events, gradient), by_matrix(frames, gradient))


@pytest.mark.parametrize("largest", [1, 9])
def test_weights_in_bytes_give_the_same_sums(largest: int) -> None:
    _, events = random_input(60, 0.3, seed=1, largest=largest)
    weight = integers((20, 60), seed=2)
    held = Held((weight.T / 2).astype(np.int8).reshape(-1), 20, 2.0)
    np.testing.assert_array_equal(held.matrix(), weight)
    np.testing.assert_array_equal(linear_of(events, held), linear_of(events, weight))


def test_float_sums_and_gradients_are_close_to_the_matrix_product() -> None:
    frames, events = random_input(300, 0.1, seed=4)
    weight = np.random.default_rng(5).standard_normal((40, 300)).astype(np.float32)
    gradient = np.random.default_rng(6).standard_normal((N_STEPS, N_SAMPLES, 40)).astype(np.float32)
    np.testing.assert_allclose(linear_of(events, weight), frames @ weight.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(linear_by_weight(events, gradient), by_matrix(frames, gradient), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("out_channels", "kernel", "groups", "stride", "padding", "dilation"),
    [(16, 5, 1, 2, 0, 1), (6, 3, 2, 1, 1, 1), (40, 2, 1, (2, 1), (0, 1), 1), (8, 3, 1, 1, 2, 2), (3, 1, 1, 1, 0, 1)],
)
def test_convolution_equals_its_synapses_one_by_one(out_channels, kernel, groups, stride, padding, dilation) -> None:
    shape = (7, 9, 2)
    weight = integers((out_channels, kernel, kernel, 2 // groups), seed=7)
    connection = ConvConnection(
        "in", "out", weight, input_shape=shape, stride=stride, padding=padding, dilation=dilation,
        groups=groups,
    )  # fmt: skip
    frames, events = random_input(7 * 9 * 2, 0.2, seed=8, largest=4)
    out = convolution_of(events, weight, pieces_of(connection))
    pairs = connection.as_sparse()
    matrix = np.zeros(pairs.shape)
    matrix[pairs.row, pairs.col] = pairs.weights
    np.testing.assert_array_equal(out, frames @ matrix.T)
    numbered = ConvConnection(  # each synapse names its weight, counted from 1
        "in", "out", 1.0 + np.arange(weight.size).reshape(weight.shape), input_shape=shape, stride=stride,
        padding=padding, dilation=dilation, groups=groups,
    ).as_sparse()  # fmt: skip
    factors = factors_of(out.shape, seed=9)
    gradient, by_synapse = convolution_by_kernel(events, factors, pieces_of(connection)), by_matrix(frames, factors)
    expected = np.zeros(weight.size)
    np.add.at(expected, np.asarray(numbered.weights, np.int64) - 1, by_synapse[numbered.row, numbered.col])
    np.testing.assert_array_equal(gradient.ravel(), expected)


def test_events_without_values_multiply_nothing() -> None:
    assert not random_input(30, 0.2, seed=10)[1].rows.is_valued
    assert random_input(30, 0.2, seed=10, largest=2)[1].rows.is_valued


@pytest.mark.parametrize(
    ("start", "neuron", "value", "said"),
    [
        ([0, 1, 2, 3], [0, 1, 2], [1, 1, 1], r"need \(2 \* samples"),
        ([0, 2, 1, 3, 3], [0, 1, 2], [1, 1, 1], "must rise"),
        ([0, 1, 2, 2, 2], [0, 1, 2], [1, 1, 1], "must rise from 0 to 3"),
        ([0, 1, 2, 3, 3], [0, 1, 2], [1, 1], "2 values of 3 events"),
        ([0, 1, 2, 3, 3], [0, 9, 2], [1, 1, 1], "input line 9 is outside 0..3"),
        ([0, 1, 2, 3, 3], [0, -1, 2], [1, 1, 1], "input line -1 is outside"),
    ],
)
def test_wrong_lists_are_refused(start, neuron, value, said) -> None:
    with pytest.raises(DataError, match=said):
        EventInput(start, neuron, value, n_steps=2, n_inputs=4)


def test_weights_of_another_shape_are_refused() -> None:
    _, events = random_input(30, 0.2, seed=11)
    connection = ConvConnection("in", "out", np.ones((2, 3, 3, 1)), input_shape=(5, 5, 1))
    with pytest.raises(ConfigError, match=r"need float32 \(neurons, 30\)"):
        linear_of(events, np.zeros((4, 29), np.float32))
    with pytest.raises(ConfigError, match="float64"):
        linear_of(events, np.zeros((4, 30)))
    with pytest.raises(ConfigError, match="kernel is"):
        convolution_of(events, np.zeros((2, 3, 3, 2), np.float32), pieces_of(connection))
    with pytest.raises(ConfigError, match="30 inputs for a convolution of 25"):
        convolution_of(events, np.zeros((2, 3, 3, 1), np.float32), pieces_of(connection))


def test_rule_depends_on_the_share_of_events() -> None:
    frames = np.random.default_rng(12).random((4, 10, 100))
    assert eventlayer.pays(events_from_dense(frames < eventlayer.LARGEST_SHARE - 0.05))
    assert not eventlayer.pays(events_from_dense(frames < eventlayer.LARGEST_SHARE + 0.05))


@pytest.mark.parametrize("layers", [["network.hidden=[20]"], ['network.convolutions=["4c3s2"]', "network.hidden=[12]"]])
def test_training_on_events_sees_what_training_on_frames_sees(layers: list[str]) -> None:
    task = load_task("digits", n_steps=4, augment=False)
    config = override(TrainConfig(), ["method=direct", "task=digits", "network.n_steps=4", "batch=24", *layers])
    network = build_network(config.network, task.n_inputs, task.n_classes, 1, "test", task.input_shape)
    found = []
    for takes_events in (True, False):
        with DirectTrainer(config, network, task, threads=1) as trainer:
            assert trainer._takes_events == eventlayer.pays(task.train_events)
            trainer._takes_events = takes_events
            found.append((trainer.advance(1)[0], trainer.advance(3)[-1]))
    (first, later), (expected, expected_later) = found
    assert first == expected  # exact in the chip's integers
    assert later.loss == pytest.approx(expected_later.loss, rel=0.02)
