"""Networks to be mapped: made ones in the shapes that occur, and those that others trained for chips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.exchange.lavadl import read_net
from neurosim.network import LIF, AnyConnection, Conv, Dense, Group, Input, Network, Sparse

Weights = npt.NDArray[Any]
INSTANT = 4095  # du of a current that lasts one step; where a source gives no decays, neither u nor v has one here


def dense_layers(sizes: Sequence[int], seed: int) -> Network:
    """Return layers that are fully connected; the first one is the input."""
    rng = np.random.default_rng(seed)
    groups = [Input("in", sizes[0]), *(LIF(f"l{i}", n) for i, n in enumerate(sizes[1:], 1))]
    pairs = zip(groups[:-1], groups[1:], strict=True)
    return Network(groups, [Dense(a.name, b.name, rng.integers(-100, 100, (b.n, a.n))) for a, b in pairs])


def sparse_layers(sizes: Sequence[int], per_neuron: int, seed: int) -> Network:
    """Return layers between which each neuron has so many synapses on average, anywhere in the next one."""
    rng = np.random.default_rng(seed)
    groups = [Input("in", sizes[0]), *(LIF(f"l{i}", n) for i, n in enumerate(sizes[1:], 1))]
    connections = [_random(rng, a, b, per_neuron) for a, b in zip(groups[:-1], groups[1:], strict=True)]
    return Network(groups, connections)


def random_graph(n: int, per_neuron: int, seed: int) -> Network:
    """Return one group in which each neuron sends to so many others."""
    group = LIF("all", n)
    return Network([group], [_random(np.random.default_rng(seed), group, group, per_neuron)])


def near_graph(n: int, per_neuron: int, reach: int, seed: int) -> Network:
    """Return one group in which each neuron sends to so many others, at most `reach` numbers away."""
    rng = np.random.default_rng(seed)
    pre = np.repeat(np.arange(n), per_neuron)
    key = np.unique(pre * n + (pre + rng.integers(-reach, reach + 1, len(pre))) % n)
    return Network(
        [LIF("ring", n)], [Sparse("ring", "ring", (n, n), key % n, key // n, rng.integers(-60, 60, len(key)))]
    )


def convolutions(
    shape: tuple[int, int, int], channels: Sequence[int], strides: Sequence[int], kernel: int, seed: int
) -> Network:
    """Return layers of convolutions with padding that keeps the size where the stride is 1."""
    rng = np.random.default_rng(seed)
    groups: list[Group] = [Input("in", int(np.prod(shape)))]
    connections: list[AnyConnection] = []
    for i, (n, stride) in enumerate(zip(channels, strides, strict=True), 1):
        weights = rng.integers(-50, 50, (n, kernel, kernel, shape[2]))
        conv = Conv(groups[-1].name, f"c{i}", weights, shape, stride, kernel // 2)
        shape = conv.output_shape
        groups.append(LIF(f"c{i}", conv.shape[0]))
        connections.append(conv)
    return Network(groups, connections)


def _random(rng: np.random.Generator, source: Group, target: Group, per_neuron: int) -> Sparse:
    key = np.unique(rng.integers(0, source.n * target.n, source.n * per_neuron))
    shape, data = (target.n, source.n), rng.integers(-60, 60, len(key))
    return Sparse(source.name, target.name, shape, key % target.n, key // target.n, data)


def networks_of_others(home: Path) -> dict[str, Callable[[], Network]]:
    """Return how each network in the folders `lava-models`, `loihi-nets` and `sanafe` is read."""
    lava, loihi, sanafe = home / "lava-models", home / "loihi-nets", home / "sanafe"
    convs = {
        f"conv {path.stem[-1]}": _reader(_single_convolution, path) for path in sorted((lava / "conv").glob("*.npz"))
    }
    return {
        "oxford": _reader(_lava_dl, lava / "oxford" / "network.net"),
        "mnist (lava-dl)": _reader(_lava_dl, lava / "mnist" / "trained_mnist_network.net"),
        "tinynet": _reader(_lava_dl, lava / "tinynet" / "tiny.net"),
        "dense layer": _reader(_single_dense, lava / "dense" / "weight.npy"),
        **convs,
        "braille th1": _reader(_lava_dl, loihi / "braille" / "netLoihi_rec_th1.net"),
        "braille th5": _reader(_lava_dl, loihi / "braille" / "netLoihi_rec_th5.net"),
        "seqmnist lsnn": _reader(_seqmnist, loihi / "seqmnist_lsnn"),
        "dvs gesture": _reader(_gesture, sanafe / "examples" / "dvs_challenge.npz"),
        "example.net": _reader(_lines, sanafe / "snn" / "example.net"),
    }


def _reader(read: Callable[[Path], Network], path: Path) -> Callable[[], Network]:
    return lambda: read(path)


def _fit(weights: Weights) -> npt.NDArray[np.int64]:
    """Return weights as chip integers; a mapping asks for their places, so that a few beyond the format may be clipped."""
    return np.clip(np.rint(weights), -256, 255).astype(np.int64)


def _lava_dl(path: Path) -> Network:
    """Read a `.net` file of lava-dl or SLAYER; neurons of an input layer run on the host, as far as a mapping is concerned."""
    return read_net(path).network


def _single_dense(path: Path) -> Network:
    weights = _fit(np.load(path))
    return Network(
        [Input("in", weights.shape[1]), LIF("out", weights.shape[0], du=INSTANT)], [Dense("in", "out", weights)]
    )


def _single_convolution(path: Path) -> Network:
    with np.load(path) as data:
        shape = tuple(int(n) for n in data["input"].shape)
        options = {key: tuple(int(n) for n in data[key]) for key in ("stride", "padding", "dilation")}
        conv = Conv("in", "out", _fit(data["weights"]), shape, groups=int(data["groups"]), **options)
        assert conv.output_shape == data["out_gt"].shape
    return Network([Input("in", conv.shape[1]), LIF("out", conv.shape[0], du=INSTANT)], [conv])


def _seqmnist(folder: Path) -> Network:
    into, within, out = (_fit(np.load(folder / f"w_{name}.npy")).T for name in ("in", "rec", "out"))
    groups = [Input("in", into.shape[1]), LIF("rec", within.shape[0], du=INSTANT), LIF("out", out.shape[0], du=INSTANT)]
    return Network(groups, [Dense("in", "rec", into), Dense("rec", "rec", within), Dense("rec", "out", out)])


def _gesture(path: Path) -> Network:
    """The gesture network of SANA-FE at 32 x 32: four convolutions and a dense layer; its first group fires by biases.

    Neurons without a leak, as its authors mean them (a comment in `dvs.yaml`: Loihi's tools could not but leak 1 in 4096).
    """
    with np.load(path) as data:
        vth = data["thresholds"].tolist()
        groups = [LIF("g0", 1024, du=INSTANT, vth=vth[0], bias_mant=np.rint(data["inputs"]).astype(np.int64))]
        connections: list[AnyConnection] = []
        shape: tuple[int, int, int] = (32, 32, 1)
        for i, stride in enumerate((2, 1, 1, 1), 1):
            kernel = _fit(data[f"conv{i}"]).transpose(3, 1, 0, 2)  # y, x, in, out in the file
            conv = Conv(f"g{i - 1}", f"g{i}", kernel, shape, stride)
            shape = conv.output_shape
            groups.append(LIF(f"g{i}", conv.shape[0], du=INSTANT, vth=vth[i]))
            connections.append(conv)
        last = _fit(data["dense1"]).T
        groups.append(LIF("g5", last.shape[0], du=INSTANT, vth=vth[5]))
        connections.append(Dense("g4", "g5", last))
    return Network(groups, connections, name="dvs")


def _lines(path: Path) -> Network:
    """Read SANA-FE's line form: groups (g) and edges (e group.neuron->group.neuron); weights rounded."""
    sizes: list[int] = []
    edges: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["g"]:
            sizes.append(int(words[1]))
        elif words[:1] == ["e"]:
            (g, pre), (h, post) = (tuple(map(int, end.split("."))) for end in words[1].split("->"))
            value = next(word for word in words if word.startswith("weight=")).removeprefix("weight=")
            edges.setdefault((g, h), []).append((post, pre, round(float(value))))
    connections = []
    for (g, h), found in edges.items():
        post, pre, weight = (np.array(column) for column in zip(*found, strict=True))
        connections.append(Sparse(f"g{g}", f"g{h}", (sizes[h], sizes[g]), post, pre, weight))
    return Network([LIF(f"g{i}", n, du=INSTANT) for i, n in enumerate(sizes)], connections, name=path.stem)
