"""Write models as NIR files: a graph in floats that every reader understands, with the exact integers in its metadata."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim.atomic import write_atomically
from neurosim.chip import load_chip
from neurosim.errors import ModelFileError
from neurosim.exchange.imported import ImportNote
from neurosim.exchange.nirexact import embed, graph_digest
from neurosim.exchange.nirgraph import flatten
from neurosim.exchange.nirgroups import float_group
from neurosim.exchange.nirlinks import Chain, chains
from neurosim.exchange.nirnodes import read_graph
from neurosim.exchange.nirshapes import group_places
from neurosim.modelfile import Model
from neurosim.network import Network

DEFAULT_CHIP = "loihi1"


def write_nir(
    model: Model | Network, path: str | os.PathLike[str], *, scales: Mapping[str, float] | None = None
) -> tuple[ImportNote, ...]:
    """Write a model in chip integers as a NIR file, whole or not at all.

    The graph holds the network in floats, so that Euler's method with a step of the network's dt does what the chip does but for
    its roundings: time constants are those that the registers give, a spike counts as 1, and Delay nodes stand where the chip is
    slower than layers that act at once. The root's metadata hold the model to the last bit; `read_nir` takes that.

    Parameters
    ----------
    model : Model or Network
        A network alone is kept with the chip "loihi1".
    path : path-like
    scales : mapping, optional
        "group/NAME": chip weight units per float unit, as `Quantized.scales`; by default the model's. A group that is not in it
        has threshold 1, or, if it is a readout, the chip's units.

    Returns
    -------
    tuple of ImportNote
        What the graph does otherwise than the chip.

    Raises
    ------
    UnsupportedNode
        If NIR has no word for a neuron model, or for messages with values.
    ModelFileError
        If the network has float parts, or its metadata are too long.
    RunFolderError
        If the file cannot be written.
    """
    if isinstance(model, Network):
        model = Model(model, load_chip(DEFAULT_CHIP))
    data, notes = pack_nir(model, scales)
    write_atomically(path, data)
    return notes


def pack_nir(model: Model, scales: Mapping[str, float] | None = None) -> tuple[bytes, tuple[ImportNote, ...]]:
    """Return the bytes of a NIR file, and notes, as `write_nir`."""
    import nir

    notes: list[ImportNote] = []
    graph = make_graph(model, model.scales if scales is None else scales, notes)
    read = read_graph(graph, [])
    flatten(read, [])  # its shapes fit, or we made a mistake
    graph.metadata = embed(model, graph_digest(read))
    buffer = io.BytesIO()
    nir.write(buffer, graph)
    return buffer.getvalue(), tuple(notes)


def make_graph(model: Model, scales: Mapping[str, float], notes: list[ImportNote]) -> Any:
    """Return the ``nir.NIRGraph`` of a model, without metadata."""
    import nir

    network = model.network
    if not network.is_quantized:
        raise ModelFileError(
            f"network {network.name!r}: has float parts, NIR is written from chip integers; quantize it first"
        )
    places = group_places(network)
    groups = {g.name: float_group(network, g, scales, model.arithmetic) for g in network.groups}
    found = chains(network, groups, places, model.arithmetic, notes)
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    for group in network.groups:
        shape, order = places[group.name]
        nodes[group.name] = groups[group.name].node(network.dt, shape, order, _bias_left(found, group.name))
        if not any(c.source == group.name for c in network.connections):
            name = _unused(f"{group.name}_output", nodes, network)
            nodes[name] = nir.Output({"output": np.array(shape)})
            edges.append((group.name, name))
    for chain in found:
        before = chain.source
        for kind, node in chain.nodes:
            name = _unused(f"{chain.source}_{chain.target}_{kind}", nodes, network)
            nodes[name] = node
            edges.append((before, name))
            before = name
        edges.append((before, chain.target))
    return nir.NIRGraph(nodes, edges, type_check=False)


def _bias_left(found: list[Chain], group: str) -> bool:
    """Whether no chain brings the bias of a group."""
    return not any(chain.target == group and chain.brings_bias for chain in found)


def _unused(name: str, nodes: Mapping[str, Any], network: Network) -> str:
    taken = {*nodes, *(group.name for group in network.groups)}
    stem, i = name, 2
    while name in taken:
        name, i = f"{stem}_{i}", i + 1
    return name
