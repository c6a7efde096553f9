"""Values worked out by hand, laws of conservation, and plain recounts of what runs of random networks did."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from model_networks import MODELS, conv_network, model_network, random_values
from random_networks import random_events, random_network

import neurosim
from neurosim.backend import RunResult, get_backend
from neurosim.compare import probe_everything
from neurosim.compile_network import compile
from neurosim.costs.footprint import footprint
from neurosim.costs.workload import Workload, workload
from neurosim.costs.worktally import depths
from neurosim.errors import ConfigError, DataError, NetworkError
from neurosim.events import Events, events_from_dense
from neurosim.network import LIF, Conv, Dense, Input, Network, OneToOne, Sparse
from neurosim.neurons import ATRLIF, RF, MultiSpikeLIF, Sigma, TernaryLIF, rotation
from neurosim.program import Program
from neurosim.reference.deliver import connection_matrices
from neurosim.simulator import SimulatorBackend

Ints = npt.NDArray[np.int64]


# --- an example worked out by hand: the network of two layers and two samples of docs/energy.md -------------------------
# Potentials in units of weights; v halves in each step, a spike where v > 2, then v = 0.
# Sample 0: hidden v before the reset [6 2 4 1] [0 1 2 .5] [6 2.5 7 1.25], spikes 1010 0000 1110;
#           out [2 2] [1 1] [4.5 4.5], spikes 00 00 11.
# Sample 1: hidden [0 0 0 0] [2 0 2 1] [5 2 3 .5], spikes 0000 0000 1010; out [0 0] [0 0] [2 2], no spikes.
FIRST = [[2, 0, 4], [0, 0, 2], [2, 2, 2], [1, 0, 0]]
SECOND = [[2, 2, 0, 0], [0, 2, 2, 2]]
SAMPLES = [[[1, 0, 1], [0, 1, 0], [1, 1, 1]], [[0, 0, 0], [1, 0, 0], [0, 0, 1]]]


def example(bias: int = 0) -> Program:
    hidden = LIF("hidden", 4, du=4095, dv=2048, vth=2, bias_mant=[bias, 0, 0, 0])
    groups = [Input("in", 3), hidden, LIF("out", 2, du=4095, dv=2048, vth=2)]
    return compile(Network(groups, [Dense("in", "hidden", FIRST), Dense("hidden", "out", SECOND)]))


def test_example_by_hand() -> None:
    found = workload(example(), events_from_dense(SAMPLES))
    assert found.neurobench() == {
        "Footprint": 20 * 4 + 2 * 20,  # weights; threshold, beta and factor in float32, kind of reset in int64
        "ParameterCount": 12 + 8,
        "ConnectionSparsity": (5 + 3) / 20,
        "ActivationSparsity": 27 / 36,
        # lines fire 3 2 3 times and have 3 1 3 weights; hidden neurons fire 3 1 3 0 times and have 1 2 1 1
        "SynapticOperations": {"Effective_MACs": 0, "Effective_ACs": (20 + 8) / 2, "Dense": 3 * (12 + 8)},
        "MembraneUpdates": (4 + 3 + 3 + 4 + 3 + 4 + 2 + 2 + 2 + 2 + 0 + 2) / 2,
        "NeuronOperations": {"Effective Neuron Ops": 4 * 15.5, "Neuron Dense Ops": 4 * 3 * 6},
    }
    assert [group._asdict() for group in found.groups] == [
        {"group": "hidden", "outputs": 24, "spikes": 7, "membrane_updates": 21, "neuron_operations": 84, "neuron_operations_dense": 96},
        {"group": "out", "outputs": 12, "spikes": 2, "membrane_updates": 10, "neuron_operations": 40, "neuron_operations_dense": 48},
    ]  # fmt: skip
    assert [part._asdict() for part in found.connections] == [
        {"connection": "in->hidden", "dense": 72, "effective_acs": 20, "effective_macs": 0, "stored": 8 * 4},
        {"connection": "hidden->out", "dense": 48, "effective_acs": 8, "effective_macs": 0, "stored": 7 * 2},
    ]


def test_bias_adds_parameters_as_in_the_example_of_neurobench() -> None:
    """The sizes that NeuroBench 2.3.0 gave for layers 3-4 with bias and 4-2 without: 24 and 136, 40 % zeros, 60 dense."""
    found = workload(example(bias=1), events_from_dense(SAMPLES), aligned=False)
    values = found.neurobench()
    assert (values["ParameterCount"], values["Footprint"], values["ConnectionSparsity"]) == (24, 136, 0.4)
    assert values["SynapticOperations"]["Dense"] == 60
    assert found.neuron_operations is not None and found.neuron_operations["Neuron Dense Ops"] == 72


def test_steps_of_the_chip_leave_the_last_spikes_undelivered() -> None:
    found = workload(example(), events_from_dense(SAMPLES), aligned=False)
    # Hidden neurons do in steps 1 and 2 what they do above in calls 0 and 1, the output in step 2 what it does in call 0.
    assert [group.spikes for group in found.groups] == [2, 0]
    # The input of step 2 and what hidden neurons send in step 2 arrive in step 3.
    assert [part.effective_acs for part in found.connections] == [6 + 1 + 3, 2]
    assert [group.membrane_updates for group in found.groups] == [8 + 2 + 3 + 0 + 3, 4 + 0 + 2 + 0 + 0]


def test_longer_runs_add_steps_without_input() -> None:
    found = workload(example(), events_from_dense(SAMPLES), n_steps=4)
    assert found.synaptic_operations["Effective_ACs"] == 14.0  # no spike more: call 3 has none
    assert found.synaptic_operations["Dense"] == 80
    shorter = workload(example(), events_from_dense(SAMPLES), n_steps=2)
    assert [part.effective_acs for part in shorter.connections] == [3 + 3 + 1 + 3, 1 + 1]


# --- footprint ----------------------------------------------------------------------------------------------------------


def test_footprint_on_the_chip_by_hand() -> None:
    held = footprint(example())
    # An axon's synapses: 4 and 2 of 8 bits with a header of 10, in words of 64; 3 and 4 axons.
    assert held.synapse_memory_bits == 3 * 64 + 4 * 64
    assert held.register_bits == 6 * (24 + 24 + 13 + 3) + 2 * (12 + 12 + 17)
    assert held.chip_bits == held.synapse_memory_bits + held.register_bits
    assert held.state_bytes == 6 * 4 and held.torch_bytes == 120


def test_current_with_memory_is_snntorchs_synaptic() -> None:
    network = Network(
        [Input("in", 2), LIF("a", 3, du=[4095, 4095, 7], dv=5, vth=[1, 2, 3])], [Dense("in", "a", np.ones((3, 2), int))]
    )
    program = compile(network)
    held = footprint(program)
    assert held.buffer_bytes == 4 * (3 + 1 + 3 + 1) + 8  # alpha, beta, threshold, factor; kind of reset
    assert held.state_bytes == 4 * 2 * 3
    assert held.register_bits == 3 * 64 + 2 * 12 + 12 + 3 * 17
    dense = workload(program, random_events(1, 2, 5, 2)).neuron_operations
    assert dense is not None and dense["Neuron Dense Ops"] == 8 * 3 * 5


def test_pairs_without_a_synapse_are_zeros_and_cut_weights_too() -> None:
    groups = [Input("in", 4), LIF("a", 4), LIF("b", 3)]
    sparse = Sparse("in", "b", (3, 4), [0, 1, 2], [0, 0, 3], [5, -1, 0], sign_mode="mixed")  # 5 is held as 4, -1 as -2
    program = compile(
        Network(groups, [sparse, OneToOne("in", "a", 4, [1, 2, 4, 0], sign_mode="mixed")])
    )  # 1 is held as 0
    held = footprint(program)
    assert (held.weights, held.zero_weights) == (12 + 16, 10 + 14)
    assert held.connection_sparsity == 24 / 28


def test_exponents_that_cut_each_weight_leave_zeros() -> None:
    groups = [Input("in", 2), LIF("a", 1), LIF("b", 1)]
    dense = Dense("in", "a", [[20, -2]], weight_exp=-8, sign_mode="mixed")  # 10 >> 7 and -1 >> 7 on the chip
    sparse = Sparse("in", "b", (1, 2), [0, 0], [0, 1], [20, -2], weight_exp=-8, sign_mode="mixed")
    for arithmetic, zeros in (("lava-0.10", 0), ("loihi1", 1)):
        for connection in (dense, sparse):
            program = compile(Network(groups, [connection]), arithmetic=arithmetic)
            assert footprint(program).zero_weights == zeros
            (part,) = workload(program, events_from_dense([[[1, 1]]])).connections
            assert part.effective_acs == 2 - zeros


def test_bias_of_a_convolution_is_one_for_each_channel() -> None:
    conv = Conv("in", "maps", np.ones((2, 2, 2, 1), int), (3, 3, 1))
    alike, other = np.tile([3, 4], 4), np.arange(8)
    counts = [
        footprint(compile(Network([Input("in", 9), LIF("maps", 8, bias_mant=bias)], [conv]))).parameter_count
        for bias in (0, alike, other)
    ]
    assert counts == [8, 8 + 2, 8 + 8]


def test_network_without_connections_has_no_sparsity() -> None:
    program = compile(Network([Input("in", 1), LIF("a", 2)]))
    values = workload(program, random_events(0, 1, 3, 1)).neurobench()
    assert values["ConnectionSparsity"] is None and values["ActivationSparsity"] == 1.0
    only_input = workload(compile(Network([Input("in", 1)]), "unlimited"), random_events(0, 1, 3, 1))
    assert only_input.activation_sparsity is None


# --- recounts -----------------------------------------------------------------------------------------------------------


def run(program: Program, events: Events, n_steps: int) -> RunResult:
    network = probe_everything(program.network, states=True)
    with get_backend("reference").open(compile(network, program.chip, program.arithmetic)) as runner:
        return runner.run(events, n_steps)


def messages(result: RunResult, group: str, shape: tuple[int, int, int]) -> Ints:
    """Return what a group sent as an array (samples, steps, neurons)."""
    sent, train = np.zeros(shape, np.int64), result.spikes[group]
    sent[train.sample, train.step, train.neuron] = 1 if train.value is None else train.value
    return sent


def recount(program: Program, events: Events, n_steps: int, batch: int) -> dict[str, Any]:
    """Count steps of the chip with matrices of zeros and ones, batch by batch and step by step."""
    network, samples = program.network, events.n_samples
    result = run(program, events, n_steps)
    spikes, updates, acs, macs, dense = 0, 0, 0, 0, 0
    outputs = 0
    for group in network.groups:
        if isinstance(group, Input):
            continue
        sent = messages(result, group.name, (samples, n_steps, group.n))
        spikes, outputs = spikes + np.count_nonzero(sent), outputs + sent.size
        if "v" in group.states:
            v = result.states[group.name, "v"]
            updates += v[:, 0].size + sum(np.count_nonzero(v[:, t] != v[:, t - 1]) for t in range(1, n_steps))
    for connection in network.connections:
        matrices = connection_matrices(connection)
        sent = messages(result, connection.source, (samples, n_steps, network.group(connection.source).n))
        if not connection.num_message_bits:
            sent = (sent != 0).astype(np.int64)
        for first in range(0, samples, batch):
            for t in range(n_steps):
                inputs = sent[first : first + batch, t - 1] if t else np.zeros_like(sent[first : first + batch, 0])
                n = int(((matrices.weights != 0).astype(np.int64) @ (inputs != 0).T).sum())
                if np.isin(inputs, (-1, 0, 1)).all():
                    acs += n
                else:
                    macs += n
        pairs = matrices.stored.sum() if isinstance(connection, Conv) else matrices.stored.size
        dense += int(pairs) * n_steps * samples
    return {"outputs": outputs, "spikes": spikes, "updates": updates, "acs": acs, "macs": macs, "dense": dense,
            "counts": result.counts}  # fmt: skip


def assert_recounted(found: Workload, expected: dict[str, Any]) -> None:
    assert sum(group.outputs for group in found.groups) == expected["outputs"]
    assert sum(group.spikes for group in found.groups) == expected["spikes"]
    assert sum(group.membrane_updates or 0 for group in found.groups) == expected["updates"]
    assert sum(part.effective_acs for part in found.connections) == expected["acs"]
    assert sum(part.effective_macs for part in found.connections) == expected["macs"]
    assert sum(part.dense for part in found.connections) == expected["dense"]
    counts = expected["counts"]  # every spike that arrived went through all stored synapses
    assert {part.connection: part.stored for part in found.connections} == {
        part.connection: counts.of(part.connection, "synaptic_operations") for part in found.connections
    }
    assert {group.group: group.spikes for group in found.groups} == {
        group.group: counts.of(group.group, "spikes") for group in found.groups
    }
    assert all(part.effective_acs + part.effective_macs <= min(part.stored, part.dense) for part in found.connections)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_are_recounted(seed: int) -> None:
    network = random_network(seed)
    program, events = compile(network, "unlimited"), random_events(seed, 5, 12, network.n_inputs)
    assert_recounted(workload(program, events, aligned=False), recount(program, events, 12, 5))


@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("seed", range(8))
def test_networks_of_all_models_are_recounted_in_batches(seed: int, batch: int) -> None:
    network = model_network(seed, MODELS, delays=False)
    program = compile(network, "unlimited")
    events = random_values(seed, 5, 9, network.n_inputs, largest=2)
    found = workload(program, events, batch=batch, aligned=False)
    assert_recounted(found, recount(program, events, 9, batch))


@pytest.mark.parametrize("seed", range(8))
def test_convolutions_are_recounted(seed: int) -> None:
    program = compile(conv_network(seed), "unlimited")
    events = random_values(seed, 3, 6, program.network.n_inputs, largest=2)
    assert_recounted(workload(program, events, batch=1, aligned=False), recount(program, events, 6, 1))


def test_convolution_with_padding_window_by_window() -> None:
    rng = np.random.default_rng(8)
    kernel = rng.integers(-2, 3, (3, 3, 2, 2))
    program = compile(Network([Input("in", 40), LIF("maps", 75)], [Conv("in", "maps", kernel, (5, 4, 2), padding=1)]))
    picture = rng.random((5, 4, 2)) < 0.4
    effective = dense = 0
    for out, x, y in np.ndindex(3, 5, 5):
        for i, j, channel in np.ndindex(3, 2, 2):
            at = x + i - 1, y + j - 1
            if 0 <= at[0] < 5 and 0 <= at[1] < 4:
                dense += 1
                effective += int(picture[at][channel] and kernel[out, 2 - i, 1 - j, channel] != 0)
    found = workload(program, events_from_dense(picture.reshape(1, 1, 40)))
    assert [(part.dense, part.effective_acs) for part in found.connections] == [(dense, effective)]
    assert (found.footprint.weights, found.footprint.zero_weights) == (36, sum(w == 0 for w in kernel.ravel().tolist()))


def same_call(network: Network, data: npt.NDArray[Any], lags: dict[str, int]) -> dict[str, int]:
    """Call all layers in one step, in the order of the groups, in plain integers, and count.

    A connection delivers what its source sent so many calls ago: 0 from layer to layer, more where it goes back.
    """
    counts = {"spikes": 0, "updates": 0, "acs": 0}
    groups = [group for group in network.groups if isinstance(group, LIF)]
    u, v = ({group.name: np.zeros((len(data), group.n), np.int64) for group in groups} for _ in range(2))
    sent: dict[tuple[str, int], Ints] = {}
    for t in range(data.shape[1]):
        sent["in", t] = data[:, t].astype(np.int64)
        for group in groups:
            total = np.zeros((len(data), group.n), np.int64)
            for link in network.connections:
                if link.target == group.name and t >= lags[link.name]:
                    weights, x = np.asarray(link.weights), sent[link.source, t - lags[link.name]]
                    total += x @ weights.T
                    counts["acs"] += int((x @ (weights != 0).T.astype(np.int64)).sum())
            old_u, old_v = u[group.name], v[group.name]
            u[group.name] = np.sign(old_u) * (np.abs(old_u) * (4095 - group.du) >> 12) + (total << 6)
            raw = np.sign(old_v) * (np.abs(old_v) * (4096 - group.dv) >> 12) + u[group.name]
            sent[group.name, t] = (raw > group.vth << 6).astype(np.int64)
            v[group.name] = np.where(raw > group.vth << 6, 0, raw)
            counts["updates"] += old_v.size if t == 0 else int(np.count_nonzero(v[group.name] != old_v))
            counts["spikes"] += int(sent[group.name, t].sum())
    return counts


FORWARD = {"in->g0": 0, "g0->g1": 0, "g1->g2": 0}
BACK = {"g1->g1": 1, "g2->g0": 3, "g1->g0": 2}  # from depth a to depth b: a + 1 - b calls later


@pytest.mark.parametrize("lags", [FORWARD, FORWARD | BACK])
@pytest.mark.parametrize("seed", range(6))
def test_aligned_layers_do_what_layers_called_in_one_step_do(seed: int, lags: dict[str, int]) -> None:
    rng = np.random.default_rng(seed)
    sizes = {name: int(rng.integers(3, 12)) for name in ("in", "g0", "g1", "g2")}
    groups = [
        LIF(name, sizes[name], du=int(rng.integers(4096)), dv=int(rng.integers(4096)), vth=int(rng.integers(1, 200)))
        for name in ("g0", "g1", "g2")
    ]
    links = []
    for name in lags:
        source, target = name.split("->")
        shape = sizes[target], sizes[source]
        links.append(
            Dense(source, target, 2 * rng.integers(-30, 50, shape) * (rng.random(shape) < 0.7), sign_mode="mixed")
        )
    network = Network([Input("in", sizes["in"]), *groups], links)
    data = rng.random((4, 15, sizes["in"])) < 0.4
    found = workload(compile(network, "unlimited"), events_from_dense(data))
    expected = same_call(network, data, lags)
    assert expected == {
        "spikes": sum(group.spikes for group in found.groups),
        "updates": sum(group.membrane_updates or 0 for group in found.groups),
        "acs": sum(part.effective_acs for part in found.connections),
    }


# --- graded messages ----------------------------------------------------------------------------------------------------


def test_one_value_makes_macs_of_the_whole_step_of_its_batch() -> None:
    weights = [[3, 0], [4, 5]]
    groups = [Input("in", 2), LIF("a", 2, vth=1000)]
    program = compile(
        Network(groups, [Dense("in", "a", weights, sign_mode="excitatory", num_message_bits=4)]), "unlimited"
    )
    data = [[[1, -1], [0, 3], [1, 0]], [[1, 0], [1, 1], [0, 0]], [[1, 0], [1, 0], [-1, 0]]]
    events = events_from_dense(data, graded=True)
    operations = {batch: workload(program, events, batch=batch).synaptic_operations for batch in (1, 2, 3)}
    # Lines have 2 and 1 weights. Step 0: 3 + 2 + 2; step 1: 1 (a value of 3), 3, 2; step 2: 2 + 0 + 2.
    for batch, macs in ((1, 1), (2, 1 + 3), (3, 1 + 3 + 2)):
        assert operations[batch] == {"Effective_MACs": macs / 3, "Effective_ACs": (17 - macs) / 3, "Dense": 12.0}
    binary = compile(Network(groups, [Dense("in", "a", weights, sign_mode="excitatory")]))
    assert workload(binary, events).synaptic_operations["Effective_MACs"] == 0  # values are not looked at


# --- what cannot be said ------------------------------------------------------------------------------------------------


def of(group: Any, size: int = 2) -> Workload:
    ports = len(group.ports) > 1
    connection = Dense("in", "a", np.full((size, 3), 4), num_message_bits=8, port=group.ports[0] if ports else "")
    return workload(compile(Network([Input("in", 3), group], [connection]), "unlimited"), random_events(3, 2, 6, 3))


def test_models_without_a_counterpart_have_none_and_not_zero() -> None:
    sine, cosine = rotation(10, 0.1)
    for group in (Sigma("a", 2), RF("a", 2, sine, cosine)):
        found = of(group)
        assert found.membrane_updates is None and found.neuron_operations is None
        values = found.neurobench()
        assert values["Footprint"] is None and values["MembraneUpdates"] is None and values["NeuronOperations"] is None
        assert found.footprint.register_bits is None and found.footprint.chip_bits is None
        assert found.synaptic_operations["Effective_ACs"] > 0 and found.activation_sparsity is not None
    for group in (ATRLIF("a", 2), TernaryLIF("a", 2), MultiSpikeLIF("a", 2, vth=3, max_spikes=5)):
        found = of(group)
        assert found.membrane_updates is not None and found.neuron_operations is None
        assert found.footprint.torch_bytes is None


def test_backend_that_shows_no_states_has_no_membrane_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimulatorBackend, "features", SimulatorBackend.features - {"probe_state"})
    found = workload(example(), events_from_dense(SAMPLES))
    assert found.membrane_updates is None and found.neuron_operations is None
    assert found.synaptic_operations["Effective_ACs"] == 14


def test_delays_are_refused() -> None:
    network = Network([Input("in", 2), LIF("a", 1)], [Dense("in", "a", [[1, 2]], delays=[[0, 3]])])
    with pytest.raises(NetworkError, match="'in->a': delays up to 3 steps, which no layer"):
        workload(compile(network), random_events(0, 1, 3, 2))


def test_groups_that_do_not_wait_for_their_input_are_refused_unless_steps_are_the_chips() -> None:
    events = events_from_dense(SAMPLES)
    with pytest.raises(NetworkError, match="'hidden': its bias acts in 1 steps before its input.*aligned=False"):
        workload(example(bias=1), events)
    eager = Network([Input("in", 3), TernaryLIF("a", 1, vth_hi=-1, vth_lo=-1)], [Dense("in", "a", [[1, 2, 3]])])
    with pytest.raises(NetworkError, match="'a': fires in step 0, before its input arrives in step 1"):
        workload(compile(eager, "unlimited"), events)
    assert workload(compile(eager, "unlimited"), events, aligned=False).activation_sparsity == 0


def test_bad_arguments_are_refused() -> None:
    events = events_from_dense(SAMPLES)
    for batch in (0, -1, 1.5, True):
        with pytest.raises(ConfigError, match=f"batch: {batch} is not a positive integer"):
            workload(example(), events, batch=batch)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="n_steps: 0 is not a positive integer"):
        workload(example(), events, n_steps=0)
    with pytest.raises(DataError, match="no samples"):
        workload(example(), events.take([]))


# --- how it is counted does not matter ----------------------------------------------------------------------------------


def test_blocks_threads_and_backends_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network = model_network(3, ("lif", "multispike"), delays=False)
    program, events = compile(network, "unlimited"), random_values(3, 11, 8, network.n_inputs, largest=3)
    one = workload(program, events, batch=4, aligned=False)
    assert sum(part.effective_macs for part in one.connections) > 0
    assert workload(program, events, batch=4, aligned=False, backend="reference") == one
    assert workload(program, events, batch=4, aligned=False, threads=3) == one
    for size in (1, 3 * 8 * network.n_neurons, 1000):
        monkeypatch.setattr(sys.modules["neurosim.costs.workload"], "BLOCK", size)
        assert workload(program, events, batch=4, aligned=False) == one


def test_permuted_samples_count_the_same() -> None:
    network = random_network(5, recurrent=False)
    program, events = compile(network, "unlimited"), random_events(5, 9, 10, network.n_inputs)
    order = np.random.default_rng(0).permutation(9)
    assert workload(program, events.take(order), aligned=False) == workload(program, events, aligned=False)


def test_depth_is_the_shortest_way_from_an_input() -> None:
    groups = [Input("in", 1), *(LIF(name, 1) for name in "abcdef")]
    pairs = ["in>a", "a>b", "b>c", "c>c", "c>a", "in>c", "d>e", "e>d", "e>b", "d>f"]
    network = Network(groups, [Dense(*pair.split(">"), [[1]]) for pair in pairs])
    # d and e drive each other and nobody drives them
    assert depths(network) == {"in": 0, "a": 1, "b": 1, "c": 1, "d": 0, "e": 0, "f": 0}


def test_result_is_json_and_its_values_are_the_sums() -> None:
    found = workload(example(), events_from_dense(SAMPLES))
    stored = json.loads(json.dumps(found.to_dict()))
    assert stored["neurobench"] == found.neurobench()
    assert stored["connections"][0]["effective_acs"] == 20 and stored["footprint"]["chip_bits"] == 914


def test_it_is_a_public_name() -> None:
    assert neurosim.workload is workload
