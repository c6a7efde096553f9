"""Populations: what pairs measure, what votes mean, and that nothing but the input matters."""

import copy
import sys
from collections.abc import Callable
from itertools import product
from types import ModuleType

import numpy as np
import pytest
from dense_rule import DenseRule
from random_networks import LAYOUTS, RULES, VARIANTS, LearningCase, learning_case

from neurosim.backend import BUILT_IN
from neurosim.codes import CORRECT, NOISE_EXP, STAT_SPIKES, STAT_TOTALS, TIES
from neurosim.compile_network import compile
from neurosim.counters import COLUMN
from neurosim.errors import BackendError, ConfigError, DataError, FeatureError
from neurosim.events import events_from_dense
from neurosim.layerplan import lay_lanes
from neurosim.learning.generation import Learner as PopulationLearner
from neurosim.learning.generation import Memory, Outcome, Step, Updated
from neurosim.learning.opening import open_learner
from neurosim.learning.scratch import make_learn_scratch, make_terms
from neurosim.learning.weights import learned_weights
from neurosim.learnplan import Scales, initial_weights, make_plan
from neurosim.network import LIF, Dense, Input, Network, Probe
from neurosim.normaltable import normal_table
from neurosim.reference.fitness import log_softmax
from neurosim.reference.learn import Learner
from neurosim.reference.noise import fold, signs
from neurosim.simulator import SimulatorBackend

KEY = 987_654_321
ENGINE_COUNTERS = (
    "synaptic_operations", "neuron_updates_active", "neuron_updates_idle", "spikes", "messages", "messages_local",
    "hops_east", "hops_west", "hops_north", "hops_south", "synapse_bits_read",
)  # fmt: skip


def no_memory(case: LearningCase, leak: int = 0) -> Memory:
    """Return a memory in which nothing was measured, and which holds the response of the case."""
    return Memory(np.zeros(case.response.shape, np.int64), case.response.copy(), leak)


def learn_one(
    learner: PopulationLearner, full: np.ndarray, case: LearningCase, ids: np.ndarray, key: int, step: Step
) -> tuple[Outcome, Updated]:
    """Learn one generation with the response of the case."""
    ((outcome, updated),) = learner.learn(full, no_memory(case), ids[None], case.scales, [key], [step])
    return outcome, updated


def evaluate(case: LearningCase, backend: str = "simulator", threads: int = 1, key: int = KEY) -> Outcome:
    learner = open_learner(backend, case.program, case.plan, case.events, case.labels, threads)
    outcome = learner.evaluate(case.ids, case.response, case.scales, key)
    learner.close()
    return outcome


def assert_same(one: Outcome, other: Outcome) -> None:
    for name, part, twin in zip(Outcome._fields, one, other, strict=True):
        np.testing.assert_array_equal(part, twin, err_msg=name)


def rows_by_pre(matrices: dict[str, np.ndarray]) -> np.ndarray:
    """Return matrices (n_post, n_pre) in the order of a plan's votes."""
    return np.concatenate([matrix.T.ravel() for matrix in matrices.values()])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("form", "factor", "rank", "more"), [*((*rule, {}) for rule in RULES), *VARIANTS])
def test_votes_are_the_dense_formula(
    layout: str, form: str, factor: str, rank: int, more: dict[str, int | bool]
) -> None:
    """Perturbing with shared scalars equals perturbing every weight, and local votes equal products of matrices."""
    case = learning_case(layout, form, factor, rank, seed=3, **more)
    outcome, dense = evaluate(case), DenseRule(case).evaluate(KEY)
    np.testing.assert_array_equal(outcome.votes, rows_by_pre(dense.votes))
    assert outcome.predictions.tolist() == dense.predictions
    measured = np.zeros_like(outcome.measured)
    offsets = case.program.network.offsets
    for group, matrix in dense.measured.items():
        measured[:, :, offsets[group] : offsets[group] + matrix.shape[2]] = matrix
    if form == "response":
        np.testing.assert_array_equal(outcome.measured, measured)
    else:
        assert not outcome.measured.any()


@pytest.mark.parametrize(("form", "factor", "rank"), RULES)
def test_threads_do_not_matter(form: str, factor: str, rank: int) -> None:
    case = learning_case("two hidden", form, factor, rank)
    one = evaluate(case)
    for threads in (2, 3, 8):  # more threads than samples, too
        assert_same(evaluate(case, threads=threads), one)


@pytest.mark.parametrize(("form", "factor", "rank"), RULES)
def test_two_generations_with_updates_equal_the_reference(form: str, factor: str, rank: int) -> None:
    case = learning_case("recurrent", form, factor, rank)
    results = []
    for backend, threads in (("simulator", 1), ("simulator", 2), ("reference", 1)):
        learner = open_learner(backend, case.program, case.plan, case.events, case.labels, threads)
        full = initial_weights(case.program, case.plan)
        first = learner.evaluate(case.ids, case.response, case.scales, KEY)
        step = Step(9, np.full(len(case.plan.connections), 2), KEY + 1)
        counts, n_saturated = learner.update(full, first.votes, step)
        second = learner.evaluate(case.ids, case.response, case.scales, KEY + 2)
        learner.close()
        assert counts[:, COLUMN["weight_updates"]].sum() > 0
        results.append((*first, full, counts, n_saturated, *second))
    for other in results[1:]:
        for part, twin in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(part, twin)


@pytest.mark.parametrize(("form", "factor", "rank", "more"), [*((*rule, {}) for rule in RULES), *VARIANTS])
@pytest.mark.parametrize("layout", ["two inputs", "recurrent"])
def test_learning_is_evaluating_then_updating(
    layout: str, form: str, factor: str, rank: int, more: dict[str, int | bool]
) -> None:
    """`learn` never holds the votes that `evaluate` sums up and `update` takes: both leave the same, on any threads."""
    case = learning_case(layout, form, factor, rank, **more)
    step, ends = Step(90, np.full(len(case.plan.connections), 3), KEY + 1), []
    for backend, threads in (("reference", 1), ("simulator", 1), ("simulator", 2), ("simulator", 3)):
        for at_once in (False, True):
            learner = open_learner(backend, case.program, case.plan, case.events, case.labels, threads)
            full, changed = initial_weights(case.program, case.plan), 0
            for generation in range(2):  # the second with the weights of the first, and fewer samples
                ids = case.ids[generation:]
                if at_once:
                    outcome, updated = learn_one(learner, full, case, ids, KEY + generation, step)
                else:
                    outcome = learner.evaluate(ids, case.response, case.scales, KEY + generation)
                    updated = learner.update(full, outcome.votes, step)
                changed += int(updated.counts[:, COLUMN["weight_updates"]].sum())
            after = learner.evaluate(case.ids, case.response, case.scales, KEY)
            learner.close()
            assert changed > 0 and np.any(full != initial_weights(case.program, case.plan))
            ends.append((full, *updated, *outcome[2:5], *after))  # squares are known where votes are
    for end in ends[1:]:
        for part, expected in zip(end, ends[0], strict=True):
            np.testing.assert_array_equal(part, expected)


def test_a_generation_learned_at_once_holds_no_votes() -> None:
    case = learning_case("one hidden", "scalar", "random")
    learner = open_learner("simulator", case.program, case.plan, case.events, case.labels, 2)
    full, step = initial_weights(case.program, case.plan), Step(9, np.zeros(2, np.int64), KEY)
    outcome, _ = learn_one(learner, full, case, case.ids, KEY, step)
    learner.close()
    assert outcome.votes.shape == (0,)
    assert not any(len(work.votes) for work in learner.work), "only full rank needs memory for votes"
    full_rank = learning_case("one hidden", "scalar", "full")
    for rule, n in ((case, 0), (full_rank, full_rank.plan.n_weights)):
        work = make_learn_scratch(rule.program, rule.plan, lay_lanes(rule.program))
        assert (len(work.votes), len(work.full)) == (n, n)


@pytest.mark.parametrize("beyond", [1 << 31, -(1 << 31) - 1, 1 << 40])
def test_votes_beyond_32_bits_are_refused(beyond: int) -> None:
    case = learning_case("one hidden")
    learner = open_learner("simulator", case.program, case.plan, case.events, case.labels, 1)
    full, step = initial_weights(case.program, case.plan), Step(9, np.zeros(2, np.int64), KEY)
    votes, before = np.ones(case.plan.n_weights, np.int64), full.copy()
    votes[3] = beyond
    with pytest.raises(DataError, match=f"votes: {abs(beyond)} is beyond 32 bits; lower the batch"):
        learner.update(full, votes, step)
    np.testing.assert_array_equal(full, before)
    learner.close()


@pytest.mark.parametrize("backend", BUILT_IN)
@pytest.mark.parametrize("extreme", [(1 << 31) - 1, -(1 << 31)])
def test_votes_of_32_bits_are_applied(backend: str, extreme: int) -> None:
    case = learning_case("one hidden")
    learner = open_learner(backend, case.program, case.plan, case.events, case.labels, 1)
    full = initial_weights(case.program, case.plan)
    votes = np.zeros(case.plan.n_weights, np.int64)
    votes[3] = extreme
    _, n_saturated = learner.update(full, votes, Step(1, np.zeros(2, np.int64), KEY))
    learner.close()
    assert n_saturated == 1
    assert full[3] == ((1 << 15) - 1 if extreme > 0 else -(1 << 15))


@pytest.mark.parametrize("backend", BUILT_IN)
def test_a_generation_without_samples_changes_nothing(backend: str) -> None:
    for rule in RULES:
        case = learning_case("one hidden", *rule)
        learner = open_learner(backend, case.program, case.plan, case.events, case.labels, 2)
        full, step = initial_weights(case.program, case.plan), Step(9, np.zeros(2, np.int64), KEY)
        ids = np.zeros(0, np.int64)
        outcome = learner.evaluate(ids, case.response, case.scales, KEY)
        assert outcome.votes.shape == (case.plan.n_weights,) and not outcome.votes.any()
        _, updated = learn_one(learner, full, case, ids, KEY, step)
        learner.close()
        assert not updated.counts.any() and updated.n_saturated == 0
        np.testing.assert_array_equal(full, initial_weights(case.program, case.plan))


@pytest.mark.parametrize(("form", "factor", "rank"), [rule for rule in RULES if rule[:2] != ("response", "trace")])
def test_the_noise_that_was_run_is_the_noise_that_is_learned(form: str, factor: str, rank: int) -> None:
    """Without threshold and leak, readouts show the noise on each weight: F (z+ - z-) = 2 sum over j of spikes x votes.

    A vote is F times the noise D of its weight; a pair moves readout k by the sum over the spikes of j of 2**exp D[j, k].
    """
    if factor == "trace" and rank > 1:
        form, rank = "scalar", 1  # with windows of time a weight has a noise for each
    rng, n_in, n_out, exponent = np.random.default_rng(8), 70, 5, 2
    groups = (Input("in", n_in), LIF("out", n_out, du=4095, dv=0, vth=131071))
    weights = rng.integers(-90, 90, (n_out, n_in))
    program = compile(Network(groups, (Dense("in", "out", weights, plastic=True),)), "unlimited")
    plan = make_plan(
        program, "out", form=form, factor=factor, rank=rank, n_pairs=1, n_steps=7, error_bits=7, residual_bits=8
    )
    scales = Scales(np.array([[0, 0, 0], [exponent, 0, 0]]), np.array([0]), temperature=3, fitness_shift=0)
    dense = rng.random((1, 6, n_in)) < 0.3
    learner = open_learner("simulator", program, plan, events_from_dense(dense), np.array([2]), 1)
    n_spikes, response, seen = dense[0].sum(axis=0), np.zeros((rank, n_out, n_in + n_out), np.int32), 0
    for key in range(24):
        votes = learner.evaluate(np.array([0]), response, scales, key).votes.reshape(n_in, n_out)
        work = learner.work[0]
        plus, minus = work.plus[0], work.z[0]
        likelihoods = [log_softmax(z, 2, scales.temperature, 7)[0] for z in (plus, minus)]
        fitness = int(np.clip(likelihoods[0] - likelihoods[1], -127, 127))
        np.testing.assert_array_equal(fitness * (plus - minus), 2 * (n_spikes @ votes) << exponent)
        assert not votes[n_spikes == 0].any()
        if fitness:
            noise = votes // fitness
            assert np.linalg.matrix_rank(noise) == (min(n_out, rank) if not factor.startswith("full") else n_out)
            seen += 1
    learner.close()
    assert seen > 6


@pytest.mark.parametrize("backend", BUILT_IN)
def test_loaded_weights_act_like_those_of_a_new_program(backend: str) -> None:
    case = learning_case("two hidden", "response", "trace", 2)
    other = learning_case("two hidden", "response", "trace", 2, seed=8)._replace(
        events=case.events, labels=case.labels, ids=case.ids, response=case.response, scales=case.scales
    )
    # the layout's frozen connections and biases differ between seeds: take the new program's weights only
    full = initial_weights(other.program, other.plan)
    learner = open_learner(backend, case.program, case.plan, case.events, case.labels, 1)
    before = learner.evaluate(case.ids, case.response, case.scales, KEY)
    learner.load(full)
    loaded = learner.evaluate(case.ids, case.response, case.scales, KEY)
    learner.load(initial_weights(case.program, case.plan))
    assert_same(learner.evaluate(case.ids, case.response, case.scales, KEY), before)
    learner.close()
    weights = learned_weights(case.program, case.plan, full)
    old = case.program.network
    network = Network(
        old.groups,
        tuple(
            Dense(c.source, c.target, weights.get(c.name, c.weights), sign_mode="mixed", plastic=c.plastic)
            for c in old.connections
        ),
    )
    fresh = case._replace(program=compile(network, "unlimited"))
    assert_same(loaded, evaluate(fresh, backend))
    assert not np.array_equal(loaded.votes, before.votes)


def test_learned_weights_invert_initial_weights() -> None:
    for bits in range(1, 9):
        case = learning_case("two inputs", bits=bits)
        weights = learned_weights(case.program, case.plan, initial_weights(case.program, case.plan))
        lost = 9 - bits
        for c in case.plan.connections:
            connection = case.program.network.connections[c]
            np.testing.assert_array_equal(weights[connection.name], (connection.weights >> lost) << lost)


@pytest.mark.parametrize(("form", "factor", "rank"), RULES)
def test_members_without_perturbation_are_the_plain_engine(form: str, factor: str, rank: int) -> None:
    """Base and members of zero perturbation behave and count like independent runs of the plain simulator."""
    case = learning_case("two hidden", form, factor, rank)
    case.scales.group[:, NOISE_EXP] = -60
    outcome = evaluate(case)
    network = case.program.network
    probes = (Probe("out", "v"), *(Probe(group.name) for group in network.groups))
    program = compile(Network(network.groups, network.connections, probes), "unlimited")
    with SimulatorBackend().open(program) as runner:
        plain = runner.run(case.events.take(case.ids), case.plan.n_steps)
    z = plain.states["out", "v"][:, -1]
    assert outcome.predictions.tolist() == z.argmax(axis=1).tolist()
    assert outcome.statistics[STAT_TOTALS, CORRECT] == (z.argmax(axis=1) == case.labels[case.ids]).sum()
    for i, group in enumerate(network.ordered_groups):
        delivered = plain.spikes[group.name].step < case.plan.n_steps - 1
        assert outcome.statistics[STAT_SPIKES, i] == delivered.sum()
    n_runs = 1 + 2 * case.plan.n_pairs
    engine = [COLUMN[name] for name in ENGINE_COUNTERS]
    np.testing.assert_array_equal(outcome.counts[:, engine], n_runs * plain.counts.matrix[:, engine])
    if form == "response":
        assert not outcome.measured.any()
    else:
        assert outcome.statistics[STAT_TOTALS, TIES] == case.plan.n_pairs * len(case.ids)
        assert not outcome.votes.any()


def tiny_case(form: str, noise_exp: int) -> LearningCase:
    """Return in -> hidden (one neuron that would fire once) -> out, for numbers that can be followed by hand."""
    groups = (Input("in", 1), LIF("hidden", 1, du=4095, dv=4095, vth=3), LIF("out", 2, du=4095, dv=0, vth=131071))
    connections = (Dense("in", "hidden", [[4]], plastic=True), Dense("hidden", "out", [[10], [-10]]))
    program = compile(Network(groups, connections), "unlimited")
    plan = make_plan(
        program, "out", form=form, factor="trace", rank=1, n_pairs=1, n_steps=4, error_bits=7, residual_bits=8
    )
    scales = Scales(np.array([[0, 0, 0], [noise_exp, 0, 0], [0, 0, 0]]), np.array([0]), temperature=3, fitness_shift=0)
    events = events_from_dense([[[1], [0], [0]]])
    response = np.zeros((1, 2, 4), np.int32)
    return LearningCase(program, plan, scales, events, np.array([0]), np.array([0]), response)


@pytest.mark.parametrize("backend", BUILT_IN)
def test_a_perturbation_followed_by_hand(backend: str) -> None:
    """One spike of weight 4 gives 256 > 192, so the hidden neuron fires. Its trace is 1, the noise +-2**7.

    The member with +128 fires as well, z = (640, -640); the one with -128 stays at 128 and z = 0. So the measured
    effect of neuron on readouts is (640, -640), whichever member is called plus.
    """
    for key in range(6):
        outcome = evaluate(tiny_case("response", 7), backend, key=key)
        assert outcome.measured[0, :, 1].tolist() == [640, -640]
    for key in range(6):  # 2**5: both fire, nothing is measured
        assert not evaluate(tiny_case("response", 5), backend, key=key).measured.any()


@pytest.mark.parametrize("backend", BUILT_IN)
def test_a_scalar_vote_followed_by_hand(backend: str) -> None:
    """z = (640, -640) lies 1280 >> 3 = 160/256 octaves apart, so p = 1 / (1 + 2**-0.625) = 0.607, 0.28 bit above 1/2.

    In integers: powers 65536 and floor(2**15.375) = 42495 add up to 108031, whose logarithm, cut to 421/256 * 2**16, is
    16 * 256 + 183. The member that fires is better by 256 - 183 = 73, which is the vote of the weight with trace 1.
    """
    votes = {int(evaluate(tiny_case("scalar", 7), backend, key=key).votes[0]) for key in range(6)}
    assert votes == {73}


def key_of_every_pattern(n_hidden: int, n_out: int) -> dict[tuple[int, ...], int]:
    """Search keys whose first slot and pair draw each pattern of signs of groups 1 and 2."""
    found: dict[tuple[int, ...], int] = {}
    for key in range(100_000):
        pair_key = fold(fold(key, 0), 0)
        drawn = [signs(fold(fold(pair_key, group), 0), n) for group, n in ((1, n_hidden), (2, n_out))]
        found.setdefault(tuple(np.concatenate(drawn).tolist()), key)
        if len(found) == 2 ** (n_hidden + n_out):
            return found
    raise AssertionError("keys do not reach all patterns")


def test_expected_scalar_vote_is_the_smoothed_finite_difference() -> None:
    """Summed over all sign patterns, a vote is the fitness with a neuron pushed up less that with it pushed down.

    sum over a of a_k (f(a) - f(-a)) = 2 sum over the other signs of (f(a_k = 1) - f(a_k = -1)), times the trace b_j.
    """
    rng = np.random.default_rng(5)
    n_in, n_hidden, n_out = 4, 5, 2
    groups = (
        Input("in", n_in),
        LIF("hidden", n_hidden, du=4095, dv=400, vth=90),
        LIF("out", n_out, du=4095, vth=131071),
    )
    connections = (
        Dense("in", "hidden", rng.integers(-60, 127, (n_hidden, n_in)), sign_mode="mixed", plastic=True),
        Dense("hidden", "out", rng.integers(-90, 91, (n_out, n_hidden)), sign_mode="mixed", plastic=True),
    )
    program = compile(Network(groups, connections), "unlimited")
    plan = make_plan(
        program, "out", form="scalar", factor="trace", rank=1, n_pairs=1, n_steps=7, error_bits=7, residual_bits=8
    )
    scales = Scales(np.array([[0, 0, 0], [10, 0, 0], [9, 0, 0]]), np.zeros(2, np.int64), temperature=9, fitness_shift=0)
    events = events_from_dense(rng.random((1, 6, n_in)) < 0.5)
    response = np.zeros((1, n_out, program.network.n_neurons), np.int32)
    case = LearningCase(program, plan, scales, events, np.array([1]), np.array([0]), response)

    keys = key_of_every_pattern(n_hidden, n_out)
    learned = sum(evaluate(case, key=key).votes for key in keys.values())

    rule = DenseRule(case)
    traces = rule.traces(rule.trial(0))

    def fitness(pattern: tuple[int, ...]) -> int:
        post = {"hidden": np.array([pattern[:n_hidden]]), "out": np.array([pattern[n_hidden:]])}
        directions = {c.name: post[c.target][:, :, None] * traces[c.source][:, None, :] for c in rule.plastic}
        return rule.likelihood(rule.trial(0, rule.change(directions, 1)).z, 1)

    f = {pattern: fitness(pattern) for pattern in product((1, -1), repeat=n_hidden + n_out)}
    assert max(abs(value - f[tuple(-s for s in pattern)]) for pattern, value in f.items()) <= 127  # never clipped
    direction = [
        sum(2 * (value - f[pattern[:k] + (-1,) + pattern[k + 1 :]]) for pattern, value in f.items() if pattern[k] == 1)
        for k in range(n_hidden + n_out)
    ]
    expected = {
        "in->hidden": np.outer(direction[:n_hidden], traces["in"][0]),
        "hidden->out": np.outer(direction[n_hidden:], traces["hidden"][0]),
    }
    assert np.any(direction[:n_hidden]) and np.any(direction[n_hidden:])
    np.testing.assert_array_equal(learned, rows_by_pre(expected))


def smooth_case(seed: int, n_in: int, n_hidden: int, n_out: int, factor: str, **more: int | bool) -> LearningCase:
    """Return a small net with one sample and a readout that is so cool that no fitness is ever clipped."""
    rng = np.random.default_rng(seed)
    groups = (
        Input("in", n_in),
        LIF("hidden", n_hidden, du=4095, dv=400, vth=90),
        LIF("out", n_out, du=4095, vth=131071),
    )
    connections = (
        Dense("in", "hidden", rng.integers(30, 127, (n_hidden, n_in)), sign_mode="mixed", plastic=True),
        Dense("hidden", "out", rng.integers(-90, 91, (n_out, n_hidden)), sign_mode="mixed", plastic=True),
    )
    program = compile(Network(groups, connections), "unlimited")
    plan = make_plan(
        program, "out", form="scalar", factor=factor, rank=1, n_steps=7, error_bits=7, residual_bits=8,
        **({"n_pairs": 1} | more),
    )  # fmt: skip
    scales = Scales(np.array([[0, 0, 0], [11, 0, 0], [9, 0, 0]]), np.zeros(2, np.int64), temperature=9, fitness_shift=0)
    events = events_from_dense(rng.random((1, 6, n_in)) < 0.6)
    response = np.zeros((1, n_out, program.network.n_neurons), np.int32)
    return LearningCase(program, plan, scales, events, np.array([1]), np.array([0]), response)


def votes_of_all_patterns(case: LearningCase, drawn: Callable[[int], list[int]], n: int) -> np.ndarray:
    """Return the sum of the votes over keys that draw each of the 2**n patterns of signs once."""
    keys: dict[tuple[int, ...], int] = {}
    for key in range(100_000):
        keys.setdefault(tuple(drawn(key)), key)
        if len(keys) == 2**n:
            break
    assert len(keys) == 2**n, "keys reach all patterns"
    learner = open_learner("simulator", case.program, case.plan, case.events, case.labels, 1)
    votes = [learner.evaluate(case.ids, case.response, case.scales, key).votes for key in keys.values()]
    learner.close()
    return np.sum(votes, axis=0)


def differences(f: dict[tuple[int, ...], int]) -> list[int]:
    """Return for each place of the patterns: 2 sum over the other signs of (f with +1 there - f with -1 there)."""
    assert max(abs(value - f[tuple(-s for s in pattern)]) for pattern, value in f.items()) <= 127, "never clipped"
    n = len(next(iter(f)))
    return [
        sum(2 * (value - f[pattern[:k] + (-1,) + pattern[k + 1 :]]) for pattern, value in f.items() if pattern[k] == 1)
        for k in range(n)
    ]


def test_expected_vote_of_one_group_at_a_time_is_its_own_smoothed_difference() -> None:
    """Each group is smoothed alone: the other one runs unperturbed while it is pushed."""
    n_hidden, n_out = 4, 2
    case = smooth_case(5, 4, n_hidden, n_out, "trace", n_pairs=2, one_group=True)

    def drawn(key: int) -> list[int]:
        pairs = [fold(fold(key, 0), pair) for pair in range(2)]  # the first pushes hidden, the second the readout
        return [*signs(fold(fold(pairs[0], 1), 0), n_hidden), *signs(fold(fold(pairs[1], 2), 0), n_out)]

    learned = votes_of_all_patterns(case, drawn, n_hidden + n_out)
    rule = DenseRule(case)
    traces = rule.traces(rule.trial(0))

    def smoothed(name: str) -> np.ndarray:
        connection = next(c for c in rule.plastic if c.target == name)

        def fitness(pattern: tuple[int, ...]) -> int:
            directions = {c.name: np.zeros((1, *c.shape), np.int64) for c in rule.plastic}
            directions[connection.name] = np.outer(pattern, traces[connection.source][0])[None]
            return rule.likelihood(rule.trial(0, rule.change(directions, 1)).z, 1)

        f = {pattern: fitness(pattern) for pattern in product((1, -1), repeat=connection.shape[0])}
        return np.outer(differences(f), traces[connection.source][0])

    expected = {"hidden": 2**n_out * smoothed("hidden"), "out": 2**n_hidden * smoothed("out")}
    assert all(part.any() for part in expected.values())
    np.testing.assert_array_equal(learned, rows_by_pre(expected))


def test_expected_vote_of_full_rank_is_the_smoothed_difference_of_each_weight() -> None:
    """Summed over all patterns of signs of all weights: a weight's vote is f with it pushed up less f with it pushed down."""
    n_in, n_hidden, n_out = 2, 2, 2
    case = smooth_case(3, n_in, n_hidden, n_out, "full")
    rule = DenseRule(case)
    traces = rule.traces(rule.trial(0))
    assert traces["in"].all() and traces["hidden"].all(), "the silent have no noise: here nobody is"
    shapes = [c.shape for c in rule.plastic]
    n = sum(post * pre for post, pre in shapes)

    def drawn(key: int) -> list[int]:
        pair_key, found = fold(fold(key, 0), 0), []
        for c, (n_post, n_pre) in enumerate(shapes):
            stream = fold(pair_key, 3 + c)
            found += [s for j in range(n_pre) for s in signs(fold(stream, j), n_post).tolist()]
        return found

    learned = votes_of_all_patterns(case, drawn, n)

    def fitness(pattern: tuple[int, ...]) -> int:
        rows, directions = list(pattern), {}
        for c, (n_post, n_pre) in zip(rule.plastic, shapes, strict=True):
            part, rows = rows[: n_post * n_pre], rows[n_post * n_pre :]
            directions[c.name] = np.array(part).reshape(n_pre, n_post).T[None]
        return rule.likelihood(rule.trial(0, rule.change(directions, 1)).z, 1)

    expected = differences({pattern: fitness(pattern) for pattern in product((1, -1), repeat=n)})
    assert np.any(expected[:4]) and np.any(expected[4:])
    np.testing.assert_array_equal(learned, expected)


@pytest.mark.parametrize("noise_exp", [-5, -2, 0, 3, 6])
def test_members_of_a_pair_are_exact_opposites(noise_exp: int) -> None:
    """Without threshold and leak the net is linear: z of plus and minus lie evenly around z of the base."""
    groups = (Input("in", 9), LIF("out", 4, du=4095, dv=0, vth=131071))
    rng = np.random.default_rng(2)
    program = compile(Network(groups, (Dense("in", "out", rng.integers(-9, 9, (4, 9)), plastic=True),)), "unlimited")
    plan = make_plan(
        program, "out", form="scalar", factor="random", rank=3, n_pairs=1, n_steps=6, error_bits=7, residual_bits=8
    )
    events = events_from_dense(rng.random((1, 6, 9)) < 0.6)
    scales = Scales(np.array([[0, 0, 0], [noise_exp, 0, 0]]), np.array([0]), 3, 0)
    case = LearningCase(program, plan, scales, events, np.array([0]), np.array([0]), np.zeros((3, 4, 13), np.int32))
    readouts = []

    class Watched(Learner):
        def _run_base(self, inputs):
            found = super()._run_base(inputs)
            readouts.append(found[0])
            return found

        def _run_member(self, inputs, pre, post, sign):
            readouts.append(super()._run_member(inputs, pre, post, sign))
            return readouts[-1]

    twin = Watched(program, plan, scales, {})
    votes = twin.learn(case.ids, case.labels, events.to_dense(), case.response.astype(np.int64), KEY).votes
    base, plus, minus = readouts
    np.testing.assert_array_equal(plus - base, base - minus)
    np.testing.assert_array_equal(votes, evaluate(case).votes)


def test_everything_in_learning_is_integer() -> None:
    case = learning_case("two hidden", "response", "trace", 2)
    lanes = lay_lanes(case.program)
    arrays = [
        *(part for part in case.plan if isinstance(part, np.ndarray)),
        *case.scales[:2],
        *case.program.arrays,
        *make_learn_scratch(case.program, case.plan, lanes),
    ]
    arrays += [*lanes, *make_terms(case.plan, lanes, 2)[1:], normal_table()]
    for backend in BUILT_IN:
        learner = open_learner(backend, case.program, case.plan, case.events, case.labels, 2)
        outcome = learner.evaluate(case.ids, case.response, case.scales, KEY)
        full = initial_weights(case.program, case.plan)
        counts, n_saturated = learner.update(full, outcome.votes, Step(3, case.scales.step_shift, KEY))
        learner.close()
        assert isinstance(n_saturated, int)
        *parts, n_terms = outcome
        assert isinstance(n_terms, int) and {part.dtype for part in parts} == {np.dtype(np.int64)}
        arrays += [*parts, full, counts]
        if backend == "simulator":
            arrays += [part for work in learner.work for part in work]
            arrays += [part for scratch in learner.scratch if scratch for part in scratch]
    assert {array.dtype.kind for array in arrays} <= {"i", "u"}
    scalars = [*case.scales[2:], *case.plan.goal]
    scalars += [part for part in case.plan if not isinstance(part, np.ndarray) and part is not case.plan.goal]
    assert all(isinstance(value, (int, np.integer)) for value in scalars)


def register(monkeypatch: pytest.MonkeyPatch, **attributes: object) -> None:
    """Register a backend "other" like one that was installed; a learner named in it is `Recorded`."""
    module = ModuleType("backend_of_a_test")
    module.Backend = type("Backend", (SimulatorBackend,), attributes)
    module.Recorded = type("Recorded", (), {"__init__": lambda self, *given: setattr(self, "given", given)})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(BUILT_IN, "other", f"{module.__name__}:Backend")


def test_backends_that_cannot_learn_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, features=SimulatorBackend.features - {"learning"})
    case = learning_case("one hidden")
    with pytest.raises(FeatureError, match="'other' lacks: learning .*; use the backend 'simulator'"):
        open_learner("other", case.program, case.plan, case.events, case.labels, 1)
    with pytest.raises(BackendError, match="unknown backend 'smulator'.*did you mean 'simulator'"):
        open_learner("smulator", case.program, case.plan, case.events, case.labels, 1)


def test_an_installed_backend_brings_its_own_learner(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, learner="backend_of_a_test:Recorded")
    case = learning_case("one hidden")
    learner = open_learner("other", case.program, case.plan, case.events, case.labels.astype(np.int16).tolist(), 3)
    program, plan, events, labels, threads = learner.given
    assert (program, plan, threads) == (case.program, case.plan, 3)
    np.testing.assert_array_equal(events.neuron, case.events.neuron)
    np.testing.assert_array_equal(labels, case.labels, strict=True)


def test_a_backend_that_can_learn_must_say_with_what(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, learner="")
    case = learning_case("one hidden")
    with pytest.raises(BackendError, match="'other' has the feature 'learning' and no learner '': .*module:class"):
        open_learner("other", case.program, case.plan, case.events, case.labels, 1)


@pytest.mark.parametrize("backend", BUILT_IN)
def test_labels_samples_and_responses_are_checked_at_the_border(backend: str) -> None:
    case = learning_case("one hidden", "response", "trace", 1)

    def opened(labels: object, threads: int = 1) -> object:
        return open_learner(backend, case.program, case.plan, case.events, np.asarray(labels), threads)

    n, n_classes = case.events.n_samples, case.plan.n_classes
    for worst in (-1, n_classes):
        with pytest.raises(DataError, match=rf"labels: {worst} is outside 0..{n_classes - 1}"):
            opened([worst] + [0] * (n - 1))
    with pytest.raises(DataError, match=f"give one integer for each of {n} samples"):
        opened([0] * (n + 1))
    with pytest.raises(DataError, match="labels: float64"):
        opened([0.5] * n)
    with pytest.raises(ConfigError, match="threads: 0 is not in"):
        opened([0] * n, threads=0)
    learner = open_learner(backend, case.program, case.plan, case.events, case.labels, 1)
    with pytest.raises(DataError, match=rf"samples: {n} is outside 0..{n - 1}"):
        learner.evaluate(np.array([0, n]), case.response, case.scales, KEY)
    with pytest.raises(DataError, match="response: int64 of shape"):
        learner.evaluate(np.array([0]), case.response.astype(np.int64), case.scales, KEY)
    learner.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_an_outcome_stays_as_it_is_when_more_is_evaluated(threads: int) -> None:
    case = learning_case("two hidden", "response", "trace", 2)
    learner = open_learner("simulator", case.program, case.plan, case.events, case.labels, threads)
    first = learner.evaluate(case.ids, case.response, case.scales, KEY)
    before = copy.deepcopy(first)
    second = learner.evaluate(case.ids[1:], case.response, case.scales, KEY + 1)
    learner.close()
    assert_same(first, before)
    assert not np.array_equal(second.measured, before.measured)
