"""List who fired in every step of a run, from flags in words of 64 lanes."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic

from neurosim.kernels.instructions import BYTE, INT, LONG, call, has_byte_compress, loop, splat, store

WORD = 64
WIDTH = 16  # numbers that are written together
BYTES, FLAGS = ir.VectorType(BYTE, WORD), ir.VectorType(ir.IntType(1), WORD)
INTS = ir.VectorType(INT, WIDTH)
COMPRESS = "llvm.x86.avx512.mask.compress.v64i8"


def _plain_list_steps(words, first, n_words, stride, n_steps, found, numbers, column, n_columns):
    """Write the lanes that fired in each step, counted from `first`, and how many they are.

    Parameters
    ----------
    words : (n_steps * stride // 64,) uint64
        Bit i of a word says whether lane i of its 64 fired.
    first, n_words, stride, n_steps : int
        Lanes from `first` on, a multiple of 64, 64 times `n_words` of them; `stride` lanes lie between two steps.
    found : (n_steps * stride,) int32
        Written: those of step t from ``t * stride + first`` on; what lies behind them, up to the last of the lanes, is lost.
    numbers : (n_steps * n_columns,) int64
        Written: ``numbers[t * n_columns + column]``.
    """
    for t in range(n_steps):
        start = t * stride + first
        here = words[start // WORD : start // WORD + n_words]
        where = np.nonzero(np.unpackbits(here.copy().view(np.uint8), bitorder="little"))[0]
        found[start : start + len(where)] = where
        numbers[t * n_columns + column] = len(where)


def _write(b: Any, words: Any, first: Any, n_words: Any, stride: Any, n_steps: Any, found: Any, numbers: Any,
           column: Any, n_columns: Any) -> None:  # fmt: skip
    list_word = _list_compressed if has_byte_compress() else _list_bits
    with loop(b, LONG(0), n_steps, 1) as (t, _, _):
        start = b.add(b.mul(t, stride), first)
        first_word, target = b.lshr(start, LONG(6)), b.gep(found, [start])
        with loop(b, LONG(0), n_words, 1, LONG(0)) as (k, (n_found,), new):
            word = b.load(b.gep(words, [b.add(first_word, k)]))
            list_word(b, word, b.shl(k, LONG(6)), target, n_found)
            new.append(b.add(n_found, b.ctpop(word)))
        b.store(new[0], b.gep(numbers, [b.add(b.mul(t, n_columns), column)]))
    b.ret_void()


def _list_bits(b: Any, word: Any, base: Any, target: Any, n_found: Any) -> None:
    """List the bits of a word one by one."""
    with loop(b, n_found, b.add(n_found, b.ctpop(word)), 1, word) as (i, (rest,), left):
        neuron = b.add(base, b.cttz(rest, ir.Constant(ir.IntType(1), 0)))
        b.store(b.trunc(neuron, INT), b.gep(target, [i]))
        left.append(b.and_(rest, b.sub(rest, LONG(1))))


def _list_compressed(b: Any, word: Any, base: Any, target: Any, n_found: Any) -> None:
    """List the bits of a word with one instruction, and write them sixteen at a time, for as long as there are some."""
    compress = cgutils.get_or_insert_function(b.module, ir.FunctionType(BYTES, [BYTES, BYTES, FLAGS]), COMPRESS)
    counting = ir.Constant(BYTES, list(range(WORD)))
    packed = b.call(compress, [counting, ir.Constant(BYTES, None), b.bitcast(word, FLAGS)])
    offset, n_bits = splat(b, b.trunc(base, INT), INTS), b.ctpop(word)
    done = b.append_basic_block("done")
    for part in range(WORD // WIDTH):
        lanes = ir.Constant(ir.VectorType(INT, WIDTH), list(range(part * WIDTH, (part + 1) * WIDTH)))
        some = b.shuffle_vector(packed, ir.Constant(BYTES, ir.Undefined), lanes)
        store(b, target, b.add(n_found, LONG(part * WIDTH)), b.add(b.zext(some, INTS), offset))
        if part < WORD // WIDTH - 1:
            more = b.append_basic_block("more")
            b.cbranch(b.icmp_signed(">", n_bits, LONG((part + 1) * WIDTH)), more, done)
            b.position_at_end(more)
    b.branch(done)
    b.position_at_end(done)


def _typed(typing, words, first, n_words, stride, n_steps, found, numbers, column, n_columns):
    kinds = [types.uint64, *(4 * [types.int64]), types.int32, *(3 * [types.int64])]
    given = [words, first, n_words, stride, n_steps, found, numbers, column, n_columns]
    return call("neurosim_list_steps", types.void, kinds, given, _write)


list_steps = _plain_list_steps if config.DISABLE_JIT else intrinsic(_typed)
