"""An event camera in front of moving pictures, in plain numpy; twin of `neurosim.kernels.camera`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FRACTION_BITS = 8  # positions are in 1/256 pixel
BRIGHTNESS_BITS = 4  # brightness is in 1/16 of a grey level
LAG_BITS = 8  # of a receptor's answer
MOST = 255  # events of a pixel and polarity in a step


def see(
    scenes: npt.NDArray[np.uint8],
    columns: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int32],
    levels: npt.NDArray[np.int32],
    thresholds: npt.NDArray[np.int32],
    lag: int,
    step_of_frame: npt.NDArray[np.int32],
    n_steps: int,
) -> npt.NDArray[np.uint8]:
    """Return the events that moving pictures make, (n, n_steps, 2, height * width), first the rising ones.

    For each frame and pixel: brightness is the bilinear mean of the four scene points around it, the receptor follows the
    level (logarithm) of the brightness with ``r += (256 level - r) lag >> 8``, and each time r is a threshold away from what it
    was at the last event there is an event. The camera has seen the first frame for long before it starts.

    Parameters
    ----------
    scenes : (n, rows, columns) uint8
    columns, rows : (n_frames, width) and (n_frames, height) int32
        Place in the scene that each sensor column or row sees, in 1/256 point, at least 0 and below the last point.
    levels : (255 * 16 + 1,) int32
        Level of each brightness in 1/16 grey level.
    thresholds : (2, height * width) int32
        In 1/256 level: of rising and falling brightness.
    lag : int
        1..256; 256 follows at once.
    step_of_frame : (n_frames,) int32
    n_steps : int
    """
    n_frames, width = columns.shape
    height = rows.shape[1]
    counts = np.zeros((len(scenes), n_steps, 2, height * width), np.int64)
    x, fx = columns >> FRACTION_BITS, (columns & 255).astype(np.int64)
    y, fy = rows >> FRACTION_BITS, (rows & 255).astype(np.int64)
    for scene, count in zip(scenes.astype(np.int64), counts, strict=True):
        receptor: Any = None
        for f in range(n_frames):
            upper, lower = scene[y[f]], scene[y[f] + 1]
            left = upper[:, x[f]] * (256 - fy[f])[:, None] + lower[:, x[f]] * fy[f][:, None]
            right = upper[:, x[f] + 1] * (256 - fy[f])[:, None] + lower[:, x[f] + 1] * fy[f][:, None]
            brightness = (left * (256 - fx[f]) + right * fx[f]) >> (2 * FRACTION_BITS - BRIGHTNESS_BITS)
            level = levels[brightness].astype(np.int64).ravel() << LAG_BITS
            if f == 0:
                receptor, last = level, level.copy()
            receptor = receptor + (((level - receptor) * lag) >> LAG_BITS)
            rise = np.maximum(receptor - last, 0) // thresholds[0]
            fall = np.maximum(last - receptor, 0) // thresholds[1]
            last = last + rise * thresholds[0] - fall * thresholds[1]
            count[step_of_frame[f], 0] += rise
            count[step_of_frame[f], 1] += fall
    return np.minimum(counts, MOST).astype(np.uint8)
