"""Sum rows that events name: products of weights with sparse input, and their gradients by the weights.

The sums of a block of columns stay in vector registers over all events of a row, or in the nearest cache. numba makes a
loop over memory of whatever is written in Python, so LLVM gets the vectors themselves; it splits them where registers are
narrower. Every sum is over events in their order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import config, types
from numba.extending import intrinsic

from neurosim.kernels.instructions import BYTE, LONG, REAL, SHORT, call, has_wide_registers, load, loop, splat, store
from neurosim.kernels.jit import jit

LANES = 16  # numbers that fill a register of 512 bits
#: Vectors of one block's sums: half of the machine's registers.
BLOCKS = 16 if has_wide_registers() else 4
WIDTHS = tuple(LANES >> i for i in range(LANES.bit_length()))  # 16, 8, 4, 2, 1
SUMS = 2 * LANES  # of each input that `add_rows` keeps at a time
MOST_EVENTS = 256  # so many bytes add up to a number of 16 bits


def _plain_sum_rows(table, n_columns, start, index, value, is_valued, out, first, last):
    """Do what `sum_rows` does."""
    for row in range(first, last):
        sums = out[row * n_columns : (row + 1) * n_columns]
        sums[:] = 0
        for k in range(start[row], start[row + 1]):
            added = table[index[k] * n_columns : (index[k] + 1) * n_columns]
            sums += added * value[k] if is_valued else added


def _plain_add_rows(table, n_columns, start, index, value, is_valued, n_inputs, sums, out, first, last):
    """Do what `add_rows` does."""
    out[: n_inputs * n_columns] = 0
    for row in range(first, last):
        here = table[row * n_columns : (row + 1) * n_columns]
        for k in range(start[row], start[row + 1]):
            added = here * value[k] if is_valued else here
            out[index[k] * n_columns : (index[k] + 1) * n_columns] += added


def _plain_sum_byte_rows(table, n_columns, start, index, unit, out, first, last):
    """Do what `sum_byte_rows` does."""
    for row in range(first, last):
        total = np.zeros(n_columns, np.int64)
        for k in range(start[row], start[row + 1]):
            total += table[index[k] * n_columns : (index[k] + 1) * n_columns]
        out[row * n_columns : (row + 1) * n_columns] = total * unit


def _plain_add_reaches(start, index, value, is_valued, reaches, from_, to, lanes, source, source_stride, target,
                       target_stride, first, last):  # fmt: skip
    """Do what `add_reaches` does."""
    for row in range(first, last):
        for k in range(start[row], start[row + 1]):
            for r in range(reaches[index[k]], reaches[index[k] + 1]):
                read, written = row * source_stride + from_[r], row * target_stride + to[r]
                added = source[read : read + lanes]
                target[written : written + lanes] += added * value[k] if is_valued else added


def _write_either(b: Any, value: Any, is_valued: Any, write: Callable[[Any], None]) -> None:
    """Write a function's body twice: for events with values, and, with None, for events that all count 1."""
    with b.if_else(b.icmp_signed("!=", is_valued, LONG(0))) as (valued, plain):
        with valued:
            write(value)
        with plain:
            write(None)
    b.ret_void()


def _write_sum_rows(b: Any, table: Any, n_columns: Any, start: Any, index: Any, value: Any, is_valued: Any, out: Any,
                    first: Any, last: Any) -> None:  # fmt: skip
    _write_either(b, value, is_valued, lambda factors: _write_blocks(
        b, table, n_columns, start, index, factors, out, first, last))  # fmt: skip


def _write_blocks(b: Any, table: Any, n_columns: Any, start: Any, index: Any, value: Any, out: Any, first: Any,
                  last: Any) -> None:  # fmt: skip
    """Write blocks of columns, then smaller ones; all rows of a block, so that its part of the table stays near."""
    done: Any = LONG(0)
    halves = [(BLOCKS >> i, LANES) for i in range(BLOCKS.bit_length())]
    for n_vectors, width in (*halves, *((1, width) for width in WIDTHS[1:])):
        kind, size = ir.VectorType(REAL, width), n_vectors * width
        zero = ir.Constant(kind, None)
        with loop(b, done, b.sub(n_columns, LONG(size - 1)), size) as (column, _, new):
            with loop(b, first, last, 1) as (row, _, _):
                begin, end = (b.load(b.gep(start, [at])) for at in (row, b.add(row, LONG(1))))
                with loop(b, begin, end, 1, *(n_vectors * [zero])) as (k, sums, added):
                    source = b.sext(b.load(b.gep(index, [k])), LONG)
                    where = b.add(b.mul(source, n_columns), column)
                    factor = None if value is None else splat(b, b.load(b.gep(value, [k])), kind)
                    for v, sum_ in enumerate(sums):
                        part = load(b, table, b.add(where, LONG(width * v)), kind)
                        added.append(b.fadd(sum_, part if factor is None else b.fmul(part, factor)))
                where = b.add(b.mul(row, n_columns), column)
                for v, total in enumerate(added[:-1]):
                    store(b, out, b.add(where, LONG(width * v)), total)
        done = new[-1]


def _typed_sum_rows(typing, table, n_columns, start, index, value, is_valued, out, first, last):
    real = types.float32
    kinds = [real, types.int64, types.int64, types.int32, real, types.int64, real, types.int64, types.int64]
    given = [table, n_columns, start, index, value, is_valued, out, first, last]
    return call("neurosim_sum_rows", types.void, kinds, given, _write_sum_rows)


def _write_add_rows(b: Any, table: Any, n_columns: Any, start: Any, index: Any, value: Any, is_valued: Any, n_inputs: Any,
                    sums: Any, out: Any, first: Any, last: Any) -> None:  # fmt: skip
    _write_either(b, value, is_valued, lambda factors: _write_additions(
        b, table, n_columns, start, index, factors, n_inputs, sums, out, first, last))  # fmt: skip


def _write_additions(b: Any, table: Any, n_columns: Any, start: Any, index: Any, value: Any, n_inputs: Any, sums: Any, out: Any,
                     first: Any, last: Any) -> None:  # fmt: skip
    """Write blocks of columns, then smaller ones; the sums of a block lie together, so that they stay in the nearest cache."""
    done: Any = LONG(0)
    for n_vectors, width in ((SUMS // LANES, LANES), *((1, width) for width in WIDTHS)):
        kind, size = ir.VectorType(REAL, width), n_vectors * width
        with loop(b, done, b.sub(n_columns, LONG(size - 1)), size) as (column, _, new):
            n_sums = b.mul(n_inputs, LONG(size))
            with loop(b, LONG(0), n_sums, width) as (at, _, _):
                store(b, sums, at, ir.Constant(kind, None))
            with loop(b, first, last, 1) as (row, _, _):
                begin, end = (b.load(b.gep(start, [at])) for at in (row, b.add(row, LONG(1))))
                where = b.add(b.mul(row, n_columns), column)
                parts = [load(b, table, b.add(where, LONG(width * v)), kind) for v in range(n_vectors)]
                with loop(b, begin, end, 1) as (k, _, _):
                    base = b.mul(b.sext(b.load(b.gep(index, [k])), LONG), LONG(size))
                    factor = None if value is None else splat(b, b.load(b.gep(value, [k])), kind)
                    for v, part in enumerate(parts):
                        at, added = b.add(base, LONG(width * v)), part if factor is None else b.fmul(part, factor)
                        store(b, sums, at, b.fadd(load(b, sums, at, kind), added))
            with loop(b, LONG(0), n_inputs, 1) as (j, _, _):
                base, where = b.mul(j, LONG(size)), b.add(b.mul(j, n_columns), column)
                for v in range(n_vectors):
                    store(b, out, b.add(where, LONG(width * v)), load(b, sums, b.add(base, LONG(width * v)), kind))
        done = new[-1]


def _typed_add_rows(typing, table, n_columns, start, index, value, is_valued, n_inputs, sums, out, first, last):
    real, whole = types.float32, types.int64
    kinds = [real, whole, whole, types.int32, real, whole, whole, real, real, whole, whole]
    given = [table, n_columns, start, index, value, is_valued, n_inputs, sums, out, first, last]
    return call("neurosim_add_rows", types.void, kinds, given, _write_add_rows)


def _write_sum_byte_rows(b: Any, table: Any, n_columns: Any, start: Any, index: Any, unit: Any, out: Any, first: Any,
                         last: Any) -> None:  # fmt: skip
    """Write blocks of columns, then smaller ones; sums of 16 bits over `MOST_EVENTS` events, then floats."""
    done: Any = LONG(0)
    most = BLOCKS // 2  # vectors of as many numbers of half the size, twice
    halves = [(most >> i, 2 * LANES) for i in range(most.bit_length())]
    for n_vectors, width in (*halves, *((1, width) for width in WIDTHS)):
        real, short, byte = (ir.VectorType(one, width) for one in (REAL, SHORT, BYTE))
        zero, size = ir.Constant(short, None), n_vectors * width
        with loop(b, done, b.sub(n_columns, LONG(size - 1)), size) as (column, _, new):
            with loop(b, first, last, 1) as (row, _, _):
                begin, end = (b.load(b.gep(start, [at])) for at in (row, b.add(row, LONG(1))))
                there = b.add(b.mul(row, n_columns), column)
                for v in range(n_vectors):
                    store(b, out, b.add(there, LONG(width * v)), ir.Constant(real, None))
                with loop(b, begin, end, MOST_EVENTS) as (piece, _, _):
                    limit = b.add(piece, LONG(MOST_EVENTS))
                    limit = b.select(b.icmp_signed("<", limit, end), limit, end)
                    with loop(b, piece, limit, 1, *(n_vectors * [zero])) as (k, sums, added):
                        source = b.sext(b.load(b.gep(index, [k])), LONG)
                        where = b.add(b.mul(source, n_columns), column)
                        for v, total in enumerate(sums):
                            part = load(b, table, b.add(where, LONG(width * v)), byte)
                            added.append(b.add(total, b.sext(part, short)))
                    for v, total in enumerate(added[:-1]):
                        where = b.add(there, LONG(width * v))
                        part = b.fmul(b.sitofp(total, real), splat(b, unit, real))
                        store(b, out, where, b.fadd(load(b, out, where, real), part))
        done = new[-1]
    b.ret_void()


def _typed_sum_byte_rows(typing, table, n_columns, start, index, unit, out, first, last):
    real = types.float32
    kinds = [types.int8, types.int64, types.int64, types.int32, real, real, types.int64, types.int64]
    given = [table, n_columns, start, index, unit, out, first, last]
    return call("neurosim_sum_byte_rows", types.void, kinds, given, _write_sum_byte_rows)


def _write_add_reaches(b: Any, start: Any, index: Any, value: Any, is_valued: Any, reaches: Any, from_: Any, to: Any,
                       lanes: Any, source: Any, source_stride: Any, target: Any, target_stride: Any, first: Any,
                       last: Any) -> None:  # fmt: skip
    def write(kind: Any, valued: bool) -> None:
        with loop(b, first, last, 1) as (row, _, _):
            here = b.gep(source, [b.mul(row, source_stride)])
            there = b.gep(target, [b.mul(row, target_stride)])
            begin, end = (b.load(b.gep(start, [at])) for at in (row, b.add(row, LONG(1))))
            with loop(b, begin, end, 1) as (k, _, _):
                j = b.sext(b.load(b.gep(index, [k])), LONG)
                low, high = (b.sext(b.load(b.gep(reaches, [at])), LONG) for at in (j, b.add(j, LONG(1))))
                factor = splat(b, b.load(b.gep(value, [k])), kind) if valued else None
                with loop(b, low, high, 1) as (r, _, _):
                    read, written = (b.sext(b.load(b.gep(one, [r])), LONG) for one in (from_, to))
                    part = load(b, here, read, kind)
                    part = part if factor is None else b.fmul(part, factor)
                    store(b, there, written, b.fadd(load(b, there, written, kind), part))

    for width in WIDTHS:
        for valued in (False, True):
            chosen = b.icmp_signed("==", lanes, LONG(width))
            with b.if_then(b.and_(chosen, b.icmp_signed("==", is_valued, LONG(int(valued))))):
                write(ir.VectorType(REAL, width), valued)
    b.ret_void()


def _typed_add_reaches(typing, start, index, value, is_valued, reaches, from_, to, lanes, source, source_stride, target,
                       target_stride, first, last):  # fmt: skip
    real, whole, short = types.float32, types.int64, types.int32
    kinds = [whole, short, real, whole, short, short, short, whole, real, whole, real, whole, whole, whole]
    given = [start, index, value, is_valued, reaches, from_, to, lanes, source, source_stride, target, target_stride,
             first, last]  # fmt: skip
    return call("neurosim_add_reaches", types.void, kinds, given, _write_add_reaches)


_sum_rows = _plain_sum_rows if config.DISABLE_JIT else intrinsic(_typed_sum_rows)
_add_rows = _plain_add_rows if config.DISABLE_JIT else intrinsic(_typed_add_rows)
_sum_byte_rows = _plain_sum_byte_rows if config.DISABLE_JIT else intrinsic(_typed_sum_byte_rows)
_add_reaches = _plain_add_reaches if config.DISABLE_JIT else intrinsic(_typed_add_reaches)


@jit
def sum_rows(table, n_columns, start, index, value, is_valued, out, first, last):
    """Sum the rows of a table that the events of each row name, in the order of the events.

    Parameters
    ----------
    table : (n * n_columns,) float32
    n_columns : int
    start : (n_rows + 1,) int64
        Events of row r are ``start[r]`` to ``start[r + 1]``.
    index : (n_events,) int32
        Row of the table that each event names.
    value : (n_events,) float32
        What that row is multiplied by, if `is_valued` (int) is not 0; not looked at otherwise.
    out : (n_rows * n_columns,) float32
        Written, but for rows before `first` and from `last` on.
    first, last : int
    """
    _sum_rows(table, n_columns, start, index, value, is_valued, out, first, last)


@jit
def sum_byte_rows(table, n_columns, start, index, unit, out, first, last):
    """Sum the rows of a table of bytes that the events of each row name: integer weights as the chip holds them.

    A quarter of the memory that `sum_rows` reads, and additions of 16 bits, which any order leaves exact.

    Parameters
    ----------
    table : (n * n_columns,) int8
    n_columns, start, index, first, last
        As in `sum_rows`.
    unit : float
        A power of two: what one stands for.
    out : (n_rows * n_columns,) float32
        Written, but for rows before `first` and from `last` on; exact below 2**24.
    """
    _sum_byte_rows(table, n_columns, start, index, unit, out, first, last)


@jit
def add_reaches(start, index, value, is_valued, reaches, from_, to, lanes, source, source_stride, target, target_stride,
                first, last):  # fmt: skip
    """Add pieces of `source` to pieces of `target`, those that each event reaches, in the order of the events.

    A convolution's product adds pieces of the kernel (``source_stride = 0``) to the sums of each row, and its gradient by
    the kernel adds pieces of each row's gradients to those of the kernel (``target_stride = 0``).

    Parameters
    ----------
    start, index, value, is_valued, first, last
        As in `sum_rows`.
    reaches : (n_inputs + 1,) int32
        Input j reaches pieces ``reaches[j]`` to ``reaches[j + 1]``.
    from_, to : (n_pieces,) int32
        Where a piece begins in a row of `source` and of `target`.
    lanes : int
        Numbers in a piece: 1, 2, 4, 8 or 16.
    source : float32
    source_stride, target_stride : int
        Numbers from one row to the next; 0 where all rows share them.
    target : float32
        Added to.
    """
    _add_reaches(start, index, value, is_valued, reaches, from_, to, lanes, source, source_stride, target,
                 target_stride, first, last)  # fmt: skip


@jit
def add_rows(table, n_columns, start, index, value, is_valued, n_inputs, sums, out):
    """Add each row of a table to the rows of the result that its events name, in the order of rows and events.

    The gradient of `sum_rows` by its table: the sum over the events of each input.

    Parameters
    ----------
    table : (n_rows * n_columns,) float32
    n_columns, start, index, value, is_valued
        As in `sum_rows`.
    n_inputs : int
    sums : (n_inputs * SUMS,) float32
        Scratch.
    out : (n_inputs * n_columns,) float32
        Written.
    """
    _add_rows(table, n_columns, start, index, value, is_valued, n_inputs, sums, out, 0, len(start) - 1)
