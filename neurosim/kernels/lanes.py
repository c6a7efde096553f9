"""Advance neurons sixteen at a time, in vectors of LLVM, the last ones in shorter vectors, so that small groups are fast too.

What is computed is `neurosim.kernels.neuron.scale_input`, then `update_lif`, in one pass over the state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import config, types
from numba.extending import intrinsic

from neurosim.kernels.arith import LOW_BITS
from neurosim.kernels.instructions import BYTE, INT, LONG, call, filled, load, loop, splat, store
from neurosim.kernels.neuron import (
    INPUT_LIMIT,
    INPUT_SHIFT,
    STATE_LIMIT,
    STATE_MAX,
    STATE_WRAP,
    scale_input,
    update_lif,
)

WIDTH = 16  # neurons in a vector
WORD = 64  # flags that are looked at together
INTS = ir.VectorType(INT, WIDTH)
N_COUNTED = 5  # over, active, corrected, saturated, fired


def _plain_advance(n, acc, noise, u, v, bias, keep_u, keep_v, threshold, half, fired, near, counted):
    """Take the input of a step from `acc`, zero it, and advance the neurons of a group.

    Parameters
    ----------
    n : int
    acc, noise : (n,) int32
        Synaptic sums, zeroed, and what perturbs the current.
    u, v, bias, keep_u, keep_v, threshold, half, fired, near
        As in `update_lif`.
    counted : (5,) int64
        Written: sums beyond 32 bits, active neurons, corrected, saturated, fired.
    """
    current = np.zeros(n, np.int32)
    counted[0] = scale_input(acc, noise, current)
    counted[1:] = update_lif(current, u, v, bias, keep_u, keep_v, threshold, half, fired, near)


def _plain_advance_each(n, acc, noise, u, v, bias, keep_u, keep_v, threshold, half, fired, near, counted):
    """As `_plain_advance`, with a threshold of its own and half of it for each neuron: (n,) int32."""
    current = np.zeros(n, np.int32)
    counted[0] = scale_input(acc, noise, current)
    counted[1:] = 0
    for k in range(n):
        part = slice(k, k + 1)
        counted[1:] += update_lif(current[part], u[part], v[part], bias[part], keep_u, keep_v, threshold[k], half[k], fired[part],
                                  near[part])  # fmt: skip


def _plain_list_set(flags, n, found):
    """Write the indices of the flags that are set, among the first n, to `found`; return their number."""
    where = np.nonzero(flags[:n])[0]
    found[: len(where)] = where
    return len(where)


def scale_vector_toward_zero(b: Any, x: Any, keep: Any) -> Any:
    """As `neurosim.kernels.arith.scale_toward_zero`."""
    negative = b.icmp_signed("<", x, filled(x.type, 0))
    magnitude = b.select(negative, b.neg(x), x)
    low = b.mul(b.and_(magnitude, filled(x.type, LOW_BITS)), keep)
    scaled = b.add(b.mul(b.lshr(magnitude, filled(x.type, 12)), keep), b.lshr(low, filled(x.type, 12)))
    return b.select(negative, b.neg(scaled), scaled)


def _advance(b: Any, k: Any, width: int, arrays: Any, settings: Any) -> list[Any]:
    """Advance `width` neurons from the k-th on; return the five events that are counted, -1 where one happened.

    Settings are numbers, or pointers to one for each neuron.
    """
    acc, noise, u, v, bias, fired, near = arrays
    ints, flags = ir.VectorType(INT, width), ir.VectorType(BYTE, width)
    keep_u, keep_v, threshold, half = (
        load(b, setting, k, ints) if isinstance(setting.type, ir.PointerType) else splat(b, setting, ints)
        for setting in settings
    )

    def outside(x: Any, low: int, high: int) -> tuple[Any, Any, Any]:
        above, below = b.icmp_signed(">", x, filled(ints, high)), b.icmp_signed("<", x, filled(ints, low))
        return above, below, b.or_(above, below)

    total, drive, old_u, old_v = (load(b, array, k, ints) for array in (acc, bias, u, v))
    store(b, acc, k, filled(ints, 0))
    *_, over = outside(total, -INPUT_LIMIT, INPUT_LIMIT - 1)
    current = b.add(b.shl(total, filled(ints, INPUT_SHIFT)), load(b, noise, k, ints))
    active = b.icmp_signed("!=", b.or_(b.or_(old_u, old_v), b.or_(current, drive)), filled(ints, 0))
    new_u = b.add(scale_vector_toward_zero(b, old_u, keep_u), current)
    above, below, corrected = outside(new_u, 1 - STATE_LIMIT, STATE_LIMIT)
    wrap, unwrap = b.sub(new_u, filled(ints, STATE_WRAP)), b.add(new_u, filled(ints, STATE_WRAP))
    new_u = b.select(above, wrap, b.select(below, unwrap, new_u))
    new_v = b.add(b.add(scale_vector_toward_zero(b, old_v, keep_v), new_u), drive)
    above, below, saturated = outside(new_v, -STATE_MAX, STATE_MAX)
    new_v = b.select(above, filled(ints, STATE_MAX), b.select(below, filled(ints, -STATE_MAX), new_v))
    spike = b.icmp_signed(">", new_v, threshold)
    is_near = b.zext(b.icmp_signed(">", new_v, half), flags)
    store(b, near, k, b.or_(load(b, near, k, flags), is_near))
    store(b, fired, k, b.zext(spike, flags))
    store(b, u, k, new_u)
    store(b, v, k, b.select(spike, filled(ints, 0), new_v))
    return [b.sext(event, ints) for event in (over, active, corrected, saturated, spike)]


def _write_advance(b: Any, n: Any, acc: Any, noise: Any, u: Any, v: Any, bias: Any, keep_u: Any, keep_v: Any,
                   threshold: Any, half: Any, fired: Any, near: Any, counted: Any) -> None:  # fmt: skip
    """Write a loop over sixteen neurons at a time, then at most one block each of eight, four, two and one."""
    arrays, settings = (acc, noise, u, v, bias, fired, near), (keep_u, keep_v, threshold, half)
    counts: list[Any] = N_COUNTED * [filled(INTS, 0)]
    with loop(b, LONG(0), b.sub(n, LONG(WIDTH - 1)), WIDTH, *counts) as (k, before, after):
        after += [b.sub(*pair) for pair in zip(before, _advance(b, k, WIDTH, arrays, settings), strict=True)]
    counts = after[:-1]
    width = WIDTH // 2
    while width:
        start, block, end = b.block, b.append_basic_block(f"of{width}"), b.append_basic_block("end")
        b.cbranch(b.icmp_signed("!=", b.and_(n, LONG(width)), LONG(0)), block, end)
        b.position_at_end(block)
        k = b.and_(n, LONG(-2 * width))
        spread = ir.Constant(INTS, [min(lane, width) for lane in range(WIDTH)])  # further lanes are zero
        new = []
        for count, event in zip(counts, _advance(b, k, width, arrays, settings), strict=True):
            new.append(b.sub(count, b.shuffle_vector(event, filled(event.type, 0), spread)))
        b.branch(end)
        b.position_at_end(end)
        phis = [b.phi(INTS) for _ in counts]
        for phi, old, added in zip(phis, counts, new, strict=True):
            phi.add_incoming(old, start)
            phi.add_incoming(added, block)
        counts, width = phis, width // 2
    for i, count in enumerate(counts):
        b.store(b.sext(sum_of_lanes(b, count), LONG), b.gep(counted, [LONG(i)]))
    b.ret_void()


def sum_of_lanes(b: Any, value: Any) -> Any:
    """Return the sum of the lanes of a vector of sixteen."""
    width = WIDTH
    while width > 1:
        width //= 2
        other = ir.Constant(INTS, [(lane + width) % WIDTH for lane in range(WIDTH)])
        value = b.add(value, b.shuffle_vector(value, ir.Constant(INTS, ir.Undefined), other))
    return b.extract_element(value, INT(0))


def _write_list_set(b: Any, flags: Any, n: Any, found: Any) -> None:
    """Sixty-four flags make a word, from which one bit after the other is taken; bits behind the last flag are cut."""
    kind = ir.VectorType(BYTE, WORD)
    with loop(b, LONG(0), n, WORD, LONG(0)) as (k, (n_found,), new):
        word = b.bitcast(b.icmp_signed("!=", load(b, flags, k, kind), filled(kind, 0)), LONG)
        left = b.sub(n, k)
        cut = b.lshr(LONG(-1), b.sub(LONG(WORD), left))
        word = b.and_(word, b.select(b.icmp_signed("<", left, LONG(WORD)), cut, LONG(-1)))
        stop = b.add(n_found, b.ctpop(word))
        with loop(b, n_found, stop, 1, word) as (i, (rest,), bits):
            neuron = b.add(k, b.cttz(rest, ir.Constant(ir.IntType(1), 0)))
            b.store(b.trunc(neuron, INT), b.gep(found, [i]))
            bits.append(b.and_(rest, b.sub(rest, LONG(1))))
        new.append(stop)
    b.ret(new[0])


def _typed_advance(typing, n, acc, noise, u, v, bias, keep_u, keep_v, threshold, half, fired, near, counted):
    kinds = [types.int64, *(9 * [types.int32]), types.uint8, types.uint8, types.int64]
    given = [n, acc, noise, u, v, bias, keep_u, keep_v, threshold, half, fired, near, counted]
    return call("neurosim_advance", types.void, kinds, given, _write_advance)


def _typed_advance_each(typing, n, acc, noise, u, v, bias, keep_u, keep_v, threshold, half, fired, near, counted):
    kinds = [types.int64, *(9 * [types.int32]), types.uint8, types.uint8, types.int64]
    given = [n, acc, noise, u, v, bias, keep_u, keep_v, threshold, half, fired, near, counted]
    return call("neurosim_advance_each", types.void, kinds, given, _write_advance)


def _typed_list_set(typing, flags, n, found):
    kinds = [types.uint8, types.int64, types.int32]
    return call("neurosim_list_set", types.int64, kinds, [flags, n, found], _write_list_set)


#: As `_plain_advance` and `_plain_list_set`; flags have room for whole words of 64.
advance = _plain_advance if config.DISABLE_JIT else intrinsic(_typed_advance)
advance_each = _plain_advance_each if config.DISABLE_JIT else intrinsic(_typed_advance_each)
list_set = _plain_list_set if config.DISABLE_JIT else intrinsic(_typed_list_set)
