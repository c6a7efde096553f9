"""How many packets go from core to core in a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.fixedpoint import Int32Array
from neurosim.mapping.route import OUTSIDE, Targets
from neurosim.network import Network

UNIT = 1 << 16  # packets are counted in parts of this size of a packet per step ...
EXACT = 1 << 53  # ... so that sums are whole numbers that doubles hold exactly, in whatever order they are added


class Traffic(NamedTuple):
    """Packets per step in whole units, held in doubles."""

    between: npt.NDArray[np.float64]  # (n_cores, n_cores), both ways added up; zero on the diagonal
    entering: npt.NDArray[np.float64]  # (n_cores,) from outside


def traffic_of(
    network: Network, core: Int32Array, targets: Sequence[Targets], rates: npt.NDArray[np.float64], n_links: int
) -> Traffic:
    """Return the traffic between cores.

    Parameters
    ----------
    network : Network
        Quantised.
    core : (n_neurons,) int32
        Core of each neuron, -1 for input lines.
    targets : sequence of Targets
        From `targets_of`.
    rates : (n_neurons,) float64
        Spikes per step.
    n_links : int
        Links that a packet crosses at most.
    """
    n_cores, offsets = int(core.max(initial=OUTSIDE)) + 1, network.offsets
    weight = _whole(rates, n_cores, n_links)
    flat = np.zeros((n_cores + 1) * n_cores)  # the last row: from outside
    for sent in targets:
        first, n = offsets[sent.group], network.group(sent.group).n
        home = np.where(core[first : first + n] == OUTSIDE, n_cores, core[first : first + n]).astype(np.int64)
        of_group = weight[first : first + n]
        if len(sent.everyone):
            total = np.bincount(home, of_group, n_cores + 1)
            flat.reshape(n_cores + 1, n_cores)[:, sent.everyone] += total[:, None]
        if len(sent.neuron):
            flat += np.bincount(home[sent.neuron] * n_cores + sent.core, of_group[sent.neuron], flat.size)
    matrix = flat.reshape(n_cores + 1, n_cores)
    between = matrix[:n_cores] + matrix[:n_cores].T
    np.fill_diagonal(between, 0.0)
    return Traffic(between, matrix[n_cores].copy())


def _whole(rates: npt.NDArray[np.float64], n_cores: int, n_links: int) -> npt.NDArray[np.float64]:
    """Return rates in whole units; so coarse that no sum over all packets and links leaves the exact numbers."""
    worst = 8.0 * float(rates.sum()) * max(n_cores, 1) * max(n_links, 1)
    unit = float(UNIT)
    while worst * unit >= EXACT and unit > 1:
        unit /= 2
    whole = np.rint(rates * unit)
    return np.asarray(whole, dtype=np.float64)
