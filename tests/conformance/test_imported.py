"""Models that came from files of other frameworks give the same integers on every backend."""

from __future__ import annotations

from pathlib import Path

import h5py
import nir
import numpy as np
import numpy.typing as npt
from realdata import PART, data_file

from neurosim.backend import Backend, get_backend
from neurosim.compare import compare_results
from neurosim.compile_network import compile
from neurosim.data.labelled import load_labelled
from neurosim.events import Events, events_from_dense
from neurosim.exchange.imported import Imported, reorder_events
from neurosim.exchange.lavadl import read_net
from neurosim.exchange.nirfile import read_nir
from neurosim.exchange.slayer import read_slayer
from neurosim.network import Network, Probe
from neurosim.quantize import quantize


def same(backend: Backend, imported: Imported, network: Network, events: Events, n_steps: int) -> None:
    """Run a network on the backend and on the reference, and compare every spike and the output's voltages."""
    probes = [Probe(group.name) for group in network.groups]
    output = network.group(imported.outputs.group)
    probes += [Probe(output.name, "v")] if "v" in output.states else []
    program = compile(network.with_probes(probes), "unlimited", imported.arithmetic)
    lines = reorder_events(events, imported.inputs)
    results = []
    for each in (get_backend("reference"), backend):
        with each.open(program) as runner:
            results.append(runner.run(lines, n_steps))
    assert len(results[0].spikes[output.name].step) > 0, "a silent output would compare nothing"
    assert compare_results(*results).equal


def test_a_convolutional_graph_of_nir(backend: Backend, tmp_path: Path) -> None:
    """Two convolutions, a pool, a dense layer, IF, LIF and CubaLIF: all that happens between two groups is one connection."""
    draw = np.random.default_rng(8)
    one = np.ones((2, 4, 4))
    nodes = {
        "in": nir.Input({"input": np.array([1, 8, 8])}),
        "conv": nir.Conv2d((8, 8), draw.random((2, 1, 3, 3)) - 0.2, 2, 1, 1, 1, np.zeros(2)),
        "if": nir.IF(one * 1e3, one),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "conv2": nir.Conv2d((2, 2), draw.random((3, 2, 3, 3)) - 0.3, 1, 1, 1, 1, np.zeros(3)),
        "lif": nir.LIF(np.full((3, 2, 2), 0.01), np.full((3, 2, 2), 10.0), np.zeros((3, 2, 2)), np.ones((3, 2, 2))),
        "flat": nir.Flatten({"input": np.array([3, 2, 2])}, 0, -1),
        "fc": nir.Affine(draw.random((4, 12)) - 0.2, np.array([0.0, 0.1, 0.0, -0.1])),
        "out": nir.CubaLIF(
            np.full(4, 0.004), np.full(4, 0.02), np.full(4, 20.0), np.zeros(4), np.ones(4), w_in=np.full(4, 4.0)
        ),
        "output": nir.Output({"output": np.array([4])}),
    }
    names = list(nodes)
    nir.write(tmp_path / "cnn.nir", nir.NIRGraph(nodes, list(zip(names[:-1], names[1:], strict=True))))
    imported = read_nir(tmp_path / "cnn.nir", dt=1e-3, spike="unit")
    assert [type(c).__name__ for c in imported.network.connections] == [
        "ConvConnection",
        "ConvConnection",
        "Connection",
    ]
    events = events_from_dense(draw.random((2, 20, 64)) < 0.3)
    same(backend, imported, quantize(imported.network, decay="euler").network, events, 20 + imported.latency)


def test_a_recurrent_net_of_lava_dl_with_delays(backend: Backend, tmp_path: Path) -> None:
    draw = np.random.default_rng(4)

    def even(*shape: int) -> npt.NDArray[np.float32]:
        return (2 * draw.integers(-40, 80, shape)).astype(np.float32)

    with h5py.File(tmp_path / "small.net", "w") as file:
        for i, (kind, n, m) in enumerate((("recurrent", 6, 9), ("dense", 3, 6))):
            layer = file.create_group(f"layer/{i}")
            layer["type"], layer["shape"] = np.array([kind.encode()]), np.array([n])
            layer["inFeatures"], layer["outFeatures"], layer["weight"] = m, n, even(n, m)
            if kind == "recurrent":
                layer["recWeight"] = even(n, n)
            else:
                layer["delay"] = np.arange(6)
            for key, value in {"type": "CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 80, "refDelay": 1}.items():
                layer[f"neuron/{key}"] = value
    imported = read_net(tmp_path / "small.net")
    same(backend, imported, imported.network, events_from_dense(draw.random((2, 30, 9)) < 0.3), 30)


def test_nmnist_network_of_slayer(backend: Backend) -> None:
    """The weights that were made for Loihi, on three recordings."""
    folder = data_file("slayer-loihi", "nmnist_1k", "network.yaml").parent
    imported = read_slayer(folder, sizes=(2312, 512, 10))
    data = load_labelled(data_file("nmnist", "labels.csv").parent, (2, 34, 34), dt=1e-3, n_steps=350, limit=3)
    n_steps = len(range(350)[PART])
    same(backend, imported, imported.network, data.events, n_steps)
