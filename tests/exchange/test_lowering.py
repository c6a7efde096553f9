"""Networks from NIR graphs do what NIR's equations say: spikes of both are compared step by step."""

from __future__ import annotations

from typing import Any

import nir
import nir_reference
import numpy as np
import numpy.typing as npt
import pytest

from neurosim.errors import ModelFileError, NetworkError, UnsupportedNode
from neurosim.events import events_from_dense
from neurosim.exchange.imported import Imported, reorder_events
from neurosim.exchange.nirfile import read_nir
from neurosim.floatsim import simulate
from neurosim.network import Connection, ConvConnection, SparseConnection

Floats = npt.NDArray[np.float64]
DT = 1e-3


def lif(rng: np.random.Generator, shape: tuple[int, ...], **more: Any) -> Any:
    ones = np.ones(shape)
    fields = {"tau": 0.01 * ones, "r": 10 * ones, "v_leak": 0 * ones, "v_threshold": rng.uniform(0.5, 1.5, shape)}
    return nir.LIF(**(fields | more))


def cuba(rng: np.random.Generator, shape: tuple[int, ...], **more: Any) -> Any:
    ones = np.ones(shape)
    fields = {"tau_syn": rng.uniform(0.002, 0.02, shape), "tau_mem": rng.uniform(0.005, 0.02, shape), "r": rng.uniform(5, 15, shape),
              "v_leak": 0 * ones, "v_threshold": ones, "w_in": rng.uniform(3, 9, shape)}  # fmt: skip
    return nir.CubaLIF(**(fields | more))


def graph_of(nodes: dict[str, Any], edges: list[tuple[str, str]], shape: tuple[int, ...], output: str) -> Any:
    ends = {"in": nir.Input({"input": np.array(shape)}), "out": nir.Output({"output": None})}
    given = nodes | ends
    return nir.NIRGraph(given, [*edges, (output, "out")], type_check=True)


def chain(nodes: dict[str, Any], shape: tuple[int, ...]) -> Any:
    names = list(nodes)
    return graph_of(nodes, list(zip(["in", *names], names, strict=False)), shape, names[-1])


def spikes_in(
    rng: np.random.Generator, n_steps: int, shape: tuple[int, ...], rate: float = 0.3
) -> npt.NDArray[np.bool_]:
    return rng.random((n_steps, *shape)) < rate


def run_imported(
    found: Imported, given: npt.NDArray[np.bool_], decay: str = "euler"
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the spikes of each group, in the framework's order and step."""
    most = max(found.lag.values())
    events = reorder_events(events_from_dense(given.reshape(1, len(given), -1)), found.inputs)
    result = simulate(found.network, events, len(given) + most, decay=decay)  # type: ignore[arg-type]
    return {
        name: spikes[0, found.lag[name] :][: len(given)] for name, spikes in result.spikes.items() if name in found.lag
    }


def assert_same(graph: Any, order: list[str], shape: tuple[int, ...], *, seed: int = 0, n_steps: int = 60, spike: str = "unit",
                rate: float = 0.3, orders: dict[str, Any] | None = None, **how: Any) -> Imported:  # fmt: skip
    """Import a graph and compare the spikes of all its neurons with NIR's equations."""
    rng = np.random.default_rng(seed)
    given = spikes_in(rng, n_steps, shape, rate)
    found = read_nir(graph, dt=DT, spike=spike, **how)  # type: ignore[arg-type]
    expected = nir_reference.run(graph, order, given.astype(float), DT, 1.0 if spike == "unit" else 1 / DT)
    got = run_imported(found, given)
    compared = 0
    for name in order:
        node = graph.nodes[name]
        if not hasattr(node, "v_threshold") and not isinstance(node, nir.Threshold):
            continue
        shape_of = np.shape(node.threshold if isinstance(node, nir.Threshold) else node.v_threshold)
        index = np.arange(np.prod(shape_of)).reshape(shape_of)
        place = (index.T if len(shape_of) in (2, 3) else index).ravel()
        want = expected[name][:, place] != 0
        assert 0 < want.sum() < want.size, f"{name}: nothing to compare"
        np.testing.assert_array_equal(got[name], want, err_msg=name)
        compared += 1
    assert compared
    return found


def test_a_dense_layer_of_each_neuron_model_spikes_as_nir_says():
    rng = np.random.default_rng(1)
    for node in (
        lif(rng, (6,)),
        cuba(rng, (6,)),
        nir.IF(r=np.full(6, 300.0), v_threshold=rng.uniform(0.5, 1.5, 6)),
        nir.Threshold(rng.uniform(0.2, 0.9, 6)),
    ):
        graph = chain({"fc": nir.Linear(rng.normal(0.2, 0.5, (6, 8))), "n": node}, (8,))
        assert_same(graph, ["fc", "n"], (8,))


def test_a_spike_as_an_impulse_is_larger_by_one_over_dt():
    rng = np.random.default_rng(2)
    graph = chain({"fc": nir.Linear(rng.normal(0.2, 0.5, (6, 8)) * DT), "n": lif(rng, (6,)),
                   "fc2": nir.Linear(rng.normal(0.3, 0.5, (5, 6)) * DT), "n2": cuba(rng, (5,))}, (8,))  # fmt: skip
    found = assert_same(graph, ["fc", "n", "fc2", "n2"], (8,), spike="impulse")
    assert found.lag == {"in": 0, "n": 1, "n2": 2}


def test_reset_and_leak_move_the_variables():
    rng = np.random.default_rng(3)
    shape = (6,)
    reset = rng.uniform(-0.5, 0.3, shape)
    for node in (
        lif(rng, shape, v_reset=reset, v_leak=reset + 0.0),
        cuba(rng, shape, v_reset=reset, v_leak=1.0 * reset),
    ):
        graph = chain({"fc": nir.Linear(rng.normal(0.2, 0.5, (6, 8))), "n": node}, (8,))
        found = assert_same(graph, ["fc", "n"], (8,))
        assert any("counted from v_reset" in note.text for note in found.notes)


def test_biases_and_leaks_drive_neurons_from_the_first_step():
    rng = np.random.default_rng(4)
    shape = (6,)
    graph = chain({"fc": nir.Affine(rng.normal(0.2, 0.3, (6, 8)), rng.uniform(-0.05, 0.15, 6)),
                   "n": lif(rng, shape, v_leak=rng.uniform(-0.3, 0.4, 6), v_reset=rng.uniform(-0.2, 0.1, 6))}, (8,))  # fmt: skip
    found = read_nir(graph, dt=DT, spike="unit")
    given = spikes_in(rng, 60, (8,))
    silent = np.zeros((1, 8))  # the bias acts in the one step before the first spike can arrive
    expected = nir_reference.run(graph, ["fc", "n"], np.concatenate([silent, given]), DT)["n"][1:] != 0
    np.testing.assert_array_equal(run_imported(found, given)["n"], expected)
    assert any("acts from step 1 on" in note.text for note in found.notes)


def test_a_bias_neuron_brings_biases_of_currents_exactly():
    rng = np.random.default_rng(5)
    graph = chain({"fc": nir.Affine(rng.normal(0.1, 0.3, (6, 8)), rng.uniform(-0.05, 0.15, 6)), "n": cuba(rng, (6,)),
                   "fc2": nir.Affine(rng.normal(0.1, 0.3, (4, 6)), rng.uniform(0.02, 0.1, 4)), "n2": cuba(rng, (4,))}, (8,))  # fmt: skip
    found = assert_same(graph, ["fc", "n", "fc2", "n2"], (8,), current_bias="neuron")
    assert [c.source for c in found.network.connections].count("bias") == 2
    steady = read_nir(graph, dt=DT, spike="unit")
    assert np.asarray(steady.network.group("n").bias).any() and "bias" not in [g.name for g in steady.network.groups]  # type: ignore[union-attr]
    assert any("steady state" in note.text for note in steady.notes)


def test_recurrence_takes_one_step():
    rng = np.random.default_rng(6)
    nodes = {"fc": nir.Linear(rng.normal(0.2, 0.4, (7, 5))), "lif1.lif": cuba(rng, (7,)), "lif1.w_rec": nir.Linear(rng.normal(0, 0.3, (7, 7))),
             "fc2": nir.Linear(rng.normal(0.2, 0.4, (3, 7))), "lif2": lif(rng, (3,))}  # fmt: skip
    edges = [
        ("in", "fc"),
        ("fc", "lif1.lif"),
        ("lif1.lif", "lif1.w_rec"),
        ("lif1.w_rec", "lif1.lif"),
        ("lif1.lif", "fc2"),
        ("fc2", "lif2"),
    ]
    graph = graph_of(nodes, edges, (5,), "lif2")
    assert_same(graph, ["fc", "lif1.w_rec", "lif1.lif", "fc2", "lif2"], (5,))


def test_branches_arrive_together():
    rng = np.random.default_rng(7)
    nodes = {"a": nir.Linear(rng.normal(0.2, 0.4, (6, 5))), "n1": lif(rng, (6,)), "b": nir.Linear(rng.normal(0.2, 0.4, (6, 6))),
             "n2": lif(rng, (6,)), "skip": nir.Linear(rng.normal(0.2, 0.4, (4, 5))), "c": nir.Linear(rng.normal(0.2, 0.4, (4, 6))),
             "n3": cuba(rng, (4,))}  # fmt: skip
    edges = [
        ("in", "a"),
        ("a", "n1"),
        ("n1", "b"),
        ("b", "n2"),
        ("n2", "c"),
        ("c", "n3"),
        ("in", "skip"),
        ("skip", "n3"),
    ]
    found = assert_same(graph_of(nodes, edges, (5,), "n3"), ["a", "n1", "b", "n2", "skip", "c", "n3"], (5,))
    assert np.all(np.asarray(found.network.connection("in->n3").delays) == 2)


def test_loops_of_several_connections_arrive_late_or_wait_for_their_delay():
    rng = np.random.default_rng(8)
    nodes = {"a": nir.Linear(rng.normal(0.3, 0.4, (6, 5))), "n1": lif(rng, (6,)), "b": nir.Linear(rng.normal(0.3, 0.4, (6, 6))),
             "n2": lif(rng, (6,)), "back": nir.Linear(rng.normal(0, 0.4, (6, 6)))}  # fmt: skip
    edges = [("in", "a"), ("a", "n1"), ("n1", "b"), ("b", "n2"), ("n2", "back"), ("back", "n1")]
    found = read_nir(graph_of(nodes, edges, (5,), "n2"), dt=DT, spike="unit")
    assert any("arrives 1 step late" in note.text and note.kind == "warning" for note in found.notes)
    with pytest.raises(UnsupportedNode, match="node 'n2': feedback to 'n1' closes a loop of several connections"):
        read_nir(graph_of(nodes, edges, (5,), "n2"), dt=DT, spike="unit", strict=True)
    nodes["d"] = nir.Delay(np.full(6, 3 * DT))
    edges = [*edges[:4], ("n2", "d"), ("d", "back"), edges[5]]
    order = ["d", "back", "a", "n1", "b", "n2"]
    # In the list the delay comes first, so it takes spikes of the step before: 3 steps and one for the recurrence.
    found = assert_same(graph_of(nodes, edges, (5,), "n2"), order, (5,), strict=True)
    assert np.all(np.asarray(found.network.connection("n2->n1").delays) == 2)


def test_delays_of_each_element_go_into_synapses():
    rng = np.random.default_rng(9)
    nodes = {"d1": nir.Delay(rng.integers(0, 9, 5) * DT), "a": nir.Linear(rng.normal(0.3, 0.5, (6, 5))),
             "d2": nir.Delay(rng.integers(0, 9, 6) * DT), "n1": lif(rng, (6,)), "d3": nir.Delay(np.full(6, 4 * DT)), "n2": lif(rng, (6,), v_threshold=np.full(6, 0.4))}  # fmt: skip
    found = assert_same(chain(nodes, (5,)), list(nodes), (5,))
    assert isinstance(found.network.connection("n1->n2"), SparseConnection)
    assert np.all(np.asarray(found.network.connection("n1->n2").delays) == 4)


CONVOLUTIONS = [
    {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "kernel": (3, 3)},
    {"stride": 2, "padding": 1, "dilation": 1, "groups": 1, "kernel": (3, 3)},
    {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2), "groups": 1, "kernel": (2, 3)},
    {"stride": 1, "padding": "same", "dilation": 1, "groups": 2, "kernel": (4, 4)},
    {"stride": 1, "padding": "same", "dilation": 2, "groups": 1, "kernel": (3, 3)},
    {"stride": 1, "padding": "valid", "dilation": 1, "groups": 4, "kernel": (2, 2)},
    {"stride": 3, "padding": 2, "dilation": 1, "groups": 1, "kernel": (5, 5)},
]


def conv2d(
    rng: np.random.Generator,
    n_out: int,
    n_in: int,
    space: tuple[int, int] | None,
    spec: dict[str, Any],
    bias: float = 0.0,
) -> Any:
    weight = rng.normal(0.1, 0.4, (n_out, n_in // spec["groups"], *spec["kernel"]))
    return nir.Conv2d(
        space, weight, spec["stride"], spec["padding"], spec["dilation"], spec["groups"], np.full(n_out, bias)
    )


@pytest.mark.parametrize("spec", CONVOLUTIONS, ids=str)
def test_convolutions_stay_convolutions(spec: dict[str, Any]):
    rng = np.random.default_rng(10)
    shape = (4, 8, 7)  # channels, height, width
    node = conv2d(rng, 4, 4, shape[1:], spec)
    out = nir_reference.convolve(np.zeros(shape), node).shape
    graph = nir.NIRGraph({"in": nir.Input({"input": np.array(shape)}), "c": node, "n": lif(rng, out), "out": nir.Output({"output": np.array(out)})},
                         [("in", "c"), ("c", "n"), ("n", "out")], type_check=False)  # fmt: skip
    found = assert_same(graph, ["c", "n"], shape, n_steps=20)
    assert isinstance(found.network.connection("in->n"), ConvConnection)
    assert found.inputs.shape == shape and found.outputs.shape == out


@pytest.mark.parametrize(("pool", "size", "stride", "padding", "fused"), [
    (nir.SumPool2d, 2, 2, 0, True), (nir.AvgPool2d, 2, 2, 0, True), (nir.SumPool2d, 3, 2, 0, False), (nir.AvgPool2d, 3, 3, 1, True),
    (nir.SumPool2d, 2, 3, 0, True), (nir.SumPool2d, 2, 1, 0, False),
])  # fmt: skip
def test_pools_before_convolutions_join_them_where_that_is_exact(
    pool: Any, size: int, stride: int, padding: int, fused: bool
):
    rng = np.random.default_rng(11)
    shape = (2, 8, 8)
    first = pool(np.array([size] * 2), np.array([stride] * 2), np.array([padding] * 2))
    middle = nir_reference.pool(np.zeros(shape), first).shape
    node = conv2d(rng, 3, 2, None, {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "kernel": (3, 3)})
    out = nir_reference.convolve(np.zeros(middle), node).shape
    graph = chain({"p": first, "c": node, "n": lif(rng, out)}, shape)
    found = assert_same(graph, ["p", "c", "n"], shape, n_steps=25)
    assert isinstance(found.network.connection("in->n"), ConvConnection) == fused


def test_a_pool_whose_windows_do_not_reach_the_edge_is_not_joined_with_padding():
    rng = np.random.default_rng(12)
    shape = (2, 9, 8)  # one row is left over: padding of the convolution would see it
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    padded = conv2d(rng, 3, 2, None, {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "kernel": (3, 3)})
    inside = conv2d(rng, 3, 2, None, {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "kernel": (3, 3)})
    for node, fused in ((padded, False), (inside, True)):
        out = nir_reference.convolve(np.zeros((2, 4, 4)), node).shape
        found = assert_same(
            chain({"p": pool, "c": node, "n": lif(rng, out)}, shape), ["p", "c", "n"], shape, n_steps=25
        )
        assert isinstance(found.network.connection("in->n"), ConvConnection) == fused


def test_a_convolutional_network_with_flatten_and_scale():
    rng = np.random.default_rng(13)
    shape = (2, 8, 8)
    spec = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "kernel": (3, 3)}
    nodes = {
        "c1": conv2d(rng, 4, 2, None, spec), "s1": nir.Scale(np.broadcast_to(rng.uniform(0.5, 1.5, (4, 1, 1)), (4, 8, 8)).copy()),
        "n1": lif(rng, (4, 8, 8)), "p": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "c2": conv2d(rng, 3, 4, None, spec), "n2": nir.IF(rng.uniform(50, 100, (3, 4, 4)), np.ones((3, 4, 4))),
        "f": nir.Flatten({"input": np.array([3, 4, 4])}, 0, -1), "fc": nir.Linear(rng.normal(0, 0.4, (5, 48))), "n3": lif(rng, (5,)),
    }  # fmt: skip
    found = assert_same(chain(nodes, shape), list(nodes), shape, n_steps=30)
    kinds = {c.name: type(c) for c in found.network.connections}
    # Neurons of n2 differ within a channel, so their weights cannot be shared.
    assert kinds == {"in->n1": ConvConnection, "n1->n2": Connection, "n2->n3": Connection}


def test_convolutions_in_one_dimension():
    rng = np.random.default_rng(14)
    node = nir.Conv1d(12, rng.normal(0.2, 0.4, (4, 3, 3)), 2, 1, 1, 1, np.zeros(4))
    out = nir_reference.convolve(np.zeros((3, 12)), node).shape
    nodes = {"c": node, "n": lif(rng, out), "f": nir.Flatten({"input": np.array(out)}, 0, -1),
             "fc": nir.Linear(rng.normal(0.1, 0.3, (5, int(np.prod(out))))), "n2": lif(rng, (5,))}  # fmt: skip
    found = assert_same(chain(nodes, (3, 12)), list(nodes), (3, 12))
    assert isinstance(found.network.connection("in->n"), ConvConnection)


def test_weights_for_each_row_and_paths_that_add():
    rng = np.random.default_rng(15)
    nodes = {"w": nir.Linear(rng.normal(0.2, 0.5, (3, 4, 5))), "n": lif(rng, (3, 4)), "f": nir.Flatten({"input": np.array([3, 4])}, 0, -1),
             "x": nir.Linear(rng.normal(0.2, 0.5, (6, 12))), "y": nir.Linear(rng.normal(0.2, 0.5, (6, 12))), "n2": lif(rng, (6,))}  # fmt: skip
    edges = [("in", "w"), ("w", "n"), ("n", "f"), ("f", "x"), ("f", "y"), ("x", "n2"), ("y", "n2")]
    found = assert_same(graph_of(nodes, edges, (3, 5), "n2"), ["w", "n", "f", "x", "y", "n2"], (3, 5))
    assert isinstance(found.network.connection("in->n"), Connection)
    assert len(found.network.connections) == 2


def test_exact_decay_is_an_exponential():
    one = np.ones(1)
    graph = chain({"fc": nir.Linear(2 * np.ones((1, 1))), "n": nir.LIF(0.004 * one, one, 0 * one, one)}, (1,))
    d = -np.expm1(-0.25)
    assert np.asarray(
        read_nir(graph, dt=DT, spike="unit", decay="exact").network.connections[0].weights
    ).item() == pytest.approx(2 * d)  # type: ignore[union-attr]
    assert np.asarray(read_nir(graph, dt=DT, spike="unit").network.connections[0].weights).item() == pytest.approx(0.5)  # type: ignore[union-attr]


def test_readouts_are_neurons_that_never_fire():
    rng = np.random.default_rng(16)
    ones = np.ones(3)
    weights = rng.normal(0, 1, (3, 4))
    given = spikes_in(rng, 40, (4,))
    for node, wanted in (
        (nir.LI(0.01 * ones, 2 * ones, 0.1 * ones), "lag"),
        (nir.CubaLI(0.005 * ones, 0.01 * ones, 2 * ones, 0 * ones, 3 * ones), "same"),
        (nir.I(5 * ones), "same"),
    ):
        graph = chain({"fc": nir.Linear(weights), "n": node}, (4,))
        found = read_nir(graph, dt=DT, spike="unit")
        steps = given if wanted == "same" else np.concatenate([np.zeros((1, 4)), given])
        expected = nir_reference.run(graph, ["fc", "n"], steps.astype(float), DT)["n"][len(steps) - len(given) :]
        events = events_from_dense(given[None])
        v = simulate(found.network, events, len(given) + 1, decay="euler", record=[("n", "v")]).states["n", "v"][0, 1:]
        np.testing.assert_allclose(v, expected, atol=1e-12)
        assert found.outputs.group == "n" and np.all(np.isinf(np.asarray(found.network.group("n").v_threshold)))  # type: ignore[union-attr]


def test_a_linear_node_before_the_output_is_held_as_current():
    rng = np.random.default_rng(17)
    graph = chain(
        {
            "a": nir.Linear(rng.normal(0.3, 0.5, (4, 5))),
            "n": lif(rng, (4,)),
            "fc": nir.Linear(rng.normal(0, 1, (3, 4))),
        },
        (5,),
    )
    found = read_nir(graph, dt=DT, spike="unit")
    given = spikes_in(rng, 40, (5,))
    expected = nir_reference.run(graph, ["a", "n", "fc"], given.astype(float), DT)["fc"]
    result = simulate(
        found.network, events_from_dense(given[None]), 42, decay="euler", record=[("out", "u"), ("out", "v")]
    )
    np.testing.assert_allclose(result.states["out", "u"][0, 2:], expected, atol=1e-12)
    np.testing.assert_allclose(result.states["out", "v"][0, 2:], np.cumsum(expected, axis=0), atol=1e-12)
    assert found.outputs.group == "out" and any("holds their value" in note.text for note in found.notes)


def test_one_value_stands_for_all_neurons():
    rng = np.random.default_rng(18)
    one = np.array(1.0)
    node = nir.LIF(0.01 * one, 10 * one, 0 * one, one)
    nodes = {"in": nir.Input({"input": np.array([5])}), "fc": nir.Linear(rng.normal(0.2, 0.5, (6, 5))), "n": node, "out": nir.Output({"output": np.array([6])})}  # fmt: skip
    graph = nir.NIRGraph(nodes, [("in", "fc"), ("fc", "n"), ("n", "out")], type_check=False)
    found = read_nir(graph, dt=DT, spike="unit")
    wide = chain({"fc": nodes["fc"], "n": nir.LIF(*(np.full(6, float(x)) for x in (0.01, 10, 0, 1)))}, (5,))
    given = spikes_in(rng, 40, (5,))
    expected = nir_reference.run(wide, ["fc", "n"], given.astype(float), DT)["n"] != 0
    np.testing.assert_array_equal(run_imported(found, given)["n"], expected)


def test_inputs_with_values_get_messages():
    graph = chain({"fc": nir.Linear(np.ones((1, 2))), "n": lif(np.random.default_rng(0), (1,))}, (2,))
    plain, valued = (read_nir(graph, dt=DT, spike="unit", input_values=v) for v in (False, True))
    assert [n.network.connections[0].num_message_bits for n in (plain, valued)] == [0, 8]


REFUSED = [
    ({"li": nir.LI(np.ones(2), np.ones(2), np.zeros(2)), "fc": nir.Linear(np.ones((2, 2))), "n": nir.IF(np.ones(2), np.ones(2))},
     r"node 'li' \(LI\): its voltage goes to 'fc'"),
    ({"d": nir.Delay(np.full(2, 0.063)), "n": nir.IF(np.ones(2), np.ones(2))}, r"node 'd' \(Delay\): .*63 steps.*up to 62"),
    ({"d": nir.Delay(np.full(2, -0.01)), "n": nir.IF(np.ones(2), np.ones(2))}, "negative"),
    ({"n": nir.IF(np.ones(2), np.ones(2), np.ones(2))}, r"node 'n' \(IF\): neuron 0 has v_threshold 1 at or below v_reset 1"),
    ({"n": nir.LIF(np.full(2, 1e-4), np.ones(2), np.zeros(2), np.ones(2))}, r"tau 0.0001 is shorter than a step"),
    ({"n": nir.LIF(np.full(2, -1.0), np.ones(2), np.zeros(2), np.ones(2))}, "not positive and finite"),
    ({"n": nir.CubaLIF(np.full(2, np.inf), np.ones(2), np.ones(2), np.zeros(2), np.ones(2))}, "tau_syn inf is not positive and finite"),
    ({"a": nir.Affine(np.ones((2, 2)), np.full(2, 3.0)), "n": nir.Threshold(np.ones(2))}, r"'n' \(Threshold\): .*fire without input"),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "words"), REFUSED, ids=[words[:40] for _, words in REFUSED])
def test_what_a_chip_cannot_do_is_refused_by_name(nodes: dict[str, Any], words: str):
    with pytest.raises(UnsupportedNode, match=words):
        read_nir(chain(nodes, (2,)), dt=DT, spike="unit")


def test_structures_that_are_refused():
    rng = np.random.default_rng(19)
    square = nir.Linear(np.ones((2, 2)))
    loop = graph_of(
        {"a": square, "b": nir.Linear(np.eye(2)), "n": lif(rng, (2,))},
        [("in", "a"), ("a", "b"), ("b", "a"), ("b", "n")],
        (2,),
        "n",
    )
    with pytest.raises(UnsupportedNode, match="node 'a'.*loop of linear nodes without neurons"):
        read_nir(loop, dt=DT, spike="unit")
    two = graph_of(
        {"in2": nir.Input({"input": np.array([2])}), "n": lif(rng, (2,))}, [("in", "n"), ("in2", "n")], (2,), "n"
    )
    with pytest.raises(UnsupportedNode, match="2 Input nodes .'in2', 'in'"):
        read_nir(two, dt=DT, spike="unit")
    late = nir.Delay(np.full(2, 5 * DT))
    twice = graph_of({"a": square, "d": late, "b": nir.Linear(np.eye(2)), "n": lif(rng, (2,))},
                     [("in", "a"), ("a", "n"), ("in", "d"), ("d", "b"), ("b", "n")], (2,), "n")  # fmt: skip
    with pytest.raises(NetworkError, match="two paths between the same neurons have different delays"):
        read_nir(twice, dt=DT, spike="unit")


def test_the_wrong_size_of_a_spike_is_noticed():
    one = np.ones(3)
    for spike, weight, other in (("unit", 1.0, "impulse"), ("impulse", 1000.0, "unit")):
        graph = chain({"fc": nir.Linear(np.full((3, 3), weight)), "n": nir.IF(one, one)}, (3,))
        found = read_nir(graph, dt=DT, spike=spike)  # type: ignore[arg-type]
        (note,) = [n for n in found.notes if n.kind == "warning"]
        assert f"spike={spike!r}" in note.text and f"with spike={other!r} it would be" in note.text
    fine = chain({"fc": nir.Linear(np.full((3, 3), 0.5)), "n": nir.IF(one, one)}, (3,))
    assert not [n for n in read_nir(fine, dt=DT, spike="impulse").notes if n.kind == "warning"]


def test_names_that_groups_cannot_have_are_changed():
    rng = np.random.default_rng(20)
    found = read_nir(chain({"fc": nir.Linear(np.ones((2, 2))), "a->b": lif(rng, (2,))}, (2,)), dt=DT, spike="unit")
    assert [g.name for g in found.network.groups] == ["in", "a_b"]
    assert any(n.owner == "a->b" and "'a_b'" in n.text for n in found.notes)


def test_a_voltage_without_memory_is_as_short_as_the_register_allows():
    one = np.ones(1)
    graph = chain({"fc": nir.Linear(np.ones((1, 1))), "n": nir.LIF(DT * one, one, 0 * one, 0.5 * one)}, (1,))
    found = read_nir(graph, dt=DT, spike="unit")
    assert DT / found.network.group("n").tau_mem == pytest.approx(4095 / 4096)  # type: ignore[union-attr]
    assert any("without memory" in n.text for n in found.notes)


def test_shapes_that_do_not_fit_are_refused():
    rng = np.random.default_rng(21)
    bad = nir.NIRGraph({"in": nir.Input({"input": np.array([3])}), "n": lif(rng, (2,)), "out": nir.Output({"output": np.array([2])})},
                       [("in", "n"), ("n", "out")], type_check=False)  # fmt: skip
    with pytest.raises(
        ModelFileError, match=r"node 'n' \(LIF\): node 'in' \(Input\) gives shape \(3,\), it takes \(2,\)"
    ):
        read_nir(bad, dt=DT, spike="unit")
