"""Turn votes into weights: scale, round stochastically, keep the low bits beside the weight, saturate."""

import numpy as np

from neurosim.codes import CONNECTION, FIRST_FACTOR, FIRST_VOTE, OFFSET, TARGET, WEIGHT_BITS
from neurosim.counters import WEIGHT_UPDATES
from neurosim.kernels.directions import choose_directions, moves_by_sign
from neurosim.kernels.jit import jit
from neurosim.kernels.noise import bits, fold

SIGN_SHIFT = 24  # of steps of equal size, less the bits of a weight and its residual
BLOCK = 16  # rows whose votes are summed up together: they stay in the first cache


@jit
def update_rows(p, x, plan, pre, post, votes, first_row, last_row, full, step, step_shift, key, chance, average,
                totals, counts):  # fmt: skip
    """Sum up the votes of some rows of weights, and apply them.

    A row belongs to one presynaptic neuron of one plastic connection; rows are numbered over all of them. The votes of a
    row are never stored beyond its own update: memory grows with neurons times terms, not with synapses.

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
    chance : Chance
        How large votes are by chance, for updates by significance.
    average : (n_learned,) int16
        Written, with momentum.
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
        n_post = (plan.plastic[c + 1, FIRST_VOTE] - plan.plastic[c, FIRST_VOTE]) // (last_factor - first_factor)
        lane = x.first[p.conn[connection, TARGET]]
        limit = 1 << (plan.plastic[c, WEIGHT_BITS] - 1 + plan.residual_bits)
        stream = fold(key, connection)
        by_sign = moves_by_sign(plan)
        shift = step_shift[c]
        if by_sign:
            shift = SIGN_SHIFT - plan.plastic[c, WEIGHT_BITS] - plan.residual_bits
        n_changed = np.int64(0)
        for first in range(max(first_row, first_factor), min(last_row, last_factor), BLOCK):
            last = min(first + BLOCK, last_row, last_factor)
            total = totals[: (last - first) * n_post]
            total[:] = 0
            for rank in range(len(pre)):
                for term in range(pre.shape[1]):
                    local, factors = post[rank, term, lane : lane + n_post], pre[rank, term, first:last]
                    for j in range(last - first):
                        b = np.int32(factors[j])
                        if b != 0:
                            row = total[j * n_post : (j + 1) * n_post]
                            for k in range(n_post):
                                row[k] = np.int32(np.int64(row[k]) + np.int64(np.int32(b * local[k])))
            start = (first - first_factor) * n_post
            place = plan.plastic[c, FIRST_VOTE] + start
            for thread in range(len(votes)):
                summed = votes[thread, place : place + len(total)]
                for k in range(len(total)):
                    total[k] = np.int32(np.int64(total[k]) + np.int64(summed[k]))
            for j in range(last - first):
                row = total[j * n_post : (j + 1) * n_post]
                found = np.int32(0)
                for k in range(n_post):
                    found |= row[k]
                if found == 0:
                    continue
                here = start + j * n_post
                chip = p.dense8[p.conn[connection, OFFSET] + here : p.conn[connection, OFFSET] + here + n_post]
                weights = full[place + j * n_post : place + (j + 1) * n_post]
                if by_sign:
                    choose_directions(
                        plan, c, lane, first + j - first_factor, place + j * n_post, row, chance, average, step_shift[c], here, stream
                    )  # fmt: skip
                n_new, n_full = apply_row(row, weights, chip, here, plan.residual_bits, limit, step, shift, stream)
                n_changed += n_new
                n_saturated += n_full
        counts[len(p.group) + connection, WEIGHT_UPDATES] += n_changed
    return n_saturated


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
