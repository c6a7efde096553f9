"""NIR's neurons in the float conventions of `CubaLIF`: what stands before their input goes into the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurosim.exchange.imported import ImportNote
from neurosim.exchange.nirnodes import Node
from neurosim.fixedpoint import DECAY_ONE
from neurosim.groups import CubaLIF

Floats = npt.NDArray[np.float64]
Spike = Literal["unit", "impulse"]
Decay = Literal["euler", "exact"]

#: Neurons that do not fire: what they give is a voltage.
READOUTS = ("I", "LI", "CubaLI")
MEMBRANE = {"LI": "tau", "LIF": "tau", "CubaLI": "tau_mem", "CubaLIF": "tau_mem"}


@dataclass(frozen=True, eq=False)
class Neurons:
    """A group without its name, and the factors before its input.

    Parameters
    ----------
    gain : (n,) float
        What a spike through a weight of 1 moves v by, in total.
    held_gain : (n,) float
        What a constant input of 1 adds to v in each step; in the steady state where the current has a memory.
    current_gain : (n,) float
        The same as weight of a neuron that fires in each step.
    tau_mem, tau_syn : (n,) float or None
    v_threshold : (n,) float
        inf: a readout.
    bias : (n,) float
        From leak and reset, per step.
    model : str
        As in `CubaLIF`.
    """

    gain: Floats
    held_gain: Floats
    current_gain: Floats
    tau_mem: Floats | None
    tau_syn: Floats | None
    v_threshold: Floats
    bias: Floats
    model: str = "lif"

    def group(self, name: str) -> CubaLIF:
        """Return the group; what is the same for all neurons is one number."""
        tau_mem, tau_syn = (None if tau is None else _shared(tau) for tau in (self.tau_mem, self.tau_syn))
        return CubaLIF(
            name, len(self.gain), tau_mem, tau_syn, _shared(self.v_threshold), _shared(self.bias), self.model
        )

    def permuted(self, order: npt.NDArray[np.int64]) -> Neurons:
        """Return the neurons in another order: neuron i is the one that was number ``order[i]``."""
        tau_mem, tau_syn = (None if tau is None else tau[order] for tau in (self.tau_mem, self.tau_syn))
        return Neurons(
            self.gain[order], self.held_gain[order], self.current_gain[order], tau_mem, tau_syn,
            self.v_threshold[order], self.bias[order], self.model,
        )  # fmt: skip


def _shared(values: Floats) -> float | Floats:
    return float(values[0]) if np.all(values == values[0]) else values


def neurons_of(node: Node, n: int, dt: float, spike: Spike, decay: Decay, notes: list[ImportNote]) -> Neurons:
    """Return the neurons that a node describes.

    With d the decay of v per step (dt / tau, or 1 - exp(-dt / tau)) a spike of weight w moves v by ``w r d`` (LIF, LI),
    ``w w_in r d`` (CubaLIF, CubaLI; spread over tau_syn) or ``w r dt`` (IF, I); if a spike is an impulse, by 1 / dt more. v is
    counted from v_reset: then threshold and leak are less by v_reset, and the chip's reset to 0 is right.

    Parameters
    ----------
    node : Node
        One of `nirgraph.NEURONS`.
    n : int
        Number of neurons; parameters with one value stand for all.
    dt : float
    spike : {"unit", "impulse"}
    decay : {"euler", "exact"}
    notes : list of ImportNote
        Extended.

    Raises
    ------
    UnsupportedNode
        If a parameter has no meaning on a chip.
    """

    def each(key: str) -> Floats:
        return np.broadcast_to(np.ravel(node.values[key]), (n,)).astype(np.float64)

    once = 1.0 if spike == "unit" else 1.0 / dt
    nothing, one = np.zeros(n), np.ones(n)
    if node.kind == "Threshold":
        threshold = each("threshold")
        return Neurons(one * once, one, one, None, None, threshold, nothing, "threshold")
    r = each("r")
    tau_mem = tau_syn = None
    drive, leak = dt * r, nothing
    if node.kind in MEMBRANE:
        tau_mem, d_mem = _decay(node, MEMBRANE[node.kind], each(MEMBRANE[node.kind]), dt, decay, notes)
        drive, leak = d_mem * r, d_mem * each("v_leak")
    if node.kind in ("CubaLI", "CubaLIF"):
        tau_syn, _ = _decay(node, "tau_syn", each("tau_syn"), dt, decay, notes)
        drive = drive * each("w_in")
    if node.kind in READOUTS:
        return Neurons(drive * once, drive, drive, tau_mem, tau_syn, np.full(n, np.inf), leak)
    threshold, reset = each("v_threshold"), each("v_reset")
    if np.any(threshold <= reset):
        worst = int(np.argmax(threshold <= reset))
        raise node.refuse(
            f"neuron {worst} has v_threshold {threshold[worst]:g} at or below v_reset {reset[worst]:g}, it would fire in each step",
            "raise v_threshold or lower v_reset",
        )
    if np.any(reset):
        notes.append(
            ImportNote(
                node.name,
                "info",
                f"v is counted from v_reset ({_span(reset)}): threshold and leak are moved by it, and v starts at v_reset, not at 0",
            )  # fmt: skip
        )
        leak = leak - (d_mem * reset if node.kind in MEMBRANE else 0)
    return Neurons(drive * once, drive, drive, tau_mem, tau_syn, threshold - reset, leak)


def readout_of(n: int, dt: float, spike: Spike) -> Neurons:
    """Return the neurons that hold what a linear node gives to an output: u is its value of the step, v the sum of all."""
    one = np.ones(n)
    return Neurons(one * (1.0 if spike == "unit" else 1.0 / dt), one, one, None, None, np.full(n, np.inf), np.zeros(n))


def _decay(
    node: Node, key: str, tau: Floats, dt: float, decay: Decay, notes: list[ImportNote]
) -> tuple[Floats | None, Floats]:
    """Return a time constant, and what it decays by per step; None where it has no memory, or no leak."""
    if not np.all((tau > 0) & np.isfinite(tau)):
        worst = float(tau[~((tau > 0) & np.isfinite(tau))][0])
        raise node.refuse(
            f"{key} {worst:g} is not positive and finite", "give a time constant, or an I or IF node for no leak"
        )
    d = -np.expm1(-dt / tau) if decay == "exact" else dt / tau
    if np.any(d > 1 + 1e-6):
        raise node.refuse(
            f"{key} {float(tau.min()):g} is shorter than a step of {dt:g}: with Euler's method it would swing",
            "use decay='exact', or a smaller dt",
        )
    whole = DECAY_ONE - 0.5  # from here on the register would be 4096
    if key == "tau_syn":
        tau = np.where(DECAY_ONE * d >= whole, np.inf, tau)  # as `CubaLIF`: a current without memory
        return (None if np.all(np.isinf(tau)) else tau), np.minimum(d, 1.0)
    if np.any(DECAY_ONE * d >= whole):
        largest = (DECAY_ONE - 1) / DECAY_ONE
        shortest = dt / largest if decay == "euler" else -dt / math.log1p(-largest)
        notes.append(
            ImportNote(
                node.name,
                "warning",
                f"{key} {float(tau.min()):g} is a voltage without memory at dt {dt:g}; the chip keeps 1/{DECAY_ONE} of it per step",
            )  # fmt: skip
        )
        tau = np.where(DECAY_ONE * d >= whole, shortest, tau)
    return tau, np.minimum(d, 1.0)


def _span(values: Floats) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
