"""Kinds of fitness, windows with answers and costs: kernels equal twins, and numbers that can be followed by hand."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from random_networks import LAYOUTS, RULES, LearningCase, learning_case

from neurosim.aims import Readouts, last_step
from neurosim.codes import CORRECT, IMBALANCE, LABELLED, LIKELIHOOD, NOISE_EXP, SPREAD, STAT_TOTALS
from neurosim.compile_network import compile
from neurosim.errors import ConfigError
from neurosim.events import events_from_dense
from neurosim.goals import VTH_MAX, Wanted, make_goal
from neurosim.learning.generation import Outcome
from neurosim.learning.opening import open_learner
from neurosim.learnplan import FORMS, Scales, make_plan
from neurosim.network import LIF, Dense, Input, Network
from neurosim.reference.fitness import log_softmax

KEY = 0x0123_4567_89AB_CDEF
PLAIN = ("response", "trace", 1), ("scalar", "trace", 2), ("scalar", "random", 2), ("scalar", "full", 1)
WINDOWED = ("response", "trace", 3), ("scalar", "trace", 3), ("scalar", "random", 2)
SCALAR_ONLY = ("trace", "function")


def rated(seen: Readouts) -> np.ndarray:
    """A fitness of the user's: something of everything that it can see."""
    return (seen.values.sum(axis=(2, 3)) >> 3) + 100 * seen.counts[..., 0].sum(axis=2) - seen.first.sum(axis=(2, 3))


def wanted_case(layout: str, rule: tuple[str, str, int], wanted: Wanted, vth: int, **options: int) -> LearningCase:
    """Return a learning case whose readout has a threshold and no leak, with labels as the goal needs them."""
    case = learning_case(layout, *rule, **({"seed": 5, "n_samples": 3} | options))
    network, (form, factor, rank) = case.program.network, rule
    dv = 0 if wanted.window_read == "since" else 300
    groups = tuple(dataclasses.replace(g, vth=vth, dv=dv) if g.name == "out" else g for g in network.groups)
    program = compile(Network(groups, network.connections, network.probes), "unlimited")
    plan = make_plan(
        program, "out", form=form, factor=factor, rank=rank, n_pairs=case.plan.n_pairs, n_steps=case.plan.n_steps,
        error_bits=7, residual_bits=8, wanted=wanted,
    )  # fmt: skip
    labels = case.labels
    if plan.goal.windows:
        labels = np.random.default_rng(1).integers(-1, plan.n_classes, (case.events.n_samples, rank))
    scales = case.scales._replace(balance_shift=4, fitness_shift=14 if wanted.fitness == "trace" else 1)
    scales.group[:, NOISE_EXP] += 2  # so that perturbations change when the readout fires
    return case._replace(program=program, plan=plan, labels=labels, scales=scales)


def evaluate(case: LearningCase, backend: str, threads: int = 1, function: Callable = rated) -> Outcome:
    rng, kind = np.random.default_rng(2), case.plan.goal.kind
    shape = (case.events.n_samples, case.plan.n_steps, case.plan.n_classes)
    goal = {3: {"targets": rng.integers(-3000, 3000, shape)}, 4: {"fitness": function}}.get(kind, {})
    learner = open_learner(backend, case.program, case.plan, case.events, case.labels, threads, **goal)
    outcome = learner.evaluate(case.ids, case.response, case.scales, KEY)
    learner.close()
    return outcome


def assert_same(one: Outcome, other: Outcome) -> None:
    for name, part, twin in zip(Outcome._fields, one, other, strict=True):
        np.testing.assert_array_equal(part, twin, err_msg=name)


@pytest.mark.parametrize("kind", ["count", "first-spike", "trace", "function"])
@pytest.mark.parametrize("rule", PLAIN, ids=str)
@pytest.mark.parametrize("layout", ["one hidden", "two hidden", "recurrent", "two inputs"])
def test_kinds_of_fitness_equal_twin(layout: str, rule: tuple[str, str, int], kind: str) -> None:
    if rule[0] == "response" and kind in SCALAR_ONLY:
        pytest.skip("the response form needs an error for each readout, which this kind has not")
    case = wanted_case(layout, rule, Wanted(kind), vth=40, n_samples=6)
    outcome = evaluate(case, "simulator")
    assert_same(outcome, evaluate(case, "reference"))
    assert_same(outcome, evaluate(case, "simulator", threads=2))
    assert outcome.votes.any() and outcome.statistics[STAT_TOTALS, LIKELIHOOD] != 0


@pytest.mark.parametrize("read", ["since", "end"])
@pytest.mark.parametrize("response", ["shared", "own"])
@pytest.mark.parametrize("rule", WINDOWED, ids=str)
@pytest.mark.parametrize("kind", ["likelihood", "count", "first-spike", "function"])
def test_windows_with_answers_equal_twin(kind: str, rule: tuple[str, str, int], response: str, read: str) -> None:
    if rule[0] == "response" and kind in SCALAR_ONLY:
        pytest.skip("the response form needs an error for each readout, which this kind has not")
    vth = VTH_MAX if kind == "likelihood" else 40
    case = wanted_case("two hidden", rule, Wanted(kind, True, response, read), vth)
    outcome = evaluate(case, "simulator")
    assert_same(outcome, evaluate(case, "reference"))
    assert outcome.predictions.shape == case.labels[case.ids].shape
    assert outcome.statistics[STAT_TOTALS, LABELLED] == (case.labels[case.ids] >= 0).sum() < case.labels[case.ids].size
    assert outcome.statistics[STAT_TOTALS, CORRECT] == (outcome.predictions == case.labels[case.ids]).sum()
    assert outcome.votes.any()


@pytest.mark.parametrize("kind", ["likelihood", "trace"])
@pytest.mark.parametrize("rule", [*PLAIN, WINDOWED[0]], ids=str)
@pytest.mark.parametrize("layout", ["two hidden", "recurrent"])
def test_costs_equal_twin_and_change_votes(layout: str, rule: tuple[str, str, int], kind: str) -> None:
    if rule[0] == "response" and kind in SCALAR_ONLY:
        pytest.skip("the response form needs an error for each readout, which this kind has not")
    free = wanted_case(layout, rule, Wanted(kind), VTH_MAX)
    for costs in ({"rate_cost": 2.0, "rate_target": 0.05}, {"balance_cost": 1.0}):
        if "balance_cost" in costs and rule[0] == "response":
            continue  # refused: see below
        case = wanted_case(layout, rule, Wanted(kind, **costs), VTH_MAX)
        outcome = evaluate(case, "simulator")
        assert_same(outcome, evaluate(case, "reference"))
        assert not np.array_equal(outcome.votes, evaluate(free, "simulator").votes)
        assert (outcome.statistics[STAT_TOTALS, IMBALANCE] > 0) == ("balance_cost" in costs)


def hand_case(weights: list[int], rule: tuple[str, str, int], wanted: Wanted, vth: int, labels: list) -> LearningCase:
    """Return three inputs that fire in steps 0, 1 and 4, and two readouts that hear them alone, in six steps."""
    groups = (Input("in", 3), LIF("out", 2, du=4095, dv=0, vth=vth))
    connections = (Dense("in", "out", [weights, [-w for w in weights]], plastic=True),)
    program = compile(Network(groups, connections), "unlimited")
    plan = make_plan(
        program, "out", form=rule[0], factor=rule[1], rank=rule[2], n_pairs=1, n_steps=6, error_bits=7, residual_bits=8,
        wanted=wanted,
    )  # fmt: skip
    dense = np.zeros((1, 5, 3), np.bool_)
    dense[0, [0, 1, 4], [0, 1, 2]] = True
    response = np.zeros((rule[2], 2, 5), np.int32)
    scales = Scales(np.array([[0, 0, 0], [0, 0, 0]]), np.array([0]), temperature=3, fitness_shift=0)
    return LearningCase(program, plan, scales, events_from_dense(dense), np.array(labels), np.array([0]), response)


@pytest.mark.parametrize("backend", ["simulator", "reference"])
def test_what_a_function_sees_followed_by_hand(backend: str) -> None:
    """Weights 10, 10, 20 reach readout 0 in steps 1, 2, 5: v = 640, 1280, then 1280 + 1280 above 1900 fires once."""
    seen: list[Readouts] = []

    def function(found: Readouts) -> np.ndarray:
        seen.append(found)
        return np.zeros(found.values.shape[:2], np.int64)

    case = hand_case([10, 10, 20], ("scalar", "trace", 2), Wanted("function", True, window_read="since"), 30, [[0, -1]])
    case.scales.group[:, 0] = -60  # members are not perturbed
    evaluate(case, backend, function=function)
    (found,) = seen
    assert found.ids.tolist() == [0]
    assert [part.shape for part in found[1:]] == 3 * [(1, 3, 2, 2)]
    for member in range(3):
        assert found.values[0, member].tolist() == [[1280, -1280], [-1280, -1280]]
        assert found.counts[0, member].tolist() == [[0, 0], [1, 0]]
        assert found.first[0, member].tolist() == [[-1, -1], [5, -1]]


@pytest.mark.parametrize("backend", ["simulator", "reference"])
def test_votes_of_windows_reach_back_as_far_as_the_voltage_keeps(backend: str) -> None:
    """A readout without leak keeps everything: read at its end, a window's inputs also answer for later windows."""
    for read, keeps in (("since", 0), ("end", 1)):
        case = hand_case(
            [10, 10, 20], ("response", "trace", 2), Wanted(windowed=True, window_read=read), VTH_MAX, [[0, 1]]
        )
        outcome = evaluate(case, backend)
        votes = outcome.votes.reshape(3, 2)
        late = votes[2]  # its spike arrives in the second window
        assert late[0] == -late[1] < 0  # readout 0 is high and class 1 was right
        early = votes[0]
        z = 1280 if read == "since" else 1280 + 1280
        assert outcome.statistics[STAT_TOTALS, SPREAD] == 2 * (1280 + z)
        assert (early[0] - keeps * late[0] > 0) and early.tolist() == votes[1].tolist()
        assert early[0] + early[1] == 0


@pytest.mark.parametrize("backend", ["simulator", "reference"])
def test_trace_fitness_is_the_squared_distance(backend: str) -> None:
    """Voltages 0, 640, 1280, 1280, 1280, 2560 against zeros, each shifted by the temperature: 2 (80**2 + 3 160**2 + 320**2)."""
    case = hand_case([10, 10, 20], ("scalar", "trace", 1), Wanted("trace"), VTH_MAX, [-1])
    learner = open_learner(
        backend, case.program, case.plan, case.events, case.labels, 1, targets=np.zeros((1, 6, 2), np.int64)
    )
    outcome = learner.evaluate(case.ids, case.response, case.scales, KEY)
    learner.close()
    assert outcome.statistics[STAT_TOTALS, LIKELIHOOD] == -2 * (80**2 + 3 * 160**2 + 320**2)
    assert outcome.statistics[STAT_TOTALS, LABELLED] == 0
    assert outcome.statistics[STAT_TOTALS, SPREAD] == 2 * (640 + 3 * 1280 + 2560) // 12


@pytest.mark.parametrize("backend", ["simulator", "reference"])
def test_a_function_of_ones_own_that_is_the_likelihood_gives_its_outcome(backend: str) -> None:
    rule = ("scalar", "trace", 1)
    own = wanted_case("two hidden", rule, Wanted("function"), VTH_MAX)

    def likelihood(seen: Readouts) -> np.ndarray:
        z, labels = seen.values[:, :, 0], own.labels[seen.ids]
        rows = [
            [log_softmax(member, int(label), own.scales.temperature, 7)[0] for member in row]
            for row, label in zip(z, labels, strict=True)
        ]
        return np.array(rows, np.int64)

    plain = wanted_case("two hidden", rule, Wanted(), VTH_MAX)
    assert_same(evaluate(own, backend, function=likelihood), evaluate(plain, backend))


@pytest.mark.parametrize("layout", [*LAYOUTS])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_traced_voltages_leave_the_rule_as_it_is(layout: str, rule: tuple[str, str, int]) -> None:
    """A balance cost too small to change anything only makes the kernel take its other way."""
    case = wanted_case(layout, rule, Wanted(), VTH_MAX, n_samples=2)
    traced = case._replace(plan=case.plan._replace(goal=case.plan.goal._replace(voltages=1)))
    assert_same(evaluate(traced, "simulator"), evaluate(case, "simulator"))


def test_windows_divide_the_steps() -> None:
    for n_steps in range(1, 40):
        for rank in range(1, n_steps + 1):
            windows = [t * rank // n_steps for t in range(n_steps)]
            assert [last_step(w, rank, n_steps) for w in range(rank)] == [
                max(t for t in range(n_steps) if windows[t] == w) for w in range(rank)
            ]


@pytest.mark.parametrize(
    ("wanted", "form", "group", "telling"),
    [
        (Wanted("best"), "scalar", {}, "unknown fitness 'best'; choose one of likelihood"),
        (Wanted(window_response="mine"), "scalar", {}, "unknown window_response 'mine'"),
        (Wanted(window_read="begin"), "scalar", {}, "unknown window_read 'begin'"),
        (Wanted("count"), "scalar", {}, "cannot fire .*readout_threshold above 0"),
        (Wanted("first-spike"), "response", {}, "cannot fire"),
        (Wanted("trace"), "response", {}, "no error for each readout.*set form 'scalar'"),
        (Wanted("function"), "response", {}, "no error for each readout"),
        (Wanted(windowed=True), "response", {"dv": 5}, "leaks .dv 5.; set window_read 'end'"),
        (Wanted(balance_cost=1.0), "response", {}, "balance_cost 1.0 is taken off a fitness"),
        (Wanted("function", rate_cost=1.0), "scalar", {}, "rate_cost and balance_cost are terms of built-in kinds"),
    ],
)
def test_goals_that_make_no_sense_are_refused(wanted: Wanted, form: str, group: dict, telling: str) -> None:
    readout = LIF("out", 3, **({"vth": VTH_MAX} | group))
    with pytest.raises(ConfigError, match=telling):
        make_goal(readout, FORMS[form], 4, 8, 7, 10, wanted)


def test_windows_beyond_the_steps_or_32_bits_are_refused() -> None:
    with pytest.raises(ConfigError, match="9 windows with an answer each, and 8 steps"):
        make_goal(LIF("out", 3, vth=VTH_MAX), 0, 9, 8, 7, 10, Wanted(windowed=True))
    with pytest.raises(ConfigError, match="beyond 32 bits; lower rule.rank"):
        make_goal(LIF("out", 2000, vth=VTH_MAX), 0, 8, 8, 12, 10, Wanted(windowed=True))
