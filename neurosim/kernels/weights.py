"""Turn votes into weights: scale, round stochastically, keep the low bits beside the weight, saturate."""

import numpy as np

from neurosim.codes import (
    CONNECTION,
    CONV_FIRST,
    FIRST_FACTOR,
    FIRST_VOTE,
    KIND,
    KIND_KERNEL,
    KIND_ROWS,
    KIND_SYNAPSES,
    OFFSET,
    START,
    STOP,
    TARGET,
    WEIGHT_BITS,
)
from neurosim.counters import WEIGHT_UPDATES
from neurosim.kernels.jit import jit
from neurosim.kernels.noise import bits, fold

BLOCK = 16  # rows whose votes are summed up together: they stay in the first cache


@jit
def update_rows(
    p, x, k, plan, pre, post, votes, shared, first_row, last_row, full, step, step_shift, key, totals, counts
):
    """Sum up the votes of some rows of weights, and apply them; new mantissas go to ``p.dense8``.

    A row belongs to one presynaptic neuron of one plastic connection; rows are numbered over all of them. The votes of a
    row are never stored beyond its own update: memory grows with neurons times terms, not with synapses.

    Parameters
    ----------
    p, x, k, plan : ProgramArrays, Lanes, Links or None, LearnPlan
    pre, post : (R, n_terms, F) int16, (R, n_terms, L) int32
        What votes are made of, see `neurosim.kernels.learn.learn_samples`.
    votes : (n, W) int32
        Added to them: votes that are summed up already, by n threads; n may be 0.
    shared : (m, S) int32
        Votes of the kernels of convolutions, by m threads; m may be 0. Who updates a convolution's first row does all of it.
    first_row, last_row : int
        0..F
    full : (W,) int32
        Weights with residual bits; written.
    step, step_shift, key
        See `apply_row`.
    totals : (16 * n_post,) int32
        Scratch for the largest n_post.
    counts : (rows, N_COUNTERS) int64
        Added to.

    Returns
    -------
    n_saturated : int
    """
    n_saturated = np.int64(0)
    for c in range(len(plan.plastic) - 1):
        connection = plan.plastic[c, CONNECTION]
        first_factor, last_factor = plan.plastic[c, FIRST_FACTOR], plan.plastic[c + 1, FIRST_FACTOR]
        first_vote = plan.plastic[c, FIRST_VOTE]
        n_weights = plan.plastic[c + 1, FIRST_VOTE] - first_vote
        n_post = p.group[p.conn[connection, TARGET], STOP] - p.group[p.conn[connection, TARGET], START]
        lane = x.first[p.conn[connection, TARGET]]
        chip_first = p.conn[connection, OFFSET] if k is None else k.chip[c]
        limit = 1 << (plan.plastic[c, WEIGHT_BITS] - 1 + plan.residual_bits)
        stream = fold(key, connection)
        n_changed = np.int64(0)
        first, end = max(first_row, first_factor), min(last_row, last_factor)
        if k is not None:
            if plan.plastic[c, KIND] == KIND_KERNEL:  # as many chunks as it takes, by one thread
                n_chunks = (n_weights + len(totals) - 1) // len(totals)
                end = BLOCK * n_chunks if first == first_factor and first < end else np.int64(0)
                first = np.int64(0)
        while first < end:
            last = min(first + BLOCK, end)
            start, size = (first - first_factor) * n_post, (last - first) * n_post
            if k is not None:
                if plan.plastic[c, KIND] == KIND_KERNEL:
                    start = first // BLOCK * len(totals)
                    size = min(len(totals), n_weights - start)
                elif plan.plastic[c, KIND] == KIND_SYNAPSES:
                    start = k.start[k.row[c] + first - first_factor] - k.start[k.row[c]]
                    size = k.start[k.row[c] + last - first_factor] - k.start[k.row[c]] - start
            total = totals[:size]
            total[:] = 0
            if k is None:
                sum_rows(pre, post, first, last, lane, n_post, total)
            elif plan.plastic[c, KIND] == KIND_ROWS:
                sum_rows(pre, post, first, last, lane, n_post, total)
            elif plan.plastic[c, KIND] == KIND_SYNAPSES:
                sum_synapses(k, k.row[c] - first_factor, pre, post, first, last, lane, n_post, total)
            else:
                kernel = k.conv[k.conv_of[connection], CONV_FIRST]
                for thread in range(len(shared)):
                    for i in range(size):
                        place = kernel + k.place[kernel + start + i]
                        total[i] = np.int32(np.int64(total[i]) + np.int64(shared[thread, place]))
            place = first_vote + start
            for thread in range(len(votes)):
                summed = votes[thread, place : place + size]
                for i in range(size):
                    total[i] = np.int32(np.int64(total[i]) + np.int64(summed[i]))
            row_size = n_post if size == (last - first) * n_post else max(size, 1)
            for j in range(0, size, row_size):
                row = total[j : j + row_size]
                found = np.int32(0)
                for i in range(row_size):
                    found |= row[i]
                if found == 0:
                    continue
                chip = p.dense8[chip_first + start + j : chip_first + start + j + row_size]
                weights = full[place + j : place + j + row_size]
                n_new, n_full = apply_row(
                    row, weights, chip, start + j, plan.residual_bits, limit, step, step_shift[c], stream
                )  # fmt: skip
                n_changed += n_new
                n_saturated += n_full
            first = last
        counts[len(p.group) + connection, WEIGHT_UPDATES] += n_changed
    return n_saturated


@jit
def sum_rows(pre, post, first, last, lane, n_post, total):
    """Sum up the votes of rows of weights for all targets: for each term, pre factors times local votes."""
    for rank in range(len(pre)):
        for term in range(pre.shape[1]):
            local, factors = post[rank, term, lane : lane + n_post], pre[rank, term, first:last]
            for j in range(last - first):
                b = np.int32(factors[j])
                if b != 0:
                    row = total[j * n_post : (j + 1) * n_post]
                    for i in range(n_post):
                        row[i] = np.int32(np.int64(row[i]) + np.int64(np.int32(b * local[i])))


@jit
def sum_synapses(k, first_start, pre, post, first, last, lane, n_post, total):
    """Sum up the votes of the stored synapses of some sources; ``first_start + j`` is the row of source j in ``k.start``."""
    begin = k.start[first_start + first]
    for rank in range(len(pre)):
        for term in range(pre.shape[1]):
            local, factors = post[rank, term, lane : lane + n_post], pre[rank, term, first:last]
            for j in range(last - first):
                b = np.int32(factors[j])
                if b != 0:
                    here, end = k.start[first_start + first + j], k.start[first_start + first + j + 1]
                    row, targets = total[here - begin : end - begin], k.target[here:end]
                    for i in range(end - here):
                        row[i] = np.int32(np.int64(row[i]) + np.int64(np.int32(b * local[np.uint32(targets[i])])))


@jit
def apply_row(votes, full, chip, first, residual_bits, limit, step, step_shift, stream):
    """Apply votes to a row of weights.

    ``full += floor((vote * step + r) / 2**shift)``, r uniform in 0..2**shift - 1, so the expectation is exact; then
    saturate. The network sees ``full >> residual_bits``.

    Parameters
    ----------
    votes : (n,) int32
    full : (n,) int32
        Weights with residual bits; written.
    chip : (n,) int8
        Written.
    first : int
        Index of the row's first weight in its connection, which names its rounding noise.
    residual_bits, limit : int
        Weights stay in ``-limit..limit - 1``.
    step : int
        Step size, an integer that decays over the run.
    step_shift : int
        Negative: shift left.
    stream : uint64
        Names the connection's and generation's rounding noise.

    Returns
    -------
    n_changed, n_saturated : int
        Weights whose value on the chip changed, and weights that met the end of their range.
    """
    shift, left = max(0, step_shift), max(0, -step_shift)
    mask = np.uint64((1 << shift) - 1)
    n_changed, n_saturated = np.int64(0), np.int64(0)
    for k in range(len(votes)):
        scaled = (np.int64(votes[k]) * step) << left
        noise = np.int64(bits(stream, first + k) & mask) if votes[k] != 0 else np.int64(0)
        new = np.int64(full[k]) + ((scaled + noise) >> shift)
        n_saturated += np.int64(new > limit - 1) + np.int64(new < -limit)
        new = min(max(new, -limit), limit - 1)
        mantissa = new >> residual_bits
        n_changed += np.int64(mantissa != np.int64(chip[k]))
        chip[k] = np.int8(mantissa)
        full[k] = np.int32(new)
    return n_changed, n_saturated
