"""Read the answer of a run from its readout, as learning read it: the last voltages, spikes, first spikes, by window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.aims import last_step, window_labels
from neurosim.backend import RunResult
from neurosim.codes import FIT_COUNT, FIT_FIRST
from neurosim.data.task import Task
from neurosim.errors import ModelFileError
from neurosim.goals import FITNESS
from neurosim.network import Probe

MAX_STEPS = 1 << 14  # windows, and steps of lag: tables have an entry for each


class Answer(NamedTuple):
    """How classes are read from a readout; what a model file says under "answer"."""

    readout: str
    fitness: str = "likelihood"  # a key of `neurosim.goals.FITNESS`
    n_windows: int = 1  # windows of time with an answer each
    since: bool = False  # a window's voltage is what came since the window began
    lag: int = 0  # steps until an input reaches the readout

    @property
    def spikes(self) -> bool:
        """Whether it is read from spikes."""
        return FITNESS[self.fitness] in (FIT_COUNT, FIT_FIRST)

    @property
    def probes(self) -> tuple[Probe, ...]:
        """What a run must record; the voltage in any case, which reports show."""
        voltage = Probe(self.readout, "v")
        return (Probe(self.readout), voltage) if self.spikes else (voltage,)

    def values(self, result: RunResult) -> npt.NDArray[np.int64]:
        """Return what each class has for it, (n_samples, W, C) int64: voltages, spikes, or steps left after the first."""
        voltage = result.states[self.readout, "v"].astype(np.int64)
        n_samples, n_steps, n_classes = voltage.shape
        ends = np.array([last_step(window, self.n_windows, n_steps) for window in range(self.n_windows)], np.int64)
        if not self.spikes:
            found = voltage[:, ends]
            return np.diff(found, axis=1, prepend=0) if self.since else found
        spikes, shape = result.spikes[self.readout], (n_samples, self.n_windows, n_classes)
        counted, best = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        window = spikes.step.astype(np.int64) * self.n_windows // n_steps
        place = (spikes.sample, window, spikes.neuron)
        np.add.at(counted, place, 1)
        np.maximum.at(best, place, ends[window] + 1 - spikes.step)
        return counted if FITNESS[self.fitness] == FIT_COUNT else best

    def classes(self, result: RunResult) -> npt.NDArray[np.int64]:
        """Return the class with the largest value, the first among equals, (n_samples, W)."""
        return np.asarray(self.values(result).argmax(axis=2), np.int64)

    def labels(self, task: Task) -> npt.NDArray[np.int64]:
        """Return the labels of a task's test samples by window, (n_samples, W), -1 where there is none."""
        if self.n_windows > 1 and task.test_step_labels is not None:
            return window_labels(task.test_step_labels, self.n_windows, task.n_steps_input + self.lag, self.lag)
        found = np.full((len(task.test_labels), self.n_windows), -1, np.int64)
        found[:, -1] = task.test_labels
        return found

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any], readout: str, where: str) -> Answer:
        """Return the answer that a model's metadata describe; the largest last voltage where they say nothing.

        Raises
        ------
        ModelFileError
            If it is not as this version writes it.
        """
        given = metadata.get("answer", {})
        answer = cls(readout)
        try:
            answer = cls(readout, **given)
            kinds = [type(value) for value in answer]
        except TypeError:
            kinds = []
        if (
            kinds != [str, str, int, bool, int]
            or answer.fitness not in FITNESS
            or min(answer.n_windows - 1, answer.lag) < 0
            or max(answer.n_windows, answer.lag) > MAX_STEPS
        ):
            raise ModelFileError(f"{where}: answer {given!r} is not known to this neurosim; save the model again")
        return answer

    def to_metadata(self) -> dict[str, Any]:
        """Return what `from_metadata` reads; the readout's name is elsewhere."""
        return {name: value for name, value in self._asdict().items() if name != "readout"}
