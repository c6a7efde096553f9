"""Every backend that learns leaves the same integers: votes, statistics, weights, and whole training runs."""

from itertools import cycle

import numpy as np
import pytest
from random_networks import LAYOUTS, RULES, learning_case

from neurosim.arrayfile import pack_arrays
from neurosim.backend import Backend
from neurosim.config import TrainConfig, override
from neurosim.counters import COLUMN
from neurosim.experiment import prepare_program
from neurosim.learning.build import READOUT, run_steps
from neurosim.learning.population import Outcome, Step, open_learner
from neurosim.learning.trainer import Trainer
from neurosim.learnplan import initial_weights
from neurosim.modelfile import Model, pack_model
from neurosim.tasks import load_task

KEY = 987_654_321
N_GENERATIONS, N_SAMPLES = 3, 11
#: Every layout and every rule at least once, with different widths of weights.
CASES = [(layout, *rule, bits) for layout, rule, bits in zip(LAYOUTS, cycle(RULES), cycle((8, 4)), strict=False)]


@pytest.fixture
def learning_backend(backend: Backend) -> str:
    """Name of the backend under test, if it learns."""
    if "learning" not in backend.features:
        pytest.skip(f"backend {backend.name!r} does not learn")
    return backend.name


def other(backend: str) -> str:
    return "reference" if backend == "simulator" else "simulator"


@pytest.mark.parametrize(("layout", "form", "factor", "rank", "bits"), CASES)
def test_two_generations_with_an_update_between(
    learning_backend: str, layout: str, form: str, factor: str, rank: int, bits: int
) -> None:
    case = learning_case(layout, form, factor, rank, bits=bits)
    results = []
    for name in (learning_backend, other(learning_backend)):
        learner = open_learner(name, case.program, case.plan, case.events, case.labels, 1)
        full = initial_weights(case.program, case.plan)
        learner.load(full)
        first = learner.evaluate(case.ids, case.response, case.scales, KEY)
        step = Step(200, np.full(len(case.plan.connections), 2), KEY + 1)
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
