"""Cross-entropy of labels; twin of `neurosim.kernels.directloss`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def cross_entropy(
    logits: Floats, target: npt.NDArray[np.int64], smoothing: float, factor: float
) -> tuple[Floats, float, int]:
    """Return its gradient by the logits times a factor, (B, C) float32, the loss in nats, added up over samples, and who is right.

    Parameters
    ----------
    logits : (B, C) float32
    target : (B,) int64
        Label of each sample, 0..C - 1.
    smoothing : float
        Part of each label that is spread over all classes, 0..1.
    factor : float

    Examples
    --------
    >>> gradient, loss, correct = cross_entropy(np.float32([[0, 0]]), np.array([1]), 0.0, 2.0)
    >>> gradient.tolist(), round(loss, 3), correct
    ([[1.0, -1.0]], 0.693, 0)
    """
    below = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    shares = np.exp(below) / np.exp(below).sum(axis=1, keepdims=True)
    wanted = np.full(logits.shape, smoothing / logits.shape[1])
    wanted[np.arange(len(target)), target] += 1 - smoothing
    loss = float((wanted * (np.log(np.exp(below).sum(axis=1, keepdims=True)) - below)).sum())
    return ((shares - wanted) * factor).astype(np.float32), loss, int((logits.argmax(axis=1) == target).sum())
