"""Play episodes of a control task with antithetic pairs, and turn the difference of their rewards into votes.

One call plays, for each start state, the unperturbed network, then both members of every pair, each in a world of its own.
Twin: `neurosim.reference.episodes`. Large functions are called from one place each, as the compiler inlines every call.
"""

import numpy as np

from neurosim.codes import (
    ACC,
    CONNECTION,
    FACTOR_TRACE,
    FIRST_FACTOR,
    FIRST_VOTE,
    FITNESS_LIMIT,
    LEARNS,
    MODEL,
    MODEL_INPUT,
    NOISE,
    OP_DELIVER,
    PERTURBED,
    SOURCE,
    SPIKES,
    START,
    STOP,
    TARGET,
    U,
    V,
)
from neurosim.counters import NOISE_DRAWS, PERTURBATIONS, REWARD_BROADCASTS, TRACE_UPDATES, VOTES
from neurosim.episodeplan import (
    DIFFERENCE,
    DRIVE,
    DRIVE_STEPS,
    LENGTH,
    MARGIN,
    PERIODS,
    RATE_BITS,
    SOLVED,
    TIES,
    TOTALS,
)
from neurosim.kernels import cartpole
from neurosim.kernels.arith import shift_signed
from neurosim.kernels.jit import jit
from neurosim.kernels.noise import bits, fill_signs, fold
from neurosim.kernels.step import count_spikes, deliver_all, load_inputs, update_all


@jit
def play_episodes(p, s, w, plan, world, scales, start_key, key, first, last, lengths):
    """Play the episodes ``first..last - 1`` and add their votes.

    Parameters
    ----------
    p, s, w : ProgramArrays, Scratch, EpisodeScratch
        ``w.votes``, ``w.statistics`` and ``w.counts`` are added to.
    plan, world, scales : LearnPlan, World, EpisodeScales
        With ``plan.n_pairs`` 0 nothing is perturbed and nothing learned.
    start_key : uint64
        Names the start states; episode e begins in state ``fold(start_key, e)``.
    key : uint64
        Names the noise of the pairs.
    lengths : (n_episodes, 1 + 2 n_pairs) int64
        Written: control periods survived by the unperturbed network, then by + and - of each pair.
    """
    s.sent[:] = 0
    for episode in range(first, last):
        for member in range(1 + 2 * plan.n_pairs):
            sign = 0 if member == 0 else 1 - 2 * ((member + 1) % 2)
            if sign == 1:
                draw_factors(p, w, plan, fold(fold(key, episode), member // 2), lengths[episode, 0])
            cartpole.start(fold(start_key, episode), w.state)
            lengths[episode, member] = play(p, s, w, plan, world, scales, sign)
            if sign == -1:
                reward(p, w, plan, scales, lengths[episode, member - 1] - lengths[episode, member])
    count_spikes(p, s, 1, w.counts)


@jit
def play(p, s, w, plan, world, scales, sign):
    """Play from ``w.state`` to the end of the episode and return the control periods survived.

    In each period the network starts from rest, sees the state for a few steps, and pushes to the right if its second
    readout has the larger voltage after the last step.
    """
    n_delivers = 0
    while n_delivers < len(p.ops) and p.ops[n_delivers, 0] == OP_DELIVER:
        n_delivers += 1
    first_neuron = np.int64(0)
    for group in range(len(p.group)):
        if p.group[group, MODEL] == MODEL_INPUT:
            first_neuron = p.group[group, STOP]
    z = s.lanes[V, p.group[plan.readout, START] : p.group[plan.readout, STOP]]
    if sign == 0:
        w.trace[:] = 0
    period = 0
    while period < world.max_periods and not cartpole.has_failed(w.state):
        cartpole.drive(w.state, world.ranges, w.drives)
        for lane in (U, V, ACC, NOISE):
            s.lanes[lane, first_neuron:] = 0
        s.n_spikes[:] = 0
        for t in range(plan.n_steps):
            if sign != 0:
                perturb(p, s, w, plan, scales, sign)
            deliver_all(p, s, 0, n_delivers, w.counts)
            n_firing = np.int64(0)
            if t < world.n_input_steps:
                n_firing = cartpole.list_firing(w.drives, t, world.n_input_steps, w.firing)
            load_inputs(p, s, w.firing, 0, n_firing)
            update_all(p, s, w.counts)
            if sign == 0 and plan.n_pairs and t + 1 < plan.n_steps:  # spikes of the last step are never delivered
                trace_spikes(p, s, w)
        if sign == 0:
            w.statistics[TOTALS, MARGIN] += abs(np.int64(z[1]) - np.int64(z[0]))
        cartpole.advance(w.state, z[1] > z[0])
        period += 1
    w.statistics[TOTALS, PERIODS] += period
    if sign == 0:
        w.statistics[TOTALS, LENGTH] += period
        w.statistics[TOTALS, SOLVED] += np.int64(period == world.max_periods)
    return period


@jit
def trace_spikes(p, s, w):
    """Add the spikes of a step to the trace."""
    for group in range(len(p.group)):
        start = p.group[group, START]
        for i in range(s.n_spikes[group]):
            w.trace[start + s.lanes[SPIKES, start + i]] += 1
        w.counts[group, TRACE_UPDATES] += s.n_spikes[group]


@jit
def perturb(p, s, w, plan, scales, sign):
    """Set the noise of every perturbed group: pre factors of the sources that fired, times the post factors."""
    for group in range(len(p.group)):
        if not plan.group[group, PERTURBED]:
            continue
        drive = np.int64(0)
        for c in range(len(plan.plastic) - 1):
            connection = plan.plastic[c, CONNECTION]
            if p.conn[connection, TARGET] == group:
                source = p.conn[connection, SOURCE]
                start = p.group[source, START]
                for i in range(s.n_spikes[source]):
                    drive += np.int64(w.factor_b[plan.plastic[c, FIRST_FACTOR] + s.lanes[SPIKES, start + i]])
        w.statistics[DRIVE, group] += abs(drive)
        w.statistics[DRIVE_STEPS, group] += np.int64(drive != 0)
        amplitude = sign * shift_signed(drive, scales.noise_exp[group])
        first, last = p.group[group, START], p.group[group, STOP]
        for k in range(first, last):
            s.lanes[NOISE, k] = np.int32(amplitude * np.int64(w.factor_a[k]))
        w.counts[group, PERTURBATIONS] += last - first


@jit
def draw_factors(p, w, plan, pair_key, n_periods):
    """Draw the post factors, +1 or -1, and set the pre factors: +1 or -1 where the source fired at all, or rates."""
    n_groups = len(p.group)
    for group in range(n_groups):
        if plan.group[group, PERTURBED]:
            first, last = p.group[group, START], p.group[group, STOP]
            fill_signs(fold(fold(pair_key, group), 0), w.factor_a[first:last])
            w.counts[group, NOISE_DRAWS] += last - first
    n_played = max(1, n_periods * plan.n_steps)
    for c in range(len(plan.plastic) - 1):
        connection, first = plan.plastic[c, CONNECTION], plan.plastic[c, FIRST_FACTOR]
        start = p.group[p.conn[connection, SOURCE], START]
        n_pre = plan.plastic[c + 1, FIRST_FACTOR] - first
        key = fold(fold(pair_key, n_groups + connection), 0)
        for j in range(n_pre):
            n_fired = w.trace[start + j]
            if plan.factor == FACTOR_TRACE:
                w.factor_b[first + j] = np.int32((n_fired << RATE_BITS) // n_played)
            else:
                sign = 1 - 2 * np.int32((bits(key, j // 64) >> np.uint64(j & 63)) & np.uint64(1))
                w.factor_b[first + j] = np.int32(sign) if n_fired else np.int32(0)
        if plan.factor != FACTOR_TRACE:
            w.counts[n_groups + connection, NOISE_DRAWS] += n_pre


@jit
def reward(p, w, plan, scales, difference):
    """Broadcast a pair's difference of rewards, in 8 bits, and add it times post factor times pre factor to the votes."""
    n_groups = len(p.group)
    fitness = shift_signed(difference, -scales.fitness_shift)
    fitness = min(max(fitness, -FITNESS_LIMIT), FITNESS_LIMIT)
    w.statistics[TOTALS, DIFFERENCE] += abs(difference)
    w.statistics[TOTALS, TIES] += np.int64(fitness == 0)
    for group in range(n_groups):
        if plan.group[group, LEARNS]:
            w.counts[group, REWARD_BROADCASTS] += 1
    for c in range(len(plan.plastic) - 1):
        connection, first = plan.plastic[c, CONNECTION], plan.plastic[c, FIRST_FACTOR]
        target = p.conn[connection, TARGET]
        start, n_post = p.group[target, START], p.group[target, STOP] - p.group[target, START]
        for j in range(plan.plastic[c + 1, FIRST_FACTOR] - first):
            b = fitness * np.int64(w.factor_b[first + j])
            if b == 0:
                continue
            row = plan.plastic[c, FIRST_VOTE] + j * n_post
            for k in range(n_post):
                w.votes[row + k] += b * np.int64(w.factor_a[start + k])
            w.counts[n_groups + connection, VOTES] += n_post
