"""The loop over samples and steps: what it records, and what it does when the room for spikes ends."""

import numpy as np
import pytest
from random_networks import random_events, random_network

from neurosim.codes import PROBE_SPIKES, PROBE_V
from neurosim.compile_network import compile
from neurosim.counters import N_COUNTERS, SPIKES
from neurosim.kernels.run import run_samples
from neurosim.program import rest_state
from neurosim.scratch import make_scratch

N_SAMPLES, N_STEPS = 3, 7


def run_kernel(capacity: int, first: int = 0, last: int = N_SAMPLES):
    """Run a random network with the spikes of every group and v of group 3 probed."""
    network = random_network(21, 2, 3)
    program, events = compile(network, "unlimited"), random_events(21, N_SAMPLES, N_STEPS, network.n_inputs)
    n_groups, n = len(program.group_names), network.ordered_groups[3].n
    probes = np.array([(3, PROBE_V, 1), *((g, PROBE_SPIKES, 0) for g in range(n_groups))], np.int64)
    trace = np.full((N_SAMPLES, N_STEPS, n + 2), -7, np.int32)
    step, neuron, sample = (np.full(capacity, -7, np.int32) for _ in range(3))
    counts, state = np.zeros((len(program.rows), N_COUNTERS), np.int64), rest_state(program, N_SAMPLES)
    with np.errstate(over="ignore"):
        n_recorded = run_samples(
            program.arrays, make_scratch(program.arrays), events.start, events.neuron, events.n_steps, N_STEPS,
            first, last, state.u, state.v, state.fired, probes, trace, step, neuron, sample, counts,
        )  # fmt: skip
    return n_recorded, trace, np.stack([sample, step, neuron], axis=1), counts, state


def test_all_spikes_are_recorded_in_order() -> None:
    n, _, spikes, counts, _ = run_kernel(10_000)
    assert n == counts[:, SPIKES].sum() > 50
    kept = [tuple(row) for row in spikes[:n].tolist()]
    assert kept == sorted(kept)
    assert (spikes[n:] == -7).all()


@pytest.mark.parametrize("capacity", [0, 1, 40])
def test_a_full_buffer_drops_the_rest_and_tells_how_many_there_were(capacity: int) -> None:
    n, trace, spikes, counts, state = run_kernel(10_000)
    m, other_trace, first_spikes, other_counts, other_state = run_kernel(capacity)
    assert m == n > capacity
    np.testing.assert_array_equal(first_spikes, spikes[:capacity])
    np.testing.assert_array_equal(trace, other_trace)
    np.testing.assert_array_equal(counts, other_counts)
    for part, other in zip(state, other_state, strict=True):
        np.testing.assert_array_equal(part, other)


def test_only_the_block_of_samples_and_the_probed_columns_are_written() -> None:
    _, whole, _, _, states = run_kernel(10_000)
    _, trace, spikes, _, state = run_kernel(10_000, 1, 2)
    assert (trace[[0, 2]] == -7).all()
    assert (trace[:, :, [0, -1]] == -7).all()
    np.testing.assert_array_equal(trace[1], whole[1])
    assert not any(part[[0, 2]].any() for part in state)
    for part, other in zip(state, states, strict=True):
        np.testing.assert_array_equal(part[1], other[1])
    assert set(spikes[spikes[:, 0] >= 0, 0].tolist()) == {1}
