"""Convolutions between hidden layers.

Three products are in a step of training. The sums that arrive and the gradient by the kernel cost what the messages cost where those are
few (`neurosim.direct.eventlayer`), and are torch's elsewhere. The gradient by the messages is dense, and a kernel of ours computes it:
torch takes several times as long as for the convolution itself where there is a stride.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from neurosim.direct.eventlayer import (
    EventInput,
    Pieces,
    convolution_by_kernel,
    convolution_of,
    grouped,
    pieces_of,
)
from neurosim.network import ConvConnection
from neurosim.program import aligned_empty

#: Largest share of neurons with a message in a step for which lists are used. Measured with kernels of 3 x 3 and 5 x 5, 4 to 64 channels:
#: both directions take half as long at a share of 0.05 and as long at 0.12 to 0.2.
LARGEST_SHARE = 0.125
#: Fewest channels of a group, in and out, for which our kernels are faster than torch's products; pooling has one.
FEWEST_CHANNELS = 4

_Floats = npt.NDArray[np.float32]
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

    @property
    def has_kernels(self) -> bool:
        """Whether our kernels are the faster ones."""
        n_out, _, _, per_group = self.pieces.shape
        return min(n_out // self.pieces.groups, per_group) >= FEWEST_CHANNELS


def geometry_of(connection: ConvConnection) -> Geometry:
    """Return the geometry of a convolution."""
    pieces = pieces_of(connection)
    n_out, _, _, per_group = pieces.shape
    per_piece = n_out // pieces.groups // pieces.lanes  # pieces of one pixel, channel and tap
    counts = np.diff(pieces.start) // per_piece
    heads = np.repeat(np.arange(len(counts)) % per_group == 0, counts)  # taps of the first channel of each cell
    taps = np.concatenate([[0], np.cumsum(counts[::per_group])]).astype(np.int32)
    return Geometry(connection, pieces, taps, pieces.place[::per_piece][heads], pieces.weight[::per_piece][heads])


def convolve(frames: _Floats, weight: _Floats, geometry: Geometry) -> tuple[_Floats, EventInput | None]:
    """Return what messages bring through a convolution.

    Parameters
    ----------
    frames : (T, B, n_pre) float32
    weight : (out_channels, kernel_x, kernel_y, in_channels / groups) float32
        Flipped, as in `neurosim.network.ConvConnection`.
    geometry : Geometry

    Returns
    -------
    current : (T, B, n_post) float32
        Exact where weights and messages are integers and all partial sums stay below 2**24. Which way it is computed follows from the
        messages alone, so that gradients have the same bits everywhere.
    events : EventInput or None
        The messages as a list, where that is how they were added; `convolve_back` asks for it.
    """
    frames = np.ascontiguousarray(frames)
    events = _messages(frames) if geometry.has_kernels else None
    if events is not None:
        return convolution_of(events, weight, geometry.pieces), events
    connection = geometry.connection
    found = torch.nn.functional.conv2d(
        _pictures(frames, connection.input_shape), _flipped(weight), None, connection.stride, connection.padding,
        connection.dilation, connection.groups,
    )  # fmt: skip
    return _rows(found, frames.shape), None


def convolve_back(
    gradient: _Floats, frames: _Floats, events: EventInput | None, weight: _Floats, geometry: Geometry,
    wanted: tuple[bool, bool] = (True, True),
) -> tuple[_Floats | None, _Floats | None]:  # fmt: skip
    """Return the gradients by messages and kernel, those that are wanted, from that by what arrived.

    Parameters
    ----------
    gradient : (T, B, n_post) float32
    frames, weight, geometry
        As `convolve` was given them.
    events : EventInput or None
        As it gave them.
    wanted : (bool, bool)
    """
    gradient = np.ascontiguousarray(gradient)
    by_frames = by_weight = None
    if wanted[0] and geometry.has_kernels:
        by_frames = _by_frames(gradient, weight, geometry)
    if wanted[1] and events is not None:
        by_weight = convolution_by_kernel(events, gradient, geometry.pieces)
    left = wanted[0] and by_frames is None, wanted[1] and by_weight is None
    if any(left):
        found = _by_products(gradient, frames, weight, geometry.connection, left)
        by_frames, by_weight = (
            mine if mine is not None else one for mine, one in zip((by_frames, by_weight), found, strict=True)
        )
    return by_frames, by_weight


def _by_frames(gradient: _Floats, weight: _Floats, geometry: Geometry) -> _Floats:
    """Return the gradient by the messages."""
    from neurosim.kernels.directhidden import gather_taps

    pieces = geometry.pieces
    n_steps, n_samples, _ = gradient.shape
    table = np.ascontiguousarray(grouped(weight, pieces.groups).swapaxes(3, 4)).reshape(-1)
    found = aligned_empty((n_steps, n_samples, (len(geometry.taps) - 1) * pieces.shape[3]))
    gather_taps(
        gradient.reshape(-1), pieces.n_post, geometry.taps, geometry.from_, geometry.weight, table,
        pieces.shape[0] // pieces.groups, pieces.shape[3], found.reshape(-1), 0, n_steps * n_samples,
    )  # fmt: skip
    return found


def _by_products(
    gradient: _Floats, frames: _Floats, weight: _Floats, connection: ConvConnection, wanted: tuple[bool, bool]
) -> tuple[_Floats | None, _Floats | None]:
    """Return the gradients by messages and kernel that are wanted, by torch."""
    pairs = [
        [one, one] if isinstance(one, int) else list(one)
        for one in (connection.stride, connection.padding, connection.dilation)
    ]
    by_frames, by_weight, _ = torch.ops.aten.convolution_backward(
        _pictures(gradient, connection.output_shape), _pictures(frames, connection.input_shape), _flipped(weight), None, *pairs, False,
        [0, 0], connection.groups, [*wanted, False],
    )  # fmt: skip
    return (
        None if by_frames is None else _rows(by_frames, frames.shape),
        None if by_weight is None else by_weight.permute(0, 2, 3, 1).flip(1, 2).numpy(),
    )


def _pictures(rows: _Floats, shape: tuple[int, int, int]) -> torch.Tensor:
    """Return (T, B, n) as (T * B, channels, width, height), channels last in memory."""
    width, height, channels = shape
    return torch.from_numpy(rows).reshape(-1, width, height, channels).permute(0, 3, 1, 2)


def _rows(pictures: torch.Tensor, shape: tuple[int, ...]) -> _Floats:
    found: _Floats = pictures.permute(0, 2, 3, 1).reshape(*shape[:2], -1).numpy()
    return found


def _flipped(weight: _Floats) -> torch.Tensor:
    """Return a kernel as torch has it."""
    return torch.from_numpy(weight).flip(1, 2).permute(0, 3, 1, 2)


def _messages(frames: _Floats) -> EventInput | None:
    """Return messages as a list; None where more than `LARGEST_SHARE` of the neurons send one in a step."""
    from neurosim.kernels.directhidden import list_messages

    n_steps, n_samples, n = frames.shape
    most = int(LARGEST_SHARE * frames.size)
    start, index = np.empty(n_steps * n_samples + 1, np.int64), np.empty(most + 1, np.int32)
    value = np.empty(most + 1, np.float32)
    valued = int(list_messages(frames.reshape(-1), n, n_steps * n_samples, most, start, index, value))
    if valued < 0:
        return None
    return EventInput.trusted(start, index[: start[-1]], value[: start[-1]], valued, n_steps, n)
