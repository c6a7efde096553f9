"""Turn each value into the activity of several tuned neurons, in integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.data.encode import check_values, rate_code
from neurosim.errors import DataError
from neurosim.events import Events


def tuned_values(values: npt.ArrayLike, levels: int, n_tuned: int) -> npt.NDArray[np.int64]:
    """Return how strongly each of `n_tuned` neurons per value answers, (n_samples, n_inputs * n_tuned) in 0..2 * levels.

    Neuron k is tuned to ``k * levels / (n_tuned - 1)``; its answer falls in a straight line to 0 at two neurons' distance:
    ``max(2 * levels - abs(x * (n_tuned - 1) - k * levels), 0)``. Neuron k of input i is number ``i * n_tuned + k``.

    Parameters
    ----------
    values : (n_samples, n_inputs) int
        0..levels.
    levels : int
        At most 2**24.
    n_tuned : int
        2..4096.

    Examples
    --------
    >>> tuned_values([[0, 6]], levels=8, n_tuned=5).tolist()
    [[16, 8, 0, 0, 0, 0, 0, 8, 16, 8]]
    """
    table = check_values(values, 1, levels).astype(np.int64)
    for name, number, low, high in (("n_tuned", n_tuned, 2, 1 << 12), ("levels", levels, 1, 1 << 24)):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not low <= number <= high:
            raise DataError(f"encoder: {name} {number!r} is not a whole number in {low}..{high}; choose another")
    distance = np.abs(table[:, :, None] * (n_tuned - 1) - np.arange(n_tuned, dtype=np.int64) * levels)
    return np.asarray(np.maximum(2 * levels - distance, 0).reshape(len(table), table.shape[1] * n_tuned), np.int64)


def population_code(values: npt.ArrayLike, n_steps: int, levels: int, *, n_tuned: int = 8) -> Events:
    """Encode values by `n_tuned` neurons each (`tuned_values`), whose answers are rates (`neurosim.data.encode.rate_code`).

    Parameters as in `tuned_values`; other codes take its result as well: ``poisson_code(tuned_values(x, levels, n), n_steps,
    2 * levels)``.
    """
    return rate_code(tuned_values(values, levels, n_tuned), n_steps, 2 * levels)
