"""NIR files of our models: the integers come back to the last bit, and the floats beside them do what the chip does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import nir
import nir_reference
import numpy as np
import numpy.typing as npt
import pytest
from realdata import raster

from neurosim.backend import get_backend
from neurosim.chip import load_chip
from neurosim.compile_network import compile
from neurosim.errors import ModelFileError, RunFolderError, UnsupportedNode
from neurosim.events import events_from_dense
from neurosim.exchange.imported import Port, chip_order
from neurosim.exchange.nirexact import read_nir_model
from neurosim.exchange.nirexport import pack_nir, write_nir
from neurosim.exchange.nirfile import read_nir
from neurosim.modelfile import Model, pack_model
from neurosim.network import LIF, Connection, Conv, CubaLIF, Dense, Input, Network, OneToOne, Probe, Sparse
from neurosim.neurons import GradedVec, LIFRefractory, TernaryLIF
from neurosim.quantize import quantize

CHIP = load_chip("unlimited")
DT = 1e-4


def ints(rng: np.random.Generator, shape: Any, low: int = -60, high: int = 120) -> npt.NDArray[np.int64]:
    return 2 * rng.integers(low // 2, high // 2, shape)


def dense_net(rng: np.random.Generator, **hidden: Any) -> Network:
    first = {"du": 4095, "dv": 300, "vth": 200} | hidden
    return Network(
        [Input("in", 8), LIF("a", 6, **first), LIF("out", 4, du=700, dv=200, vth=150)],
        [Dense("in", "a", ints(rng, (6, 8)), weight_exp=1), Dense("a", "out", ints(rng, (4, 6)))],
        dt=DT,
    )


def recurrent_net(rng: np.random.Generator) -> Network:
    """Return a network with recurrence, a skipping branch, delays and other forms of connections."""
    row, col = np.nonzero(rng.random((5, 6)) < 0.6)
    return Network(
        [Input("in", 8), LIF("a", 6, du=900, dv=300, vth=220, bias_mant=40, bias_exp=4), LIF("b", 6, du=4095, dv=150, vth=160), LIF("out", 5, du=1500, dv=0, vth=300)],
        [Dense("in", "a", ints(rng, (6, 8)), delays=rng.integers(0, 4, (6, 8))), Dense("a", "a", ints(rng, (6, 6), -60, 40)),
         OneToOne("a", "b", 6, 120, weight_exp=1, delays=2), Sparse("b", "out", (5, 6), row, col, ints(rng, len(row), 20, 200)),
         Dense("in", "out", ints(rng, (5, 8), -40, 40)), Dense("b", "a", ints(rng, (6, 6), -40, 40), delays=3)],
        dt=DT,
    )  # fmt: skip


def conv_net(rng: np.random.Generator) -> Network:
    first = Conv("in", "c", ints(rng, (4, 3, 2, 2), -40, 90), (7, 6, 2), stride=(1, 2), padding=(1, 0))
    n = first.shape[0]
    second = Conv("c", "d", ints(rng, (4, 3, 3, 2), -40, 60), first.output_shape, groups=2, dilation=(2, 1))
    return Network(
        [Input("in", 84), LIF("c", n, du=4095, dv=100, vth=150, bias_mant=np.tile([0, 10, 20, 30], n // 4)), LIF("d", second.shape[0], du=2000, dv=60, vth=200), LIF("out", 3, du=4095, dv=50, vth=131071)],
        [first, second, Dense("d", "out", ints(rng, (3, second.shape[0])))],
        dt=DT,
    )  # fmt: skip


def model_of(network: Network, **more: Any) -> Model:
    return Model(network, CHIP, {}, {"task": "t", "n_steps": 30}, **more)


NETS = {"dense": dense_net, "recurrent": recurrent_net, "conv": conv_net}


@pytest.mark.parametrize("name", NETS)
def test_the_integers_come_back_to_the_last_bit(name: str, tmp_path: Path):
    model = replace(
        model_of(NETS[name](np.random.default_rng(0))),
        scales={"group/a": 12.5},
        arithmetic="lava-dl" if name == "dense" else "lava-0.10",
    )
    path = tmp_path / "m.nir"
    write_nir(model, path)
    back = read_nir_model(path)
    assert back is not None
    assert pack_model(back) == pack_model(model)
    program, again = (compile(m.network, m.chip, m.arithmetic) for m in (model, back))
    assert again.fingerprint == program.fingerprint
    found = read_nir(path, dt=DT, spike="unit")
    assert found.network.is_quantized and found.arithmetic == model.arithmetic and found.source["exact"] is True
    assert compile(found.network, CHIP, found.arithmetic).fingerprint == program.fingerprint
    assert any("equal to the last bit" in note.text for note in found.notes)


def test_equal_models_give_equal_bytes(tmp_path: Path):
    model = model_of(conv_net(np.random.default_rng(1)))
    assert pack_nir(model)[0] == pack_nir(model_of(conv_net(np.random.default_rng(1))))[0]
    write_nir(model, tmp_path / "m.nir")
    assert (tmp_path / "m.nir").read_bytes() == pack_nir(model)[0]
    assert [p.name for p in tmp_path.iterdir()] == ["m.nir"]


def integer_spikes(network: Network, given: npt.NDArray[np.bool_], n_steps: int) -> dict[str, npt.NDArray[np.bool_]]:
    names = [g.name for g in network.groups if not isinstance(g, Input)]
    program = compile(network.with_probes([Probe(name) for name in names]), CHIP)
    with get_backend("reference").open(program) as runner:
        result = runner.run(events_from_dense(given[None]), n_steps=n_steps)
    found = {}
    for name in names:
        train = result.spikes[name]
        found[name] = raster(train.neuron, train.step, network.group(name).n, n_steps)
    return found


def float_spikes(
    path: Path, order: list[str], given: npt.NDArray[np.bool_], type_check: bool = True
) -> dict[str, npt.NDArray[np.bool_]]:
    """Run the graph as another reader does. The library's own check of types takes all kernels for squares."""
    graph = nir.read(str(path), type_check=type_check)
    (first,) = [node for node in graph.nodes.values() if isinstance(node, nir.Input)]
    shape = tuple(first.input_type["input"])
    place = chip_order(shape) if len(shape) == 3 else np.arange(shape[0])
    framework = np.empty(given.shape)
    framework[:, place] = given
    found = nir_reference.run(graph, order, framework.reshape(len(given), *shape), DT)
    spikes = {}
    for name in order:
        node = graph.nodes[name]
        if hasattr(node, "v_threshold"):
            of = np.shape(node.v_threshold)
            spikes[name] = found[name][:, chip_order(of) if len(of) == 3 else slice(None)] != 0
    return spikes


def node_order(path: Path, first: list[str]) -> list[str]:
    """Return all nodes so that groups come in this order, each after the linear nodes into it but for feedback."""
    graph = nir.read(str(path), type_check=False)
    order: list[str] = []

    def before(name: str) -> None:
        for source, target in graph.edges:
            if target == name and source not in order and source not in groups:
                before(source)
        order.append(name)

    groups = {*first, *(n for n, node in graph.nodes.items() if isinstance(node, nir.Input))}
    for name in first:
        before(name)
    return order


def test_the_floats_spike_as_the_integers_do(tmp_path: Path):
    """Weights, thresholds and decays are the registers' own: only what the chip rounds in each step differs."""
    path = tmp_path / "m.nir"
    rng = np.random.default_rng(2)
    given = rng.random((300, 8)) < 0.2
    # lag of each group: connections on the shortest way
    for network, lag in ((dense_net(rng), {"a": 1, "out": 2}), (recurrent_net(rng), {"a": 1, "b": 4, "out": 1})):
        write_nir(network, path)
        groups = [g.name for g in network.groups if not isinstance(g, Input)]
        floats = float_spikes(path, node_order(path, groups), given)
        exact = integer_spikes(network, given, 310)
        for name in groups:
            here = exact[name][lag[name] :][: len(given)]
            assert here.any()
            agree = np.mean(here == floats[name])
            assert agree > 0.98, f"{name}: {agree}"


def test_floats_of_a_convolutional_network_spike_as_the_integers_do(tmp_path: Path):
    path = tmp_path / "m.nir"
    rng = np.random.default_rng(3)
    network = conv_net(rng)
    write_nir(network, path)
    given = rng.random((60, 84)) < 0.1
    floats = float_spikes(path, node_order(path, ["c", "d"]), given, type_check=False)
    exact = integer_spikes(network, given, 64)
    for name, lag in (("c", 1), ("d", 2)):
        here = exact[name][lag:][: len(given)]
        assert here.any() and np.mean(here == floats[name]) > 0.99


def test_square_convolutions_pass_the_librarys_check_and_spike_the_same(tmp_path: Path):
    path = tmp_path / "m.nir"
    rng = np.random.default_rng(4)
    first = Conv("in", "c", ints(rng, (3, 3, 3, 2), -40, 90), (6, 6, 2), stride=(1, 2), padding=(1, 1))
    n = first.shape[0]
    network = Network(
        [Input("in", 72), LIF("c", n, du=4095, dv=100, vth=150), LIF("out", 3, du=800, dv=50, vth=700)],
        [first, Dense("c", "out", ints(rng, (3, n), -20, 60))], dt=DT,
    )  # fmt: skip
    write_nir(network, path)
    given = rng.random((60, 72)) < 0.1
    floats = float_spikes(path, node_order(path, ["c", "out"]), given)
    exact = integer_spikes(network, given, 64)
    for name, lag in (("c", 1), ("out", 2)):
        here = exact[name][lag:][: len(given)]
        assert here.any() and np.mean(here == floats[name]) > 0.99


def test_the_graph_alone_is_read_back_as_the_same_floats(tmp_path: Path):
    path = tmp_path / "m.nir"
    rng = np.random.default_rng(5)
    network = Network(
        [Input("in", 5), CubaLIF("a", 4, tau_mem=0.01, tau_syn=0.005, bias=0.01), CubaLIF("r", 3, tau_mem=0.02, v_threshold=np.inf)],
        [Connection("in", "a", rng.normal(0, 0.5, (4, 5))), Connection("a", "r", rng.normal(0, 0.5, (3, 4)))], dt=1e-3,
    )  # fmt: skip
    quantized = quantize(network, decay="euler")
    write_nir(Model(quantized.network, CHIP, quantized.scales), path)
    graph = nir.read(str(path))
    graph.metadata = {}
    found = read_nir(graph, dt=1e-3, spike="unit")
    for name in ("a", "r"):
        group, was = found.network.group(name), quantized.network.group(name)
        assert isinstance(group, CubaLIF) and isinstance(was, LIF)
        assert group.tau_mem == pytest.approx(1e-3 * 4096 / np.asarray(was.dv))
    again = quantize(
        found.network, decay="euler", scales={"a": quantized.scales["group/a"], "r": quantized.scales["group/r"]}
    )
    for connection in quantized.network.connections:
        stored = again.network.connection(connection.name)
        np.testing.assert_array_equal(
            np.asarray(stored.weights) * 2.0**stored.weight_exp,
            np.asarray(connection.weights) * 2.0**connection.weight_exp,
        )
    assert [again.network.group("a").vth, again.network.group("a").du, again.network.group("a").dv] == [
        quantized.network.group("a").vth, quantized.network.group("a").du, quantized.network.group("a").dv]  # fmt: skip
    np.testing.assert_array_equal(again.network.group("a").bias, quantized.network.group("a").bias)


def test_a_changed_graph_is_read_as_floats(tmp_path: Path):
    path = tmp_path / "m.nir"
    write_nir(dense_net(np.random.default_rng(6)), path)
    with h5py.File(path, "a") as file:
        weight = file["node/nodes/in_a_linear/weight"]
        weight[0, 0] += 1.0
    assert read_nir_model(path) is None
    found = read_nir(path, dt=DT, spike="unit")
    assert not found.network.is_quantized
    assert any("changed since" in note.text and note.kind == "warning" for note in found.notes)


def test_damaged_integers_are_noticed(tmp_path: Path):
    path = tmp_path / "m.nir"
    write_nir(dense_net(np.random.default_rng(7)), path)
    for damage in ("array", "text", "missing"):
        with h5py.File(path, "a") as file:
            metadata = file["node/metadata"]
            if damage == "array":
                metadata["neurosim.connection0.weights"][0] += 2
            elif damage == "text":
                text = json.loads(metadata["neurosim"][()])
                text["model"]["network"]["dt"] = 1.0
                del metadata["neurosim"]
                metadata["neurosim"] = json.dumps(text)
            else:
                del metadata["neurosim"]
                metadata["neurosim"] = "{}"
        found = read_nir(path, dt=DT, spike="unit")
        assert not found.network.is_quantized
        assert any("are damaged" in note.text for note in found.notes)


def test_another_dt_is_noted(tmp_path: Path):
    write_nir(dense_net(np.random.default_rng(8)), tmp_path / "m.nir")
    found = read_nir(tmp_path / "m.nir", dt=1.0, spike="impulse")
    assert found.network.dt == DT and any("has no effect" in note.text for note in found.notes)


def test_inputs_and_readout_of_an_imported_model_come_back(tmp_path: Path):
    port = Port("in", (2, 2, 2), chip_order((2, 2, 2)))
    model = replace(
        model_of(dense_net(np.random.default_rng(9))),
        metadata={"inputs": port.to_dict(), "outputs": Port("a", (6,), np.arange(6)).to_dict()},
    )
    write_nir(model, tmp_path / "m.nir")
    found = read_nir(tmp_path / "m.nir", dt=DT, spike="unit")
    assert found.inputs.shape == (2, 2, 2) and found.outputs.group == "a"
    np.testing.assert_array_equal(found.inputs.order, port.order)


@pytest.mark.parametrize("wrong", [3, {"group": "in"}, {"group": "in", "shape": [1 << 40]}, {"group": "nobody", "shape": [8]}, {"group": "in", "shape": [8], "order": [0] * 8}], ids=str)  # fmt: skip
def test_ports_in_metadata_that_do_not_fit_are_refused(wrong: Any, tmp_path: Path):
    model = replace(model_of(dense_net(np.random.default_rng(9))), metadata={"inputs": wrong})
    write_nir(model, tmp_path / "m.nir")
    with pytest.raises(ModelFileError, match="inputs in the model's metadata are wrong"):
        read_nir(tmp_path / "m.nir", dt=DT, spike="unit")


def test_registers_of_each_neuron_and_a_threshold_that_is_met():
    rng = np.random.default_rng(10)
    network = dense_net(
        rng, du=np.array([4095, 10, 20, 30, 40, 4095]), dv=np.arange(6) * 50, vth=np.arange(100, 160, 10)
    )
    import io

    for arithmetic, early in (("lava-0.10", 0.0), ("lava-dl", 1 / 128)):
        data, _ = pack_nir(model_of(network, arithmetic=arithmetic), {"group/a": 2.0})
        node = nir.read(io.BytesIO(data)).nodes["a"]
        assert isinstance(node, nir.CubaLIF)
        np.testing.assert_allclose(DT / node.tau_syn * 4096 - 1, [4095, 10, 20, 30, 40, 4095])
        np.testing.assert_allclose(DT / node.tau_mem * 4096, np.arange(6) * 50, atol=1e-5)
        np.testing.assert_allclose(node.v_threshold, (np.arange(100, 160, 10) - early) / 2)


@pytest.mark.parametrize(
    ("dv", "r"),
    [(300, 1.0), ([300] * 5 + [400], [4096 / 300] * 5 + [4096 / 400])],
    ids=["one time constant", "several"],
)
@pytest.mark.parametrize("bias", [40, [10, 20, 30, 40, 50, 60]], ids=["one bias", "several biases"])
def test_r_is_1_where_a_group_has_one_time_constant(dv: Any, r: Any, bias: Any, tmp_path: Path):
    """Norse takes r of LIF for 1; whatever it is, ``r dt / tau`` times weight or bias is what the registers say."""
    rng = np.random.default_rng(12)
    network = dense_net(rng, dv=np.array(dv), bias_mant=np.array(bias), bias_exp=5)
    path = tmp_path / "m.nir"
    write_nir(network, path)
    graph = nir.read(str(path))
    node, affine = graph.nodes["a"], graph.nodes["in_a_affine"]
    np.testing.assert_allclose(node.r, np.broadcast_to(r, 6), rtol=1e-15)
    drive = node.r * DT / node.tau * 200  # times the threshold: chip weight units
    weights = np.asarray(network.connection("in->a").weights) * 2
    np.testing.assert_allclose(affine.weight * drive[:, None], weights, rtol=1e-14)
    np.testing.assert_allclose(affine.bias * drive, np.broadcast_to(bias, 6) * 2**5 / 64, rtol=1e-14)
    np.testing.assert_array_equal([node.v_threshold, node.v_leak], [np.ones(6), np.zeros(6)])
    given = rng.random((300, 8)) < 0.2
    floats = float_spikes(path, node_order(path, ["a", "out"]), given)["a"]
    here = integer_spikes(network, np.concatenate([given, given[:1]]), 301)["a"][1:]
    assert here.any() and not here.all() and np.mean(here == floats) > 0.95  # the chip's bias is a step ahead


def test_a_bias_in_the_leak_of_neurons_with_r_1_moves_v_by_it(tmp_path: Path):
    bias = 8 * np.arange(1, 9)  # differs within a channel, so no convolution brings it
    network = Network([Input("in", 9), LIF("c", 8, du=4095, dv=128, vth=100, bias_mant=bias)],
                      [Conv("in", "c", np.full((2, 2, 2, 1), 20), (3, 3, 1))], dt=DT)  # fmt: skip
    write_nir(network, tmp_path / "m.nir")
    graph = nir.read(str(tmp_path / "m.nir"))
    node = graph.nodes["c"]
    np.testing.assert_array_equal(node.r, np.ones((2, 2, 2)))
    drive = DT / node.tau * 100
    np.testing.assert_allclose(np.ravel(node.v_leak * drive)[chip_order((2, 2, 2))], bias / 64, rtol=1e-14)
    np.testing.assert_allclose(graph.nodes["in_c_conv"].weight * drive.flat[0], 20, rtol=1e-14)


def test_neurons_without_leak_or_current_have_their_own_nodes(tmp_path: Path):
    rng = np.random.default_rng(11)
    path = tmp_path / "m.nir"
    for fields, kind in (
        ({"dv": 0}, nir.IF), ({}, nir.LIF), ({"du": 100}, nir.CubaLIF), ({"dv": 0, "du": 100}, nir.CubaLIF), ({"dv": 0, "bias_mant": 3}, nir.IF),
    ):  # fmt: skip
        write_nir(dense_net(rng, **fields), path)
        assert type(nir.read(str(path)).nodes["a"]) is kind
    for fields, kind in (({"du": 4095, "dv": 0}, nir.I), ({"du": 4095}, nir.LI), ({"du": 5}, nir.CubaLI)):
        network = Network(
            [Input("in", 2), LIF("r", 2, **({"dv": 9} | fields), vth=131071)], [Dense("in", "r", ints(rng, (2, 2)))]
        )
        write_nir(network, path)
        assert type(nir.read(str(path)).nodes["r"]) is kind


def test_a_threshold_without_memory_is_a_threshold_node(tmp_path: Path):
    network = Network([Input("in", 3), GradedVec("t", 2, vth=40, relu=True), LIF("out", 1, du=4095, vth=5)],
                      [Dense("in", "t", [[30, 20, 0], [0, 60, 10]]), Dense("t", "out", [[4, 8]])], dt=DT)  # fmt: skip
    write_nir(network, tmp_path / "m.nir")
    graph = nir.read(str(tmp_path / "m.nir"))
    np.testing.assert_allclose(
        np.asarray(graph.nodes["in_t_linear"].weight) / graph.nodes["t"].threshold[:, None],
        [[0.75, 0.5, 0], [0, 1.5, 0.25]],
    )
    graph.metadata = {}
    assert read_nir(graph, dt=DT, spike="unit").network.group("t").model == "threshold"  # type: ignore[union-attr]


UNSAYABLE = [
    (TernaryLIF("a", 6), {}, r"group 'a' \(TernaryLIF\): NIR has no node"),
    (LIFRefractory("a", 6), {}, r"group 'a' \(LIFRefractory\)"),
    (GradedVec("a", 6), {}, r"group 'a' \(GradedVec\)"),
    (LIF("a", 6), {"num_message_bits": 8}, "connection 'in->a': multiplies with values of messages"),
]


@pytest.mark.parametrize(("group", "more", "words"), UNSAYABLE, ids=[words[:30] for *_, words in UNSAYABLE])
def test_what_nir_cannot_say_is_refused_and_nothing_is_written(
    group: Any, more: dict[str, int], words: str, tmp_path: Path
):
    network = Network([Input("in", 8), group], [Dense("in", "a", np.ones((6, 8), np.int64), **more)])  # type: ignore[arg-type]
    with pytest.raises(UnsupportedNode, match=words):
        write_nir(network, tmp_path / "m.nir")
    assert not list(tmp_path.iterdir())


def test_floats_and_large_matrices_are_refused(tmp_path: Path):
    floats = Network([Input("in", 1), CubaLIF("a", 1)], [Connection("in", "a", [[1.0]])])
    with pytest.raises(ModelFileError, match="has float parts.*quantize it first"):
        write_nir(floats, tmp_path / "m.nir")
    wide = Network([Input("in", 5000), LIF("a", 5000)], [OneToOne("in", "a", 5000)])
    with pytest.raises(UnsupportedNode, match="5000 x 5000.*exceed the limit"):
        write_nir(wide, tmp_path / "m.nir")
    with pytest.raises(RunFolderError, match="make the folder first"):
        write_nir(dense_net(np.random.default_rng(0)), tmp_path / "none" / "m.nir")
    long = replace(model_of(dense_net(np.random.default_rng(0))), metadata={"text": "x" * (1 << 20)})
    with pytest.raises(ModelFileError, match="metadata take"):
        write_nir(long, tmp_path / "m.nir")


def test_negative_exponents_round_on_the_chip_only(tmp_path: Path):
    network = Network(
        [Input("in", 2), LIF("a", 1)], [Dense("in", "a", [[3, 5]], weight_exp=-1, sign_mode="excitatory")]
    )
    (note,) = write_nir(network, tmp_path / "m.nir")
    assert "rounds the sum" in note.text
    assert np.asarray(nir.read(str(tmp_path / "m.nir")).nodes["in_a_linear"].weight).ravel().tolist() == pytest.approx(
        [0.15, 0.25]
    )
