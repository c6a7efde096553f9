"""Lava's learning engine alone: the three-factor rule on given factors; and how learning on Lava fails and ends."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from random_networks import LearningCase, learning_case
from test_lava_containment import assert_nothing_left, wait_until_lava_runs

from neurosim.errors import BackendError, FeatureError
from neurosim.learning.opening import open_learner
from neurosim.learnplan import initial_weights, make_plan
from neurosim.network import Dense
from neurosim.reference.weights import update_weights

pytestmark = pytest.mark.lava

KEY = 5


@pytest.fixture
def update(lava: Any) -> Callable[..., npt.NDArray[np.int64]]:
    """The update of the plug-in, where Lava is installed."""
    from neurosim_lava import update

    return update


@pytest.fixture
def sessions(lava: Any) -> Iterator[Any]:
    """What starts Lava for the engine alone."""
    from neurosim_lava import place
    from neurosim_lava.session import Worker

    made = Worker("votes", place.found(), 60.0)
    yield made
    made.close()


@pytest.fixture
def learner(lava: Any) -> Iterator[Callable[..., Any]]:
    """Open cases on Lava; whatever is still open is closed after the test."""
    from neurosim_lava.learn import LavaLearner

    opened: list[LavaLearner] = []

    def open_case(case: LearningCase, **options: float) -> LavaLearner:
        opened.append(LavaLearner(case.program, case.plan, case.events, case.labels, 1, **options))
        opened[-1].load(initial_weights(case.program, case.plan))
        return opened[-1]

    yield open_case
    for one in opened:
        one.close()


def test_the_engine_leaves_the_weights_of_the_simulator(update: Callable[..., npt.NDArray[np.int64]]) -> None:
    """W += F a (x) b, once as votes that the simulator turns into weights, once in Lava's engine.

    Without rounding (step 1, shift 0, no residual bits) a mantissa moves by its vote; a weight is twice the mantissa.
    """
    case = learning_case("wide", "scalar", "random")
    plan = make_plan(
        case.program, "out", form="scalar", factor="random", rank=1, n_pairs=1, n_steps=8, error_bits=7, residual_bits=0
    )
    rng = np.random.default_rng(4)
    connection = case.program.network.connections[0]
    assert isinstance(connection, Dense)
    n_post, n_pre = connection.shape
    f, post, pre = rng.integers(-3, 4, 12), rng.choice([-1, 1], (12, n_post)), rng.integers(-1, 2, (12, n_pre))
    full = (initial_weights(case.program, plan) // 4).astype(np.int64)  # far enough from the ends
    where = plan.votes_of(0)
    votes = np.zeros(plan.n_weights, np.int64)
    votes[where] = np.einsum("s,sk,sj->jk", f, post, pre).ravel()
    new = update_weights(plan, full, votes, 1, np.zeros(len(plan.connections), np.int64), KEY)
    assert new.n_saturated == 0 and new.n_changed[0] > 1000
    expected = 2 * new.full[where].reshape(n_pre, n_post).T
    found = update(2 * full[where].reshape(n_pre, n_post).T, 2 * f, post, pre)
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize(("f", "post", "pre"), [(1, 4, 63), (7, 7, 5), (31, 1, 8), (1, 31, 8), (15, 3, 5), (3, 15, 5)])
def test_the_engine_is_exact_over_the_range_of_its_factors(
    update: Callable[..., npt.NDArray[np.int64]], f: int, post: int, pre: int
) -> None:
    """Members up to the largest of each factor; all but the last are taken back, so that the sum stays in range."""
    rng, n = np.random.default_rng(f + 1000 * pre), 8
    fs, posts, pres = (
        rng.integers(-f, f + 1, n),
        rng.integers(-post, post + 1, (n, 5)),
        rng.integers(-pre, pre + 1, (n, 7)),
    )
    fs[0], posts[0], pres[0] = -f, [post, -post, 0, 1, -1], [pre, -pre, 0, 1, -1, pre, -pre]
    fs[-1], posts[-1], pres[-1] = f, posts[0], pres[0]
    order = np.repeat(np.arange(n), 2)[:-1]
    signs = np.where(np.arange(2 * n - 1) % 2, -1, 1)
    found = update(np.zeros((5, 7), np.int64), signs * fs[order], posts[order], pres[order])
    np.testing.assert_array_equal(found, f * np.outer(posts[0], pres[0]))


def test_thousands_of_members_are_exact(update: Callable[..., npt.NDArray[np.int64]]) -> None:
    """With the time constant that Lava gives y, 65535 steps, a large y is now and then one smaller."""
    rng, n = np.random.default_rng(1), 1501
    post, pre = rng.choice([-8, 7], (n, 5)), rng.choice([-3, 3], (n, 7))
    post[1:-1:2], pre[1:-1:2] = post[:-1:2], pre[:-1:2]  # each member but the last is taken back
    f = np.where(np.arange(n) % 2, -7, 7)
    found = update(np.zeros((5, 7), np.int64), f, post, pre)
    np.testing.assert_array_equal(found, 7 * np.outer(post[-1], pre[-1]))


def test_votes_of_any_size_are_exact(sessions: Any) -> None:
    """Several engines in one start: factors of many digits, a connection without votes, one of a single synapse."""
    from neurosim_lava.engine import sums
    from neurosim_lava.lessons import Terms

    rng = np.random.default_rng(2)
    shapes = [(4, 6), (3, 5), (1, 1), (9, 2)]
    terms = [
        Terms(rng.integers(-127, 128, 9), rng.integers(-4095, 4096, (9, 4)), rng.integers(0, 300, (9, 6))),
        Terms(np.zeros(0, np.int64), np.zeros((0, 3), np.int64), np.zeros((0, 5), np.int64)),
        Terms(np.array([-127]), np.array([[-4095]]), np.array([[32767]])),
        Terms(np.ones(5, np.int64), rng.integers(-128, 128, (5, 9)), rng.integers(-1, 2, (5, 2))),
    ]
    found = sums(sessions, terms, shapes, 1.0)
    for total, part in zip(found, terms, strict=True):
        np.testing.assert_array_equal(total, np.einsum("s,sk,sj->kj", *part), strict=True)


def test_a_generation_without_samples_is_empty(learner: Callable[..., Any]) -> None:
    case = learning_case("one hidden")
    outcome = learner(case).evaluate(np.zeros(0, np.int64), case.response, case.scales, KEY)
    assert not outcome.votes.any() and len(outcome.votes) == case.plan.n_weights
    assert outcome.predictions.shape == (0,) and outcome.counts is None


def test_other_input_spikes_of_the_same_samples_can_be_shown(learner: Callable[..., Any]) -> None:
    case, other = learning_case("one hidden"), learning_case("one hidden", seed=9).events
    training = learner(case)
    training.show(other)
    found = training.evaluate(case.ids, case.response, case.scales, KEY)
    expected, before = (
        open_learner("reference", case.program, case.plan, events, case.labels, 1).evaluate(
            case.ids, case.response, case.scales, KEY
        )
        for events in (other, case.events)
    )
    assert expected.votes.any() and not np.array_equal(expected.votes, before.votes)
    for name in ("votes", "measured", "predictions", "statistics"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def test_programs_that_members_cannot_run_are_refused(
    learner: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurosim_lava import learn

    monkeypatch.setattr(learn, "FEATURES", learn.FEATURES - {"dense"})
    with pytest.raises(FeatureError, match="'lava, learning' lacks: dense"):
        learner(learning_case("one hidden"))


@pytest.mark.parametrize(
    ("form", "factor", "more", "words"),
    [
        ("scalar", "gaussian", {}, "'lava' does not learn with factor 'gaussian'; choose trace or random, or use"),
        ("scalar", "full", {}, "does not learn with factor 'full'; choose trace or random"),
        ("scalar", "full-gaussian", {}, "does not learn with factor 'full-gaussian'"),
        ("response", "trace", {"pair_every": 2}, "does not learn with pair_every 2; set it to 1, or use backend"),
        ("response", "trace", {"skip": -256}, "does not learn with skip; set it to 1, or use backend"),
        ("scalar", "random", {"one_group": True}, "does not learn with one_group; turn it off, or use backend"),
    ],
)
def test_rules_that_members_do_not_know_are_refused(
    learner: Callable[..., Any], form: str, factor: str, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(FeatureError, match=words):
        learner(learning_case("one hidden", form, factor, **more))


def test_a_dead_lava_process_is_an_error_that_says_what_was_run(learner: Callable[..., Any]) -> None:
    from neurosim_lava import group

    case = learning_case("one hidden")
    training = learner(case)
    training.evaluate(case.ids, case.response, case.scales, KEY)
    session = training.session

    def kill_one() -> None:
        wait_until_lava_runs(session.group)
        os.kill(group.members(session.group)[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(BackendError, match=r"(?s)network 'network' \(members of a generation\): .*exit code -9"):
        training.evaluate(np.zeros(400, np.int64), case.response, case.scales, KEY)
    killer.join()
    assert_nothing_left(session.group, session.prefix)
    again = training.evaluate(case.ids, case.response, case.scales, KEY)
    assert again.votes.any(), "the learner starts a new worker"
    last = training.session
    training.close()
    assert_nothing_left(last.group, last.prefix)


def test_many_builds_end_a_worker_and_begin_another(sessions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each build leaves memory behind in the process that made it."""
    from neurosim_lava import engine, session
    from neurosim_lava.lessons import Terms

    monkeypatch.setattr(session, "BUILDS_PER_WORKER", 2)
    one = Terms(np.ones(1, np.int64), np.ones((1, 1), np.int64), np.ones((1, 1), np.int64))
    groups = []
    for _ in range(3):
        assert engine.sums(sessions, [one], [(1, 1)], 1.0)[0].tolist() == [[1]]
        groups.append((sessions.current.group, sessions.current.prefix))
    assert groups[0] == groups[1] != groups[2]
    assert_nothing_left(*groups[0])


def test_an_engine_that_takes_too_long_is_ended(sessions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurosim_lava import backend, engine
    from neurosim_lava.lessons import Terms

    def no_time(*arguments: Any) -> dict[str, float]:
        return backend.stage_limits(*arguments) | {"run": 0.0}

    monkeypatch.setattr(engine, "stage_limits", no_time)
    many = Terms(np.ones(5000, np.int64), np.ones((5000, 1), np.int64), np.ones((5000, 1), np.int64))
    with pytest.raises(BackendError, match=r"votes \(the learning engine\): Lava did not finish 'run' within 0\.0 s"):
        engine.sums(sessions, [many], [(1, 1)], 1.0)
    assert_nothing_left(sessions.current.group, sessions.current.prefix)
