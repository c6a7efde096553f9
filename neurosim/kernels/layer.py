"""Advance a group of LIF neurons through all steps of a run, its state in registers, in vectors of LLVM.

Where no neuron's input depends on the group's own spikes, all inputs are known before the group runs: then nothing of
the state is read or written between steps. What is computed in each step is `neurosim.kernels.lanes.advance`.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import config, types
from numba.extending import intrinsic

from neurosim.kernels.instructions import BYTE, INT, LONG, SHORT, call, filled, load, loop, splat, store
from neurosim.kernels.lanes import scale_vector_toward_zero, sum_of_lanes
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
TOGETHER = 4  # vectors that pass through the steps together, so that one waits while the others compute
INTS = ir.VectorType(INT, WIDTH)
N_COUNTED = 4  # over, active, corrected, saturated
SMALL = 1 << 20  # products of a state below with a decay fit 32 bits
ANYWHERE, INSIDE, NEAR_ZERO = range(3)  # states may leave their range; stay in it; stay below `SMALL`
QUIET, SIGNS, LANES = range(3)  # no noise; amplitude x sign; a value for each neuron


def _plain_run_layer(mode, where, n_vectors, first, stride, n_steps, acc, amplitude, sign, sign_row, noise, keep_u,
                     keep_v, threshold, half, bias, fired, near, last_v, n_fired, counted):  # fmt: skip
    """Run sixteen times `n_vectors` neurons, from lane `first` on, through all steps, from rest.

    Parameters
    ----------
    mode : int
        QUIET, SIGNS or LANES: what is added to the currents.
    where : int
        What the caller knows of all u and v of the run: ANYWHERE; INSIDE, their sizes are below 2**23, so that nothing needs to be
        checked; or NEAR_ZERO, below `SMALL`, so that decays are cheaper too.
    n_vectors, first, stride, n_steps : int
        `first` is a multiple of 16; `stride` lanes lie between two steps of `acc` and `noise`.
    acc : (n_steps * stride,) int32
        Synaptic sums.
    amplitude : (n_steps,) int32
        SIGNS: size of the noise in each step.
    sign : (words,) uint16
        SIGNS: a set bit takes the noise off instead.
    sign_row : (n_steps,) int64
        SIGNS: words of `sign` before those of lane 0.
    noise : (n_steps * stride,) or (stride,) int32
        LANES: what is added in each step. SIGNS: -1 in lanes that have a neuron, 0 elsewhere.
    keep_u, keep_v, threshold, half, bias : (stride,) int32
        As in `neurosim.kernels.neuron.update_lif`, by lane.
    fired, near : (n_steps * stride // 16,) uint16
        Written: bit i of a word says whether lane i of its sixteen fired, or came near its threshold. `near` is
        written in mode QUIET only.
    last_v : (stride,) int32
        Written: v after the last step.
    n_fired : (stride,) int32
        Added to: how often each lane fired.
    counted : (4,) int64
        Written: sums beyond 32 bits, active updates, corrected, saturated.
    """
    n = WIDTH * n_vectors
    lanes = slice(first, first + n)
    u, v = np.zeros(n, np.int32), np.zeros(n, np.int32)
    counted[:] = 0
    for t in range(n_steps):
        here = slice(t * stride + first, t * stride + first + n)
        extra = np.zeros(n, np.int32)
        if mode == SIGNS:
            start = int(sign_row[t]) + first // WIDTH
            bits = np.unpackbits(sign[start : start + n_vectors].view(np.uint8), bitorder="little")
            extra = (np.where(bits == 1, -amplitude[t], amplitude[t]) & noise[lanes]).astype(np.int32)
        elif mode == LANES:
            extra = noise[here]
        current = np.zeros(n, np.int32)
        counted[0] += scale_input(acc[here].copy(), extra, current)
        spike, close = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
        for k in range(n):
            part = slice(k, k + 1)
            lane = first + k
            done = update_lif(current[part], u[part], v[part], bias[lane : lane + 1], keep_u[lane], keep_v[lane],
                              threshold[lane], half[lane], spike[part], close[part])  # fmt: skip
            counted[1:] += done[:3]
        words = slice((t * stride + first) // WIDTH, (t * stride + first) // WIDTH + n_vectors)
        fired[words] = np.packbits(spike, bitorder="little").view(np.uint16)
        n_fired[lanes] += spike
        if mode == QUIET:
            near[words] = np.packbits(close, bitorder="little").view(np.uint16)
    last_v[lanes] = v


def _scale_small(b: Any, x: Any, keep: Any) -> Any:
    """Return ``sign(x) * (abs(x) * keep >> 12)`` for ``abs(x) < 2**20``: the product has 32 bits."""
    sign = b.ashr(x, filled(x.type, 31))
    magnitude = b.sub(b.xor(x, sign), sign)
    return b.sub(b.xor(b.lshr(b.mul(magnitude, keep), filled(x.type, 12)), sign), sign)


def _unchecked_step(
    scale: Any, b: Any, filtered: bool, setting: Any, acc: Any, extra: Any, u: Any, v: Any
) -> tuple[list[Any], list[Any]]:
    """As `_step` where no register can leave its range; `scale` lets registers decay."""
    keep_u, keep_v, threshold, half, bias = setting
    current = b.shl(acc, filled(INTS, INPUT_SHIFT))
    current = current if extra is None else b.add(current, extra)
    active = b.icmp_signed("!=", b.or_(b.or_(u, v), b.or_(current, bias)), filled(INTS, 0))
    new_u = b.add(scale(b, u, keep_u), current) if filtered else current
    new_v = b.add(b.add(scale(b, v, keep_v), new_u), bias)
    spike, near = b.icmp_signed(">", new_v, threshold), b.icmp_signed(">", new_v, half)
    return [new_u, b.select(spike, filled(INTS, 0), new_v), spike, near], [None, active, None, None]


def _step(b: Any, filtered: bool, setting: Any, acc: Any, extra: Any, u: Any, v: Any) -> tuple[list[Any], list[Any]]:
    """Return the new u and v, the masks of who fired and came near, and those of the four events that are counted."""
    keep_u, keep_v, threshold, half, bias = setting

    def outside(x: Any, low: int, high: int) -> tuple[Any, Any, Any]:
        above, below = b.icmp_signed(">", x, filled(INTS, high)), b.icmp_signed("<", x, filled(INTS, low))
        return above, below, b.or_(above, below)

    *_, over = outside(acc, -INPUT_LIMIT, INPUT_LIMIT - 1)
    current = b.shl(acc, filled(INTS, INPUT_SHIFT))
    current = current if extra is None else b.add(current, extra)
    active = b.icmp_signed("!=", b.or_(b.or_(u, v), b.or_(current, bias)), filled(INTS, 0))
    new_u = b.add(scale_vector_toward_zero(b, u, keep_u), current) if filtered else current
    above, below, corrected = outside(new_u, 1 - STATE_LIMIT, STATE_LIMIT)
    wrap, unwrap = b.sub(new_u, filled(INTS, STATE_WRAP)), b.add(new_u, filled(INTS, STATE_WRAP))
    new_u = b.select(above, wrap, b.select(below, unwrap, new_u))
    new_v = b.add(b.add(scale_vector_toward_zero(b, v, keep_v), new_u), bias)
    above, below, saturated = outside(new_v, -STATE_MAX, STATE_MAX)
    new_v = b.select(above, filled(INTS, STATE_MAX), b.select(below, filled(INTS, -STATE_MAX), new_v))
    spike, near = b.icmp_signed(">", new_v, threshold), b.icmp_signed(">", new_v, half)
    new_v = b.select(spike, filled(INTS, 0), new_v)
    return [new_u, new_v, spike, near], [over, active, corrected, saturated]


def _write(mode: int) -> Any:
    def write(b: Any, where: Any, n_vectors: Any, first: Any, stride: Any, n_steps: Any, acc: Any, amplitude: Any,
              sign: Any, sign_row: Any, noise: Any, keep_u: Any, keep_v: Any, threshold: Any, half: Any, bias: Any, fired: Any,
              near: Any, last_v: Any, n_fired: Any, counted: Any) -> None:  # fmt: skip
        settings = (keep_u, keep_v, threshold, half, bias)
        stop = b.add(first, b.mul(n_vectors, LONG(WIDTH)))
        filter_found = _any_set(b, keep_u, first, stop)
        counts = _counters(b)
        steps: dict[int, Any] = {
            ANYWHERE: _step,
            INSIDE: partial(_unchecked_step, scale_vector_toward_zero),
            NEAR_ZERO: partial(_unchecked_step, _scale_small),
        }
        for filtered, (place, step) in itertools.product((False, True), steps.items()):
            block, end = b.append_basic_block("run"), b.append_basic_block("end")
            fits = b.xor(filter_found, ir.Constant(ir.IntType(1), int(not filtered)))
            b.cbranch(b.and_(fits, b.icmp_signed("==", where, LONG(place))), block, end)
            b.position_at_end(block)
            start: Any = first
            for together in (TOGETHER, 1):
                limit = b.sub(stop, LONG(WIDTH * together - 1))
                with loop(b, start, limit, WIDTH * together) as (lane, _, new):
                    _run_vectors(b, mode, partial(step, b, filtered), together, lane, stride, n_steps, acc, amplitude,
                                 sign, sign_row, noise, settings, fired, near, last_v, n_fired, counts)  # fmt: skip
                start = new[-1]
            b.branch(end)
            b.position_at_end(end)
        for i, count in enumerate(counts):
            b.store(b.sext(sum_of_lanes(b, b.load(count)), LONG), b.gep(counted, [LONG(i)]))
        b.ret_void()

    return write


def _counters(b: Any) -> list[Any]:
    """Return places on the stack, one vector for each counted event."""
    places = []
    for _ in range(N_COUNTED):
        place = b.alloca(INTS)
        b.store(filled(INTS, 0), place)
        places.append(place)
    return places


def _any_set(b: Any, values: Any, first: Any, stop: Any) -> Any:
    with loop(b, first, stop, WIDTH, filled(INTS, 0)) as (lane, (found,), new):
        new.append(b.or_(found, load(b, values, lane, INTS)))
    mask = b.icmp_signed("!=", new[0], filled(INTS, 0))
    return b.icmp_signed("!=", b.bitcast(mask, SHORT), SHORT(0))


def _run_vectors(b: Any, mode: int, step: Any, together: int, lane: Any, stride: Any, n_steps: Any, acc: Any,
                 amplitude: Any, sign: Any, sign_row: Any, noise: Any, settings: Any, fired: Any, near: Any,
                 last_v: Any, n_fired: Any, counts: list[Any]) -> None:  # fmt: skip
    """Write the loop over steps of a few vectors of neurons."""
    lanes = [b.add(lane, LONG(WIDTH * i)) for i in range(together)]
    setting = [[load(b, array, at, INTS) for array in settings] for at in lanes]
    valid = [load(b, noise, at, INTS) if mode == SIGNS else None for at in lanes]
    zero = filled(INTS, 0)
    state = (2 * together) * [zero]
    with loop(b, LONG(0), n_steps, 1, *state, *(together * [zero]), *(N_COUNTED * [zero])) as (t, before, after):
        row = b.mul(t, stride)
        sums, counted = before[2 * together : 3 * together], before[3 * together :]
        if mode == SIGNS:
            size = splat(b, b.load(b.gep(amplitude, [t])), INTS)
            negative = b.neg(size)
            first_sign = b.load(b.gep(sign_row, [t]))
        masks = []
        for i, at in enumerate(lanes):
            extra = None
            if mode == SIGNS:
                word = b.load(b.gep(sign, [b.add(first_sign, b.lshr(at, LONG(4)))]))
                extra = b.select(b.bitcast(word, ir.VectorType(ir.IntType(1), WIDTH)), negative, size)
                extra = b.and_(extra, valid[i])
            elif mode == LANES:
                extra = load(b, noise, b.add(row, at), INTS)
            new, events = step(setting[i], load(b, acc, b.add(row, at), INTS), extra, before[2 * i], before[2 * i + 1])
            after += new[:2]
            masks.append(new[2:])
            sums[i] = _count(b, sums[i], masks[i][0])
            counted = [
                count if event is None else _count(b, count, event)
                for count, event in zip(counted, events, strict=True)
            ]
        for at, (spike, close) in zip(lanes, masks, strict=True):
            place = b.lshr(b.add(row, at), LONG(4))
            b.store(b.bitcast(spike, SHORT), b.gep(fired, [place]))
            if mode == QUIET:
                b.store(b.bitcast(close, SHORT), b.gep(near, [place]))
        after += [*sums, *counted]
    for i, at in enumerate(lanes):
        store(b, last_v, at, after[2 * i + 1])
        store(b, n_fired, at, b.add(load(b, n_fired, at, INTS), after[2 * together + i]))
    for place, count in zip(counts, after[3 * together : -1], strict=True):
        b.store(b.add(b.load(place), count), place)


def _count(b: Any, sums: Any, mask: Any) -> Any:
    """Add one where a mask is set."""
    return b.select(mask, b.add(sums, filled(INTS, 1)), sums)


def _typed(mode: int) -> Any:
    name = f"neurosim_run_layer{mode}"
    numbers = 5 * [types.int64]
    arrays = [types.int32, types.int32, types.uint16, types.int64, *(6 * [types.int32]), types.uint16, types.uint16,
              types.int32, types.int32, types.int64]  # fmt: skip

    def typed(typing, where, n_vectors, first, stride, n_steps, acc, amplitude, sign, sign_row, noise, keep_u, keep_v,
              threshold, half, bias, fired, near, last_v, n_fired, counted):  # fmt: skip
        given = [where, n_vectors, first, stride, n_steps, acc, amplitude, sign, sign_row, noise, keep_u, keep_v,
                 threshold, half, bias, fired, near, last_v, n_fired, counted]  # fmt: skip
        return call(name, types.void, numbers + arrays, given, _write(mode))

    return intrinsic(typed)


def _plain(mode: int) -> Any:
    def run_layer(*arguments):
        _plain_run_layer(mode, *arguments)

    return run_layer


#: As `_plain_run_layer`, one for each mode.
run_quiet = _plain(QUIET) if config.DISABLE_JIT else _typed(QUIET)
run_signs = _plain(SIGNS) if config.DISABLE_JIT else _typed(SIGNS)
run_lanes = _plain(LANES) if config.DISABLE_JIT else _typed(LANES)


def _plain_spread_bits(words, n_words, low, high, values):
    """Write `high` where a bit is set and `low` elsewhere, 64 values for each word.

    Parameters
    ----------
    words : (n_words,) uint64
    n_words, low, high : int
    values : (64 * n_words,) int8
    """
    bits = np.unpackbits(np.ascontiguousarray(words[:n_words]).view(np.uint8), bitorder="little")
    values[: 64 * n_words] = np.where(bits == 1, high, low)


def _write_spread(b: Any, words: Any, n_words: Any, low: Any, high: Any, values: Any) -> None:
    kind = ir.VectorType(BYTE, 64)
    low, high = splat(b, b.trunc(low, BYTE), kind), splat(b, b.trunc(high, BYTE), kind)
    with loop(b, LONG(0), n_words, 1) as (i, _, _):
        mask = b.bitcast(b.load(b.gep(words, [i])), ir.VectorType(ir.IntType(1), 64))
        store(b, values, b.mul(i, LONG(64)), b.select(mask, high, low))
    b.ret_void()


def _typed_spread(typing, words, n_words, low, high, values):
    kinds = [types.uint64, types.int64, types.int64, types.int64, types.int8]
    return call("neurosim_spread_bits", types.void, kinds, [words, n_words, low, high, values], _write_spread)


def _plain_copy_rows(target, source, first, n_vectors, stride, n_steps):
    """Copy sixteen times `n_vectors` values from `first` on of every row of `stride` values.

    Parameters
    ----------
    target, source : (n_steps * stride,) int32
    first, n_vectors, stride, n_steps : int
    """
    where = slice(first, first + WIDTH * n_vectors)
    target.reshape(n_steps, stride)[:, where] = source.reshape(n_steps, stride)[:, where]


def _write_copy_rows(b: Any, target: Any, source: Any, first: Any, n_vectors: Any, stride: Any, n_steps: Any) -> None:
    with loop(b, LONG(0), n_steps, 1) as (t, _, _):
        start = b.add(b.mul(t, stride), first)
        with loop(b, LONG(0), n_vectors, 1) as (i, _, _):
            at = b.add(start, b.mul(i, LONG(WIDTH)))
            store(b, target, at, load(b, source, at, INTS))
    b.ret_void()


def _typed_copy_rows(typing, target, source, first, n_vectors, stride, n_steps):
    kinds = [types.int32, types.int32, types.int64, types.int64, types.int64, types.int64]
    given = [target, source, first, n_vectors, stride, n_steps]
    return call("neurosim_copy_rows", types.void, kinds, given, _write_copy_rows)


spread_bits = _plain_spread_bits if config.DISABLE_JIT else intrinsic(_typed_spread)
copy_rows = _plain_copy_rows if config.DISABLE_JIT else intrinsic(_typed_copy_rows)
