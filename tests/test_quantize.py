"""Quantising: floats to chip integers."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from neurosim.errors import QuantizationError
from neurosim.fixedpoint import (
    correct_current,
    saturate_voltage,
    shift_exponent,
    shift_toward_zero,
    truncate_weights,
    wrap_int32,
)
from neurosim.network import LIF, Connection, CubaLIF, Dense, Input, Network, Probe, Sparse
from neurosim.quantize import Quantized, QuantNote, quantize


def net(group: CubaLIF | LIF, weights: object, dt: float = 1e-3, plastic: bool = False, bits: int = 8) -> Network:
    array = np.asarray(weights)
    return Network([Input("in", array.shape[1]), group], [Connection("in", group.name, array, bits, plastic)], dt=dt)


def note(quantized: Quantized, owner: str, quantity: str) -> QuantNote:
    (found,) = [n for n in quantized.notes if (n.owner, n.quantity) == (owner, quantity)]
    return found


def random_weights(seed: int, shape: tuple[int, int], spread: float = 0.2) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, spread, shape)


def test_integer_network_passes_as_the_same_object() -> None:
    network = Network([Input("in", 2), LIF("out", 1)], [Dense("in", "out", [[2, -4]])])
    quantized = quantize(network)
    assert quantized.network is network
    assert quantized.scales == {}


def test_quantize_leaves_its_input_alone_and_keeps_the_rest() -> None:
    weights = random_weights(0, (3, 4))
    network = Network(
        [CubaLIF("out", 3), Input("in", 4)],
        [Connection("in", "out", weights)],
        [Probe("out", "v")],
        dt=2e-3,
        name="mine",
    )
    quantized = quantize(network).network
    np.testing.assert_array_equal(network.connection("in->out").weights, weights)
    assert not network.is_quantized and quantized.is_quantized
    assert [g.name for g in quantized.groups] == ["out", "in"]
    assert (quantized.probes, quantized.dt, quantized.name) == (network.probes, 2e-3, "mine")
    assert quantized.groups[1] is network.groups[1]


def test_largest_weight_fills_the_register() -> None:
    quantized = quantize(net(CubaLIF("out", 1), [[0.5, -0.25, 0.1]]))
    dense = quantized.network.connection("in->out")
    assert (np.asarray(dense.weights).max(), dense.weight_exp, dense.sign_mode) == (254, 0, "mixed")
    assert quantized.scales["group/out"] == 508.0
    assert quantized.network.group("out").vth == 508


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("sign", ["both", "plus", "minus"])
@pytest.mark.parametrize("plastic", [False, True])
def test_weights_are_within_half_a_step_and_never_clipped(bits: int, sign: str, plastic: bool) -> None:
    weights = random_weights(bits, (5, 7))
    weights = {"both": weights, "plus": np.abs(weights), "minus": -np.abs(weights)}[sign]
    quantized = quantize(net(CubaLIF("out", 5, tau_mem=0.02), weights, plastic=plastic, bits=bits), headroom=1.0)
    dense = quantized.network.connection("in->out")
    expected = "mixed" if plastic else {"both": "mixed", "plus": "excitatory", "minus": "inhibitory"}[sign]
    assert dense.sign_mode == expected
    stored = np.asarray(dense.weights)
    np.testing.assert_array_equal(truncate_weights(stored, bits, dense.sign_mode), stored)
    step = 1 << (8 - bits + (expected == "mixed"))
    exact = weights * quantized.scales["connection/in->out"]
    assert np.abs(stored - exact).max() <= step / 2 + 1e-9
    assert note(quantized, "connection/in->out", "weights_clipped").value == 0


def test_sqnr_is_signal_over_rounding_noise() -> None:
    weights = random_weights(3, (20, 30))
    quantized = quantize(net(CubaLIF("out", 20), weights))
    back = np.asarray(quantized.network.connection("in->out").weights) / quantized.scales["connection/in->out"]
    expected = 10 * math.log10(np.square(weights).sum() / np.square(back - weights).sum())
    assert note(quantized, "connection/in->out", "weight_sqnr_db").value == pytest.approx(expected)
    assert expected > 30


def test_exact_weights_have_no_noise() -> None:
    found = note(quantize(net(CubaLIF("out", 1), [[1.0, -1.0]])), "connection/in->out", "weight_sqnr_db")
    assert found.value is None and "exact" in found.text


def test_plastic_weights_keep_headroom_and_exponent_zero() -> None:
    quantized = quantize(net(CubaLIF("out", 1), [[0.5, -0.25]], plastic=True), headroom=4.0)
    dense = quantized.network.connection("in->out")
    assert dense.plastic and dense.sign_mode == "mixed" and dense.weight_exp == 0
    assert np.abs(np.asarray(dense.weights)).max() == 64
    assert quantized.scales["group/out"] == 127.0


def test_plastic_weights_that_start_at_zero_may_grow_to_one_threshold() -> None:
    quantized = quantize(net(CubaLIF("out", 2, v_threshold=2.0), np.zeros((2, 3)), plastic=True))
    assert quantized.network.group("out").vth == 254
    assert not np.asarray(quantized.network.connection("in->out").weights).any()


def test_zero_weights_and_readouts_without_anything_are_fine() -> None:
    assert quantize(net(CubaLIF("out", 2), np.zeros((2, 3)))).network.is_quantized
    quantized = quantize(net(CubaLIF("out", 2, v_threshold=math.inf), np.zeros((2, 3))))
    assert quantized.scales["group/out"] == 1.0
    assert quantized.network.group("out").vth == 131071


def test_readout_threshold_is_the_largest_register() -> None:
    quantized = quantize(net(CubaLIF("out", 1, v_threshold=math.inf), [[0.3, -0.3]]))
    assert quantized.network.group("out").vth == 131071
    assert "readout" in note(quantized, "group/out", "threshold_error").text


def test_all_connections_of_a_group_share_one_scale() -> None:
    network = Network(
        [Input("in", 3), CubaLIF("out", 2, tau_mem=0.01)],
        [
            Connection("in", "out", random_weights(1, (2, 3), 0.1)),
            Connection("out", "out", random_weights(2, (2, 2), 1.0)),
        ],
    )
    quantized = quantize(network)
    small, large = (quantized.network.connection(name) for name in ("in->out", "out->out"))
    assert large.weight_exp > small.weight_exp
    for dense in (small, large):
        scale = quantized.scales[f"connection/{dense.name}"] * 2.0**dense.weight_exp
        assert scale == pytest.approx(quantized.scales["group/out"])
        assert np.abs(np.asarray(dense.weights)).max() > 120  # each fills its 8 bits


def test_fixed_scale_rises_only_while_the_current_cannot_wrap() -> None:
    network = Network(
        [Input("in", 1), CubaLIF("out", 10, v_threshold=math.inf)],
        [Connection("in", "out", np.full((10, 1), 1e-4)), Connection("out", "out", np.full((10, 10), 10.0))],
    )
    quantized = quantize(network)
    bound = note(quantized, "group/out", "input_bound").value
    assert bound is not None and 0.9 < bound < 1.01


def test_small_threshold_beside_large_weights_raises_the_exponent() -> None:
    quantized = quantize(net(CubaLIF("out", 1, v_threshold=0.1), [[5.0]]))
    assert quantized.network.group("out").vth == 64
    assert quantized.network.connection("in->out").weight_exp > 0


def test_small_weights_leave_room_for_eight_thresholds() -> None:
    quantized = quantize(net(CubaLIF("out", 1), [[1e-4, 5e-5]]))
    assert quantized.network.group("out").vth == 16384  # round(131071 / 8)
    assert quantized.network.connection("in->out").weight_exp < 0


@pytest.mark.parametrize("tau", [2e-3, 5e-3, 0.02, 0.1, 1.0])
@pytest.mark.parametrize("decay", ["exact", "euler"])
def test_decay_registers_follow_the_formula_and_report_the_real_tau(tau: float, decay: str) -> None:
    quantized = quantize(net(CubaLIF("out", 1, tau_mem=tau, tau_syn=tau), [[1.0]]), decay=decay)
    d = 1 - math.exp(-1e-3 / tau) if decay == "exact" else 1e-3 / tau
    group = quantized.network.group("out")
    assert (group.dv, group.du) == (round(4096 * d), round(4096 * d) - 1)
    # Half a unit of the register, 2**-13, times the slope of log tau over d.
    slope = 1 / d if decay == "euler" else tau / (1e-3 * (1 - d))
    assert note(quantized, "group/out", "tau_mem").value == pytest.approx(tau, rel=1.05 * 2**-13 * slope)


def test_none_means_no_leak_and_no_memory() -> None:
    group = quantize(net(CubaLIF("out", 1), [[1.0]])).network.group("out")
    assert (group.du, group.dv) == (4095, 0)


def test_short_tau_syn_becomes_a_current_without_memory() -> None:
    quantized = quantize(net(CubaLIF("out", 1, tau_syn=1e-5), [[1.0]]))
    assert quantized.network.group("out").du == 4095
    assert note(quantized, "group/out", "tau_syn").value == 0.0


def test_nir_reference_registers() -> None:
    # lif_lava_cpu_fixed of the NIR model collection: dt 1e-4, tau 2.5e-3 -> dv 163 with dt/tau cut; rounded it is 164.
    group = quantize(net(CubaLIF("out", 1, tau_mem=2.5e-3), [[1.0]], dt=1e-4), decay="euler").network.group("out")
    assert group.dv == round(4096 * 0.04) == 164


@pytest.mark.parametrize("tau_syn", [None, 2e-3, 5e-3, 0.02])
def test_one_spike_moves_an_unleaky_voltage_by_its_weight(tau_syn: float | None) -> None:
    quantized = quantize(net(CubaLIF("out", 1, tau_syn=tau_syn, v_threshold=math.inf), [[1.0, -0.4]]))
    group, dense = quantized.network.group("out"), quantized.network.connection("in->out")
    for stored, weight in zip(np.asarray(dense.weights)[0].tolist(), [1.0, -0.4], strict=True):
        u = (stored << dense.weight_exp if dense.weight_exp >= 0 else stored >> -dense.weight_exp) << 6
        v = 0
        while u:
            v += u
            u = int(math.copysign(abs(u) * (4095 - group.du) >> 12, u))
        # Truncation loses under one unit per step and at most 1/d in the end, times the memory's 1/d.
        assert v / 64 / quantized.scales["group/out"] == pytest.approx(weight, rel=0.02)


def test_bias_is_in_units_of_v_and_uses_its_exponent() -> None:
    bias = np.array([0.0, 0.5, -20.0])
    quantized = quantize(net(CubaLIF("out", 3, bias=bias), np.full((3, 1), 0.5)))
    group, scale = quantized.network.group("out"), quantized.scales["group/out"]
    exact = 64 * scale * bias
    assert np.all(np.abs(np.asarray(group.bias_mant)) <= 4095)
    assert np.all(np.abs(group.bias - exact) <= (1 << np.asarray(group.bias_exp)) / 2)
    assert np.asarray(group.bias_exp).tolist()[0] == 0 and np.asarray(group.bias_exp).max() > 0
    assert note(quantized, "group/out", "bias_error").value < 1e-3


def test_large_bias_limits_the_scale() -> None:
    quantized = quantize(net(CubaLIF("out", 1, v_threshold=math.inf, bias=1000.0), [[1.0]]))
    assert quantized.network.group("out").bias.tolist() == [4095 << 7]


def test_threshold_error_is_reported() -> None:
    quantized = quantize(net(CubaLIF("out", 1, v_threshold=0.7), [[0.9]]))
    scale, vth = quantized.scales["group/out"], quantized.network.group("out").vth
    assert note(quantized, "group/out", "threshold_error").value == pytest.approx(abs(vth / (0.7 * scale) - 1))


def test_input_bound_is_the_fan_in_against_the_register() -> None:
    network = Network(
        [Input("in", 3), LIF("out", 2, du=4095)], [Dense("in", "out", [[2, -4, 6], [0, 0, 8]], weight_exp=1)]
    )
    assert note(quantize(network), "group/out", "input_bound").value == pytest.approx(12 * 2 * 64 / 2**23)
    sparse = Network([Input("in", 3), LIF("out", 2, du=2047)], [Sparse("in", "out", (2, 3), [0, 1], [1, 2], [10, -20])])
    assert note(quantize(sparse), "group/out", "input_bound").value == pytest.approx(2 * 20 * 64 / 2**23)
    wide = Network([Input("in", 600), LIF("out", 1, du=4095)], [Dense("in", "out", np.full((1, 600), 254))])
    assert "can wrap" in note(quantize(wide), "group/out", "input_bound").text


def test_integer_weights_lose_their_low_bits_with_a_note() -> None:
    network = Network(
        [Input("in", 3), LIF("a", 1), LIF("b", 1)],
        [Dense("in", "a", [[3, -4, -5]]), Sparse("in", "b", (1, 3), [0, 0], [0, 2], [7, 6], num_weight_bits=6)],
    )
    quantized = quantize(network)
    assert np.asarray(quantized.network.connection("in->a").weights).tolist() == [[2, -4, -6]]
    assert np.asarray(quantized.network.connection("in->b").data).tolist() == [4, 4]
    assert quantized.network.group("a") is network.group("a")
    found = note(quantized, "connection/in->a", "weights_truncated")
    assert found.value == 2 and "2 of 3 weights lost their low bits, at most 1, 2 in all" in str(found)


def test_float_connection_into_an_integer_group_is_taken_as_it_is() -> None:
    quantized = quantize(net(LIF("out", 1, vth=100), [[200.0, 13.0]]))
    dense = quantized.network.connection("in->out")
    assert (np.asarray(dense.weights).tolist(), dense.weight_exp, dense.sign_mode) == ([[200, 13]], 0, "excitatory")
    assert quantized.scales == {"connection/in->out": 1.0}


def test_quantizing_twice_changes_nothing() -> None:
    once = quantize(net(CubaLIF("out", 4, tau_mem=0.02), random_weights(9, (4, 6)), plastic=True)).network
    assert quantize(once).network is once


def test_quantizing_is_deterministic() -> None:
    network = net(CubaLIF("out", 4, tau_mem=0.02, tau_syn=0.004), random_weights(9, (4, 6)))
    first, second = quantize(network), quantize(network)
    assert first.scales == second.scales and first.notes == second.notes
    np.testing.assert_array_equal(first.network.connections[0].weights, second.network.connections[0].weights)


def test_result_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        quantize(net(CubaLIF("out", 1), [[1.0]])).scales = {}  # type: ignore[misc]


@pytest.mark.parametrize("headroom", [0.5, math.nan, math.inf])
def test_headroom_below_one_is_refused(headroom: float) -> None:
    with pytest.raises(QuantizationError, match="headroom .* at least 1"):
        quantize(net(CubaLIF("out", 1), [[1.0]]), headroom=headroom)


def test_unknown_decay_is_refused() -> None:
    with pytest.raises(QuantizationError, match="unknown decay 'heun'; choose 'exact' or 'euler'"):
        quantize(net(CubaLIF("out", 1), [[1.0]]), decay="heun")  # type: ignore[arg-type]


@pytest.mark.parametrize("which", ["tau_mem", "tau_syn"])
def test_tau_too_long_for_the_register_is_refused(which: str) -> None:
    group = CubaLIF("out", 1, tau_mem=20.0) if which == "tau_mem" else CubaLIF("out", 1, tau_syn=20.0)
    with pytest.raises(QuantizationError, match=f"{which} 20 s at dt 0.001 s .* rounds to 0; use a larger dt"):
        quantize(net(group, [[1.0]]))


def test_tau_mem_too_short_for_the_register_is_refused() -> None:
    with pytest.raises(QuantizationError, match="holds up to 4095; use a longer tau_mem"):
        quantize(net(CubaLIF("out", 1, tau_mem=5e-5), [[1.0]]))


def test_euler_decay_above_one_is_refused() -> None:
    with pytest.raises(QuantizationError, match="holds up to 4096; use None for a current without memory"):
        quantize(net(CubaLIF("out", 1, tau_syn=5e-4), [[1.0]]), decay="euler")


def test_integer_weights_into_a_float_group_are_refused() -> None:
    network = Network([Input("in", 1), CubaLIF("out", 1)], [Dense("in", "out", [[2]])])
    with pytest.raises(QuantizationError, match="'in->out': integer weights into the float group 'out' have no scale"):
        quantize(network)


def test_fractions_into_an_integer_group_are_refused() -> None:
    with pytest.raises(QuantizationError, match="weight 0.5 is not an integer, but group 'out' is in chip units"):
        quantize(net(LIF("out", 1), [[2.0, 0.5]]))


def test_too_large_weights_into_an_integer_group_are_refused() -> None:
    with pytest.raises(QuantizationError, match="largest weight 300 needs 9 bits, weights have 8; scale the weights"):
        quantize(net(LIF("out", 1), [[2.0, 300.0]]))


def test_weights_too_large_beside_the_threshold_are_refused() -> None:
    with pytest.raises(
        QuantizationError, match="v_threshold 1e-06 becomes 0 beside connection 'in->out' with weights up to 1000"
    ):
        quantize(net(CubaLIF("out", 1, v_threshold=1e-6), [[1000.0]]))


def test_bias_too_large_beside_the_threshold_is_refused() -> None:
    with pytest.raises(QuantizationError, match="v_threshold 1e-05 becomes 0 beside largest bias 1e"):
        quantize(net(CubaLIF("out", 1, v_threshold=1e-5, bias=1e6), [[0.0]]))


def test_weights_that_vanish_are_refused() -> None:
    with pytest.raises(QuantizationError, match="largest weight 1e-09 becomes 0 .* raise the weights"):
        quantize(net(CubaLIF("out", 1), [[1e-9]]))


def test_one_bit_cannot_hold_both_signs() -> None:
    with pytest.raises(QuantizationError, match="holds only -256 and 0; use 2 bits or more"):
        quantize(net(CubaLIF("out", 1), [[1.0, -1.0]], bits=1))
    assert np.asarray(quantize(net(CubaLIF("out", 1), [[1.0]], bits=1)).network.connections[0].weights).tolist() == [
        [128]
    ]


def float_spikes(group: CubaLIF, weights: np.ndarray, inputs: np.ndarray, dt: float) -> np.ndarray:
    """Exact-decay recursion of the float neuron, as documented: w in total per spike, reset to 0."""
    d_syn = 1.0 if group.tau_syn is None else 1 - math.exp(-dt / group.tau_syn)
    d_mem = 0.0 if group.tau_mem is None else 1 - math.exp(-dt / group.tau_mem)
    u, v, spikes = np.zeros(group.n), np.zeros(group.n), []
    for s in inputs:
        u = u * (1 - d_syn) + d_syn * (weights @ s)
        v = v * (1 - d_mem) + u + np.asarray(group.bias)
        spikes.append(v > group.v_threshold)
        v = np.where(spikes[-1], 0.0, v)
    return np.array(spikes)


def integer_spikes(group: LIF, dense: Dense, inputs: np.ndarray) -> np.ndarray:
    """Section 2 of docs/arithmetic, without the delay of one step."""
    u, v, spikes = np.zeros(group.n, np.int64), np.zeros(group.n, np.int64), []
    for s in inputs:
        a = shift_exponent(np.asarray(dense.weights) @ s, dense.weight_exp)
        u = correct_current(wrap_int32(shift_toward_zero(u * (4095 - group.du), 12) + wrap_int32(a << 6)))
        v = saturate_voltage(shift_toward_zero(v * (4096 - group.dv), 12) + u + group.bias)
        spikes.append(v > group.vth << 6)
        v = np.where(spikes[-1], 0, v)
    return np.array(spikes)


@pytest.mark.parametrize("plastic", [False, True])
@pytest.mark.parametrize(("tau_mem", "tau_syn"), [(None, None), (0.02, None), (0.02, 0.005), (0.05, 0.01)])
def test_quantised_neurons_fire_as_often_as_float_ones(
    tau_mem: float | None, tau_syn: float | None, plastic: bool
) -> None:
    rng = np.random.default_rng(11)
    weights = rng.normal(0.05, 0.1, (20, 30))
    inputs = (rng.random((1000, 30)) < 0.2).astype(np.int64)
    group = CubaLIF("out", 20, tau_mem=tau_mem, tau_syn=tau_syn, bias=0.01)
    quantized = quantize(net(group, weights, plastic=plastic)).network
    expected = float_spikes(group, weights, inputs, 1e-3).sum(axis=0)
    found = integer_spikes(quantized.group("out"), quantized.connection("in->out"), inputs).sum(axis=0)  # type: ignore[arg-type]
    assert expected.sum() > 1000
    assert abs(int(found.sum()) - int(expected.sum())) <= 0.03 * expected.sum()
    # Headroom 4 costs two bits of each weight.
    assert np.corrcoef(expected, found)[0, 1] > (0.995 if plastic else 0.999)
