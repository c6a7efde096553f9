"""Networks as training sees them: the chip's integers, to the last bit, for every kind of layer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install neurosim-hal[torch])")

from neurosim.backend import get_backend  # noqa: E402
from neurosim.compile_network import compile as compile_network  # noqa: E402
from neurosim.config import TrainConfig, override  # noqa: E402
from neurosim.direct.losses import balance_loss  # noqa: E402
from neurosim.direct.net import DirectNet  # noqa: E402
from neurosim.direct.quant import chip_weights  # noqa: E402
from neurosim.direct.trainer import DirectTrainer  # noqa: E402
from neurosim.errors import ConfigError, QuantizationError  # noqa: E402
from neurosim.groups import CubaLIF, Input  # noqa: E402
from neurosim.learning.build import READOUT, build_network, run_steps  # noqa: E402
from neurosim.network import Connection, Network, Probe  # noqa: E402
from neurosim.quantize import quantize  # noqa: E402
from neurosim.tasks import Task, load_task  # noqa: E402

COMMON = [
    "chip=unlimited",
    "augment=false",
    "batch=48",
    "epochs=1",
    "network.n_steps=5",
    "network.hidden=[20]",
    "direct.rate=0.02",
]
NETWORKS = {
    "lif": [],
    "current filter": ["network.tau_syn=0.004"],
    "soft reset": ["network.neuron=multispike", "network.max_spikes=1", "network.signed=false"],
    "multi-spike": ["network.neuron=multispike", "network.max_spikes=7", "network.signed=false", "direct.surrogate=rectangle"],
    "signed": ["network.neuron=multispike", "network.signed=true", "network.max_spikes=2", "network.hidden=[20, 12]"],
    "ternary": ["network.neuron=ternary"],
    "recurrent": ["network.recurrent=true", "direct.surrogate=arctan"],
    "convolution and pooling": ["network.convolutions=['6c3p1', 'p2', '8c3s2']", "network.neuron=multispike", "network.signed=false"],
    "spikes pooled": ["network.convolutions=['6c3', 'p2']", "network.gain=2.5"],
    "four bits": ["network.weight_bits=4"],
    "leaky readout": ["network.readout_tau=0.01"],
    "everything learned": [
        "network.tau_syn=0.004", "direct.learn_threshold=true", "direct.learn_decay=true", "direct.learn_width=step", "direct.balance=0.1",
        "direct.reset_gradient=true", "direct.dropout=0.2",
    ],
}  # fmt: skip


def digits() -> Task:
    return load_task("digits", n_steps=5, augment=False)


def open_trainer(settings: list[str], threads: int = 1, task: Task | None = None) -> DirectTrainer:
    config = override(TrainConfig(method="direct"), [*COMMON, *settings])
    task = digits() if task is None else task
    network = build_network(config.network, task.n_inputs, task.n_classes, config.seed, "net", task.input_shape)
    return DirectTrainer(config, network, task, threads)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_chip_does_what_training_saw(name):
    """Every spike, and the readout's voltages to the last bit."""
    task = digits()
    with open_trainer(NETWORKS[name], task=task) as trainer:
        trainer.advance(6)
        found = trainer.quantized()
        events = task.test_events.take(np.arange(40))
        out = trainer.net.run(trainer.net.prepare(), trainer.batches.test_frames(events, 0, 40))
        n_steps = run_steps(trainer.config.network)
        layers = trainer.net.layers
    spiking = [layer.group.name for layer in layers if layer.fires]
    network = found.network.with_probes([Probe(READOUT, "v"), *(Probe(group) for group in spiking)])
    with get_backend("simulator").open(compile_network(network, "unlimited")) as runner:
        result = runner.run(events, n_steps)
    voltages = out.potentials[READOUT][-1] * 64
    np.testing.assert_array_equal(result.states[READOUT, "v"][:, -1], voltages)
    assert np.unique(voltages).size > 40
    assert result.counts is not None
    for depth, group in enumerate(spiking):  # what is sent in time for the readout
        late = n_steps - 1 - (len(spiking) - depth)
        spikes = result.spikes[group]
        sent = np.abs(spikes.value if spikes.value is not None else np.ones(len(spikes.step)))[
            spikes.step <= late
        ].sum()
        assert sent == out.sent[group] > 0


def test_integers_are_those_of_quantize():
    with open_trainer(NETWORKS["everything learned"]) as trainer:
        trainer.advance(3)
        prepared, quantized = trainer.net.prepare(), trainer.quantized()
        for connection in quantized.network.connections:
            held = np.asarray(connection.weights) * 2.0**connection.weight_exp
            np.testing.assert_array_equal(prepared.weights[connection.name], held)
            assert np.abs(held).max() in (254, 256)  # they fill their format
        hidden = quantized.network.group("hidden")
        assert hidden.vth == prepared.neurons["hidden"].vth != round(quantized.scales["group/hidden"])
        assert (hidden.du, hidden.dv) == (prepared.neurons["hidden"].du, prepared.neurons["hidden"].dv)
        assert hidden.dv != round(4096 * (1 - np.exp(-1 / 8)))  # learned


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("plastic", [True, False])
def test_weights_are_rounded_as_quantize_does(bits, plastic):
    rng = np.random.default_rng(bits)
    weights = rng.normal(size=(7, 9))
    connection = Connection("in", "out", weights, num_weight_bits=bits, plastic=plastic)
    network = Network([Input("in", 9), CubaLIF("out", 7)], [connection])
    found = quantize(network, 1.0, scales={"out": 57.0}).network.connection("in->out")
    held, exponent = chip_weights(connection, weights, 57.0)
    np.testing.assert_array_equal(held, found.weights)
    assert exponent == found.weight_exp


def test_floats_are_trained_without_rounding():
    task = digits()
    with open_trainer(["direct.arithmetic=float"], task=task) as trainer:
        trainer.advance(3)
        prepared = trainer.net.prepare()
        assert prepared.neurons["hidden"].scale == 1 and not prepared.neurons["hidden"].chip
        connection = trainer.net.layers[0].links[0].connection
        np.testing.assert_array_equal(
            prepared.weights[connection.name], trainer.net.weights(connection).astype(np.float32)
        )
        agree = np.mean(trainer.predict(task.test_events) == trainer.predict(task.test_events, chip=False))
    assert agree > 0.95


def test_layers_meet_with_paths_of_different_lengths():
    """An input that also feeds the readout directly arrives a step sooner there, on the chip as in training."""
    task = digits()
    config = override(TrainConfig(method="direct"), COMMON)
    network = build_network(config.network, task.n_inputs, 10, 1, "skip")
    rng = np.random.default_rng(1)
    direct = Connection("input", READOUT, rng.normal(size=(10, 64)) / 8, plastic=True)
    network = dataclasses.replace(network, connections=(*network.connections, direct))
    with DirectTrainer(config, network, task, 1) as trainer:
        trainer.advance(2)
        frames = trainer.batches.test_frames(task.test_events, 0, 20)
        out = trainer.net.run(trainer.net.prepare(), frames)
        quantized = trainer.quantized()
    program = compile_network(quantized.network.with_probes([Probe(READOUT, "v")]), "unlimited")
    with get_backend("simulator").open(program) as runner:
        result = runner.run(task.test_events.take(np.arange(20)), 6)
    late = result.states[READOUT, "v"][:, -1]
    np.testing.assert_array_equal(late, out.potentials[READOUT][-1] * 64)


def test_balance_is_zero_for_equal_sides_and_its_norms_are_as_described():
    x = torch.tensor([[[3.0, -1.0, -1.0, 1.0]]])
    assert float(balance_loss(torch.tensor([[[2.0, -1.0, -1.0]]]), "absolute")) == 0
    assert float(balance_loss(x, "absolute")) == pytest.approx((2 / 6) ** 2, rel=1e-4)
    assert float(balance_loss(x, "neurons")) == pytest.approx(0.25)
    assert float(balance_loss(x, "variance")) == pytest.approx(0.25 / np.var([3, -1, -1, 1]), rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            ["network.neuron=refractory"],
            "'refractory' has no surrogate gradient here; method 'direct' trains lif, multispike, ternary",
        ),
        (
            ["network.hidden=[]", "direct.balance=0.1"],
            "looks at hidden layers, and there is none; set direct.balance_layers=readout",
        ),
        (["direct.shards=64"], "64 parts of a batch of 48; lower it to 48"),
    ],
)
def test_what_cannot_be_trained_is_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        open_trainer(settings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g, c: ([*g, Input("more", 2)], c), "needs one input, found 2"),
        (lambda g, c: ([g[0], dataclasses.replace(g[1], bias=1.0), g[2]], c), "group 'a': has a bias"),
        (lambda g, c: ([g[0], dataclasses.replace(g[1], tau_mem=[0.01, 0.02]), g[2]], c), "tau_mem differs between neurons"),
        (lambda g, c: (g, [*c, Connection(READOUT, READOUT, np.eye(2))]), "never fires; leave the connection out"),
        (lambda g, c: (g, c[:1]), "group 'readout': receives nothing"),
        (lambda g, c: (g, [dataclasses.replace(c[0], delays=2), c[1]]), "dense and convolutional float connections without delays"),
        (lambda g, c: ([*g, CubaLIF("b", 2)], [*c, Connection("a", "b", np.eye(2)), Connection("b", "a", np.eye(2))]), "in a circle"),
        (lambda g, c: (quantize(Network(g, c)).network.groups, ()), "LIF is in chip integers"),
    ],
)  # fmt: skip
def test_networks_that_cannot_be_trained_are_refused(change, words):
    groups = [Input("in", 2), CubaLIF("a", 2), CubaLIF(READOUT, 2, v_threshold=np.inf)]
    connections = [Connection("in", "a", np.eye(2)), Connection("a", READOUT, np.eye(2))]
    with pytest.raises(ConfigError, match=words):
        DirectNet(Network(*change(groups, connections)), TrainConfig().direct, 3)


def test_a_threshold_that_vanishes_beside_the_weights_is_an_error():
    groups = [Input("in", 1), CubaLIF(READOUT, 1, v_threshold=1e-4)]
    net = DirectNet(Network(groups, [Connection("in", READOUT, [[9.0]], plastic=True)]), TrainConfig().direct, 2)
    with pytest.raises(QuantizationError, match="threshold 0.0001 becomes 0 beside its largest weight"):
        net.prepare()
