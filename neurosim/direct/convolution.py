"""Convolutions between hidden layers: by the messages that were sent, where those are few, else by torch's.

Three products are in a step of training. The sums that arrive and the gradient by the kernel cost what the messages cost
(`neurosim.direct.eventlayer`); the gradient by the messages is dense, and a kernel of ours computes it, since that of torch for
convolutions with a stride takes several times as long as the convolution itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from neurosim.direct.eventlayer import (
    LARGEST_SHARE,
    EventInput,
    Pieces,
    convolution_by_kernel,
    convolution_of,
    grouped,
    pieces_of,
)
from neurosim.network import ConvConnection

_Short = npt.NDArray[np.int32]


class Geometry(NamedTuple):
    """Where a convolution's weights are used, seen from either side.

    Attributes
    ----------
    connection : ConvConnection
    pieces : Pieces
    taps : (n_cells + 1,) int32
        A cell is a pixel of the input and a group of its channels; cell i is heard by ``taps[i]`` to ``taps[i + 1]``.
    from_, weight : (n_taps,) int32
        The first out channel that hears, and the first weight between it and the cell, laid out (x, y, group, out channel, in channel).
    """

    connection: ConvConnection
    pieces: Pieces
    taps: _Short
    from_: _Short
    weight: _Short


def geometry_of(connection: ConvConnection) -> Geometry:
    """Return the geometry of a convolution."""
    pieces = pieces_of(connection)
    n_out, _, _, per_group = pieces.shape
    per_piece = n_out // pieces.groups // pieces.lanes  # pieces of one pixel, channel and tap
    counts = np.diff(pieces.start)[::per_group] // per_piece
    first = np.repeat(pieces.start[:-1][::per_group] - np.cumsum(counts * per_piece) + counts * per_piece, counts)
    chosen = first + np.arange(counts.sum()) * per_piece
    taps = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return Geometry(connection, pieces, taps, pieces.place[chosen], pieces.weight[chosen])


class _Between(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, frames: Any, weight: Any, events: EventInput, geometry: Geometry) -> Any:
        ctx.events, ctx.geometry = events, geometry
        ctx.save_for_backward(weight)
        return convolution_of(events, weight.detach(), geometry.pieces)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        from neurosim.kernels.directhidden import gather_taps

        events: EventInput = ctx.events
        geometry: Geometry = ctx.geometry
        pieces = geometry.pieces
        (weight,) = ctx.saved_tensors
        gradient = gradient.contiguous()
        by_frames = by_weight = None
        if ctx.needs_input_grad[1]:
            by_weight = convolution_by_kernel(events, gradient, pieces)
        if ctx.needs_input_grad[0]:
            table = grouped(weight.detach(), pieces.groups).transpose(3, 4).contiguous().numpy().reshape(-1)
            by_frames = torch.empty(events.n_steps, events.n_samples, events.n_inputs)
            gather_taps(
                gradient.numpy().reshape(-1), pieces.n_post, geometry.taps, geometry.from_, geometry.weight, table,
                pieces.shape[0] // pieces.groups, pieces.shape[3], by_frames.numpy().reshape(-1), 0,
                events.n_steps * events.n_samples,
            )  # fmt: skip
        return by_frames, by_weight, None, None


def convolve(frames: torch.Tensor, weight: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Return what messages bring through a convolution; differentiable by messages and kernel.

    Parameters
    ----------
    frames : (T, B, n_pre) float32
    weight : (out_channels, kernel_x, kernel_y, in_channels / groups) float32
        Flipped, as in `neurosim.network.ConvConnection`.
    geometry : Geometry

    Returns
    -------
    (T, B, n_post) float32
        Exact where weights and messages are integers and all partial sums stay below 2**24. Which way it is computed follows from the
        messages alone, so that gradients have the same bits everywhere.
    """
    events = _messages(frames.detach().contiguous())
    if events is not None:
        found: torch.Tensor = _Between.apply(frames, weight, events, geometry)
        return found
    connection = geometry.connection
    n_steps, n_samples, _ = frames.shape
    width, height, channels = connection.input_shape
    pictures = frames.reshape(-1, width, height, channels).permute(0, 3, 1, 2)  # channels last in memory
    kernel = weight.flip(1, 2).permute(0, 3, 1, 2)
    dense = torch.nn.functional.conv2d(
        pictures, kernel, None, connection.stride, connection.padding, connection.dilation, connection.groups
    )
    return dense.permute(0, 2, 3, 1).reshape(n_steps, n_samples, -1)


def _messages(frames: torch.Tensor) -> EventInput | None:
    """Return messages as a list; None where more than `LARGEST_SHARE` of the neurons send one in a step."""
    from neurosim.kernels.directhidden import list_messages

    n_steps, n_samples, n = frames.shape
    most = int(LARGEST_SHARE * frames.numel())
    start, index = np.empty(n_steps * n_samples + 1, np.int64), np.empty(most + 1, np.int32)
    value = np.empty(most + 1, np.float32)
    valued = int(list_messages(frames.numpy().reshape(-1), n, n_steps * n_samples, most, start, index, value))
    if valued < 0:
        return None
    return EventInput.trusted(start, index[: start[-1]], value[: start[-1]], valued, n_steps, n)
