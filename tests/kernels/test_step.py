"""One time step on packed arrays equals one step of the twin, which reads the network's description."""

import numpy as np
import pytest
from random_networks import random_network

from neurosim.codes import ACC, OP_DELIVER, SPIKES, U, V
from neurosim.compile_network import compile
from neurosim.counters import COLUMN, N_COUNTERS
from neurosim.kernels.run import load_state, store_state
from neurosim.kernels.step import count_spikes, deliver_all, load_inputs, update_all
from neurosim.mapping.layout import ROUTE_COLUMNS
from neurosim.program import Program, State
from neurosim.reference.run import Chip
from neurosim.scratch import make_scratch


@pytest.fixture(autouse=True)
def quiet_wrap():
    """Registers wrap on purpose; without compilation numpy warns."""
    with np.errstate(over="ignore"):
        yield


def random_state(rng: np.random.Generator, program: Program) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return u, v and undelivered spikes; inputs have no u and v."""
    n, n_inputs = program.network.n_neurons, program.network.n_inputs
    u, v = rng.integers(-(2**23) + 1, 2**23 + 1, n), rng.integers(-(2**23) + 1, 2**23, n)
    u[:n_inputs] = v[:n_inputs] = 0
    return u.astype(np.int32), v.astype(np.int32), rng.random(n) < 0.4


@pytest.mark.parametrize("seed", range(12))
def test_a_step_from_any_state_equals_the_twin(seed: int) -> None:
    network = random_network(seed, 3, 3, largest=40)
    program, rng = compile(network, "loihi1"), np.random.default_rng(seed)
    p, s = program.arrays, make_scratch(program.arrays)
    n_delivers = int((p.ops[:, 0] == OP_DELIVER).sum())
    counts = np.zeros((len(program.rows), N_COUNTERS), np.int64)
    chip = Chip(program)
    for _ in range(3):
        u, v, fired = random_state(rng, program)
        inputs = rng.random(network.n_inputs) < 0.5
        events = np.nonzero(inputs)[0].astype(np.int32)
        chip.load(State(u, v, fired, np.zeros(0, np.int32)))
        chip.step(inputs)
        load_state(p, s, u, v, fired)
        deliver_all(p, s, 0, n_delivers, counts)
        load_inputs(p, s, events, 0, len(events))
        update_all(p, s, counts)
        count_spikes(p, s, 1, counts)
        store_state(p, s, u, v, fired)
        np.testing.assert_array_equal(u, chip.u)
        np.testing.assert_array_equal(v, chip.v)
        np.testing.assert_array_equal(fired, chip.fired)
        np.testing.assert_array_equal(counts, chip.counts)
        assert not s.lanes[ACC].any()


def test_state_survives_loading_and_storing() -> None:
    program = compile(random_network(3), "unlimited")
    s, rng = make_scratch(program.arrays), np.random.default_rng(3)
    u, v, fired = random_state(rng, program)
    s.lanes[ACC] = 7  # left by a run that was broken off
    load_state(program.arrays, s, u, v, fired)
    assert not s.lanes[ACC].any()
    found = np.zeros_like(u), np.zeros_like(v), ~fired
    store_state(program.arrays, s, *found)
    for part, expected in zip(found, (u, v, fired), strict=True):
        np.testing.assert_array_equal(part, expected)
    np.testing.assert_array_equal(s.lanes[U], u)
    np.testing.assert_array_equal(s.lanes[V], v)


def test_delivering_in_parts_equals_delivering_at_once() -> None:
    program = compile(random_network(9, 2, 3), "unlimited")
    p, rng = program.arrays, np.random.default_rng(4)
    state = random_state(rng, program)
    n_delivers, sums = int((p.ops[:, 0] == OP_DELIVER).sum()), []
    assert n_delivers > 2
    for cut in range(n_delivers + 1):
        s, counts = make_scratch(p), np.zeros((len(program.rows), N_COUNTERS), np.int64)
        load_state(p, s, *state)
        deliver_all(p, s, 0, cut, counts)
        deliver_all(p, s, cut, n_delivers, counts)
        sums.append((s.lanes[ACC].copy(), counts))
    for acc, counts in sums[1:]:
        np.testing.assert_array_equal(acc, sums[0][0])
        np.testing.assert_array_equal(counts, sums[0][1])


def test_input_events_are_split_over_input_groups() -> None:
    program = compile(random_network(5, 3, 1), "unlimited")
    network, p = program.network, program.arrays
    s = make_scratch(p)
    events = np.arange(0, network.n_inputs, 2, dtype=np.int32)
    load_inputs(p, s, np.concatenate([[99], events, [0]]).astype(np.int32), 1, 1 + len(events))
    for i, group in enumerate(network.ordered_groups[:3]):
        first = network.offsets[group.name]
        listed = s.lanes[SPIKES, first : first + s.n_spikes[i]] + first
        assert listed.tolist() == [e for e in events.tolist() if first <= e < first + group.n]


def test_noted_spikes_are_counted_once_and_those_of_inputs_for_every_run_that_shares_them() -> None:
    program = compile(random_network(7, 1, 2), "loihi1")
    p = program.arrays
    s, counts = make_scratch(p), np.zeros((len(program.rows), N_COUNTERS), np.int64)
    s.sent[:] = np.arange(len(s.sent)) % 3
    noted = s.sent.copy()
    count_spikes(p, s, 5, counts)
    for i, (start, stop) in enumerate(p.group[:, :2]):
        runs = 5 if i == 0 else 1
        assert counts[i, COLUMN["spikes"]] == runs * noted[start:stop].sum()
        sent = (noted[start:stop, None] * p.route[start:stop]).sum(axis=0)
        np.testing.assert_array_equal(
            counts[i, COLUMN["messages"] : COLUMN["messages"] + len(ROUTE_COLUMNS)], runs * sent
        )
    assert not s.sent.any()


def test_counts_are_safe_at_a_million_million_operations() -> None:
    program = compile(random_network(7, 1, 2), "loihi1")
    p = program.arrays
    s, counts = make_scratch(p), np.zeros((len(program.rows), N_COUNTERS), np.int64)
    s.sent[:] = 10**12
    count_spikes(p, s, 1, counts)
    for i, (start, stop) in enumerate(p.group[:, :2].tolist()):
        bits = sum(int(each) for each in p.route[start:stop, ROUTE_COLUMNS.index("synapse_bits_read")])
        assert counts[i, COLUMN["spikes"]] == 10**12 * (stop - start)
        assert counts[i, COLUMN["synapse_bits_read"]] == 10**12 * bits
