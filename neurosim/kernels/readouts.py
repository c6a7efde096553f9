"""Read a run's answer, its fitness and its costs."""

import numpy as np

from neurosim.codes import (
    CORRECT,
    CREDIT_LIMIT,
    ERROR,
    FIT_COUNT,
    FIT_FIRST,
    FIT_TRACE,
    FIT_USER,
    FORM_RESPONSE,
    FORM_SCALAR,
    IMBALANCE,
    LABELLED,
    LEARNS,
    LIKELIHOOD,
    MODEL,
    MODEL_INPUT,
    READ_BITS,
    SEEN_COUNT,
    SEEN_FIRST,
    SEEN_VALUE,
    SPREAD,
    START,
    STAT_TOTALS,
    STOP,
    WINDOWS_ONE,
    WINDOWS_OWN,
    WINDOWS_SHARED,
)
from neurosim.kernels.arith import shift_signed
from neurosim.kernels.fitness import log_likelihood, predict, readout_errors, spread
from neurosim.kernels.jit import jit

COST_BITS = 16  # fraction of the rate's gain (`neurosim.goals.RATE_BITS`)
KEEP_BITS = 12


@jit
def answer_window(t, plan):
    """Return the window of time that a step belongs to, of those with an answer."""
    return t * plan.goal.n_windows // plan.n_steps


@jit
def last_step(window, plan):
    """Return the last step of a window with an answer."""
    return ((window + 1) * plan.n_steps - 1) // plan.goal.n_windows


@jit
def read_run(x, w, plan):
    """Set ``w.z`` (W, C) to the answer of the run that was just made; larger means more likely."""
    goal, lane = plan.goal, x.first[plan.readout]
    if goal.kind == FIT_COUNT or goal.kind == FIT_FIRST:
        w.z[:] = 0
        for t in range(plan.n_steps):
            window = answer_window(t, plan)
            unit = np.int64(1) << READ_BITS
            if goal.kind == FIT_FIRST:
                unit *= last_step(window, plan) + 1 - t
            z, listed = w.z[window], w.spikes[t, lane : lane + plan.n_classes]
            for i in range(w.n_spikes[t, plan.readout]):
                if goal.kind == FIT_COUNT or z[listed[i]] == 0:
                    z[listed[i]] += unit
        return
    read_voltages(x, w, plan, w.z)


@jit
def read_voltages(x, w, plan, z):
    """Set z (W, C) to the readout's voltages after each window, or to what came since the window began."""
    goal, lane, n_lanes = plan.goal, x.first[plan.readout], len(x.valid)
    if goal.n_windows == 1:
        for o in range(plan.n_classes):
            z[0, o] = w.last_v[lane + o]
        return
    for window in range(goal.n_windows):
        here = last_step(window, plan) * n_lanes + lane
        before = last_step(window - 1, plan) * n_lanes + lane
        for o in range(plan.n_classes):
            z[window, o] = w.voltage[here + o]
            if goal.since and window > 0:
                z[window, o] -= w.voltage[before + o]


@jit
def look(x, w, plan, seen):
    """Write what a user's function sees of the run that was just made, (3, W, C)."""
    lane = x.first[plan.readout]
    read_voltages(x, w, plan, seen[SEEN_VALUE])
    counts, first = seen[SEEN_COUNT], seen[SEEN_FIRST]
    counts[:] = 0
    first[:] = -1
    for t in range(plan.n_steps):
        window, listed = answer_window(t, plan), w.spikes[t, lane : lane + plan.n_classes]
        for i in range(w.n_spikes[t, plan.readout]):
            counts[window, listed[i]] += 1
            if first[window, listed[i]] < 0:
                first[window, listed[i]] = t


@jit
def rate_run(p, x, w, plan, scales, labels, targets, id, base, exp2_table, log2_table, predicted, statistics):
    """Return the fitness of the run that was just made, and note what the unperturbed one answered.

    Parameters
    ----------
    labels : (W,) int64
        -1 for none.
    targets : (n_samples, n_steps, C) int32
    id : int
        The sample.
    base : bool
        The run is the unperturbed one: ``w.errors``, `predicted` (W,) and `statistics` are written.
    """
    goal, fitness = plan.goal, np.int64(0)
    if (goal.rate_gain != 0 or goal.balance_gain != 0) and plan.form == FORM_SCALAR:
        fitness = -cost_of_run(p, x, w, plan, scales)
    if goal.kind == FIT_TRACE:
        total, squares = np.int64(0), np.int64(0)
        lane, n_lanes = x.first[plan.readout], len(x.valid)
        for t in range(plan.n_steps):
            for o in range(plan.n_classes):
                size = abs(np.int64(w.voltage[t * n_lanes + lane + o]) - np.int64(targets[id, t, o]))
                total += size
                size >>= scales.temperature
                squares += size * size
        fitness -= squares
        if base:
            statistics[STAT_TOTALS, SPREAD] += total // (plan.n_steps * plan.n_classes)
    for window in range(goal.n_windows):
        z, label = w.z[window], labels[window]
        if label >= 0 and goal.kind < FIT_TRACE and (base or plan.form != FORM_RESPONSE):
            fitness += log_likelihood(z, label, scales.temperature, exp2_table, log2_table, w.classes)
        if base:
            errors = w.errors[window]
            errors[:] = 0
            if label >= 0 and goal.kind < FIT_TRACE:
                readout_errors(label, plan.error_bits, w.classes)
                for o in range(plan.n_classes):
                    errors[o] = w.classes[ERROR, o]
            predicted[window] = predict(z)
            statistics[STAT_TOTALS, CORRECT] += np.int64(predicted[window] == label)
            statistics[STAT_TOTALS, LABELLED] += np.int64(label >= 0)
            if goal.kind != FIT_TRACE:
                statistics[STAT_TOTALS, SPREAD] += spread(z)
    if base:
        if goal.kind != FIT_USER:
            statistics[STAT_TOTALS, LIKELIHOOD] += fitness
        if goal.balance_gain != 0:
            statistics[STAT_TOTALS, IMBALANCE] += abs(w.imbalance[0])
    return fitness


@jit
def cost_of_run(p, x, w, plan, scales):
    """Return what spikes beyond the target rate, and the imbalance of voltages, take off a run's fitness.

    ``w.imbalance[0]`` is set to the sum of positive less negative voltages of the hidden neurons over all steps.
    """
    goal, cost, imbalance, n_lanes = plan.goal, np.int64(0), np.int64(0), len(x.valid)
    for group in range(len(p.group)):
        if p.group[group, MODEL] == MODEL_INPUT or group == plan.readout:
            continue
        lane, n = x.first[group], p.group[group, STOP] - p.group[group, START]
        n_spikes = np.int64(0)
        for t in range(plan.n_steps):
            n_spikes += w.n_spikes[t, group]
            if goal.balance_gain != 0:
                row = w.voltage[t * n_lanes + lane : t * n_lanes + lane + n]
                for k in range(n):
                    imbalance += row[k]
        cost += max(np.int64(0), n_spikes - (n * goal.rate_target >> 8)) * goal.rate_gain >> COST_BITS
    w.imbalance[0] = imbalance
    return cost + ((abs(imbalance) >> scales.balance_shift) * goal.balance_gain >> 8)


@jit
def charge(p, x, w, plan):
    """Take the cost of the rate off the local votes of hidden neurons that came near their threshold."""
    goal = plan.goal
    for group in range(len(p.group)):
        if not plan.group[group, LEARNS] or group == plan.readout:
            continue
        lane, n = x.first[group], p.group[group, STOP] - p.group[group, START]
        for k in range(lane, lane + n):
            n_spikes = np.int64(0)
            for rank in range(plan.rank):
                n_spikes += w.trace[rank, k]
            beyond = max(np.int64(0), (n_spikes << 8) - goal.rate_target)
            lost = min(beyond * goal.rate_gain >> 8, np.int64(CREDIT_LIMIT))
            for rank in range(plan.rank):
                w.credit[rank, k] = np.int32(np.int64(w.credit[rank, k]) - lost * np.int64(w.close8[rank, k]))


@jit
def first_effect(rank, plan):
    """Return the first window in which a rank's effects are looked for."""
    return 0 if plan.goal.windows == WINDOWS_ONE else rank


@jit
def last_effect(rank, plan):
    """Return the last such window."""
    if plan.goal.windows == WINDOWS_SHARED:
        return plan.goal.n_windows - 1
    return rank if plan.goal.windows == WINDOWS_OWN else 0


@jit
def effect_row(rank, window, plan):
    """Return the row of the response that tells of a rank's effect in a window: by distance where windows share it."""
    return window - rank if plan.goal.windows == WINDOWS_SHARED else rank


@jit
def spread_errors(w, plan, lane):
    """Write the readout's own local votes: its errors, those of later windows as far as its voltage keeps what it got."""
    for last in range(plan.rank):
        rank = plan.rank - 1 - last
        errors = w.errors[0 if plan.goal.windows == WINDOWS_ONE else rank]
        for o in range(plan.n_classes):
            total = -errors[o]
            if plan.goal.windows != WINDOWS_ONE and last > 0:
                later = np.int64(w.credit[rank + 1, lane + o])
                total += shift_signed(later * plan.goal.keep, -KEEP_BITS)
            w.credit[rank, lane + o] = np.int32(total)
