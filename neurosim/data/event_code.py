"""Turn counted events of an event camera into input spikes: join pixels, ask for several events, tell saccades apart."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError

SIDE = 34  # pixels


class EventCode(NamedTuple):
    """How the events of a field of 34 x 34 pixels and two polarities become binary spikes.

    Attributes
    ----------
    n_steps : int
        Equal parts of the recording's time, each a step of input.
    pool : int
        Pixels of a side of the squares that share an input; divides 34.
    phases : int
        Equal parts of the steps, each with inputs of its own; 1..n_steps. With 3, each saccade of N-MNIST has its own weights.
    least : int
        Events in a square and a step that make its input fire; at least 1.
    pictures : bool
        Number inputs square by square, all phases and polarities of a square together, as layers of convolution need it.

    Examples
    --------
    >>> EventCode(9, pool=2, phases=3, least=2).n_inputs
    1734
    """

    n_steps: int
    pool: int = 1
    phases: int = 1
    least: int = 1
    pictures: bool = False

    @property
    def n_inputs(self) -> int:
        """Inputs in all: ``phases * 2 * (34 // pool)**2``."""
        return self.phases * 2 * (SIDE // self.pool) ** 2

    @property
    def input_shape(self) -> tuple[int, int, int] | None:
        """Rows, columns and channels of the pictures that inputs are, as in `Task`; None where they are numbered otherwise."""
        side = SIDE // self.pool
        return (side, side, 2 * self.phases) if self.pictures else None

    def checked(self) -> EventCode:
        """Return itself.

        Raises
        ------
        DataError
            If a number does not fit the field or the steps.
        """
        if self.pool < 1 or SIDE % self.pool:
            raise DataError(
                f"nmnist: pool {self.pool} does not divide the {SIDE} pixels of a side; choose 1, 2, 17 or 34"
            )
        if not 1 <= self.phases <= self.n_steps:
            raise DataError(
                f"nmnist: {self.phases} phases do not fit {self.n_steps} steps; set phases to 1..{self.n_steps}, or more steps"
            )
        if self.least < 1:
            raise DataError(f"nmnist: least {self.least} is not a positive number of events; choose 1 or more")
        return self

    def spikes(self, counts: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return which inputs fire.

        Parameters
        ----------
        counts : (n, n_steps, 2, 34 * 34) of integers
            Events of each polarity and pixel in each step.

        Returns
        -------
        (n, n_steps, n_inputs) bool
            Step t belongs to phase ``t * phases // n_steps``. With ``side = 34 // pool`` and ``channel = phase * 2 + polarity``
            the input of a square is ``(channel * side + y // pool) * side + x // pool``, and where inputs are pictures
            ``(y // pool * side + x // pool) * 2 * phases + channel``.
        """
        n, side = len(counts), SIDE // self.pool
        squares = counts.reshape(n, self.n_steps, 2, side, self.pool, side, self.pool)
        fires = squares.sum(axis=(4, 6), dtype=np.int64).reshape(n, self.n_steps, -1) >= self.least
        found = np.zeros((n, self.n_steps, self.phases, fires.shape[2]), np.bool_)
        steps = np.arange(self.n_steps)
        found[:, steps, steps * self.phases // self.n_steps] = fires
        if self.pictures:
            channels = found.reshape(n, self.n_steps, 2 * self.phases, side * side)
            found = channels.transpose(0, 1, 3, 2)
        return found.reshape(n, self.n_steps, self.n_inputs)
