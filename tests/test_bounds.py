"""Bounds of overflow and of the voltage's error: nothing that runs leaves them, and they are not far off."""

from __future__ import annotations

import math

import numpy as np
import pytest
from realdata import data_file

from neurosim.backend import get_backend
from neurosim.bounds import grows, largest_message, voltage_error_bound
from neurosim.chip import load_chip
from neurosim.compile_network import compile
from neurosim.decays import Decay, decays_of
from neurosim.errors import QuantizationError
from neurosim.events import events_from_dense
from neurosim.network import (
    LIF,
    Connection,
    Conv,
    CubaLIF,
    Dense,
    Group,
    Input,
    Network,
    OneToOne,
    Probe,
    Sparse,
    SparseConnection,
)
from neurosim.neurons import ATRLIF, GradedVec, MultiSpikeLIF, RFIzhikevich, TernaryLIF
from neurosim.quantize import Quantized, quantize

STATE_LIMIT, STATE_MAX = 1 << 23, (1 << 23) - 1


def notes_of(quantized: Quantized, owner: str) -> dict[str, float | None]:
    return {n.quantity: n.value for n in quantized.notes if n.owner == owner}


def run(network: Network, inputs: np.ndarray, states: bool = True) -> dict[str, np.ndarray]:
    """States of group "out" in each step, (n_steps, n), and its spikes."""
    probes = [Probe("out"), *([Probe("out", state) for state in network.group("out").states] if states else [])]
    with get_backend("simulator").open(compile(network.with_probes(probes), load_chip("unlimited"))) as runner:
        found = runner.run(events_from_dense(inputs[None]), len(inputs))
    train, n = found.spikes["out"], network.group("out").n
    raster = np.zeros((len(inputs), n), bool)
    raster[train.step, train.neuron] = True
    return {state: values[0] for (_, state), values in found.states.items()} | {"spikes": raster}


# Overflow


def random_integers(rng: np.random.Generator, model: str) -> tuple[Network, np.ndarray]:
    """A group of two neurons with connections of all forms, and the inputs that push its first neuron the hardest."""
    n, sources = 2, 6
    registers = {"bias_mant": rng.integers(-200, 200, n), "bias_exp": 2}
    decays = {"du": int(rng.integers(0, 4096)), "dv": int(rng.integers(1, 4096))}
    group: Group
    if model == "atrlif":
        group = ATRLIF("out", n, delta_i=decays["du"], delta_v=decays["dv"], theta_0=100, **registers)
    elif model == "ternary":
        group = TernaryLIF("out", n, vth_hi=400, vth_lo=-300, **decays, **registers)
    elif model in ("multispike", "messages for all"):
        most = {"max_spikes": 3} if model == "multispike" else {"max_spikes": 127, "signed": bool(rng.integers(2))}
        group = MultiSpikeLIF("out", n, vth=300, **most, **decays, **registers)
    else:
        group = LIF("out", n, vth=500, **decays, **registers)
    weights = rng.integers(-128, 128, (n, sources)) * 2
    row, col = np.nonzero(rng.random((n, sources)) < 0.7)
    connections = [
        Dense("a", "out", weights, int(rng.integers(-8, 3)), sign_mode="mixed"),
        Sparse("b", "out", (n, sources), row, col, rng.integers(-128, 128, len(row)) * 2,
               int(rng.integers(-8, 3)), sign_mode="mixed", delays=rng.integers(0, 4, len(row))),
        OneToOne("c", "out", n, 40, 1),
    ]  # fmt: skip
    network = Network([Input("a", sources), Input("b", sources), Input("c", n), group], connections)
    sign = 1 if rng.random() < 0.5 else -1
    pushes = np.zeros(2 * sources + n, bool)
    pushes[:sources] = sign * weights[0] > 0
    pushes[sources : 2 * sources][col[(row == 0)]] = sign * np.asarray(connections[1].data)[row == 0] > 0
    pushes[2 * sources :] = sign > 0
    return network, np.broadcast_to(pushes, (400, len(pushes)))


@pytest.mark.parametrize("model", ["lif", "ternary", "multispike", "messages for all", "atrlif"])
def test_nothing_that_runs_leaves_its_bounds(model: str) -> None:
    rng = np.random.default_rng(11)
    closest = {"input_bound": 0.0, "v_bound": 0.0}
    current = "i" if model == "atrlif" else "u"
    for _ in range(40):
        network, inputs = random_integers(rng, model)
        quantized = quantize(network)
        bounds, found = notes_of(quantized, "group/out"), run(quantized.network, inputs)
        assert bounds["input_bound"] is not None and bounds["v_bound"] is not None
        if bounds["input_bound"] > 1:
            continue  # it may wrap, and then nothing holds
        for state, quantity, limit in ((current, "input_bound", STATE_LIMIT), ("v", "v_bound", STATE_MAX)):
            reached = np.abs(found[state]).max() / limit
            assert reached <= max(bounds[quantity] * (1 + 1e-12), 0)
            closest[quantity] = max(closest[quantity], reached / bounds[quantity])
    # Pushed as hard as possible, some case comes close: bounds that say little would pass the above. Voltages are recorded
    # after the reset, so that only the negative side, where nothing resets, comes close.
    assert closest["input_bound"] > 0.6
    assert closest["v_bound"] > 0.3


def test_the_sum_of_a_step_is_bounded_by_all_weights_at_once() -> None:
    network = Network([Input("in", 3), LIF("out", 2)], [Dense("in", "out", [[2, -4, 6], [0, 0, 8]], weight_exp=1)])
    found = notes_of(quantize(network), "group/out")
    assert found["sum_bound"] == 12 * 2 * 64 / 2**31
    assert found["loihi1_sum_bound"] == 12 * 2 * 64 / 2**21


def test_128_full_weights_reach_the_sum_of_loihi1() -> None:
    network = Network([Input("in", 129), LIF("out", 1, du=4095)], [Dense("in", "out", np.full((1, 129), 254))])
    quantized = quantize(network)
    assert notes_of(quantized, "group/out")["loihi1_sum_bound"] == 129 * 254 * 64 / 2**21 > 0.99
    wide = Network([Input("in", 130), LIF("out", 1, du=4095)], [Dense("in", "out", np.full((1, 130), 254))])
    (found,) = [n for n in quantize(wide).notes if n.quantity == "loihi1_sum_bound"]
    assert "can wrap there" in found.text


def test_voltages_are_bounded_where_they_leak_or_cannot_sink() -> None:
    def bound(weights: list[list[int]], **registers: int) -> float | None:
        network = Network([Input("in", 2), LIF("out", 1, du=4095, vth=100, **registers)], [Dense("in", "out", weights)])
        return notes_of(quantize(network), "group/out")["v_bound"]

    assert bound([[10, -20]], dv=2048) == pytest.approx(20 * 64 * 2 / STATE_MAX)  # the negative side, twice its input
    assert bound([[10, 20]], dv=0) == pytest.approx((100 + 30) * 64 / STATE_MAX)  # to the threshold and one step beyond
    assert bound([[10, -20]], dv=0) is None
    assert bound([[10, 20]], dv=0, bias_mant=-1) is None

    def of_rest(weights: list[list[int]], **settings: int) -> float | None:
        group = MultiSpikeLIF("out", 1, du=4095, vth=10, max_spikes=3, **settings)
        return notes_of(quantize(Network([Input("in", 2), group], [Dense("in", "out", weights)])), "group/out")[
            "v_bound"
        ]

    assert of_rest([[10, -20]]) == pytest.approx(
        (20 + 10) * 64 / STATE_MAX, abs=2 / STATE_MAX
    )  # less than 10 were left
    assert of_rest([[10, 20]]) == pytest.approx((30 + 10) * 64 / STATE_MAX, abs=2 / STATE_MAX)
    assert of_rest([[12, 20]]) is None, "32 in each step are more than three messages of 10 take off"
    assert of_rest([[10, -20]], signed=False) is None
    quantized = quantize(Network([Input("in", 1), LIF("out", 1)], [Dense("in", "out", [[-2]])]))
    (found,) = [n for n in quantized.notes if n.quantity == "v_bound"]
    assert "no bound below" in found.text


def test_sums_of_convolutions_wrap_into_24_bits() -> None:
    network = Network([Input("in", 4), LIF("out", 4)], [Conv("in", "out", [[[[100]]]], (2, 2, 1))])
    assert notes_of(quantize(network), "connection/in->out")["conv_bound"] == 100 / 2**23
    wide = np.full((1, 1, 1, 33000), 255)
    network = Network([Input("in", 33000), LIF("out", 1)], [Conv("in", "out", wide, (1, 1, 33000))])
    (found,) = [n for n in quantize(network).notes if n.quantity == "conv_bound"]
    assert found.value == pytest.approx(33000 * 255 / 2**23) and "can wrap into 24 bits" in found.text


def test_messages_multiply_what_may_arrive() -> None:
    line = Dense("a", "out", [[10]], num_message_bits=5)
    sources: list[tuple[Group, int | None]] = [
        (Input("a", 1), 31),
        (LIF("a", 1), 1),
        (TernaryLIF("a", 1), 1),
        (MultiSpikeLIF("a", 1, max_spikes=7), 7),
        (GradedVec("a", 1), None),
    ]
    for source, largest in sources:
        assert largest_message(source, line) == largest
        assert largest_message(source, Dense("a", "out", [[10]])) == 1
    network = Network([MultiSpikeLIF("a", 1, max_spikes=7), LIF("out", 1, du=4095)], [line])
    assert notes_of(quantize(network), "group/out")["input_bound"] == 10 * 7 * 64 / 2**23
    network = Network([GradedVec("a", 1), LIF("out", 1, du=4095)], [line])
    assert notes_of(quantize(network), "group/out") == {}


@pytest.mark.parametrize(("signed", "bound"), [(True, None), (False, (100 + 70) * 64 / STATE_MAX)])
def test_messages_without_signs_push_only_as_the_weights_do(signed: bool, bound: float | None) -> None:
    source = MultiSpikeLIF("a", 1, max_spikes=7, signed=signed)
    line = Dense("a", "out", [[10]], num_message_bits=5)
    network = Network([source, LIF("out", 1, du=4095, vth=100)], [line])
    assert notes_of(quantize(network), "group/out")["v_bound"] == (bound and pytest.approx(bound))


def test_inputs_without_memory_are_not_shifted() -> None:
    network = Network([Input("in", 1), GradedVec("out", 1)], [Dense("in", "out", [[100]])])
    assert notes_of(quantize(network), "group/out") == {"sum_bound": 100 / 2**31}


def test_models_of_other_states_have_no_bounds() -> None:
    group = RFIzhikevich("out", 1, sin_decay=100, cos_decay=3000)
    quantized = quantize(Network([Input("in", 1), group], [Dense("in", "out", [[100]])]))
    assert notes_of(quantized, "group/out") == {}


# The voltage's error


def float_run(network: Network, inputs: np.ndarray, decay: Decay) -> dict[str, np.ndarray]:
    """u, v before the reset and spikes of group "out" in chip timing, (n_steps, n) each: the recursion of section 9."""
    group, (connection,) = network.group("out"), network.connections
    assert isinstance(group, CubaLIF) and isinstance(connection, SparseConnection)
    d, e = decays_of(group, network.dt, decay)
    weights, delays = np.asarray(connection.weights), np.asarray(connection.delays)
    arriving = np.zeros((len(inputs) + 64, group.n))
    for t, fired in enumerate(inputs):
        active = fired[np.asarray(connection.col)]
        np.add.at(arriving, (t + 1 + delays[active], np.asarray(connection.row)[active]), weights[active])
    u, v, found = np.zeros(group.n), np.zeros(group.n), []
    for x in arriving[: len(inputs)]:
        u = (1 - d) * u + d * x
        v = (1 - e) * v + u + group.each("bias")
        spikes = v > group.each("v_threshold")
        found.append((u, v, spikes))
        v = np.where(spikes, 0.0, v)
    return dict(zip(("u", "v", "spikes"), map(np.array, zip(*found, strict=True)), strict=True))


@pytest.mark.parametrize("decay", ["exact", "euler"])
def test_voltages_stay_within_the_predicted_error(decay: Decay) -> None:
    rng = np.random.default_rng(12)
    tightest, compared = 0.0, 0
    for _ in range(60):
        n, n_in, n_steps = 3, 8, 120
        row, col = np.nonzero(rng.random((n, n_in)) < 0.8)
        taus = {
            quantity: np.where(rng.random(n) < 0.3, np.inf, 10 ** rng.uniform(-2.7, -1, n))
            for quantity in ("tau_mem", "tau_syn")
        }
        size = 10 ** rng.uniform(-2, 0)
        group = CubaLIF("out", n, bias=rng.normal(0, 0.01, n), v_threshold=rng.uniform(0.5, 2, n), **taus)
        connection = SparseConnection("in", "out", (n, n_in), row, col, rng.normal(0.2, 1, len(row)) * size,
                                      rng.integers(0, 3, len(row)), num_weight_bits=int(rng.integers(4, 9)))  # fmt: skip
        network = Network([Input("in", n_in), group], [connection])
        quantized = quantize(network, decay=decay, scale="power-of-two" if rng.random() < 0.5 else "free")
        inputs = rng.random((n_steps, n_in)) < 0.15
        floats, chip = float_run(network, inputs, decay), run(quantized.network, inputs)
        # Up to the first step in which a neuron fires in one of the two only, both have had the same resets.
        same = np.logical_and.accumulate(floats["spikes"] == chip["spikes"], axis=0)
        in_floats = np.where(floats["spikes"], 0.0, floats["v"])
        error = np.abs(chip["v"] / (64 * quantized.scales["group/out"]) - in_floats) * same
        bound = voltage_error_bound(
            network, quantized, "out", u_max=np.abs(floats["u"]).max(axis=0), v_max=np.abs(floats["v"]).max(axis=0),
            spikes_per_step=n_in, n_spikes=3 * inputs.sum(), n_steps=n_steps, decay=decay,
        )  # fmt: skip
        assert np.all(error <= bound + 1e-12)
        tightest = max(tightest, float((error.max(axis=0) / bound).max()))
        compared += int(same.sum())
    assert compared > 15000
    assert tightest > 0.15


@pytest.mark.parametrize("scale", ["free", "power-of-two"])
def test_one_neuron_meets_its_recorded_trace_within_the_predicted_error(scale: str) -> None:
    """Norse's own run of lif_norse.nir (Euler, dt 0.1 ms); the chip is one step behind, for its connection."""
    recorded = np.loadtxt(data_file("nir-models", "lif_norse.csv"), delimiter=",")
    drive, v, fired = recorded[:, 0] > 0, recorded[:, 1], recorded[:, 2] > 0
    group = CubaLIF("out", 1, tau_mem=2.5e-3, v_threshold=0.1)
    network = Network([Input("in", 1), group], [Connection("in", "out", [[0.04]])], dt=1e-4)
    quantized = quantize(network, decay="euler", scale=scale)  # type: ignore[arg-type]
    inputs = np.append(drive, False)[:, None]
    found = run(quantized.network, inputs)
    assert np.flatnonzero(fired).tolist() == [460, 510, 710, 760]
    np.testing.assert_array_equal(found["spikes"][1:, 0], fired)
    error = np.abs(found["v"][1:, 0] / (64 * quantized.scales["group/out"]) - v)[~fired].max()
    bound = voltage_error_bound(network, quantized, "out", u_max=0.04, v_max=0.1, decay="euler").item()
    assert 1e-5 < error <= bound < 0.002
    assert notes_of(quantized, "group/out")["predicted_v_error"] == pytest.approx(bound / 0.1)


def test_the_predicted_error_is_that_of_the_formula() -> None:
    group = CubaLIF("out", 1, tau_mem=0.02, tau_syn=0.005, bias=0.01)
    network = Network([Input("in", 1), group], [Connection("in", "out", [[0.37]])])
    quantized = quantize(network)
    integers, scale = quantized.network.group("out"), quantized.scales["group/out"]
    dense = quantized.network.connection("in->out")
    d, e = -math.expm1(-0.2), -math.expm1(-0.05)
    held_d, held_e = (integers.du + 1) / 4096, integers.dv / 4096
    unit = 1 / (64 * scale)
    weight = abs(np.asarray(dense.weights)[0, 0] * 2.0**dense.weight_exp / scale - d * 0.37)
    rounding = (dense.weight_exp < 0) / scale
    u = (2 * weight + rounding + abs(d - held_d) * 0.5 + unit) / held_d
    v = (u + abs(e - held_e) * 0.8 + unit + abs(integers.bias[0] * unit - 0.01)) / held_e
    found = voltage_error_bound(network, quantized, "out", u_max=0.5, v_max=0.8, spikes_per_step=2)
    assert found.tolist() == pytest.approx([v])


def test_without_leak_the_number_of_spikes_bounds_the_error() -> None:
    network = Network([Input("in", 1), CubaLIF("out", 1)], [Connection("in", "out", [[0.3701]])])
    quantized = quantize(network, scales={"out": 100})
    weight = abs(np.asarray(quantized.network.connection("in->out").weights)[0, 0] * 2.0**-2 / 100 - 0.3701)
    assert quantized.network.connection("in->out").weight_exp == -2
    bounds = {"u_max": 1.0, "v_max": 1.0}
    assert voltage_error_bound(network, quantized, "out", **bounds).tolist() == [math.inf]
    assert notes_of(quantized, "group/out")["predicted_v_error"] is None
    steps = voltage_error_bound(network, quantized, "out", n_steps=10, **bounds).item()
    spikes = voltage_error_bound(network, quantized, "out", n_steps=10, n_spikes=2, **bounds).item()
    assert steps == pytest.approx(10 * weight + 10 / 100)  # the exponent -2 rounds the sum of each step down
    assert spikes == pytest.approx(2 * weight + 10 / 100)


def test_what_is_exact_has_no_error() -> None:
    network = Network([Input("in", 2), CubaLIF("out", 1)], [Connection("in", "out", [[1.0, 0.5]])])
    quantized = quantize(network, scale="power-of-two")
    assert notes_of(quantized, "group/out")["predicted_v_error"] == 0


def test_errors_of_readouts_are_in_units_of_v() -> None:
    weights = np.random.default_rng(13).normal(size=(2, 3))
    readout = CubaLIF("out", 2, tau_mem=0.02, v_threshold=math.inf)
    network = Network([Input("in", 3), readout], [Connection("in", "out", weights)])
    quantized = quantize(network)
    texts = {n.quantity: n.text for n in quantized.notes}
    assert texts["weight_error"].endswith("in units of v") and "of v_threshold" not in texts["predicted_v_error"]
    dense = quantized.network.connection("in->out")
    off = np.abs(np.asarray(dense.weights) / quantized.scales["connection/in->out"] - weights).max()
    assert notes_of(quantized, "connection/in->out")["weight_error"] == pytest.approx(off)


def test_errors_add_up_as_a_geometric_series() -> None:
    d = np.array([0.0, 0.25, 1.0])
    expected = [[sum((1 - x) ** k for k in range(n)) for x in d] for n in (1, 5)]
    assert [grows(d, n).tolist() for n in (1, 5)] == [pytest.approx(row) for row in expected]
    assert grows(d, None).tolist() == [math.inf, 4.0, 1.0]


@pytest.mark.parametrize("model", ["multispike", "atrlif", "threshold"])
def test_models_without_a_prediction_are_refused(model: str) -> None:
    network = Network([Input("in", 1), CubaLIF("out", 1, model=model)], [Connection("in", "out", [[1.0]])])
    with pytest.raises(QuantizationError, match="group 'out': no bound for CubaLIF that becomes"):
        voltage_error_bound(network, quantize(network), "out", u_max=1.0, v_max=1.0)
