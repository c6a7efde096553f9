"""Convolutions between hidden layers in training by gradients: who sent a message, and what each sender is told.

The first is a list of the messages of a layer, of which there are few; `neurosim.kernels.directinput` takes it from there. The second, the
gradient by the messages, is dense: the sums of some rows and of a block of channels stay in vector registers over all synapses of a
place, each weight is read once for those rows, and a product is added in one rounding where the machine can.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic

from neurosim.kernels.instructions import INT, LONG, REAL, call, has_wide_registers, load, loop, splat
from neurosim.kernels.instructions import store as store_vector
from neurosim.kernels.jit import jit
from neurosim.kernels.noise import bits

WORD = 64  # messages that are looked at together
LANES = 16
#: Rows whose sums are in registers together, and vectors of channels of each.
ROWS, VECTORS = (8, 2) if has_wide_registers() else (4, 1)
BLOCKS = (
    *((2 ** (VECTORS.bit_length() - 1 - i), LANES) for i in range(VECTORS.bit_length())),
    (1, 8),
    (1, 4),
    (1, 2),
    (1, 1),
)


def _plain_list_messages(frames, n, n_rows, most, start, index, value):
    """Do what `list_messages` does."""
    found, valued, start[0] = 0, 0, 0
    for row in range(n_rows):
        here = frames[row * n : (row + 1) * n]
        where = np.nonzero(here)[0]
        if found + len(where) > most:
            return -1
        index[found : found + len(where)] = where
        value[found : found + len(where)] = here[where]
        valued |= int((here[where] != 1).any())
        found += len(where)
        start[row + 1] = found
    return valued


def _plain_gather_taps(source, source_stride, taps, n_cells, from_, weight, table, n_from, width, target, first, last):
    """Do what `gather_taps` does."""
    for row in range(first, last):
        here = source[row * source_stride : (row + 1) * source_stride]
        for cell in range(n_cells):
            at = (row * n_cells + cell) * width
            sums = target[at : at + width]
            sums[:] = 0
            for tap in range(taps[cell], taps[cell + 1]):
                for c in range(n_from):
                    rows = weight[tap] + c * width
                    sums += here[from_[tap] + c] * table[rows : rows + width]


def _write_list_messages(
    b: Any, frames: Any, n: Any, n_rows: Any, most: Any, start: Any, index: Any, value: Any
) -> None:
    vector, one = ir.VectorType(REAL, WORD), ir.Constant(REAL, 1.0)
    zeros = ir.Constant(vector, None)
    full = b.and_(n, LONG(-WORD))
    b.store(LONG(0), start)
    too_many = b.append_basic_block("too_many")
    with loop(b, LONG(0), n_rows, 1, LONG(0), LONG(0)) as (row, (found, valued), new):
        base = b.mul(row, n)
        here = b.gep(frames, [base])
        with b.if_then(b.icmp_signed(">", b.add(found, n), most)):  # it may not fit: count first
            with loop(b, LONG(0), n, 1, found) as (j, (counted,), more):
                sent = b.fcmp_unordered("!=", b.load(b.gep(here, [j])), ir.Constant(REAL, 0.0))
                more.append(b.add(counted, b.zext(sent, LONG)))
            fits = b.append_basic_block("fits")
            b.cbranch(b.icmp_signed(">", more[0], most), too_many, fits)
            b.position_at_end(fits)

        def note(j: Any, found: Any, valued: Any) -> Any:
            sent = b.load(b.gep(here, [j]))
            b.store(b.trunc(j, INT), b.gep(index, [found]))
            b.store(sent, b.gep(value, [found]))
            return b.or_(valued, b.zext(b.fcmp_unordered("!=", sent, one), LONG))

        with loop(b, LONG(0), full, WORD, found, valued) as (j, (found_here, valued_here), words):
            flags = b.bitcast(b.fcmp_unordered("!=", load(b, here, j, vector), zeros), LONG)
            end = b.add(found_here, b.ctpop(flags))
            with loop(b, found_here, end, 1, flags, valued_here) as (k, (rest, seen), left):
                neuron = b.add(j, b.cttz(rest, ir.Constant(ir.IntType(1), 0)))
                left.extend([b.and_(rest, b.sub(rest, LONG(1))), note(neuron, k, seen)])
            words.extend([end, left[1]])
        with loop(b, full, n, 1, words[0], words[1]) as (j, (found_here, valued_here), ends):
            seen = note(j, found_here, valued_here)  # overwritten by the next one if it is none
            sent = b.fcmp_unordered("!=", b.load(b.gep(here, [j])), ir.Constant(REAL, 0.0))
            ends.extend([b.add(found_here, b.zext(sent, LONG)), b.select(sent, seen, valued_here)])
        b.store(ends[0], b.gep(start, [b.add(row, LONG(1))]))
        new.extend([ends[0], ends[1]])
    b.ret(new[1])
    b.position_at_end(too_many)
    b.ret(LONG(-1))


def _typed_list_messages(typing, frames, n, n_rows, most, start, index, value):
    real, whole = types.float32, types.int64
    kinds = [real, whole, whole, whole, whole, types.int32, real]
    given = [frames, n, n_rows, most, start, index, value]
    return call("neurosim_list_messages", types.int64, kinds, given, _write_list_messages)


def _write_gather_taps(b: Any, source: Any, source_stride: Any, taps: Any, n_cells: Any, from_: Any, weight: Any, table: Any,
                       n_from: Any, width: Any, target: Any, first: Any, last: Any) -> None:  # fmt: skip
    done: Any = first
    for n_rows in (ROWS, 1):
        with loop(b, done, b.sub(last, LONG(n_rows - 1)), n_rows) as (row, _, rows):
            here = b.gep(source, [b.mul(row, source_stride)])
            there = b.gep(target, [b.mul(b.mul(row, n_cells), width)])
            with loop(b, LONG(0), n_cells, 1) as (cell, _, _):
                begin, end = (b.sext(b.load(b.gep(taps, [at])), LONG) for at in (cell, b.add(cell, LONG(1))))
                column: Any = LONG(0)
                for n_vectors, lanes in BLOCKS:
                    size = n_vectors * lanes
                    with loop(b, column, b.sub(width, LONG(size - 1)), size) as (at, _, columns):
                        sums = _taps(b, n_rows, n_vectors, lanes, here, source_stride, begin, end, from_, weight, table,
                                     n_from, width, at)  # fmt: skip
                        place = b.add(b.mul(cell, width), at)
                        for r in range(n_rows):
                            line = b.add(b.mul(b.mul(n_cells, width), LONG(r)), place)
                            for v in range(n_vectors):
                                store_vector(b, there, b.add(line, LONG(v * lanes)), sums[r * n_vectors + v])
                    column = columns[-1]
        done = rows[-1]
    b.ret_void()


def _taps(b: Any, n_rows: int, n_vectors: int, lanes: int, here: Any, source_stride: Any, begin: Any, end: Any, from_: Any,
          weight: Any, table: Any, n_from: Any, width: Any, column: Any) -> list[Any]:  # fmt: skip
    """Write the sums of some rows and vectors of channels over all taps of a cell; return them."""
    kind = ir.VectorType(REAL, lanes)
    add = cgutils.get_or_insert_function(
        b.module, ir.FunctionType(kind, [kind, kind, kind]), f"llvm.fmuladd.v{lanes}f32"
    )
    zeros = [ir.Constant(kind, None)] * (n_rows * n_vectors)
    with loop(b, begin, end, 1, *zeros) as (tap, over_taps, after_tap):
        low, rows = (b.sext(b.load(b.gep(one, [tap])), LONG) for one in (from_, weight))
        lines = [b.gep(here, [b.add(b.mul(source_stride, LONG(r)), low)]) for r in range(n_rows)]
        weights = b.gep(table, [b.add(rows, column)])
        with loop(b, LONG(0), n_from, 1, *over_taps) as (c, sums, added):
            at = b.mul(c, width)
            parts = [load(b, weights, b.add(at, LONG(v * lanes)), kind) for v in range(n_vectors)]
            for r in range(n_rows):
                told = splat(b, b.load(b.gep(lines[r], [c])), kind)
                added.extend(b.call(add, [told, parts[v], sums[r * n_vectors + v]]) for v in range(n_vectors))
        after_tap.extend(added[:-1])
    return after_tap[:-1]


def _typed_gather_taps(
    typing, source, source_stride, taps, n_cells, from_, weight, table, n_from, width, target, first, last
):
    real, whole, short = types.float32, types.int64, types.int32
    kinds = [real, whole, short, whole, short, short, real, whole, whole, real, whole, whole]
    given = [source, source_stride, taps, n_cells, from_, weight, table, n_from, width, target, first, last]
    return call("neurosim_gather_taps", types.void, kinds, given, _write_gather_taps)


_list_messages = _plain_list_messages if config.DISABLE_JIT else intrinsic(_typed_list_messages)
_gather_taps = _plain_gather_taps if config.DISABLE_JIT else intrinsic(_typed_gather_taps)


@jit
def list_messages(frames, n, n_rows, most, start, index, value):
    """List what is not 0, row after row.

    Parameters
    ----------
    frames : (n_rows * n,) float32
    n, n_rows : int
    most : int
        Messages for which there is room.
    start : (n_rows + 1,) int64
        Written: messages of row r are ``start[r]`` to ``start[r + 1]``.
    index : (most + 1,) int32
        Written: the sender of each, ascending within a row; the rest is left undefined.
    value : (most + 1,) float32
        Written: what each says.

    Returns
    -------
    int
        -1 if there are more than `most`, else 1 if some message is not 1, else 0.
    """
    return _list_messages(frames, n, n_rows, most, start, index, value)


@jit
def gather_taps(source, source_stride, taps, from_, weight, table, n_from, width, target, first, last):
    """Sum rows of a table, each times a number of `source`, for each cell of a row: a convolution's gradient by its input.

    Cell i of a row is ``sum over taps k of cell i, c < n_from: source[row, from_[k] + c] * table[weight[k] + c * width:][:width]``, in that
    order.

    Parameters
    ----------
    source : (n_rows * source_stride,) float32
    source_stride : int
    taps : (n_cells + 1,) int32
        Taps of cell i are ``taps[i]`` to ``taps[i + 1]``.
    from_, weight : (n_taps,) int32
    table : float32
    n_from, width : int
    target : (n_rows * n_cells * width,) float32
        Written, but for rows before `first` and from `last` on.
    first, last : int
    """
    n_cells = len(taps) - 1
    _gather_taps(source, source_stride, taps, n_cells, from_, weight, table, n_from, width, target, first, last)


@jit
def draw_kept(key, first, limit, factor, out):
    """Draw which neurons are not dropped out; twin: `neurosim.reference.directhidden.draw_kept`.

    Parameters
    ----------
    key : uint64
    first : int
        Place in the stream of the first number.
    limit : int
        A neuron whose upper 32 bits are below it is dropped.
    factor : float32
        What the messages of the others are multiplied by.
    out : (n,) float32
        Written.
    """
    for i in range(len(out)):
        word = np.int64(bits(key, first + i) >> np.uint64(32))
        out[i] = factor if word >= limit else np.float32(0)
