"""The neuron update: compiled kernel against its twin on extremes, and single facts by hand."""

from itertools import product

import numpy as np
import pytest

from neurosim.kernels.jit import jit
from neurosim.kernels.lanes import advance, list_set
from neurosim.kernels.neuron import scale_input, update_lif
from neurosim.reference.neuron import LIFStep
from neurosim.reference.neuron import update_lif as twin

M = 1 << 23
KEEPS = (0, 1, 2048, 4095, 4096)
STATES = np.array([0, 1, -1, 4097, -4097, M - 1, M, -(M - 1), -M, 3 * M, -3 * M])
INPUTS = np.array([0, 1, -1, 1 << 17, -(1 << 17), (1 << 25) - 1, 1 << 25, -(1 << 25), -(1 << 25) - 1])
VOLTAGES = np.array([0, 1, -1, 640, 641, M - 1, -(M - 1)])
BIASES = np.array([0, 1, -1, 4095 << 7, -4096 << 7])


@jit
def advance_all(acc, noise, u, v, bias, keep_u, keep_v, threshold, half, fired, near, counted):
    """Call what is an instruction to the compiler."""
    advance(len(u), acc, noise, u, v, bias, keep_u, keep_v, threshold, half, fired, near, counted)


@jit
def list_all(fired, n, found):
    """Call what is an instruction to the compiler."""
    return list_set(fired, n, found)


def run_kernel(acc, noise, u, v, bias, keep_u, keep_v, threshold, half) -> LIFStep:
    """Run the update on int32 arrays, in vectors and neuron by neuron, and return what the twin returns."""
    arrays = [np.array(x, np.int32) for x in (acc, noise, u, v, bias)]
    n = len(u)
    settings = (keep_u, keep_v, threshold, half)
    steps = []
    for in_vectors in (True, False):
        acc, noise, u, v, bias = (array.copy() for array in arrays)
        near, flags = np.zeros(n + 1, np.uint8), np.full(n + 1, 9, np.uint8)
        counted = np.zeros(5, np.int64)
        with np.errstate(over="ignore"):
            if in_vectors:
                advance_all(acc, noise, u, v, bias, *settings, flags, near[:n], counted)
            else:
                current = np.zeros(n, np.int32)
                counted[0] = scale_input(acc, noise, current)
                counted[1:] = update_lif(current, u, v, bias, *settings, flags, near[:n])
        assert not acc.any()
        assert (counted[4], flags[n], near[n]) == (flags[:n].sum(), 9, 0)
        steps.append(LIFStep(u, v, flags[:n] > 0, near[:n] > 0, counted[1], counted[0], counted[2], counted[3]))
    for name, fast, plain in zip(LIFStep._fields, *steps, strict=True):
        np.testing.assert_array_equal(fast, plain, err_msg=name)
    return steps[0]


def run_twin(acc, noise, u, v, bias, keep_u, keep_v, threshold, half) -> LIFStep:
    acc, noise, u, v, bias = (np.array(x, np.int64) for x in (acc, noise, u, v, bias))
    step = twin(acc, noise, u, v, bias, keep_u, keep_v, threshold, half)
    return step._replace(active=step.active.sum())  # kernels count only


def assert_same(*arguments) -> LIFStep:
    kernel, specification = run_kernel(*arguments), run_twin(*arguments)
    for name, found, expected in zip(LIFStep._fields, kernel, specification, strict=True):
        np.testing.assert_array_equal(found, expected, err_msg=name)
    return specification


@pytest.mark.parametrize(("keep_u", "keep_v"), list(product(KEEPS, KEEPS)))
def test_kernel_equals_twin_on_extremes(keep_u: int, keep_v: int) -> None:
    grid = np.array(list(product(INPUTS, STATES, VOLTAGES, BIASES[::2])))
    acc, u, v, bias = grid.T
    step = assert_same(acc, np.zeros_like(acc), u, v, bias, keep_u, keep_v, 640, 320)
    assert step.n_over_input and step.n_corrected and step.n_saturated and step.fired.any()


@pytest.mark.parametrize("seed", range(12))
def test_kernel_equals_twin_on_random_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 300))
    size = 1 << int(rng.integers(4, 27))
    acc = rng.integers(-size, size, n) * rng.integers(0, 2, n)
    noise = rng.integers(-size, size, n) * rng.integers(0, 2, n)
    u, v = rng.integers(-M + 1, M + 1, n), rng.integers(-M + 1, M, n)
    u, v = u * rng.integers(0, 2, n), v * rng.integers(0, 2, n)
    bias = rng.choice(BIASES, n)
    threshold = int(rng.integers(0, 131072)) << 6
    assert_same(
        acc, noise, u, v, bias, int(rng.integers(0, 4097)), int(rng.integers(0, 4097)), threshold, threshold // 2
    )


def test_noise_and_input_wrap_together_at_32_bits() -> None:
    assert_same([2**25, 2**24, -(2**25)], [5, 2**31 - 1, -(2**31)], [0] * 3, [0] * 3, [0] * 3, 0, 0, 640, 320)


def one(acc=0, u=0, v=0, bias=0, keep_u=4096, keep_v=4096, threshold=(1 << 23) - 64) -> LIFStep:
    """Update one neuron on both, which must agree."""
    return assert_same([acc], [0], [u], [v], [bias], keep_u, keep_v, threshold, threshold // 2)


@pytest.mark.parametrize(
    ("u", "corrected"),
    [(M - 1, M - 1), (M, M), (M + 1, -M + 1), (-M + 1, -M + 1), (-M, M), (-M - 1, M - 1), (3 * M + 1, M + 1)],
)
def test_current_is_corrected_once(u: int, corrected: int) -> None:
    step = one(u=u, keep_v=0)
    assert step.u[0] == corrected
    assert step.n_corrected == int(u != corrected)


def test_voltage_saturates_at_both_ends() -> None:
    high, low = one(u=M, v=M - 1, threshold=2**23), one(u=-M + 1, v=-(M - 1))
    assert (high.v[0], high.n_saturated) == (M - 1, 1)
    assert (low.v[0], low.n_saturated) == (-(M - 1), 1)
    assert one(u=1, v=M - 2, threshold=2**23).n_saturated == 0


def test_threshold_is_strict() -> None:
    at, above = one(acc=10, threshold=640), one(acc=10, bias=1, threshold=640)
    assert (at.fired[0], at.v[0]) == (False, 640)
    assert (above.fired[0], above.v[0]) == (True, 0)


def test_reset_leaves_the_current() -> None:
    step = one(acc=11, threshold=640)
    assert (step.u[0], step.v[0]) == (704, 0)


def test_near_is_strictly_above_half() -> None:
    assert not one(acc=5, threshold=640).near[0]
    assert one(acc=5, bias=1, threshold=640).near[0]
    assert one(acc=50, threshold=640).near[0]


def test_decay_rounds_toward_zero() -> None:
    assert one(u=-1, keep_u=4095, keep_v=0).u[0] == 0
    assert one(v=-1, keep_v=4095).v[0] == 0


def test_update_is_idle_only_where_nothing_is_left() -> None:
    assert one().active == 0
    assert [one(acc=1).active, one(u=1).active, one(v=-1).active, one(bias=1).active] == [1, 1, 1, 1]


def test_near_flags_are_never_cleared() -> None:
    near, zeros = np.ones(3, np.uint8), np.zeros(3, np.int32)
    update_lif(zeros, zeros.copy(), zeros.copy(), zeros.copy(), 0, 0, 640, 320, np.zeros(8, np.uint8), near)
    assert near.tolist() == [1, 1, 1]


@pytest.mark.parametrize("n", [1, 7, 63, 64, 65, 128, 200])
def test_list_holds_exactly_who_fired(n: int) -> None:
    rng = np.random.default_rng(n)
    for rate in (0.0, 0.05, 0.5, 1.0):
        fired = np.ones(-(-n // 64) * 64, np.uint8)  # flags behind the group's end are another group's
        fired[:n] = rng.random(n) < rate
        sources = np.full(n + 8, -1, np.int32)  # what lies behind the list belongs to the next group's
        expected = np.nonzero(fired[:n])[0]
        assert list_all(fired, n, sources) == len(expected)
        assert sources[: len(expected)].tolist() == expected.tolist()
        assert (sources[len(expected) :] == -1).all()


@pytest.mark.parametrize("n", range(1, 34))
def test_groups_of_every_size_are_advanced_whole(n: int) -> None:
    rng = np.random.default_rng(n)
    acc, u, v = (rng.integers(-(2**22), 2**22, n) for _ in range(3))
    assert_same(acc, np.zeros(n), u, v, rng.choice(BIASES, n), 4000, 3900, 640, 320)
