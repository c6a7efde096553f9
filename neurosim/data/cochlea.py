"""Turn sounds into spikes like a cochlea: resonators, logarithm of their strength, and counters that overflow."""

from __future__ import annotations

from math import cos, log10, pi, sin

import numpy as np
import numpy.typing as npt

from neurosim.data.collect import EventCollector
from neurosim.events import Events
from neurosim.logtables import log_tables

RATE_HZ = 8000
N_CHANNELS = 40
LOWEST_HZ, HIGHEST_HZ = 100, 3700
COEFFICIENT_ONE = 1 << 14
FRAME = 100  # samples of a step: 12.5 ms
OCTAVE = 256  # levels of a factor of two in strength
RANGE = 7 * OCTAVE  # from silence to the loudest channel of a sound: 42 dB


def centres_hz() -> list[float]:
    """Return the channels' frequencies, evenly spaced on the mel scale ``2595 log10(1 + f / 700)``."""
    low, high = (2595 * log10(1 + hz / 700) for hz in (LOWEST_HZ, HIGHEST_HZ))
    mels = [low + (high - low) * c / (N_CHANNELS - 1) for c in range(N_CHANNELS)]
    return [700 * (10 ** (mel / 2595) - 1) for mel in mels]


def resonators() -> npt.NDArray[np.float64]:
    """Return b, a1, a2 of each channel before rounding, (40, 3), in units of 2**-14.

    A band-pass with two poles and gain 1 at its centre; it is as wide as an ear's filter, 24.7 (4.37 f / 1000 + 1) Hz
    (Glasberg and Moore, Hearing Research 47, 1990).
    """
    rows = []
    for hz in centres_hz():
        angle = 2 * pi * hz / RATE_HZ
        alpha = sin(angle) * (24.7 * (4.37 * hz / 1000 + 1)) / (2 * hz)
        rows.append([alpha / (1 + alpha), 2 * cos(angle) / (1 + alpha), (1 - alpha) / (1 + alpha)])
    return np.array(rows) * COEFFICIENT_ONE


def loudness(strength: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return 0..RANGE: ``256 log2`` of each strength, so that the strongest of a sound has RANGE, and nothing is below 0.

    Parameters
    ----------
    strength : (n_sounds, n_frames, n_channels) int64
        At least 0.
    """
    log2 = log_tables().log2
    x = strength + 1
    exponent = np.zeros_like(x)
    for bits in (32, 16, 8, 4, 2, 1):
        exponent += np.where(x >> exponent >> bits > 0, bits, 0)
    mantissa = np.where(exponent >= 8, x >> np.maximum(exponent - 8, 0), x << np.maximum(8 - exponent, 0))
    level = exponent * OCTAVE + log2[mantissa - 256]
    return np.asarray(np.maximum(level - level.max(axis=(1, 2), keepdims=True) + RANGE, 0), np.int64)


def overflow_spikes(loud: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return spikes of counters: each adds its channel's loudness in every step, and fires and loses RANGE when it reaches it."""
    total = np.cumsum(loud, axis=1)
    return np.diff(total // RANGE, axis=1, prepend=0) > 0


def cochlea_events(sounds: list[npt.NDArray[np.int16]], n_steps: int) -> Events:
    """Encode sounds of 8 kHz, one step for 12.5 ms; what is longer than the steps is not heard.

    Parameters
    ----------
    sounds : list of (n,) int16
    n_steps : int
    """
    from neurosim.kernels.cochlea import hear

    start = np.cumsum([0, *(len(sound) for sound in sounds)]).astype(np.int64)
    together = np.concatenate([np.zeros(0, np.int16), *sounds])
    strength = np.zeros((len(sounds), n_steps, N_CHANNELS), np.int64)
    hear(together, start, np.rint(resonators()).astype(np.int32), FRAME, strength)
    collected = EventCollector(n_steps, N_CHANNELS)
    if sounds:
        collected.add(overflow_spikes(loudness(strength)))
    return collected.events()
