"""Layers of lava-dl and SLAYER files as connections in chip integers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import ModelFileError
from neurosim.exchange.chipweights import exact_dense, exact_sparse
from neurosim.exchange.imported import chip_order
from neurosim.exchange.lavaneurons import integer, integers
from neurosim.network import Conv, IntegerConnection

Ints = npt.NDArray[np.int64]
Shape = tuple[int, ...]
MAX_NEURONS = 1 << 22  # of one layer
MAX_SYNAPSES = 1 << 22  # of one layer, where they are made one by one
MAX_DELAY = 62


@dataclass(frozen=True)
class Ends:
    """Where a layer's connection leads from and to.

    Parameters
    ----------
    owner : str
        File and layer, for errors.
    source, target : str
        Names of groups.
    shape : tuple of int
        Of the source: (n,) or (channels, height, width).
    message_bits : int
        Of the source's spikes.
    convolve : bool
        As in `exact_dense`.
    """

    owner: str
    source: str
    target: str
    shape: Shape
    message_bits: int = 0
    convolve: bool = True


@dataclass(frozen=True)
class Made:
    """A connection, the shape of its target, and what was lost or changed (texts)."""

    connection: IntegerConnection
    shape: Shape
    lost: tuple[str, ...] = ()


def check_shape(owner: str, value: Any) -> Shape:
    """Return a stored shape, after checking that memory for it can be taken."""
    array = integers(owner, "shape", value).ravel()
    if not 1 <= array.size <= 3 or array.min() < 1 or math.prod(int(n) for n in array) > MAX_NEURONS:
        raise ModelFileError(
            f"{owner}: shape {array.tolist()[:8]} is not one to three positive numbers of together at most {MAX_NEURONS} neurons"
        )
    return tuple(int(n) for n in array)


def matrix(owner: str, key: str, value: Any, n_post: int, n_pre: int | None = None) -> Ints:
    """Return stored weights as (n_post, n_pre); with one row lava-dl stores them flat."""
    weights = integers(owner, key, value)
    if weights.ndim == 1:
        weights = weights.reshape(n_post, -1) if weights.size % n_post == 0 else weights[None]
    if weights.ndim > 2 and math.prod(weights.shape[2:]) == 1:
        weights = weights.reshape(weights.shape[:2])  # SLAYER keeps (out, in, 1, 1, 1)
    if weights.ndim != 2 or weights.shape[0] != n_post or weights.shape[1] != (n_pre or weights.shape[1] or 1):
        raise ModelFileError(
            f"{owner}: {key} has shape {weights.shape}, {(n_post, n_pre)} (after, before) is needed; the file is damaged"
        )
    return weights


def dense(ends: Ends, weights: Ints, layer: Mapping[str, Any], port: str = "") -> Made:
    """Return a dense connection; its columns are in the order (channel, height, width) of lava-dl's flatten."""
    n_post, n_pre = weights.shape
    delays, notes = _delays(ends.owner, layer, n_post, n_pre)
    order = chip_order(ends.shape)
    if delays is not None:
        delays = delays[:, order]
    made, lost = exact_dense(
        ends.source, ends.target, np.ascontiguousarray(weights[:, order]), weight_exponent(ends.owner, layer),
        delays=delays, num_message_bits=ends.message_bits, port=port, convolve=ends.convolve,
    )  # fmt: skip
    return Made(made, (n_post,), tuple(text for text in (*notes, lost) if text))


def weight_exponent(owner: str, layer: Mapping[str, Any]) -> int:
    """Return SLAYER's ``wgtExp``; lava-dl's files have none, or 0."""
    neuron = layer.get("neuron", {})
    if not isinstance(neuron, Mapping):
        raise ModelFileError(f"{owner}: neuron is not a group; the file is damaged")
    exponent = integer(owner, "wgtExp", neuron.get("wgtExp", 0))
    if not -8 <= exponent <= 7:
        raise ModelFileError(f"{owner}: wgtExp {exponent} is outside -8..7")
    return exponent


def _delays(owner: str, layer: Mapping[str, Any], n_post: int, n_pre: int) -> tuple[Ints | None, tuple[str, ...]]:
    """Return delays of synapses: as netx, one number for each neuron after counts for what reaches it, else before."""
    if "delay" not in layer:
        return None, ()
    delays, notes = _clip_delays(owner, layer["delay"])
    if delays.size == 1:
        delays = np.broadcast_to(delays.ravel(), (n_post, n_pre))
    elif delays.shape == (n_post, n_pre):
        pass
    elif delays.ndim == 1 and delays.size == n_post:
        delays = np.broadcast_to(delays[:, None], (n_post, n_pre))
    elif delays.ndim == 1 and delays.size == n_pre:
        delays = np.broadcast_to(delays[None], (n_post, n_pre))
    else:
        raise ModelFileError(
            f"{owner}: delay has shape {delays.shape} for weights of {(n_post, n_pre)}; the file is damaged"
        )
    return (delays if delays.any() else None), notes


def _clip_delays(owner: str, value: Any) -> tuple[Ints, tuple[str, ...]]:
    """Return delays of whole steps (lava-dl rounds its own down) in the range of the chip, as netx."""
    stored = np.asarray(value)
    if stored.dtype.kind not in "iuf" or not np.all(np.isfinite(stored)) or np.any(stored < 0):
        raise ModelFileError(f"{owner}: delay holds something else than steps of at least 0; the file is damaged")
    delays = np.minimum(np.floor(stored), MAX_DELAY).astype(np.int64)
    late = int(np.count_nonzero(np.floor(stored) > MAX_DELAY))
    return delays, (f"{late} delays above {MAX_DELAY} steps are {MAX_DELAY}, as netx does",) if late else ()


def _pair(owner: str, layer: Mapping[str, Any], key: str, default: int) -> tuple[int, int]:
    """Return (y, x) of a setting that is one number or two."""
    array = integers(owner, key, layer.get(key, default)).ravel()
    if array.size not in (1, 2) or array.min() < 0 or array.max() > 1 << 16:
        raise ModelFileError(f"{owner}: {key} {array.tolist()[:8]} is not one or two numbers of at least 0")
    return int(array[0]), int(array[-1])


def _image(ends: Ends) -> tuple[int, int, int]:
    if len(ends.shape) != 3:
        raise ModelFileError(
            f"{ends.owner}: what it reads has shape {ends.shape}, not (channels, height, width); give input_shape"
        )
    channels, height, width = ends.shape
    return channels, height, width


def _kernel(owner: str, value: Any) -> Ints:
    """Return weights (a, b, ky, kx); SLAYER keeps a last axis of one step of time."""
    weights = integers(owner, "weight", value)
    if weights.ndim == 5 and weights.shape[4] == 1:
        weights = weights[..., 0]
    if weights.ndim != 4 or not weights.size:
        raise ModelFileError(
            f"{owner}: weight has shape {weights.shape}, not (out, in, height, width); the file is damaged"
        )
    return weights


def conv(ends: Ends, layer: Mapping[str, Any]) -> Made:
    """Return a convolution: lava-dl's kernel is not flipped, the chip's is."""
    owner = ends.owner
    channels, height, width = _image(ends)
    weights = _kernel(owner, layer["weight"])
    if weight_exponent(owner, layer):
        raise ModelFileError(f"{owner}: a convolution with wgtExp; its weights have no exponent on the chip")
    groups = integer(owner, "groups", layer.get("groups", 1))
    geometry = [
        _pair(owner, layer, key, default)[::-1] for key, default in (("stride", 1), ("padding", 0), ("dilation", 1))
    ]
    stride, padding, dilation = geometry
    kernel = np.ascontiguousarray(weights[:, :, ::-1, ::-1].transpose(0, 3, 2, 1))
    made = Conv(
        ends.source,
        ends.target,
        kernel,
        (width, height, channels),
        stride,
        padding,
        dilation,
        groups,
        ends.message_bits,
    )
    out_width, out_height, n_out = made.output_shape
    shape = (n_out, out_height, out_width)
    if "delay" not in layer:
        return Made(made, shape)
    delays, notes = _clip_delays(owner, layer["delay"])
    if not delays.any():
        return Made(made, shape, notes)
    check_shape(owner, shape)
    if math.prod(kernel.shape) * out_width * out_height > MAX_SYNAPSES:
        raise ModelFileError(f"{owner}: a convolution with delays of more than {MAX_SYNAPSES} synapses")
    per_target = np.broadcast_to(delays.ravel(), (n_out,)) if delays.size in (1, n_out) else None
    if per_target is None:
        raise ModelFileError(f"{owner}: delay has {delays.size} elements for {n_out} channels; the file is damaged")
    sparse = made.as_sparse()
    row, col, data = (np.asarray(part) for part in (sparse.row, sparse.col, sparse.data))
    found, lost = exact_sparse(
        ends.source, ends.target, made.shape, row, col, data, delays=per_target[row % n_out],
        num_message_bits=ends.message_bits,
    )  # fmt: skip
    extra = "delays of a convolution, which netx leaves out"
    return Made(found, shape, tuple(text for text in (*notes, lost, extra) if text))


def pool(ends: Ends, layer: Mapping[str, Any]) -> Made:
    """Return SLAYER's pooling: each output adds up one tile of one channel, times the weight.

    SLAYER pads what does not divide by the kernel at the end, by the remainder; this is what it means for a rest of 1 and a
    kernel of 2. Other rests shift one channel into the next there, and overlapping tiles do so too.
    """
    owner = ends.owner
    channels, height, width = _image(ends)
    weights, (kernel_y, kernel_x) = _tile(owner, layer)
    for size, kernel in ((height, kernel_y), (width, kernel_x)):
        if size % kernel and (size + size % kernel) % kernel:
            raise ModelFileError(
                f"{owner}: pooling of {size} pixels by {kernel}; SLAYER mixes channels there, which has no clear meaning"
            )
    shape = (channels, -(-height // kernel_y), -(-width // kernel_x))
    channel, y, x = (index.ravel() for index in np.indices(ends.shape))
    row = ((x // kernel_x) * shape[1] + y // kernel_y) * channels + channel
    col = (x * height + y) * channels + channel
    data = weights[y % kernel_y, x % kernel_x]
    return _chosen(ends, layer, shape, row, col, data, channel)


def unpool(ends: Ends, layer: Mapping[str, Any]) -> Made:
    """Return SLAYER's unpooling: each input fills one tile of its channel, times the weight."""
    channels, height, width = _image(ends)
    weights, (kernel_y, kernel_x) = _tile(ends.owner, layer)
    shape = check_shape(ends.owner, (channels, height * kernel_y, width * kernel_x))
    channel, y, x = (index.ravel() for index in np.indices(shape))
    row = (x * shape[1] + y) * channels + channel
    col = ((x // kernel_x) * height + y // kernel_y) * channels + channel
    return _chosen(ends, layer, shape, row, col, weights[y % kernel_y, x % kernel_x], channel)


def _tile(owner: str, layer: Mapping[str, Any]) -> tuple[Ints, tuple[int, int]]:
    """Return the weights (ky, kx) of a pooling, whose tiles must lie side by side."""
    kernel = _pair(owner, layer, "kernelSize", 1)
    stride = _pair(owner, layer, "stride", 0)
    if min(kernel) < 1 or (stride != kernel and "stride" in layer) or _pair(owner, layer, "padding", 0) != (0, 0):
        raise ModelFileError(
            f"{owner}: tiles of {kernel} with stride {stride} and padding {_pair(owner, layer, 'padding', 0)}; SLAYER mixes "
            "channels where stride and kernel differ or there is padding, which has no clear meaning"
        )
    if _pair(owner, layer, "dilation", 1) != (1, 1):
        raise ModelFileError(f"{owner}: pooling with dilation, which has no clear meaning in SLAYER")
    weights = integers(owner, "weight", layer["weight"]).ravel()
    if weights.size not in (1, kernel[0] * kernel[1]):
        raise ModelFileError(f"{owner}: weight has {weights.size} elements for tiles of {kernel}; the file is damaged")
    return np.broadcast_to(weights.reshape((1, 1) if weights.size == 1 else kernel), kernel), kernel


def conv_transpose(ends: Ends, layer: Mapping[str, Any]) -> Made:
    """Return a transposed convolution, synapse by synapse: weights (in, out / groups, ky, kx) as torch has them."""
    owner = ends.owner
    channels, height, width = _image(ends)
    weights = _kernel(owner, layer["weight"])
    groups = integer(owner, "groups", layer.get("groups", 1))
    stride, padding, dilation = (
        _pair(owner, layer, key, default) for key, default in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    n_in, per_group, kernel_y, kernel_x = weights.shape
    if n_in != channels or groups < 1 or channels % groups or min(stride) < 1 or min(dilation) < 1:
        raise ModelFileError(
            f"{owner}: weight {weights.shape} in {groups} groups for {channels} channels; the file is damaged"
        )
    if weights.size * height * width > MAX_SYNAPSES:
        raise ModelFileError(f"{owner}: a transposed convolution of more than {MAX_SYNAPSES} synapses")
    size = [
        (n - 1) * stride[i] - 2 * padding[i] + dilation[i] * (kernel - 1) + 1
        for i, (n, kernel) in enumerate(((height, kernel_y), (width, kernel_x)))
    ]
    shape = check_shape(owner, (per_group * groups, *size))
    channel, out, j, i, y, x = (
        index.ravel() for index in np.indices((channels, per_group, kernel_y, kernel_x, height, width), dtype=np.int64)
    )
    to_y, to_x = y * stride[0] + j * dilation[0] - padding[0], x * stride[1] + i * dilation[1] - padding[1]
    inside = (to_y >= 0) & (to_y < size[0]) & (to_x >= 0) & (to_x < size[1])
    target = channel // (channels // groups) * per_group + out
    row = ((to_x * size[0] + to_y) * shape[0] + target)[inside]
    col = ((x * height + y) * channels + channel)[inside]
    data = weights[channel, out, j, i][inside]
    return _chosen(ends, layer, shape, row, col, data, target[inside])


def _chosen(
    ends: Ends, layer: Mapping[str, Any], shape: Shape, row: Ints, col: Ints, data: Ints, channel: Ints
) -> Made:
    """Return chosen synapses, with the delay of the channel that they lead to."""
    delays, notes = (None, ()) if "delay" not in layer else _clip_delays(ends.owner, layer["delay"])
    if delays is not None:
        if delays.size not in (1, shape[0]):
            raise ModelFileError(f"{ends.owner}: delay has {delays.size} elements for {shape[0]} channels")
        delays = np.broadcast_to(delays.ravel(), (shape[0],))[channel]
    made, lost = exact_sparse(
        ends.source, ends.target, (math.prod(shape), math.prod(ends.shape)), row, col, data,
        weight_exponent(ends.owner, layer), delays=delays, num_message_bits=ends.message_bits,
    )  # fmt: skip
    return Made(made, shape, tuple(text for text in (*notes, lost) if text))
