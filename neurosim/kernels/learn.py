"""Evaluate antithetic pairs on a block of samples, and leave what votes are made of: numbers before and after synapses.

One call runs, for each sample, the unperturbed network, then both members of every pair. The rule: `docs/learning.md`;
twin: `neurosim.reference.learn`. Large functions are called from one place each: the compiler inlines every call, and a
second copy of a run would double the compile time.
"""

import numpy as np

from neurosim.codes import (
    CONNECTION,
    CREDIT_LIMIT,
    CREDIT_SHIFT,
    FACTOR_FULL,
    FACTOR_TRACE,
    FIRST_FACTOR,
    FIRST_VOTE,
    FIT_USER,
    FITNESS_LIMIT,
    FITNESS_SIZE,
    FORM_RESPONSE,
    KIND,
    KIND_ROWS,
    KIND_SYNAPSES,
    LEARNS,
    LIKELIHOOD,
    PASS_LOOK,
    PASS_VOTE,
    START,
    STAT_NEAR,
    STAT_SPIKES,
    STAT_TOTALS,
    STOP,
    TARGET,
    TIES,
)
from neurosim.counters import MESSAGES, RESPONSE_UPDATES, REWARD_BROADCASTS, TRACE_UPDATES, VOTES
from neurosim.counters import SPIKES as N_FIRED
from neurosim.kernels.arith import shift_signed
from neurosim.kernels.convolve import vote_source
from neurosim.kernels.factors import choose_groups, draw_post_factors, draw_pre_factors, share_drive
from neurosim.kernels.jit import jit
from neurosim.kernels.layer import spread_bits
from neurosim.kernels.layerwise import load_events, run_layers, share_inputs
from neurosim.kernels.modelwise import run_model_steps
from neurosim.kernels.neuron_params import vote_neurons
from neurosim.kernels.noise import fold
from neurosim.kernels.readouts import (
    charge,
    effect_row,
    first_effect,
    last_effect,
    look,
    rate_run,
    read_run,
    spread_errors,
)
from neurosim.kernels.stepwise import run_steps

N_ROUTE = 7  # columns of p.route, in the order of their counters
WORD = 64
COUNT_EVERY = 8  # samples whose spikes are counted in 32 bits
LARGEST = 2**31 - 1


@jit
def learn_samples(p, x, s, w, plan, scales, response, ids, aims, generation_pass, event_start, event_neuron, n_event_steps,
                  first, last, key, exp2_table, log2_table, normal, pre, post, predictions, statistics, counts, k=None,
                  m=None):  # fmt: skip
    """Evaluate samples ``ids[first:last]``; write the terms of their votes and add up measured responses.

    Parameters
    ----------
    p, x, w : ProgramArrays, Lanes, LearnScratch
        ``w.measured`` is added to, and ``w.votes`` where each synapse has a draw of its own.
    s : Scratch or None
        None where the network has no circles and runs layer by layer.
    k : Links or None
        None where all plastic connections are rows of int8 and nothing is a convolution.
    m : LearnModels or None
        None where all neurons are plain LIF, and links, if any, are convolutions of a network without circles.
    plan, scales : LearnPlan, Scales
    response : (R, C, N) int32
        Response of each readout to each neuron; not read by the scalar form.
    ids : (B,) int64
        Samples of this generation; position i in it names the noise of its pairs.
    aims : Aims
        ``aims.seen`` is written in a pass that only looks.
    generation_pass : int
        PASS_WHOLE; or PASS_LOOK, then PASS_VOTE with ``aims.given``, where the fitness is the user's.
    event_start, event_neuron, n_event_steps
        Input spikes, see `neurosim.events.Events`.
    key : uint64
        Names the generation's noise.
    exp2_table, log2_table, normal
        `neurosim.logtables`, `neurosim.normaltable`.
    pre : (R, n_terms, F) int16
        Written: pre factors of the terms of these samples, one term a sample with traces, else one a pair.
    post : (R, n_terms, L) int32
        Written: local votes, by lane. A synapse's vote is the sum over ranks and terms of pre times post.
    predictions : (B, W) int64
        Written: class of the unperturbed run, by window.
    statistics : (5, max(G, N_TOTALS)) int64
        Added to; rows STAT_*.
    counts : (rows, N_COUNTERS) int64
        Added to.
    """
    for i in range(first, last):
        first_row = ids[i] * n_event_steps
        n_pairs = plan.n_pairs if i % plan.pair_every == 0 else 0
        fitness_plus = np.int64(0)
        w.trace[:] = 0
        w.near[:] = 0
        w.voting[:] = np.int64(plan.form == FORM_RESPONSE)  # the scalar form votes for what pairs perturb
        load_events(p, x, w, plan, event_start, event_neuron, n_event_steps, first_row)
        for member in range(1 + 2 * plan.n_pairs):  # unperturbed, then plus and minus of each pair
            if member > 2 * n_pairs:
                break
            sign = 0 if member == 0 else 1 - 2 * ((member + 1) % 2)
            if sign == 1:
                pair_key = fold(fold(key, i), (member - 1) // 2)
                choose_groups(p, w, plan, i // plan.pair_every * plan.n_pairs + (member - 1) // 2)
                draw_post_factors(p, x, w, plan, pair_key, normal, counts)
                if member == 1 or plan.factor != FACTOR_TRACE:  # traces are the sample's own, the same for every pair
                    draw_pre_factors(p, x, w, plan, pair_key, normal, counts)
                    if m is None:
                        share_drive(p, x, w, plan)
            fitness = aims.given[i, member] if generation_pass == PASS_VOTE else np.int64(0)
            if generation_pass != PASS_VOTE or sign == 0:
                if s is None:
                    run_layers(p, x, k, w, plan, scales, sign, statistics, counts)
                elif m is None:
                    run_steps(p, x, s, w, plan, scales, sign, statistics, counts)
                else:
                    run_model_steps(
                        p, x, s, m, w, plan, scales, sign, event_start, n_event_steps, first_row, statistics, counts
                    )
                if generation_pass == PASS_LOOK:
                    look(x, w, plan, aims.seen[i, member])
                else:
                    read_run(x, w, plan)
                    rated = rate_run(
                        p, x, w, plan, scales, aims.labels[ids[i]], aims.targets, ids[i], sign == 0, exp2_table,
                        log2_table, predictions[i], statistics,
                    )  # fmt: skip
                    fitness = fitness if plan.goal.kind == FIT_USER else rated
            if generation_pass == PASS_LOOK:
                if sign == 0:
                    finish_traces(p, x, w, plan, statistics, counts)
                    share_inputs(p, x, w, plan, 2 * n_pairs, counts)
            elif sign == 0:
                if plan.goal.kind == FIT_USER:
                    statistics[STAT_TOTALS, LIKELIHOOD] += fitness
                finish_traces(p, x, w, plan, statistics, counts)
                start_credit(p, x, w, plan, scales, response, counts)
                if plan.skip < 0 and fitness > plan.skip:
                    n_pairs = 0
                share_inputs(p, x, w, plan, 2 * n_pairs, counts)
            elif sign == 1:
                fitness_plus = fitness
                for window in range(plan.goal.n_windows):
                    for o in range(plan.n_classes):
                        w.plus[window, o] = w.z[window, o]
            elif plan.form == FORM_RESPONSE:
                measure(p, x, w, plan, counts)
            else:
                reward(p, x, w, plan, scales, fitness_plus - fitness, statistics, counts)
                if plan.factor != FACTOR_TRACE:
                    hand_in(p, x, k, w, plan, i * plan.n_pairs + (member - 1) // 2, pre, post, counts)
        if plan.factor == FACTOR_TRACE and generation_pass != PASS_LOOK:  # the votes of a sample's pairs are merged
            if n_pairs == 0:
                draw_pre_factors(p, x, w, plan, key, normal, counts)
            hand_in(p, x, k, w, plan, i, pre, post, counts)
        elif plan.factor < FACTOR_FULL and n_pairs == 0:
            pre[:, i * plan.n_pairs : (i + 1) * plan.n_pairs] = 0
            post[:, i * plan.n_pairs : (i + 1) * plan.n_pairs] = 0
        if i == last - 1 or i % COUNT_EVERY == COUNT_EVERY - 1:
            count_spikes(p, x, w, counts)
    if plan.form == FORM_RESPONSE:
        flush_measured(w)


@jit
def count_spikes(p, x, w, counts):
    """Count all spikes noted so far, and what they sent to cores; then forget them."""
    for group in range(len(p.group)):
        start, lane = p.group[group, START], x.first[group]
        for neuron in range(start, p.group[group, STOP]):
            n_spikes = w.sent[neuron] + np.int64(w.n_fired[lane + neuron - start])
            if n_spikes != 0:
                counts[group, N_FIRED] += n_spikes
                for column in range(N_ROUTE):
                    counts[group, MESSAGES + column] += n_spikes * np.int64(p.route[neuron, column])
    w.sent[:] = 0
    w.n_fired[:] = 0


@jit
def finish_traces(p, x, w, plan, statistics, counts):
    """Spread the near flags to numbers, and count what the unperturbed run left in them and in the traces."""
    for rank in range(plan.rank):
        spread_bits(w.near[rank], len(x.valid) // WORD, 0, 1, w.close8[rank])
    for group in range(len(p.group)):
        lane, n = x.first[group], p.group[group, STOP] - p.group[group, START]
        spikes = np.int64(0)
        near = np.int64(0)
        for rank in range(plan.rank):
            trace, close = w.trace[rank, lane : lane + n], w.close8[rank, lane : lane + n]
            for k in range(n):
                spikes += np.int64(trace[k])
                near += np.int64(close[k])
        statistics[STAT_SPIKES, group] += spikes
        statistics[STAT_NEAR, group] += near
        counts[group, TRACE_UPDATES] += spikes + near
    if plan.gate == 0 and plan.form != FORM_RESPONSE:
        w.close8[:] = 1
        return
    if plan.factor != FACTOR_TRACE:  # ranks are no windows of time
        for rank in range(1, plan.rank):
            for k in range(len(x.valid)):
                w.close8[0, k] |= w.close8[rank, k]
        for rank in range(1, plan.rank):
            for k in range(len(x.valid)):
                w.close8[rank, k] = w.close8[0, k]
    lane = x.first[plan.readout]  # it answers without a threshold
    w.close8[:, lane : lane + plan.n_classes] = 1


@jit
def measure(p, x, w, plan, counts):
    """Add (readout of plus - readout of minus) x post factor to the measured response."""
    for group in range(len(p.group)):
        if not w.active[group]:
            continue
        start, lane, n = p.group[group, START], x.first[group], p.group[group, STOP] - p.group[group, START]
        n_effects = np.int64(0)
        largest = np.int64(0)
        for window in range(plan.goal.n_windows):
            for o in range(plan.n_classes):
                largest = max(largest, abs(w.plus[window, o] - w.z[window, o]))
        for rank in range(plan.rank):
            if w.bound[0] + largest > LARGEST:
                flush_measured(w)
            w.bound[0] += largest
            factor = w.factor_a[rank, lane : lane + n]
            for window in range(first_effect(rank, plan), last_effect(rank, plan) + 1):
                n_effects += 1
                row = effect_row(rank, window, plan)
                for o in range(plan.n_classes):
                    difference = np.int32(w.plus[window, o] - w.z[window, o])
                    measured = w.measured32[row, o, start : start + n]
                    for k in range(n):  # signs, as traces have them
                        measured[k] = np.int32(np.int64(measured[k]) + np.int64(difference) * np.int64(factor[k]))
        counts[group, RESPONSE_UPDATES] += n_effects * plan.n_classes * n
        counts[group, REWARD_BROADCASTS] += plan.goal.n_windows * plan.n_classes


@jit
def flush_measured(w):
    """Add what pairs measured in 32 bits to the sums in 64."""
    for rank in range(w.measured.shape[0]):
        for o in range(w.measured.shape[1]):
            wide, narrow = w.measured[rank, o], w.measured32[rank, o]
            for k in range(len(narrow)):
                wide[k] += narrow[k]
    w.measured32[:] = 0
    w.bound[0] = 0


@jit
def start_credit(p, x, w, plan, scales, response, counts):
    """Begin a sample's local votes: zero, or the readout errors seen through each neuron's known response."""
    w.credit[:] = 0
    if plan.form != FORM_RESPONSE:
        return
    for group in range(len(p.group)):
        if not plan.group[group, LEARNS]:
            continue
        start, lane, n = p.group[group, START], x.first[group], p.group[group, STOP] - p.group[group, START]
        counts[group, REWARD_BROADCASTS] += plan.goal.n_windows * plan.n_classes
        if group == plan.readout:
            spread_errors(w, plan, lane)
            continue
        shift = scales.group[group, CREDIT_SHIFT]
        for rank in range(plan.rank):
            credit = w.credit[rank, lane : lane + n]
            for window in range(first_effect(rank, plan), last_effect(rank, plan) + 1):
                row = effect_row(rank, window, plan)
                for o in range(plan.n_classes):
                    error, seen = np.int32(w.errors[window, o]), response[row, o, start : start + n]
                    for k in range(n):
                        credit[k] = np.int32(np.int64(credit[k]) - np.int64(np.int32(seen[k] * error)))
            close = w.close8[rank, lane : lane + n]
            for k in range(n):
                total = credit[k]
                size = np.int32(abs(total) >> np.int32(shift))
                size = np.int32(min(size, np.int32(CREDIT_LIMIT))) * np.int32(close[k])
                credit[k] = np.int32(-size) if total < 0 else size
    if plan.goal.rate_gain != 0:
        charge(p, x, w, plan)


@jit
def reward(p, x, w, plan, scales, difference, statistics, counts):
    """Add quantised fitness difference x post factor to the local votes of neurons that came near their threshold."""
    statistics[STAT_TOTALS, FITNESS_SIZE] += abs(difference)
    fitness = shift_signed(difference, -scales.fitness_shift)
    fitness = min(max(fitness, -FITNESS_LIMIT), FITNESS_LIMIT)
    statistics[STAT_TOTALS, TIES] += np.int64(fitness == 0)
    for group in range(len(p.group)):
        if not w.active[group]:
            continue
        lane, n = x.first[group], p.group[group, STOP] - p.group[group, START]
        for rank in range(plan.rank):
            credit, close = w.credit[rank, lane : lane + n], w.close8[rank, lane : lane + n]
            factor = w.factor_a[rank, lane : lane + n]
            for k in range(n):
                a = np.int32(1) if plan.factor >= FACTOR_FULL else np.int32(factor[k])
                credit[k] = np.int32(np.int64(credit[k]) + np.int64(np.int32(fitness) * a * np.int32(close[k])))
        counts[group, REWARD_BROADCASTS] += 1


@jit
def hand_in(p, x, k, w, plan, term, pre, post, counts):
    """Write a term of the votes, local votes and pre factors, and clear the local votes.

    Votes of weights that links share are summed up at once, in ``w.shared``: they are few.
    """
    n_groups = len(p.group)
    for c in range(len(plan.plastic) - 1):
        connection = plan.plastic[c, CONNECTION]
        target = p.conn[connection, TARGET]
        lane, n_post = x.first[target], p.group[target, STOP] - p.group[target, START]
        first, last = plan.plastic[c, FIRST_FACTOR], plan.plastic[c + 1, FIRST_FACTOR]
        n_votes = np.int64(0)
        if not w.voting[target]:
            if plan.factor < FACTOR_FULL:
                pre[:, term, first:last] = 0
        elif plan.factor >= FACTOR_FULL:
            credit, fired = w.credit[0, lane : lane + n_post], w.fired_sources[first:last]
            for j in range(last - first):
                if fired[j]:
                    start = plan.plastic[c, FIRST_VOTE] + j * n_post
                    row, drawn = w.votes[start : start + n_post], w.full[start : start + n_post]
                    for i in range(n_post):
                        row[i] = np.int32(np.int64(row[i]) + np.int64(np.int32(drawn[i]) * credit[i]))
                    n_votes += n_post
        else:
            for rank in range(plan.rank):
                factor, out = w.factor_b[rank, first:last], pre[rank, term, first:last]
                n_active = np.int32(0)
                for j in range(last - first):
                    out[j] = np.int16(factor[j])
                    n_active = np.int32(np.int64(n_active) + np.int64(factor[j] != 0))
                if k is None:
                    n_votes += np.int64(n_active) * n_post
                elif plan.plastic[c, KIND] == KIND_ROWS:
                    n_votes += np.int64(n_active) * n_post
                elif plan.plastic[c, KIND] == KIND_SYNAPSES:
                    for j in range(last - first):
                        row = k.row[c] + j
                        n_votes += (k.start[row + 1] - k.start[row]) * np.int64(factor[j] != 0)
                else:
                    credit, conv = w.credit[rank, lane : lane + n_post], k.conv_of[connection]
                    for j in range(last - first):
                        if factor[j] != 0:
                            n_votes += vote_source(w.shared, k.reaches, conv, j, factor[j], credit)
        counts[n_groups + connection, VOTES] += n_votes
    if plan.factor < FACTOR_FULL:
        for group in range(len(p.group)):
            if plan.group[group, LEARNS]:
                lane, n = x.first[group], p.group[group, STOP] - p.group[group, START]
                for rank in range(plan.rank):
                    credit, out = w.credit[rank, lane : lane + n], post[rank, term, lane : lane + n]
                    for i in range(n):
                        out[i] = credit[i]
    vote_neurons(p, x, w, plan, counts)
    w.credit[:] = 0
