"""The positive-negative balanced loss on membrane potentials.

Our reading of "brings positive and negative potentials to equilibrium" (arXiv:2605.27412, abstract; its form there is not known to us).
"""

from __future__ import annotations

from typing import Any

TINY = 1e-6


def balance_loss(potential: Any, norm: str) -> Any:
    """Return how far positive and negative potentials of a group are from equal, 0 where they are.

    With P the sum of the positive potentials before firing and N that of the sizes of the negative ones, over samples, steps and neurons,
    the square of (P - N) / D; D is P + N ("absolute"), their number ("neurons"), or their number times their standard deviation
    ("variance").

    Parameters
    ----------
    potential : (T, B, n) float32 tensor
        In thresholds.
    norm : {"absolute", "neurons", "variance"}

    Returns
    -------
    tensor of one number
    """
    mean = potential.mean()  # (P - N) / number
    if norm == "absolute":
        return (mean / (potential.abs().mean() + TINY)) ** 2
    if norm == "variance":
        return mean**2 / (potential.var(unbiased=False) + TINY)
    return mean**2
