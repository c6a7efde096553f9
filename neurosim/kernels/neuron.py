"""Advance current-based leaky integrate-and-fire neurons by one step (`docs/arithmetic.md`, section 2)."""

import numpy as np

from neurosim.kernels.arith import scale_toward_zero
from neurosim.kernels.jit import jit

STATE_LIMIT = 1 << 23
STATE_WRAP = 1 << 24
STATE_MAX = STATE_LIMIT - 1
INPUT_SHIFT = 6
INPUT_LIMIT = 1 << 25  # |sum| at the port that still fits 32 bits after the shift by 6


@jit
def scale_input(acc, noise, current):
    """Write ``i32(acc << 6) + noise`` (int32, wraps) to `current`, zero `acc`, return how many sums left 32 bits."""
    n_over = np.int32(0)
    for k in range(len(acc)):
        a = acc[k]
        n_over = np.int32(np.int64(n_over) + np.int64(a >= INPUT_LIMIT) + np.int64(a < -INPUT_LIMIT))
        current[k] = np.int32(np.int64(np.int32(np.int64(a) << INPUT_SHIFT)) + np.int64(noise[k]))
        acc[k] = 0
    return np.int64(n_over)


@jit
def update_lif(current, u, v, bias, keep_u, keep_v, threshold, half, fired, near):
    """Advance u and v, mark who fired, and say how often registers overflowed.

    Parameters
    ----------
    current : (n,) int32
        Input of this step, already shifted by 6 (and perturbed, where a learning member says so).
    u, v : (n,) int32
        State, written in place. u wraps by one correction of 2**24, v saturates, the reset touches v alone.
    bias : (n,) int32
    keep_u, keep_v, threshold, half : int
        4096 - (du + 1); 4096 - dv; vth << 6; the level that counts as near the threshold.
    fired : (n,) uint8
        Written: 1 where v exceeded the threshold (strictly).
    near : (n,) uint8
        Set to 1 where v exceeded `half` before the reset; never cleared here.

    Returns
    -------
    n_active, n_corrected, n_saturated, n_fired : int
        An update is active unless u, v, input and bias were all zero, so that it changed nothing.
    """
    keep_u, keep_v = np.int32(keep_u), np.int32(keep_v)
    threshold, half = np.int32(threshold), np.int32(half)
    n_active = np.int32(0)  # 32 bits, so that the counters share the lanes of the state
    n_corrected = np.int32(0)
    n_saturated = np.int32(0)
    n_fired = np.int32(0)
    for k in range(len(u)):
        x = current[k]
        b = bias[k]
        n_active = np.int32(np.int64(n_active) + np.int64((u[k] | v[k] | x | b) != 0))
        un = np.int32(np.int64(scale_toward_zero(u[k], keep_u)) + np.int64(x))
        high = un > STATE_LIMIT
        low = un <= -STATE_LIMIT
        n_corrected = np.int32(np.int64(n_corrected) + np.int64(high) + np.int64(low))
        un = np.int32(np.int64(un) - STATE_WRAP) if high else (np.int32(np.int64(un) + STATE_WRAP) if low else un)
        vn = np.int32(np.int64(scale_toward_zero(v[k], keep_v)) + np.int64(un) + np.int64(b))
        n_saturated = np.int32(np.int64(n_saturated) + np.int64(vn > STATE_MAX) + np.int64(vn < -STATE_MAX))
        vn = np.int32(min(max(vn, -STATE_MAX), STATE_MAX))
        spike = vn > threshold
        near[k] |= np.uint8(vn > half)
        fired[k] = np.uint8(spike)
        n_fired = np.int32(np.int64(n_fired) + np.int64(spike))
        u[k] = un
        v[k] = np.int32(0) if spike else vn
    return np.int64(n_active), np.int64(n_corrected), np.int64(n_saturated), np.int64(n_fired)
