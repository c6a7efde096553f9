"""One time step: walk the program's operations over one sample's state."""

import numpy as np

from neurosim.codes import (
    ACC,
    ALIKE,
    EVERYONE,
    EXPONENT,
    FAN_OUT,
    FORMAT,
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
from neurosim.kernels.deliver import count_synapses, deliver
from neurosim.kernels.jit import jit
from neurosim.kernels.lanes import advance, list_set

N_ROUTE = 7  # columns of p.route, in the order of their counters


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
        scale = p.conn[connection, SHIFT] + p.conn[connection, EXPONENT]
        deliver(
            p, p.conn[connection, FORMAT], p.conn[connection, OFFSET], scale, sources, n_spikes,
            s.lanes[ACC, first:last], s.lanes[TOTAL],
        )  # fmt: skip
        fan_out = p.conn[connection, FAN_OUT]
        if fan_out == EVERYONE:
            n_synapses = n_spikes * (last - first)
        else:
            n_synapses = count_synapses(p.csr_start, fan_out, sources, n_spikes)
        counts[len(p.group) + connection, SYNAPTIC_OPERATIONS] += n_synapses


@jit
def update_all(p, s, counts):
    """Advance every group of plain LIF neurons by one step and list who fired."""
    for group in range(len(p.group)):
        if p.group[group, MODEL] != MODEL_LIF:
            continue  # other models: `neurosim.kernels.run_models`
        first, last = p.group[group, START], p.group[group, STOP]
        advance(
            last - first, s.lanes[ACC, first:last], s.lanes[NOISE, first:last], s.lanes[U, first:last],
            s.lanes[V, first:last], p.bias[first:last], p.group[group, KEEP_U], p.group[group, KEEP_V], p.group[group, THRESHOLD],
            p.group[group, HALF], s.fired, s.near[first:last], s.counted,
        )  # fmt: skip
        s.n_spikes[group] = list_set(s.fired, last - first, s.lanes[SPIKES, first:last])
        counts[group, NEURON_UPDATES_ACTIVE] += s.counted[1]
        counts[group, NEURON_UPDATES_IDLE] += last - first - s.counted[1]
        counts[group, OVERFLOW_ACCUMULATOR] += s.counted[0]
        counts[group, OVERFLOW_U] += s.counted[2]
        counts[group, SATURATION_V] += s.counted[3]
        note_spikes(p, s, group)


@jit
def load_inputs(p, s, neuron, first_event, last_event):
    """List the input spikes of a step for each input group; events ascend over all inputs."""
    event = first_event
    for group in range(len(p.group)):
        if p.group[group, MODEL] != MODEL_INPUT:
            break  # inputs come first
        start, stop = p.group[group, START], p.group[group, STOP]
        end = last_event
        while end > event and neuron[end - 1] >= stop:  # spikes of later inputs
            end -= 1
        found = end - event
        mine, listed = neuron[event:end], s.lanes[SPIKES, start : start + found]
        for i in range(found):
            listed[i] = np.int32(np.int64(mine[i]) - start)
        event = end
        s.n_spikes[group] = found
        note_spikes(p, s, group)


@jit
def note_spikes(p, s, group):
    """Remember who fired; `count_spikes` turns it into counts when the run is over.

    Where all neurons of a group send alike, the first one answers for all.
    """
    if p.group[group, ALIKE] != 0:
        s.sent[p.group[group, START]] += s.n_spikes[group]
        return
    sent = s.sent[p.group[group, START] : p.group[group, STOP]]
    listed = s.lanes[SPIKES, p.group[group, START] : p.group[group, STOP]]
    for i in range(s.n_spikes[group]):
        sent[np.uint32(listed[i])] += 1  # unsigned: no index counts from the end


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
