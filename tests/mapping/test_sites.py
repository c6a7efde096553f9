"""Physical cores that differ: an assignment is found wherever there is one."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_examples import chip_with, random_network

from neurosim.errors import CapacityError
from neurosim.mapping import map_network
from neurosim.mapping.place import PLACEMENTS, place
from neurosim.mapping.sites import assign, in_rows, in_snake, rooms_for
from neurosim.network import LIF, Dense, Input, Network


def uneven(compartments, memory=None):
    chip = chip_with(
        n_cores=len(compartments),
        mesh=(len(compartments), 1),
        cores_per_tile=1,
        compartments_per_core=max(compartments),
    )
    if memory is not None:
        chip = dataclasses.replace(
            chip, synapse_memory_bits_per_core=max(memory), synapse_memory_bits_by_core=tuple(memory)
        )
    return dataclasses.replace(chip, compartments_by_core=tuple(compartments))


def used(compartments, memory):
    return [{"compartments": c, "synapse_memory_bits": m} for c, m in zip(compartments, memory, strict=True)]


def test_cores_that_are_alike_need_no_rooms():
    assert rooms_for(used([1], [1]), chip_with()) is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_an_assignment_is_found_exactly_where_there_is_one(seed):
    rng = np.random.default_rng(seed)
    n_sites = int(rng.integers(1, 7))
    n_cores = int(rng.integers(1, n_sites + 1))
    chip = uneven(rng.integers(1, 6, n_sites).tolist(), rng.integers(1, 6, n_sites).tolist())
    rooms = rooms_for(used(rng.integers(1, 6, n_cores).tolist(), rng.integers(1, 6, n_cores).tolist()), chip)
    possible = any(
        all(rooms[i, site] for i, site in enumerate(sites)) for sites in itertools.permutations(range(n_sites), n_cores)
    )
    for order in (in_rows(chip), in_snake(chip)[::-1]):
        found = assign(n_cores, order, rooms, chip, "network", partly=True)
        assert (len(found) == n_cores) == possible
        assert len(set(found.tolist())) == len(found) and all(rooms[i, site] for i, site in enumerate(found.tolist()))


def test_large_blocks_go_to_large_cores():
    network = Network([LIF("a", 3), LIF("b", 9), LIF("c", 5)])
    chip = dataclasses.replace(uneven([4, 5, 10]), groups_per_core=1, cores_per_group=1)
    for placement in ("traffic", "snake", "rows", "random:4"):
        mapping = map_network(network, chip, placement=placement)
        assert [(use.groups, use.site, use.limit["compartments"]) for use in mapping.cores] == [
            (("a",), 0, 4), (("b",), 2, 10), (("c",), 1, 5),
        ]  # fmt: skip


def test_groups_are_cut_again_where_blocks_for_the_largest_core_find_no_room():
    mapping = map_network(Network([LIF("a", 20)]), uneven([4, 5, 10, 3]))
    assert sorted(use.used["compartments"] for use in mapping.cores) == [1, 4, 5, 10]
    assert all(use.used["compartments"] <= use.limit["compartments"] for use in mapping.cores)


def test_what_finds_no_core_is_refused():
    chip = dataclasses.replace(uneven([4, 5, 10]), groups_per_core=1, cores_per_group=1)
    with pytest.raises(
        CapacityError,
        match="the cores of chip 'loihi1' differ, and none of the 1 that have room for core 1 of the mapping",
    ):
        map_network(Network([LIF("a", 9), LIF("b", 8)]), chip)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_every_core_keeps_the_limits_of_its_place(seed):
    rng = np.random.default_rng(seed)
    network = random_network(seed)
    chip = uneven(rng.integers(4, 20, 30).tolist(), (64 * rng.integers(20, 200, 30)).tolist())
    chip = dataclasses.replace(chip, axons_out_per_core=None, axons_in_per_core=None)
    placement = ("traffic", "snake", "rows", "random:1")[seed % 4]
    try:
        mapping = map_network(network, chip, placement=placement)
    except CapacityError:
        return
    for use in mapping.cores:
        assert use.used["compartments"] <= chip.compartments_by_core[use.site] == use.limit["compartments"]
        assert use.used["synapse_memory_bits"] <= chip.synapse_memory_bits_by_core[use.site]
    assert len({use.site for use in mapping.cores}) == len(mapping.cores)


def test_traffic_moves_only_where_there_is_room():
    weights = np.ones((6, 6), int)
    network = Network(
        [Input("in", 6), LIF("a", 6), LIF("b", 2)], [Dense("in", "a", weights), Dense("a", "b", weights[:2])]
    )
    chip = dataclasses.replace(uneven([2, 3, 4, 6]), groups_per_core=1)
    mapping = map_network(network, chip)
    assert [use.site for use in mapping.cores] == [3, 2]  # a has room on site 3 only, b is next to it
    assert PLACEMENTS[0] == "traffic" and place(2, chip_with()).tolist() == [0, 1]
