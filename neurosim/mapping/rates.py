"""How often neurons fire, as a mapping expects it: spikes per step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from neurosim.counters import OpCounts
from neurosim.errors import NetworkError
from neurosim.network import Network

#: Spikes per step: of each neuron in the program's numbering, or of each group (groups that are not named: `UNIFORM`).
Rates = npt.ArrayLike | Mapping[str, float]
UNIFORM = 1.0  # what is taken where nothing is known: all neurons fire alike


def neuron_rates(network: Network, rates: Rates | None = None) -> npt.NDArray[np.float64]:
    """Return the spikes per step of each neuron in the program's numbering: (n_neurons,) float64."""
    if rates is None:
        return np.full(network.n_neurons, UNIFORM)
    if isinstance(rates, Mapping):
        given = {group.name: UNIFORM for group in network.ordered_groups}
        for name, rate in rates.items():
            network.group(name)
            given[name] = float(rate)
        found = np.repeat(list(given.values()), [group.n for group in network.ordered_groups])
    else:
        found = np.asarray(rates, dtype=np.float64)
    if found.shape != (network.n_neurons,):
        raise NetworkError(
            f"network {network.name!r}: rates have shape {found.shape}, need ({network.n_neurons},), input lines first; "
            "or give a dictionary from group to rate"
        )
    if not np.all(np.isfinite(found)) or np.any(found < 0):
        raise NetworkError(f"network {network.name!r}: rates must be finite and not negative; measure them again")
    return np.asarray(found, dtype=np.float64)


def rates_of(counts: OpCounts, network: Network) -> dict[str, float]:
    """Return the measured spikes per step and neuron of each group, for `map_network` and `compile`.

    Parameters
    ----------
    counts : OpCounts
        Of a run of the network with at least one step.
    network : Network
    """
    if counts.n_steps < 1:
        raise NetworkError(f"network {network.name!r}: the counts are of a run without a step; run it first")
    return {
        group.name: counts.of(group.name, "spikes") / (group.n * counts.n_steps) for group in network.ordered_groups
    }
