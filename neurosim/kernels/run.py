"""Run a block of samples through many steps, recording what is probed."""

from neurosim.kernels.arith import copy_into
from neurosim.kernels.jit import jit
from neurosim.kernels.step import deliver_all, load_inputs, update_all

PROBE_SPIKES, PROBE_U, PROBE_V = 0, 1, 2


@jit
def run_samples(
    p, s, event_start, event_neuron, n_event_steps, n_steps, first_sample, last_sample,
    state_u, state_v, state_fired, probes, trace, spike_step, spike_neuron, spike_sample, half, counts,
):  # fmt: skip
    """Run samples ``first_sample..last_sample - 1``, each from its row of the state.

    Parameters
    ----------
    p, s : ProgramArrays, Scratch
    event_start, event_neuron, n_event_steps
        Input spikes, see `neurosim.events.Events`.
    state_u, state_v : (n_samples, N) int32
        Read at the start, written at the end.
    state_fired : (n_samples, N) bool
        Spikes still to be delivered; read at the start, written at the end.
    probes : (n_probes, 3) int64
        Group, PROBE_*, and for u and v the first column in `trace`.
    trace : (n_samples, n_steps, n_columns) int32
        Written: probed u and v after each step.
    spike_step, spike_neuron, spike_sample : (capacity,) int32
        Written: probed spikes in order; neurons in the program's numbering.
    half : (G,) int32
        Levels for `update_lif`'s near flags.
    counts : (rows, N_COUNTERS) int64
        Added to.

    Returns
    -------
    n_recorded : int
        Spikes that the probes saw. If it exceeds the capacity the rest was dropped: run again with more room.
    """
    recorded = 0
    for sample in range(first_sample, last_sample):
        load_state(p, s, state_u[sample], state_v[sample], state_fired[sample])
        for t in range(n_steps):
            deliver_all(p, s, 0, len(p.ops), counts)
            base = sample * n_event_steps + t
            if t < n_event_steps:
                load_inputs(p, s, event_neuron, event_start[base], event_start[base + 1], counts)
            else:
                load_inputs(p, s, event_neuron, 0, 0, counts)
            update_all(p, s, half, s.quiet, counts)
            for i in range(len(probes)):
                group, column = probes[i, 0], probes[i, 2]
                first, last = p.group_start[group], p.group_start[group + 1]
                if probes[i, 1] == PROBE_SPIKES:
                    for k in range(s.n_spikes[group]):
                        if recorded < len(spike_step):
                            spike_step[recorded] = t
                            spike_neuron[recorded] = first + s.spikes[first + k]
                            spike_sample[recorded] = sample
                        recorded += 1
                elif probes[i, 1] == PROBE_U:
                    copy_into(trace[sample, t, column : column + last - first], s.u[first:last])
                else:
                    copy_into(trace[sample, t, column : column + last - first], s.v[first:last])
        store_state(p, s, state_u[sample], state_v[sample], state_fired[sample])
    return recorded


@jit
def load_state(p, s, u, v, fired):
    """Copy one sample's state into the scratch and list its undelivered spikes."""
    copy_into(s.u, u)
    copy_into(s.v, v)
    s.acc[:] = 0
    for group in range(len(p.group_model)):
        first, last = p.group_start[group], p.group_start[group + 1]
        found = 0
        for k in range(first, last):
            if fired[k]:
                s.spikes[first + found] = k - first
                found += 1
        s.n_spikes[group] = found


@jit
def store_state(p, s, u, v, fired):
    """Copy the scratch back into one sample's state."""
    copy_into(u, s.u)
    copy_into(v, s.v)
    fired[:] = False
    for group in range(len(p.group_model)):
        first = p.group_start[group]
        for i in range(s.n_spikes[group]):
            fired[first + s.spikes[first + i]] = True
