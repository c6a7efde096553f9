"""Convolutions with kernels laid out (tap, in channel, out channel): a spike adds rows of out channels.

The same sums as `neurosim.kernels.links.sum_conv`, for binary spikes. Votes take the same rows backwards.
"""

import numpy as np

from neurosim.codes import REACH_FIRST, REACH_SAFE, REACH_WIDTH
from neurosim.kernels.jit import jit

WRAP_SHIFT = 8  # of 32 bits, to wrap into 24


@jit
def convolve(kernels, reaches, conv, sources, n_spikes, acc, total):
    """Add the flipped kernel around each source that fired; return the number of products.

    Parameters
    ----------
    kernels : (S,) int16
    reaches : Reaches
    conv : int
        Which convolution.
    sources : (n_spikes or more,) int32
    acc : (n_post,) int32
        Added to. The sum of the convolution itself wraps into 24 bits.
    total : (n_post or more,) int32
        Scratch.
    """
    n_post, first, width = len(acc), reaches.table[conv, REACH_FIRST], np.uint64(reaches.table[conv, REACH_WIDTH])
    safe = reaches.table[conv, REACH_SAFE] != 0
    sums = acc if safe else total[:n_post]
    if not safe:
        sums[:] = 0
    n_rows = np.int64(0)
    for i in range(n_spikes):
        row = first + sources[i]
        begin, end = reaches.start[row], reaches.start[row + 1]
        n_rows += end - begin
        for j in range(begin, end):
            weight, place = np.uint64(reaches.weight[j]), np.uint64(reaches.place[j])
            added, target = kernels[weight : weight + width], sums[place : place + width]
            for o in range(len(target)):
                target[o] = np.int32(np.int64(target[o]) + np.int64(added[o]))
    if not safe:
        for k in range(n_post):
            wrapped = np.int32(np.int64(sums[k]) << WRAP_SHIFT) >> WRAP_SHIFT
            acc[k] = np.int32(np.int64(acc[k]) + np.int64(wrapped))
    return n_rows * reaches.table[conv, REACH_WIDTH]


@jit
def vote_source(votes, reaches, conv, source, factor, local):
    """Add ``factor * local`` of all links of one source to the votes of their shared weights; return the number of links."""
    row, width = reaches.table[conv, REACH_FIRST] + source, np.uint64(reaches.table[conv, REACH_WIDTH])
    begin, end = reaches.start[row], reaches.start[row + 1]
    for j in range(begin, end):
        weight, place = np.uint64(reaches.weight[j]), np.uint64(reaches.place[j])
        summed, heard = votes[weight : weight + width], local[place : place + width]
        for o in range(len(summed)):
            summed[o] = np.int32(np.int64(summed[o]) + np.int64(np.int32(np.int32(factor) * heard[o])))
    return (end - begin) * reaches.table[conv, REACH_WIDTH]
