"""Faults by hash: how many, where, what they hold, for every kind of connection and of neuron with a threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurosim.errors import ConfigError
from neurosim.faultconfig import FaultConfig, parse_faults
from neurosim.faults import LARGEST_VTH, LOWEST_VTH, draw_faults, faulty_network, with_stuck_weights
from neurosim.network import LIF, AnyConnection, Connection, Conv, CubaLIF, Dense, Input, Network, OneToOne, Sparse
from neurosim.neurons import ATRLIF, MultiSpikeLIF, TernaryLIF

ALL = FaultConfig(stuck_zero=0.1, stuck_largest=0.05, stuck_present=0.1, dead=0.25, threshold_spread=0.2, seed=3)


def big() -> Network:
    """A network with enough synapses and neurons for shares to be told from chance."""
    weights = 2 * (np.arange(1000 * 200).reshape(1000, 200) % 101 - 50)
    return Network(
        (Input("input", 200), LIF("hidden", 1000, 0, 0, 1000), LIF("readout", 5, 0, 0, LARGEST_VTH)),
        (
            Dense("input", "hidden", weights),
            Dense("hidden", "readout", np.full((5, 1000), 32), num_weight_bits=4, sign_mode="mixed"),
        ),
    )


def one(connection: AnyConnection) -> Network:
    """Return a network of two groups of neurons behind an input, with a connection between them."""
    groups = (Input("input", 1), LIF("a", connection.shape[1]), LIF("b", connection.shape[0]))
    return Network(groups, (Dense("input", "a", np.full((connection.shape[1], 1), 2)), connection))


def test_shares_are_met():
    faults = draw_faults(big(), FaultConfig(stuck_zero=0.1, stuck_largest=0.05, stuck_present=0.2, dead=0.25, seed=7))
    stuck, weights = faults.stuck["input->hidden"], faults.weights["input->hidden"]
    assert stuck.mean() == pytest.approx(0.35, abs=0.005)
    given = np.asarray(big().connections[0].weights)
    assert (stuck & (weights == given) & (given != 0)).mean() == pytest.approx(0.2, abs=0.01)
    ends = weights[(weights != given) & (weights != 0)]
    assert set(np.unique(ends)) == {-256, 254}
    assert len(ends) / weights.size == pytest.approx(0.05, abs=0.005)
    assert (ends > 0).mean() == pytest.approx(0.5, abs=0.02)
    assert faults.dead["hidden"].mean() == pytest.approx(0.25, abs=0.05)
    assert (weights[~stuck] == given[~stuck]).all()
    assert faults.n_synapses == 205_000
    assert faults.n_dead == faults.dead["hidden"].sum()
    assert faults.n_stuck == stuck.sum() + faults.stuck["hidden->readout"].sum()


def test_the_end_of_a_range_is_that_of_the_format():
    faults = draw_faults(big(), FaultConfig(stuck_largest=1.0))
    assert set(np.unique(faults.weights["hidden->readout"])) == {-256, 224}  # 4 bits: -8..7, times 32


@pytest.mark.parametrize(("mode", "end"), [("excitatory", 255), ("inhibitory", -255)])
def test_a_format_of_one_sign_has_one_end(mode, end):
    network = one(Dense("a", "b", np.zeros((30, 30), np.int64), sign_mode=mode))
    assert set(np.unique(draw_faults(network, FaultConfig(stuck_largest=1.0)).weights["a->b"])) == {end}


def test_dead_neurons_send_nothing_and_never_fire():
    network = faulty_network(big(), draw_faults(big(), FaultConfig(dead=0.5)))
    dead = np.asarray(network.group("hidden").vth) == LARGEST_VTH
    assert 0.4 < dead.mean() < 0.6
    assert (np.asarray(network.connections[1].weights)[:, dead] == 0).all()
    assert (np.asarray(network.connections[1].weights)[:, ~dead] != 0).all()


def test_thresholds_spread_as_asked_and_the_readout_keeps_its_own():
    faults = draw_faults(big(), FaultConfig(threshold_spread=0.2))
    vth = faults.groups["hidden"].vth
    assert vth.mean() == pytest.approx(1000, abs=25)
    assert vth.std() == pytest.approx(200, abs=15)
    assert vth.min() > 0
    assert "readout" not in faults.groups
    assert "readout" not in faults.dead


def test_the_seed_names_the_chip():
    chip, same, other = (draw_faults(big(), replace(ALL, seed=seed)) for seed in (1, 1, 2))
    assert (chip.stuck["input->hidden"] == same.stuck["input->hidden"]).all()
    assert (chip.groups["hidden"].vth == same.groups["hidden"].vth).all()
    both = (chip.stuck["input->hidden"] & other.stuck["input->hidden"]).mean()
    assert both == pytest.approx(0.25**2, rel=0.3)  # as often as two unrelated chips


def test_no_faults_change_nothing():
    network = big()
    faults = draw_faults(network, FaultConfig())
    same = faulty_network(network, faults)
    assert [np.asarray(c.weights).tolist() for c in same.connections] == [
        np.asarray(c.weights).tolist() for c in network.connections
    ]
    assert [group.vth for group in same.groups[1:]] == [1000, LARGEST_VTH]
    assert faults.groups == {} and faults.n_stuck == faults.n_dead == 0


def test_a_stored_weight_of_a_kernel_is_stuck_at_all_its_places():
    kernel = np.arange(2, 2 + 2 * 4 * 9).reshape(4, 3, 3, 2)
    network = one(Conv("a", "b", kernel, (6, 6, 2), plastic=False))
    faults = draw_faults(network, FaultConfig(stuck_zero=0.5, dead=0.3, seed=4))
    stuck = faults.stuck["a->b"]
    assert stuck.shape == kernel.shape
    assert 0.3 < stuck.mean() < 0.7  # of the 72 weights; dead sources share theirs with others
    broken = faulty_network(network, faults)
    assert (np.asarray(broken.connection("a->b").weights)[stuck] == 0).all()
    dense = broken.connection("a->b").as_sparse()
    there = network.connection("a->b").as_sparse()
    values = np.zeros(int(kernel.max()) + 1, np.int64)
    values[kernel[~stuck]] = kernel[~stuck]
    assert (np.asarray(dense.data) == values[np.asarray(there.data)]).all()
    dead = faults.dead["a"]
    assert dead.any() and (np.asarray(broken.group("a").vth)[dead] == LARGEST_VTH).all()


def test_synapses_of_a_dead_neuron_are_zero_where_it_has_its_own():
    row, col = np.indices((20, 30)).reshape(2, -1)
    chosen = (row + col) % 3 == 0
    sparse = Sparse("a", "b", (20, 30), row[chosen], col[chosen], np.full(chosen.sum(), 4))
    for connection in (sparse, OneToOne("a", "b", 30, 4)):
        network = one(connection)
        faults = draw_faults(network, FaultConfig(dead=0.4, stuck_present=0.2, seed=2))
        held, dead = faults.weights["a->b"], faults.dead["a"]
        silent = dead[np.asarray(connection.as_sparse().col)]
        assert dead.any() and (held[silent] == 0).all() and (held[~silent] == 4).all()
        assert faults.stuck["a->b"][silent].all()
        assert faults.stuck["a->b"][~silent].mean() == pytest.approx(0.2, abs=0.15)
        new = with_stuck_weights(network, faults).connection("a->b").as_sparse()
        assert (np.asarray(new.data) == held).all()


def test_both_thresholds_of_a_ternary_neuron_change_alike():
    group = TernaryLIF("a", 400, vth_hi=1000, vth_lo=-500)
    network = Network((Input("input", 1), group), (Dense("input", "a", np.full((400, 1), 2)),))
    faults = draw_faults(network, FaultConfig(dead=0.1, threshold_spread=0.2))
    high, low, dead = faults.groups["a"].vth_hi, faults.groups["a"].vth_lo, faults.dead["a"]
    assert (high[dead] == LARGEST_VTH).all() and (low[dead] == LOWEST_VTH).all() and dead.any()
    assert high[~dead].std() == pytest.approx(200, abs=25)
    assert np.abs(high[~dead] / -low[~dead] - 2).max() < 0.01
    again = draw_faults(faulty_network(network, faults), FaultConfig(threshold_spread=0.2, seed=1))
    assert (again.groups["a"].vth_hi[dead] == LARGEST_VTH).all()  # who never fires keeps that


def test_a_dead_neuron_of_many_spikes_is_silent():
    group = MultiSpikeLIF("a", 50, vth=100, max_spikes=3)
    network = Network((Input("input", 1), group), (Dense("input", "a", np.full((50, 1), 2)),))
    faults = draw_faults(network, FaultConfig(dead=0.5))
    assert isinstance(faults.groups["a"], MultiSpikeLIF)
    assert set(np.unique(faults.groups["a"].vth)) == {100, LARGEST_VTH}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"stuck_zero": 1.5}, r"faults.stuck_zero: 1.5 is out of range; give one in 0..1"),
        ({"threshold_spread": 0.4}, r"faults.threshold_spread: 0.4 is out of range; give one in 0..0.3"),
        ({"stuck_zero": 0.5, "stuck_largest": 0.5, "stuck_present": 0.5}, "1.5 in sum, more than all synapses"),
    ],
)
def test_rates_out_of_range_are_refused(keys, words):
    with pytest.raises(ConfigError, match=words):
        FaultConfig(**keys)


def test_what_cannot_break_is_refused():
    floats = Network((Input("input", 1), CubaLIF("a", 1, tau_mem=1e-2)), (Connection("input", "a", np.ones((1, 1))),))
    with pytest.raises(ConfigError, match="has float weights"):
        draw_faults(floats, FaultConfig(stuck_zero=0.5))
    other = Network((Input("input", 1), ATRLIF("a", 4)), (Dense("input", "a", np.full((4, 1), 2)),))
    with pytest.raises(ConfigError, match=r"'a': ATRLIF has no threshold of the LIF family .* leave faults.dead"):
        draw_faults(other, FaultConfig(dead=0.5))
    assert draw_faults(other, FaultConfig(stuck_zero=1.0)).n_stuck == 4


def test_an_option_reads_the_keys_of_the_table():
    assert parse_faults("stuck_zero=0.05, dead=0.1,seed=3") == FaultConfig(stuck_zero=0.05, dead=0.1, seed=3)
    for text, words in (
        ("zero=0.1", "'zero=0.1' is no key with its value; write for instance stuck_zero=0.05"),
        ("dead", "'dead' is no key"),
        ("dead=many", "dead 'many' is not a number"),
        ("seed=0.5", "seed '0.5' is not a number"),
        ("dead=2", "--faults: faults.dead: 2.0 is out of range"),
    ):
        with pytest.raises(ConfigError, match=words):
            parse_faults(text)
