"""Deliver spikes: add the weights of the sources that fired to the accumulators of their targets."""

import numpy as np

from neurosim.codes import FORMAT_DENSE8, FORMAT_DENSE16
from neurosim.kernels.jit import jit
from neurosim.kernels.rows import add_rows8, add_rows16
from neurosim.kernels.synapses import add_synapses


@jit
def deliver(p, weights, offset, scale, sources, n_spikes, acc, total):
    """Add ``sum * 2**scale`` (rounding down) of the weights of the given sources to `acc` (int32, wraps).

    Parameters
    ----------
    p : ProgramArrays
    weights, offset : int
        FORMAT_*, and where the connection's weights begin.
    sources : (n_spikes or more,) int32
    acc : (n_post,) int32
        Added to.
    total : (n_post or more,) int32
        Scratch.
    """
    n_post = len(acc)
    left, right = max(0, scale), max(0, -scale)
    if weights == FORMAT_DENSE8:
        add_rows8(p.dense8, offset, n_post, sources, n_spikes, left, right, acc)
    elif weights == FORMAT_DENSE16:
        add_rows16(p.dense16, offset, n_post, sources, n_spikes, left, right, acc)
    else:
        # All wraps modulo 2**32, so that each weight can be shifted for itself; only rounding needs their sum.
        target = acc if right == 0 else total[:n_post]
        if right != 0:
            target[:] = 0
        add_synapses(p.csr_start, p.csr_word, offset, sources, n_spikes, left, target)
        if right != 0:
            for k in range(n_post):
                acc[k] = np.int32(np.int64(acc[k]) + (np.int64(target[k]) >> right))


@jit
def count_synapses(start, first_row, sources, n_spikes):
    """Return how many synapses the given sources have, from where each row starts and the last one ends."""
    n_synapses = np.int64(0)
    for i in range(n_spikes):
        row = first_row + sources[i]
        n_synapses += start[row + 1] - start[row]
    return n_synapses
