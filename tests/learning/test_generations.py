"""Several generations in one call: equal to one by one, in any portions, on any threads, from any generation on."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import RULES, VARIANTS, LearningCase, learning_case

from neurosim.arrayfile import pack_arrays, unpack_arrays
from neurosim.codes import FIRST_FACTOR
from neurosim.config import TrainConfig, override
from neurosim.counters import COLUMN
from neurosim.errors import DataError
from neurosim.events import Events
from neurosim.experiment import prepare_program
from neurosim.learning.build import READOUT, run_steps
from neurosim.learning.generation import Memory, Outcome, Step, Updated
from neurosim.learning.opening import open_learner
from neurosim.learning.trainer import RECALIBRATE_EVERY, Generation, Trainer
from neurosim.learnplan import Scales, initial_weights
from neurosim.tasks import Task, load_task

KEY, N_GENERATIONS, LEAK = 11, 3, 2
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
ANY_RULE = [*((*rule, {}) for rule in RULES), *VARIANTS]


def learned(
    case: LearningCase, backend: str, threads: int, portions: Sequence[int], row_step: bool
) -> list[npt.NDArray[np.int64]]:
    """Return everything that the generations leave, run in calls of so many each."""
    learner = open_learner(backend, case.program, case.plan, case.events, case.labels, threads)
    full = initial_weights(case.program, case.plan)
    learner.load(full)
    memory = Memory(np.zeros(case.response.shape, np.int64), case.response.copy(), LEAK)
    power = np.zeros(int(case.plan.plastic[-1, FIRST_FACTOR]) if row_step else 0, np.int64)
    shift = np.full(len(case.plan.connections), 1 if row_step else 5)
    found: list[tuple[Outcome, Updated]] = []
    for n in portions:
        numbers = range(len(found), len(found) + n)
        found += learner.learn(
            full, memory, np.stack([np.roll(case.ids, g) for g in numbers]), case.scales, [KEY + g for g in numbers],
            [Step(300 - g, shift, KEY + 70 + g, power, 3, g + 1) for g in numbers],
        )  # fmt: skip
    after = learner.evaluate(case.ids, memory.response, case.scales, KEY)  # with what is on the chip
    learner.close()
    assert len(found) == N_GENERATIONS
    ends = [full, power, memory.accumulated, memory.response, after.votes, after.measured]
    for outcome, updated in found:
        ends += [outcome.predictions, outcome.statistics, np.array(updated.n_saturated)]
    counts = [outcome.counts for outcome, _ in found if outcome.counts is not None]
    ends += [np.sum(counts, axis=0), np.sum([updated.counts for _, updated in found], axis=0)]
    return ends


@pytest.mark.parametrize(("form", "factor", "rank", "more"), ANY_RULE)
@pytest.mark.parametrize(("layout", "row_step"), [("one hidden", True), ("recurrent", True), ("two inputs", False)])
def test_generations_in_one_call_equal_one_by_one(
    layout: str, row_step: bool, form: str, factor: str, rank: int, more: dict[str, int | bool]
) -> None:
    case = learning_case(layout, form, factor, rank, seed=3, **more)
    expected = learned(case, "reference", 1, (1, 1, 1), row_step)
    assert np.any(expected[0] != initial_weights(case.program, case.plan))
    assert np.any(expected[2]) == (form == "response")
    for threads, portions in ((1, (1, 1, 1)), (1, (3,)), (2, (2, 1)), (3, (3,)), (8, (1, 2))):
        ends = learned(case, "simulator", threads, portions, row_step)
        for i, (one, twin) in enumerate(zip(ends, expected, strict=True)):
            np.testing.assert_array_equal(one, twin, err_msg=f"{threads} threads, {portions}: part {i}")


@pytest.mark.parametrize("rule", [RULES[1], RULES[3]])
def test_the_reference_takes_several_generations_too(rule: tuple[str, str, int]) -> None:
    case = learning_case("one hidden", *rule)
    ends = [learned(case, "reference", 1, portions, True) for portions in ((1, 1, 1), (3,), (2, 1))]
    for end in ends[1:]:
        for one, twin in zip(end, ends[0], strict=True):
            np.testing.assert_array_equal(one, twin)


@pytest.mark.parametrize("backend", ["simulator", "reference"])
def test_samples_that_do_not_exist_are_refused_in_any_generation(backend: str) -> None:
    case = learning_case("one hidden")
    learner = open_learner(backend, case.program, case.plan, case.events, case.labels, 1)
    full = initial_weights(case.program, case.plan)
    learner.load(full)
    memory = Memory(np.zeros(case.response.shape, np.int64), case.response.copy(), LEAK)
    ids = np.stack([case.ids, case.ids])
    ids[1, 2] = case.events.n_samples
    step = Step(0, np.zeros(len(case.plan.connections), np.int64), KEY)
    with pytest.raises(DataError, match=rf"samples: {case.events.n_samples} is outside 0..{case.events.n_samples - 1}"):
        learner.learn(full, memory, ids, case.scales, [1, 2], [step, step])
    learner.close()


@pytest.mark.parametrize("backend", ["simulator", "reference"])
def test_other_input_spikes_of_the_same_samples_can_be_shown(backend: str) -> None:
    case = learning_case("two hidden", "response", "trace", 1)
    other = learning_case("two hidden", "response", "trace", 1, seed=9).events
    fresh = open_learner(backend, case.program, case.plan, other, case.labels, 1)
    shown = open_learner(backend, case.program, case.plan, case.events, case.labels, 1)
    before = shown.evaluate(case.ids, case.response, case.scales, KEY)
    shown.show(other)
    expected, found = (one.evaluate(case.ids, case.response, case.scales, KEY) for one in (fresh, shown))
    shown.show(case.events)
    again = shown.evaluate(case.ids, case.response, case.scales, KEY)
    with pytest.raises(DataError, match="events"):
        shown.show(learning_case("one hidden", n_samples=2)._replace(program=case.program).events.take([0, 9]))
    fresh.close()
    shown.close()
    for one, twin in ((found, expected), (again, before)):
        for name, part, same in zip(Outcome._fields, one, twin, strict=True):
            np.testing.assert_array_equal(part, same, err_msg=name)
    assert not np.array_equal(found.votes, before.votes)


def likelihoods(case: LearningCase) -> list[int]:
    """Return the likelihood (1/256 bit) of each sample's label in the unperturbed network."""
    from dense_rule import DenseRule

    rule = DenseRule(case)
    return [rule.likelihood(rule.trial(x).z, int(case.labels[x])) for x in range(case.events.n_samples)]


@pytest.mark.parametrize(("form", "factor", "rank"), RULES)
@pytest.mark.parametrize("backend", ["simulator", "reference"])
def test_samples_above_the_level_have_no_pairs(backend: str, form: str, factor: str, rank: int) -> None:
    """They leave no votes in the scalar form, nothing measured in the other, and still learn from what is known there."""
    case = learning_case("one hidden", form, factor, rank, n_samples=8, seed=3)
    known = likelihoods(case)
    level = sorted(known)[len(known) // 2]
    assert min(known) < level < max(known) <= 0
    skipping = case.plan._replace(skip=level)
    learner, plain = (
        open_learner(backend, case.program, plan, case.events, case.labels, 1) for plan in (skipping, case.plan)
    )
    updates = [COLUMN["neuron_updates_active"], COLUMN["neuron_updates_idle"]]
    readout = case.program.group_names.index("out")
    n_voted = 0
    for x, likelihood in enumerate(known):
        found, expected = (one.evaluate(np.array([x]), case.response, case.scales, KEY + x) for one in (learner, plain))
        n_runs = 1 if likelihood > level else 1 + 2 * case.plan.n_pairs
        assert found.counts[readout, updates].sum() == n_runs * case.plan.n_steps * case.plan.n_classes
        if likelihood <= level:
            for name, part, same in zip(Outcome._fields, found, expected, strict=True):
                np.testing.assert_array_equal(part, same, err_msg=name)
        assert not found.measured.any() or likelihood <= level
        if form == "response":
            np.testing.assert_array_equal(found.votes, expected.votes)
        elif likelihood > level:
            assert not found.votes.any()
            assert not found.counts[:, [COLUMN["votes"], COLUMN["noise_draws"], COLUMN["perturbations"]]].any()
        n_voted += bool(found.votes.any())
    learner.close()
    plain.close()
    assert n_voted > 0


@pytest.mark.parametrize("factor", ["trace", "random", "gaussian", "full", "full-gaussian"])
@pytest.mark.parametrize("backend", ["simulator", "reference"])
def test_one_group_counts_what_is_drawn_and_voted_for_it_alone(backend: str, factor: str) -> None:
    """In a sample with one pair, the group that it perturbs is the only one that has draws, and votes of its inputs."""
    case = learning_case("two hidden", "scalar", factor, 1, n_pairs=1, one_group=True)
    learner = open_learner(backend, case.program, case.plan, case.events, case.labels, 1)
    counts = learner.evaluate(np.array([1]), case.response, case.scales, KEY).counts
    both = learner.evaluate(np.array([1, 1]), case.response, case.scales, KEY).counts
    learner.close()
    rows, network = case.program.rows, case.program.network
    n_in, n_a = network.group("in").n, network.group("a").n

    def of(matrix: npt.NDArray[np.int64], row: str, counter: str) -> int:
        return int(matrix[rows.index(row), COLUMN[counter]])

    factors = {"trace": 0, "random": n_in, "gaussian": n_in}.get(factor, n_in * n_a)  # drawn before the synapses of a
    drawn = {"a": n_a * (not factor.startswith("full")), "in->a": factors}
    assert {row: of(counts, row, "noise_draws") for row in rows} == dict.fromkeys(rows, 0) | drawn
    assert {row for row in rows if of(counts, row, "votes")} == {"in->a"}
    assert {row for row in rows if of(counts, row, "perturbations")} == {"a"}
    assert {row for row in rows if of(both, row, "votes")} == {"in->a", "a->b"}, "the next pair perturbs the next group"
    assert of(both, "in->a", "votes") == of(counts, "in->a", "votes")
    assert of(both, "in->a", "noise_draws") == of(counts, "in->a", "noise_draws")


@pytest.fixture(autouse=True)
def often_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of three are calibrated as often as large ones, so that short runs pass a calibration."""
    monkeypatch.setattr("neurosim.learning.trainer.CALIBRATION_SAMPLES", 3)


# Training: the same bytes in any portions.

BATCH, N_SAMPLES, N_RUN = 3, 11, RECALIBRATE_EVERY + 9
CONFIGS: dict[str, list[str]] = {
    "response": [],
    "response with all": ["rule.rank=2", "rule.pair_every=2", "rule.skip=0.5", "rule.one_group=true", "rule.memory=2"],
    "scalar trace": ["rule.form=scalar", "rule.pairs=2"],
    "scalar random": ["rule.form=scalar", "rule.factor=random", "rule.row_step=false"],
    "scalar full": ["rule.form=scalar", "rule.factor=full", "rule.one_group=true"],
}


@functools.cache
def digits() -> Task:
    return load_task("digits", n_steps=4, augment=False)


@functools.cache
def config_of(name: str) -> TrainConfig:
    lines = ["network.hidden=[8]", "network.n_steps=4", f"batch={BATCH}", "rule.warmup=2"]
    return override(TrainConfig(), lines + CONFIGS[name])


def copies(epoch: int) -> Events:
    """Return other samples of the task, as if an epoch saw changed copies."""
    return digits().train_events.take(np.arange(N_SAMPLES) + (7 * epoch) % 400)


def open_trainer(name: str, threads: int = 1, backend: str = "simulator") -> Trainer:
    config = config_of(name)
    return Trainer(
        prepare_program(config, digits())[0], READOUT, config.rule, copies(0), digits().train_labels[:N_SAMPLES],
        n_steps=run_steps(config.network), n_generations=N_RUN, batch=BATCH, seed=config.seed, backend=backend,
        threads=threads, copies=copies,
    )  # fmt: skip


def packed(trainer: Trainer) -> bytes:
    return pack_arrays(*trainer.state())


@functools.cache
def step_by_step(name: str) -> tuple[list[bytes], list[Generation]]:
    """Return the state before and after every generation of a whole run, and what each showed."""
    with open_trainer(name) as trainer:
        states, shown = [packed(trainer)], []
        for _ in range(N_RUN):
            shown.append(trainer.step())
            states.append(packed(trainer))
    assert len(set(states)) == N_RUN + 1
    return states, shown


def run_in_portions(trainer: Trainer, portions: Callable[[], int], name: str) -> None:
    """Run to the end; compare every state that can be seen with that of a run step by step."""
    states, expected = step_by_step(name)
    while trainer.generation < N_RUN:
        first, most = trainer.generation, portions()
        shown = trainer.advance(most)
        assert 1 <= len(shown) <= most and trainer.generation == first + len(shown)
        assert shown == expected[first : trainer.generation]
        assert packed(trainer) == states[trainer.generation], f"from {first} to {trainer.generation}"


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("most", "threads"), [(1, 2), (2, 1), (5, 3), (1000, 1), (1000, 2)])
def test_portions_and_threads_do_not_matter(name: str, most: int, threads: int) -> None:
    with open_trainer(name, threads) as trainer:
        run_in_portions(trainer, lambda: most, name)


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_any_portions_from_any_generation_on(name: str, data: st.DataObject) -> None:
    """Across the ends of epochs, across recalibrations, and wherever a run resumes."""
    states, _ = step_by_step(name)
    start = data.draw(st.integers(0, N_RUN - 1), "start")
    with open_trainer(name, data.draw(st.integers(1, 3), "threads")) as trainer:
        trainer.restore(*unpack_arrays(states[start]))
        run_in_portions(trainer, lambda: data.draw(st.integers(1, 12), "portion"), name)


@pytest.mark.skipif(
    INTERPRETED, reason="uncompiled kernels run too slowly for every generation; the test above takes some"
)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_resumes_at_every_generation(name: str) -> None:
    """If a portion from any state leads to the states of the whole run, the rest follows from state to state."""
    states, shown = step_by_step(name)
    with open_trainer(name, 2) as trainer:
        for g in range(N_RUN):
            trainer.restore(*unpack_arrays(states[g]))
            found = trainer.advance(3)
            assert found == shown[g : g + len(found)]
            assert packed(trainer) == states[g + len(found)], f"resumed after generation {g}"


@pytest.mark.parametrize("name", ["response with all", "scalar full"])
def test_the_reference_trains_to_the_same_bytes(name: str) -> None:
    states, shown = step_by_step(name)
    with open_trainer(name, backend="reference") as trainer:
        while trainer.generation < 12:  # three epochs
            first = trainer.generation
            assert trainer.advance(4) == shown[first : trainer.generation]
            assert packed(trainer) == states[trainer.generation]


class Shown:
    """A learner that notes how many generations each call has, and what is shown."""

    def __init__(self, trainer: Trainer) -> None:
        self.inner, self.calls, self.epochs = trainer.learner, [], []
        trainer.learner = self  # type: ignore[assignment]

    def learn(self, full: Any, memory: Memory, ids: npt.NDArray[np.int64], scales: Scales, *rest: Any) -> Any:
        self.calls.append(len(ids))
        return self.inner.learn(full, memory, ids, scales, *rest)

    def show(self, events: Events) -> None:
        self.epochs.append(events)
        self.inner.show(events)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_generations_are_handed_over_together() -> None:
    """11 samples in batches of 3: an epoch begins with generations 0, 4, 8, 11, 15, ...; calibration follows `every`."""
    with open_trainer("response") as trainer:
        witness = Shown(trainer)
        trainer.prepare()
        del witness.epochs[:]
        trainer.restore(*unpack_arrays(step_by_step("response")[0][1]))  # prepared, one generation done
        while trainer.generation < N_RUN:
            trainer.advance(1000)
    starts = sorted({-(-epoch * N_SAMPLES // BATCH) for epoch in range(N_RUN)} | {trainer.every})
    inside = [g for g in starts if 1 < g < N_RUN]
    assert witness.calls == np.diff([1, *inside, N_RUN]).tolist()
    n_epochs = len({g * BATCH // N_SAMPLES for g in range(1, N_RUN)})
    assert len(witness.epochs) == n_epochs - 1, "each epoch is shown once, but for the first, which was there"


@pytest.mark.parametrize("portion", [1, 7])
@pytest.mark.parametrize("name", ["response", "response with all", "scalar trace"])
def test_steps_are_counted_of_the_runs_that_were_made(name: str, portion: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin's runs are counted one by one; chip steps and barriers are those of these runs, on every backend."""
    from neurosim.reference import learn as twin

    made: list[int] = []
    for method in ("_run_base", "_run_member"):
        inner = getattr(twin.Learner, method)

        def run(self: Any, *given: Any, inner: Any = inner) -> Any:
            made.append(1)
            return inner(self, *given)

        monkeypatch.setattr(twin.Learner, method, run)
    n = 7
    with open_trainer(name, backend="reference") as plain, open_trainer(name, 2) as fast:
        plain.prepare()
        plain.restore(*unpack_arrays(step_by_step(name)[0][1]))
        fast.restore(*unpack_arrays(step_by_step(name)[0][1]))
        before = plain.op_counts
        assert before is not None
        del made[:]
        for trainer in (plain, fast):
            while trainer.generation < 1 + n:
                trainer.advance(min(portion, 1 + n - trainer.generation))
        counts = [trainer.op_counts for trainer in (plain, fast)]
        n_steps, n_pairs = plain.plan.n_steps, plain.plan.n_pairs
    for one in counts:
        assert one is not None
        assert one.n_steps - before.n_steps == len(made) * n_steps
        assert (one.n_samples, one.totals()["barriers"]) == ((1 + n) * BATCH, one.n_steps)
    everyone = n * BATCH * (1 + 2 * n_pairs)
    assert len(made) == everyone if name != "response with all" else n * BATCH < len(made) < everyone
