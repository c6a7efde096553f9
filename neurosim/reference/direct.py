"""Neurons over many steps with surrogate gradients, in plain numpy; twin of `neurosim.kernels.direct`.

Potentials x are voltages before firing in thresholds. In the chip's arithmetic voltages are integers (docs/arithmetic.md, sections 2 and
6), so the forward pass gives the spikes of the chip; the backward pass takes x and the spikes as they are and differentiates the same
equations in floats.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import DIRECT_INTEGRATE, DIRECT_SOFT, DIRECT_TERNARY
from neurosim.fixedpoint import DECAY_ONE, STATE_MAX, correct_current, shift_toward_zero, wrap_int32

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
INPUT_ONE = 64  # units of voltage in one unit of weight


class Neurons(NamedTuple):
    """A group as both passes see it; all numbers are those of the group.

    Attributes
    ----------
    model : int
        A code DIRECT_*.
    chip : bool
        Whether currents are integers in weight units and voltages those of the chip; floats otherwise.
    most : int
        Largest message of soft resets.
    signed : bool
        Whether soft resets send negative messages.
    vth, dv, du : int
        Registers, for `chip`.
    threshold : float
        In the units of the float weights.
    keep, keep_current : float
        What voltage and current keep in a step.
    scale : float
        Units of the current in one unit of the float weights; 1 without `chip`.
    shape : int
        Surrogate: index into `neurosim.directconfig.SURROGATES`.
    through_reset : bool
        Whether gradients pass through the reset.
    """

    model: int
    chip: bool
    most: int
    signed: bool
    vth: int
    dv: int
    du: int
    threshold: float
    keep: float
    keep_current: float
    scale: float
    shape: int
    through_reset: bool


def forward(
    neurons: Neurons, current: Floats, u: Doubles, v: Doubles, first: int, last: int, spikes: Floats, potential: Floats
) -> float:
    """Advance neurons from step `first` to before `last`; return the sizes of their messages, added up.

    Parameters
    ----------
    neurons : Neurons
    current : (T, M) float32
        What arrives in each step.
    u, v : (M,) float64
        States, changed: in 1/64 of a weight unit for the chip, else in float units.
    spikes, potential : (T, M) float32
        Written: messages, and voltages before firing in thresholds. Neurons that only integrate write the voltage in units of the
        current, and no spikes.
    """
    sent = 0.0
    for t in range(first, last):
        a = current[t].astype(np.float64)
        if neurons.chip:
            decayed = shift_toward_zero(u.astype(np.int64) * (DECAY_ONE - (neurons.du + 1)), 12)
            new_u = correct_current(wrap_int32(decayed + wrap_int32(a.astype(np.int64) * INPUT_ONE)))
            raw = shift_toward_zero(v.astype(np.int64) * (DECAY_ONE - neurons.dv), 12) + new_u
            u[:] = new_u
            v[:] = np.clip(raw, -STATE_MAX, STATE_MAX)
            threshold = float(neurons.vth * INPUT_ONE)
        else:
            u[:] = u * neurons.keep_current + a
            v[:] = v * neurons.keep + u
            threshold = neurons.threshold
        if neurons.model == DIRECT_INTEGRATE:
            potential[t] = v / INPUT_ONE if neurons.chip else v
            continue
        potential[t] = v / threshold
        if neurons.model == DIRECT_SOFT:
            s = np.clip(np.trunc(v / threshold), -neurons.most if neurons.signed else 0, neurons.most)
            v -= s * threshold
        else:
            s = (v > threshold).astype(np.float64)
            if neurons.model == DIRECT_TERNARY:
                s -= v < -threshold
            v[s != 0] = 0
        spikes[t] = s
        sent += float(np.abs(s).sum())
    return sent


def backward(
    neurons: Neurons, widths: Floats, spikes: Floats, potential: Floats, by_spike: Floats, by_potential: Floats | None,
    first: int, last: int, by_u: Floats, by_v: Floats, by_current: Floats,
) -> tuple[Doubles, float, float, float]:  # fmt: skip
    """Go back from step ``last - 1`` to `first`.

    Parameters
    ----------
    neurons : Neurons
    widths : (T,) float32
        Of the surrogate in each step, in thresholds.
    spikes, potential : (T, M) float32
        Of `forward`.
    by_spike, by_potential : (T, M) float32
        Gradient by messages, and by potentials (None: zero).
    by_u, by_v : (M,) float32
        Gradient by the states after the last step, changed to that by the states before the first.
    by_current : (T, M) float32
        Written: gradient by the current.

    Returns
    -------
    by_width : (T,) float64
    by_threshold, by_keep, by_keep_current : float
    """
    by_width = np.zeros(len(widths))
    by_threshold = by_keep = by_keep_current = 0.0
    theta = np.float32(neurons.threshold)
    for t in reversed(range(first, last)):
        x, s = potential[t], spikes[t]
        after = by_v.copy()
        if neurons.model == DIRECT_INTEGRATE:
            pre = after + (0 if by_potential is None else by_potential[t] * np.float32(neurons.scale))
        else:
            two_sided = neurons.model == DIRECT_TERNARY or (neurons.model == DIRECT_SOFT and neurons.signed)
            size = np.abs(x) if two_sided else x
            sign = np.where(x < 0, np.float32(-1), np.float32(1)) if two_sided else np.float32(1)
            level = np.float32(1)
            if neurons.model == DIRECT_SOFT:
                level = np.clip(np.floor(size + np.float32(0.5)), 1, neurons.most)
            z = (size - level) / widths[t]
            h = slope(neurons.shape, z) / widths[t]
            through = np.float32(neurons.through_reset)
            if neurons.model == DIRECT_SOFT:
                kept, lost = np.ones_like(x), theta * np.ones_like(x)
            else:
                kept, lost = (s == 0).astype(np.float32), theta * size
            by_step = by_spike[t] - through * after * lost  # by the smooth step
            by_x = by_step * h + after * theta * kept
            own = by_step * h
            if by_potential is not None:
                by_x = by_x + by_potential[t]
                own = own + by_potential[t]
            by_width[t] += float((by_step * sign * -z * h).astype(np.float64).sum())
            direct = -after * s if neurons.model == DIRECT_SOFT else np.float32(0)
            by_threshold += float((direct - own * x / theta).astype(np.float64).sum())
            pre = by_x / theta
        if t:
            before = after_firing(neurons, potential[t - 1], spikes[t - 1])
            by_keep += float((pre * before).astype(np.float64).sum())
        new_u = pre + by_u
        if t:
            earlier = after_firing(neurons, potential[t - 2], spikes[t - 2]) if t > 1 else np.float32(0)
            current = volts(neurons, potential[t - 1]) - np.float32(neurons.keep) * earlier
            by_keep_current += float((new_u * current).astype(np.float64).sum())
        by_current[t] = new_u / np.float32(neurons.scale)
        by_v[:] = np.float32(neurons.keep) * pre
        by_u[:] = np.float32(neurons.keep_current) * new_u
    return by_width, by_threshold, by_keep, by_keep_current


def volts(neurons: Neurons, potential: Floats) -> Floats:
    """Return the voltage before firing in float units."""
    if neurons.model == DIRECT_INTEGRATE:
        return np.asarray(potential / np.float32(neurons.scale))
    return np.asarray(potential * np.float32(neurons.threshold))


def after_firing(neurons: Neurons, potential: Floats, spikes: Floats) -> Floats:
    """Return the voltage after the reset in float units."""
    if neurons.model == DIRECT_INTEGRATE:
        return volts(neurons, potential)
    if neurons.model == DIRECT_SOFT:
        return np.asarray((potential - spikes) * np.float32(neurons.threshold))
    return np.asarray(np.where(spikes == 0, potential, np.float32(0)) * np.float32(neurons.threshold))


def slope(shape: int, z: Floats) -> Floats:
    """Return the derivative of the smooth step of area 1, as `neurosim.direct.surrogates.slope`, in 32 bits."""
    x = np.abs(z)
    if shape == 0:
        return np.asarray(np.where(x < 1, np.float32(0.5), np.float32(0)))
    if shape == 1:
        return np.asarray(np.maximum(np.float32(1) - x, np.float32(0)))
    if shape == 2:
        e = np.exp(-x)
        return np.asarray(e / np.square(np.float32(1) + e))
    if shape == 3:
        return np.asarray(np.float32(0.5) / np.square(np.float32(1) + x))
    return np.asarray(np.float32(1 / np.pi) / (np.float32(1) + x * x))
