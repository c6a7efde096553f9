"""Biases and thresholds that learn: what perturbs them, their votes, and their updates.

A bias is a synapse from a source that fires in every step. A threshold needs no perturbation of its own.
"""

import numpy as np

from neurosim.codes import (
    FACTOR_FULL,
    FACTOR_FULL_GAUSSIAN,
    FACTOR_GAUSSIAN,
    FACTOR_TRACE,
    KIND_BIAS,
    KIND_THRESHOLD,
    NEURON_FIRST,
    NEURON_GROUP,
    NEURON_KIND,
    NEURON_RESIDUAL,
    START,
    STOP,
    UPDATE_SIGNIFICANCE,
)
from neurosim.counters import NOISE_DRAWS, VOTES, WEIGHT_UPDATES
from neurosim.kernels.directions import follow, halves, integer_root, moves_by_sign
from neurosim.kernels.jit import jit
from neurosim.kernels.layer import spread_bits
from neurosim.kernels.layerwise import window
from neurosim.kernels.noise import bits, bits32, fold

WORD = 64
BIAS_LOW, BIAS_HIGH = -4096, 4095  # mantissas, as in `neurosim.learnplan.neuron_range`
THRESHOLD_LOW, THRESHOLD_HIGH = 1, 131071
NEURON_SIGN_SHIFT = 15  # less residual bits: size x step in 1/65536 of two units of weight, a step of 8-bit weights


@jit
def draw_always(p, x, w, plan, pair_key, normal, counts):
    """Set the pre factors of the source that always fires, of each group that hears it: its steps by window, or draws."""
    last_group = np.int64(-1)
    for q in range(len(plan.neuron) - 1):
        group = plan.neuron[q, NEURON_GROUP]
        if group == last_group:
            continue
        last_group = group
        if plan.factor == FACTOR_TRACE:
            w.always[:, group] = 0
            for t in range(plan.n_steps):
                w.always[window(t, plan), group] += 1
            continue
        stream = fold(pair_key, len(p.group) + len(p.conn) + group)
        n, lane = p.group[group, STOP] - p.group[group, START], x.first[group]
        for rank in range(plan.rank):
            key = fold(stream, rank)
            if plan.factor >= FACTOR_FULL:
                draw_each(plan, key, normal, lane, n, w)
            elif plan.factor == FACTOR_GAUSSIAN:
                w.always[rank, group] = normal[bits(key, 0) & np.uint64(255)]
            else:
                w.always[rank, group] = 1 - 2 * np.int64(bits(key, 0) & np.uint64(1))
        counts[group, NOISE_DRAWS] += plan.rank * (n if plan.factor >= FACTOR_FULL else 1)


@jit
def draw_each(plan, key, normal, lane, n, w):
    """Draw a number for each neuron of a group, as `neurosim.kernels.factors.draw_rows` for the synapses of a source."""
    n_words = (n + WORD - 1) // WORD
    if plan.factor == FACTOR_FULL_GAUSSIAN:
        for k in range(n):
            w.always_each[lane + k] = normal[bits(key, k // 8) >> np.uint64(8 * (k & 7)) & np.uint64(255)]
        return
    for i in range(n_words):
        w.words[i] = bits(key, i)
    spread_bits(w.words, n_words, 1, -1, w.always_each[lane : lane + WORD * n_words])


@jit
def share_always(p, x, w, plan):
    """Add what the source that always fires drives, in every step, to what both members share."""
    n_lanes = len(x.valid)
    last_group = np.int64(-1)
    for q in range(len(plan.neuron) - 1):
        group = plan.neuron[q, NEURON_GROUP]
        if group == last_group or (plan.factor != FACTOR_TRACE and not w.active[group]):
            continue
        last_group = group
        lane, n = x.first[group], p.group[group, STOP] - p.group[group, START]
        for t in range(plan.n_steps):
            if plan.factor >= FACTOR_FULL:
                noise, drawn = w.full_base[t * n_lanes + lane : t * n_lanes + lane + n], w.always_each[lane : lane + n]
                for k in range(n):
                    noise[k] = np.int32(np.int64(noise[k]) + np.int64(drawn[k]))
                continue
            first_rank = window(t, plan) if plan.factor == FACTOR_TRACE else 0
            last_rank = first_rank + 1 if plan.factor == FACTOR_TRACE else plan.rank
            for rank in range(first_rank, last_rank):
                w.drive[rank, t, group] += w.always[rank, group]


@jit
def vote_neurons(p, x, w, plan, counts):
    """Add a term's votes to those of biases and thresholds, and their squares to the squares.

    A bias's vote is its pre factor times the local vote. A threshold's is minus the neuron's spikes times the local vote;
    where factors are drawn, minus the bias's vote if the neuron fired.
    """
    first = plan.neuron[0, NEURON_FIRST]
    for q in range(len(plan.neuron) - 1):
        group, is_bias = plan.neuron[q, NEURON_GROUP], plan.neuron[q, NEURON_KIND] == KIND_BIAS
        lane, n, place = (
            x.first[group],
            p.group[group, STOP] - p.group[group, START],
            plan.neuron[q, NEURON_FIRST] - first,
        )
        votes, squares = w.neuron_votes[place : place + n], w.neuron_squares[place : place + n]
        for rank in range(plan.rank):
            for k in range(n):
                factor = np.int64(w.always_each[lane + k]) if plan.factor >= FACTOR_FULL else w.always[rank, group]
                if not is_bias:
                    spikes = np.int64(w.trace[rank, lane + k])
                    if plan.factor == FACTOR_TRACE:
                        factor = -spikes
                    else:
                        fired = np.int64(0)
                        for other in range(plan.rank):
                            fired |= np.int64(w.trace[other, lane + k])
                        factor = -factor if fired != 0 else np.int64(0)
                vote = factor * np.int64(w.credit[rank, lane + k])
                votes[k] += vote
                squares[k] += vote * vote
        counts[group, VOTES] += plan.rank * n


@jit
def update_neurons(p, x, plan, votes, squares, full, step, step_shift, key, z, averages, counts):
    """Apply votes to biases and thresholds; as `neurosim.kernels.weights.update_rows` for weights.

    Parameters
    ----------
    p, x, plan : ProgramArrays, Lanes, LearnPlan
        Biases, thresholds and their halves are written to the lanes.
    votes, squares : (n_learned - W,) int64
    full : (n_learned,) int32
        Written.
    step, step_shift, key
        See `neurosim.kernels.weights.apply_row`.
    z : int
        Standard deviations in 1/256, for updates by significance.
    average : (n_learned,) int16
        Written, with momentum.
    counts : (rows, N_COUNTERS) int64
        Added to.

    Returns
    -------
    n_saturated : int
    """
    first = plan.neuron[0, NEURON_FIRST]
    n_saturated = np.int64(0)
    for q in range(len(plan.neuron) - 1):
        group, residual_bits = plan.neuron[q, NEURON_GROUP], plan.neuron[q, NEURON_RESIDUAL]
        is_bias, start = plan.neuron[q, NEURON_KIND] == KIND_BIAS, plan.neuron[q, NEURON_FIRST]
        low = (BIAS_LOW if is_bias else THRESHOLD_LOW) << residual_bits
        high = (((BIAS_HIGH if is_bias else THRESHOLD_HIGH) + 1) << residual_bits) - 1
        stream = fold(key, len(p.conn) + 2 * group + np.int64(plan.neuron[q, NEURON_KIND] == KIND_THRESHOLD))
        stream = fold(stream, 0)  # as of the first row of weights
        low_bits, high_bits = halves(stream)
        low_average, high_average = halves(fold(stream, 0))
        vote_shift = step_shift[len(plan.plastic) - 1 + q]
        total_shift = NEURON_SIGN_SHIFT - residual_bits if moves_by_sign(plan) else vote_shift
        shift, left = max(0, total_shift), max(0, -total_shift)
        mask, n_changed = np.int64((1 << min(shift, 32)) - 1), np.int64(0)
        for k in range(plan.neuron[q + 1, NEURON_FIRST] - start):
            i = start + k
            vote = votes[i - first]
            if vote == 0:
                continue
            if plan.update == UPDATE_SIGNIFICANCE:
                significant = abs(vote) << 20 > (z * integer_root(squares[i - first])) << 12
                vote = (np.int64(vote > 0) - np.int64(vote < 0)) * np.int64(significant)
            elif plan.momentum:
                vote = follow(vote, averages[start:], k, vote_shift, plan.momentum, low_average, high_average)
            if vote == 0:
                continue
            noise = (np.int64(bits32(low_bits, high_bits, k)) & mask) << max(0, shift - 32)
            new = np.int64(full[i]) + ((((vote * step) << left) + noise) >> shift)
            n_saturated += np.int64(new < low) + np.int64(new > high)
            new = min(max(new, low), high)
            n_changed += np.int64(new >> residual_bits != np.int64(full[i]) >> residual_bits)
            full[i] = np.int32(new)
        counts[group, WEIGHT_UPDATES] += n_changed
    return n_saturated
