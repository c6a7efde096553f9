"""Cores on tiles."""

import numpy as np
import pytest
from mapping_examples import chip_with

from neurosim.chip import load_chip
from neurosim.errors import CapacityError
from neurosim.mapping.place import place


def test_cores_fill_a_tile_before_the_next():
    tiles = place(128, load_chip("loihi1"))
    assert tiles[:5].tolist() == [[0, 0]] * 4 + [[1, 0]]
    assert np.all(np.unique(tiles, axis=0, return_counts=True)[1] == 4)


def test_neighbouring_tiles_in_order_are_one_link_apart():
    tiles = place(32, chip_with(n_cores=32, cores_per_tile=1))
    assert np.all(np.abs(np.diff(tiles, axis=0)).sum(axis=1) == 1)


def test_all_tiles_lie_in_the_mesh():
    tiles = place(128, load_chip("loihi1"))
    assert tiles.min() == 0 and tiles.max(axis=0).tolist() == [7, 3]


def test_more_cores_than_the_chip_has_are_refused():
    with pytest.raises(CapacityError, match="network needs 129 cores, chip 'loihi1' has 128"):
        place(129, load_chip("loihi1"))
