"""Cores on tiles: in rows, along a snake, shuffled, and where traffic wants them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_examples import chip_with

from neurosim.chip import load_chip
from neurosim.errors import CapacityError, NetworkError
from neurosim.mapping.place import place, shuffled
from neurosim.mapping.sites import along_hilbert, by_distance, in_rows, in_snake, tiles_of
from neurosim.mapping.traffic import Traffic

LOIHI1 = load_chip("loihi1")
WAYS = ("snake", "rows", "random:3")


@pytest.mark.parametrize("placement", ["snake", "rows"])
def test_cores_fill_a_tile_before_the_next(placement):
    tiles = tiles_of(place(128, LOIHI1, placement=placement), LOIHI1)
    assert tiles[:5].tolist() == [[0, 0]] * 4 + [[1, 0]]
    assert np.all(np.unique(tiles, axis=0, return_counts=True)[1] == 4)


@pytest.mark.parametrize("order", [in_snake, along_hilbert])
def test_neighbouring_tiles_in_order_are_one_link_apart(order):
    chip = chip_with(n_cores=64, mesh=(8, 8), cores_per_tile=1)
    tiles = tiles_of(order(chip), chip)
    assert np.all(np.abs(np.diff(tiles, axis=0)).sum(axis=1) == 1)


@pytest.mark.parametrize("order", [in_snake, along_hilbert, in_rows, by_distance])
@pytest.mark.parametrize(
    "limits", [{}, {"n_cores": 37}, {"mesh": (3, 11), "n_cores": 130}, {"mesh": (1, 1), "n_cores": 2}]
)
def test_every_order_holds_every_core_once(order, limits):
    chip = chip_with(**limits)
    assert sorted(order(chip).tolist()) == list(range(chip.n_cores))


def test_orders_start_where_inputs_enter():
    assert [int(order(LOIHI1)[0]) for order in (in_snake, along_hilbert, in_rows, by_distance)] == [0] * 4
    away = tiles_of(by_distance(LOIHI1), LOIHI1).sum(axis=1)
    assert np.all(np.diff(away) >= 0)


def test_all_tiles_lie_in_the_mesh():
    tiles = tiles_of(place(128, LOIHI1), LOIHI1)
    assert tiles.min() == 0 and tiles.max(axis=0).tolist() == [7, 3]


@pytest.mark.parametrize("placement", WAYS)
def test_more_cores_than_the_chip_has_are_refused(placement):
    with pytest.raises(CapacityError, match="network needs 129 cores, chip 'loihi1' has 128"):
        place(129, LOIHI1, placement=placement)


@pytest.mark.parametrize("placement", ["", "row", "random", "random:", "random:-1", "traffic:3"])
def test_unknown_placements_are_refused_with_the_choices(placement):
    with pytest.raises(NetworkError, match="unknown placement .*; choose one of traffic, snake, rows, random:SEED"):
        place(3, LOIHI1, placement=placement)


def test_random_placements_differ_by_seed_and_use_the_sites_of_rows():
    a, b = place(50, LOIHI1, placement="random:1"), place(50, LOIHI1, placement="random:2")
    assert a.tolist() != b.tolist() and sorted(a.tolist()) == sorted(b.tolist()) == list(range(50))


def test_shuffling_is_the_same_everywhere():
    def mixed(i, seed):  # SplitMix64 in Python's integers
        z = ((i + 1) * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03) % (1 << 64)
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % (1 << 64)
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % (1 << 64)
        return z ^ (z >> 31)

    for n, seed in ((8, 1), (100, 0), (1000, 7)):
        assert shuffled(n, seed).tolist() == sorted(range(n), key=lambda i: mixed(i, seed))


def chain(n, weight=1.0):
    """Return the traffic of cores that send to the next one, inputs entering the first."""
    between = np.diag(np.full(n - 1, weight), 1)
    return Traffic(between + between.T, np.eye(n)[0] * weight)


def test_a_chain_of_cores_lies_along_neighbouring_tiles():
    chip = chip_with(n_cores=16, mesh=(4, 4), cores_per_tile=1)
    scrambled = shuffled(16, 5)
    traffic = chain(16)
    traffic = Traffic(traffic.between[np.ix_(scrambled, scrambled)], traffic.entering[scrambled])
    tiles = tiles_of(place(16, chip, placement="traffic", traffic=traffic), chip)
    back = tiles[np.argsort(scrambled)]
    assert np.abs(np.diff(back, axis=0)).sum(axis=1).sum() <= 17 and back[0].sum() <= 1  # 15 at best


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 40))
def test_traffic_is_never_worse_than_any_other_placement(seed, n):
    rng = np.random.default_rng(seed)
    between = np.triu(rng.integers(0, 9, (n, n)) * (rng.random((n, n)) < 0.3), 1).astype(float)
    traffic = Traffic(between + between.T, rng.integers(0, 9, n).astype(float))
    chip = chip_with(n_cores=60, mesh=(5, 6), cores_per_tile=2)

    def hops(sites):
        tiles = tiles_of(sites, chip)
        total = sum(traffic.entering[i] * tiles[i].sum() for i in range(n))
        return total + sum(between[i, j] * np.abs(tiles[i] - tiles[j]).sum() for i in range(n) for j in range(i + 1, n))

    best = place(n, chip, placement="traffic", traffic=traffic)
    assert len(set(best.tolist())) == n
    assert all(hops(best) <= hops(place(n, chip, placement=way)) for way in WAYS)


def test_equal_traffic_gives_equal_bytes():
    traffic = Traffic(np.ones((30, 30)) - np.eye(30), np.ones(30))
    a, b = (place(30, LOIHI1, placement="traffic", traffic=traffic) for _ in range(2))
    assert a.tobytes() == b.tobytes()


def test_cores_without_traffic_stay_in_order():
    nothing = Traffic(np.zeros((9, 9)), np.zeros(9))
    assert place(9, LOIHI1, placement="traffic", traffic=nothing).tolist() == place(9, LOIHI1).tolist()
