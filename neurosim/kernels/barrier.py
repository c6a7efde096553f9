"""Let threads wait for each other inside a kernel, without the interpreter."""

from __future__ import annotations

import sys
from typing import Any

from llvmlite import ir
from numba.core import config, types
from numba.extending import intrinsic

from neurosim.kernels.instructions import INT, LONG, call

SPINS = 2000  # looks at the counter before the processor is offered to others
YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"


def _plain_wait_for_all(arrived, n_threads, times):
    """Return when every thread has called this so many times.

    Parameters
    ----------
    arrived : (1,) int64
        Zero before the first call; counts the calls of all threads.
    n_threads : int
    times : int
        How often this thread has called, this call included.
    """
    assert n_threads == 1, "uncompiled kernels do not wait for each other: give each call one phase"
    arrived[0] += 1


def _write(b: Any, arrived: Any, n_threads: Any, times: Any) -> None:
    target = b.mul(n_threads, times)
    b.atomic_rmw("add", arrived, LONG(1), "seq_cst")
    head, body, rest, end = (b.append_basic_block(name) for name in ("look", "again", "rest", "end"))
    before = b.block
    b.branch(head)
    b.position_at_end(head)
    spins = b.phi(LONG)
    spins.add_incoming(LONG(0), before)
    seen = b.load_atomic(arrived, "seq_cst", 8)
    b.cbranch(b.icmp_signed(">=", seen, target), end, body)
    b.position_at_end(body)
    next_spin = b.add(spins, LONG(1))
    spins.add_incoming(next_spin, rest)
    spins.add_incoming(next_spin, body)
    b.cbranch(b.icmp_signed(">", next_spin, LONG(SPINS)), rest, head)
    b.position_at_end(rest)
    give_way = b.module.globals.get(YIELD) or ir.Function(b.module, ir.FunctionType(INT, []), YIELD)
    b.call(give_way, [])
    b.branch(head)
    b.position_at_end(end)
    b.ret_void()


def _typed(typing, arrived, n_threads, times):
    kinds = [types.int64, types.int64, types.int64]
    return call("neurosim_wait_for_all", types.void, kinds, [arrived, n_threads, times], _write)


#: As `_plain_wait_for_all`.
wait_for_all = _plain_wait_for_all if config.DISABLE_JIT else intrinsic(_typed)
