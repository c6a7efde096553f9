"""The loop around a trainer: learning curve, test accuracy, checkpoints, interrupts."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any, NamedTuple

import numpy as np

from neurosim.answers import Answer
from neurosim.arrayfile import pack_arrays, unpack_arrays
from neurosim.backend import get_backend
from neurosim.compile_network import compile as compile_network
from neurosim.config import TrainConfig
from neurosim.errors import ConfigError, ModelFileError
from neurosim.learning.build import run_steps
from neurosim.learning.trainer import Generation, Trainer
from neurosim.program import Program
from neurosim.runfolder import RunFolder
from neurosim.tasks import Task
from neurosim.version import VERSION

SMOOTHING = 0.1  # weight of the newest generation in the running means
HISTORY_POINTS = 100  # a run keeps about so many points of its learning curve


class Progress(NamedTuple):
    """Where a training run stands."""

    generation: int
    n_generations: int
    samples: int
    seconds: float  # since this process started training
    train_accuracy: float  # running mean over recent generations
    fitness: float  # running mean of log2 probability of the label
    test_accuracy: float | None  # the newest one measured


class TrainRun:
    """A trainer at work in a run folder."""

    def __init__(
        self, config: TrainConfig, folder: RunFolder, task: Task, trainer: Trainer, answer: Answer, threads: int
    ) -> None:
        self.config, self.folder, self.task, self.trainer, self.threads = config, folder, task, trainer, threads
        self.answer = answer
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0
        self.accuracy, self.fitness = 0.0, 0.0
        self.test_accuracy: float | None = None

    def train(self, on_progress: Callable[[Progress], None] | None) -> None:
        """Run the generations that are left."""
        trainer, config = self.trainer, self.config
        every = max(1, trainer.n_generations // HISTORY_POINTS)
        before, start = self.seconds, time.monotonic()
        with deferred_interrupt() as interrupted:
            while trainer.generation < trainer.n_generations:
                g = trainer.generation
                stops = [(g // each + 1) * each for each in (every, config.evaluate_every, config.checkpoint_every)]
                for shown in trainer.advance(min(stops) - g):
                    self._smooth(shown)
                self.seconds = before + time.monotonic() - start
                last = trainer.generation == trainer.n_generations
                measured = trainer.generation % config.evaluate_every == 0 or last
                if measured:
                    self.test_accuracy = self._test()
                if measured or trainer.generation % every == 0:
                    self.history.append(self._point(shown, measured))
                if on_progress is not None:
                    on_progress(self._progress(start))
                if interrupted() or trainer.generation % config.checkpoint_every == 0 or last:
                    self.checkpoint()
                if interrupted():
                    raise KeyboardInterrupt

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

    def _progress(self, start: float) -> Progress:
        generation = self.trainer.generation
        return Progress(
            generation, self.trainer.n_generations, generation * self.config.batch, time.monotonic() - start,
            self.accuracy, self.fitness, self.test_accuracy,
        )  # fmt: skip

    def _test(self) -> float:
        # Weights can be written to a loaded program, biases and thresholds cannot.
        program = self.trained_program() if self.config.rule.learns_neurons else self.trainer.program
        with get_backend(self.config.backend).open(program, threads=self.threads) as runner:
            for name, weights in self.trainer.weights.items():
                runner.write_weights(name, weights)
            result = runner.run(self.task.test_events, run_steps(self.config.network))
        labels = self.answer.labels(self.task)
        return float(np.mean((self.answer.classes(result) == labels)[labels >= 0]))

    def trained_program(self) -> Program:
        """Return the program with the learned weights, mapped anew."""
        return compile_network(self.trainer.network, self.trainer.program.chip)

    def checkpoint(self) -> None:
        """Write everything that training needs to continue."""
        header, arrays = self.trainer.state()
        header |= {
            "kind": "checkpoint",
            "neurosim": VERSION,
            "config": self.config.to_dict(),
            "history": self.history,
            "seconds": self.seconds,
            "accuracy": self.accuracy,
            "fitness": self.fitness,
            "test_accuracy": self.test_accuracy,
        }
        self.folder.write_checkpoint(self.trainer.generation, pack_arrays(header, arrays))

    def restore(self) -> None:
        """Continue from the newest checkpoint of the folder, if there is one."""
        path = self.folder.latest_checkpoint()
        if path is None:
            return
        header, arrays = unpack_arrays(path.read_bytes(), path)
        if header.get("kind") != "checkpoint":
            raise ModelFileError(f"{path}: holds {header.get('kind')!r}, not 'checkpoint'; give the folder of a run")
        check_same_config(header["config"], self.config.to_dict(), str(path))
        self.trainer.restore(header, arrays, str(path))
        self.history, self.seconds = header["history"], header["seconds"]
        self.accuracy, self.fitness, self.test_accuracy = header["accuracy"], header["fitness"], header["test_accuracy"]


def check_same_config(saved: dict[str, Any], given: dict[str, Any], where: str, prefix: str = "") -> None:
    """Refuse to go on with other settings: the result would belong to neither configuration."""
    for key in sorted(saved.keys() | given.keys()):
        old, new = saved.get(key), given.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            check_same_config(old, new, where, f"{prefix}{key}.")
        elif old != new:
            raise ConfigError(
                f"{where}: trained with {prefix}{key} = {old!r}, now {new!r}; resume with the same configuration, "
                "or train anew in another folder"
            )


def checkpoint_config(folder: RunFolder) -> TrainConfig:
    """Return the configuration of an interrupted run, from its newest checkpoint.

    Raises
    ------
    ModelFileError
        If the folder has no checkpoint.
    """
    path = folder.latest_checkpoint()
    if path is None:
        raise ModelFileError(f"run folder {str(folder.path)!r}: has no checkpoint; train it anew with --force")
    header, _ = unpack_arrays(path.read_bytes(), path)
    return TrainConfig.from_dict(header["config"], str(path))


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Let a first Ctrl-C finish the generation; a second one stops at once."""
    received: list[int] = []

    def remember(number: int, frame: Any) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    if current_thread() is not main_thread():
        yield lambda: False
        return
    previous = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGINT, previous)
