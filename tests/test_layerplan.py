"""Lanes of neurons: where groups lie, in which order they run, and what stands where no neuron is."""

import numpy as np
import pytest
from random_networks import LAYOUTS, learning_network, random_network

from neurosim.codes import HALF, KEEP_U, KEEP_V, MODEL, MODEL_INPUT, SOURCE, START, STOP, TARGET, THRESHOLD
from neurosim.compile_network import compile
from neurosim.layerplan import WORD, Lanes, lay_lanes
from neurosim.network import LIF, Dense, Input, Network
from neurosim.program import Program

INT_MAX = (1 << 31) - 1


def program_of(groups: dict[str, int], pairs: list[str]) -> Program:
    """Return inputs ("in...") and groups of neurons with the connections "source>target"."""
    made = [Input(name, n) if name.startswith("in") else LIF(name, n, vth=7) for name, n in groups.items()]
    ends = [pair.split(">") for pair in pairs]
    connections = [Dense(a, b, np.ones((groups[b], groups[a]), np.int64)) for a, b in ends]
    return compile(Network(made, connections), "unlimited")


def order_of(groups: dict[str, int], pairs: list[str]) -> list[str]:
    program = program_of(groups, pairs)
    return [program.group_names[g] for g in lay_lanes(program).order]


def test_sources_come_before_their_targets_whatever_the_order_of_description() -> None:
    groups = {"c": 2, "in": 3, "a": 4, "b": 5}
    assert order_of(groups, ["b>c", "in>a", "a>b"]) == ["a", "b", "c"]
    assert order_of(groups, ["a>c", "in>b", "b>a", "b>c"]) == ["b", "a", "c"]


def test_groups_that_hear_no_neurons_are_first() -> None:
    groups = {"in": 1, "late": 1, "x": 1, "y": 1}
    assert order_of(groups, ["in>x", "x>late", "y>late"]) == ["x", "y", "late"]
    assert order_of(groups, []) == ["late", "x", "y"]


@pytest.mark.parametrize(
    "pairs",
    [["in>a", "a>a"], ["in>a", "a>b", "b>a"], ["in>a", "a>b", "b>c", "c>a"], ["in>a", "a>b", "c>c"]],
    ids=["itself", "each other", "three", "apart from the rest"],
)
def test_networks_with_circles_have_no_order(pairs: list[str]) -> None:
    assert order_of({"in": 2, "a": 2, "b": 2, "c": 2}, pairs) == []


def test_later_groups_are_those_that_neurons_send_to() -> None:
    program = program_of({"in": 2, "in2": 3, "a": 2, "b": 2, "c": 2}, ["in>a", "in2>a", "in2>b", "a>b", "in>c"])
    later = lay_lanes(program).later
    assert [program.group_names[g] for g in np.nonzero(later)[0]] == ["b"]


def check(program: Program, lanes: Lanes) -> None:
    """Check everything that kernels take for granted."""
    arrays = program.arrays
    owner = np.full(lanes.n, -1)
    for g, row in enumerate(arrays.group):
        n, first = int(row[STOP] - row[START]), int(lanes.first[g])
        here = slice(first, first + n)
        assert first % WORD == 0 and (owner[here] == -1).all()
        owner[here] = g
        assert (lanes.valid[here] == -1).all()
        assert lanes.filtered[g] == (row[KEEP_U] != 0)
        if row[MODEL] != MODEL_INPUT:
            for name, column in (("keep_u", KEEP_U), ("keep_v", KEEP_V), ("threshold", THRESHOLD), ("half", HALF)):
                assert (getattr(lanes, name)[here] == row[column]).all()
            np.testing.assert_array_equal(lanes.bias[here], arrays.bias[int(row[START]) : int(row[STOP])])
    empty = owner == -1
    assert lanes.n % WORD == 0 and empty.sum() < WORD * len(arrays.group)
    assert not lanes.valid[empty].any()
    for name in ("keep_u", "keep_v", "bias"):
        assert not getattr(lanes, name)[empty].any()
    for name in ("threshold", "half"):
        assert (getattr(lanes, name)[empty] == INT_MAX).all()
    assert {array.dtype for array in lanes[4:]} == {np.dtype(np.int32)}
    for connection in arrays.conn:
        from_neurons = arrays.group[connection[SOURCE], MODEL] != MODEL_INPUT
        assert lanes.later[connection[TARGET]] or not from_neurons
        if from_neurons and len(lanes.order):
            order = lanes.order.tolist()
            assert order.index(connection[SOURCE]) < order.index(connection[TARGET])
    neurons = [g for g, row in enumerate(arrays.group) if row[MODEL] != MODEL_INPUT]
    assert len(lanes.order) == 0 or sorted(lanes.order.tolist()) == neurons


@pytest.mark.parametrize("layout", LAYOUTS)
def test_lanes_of_every_layout_hold_what_kernels_expect(layout: str) -> None:
    program = compile(learning_network(layout, 1), "unlimited")
    check(program, lay_lanes(program))


@pytest.mark.parametrize("seed", range(20))
def test_lanes_of_random_networks_hold_what_kernels_expect(seed: int) -> None:
    program = compile(random_network(seed, recurrent=bool(seed % 3 == 0), largest=140), "unlimited")
    lanes = lay_lanes(program)
    check(program, lanes)
    if seed % 3:
        assert len(lanes.order) == sum(isinstance(g, LIF) for g in program.network.groups)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 128, 129])
def test_each_group_begins_at_a_word_of_flags(n: int) -> None:
    lanes = lay_lanes(program_of({"in": n, "a": n, "b": 3}, ["in>a", "a>b"]))
    width = -(-n // WORD) * WORD
    assert lanes.first.tolist() == [0, width, 2 * width]
    assert lanes.n == 2 * width + WORD
    assert int(-lanes.valid.sum()) == 2 * n + 3
