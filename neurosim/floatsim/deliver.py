"""Carry spikes over float connections: sums of weights by target neuron, for many steps at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.errors import NetworkError
from neurosim.network import AnyConnection, Connection, ConvConnection, SparseConnection

Floats = npt.NDArray[np.float64]
Frames = npt.NDArray[Any]  # bool, or integers where messages have values
CHUNK = 1 << 22  # numbers of a temporary array
MOSTLY_FULL = 4  # a sparse connection that holds a quarter of all pairs runs as a matrix


class Matrix(NamedTuple):
    """A dense connection."""

    weights: Floats  # (n_post, n_pre)

    def __call__(self, frames: Frames) -> Floats:
        """Multiply with the columns of the sources that fired at all."""
        used = np.flatnonzero(frames.any(axis=0))
        if 2 * len(used) > frames.shape[1]:
            return np.asarray(frames.astype(np.float64) @ self.weights.T)
        return np.asarray(frames[:, used].astype(np.float64) @ self.weights[:, used].T)


class Convolution(NamedTuple):
    """A convolution with the layout of `neurosim.network.Conv`: (x, y, channel), the kernel flipped."""

    kernels: list[Floats]  # of each group: (kernel_x * kernel_y * channels, out_channels)
    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    @classmethod
    def of(cls, connection: ConvConnection) -> Convolution:
        """Return the convolution of a connection."""
        weights = np.asarray(connection.weights, np.float64)[:, ::-1, ::-1, :]
        n_out, kernel_x, kernel_y, _ = weights.shape
        parts = np.split(weights.reshape(n_out, -1), connection.groups)
        return cls(
            [np.ascontiguousarray(part.T) for part in parts], connection.input_shape, connection.output_shape,
            (kernel_x, kernel_y), _pair(connection.stride), _pair(connection.padding), _pair(connection.dilation),
        )  # fmt: skip

    def __call__(self, frames: Frames) -> Floats:
        """Multiply the patches that hold a spike with the kernel, a few frames at a time."""
        n_out = int(np.prod(self.output_shape))
        sums = np.zeros((len(frames), n_out))
        places = self.output_shape[0] * self.output_shape[1]
        per_group = self.input_shape[2] // len(self.kernels)
        of_group = self.output_shape[2] // len(self.kernels)
        room = max(1, CHUNK // (places * self.kernel[0] * self.kernel[1] * per_group))
        for i in range(0, len(frames), room):
            image = self._padded(frames[i : i + room])
            out = sums[i : i + room].reshape(-1, self.output_shape[2])  # a view
            for g, kernel in enumerate(self.kernels):
                patches = self._patches(image[..., g * per_group : (g + 1) * per_group])
                busy = np.flatnonzero(patches.any(axis=1))
                out[busy, g * of_group : (g + 1) * of_group] = patches[busy].astype(np.float64) @ kernel
        return sums

    def _padded(self, frames: Frames) -> Frames:
        width, height, channels = self.input_shape
        (pad_x, pad_y) = self.padding
        image = np.zeros((len(frames), width + 2 * pad_x, height + 2 * pad_y, channels), frames.dtype)
        image[:, pad_x : pad_x + width, pad_y : pad_y + height] = frames.reshape(-1, width, height, channels)
        return image

    def _patches(self, image: Frames) -> Frames:
        """Return what each output place sees, (n_frames * places, kernel_x * kernel_y * channels)."""
        n, sx, sy, sc = image.strides
        shape = (len(image), *self.output_shape[:2], *self.kernel, image.shape[3])
        strides = (
            n, sx * self.stride[0], sy * self.stride[1], sx * self.dilation[0], sy * self.dilation[1], sc,
        )  # fmt: skip
        seen = np.lib.stride_tricks.as_strided(image, shape, strides, writeable=False)
        return seen.reshape(len(image) * shape[1] * shape[2], -1)  # copies


class Synapses(NamedTuple):
    """A sparse connection: synapses by source."""

    n_post: int
    start: npt.NDArray[np.int64]  # (n_pre + 1,)
    row: npt.NDArray[np.int64]
    weight: Floats

    def __call__(self, frames: Frames) -> Floats:
        """Add the weights of the sources that fired, some million synapses at a time."""
        frame, source = np.nonzero(frames)
        value = frames[frame, source].astype(np.float64)
        fan_out = np.diff(self.start)[source]
        sums = np.zeros((len(frames), self.n_post))
        for first, last in _chunks(np.cumsum(fan_out)):
            n = fan_out[first:last]
            begin = np.cumsum(n) - n
            synapse = np.arange(int(n.sum())) + np.repeat(self.start[source[first:last]] - begin, n)
            low, high = int(frame[first]), int(frame[last - 1]) + 1
            place = np.repeat((frame[first:last] - low) * self.n_post, n) + self.row[synapse]
            weight = self.weight[synapse] * np.repeat(value[first:last], n)
            found = np.bincount(place, weight, minlength=(high - low) * self.n_post)
            sums[low:high] += found.reshape(-1, self.n_post)
        return sums


def _product(connection: Connection, weights: Floats, which: npt.NDArray[np.bool_]) -> Matrix | Convolution | Synapses:
    """Return how the chosen synapses of a connection act."""
    if isinstance(connection, ConvConnection):
        return Convolution.of(connection)
    if not isinstance(connection, SparseConnection):
        return Matrix(weights if which.all() else np.where(which, weights, 0.0))
    row, col, (n_post, n_pre) = np.asarray(connection.row)[which], np.asarray(connection.col)[which], connection.shape
    if n_post * n_pre <= CHUNK and len(row) * MOSTLY_FULL >= n_post * n_pre:
        matrix = np.zeros((n_post, n_pre))
        matrix[row, col] = weights[which]
        return Matrix(matrix)
    start = np.searchsorted(col, np.arange(n_pre + 1))  # synapses lie by source
    return Synapses(n_post, start.astype(np.int64), row, weights[which])


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


#: What makes sums (n_frames, n_post) of frames (n_frames, n_pre).
Product = Matrix | Convolution | Synapses


class Link(NamedTuple):
    """A connection by delay: steps beyond the one that every spike takes -> how frames become sums."""

    connection: Connection
    by_delay: dict[int, Product]

    @classmethod
    def of(cls, connection: AnyConnection) -> Link:
        """Return how a connection delivers.

        Raises
        ------
        NetworkError
            If it is in integers, or a kind that has no float form.
        """
        if not isinstance(connection, Connection):
            raise NetworkError(
                f"connection {connection.name!r}: {type(connection).__name__} is in chip integers, floatsim runs networks in "
                "floats; run it on a backend, or give its weights as Connection"
            )
        weights = np.asarray(connection.weights, np.float64)
        if connection.delays is None:
            return cls(connection, {0: _product(connection, weights, np.ones(weights.shape, np.bool_))})
        delays = np.asarray(connection.delays)
        return cls(connection, {int(d): _product(connection, weights, delays == d) for d in np.unique(delays)})

    def deliver(self, values: Frames, step: int, sums: Floats) -> None:
        """Add what spikes of consecutive steps bring to the sums of the steps in which it arrives.

        Parameters
        ----------
        values : (n_steps, n_samples, n_pre)
            What the sources sent, 0 for nothing, in `step` and after it.
        step : int
        sums : (all steps, n_samples, n_post) float64
            Written in place; what would arrive after the last step is dropped.
        """
        frames = values if self.connection.num_message_bits else values != 0
        for delay, product in self.by_delay.items():
            first = step + 1 + delay
            n_steps = min(len(frames), len(sums) - first)
            if n_steps <= 0:
                continue
            flat = frames[:n_steps].reshape(-1, frames.shape[2])
            busy = np.flatnonzero(flat.any(axis=1))
            if not busy.size:
                continue
            target = sums[first : first + n_steps].reshape(-1, sums.shape[2])
            if len(busy) == len(flat):
                target += product(flat)
            else:
                target[busy] += product(flat[busy])


def _chunks(total: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Cut a list of spikes where the number of their synapses passes `CHUNK`; `total` is its running sum."""
    first, done = 0, 0
    while first < len(total):
        last = max(first + 1, int(np.searchsorted(total, done + CHUNK, "right")))
        yield first, last
        first, done = last, int(total[last - 1])
