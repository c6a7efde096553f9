"""Counts of a recording: the same however it is cut, and in bounded memory."""

import numpy as np
import pytest

from neurosim.data.eventstats import MAX_BINS, EventStats
from neurosim.data.eventtype import EVENT


def some_events(n: int, last: int, width: int = 20, height: int = 10) -> np.ndarray:
    rng = np.random.default_rng(6)
    found = np.zeros(n, EVENT)
    found["t"] = 1_000_000_000 + np.sort(rng.integers(0, last, n))
    found["x"], found["y"], found["p"] = rng.integers(0, width, n), rng.integers(0, height, n), rng.random(n) < 0.3
    return found


@pytest.mark.parametrize("last", [1, 900, 511_999, 512_001, 77_777_777_777])
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_counts_do_not_depend_on_the_pieces(last: int, piece: int) -> None:
    events = some_events(1000, last)
    stats = EventStats()
    for first in range(0, len(events), piece):
        stats.add(events[first : first + piece])
    assert (stats.n_events, stats.n_on) == (1000, int(events["p"].sum()))
    assert (stats.first_us, stats.last_us) == (events["t"][0], events["t"][-1])
    assert stats.duration_us == events["t"][-1] - events["t"][0]
    assert stats.extent == (events["x"].max() + 1, events["y"].max() + 1)
    expected = np.zeros((2, stats.extent[1], stats.extent[0]), int)
    np.add.at(expected, (events["p"], events["y"], events["x"]), 1)
    np.testing.assert_array_equal(stats.pixels, expected)
    x, y, n = stats.busiest or (0, 0, 0)
    assert n == expected.sum(axis=0).max() == expected[:, y, x].sum()
    bins = (events["t"] - events["t"][0]) // stats.bin_us
    assert bins.max() == stats.rate.shape[1] - 1 < MAX_BINS
    assert stats.bin_us == 1000 or bins.max() >= MAX_BINS // 2
    for polarity in (0, 1):
        np.testing.assert_array_equal(
            stats.rate[polarity], np.bincount(bins[events["p"] == polarity], minlength=stats.rate.shape[1])
        )
    assert stats.rate_hz == (1000 * 1e6 / stats.duration_us if stats.duration_us else None)


def test_nothing_and_too_many_pixels() -> None:
    stats = EventStats()
    stats.add(np.zeros(0, EVENT))
    assert (stats.n_events, stats.duration_us, stats.rate_hz, stats.busiest) == (0, 0, None, None)
    stats.add(np.array([(5, 65_535, 65_535, 1)], EVENT))
    stats.add(np.array([(5, 1, 1, 1)], EVENT))
    assert (stats.n_events, stats.extent, stats.pixels, stats.busiest) == (2, (65_536, 65_536), None, None)
    assert stats.rate.tolist() == [[0], [2]]
