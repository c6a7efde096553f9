"""Filters of sensor events by what came before, in plain Python; twin of `neurosim.kernels.eventfilter`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


def supported(t: Numbers, x: Numbers, y: Numbers, span: int) -> npt.NDArray[np.bool_]:
    """Return which events have company, (n,) bool.

    Event i has if any event j < i lies on one of the eight pixels around it, ``max(|x_i - x_j|, |y_i - y_j|) = 1``, and
    ``t_i - t_j <= span``; whether j has company itself does not matter, nor its polarity.

    Parameters
    ----------
    t, x, y : (n,) int64
        In order of time; at least 0.
    span : int
        In the unit of t.
    """
    found = [
        any(max(abs(x[i] - x[j]), abs(y[i] - y[j])) == 1 and t[i] - t[j] <= span for j in range(i))
        for i in range(len(t))
    ]
    return np.array(found, np.bool_)


def rested(t: Numbers, x: Numbers, y: Numbers, span: int) -> npt.NDArray[np.bool_]:
    """Return which events come from pixels that have rested, (n,) bool.

    Event i does unless an event j < i of the same pixel that did has ``t_i - t_j < span``. Parameters as in `supported`.
    """
    found = np.zeros(len(t), np.bool_)
    for i in range(len(t)):
        found[i] = not any(found[j] and x[i] == x[j] and y[i] == y[j] and t[i] - t[j] < span for j in range(i))
    return found
