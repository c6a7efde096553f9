"""Programs: names in the order of the arrays, fingerprints that tell programs apart, the state of rest."""

import dataclasses

import numpy as np
import pytest
from random_networks import random_network

from neurosim.compile_network import compile
from neurosim.network import LIF, Connection, CubaLIF, Dense, Input, Network
from neurosim.program import CACHE_LINE, ProgramArrays, aligned_copy, rest_state
from neurosim.scratch import make_scratch


def small(weight: int = 5) -> Network:
    return Network((LIF("out", 2, vth=30), Input("in", 3)), (Dense("in", "out", np.full((2, 3), weight)),))


def test_names_follow_the_arrays() -> None:
    program = compile(small(), "unlimited")
    assert program.group_names == ("in", "out")
    assert program.connection_names == ("in->out",)
    assert program.rows == ("in", "out", "in->out")
    assert len(program.arrays.group) == 2


def test_equal_programs_have_equal_fingerprints() -> None:
    assert compile(small(), "unlimited").fingerprint == compile(small(), "unlimited").fingerprint
    assert len(compile(small(), "unlimited").fingerprint) == 64


@pytest.mark.parametrize("name", ProgramArrays._fields)
def test_a_change_of_any_array_changes_the_fingerprint(name: str) -> None:
    program = compile(random_network(4, 2, 4), "loihi1")
    array = getattr(program.arrays, name).copy()
    if array.size == 0:
        array = np.ones(1, array.dtype)
    else:
        array.flat[-1] += 1
    changed = dataclasses.replace(program, arrays=program.arrays._replace(**{name: array}))
    assert changed.fingerprint != program.fingerprint


def test_same_bytes_in_another_shape_or_type_change_the_fingerprint() -> None:
    program = compile(small(), "unlimited")
    for bias in (program.arrays.bias.reshape(1, -1), program.arrays.bias.view(np.uint32)):
        changed = dataclasses.replace(program, arrays=program.arrays._replace(bias=bias))
        assert changed.fingerprint != program.fingerprint


def test_rest_is_zero_everywhere() -> None:
    state = rest_state(compile(small(), "unlimited"), 4)
    assert [part.shape for part in state] == [(4, 5), (4, 5), (4, 5), (4, 0)]
    assert not any(part.any() for part in state)


def test_scratch_has_room_for_flags_in_words_of_sixty_four() -> None:
    for largest, room in ((9, 64), (64, 64), (65, 128)):
        network = Network((LIF("a", largest), LIF("b", 3)))
        assert len(make_scratch(compile(network, "unlimited").arrays).fired) == room


@pytest.mark.parametrize("n", [1, 63, 1000])
def test_aligned_copies_begin_at_a_cache_line(n: int) -> None:
    for dtype in (np.int8, np.int16):
        array = np.arange(n).astype(dtype)
        copy = aligned_copy(array)
        assert copy.ctypes.data % CACHE_LINE == 0 and copy.flags.c_contiguous and copy.flags.writeable
        assert copy.dtype == dtype and not np.shares_memory(copy, array)
        np.testing.assert_array_equal(copy, array)


def test_compile_quantises_floats_and_keeps_scales() -> None:
    network = Network((Input("in", 3), CubaLIF("out", 2)), (Connection("in", "out", np.full((2, 3), 0.25)),))
    program = compile(network, "loihi1")
    assert program.network.is_quantized
    assert program.scales
    assert network.is_quantized is False
