"""Turn sounds into spikes like a cochlea: resonators, logarithm of their strength, and counters that overflow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neurosim.data.collect import EventCollector
from neurosim.data.resonators import coefficient_bits, resonator_bank
from neurosim.errors import DataError
from neurosim.events import Events
from neurosim.logtables import log_tables

RATE_HZ = 8000
N_CHANNELS = 40
LOWEST_HZ = 100
FRAMES_PER_S = 80
FRAME = RATE_HZ // FRAMES_PER_S  # samples of a step of 12.5 ms
HIGHEST_AUDIBLE_HZ = 20_000
OCTAVE = 256  # levels of a factor of two in strength
RANGE = 7 * OCTAVE  # from silence to the loudest channel of a sound: 42 dB


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


def cochlea_loudness(
    sounds: Sequence[npt.ArrayLike],
    n_steps: int,
    *,
    rate_hz: int = RATE_HZ,
    n_channels: int = N_CHANNELS,
    lowest_hz: int = LOWEST_HZ,
    highest_hz: int | None = None,
    frame: int | None = None,
) -> npt.NDArray[np.int64]:
    """Return how loud each channel is in each step, (n_sounds, n_steps, n_channels) int64 in 0..RANGE; parameters as in `cochlea_events`."""
    from neurosim.kernels.cochlea import hear

    if n_steps < 1 or (frame is not None and frame < 1):
        raise DataError(f"cochlea: {n_steps} steps of {frame} samples; give at least one step, and one sample in it")
    highest = min(rate_hz * 37 // 80, HIGHEST_AUDIBLE_HZ) if highest_hz is None else highest_hz
    coefficients = resonator_bank(rate_hz, n_channels, lowest_hz, highest)
    arrays = [_sound(sound, number) for number, sound in enumerate(sounds)]
    start = np.cumsum([0, *(len(sound) for sound in arrays)]).astype(np.int64)
    together = np.concatenate([np.zeros(0, np.int16), *arrays])
    strength = np.zeros((len(arrays), n_steps, n_channels), np.int64)
    hear(
        together, start, coefficients, coefficient_bits(rate_hz, lowest_hz), frame or rate_hz // FRAMES_PER_S, strength
    )
    return loudness(strength) if arrays else strength


def cochlea_events(
    sounds: Sequence[npt.ArrayLike],
    n_steps: int,
    *,
    rate_hz: int = RATE_HZ,
    n_channels: int = N_CHANNELS,
    lowest_hz: int = LOWEST_HZ,
    highest_hz: int | None = None,
    frame: int | None = None,
) -> Events:
    """Encode sounds, one input for each channel; what is longer than the steps is not heard.

    Parameters
    ----------
    sounds : sequence of (n,) int16
        Samples, of any length.
    n_steps : int
    rate_hz : int
        Samples per second, 1000..256000.
    n_channels, lowest_hz, highest_hz : int
        As in `neurosim.data.resonators.resonator_bank`; by default up to 37/80 of the rate (3.7 kHz at 8 kHz), at most 20 kHz.
    frame : int or None
        Samples of a step; by default 12.5 ms of them, ``rate_hz // 80``.

    Examples
    --------
    >>> tone = (8000 * np.sin(np.arange(16_000) * 2 * np.pi * 1000 / 16_000)).astype(np.int16)
    >>> spikes = cochlea_events([tone], 80, rate_hz=16_000, n_channels=20).to_dense()[0].sum(axis=0)
    >>> int(spikes.argmax())
    6
    """
    loud = cochlea_loudness(
        sounds, n_steps, rate_hz=rate_hz, n_channels=n_channels, lowest_hz=lowest_hz, highest_hz=highest_hz, frame=frame
    )
    collected = EventCollector(n_steps, n_channels)
    collected.add(overflow_spikes(loud))
    return collected.events()


def _sound(sound: npt.ArrayLike, number: int) -> npt.NDArray[np.int16]:
    array = np.asarray(sound)
    whole = array.dtype.kind in "iu" and array.ndim == 1
    if not whole or (array.size and not -(1 << 15) <= int(array.min()) <= int(array.max()) < 1 << 15):
        raise DataError(
            f"cochlea: sound {number} is {array.dtype} of shape {array.shape}, need (n,) whole numbers of 16 bits; mix channels, and scale "
            "the samples to -32768..32767"
        )
    return array.astype(np.int16)
