"""Deliver the spikes of one step through one connection; twin of `neurosim.kernels.deliver`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.fixedpoint import shift_exponent, truncate_weights, wrap_int32
from neurosim.network import AnyConnection, Dense, Sparse


def connection_matrices(connection: AnyConnection) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the chip weights (n_post, n_pre), and 1 for each stored synapse (n_post, n_pre)."""
    assert isinstance(connection, (Dense, Sparse)) and connection.sign_mode is not None
    if isinstance(connection, Dense):
        weights = truncate_weights(connection.weights, connection.num_weight_bits, connection.sign_mode)
        return weights, np.ones_like(weights)
    weights, stored = np.zeros(connection.shape, np.int64), np.zeros(connection.shape, np.int64)
    post, pre = np.asarray(connection.row, np.int64), np.asarray(connection.col, np.int64)
    weights[post, pre] = truncate_weights(connection.data, connection.num_weight_bits, connection.sign_mode)
    stored[post, pre] = 1
    return weights, stored


def deliver(weights: npt.NDArray[np.int64], fired: npt.NDArray[np.bool_], weight_exp: int) -> npt.NDArray[np.int64]:
    """Return ``i32(shift(W s, weight_exp))`` (n_post,): the exponent scales the sum and rounds down."""
    return wrap_int32(shift_exponent(weights @ fired.astype(np.int64), weight_exp))
