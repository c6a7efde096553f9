"""What a network loses in integers: parameters, weights, spikes and answers, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.answers import Answer
from neurosim.decays import Decay
from neurosim.errors import DataError, NetworkError
from neurosim.events import Events
from neurosim.fixedpoint import DEFAULT_ARITHMETIC
from neurosim.network import Connection, CubaLIF, Network
from neurosim.quantized import Quantized
from neurosim.studies.quanterror.parameters import group_parameters, weight_parameters
from neurosim.studies.quanterror.runs import OnProgress, compare_runs, default_answer
from neurosim.version import VERSION


def quantisation_report(
    network: Network, quantized: Quantized, events: Events | None = None, labels: npt.ArrayLike | None = None, *,
    decay: Decay, backend: str = "simulator", answer: Answer | None = None, n_steps: int | None = None,
    arithmetic: str = DEFAULT_ARITHMETIC, threads: int = 1, on_progress: OnProgress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Compare a float network with its integers, layer by layer, in plain values that JSON can hold.

    Parameters
    ----------
    network : Network
        In floats: `CubaLIF` groups and float connections.
    quantized : Quantized
        What `quantize` made of it.
    events : Events, optional
        Samples that both run. Without them the report is of parameters and weights.
    labels : (n_samples,) int, optional
        Classes; negative: none.
    decay : {"exact", "euler"}
        As given to `quantize`.
    backend : str
        Where the integers run.
    answer : Answer, optional
        How classes are read; by default from the group that feeds no other (`runs.default_answer`).
    n_steps : int, optional
        ``events.n_steps`` by default.
    arithmetic, threads
        As in `neurosim.compile_network.compile` and `neurosim.backend.Backend.open`.
    on_progress : callable, optional
        Called with the samples done and all of them.

    Returns
    -------
    dict
        layers (a list in the order of the network), accuracy, samples, n_steps, backend, decay.

    Raises
    ------
    NetworkError
        If a part of `network` is in integers already, or `quantized` is of another network.
    DataError
        If there is not one label for each sample.

    Examples
    --------
    >>> from neurosim.network import Input
    >>> from neurosim.quantize import quantize
    >>> net = Network([Input("in", 2), CubaLIF("out", 1)], [Connection("in", "out", [[0.5, -0.251]])])
    >>> report = quantisation_report(net, quantize(net), decay="exact")
    >>> round(report["layers"][0]["weights"][0]["largest_error"], 5)
    0.00097
    """
    layers = []
    for group in network.groups:
        if isinstance(group, CubaLIF):
            _check(network, quantized, group)
            weights = [
                weight_parameters(connection, quantized)
                for connection in network.connections
                if isinstance(connection, Connection) and connection.target == group.name
            ]
            layers.append(group_parameters(group, quantized, network.dt, decay) | {"weights": weights})
    found: dict[str, Any] = {
        "neurosim": VERSION, "decay": decay, "dt": network.dt, "layers": layers, "samples": 0, "n_steps": None,
        "backend": None, "accuracy": None,
    }  # fmt: skip
    if events is None:
        return found
    if labels is not None and np.shape(labels) != (events.n_samples,):
        raise DataError(
            f"labels: have shape {np.shape(labels)}, need ({events.n_samples},): one for each sample of the events"
        )
    comparison = compare_runs(
        network, quantized, events, n_steps, answer=answer or default_answer(network), decay=decay, backend=backend,
        arithmetic=arithmetic, threads=threads, on_progress=on_progress,
    )  # fmt: skip
    steps = events.n_steps if n_steps is None else n_steps
    for layer in layers:
        layer |= comparison.layer(layer["group"], events.n_samples, steps)
    accuracy = comparison.accuracy(labels)
    return found | {"samples": events.n_samples, "n_steps": steps, "backend": backend, "accuracy": accuracy}


def _check(network: Network, quantized: Quantized, group: CubaLIF) -> None:
    """Refuse integers of another network."""
    known = {other.name: other for other in quantized.network.groups}
    if f"group/{group.name}" not in quantized.scales or known[group.name].n != group.n:
        raise NetworkError(
            f"group {group.name!r}: the quantised network has no such group with a scale; give what quantize made of "
            f"network {network.name!r}"
        )
