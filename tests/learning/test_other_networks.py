"""Layered networks with convolutions, circles and other neurons: described, quantised, trained, resumed, kept in a file."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from neurosim.arrayfile import pack_arrays, unpack_arrays
from neurosim.codes import CREDIT_LIMIT
from neurosim.compile_network import compile
from neurosim.config import NetworkConfig, TrainConfig, override
from neurosim.errors import ConfigError
from neurosim.experiment import prepare_program
from neurosim.learning.build import READOUT, build_network, run_steps
from neurosim.learning.trainer import Trainer
from neurosim.modelfile import Model, pack_model, unpack_model
from neurosim.network import LIF, Connection, Conv, ConvConnection, CubaLIF, Dense, Input, Network
from neurosim.neurons import ATRLIF, LIFRefractory, MultiSpikeLIF, TernaryLIF
from neurosim.quantize import quantize
from neurosim.tasks import Task, load_task

KINDS = {
    "conv": ["network.convolutions=['2c3s2']"],
    "recurrent": ["network.recurrent=true"],
    "ternary": ["network.neuron=ternary", "chip=loihi2"],
    "graded conv in circles": ["network.neuron=multispike", "network.signed=true", "network.recurrent=true", "chip=loihi2",
                               "network.convolutions=['2c3s2p1']"],
    "pool": ["network.convolutions=['2c3', 'p2', '3c2']", "network.gain=4"],
    "ternary pool": ["network.neuron=ternary", "chip=loihi2", "network.convolutions=['2c3', 'p2']"],
    "pool of means": ["network.neuron=multispike", "network.max_spikes=5", "network.signed=false", "chip=loihi2",
                      "network.convolutions=['2c3', 'p3s2']"],
    "soft reset": ["network.neuron=multispike", "network.max_spikes=1", "network.signed=false", "chip=loihi2",
                   "network.convolutions=['p2', '2c3', 'p2']"],
}  # fmt: skip


@functools.cache
def digits() -> Task:
    return load_task("digits", n_steps=4, augment=False)


def config_of(kind: str) -> TrainConfig:
    lines = ["network.hidden=[6]", "network.n_steps=4", "batch=3", "rule.warmup=1"]
    return override(TrainConfig(), [*lines, *KINDS[kind]])


def open_trainer(kind: str, backend: str = "simulator", threads: int = 1) -> Trainer:
    config, ids = config_of(kind), np.arange(9)
    return Trainer(
        prepare_program(config, digits())[0], READOUT, config.rule, digits().train_events.take(ids),
        digits().train_labels[ids], n_steps=run_steps(config.network), n_generations=6, batch=config.batch, seed=1,
        backend=backend, threads=threads,
    )  # fmt: skip


def trained(kind: str, n: int, **options: object) -> bytes:
    with open_trainer(kind, **options) as trainer:  # type: ignore[arg-type]
        moved = [trainer.step().moved for _ in range(n)]
        assert sum(moved) > 0
        return pack_arrays(*trainer.state())


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_the_same_on_the_twin_for_any_threads_and_resumed(kind: str) -> None:
    whole = trained(kind, 4)
    assert trained(kind, 4, threads=2) == whole
    assert trained(kind, 4, backend="reference") == whole
    half = unpack_arrays(trained(kind, 2), "checkpoint")
    with open_trainer(kind) as trainer:
        trainer.restore(*half)
        for _ in range(2):
            trainer.step()
        assert pack_arrays(*trainer.state()) == whole


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_learned_is_kept_in_a_model_file(kind: str) -> None:
    with open_trainer(kind) as trainer:
        trainer.step()
        network = trainer.program.network.with_weights(trainer.weights)
        model = Model(network, trainer.program.chip)
        loaded = unpack_model(pack_model(model))
        assert compile(loaded.network, loaded.chip).fingerprint == compile(network, model.chip).fingerprint
        plastic = [c.plastic for c in loaded.network.connections]
        assert plastic == ["pool" not in c.target for c in network.connections]
        for fixed in (c for c in network.connections if not c.plastic):
            before = trainer.program.network.connection(fixed.name)
            np.testing.assert_array_equal(fixed.weights, before.weights)


def test_layers_of_convolution_come_first() -> None:
    config = NetworkConfig(hidden=(5,), convolutions=("4c3s2p1", "3c2"), n_steps=6, recurrent=True)
    network = build_network(config, 6 * 5 * 2, 3, 1, "net", (6, 5, 2))
    assert [(g.name, g.n) for g in network.groups] == [
        ("input", 60), ("conv1", 3 * 3 * 4), ("conv2", 2 * 2 * 3), ("hidden", 5), ("readout", 3)
    ]  # fmt: skip
    assert [c.name for c in network.connections] == [
        "input->conv1", "conv1->conv2", "conv2->hidden", "hidden->hidden", "hidden->readout"
    ]  # fmt: skip
    assert all(c.plastic for c in network.connections)
    assert run_steps(config) == 6 + 4
    integers = quantize(network).network.connections
    assert [type(c) for c in integers] == [Conv, Conv, Dense, Dense, Dense]
    assert np.shape(integers[1].weights) == (3, 2, 2, 4)  # type: ignore[union-attr]


def test_convolutions_need_pictures_and_leave_something() -> None:
    config = NetworkConfig(convolutions=("4c3",))
    with pytest.raises(ConfigError, match=r"network.convolutions: the inputs of 'net' are no pictures"):
        build_network(config, 60, 3, 1, "net")
    with pytest.raises(ConfigError, match="'4c3' leaves nothing of a picture of 2 x 9"):
        build_network(config, 18, 3, 1, "net", (2, 9, 1))
    with pytest.raises(ConfigError, match="'0c3' leaves nothing"):
        build_network(NetworkConfig(convolutions=("0c3",)), 18, 3, 1, "net", (9, 9, 1))


@pytest.mark.parametrize(
    ("model", "kind", "bits"),
    [("lif", LIF, 0), ("refractory", LIFRefractory, 0), ("ternary", TernaryLIF, 1), ("multispike", MultiSpikeLIF, 4),
     ("atrlif", ATRLIF, 0)],
)  # fmt: skip
def test_other_neurons_have_thresholds_in_the_same_units(model: str, kind: type, bits: int) -> None:
    network = build_network(NetworkConfig(hidden=(5,), neuron=model), 9, 3, 1, "net")
    plain = quantize(build_network(NetworkConfig(hidden=(5,)), 9, 3, 1, "net")).network.group("hidden")
    integers = quantize(network).network
    group = integers.group("hidden")
    assert type(group) is kind and isinstance(plain, LIF)
    if isinstance(group, TernaryLIF):
        assert (group.vth_hi, group.vth_lo) == (plain.vth, -np.asarray(plain.vth))
    elif isinstance(group, ATRLIF):
        assert (group.theta_0, group.delta_v, group.delta_i) == (plain.vth, plain.dv, plain.du)
    else:
        assert isinstance(group, LIF) and (group.vth, group.du, group.dv) == (plain.vth, plain.du, plain.dv)
    assert integers.connection("hidden->readout").num_message_bits == bits
    assert integers.connection("input->hidden").num_message_bits == 0


def test_a_convolution_in_floats_becomes_integers_without_an_exponent() -> None:
    weights = np.array([0.5, -0.25, 0.125, 0.0]).reshape(1, 2, 2, 1)
    groups = [Input("in", 9), CubaLIF("out", 4)]
    conv = ConvConnection("in", "out", weights, input_shape=(3, 3, 1))
    assert conv.shape == (4, 9) and conv.output_shape == (2, 2, 1)
    quantized = quantize(Network(groups, [conv]))
    found, vth = quantized.network.connections[0], quantized.network.group("out").vth  # type: ignore[union-attr]
    assert isinstance(found, Conv) and found.weight_exp == 0
    np.testing.assert_allclose(np.asarray(found.weights) / np.asarray(vth), weights, atol=0.01)
    few = ConvConnection("in", "out", weights, 4, True, input_shape=(3, 3, 1))
    learned = quantize(Network(groups, [few])).network.connections[0]
    assert isinstance(learned, Conv) and learned.plastic and learned.num_weight_bits == 4
    assert not np.any(np.asarray(learned.weights) % 32) and np.any(learned.weights)


def test_votes_of_shared_weights_bound_the_batch() -> None:
    groups = [Input("in", 9), LIF("a", 4, vth=9), LIF("out", 2, vth=131071)]
    dense = Dense("a", "out", [[2] * 4] * 2, plastic=True)
    limits = []
    for first in (
        Dense("in", "a", [[2] * 9] * 4, plastic=True),
        Conv("in", "a", [[[[2]] * 2] * 2], (3, 3, 1), plastic=True),
    ):
        config = override(TrainConfig(), ["rule.form=response"])
        with pytest.raises(ConfigError, match="could bring a vote beyond 32 bits; the limit is") as raised:
            Trainer(
                compile(Network(groups, [first, dense]), "unlimited"), "out", config.rule, digits().train_events,
                digits().train_labels, n_steps=10, n_generations=1, batch=10**6, seed=1,
            )  # fmt: skip
        limits.append(int(str(raised.value).split("the limit is ")[1].split(",")[0]))
    assert limits[0] == (2**31 - 1) // (10 * CREDIT_LIMIT)
    assert limits[1] == (2**31 - 1) // (4 * 10 * CREDIT_LIMIT)


def test_float_weights_are_no_integers_to_replace() -> None:
    network = Network([Input("in", 1), CubaLIF("out", 1)], [Connection("in", "out", [[1.0]])])
    with pytest.raises(ValueError, match="only integer weights can be replaced; quantize it first"):
        network.with_weights({"in->out": [[1]]})
