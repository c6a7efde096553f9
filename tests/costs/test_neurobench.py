"""NeuroBench itself on the same networks and data: each of its values equals ours. An optional job: python -m nox -s neurobench.

Our integers stand in the weights of torch's layers. Neurons are snnTorch's own where their floats are exact (decays by
halves, few steps), else `_IntegerLIF`, our arithmetic in torch's integers. NeuroBench records 0.0 for a metric that
raised and only prints the error, so what it prints is checked as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from realdata import Layer, data_file, oxford, read_net

from neurosim.backend import get_backend
from neurosim.compile_network import compile
from neurosim.costs.workload import workload
from neurosim.data.mnist import load_mnist
from neurosim.events import Events, events_from_dense
from neurosim.network import LIF, Conv, Dense, Input, IntegerConnection, Network, OneToOne, Probe, Sparse
from neurosim.neurons import TernaryLIF

REASON = "needs torch, snntorch and neurobench: python -m nox -s neurobench"
torch = pytest.importorskip("torch", reason=REASON)
snn = pytest.importorskip("snntorch", reason=REASON)
benchmarks = pytest.importorskip("neurobench.benchmarks", reason=REASON)
models = pytest.importorskip("neurobench.models", reason=REASON)
static = pytest.importorskip("neurobench.metrics.static", reason=REASON)
dynamic = pytest.importorskip("neurobench.metrics.workload", reason=REASON)

METRICS = [
    [static.Footprint, static.ParameterCount, static.ConnectionSparsity],
    [dynamic.ActivationSparsity, dynamic.SynapticOperations, dynamic.MembraneUpdates, dynamic.NeuronOperations],
]
Ints = npt.NDArray[np.int64]


class _IntegerLIF:
    """Our LIF neurons. Being snnTorch's registers them: NeuroBench watches the output and `mem` of those only."""

    group: LIF
    mem: Any
    syn: Any

    def forward(self, total: Any) -> Any:
        group, x = self.group, total.to(torch.int64) << 6
        if self.mem.shape != x.shape:
            self.syn, self.mem = torch.zeros_like(x), torch.zeros_like(x)
        bias = torch.as_tensor(np.asarray(group.bias)).reshape(x.shape[1:])
        u = self._decayed(self.syn, 4095 - group.du) + x
        self.syn = torch.where(u > 1 << 23, u - (1 << 24), torch.where(u <= -1 << 23, u + (1 << 24), u))
        v = self._decayed(self.mem, 4096 - group.dv) + self.syn + bias
        v = torch.clip(v, 1 - (1 << 23), (1 << 23) - 1)
        if isinstance(group, TernaryLIF):
            spikes = (v > group.vth_hi << 6).to(torch.int64) - (v < group.vth_lo << 6).to(torch.int64)
        else:
            spikes = (v > group.vth << 6).to(torch.int64)
        self.mem = torch.where(spikes != 0, 0, v)
        return spikes.to(torch.float32)

    def reset_mem(self) -> None:
        self.mem = torch.zeros(0)  # the next call makes both states anew

    @staticmethod
    def _decayed(state: Any, keep: int) -> Any:
        return torch.sign(state) * (torch.abs(state) * keep >> 12)


class IntegerLeaky(_IntegerLIF, snn.Leaky):
    """Without a current that is kept."""


class IntegerSynaptic(_IntegerLIF, snn.Synaptic):
    """With a current that is kept."""


def integer(group: LIF) -> Any:
    """Return our neurons as one of snnTorch's, with the buffers of its kind."""
    settings = {"beta": 0.0, "threshold": 0.0, "init_hidden": True, "reset_mechanism": "zero"}
    neuron = IntegerLeaky(**settings) if group.du == 4095 else IntegerSynaptic(alpha=0.0, **settings)
    neuron.group = group
    return neuron


def stock(group: LIF, exponent: int = 0) -> Any:
    """Return snnTorch's neuron in units of weights; its reset comes at once, as ours does."""
    settings = {"beta": 1 - group.dv / 4096, "threshold": group.vth / 2**exponent, "reset_mechanism": "zero",
                "reset_delay": False, "init_hidden": True}  # fmt: skip
    if group.du == 4095:
        return snn.Leaky(**settings)
    return snn.Synaptic(alpha=(4095 - group.du) / 4096, **settings)


def linear(connection: IntegerConnection) -> Any:
    """Return a connection as a Linear layer."""
    weights = np.zeros(connection.shape, np.float32)
    if isinstance(connection, Dense):
        weights[:] = connection.weights
    else:
        sparse = connection.as_sparse()
        weights[sparse.row, sparse.col] = sparse.data
    layer = torch.nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    layer.weight = torch.nn.Parameter(torch.as_tensor(weights))
    return layer


def conv2d(connection: Conv) -> Any:
    """Return a convolution as a Conv2d over (channels, x, y); torch does not flip the kernel."""
    weights = np.asarray(connection.weights)[:, ::-1, ::-1].transpose(0, 3, 1, 2)
    stride, padding, dilation = connection.geometry
    layer = torch.nn.Conv2d(
        connection.input_shape[2], weights.shape[0], weights.shape[2:], stride, padding, dilation, connection.groups, False
    )  # fmt: skip
    layer.weight = torch.nn.Parameter(torch.as_tensor(weights.astype(np.float32)))
    return layer


class Chain(torch.nn.Module):
    """Layers that are called one after the other in the same step."""

    def __init__(self, *layers: Any) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(*layers)

    def reset(self) -> None:
        for layer in self.layers:
            if isinstance(layer, snn.SpikingNeuron):
                layer.reset_mem()

    def forward(self, x: Any) -> tuple[Any, None]:
        return self.layers(x), None


def as_chain(network: Network) -> Chain:
    """Return connections one after the other, each with the neurons that it leads to."""
    return Chain(
        *(part for link in network.connections for part in (linear(link), integer(network.group(link.target))))
    )


class Pipeline(torch.nn.Module):
    """Any network in the steps of the chip: each layer gets what its source sent in the call before."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.links = torch.nn.ModuleList([linear(connection) for connection in network.connections])
        groups = [group for group in network.groups if isinstance(group, LIF)]
        self.neurons = torch.nn.ModuleDict({group.name: integer(group) for group in groups})
        self.sent: dict[str, Any] = {}

    def reset(self) -> None:
        self.sent = {}
        for neuron in self.neurons.values():
            neuron.reset_mem()

    def forward(self, x: Any) -> tuple[Any, None]:
        before = self.sent or {group.name: torch.zeros(len(x), group.n) for group in self.network.groups}
        sums = {name: torch.zeros(len(x), neuron.group.n) for name, neuron in self.neurons.items()}
        for connection, layer in zip(self.network.connections, self.links, strict=True):
            sums[connection.target] = sums[connection.target] + layer(before[connection.source])
        fired = {name: neuron(sums[name]) for name, neuron in self.neurons.items()}
        self.sent = {"in": x} | fired
        return next(iter(fired.values())), None


def measure(
    net: Any, data: npt.NDArray[Any], batch: int, capsys: pytest.CaptureFixture[str], registered: bool = False
) -> dict[str, Any]:
    """Return what NeuroBench measures on (samples, steps, ...), and fail where it only printed an error."""
    benchmark = make_benchmark(net, data, batch)
    with torch.no_grad():
        results: dict[str, Any] = benchmark.run()
    errors = {line for line in capsys.readouterr().out.splitlines() if "Error" in line}
    unknown = {f"Error running workload metric 'NeuronOperations': 'Integer{kind}'" for kind in ("Leaky", "Synaptic")}
    assert errors and errors <= unknown if registered else not errors
    return results


def make_benchmark(net: Any, data: npt.NDArray[Any], batch: int) -> Any:
    inputs, labels = torch.as_tensor(data.astype(np.float32)), torch.zeros(len(data))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, labels), batch_size=batch)
    return benchmarks.Benchmark(models.SNNTorchModel(net), loader, [], [], METRICS)


def ours(network: Network, data: npt.NDArray[Any] | Events, **settings: Any) -> dict[str, Any]:
    events = data if isinstance(data, Events) else events_from_dense(data)
    return workload(compile(network, "unlimited"), events, **settings).neurobench()


def even_weights(rng: np.random.Generator, *shape: int, zeros: float = 0.3) -> Ints:
    """Return weights that 8 bits with sign hold, some of them 0."""
    weights = 2 * rng.integers(-60, 100, shape)
    return np.asarray(np.where(rng.random(shape) < zeros, 0, weights), np.int64)


def dense_layers(rng: np.random.Generator, du: int, dv: int, exponent: int, vth: int) -> Network:
    """Return 12-9-5."""
    return Network(
        [Input("in", 12), LIF("hidden", 9, du=du, dv=dv, vth=vth), LIF("out", 5, du=du, dv=dv, vth=vth)],
        [
            Dense("in", "hidden", even_weights(rng, 9, 12), exponent, sign_mode="mixed"),
            Dense("hidden", "out", even_weights(rng, 5, 9), exponent, sign_mode="mixed"),
        ],
    )


def assert_equal(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Compare all values; NeuroBench adds up ``sparsity * batch / samples`` in floats, which costs the last bits of one."""
    assert mine.pop("ActivationSparsity") == pytest.approx(theirs.pop("ActivationSparsity"), rel=1e-14)
    assert mine == theirs


def assert_registered_equal(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Compare all but the operations of neurons, for which NeuroBench has no cost: it fails and says 0.0."""
    assert theirs.pop("NeuronOperations") == 0.0
    mine.pop("NeuronOperations")
    assert_equal(mine, theirs)


# Leaky without and with a leak, Synaptic; steps and exponents within which halves and quarters stay integers.
STOCK = [(4095, 0, 0, 40), (4095, 2048, 5, 12), (2047, 0, 5, 10), (2047, 2048, 5, 10), (3071, 0, 4, 5)]


@pytest.mark.parametrize(("du", "dv", "exponent", "n_steps"), STOCK)
@pytest.mark.parametrize("batch", [16, 1])
def test_dense_network_of_stock_neurons_has_equal_values(
    du: int, dv: int, exponent: int, n_steps: int, batch: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(du + dv + batch)
    network = dense_layers(rng, du, dv, exponent, vth=150 << exponent)
    data = rng.random((16, n_steps, 12)) < 0.3
    hidden, out = (group for group in network.groups if isinstance(group, LIF))
    net = Chain(
        linear(network.connections[0]), stock(hidden, exponent), linear(network.connections[1]), stock(out, exponent)
    )
    theirs = measure(net, data, batch, capsys)
    mine = ours(network, data, batch=batch)
    assert 0.2 < theirs["ActivationSparsity"] < 0.99
    assert theirs["SynapticOperations"]["Effective_ACs"] > 0
    assert_equal(mine, theirs)


def test_footprint_grows_with_what_neurons_keep_of_the_last_batch(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    network = dense_layers(rng, 2047, 0, 5, vth=150 << 5)
    neurons = [stock(group, 5) for group in network.groups if isinstance(group, LIF)]
    net = Chain(linear(network.connections[0]), neurons[0], linear(network.connections[1]), neurons[1])
    data = rng.random((7, 4, 12)) < 0.3
    held = workload(compile(network, "unlimited"), events_from_dense(data)).footprint
    assert measure(net, data, 4, capsys)["Footprint"] == held.torch_bytes
    assert held.torch_bytes is not None and held.state_bytes is not None
    assert measure(net, data, 4, capsys)["Footprint"] == held.torch_bytes + 3 * held.state_bytes  # 7 = 4 + 3


@pytest.mark.parametrize("seed", range(6))
def test_registered_neurons_of_any_decay_have_equal_values(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(seed)
    du, dv = int(rng.integers(0, 4095)), int(rng.integers(0, 4096))
    network = dense_layers(rng, du, dv, 0, vth=int(rng.integers(50, 400)))
    net = as_chain(network)
    data = rng.random((10, 30, 12)) < 0.2
    theirs = measure(net, data, 10, capsys, registered=True)
    assert_registered_equal(ours(network, data), theirs)


def test_sparse_and_one_to_one_connections_are_linear_layers_with_zeros(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(2)
    row, col = np.nonzero(rng.random((9, 12)) < 0.4)
    data = even_weights(rng, len(row))
    network = Network(
        [Input("in", 12), LIF("hidden", 9, du=2000, dv=100, vth=90), LIF("out", 9, du=2000, dv=100, vth=90)],
        [
            Sparse("in", "hidden", (9, 12), row, col, data, sign_mode="mixed"),
            OneToOne("hidden", "out", 9, even_weights(rng, 9), sign_mode="mixed"),
        ],
    )
    net = as_chain(network)
    spikes = rng.random((6, 20, 12)) < 0.4
    assert_registered_equal(ours(network, spikes), measure(net, spikes, 6, capsys, registered=True))


# stride, padding, dilation, groups
CONVOLUTIONS = [(1, 0, 1, 1), (1, 2, 1, 1), (2, 1, 1, 2), ((1, 2), (0, 1), (2, 1), 1)]


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), CONVOLUTIONS)
def test_convolution_has_equal_values(
    stride: Any, padding: Any, dilation: Any, groups: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(3)
    kernel = even_weights(rng, 4, 3, 2, 2 // groups, zeros=0.4)
    conv = Conv("in", "conv", kernel, (7, 6, 2), stride, padding, dilation, groups)
    width, height, channels = conv.output_shape
    network = Network(
        [Input("in", 84), LIF("conv", conv.shape[0], du=4095, dv=0, vth=60), LIF("out", 5, du=4095, dv=0, vth=100)],
        [conv, Dense("conv", "out", even_weights(rng, 5, conv.shape[0]), sign_mode="mixed")],
    )
    first, second = (stock(group) for group in network.groups if isinstance(group, LIF))
    # From (channels, x, y) to our order (x, y, channel), which the dense layer knows.
    flat = _Flatten()
    net = Chain(conv2d(conv), first, flat, linear(network.connections[1]), second)
    data = rng.random((6, 8, 84)) < 0.2
    pictures = data.reshape(6, 8, 7, 6, 2).transpose(0, 1, 4, 2, 3)
    theirs = measure(net, pictures, 6, capsys)
    assert theirs["SynapticOperations"]["Effective_ACs"] > 0 and width * height * channels == conv.shape[0]
    assert_equal(ours(network, data), theirs)


def test_biases_of_a_convolution_are_parameters_of_its_channels(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(4)
    conv = Conv("in", "conv", even_weights(rng, 4, 3, 3, 2), (6, 6, 2), padding=1)
    bias = np.tile([3, 0, -2, 5], conv.shape[0] // 4)
    network = Network([Input("in", 72), LIF("conv", conv.shape[0], du=4095, vth=60, bias_mant=bias)], [conv])
    layer = conv2d(conv)
    layer.bias = torch.nn.Parameter(torch.as_tensor([3.0, 0.0, -2.0, 5.0]) / 64)  # in units of weights
    (group,) = (group for group in network.groups if isinstance(group, LIF))
    data = np.zeros((2, 5, 72), np.bool_)
    theirs = measure(Chain(layer, stock(group)), data.reshape(2, 5, 6, 6, 2).transpose(0, 1, 4, 2, 3), 2, capsys)
    # Without input both layouts see the bias alone, and the first connection is called in the first step of both.
    assert_equal(ours(network, data, aligned=False), theirs)


class _Flatten(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x.permute(0, 2, 3, 1).flatten(1)


@pytest.mark.parametrize("batch", [12, 4, 1])
def test_graded_inputs_are_macs_in_steps_in_which_the_batch_needs_them(
    batch: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(5)
    network = Network(
        [Input("in", 8), LIF("out", 5, du=1000, dv=50, vth=300)],
        [Dense("in", "out", even_weights(rng, 5, 8), sign_mode="mixed", num_message_bits=8)],
    )
    net = as_chain(network)
    data = rng.integers(-1, 2, (12, 15, 8)) * (rng.random((12, 15, 8)) < 0.4)
    data[rng.random(data.shape) < 0.01] = 7
    theirs = measure(net, data, batch, capsys, registered=True)
    mine = ours(network, events_from_dense(data, graded=True), batch=batch)
    operations = theirs["SynapticOperations"]
    assert operations["Effective_ACs"] > 0 and operations["Effective_MACs"] > 0
    assert_registered_equal(mine, theirs)


def test_spikes_of_minus_one_are_acs(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(6)
    network = Network(
        [
            Input("in", 8),
            TernaryLIF("hidden", 7, du=3000, dv=100, vth_hi=100, vth_lo=-80),
            LIF("out", 4, du=3000, dv=100, vth=60),
        ],
        [
            Dense("in", "hidden", even_weights(rng, 7, 8), sign_mode="mixed"),
            Dense("hidden", "out", even_weights(rng, 4, 7), sign_mode="mixed", num_message_bits=2),
        ],
    )
    net = as_chain(network)
    data = rng.random((6, 20, 8)) < 0.3
    theirs, mine = measure(net, data, 6, capsys, registered=True), ours(network, data)
    assert (
        mine.pop("Footprint") is None
    )  # no neuron of snnTorch's is ternary: ours is registered as if it were Synaptic
    assert theirs.pop("Footprint") > 0 and theirs["SynapticOperations"]["Effective_MACs"] == 0
    assert_registered_equal(mine, theirs)


@pytest.mark.parametrize("seed", range(4))
def test_recurrent_network_with_bias_has_equal_values_in_steps_of_the_chip(
    seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(seed)
    sizes = {"in": 6, "a": 8, "b": 7}
    pairs = [("in", "a"), ("a", "b"), ("a", "a"), ("b", "a"), ("in", "b")]
    network = Network(
        [
            Input("in", 6),
            LIF("a", 8, du=2000, dv=300, vth=500, bias_mant=rng.integers(-50, 100, 8)),
            LIF("b", 7, du=500, dv=30, vth=700),
        ],
        [Dense(a, b, even_weights(rng, sizes[b], sizes[a]), sign_mode="mixed") for a, b in pairs],
    )
    data = rng.random((5, 25, 6)) < 0.3
    net = Pipeline(network)
    theirs, mine = measure(net, data, 5, capsys, registered=True), ours(network, data, aligned=False)
    assert mine.pop("ParameterCount") == theirs.pop("ParameterCount") + 8  # the neuron holds the bias here
    assert mine.pop("Footprint") == theirs.pop("Footprint") + 8 * 4
    assert_registered_equal(mine, theirs)


def test_neurobench_adds_in_floats_of_24_bits(capsys: pytest.CaptureFixture[str]) -> None:
    """Each call's operations are one sum of float32, so that calls beyond 2**24 operations are not exact; ours are."""
    n_pre, n_post, n_samples = 1023, 1025, 33
    network = Network(
        [Input("in", n_pre), LIF("out", n_post, du=4095, vth=131071)],
        [Dense("in", "out", np.full((n_post, n_pre), 2), sign_mode="mixed")],
    )
    (group,) = (group for group in network.groups if isinstance(group, LIF))
    net = Chain(linear(network.connections[0]), stock(group))
    data = np.ones((n_samples, 1, n_pre), np.bool_)
    data[0, 0, :2] = False
    theirs, mine = (
        measure(net, data, n_samples, capsys)["SynapticOperations"],
        ours(network, data)["SynapticOperations"],
    )
    effective = n_post * (n_pre * n_samples - 2)
    assert mine == {"Effective_MACs": 0, "Effective_ACs": effective / n_samples, "Dense": n_post * n_pre}
    assert n_post * n_pre * n_samples % 2 and n_post * n_pre * n_samples > 2**24, "no float32 holds this"
    assert theirs["Dense"] != mine["Dense"] and theirs["Dense"] == pytest.approx(mine["Dense"], rel=2**-22)


def lava_dl_network(layers: Sequence[Layer]) -> Network:
    """Return dense layers of lava-dl in our terms; the last group is "out"."""
    names = ["in", *(f"hidden{i}" for i in range(1, len(layers))), "out"]
    groups = [LIF(n, len(x.weights), du=x.du, dv=x.dv, vth=x.vth) for n, x in zip(names[1:], layers, strict=True)]
    links = [Dense(a, b, x.weights, sign_mode="mixed") for a, b, x in zip(names, names[1:], layers, strict=False)]
    return Network([Input("in", layers[0].weights.shape[1]), *groups], links)


def test_trained_network_of_lava_dl_on_mnist_has_equal_values(capsys: pytest.CaptureFixture[str]) -> None:
    network = lava_dl_network(read_net(data_file("lava-models", "mnist", "trained_mnist_network.net")))
    images, labels = load_mnist("test", data_file("mnist", "t10k-images-idx3-ubyte.gz").parent)
    pixels = images[:50].reshape(50, 1, 784).astype(np.int64)
    data = (
        np.diff(np.arange(33)[:, None] * pixels // 1024, axis=1) > 0
    )  # a pixel of 255 fires in a quarter of the steps
    theirs = measure(as_chain(network), data, 25, capsys, registered=True)
    assert theirs["ActivationSparsity"] < 0.99 and theirs["SynapticOperations"]["Effective_ACs"] > 10_000
    assert_registered_equal(ours(network, data), theirs)
    # The answers are those that the network was trained for.
    with get_backend().open(compile(network.with_probes([Probe("out")]))) as runner:
        train = runner.run(events_from_dense(data), 35).spikes["out"]
    votes = np.zeros((50, 10), np.int64)
    np.add.at(votes, (train.sample, train.neuron), 1)
    assert np.count_nonzero(votes.argmax(axis=1) == labels[:50]) >= 47


def test_trained_network_of_lava_dl_on_its_own_input_has_equal_values(capsys: pytest.CaptureFixture[str]) -> None:
    found = oxford()
    network = lava_dl_network(found.layers)
    data = found.spikes_in[None]
    assert_registered_equal(ours(network, data), measure(as_chain(network), data, 1, capsys, registered=True))
