"""The float simulation: against a loop over neurons, against integers where floats are exact, in blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurosim.backend import get_backend
from neurosim.compile_network import compile as compile_network
from neurosim.errors import DataError, NetworkError, QuantizationError
from neurosim.events import Events, events_from_dense
from neurosim.floatsim import FloatSimulator, deliver, simulate
from neurosim.groups import CUBA_MODELS
from neurosim.network import LIF, Connection, ConvConnection, CubaLIF, Dense, Input, Network, Probe, SparseConnection
from neurosim.quantize import quantize

STEPS = 23


def some_events(seed: int, n: int, n_samples: int = 3, n_steps: int = STEPS, share: float = 0.3) -> Events:
    return events_from_dense(np.random.default_rng(seed).random((n_samples, n_steps, n)) < share)


def as_matrix(connection: Connection) -> np.ndarray:
    """The weights as (n_post, n_pre), a convolution by its definition in docs/arithmetic.md."""
    weights = np.asarray(connection.weights)
    if isinstance(connection, SparseConnection):
        found = np.zeros(connection.shape)
        found[np.asarray(connection.row), np.asarray(connection.col)] = weights
        return found
    if not isinstance(connection, ConvConnection):
        return weights
    conv = connection.with_integers(np.zeros(weights.shape, np.int64), 0, "mixed")
    (stride_x, stride_y), (pad_x, pad_y), (dil_x, dil_y) = conv.geometry
    width, height, channels = conv.input_shape
    out_w, out_h, out_c = conv.output_shape
    _, k_x, k_y, per_group = weights.shape
    found = np.zeros(connection.shape)
    for x, y, o in np.ndindex(out_w, out_h, out_c):
        for i, j, c in np.ndindex(k_x, k_y, per_group):
            from_x, from_y = x * stride_x + i * dil_x - pad_x, y * stride_y + j * dil_y - pad_y
            if 0 <= from_x < width and 0 <= from_y < height:
                pre = (from_x * height + from_y) * channels + o // (out_c // conv.groups) * per_group + c
                found[(x * out_h + y) * out_c + o, pre] += weights[o, k_x - 1 - i, k_y - 1 - j, c]
    return found


def delays_of(connection: Connection) -> np.ndarray:
    """The delays as (n_post, n_pre)."""
    found = np.zeros(connection.shape, np.int64)
    if isinstance(connection, SparseConnection) and connection.delays is not None:
        found[np.asarray(connection.row), np.asarray(connection.col)] = connection.delays
    elif connection.delays is not None:
        found[...] = connection.delays
    return found


def naive(network: Network, events: Events, n_steps: int, decay: str = "exact") -> tuple[dict, dict]:
    """One neuron after the other, as the equations stand in the documentation; plain LIF only."""
    dense = events.to_dense()
    n_samples = events.n_samples
    spikes = {g.name: np.zeros((n_samples, n_steps, g.n), bool) for g in network.groups}
    volts = {g.name: np.zeros((n_samples, n_steps, g.n)) for g in network.groups}
    lose = {g.name: [np.array([one_decay(tau, network.dt, decay, none) for tau in g.each(which)])
                     for which, none in (("tau_syn", 1.0), ("tau_mem", 0.0))]
            for g in network.groups if isinstance(g, CubaLIF)}  # fmt: skip
    matrices = {c.name: (as_matrix(c), delays_of(c)) for c in network.connections}
    for group in network.groups:
        if isinstance(group, Input):
            first = network.offsets[group.name]
            seen = dense[:, :n_steps, first : first + group.n]
            spikes[group.name][:, : seen.shape[1]] = seen
    for sample in range(n_samples):
        u = {name: np.zeros(network.group(name).n) for name in lose}
        v = {name: np.zeros(network.group(name).n) for name in lose}
        for t in range(n_steps):
            for name, (d_syn, d_mem) in lose.items():
                group = network.group(name)
                total = np.zeros(group.n)
                for c in network.connections:
                    if c.target == name:
                        weights, delays = matrices[c.name]
                        for post, pre in np.ndindex(weights.shape):
                            sent = t - 1 - delays[post, pre]
                            total[post] += weights[post, pre] * (sent >= 0 and spikes[c.source][sample, sent, pre])
                u[name] = (1 - d_syn) * u[name] + d_syn * total
                v[name] = (1 - d_mem) * v[name] + u[name] + group.bias
                fired = v[name] > group.v_threshold
                v[name] = np.where(fired, 0, v[name])
                spikes[name][sample, t], volts[name][sample, t] = fired, v[name]
    return spikes, volts


def one_decay(tau: float, dt: float, decay: str, none: float) -> float:
    if math.isinf(tau):
        return none
    return 1 - math.exp(-dt / tau) if decay == "exact" else dt / tau


def dense_net(recurrent: bool, seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    groups = [
        Input("in", 7), Input("more", 3), CubaLIF("mid", 6, 0.02, 0.005, bias=rng.normal(0, 0.02, 6)), CubaLIF("ahead", 4, None, None),
        CubaLIF("out", 3, 0.01, None, v_threshold=math.inf),
    ]  # fmt: skip
    sizes = {g.name: g.n for g in groups}
    edges = [("in", "mid"), ("more", "mid"), ("more", "ahead"), ("mid", "ahead"), ("mid", "out"), ("ahead", "out")]
    edges += [("mid", "mid"), ("ahead", "mid")] * recurrent
    return Network(groups, [Connection(a, b, rng.normal(0.1, 0.4, (sizes[b], sizes[a]))) for a, b in edges])


def conv_net(**settings: object) -> Network:
    rng = np.random.default_rng(1)
    kernel = rng.normal(0.1, 0.4, (4, 3, 2, 2 // settings.get("groups", 1)))
    conv = ConvConnection("in", "mid", kernel, input_shape=(7, 6, 2), **settings)
    groups = [Input("in", 84), CubaLIF("mid", conv.shape[0], 0.02), CubaLIF("out", 2, 0.02)]
    return Network(groups, [conv, Connection("mid", "out", rng.normal(0, 0.2, (2, conv.shape[0])))])


def check_against_naive(network: Network, decay: str = "exact", n_steps: int = STEPS) -> None:
    events = some_events(3, network.n_inputs)
    record = [(g.name, "v") for g in network.groups if isinstance(g, CubaLIF)]
    found = simulate(network, events, n_steps, decay=decay, record=record)
    spikes, volts = naive(network, events, n_steps, decay)
    for name, expected in spikes.items():
        np.testing.assert_array_equal(found.spikes[name], expected, err_msg=name)
    for name, _ in record:
        np.testing.assert_allclose(found.states[name, "v"], volts[name], rtol=0, atol=1e-12, err_msg=name)
    assert any(spikes[name].any() for name, _ in record)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("decay", ["exact", "euler"])
def test_equals_a_loop_over_neurons(recurrent: bool, decay: str) -> None:
    check_against_naive(dense_net(recurrent), decay)


@pytest.mark.parametrize("n_steps", [5, STEPS + 9])
def test_runs_fewer_and_more_steps_than_the_events_have(n_steps: int) -> None:
    check_against_naive(dense_net(False), n_steps=n_steps)


def rich_net(share: float) -> Network:
    """Numbers of each neuron, delays, and single synapses; a cycle with delays."""
    rng = np.random.default_rng(4)
    n_in, n_mid = 6, 5
    groups = [
        Input("in", n_in),
        CubaLIF("mid", n_mid, [0.01, 0.02, np.inf, 0.005, 0.03], [np.inf, 0.004, 0.002, np.inf, 0.01],
                [0.6, 0.8, 1.0, 1.2, np.inf], rng.normal(0.02, 0.02, n_mid)),
        CubaLIF("out", 3, None, 0.003, [0.5, 0.7, np.inf]),
    ]  # fmt: skip
    row, col = np.nonzero(rng.random((3, n_mid)) < share)
    connections = [
        Connection("in", "mid", rng.normal(0.2, 0.5, (n_mid, n_in)), delays=rng.integers(0, 5, (n_mid, n_in))),
        Connection("mid", "mid", rng.normal(0, 0.4, (n_mid, n_mid)), delays=rng.integers(0, 3, (n_mid, n_mid))),
        SparseConnection(
            "mid", "out", (3, n_mid), row, col, rng.normal(0.3, 0.4, len(row)), rng.integers(0, 4, len(row))
        ),
        SparseConnection("in", "out", (3, n_in), [2, 0], [1, 5], [0.7, 0.4]),
    ]
    return Network(groups, connections)


@pytest.mark.parametrize("share", [0.2, 0.9])
@pytest.mark.parametrize("decay", ["exact", "euler"])
def test_neurons_of_their_own_delays_and_single_synapses(share: float, decay: str) -> None:
    check_against_naive(rich_net(share), decay)


def test_many_synapses_are_added_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = simulate(rich_net(0.2), some_events(3, 6))
    monkeypatch.setattr(deliver, "CHUNK", 3)
    found = simulate(rich_net(0.2), some_events(3, 6))
    for name, expected in whole.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], expected)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stride": 2, "padding": (1, 0)},
        {"stride": (1, 2), "padding": 1},
        {"dilation": (2, 1)},
        {"groups": 2, "dilation": 2},
    ],
)
def test_convolution_equals_its_matrix(settings: dict[str, object]) -> None:
    check_against_naive(conv_net(**settings))


def exact_weights(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Weights that are even integers at S = 256, the scale that the largest of them gives."""
    weights = rng.integers(-70, 100, shape) / 128
    weights[0, 0] = 127 / 128
    return weights


@pytest.mark.parametrize("model", CUBA_MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_integer_simulator_where_numbers_are_exact(model: str, seed: int) -> None:
    # Without a leak nothing rounds; a hidden group with each model feeds a readout that shows what it sent.
    rng = np.random.default_rng(seed)
    bits = CUBA_MODELS[model]
    groups = [Input("in", 8), CubaLIF("mid", 5, v_threshold=1.0, model=model), CubaLIF("out", 2, v_threshold=math.inf)]
    second = Connection("mid", "out", exact_weights(rng, (2, 5)), num_message_bits=bits)
    network = Network(groups, [Connection("in", "mid", exact_weights(rng, (5, 8))), second], dt=1e-3)
    events = some_events(seed, 8, 4, 40)
    found = simulate(network, events, record=[("mid", "v"), ("out", "v")])
    quantized = quantize(network)
    assert quantized.scales["group/mid"] == quantized.scales["group/out"] == 256
    probes = [Probe("mid"), Probe("mid", "v"), Probe("out", "v")]
    program = compile_network(quantized.network.with_probes(probes), "unlimited")
    with get_backend().open(program, strict=True) as runner:
        result = runner.run(events)
    train = result.spikes["mid"]
    raster = np.zeros((4, 40, 5), np.int64)
    raster[train.sample, train.step, train.neuron] = 1 if train.value is None else train.value
    np.testing.assert_array_equal(found.values.get("mid", found.spikes["mid"]), raster)
    assert raster.any()
    for name in ("mid", "out"):
        np.testing.assert_array_equal(found.states[name, "v"] * 64 * 256, result.states[name, "v"])


def test_values_of_inputs_multiply_weights() -> None:
    dense = np.array([[[3, 0], [0, -2], [0, 0]]])
    network = Network(
        [Input("in", 2), CubaLIF("out", 1, v_threshold=math.inf)],
        [Connection("in", "out", [[0.5, 0.25]], num_message_bits=8)],
    )
    found = simulate(network, events_from_dense(dense, graded=True), record=[("out", "v")])
    assert found.states["out", "v"].ravel().tolist() == [0.0, 1.5, 1.0]
    assert found.values["in"].tolist() == dense.tolist()


def test_values_are_spikes_where_messages_have_no_bits() -> None:
    network = Network([Input("in", 1), CubaLIF("out", 1, v_threshold=math.inf)], [Connection("in", "out", [[0.5]])])
    found = simulate(network, events_from_dense([[[7], [0]]], graded=True), record=[("out", "v")])
    assert found.states["out", "v"].ravel().tolist() == [0.0, 0.5]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_blocks_give_what_one_run_gives(size: int) -> None:
    network = dense_net(True)
    events = some_events(5, 10, 7)
    simulator = FloatSimulator(network, record=[("out", "v")])
    whole = simulate(network, events, record=[("out", "v")])
    seen = 0
    for first, part in simulator.blocks(events, size=size):
        n = len(part.spikes["mid"])
        np.testing.assert_array_equal(part.spikes["mid"], whole.spikes["mid"][first : first + n])
        np.testing.assert_allclose(part.states["out", "v"], whole.states["out", "v"][first : first + n], atol=1e-12)
        seen += n
    assert seen == 7


def test_returns_the_groups_asked_for() -> None:
    found = simulate(dense_net(False), some_events(1, 10), spikes=["out"])
    assert list(found.spikes) == ["out"] and not found.states


def test_blocks_are_bounded_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    network = dense_net(False)
    simulator = FloatSimulator(network)
    one = simulator.block_size(STEPS)
    assert one > 1 and simulator.block_size(10 * STEPS) == one // 10


def test_refuses_what_has_no_float_form() -> None:
    floats = Connection("in", "out", [[0.5]])
    with pytest.raises(NetworkError, match=r"group 'out': LIF is in chip integers.*CubaLIF"):
        FloatSimulator(Network([Input("in", 1), LIF("out", 1)], [floats]))
    with pytest.raises(NetworkError, match=r"connection 'in->out': Dense is in chip integers.*Connection"):
        FloatSimulator(Network([Input("in", 1), CubaLIF("out", 1)], [Dense("in", "out", [[2]])]))
    network = Network([Input("in", 1), CubaLIF("out", 1)], [floats])
    with pytest.raises(NetworkError, match="'in' has no state 'v'"):
        FloatSimulator(network, record=[("in", "v")])
    with pytest.raises(QuantizationError, match="unknown decay 'lazy'"):
        FloatSimulator(network, decay="lazy")
    with pytest.raises(DataError, match="size 0 is not positive"):
        next(FloatSimulator(network).blocks(some_events(0, 1), size=0))


def test_refuses_values_of_binary_spikes() -> None:
    groups = [Input("in", 1), CubaLIF("mid", 1), CubaLIF("out", 1)]
    network = Network(groups, [Connection("in", "mid", [[2.0]]), Connection("mid", "out", [[1.0]], num_message_bits=4)])
    with pytest.raises(NetworkError, match="'mid' sends spikes without values"):
        simulate(network, some_events(0, 1))
