"""Training with every kind of fitness, windows with answers and costs: it learns, resumes exactly, and reads answers alike."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.aims import Readouts, window_labels
from neurosim.answers import Answer
from neurosim.arrayfile import pack_arrays
from neurosim.backend import get_backend
from neurosim.codes import STAT_SPIKES
from neurosim.config import TrainConfig, override
from neurosim.errors import ConfigError, DataError, FeatureError, ModelFileError
from neurosim.experiment import answer_of, evaluate_model, prepare_program, train_labels
from neurosim.learning.build import READOUT, run_steps
from neurosim.learning.calibrate import calibrate_balance, initial_scales
from neurosim.learning.population import SimulatorLearner
from neurosim.learning.trainer import Trainer
from neurosim.modelfile import Model
from neurosim.tasks import Task, load_task
from neurosim.version import VERSION

COUNT = ("rule.fitness=count", "network.readout_threshold=0.5", "rule.rate_cost=0.02")
FIRST = ("rule.fitness=first-spike", "network.readout_threshold=1", "rule.rate_cost=0.02")
SCALAR = ("rule.form=scalar", "rule.pairs=4")
EAGER = (
    "network.readout_threshold=0.25",
    "rule.rate_cost=0",
)  # a readout that fires often: silence is as good as chance
WINDOWS = ("rule.rank=3",)
ENDS = ("rule.rank=3", "rule.window_read=end", "network.readout_tau=0.01")
RATE = ("rule.rate_cost=0.05",)
BALANCE = ("rule.balance_cost=0.25",)


@functools.cache
def digits() -> Task:
    """Digits in four steps; every step of a sample has its label, but the first, which has none."""
    task = load_task("digits", n_steps=4, augment=False)
    labels = [np.repeat(found[:, None], 4, axis=1) for found in (task.train_labels, task.test_labels)]
    for each in labels:
        each[:, 0] = -1
    return Task(**{**vars(task), "train_step_labels": labels[0], "test_step_labels": labels[1]})


def config(*extra: str) -> TrainConfig:
    return override(TrainConfig(), ["network.hidden=[24]", "network.n_steps=4", "batch=16", "rule.warmup=2", *extra])


def open_trainer(settings: TrainConfig, n_generations: int = 40, threads: int = 1, backend: str = "simulator", **goal: Any) -> Trainer:  # fmt: skip
    task = digits()
    labels = goal.pop("labels", train_labels(settings, task))
    return Trainer(
        prepare_program(settings, task)[0], READOUT, settings.rule, task.train_events, labels,
        n_steps=run_steps(settings.network), n_generations=n_generations, batch=settings.batch, seed=settings.seed,
        backend=backend, threads=threads, **goal,
    )  # fmt: skip


def closeness(seen: Readouts) -> npt.NDArray[np.int64]:
    """The label's voltage less the mean of all, as a fitness of one's own."""
    z, labels = seen.values[:, :, -1], digits().train_labels[seen.ids]
    mine = np.take_along_axis(z, labels[:, None, None], axis=2)[:, :, 0]
    return np.asarray(np.minimum(mine - z.mean(axis=2).astype(np.int64), 4000), np.int64)


def accuracy(trainer: Trainer, settings: TrainConfig) -> float:
    """Share of test answers that are right, by the public way."""
    program = trainer.program
    network = program.network.with_weights(trainer.weights)
    metadata = {"answer": answer_of(settings, digits()).to_metadata(), "n_steps": run_steps(settings.network)}
    model = Model(network, program.chip, dict(program.scales), metadata, VERSION)
    return float(evaluate_model(model, digits(), threads=1)["accuracy"])


@pytest.mark.parametrize(
    "extra",
    [COUNT, (*COUNT, *SCALAR, *EAGER), FIRST, (*FIRST, *SCALAR, *EAGER), (*SCALAR, "rule.fitness=function"), WINDOWS, ENDS, (*WINDOWS, *SCALAR),
     (*WINDOWS, "rule.window_response=own"), (*COUNT, *WINDOWS), RATE, (*RATE, *BALANCE, *SCALAR)],
    ids=" ".join,
)  # fmt: skip
def test_every_kind_of_fitness_learns(extra: tuple[str, ...]) -> None:
    settings = config(*extra)
    goal = {"fitness": closeness} if settings.rule.fitness == "function" else {}
    with open_trainer(settings, 300, **goal) as trainer:
        before = accuracy(trainer, settings)
        for _ in range(300):
            trainer.step()
        after = accuracy(trainer, settings)
    assert after > before + 0.2


def test_a_trace_is_learned_without_labels() -> None:
    settings = config(*SCALAR, "rule.fitness=trace")
    steps, n = run_steps(settings.network), len(digits().train_labels)
    target = np.zeros((n, steps, 10), np.int32)
    target[:, 3:] = np.where(np.arange(10) == digits().train_labels[:, None], 20000, -4000)[:, None]
    with open_trainer(settings, 200, labels=np.full(n, -1), targets=target) as trainer:
        shown = [trainer.step() for _ in range(200)]
    early, late = (np.mean([g.likelihood for g in part]) for part in (shown[:20], shown[-20:]))
    assert 0 > late > 0.92 * early
    assert {(g.correct, g.n_samples) for g in shown} == {(0, 0)}


@pytest.mark.parametrize(
    "extra",
    [(*COUNT, *SCALAR), (*FIRST, *WINDOWS), ENDS, (*RATE, *BALANCE, *SCALAR), RATE, (*SCALAR, "rule.fitness=function")],
    ids=" ".join,
)
def test_runs_repeat_resume_and_agree_on_any_number_of_threads_and_the_twin(extra: tuple[str, ...]) -> None:
    settings = config("batch=4", *extra)
    goal = {"fitness": closeness} if settings.rule.fitness == "function" else {}

    def run(n: int, **options: Any) -> bytes:
        with open_trainer(settings, **options, **goal) as trainer:
            for _ in range(n):
                trainer.step()
            return pack_arrays(*trainer.state())

    whole = run(4)
    assert whole == run(4, threads=3) == run(4, backend="reference")
    with open_trainer(settings, **goal) as first, open_trainer(settings, **goal) as second:
        for _ in range(2):
            first.step()
        second.restore(*first.state())
        for _ in range(2):
            second.step()
        assert pack_arrays(*second.state()) == whole


@pytest.mark.parametrize("extra", [(), COUNT, FIRST, WINDOWS, ENDS, (*FIRST, *WINDOWS)], ids=" ".join)
def test_evaluation_reads_the_answers_that_learning_read(extra: tuple[str, ...]) -> None:
    settings, task = config(*extra), digits()
    ids = np.arange(40)
    with open_trainer(settings) as trainer:
        trainer.prepare()
        outcome = trainer.learner.evaluate(ids, trainer.response, trainer.scales, 5)
        program = trainer.program
    answer = answer_of(settings, task)
    assert outcome.statistics[STAT_SPIKES].any()
    with get_backend("simulator").open(program) as runner:
        result = runner.run(task.train_events.take(ids), run_steps(settings.network))
    np.testing.assert_array_equal(answer.classes(result), outcome.predictions.reshape(40, -1))
    assert Answer.from_metadata({"answer": answer.to_metadata()}, READOUT, "model") == answer


def test_old_models_answer_by_their_last_voltages_and_strange_ones_are_refused() -> None:
    assert Answer.from_metadata({}, READOUT, "model 'm'") == Answer(READOUT)
    for strange in ({"fitness": "best"}, {"n_windows": 0}, {"windows": 3}, {"since": 1}):
        with pytest.raises(ModelFileError, match="model 'm': answer .* is not known to this neurosim"):
            Answer.from_metadata({"answer": strange}, READOUT, "model 'm'")


def test_windows_take_the_label_of_the_input_that_their_last_step_has_seen() -> None:
    labels = np.array([[5, 6, 7, 8]])
    assert window_labels(labels, 3, 6, 2).tolist() == [[-1, 6, 8]]
    assert window_labels(labels, 6, 6, 2).tolist() == [[-1, -1, 5, 6, 7, 8]]
    assert window_labels(labels, 1, 6, 2).tolist() == [[8]]


def test_a_rate_cost_lowers_the_rate() -> None:
    rates = []
    for extra in ((), ("rule.rate_cost=4.0", "rule.rate_target=0.02")):
        with open_trainer(config(*extra), 120) as trainer:
            rates.append(np.mean([trainer.step().rates["hidden"] for _ in range(120)][-20:]))
    assert rates[1] < 0.8 * rates[0]


def test_imbalance_is_calibrated_to_256() -> None:
    with open_trainer(config()) as trainer:
        plan = trainer.plan
    statistics = np.zeros((5, 7), np.int64)
    statistics[4, 6] = 10 * 40_000
    assert calibrate_balance(initial_scales(plan), statistics, 10).balance_shift == 7  # 40,000 >> 7 = 312


@pytest.mark.parametrize(
    ("extra", "telling"),
    [
        (("rule.fitness=count",), "readout_threshold 0 never fires; set the threshold"),
        (("network.readout_threshold=1",), "lets the readout fire .* set 0, or rule.fitness to 'count'"),
        (("rule.fitness=trace",), "rule.fitness: 'trace' has no error for each readout.* set rule.form to 'scalar'"),
        (("rule.fitness=loss",), "rule.fitness: .*loss"),
        (("rule.rate_cost=-1",), "rule.rate_cost: -1"),
        (("rule.balance_cost=0.5",), "is taken off a fitness, which rule.form 'response' does not compare"),
        (("rule.balance_cost=65",), "rule.balance_cost: 65"),
        (("rule.rate_target=1.5",), "rule.rate_target: 1.5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(extra: tuple[str, ...], telling: str) -> None:
    with pytest.raises(ConfigError, match=telling):
        config(*extra)


def test_goals_and_data_must_fit() -> None:
    n, steps = len(digits().train_labels), run_steps(config().network)
    for settings, goal, telling in (
        (config(*SCALAR, "rule.fitness=trace"), {}, "targets: fitness 'trace' needs a voltage for each"),
        (config(), {"targets": np.zeros((n, steps, 10), np.int32)}, "only fitness 'trace' compares"),
        (config(*SCALAR, "rule.fitness=trace"), {"targets": np.zeros((n, 2, 10), np.int32)}, "give integers of shape"),
        (config(*SCALAR, "rule.fitness=trace"), {"targets": np.zeros((n, steps, 10))}, "targets: float64"),
        (config(*SCALAR, "rule.fitness=trace"), {"targets": np.full((n, steps, 10), 2**23)}, "exceeds the largest voltage"),
        (config(), {"labels": np.full(n, -1)}, "labels: -1 is outside 0..9"),
        (config(*WINDOWS), {"labels": np.zeros((n, 2), np.int64)}, "one integer for each of 3 windows"),
        (config(*WINDOWS), {"labels": np.full((n, 3), -2)}, "labels: -2 is outside -1..9"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=telling):
            open_trainer(settings, **goal)
    with pytest.raises(ConfigError, match="'function' and a function belong together"):
        open_trainer(config(*SCALAR, "rule.fitness=function"))
    with pytest.raises(ConfigError, match="'function' and a function belong together"):
        open_trainer(config(), fitness=closeness)


@pytest.mark.parametrize(
    ("given", "telling"),
    [(0.5, "returned float64"), (1, "return integers of shape .32, 9."), (2**62, "beyond 62 bits")],
)
def test_functions_that_return_something_else_are_refused(given: float, telling: str) -> None:
    settings = config(*SCALAR, "rule.fitness=function")

    def function(seen: Readouts) -> Any:
        return np.full(seen.values.shape[: 1 if given == 1 else 2], given)

    with open_trainer(settings, fitness=function) as trainer, pytest.raises(DataError, match=telling):
        trainer.step()


def test_a_learner_that_knows_one_goal_refuses_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimulatorLearner, "any_goal", False)
    with pytest.raises(FeatureError, match="learns from the likelihood of one label a sample only"):
        open_trainer(config(*COUNT))
    open_trainer(config()).close()
