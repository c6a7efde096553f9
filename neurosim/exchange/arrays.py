"""Networks from numpy arrays: weights and decay factors as trainers keep them, dense, recurrent or convolutional."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from neurosim.errors import NetworkError
from neurosim.exchange.imported import Imported, ImportNote, Port, chip_order
from neurosim.groups import MAX_SPIKES, CubaLIF, Input
from neurosim.network import Connection, ConvConnection, Network, Probe
from neurosim.neurons import Group

Floats = npt.NDArray[np.float64]
Pair = int | tuple[int, int]
INPUT = "input"


@dataclass(frozen=True, eq=False)
class ArrayLayer:
    """One layer of neurons, in the equations of a step that trainers use.

    ``u = alpha u + W s + R z``, ``v = beta v + u + bias``, a spike where v > v_threshold, then v = 0; s are the spikes of the
    layer before, z its own of the step before. What a framework has in front of the input, such as ``1 - beta``, is
    multiplied into weights and bias.

    Parameters
    ----------
    weights : (n_out, n_in) or (out_channels, in_channels / groups, kernel_y, kernel_x) float
        W: of a dense layer, whose inputs are numbered in C order, or of a convolution as in torch (the kernel is not flipped).
    beta : float, (n_out,) or (out_channels,) float
        What is left of v after a step, above 0 and up to 1 (no leak).
    alpha : float, (n_out,) or (out_channels,) float
        What is left of u after a step, from 0 (no memory) to below 1.
    v_threshold : float, (n_out,) or (out_channels,) float
        ``inf`` for neurons that are only read out.
    bias : float, (n_out,) or (out_channels,) float
        Per step.
    recurrent : (n_out, n_out) float, optional
        R.
    delays : int or (n_out, n_in) int, optional
        Of dense weights, in steps.
    stride, padding, dilation : int or (y, x)
        Of a convolution.
    groups : int
        Of a convolution.
    model : str
        As in `CubaLIF`. What takes the messages of models that send numbers multiplies with them.
    name : str
        "layer1" and so on by default.
    max_spikes, signed
        As in `CubaLIF`.
    """

    weights: npt.ArrayLike
    beta: npt.ArrayLike = 1.0
    alpha: npt.ArrayLike = 0.0
    v_threshold: npt.ArrayLike = 1.0
    bias: npt.ArrayLike = 0.0
    recurrent: npt.ArrayLike | None = None
    delays: npt.ArrayLike | None = None
    stride: Pair = 1
    padding: Pair = 0
    dilation: Pair = 1
    groups: int = 1
    model: str = "lif"
    name: str = ""
    max_spikes: int = MAX_SPIKES
    signed: bool = True


def from_arrays(
    layers: Sequence[ArrayLayer | npt.ArrayLike], input_shape: int | tuple[int, ...], *, dt: float = 1e-3,
    num_weight_bits: int = 8, plastic: bool = False, name: str = "arrays",
) -> Imported:  # fmt: skip
    """Return layers in a row as a network in floats.

    Parameters
    ----------
    layers : sequence of ArrayLayer or array
        From the input on; an array alone is `ArrayLayer` of these weights.
    input_shape : int or (channels, height, width)
        Of the inputs, numbered in C order.
    dt : float
        Length of a step in seconds: time constants become ``-dt / log(beta)``, so that quantising with the exact decay (the
        default) gives alpha and beta back.
    num_weight_bits : int
        1..8, of all weights.
    plastic : bool
        All weights may be learned on the chip.
    name : str
        Of the network.

    Returns
    -------
    Imported
        Its last layer is probed: v where no neuron of it fires, else spikes.

    Raises
    ------
    NetworkError
        If shapes do not fit together or a factor is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from neurosim import quantize
    >>> rng = np.random.default_rng(0)
    >>> first = ArrayLayer(rng.normal(size=(4, 2, 3, 3)), beta=0.9)  # a convolution of 2 x 8 x 8 inputs
    >>> last = ArrayLayer(rng.normal(size=(10, 4 * 6 * 6)), beta=0.95, alpha=0.8, v_threshold=np.inf)
    >>> model = from_arrays([first, last], (2, 8, 8))
    >>> [(group.name, group.n) for group in model.network.groups]
    [('input', 128), ('layer1', 144), ('layer2', 10)]
    >>> quantize(model.network).network.group("layer2").du  # 4096 (1 - 0.8) - 1
    818
    """
    shape = (input_shape,) if isinstance(input_shape, (int, np.integer)) else tuple(int(n) for n in input_shape)
    if not layers or len(shape) not in (1, 3) or min(shape) < 1:
        raise NetworkError(
            f"network {name!r}: {len(layers)} layers on inputs of shape {shape}; give layers, and n or (channels, height, width)"
        )
    inputs = Port(INPUT, shape, chip_order(shape))
    groups: list[Group] = [Input(INPUT, math.prod(shape))]
    connections: list[Connection] = []
    before = inputs
    for i, given in enumerate(layers, start=1):
        layer = given if isinstance(given, ArrayLayer) else ArrayLayer(np.asarray(given))
        target = layer.name or f"layer{i}"
        weights = np.asarray(layer.weights)
        if weights.ndim not in (2, 4) or weights.dtype.kind not in "fiu":
            raise NetworkError(
                f"layer {target!r}: weights are {weights.dtype} of shape {weights.shape}; give numbers (n_out, n_in), or "
                "(out_channels, in_channels, kernel_y, kernel_x) of a convolution"
            )
        sent = groups[-1].message_bits if isinstance(groups[-1], CubaLIF) else 0
        bits = num_weight_bits, plastic, sent
        found = (_dense if weights.ndim == 2 else _convolution)(layer, target, weights, before, bits)
        shape = tuple(found.output_shape[::-1]) if isinstance(found, ConvConnection) else (found.shape[0],)
        port = Port(target, shape, chip_order(shape))
        group, gain = _group(layer, port, dt)
        links = [found]
        if layer.recurrent is not None:
            links.append(_recurrent(layer, port, (num_weight_bits, plastic, group.message_bits)))
        connections += [_scaled(connection, gain) for connection in links]
        groups.append(group)
        before = port
    last = groups[-1]
    assert isinstance(last, CubaLIF)
    silent = not np.isfinite(last.each("v_threshold")).any()
    network = Network(groups, connections, [Probe(last.name, "v" if silent else "spikes")], dt, name)
    lag = {group.name: i for i, group in enumerate(groups[1:], start=1)}
    source = {"dt": float(dt), "spike": "unit", "decay": "exact"}
    notes = tuple(
        ImportNote(
            g.name, "info", f"the bias acts from the first step on, {lag[g.name]} before the first input can arrive"
        )
        for g in groups[1:]
        if isinstance(g, CubaLIF) and np.any(g.each("bias"))
    )
    return Imported(network, inputs, before, "arrays", source, notes, lag)


def _dense(
    layer: ArrayLayer, target: str, weights: npt.NDArray[np.generic], before: Port, bits: tuple[int, bool, int]
) -> Connection:
    if weights.shape[1] != len(before.order):
        raise NetworkError(
            f"layer {target!r}: weights {weights.shape} take {weights.shape[1]} inputs, {before.group!r} has "
            f"{len(before.order)} of shape {before.shape}; the second number must be that of the inputs"
        )
    delays = (
        layer.delays
        if layer.delays is None or np.ndim(layer.delays) != 2
        else np.asarray(layer.delays)[:, before.order]
    )
    return Connection(before.group, target, weights[:, before.order], *bits, delays=delays)


def _convolution(
    layer: ArrayLayer, target: str, weights: npt.NDArray[np.generic], before: Port, bits: tuple[int, bool, int]
) -> Connection:
    if len(before.shape) != 3:
        raise NetworkError(
            f"layer {target!r}: a convolution needs inputs (channels, height, width), {before.group!r} has {before.shape}"
        )
    channels, height, width = before.shape
    kernel = weights.transpose(0, 3, 2, 1)[
        :, ::-1, ::-1
    ]  # rows are y in torch; the chip's convolution flips the kernel
    stride, padding, dilation = (_turned(pair) for pair in (layer.stride, layer.padding, layer.dilation))
    return ConvConnection(
        before.group, target, kernel, *bits, delays=layer.delays, input_shape=(width, height, channels), stride=stride,
        padding=padding, dilation=dilation, groups=layer.groups,
    )  # fmt: skip


def _turned(pair: Pair) -> Pair:
    """Return (y, x) as (x, y)."""
    return pair if isinstance(pair, (int, np.integer)) else (pair[1], pair[0])


def _recurrent(layer: ArrayLayer, port: Port, bits: tuple[int, bool, int]) -> Connection:
    weights, n = np.asarray(layer.recurrent), len(port.order)
    if weights.shape != (n, n):
        raise NetworkError(f"layer {port.group!r}: recurrent weights are {weights.shape}; give ({n}, {n})")
    return Connection(port.group, port.group, weights[np.ix_(port.order, port.order)], *bits)


def _group(layer: ArrayLayer, port: Port, dt: float) -> tuple[CubaLIF, Floats]:
    """Return the neurons of a layer, and by what its weights are multiplied so that their sum over time is what moves v."""
    owner = f"layer {port.group!r}"
    alpha, beta = _each(owner, "alpha", layer.alpha, port), _each(owner, "beta", layer.beta, port)
    if not np.all((alpha >= 0) & (alpha < 1)):
        raise NetworkError(f"{owner}: alpha is not in 0..1, 1 excluded; it is what is left of u after a step")
    if not np.all((beta > 0) & (beta <= 1)):
        raise NetworkError(f"{owner}: beta is not in 0..1, 0 excluded; it is what is left of v after a step")
    group = CubaLIF(
        port.group, len(port.order), tau_mem=_tau(beta, 1.0, dt), tau_syn=_tau(alpha, 0.0, dt),
        v_threshold=_each(owner, "v_threshold", layer.v_threshold, port), bias=_each(owner, "bias", layer.bias, port),
        model=layer.model, max_spikes=layer.max_spikes, signed=layer.signed,
    )  # fmt: skip
    return group, 1 / (1 - alpha)


def _each(owner: str, quantity: str, value: npt.ArrayLike, port: Port) -> Floats:
    """Return a quantity of each neuron in the order of the group, from one number, one of each channel or one of each neuron."""
    array, n = np.asarray(value, np.float64), len(port.order)
    if array.shape == (port.shape[0],) and len(port.shape) == 3:
        array = np.repeat(array, n // port.shape[0])
    elif array.shape not in ((), (n,), port.shape):
        of_channels = f", {port.shape[0]} of the channels" if len(port.shape) == 3 else ""
        raise NetworkError(f"{owner}: {quantity} has shape {array.shape}; give one number{of_channels} or {n}")
    return np.broadcast_to(array.ravel() if array.ndim else array, (n,))[port.order]


def _tau(left: Floats, none: float, dt: float) -> npt.ArrayLike | None:
    """Return the time constants of which so much is left after a step; none for the factor that stands for none."""
    with np.errstate(divide="ignore"):
        tau = np.where(left == none, np.inf, -dt / np.log(left))
    if np.all(tau == tau[0]):
        return None if math.isinf(tau[0]) else float(tau[0])
    return tau


def _scaled(connection: Connection, gain: Floats) -> Connection:
    """Multiply the weights of each target neuron by its gain."""
    return replace(connection, weights=np.asarray(connection.weights) * connection.over_weights(gain))
