"""What NIR's equations give, by Euler's method and in loops over pixels: nothing here is shared with neurosim.

Nodes act in the order of a list, each on what its sources gave in this step, or in the step before where they come later in the list: so
layers act at once and recurrence takes a step. A spike is `size`.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def convolve(x: Floats, node: Any) -> Floats:
    """Cross-correlate (channels, *space) with a node's kernel, pixel by pixel."""
    rank = x.ndim - 1
    weight, groups = np.asarray(node.weight, float), int(node.groups)
    stride, dilation = (np.broadcast_to(np.atleast_1d(v), (rank,)) for v in (node.stride, node.dilation))
    size = np.array(weight.shape[2:])
    if isinstance(node.padding, str):
        total = dilation * (size - 1) if node.padding == "same" else 0 * size
        pads = [(int(n) // 2, int(n) - int(n) // 2) for n in total]
    else:
        pads = [(int(p), int(p)) for p in np.broadcast_to(np.atleast_1d(node.padding), (rank,))]
    padded = np.pad(x, [(0, 0), *pads])
    n_out = [(padded.shape[1 + a] - dilation[a] * (size[a] - 1) - 1) // stride[a] + 1 for a in range(rank)]
    out = np.zeros((len(weight), *n_out))
    per_group = weight.shape[1]
    for o in range(len(weight)):
        group = o // (len(weight) // groups)
        part = padded[group * per_group : (group + 1) * per_group]
        for place in np.ndindex(*n_out):
            cut = tuple(
                slice(int(p * stride[a]), int(p * stride[a] + dilation[a] * (size[a] - 1) + 1), int(dilation[a]))
                for a, p in enumerate(place)
            )
            out[(o, *place)] = (part[(slice(None), *cut)] * weight[o]).sum() + np.ravel(node.bias)[
                o % np.size(node.bias)
            ]
    return out


def pool(x: Floats, node: Any) -> Floats:
    """Sum or mean over windows; padding counts."""
    (kh, kw), (sh, sw), (ph, pw) = (np.broadcast_to(v, (2,)) for v in (node.kernel_size, node.stride, node.padding))
    padded = np.pad(x, [(0, 0), (ph, ph), (pw, pw)])
    height, width = (padded.shape[1] - kh) // sh + 1, (padded.shape[2] - kw) // sw + 1
    out = np.zeros((len(x), height, width))
    for i, j in np.ndindex(height, width):
        out[:, i, j] = padded[:, i * sh : i * sh + kh, j * sw : j * sw + kw].sum((1, 2))
    return out / (kh * kw) if isinstance(node, nir.AvgPool2d) else out


class Reference:
    """A graph that runs step by step; `order` lists its nodes but the Inputs and Outputs."""

    def __init__(self, graph: Any, order: list[str], dt: float, size: float = 1.0) -> None:
        self.graph, self.order, self.dt, self.size = graph, order, dt, size
        self.gives: dict[str, Any] = {}  # neurons give nothing before the first step
        for name, node in graph.nodes.items():
            if hasattr(node, "r") or isinstance(node, nir.Threshold):
                self.gives[name] = np.zeros(np.shape(node.r if hasattr(node, "r") else node.threshold))
        self.state: dict[str, Any] = {}

    def step(self, given: Floats) -> None:
        """Advance by one step; `given` goes to the Input."""
        now = dict(self.gives)
        for name, node in self.graph.nodes.items():
            if isinstance(node, nir.Input):
                now[name] = np.asarray(given, float) * self.size
        for name in self.order:
            taken = [now[source] for source, target in self.graph.edges if target == name and source in now]
            x = sum(taken)
            now[name] = self.node(name, self.graph.nodes[name], x)
        self.gives = now

    def node(self, name: str, node: Any, x: Any) -> Any:
        """Return what a node gives."""
        if isinstance(node, (nir.Affine, nir.Linear)):
            y = np.einsum("...oi,...i->...o", np.asarray(node.weight, float), x)
            return y + node.bias if isinstance(node, nir.Affine) else y
        if isinstance(node, nir.Scale):
            return x * node.scale
        if isinstance(node, (nir.Conv1d, nir.Conv2d)):
            return convolve(x, node)
        if isinstance(node, (nir.SumPool2d, nir.AvgPool2d)):
            return pool(x, node)
        if isinstance(node, nir.Flatten):
            return np.asarray(x).reshape(node.output_type["output"])
        if isinstance(node, nir.Delay):
            past = self.state.setdefault(name, deque([np.zeros(node.delay.shape)] * 80, maxlen=80))
            past.appendleft(np.array(x, float))
            steps = np.rint(node.delay / self.dt).astype(int)
            history = np.array(past).reshape(80, -1)
            return history[steps.ravel(), np.arange(steps.size)].reshape(steps.shape)
        if isinstance(node, nir.Threshold):
            return (x > node.threshold) * self.size
        return self.neurons(name, node, x)

    def neurons(self, name: str, node: Any, x: Any) -> Any:
        """Advance neurons; their state is (current, v), v from v_reset."""
        start = np.zeros(node.r.shape) + getattr(node, "v_reset", 0.0)
        current, v = self.state.get(name, (np.zeros(node.r.shape), start))
        if isinstance(node, (nir.CubaLI, nir.CubaLIF)):
            current = current + self.dt / node.tau_syn * (-current + node.w_in * x)
            v = v + self.dt / node.tau_mem * ((node.v_leak - v) + node.r * current)
        elif isinstance(node, (nir.LI, nir.LIF)):
            v = v + self.dt / node.tau * ((node.v_leak - v) + node.r * x)
        else:
            v = v + self.dt * node.r * x
        spike = np.zeros(v.shape, bool)
        if hasattr(node, "v_threshold"):
            spike = v > node.v_threshold
            v = np.where(spike, node.v_reset, v)
        self.state[name] = (current, v)
        return spike * self.size if hasattr(node, "v_threshold") else v


def run(graph: Any, order: list[str], given: Floats, dt: float, size: float = 1.0) -> dict[str, Floats]:
    """Return what each node of `order` gives in each step, (n_steps, n) each; `given` is (n_steps, *shape)."""
    reference = Reference(graph, order, dt, size)
    found: dict[str, list[Floats]] = {name: [] for name in order}
    for x in given:
        reference.step(x)
        for name in order:
            found[name].append(np.ravel(np.asarray(reference.gives[name], float)))
    return {name: np.array(rows) for name, rows in found.items()}
