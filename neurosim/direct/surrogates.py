"""Surrogate gradients: what is taken for the derivative of a spike.

A spike is a step at the threshold. It is taken for the smooth step G(d / w), where d is the distance of the potential to the
nearest threshold in thresholds and w the width; its derivative g(d / w) / w has an area of 1 at any width, and its derivative by
the width, -(d / w) g(d / w) / w, is what a learned width follows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.directconfig import SURROGATES
from neurosim.errors import ConfigError

FloatArray = npt.NDArray[np.float64]


def slope(kind: str, z: npt.ArrayLike) -> FloatArray:
    """Return g(z) of a shape, whose area is 1.

    Parameters
    ----------
    kind : str
        A key of `neurosim.directconfig.SURROGATES`.
    z : array
        Distance to the threshold in widths.

    Examples
    --------
    >>> [float(slope(kind, 0.0) / width) for kind, width in SURROGATES.items()]
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    x = np.abs(np.asarray(z, np.float64))
    if kind == "rectangle":
        return np.asarray(np.where(x < 1, 0.5, 0.0))
    if kind == "triangle":
        return np.asarray(np.maximum(1 - x, 0.0))
    if kind == "sigmoid":
        e = np.exp(-x)
        return np.asarray(e / np.square(1 + e))
    if kind == "inverse-square":
        return np.asarray(0.5 / np.square(1 + x))
    if kind == "arctan":
        return np.asarray(1 / (np.pi * (1 + np.square(x))))
    raise ConfigError(f"direct.surrogate: unknown shape {kind!r}; choose one of {', '.join(SURROGATES)}")


def step(kind: str, z: npt.ArrayLike) -> FloatArray:
    """Return G(z), the smooth step whose derivative `slope` is: 0 far below the threshold, 1 far above."""
    z = np.asarray(z, np.float64)
    x = np.abs(z)
    if kind == "rectangle":
        upper = 0.5 * np.minimum(x, 1)
    elif kind == "triangle":
        upper = np.minimum(x, 1) - 0.5 * np.square(np.minimum(x, 1))
    elif kind == "sigmoid":
        upper = 1 / (1 + np.exp(-x)) - 0.5
    elif kind == "inverse-square":
        upper = 0.5 * x / (1 + x)
    elif kind == "arctan":
        upper = np.arctan(x) / np.pi
    else:
        raise ConfigError(f"direct.surrogate: unknown shape {kind!r}; choose one of {', '.join(SURROGATES)}")
    return np.asarray(0.5 + np.copysign(upper, z))


def gradient(kind: str, distance: npt.ArrayLike, width: float) -> FloatArray:
    """Return the pretended derivative of a spike by the potential, in thresholds."""
    return np.asarray(slope(kind, np.asarray(distance, np.float64) / width) / width)
