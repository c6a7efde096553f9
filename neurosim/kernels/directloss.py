"""Cross-entropy of labels in one pass; twin: `neurosim.reference.directloss`."""

from __future__ import annotations

import math

import numpy as np

from neurosim.kernels.jit import jit


@jit
def cross_entropy(logits, target, smoothing, factor, gradient, found):
    """Compare logits with labels; arguments as in the twin.

    Parameters
    ----------
    gradient : (B, C) float32
        Written.
    found : (2,) float64
        Written: the loss, and how many samples have their largest logit, the first among equals, at their label.
    """
    n = logits.shape[1]
    found[:] = 0
    for b in range(len(logits)):
        best = 0
        for c in range(1, n):
            best = c if logits[b, c] > logits[b, best] else best
        total = 0.0
        for c in range(n):
            total += math.exp(np.float64(logits[b, c]) - np.float64(logits[b, best]))
        for c in range(n):
            below = np.float64(logits[b, c]) - np.float64(logits[b, best])
            wanted = smoothing / n + (1 - smoothing if c == target[b] else 0.0)
            found[0] -= wanted * (below - math.log(total))
            gradient[b, c] = (math.exp(below) / total - wanted) * factor
        found[1] += best == target[b]
