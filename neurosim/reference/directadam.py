"""Adam (arXiv:1412.6980, algorithm 1) on one array; twin of `neurosim.kernels.directadam`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def advance(
    parameter: Floats, mean: Floats, square: Floats, gradient: Floats, factor: float, share: float, kept: float, keep_mean: float,
    keep_square: float, size: float, tiny: float,
) -> tuple[Floats, Floats, Floats]:  # fmt: skip
    """Return the parameters after a step, and the running means of the gradient and of its square.

    In these means each product is added in one rounding: sums are taken in 64 bits, whose own rounding can move the last bit of a float of
    32 bits about once in 2**29 sums.

    Parameters
    ----------
    parameter, mean, square, gradient : (n,) float32
    factor, share : float
        The gradient is multiplied by the first, then by the second.
    kept : float
        What parameters are multiplied by before they move.
    keep_mean, keep_square : float
        What the means keep of themselves: beta of the paper.
    size, tiny : float
        Parameters move by ``-size * mean / (sqrt(square) + tiny)``.
    """
    own = gradient * np.float32(factor) * np.float32(share)
    new_mean, new_square = np.float32(1 - keep_mean), np.float32(1 - keep_square)
    kept_mean, kept_square = mean * np.float32(keep_mean), square * np.float32(keep_square)
    wide = own.astype(np.float64)
    new: Floats = (wide * new_mean + kept_mean).astype(np.float32)
    squares: Floats = ((new_square * own).astype(np.float64) * wide + kept_square).astype(np.float32)
    step = (np.float32(size) * new) / (np.sqrt(squares) + np.float32(tiny))
    return (np.float32(kept) * parameter - step).astype(np.float32), new, squares
