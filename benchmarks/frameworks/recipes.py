"""Which networks are trained, and how: a table."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Recipe(NamedTuple):
    """How one network is built and trained.

    Attributes
    ----------
    framework : {"snntorch", "norse"}
    task : str
        A name of `neurosim.tasks`.
    net : str
        Function of the framework's module here that builds it.
    shape : tuple of int
        Of one step's input in the framework.
    epochs, batch : int
    rate : float
        Of Adam; falls to 0 over the training as a cosine.
    n_train : int or None
        Learn from the first so many samples only.
    readout : {"count", "last"}
        The class is that of the most spikes, or of the largest voltage after the last step.
    sharpness : float
        Factor of the mean number of spikes in a step, or of the last voltage, before the softmax.
    points : float
        By how much the accuracy in chip integers may lie below, in percent.
    """

    framework: str
    task: str
    net: str
    shape: tuple[int, ...]
    epochs: int
    batch: int
    rate: float
    n_train: int | None
    readout: str
    sharpness: float
    points: float

    def answers(self, output: Tensor) -> Tensor:
        """Return what the classes are read from, of an output of (n_steps, n_samples, n_classes)."""
        return output.mean(0) if self.readout == "count" else output[-1]

    @property
    def nets(self) -> ModuleType:
        """The module that builds, runs and exports networks of this framework; imports the framework."""
        return importlib.import_module(f"benchmarks.frameworks.{self.framework}_nets")


RECIPES: dict[str, Recipe] = {
    "snntorch-mnist-dense": Recipe("snntorch", "mnist", "dense", (784,), 4, 100, 2e-3, None, "count", 10.0, 1.0),
    "snntorch-mnist-conv": Recipe("snntorch", "mnist", "conv", (1, 28, 28), 2, 100, 3e-3, None, "count", 10.0, 1.0),
    "snntorch-fsdd-leaky": Recipe("snntorch", "fsdd", "recurrent_leaky", (40,), 15, 50, 2e-3, None, "count", 10.0, 2.0),
    "snntorch-fsdd-cuba": Recipe("snntorch", "fsdd", "recurrent_cuba", (40,), 15, 50, 2e-3, None, "count", 10.0, 2.0),
    "norse-mnist-dense": Recipe("norse", "mnist", "dense", (784,), 5, 100, 2e-3, None, "last", 100.0, 1.0),
    "norse-fsdd-recurrent": Recipe("norse", "fsdd", "recurrent", (40,), 20, 50, 3e-3, None, "last", 100.0, 2.0),
}
