"""Run samples of programs with other models than LIF, or with links; twin: `neurosim.reference.run`."""

import numpy as np

from neurosim.codes import (
    ACC,
    MODEL,
    MODEL_ATRLIF,
    MODEL_DELTA,
    MODEL_GRADED,
    MODEL_INPUT,
    MODEL_LIF,
    MODEL_LIF_EACH,
    MODEL_MULTISPIKE,
    MODEL_PRODUCT,
    MODEL_SIGMA,
    MODEL_SIGMA_DELTA,
    MODEL_TERNARY,
    OP_DELIVER,
    PROBE_SPIKES,
    PROBE_THIRD,
    PROBE_U,
    SPIKES,
    START,
    STOP,
    U,
    V,
)
from neurosim.counters import (
    NEURON_UPDATES_ACTIVE,
    NEURON_UPDATES_IDLE,
    OVERFLOW_ACCUMULATOR,
    OVERFLOW_U,
    SATURATION_V,
)
from neurosim.kernels.arith import copy_into
from neurosim.kernels.jit import jit
from neurosim.kernels.links import deliver_links
from neurosim.kernels.models import (
    update_atrlif,
    update_delta,
    update_graded,
    update_lif_family,
    update_product,
    update_resonate,
    update_sigma,
    update_sigma_delta,
)
from neurosim.kernels.run import load_state, store_state
from neurosim.kernels.step import count_spikes, deliver_all, load_inputs, note_spikes, update_all


@jit
def run_model_samples(
    p, m, s, w, event_start, event_neuron, event_value, n_event_steps, n_steps, first_sample, last_sample,
    state_u, state_v, state_fired, state_more, probes, trace, spike_step, spike_neuron, spike_value, spike_sample, counts,
):  # fmt: skip
    """Run samples ``first_sample..last_sample - 1``; arguments as in `neurosim.kernels.run.run_samples`, and:

    m, w : ModelArrays, ModelScratch
    event_value : (n_events,) or (0,) int32
        Values of the input spikes; all 1 if empty.
    state_more : (n_samples, M) int32
        See `neurosim.program.State`.
    spike_value : (capacity,) int32
        Written: values of the probed spikes.
    """
    n_delivers = 0
    while n_delivers < len(p.ops) and p.ops[n_delivers, 0] == OP_DELIVER:
        n_delivers += 1
    recorded = 0
    n = len(p.bias)
    s.sent[:] = 0
    w.second[:] = 0
    for sample in range(first_sample, last_sample):
        more = state_more[sample]
        load_state(p, s, state_u[sample], state_v[sample], state_fired[sample])
        copy_into(w.extra[0], more[1 : 1 + n])
        copy_into(w.extra[1], more[1 + n : 1 + 2 * n])
        copy_into(w.value, more[1 + 2 * n : 1 + 3 * n])
        copy_into(w.ring, more[1 + 3 * n :])
        done = np.int64(more[0])
        for t in range(n_steps):
            deliver_all(p, s, 0, n_delivers, counts)
            deliver_links(p, m, s, w, done + t, counts)
            row = sample * n_event_steps + t
            first_event = event_start[row] if t < n_event_steps else 0
            last_event = event_start[row + 1] if t < n_event_steps else 0
            load_inputs(p, s, event_neuron, first_event, last_event)
            for e in range(first_event, last_event):
                w.value[event_neuron[e]] = event_value[e] if len(event_value) > 0 else 1
            update_all(p, s, counts)
            update_models(p, m, s, w, done + t + 1, counts)
            for i in range(len(probes)):
                group, what, column = probes[i, 0], probes[i, 1], probes[i, 2]
                first, last = p.group[group, START], p.group[group, STOP]
                if what == PROBE_SPIKES:
                    for k in range(s.n_spikes[group]):
                        if recorded < len(spike_step):
                            neuron = first + s.lanes[SPIKES, first + k]
                            spike_step[recorded] = t
                            spike_neuron[recorded] = neuron
                            spike_value[recorded] = w.value[neuron]
                            spike_sample[recorded] = sample
                        recorded += 1
                elif what < PROBE_THIRD:
                    lane = U if what == PROBE_U else V
                    copy_into(trace[sample, t, column : column + last - first], s.lanes[lane, first:last])
                else:
                    copy_into(trace[sample, t, column : column + last - first], w.extra[what - PROBE_THIRD, first:last])
        store_state(p, s, state_u[sample], state_v[sample], state_fired[sample])
        copy_into(more[1 : 1 + n], w.extra[0])
        copy_into(more[1 + n : 1 + 2 * n], w.extra[1])
        for k in range(n):
            more[1 + 2 * n + k] = w.value[k] if state_fired[sample, k] else 0
        copy_into(more[1 + 3 * n :], w.ring)
        more[0] = np.int32(done + n_steps)
    count_spikes(p, s, 1, counts)
    return recorded


@jit
def update_models(p, m, s, w, t, counts):
    """Advance every group that `update_all` left: all models but plain LIF; t is the step counted from 1."""
    for group in range(len(p.group)):
        model = p.group[group, MODEL]
        if model == MODEL_INPUT:
            continue
        first, last = p.group[group, START], p.group[group, STOP]
        value = w.value[first:last]
        if model == MODEL_LIF:
            value[:] = 1  # read only where a neuron fired
            continue
        setting, acc, second = m.setting[group], s.lanes[ACC, first:last], w.second[first:last]
        one, two = s.lanes[U, first:last], s.lanes[V, first:last]
        three, four = w.extra[0, first:last], w.extra[1, first:last]
        bias = p.bias[first:last]
        n_active, n_over, n_corrected, n_saturated = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        if model == MODEL_LIF_EACH or model == MODEL_TERNARY or model == MODEL_MULTISPIKE:
            n_active, n_over, n_corrected, n_saturated = update_lif_family(
                model, setting, m.param[:, first:last], t, acc, one, two, three, bias, value
            )
        elif model == MODEL_SIGMA:
            n_active = update_sigma(acc, one, value)
        elif model == MODEL_DELTA:
            n_active = update_delta(setting, acc, one, two, three, value)
        elif model == MODEL_SIGMA_DELTA:
            n_active = update_sigma_delta(setting, acc, one, two, three, four, bias, value)
        elif model == MODEL_PRODUCT:
            n_active = update_product(setting, acc, second, value)
        elif model == MODEL_GRADED:
            n_active = update_graded(setting, acc, value)
        elif model == MODEL_ATRLIF:
            n_active, n_over, n_corrected, n_saturated = update_atrlif(setting, acc, one, two, three, four, bias, value)
        else:
            n_active, n_saturated = update_resonate(model, setting, acc, second, one, two, value)
        found = 0
        for k in range(last - first):
            s.lanes[SPIKES, first + found] = k
            found += np.int64(value[k] != 0)
        s.n_spikes[group] = found
        counts[group, NEURON_UPDATES_ACTIVE] += n_active
        counts[group, NEURON_UPDATES_IDLE] += last - first - n_active
        counts[group, OVERFLOW_ACCUMULATOR] += n_over
        counts[group, OVERFLOW_U] += n_corrected
        counts[group, SATURATION_V] += n_saturated
        note_spikes(p, s, group)
