"""The built-in backends: compiled kernels equal the numpy twins, and a run depends on nothing but its input."""

import dataclasses
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import random_events, random_network

from neurosim.backend import RunResult
from neurosim.codes import FORMAT, FORMAT_CSR, FORMAT_DENSE8, FORMAT_DENSE16
from neurosim.compile_network import compile
from neurosim.counters import COLUMN, OVERFLOWS
from neurosim.errors import ConfigError, NetworkError, OverflowDetected
from neurosim.events import Events, events_from_dense
from neurosim.mapping.layout import ROUTE_COLUMNS
from neurosim.network import LIF, Conv, Dense, Input, Network, Probe, Sparse
from neurosim.program import Program, State, rest_state
from neurosim.simulator import FIRST_CAPACITY, ReferenceBackend, SimulatorBackend

BACKENDS = [SimulatorBackend, ReferenceBackend]
seeds = st.integers(0, 2**32 - 1)


def run(
    backend: Callable[[], object], program: Program, events: Events, *, threads: int = 1, **how: object
) -> RunResult:
    with backend().open(program, threads=threads) as runner:
        return runner.run(events, **how)


def assert_same(one: RunResult, other: RunResult) -> None:
    """Compare spikes, states, counts and final states of two runs."""
    assert one.spikes.keys() == other.spikes.keys()
    assert one.states.keys() == other.states.keys()
    for name, train in one.spikes.items():
        for part, twin in zip(train, other.spikes[name], strict=True):
            np.testing.assert_array_equal(part, twin, err_msg=name)
    for key, states in one.states.items():
        np.testing.assert_array_equal(states, other.states[key], err_msg=str(key))
    np.testing.assert_array_equal(one.counts.matrix, other.counts.matrix)
    assert (one.counts.n_samples, one.counts.n_steps) == (other.counts.n_samples, other.counts.n_steps)
    for name, part, twin in zip(State._fields, one.final, other.final, strict=True):
        np.testing.assert_array_equal(part, twin, err_msg=name)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=seeds, n_inputs=st.integers(0, 3), n_groups=st.integers(1, 4), recurrent=st.booleans(),
    n_samples=st.integers(0, 3), n_steps=st.integers(1, 12), chip=st.sampled_from(["unlimited", "loihi1"]),
)  # fmt: skip
def test_simulator_equals_reference(
    seed: int, n_inputs: int, n_groups: int, recurrent: bool, n_samples: int, n_steps: int, chip: str
) -> None:
    network = random_network(seed, n_inputs, n_groups, recurrent)
    program, events = compile(network, chip), random_events(seed, n_samples, n_steps, network.n_inputs)
    assert_same(run(SimulatorBackend, program, events), run(ReferenceBackend, program, events))


@pytest.mark.parametrize("seed", range(4))
def test_wide_groups_equal_reference(seed: int) -> None:
    network = random_network(seed, 2, 3, largest=90)
    program, events = compile(network, "loihi1"), random_events(seed, 2, 8, network.n_inputs)
    assert_same(run(SimulatorBackend, program, events), run(ReferenceBackend, program, events))


def pairs_of(shape: tuple[int, int], n_synapses: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    chosen = rng.permutation(shape[0] * shape[1])[:n_synapses]
    return chosen % shape[0], chosen // shape[0]


@pytest.mark.parametrize("arithmetic", ["lava-0.10", "loihi1"])
@pytest.mark.parametrize("seed", range(8))
def test_every_format_of_every_form_equals_reference(seed: int, arithmetic: str) -> None:
    """Thin and full connections, given as dense and as sparse ones: the format must not change states or counts."""
    rng = np.random.default_rng(seed)
    n_in, n = 90, 103
    exponent = [int(e) for e in rng.integers(-8, 8, 4)]
    connections = []
    for i, (source, n_pre) in enumerate((("in", n_in), ("in2", n_in), ("a", n), ("b", n))):
        shape = (n, n_pre)
        few, many = pairs_of(shape, n_pre, rng), pairs_of(shape, n_pre * n // 4, rng)
        for target, (row, col) in zip(("a", "b") if i % 2 else ("b", "a"), (few, many), strict=True):
            data = rng.integers(-64, 64, len(row)) * 2
            if (i + len(connections)) % 2:
                connections.append(Sparse(source, target, shape, row, col, data, exponent[i]))
            else:
                weights = np.zeros(shape, np.int64)
                weights[row, col] = data
                connections.append(Dense(source, target, weights, exponent[i], sign_mode="mixed"))
    groups = (Input("in", n_in), Input("in2", n_in), LIF("a", n, 200, 300, 40), LIF("b", n, 900, 100, 60))
    network = Network(groups, connections, [Probe(g, what) for g in ("a", "b") for what in ("spikes", "u", "v")])
    program, events = compile(network, "unlimited", arithmetic), random_events(seed, 2, 10, network.n_inputs, 0.3)
    forms = {
        (type(c), int(row[FORMAT])) for c, row in zip(program.network.connections, program.arrays.conn, strict=True)
    }
    assert (Dense, FORMAT_CSR) in forms or (Sparse, FORMAT_DENSE8) in forms
    result = run(SimulatorBackend, program, events)
    if program.models is None:
        assert result.counts.total("spikes") > len(events.neuron)
    assert_same(result, run(ReferenceBackend, program, events))


@pytest.mark.parametrize("backend", BACKENDS)
def test_zeros_stored_as_nothing_are_replaced_by_weights_and_come_back(backend: Callable[[], object]) -> None:
    """Dense weights that are packed as synapses have no room for others: the program is packed anew."""
    rng = np.random.default_rng(5)
    thin = np.where(rng.random((70, 60)) < 0.01, 40, 0)
    full = 2 * rng.integers(-60, 60, (70, 60))
    groups = (Input("in", 60), LIF("out", 70, 100, 100, 500))

    def program_of(weights: np.ndarray) -> Program:
        return compile(
            Network(groups, (Dense("in", "out", weights, sign_mode="mixed"),), (Probe("out", "v"),)), "unlimited"
        )

    events = random_events(3, 2, 9, 60, 0.4)
    assert program_of(thin).arrays.conn[0, FORMAT] == FORMAT_CSR
    with backend().open(program_of(thin)) as runner:
        first = runner.run(events)
        for weights in (full, thin, full + 2):
            runner.write_weights("in->out", weights)
            assert_same(runner.run(events), run(ReferenceBackend, program_of(weights), events))
        runner.reset()
        assert_same(runner.run(events), first)


def test_a_runner_that_is_closed_has_no_threads_and_runs_again() -> None:
    network = random_network(4)
    program, events = compile(network, "unlimited"), random_events(4, 5, 6, network.n_inputs)
    runner = SimulatorBackend().open(program, threads=3)
    before = threading.active_count()
    first = runner.run(events)
    assert threading.active_count() > before
    runner.close()
    assert threading.active_count() == before
    assert_same(runner.run(events), first)
    runner.close()


def test_more_spikes_than_one_chunk_of_16_bits_equal_reference() -> None:
    rng = np.random.default_rng(1)
    weights = 2 * rng.choice([-128, 127], (40, 600))
    weights[0], weights[1] = -256, 254
    network = Network(
        (Input("in", 600), LIF("out", 40, vth=131071)), (Dense("in", "out", weights, -4),), (Probe("out", "v"),)
    )
    program, events = compile(network, "unlimited"), random_events(2, 1, 4, 600, rate=0.9)
    result = run(SimulatorBackend, program, events)
    assert_same(result, run(ReferenceBackend, program, events))
    n_spikes = int(events.to_dense()[0, 0].sum())
    assert result.states["out", "v"][0, 1, :2].tolist() == [(n_spikes * w >> 4) << 6 for w in (-256, 254)]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=seeds, n_samples=st.integers(1, 7))
def test_threads_do_not_matter(seed: int, n_samples: int) -> None:
    network = random_network(seed)
    program, events = compile(network, "loihi1"), random_events(seed, n_samples, 9, network.n_inputs)
    one = run(SimulatorBackend, program, events)
    for threads in (2, 3):
        assert_same(one, run(SimulatorBackend, program, events, threads=threads))


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=seeds)
def test_a_batch_equals_its_samples_one_by_one(seed: int) -> None:
    network = random_network(seed)
    program, events = compile(network, "loihi1"), random_events(seed, 3, 9, network.n_inputs)
    batch = run(SimulatorBackend, program, events)
    single = [run(SimulatorBackend, program, events.take([i])) for i in range(3)]
    for key, states in batch.states.items():
        np.testing.assert_array_equal(states, np.concatenate([s.states[key] for s in single]))
    for name, train in batch.spikes.items():
        for i, alone in enumerate(single):
            mine = train.sample == i
            np.testing.assert_array_equal(train.step[mine], alone.spikes[name].step)
            np.testing.assert_array_equal(train.neuron[mine], alone.spikes[name].neuron)
    np.testing.assert_array_equal(batch.counts.matrix, sum(s.counts.matrix for s in single))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", [1, 4, 8])
def test_resuming_equals_running_through(backend: Callable[[], object], k: int) -> None:
    for seed in range(5):
        network = random_network(seed)
        program, events = compile(network, "loihi1"), random_events(seed, 2, 9, network.n_inputs)
        whole, first = run(backend, program, events), run(backend, program, events, n_steps=k)
        before = [part.copy() for part in first.final]
        later = events_from_dense(events.to_dense()[:, k:])
        rest = run(backend, program, later, state=first.final)
        np.testing.assert_array_equal(whole.counts.matrix, first.counts.matrix + rest.counts.matrix)
        for part, other in zip(whole.final, rest.final, strict=True):
            np.testing.assert_array_equal(part, other)
        for part, kept in zip(first.final, before, strict=True):  # the given state is not written into
            np.testing.assert_array_equal(part, kept)
        for key, states in whole.states.items():
            np.testing.assert_array_equal(states, np.concatenate([first.states[key], rest.states[key]], axis=1))


def busy_network(n: int, probes: tuple[Probe, ...] = (Probe("busy"),)) -> Network:
    """Every neuron fires in every step."""
    return Network((LIF("busy", n, vth=0, bias_mant=1), LIF("other", 2, vth=0, bias_mant=1)), (), probes)


@pytest.mark.parametrize("threads", [1, 2])
def test_more_probed_spikes_than_first_expected_are_all_kept(threads: int) -> None:
    n, n_steps, n_samples = 70, 40, 3
    assert n * n_steps > FIRST_CAPACITY
    network = busy_network(n, (Probe("busy"), Probe("other"), Probe("busy", "u")))
    events = random_events(1, n_samples, n_steps, 0)
    program = compile(network, "unlimited")
    result = run(SimulatorBackend, program, events, threads=threads)
    expected = np.indices((n_samples, n_steps, n)).reshape(3, -1)
    for part, indices in zip(result.spikes["busy"][:3], expected, strict=True):
        np.testing.assert_array_equal(part, indices)
    assert len(result.spikes["other"].step) == n_samples * n_steps * 2
    assert result.counts.total("spikes") == n_samples * n_steps * (n + 2)
    assert_same(result, run(ReferenceBackend, program, events))


def test_growth_of_the_spike_buffer_also_restores_the_state_it_started_from() -> None:
    network = dataclasses.replace(random_network(11), probes=busy_network(1).probes[:0])
    busy = LIF("busy", 300, vth=0, bias_mant=1)
    network = dataclasses.replace(network, groups=(*network.groups, busy), probes=(Probe("busy"), Probe("g0", "v")))
    program, events = compile(network, "unlimited"), random_events(11, 2, 10, network.n_inputs)
    first = run(ReferenceBackend, program, events, n_steps=3)
    again = run(SimulatorBackend, program, events, state=first.final)
    assert len(again.spikes["busy"].step) > 2 * FIRST_CAPACITY
    assert_same(again, run(ReferenceBackend, program, events, state=first.final))


@pytest.mark.parametrize("n_steps", [1, 5, 9, 14])
def test_steps_may_be_fewer_or_more_than_those_of_the_events(n_steps: int) -> None:
    network = random_network(5)
    program, events = compile(network, "loihi1"), random_events(5, 3, 9, network.n_inputs)
    result = run(SimulatorBackend, program, events, n_steps=n_steps)
    assert_same(result, run(ReferenceBackend, program, events, n_steps=n_steps))
    padded = np.zeros((3, n_steps, network.n_inputs), bool)
    padded[:, : min(9, n_steps)] = events.to_dense()[:, :n_steps]
    assert_same(result, run(SimulatorBackend, program, events_from_dense(padded)))
    assert result.counts.n_steps == 3 * n_steps


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_samples_give_empty_results(backend: Callable[[], object]) -> None:
    network = random_network(6)
    result = run(backend, compile(network, "loihi1"), random_events(6, 0, 9, network.n_inputs))
    assert not result.counts.matrix.any()
    assert result.counts.n_steps == 0
    assert all(len(states) == 0 for states in result.states.values())
    assert all(len(train.step) == 0 for train in result.spikes.values())


@pytest.mark.parametrize("backend", BACKENDS)
def test_neurons_at_rest_stay_at_rest(backend: Callable[[], object]) -> None:
    network = random_network(7, n_groups=2)
    quiet = tuple(dataclasses.replace(g, bias_mant=0) if isinstance(g, LIF) else g for g in network.groups)
    network = dataclasses.replace(network, groups=quiet)
    events = events_from_dense(np.zeros((2, 6, network.n_inputs), bool))
    result = run(backend, compile(network, "loihi1"), events)
    assert not any(part.any() for part in result.final)
    n_neurons = network.n_neurons - network.n_inputs
    assert result.counts.totals() == dict.fromkeys(COLUMN, 0) | {
        "barriers": 12,
        "neuron_updates_idle": 12 * n_neurons,
    }


@pytest.mark.parametrize("seed", range(6))
def test_counts_obey_conservation_laws(seed: int) -> None:
    """Each delivered spike reads its fan-out; each spike sends its packets; each neuron is updated once a step."""
    network = random_network(seed, 2, 3, largest=30)
    program, events = compile(network, "loihi1"), random_events(seed, 3, 12, network.n_inputs)
    result = run(SimulatorBackend, program, events)
    counts, last = result.counts, 11
    for connection in network.connections:
        if isinstance(connection, Sparse):
            fan_out = np.bincount(connection.col, minlength=connection.shape[1])
        else:
            fan_out = np.full(connection.shape[1], connection.shape[0])
        train = result.spikes[connection.source]
        delivered = train.neuron[train.step < last]
        assert counts.of(connection.name, "synaptic_operations") == fan_out[delivered].sum()
    for group in network.ordered_groups:
        train = result.spikes[group.name]
        assert counts.of(group.name, "spikes") == len(train.step)
        route = program.mapping.route[network.offsets[group.name] + train.neuron]
        for column, name in enumerate(ROUTE_COLUMNS):
            assert counts.of(group.name, name) == route[:, column].sum()
        updates = counts.of(group.name, "neuron_updates_active") + counts.of(group.name, "neuron_updates_idle")
        assert updates == (group.n * 3 * 12 if isinstance(group, LIF) else 0)


def overflowing_network(kind: str) -> tuple[Network, int]:
    """Return a network that overflows one register, and the number of its input lines."""
    if kind == "overflow_accumulator":
        weights, exponent, dv, n = 254, 7, 0, 1100
    elif kind == "overflow_u":
        weights, exponent, dv, n = 254, 7, 4095, 6
    else:
        weights, exponent, dv, n = 250, 7, 0, 4
    groups = (Input("in", n), LIF("tight", 1, du=4095, dv=dv, vth=131071))
    return Network(groups, (Dense("in", "tight", np.full((1, n), weights), exponent),)), n


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", OVERFLOWS)
def test_overflows_are_counted_and_are_errors_in_strict_mode(backend: Callable[[], object], kind: str) -> None:
    network, n = overflowing_network(kind)
    program = compile(network, "unlimited")
    if kind == "saturation_v":  # v just below the threshold, so that the next input passes 2**23 - 1
        state = rest_state(program, 1)
        state.v[0, n] = 131071 << 6
    else:
        state = None
    events = events_from_dense(np.ones((1, 2, n), bool))
    counted = run(backend, program, events, state=state).counts
    assert counted.of("tight", kind) >= 1
    with (
        backend().open(program, strict=True) as runner,
        pytest.raises(OverflowDetected, match=r"group 'tight': \d+ register overflows in 2 steps"),
    ):
        runner.run(events, state=state)


@pytest.mark.parametrize("backend", BACKENDS)
def test_strict_mode_accepts_a_run_without_overflow(backend: Callable[[], object]) -> None:
    with backend().open(compile(busy_network(3), "unlimited"), strict=True) as runner:
        assert runner.run(random_events(1, 1, 5, 0)).counts.overflows() == 0


def weights_network(weights: object, **how: object) -> Network:
    groups = (Input("in", 4), LIF("out", 3, du=4095, dv=0, vth=131071))
    sparse = Sparse("out", "out", (3, 3), [0], [1], [5])
    return Network(groups, (Dense("in", "out", weights, **how), sparse), (Probe("out", "v"),))


EIGHTS = 8 * np.arange(-6, 6).reshape(3, 4)
REPLACEMENTS = {
    "same bits": -EIGHTS,
    "a finer bit": EIGHTS + 2,
    "wider than a mantissa": np.arange(-256, 256, 43).reshape(3, 4),
    "odd": np.arange(12).reshape(3, 4),
    "zero": np.zeros((3, 4), int),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("what", REPLACEMENTS)
@pytest.mark.parametrize("old", [EIGHTS, REPLACEMENTS["wider than a mantissa"], REPLACEMENTS["zero"]])
@pytest.mark.parametrize("bits", [8, 4])
def test_written_weights_act_like_those_of_a_new_program(
    backend: Callable[[], object], what: str, old: np.ndarray, bits: int
) -> None:
    how = {"sign_mode": "mixed", "num_weight_bits": bits, "weight_exp": 1}
    events = random_events(1, 2, 6, 4)
    program = compile(weights_network(old, **how), "unlimited")
    before = [array.copy() for array in program.arrays]
    with backend().open(program) as runner:
        original = runner.run(events)
        runner.write_weights("in->out", EIGHTS + 4)
        runner.write_weights("in->out", REPLACEMENTS[what])
        written = runner.run(events)
        runner.reset()
        assert_same(runner.run(events), original)
    assert_same(written, run(backend, compile(weights_network(REPLACEMENTS[what], **how), "unlimited"), events))
    for array, copy in zip(program.arrays, before, strict=True):  # the program itself is never written
        np.testing.assert_array_equal(array, copy)


def test_weights_that_need_other_formats_are_packed_anew_and_keep_the_other_writes() -> None:
    small, wide = np.arange(12).reshape(3, 4), 255 - 20 * np.arange(12).reshape(3, 4)  # both excitatory
    groups = (Input("in", 4), LIF("a", 3, vth=131071), LIF("b", 3, vth=131071))
    network = Network(groups, (Dense("in", "a", small), Dense("in", "b", EIGHTS)), (Probe("a", "v"), Probe("b", "v")))
    events = random_events(1, 1, 6, 4)
    program = compile(network, "unlimited")
    with SimulatorBackend().open(program) as runner:
        runner.write_weights("in->b", -EIGHTS)
        before = int(runner.arrays.conn[0, FORMAT])
        runner.write_weights("in->a", wide)
        assert (before, int(runner.arrays.conn[0, FORMAT])) == (FORMAT_DENSE8, FORMAT_DENSE16)
        found = runner.run(events)
        runner.write_weights("in->a", small)  # narrow weights in the wide format
        back = runner.run(events)
    narrow = dataclasses.replace(network, connections=(Dense("in", "a", small), Dense("in", "b", -EIGHTS)))
    assert_same(back, run(ReferenceBackend, compile(narrow, "unlimited"), events))
    new = dataclasses.replace(network, connections=(Dense("in", "a", wide), Dense("in", "b", -EIGHTS)))
    assert_same(found, run(ReferenceBackend, compile(new, "unlimited"), events))


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_runners_of_one_program_do_not_share_weights(backend: Callable[[], object]) -> None:
    program, events = compile(weights_network(EIGHTS), "unlimited"), random_events(1, 1, 6, 4)
    with backend().open(program) as one, backend().open(program) as other:
        expected = other.run(events)
        one.write_weights("in->out", -EIGHTS)
        assert_same(other.run(events), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_new_weights_have_the_shape_of_the_description(backend: Callable[[], object]) -> None:
    with (
        backend().open(compile(weights_network(EIGHTS), "unlimited")) as runner,
        pytest.raises(NetworkError, match=r"weights have shape \(3, 3\), need \(1,\)"),
    ):
        runner.write_weights("out->out", np.zeros((3, 3), int))


@pytest.mark.parametrize("backend", BACKENDS)
def test_sparse_and_shared_weights_can_be_replaced(backend: Callable[[], object]) -> None:
    def network(kernel: int, synapses: list[int]) -> Network:
        conv = Conv("in", "a", np.full((1, 2, 1, 1), kernel), (4, 1, 1))
        sparse = Sparse("a", "b", (2, 3), [0, 1, 1], [0, 1, 2], synapses, sign_mode="mixed")
        groups = [Input("in", 4), LIF("a", 3, du=4095, vth=9), LIF("b", 2, du=4095, vth=131071)]
        return Network(groups, [conv, sparse], [Probe("b", "v")])

    events = random_events(2, 2, 7, 4)
    with backend().open(compile(network(6, [8, 16, 24]), "unlimited")) as runner:
        before = runner.run(events)
        runner.write_weights("in->a", np.full((1, 2, 1, 1), 20))
        runner.write_weights("a->b", [-40, 2, 4])
        found = runner.run(events)
    with backend().open(compile(network(20, [-40, 2, 4]), "unlimited")) as runner:
        assert_same(found, runner.run(events))
    assert not np.array_equal(found.states["b", "v"], before.states["b", "v"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_state_of_another_shape_is_refused(backend: Callable[[], object]) -> None:
    program = compile(weights_network(EIGHTS), "unlimited")
    with (
        backend().open(program) as runner,
        pytest.raises(ConfigError, match=r"u has shape \(2, 7\), need .* \(1, 7\)"),
    ):
        runner.run(random_events(1, 1, 5, 4), state=rest_state(program, 2))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("threads", [0, 257, True, 1.0])
def test_number_of_threads_is_checked(backend: Callable[[], object], threads: object) -> None:
    with pytest.raises(ConfigError, match="is not in 1..256"):
        backend().open(compile(busy_network(2), "unlimited"), threads=threads)


@pytest.mark.parametrize("backend", BACKENDS)
def test_everything_that_is_returned_is_integer(backend: Callable[[], object]) -> None:
    network = random_network(8)
    result = run(backend, compile(network, "loihi1"), random_events(8, 2, 5, network.n_inputs))
    assert {states.dtype for states in result.states.values()} == {np.dtype(np.int32)}
    assert {part.dtype for train in result.spikes.values() for part in train[:3]} == {np.dtype(np.int32)}
    assert result.counts.matrix.dtype == np.int64
    assert [part.dtype for part in result.final] == [np.int32, np.int32, np.bool_, np.int32]


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("u", 0.5, "state: u is float64"),
        ("fired", 2, "state: fired is int64"),
        ("v", 1 << 23, "state: v leaves -8388607..8388607"),
        ("u", 1 << 40, "state: u leaves"),
    ],
)
def test_states_that_no_run_returns_are_refused(part: str, value: float, words: str) -> None:
    program = compile(Network([Input("in", 1), LIF("out", 2)], [Dense("in", "out", [[1], [2]])]), "unlimited")
    state = rest_state(program, 1)._replace(**{part: np.full((1, 3), value)})
    with SimulatorBackend().open(program) as runner, pytest.raises(ConfigError, match=words):
        runner.run(events_from_dense(np.zeros((1, 2, 1), int)), state=state)
