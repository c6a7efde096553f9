"""Level crossings."""

from __future__ import annotations

import numpy as np
import pytest

from neurosim.data import crossing
from neurosim.data.crossing import crossing_events
from neurosim.errors import DataError
from neurosim.events import check_events


def slow(signal: list[int], delta: int) -> tuple[list[int], list[int]]:
    """Return up and down events of one channel, one level at a time."""
    level, ups, downs = signal[0], [], []
    for value in signal:
        up = down = False
        while value >= level + delta:
            level, up = level + delta, True
        while value <= level - delta:
            level, down = level - delta, True
        ups.append(int(up))
        downs.append(int(down))
    return ups, downs


def test_events_are_those_of_a_tracker_that_climbs_level_by_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossing, "BLOCK", 3)
    signals = np.random.default_rng(0).integers(-128, 128, (7, 20, 2)).astype(np.int8)
    deltas = (1, 7, 100)
    dense = check_events(crossing_events(signals, deltas), 12).to_dense().reshape(7, 20, 3, 2, 2)
    for sample in range(7):
        for channel in range(2):
            for d, delta in enumerate(deltas):
                expected = slow(signals[sample, :, channel].tolist(), delta)
                for down in (0, 1):
                    assert dense[sample, :, d, down, channel].astype(int).tolist() == expected[down]


def test_small_changes_and_an_offset_make_no_events() -> None:
    signals = 1000 + np.arange(40).reshape(1, 40, 1) % 2 * 3
    assert len(crossing_events(signals, [4]).neuron) == 0
    np.testing.assert_array_equal(crossing_events(signals, [3]).neuron, crossing_events(signals - 1000, [3]).neuron)


@pytest.mark.parametrize(
    ("signals", "deltas", "words"),
    [
        (np.zeros((2, 3)), [1], "signals must be integers of shape"),
        (np.zeros((2, 3, 1)), [1], "found float64 of shape"),
        (np.zeros((2, 3, 1), int), [], r"deltas \[\] must be whole numbers of at least 1"),
        (np.zeros((2, 3, 1), int), [4, 0], r"deltas \[4, 0\] must be"),
    ],
)
def test_wrong_signals_are_refused(signals: object, deltas: list[int], words: str) -> None:
    with pytest.raises(DataError, match=words):
        crossing_events(signals, deltas)  # type: ignore[arg-type]
