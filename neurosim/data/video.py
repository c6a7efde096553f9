"""A simulated event camera for any moving picture: events where the logarithm of the light has changed enough, in integers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from neurosim.data.camera import light_levels
from neurosim.data.eventtype import EVENT
from neurosim.data.stages import EventArray, no_events
from neurosim.errors import DataError

FRAME_US = 1000
THRESHOLD = 64  # 1/256 octave: a quarter of an octave, 19 % more light
DARK = 16  # 1/16 grey level: one grey level
GREY = 16  # brightness is in 1/16 of a grey level
MOST_SIDE = 1 << 16


def video_chunks(
    frames: Iterable[npt.NDArray[np.uint8]], *, frame_us: int = FRAME_US, threshold: int = THRESHOLD, dark: int = DARK
) -> Iterator[EventArray]:
    """Yield the events that a camera makes of a moving picture, those between two frames at a time.

    The level of a pixel of brightness x is ``floor(256 log2(1 + 16 x / dark))`` by table, and moves in a straight line from frame to
    frame. The camera has seen the first frame for long. Each time the level comes to a whole `threshold` from where it was
    at the last event, there is an event: ON where it has risen, OFF where it has fallen; its time is rounded up to a
    microsecond. Events of one time are in the order of rows, then columns.

    Parameters
    ----------
    frames : iterable of (height, width) uint8
    frame_us : int
        Microseconds from frame to frame.
    threshold : int
        In 1/256 octave, 1..65535.
    dark : int
        Light of a black point, in 1/16 of a grey level, 1..65535; smaller means more contrast.
    """
    for name, number, high in (("frame_us", frame_us, 1 << 40), ("threshold", threshold, 65535), ("dark", dark, 65535)):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not 1 <= number <= high:
            raise DataError(f"camera: {name} {number!r} is not a whole number in 1..{high}; choose another")
    table = light_levels(int(dark))[::GREY].astype(np.int64)
    seen: npt.NDArray[np.int64] | None = None
    for number, frame in enumerate(frames):
        level = table[_picture(frame, number)]
        if seen is None:
            seen, before = level.copy(), level
        elif level.shape != seen.shape:
            raise DataError(
                f"camera: frame {number} has shape {level.shape}, those before {seen.shape}; give frames of one size"
            )
        found = _between(seen, before, level, threshold, frame_us)
        found["t"] += (number - 1) * frame_us
        before = level
        if len(found):
            yield found


def video_events(
    videos: npt.ArrayLike, *, frame_us: int = FRAME_US, threshold: int = THRESHOLD, dark: int = DARK
) -> list[EventArray]:
    """Return the events of each of several moving pictures.

    Parameters
    ----------
    videos : (n, n_frames, height, width) uint8
    frame_us, threshold, dark : int
        As in `video_chunks`.

    Examples
    --------
    >>> brighter = np.array([[[[10, 10]], [[10, 40]]]], np.uint8)  # one pixel gets four times as bright
    >>> video_events(brighter)[0].tolist()
    [(132, 1, 0, 1), (264, 1, 0, 1), (396, 1, 0, 1), (527, 1, 0, 1), (659, 1, 0, 1), (791, 1, 0, 1), (922, 1, 0, 1)]
    """
    array = np.asarray(videos)
    if array.ndim != 4:
        raise DataError(
            f"camera: videos have shape {array.shape}, need (n, n_frames, height, width); add the missing axes"
        )
    settings = {"frame_us": frame_us, "threshold": threshold, "dark": dark}
    return [np.concatenate([no_events(), *video_chunks(video, **settings)]) for video in array]


def _between(
    seen: npt.NDArray[np.int64],
    before: npt.NDArray[np.int64],
    level: npt.NDArray[np.int64],
    threshold: int,
    frame_us: int,
) -> EventArray:
    """Return the events from one frame to the next, with times since the first; moves `seen` to the levels of the last events."""
    change = level - seen
    n_steps = np.sign(change) * (np.abs(change) // threshold)
    y, x = np.nonzero(n_steps)
    steps = n_steps[y, x]
    n, sign = np.abs(steps), np.sign(steps)
    which = np.repeat(np.arange(len(n)), n)
    k = np.arange(len(which)) - np.repeat(np.cumsum(n) - n, n) + 1
    start, end = before[y, x][which], level[y, x][which]
    # Level k is crossed where the line from `start` to `end` has come so far; numerator and denominator are above 0.
    way = sign[which] * (seen[y, x][which] + sign[which] * k * threshold - start)
    events = np.zeros(len(which), EVENT)
    events["t"] = -(-way * frame_us // np.abs(end - start))
    events["x"], events["y"], events["p"] = x[which], y[which], sign[which] > 0
    seen += n_steps * threshold
    return events[np.lexsort((k, events["x"], events["y"], events["t"]))]


def _picture(frame: npt.ArrayLike, number: int) -> npt.NDArray[np.uint8]:
    picture = np.asarray(frame)
    if picture.dtype != np.uint8 or picture.ndim != 2 or max(picture.shape, default=0) > MOST_SIDE:
        raise DataError(
            f"camera: frame {number} is {picture.dtype} of shape {picture.shape}, need (height, width) uint8; make it grey, 0..255"
        )
    return picture
