"""Deliver the spikes of one step through one connection; twin of `neurosim.kernels.deliver` and `kernels.links`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.fixedpoint import Profile, lost_weight_bits, shift_exponent, truncate_weights, wrap_bits, wrap_int32
from neurosim.network import Conv, Dense, IntegerConnection

Int64Array = npt.NDArray[np.int64]
LAVA = Profile()
CONV_BITS = 24  # of the sum of a convolution, sign included


class Matrices(NamedTuple):
    """A connection written out, each (n_post, n_pre)."""

    weights: Int64Array  # as the chip holds them
    stored: Int64Array  # 1 for each stored synapse
    delays: Int64Array


def connection_matrices(connection: IntegerConnection, profile: Profile = LAVA) -> Matrices:
    """Write a connection out; weights outside of it are 0."""
    if isinstance(connection, Dense):
        weights = held_weights(connection.weights, connection, profile)
        delays = np.zeros_like(weights) if connection.delays is None else np.asarray(connection.delays, np.int64)
        return Matrices(weights, np.ones_like(weights), delays)
    sparse = connection.as_sparse()
    weights, stored, delays = (np.zeros(sparse.shape, np.int64) for _ in range(3))
    place = np.asarray(sparse.row, np.int64), np.asarray(sparse.col, np.int64)
    weights[place] = held_weights(sparse.data, connection, profile)
    stored[place] = 1
    delays[place] = 0 if sparse.delays is None else sparse.delays
    return Matrices(weights, stored, delays)


def held_weights(weights: npt.ArrayLike, connection: IntegerConnection, profile: Profile) -> Int64Array:
    """Return weights as the format of a connection holds them; the chip applies the exponent to each."""
    if isinstance(connection, Conv):
        return np.asarray(weights, np.int64)
    assert connection.sign_mode is not None
    cut = truncate_weights(weights, connection.num_weight_bits, connection.sign_mode)
    if not profile.cuts_each_weight:
        return cut
    lost = lost_weight_bits(connection.num_weight_bits, connection.sign_mode)
    return shift_exponent(cut >> lost, lost + connection.weight_exp)


def deliver(
    connection: IntegerConnection, matrices: Matrices, value: Int64Array, profile: Profile = LAVA
) -> dict[int, Int64Array]:
    """Return what reaches the targets, (n_post,) for each delay.

    ``i32(shift(i32(W s), weight_exp))``: the exponent scales the sum and rounds down. With delays each has a sum of its
    own; that of a dense connection is kept in 64 bits, of products in 32 bits. A convolution's sum wraps into 24 bits.

    Parameters
    ----------
    value : (n_pre,) int64
        Value of each source's spike, 0 for none; 1 counts for any where ``num_message_bits`` is 0.
    """
    sent = value if connection.num_message_bits else (value != 0).astype(np.int64)
    products = wrap_int32(matrices.weights * sent[None, :])
    exponent = 0 if profile.cuts_each_weight else connection.weight_exp
    if isinstance(connection, Conv):
        return {0: wrap_bits(products.sum(axis=1), CONV_BITS)}
    if connection.delays is None:
        return {0: wrap_int32(shift_exponent(wrap_int32(products.sum(axis=1)), exponent))}
    sums = {int(d): np.where(matrices.delays == d, products, 0).sum(axis=1) for d in np.unique(matrices.delays)}
    if not isinstance(connection, Dense):
        sums = {d: wrap_int32(total) for d, total in sums.items()}
    return {d: wrap_int32(shift_exponent(total, exponent)) for d, total in sums.items()}
