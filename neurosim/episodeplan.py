"""What a learner of episodes loads beside the program: the world's code, the lengths of time, and calibrated powers of two."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import FIRST_FACTOR
from neurosim.counters import N_COUNTERS
from neurosim.learnplan import LearnPlan
from neurosim.program import Program

N_STATE = 4  # numbers of a cart-pole's state
N_ACTIONS = 2
# Rows of a generation's statistics: by group, and the totals in the last row.
DRIVE, DRIVE_STEPS, TOTALS = range(3)
LENGTH, PERIODS, MARGIN, DIFFERENCE, TIES, SOLVED = range(6)  # columns of the totals
N_ROWS, N_COLUMNS = 3, 6
RATE_BITS = 6  # the trace factor is a rate in 1/64 spike per step


class World(NamedTuple):
    """How the state of a cart-pole becomes spikes, and how long it is played."""

    ranges: npt.NDArray[np.int64]  # (4,) each part of the state is coded from minus to plus this much, in 2**-24
    n_input_steps: int  # steps of a control period with input
    max_periods: int  # an episode that lasts as long is won


class EpisodeScales(NamedTuple):
    """Powers of two calibrated from measured activity."""

    noise_exp: npt.NDArray[np.int64]  # (G,) perturbation = drive * 2**exp
    step_shift: npt.NDArray[np.int64]  # (P,) weight change = vote * step >> shift
    fitness_shift: int  # difference of rewards >> shift


class EpisodeScratch(NamedTuple):
    """One thread's working memory, and its votes."""

    state: npt.NDArray[np.int64]  # (4,)
    drives: npt.NDArray[np.int64]  # (n_inputs,)
    firing: npt.NDArray[np.int32]  # (n_inputs,)
    trace: npt.NDArray[np.int64]  # (N,) delivered spikes of the unperturbed episode
    factor_a: npt.NDArray[np.int8]  # (N,)
    factor_b: npt.NDArray[np.int32]  # (sources of all plastic connections,)
    votes: npt.NDArray[np.int64]  # (W,)
    statistics: npt.NDArray[np.int64]  # (3, max(G, 6))
    counts: npt.NDArray[np.int64]  # (rows, N_COUNTERS)


def make_episode_scratch(program: Program, plan: LearnPlan) -> EpisodeScratch:
    """Allocate the working memory of one thread."""
    n, n_inputs = program.network.n_neurons, program.network.n_inputs
    return EpisodeScratch(
        state=np.zeros(N_STATE, np.int64),
        drives=np.zeros(n_inputs, np.int64),
        firing=np.zeros(n_inputs, np.int32),
        trace=np.zeros(n, np.int64),
        factor_a=np.zeros(n, np.int8),
        factor_b=np.zeros(int(plan.plastic[-1, FIRST_FACTOR]), np.int32),
        votes=np.zeros(plan.n_weights, np.int64),
        statistics=np.zeros((N_ROWS, max(len(program.group_names), N_COLUMNS)), np.int64),
        counts=np.zeros((len(program.rows), N_COUNTERS), np.int64),
    )
