"""Lists of synapses that are equal up to a shift, and are stored once."""

from __future__ import annotations

import numpy as np

from neurosim.fixedpoint import Int64Array


def distinct_lists(post: Int64Array, pre: Int64Array, tap: Int64Array) -> Int64Array:
    """Return the lengths of the different lists of some synapses: (n_lists,) int64.

    The list of a presynaptic neuron holds, for each of its synapses, how far the target lies behind its first target, and
    which weight of the kernel it uses. Which weights happen to be equal does not matter, so that they may be learned.

    Parameters
    ----------
    post, pre, tap : (n_synapses,) int64
        Ends of each synapse, and its weight's place in the kernel; a pair of neurons appears once only.

    Examples
    --------
    >>> post, pre, tap = (np.array(x) for x in ([0, 1, 1, 2, 2], [0, 0, 1, 1, 2], [5, 4, 5, 4, 5]))
    >>> distinct_lists(post, pre, tap).tolist()
    [1, 2]
    """
    order = np.argsort(pre, kind="stable")  # synapses come by post, so each list stays ascending
    start = np.flatnonzero(np.diff(pre[order], prepend=-1))
    n = np.diff(start, append=len(pre))
    away = post[order] - np.repeat(post[order][start], n)
    entry = away * (int(tap.max(initial=0)) + 1) + tap[order]
    found = []
    for length in np.unique(n).tolist():  # clipped windows: few different lengths
        lists = entry[start[n == length][:, None] + np.arange(length)]
        as_bytes = np.ascontiguousarray(lists).view(np.dtype((np.void, lists.itemsize * length)))
        found.append(np.full(len(np.unique(as_bytes)), length, np.int64))
    return np.concatenate(found) if found else np.zeros(0, np.int64)
