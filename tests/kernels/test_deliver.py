"""Sums of weights of the sources that fired, against plain matrix products."""

import numpy as np
import pytest
from numba.core import config
from numba.core.errors import TypingError

from neurosim.codes import EXPONENT, FORMAT, OFFSET, SHIFT, TARGET_BITS
from neurosim.compile_network import compile
from neurosim.fixedpoint import wrap_int32
from neurosim.kernels.deliver import count_synapses
from neurosim.kernels.deliver import deliver as deliver_kernel
from neurosim.kernels.jit import jit
from neurosim.kernels.rows import CHUNK, _plain_add_rows_steps, add_rows8, add_rows8_steps, add_rows16
from neurosim.kernels.synapses import add_synapses
from neurosim.network import LIF, Dense, Input, Network, Sparse
from neurosim.program import aligned_copy
from neurosim.reference.deliver import connection_matrices, deliver

N_PRE = 520


def extreme_rows(n_post: int, low: int, high: int) -> np.ndarray:
    """Return rows (N_PRE, n_post): one column all low, one all high, the others random."""
    rng = np.random.default_rng(n_post)
    rows = rng.integers(low, high + 1, (N_PRE, n_post))
    rows[:, 0] = low
    rows[:, -1] = high
    return rows


def some_sources(n: int) -> np.ndarray:
    return np.sort(np.random.default_rng(n).permutation(N_PRE)[:n]).astype(np.int32)


def padded_sources(n: int) -> np.ndarray:
    """Return a spike list as the scratch holds it: longer than its n entries, stale numbers behind."""
    lane = np.full(N_PRE, N_PRE - 1, np.int32)
    lane[:n] = some_sources(n)
    return lane


@jit
def add8(*arguments):
    """Call what is an instruction to the compiler."""
    add_rows8(*arguments)


@jit
def add16(*arguments):
    """Call what is an instruction to the compiler."""
    add_rows16(*arguments)


@jit
def add8_steps(*arguments):
    """Call what is an instruction to the compiler."""
    return add_rows8_steps(*arguments)


@jit
def add_csr(*arguments):
    """Call what is an instruction to the compiler."""
    add_synapses(*arguments)


def expected(acc: np.ndarray, total: np.ndarray, left: int, right: int) -> np.ndarray:
    return wrap_int32(acc.astype(np.int64) + (total << left >> right))


def some_sums(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(-(2**31), 2**31, n).astype(np.int32)


def test_chunks_fit_16_bits() -> None:
    assert CHUNK * -128 >= -(2**15)


#: Whole blocks, vectors of every width, and what is left.
SIZES = (1, 2, 3, 7, 10, 16, 31, 32, 33, 63, 127, 128, 129, 255, 256, 257, 300, 513)


@pytest.mark.parametrize("n_post", SIZES)
def test_dense8_is_the_matrix_product(n_post: int) -> None:
    rows, offset = extreme_rows(n_post, -128, 127), 13
    flat = np.concatenate([np.full(offset, 99), rows.ravel()]).astype(np.int8)
    for n_spikes in (0, 1, 9, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3):
        for left, right in ((0, 0), (5, 0), (0, 3)):
            acc, before = some_sums(n_post + 3), some_sums(n_post + 3)
            add8(flat, offset, n_post, padded_sources(n_spikes), n_spikes, left, right, acc)
            total = rows[some_sources(n_spikes)].sum(axis=0)
            np.testing.assert_array_equal(acc[:n_post], expected(before[:n_post], total, left, right))
            np.testing.assert_array_equal(acc[n_post:], before[n_post:])


@pytest.mark.parametrize("n_post", [1, 10, 15, 16, 17, 40, 64])
@pytest.mark.parametrize(("left", "right"), [(0, 0), (5, 0), (0, 3)])
def test_dense8_of_many_steps_is_that_of_each(n_post: int, left: int, right: int) -> None:
    """Spikes of a step reach the next one; what belongs to other groups and steps stays as it is."""
    n_steps, stride, first_source, first, offset = 6, 640, 0, 576, 13
    rows = aligned_copy(np.concatenate([np.full(offset, 99), extreme_rows(n_post, -128, 127).ravel()]).astype(np.int8))
    sources = np.full((n_steps, stride), N_PRE - 1, np.int32)
    numbers = np.full((n_steps, 3), -5)
    for t, n_spikes in enumerate((0, 1, 17, CHUNK + 1, N_PRE, 2)):
        sources[t, :n_spikes], numbers[t, 1] = some_sources(n_spikes), n_spikes
    for first_step, last_step in ((1, n_steps), (3, 4), (2, 2)):
        given = (rows, offset, n_post, sources.ravel(), first_source, stride, numbers.ravel(), 1, 3, left, right)
        acc, plain = some_sums(n_steps * stride), some_sums(n_steps * stride)
        found = add8_steps(*given, acc, first, first_step, last_step)
        assert found == _plain_add_rows_steps(*given, plain, first, first_step, last_step)
        assert found == numbers[first_step - 1 : last_step - 1, 1].sum()
        np.testing.assert_array_equal(acc, plain)
        by_step = some_sums(n_steps * stride)
        for t in range(first_step, last_step):
            here = slice(t * stride + first, t * stride + first + n_post)
            add8(rows, offset, n_post, sources[t - 1], int(numbers[t - 1, 1]), left, right, by_step[here])
        np.testing.assert_array_equal(acc, by_step)


@pytest.mark.parametrize("n_post", SIZES)
def test_dense16_is_the_matrix_product(n_post: int) -> None:
    rows, offset = extreme_rows(n_post, -(2**15), 2**15 - 1), 7
    flat = np.concatenate([np.full(offset, 99), rows.ravel()]).astype(np.int16)
    for n_spikes in (0, 1, 8, 500):
        for left, right in ((0, 0), (5, 0), (0, 3)):
            acc, before = some_sums(n_post + 2), some_sums(n_post + 2)
            add16(flat, offset, n_post, padded_sources(n_spikes), n_spikes, left, right, acc)
            total = rows[some_sources(n_spikes)].sum(axis=0)
            np.testing.assert_array_equal(acc[:n_post], expected(before[:n_post], total, left, right))
            np.testing.assert_array_equal(acc[n_post:], before[n_post:])


@pytest.mark.parametrize("left", [0, 1, 7])
def test_csr_is_the_matrix_product_and_counts_synapses(left: int) -> None:
    rng = np.random.default_rng(3)
    n_post, first_row = 20, 4
    stored = rng.random((N_PRE, n_post)) < 0.2
    stored[::5] = False  # sources without synapses
    rows = np.where(stored, rng.integers(-256, 256, stored.shape), 0)
    start = np.concatenate([np.zeros(first_row + 1), np.cumsum(stored.sum(axis=1))]).astype(np.int64)
    word = (rows[stored] << TARGET_BITS | np.nonzero(stored)[1]).astype(np.int32)
    for n_spikes in (0, 1, 2, 30, 500):
        acc, before = some_sums(n_post + 1), some_sums(n_post + 1)
        sources = some_sources(n_spikes)
        add_csr(start, word, first_row, padded_sources(n_spikes), n_spikes, left, acc)
        np.testing.assert_array_equal(acc[:n_post], expected(before[:n_post], rows[sources].sum(axis=0), left, 0))
        assert acc[n_post] == before[n_post]
        assert count_synapses(start, first_row, padded_sources(n_spikes), n_spikes) == stored[sources].sum()


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="what is refused when kernels are compiled, and they are not")
@pytest.mark.parametrize("wrong", ["sources", "acc", "rows", "strided"])
def test_arrays_of_other_types_are_refused_by_the_compiler(wrong: str) -> None:
    arrays = {"rows": np.zeros(40, np.int8), "sources": np.zeros(4, np.int32), "acc": np.zeros(8, np.int32)}
    if wrong == "strided":
        arrays["acc"] = np.zeros(16, np.int32)[::2]
    else:
        arrays[wrong] = arrays[wrong].astype(np.int64)
    with pytest.raises(TypingError):
        add8(arrays["rows"], 0, 8, arrays["sources"], 4, 0, 0, arrays["acc"])


def test_the_largest_target_and_weights_fit_a_word() -> None:
    n_post = 1 << TARGET_BITS
    word = np.array([(-256 << TARGET_BITS) | (n_post - 1), (255 << TARGET_BITS) | (n_post - 2)], np.int32)
    acc = np.zeros(n_post, np.int32)
    add_csr(np.array([0, 2]), word, 0, np.zeros(1, np.int32), 1, 0, acc)
    assert acc[-2:].tolist() == [255, -256]
    assert np.count_nonzero(acc) == 2


@pytest.mark.parametrize("exponent", range(-8, 8))
def test_every_format_scales_the_sum_rounds_down_and_wraps(exponent: int) -> None:
    rng = np.random.default_rng(exponent + 8)
    for weights in (rng.integers(-64, 64, (70, 30)) * 2, rng.integers(0, 256, (70, 30)) | 1):
        mode = "mixed" if not (weights & 1).any() else "excitatory"
        row, col = (part.ravel() for part in np.indices(weights.shape))
        thin = rng.permutation(row.size)[: row.size // 100]
        for connection in (
            Dense("in", "out", weights, exponent, sign_mode=mode),
            Sparse("in", "out", weights.shape, row[thin], col[thin], weights.ravel()[thin], exponent, sign_mode=mode),
        ):
            p = compile(Network((Input("in", 30), LIF("out", 70)), (connection,)), "unlimited").arrays
            fired = rng.random(30) < 0.6
            listed = np.concatenate([np.nonzero(fired)[0], np.zeros(30)]).astype(np.int32)
            acc, before, total = some_sums(70), some_sums(70), np.full(100, 7, np.int32)
            form, offset = int(p.conn[0, FORMAT]), int(p.conn[0, OFFSET])
            scale = int(p.conn[0, SHIFT] + p.conn[0, EXPONENT])
            with np.errstate(over="ignore"):
                deliver_kernel(p, form, offset, scale, listed, int(fired.sum()), acc, total)
            sums = deliver(connection, connection_matrices(connection), fired.astype(np.int64))[0]
            np.testing.assert_array_equal(acc, wrap_int32(before + sums))


def test_negative_exponent_rounds_the_sum_and_not_each_weight() -> None:
    weights, fired = np.array([[-2, -2, 4], [2, 2, 2]]), np.array([1, 1, 0])

    def sums(weights: np.ndarray, fired: np.ndarray, exponent: int) -> np.ndarray:
        connection = Dense("a", "b", weights, exponent, sign_mode="mixed")
        return deliver(connection, connection_matrices(connection), fired)[0]

    np.testing.assert_array_equal(sums(weights, fired, -2), [-1, 1])
    np.testing.assert_array_equal(sums(weights, 1 - fired, -3), [0, 0])
    np.testing.assert_array_equal(sums(-weights, 1 - fired, -3), [-1, -1])
