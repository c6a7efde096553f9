"""The first layer of a network on lists of events: it costs what the spikes cost, not what their absence does.

A sum is over the events of a sample's step in the order of their inputs, a gradient by a weight over those of its input in the
order of steps and samples. Neither depends on the number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

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
from neurosim.program import aligned_empty
from neurosim.reaches import lay_reaches

#: Largest share of inputs with an event in a step for which lists are used. Measured with 784, 1734 and 40 inputs on AVX-512:
#: both directions together take as long as the matrix products at a share of 0.6 to 0.8, and at 1/4 a half or less of it. The
#: choice follows from the data alone, so that a run gives the same bits everywhere.
LARGEST_SHARE = 0.25
LARGEST_PIECE = 16  # numbers that the kernel adds at once

_Floats = npt.NDArray[np.float32]
_Long = npt.NDArray[np.int64]
_Short = npt.NDArray[np.int32]


def pays(events: Events) -> bool:
    """Whether lists are faster than matrices for samples like these: a share of at most `LARGEST_SHARE` of inputs with events."""
    return len(events.neuron) <= LARGEST_SHARE * events.n_samples * events.n_steps * events.n_inputs


class Rows(NamedTuple):
    """Lists in the arrays of `neurosim.kernels.directinput`.

    Attributes
    ----------
    start : (n_rows + 1,) int64
        Events of row r are numbers ``start[r]`` to ``start[r + 1]``.
    neuron : (n_events,) int32
        The input of each, ascending within a row.
    value : (n_events,) float32
        What each counts; not looked at where all count 1, and then may be (0,).
    is_valued : int
        Whether some may differ from 1.
    """

    start: _Long
    neuron: _Short
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


class Held(NamedTuple):
    """A matrix as the chip holds it, in bytes, by input in memory.

    Attributes
    ----------
    table : (n_inputs * n_post,) int8
    n_post : int
    unit : float
        A power of two: what one stands for.
    """

    table: npt.NDArray[np.int8]
    n_post: int
    unit: float

    def matrix(self) -> _Floats:
        """Return it as (n_post, n_inputs) float32."""
        return (self.table.reshape(-1, self.n_post).astype(np.float32) * np.float32(self.unit)).T


def linear_of(events: EventInput, weight: _Floats | Held) -> _Floats:
    """Return the product of the input of a batch with a matrix.

    Parameters
    ----------
    events : EventInput
    weight : (n_post, n_inputs) float32, or Held
        An array is fastest when it is the transpose of a contiguous one: nothing is copied then.

    Returns
    -------
    (n_steps, n_samples, n_post) float32
        Exact where weights and values are integers and all partial sums stay below 2**24.
    """
    from neurosim.kernels.directinput import sum_byte_rows, sum_rows

    start, index, value, is_valued = events.rows
    if isinstance(weight, Held) and not is_valued:
        out = aligned_empty((events.n_steps, events.n_samples, weight.n_post))
        sum_byte_rows(weight.table, weight.n_post, start, index, weight.unit, out.reshape(-1), 0, len(start) - 1)
        return out
    matrix = weight.matrix() if isinstance(weight, Held) else weight
    if matrix.ndim != 2 or matrix.shape[1] != events.n_inputs or matrix.dtype != np.float32:
        raise ConfigError(
            f"event layer: weights are {matrix.dtype} of shape {matrix.shape}; need float32 (neurons, {events.n_inputs})"
        )
    out = aligned_empty((events.n_steps, events.n_samples, len(matrix)))
    table = np.ascontiguousarray(matrix.T).reshape(-1)
    sum_rows(table, len(matrix), start, index, value, is_valued, out.reshape(-1), 0, len(start) - 1)
    return out


def linear_by_weight(events: EventInput, gradient: _Floats) -> _Floats:
    """Return the gradient by a matrix, (n_post, n_inputs) float32, from that by the product, (n_steps, n_samples, n_post) float32."""
    from neurosim.kernels.directinput import SUMS, add_rows

    n_post = gradient.shape[2]
    table = np.ascontiguousarray(gradient).reshape(-1)
    out, sums = aligned_empty((events.n_inputs, n_post)), aligned_empty((events.n_inputs * SUMS,))
    start, index, value, is_valued = events.rows
    add_rows(table, n_post, start, index, value, is_valued, events.n_inputs, sums, out.reshape(-1))
    return out.T


def convolution_of(events: EventInput, weight: _Floats, pieces: Pieces) -> _Floats:
    """Return the convolution of the input of a batch.

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
        Exact as in `linear_of`.
    """
    from neurosim.kernels.directinput import add_reaches

    if weight.shape != pieces.shape or weight.dtype != np.float32:
        raise ConfigError(f"event layer: kernel is {weight.dtype} of shape {weight.shape}; need float32 {pieces.shape}")
    if len(pieces.start) != events.n_inputs + 1:
        raise ConfigError(
            f"event layer: {events.n_inputs} inputs for a convolution of {len(pieces.start) - 1}; match its input_shape"
        )
    kernel = np.ascontiguousarray(grouped(weight, pieces.groups)).reshape(-1)
    n_rows = len(events.rows.start) - 1
    out = aligned_empty((events.n_steps, events.n_samples, pieces.n_post))
    out[:] = 0
    add_reaches(*events.rows, pieces.start, pieces.weight, pieces.place, pieces.lanes, kernel, 0, out.reshape(-1),
                pieces.n_post, 0, n_rows)  # fmt: skip
    return out


def convolution_by_kernel(events: EventInput, gradient: _Floats, pieces: Pieces) -> _Floats:
    """Return the gradient by a kernel from that by the sums, (n_steps, n_samples, n_post) float32."""
    from neurosim.kernels.directinput import add_reaches

    source = np.ascontiguousarray(gradient).reshape(-1)
    n_out, kernel_x, kernel_y, per_group = pieces.shape
    out = np.zeros((kernel_x, kernel_y, pieces.groups, per_group, n_out // pieces.groups), np.float32)
    add_reaches(*events.rows, pieces.start, pieces.place, pieces.weight, pieces.lanes, source, pieces.n_post,
                out.reshape(-1), 0, 0, len(events.rows.start) - 1)  # fmt: skip
    return out.transpose(2, 4, 0, 1, 3).reshape(pieces.shape)


def grouped(weight: _Floats, groups: int) -> _Floats:
    """Return weights (out, x, y, in of a group) as (x, y, group, in of it, out of it)."""
    n_out, kernel_x, kernel_y, per_group = weight.shape
    return weight.reshape(groups, n_out // groups, kernel_x, kernel_y, per_group).transpose(2, 3, 0, 4, 1)
