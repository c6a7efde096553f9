"""Run a network step by step, as one in which spikes run in circles must be."""

import numpy as np

from neurosim.codes import (
    FACTOR_FULL,
    KEEP_U,
    KEEP_V,
    MODEL,
    MODEL_INPUT,
    SOURCE,
    START,
    STOP,
)
from neurosim.counters import PERTURBATIONS
from neurosim.kernels.arith import copy_into
from neurosim.kernels.jit import jit
from neurosim.kernels.lanes import advance_each, list_set
from neurosim.kernels.layerwise import (
    WORD,
    count_updates,
    deliver_steps,
    note_spikes,
    set_full_noise,
    set_noise,
    trace_spikes,
    window,
)


@jit
def run_steps(p, x, s, w, plan, scales, sign, statistics, counts):
    """Run the network from rest; as `neurosim.kernels.layerwise.run_layers`, for any network.

    s : Scratch
        Lanes U and V, and the flags of the group being updated.
    """
    n_lanes = len(x.valid)
    w.u[:] = 0
    w.last_v[:] = 0
    for t in range(plan.n_steps):
        for phase in range(2):  # what inputs send, which all members share; then what neurons send
            for group in range(len(p.group)):
                here, n = t * n_lanes + x.first[group], p.group[group, STOP] - p.group[group, START]
                if phase == 0 and sign == 0:
                    w.base[here : here + n] = 0
                if phase == 1:
                    copy_into(w.acc[here : here + n], w.base[here : here + n])
            for connection in range(len(p.conn)):
                from_input = p.group[p.conn[connection, SOURCE], MODEL] == MODEL_INPUT
                if from_input == (phase == 0) and (phase == 1 or sign == 0):
                    target = w.base if phase == 0 else w.acc
                    deliver_steps(p, x, None, w, connection, t, t + 1, target, counts)
        for group in range(len(p.group)):
            if p.group[group, MODEL] == MODEL_INPUT:
                continue
            start, lane = p.group[group, START], x.first[group]
            n = p.group[group, STOP] - start
            here = t * n_lanes + lane
            noise = w.noise[here : here + n]
            if sign != 0 and w.active[group]:
                counts[group, PERTURBATIONS] += n
                if plan.factor >= FACTOR_FULL:
                    set_full_noise(p, x, w, plan, scales, group, t, t + 1, sign, statistics)
                else:
                    set_noise(p, x, w, plan, scales, group, t, t + 1, sign, True, statistics)
            else:
                noise[:] = 0
            close = s.near[start : start + n]
            close[:] = 0
            advance_each(
                n, w.acc[here : here + n], noise, w.u[lane : lane + n], w.last_v[lane : lane + n],
                x.bias[lane : lane + n], p.group[group, KEEP_U], p.group[group, KEEP_V], x.threshold[lane : lane + n],
                x.half[lane : lane + n], s.fired, close, s.counted,
            )  # fmt: skip
            count_updates(group, n, s.counted, counts)
            if plan.goal.voltages:
                copy_into(w.voltage[here : here + n], w.last_v[lane : lane + n])
            w.n_spikes[t, group] = list_set(s.fired, n, w.spikes[t, lane : lane + n])
            if sign == 0:
                near = w.near[window(t, plan), lane // WORD : lane // WORD + (n + WORD - 1) // WORD]
                for k in range(n):
                    near[k // WORD] |= np.uint64(close[k]) << np.uint64(k & 63)
        for group in range(len(p.group)):
            if p.group[group, MODEL] != MODEL_INPUT:
                lane, n = x.first[group], p.group[group, STOP] - p.group[group, START]
                note_spikes(p, w, group, w.spikes[t, lane : lane + n], w.n_spikes[t, group], 1)
                if sign == 0:
                    trace_spikes(p, x, w, plan, group, t)
