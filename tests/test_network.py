"""Network descriptions: what they hold, and every error by its telling words."""

from __future__ import annotations

import dataclasses
import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest

from neurosim.errors import NetworkError
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
    replace_weights,
)


def small() -> Network:
    return Network(
        [LIF("b", 3), Input("in", 2), LIF("a", 4), Input("more", 5)],
        [Dense("in", "a", np.zeros((4, 2), int)), Sparse("a", "b", (3, 4), [2, 0, 1], [3, 3, 0], [5, -6, 7])],
        [Probe("a", "v"), Probe("in")],
    )


def test_inputs_come_first_in_the_numbering() -> None:
    network = small()
    assert [g.name for g in network.ordered_groups] == ["in", "more", "b", "a"]
    assert network.offsets == {"in": 0, "more": 2, "b": 7, "a": 10}
    assert (network.n_inputs, network.n_neurons) == (7, 14)


def test_groups_and_connections_are_found_by_name() -> None:
    network = small()
    assert network.group("a").n == 4
    assert network.connection("a->b").shape == (3, 4)
    with pytest.raises(NetworkError, match="unknown group 'c'; groups are b, in, a, more"):
        network.group("c")
    with pytest.raises(NetworkError, match="unknown connection 'b->a'; connections are in->a, a->b"):
        network.connection("b->a")


def test_only_floats_make_a_network_unquantized() -> None:
    assert small().is_quantized
    assert not Network([CubaLIF("a", 1)]).is_quantized
    assert not Network([LIF("a", 1)], [Connection("a", "a", [[1.0]])]).is_quantized


def test_sparse_is_sorted_by_pre_then_post() -> None:
    sparse = small().connection("a->b")
    assert isinstance(sparse, Sparse)
    assert (sparse.col.tolist(), sparse.row.tolist(), sparse.data.tolist()) == ([0, 3, 3], [1, 0, 2], [7, -6, 5])  # type: ignore[union-attr]
    assert sparse.sign_mode == "mixed"


def test_empty_sparse_is_allowed() -> None:
    sparse = Sparse("a", "b", (2, 2), np.zeros(0, int), np.zeros(0, int), np.zeros(0, int))
    assert sparse.sign_mode == "excitatory"


def test_descriptions_are_frozen() -> None:
    for part in (small(), LIF("a", 1), Dense("a", "b", [[1]]), Connection("a", "b", [[1.0]]), Probe("a")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            part.name = "other"  # type: ignore[misc]


def test_bias_is_shifted_and_spread_over_the_group() -> None:
    assert LIF("a", 3, bias_mant=-5, bias_exp=[0, 1, 7]).bias.tolist() == [-5, -10, -640]
    assert LIF("a", 2, bias_mant=4095, bias_exp=7).bias.tolist() == [4095 << 7] * 2


def test_registers_accept_their_extremes() -> None:
    group = LIF("a", 1, du=4095, dv=np.int32(4095), vth=131071, bias_mant=-4096, bias_exp=7)
    assert (group.du, group.dv, group.vth) == (4095, 4095, 131071)
    assert type(group.dv) is int


def test_plastic_dense_is_mixed_even_without_negative_weights() -> None:
    assert Dense("a", "b", [[3]], plastic=True).sign_mode == "mixed"
    assert Dense("a", "b", [[3]]).sign_mode == "excitatory"
    assert Dense("a", "b", [[-3]]).sign_mode == "inhibitory"


LINE = [[1.0, 2.0]]
ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: Input("", 1), "non-empty string"),
    (lambda: LIF("a->b", 1), "without '->' or '/'"),
    (lambda: LIF("a", 0), "size 0 is not a positive integer"),
    (lambda: LIF("a", True), "size True is not a positive integer"),
    (lambda: Input("a", 2.0), "size 2.0 is not a positive integer"),  # type: ignore[arg-type]
    (lambda: LIF("a", 1, du=4096), r"group 'a': du 4096 is outside 0\.\.4095"),
    (lambda: LIF("a", 1, du=-1), r"du -1 is outside 0\.\.4095"),
    (lambda: LIF("a", 1, dv=4096), r"dv 4096 is outside"),
    (lambda: LIF("a", 1, vth=131072), r"vth 131072 is outside 0\.\.131071"),
    (lambda: LIF("a", 1, vth=1.5), "vth 1.5 is not an integer"),  # type: ignore[arg-type]
    (lambda: LIF("a", 1, du=np.array([1, 2])), "give one number or 1"),
    (lambda: LIF("a", 3, bias_mant=[1, 2]), r"bias_mant has shape \(2,\); give one number or 3"),
    (lambda: LIF("a", 1, bias_mant=-4097), r"bias_mant -4097 is outside -4096\.\.4095"),
    (lambda: LIF("a", 1, bias_exp=8), r"bias_exp 8 is outside 0\.\.7"),
    (lambda: CubaLIF("a", 1, tau_mem=0.0), "tau_mem 0.0 is not a positive finite number"),
    (lambda: CubaLIF("a", 1, tau_syn=math.inf), "tau_syn inf is not a positive finite number"),
    (lambda: CubaLIF("a", 1, v_threshold=0.0), "v_threshold 0.0 is not positive; use inf for a readout"),
    (lambda: CubaLIF("a", 1, v_threshold=math.nan), "v_threshold nan is not positive"),
    (lambda: CubaLIF("a", 3, tau_mem=[1.0, 2.0]), r"tau_mem is float64 of shape \(2,\); give one number or 3"),
    (lambda: CubaLIF("a", 2, tau_syn=[1.0, math.nan]), "tau_syn of neuron 1, nan, is not positive; use inf"),
    (lambda: CubaLIF("a", 2, v_threshold=[1.0, 0.0]), "v_threshold of neuron 1, 0, is not positive; use inf"),
    (lambda: CubaLIF("a", 1, v_threshold="1"), "v_threshold is .* give one number or 1"),
    (
        lambda: CubaLIF("a", 1, tau_mem=1.0, model="threshold"),
        "model 'threshold' has no memory, tau_mem, tau_syn and bias",
    ),
    (lambda: CubaLIF("a", 1, bias=1.0, model="threshold"), "take a bias off v_threshold"),
    (lambda: CubaLIF("a", 1, v_threshold=-1.0, model="threshold"), "v_threshold -1.0 is not positive"),
    (lambda: CubaLIF("a", 3, bias=[1.0, 2.0]), r"bias must be finite, one number or 3; found shape \(2,\)"),
    (lambda: CubaLIF("a", 1, bias=math.nan), "bias must be finite"),
    (lambda: Connection("a", "b", [1.0]), r"weights must be numbers of shape \(n_post, n_pre\)"),
    (lambda: Connection("a", "b", [["x"]]), "weights must be numbers"),
    (lambda: Connection("a", "b", [[math.nan, math.inf, 1.0]]), "2 weights are NaN or infinite"),
    (lambda: Connection("a", "b", LINE, num_weight_bits=9), r"num_weight_bits 9 is outside 1\.\.8"),
    (lambda: Connection("a", "b", LINE, delays=63), r"delay 63 is outside 0\.\.62 steps; use shorter delays"),
    (lambda: Connection("a", "b", LINE, delays=[[1.5, 2.5]]), "delays are float64 of shape"),
    (lambda: SparseConnection("a", "b", (2, 2), [0, 1], [0], [1.0]), "row must be integers, one per weight"),
    (lambda: SparseConnection("a", "b", (2, 2), [0], [2], [1.0]), r"col reaches 2, allowed are 0\.\.1"),
    (lambda: SparseConnection("a", "b", (2, 2), [1, 1], [0, 0], [1.0, 2.0]), "synapse post 1, pre 0 is given twice"),
    (lambda: SparseConnection("a", "b", (2, 2), [0], [0], [math.inf]), "1 weights are NaN or infinite"),
    (lambda: SparseConnection("a", "b", (2, 2), [0], [0], [[1.0]]), r"numbers of shape \(n_synapses\)"),
    (lambda: SparseConnection("a", "b", (2, 2), [0], [0], [1.0], delays=99), "delay 99 is outside"),
    (lambda: Dense("a", "b", [1]), r"weights must have shape \(n_post, n_pre\)"),
    (lambda: Dense("a", "b", LINE), "chip weights are integers; use Connection for float weights"),
    (lambda: Dense("a", "b", [[1]], weight_exp=8), r"weight_exp 8 is outside -8\.\.7"),
    (lambda: Dense("a", "b", [[1]], num_weight_bits=0), r"num_weight_bits 0 is outside 1\.\.8"),
    (lambda: Dense("a", "b", [[1]], sign_mode="both"), "unknown sign_mode 'both'"),
    (lambda: Dense("a", "b", [[256]]), r"weight 256 is outside 0\.\.255 \(excitatory\)"),
    (
        lambda: Dense("a", "b", [[-257, 1]]),
        r"weight -257 is outside -256\.\.255 \(mixed\); scale the weights into -256\.\.254",
    ),
    (lambda: Dense("a", "b", [[-1]], sign_mode="excitatory"), r"weight -1 is outside 0\.\.255"),
    (lambda: Dense("a", "b", [[1]], sign_mode="excitatory", plastic=True), "plastic weights need sign_mode 'mixed'"),
    (lambda: Sparse("a", "b", (1, 2, 3), [0], [0], [1]), r"is not \(n_post, n_pre\)"),  # type: ignore[arg-type]
    (lambda: Sparse("a", "b", (2, 2), [0, 1], [0], [1]), "row must be integers, one per weight"),
    (
        lambda: Sparse("a", "b", (2**23 + 1, 1), [0], [0], [1]),
        "8388609 postsynaptic neurons exceed the limit of 8388608",
    ),
    (lambda: Sparse("a", "b", (2, 2), [2], [0], [1]), r"row reaches 2, allowed are 0\.\.1"),
    (lambda: Sparse("a", "b", (2, 2), [0], [5], [1]), r"col reaches 5, allowed are 0\.\.1"),
    (lambda: Sparse("a", "b", (2, 2), [1, 1], [0, 0], [1, 2]), "synapse post 1, pre 0 is given twice"),
    (lambda: Sparse("a", "b", (2, 2), [0], [0], [1.5]), "chip weights are integers"),
    (lambda: Sparse("a", "b", (2, 2), [0], [0], [300]), "weight 300 is outside"),
    (
        lambda: Sparse("a", "b", (2, 2), [0], [0], [1], sign_mode="excitatory", plastic=True),
        "plastic weights need sign_mode 'mixed', found 'excitatory'",
    ),
    (
        lambda: Conv("a", "b", [[[[3]]]], (1, 1, 1), plastic=True),
        "weight 3 is no multiple of 2, the step of plastic weights",
    ),
    (lambda: Conv("a", "b", [[[[8]]]], (1, 1, 1), num_weight_bits=5), "num_weight_bits 5 is for plastic convolutions"),
    (
        lambda: ConvConnection("a", "b", [[1.0]], input_shape=(1, 1, 1)),
        "weights must be numbers of shape .out_channels, kernel_x",
    ),
    (
        lambda: ConvConnection("a", "b", [[[[1.0]]]], input_shape=(2, 2, 1), delays=1),
        "a convolution has no delays; .* SparseConnection of its as_sparse",
    ),
    (
        lambda: ConvConnection("a", "b", np.ones((2, 1, 1, 2)), input_shape=(2, 2, 3), groups=2),
        "2 groups of weights .* do not fit 3 input channels",
    ),
    (lambda: CubaLIF("a", 1, model="ternery"), "unknown model 'ternery'; choose one of lif, refractory, ternary"),
    (lambda: Probe("a", "w"), "unknown quantity 'w'; choose one of spikes, u, v"),
    (lambda: Network([]), "no groups; give at least one"),
    (lambda: Network([LIF("a", 1)], dt=0.0), "dt 0.0 is not a positive finite number"),
    (lambda: Network([LIF("a", 1), Input("a", 2)]), "group 'a': the name is used twice"),
    (lambda: Network([LIF("a", 1)], [Dense("a", "b", [[1]])]), "'a->b': unknown group 'b'; groups are a"),
    (
        lambda: Network([LIF("a", 1), Input("i", 1)], [Dense("a", "i", [[1]])]),
        "'i' is an input and cannot receive spikes",
    ),
    (
        lambda: Network([LIF("a", 2)], [Dense("a", "a", [[1]])]),
        r"weights have shape \(1, 1\), need \(n_post, n_pre\) = \(2, 2\)",
    ),
    (lambda: Network([LIF("a", 1)], [Dense("a", "a", [[1]])] * 2), "connection 'a->a': given twice"),
    (lambda: Network([LIF("a", 1)], probes=[Probe("b")]), "probe: unknown group 'b'"),  # type: ignore[arg-type]
    (lambda: Network([Input("i", 1)], probes=[Probe("i", "v")]), "Input has no v; probe its spikes"),  # type: ignore[arg-type]
    (
        lambda: Network(
            [Input("i", (1 << 22) + 1), LIF("a", 1)], [Sparse("i", "a", (1, (1 << 22) + 1), [0], [0], [1])]
        ),  # type: ignore[arg-type]
        "4194305 presynaptic neurons exceed the limit of 4194304; split the source",
    ),
]


@pytest.mark.parametrize(("make", "words"), ERRORS, ids=[words[:40] for _, words in ERRORS])
def test_what_is_wrong_is_said(make: Callable[[], object], words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        make()


def test_sparse_keeps_four_bytes_a_synapse_and_gives_back_what_it_was_given() -> None:
    rng = np.random.default_rng(1)
    chosen = rng.permutation(50 * 40)[:300]
    row, col, data = chosen % 50, chosen // 50, rng.integers(-256, 256, 300)
    sparse = Sparse(
        "a", "b", (50, 40), row.astype(np.int16), col.astype(np.uint8), data.astype(np.int16), delays=col % 7
    )
    order = np.lexsort((row, col))
    for part, given in ((sparse.row, row), (sparse.col, col), (sparse.data, data)):
        assert part.dtype == np.int64
        np.testing.assert_array_equal(part, given[order])
    np.testing.assert_array_equal(sparse.delays, col[order] % 7)
    assert sorted(name for name, value in vars(sparse).items() if np.size(value) >= 40) == ["delays", "start", "word"]
    assert sparse.word.dtype == np.int32
    other = dataclasses.replace(sparse, data=-sparse.data // 2)
    np.testing.assert_array_equal(other.data, -data[order] // 2)
    np.testing.assert_array_equal(other.row, sparse.row)
    assert "row=array" in repr(sparse)
    with pytest.raises(AttributeError, match="no attribute 'rows'"):
        sparse.rows  # noqa: B018 - reading is what must fail
    again = pickle.loads(pickle.dumps(sparse))
    np.testing.assert_array_equal(again.word, sparse.word)


def test_a_quantity_of_each_neuron_is_inf_where_there_is_none() -> None:
    group = CubaLIF("a", 3, tau_mem=0.02, v_threshold=[1.0, 2.0, math.inf], bias=0.5)
    found = {quantity: group.each(quantity).tolist() for quantity in ("tau_mem", "tau_syn", "v_threshold", "bias")}
    assert found == {
        "tau_mem": [0.02] * 3,
        "tau_syn": [math.inf] * 3,
        "v_threshold": [1, 2, math.inf],
        "bias": [0.5] * 3,
    }


def test_threshold_units_may_fire_at_anything_above_zero() -> None:
    assert CubaLIF("a", 1, v_threshold=0.0, model="threshold").v_threshold == 0


def test_float_synapses_are_kept_in_the_order_of_integer_ones() -> None:
    pairs = {"row": [2, 0, 1, 0], "col": [1, 1, 0, 0]}
    floats = SparseConnection("a", "b", (3, 2), weights=[0.4, 0.3, 0.2, 0.1], delays=[4, 3, 2, 1], **pairs)
    integers = Sparse("a", "b", (3, 2), data=[4, 3, 2, 1], delays=[4, 3, 2, 1], **pairs)
    assert floats.weights.tolist() == [0.1, 0.2, 0.3, 0.4]
    for key in ("row", "col", "delays"):
        np.testing.assert_array_equal(getattr(floats, key), getattr(integers, key))
    assert isinstance(floats, Connection) and floats.shape == integers.shape == (3, 2)
    assert not Network([Input("a", 2), LIF("b", 3)], [floats]).is_quantized
    doubled = dataclasses.replace(floats, weights=np.asarray(floats.weights) * 2)
    assert (doubled.weights.tolist(), doubled.delays.tolist()) == ([0.2, 0.4, 0.6, 0.8], [1, 2, 3, 4])
    with pytest.raises(NetworkError, match="only integer weights can be replaced"):
        replace_weights(floats, floats.weights)


def test_delays_of_float_weights_pass_to_integers() -> None:
    line = Connection("a", "b", [[1.0, 2.0]], delays=[[0, 5]])
    assert line.with_integers(np.array([[2, 4]]), 0, "excitatory").delays.tolist() == [[0, 5]]
    assert Connection("a", "b", [[1.0]], delays=0).delays is None


@pytest.mark.parametrize(("dilation", "groups"), [(1, 1), (2, 1), ((1, 2), 2), (1, 4)])
def test_a_float_convolution_has_the_synapses_of_the_integer_one(dilation: int | tuple[int, int], groups: int) -> None:
    weights = np.random.default_rng(groups).integers(-100, 100, (4, 3, 2, 4 // groups))
    where = {"input_shape": (7, 6, 4), "stride": (2, 1), "padding": 1, "dilation": dilation, "groups": groups}
    floats, integers = ConvConnection("a", "b", weights / 8, **where), Conv("a", "b", weights, **where)
    assert (floats.shape, floats.output_shape) == (integers.shape, integers.output_shape)
    one_by_one, expected = floats.as_sparse(), integers.as_sparse()
    np.testing.assert_array_equal(one_by_one.row, expected.row)
    np.testing.assert_array_equal(one_by_one.col, expected.col)
    np.testing.assert_array_equal(np.asarray(one_by_one.weights) * 8, expected.data)
    whole = floats.with_integers(weights, 0, "mixed")
    assert (whole.geometry, whole.groups, whole.input_shape) == (integers.geometry, groups, (7, 6, 4))


def test_a_number_of_each_neuron_lies_along_the_weights() -> None:
    each = np.array([1.0, 2.0, 1.0, 2.0])
    assert Connection("a", "b", np.ones((4, 1))).over_weights(each).tolist() == [[1], [2], [1], [2]]
    assert SparseConnection("a", "b", (4, 1), [3, 0], [0, 0], [1.0, 1.0]).over_weights(each).tolist() == [1, 2]
    conv = ConvConnection("a", "b", np.ones((2, 1, 1, 1)), input_shape=(2, 1, 1))
    assert conv.over_weights(each).ravel().tolist() == [1, 2]
    with pytest.raises(NetworkError, match="neurons of channel 0 of group 'b' differ in tau_syn"):
        conv.over_weights(np.arange(4.0))
