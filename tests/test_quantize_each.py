"""Quantising per neuron, per synapse, without memory, and with scales that the caller gives."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from neurosim.backend import get_backend
from neurosim.chip import load_chip
from neurosim.compile_network import compile
from neurosim.errors import NetworkError, QuantizationError
from neurosim.events import events_from_dense
from neurosim.network import (
    LIF,
    Connection,
    Conv,
    ConvConnection,
    CubaLIF,
    Dense,
    Input,
    Network,
    Probe,
    Sparse,
    SparseConnection,
)
from neurosim.neurons import ATRLIF, GradedVec, TernaryLIF
from neurosim.quantize import Quantized, QuantNote, quantize
from neurosim.quantized import weight_scale


def net(group: CubaLIF, *connections: Connection) -> Network:
    inputs = {c.source: Input(c.source, c.shape[1]) for c in connections if c.source != group.name}
    return Network([*inputs.values(), group], connections, [Probe(group.name)])


def note(quantized: Quantized, quantity: str) -> QuantNote:
    (found,) = [n for n in quantized.notes if n.quantity == quantity]
    return found


def spikes(network: Network, inputs: np.ndarray, backend: str = "simulator") -> np.ndarray:
    """Spikes of the last group in each step, (n_steps, n) bool."""
    program = compile(network, load_chip("unlimited"))
    with get_backend(backend).open(program) as runner:
        found = runner.run(events_from_dense(inputs[None])).spikes[network.groups[-1].name]
    raster = np.zeros((len(inputs), network.groups[-1].n), bool)
    raster[found.step, found.neuron] = True
    return raster


EACH = {"tau_mem": [0.005, 0.02, math.inf], "tau_syn": [math.inf, 0.01, 0.002], "v_threshold": [1.0, 0.5, math.inf]}


@pytest.mark.parametrize("decay", ["exact", "euler"])
def test_each_neuron_has_the_registers_it_would_have_alone(decay: str) -> None:
    weights = np.array([[0.5, -0.25], [0.3, 0.2], [-0.4, 0.1]])
    whole = quantize(net(CubaLIF("out", 3, **EACH), Connection("in", "out", weights)), decay=decay)
    group, dense = whole.network.group("out"), whole.network.connection("in->out")
    scale = whole.scales["group/out"]
    assert "connection/in->out" not in whole.scales  # it is not one number
    for i in range(3):
        alone = {
            key: None if key != "v_threshold" and math.isinf(value[i]) else value[i] for key, value in EACH.items()
        }
        one = quantize(net(CubaLIF("out", 1, **alone), Connection("in", "out", weights[i : i + 1])), decay=decay)
        single = one.network.group("out")
        assert (group.du[i], group.dv[i]) == (single.du, single.dv)
        assert group.vth[i] == (131071 if i == 2 else round(scale * EACH["v_threshold"][i]))
        np.testing.assert_allclose(
            np.asarray(dense.weights)[i] * 2.0**dense.weight_exp,
            weights[i] * scale * (single.du + 1) / 4096,
            atol=2.0**dense.weight_exp,
        )
    np.testing.assert_array_equal(
        weight_scale(whole, "in->out"), scale * (np.asarray(group.du) + 1) / 4096 / 2.0**dense.weight_exp
    )


def test_arrays_of_one_number_give_what_the_number_gives() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 5))
    numbers = {"tau_mem": 0.02, "tau_syn": 0.005, "v_threshold": 0.7}
    one = quantize(net(CubaLIF("out", 4, **numbers), Connection("in", "out", weights)))
    each = quantize(
        net(CubaLIF("out", 4, **{k: [v] * 4 for k, v in numbers.items()}), Connection("in", "out", weights))
    )
    assert (each.scales, each.notes) == (one.scales, one.notes)
    first, second = one.network.group("out"), each.network.group("out")
    assert second.is_uniform and (first.du, first.dv, first.vth) == (second.du, second.dv, second.vth)
    assert weight_scale(one, "in->out") == one.scales["connection/in->out"]


def test_all_inf_is_none() -> None:
    group = CubaLIF("out", 2, tau_mem=[math.inf] * 2, tau_syn=[math.inf] * 2)
    found = quantize(net(group, Connection("in", "out", [[1.0], [0.5]]))).network.group("out")
    assert (found.du, found.dv) == (4095, 0)


def test_the_worst_neuron_is_noted() -> None:
    group = CubaLIF("out", 3, tau_mem=[0.005, 1.0, math.inf], v_threshold=[1.0, 0.013, math.inf])
    quantized = quantize(net(group, Connection("in", "out", np.ones((3, 1)))))
    held = round(4096 * -math.expm1(-1e-3)) / 4096
    assert note(quantized, "tau_mem_error").value == pytest.approx(abs(-1e-3 / math.log1p(-held) - 1))
    assert note(quantized, "tau_mem").value is None
    assert "0.005 to 1 s in 2 neurons, the worst in neuron 1: 1 s becomes" in str(note(quantized, "tau_mem"))
    assert "becomes vth 4923, 0.00% off; the worst of 2 neurons, vth 64..4923" in str(
        note(quantized, "threshold_error")
    )


def test_euler_decay_of_all_in_one_step_is_a_current_without_memory() -> None:
    quantized = quantize(net(CubaLIF("out", 1, tau_syn=1e-3), Connection("in", "out", [[1.0]])), decay="euler")
    assert quantized.network.group("out").du == 4095
    assert (note(quantized, "tau_syn").value, note(quantized, "tau_syn_error").value) == (1e-3, 0.0)


def test_the_neuron_whose_tau_does_not_fit_is_named() -> None:
    group = CubaLIF("out", 3, tau_mem=[0.01, math.inf, 20.0])
    with pytest.raises(QuantizationError, match="tau_mem of neuron 2 20 s at dt 0.001 s .* rounds to 0"):
        quantize(net(group, Connection("in", "out", np.ones((3, 1)))))


def test_single_synapses_are_quantised_as_dense_ones() -> None:
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(6, 5)) * (rng.random((6, 5)) < 0.5)
    delays = rng.integers(0, 9, (6, 5))
    row, col = np.nonzero(weights)
    group = CubaLIF("out", 6, tau_syn=[0.002, 0.004, 0.006, 0.008, 0.01, math.inf])
    one = quantize(net(group, SparseConnection("in", "out", (6, 5), row, col, weights[row, col], delays[row, col])))
    all_pairs = quantize(net(group, Connection("in", "out", weights, delays=delays)))
    sparse, dense = one.network.connection("in->out"), all_pairs.network.connection("in->out")
    assert isinstance(sparse, Sparse) and isinstance(dense, Dense) and one.scales == all_pairs.scales
    np.testing.assert_array_equal(np.asarray(dense.weights)[sparse.row, sparse.col], sparse.data)
    np.testing.assert_array_equal(np.asarray(dense.delays)[sparse.row, sparse.col], sparse.delays)
    assert sparse.weight_exp == dense.weight_exp
    values = {n.quantity: n.value for n in one.notes}
    expected = {n.quantity: n.value for n in all_pairs.notes}
    assert values == pytest.approx(expected)


def test_channels_may_differ_neurons_of_a_channel_not() -> None:
    weights = np.random.default_rng(4).normal(size=(2, 2, 2, 1))
    conv = ConvConnection("in", "out", weights, input_shape=(3, 3, 1))
    taus = np.tile([0.002, 0.01], 4)
    quantized = quantize(net(CubaLIF("out", 8, tau_syn=taus, v_threshold=np.linspace(1, 2, 8)), conv))
    shared, scale = quantized.network.connection("in->out"), weight_scale(quantized, "in->out")
    assert isinstance(shared, Conv)
    back = np.asarray(shared.weights) / conv.over_weights(np.asarray(scale))
    assert np.abs(back - weights).max() * np.min(scale) <= 1  # half a step of 2
    unlike = np.linspace(0.002, 0.01, 8)
    with pytest.raises(NetworkError, match="neurons of channel 0 of group 'out' differ in tau_syn .* as_sparse"):
        quantize(net(CubaLIF("out", 8, tau_syn=unlike), conv))
    one_by_one = quantize(net(CubaLIF("out", 8, tau_syn=unlike), conv.as_sparse())).network.connection("in->out")
    assert isinstance(one_by_one, Sparse)


@pytest.mark.parametrize("model", ["lif", "refractory", "ternary", "multispike"])
def test_models_run_with_numbers_of_each_neuron(model: str) -> None:
    rng = np.random.default_rng(5)
    group = CubaLIF("out", 3, tau_mem=[0.005, 0.02, math.inf], tau_syn=[math.inf, 0.01, 0.002],
                    v_threshold=[1.0, 0.5, 2.0], model=model)  # fmt: skip
    network = quantize(net(group, Connection("in", "out", rng.normal(0.2, 0.3, (3, 10))))).network
    inputs = rng.random((200, 10)) < 0.3
    found = spikes(network, inputs)
    assert found.any(axis=0).all()
    np.testing.assert_array_equal(found, spikes(network, inputs, "reference"))


def test_adaptive_thresholds_are_one_for_the_group() -> None:
    group = CubaLIF("out", 2, tau_mem=[0.01, 0.02], v_threshold=[1.0, 2.0], model="atrlif")
    with pytest.raises(
        QuantizationError, match="tau_mem and v_threshold differ between neurons, model 'atrlif' has one"
    ):
        quantize(net(group, Connection("in", "out", np.ones((2, 1)))))
    alike = CubaLIF("out", 2, tau_mem=[0.01, 0.01], tau_syn=0.005, model="atrlif")
    quantized = quantize(net(alike, Connection("in", "out", np.ones((2, 1)))))
    assert isinstance(quantized.network.group("out"), ATRLIF)
    assert weight_scale(quantized, "in->out") == quantized.scales["connection/in->out"]


# Without memory


def test_neurons_without_memory_fire_exactly_where_the_input_exceeds_the_threshold() -> None:
    weights = np.array([[0.3, 0.2, -0.1, 0.5], [0.1, 0.1, 0.1, 0.4]])
    inputs = np.array([[k >> j & 1 for j in range(4)] for k in range(16)], bool)
    for threshold in (0.0, 0.1, 0.3, 0.5, 0.699, 0.7, 5.0):
        group = CubaLIF("out", 2, v_threshold=threshold, model="threshold")
        quantized = quantize(net(group, Connection("in", "out", weights)))
        found, scale = quantized.network.group("out"), quantized.scales["group/out"]
        assert isinstance(found, GradedVec) and found.relu
        dense = quantized.network.connection("in->out")
        sums = inputs @ (np.asarray(dense.weights).T << dense.weight_exp)  # what arrives is not shifted by 6
        expected = np.vstack([np.zeros((1, 2), bool), sums > round(scale * threshold, 6)])[:16]
        np.testing.assert_array_equal(spikes(quantized.network, inputs), expected)
        assert note(quantized, "threshold_error").value == 0


def test_a_weight_of_exactly_the_threshold_does_not_fire() -> None:
    """S times the threshold may miss the integer weight by a rounding, up or down."""
    for threshold in np.random.default_rng(6).uniform(0.01, 10, 200).tolist():
        group = CubaLIF("out", 1, v_threshold=threshold, model="threshold")
        quantized = quantize(net(group, Connection("in", "out", [[threshold, threshold * 1.02]])))
        dense, vth = quantized.network.connection("in->out"), quantized.network.group("out").vth
        at, above = (np.asarray(dense.weights)[0] << dense.weight_exp).tolist()
        assert at - 2 <= vth <= at + 2 and above > vth


def test_a_spike_without_memory_counts_as_one() -> None:
    network = Network(
        [Input("in", 2), CubaLIF("gate", 1, v_threshold=0.9, model="threshold"), LIF("out", 1, du=4095, vth=10)],
        [Connection("in", "gate", [[0.5, 0.5]]), Connection("gate", "out", [[8.0]])],
        [Probe("out", "v")],
    )
    with get_backend("simulator").open(compile(quantize(network).network, load_chip("unlimited"))) as runner:
        v = runner.run(events_from_dense(np.array([[[1, 0], [1, 1], [0, 0], [0, 0]]], bool))).states["out", "v"]
    assert v[0, :, 0].tolist() == [0, 0, 0, 8 << 6]  # not times 254, the input of the gate


def test_what_neurons_without_memory_cannot_have_is_said() -> None:
    several = CubaLIF("out", 2, v_threshold=[1.0, 2.0], model="threshold")
    with pytest.raises(QuantizationError, match="one finite v_threshold for the group; found 1 to 2"):
        quantize(net(several, Connection("in", "out", np.ones((2, 1)))))
    with pytest.raises(QuantizationError, match="one finite v_threshold for the group; found inf to inf"):
        quantize(net(CubaLIF("out", 1, v_threshold=math.inf, model="threshold"), Connection("in", "out", [[1.0]])))
    gate = CubaLIF("gate", 1, model="threshold")
    network = Network(
        [Input("in", 1), gate, CubaLIF("out", 1)],
        [Connection("in", "gate", [[1.0]]), Connection("gate", "out", [[1.0]], num_message_bits=4)],
    )
    with pytest.raises(
        QuantizationError, match="num_message_bits 4 would multiply weights by the input of group 'gate'"
    ):
        quantize(network)


# Scales


def test_powers_of_two_are_the_largest_that_fit() -> None:
    rng = np.random.default_rng(7)
    for _ in range(50):
        group = CubaLIF("out", 3, tau_syn=float(rng.uniform(1e-3, 1e-2)), v_threshold=float(rng.uniform(0.1, 10)))
        network = net(group, Connection("in", "out", rng.normal(size=(3, 4)) * 10 ** rng.uniform(-1, 1)))
        free, power = quantize(network), quantize(network, scale="power-of-two")
        fraction, _ = math.frexp(power.scales["group/out"])
        assert fraction == 0.5 and 0.5 < power.scales["group/out"] / free.scales["group/out"] <= 1
        assert note(power, "weights_clipped").value == 0
    exact = quantize(net(CubaLIF("out", 1), Connection("in", "out", [[0.5, -0.25]])), scale="power-of-two")
    assert np.asarray(exact.network.connection("in->out").weights).tolist() == [[128, -64]]
    assert note(exact, "weight_error").value == 0


def test_scales_of_the_caller_hold_and_clip() -> None:
    network = net(CubaLIF("out", 1, v_threshold=0.01), Connection("in", "out", [[1.0, -3.0, 0.001]]))
    quantized = quantize(network, scales={"out": 20000.0})
    dense = quantized.network.connection("in->out")
    assert quantized.scales["group/out"] == 20000.0 and quantized.network.group("out").vth == 200
    assert (np.asarray(dense.weights).tolist(), dense.weight_exp) == ([[156, -256, 0]], 7)
    assert note(quantized, "weights_clipped").value == 1
    assert "1 weights clipped to -256..254 times 2**7" in str(note(quantized, "weights_clipped"))
    assert note(quantized, "weights_rounded_to_zero").value == 1
    assert "1 of 3 weights became 0" in str(note(quantized, "weights_rounded_to_zero"))
    clipped = (3.0 - 256 * 128 / 20000) / 0.01
    assert note(quantized, "weight_error").value == pytest.approx(clipped)


def test_a_convolution_clips_at_its_register() -> None:
    conv = ConvConnection("in", "out", [[[[1.0]]], [[[0.1]]]], input_shape=(1, 1, 1))
    quantized = quantize(net(CubaLIF("out", 2), conv), scales={"out": 1000})
    assert np.asarray(quantized.network.connection("in->out").weights).ravel().tolist() == [255, 100]
    assert note(quantized, "weights_clipped").value == 1


def test_a_scale_that_fits_gives_what_the_own_choice_gives() -> None:
    network = net(
        CubaLIF("out", 3, tau_syn=0.004), Connection("in", "out", np.random.default_rng(8).normal(size=(3, 4)))
    )
    own = quantize(network)
    given = quantize(network, scales={"out": own.scales["group/out"]})
    assert (given.scales, given.notes) == (own.scales, own.notes)


LINE = Connection("in", "out", [[1.0]])
WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: quantize(net(CubaLIF("out", 1), LINE), scale="binary"), "unknown scale 'binary'; choose 'free' or"),  # type: ignore[arg-type]
    (
        lambda: quantize(net(CubaLIF("out", 1), LINE), scales={"in": 1.0}),
        "'in', which is no group in floats; .* are out",
    ),
    (lambda: quantize(net(CubaLIF("out", 1), LINE), scales={"out": 0.0}), "scale 0.0 is not a positive finite number"),
    (lambda: quantize(net(CubaLIF("out", 1), LINE), scales={"out": 0.4}), "makes v_threshold 1 0; use a larger scale"),
    (
        lambda: quantize(net(CubaLIF("out", 1), LINE), scales={"out": 2e5}),
        "makes v_threshold 1 200000, the register holds up to 131071; use a smaller scale",
    ),
    (
        lambda: quantize(net(CubaLIF("out", 1, bias=100.0), LINE), scales={"out": 1e3}),
        r"makes the largest bias 6.4e\+06, the register holds up to 524160",
    ),
    (
        lambda: quantize(net(CubaLIF("out", 2, v_threshold=[1e-6, 1e6]), Connection("in", "out", np.ones((2, 1))))),
        "v_threshold 1e-06 becomes 0 beside",
    ),
]


@pytest.mark.parametrize(("make", "words"), WRONG, ids=[words[:40] for _, words in WRONG])
def test_what_is_wrong_is_said(make: Callable[[], object], words: str) -> None:
    with pytest.raises(QuantizationError, match=words):
        make()


def test_weights_that_were_integers_have_no_scale() -> None:
    network = Network([Input("in", 1), LIF("out", 1)], [Dense("in", "out", [[2]])])
    with pytest.raises(QuantizationError, match="'in->out': its weights were integers before"):
        weight_scale(quantize(network), "in->out")


def test_plastic_weights_without_any_size_may_grow_to_the_largest_threshold() -> None:
    group = CubaLIF("out", 2, v_threshold=[1.0, 2.0])
    quantized = quantize(net(group, Connection("in", "out", np.zeros((2, 3)), plastic=True)))
    assert np.asarray(quantized.network.group("out").vth).tolist() == [127, 254]


def test_ternary_thresholds_of_each_neuron_have_both_signs() -> None:
    group = CubaLIF("out", 2, v_threshold=[1.0, 2.0], model="ternary")
    found = quantize(net(group, Connection("in", "out", [[1.0], [-1.0]]))).network.group("out")
    assert isinstance(found, TernaryLIF)
    assert np.asarray(found.vth_lo).tolist() == (-np.asarray(found.vth_hi)).tolist()
