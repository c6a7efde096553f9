"""Transforms of events: what each does, and that a stream of chunks gives what the whole gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.data.draws import STREAM_JITTER, STREAM_SHIFT, stream_key
from neurosim.data.eventtype import EVENT
from neurosim.data.transforms import (
    TRANSFORMS,
    Crop,
    Downscale,
    DropPixels,
    Flip,
    MergePolarity,
    NoiseFilter,
    RandomShift,
    Refractory,
    Shift,
    StackPolarity,
    TimeJitter,
    TimeWindow,
    Transform,
    hot_pixels,
    transform_chunks,
    transform_events,
    transformed_size,
)
from neurosim.errors import DataError
from neurosim.reference import eventfilter, noise

SIZE = (11, 8)

#: One or more of every transform; the test below fails where one is missing.
CASES: dict[str, list[Transform]] = {
    "crop": [Crop(2, 1, 5, 4), Crop(0, 0, 11, 8)],
    "downscale": [Downscale(1), Downscale(3), Downscale(3, merge_us=50), Downscale(16, merge_us=1)],
    "drop-pixels": [DropPixels(()), DropPixels(((0, 0), (10, 7), (4, 4)))],
    "flip": [Flip(), Flip(x=True, p=True), Flip(y=True)],
    "jitter": [TimeJitter(0), TimeJitter(40, seed=3), TimeJitter(5000)],
    "merge-polarity": [MergePolarity()],
    "noise-filter": [NoiseFilter(0), NoiseFilter(30)],
    "random-shift": [RandomShift(3, 0), RandomShift(2, 2, seed=9)],
    "refractory": [Refractory(0), Refractory(100)],
    "shift": [Shift(2, -3), Shift(-20, 0)],
    "stack-polarity": [StackPolarity()],
    "time-window": [TimeWindow(100, 900), TimeWindow(5, 5)],
}
ALL = [transform for several in CASES.values() for transform in several]


def some_events(n: int = 600, seed: int = 0) -> npt.NDArray[Any]:
    rng = np.random.default_rng(seed)
    events = np.zeros(n, EVENT)
    events["t"] = np.cumsum(rng.integers(0, 5, n))
    events["x"], events["y"] = rng.integers(0, SIZE[0], n), rng.integers(0, SIZE[1], n)
    events["p"] = rng.integers(0, 2, n)
    return events


def chunks_of(events: npt.NDArray[Any], seed: int) -> list[npt.NDArray[Any]]:
    """Return the events cut at random places, with empty chunks among them."""
    cuts = np.sort(np.random.default_rng(seed).integers(0, len(events) + 1, 12))
    return np.split(events, cuts)


def test_every_transform_has_cases() -> None:
    assert CASES.keys() == TRANSFORMS.keys()
    assert all(type(one) is TRANSFORMS[name] for name, several in CASES.items() for one in several)


@pytest.mark.parametrize("transform", ALL, ids=repr)
def test_chunks_give_what_the_whole_gives(transform: Transform) -> None:
    events = some_events()
    kept = events.copy()
    whole = transform(events, SIZE, 5)
    np.testing.assert_array_equal(events, kept)  # what was given is not written to
    for seed in range(4):
        parts = list(transform_chunks(chunks_of(events, seed), [transform], SIZE, 5))
        np.testing.assert_array_equal(np.concatenate([whole[:0], *parts]), whole)
    one_by_one = [events[i : i + 1] for i in range(len(events))]
    np.testing.assert_array_equal(
        np.concatenate([whole[:0], *transform_chunks(one_by_one, [transform], SIZE, 5)]), whole
    )
    assert whole.dtype == EVENT and np.all(np.diff(whole["t"]) >= 0)
    width, height = transform.size(SIZE)
    assert not len(whole) or (whole["x"].max() < width and whole["y"].max() < height)


@pytest.mark.parametrize("seed", range(6))
def test_several_in_a_row_give_what_each_gives_after_the_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    row = [Downscale(2), *(ALL[i] for i in rng.choice(len(ALL), 4, replace=False)
           if isinstance(ALL[i], (NoiseFilter, TimeJitter, Refractory, Flip, RandomShift, MergePolarity))), StackPolarity()]  # fmt: skip
    events, size = some_events(seed=seed), SIZE
    expected = events
    for transform in row:
        expected = transform(expected, size, 1)
        size = transform.size(size)
    assert transformed_size(row, SIZE) == size
    np.testing.assert_array_equal(transform_events(events, row, SIZE, 1), expected)
    parts = list(transform_chunks(chunks_of(events, seed), row, SIZE, 1))
    np.testing.assert_array_equal(np.concatenate([events[:0], *parts]), expected)


def test_crop_keeps_what_is_inside_and_counts_from_its_corner() -> None:
    events = some_events()
    cropped = Crop(2, 1, 5, 4)(events, SIZE)
    inside = [e for e in events.tolist() if 2 <= e[1] < 7 and 1 <= e[2] < 5]
    assert cropped.tolist() == [(t, x - 2, y - 1, p) for t, x, y, p in inside]
    with pytest.raises(DataError, match=r"columns 7\.\.11 and rows 0\.\.0 leave the sensor of 11 x 8"):
        Crop(7, 0, 5, 1)(events, SIZE)


def test_downscale_keeps_all_or_the_first_of_each_span() -> None:
    events = some_events()
    assert Downscale(3).size(SIZE) == (4, 3)
    scaled = [(t, x // 3, y // 3, p) for t, x, y, p in events.tolist()]
    assert Downscale(3)(events, SIZE).tolist() == scaled
    seen: set[tuple[int, ...]] = set()
    first = []
    for event in scaled:
        t, *cell = event
        if (t // 50, *cell) not in seen:
            first.append(event)
        seen.add((t // 50, *cell))
    assert Downscale(3, merge_us=50)(events, SIZE).tolist() == first
    assert 0 < len(first) < len(scaled)


def test_flips_are_their_own_inverse() -> None:
    events = some_events()
    flip = Flip(x=True, y=True, p=True)
    once = flip(events, SIZE)
    assert once.tolist() == [(t, 10 - x, 7 - y, 1 - p) for t, x, y, p in events.tolist()]
    np.testing.assert_array_equal(flip(once, SIZE), events)


def test_what_is_shifted_out_is_gone() -> None:
    events = some_events()
    moved = Shift(2, -3)(events, SIZE)
    assert moved.tolist() == [(t, x + 2, y - 3, p) for t, x, y, p in events.tolist() if x + 2 < 11 and y >= 3]


def test_random_shifts_are_the_words_of_their_stream() -> None:
    transform = RandomShift(2, 1, seed=7)
    moves = {transform.move(number) for number in range(200)}
    assert moves == {(dx, dy) for dx in range(-2, 3) for dy in range(-1, 2)}
    key = stream_key(7, STREAM_SHIFT, 5)
    high = [noise.bits(key, i) >> 32 for i in range(2)]
    assert transform.move(5) == ((high[0] * 5 >> 32) - 2, (high[1] * 3 >> 32) - 1)
    events = some_events()
    np.testing.assert_array_equal(transform(events, SIZE, 5), Shift(*transform.move(5))(events, SIZE))


def test_polarities_are_merged_or_stacked() -> None:
    events = some_events()
    assert MergePolarity()(events, SIZE).tolist() == [(t, x, y, 1) for t, x, y, p in events.tolist()]
    assert StackPolarity().size(SIZE) == (11, 16)
    assert StackPolarity()(events, SIZE).tolist() == [(t, x, y + 8 * p, 1) for t, x, y, p in events.tolist()]
    with pytest.raises(DataError, match="twice 40000 rows exceed the 65536"):
        StackPolarity()(events, (11, 40_000))


def test_a_window_starts_at_zero() -> None:
    events = some_events()
    kept = [(t - 100, x, y, p) for t, x, y, p in events.tolist() if 100 <= t < 900]
    assert TimeWindow(100, 900)(events, SIZE).tolist() == kept


def test_filters_are_those_of_the_reference() -> None:
    events = some_events()
    columns = [events[name].astype(np.int64) for name in ("t", "x", "y")]
    for span in (0, 3, 30):
        found = NoiseFilter(span)(events, SIZE)
        np.testing.assert_array_equal(found, events[eventfilter.supported(*columns, span)])
        rested = Refractory(10 * span)(events, SIZE)
        np.testing.assert_array_equal(rested, events[eventfilter.rested(*columns, 10 * span)])


def test_noise_goes_and_a_moving_edge_stays() -> None:
    t = np.arange(500) * 40
    edge = np.zeros(500, EVENT)
    edge["t"], edge["x"], edge["y"] = t, 10 + t // 1000, np.arange(500) * 7 % 25  # 1 ms a column, its rows in turn
    rng = np.random.default_rng(1)
    noise_events = np.zeros(60, EVENT)
    noise_events["t"], noise_events["x"], noise_events["y"] = (
        rng.integers(0, 20_000, 60),
        rng.integers(50, 128, 60),
        rng.integers(0, 128, 60),
    )
    both = np.concatenate([edge, noise_events])
    both = both[np.argsort(both["t"], kind="stable")]
    kept = NoiseFilter(1000)(both, (128, 128))
    assert (kept["x"] < 40).sum() > 0.9 * 500 and (kept["x"] >= 50).sum() < 0.1 * 60


def test_hot_pixels_are_found_and_dropped() -> None:
    events = some_events(2000)
    events["x"][::3], events["y"][::3] = 4, 2
    hot = hot_pixels(chunks_of(events, 1), SIZE, ratio=10)
    assert hot == ((4, 2),)
    left = DropPixels(hot)(events, SIZE)
    assert left.tolist() == [e for e in events.tolist() if e[1:3] != (4, 2)]
    assert hot_pixels([left], SIZE, ratio=10) == () == hot_pixels([], SIZE)
    with pytest.raises(DataError, match=r"pixel \(11, 0\) is outside the sensor of 11 x 8"):
        DropPixels(((11, 0),))(events, SIZE)


def test_jitter_moves_each_event_by_its_word() -> None:
    events = some_events()
    key = stream_key(3, STREAM_JITTER, 5)
    moved = [max(0, t + ((noise.bits(key, i) >> 32) * 81 >> 32) - 40) for i, t in enumerate(events["t"].tolist())]
    order = sorted(range(len(moved)), key=lambda i: moved[i])
    found = TimeJitter(40, seed=3)(events, SIZE, 5)
    assert found.tolist() == [(moved[i], *events[i].tolist()[1:]) for i in order]


@pytest.mark.parametrize("make", [lambda: TimeJitter(40), lambda: RandomShift(3, 3)])
def test_recordings_differ_by_their_number_and_repeat_with_it(make: Any) -> None:
    events = some_events()
    first, again, other = (make()(events, SIZE, number) for number in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Crop(-1, 0, 1, 1), r"Crop: left -1 is not a whole number in 0\.\."),
        (lambda: Crop(0, 0, 0, 1), "Crop: width 0"),
        (lambda: Downscale(0), "Downscale: factor 0"),
        (lambda: Downscale(2, merge_us=0), "Downscale: merge_us 0"),
        (lambda: Shift(1.5), r"Shift: dx 1\.5"),  # type: ignore[arg-type]
        (lambda: RandomShift(-1, 0), "RandomShift: limit_x -1"),
        (lambda: TimeWindow(5, 4), "TimeWindow: stop_us 4"),
        (lambda: NoiseFilter(-1), "NoiseFilter: span_us -1"),
        (lambda: Refractory(True), "Refractory: span_us True"),
        (lambda: TimeJitter(1 << 31), "TimeJitter: limit_us"),
        (lambda: hot_pixels([], SIZE, 0), "hot_pixels: ratio 0"),
    ],
)
def test_wrong_numbers_are_refused(make: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        make()


def test_events_outside_the_sensor_are_refused() -> None:
    events = some_events()
    events["x"][7] = 11
    with pytest.raises(
        DataError, match=f"x 11, y {events['y'][7]} at {events['t'][7]} us is outside the sensor of 11 x 8"
    ):
        NoiseFilter(5)(events, SIZE)
    with pytest.raises(DataError, match="outside the sensor"):
        hot_pixels([events], SIZE)
    with pytest.raises(DataError, match="need one dimension of"):
        NoiseFilter(5)(np.zeros(3), SIZE)
