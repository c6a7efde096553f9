"""Events become spikes of lines and steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.data import binning
from neurosim.data.binning import Binner, bin_events, join_events, renumber
from neurosim.data.eventtype import EVENT
from neurosim.errors import DataError
from neurosim.events import Events, check_events

WIDTH, HEIGHT = 5, 3


def some_events(n: int = 200, seed: int = 0, most: int = 60) -> npt.NDArray[Any]:
    rng = np.random.default_rng(seed)
    events = np.zeros(n, EVENT)
    events["t"] = np.cumsum(rng.integers(0, most, n))
    events["x"], events["y"] = rng.integers(0, WIDTH, n), rng.integers(0, HEIGHT, n)
    events["p"] = rng.integers(0, 2, n)
    return events


def dense_counts(events: npt.NDArray[Any], shape: tuple[int, ...], n_steps: int, dt: int) -> npt.NDArray[np.int64]:
    """Return events per step and line, one event at a time."""
    counts = np.zeros((n_steps, *shape), np.int64)
    for t, x, y, p in events.tolist():
        place = {3: (p if shape[0] == 2 else 0, y, x), 2: (y, x), 1: (x,)}[len(shape)]
        if t // dt < n_steps:
            counts[(t // dt, *place)] += 1
    return counts.reshape(n_steps, -1)


@pytest.mark.parametrize("shape", [(2, HEIGHT, WIDTH), (1, HEIGHT, WIDTH), (HEIGHT, WIDTH), (WIDTH,)])
@pytest.mark.parametrize("dt", [1, 100, 997, 10**7])
def test_counts_are_those_of_one_event_at_a_time(shape: tuple[int, ...], dt: int) -> None:
    events = some_events()
    if len(shape) == 1:
        events["y"] = 0
    n_steps = int(events["t"][-1]) // dt + 1
    expected = dense_counts(events, shape, n_steps, dt)
    summed = check_events(bin_events(events, shape, dt_us=dt, count="sum"), int(np.prod(shape)))
    np.testing.assert_array_equal(summed.to_values()[0], expected)
    once = check_events(bin_events(events, shape, dt_us=dt), int(np.prod(shape)))
    np.testing.assert_array_equal(once.to_dense()[0], expected > 0)
    assert once.value is None


@pytest.mark.parametrize("count", ["once", "sum"])
@pytest.mark.parametrize("dt", [1, 250, 10**7])
def test_chunks_give_what_the_whole_gives(dt: int, count: str) -> None:
    events = some_events()
    whole = bin_events(events, (2, HEIGHT, WIDTH), dt_us=dt, count=count)
    for seed in range(5):
        cuts = np.sort(np.random.default_rng(seed).integers(0, 201, 30))
        binner = Binner((2, HEIGHT, WIDTH), dt_us=dt, count=count)
        binner.add(np.split(events, cuts))
        found = binner.events()
        for name in ("start", "neuron", "value"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


def test_recordings_are_samples_and_the_longest_says_how_many_steps() -> None:
    recordings = [some_events(50, 1), some_events(0), some_events(90, 2)]
    binner = Binner((HEIGHT, WIDTH), dt_us=500, count="sum")
    for recording in recordings:
        binner.add([recording])
    found = check_events(binner.events(), HEIGHT * WIDTH)
    n_steps = int(recordings[2]["t"][-1]) // 500 + 1
    assert (found.n_samples, found.n_steps) == (3, n_steps)
    for recording, values in zip(recordings, found.to_values(), strict=True):
        np.testing.assert_array_equal(values, dense_counts(recording, (HEIGHT, WIDTH), n_steps, 500))
    assert check_events(binner.events(), HEIGHT * WIDTH).n_samples == 0  # it forgot them


def test_what_comes_after_the_last_step_is_counted() -> None:
    events = some_events()
    binner = Binner((2, HEIGHT, WIDTH), dt_us=100, n_steps=7, count="sum")
    binner.add([events[:120], events[120:]])
    assert binner.n_late == int((events["t"] >= 700).sum()) > 0
    np.testing.assert_array_equal(binner.events().to_values()[0], dense_counts(events, (2, HEIGHT, WIDTH), 7, 100))


def test_a_time_is_cut_into_equal_parts() -> None:
    events = some_events()
    found = bin_events(events, (HEIGHT, WIDTH), n_steps=9, duration_us=3150, count="sum").to_values()[0]
    expected = np.zeros((9, HEIGHT * WIDTH), np.int64)
    for t, x, y, _ in events.tolist():
        if t * 9 // 3150 < 9:
            expected[t * 9 // 3150, y * WIDTH + x] += 1
    np.testing.assert_array_equal(found, expected)


def test_lines_of_a_task_are_numbered_row_by_row() -> None:
    events = some_events()
    binner = Binner((2, HEIGHT, WIDTH), dt_us=100, order="task")
    binner.add([events])
    chip = binner.events()
    framework = bin_events(events, (2, HEIGHT, WIDTH), dt_us=100)
    expected = framework.to_dense()[0].reshape(-1, 2, HEIGHT, WIDTH).transpose(0, 2, 3, 1).reshape(-1, 30)
    np.testing.assert_array_equal(chip.to_dense()[0], expected)
    line_of = np.ascontiguousarray(np.arange(30).reshape(HEIGHT, WIDTH, 2).transpose(2, 0, 1)).ravel()
    np.testing.assert_array_equal(check_events(renumber(framework, line_of), 30).neuron, chip.neuron)


def test_values_move_with_their_lines_and_parts_join() -> None:
    found = bin_events(some_events(most=9), (HEIGHT, WIDTH), dt_us=300, count="sum")
    turned = check_events(renumber(found, np.arange(14, -1, -1)), 15)
    np.testing.assert_array_equal(turned.to_values()[0], found.to_values()[0][:, ::-1])
    both = check_events(join_events([found, turned]), 15)
    np.testing.assert_array_equal(both.to_values(), np.stack([found.to_values()[0], turned.to_values()[0]]))
    plain = Events(found.start, found.neuron, 1, found.n_steps, 15)
    mixed = join_events([plain, found])
    assert mixed.value is not None and mixed.value[: len(found.neuron)].tolist() == [1] * len(found.neuron)
    assert join_events([plain, plain]).value is None


def test_time_may_start_with_the_first_event() -> None:
    events = some_events()
    late = events.copy()
    late["t"] += 1_700_000_000_000_000  # since 1970
    expected = bin_events(events, (HEIGHT, WIDTH), dt_us=100, origin="first")
    for origin in ("first", "auto", int(late["t"][0])):
        np.testing.assert_array_equal(bin_events(late, (HEIGHT, WIDTH), dt_us=100, origin=origin).start, expected.start)
    plain = bin_events(events, (HEIGHT, WIDTH), dt_us=100)
    np.testing.assert_array_equal(bin_events(events, (HEIGHT, WIDTH), dt_us=100, origin="auto").start, plain.start)
    events["t"] -= 60
    assert events["t"][0] < 0
    bin_events(events, (HEIGHT, WIDTH), dt_us=100, origin="auto")
    with pytest.raises(DataError, match="comes before the start of step 0 at 0 us"):
        bin_events(events, (HEIGHT, WIDTH), dt_us=100)


def test_events_outside_are_an_error_or_counted() -> None:
    events = some_events()
    with pytest.raises(
        DataError, match=r"does not fit input shape \(2, 3, 4\); give the sensor's own shape, or use the transforms"
    ):
        bin_events(events, (2, HEIGHT, WIDTH - 1), dt_us=100)
    binner = Binner((2, HEIGHT, WIDTH - 1), dt_us=100, outside="drop", count="sum")
    binner.add([events])
    inside = events[events["x"] < WIDTH - 1]
    assert binner.n_outside == len(events) - len(inside)
    np.testing.assert_array_equal(
        binner.events().to_values()[0][:20], dense_counts(inside, (2, HEIGHT, WIDTH - 1), 20, 100)
    )
    with pytest.raises(DataError, match=r"does not fit input shape \(5,\)"):
        bin_events(events, (WIDTH,), dt_us=100)  # has rows


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"dt_us": None}, "dt_us None and duration_us None; give exactly one"),
        ({"duration_us": 5, "n_steps": 5}, "dt_us 100 and duration_us 5; give exactly one"),
        ({"dt_us": None, "duration_us": 5}, "duration_us 5 is to be cut into steps; give n_steps"),
        ({"dt_us": 0}, "dt_us 0 is not a whole number of microseconds above 0"),
        ({"dt_us": 1.5}, r"dt_us 1\.5 is not a whole number"),
        ({"n_steps": 0}, "n_steps 0 is not a whole number in"),
        ({"count": "twice"}, "count 'twice' is none of once, sum"),
        ({"outside": "ignore"}, "outside 'ignore' is none of error, drop"),
        ({"origin": "last"}, "origin 'last' is none of first, auto"),
        ({"origin": 0.5}, r"origin 0\.5 is none of"),
        ({"shape": (3, 2, 2)}, r"events have no place in input shape \(3, 2, 2\); it must be \(2, height, width\)"),
        ({"shape": (1, 2, 2, 2)}, "events have no place in input shape"),
        ({"shape": ()}, r"shape \(\) is not one or more positive numbers"),
        ({"shape": (0, 4)}, r"shape \(0, 4\) is not"),
        ({"shape": (70_000, 70_000)}, "with a product of up to"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, Any], words: str) -> None:
    settings: dict[str, Any] = {"shape": (HEIGHT, WIDTH), "dt_us": 100} | given
    with pytest.raises(DataError, match=words):
        bin_events(some_events(), settings.pop("shape"), **settings)


def test_too_many_steps_are_refused_before_there_is_room_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    events = some_events(3)
    events["t"][2] = 1 << 40
    with pytest.raises(DataError, match=r"is in step 1099511627776, the limit is .*; give n_steps, use longer steps"):
        bin_events(events, (HEIGHT, WIDTH), dt_us=1)
    events["t"][2] = 1 << 61
    with pytest.raises(DataError, match="beyond which steps cannot be counted"):
        bin_events(events, (HEIGHT, WIDTH), n_steps=11, duration_us=100)
    monkeypatch.setattr(binning, "MAX_CELLS", 100)
    with pytest.raises(DataError, match="1 samples of 101 steps are more than 100 lists"):
        bin_events(some_events(2), (HEIGHT, WIDTH), dt_us=1, n_steps=101)


def test_chunks_that_go_back_in_time_are_refused() -> None:
    events = some_events()
    with pytest.raises(DataError, match="sample 7: a chunk of events goes back in time"):
        Binner((HEIGHT, WIDTH), dt_us=10).add([events[100:], events[:100]], where="sample 7")
