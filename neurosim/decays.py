"""Time constants as decays per step, in floats and in the registers of the chip (`docs/arithmetic.md`, section 9)."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.errors import QuantizationError
from neurosim.fixedpoint import DECAY_ONE
from neurosim.groups import CubaLIF, Register
from neurosim.quantized import QuantNote

Decay = Literal["exact", "euler"]
FloatArray = npt.NDArray[np.float64]


class Decays(NamedTuple):
    """Part of the current and of the voltage that each neuron of a group loses per step, (n,) float64 each."""

    syn: FloatArray
    mem: FloatArray


def decays_of(group: CubaLIF, dt: float, decay: Decay = "exact") -> Decays:
    """Return the decays of a group in floats: 1 for a current without memory, 0 for a voltage without leak.

    Parameters
    ----------
    group : CubaLIF
    dt : float
        Length of a step in seconds.
    decay : {"exact", "euler"}
        As in `neurosim.quantize`.

    Examples
    --------
    >>> decays_of(CubaLIF("out", 2, tau_mem=[0.01, float("inf")]), 1e-3, "euler")
    Decays(syn=array([1., 1.]), mem=array([0.1, 0. ]))
    """
    return Decays(_floats(group.each("tau_syn"), dt, decay, 1.0), _floats(group.each("tau_mem"), dt, decay, 0.0))


def _floats(tau: FloatArray, dt: float, decay: Decay, without: float) -> FloatArray:
    """Return d of each neuron; computed by `math` once for each tau that differs, so that every machine has the same."""
    different, place = np.unique(tau, return_inverse=True)
    found = [without if math.isinf(value) else per_step(value, dt, decay) for value in different.tolist()]
    return np.asarray(found)[place]


def per_step(tau: float, dt: float, decay: Decay) -> float:
    """Return the part that decays in a step: ``1 - exp(-dt / tau)``, or ``dt / tau`` for "euler"."""
    return -math.expm1(-dt / tau) if decay == "exact" else dt / tau


def check_decay(decay: str) -> None:
    """Refuse a form of decay that there is not."""
    if decay not in ("exact", "euler"):
        raise QuantizationError(f"quantize: unknown decay {decay!r}; choose 'exact' or 'euler'")


def decay_registers(group: CubaLIF, dt: float, decay: Decay, notes: list[QuantNote]) -> tuple[Register, Register]:
    """Return du and dv, one integer each where all neurons have the same, otherwise (n,); note what they really give."""
    syn = _registers(group, "tau_syn", dt, decay, DECAY_ONE, notes)
    mem = _registers(group, "tau_mem", dt, decay, DECAY_ONE - 1, notes)
    return _together(syn - 1), _together(mem)


def _registers(
    group: CubaLIF, which: Literal["tau_mem", "tau_syn"], dt: float, decay: Decay, limit: int, notes: list[QuantNote]
) -> npt.NDArray[np.int64]:
    """Return 4096 d of every neuron, rounded: 4096 of a current without memory, 0 of a voltage without leak."""
    tau = group.each(which)
    has = np.isfinite(tau)
    found = np.full(group.n, DECAY_ONE if which == "tau_syn" else 0, np.int64)
    if not has.any():
        return found
    alike = bool(has.all()) and bool(np.all(tau == tau[0]))
    error = np.zeros(group.n)
    for value in np.unique(tau[has]).tolist():
        these = tau == value
        where = "" if alike else f" of neuron {int(np.argmax(these))}"
        register = _register(f"group {group.name!r}: {which}{where}", which, value, dt, decay, limit)
        found[these], error[these] = register, abs(_real(register, dt, decay) / value - 1)
    worst = int(np.argmax(error))
    real = _real(int(found[worst]), dt, decay)
    text = f"{tau[worst]:g} s becomes {real:g} s ({decay} decay, {int(found[worst])}/{DECAY_ONE} per step)"
    owner = f"group/{group.name}"
    if alike:
        notes.append(QuantNote(owner, which, real, f"{which} {text}"))
    else:
        span = f"{float(tau[has].min()):g} to {float(tau[has].max()):g} s in {int(has.sum())} neurons"
        notes.append(QuantNote(owner, which, None, f"{which} {span}, the worst in neuron {worst}: {text}"))
    off = float(error.max())
    notes.append(QuantNote(owner, f"{which}_error", off, f"{which} is off by at most {off:.2%}"))
    return found


def _register(owner: str, which: str, tau: float, dt: float, decay: Decay, limit: int) -> int:
    d = per_step(tau, dt, decay)
    register = round(DECAY_ONE * d) if d < 2 else 2 * DECAY_ONE
    owner = f"{owner} {tau:g} s at dt {dt:g} s"
    if register == 0:
        raise QuantizationError(
            f"{owner} decays by {DECAY_ONE * d:.3g}/4096 per step, which rounds to 0; "
            f"use a larger dt, a shorter {which}" + (", or None for no leak" if which == "tau_mem" else "")
        )
    if register > limit:
        remedy = (
            "use a longer tau_mem or a smaller dt" if which == "tau_mem" else "use None for a current without memory"
        )
        raise QuantizationError(
            f"{owner} needs a decay of {DECAY_ONE * d:.6g}/4096, the register holds up to {limit}; {remedy}"
        )
    return register


def time_constant(register: int, dt: float) -> float | None:
    """Return the time constant in seconds of an exact decay of ``register / 4096`` per step; None for none, and for all at once.

    Examples
    --------
    >>> round(time_constant(481, 1e-3), 4)  # what 8 ms become
    0.008
    """
    return None if register in (0, DECAY_ONE) else _real(register, dt, "exact")


def _real(register: int, dt: float, decay: Decay) -> float:
    """Return the time constant that a register gives, in seconds; an exact decay of all in one step has none."""
    held = register / DECAY_ONE
    if decay == "euler":
        return dt / held
    return 0.0 if held == 1 else -dt / math.log1p(-held)


def _together(registers: npt.NDArray[np.int64]) -> Register:
    return int(registers[0]) if np.all(registers == registers[0]) else registers
