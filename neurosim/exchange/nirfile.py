"""Read models in the Neuromorphic Intermediate Representation (NIR)."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import ConfigError
from neurosim.exchange.imported import Imported, ImportNote
from neurosim.exchange.lowering import Convention, CurrentBias, lower
from neurosim.exchange.lowering_neurons import Decay, Spike
from neurosim.exchange.nirexact import exact_import
from neurosim.exchange.nirgraph import flatten
from neurosim.exchange.nirnodes import read_graph

CHOICES = {"spike": ("unit", "impulse"), "decay": ("euler", "exact"), "current_bias": ("steady", "neuron")}


def read_nir(
    path: str | os.PathLike[str] | Any, *, dt: float, spike: Spike, decay: Decay = "euler", current_bias: CurrentBias = "steady",
    input_values: bool = False, num_weight_bits: int = 8, name: str | None = None, strict: bool = False,
) -> Imported:  # fmt: skip
    """Return the network of a NIR file, in floats and in the timing of the chip.

    NIR leaves open how long a step is and how large a spike is, so both must be given. A file that `write_nir` wrote holds chip
    integers as well: if its graph has not been changed since, the network is in these, equal to the last bit.

    Parameters
    ----------
    path : path-like, mapping or nir.NIRGraph
        A mapping is what `neurosim.hdf5tree.read_tree` gives for a file.
    dt : float
        Length of a step, in the unit of the file's time constants: seconds as a rule.
    spike : {"unit", "impulse"}
        Whether a spike counts as 1 in its step, as in Norse and snnTorch, or as 1 / dt, an impulse of area 1, as in Sinabs.
    decay : {"euler", "exact"}
        Decay per step: ``dt / tau`` or ``1 - exp(-dt / tau)``. Quantise with the same.
    current_bias : {"steady", "neuron"}
        How a bias before a current with memory is brought: on v, as in the steady state, or by one more neuron that fires in each
        step, exactly.
    input_values : bool
        Whether inputs have values, such as counts of events in a step; else any value is one spike.
    num_weight_bits : int
        1..8, of all connections.
    name : str, optional
        Of the network; by default the file's.
    strict : bool
        Refuse feedback that arrives late, instead of a note.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged or inconsistent.
    UnsupportedNode
        If a node cannot be expressed on a chip: its name, why, and what to do.
    NetworkError
        If a weight, delay or number of neurons is beyond what networks can have.

    Examples
    --------
    >>> import nir, numpy as np
    >>> one = np.ones(1)
    >>> graph = nir.NIRGraph.from_list(nir.Linear(2 * np.ones((1, 3))), nir.LIF(tau=0.01 * one, r=one, v_leak=0 * one, v_threshold=one))
    >>> read_nir(graph, dt=1e-3, spike="unit").network.connections[0].weights.tolist()
    [[0.2, 0.2, 0.2]]
    """
    for key, value in {"spike": spike, "decay": decay, "current_bias": current_bias}.items():
        if value not in CHOICES[key]:
            raise ConfigError(f"NIR: {key} {value!r} is unknown; choose {' or '.join(map(repr, CHOICES[key]))}")
    if not (isinstance(dt, (int, float)) and math.isfinite(dt) and dt > 0):
        raise ConfigError(
            f"NIR: dt {dt!r} is not a positive number; give the length of a step in the file's unit of time"
        )
    how = Convention(float(dt), spike, decay, current_bias, input_values, num_weight_bits, strict)
    notes: list[ImportNote] = []
    graph = read_graph(path, notes)
    shown = name or (Path(path).stem if isinstance(path, (str, os.PathLike)) else "nir") or "nir"
    exact = exact_import(graph, how.dt, notes)
    if exact is not None:
        return exact
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what overflows is refused as infinite
        found = lower(flatten(graph, notes), how, shown, notes)
    return replace(found, source={"version": graph.version, **found.source})
