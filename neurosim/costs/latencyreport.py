"""What a report of times says: seconds of each step, what bounds them, what has no published time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.costs.timetable import Barrier
from neurosim.sourced import Constant

Seconds = npt.NDArray[np.float64]


class Missing(NamedTuple):
    """Work that was counted and that takes a time nobody published."""

    operation: str
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    why: str


class Bound(NamedTuple):
    """What took longest, and in how many steps."""

    term: str
    where: str  # "core 3", "link (0, 1) east" or "chip"
    n_steps: int


@dataclass(frozen=True, eq=False)
class LatencyReport:
    """Time of each step of each sample, (n_samples, n_steps) float64, in seconds.

    Parameters
    ----------
    table, title, model : str
    seconds : array or None
        None where the table has no time for anything that happened.
    serial : array or None
        Critical path only: the same if nothing overlapped, so that packets set out when the slowest core has sent all of its
        own, and no core reads one before the last has arrived. The chip lies between the two as far as the table goes.
    terms : dict of str to array or None
        What `seconds` is made of; None where a term has no known time (it is left out, not 0). What takes no time of its
        own on the device is not listed.
    busy : dict of int to dict of str to (float or None)
        Seconds that each core spends on each operation, over all steps.
    bounds : tuple of Bound
        The largest term of each step and its place, most frequent first.
    missing : tuple of Missing
        Without time in the table: `seconds` is a lower bound if there are any.
    constants : dict of str to Constant
        Times used, with unit, source and kind.
    barrier : Barrier or None
    n_tiles : int
        Tiles in use, by which the barrier's time was taken.
    uncertainty : str
    uncertainty_percent : float or None
        The table's, which is one of the critical path; None for other models.
    not_modelled : tuple of str
    """

    table: str
    title: str
    model: str
    seconds: Seconds | None
    serial: Seconds | None
    terms: dict[str, Seconds | None]
    busy: dict[int, dict[str, float | None]]
    bounds: tuple[Bound, ...]
    missing: tuple[Missing, ...]
    constants: dict[str, Constant]
    barrier: Barrier | None
    n_tiles: int
    uncertainty: str
    uncertainty_percent: float | None
    not_modelled: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether everything counted has a time."""
        return self.seconds is not None and not self.missing

    @property
    def total_s(self) -> float | None:
        """Sum over all steps and samples: what `neurosim.energy.energy` takes for static energy."""
        return None if self.seconds is None else math.fsum(self.seconds.ravel().tolist())

    @property
    def mean_s(self) -> float | None:
        """Mean time of a step."""
        total = self.total_s
        return None if self.seconds is None or total is None or not self.seconds.size else total / self.seconds.size

    @property
    def max_s(self) -> float | None:
        """Time of the longest step."""
        return None if self.seconds is None or not self.seconds.size else float(self.seconds.max())

    @property
    def per_sample_s(self) -> Seconds | None:
        """Time of each sample: (n_samples,)."""
        return None if self.seconds is None else np.asarray(self.seconds.sum(axis=1))

    @property
    def serial_s(self) -> float | None:
        """Sum over all steps and samples of `serial`."""
        return None if self.serial is None else math.fsum(self.serial.ravel().tolist())

    @property
    def range_s(self) -> tuple[float, float] | None:
        """Where the total lies: from `seconds` to `serial`, each moved outward by the table's uncertainty in percent.

        None where nobody measured one.
        """
        low, high = self.total_s, self.serial_s
        if low is None or high is None or self.uncertainty_percent is None:
            return None
        part = self.uncertainty_percent / 100
        return low * max(0.0, 1 - part), high * (1 + part)

    def to_dict(self) -> dict[str, Any]:
        """Return the report, without single steps, in types that JSON can hold."""
        return {
            "table": self.table,
            "title": self.title,
            "model": self.model,
            "total_s": self.total_s,
            "range_s": None if self.range_s is None else list(self.range_s),
            "mean_step_s": self.mean_s,
            "max_step_s": self.max_s,
            "serial_s": self.serial_s,
            "is_complete": self.is_complete,
            "terms_s": {
                name: None if part is None else math.fsum(part.ravel().tolist()) for name, part in self.terms.items()
            },
            "busy_s": {str(core): dict(parts) for core, parts in self.busy.items()},
            "bounds": [bound._asdict() for bound in self.bounds],
            "missing": [item._asdict() for item in self.missing],
            "constants": {name: constant._asdict() for name, constant in self.constants.items()},
            "barrier": None if self.barrier is None else self.barrier.to_dict(),
            "n_tiles": self.n_tiles,
            "uncertainty": self.uncertainty,
            "uncertainty_percent": self.uncertainty_percent,
            "not_modelled": list(self.not_modelled),
        }
