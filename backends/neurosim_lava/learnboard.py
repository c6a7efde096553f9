"""What the Lava processes of learning share with the process that started them; see `neurosim_lava.board`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim_lava.board import shared_bytes


class Schedule(NamedTuple):
    """The order of runs: for each sample the unperturbed one, then plus and minus of each pair, T steps each."""

    n_steps: int  # T, of one run
    n_pairs: int
    rank: int
    windows: bool  # rank r acts in window r of time (factor "trace"), or every rank in every step

    @property
    def n_runs(self) -> int:
        """Runs of one sample."""
        return 1 + 2 * self.n_pairs

    def place(self, step: int) -> tuple[int, int, int]:
        """Return sample, run of the sample and step of the run, from 0, of a step counted over all runs."""
        run, t = divmod(step, self.n_steps)
        sample, run = divmod(run, self.n_runs)
        return sample, run, t

    def window(self, t: int) -> int:
        """Return the window of time of a step."""
        return t * self.rank // self.n_steps

    def ranks(self, t: int) -> range:
        """Return the ranks that act in a step."""
        return range(self.window(t), self.window(t) + 1) if self.windows else range(self.rank)


class MemberBoard(NamedTuple):
    """What a group of neurons is given and what it writes."""

    schedule: Schedule
    post: npt.NDArray[np.int8] | None  # (n_samples, n_pairs, R, n) post factors; None: not perturbed
    noise_exp: int
    trace: npt.NDArray[np.int32]  # (n_samples, R, n) spikes of the unperturbed run, by window of delivery
    near: npt.NDArray[np.uint8]  # (n_samples, R, n) came above half the threshold in it
    final: npt.NDArray[np.int32]  # (n_samples, n_runs, n) voltage after the last step
    drive: npt.NDArray[np.int64]  # (2,) sum of |drive| over steps, ranks and members, and how often there was any


class DriveBoard(NamedTuple):
    """What the drive of one connection is given."""

    schedule: Schedule
    signs: npt.NDArray[np.int8] | None  # (n_samples, n_pairs, R, n_pre) random pre factors; None: traces


class LessonBoard(NamedTuple):
    """What one learning engine is taught, row i in its step i + 1, and what it learns."""

    payload: npt.NDArray[np.int32]  # (S, n_pre) sent as graded spikes
    y1: npt.NDArray[np.int32]  # (S, n_post)
    y2: npt.NDArray[np.int32]  # (S,)
    read: npt.NDArray[np.int8]  # (S,) add the weights << this to the total and clear them; negative: leave them
    total: npt.NDArray[np.int64]  # (n_post, n_pre) written


#: By the name of the group, the connection or the engine, filled by the worker before each build.
MEMBERS: dict[str, MemberBoard] = {}
DRIVES: dict[str, DriveBoard] = {}
LESSONS: dict[str, LessonBoard] = {}


def shared(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a zeroed array, not empty, that forked processes write to."""
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return shared_bytes(1, n_bytes).view(dtype).reshape(shape)


def clear() -> None:
    """Forget the arrays of the last build."""
    for board in (MEMBERS, DRIVES, LESSONS):
        board.clear()
