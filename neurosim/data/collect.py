"""Put blocks of dense spikes together as one list of events, in little memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.events import Events


class EventCollector:
    """Events of many samples, added block by block.

    While collecting, an event takes 2 bytes where there are at most 65,536 inputs; the blocks are freed one by one
    when they are written into the 4 bytes that `Events` has.

    Examples
    --------
    >>> collected = EventCollector(n_steps=2, n_inputs=3)
    >>> collected.add(np.array([[[0, 1, 0], [1, 0, 1]]], bool))
    >>> collected.events().neuron.tolist()
    [1, 0, 2]
    """

    def __init__(self, n_steps: int, n_inputs: int) -> None:
        self.n_steps, self.n_inputs, self.n_samples = n_steps, n_inputs, 0
        self._narrow = np.dtype(np.uint16 if n_inputs <= 1 << 16 else np.int32)
        self._per_step: list[npt.NDArray[np.int64]] = []
        self._neurons: list[npt.NDArray[Any]] = []

    def add(self, spikes: npt.NDArray[np.bool_]) -> None:
        """Add samples, (n, n_steps, n_inputs) bool."""
        self._per_step.append(spikes.sum(axis=2, dtype=np.int64).ravel())
        self._neurons.append((np.flatnonzero(spikes) % max(1, self.n_inputs)).astype(self._narrow))
        self.n_samples += len(spikes)

    def events(self) -> Events:
        """Return all that was added, and forget it."""
        start = np.concatenate([[0], np.cumsum(np.concatenate([np.zeros(0, np.int64), *self._per_step]))])
        neuron = np.empty(int(start[-1]), np.int32)
        first = 0
        self._neurons.reverse()
        while self._neurons:
            block = self._neurons.pop()
            neuron[first : first + len(block)] = block
            first += len(block)
        self._per_step = []
        return Events(start.astype(np.int64), neuron, self.n_samples, self.n_steps, self.n_inputs)
