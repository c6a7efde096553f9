"""When samples start in a run of Lava, which knows no samples and counts its steps without a break."""

from __future__ import annotations

from math import lcm

import numpy as np

from neurosim.network import Connection, Network
from neurosim.neurons import LIFReset

LONGEST_PAUSE = 3  # a sample and its pause may take so many times the sample


def plan(network: Network, n_steps: int, n_samples: int) -> int | None:
    """Return the steps from the start of a sample to that of the next, or None if each sample needs a start of its own.

    A sample is followed by as many silent steps as its longest delay, until nothing is under way. `LIFReset` counts all
    steps of the run, so the period is also a multiple of the reset intervals, unless that would be far longer.
    """
    if n_samples <= 1:
        return n_steps
    least = n_steps + max(longest_delays(network), default=0)
    interval = lcm(*(group.reset_interval for group in network.groups if isinstance(group, LIFReset)))
    period = -(-least // interval) * interval
    return period if period <= max(LONGEST_PAUSE * n_steps, least + 64) else None


def longest_delays(network: Network) -> list[int]:
    """Return the longest delay of each connection that has delays."""
    found = []
    for connection in network.connections:
        if not isinstance(connection, Connection) and connection.delays is not None:
            found.append(int(np.asarray(connection.delays).max()))
    return found
