"""Find the powers of two of a learning rule from measured activity, in integers."""

from __future__ import annotations

from math import isqrt

import numpy as np
import numpy.typing as npt

from neurosim.codes import (
    CREDIT_SHIFT,
    FACTOR_GAUSSIAN,
    FIT_COUNT,
    FIT_FIRST,
    FIT_LIKELIHOOD,
    FIT_TRACE,
    FITNESS_SIZE,
    IMBALANCE,
    N_SCALES,
    NEURON_RESIDUAL,
    NOISE_EXP,
    PERTURBED,
    SHARED,
    SIZE,
    SPREAD,
    STAT_DRIVE,
    STAT_DRIVE_STEPS,
    STAT_TOTALS,
    WEIGHT_BITS,
)
from neurosim.goals import RESPONSE_BITS
from neurosim.learnplan import LearnPlan, Scales
from neurosim.normaltable import SIGMA_BITS
from neurosim.program import ProgramArrays

CREDIT_BITS = 6  # local votes lose the bits of the error, all but one: response (7) x error (7) >> 6
SPREAD_OCTAVES_256 = 768  # the untrained readout spreads over 3 octaves of probability (in 1/256)
AVERAGE_TYPICAL = 1 << 11  # a typical vote in an average of 16 bits, so that one 16 times as large still fits
TRACE_DISTANCE = 256  # the untrained readout's mean distance from a target trace, after its shift
IMBALANCE_TYPICAL = 256  # positive less negative voltages of the start, after their shift
FITNESS_TYPICAL = 16  # a typical fitness difference after its shift


def floor_log2_ratio(numerator: int, denominator: int) -> int:
    """Return ``floor(log2(numerator / denominator))`` for positive integers; values below 1 count as 1.

    Examples
    --------
    >>> [floor_log2_ratio(*pair) for pair in ((8, 1), (7, 1), (1, 3), (3, 3))]
    [3, 2, -2, 0]
    """
    numerator, denominator = max(1, numerator), max(1, denominator)
    exponent = numerator.bit_length() - denominator.bit_length()
    shifted = numerator << max(0, -exponent), denominator << max(0, exponent)
    return exponent if shifted[0] >= shifted[1] else exponent - 1


def initial_scales(plan: LearnPlan) -> Scales:
    """Return the scales before anything was measured."""
    group = np.zeros((len(plan.group), N_SCALES), np.int64)
    group[:, CREDIT_SHIFT] = CREDIT_BITS + plan.error_bits - RESPONSE_BITS
    shifts = np.zeros(len(plan.connections) + len(plan.neuron) - 1, np.int64)
    return Scales(group, shifts, temperature=8, fitness_shift=0)


def calibrate_temperature(
    scales: Scales, statistics: npt.NDArray[np.int64], n_samples: int, kind: int = FIT_LIKELIHOOD
) -> Scales:
    """Set the temperature so that the untrained readouts spread over about three octaves.

    For fitness "trace" so that their mean distance from the target is about 256 after the shift.

    Parameters
    ----------
    n_samples : int
        Answers that `statistics` are of: samples, times windows where each has an answer.
    kind : int
        FIT_*.
    """
    wanted = TRACE_DISTANCE if kind == FIT_TRACE else SPREAD_OCTAVES_256
    spread = int(statistics[STAT_TOTALS, SPREAD]) // n_samples
    return scales._replace(temperature=max(0, floor_log2_ratio(spread, wanted)))


def calibrate_balance(scales: Scales, statistics: npt.NDArray[np.int64], n_samples: int) -> Scales:
    """Set the shift that brings the imbalance of positive and negative voltages to about 256."""
    size = int(statistics[STAT_TOTALS, IMBALANCE]) // n_samples
    return scales._replace(balance_shift=max(0, floor_log2_ratio(size, IMBALANCE_TYPICAL)))


def calibrate_noise(
    scales: Scales,
    plan: LearnPlan,
    arrays: ProgramArrays,
    statistics: npt.NDArray[np.int64],
    perturbation_256: int,
    readout_256: int,
) -> Scales:
    """Set each group's noise exponent so that a step with drive moves it by the wanted part of its threshold.

    Parameters
    ----------
    perturbation_256 : int
        Wanted size in 1/256 of the threshold.
    readout_256 : int
        Wanted size for the readout, which has no threshold, in 1/256 octave of probability.
    """
    group = scales.group.copy()
    for g in np.nonzero(plan.group[:, PERTURBED])[0]:
        drive = int(statistics[STAT_DRIVE, g]) // max(1, int(statistics[STAT_DRIVE_STEPS, g]))
        if plan.factor == FACTOR_GAUSSIAN:  # the noise is drive times post factor; elsewhere that is a sign
            drive <<= SIGMA_BITS
        wanted = int(plan.group[g, SIZE]) * perturbation_256 >> 8
        if g == plan.readout and plan.goal.kind not in (FIT_COUNT, FIT_FIRST):
            wanted = readout_256 << scales.temperature
        # sqrt(2) = 362 / 256 turns rounding down of the exponent into rounding to the nearest
        group[g, NOISE_EXP] = floor_log2_ratio(wanted * 362 >> 8, drive)
    return scales._replace(group=group)


def calibrate_fitness(scales: Scales, statistics: npt.NDArray[np.int64], n_pairs: int) -> Scales:
    """Set the shift that brings a typical fitness difference to about 16."""
    size = int(statistics[STAT_TOTALS, FITNESS_SIZE]) // n_pairs
    return scales._replace(fitness_shift=max(0, floor_log2_ratio(size, FITNESS_TYPICAL)))


def follow_fitness(scales: Scales, statistics: npt.NDArray[np.int64], n_pairs: int) -> Scales:
    """Set the fitness shift anew as differences shrink or grow, and the step shifts against it.

    A vote of the same difference moves a weight as far as before; only how finely differences are told apart changes.
    """
    new = calibrate_fitness(scales, statistics, n_pairs)
    return new._replace(step_shift=scales.step_shift - (new.fitness_shift - scales.fitness_shift))


def row_steps(plan: LearnPlan, scales: Scales, step_256: int, full_step: int) -> Scales:
    """Set each connection's step shift for rows whose votes are measured against their own root mean square.

    A vote of that size then changes a weight by `step_256` / 256 of an 8-bit weight step, up to a factor below 2, which
    `row_step_size` makes up for.
    """
    shifts = scales.step_shift.copy()
    for c in range(len(plan.connections)):
        exponent = floor_log2_ratio(step_256, 256) + plan.residual_bits - (8 - int(plan.plastic[c, WEIGHT_BITS]))
        exponent -= isqrt(int(plan.plastic[c, SHARED])).bit_length() - 1  # as in `calibrate_steps`
        shifts[c] = full_step.bit_length() - 1 - exponent
    return scales._replace(step_shift=shifts)


def row_step_size(remaining: int, step_256: int) -> int:
    """Return the step of a generation: what is left of the full step, times the part of the wanted size beyond a power of two."""
    exponent = floor_log2_ratio(step_256, 256)
    part = (step_256 << 8) >> (8 + exponent) if exponent > -8 else 256  # 256..511
    return max(1, remaining * part >> 8)


def calibrate_steps(
    scales: Scales, plan: LearnPlan, votes: npt.NDArray[np.int64], step_256: int, full_step: int
) -> Scales:
    """Set each connection's step shift so that a typical first change has the wanted size; also that of neurons' biases.

    With momentum, which moves by signs, the shift brings a typical vote to a size that its average can hold.

    Parameters
    ----------
    votes : (n_learned,) int64
        Votes of one generation.
    step_256 : int
        Wanted mean change of the weights that change at all, in 1/256 of an 8-bit weight step (of 1/256 of the range).
    full_step : int
        The step's value before it decays.
    """
    shifts = []
    for c in range(len(plan.connections)):
        # in steps of an 8-bit weight, whatever the format: the same change moves the network as much
        wanted = (step_256 << plan.residual_bits) >> (16 - int(plan.plastic[c, WEIGHT_BITS]))
        # The votes of many links agree more than those of one: what moves a shared weight is less noise.
        wanted //= isqrt(int(plan.plastic[c, SHARED]))
        shifts.append(_step_shift(plan, votes[plan.votes_of(c)], wanted, full_step))
    for q, row in enumerate(plan.neuron[:-1]):
        wanted = (step_256 << int(row[NEURON_RESIDUAL])) >> 7  # a step of an 8-bit weight is two units
        shifts.append(_step_shift(plan, votes[plan.votes_of_neurons(q)], wanted, full_step))
    return scales._replace(step_shift=np.array(shifts, np.int64))


def _step_shift(plan: LearnPlan, votes: npt.NDArray[np.int64], wanted: int, full_step: int) -> int:
    sizes = np.abs(votes)
    mean = int(sizes.sum()) // max(1, int(np.count_nonzero(sizes)))
    if plan.moves_by_sign:
        return floor_log2_ratio(mean, AVERAGE_TYPICAL)
    return floor_log2_ratio(mean * full_step, max(1, wanted))
