"""Adam in one pass over memory; twin: `neurosim.reference.directadam`.

A product is added in one rounding where the machine can, as torch's own operations do it.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic

from neurosim.kernels.instructions import REAL
from neurosim.kernels.jit import jit

BLOCK = 4096  # numbers that stay in the nearest cache


def _plain_multiply_add(a, b, c):
    """Return a * b + c."""
    return np.float32(np.float64(a) * np.float64(b) + np.float64(c))


def _typed_multiply_add(typing, a, b, c):
    real = types.float32
    if not all(one == real for one in (a, b, c)):
        return None

    def code(context, builder, signature, args):
        kind = ir.FunctionType(REAL, [REAL, REAL, REAL])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.fmuladd.f32"), args)

    return real(real, real, real), code


_multiply_add = _plain_multiply_add if config.DISABLE_JIT else intrinsic(_typed_multiply_add)


@jit
def advance(parameter, mean, square, gradient, factor, share, kept, keep_mean, keep_square, size, tiny):
    """Move parameters by Adam.

    The gradient is multiplied by `factor`, then by `share`.

    Parameters
    ----------
    parameter : (n,) float32
        Changed: multiplied by `kept`, then moved by ``-size * mean / (sqrt(square) + tiny)``.
    mean, square : (n,) float32
        Of the gradient and of its square; changed.
    gradient : (n,) float32
    factor, share, kept : float32
    keep_mean, keep_square : float64
        What the means keep of themselves.
    size, tiny : float32

    Returns
    -------
    int
        Not 0 where a parameter is no longer finite.
    """
    lost = np.int32(0)
    kept_mean, kept_square = np.float32(keep_mean), np.float32(keep_square)
    new_mean, new_square = np.float32(1 - keep_mean), np.float32(1 - keep_square)
    for start in range(0, len(parameter), BLOCK):
        a, b = np.uint64(start), np.uint64(min(start + BLOCK, len(parameter)))
        _take(gradient[a:b], factor, share, kept_mean, kept_square, new_mean, new_square, mean[a:b], square[a:b])
        lost |= _move(kept, size, tiny, mean[a:b], square[a:b], parameter[a:b])
    return lost


@jit
def _take(gradient, factor, share, kept_mean, kept_square, new_mean, new_square, mean, square):
    for i in range(len(gradient)):
        g = gradient[i] * factor * share
        mean[i] = _multiply_add(g, new_mean, mean[i] * kept_mean)
        square[i] = _multiply_add(new_square * g, g, square[i] * kept_square)


@jit
def _move(kept, size, tiny, mean, square, parameter):
    lost = np.int32(0)
    for i in range(len(parameter)):
        x = parameter[i] * kept + (-size * mean[i]) / (np.sqrt(square[i]) + tiny)
        parameter[i] = x
        lost |= np.int32(0) if abs(x) < np.float32(np.inf) else np.int32(1)
    return lost
