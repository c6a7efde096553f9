"""The networks and inputs that are measured; everything random follows from a seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.compile_network import compile as compile_network
from neurosim.events import Events, events_from_dense
from neurosim.network import LIF, Dense, Input, Network, Sparse
from neurosim.program import Program

DU, DV = 409, 128  # decays of current and voltage: about 10 and 32 steps
VTH_READOUT = 131071


class Workload(NamedTuple):
    """A compiled network and its input."""

    name: str
    program: Program
    events: Events


def layered(batch: int, n_steps: int, seed: int) -> Workload:
    """Return 784-256-10 with random weights and 10 % of the inputs firing in each step."""
    rng = np.random.default_rng(seed)
    network = Network(
        (Input("input", 784), LIF("hidden", 256, DU, DV, 9_000), LIF("readout", 10, DU, DV, VTH_READOUT)),
        (
            Dense("input", "hidden", 2 * rng.integers(-60, 61, (256, 784))),
            Dense("hidden", "readout", 2 * rng.integers(-60, 61, (10, 256))),
        ),
    )
    return Workload("784-256-10", compile_network(network), random_events(batch, n_steps, 784, 0.1, rng))


def recurrent(n: int, n_synapses: int, n_steps: int, seed: int) -> Workload:
    """Return n neurons with random synapses to each other, equally many from each, kept firing by their biases."""
    rng = np.random.default_rng(seed)
    degree = n_synapses // n
    row = np.empty((n, degree), np.int32)
    for targets in row:
        targets[:] = rng.choice(n, degree, replace=False)
    column, weights = np.repeat(np.arange(n, dtype=np.int32), degree), 2 * rng.integers(-6, 7, row.size, np.int16)
    network = Network(
        (Input("input", 1), LIF("neurons", n, DU, DV, 500, bias_mant=rng.integers(600, 1_600, n))),
        (
            Dense("input", "neurons", np.zeros((n, 1), np.int64)),
            Sparse("neurons", "neurons", (n, n), row.ravel(), column, weights),
        ),
    )
    silent = random_events(1, n_steps, 1, 0.0, rng)
    return Workload(f"{n:,} neurons, {row.size:,} synapses", compile_network(network, "unlimited"), silent)


def random_events(n_samples: int, n_steps: int, n_inputs: int, rate: float, rng: np.random.Generator) -> Events:
    """Return input spikes, each line firing in each step with the same probability."""
    spikes: npt.NDArray[np.bool_] = rng.random((n_samples, n_steps, n_inputs)) < rate
    return events_from_dense(spikes)
