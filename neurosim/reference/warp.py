"""Move, turn, stretch and bend pictures at random, in plain numpy; twin of `neurosim.kernels.warp`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.reference.noise import bits, fold

ONE = 256  # places are in 1/256 pixel
CELLS = 5  # of the grid that bends a picture, along each side
N_WHOLE = 6  # random words of an image before those of its grid

Int64Array = npt.NDArray[np.int64]


def warp(images: npt.NDArray[np.uint8], key: int, first: int, limits: Int64Array) -> npt.NDArray[np.uint8]:
    """Return a changed copy of each image, (n, height, width) uint8.

    Pixel (y, x) of the copy shows the image at (y + dy, x + dx): bilinear, 0 outside, rounded. With (v, u) the place
    of the pixel seen from the middle of the picture,

        dy = down + tall v + turned u + bend_y(y, x)        dx = right + wide u + (leant - turned) v + bend_x(y, x)

    where the eight are random, the bends at the corners of a grid of 5 x 5 cells and bilinear between them.

    Parameters
    ----------
    images : (n, height, width) uint8
    key : int
        64 bits; names the random numbers of all images.
    first : int
        Number of the first image: image i has the same random numbers in any block.
    limits : (5,) int64
        Largest shift in 1/256 pixel (down, right), turn, zoom (tall, wide) and shear (leant) in 1/256 pixel per pixel, and
        bend in 1/256 pixel. Each number is uniform in -limit..limit.
    """
    n, height, width = images.shape
    shift, turn, zoom, shear, bend = (int(limit) for limit in limits)
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    v, u = 2 * y - (height - 1), 2 * x - (width - 1)  # in half pixels
    moved = np.zeros_like(images)
    for i in range(n):
        stream = fold(key, first + i)
        down, right, turned = _draw(stream, 0, shift), _draw(stream, 1, shift), _draw(stream, 2, turn)
        tall, wide, leant = _draw(stream, 3, zoom), _draw(stream, 4, zoom), _draw(stream, 5, shear)
        corners = [_draw(stream, N_WHOLE + k, bend) for k in range(2 * (CELLS + 1) ** 2)]
        bend_y, bend_x = np.array(corners, np.int64).reshape(2, CELLS + 1, CELLS + 1)
        row = ONE * y + down + ((tall * v + turned * u) >> 1) + _between(bend_y, height, width)
        column = ONE * x + right + ((wide * u + (leant - turned) * v) >> 1) + _between(bend_x, height, width)
        moved[i] = (bilinear(images[i].astype(np.int64), row, column) + (1 << 15)) >> 16
    return moved


def _draw(stream: int, index: int, limit: int) -> int:
    return ((bits(stream, index) >> 40) * (2 * limit + 1) >> 24) - limit


def _between(corners: Int64Array, height: int, width: int) -> Int64Array:
    """Return the bend at each pixel, (height, width)."""
    row = np.arange(height)[:, None] * CELLS * ONE // height
    column = np.arange(width)[None, :] * CELLS * ONE // width
    return bilinear(corners, row + 0 * column, column + 0 * row) >> 16


def bilinear(table: Int64Array, row: Int64Array, column: Int64Array) -> Int64Array:
    """Return the mean of the four entries around each place, times 2**16; entries outside are 0."""
    y, x, fy, fx = row // ONE, column // ONE, row % ONE, column % ONE
    total = np.zeros(row.shape, np.int64)
    for a, weight_y in ((0, ONE - fy), (1, fy)):
        for b, weight_x in ((0, ONE - fx), (1, fx)):
            inside = (y + a >= 0) & (y + a < table.shape[0]) & (x + b >= 0) & (x + b < table.shape[1])
            seen = table[np.clip(y + a, 0, table.shape[0] - 1), np.clip(x + b, 0, table.shape[1] - 1)]
            total += np.where(inside, seen, 0) * weight_y * weight_x
    return total
