"""Make more training images from the ones there are, in integers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: Directions of `half_shifts`: (rows, columns).
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))


class Warp(NamedTuple):
    """How far `warped` may change a picture; each change is uniform in -limit..limit.

    Attributes
    ----------
    shift : int
        Of the whole picture, down and to the right, in 1/256 pixel.
    turn, zoom, shear : int
        In 1/256 pixel for each pixel away from the middle; 256 sin(angle) for turns. Zoom is drawn for each axis.
    bend : int
        Of the corners of a grid of 5 x 5 cells, in 1/256 pixel; bilinear between them.
    """

    shift: int = 0
    turn: int = 0
    zoom: int = 0
    shear: int = 0
    bend: int = 0


def shift(images: npt.NDArray[np.uint8], rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Return images (n, height, width) moved by whole pixels; what enters is 0."""
    moved = np.zeros_like(images)
    height, width = images.shape[1:]
    target = moved[:, max(0, rows) : height + min(0, rows), max(0, columns) : width + min(0, columns)]
    target[...] = images[:, max(0, -rows) : height + min(0, -rows), max(0, -columns) : width + min(0, -columns)]
    return moved


def half_shifts(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return images moved by half a pixel to the right, left, down and up, (4 n, height, width).

    Half a pixel is the mean of the image and its neighbour, rounded up: ``(x + shifted + 1) >> 1``.
    """
    wide = images.astype(np.uint16)
    halves = [(wide + shift(images, *direction) + 1) >> 1 for direction in DIRECTIONS]
    return np.concatenate(halves).astype(np.uint8)


def warped(images: npt.NDArray[np.uint8], limits: Warp, key: int, first: int = 0) -> npt.NDArray[np.uint8]:
    """Return each image moved, turned, stretched and bent at random, (n, height, width); `neurosim.reference.warp`.

    Parameters
    ----------
    images : (n, height, width) uint8
    limits : Warp
    key : int
        64 bits; names the random numbers, so that another key gives other copies.
    first : int
        Number of the first image: image i is changed in the same way in any block of images.

    Examples
    --------
    >>> picture = np.zeros((1, 3, 3), np.uint8)
    >>> picture[0, 1, 1] = 200
    >>> int(warped(picture, Warp(), key=1).sum())
    200
    """
    from neurosim.kernels.warp import CELLS, warp

    moved = np.empty_like(images)
    grid = np.zeros((2, CELLS + 1, CELLS + 1), np.int64)
    with np.errstate(over="ignore"):
        warp(np.ascontiguousarray(images), np.uint64(key), first, np.array(limits, np.int64), grid, moved)
    return moved
