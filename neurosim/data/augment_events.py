"""Bend what recordings show a little, to learn from more than there are; in integers, by hash."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.split import mix32

POINT = 256  # places are in 1/256 pixel
KNOTS = 4  # of the grid of displacements, on each side of the field
N_DRAWS = 64  # hashed words of a warp: 4 + 2 + 2 * KNOTS**2 of them are used
MAX_LINEAR = 30  # entries of the matrix differ from the identity by at most 30/256: sizes by 12 %, turns by 7 degrees
MAX_MOVE = 300  # 1.2 pixels
MAX_KNOT = 300  # a knot is displaced by at most 1.2 pixels

Places = npt.NDArray[np.int64]


class Warp(NamedTuple):
    """A smooth map of the plane near the identity: linear about the middle of the field, and bent.

    Attributes
    ----------
    matrix : (2, 2) int64
        Difference from the identity, in 1/256; rows x and y.
    move : (2,) int64
        In 1/256 pixel, x and y.
    knots : (2, KNOTS, KNOTS) int64
        Displacement of x and of y at the points of a grid over the field, in 1/256 pixel; bilinear between them.
    """

    matrix: Places
    move: Places
    knots: Places


def draw_warp(number: int) -> Warp:
    """Return the warp of that number: all its entries uniform within their limits, by hash.

    Parameters
    ----------
    number : int
        0..2**26 - 1; no two numbers share a hashed word.
    """
    words = mix32(np.uint64(number * N_DRAWS) + np.arange(N_DRAWS, dtype=np.uint64))

    def entries(first: int, n: int, limit: int) -> Places:
        return (words[first : first + n].astype(np.int64) * (2 * limit + 1) >> 32) - limit

    return Warp(
        entries(0, 4, MAX_LINEAR).reshape(2, 2),
        entries(4, 2, MAX_MOVE),
        entries(6, 2 * KNOTS**2, MAX_KNOT).reshape(2, KNOTS, KNOTS),
    )


def warp_places(x: Places, y: Places, warp: Warp, side: int) -> tuple[Places, Places]:
    """Return where places of a square field go; some leave the field.

    Parameters
    ----------
    x, y : int64, of one shape
        0..256 * side - 1, in 1/256 pixel from the left and the upper end.
    warp : Warp
    side : int
        Pixels of a side.

    Returns
    -------
    x, y
        In 1/256 pixel.
    """
    end, middle = side * POINT, side * POINT // 2
    bent = []
    column, fx = _between_knots(x, end)
    row, fy = _between_knots(y, end)
    for axis, place in enumerate((x, y)):
        grid = warp.knots[axis]
        upper = grid[row, column] * (POINT - fx) + grid[row, column + 1] * fx
        lower = grid[row + 1, column] * (POINT - fx) + grid[row + 1, column + 1] * fx
        linear = warp.matrix[axis, 0] * (x - middle) + warp.matrix[axis, 1] * (y - middle)
        bent.append(place + (linear >> 8) + warp.move[axis] + ((upper * (POINT - fy) + lower * fy) >> 16))
    return bent[0], bent[1]


def _between_knots(place: Places, end: int) -> tuple[Places, Places]:
    """Return the knot before a place, and the way from it to the next in 1/256."""
    scaled = place * ((KNOTS - 1) * POINT) // end
    return scaled >> 8, scaled & (POINT - 1)


def warp_events(x: Places, y: Places, number: int, side: int) -> tuple[Places, Places]:
    """Return the pixels that events go to under the warp of that number, (n,) each; some leave the field.

    An event lies somewhere in its pixel, by hash: otherwise a picture that grows would have empty lines.
    """
    within = mix32(np.arange(len(x), dtype=np.uint64) + np.uint64(number << 13))
    places = (
        x * POINT + (within & np.uint64(255)).astype(np.int64),
        y * POINT + (within >> np.uint64(24)).astype(np.int64),
    )
    across, down = warp_places(*places, draw_warp(number), side)
    return across >> 8, down >> 8
