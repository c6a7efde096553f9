"""An event camera in front of moving pictures."""

import numpy as np

from neurosim.kernels.jit import jit

FRACTION_BITS = 8  # positions are in 1/256 pixel
BRIGHTNESS_BITS = 4  # brightness is in 1/16 of a grey level
LAG_BITS = 8  # of a receptor's answer
MOST = 255  # events of a pixel and polarity in a step


@jit
def see(scenes, columns, rows, levels, thresholds, lag, step_of_frame, receptor, last, counts):
    """Write the events of each scene into `counts`, as `neurosim.reference.camera.see` describes.

    Parameters
    ----------
    scenes, columns, rows, levels, thresholds, lag, step_of_frame
        As in the twin.
    receptor, last : (height * width,) int32
        Scratch: what each pixel sees, and saw at its last event, in 1/256 level.
    counts : (n, n_steps, 2, height * width) uint8
        Zeros on entry; written.
    """
    n_frames, width = columns.shape
    height = rows.shape[1]
    for i in range(len(scenes)):
        scene = scenes[i]
        for f in range(n_frames):
            rising = counts[i, step_of_frame[f], 0]
            falling = counts[i, step_of_frame[f], 1]
            for y in range(height):
                sy = rows[f, y] >> FRACTION_BITS
                fy = rows[f, y] & 255
                upper, lower = scene[sy], scene[sy + 1]
                for x in range(width):
                    sx = columns[f, x] >> FRACTION_BITS
                    fx = columns[f, x] & 255
                    left = np.int32(upper[sx]) * (256 - fy) + np.int32(lower[sx]) * fy
                    right = np.int32(upper[sx + 1]) * (256 - fy) + np.int32(lower[sx + 1]) * fy
                    brightness = (left * (256 - fx) + right * fx) >> (2 * FRACTION_BITS - BRIGHTNESS_BITS)
                    level = np.int64(levels[brightness]) << LAG_BITS
                    pixel = y * width + x
                    if f == 0:
                        receptor[pixel] = level
                        last[pixel] = level
                    before = np.int64(receptor[pixel])
                    now = before + (((level - before) * lag) >> LAG_BITS)
                    receptor[pixel] = now
                    change = now - np.int64(last[pixel])
                    # Most pixels change little: a loop of subtractions is cheaper than a division for each.
                    while change >= thresholds[0, pixel]:
                        change -= thresholds[0, pixel]
                        rising[pixel] = min(MOST, rising[pixel] + 1)
                    while -change >= thresholds[1, pixel]:
                        change += thresholds[1, pixel]
                        falling[pixel] = min(MOST, falling[pixel] + 1)
                    last[pixel] = now - change
