"""Turn votes into weights: scale, round stochastically, keep the low bits beside the weight, saturate."""

import numpy as np

from neurosim.codes import CONNECTION, FIRST_VOTE, OFFSET, WEIGHT_BITS
from neurosim.counters import WEIGHT_UPDATES
from neurosim.kernels.jit import jit
from neurosim.kernels.noise import bits, fold


@jit
def update_weights(p, plan, full, votes, step, step_shift, key, counts):
    """Apply one generation's votes.

    ``full += floor((vote * step + r) / 2**shift)``, r uniform in 0..2**shift - 1, so the expectation is exact; then
    saturate. The network sees ``full >> residual_bits``, written to ``p.dense8``.

    Parameters
    ----------
    full : (W,) int32
        Weights with residual bits; written.
    votes : (W,) int32 or int64
    step : int
        Step size, an integer that decays over the run.
    step_shift : (P,) int64
        Negative: shift left.
    key : uint64
        Names the generation's rounding noise.
    counts : (rows, N_COUNTERS) int64

    Returns
    -------
    n_saturated : int
    """
    n_groups = len(p.group)
    n_saturated = 0
    for c in range(len(plan.plastic) - 1):
        connection = plan.plastic[c, CONNECTION]
        first, last = plan.plastic[c, FIRST_VOTE], plan.plastic[c + 1, FIRST_VOTE]
        limit = 1 << (plan.plastic[c, WEIGHT_BITS] - 1 + plan.residual_bits)
        shift = max(0, step_shift[c])
        left = max(0, -step_shift[c])
        mask = np.uint64((1 << shift) - 1)
        stream = fold(key, connection)
        rows = p.dense8[p.conn[connection, OFFSET] : p.conn[connection, OFFSET] + last - first]
        n_changed = 0
        for i in range(first, last):
            if votes[i] == 0:
                continue
            scaled = (np.int64(votes[i]) * step) << left
            delta = (scaled + np.int64(bits(stream, i - first) & mask)) >> shift
            new = np.int64(full[i]) + delta
            if new > limit - 1 or new < -limit:
                n_saturated += 1
                new = min(max(new, -limit), limit - 1)
            mantissa = new >> plan.residual_bits
            n_changed += np.int64(mantissa != rows[i - first])
            rows[i - first] = np.int8(mantissa)
            full[i] = np.int32(new)
        counts[n_groups + connection, WEIGHT_UPDATES] += n_changed
    return n_saturated
