"""Two hundred runs in a row on Lava leave no process, file descriptor or shared-memory block behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from neurosim.events import events_from_dense
from neurosim.network import LIF, Network, Probe

pytestmark = pytest.mark.lava

N_RUNS = 200
NETWORK = Network((LIF("out", 1, 4095, 0, vth=10, bias_mant=100, bias_exp=3),), (), (Probe("out"), Probe("out", "v")))
EVENTS = events_from_dense(np.zeros((1, 3, 0), np.int8))


class Held(NamedTuple):
    """What is open after a run, the worker and its shared-memory manager included."""

    our_descriptors: int
    our_threads: int
    worker_descriptors: int
    worker_processes: int
    blocks: int


def held(session: Any) -> Held:
    from neurosim_lava import group

    def count(process: int | str, what: str) -> int:
        return len(list(Path(f"/proc/{process}/{what}").iterdir()))

    return Held(
        count("self", "fd"), count("self", "task"), count(session.group, "fd"), len(group.members(session.group)),
        len(group.blocks(session.prefix)),
    )  # fmt: skip


def test_200_runs_leave_nothing_behind(lava_runner: Callable[..., Any]) -> None:
    from neurosim_lava import group

    runner = lava_runner(NETWORK)
    workers: dict[int, str] = {}
    seen: dict[int, set[Held]] = {}
    for _ in range(N_RUNS):
        result = runner.run(EVENTS)
        assert result.spikes["out"].step.tolist() == [0, 1, 2]
        workers[runner.session.group] = runner.session.prefix
        seen.setdefault(runner.session.group, set()).add(held(runner.session))
    for number, states in seen.items():
        assert len(states) == 1, f"worker {number} held different numbers of things: {sorted(states)}"
    assert len(set().union(*seen.values())) == 1, f"each worker holds as much as the other: {seen}"
    assert len(workers) >= 2, "the worker was replaced on the way"
    runner.close()
    for number, prefix in workers.items():
        assert group.members(number) == []
        assert group.blocks(prefix) == []
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)
