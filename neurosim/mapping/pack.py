"""Pack a quantised, mapped network into the flat arrays of a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from neurosim.codes import (
    FORMAT_CSR,
    FORMAT_DENSE8,
    FORMAT_DENSE16,
    FORMAT_LINK,
    MODEL_LIF,
    OP_DELIVER,
    OP_UPDATE,
)
from neurosim.fixedpoint import DECAY_ONE, INPUT_SHIFT, lost_weight_bits
from neurosim.mapping.layout import Mapping
from neurosim.mapping.pack_models import chip_weights, is_link, model_of, sum_exponent
from neurosim.network import LIF, AnyConnection, Connection, Dense, Group, Input, Network, Sparse
from neurosim.neurons import ATRLIF, SigmaDelta
from neurosim.program import ProgramArrays

INT8 = np.iinfo(np.int8)
Number = TypeVar("Number", bound=np.generic)


def mantissa_shift(connection: Dense, weights: npt.NDArray[np.int64]) -> int:
    """Return the number of low bits that all weights leave at zero.

    For plastic connections this is what the format cuts, whatever the present weights are.
    """
    if connection.plastic:
        return lost_weight_bits(connection.num_weight_bits, "mixed")
    union = int(np.bitwise_or.reduce(np.abs(weights).ravel(), initial=0))
    return (union & -union).bit_length() - 1 if union else 0


def pack(network: Network, mapping: Mapping, arithmetic: str = "lava-0.10") -> ProgramArrays:
    """Return the program's arrays: groups inputs first, dense rows by presynaptic neuron, sparse ones as CSR."""
    groups = network.ordered_groups
    index = {group.name: i for i, group in enumerate(groups)}
    parts = _Parts()
    conn = [
        (index[c.source], index[c.target], *_pack_connection(c, parts, network, arithmetic))
        for c in network.connections
    ]  # in the order of codes.SOURCE..OFFSET
    bias = [_bias(group) for group in groups]
    return ProgramArrays(
        group=np.array([_group_row(group, network.offsets[group.name], arithmetic) for group in groups], np.int64),
        conn=np.array(conn, np.int64).reshape(-1, 6),
        ops=_order(network, index),
        bias=np.concatenate(bias).astype(np.int32),
        route=np.ascontiguousarray(mapping.route, dtype=np.int32),
        dense8=_join(parts.dense8, np.int8),
        dense16=_join(parts.dense16, np.int16),
        csr_start=_join(parts.csr_start, np.int64),
        csr_target=_join(parts.csr_target, np.int32),
        csr_weight=_join(parts.csr_weight, np.int16),
    )


def _bias(group: Group) -> npt.NDArray[np.int64]:
    """Return what is added to the state of each neuron in each step, in units of that state."""
    if isinstance(group, (LIF, ATRLIF)):
        return group.bias
    if isinstance(group, SigmaDelta):
        return np.broadcast_to(np.asarray(group.bias) << (group.spike_exp + group.state_exp), (group.n,))
    return np.zeros(group.n, np.int64)


def _group_row(group: Group, start: int, arithmetic: str) -> tuple[int, ...]:
    """Return a row of the group table, in the order of codes.START..HALF; other models have settings of their own."""
    model = model_of(group, arithmetic)
    if model != MODEL_LIF:
        return start, start + group.n, model, 0, 0, 0, 0
    assert isinstance(group, LIF)
    threshold = int(group.vth) << INPUT_SHIFT
    return (
        start,
        start + group.n,
        MODEL_LIF,
        DECAY_ONE - (int(group.du) + 1),
        DECAY_ONE - int(group.dv),
        threshold,
        threshold // 2,
    )


class _Parts:
    """Weight arrays collected connection by connection."""

    def __init__(self) -> None:
        self.dense8: list[npt.NDArray[np.int8]] = []
        self.dense16: list[npt.NDArray[np.int16]] = []
        self.csr_start: list[npt.NDArray[np.int64]] = []
        self.csr_target: list[npt.NDArray[np.int32]] = []
        self.csr_weight: list[npt.NDArray[np.int16]] = []


def _join(parts: Sequence[npt.NDArray[Number]], dtype: type[Number]) -> npt.NDArray[Number]:
    return np.concatenate([part.ravel() for part in parts]).astype(dtype) if parts else np.zeros(0, dtype)


def _pack_connection(
    connection: AnyConnection, parts: _Parts, network: Network, arithmetic: str
) -> tuple[int, int, int, int]:
    """Append one connection's weights; return format, shift, exponent and offset."""
    assert not isinstance(connection, Connection)
    if is_link(connection, network):
        return FORMAT_LINK, 0, 0, 0
    exponent = sum_exponent(connection, arithmetic)
    if not isinstance(connection, Dense):
        return FORMAT_CSR, 0, exponent, _pack_sparse(connection.as_sparse(), parts, arithmetic)
    weights = chip_weights(connection.weights, connection, arithmetic)
    shift = mantissa_shift(connection, weights)
    mantissa = (weights >> shift).T  # rows by presynaptic neuron
    if mantissa.size == 0 or (INT8.min <= mantissa.min() and mantissa.max() <= INT8.max):
        offset = sum(part.size for part in parts.dense8)
        parts.dense8.append(np.ascontiguousarray(mantissa, dtype=np.int8))
        return FORMAT_DENSE8, shift, exponent, offset
    offset = sum(part.size for part in parts.dense16)
    parts.dense16.append(np.ascontiguousarray(weights.T, dtype=np.int16))
    return FORMAT_DENSE16, 0, exponent, offset


def _pack_sparse(connection: Sparse, parts: _Parts, arithmetic: str) -> int:
    """Append rows by presynaptic neuron (`Sparse` keeps its synapses in that order); return the first row."""
    n_pre = connection.shape[1]
    first_row = sum(part.size for part in parts.csr_start)
    first_synapse = sum(part.size for part in parts.csr_target)
    per_row = np.bincount(np.asarray(connection.col), minlength=n_pre)
    parts.csr_start.append(first_synapse + np.concatenate([[0], np.cumsum(per_row)]).astype(np.int64))
    parts.csr_target.append(np.asarray(connection.row).astype(np.int32))
    weights = chip_weights(connection.data, connection, arithmetic)
    parts.csr_weight.append(weights.astype(np.int16))
    return first_row


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
