"""The incoming synapses of each group, ordered by postsynaptic neuron."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurosim.chip import Chip
from neurosim.fixedpoint import Int64Array
from neurosim.mapping.learning import LearningNeeds
from neurosim.mapping.storage import sharing_of, synapse_bits
from neurosim.network import Connection, Conv, Dense, IntegerConnection, Network

Synapses = tuple[Int64Array, Int64Array, Int64Array | None]  # start of each post, pre, weight of a kernel


class Fan(NamedTuple):
    """Synapses of one connection, ordered by postsynaptic neuron."""

    connection: IntegerConnection
    offset: int  # of the source group in the program's numbering
    start: Int64Array | None  # (n_post + 1,) first synapse of each neuron; None: all pairs
    pre: Int64Array | None  # presynaptic index of each synapse
    bits: int  # of one stored synapse
    sharing: str = "none"  # of `chip.SHARING`
    tap: Int64Array | None = None  # which weight of its kernel each synapse uses; only for sharing "shifted"
    beside: int = 0  # bits that learning keeps beside each stored synapse, part of `bits`
    row: int = 0  # bits that learning keeps for each presynaptic neuron
    channel: Int64Array | None = None  # (n_post,) output channel of each neuron of a convolution in another order


def fan_in(network: Network, chip: Chip, learning: LearningNeeds | None = None) -> dict[str, list[Fan]]:
    """Return the incoming synapses of each group that has any, with what one of them costs."""
    offsets = network.offsets
    fans: dict[str, list[Fan]] = {group.name: [] for group in network.groups}
    for connection in network.connections:
        assert not isinstance(connection, Connection)
        sharing = sharing_of(connection, chip)
        start = pre = tap = None
        if isinstance(connection, Conv):
            start, pre, tap = _of_convolution(connection, sharing == "shifted")
        elif not isinstance(connection, Dense):
            start, pre, tap = _of_list(connection)
        needs = learning if learning is not None and connection.plastic else LearningNeeds()
        fans[connection.target].append(
            Fan(
                connection,
                offsets[connection.source],
                start,
                pre,
                synapse_bits(connection, chip, learning),
                sharing,
                tap,
                needs.of_synapse(connection.name) if connection.plastic else 0,
                needs.row.get(connection.name, 0),
            )  # fmt: skip
        )
    return fans


def reordered(fan: Fan, order: Int64Array) -> Fan:
    """Return the same synapses for postsynaptic neurons in another order: place i holds neuron ``order[i]``."""
    if fan.start is None or fan.pre is None:
        return fan
    n = np.diff(fan.start)[order]
    start = np.concatenate([[0], np.cumsum(n)]).astype(np.int64)
    at = np.arange(start[-1]) + np.repeat(fan.start[order] - start[:-1], n)
    channel = order % fan.connection.output_shape[2] if isinstance(fan.connection, Conv) else None
    return fan._replace(start=start, pre=fan.pre[at], tap=None if fan.tap is None else fan.tap[at], channel=channel)


def _of_list(connection: IntegerConnection) -> Synapses:
    assert not isinstance(connection, Dense)
    sparse = connection.as_sparse()
    n_post, n_pre = sparse.shape
    # one sorted array of keys beats an index array (argsort) several times
    key = np.sort(np.asarray(sparse.row, dtype=np.int64) * n_pre + np.asarray(sparse.col))
    start = np.searchsorted(key, np.arange(n_post + 1, dtype=np.int64) * n_pre).astype(np.int64)
    key %= max(n_pre, 1)
    return start, key, None


def _of_convolution(c: Conv, taps: bool) -> Synapses:
    """Lay out the synapses of a convolution by post neuron (x, y, channel), then by pre; no sorting is needed."""
    width, height, channels = c.input_shape
    out_width, out_height, n_out = c.output_shape
    (stride_x, stride_y), (pad_x, pad_y), (step_x, step_y) = c.geometry
    _, kernel_x, kernel_y, per_group = np.shape(c.weights)
    source_x = np.arange(out_width)[:, None] * stride_x + np.arange(kernel_x) * step_x - pad_x  # (x, i)
    source_y = np.arange(out_height)[:, None] * stride_y + np.arange(kernel_y) * step_y - pad_y  # (y, j)
    there = ((source_x >= 0) & (source_x < width))[:, None, :, None] & ((source_y >= 0) & (source_y < height))[:, None]
    pixel = source_x[:, None, :, None] * height + source_y[:, None]  # (x, y, i, j)
    first = np.arange(n_out) // (n_out // c.groups) * per_group  # first input channel that each output channel sees
    channel = first[:, None] + np.arange(per_group)
    full = (out_width, out_height, n_out, kernel_x, kernel_y, per_group)
    pre = pixel[:, :, None, :, :, None] * channels + channel[:, None, None, :]
    mask = np.broadcast_to(there[:, :, None, :, :, None], full)
    n = np.repeat(there.sum(axis=(2, 3)).ravel() * per_group, n_out)
    start = np.concatenate([[0], np.cumsum(n)]).astype(np.int64)
    tap = None
    if taps:
        of_kernel = np.arange(np.size(c.weights), dtype=np.int64).reshape(n_out, kernel_x, kernel_y, per_group)
        tap = np.broadcast_to(of_kernel, full)[mask]
    return start, pre[mask].astype(np.int64), tap
