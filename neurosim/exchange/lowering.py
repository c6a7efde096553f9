"""From a NIR graph to a network in floats, in the timing of the chip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from neurosim.errors import CapacityError, ModelFileError, UnsupportedNode
from neurosim.exchange.imported import Imported, ImportNote, Order, Port, chip_order
from neurosim.exchange.lowering_flow import RENAMING, arrivals
from neurosim.exchange.lowering_kernels import Floats, Kernel
from neurosim.exchange.lowering_links import LinkFormat, link
from neurosim.exchange.lowering_maps import LinearMap, Matrix, compose, delayed, diagonal
from neurosim.exchange.lowering_neurons import Decay, Neurons, Spike, neurons_of, readout_of
from neurosim.exchange.lowering_notes import note_bias, note_spike_size
from neurosim.exchange.lowering_timing import schedule
from neurosim.exchange.nirgraph import MAX_ELEMENTS, NEURONS, FlatGraph
from neurosim.exchange.nirnodes import Node
from neurosim.groups import STATELESS, CubaLIF, Input
from neurosim.network import Connection, Network

INPUT_BITS = 8  # of messages from inputs with values: counts of events up to 255
CurrentBias = Literal["steady", "neuron"]


@dataclass(frozen=True)
class Convention:
    """What NIR leaves open; see `neurosim.exchange.nirfile.read_nir`."""

    dt: float
    spike: Spike
    decay: Decay = "euler"
    current_bias: CurrentBias = "steady"
    input_values: bool = False
    num_weight_bits: int = 8
    strict: bool = False


def lower(graph: FlatGraph, how: Convention, name: str, notes: list[ImportNote]) -> Imported:
    """Return the network that a graph is.

    Each node of neurons becomes a group, and all linear nodes between two groups become one connection. An Output that linear
    nodes feed becomes a readout.

    Parameters
    ----------
    graph : FlatGraph
    how : Convention
    name : str
        Of the network.
    notes : list of ImportNote
        What reading the file noted; extended.
    """
    first, last = _end(graph, "Input"), _end(graph, "Output")
    arriving = arrivals(graph, how.dt, notes)
    outputs = _output_group(graph, last)
    kept = [n for n, node in graph.nodes.items() if node.kind in NEURONS or n == first or (n == last and n == outputs)]
    named = _names(kept, notes)
    size = {n: math.prod(graph.out_shape[n]) for n in kept}
    if sum(size.values()) > MAX_ELEMENTS:
        raise ModelFileError(
            f"graph: {sum(size.values())} neurons exceed the limit of {MAX_ELEMENTS}; import a smaller model"
        )
    orders = {n: _order(graph.out_shape[n]) for n in kept}
    targets: dict[str, list[str]] = {n: [] for n in [first, *kept]}
    for n in kept:
        for origin in arriving[n].maps if n in arriving else ():
            targets[origin].append(n)
    timing = schedule(list(targets), targets)
    groups: dict[str, CubaLIF | Input] = {first: Input(named[first], size[first])}
    connections: list[Connection] = []
    steady: dict[str, Floats] = {}
    for n in sorted((n for n in kept if n != first), key=lambda n: (n == outputs, timing.lag[n])):
        neurons = _neurons(graph.nodes[n], size[n], how, notes)
        neurons, steady[n] = _with_constant(graph.nodes[n], neurons, arriving[n].constant, how, timing.lag[n], notes)
        neurons = neurons.permuted(orders[n])
        group = groups[n] = neurons.group(named[n])
        own = []
        for origin, found in arriving[n].maps.items():
            found = _scaled(found, neurons, orders[n], graph.out_shape[n], graph.nodes[n])
            found = _waiting(found, timing.wait[origin, n], named[origin], named[n], how.strict, notes)
            bits = INPUT_BITS if origin == first and how.input_values else 0
            form = LinkFormat(how.num_weight_bits, bits)
            own.append(link(named[origin], named[n], found, orders[origin], orders[n], form))
        connections += own
        note_spike_size(group, own, how.dt, how.spike, notes)
    connections += _bias_neuron(groups, named, steady, orders, timing.lag, how)
    network = Network(tuple(groups.values()), tuple(connections), dt=how.dt, name=name)
    return Imported(
        network,
        Port(named[first], graph.out_shape[first], orders[first]),
        Port(named[outputs], graph.in_shape[last], orders[outputs]),
        "nir",
        {
            "dt": how.dt,
            "spike": how.spike,
            "decay": how.decay,
            "current_bias": how.current_bias,
            "input_values": how.input_values,
        },
        tuple(notes),
        {named[n]: timing.lag[n] for n in groups if n in named},
    )


def _end(graph: FlatGraph, kind: str) -> str:
    """Return the one Input or Output of a graph."""
    found = graph.of_kind(kind)
    if len(found) != 1:
        names = ", ".join(repr(n) for n in found[:4]) or "none"
        raise UnsupportedNode(
            f"graph: has {len(found)} {kind} nodes ({names}), exactly one is supported; split or join them"
        )
    if kind == "Output" and not graph.sources[found[0]]:
        raise ModelFileError(f"{graph.nodes[found[0]].owner}: nothing is connected to it; mend the edges")
    return found[0]


def _output_group(graph: FlatGraph, last: str) -> str:
    """Return the node whose group is the output: neurons, directly or renamed, or else the Output node itself."""
    name = last
    while name == last or graph.nodes[name].kind in RENAMING:
        if len(graph.sources[name]) != 1:
            return last
        name = graph.sources[name][0]
    return name if graph.nodes[name].kind in NEURONS else last


def _names(nodes: list[str], notes: list[ImportNote]) -> dict[str, str]:
    """Return a name for each group that `neurosim.checks.check_name` takes, the node's own where it does."""
    named: dict[str, str] = {}
    taken = set(nodes)
    for node in nodes:
        name = node.replace("->", "_").replace("/", "_") or "group"
        stem, i = name, 2
        while name != node and name in taken:
            name, i = f"{stem}_{i}", i + 1
        taken.add(name)
        named[node] = name
        if name != node:
            notes.append(ImportNote(node, "info", f"its group is called {name!r}: names have neither '->' nor '/'"))
    return named


def _order(shape: tuple[int, ...]) -> Order:
    return chip_order(shape) if shape else np.zeros(1, np.int64)


def _neurons(node: Node, n: int, how: Convention, notes: list[ImportNote]) -> Neurons:
    if node.kind == "Output":
        notes.append(
            ImportNote(
                node.name,
                "info",
                "is fed by linear nodes: a group of this name holds their value of each step as u, and its sum over all steps as v",
            )  # fmt: skip
        )
        return readout_of(n, how.dt, how.spike)
    return neurons_of(node, n, how.dt, how.spike, how.decay, notes)


def _with_constant(
    node: Node, neurons: Neurons, constant: Floats | None, how: Convention, lag: int, notes: list[ImportNote]
) -> tuple[Neurons, Floats]:
    """Return neurons with the biases of the nodes before them, and what of these a neuron that fires always must bring."""
    n = len(neurons.gain)
    constant = np.zeros(n) if constant is None else constant
    brought = np.zeros(n)
    if neurons.model == STATELESS:
        threshold = neurons.v_threshold - constant
        same = bool(np.all(threshold == threshold[0]))
        if np.any(threshold < 0) or (not same and np.any(threshold == 0)):
            raise node.refuse(
                f"its threshold less the bias before it is {float(threshold.min()):g}, it would fire without input",
                "raise the threshold or lower the bias",
            )
        if not same:  # one threshold for all on the chip: 1, and weights as much smaller
            return replace(neurons, gain=neurons.gain / threshold, v_threshold=np.ones(n)), brought
        return replace(neurons, v_threshold=threshold), brought
    if neurons.tau_syn is not None and how.current_bias == "neuron":
        brought = neurons.current_gain * constant
        bias = neurons.bias
    else:
        bias = neurons.bias + neurons.held_gain * constant
    note_bias(node.name, neurons, bias, constant, lag, how.spike, bool(np.any(brought)), notes)
    return replace(neurons, bias=bias), brought


def _scaled(found: LinearMap, neurons: Neurons, order: Order, shape: tuple[int, ...], node: Node) -> LinearMap:
    """Return a map with the factor of each target neuron in it."""
    gain = np.empty_like(neurons.gain)
    gain[order] = neurons.gain
    if np.all(gain == 1):
        return found
    if isinstance(found, Matrix):
        return found._replace(weights=found.weights * gain[:, None])
    if isinstance(found, Kernel) and np.all(gain == gain[0]):
        return replace(found, weights=found.weights * gain[0])
    try:
        return compose(diagonal(gain, found.out_shape if isinstance(found, Kernel) else shape), found)
    except CapacityError as error:
        raise node.refuse(
            f"with parameters of each neuron it has {error}", "make them equal within a channel"
        ) from error


def _waiting(found: LinearMap, wait: int, source: str, target: str, strict: bool, notes: list[ImportNote]) -> LinearMap:
    """Return a map that arrives together with the other branches; what cannot arrive early enough is late."""
    if wait >= 0:
        return delayed(found, wait)
    if isinstance(found, (Kernel, Matrix)):
        late = max(0, -wait - found.delay)
        found = delayed(found, max(wait, -found.delay))
    else:
        late = max(0, -wait - int(found.delay.min(initial=0)))
        found = found._replace(delay=np.maximum(found.delay + wait, 0))
    if late:
        text = (
            f"feedback to {target!r} closes a loop of several connections: it arrives {late} step{'s' * (late > 1)} late, "
            "because each connection takes a step on the chip"
        )
        if strict:
            raise UnsupportedNode(
                f"node {source!r}: {text}; put a Delay of as many steps into the loop, or allow it (strict=False)"
            )
        notes.append(ImportNote(source, "warning", text))
    return found


def _bias_neuron(
    groups: dict[str, CubaLIF | Input], named: Mapping[str, str], brought: Mapping[str, Floats],
    orders: Mapping[str, Order], lag: Mapping[str, int], how: Convention,
) -> list[Connection]:  # fmt: skip
    """Add a neuron that fires in each step, and return its connections: constant inputs of currents."""
    wanted = [n for n in groups if n in brought and np.any(brought[n])]
    if not wanted:
        return []
    name = "bias"
    while name in named.values() or name in groups:
        name += "_"
    keys = list(groups)
    rest = {key: groups.pop(key) for key in keys}
    first, *others = keys
    groups[first] = rest[first]
    groups[name] = CubaLIF(name, 1, bias=2.0)  # over its threshold of 1 in each step
    groups |= {key: rest[key] for key in others}
    # Its first spike arrives in step 2; the framework's step 1 is step 1 + lag here.
    form = LinkFormat(how.num_weight_bits)
    return [
        link(name, named[n], Matrix(brought[n][:, None], max(0, lag[n] - 1)), np.zeros(1, np.int64), orders[n], form)
        for n in wanted
    ]
