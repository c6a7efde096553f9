"""Shorten the ways of packets by exchanging cores until no exchange helps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.fixedpoint import Int64Array
from neurosim.mapping.sites import Rooms
from neurosim.mapping.traffic import Traffic

Floats = npt.NDArray[np.float64]
MAX_SWEEPS = 60  # a guard: descents end after about ten


class Mesh:
    """Where physical cores lie: tiles of the sites that may be used, and the tile where inputs enter."""

    def __init__(self, tiles: Int64Array, entry: tuple[int, int]) -> None:
        """Take the tile (x, y) of each site: (n_sites, 2) int64."""
        self.x, self.y = (np.ascontiguousarray(axis) for axis in tiles.T)
        self.entry = entry
        self.along_x = np.arange(int(self.x.max(initial=0)) + 1, dtype=np.float64)
        self.along_y = np.arange(int(self.y.max(initial=0)) + 1, dtype=np.float64)


def cost_of(site: Int64Array, traffic: Traffic, mesh: Mesh) -> float:
    """Return the links that all packets of a step cross, in the unit of `traffic`."""
    total = 0.0
    for place, entry in ((mesh.x[site], mesh.entry[0]), (mesh.y[site], mesh.entry[1])):
        total += float((traffic.between * np.abs(place[:, None] - place)).sum()) / 2
        total += float((traffic.entering * np.abs(place - entry)).sum())
    return total


def descend(site: Int64Array, traffic: Traffic, mesh: Mesh, rooms: Rooms | None = None) -> Int64Array:
    """Exchange the places of two cores, or move one to an empty place, as long as that shortens the ways.

    Parameters
    ----------
    site : (n_cores,) int64
        Site of each core, an index of the sites of `mesh`.
    traffic : Traffic
    mesh : Mesh
    rooms : (n_cores, n_sites) bool, optional
        Which core has room on which site.

    Returns
    -------
    (n_cores,) int64

    Notes
    -----
    Each core in turn takes the best exchange that it finds, until a whole sweep finds none. All numbers are whole, so
    every machine takes the same ones. The way is ``abs(dx) + abs(dy)``: what core i would cost at (x, y) is a sum of
    a part that depends on x and one that depends on y, and both are kept up to date for all cores.
    """
    n_cores, n_sites = len(site), len(mesh.x)
    site = site.copy()
    holder = np.full(n_sites, -1, np.int64)
    holder[site] = np.arange(n_cores)
    cost_x = _cost_along(mesh.along_x, mesh.x[site], traffic, mesh.entry[0])  # (width, n_cores)
    cost_y = _cost_along(mesh.along_y, mesh.y[site], traffic, mesh.entry[1])
    now, still = _present(site, cost_x, cost_y, mesh), 0
    for i in list(range(n_cores)) * MAX_SWEEPS:
        still += 1
        if still > n_cores:
            break
        p = int(site[i])
        delta = _deltas(i, p, site, now, traffic.between, cost_x, cost_y, mesh)
        if rooms is not None:
            delta[~_exchangeable(i, p, holder, rooms)] = 0.0
        q = int(np.argmin(delta))
        if delta[q] >= 0.0:
            continue
        still = 0
        for core, old, new in ((i, p, q), (int(holder[q]), q, p)):
            if core >= 0:
                _shift(cost_x, traffic.between[core], mesh.along_x, mesh.x[old], mesh.x[new])
                _shift(cost_y, traffic.between[core], mesh.along_y, mesh.y[old], mesh.y[new])
                site[core] = new
        holder[p], holder[q] = holder[q], i
        now = _present(site, cost_x, cost_y, mesh)
    return site


def _cost_along(along: Floats, place: Int64Array, traffic: Traffic, entry: int) -> Floats:
    """Return what each core would cost at each place along one axis: (n_places, n_cores)."""
    by_place = np.zeros((len(along), len(place)))
    np.add.at(by_place, place, traffic.between)
    return np.asarray(
        np.abs(along[:, None] - along) @ by_place + np.abs(along - entry)[:, None] * traffic.entering, dtype=np.float64
    )


def _present(site: Int64Array, cost_x: Floats, cost_y: Floats, mesh: Mesh) -> tuple[Int64Array, Int64Array, Floats]:
    """Return x and y of each core, and what it costs there."""
    x, y, every = mesh.x[site], mesh.y[site], np.arange(len(site))
    return x, y, np.asarray(cost_x[x, every] + cost_y[y, every], dtype=np.float64)


def _deltas(
    i: int, p: int, site: Int64Array, now: tuple[Int64Array, Int64Array, Floats], between: Floats, cost_x: Floats,
    cost_y: Floats, mesh: Mesh,
) -> Floats:  # fmt: skip
    """Return what moving core i from site p to each other site changes, whoever is there taking its place."""
    x, y, cost = now
    xp, yp = int(x[i]), int(y[i])
    mine_x, mine_y = np.ascontiguousarray(cost_x[:, i]), np.ascontiguousarray(cost_y[:, i])
    delta = (mine_x - mine_x[xp])[mesh.x] + (mine_y - mine_y[yp])[mesh.y]
    theirs = cost_x[xp] + cost_y[yp]
    theirs -= cost
    # both costs count the way between i and j as gone, though it stays as long as it was
    near = np.flatnonzero(between[i])
    theirs[near] += 2 * between[i, near] * (np.abs(x[near] - xp) + np.abs(y[near] - yp))
    delta[site] += theirs
    delta[p] = 0.0
    return np.asarray(delta, dtype=np.float64)


def _exchangeable(i: int, p: int, holder: Int64Array, rooms: Rooms) -> npt.NDArray[np.bool_]:
    """Return to which sites core i may go, if whoever is there has room on site p."""
    stay = (holder < 0) | rooms[np.maximum(holder, 0), p]
    return np.asarray(rooms[i] & stay, dtype=np.bool_)


def _shift(cost: Floats, weight: Floats, along: Floats, old: int, new: int) -> None:
    """Bring the costs along one axis up to date, in place, after a core has moved."""
    if old == new:
        return
    near = np.flatnonzero(weight)
    change = np.abs(along - new) - np.abs(along - old)
    if 2 * len(near) < len(weight):
        cost[:, near] += change[:, None] * weight[near]
    else:
        cost += change[:, None] * weight


def grow(traffic: Traffic, mesh: Mesh) -> Int64Array:
    """Place core after core, each time the one with most traffic to those placed, where it costs least: (n_cores,) int64.

    Inputs count as placed from the start.
    """
    n_cores = len(traffic.entering)
    site = np.full(n_cores, -1, np.int64)
    free = np.ones(len(mesh.x), np.bool_)
    cost_x = np.abs(mesh.along_x - mesh.entry[0])[:, None] * traffic.entering
    cost_y = np.abs(mesh.along_y - mesh.entry[1])[:, None] * traffic.entering
    attraction = traffic.entering.copy()
    away = np.abs(mesh.x - mesh.entry[0]) + np.abs(mesh.y - mesh.entry[1])
    for _ in range(n_cores):
        core = int(np.argmax(np.where(site < 0, attraction, -1.0)))
        cost = np.where(free, cost_x[mesh.x, core] + cost_y[mesh.y, core], np.inf)
        best = np.flatnonzero(cost == cost.min())
        at = int(best[np.argmin(away[best])])
        site[core], free[at] = at, False
        attraction += traffic.between[core]
        cost_x += np.abs(mesh.along_x - mesh.x[at])[:, None] * traffic.between[core]
        cost_y += np.abs(mesh.along_y - mesh.y[at])[:, None] * traffic.between[core]
    return site
