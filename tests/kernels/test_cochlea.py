"""The bank of resonators equals its twin, and resonates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.data.cochlea import FRAME, RATE_HZ, centres_hz, resonators
from neurosim.kernels import cochlea as kernel
from neurosim.reference import cochlea as twin

COEFFICIENTS = np.rint(resonators()).astype(np.int32)


def both(sounds: list[npt.NDArray[np.int16]], frame: int, n_frames: int) -> npt.NDArray[np.int64]:
    """Return the twin's strengths after comparing the kernel's."""
    start = np.cumsum([0, *map(len, sounds)]).astype(np.int64)
    together = np.concatenate(sounds).astype(np.int16)
    expected = twin.hear(together, start, COEFFICIENTS, frame, n_frames)
    strength = np.zeros((len(sounds), n_frames, len(COEFFICIENTS)), np.int64)
    kernel.hear(together, start, COEFFICIENTS, frame, strength)
    np.testing.assert_array_equal(strength, expected)
    return expected


def test_kernel_equals_twin() -> None:
    rng = np.random.default_rng(0)
    loudest = np.where(rng.random(250) < 0.5, -(2**15), 2**15 - 1).astype(np.int16)
    sounds = [
        rng.integers(-3000, 3000, 137).astype(np.int16),
        np.zeros(0, np.int16),
        np.array([2**15 - 1, -(2**15), 1, -1, 0], np.int16),
        loudest,
        rng.integers(-(2**15), 2**15, 900).astype(np.int16),  # longer than the frames
    ]
    strength = both(sounds, 30, 9)
    assert not strength[1].any() and not strength[2, 1:].any()  # silence follows the end
    assert strength[0, :5].all() and not strength[0, 5:].any()


@pytest.mark.parametrize("channel", [0, 7, 20, 33, 39])
def test_a_tone_is_loudest_in_its_channel_and_passes_with_gain_one(channel: int) -> None:
    hz = centres_hz()[channel]
    tone = np.rint(8000 * np.sin(2 * np.pi * hz * np.arange(1600) / RATE_HZ)).astype(np.int16)
    last = both([tone], FRAME, 16)[0, 8:].sum(axis=0)
    assert int(np.argmax(last)) == channel
    mean = last[channel] / 800
    assert abs(mean / (8000 * 2 / np.pi) - 1) < 0.02  # the mean of a rectified sine


@pytest.mark.parametrize("amplitude", [1, 2**15 - 1])
def test_no_product_leaves_64_bits_and_silence_falls_silent(amplitude: int) -> None:
    """The bound that the kernel's comment states, for the input that drives a resonator hardest: its own impulse response."""
    for b, a1, a2 in COEFFICIENTS.astype(np.int64).tolist():
        response, y1, y2 = [], 0.0, 0.0
        for n in range(3000):
            y1, y2 = (b * ((n == 0) - (n == 2)) + a1 * y1 - a2 * y2) / 2**14, y1
            response.append(abs(y1))
        assert 2**15 * sum(response) * 2**8 < 2**26
    sound = np.zeros(4000, np.int16)
    sound[0] = amplitude
    assert not both([sound], 400, 10)[0, 9].any()
