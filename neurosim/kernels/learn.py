"""Evaluate antithetic pairs on a block of samples, and turn what they show into votes for weights.

One call runs, for each sample, the unperturbed network, then both members of every pair, and adds the sample's votes.
The rule: `docs/learning.md`; twin: `neurosim.reference.learn`.
"""

import numpy as np

from neurosim.kernels.arith import copy_into, shift_signed
from neurosim.kernels.fitness import log_softmax, predict
from neurosim.kernels.jit import jit
from neurosim.kernels.noise import bits, fill_signs, fold
from neurosim.kernels.step import deliver_all, load_inputs, update_all

MODEL_INPUT = 0
FORM_RESPONSE, FACTOR_TRACE = 0, 0
FITNESS_LIMIT, CREDIT_LIMIT = 127, 4095
NOISE_DRAWS, TRACE_UPDATES, RESPONSE_UPDATES, VOTES, WEIGHT_UPDATES, REWARD_BROADCASTS = 11, 13, 14, 15, 16, 17
# rows of the statistics: one column per group, then the totals in row TOTALS
BASE_SPIKES, DRIVE, DRIVE_STEPS, NEAR, TOTALS = 0, 1, 2, 3, 4
CORRECT, LIKELIHOOD, READOUT_SPREAD, FITNESS_SIZE, TIES = 0, 1, 2, 3, 4


@jit
def learn_samples(p, s, w, plan, scales, response, ids, labels, event_start, event_neuron, n_event_steps, first, last,
                  key, exp2_table, log2_table, predictions, statistics, counts):  # fmt: skip
    """Evaluate samples ``ids[first:last]`` and add their votes and measured responses.

    Parameters
    ----------
    p, s, w : ProgramArrays, Scratch, LearnScratch
        ``w.votes`` and ``w.measured`` are added to.
    plan, scales : LearnPlan, Scales
    response : (R, C, N) int32
        Response of each readout to each neuron; all zero where the form does not use it.
    ids : (B,) int64
        Samples of this generation; position i in it names the noise of its pairs.
    labels : (n_samples,) int64
    event_start, event_neuron, n_event_steps
        Input spikes, see `neurosim.events.Events`.
    key : uint64
        Names the generation's noise.
    predictions : (B,) int64
        Written: class of the unperturbed run.
    statistics : (5, max(G, 5)) int64
        Added to.
    counts : (rows, N_COUNTERS) int64
        Added to.
    """
    n_groups = len(p.group_model)
    w.shared_counts[:] = 0
    for i in range(first, last):
        sample = ids[i]
        run_base(p, s, w, plan, event_start, event_neuron, sample * n_event_steps, n_event_steps, counts)
        count_traces(p, w, plan, statistics, counts)
        readout = s.v[p.group_start[plan.readout] : p.group_start[plan.readout + 1]]
        likelihood = log_softmax(
            readout, labels[sample], scales.temperature[0], plan.error_bits, exp2_table, log2_table, w.powers, w.error
        )
        predictions[i] = predict(readout)
        statistics[TOTALS, CORRECT] += np.int64(predictions[i] == labels[sample])
        statistics[TOTALS, LIKELIHOOD] += likelihood
        statistics[TOTALS, READOUT_SPREAD] += spread(readout)
        w.credit[:] = 0
        if plan.form == FORM_RESPONSE:
            respond(p, w, plan, scales, response, counts)
        if plan.factor == FACTOR_TRACE:
            fill_trace_factors(p, w, plan)
        sample_key = fold(key, i)
        for pair in range(plan.n_pairs):
            pair_key = fold(sample_key, pair)
            fill_post_factors(p, w, plan, pair_key, counts)
            if plan.factor != FACTOR_TRACE:
                fill_random_factors(p, w, plan, pair_key, counts)
            share_drive(p, w, plan, event_start, event_neuron, sample * n_event_steps, n_event_steps)
            run_member(p, s, w, plan, scales, 1, statistics, counts)
            copy_into(w.plus, readout)
            run_member(p, s, w, plan, scales, -1, statistics, counts)
            copy_into(w.minus, readout)
            if plan.form == FORM_RESPONSE:
                measure(p, w, plan, counts)
            else:
                fitness = pair_fitness(w, labels[sample], plan, scales, exp2_table, log2_table, statistics)
                reward(p, w, plan, fitness, counts)
                if plan.factor != FACTOR_TRACE:
                    vote(p, w, plan, counts)
                    w.credit[:] = 0
        if plan.factor == FACTOR_TRACE:
            vote(p, w, plan, counts)
    runs = 1 + 2 * plan.n_pairs  # what inputs deliver is computed once here; on the chip every run does it
    for row in range(n_groups + len(p.conn_source)):
        for column in range(counts.shape[1]):
            counts[row, column] += runs * w.shared_counts[row, column]


@jit
def window(t, plan):
    """Return the window of time, which is a rank, of a step."""
    return t * plan.rank // plan.n_steps


@jit
def reset(s):
    """Set the state to rest."""
    s.u[:] = 0
    s.v[:] = 0
    s.acc[:] = 0
    s.near[:] = 0
    s.n_spikes[:] = 0


@jit
def count_input_delivers(p):
    """Return how many of the first operations deliver from inputs."""
    n = 0
    while n < len(p.ops) and p.ops[n, 0] == 0 and p.group_model[p.conn_source[p.ops[n, 1]]] == MODEL_INPUT:
        n += 1
    return n


@jit
def run_base(p, s, w, plan, event_start, event_neuron, first_row, n_event_steps, counts):
    """Run the unperturbed network; record what inputs deliver, spike counts and near flags per window."""
    n_shared = count_input_delivers(p)
    n_inputs = w.n_inputs[0]
    reset(s)
    w.trace[:] = 0
    w.near[:] = 0
    for t in range(plan.n_steps):
        deliver_all(p, s, 0, n_shared, w.shared_counts)
        copy_into(w.base[t], s.acc)
        deliver_all(p, s, n_shared, len(p.ops), counts)
        if t < n_event_steps:
            row = first_row + t
            load_inputs(p, s, event_neuron, event_start[row], event_start[row + 1], w.shared_counts)
        else:
            load_inputs(p, s, event_neuron, 0, 0, w.shared_counts)
        update_all(p, s, plan.half, s.quiet, counts)
        here = window(t, plan)
        for k in range(n_inputs, len(s.near)):
            w.near[here, k] |= s.near[k]
        s.near[:] = 0
        if t + 1 < plan.n_steps:  # spikes of the last step are never delivered
            there = window(t + 1, plan)
            for group in range(len(p.group_model)):
                start = p.group_start[group]
                for i in range(s.n_spikes[group]):
                    w.trace[there, start + s.spikes[start + i]] += 1


@jit
def run_member(p, s, w, plan, scales, sign, statistics, counts):
    """Run one member: the sample's shared input currents, plus or minus the perturbation of this pair."""
    n_shared = count_input_delivers(p)
    reset(s)
    for t in range(plan.n_steps):
        copy_into(s.acc, w.base[t])
        rank = window(t, plan)
        s.noise[:] = 0
        for group in range(len(p.group_model)):
            if plan.perturbed[group]:
                if plan.factor == FACTOR_TRACE:
                    perturb(p, s, w, plan, scales, group, t, rank, sign, statistics)
                else:
                    for r in range(plan.rank):
                        perturb(p, s, w, plan, scales, group, t, r, sign, statistics)
        deliver_all(p, s, n_shared, len(p.ops), counts)
        update_all(p, s, plan.half, plan.perturbed, counts)


@jit
def perturb(p, s, w, plan, scales, group, t, rank, sign, statistics):
    """Add one rank's perturbation of a group: the pre factors of the sources that fired, times the post factors."""
    drive = w.drive[rank, t, group]
    for c in range(len(plan.plastic)):
        connection = plan.plastic[c]
        source = p.conn_source[connection]
        if p.conn_target[connection] == group and p.group_model[source] != MODEL_INPUT:
            start = p.group_start[source]
            for i in range(s.n_spikes[source]):
                drive += w.factor_b[rank, plan.factor_start[c] + s.spikes[start + i]]
    if drive == 0:
        return
    statistics[DRIVE, group] += abs(drive)
    statistics[DRIVE_STEPS, group] += 1
    amplitude = np.int32(sign * shift_signed(drive, scales.noise_exp[group]))
    for k in range(p.group_start[group], p.group_start[group + 1]):
        s.noise[k] += np.int32(np.int64(amplitude) * np.int64(w.factor_a[rank, k]))


@jit
def share_drive(p, w, plan, event_start, event_neuron, first_row, n_event_steps):
    """Sum the pre factors of the input spikes of each step, which both members share."""
    w.drive[:] = 0
    for c in range(len(plan.plastic)):
        connection = plan.plastic[c]
        source, group = p.conn_source[connection], p.conn_target[connection]
        if p.group_model[source] != MODEL_INPUT or not plan.perturbed[group]:
            continue
        start, stop = p.group_start[source], p.group_start[source + 1]
        for t in range(1, min(plan.n_steps, n_event_steps + 1)):
            first_rank, last_rank = 0, plan.rank
            if plan.factor == FACTOR_TRACE:
                first_rank = window(t, plan)
                last_rank = first_rank + 1
            row = first_row + t - 1
            for e in range(event_start[row], event_start[row + 1]):
                line = event_neuron[e]
                if start <= line < stop:
                    for r in range(first_rank, last_rank):
                        w.drive[r, t, group] += w.factor_b[r, plan.factor_start[c] + line - start]


@jit
def fill_trace_factors(p, w, plan):
    """Set the pre factors to the spike counts of the unperturbed run, window by window."""
    for c in range(len(plan.plastic)):
        source = p.conn_source[plan.plastic[c]]
        start, n_pre = p.group_start[source], p.group_start[source + 1] - p.group_start[source]
        for r in range(plan.rank):
            for j in range(n_pre):
                w.factor_b[r, plan.factor_start[c] + j] = w.trace[r, start + j]


@jit
def fill_random_factors(p, w, plan, pair_key, counts):
    """Set the pre factors to +1 or -1 for sources that fired in the unperturbed run, to 0 for the others."""
    n_groups = len(p.group_model)
    for c in range(len(plan.plastic)):
        connection = plan.plastic[c]
        source = p.conn_source[connection]
        start, n_pre = p.group_start[source], p.group_start[source + 1] - p.group_start[source]
        for r in range(plan.rank):
            key = fold(fold(pair_key, n_groups + connection), r)
            for j in range(n_pre):
                n_fired = 0
                for there in range(plan.rank):
                    n_fired += w.trace[there, start + j]
                sign = 1 - 2 * np.int32((bits(key, j // 64) >> np.uint64(j & 63)) & np.uint64(1))
                w.factor_b[r, plan.factor_start[c] + j] = sign if n_fired else 0
        counts[n_groups + connection, NOISE_DRAWS] += plan.rank * n_pre


@jit
def fill_post_factors(p, w, plan, pair_key, counts):
    """Draw the post factors of the perturbed groups, +1 or -1 for each rank and neuron."""
    for group in range(len(p.group_model)):
        if plan.perturbed[group]:
            first, last = p.group_start[group], p.group_start[group + 1]
            for r in range(plan.rank):
                fill_signs(fold(fold(pair_key, group), r), w.factor_a[r, first:last])
            counts[group, NOISE_DRAWS] += plan.rank * (last - first)


@jit
def measure(p, w, plan, counts):
    """Add (readout of plus - readout of minus) x post factor to the measured response."""
    for group in range(len(p.group_model)):
        if plan.perturbed[group]:
            first, last = p.group_start[group], p.group_start[group + 1]
            for r in range(plan.rank):
                for o in range(plan.n_classes):
                    difference = np.int64(w.plus[o]) - np.int64(w.minus[o])
                    for k in range(first, last):
                        w.measured[r, o, k] += difference * w.factor_a[r, k]
            counts[group, RESPONSE_UPDATES] += plan.rank * plan.n_classes * (last - first)
            counts[group, REWARD_BROADCASTS] += plan.n_classes


@jit
def respond(p, w, plan, scales, response, counts):
    """Turn the readout errors into a local vote of every neuron, through its known response."""
    for group in range(len(p.group_model)):
        if not plan.learns[group]:
            continue
        first, last = p.group_start[group], p.group_start[group + 1]
        counts[group, REWARD_BROADCASTS] += plan.n_classes
        for r in range(plan.rank):
            if group == plan.readout:
                for o in range(plan.n_classes):
                    w.credit[r, first + o] = np.int32(-w.error[o])
                continue
            for k in range(first, last):
                if w.near[r, k]:
                    total = 0
                    for o in range(plan.n_classes):
                        total -= np.int64(response[r, o, k]) * w.error[o]
                    total = shift_signed(total, -scales.credit_shift[group])
                    w.credit[r, k] = np.int32(min(max(total, -CREDIT_LIMIT), CREDIT_LIMIT))


@jit
def pair_fitness(w, label, plan, scales, exp2_table, log2_table, statistics):
    """Return the quantised fitness difference of a pair."""
    temperature, error_bits = scales.temperature[0], plan.error_bits
    plus = log_softmax(w.plus, label, temperature, error_bits, exp2_table, log2_table, w.powers, w.error)
    minus = log_softmax(w.minus, label, temperature, error_bits, exp2_table, log2_table, w.powers, w.error)
    statistics[TOTALS, FITNESS_SIZE] += abs(plus - minus)
    fitness = shift_signed(plus - minus, -scales.fitness_shift[0])
    fitness = min(max(fitness, -FITNESS_LIMIT), FITNESS_LIMIT)
    statistics[TOTALS, TIES] += np.int64(fitness == 0)
    return fitness


@jit
def reward(p, w, plan, fitness, counts):
    """Add fitness x post factor to the local votes."""
    for group in range(len(p.group_model)):
        if plan.learns[group]:
            for r in range(plan.rank):
                for k in range(p.group_start[group], p.group_start[group + 1]):
                    w.credit[r, k] += np.int32(fitness * w.factor_a[r, k])
            counts[group, REWARD_BROADCASTS] += 1


@jit
def vote(p, w, plan, counts):
    """Add local vote x pre factor to the vote of each synapse; silent sources are skipped."""
    n_groups = len(p.group_model)
    for c in range(len(plan.plastic)):
        connection = plan.plastic[c]
        target = p.conn_target[connection]
        first, last = p.group_start[target], p.group_start[target + 1]
        n_post = last - first
        n_pre = plan.factor_start[c + 1] - plan.factor_start[c]
        for r in range(plan.rank):
            credit = w.credit[r, first:last]
            for j in range(n_pre):
                b = w.factor_b[r, plan.factor_start[c] + j]
                if b != 0:
                    start = plan.vote_start[c] + j * n_post
                    row = w.votes[start : start + n_post]
                    for k in range(n_post):
                        row[k] = np.int32(np.int64(row[k]) + np.int64(b) * np.int64(credit[k]))
                    counts[n_groups + connection, VOTES] += n_post


@jit
def count_traces(p, w, plan, statistics, counts):
    """Count what the unperturbed run left in traces and near flags."""
    for group in range(len(p.group_model)):
        spikes = 0
        near = 0
        for r in range(plan.rank):
            for k in range(p.group_start[group], p.group_start[group + 1]):
                spikes += w.trace[r, k]
                near += w.near[r, k]
        statistics[BASE_SPIKES, group] += spikes
        statistics[NEAR, group] += near
        counts[group, TRACE_UPDATES] += spikes + near


@jit
def spread(z):
    """Return the distance from the smallest to the largest readout."""
    low = np.int64(z[0])
    high = np.int64(z[0])
    for o in range(1, len(z)):
        low = min(low, np.int64(z[o]))
        high = max(high, np.int64(z[o]))
    return high - low
