"""What a network holds: parameters, bytes and zeros as the `neurobench` package counts them, and bits as the chip packs them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.fixedpoint import RANGES
from neurosim.mapping.pack_models import chip_weights
from neurosim.network import LIF, Connection, Conv, CubaLIF, Dense, Group, Input, IntegerConnection, Network
from neurosim.program import Program

Int64Array = npt.NDArray[np.int64]

FLOAT_BYTES = 4  # of a parameter, and of a buffer such as a threshold: float32, torch's default
RESET_BYTES = 8  # of snnTorch's buffer `reset_mechanism_val`, an int64
NO_CURRENT = 4095  # du of a current without memory: the chip adds 1, and 4096 is all of it


class TorchNeuron(NamedTuple):
    """The neuron of snnTorch that a group would be, and what NeuroBench takes for its cost."""

    name: str
    buffer_bytes: int  # of a fresh layer: threshold, decays, factor of the spikes, reset
    state_values: int  # float32 kept for each neuron and sample once it has run
    operations: int  # of one membrane update, reset to zero (NeuroBench 2.3.0, neuron_operations.py)


class TorchLayer(NamedTuple):
    """What a connection would be in torch, and what one spike costs there.

    Parameters
    ----------
    connection : str
    weights, zeros : int
        Elements of the layer's weight, and those that are 0 on the chip.
    dense : int
        Synaptic operations of one sample in one step if all inputs and weights were other than 0.
    effective, stored : (n_pre,) int64
        Synapses of each presynaptic neuron: those other than 0, and those that the chip stores.
    """

    connection: str
    weights: int
    zeros: int
    dense: int
    effective: Int64Array
    stored: Int64Array


@dataclass(frozen=True)
class Footprint:
    """What a network holds.

    Parameters
    ----------
    parameter_count : int
        Weights of all connections and the biases of groups that have any.
    parameter_bytes : int
        The same in float32.
    buffer_bytes : int or None
        Of freshly made snnTorch layers; None if a group has no counterpart there (`torch_neuron`).
    state_bytes : int or None
        What those layers keep beside after a run, for each sample of the last batch.
    weights, zero_weights : int
        Over all connections, as torch holds them: pairs without a synapse are zeros.
    synapse_memory_bits : int
        As the chip packs the synapses, all cores together.
    register_bits : int or None
        u, v and bias of each neuron, and du, dv, vth once for each different value of a group. None if the chip's width
        of states is not known, or a group is not plain LIF.
    """

    parameter_count: int
    parameter_bytes: int
    buffer_bytes: int | None
    state_bytes: int | None
    weights: int
    zero_weights: int
    synapse_memory_bits: int
    register_bits: int | None

    @property
    def torch_bytes(self) -> int | None:
        """NeuroBench's footprint of a model that has not run: parameters and buffers."""
        return None if self.buffer_bytes is None else self.parameter_bytes + self.buffer_bytes

    @property
    def chip_bits(self) -> int | None:
        """Synapse memory and registers."""
        return None if self.register_bits is None else self.synapse_memory_bits + self.register_bits

    @property
    def connection_sparsity(self) -> float | None:
        """Zeros in weights; None without connections. NeuroBench rounds it to four places."""
        return self.zero_weights / self.weights if self.weights else None

    def to_dict(self) -> dict[str, Any]:
        """Return it in types that JSON can hold."""
        derived = ("torch_bytes", "chip_bits", "connection_sparsity")
        return asdict(self) | {name: getattr(self, name) for name in derived}


def footprint(program: Program) -> Footprint:
    """Count what a network holds, in torch and on the chip.

    Parameters
    ----------
    program : Program

    Notes
    -----
    In torch a `Dense`, `Sparse` or `OneToOne` connection is a ``Linear(n_pre, n_post)`` and a `Conv` a ``Conv2d`` with shared
    weights, in float32, whatever their bits. A group with a bias has one parameter a neuron, or one a channel where a
    convolution leads to it and the bias is the same all over a channel. Plain LIF is snnTorch's ``Leaky`` where the
    current has no memory and ``Synaptic`` elsewhere, each buffer as long as the group's register.
    """
    network = program.network
    layers = [torch_layer(c, program.arithmetic) for c in network.connections if not isinstance(c, Connection)]
    groups = [group for group in network.groups if not isinstance(group, (Input, CubaLIF))]
    neurons = [torch_neuron(group) for group in groups]
    known = [neuron for neuron in neurons if neuron is not None]
    in_torch = len(known) == len(neurons)
    states = sum(group.n * neuron.state_values for group, neuron in zip(groups, neurons, strict=True) if neuron)
    count = sum(layer.weights for layer in layers) + sum(_n_biases(group, network) for group in groups)
    registers = [_register_bits(group, program.chip.state_bits) for group in groups]
    return Footprint(
        parameter_count=count,
        parameter_bytes=FLOAT_BYTES * count,
        buffer_bytes=sum(neuron.buffer_bytes for neuron in known) if in_torch else None,
        state_bytes=FLOAT_BYTES * states if in_torch else None,
        weights=sum(layer.weights for layer in layers),
        zero_weights=sum(layer.zeros for layer in layers),
        synapse_memory_bits=sum(use.used["synapse_memory_bits"] for use in program.mapping.cores),
        register_bits=None if None in registers else sum(bits for bits in registers if bits is not None),
    )


def torch_layer(connection: IntegerConnection, arithmetic: str) -> TorchLayer:
    """Return what a connection would be in torch, with its weights as the chip holds them."""
    n_post, n_pre = connection.shape
    if isinstance(connection, Dense):
        held = chip_weights(connection.weights, connection, arithmetic)
        effective = np.count_nonzero(held, axis=0).astype(np.int64)
        stored = np.full(n_pre, n_post, np.int64)
        return TorchLayer(connection.name, held.size, held.size - int(effective.sum()), held.size, effective, stored)
    sparse = connection.as_sparse()
    held = chip_weights(sparse.data, connection, arithmetic)
    pre = np.asarray(sparse.col, np.int64)
    effective = np.bincount(pre[held != 0], minlength=n_pre).astype(np.int64)
    stored = np.bincount(pre, minlength=n_pre).astype(np.int64)
    if isinstance(connection, Conv):  # padding adds no operations: what is stored is what an all-ones input reaches
        kernel = np.asarray(connection.weights)
        zeros = kernel.size - int(np.count_nonzero(kernel))
        return TorchLayer(connection.name, kernel.size, zeros, len(held), effective, stored)
    pairs = n_post * n_pre
    return TorchLayer(connection.name, pairs, pairs - int(effective.sum()), pairs, effective, stored)


def torch_neuron(group: Group) -> TorchNeuron | None:
    """Return the neuron of snnTorch that a group would be, or None: only plain LIF has one."""
    if type(group) is not LIF:
        return None
    shared = RESET_BYTES + FLOAT_BYTES * (np.size(group.vth) + np.size(group.dv) + 1)
    if np.all(np.asarray(group.du) == NO_CURRENT):
        return TorchNeuron("Leaky", shared, 1, 4)
    return TorchNeuron("Synaptic", shared + FLOAT_BYTES * np.size(group.du), 2, 8)


def has_bias(group: Group) -> bool:
    """Whether a group is driven by itself."""
    return bool(np.any(np.asarray(getattr(group, "bias", 0)) != 0))


def _n_biases(group: Group, network: Network) -> int:
    """Parameters of a group's bias: of each neuron, or of each channel of a convolution."""
    if not has_bias(group):
        return 0
    bias = np.broadcast_to(np.asarray(getattr(group, "bias", 0)), (group.n,))
    for connection in network.connections:
        if connection.target == group.name and isinstance(connection, Conv):
            channels = bias.reshape(-1, connection.output_shape[2])
            if np.all(channels == channels[0]):
                return channels.shape[1]
    return group.n


def _register_bits(group: Group, state_bits: int | None) -> int | None:
    if type(group) is not LIF or state_bits is None:
        return None
    registers = ("du", "dv", "vth", "bias_mant", "bias_exp")
    width = {name: (RANGES[name].high - RANGES[name].low).bit_length() for name in registers}
    each = len(group.states) * state_bits + width["bias_mant"] + width["bias_exp"]
    return group.n * each + sum(width[name] * len(np.unique(getattr(group, name))) for name in ("du", "dv", "vth"))
