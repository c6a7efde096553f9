"""Coefficients of a bank of resonators that hears as an ear does, in integers, so that every machine has the same."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError

PRECISION = 96  # bits below 1 of every number here, until it is rounded to a coefficient
ONE = 1 << PRECISION
BREAK_HZ = 700  # the mel scale is 2595 log10(1 + f / 700): even steps multiply 700 + f by one factor
BASE_PERIOD, BASE_BITS = 80, 14  # samples in a period of the lowest channel
MAX_BITS = 24  # so that no product of a resonator leaves 64
MAX_RATE_HZ = 256_000
MAX_CHANNELS = 1024


def coefficient_bits(rate_hz: int, lowest_hz: int) -> int:
    """Return the bits of a coefficient below 1: 14 where the lowest channel has 80 samples a period, 2 more for every doubling.

    A pole's angle per sample halves with every doubling, and its cosine's distance from 1 falls to a quarter. The state of a
    resonator has 6 bits less below a unit of the sound, so that rounding does not keep it ringing.

    Examples
    --------
    >>> coefficient_bits(8000, 100), coefficient_bits(16_000, 100), coefficient_bits(44_100, 50)
    (14, 16, 22)
    """
    doublings = 0
    while BASE_PERIOD * lowest_hz << doublings < rate_hz:
        doublings += 1
    return BASE_BITS + 2 * doublings


@cache
def resonator_bank(rate_hz: int, n_channels: int, lowest_hz: int, highest_hz: int) -> npt.NDArray[np.int32]:
    """Return b, a1, a2 of each channel in units of 2**-bits, (n_channels, 3) int32, with `coefficient_bits`.

    A band-pass with two poles and gain 1 at its centre; centres are evenly spaced on the mel scale ``2595 log10(1 + f / 700)``,
    and a channel is as wide as an ear's filter, 24.7 (4.37 f / 1000 + 1) Hz (Glasberg and Moore, Hearing Research 47, 1990).

    Parameters
    ----------
    rate_hz : int
        Samples per second, 1000..256000.
    n_channels : int
        1..1024.
    lowest_hz, highest_hz : int
        Centres of the first and of the last channel, below half the rate; the first at least 1/2560 of it.

    Examples
    --------
    >>> resonator_bank(8000, 40, 100, 3700)[0].tolist()
    [225, 32218, 15934]
    """
    if not 1000 <= rate_hz <= MAX_RATE_HZ or not 1 <= n_channels <= MAX_CHANNELS:
        raise DataError(
            f"cochlea: {n_channels} channels at {rate_hz} Hz, limits are 1..{MAX_CHANNELS} and 1000..{MAX_RATE_HZ} Hz; choose others"
        )
    if not 1 <= lowest_hz <= highest_hz or 2 * highest_hz >= rate_hz:
        raise DataError(
            f"cochlea: channels from {lowest_hz} to {highest_hz} Hz do not rise within half of {rate_hz} Hz; choose other frequencies"
        )
    bits = coefficient_bits(rate_hz, lowest_hz)
    if bits > MAX_BITS:
        raise DataError(
            f"cochlea: {lowest_hz} Hz is too low for {rate_hz} samples a second, whose resonators reach down to "
            f"{-(-rate_hz // (BASE_PERIOD << (MAX_BITS - BASE_BITS) // 2))} Hz; raise it, or take fewer samples"
        )
    scale, rows = 1 << bits, []
    for c in range(n_channels):
        hz = centre(c, n_channels, lowest_hz, highest_hz)
        sine, cosine = sine_cosine(2 * pi() * hz // (rate_hz * ONE))
        width = 247 * (437 * hz + 100_000 * ONE) // 1_000_000
        alpha = sine * width // (2 * hz)
        rows.append([_rounded(part * scale, ONE + alpha) for part in (alpha, 2 * cosine, ONE - alpha)])
    return np.array(rows, np.int32)


def centre(channel: int, n_channels: int, lowest_hz: int, highest_hz: int) -> int:
    """Return a channel's frequency in 2**-96 Hz: ``(700 + low)**(1 - c / n) (700 + high)**(c / n) - 700``, n + 1 the channels."""
    n = max(1, n_channels - 1)
    low, high = BREAK_HZ + lowest_hz, BREAK_HZ + highest_hz
    return root(low ** (n - channel) * high**channel << PRECISION * n, n) - BREAK_HZ * ONE


def root(x: int, n: int) -> int:
    """Return the largest whole number whose n-th power is at most x, by Newton's method from above.

    Examples
    --------
    >>> root(10**30, 3), root(10**30 - 1, 3)
    (10000000000, 9999999999)
    """
    found = 1 << -(-x.bit_length() // n)
    while True:
        closer = ((n - 1) * found + x // found ** (n - 1)) // n
        if closer >= found:
            return found
        found = closer


@cache
def pi() -> int:
    """Return pi in 2**-96, by Machin's formula 16 arctan(1/5) - 4 arctan(1/239), to within its last bits.

    Examples
    --------
    >>> pi() * 10**20 >> PRECISION
    314159265358979323846
    """
    return 16 * _arctan_of(5) - 4 * _arctan_of(239)


def _arctan_of(inverse: int) -> int:
    term, total, k = ONE // inverse, 0, 0
    while term:
        total += (-1) ** k * (term // (2 * k + 1))
        term //= inverse * inverse
        k += 1
    return total


def sine_cosine(angle: int) -> tuple[int, int]:
    """Return sine and cosine of an angle in 0..pi, all in 2**-96, by their series."""
    sums, term, k = [0, 0], ONE, 0
    while term:
        sums[k % 2] += term if k % 4 < 2 else -term
        k += 1
        term = term * angle // (k * ONE)
    return sums[1], sums[0]


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
