"""From counted events to input spikes."""

from __future__ import annotations

import numpy as np
import pytest

from neurosim.data.event_code import EventCode
from neurosim.errors import DataError


@pytest.mark.parametrize("pool", [1, 2, 17, 34])
@pytest.mark.parametrize(("phases", "least"), [(1, 1), (3, 2), (2, 3), (4, 1)])
def test_an_input_fires_if_its_square_has_enough_events_in_its_phase(pool: int, phases: int, least: int) -> None:
    rng = np.random.default_rng(pool)
    counts = rng.integers(0, 3, (2, 4, 2, 34 * 34)) * (rng.random((2, 4, 2, 34 * 34)) < 0.3)
    code = EventCode(4, pool, phases, least).checked()
    side = 34 // pool
    expected = np.zeros((2, 4, phases, 2, side, side), np.int64)
    for i, t, polarity, pixel in np.argwhere(counts):
        place = (pixel // 34 // pool, pixel % 34 // pool)
        expected[(i, t, t * phases // 4, polarity, *place)] += counts[i, t, polarity, pixel]
    found = code.spikes(counts)
    assert code.n_inputs == phases * 2 * side * side and found.shape == (2, 4, code.n_inputs)
    np.testing.assert_array_equal(found, expected.reshape(2, 4, -1) >= least)
    assert code.input_shape is None


@pytest.mark.parametrize("pool", [1, 2, 17, 34])
@pytest.mark.parametrize("phases", [1, 3])
def test_pictures_are_the_same_spikes_in_another_order(pool: int, phases: int) -> None:
    counts = np.random.default_rng(pool).integers(0, 4, (2, 3, 2, 34 * 34))
    plain, pictures = EventCode(3, pool, phases, 2), EventCode(3, pool, phases, 2, pictures=True)
    side, channels = 34 // pool, 2 * phases
    assert pictures.input_shape == (side, side, channels) and pictures.n_inputs == plain.n_inputs
    found = pictures.spikes(counts)
    as_pictures = found.reshape(2, 3, side, side, channels)
    by_channel = plain.spikes(counts).reshape(2, 3, channels, side, side)
    assert found.shape == (2, 3, pictures.n_inputs) and by_channel.any()
    for channel in range(channels):
        np.testing.assert_array_equal(as_pictures[..., channel], by_channel[:, :, channel])


def test_many_events_of_small_types_do_not_wrap() -> None:
    counts = np.full((1, 1, 2, 34 * 34), 255, np.uint8)
    assert EventCode(1, pool=34, least=256).spikes(counts).all()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (EventCode(9, pool=4), "pool 4 does not divide the 34 pixels of a side; choose 1, 2, 17 or 34"),
        (EventCode(9, pool=0), "pool 0 does not divide"),
        (EventCode(2, phases=3), "3 phases do not fit 2 steps; set phases to 1..2, or more steps"),
        (EventCode(2, phases=0), "0 phases do not fit"),
        (EventCode(2, least=0), "least 0 is not a positive number of events; choose 1 or more"),
    ],
)
def test_codes_that_do_not_fit_are_refused(code: EventCode, words: str) -> None:
    with pytest.raises(DataError, match=words):
        code.checked()
