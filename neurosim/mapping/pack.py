"""Pack a quantised, mapped network into the flat arrays of a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from neurosim.codes import (
    EVERYONE,
    FORMAT_CSR,
    FORMAT_DENSE8,
    FORMAT_DENSE16,
    MODEL_INPUT,
    MODEL_LIF,
    OP_DELIVER,
    OP_UPDATE,
    TARGET_BITS,
)
from neurosim.fixedpoint import DECAY_ONE, INPUT_SHIFT, lost_weight_bits, truncate_weights
from neurosim.mapping.formats import SMALL, rows_pay
from neurosim.mapping.layout import Mapping
from neurosim.network import LIF, AnyConnection, Dense, Group, Input, Network, Sparse
from neurosim.program import ProgramArrays, aligned_copy

INT8 = np.iinfo(np.int8)
Number = TypeVar("Number", bound=np.generic)


def chip_weights(connection: Dense) -> npt.NDArray[np.int64]:
    """Return the weights (n_post, n_pre) of a dense connection as the chip's format holds them."""
    assert connection.sign_mode is not None
    return truncate_weights(connection.weights, connection.num_weight_bits, connection.sign_mode)


def mantissa_shift(connection: Dense | Sparse, weights: npt.NDArray[np.int64]) -> int:
    """Return the number of low bits that all weights leave at zero.

    For plastic connections this is what the format cuts, whatever the present weights are.
    """
    if connection.plastic:
        return lost_weight_bits(connection.num_weight_bits, "mixed")
    union = int(np.bitwise_or.reduce(np.abs(weights).ravel(), initial=0))
    return (union & -union).bit_length() - 1 if union else 0


def pack(network: Network, mapping: Mapping) -> ProgramArrays:
    """Return the program's arrays: groups inputs first, weights by presynaptic neuron, in the faster format."""
    groups = network.ordered_groups
    index = {group.name: i for i, group in enumerate(groups)}
    parts = _Parts()
    conn = [
        (index[c.source], index[c.target], *_pack_connection(c, parts)) for c in network.connections
    ]  # in the order of codes.SOURCE..FAN_OUT
    bias = [group.bias if isinstance(group, LIF) else np.zeros(group.n, np.int64) for group in groups]
    return ProgramArrays(
        group=np.array([_group_row(group, network.offsets[group.name]) for group in groups], np.int64),
        conn=np.array(conn, np.int64).reshape(-1, 7),
        ops=_order(network, index),
        bias=np.concatenate(bias).astype(np.int32),
        route=np.ascontiguousarray(mapping.route, dtype=np.int32),
        dense8=aligned_copy(_join(parts.dense8, np.int8)),
        dense16=aligned_copy(_join(parts.dense16, np.int16)),
        csr_start=_join(parts.csr_start, np.int64),
        csr_word=_join(parts.csr_word, np.int32),
    )


def _group_row(group: Group, start: int) -> tuple[int, ...]:
    """Return a row of the group table, in the order of codes.START..HALF."""
    if not isinstance(group, LIF):
        return start, start + group.n, MODEL_INPUT, 0, 0, 0, 0
    threshold = group.vth << INPUT_SHIFT
    return (
        start,
        start + group.n,
        MODEL_LIF,
        DECAY_ONE - (group.du + 1),
        DECAY_ONE - group.dv,
        threshold,
        threshold // 2,
    )


class _Parts:
    """Weight arrays collected connection by connection."""

    def __init__(self) -> None:
        self.dense8: list[npt.NDArray[np.int8]] = []
        self.dense16: list[npt.NDArray[np.int16]] = []
        self.csr_start: list[npt.NDArray[np.int64]] = []
        self.csr_word: list[npt.NDArray[np.int32]] = []

    def add_synapses(self, start: npt.NDArray[np.int64], word: npt.NDArray[np.int32]) -> int:
        """Append synapses by presynaptic neuron; return the first row."""
        first = sum(part.size for part in self.csr_word)
        self.csr_word.append(word)
        return self.add_counts(start + first if first else start)

    def add_counts(self, start: npt.NDArray[np.int64]) -> int:
        """Append rows that say how many synapses each source has; return the first row."""
        first_row = sum(part.size for part in self.csr_start)
        self.csr_start.append(start)
        return first_row


def _join(parts: Sequence[npt.NDArray[Number]], dtype: type[Number]) -> npt.NDArray[Number]:
    """Return all parts in one array; a single one as it is, so that a program shares the words of its description."""
    if len(parts) == 1 and parts[0].dtype == dtype and parts[0].flags.c_contiguous:
        return parts[0].reshape(-1)
    return np.concatenate([part.ravel() for part in parts]).astype(dtype, copy=False) if parts else np.zeros(0, dtype)


def _pack_connection(connection: AnyConnection, parts: _Parts) -> tuple[int, int, int, int, int]:
    """Append one connection's weights; return format, shift, exponent, offset and fan-out."""
    assert isinstance(connection, (Dense, Sparse))
    exponent, fan_out = connection.weight_exp, EVERYONE
    if isinstance(connection, Sparse):
        if not rows_pay(connection.shape, len(connection.word)):
            first_row = parts.add_synapses(connection.start, _chip_words(connection))
            return FORMAT_CSR, 0, exponent, first_row, first_row
        weights = np.zeros(connection.shape, np.int64)
        assert connection.sign_mode is not None
        weights[connection.row, connection.col] = truncate_weights(
            connection.data, connection.num_weight_bits, connection.sign_mode
        )
        fan_out = parts.add_counts(connection.start)
    else:
        weights = chip_weights(connection)
        may_be_sparse = not connection.plastic and weights.size >= SMALL
        if may_be_sparse and not rows_pay(connection.shape, int(np.count_nonzero(weights))):
            return FORMAT_CSR, 0, exponent, _pack_nonzero(weights, parts), EVERYONE
    return *_pack_rows(weights, mantissa_shift(connection, weights), exponent, parts), fan_out


def _pack_rows(
    weights: npt.NDArray[np.int64], shift: int, exponent: int, parts: _Parts
) -> tuple[int, int, int, int]:
    """Append rows of all targets by presynaptic neuron."""
    mantissa = (weights >> shift).T
    if mantissa.size == 0 or (INT8.min <= mantissa.min() and mantissa.max() <= INT8.max):
        offset = sum(part.size for part in parts.dense8)
        parts.dense8.append(np.ascontiguousarray(mantissa, dtype=np.int8))
        return FORMAT_DENSE8, shift, exponent, offset
    offset = sum(part.size for part in parts.dense16)
    parts.dense16.append(np.ascontiguousarray(weights.T, dtype=np.int16))
    return FORMAT_DENSE16, 0, exponent, offset


def _pack_nonzero(weights: npt.NDArray[np.int64], parts: _Parts) -> int:
    """Append the weights that are not zero as synapses; return the first row."""
    pre, post = np.nonzero(weights.T)
    start = np.searchsorted(pre, np.arange(weights.shape[1] + 1)).astype(np.int64)
    return parts.add_synapses(start, (weights[post, pre] << TARGET_BITS | post).astype(np.int32))


def _chip_words(connection: Sparse) -> npt.NDArray[np.int32]:
    """Return the synapses as the chip's format holds them: those of the description, unless a weight loses bits."""
    assert connection.sign_mode is not None
    lost = lost_weight_bits(connection.num_weight_bits, connection.sign_mode)
    if int(np.bitwise_or.reduce(connection.word, initial=0)) >> TARGET_BITS & ((1 << lost) - 1) == 0:
        return connection.word
    weights = truncate_weights(connection.data, connection.num_weight_bits, connection.sign_mode)
    return (weights << TARGET_BITS | connection.row).astype(np.int32)


def _order(network: Network, index: dict[str, int]) -> npt.NDArray[np.int64]:
    """Order the operations of a step: deliver from inputs, deliver from neurons, then update every group.

    What inputs deliver does not depend on the neurons, so learning computes it once for all members.
    """
    is_input = {group.name: isinstance(group, Input) for group in network.groups}
    delivers = sorted(range(len(network.connections)), key=lambda c: not is_input[network.connections[c].source])
    updates = [index[group.name] for group in network.ordered_groups if not is_input[group.name]]
    ops = [(OP_DELIVER, c) for c in delivers] + [(OP_UPDATE, g) for g in updates]
    return np.array(ops, np.int64).reshape(-1, 2)
