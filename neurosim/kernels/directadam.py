"""Adam in two passes over memory; twin: `neurosim.reference.directadam`.

A product is added in one rounding where the machine can, as torch's own operations do it.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic

from neurosim.kernels.instructions import REAL
from neurosim.kernels.jit import jit


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
def take_gradient(mean, square, gradient, keep_mean, keep_square):
    """Advance both running means by a gradient.

    Parameters
    ----------
    mean, square : (n,) float32
        Of the gradient and of its square; changed.
    gradient : (n,) float32
    keep_mean, keep_square : float64
        What they keep of themselves.
    """
    kept_mean, kept_square = np.float32(keep_mean), np.float32(keep_square)
    new_mean, new_square = np.float32(1 - keep_mean), np.float32(1 - keep_square)
    for i in range(len(mean)):
        g = gradient[i]
        mean[i] = _multiply_add(g, new_mean, mean[i] * kept_mean)
        square[i] = _multiply_add(new_square * g, g, square[i] * kept_square)


@jit
def move(parameter, mean, root, size, tiny):
    """Move parameters by ``-size * mean / (root + tiny)``.

    Parameters
    ----------
    parameter : (n,) float32
        Changed.
    mean, root : (n,) float32
        Of the gradient, and the root of that of its square.
    size, tiny : float32
    """
    for i in range(len(parameter)):
        parameter[i] += (-size * mean[i]) / (root[i] + tiny)
