"""Spikes by chance: exact words, right means and variances, no dependence between any two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurosim.data import poisson
from neurosim.data.draws import STREAM_POISSON, below, stream_key, words_at
from neurosim.data.encode import rate_code
from neurosim.data.poisson import poisson_code
from neurosim.data.population import population_code, tuned_values
from neurosim.errors import DataError
from neurosim.events import check_events
from neurosim.reference import noise


def test_words_are_those_of_the_reference() -> None:
    index = np.array([0, 1, 5, 2**32 + 3, 2**63, 2**64 - 2], np.uint64)
    for key in (0, 1, 2**64 - 1, stream_key(3, 4)):
        assert words_at(key, index).tolist() == [noise.bits(key, int(i)) for i in index]
    assert stream_key(7, 1, 2) == noise.fold(noise.fold(noise.fold(0, 7), 1), 2)
    draws = below(5, np.arange(10_000, dtype=np.uint64), 7)
    assert np.bincount(draws, minlength=7).tolist() == [
        sum((noise.bits(5, i) >> 32) * 7 >> 32 == v for i in range(10_000)) for v in range(7)
    ]
    assert below(5, np.arange(1000, dtype=np.uint64), 2**31).max() < 2**31


def test_spikes_are_the_draws_below_the_value() -> None:
    values = np.random.default_rng(0).integers(0, 8, (3, 5))
    dense = check_events(poisson_code(values, 6, 7, seed=9, first=4), 5).to_dense()
    for s in range(3):
        key = noise.fold(noise.fold(noise.fold(0, 9), STREAM_POISSON), 4 + s)
        for t in range(6):
            for i in range(5):
                assert dense[s, t, i] == ((noise.bits(key, (t << 32) + i) >> 32) * 7 >> 32 < values[s, i])


def test_nothing_beside_a_spike_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 101, (6, 8))
    whole = poisson_code(values, 20, 100, seed=3).to_dense()
    np.testing.assert_array_equal(poisson_code(values[:, :3], 7, 100, seed=3).to_dense(), whole[:, :7, :3])
    for s in range(6):
        np.testing.assert_array_equal(poisson_code(values[s : s + 1], 20, 100, seed=3, first=s).to_dense()[0], whole[s])
    monkeypatch.setattr(poisson, "MAX_CELLS", 3 * 8)
    np.testing.assert_array_equal(poisson_code(values, 20, 100, seed=3).to_dense(), whole)
    assert (poisson_code(values, 20, 100, seed=4).to_dense() != whole).any()


@pytest.mark.parametrize("levels", [2, 255, 2**31 - 1])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.97])
def test_counts_have_mean_and_variance_of_independent_draws(levels: int, share: float) -> None:
    n_samples, n_steps, n_inputs = 50, 200, 40
    x = round(share * levels)
    p = x / levels
    counts = poisson_code(np.full((n_samples, n_inputs), x), n_steps, levels, seed=1).to_dense().sum(axis=1)
    n = counts.size
    assert abs(counts.mean() - n_steps * p) <= 4 * np.sqrt(n_steps * p * (1 - p) / n)  # 4 standard errors
    if 0 < p < 1:
        assert abs(counts.var() / (n_steps * p * (1 - p)) - 1) < 5 * np.sqrt(2 / n)


def test_any_two_steps_inputs_samples_and_seeds_are_independent() -> None:
    values = np.full((60, 60), 1)
    dense = poisson_code(values, 60, 2, seed=1).to_dense().astype(np.int64) * 2 - 1
    other = poisson_code(values, 60, 2, seed=2).to_dense().astype(np.int64) * 2 - 1
    bound = 5 / np.sqrt(dense.size)
    for axis in range(3):
        for lag in (1, 2, 7, 32):
            assert abs((dense * np.roll(dense, lag, axis)).mean()) < bound
    assert abs((dense * other).mean()) < bound
    assert abs((dense * dense.transpose(0, 2, 1)).mean()) < 2 * bound  # step and input do not change places
    assert abs((dense * dense.transpose(1, 0, 2)).mean()) < 2 * bound


def test_gaps_are_geometric() -> None:
    dense = poisson_code(np.full((1, 200), 1), 2000, 4, seed=5).to_dense()[0]
    gaps = np.concatenate([np.diff(np.flatnonzero(line)) for line in dense.T])
    for gap in range(1, 8):
        expected = 0.25 * 0.75 ** (gap - 1)
        assert abs((gaps == gap).mean() - expected) < 4 * np.sqrt(expected / len(gaps))


def test_none_and_all() -> None:
    dense = poisson_code([[0, 5]], 300, 5).to_dense()[0]
    assert not dense[:, 0].any() and dense[:, 1].all()
    assert poisson_code(np.zeros((0, 3), int), 4, 2).n_samples == 0


@pytest.mark.parametrize(
    ("values", "given", "words"),
    [([[6]], {}, r"value 6 is outside 0\.\.5"), ([[0.5]], {}, "values must be integers"), ([[1]], {"seed": -1}, "seed -1 is not"),
     ([[1]], {"first": 1.5}, r"first 1\.5 is not"), ([[1]], {"n_steps": 0}, "n_steps 0 is not")],
)  # fmt: skip
def test_wrong_values_are_refused(values: Any, given: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        poisson_code(values, given.pop("n_steps", 4), 5, **given)


def test_a_population_is_tuned_and_covers_the_range() -> None:
    levels, n = 60, 6
    answers = tuned_values(np.arange(levels + 1)[:, None], levels, n).reshape(levels + 1, n)
    assert answers.argmax(axis=0).tolist() == [0, 12, 24, 36, 48, 60]  # evenly spaced
    assert answers.max(axis=0).tolist() == [2 * levels] * n and answers.min() == 0
    for k in range(n):
        for x in range(levels + 1):
            expected = max(0, 2 - abs(x * (n - 1) / levels - k)) * levels
            assert abs(answers[x, k] - expected) < 1e-9
    events = population_code(np.array([[3, 50]]), 8, levels, n_tuned=n)
    assert events.n_inputs == 12
    np.testing.assert_array_equal(events.neuron, rate_code(tuned_values([[3, 50]], levels, n), 8, 2 * levels).neuron)
    with pytest.raises(DataError, match=r"n_tuned 1 is not a whole number in 2\.\."):
        tuned_values([[1]], 5, 1)
    with pytest.raises(DataError, match="levels 33554432 is not"):
        tuned_values([[1]], 1 << 25, 4)
