"""A trainer by gradients at work in a run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.answers import Answer
from neurosim.backend import get_backend
from neurosim.chip import Chip, load_chip
from neurosim.compile_network import compile as compile_network
from neurosim.config import TrainConfig
from neurosim.direct.layers import MODELS
from neurosim.errors import ConfigError
from neurosim.learning.build import run_steps
from neurosim.network import Network
from neurosim.program import Program
from neurosim.quantized import Quantized
from neurosim.runfolder import RunFolder
from neurosim.runloop import SMOOTHING, Progress, Run
from neurosim.tasks import EPISODE_TASKS, Task

if TYPE_CHECKING:
    from neurosim.direct.trainer import DirectTrainer, Update

NEURONS = tuple(MODELS)  # those with a gradient
FITNESS = "likelihood"  # what the loss is the negative of
HISTOGRAM_SAMPLES = 256  # whose membrane potentials are shown
DIGITS = 6  # of measured numbers in metrics and checkpoints


def check_direct(config: TrainConfig) -> None:
    """Refuse what training by gradients cannot do, before anything is loaded or written.

    Raises
    ------
    ConfigError
        With the key, its value and what to set instead.
    """
    if config.task.partition(":")[0] in EPISODE_TASKS:
        raise ConfigError(
            f"task {config.task!r}: is played and has no labels, method 'direct' needs samples with labels; use method=on-chip"
        )
    if config.mode != "batch":
        raise ConfigError(
            f"mode: {config.mode!r} learns after every sample, method 'direct' from batches; set mode=batch"
        )
    if config.rule.fitness != FITNESS:
        raise ConfigError(
            f"rule.fitness: {config.rule.fitness!r} has no gradient here, method 'direct' minimises cross-entropy; set rule.fitness={FITNESS}"
        )
    if config.faults.any:
        raise ConfigError(
            "faults: method 'direct' trains off the chip, where nothing is broken; train without them, then learn on the faulty chip: "
            "neurosim train --method response --from RUN, with the same faults"
        )
    if config.network.neuron not in NEURONS:
        raise ConfigError(
            f"network.neuron: {config.network.neuron!r} has no gradient here, method 'direct' trains {', '.join(NEURONS)}; choose one of these"
        )


def check_torch() -> None:
    """Refuse to train by gradients where torch is not installed; this does not load it."""
    if find_spec("torch") is None:
        raise ConfigError("method 'direct' needs torch, which is not installed; pip install 'neurosim-hal[torch]'")


def open_direct_trainer(config: TrainConfig, network: Network, task: Task, threads: int) -> DirectTrainer:
    """Return a trainer by gradients of a float network; this loads torch."""
    from neurosim.direct.trainer import DirectTrainer

    return DirectTrainer(config, network, task, threads)


def program_of(quantized: Quantized, chip: str | Chip) -> Program:
    """Return the program of a network that was trained off the chip, with its scales.

    Its connections may learn on, so that a later training on the chip finds room beside the weights; on a chip that keeps
    nothing there, and so cannot learn, they stay as they are.
    """
    chip = load_chip(chip) if isinstance(chip, str) else chip
    network = quantized.network
    if chip.tag_bits == 0:
        fixed = tuple(replace(connection, plastic=False) for connection in network.connections)
        network = replace(network, connections=fixed)
    return replace(compile_network(network, chip), scales=dict(quantized.scales))


class Predictions(NamedTuple):
    """Classes that a network gave test samples off the chip, (n_test,) int64 each."""

    chip: npt.NDArray[np.int64] | None  # in the chip's arithmetic, if that is what training saw
    floats: npt.NDArray[np.int64]


class DirectRun(Run["DirectTrainer", "Update"]):
    """A trainer by gradients at work in a run folder, tested in chip integers on the task's test samples.

    Attributes
    ----------
    samples : int
        Training samples seen.
    accuracy, loss, balance : float
        Running means over recent batches: share of right answers, cross-entropy in bits, and the balance of potentials.
    test_accuracy : float or None
        Of the quantised network on the configured backend, when last measured.
    begin : dict
        Histograms of membrane potentials before the training, as `histograms` gives them.
    """

    KEPT = ("samples", "accuracy", "loss", "balance", "test_accuracy", "begin")

    def __init__(
        self, config: TrainConfig, folder: RunFolder, task: Task, trainer: DirectTrainer, answer: Answer, threads: int
    ) -> None:
        super().__init__(config, folder, trainer)
        self.task, self.answer, self.threads = task, answer, threads
        self.samples, self.accuracy, self.loss, self.balance = 0, 0.0, 0.0, 0.0
        self.test_accuracy: float | None = None
        self.begin: dict[str, Any] = {}

    def train(self, on_progress: Callable[[Progress], None] | None) -> None:
        """Run the batches that are left; a run that begins looks at the membrane potentials first."""
        if self.trainer.generation == 0:
            self.begin = self.histograms()
        super().train(on_progress)

    def histograms(self) -> dict[str, Any]:
        """Return how often each membrane potential occurs: group -> edges of bins in thresholds, and counts."""
        n = min(HISTOGRAM_SAMPLES, len(self.task.test_labels))
        return plain_histograms(self.trainer.potentials(self.task.test_events, n))

    def _advance(self, most: int) -> list[Update]:
        found: list[Update] = self.trainer.advance(most)
        for shown in found:
            self._smooth(shown)
        return found

    def _smooth(self, shown: Update) -> None:
        weight = 1.0 if shown.generation == 1 else SMOOTHING
        self.samples += shown.n_samples
        self.accuracy += weight * (shown.correct / max(1, shown.n_samples) - self.accuracy)
        self.loss += weight * (shown.loss - self.loss)
        self.balance += weight * (shown.balance - self.balance)

    def _point(self, shown: Update, measured: bool) -> dict[str, Any]:
        return {
            "generation": shown.generation,
            "samples": self.samples,
            "train_accuracy": round(self.accuracy, DIGITS),
            "loss": round(self.loss, DIGITS),
            "balance": round(self.balance, DIGITS),
            "test_accuracy": self.test_accuracy if measured else None,
            "rates": {name: round(rate, DIGITS) for name, rate in shown.rates.items()},
            "widths": {
                name: [round(width, DIGITS) for width in found] for name, found in self.trainer.widths().items()
            },
        }

    def _progress(self, seconds: float) -> Progress:
        return Progress(
            self.trainer.generation, self.trainer.n_generations, self.samples, seconds, self.accuracy, -self.loss,
            self.test_accuracy, self.loss,
        )  # fmt: skip

    def _test(self) -> None:
        program = self.trained_program()
        with get_backend(self.config.backend).open(program, threads=self.threads) as runner:
            result = runner.run(self.task.test_events, run_steps(self.config.network))
        labels = self.answer.labels(self.task)
        self.test_accuracy = float(np.mean((self.answer.classes(result) == labels)[labels >= 0]))

    def predictions(self) -> Predictions:
        """Return how the present network answers the test samples where it is trained."""
        events = self.task.test_events
        seen = self.trainer.predict(events) if self.config.direct.arithmetic == "chip" else None
        return Predictions(seen, self.trainer.predict(events, chip=False))

    def trained_program(self) -> Program:
        """Return the program with the present weights in chip integers."""
        return program_of(self.trainer.quantized(), self.config.chip)


def agreement(found: Predictions, chip: Sequence[int], labels: npt.NDArray[np.int64]) -> dict[str, float | None]:
    """Return the shares of test samples that the chip's integers answer like what was trained.

    Parameters
    ----------
    found : Predictions
    chip : (n_test,) int
        Answers of the quantised network.
    labels : (n_test,) int64

    Returns
    -------
    dict
        chip (None where training did not see the chip's arithmetic), floats, float_accuracy; 0..1.
    """
    answers = np.asarray(chip)
    return {
        "chip": None if found.chip is None else float(np.mean(found.chip == answers)),
        "floats": float(np.mean(found.floats == answers)),
        "float_accuracy": float(np.mean(found.floats == labels)),
    }


def plain_histograms(found: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Return histograms as plain values: group -> {"edges": (n + 1) floats, "counts": (n) integers}."""
    return {
        name: {"edges": [round(float(edge), DIGITS) for edge in edges], "counts": [int(count) for count in counts]}
        for name, (edges, counts) in found.items()
    }
