"""Adam (arXiv:1412.6980, algorithm 1) on one array; twin of `neurosim.kernels.directadam`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def take_gradient(
    mean: Floats, square: Floats, gradient: Floats, keep_mean: float, keep_square: float
) -> tuple[Floats, Floats]:
    """Return the running means of a gradient and of its square, each product added in one rounding.

    Sums are taken in 64 bits, whose own rounding can move the last bit of a float of 32 bits about once in 2**29 sums.

    Parameters
    ----------
    mean, square, gradient : (n,) float32
    keep_mean, keep_square : float
        What the means keep of themselves: beta of the paper.
    """
    new_mean, new_square = np.float32(1 - keep_mean), np.float32(1 - keep_square)
    kept_mean, kept_square = mean * np.float32(keep_mean), square * np.float32(keep_square)
    wide = gradient.astype(np.float64)
    return (
        (wide * new_mean + kept_mean).astype(np.float32),
        ((new_square * gradient).astype(np.float64) * wide + kept_square).astype(np.float32),
    )


def move(parameter: Floats, mean: Floats, root: Floats, size: float, tiny: float) -> Floats:
    """Return the parameters after a step ``-size * mean / (root + tiny)``; `root` is that of the mean square."""
    return parameter + (-np.float32(size) * mean) / (root + np.float32(tiny))
