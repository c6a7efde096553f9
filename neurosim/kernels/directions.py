"""Turn a row of votes into directions, for updates in which all weights that move do so equally far."""

import numpy as np

from neurosim.codes import AVERAGE_LIMIT, FIRST_FACTOR, UPDATE_SIGNIFICANCE
from neurosim.kernels.arith import shift_signed
from neurosim.kernels.jit import jit
from neurosim.kernels.noise import bits32, fold

LOW_32 = np.uint64((1 << 32) - 1)
ROOT_BITS = 31  # of the root of a number below 2**62


@jit
def moves_by_sign(plan):
    """As `neurosim.learnplan.LearnPlan.moves_by_sign`."""
    return plan.update == UPDATE_SIGNIFICANCE or plan.momentum > 0


@jit
def integer_root(x):
    """Return ``floor(sqrt(x))`` for 0 <= x < 2**62."""
    root = np.int64(0)
    for i in range(ROOT_BITS):
        tried = root | np.int64(1) << (ROOT_BITS - 1 - i)
        if tried * tried <= x:
            root = tried
    return root


@jit
def sum_squares(pre, post, rows, columns):
    """Set the sums of squares of pre factors and of local votes.

    pre, post : as in `neurosim.kernels.weights.update_rows`
    rows, columns : (F,) int64, (L,) int64
        Written.
    """
    rows[:] = 0
    columns[:] = 0
    for rank in range(len(pre)):
        for term in range(pre.shape[1]):
            factors, local = pre[rank, term], post[rank, term]
            for j in range(len(rows)):
                rows[j] += np.int64(factors[j]) * np.int64(factors[j])
            for k in range(len(columns)):
                columns[k] += np.int64(local[k]) * np.int64(local[k])


@jit
def take_roots(n_terms, rows, columns):
    """Replace sums of squares by roots: of the mean over terms in 1/256, and of the sum in 1/16."""
    for j in range(len(rows)):
        rows[j] = integer_root((rows[j] << 16) // max(1, n_terms))
    for k in range(len(columns)):
        columns[k] = integer_root(columns[k] << 8)


@jit
def choose_directions(plan, c, lane, row_of_weights, place, votes, chance, averages, step_shift, stream):
    """Replace the votes of a row by -1, 0 or +1: their significant signs, or the signs of their averages.

    Parameters
    ----------
    plan : LearnPlan
    c : int
        Plastic connection.
    lane : int
        First lane of its target.
    row_of_weights : int
        Row of the connection, its presynaptic neuron.
    place : int
        Where the row begins in `average`.
    votes : (n,) int32
        Written.
    chance : Chance
    average : (n_learned,) int16
        Written where votes are not 0, with momentum.
    step_shift, stream
        As in `neurosim.kernels.weights.apply_row`.
    """
    if plan.update == UPDATE_SIGNIFICANCE:
        row = chance.rows[plan.plastic[c, FIRST_FACTOR] + row_of_weights]
        keep_significant(votes, chance.z * row, chance.columns[lane : lane + len(votes)])
    else:
        follow_average(votes, averages[place : place + len(votes)], step_shift, plan.momentum, fold(stream, 0))


@jit
def keep_significant(votes, row, columns):
    """Replace votes by their signs where ``abs(vote) * 2**20 > row * column``, by 0 elsewhere: a tie never moves."""
    for k in range(len(votes)):
        vote = np.int64(votes[k])
        size = abs(vote) << 20
        moves = np.int32(size > row * columns[k])
        votes[k] = -moves if vote < 0 else moves


@jit
def follow_average(votes, averages, vote_shift, momentum, stream):
    """Move averages toward votes and replace votes by the signs of the averages; nothing moves where a vote is 0.

    ``M += floor(((vote >> vote_shift) - M + r) / 2**momentum)``, r uniform in 0..2**momentum - 1: rounding toward zero
    would leave M where it is once it is within 2**momentum of what comes, and its sign would outlive its reasons.
    """
    low, high = halves(stream)
    for k in range(len(votes)):
        if votes[k] != 0:
            votes[k] = np.int32(follow(votes[k], averages, k, vote_shift, momentum, low, high))


@jit
def halves(stream):
    """Return the lower and upper 32 bits of a key, which `bits32` takes."""
    return np.uint32(stream & LOW_32), np.uint32(stream >> np.uint64(32))


@jit
def follow(vote, averages, k, vote_shift, momentum, low, high):
    """Move the k-th average toward a vote and return its sign; see `follow_average`. `low` and `high` are the key's halves."""
    scaled = min(max(shift_signed(vote, -vote_shift), -AVERAGE_LIMIT), AVERAGE_LIMIT)
    chance = np.int64(bits32(low, high, k)) & ((1 << momentum) - 1)
    moved = np.int64(averages[k]) + ((scaled - np.int64(averages[k]) + chance) >> momentum)
    averages[k] = np.int16(moved)
    return np.int64(moved > 0) - np.int64(moved < 0)
