"""A network as the user writes it: groups, the connections between them, what to record; frozen once made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from neurosim.checks import check_positive
from neurosim.connections import AnyConnection as AnyConnection
from neurosim.connections import Connection as Connection
from neurosim.connections import Conv as Conv
from neurosim.connections import ConvConnection as ConvConnection
from neurosim.connections import Dense as Dense
from neurosim.connections import IntegerConnection as IntegerConnection
from neurosim.connections import OneToOne as OneToOne
from neurosim.connections import Sparse as Sparse
from neurosim.connections import SparseConnection as SparseConnection
from neurosim.errors import NetworkError
from neurosim.groups import LIF as LIF
from neurosim.groups import CubaLIF as CubaLIF
from neurosim.groups import Input as Input
from neurosim.neurons import STATE_NAMES
from neurosim.neurons import Group as Group

MAX_FAN_IN = 1 << 22  # synaptic sums are kept in 32 bits: 2**22 weights of 2**8 fit

PROBED = ("spikes", *STATE_NAMES)


def replace_weights(connection: AnyConnection, weights: npt.ArrayLike) -> IntegerConnection:
    """Return a connection with other integer weights, in the shape and order of its description."""
    if isinstance(connection, Connection):
        raise NetworkError(f"connection {connection.name!r}: only integer weights can be replaced; quantize it first")
    old = np.shape(connection.data if isinstance(connection, Sparse) else connection.weights)
    if np.shape(weights) != old:
        raise NetworkError(f"connection {connection.name!r}: weights have shape {np.shape(weights)}, need {old}")
    if isinstance(connection, Sparse):
        return replace(connection, data=weights)
    return replace(connection, weights=weights)


@dataclass(frozen=True)
class Probe:
    """What to record in each step: the spikes of a group, or one of the states that its model has (LIF: u, v)."""

    group: str
    what: str = "spikes"

    def __post_init__(self) -> None:
        if self.what not in PROBED:
            raise NetworkError(
                f"probe of {self.group!r}: unknown quantity {self.what!r}; choose one of {', '.join(PROBED)}"
            )


@dataclass(frozen=True, eq=False)
class Network:
    """A spiking network: groups, the connections between them, and what to record.

    Parameters
    ----------
    groups : sequence of Input, CubaLIF, LIF or a model of `neurosim.neurons`
    connections : sequence of Connection, ConvConnection, SparseConnection (floats), Dense, Sparse, OneToOne or Conv (integers)
        At most one per source and port of a target. A spike of step t reaches its targets in step t + 1, or
        later by the synapse's delay.
    probes : sequence of Probe
    dt : float
        Length of a step in seconds, used only to quantise time constants.
    name : str

    Examples
    --------
    >>> net = Network([Input("in", 2), LIF("out", 1, du=4095, vth=10)], [Dense("in", "out", [[6, 8]])])
    >>> [group.name for group in net.groups]
    ['in', 'out']
    """

    groups: Sequence[Group]
    connections: Sequence[AnyConnection] = ()
    probes: Sequence[Probe] = ()
    dt: float = 1e-3
    name: str = "network"
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        groups, connections, probes = tuple(self.groups), tuple(self.connections), tuple(self.probes)
        check_positive(f"network {self.name!r}", "dt", self.dt)
        if not groups:
            raise NetworkError(f"network {self.name!r}: no groups; give at least one")
        index: dict[str, int] = {}
        for i, group in enumerate(groups):
            if group.name in index:
                raise NetworkError(f"group {group.name!r}: the name is used twice; rename one")
            index[group.name] = i
        seen: set[str] = set()
        for connection in connections:
            self._check_connection(connection, groups, index)
            if connection.name in seen:
                raise NetworkError(f"connection {connection.name!r}: given twice; add the weights into one connection")
            seen.add(connection.name)
        for probe in probes:
            if probe.group not in index:
                raise NetworkError(f"probe: unknown group {probe.group!r}; groups are {', '.join(index)}")
            states = groups[index[probe.group]].states
            if probe.what not in ("spikes", *states):
                raise NetworkError(
                    f"probe of {probe.group!r}: {type(groups[index[probe.group]]).__name__} has no {probe.what}; "
                    f"probe its {' or '.join(('spikes', *states))}"
                )
        for key, value in {"groups": groups, "connections": connections, "probes": probes, "_index": index}.items():
            object.__setattr__(self, key, value)

    @staticmethod
    def _check_connection(connection: AnyConnection, groups: tuple[Group, ...], index: dict[str, int]) -> None:
        owner = f"connection {connection.name!r}"
        for end in (connection.source, connection.target):
            if end not in index:
                raise NetworkError(f"{owner}: unknown group {end!r}; groups are {', '.join(index)}")
        source, target = groups[index[connection.source]], groups[index[connection.target]]
        if isinstance(target, Input):
            raise NetworkError(
                f"{owner}: {target.name!r} is an input and cannot receive spikes; connect to a neuron group"
            )
        if tuple(connection.shape) != (target.n, source.n):
            raise NetworkError(
                f"{owner}: weights have shape {tuple(connection.shape)}, need (n_post, n_pre) = ({target.n}, {source.n})"
            )
        if connection.port and connection.port not in target.ports:
            raise NetworkError(
                f"{owner}: {target.name!r} has no port {connection.port!r}; its ports are {', '.join(target.ports)}"
            )
        if source.n > MAX_FAN_IN:
            raise NetworkError(
                f"{owner}: {source.n} presynaptic neurons exceed the limit of {MAX_FAN_IN}; split the source"
            )

    def group(self, name: str) -> Group:
        """Return the group of that name."""
        if name not in self._index:
            raise NetworkError(f"unknown group {name!r}; groups are {', '.join(self._index)}")
        return self.groups[self._index[name]]

    def connection(self, name: str) -> AnyConnection:
        """Return the connection of that name ("source->target")."""
        for connection in self.connections:
            if connection.name == name:
                return connection
        raise NetworkError(
            f"unknown connection {name!r}; connections are {', '.join(c.name for c in self.connections)}"
        )

    def with_weights(self, weights: Mapping[str, npt.ArrayLike]) -> Network:
        """Return the network with the integer weights of some connections replaced.

        Weights have the shape of the description's: (n_post, n_pre) of `Dense`, the data of `Sparse`, the kernel of `Conv`.
        """
        connections: list[AnyConnection] = []
        for connection in self.connections:
            if connection.name in weights:
                connection = replace_weights(connection, weights[connection.name])
            connections.append(connection)
        return replace(self, connections=tuple(connections))

    def with_probes(self, probes: Iterable[Probe]) -> Network:
        """Return the network with other probes."""
        return replace(self, probes=tuple(probes))

    @property
    def ordered_groups(self) -> tuple[Group, ...]:
        """Groups in the order of programs, counts and events: inputs first, then the others as given."""
        return tuple(sorted(self.groups, key=lambda group: not isinstance(group, Input)))

    @property
    def offsets(self) -> dict[str, int]:
        """First neuron of each group in the numbering of programs (that of `ordered_groups`)."""
        offsets, start = {}, 0
        for group in self.ordered_groups:
            offsets[group.name] = start
            start += group.n
        return offsets

    @property
    def n_inputs(self) -> int:
        """Number of input lines over all inputs."""
        return sum(group.n for group in self.groups if isinstance(group, Input))

    @property
    def n_neurons(self) -> int:
        """Number of neurons, input lines included."""
        return sum(group.n for group in self.groups)

    @property
    def is_quantized(self) -> bool:
        """Whether everything is in chip integers."""
        return not any(isinstance(part, (CubaLIF, Connection)) for part in (*self.groups, *self.connections))
