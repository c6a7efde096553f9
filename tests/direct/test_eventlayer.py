"""The first layer on events: sums, gradients and errors, against the products of matrices that it replaces."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install neurosim-hal[torch])")

from neurosim.config import TrainConfig, override  # noqa: E402
from neurosim.direct import eventlayer  # noqa: E402
from neurosim.direct.eventlayer import EventInput, event_convolution, event_linear, pieces_of  # noqa: E402
from neurosim.direct.trainer import DirectTrainer  # noqa: E402
from neurosim.errors import ConfigError, DataError  # noqa: E402
from neurosim.events import events_from_dense  # noqa: E402
from neurosim.learning.build import build_network  # noqa: E402
from neurosim.network import ConvConnection  # noqa: E402
from neurosim.tasks import load_task  # noqa: E402

N_STEPS, N_SAMPLES = 3, 5


def random_input(n_inputs: int, share: float, seed: int, largest: int = 1) -> tuple[np.ndarray, EventInput]:
    """Return frames (N_STEPS, N_SAMPLES, n_inputs) float32 and the same as events."""
    rng = np.random.default_rng(seed)
    shape = N_STEPS, N_SAMPLES, n_inputs
    frames = np.where(rng.random(shape) < share, rng.integers(1, largest + 1, shape), 0).astype(np.float32)
    flat = frames.reshape(-1, n_inputs)
    start = np.concatenate([[0], np.cumsum((flat != 0).sum(axis=1))])
    return frames, EventInput(start, np.nonzero(flat)[1], flat[flat != 0], N_STEPS, n_inputs)


def integers(shape: tuple[int, ...], seed: int) -> "torch.Tensor":
    """Return even integers, as of weights in chip arithmetic, that record a gradient."""
    drawn = 2 * np.random.default_rng(seed).integers(-128, 128, shape)
    return torch.from_numpy(drawn.astype(np.float32)).requires_grad_()


def gradient_of(out: "torch.Tensor", weight: "torch.Tensor", seed: int) -> np.ndarray:
    """Return the gradient by the weights of a weighted sum of the output; the factors are integers."""
    factors = np.random.default_rng(seed).integers(-50, 51, tuple(out.shape)).astype(np.float32)
    return torch.autograd.grad((out * torch.from_numpy(factors)).sum(), weight)[0].numpy()


@pytest.mark.parametrize("largest", [1, 9])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_layer_equals_the_matrix_product(share: float, largest: int) -> None:
    frames, events = random_input(60, share, seed=1, largest=largest)
    weight = integers((20, 60), seed=2)
    out, expected = event_linear(events, weight), torch.from_numpy(frames) @ weight.t()
    np.testing.assert_array_equal(out.detach(), expected.detach())
    np.testing.assert_array_equal(gradient_of(out, weight, 3), gradient_of(expected, weight, 3))


def test_weights_may_lie_in_memory_by_input() -> None:
    _, events = random_input(60, 0.1, seed=1)
    weight = integers((20, 60), seed=2)
    turned = weight.detach().t().contiguous().t().requires_grad_()
    out, expected = event_linear(events, turned), event_linear(events, weight)
    np.testing.assert_array_equal(out.detach(), expected.detach())
    np.testing.assert_array_equal(gradient_of(out, turned, 3), gradient_of(expected, weight, 3))


def test_float_sums_and_gradients_are_close_to_the_matrix_product() -> None:
    frames, events = random_input(300, 0.1, seed=4)
    weight = torch.from_numpy(np.random.default_rng(5).standard_normal((40, 300)).astype(np.float32)).requires_grad_()
    out, expected = event_linear(events, weight), torch.from_numpy(frames) @ weight.t()
    np.testing.assert_allclose(out.detach(), expected.detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient_of(out, weight, 6), gradient_of(expected, weight, 6), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("out_channels", "kernel", "groups", "stride", "padding", "dilation"),
    [(16, 5, 1, 2, 0, 1), (6, 3, 2, 1, 1, 1), (40, 2, 1, (2, 1), (0, 1), 1), (8, 3, 1, 1, 2, 2), (3, 1, 1, 1, 0, 1)],
)
def test_convolution_equals_its_synapses_one_by_one(out_channels, kernel, groups, stride, padding, dilation) -> None:
    shape = (7, 9, 2)
    weight = integers((out_channels, kernel, kernel, 2 // groups), seed=7)
    connection = ConvConnection(
        "in", "out", weight.detach().numpy(), input_shape=shape, stride=stride, padding=padding, dilation=dilation,
        groups=groups,
    )  # fmt: skip
    frames, events = random_input(7 * 9 * 2, 0.2, seed=8, largest=4)
    out = event_convolution(events, weight, pieces_of(connection))
    pairs = connection.as_sparse()
    matrix = np.zeros(pairs.shape)
    matrix[pairs.row, pairs.col] = pairs.weights
    np.testing.assert_array_equal(out.detach(), frames @ matrix.T)
    numbered = ConvConnection(  # each synapse names its weight, counted from 1
        "in", "out", 1.0 + np.arange(weight.numel()).reshape(weight.shape), input_shape=shape, stride=stride,
        padding=padding, dilation=dilation, groups=groups,
    ).as_sparse()  # fmt: skip
    gradient = gradient_of(out, weight, 9)
    factors = np.random.default_rng(9).integers(-50, 51, tuple(out.shape)).reshape(-1, out.shape[2])
    by_synapse = factors.T @ frames.reshape(-1, 7 * 9 * 2)
    expected = np.zeros(weight.numel())
    np.add.at(expected, np.asarray(numbered.weights, np.int64) - 1, by_synapse[numbered.row, numbered.col])
    np.testing.assert_array_equal(gradient.ravel(), expected)


def test_part_of_a_batch_is_its_samples() -> None:
    frames, events = random_input(30, 0.2, seed=10, largest=5)
    for first, last in ((0, 5), (1, 3), (4, 5)):
        np.testing.assert_array_equal(events.part(first, last).frames(), frames[:, first:last])


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


def test_samples_that_are_not_there_are_refused() -> None:
    with pytest.raises(DataError, match="samples 3 to 5 of 5"):
        random_input(30, 0.2, seed=10)[1].part(3, 6)


def test_weights_of_another_shape_are_refused() -> None:
    _, events = random_input(30, 0.2, seed=11)
    connection = ConvConnection("in", "out", np.ones((2, 3, 3, 1)), input_shape=(5, 5, 1))
    with pytest.raises(ConfigError, match=r"need float32 \(neurons, 30\)"):
        event_linear(events, torch.zeros(4, 29))
    with pytest.raises(ConfigError, match="float64"):
        event_linear(events, torch.zeros(4, 30, dtype=torch.float64))
    with pytest.raises(ConfigError, match="kernel is"):
        event_convolution(events, torch.zeros(2, 3, 3, 2), pieces_of(connection))
    with pytest.raises(ConfigError, match="30 inputs for a convolution of 25"):
        event_convolution(events, torch.zeros(2, 3, 3, 1), pieces_of(connection))


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
