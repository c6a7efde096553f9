"""Make more training images from the ones there are, in integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Directions of `half_shifts`: (rows, columns).
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))


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
