"""Run any network step by step while learning: every neuron model, links with values, delays and second ports.

Programs of plain LIF neurons take `neurosim.kernels.layerwise` or `neurosim.kernels.stepwise` instead.
"""

import numpy as np

from neurosim.codes import (
    ACC,
    CONNECTION,
    CUMULATIVE,
    FACTOR_FULL,
    FACTOR_TRACE,
    FIRST_FACTOR,
    FIRST_VOTE,
    FLOOR,
    MODEL,
    MODEL_ATRLIF,
    MODEL_DELTA,
    MODEL_GRADED,
    MODEL_INPUT,
    MODEL_LIF,
    MODEL_LIF_EACH,
    MODEL_MULTISPIKE,
    MODEL_PRODUCT,
    MODEL_RESONATE,
    MODEL_SIGMA,
    MODEL_SIGMA_DELTA,
    MODEL_TERNARY,
    NOISE,
    NOISE_EXP,
    OP_DELIVER,
    PARAM_HIGH,
    PARAM_LOW,
    SOURCE,
    SPIKES,
    START,
    STAT_DRIVE,
    STAT_DRIVE_STEPS,
    STOP,
    TARGET,
    TRACE_LIMIT,
    VALUES,
    VTH,
    U,
    V,
)
from neurosim.counters import PERTURBATIONS
from neurosim.kernels.arith import copy_into, shift_signed
from neurosim.kernels.jit import jit
from neurosim.kernels.layerwise import WORD, window
from neurosim.kernels.links import deliver_links
from neurosim.kernels.models import i32
from neurosim.kernels.neuron import INPUT_SHIFT
from neurosim.kernels.run_models import update_models
from neurosim.kernels.step import deliver_all, update_all

NO_LOWER = -(1 << 40)  # a threshold that no state is below


@jit
def run_model_steps(p, x, s, m, w, plan, scales, sign, event_start, n_event_steps, first_row, statistics, counts):
    """Run the network from rest, unperturbed (sign 0) or as a member of a pair; as `neurosim.kernels.stepwise.run_steps`.

    s, m : Scratch, LearnModels
        ``s.sent`` is ``w.sent``.
    event_start, n_event_steps, first_row
        Where the sample's values begin, see `neurosim.events.Events`; the spikes themselves are listed in ``w.spikes``.
    """
    n_delivers = 0
    while n_delivers < len(p.ops) and p.ops[n_delivers, 0] == OP_DELIVER:
        n_delivers += 1
    rest_models(s, m)
    if sign == 0:
        w.sums[:] = 0
    for t in range(plan.n_steps):
        deliver_all(p, s, 0, n_delivers, counts)
        deliver_links(p, m.arrays, s, m.work, t, counts)
        for group in range(len(p.group)):
            first, last = p.group[group, START], p.group[group, STOP]
            noise = s.lanes[NOISE, first:last]
            noise[:] = 0
            if sign != 0 and w.active[group]:
                counts[group, PERTURBATIONS] += last - first
                set_model_noise(p, x, s, m, w, plan, scales, group, t, sign, noise, statistics)
                if p.group[group, MODEL] != MODEL_LIF:
                    acc = s.lanes[ACC, first:last]
                    for k in range(last - first):
                        whole = shift_signed(np.int64(noise[k]), -INPUT_SHIFT)
                        acc[k] = np.int32(np.int64(acc[k]) + whole)
        event = event_start[first_row + t] if t < n_event_steps else 0
        for group in range(len(p.group)):
            if p.group[group, MODEL] != MODEL_INPUT:
                break  # inputs come first
            first, last = p.group[group, START], p.group[group, STOP]
            listed, found = w.spikes[t, x.first[group] : x.first[group] + last - first], w.n_spikes[t, group]
            spikes, value = s.lanes[SPIKES, first:last], m.work.value[first:last]
            for i in range(found):
                spikes[i] = listed[i]
                value[np.uint32(listed[i])] = m.event_value[event + i] if len(m.event_value) > 0 else 1
            event += found
            s.n_spikes[group] = found
        s.near[:] = 0
        update_all(p, s, counts)
        update_models(p, m.arrays, s, m.work, t + 1, counts)
        if sign == 0:
            note_step(p, x, s, m, w, plan, t)
    for o in range(plan.n_classes):
        w.last_v[x.first[plan.readout] + o] = s.lanes[V, p.group[plan.readout, START] + o]


@jit
def rest_models(s, m):
    """Set the state of one run to rest."""
    copy_into(s.lanes[U], m.arrays.rest[0])
    copy_into(s.lanes[V], m.arrays.rest[1])
    copy_into(m.work.extra[0], m.arrays.rest[2])
    copy_into(m.work.extra[1], m.arrays.rest[3])
    s.lanes[ACC, :] = 0
    m.work.value[:] = 0
    m.work.second[:] = 0
    m.work.ring[:] = 0
    s.n_spikes[:] = 0


@jit
def set_model_noise(p, x, s, m, w, plan, scales, group, t, sign, noise, statistics):
    """Add to a group's noise what the spikes of the step before give, times their values where they count."""
    n, lane = len(noise), x.first[group]
    exponent = scales.group[group, NOISE_EXP]
    first_rank = window(t, plan) if plan.factor == FACTOR_TRACE else 0
    last_rank = plan.rank if plan.factor != FACTOR_TRACE and plan.factor < FACTOR_FULL else first_rank + 1
    for rank in range(first_rank, last_rank):
        drive = np.int64(0)
        for c in range(len(plan.plastic) - 1):
            connection = plan.plastic[c, CONNECTION]
            if p.conn[connection, TARGET] != group:
                continue
            source = p.conn[connection, SOURCE]
            start, n_pre = p.group[source, START], p.group[source, STOP] - p.group[source, START]
            listed, value = s.lanes[SPIKES, start : start + n_pre], m.work.value[start : start + n_pre]
            factor = w.factor_b[rank, plan.plastic[c, FIRST_FACTOR] : plan.plastic[c + 1, FIRST_FACTOR]]
            for i in range(s.n_spikes[source]):
                j = np.int64(listed[i])
                sent = np.int64(value[j]) if plan.plastic[c, VALUES] else np.int64(1)
                if plan.factor < FACTOR_FULL:
                    drive += np.int64(factor[j]) * sent
                    continue
                row = w.full[plan.plastic[c, FIRST_VOTE] + j * n : plan.plastic[c, FIRST_VOTE] + (j + 1) * n]
                for k in range(n):
                    noise[k] = np.int32(np.int64(noise[k]) + np.int64(row[k]) * sent)
        if plan.factor >= FACTOR_FULL:
            size = np.int64(0)
            for k in range(n):
                size += abs(np.int64(noise[k]))
                noise[k] = np.int32(sign * shift_signed(np.int64(noise[k]), exponent))
            statistics[STAT_DRIVE, group] += size // n
            statistics[STAT_DRIVE_STEPS, group] += np.int64(size != 0)
            continue
        if drive == 0:
            continue
        statistics[STAT_DRIVE, group] += abs(drive)
        statistics[STAT_DRIVE_STEPS, group] += 1
        amplitude = np.int32(sign * shift_signed(drive, exponent))
        post = w.factor_a[rank, lane : lane + n]
        for k in range(n):
            noise[k] = np.int32(np.int64(noise[k]) + np.int64(amplitude) * np.int64(post[k]))


@jit
def note_step(p, x, s, m, w, plan, t):
    """Note of a step of the unperturbed run who came near its threshold, and count who fired into the traces."""
    near_window, heard = window(t, plan), window(t + 1, plan)
    for group in range(len(p.group)):
        start, lane = p.group[group, START], x.first[group]
        n = p.group[group, STOP] - start
        close, value = s.near[start : start + n], m.work.value[start : start + n]
        if p.group[group, MODEL] != MODEL_INPUT:
            came_near(p, s, m, group, start, n, close)
            near = w.near[near_window, lane // WORD : lane // WORD + (n + WORD - 1) // WORD]
            for k in range(n):
                near[k // WORD] |= np.uint64(close[k]) << np.uint64(k & 63)
        if t + 1 >= plan.n_steps:  # spikes of the last step are never delivered
            continue
        trace, sums = w.trace[heard, lane : lane + n], w.sums[heard, lane : lane + n]
        for i in range(s.n_spikes[group]):
            k = np.int64(s.lanes[SPIKES, start + i])
            if p.group[group, MODEL] != MODEL_INPUT:  # those of inputs are counted already
                trace[k] += 1
            sums[k] += np.int32(min(max(np.int64(value[k]), -TRACE_LIMIT), TRACE_LIMIT))


@jit
def came_near(p, s, m, group, start, n, close):
    """Set the flags of neurons that sent a message, or whose state now exceeds half of what it is compared with.

    Always those of models without a threshold. Plain LIF neurons were looked at before their reset, which is the same.
    """
    model, setting = p.group[group, MODEL], m.arrays.setting[group]
    if model == MODEL_LIF:
        return
    if model == MODEL_SIGMA:
        close[:] = 1
        return
    one, two = s.lanes[U, start : start + n], s.lanes[V, start : start + n]
    three, four = m.work.extra[0, start : start + n], m.work.extra[1, start : start + n]
    value, param = m.work.value[start : start + n], m.arrays.param[:, start : start + n]
    for k in range(n):
        state, high = np.int64(two[k]), np.int64(setting[VTH])
        low = np.int64(NO_LOWER)
        if model == MODEL_LIF_EACH or model == MODEL_TERNARY or model == MODEL_MULTISPIKE:
            high = np.int64(param[PARAM_HIGH, k])
            if model == MODEL_TERNARY:
                low = np.int64(param[PARAM_LOW, k])
            elif model == MODEL_MULTISPIKE and setting[FLOOR] != 0:
                low = -high
        elif model == MODEL_DELTA or model == MODEL_SIGMA_DELTA:
            residue = np.int64(two[k]) if model == MODEL_DELTA else np.int64(three[k])
            error = np.int64(three[k]) if model == MODEL_DELTA else np.int64(four[k])
            state = abs(error if setting[CUMULATIVE] != 0 else residue)
        elif model == MODEL_ATRLIF:
            state, high = i32(np.int64(two[k]) - np.int64(four[k])), np.int64(three[k])
        elif model == MODEL_RESONATE:
            state = np.int64(one[k])
        has_state = model != MODEL_PRODUCT and model != MODEL_GRADED
        beyond = state > high >> 1 or state < -(-low >> 1)
        close[k] = np.uint8(value[k] != 0 or (has_state and beyond))
