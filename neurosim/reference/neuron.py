"""Current-based leaky integrate-and-fire neurons, one step; twin of `neurosim.kernels.neuron`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.fixedpoint import (
    INPUT_SHIFT,
    STATE_LIMIT,
    STATE_MAX,
    correct_current,
    saturate_voltage,
    shift_toward_zero,
    wrap_int32,
)

Int64Array = npt.NDArray[np.int64]


class LIFStep(NamedTuple):
    """What one step of a group gives."""

    u: Int64Array
    v: Int64Array
    fired: npt.NDArray[np.bool_]
    near: npt.NDArray[np.bool_]  # v came above `half` before the reset
    active: npt.NDArray[np.bool_]  # u, v, the input or the bias was not zero
    n_over_input: int
    n_corrected: int
    n_saturated: int


def update_lif(
    acc: Int64Array,
    noise: Int64Array,
    u: Int64Array,
    v: Int64Array,
    bias: Int64Array,
    keep_u: int | Int64Array,
    keep_v: int | Int64Array,
    threshold: int | Int64Array,
    half: int | Int64Array,
) -> LIFStep:
    """Advance u and v by one step.

    ``u = i32(rz(u keep_u, 12) + i32(acc << 6) + noise)``, one correction by 2**24; ``v = clip(rz(v keep_v, 12) + u +
    bias)``; a spike where ``v > threshold``, then v = 0.
    """
    shifted = acc << INPUT_SHIFT
    current = wrap_int32(wrap_int32(shifted) + noise)
    active = (u != 0) | (v != 0) | (current != 0) | (bias != 0)
    raw_u = wrap_int32(shift_toward_zero(u * keep_u, 12) + current)
    new_u = correct_current(raw_u)
    raw_v = shift_toward_zero(v * keep_v, 12) + new_u + bias
    new_v = saturate_voltage(raw_v)
    fired = new_v > threshold
    return LIFStep(
        u=new_u,
        v=np.where(fired, 0, new_v),
        fired=fired,
        near=new_v > half,
        active=active,
        n_over_input=int((wrap_int32(shifted) != shifted).sum()),
        n_corrected=int(((raw_u > STATE_LIMIT) | (raw_u <= -STATE_LIMIT)).sum()),
        n_saturated=int((np.abs(raw_v) > STATE_MAX).sum()),
    )
