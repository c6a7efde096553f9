"""What samples should give: labels, labels of windows of time, target traces, or a function of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import FIT_TRACE, WINDOWS_ONE
from neurosim.errors import DataError
from neurosim.fixedpoint import STATE_MAX
from neurosim.goals import FITNESS_RANGE, Goal

NO_LABEL = -1  # of a sample or window without an answer
NO_SPIKE = -1  # in `Readouts.first`


class Readouts(NamedTuple):
    """What a fitness function of the user's sees: the runs of B samples by M members, W windows, C readout neurons.

    Member 0 is the unperturbed network; members 2p + 1 and 2p + 2 are the plus and minus of pair p. W is 1 where samples
    have one answer each.
    """

    ids: npt.NDArray[np.int64]  # (B,) samples, as numbered in the data
    values: npt.NDArray[np.int64]  # (B, M, W, C) voltage after the window's last step, or what came since it began
    counts: npt.NDArray[np.int64]  # (B, M, W, C) spikes in the window
    first: npt.NDArray[np.int64]  # (B, M, W, C) step of the first spike in the window, -1 if there is none


#: Takes the readouts of a generation; returns (B, M) integers, higher is better. Must depend on its argument only.
FitnessFunction = Callable[[Readouts], npt.ArrayLike]


class Aims(NamedTuple):
    """What the samples should give, by number of the sample, and what a generation's two passes hand each other."""

    labels: npt.NDArray[np.int64]  # (n_samples, W) 0..C - 1, or -1 for none
    targets: npt.NDArray[np.int32]  # (n_samples, n_steps, C) voltages of the readout, or (0, 0, 0)
    seen: npt.NDArray[np.int64]  # (B, M, 3, W, C) SEEN_*, written where the fitness is the user's; or zeros everywhere
    given: npt.NDArray[np.int64]  # (B, M) fitness, or (0, 0)


def last_step(window: int, rank: int, n_steps: int) -> int:
    """Return the last step of a window, where step t is in window ``t * rank // n_steps``.

    Examples
    --------
    >>> [last_step(window, 3, 10) for window in range(3)]
    [3, 6, 9]
    """
    return ((window + 1) * n_steps - 1) // rank


def window_labels(labels: npt.NDArray[np.int64], rank: int, n_steps: int, lag: int) -> npt.NDArray[np.int64]:
    """Return the label of each window of time, (n_samples, rank) int64: that of the input which its last step has seen.

    Parameters
    ----------
    labels : (n_samples, n_steps_input) int64
        Class at each step of input, -1 for none.
    rank : int
        Windows that the run's steps are divided into.
    n_steps : int
        Steps of the run.
    lag : int
        Steps until an input reaches the readout: the connections on the way. Windows that end before the first input
        arrives have no label.
    """
    found = np.full((len(labels), rank), NO_LABEL, np.int64)
    for window in range(rank):
        step = last_step(window, rank, n_steps) - lag
        if 0 <= step < labels.shape[1]:
            found[:, window] = labels[:, step]
    return found


def check_labels(labels: npt.ArrayLike, n_samples: int, goal: Goal, n_classes: int) -> npt.NDArray[np.int64]:
    """Return the labels in their windows, (n_samples, W) int64.

    Parameters
    ----------
    labels : (n_samples,) or (n_samples, R) integers
        0..C - 1; -1 where there is none, if windows have labels or the fitness needs none.
    n_samples, n_classes : int
    goal : Goal

    Raises
    ------
    DataError
        If they do not fit the samples, the windows or the readout.
    """
    given = np.asarray(labels)
    shape = (n_samples,) if goal.windows == WINDOWS_ONE else (n_samples, goal.n_windows)
    if given.dtype.kind not in "iu" or given.shape != shape:
        what = "one integer" if goal.windows == WINDOWS_ONE else f"one integer for each of {goal.n_windows} windows"
        raise DataError(f"labels: {given.dtype} of shape {given.shape}; give {what} for each of {n_samples} samples")
    lowest = 0 if goal.windows == WINDOWS_ONE and goal.kind < FIT_TRACE else NO_LABEL
    if given.size and (int(given.min()) < lowest or int(given.max()) >= n_classes):
        worst = int(given.min()) if int(given.min()) < lowest else int(given.max())
        raise DataError(
            f"labels: {worst} is outside {lowest}..{n_classes - 1}, the readout's neurons; use those as labels"
        )
    return np.ascontiguousarray(given.reshape(n_samples, -1), np.int64)


def check_targets(
    targets: npt.ArrayLike | None, n_samples: int, n_steps: int, goal: Goal, n_classes: int
) -> npt.NDArray[np.int32]:
    """Return target traces, (n_samples, n_steps, C) int32; (0, 0, 0) where the fitness needs none.

    Raises
    ------
    DataError
        If they are missing, not needed, of another shape, or beyond what a voltage can be.
    """
    if (goal.kind == FIT_TRACE) != (targets is not None):
        if targets is None:
            raise DataError("targets: fitness 'trace' needs a voltage for each sample, step and readout; give targets")
        raise DataError("targets: only fitness 'trace' compares with them; set rule.fitness to 'trace', or give none")
    if targets is None:
        return np.zeros((0, 0, 0), np.int32)
    given, shape = np.asarray(targets), (n_samples, n_steps, n_classes)
    if given.dtype.kind not in "iu" or given.shape != shape:
        raise DataError(f"targets: {given.dtype} of shape {given.shape}; give integers of shape {shape}")
    if given.size and int(np.abs(given.astype(np.int64)).max()) > STATE_MAX:
        raise DataError(
            f"targets: {int(np.abs(given.astype(np.int64)).max())} exceeds the largest voltage, {STATE_MAX}"
        )
    return np.array(given, np.int32, order="C")


def ask(function: FitnessFunction, seen: npt.NDArray[np.int64], ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the fitness that a user's function gives to every member, (B, M) int64.

    Parameters
    ----------
    function : callable
    seen : (B, M, 3, W, C) int64
        SEEN_VALUE, SEEN_COUNT, SEEN_FIRST.
    ids : (B,) int64

    Raises
    ------
    DataError
        If it returns something else than (B, M) integers in their range.
    """
    given = np.asarray(function(Readouts(ids.copy(), *(seen[:, :, i].copy() for i in range(seen.shape[2])))))
    shape = seen.shape[:2]
    if given.dtype.kind not in "iu" or given.shape != shape:
        raise DataError(
            f"fitness function: returned {given.dtype} of shape {given.shape}; return integers of shape {shape}"
        )
    if given.size and not -FITNESS_RANGE < int(given.min()) <= int(given.max()) < FITNESS_RANGE:
        raise DataError("fitness function: returned a value beyond 62 bits; return smaller ones")
    return np.ascontiguousarray(given, np.int64)
