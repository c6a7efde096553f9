"""Do networks of lava-dl and SLAYER, read here, do what their authors recorded?"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Cell, Options, Table
from neurosim.backend import get_backend
from neurosim.compile_network import compile as compile_network
from neurosim.data.folder import data_roots
from neurosim.data.mnist import load_mnist
from neurosim.data.nmnist import parse_events
from neurosim.events import Events, events_from_dense
from neurosim.exchange.imported import Imported, chip_order, reorder_events
from neurosim.exchange.lavadl import read_net
from neurosim.exchange.lavainput import analogue_events
from neurosim.exchange.slayer import read_slayer
from neurosim.network import Probe

Bools = npt.NDArray[np.bool_]
BLOCK = 500  # samples run together
MNIST_STEPS = 32  # of lava-dl's tutorial; the images come on in the second
NMNIST_STEPS, N_PIXELS, SIDE = 350, 1156, 34
QUICK_SAMPLES = 20
MISSING = "the folders lava-models, slayer-loihi, mnist and nmnist are not all there."


def tables(options: Options) -> list[Table]:
    """Run what can be compared, where the files are there."""
    home = next((root for root in data_roots() if (root / "lava-models").is_dir()), None)
    columns = ("network", "compared with", "result")
    if home is None or not all((home / name).is_dir() for name in ("slayer-loihi", "mnist", "nmnist")):
        return [Table("Networks of lava-dl and SLAYER", columns, [], f"Not measured: {MISSING}")]
    limit = QUICK_SAMPLES if options.quick else None
    rows = [*_oxford(home), *_tinynet(home), *_chip(home), *_mnist(home, limit), *_nmnist(home, limit)]
    note = (
        "Differences count neuron and step. MNIST: pixels add their value over 255 in each step and fire above 1, from 0 again, as in "
        "lava-dl's tutorial, which publishes 25 of 25 images on a Loihi 2 board. N-MNIST: recordings 1 to 900, part of the 1,000 "
        "that the network was trained on; the authors' log ends at 1.0 on those."
    )
    return [Table("Networks of lava-dl and SLAYER", columns, rows, note)]


def _run(model: Imported, events: Events, group: str, n_steps: int) -> Bools:
    """Return the spikes of a group, (n_samples, n_steps, n)."""
    program = compile_network(model.network.with_probes([Probe(group)]), "unlimited", model.arithmetic)
    with get_backend("simulator").open(program) as runner:
        train = runner.run(events, n_steps).spikes[group]
    found = np.zeros((events.n_samples, n_steps, model.network.group(group).n), np.bool_)
    found[train.sample, train.step, train.neuron] = True
    return found


def _raster(neuron: npt.ArrayLike, step: npt.ArrayLike, n: int, n_steps: int) -> Bools:
    found = np.zeros((n_steps, n), np.bool_)
    step = np.rint(np.asarray(step)).astype(np.int64)
    inside = step < n_steps
    found[step[inside], np.asarray(neuron).astype(np.int64)[inside]] = True
    return found


def _difference(found: Bools, expected: Bools) -> str:
    return f"{int(np.count_nonzero(found != expected))} of {int(expected.sum()):,} spikes differ"


def _oxford(home: Path) -> Iterator[list[Cell]]:
    folder = home / "lava-models" / "oxford"
    line, _, time = np.load(folder / "input.npy").T
    neuron, _, step = np.load(folder / "ground_truth.npy").T
    model = read_net(folder / "network.net", arithmetic="lava-dl")
    found = _run(model, events_from_dense(_raster(line, time, 200, 1900)[None]), "dense1", 1900)[0]
    yield ["Oxford (lava-dl)", "lava-dl's output", _difference(found, _raster(neuron, step, 200, 1900))]


def _tinynet(home: Path) -> Iterator[list[Cell]]:
    folder = home / "lava-models" / "tinynet"
    model = read_net(folder / "tiny.net", reset_interval=1000)
    bias = np.load(folder / "input_bias.npy").astype(np.int64).transpose(2, 1, 0)
    events = analogue_events(model, bias[None], 18)
    recorded = np.load(folder / "input.npy")[0][..., 1:]
    yield ["tinynet, input", "SLAYER's trace", _difference(events.to_dense()[0][:15], recorded.reshape(768, 15).T != 0)]
    for late, (group, name) in enumerate((("conv1", "layer1"), ("conv2", "output")), 1):
        recorded = np.load(folder / f"{name}.npy")[0]
        order = chip_order(recorded.shape[:3])
        expected = recorded[..., 1:].reshape(len(order), 15)[order].T != 0
        found = _run(model, reorder_events(events, model.inputs), group, 18)[0][late : late + 15]
        yield [f"tinynet, {group}", "SLAYER's trace", _difference(found, expected)]


def _chip(home: Path) -> Iterator[list[Cell]]:
    folder = home / "slayer-loihi" / "chip_trace"
    model = read_slayer(folder, weight_scale=4)
    time, neuron = np.loadtxt(folder / "spikeIn.txt").T
    given = _raster(neuron - 1, np.rint(time / 0.1) + 49, 250, 500)
    expected = _raster(*np.loadtxt(folder / "loihiHiddenSpikes.txt").T, 25, 500)
    yield [
        "chip trace (SLAYER)",
        "a Loihi 1 chip",
        _difference(_run(model, events_from_dense(given[None]), "fc1", 500)[0], expected),
    ]


def _mnist(home: Path, limit: int | None) -> Iterator[list[Cell]]:
    images, labels = load_mnist("test", home / "mnist")
    model = read_net(home / "lava-models" / "mnist" / "trained_mnist_network.net")

    def encode(part: slice) -> Bools:
        pixels = images[part].reshape(-1, 784) / 255
        v, spikes = np.zeros_like(pixels), np.zeros((len(pixels), MNIST_STEPS, 784), np.bool_)
        for t in range(1, MNIST_STEPS):
            v += pixels
            spikes[:, t] = v > 1
            v[spikes[:, t]] = 0
        return spikes

    yield ["MNIST (lava-dl)", "test images", _accuracy(model, encode, labels[:limit])]


def _nmnist(home: Path, limit: int | None) -> Iterator[list[Cell]]:
    with (home / "nmnist" / "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))[:limit]
    model = read_slayer(home / "slayer-loihi" / "nmnist_1k", sizes=(2 * N_PIXELS, 512, 10))

    def encode(part: slice) -> Bools:
        spikes = np.zeros((len(rows[part]), NMNIST_STEPS, 2 * N_PIXELS), np.bool_)
        for i, row in enumerate(rows[part]):
            found = parse_events((home / "nmnist" / row["file"]).read_bytes(), row["file"])
            spikes[i, found.time // 1000, found.polarity * N_PIXELS + found.y * SIDE + found.x] = True
        return spikes

    yield ["N-MNIST (SLAYER)", "recordings", _accuracy(model, encode, np.array([int(row["label"]) for row in rows]))]


def _accuracy(model: Imported, encode: Callable[[slice], Bools], labels: npt.NDArray[np.int64]) -> str:
    """Return how many samples get most spikes of their class."""
    right = 0
    for first in range(0, len(labels), BLOCK):
        part = slice(first, min(first + BLOCK, len(labels)))
        spikes = encode(part)
        counts = _run(model, events_from_dense(spikes), model.outputs.group, spikes.shape[1]).sum(axis=1)
        right += int(np.count_nonzero(counts.argmax(axis=1) == labels[part]))
    return f"{right:,} of {len(labels):,} right ({right / len(labels):.2%})"
