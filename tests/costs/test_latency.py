"""Time of a step: by hand, against a worked example of SANA-FE, and as bounds of each other."""

import json
from dataclasses import replace

import numpy as np
import pytest
from percore_cases import KINDS, case, scattered

from neurosim.compile_network import compile
from neurosim.costs.corecounts import COUNTED, CoreCounts
from neurosim.costs.latency import MODELS, Bound, Missing, latency, load_time_table, time_table_names
from neurosim.costs.percore import count_per_core
from neurosim.energy import energy, load_energy_table
from neurosim.errors import ConfigError
from neurosim.events import events_from_dense
from neurosim.network import LIF, Dense, Input, Network

SANAFE = load_time_table("loihi1-sanafe2026")
DAVIES = load_time_table("loihi1-davies2018")


def counts_of(cores, kinds=("dense",), tiles=None, pending=None, loads=(), farthest=(0, 0)):
    """Make counts of one sample and step: one dictionary for each core, what arrives as "pending" by kind."""
    operations = np.zeros((1, 1, len(cores) + 1, len(COUNTED)), np.int64)
    for i, found in enumerate(cores):
        for name, n in found.items():
            operations[0, 0, i, COUNTED.index(name)] = n
    synapses = np.zeros((1, len(cores), len(kinds)), np.int64)
    for i, found in enumerate(pending or ()):
        synapses[0, i] = found
    return CoreCounts(
        cores=tuple(range(len(cores))), tiles=tiles or tuple((i, 0) for i in range(len(cores))), kinds=kinds,
        operations=operations, synaptic=np.zeros((1, 1, len(cores), len(kinds)), np.int64), pending=synapses,
        links=np.array([[i, 0, 0] for i in range(len(loads))], np.int64).reshape(-1, 3),
        loads=np.array(loads, np.int64).reshape(1, 1, -1), farthest=np.array([[farthest]], np.int64),
        n_samples=1, steps_per_sample=1, per_sample=True, per_step=True, backend="made up", version="0",
    )  # fmt: skip


def test_worked_example_of_sanafe_in_its_first_step():
    # three inputs on core 0 of a tile of its own fire to four neurons, one each on cores 1 to 4 on two other tiles;
    # each sender's core sends 12 packets, each receiver takes 3 packets with one dense synapse each
    sender = {"messages": 12}  # SANA-FE's inputs take no time themselves
    receiver = {"neuron_updates_idle": 1, "messages_in": 3}
    tiles = ((1, 1), (0, 0), (0, 0), (2, 1), (2, 1))
    report = latency(counts_of([sender] + [receiver] * 4, tiles=tiles, pending=[[0]] + [[3]] * 4), SANAFE)
    assert report.terms["generate"][0, 0] == pytest.approx(61.2e-9)
    assert report.terms["process"][0, 0] == pytest.approx(59.4e-9)
    assert report.total_s == pytest.approx(1.0612e-06) and report.is_complete


def test_worked_example_of_sanafe_in_its_second_step():
    # one input and all four neurons fire; each neuron sends to all four cores, its own included
    sender = {"messages": 4}
    receiver = {"neuron_updates_active": 1, "spikes": 1, "messages": 3, "messages_local": 1, "messages_in": 5}
    tiles = ((1, 1), (0, 0), (0, 0), (2, 1), (2, 1))
    report = latency(counts_of([sender] + [receiver] * 4, tiles=tiles, pending=[[0]] + [[5]] * 4), SANAFE)
    assert report.terms["generate"][0, 0] == pytest.approx(60.1e-9)
    assert report.total_s == pytest.approx(1.099e-06) and report.n_tiles == 3


def test_critical_path_by_hand():
    first = {"neuron_updates_active": 3, "neuron_updates_idle": 7, "spikes": 2, "messages": 2, "messages_local": 1}
    second = {"neuron_updates_idle": 100, "messages_in": 4}
    counts = counts_of([first, second], ("sparse", "conv"), pending=[[1, 0], [10, 20]], farthest=(3, 2))
    report = latency(counts, SANAFE)
    generate = max(3 * 9.7 + 7 * 6.0 + 2 * 30.0 + 3 * 5.1, 100 * 6.0)
    process = 4 * 16.0 + 10 * 4.7 + 20 * 3.1
    assert report.seconds[0, 0] == pytest.approx((max(generate, process) + 1000) * 1e-9)
    assert report.serial[0, 0] == pytest.approx((generate + 3 * 4.1 + 2 * 6.5 + process + 1000) * 1e-9)
    assert report.busy[0]["spikes"] == pytest.approx(60e-9)
    assert report.busy[1] == pytest.approx(
        {"neuron_updates_idle": 600e-9, "messages_in": 64e-9, "synaptic_operations_sparse": 47e-9,
         "synaptic_operations_conv": 62e-9}
    )  # fmt: skip
    assert report.bounds == (Bound("barrier", "chip", 1),)


def test_max_affine_by_hand():
    cores = [{"neuron_updates_active": 30, "neuron_updates_idle": 10, "synapse_bits_read": 640}, {}]
    counts = counts_of(cores, pending=[[0], [200]], loads=(7, 4000))
    report = latency(counts, DAVIES, "max-affine")
    expected = {"neurons": 30 * 8.4 + 10 * 5.3, "synapses": 700.0, "links": 4000 * 0.291, "barrier": 113 + 352 / 31}
    assert {name: part[0, 0] for name, part in report.terms.items() if part is not None} == pytest.approx(
        {name: ns * 1e-9 for name, ns in expected.items()}
    )
    assert report.terms["reads"] is None and report.total_s == pytest.approx(4000 * 0.291e-9)
    assert report.bounds == (Bound("links", "link (1, 0) east", 1),)
    assert [(item.operation, item.count) for item in report.missing] == [("synapse_bits_read", 640)]
    assert report.serial is None and not report.is_complete and report.uncertainty.startswith("a lower bound")


def test_what_has_no_time_is_named_and_not_taken_as_zero():
    counts = counts_of([{"spikes": 5, "messages_in": 2, "synapse_bits_read": 64}], pending=[[0]])
    report = latency(counts, DAVIES)
    assert report.terms["generate"][0, 0] == 0.0  # no neuron was updated; the spikes are missing
    assert report.terms["process"] is not None
    assert report.missing[0] == Missing("spikes", 5, DAVIES.unknown["spikes"])
    assert [item.operation for item in report.missing] == ["spikes", "messages_in"] and not report.is_complete
    bare = replace(DAVIES, times={}, barrier=None)
    for model in MODELS:
        nothing = latency(counts_of([{"spikes": 5, "neuron_updates_idle": 1}], pending=[[3]]), bare, model)
        assert nothing.seconds is None and nothing.total_s is None and nothing.bounds == ()
        assert set(nothing.terms.values()) == {None} and nothing.mean_s is nothing.max_s is nothing.range_s is None
        assert "barrier" in {item.operation for item in nothing.missing}


def test_a_real_time_chip_takes_its_step_whatever_happens():
    counts = counts_of([{"spikes": 10**9}], pending=[[10**9]])
    for model in MODELS:
        report = latency(counts, load_time_table("truenorth-realtime"), model)
        assert report.total_s == pytest.approx(1e-3) and report.bounds == (Bound("step", "chip", 1),)
        assert report.is_complete and set(report.terms) == {"step"}


def test_a_set_step_is_a_floor_and_not_a_ceiling():
    table = replace(SANAFE, times=SANAFE.times | {"step": SANAFE.times["spikes"]._replace(value=700.0)})
    busy, idle = counts_of([{"spikes": 10}], pending=[[0]]), counts_of([{}], pending=[[0]])
    assert latency(busy, table).total_s == pytest.approx(900e-9)
    assert latency(idle, table).total_s == pytest.approx(700e-9) == latency(idle, table).serial[0, 0]


def test_zero_activity_costs_idle_updates_and_the_barrier_and_nothing_else():
    network = Network([Input("in", 4), LIF("out", 10)], [Dense("in", "out", np.full((10, 4), 8))])
    chip = replace(scattered(4, 4), cores_per_tile=4)
    counts = count_per_core(compile(network, chip), events_from_dense(np.zeros((2, 3, 4), np.int64)))
    largest = int(counts.operations[0, 0, :, COUNTED.index("neuron_updates_idle")].max())
    report = latency(counts, SANAFE)
    assert report.seconds.shape == (2, 3) and report.total_s == pytest.approx(6 * (largest * 6.0 + 600) * 1e-9)
    assert set(report.constants) == {"neuron_updates_idle"}
    assert report.serial == pytest.approx(report.seconds)
    affine = latency(counts, SANAFE, "max-affine")
    assert affine.total_s == pytest.approx(6 * max(largest * 6.0, 600) * 1e-9)
    assert affine.bounds == (Bound("barrier", "chip", 6),)


@pytest.mark.parametrize("table", time_table_names())
@pytest.mark.parametrize("kind", KINDS)
def test_models_bound_each_other(kind, table):
    program, events = case(kind, 90)
    counts = count_per_core(program, events, 7)
    times = load_time_table(table)
    path, affine = latency(counts, times), latency(counts, replace(times, barrier=None), "max-affine")
    assert path.seconds.shape == (3, 7)
    if path.serial is not None:
        assert np.all(path.seconds <= path.serial)
    neurons, synapses = (affine.terms.get(name) for name in ("neurons", "synapses"))
    if neurons is not None and synapses is not None:
        assert np.all(np.maximum(neurons, synapses) <= path.seconds)
    assert sum(bound.n_steps for bound in path.bounds) == counts.n_steps
    assert path.per_sample_s.sum() == pytest.approx(path.total_s)
    assert path.mean_s * counts.n_steps == pytest.approx(path.total_s) and path.max_s == path.seconds.max()


def test_synapses_are_paid_for_in_the_step_of_the_spike():
    network = Network([Input("in", 1), LIF("out", 1, vth=131071)], [Dense("in", "out", [[2]])])
    counts = count_per_core(compile(network), events_from_dense([[[0], [1], [0]], [[0], [0], [1]]]))
    process = latency(counts, SANAFE).terms["process"]
    assert process == pytest.approx(np.array([[0, 19.8, 0], [0, 0, 19.8]]) * 1e-9)


def test_seconds_give_static_energy():
    program, events = case("random", 91)
    report = latency(count_per_core(program, events), SANAFE)
    prices = load_energy_table("loihi1-sanafe2026")
    from neurosim.backend import get_backend

    with get_backend().open(program) as runner:
        found = energy(runner.run(events).counts, prices, seconds=report.total_s)
    assert found.static_pj == pytest.approx(104.0 * 1e9 * report.total_s)


def test_uncertainty_is_that_of_the_critical_path():
    counts = counts_of([{"spikes": 1}], pending=[[1]])
    report = latency(counts, SANAFE)
    assert report.total_s == pytest.approx(630e-9) and report.serial_s == pytest.approx(633.8e-9)
    assert report.range_s == pytest.approx((0.75 * 630e-9, 1.25 * 633.8e-9))
    assert latency(counts, SANAFE, "max-affine").range_s is None


@pytest.mark.parametrize("model", MODELS)
def test_report_can_be_written_as_json(model):
    program, events = case("random", 92)
    report = latency(count_per_core(program, events), DAVIES, model)
    again = json.loads(json.dumps(report.to_dict()))
    assert again["total_s"] == report.total_s and again["model"] == model and again["table"] == "loihi1-davies2018"
    assert again["barrier"]["tiles"] == [1, 32] and again["constants"]["synaptic_operations"]["kind"] == "simulated"
    assert [bound["n_steps"] for bound in again["bounds"]] == [bound.n_steps for bound in report.bounds]
    assert set(again["busy_s"]) == {str(core) for core in report.busy} and again["missing"][0]["why"]


def test_unknown_models_and_summed_counts_are_refused():
    program, events = case("random", 93)
    with pytest.raises(ConfigError, match="unknown model 'fast'; choose one of critical-path, max-affine"):
        latency(count_per_core(program, events), SANAFE, "fast")
    for summed in ({"per_sample": False}, {"per_step": False}):
        with pytest.raises(ConfigError, match="count with per_sample=True and per_step=True"):
            latency(count_per_core(program, events, **summed), SANAFE)
