"""The loop around a trainer of any kind: a learning curve, tests, checkpoints, interrupts."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import numpy.typing as npt

from neurosim.arrayfile import pack_arrays, unpack_arrays
from neurosim.config import TrainConfig
from neurosim.errors import ConfigError, ModelFileError
from neurosim.runfolder import RunFolder
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
    loss: float | None = None  # where training minimises one: running mean, in bits


class Learning(Protocol):
    """What the loop needs of a trainer."""

    generation: int
    n_generations: int

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return everything that changes during training."""
        ...

    def restore(self, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], where: str) -> None:
        """Continue from a state."""
        ...


Trains = TypeVar("Trains", bound=Learning)  # a trainer
Shown = TypeVar("Shown")  # what one of its generations shows


class Run(ABC, Generic[Trains, Shown]):
    """A trainer at work in a run folder; kinds of it say what a generation shows and how it is tested.

    Attributes
    ----------
    KEPT : tuple of str
        Numbers of the run itself that a checkpoint holds beside the trainer's state.
    """

    KEPT: ClassVar[tuple[str, ...]]

    def __init__(self, config: TrainConfig, folder: RunFolder, trainer: Trains) -> None:
        self.config, self.folder, self.trainer = config, folder, trainer
        self.history: list[dict[str, Any]] = []
        self.seconds = 0.0

    @abstractmethod
    def _advance(self, most: int) -> list[Shown]:
        """Run up to so many generations, at least one, and take them into the running means."""

    @abstractmethod
    def _test(self) -> None:
        """Measure how good the present weights are."""

    @abstractmethod
    def _point(self, shown: Shown, measured: bool) -> dict[str, Any]:
        """Return a point of the learning curve."""

    @abstractmethod
    def _progress(self, seconds: float) -> Progress:
        """Return where the run stands."""

    def train(self, on_progress: Callable[[Progress], None] | None) -> None:
        """Run the generations that are left."""
        trainer, config = self.trainer, self.config
        every = max(1, trainer.n_generations // HISTORY_POINTS)
        before, start = self.seconds, time.monotonic()
        with deferred_interrupt() as interrupted:
            while trainer.generation < trainer.n_generations:
                g = trainer.generation
                stops = [(g // each + 1) * each for each in (every, config.evaluate_every, config.checkpoint_every)]
                shown = self._advance(min(stops) - g)[-1]
                self.seconds = before + time.monotonic() - start
                last = trainer.generation == trainer.n_generations
                measured = trainer.generation % config.evaluate_every == 0 or last
                if measured:
                    self._test()
                if measured or trainer.generation % every == 0:
                    self.history.append(self._point(shown, measured))
                if on_progress is not None:
                    on_progress(self._progress(time.monotonic() - start))
                if interrupted() or trainer.generation % config.checkpoint_every == 0 or last:
                    self.checkpoint()
                if interrupted():
                    raise KeyboardInterrupt

    def checkpoint(self) -> None:
        """Write everything that training needs to continue."""
        header, arrays = self.trainer.state()
        header |= {
            "kind": "checkpoint",
            "neurosim": VERSION,
            "config": self.config.to_dict(),
            "history": self.history,
            "seconds": self.seconds,
        }
        header |= {name: getattr(self, name) for name in self.KEPT}
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
        for name in ("history", "seconds", *self.KEPT):
            setattr(self, name, header[name])


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
