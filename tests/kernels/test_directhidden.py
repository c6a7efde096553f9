"""Convolutions between hidden layers: lists of messages and gradients by the messages, kernels against twins."""

import numpy as np
import pytest

from neurosim.kernels import directhidden as kernels
from neurosim.reference import directhidden as reference


def listed(frames: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int] | None:
    n_rows, n = frames.shape
    start, index = np.full(n_rows + 1, -7, np.int64), np.full(most + 1, -7, np.int32)
    value = np.full(most + 1, np.nan, np.float32)
    valued = kernels.list_messages(frames.reshape(-1), n, n_rows, most, start, index, value)
    return None if valued < 0 else (start, index[: start[-1]], value[: start[-1]], valued)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("largest", [1, 3])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.7, 1.0])
def test_messages_are_listed_as_by_the_twin(n: int, largest: int, share: float) -> None:
    rng = np.random.default_rng(n)
    frames = np.where(rng.random((7, n)) < share, rng.integers(1, largest + 1, (7, n)), 0).astype(np.float32)
    frames[2] = 0
    n_sent = np.count_nonzero(frames)
    expected = reference.list_messages(frames, n_sent)
    found = listed(frames, n_sent)
    assert expected is not None and found is not None
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    if n_sent:
        assert reference.list_messages(frames, n_sent - 1) is None
        assert listed(frames, n_sent - 1) is None, "one too many"


def test_negative_messages_and_fractions_are_kept() -> None:
    frames = np.array([[0, -1, 0.5, -0.0]], np.float32)
    found = listed(frames, 4)
    assert found is not None
    np.testing.assert_array_equal(found[1], [1, 2])
    np.testing.assert_array_equal(found[2], np.array([-1, 0.5], np.float32))
    assert found[3] == 1


def random_taps(n_cells: int, n_from: int, width: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return taps, where they begin in rows of 5 pieces of n_from and in a table of 9 * n_from rows, and the table."""
    rng = np.random.default_rng(seed)
    taps = np.concatenate([[0], np.cumsum(rng.integers(0, 5, n_cells))]).astype(np.int32)
    from_ = rng.integers(0, 5, taps[-1]).astype(np.int32) * n_from
    weight = rng.integers(0, 9, taps[-1]).astype(np.int32) * n_from
    return taps, from_, weight, rng.integers(-128, 128, (9 * n_from, width)).astype(np.float32)


def gathered(source: np.ndarray, taps, from_, weight, table, n_from, first=0, last=None) -> np.ndarray:
    n_rows, width = len(source), table.shape[1]
    out = np.full(n_rows * (len(taps) - 1) * width, np.nan, np.float32)
    kernels.gather_taps(
        source.reshape(-1), source.shape[1], taps, from_, (weight * width).astype(np.int32), table.reshape(-1), n_from, width, out,
        first, n_rows if last is None else last,
    )  # fmt: skip
    return out.reshape(n_rows, len(taps) - 1, width)


@pytest.mark.parametrize("width", [1, 2, 3, 8, 16, 23, 32, 48, 63])
@pytest.mark.parametrize("n_rows", [1, 8, 11])
def test_sums_of_integers_are_those_of_the_twin(width: int, n_rows: int) -> None:
    taps, from_, weight, table = random_taps(6, 4, width, seed=width)
    source = np.random.default_rng(1).integers(-50, 51, (n_rows, 20)).astype(np.float32)
    expected = reference.gather_taps(source, taps, from_, weight, table, 4)
    np.testing.assert_array_equal(gathered(source, taps, from_, weight, table, 4), expected)
    assert expected.any()


def test_float_sums_are_close_to_the_twin() -> None:
    taps, from_, weight, _ = random_taps(9, 7, 20, seed=5)
    rng = np.random.default_rng(6)
    source = rng.standard_normal((10, 35)).astype(np.float32)
    table = rng.standard_normal((63, 20)).astype(np.float32)
    expected = reference.gather_taps(source, taps, from_, weight, table, 7)
    np.testing.assert_allclose(gathered(source, taps, from_, weight, table, 7), expected, rtol=1e-5, atol=1e-5)


def test_a_row_has_the_same_bits_wherever_it_stands() -> None:
    """Rows are taken in blocks; a row of a block and one alone are added alike."""
    taps, from_, weight, _ = random_taps(5, 6, 19, seed=7)
    rng = np.random.default_rng(8)
    source, table = rng.standard_normal((9, 30)).astype(np.float32), rng.standard_normal((54, 19)).astype(np.float32)
    whole = gathered(source, taps, from_, weight, table, 6)
    for row in range(9):
        alone = gathered(source, taps, from_, weight, table, 6, row, row + 1)
        np.testing.assert_array_equal(alone[row], whole[row])
        assert np.isnan(np.delete(alone, row, axis=0)).all(), "no other row is written"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_neurons_are_dropped_as_by_the_twin_wherever_a_part_begins(share: float) -> None:
    key, limit, factor = 0x123456789ABCDEF0, round(share * 2**32), np.float32(1.25)
    out, part = np.full(500, np.nan, np.float32), np.empty(100, np.float32)
    with np.errstate(over="ignore"):  # hashes wrap, and say so where kernels run as plain Python
        kernels.draw_kept(np.uint64(key), 70, limit, factor, out)
        kernels.draw_kept(np.uint64(key), 170, limit, factor, part)
    np.testing.assert_array_equal(out, reference.draw_kept(key, 70, limit, float(factor), 500))
    assert abs((out == 0).mean() - share) < 0.1
    np.testing.assert_array_equal(part, out[100:200])
