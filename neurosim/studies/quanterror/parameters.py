"""What registers and weights hold of the numbers that were wanted, layer by layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.decays import Decay
from neurosim.fixedpoint import DECAY_ONE, INPUT_SHIFT, lost_weight_bits
from neurosim.network import LIF, Connection, CubaLIF, Group, IntegerConnection, Sparse
from neurosim.neurons import ATRLIF, GradedVec
from neurosim.quantized import Quantized, weight_scale
from neurosim.scale import needed_sign_mode

Floats = npt.NDArray[np.float64]
BINS = 48  # of a histogram of weights, about


def decays(group: Group) -> tuple[Floats, Floats]:
    """Return what current and voltage of an integer group lose in a step, as shares, each one number or (n,)."""
    if isinstance(group, ATRLIF):
        du, dv = np.asarray(group.delta_i), np.asarray(group.delta_v)
    elif isinstance(group, LIF):
        du, dv = np.asarray(group.du), np.asarray(group.dv)
    else:  # no state: nothing is kept
        du, dv = np.asarray(DECAY_ONE - 1), np.asarray(DECAY_ONE)
    return np.asarray((du + 1) / DECAY_ONE), np.asarray(dv / DECAY_ONE)


def threshold_of(group: Group) -> Floats:
    """Return the threshold of an integer group in weight units, one number or (n,)."""
    if isinstance(group, ATRLIF):
        return np.asarray(group.theta_0, np.float64)
    assert isinstance(group, (LIF, GradedVec))
    return np.asarray(getattr(group, "vth_hi", group.vth), np.float64)


def group_parameters(group: CubaLIF, quantized: Quantized, dt: float, decay: Decay) -> dict[str, Any]:
    """Return the parameters of a group as wanted and as held, in plain values."""
    held, scale = quantized.network.group(group.name), quantized.scales[f"group/{group.name}"]
    d_syn, d_mem = decays(held)
    found: dict[str, Any] = {"group": group.name, "n": group.n, "model": group.model, "scale": scale}
    stateless = isinstance(held, GradedVec)
    for name, wanted, d in (("tau_mem", group.tau_mem, d_mem), ("tau_syn", group.tau_syn, d_syn)):
        found[name] = None if stateless else _taus(wanted, d, dt, decay)
    wanted_threshold = np.asarray(group.v_threshold, np.float64)
    finite = np.isfinite(wanted_threshold)
    found["v_threshold"] = None
    if finite.any() and stateless:  # sums are integers: the floor of the threshold tells the same ones apart
        found["v_threshold"] = _compared(wanted_threshold[finite], wanted_threshold[finite])
    elif finite.any():
        got = np.broadcast_to(threshold_of(held) / scale, finite.shape)
        found["v_threshold"] = _compared(wanted_threshold[finite], got[finite])
    found["bias"] = None
    wanted_bias = np.broadcast_to(np.asarray(group.bias, np.float64), (group.n,))
    if wanted_bias.any() and isinstance(held, (LIF, ATRLIF)):
        error = np.asarray(held.bias) / (scale * 2.0**INPUT_SHIFT) - wanted_bias
        unit = np.where(finite, wanted_threshold, 1.0)
        found["bias"] = {
            "largest": float(np.abs(wanted_bias).max()),
            "largest_error": float(np.abs(error).max()),
            "rms_error": _rms(error),
            "error_in_thresholds": float(np.abs(error / unit).max()),
        }
    owners = {f"group/{group.name}"}
    owners |= {f"connection/{c.name}" for c in quantized.network.connections if c.target == group.name}
    found["bounds"] = [
        {"quantity": note.quantity, "value": note.value, "text": note.text}
        for note in quantized.notes
        if note.owner in owners and note.quantity.endswith("_bound")
    ]
    return found


def weight_parameters(connection: Connection, quantized: Quantized) -> dict[str, Any]:
    """Return how the weights of a connection came through, in plain values; errors in units of the float weights."""
    stored = quantized.network.connection(connection.name)
    assert not isinstance(stored, Connection)
    wanted, held, step = held_weights(connection, stored, quantized)
    error = held - wanted
    noise = float(np.square(error).sum())
    signal = float(np.square(wanted).sum())
    return {
        "connection": connection.name,
        "n": int(wanted.size),
        "bits": connection.num_weight_bits,
        "weight_exp": int(stored.weight_exp),
        "step": float(step.max(initial=0.0)),
        "clipped": int(np.count_nonzero(np.abs(error) > step * (0.5 + 1e-6))),
        "rounded_to_zero": int(np.count_nonzero((wanted != 0) & (held == 0))),
        "nonzero": int(np.count_nonzero(wanted)),
        "sqnr_db": 10 * math.log10(signal / noise) if noise > 0 and signal > 0 else None,
        "largest": float(np.abs(wanted).max(initial=0.0)),
        "largest_error": float(np.abs(error).max(initial=0.0)),
        "rms_error": _rms(error),
        "histogram": _histogram(wanted, held, float(step.max(initial=0.0))),
    }


def held_weights(
    connection: Connection, stored: IntegerConnection, quantized: Quantized
) -> tuple[Floats, Floats, Floats]:
    """Return float weights, what the integers hold of them, and the size of a step of the format, in float units each."""
    scale = weight_scale(quantized, connection.name)
    unit = np.asarray(scale if isinstance(scale, float) else connection.over_weights(scale))
    wanted = np.asarray(connection.weights, np.float64)
    integers = np.asarray(stored.data if isinstance(stored, Sparse) else stored.weights, np.float64)
    step = (1 << lost_weight_bits(connection.num_weight_bits, needed_sign_mode(connection))) / unit
    return wanted, np.asarray(integers / unit), np.asarray(step, np.float64)


def _taus(wanted: npt.ArrayLike | None, decay_per_step: Floats, dt: float, decay: Decay) -> dict[str, Any] | None:
    """Compare time constants in seconds; None where there is none."""
    if wanted is None:
        return None
    times = np.asarray(wanted, np.float64)
    held = np.broadcast_to(decay_per_step, times.shape)
    finite = np.isfinite(times)
    if not finite.any():
        return None
    lost = held[finite]
    with np.errstate(divide="ignore"):
        got = dt / lost if decay == "euler" else -dt / np.log1p(-lost)
    return _compared(times[finite], np.asarray(got))


def _compared(wanted: Floats, got: Floats) -> dict[str, Any]:
    """Return smallest, median and largest of both, and the largest relative error."""
    return {
        "wanted": _span(wanted),
        "got": _span(got),
        "worst_error": float(np.abs(got / wanted - 1).max()),
        "n_different": len(np.unique(wanted)),
    }


def _span(values: Floats) -> list[float]:
    return [float(values.min()), float(np.median(values)), float(values.max())]


def _rms(error: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(error)))) if error.size else 0.0


def _histogram(wanted: Floats, held: Floats, step: float) -> dict[str, Any] | None:
    """Count weights before and after in bins that each hold the same number of steps; None where all are 0."""
    peak = max(float(np.abs(wanted).max(initial=0.0)), float(np.abs(held).max(initial=0.0)))
    if not peak or not step:
        return None
    low = min(float(wanted.min()), float(held.min()))
    high = max(float(wanted.max()), float(held.max()))
    per_bin = max(1, math.ceil((high - low) / step / BINS))
    if per_bin % 2 == 0:
        per_bin += 1  # a multiple of the step lies in the middle of each bin
    width = per_bin * step
    first, last = math.floor(low / width + 0.5), math.floor(high / width + 0.5)
    edges = (np.arange(first, last + 2) - 0.5) * width
    counts = [np.histogram(np.clip(weights, edges[0], edges[-1]), edges)[0].tolist() for weights in (wanted, held)]
    return {"first": float(edges[0]), "width": float(width), "wanted": counts[0], "held": counts[1]}
