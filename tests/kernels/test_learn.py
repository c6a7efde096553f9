"""One generation of learning: compiled kernel equals twin, and single samples add up."""

from itertools import product

import numpy as np
import pytest
from random_networks import LAYOUTS, RULES, VARIANTS, LearningCase, learning_case

from neurosim.aims import Aims
from neurosim.backend import BUILT_IN
from neurosim.codes import (
    LIKELIHOOD,
    N_STATISTICS,
    N_TOTALS,
    PASS_WHOLE,
    PERTURBED,
    START,
    STAT_DRIVE_STEPS,
    STAT_TOTALS,
    STOP,
    TIES,
)
from neurosim.counters import COLUMN, N_COUNTERS
from neurosim.kernels.learn import flush_measured, learn_samples, measure
from neurosim.learning.generation import Outcome
from neurosim.learning.opening import open_learner
from neurosim.learning.population import SimulatorLearner
from neurosim.learning.scratch import make_terms
from neurosim.learnplan import FACTORS
from neurosim.logtables import log_tables
from neurosim.normaltable import normal_table

KEY = 0x1234_5678_9ABC_DEF0


def evaluate(case: LearningCase, backend: str, threads: int = 1, key: int = KEY) -> Outcome:
    learner = open_learner(backend, case.program, case.plan, case.events, case.labels, threads)
    outcome = learner.evaluate(case.ids, case.response, case.scales, key)
    learner.close()
    return outcome


def assert_same(one: Outcome, other: Outcome) -> None:
    for name, part, twin in zip(Outcome._fields, one, other, strict=True):
        np.testing.assert_array_equal(part, twin, err_msg=name)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "no hidden"])  # that one is below
@pytest.mark.parametrize(("form", "factor", "rank"), RULES)
def test_learning_equals_twin(layout: str, form: str, factor: str, rank: int) -> None:
    small = {"n_samples": 1, "n_pairs": 1, "n_steps": 6} if layout == "wide" else {"n_samples": 2}
    case = learning_case(layout, form, factor, rank, **small)
    outcome = evaluate(case, "simulator")
    assert_same(outcome, evaluate(case, "reference"))
    # the case must exercise the rule: drive reached every perturbed group, fitness and votes are not all zero
    assert (outcome.statistics[STAT_DRIVE_STEPS, : len(case.plan.group)][case.plan.group[:, PERTURBED] == 1] > 0).all()
    assert outcome.votes.any()
    if form == "scalar":
        assert outcome.statistics[STAT_TOTALS, TIES] < case.plan.n_pairs * len(case.ids)
    else:
        assert outcome.measured.any()


@pytest.mark.parametrize("layout", ["wide", "two hidden", "recurrent", "two inputs"])
@pytest.mark.parametrize(("form", "factor", "rank", "more"), VARIANTS)
def test_variants_equal_twin(layout: str, form: str, factor: str, rank: int, more: dict[str, int | bool]) -> None:
    small = {"n_samples": 2, "n_pairs": 2, "n_steps": 6} if layout == "wide" else {"n_samples": 5, "n_pairs": 3}
    case = learning_case(layout, form, factor, rank, **small, **more)
    if "skip" in more:  # the sample that is known best has no pairs
        ones = [case._replace(ids=np.array([x])) for x in range(case.events.n_samples)]
        known = [evaluate(one, "simulator").statistics[STAT_TOTALS, LIKELIHOOD] for one in ones]
        case = case._replace(plan=case.plan._replace(skip=int(max(known)) - 1))
    outcome = evaluate(case, "simulator")
    assert_same(outcome, evaluate(case, "reference"))
    drive = outcome.statistics[STAT_DRIVE_STEPS, : len(case.plan.group)]
    assert (drive[case.plan.group[:, PERTURBED] == 1] > 0).all(), "every group was perturbed"
    assert outcome.votes.any() and (form == "scalar" or outcome.measured.any())
    if set(more) == {"one_group"} and case.plan.group[:, PERTURBED].sum() == 1:
        return  # one of one group is all groups
    plain = evaluate(learning_case(layout, form, factor, rank, **small), "simulator")
    name = "measured" if form == "response" else "votes"
    assert not np.array_equal(getattr(outcome, name), getattr(plain, name)), "the variant is one"


@pytest.mark.parametrize("backend", BUILT_IN)
@pytest.mark.parametrize("pair_every", [1, 2, 4])
def test_pairs_reach_every_group_in_turn_whatever_samples_have_none(backend: str, pair_every: int) -> None:
    """Groups take turns over the pairs that there are: with every second sample none is passed over for ever."""
    case = learning_case("two hidden", "response", pair_every=pair_every, n_pairs=1, n_samples=9, one_group=True)
    case = case._replace(ids=case.ids[:-2])
    n_pairs = len(range(0, len(case.ids), pair_every))
    outcome = evaluate(case, backend)
    perturbed = np.nonzero(case.plan.group[:, PERTURBED])[0]
    updates = outcome.counts[perturbed, COLUMN["response_updates"]]
    sizes = np.array([case.program.network.ordered_groups[g].n for g in perturbed]) * case.plan.n_classes
    assert (updates // sizes).tolist() == [n_pairs - n_pairs // 2, n_pairs // 2]
    assert n_pairs > 1


@pytest.mark.parametrize(("form", "factor", "rank"), RULES)
def test_net_without_hidden_group_equals_twin(form: str, factor: str, rank: int) -> None:
    case = learning_case("no hidden", form, factor, rank)
    outcome = evaluate(case, "simulator")
    assert_same(outcome, evaluate(case, "reference"))
    assert outcome.votes.any()


@pytest.mark.parametrize(("bits", "seed"), [(1, 0), (2, 4), (3, 1), (5, 2), (7, 3)])
def test_other_weights_bits_and_labels_equal_twin(bits: int, seed: int) -> None:
    case = learning_case("two inputs", *RULES[seed + 1], bits=bits, seed=seed, n_samples=2, n_pairs=3)
    assert_same(evaluate(case, "simulator"), evaluate(case, "reference"))


@pytest.mark.parametrize("n_steps", [1, 3, 8, 11])
def test_fewer_or_more_steps_than_events_equal_twin(n_steps: int) -> None:
    case = learning_case("one hidden", "scalar", "trace", 3)
    case = case._replace(plan=case.plan._replace(n_steps=n_steps))
    assert_same(evaluate(case, "simulator"), evaluate(case, "reference"))


@pytest.mark.parametrize("exponent", [-60, -3, 0, 20, 31])
def test_any_size_of_perturbation_equals_twin(exponent: int) -> None:
    for layout, factor, rank in product(("recurrent", "two hidden"), FACTORS, (1, 2)):
        if rank == 1 or not factor.startswith("full"):
            case = learning_case(layout, "scalar", factor, rank, n_samples=2)
            case.scales.group[:, 0] = exponent
            assert_same(evaluate(case, "simulator"), evaluate(case, "reference"))


def evaluate_block(case: LearningCase, first: int, last: int) -> Outcome:
    """Run the kernel on the slots first..last - 1 of a generation."""
    learner = SimulatorLearner(case.program, case.plan, case.events, case.labels, 1)
    work, terms, tables = learner.work[0], make_terms(case.plan, learner.lanes, len(case.ids)), log_tables()
    predictions = np.full(len(case.ids), -1, np.int64)
    none = np.zeros((len(case.ids), 1, 1, 1, 1), np.int64)
    aims = Aims(learner.labels, learner.extra.targets, none, np.zeros((len(case.ids), 0), np.int64))
    statistics = np.zeros((N_STATISTICS, max(N_TOTALS, len(case.plan.group))), np.int64)
    counts = np.zeros((len(case.program.rows), N_COUNTERS), np.int64)
    with np.errstate(over="ignore"):
        learn_samples(
            learner.arrays, learner.lanes, learner.scratch[0], work, case.plan, case.scales, case.response,
            case.ids, aims, PASS_WHOLE, case.events.start, case.events.neuron, case.events.n_steps, first, last,
            np.uint64(KEY), tables.exp2, tables.log2, normal_table(), terms.pre, terms.post, predictions[:, None],
            statistics, counts,
        )  # fmt: skip
    learner.terms = terms
    learner.close()
    return Outcome(learner._votes(), work.measured.copy(), predictions, statistics, counts)


@pytest.mark.parametrize(("form", "factor", "rank", "more"), [(*RULES[i], {}) for i in (1, 3, 5, 7, 8, 9)] + VARIANTS)
def test_slots_add_up_and_know_only_their_own_sample(
    form: str, factor: str, rank: int, more: dict[str, int | bool]
) -> None:
    """A slot's part depends on its position and sample alone: whatever the other slots hold, and in any order."""
    case = learning_case("one hidden", form, factor, rank, **more)
    n = len(case.ids)
    whole = evaluate_block(case, 0, n)
    parts = [evaluate_block(case, i, i + 1) for i in reversed(range(n))]
    for name in ("votes", "measured", "statistics", "counts"):
        np.testing.assert_array_equal(getattr(whole, name), sum(getattr(part, name) for part in parts))
    others = case._replace(ids=case.ids.copy())
    others.ids[:2] = case.ids[1::-1]
    np.testing.assert_array_equal(evaluate_block(others, 2, n).votes, evaluate_block(case, 2, n).votes)
    if form == "scalar":
        assert not np.array_equal(evaluate_block(others, 0, 2).votes, evaluate_block(case, 0, 2).votes)
    np.testing.assert_array_equal(evaluate_block(others, 0, n).predictions[:2], whole.predictions[1::-1])


def test_response_votes_do_not_depend_on_the_order_of_samples() -> None:
    """Votes of the response form come from unperturbed runs; only what is measured depends on slots."""
    case = learning_case("one hidden", "response", "trace", 2)
    turned = case._replace(ids=case.ids[::-1].copy())
    one, other = evaluate(case, "simulator"), evaluate(turned, "simulator")
    np.testing.assert_array_equal(one.votes, other.votes)
    assert not np.array_equal(one.measured, other.measured)


def test_scratch_of_earlier_samples_leaves_no_trace() -> None:
    case = learning_case("recurrent", "scalar", "random", 2)
    learner = open_learner("simulator", case.program, case.plan, case.events, case.labels, 1)
    first = learner.evaluate(case.ids, case.response, case.scales, KEY)
    learner.evaluate(case.ids[::-1], case.response, case.scales, KEY + 1)
    assert_same(learner.evaluate(case.ids, case.response, case.scales, KEY), first)
    learner.close()


@pytest.mark.parametrize("rank", [1, 2])
def test_the_largest_differences_of_readouts_are_summed_exactly(rank: int) -> None:
    """Sums of 32 bits go into those of 64 before they could overflow."""
    case = learning_case("one hidden", "response", "trace", rank)
    learner = SimulatorLearner(case.program, case.plan, case.events, case.labels, 1)
    learner.close()
    work, lanes, plan, rng = learner.work[0], learner.lanes, learner.plan, np.random.default_rng(3)
    group = int(np.nonzero(plan.group[:, PERTURBED])[0][0])
    start, stop = (int(x) for x in case.program.arrays.group[group, [START, STOP]])
    lane, most = int(lanes.first[group]), 2 * ((1 << 23) - 1)  # between voltages at both ends
    work.active[:] = np.arange(len(work.active)) == group
    work.measured[:] = 0
    expected = np.zeros(work.measured.shape, np.int64)
    counts = np.zeros((len(case.program.rows), N_COUNTERS), np.int64)
    for pair in range(300):  # of one sign for a while, so that sums grow beyond 32 bits
        work.plus[:], work.z[:] = most // 2, -(most // 2)
        work.plus[0, 0] = rng.integers(-most // 2, most // 2)
        work.factor_a[:] = 1 if pair < 200 else rng.choice([-1, 1], work.factor_a.shape)
        measure(case.program.arrays, lanes, work, plan, counts)
        difference = work.plus[0] - work.z[0]
        factor = work.factor_a[:, lane : lane + stop - start].astype(np.int64)
        expected[:, :, start:stop] += difference[None, :, None] * factor[:, None, :]
    flush_measured(work)
    assert np.abs(expected).max() > 1 << 31 and work.bound[0] == 0 and not work.measured32.any()
    np.testing.assert_array_equal(work.measured, expected)
