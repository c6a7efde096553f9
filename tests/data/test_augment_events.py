"""Warps of recordings: drawn by hash, near the identity, in integers."""

from __future__ import annotations

import numpy as np

from neurosim.data.augment_events import (
    KNOTS,
    MAX_KNOT,
    MAX_LINEAR,
    MAX_MOVE,
    POINT,
    Warp,
    draw_warp,
    warp_events,
    warp_places,
)

SIDE = 34


def flat(matrix: list[list[int]], move: list[int]) -> Warp:
    return Warp(np.array(matrix), np.array(move), np.zeros((2, KNOTS, KNOTS), np.int64))


def grid() -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    places = np.arange(0, SIDE * POINT, 97)
    y, x = np.meshgrid(places, places, indexing="ij")
    return x, y


def test_entries_use_their_whole_range_evenly() -> None:
    warps = [draw_warp(n) for n in range(400)]
    for part, limit in ((0, MAX_LINEAR), (1, MAX_MOVE), (2, MAX_KNOT)):
        entries = np.array([warp[part].ravel() for warp in warps])
        assert np.abs(entries).max() <= limit and entries.max() > 0.95 * limit and entries.min() < -0.95 * limit
        assert np.abs(entries.mean(axis=0)).max() < 5 * limit / np.sqrt(3 * len(warps))
    rows = np.array([np.concatenate([part.ravel() for part in warp]) for warp in warps], np.float64)
    assert len(np.unique(rows, axis=0)) == len(rows)
    neighbours = [np.corrcoef(rows[i, :4], rows[i + 1, :4])[0, 1] for i in range(len(rows) - 1)]
    assert abs(np.mean(neighbours)) < 0.1


def test_no_warp_moves_nothing_and_a_move_moves_all() -> None:
    x, y = grid()
    for one, other in zip(warp_places(x, y, flat([[0, 0], [0, 0]], [0, 0]), SIDE), (x, y), strict=True):
        np.testing.assert_array_equal(one, other)
    across, down = warp_places(x, y, flat([[0, 0], [0, 0]], [130, -7]), SIDE)
    np.testing.assert_array_equal(across, x + 130)
    np.testing.assert_array_equal(down, y - 7)


def test_the_matrix_acts_about_the_middle() -> None:
    x, y = grid()
    across, down = warp_places(x, y, flat([[16, 0], [0, 0]], [0, 0]), SIDE)
    np.testing.assert_array_equal(across, x + ((x - 17 * POINT) >> 4))
    np.testing.assert_array_equal(down, y)
    across, _ = warp_places(x, y, flat([[0, -32], [32, 0]], [0, 0]), SIDE)
    np.testing.assert_array_equal(across, x + (-(y - 17 * POINT) >> 3))


def test_knots_move_their_neighbourhood_and_nothing_jumps() -> None:
    knots = np.zeros((2, KNOTS, KNOTS), np.int64)
    knots[1, 0, 0] = 200
    warp = Warp(np.zeros((2, 2), np.int64), np.zeros(2, np.int64), knots)
    x, y = grid()
    across, down = warp_places(x, y, warp, SIDE)
    np.testing.assert_array_equal(across, x)
    assert down[0, 0] == 200
    far = SIDE * POINT // (KNOTS - 1) + 1
    assert np.array_equal(down[(x >= far) | (y >= far)], y[(x >= far) | (y >= far)])
    warped_x, warped_y = warp_places(x, y, draw_warp(11), SIDE)
    for place in (warped_x, warped_y):
        assert np.abs(np.diff(place, axis=0)).max() < 2 * 97 and np.abs(np.diff(place, axis=1)).max() < 2 * 97


def test_events_of_a_pixel_land_near_each_other_and_fill_a_picture_that_grows() -> None:
    x = np.repeat(np.arange(SIDE), 40)
    across, down = warp_events(x, np.full_like(x, 17), 5, SIDE)
    assert np.all(np.ptp(across.reshape(SIDE, 40), axis=1) <= 2) and np.all(np.ptp(down.reshape(SIDE, 40), axis=1) <= 2)
    seen = np.unique(across)
    assert np.array_equal(seen, np.arange(seen[0], seen[-1] + 1))
    again = warp_events(x, np.full_like(x, 17), 5, SIDE)
    np.testing.assert_array_equal(across, again[0])
    other = warp_events(x, np.full_like(x, 17), 6, SIDE)
    assert np.any(across != other[0])
