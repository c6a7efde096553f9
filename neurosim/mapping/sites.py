"""The physical cores of a chip: where they lie, in which order to take them, and which mapped core has room on which."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neurosim.chip import Chip
from neurosim.errors import CapacityError
from neurosim.fixedpoint import Int64Array
from neurosim.mapping.route import ENTRY_TILE

#: (n_cores, n_sites) which mapped core has room on which physical core; None: all cores are alike.
Rooms = npt.NDArray[np.bool_]


def tiles_of(sites: Int64Array, chip: Chip) -> Int64Array:
    """Return the tile (x, y) of physical cores: (n, 2) int64. Cores fill a tile; tiles go row by row, from (0, 0)."""
    tile = np.asarray(sites, dtype=np.int64) // chip.cores_per_tile
    return np.stack([tile % chip.mesh[0], tile // chip.mesh[0]], axis=-1)


def in_rows(chip: Chip) -> Int64Array:
    """Return all physical cores, tiles row by row, each row eastward: (n_sites,) int64."""
    return np.arange(chip.n_cores, dtype=np.int64)


def in_snake(chip: Chip) -> Int64Array:
    """Return all physical cores, tiles row by row, odd rows westward: neighbours in the list are neighbours on the mesh."""
    x, y = tiles_of(in_rows(chip), chip).T
    return np.lexsort((np.where(y % 2 == 0, x, -x), y)).astype(np.int64)


def along_hilbert(chip: Chip) -> Int64Array:
    """Return all physical cores along a Hilbert curve, which keeps stretches of the list in compact areas."""
    x, y = tiles_of(in_rows(chip), chip).T
    side = 1 << max(int(max(chip.mesh)) - 1, 0).bit_length()
    x, y, along = x.copy(), y.copy(), np.zeros(chip.n_cores, np.int64)
    step = side // 2
    while step > 0:
        right, upper = (x & step) > 0, (y & step) > 0
        along += step * step * ((3 * right) ^ upper)
        flip = ~upper & right
        x, y = np.where(flip, side - 1 - x, x), np.where(flip, side - 1 - y, y)
        x, y = np.where(upper, x, y), np.where(upper, y, x)
        step //= 2
    return np.argsort(along, kind="stable").astype(np.int64)


def by_distance(chip: Chip) -> Int64Array:
    """Return all physical cores, those next to the place where inputs enter first."""
    away = np.abs(tiles_of(in_rows(chip), chip) - np.asarray(ENTRY_TILE)).sum(axis=1)
    return np.argsort(away, kind="stable").astype(np.int64)


def rooms_for(used: Sequence[dict[str, int]], chip: Chip) -> Rooms | None:
    """Return on which physical core each mapped core has room; None where cores are alike."""
    if chip.compartments_by_core is None and chip.synapse_memory_bits_by_core is None:
        return None
    rooms = np.ones((len(used), chip.n_cores), np.bool_)
    for resource, capacity in (
        ("compartments", chip.compartments_by_core),
        ("synapse_memory_bits", chip.synapse_memory_bits_by_core),
    ):
        if capacity is not None:
            rooms &= np.array([use[resource] for use in used], np.int64)[:, None] <= np.array(capacity)
    return rooms


def assign(
    n_cores: int, order: Int64Array, rooms: Rooms | None, chip: Chip, owner: str, partly: bool = False
) -> Int64Array:
    """Give each mapped core a physical one, early ones of `order` first: (n_cores,) int64.

    Where cores differ, a core that finds none free moves others to sites that also have room for them (augmenting paths),
    so that an assignment is found if there is one. With `partly`, the cores before the first that finds none are returned.
    """
    if n_cores > chip.n_cores:
        raise CapacityError(
            f"{owner} needs {n_cores} cores, chip {chip.name!r} has {chip.n_cores}; "
            "use fewer weight bits, fewer neurons or synapses, or a larger chip"
        )
    if rooms is None:
        return order[:n_cores].copy()
    site = np.full(n_cores, -1, np.int64)
    holder: dict[int, int] = {}  # physical core -> mapped core
    for core in range(n_cores):
        if not _augment(core, order[rooms[:, order][core]].tolist(), order, rooms, site, holder):
            if partly:
                return site[:core]
            raise CapacityError(
                f"{owner}: the cores of chip {chip.name!r} differ, and none of the {int(rooms[core].sum())} that have room for "
                f"core {core} of the mapping is free; use smaller groups, or a chip with larger cores"
            )
    return site


def _augment(
    core: int, first: list[int], order: Int64Array, rooms: Rooms, site: Int64Array, holder: dict[int, int]
) -> bool:
    """Find a site for a core, moving others if need be; `site` and `holder` are written only if there is one."""
    came: dict[int, int] = dict.fromkeys(first, core)  # physical core -> mapped core that would take it
    waiting = deque(first)
    while waiting:
        at = waiting.popleft()
        if at not in holder:
            while True:
                mover = came[at]
                left = int(site[mover])
                site[mover], holder[at] = at, mover
                if mover == core:
                    return True
                at = left
        other = holder[at]
        for further in order[rooms[other, order]].tolist():
            if further not in came:
                came[further] = other
                waiting.append(further)
    return False
