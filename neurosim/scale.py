"""Choose the scale of a float group: chip weight units per float unit (`docs/arithmetic.md`, section 9)."""

from __future__ import annotations

import math

import numpy as np

from neurosim.errors import QuantizationError
from neurosim.fixedpoint import INPUT_SHIFT, RANGES, STATE_LIMIT, weight_range
from neurosim.network import Connection, ConvConnection, CubaLIF

VTH_MAX = RANGES["vth"].high
BIAS_MAX = RANGES["bias_mant"].high
EXP_MIN, EXP_MAX = RANGES["weight_exp"]
VTH_FINE = 64  # thresholds are made at least this large where exponents allow: error below 1 %
V_ROOM = 8  # v can hold this many thresholds above and below zero before it saturates


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


def choose_scale(group: CubaLIF, incoming: list[Connection], factor: float, headroom: float) -> float:
    """Return S, as large as the formats allow and no larger than helps.

    Stored weights fill their bits at any S, because the exponent follows. So S is the one at which all
    connections (the plastic ones, if any) fit with weight_exp 0. Without plastic ones it may rise until the
    smallest connection fits with 0 and the others with more, as long as the worst-case current stays below
    2**23. It rises further only where the threshold would be below `VTH_FINE`. Hard limits: weight_exp 7, room
    for `V_ROOM` thresholds in v, and the bias register.

    Parameters
    ----------
    group : CubaLIF
    incoming : list of Connection
        All connections into the group.
    factor : float
        What a weight is multiplied by besides S: ``(du + 1) / 4096``.
    headroom : float
        As in `quantize`.
    """
    used = [c for c in incoming if peak_weight(c, headroom) > 0]
    fits = {c.name: largest_weight(c) / (factor * peak_weight(c, headroom)) for c in used}
    hard = [fits[c.name] * 2.0 ** largest_exponent(c) for c in used]
    finite = math.isfinite(group.v_threshold)
    if finite:
        hard.append(VTH_MAX / (V_ROOM * group.v_threshold))
    largest_bias = float(np.abs(np.asarray(group.bias)).max())
    if largest_bias > 0:
        hard.append(BIAS_MAX * 2.0 ** RANGES["bias_exp"].high / (2.0**INPUT_SHIFT * largest_bias))
    if not hard:
        return 1.0  # nothing arrives and nothing is compared: any unit will do
    wanted = math.inf
    plastic = [fits[c.name] for c in used if c.plastic]
    if finite:  # weights that start at zero may grow to one threshold
        plastic += [largest_weight(c) / (factor * group.v_threshold) for c in incoming if c.plastic and c not in used]
    if plastic:
        wanted = min(plastic)
    elif fits:
        # f / d_syn = 1: the worst steady current is the plain sum of the weights.
        worst = sum(float(np.abs(w := np.asarray(c.weights)).reshape(len(w), -1).sum(axis=1).max()) for c in used)
        safe = STATE_LIMIT / (2.0**INPUT_SHIFT * worst)
        wanted = max(min(fits.values()), min(max(fits.values()), safe))
    if finite:
        wanted = max(wanted, VTH_FINE / group.v_threshold)
    scale = min(wanted, *hard)
    if finite and round(scale * group.v_threshold) == 0:
        why = f"largest bias {largest_bias:g}"
        if fits and scale == min(hard[: len(fits)]):
            worst_name = used[hard.index(scale)].name
            peak = max(peak_weight(c, headroom) for c in used if c.name == worst_name)
            why = f"connection {worst_name!r} with weights up to {peak:g} (headroom included)"
        raise QuantizationError(
            f"group {group.name!r}: v_threshold {group.v_threshold:g} becomes 0 beside {why}; "
            "raise the threshold or lower the other"
        )
    return scale
