"""The bank of resonators equals its twin, and resonates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.data.cochlea import FRAME, RATE_HZ
from neurosim.data.resonators import ONE, centre, coefficient_bits, resonator_bank
from neurosim.kernels import cochlea as kernel
from neurosim.reference import cochlea as twin

RATES = [(RATE_HZ, 40, 100, 3700), (16_000, 20, 50, 7400), (48_000, 32, 40, 20_000), (256_000, 8, 100, 100_000)]


def both(
    sounds: list[npt.NDArray[np.int16]], frame: int, n_frames: int, bank: tuple[int, int, int, int] = RATES[0]
) -> npt.NDArray[np.int64]:
    """Return the twin's strengths after comparing the kernel's."""
    start = np.cumsum([0, *map(len, sounds)]).astype(np.int64)
    together = np.concatenate(sounds).astype(np.int16)
    coefficients, bits = resonator_bank(*bank), coefficient_bits(bank[0], bank[2])
    expected = twin.hear(together, start, coefficients, bits, frame, n_frames)
    strength = np.zeros((len(sounds), n_frames, len(coefficients)), np.int64)
    kernel.hear(together, start, coefficients, bits, frame, strength)
    np.testing.assert_array_equal(strength, expected)
    return expected


@pytest.mark.parametrize("bank", RATES)
def test_kernel_equals_twin(bank: tuple[int, int, int, int]) -> None:
    rng = np.random.default_rng(0)
    loudest = np.where(rng.random(250) < 0.5, -(2**15), 2**15 - 1).astype(np.int16)
    sounds = [
        rng.integers(-3000, 3000, 137).astype(np.int16),
        np.zeros(0, np.int16),
        np.array([2**15 - 1, -(2**15), 1, -1, 0], np.int16),
        loudest,
        rng.integers(-(2**15), 2**15, 900).astype(np.int16),  # longer than the frames
    ]
    strength = both(sounds, 30, 9, bank)
    assert not strength[1].any() and not strength[2, 1:].any()  # silence follows the end
    assert strength[0, :5].all() and not strength[0, 5:].any()


@pytest.mark.parametrize("bank", RATES[:3])
@pytest.mark.parametrize("share", [0.0, 0.18, 0.5, 0.8, 1.0])
def test_a_tone_is_loudest_in_its_channel_and_passes_with_gain_one(
    share: float, bank: tuple[int, int, int, int]
) -> None:
    rate, n_channels = bank[:2]
    channel, frame = round(share * (n_channels - 1)), FRAME * rate // RATE_HZ
    hz = centre(channel, *bank[1:]) / ONE
    tone = np.rint(8000 * np.sin(2 * np.pi * hz * np.arange(16 * frame) / rate)).astype(np.int16)
    last = both([tone], frame, 16, bank)[0, 8:].sum(axis=0)
    assert int(np.argmax(last)) == channel
    mean = last[channel] / (8 * frame)
    assert abs(mean / (8000 * 2 / np.pi) - 1) < 0.04  # the mean of a rectified sine


@pytest.mark.parametrize("bank", RATES[:3])
@pytest.mark.parametrize("amplitude", [1, 2**15 - 1])
def test_no_product_leaves_64_bits_and_silence_falls_silent(amplitude: int, bank: tuple[int, int, int, int]) -> None:
    """The bound that the kernel's comment states, for the input that drives a resonator hardest: its own impulse response."""
    one, longer = 1 << coefficient_bits(bank[0], bank[2]), bank[0] // RATE_HZ
    for b, a1, a2 in resonator_bank(*bank).astype(np.int64).tolist():
        response, y1, y2 = [], 0.0, 0.0
        for n in range(3000 * longer):
            y1, y2 = (b * ((n == 0) - (n == 2)) + a1 * y1 - a2 * y2) / one, y1
            response.append(abs(y1))
        assert 2**15 * sum(response) < 2**18  # and as many bits below a unit as the state has
    sound = np.zeros(8000 * longer, np.int16)
    sound[0] = amplitude
    assert not both([sound], 800 * longer, 10, bank)[0, 9].any()
