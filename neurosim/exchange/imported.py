"""What reading a model of another framework gives: a network, and how its numbers lie in that framework."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.data.binning import renumber
from neurosim.events import Events
from neurosim.fixedpoint import DEFAULT_ARITHMETIC
from neurosim.network import Network

Order = npt.NDArray[np.int64]


def chip_order(shape: tuple[int, ...]) -> Order:
    """Return which element of a framework's array each neuron of a group is, (n,) int64.

    Frameworks number the elements of (channels, height, width) in C order; groups beside convolutions lie as
    (width, height, channels), also in C order (`neurosim.network.Conv`). (channels, length) becomes (length, 1, channels).
    Other shapes keep their order.

    Examples
    --------
    >>> chip_order((2, 1, 3)).tolist()
    [0, 3, 1, 4, 2, 5]
    """
    index = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
    return np.ascontiguousarray(index.T if len(shape) in (2, 3) else index).ravel()


@dataclass(frozen=True)
class ImportNote:
    """One thing that a reader decided, or that the user should know.

    Parameters
    ----------
    owner : str
        Node, layer or file that it is about.
    kind : {"info", "warning"}
    text : str
    """

    owner: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.owner}: {self.text}"


@dataclass(frozen=True, eq=False)
class Port:
    """Inputs or outputs of an imported network as the framework numbers them.

    Parameters
    ----------
    group : str
        Name of the group.
    shape : tuple of int
        In the framework, without batch and time: (channels, height, width), (n,) and so on.
    order : (n,) int64
        Element of the framework's array, flattened in C order, that each neuron of the group is.
    """

    group: str
    shape: tuple[int, ...]
    order: Order

    @property
    def line_of(self) -> Order:
        """Neuron of the group that each element of the framework's array is, (n,) int64: the inverse of `order`."""
        found = np.empty_like(self.order)
        found[self.order] = np.arange(len(self.order))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return what a model's metadata keep; the order only where it is not the framework's own."""
        kept: dict[str, Any] = {"group": self.group, "shape": list(self.shape)}
        if not np.array_equal(self.order, np.arange(len(self.order))):
            kept["order"] = "whc" if np.array_equal(self.order, chip_order(self.shape)) else self.order.tolist()
        return kept

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Port:
        """Return what `to_dict` kept."""
        shape, order = tuple(int(n) for n in kept["shape"]), kept.get("order")
        if order is None:
            found = np.arange(math.prod(shape), dtype=np.int64)
        else:
            found = chip_order(shape) if order == "whc" else np.asarray(order, np.int64)
        return cls(str(kept["group"]), shape, found)


@dataclass(frozen=True, eq=False)
class Imported:
    """A model of another framework as a network.

    Parameters
    ----------
    network : Network
        In floats (NIR, arrays) or in chip integers (lava-dl, SLAYER). One input group; the groups are named after the
        framework's nodes or layers.
    inputs, outputs : Port
    format : str
        "nir", "lava-dl", "slayer", "arrays".
    source : mapping
        JSON-able: version of the format, dt in seconds, "spike", "decay" and what else the reader was told or found.
    notes : tuple of ImportNote
    lag : mapping of str to int
        By how many steps a group here is behind the framework, where layers act at once: a spike takes one step per
        connection on the chip.
    arithmetic : str
        As in `neurosim.compile_network.compile`.
    """

    network: Network
    inputs: Port
    outputs: Port
    format: str
    source: Mapping[str, Any]
    notes: tuple[ImportNote, ...] = ()
    lag: Mapping[str, int] = field(default_factory=dict)
    arithmetic: str = DEFAULT_ARITHMETIC

    @property
    def latency(self) -> int:
        """Steps from an input to the output: connections on the shortest way, or the lag where branches were made equally long."""
        reached, front, steps = {self.inputs.group}, {self.inputs.group}, 0
        while front and self.outputs.group not in reached:
            front = {c.target for c in self.network.connections if c.source in front} - reached
            reached |= front
            steps += 1
        return max(1, steps if front else 1, self.lag.get(self.outputs.group, 1))


def reorder_events(events: Events, port: Port) -> Events:
    """Return events whose inputs are numbered as in the framework as events of the network's input lines."""
    return renumber(events, port.line_of)
