"""Sums over events: the kernels against their twins, bit for bit, and against plain products."""

import numpy as np
import pytest

from neurosim.kernels import directinput as kernels
from neurosim.reference import directinput as reference

NONE = np.zeros(0, np.float32)
COLUMNS = (1, 2, 3, 7, 10, 16, 31, 64, 129, 256, 300)


def random_events(
    n_rows: int, n_inputs: int, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return frames (n_rows, n_inputs) with values, and the same as lists; one row is empty, one is full."""
    rng = np.random.default_rng(seed)
    frames = np.where(rng.random((n_rows, n_inputs)) < share, rng.integers(-9, 10, (n_rows, n_inputs)), 0)
    frames[1], frames[-1] = 0, 3
    index = np.nonzero(frames)[1].astype(np.int32)
    start = np.concatenate([[0], np.cumsum((frames != 0).sum(axis=1))]).astype(np.int64)
    return frames, start, index, frames[frames != 0].astype(np.float32)


@pytest.mark.parametrize("n_columns", COLUMNS)
@pytest.mark.parametrize("valued", [False, True])
def test_rows_are_summed_in_the_order_of_the_twin(n_columns: int, valued: bool) -> None:
    _, start, index, value = random_events(9, 40, 0.3, n_columns)
    table = np.random.default_rng(2).standard_normal((40, n_columns)).astype(np.float32)
    out = np.full(9 * n_columns, np.nan, np.float32)
    given = value if valued else NONE
    kernels.sum_rows(table.reshape(-1), n_columns, start, index, given, int(valued), out, 0, 9)
    expected = reference.sum_rows(table, start, index, value if valued else None)
    np.testing.assert_array_equal(out.reshape(9, n_columns), expected)


def test_sums_of_integers_are_exact_products() -> None:
    frames, start, index, value = random_events(12, 200, 0.2, seed=3)
    table = np.random.default_rng(4).integers(-256, 255, (200, 40))
    out = np.empty(12 * 40, np.float32)
    kernels.sum_rows(table.astype(np.float32).reshape(-1), 40, start, index, value, 1, out, 0, 12)
    np.testing.assert_array_equal(out.reshape(12, 40), frames @ table)


def test_only_the_rows_asked_for_are_written() -> None:
    _, start, index, _ = random_events(8, 30, 0.3, seed=5)
    table = np.random.default_rng(6).standard_normal((30, 20)).astype(np.float32)
    parts, whole = np.full(160, np.nan, np.float32), np.empty(160, np.float32)
    kernels.sum_rows(table.reshape(-1), 20, start, index, NONE, 0, whole, 0, 8)
    kernels.sum_rows(table.reshape(-1), 20, start, index, NONE, 0, parts, 3, 5)
    assert np.isnan(parts[: 3 * 20]).all() and np.isnan(parts[5 * 20 :]).all()
    for first, last in ((5, 8), (0, 3)):
        kernels.sum_rows(table.reshape(-1), 20, start, index, NONE, 0, parts, first, last)
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize("n_columns", (*COLUMNS, 96, 513))
@pytest.mark.parametrize("n_inputs", [40, 700])
def test_rows_of_bytes_are_summed_as_by_the_twin(n_columns: int, n_inputs: int) -> None:
    """Also rows with more events than are added up in 16 bits, of the largest bytes there are."""
    _, start, index, _ = random_events(9, n_inputs, 0.3, n_columns)
    table = np.random.default_rng(2).integers(-128, 128, (n_inputs, n_columns)).astype(np.int8)
    table[:, 0], table[:, -1] = -128, 127
    out = np.full(9 * n_columns, np.nan, np.float32)
    kernels.sum_byte_rows(table.reshape(-1), n_columns, start, index, 2.0, out, 0, 4)
    assert np.isnan(out[4 * n_columns :]).all() and not np.isnan(out[: 4 * n_columns]).any()
    kernels.sum_byte_rows(table.reshape(-1), n_columns, start, index, 2.0, out, 4, 9)
    np.testing.assert_array_equal(out.reshape(9, n_columns), reference.sum_byte_rows(table, start, index, 2.0))
    assert out[-1] == 254 * n_inputs  # the last row is full


@pytest.mark.parametrize("n_columns", (*COLUMNS, 96))
@pytest.mark.parametrize("valued", [False, True])
def test_rows_are_added_in_the_order_of_the_twin(n_columns: int, valued: bool) -> None:
    _, start, index, value = random_events(9, 40, 0.3, n_columns)
    table = np.random.default_rng(2).standard_normal((9, n_columns)).astype(np.float32)
    out, sums = np.full(41 * n_columns, np.nan, np.float32), np.full(41 * kernels.SUMS, np.nan, np.float32)
    given = value if valued else NONE
    kernels.add_rows(table.reshape(-1), n_columns, start, index, given, int(valued), 41, sums, out)
    expected = reference.add_rows(table, start, index, 41, value if valued else None)
    np.testing.assert_array_equal(out.reshape(41, n_columns), expected)
    assert not expected[-1].any() and expected[0].any()  # the last input never has an event


def test_gradient_by_weights_is_the_sum_over_events_by_input() -> None:
    frames, start, index, value = random_events(20, 33, 0.2, seed=8)
    gradient = np.random.default_rng(9).integers(-50, 51, (20, 24))
    out, sums = np.empty(33 * 24, np.float32), np.empty(33 * kernels.SUMS, np.float32)
    kernels.add_rows(gradient.astype(np.float32).reshape(-1), 24, start, index, value, 1, 33, sums, out)
    np.testing.assert_array_equal(out.reshape(33, 24), frames.T @ gradient)


def random_pieces(n_inputs: int, n_source: int, n_target: int, lanes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(lanes)
    reaches = np.concatenate([[0], np.cumsum(rng.integers(0, 5, n_inputs))]).astype(np.int32)
    from_, to = (rng.integers(0, n // lanes, reaches[-1]) * lanes for n in (n_source, n_target))
    return reaches, from_.astype(np.int32), to.astype(np.int32)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("valued", [False, True])
def test_pieces_are_added_in_the_order_of_the_twin(lanes: int, valued: bool) -> None:
    _, start, index, value = random_events(9, 40, 0.3, seed=lanes)
    reaches, from_, to = random_pieces(40, 64, 96, lanes)
    rng = np.random.default_rng(10)
    kernel, wide = rng.standard_normal(64).astype(np.float32), rng.standard_normal((9, 96)).astype(np.float32)
    lists = start, index, value if valued else NONE, int(valued)
    twin = start, index, value if valued else None, reaches
    out = wide.copy()
    kernels.add_reaches(*lists, reaches, from_, to, lanes, kernel, 0, out.reshape(-1), 96, 0, 9)
    np.testing.assert_array_equal(out, reference.add_reaches(*twin, from_, to, lanes, kernel, wide))
    back = kernel.copy()
    kernels.add_reaches(*lists, reaches, to, from_, lanes, wide.reshape(-1), 96, back, 0, 0, 9)
    np.testing.assert_array_equal(back, reference.add_reaches(*twin, to, from_, lanes, wide, kernel))
