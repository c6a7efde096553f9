"""Weights as the chip holds them, for the forward pass of training; equal to what `neurosim.quantize` gives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.errors import QuantizationError
from neurosim.fixedpoint import lost_weight_bits, weight_range
from neurosim.kernels import directweights as kernel
from neurosim.network import Connection, ConvConnection, CubaLIF
from neurosim.scale import (
    EXP_MIN,
    VTH_MAX,
    averaging_scale,
    largest_exponent,
    largest_weight,
    needed_sign_mode,
    v_room,
)


def group_scale(
    group: CubaLIF, incoming: list[tuple[Connection, npt.NDArray[np.float64]]], threshold: float, factor: float
) -> float:
    """Return the scale of a group: the largest at which all its weights fit without an exponent.

    Parameters
    ----------
    group : CubaLIF
    incoming : list of (Connection, weights)
        What meets at the group, with the present weights in float64.
    threshold : float
        inf for neurons that only integrate.
    factor : float
        What weights are multiplied by besides (`neurosim.quantize`): ``(du + 1) / 4096``.
    """
    averaging = averaging_scale(group, [connection for connection, _ in incoming], factor)
    if averaging is not None:
        return averaging
    limits = [
        largest_weight(connection) / (factor * peak)
        for connection, weights in incoming
        if (peak := largest_size(weights)) > 0 and (connection.plastic or isinstance(connection, ConvConnection))
    ]
    limits += [] if threshold == np.inf else [VTH_MAX / (v_room(group) * threshold)]
    scale = min(limits, default=1.0)
    if threshold != np.inf and round(scale * threshold) < 1:
        raise QuantizationError(
            f"group {incoming[0][0].target!r}: threshold {threshold:g} becomes 0 beside its largest weight; lower direct.rate, or "
            "raise network.threshold"
        )
    return scale


def weight_format(connection: Connection) -> tuple[int, int, int]:
    """Return the least and the largest weight that the chip holds without an exponent, and the step between two."""
    bits, mode = connection.num_weight_bits, needed_sign_mode(connection)
    return *weight_range(bits, mode), 1 << lost_weight_bits(bits, mode)


def largest_size(weights: npt.NDArray[np.floating]) -> float:
    """Return the largest magnitude of some weights, 0 if there are none."""
    if weights.dtype == np.float32:
        return float(np.int32(kernel.largest_size(weights.reshape(-1, order="A").view(np.int32))).view(np.float32))
    return max(float(weights.max(initial=0.0)), -float(weights.min(initial=0.0)))


def chip_weights(
    connection: Connection, weights: npt.NDArray[np.float64], scale: float
) -> tuple[npt.NDArray[np.float64], int]:
    """Return integer weights as the chip stores them, and their exponent; `scale` includes the factor of the current.

    Examples
    --------
    >>> chip_weights(Connection("a", "b", [[0.5, -0.126]], plastic=True), np.array([[0.5, -0.126]]), 508.0)
    (array([[254., -64.]]), 0)
    """
    limit = largest_weight(connection)
    low, high, unit = weight_format(connection)
    peak = largest_size(weights) * scale
    exponent = 0 if connection.plastic or peak == 0 or largest_exponent(connection) == 0 else EXP_MIN
    while np.rint(peak / 2.0**exponent / unit) * unit > limit and exponent < largest_exponent(connection):
        exponent += 1
    return np.clip(np.rint(weights * scale / 2.0**exponent / unit) * unit, low, high), exponent
