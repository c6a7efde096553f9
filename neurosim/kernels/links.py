"""Deliver spikes through links: with values, delays, to a second port, or by convolution (`docs/arithmetic.md`, sections 4, 5)."""

import numpy as np

from neurosim.codes import (
    ACC,
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
    LINK_CONNECTION,
    LINK_CONV,
    LINK_DELAYED,
    LINK_EXPONENT,
    LINK_KIND,
    LINK_OFFSET,
    LINK_PORT,
    LINK_RING,
    LINK_ROWS,
    LINK_VALUES,
    LINK_WIDE,
    RING_FIRST,
    RING_LENGTH,
    RING_OFFSET,
    RING_PORT,
    RING_WIDTH,
    SOURCE,
    SPIKES,
    START,
    STOP,
    TARGET,
)
from neurosim.counters import SYNAPTIC_OPERATIONS
from neurosim.kernels.jit import jit
from neurosim.kernels.models import i32, wrap

CONV_BITS = 24  # of the sum of a convolution, sign included


@jit
def deliver_links(p, m, s, w, t, counts):
    """Walk all links, then add what arrives in step t (from 0) from the rings.

    The sums of a link are wrapped into 32 bits before the exponent scales them, but for dense ones with delays, which Lava
    sums in 64 bits; each delay is scaled on its own.
    """
    for i in range(len(m.link)):
        connection = m.link[i, LINK_CONNECTION]
        source, target = p.conn[connection, SOURCE], p.conn[connection, TARGET]
        n_spikes = s.n_spikes[source]
        if n_spikes == 0:
            continue
        first_source = p.group[source, START]
        sources = s.lanes[SPIKES, first_source : p.group[source, STOP]]
        values = w.value[first_source : p.group[source, STOP]]
        graded = m.link[i, LINK_VALUES] != 0
        first, last = p.group[target, START], p.group[target, STOP]
        n_post = last - first
        kind, offset, exponent = m.link[i, LINK_KIND], m.link[i, LINK_OFFSET], m.link[i, LINK_EXPONENT]
        n_delays = m.ring[m.link[i, LINK_RING], RING_LENGTH] if kind == LINK_DELAYED else 1
        total = w.wide[: n_post * n_delays]
        total[:] = 0
        if kind == LINK_ROWS:
            n_synapses = sum_rows(m.rows, offset, n_post, sources, n_spikes, values, graded, total)
        elif kind == LINK_CONV:
            n_synapses = sum_conv(m.rows, m.conv[offset], sources, n_spikes, values, graded, total)
        else:
            n_synapses = sum_synapses(
                m.start, m.target, m.weight, m.delay, offset, n_post, sources, n_spikes, values, graded, total
            )
        if kind == LINK_CONV:
            for k in range(len(total)):
                total[k] = wrap(total[k], CONV_BITS)
        elif m.link[i, LINK_WIDE] == 0:
            for k in range(len(total)):
                total[k] = i32(total[k])
        if kind == LINK_DELAYED:
            ring = m.link[i, LINK_RING]
            base = m.ring[ring, RING_OFFSET]
            for d in range(n_delays):
                place = base + (t + d) % n_delays * n_post
                scale_into(total[d * n_post : (d + 1) * n_post], exponent, w.ring[place : place + n_post])
        elif m.link[i, LINK_PORT] == 0:
            scale_into(total, exponent, s.lanes[ACC, first:last])
        else:
            scale_into(total, exponent, w.second[first:last])
        counts[len(p.group) + connection, SYNAPTIC_OPERATIONS] += n_synapses
    for i in range(len(m.ring)):
        first, width = m.ring[i, RING_FIRST], m.ring[i, RING_WIDTH]
        place = m.ring[i, RING_OFFSET] + t % m.ring[i, RING_LENGTH] * width
        for k in range(width):
            arriving = np.int64(w.ring[place + k])
            w.ring[place + k] = 0
            if m.ring[i, RING_PORT] == 0:
                s.lanes[ACC, first + k] = np.int32(np.int64(s.lanes[ACC, first + k]) + arriving)
            else:
                w.second[first + k] = np.int32(np.int64(w.second[first + k]) + arriving)


@jit
def scale_into(total, exponent, target):
    """Add ``total * 2**exponent`` (rounding down) to 32-bit sums, which wrap."""
    for k in range(len(target)):
        scaled = total[k] << exponent if exponent >= 0 else total[k] >> -exponent
        target[k] = np.int32(np.int64(target[k]) + scaled)


@jit
def value_of(values, source, graded):
    """Return what the spike of a source multiplies weights with."""
    return np.int64(values[source]) if graded else np.int64(1)


@jit
def sum_rows(rows, offset, n_post, sources, n_spikes, values, graded, total):
    """Add rows of weights times values to ``total``; return the number of synapses."""
    for i in range(n_spikes):
        value = value_of(values, sources[i], graded)
        start = offset + sources[i] * n_post
        for k in range(n_post):
            total[k] += rows[start + k] * value
    return n_spikes * n_post


@jit
def sum_synapses(start, target, weight, delay, first_row, n_post, sources, n_spikes, values, graded, total):
    """Add stored weights times values to ``total``, one part per delay; each product wraps into 32 bits."""
    n_synapses = np.int64(0)
    for i in range(n_spikes):
        value = value_of(values, sources[i], graded)
        row = first_row + sources[i]
        for e in range(start[row], start[row + 1]):
            total[np.int64(delay[e]) * n_post + target[e]] += i32(weight[e] * value)
        n_synapses += start[row + 1] - start[row]
    return n_synapses


@jit
def sum_conv(kernel, c, sources, n_spikes, values, graded, total):
    """Add the flipped kernel around each source that fired; return the number of products."""
    height, channels = c[CONV_HEIGHT], c[CONV_CHANNELS]
    out_width, out_height, n_out = c[CONV_OUT_WIDTH], c[CONV_OUT_HEIGHT], c[CONV_OUT_CHANNELS]
    kernel_x, kernel_y = c[CONV_KERNEL_X], c[CONV_KERNEL_Y]
    in_group, out_group = channels // c[CONV_GROUPS], n_out // c[CONV_GROUPS]
    n_products = np.int64(0)
    for i in range(n_spikes):
        value = value_of(values, sources[i], graded)
        x = np.int64(sources[i]) // (height * channels)
        y = np.int64(sources[i]) // channels % height
        channel = np.int64(sources[i]) % channels
        first_out = channel // in_group * out_group
        for a in range(kernel_x):
            to_x = x + c[CONV_PAD_X] - a * c[CONV_DILATION_X]
            if to_x < 0 or to_x % c[CONV_STRIDE_X] != 0 or to_x // c[CONV_STRIDE_X] >= out_width:
                continue
            for b in range(kernel_y):
                to_y = y + c[CONV_PAD_Y] - b * c[CONV_DILATION_Y]
                if to_y < 0 or to_y % c[CONV_STRIDE_Y] != 0 or to_y // c[CONV_STRIDE_Y] >= out_height:
                    continue
                place = (to_x // c[CONV_STRIDE_X] * out_height + to_y // c[CONV_STRIDE_Y]) * n_out
                tap = (kernel_x - 1 - a) * kernel_y + kernel_y - 1 - b
                for o in range(first_out, first_out + out_group):
                    weight = kernel[c[CONV_FIRST] + (o * kernel_x * kernel_y + tap) * in_group + channel % in_group]
                    total[place + o] += weight * value
                n_products += out_group
    return n_products
