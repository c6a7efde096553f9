"""Turn the weights of a connection into chip integers, and say what they lost."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from neurosim.errors import QuantizationError
from neurosim.fixedpoint import lost_weight_bits, truncate_weights, weight_range
from neurosim.network import AnyConnection, Connection, Conv, ConvConnection, CubaLIF, Dense, Sparse
from neurosim.quantized import QuantNote
from neurosim.scale import (
    EXP_MIN,
    Factor,
    largest_exponent,
    largest_weight,
    needed_sign_mode,
    scaled_peak,
)

FloatIntegers = Dense | Sparse | Conv


def quantize_weights(
    connection: Connection, group: CubaLIF, scale: Factor, headroom: float, fixed: bool, notes: list[QuantNote]
) -> FloatIntegers:
    """Round the weights in units of ``2**weight_exp / scale``, ties to even multiples of the format's step.

    Parameters
    ----------
    connection : Connection
    group : CubaLIF
        Its target.
    scale : float or (n_post,) float
        S f.
    headroom : float
        As in `neurosim.quantize`.
    fixed : bool
        S is the caller's: weights beyond the format are clipped.
    notes : list of QuantNote
        Written to.
    """
    weights = np.asarray(connection.weights)
    bits, mode, limit = connection.num_weight_bits, needed_sign_mode(connection), largest_weight(connection)
    step = 1 << lost_weight_bits(bits, mode)
    peak = scaled_peak(connection, scale, headroom)
    # A plastic connection keeps weight_exp >= 0: a negative one would drop low bits of what it learns.
    largest = largest_exponent(connection)
    exponent = 0 if connection.plastic or peak == 0 or largest == 0 else EXP_MIN
    while np.rint(peak / 2.0**exponent / step) * step > limit and not (fixed and exponent == largest):
        exponent += 1
    assert exponent <= largest  # choose_scale sees to it
    scales = scale if isinstance(scale, float) else connection.over_weights(scale)
    exact = weights * scales / 2.0**exponent
    low, high = weight_range(bits, mode)
    rounded = np.rint(exact / step) * step
    stored = np.clip(rounded, low, high).astype(np.int64)
    owner = f"connection/{connection.name}"
    if weights.any() and not stored.any():
        raise QuantizationError(
            f"connection {connection.name!r}: largest weight {np.abs(weights).max():g} becomes 0 beside the threshold, "
            f"bias and other connections of group {connection.target!r}; raise the weights or lower the others"
        )
    clipped = int(np.count_nonzero(stored != rounded))
    assert fixed or clipped == 0
    _note_errors(connection, group, stored, exact, scales / 2.0**exponent, exponent, notes)
    text = f"{clipped} weights clipped" + (f" to {low}..{high} times 2**{exponent}" if clipped else "")
    notes.append(QuantNote(owner, "weights_clipped", float(clipped), text))
    integers: FloatIntegers = connection.with_integers(stored, exponent, mode)
    return integers


def _note_errors(
    connection: Connection, group: CubaLIF, stored: npt.NDArray[np.int64], exact: npt.NDArray[np.float64],
    scales: Factor, exponent: int, notes: list[QuantNote],
) -> None:  # fmt: skip
    """Note signal to noise, weights that became 0, and the largest error beside the threshold of its neuron."""
    owner = f"connection/{connection.name}"
    noise = float(np.square(stored - exact).sum())
    if noise > 0:
        sqnr = 10 * math.log10(float(np.square(exact).sum()) / noise)
        text = f"weights at {sqnr:.1f} dB signal to quantisation noise, weight_exp {exponent}"
        notes.append(QuantNote(owner, "weight_sqnr_db", sqnr, text))
    else:
        notes.append(QuantNote(owner, "weight_sqnr_db", None, f"weights are exact, weight_exp {exponent}"))
    lost = int(np.count_nonzero((stored == 0) & (exact != 0)))
    text = f"{lost} of {int(np.count_nonzero(exact))} weights became 0"
    notes.append(QuantNote(owner, "weights_rounded_to_zero", float(lost), text))
    thresholds = group.each("v_threshold")
    unit = np.where(np.isfinite(thresholds) & (thresholds > 0), thresholds, 1.0)
    if isinstance(connection, ConvConnection):  # the smallest of a channel, whose neurons share their weights
        unit = np.resize(unit.reshape(-1, connection.output_shape[2]).min(axis=0), unit.shape)
    error = float((np.abs(stored - exact) / scales / connection.over_weights(unit)).max(initial=0.0))
    of = "of v_threshold" if np.isfinite(thresholds).any() else "in units of v"
    notes.append(QuantNote(owner, "weight_error", error, f"a weight is off by at most {error:.2g} {of}"))


def adopt_chip_units(connection: Connection) -> FloatIntegers:
    """Take float weights into an integer group as they are (S = 1): they must be integers that fit."""
    weights = np.asarray(connection.weights)
    owner = f"connection {connection.name!r}"
    if np.any(weights != np.rint(weights)):
        worst = float(weights.ravel()[np.argmax(weights.ravel() != np.rint(weights.ravel()))])
        raise QuantizationError(
            f"{owner}: weight {worst:g} is not an integer, but group {connection.target!r} is in chip units; "
            "give integer weights, or describe the group as CubaLIF"
        )
    low, high = {"mixed": (-256, 255), "inhibitory": (-255, 0)}.get(needed_sign_mode(connection), (0, 255))
    if weights.size and (weights.min() < low or weights.max() > high):
        worst = float(weights.ravel()[np.argmax(np.abs(weights))])
        raise QuantizationError(
            f"{owner}: largest weight {worst:g} needs {int(abs(worst)).bit_length()} bits, "
            f"weights have {connection.num_weight_bits}; scale the weights or give a Dense with a higher weight_exp"
        )
    integers: FloatIntegers = connection.with_integers(weights.astype(np.int64), 0, needed_sign_mode(connection))
    return integers


def truncate(connection: AnyConnection, notes: list[QuantNote]) -> AnyConnection:
    """Cut integer weights to their format, and say so where it changes any."""
    assert not isinstance(connection, Connection) and connection.sign_mode is not None
    if isinstance(connection, Conv):
        return connection  # Lava's convolution uses the weights as they are
    weights = np.asarray(connection.data if isinstance(connection, Sparse) else connection.weights)
    kept = truncate_weights(weights, connection.num_weight_bits, connection.sign_mode)
    lost = np.abs(weights - kept)
    if not lost.any():
        return connection
    n_lost = int(np.count_nonzero(lost))
    text = (
        f"{n_lost} of {lost.size} weights lost their low bits, at most {int(lost.max())}, {int(lost.sum())} in all: "
        f"{connection.num_weight_bits}-bit {connection.sign_mode} weights have a step of "
        f"{1 << lost_weight_bits(connection.num_weight_bits, connection.sign_mode)}"
    )
    notes.append(QuantNote(f"connection/{connection.name}", "weights_truncated", float(n_lost), text))
    if isinstance(connection, Sparse):
        return dataclasses.replace(connection, data=kept)
    return dataclasses.replace(connection, weights=kept)
