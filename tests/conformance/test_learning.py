"""Every backend that learns leaves the same integers: votes, statistics, weights, and whole training runs."""

from itertools import cycle

import numpy as np
import pytest
from random_networks import LAYOUTS, RULES, VARIANTS, LearningCase, learning_case

from neurosim.arrayfile import pack_arrays
from neurosim.backend import BUILT_IN, Backend
from neurosim.config import TrainConfig, override
from neurosim.counters import COLUMN
from neurosim.errors import FeatureError
from neurosim.experiment import prepare_program
from neurosim.learning.build import READOUT, run_steps
from neurosim.learning.generation import Learner, Memory, Outcome, Step
from neurosim.learning.opening import open_learner
from neurosim.learning.trainer import Trainer
from neurosim.learnplan import initial_weights
from neurosim.modelfile import Model, pack_model
from neurosim.tasks import load_task

KEY = 987_654_321
N_GENERATIONS, N_SAMPLES = 3, 11
#: Every layout and every rule and variant at least once, with different widths of weights.
CASES = [
    (layout, *rule, bits)
    for layout, rule, bits in zip(
        cycle(LAYOUTS), [*((*rule, {}) for rule in RULES), *VARIANTS], cycle((8, 4)), strict=False
    )
]


def test_every_layout_is_among_the_cases() -> None:
    assert {case[0] for case in CASES} == LAYOUTS.keys()


@pytest.fixture
def learning_backend(backend: Backend) -> str:
    """Name of the backend under test, if it learns."""
    if "learning" not in backend.features:
        pytest.skip(f"backend {backend.name!r} does not learn")
    return backend.name


def other(backend: str) -> str:
    return "reference" if backend == "simulator" else "simulator"


def opened(backend: str, case: LearningCase) -> Learner:
    """Return a learner; a backend that is not built in may refuse a rule by its name."""
    try:
        return open_learner(backend, case.program, case.plan, case.events, case.labels, 1)
    except FeatureError as refused:
        if backend in BUILT_IN:
            raise
        pytest.skip(str(refused))


@pytest.mark.parametrize(("layout", "form", "factor", "rank", "more", "bits"), CASES)
def test_two_generations_with_an_update_between(
    learning_backend: str, layout: str, form: str, factor: str, rank: int, more: dict[str, int | bool], bits: int
) -> None:
    case = learning_case(layout, form, factor, rank, bits=bits, **more)
    results = []
    for name in (learning_backend, other(learning_backend)):
        learner = opened(name, case)
        full = initial_weights(case.program, case.plan)
        learner.load(full)
        first = learner.evaluate(case.ids, case.response, case.scales, KEY)
        step = Step(200, np.full(len(case.plan.connections), 4), KEY + 1)
        counts, n_saturated = learner.update(full, first.votes, step)
        second = learner.evaluate(case.ids, case.response, case.scales, KEY + 2)
        learner.close()
        results.append((first, second, full, counts[:, COLUMN["weight_updates"]], n_saturated))
    found, expected = results
    assert expected[3].sum() > 0 and expected[0].votes.any() and expected[1].votes.any()
    for one, twin in zip(found[:2], expected[:2], strict=True):
        assert_same(one, twin)
    for part, twin_part in zip(found[2:], expected[2:], strict=True):
        np.testing.assert_array_equal(part, twin_part)


@pytest.mark.parametrize(("layout", "form", "factor", "rank"), [("one hidden", *RULES[1]), ("two inputs", *RULES[5])])
def test_learning_is_evaluating_then_updating(
    learning_backend: str, layout: str, form: str, factor: str, rank: int
) -> None:
    case, ends = learning_case(layout, form, factor, rank), []
    step = Step(200, np.full(len(case.plan.connections), 2), KEY + 1)
    for at_once in (False, True):
        learner, full = opened(learning_backend, case), initial_weights(case.program, case.plan)
        learner.load(full)
        if at_once:
            memory = Memory(np.zeros(case.response.shape, np.int64), case.response.copy(), 0)
            ((first, updated),) = learner.learn(full, memory, case.ids[None], case.scales, [KEY], [step])
        else:
            first = learner.evaluate(case.ids, case.response, case.scales, KEY)
            updated = learner.update(full, first.votes, step)
        second = learner.evaluate(case.ids, case.response, case.scales, KEY + 2)
        learner.close()
        ends.append((full, *updated, *first[2:5], *second))  # squares are known where votes are
    assert ends[0][1].any() and np.any(ends[0][0] != initial_weights(case.program, case.plan))
    for part, expected in zip(*ends, strict=True):
        np.testing.assert_array_equal(part, expected)


def assert_same(one: Outcome, twin: Outcome) -> None:
    """Compare outcomes; operations only where both were counted."""
    for name, part, expected in zip(Outcome._fields, one, twin, strict=True):
        if part is not None and expected is not None:
            np.testing.assert_array_equal(part, expected, err_msg=name, strict=True)


@pytest.mark.parametrize("form", ["response", "scalar"])
def test_training_on_digits_ends_with_the_same_bytes(learning_backend: str, form: str) -> None:
    """Calibration, three generations and their updates: same checkpoint, same model file."""
    lines = ["network.hidden=[12]", "network.n_steps=4", "batch=4", "rule.warmup=1", f"rule.form={form}"]
    config = override(TrainConfig(), lines)
    task = load_task("digits", n_steps=config.network.n_steps, augment=False)
    program, _ = prepare_program(config, task)
    ends = []
    for name in (learning_backend, other(learning_backend)):
        with Trainer(
            program, READOUT, config.rule, task.train_events.take(np.arange(N_SAMPLES)), task.train_labels[:N_SAMPLES],
            n_steps=run_steps(config.network), n_generations=N_GENERATIONS, batch=config.batch, seed=config.seed,
            backend=name,
        ) as trainer:  # fmt: skip
            shown = [trainer.step() for _ in range(N_GENERATIONS)]
            header, arrays = trainer.state()
            model = Model(program.network.with_weights(trainer.weights), program.chip)
        arrays.pop("counts", None)  # not every backend counts
        ends.append((pack_model(model), pack_arrays(header, arrays), shown))
    assert ends[0] == ends[1]
    assert all(generation.moved > 0 for generation in ends[1][2]), "weights did move"
