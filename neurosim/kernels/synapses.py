"""Add the weights of stored synapses to their targets, in LLVM's instructions; one word holds a synapse.

The weight lies in a word's upper bits with its sign, the target in the lower ones, so that one shift and one mask take
them apart. The synapses of later spikes are fetched meanwhile: they lie anywhere in memory, where no hardware
looks ahead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import config, types
from numba.extending import intrinsic

from neurosim.codes import TARGET_BITS, TARGET_MASK
from neurosim.kernels.instructions import BYTE, INT, LONG, call, loop

AHEAD = 6  # spikes between fetching and adding
WORDS_PER_LINE = 16  # of a cache line of 64 bytes
READ, KEEP, DATA = INT(0), INT(3), INT(1)  # arguments of llvm.prefetch


def _plain_add_synapses(start, word, first_row, sources, n_spikes, left, acc):
    """Add ``weight << left`` of the synapses of the rows ``first_row + source`` to `acc` (int32, wraps).

    Parameters
    ----------
    start : int64
        First synapse of each row, and the end of the last one.
    word : int32
        ``weight << 23 | target``.
    first_row : int
    sources : int32
    n_spikes : int
        How many of them.
    left : int
        0..31
    acc : int32
        Added to. The targets of one row are distinct.
    """
    for i in range(n_spikes):
        row = first_row + int(sources[i])
        words = word[start[row] : start[row + 1]]
        target = words & TARGET_MASK
        acc[target] = (acc[target] + (words.astype(np.int64) >> TARGET_BITS << left)).astype(np.int32)


def _write(
    builder: Any, start: Any, word: Any, first_row: Any, sources: Any, n_spikes: Any, left: Any, acc: Any
) -> None:
    plain, shifted = builder.append_basic_block("plain"), builder.append_basic_block("shifted")
    builder.cbranch(builder.icmp_signed("==", left, INT(0)), plain, shifted)
    for block, shift in ((plain, None), (shifted, left)):
        builder.position_at_end(block)
        _write_rows(builder, start, word, first_row, sources, n_spikes, shift, acc)
        builder.ret_void()


def _write_rows(
    b: Any, start: Any, word: Any, first_row: Any, sources: Any, n_spikes: Any, left: Any, acc: Any
) -> None:
    def bounds(i: Any) -> tuple[Any, Any]:
        row = b.add(first_row, b.sext(b.load(b.gep(sources, [i])), LONG))
        return b.load(b.gep(start, [row])), b.load(b.gep(start, [b.add(row, LONG(1))]))

    last = b.sub(n_spikes, LONG(1))
    with loop(b, LONG(0), n_spikes, 1) as (i, _, _new):
        later = b.add(i, LONG(AHEAD))
        first_word, end = bounds(b.select(b.icmp_signed("<", later, last), later, last))
        with loop(b, first_word, end, WORDS_PER_LINE) as (e, _, _new):
            _prefetch(b, b.gep(word, [e]))
        first_word, end = bounds(i)
        with loop(b, first_word, end, 1) as (e, _, _new):
            one = b.load(b.gep(word, [e]))
            weight = b.ashr(one, INT(TARGET_BITS))
            weight = weight if left is None else b.shl(weight, left)
            target = b.gep(acc, [b.zext(b.and_(one, INT(TARGET_MASK)), LONG)])
            b.store(b.add(b.load(target), weight), target)


def _prefetch(builder: Any, pointer: Any) -> None:
    byte = builder.bitcast(pointer, BYTE.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [byte.type, INT, INT, INT])
    builder.call(builder.module.declare_intrinsic("llvm.prefetch", [byte.type], kind), [byte, READ, KEEP, DATA])


def _typed(typing, start, word, first_row, sources, n_spikes, left, acc):
    kinds = [types.int64, types.int32, types.int64, types.int32, types.int64, types.int32, types.int32]
    return call(
        "neurosim_add_synapses", types.void, kinds, [start, word, first_row, sources, n_spikes, left, acc], _write
    )


#: As `_plain_add_synapses`.
add_synapses = _plain_add_synapses if config.DISABLE_JIT else intrinsic(_typed)
