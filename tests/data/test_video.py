"""The simulated camera: events where the light has changed enough, and when."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, log2
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.data.binning import Binner
from neurosim.data.camera import light_levels
from neurosim.data.transforms import Flip
from neurosim.data.video import video_chunks, video_events
from neurosim.errors import DataError


def slow(video: npt.NDArray[np.uint8], frame_us: int, threshold: int, dark: int) -> list[tuple[int, int, int, int]]:
    """Return the events pixel by pixel and level by level, in exact fractions."""
    table, found = light_levels(dark), []
    n_frames, height, width = video.shape
    for y in range(height):
        for x in range(width):
            levels = [int(table[16 * int(v)]) for v in video[:, y, x]]
            seen = levels[0]
            for f in range(1, n_frames):
                while abs(levels[f] - seen) >= threshold:
                    sign = 1 if levels[f] > seen else -1
                    seen += sign * threshold
                    share = Fraction(seen - levels[f - 1], levels[f] - levels[f - 1])
                    found.append(((f - 1) * frame_us + ceil(share * frame_us), x, y, int(sign > 0)))
    return sorted(found, key=lambda event: (event[0], event[2], event[1]))


@pytest.mark.parametrize(
    ("frame_us", "threshold", "dark"), [(1000, 64, 16), (33_333, 1, 1), (7, 300, 1968), (1, 5, 65_535)]
)
def test_events_are_those_of_exact_crossings(frame_us: int, threshold: int, dark: int) -> None:
    rng = np.random.default_rng(threshold)
    videos = rng.integers(0, 256, (2, 6, 4, 5)).astype(np.uint8)
    videos[1] = np.cumsum(rng.integers(0, 3, (6, 4, 5)), axis=0)
    found = video_events(videos, frame_us=frame_us, threshold=threshold, dark=dark)
    for video, events in zip(videos, found, strict=True):
        assert events.tolist() == slow(video, frame_us, threshold, dark)
        assert np.all(np.diff(events["t"]) >= 0)
    assert len(found[0])


def test_chunks_are_the_parts_of_the_whole() -> None:
    video = np.random.default_rng(1).integers(0, 256, (9, 4, 5)).astype(np.uint8)
    chunks = list(video_chunks(iter(video)))
    np.testing.assert_array_equal(np.concatenate(chunks), video_events(video[None])[0])
    assert [int(chunk["t"].min() - 1) // 1000 for chunk in chunks] == list(range(8))
    assert all(int(chunk["t"].max() - 1) // 1000 == i for i, chunk in enumerate(chunks))


def test_a_still_picture_is_dark_and_a_mirrored_one_mirrors_its_events() -> None:
    rng = np.random.default_rng(2)
    still = np.repeat(rng.integers(0, 256, (1, 1, 8, 8)), 5, axis=1).astype(np.uint8)
    assert len(video_events(still)[0]) == 0 == len(video_events(still[:, :1])[0]) == len(video_events(still[:, :0])[0])
    assert video_events(still[:0]) == []
    video = rng.integers(0, 256, (1, 5, 8, 8)).astype(np.uint8)
    events, mirrored = video_events(video)[0], video_events(video[..., ::-1])[0]
    assert sorted(Flip(x=True)(events, (8, 8)).tolist()) == sorted(mirrored.tolist())


def test_contrast_counts_and_not_brightness() -> None:
    """Twice the light is four quarters of an octave, in the dark and in the sun."""
    for grey in (20, 60, 120):
        video = np.full((1, 2, 1, 1), grey, np.uint8)
        video[0, 1] = 2 * grey
        rise = 256 * (log2(1 + 32 * grey) - log2(1 + 16 * grey))  # a little less than 256, and floored in each level
        assert len(video_events(video, dark=1)[0]) in {int((rise + way) // 64) for way in (-1, 1)}


def test_a_moving_bar_becomes_spikes() -> None:
    video = np.full((20, 6, 20), 30, np.uint8)
    for f in range(20):
        video[f, :, f] = 200
    binner = Binner((2, 6, 20), dt_us=1000)
    binner.add(video_chunks(video))
    spikes = binner.events().to_dense()[0].reshape(-1, 2, 6, 20)
    assert spikes.shape[0] == 20  # the last events are at 19 ms
    for t in range(1, 19):
        bright = np.flatnonzero(spikes[t, 1].all(axis=0))
        assert t + 1 in bright and t in np.flatnonzero(spikes[t, 0].all(axis=0))


@pytest.mark.parametrize(
    ("videos", "given", "words"),
    [
        (np.zeros((2, 3, 4), np.uint8), {}, r"videos have shape \(2, 3, 4\), need \(n, n_frames, height, width\)"),
        (np.zeros((1, 2, 3, 4)), {}, r"frame 0 is float64 of shape \(3, 4\), need \(height, width\) uint8"),
        (np.zeros((1, 2, 3, 4), np.uint8), {"threshold": 0}, r"threshold 0 is not a whole number in 1\.\."),
        (np.zeros((1, 2, 3, 4), np.uint8), {"dark": 1.5}, r"dark 1\.5 is not"),
        (np.zeros((1, 2, 3, 4), np.uint8), {"frame_us": True}, "frame_us True is not"),
    ],
)
def test_wrong_videos_are_refused(videos: Any, given: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        video_events(videos, **given)


def test_frames_of_one_size_are_needed() -> None:
    with pytest.raises(DataError, match=r"frame 1 has shape \(3, 5\), those before \(3, 4\)"):
        list(video_chunks([np.zeros((3, 4), np.uint8), np.zeros((3, 5), np.uint8)]))
