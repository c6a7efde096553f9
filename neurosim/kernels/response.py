"""Keep the response of the readouts to each neuron: a leaky sum of what pairs measured, and its upper bits."""

import numpy as np

from neurosim.codes import PERTURBED, START, STOP
from neurosim.kernels.jit import jit


@jit
def remember(p, plan, measured, accumulated, response, memory, bits):
    """Forget a part of the old, add what was measured, and take the upper bits of each group's largest sum.

    ``A += measured - sign(A) * (abs(A) >> memory)``; ``J = sign(A) * (abs(A) >> shift)``, with the shift that leaves `bits`
    bits of the group's largest sum.

    Parameters
    ----------
    p, plan : ProgramArrays, LearnPlan
    measured : (R, C, N) int64
    accumulated : (R, C, N) int64
        Written.
    response : (R, C, N) int32
        Written.
    memory, bits : int
    """
    for group in range(len(p.group)):
        if not plan.group[group, PERTURBED]:
            continue
        first, last = p.group[group, START], p.group[group, STOP]
        largest = np.int64(0)
        for rank in range(plan.rank):
            for o in range(plan.n_classes):
                new, old = measured[rank, o, first:last], accumulated[rank, o, first:last]
                for k in range(last - first):
                    sign = old[k] >> np.int64(63)
                    kept = (((old[k] ^ sign) - sign) >> memory ^ sign) - sign
                    total = old[k] - kept + new[k]
                    old[k] = total
                    largest = max(largest, abs(total))
        shift = np.int64(0)
        while largest >> (shift + bits) != 0:
            shift += 1
        for rank in range(plan.rank):
            for o in range(plan.n_classes):
                old, out = accumulated[rank, o, first:last], response[rank, o, first:last]
                for k in range(last - first):
                    sign = old[k] >> np.int64(63)
                    out[k] = np.int32(((((old[k] ^ sign) - sign) >> shift) ^ sign) - sign)
