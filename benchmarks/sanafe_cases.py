"""The networks that both SANA-FE and neurosim run, with their input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.peers import read_sanafe_yaml
from benchmarks.sanafe_networks import Described, Floats, Group, Ints, Link, read_netlist, read_yaml
from neurosim.data.folder import DataSet, find_data
from neurosim.data.mnist import LEVELS, load_mnist
from neurosim.errors import DataError

SANAFE = DataSet(
    "sanafe",
    "SANA-FE's folders arch, snn and examples",
    ("arch/loihi.yaml",),
    "github.com/SLAM-Lab/SANA-FE at commit 8951ab0711676a773261284d2e8c9d995156cb3d",
)
LAVA_MODELS = DataSet(
    "lava-models",
    "lava-dl's mnist/trained_mnist_network.net",
    ("mnist/trained_mnist_network.net",),
    "github.com/lava-nc/lava-dl, tutorials/lava/lib/dl/netx/mnist",
)
#: File, the chip that it was written for, steps to run. None: a file that is not understood, which is shown.
FILES = (
    ("snn/example.net", "arch/example_chip.yaml", 32),
    ("snn/example_snn.yaml", "arch/example_chip.yaml", 8),
    ("snn/conv.yaml", "arch/example_chip.yaml", 32),
    ("examples/tutorial_snn.yaml", "examples/tutorial_arch.yaml", 32),
    ("snn/dendrite.net", "arch/example_chip.yaml", 32),
)
GESTURE, LOIHI = "snn/dvs.yaml", "arch/loihi.yaml"
GESTURE_STEPS, GESTURE_SIDE = 64, 32
MNIST_STEPS, MNIST_DIGITS, MNIST_DIGITS_QUICK = 64, 20, 2
CORE_NEURONS = 32  # of the MNIST network: several cores, so that packets cross links

Spikes = npt.NDArray[np.bool_]


class Case(NamedTuple):
    """A network and its input.

    Attributes
    ----------
    name : str
    described : Described
    spikes : dict of str to (n_samples, n_steps, n) bool
        Of its inputs, in SANA-FE's order.
    n_samples, n_steps : int
    file, made_for : Path or None
        What SANA-FE's own loader can read, and the chip that the file was written for.
    note : str
        What is not in the file.
    labels : (n_samples,) int or None
    """

    name: str
    described: Described
    spikes: dict[str, Spikes]
    n_samples: int
    n_steps: int
    file: Path | None = None
    made_for: Path | None = None
    note: str = ""
    labels: Ints | None = None


def architecture() -> Path:
    """Return SANA-FE's description of Loihi 1; a `DataError` says what is absent."""
    return find_data(SANAFE) / LOIHI


def cases(python: str, quick: bool, seed: int) -> Iterator[Case | str]:
    """Yield every case, and for what cannot be one the reason."""
    folder = find_data(SANAFE)
    for name, chip, n_steps in FILES:
        try:
            described = read(python, folder / name)
        except ValueError as error:
            yield f"`{name}`: {error}"
            continue
        case = _from_file(described, n_steps, folder / name, folder / chip)
        yield case
        if name == "snn/conv.yaml":
            yield _driven(case, seed)
    if not quick:
        gesture = read(python, folder / GESTURE)
        case = _from_file(gesture, GESTURE_STEPS, folder / GESTURE, folder / LOIHI)
        yield case
        yield _with_events(case, seed)
    try:
        yield mnist(MNIST_DIGITS_QUICK if quick else MNIST_DIGITS)
    except (DataError, ImportError) as error:
        yield f"MNIST: {error}"


def read(python: str, path: Path) -> Described:
    """Read a file of either form."""
    if path.suffix == ".net":
        return read_netlist(path.read_text(encoding="utf-8"), path.stem)
    return read_yaml(read_sanafe_yaml(python, path))


def _from_file(described: Described, n_steps: int, path: Path, chip: Path) -> Case:
    spikes = {}
    for name, listed in described.spikes.items():
        spikes[name] = np.zeros((1, n_steps, listed.shape[1]), np.bool_)
        spikes[name][0, : len(listed)] = listed[:n_steps]
    name = f"{path.parent.name}/{path.name}"
    return Case(name, described, spikes, 1, n_steps, path, chip)


def _driven(case: Case, seed: int) -> Case:
    """Wake the group that the file leaves silent."""
    bias = np.random.default_rng(seed).integers(0, 3, case.described.group("in").n).astype(np.float64)
    groups = tuple(g._replace(bias=bias) if g.name == "in" else g for g in case.described.groups)
    described = case.described._replace(groups=groups)
    return case._replace(
        name=f"{case.name}, driven", described=described, file=None, note="group 'in' has biases of 0 to 2, drawn"
    )


def _with_events(case: Case, seed: int) -> Case:
    """Replace the biases of the first group by spikes of a camera's kind: a blob that goes round, and noise."""
    first = case.described.groups[0]
    inputs = Group(first.name, True, 0 * first.threshold, 0 * first.bias, np.ones(first.n), first.place)
    described = case.described._replace(groups=(inputs, *case.described.groups[1:]))
    spikes = {first.name: blob(case.n_steps, GESTURE_SIDE, seed)[None]}
    note = "the first group is an input on the file's core: a blob on a circle and 1 % noise, drawn"
    return case._replace(name=f"{case.name}, events", described=described, spikes=spikes, file=None, note=note)


def blob(n_steps: int, side: int, seed: int) -> Spikes:
    """Return spikes of a camera that sees a blob go round: (n_steps, side * side), a third of its pixels in each step."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(n_steps)[:, None, None] / n_steps
    y, x = np.mgrid[:side, :side]
    away = np.hypot(x - side * (0.5 + 0.25 * np.cos(angle)), y - side * (0.5 + 0.25 * np.sin(angle)))
    chance = np.where(away < side / 8, 1 / 3, 0.01)
    return np.asarray(rng.random(chance.shape) < chance).reshape(n_steps, side * side)


def mnist(n_digits: int) -> Case:
    """Return lava-dl's trained network with the first test digits, rate-coded.

    Raises
    ------
    DataError, ImportError
        If the network, the digits or h5py are absent.
    """
    import h5py  # a test dependency, not one of neurosim

    with h5py.File(find_data(LAVA_MODELS) / "mnist" / "trained_mnist_network.net") as file:
        layers = [file[f"layer/{i}"] for i in range(len(file["layer"]))]
        weights = [np.asarray(layer["weight"][()], np.float64).T for layer in layers]
        thresholds = [float(layer["neuron/vThMant"][()]) for layer in layers]
        leaks = [1 - int(layer["neuron/vDecay"][()]) / 4096 for layer in layers]
    images = load_mnist("test")
    sizes = [len(weights[0]), *(part.shape[1] for part in weights)]
    names = ("in", *(f"layer{i}" for i in range(len(weights))))
    tiles = iter(range(1, 32))  # one core a tile, the inputs on tile 0
    groups = [Group("in", True, *_same(sizes[0], 0, 0, 1), np.zeros((sizes[0], 2), np.int64))]
    for name, n, threshold, leak in zip(names[1:], sizes[1:], thresholds, leaks, strict=True):
        tile = np.repeat([next(tiles) for _ in range(-(-n // CORE_NEURONS))], CORE_NEURONS)[:n]
        groups.append(Group(name, False, *_same(n, threshold, 0, leak), np.column_stack([tile, 0 * tile])))
    none = np.zeros((0, 2), np.int64)
    links = [Link(names[i], names[i + 1], "dense", part, none) for i, part in enumerate(weights)]
    spikes = rate_coded(images.images[:n_digits].reshape(n_digits, -1), MNIST_STEPS)
    note = f"{n_digits} test digits, {MNIST_STEPS} steps each; the current's memory is left out (SANA-FE keeps it in doubles), leak and threshold are the file's"
    described = Described("mnist", tuple(groups), tuple(links), {})
    labels = images.labels[:n_digits].astype(np.int64)
    return Case(
        "lava-dl MNIST 784-128-64-10", described, {"in": spikes}, n_digits, MNIST_STEPS, note=note, labels=labels
    )


def _same(n: int, *values: float) -> tuple[Floats, Floats, Floats]:
    threshold, bias, leak = (np.full(n, value, np.float64) for value in values)
    return threshold, bias, leak


def rate_coded(pixels: npt.NDArray[np.uint8], n_steps: int) -> Spikes:
    """Return spikes of pixels that fill a bucket: (n, n_steps, n_pixels), at most one in two steps."""
    level = np.zeros(pixels.shape, np.int64)
    spikes = np.zeros((len(pixels), n_steps, pixels.shape[1]), np.bool_)
    for t in range(n_steps):
        level += pixels
        spikes[:, t] = level > LEVELS
        level[spikes[:, t]] = 0
    return spikes
