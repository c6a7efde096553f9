"""Turn votes into weights: scale, round stochastically, keep the low bits beside the weight, saturate."""

import numpy as np

from neurosim.codes import (
    BLOCK,
    CHUNK,
    CONNECTION,
    FIRST_FACTOR,
    FIRST_VOTE,
    KIND,
    KIND_ROWS,
    KIND_SYNAPSES,
    OFFSET,
    TARGET,
    WEIGHT_BITS,
)
from neurosim.counters import WEIGHT_UPDATES
from neurosim.kernels.arith import largest_size
from neurosim.kernels.directions import choose_directions, moves_by_sign
from neurosim.kernels.jit import jit
from neurosim.kernels.noise import bits32, fold
from neurosim.kernels.terms import nonzero_mask, sum_terms, trailing_zeros

SIGN_SHIFT = 24  # of steps of equal size, less the bits of a weight and its residual
LOW_32 = np.uint64((1 << 32) - 1)
LIMIT_32 = 1 << 31
LARGEST_VOTE = 1 << 22  # its square, times all targets of a row, fits 64 bits
WIDTH = 16


@jit
def update_rows(
    p,
    x,
    plan,
    pre,
    post,
    votes,
    first_row,
    last_row,
    full,
    step,
    step_shift,
    key,
    power,
    memory,
    age,
    chance,
    averages,
    totals,
    work,
    counts,
    k=None,
    shared=None,
):
    """Sum up the votes of some rows of weights, and apply them; new mantissas go to ``p.dense8``.

    A row belongs to one presynaptic neuron of one plastic connection; rows are numbered over all of them. The votes of
    a row are never stored beyond its own update: memory grows with neurons times terms, not with synapses. The kernel of
    a convolution is one row, the first of its connection.

    Parameters
    ----------
    p, x, plan : ProgramArrays, Lanes, LearnPlan
    pre, post : (R, n_terms, F) int16, (R, n_terms, L) int32
        What votes are made of, see `neurosim.kernels.learn.learn_samples`.
    votes : (n, W) int32
        Added to them: votes that are summed up already, by n threads; n may be 0.
    first_row, last_row : int
        0..F
    full : (n_learned,) int32
        Weights with residual bits; written.
    step, step_shift, key
        See `apply_row`. Where weights move by signs, the shift follows from the format: size x step in 1/65536 of a step of
        8-bit weights.
    power : (F,) or (0,) int64
        Leaky sums of the mean square of each row's votes; written. If given, the shift of a row is `step_shift` and the
        binary logarithm of the root of its mean square: rows with large votes take no larger steps than others.
    memory, age : int
        The sums forget ``2**-memory`` in each generation; `age` is the number of generations that they hold, this one included.
    chance : Chance
        How large votes are by chance, for updates by significance.
    average : (n_learned,) int16
        Written, with momentum.
    totals, work : (64 * n_post,) int32, UpdateScratch
        Scratch; n_post the largest, rounded up to a multiple of 16, or more for kernels.
    counts : (rows, N_COUNTERS) int64
        Added to.
    k : Links or None
        None where all plastic connections are rows of int8 and nothing is a convolution.
    shared : (m, S) int32 or None
        Votes of the kernels of convolutions, by m threads; m may be 0.

    Returns
    -------
    n_saturated : int
    """
    n_saturated = np.int64(0)
    for c in range(len(plan.plastic) - 1):
        connection = plan.plastic[c, CONNECTION]
        first_factor, last_factor = plan.plastic[c, FIRST_FACTOR], plan.plastic[c + 1, FIRST_FACTOR]
        n_post = (plan.plastic[c + 1, FIRST_VOTE] - plan.plastic[c, FIRST_VOTE]) // (last_factor - first_factor)
        lane = x.first[p.conn[connection, TARGET]]
        limit = 1 << (plan.plastic[c, WEIGHT_BITS] - 1 + plan.residual_bits)
        stream = fold(key, connection)
        by_sign = moves_by_sign(plan)
        n_changed = np.int64(0)
        if k is not None:
            if plan.plastic[c, KIND] != KIND_ROWS:
                n_new, n_full = update_links(
                    p, x, k, plan, c, pre, post, votes, shared, first_row, last_row, full, limit, step, step_shift[c], stream,
                    power, memory, age, chance, averages, totals,
                )  # fmt: skip
                counts[len(p.group) + connection, WEIGHT_UPDATES] += n_new
                n_saturated += n_full
                continue
        chip_first = p.conn[connection, OFFSET] if k is None else k.chip[c]
        stride = (n_post + WIDTH - 1) // WIDTH * WIDTH
        for first in range(max(first_row, first_factor), min(last_row, last_factor), BLOCK):
            last = min(first + BLOCK, last_row, last_factor)
            total = totals[: (last - first) * stride]
            total[:] = 0
            sum_block(pre, post, first, last - first, lane, stride, work, total)
            start = (first - first_factor) * n_post
            place = plan.plastic[c, FIRST_VOTE] + start
            for j in range(last - first):
                row = total[j * stride : j * stride + n_post]
                for thread in range(len(votes)):
                    summed = votes[thread, place + j * n_post : place + (j + 1) * n_post]
                    for i in range(n_post):
                        row[i] = np.int32(row[i] + summed[i])
                largest = largest_size(row)
                shift = step_shift[c]
                if len(power) > 0:
                    power[first + j] += mean_square(row) - (power[first + j] >> memory)
                    shift += root_exponent(power[first + j] // min(age, 1 << memory))
                if largest == 0:
                    continue
                here = start + j * n_post
                chip = p.dense8[chip_first + here : chip_first + here + n_post]
                weights = full[place + j * n_post : place + (j + 1) * n_post]
                noise = fold(stream, first - first_factor + j)
                if by_sign:
                    choose_directions(
                        plan, c, lane, first + j - first_factor, place + j * n_post, row, chance, averages, step_shift[c], noise
                    )  # fmt: skip
                    largest, shift = np.int64(1), SIGN_SHIFT - plan.plastic[c, WEIGHT_BITS] - plan.residual_bits
                n_new, n_full = apply_row(row, largest, weights, chip, plan.residual_bits, limit, step, shift, noise)
                n_changed += n_new
                n_saturated += n_full
        counts[len(p.group) + connection, WEIGHT_UPDATES] += n_changed
    return n_saturated


@jit
def update_links(p, x, k, plan, c, pre, post, votes, shared, first_row, last_row, full, limit, step, step_shift, stream, power,
                 memory, age, chance, averages, totals):  # fmt: skip
    """As `update_rows`, for one connection of stored synapses or with a kernel; return weights changed and saturated."""
    connection, first_factor = plan.plastic[c, CONNECTION], plan.plastic[c, FIRST_FACTOR]
    lane, chip_first = x.first[p.conn[connection, TARGET]], k.chip[c] - plan.plastic[c, FIRST_VOTE]
    n_changed, n_saturated = np.int64(0), np.int64(0)
    for first in range(max(first_row, first_factor), min(last_row, plan.plastic[c + 1, FIRST_FACTOR]), BLOCK):
        last = min(first + BLOCK, last_row, plan.plastic[c + 1, FIRST_FACTOR])
        place = plan.row_start[first]
        total = totals[: plan.row_start[last] - place]
        total[:] = 0
        if plan.plastic[c, KIND] == KIND_SYNAPSES:
            sum_synapses(k, k.row[c] - first_factor, pre, post, first, last, lane, total)
        else:
            kernel = k.first[k.conv_of[connection]]
            for thread in range(len(shared)):
                for i in range(len(total)):  # all of a kernel or nothing
                    total[i] = np.int32(np.int64(total[i]) + np.int64(shared[thread, kernel + k.place[kernel + i]]))
        for thread in range(len(votes)):
            for i in range(len(total)):
                total[i] = np.int32(np.int64(total[i]) + np.int64(votes[thread, place + i]))
        for j in range(first, last):
            start, stop = plan.row_start[j], plan.row_start[j + 1]
            if start == stop:
                continue
            row = total[start - place : stop - place]
            largest, shift = largest_size(row), np.int64(step_shift)
            if len(power) > 0:
                power[j] += mean_square(row) - (power[j] >> memory)
                shift += root_exponent(power[j] // min(age, 1 << memory))
            if largest == 0:
                continue
            noise = fold(stream, j - first_factor)
            if moves_by_sign(plan):
                choose_directions(plan, c, lane, j - first_factor, start, row, chance, averages, step_shift, noise)
                largest, shift = np.int64(1), SIGN_SHIFT - plan.plastic[c, WEIGHT_BITS] - plan.residual_bits
            n_new, n_full = apply_row(
                row, largest, full[start:stop], p.dense8[chip_first + start : chip_first + stop], plan.residual_bits, limit,
                step, shift, noise,
            )  # fmt: skip
            n_changed += n_new
            n_saturated += n_full
    return n_changed, n_saturated


@jit
def sum_synapses(k, first_start, pre, post, first, last, lane, total):
    """Sum up the votes of the stored synapses of some sources; ``first_start + j`` is the row of source j in ``k.start``."""
    begin = k.start[first_start + first]
    for rank in range(len(pre)):
        for term in range(pre.shape[1]):
            local, factors = post[rank, term, lane:], pre[rank, term, first:last]
            for j in range(last - first):
                b = np.int32(factors[j])
                if b != 0:
                    here, end = k.start[first_start + first + j], k.start[first_start + first + j + 1]
                    row, targets = total[here - begin : end - begin], k.target[here:end]
                    for i in range(end - here):
                        row[i] = np.int32(np.int64(row[i]) + np.int64(np.int32(b * local[np.uint32(targets[i])])))


@jit
def mean_square(votes):
    """Return the mean of the squared votes, sizes beyond 22 bits cut: (n,) int32."""
    total = np.int64(0)
    for k in range(len(votes)):
        size = np.int64(min(abs(np.int64(votes[k])), LARGEST_VOTE))
        total += size * size
    return total // len(votes)


@jit
def root_exponent(square):
    """Return the exponent of the power of two that is nearest to the square root, by ratio; 0 for 0."""
    n = np.int64(0)
    while square >> n != 0:
        n += 1
    return n >> 1


@jit
def sum_block(pre, post, first, n_rows, lane, stride, work, total):
    """Add up the terms of a block of rows, each row's in registers; terms with a silent source are skipped.

    work : UpdateScratch
    total : (n_rows * stride,) int32
        Added to.
    """
    n_ranks, n_terms, n_lanes = post.shape
    flat_pre, flat_post = pre.reshape(pre.size), post.reshape(post.size)
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - n_rows)
    for rank in range(n_ranks):
        for chunk in range(0, n_terms, CHUNK):
            work.found[:] = 0
            for term in range(chunk, min(chunk + CHUNK, n_terms)):
                base = (rank * n_terms + term) * pre.shape[2] + first
                rows = np.uint64(nonzero_mask(flat_pre, base)) & mask
                while rows != 0:
                    j = trailing_zeros(rows)
                    rows &= rows - np.uint64(1)
                    n = work.found[j]
                    work.starts[j, n] = (rank * n_terms + term) * n_lanes + lane
                    work.factors[j, n] = flat_pre[base + j]
                    work.found[j] = n + 1
            for j in range(n_rows):
                if work.found[j] != 0:
                    sum_terms(
                        flat_post, stride // WIDTH, work.starts[j], work.factors[j], work.found[j],
                        total[j * stride : (j + 1) * stride],
                    )  # fmt: skip


@jit
def apply_row(votes, largest, full, chip, residual_bits, limit, step, step_shift, stream):
    """Apply votes to a row of weights.

    ``full += floor((vote * step + r) / 2**shift)``, r uniform in 0..2**shift - 1, so the expectation is exact; then
    saturate. The network sees ``full >> residual_bits``.

    Parameters
    ----------
    votes : (n,) int32
    largest : int
        Size of the largest vote.
    full : (n,) int32
        Weights with residual bits; written.
    chip : (n,) int8
        Written.
    residual_bits, limit : int
        Weights stay in ``-limit..limit - 1``.
    step : int
        Step size, an integer that decays over the run.
    step_shift : int
        Negative: shift left.
    stream : uint64
        Names the row's and generation's rounding noise.

    Returns
    -------
    n_changed, n_saturated : int
        Weights whose value on the chip changed, and weights that met the end of their range.
    """
    shift, left = max(0, step_shift), max(0, -step_shift)
    low, high = np.uint32(stream & LOW_32), np.uint32(stream >> np.uint64(32))
    n_changed, n_saturated = np.int32(0), np.int32(0)
    if shift < 31 and largest * step < LIMIT_32 and ((largest * step) << left) + (1 << shift) + limit < LIMIT_32:
        mask, size = np.int32((1 << shift) - 1), np.int32(step << left)
        top, bits_below = np.int32(limit - 1), np.int32(residual_bits)
        for k in range(len(votes)):  # all in 32 bits, sixteen weights to a vector
            noise = np.int32(np.int32(bits32(low, high, k)) & mask) if votes[k] != 0 else np.int32(0)
            delta = np.int32(np.int32(np.int32(votes[k] * size) + noise) >> np.int32(shift))
            new = np.int32(full[k] + delta)
            n_saturated = np.int32(n_saturated + np.int32(new > top) + np.int32(new < -top - 1))
            new = np.int32(min(max(new, np.int32(-top - 1)), top))
            mantissa = np.int32(new >> bits_below)
            n_changed = np.int32(n_changed + np.int32(mantissa != np.int32(chip[k])))
            chip[k] = np.int8(mantissa)
            full[k] = new
        return np.int64(n_changed), np.int64(n_saturated)
    mask = np.int64((1 << min(shift, 32)) - 1)
    for k in range(len(votes)):
        scaled = (np.int64(votes[k]) * step) << left
        noise = ((np.int64(bits32(low, high, k)) & mask) << max(0, shift - 32)) if votes[k] != 0 else np.int64(0)
        new = np.int64(full[k]) + ((scaled + noise) >> shift)
        n_saturated = np.int32(n_saturated + np.int32(new > limit - 1) + np.int32(new < -limit))
        new = min(max(new, -limit), limit - 1)
        mantissa = new >> residual_bits
        n_changed = np.int32(n_changed + np.int32(mantissa != np.int64(chip[k])))
        chip[k] = np.int8(mantissa)
        full[k] = np.int32(new)
    return np.int64(n_changed), np.int64(n_saturated)
