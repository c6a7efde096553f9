"""Deliver spikes: add the weights of the sources that fired to the accumulators of their targets."""

import numpy as np

from neurosim.kernels.jit import jit

CHUNK = 248  # rows summed in 16 bits before a flush: 248 * 128 < 2**15, a multiple of UNROLL
UNROLL = 8  # rows added per pass over the accumulator
SMALL = 32  # below this many targets a plain loop is faster


@jit
def sum_dense8(rows, offset, n_post, sources, n_spikes, total, sum16):
    """Set ``total[:n_post]`` (int32) to the sum of the int8 rows of the given sources.

    ``sum16`` (n_post,) int16 is scratch: chunks of at most 248 rows cannot leave 16 bits, so each chunk is summed
    in 16-bit lanes, eight rows to a pass, and then added in 32 bits.
    """
    total[:n_post] = 0
    if n_post < SMALL:
        for i in range(n_spikes):
            start = offset + sources[i] * n_post
            row = rows[start : start + n_post]
            for k in range(n_post):
                total[k] += row[k]
        return
    done = 0
    while done < n_spikes:
        stop = min(n_spikes, done + CHUNK)
        for k in range(n_post):
            sum16[k] = 0
        while done + UNROLL <= stop:
            _add_eight(rows, offset, n_post, sources, done, sum16)
            done += UNROLL
        while done < stop:
            start = offset + sources[done] * n_post
            row = rows[start : start + n_post]
            for k in range(n_post):
                sum16[k] = np.int16(np.int64(sum16[k]) + row[k])
            done += 1
        for k in range(n_post):
            total[k] = np.int32(np.int64(total[k]) + sum16[k])


@jit
def _add_eight(rows, offset, n_post, sources, first, sum16):
    """Add eight rows in one pass: one load and one store of the accumulator for eight rows."""
    s0 = offset + sources[first] * n_post
    s1 = offset + sources[first + 1] * n_post
    s2 = offset + sources[first + 2] * n_post
    s3 = offset + sources[first + 3] * n_post
    s4 = offset + sources[first + 4] * n_post
    s5 = offset + sources[first + 5] * n_post
    s6 = offset + sources[first + 6] * n_post
    s7 = offset + sources[first + 7] * n_post
    r0 = rows[s0 : s0 + n_post]
    r1 = rows[s1 : s1 + n_post]
    r2 = rows[s2 : s2 + n_post]
    r3 = rows[s3 : s3 + n_post]
    r4 = rows[s4 : s4 + n_post]
    r5 = rows[s5 : s5 + n_post]
    r6 = rows[s6 : s6 + n_post]
    r7 = rows[s7 : s7 + n_post]
    for k in range(n_post):
        pair0 = np.int16(np.int64(r0[k]) + r1[k])
        pair1 = np.int16(np.int64(r2[k]) + r3[k])
        pair2 = np.int16(np.int64(r4[k]) + r5[k])
        pair3 = np.int16(np.int64(r6[k]) + r7[k])
        sum16[k] = np.int16(np.int64(sum16[k]) + pair0 + pair1 + pair2 + pair3)


@jit
def sum_dense16(rows, offset, n_post, sources, n_spikes, total):
    """Set ``total[:n_post]`` (int32) to the sum of the int16 rows of the given sources, four rows to a pass."""
    total[:n_post] = 0
    done = 0
    while done + 4 <= n_spikes:
        s0 = offset + sources[done] * n_post
        s1 = offset + sources[done + 1] * n_post
        s2 = offset + sources[done + 2] * n_post
        s3 = offset + sources[done + 3] * n_post
        r0 = rows[s0 : s0 + n_post]
        r1 = rows[s1 : s1 + n_post]
        r2 = rows[s2 : s2 + n_post]
        r3 = rows[s3 : s3 + n_post]
        for k in range(n_post):
            pair0 = np.int32(np.int64(r0[k]) + r1[k])
            pair1 = np.int32(np.int64(r2[k]) + r3[k])
            total[k] = np.int32(np.int64(total[k]) + pair0 + pair1)
        done += 4
    while done < n_spikes:
        start = offset + sources[done] * n_post
        row = rows[start : start + n_post]
        for k in range(n_post):
            total[k] = np.int32(np.int64(total[k]) + row[k])
        done += 1


@jit
def sum_csr(start, target, weight, first_row, n_post, sources, n_spikes, total):
    """Set ``total[:n_post]`` (int32) to the sum of the stored weights of the given sources; return their number."""
    total[:n_post] = 0
    n_synapses = 0
    for i in range(n_spikes):
        row = first_row + sources[i]
        for e in range(start[row], start[row + 1]):
            total[target[e]] += weight[e]
        n_synapses += start[row + 1] - start[row]
    return n_synapses


@jit
def add_scaled(total, scale, acc):
    """Add ``total * 2**scale`` (rounding down) to `acc` (int32, wraps)."""
    if scale >= 0:
        for k in range(len(acc)):
            acc[k] = np.int32(np.int64(acc[k]) + (np.int64(total[k]) << scale))
    else:
        for k in range(len(acc)):
            acc[k] = np.int32(np.int64(acc[k]) + (np.int64(total[k]) >> -scale))
