"""A group run through all steps in registers: equal to its plain form, and to the engine's step taken again and again."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from random_networks import learning_case

from neurosim.codes import MODEL, MODEL_INPUT
from neurosim.kernels import layer
from neurosim.kernels.jit import jit
from neurosim.kernels.lanes import advance
from neurosim.kernels.layer import (
    ANYWHERE,
    INSIDE,
    LANES,
    NEAR_ZERO,
    QUIET,
    SIGNS,
    SMALL,
    copy_rows,
    run_lanes,
    run_quiet,
    run_signs,
)
from neurosim.kernels.layer import spread_bits as spread
from neurosim.kernels.layerwise import find_range, reach
from neurosim.kernels.neuron import STATE_LIMIT
from neurosim.learning.population import SimulatorLearner

M = 1 << 23
WIDTH, WORD = 16, 64
MODES = {"quiet": QUIET, "signs": SIGNS, "lanes": LANES}
#: What states stay below, by what is known of them.
LIMITS = {INSIDE: STATE_LIMIT, NEAR_ZERO: SMALL}
INT_MIN, INT_MAX = -(1 << 31), (1 << 31) - 1
#: Sums around the ends of 32 bits after their shift, of a register, and of nothing.
SUMS = [0, 0, 0, 1, -1, 700, -700, M >> 6, -(M >> 6), (M >> 6) + 1, 1 << 24, (1 << 25) - 1, 1 << 25, -(1 << 25),
        -(1 << 25) - 1, INT_MAX, INT_MIN]  # fmt: skip
NOISES = [0, 0, 1, -1, 63, -4000, M - 1, M, -M, INT_MAX, INT_MIN]
BIASES = [0, 0, 1, -1, 4095 << 7, -4096 << 7]
KEEPS = [0, 1, 2048, 4095, 4096]
THRESHOLDS = [0, 640, 64 * 2000, M - 1]


@jit
def signs_all(where, n_vectors, first, stride, n_steps, acc, amplitude, sign, sign_row, noise, keep_u, keep_v, threshold,
              half, bias, fired, near, last_v, n_fired, counted):  # fmt: skip
    """Call what is an instruction to the compiler."""
    run_signs(where, n_vectors, first, stride, n_steps, acc, amplitude, sign, sign_row, noise, keep_u, keep_v, threshold,
              half, bias, fired, near, last_v, n_fired, counted)  # fmt: skip


@jit
def quiet_all(where, n_vectors, first, stride, n_steps, acc, amplitude, sign, sign_row, noise, keep_u, keep_v, threshold,
              half, bias, fired, near, last_v, n_fired, counted):  # fmt: skip
    """Call what is an instruction to the compiler."""
    run_quiet(where, n_vectors, first, stride, n_steps, acc, amplitude, sign, sign_row, noise, keep_u, keep_v, threshold,
              half, bias, fired, near, last_v, n_fired, counted)  # fmt: skip


@jit
def lanes_all(where, n_vectors, first, stride, n_steps, acc, amplitude, sign, sign_row, noise, keep_u, keep_v, threshold,
              half, bias, fired, near, last_v, n_fired, counted):  # fmt: skip
    """Call what is an instruction to the compiler."""
    run_lanes(where, n_vectors, first, stride, n_steps, acc, amplitude, sign, sign_row, noise, keep_u, keep_v, threshold,
              half, bias, fired, near, last_v, n_fired, counted)  # fmt: skip


@jit
def advance_all(acc, noise, u, v, bias, keep_u, keep_v, threshold, half, fired, near, counted):
    """Call what is an instruction to the compiler."""
    advance(len(u), acc, noise, u, v, bias, keep_u, keep_v, threshold, half, fired, near, counted)


@jit
def spread_all(words, n_words, low, high, values):
    """Call what is an instruction to the compiler."""
    spread(words, n_words, low, high, values)


@jit
def copy_all(target, source, first, n_vectors, stride, n_steps):
    """Call what is an instruction to the compiler."""
    copy_rows(target, source, first, n_vectors, stride, n_steps)


RUNS = {"quiet": quiet_all, "signs": signs_all, "lanes": lanes_all}


class Case(NamedTuple):
    """A group of n neurons on lanes of its own between two others: what a run reads, in the order of its arguments."""

    n: int
    first: int
    stride: int
    n_steps: int
    acc: npt.NDArray[np.int32]
    amplitude: npt.NDArray[np.int32]
    sign: npt.NDArray[np.uint16]
    sign_row: npt.NDArray[np.int64]
    noise: npt.NDArray[np.int32]
    keep_u: npt.NDArray[np.int32]
    keep_v: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.int32]
    half: npt.NDArray[np.int32]
    bias: npt.NDArray[np.int32]


class Seen(NamedTuple):
    """What a run writes."""

    fired: npt.NDArray[np.bool_]  # (T, stride)
    near: npt.NDArray[np.bool_]
    last_v: npt.NDArray[np.int32]
    counted: list[int]


def make_case(rng: np.random.Generator, mode: int, n: int, n_steps: int = 5, alike: bool = True) -> Case:
    """Return a group whose numbers are often extreme; its lanes without a neuron are as `layerplan.lay_lanes` makes them."""
    first, stride = WORD, WORD * (2 + -(-n // WORD))
    lanes = slice(first, first + n)
    often = rng.random() < 0.5  # mostly ordinary numbers, or mostly extremes

    def values(extremes: list[int], low: int, high: int, shape: tuple[int, ...]) -> npt.NDArray[np.int32]:
        drawn = rng.choice(extremes, shape)
        ordinary = rng.integers(low, high, shape)
        return np.where(rng.random(shape) < (0.8 if often else 0.1), drawn, ordinary).astype(np.int32)

    def setting(choices: list[int], empty: int) -> npt.NDArray[np.int32]:
        found = np.full(stride, empty, np.int64)
        found[lanes] = rng.choice(choices) if alike else rng.choice(choices, n)
        return found.astype(np.int32)

    acc, noise = np.zeros((n_steps, stride), np.int32), np.zeros((n_steps, stride), np.int32)
    acc[:, lanes] = values(SUMS, -3000, 3000, (n_steps, n))
    noise[:, lanes] = values(NOISES, -5000, 5000, (n_steps, n))
    if mode != LANES:
        noise = np.zeros((1, stride), np.int32)
        noise[0, lanes] = -1  # valid
    threshold = setting(THRESHOLDS, INT_MAX)
    half = np.where(threshold == INT_MAX, INT_MAX, threshold // 2).astype(np.int32)
    bias = np.zeros(stride, np.int32)
    bias[lanes] = values(BIASES, -900, 900, (n,))
    return Case(
        n, first, stride, n_steps, acc.ravel(), values(NOISES, -5000, 5000, (n_steps,)),
        rng.integers(0, 1 << 16, 3 * stride // WIDTH).astype(np.uint16),
        rng.integers(0, 3, n_steps) * (stride // WIDTH), noise.ravel(), setting(KEEPS, 0), setting(KEEPS, 0),
        threshold, half, bias,
    )  # fmt: skip


def run(case: Case, mode: str, plain: bool, where: int = ANYWHERE) -> Seen:
    """Run the kernel or its plain form; lanes of other groups must keep what they hold."""
    words = case.n_steps * case.stride // WIDTH
    fired, near = np.full(words, 0xA5A5, np.uint16), np.full(words, 0xA5A5, np.uint16)
    last_v, counted = np.full(case.stride, 77, np.int32), np.full(4, -9, np.int64)
    n_fired = np.full(case.stride, 1000, np.int32)  # added to
    given = (where, -(-case.n // WIDTH), *case[1:], fired, near, last_v, n_fired, counted)
    with np.errstate(over="ignore"):
        if plain:
            layer._plain_run_layer(MODES[mode], *given)
        else:
            RUNS[mode](*given)
    first, stop = case.first, case.first + WIDTH * -(-case.n // WIDTH)
    for flags in (fired, near) if mode == "quiet" else (fired,):
        table = flags.reshape(case.n_steps, case.stride // WIDTH)
        assert (table[:, : first // WIDTH] == 0xA5A5).all() and (table[:, stop // WIDTH :] == 0xA5A5).all()
    if mode != "quiet":
        assert (near == 0xA5A5).all()
    assert (last_v[:first] == 77).all() and (last_v[stop:] == 77).all()
    spread_out = [
        np.unpackbits(flags.view(np.uint8), bitorder="little").reshape(case.n_steps, case.stride)[:, first:stop] > 0
        for flags in (fired, near)
    ]
    assert not spread_out[0][:, case.n :].any(), "lanes without a neuron never fire"
    if mode == "quiet":
        assert not spread_out[1][:, case.n :].any()
    assert not last_v[first + case.n : stop].any()
    assert (n_fired[:first] == 1000).all() and (n_fired[stop:] == 1000).all()
    np.testing.assert_array_equal(n_fired[first:stop] - 1000, spread_out[0].sum(axis=0))
    return Seen(
        spread_out[0][:, : case.n], spread_out[1][:, : case.n], last_v[first : first + case.n], counted.tolist()
    )


def run_by_steps(case: Case, mode: str) -> Seen:
    """Take the engine's step again and again, on the n neurons alone."""
    n, lanes = case.n, slice(case.first, case.first + case.n)
    u, v, counted = np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(4, np.int64)
    fired, near = np.zeros((case.n_steps, n), bool), np.zeros((case.n_steps, n), bool)
    settings = [int(x[case.first]) for x in (case.keep_u, case.keep_v, case.threshold, case.half)]
    for t in range(case.n_steps):
        noise = np.zeros(n, np.int64)
        if mode == "signs":
            words = case.sign[case.sign_row[t] : case.sign_row[t] + case.stride // WIDTH]
            negative = np.unpackbits(words.view(np.uint8), bitorder="little")[lanes]
            noise = np.where(negative == 1, -int(case.amplitude[t]), int(case.amplitude[t]))
        elif mode == "lanes":
            noise = case.noise.reshape(case.n_steps, -1)[t, lanes].astype(np.int64)
        noise = ((noise + (1 << 31)) % (1 << 32) - (1 << 31)).astype(np.int32)
        spike, close, events = np.zeros(WORD * 3, np.uint8), np.zeros(n, np.uint8), np.zeros(5, np.int64)
        with np.errstate(over="ignore"):
            advance_all(
                case.acc.reshape(case.n_steps, -1)[t, lanes].copy(), noise, u, v, case.bias[lanes].copy(), *settings,
                spike, close, events,
            )  # fmt: skip
        counted += events[:4]
        fired[t], near[t] = spike[:n], close
    return Seen(fired, near, v, counted.tolist())


def assert_same(one: Seen, other: Seen, mode: str) -> None:
    for name, part, expected in zip(Seen._fields, one, other, strict=True):
        if name != "near" or mode == "quiet":
            np.testing.assert_array_equal(part, expected, err_msg=name)


@pytest.mark.parametrize("mode", MODES)
def test_groups_of_any_size_equal_the_plain_form_and_single_steps(mode: str) -> None:
    rng = np.random.default_rng(MODES[mode])
    totals, n_spikes = np.zeros(4, np.int64), 0
    for n in range(1, 131):
        case = make_case(rng, MODES[mode], n)
        found = run(case, mode, plain=False)
        assert_same(found, run(case, mode, plain=True), mode)
        assert_same(found, run_by_steps(case, mode), mode)
        totals += found.counted
        n_spikes += int(found.fired.sum())
    assert (totals > 100).all() and n_spikes > 100, "every event happened"


@pytest.mark.parametrize("mode", MODES)
def test_neurons_with_settings_of_their_own_equal_the_plain_form(mode: str) -> None:
    rng = np.random.default_rng(10 + MODES[mode])
    for n in (1, 15, 16, 17, 64, 65, 127, 130):
        for n_steps in (1, 2, 13):
            case = make_case(rng, MODES[mode], n, n_steps, alike=False)
            assert_same(run(case, mode, plain=False), run(case, mode, plain=True), mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_group_without_neurons_or_steps_counts_nothing(mode: str) -> None:
    rng = np.random.default_rng(3)
    assert run(make_case(rng, MODES[mode], 5, n_steps=0), mode, plain=False).counted == [0, 0, 0, 0]
    assert run(make_case(rng, MODES[mode], 0), mode, plain=False).counted == [0, 0, 0, 0]


def bounded_case(rng: np.random.Generator, mode: int, n: int, filtered: bool, limit: int) -> Case:
    """Return a group in which nothing can reach the limit, most often by very little."""
    case = make_case(rng, mode, n)
    share = (limit - 1) // case.n_steps if filtered else limit - 1  # of inputs over the whole run
    sizes = np.sort(rng.integers(0, share + 1, 2 * case.n_steps + 1))
    parts = np.diff(np.concatenate([[0], sizes]))[: 2 * case.n_steps + 1]
    if rng.random() < 0.5:  # all at once
        parts = np.zeros_like(parts)
        parts[0], parts[1] = share >> 6 << 6, share & 63
    signs = rng.choice([-1, 1], (2, case.n_steps, n))
    acc, noise = np.zeros((case.n_steps, case.stride), np.int32), np.zeros((case.n_steps, case.stride), np.int32)
    lanes = slice(case.first, case.first + n)
    acc[:, lanes] = signs[0] * (parts[0:-1:2] >> 6)[:, None]
    noise[:, lanes] = signs[1] * parts[1::2][:, None]
    bias = case.bias.copy()
    bias[lanes] = rng.choice([-1, 1], n) * (parts[-1] // case.n_steps)
    keep_u = case.keep_u.copy()
    keep_u[lanes] = rng.choice([1, 4095]) if filtered else 0
    keep_v = case.keep_v.copy()
    keep_v[lanes] = rng.choice([2048, 4095, 4096])
    amplitude = (rng.choice([-1, 1], case.n_steps) * parts[1::2]).astype(np.int32)
    return case._replace(acc=acc.ravel(), noise=noise.ravel() if mode == LANES else case.noise, bias=bias,
                         keep_u=keep_u, keep_v=keep_v, amplitude=amplitude)  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("where", LIMITS)
def test_states_that_stay_in_a_range_need_no_checks(mode: str, filtered: bool, where: int) -> None:
    rng = np.random.default_rng(20 + MODES[mode])
    n_spikes, largest = 0, 0
    for n in (1, 16, 30, 63, 64, 100, 130) * 6:
        case = bounded_case(rng, MODES[mode], n, filtered, LIMITS[where])
        found = run(case, mode, plain=False, where=where)
        assert_same(found, run(case, mode, plain=True), mode)
        assert_same(found, run_by_steps(case, mode), mode)
        assert (found.counted[0], found.counted[2], found.counted[3]) == (0, 0, 0)
        n_spikes += int(found.fired.sum())
        largest = max(largest, int(np.abs(found.last_v).max()))
    assert n_spikes > 100 and largest > (LIMITS[where] >> 4)


def test_ranges_are_those_of_the_largest_sums() -> None:
    """Whatever sums, noises and biases are: if a range is named, running without checks changes nothing."""
    rng = np.random.default_rng(5)
    case = learning_case("wide", "scalar", "trace", n_steps=5)
    learner = SimulatorLearner(case.program, case.plan, case.events, case.labels, 1)
    learner.close()
    p, work, lanes = learner.arrays, learner.work[0], learner.lanes
    group = int(lanes.order[0])
    assert p.group[group, MODEL] != MODEL_INPUT
    lane, n = int(lanes.first[group]), int(p.group[group, 1] - p.group[group, 0])
    called = []
    for size in [1 << k for k in range(4, 31)] * 3:
        for filtered in (0, 1):
            bias = lanes.bias.copy()
            bias[lane : lane + n] = rng.integers(-size, size + 1, n) >> 3
            given = lanes._replace(bias=bias, filtered=np.full_like(lanes.filtered, filtered))
            acc = np.zeros(len(work.acc), np.int32)
            acc.reshape(5, -1)[:, lane : lane + n] = rng.integers(-size, size + 1, (5, n)) >> 5
            work.amplitude[:] = rng.integers(-size, size + 1, 5)
            work.reach[group] = reach(given, case.plan, acc, lane, n)
            called.append(int(find_range(p, given, work, case.plan, group)))
            columns = acc.reshape(5, -1)[:, lane : lane + n].astype(np.int64)
            most = int((np.abs(columns).max(axis=1) << 6).sum() + 5 * np.abs(bias.astype(np.int64)).max())
            most += int(np.abs(work.amplitude.astype(np.int64)).sum())
            most *= 5 if filtered else 1
            assert called[-1] == (NEAR_ZERO if most < SMALL else INSIDE if most < STATE_LIMIT else ANYWHERE)
    assert min(np.bincount(called, minlength=3)) > 10


@pytest.mark.parametrize("value", [INT_MIN, INT_MIN + 1, INT_MAX])
@pytest.mark.parametrize("what", ["sum", "bias", "amplitude"])
def test_the_ends_of_32_bits_are_anywhere(what: str, value: int) -> None:
    case = learning_case("wide", "scalar", "trace", n_steps=5)
    learner = SimulatorLearner(case.program, case.plan, case.events, case.labels, 1)
    learner.close()
    work, lanes = learner.work[0], learner.lanes
    group = int(lanes.order[0])
    lane, n = int(lanes.first[group]), int(learner.arrays.group[group, 1] - learner.arrays.group[group, 0])
    acc, bias = np.zeros(len(work.acc), np.int32), np.zeros_like(lanes.bias)
    work.amplitude[:] = 0
    {"sum": acc[lane:], "bias": bias[lane:], "amplitude": work.amplitude}[what][3] = value
    given = lanes._replace(bias=bias)
    work.reach[group] = reach(given, case.plan, acc, lane, n)
    assert find_range(learner.arrays, given, work, case.plan, group) == ANYWHERE


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, -1), (-128, 127)])
def test_bits_are_spread_as_in_the_plain_form(low: int, high: int) -> None:
    rng = np.random.default_rng(1)
    for n_words in (0, 1, 2, 5):
        words = rng.integers(0, 1 << 64, 5, dtype=np.uint64)
        words[rng.integers(5)], words[rng.integers(5)] = 0, np.uint64((1 << 64) - 1)
        found, plain = np.full(6 * 64, 9, np.int8), np.full(6 * 64, 9, np.int8)
        spread_all(words, n_words, low, high, found)
        layer._plain_spread_bits(words, n_words, low, high, plain)
        np.testing.assert_array_equal(found, plain)
        expected = [high if int(words[i // 64]) >> i % 64 & 1 else low for i in range(64 * n_words)]
        assert found.tolist() == expected + [9] * (6 * 64 - len(expected))


def test_rows_are_copied_as_in_the_plain_form() -> None:
    rng = np.random.default_rng(3)
    source = rng.integers(INT_MIN, INT_MAX, 6 * 192).astype(np.int32)
    for first, n_vectors in ((0, 12), (64, 1), (64, 5), (128, 4), (64, 0)):
        found, plain = np.full(6 * 192, 7, np.int32), np.full(6 * 192, 7, np.int32)
        copy_all(found, source, first, n_vectors, 192, 6)
        layer._plain_copy_rows(plain, source, first, n_vectors, 192, 6)
        np.testing.assert_array_equal(found, plain)
        where = np.zeros((6, 192), bool)
        where[:, first : first + 16 * n_vectors] = True
        np.testing.assert_array_equal(found, np.where(where.ravel(), source, 7))
