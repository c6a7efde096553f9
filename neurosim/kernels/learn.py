"""Evaluate antithetic pairs on a block of samples, and turn what they show into votes for weights.

One call runs, for each sample, the unperturbed network, then both members of every pair, and adds the sample's votes.
The rule: `docs/learning.md`; twin: `neurosim.reference.learn`. Large functions are called from one place each: the
compiler inlines every call, and a second copy of the time step would double the compile time.
"""

import numpy as np

from neurosim.codes import (
    ACC,
    CONNECTION,
    CORRECT,
    CREDIT_LIMIT,
    CREDIT_SHIFT,
    ERROR,
    FACTOR_TRACE,
    FIRST_FACTOR,
    FIRST_VOTE,
    FITNESS_LIMIT,
    FITNESS_SIZE,
    FORM_RESPONSE,
    LEARNS,
    LIKELIHOOD,
    MODEL,
    MODEL_INPUT,
    NOISE,
    NOISE_EXP,
    OP_DELIVER,
    PERTURBED,
    PLUS,
    SOURCE,
    SPIKES,
    SPREAD,
    START,
    STAT_DRIVE,
    STAT_DRIVE_STEPS,
    STAT_NEAR,
    STAT_SPIKES,
    STAT_TOTALS,
    STOP,
    TARGET,
    TIES,
    U,
    V,
)
from neurosim.counters import (
    NOISE_DRAWS,
    PERTURBATIONS,
    RESPONSE_UPDATES,
    REWARD_BROADCASTS,
    TRACE_UPDATES,
    VOTES,
)
from neurosim.kernels.arith import copy_into, shift_signed
from neurosim.kernels.fitness import log_softmax, predict, spread
from neurosim.kernels.jit import jit
from neurosim.kernels.noise import bits, fill_signs, fold
from neurosim.kernels.step import count_spikes, deliver_all, load_inputs, update_all


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
        Response of each readout to each neuron; not read by the scalar form.
    ids : (B,) int64
        Samples of this generation; position i in it names the noise of its pairs.
    labels : (n_samples,) int64
    event_start, event_neuron, n_event_steps
        Input spikes, see `neurosim.events.Events`.
    key : uint64
        Names the generation's noise.
    exp2_table, log2_table
        `neurosim.logtables`.
    predictions : (B,) int64
        Written: class of the unperturbed run.
    statistics : (5, max(G, 5)) int64
        Added to; rows STAT_*.
    counts : (rows, N_COUNTERS) int64
        Added to.
    """
    w.shared_counts[:] = 0
    s.sent[:] = 0
    z = s.lanes[V, p.group[plan.readout, START] : p.group[plan.readout, STOP]]
    for i in range(first, last):
        label = labels[ids[i]]
        first_row = ids[i] * n_event_steps
        fitness_plus = np.int64(0)
        for member in range(1 + 2 * plan.n_pairs):  # unperturbed, then plus and minus of each pair
            sign = 0 if member == 0 else 1 - 2 * ((member + 1) % 2)
            if sign == 1:
                pair_key = fold(fold(key, i), member // 2)
                draw_post_factors(p, w, plan, pair_key, counts)
                if member == 1 or plan.factor != FACTOR_TRACE:  # traces are the sample's own, the same for every pair
                    draw_pre_factors(p, w, plan, pair_key, counts)
                    share_drive(p, w, plan, event_start, event_neuron, first_row, n_event_steps)
            run_member(
                p, s, w, plan, scales, sign, event_start, event_neuron, first_row, n_event_steps, statistics, counts
            )
            fitness = np.int64(0)
            if sign == 0 or plan.form != FORM_RESPONSE:
                fitness = log_softmax(z, label, scales.temperature, plan.error_bits, exp2_table, log2_table, w.classes)
            if sign == 0:
                predictions[i] = predict(z)
                statistics[STAT_TOTALS, CORRECT] += np.int64(predictions[i] == label)
                statistics[STAT_TOTALS, LIKELIHOOD] += fitness
                statistics[STAT_TOTALS, SPREAD] += spread(z)
                count_traces(p, w, plan, statistics, counts)
                start_credit(p, w, plan, scales, response, counts)
            elif sign == 1:
                fitness_plus = fitness
                for o in range(plan.n_classes):
                    w.classes[PLUS, o] = z[o]
            elif plan.form == FORM_RESPONSE:
                measure(p, w, plan, z, counts)
            else:
                reward(p, w, plan, scales, fitness_plus - fitness, statistics, counts)
            if member == 2 * plan.n_pairs or (sign == -1 and plan.factor != FACTOR_TRACE):
                vote(p, w, plan, counts)  # with traces the votes of a sample's pairs are merged
    runs = 1 + 2 * plan.n_pairs  # what inputs send is computed once here; on the chip every run does it
    count_spikes(p, s, runs, counts)
    for row in range(counts.shape[0]):
        for column in range(counts.shape[1]):
            counts[row, column] += runs * w.shared_counts[row, column]


@jit
def window(t, plan):
    """Return the window of time, which is a rank, of a step."""
    return t * plan.rank // plan.n_steps


@jit
def run_member(p, s, w, plan, scales, sign, event_start, event_neuron, first_row, n_event_steps, statistics, counts):
    """Run the network once from rest, unperturbed (sign 0) or as a member of a pair (+1, -1).

    The unperturbed run records what inputs deliver in each step, for the members to share, and the traces: spike
    counts by the window in which they are delivered, and who came near its threshold.
    """
    n_shared = 0  # operations that deliver from inputs come first
    n_delivers = 0
    for i in range(len(p.ops)):
        if p.ops[i, 0] == OP_DELIVER:
            n_delivers += 1
            n_shared += np.int64(p.group[p.conn[p.ops[i, 1], SOURCE], MODEL] == MODEL_INPUT)
    first_neuron = np.int64(0)
    for group in range(len(p.group)):
        if p.group[group, MODEL] == MODEL_INPUT:
            first_neuron = p.group[group, STOP]
    for lane in (U, V, ACC, NOISE):
        s.lanes[lane, first_neuron:] = 0
    s.n_spikes[:] = 0
    if sign == 0:
        s.near[:] = 0
        w.trace[:] = 0
        w.near[:] = 0
    for t in range(plan.n_steps):
        if sign != 0:
            copy_into(s.lanes[ACC, first_neuron:], w.base[t, first_neuron:])
            perturb(p, s, w, plan, scales, t, sign, statistics, counts)
        for phase in range(2):  # deliver from inputs, then from neurons
            if phase == 1 or sign == 0:
                target = counts if phase == 1 else w.shared_counts
                deliver_all(p, s, phase * n_shared, n_delivers if phase == 1 else n_shared, target)
            if phase == 0 and sign == 0:
                copy_into(w.base[t, first_neuron:], s.lanes[ACC, first_neuron:])
        if sign == 0:
            row = first_row + t
            first_event = event_start[row] if t < n_event_steps else 0
            last_event = event_start[row + 1] if t < n_event_steps else 0
            load_inputs(p, s, event_neuron, first_event, last_event)
        update_all(p, s, counts)
        if sign == 0:
            here = window(t, plan)
            for k in range(first_neuron, len(s.near)):
                w.near[here, k] |= s.near[k]
                s.near[k] = 0
            if t + 1 < plan.n_steps:  # spikes of the last step are never delivered
                there = window(t + 1, plan)
                for group in range(len(p.group)):
                    start = p.group[group, START]
                    for i in range(s.n_spikes[group]):
                        w.trace[there, start + s.lanes[SPIKES, start + i]] += 1


@jit
def perturb(p, s, w, plan, scales, t, sign, statistics, counts):
    """Set the noise of every perturbed group: pre factors of the sources that fired, times the post factors."""
    first_rank = window(t, plan) if plan.factor == FACTOR_TRACE else 0
    last_rank = first_rank + 1 if plan.factor == FACTOR_TRACE else plan.rank
    for group in range(len(p.group)):
        if not plan.group[group, PERTURBED]:
            continue
        first, last = p.group[group, START], p.group[group, STOP]
        counts[group, PERTURBATIONS] += last - first
        noise = s.lanes[NOISE, first:last]
        noise[:] = 0
        for rank in range(first_rank, last_rank):
            drive = w.drive[rank, t, group]
            for c in range(len(plan.plastic) - 1):
                connection = plan.plastic[c, CONNECTION]
                source = p.conn[connection, SOURCE]
                if p.conn[connection, TARGET] == group and p.group[source, MODEL] != MODEL_INPUT:
                    start = p.group[source, START]
                    for i in range(s.n_spikes[source]):
                        drive += w.factor_b[rank, plan.plastic[c, FIRST_FACTOR] + s.lanes[SPIKES, start + i]]
            if drive != 0:
                statistics[STAT_DRIVE, group] += abs(drive)
                statistics[STAT_DRIVE_STEPS, group] += 1
                amplitude = np.int32(sign * shift_signed(drive, scales.group[group, NOISE_EXP]))
                factor = w.factor_a[rank, first:last]
                for k in range(last - first):
                    noise[k] = np.int32(np.int64(noise[k]) + np.int64(amplitude) * np.int64(factor[k]))


@jit
def share_drive(p, w, plan, event_start, event_neuron, first_row, n_event_steps):
    """Sum the pre factors of the input spikes of each step, which both members share."""
    w.drive[:] = 0
    for c in range(len(plan.plastic) - 1):
        connection = plan.plastic[c, CONNECTION]
        source, group = p.conn[connection, SOURCE], p.conn[connection, TARGET]
        if p.group[source, MODEL] != MODEL_INPUT or not plan.group[group, PERTURBED]:
            continue
        start, stop = p.group[source, START], p.group[source, STOP]
        for t in range(1, min(plan.n_steps, n_event_steps + 1)):
            first_rank = window(t, plan) if plan.factor == FACTOR_TRACE else 0
            last_rank = first_rank + 1 if plan.factor == FACTOR_TRACE else plan.rank
            for e in range(event_start[first_row + t - 1], event_start[first_row + t]):
                line = event_neuron[e]
                if start <= line < stop:
                    for rank in range(first_rank, last_rank):
                        w.drive[rank, t, group] += w.factor_b[rank, plan.plastic[c, FIRST_FACTOR] + line - start]


@jit
def draw_post_factors(p, w, plan, pair_key, counts):
    """Draw the post factors of the perturbed groups, +1 or -1 for each rank and neuron."""
    for group in range(len(p.group)):
        if plan.group[group, PERTURBED]:
            first, last = p.group[group, START], p.group[group, STOP]
            for rank in range(plan.rank):
                fill_signs(fold(fold(pair_key, group), rank), w.factor_a[rank, first:last])
            counts[group, NOISE_DRAWS] += plan.rank * (last - first)


@jit
def draw_pre_factors(p, w, plan, pair_key, counts):
    """Set the pre factors: spike counts by window, or +1 / -1 where the source fired at all."""
    n_groups = len(p.group)
    for c in range(len(plan.plastic) - 1):
        connection, first = plan.plastic[c, CONNECTION], plan.plastic[c, FIRST_FACTOR]
        source = p.conn[connection, SOURCE]
        start, n_pre = p.group[source, START], p.group[source, STOP] - p.group[source, START]
        for rank in range(plan.rank):
            key = fold(fold(pair_key, n_groups + connection), rank)
            for j in range(n_pre):
                if plan.factor == FACTOR_TRACE:
                    w.factor_b[rank, first + j] = w.trace[rank, start + j]
                else:
                    n_fired = 0
                    for there in range(plan.rank):
                        n_fired += w.trace[there, start + j]
                    sign = 1 - 2 * np.int32((bits(key, j // 64) >> np.uint64(j & 63)) & np.uint64(1))
                    w.factor_b[rank, first + j] = np.int32(sign) if n_fired else np.int32(0)
        if plan.factor != FACTOR_TRACE:
            counts[n_groups + connection, NOISE_DRAWS] += plan.rank * n_pre


@jit
def measure(p, w, plan, z, counts):
    """Add (readout of plus - readout of minus) x post factor to the measured response."""
    for group in range(len(p.group)):
        if plan.group[group, PERTURBED]:
            first, last = p.group[group, START], p.group[group, STOP]
            for rank in range(plan.rank):
                factor = w.factor_a[rank, first:last]
                for o in range(plan.n_classes):
                    difference = w.classes[PLUS, o] - np.int64(z[o])
                    measured = w.measured[rank, o, first:last]
                    for k in range(last - first):
                        measured[k] += difference if factor[k] > 0 else -difference
            counts[group, RESPONSE_UPDATES] += plan.rank * plan.n_classes * (last - first)
            counts[group, REWARD_BROADCASTS] += plan.n_classes


@jit
def start_credit(p, w, plan, scales, response, counts):
    """Begin a sample's local votes: zero, or the readout errors seen through each neuron's known response."""
    w.credit[:] = 0
    if plan.form != FORM_RESPONSE:
        return
    for group in range(len(p.group)):
        if not plan.group[group, LEARNS]:
            continue
        first, last = p.group[group, START], p.group[group, STOP]
        counts[group, REWARD_BROADCASTS] += plan.n_classes
        for rank in range(plan.rank):
            if group == plan.readout:
                for o in range(plan.n_classes):
                    w.credit[rank, first + o] = np.int32(-w.classes[ERROR, o])
                continue
            for k in range(first, last):
                if w.near[rank, k]:
                    total = np.int64(0)
                    for o in range(plan.n_classes):
                        total -= np.int64(response[rank, o, k]) * w.classes[ERROR, o]
                    total = shift_signed(total, -scales.group[group, CREDIT_SHIFT])
                    w.credit[rank, k] = np.int32(min(max(total, -CREDIT_LIMIT), CREDIT_LIMIT))


@jit
def reward(p, w, plan, scales, difference, statistics, counts):
    """Add quantised fitness difference x post factor to the local votes."""
    statistics[STAT_TOTALS, FITNESS_SIZE] += abs(difference)
    fitness = shift_signed(difference, -scales.fitness_shift)
    fitness = min(max(fitness, -FITNESS_LIMIT), FITNESS_LIMIT)
    statistics[STAT_TOTALS, TIES] += np.int64(fitness == 0)
    for group in range(len(p.group)):
        if plan.group[group, LEARNS]:
            for rank in range(plan.rank):
                for k in range(p.group[group, START], p.group[group, STOP]):
                    w.credit[rank, k] = np.int32(np.int64(w.credit[rank, k]) + fitness * np.int64(w.factor_a[rank, k]))
            counts[group, REWARD_BROADCASTS] += 1


@jit
def vote(p, w, plan, counts):
    """Add local vote x pre factor to the vote of each synapse, skipping silent sources; clear the local votes."""
    n_groups = len(p.group)
    for c in range(len(plan.plastic) - 1):
        connection = plan.plastic[c, CONNECTION]
        target = p.conn[connection, TARGET]
        n_post = p.group[target, STOP] - p.group[target, START]
        first_factor, first_vote = plan.plastic[c, FIRST_FACTOR], plan.plastic[c, FIRST_VOTE]
        for rank in range(plan.rank):
            credit = w.credit[rank, p.group[target, START] : p.group[target, STOP]]
            for j in range(plan.plastic[c + 1, FIRST_FACTOR] - first_factor):
                b = np.int64(w.factor_b[rank, first_factor + j])
                if b != 0:
                    row = w.votes[first_vote + j * n_post : first_vote + (j + 1) * n_post]
                    for k in range(n_post):
                        row[k] = np.int32(np.int64(row[k]) + b * np.int64(credit[k]))
                    counts[n_groups + connection, VOTES] += n_post
    w.credit[:] = 0


@jit
def count_traces(p, w, plan, statistics, counts):
    """Count what the unperturbed run left in traces and near flags."""
    for group in range(len(p.group)):
        spikes = np.int64(0)
        near = np.int64(0)
        for rank in range(plan.rank):
            for k in range(p.group[group, START], p.group[group, STOP]):
                spikes += np.int64(w.trace[rank, k])
                near += np.int64(w.near[rank, k])
        statistics[STAT_SPIKES, group] += spikes
        statistics[STAT_NEAR, group] += near
        counts[group, TRACE_UPDATES] += spikes + near
