"""Sum the terms of votes for one presynaptic neuron at a time, in vectors of LLVM that stay in registers."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import config, types
from numba.extending import intrinsic

from neurosim.kernels.instructions import INT, LONG, SHORT, call, filled, load, loop, splat, store

WIDTH = 16
TOGETHER = 8  # vectors of targets that are summed over all terms in registers
WORD = 64
INTS = ir.VectorType(INT, WIDTH)


def _plain_nonzero_mask(values, first):
    """Return a word whose bit i says whether ``values[first + i]`` is not zero, for the next 64 values.

    Parameters
    ----------
    values : int16
    first : int
    """
    bits = np.packbits(values[first : first + WORD] != 0, bitorder="little")
    return bits.view(np.int64)[0]


def _plain_sum_terms(post, n_vectors, starts, factors, n_terms, total):
    """Add ``factors[i] * post[starts[i]:]`` over the terms to `total` (int32, wraps).

    Parameters
    ----------
    post : int32
    n_vectors : int
        Sixteen targets each.
    starts : int64
    factors : int32
    n_terms : int
    total : (16 * n_vectors,) int32
        Added to.
    """
    n = WIDTH * n_vectors
    for i in range(n_terms):
        part = post[starts[i] : starts[i] + n].astype(np.int64) * factors[i]
        total[:n] = (total[:n] + part).astype(np.int32)


def _plain_trailing_zeros(word):
    """Return the index of the lowest bit that is set; the word is not zero."""
    return (int(word) & -int(word)).bit_length() - 1


def _write_zeros(b: Any, word: Any) -> None:
    b.ret(b.cttz(word, ir.Constant(ir.IntType(1), 0)))


def _typed_zeros(typing, word):
    return call("neurosim_trailing_zeros", types.int64, [types.uint64], [word], _write_zeros)


def _write_mask(b: Any, values: Any, first: Any) -> None:
    kind = ir.VectorType(SHORT, WORD)
    b.ret(b.bitcast(b.icmp_signed("!=", load(b, values, first, kind), filled(kind, 0)), LONG))


def _write_sum(b: Any, post: Any, n_vectors: Any, starts: Any, factors: Any, n_terms: Any, total: Any) -> None:
    first: Any = LONG(0)
    stop = b.mul(n_vectors, LONG(WIDTH))
    for together in (TOGETHER, 1):
        limit = b.sub(stop, LONG(WIDTH * together - 1))
        with loop(b, first, limit, WIDTH * together) as (target, _, outer):
            places = [b.add(target, LONG(WIDTH * v)) for v in range(together)]
            with loop(b, LONG(0), n_terms, 1, *(load(b, total, place, INTS) for place in places)) as (i, sums, new):
                start, factor = b.load(b.gep(starts, [i])), splat(b, b.load(b.gep(factors, [i])), INTS)
                for place, summed in zip(places, sums, strict=True):
                    new.append(b.add(summed, b.mul(load(b, post, b.add(start, place), INTS), factor)))
            for place, summed in zip(places, new[:-1], strict=True):
                store(b, total, place, summed)
        first = outer[-1]
    b.ret_void()


def _typed_mask(typing, values, first):
    return call("neurosim_nonzero_mask", types.int64, [types.int16, types.int64], [values, first], _write_mask)


def _typed_sum(typing, post, n_vectors, starts, factors, n_terms, total):
    kinds = [types.int32, types.int64, types.int64, types.int32, types.int64, types.int32]
    given = [post, n_vectors, starts, factors, n_terms, total]
    return call("neurosim_sum_terms", types.void, kinds, given, _write_sum)


#: As `_plain_nonzero_mask` and `_plain_sum_terms`.
nonzero_mask = _plain_nonzero_mask if config.DISABLE_JIT else intrinsic(_typed_mask)
trailing_zeros = _plain_trailing_zeros if config.DISABLE_JIT else intrinsic(_typed_zeros)
sum_terms = _plain_sum_terms if config.DISABLE_JIT else intrinsic(_typed_sum)
