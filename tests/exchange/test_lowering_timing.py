"""Steps by which groups are behind the framework, and how long branches wait."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neurosim.exchange.lowering_timing import schedule


def test_chains_and_branches():
    timing = schedule(["in", "a", "b", "c"], {"in": ["a", "b", "c"], "a": ["b"], "b": ["c"], "c": []})
    assert timing.lag == {"in": 0, "a": 1, "b": 2, "c": 3}
    assert timing.wait == {("in", "a"): 0, ("in", "b"): 1, ("in", "c"): 2, ("a", "b"): 0, ("b", "c"): 0}


def test_loops_of_one_two_and_three_connections():
    edges = {"in": ["a"], "a": ["a", "b"], "b": ["a", "c"], "c": ["a"]}
    timing = schedule(["in", "a", "b", "c"], edges)
    assert {edge: wait for edge, wait in timing.wait.items() if edge[1] == "a"} == {
        ("in", "a"): 0,
        ("a", "a"): 0,
        ("b", "a"): -1,
        ("c", "a"): -2,
    }


def test_a_loop_that_no_input_reaches_is_scheduled_too():
    assert schedule(["in", "a", "b"], {"in": [], "a": ["b"], "b": ["a"]}).wait == {("a", "b"): 0, ("b", "a"): -1}


def test_a_long_chain_needs_no_recursion():
    names = [f"g{i}" for i in range(20_000)]
    timing = schedule(names, dict(zip(names, [[n] for n in names[1:]] + [[]], strict=True)))
    assert timing.lag["g19999"] == 19_999


@given(st.integers(0, 10_000))
def test_all_forward_ways_to_a_group_take_equally_long(seed: int):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    names = [f"g{i}" for i in range(n)]
    targets = {a: [b for b in names if rng.random() < 0.3 and b != "g0"] for a in names}
    timing = schedule(names, targets)
    forward = {edge for edge, wait in timing.wait.items() if timing.lag[edge[1]] > timing.lag[edge[0]]}
    for source, target in timing.wait:
        wait = timing.wait[source, target]
        if (source, target) in forward:
            assert wait >= 0 and timing.lag[source] + 1 + wait == timing.lag[target]
        else:
            assert wait == timing.lag[target] - timing.lag[source] <= 0
