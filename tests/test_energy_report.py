"""What an energy report says beside the sum: prices by kind of connection, range, static energy, idle cost."""

import numpy as np
import pytest
from random_networks import random_events

from neurosim.backend import get_backend
from neurosim.chip import Constant
from neurosim.compile_network import compile
from neurosim.counters import COLUMN, N_COUNTERS, OpCounts
from neurosim.energy import energy, energy_table_names, load_energy_table, operations_of, row_operations
from neurosim.errors import ConfigError
from neurosim.events import Events
from neurosim.network import LIF, Conv, Dense, Input, Network, OneToOne, Probe, Sparse
from neurosim.program import kind_of


def all_forms() -> Network:
    """Return a network with a connection of each form, and one whose messages have values."""
    full = np.full((4, 4), 40)
    return Network(
        [Input("in", 4), LIF("a", 4, vth=1), LIF("b", 4, vth=1), Input("values", 4)],
        [
            Dense("in", "a", full), Sparse("a", "b", (4, 4), [0, 1, 2], [0, 0, 3], [9, 8, 7]),
            OneToOne("in", "b", 4, [50, 50, 50, 50]), Conv("a", "a", np.full((1, 1, 1, 1), 3), (2, 2, 1)),
            Dense("values", "a", full, num_message_bits=8),
        ],
        [Probe("in"), Probe("a"), Probe("values")],
    )  # fmt: skip


def counted(network: Network, events: Events, n_steps: int | None = None) -> OpCounts:
    with get_backend("reference").open(compile(network, "loihi2")) as runner:
        counts = runner.run(events, n_steps).counts
    assert counts is not None
    return counts


def test_every_form_of_connection_has_its_kind():
    kinds = [kind_of(connection) for connection in all_forms().connections]
    assert kinds == ["dense", "sparse", "one_to_one", "conv", "dense graded"]
    program = compile(all_forms(), "loihi2")
    assert program.kinds == ("input", "input", "", "", *kinds) and len(program.kinds) == len(program.rows)


def test_synaptic_operations_by_kind_sum_to_all_of_them():
    network = all_forms()
    counts = counted(network, random_events(3, 2, 9, network.n_inputs))
    found = counts.by_kind()
    assert set(found) == {"dense", "sparse", "one_to_one", "conv", "dense graded"}
    assert sum(found.values()) == counts.total("synaptic_operations")
    assert found["sparse"] == counts.of("a->b", "synaptic_operations")


def test_prices_by_kind_of_connection():
    network = all_forms()
    counts = counted(network, random_events(3, 2, 9, network.n_inputs))
    found, table = counts.by_kind(), load_energy_table("loihi1-sanafe2026")
    parts = energy(counts, table).components
    assert parts["synaptic_operations"] == pytest.approx(35.5 * (found["dense"] + found["dense graded"]))
    assert parts["synaptic_operations_sparse"] == pytest.approx(33.6 * found["sparse"])
    assert parts["synaptic_operations_one_to_one"] == pytest.approx(33.6 * found["one_to_one"])
    assert parts["synaptic_operations_conv"] == pytest.approx(24.0 * found["conv"])


def test_a_table_without_prices_by_kind_prices_them_alike():
    network = all_forms()
    counts = counted(network, random_events(3, 2, 9, network.n_inputs))
    parts = energy(counts, load_energy_table("loihi1-davies2018")).components
    assert parts["synaptic_operations"] == pytest.approx(23.6 * counts.total("synaptic_operations"))


def test_values_are_priced_before_the_form():
    table = load_energy_table("loihi1-sanafe2026")
    graded = Constant(99.0, "pJ", "a test", "assumed")
    table.prices["synaptic_operations_graded"] = graded
    assert operations_of({"synaptic_operations": 2}, "conv graded", table) == {"synaptic_operations_graded": 2}
    assert operations_of({"synaptic_operations": 2}, "conv", table) == {"synaptic_operations_conv": 2}


def test_inputs_are_told_by_their_kind():
    matrix = np.zeros((2, N_COUNTERS), np.int64)
    matrix[:, COLUMN["spikes"]] = 3, 4
    table = load_energy_table("loihi1-davies2018")
    named = row_operations(OpCounts(("in", "a"), matrix, 1, 1, ("input", "")), table)
    assert named == {"in": {"input_spikes": 3}, "a": {"spikes": 4}}


@pytest.mark.parametrize("name", energy_table_names())
def test_without_activity_the_idle_cost_is_all(name):
    network = Network(
        [Input("in", 3), LIF("a", 5), LIF("b", 2)],
        [Dense("in", "a", np.ones((5, 3), int)), Dense("a", "b", np.ones((2, 5), int))],
    )
    silent = Events(np.zeros(7, np.int64), np.zeros(0, np.int32), 1, 6, 3)
    counts, table = counted(network, silent), load_energy_table(name)
    report = energy(counts, table)
    worked = {operation: n for operation, n in counts.totals().items() if n}
    assert worked == {"neuron_updates_idle": 7 * 6, "barriers": 6}
    if "neuron_updates_idle" in table.prices:
        assert report.total_pj == pytest.approx(42 * table.prices["neuron_updates_idle"].value)
    else:
        assert not report.total_pj


def test_range_follows_the_uncertainty_of_the_table():
    matrix = np.zeros((1, N_COUNTERS), np.int64)
    matrix[0, COLUMN["spikes"]] = 100
    counts = OpCounts(("a",), matrix, 1, 1, ("",))
    fitted = energy(counts, load_energy_table("loihi1-sanafe2026"))
    assert fitted.range_pj == pytest.approx((6930 * 0.88, 6930 * 1.12))
    assert energy(counts, load_energy_table("loihi1-davies2018")).range_pj is None  # nobody measured how wrong


def test_static_energy_stands_apart_and_needs_a_time():
    counts = OpCounts(("a",), np.zeros((1, N_COUNTERS), np.int64), 4, 8, ("",))
    table = load_energy_table("loihi1-davies2018")
    assert energy(counts, table).static_pj is None
    report = energy(counts, table, per=4, seconds=0.008)
    assert report.static_pj == pytest.approx(104 * 0.008 * 1e9 / 4) and report.seconds == 0.002
    assert report.total_pj == 0
    assert energy(counts, load_energy_table("cpu-45nm"), seconds=1.0).static_pj is None


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(seconds):
    counts = OpCounts(("a",), np.zeros((1, N_COUNTERS), np.int64), 1, 1)
    with pytest.raises(ConfigError, match="is not a time"):
        energy(counts, load_energy_table("loihi1-davies2018"), seconds=seconds)


def test_counts_and_energies_are_safe_at_a_million_million_operations():
    matrix = np.zeros((2, N_COUNTERS), np.int64)
    matrix[1, COLUMN["synaptic_operations"]] = 3 * 10**12 + 1
    one = OpCounts(("a", "a->a"), matrix, 1, 10**9, ("", "dense"))
    both = one + one
    assert both.total("synaptic_operations") == 6 * 10**12 + 2 and both.totals()["barriers"] == 2 * 10**9
    report = energy(both, load_energy_table("loihi1-davies2018"))
    assert report.total_pj == pytest.approx((6 * 10**12 + 2) * 23.6, rel=1e-15)
