"""Choose the physical core of each mapped core, so that packets have short ways."""

from __future__ import annotations

import numpy as np

from neurosim.chip import Chip
from neurosim.errors import NetworkError
from neurosim.fixedpoint import Int64Array
from neurosim.mapping.descent import Mesh, cost_of, descend, grow
from neurosim.mapping.route import ENTRY_TILE
from neurosim.mapping.sites import Rooms, along_hilbert, assign, by_distance, in_rows, in_snake, tiles_of
from neurosim.mapping.traffic import Traffic

#: Ways to place cores; "random:SEED" shuffles the sites that "rows" takes.
PLACEMENTS = ("traffic", "snake", "rows", "random:SEED")
FEW = 512  # up to so many cores, all starts are improved; beyond, the best one
MOST = 4096  # up to so many cores, starts are improved at all


def place(
    n_cores: int, chip: Chip, owner: str = "network", *, placement: str = "snake", traffic: Traffic | None = None,
    rooms: Rooms | None = None,
) -> Int64Array:  # fmt: skip
    """Return the physical core of each core: (n_cores,) int64.

    Parameters
    ----------
    n_cores : int
    chip : Chip
    owner : str
        Named in errors.
    placement : str
        One of `PLACEMENTS`. "rows": core i lies on physical core i; these fill a tile, tiles go row by row from (0, 0).
        "snake": the same with odd rows westward. "traffic": the shortest ways that descents from several starts find.
    traffic : Traffic, optional
        Needed for "traffic".
    rooms : (n_cores, n_sites) bool, optional
        From `rooms_for`: which core has room where.
    """
    check_placement(placement)
    starts = {"snake": in_snake, "rows": in_rows}
    if placement in starts:
        return assign(n_cores, starts[placement](chip), rooms, chip, owner)
    rows = assign(n_cores, in_rows(chip), rooms, chip, owner)
    if placement != "traffic":
        if rooms is not None:
            return assign(n_cores, shuffled(chip.n_cores, int(placement[len("random:") :])), rooms, chip, owner)
        return rows[shuffled(n_cores, int(placement[len("random:") :]))]
    assert traffic is not None
    if n_cores <= 1 or not (traffic.between.any() or traffic.entering.any()):
        return assign(n_cores, in_snake(chip), rooms, chip, owner)
    orders = [in_snake(chip), in_rows(chip), along_hilbert(chip), by_distance(chip)]
    return _shortest([assign(n_cores, order, rooms, chip, owner) for order in orders], traffic, chip, rooms)


def check_placement(placement: str) -> None:
    """Refuse an unknown placement."""
    seed = placement.removeprefix("random:")
    if placement not in PLACEMENTS[:3] and (seed == placement or not seed.isdecimal()):
        raise NetworkError(f"unknown placement {placement!r}; choose one of {', '.join(PLACEMENTS)}")


def shuffled(n: int, seed: int) -> Int64Array:
    """Return 0..n - 1 in an order that depends on the seed alone (SplitMix64), on every machine and version."""
    with np.errstate(over="ignore"):
        z = (np.arange(n, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(seed % (1 << 64)) * np.uint64(0xD1B54A32D192ED03)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(z ^ (z >> np.uint64(31)), kind="stable").astype(np.int64)


def _shortest(starts: list[Int64Array], traffic: Traffic, chip: Chip, rooms: Rooms | None) -> Int64Array:
    """Improve several assignments and return the one with the shortest ways; the first of equals."""
    n_cores = len(starts[0])
    near = by_distance(chip)[: 2 * n_cores + chip.cores_per_tile]
    sites = np.unique(np.concatenate([near, *starts]))  # what the descents may use
    mesh = Mesh(tiles_of(sites, chip), ENTRY_TILE)
    here = None if rooms is None else rooms[:, sites]
    found = [np.searchsorted(sites, start) for start in starts]
    if n_cores <= MOST:
        if here is None:
            found.append(grow(traffic, mesh))
        if n_cores > FEW:
            found = [min(found, key=lambda site: cost_of(site, traffic, mesh))]
        found = [descend(site, traffic, mesh, here) for site in found]
    return np.asarray(sites[min(found, key=lambda site: cost_of(site, traffic, mesh))], dtype=np.int64)
