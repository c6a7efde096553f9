"""NIR files in: from an HDF5 file, or a graph of the nir library, to checked nodes and edges."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import ModelFileError, UnsupportedNode
from neurosim.exchange.imported import ImportNote
from neurosim.hdf5tree import Tree, read_tree

Floats = npt.NDArray[np.float64]

#: Fields of each node of NIR 1.0.8: finite "floats", "limits" (floats that may be infinite), "ints", or "padding" (integers or
#: "same" or "valid"). Those behind "?" may be missing: older files have no v_reset and no w_in, newer ones may leave shapes open.
FIELDS: dict[str, str] = {
    "Input": "shape:ints",
    "Output": "shape:ints",
    "Affine": "weight:floats bias:floats",
    "Linear": "weight:floats",
    "Scale": "scale:floats",
    "Conv1d": "weight:floats bias:floats stride:ints padding:padding dilation:ints groups:ints input_shape?:ints",
    "Conv2d": "weight:floats bias:floats stride:ints padding:padding dilation:ints groups:ints input_shape?:ints",
    "SumPool2d": "kernel_size:ints stride:ints padding:ints",
    "AvgPool2d": "kernel_size:ints stride:ints padding:ints",
    "Flatten": "start_dim:ints end_dim:ints input_type?:ints",
    "Delay": "delay:floats",
    "Threshold": "threshold:limits",
    "I": "r:floats",
    "IF": "r:floats v_threshold:limits v_reset?:floats",
    "LI": "tau:limits r:floats v_leak:floats",
    "LIF": "tau:limits r:floats v_leak:floats v_threshold:limits v_reset?:floats",
    "CubaLI": "tau_syn:limits tau_mem:limits r:floats v_leak:floats w_in?:floats",
    "CubaLIF": "tau_syn:limits tau_mem:limits r:floats v_leak:floats v_threshold:limits v_reset?:floats w_in?:floats",
}
GRAPH = "NIRGraph"
#: What a field is where a file leaves it out; others are left out of the node's values.
DEFAULTS = {"v_reset": 0.0, "w_in": 1.0}
IGNORED = ("type", "metadata", "input_type", "output_type")
MAX_INT = 1 << 31
MAX_RANK = 8  # integers in a shape
MAX_SHOWN = 40  # characters of a text from a file, in errors


@dataclass(frozen=True, eq=False)
class Node:
    """A node of a graph.

    Parameters
    ----------
    name : str
        With the names of the graphs around it, joined by dots.
    kind : str
        Type in NIR, one of `FIELDS`.
    values : mapping
        Its fields: float64 or int64 arrays; "same" or "valid" for a padding.
    """

    name: str
    kind: str
    values: Mapping[str, Any]

    @property
    def owner(self) -> str:
        """For error texts."""
        return f"node {self.name!r} ({self.kind})"

    def refuse(self, why: str, remedy: str) -> UnsupportedNode:
        """Return the error that says why the node cannot be imported."""
        return UnsupportedNode(f"{self.owner}: {why}; {remedy}")


@dataclass(frozen=True, eq=False)
class Graph:
    """A NIR graph as a file holds it.

    Parameters
    ----------
    nodes : mapping of str to Node or Graph
    edges : tuple of (source, target)
        Names in `nodes`, in the file's order.
    metadata : mapping
    version : str
        Of NIR, as the file says.
    """

    nodes: Mapping[str, Node | Graph]
    edges: tuple[tuple[str, str], ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""


def read_graph(source: str | os.PathLike[str] | Any, notes: list[ImportNote]) -> Graph:
    """Return the graph of a NIR file, or of a ``nir.NIRGraph`` in memory.

    Parameters
    ----------
    source : path-like, mapping or nir.NIRGraph
        A mapping is what `neurosim.hdf5tree.read_tree` gives for a file.
    notes : list of ImportNote
        What was ignored is appended.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, too large, or not a NIR graph.
    UnsupportedNode
        If a node's type is not one of NIR 1.0.8.
    """
    if not isinstance(source, (str, os.PathLike, Mapping)):
        return _graph(_tree_of(source), "", "", notes)
    owner = "tree" if isinstance(source, Mapping) else f"file {os.fspath(source)!r}"
    tree = source if isinstance(source, Mapping) else read_tree(os.fspath(source))
    node, version = tree.get("node"), tree.get("version")
    kind = node.get("type") if isinstance(node, Mapping) else None
    if not isinstance(kind, str) or kind != GRAPH or not isinstance(version, str):
        raise ModelFileError(
            f"{owner}: has no NIR graph (groups 'version' and 'node'); give a file that nir.write made"
        )
    assert isinstance(node, Mapping)
    return _graph(node, "", version, notes)


def _tree_of(graph: Any) -> Tree:
    """Return what the nir library would write for a graph."""
    if type(graph).__name__ != GRAPH or not hasattr(graph, "to_dict"):
        raise ModelFileError(f"NIR: {type(graph).__name__} is neither a path nor a nir.NIRGraph; give one of them")
    tree: Tree = graph.to_dict()
    return tree


def _graph(tree: Mapping[str, Any], prefix: str, version: str, notes: list[ImportNote]) -> Graph:
    """Return a graph, with the graphs in it."""
    owner = f"graph {prefix.rstrip('.')!r}" if prefix else "graph"
    described, edges = tree.get("nodes"), tree.get("edges")
    if not isinstance(described, Mapping) or not described:
        raise ModelFileError(f"{owner}: has no nodes; write the file anew with nir.write")
    nodes: dict[str, Node | Graph] = {}
    for name, part in described.items():
        if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
            raise ModelFileError(f"node {prefix + name!r}: has no type; write the file anew with nir.write")
        if part["type"] == GRAPH:
            nodes[name] = _graph(part, f"{prefix}{name}.", version, notes)
        else:
            nodes[name] = _node(prefix + name, part, notes)
    metadata = tree.get("metadata")
    return Graph(nodes, _edges(owner, edges, nodes, notes), metadata if isinstance(metadata, Mapping) else {}, version)


def _edges(
    owner: str, given: Any, nodes: Mapping[str, Node | Graph], notes: list[ImportNote]
) -> tuple[tuple[str, str], ...]:
    """Return the edges once they are known to be pairs of names; an edge that is given twice counts once."""
    edges: dict[tuple[str, str], None] = {}
    if isinstance(given, np.ndarray) and not given.size:
        given = []
    if not isinstance(given, (list, tuple)):
        raise ModelFileError(f"{owner}: has no list of edges; write the file anew with nir.write")
    for pair in given:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(isinstance(end, str) for end in pair):
            raise ModelFileError(f"{owner}: an edge is not a pair of names; write the file anew with nir.write")
        for end in pair:
            if end not in nodes:
                raise ModelFileError(f"{owner}: an edge names {end[:MAX_SHOWN]!r}, which is no node; mend the edges")
        if (pair[0], pair[1]) in edges:
            notes.append(ImportNote(pair[1], "warning", f"edge from {pair[0]!r} is given twice; it counts once"))
        edges[pair[0], pair[1]] = None
    return tuple(edges)


def _node(name: str, tree: Mapping[str, Any], notes: list[ImportNote]) -> Node:
    """Return a node with all its fields checked for type."""
    kind = str(tree["type"])
    if kind not in FIELDS:
        raise UnsupportedNode(
            f"node {name!r} ({kind[:MAX_SHOWN]}): not a type of NIR 1.0.8; known are {', '.join(FIELDS)} and {GRAPH}"
        )
    values: dict[str, Any] = {}
    owner = f"node {name!r} ({kind})"
    for spec in FIELDS[kind].split():
        key, _, form = spec.partition(":")
        optional, key = key.endswith("?"), key.rstrip("?")
        given = tree.get(key)
        if isinstance(given, Mapping) and key == "input_type":  # in a graph in memory
            given = given.get("input")
        if given is not None:
            values[key] = _value(owner, key, given, form)
        elif key in DEFAULTS:
            values[key] = np.asarray(DEFAULTS[key])
        elif not optional:
            raise ModelFileError(f"{owner}: has no {key!r}; write the file anew with nir.write")
    for key in sorted(set(map(str, tree)) - set(values) - set(IGNORED)):
        if tree[key] is not None:
            notes.append(ImportNote(name, "warning", f"field {key!r} is not one of {kind} in NIR 1.0.8; ignored"))
    return Node(name, kind, values)


def _value(owner: str, key: str, given: Any, form: str) -> Any:
    """Return a field as an array of the type it must have."""
    if form == "padding" and isinstance(given, str):
        if given not in ("same", "valid"):
            raise ModelFileError(
                f"{owner}: padding {given[:MAX_SHOWN]!r} is unknown; choose 'same', 'valid' or integers"
            )
        return given
    if isinstance(given, str):
        raise ModelFileError(f"{owner}: {key} is the text {given[:MAX_SHOWN]!r}; it must be numbers")
    try:
        array = np.asarray(given)
    except (ValueError, TypeError) as error:
        raise ModelFileError(f"{owner}: {key} is no array of numbers ({error}); write the file anew") from error
    if array.dtype.kind not in "iuf":
        raise ModelFileError(f"{owner}: {key} has type {array.dtype}; it must be numbers")
    if form in ("floats", "limits"):
        floats = array.astype(np.float64)
        bad = ~np.isfinite(floats) if form == "floats" else np.isnan(floats)
        if bad.any():
            raise ModelFileError(f"{owner}: {int(bad.sum())} values of {key} are NaN or infinite; mend the model")
        return floats
    if not 0 < array.size <= MAX_RANK or array.ndim > 1:
        raise ModelFileError(f"{owner}: {key} has shape {array.shape}; it must be 1 to {MAX_RANK} integers in a row")
    if (
        array.dtype.kind == "f"
        and not np.array_equal(array, np.rint(array))
        or np.any(np.abs(array.astype(float)) > MAX_INT)
    ):
        raise ModelFileError(
            f"{owner}: {key} {array.ravel()[:4].tolist()} does not fit; it must be integers of 32 bits"
        )
    return array.astype(np.int64)
