"""The networks that the benchmark of mapping maps: those of others have the shapes that their sources say."""

import importlib.util

import numpy as np
import pytest

from benchmarks.mapped_networks import dense_layers, near_graph, networks_of_others, random_graph, sparse_layers
from benchmarks.track_mapping import large_loihi, n_synapses
from neurosim.chip import load_chip
from neurosim.data.folder import data_roots
from neurosim.mapping import map_network, packets_per_step

HOME = next((folder for folder in data_roots() if (folder / "lava-models").is_dir()), None)
#: Neurons of each group: READMEs of the data folders.
SIZES = {
    "oxford": [200, 256, 200],
    "mnist (lava-dl)": [784, 128, 64, 10],
    "tinynet": [16 * 16 * 3, 6 * 6 * 24, 36],
    "dense layer": [200, 256],
    "braille th1": [48, 450, 28],
    "braille th5": [96, 450, 28],
    "seqmnist lsnn": [80, 240, 10],
    "dvs gesture": [1024, 15 * 15 * 16, 13 * 13 * 32, 11 * 11 * 64, 891, 11],
    "example.net": [3, 3],
}


@pytest.mark.skipif(HOME is None, reason="the recorded networks are absent (set NEUROSIM_DATA)")
@pytest.mark.skipif(importlib.util.find_spec("h5py") is None, reason="h5py is not installed")
@pytest.mark.parametrize("name", sorted(SIZES))
def test_networks_of_others_have_their_shapes_and_fit_on_loihi(name):
    network = networks_of_others(HOME)[name]()
    assert [group.n for group in network.groups] == SIZES[name]
    mapping = map_network(network, load_chip("loihi1"))
    assert 1 <= len(mapping.cores) <= 128
    rows = map_network(network, load_chip("loihi1"), placement="rows")
    assert packets_per_step(network, mapping)["hops"] <= packets_per_step(network, rows)["hops"]


def test_made_networks_have_about_the_synapses_asked_for():
    assert n_synapses(dense_layers((3, 4, 5), 1)) == 3 * 4 + 4 * 5
    sparse = sparse_layers((50, 200, 100), 10, 1)
    assert 0.9 * 2500 < n_synapses(sparse) <= 2500
    assert 900 < n_synapses(random_graph(100, 10, 1)) <= 1000
    ring = near_graph(1000, 5, 20, 1).connections[0]
    away = np.abs((ring.row - ring.col + 500) % 1000 - 500)
    assert away.max() <= 20 and 4000 < len(ring.word) <= 5000


@pytest.mark.parametrize("n_cores", [4, 128, 1024, 4096])
def test_larger_meshes_hold_their_cores(n_cores):
    chip = large_loihi(n_cores)
    assert chip.mesh[0] * chip.mesh[1] * chip.cores_per_tile >= n_cores == chip.n_cores
