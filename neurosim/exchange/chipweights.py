"""Connections that hold given integer weights without a change, where some format of the chip can."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.network import Conv, Dense, IntegerConnection, Sparse

Ints = npt.NDArray[np.int64]

LOW, HIGH = -256, 255  # the weight register
MAX_EXP = 7


def fit_weights(weights: Ints) -> tuple[Ints, int, str]:
    """Return weights in the register's range with their exponent, and what was lost ("" where nothing was).

    Weights beyond the range are halved as often as all of them stay integers; what is then still outside is clipped.
    """
    if not weights.size:
        return weights, 0, ""
    exponent = 0
    while exponent < MAX_EXP and (weights.min() < LOW or weights.max() > HIGH) and not np.any(weights % 2):
        weights, exponent = weights // 2, exponent + 1
    outside = int(np.count_nonzero((weights < LOW) | (weights > HIGH)))
    if not outside:
        return weights, exponent, ""
    largest = int(np.abs(weights).max()) << exponent
    lost = f"{outside} weights of up to {largest} in size are clipped into {LOW}..254, as netx does"
    return np.clip(weights, LOW, 254), exponent, lost


def _cut(weights: Ints) -> int:
    """Return how many weights an 8-bit format of both signs would cut: the odd ones."""
    mixed = weights.size and weights.min() < 0 < weights.max()
    return int(np.count_nonzero(weights % 2)) if mixed or (weights == LOW).any() else 0


def exact_dense(
    source: str, target: str, weights: Ints, exponent: int = 0, *, delays: npt.ArrayLike | None = None,
    num_message_bits: int = 0, port: str = "", convolve: bool = True,
) -> tuple[IntegerConnection, str]:  # fmt: skip
    """Return a connection with these weights, and what was lost ("" where nothing was).

    8-bit weights of both signs are even numbers; odd ones are kept by a convolution of one pixel, which uses its weights as
    they are.

    Parameters
    ----------
    source, target, delays, num_message_bits, port
        As in `Dense`.
    weights : (n_post, n_pre) int64
    exponent : int
        Weights count ``2**exponent``.
    convolve : bool
        Whether a convolution may stand for the connection (the profile "loihi1" has none).
    """
    fitted, more, lost = fit_weights(weights)
    odd = _cut(fitted)
    exponent += more
    plain = delays is None or not np.any(np.asarray(delays))
    if odd and exponent == 0 and plain and num_message_bits == 0 and convolve:
        kernel = fitted.reshape(len(fitted), 1, 1, -1)
        return Conv(source, target, kernel, (1, 1, fitted.shape[1]), port=port), lost
    if odd:
        lost = "; ".join(
            part for part in (lost, f"{odd} odd weights lose their lowest bit (8 bits and a sign)") if part
        )
    mode = "mixed" if fitted.size and fitted.min() < 0 < fitted.max() or (fitted == LOW).any() else None
    made = Dense(
        source, target, fitted, exponent, sign_mode=mode, delays=delays, num_message_bits=num_message_bits, port=port
    )
    return made, lost


def exact_sparse(
    source: str, target: str, shape: tuple[int, int], row: Ints, col: Ints, weights: Ints, exponent: int = 0, *,
    delays: npt.ArrayLike | None = None, num_message_bits: int = 0,
) -> tuple[Sparse, str]:  # fmt: skip
    """Return chosen synapses with these weights, and what was lost ("" where nothing was)."""
    fitted, more, lost = fit_weights(weights)
    odd = _cut(fitted)
    if odd:
        lost = "; ".join(
            part for part in (lost, f"{odd} odd weights lose their lowest bit (8 bits and a sign)") if part
        )
    mode = "mixed" if fitted.size and fitted.min() < 0 < fitted.max() or (fitted == LOW).any() else None
    made = Sparse(
        source, target, shape, row, col, fitted, exponent + more, sign_mode=mode, delays=delays,
        num_message_bits=num_message_bits,
    )  # fmt: skip
    return made, lost
