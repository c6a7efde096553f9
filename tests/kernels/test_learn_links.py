"""Learning on sparse and shared weights, delays, values and every neuron model: kernel equals twin, votes the dense formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_learning import LINK_NETWORKS, MODEL_GROUPS, link_case
from random_networks import LearningCase

from neurosim.codes import FIRST_FACTOR, KIND, KIND_ROWS, PERTURBED, STAT_DRIVE_STEPS, STAT_SPIKES
from neurosim.compile_network import compile
from neurosim.errors import ConfigError
from neurosim.goals import Wanted
from neurosim.learning.generation import Memory, Outcome, Step, Updated
from neurosim.learning.opening import open_learner
from neurosim.learning.weights import learned_weights
from neurosim.learnplan import initial_weights, make_plan
from neurosim.network import Conv, Dense, Network
from neurosim.reference.learn import links_of

KEY = 0x1234_5678_9ABC_DEF0
RULES = [("response", "trace", 2), ("scalar", "trace", 1), ("scalar", "random", 2), ("scalar", "gaussian", 1)]
EVERY = [*LINK_NETWORKS, *MODEL_GROUPS]


class Ran:
    """One generation, and what the weights made of it show in the next."""

    def __init__(self, case: LearningCase, backend: str, threads: int = 1) -> None:
        learner = open_learner(backend, case.program, case.plan, case.events, case.labels, threads)
        step = Step(256, case.scales.step_shift, 77)
        before = initial_weights(case.program, case.plan)
        learner.load(before)
        self.outcome = learner.evaluate(case.ids, case.response, case.scales, KEY)
        self.apart = before.copy()
        self.updated = learner.update(self.apart, self.outcome.votes, step)
        self.after = learner.evaluate(case.ids, case.response, case.scales, KEY + 1)
        self.full = before.copy()
        learner.load(self.full)
        memory = Memory(np.zeros(case.response.shape, np.int64), case.response.copy(), 2)
        ((_, self.updated_at_once),) = learner.learn(self.full, memory, case.ids[None], case.scales, [KEY], [step])
        self.after_learn = learner.evaluate(case.ids, case.response, case.scales, KEY + 1)
        learner.close()
        self.moved = int(np.count_nonzero(self.full != before))


def assert_same(one: Ran, other: Ran) -> None:
    for what in ("outcome", "updated", "after", "full", "apart", "updated_at_once", "after_learn"):
        a, b = getattr(one, what), getattr(other, what)
        if isinstance(a, (Outcome, Updated)):
            for name, part, twin in zip(a._fields, a, b, strict=True):
                np.testing.assert_array_equal(part, twin, err_msg=f"{what} {name}")
        else:
            np.testing.assert_array_equal(a, b, err_msg=what)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(("form", "factor", "rank"), [RULES[0], RULES[2]])
def test_learning_equals_twin(name: str, form: str, factor: str, rank: int) -> None:
    case = link_case(name, form, factor, rank, seed=3)
    kernel = Ran(case, "simulator")
    assert_same(kernel, Ran(case, "reference"))
    assert_same(kernel, Ran(case, "simulator", threads=2))
    # the case must exercise the rule: drive reached every perturbed group, votes moved weights
    perturbed = case.plan.group[:, PERTURBED] == 1
    assert (kernel.outcome.statistics[STAT_DRIVE_STEPS, : len(case.plan.group)][perturbed] > 0).all()
    assert kernel.outcome.votes.any() and kernel.moved
    assert kernel.outcome.statistics[STAT_SPIKES, 1 : len(case.plan.group)].any()
    np.testing.assert_array_equal(kernel.apart, kernel.full)


@pytest.mark.parametrize("name", ["sparse", "conv", "values", "ternary"])
@pytest.mark.parametrize(("form", "factor", "rank"), [RULES[1], RULES[3]])
def test_other_rules_equal_twin(name: str, form: str, factor: str, rank: int) -> None:
    case = link_case(name, form, factor, rank, seed=5)
    assert_same(Ran(case, "simulator"), Ran(case, "reference"))


@pytest.mark.parametrize("name", ["ternary", "multispike", "sigma_delta", "rf"])
@pytest.mark.parametrize("factor", ["full", "full-gaussian"])
def test_full_rank_on_other_models_equals_twin(name: str, factor: str) -> None:
    case = link_case(name, "scalar", factor, 1)
    assert_same(Ran(case, "simulator"), Ran(case, "reference"))


def test_any_size_of_perturbation_equals_twin() -> None:
    for exponent in (-40, -3, 0, 20):
        case = link_case("values", "scalar", "trace", 2)
        case.scales.group[:, 0] = exponent
        assert_same(Ran(case, "simulator"), Ran(case, "reference"))


def written_out(network: Network) -> Network:
    """Return the network with dense connections in place of all others; pairs without a synapse weigh 0."""
    connections = []
    for c in network.connections:
        (pre, post), weight = links_of(c)  # type: ignore[arg-type]
        matrix = np.zeros(c.shape, np.int64)
        stored = c.weights if not hasattr(c, "word") else c.data
        matrix[post, pre] = np.ravel(stored if not isinstance(c, Dense) else np.asarray(c.weights).T)[weight]
        connections.append(Dense(c.source, c.target, matrix, sign_mode="mixed", plastic=c.plastic))
    return replace(network, connections=tuple(connections))


@pytest.mark.parametrize("name", ["sparse", "one to one", "conv", "sparse in circles", "conv in circles"])
@pytest.mark.parametrize(("form", "factor", "rank"), RULES[:3])
def test_votes_equal_those_of_the_network_written_out(name: str, form: str, factor: str, rank: int) -> None:
    """A stored synapse's vote is that of its pair in a dense connection, a shared weight's the sum over its links."""
    case = link_case(name, form, factor, rank)
    program = compile(written_out(case.program.network), "unlimited")
    plan = make_plan(program, "out", form=form, factor=factor, rank=rank, n_pairs=2, n_steps=case.plan.n_steps,
                     error_bits=7, residual_bits=8)  # fmt: skip
    dense = case._replace(program=program, plan=plan)
    found, full = (Ran(each, "simulator").outcome for each in (case, dense))
    for field in ("measured", "predictions", "statistics"):
        np.testing.assert_array_equal(getattr(found, field), getattr(full, field))
    kinds = case.plan.plastic[:-1, KIND]
    assert (kinds != KIND_ROWS).any()
    for c, index in enumerate(case.plan.connections):
        connection = case.program.network.connections[index]
        (pre, post), weight = links_of(connection)  # type: ignore[arg-type]
        of_pairs = full.votes[plan.votes_of(c)].reshape(connection.shape[::-1])
        expected = np.zeros(len(found.votes[case.plan.votes_of(c)]), np.int64)
        np.add.at(expected, weight, of_pairs[pre, post])
        np.testing.assert_array_equal(found.votes[case.plan.votes_of(c)], expected)
        assert expected.any()


@pytest.mark.parametrize("name", LINK_NETWORKS)
def test_learned_weights_are_the_inverse_of_initial_weights(name: str) -> None:
    case = link_case(name)
    full = initial_weights(case.program, case.plan)
    weights = learned_weights(case.program, case.plan, full)
    assert list(weights) == [c.name for c in case.program.network.connections if c.plastic]
    again = compile(case.program.network.with_weights(weights), "unlimited")
    np.testing.assert_array_equal(initial_weights(again, case.plan), full)
    assert again.fingerprint == case.program.fingerprint
    moved = learned_weights(case.program, case.plan, (full + (1 << case.plan.residual_bits)).astype(np.int32))
    for name_of, old in weights.items():
        np.testing.assert_array_equal(moved[name_of], old + 2)


def test_the_programs_own_weights_are_not_written() -> None:
    for name in ("sparse", "conv", "values", "delays"):
        case = link_case(name)
        before = case.program.fingerprint
        assert Ran(case, "simulator").moved
        assert case.program.fingerprint == before


def test_traces_of_values_saturate_at_16_bits() -> None:
    case = link_case("values", "response", "trace", 1, n_steps=12)
    votes = []
    for value in (32767, 1 << 20):  # one spike reaches the limit, or goes far beyond it
        large = np.full(len(case.events.neuron), value, np.int32)
        given = case._replace(events=case.events._replace(value=large))
        kernel = Ran(given, "simulator")
        assert_same(kernel, Ran(given, "reference"))
        votes.append(kernel.outcome.votes[case.plan.votes_of(0)])
    assert votes[0].any() and votes[1].any() and not np.any(votes[0] % 32767) and not np.any(votes[1] % 32767)


@pytest.mark.parametrize("name", ["sparse", "conv"])
def test_full_rank_needs_dense_connections(name: str) -> None:
    with pytest.raises(ConfigError, match="factor 'full' needs dense connections"):
        link_case(name, "scalar", "full", 1)


def test_second_ports_cannot_learn() -> None:
    network = link_case("rf").program.network
    changed = [replace(c, plastic=True) if c.port == "a_imag_in" else c for c in network.connections]  # type: ignore[type-var]
    with pytest.raises(ConfigError, match="learning perturbs port 'a_real_in' of 'a', not 'a_imag_in'"):
        make_plan(compile(replace(network, connections=tuple(changed)), "unlimited"), "out", form="scalar", factor="trace",
                  rank=1, n_pairs=1, n_steps=4, error_bits=7, residual_bits=8)  # fmt: skip


def generations(case: LearningCase, backend: str, threads: int, momentum: int) -> list[np.ndarray]:
    """Three generations at once, with row steps or momentum: all that they change and report."""
    plan = case.plan._replace(momentum=momentum)
    learner = open_learner(backend, case.program, plan, case.events, case.labels, threads)
    full = initial_weights(case.program, plan)
    learner.load(full)
    memory = Memory(np.zeros(case.response.shape, np.int64), np.zeros_like(case.response), 2)
    power = np.zeros(0 if momentum else int(plan.plastic[-1, FIRST_FACTOR]), np.int64)
    average = np.zeros(plan.n_learned if momentum else 0, np.int16)
    shift = np.ones(len(plan.connections), np.int64)
    steps = [Step(300 - g, shift, 77 + g, power, 3, g + 1, 0, average) for g in range(3)]
    ids = np.stack([np.roll(case.ids, g) for g in range(3)])
    found = learner.learn(full, memory, ids, case.scales, [7, 8, 9], steps)
    learner.close()
    assert np.count_nonzero(full != initial_weights(case.program, plan))
    assert average.any() if momentum else power.any()
    reports = [(o.predictions, o.statistics, o.counts, u.counts, np.array(u.n_saturated)) for o, u in found]
    return [full, power, average, memory.accumulated, memory.response, *(part for report in reports for part in report)]


@pytest.mark.parametrize("name", ["sparse", "conv", "conv in circles", "values"])
@pytest.mark.parametrize("momentum", [0, 3])
def test_row_steps_and_momentum_equal_twin(name: str, momentum: int) -> None:
    case = link_case(name, "response", "trace", 2, seed=3)
    expected = generations(case, "reference", 1, momentum)
    for threads in (1, 3):
        for found, part in zip(generations(case, "simulator", threads, momentum), expected, strict=True):
            np.testing.assert_array_equal(found, part)


def test_rows_of_one_source_or_of_a_kernel_are_measured_for_themselves() -> None:
    """Sources without synapses have no power; a kernel's is its first source's."""
    for name in ("sparse", "conv"):
        case = link_case(name, "response", "trace", 2, seed=3)
        power, sizes = generations(case, "simulator", 1, 0)[1], np.diff(case.plan.row_start)
        assert not power[sizes == 0].any() and power[sizes > 0].any()
        for c, connection in enumerate(case.program.network.connections[i] for i in case.plan.connections):
            first, last = case.plan.plastic[c : c + 2, FIRST_FACTOR]
            if isinstance(connection, Conv):
                assert sizes[first] == np.size(connection.weights) and not sizes[first + 1 : last].any()
            elif isinstance(connection, Dense):
                assert (sizes[first:last] == connection.shape[0]).all()
            else:
                np.testing.assert_array_equal(sizes[first:last], np.diff(connection.as_sparse().start))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "setting", "words"),
    [
        ("sparse", {"update": "significance"}, "update 'significance' needs dense connections"),
        ("conv", {"update": "significance"}, "update 'significance' needs dense connections"),
        ("values", {"biases": True}, "biases learn in plain LIF neurons"),
        ("delays", {"thresholds": True}, "thresholds learn in plain LIF neurons"),
        ("conv", {"wanted": Wanted(rate_cost=1.0)}, "the answer is the readout's last voltage"),
    ],
)
def test_what_is_not_known_of_such_networks_is_refused(name: str, setting: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_plan(link_case(name).program, "out", form="scalar", factor="trace", rank=1, n_pairs=1, n_steps=4, error_bits=7,
                  residual_bits=8, **setting)  # fmt: skip
