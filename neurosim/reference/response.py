"""Keep the response of the readouts to each neuron; twin of `neurosim.kernels.response`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.codes import PERTURBED, START, STOP
from neurosim.goals import RESPONSE_BITS
from neurosim.learnplan import LearnPlan
from neurosim.program import Program, ProgramArrays


def quantize_response(
    arrays: ProgramArrays, plan: LearnPlan, accumulated: npt.NDArray[np.int64], response: npt.NDArray[np.int32],
    bits: int = RESPONSE_BITS,
) -> None:  # fmt: skip
    """Set the response of perturbed groups to the upper bits of what is accumulated, by a shift for each, toward zero."""
    for g in np.nonzero(plan.group[:, PERTURBED])[0]:
        where = slice(int(arrays.group[g, START]), int(arrays.group[g, STOP]))
        part = accumulated[:, :, where]
        shift = max(0, int(np.abs(part).max(initial=0)).bit_length() - bits)
        response[:, :, where] = np.sign(part) * (np.abs(part) >> shift)


def remember(
    program: Program, plan: LearnPlan, measured: npt.NDArray[np.int64], accumulated: npt.NDArray[np.int64],
    response: npt.NDArray[np.int32], memory: int, bits: int,
) -> None:  # fmt: skip
    """Forget a part of the old, add what was measured, and take the upper bits of each group's largest sum."""
    for g in np.nonzero(plan.group[:, PERTURBED])[0]:
        where = slice(int(program.arrays.group[g, START]), int(program.arrays.group[g, STOP]))
        part = accumulated[:, :, where]
        part += measured[:, :, where] - np.sign(part) * (np.abs(part) >> memory)
    quantize_response(program.arrays, plan, accumulated, response, bits)
