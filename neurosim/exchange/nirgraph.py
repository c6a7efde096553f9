"""NIR graphs as one level of nodes with known shapes: nested graphs opened, shapes inferred, edges checked."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.errors import ModelFileError, UnsupportedNode
from neurosim.exchange.imported import ImportNote
from neurosim.exchange.nirnodes import Graph, Node

Shape = tuple[int, ...]

#: Nodes that become groups of neurons.
NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")
#: What stands for Input and Output nodes of nested graphs.
IDENTITY = "Identity"
MAX_ELEMENTS = 1 << 22  # of one node; `neurosim.network.MAX_FAN_IN`


@dataclass(frozen=True, eq=False)
class FlatGraph:
    """Nodes of all levels.

    Parameters
    ----------
    nodes : mapping of str to Node
    sources, targets : mapping of str to tuple of str
        Of each node, in the order of the file's edges.
    in_shape, out_shape : mapping of str to tuple of int
        Of each node, without batch and time.
    """

    nodes: Mapping[str, Node]
    sources: Mapping[str, tuple[str, ...]]
    targets: Mapping[str, tuple[str, ...]]
    in_shape: Mapping[str, Shape]
    out_shape: Mapping[str, Shape]

    def of_kind(self, kind: str) -> list[str]:
        """Return the names of all nodes of a type."""
        return [name for name, node in self.nodes.items() if node.kind == kind]


def flatten(graph: Graph, notes: list[ImportNote]) -> FlatGraph:
    """Return a graph with the graphs in it opened and all shapes known.

    Parameters
    ----------
    graph : Graph
    notes : list of ImportNote
        Shapes that were bent to fit are appended.

    Raises
    ------
    ModelFileError
        If shapes contradict each other or cannot be known.
    UnsupportedNode
        If a nested graph has several inputs or outputs.
    """
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    _open(graph, "", nodes, edges)
    sources: dict[str, list[str]] = {name: [] for name in nodes}
    targets: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in edges:
        sources[target].append(source)
        targets[source].append(target)
    in_shape, out_shape = _shapes(nodes, sources, targets)
    for source, target in edges:
        _check_edge(nodes, out_shape[source], source, in_shape[target], target, notes)
    return FlatGraph(
        nodes, {n: tuple(s) for n, s in sources.items()}, {n: tuple(t) for n, t in targets.items()}, in_shape, out_shape
    )


def _open(graph: Graph, prefix: str, nodes: dict[str, Node], edges: list[tuple[str, str]]) -> tuple[str, str]:
    """Add the nodes and edges of a graph and of those in it; return its own input and output node."""
    enter, leave = {}, {}
    for name, part in graph.nodes.items():
        full = prefix + name
        if isinstance(part, Graph):
            enter[name], leave[name] = _open(part, f"{full}.", nodes, edges)
            continue
        if full in nodes:
            raise ModelFileError(f"node {full!r}: two nodes have this name once nested graphs are opened; rename one")
        if prefix and part.kind in ("Input", "Output"):
            part = Node(full, IDENTITY, {"shape": part.values["shape"]})
        nodes[full], enter[name], leave[name] = part, full, full
    edges += [(leave[source], enter[target]) for source, target in graph.edges]
    if not prefix:
        return "", ""
    ends = []
    for kind in ("Input", "Output"):
        found = [prefix + name for name, part in graph.nodes.items() if isinstance(part, Node) and part.kind == kind]
        if len(found) != 1:
            raise UnsupportedNode(
                f"node {prefix[:-1]!r} (NIRGraph): has {len(found)} {kind} nodes, edges do not say which they mean; "
                "give nested graphs one Input and one Output"
            )
        ends += found
    return ends[0], ends[1]


def _shapes(
    nodes: Mapping[str, Node], sources: Mapping[str, list[str]], targets: Mapping[str, list[str]]
) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Follow shapes from the inputs, and from neurons that nothing drives, along the edges."""
    in_shape: dict[str, Shape] = {}
    out_shape: dict[str, Shape] = {}
    ready: deque[tuple[str, Shape]] = deque()
    for name, node in nodes.items():
        if node.kind == "Input":
            ready.append((name, tuple(int(n) for n in np.atleast_1d(node.values["shape"]))))
        elif node.kind in NEURONS and not sources[name]:
            ready.append((name, _common_shape(node)))
    while ready:
        name, shape = ready.popleft()
        if name in out_shape:
            continue
        in_shape[name], out_shape[name] = node_shapes(nodes[name], shape)
        for found in (in_shape[name], out_shape[name]):
            if any(n < 1 for n in found) or math.prod(found) > MAX_ELEMENTS:
                raise ModelFileError(
                    f"{nodes[name].owner}: shape {found} has {math.prod(found)} elements, allowed are 1..{MAX_ELEMENTS}; "
                    "mend the model"
                )
        ready += [(target, out_shape[name]) for target in targets[name] if target not in out_shape]
    missed = [name for name in nodes if name not in out_shape]
    if missed:
        first = min(missed, key=lambda name: len(sources[name]) > 0)  # the cause rather than what is behind it
        raise ModelFileError(f"{nodes[first].owner}: nothing reaches it from an Input node; connect it or leave it out")
    return in_shape, out_shape


def node_shapes(node: Node, arriving: Shape) -> tuple[Shape, Shape]:
    """Return the shape that a node takes and the one that it gives, where this shape arrives."""
    values, kind = node.values, node.kind
    if kind in NEURONS or kind in ("Scale", "Delay"):
        own = _common_shape(node)
        return (arriving, arriving) if math.prod(own) == 1 else (own, own)  # one value may stand for all
    if kind in ("Affine", "Linear"):
        shape = np.shape(values["weight"])
        if len(shape) < 2 or (kind == "Affine" and np.shape(values["bias"]) not in ((), shape[:-1])):
            bias = f" and bias {np.shape(values['bias'])}" if kind == "Affine" else ""
            raise ModelFileError(f"{node.owner}: weight {shape}{bias} are not (..., out, in) and (..., out)")
        return (*shape[:-2], shape[-1]), shape[:-1]
    if kind in ("Conv1d", "Conv2d"):
        return _conv_shapes(node, arriving)
    if kind in ("SumPool2d", "AvgPool2d"):
        if len(arriving) != 3:
            raise ModelFileError(f"{node.owner}: its input has shape {arriving}, it must be (channels, height, width)")
        size, stride, padding, _ = window(node, arriving[1:])
        return arriving, (arriving[0], *_slid(arriving[1:], size, stride, padding, (1, 1)))
    if kind == "Flatten":
        given = values.get("input_type")
        shape = arriving if given is None else tuple(int(n) for n in np.atleast_1d(given))
        start, end = (int(np.atleast_1d(values[key])[0]) for key in ("start_dim", "end_dim"))
        first, last = (index + len(shape) if index < 0 else index for index in (start, end))
        if not 0 <= first <= last < len(shape):
            raise ModelFileError(
                f"{node.owner}: start_dim {start} and end_dim {end} do not fit shape {shape}; NIR has no batch"
            )
        return shape, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])
    own = tuple(int(n) for n in np.atleast_1d(values["shape"]))  # Input, Output, Identity
    return own, own


def _common_shape(node: Node) -> Shape:
    """Return the shape of a node's parameters; one value may stand for all."""
    shapes = {key: np.shape(value) for key, value in node.values.items()}
    several = {shape for shape in shapes.values() if math.prod(shape) != 1}
    if len(several) > 1:
        raise ModelFileError(
            f"{node.owner}: its parameters have different shapes: {shapes}; give all of them one value per neuron"
        )
    return several.pop() if several else max(shapes.values(), key=len)


def _conv_shapes(node: Node, arriving: Shape) -> tuple[Shape, Shape]:
    """As `node_shapes`, of convolutions."""
    rank = int(node.kind[4])
    weight, groups = np.shape(node.values["weight"]), int(np.atleast_1d(node.values["groups"])[0])
    if len(weight) != rank + 2 or 0 in weight or groups < 1 or weight[0] % groups:
        raise ModelFileError(f"{node.owner}: weight {weight} with {groups} groups is not (out, in / groups, kernel)")
    if np.shape(node.values["bias"]) not in ((), (1,), (weight[0],)):
        raise ModelFileError(f"{node.owner}: bias {np.shape(node.values['bias'])} is not one number per output channel")
    channels, given = weight[1] * groups, node.values.get("input_shape")
    if given is not None:
        space = (
            tuple(int(n) for n in np.broadcast_to(np.atleast_1d(given), (rank,))) if np.size(given) in (1, rank) else ()
        )
    else:
        space = arriving[1:]
    if len(space) != rank:
        raise ModelFileError(
            f"{node.owner}: input_shape {given if given is not None else arriving} does not have "
            f"{'channels and ' if given is None else ''}{rank} dimensions of space"
        )
    size, stride, padding, dilation = window(node, space)
    return (channels, *space), (weight[0], *_slid(space, size, stride, padding, dilation))


Window = tuple[Shape, Shape, tuple[tuple[int, int], ...], Shape]


def window(node: Node, space: Shape) -> Window:
    """Return kernel size, stride, padding (before, after) and dilation of a convolution or a pool, one of each per axis."""
    rank, values = len(space), node.values

    def per_axis(key: str, low: int) -> Shape:
        given = np.atleast_1d(values[key])
        if given.size not in (1, rank) or given.min() < low or given.max() > MAX_ELEMENTS:
            raise ModelFileError(f"{node.owner}: {key} {given.tolist()} is not 1 or {rank} integers of at least {low}")
        return tuple(int(n) for n in np.broadcast_to(given, (rank,)))

    convolution = node.kind.startswith("Conv")
    size = np.shape(values["weight"])[2:] if convolution else per_axis("kernel_size", 1)
    dilation = per_axis("dilation", 1) if convolution else (1,) * rank
    stride = per_axis("stride", 1)
    given: Any = values["padding"]
    if given == "same" if isinstance(given, str) else False:
        if any(s != 1 for s in stride):
            raise node.refuse(f"padding 'same' with stride {stride} is not defined", "give the padding in numbers")
        total = [d * (k - 1) for d, k in zip(dilation, size, strict=True)]
        padding = tuple((n // 2, n - n // 2) for n in total)  # as torch: the odd one behind
    else:
        padding = ((0, 0),) * rank if isinstance(given, str) else tuple((p, p) for p in per_axis("padding", 0))
    return size, stride, padding, dilation


def _slid(space: Shape, size: Shape, stride: Shape, padding: tuple[tuple[int, int], ...], dilation: Shape) -> Shape:
    """Return how many places a window has along each axis; none where it does not fit."""
    return tuple(
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, k, s, (before, after), d in zip(space, size, stride, padding, dilation, strict=True)
    )


def _check_edge(
    nodes: Mapping[str, Node], given: Shape, source: str, wanted: Shape, target: str, notes: list[ImportNote]
) -> None:
    """Refuse an edge between different numbers of elements; note one between different shapes."""
    if given == wanted:
        return
    if math.prod(given) != math.prod(wanted):
        raise ModelFileError(
            f"{nodes[target].owner}: {nodes[source].owner} gives shape {given}, it takes {wanted}; "
            "the numbers of elements must be equal"
        )
    notes.append(
        ImportNote(
            target, "info", f"takes shape {given} of {source!r} as {wanted}, elements in C order (a missing Flatten)"
        )
    )
