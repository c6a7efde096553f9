"""Where a network lies on a chip: the core of each neuron, the place of each core, and what they use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Columns of `Mapping.route`, named and ordered as their counters.
ROUTE_COLUMNS = (
    "messages",
    "messages_local",
    "hops_east",
    "hops_west",
    "hops_north",
    "hops_south",
    "synapse_bits_read",
)


@dataclass(frozen=True)
class CoreUse:
    """What one core holds.

    ``used`` and ``limit`` map a resource ("compartments", "synapse_memory_bits", "axons_in", "axons_out", those
    configurations that the chip limits, and "learning_bits" where a mapping was asked to count them) to
    a count; a limit of None means that the chip's limit is unknown or that there is none. ``site`` is the number of the
    physical core: cores of a tile have consecutive numbers, tiles go row by row.
    """

    core: int
    tile: tuple[int, int]
    groups: tuple[str, ...]
    used: dict[str, int]
    limit: dict[str, int | None]
    site: int | None = None


@dataclass(frozen=True, eq=False)
class Mapping:
    """The placement of a quantised network.

    Parameters
    ----------
    core : (n_neurons,) int32
        Core of each neuron in the program's numbering; -1 for input lines, which live outside the chip.
    compartment : (n_neurons,) int32, optional
        Place of each neuron on its core, from 0; -1 for input lines. None: in the order of their numbers.
    cores : tuple of CoreUse
        One per used core, by core number.
    route : (n_neurons, 7) int32
        What one spike of a neuron sends: `ROUTE_COLUMNS`. One packet per target core.
    """

    core: npt.NDArray[np.int32]
    cores: tuple[CoreUse, ...]
    route: npt.NDArray[np.int32]
    compartment: npt.NDArray[np.int32] | None = None
