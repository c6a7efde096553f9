"""How many bits of synapse memory one spike of each neuron makes the cores read."""

from __future__ import annotations

import numpy as np

from neurosim.chip import Chip
from neurosim.fixedpoint import Int32Array, Int64Array
from neurosim.mapping.learning import LearningNeeds
from neurosim.mapping.route import axons_out_of, count_pairs, targets_of
from neurosim.mapping.storage import axon_memory, dense_memory, sharing_of, synapse_bits
from neurosim.network import Connection, Dense, IntegerConnection, Network


def synapse_reads(network: Network, core: Int32Array, chip: Chip, learning: LearningNeeds | None = None) -> Int64Array:
    """Return the bits that a spike of each neuron makes cores read, as the chip packs synapses: (n_neurons,) int64.

    Parameters
    ----------
    network : Network
        Quantised.
    core : (n_neurons,) int32
        Core of each neuron, -1 for input lines.
    chip : Chip
    learning : LearningNeeds, optional
        As for `fan_in`.

    Notes
    -----
    A spike reads its whole list of synapses on each core that has one, headers and unused bits of the last word
    included (`demand.axon_memory`). Where a chip lets several neurons share a list, each spike still
    reads it. Where it stores a kernel, a spike reads one weight for each synapse; on a crossbar, a row of each core.
    """
    if chip.axon_row_bits is not None:
        return chip.axon_row_bits * axons_out_of(network, targets_of(network, core))
    reads = np.zeros(network.n_neurons, np.int64)
    for connection in network.connections:
        assert not isinstance(connection, Connection)
        source, target = (network.offsets[name] for name in (connection.source, connection.target))
        of_post = core[target : target + connection.shape[0]]
        mine = reads[source : source + connection.shape[1]]
        if isinstance(connection, Dense):
            mine += int(reads_of(connection, np.bincount(of_post).astype(np.int64), chip, learning).sum())
        else:
            _add_listed(connection, of_post, chip, learning, mine)
    return reads


def reads_of(
    connection: IntegerConnection, n_synapses: Int64Array, chip: Chip, learning: LearningNeeds | None = None
) -> Int64Array:
    """Return the bits that a spike reads on cores where it has so many synapses of a connection.

    Not on a crossbar, where it reads one row for all connections.
    """
    bits = synapse_bits(connection, chip, learning)
    if isinstance(connection, Dense):
        return np.array([dense_memory(1, n, bits, chip) if n else 0 for n in n_synapses.tolist()], np.int64)
    return n_synapses * bits if sharing_of(connection, chip) == "kernel" else axon_memory(n_synapses, bits, chip)


def _add_listed(
    connection: IntegerConnection, of_post: Int32Array, chip: Chip, learning: LearningNeeds | None, reads: Int64Array
) -> None:
    """Add what each source reads to `reads`, in place; synapses are listed by source."""
    assert not isinstance(connection, Dense)
    sparse = connection.as_sparse()
    n_cores = int(of_post.max(initial=0)) + 1
    at = of_post[np.asarray(sparse.row)].astype(np.int64)
    pairs, n = count_pairs(np.asarray(sparse.col, dtype=np.int64), at, n_cores)
    np.add.at(reads, pairs // n_cores, reads_of(connection, n, chip, learning))
