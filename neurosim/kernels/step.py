"""One time step: walk the program's operations over one sample's state."""

import numpy as np

from neurosim.codes import (
    ACC,
    CURRENT,
    EXPONENT,
    FORMAT,
    FORMAT_DENSE8,
    FORMAT_DENSE16,
    HALF,
    KEEP_U,
    KEEP_V,
    MODEL,
    MODEL_INPUT,
    MODEL_LIF,
    NOISE,
    OFFSET,
    OP_DELIVER,
    SHIFT,
    SOURCE,
    SPIKES,
    START,
    STOP,
    TARGET,
    THRESHOLD,
    TOTAL,
    U,
    V,
)
from neurosim.counters import (
    MESSAGES,
    NEURON_UPDATES_ACTIVE,
    NEURON_UPDATES_IDLE,
    OVERFLOW_ACCUMULATOR,
    OVERFLOW_U,
    SATURATION_V,
    SYNAPTIC_OPERATIONS,
)
from neurosim.counters import SPIKES as N_FIRED
from neurosim.kernels.deliver import add_scaled, sum_csr, sum_dense8, sum_dense16
from neurosim.kernels.jit import jit
from neurosim.kernels.neuron import list_fired, scale_input, update_lif

N_ROUTE = 4


@jit
def deliver_all(p, s, first_op, last_op, counts):
    """Walk a range of operations: add the weights of the sources that fired in the step before."""
    for i in range(first_op, last_op):
        connection = p.ops[i, 1]
        source, target = p.conn[connection, SOURCE], p.conn[connection, TARGET]
        n_spikes = s.n_spikes[source]
        if p.ops[i, 0] != OP_DELIVER or n_spikes == 0:
            continue
        sources = s.lanes[SPIKES, p.group[source, START] : p.group[source, STOP]]
        first, last = p.group[target, START], p.group[target, STOP]
        n_post = last - first
        offset, total = p.conn[connection, OFFSET], s.lanes[TOTAL]
        n_synapses = n_spikes * n_post
        if p.conn[connection, FORMAT] == FORMAT_DENSE8:
            sum_dense8(p.dense8, offset, n_post, sources, n_spikes, total, s.sum16)
        elif p.conn[connection, FORMAT] == FORMAT_DENSE16:
            sum_dense16(p.dense16, offset, n_post, sources, n_spikes, total)
        else:
            n_synapses = sum_csr(p.csr_start, p.csr_target, p.csr_weight, offset, n_post, sources, n_spikes, total)
        add_scaled(total, p.conn[connection, SHIFT] + p.conn[connection, EXPONENT], s.lanes[ACC, first:last])
        counts[len(p.group) + connection, SYNAPTIC_OPERATIONS] += n_synapses


@jit
def update_all(p, s, counts):
    """Advance every group of plain LIF neurons by one step and list who fired."""
    for group in range(len(p.group)):
        if p.group[group, MODEL] != MODEL_LIF:
            continue  # other models: `neurosim.kernels.run_models`
        first, last = p.group[group, START], p.group[group, STOP]
        current = s.lanes[CURRENT, first:last]
        n_over = scale_input(s.lanes[ACC, first:last], s.lanes[NOISE, first:last], current)
        n_active, n_corrected, n_saturated, n_fired = update_lif(
            current, s.lanes[U, first:last], s.lanes[V, first:last], p.bias[first:last], p.group[group, KEEP_U],
            p.group[group, KEEP_V], p.group[group, THRESHOLD], p.group[group, HALF], s.fired, s.near[first:last],
        )  # fmt: skip
        list_fired(s.fired64, s.fired, last - first, n_fired, s.lanes[SPIKES, first:last])
        s.n_spikes[group] = n_fired
        counts[group, NEURON_UPDATES_ACTIVE] += n_active
        counts[group, NEURON_UPDATES_IDLE] += last - first - n_active
        counts[group, OVERFLOW_ACCUMULATOR] += n_over
        counts[group, OVERFLOW_U] += n_corrected
        counts[group, SATURATION_V] += n_saturated
        note_spikes(p, s, group)


@jit
def load_inputs(p, s, neuron, first_event, last_event):
    """List the input spikes of a step for each input group; events ascend over all inputs."""
    event = first_event
    for group in range(len(p.group)):
        if p.group[group, MODEL] != MODEL_INPUT:
            break  # inputs come first
        start, stop = p.group[group, START], p.group[group, STOP]
        found = 0
        while event < last_event and neuron[event] < stop:
            s.lanes[SPIKES, start + found] = neuron[event] - start
            found += 1
            event += 1
        s.n_spikes[group] = found
        note_spikes(p, s, group)


@jit
def note_spikes(p, s, group):
    """Remember who fired; `count_spikes` turns it into counts when the run is over."""
    first = p.group[group, START]
    for i in range(s.n_spikes[group]):
        s.sent[first + s.lanes[SPIKES, first + i]] += 1


@jit
def count_spikes(p, s, runs_of_inputs, counts):
    """Count all spikes noted so far, and what they sent to cores; then forget them.

    Parameters
    ----------
    runs_of_inputs : int
        Runs that shared each noted input spike.
    """
    for group in range(len(p.group)):
        runs = runs_of_inputs if p.group[group, MODEL] == MODEL_INPUT else 1
        for neuron in range(p.group[group, START], p.group[group, STOP]):
            n_spikes = runs * s.sent[neuron]
            if n_spikes != 0:
                counts[group, N_FIRED] += n_spikes
                for column in range(N_ROUTE):
                    counts[group, MESSAGES + column] += n_spikes * np.int64(p.route[neuron, column])
    s.sent[:] = 0
