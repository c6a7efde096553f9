"""One time step: walk the program's operations over one sample's state."""

import numpy as np

from neurosim.kernels.deliver import add_scaled, sum_csr, sum_dense8, sum_dense16
from neurosim.kernels.jit import jit
from neurosim.kernels.neuron import list_fired, scale_input, update_lif

# Columns of the count matrix and codes of the program, as in `neurosim.counters` and `neurosim.program`
# (kernels import neither; `tests/kernels/test_step.py` compares them).
SYNAPTIC_OPERATIONS, ACTIVE, IDLE, SPIKES, MESSAGES = 0, 1, 2, 3, 4
OVERFLOW_ACCUMULATOR, OVERFLOW_U, SATURATION_V = 8, 9, 10
PERTURBATIONS = 12
N_ROUTE = 4
MODEL_INPUT = 0
DENSE8, DENSE16 = 0, 1
DELIVER = 0


@jit
def deliver(p, s, connection, counts):
    """Add one connection's weights from the sources that fired in the step before to its targets' accumulators."""
    source, target = p.conn_source[connection], p.conn_target[connection]
    n_spikes = s.n_spikes[source]
    if n_spikes == 0:
        return
    sources = s.spikes[p.group_start[source] : p.group_start[source + 1]]
    first, last = p.group_start[target], p.group_start[target + 1]
    n_post = last - first
    offset = p.conn_offset[connection]
    if p.conn_format[connection] == DENSE8:
        sum_dense8(p.dense8, offset, n_post, sources, n_spikes, s.total, s.sum16)
        n_synapses = n_spikes * n_post
    elif p.conn_format[connection] == DENSE16:
        sum_dense16(p.dense16, offset, n_post, sources, n_spikes, s.total)
        n_synapses = n_spikes * n_post
    else:
        n_synapses = sum_csr(p.csr_start, p.csr_target, p.csr_weight, offset, n_post, sources, n_spikes, s.total)
    add_scaled(s.total, p.conn_shift[connection], p.conn_exp[connection], s.acc[first:last])
    counts[len(p.group_model) + connection, SYNAPTIC_OPERATIONS] += n_synapses


@jit
def count_spikes(p, s, group, counts):
    """Count the spikes of a group and what each of them sends to other cores."""
    first = p.group_start[group]
    n_spikes = s.n_spikes[group]
    counts[group, SPIKES] += n_spikes
    for i in range(n_spikes):
        neuron = first + s.spikes[first + i]
        for column in range(N_ROUTE):
            counts[group, MESSAGES + column] += p.route[neuron, column]


@jit
def update(p, s, group, half, perturbed, counts):
    """Advance one group of neurons and list who fired."""
    first, last = p.group_start[group], p.group_start[group + 1]
    n = last - first
    current = s.current[first:last]
    n_over = scale_input(s.acc[first:last], current)
    if perturbed:
        noise = s.noise[first:last]
        for k in range(n):
            current[k] = np.int32(np.int64(current[k]) + noise[k])
        counts[group, PERTURBATIONS] += n
    n_active, n_corrected, n_saturated, n_fired = update_lif(
        current, s.u[first:last], s.v[first:last], p.bias[first:last], p.keep_u[group], p.keep_v[group],
        p.threshold[group], half[group], s.fired, s.near[first:last],
    )  # fmt: skip
    list_fired(s.fired64, s.fired, n, n_fired, s.spikes[first:last])
    s.n_spikes[group] = n_fired
    counts[group, ACTIVE] += n_active
    counts[group, IDLE] += n - n_active
    counts[group, OVERFLOW_ACCUMULATOR] += n_over
    counts[group, OVERFLOW_U] += n_corrected
    counts[group, SATURATION_V] += n_saturated
    count_spikes(p, s, group, counts)


@jit
def load_inputs(p, s, neuron, first_event, last_event, counts):
    """List the input spikes of a step for each input group; events ascend over all inputs."""
    event = first_event
    for group in range(len(p.group_model)):
        if p.group_model[group] != MODEL_INPUT:
            break  # inputs come first
        start, stop = p.group_start[group], p.group_start[group + 1]
        found = 0
        while event < last_event and neuron[event] < stop:
            s.spikes[start + found] = neuron[event] - start
            found += 1
            event += 1
        s.n_spikes[group] = found
        count_spikes(p, s, group, counts)


@jit
def deliver_all(p, s, first_op, last_op, counts):
    """Walk the delivering operations in a range of the program."""
    for i in range(first_op, last_op):
        if p.ops[i, 0] == DELIVER:
            deliver(p, s, p.ops[i, 1], counts)


@jit
def update_all(p, s, half, perturbed, counts):
    """Walk the updating operations; ``perturbed`` (G,) uint8 says where ``s.noise`` counts."""
    for i in range(len(p.ops)):
        if p.ops[i, 0] != DELIVER:
            update(p, s, p.ops[i, 1], half, perturbed[p.ops[i, 1]] != 0, counts)
