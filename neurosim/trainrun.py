"""A trainer on samples at work in a run folder."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.answers import Answer
from neurosim.backend import get_backend
from neurosim.compile_network import compile as compile_network
from neurosim.config import TrainConfig
from neurosim.learning.build import run_steps
from neurosim.learning.trainer import Generation, Trainer
from neurosim.program import Program
from neurosim.runfolder import RunFolder
from neurosim.runloop import SMOOTHING, Progress, Run
from neurosim.tasks import Task


class TrainRun(Run[Trainer, Generation]):
    """A trainer at work in a run folder, tested on the task's test samples."""

    KEPT = ("accuracy", "fitness", "test_accuracy")

    def __init__(
        self, config: TrainConfig, folder: RunFolder, task: Task, trainer: Trainer, answer: Answer, threads: int
    ) -> None:
        super().__init__(config, folder, trainer)
        self.task, self.answer, self.threads = task, answer, threads
        self.accuracy, self.fitness = 0.0, 0.0
        self.test_accuracy: float | None = None

    def _advance(self, most: int) -> list[Generation]:
        found = self.trainer.advance(most)
        for shown in found:
            self._smooth(shown)
        return found

    def _smooth(self, shown: Generation) -> None:
        weight = 1.0 if shown.generation == 1 else SMOOTHING
        self.accuracy += weight * (shown.correct / max(1, shown.n_samples) - self.accuracy)
        self.fitness += weight * (shown.likelihood - self.fitness)

    def _point(self, shown: Generation, measured: bool) -> dict[str, Any]:
        return {
            "generation": shown.generation,
            "samples": shown.generation * self.config.batch,
            "train_accuracy": round(self.accuracy, 6),
            "fitness": round(self.fitness, 6),
            "test_accuracy": self.test_accuracy if measured else None,
            "rates": {name: round(rate, 6) for name, rate in shown.rates.items()},
            "moved": round(shown.moved, 6),
            "saturated": round(shown.saturated, 6),
            "ties": round(shown.ties, 6),
        }

    def _progress(self, seconds: float) -> Progress:
        generation = self.trainer.generation
        return Progress(
            generation, self.trainer.n_generations, generation * self.config.batch, seconds, self.accuracy,
            self.fitness, self.test_accuracy,
        )  # fmt: skip

    def _test(self) -> None:
        # Weights can be written to a loaded program, biases and thresholds cannot.
        others = self.config.rule.learns_neurons or self.trainer.actual
        program = self.trained_program() if others else self.trainer.program
        with get_backend(self.config.backend).open(program, threads=self.threads) as runner:
            for name, weights in self.trainer.weights.items():
                runner.write_weights(name, weights)
            result = runner.run(self.task.test_events, run_steps(self.config.network))
        labels = self.answer.labels(self.task)
        self.test_accuracy = float(np.mean((self.answer.classes(result) == labels)[labels >= 0]))

    def trained_program(self) -> Program:
        """Return the program with the learned weights, mapped anew."""
        return compile_network(self.trainer.network, self.trainer.program.chip)
