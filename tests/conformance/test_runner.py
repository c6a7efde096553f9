"""What every backend promises beside its integers: weights, repetition, refusals by name, honest results."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from conformance_cases import CASES, make_case, random_spikes, spike_list

from neurosim.backend import FEATURES, Backend, Runner, RunResult
from neurosim.compile_network import compile
from neurosim.errors import ConfigError, DataError, FeatureError, NetworkError
from neurosim.events import Events, events_from_dense
from neurosim.network import LIF, Dense, Input, Network, Probe, Sparse
from neurosim.neurons import Sigma
from neurosim.program import Program, rest_state

CASE = make_case(
    "small",
    (Input("in", 3), LIF("out", 2, 1000, 100, vth=60)),
    (Dense("in", "out", [[90, -20, 30], [10, 80, -60]]), Sparse("out", "out", (2, 2), [0], [1], [40])),
    random_spikes(np.random.default_rng(1), 2, 20, 3, 0.4),
)
NEW_WEIGHTS = np.array([[11, 100, -50], [70, -1, 33]])


@pytest.fixture(scope="module")
def program() -> Program:
    return compile(CASE.network)


@pytest.fixture(scope="module")
def events() -> Events:
    return events_from_dense(CASE.spikes)


@pytest.fixture(scope="module")
def runner(backend: Backend, program: Program) -> Iterator[Runner]:
    """One runner for all tests that do not change it."""
    with backend.open(program) as runner:
        yield runner


def same(a: RunResult, b: RunResult) -> bool:
    return all(spike_list(a, g) == spike_list(b, g) for g in a.spikes) and all(
        np.array_equal(a.states[key], b.states[key]) for key in a.states
    )


def needs(backend: Backend, feature: str) -> None:
    if feature not in backend.features:
        pytest.skip(f"backend {backend.name!r} lacks {feature!r}")


def test_features_are_known(backend: Backend) -> None:
    assert backend.features <= FEATURES.keys()


def test_status_is_available_without_remedy(backend: Backend) -> None:
    status = backend.status()
    assert status.available
    assert status.remedy is None


def test_result_names_what_made_it(backend: Backend, runner: Runner, events: Events) -> None:
    result = runner.run(events)
    assert (result.backend, result.version) == (backend.name, backend.version)


def test_what_is_not_observed_is_none(backend: Backend, runner: Runner, events: Events) -> None:
    result = runner.run(events)
    assert (result.counts is not None) == ("counts" in backend.features)
    assert (result.final is not None) == ("resume" in backend.features)


def test_each_run_starts_from_rest(runner: Runner, events: Events) -> None:
    assert same(runner.run(events), runner.run(events))


def test_samples_do_not_depend_on_their_neighbours(runner: Runner, events: Events) -> None:
    both, second = runner.run(events), runner.run(events.take([1]))
    of_both = [(step, i) for sample, step, i in spike_list(both, "out") if sample == 1]
    assert of_both == [(step, i) for _, step, i in spike_list(second, "out")]
    for key, states in second.states.items():
        np.testing.assert_array_equal(both.states[key][1:], states)


def test_spikes_of_inputs_are_the_events(runner: Runner, events: Events) -> None:
    assert spike_list(runner.run(events), "in") == [tuple(x) for x in np.argwhere(CASE.spikes).tolist()]


def test_types_and_shapes_of_results(runner: Runner, events: Events) -> None:
    result = runner.run(events, 25)
    for states in result.states.values():
        assert states.dtype == np.int32
        assert states.shape == (2, 25, 2)
    for train in result.spikes.values():
        assert {part.dtype for part in train if part is not None} == {np.dtype(np.int32)}
        assert train.value is None, "all spikes of a plain network are 1"


def test_no_samples_give_empty_results(runner: Runner, events: Events) -> None:
    result = runner.run(events.take([]))
    assert spike_list(result, "out") == []
    assert result.states["out", "v"].shape == (0, 20, 2)


def test_network_without_connections_or_inputs_runs(backend: Backend) -> None:
    case = make_case("alone", (LIF("a", 2, bias_mant=[700, 0]), LIF("b", 1)), (), np.zeros((1, 9, 0), np.int8))
    with backend.open(compile(case.network)) as runner:
        result = runner.run(events_from_dense(case.spikes))
    assert spike_list(result, "a") == [(0, t, 0) for t in range(9)]


def test_probes_may_be_absent_or_repeated(backend: Backend, events: Events) -> None:
    probe = CASE.network.probes[1]
    network = dataclasses.replace(CASE.network, probes=(probe, probe))
    with backend.open(compile(network)) as runner:
        result = runner.run(events)
    assert (list(result.spikes), list(result.states)) == (["out"], [])
    with backend.open(compile(dataclasses.replace(CASE.network, probes=()))) as runner:
        result = runner.run(events)
    assert (result.spikes, result.states) == ({}, {})


def test_written_weights_act_as_if_they_had_been_there(backend: Backend, program: Program, events: Events) -> None:
    needs(backend, "write_weights")
    changed = make_case(
        "small", CASE.network.groups, (Dense("in", "out", NEW_WEIGHTS), CASE.network.connections[1]), CASE.spikes
    )
    with backend.open(compile(changed.network)) as runner:
        expected = runner.run(events)
    with backend.open(program) as runner:
        before = runner.run(events)
        runner.write_weights("in->out", NEW_WEIGHTS)
        written = runner.run(events)
        runner.reset()
        after = runner.run(events)
    assert same(written, expected)
    assert not same(written, before)
    assert same(after, before)


@pytest.mark.parametrize(
    ("connection", "weights", "words"),
    [
        ("in->out", [[300, 0, 0], [0, 0, 0]], "outside -256..255"),
        ("in->out", [[1, 2], [3, 4]], "have shape"),
        ("in->out", [[1.5, 0, 0], [0, 0, 0]], "integers"),
        ("out->out", [[1, 0, 0]], "have shape"),
        ("in->nowhere", [[1]], "unknown connection"),
    ],
)
def test_wrong_weights_are_refused(
    backend: Backend, runner: Runner, connection: str, weights: object, words: str
) -> None:
    needs(backend, "write_weights")
    with pytest.raises(NetworkError, match=words):
        runner.write_weights(connection, np.asarray(weights))


def test_resumed_run_equals_one_run(backend: Backend, program: Program, events: Events) -> None:
    needs(backend, "resume")
    later = events_from_dense(CASE.spikes[:, 8:])
    with backend.open(program) as runner:
        whole = runner.run(events)
        first = runner.run(events, 8)
        second = runner.run(later, state=first.final)
    for key, states in whole.states.items():
        np.testing.assert_array_equal(np.concatenate([first.states[key], second.states[key]], axis=1), states)


def test_state_is_refused_by_name_where_it_cannot_be_set(
    backend: Backend, runner: Runner, program: Program, events: Events
) -> None:
    if "resume" in backend.features:
        pytest.skip(f"backend {backend.name!r} can resume")
    with pytest.raises(FeatureError, match="resume"):
        runner.run(events, state=rest_state(program, events.n_samples))


def test_strict_is_refused_where_overflows_are_not_seen(backend: Backend, program: Program) -> None:
    if "counts" in backend.features:
        pytest.skip(f"backend {backend.name!r} counts overflows")
    with pytest.raises(FeatureError, match="counts"):
        backend.open(program, strict=True)


@pytest.mark.parametrize("n_steps", [0, -3, 2.5, True])
def test_wrong_number_of_steps_is_refused(runner: Runner, events: Events, n_steps: object) -> None:
    with pytest.raises(ConfigError, match="not a positive integer"):
        runner.run(events, n_steps)  # type: ignore[arg-type]


def test_wrong_number_of_threads_is_refused(backend: Backend, program: Program) -> None:
    with pytest.raises(ConfigError, match="threads: 0"):
        backend.open(program, threads=0)


def test_threads_do_not_change_results(backend: Backend) -> None:
    case = CASES["shorter_than_input"]()
    results = []
    for threads in (1, 2):
        with backend.open(compile(case.network), threads=threads) as runner:
            results.append(runner.run(events_from_dense(case.spikes), case.n_steps))
    assert same(*results)


def test_events_for_another_network_are_refused(runner: Runner, no_events: Callable[[int, int, int], Events]) -> None:
    with pytest.raises(DataError, match="made for 4 input lines"):
        runner.run(no_events(1, 5, 4))


def test_values_that_a_message_cannot_hold_are_refused(backend: Backend) -> None:
    needs(backend, "graded")
    groups = (Input("in", 2), Sigma("out", 1))
    network = Network(groups, (Dense("in", "out", [[1, 1]], num_message_bits=4),), (Probe("out"), Probe("in")))
    with backend.open(compile(network, "unlimited")) as runner:
        result = runner.run(events_from_dense([[[15, -15], [0, 3]]], graded=True))
        assert [part.tolist() for part in result.spikes["in"] if part is not None][3] == [15, -15, 3]
        with pytest.raises(DataError, match="a value of 16 for input 'in' exceeds the 15"):
            runner.run(events_from_dense([[[16, 0]]], graded=True))


def test_closing_twice_does_nothing(backend: Backend, program: Program, events: Events) -> None:
    runner = backend.open(program)
    runner.run(events)
    runner.close()
    runner.close()
