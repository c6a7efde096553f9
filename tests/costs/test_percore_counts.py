"""Counts by core, step and sample: sums, conservation laws, and what they cost."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from percore_cases import KINDS, case, scattered

from neurosim.backend import get_backend
from neurosim.chip import load_chip
from neurosim.compile_network import compile
from neurosim.costs import listening, percore
from neurosim.costs.corecounts import COUNTED, OUTSIDE, SYNAPTIC
from neurosim.costs.percore import CHIP, core_energy, count_per_core
from neurosim.counters import COLUMN
from neurosim.energy import energy, energy_table_names, load_energy_table
from neurosim.errors import BackendError, ConfigError, DataError, FeatureError
from neurosim.events import events_from_dense
from neurosim.mapping import LearningNeeds
from neurosim.network import LIF, Conv, Dense, Input, Network, Sparse

N_STEPS = 7
SUMMED = [name for name in (SYNAPTIC, *COUNTED) if name in COLUMN]
ARRAYS = ("operations", "synaptic", "pending", "loads")


def run(program, events, n_steps=N_STEPS, backend="simulator"):
    with get_backend(backend).open(program) as runner:
        return runner.run(events, n_steps).counts


@pytest.mark.parametrize("backend", ["simulator", "reference"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_sums_over_cores_are_the_totals_of_a_run(kind, seed, backend):
    program, events = case(kind, 10 + seed)
    expected = run(program, events, backend=backend)
    counts = count_per_core(program, events, N_STEPS, backend=backend)
    assert {name: counts.total(name) for name in SUMMED} == {name: expected.total(name) for name in SUMMED}
    found = {}
    for core in counts.cores:
        for name, n in counts.by_kind(core).items():
            found[name] = found.get(name, 0) + n
    assert found == expected.by_kind()
    assert (counts.n_samples, counts.n_steps) == (expected.n_samples, expected.n_steps)


@pytest.mark.parametrize("n_steps", [1, 3, None])
def test_fewer_steps_than_the_input_has(n_steps):
    program, events = case("models", 17)
    expected, counts = run(program, events, n_steps), count_per_core(program, events, n_steps)
    assert {name: counts.total(name) for name in SUMMED} == {name: expected.total(name) for name in SUMMED}
    assert counts.steps_per_sample == (n_steps or events.n_steps)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_both_backends_count_the_same_at_every_core(kind, seed):
    program, events = case(kind, 20 + seed)
    fast, slow = (count_per_core(program, events, N_STEPS, backend=name) for name in ("simulator", "reference"))
    for name in (*ARRAYS, "farthest"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name))


@pytest.mark.parametrize("kind", KINDS)
def test_each_step_and_sample_is_that_of_a_run_of_one_step(kind):
    program, events = case(kind, 30, n_samples=2)
    counts = count_per_core(program, events, N_STEPS)
    with get_backend().open(program) as runner:
        for sample in range(2):
            state = None
            for step in range(N_STEPS):
                window = listening._window(events, slice(sample, sample + 1), slice(step, step + 1))
                result = runner.run(window, 1, state)
                state = result.final
                for name in SUMMED:
                    part = counts.synaptic if name == SYNAPTIC else counts.operations[..., COUNTED.index(name)]
                    assert part[sample, step].sum() == result.counts.total(name), (name, sample, step)


@pytest.mark.parametrize("kind", KINDS)
def test_sums_over_samples_and_steps_are_those_of_single_ones(kind):
    program, events = case(kind, 40)
    single = count_per_core(program, events, N_STEPS)
    for per_sample, per_step in ((True, False), (False, True), (False, False)):
        summed = count_per_core(program, events, N_STEPS, per_sample=per_sample, per_step=per_step)
        for name in ARRAYS:
            axes = [0] * (not per_sample) + [1] * (not per_step and name != "pending")
            expected = getattr(single, name).sum(axis=tuple(axes), keepdims=True)
            np.testing.assert_array_equal(getattr(summed, name), expected)
        axes = tuple([0] * (not per_sample) + [1] * (not per_step))
        np.testing.assert_array_equal(summed.farthest, single.farthest.max(axis=axes, keepdims=True))
        assert summed.by_core() == single.by_core() and summed.by_link() == single.by_link()


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_and_threads_change_nothing(kind, monkeypatch):
    program, events = case(kind, 50)
    expected = count_per_core(program, events, N_STEPS)
    threads = count_per_core(program, events, N_STEPS, threads=2)
    monkeypatch.setattr(listening, "PIECE_VALUES", 1000)
    pieces = count_per_core(program, events, N_STEPS)
    for name in (*ARRAYS, "farthest"):
        np.testing.assert_array_equal(getattr(pieces, name), getattr(expected, name))
        np.testing.assert_array_equal(getattr(threads, name), getattr(expected, name))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_conservation(kind, seed):
    program, events = case(kind, 60 + seed)
    counts = count_per_core(program, events, N_STEPS)
    by_name = {name: counts.operations[..., i] for i, name in enumerate(COUNTED)}
    # every packet that is sent arrives, in the same step
    sent = by_name["messages"] + by_name["messages_local"]
    np.testing.assert_array_equal(by_name["messages_in"].sum(axis=-1), sent.sum(axis=-1))
    # packets to the own core arrive there
    assert np.all(by_name["messages_in"] >= by_name["messages_local"])
    # links carry the hops of the packets, direction by direction
    for i, name in enumerate(("hops_east", "hops_west", "hops_north", "hops_south")):
        crossed = counts.loads[..., counts.links[:, 2] == i].sum(axis=-1)
        np.testing.assert_array_equal(crossed, by_name[name].sum(axis=-1))
    # every neuron is updated in every step, on its core, and no input line is
    held = np.bincount(program.mapping.core[program.network.n_inputs :], minlength=len(counts.cores))
    updates = by_name["neuron_updates_active"] + by_name["neuron_updates_idle"]
    assert np.all(updates[..., :-1] == held) and np.all(updates[..., -1] == 0)
    # nothing arrives or is read outside, and only packets that arrive make a core read
    assert not by_name["messages_in"][..., -1].any() and not by_name["synapse_bits_read"][..., -1].any()
    assert np.all((by_name["synapse_bits_read"] > 0) == (by_name["messages_in"] > 0))
    # nothing is delivered in the first step
    assert not counts.synaptic[:, 0].any()


def test_a_group_on_two_cores_that_shares_one_by_hand():
    network = Network(
        [Input("in", 2), LIF("a", 3, du=4095, dv=4095, vth=0), LIF("b", 1, du=4095, dv=4095, vth=131071)],
        [Dense("in", "a", [[2, 0], [2, 0], [0, 2]]), Sparse("a", "b", (1, 3), [0, 0], [0, 2], [2, 2])],
    )
    program = compile(network, scattered(2))
    one, _, other, shared = program.mapping.core[2:].tolist()
    assert one != other == shared
    counts = count_per_core(program, events_from_dense([[[1, 0], [0, 1], [0, 0]]]), 3)
    # a[0] and a[1] fire in step 1, a[2] in step 2; inputs send to both cores of a
    spikes = counts.operations[0, :, :, COUNTED.index("spikes")]
    assert spikes[:, one].tolist() == [0, 2, 0] and spikes[:, other].tolist() == [0, 0, 1]
    assert spikes[:, -1].tolist() == [1, 1, 0] and counts.of(OUTSIDE, "messages") == 4
    # a[0] sends to the other core, a[2] to its own, a[1] to none
    assert counts.of(one, "messages") == 1 and counts.of(other, "messages_local") == 1
    assert counts.of(one, "messages_in") == 2 and counts.of(other, "messages_in") == 4
    dense, sparse = counts.kinds.index("dense"), counts.kinds.index("sparse")
    assert counts.synaptic[0, :, one, dense].tolist() == [0, 2, 2]
    assert counts.synaptic[0, :, other, dense].tolist() == [0, 1, 1]
    assert counts.synaptic[0, :, other, sparse].tolist() == [0, 0, 1] and not counts.synaptic[0, :, one, sparse].any()
    assert (
        counts.pending[0, other].tolist() == [int(i == sparse) for i in range(2)] and not counts.pending[0, one].any()
    )


def test_idle_network_does_nothing_but_idle_updates():
    network = Network([Input("in", 4), LIF("out", 10)], [Dense("in", "out", np.full((10, 4), 8))])
    counts = count_per_core(compile(network, scattered()), events_from_dense(np.zeros((2, 3, 4), np.int64)))
    assert {name for found in counts.by_core().values() for name in found} == {"neuron_updates_idle"}
    assert counts.total("neuron_updates_idle") == 2 * 3 * 10 and not counts.loads.any() and not counts.farthest.any()


@pytest.mark.parametrize("table", energy_table_names())
@pytest.mark.parametrize("kind", KINDS)
def test_energy_of_all_cores_is_that_of_the_run(kind, table):
    prices = load_energy_table(table)
    for seed in range(70, 73):
        program, events = case(kind, seed)
        expected = energy(run(program, events), prices)
        found = core_energy(count_per_core(program, events, N_STEPS), prices)
        assert set(found) == {*range(len(program.mapping.cores)), OUTSIDE, CHIP}
        parts = [(name, pj) for owner in found.values() for name, pj in owner.items()]
        assert math.fsum(pj for _, pj in parts if pj is not None) == pytest.approx(expected.total_pj or 0.0, rel=1e-12)
        unpriced = {item.counter for item in expected.unpriced}
        assert {name for name, pj in parts if pj is None} == unpriced


def test_energy_of_a_core_by_hand():
    conv = Conv("in", "out", np.full((1, 2, 2, 1), 2), (3, 3, 1))
    network = Network([Input("in", 9), LIF("out", 4, vth=131071, du=4095, dv=4095)], [conv])
    program = compile(network, scattered(4))
    counts = count_per_core(program, events_from_dense([[[0, 0, 0, 0, 1, 0, 0, 0, 0], [0] * 9]]))
    found = core_energy(counts, load_energy_table("loihi1-sanafe2026"))
    assert found[0] == pytest.approx(
        {"synaptic_operations_conv": 4 * 24.0, "neuron_updates_active": 4 * 72.8, "neuron_updates_idle": 4 * 51.2}
    )
    assert found[OUTSIDE] == {"input_spikes": None, "input_messages": None} and found[CHIP] == {"barriers": None}


def test_counts_can_be_written_as_json():
    program, events = case("random", 81)
    counts = count_per_core(program, events)
    again = json.loads(json.dumps(counts.to_dict()))
    cores = {row["core"]: row for row in again["cores"]}
    assert cores["outside"]["tile"] is None and cores[0]["tile"] == list(counts.tiles[0])
    assert sum(row.get("spikes", 0) for row in again["cores"]) == counts.total("spikes") > 0
    assert sum(row["packets"] for row in again["links"]) == int(counts.loads.sum()) > 0
    assert (again["n_samples"], again["n_steps"], again["backend"]) == (3, 15, "simulator")


def test_unknown_cores_and_counters_are_refused():
    program, events = case("random", 82)
    counts = count_per_core(program, events)
    with pytest.raises(ConfigError, match=r"core 99 is not in use; cores are 0, 1.* and 'outside'"):
        counts.of(99, "spikes")
    with pytest.raises(ConfigError, match="'votes' is not counted by core; choose one of synaptic_operations"):
        counts.total("votes")


def test_wrong_steps_and_events_are_refused():
    program, events = case("random", 83)
    with pytest.raises(ConfigError, match="n_steps: 0 is not a positive integer"):
        count_per_core(program, events, 0)
    with pytest.raises(DataError, match="made for 1 input lines"):
        count_per_core(program, events_from_dense([[[1]]]))


class Other:
    """A backend that lacks something, or counts wrongly."""

    def __init__(self, features, wrong=0):
        self.inner, self.features, self.wrong = get_backend("simulator"), features, wrong
        self.version = self.inner.version

    def open(self, program, *, threads=1, strict=False):
        self.runner = self.inner.open(program, threads=threads)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.runner.close()

    def run(self, events, n_steps=None, state=None):
        result = self.runner.run(events, n_steps, state)
        result.counts.matrix[0, COLUMN["spikes"]] += self.wrong
        return result


def test_a_backend_without_counts_is_refused_by_name(monkeypatch):
    program, events = case("random", 84)
    monkeypatch.setattr(percore, "get_backend", lambda name: Other(get_backend().features - {"counts"}))
    with pytest.raises(FeatureError, match=r"backend 'bare' lacks: counts \(exact operation counts\); use the backend"):
        count_per_core(program, events, backend="bare")


def test_a_backend_that_counts_otherwise_is_found_out(monkeypatch):
    program, events = case("random", 85)
    monkeypatch.setattr(percore, "get_backend", lambda name: Other(get_backend().features, wrong=1))
    with pytest.raises(BackendError, match=r"backend 'odd': spikes are \d+ by its own count and \d+ by core"):
        count_per_core(program, events, backend="odd")


def test_no_samples_give_empty_counts():
    program, events = case("random", 86)
    counts = count_per_core(program, events.take([]))
    assert counts.operations.shape[0] == 0 and counts.total("spikes") == 0 and counts.n_steps == 0


def test_one_core_sends_nothing_over_links():
    program, events = case("models", 87, load_chip("unlimited"))
    counts = count_per_core(program, events)
    assert counts.cores == (0,) and counts.by_link() == {} and counts.loads.shape == (3, 5, 0)
    assert counts.of(0, "messages_in") == counts.of(0, "messages_local") + counts.of(OUTSIDE, "messages")


@pytest.mark.parametrize(
    "limits",
    [
        {"axon_row_bits": 256},
        {"shared_synapses": "kernel"},
        {"shared_synapses": "shifted"},
        {"address_padding": "power_of_two"},
        {"bits_per_synapse": 3},
    ],
    ids=lambda limits: next(iter(limits)),
)
@pytest.mark.parametrize("kind", KINDS)
def test_each_core_reads_as_its_chip_stores(kind, limits):
    program, events = case(kind, 95, replace(scattered(), **limits))
    expected = run(program, events)
    counts = count_per_core(program, events, N_STEPS)
    assert counts.total("synapse_bits_read") == expected.total("synapse_bits_read")


def test_reads_include_what_learning_keeps_beside_a_weight():
    network = Network(
        [Input("in", 3), LIF("out", 4)], [Dense("in", "out", np.full((4, 3), 8), sign_mode="mixed", plastic=True)]
    )
    needs = LearningNeeds({"in->out": 40}, {}, {}, 0)
    program = compile(network, replace(scattered(), tag_bits=64), learning=needs)
    events = events_from_dense([[[1, 0, 1]]])
    assert count_per_core(program, events, learning=needs).total("synapse_bits_read") == run(program, events, 1).total(
        "synapse_bits_read"
    )
    with pytest.raises(BackendError, match="synapse_bits_read are"):
        count_per_core(program, events)


@pytest.mark.parametrize(
    "groups",
    [[Input("in", 3)], [LIF("a", 3, bias_mant=100, vth=3)], [Input("in", 3), LIF("a", 3)]],
    ids=["no neurons", "no inputs", "no connections"],
)
def test_networks_without_some_part(groups):
    network = Network(groups)
    program, events = compile(network), events_from_dense(np.ones((2, 4, network.n_inputs), np.int64))
    counts, expected = count_per_core(program, events), run(program, events, 4)
    assert {name: counts.total(name) for name in SUMMED} == {name: expected.total(name) for name in SUMMED}
    assert counts.of(OUTSIDE, "spikes") == 2 * 4 * network.n_inputs and not counts.by_link()
