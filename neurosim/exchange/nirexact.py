"""Exact chip integers in the metadata of a NIR graph, beside the floats that every reader understands."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim.arrayfile import pack_arrays, unpack_arrays
from neurosim.errors import ModelFileError, NeurosimError
from neurosim.exchange.imported import Imported, ImportNote, Port
from neurosim.exchange.lowering_timing import schedule
from neurosim.exchange.nirnodes import Graph, read_graph
from neurosim.exchange.nirshapes import group_places
from neurosim.modelfile import Model, pack_model, unpack_model
from neurosim.network import Input, Network

TEXT, ARRAY = "neurosim", "neurosim."  # keys in the graph's metadata: the text, and before the name of each array
MAX_SHOWN = 200  # characters of a cause, in notes
MAX_TEXT = 1 << 20  # bytes; `neurosim.hdf5tree` reads no longer strings


def graph_digest(graph: Graph) -> str:
    """Return the SHA-256 of all that a graph computes: nodes, their fields and edges; not metadata, nor number types."""
    digest = hashlib.sha256()
    for name in sorted(graph.nodes):
        node = graph.nodes[name]
        if isinstance(node, Graph):
            digest.update(f"{name}:{graph_digest(node)};".encode())
            continue
        digest.update(f"{name}:{node.kind};".encode())
        for key in sorted(node.values):
            value = node.values[key]
            if isinstance(value, str):
                digest.update(f"{key}={value};".encode())
                continue
            array = np.atleast_1d(value).astype("<f8")
            digest.update(f"{key}{array.shape}".encode() + array.tobytes())
    digest.update(json.dumps(sorted(graph.edges)).encode())
    return digest.hexdigest()


def embed(model: Model, digest: str) -> dict[str, Any]:
    """Return metadata that hold a model to the last bit.

    Parameters
    ----------
    model : Model
    digest : str
        `graph_digest` of the graph that they go with.

    Raises
    ------
    ModelFileError
        If the model's own metadata are too long.
    """
    packed = pack_model(model)
    header, arrays = unpack_arrays(packed)
    forms = {name: [array.dtype.str[1:], list(array.shape)] for name, array in arrays.items()}
    content = {"graph": digest, "sha256": hashlib.sha256(packed).hexdigest(), "arrays": forms, "model": header}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    if len(text) >= MAX_TEXT:
        raise ModelFileError(
            f"model: its metadata take {len(text)} bytes as text, at most {MAX_TEXT - 1} fit; shorten them"
        )
    kept: dict[str, Any] = {TEXT: text}
    return kept | {ARRAY + name: array.ravel() for name, array in sorted(arrays.items()) if array.size}


def _restore(metadata: Mapping[str, Any]) -> tuple[Model, str]:
    """Return the model that `embed` put there, and the digest of its graph."""
    content = json.loads(metadata[TEXT])
    arrays = {}
    for name, (code, shape) in content["arrays"].items():
        dtype = np.dtype(str(code))
        stored = np.asarray(metadata.get(ARRAY + name, np.zeros(0, dtype)))
        if dtype.kind != "i" or stored.dtype.kind != "i":
            raise ValueError(f"array {name!r} is {stored.dtype}")
        arrays[name] = stored.astype(dtype).reshape([int(n) for n in shape])
    packed = pack_arrays(content["model"], arrays)
    if hashlib.sha256(packed).hexdigest() != content["sha256"]:
        raise ValueError("the checksum is another")
    return unpack_model(packed), str(content["graph"])


def exact_model(graph: Graph, notes: list[ImportNote]) -> Model | None:
    """Return the model in a graph's metadata; None if there is none, or the graph has been changed since.

    Parameters
    ----------
    graph : Graph
    notes : list of ImportNote
        Extended, if integers are there and not taken.
    """
    if not isinstance(graph.metadata.get(TEXT), str):
        return None
    try:
        model, digest = _restore(graph.metadata)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, NeurosimError) as error:
        notes.append(
            ImportNote(
                "graph",
                "warning",
                f"chip integers in its metadata are damaged ({str(error)[:MAX_SHOWN]}); its floats are taken",
            )
        )
        return None
    if digest != graph_digest(graph):
        notes.append(
            ImportNote(
                "graph", "warning", "has been changed since its chip integers were written; its floats are taken"
            )
        )
        return None
    return model


def read_nir_model(path: str | os.PathLike[str] | Any) -> Model | None:
    """Return the model that `write_nir` wrote into a NIR file, equal to the last bit.

    Returns
    -------
    Model or None
        None if the file holds no chip integers, or its graph has been changed since.

    Raises
    ------
    ModelFileError, UnsupportedNode
        If the file is damaged or not NIR.
    """
    return exact_model(read_graph(path, []), [])


def exact_import(graph: Graph, dt: float, notes: list[ImportNote]) -> Imported | None:
    """Return a file's exact integers as what readers return; None as `exact_model`."""
    model = exact_model(graph, notes)
    if model is None:
        return None
    notes.append(ImportNote("graph", "info", "its metadata hold chip integers: these are taken, equal to the last bit"))
    if dt != model.network.dt:
        notes.append(
            ImportNote(
                "graph",
                "warning",
                f"chip integers were made for dt {model.network.dt:g}; the dt given, {dt:g}, has no effect",
            )
        )
    network = model.network
    first = next((group.name for group in network.groups if isinstance(group, Input)), None)
    if first is None:
        notes.append(ImportNote("graph", "warning", "chip integers without input group; the floats are taken"))
        return None
    source = {
        "version": graph.version,
        "dt": network.dt,
        "exact": True,
        "chip": model.chip.name,
        "metadata": dict(model.metadata),
    }
    inputs, outputs = _port(model, "inputs", first), _port(model, "outputs", model.readout)
    return Imported(
        network, inputs, outputs, "nir", source, tuple(notes), _lags(network), model.arithmetic,
    )  # fmt: skip


def _port(model: Model, key: str, group: str) -> Port:
    """Return a port that the model's metadata describe, or else that of a group as it lies in NIR."""
    kept = model.metadata.get(key)
    try:
        if kept is None:
            place = group_places(model.network)[group]
            return Port(group, place.shape, place.order)
        n = model.network.group(str(kept["group"])).n
        if math.prod(int(size) for size in kept["shape"]) != n:  # before an array of that size is made
            raise ValueError(f"shape {kept['shape']} does not have {n} elements")
        port = Port.from_dict(kept)
        if not np.array_equal(np.sort(port.order), np.arange(n)):
            raise ValueError(f"they do not number the neurons of group {port.group[:MAX_SHOWN]!r}")
        return port
    except (LookupError, TypeError, ValueError, AttributeError, NeurosimError) as error:
        raise ModelFileError(
            f"graph: {key} in the model's metadata are wrong ({str(error)[:MAX_SHOWN]}); write the file anew"
        ) from error


def _lags(network: Network) -> dict[str, int]:
    names = [group.name for group in network.ordered_groups]
    targets = {name: [c.target for c in network.connections if c.source == name] for name in names}
    return schedule(names, targets).lag
