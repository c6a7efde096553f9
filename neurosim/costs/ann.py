"""The same network as an artificial one: what its multiply-accumulates would cost beside the spikes, like with like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from neurosim.backend import has_cycle
from neurosim.chip import Constant
from neurosim.counters import OpCounts
from neurosim.energytable import EnergyTable
from neurosim.errors import ConfigError
from neurosim.network import AnyConnection, Connection, Conv, Dense, Input, Network

#: Kinds of arithmetic that a table may list as "mac_NAME" and "ac_NAME" in its information, in pJ.
ARITHMETICS = ("int8", "int16", "int32", "fp16", "fp32")
#: Memories from which a 64-bit word may come: name in a table's information -> bytes that fit.
MEMORIES = {"sram_64bit_8kb": 8 << 10, "sram_64bit_32kb": 32 << 10, "sram_64bit_1mb": 1 << 20, "dram_64bit_low": None}
WORD_BITS = 64
MULTIPLICATIONS, ADDITIONS = 2, 4  # of a neuron update: u and v decay; input, v + u, bias, comparison
ACTIVATION_BITS = 8  # of an activation of the artificial network
SUM_BITS = 32  # of a sum of weights that waits in memory between two spikes
STATES_BITS = 64  # u and v of a neuron, 32 bits each

#: Where spiking networks were found to use less energy than artificial ones; second hand, see `_reading`.
BOUNDS: dict[str, dict[str, Any]] = {
    "spikes_per_synapse": {
        "low": 0.15, "high": 1.38, "unit": "spikes per synapse and inference", "kind": "model constant",
        "source": "Dampfhoffer et al. 2023 as quoted by third parties: a spiking network wins below, by platform, memory counted",
    },
    "activation_sparsity": {
        "low": 0.92, "high": 0.92, "unit": "share of neurons and steps without a spike", "kind": "model constant",
        "source": "Yan et al. 2024, arXiv:2409.08290, as quoted by third parties: a spiking network wins above, at 6 steps",
    },
}  # fmt: skip


class Layer(NamedTuple):
    """One connection as a layer of an artificial network."""

    name: str
    form: str
    n_pre: int
    n_post: int
    macs: int  # multiply-accumulates of one pass: stored synapses; all pairs of a dense one
    weights: int  # stored values; a kernel is stored once
    bits: int  # of a weight


@dataclass(frozen=True)
class AnnWork:
    """An artificial network of the same shape.

    Parameters
    ----------
    layers : tuple of Layer
    n_inputs, n_neurons : int
    passes : int
        Passes for one inference: 1, or the time steps where connections form a cycle, as a recurrent network needs its
        state anew at each.
    """

    layers: tuple[Layer, ...]
    n_inputs: int
    n_neurons: int
    passes: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return self.passes * sum(layer.macs for layer in self.layers)

    @property
    def weights(self) -> int:
        """Weights stored."""
        return sum(layer.weights for layer in self.layers)

    @property
    def weight_bits(self) -> int:
        """Bits of all weights stored."""
        return sum(layer.weights * layer.bits for layer in self.layers)


def ann_work(network: Network, n_steps: int) -> AnnWork:
    """Return the work of a network's artificial twin: each connection once per pass, whatever its weights.

    Parameters
    ----------
    network : Network
        Quantised.
    n_steps : int
        Time steps of one inference.

    Examples
    --------
    >>> from neurosim.network import LIF
    >>> ann_work(Network([Input("in", 3), LIF("out", 2)], [Dense("in", "out", [[1, 2, 0], [3, 0, 4]])]), 16).macs
    6
    """
    layers = tuple(_layer(connection) for connection in network.connections)
    n_inputs = sum(group.n for group in network.groups if isinstance(group, Input))
    passes = n_steps if has_cycle({(c.source, c.target) for c in network.connections}) else 1
    return AnnWork(layers, n_inputs, network.n_neurons - n_inputs, passes)


def conv_macs(conv: Conv) -> int:
    """Return how often the kernels of a convolution meet an input, the edges as they are.

    Examples
    --------
    >>> conv_macs(Conv("a", "b", np.ones((2, 3, 3, 1), int), (4, 4, 1), padding=1))
    200
    """
    kernel, positions = np.asarray(conv.weights).shape, 1
    for axis, (stride, padding, dilation) in enumerate(zip(*conv.geometry, strict=True)):
        at = np.arange(conv.output_shape[axis])[:, None] * stride + np.arange(kernel[1 + axis]) * dilation - padding
        positions *= int(np.count_nonzero((at >= 0) & (at < conv.input_shape[axis])))
    return positions * int(kernel[0]) * int(kernel[3])


def against_ann(network: Network, counts: OpCounts, table: EnergyTable) -> dict[str, Any]:
    """Return counts of a spiking network and its artificial twin side by side, per inference, in plain values.

    Parameters
    ----------
    network : Network
        Quantised.
    counts : OpCounts
        Of runs of this network, at least one sample.
    table : EnergyTable
        One that lists ``mac_*``, ``ac_*`` and words of memory in its information, such as "cpu-45nm".

    Raises
    ------
    ConfigError
        If the table lists no such arithmetic, or nothing was counted.

    Notes
    -----
    Arithmetic: the artificial network multiplies and accumulates once for each synapse and compares once for each neuron;
    the spiking one accumulates once for each synaptic operation (multiplies as well where messages have values) and computes
    2 multiplications and 4 additions for each neuron update, idle ones too. Both in the same format.
    Memory, both from the smallest listed one that holds all weights, words of 64 bits fully used: the artificial network reads
    a weight and an activation for each multiply-accumulate, its sum stays in a register, and it writes each activation once;
    the spiking one reads a weight and reads and writes a sum of 32 bits for each synaptic operation, and reads and writes
    64 bits of state for each update. No reuse in caches on either side, no instructions, no clock.
    """
    if counts.n_samples < 1 or counts.n_steps < 1:
        raise ConfigError("comparison with an artificial network: no sample was counted; run at least one")
    formats = {name: (table.information[f"mac_{name}"], table.information[f"ac_{name}"])
               for name in ARITHMETICS if f"mac_{name}" in table.information and f"ac_{name}" in table.information}  # fmt: skip
    if not formats:
        raise ConfigError(
            f"energy table {table.name!r}: lists no mac_int8 and ac_int8 under information; compare by 'cpu-45nm'"
        )
    n_steps = counts.n_steps // counts.n_samples
    work = ann_work(network, n_steps)
    n = counts.n_samples
    operations = counts.total("synaptic_operations") / n
    graded = sum(found for kind, found in counts.by_kind().items() if kind.endswith(" graded")) / n
    updates = (counts.total("neuron_updates_active") + counts.total("neuron_updates_idle")) / n
    spikes = counts.total("spikes") / n
    chances = (work.n_inputs + work.n_neurons) * n_steps
    per_synapse = operations / work.macs if work.macs else None
    silent = 1 - spikes / chances
    return {
        "table": table.name,
        "ann": {"macs": work.macs, "passes": work.passes, "weights": work.weights, "weight_bits": work.weight_bits,
                "inputs": work.n_inputs, "neurons": work.n_neurons, "layers": [layer._asdict() for layer in work.layers]},
        "snn": {"synaptic_operations": operations, "synaptic_operations_graded": graded, "neuron_updates": updates,
                "spikes": spikes, "steps": n_steps},
        "arithmetic": [
            _arithmetic(name, mac, ac, work, operations, graded, updates) for name, (mac, ac) in formats.items()
        ],
        "memory": _memory(work, counts, updates, table),
        "spikes_per_synapse": per_synapse,
        "activation_sparsity": silent,
        "bounds": BOUNDS,
        "reading": _reading(per_synapse, silent, n_steps, work),
    }  # fmt: skip


def _layer(connection: AnyConnection) -> Layer:
    assert not isinstance(connection, Connection)
    n_post, n_pre = connection.shape
    name, bits = connection.name, connection.num_weight_bits
    if isinstance(connection, Dense):
        return Layer(name, "dense", n_pre, n_post, n_post * n_pre, n_post * n_pre, bits)
    if isinstance(connection, Conv):
        return Layer(name, "conv", n_pre, n_post, conv_macs(connection), int(np.size(connection.weights)), bits)
    stored = len(connection.as_sparse().word)
    return Layer(name, "sparse", n_pre, n_post, stored, stored, bits)


def _arithmetic(
    name: str, mac: Constant, ac: Constant, work: AnnWork, operations: float, graded: float, updates: float
) -> dict[str, Any]:
    """Return the energy of both networks in one format, in pJ per inference."""
    mac_pj, ac_pj = _pj(mac), _pj(ac)
    update_pj = MULTIPLICATIONS * (mac_pj - ac_pj) + ADDITIONS * ac_pj
    parts = {
        "ann_macs_pj": work.macs * mac_pj,
        "ann_activations_pj": work.passes * work.n_neurons * ac_pj,
        "snn_accumulates_pj": (operations - graded) * ac_pj + graded * mac_pj,
        "snn_neurons_pj": updates * update_pj,
    }
    return {
        "format": name, "mac": mac._asdict(), "ac": ac._asdict(), **parts,
        "ann_pj": parts["ann_macs_pj"] + parts["ann_activations_pj"],
        "snn_pj": parts["snn_accumulates_pj"] + parts["snn_neurons_pj"],
    }  # fmt: skip


def _memory(work: AnnWork, counts: OpCounts, updates: float, table: EnergyTable) -> dict[str, Any] | None:
    """Return words moved and their energy in pJ per inference; None where the table has no memory."""
    listed = [name for name in MEMORIES if name in table.information]
    if not listed:
        return None
    fitting = [name for name in listed if (size := MEMORIES[name]) is None or 8 * size >= work.weight_bits]
    name = fitting[0] if fitting else listed[-1]
    price = table.information[name]
    read = sum(layer.macs * (layer.bits + ACTIVATION_BITS) for layer in work.layers)
    ann = work.passes * (read + work.n_neurons * ACTIVATION_BITS)
    added = sum(counts.of(layer.name, "synaptic_operations") * (layer.bits + 2 * SUM_BITS) for layer in work.layers)
    snn = added / counts.n_samples + updates * 2 * STATES_BITS
    return {
        "memory": name, "price": price._asdict(), "weight_bits": work.weight_bits,
        "ann_words": ann / WORD_BITS, "snn_words": snn / WORD_BITS,
        "ann_pj": ann / WORD_BITS * _pj(price), "snn_pj": snn / WORD_BITS * _pj(price),
    }  # fmt: skip


def _reading(per_synapse: float | None, silent: float, n_steps: int, work: AnnWork) -> list[str]:
    """Return what may be concluded, in sentences."""
    lines = []
    if per_synapse is not None:
        low, high = (BOUNDS["spikes_per_synapse"][end] for end in ("low", "high"))
        where = (
            "below, so it should win on all of them" if per_synapse < low
            else "above, so it should win on none" if per_synapse > high
            else "between, so it depends on the hardware"
        )  # fmt: skip
        lines.append(
            f"{per_synapse:.3g} spikes per synapse and inference; a spiking network uses less energy below {low} to {high}, by "
            f"platform, memory counted (Dampfhoffer et al. 2023, second hand): {where}"
        )
    lines.append(
        f"{silent:.1%} of neurons and steps are silent over {n_steps} steps; another study asks for more than 92 % at 6 steps "
        "(Yan et al. 2024, arXiv:2409.08290, second hand)"
    )
    widest = max((layer.bits for layer in work.layers), default=0)
    if widest:
        lines.append(
            f"weights have up to {widest} bits on both sides: int8 is the fair row, fp32 would overstate both many times"
        )
    if work.passes > 1:
        lines.append(
            f"connections form a cycle: the artificial network runs {work.passes} passes too, one for each step"
        )
    else:
        lines.append("one pass of the artificial network: if its input changes over time, it needs one for each change")
    return lines


def _pj(constant: Constant) -> float:
    assert isinstance(constant.value, (int, float))
    return float(constant.value)
