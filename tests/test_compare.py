"""Comparing results: equal ones are equal, and a single changed number is found and named."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from model_networks import MODELS, model_network, random_values

from neurosim.backend import RunResult, SpikeTrain, get_backend
from neurosim.chip import load_chip
from neurosim.compare import Comparison, Difference, compare_backends, compare_results, probe_everything
from neurosim.compile_network import compile
from neurosim.errors import BackendError, ConfigError
from neurosim.events import Events, events_from_dense
from neurosim.modelfile import Model
from neurosim.network import LIF, Dense, Input, Network

WEIGHTS = np.array([[60, -20, 30], [70, 80, -60]])


def network(weights: np.ndarray = WEIGHTS) -> Network:
    groups = [Input("in", 3), LIF("a", 2, 1000, 100, vth=60), LIF("b", 2, 500, 50, vth=90)]
    return Network(groups, [Dense("in", "a", weights), Dense("a", "b", [[90, 40], [-30, 120]])])


@pytest.fixture
def events() -> Events:
    return events_from_dense(np.random.default_rng(1).random((3, 20, 3)) < 0.4)


def run(events: Events, weights: np.ndarray = WEIGHTS) -> RunResult:
    with get_backend("reference").open(compile(probe_everything(network(weights), states=True))) as runner:
        return runner.run(events)


def with_state(result: RunResult, key: tuple[str, str], index: tuple[int, int, int], value: int) -> RunResult:
    states = {k: array.copy() for k, array in result.states.items()}
    states[key][index] = value
    return dataclasses.replace(result, states=states, backend="changed")


def with_spikes(result: RunResult, group: str, spikes: list[tuple[int, int, int]]) -> RunResult:
    train = SpikeTrain(*np.array(spikes, np.int32).reshape(-1, 3).T)
    return dataclasses.replace(result, spikes=result.spikes | {group: train}, backend="changed")


def spikes_of(result: RunResult, group: str) -> list[tuple[int, int, int]]:
    return list(zip(*(part.tolist() for part in result.spikes[group][:3]), strict=True))


def test_equal_results_are_equal(events: Events) -> None:
    result = run(events)
    found = compare_results(result, run(events))
    assert found.equal
    assert found.n_different == 0
    assert found.n_compared == sum(len(train.step) for train in result.spikes.values()) + 4 * 3 * 20 * 2
    assert [(row.group, row.quantity) for row in found.compared] == [
        ("in", "spikes"), *((group, what) for group in ("a", "b") for what in ("spikes", "u", "v")),
    ]  # fmt: skip


def test_one_changed_voltage_is_named(events: Events) -> None:
    result = run(events)
    value = int(result.states["b", "v"][2, 7, 1])
    found = compare_results(result, with_state(result, ("b", "v"), (2, 7, 1), value + 1))
    assert found.first == Difference("b", "v", 2, 7, 1, (value, value + 1))
    assert found.n_different == 1
    assert found.backends == ("reference", "changed")


def test_a_missing_and_an_added_spike_are_named_with_their_side(events: Events) -> None:
    result = run(events)
    spikes = spikes_of(result, "a")
    sample, step, neuron = gone = spikes[len(spikes) // 2]
    missing = with_spikes(result, "a", [spike for spike in spikes if spike != gone])
    assert compare_results(result, missing).first == Difference("a", "spikes", sample, step, neuron, (1, 0))
    assert compare_results(missing, result).first == Difference("a", "spikes", sample, step, neuron, (0, 1))


def test_all_spikes_gone_is_as_many_differences(events: Events) -> None:
    result = run(events)
    found = compare_results(result, with_spikes(result, "a", []))
    assert found.n_different == len(spikes_of(result, "a")) > 3


@pytest.mark.parametrize("first", ["earlier step of a later sample", "u before v", "first group"])
def test_first_difference_is_the_earliest_and_the_most_upstream(events: Events, first: str) -> None:
    result = run(events)
    later = with_state(result, ("b", "v"), (0, 9, 0), 12345)
    both = {
        "earlier step of a later sample": (("b", "v"), (2, 8, 0)),
        "u before v": (("b", "u"), (0, 9, 0)),
        "first group": (("a", "v"), (0, 9, 0)),
    }
    key, index = both[first]
    found = compare_results(result, with_state(later, key, index, -7777)).first
    assert found is not None
    assert (found.group, found.quantity, found.sample, found.step, found.values[1]) == (*key, *index[:2], -7777)


def test_altered_weight_shows_first_in_the_current_it_feeds(events: Events) -> None:
    weights = WEIGHTS.copy()
    weights[1, 2] += 2
    found = compare_results(run(events), run(events, weights))
    assert found.first is not None
    fired = np.argwhere(events.to_dense()[:, :, 2])
    step = int(fired[:, 1].min()) + 1
    sample = int(fired[fired[:, 1] == step - 1][0, 0])
    assert found.first[:5] == ("a", "u", sample, step, 1)
    assert found.first.values[1] - found.first.values[0] == 2 << 6


def test_what_one_result_lacks_is_listed_and_not_compared(events: Events) -> None:
    result = run(events)
    spikes_only = dataclasses.replace(result, states={})
    found = compare_results(result, spikes_only)
    assert found.equal
    assert found.one_sided == (("a", "u"), ("a", "v"), ("b", "u"), ("b", "v"))
    assert {row.quantity for row in found.compared} == {"spikes"}


def test_results_of_other_lengths_are_refused(events: Events) -> None:
    with pytest.raises(ConfigError, match="shapes .* differ; compare results of the same network"):
        compare_results(run(events), run(events.take([0])))


def test_comparison_as_json(events: Events) -> None:
    result = run(events)
    found = compare_results(result, with_state(result, ("a", "u"), (0, 3, 1), 5)).to_dict()
    assert found["equal"] is False
    assert found["first"] == {
        "group": "a", "quantity": "u", "sample": 0, "step": 3, "neuron": 1,
        "values": [int(result.states["a", "u"][0, 3, 1]), 5],
    }  # fmt: skip
    assert {"group": "a", "quantity": "u", "n_compared": 120, "n_different": 1} in found["compared"]


def test_values_of_messages_are_compared() -> None:
    train = SpikeTrain(*np.array([[0, 0, 1], [2, 3, 1], [4, 0, 2]], np.int32))
    one, other = (
        RunResult({"a": train._replace(value=np.array(values, np.int32))}, {}, None, None, name, "")
        for name, values in (("one", [5, -3, 7]), ("other", [5, 3, 7]))
    )
    assert compare_results(one, one).equal
    found = compare_results(one, other)
    assert found.first == Difference("a", "spikes", 0, 3, 0, (-3, 3))
    assert (found.n_compared, found.n_different) == (3, 1)
    binary = RunResult({"a": train}, {}, None, None, "binary", "")
    assert compare_results(one, binary).n_different == 3, "a spike without values is 1"


def test_every_model_and_all_of_its_states_are_compared() -> None:
    network = model_network(5, MODELS, n_groups=6)
    (found,) = compare_backends(
        Model(network, load_chip("unlimited")), random_values(5, 2, 12, network.n_inputs), ["simulator", "reference"]
    )
    assert found.equal
    assert {(row.group, row.quantity) for row in found.compared} == {
        (group.name, what) for group in network.groups for what in ("spikes", *group.states)
    }


def model() -> Model:
    return Model(network(), load_chip("loihi1"))


def test_built_in_backends_agree(events: Events) -> None:
    (found,) = compare_backends(model(), events, ["simulator", "reference"], n_steps=25)
    assert isinstance(found, Comparison)
    assert found.equal
    assert found.backends == ("simulator", "reference")


@pytest.mark.parametrize("names", [[], ["simulator"], ["simulator", "simulator"]])
def test_fewer_than_two_backends_are_refused(events: Events, names: list[str]) -> None:
    with pytest.raises(ConfigError, match="need two or more different ones"):
        compare_backends(model(), events, names)


def test_every_backend_is_looked_for_before_one_runs(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise AssertionError("ran before all backends were found")

    monkeypatch.setattr("neurosim.simulator.SimulatorRunner.run", fail)
    with pytest.raises(BackendError, match="unknown backend 'simulater'"):
        compare_backends(model(), events, ["simulator", "simulater"])
