"""Move, turn, stretch and bend pictures at random."""

import numpy as np

from neurosim.kernels.jit import jit
from neurosim.kernels.noise import bits, fold

FRACTION_BITS = 8  # places are in 1/256 pixel
FRACTION = (1 << FRACTION_BITS) - 1
CELLS = 5  # of the grid that bends a picture, along each side
N_WHOLE = 6  # random words of an image before those of its grid
DRAW_BITS = 24  # upper bits of a word that make a number


@jit
def warp(images, key, first, limits, grid, moved):
    """Write a changed copy of each image, as `neurosim.reference.warp.warp` describes.

    Parameters
    ----------
    images : (n, height, width) uint8
    key : uint64
    first : int
        Number of the first image; with the key it names the random numbers.
    limits : (5,) int64
        As in the twin.
    grid : (2, CELLS + 1, CELLS + 1) int64
        Scratch.
    moved : (n, height, width) uint8
        Written.
    """
    height, width = images.shape[1], images.shape[2]
    shift, turn, zoom, shear, bend = limits[0], limits[1], limits[2], limits[3], limits[4]
    for i in range(len(images)):
        stream = fold(key, first + i)
        down, right = draw(stream, 0, shift), draw(stream, 1, shift)
        turned = draw(stream, 2, turn)
        tall, wide = draw(stream, 3, zoom), draw(stream, 4, zoom)
        leant = draw(stream, 5, shear)
        index = N_WHOLE
        for axis in range(2):
            for a in range(CELLS + 1):
                for b in range(CELLS + 1):
                    grid[axis, a, b] = draw(stream, index, bend)
                    index += 1
        for y in range(height):
            from_middle_y = 2 * y - (height - 1)  # in half pixels
            cell_y = (y * CELLS << FRACTION_BITS) // height
            for x in range(width):
                from_middle_x = 2 * x - (width - 1)
                cell_x = (x * CELLS << FRACTION_BITS) // width
                row = (y << FRACTION_BITS) + down + ((tall * from_middle_y + turned * from_middle_x) >> 1)
                row += between(grid[0], cell_y, cell_x) >> (2 * FRACTION_BITS)
                column = (x << FRACTION_BITS) + right
                column += (wide * from_middle_x + (leant - turned) * from_middle_y) >> 1
                column += between(grid[1], cell_y, cell_x) >> (2 * FRACTION_BITS)
                moved[i, y, x] = np.uint8((pixel(images[i], row, column) + (1 << 15)) >> 16)


@jit
def draw(stream, index, limit):
    """Return an integer in -limit..limit from a word of a stream."""
    high = np.int64(bits(stream, index) >> np.uint64(64 - DRAW_BITS))
    return (high * (2 * limit + 1) >> DRAW_BITS) - limit


@jit
def between(grid, y, x):
    """Return the bilinear mean of the four corners around a place (in 1/256 cell), times 2**16."""
    a, b, fy, fx = y >> FRACTION_BITS, x >> FRACTION_BITS, y & FRACTION, x & FRACTION
    upper = grid[a, b] * (FRACTION + 1 - fx) + grid[a, b + 1] * fx
    lower = grid[a + 1, b] * (FRACTION + 1 - fx) + grid[a + 1, b + 1] * fx
    return upper * (FRACTION + 1 - fy) + lower * fy


@jit
def pixel(image, row, column):
    """Return what an image shows at a place (in 1/256 pixel), times 2**16: bilinear, 0 outside."""
    y, x, fy, fx = row >> FRACTION_BITS, column >> FRACTION_BITS, row & FRACTION, column & FRACTION
    total = np.int64(0)
    for a in range(2):
        for b in range(2):
            if 0 <= y + a < image.shape[0] and 0 <= x + b < image.shape[1]:
                weight = (fy if a else FRACTION + 1 - fy) * (fx if b else FRACTION + 1 - fx)
                total += np.int64(image[y + a, x + b]) * weight
    return total
