"""Read networks that lava-dl or SLAYER exported (`.net`, HDF5) as networks in chip integers."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import ModelFileError, NetworkError
from neurosim.exchange.imported import Imported, ImportNote, Port, chip_order
from neurosim.exchange.lavainput import INPUT, input_neurons, number_connection
from neurosim.exchange.lavalayers import (
    Ends,
    Made,
    check_shape,
    conv,
    conv_transpose,
    dense,
    matrix,
    pool,
    unpool,
)
from neurosim.exchange.lavaneurons import Reset, integer, kind_of, make_neurons
from neurosim.fixedpoint import DEFAULT_ARITHMETIC
from neurosim.hdf5tree import read_tree
from neurosim.network import AnyConnection, Group, Input, Network

MAX_LAYERS = 1000
MAX_BYTES = 1 << 27  # of all arrays in a file
MAX_NUMBERS = 1 << 25
#: Layers that send each spike to chosen places of an image.
SPATIAL = {"conv": conv, "pool": pool, "unpool": unpool, "convT": conv_transpose}
#: Layers with dense weights, and the name of the recurrent ones.
DENSE = {"dense": "", "dense_rec": "weight_rec", "recurrent": "recWeight", "dense_comp": ""}
#: What is known and has no meaning on the chip.
NOT_READ = {
    "concat": "its file does not say what is joined",
    "kwta": "its neurons choose winners among each other, which netx has not either",
    "affine": "its neurons have no spikes",
    "time_decimation": "its output has another step of time",
}


def read_net(
    path: str | os.PathLike[str], *, name: str | None = None, input_shape: tuple[int, ...] | None = None,
    num_layers: int | None = None, arithmetic: str = DEFAULT_ARITHMETIC, input_layer: str = "host",
    reset_interval: int | None = None, reset_offset: int = 0,
) -> Imported:  # fmt: skip
    """Read a `.net` file as lava-dl's netx does: integers, one step of delay for each layer.

    Layers of type input, dense, dense_rec, recurrent, conv, pool, unpool, convT and flatten are read, and average at the end
    (left out, with a note). Neurons: LOIHI, CUBA (with refDelay), SDNN, RF_PHASE, RF_IZHIKEVICH. Groups are named after type
    and number of the layer ("conv1"), the input "input".

    An input layer with neurons takes numbers, which netx writes into their biases for each sample. Here
    `neurosim.exchange.lavainput.analogue_events` turns numbers into the events of such a network.

    Parameters
    ----------
    path : path-like
    name : str, optional
        Of the network; the file's name without its end.
    input_shape : tuple of int, optional
        (channels, height, width), where the file has no input layer.
    num_layers : int, optional
        Read that many layers only, as netx.
    arithmetic : {"lava-0.10", "lava-dl", "loihi1"}
        "lava-0.10" is what netx runs on, and what lava-dl trains for since it adds 0.01 to thresholds: a spike where v exceeds
        the threshold. Networks trained before (lava-dl's Oxford) fire where v reaches it: "lava-dl".
    reset_interval, reset_offset : int
        As in netx: LOIHI and CUBA neurons are set back every so many steps, each layer one step after the one before it; the
        first in step 1 + reset_offset (counted from 1). Samples start from rest here in any case. What it does for one sample:
        biases of a layer begin to act with the sample's first spikes there, as in training, not with its first step.
    input_layer : {"host", "chip"}
        Where neurons of an input layer run. "host": `analogue_events` computes their spikes, which are the network's input; all
        steps are those of netx. "chip": the network has them, and its input sends the numbers as messages. This takes a step
        more (`Imported.lag`), in which biases of later layers act already.

    Raises
    ------
    ModelFileError
        If the file is damaged or no network, or a layer has no exact counterpart here; the text names the layer.
    """
    tree = read_tree(path, max_bytes=MAX_BYTES)
    owner = f"file {str(path)!r}"
    n_numbers = _count(tree)
    if n_numbers > MAX_NUMBERS:
        raise ModelFileError(f"{owner}: holds {n_numbers} numbers, networks of up to {MAX_NUMBERS} are read; split it")
    layers = _ordered(owner, tree, num_layers)
    if input_layer not in ("host", "chip"):
        raise ModelFileError(f"{owner}: unknown input_layer {input_layer!r}; choose 'host' or 'chip'")
    builder = _Builder(owner, input_shape, arithmetic, input_layer == "chip", reset_interval, reset_offset)
    for i, layer in layers:
        try:
            builder.add(i, layer)
        except NetworkError as error:
            raise ModelFileError(f"{owner}, layer {i}: {error}") from error
    return builder.finish(tree, name or Path(path).stem, len(layers))


def _count(tree: Mapping[str, Any]) -> int:
    """Return how many numbers there are; each takes eight bytes as a weight, however small it is in the file."""
    return sum(_count(item) if isinstance(item, dict) else int(np.size(item)) for item in tree.values())


def _ordered(owner: str, tree: Mapping[str, Any], num_layers: int | None) -> list[tuple[int, dict[str, Any]]]:
    """Return the layers in the order of their numbers."""
    layers = tree.get("layer")
    if not isinstance(layers, dict) or not layers:
        raise ModelFileError(f"{owner}: has no group 'layer'; give a network that lava-dl or SLAYER exported (.net)")
    if len(layers) > MAX_LAYERS:
        raise ModelFileError(f"{owner}: has {len(layers)} layers, {MAX_LAYERS} are read")
    for key, layer in layers.items():
        if not (key.isascii() and key.isdigit()) or not isinstance(layer, dict):
            raise ModelFileError(f"{owner}: layer {key!r} is not a numbered group; the file is damaged")
    found = sorted((int(key), layer) for key, layer in layers.items())
    if [i for i, _ in found] != list(range(len(found))):
        raise ModelFileError(
            f"{owner}: layers are numbered {[i for i, _ in found][:20]}, not 0, 1, 2 ...; some are missing"
        )
    if num_layers is not None and num_layers < 1:
        raise ModelFileError(f"{owner}: num_layers {num_layers}; give at least 1")
    return found[:num_layers]


class _Builder:
    """The network as far as it is read."""

    def __init__(self, owner: str, input_shape: tuple[int, ...] | None, arithmetic: str, input_on_chip: bool,
        reset_interval: int | None, reset_offset: int,
    ) -> None:  # fmt: skip
        self.reset_interval, self.reset_offset = reset_interval, reset_offset + 1  # time starts from 1
        self.owner, self.arithmetic, self.input_on_chip = owner, arithmetic, input_on_chip
        self.groups: list[Group] = []
        self.connections: list[AnyConnection] = []
        self.notes: list[ImportNote] = []
        self.shape: tuple[int, ...] = () if input_shape is None else check_shape("input_shape", input_shape)
        self.flat = False
        self.message_bits = 0
        self.source: dict[str, Any] = {}
        self.lag = 0
        self.biased: list[int] = []
        self.input_shape = self.shape

    def add(self, i: int, layer: dict[str, Any]) -> None:
        """Add one layer."""
        where = f"{self.owner}, layer {i}"
        kind = kind_of(where, layer)
        if "averaged" in self.source:
            raise ModelFileError(f"{where}: follows an average, whose output is no spikes; give num_layers={i - 1}")
        if kind == "input":
            self._input(where, i, layer)
        elif kind == "flatten":
            self.flat = True
        elif kind in SPATIAL:
            self._place(where, i, kind, layer)
        elif kind in DENSE:
            self._dense(where, i, kind, layer)
        elif kind == "average":
            self._average(where, layer)
        else:
            why = NOT_READ.get(kind, f"known are input, flatten, average, {', '.join((*SPATIAL, *DENSE))}")
            raise ModelFileError(f"{where}: layers of type {kind!r} cannot be read: {why}")

    def finish(self, tree: Mapping[str, Any], name: str, n_layers: int) -> Imported:
        """Return the network."""
        if len(self.groups) < 2:
            raise ModelFileError(f"{self.owner}: has no layer of neurons")
        simulation = tree.get("simulation", {})
        for key in ("Ts", "tSample"):
            value = np.asarray(simulation.get(key, ()) if isinstance(simulation, dict) else ())
            if value.size == 1 and value.dtype.kind in "iuf":
                self.source[key] = float(value.ravel()[0])
        step_ms = self.source.get("Ts", 1.0)
        if not 0 < step_ms < 1e6:
            raise ModelFileError(f"{self.owner}: simulation/Ts {step_ms} is no length of a step in ms")
        if self.message_bits and self.arithmetic != DEFAULT_ARITHMETIC:
            raise ModelFileError(f"{self.owner}: sigma-delta neurons have arithmetic {DEFAULT_ARITHMETIC!r} only")
        if self.biased:
            text = "biases act from the first step on, before the first spikes arrive; reset_interval starts a layer with them"
            self.notes.append(ImportNote(f"layer {self.biased[0]} and later", "info", text))
        network = Network(self.groups, self.connections, dt=step_ms * 1e-3, name=name)
        last = self.groups[-1].name
        lag = {group.name: self.lag for group in self.groups[1:]} if self.lag else {}
        source = {"layers": n_layers, "spike": "unit", **self.source}
        return Imported(
            network, Port(INPUT, self.input_shape, chip_order(self.input_shape)), Port(last, self.shape, chip_order(self.shape)),
            "lava-dl", source, tuple(self.notes), lag, self.arithmetic,
        )  # fmt: skip

    def _input(self, where: str, i: int, layer: dict[str, Any]) -> None:
        if self.groups:
            raise ModelFileError(f"{where}: a second input; one is read, and it comes first")
        self.shape = check_shape(where, layer.get("shape", self.shape or ()))
        self._open()
        if "neuron" not in layer:
            return
        stored = _group(where, layer, "neuron")
        neurons = input_neurons(where, i, stored, self.shape)
        weight, bias = (integer(where, key, layer.get(key, default)) for key, default in (("weight", 64), ("bias", 0)))
        kept = {key: value if isinstance(value, str) else np.asarray(value).tolist() for key, value in stored.items()}
        on = "chip" if self.input_on_chip else "host"
        self.source["input"] = {"layer": i, "weight": weight, "bias": bias, "on": on, "neuron": kept}
        self.message_bits = neurons.message_bits
        self._note(
            i, "info", f"takes numbers {weight} x + {bias} in each step, on the {on}; analogue_events makes the events"
        )
        if self.input_on_chip:
            self.groups.append(neurons.group)
            self.connections.append(number_connection(neurons.group))
            self.lag = 1
            self.reset_offset += 1
        self._next_reset()  # the input's own place in the row

    def _next_reset(self) -> Reset | None:
        """Return when the next layer is reset; each layer follows one step after the one before it."""
        offset, self.reset_offset = self.reset_offset, self.reset_offset + 1
        return None if self.reset_interval is None else Reset(self.reset_interval, offset)

    def _open(self, n: int | None = None) -> None:
        """Make the input, where there is none yet."""
        if self.groups:
            return
        if not self.shape:
            if n is None:
                raise ModelFileError(f"{self.owner}: does not say how large its input is; give input_shape")
            self.shape = (n,)
        self.input_shape = self.shape
        self.groups.append(Input(INPUT, math.prod(self.shape)))

    def _place(self, where: str, i: int, kind: str, layer: dict[str, Any]) -> None:
        """Add a layer that keeps the form of an image."""
        self._open()
        if self.flat:
            raise ModelFileError(f"{where}: a layer of type {kind!r} after a flatten; the order of an image is lost")
        name = f"{kind}{i}"
        if "weight" not in layer or isinstance(layer["weight"], dict):
            raise ModelFileError(f"{where}: has no real weight; complex weights are read in dense layers only")
        made = SPATIAL[kind](self._ends(where, name), layer)
        if tuple(check_shape(where, layer.get("shape", made.shape))) != made.shape:
            raise ModelFileError(
                f"{where}: says shape {check_shape(where, layer['shape'])}, its weights give {made.shape}; the file is damaged"
            )
        self._append(where, i, layer, made, name)

    def _dense(self, where: str, i: int, kind: str, layer: dict[str, Any]) -> None:
        """Add a dense layer, with its recurrent weights where it has some."""
        name = f"{kind}{i}"
        n_post = math.prod(check_shape(where, layer.get("shape", ())))
        weight = layer.get("weight")
        parts = {"": weight}
        if isinstance(weight, dict):
            parts = {"a_real_in": weight.get("real"), "a_imag_in": weight.get("imag")}
        if any(value is None or isinstance(value, dict) for value in parts.values()):
            raise ModelFileError(
                f"{where}: its weights are missing, or neither numbers nor real and imag; the file is damaged"
            )
        n_before = math.prod(self.shape) if self.shape else None
        matrices = {}
        for port, value in parts.items():
            matrices[port] = matrix(where, "weight", value, n_post, n_before)
            n_before = matrices[port].shape[1]
        self._open(n_before)
        ends = self._ends(where, name)
        made = [dense(ends, weights, layer, port) for port, weights in matrices.items()]
        if DENSE[kind]:
            if "delay" in layer and np.any(np.asarray(layer["delay"])):
                raise ModelFileError(
                    f"{where}: a recurrent layer with delays; netx and lava-dl disagree on what they delay"
                )
            again = matrix(where, DENSE[kind], layer.get(DENSE[kind], ()), n_post, n_post)
            made.append(
                dense(Ends(where, name, name, (n_post,), 0, ends.convolve), again, {"neuron": layer.get("neuron", {})})
            )
        self.flat = True
        self._append(where, i, layer, made[0], name)
        for other in made[1:]:
            self.connections.append(other.connection)
            for text in other.lost:
                self._note(i, "warning", text)

    def _append(self, where: str, i: int, layer: dict[str, Any], made: Made, name: str) -> None:
        """Add the neurons of a layer and the connection that leads to them."""
        neurons = make_neurons(
            where, name, _group(where, layer, "neuron"), made.shape, layer.get("bias"), reset=self._next_reset()
        )
        if np.any(np.asarray(layer.get("bias", 0))) and self.reset_interval is None:
            self.biased.append(i)
        if neurons.message_bits and not self.message_bits:
            raise ModelFileError(
                f"{where}: sigma-delta neurons without an input layer that has them; export the input too"
            )
        if "a_real_in" in neurons.group.ports and not made.connection.port:
            raise ModelFileError(f"{where}: resonate-and-fire neurons need complex weights (weight/real, weight/imag)")
        self.groups.append(neurons.group)
        self.connections.append(made.connection)
        self.shape, self.message_bits = made.shape, neurons.message_bits
        for text in made.lost:
            self._note(i, "warning", text)

    def _average(self, where: str, layer: dict[str, Any]) -> None:
        self._open()
        n = int(check_shape(where, layer.get("shape", ()))[0]) if "shape" in layer else 0
        self.source["averaged"] = n
        text = f"an average over blocks of the neurons before it ({n} blocks) is left out, as in netx: take it from their spikes"
        self.notes.append(ImportNote(where.rpartition(", ")[2], "warning", text))

    def _ends(self, where: str, name: str) -> Ends:
        shape = self.shape
        return Ends(where, self.groups[-1].name, name, shape, self.message_bits, self.arithmetic != "loihi1")

    def _note(self, i: int, kind: str, text: str) -> None:
        self.notes.append(ImportNote(f"layer {i}", kind, text))


def _group(where: str, layer: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = layer.get(key)
    if not isinstance(found, dict):
        raise ModelFileError(f"{where}: has no group {key!r}; the file is damaged")
    return found
