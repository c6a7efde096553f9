"""Choose the scale of a float group: chip weight units per float unit (`docs/arithmetic.md`, section 9)."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurosim.errors import QuantizationError
from neurosim.fixedpoint import INPUT_SHIFT, RANGES, STATE_LIMIT, weight_range
from neurosim.groups import STATELESS
from neurosim.network import Connection, ConvConnection, CubaLIF, SparseConnection

ScaleForm = Literal["free", "power-of-two"]
#: What a weight is multiplied by besides S: one number, or one of each target neuron, (n_post,).
Factor = float | npt.NDArray[np.float64]
VTH_MAX = RANGES["vth"].high
GRADED_VTH_MAX = RANGES["graded_vth"].high
SUM_LIMIT = 1 << 31  # synaptic sums are kept in 32 bits
BIAS_MAX = RANGES["bias_mant"].high
EXP_MIN, EXP_MAX = RANGES["weight_exp"]
VTH_FINE = 64  # thresholds are made at least this large where exponents allow: error below 1 %
V_ROOM = 8  # v can hold this many thresholds above and below zero before it saturates
FEW_SPIKES = 15  # multi-spike neurons with larger messages have room for all of them and the rest


def needed_sign_mode(connection: Connection) -> str:
    """Sign mode of the integer weights: mixed if plastic, otherwise what the signs need."""
    weights = np.asarray(connection.weights)
    if connection.plastic or (weights.size and weights.min() < 0 < weights.max()):
        return "mixed"
    return "inhibitory" if weights.size and weights.min() < 0 else "excitatory"


def largest_weight(connection: Connection) -> int:
    """Largest magnitude that the weights' format holds with both signs it needs."""
    mode = needed_sign_mode(connection)
    low, high = weight_range(connection.num_weight_bits, mode)
    limit = -low if mode == "inhibitory" else high
    if limit == 0:
        raise QuantizationError(
            f"connection {connection.name!r}: num_weight_bits 1 with both signs holds only -256 and 0; "
            "use 2 bits or more"
        )
    return limit


def largest_exponent(connection: Connection) -> int:
    """Largest exponent of a connection's weights: 0 of a convolution, which ignores it."""
    return 0 if isinstance(connection, ConvConnection) else EXP_MAX


def peak_weight(connection: Connection, headroom: float) -> float:
    """Largest magnitude to make room for, in float units.

    A format of few bits has no room for all of the headroom: the largest weight must stay at least one step.
    """
    levels = (1 << (connection.num_weight_bits - 1)) - 1  # positive mantissas
    room = min(headroom, max(1, levels)) if connection.plastic else 1.0
    return float(np.abs(np.asarray(connection.weights)).max(initial=0.0)) * room


def scaled_peak(connection: Connection, factor: Factor, headroom: float) -> float:
    """Return `peak_weight` where each weight is multiplied by the factor of its neuron first."""
    if isinstance(factor, float):
        return factor * peak_weight(connection, headroom)
    weights = np.asarray(connection.weights)
    largest = float(np.abs(weights).max(initial=0.0))
    if largest == 0:
        return 0.0
    with_factor = float((np.abs(weights) * connection.over_weights(factor)).max())
    return with_factor * (peak_weight(connection, headroom) / largest)


def choose_scale(
    group: CubaLIF, incoming: list[Connection], factor: Factor, headroom: float, form: ScaleForm = "free"
) -> float:
    """Return S, as large as the formats allow and no larger than helps.

    Stored weights fill their bits at any S, because the exponent follows. So S is the one at which all
    connections (the plastic ones, if any) fit with weight_exp 0. Without plastic ones it may rise until the
    smallest connection fits with 0 and the others with more, as long as the worst-case current stays below
    2**23. It rises further only where the smallest threshold would be below `VTH_FINE`. Hard limits: weight_exp 7, room
    for `V_ROOM` of the largest threshold in v (for ``max_spikes + 1`` where messages may be larger than `FEW_SPIKES`), and the
    bias register. The model "threshold" has no v and its sums 32 bits.

    Multi-spike neurons that average, with one fixed convolution whose weights are all the same whole part of the threshold, get the
    largest S at which both are integers and v never saturates, so that nothing is rounded.

    Parameters
    ----------
    group : CubaLIF
    incoming : list of Connection
        All connections into the group.
    factor : float or (n,) float
        What a weight is multiplied by besides S: ``(du + 1) / 4096``.
    headroom : float
        As in `quantize`.
    form : {"free", "power-of-two"}
        The latter takes the largest power of two that is not above what "free" would take.
    """
    used = [c for c in incoming if peak_weight(c, headroom) > 0]
    fits = {c.name: largest_weight(c) / scaled_peak(c, factor, headroom) for c in used}
    hard = [fits[c.name] * 2.0 ** largest_exponent(c) for c in used]
    stateless = group.model == STATELESS
    averaging = averaging_scale(group, incoming, factor)
    if averaging is not None and form == "free":
        return averaging
    thresholds = group.each("v_threshold")
    thresholds = thresholds[np.isfinite(thresholds) & (thresholds > 0)]
    lowest, highest = (float(thresholds.min()), float(thresholds.max())) if thresholds.size else (math.inf, math.inf)
    finite = bool(thresholds.size)
    if finite:
        hard.append(GRADED_VTH_MAX / highest if stateless else VTH_MAX / (v_room(group) * highest))
    largest_bias = float(np.abs(np.asarray(group.bias)).max())
    if largest_bias > 0:
        hard.append(BIAS_MAX * 2.0 ** RANGES["bias_exp"].high / (2.0**INPUT_SHIFT * largest_bias))
    if not hard:
        return 1.0  # nothing arrives and nothing is compared: any unit will do
    wanted = math.inf
    plastic = [fits[c.name] for c in used if c.plastic]
    if finite:  # weights that start at zero may grow to one threshold
        grown = float(np.max(np.asarray(factor) * highest))
        plastic += [largest_weight(c) / grown for c in incoming if c.plastic and c not in used]
    if plastic:
        wanted = min(plastic)
    elif fits:
        # f / d_syn = 1: the worst steady current is the plain sum of the weights.
        worst = sum(largest_fan_in(c) for c in used)
        safe = SUM_LIMIT / worst if stateless else STATE_LIMIT / (2.0**INPUT_SHIFT * worst)
        wanted = max(min(fits.values()), min(max(fits.values()), safe))
    if finite:
        wanted = max(wanted, VTH_FINE / lowest)
    free = min(wanted, *hard)
    scale = free if form == "free" else math.ldexp(0.5, math.frexp(free)[1])
    if finite and round(scale * lowest) == 0:
        why = f"largest bias {largest_bias:g}"
        if fits and free == min(hard[: len(fits)]):
            worst_name = used[hard.index(free)].name
            peak = max(peak_weight(c, headroom) for c in used if c.name == worst_name)
            why = f"connection {worst_name!r} with weights up to {peak:g} (headroom included)"
        elif largest_bias == 0:
            why = f"the largest threshold {highest:g}"
        raise QuantizationError(
            f"group {group.name!r}: v_threshold {lowest:g} becomes 0 beside {why}; raise the threshold or lower the other"
        )
    return scale


def v_room(group: CubaLIF) -> int:
    """Return how many thresholds v must hold before it saturates."""
    return group.max_spikes + 1 if group.max_spikes > FEW_SPIKES else V_ROOM


def averaging_scale(group: CubaLIF, incoming: list[Connection], factor: Factor) -> float | None:
    """Return S of multi-spike neurons that average, at which nothing is rounded, and None for all others.

    Parameters as in `choose_scale`.
    """
    if group.model != "multispike" or len(incoming) != 1 or np.any(np.asarray(group.bias)):
        return None
    found, thresholds = incoming[0], np.unique(group.each("v_threshold"))
    if (
        not isinstance(found, ConvConnection)
        or found.plastic
        or found.num_weight_bits != RANGES["num_weight_bits"].high
    ):
        return None
    weights = np.unique(np.asarray(found.weights))
    if factor != 1.0 or len(weights) > 1 or weights[0] <= 0 or len(thresholds) > 1 or not math.isfinite(thresholds[0]):
        return None
    parts = round(float(thresholds[0] / weights[0]))  # weights in a threshold
    if parts < 1 or not math.isclose(parts * weights[0], thresholds[0], rel_tol=1e-9):
        return None
    weight = min(largest_weight(found), VTH_MAX // ((group.max_spikes + 1) * parts))
    return float(weight / weights[0]) if weight else None


def largest_fan_in(connection: Connection) -> float:
    """Return the largest sum of magnitudes of the weights of one neuron (of a convolution: of a kernel)."""
    weights = np.abs(np.asarray(connection.weights))
    if isinstance(connection, SparseConnection):
        return float(np.bincount(np.asarray(connection.row), weights, 1).max())
    return float(weights.reshape(len(weights), -1).sum(axis=1).max())


def check_scale(group: CubaLIF, scale: float) -> None:
    """Refuse a scale given by the caller at which a threshold or a bias leaves its register."""
    owner = f"group {group.name!r}: scale {scale!r}"
    if not (math.isfinite(scale) and scale > 0):
        raise QuantizationError(f"{owner} is not a positive finite number")
    thresholds = group.each("v_threshold")
    thresholds = thresholds[np.isfinite(thresholds) & (thresholds > 0)]
    limit = GRADED_VTH_MAX if group.model == STATELESS else VTH_MAX
    if thresholds.size and round(scale * float(thresholds.min())) == 0:
        raise QuantizationError(f"{owner} makes v_threshold {float(thresholds.min()):g} 0; use a larger scale")
    if thresholds.size and round(scale * float(thresholds.max())) > limit:
        largest = float(thresholds.max())
        raise QuantizationError(
            f"{owner} makes v_threshold {largest:g} {round(scale * largest)}, the register holds up to {limit}; "
            "use a smaller scale"
        )
    bias = 2.0**INPUT_SHIFT * scale * float(np.abs(np.asarray(group.bias)).max())
    most = BIAS_MAX << RANGES["bias_exp"].high
    if round(bias) > most:
        raise QuantizationError(
            f"{owner} makes the largest bias {bias:.6g}, the register holds up to {most}; use a smaller scale"
        )
