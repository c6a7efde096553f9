"""Run a network without circles group by group, each through all steps: no state is kept between steps in memory.

What inputs send is summed up once for each sample, in the unperturbed run, and shared by the members.
"""

import numpy as np

from neurosim.codes import (
    ALIKE,
    CONNECTION,
    EVERYONE,
    EXPONENT,
    FACTOR_FULL,
    FACTOR_GAUSSIAN,
    FACTOR_RANDOM,
    FACTOR_TRACE,
    FAN_OUT,
    FIRST_FACTOR,
    FIRST_VOTE,
    FORMAT,
    FORMAT_DENSE8,
    FORMAT_LINK,
    MODEL,
    MODEL_INPUT,
    NOISE_EXP,
    OFFSET,
    SHIFT,
    SOURCE,
    START,
    STAT_DRIVE,
    STAT_DRIVE_STEPS,
    STOP,
    TARGET,
)
from neurosim.counters import (
    NEURON_UPDATES_ACTIVE,
    NEURON_UPDATES_IDLE,
    OVERFLOW_ACCUMULATOR,
    OVERFLOW_U,
    PERTURBATIONS,
    SATURATION_V,
    SYNAPTIC_OPERATIONS,
)
from neurosim.kernels.arith import copy_into, largest_size, shift_signed
from neurosim.kernels.convolve import convolve
from neurosim.kernels.deliver import count_synapses, deliver
from neurosim.kernels.jit import jit
from neurosim.kernels.layer import ANYWHERE, INSIDE, NEAR_ZERO, SMALL, copy_rows, run_lanes, run_quiet, run_signs
from neurosim.kernels.neuron import INPUT_SHIFT, STATE_LIMIT
from neurosim.kernels.rows import add_rows8, add_rows8_steps
from neurosim.kernels.spikelist import list_steps
from neurosim.kernels.tracedlayer import run_traced

WIDTH = 16
WORD = 64
WORTH_A_LOOK = 64  # neurons from which on looking for the largest sum costs less than checking every state


@jit
def window(t, plan):
    """Return the window of time, which is a rank, of a step."""
    return t * plan.rank // plan.n_steps if plan.rank != 1 else 0


@jit
def load_events(p, x, w, plan, event_start, event_neuron, n_event_steps, first_row):
    """List the input spikes of every step, count them into the traces, and note them for the unperturbed run."""
    w.n_spikes[:] = 0
    w.input_operations[:] = 0
    for t in range(plan.n_steps):
        if t >= n_event_steps:
            continue
        event, end = event_start[first_row + t], event_start[first_row + t + 1]
        there = window(t + 1, plan)
        for group in range(len(p.group)):
            if p.group[group, MODEL] != MODEL_INPUT:
                break  # inputs come first
            start, stop, lane = p.group[group, START], p.group[group, STOP], x.first[group]
            last = end
            while last > event and event_neuron[last - 1] >= stop:  # spikes of later inputs; events ascend
                last -= 1
            mine = event_neuron[event:last]
            listed = w.spikes[t, lane : lane + stop - start]
            for i in range(last - event):
                listed[i] = np.int32(np.int64(mine[i]) - start)
            w.n_spikes[t, group] = last - event
            note_spikes(p, w, group, listed, last - event, 1)
            if t + 1 < plan.n_steps:
                trace = w.trace[there, lane : lane + stop - start]
                for i in range(last - event):
                    trace[np.uint32(listed[i])] += 1
            event = last


@jit
def share_inputs(p, x, w, plan, runs, counts):
    """Count the input spikes of a sample, and what they deliver, for so many more runs, which share the sums."""
    for group in range(len(p.group)):
        if p.group[group, MODEL] == MODEL_INPUT:
            lane, n = x.first[group], p.group[group, STOP] - p.group[group, START]
            for t in range(plan.n_steps):
                note_spikes(p, w, group, w.spikes[t, lane : lane + n], w.n_spikes[t, group], runs)
    for connection in range(len(p.conn)):
        if p.group[p.conn[connection, SOURCE], MODEL] == MODEL_INPUT:
            counts[len(p.group) + connection, SYNAPTIC_OPERATIONS] += runs * w.input_operations[connection]


@jit
def note_spikes(p, w, group, listed, n_spikes, runs):
    """Remember who fired; where all neurons of a group send alike, the first one answers for all."""
    start = p.group[group, START]
    if p.group[group, ALIKE] != 0:
        w.sent[start] += runs * n_spikes
        return
    sent = w.sent[start : p.group[group, STOP]]
    for i in range(n_spikes):
        sent[np.uint32(listed[i])] += runs


@jit
def run_layers(p, x, k, w, plan, scales, sign, statistics, counts):
    """Run the network from rest, unperturbed (sign 0) or as a member of a pair (+1, -1); k: Links, or None without any.

    The unperturbed run sums up what inputs send, counts the spikes of neurons into the traces and notes who came near its
    threshold.
    """
    n_lanes = len(x.valid)
    for place in range(len(x.order)):
        group = x.order[place]
        start, lane = p.group[group, START], x.first[group]
        n = p.group[group, STOP] - start
        n_vectors = (n + WIDTH - 1) // WIDTH
        for phase in range(2):  # what inputs send, which all members share; then what neurons send
            if phase == 0 and sign == 0:
                for t in range(plan.n_steps):
                    w.base[t * n_lanes + lane : t * n_lanes + lane + n] = 0
            if phase == 1 and x.later[group]:
                copy_rows(w.acc, w.base, lane, n_vectors, n_lanes, plan.n_steps)
            for connection in range(len(p.conn)):
                from_input = p.group[p.conn[connection, SOURCE], MODEL] == MODEL_INPUT
                if p.conn[connection, TARGET] == group and from_input == (phase == 0) and (phase == 1 or sign == 0):
                    target = w.base if phase == 0 else w.acc
                    deliver_steps(p, x, k, w, connection, 1, plan.n_steps, target, counts)
        if (sign == 0 and x.later[group] == 0) or (x.later[group] and n >= WORTH_A_LOOK):
            w.reach[group] = reach(x, plan, w.acc if x.later[group] else w.base, lane, n)
        acc = w.acc if x.later[group] else w.base
        if sign != 0 and w.active[group]:
            counts[group, PERTURBATIONS] += plan.n_steps * n
            if plan.factor >= FACTOR_FULL:
                set_full_noise(p, x, w, plan, scales, group, 0, plan.n_steps, sign, statistics)
            else:
                set_noise(p, x, w, plan, scales, group, 0, plan.n_steps, sign, in_lanes(plan), statistics)
            if plan.goal.voltages:
                pass
            elif not in_lanes(plan):
                where = find_range(p, x, w, plan, group)
                run_signs(
                    where, n_vectors, lane, n_lanes, plan.n_steps, acc, w.amplitude, w.signs, w.sign_row, x.valid,
                    x.keep_u, x.keep_v, x.threshold, x.half, x.bias, w.fired, w.close, w.last_v, w.n_fired,
                    w.counted,
                )  # fmt: skip
            else:
                run_lanes(
                    ANYWHERE, n_vectors, lane, n_lanes, plan.n_steps, acc, w.amplitude, w.signs, w.sign_row, w.noise,
                    x.keep_u, x.keep_v, x.threshold, x.half, x.bias, w.fired, w.close, w.last_v, w.n_fired,
                    w.counted,
                )  # fmt: skip
        elif plan.goal.voltages:
            for t in range(plan.n_steps):
                w.noise[t * n_lanes + lane : t * n_lanes + lane + n] = 0
        else:
            w.amplitude[:] = 0
            where = find_range(p, x, w, plan, group)
            run_quiet(
                where, n_vectors, lane, n_lanes, plan.n_steps, acc, w.amplitude, w.signs, w.sign_row, x.valid,
                x.keep_u, x.keep_v, x.threshold, x.half, x.bias, w.fired, w.close, w.last_v, w.n_fired, w.counted,
            )  # fmt: skip
        if plan.goal.voltages:
            run_traced(
                n_vectors, lane, n_lanes, plan.n_steps, acc, w.noise, x.keep_u, x.keep_v, x.threshold, x.half, x.bias, w.fired,
                w.close, w.voltage, w.last_v, w.n_fired, w.counted,
            )  # fmt: skip
        count_updates(group, plan.n_steps * n, w.counted, counts)
        n_words = (n + WORD - 1) // WORD
        list_steps(w.fired64, lane, n_words, n_lanes, plan.n_steps, w.listed, w.numbers, group, len(p.group))
        if sign == 0:
            finish_run(p, x, w, plan, group)


@jit
def finish_run(p, x, w, plan, group):
    """Count the spikes of an unperturbed run into the traces, and note who came near its threshold."""
    n_lanes, lane, n = len(x.valid), x.first[group], p.group[group, STOP] - p.group[group, START]
    for t in range(plan.n_steps):
        here, first_word = window(t, plan), (t * n_lanes + lane) // WORD
        for i in range((n + WORD - 1) // WORD):
            w.near[here, lane // WORD + i] |= w.close64[first_word + i]
        trace_spikes(p, x, w, plan, group, t)


@jit
def reach(x, plan, acc, lane, n):
    """Return how far from zero synaptic sums and biases could bring v within a run, if all had one sign."""
    n_lanes = len(x.valid)
    total = largest_size(x.bias[lane : lane + n]) * plan.n_steps
    for t in range(plan.n_steps):
        total += largest_size(acc[t * n_lanes + lane : t * n_lanes + lane + n]) << INPUT_SHIFT
    return total


@jit
def find_range(p, x, w, plan, group):
    """Return what is known of all states of a group in a run, whatever fires when: ANYWHERE, INSIDE or NEAR_ZERO.

    |u| is at most the sum of all inputs' sizes, and |v| that of all u; without a current filter u is the input alone.
    """
    if x.later[group] and p.group[group, STOP] - p.group[group, START] < WORTH_A_LOOK:
        return np.int64(ANYWHERE)
    total = w.reach[group]
    for t in range(plan.n_steps):
        total += abs(np.int64(w.amplitude[t]))
    if x.filtered[group]:
        total *= plan.n_steps
    if total < SMALL:
        return np.int64(NEAR_ZERO)
    return np.int64(INSIDE) if total < STATE_LIMIT else np.int64(ANYWHERE)


@jit
def count_updates(group, n_updates, counted, counts):
    """Count the updates of a group and what left its range: sums beyond 32 bits, active, corrected, saturated."""
    counts[group, OVERFLOW_ACCUMULATOR] += counted[0]
    counts[group, NEURON_UPDATES_ACTIVE] += counted[1]
    counts[group, NEURON_UPDATES_IDLE] += n_updates - counted[1]
    counts[group, OVERFLOW_U] += counted[2]
    counts[group, SATURATION_V] += counted[3]


@jit
def trace_spikes(p, x, w, plan, group, t):
    """Count the spikes of a step into the trace of the step that delivers them."""
    if t + 1 < plan.n_steps:  # spikes of the last step are never delivered
        lane, n = x.first[group], p.group[group, STOP] - p.group[group, START]
        listed, trace = w.spikes[t, lane : lane + n], w.trace[window(t + 1, plan), lane : lane + n]
        for i in range(w.n_spikes[t, group]):
            trace[np.uint32(listed[i])] += 1


@jit
def deliver_steps(p, x, k, w, connection, first_step, last_step, target, counts):
    """Add what a connection delivers in some steps to the sums of its target group."""
    n_lanes = len(x.valid)
    source, group = p.conn[connection, SOURCE], p.conn[connection, TARGET]
    lane, first = x.first[source], x.first[group]
    n_pre, n_post = p.group[source, STOP] - p.group[source, START], p.group[group, STOP] - p.group[group, START]
    scale = p.conn[connection, SHIFT] + p.conn[connection, EXPONENT]
    fan_out, n_synapses = p.conn[connection, FAN_OUT], np.int64(0)
    if p.conn[connection, FORMAT] == FORMAT_DENSE8:
        n_synapses = n_post * add_rows8_steps(
            p.dense8, p.conn[connection, OFFSET], n_post, w.listed, lane, n_lanes, w.numbers, source, len(p.group),
            max(0, scale), max(0, -scale), target, first, max(first_step, 1), last_step,
        )  # fmt: skip
    else:
        for t in range(max(first_step, 1), last_step):
            n_spikes = w.n_spikes[t - 1, source]
            if n_spikes == 0:
                continue
            sources, here = w.spikes[t - 1, lane : lane + n_pre], t * n_lanes + first
            acc = target[here : here + n_post]
            if k is not None and p.conn[connection, FORMAT] == FORMAT_LINK:
                n_synapses += convolve(k.kernels, k.reaches, k.conv_of[connection], sources, n_spikes, acc, w.total)
                continue
            deliver(p, p.conn[connection, FORMAT], p.conn[connection, OFFSET], scale, sources, n_spikes, acc, w.total)
            if fan_out == EVERYONE:
                n_synapses += n_spikes * n_post
            else:
                n_synapses += count_synapses(p.csr_start, fan_out, sources, n_spikes)
    counts[len(p.group) + connection, SYNAPTIC_OPERATIONS] += n_synapses
    w.input_operations[connection] += n_synapses  # read for connections from inputs only


@jit
def in_lanes(plan):
    """Whether the noise of a group is a value for each neuron, not one amplitude times the signs of one rank."""
    return plan.goal.voltages != 0 or plan.factor >= FACTOR_GAUSSIAN or (plan.factor == FACTOR_RANDOM and plan.rank > 1)


@jit
def set_noise(p, x, w, plan, scales, group, first_step, last_step, sign, spread, statistics):
    """Set a group's noise in some steps: pre factors of the sources that fired, times post factors, over the ranks.

    spread : bool
        Write a value for each neuron; else the amplitude of each step, for the signs of one rank.
    """
    lane, n_lanes = x.first[group], len(x.valid)
    n = p.group[group, STOP] - p.group[group, START]
    exponent, hears = scales.group[group, NOISE_EXP], x.later[group]
    for t in range(first_step, last_step):
        first_rank = window(t, plan) if plan.factor == FACTOR_TRACE else 0
        last_rank = first_rank + 1 if plan.factor == FACTOR_TRACE else plan.rank
        w.amplitude[t] = 0
        w.sign_row[t] = first_rank * (n_lanes // WIDTH)
        noise = w.noise[t * n_lanes + lane : t * n_lanes + lane + n] if spread else w.noise[0:0]
        noise[:] = 0
        for rank in range(first_rank, last_rank):
            drive = w.drive[rank, t, group]
            for c in range(len(plan.plastic) - 1 if hears else 0):
                connection = plan.plastic[c, CONNECTION]
                source = p.conn[connection, SOURCE]
                if t > 0 and p.conn[connection, TARGET] == group and p.group[source, MODEL] != MODEL_INPUT:
                    start, n_pre = x.first[source], p.group[source, STOP] - p.group[source, START]
                    listed = w.spikes[t - 1, start : start + n_pre]
                    factor = w.factor_b[rank, plan.plastic[c, FIRST_FACTOR] : plan.plastic[c + 1, FIRST_FACTOR]]
                    for i in range(w.n_spikes[t - 1, source]):
                        drive += factor[np.uint32(listed[i])]
            if drive == 0:
                continue
            statistics[STAT_DRIVE, group] += abs(drive)
            statistics[STAT_DRIVE_STEPS, group] += 1
            amplitude = np.int32(sign * shift_signed(drive, exponent))
            if not spread:
                w.amplitude[t] = amplitude
                continue
            post = w.factor_a[rank, lane : lane + n]
            for k in range(n):
                noise[k] = np.int32(np.int64(noise[k]) + np.int64(amplitude) * np.int64(post[k]))


@jit
def set_full_noise(p, x, w, plan, scales, group, first_step, last_step, sign, statistics):
    """Set a group's noise in some steps from a draw of its own for every synapse: the sum over who fired."""
    lane, n_lanes = x.first[group], len(x.valid)
    n = p.group[group, STOP] - p.group[group, START]
    exponent = scales.group[group, NOISE_EXP]
    for t in range(first_step, last_step):
        here = t * n_lanes + lane
        noise = w.noise[here : here + n]
        copy_into(noise, w.full_base[here : here + n])
        for c in range(len(plan.plastic) - 1):
            connection = plan.plastic[c, CONNECTION]
            source = p.conn[connection, SOURCE]
            if t > 0 and p.conn[connection, TARGET] == group and p.group[source, MODEL] != MODEL_INPUT:
                start, n_pre = x.first[source], p.group[source, STOP] - p.group[source, START]
                listed = w.spikes[t - 1, start : start + n_pre]
                add_rows8(w.full, plan.plastic[c, FIRST_VOTE], n, listed, w.n_spikes[t - 1, source], 0, 0, noise)
        size = np.int64(0)
        for k in range(n):
            size += abs(np.int64(noise[k]))
            noise[k] = np.int32(sign * shift_signed(noise[k], exponent))
        if size != 0:
            statistics[STAT_DRIVE, group] += size // n
            statistics[STAT_DRIVE_STEPS, group] += 1
