"""Turn votes into weights; twin of `neurosim.kernels.weights`, `directions` and `neuron_params`."""

from __future__ import annotations

from math import isqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import (
    AVERAGE_LIMIT,
    CONNECTION,
    FIRST_FACTOR,
    KIND_THRESHOLD,
    NEURON_GROUP,
    NEURON_KIND,
    NEURON_RESIDUAL,
    TARGET,
    UPDATE_SIGNIFICANCE,
    WEIGHT_BITS,
)
from neurosim.learnplan import LearnPlan, Squares, neuron_range
from neurosim.program import Program
from neurosim.reference.learn import shift_signed
from neurosim.reference.noise import bits32, fold

LARGEST_VOTE = 1 << 22  # larger ones count as this in the mean square

Int64Array = npt.NDArray[np.int64]


class NewWeights(NamedTuple):
    """What learns after a generation."""

    full: Int64Array  # (n_learned,) with residual bits
    n_changed: list[int]  # mantissas that changed, per plastic connection, then per row of `LearnPlan.neuron`
    n_saturated: int
    averages: npt.NDArray[np.int16]  # (n_learned,) with momentum


def rounding_noise(drawn: int, shift: int) -> int:
    """Return 0..2**shift - 1 from 32 random bits; beyond a shift of 32 the lowest bits stay zero."""
    return drawn & ((1 << shift) - 1) if shift <= 32 else drawn << (shift - 32)


def round_by_chance(value: int, shift: int, stream: int, index: int) -> int:
    """Return ``floor((value + r) / 2**shift)``, r uniform in 0..2**shift - 1; a negative shift multiplies."""
    shift, left = max(0, shift), max(0, -shift)
    return ((value << left) + rounding_noise(bits32(stream, index), shift)) >> shift


def update_weights(
    plan: LearnPlan, full: Int64Array, votes: Int64Array, step: int, step_shift: Int64Array, key: int,
    power: Int64Array | None = None, memory: int = 0, age: int = 1, z: int = 0,
    averages: npt.NDArray[np.int16] | None = None, squares: Squares | None = None, program: Program | None = None,
) -> NewWeights:  # fmt: skip
    """Return the weights moved by their votes, and saturated.

    By update and momentum, a weight moves by ``floor((d * step + r) / 2**shift)``, r uniform in 0..2**shift - 1, where d is

    - its vote ("rounding");
    - the sign of its vote where that is beyond z/256 standard deviations of chance, else 0 ("significance");
    - the sign of an average of votes M, which moves by ``floor(((vote >> shift) - M + r) / 2**momentum)`` first.

    In the last two the shift follows from the format, so that a step is the same part of any range. A weight whose vote
    is 0 stays as it is, and so does its average. With `power`, (F,) leaky sums of the mean square of the votes of each row, written
    in place, the shift of a row by rounding is `step_shift` and the binary logarithm of the root of its mean square. `program` and `squares` are needed for significance only.
    """
    new, n_changed, n_saturated = full.copy(), [], 0
    new_average = np.zeros(0, np.int16) if averages is None else averages.copy()
    for number, part in enumerate(_parts(plan)):
        stream = fold(key, part.word(plan, program))
        shift = part.sign_shift if plan.moves_by_sign else int(step_shift[number])
        shifts = np.full(len(part.starts), shift)
        if power is not None and part.connection >= 0:
            first = int(part.row[FIRST_FACTOR])
            for j, (start, stop) in enumerate(zip(part.starts, [*part.starts[1:], part.where.stop], strict=True)):
                if start < stop:
                    sizes = np.minimum(np.abs(votes[start:stop]), LARGEST_VOTE)
                    power[first + j] += int((sizes**2).sum()) // len(sizes) - (power[first + j] >> memory)
                    shifts[j] += int(power[first + j] // min(age, 1 << memory)).bit_length() >> 1
        for i in range(part.where.start, part.where.stop):
            row = int(np.searchsorted(part.starts, i, side="right")) - 1  # each has a stream of its own
            k = i - int(part.starts[row])
            row_stream = fold(stream, row)
            vote = int(votes[i])
            if vote == 0:
                continue
            if plan.update == UPDATE_SIGNIFICANCE:
                assert squares is not None and program is not None
                vote = int(np.sign(vote)) * (abs(vote) << 20 > _chance(plan, program, squares, number, i, z))
            elif plan.momentum:
                scaled = min(max(shift_signed(vote, -int(step_shift[number])), -AVERAGE_LIMIT), AVERAGE_LIMIT)
                moved = scaled - int(new_average[i])
                new_average[i] += round_by_chance(moved, plan.momentum, fold(row_stream, 0), k)
                vote = int(np.sign(new_average[i]))
            if vote == 0:
                continue
            moved = int(full[i]) + round_by_chance(vote * step, int(shifts[row]), row_stream, k)
            new[i] = min(max(moved, part.low), part.high)
            n_saturated += int(new[i] != moved)
        mantissas = new[part.where] >> part.residual_bits, full[part.where] >> part.residual_bits
        n_changed.append(int((mantissas[0] != mantissas[1]).sum()))
    return NewWeights(new, n_changed, n_saturated, new_average)


class _Part(NamedTuple):
    """A plastic connection or a row of `LearnPlan.neuron`."""

    where: slice
    starts: Int64Array  # of its rows, see `LearnPlan.row_start`
    residual_bits: int
    low: int
    high: int
    sign_shift: int  # of steps of equal size
    connection: int  # -1: of neurons
    row: Int64Array

    def word(self, plan: LearnPlan, program: Program | None) -> int:
        """Return what names the part's rounding noise."""
        if self.connection >= 0:
            return self.connection
        assert program is not None
        n_connections = len(program.network.connections)
        return n_connections + 2 * int(self.row[NEURON_GROUP]) + int(self.row[NEURON_KIND] == KIND_THRESHOLD)


def _parts(plan: LearnPlan) -> list[_Part]:
    parts = []
    for c, connection in enumerate(plan.connections):
        limit = 1 << (int(plan.plastic[c, WEIGHT_BITS]) - 1 + plan.residual_bits)
        where = plan.votes_of(c)
        starts = plan.row_start[int(plan.plastic[c, FIRST_FACTOR]) : int(plan.plastic[c + 1, FIRST_FACTOR])]
        shift = 24 - int(plan.plastic[c, WEIGHT_BITS]) - plan.residual_bits
        parts.append(
            _Part(where, starts, plan.residual_bits, -limit, limit - 1, shift, int(connection), plan.plastic[c])
        )
    for q, row in enumerate(plan.neuron[:-1]):
        residual, (low, high) = int(row[NEURON_RESIDUAL]), neuron_range(int(row[NEURON_KIND]))
        last = ((high + 1) << residual) - 1
        where = plan.votes_of_neurons(q)
        parts.append(_Part(where, np.array([where.start]), residual, low << residual, last, 15 - residual, -1, row))
    return parts


def _chance(plan: LearnPlan, program: Program, squares: Squares, number: int, i: int, z: int) -> int:
    """Return 2**20 times the size that a vote must exceed.

    Votes are sums over terms of a pre factor times a local vote. If their signs were tossed, the variance would be the
    sum of squares, which is about (squares of the row) x (squares of the column) / terms. Roots are rounded down, after
    16 and 8 more bits.
    """
    if number >= len(plan.connections):  # each term is known
        return z * isqrt(int(squares.neurons[i - plan.n_weights])) << 12
    where = plan.votes_of(number)
    target = int(program.arrays.conn[plan.plastic[number, CONNECTION], TARGET])
    group = program.network.ordered_groups[target]
    j, k = divmod(i - where.start, group.n)
    row = isqrt((int(squares.rows[int(plan.plastic[number, FIRST_FACTOR]) + j]) << 16) // squares.n_terms)
    column = isqrt(int(squares.columns[program.network.offsets[group.name] + k]) << 8)
    return z * row * column
