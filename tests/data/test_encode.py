"""Encoders: exact counts, even gaps, times."""

from __future__ import annotations

import numpy as np
import pytest

from neurosim.data import encode
from neurosim.data.encode import latency_code, rate_code
from neurosim.errors import DataError
from neurosim.events import check_events

SIZES = [(1, 1), (16, 16), (32, 16), (10, 16), (7, 255), (40, 3)]


def ramp(levels: int) -> np.ndarray:
    return np.arange(levels + 1)[None, :]


@pytest.mark.parametrize("stagger", [False, True])
@pytest.mark.parametrize(("n_steps", "levels"), SIZES)
def test_rate_counts_equal_the_formula(n_steps: int, levels: int, stagger: bool) -> None:
    events = check_events(rate_code(ramp(levels), n_steps, levels, stagger=stagger), levels + 1)
    counts = events.to_dense()[0].sum(axis=0)
    np.testing.assert_array_equal(counts, [x * n_steps // levels for x in range(levels + 1)])
    assert np.all(np.diff(counts) >= 0)
    assert (counts[0], counts[-1]) == (0, n_steps)


@pytest.mark.parametrize(("n_steps", "levels"), SIZES)
def test_rate_matches_a_counter_that_overflows(n_steps: int, levels: int) -> None:
    dense = rate_code(ramp(levels), n_steps, levels, stagger=False).to_dense()[0]
    for x in range(levels + 1):
        level = 0
        for t in range(n_steps):
            level += x
            assert dense[t, x] == (level >= levels)
            level -= levels if level >= levels else 0


@pytest.mark.parametrize("levels", [3, 16, 255])
def test_rate_gaps_differ_by_at_most_one(levels: int) -> None:
    dense = rate_code(ramp(levels), 4 * levels, levels, stagger=False).to_dense()[0]
    for x in range(1, levels + 1):
        gaps = np.diff(np.flatnonzero(dense[:, x]))
        assert gaps.max() - gaps.min() <= 1


def test_stagger_spreads_equal_values_over_the_steps() -> None:
    values = np.full((1, 64), 4)
    together = rate_code(values, 16, 16, stagger=False).to_dense()[0].sum(axis=1)
    apart = rate_code(values, 16, 16, stagger=True).to_dense()[0].sum(axis=1)
    assert together.max() == 64
    assert apart.max() - apart.min() <= 4


def test_stagger_rotates_each_line_by_its_own_amount() -> None:
    plain = rate_code(np.full((1, 9), 5), 12, 16, stagger=False).to_dense()[0]
    turned = rate_code(np.full((1, 9), 5), 12, 16).to_dense()[0]
    for i in range(9):
        np.testing.assert_array_equal(turned[:, i], np.roll(plain[:, i], (i * 2654435769 % 2**32) * 12 >> 32))


@pytest.mark.parametrize(("n_steps", "levels"), SIZES)
def test_latency_is_one_spike_earlier_for_larger_values(n_steps: int, levels: int) -> None:
    dense = check_events(latency_code(ramp(levels), n_steps, levels), levels + 1)
    spikes = dense.to_dense()[0]
    assert spikes.sum(axis=0).tolist() == [0] + [1] * levels
    times = np.argmax(spikes[:, 1:], axis=0)
    np.testing.assert_array_equal(times, [(levels - x) * n_steps // levels for x in range(1, levels + 1)])
    assert np.all(np.diff(times) <= 0) and times[-1] == 0


@pytest.mark.parametrize("code", [rate_code, latency_code])
def test_blocks_do_not_change_the_result(code, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    values = np.random.default_rng(0).integers(0, 17, (13, 5)).astype(np.uint8)
    whole = code(values, 16, 16)
    monkeypatch.setattr(encode, "MAX_CELLS", 3 * 16 * 5)
    parts = code(values, 16, 16)
    np.testing.assert_array_equal(whole.start, parts.start)
    np.testing.assert_array_equal(whole.neuron, parts.neuron)
    assert (whole.start.dtype, whole.neuron.dtype) == (np.int64, np.int32)
    for s in range(13):  # samples do not influence each other
        np.testing.assert_array_equal(whole.take([s]).neuron, code(values[s : s + 1], 16, 16).neuron)


@pytest.mark.parametrize("code", [rate_code, latency_code])
def test_no_samples_make_no_events(code) -> None:  # type: ignore[no-untyped-def]
    events = check_events(code(np.zeros((0, 3), int), 4, 2), 3)
    assert events.n_samples == 0 and events.start.tolist() == [0]


@pytest.mark.parametrize(
    ("values", "n_steps", "levels", "words"),
    [
        ([[0.5]], 4, 4, "values must be integers of shape"),
        ([1, 2], 4, 4, "values must be integers of shape"),
        ([[5]], 4, 4, r"value 5 is outside 0\.\.4; scale the values or raise levels"),
        ([[-1]], 4, 4, r"value -1 is outside 0\.\.4"),
        ([[1]], 0, 4, "n_steps 0 is not an integer in"),
        ([[1]], 4, 2.0, "levels 2.0 is not an integer in"),
        ([[1]], True, 4, "n_steps True is not an integer"),
    ],
)
def test_wrong_values_are_refused(values: object, n_steps: int, levels: int, words: str) -> None:
    for code in (rate_code, latency_code):
        with pytest.raises(DataError, match=words):
            code(values, n_steps, levels)  # type: ignore[arg-type]
