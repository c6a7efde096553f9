"""Read a run's answer, its fitness and its costs; twin of `neurosim.kernels.readouts`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.aims import NO_SPIKE, last_step
from neurosim.codes import FIT_COUNT, FIT_FIRST, FIT_TRACE, FORM_SCALAR, READ_BITS
from neurosim.goals import RATE_BITS
from neurosim.learnplan import LearnPlan, Scales
from neurosim.network import Input
from neurosim.program import Program
from neurosim.reference.fitness import log_softmax
from neurosim.reference.run import Chip

Int64Array = npt.NDArray[np.int64]


class Watch:
    """What is seen of one run: voltages and spikes of the readout, spikes and voltages of the hidden groups."""

    def __init__(self, program: Program, plan: LearnPlan, chip: Chip) -> None:
        self.plan, self.goal, self.chip = plan, plan.goal, chip
        groups = program.network.ordered_groups
        self.readout = chip.slices[groups[plan.readout].name]
        names = [g.name for i, g in enumerate(groups) if not isinstance(g, Input) and i != plan.readout]
        self.hidden = {name: chip.slices[name] for name in names}
        self.start()

    def start(self) -> None:
        """Forget the run before."""
        n_classes, steps = self.plan.n_classes, self.plan.n_steps
        self.v = np.zeros((steps, n_classes), np.int64)
        self.fired = np.zeros((steps, n_classes), np.bool_)
        self.spikes = dict.fromkeys(self.hidden, 0)
        self.imbalance = 0

    def see(self, t: int) -> None:
        """Note the state after step t."""
        self.v[t], self.fired[t] = self.chip.v[self.readout], self.chip.fired[self.readout]
        for name, where in self.hidden.items():
            self.spikes[name] += int(self.chip.fired[where].sum())
            self.imbalance += int(self.chip.v[where].sum())  # = sum of max(v, 0) - sum of max(-v, 0)

    def _windows(self) -> list[range]:
        """Return the steps of each window."""
        plan, n = self.plan, self.goal.n_windows
        ends = [last_step(window, n, plan.n_steps) + 1 for window in range(n)]
        return [range(first, last) for first, last in zip([0, *ends], ends, strict=False)]

    def seen(self) -> Int64Array:
        """Return voltages, spike counts and first spikes by window, (3, W, C)."""
        values, counts, firsts = [], [], []
        for steps in self._windows():
            part = slice(steps.start, steps.stop)
            before = self.v[steps.start - 1] if self.goal.since and steps.start else 0
            values.append(self.v[steps.stop - 1] - before)
            counts.append(self.fired[part].sum(axis=0))
            ever = self.fired[part].any(axis=0)
            first = self.fired[part].argmax(axis=0) + steps.start
            firsts.append(np.where(ever, first, NO_SPIKE))
        return np.array([values, counts, firsts], np.int64)

    def z(self) -> Int64Array:
        """Return the readout by window, (W, C); larger means more likely."""
        values: Int64Array
        values, counts, firsts = self.seen()
        if self.goal.kind == FIT_COUNT:
            return np.asarray(counts << READ_BITS)
        if self.goal.kind == FIT_FIRST:
            stops = np.array([[steps.stop] for steps in self._windows()])
            return np.asarray(np.where(firsts != NO_SPIKE, stops - firsts, 0) << READ_BITS)
        return values

    def cost(self, scales: Scales) -> int:
        """Return what the run's spikes beyond the target rate, and its imbalance, take off its fitness."""
        goal, total = self.goal, 0
        if self.plan.form == FORM_SCALAR:
            for name, where in self.hidden.items():
                target = (where.stop - where.start) * goal.rate_target >> 8
                total += max(0, self.spikes[name] - target) * goal.rate_gain >> RATE_BITS
            total += (abs(self.imbalance) >> scales.balance_shift) * goal.balance_gain >> 8
        return total

    def distances(self, target: Int64Array) -> Int64Array:
        """Return the absolute distances of the readout's voltages from a target, (n_steps, C)."""
        return np.asarray(np.abs(self.v - target))


def fitness_of(
    watch: Watch, z: Int64Array, labels: Int64Array, target: Int64Array, scales: Scales
) -> tuple[int, Int64Array]:
    """Return the fitness of a run, costs taken off, and the errors of the readout by window, (W, C).

    Parameters
    ----------
    watch : Watch
    z : (W, C) int64
    labels : (W,) int64
        -1 for none: such a window has no fitness and no error.
    target : (n_steps, C) int64
        For fitness "trace": the fitness is minus the sum of ``(distance >> temperature)**2``.
    scales : Scales
    """
    goal, fitness, errors = watch.goal, -watch.cost(scales), np.zeros(z.shape, np.int64)
    if goal.kind == FIT_TRACE:
        return fitness - int(((watch.distances(target) >> scales.temperature) ** 2).sum()), errors
    if goal.kind > FIT_TRACE:
        return fitness, errors
    for window, label in enumerate(labels.tolist()):
        if label >= 0:
            likelihood, errors[window] = log_softmax(z[window], label, scales.temperature, watch.plan.error_bits)
            fitness += likelihood
    return fitness, errors
