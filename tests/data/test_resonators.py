"""The bank of resonators in integers against its design in floats."""

from __future__ import annotations

from math import cos, log10, pi, sin

import numpy as np
import pytest

from neurosim.data import resonators
from neurosim.data.cochlea import cochlea_events, loudness, overflow_spikes
from neurosim.data.resonators import ONE, centre, coefficient_bits, resonator_bank, root, sine_cosine
from neurosim.errors import DataError
from neurosim.events import check_events
from neurosim.reference import cochlea as twin


def design(rate: int, n: int, lowest: int, highest: int) -> np.ndarray:  # type: ignore[type-arg]
    low, high = (2595 * log10(1 + hz / 700) for hz in (lowest, highest))
    rows = []
    for c in range(n):
        hz = 700 * (10 ** ((low + (high - low) * c / max(1, n - 1)) / 2595) - 1)
        angle = 2 * pi * hz / rate
        alpha = sin(angle) * (24.7 * (4.37 * hz / 1000 + 1)) / (2 * hz)
        rows.append([alpha / (1 + alpha), 2 * cos(angle) / (1 + alpha), (1 - alpha) / (1 + alpha)])
    return np.array(rows) * 2.0 ** coefficient_bits(rate, lowest)


@pytest.mark.parametrize(
    "bank",
    [
        (8000, 40, 100, 3700),
        (8000, 1, 500, 500),
        (16_000, 64, 60, 7900),
        (44_100, 25, 100, 20_000),
        (192_000, 3, 75, 90_000),
    ],
)
def test_coefficients_are_the_rounded_design(bank: tuple[int, int, int, int]) -> None:
    exact, found = design(*bank), resonator_bank(*bank)
    assert np.abs(found - exact).max() < 0.5 + 1e-5
    away = np.abs(exact - np.floor(exact) - 0.5) > 1e-5  # from the middle between two integers
    np.testing.assert_array_equal(found[away], np.rint(exact)[away])


def test_the_bank_of_8_khz_is_as_it_was() -> None:
    np.testing.assert_array_equal(resonator_bank(8000, 40, 100, 3700), np.rint(design(8000, 40, 100, 3700)))


def test_integer_functions() -> None:
    for angle in (0.0, 0.1, 1.0, 2.5, 3.1):
        sine, cosine = sine_cosine(int(angle * ONE))
        assert abs(sine / ONE - sin(angle)) < 1e-15 and abs(cosine / ONE - cos(angle)) < 1e-15
    for x in (1, 2, 7, 8, 9, 10**50, 10**50 - 1):
        for n in (1, 2, 3, 7):
            assert root(x, n) ** n <= x < (root(x, n) + 1) ** n
    assert abs(resonators.pi() / ONE - pi) < 1e-15
    assert centre(0, 40, 100, 3700) / ONE == pytest.approx(100, abs=1e-12)
    assert centre(39, 40, 100, 3700) / ONE == pytest.approx(3700, abs=1e-12)


def test_sounds_of_any_rate_are_heard_alike() -> None:
    """A sweep at three rates: the same channels fire at about the same times."""
    heard = []
    for rate in (8000, 16_000, 44_100):
        t = np.arange(rate) / rate
        sweep = np.rint(9000 * np.sin(2 * np.pi * (150 * t + 1500 * t**2))).astype(np.int16)
        heard.append(cochlea_events([sweep], 80, rate_hz=rate, n_channels=30, highest_hz=3600).to_dense()[0])
    smooth = [np.array([np.convolve(line, np.ones(5), "same") for line in spikes.T]) for spikes in heard]
    for other in smooth[1:]:  # a filter's skirts differ with the rate, and with them when its counter overflows
        assert np.corrcoef(smooth[0].ravel(), other.ravel())[0, 1] > 0.8
    assert [int(spikes[-10:].sum(axis=0).argmax()) for spikes in heard] == [
        int(heard[0][-10:].sum(axis=0).argmax())
    ] * 3


def test_events_are_those_of_the_twin() -> None:
    rng = np.random.default_rng(0)
    sounds = [rng.integers(-3000, 3000, n).astype(np.int16) for n in (700, 0, 90)]
    found = check_events(cochlea_events(sounds, 6, rate_hz=11_025, n_channels=5, lowest_hz=200, frame=100), 5)
    start = np.cumsum([0, 700, 0, 90])
    bank = resonator_bank(11_025, 5, 200, 11_025 * 37 // 80)
    strength = twin.hear(np.concatenate(sounds), start, bank, coefficient_bits(11_025, 200), 100, 6)
    np.testing.assert_array_equal(found.to_dense(), overflow_spikes(loudness(strength)))
    assert cochlea_events([], 6).n_samples == 0


@pytest.mark.parametrize(
    ("sound", "given", "words"),
    [
        (np.zeros(9), {}, r"sound 0 is float64 of shape \(9,\), need \(n,\) whole numbers of 16 bits"),
        (np.zeros((9, 2), int), {}, r"of shape \(9, 2\)"),
        (np.array([40_000]), {}, "scale the samples to -32768..32767"),
        (np.zeros(9, int), {"rate_hz": 500}, "40 channels at 500 Hz, limits are"),
        (np.zeros(9, int), {"n_channels": 0}, "0 channels at 8000 Hz"),
        (np.zeros(9, int), {"highest_hz": 4000}, "channels from 100 to 4000 Hz do not rise within half of 8000 Hz"),
        (np.zeros(9, int), {"lowest_hz": 3800}, "channels from 3800 to 3700 Hz do not rise"),
        (
            np.zeros(9, int),
            {"rate_hz": 48_000, "lowest_hz": 18},
            "18 Hz is too low for 48000 samples a second, .* down to 19 Hz",
        ),
        (np.zeros(9, int), {"frame": 0}, "4 steps of 0 samples"),
    ],
)
def test_wrong_sounds_are_refused(sound: np.ndarray, given: dict[str, int], words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(DataError, match=words):
        cochlea_events([sound], 4, **given)  # type: ignore[arg-type]
