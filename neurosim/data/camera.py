"""A simulated event camera that makes three saccades over a picture, in integers."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError
from neurosim.logtables import log_tables

SIDE = 34  # pixels of the sensor
POINT = 256  # positions are in 1/256 pixel
PHASE = 1024  # one move is over at this phase
FRAME_US = 5000
N_FRAMES = 63  # 315 ms
MARGIN = 2  # dark points around a scene; beyond them it is as dark
LEVELS = 255 * 16 + 1  # of brightness, 1/16 of a grey level apart
LAG_BITS = 8  # the receptor keeps so many bits below a level
OCTAVE = 256  # levels of an octave of light


class Camera(NamedTuple):
    """Where the picture moves and how the sensor answers.

    Attributes
    ----------
    corners : four (x, y)
        Place of the picture's upper left corner on the sensor before, between and after the three moves, in 1/256 pixel.
    middles, halves : three int
        Time of the middle of each move, and half of its duration, in microseconds.
    scale : int
        Points of the scene per pixel, in 1/256.
    dark : int
        Light of a black point, in 1/16 of a grey level; smaller means more contrast.
    threshold : int
        Change of light that makes an event, in 1/256 octave.
    lag : int
        Share of a change that a receptor follows within 5 ms, in 1/256.
    """

    corners: tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]
    middles: tuple[int, int, int]
    halves: tuple[int, int, int]
    scale: int
    dark: int
    threshold: int
    lag: int


def positions(camera: Camera) -> npt.NDArray[np.int64]:
    """Return where the picture's corner is in each frame, (63, 2) in 1/256 pixel.

    A move goes straight to the next corner; the way done at phase s of 1024 is ``s**2 (3 * 1024 - 2 s) >> 20``, which starts
    and ends slowly.
    """
    time = np.arange(N_FRAMES, dtype=np.int64) * FRAME_US
    place = np.tile(np.array(camera.corners[0], np.int64), (N_FRAMES, 1))
    for k, (middle, half) in enumerate(zip(camera.middles, camera.halves, strict=True)):
        s = np.clip((time - middle + half) * PHASE // (2 * half), 0, PHASE)
        done = (s * s * (3 * PHASE - 2 * s)) >> 20
        place += (np.subtract(camera.corners[k + 1], camera.corners[k]) * done[:, None]) >> 10
    return place


@cache
def light_levels(dark: int) -> npt.NDArray[np.int32]:
    """Return ``floor(256 log2(1 + brightness / dark))`` of every brightness, up to the steps of the table of logarithms."""
    table = log_tables().log2
    return np.array([_log2(dark + b, table) - _log2(dark, table) for b in range(LEVELS)], np.int32)


def _log2(x: int, table: npt.NDArray[np.int64]) -> int:
    """Return ``256 log2 x`` with the 8 bits after the leading one."""
    exponent = x.bit_length() - 1
    mantissa = x >> (exponent - 8) if exponent >= 8 else x << (8 - exponent)
    return exponent * OCTAVE + int(table[mantissa - 256])


def sensor_lines(camera: Camera, n_points: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return which place of a scene each sensor column and row sees, both (63, 34), in 1/256 point, margin included."""
    place = positions(camera)
    lines = []
    for axis in (0, 1):
        seen = ((np.arange(SIDE) * POINT - place[:, axis, None]) * camera.scale >> 8) + MARGIN * POINT
        lines.append(np.clip(seen, 0, (n_points + 2 * MARGIN - 1) * POINT - 1).astype(np.int32))
    return lines[0], lines[1]


def record(images: npt.NDArray[np.uint8], camera: Camera, n_steps: int) -> npt.NDArray[np.uint8]:
    """Return the events of square pictures, (n, n_steps, 2, 34 * 34) uint8, at most 255 each; first the rising ones.

    Raises
    ------
    DataError
        If there are more steps than frames.
    """
    from neurosim.kernels.camera import see

    if not 1 <= n_steps <= N_FRAMES:
        raise DataError(f"camera: {n_steps} steps, the simulation has {N_FRAMES} frames; choose 1..{N_FRAMES} steps")
    scenes = np.pad(images, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
    columns, rows = sensor_lines(camera, images.shape[1])
    thresholds = np.full((2, SIDE * SIDE), camera.threshold << LAG_BITS, np.int32)
    step_of_frame = (np.arange(N_FRAMES) * n_steps // N_FRAMES).astype(np.int32)
    counts = np.zeros((len(images), n_steps, 2, SIDE * SIDE), np.uint8)
    receptor, last = np.zeros(SIDE * SIDE, np.int32), np.zeros(SIDE * SIDE, np.int32)
    levels = light_levels(camera.dark)
    see(scenes, columns, rows, levels, thresholds, camera.lag, step_of_frame, receptor, last, counts)
    return counts
