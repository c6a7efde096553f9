"""Convolutions: connections that share their weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from neurosim.checks import check_register, outside
from neurosim.dense_connections import BetweenGroups, Connection
from neurosim.errors import NetworkError
from neurosim.fixedpoint import RANGES, lost_weight_bits
from neurosim.sparse_connections import Sparse, SparseConnection


def _pair(owner: str, key: str, value: int | tuple[int, int], low: int) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else tuple(value)  # type: ignore[arg-type]
    if len(pair) != 2 or any(not isinstance(x, (int, np.integer)) or x < low for x in pair):
        raise NetworkError(f"{owner}: {key} {value!r} is not one or two integers of at least {low}")
    return int(pair[0]), int(pair[1])


@dataclass(frozen=True, eq=False)
class Conv(BetweenGroups):
    """Convolution with shared integer weights (Lava's ``Conv``): the kernel is flipped, unlike torch's.

    Neurons lie in the order (x, y, channel): neuron ``(x * height + y) * channels + c``. The sum of a step wraps into 24 bits.

    Parameters
    ----------
    source, target : str
        Names of groups.
    weights : (out_channels, kernel_x, kernel_y, in_channels / groups) int
        -256..255; used as they are: Lava ignores weight bits and exponent here.
    input_shape : (width, height, channels)
    stride, padding, dilation : int or (x, y)
    groups : int
        Divides both numbers of channels.
    num_message_bits, port
        As in `Dense`.
    plastic : bool
        The weights may be learned on the chip; they are then multiples of the format's step, ``2**(9 - num_weight_bits)``.
    num_weight_bits : int
        1..8, of weights that are learned; 8 for others.
    """

    source: str
    target: str
    weights: npt.ArrayLike
    input_shape: tuple[int, int, int]
    stride: int | tuple[int, int] = 1
    padding: int | tuple[int, int] = 0
    dilation: int | tuple[int, int] = 1
    groups: int = 1
    num_message_bits: int = 0
    port: str = ""
    plastic: bool = False
    num_weight_bits: int = 8

    weight_exp: ClassVar[int] = 0
    sign_mode: ClassVar[str] = "mixed"
    delays: ClassVar[None] = None

    def __post_init__(self) -> None:
        owner = f"connection {self.name!r}"
        weights = np.asarray(self.weights)
        if weights.ndim != 4 or weights.dtype.kind not in "iu" or not weights.size:
            raise NetworkError(
                f"{owner}: weights are {weights.dtype} of shape {weights.shape}; give integers (out, kernel_x, kernel_y, in)"
            )
        low, high = RANGES["conv_weight"]
        worst = outside(weights, low, high)
        if worst is not None:
            raise NetworkError(f"{owner}: weight {worst} is outside {low}..{high}; scale the weights")
        bits = int(check_register(owner, "num_weight_bits", self.num_weight_bits))
        if not self.plastic and bits != 8:
            raise NetworkError(
                f"{owner}: num_weight_bits {bits} is for plastic convolutions; others use weights as they are"
            )
        step = 1 << lost_weight_bits(bits, "mixed")
        if self.plastic and np.any(weights % step):
            odd = int(weights[weights % step != 0][0])
            raise NetworkError(
                f"{owner}: weight {odd} is no multiple of {step}, the step of plastic weights of {bits} bits; round the weights"
            )
        if len(tuple(self.input_shape)) != 3:
            raise NetworkError(f"{owner}: input_shape {self.input_shape!r} is not (width, height, channels)")
        width, height, channels = (int(x) for x in self.input_shape)
        groups = self.groups
        if groups < 1 or channels % groups or weights.shape[0] % groups or weights.shape[3] != channels // groups:
            raise NetworkError(
                f"{owner}: {groups} groups of weights {weights.shape} do not fit {channels} input channels; "
                "both numbers of channels must be multiples of groups"
            )
        stride, padding, dilation = self.geometry
        checked = {
            "weights": weights.astype(np.int64),
            "input_shape": (width, height, channels),
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "num_message_bits": int(check_register(owner, "num_message_bits", self.num_message_bits)),
            "num_weight_bits": bits,
        }
        for key, value in checked.items():
            object.__setattr__(self, key, value)
        if min(self.output_shape) < 1:
            raise NetworkError(
                f"{owner}: output shape {self.output_shape} is empty; use a smaller kernel or more padding"
            )

    @property
    def geometry(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Stride, padding and dilation, each (x, y)."""
        owner = f"connection {self.name!r}"
        return (
            _pair(owner, "stride", self.stride, 1),
            _pair(owner, "padding", self.padding, 0),
            _pair(owner, "dilation", self.dilation, 1),
        )

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(width, height, channels) of the target."""
        stride, padding, dilation = self.geometry
        kernel = np.asarray(self.weights).shape
        size = [
            (self.input_shape[i] + 2 * padding[i] - dilation[i] * (kernel[1 + i] - 1) - 1) // stride[i] + 1
            for i in (0, 1)
        ]
        return size[0], size[1], kernel[0]

    @property
    def shape(self) -> tuple[int, int]:
        """(n_post, n_pre)."""
        return math.prod(self.output_shape), math.prod(self.input_shape)

    def _synapses(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return post, pre and the number of the weight of each synapse, (n_synapses,) each."""
        n_out, kernel_x, kernel_y, per_group = np.asarray(self.weights).shape
        width, height, n_in = self.input_shape
        out_width, out_height, _ = self.output_shape
        (stride_x, stride_y), (pad_x, pad_y), (step_x, step_y) = self.geometry
        o, i, j, c, x, y = np.meshgrid(
            np.arange(n_out), np.arange(kernel_x), np.arange(kernel_y), np.arange(per_group),
            np.arange(out_width), np.arange(out_height), indexing="ij",
        )  # fmt: skip
        source_x, source_y = x * stride_x + i * step_x - pad_x, y * stride_y + j * step_y - pad_y
        inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
        source_c = c + o // (n_out // self.groups) * per_group
        row = ((x * out_height + y) * n_out + o)[inside]
        col = ((source_x * height + source_y) * n_in + source_c)[inside]
        flipped = ((o * kernel_x + kernel_x - 1 - i) * kernel_y + kernel_y - 1 - j) * per_group + c
        return row, col, flipped[inside]

    @cached_property
    def _sparse(self) -> Sparse:
        row, col, kernel = self._synapses()
        data = np.asarray(self.weights).ravel()[kernel]
        return Sparse(self.source, self.target, self.shape, row, col, data, sign_mode="mixed",
                      num_message_bits=self.num_message_bits, port=self.port)  # fmt: skip

    def as_sparse(self) -> Sparse:
        """Return the same synapses one by one; `Sparse` would cut odd weights and does not wrap into 24 bits."""
        return self._sparse


@dataclass(frozen=True, eq=False)
class ConvConnection(Connection):
    """Convolution with shared float weights; `quantize` turns it into `Conv`.

    Parameters
    ----------
    source, target : str
        Names of groups.
    weights : (out_channels, kernel_x, kernel_y, in_channels / groups) float
        As in `Connection`: in units of the target's v_threshold scale; finite. The kernel is flipped, as in `Conv`.
    num_weight_bits, plastic, num_message_bits
        As in `Connection`.
    delays : None
        A convolution has none: `as_sparse` gives the same synapses one by one, for delays or neurons of different tau_syn.
    input_shape : (width, height, channels)
    stride, padding, dilation : int or (x, y)
    groups : int
        Divides both numbers of channels.

    Attributes
    ----------
    shape : (n_post, n_pre)
    output_shape : (width, height, channels)
        Of the target.
    """

    input_shape: tuple[int, int, int] = field(kw_only=True)
    stride: int | tuple[int, int] = field(default=1, kw_only=True)
    padding: int | tuple[int, int] = field(default=0, kw_only=True)
    dilation: int | tuple[int, int] = field(default=1, kw_only=True)
    groups: int = field(default=1, kw_only=True)
    output_shape: tuple[int, int, int] = field(init=False, repr=False)

    layout: ClassVar[tuple[str, ...]] = ("out_channels", "kernel_x", "kernel_y", "in_channels")

    def _settle(self, owner: str) -> None:
        if self.delays is not None:
            raise NetworkError(
                f"{owner}: a convolution has no delays; make it without them, and a SparseConnection of its as_sparse()"
            )
        conv = self._integers(np.zeros(np.shape(self.weights), np.int64), 8)  # its border checks
        stride, padding, dilation = conv.geometry
        checked = {"shape": conv.shape, "output_shape": conv.output_shape, "input_shape": conv.input_shape, "stride": stride,
                   "padding": padding, "dilation": dilation}  # fmt: skip
        for key, value in checked.items():
            object.__setattr__(self, key, value)

    def _integers(self, weights: npt.NDArray[np.int64], bits: int) -> Conv:
        return Conv(
            self.source, self.target, weights, self.input_shape, self.stride, self.padding, self.dilation, self.groups,
            self.num_message_bits, plastic=self.plastic, num_weight_bits=bits,
        )  # fmt: skip

    def over_weights(self, each: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return a number of each target neuron, (n_post,), in a shape that multiplies with the weights.

        Raises
        ------
        NetworkError
            If neurons of one channel differ: they share their weights.
        """
        channels = each.reshape(-1, self.output_shape[2])
        differ = np.any(channels != channels[0], axis=0)
        if np.any(differ):
            raise NetworkError(
                f"connection {self.name!r}: neurons of channel {int(np.argmax(differ))} of group {self.target!r} differ in "
                "tau_syn and share their weights; give one tau_syn per channel, or the synapses one by one: as_sparse()"
            )
        return np.asarray(channels[0, :, None, None, None], np.float64)

    def as_sparse(self) -> SparseConnection:
        """Return the same synapses one by one."""
        conv = self._integers(np.zeros(np.shape(self.weights), np.int64), 8)
        row, col, kernel = conv._synapses()
        return SparseConnection(
            self.source, self.target, self.shape, row, col, np.asarray(self.weights).ravel()[kernel],
            num_weight_bits=self.num_weight_bits, plastic=self.plastic, num_message_bits=self.num_message_bits,
        )  # fmt: skip

    def with_integers(self, weights: npt.NDArray[np.int64], exponent: int, sign_mode: str) -> Any:
        """Return the convolution with integer weights; a convolution has no exponent."""
        assert exponent == 0
        return self._integers(weights, self.num_weight_bits if self.plastic else 8)
