"""What neurons ask of a core: compartments, synapse memory, axons and configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.chip import Chip
from neurosim.errors import CapacityError
from neurosim.fixedpoint import Int64Array
from neurosim.mapping.route import distinct
from neurosim.network import LIF, Connection, Dense, IntegerConnection, Network

RESIDUAL_BITS = 8  # kept beside a weight that is learned: its low bits below one unit (docs/learning.md)

DELAY_BITS = 6  # of a synapse with a delay (`fixedpoint.RANGES`)

#: Resources of a core in the words of messages; the first four are counted in `CoreUse`.
RESOURCES = {
    "compartments": "compartments",
    "synapse_memory_bits": "bits of synapse memory",
    "axons_in": "axons in",
    "axons_out": "axons out",
    "compartment_configs": "different pairs (du, dv)",
    "threshold_configs": "different thresholds",
    "synapse_formats": "different synapse formats",
}
REMEDIES = {
    "compartments": "use a chip with larger cores",
    "synapse_memory_bits": "use fewer weight bits or presynaptic neurons, or a sparse connection",
    "axons_in": "use fewer presynaptic neurons or a sparse connection",
    "axons_out": "connect it to fewer or smaller groups, which need fewer cores",
    "synapse_formats": "give its incoming connections the same weight bits, weight_exp and sign_mode",
}


class Block(NamedTuple):
    """Neurons ``start..stop - 1`` of a group, all on one core."""

    group: str
    start: int
    stop: int


class Demand(NamedTuple):
    """What a block asks of its core."""

    compartments: int
    memory: int  # bits
    axons: Int64Array  # presynaptic neurons in the program's numbering, ascending


class Fan(NamedTuple):
    """Synapses of one connection, ordered by postsynaptic neuron."""

    connection: IntegerConnection
    offset: int  # of the source group in the program's numbering
    start: Int64Array | None  # (n_post + 1,) first synapse of each neuron; None: all pairs
    pre: Int64Array | None  # presynaptic index of each synapse
    bits: int  # of one stored synapse


def fan_in(network: Network, chip: Chip) -> dict[str, list[Fan]]:
    """Return the incoming synapses of each group that has any, with what one of them costs."""
    offsets = network.offsets
    fans: dict[str, list[Fan]] = {group.name: [] for group in network.groups}
    for connection in network.connections:
        assert not isinstance(connection, Connection)
        start = pre = None
        if not isinstance(connection, Dense):
            sparse = connection.as_sparse()
            post = np.asarray(sparse.row, dtype=np.int64)
            order = np.argsort(post, kind="stable")
            pre = np.asarray(sparse.col, dtype=np.int64)[order]
            start = np.searchsorted(post[order], np.arange(connection.shape[0] + 1)).astype(np.int64)
        bits = synapse_bits(connection, chip)
        fans[connection.target].append(Fan(connection, offsets[connection.source], start, pre, bits))
    return fans


def synapse_bits(connection: IntegerConnection, chip: Chip) -> int:
    """Bits of one stored synapse: weight, target index if not dense, delay if there are any, residual if plastic."""
    bits = _stored_width(connection.num_weight_bits, chip.weight_formats)
    if connection.delays is not None:
        bits += DELAY_BITS
    if not isinstance(connection, Dense):
        n_targets = connection.shape[0] if chip.compartments_per_core is None else chip.compartments_per_core
        bits += _stored_width((n_targets - 1).bit_length(), chip.index_formats)
    return bits + (RESIDUAL_BITS if connection.plastic else 0)


def axon_memory(n_synapses: npt.ArrayLike, bits: int, chip: Chip) -> Int64Array:
    """Bits that the synapses of one axon take on one core.

    Full chunks of `synapses_per_chunk` and a rest, each with its header and rounded up to whole words
    (nengo-loihi, block.py, ``bits_per_axon``).
    """
    n = np.asarray(n_synapses, dtype=np.int64)
    full, rest = n // chip.synapses_per_chunk, n % chip.synapses_per_chunk
    return np.asarray(
        full * _chunk(chip.synapses_per_chunk, bits, chip) + np.where(rest > 0, _chunk(rest, bits, chip), 0),
        dtype=np.int64,
    )


def demand_of(block: Block, fans: list[Fan], chip: Chip) -> Demand:
    """Return what a block needs; several connections from one neuron share an axon, not their memory."""
    memory, axons = 0, []
    for fan in fans:
        n_pre = fan.connection.shape[1]
        if fan.start is None or fan.pre is None:
            memory += n_pre * int(axon_memory(block.stop - block.start, fan.bits, chip))
            axons.append(fan.offset + np.arange(n_pre, dtype=np.int64))
            continue
        pre, count = _count(fan.pre[fan.start[block.start] : fan.start[block.stop]], n_pre)
        memory += int(axon_memory(count, fan.bits, chip).sum())
        axons.append(fan.offset + pre)
    return Demand(block.stop - block.start, memory, distinct(axons))


def used_by(demand: Demand) -> dict[str, int]:
    """Return a demand as counts of resources."""
    return {"compartments": demand.compartments, "synapse_memory_bits": demand.memory, "axons_in": len(demand.axons)}


def fits(demand: Demand, chip: Chip) -> bool:
    """Whether a demand fits on an empty core."""
    return within(used_by(demand), core_limits(chip))


def within(used: dict[str, int], limits: dict[str, int | None]) -> bool:
    """Whether no count exceeds its limit; None is no limit."""
    bounds = ((count, limits[resource]) for resource, count in used.items())
    return all(limit is None or count <= limit for count, limit in bounds)


def joined(a: Demand, b: Demand) -> Demand:
    """Return the demand of two blocks on one core; axons from the same neuron count once."""
    return Demand(a.compartments + b.compartments, a.memory + b.memory, distinct([a.axons, b.axons]))


def core_limits(chip: Chip) -> dict[str, int | None]:
    """Return the limits of the counts of `CoreUse`; None is no limit, or an unknown one."""
    return {
        "compartments": chip.compartments_per_core,
        "synapse_memory_bits": chip.synapse_memory_bits_per_core,
        "axons_in": chip.axons_in_per_core,
        "axons_out": chip.axons_out_per_core,
    }


def configurations(groups: Sequence[str], network: Network) -> dict[str, int]:
    """Count what the groups on a core must configure: different (du, dv), thresholds and synapse formats."""
    neurons = [group for group in network.groups if isinstance(group, LIF) and group.name in groups]
    formats = {
        (type(c).__name__, c.num_weight_bits, c.weight_exp, c.sign_mode, c.plastic, c.delays is None)
        for c in network.connections
        if not isinstance(c, Connection) and c.target in groups
    }
    decays: set[tuple[int, int]] = set()
    thresholds: set[int] = set()
    for group in neurons:
        pairs = np.broadcast_arrays(group.du, group.dv)
        decays.update(zip(pairs[0].ravel().tolist(), pairs[1].ravel().tolist(), strict=True))
        thresholds.update(np.ravel(group.vth).tolist())
    return {
        "compartment_configs": len(decays),
        "threshold_configs": len(thresholds),
        "synapse_formats": len(formats),
    }


def configuration_limits(chip: Chip) -> dict[str, int | None]:
    """Return the limit of each count of `configurations`."""
    return {
        "compartment_configs": chip.compartment_configs_per_core,
        "threshold_configs": chip.threshold_configs_per_core,
        "synapse_formats": chip.synapse_formats_per_core,
    }


def check_fits(owner: str, used: dict[str, int], limits: dict[str, int | None], chip: Chip, remedy: str) -> None:
    """Refuse the first resource that is used beyond its limit."""
    for resource, count in used.items():
        limit = limits[resource]
        if limit is not None and count > limit:
            raise CapacityError(
                f"{owner} {count} {RESOURCES[resource]}, core limit of chip {chip.name!r} is {limit}; {remedy}"
            )


def _stored_width(bits: int, formats: tuple[int, ...] | None) -> int:
    """Smallest width of the chip that holds so many bits; a wider value is refused by `validate`."""
    return bits if formats is None else next((width for width in formats if width >= bits), bits)


def _chunk(n: npt.ArrayLike, bits: int, chip: Chip) -> Int64Array:
    raw = np.asarray(n, dtype=np.int64) * bits + chip.synapse_header_bits
    return np.asarray(-(-raw // chip.synapse_word_bits) * chip.synapse_word_bits, dtype=np.int64)


def _count(pre: Int64Array, n_pre: int) -> tuple[Int64Array, Int64Array]:
    """Distinct presynaptic neurons, ascending, and how often each occurs."""
    if 8 * len(pre) < n_pre:  # sorting few synapses beats a table of all neurons
        pre = np.sort(pre)
        first = np.flatnonzero(np.diff(pre, prepend=-1))
        return pre[first], np.diff(first, append=len(pre))
    table = np.bincount(pre, minlength=n_pre).astype(np.int64)
    found = np.flatnonzero(table)
    return found.astype(np.int64), table[found]
