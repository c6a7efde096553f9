"""What an importer of NIR must say: biases, and spikes that are probably of another size than was told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurosim.exchange.imported import ImportNote
from neurosim.exchange.lowering_links import links_weight
from neurosim.exchange.lowering_neurons import Floats, Neurons, Spike
from neurosim.groups import CubaLIF
from neurosim.network import Connection

#: A spike of the median weight that moves v by less or more than these parts of the threshold is suspicious.
SUSPICIOUS = (0.01, 100.0)


def note_bias(
    owner: str,
    neurons: Neurons,
    bias: Floats,
    constant: Floats,
    lag: int,
    spike: Spike,
    by_neuron: bool,
    notes: list[ImportNote],
) -> None:
    """Say where biases went, and what that changes.

    Parameters
    ----------
    owner : str
        Node of the neurons.
    neurons : Neurons
    bias : (n,) float
        What v gets in each step.
    constant : (n,) float
        Input from biases of the nodes before.
    lag : int
        Of the group.
    spike : {"unit", "impulse"}
    by_neuron : bool
        Whether a neuron that fires in each step brings `constant`.
    notes : list of ImportNote
        Extended.
    """
    if np.any(constant):
        if by_neuron:
            notes.append(
                ImportNote(owner, "info", "biases before its current come from a neuron that fires in each step")
            )
        elif neurons.tau_syn is not None:
            notes.append(
                ImportNote(
                    owner,
                    "info",
                    "biases before its current act on v, as they do in the steady state; current_bias='neuron' is exact from the first step",
                )  # fmt: skip
            )
        if spike == "impulse":
            notes.append(
                ImportNote(
                    owner,
                    "info",
                    "biases are constant currents, which are multiplied by dt; spikes as impulses are not: if the framework added the "
                    "bias in each step as it is, count time in steps instead (dt=1, spike='unit', taus in steps)",
                )  # fmt: skip
            )
    if np.any(bias) and lag > 0:
        notes.append(
            ImportNote(
                owner,
                "info",
                f"its bias acts from step 1 on, {lag} step{'s' * (lag > 1)} before the first spike can arrive",
            )
        )


def note_spike_size(
    group: CubaLIF, connections: Sequence[Connection], dt: float, spike: Spike, notes: list[ImportNote]
) -> None:
    """Warn where one spike of the median weight moves v by a suspicious part of the threshold.

    NIR does not say whether a spike is 1 or an impulse of area 1, that is 1 / dt in a step: a factor of 1,000 or more.

    Parameters
    ----------
    group : CubaLIF
    connections : sequence of Connection
        Into the group.
    dt : float
    spike : {"unit", "impulse"}
    notes : list of ImportNote
        Extended.
    """
    threshold = float(np.median(group.each("v_threshold")))
    other, factor = ("impulse", 1 / dt) if spike == "unit" else ("unit", dt)
    for connection in connections:
        weight = links_weight(connection)
        if not weight or not 0 < threshold < np.inf:
            continue
        part = weight / threshold
        if SUSPICIOUS[0] <= part <= SUSPICIOUS[1]:
            continue
        notes.append(
            ImportNote(
                group.name,
                "warning",
                f"one spike of the median weight from {connection.source!r} moves v by {part:.2%} of the threshold with "
                f"spike={spike!r} and dt={dt:g}; with spike={other!r} it would be {part * factor:.2%}: check which one the framework means",
            )  # fmt: skip
        )
