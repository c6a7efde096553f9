"""Convolutions between hidden layers: by the messages or by torch's products, the same sums and gradients."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch (pip install neurosim-hal[torch])")

from neurosim.direct import convolution
from neurosim.direct.convolution import convolve, convolve_back, geometry_of
from neurosim.network import ConvConnection

CASES = [
    ((12, 12, 16), 32, 3, {"stride": 2}),
    ((7, 9, 4), 6, 3, {"groups": 2, "padding": 1}),
    ((6, 5, 3), 5, 2, {"stride": (2, 1), "padding": (0, 1)}),
    ((6, 5, 2), 8, 2, {"dilation": 2}),
    ((5, 5, 40), 24, 2, {}),
    ((4, 4, 3), 3, 2, {"stride": 2, "groups": 3}),
]


def with_gradients(
    monkeypatch: pytest.MonkeyPatch, share: float, fewest: int, case, frames: np.ndarray
) -> list[np.ndarray]:
    """Return sums, gradient by messages and by the kernel, of a sum with integer factors."""
    shape, n_out, size, how = case
    rng = np.random.default_rng(1)
    weights = rng.integers(-128, 128, (n_out, size, size, shape[2] // how.get("groups", 1)))
    connection = ConvConnection("a", "b", weights.astype(float), input_shape=shape, **how)
    monkeypatch.setattr(convolution, "LARGEST_SHARE", share)
    monkeypatch.setattr(convolution, "FEWEST_CHANNELS", fewest)
    messages, kernel, geometry = frames.astype(np.float32), weights.astype(np.float32), geometry_of(connection)
    out, events = convolve(messages, kernel, geometry)
    factors = rng.integers(-9, 10, out.shape).astype(np.float32)
    by_messages, by_kernel = convolve_back(factors, messages, events, kernel, geometry)
    assert by_messages is not None and by_kernel is not None
    assert convolve_back(factors, messages, events, kernel, geometry, (False, False)) == (None, None)
    return [out, by_messages, by_kernel]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("values", [[1], [1, 2, 5], [-1, 1]])
def test_both_ways_give_the_same_integers(monkeypatch: pytest.MonkeyPatch, case, values) -> None:
    rng = np.random.default_rng(2)
    shape = 3, 5, int(np.prod(case[0]))
    frames = np.where(rng.random(shape) < 0.15, rng.choice(values, shape), 0)
    by_products = with_gradients(monkeypatch, 0.0, 1000, case, frames)
    for share, fewest in ((0.5, 1), (0.0, 1), (0.5, 1000)):
        found = with_gradients(monkeypatch, share, fewest, case, frames)
        for one, other in zip(found, by_products, strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.any()


def test_a_silent_layer_brings_nothing_and_is_told_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    out, by_messages, by_kernel = with_gradients(monkeypatch, 0.25, 1, CASES[0], np.zeros((2, 3, 2304)))
    assert not out.any() and by_messages.any() and not by_kernel.any()


def test_which_way_follows_from_the_messages_alone() -> None:
    rng = np.random.default_rng(3)
    for share, few in ((convolution.LARGEST_SHARE - 0.05, True), (convolution.LARGEST_SHARE + 0.05, False)):
        frames = (rng.random((4, 5, 300)) < share).astype(np.float32)
        assert (convolution._messages(frames) is not None) == few
