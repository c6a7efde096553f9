"""Number formats, ranges and roundings of the chip, in numpy: the definition of our arithmetic.

Everything here follows Lava 0.10.0's fixed-point models (`docs/arithmetic.md`). Functions are exact on
integer arrays and never touch a float.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]

STATE_LIMIT = 1 << 23  # M: u lies in (-M, M], v in [-(M - 1), M - 1] (23 bits and sign)
STATE_WRAP = 1 << 24  # one correction of u adds or subtracts this
STATE_MAX = STATE_LIMIT - 1
DECAY_ONE = 1 << 12  # 1.0 in units of the decay registers (12 bits)
INPUT_SHIFT = 6  # synaptic sums and thresholds are shifted by 6: one weight unit is 64 units of u and v


class Range(NamedTuple):
    """Inclusive range of a register."""

    low: int
    high: int


#: Documented ranges of Loihi's registers (`docs/arithmetic.md`, section 7).
RANGES: dict[str, Range] = {
    "du": Range(0, 4095),
    "dv": Range(0, 4095),
    "vth": Range(0, 131071),  # 17-bit mantissa
    "bias_mant": Range(-4096, 4095),  # 13 bits
    "bias_exp": Range(0, 7),
    "weight_exp": Range(-8, 7),
    "num_weight_bits": Range(1, 8),
    "num_message_bits": Range(0, 24),  # 0: binary spikes
    "delay": Range(0, 62),  # 6 bits; the largest value is reserved (lava-dl and nengo-loihi clamp to 62)
    "reset_interval": Range(1, (1 << 31) - 1),
    "reset_offset": Range(0, (1 << 31) - 1),
    "refractory_period": Range(1, 64),
    "vth_hi": Range(-131072, 131071),
    "vth_lo": Range(-131072, 131071),
    "max_spikes": Range(1, 127),
    "spike_exp": Range(0, 7),
    "state_exp": Range(0, 7),
    "bias": Range(-32768, 32767),  # 16 bits
    "graded_vth": Range(0, (1 << 23) - 1),
    "exp": Range(0, 31),
    "decay_bits": Range(0, 12),
    "delta_i": Range(0, 4095),
    "delta_v": Range(0, 4095),
    "delta_theta": Range(0, 4095),
    "delta_r": Range(0, 4095),
    "theta_0": Range(0, 131071),
    "theta_step": Range(0, 131071),
    "conv_weight": Range(-256, 255),
}


class Profile(NamedTuple):
    """How a profile of arithmetic differs from Lava's CPU models (`docs/arithmetic.md`, section 8)."""

    chip: bool = False  # sums wrap into 22 bits, u and u + bias into 24, as on Loihi 1
    cuts_each_weight: bool = False  # a negative exponent costs the low bits of each weight, not of their sum
    fires_at_threshold: bool = False  # a spike where v reaches the threshold, not only where it exceeds it


#: What `arithmetic` may be.
ARITHMETICS = {
    "lava-0.10": Profile(),
    "loihi1": Profile(chip=True, cuts_each_weight=True),
    "lava-dl": Profile(fires_at_threshold=True),
}
DEFAULT_ARITHMETIC = "lava-0.10"

SIGN_MODES = ("mixed", "excitatory", "inhibitory", "null")


def shift_toward_zero(x: npt.ArrayLike, bits: npt.ArrayLike) -> Int64Array:
    """Divide by ``2**bits`` and round toward zero: ``sign(x) * (abs(x) >> bits)``."""
    wide = np.asarray(x, dtype=np.int64)
    return np.asarray(np.sign(wide) * (np.abs(wide) >> np.asarray(bits, dtype=np.int64)), dtype=np.int64)


def wrap_int32(x: npt.ArrayLike) -> Int64Array:
    """Wrap modulo 2**32 into [-2**31, 2**31), as a 32-bit channel does."""
    wide = np.asarray(x, dtype=np.int64)
    return np.asarray(((wide + (1 << 31)) & ((1 << 32) - 1)) - (1 << 31), dtype=np.int64)


def wrap_bits(x: npt.ArrayLike, bits: int) -> Int64Array:
    """Wrap into two's complement of so many bits, sign included."""
    half = 1 << (bits - 1)
    return np.asarray(((np.asarray(x, dtype=np.int64) + half) & ((1 << bits) - 1)) - half, dtype=np.int64)


def correct_current(u: npt.ArrayLike) -> Int64Array:
    """Bring u back by one correction of 2**24 (Lava's rule; not a modulo).

    ``u - 2**24 if u > M; u + 2**24 if u <= -M``, with M = 2**23: +M stays, -M becomes +M, and a value
    beyond 3 M is still outside afterwards.
    """
    wide = np.asarray(u, dtype=np.int64)
    wide = np.where(wide > STATE_LIMIT, wide - STATE_WRAP, np.where(wide <= -STATE_LIMIT, wide + STATE_WRAP, wide))
    return np.asarray(wide, dtype=np.int64)


def saturate_voltage(v: npt.ArrayLike) -> Int64Array:
    """Clip v to [-(2**23 - 1), 2**23 - 1]."""
    return np.asarray(np.clip(np.asarray(v, dtype=np.int64), -STATE_MAX, STATE_MAX), dtype=np.int64)


def shift_exponent(x: npt.ArrayLike, exponent: int) -> Int64Array:
    """Scale a synaptic sum by ``2**exponent``; a negative exponent rounds down."""
    wide = np.asarray(x, dtype=np.int64)
    return wide << exponent if exponent >= 0 else wide >> -exponent


def resolve_sign_mode(weights: npt.ArrayLike, mode: str | None) -> str:
    """Return `mode`, or the mode that Lava would infer from the signs (None: all zero is excitatory)."""
    if mode is not None:
        return "excitatory" if mode == "null" else mode
    wide = np.asarray(weights, dtype=np.int64)
    low, high = (int(wide.min()), int(wide.max())) if wide.size else (0, 0)
    return "excitatory" if low >= 0 else "inhibitory" if high <= 0 else "mixed"


def lost_weight_bits(num_weight_bits: int, mode: str) -> int:
    """Low bits of the 9-bit weight register that a format cannot hold: 8 - bits, one more in mixed mode."""
    return 8 - num_weight_bits + (1 if mode == "mixed" else 0)


def weight_range(num_weight_bits: int, mode: str) -> Range:
    """Smallest and largest weight that a format holds exactly."""
    step = 1 << lost_weight_bits(num_weight_bits, mode)
    low, high = {"mixed": (-256, 256 - step), "inhibitory": (-(256 - step), 0)}.get(mode, (0, 256 - step))
    return Range(low, high)


def truncate_weights(weights: npt.ArrayLike, num_weight_bits: int, mode: str) -> Int64Array:
    """Clip and cut weights to their format exactly as Lava does before the first step.

    Parameters
    ----------
    weights : array_like of int
        Any integers.
    num_weight_bits : int
        1..8.
    mode : {"mixed", "excitatory", "inhibitory"}
        Resolved sign mode.

    Notes
    -----
    Mixed weights lose low bits toward minus infinity, the others toward zero.
    """
    wide = np.asarray(weights, dtype=np.int64)
    sign = -1 if mode == "inhibitory" else 1
    wide = np.clip(sign * wide, -256 if mode == "mixed" else 0, 255)
    lost = lost_weight_bits(num_weight_bits, mode)
    return np.asarray(sign * ((wide >> lost) << lost), dtype=np.int64)
