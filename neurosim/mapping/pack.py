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
    FORMAT_LINK,
    MODEL_LIF,
    OP_DELIVER,
    OP_UPDATE,
    TARGET_BITS,
)
from neurosim.fixedpoint import ARITHMETICS, DECAY_ONE, lost_weight_bits
from neurosim.mapping.formats import SMALL, rows_pay
from neurosim.mapping.layout import Mapping
from neurosim.mapping.pack_models import chip_weights, is_link, model_of, sum_exponent, threshold_of
from neurosim.network import LIF, AnyConnection, Connection, Dense, Group, Input, IntegerConnection, Network, Sparse
from neurosim.neurons import ATRLIF, SigmaDelta
from neurosim.program import ProgramArrays, aligned_copy

INT8 = np.iinfo(np.int8)
Number = TypeVar("Number", bound=np.generic)


def mantissa_shift(connection: IntegerConnection, weights: npt.NDArray[np.int64]) -> int:
    """Return the number of low bits that all weights leave at zero.

    For plastic connections this is what the format cuts, whatever the present weights are.
    """
    if connection.plastic:
        return lost_weight_bits(connection.num_weight_bits, "mixed")
    return _zero_bits(weights)


def _zero_bits(weights: npt.NDArray[np.int64]) -> int:
    union = int(np.bitwise_or.reduce(np.abs(weights).ravel(), initial=0))
    return (union & -union).bit_length() - 1 if union else 0


def pack(network: Network, mapping: Mapping, arithmetic: str = "lava-0.10") -> ProgramArrays:
    """Return the program's arrays: groups inputs first, weights by presynaptic neuron, in the faster format."""
    groups = network.ordered_groups
    index = {group.name: i for i, group in enumerate(groups)}
    parts = _Parts()
    conn = [
        (index[c.source], index[c.target], *_pack_connection(c, parts, network, arithmetic))
        for c in network.connections
    ]  # in the order of codes.SOURCE..FAN_OUT
    bias = [_bias(group) for group in groups]
    return ProgramArrays(
        group=np.array([_group_row(group, network, mapping, arithmetic) for group in groups], np.int64),
        conn=np.array(conn, np.int64).reshape(-1, 7),
        ops=_order(network, index),
        bias=np.concatenate(bias).astype(np.int32),
        route=np.ascontiguousarray(mapping.route, dtype=np.int32),
        dense8=aligned_copy(_join(parts.dense8, np.int8)),
        dense16=aligned_copy(_join(parts.dense16, np.int16)),
        csr_start=_join(parts.csr_start, np.int64),
        csr_word=_join(parts.csr_word, np.int32),
    )


def _bias(group: Group) -> npt.NDArray[np.int64]:
    """Return what is added to the state of each neuron in each step, in units of that state."""
    if isinstance(group, (LIF, ATRLIF)):
        return group.bias
    if isinstance(group, SigmaDelta):
        return np.broadcast_to(np.asarray(group.bias) << (group.spike_exp + group.state_exp), (group.n,))
    return np.zeros(group.n, np.int64)


def _group_row(group: Group, network: Network, mapping: Mapping, arithmetic: str) -> tuple[int, ...]:
    """Return a row of the group table, in the order of codes.START..ALIKE; other models have settings of their own."""
    model, start = model_of(group, arithmetic), network.offsets[group.name]
    route = mapping.route[start : start + group.n]
    alike = int((route == route[0]).all())  # a spike of any neuron sends the same messages
    if model != MODEL_LIF:
        return start, start + group.n, model, 0, 0, 0, 0, alike
    assert isinstance(group, LIF)
    threshold = int(threshold_of(group, arithmetic))
    return (
        start,
        start + group.n,
        MODEL_LIF,
        DECAY_ONE - (int(group.du) + 1),
        DECAY_ONE - int(group.dv),
        threshold,
        threshold // 2,
        alike,
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
    parts = [part for part in parts if part.size]
    if len(parts) == 1 and parts[0].dtype == dtype and parts[0].flags.c_contiguous:
        return parts[0].reshape(-1)
    return np.concatenate([part.ravel() for part in parts]).astype(dtype, copy=False) if parts else np.zeros(0, dtype)


def _pack_connection(
    connection: AnyConnection, parts: _Parts, network: Network, arithmetic: str
) -> tuple[int, int, int, int, int]:
    """Append one connection's weights; return format, shift, exponent, offset and fan-out."""
    assert not isinstance(connection, Connection)
    if is_link(connection, network):
        return FORMAT_LINK, 0, 0, 0, EVERYONE
    exponent, fan_out = sum_exponent(connection, arithmetic), EVERYONE
    if isinstance(connection, Dense):
        weights = chip_weights(connection.weights, connection, arithmetic)
        may_be_sparse = not connection.plastic and weights.size >= SMALL
        if may_be_sparse and not rows_pay(connection.shape, int(np.count_nonzero(weights))):
            return FORMAT_CSR, *_pack_nonzero(weights, exponent, parts), EVERYONE
    else:
        sparse = connection.as_sparse()
        if connection.plastic or not rows_pay(
            sparse.shape, len(sparse.word)
        ):  # learning finds stored synapses in words
            packed = _pack_sparse(sparse, exponent, parts, arithmetic)
            return FORMAT_CSR, *packed, packed[-1]
        weights = np.zeros(sparse.shape, np.int64)
        weights[np.asarray(sparse.row), np.asarray(sparse.col)] = chip_weights(sparse.data, connection, arithmetic)
        fan_out = parts.add_counts(sparse.start)
    return *_pack_rows(weights, mantissa_shift(connection, weights), exponent, parts), fan_out


def _pack_rows(weights: npt.NDArray[np.int64], shift: int, exponent: int, parts: _Parts) -> tuple[int, int, int, int]:
    """Append rows of all targets by presynaptic neuron; return format, shift, exponent and offset."""
    mantissa = (weights >> shift).T
    if mantissa.size == 0 or (INT8.min <= mantissa.min() and mantissa.max() <= INT8.max):
        offset = sum(part.size for part in parts.dense8)
        parts.dense8.append(np.ascontiguousarray(mantissa, dtype=np.int8))
        return FORMAT_DENSE8, shift, exponent, offset
    offset = sum(part.size for part in parts.dense16)
    parts.dense16.append(np.ascontiguousarray(weights.T, dtype=np.int16))
    return FORMAT_DENSE16, 0, exponent, offset


def _pack_nonzero(weights: npt.NDArray[np.int64], exponent: int, parts: _Parts) -> tuple[int, int, int]:
    """Append the weights that are not zero as synapses; return shift, exponent and first row."""
    pre, post = np.nonzero(weights.T)
    start = np.searchsorted(pre, np.arange(weights.shape[1] + 1)).astype(np.int64)
    shift, word = _words(weights[post, pre], post)
    return shift, exponent, parts.add_synapses(start, word)


def _pack_sparse(connection: Sparse, exponent: int, parts: _Parts, arithmetic: str) -> tuple[int, int, int]:
    """Append stored synapses, the words of the description where the chip holds the same weights."""
    assert connection.sign_mode is not None
    lost = lost_weight_bits(connection.num_weight_bits, connection.sign_mode)
    used_bits = int(np.bitwise_or.reduce(connection.word, initial=0)) >> TARGET_BITS
    if not ARITHMETICS[arithmetic].cuts_each_weight and used_bits & ((1 << lost) - 1) == 0:
        return 0, exponent, parts.add_synapses(connection.start, connection.word)
    shift, word = _words(chip_weights(connection.data, connection, arithmetic), np.asarray(connection.row))
    return shift, exponent, parts.add_synapses(connection.start, word)


def _words(weights: npt.NDArray[np.int64], post: npt.NDArray[np.int64]) -> tuple[int, npt.NDArray[np.int32]]:
    """Return a shift, and the words of synapses: weights beyond 9 bits have low bits that are all zero."""
    shift = 0 if weights.size == 0 or (-256 <= weights.min() and weights.max() <= 255) else _zero_bits(weights)
    mantissa = weights >> shift
    assert mantissa.size == 0 or (-256 <= mantissa.min() and mantissa.max() <= 255)
    return shift, (mantissa << TARGET_BITS | post).astype(np.int32)


def _order(network: Network, index: dict[str, int]) -> npt.NDArray[np.int64]:
    """Order the operations of a step: deliver from inputs, deliver from neurons, then update every group.

    What inputs deliver does not depend on the neurons, so learning computes it once for all members.
    """
    is_input = {group.name: isinstance(group, Input) for group in network.groups}
    plain = [i for i, c in enumerate(network.connections) if not isinstance(c, Connection) and not is_link(c, network)]
    delivers = sorted(plain, key=lambda c: not is_input[network.connections[c].source])
    updates = [index[group.name] for group in network.ordered_groups if not is_input[group.name]]
    ops = [(OP_DELIVER, c) for c in delivers] + [(OP_UPDATE, g) for g in updates]
    return np.array(ops, np.int64).reshape(-1, 2)
