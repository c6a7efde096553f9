"""Updates by significance and by momentum; biases and thresholds that learn: exact, unbiased, within their formats."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from random_networks import LearningCase, learning_case

from neurosim.backend import get_backend
from neurosim.codes import KIND_BIAS, KIND_THRESHOLD, NEURON_GROUP, NEURON_KIND, START, STOP
from neurosim.compile_network import compile
from neurosim.counters import COLUMN, N_COUNTERS
from neurosim.errors import ConfigError, DataError, FeatureError
from neurosim.kernels import directions
from neurosim.kernels.directions import integer_root, keep_significant
from neurosim.kernels.neuron_params import update_neurons
from neurosim.layerplan import lay_lanes
from neurosim.learning.generation import Memory, Outcome, Step
from neurosim.learning.opening import open_learner
from neurosim.learning.population import SimulatorLearner
from neurosim.learning.weights import learned_weights
from neurosim.learnplan import (
    UPDATES,
    LearnPlan,
    Squares,
    initial_weights,
    learned_neurons,
    make_plan,
    neuron_range,
)
from neurosim.network import LIF, Dense, Input, Network, Probe
from neurosim.reference.weights import update_weights as twin
from neurosim.stepsize import significance

KEY = 77
NEURONS = {"biases": True, "thresholds": True}
#: Layout, form, factor, rank: layers, circles, two inputs, a readout that does not learn; each pre factor once or more.
CASES = [
    ("one hidden", "response", "trace", 1),
    ("two inputs", "response", "trace", 3),
    ("recurrent", "scalar", "trace", 2),
    ("one hidden", "scalar", "random", 2),
    ("frozen readout", "scalar", "gaussian", 1),
    ("recurrent", "scalar", "full", 1),
    ("one hidden", "scalar", "full-gaussian", 1),
]
SETTINGS: dict[str, dict[str, Any]] = {
    "neurons": NEURONS,
    "significance": {"update": "significance", **NEURONS},
    "momentum": {"momentum": 3, **NEURONS},
}


def with_rule(
    case: LearningCase, form: str = "scalar", factor: str = "trace", rank: int = 1, **rule: Any
) -> LearningCase:
    """Return the case under another rule."""
    settings: dict[str, Any] = {"n_pairs": 2, "n_steps": 8, "error_bits": 7, "residual_bits": 5} | rule
    plan = make_plan(case.program, "out", form=form, factor=factor, rank=rank, **settings)
    return case._replace(plan=plan)


def ruled(
    layout: str = "one hidden", form: str = "scalar", factor: str = "trace", rank: int = 1, **rule: Any
) -> LearningCase:
    return with_rule(learning_case(layout, form, factor, rank, seed=3), form, factor, rank, **rule)


def shifts(plan: LearnPlan, shift: int = 5) -> npt.NDArray[np.int64]:
    return np.full(len(plan.connections) + len(plan.neuron) - 1, shift, np.int64)


def averages(plan: LearnPlan) -> npt.NDArray[np.int16]:
    return np.zeros(plan.n_learned if plan.momentum else 0, np.int16)


def memory(case: LearningCase) -> Memory:
    """Return a response that learning may change."""
    return Memory(np.zeros(case.response.shape, np.int64), case.response.copy(), 5)


def generations(case: LearningCase, backend: str, threads: int = 1, apart: bool = False, n: int = 3) -> list[Any]:
    """Return all that some generations leave, evaluated and updated at once or apart."""
    learner = open_learner(backend, case.program, case.plan, case.events, case.labels, threads)
    full, average, found = initial_weights(case.program, case.plan), averages(case.plan), []
    learner.load(full)
    for g in range(n):
        step = Step(300, shifts(case.plan), 5 + g, z=200, average=average)
        if apart:
            outcome: Outcome = learner.evaluate(case.ids, case.response, case.scales, KEY + g)
            updated = learner.update(full, outcome.votes, step, outcome.squares)
        else:
            ((outcome, updated),) = learner.learn(full, memory(case), case.ids[None], case.scales, [KEY + g], [step])
        found += [outcome.predictions, outcome.statistics, outcome.counts, updated.counts,
                  updated.n_saturated, full.copy(), average.copy()]  # fmt: skip
    learner.close()
    return found


def assert_same(one: list[Any], other: list[Any]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_kernel_equals_twin(case: tuple[str, str, str, int], setting: str) -> None:
    layout, form, factor, rank = case
    if setting == "significance" and factor.startswith("full"):
        return  # refused, see below
    made = ruled(layout, form, factor, rank, gate=rank == 2, one_group=rank == 1, **SETTINGS[setting])
    expected = generations(made, "reference")
    assert_same(generations(made, "simulator"), expected)
    assert_same(generations(made, "simulator", threads=3), expected)
    assert_same(generations(made, "simulator", threads=2, apart=True), expected)
    start, full = initial_weights(made.program, made.plan), expected[-2]
    changed = set()
    for q, row in enumerate(made.plan.neuron[:-1]):
        where = made.plan.votes_of_neurons(q)
        changed |= {int(row[NEURON_KIND])} if (full[where] != start[where]).any() else set()
    assert changed == {KIND_BIAS, KIND_THRESHOLD}


@pytest.mark.parametrize("setting", ["significance", "momentum"])
def test_significance_and_momentum_change_what_is_learned(setting: str) -> None:
    plain, other = ruled(), ruled(**(SETTINGS[setting] | {"biases": False, "thresholds": False}))
    assert (generations(plain, "simulator")[-2] != generations(other, "simulator")[-2]).any()


def test_integer_root_is_exact() -> None:
    rng = np.random.default_rng(1)
    roots = [0, 1, 2, 3, (1 << 31) - 1, *rng.integers(0, 1 << 31, 200).tolist()]
    for root in roots:
        assert integer_root(root * root) == root
        assert root == 0 or integer_root(root * root - 1) == root - 1
        assert integer_root(min(root * root + 2 * root, (1 << 62) - 1)) == root


# Significance


def chance_votes(seed: int, n_terms: int, shape: tuple[int, int]) -> tuple[npt.NDArray[np.int64], Squares]:
    """Return votes without signal: gated signs times local votes of many sizes, each neuron's and source's own."""
    rng = np.random.default_rng(seed)
    pre = rng.choice([-1, 1], (n_terms, shape[0])) * (rng.random((n_terms, shape[0])) < rng.uniform(0.2, 1, shape[0]))
    post = np.rint(rng.normal(0, 1, (n_terms, shape[1])) * rng.uniform(20, 400, shape[1])).astype(np.int64)
    squares = Squares(np.square(pre).sum(0), np.square(post).sum(0), n_terms, np.zeros(0, np.int64))
    return pre.T @ post, squares


@pytest.mark.parametrize("share", [0.5, 0.125, 0.02])
def test_without_signal_the_share_that_moves_is_the_chosen_one(share: float) -> None:
    """Within 5 standard deviations of a count of independent weights, and 2 % for roots rounded down and few terms."""
    case = ruled("wide", update="significance", residual_bits=0)
    plan, learner = case.plan, SimulatorLearner(case.program, case.plan, case.events, case.labels, 1)
    n, moved, n_runs = plan.n_weights, 0, 5
    for seed in range(n_runs):
        found = [chance_votes(10 * seed + c, 400, case.program.network.connections[i].shape[::-1])
                 for c, i in enumerate(plan.connections)]  # fmt: skip
        columns = np.zeros(case.program.network.n_neurons, np.int64)
        for (_, squares), i in zip(found, plan.connections, strict=True):
            row = case.program.arrays.group[case.program.arrays.conn[i, 1]]
            columns[row[START] : row[STOP]] = squares.columns
        squares = Squares(np.concatenate([s.rows for _, s in found]), columns, 400, np.zeros(0, np.int64))
        full = np.zeros(plan.n_learned, np.int32)
        learner.load(full)
        votes = np.concatenate([v.ravel() for v, _ in found])
        z = significance(int(share * 2**32))
        learner.update(full, votes, Step(256 * 256, shifts(plan), seed, z=z), squares)
        moved += int(np.count_nonzero(full))
        assert set(np.unique(full)) == {-1, 0, 1}  # a step of 1.0 and no residual: one unit of the chip's weight
        np.testing.assert_array_equal(np.sign(full), np.sign(votes) * (full != 0))
    learner.close()
    total = n * n_runs
    assert abs(moved - share * total) <= 5 * (total * share * (1 - share)) ** 0.5 + 0.02 * share * total


def test_a_signal_moves_its_weight_its_way() -> None:
    votes = np.array([1000, -1000, 30, -30, 0], np.int32)
    keep_significant(
        votes, 2 * 256 * 256, np.full(5, 16 * 20, np.int64)
    )  # z = 2, root mean square 1, column 20: beyond 40
    assert votes.tolist() == [1, -1, 0, 0, 0]


@pytest.mark.parametrize("sign", [1, -1])
def test_ties_never_move(sign: int) -> None:
    columns = np.array([16 * 20], np.int64)
    for vote, expected in ((40, 0), (41, sign)):
        votes = np.array([sign * vote], np.int32)
        keep_significant(votes, 2 * 256 * 256, columns)
        assert votes.tolist() == [expected]
    votes = np.zeros(1, np.int32)
    keep_significant(votes, 0, columns)  # even where everything else does
    assert votes.tolist() == [0]


def update(case: LearningCase, full: Any, votes: Any, **step: Any) -> tuple[npt.NDArray[np.int32], int]:
    """Return weights after the learner's update, and how many met the end of their range."""
    plan, weights = case.plan, np.array(full, np.int32)
    learner = SimulatorLearner(case.program, plan, case.events, case.labels, 2)
    learner.load(weights)
    quiet = Squares(
        np.zeros(int(plan.plastic[-1, 2]), np.int64), np.zeros(case.program.network.n_neurons, np.int64), 1,
        np.zeros(plan.n_learned - plan.n_weights, np.int64),
    )  # fmt: skip
    given = {"size": 256 * 256, "shift": shifts(plan), "key": 1, "average": averages(plan)} | step
    done = learner.update(weights, np.asarray(votes, np.int64), Step(**given), quiet)
    learner.close()
    return weights, done.n_saturated


@pytest.mark.parametrize("rule", [{"update": "significance"}, {"momentum": 1}], ids=["significance", "momentum"])
@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("residual_bits", [0, 5, 16])
def test_steps_of_equal_size_are_the_same_part_of_every_format(
    rule: dict[str, Any], bits: int, residual_bits: int
) -> None:
    """A step of 1.0 is 1/256 of the range: exact where the residual has the bits, exact in the mean where not."""
    case = with_rule(learning_case("wide", bits=bits), residual_bits=residual_bits, **rule)
    n, lost = case.plan.n_learned, 8 - bits - residual_bits
    votes = np.where(np.arange(n) % 2, 1 << 20, -(1 << 20))
    start = np.minimum(0, -np.sign(votes))  # where the format of one bit has room as well
    full, n_saturated = update(case, start, votes)
    change = (full - start) * np.sign(votes)
    assert n_saturated == 0
    if lost <= 0:
        np.testing.assert_array_equal(change, 1 << -lost)
        return
    chance = 2.0**-lost
    assert abs(np.sum(change) - n * chance) <= 5 * (n * chance * (1 - chance)) ** 0.5


@pytest.mark.parametrize("rule", [{"update": "significance"}, {"momentum": 2}], ids=["significance", "momentum"])
@pytest.mark.parametrize("sign", [1, -1])
def test_both_ends_saturate(rule: dict[str, Any], sign: int) -> None:
    case = ruled(residual_bits=3, **NEURONS, **rule)
    plan, votes = case.plan, np.full(case.plan.n_learned, sign << 24)
    full = initial_weights(case.program, plan)
    for size in (2**40, 2**16):  # far beyond the end, then against it
        full, n_saturated = update(case, full, votes, size=size)
        assert n_saturated == plan.n_learned
    for weights in learned_weights(case.program, plan, full).values():
        assert np.unique(weights).tolist() == [254 if sign > 0 else -256]
    for group in learned_neurons(case.program, plan, full).values():
        ends = neuron_range(KIND_BIAS)[sign > 0], neuron_range(KIND_THRESHOLD)[sign > 0]
        assert set(np.asarray(group.bias_mant).tolist()) == {ends[0]}
        assert group.name == "out" or set(np.asarray(group.vth).tolist()) == {ends[1]}
    assert neuron_range(KIND_BIAS) == (-4096, 4095) and neuron_range(KIND_THRESHOLD) == (1, 131071)


# Momentum


def follow_average(*given: Any) -> None:
    """Call the kernel; hashes wrap, and say so where kernels run as plain Python."""
    with np.errstate(over="ignore"):
        directions.follow_average(*given)


def test_averages_round_without_bias() -> None:
    """From rest, the mean of M is the vote / 2**momentum: within 5 standard deviations of a sum of independent draws."""
    n, momentum = 20_000, 4
    for vote in (1, -1, 5, -37):
        votes, average = np.full(n, vote, np.int32), np.zeros(n, np.int16)
        follow_average(votes, average, 0, momentum, np.uint64(9))
        fraction = vote % (1 << momentum)
        spread = (n * fraction * ((1 << momentum) - fraction)) ** 0.5
        assert abs((int(average.sum()) << momentum) - n * vote) <= 5 * spread
        np.testing.assert_array_equal(votes, np.sign(average))


def test_averages_forget_what_no_longer_comes() -> None:
    """Small votes turn an average around; rounded toward zero, one of 15 would stay 15 and its sign with it."""
    average = np.full(1000, 15, np.int16)
    for g in range(200):
        votes = np.full(1000, -1, np.int32)
        follow_average(votes, average, 0, 4, np.uint64(g))
    assert -2 < average.mean() < 0 and np.abs(average).max() <= 2


def test_averages_stay_in_16_bits_and_silent_weights_as_they_are() -> None:
    extremes = np.array([2**31 - 1, -(2**31), 0], np.int32)
    average = np.array([0, 0, 123], np.int16)
    for g in range(400):
        votes = extremes.copy()
        follow_average(votes, average, -11, 3, np.uint64(g))
        assert votes.tolist()[:2] == [1, -1]
    assert average.tolist() == [32767, -32767, 123]
    assert votes[2] == 0


@pytest.mark.parametrize("momentum", [1, 4, 12])
@pytest.mark.parametrize("vote_shift", [-3, 0, 7])
def test_momentum_equals_twin_over_many_updates(momentum: int, vote_shift: int) -> None:
    case = ruled("two inputs", momentum=momentum, **NEURONS)
    plan, rng = case.plan, np.random.default_rng(momentum)
    learner = SimulatorLearner(case.program, plan, case.events, case.labels, 1)
    full, average = initial_weights(case.program, plan), averages(plan)
    expected, kept = full.astype(np.int64), average.copy()
    for g in range(20):
        votes = rng.integers(-(10**5), 10**5, plan.n_learned) * rng.integers(0, 2, plan.n_learned)
        step = Step(7777, shifts(plan, vote_shift), g, average=average)
        updated = learner.update(full, votes, step)
        new = twin(plan, expected, votes, 7777, step.shift, g, averages=kept, program=case.program)
        expected, kept = new.full, new.averages
        np.testing.assert_array_equal(full, expected)
        np.testing.assert_array_equal(average, kept)
        assert updated.n_saturated == new.n_saturated
        assert updated.counts[:, COLUMN["weight_updates"]].sum() == sum(new.n_changed)
    learner.close()


# Biases and thresholds


def test_initial_biases_and_thresholds_are_the_network_s() -> None:
    case = ruled(**NEURONS)
    learned = learned_neurons(case.program, case.plan, initial_weights(case.program, case.plan))
    assert set(learned) == {"hidden", "out"}
    for name, group in learned.items():
        given = case.program.network.group(name)
        assert isinstance(given, LIF)
        assert np.abs(group.bias - given.bias).max() <= 32  # registers of 64 units
        assert set(np.broadcast_to(group.vth, given.n).tolist()) == {given.vth}
    assert len(np.atleast_1d(learned["out"].vth)) == 1  # a readout only integrates


@pytest.mark.parametrize("rank", [1, 3])
def test_votes_are_sums_over_steps_and_spikes(rank: int) -> None:
    """With traces: a bias hears a spike in every step, a threshold the neuron's own, which its targets hear too."""
    case = ruled("one hidden", "response", "trace", rank, **NEURONS)
    plan, learner = case.plan, SimulatorLearner(case.program, case.plan, case.events, case.labels, 1)
    learner.load(initial_weights(case.program, plan))
    votes = learner.evaluate(case.ids, case.response, case.scales, KEY).votes
    n, terms, lanes = plan.n_steps, learner.terms, learner.lanes
    steps = np.bincount(np.arange(n) * rank // n, minlength=rank)
    kinds = set()
    for q, row in enumerate(plan.neuron[:-1]):
        name = case.program.group_names[row[NEURON_GROUP]]
        lane, width = int(lanes.first[row[NEURON_GROUP]]), case.program.network.group(name).n
        local = terms.post[:, :, lane : lane + width].astype(np.int64)
        if row[NEURON_KIND] == KIND_BIAS:
            expected = np.einsum("r,rtk->k", steps, local)
        else:
            assert name == "hidden"
            first, last = plan.plastic[1:3, 2]  # pre factors of hidden -> out
            expected = -(terms.pre[:, :, first:last].astype(np.int64) * local).sum(axis=(0, 1))
        np.testing.assert_array_equal(votes[plan.votes_of_neurons(q)], expected)
        assert expected.any()
        kinds.add(int(row[NEURON_KIND]))
    learner.close()
    assert kinds == {KIND_BIAS, KIND_THRESHOLD}


@pytest.mark.parametrize("layout", ["one hidden", "recurrent"])
def test_the_network_with_what_it_learned_answers_as_the_learner_does(layout: str) -> None:
    case = ruled(layout, "response", "trace", 1, **NEURONS)
    learner = open_learner("simulator", case.program, case.plan, case.events, case.labels, 1)
    full, ids = initial_weights(case.program, case.plan), np.arange(len(case.labels))
    learner.load(full)
    for g in range(6):
        learner.learn(full, memory(case), case.ids[None], case.scales, [g], [Step(256, shifts(case.plan, 4), g)])
    expected = learner.evaluate(ids, case.response, case.scales, 1)
    learner.close()
    learned = learned_neurons(case.program, case.plan, full)
    assert len(np.unique(learned["hidden"].vth)) > 1 and len(np.unique(learned["hidden"].bias)) > 1
    network = case.program.network.with_weights(learned_weights(case.program, case.plan, full))
    groups = tuple(learned.get(group.name, group) for group in network.groups)
    program = compile(replace(network, groups=groups, probes=(Probe("out", "v"), Probe("hidden"))), "unlimited")
    for backend in ("simulator", "reference"):
        with get_backend(backend).open(program) as runner:
            result = runner.run(case.events.take(ids), case.plan.n_steps)
        final = result.states["out", "v"][:, -1, :]
        np.testing.assert_array_equal(final.argmax(axis=1), expected.predictions)
        spread = (final.max(axis=1) - final.min(axis=1)).sum()
        assert spread == expected.statistics[4, 2]  # SPREAD: the same voltages, not only the same winner


def test_updates_of_neurons_write_the_lanes() -> None:
    case = ruled("recurrent", **NEURONS)
    plan, lanes = case.plan, lay_lanes(case.program)
    learner = SimulatorLearner(case.program, plan, case.events, case.labels, 1)
    full = initial_weights(case.program, plan)
    learner.load(full)
    counts = np.zeros((len(case.program.rows), N_COUNTERS), np.int64)
    votes = np.full(plan.n_learned - plan.n_weights, 64)
    with np.errstate(over="ignore"):
        update_neurons(
            learner.arrays,
            learner.lanes,
            plan,
            votes,
            votes,
            full,
            1,
            shifts(plan, 0),
            np.uint64(1),
            0,
            averages(plan),
            counts,
        )
    learner.load(full)
    hidden = int(lanes.first[1])
    bias = learned_neurons(case.program, plan, full)["hidden"].bias
    vth = np.asarray(learned_neurons(case.program, plan, full)["hidden"].vth)
    n = len(bias)
    np.testing.assert_array_equal(learner.lanes.bias[hidden : hidden + n], bias)
    np.testing.assert_array_equal(learner.lanes.threshold[hidden : hidden + n], vth << 6)
    np.testing.assert_array_equal(learner.lanes.half[hidden : hidden + n], (vth << 6) // 2)
    np.testing.assert_array_equal(vth, 102)  # 100, and 64 of 2**5 residual units
    assert (lay_lanes(case.program).threshold == lanes.threshold).all()  # the program is nobody's to change
    learner.close()


def test_a_bias_that_a_learned_one_cannot_hold_is_refused() -> None:
    case = ruled(**NEURONS)
    network = case.program.network
    groups = tuple(
        replace(group, bias_mant=4095, bias_exp=7) if group.name == "hidden" else group for group in network.groups
    )
    program = compile(replace(network, groups=groups), "unlimited")
    with pytest.raises(
        ConfigError, match="'hidden': bias 524160 is beyond what a bias that learns can hold, -262144..262080"
    ):
        initial_weights(program, case.plan)


# What does not go together


def test_rules_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="momentum 2 averages votes that update 'significance' judges"):
        ruled(update="significance", momentum=2)
    with pytest.raises(ConfigError, match="factor 'full' has not; choose trace"):
        ruled(factor="full", update="significance")
    with pytest.raises(ConfigError, match="unknown update 'sign'; choose one of rounding, significance"):
        ruled(update="sign")
    with pytest.raises(ConfigError, match=r"momentum 13 is outside 0\.\.12"):
        ruled(momentum=13)
    assert set(UPDATES) == {"rounding", "significance"}


@pytest.mark.parametrize("backend", ["simulator", "reference"])
def test_significance_without_squares_is_refused(backend: str) -> None:
    case = ruled(update="significance")
    learner = open_learner(backend, case.program, case.plan, case.events, case.labels, 1)
    full = initial_weights(case.program, case.plan)
    with pytest.raises(DataError, match="needs the squares"):
        learner.update(full, np.zeros(case.plan.n_learned, np.int64), Step(1, shifts(case.plan), 1))
    learner.close()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"biases": True}, "with biases or thresholds, not only weights"),
        ({"update": "significance"}, "with update .significance., which needs squares of votes"),
    ],
)
def test_lava_refuses_what_its_learning_engine_cannot_do(rule: dict[str, Any], words: str) -> None:
    from neurosim_lava.learn import LavaLearner

    case = ruled(**rule)
    with pytest.raises(FeatureError, match=words):
        LavaLearner(case.program, case.plan, case.events, case.labels, 1)


def test_thresholds_that_the_chip_cannot_tell_apart_are_refused() -> None:
    """Loihi's cores hold 16 different thresholds; one is kept for the readout."""
    for n, fits in ((15, True), (16, False)):
        program = compile(thresholds_network(n), "loihi1")
        settings: dict[str, Any] = {"form": "scalar", "factor": "trace", "rank": 1, "n_pairs": 1, "n_steps": 8, "error_bits": 7,
                                    "residual_bits": 8, "thresholds": True}  # fmt: skip
        if fits:
            assert len(make_plan(program, "out", **settings).neuron) == 2
            continue
        with pytest.raises(
            ConfigError, match="thresholds of 16 neurons of hidden on core 0, where chip 'loihi1' holds 16"
        ):
            make_plan(program, "out", **settings)


def thresholds_network(n: int) -> Network:
    groups = (Input("in", 3), LIF("hidden", n, du=4095, dv=100, vth=100), LIF("out", 2, du=4095, vth=131071))
    weights = [np.zeros((n, 3), np.int64), np.zeros((2, n), np.int64)]
    pairs = (("in", "hidden"), ("hidden", "out"))
    return Network(
        groups, tuple(Dense(*pair, w, sign_mode="mixed", plastic=True) for pair, w in zip(pairs, weights, strict=True))
    )
