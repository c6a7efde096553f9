"""Threads wait for each other inside a kernel, also where there are more of them than processors."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from neurosim.kernels.barrier import _plain_wait_for_all, wait_for_all
from neurosim.kernels.jit import jit

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


@jit
def look_around(thread, n_threads, n_rounds, arrived, board, seen):
    """Write the round on the board, wait, read what all others wrote, wait; count who was in another round."""
    for g in range(n_rounds):
        board[thread] = g + 1
        if thread == g % n_threads:  # somebody is late
            for k in range(1000):
                board[n_threads + thread] += k
        wait_for_all(arrived, n_threads, 2 * g + 1)
        for other in range(n_threads):
            seen[thread] += np.int64(board[other] != g + 1)
        wait_for_all(arrived, n_threads, 2 * g + 2)


@pytest.mark.skipif(
    INTERPRETED, reason="only compiled threads wait for each other: learners then give each call one phase"
)
@pytest.mark.parametrize(("n_threads", "n_rounds"), [(1, 100), (2, 3000), (3, 500), (8, 200)])
def test_nobody_goes_on_before_all_have_arrived(n_threads: int, n_rounds: int) -> None:
    arrived, board = np.zeros(1, np.int64), np.zeros(2 * n_threads, np.int64)
    seen = np.zeros(n_threads, np.int64)
    look_around(0, 1, 1, np.zeros(1, np.int64), np.zeros(2, np.int64), np.zeros(1, np.int64))  # compiles
    with ThreadPoolExecutor(n_threads) as pool:
        waiting = [
            pool.submit(look_around, thread, n_threads, n_rounds, arrived, board, seen) for thread in range(n_threads)
        ]
        for one in waiting:
            one.result(timeout=120)
    assert arrived[0] == 2 * n_rounds * n_threads
    assert board[:n_threads].tolist() == [n_rounds] * n_threads
    assert not seen.any()


def test_uncompiled_threads_do_not_wait() -> None:
    arrived = np.zeros(1, np.int64)
    _plain_wait_for_all(arrived, 1, 1)
    assert arrived[0] == 1
    with pytest.raises(AssertionError, match="uncompiled kernels do not wait for each other: give each call one phase"):
        _plain_wait_for_all(arrived, 2, 2)
