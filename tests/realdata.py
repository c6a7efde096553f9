"""Networks and traces that others recorded: where they lie, and how they are read.

The data are not part of this project. They are looked for in ``$NEUROSIM_DATA``, else in ``../shared/data`` beside the
checkout; each folder there has a README with the source and the meaning of its files. A test that needs what is not
there is skipped and says so.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

HOME_VARIABLE = "NEUROSIM_DATA"
DEFAULT_HOME = Path(__file__).resolve().parents[2] / "shared" / "data"

#: Whether kernels run as plain Python, some thousand times slower: then the first steps of long recordings must do.
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
PART = slice(None, 100 if INTERPRETED else None)

Ints = npt.NDArray[np.int64]


def data_file(*parts: str) -> Path:
    """Return the path of a data file, or skip the test that asks for it."""
    home = Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
    path = home.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"recorded data are absent: {'/'.join(parts)} is not in {home} (set {HOME_VARIABLE})")
    return path


def raster(neuron: npt.ArrayLike, step: npt.ArrayLike, n: int, n_steps: int) -> npt.NDArray[np.bool_]:
    """Return spikes given as two columns as a (n_steps, n) array."""
    found = np.zeros((n_steps, n), np.bool_)
    found[np.asarray(step, np.int64), np.asarray(neuron, np.int64)] = True
    return found


class ChipTrace(NamedTuple):
    """What was read from a Loihi 1 chip that ran a 250-25-1 network for 500 steps (folder slayer-loihi)."""

    weights: Ints  # (25, 250), even
    spikes_in: npt.NDArray[np.bool_]  # (500, 250) in the step in which the input fires
    spikes_in_recorded: npt.NDArray[np.bool_]  # (500, 250) the chip's own record, after one step of axonal delay
    spikes: npt.NDArray[np.bool_]  # (500, 25) of the hidden neurons
    voltage: Ints  # (499,) of hidden neuron 24, entry i in step i + 1; READ_OUT in the step of a spike
    probed: int = 24
    n_steps: int = 500


#: What the chip shows in place of the voltage in the step of a spike.
READ_OUT = 128
#: Constants of all neurons of that network, as in its network.yaml, in Lava's terms (du is the decay less 1).
CHIP_LIF = {"du": 1024 - 1, "dv": 128, "vth": 80}


def chip_trace() -> ChipTrace:
    """Read the recorded chip trace; conversions as its README gives them."""
    folder = data_file("slayer-loihi", "chip_trace", "w1learned.txt").parent
    n_steps = ChipTrace._field_defaults["n_steps"]
    time, neuron = np.loadtxt(folder / "spikeIn.txt").T
    step = np.rint(time / 0.1).astype(np.int64) + 49
    inside = step < n_steps
    recorded = np.loadtxt(folder / "loihiInputSpikes.txt").astype(np.int64)
    hidden = np.loadtxt(folder / "loihiHiddenSpikes.txt").astype(np.int64)
    return ChipTrace(
        weights=2 * np.rint(4 * np.loadtxt(folder / "w1learned.txt") / 2).astype(np.int64),
        spikes_in=raster(neuron[inside] - 1, step[inside], 250, n_steps),
        spikes_in_recorded=raster(*recorded.T, 250, n_steps),
        spikes=raster(*hidden.T, 25, n_steps),
        voltage=np.loadtxt(folder / "loihiHiddenVoltage24.txt").astype(np.int64).ravel(),
    )


class Layer(NamedTuple):
    """One dense layer of a lava-dl network, in Lava's terms."""

    weights: Ints  # (n_post, n_pre)
    du: int
    dv: int
    vth: int


def read_net(path: Path) -> list[Layer]:
    """Read the dense layers of a lava-dl network file (HDF5 with the suffix .net)."""
    import h5py

    layers = []
    with h5py.File(path) as file:
        for i in range(len(file["layer"])):
            layer = file["layer"][str(i)]
            neuron, weights = layer["neuron"], layer["weight"][()]
            assert layer["type"][()].tolist() == [b"dense"]
            assert neuron["refDelay"][()] == 1, "a refractory period of 1 blocks no step"
            assert np.array_equal(weights, np.rint(weights)), "weights are integers kept as floats"
            constants = {name: int(neuron[name][()]) for name in ("iDecay", "vDecay", "vThMant")}
            layers.append(
                Layer(weights.astype(np.int64), constants["iDecay"] - 1, constants["vDecay"], constants["vThMant"])
            )
    return layers


class Oxford(NamedTuple):
    """The trained 200-256-200 network of lava-dl's tutorial, with the spikes that lava-dl computed."""

    layers: list[Layer]
    spikes_in: npt.NDArray[np.bool_]  # (n_steps, 200)
    spikes_out: npt.NDArray[np.bool_]  # (n_steps, 200)


def oxford(n_steps: int = 1900) -> Oxford:
    """Read the Oxford network, its input (times to the nearest step) and its own output."""
    folder = data_file("lava-models", "oxford", "network.net").parent
    line, _, time = np.load(folder / "input.npy").T
    neuron, _, step = np.load(folder / "ground_truth.npy").T
    return Oxford(
        read_net(folder / "network.net"),
        raster(line, np.rint(time), 200, n_steps),
        raster(neuron, step, 200, n_steps),
    )


class DenseLayer(NamedTuple):
    """The reference trace of one dense layer: the first one of the Oxford network."""

    weights: Ints  # (256, 200)
    spikes_in: npt.NDArray[np.bool_]  # (2000, 200)
    current: Ints  # (2000, 256) in units of weights
    spikes_out: npt.NDArray[np.bool_]  # (2000, 256)


def dense_layer() -> DenseLayer:
    """Read lava-dl's reference trace of a dense layer."""
    folder = data_file("lava-models", "dense", "weight.npy").parent
    weights, spikes_in, current, spikes_out = (
        np.load(folder / f"{name}.npy") for name in ("weight", "in", "current", "out")
    )
    return DenseLayer(weights, spikes_in.T != 0, current.T.astype(np.int64), spikes_out.T != 0)


class LavaTrace(NamedTuple):
    """One neuron that the authors of NIR ran on Lava's fixed-point CPU model for 1,000 steps."""

    spikes_in: npt.NDArray[np.bool_]  # (1000,)
    voltage: Ints  # (1000,)
    spikes_out: npt.NDArray[np.bool_]  # (1000,)


def lava_trace() -> LavaTrace:
    """Read the Lava trace of the NIR paper."""
    spikes_in, voltage, spikes_out = np.loadtxt(data_file("nir-models", "lif_lava_cpu_fixed.csv"), delimiter=",").T
    return LavaTrace(spikes_in != 0, voltage.astype(np.int64), spikes_out != 0)


class ConvCase(NamedTuple):
    """One of Lava's convolution references: floats in 0..1, integer weights, the result of another framework."""

    image: npt.NDArray[np.float64]  # (width, height, channels)
    weights: Ints  # (out, kx, ky, in / groups), as `Conv` takes them
    settings: dict[str, Any]  # stride, padding, dilation: (x, y); groups
    result: npt.NDArray[np.float32]  # (width, height, out)


CONV_CASES = ("gt_conv_paris_0", "gt_conv_paris_3", "gt_conv_paris_4", "gt_conv_paris_5")


def conv_case(name: str) -> ConvCase:
    """Read one of `CONV_CASES`."""
    with np.load(data_file("lava-models", "conv", f"{name}.npz"), allow_pickle=False) as stored:
        pairs = {key: tuple(int(x) for x in stored[key]) for key in ("stride", "padding", "dilation")}
        assert tuple(stored["kernel_size"]) == stored["weights"].shape[1:3]
        settings = pairs | {"groups": int(stored["groups"])}
        return ConvCase(stored["input"], stored["weights"], settings, stored["out_gt"])


class TinyNet(NamedTuple):
    """A small convolutional network that SLAYER trained for Loihi, and what it computed; time, x, y, channel."""

    kernels: list[Ints]  # (out, kx, ky, in) as `Conv` takes them; stride 2
    biases: list[Ints]  # (out,) in units of weights
    spikes_in: npt.NDArray[np.bool_]  # (16, 16, 16, 3) of the input layer
    current: Ints  # (16, 6, 6, 24) of the first layer, without the bias, in units of weights
    spikes: list[npt.NDArray[np.bool_]]  # (16, 6, 6, 24) and (16, 1, 1, 36) of both layers


#: Constants of all neurons of that network.
TINY_LIF = {"du": 4096 - 1, "dv": 1024, "vth": 25}


def tiny_net() -> TinyNet:
    """Read the small convolutional network; the file's kernels are SLAYER's, so they are flipped here."""
    folder = data_file("lava-models", "tinynet", "tiny.net").parent
    import h5py

    kernels, biases = [], []
    with h5py.File(folder / "tiny.net") as file:
        for layer in (file["layer"]["1"], file["layer"]["2"]):
            neuron = layer["neuron"]
            assert [int(neuron[key][()]) for key in ("iDecay", "vDecay", "vThMant", "refDelay")] == [4096, 1024, 25, 1]
            assert layer["stride"][()].tolist() == [2, 2]
            assert not layer["padding"][()].any()
            weights = layer["weight"][()][..., 0].transpose(0, 3, 2, 1)[:, ::-1, ::-1]
            kernels.append(weights.astype(np.int64))
            biases.append(layer["bias"][()].astype(np.int64))
    spikes_in, current, first, second = (
        np.load(folder / f"{name}.npy")[0].transpose(3, 2, 1, 0) for name in ("input", "current", "layer1", "output")
    )
    return TinyNet(kernels, biases, spikes_in != 0, current.astype(np.int64), [first != 0, second != 0])
