"""Advance a group of LIF neurons through all steps of a run, and write the voltage of every step.

As `neurosim.kernels.layer`, which keeps voltages in registers: only what reads voltages between the steps pays for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import config, types
from numba.extending import intrinsic

from neurosim.kernels.instructions import LONG, SHORT, call, filled, load, loop, store
from neurosim.kernels.lanes import sum_of_lanes
from neurosim.kernels.layer import INTS, N_COUNTED, WIDTH, _count, _counters, _step
from neurosim.kernels.neuron import scale_input, update_lif


def _plain_run_traced(n_vectors, first, stride, n_steps, acc, noise, keep_u, keep_v, threshold, half, bias, fired, near,
                      voltage, last_v, n_fired, counted):  # fmt: skip
    """Run sixteen times `n_vectors` neurons, from lane `first` on, through all steps, from rest.

    Parameters
    ----------
    n_vectors, first, stride, n_steps, acc, noise, keep_u, keep_v, threshold, half, bias, fired, near, last_v, n_fired, counted
        As in `neurosim.kernels.layer._plain_run_layer` with a value of noise for each neuron and step; `near` is always
        written.
    voltage : (n_steps * stride,) int32
        Written: v after each step.
    """
    n = WIDTH * n_vectors
    u, v = np.zeros(n, np.int32), np.zeros(n, np.int32)
    counted[:] = 0
    for t in range(n_steps):
        here = slice(t * stride + first, t * stride + first + n)
        current = np.zeros(n, np.int32)
        counted[0] += scale_input(acc[here].copy(), noise[here], current)
        spike, close = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
        for k in range(n):
            part, lane = slice(k, k + 1), first + k
            done = update_lif(current[part], u[part], v[part], bias[lane : lane + 1], keep_u[lane], keep_v[lane],
                              threshold[lane], half[lane], spike[part], close[part])  # fmt: skip
            counted[1:] += done[:3]
        words = slice(here.start // WIDTH, here.start // WIDTH + n_vectors)
        fired[words] = np.packbits(spike, bitorder="little").view(np.uint16)
        n_fired[first : first + n] += spike
        near[words] = np.packbits(close, bitorder="little").view(np.uint16)
        voltage[here] = v
    last_v[first : first + n] = v


def _write(b: Any, n_vectors: Any, first: Any, stride: Any, n_steps: Any, acc: Any, noise: Any, keep_u: Any, keep_v: Any,
           threshold: Any, half: Any, bias: Any, fired: Any, near: Any, voltage: Any, last_v: Any, n_fired: Any,
           counted: Any) -> None:  # fmt: skip
    counts, zero = _counters(b), filled(INTS, 0)
    stop = b.add(first, b.mul(n_vectors, LONG(WIDTH)))
    with loop(b, first, stop, WIDTH) as (lane, _, _):
        setting = [load(b, array, lane, INTS) for array in (keep_u, keep_v, threshold, half, bias)]
        with loop(b, LONG(0), n_steps, 1, *((3 + N_COUNTED) * [zero])) as (t, before, after):
            here = b.add(b.mul(t, stride), lane)
            new, events = _step(b, True, setting, load(b, acc, here, INTS), load(b, noise, here, INTS), *before[:2])
            word = b.lshr(here, LONG(4))
            b.store(b.bitcast(new[2], SHORT), b.gep(fired, [word]))
            b.store(b.bitcast(new[3], SHORT), b.gep(near, [word]))
            store(b, voltage, here, new[1])
            after += new[:2] + [_count(b, *each) for each in zip(before[2:], [new[2], *events], strict=True)]
        store(b, last_v, lane, after[1])
        store(b, n_fired, lane, b.add(load(b, n_fired, lane, INTS), after[2]))
        for place, count in zip(counts, after[3:-1], strict=True):
            b.store(b.add(b.load(place), count), place)
    for i, count in enumerate(counts):
        b.store(b.sext(sum_of_lanes(b, b.load(count)), LONG), b.gep(counted, [LONG(i)]))
    b.ret_void()


def _typed(typing, n_vectors, first, stride, n_steps, acc, noise, keep_u, keep_v, threshold, half, bias, fired, near,
           voltage, last_v, n_fired, counted):  # fmt: skip
    kinds = [
        *(4 * [types.int64]),
        *(7 * [types.int32]),
        types.uint16,
        types.uint16,
        types.int32,
        types.int32,
        types.int32,
        types.int64,
    ]
    given = [n_vectors, first, stride, n_steps, acc, noise, keep_u, keep_v, threshold, half, bias, fired, near, voltage,
             last_v, n_fired, counted]  # fmt: skip
    return call("neurosim_run_traced", types.void, kinds, given, _write)


run_traced = _plain_run_traced if config.DISABLE_JIT else intrinsic(_typed)
