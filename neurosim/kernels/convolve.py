"""Convolutions with kernels laid out (tap, in channel, out channel): a spike adds rows of out channels.

The same sums as `neurosim.kernels.links.sum_conv`, for binary spikes. Votes take the same walk backwards.
"""

import numpy as np

from neurosim.codes import (
    CONV_CHANNELS,
    CONV_DILATION_X,
    CONV_DILATION_Y,
    CONV_FIRST,
    CONV_GROUPS,
    CONV_HEIGHT,
    CONV_KERNEL_X,
    CONV_KERNEL_Y,
    CONV_OUT_CHANNELS,
    CONV_OUT_HEIGHT,
    CONV_OUT_WIDTH,
    CONV_PAD_X,
    CONV_PAD_Y,
    CONV_STRIDE_X,
    CONV_STRIDE_Y,
)
from neurosim.kernels.jit import jit

SAFE_FAN_IN = 1 << 15  # so many weights of 9 bits stay within the 24 bits of a sum
WRAP_SHIFT = 8  # of 32 bits, to wrap into 24


@jit
def convolve(kernels, c, sources, n_spikes, acc, total):
    """Add the flipped kernel around each source that fired; return the number of products.

    Parameters
    ----------
    kernels : (S,) int16
    c : (16,) int64
        Geometry, codes.CONV_*.
    sources : (n_spikes or more,) int32
    acc : (n_post,) int32
        Added to. The sum of the convolution itself wraps into 24 bits.
    total : (n_post or more,) int32
        Scratch.
    """
    n_post = len(acc)
    safe = c[CONV_KERNEL_X] * c[CONV_KERNEL_Y] * (c[CONV_CHANNELS] // c[CONV_GROUPS]) <= SAFE_FAN_IN
    sums = acc if safe else total[:n_post]
    if not safe:
        sums[:] = 0
    n_products = np.int64(0)
    for i in range(n_spikes):
        n_products += spread_source(kernels, c, sources[i], sums)
    if not safe:
        for k in range(n_post):
            wrapped = np.int32(np.int64(sums[k]) << WRAP_SHIFT) >> WRAP_SHIFT
            acc[k] = np.int32(np.int64(acc[k]) + np.int64(wrapped))
    return n_products


@jit
def first_and_last(x, pad, dilation, taps, stride, size):
    """Return the first and the last output position that an input position reaches, by one axis."""
    first = -((dilation * (taps - 1) - x - pad) // stride)
    return max(first, np.int64(0)), min((x + pad) // stride, size - 1)


@jit
def spread_source(kernels, c, source, sums):
    """Add one source's rows of weights to the sums of all that it reaches; return their number."""
    height, channels, n_out = c[CONV_HEIGHT], c[CONV_CHANNELS], c[CONV_OUT_CHANNELS]
    dilation_x, dilation_y, kernel_x, kernel_y = (
        c[CONV_DILATION_X],
        c[CONV_DILATION_Y],
        c[CONV_KERNEL_X],
        c[CONV_KERNEL_Y],
    )
    out_group = n_out // c[CONV_GROUPS]
    pixel, channel = np.int64(source) // channels, np.int64(source) % channels
    x, y = pixel // height, pixel % height
    first_out = channel // (channels // c[CONV_GROUPS]) * out_group
    first_x, last_x = first_and_last(x, c[CONV_PAD_X], dilation_x, kernel_x, c[CONV_STRIDE_X], c[CONV_OUT_WIDTH])
    first_y, last_y = first_and_last(y, c[CONV_PAD_Y], dilation_y, kernel_y, c[CONV_STRIDE_Y], c[CONV_OUT_HEIGHT])
    n_products = np.int64(0)
    for to_x in range(first_x, last_x + 1):
        a = x + c[CONV_PAD_X] - to_x * c[CONV_STRIDE_X]
        if dilation_x > 1 and a % dilation_x != 0:
            continue
        a = a // dilation_x if dilation_x > 1 else a
        for to_y in range(first_y, last_y + 1):
            b = y + c[CONV_PAD_Y] - to_y * c[CONV_STRIDE_Y]
            if dilation_y > 1 and b % dilation_y != 0:
                continue
            b = b // dilation_y if dilation_y > 1 else b
            tap = (kernel_x - 1 - a) * kernel_y + kernel_y - 1 - b
            place = (to_x * c[CONV_OUT_HEIGHT] + to_y) * n_out + first_out
            weight = c[CONV_FIRST] + (tap * channels + channel) * out_group
            row, target = kernels[weight : weight + out_group], sums[place : place + out_group]
            for o in range(out_group):
                target[o] = np.int32(np.int64(target[o]) + np.int64(row[o]))
            n_products += out_group
    return n_products


@jit
def vote_source(votes, c, source, factor, local):
    """Add ``factor * local`` of all links of one source to the votes of their shared weights; return the number of links."""
    height, channels, n_out = c[CONV_HEIGHT], c[CONV_CHANNELS], c[CONV_OUT_CHANNELS]
    dilation_x, dilation_y, kernel_x, kernel_y = (
        c[CONV_DILATION_X],
        c[CONV_DILATION_Y],
        c[CONV_KERNEL_X],
        c[CONV_KERNEL_Y],
    )
    out_group = n_out // c[CONV_GROUPS]
    pixel, channel = np.int64(source) // channels, np.int64(source) % channels
    x, y = pixel // height, pixel % height
    first_out = channel // (channels // c[CONV_GROUPS]) * out_group
    first_x, last_x = first_and_last(x, c[CONV_PAD_X], dilation_x, kernel_x, c[CONV_STRIDE_X], c[CONV_OUT_WIDTH])
    first_y, last_y = first_and_last(y, c[CONV_PAD_Y], dilation_y, kernel_y, c[CONV_STRIDE_Y], c[CONV_OUT_HEIGHT])
    n_links = np.int64(0)
    for to_x in range(first_x, last_x + 1):
        a = x + c[CONV_PAD_X] - to_x * c[CONV_STRIDE_X]
        if dilation_x > 1 and a % dilation_x != 0:
            continue
        a = a // dilation_x if dilation_x > 1 else a
        for to_y in range(first_y, last_y + 1):
            b = y + c[CONV_PAD_Y] - to_y * c[CONV_STRIDE_Y]
            if dilation_y > 1 and b % dilation_y != 0:
                continue
            b = b // dilation_y if dilation_y > 1 else b
            tap = (kernel_x - 1 - a) * kernel_y + kernel_y - 1 - b
            place = (to_x * c[CONV_OUT_HEIGHT] + to_y) * n_out + first_out
            weight = c[CONV_FIRST] + (tap * channels + channel) * out_group
            row, heard = votes[weight : weight + out_group], local[place : place + out_group]
            for o in range(out_group):
                row[o] = np.int32(np.int64(row[o]) + np.int64(np.int32(np.int32(factor) * heard[o])))
            n_links += out_group
    return n_links
