"""From votes to weights: unbiased rounding, saturation, residual bits, formats; kernel equals twin."""

from fractions import Fraction

import numpy as np
import pytest
from random_networks import LAYOUTS, LearningCase, learning_case

from neurosim.codes import FIRST_FACTOR, OFFSET, TARGET
from neurosim.counters import COLUMN, N_COUNTERS
from neurosim.kernels.weights import BLOCK, CHUNK, LARGEST_VOTE, mean_square, root_exponent, update_rows
from neurosim.layerplan import lay_lanes
from neurosim.learning import scratch
from neurosim.learning.generation import no_chance
from neurosim.learning.scratch import ROWS, make_terms, make_update_work
from neurosim.learning.weights import learned_weights
from neurosim.learnplan import initial_weights
from neurosim.reference.weights import LARGEST_VOTE as TWIN_LARGEST
from neurosim.reference.weights import update_weights as twin

KEY = 4242
NO_ROWS = (np.zeros(0, np.int64), 0, 1)


class Updated:
    """The kernel run on copies."""

    def __init__(
        self, case: LearningCase, full, votes, step=1, shift=0, key=KEY, parts=None, terms=None, cuts=(), rows=NO_ROWS
    ) -> None:
        """`votes` (W,) in all; the kernel gets `parts` (n, W) of them, and `terms` pre and post, where these are given.

        `rows`: the power of each row (not written), its memory and age.
        """
        self.arrays = case.program.arrays._replace(dense8=case.program.arrays.dense8.copy())
        self.plan, self.full = case.plan, np.array(full, np.int32)
        for c in range(len(self.plan.connections)):  # what the chip holds before
            self.rows(c)[:] = self.full[self.plan.votes_of(c)] >> self.plan.residual_bits
        self.counts = np.zeros((len(case.program.rows), N_COUNTERS), np.int64)
        self.shift = np.broadcast_to(shift, len(self.plan.connections)).astype(np.int64)
        self.before, self.votes = self.full.astype(np.int64), np.asarray(votes, np.int64)
        self.step, self.key = step, key
        n_rows = int(self.plan.plastic[-1, FIRST_FACTOR])
        self.old_power, self.memory, self.age = rows
        self.power = self.old_power.copy()
        lanes, work = lay_lanes(case.program), make_update_work(case.program)
        pre, post = terms or make_terms(case.plan, lanes, 0)[1:]
        given = np.array(self.votes[None] if parts is None else parts, np.int32)
        bounds, self.n_saturated = [0, *cuts, n_rows], 0
        for first, last in zip(bounds, bounds[1:], strict=False):
            with np.errstate(over="ignore"):
                self.n_saturated += update_rows(
                    self.arrays, lanes, self.plan, pre, post, given, first, last, self.full, step, self.shift,
                    np.uint64(key), self.power, self.memory, self.age, no_chance(), np.zeros(0, np.int16),
                    *work, self.counts,
                )  # fmt: skip
        first = len(case.program.group_names)
        self.n_changed = self.counts[first + self.plan.connections, COLUMN["weight_updates"]]

    def rows(self, c: int) -> np.ndarray:
        """The mantissas of a plastic connection on the chip."""
        start, where = int(self.arrays.conn[self.plan.connections[c], OFFSET]), self.plan.votes_of(c)
        return self.arrays.dense8[start : start + where.stop - where.start]

    def assert_equals_twin(self) -> None:
        power = self.old_power.copy() if len(self.power) else None
        expected = twin(
            self.plan, self.before, self.votes, self.step, self.shift, self.key, power, self.memory, self.age
        )
        if power is not None:
            np.testing.assert_array_equal(self.power, power)
        np.testing.assert_array_equal(self.full, expected.full)
        assert self.n_changed.tolist() == expected.n_changed
        assert self.n_saturated == expected.n_saturated
        for c in range(len(self.plan.connections)):
            np.testing.assert_array_equal(self.rows(c), self.full[self.plan.votes_of(c)] >> self.plan.residual_bits)


def full_range(case: LearningCase, c: int) -> tuple[int, int]:
    limit = 1 << (int(case.plan.plastic[c, 3]) - 1 + case.plan.residual_bits)
    return -limit, limit - 1


def case_with(bits: int = 8, residual_bits: int = 8, layout: str = "two inputs", seed: int = 1) -> LearningCase:
    case = learning_case(layout, bits=bits, seed=seed)
    return case._replace(plan=case.plan._replace(residual_bits=residual_bits))


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("residual_bits", [0, 3, 8, 16])
def test_kernel_equals_twin_and_stays_in_range(bits: int, residual_bits: int) -> None:
    case = case_with(bits, residual_bits)
    rng = np.random.default_rng(10 * bits + residual_bits)
    low, high = full_range(case, 0)
    for size in (1, 40, 10**6):
        for shift in (0, 5, rng.integers(-4, 20, len(case.plan.connections))):
            votes = rng.integers(-size, size + 1, case.plan.n_weights) * rng.integers(0, 2, case.plan.n_weights)
            full = rng.integers(low, high + 1, case.plan.n_weights)
            updated = Updated(case, full, votes, int(rng.integers(1, 300)), shift, int(rng.integers(2**62)))
            updated.assert_equals_twin()
            assert low <= updated.full.min() and updated.full.max() <= high


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("rank", "n_terms", "n_parts"), [(1, 1, 0), (2, 5, 1), (3, 150, 2), (1, 0, 3)])
def test_votes_are_the_sum_of_all_terms_and_parts(layout: str, rank: int, n_terms: int, n_parts: int) -> None:
    """A synapse's vote is the sum over ranks and terms of pre times post, and of what each thread has summed already."""
    case, rng = case_with(layout=layout), np.random.default_rng(rank + n_terms)
    plan, lanes = case.plan, lay_lanes(case.program)
    n_rows = int(plan.plastic[-1, FIRST_FACTOR])
    pre = np.zeros((rank, n_terms, n_rows + ROWS), np.int16)  # as `make_terms` makes it
    pre[:, :, :n_rows] = rng.integers(-50, 51, (rank, n_terms, n_rows)) * (rng.random((rank, n_terms, n_rows)) < 0.4)
    post = rng.integers(-4095, 4096, (rank, n_terms, lanes.n)).astype(np.int32)
    parts = rng.integers(-(10**6), 10**6, (n_parts, plan.n_weights))
    votes = parts.sum(axis=0)
    for c, index in enumerate(plan.connections):
        connection = case.program.network.connections[index]
        first, lane = int(plan.plastic[c, FIRST_FACTOR]), int(lanes.first[case.program.arrays.conn[index, TARGET]])
        n_post, n_pre = connection.shape
        local = post[:, :, lane : lane + n_post].astype(np.int64)
        votes[plan.votes_of(c)] += np.einsum(
            "rsj,rsk->jk", pre[:, :, first : first + n_pre].astype(np.int64), local
        ).ravel()
    full = rng.integers(*full_range(case, 0), plan.n_weights)
    updated = Updated(case, full, votes, 3, 12, parts=parts.reshape(-1, plan.n_weights), terms=(pre, post))
    assert n_terms + n_parts == 0 or np.any(updated.full != full)
    updated.assert_equals_twin()
    for cuts in ((1,), (n_rows // 3, n_rows // 3, n_rows - 1), tuple(range(0, n_rows, BLOCK // 2 + 1))):
        split = Updated(case, full, votes, 3, 12, parts=parts.reshape(-1, plan.n_weights), terms=(pre, post), cuts=cuts)
        np.testing.assert_array_equal(split.full, updated.full)
        np.testing.assert_array_equal(split.counts, updated.counts)
        assert split.n_saturated == updated.n_saturated
        for c in range(len(plan.connections)):
            np.testing.assert_array_equal(split.rows(c), updated.rows(c))


def test_a_block_of_rows_and_a_chunk_of_terms_fit_the_scratch() -> None:
    assert (BLOCK, CHUNK) == (ROWS, scratch.CHUNK)


@pytest.mark.parametrize("bits", range(1, 9))
def test_learned_weights_stay_in_their_format(bits: int) -> None:
    case = case_with(bits)
    for sign, edge in ((1, 256 - (1 << (9 - bits))), (-1, -256)):
        updated = Updated(case, initial_weights(case.program, case.plan), np.full(case.plan.n_weights, sign * 10**9))
        for weights in learned_weights(case.program, case.plan, updated.full).values():
            assert np.unique(weights).tolist() == [edge]


LARGEST = (1 << 31) - 1
EDGES = [0, 1, -1, 7, -7, LARGEST, -LARGEST, -LARGEST - 1, LARGEST - 1, 1 << 30, -(1 << 30), (1 << 23) + 5, -(1 << 23)]


@pytest.mark.parametrize("shift", [-8, -1, 0, 1, 8, 22, 29, 30, 31, 32, 33, 39])
@pytest.mark.parametrize("step", [1, 2, 256])
def test_the_largest_votes_equal_twin(shift: int, step: int) -> None:
    """Whether a row is handled in 32 bits or in 64 shows in nothing, however close to the ends votes and weights are."""
    case = case_with(residual_bits=16)
    low, high = full_range(case, 0)
    rng = np.random.default_rng(100 * step + shift + 8)
    edges = [[e] for e in EDGES] + [[LARGEST - d, d - LARGEST] for d in (2, 255, 1 << 20, 1 << 23, (1 << 23) + 1)]
    for choices in [*edges, [e // step for e in EDGES], EDGES]:
        votes = rng.choice(choices, case.plan.n_weights) * rng.integers(0, 2, case.plan.n_weights)
        full = rng.choice([low, low + 1, -1, 0, 1, high - 1, high], case.plan.n_weights)
        Updated(case, full, votes, step, shift, int(rng.integers(2**62))).assert_equals_twin()


def test_saturation_is_counted_at_both_ends() -> None:
    case = case_with()
    low, high = full_range(case, 0)
    votes, full = np.zeros(case.plan.n_weights, int), np.zeros(case.plan.n_weights, int)
    full[:6] = [high, high, high - 1, low, low, low + 1]
    votes[:6] = [1, -1, 1, -1, 1, -1]
    updated = Updated(case, full, votes)
    assert updated.full[:6].tolist() == [high, high - 1, high, low, low + 1, low]
    assert updated.n_saturated == 2
    updated.assert_equals_twin()


def test_no_votes_leave_everything_untouched() -> None:
    case = case_with()
    full = initial_weights(case.program, case.plan)
    updated = Updated(case, full, np.zeros_like(full), step=9, shift=3)
    np.testing.assert_array_equal(updated.full, full)
    assert (updated.n_saturated, updated.counts.any()) == (0, False)


def test_step_zero_leaves_everything_untouched() -> None:
    case = case_with()
    full = initial_weights(case.program, case.plan)
    assert not np.any(Updated(case, full, np.ones_like(full), step=0, shift=5).full - full)


def test_negative_shift_multiplies_exactly() -> None:
    case = case_with()
    votes = np.random.default_rng(1).integers(-5, 6, case.plan.n_weights)
    updated = Updated(case, np.zeros_like(votes), votes, step=3, shift=-4)
    np.testing.assert_array_equal(updated.full, votes * 3 * 16)


def test_changes_below_one_mantissa_are_kept_in_the_residual() -> None:
    """255 steps of 1 leave an 8-bit mantissa alone; the 256th moves it by one."""
    case = case_with(residual_bits=8)
    votes, full = np.ones(case.plan.n_weights, int), np.zeros(case.plan.n_weights, int)
    for _ in range(255):
        full = Updated(case, full, votes).full
    assert np.unique(full).tolist() == [255]
    assert not Updated(case, full - 1, votes).n_changed.any()
    last = Updated(case, full, votes)
    assert np.unique(last.full >> 8).tolist() == [1]
    assert last.n_changed.sum() == case.plan.n_weights


def test_only_mantissas_that_change_count_as_written() -> None:
    case = case_with(residual_bits=4)
    votes = np.random.default_rng(3).integers(-20, 21, case.plan.n_weights)
    full = np.random.default_rng(4).integers(-500, 500, case.plan.n_weights)
    updated = Updated(case, full, votes)
    changed = (updated.full >> 4) != (full >> 4)
    for c in range(len(case.plan.connections)):
        assert updated.n_changed[c] == changed[case.plan.votes_of(c)].sum()
    assert 0 < changed.sum() < len(changed)


@pytest.mark.parametrize("vote", [1, -1, 5, -5, 37, -100])
@pytest.mark.parametrize("shift", [3, 6])
def test_rounding_is_unbiased(vote: int, shift: int) -> None:
    """The mean change is vote * 2**-shift: within 5 standard deviations of a sum of independent draws."""
    case = case_with(layout="wide", residual_bits=8)
    n, total, n_keys = case.plan.n_weights, 0, 4
    for key in range(n_keys):
        total += int(Updated(case, np.zeros(n, int), np.full(n, vote), 1, shift, key).full.sum())
    fraction = vote % (1 << shift)
    variance = fraction * ((1 << shift) - fraction)  # of one draw, times 4**shift
    assert abs((total << shift) - n_keys * n * vote) <= 5 * (n_keys * n * variance) ** 0.5


def test_rounding_down_would_fail_the_bound() -> None:
    n, vote, shift = 1000, 5, 3
    fraction = vote % (1 << shift)
    assert abs(n * (vote >> shift << shift) - n * vote) > 5 * (n * fraction * ((1 << shift) - fraction)) ** 0.5


def test_rounding_of_neighbours_and_of_generations_is_independent() -> None:
    case = case_with(layout="wide")
    n = case.plan.n_weights
    rounded = np.stack([Updated(case, np.zeros(n, int), np.ones(n, int), 1, 1, key).full for key in range(6)])
    up = 2 * rounded - 1  # +1 or -1 with equal chance
    bound = 5 / n**0.5
    for lag in (0, 1, 64):
        products = up[:, : n - lag] @ up[:, lag:].T / (n - lag)
        np.fill_diagonal(products, 0 if lag == 0 else products.diagonal())
        assert np.abs(products).max() < bound
    first, second = case.plan.votes_of(0), case.plan.votes_of(1)
    m = second.stop - second.start
    assert np.abs((up[:, first][:, :m] * up[:, second]).mean(axis=1)).max() < 5 / m**0.5


# Steps by row: votes are measured against the root mean square of their own row.


def test_the_exponent_is_the_power_of_two_that_is_nearest_to_the_root() -> None:
    """By ratio, with a tie upward; every square up to 2**12, and all ends of ranges beyond."""
    for square in range(1, 1 << 12):
        distance = {k: Fraction(max(4**k, square), min(4**k, square)) for k in range(8)}  # of squares, so exact
        best = min(distance.values())
        assert root_exponent(square) == max(k for k, d in distance.items() if d == best)
    for k in range(31):
        low, high = max(1, 4**k // 2), 2 * 4**k - 1  # 2**(k - 1/2) <= root < 2**(k + 1/2)
        assert {root_exponent(square) for square in (low, 4**k, high)} == {k}
        assert root_exponent(high + 1) == k + 1
    assert root_exponent(0) == 0


def test_mean_squares_cut_votes_beyond_22_bits() -> None:
    rng = np.random.default_rng(6)
    for size in (1, 1000, LARGEST_VOTE - 1, LARGEST_VOTE, LARGEST_VOTE + 1, LARGEST):
        votes = rng.choice([-size, size, 0, size // 2], 37).astype(np.int32)
        expected = sum(min(abs(int(vote)), 1 << 22) ** 2 for vote in votes) // 37
        assert mean_square(votes) == expected
    assert mean_square(np.full(65536, -LARGEST - 1, np.int32)) == 1 << 44, "as many targets as a group may have"
    assert LARGEST_VOTE == TWIN_LARGEST == 1 << 22


@pytest.mark.parametrize("layout", ["one hidden", "two inputs", "wide"])
@pytest.mark.parametrize("memory", [0, 3, 7])
def test_row_steps_equal_twin_over_generations(layout: str, memory: int) -> None:
    case = case_with(layout=layout)
    rng = np.random.default_rng(memory)
    full, power = initial_weights(case.program, case.plan), np.zeros(int(case.plan.plastic[-1, FIRST_FACTOR]), np.int64)
    n_rows, moved = len(power), 0
    for g in range(14):
        size = min(LARGEST, 10 ** (g % 7) * 40)
        votes = rng.integers(-size, size + 1, case.plan.n_weights) * rng.integers(0, 2, case.plan.n_weights)
        if g % 3 == 0:  # rows that are silent in a generation only forget
            votes[: case.plan.n_weights // 2] = 0
        shift, step = rng.integers(-2, 6, len(case.plan.connections)), 300 - 20 * g
        rows = (power, memory, g + 1)
        updated = Updated(case, full, votes, step, shift, g, rows=rows)
        updated.assert_equals_twin()
        split = Updated(case, full, votes, step, shift, g, rows=rows, cuts=(1, n_rows // 2, n_rows - 1))
        np.testing.assert_array_equal(split.full, updated.full)
        np.testing.assert_array_equal(split.power, updated.power)
        moved += int(np.sum(updated.full != full))
        full, power = updated.full, updated.power
        assert power.min() >= 0
    assert moved > case.plan.n_weights


def rows_of(case: LearningCase, c: int, values: np.ndarray) -> np.ndarray:
    """Return what belongs to the c-th plastic connection, a row for each presynaptic neuron."""
    n_pre = int(case.plan.plastic[c + 1, FIRST_FACTOR] - case.plan.plastic[c, FIRST_FACTOR])
    return values[case.plan.votes_of(c)].reshape(n_pre, -1)


def test_rows_with_larger_votes_take_no_larger_steps() -> None:
    """The same votes 2**k times as large move the weights as far, up to the rounding of one unit; without, 2**k times."""
    case = case_with(layout="wide", residual_bits=12)
    n, start = case.plan.n_weights, np.zeros(case.plan.n_weights, np.int64)
    rng, votes = np.random.default_rng(2), np.zeros(n, np.int64)
    rows = rows_of(case, 0, votes)
    pattern, octaves = rng.integers(-60, 61, rows.shape[1]), np.arange(len(rows)) % 12
    rows[:] = pattern * (1 << octaves)[:, None]
    n_rows = int(case.plan.plastic[-1, FIRST_FACTOR])
    by_row = rows_of(case, 0, Updated(case, start, votes, 200, 3, rows=(np.zeros(n_rows, np.int64), 3, 1)).full)
    exact = pattern * 200 / 2 ** (3 + root_exponent(mean_square(pattern.astype(np.int32))))
    assert np.abs(by_row - exact).max() < 1 and np.abs(exact).max() > 40
    plain = rows_of(case, 0, Updated(case, start, votes, 1, 3).full)
    assert np.abs(plain - rows / 8).max() < 1


def test_rare_rows_learn_as_fast_as_frequent_ones() -> None:
    """One row votes in every generation, another in every 16th: their weights end a factor of 4 apart, not 16.

    A row's root mean square over time is 1/4 of a vote where one generation in 16 votes.
    """
    case, every, memory = case_with(layout="wide", residual_bits=12), 16, 6
    n_rows = int(case.plan.plastic[-1, FIRST_FACTOR])
    full, plain, power = (
        np.zeros(case.plan.n_weights, int),
        np.zeros(case.plan.n_weights, int),
        np.zeros(n_rows, np.int64),
    )
    for g in range(1, 16 * every + 1):
        votes = np.zeros(case.plan.n_weights, np.int64)
        rows_of(case, 0, votes)[0] = 64
        rows_of(case, 0, votes)[1] = 64 * (g % every == 0)
        updated = Updated(case, full, votes, 256, 3, g, rows=(power, memory, g))
        full, power = updated.full, updated.power
        plain = Updated(case, plain, votes, 256, 9, g).full
    frequent, rare = rows_of(case, 0, full)[:2].mean(axis=1)
    assert 3 < frequent / rare < 6
    frequent, rare = rows_of(case, 0, plain)[:2].mean(axis=1)
    assert frequent / rare == every
