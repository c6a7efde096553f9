"""What arrives at each group of a NIR graph: the linear nodes on the way as one map from each source, and constants."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from neurosim.errors import CapacityError
from neurosim.exchange.imported import ImportNote
from neurosim.exchange.lowering_kernels import MAX_KERNEL, Floats, Kernel, image_shape
from neurosim.exchange.lowering_links import MAX_DELAY
from neurosim.exchange.lowering_maps import LinearMap, Matrix, Pairs, add, apply, compose, delayed, diagonal
from neurosim.exchange.lowering_neurons import READOUTS
from neurosim.exchange.nirgraph import IDENTITY, NEURONS, FlatGraph, window
from neurosim.exchange.nirnodes import Node

#: Nodes that only say how elements are called.
RENAMING = ("Flatten", IDENTITY)
MAX_MAPS = 20_000


@dataclass(frozen=True, eq=False)
class Arriving:
    """What a node takes in each step.

    Parameters
    ----------
    maps : dict of str to LinearMap
        By source: an Input or a node of neurons. From its elements to the node's.
    constant : (n,) float or None
        From biases.
    """

    maps: dict[str, LinearMap] = field(default_factory=dict)
    constant: Floats | None = None


def arrivals(graph: FlatGraph, dt: float, notes: list[ImportNote]) -> dict[str, Arriving]:
    """Return what arrives at each group and each Output, by name.

    Parameters
    ----------
    graph : FlatGraph
    dt : float
        For delays.
    notes : list of ImportNote
        Extended.

    Raises
    ------
    UnsupportedNode
        If linear nodes form a loop without neurons, a voltage goes on, or there are too many synapses.
    """
    linear = [
        name for name, node in graph.nodes.items() if node.kind not in NEURONS and node.kind not in ("Input", "Output")
    ]
    gives: dict[str, Arriving] = {}
    for name, node in graph.nodes.items():
        if node.kind in NEURONS or node.kind == "Input":
            n = math.prod(graph.out_shape[name])
            gives[name] = Arriving({name: diagonal(np.ones(n), graph.out_shape[name])})
    n_maps = 0
    for name in _in_order(graph, linear):
        node = graph.nodes[name]
        arriving = _gather(graph, name, gives)
        n_maps += len(arriving.maps)
        if n_maps > MAX_MAPS:
            raise node.refuse(f"more than {MAX_MAPS} ways lead through linear nodes", "put neurons between them")
        _refuse_voltages(graph, node, arriving.maps)
        try:
            gives[name] = _passed(graph, node, arriving, dt, notes)
        except CapacityError as error:
            raise node.refuse(
                f"what it and the linear nodes before it do together has {error}",
                "put neurons between them, or make it smaller",
            ) from error
    found = {}
    for name, node in graph.nodes.items():
        if node.kind in NEURONS or node.kind == "Output":
            found[name] = _gather(graph, name, gives)
            _refuse_voltages(graph, node, found[name].maps)
    return found


def _in_order(graph: FlatGraph, linear: list[str]) -> Iterable[str]:
    """Yield linear nodes so that each comes after those that feed it."""
    among = set(linear)
    missing = {name: sum(source in among for source in graph.sources[name]) for name in linear}
    ready = [name for name in reversed(linear) if not missing[name]]
    n_done = 0
    while ready:
        name = ready.pop()
        n_done += 1
        yield name
        for target in graph.targets[name]:
            if target in among:
                missing[target] -= 1
                if not missing[target]:
                    ready.append(target)
    if n_done < len(linear):
        first = next(name for name in linear if missing[name])
        raise graph.nodes[first].refuse(
            "a loop of linear nodes without neurons acts at once", "put neurons into the loop"
        )


def _gather(graph: FlatGraph, name: str, gives: dict[str, Arriving]) -> Arriving:
    """Add up what the sources of a node give."""
    maps: dict[str, LinearMap] = {}
    constant = None
    for source in graph.sources[name]:
        try:
            for origin, found in gives[source].maps.items():
                maps[origin] = add(maps[origin], found) if origin in maps else found
        except CapacityError as error:
            raise graph.nodes[name].refuse(
                f"what arrives has {error}", "put neurons between, or make it smaller"
            ) from error
        given = gives[source].constant
        if given is not None:
            constant = given if constant is None else constant + given
    return Arriving(maps, constant)


def _refuse_voltages(graph: FlatGraph, node: Node, maps: Iterable[str]) -> None:
    """Refuse neurons without spikes whose voltage goes anywhere but to an output."""
    for origin in maps:
        source = graph.nodes[origin]
        if source.kind in READOUTS and node.kind not in (*RENAMING, "Output"):
            raise source.refuse(
                f"its voltage goes to {node.name!r} ({node.kind}), a chip sends spikes only",
                "make it the last node, or a LIF or IF node",
            )


def _passed(graph: FlatGraph, node: Node, arriving: Arriving, dt: float, notes: list[ImportNote]) -> Arriving:
    """Return what a linear node makes of what arrives."""
    if node.kind in RENAMING:
        return arriving
    if node.kind == "Delay":
        return _later(graph, node, arriving, dt, notes)
    own, bias = _map_of(graph, node, notes)
    maps = {origin: compose(own, found) for origin, found in arriving.maps.items()}
    constant = None if arriving.constant is None else apply(own, arriving.constant)
    if bias is not None and np.any(bias):
        constant = bias if constant is None else constant + bias
    return Arriving(maps, constant)


def _map_of(graph: FlatGraph, node: Node, notes: list[ImportNote]) -> tuple[LinearMap, Floats | None]:
    """Return the map of a linear node, and its bias per element."""
    values, shape = node.values, graph.out_shape[node.name]
    if node.kind in ("Affine", "Linear"):
        bias = np.broadcast_to(values["bias"], shape).ravel() if node.kind == "Affine" else None
        return _matrix(np.asarray(values["weight"])), bias
    if node.kind == "Scale":
        return diagonal(np.broadcast_to(values["scale"].ravel(), (math.prod(shape),)).astype(np.float64), shape), None
    given = graph.in_shape[node.name]
    size, stride, padding, dilation = window(node, given[1:])
    rank = len(size)
    flat = (1,) * (2 - rank)  # a convolution in one dimension has height 1
    convolution = node.kind.startswith("Conv")
    if convolution:
        weights = values["weight"].reshape(*values["weight"].shape[:2], *flat, *size)
        groups = int(np.atleast_1d(values["groups"])[0])
    else:
        if math.prod(size) * given[0] > MAX_KERNEL:
            raise node.refuse(f"its window {size} is too large", "use a smaller one")
        share = 1.0 / math.prod(size) if node.kind == "AvgPool2d" else 1.0
        weights, groups = np.full((given[0], 1, *size), share), given[0]
        if node.kind == "AvgPool2d" and any(before or after for before, after in padding):
            notes.append(
                ImportNote(node.name, "info", "zeros of the padding count in its means, as torch's default does")
            )
    low = tuple(before for before, _ in padding)
    kernel = Kernel(
        np.asarray(weights, np.float64),
        image_shape(given),
        image_shape(shape),
        _two(stride, 1),
        _two(low, 0),
        _two(dilation, 1),
        groups,
    )
    bias = None
    if convolution:
        per_channel = np.broadcast_to(np.ravel(values["bias"]), (shape[0],))
        bias = np.repeat(per_channel, math.prod(shape[1:]))
    return kernel, bias


def _two(numbers: tuple[int, ...], flat: int) -> tuple[int, int]:
    """Return (vertical, horizontal) of one or two numbers."""
    return (flat, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])


def _matrix(weight: Floats) -> LinearMap:
    """Return the map of a weight (..., out, in): one matrix, or one for each element of the first axes."""
    if weight.ndim == 2:
        return Matrix(weight)
    n_out, n_in = weight.shape[-2:]
    blocks = weight.reshape(-1, n_out, n_in)
    block, row, col = np.nonzero(blocks)
    shape = (len(blocks) * n_out, len(blocks) * n_in)
    return Pairs(shape, block * n_out + row, block * n_in + col, blocks[block, row, col], np.zeros(len(row), np.int64))


def _later(graph: FlatGraph, node: Node, arriving: Arriving, dt: float, notes: list[ImportNote]) -> Arriving:
    """Return what arrives after a Delay node, in whole steps; constants are the same."""
    shape = graph.out_shape[node.name]
    wanted = np.broadcast_to(np.ravel(node.values["delay"]), (math.prod(shape),)) / dt
    if np.any(wanted < 0):
        raise node.refuse(f"delay {float(wanted.min() * dt):g} is negative", "give delays of at least 0")
    if np.any(np.rint(wanted) > MAX_DELAY):
        raise node.refuse(
            f"delay {float(wanted.max() * dt):g} is {float(wanted.max()):g} steps of {dt:g}, a chip holds up to {MAX_DELAY}",
            "use a larger dt or shorter delays",
        )
    steps = np.rint(wanted).astype(np.int64)
    off = float(np.abs(wanted - steps).max())
    if off > 1e-3:
        notes.append(
            ImportNote(node.name, "warning", f"delays are rounded to whole steps of {dt:g}, by up to {off:.2g} steps")
        )
    if np.all(steps == steps[0]):
        return Arriving(
            {origin: delayed(found, int(steps[0])) for origin, found in arriving.maps.items()}, arriving.constant
        )
    own = diagonal(np.ones(len(steps)), shape, steps)
    return Arriving({origin: compose(own, found) for origin, found in arriving.maps.items()}, arriving.constant)
