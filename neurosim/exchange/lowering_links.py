"""A linear map between two groups as a connection in floats, in the order in which the chip has the neurons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurosim.errors import NetworkError
from neurosim.exchange.imported import Order, chip_order
from neurosim.exchange.lowering_kernels import Kernel, is_diagonal
from neurosim.exchange.lowering_maps import LinearMap, Matrix, as_pairs
from neurosim.fixedpoint import RANGES
from neurosim.network import Connection, ConvConnection, SparseConnection

MAX_DELAY = RANGES["delay"].high
SPARSE_BELOW = 0.25  # of all pairs: from here on a dense connection is smaller


@dataclass(frozen=True, eq=False)
class LinkFormat:
    """What connections have besides weights: bits of weights and messages."""

    num_weight_bits: int = 8
    num_message_bits: int = 0


def link(
    source: str, target: str, found: LinearMap, source_order: Order, target_order: Order, form: LinkFormat
) -> Connection:
    """Return the connection that a map is.

    A kernel stays a convolution where both groups lie in its order and nothing is delayed (`ConvConnection` has no delays).
    A matrix stays dense unless three quarters of it are 0.

    Parameters
    ----------
    source, target : str
        Names of the groups.
    found : LinearMap
        From elements of the source to those of the target; delays beyond the one step of each connection.
    source_order, target_order : (n,) int64
        Element that each neuron is.
    form : LinkFormat

    Raises
    ------
    NetworkError
        If a delay is too long for the chip, or two paths between the same neurons have different delays.
    """
    if isinstance(found, Kernel) and not is_diagonal(found) and not found.delay:
        convolution = _convolution(source, target, found, source_order, target_order, form)
        if convolution is not None:
            return convolution
    owner = f"connection '{source}->{target}'"
    if isinstance(found, Matrix):
        longest = found.delay
        weights = found.weights[target_order][:, source_order]
        if np.count_nonzero(weights) >= SPARSE_BELOW * weights.size:
            _check_delay(owner, longest)
            return Connection(
                source,
                target,
                weights,
                form.num_weight_bits,
                num_message_bits=form.num_message_bits,
                delays=longest or None,
            )
    pairs = as_pairs(found)
    _check_delay(owner, int(pairs.delay.max(initial=0)))
    row, col = _inverse(target_order)[pairs.row], _inverse(source_order)[pairs.col]
    key = np.sort(row * pairs.shape[1] + col)
    if np.any(key[1:] == key[:-1]):
        raise NetworkError(
            f"{owner}: two paths between the same neurons have different delays, a synapse has one; "
            "put neurons into one of the paths, or make their Delay nodes equal"
        )
    if len(row) >= SPARSE_BELOW * pairs.shape[0] * pairs.shape[1]:
        weights, delays = np.zeros(pairs.shape), np.zeros(pairs.shape, np.int64)
        weights[row, col], delays[row, col] = pairs.value, pairs.delay
        if np.ptp(pairs.delay) == 0:
            delays[:] = pairs.delay[0]
        return Connection(
            source, target, weights, form.num_weight_bits, num_message_bits=form.num_message_bits,
            delays=delays if delays.any() else None,
        )  # fmt: skip
    return SparseConnection(
        source, target, pairs.shape, row, col, pairs.value, pairs.delay if pairs.delay.any() else None,
        form.num_weight_bits, num_message_bits=form.num_message_bits,
    )  # fmt: skip


def _check_delay(owner: str, longest: int) -> None:
    if longest > MAX_DELAY:
        raise NetworkError(
            f"{owner}: needs a delay of {longest} steps, the chip holds up to {MAX_DELAY}; "
            "use a larger dt or shorter delays, or put neurons into the shorter path"
        )


def _inverse(order: Order) -> Order:
    found = np.empty_like(order)
    found[order] = np.arange(len(order))
    return found


def _convolution(
    source: str, target: str, kernel: Kernel, source_order: Order, target_order: Order, form: LinkFormat
) -> ConvConnection | None:
    """Return a kernel as a true convolution on (x, y, channel), or None where groups or edges do not allow it."""
    if not np.array_equal(source_order, chip_order(kernel.in_shape)):
        return None
    if not np.array_equal(target_order, chip_order(kernel.out_shape)):
        return None
    fits = [_symmetric(kernel, axis) for axis in (0, 1)]
    if fits[0] is None or fits[1] is None:
        return None
    (before_y, after_y, pad_y), (before_x, after_x, pad_x) = fits[0], fits[1]
    weights = np.pad(kernel.weights, ((0, 0), (0, 0), (before_y, after_y), (before_x, after_x)))
    flipped = weights.transpose(0, 3, 2, 1)[:, ::-1, ::-1]  # torch's rows are y; its kernel is not flipped
    channels, height, width = kernel.in_shape
    return ConvConnection(
        source, target, flipped, form.num_weight_bits, num_message_bits=form.num_message_bits,
        input_shape=(width, height, channels), stride=kernel.stride[::-1], padding=(pad_x, pad_y),
        dilation=kernel.dilation[::-1], groups=kernel.groups,
    )  # fmt: skip


def _symmetric(kernel: Kernel, axis: int) -> tuple[int, int, int] | None:
    """Return zeros to add to the kernel before and behind, and the padding of both sides that then gives the same.

    The chip's convolution pads both sides alike and has as many places as fit. A zero before the kernel moves it by one
    dilation, so that there may be as much more padding; a zero behind makes places fewer.
    """
    n_in, n_out, size = kernel.in_shape[1 + axis], kernel.out_shape[1 + axis], kernel.weights.shape[2 + axis]
    stride, low, dilation = kernel.stride[axis], kernel.low[axis], kernel.dilation[axis]
    for before in range(size + 1):
        pad = low + before * dilation
        for after in range(size + stride):
            room = n_in + 2 * pad - dilation * (size + before + after - 1) - 1
            places = room // stride + 1
            if room >= 0 and places == n_out:
                return before, after, pad
            if places < n_out:
                break
    return None


def links_weight(connection: Connection) -> float:
    """Return the median magnitude of the weights that are not 0; 0 if there are none."""
    weights = np.abs(np.asarray(connection.weights))
    weights = weights[weights > 0]
    return float(np.median(weights)) if weights.size else 0.0
