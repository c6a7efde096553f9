"""Add rows of weights, the sums of a block of targets staying in vector registers over all spikes of a step.

numba makes a loop over memory of whatever is written in Python; here LLVM gets the vectors themselves. It splits them
where a machine's registers are narrower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import config, types
from numba.extending import intrinsic

from neurosim.kernels.instructions import (
    BYTE,
    INT,
    LONG,
    SHORT,
    call,
    function,
    has_wide_registers,
    load,
    loop,
    splat,
    store,
)

CHUNK = 255  # rows of int8 summed in 16 bits before a flush: 255 * -128 >= -2**15
LANES8, LANES16 = 32, 16  # weights of one load that fill a register of 512 bits when widened
#: Registers for one block's sums: half of the machine's.
BLOCKS = 8 if has_wide_registers() else 4


def _plain_add_rows(rows, offset, n_post, sources, n_spikes, left, right, acc):
    """Add ``sum << left >> right`` of the rows ``offset + source * n_post`` to `acc` (int32, wraps).

    Parameters
    ----------
    rows : int8 or int16
    offset, n_post : int
    sources : int32
    n_spikes : int
        How many of them.
    left, right : int
        0..31, one of them zero; right rounds down.
    acc : (n_post,) int32
        Added to.
    """
    total = np.zeros(n_post, np.int64)
    for i in range(n_spikes):
        start = offset + int(sources[i]) * n_post
        total += rows[start : start + n_post]
    acc[:n_post] = (acc[:n_post] + (total << left >> right)).astype(np.int32)


def _write_rows(element: Any) -> Any:
    """Return what writes the function for rows of one type: blocks of targets, then fewer and fewer lanes."""

    def write(builder: Any, rows: Any, offset: Any, n_post: Any, sources: Any, n_spikes: Any, left: Any, right: Any,
              acc: Any) -> None:  # fmt: skip
        lanes = LANES8 if element is BYTE else LANES16
        first: Any = LONG(0)
        for n_vectors, width in ((BLOCKS, lanes), (1, lanes), *((1, lanes >> i) for i in range(1, lanes.bit_length()))):
            size = n_vectors * width
            stop = builder.sub(n_post, LONG(size - 1))
            with loop(builder, first, stop, size) as (target, _, new):

                def add(b: Any, i: Any, sums: list[Any], width: int = width, target: Any = target) -> list[Any]:
                    source = b.sext(b.load(b.gep(sources, [i])), LONG)
                    start = b.add(b.add(offset, target), b.mul(source, n_post))
                    kind = ir.VectorType(element, width)
                    return [
                        b.add(sum_, b.sext(load(b, rows, b.add(start, LONG(width * v)), kind), sum_.type))
                        for v, sum_ in enumerate(sums)
                    ]

                chunked = element is BYTE and width == LANES8
                totals = (_sum_chunks if chunked else _sum)(builder, add, n_vectors, width, n_spikes)
                _finish(builder, totals, left, right, acc, target, width)
            first = new[-1]
        builder.ret_void()

    return write


def _sum(builder: Any, add: Any, n_vectors: int, width: int, n_spikes: Any) -> list[Any]:
    """Sum all rows in lanes of 32 bits."""
    zero = ir.Constant(ir.VectorType(INT, width), None)
    with loop(builder, LONG(0), n_spikes, 1, *(n_vectors * [zero])) as (i, sums, new):
        new += add(builder, i, sums)
    return new[:-1]


def _sum_chunks(builder: Any, add: Any, n_vectors: int, width: int, n_spikes: Any) -> list[Any]:
    """Sum chunks of rows in lanes of 16 bits, and the chunks in 32 bits."""
    zero, wide = ir.Constant(ir.VectorType(SHORT, width), None), ir.VectorType(INT, width)
    with loop(builder, LONG(0), n_spikes, CHUNK, *(n_vectors * [ir.Constant(wide, None)])) as (done, totals, summed):
        stop = builder.add(done, LONG(CHUNK))
        stop = builder.select(builder.icmp_signed("<", stop, n_spikes), stop, n_spikes)
        with loop(builder, done, stop, 1, *(n_vectors * [zero])) as (i, sums, new):
            new += add(builder, i, sums)
        for total, part in zip(totals, new[:-1], strict=True):
            summed.append(builder.add(total, builder.sext(part, wide)))
    return summed[:-1]


def _finish(builder: Any, totals: list[Any], left: Any, right: Any, acc: Any, target: Any, width: int) -> None:
    """Add the scaled totals to the accumulators."""
    kind = ir.VectorType(INT, width)
    for v, total in enumerate(totals):
        index = builder.add(target, LONG(width * v))
        scaled = builder.ashr(builder.shl(total, splat(builder, left, kind)), splat(builder, right, kind))
        store(builder, acc, index, builder.add(load(builder, acc, index, kind), scaled))


def _make(name: str, element: Any, weight: Any) -> Any:
    """Return the intrinsic for rows of one type."""
    kinds = [weight, types.int64, types.int64, types.int32, types.int64, types.int32, types.int32, types.int32]

    def typed(typing, rows, offset, n_post, sources, n_spikes, left, right, acc):
        given = [rows, offset, n_post, sources, n_spikes, left, right, acc]
        return call(name, types.void, kinds, given, _write_rows(element))

    return intrinsic(typed)


def _plain_add_rows_steps(rows, offset, n_post, sources, first_source, stride, numbers, column, n_columns, left, right,
                          acc, first, first_step, last_step):  # fmt: skip
    """Do as `_plain_add_rows` for the spikes of many steps; return how many spikes they are.

    Parameters
    ----------
    rows, offset, n_post, left, right
        As in `_plain_add_rows`. What lies up to 16 bytes behind `rows` may be read (`neurosim.program.aligned_copy`).
    sources : (n_steps * stride,) int32
        Those of step t from ``t * stride + first_source`` on.
    numbers : (n_steps * n_columns,) int64
        How many they are: ``numbers[t * n_columns + column]``.
    acc : (n_steps * stride,) int32
        Added to, from ``t * stride + first`` on, with the spikes of the step before; 64 numbers of a step are the target's own.
    first_step, last_step : int
        Steps of `acc` from the first on, but for the last.
    """
    n_spikes = 0
    for t in range(first_step, last_step):
        n, listed, here = numbers[(t - 1) * n_columns + column], (t - 1) * stride + first_source, t * stride + first
        _plain_add_rows(rows, offset, n_post, sources[listed : listed + n], n, left, right, acc[here : here + n_post])
        n_spikes += n
    return n_spikes


def _write_rows_steps(b: Any, rows: Any, offset: Any, n_post: Any, sources: Any, first_source: Any, stride: Any,
                      numbers: Any, column: Any, n_columns: Any, left: Any, right: Any, acc: Any, first: Any, first_step: Any,
                      last_step: Any) -> None:  # fmt: skip
    kinds = [kind.type for kind in (rows, offset, n_post, sources, offset, left, right, acc)]
    add_rows = function(b.module, "neurosim_add_rows8", ir.VoidType(), kinds, _write_rows(BYTE))
    kind = ir.VectorType(INT, LANES16)
    lanes = ir.Constant(kind, list(range(LANES16)))
    mine = b.icmp_signed("<", lanes, splat(b, b.trunc(n_post, INT), kind))
    is_narrow = b.icmp_signed("<=", n_post, LONG(LANES16))
    with loop(b, first_step, last_step, 1, LONG(0)) as (t, (n_spikes,), new):
        before = b.sub(t, LONG(1))
        n = b.load(b.gep(numbers, [b.add(b.mul(before, n_columns), column)]))
        listed = b.gep(sources, [b.add(b.mul(before, stride), first_source)])
        here = b.gep(acc, [b.add(b.mul(t, stride), first)])
        with b.if_else(is_narrow) as (narrow, wide):
            with narrow:  # one vector for each spike, the end of which are other rows
                zero = ir.Constant(kind, None)
                with loop(b, LONG(0), n, 1, zero) as (i, (sum_,), total):
                    start = b.add(offset, b.mul(b.sext(b.load(b.gep(listed, [i])), LONG), n_post))
                    total.append(b.add(sum_, b.sext(load(b, rows, start, ir.VectorType(BYTE, LANES16)), kind)))
                scaled = b.ashr(b.shl(total[0], splat(b, left, kind)), splat(b, right, kind))
                scaled = b.select(mine, scaled, zero)
                store(b, here, LONG(0), b.add(load(b, here, LONG(0), kind), scaled))
            with wide:
                b.call(add_rows, [rows, offset, n_post, listed, n, left, right, here])
        new.append(b.add(n_spikes, n))
    b.ret(new[0])


def _typed_steps(typing, rows, offset, n_post, sources, first_source, stride, numbers, column, n_columns, left, right,
                 acc, first, first_step, last_step):  # fmt: skip
    kinds = [types.int8, types.int64, types.int64, types.int32, types.int64, types.int64, types.int64, types.int64,
             types.int64, types.int32, types.int32, types.int32, types.int64, types.int64, types.int64]  # fmt: skip
    given = [rows, offset, n_post, sources, first_source, stride, numbers, column, n_columns, left, right, acc, first,
             first_step, last_step]  # fmt: skip
    return call("neurosim_add_rows8_steps", types.int64, kinds, given, _write_rows_steps)


#: As `_plain_add_rows`, for rows of int8 and of int16.
add_rows8 = _plain_add_rows if config.DISABLE_JIT else _make("neurosim_add_rows8", BYTE, types.int8)
add_rows8_steps = _plain_add_rows_steps if config.DISABLE_JIT else intrinsic(_typed_steps)
add_rows16 = _plain_add_rows if config.DISABLE_JIT else _make("neurosim_add_rows16", SHORT, types.int16)
