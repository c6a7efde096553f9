"""Small chips and random networks for the tests of mapping, and the counts done the slow way."""

import dataclasses

import numpy as np

from neurosim.chip import load_chip
from neurosim.network import LIF, Dense, Input, Network, Sparse


def chip_with(**limits):
    """Return Loihi 1 with other limits."""
    return dataclasses.replace(load_chip("loihi1"), **limits)


def roomy(**limits):
    """Return a chip with very many cores, whose own limits are those of Loihi 1 unless given."""
    return chip_with(**({"n_cores": 4096, "mesh": (32, 32)} | limits))


def random_network(seed, n_groups=3, largest=30):
    """Return a network with dense and sparse, recurrent and plastic connections."""
    rng = np.random.default_rng(seed)
    groups = [Input("in", int(rng.integers(1, largest)))]
    groups += [
        LIF(f"g{i}", int(rng.integers(1, largest)), du=int(rng.integers(0, 3)), vth=10 + i) for i in range(n_groups)
    ]
    connections = []
    for source in groups:
        for target in groups[1:]:
            kind = rng.integers(0, 4)
            if kind == 0:
                weights = 2 * rng.integers(-100, 100, (target.n, source.n))
                connections.append(Dense(source.name, target.name, weights, plastic=bool(rng.integers(0, 2))))
            elif kind == 1:
                row, col = np.nonzero(rng.random((target.n, source.n)) < 0.2)
                data = rng.integers(0, 4, len(row))
                shape = (target.n, source.n)
                connections.append(Sparse(source.name, target.name, shape, row, col, data, num_weight_bits=4))
    rng.shuffle(groups)
    return Network(groups, connections)


def synapses(network):
    """List every stored synapse: connection, pre and post in the program's numbering."""
    offsets = network.offsets
    for connection in network.connections:
        if isinstance(connection, Dense):
            pairs = np.ndindex(*connection.shape)
        else:
            pairs = zip(connection.row.tolist(), connection.col.tolist(), strict=True)
        for post, pre in pairs:
            yield connection, offsets[connection.source] + pre, offsets[connection.target] + post


def slow_lists(network, mapping):
    """Count the synapses of each list on a core, one by one: (core, connection, presynaptic neuron) to a number."""
    entries = {}
    for connection, pre, post in synapses(network):
        key = (int(mapping.core[post]), connection.name, pre)
        entries[key] = entries.get(key, 0) + 1
    return entries


#: Bits of a stored target index on Loihi 1 with so many compartments: 0 or 6..12.
INDEX_BITS = {1024: 10, 7: 6}


def slow_bits(network, chip, name, count):
    """Return the bits of a list of so many synapses on Loihi 1: chunks of 64 in words of 64 bits."""
    connection, total = network.connection(name), 0
    bits = {4: 4, 8: 8}[connection.num_weight_bits] + 8 * connection.plastic
    if isinstance(connection, Sparse):
        bits += INDEX_BITS[chip.compartments_per_core]
    while count > 0:
        chunk = min(count, 64) * bits + 10
        total += (chunk + 63) // 64 * 64
        count -= 64
    return total


def slow_reads(network, chip, mapping):
    """Return the bits of synapse memory that a spike of each neuron reads: its list on every core that has one."""
    reads = [0] * network.n_neurons
    for (_, name, pre), count in slow_lists(network, mapping).items():
        reads[pre] += slow_bits(network, chip, name, count)
    return reads


def slow_links(source, target):
    """Walk from tile to tile, along x, then along y; count the steps to the east, west, north and south."""
    (x, y), links = source, [0, 0, 0, 0]
    while (x, y) != tuple(target):
        direction = (0 if target[0] > x else 1) if x != target[0] else (2 if target[1] > y else 3)
        x, y = x + (1, -1, 0, 0)[direction], y + (0, 0, 1, -1)[direction]
        links[direction] += 1
    return links


def slow_use(network, chip, mapping):
    """Count what every core uses, synapse by synapse, in the units of `CoreUse`."""
    entries, listeners, targets = slow_lists(network, mapping), {}, {}
    for core, _, pre in entries:
        listeners.setdefault(core, set()).add(pre)
        targets.setdefault(pre, set()).add(core)
    used = [
        {"compartments": 0, "synapse_memory_bits": 0, "axons_in": len(listeners.get(i, ())), "axons_out": 0}
        for i in range(len(mapping.cores))
    ]
    for (core, name, _), count in entries.items():
        used[core]["synapse_memory_bits"] += slow_bits(network, chip, name, count)
    for neuron, core in enumerate(mapping.core.tolist()):
        if core >= 0:
            used[core]["compartments"] += 1
            used[core]["axons_out"] += len(targets.get(neuron, ()))
    return used, targets
