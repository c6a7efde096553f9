"""The first layer of a network on lists of events: it costs what the spikes cost, not what their absence does.

A sum is over the events of a sample's step in the order of their inputs, a gradient by a weight over those of its input in the
order of steps and samples. Neither depends on the number of threads.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from neurosim.codes import (
    CONV_CHANNELS,
    CONV_DILATION_X,
    CONV_DILATION_Y,
    CONV_GROUPS,
    CONV_HEIGHT,
    CONV_KERNEL_X,
    CONV_KERNEL_Y,
    CONV_OUT_CHANNELS,
    CONV_OUT_HEIGHT,
    CONV_OUT_WIDTH,
    CONV_PAD_X,
    CONV_PAD_Y,
    CONV_STRIDE_X,
    CONV_STRIDE_Y,
    CONV_WIDTH,
)
from neurosim.errors import ConfigError, DataError
from neurosim.events import Events
from neurosim.network import ConvConnection
from neurosim.reaches import lay_reaches

#: Largest share of inputs with an event in a step for which lists are used. Measured with 784, 1734 and 40 inputs on AVX-512:
#: both directions together take as long as the matrix products at a share of 0.6 to 0.8, and at 1/4 a half or less of it. The
#: choice follows from the data alone, so that a run gives the same bits everywhere.
LARGEST_SHARE = 0.25
LARGEST_PIECE = 16  # numbers that the kernel adds at once

_Floats = npt.NDArray[np.float32]
_Long = npt.NDArray[np.int64]
_Short = npt.NDArray[np.int32]
_NO_VALUES = np.zeros(0, np.float32)


def pays(events: Events) -> bool:
    """Whether lists are faster than matrices for samples like these: a share of at most `LARGEST_SHARE` of inputs with events."""
    return len(events.neuron) <= LARGEST_SHARE * events.n_samples * events.n_steps * events.n_inputs


class Rows(NamedTuple):
    """Lists in the arrays of `neurosim.kernels.directinput`."""

    start: _Long
    named: _Short  # the input of each event, or its row
    value: _Floats
    is_valued: int


class EventInput:
    """The input of a batch as events, row after row; row ``t * n_samples + b`` is step t of sample b.

    Parameters
    ----------
    start : (n_steps * n_samples + 1,) int64
        Events of row r are ``start[r]`` to ``start[r + 1]``.
    neuron : (n_events,) int32
        Input of each, 0..n_inputs - 1, ascending within a row.
    value : (n_events,) float32
        What each event counts; where all are 1 nothing is multiplied.
    n_steps, n_inputs : int
    """

    def __init__(
        self, start: npt.ArrayLike, neuron: npt.ArrayLike, value: npt.ArrayLike, n_steps: int, n_inputs: int
    ) -> None:
        begins, index = np.ascontiguousarray(start, np.int64), np.ascontiguousarray(neuron, np.int32)
        values = np.ascontiguousarray(value, np.float32)
        if begins.ndim != 1 or len(begins) < 2 or (len(begins) - 1) % n_steps:
            raise DataError(f"events: start has shape {begins.shape}, need ({n_steps} * samples + 1,); rebuild it")
        if begins[0] != 0 or begins[-1] != len(index) or (begins[1:] < begins[:-1]).any():
            raise DataError(f"events: start must rise from 0 to {len(index)} events; rebuild it")
        if values.shape != index.shape:
            raise DataError(f"events: {len(values)} values of {len(index)} events; give one for each")
        if len(index) and (int(index.min()) < 0 or int(index.max()) >= n_inputs):
            worst = int(index.min()) if index.min() < 0 else int(index.max())
            raise DataError(f"events: input line {worst} is outside 0..{n_inputs - 1}; check the encoder")
        self.n_steps, self.n_inputs = n_steps, n_inputs
        self.rows = Rows(begins, index, values, int(bool((values != 1).any())))

    @classmethod
    def trusted(
        cls, start: _Long, neuron: _Short, value: _Floats, is_valued: int, n_steps: int, n_inputs: int
    ) -> EventInput:
        """Return events that come from here, unchecked; `is_valued` says whether some value may differ from 1."""
        found = cls.__new__(cls)
        found.n_steps, found.n_inputs, found.rows = n_steps, n_inputs, Rows(start, neuron, value, is_valued)
        return found

    @property
    def n_samples(self) -> int:
        """Samples in the batch."""
        return (len(self.rows.start) - 1) // self.n_steps

    @cached_property
    def by_input(self) -> Rows:
        """The same events by input: index is the row of each, ascending."""
        from neurosim.kernels.directinput import transpose_events

        start, index = np.empty(self.n_inputs + 1, np.int64), np.empty_like(self.rows.named)
        value = np.empty_like(self.rows.value) if self.rows.is_valued else _NO_VALUES
        transpose_events(*self.rows, self.n_inputs, start, index, value)
        return Rows(start, index, value, self.rows.is_valued)

    def frames(self) -> torch.Tensor:
        """Return the input as (n_steps, n_samples, n_inputs) float32."""
        n_rows = len(self.rows.start) - 1
        dense = np.zeros((n_rows, self.n_inputs), np.float32)
        dense[np.repeat(np.arange(n_rows), np.diff(self.rows.start)), self.rows.named] = self.rows.value
        return torch.from_numpy(dense.reshape(self.n_steps, self.n_samples, self.n_inputs))

    def part(self, first: int, last: int) -> EventInput:
        """Return samples first to last - 1."""
        bounds = self.rows.start[:-1].reshape(self.n_steps, -1)
        ends = self.rows.start[1:].reshape(self.n_steps, -1)
        if not 0 <= first < last <= self.n_samples:
            raise DataError(f"events: samples {first} to {last - 1} of {self.n_samples} are asked for; choose others")
        pieces = [slice(int(a), int(b)) for a, b in zip(bounds[:, first], ends[:, last - 1], strict=True)]
        counts = (ends - bounds)[:, first:last].ravel()
        start = np.concatenate([[0], np.cumsum(counts)])
        neuron = np.concatenate([self.rows.named[p] for p in pieces])
        value = self.rows.value[: len(neuron)]  # all are 1
        if self.rows.is_valued:
            value = np.concatenate([self.rows.value[p] for p in pieces])
        return EventInput.trusted(start, neuron, value, self.rows.is_valued, self.n_steps, self.n_inputs)


class Pieces(NamedTuple):
    """What each input of a convolution adds, and where, in pieces of `lanes` out channels.

    Attributes
    ----------
    start : (n_inputs + 1,) int32
        Input j has pieces ``start[j]`` to ``start[j + 1]``.
    weight : (n_pieces,) int32
        Place in the kernel, laid out (x, y, in channel, out channel of its group).
    place : (n_pieces,) int32
        First target neuron.
    lanes, n_post, groups : int
    shape : (out_channels, kernel_x, kernel_y, in_channels / groups)
    """

    start: _Short
    weight: _Short
    place: _Short
    lanes: int
    n_post: int
    groups: int
    shape: tuple[int, int, int, int]


def pieces_of(connection: ConvConnection) -> Pieces:
    """Return the pieces of a convolution."""
    shape = tuple(int(n) for n in np.asarray(connection.weights).shape)
    width, height, channels = connection.input_shape
    out_width, out_height, n_out = connection.output_shape
    (stride_x, stride_y), (pad_x, pad_y), (step_x, step_y) = (
        (one, one) if isinstance(one, int) else one
        for one in (connection.stride, connection.padding, connection.dilation)
    )
    geometry = {
        CONV_WIDTH: width, CONV_HEIGHT: height, CONV_CHANNELS: channels, CONV_OUT_WIDTH: out_width,
        CONV_OUT_HEIGHT: out_height, CONV_OUT_CHANNELS: n_out, CONV_KERNEL_X: shape[1], CONV_KERNEL_Y: shape[2],
        CONV_STRIDE_X: stride_x, CONV_STRIDE_Y: stride_y, CONV_PAD_X: pad_x, CONV_PAD_Y: pad_y,
        CONV_DILATION_X: step_x, CONV_DILATION_Y: step_y, CONV_GROUPS: connection.groups,
    }  # fmt: skip
    row = np.zeros(max(geometry) + 2, np.int64)
    row[list(geometry)] = list(geometry.values())
    reaches = lay_reaches([row])
    of_group = n_out // connection.groups
    lanes = next(n for n in (LARGEST_PIECE >> i for i in range(LARGEST_PIECE)) if of_group % n == 0)
    offsets = np.arange(0, of_group, lanes)
    weight, place = ((one[:, None] + offsets).ravel().astype(np.int32) for one in (reaches.weight, reaches.place))
    start = (reaches.start * len(offsets)).astype(np.int32)
    return Pieces(
        start, weight, place, lanes, out_width * out_height * n_out, connection.groups,
        (shape[0], shape[1], shape[2], shape[3]),
    )  # fmt: skip


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Any, events: EventInput) -> Any:
        from neurosim.kernels.directinput import sum_rows

        n_post = weight.shape[0]
        rows = weight.detach().t().contiguous().numpy()
        n_rows = len(events.rows.start) - 1
        out = np.empty(n_rows * n_post, np.float32)
        start, index, value, is_valued = events.rows
        sum_rows(rows.reshape(-1), n_post, start, index, value, is_valued, out, 0, n_rows)
        ctx.events = events
        return torch.from_numpy(out.reshape(events.n_steps, events.n_samples, n_post))

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        from neurosim.kernels.directinput import sum_rows

        events: EventInput = ctx.events
        n_post = gradient.shape[2]
        table = gradient.contiguous().numpy().reshape(-1)
        out = np.empty(events.n_inputs * n_post, np.float32)
        start, index, value, is_valued = events.by_input
        sum_rows(table, n_post, start, index, value, is_valued, out, 0, events.n_inputs)
        return torch.from_numpy(out.reshape(events.n_inputs, n_post)).t(), None


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Any, events: EventInput, pieces: Pieces) -> Any:
        ctx.events, ctx.pieces = events, pieces
        return convolution_of(events, weight.detach(), pieces)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return convolution_by_kernel(ctx.events, gradient, ctx.pieces), None, None


def convolution_of(events: EventInput, weight: Any, pieces: Pieces) -> Any:
    """Return the sums (n_steps, n_samples, n_post) that events bring through a kernel."""
    from neurosim.kernels.directinput import add_reaches

    kernel = grouped(weight, pieces.groups).contiguous().numpy().reshape(-1)
    n_rows = len(events.rows.start) - 1
    out = np.zeros(n_rows * pieces.n_post, np.float32)
    add_reaches(*events.rows, pieces.start, pieces.weight, pieces.place, pieces.lanes, kernel, 0, out,
                pieces.n_post, 0, n_rows)  # fmt: skip
    return torch.from_numpy(out.reshape(events.n_steps, events.n_samples, pieces.n_post))


def convolution_by_kernel(events: EventInput, gradient: Any, pieces: Pieces) -> Any:
    """Return the gradient by a kernel from that by the sums."""
    from neurosim.kernels.directinput import add_reaches

    source = gradient.contiguous().numpy().reshape(-1)
    n_out, kernel_x, kernel_y, per_group = pieces.shape
    out = np.zeros((kernel_x, kernel_y, pieces.groups, per_group, n_out // pieces.groups), np.float32)
    add_reaches(*events.rows, pieces.start, pieces.place, pieces.weight, pieces.lanes, source, pieces.n_post,
                out.reshape(-1), 0, 0, len(events.rows.start) - 1)  # fmt: skip
    return torch.from_numpy(out).permute(2, 4, 0, 1, 3).reshape(pieces.shape)


def grouped(weight: Any, groups: int) -> Any:
    """Return weights (out, x, y, in of a group) as (x, y, group, in of it, out of it)."""
    n_out, kernel_x, kernel_y, per_group = weight.shape
    return weight.reshape(groups, n_out // groups, kernel_x, kernel_y, per_group).permute(2, 3, 0, 4, 1)


def event_linear(events: EventInput, weight: torch.Tensor) -> torch.Tensor:
    """Return the product of the input of a batch with a matrix; differentiable by the matrix.

    Parameters
    ----------
    events : EventInput
    weight : (n_post, n_inputs) float32
        Fastest when it is the transpose of a contiguous tensor: nothing is copied then.

    Returns
    -------
    (n_steps, n_samples, n_post) float32
        Exact where weights and values are integers and all partial sums stay below 2**24.
    """
    if weight.ndim != 2 or weight.shape[1] != events.n_inputs or weight.dtype != torch.float32:
        raise ConfigError(
            f"event layer: weights are {weight.dtype} of shape {tuple(weight.shape)}; need float32 (neurons, {events.n_inputs})"
        )
    return _Linear.apply(weight, events)


def event_convolution(events: EventInput, weight: torch.Tensor, pieces: Pieces) -> torch.Tensor:
    """Return the convolution of the input of a batch; differentiable by the kernel.

    Parameters
    ----------
    events : EventInput
    weight : (out_channels, kernel_x, kernel_y, in_channels / groups) float32
        Flipped, as in `neurosim.network.ConvConnection`.
    pieces : Pieces
        `pieces_of` its connection.

    Returns
    -------
    (n_steps, n_samples, n_post) float32
        Exact as in `event_linear`.
    """
    if tuple(weight.shape) != pieces.shape or weight.dtype != torch.float32:
        raise ConfigError(
            f"event layer: kernel is {weight.dtype} of shape {tuple(weight.shape)}; need float32 {pieces.shape}"
        )
    if len(pieces.start) != events.n_inputs + 1:
        raise ConfigError(
            f"event layer: {events.n_inputs} inputs for a convolution of {len(pieces.start) - 1}; match its input_shape"
        )
    return _Convolution.apply(weight, events, pieces)
