"""Run a block of samples through many steps, recording what is probed."""

from neurosim.codes import ACC, OP_DELIVER, PROBE_SPIKES, PROBE_U, SPIKES, START, STOP, U, V
from neurosim.kernels.arith import copy_into
from neurosim.kernels.jit import jit
from neurosim.kernels.step import count_spikes, deliver_all, load_inputs, update_all


@jit
def run_samples(
    p, s, event_start, event_neuron, n_event_steps, n_steps, first_sample, last_sample,
    state_u, state_v, state_fired, probes, trace, spike_step, spike_neuron, spike_sample, counts,
):  # fmt: skip
    """Run samples ``first_sample..last_sample - 1``, each from its row of the state.

    Parameters
    ----------
    p, s : ProgramArrays, Scratch
        Lane NOISE of the scratch must be zero.
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
    counts : (rows, N_COUNTERS) int64
        Added to.

    Returns
    -------
    n_recorded : int
        Spikes that the probes saw. If it exceeds the capacity the rest was dropped: run again with more room.
    """
    n_delivers = 0
    while n_delivers < len(p.ops) and p.ops[n_delivers, 0] == OP_DELIVER:
        n_delivers += 1
    recorded = 0
    s.sent[:] = 0
    for sample in range(first_sample, last_sample):
        load_state(p, s, state_u[sample], state_v[sample], state_fired[sample])
        for t in range(n_steps):
            deliver_all(p, s, 0, n_delivers, counts)
            row = sample * n_event_steps + t
            first_event = event_start[row] if t < n_event_steps else 0
            last_event = event_start[row + 1] if t < n_event_steps else 0
            load_inputs(p, s, event_neuron, first_event, last_event)
            update_all(p, s, counts)
            for i in range(len(probes)):
                group, column = probes[i, 0], probes[i, 2]
                first, last = p.group[group, START], p.group[group, STOP]
                if probes[i, 1] == PROBE_SPIKES:
                    for k in range(s.n_spikes[group]):
                        if recorded < len(spike_step):
                            spike_step[recorded] = t
                            spike_neuron[recorded] = first + s.lanes[SPIKES, first + k]
                            spike_sample[recorded] = sample
                        recorded += 1
                else:
                    lane = U if probes[i, 1] == PROBE_U else V
                    copy_into(trace[sample, t, column : column + last - first], s.lanes[lane, first:last])
        store_state(p, s, state_u[sample], state_v[sample], state_fired[sample])
    count_spikes(p, s, 1, counts)
    return recorded


@jit
def load_state(p, s, u, v, fired):
    """Copy one sample's state into the scratch and list its undelivered spikes."""
    copy_into(s.lanes[U], u)
    copy_into(s.lanes[V], v)
    s.lanes[ACC, :] = 0
    for group in range(len(p.group)):
        first, last = p.group[group, START], p.group[group, STOP]
        found = 0
        for k in range(first, last):
            if fired[k]:
                s.lanes[SPIKES, first + found] = k - first
                found += 1
        s.n_spikes[group] = found


@jit
def store_state(p, s, u, v, fired):
    """Copy the scratch back into one sample's state."""
    copy_into(u, s.lanes[U])
    copy_into(v, s.lanes[V])
    fired[:] = False
    for group in range(len(p.group)):
        first = p.group[group, START]
        for i in range(s.n_spikes[group]):
            fired[first + s.lanes[SPIKES, first + i]] = True
