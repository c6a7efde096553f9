"""Files and graphs of NIR: what is read, what is bent to fit, what is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from realdata import data_file

from neurosim.backend import get_backend
from neurosim.compile_network import compile
from neurosim.data.readers import open_events
from neurosim.errors import ConfigError, ModelFileError, NeurosimError, UnsupportedNode
from neurosim.events import events_from_dense
from neurosim.exchange.imported import ImportNote, reorder_events
from neurosim.exchange.nirfile import read_nir
from neurosim.exchange.nirgraph import flatten
from neurosim.exchange.nirnodes import FIELDS, read_graph
from neurosim.floatsim import simulate
from neurosim.hdf5tree import read_tree
from neurosim.network import LIF, ConvConnection, CubaLIF, Probe
from neurosim.quantize import quantize

DT = 1e-3


def small() -> Any:
    one = np.ones(3)
    return nir.NIRGraph.from_list(
        nir.Affine(np.arange(12.0).reshape(3, 4), 0.1 * one), nir.LIF(0.01 * one, one, 0 * one, one), nir.Linear(np.ones((2, 3))),
        nir.CubaLIF(0.01 * np.ones(2), 0.02 * np.ones(2), np.ones(2), np.zeros(2), np.ones(2)),
    )  # fmt: skip


def same(one: Any, other: Any) -> None:
    assert [g.name for g in one.groups] == [g.name for g in other.groups]
    assert [c.name for c in one.connections] == [c.name for c in other.connections]
    for a, b in zip(one.connections, other.connections, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


def test_a_file_and_its_graph_in_memory_are_the_same(tmp_path: Path):
    nir.write(tmp_path / "m.nir", small())
    found, again = read_nir(tmp_path / "m.nir", dt=DT, spike="unit"), read_nir(small(), dt=DT, spike="unit")
    same(found.network, again.network)
    assert found.network.name == "m" and found.source["version"] == nir.version and found.format == "nir"
    assert found.source["dt"] == DT and found.source["spike"] == "unit" and found.source["decay"] == "euler"
    assert found.inputs.group == "input" and found.outputs.group == "cubalif"


def test_older_files_without_reset_and_input_weight_are_read(tmp_path: Path):
    nir.write(tmp_path / "new.nir", small())
    nir.write(tmp_path / "old.nir", small())
    with h5py.File(tmp_path / "old.nir", "a") as file:
        nodes = file["node/nodes"]
        del nodes["lif/v_reset"], nodes["cubalif/v_reset"], nodes["cubalif/w_in"], file["version"]
        file["version"] = "0.1.1"
    same(*(read_nir(tmp_path / name, dt=DT, spike="unit").network for name in ("new.nir", "old.nir")))


def damaged(change: Any, tmp_path: Path) -> Path:
    path = tmp_path / "m.nir"
    nir.write(path, small())
    with h5py.File(path, "a") as file:
        change(file)
    return path


def put(file: Any, name: str, value: Any) -> None:
    if name in file:
        del file[name]
    file[name] = value


WRONG = [
    (lambda f: put(f, "node/type", "LIF"), "has no NIR graph"),
    (lambda f: f.pop("version"), "has no NIR graph"),
    (lambda f: f.pop("node/edges"), "has no list of edges"),
    (lambda f: put(f, "node/edges", np.ones((3, 2))), "has no list of edges"),
    (lambda f: put(f, "node/edges", ["input", "affine"]), "not a pair of names"),
    (lambda f: put(f, "node/edges", [["input", "nobody"]]), "an edge names 'nobody', which is no node"),
    (lambda f: f.pop("node/nodes/lif/tau"), r"node 'lif' \(LIF\): has no 'tau'"),
    (lambda f: put(f, "node/nodes/lif/tau", "soon"), "tau is the text 'soon'"),
    (lambda f: put(f, "node/nodes/lif/tau", [0.1, np.nan, 0.1]), "1 values of tau are NaN or infinite"),
    (lambda f: put(f, "node/nodes/lif/r", [[1.0, np.inf, 0.1]]), "1 values of r are NaN or infinite"),
    (lambda f: put(f, "node/nodes/lif/tau", np.ones(2)), "its parameters have different shapes"),
    (lambda f: put(f, "node/nodes/affine/bias", np.ones(5)), r"weight \(3, 4\) and bias \(5,\)"),
    (lambda f: put(f, "node/nodes/affine/weight", np.ones(4)), r"weight \(4,\)"),
    (lambda f: put(f, "node/nodes/input/shape", [1 << 40]), "does not fit"),
    (lambda f: put(f, "node/nodes/input/shape", [1 << 30, 4]), "elements, allowed are"),
    (lambda f: put(f, "node/nodes/input/shape", [2.5]), "it must be integers"),
    (lambda f: put(f, "node/nodes/input/shape", np.ones(1000, int)), r"shape has shape \(1000,\); it must be 1 to 8 integers"),
    (lambda f: put(f, "node/edges", [["input", "x" * 5000]]), "an edge names '" + "x" * 40 + "', which"),
    (lambda f: put(f, "node/nodes/input/shape", [-4]), "allowed are 1"),
    (lambda f: put(f, "node/nodes/lif", 3), "node 'lif': has no type"),
    (lambda f: put(f, "node/edges", [["input", "affine"], ["linear", "cubalif"], ["cubalif", "output"]]), r"node 'linear' .*nothing reaches it"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[words[:35] for _, words in WRONG])
def test_what_is_wrong_in_a_file_is_said(change: Any, words: str, tmp_path: Path):
    path = damaged(change, tmp_path)
    with pytest.raises(ModelFileError, match=words):
        read_nir(path, dt=DT, spike="unit")


def test_unknown_types_and_fields_are_named(tmp_path: Path):
    path = damaged(lambda f: put(f, "node/nodes/lif/type", "Izhikevich"), tmp_path)
    with pytest.raises(UnsupportedNode, match=r"node 'lif' \(Izhikevich\): not a type of NIR 1.0.8; known are Input"):
        read_nir(path, dt=DT, spike="unit")
    path = damaged(lambda f: put(f, "node/nodes/lif/type", "a" * 1000), tmp_path)
    with pytest.raises(UnsupportedNode, match=r"\(a{40}\): not a type"):
        read_nir(path, dt=DT, spike="unit")
    path = damaged(lambda f: put(f, "node/nodes/lif/colour", 1.0), tmp_path)
    found = read_nir(path, dt=DT, spike="unit")
    assert any(n.owner == "lif" and "'colour' is not one of LIF" in n.text for n in found.notes)


def test_what_is_no_nir_at_all_is_refused(tmp_path: Path):
    with pytest.raises(ModelFileError, match="check the path"):
        read_nir(tmp_path / "none.nir", dt=DT, spike="unit")
    (tmp_path / "text.nir").write_text("no HDF5")
    with pytest.raises(ModelFileError, match="text.nir"):
        read_nir(tmp_path / "text.nir", dt=DT, spike="unit")
    with pytest.raises(ModelFileError, match="int is neither a path nor a nir.NIRGraph"):
        read_nir(3, dt=DT, spike="unit")


def test_arguments_are_checked():
    for wrong, words in (({"dt": 0.0}, "dt 0.0 is not a positive number"), ({"dt": float("nan")}, "dt nan"), ({"spike": "one"}, "choose 'unit' or 'impulse'"),
                         ({"decay": "fast"}, "choose 'euler' or 'exact'"), ({"current_bias": "no"}, "choose 'steady' or 'neuron'")):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            read_nir(small(), **({"dt": DT, "spike": "unit"} | wrong))  # type: ignore[arg-type]


def test_edges_given_twice_count_once():
    graph = small()
    graph.edges.append(graph.edges[1])
    found = read_nir(graph, dt=DT, spike="unit")
    same(found.network, read_nir(small(), dt=DT, spike="unit").network)
    assert any("is given twice" in n.text for n in found.notes)


def nested(inner: Any) -> Any:
    fc = nir.Linear(np.ones((3, 4)))
    nodes = {
        "input": nir.Input({"input": np.array([4])}),
        "fc": fc,
        "rnn": inner,
        "output": nir.Output({"output": np.array([3])}),
    }
    return nir.NIRGraph(nodes, [("input", "fc"), ("fc", "rnn"), ("rnn", "output")], type_check=False)


def recurrent() -> dict[str, Any]:
    one = np.ones(3)
    return {"input": nir.Input({"input": np.array([3])}), "lif": nir.LIF(0.01 * one, one, 0 * one, one),
            "w_rec": nir.Linear(np.ones((3, 3))), "output": nir.Output({"output": np.array([3])})}  # fmt: skip


LOOP = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]


def test_nested_graphs_are_opened():
    """As snnTorch writes its recurrent layers."""
    inner = nir.NIRGraph(recurrent(), LOOP, type_check=False)
    deeper = nir.NIRGraph({"input": nir.Input({"input": np.array([3])}), "x": inner, "output": nir.Output({"output": np.array([3])})},
                          [("input", "x"), ("x", "output")], type_check=False)  # fmt: skip
    for graph, name in ((nested(inner), "rnn.lif"), (nested(deeper), "rnn.x.lif")):
        found = read_nir(graph, dt=DT, spike="unit").network
        assert [g.name for g in found.groups] == ["input", name]
        assert sorted(c.name for c in found.connections) == sorted([f"input->{name}", f"{name}->{name}"])


def test_nested_graphs_with_several_ends_are_refused():
    nodes = recurrent() | {"output2": nir.Output({"output": np.array([3])})}
    inner = nir.NIRGraph(nodes, [*LOOP, ("lif", "output2")], type_check=False)
    with pytest.raises(UnsupportedNode, match=r"node 'rnn' \(NIRGraph\): has 2 Output nodes"):
        read_nir(nested(inner), dt=DT, spike="unit")


def test_names_that_meet_after_opening_are_refused():
    graph = nested(nir.NIRGraph(recurrent(), LOOP, type_check=False))
    graph.nodes["rnn.lif"] = nir.Linear(np.ones((3, 3)))
    with pytest.raises(ModelFileError, match=r"node 'rnn.lif': two nodes have this name"):
        read_nir(graph, dt=DT, spike="unit")


def test_a_missing_flatten_is_noted():
    one = np.ones(3)
    nodes = {"input": nir.Input({"input": np.array([2, 2])}), "fc": nir.Linear(np.ones((3, 4))), "n": nir.IF(one, one), "output": nir.Output({"output": np.array([3])})}  # fmt: skip
    graph = nir.NIRGraph(nodes, [("input", "fc"), ("fc", "n"), ("n", "output")], type_check=False)
    assert any("a missing Flatten" in n.text for n in read_nir(graph, dt=1.0, spike="unit").notes)


def test_shapes_are_the_librarys():
    """Of square kernels: for others the library's own inference is wrong."""
    rng = np.random.default_rng(0)
    for stride, padding, dilation, size, dims in (
        (1, 0, 1, 3, (0, -1)),
        (2, (1, 2), 1, 3, (1, 2)),
        ((1, 2), "same", 2, 3, (0, 1)),
        (3, "valid", 2, 2, (-2, -1)),
    ):
        if padding == "same":
            stride = 1
        conv = nir.Conv2d(None, rng.normal(size=(4, 2, size, size)), stride, padding, dilation, 1, np.zeros(4))
        pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 1]), np.array([1, 0]))
        graph = nir.NIRGraph.from_list(
            nir.Input({"input": np.array([2, 11, 12])}),
            conv,
            pool,
            nir.Flatten(None, *dims),
            nir.Output({"output": None}),
        )
        found = flatten(read_graph(graph, []), [])
        for name, node in graph.nodes.items():
            assert found.out_shape[name] == tuple(int(n) for n in node.output_type["output"]), name
    line = nir.NIRGraph.from_list(
        nir.Input({"input": np.array([3, 20])}),
        nir.Conv1d(None, np.ones((2, 3, 5)), 2, 1, 2, 1, np.zeros(2)),
        nir.Output({"output": None}),
    )
    assert flatten(read_graph(line, []), []).out_shape["conv1d"] == tuple(line.nodes["conv1d"].output_type["output"])


CONV: dict[str, Any] = {
    "input_shape": None,
    "weight": np.ones((2, 2, 3, 3)),
    "stride": 1,
    "padding": 0,
    "dilation": 1,
    "groups": 1,
    "bias": np.zeros(2),
}


@pytest.mark.parametrize(("change", "words"), [
    ({"stride": 0}, r"stride \[0\] is not 1 or 2 integers of at least 1"), ({"padding": (-1, 0)}, "padding"), ({"groups": 3}, "with 3 groups"),
    ({"weight": np.ones((2, 2, 3))}, "is not .out, in / groups, kernel."), ({"bias": np.zeros(3)}, "one number per output channel"),
    ({"weight": np.ones((2, 2, 9, 9))}, "elements, allowed"), ({"input_shape": (8, 9)}, "the numbers of elements must be equal"), ({"dilation": 1 << 31}, "integers of at least 1"),
])  # fmt: skip
def test_convolutions_that_cannot_be_are_refused(change: dict[str, Any], words: str):
    shapes = {"input": nir.Input({"input": np.array([2, 8, 8])}), "output": nir.Output({"output": np.array([2, 6, 6])})}
    tree = nir.NIRGraph(shapes | {"c": nir.Conv2d(**CONV)}, [("input", "c"), ("c", "output")], type_check=False)
    for key, value in change.items():
        setattr(tree.nodes["c"], key, value)
    with pytest.raises(ModelFileError, match=words):
        read_nir(tree, dt=DT, spike="unit")


def test_strided_same_padding_is_refused():
    conv = nir.Conv2d(**CONV | {"padding": "same", "stride": 2})
    shapes = {"input": nir.Input({"input": np.array([2, 8, 8])}), "output": nir.Output({"output": np.array([2, 8, 8])})}
    with pytest.raises(
        UnsupportedNode, match=r"node 'c' \(Conv2d\): padding 'same' with stride \(2, 2\) is not defined"
    ):
        read_nir(
            nir.NIRGraph(shapes | {"c": conv}, [("input", "c"), ("c", "output")], type_check=False), dt=DT, spike="unit"
        )


def test_every_node_of_the_library_is_known():
    import nir.ir

    assert set(FIELDS) == set(nir.ir.__all__) - {"NIRNode", "NIRGraph", "str2NIRNode", "dict2NIRNode"}


def branches(tree: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Return all entries of a tree as (where, key)."""
    found = []
    for key, value in tree.items():
        found.append((tree, key))
        if isinstance(value, dict):
            found += branches(value)
    return found


NONSENSE = [
    np.zeros(0), np.ones((1, 1, 1)), np.array(-1), np.array(1e300), np.array(1e-300), np.array(1 << 40), "same", np.array([np.inf]), np.full((2, 2), 7),
    {}, True, [[]], [], ["a", "b"], [["input", "lif"]], "NIRGraph", "Flatten", "Delay", "", np.array([3, 4, 5]), np.array(0), np.array([True, False]),
]  # fmt: skip


def test_mutated_trees_are_right_or_a_clear_error(tmp_path: Path):
    """Entries of a file's tree are replaced, swapped and removed; files are mutated byte by byte in tests of `hdf5tree`."""
    rng = np.random.default_rng(1)
    models = [small(), nested(nir.NIRGraph(recurrent(), LOOP, type_check=False)), convolutional()]
    trees = []
    for i, model in enumerate(models):
        nir.write(tmp_path / f"{i}.nir", model)
        trees.append(read_tree(tmp_path / f"{i}.nir"))
    outcomes = {"read": 0, "refused": 0}
    for i in range(600):
        tree = copy.deepcopy(trees[i % len(trees)])
        for _ in range(int(rng.integers(1, 3))):
            places = branches(tree)
            (where, key), (other, other_key) = (places[int(k)] for k in rng.integers(len(places), size=2))
            kind = int(rng.integers(3))
            if kind == 0:
                where.pop(key)
            else:
                where[key] = (
                    NONSENSE[int(rng.integers(len(NONSENSE)))] if kind == 1 else copy.deepcopy(other[other_key])
                )
        try:
            found = read_nir(tree, dt=DT, spike="unit")
        except NeurosimError as error:
            outcomes["refused"] += 1
            assert 20 < len(str(error)) < 1000
            continue
        outcomes["read"] += 1
        assert found.network.groups
    assert min(outcomes.values()) > 10, outcomes


def convolutional() -> Any:
    rng = np.random.default_rng(2)
    return nir.NIRGraph.from_list(
        nir.Input({"input": np.array([2, 6, 6])}), nir.Conv2d(None, rng.normal(size=(3, 2, 3, 3)), 1, 1, 1, 1, np.zeros(3)),
        nir.IF(np.ones((3, 6, 6)), np.ones((3, 6, 6))), nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        nir.Flatten(None, 0, -1), nir.Delay(np.full(27, 2 * DT)), nir.Linear(rng.normal(size=(4, 27))), nir.Scale(np.ones(4)),
        nir.LI(0.01 * np.ones(4), np.ones(4), np.zeros(4)),
    )  # fmt: skip


# What follows needs recorded files.


@pytest.mark.parametrize(("name", "dt", "spike"), [
    ("lif_norse", 1e-4, "unit"), ("two_lif_neurons", 1e-4, "unit"), ("braille_noDelay_bias_zero", 1e-4, "unit"), ("cnn_sinabs", 1e-3, "impulse"),
])  # fmt: skip
def test_files_of_the_nir_paper_are_read(name: str, dt: float, spike: Any):
    found = read_nir(data_file("nir-models", f"{name}.nir"), dt=dt, spike=spike)
    assert quantize(found.network, decay="euler").network.is_quantized
    groups = {g.name: g for g in found.network.groups}
    if name == "braille_noDelay_bias_zero":
        assert list(groups) == ["input", "lif1.lif", "lif2"]
        assert sorted(c.name for c in found.network.connections) == [
            "input->lif1.lif",
            "lif1.lif->lif1.lif",
            "lif1.lif->lif2",
        ]
    if name == "cnn_sinabs":
        assert [type(c) is ConvConnection for c in found.network.connections] == [True, True, True, False, False]
        assert not [n for n in found.notes if n.kind == "warning"]
        wrong = read_nir(data_file("nir-models", f"{name}.nir"), dt=dt, spike="unit")
        assert len([n for n in wrong.notes if "with spike='impulse' it would be" in n.text]) == 5
    if name == "two_lif_neurons":
        assert isinstance(groups["lif1"], CubaLIF) and float(np.asarray(groups["lif1"].bias)) == pytest.approx(
            1.2 * dt / 0.01
        )


def test_recorded_traces_of_one_neuron_are_met():
    """Norse's 34 input spikes give its 4 output spikes, in floats and in integers, one step later: the connection's."""
    path = data_file("nir-models", "lif_norse.nir")
    found = read_nir(path, dt=1e-4, spike="unit")
    trace = np.loadtxt(data_file("nir-models", "lif_norse.csv"), delimiter=",")
    given = trace[:, 0] > 0
    assert given.sum() == 34 and np.flatnonzero(trace[:, 2]).tolist() == [460, 510, 710, 760]
    events = reorder_events(events_from_dense(given[None, :, None]), found.inputs)
    result = simulate(found.network, events, 1000, decay="euler", record=[("1", "v")])
    assert np.flatnonzero(result.spikes["1"][0, :, 0]).tolist() == [461, 511, 711, 761]
    v = result.states["1", "v"][0, 1:, 0]
    before = np.flatnonzero(trace[:, 2] > 0)
    rest = np.setdiff1d(np.arange(999), before)  # in the step of a spike, frameworks differ: before or after the reset
    np.testing.assert_allclose(v[rest], trace[rest, 1], atol=1e-6)
    quantized = quantize(found.network, decay="euler")
    (group,) = [g for g in quantized.network.groups if isinstance(g, LIF)]
    assert (group.du, group.dv) == (4095, 164)  # Lava's own script cuts 163.84 to 163
    program = compile(quantized.network.with_probes([Probe("1")]), "loihi1")
    with get_backend("reference").open(program) as runner:
        spikes = runner.run(events).spikes["1"]
    assert spikes.step.tolist() == [461, 511, 711, 761]


def test_the_network_of_sinabs_knows_recorded_digits():
    """Channel 0 is OFF and channel 1 is ON, rows are y, and events of a millisecond are counted."""
    found = read_nir(data_file("nir-models", "cnn_sinabs.nir"), dt=1e-3, spike="impulse", input_values=True)
    folder = data_file("nmnist", "labels.csv").parent
    rows = (folder / "labels.csv").read_text().split()[1:16]
    n_steps, right = 320, 0
    for row in rows:
        name, label = row.split(",")
        counts = np.zeros((n_steps, *found.inputs.shape), np.int64)
        events = open_events(folder / name).read()
        np.add.at(counts, (np.minimum(events["t"] // 1000, n_steps - 1), events["p"], events["y"], events["x"]), 1)
        given = reorder_events(events_from_dense(counts.reshape(1, n_steps, -1), graded=True), found.inputs)
        group = found.outputs.group
        result = simulate(found.network, given, n_steps + found.lag[group], decay="euler", spikes=[group])
        right += int(result.spikes[group][0].sum(axis=0).argmax() == int(label))
    assert right >= 14


def test_notes_name_their_owner():
    assert str(ImportNote("lif", "info", "said")) == "lif: said"
