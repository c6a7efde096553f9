"""Gradients of whole networks, against torch's own graph of the same layers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install neurosim-hal[torch])")

from neurosim.config import TrainConfig, override  # noqa: E402
from neurosim.direct.net import CURRENT, DECAY, THRESHOLD, WEIGHT, WIDTH, DirectNet  # noqa: E402
from neurosim.direct.scan import scan  # noqa: E402
from neurosim.learning.build import READOUT, build_network  # noqa: E402
from neurosim.network import Connection, ConvConnection  # noqa: E402

SHAPE, N_STEPS, N_SAMPLES = (6, 6, 1), 7, 5
NETWORKS = {
    "deep": ["network.hidden=[12, 9]"],
    "recurrent": ["network.hidden=[12, 9]", "network.recurrent=true"],
    "convolution and pooling": ["network.hidden=[8]", "network.convolutions=['6c3p1', 'p2', '8c2']"],
    "learned": ["network.hidden=[12, 9]", "network.tau_syn=0.004", "direct.learn_threshold=true", "direct.learn_decay=true",
                "direct.learn_width=step", "direct.reset_gradient=true"],
    "pool that learns its decays": ["network.hidden=[8]", "network.convolutions=['4c3', 'p2']", "network.tau_syn=0.004",
                                    "direct.learn_decay=true"],
    "in integers": ["network.hidden=[12, 9]", "direct.arithmetic=chip"],
}  # fmt: skip


def opened(settings: list[str], skip: bool) -> DirectNet:
    config = override(
        TrainConfig(method="direct"),
        ["network.neuron=multispike", "network.gain=6", "direct.arithmetic=float", *settings],
    )
    network = build_network(config.network, 36, 3, 1, "net", SHAPE)
    if skip:  # paths of three lengths
        rng = np.random.default_rng(2)
        more = [Connection(g.name, READOUT, rng.normal(size=(3, g.n)), plastic=True) for g in network.groups[:2]]
        network = dataclasses.replace(network, connections=(*network.connections, *more))
    return DirectNet(network, config.direct, N_STEPS)


def by_graph(
    net: DirectNet, prepared: Any, frames: Any, kept: Any, factors: Any
) -> tuple[Any, dict[tuple[str, str], Any]]:
    """Return the readout's potentials and the gradients of a weighed sum of all potentials, as torch derives them."""
    leaves: dict[tuple[str, str], Any] = {
        (WEIGHT, name): torch.from_numpy(np.array(weights)).requires_grad_()
        for name, weights in prepared.weights.items()
    }
    messages, total = {"input": torch.from_numpy(frames)}, torch.zeros(())
    for layer in net.layers:
        name, neurons, current = layer.group.name, prepared.neurons[layer.group.name], torch.zeros(())
        for link in layer.links:
            heard, weights = messages[link.connection.source], leaves[WEIGHT, link.connection.name]
            heard = torch.cat([torch.zeros_like(heard[: link.late]), heard[: len(heard) - link.late]])
            if isinstance(link.connection, ConvConnection):
                width, height, channels = link.connection.input_shape
                pictures = heard.reshape(-1, width, height, channels).permute(0, 3, 1, 2)
                kernel = weights.flip(1, 2).permute(0, 3, 1, 2)
                found = torch.nn.functional.conv2d(
                    pictures, kernel, None, link.connection.stride, link.connection.padding, 1, link.connection.groups
                )
                brought = found.permute(0, 2, 3, 1).reshape(N_STEPS, N_SAMPLES, -1)
            else:
                brought = heard @ weights.t()
            current = current + brought
        numbers = [torch.tensor(x).requires_grad_() for x in (neurons.threshold, neurons.keep, neurons.keep_current)]
        widths = torch.from_numpy(prepared.widths[name].copy()).requires_grad_()
        leaves |= dict(
            zip(((kind, name) for kind in (THRESHOLD, DECAY, CURRENT, WIDTH)), (*numbers, widths), strict=True)
        )
        recurrent = None if layer.recurrent is None else leaves[WEIGHT, layer.recurrent.name]
        spikes, potentials = scan(current, *numbers, widths, neurons, recurrent)
        messages[name] = spikes * torch.from_numpy(kept[name]) if name in kept else spikes
        total = total + (potentials * torch.from_numpy(factors[name])).sum()
    found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    return potentials.detach().numpy(), dict(zip(leaves, found, strict=True))


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_a_graph(name: str, skip: bool) -> None:
    rng, net = np.random.default_rng(1), opened(NETWORKS[name], skip)
    frames = (rng.random((N_STEPS, N_SAMPLES, 36)) < 0.5).astype(np.float32)
    prepared = net.prepare()
    chip = net.config.arithmetic == "chip"  # which drops no messages here: what arrives would not be whole
    kept = {layer.group.name: (rng.random((N_SAMPLES, layer.group.n)) < 0.7) * np.float32(1 if chip else 1 / 0.7)
            for layer in net.layers if layer.fires}  # fmt: skip
    factors = {layer.group.name: rng.normal(size=(N_STEPS, N_SAMPLES, layer.group.n)).astype(np.float32)
               for layer in net.layers}  # fmt: skip
    out = net.run(prepared, frames, kept)
    found = net.gradients(prepared, out, factors, kept)
    potentials, expected = by_graph(net, prepared, frames, kept, factors)
    np.testing.assert_allclose(out.potentials[READOUT], potentials, rtol=1e-5, atol=1e-5)
    assert all(out.sent.values())
    assert set(net.parameters) <= set(found)
    for key, gradient in found.items():
        wanted = expected[key].numpy()
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max(), err_msg=str(key))
        assert wanted.any(), key
    for gradient, factor in net.collect(prepared, found).values():
        assert np.isfinite(gradient).all() and np.isfinite(factor)


def test_what_a_batch_gives_by_events_is_what_it_gives_by_frames() -> None:
    """Weights in bytes, the gradient by lists."""
    from neurosim.direct.eventlayer import EventInput

    net = opened(["network.hidden=[12, 9]", "direct.arithmetic=chip"], skip=True)
    frames = (np.random.default_rng(1).random((N_STEPS, N_SAMPLES, 36)) < 0.5).astype(np.float32)
    flat = frames.reshape(-1, 36)
    start = np.concatenate([[0], np.cumsum((flat != 0).sum(axis=1))])
    events = EventInput(start, np.nonzero(flat)[1], flat[flat != 0], N_STEPS, 36)
    found = []
    for prepared, inputs in ((net.prepare(), frames), (net.prepare(for_events=True), events)):
        out = net.run(prepared, inputs)
        gradients = net.gradients(prepared, out, {READOUT: np.ones_like(out.potentials[READOUT])})
        found.append((out, gradients))
    assert set(net.prepare(for_events=True).held) == {"input->hidden1", f"input->{READOUT}"}
    np.testing.assert_array_equal(found[0][0].potentials["hidden1"], found[1][0].potentials["hidden1"])
    for key, gradient in found[0][1].items():
        np.testing.assert_allclose(found[1][1][key], gradient, rtol=1e-5, atol=1e-5, err_msg=str(key))
