"""Groups in chip integers as NIR's neurons in floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import UnsupportedNode
from neurosim.exchange.imported import Order
from neurosim.fixedpoint import ARITHMETICS, DECAY_ONE, INPUT_SHIFT, RANGES
from neurosim.groups import LIF, Input
from neurosim.network import Group, Network
from neurosim.neurons import GradedVec

Floats = npt.NDArray[np.float64]

UNIT = 1 << INPUT_SHIFT  # of v in one unit of weight
LONG = float(1 << 30)  # steps: a time constant that leaks 1e-9 per step, where NIR has no word for no leak


@dataclass(frozen=True, eq=False)
class FloatGroup:
    """A group in floats.

    Parameters
    ----------
    kind : {"Input", "Threshold", "I", "IF", "LI", "LIF", "CubaLI", "CubaLIF"}
    n : int
    scale : float
        Chip weight units per float unit.
    d_syn, d_mem : (n,) float
        Decays per step: what the registers give.
    v_threshold : (n,) float
        In float units.
    bias : (n,) float
        Per step, in float units.
    """

    kind: str
    n: int
    scale: float
    d_syn: Floats
    d_mem: Floats
    v_threshold: Floats
    bias: Floats

    @property
    def takes_bias_as_input(self) -> bool:
        """Whether a constant input adds to v as a bias does: no current with memory is between."""
        return self.kind in ("I", "IF", "LI", "LIF")

    @property
    def gain(self) -> float:
        """By how much input of 1 moves v: d_mem where the node has r = 1, which Norse takes every LIF to have; otherwise 1."""
        return float(self.d_mem[0]) if self.kind in ("LI", "LIF") and np.all(self.d_mem == self.d_mem[0]) else 1.0

    @property
    def input_scale(self) -> float:
        """Chip weight units per unit of the node's input."""
        return self.scale * self.gain

    @property
    def input_bias(self) -> Floats:
        """The bias as input of the node, (n,)."""
        return self.bias / self.gain

    def node(self, dt: float, shape: tuple[int, ...], order: Order, with_bias: bool) -> Any:
        """Return the node of the nir library.

        r and w_in are such that input of 1 moves v by `gain`: ``r dt / tau_mem = gain``, ``w_in dt / tau_syn = 1``.

        Parameters
        ----------
        dt : float
        shape : tuple of int
            In NIR.
        order : (n,) int64
            Element that each neuron is.
        with_bias : bool
            Whether the bias must be in the leak.
        """
        import nir

        def laid(values: Floats) -> Floats:
            found = np.empty(self.n)
            found[order] = values
            return found.reshape(shape)

        if self.kind == "Input":
            return nir.Input({"input": np.array(shape)})
        if self.kind == "Threshold":
            return nir.Threshold(laid(self.v_threshold))
        bias = self.bias if with_bias else np.zeros(self.n)
        kind = {"IF": "LIF", "I": "LI"}.get(self.kind, self.kind) if np.any(bias) else self.kind
        d_mem = np.where(self.d_mem > 0, self.d_mem, 1 / LONG)
        threshold = {"v_threshold": laid(self.v_threshold), "v_reset": np.zeros(shape)} if kind.endswith("IF") else {}
        if kind in ("I", "IF"):
            return getattr(nir, kind)(r=np.full(shape, 1 / dt), **threshold)
        common = {"r": laid(self.gain / d_mem), "v_leak": laid(bias / d_mem)} | threshold
        if kind in ("LI", "LIF"):
            return getattr(nir, kind)(tau=laid(dt / d_mem), **common)
        return getattr(nir, kind)(
            tau_mem=laid(dt / d_mem), tau_syn=laid(dt / self.d_syn), w_in=laid(1 / self.d_syn), **common
        )


def float_group(network: Network, group: Group, scales: Mapping[str, float], arithmetic: str) -> FloatGroup:
    """Return a group in floats.

    Parameters
    ----------
    network : Network
    group : Group
        One of its groups.
    scales : mapping
        As in `nirexport.write_nir`.
    arithmetic : str
        As in `Model`: with "lava-dl" a spike is where v reaches the threshold; here it is half a unit of v lower.

    Raises
    ------
    UnsupportedNode
        If NIR has no neurons like these.
    """
    n = group.n
    zero, one = np.zeros(n), np.ones(n)
    if type(group) is Input:
        return FloatGroup("Input", n, 1.0, one, zero, zero, zero)
    given = scales.get(f"group/{group.name}")
    if type(group) is GradedVec and group.relu:
        scale = given or float(max(group.vth, 1))
        return FloatGroup("Threshold", n, scale, one, zero, np.full(n, group.vth / scale), zero)
    if type(group) is not LIF:
        raise UnsupportedNode(
            f"group {group.name!r} ({type(group).__name__}): NIR has no node for this neuron model; "
            "it has LIF with and without current, and GradedVec with relu where its values are not used"
        )
    d_syn = np.broadcast_to((np.asarray(group.du) + 1) / DECAY_ONE, (n,))
    d_mem = np.broadcast_to(np.asarray(group.dv) / DECAY_ONE, (n,))
    vth = np.broadcast_to(np.asarray(group.vth, np.float64), (n,))
    sends = any(c.source == group.name for c in network.connections)
    reads = not sends and bool(np.all(vth == RANGES["vth"].high))
    scale = given or (1.0 if reads else float(max(vth.max(), 1.0)))
    early = 0.5 / UNIT if ARITHMETICS[arithmetic].fires_at_threshold else 0.0
    has_current, leaks = bool(np.any(d_syn < 1)), bool(np.any(d_mem > 0))
    kind = "Cuba" * has_current + "L" * (has_current or leaks) + "I" + "F" * (not reads)
    bias = group.bias / (UNIT * scale)
    return FloatGroup(kind, n, scale, d_syn, d_mem, (vth - early) / scale, bias)
