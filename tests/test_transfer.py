"""Training that begins with a model trained elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurosim.chip import load_chip
from neurosim.config import TrainConfig, override
from neurosim.decays import time_constant
from neurosim.errors import ConfigError, ModelFileError
from neurosim.exchange.imported import Port, chip_order
from neurosim.experiment import describe_network, evaluate_model, open_trainer, prepare_program, train_model
from neurosim.modelfile import Model, load_model, save_model
from neurosim.network import LIF, Conv, Dense, Input, Network
from neurosim.quantize import quantize
from neurosim.runfolder import RunFolder
from neurosim.tasks import load_task
from neurosim.transfer import model_network, starting_model, task_to_learn

SMALL = ["network.hidden=[8]", "network.n_steps=4", "augment=false", "batch=64", "epochs=1", "rule.warmup=2"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = RunFolder.create(tmp_path_factory.mktemp("transfer") / "source")
    train_model(override(TrainConfig(task="digits-ordered"), SMALL), folder, threads=1)
    return folder.model_path


def started(path: Path, *extra: str) -> TrainConfig:
    return override(TrainConfig(), [*SMALL, *extra, f"start={path.as_posix()}"])


def test_training_begins_with_the_weights_of_the_model(trained):
    config, task = started(trained), load_task("digits", n_steps=4, augment=False)
    program, notes = prepare_program(config, task)
    model = load_model(trained)
    assert notes == ()
    assert program.network.name == "digits-1"
    assert dict(program.scales) == model.scales
    with open_trainer(config, program, task, threads=1) as trainer:
        for connection in model.network.connections:
            assert (trainer.weights[connection.name] == np.asarray(connection.weights)).all()
        trainer.step()
        assert any((trainer.weights[c.name] != np.asarray(c.weights)).any() for c in model.network.connections)


def test_a_started_run_resumes_to_the_same_bytes(trained, tmp_path):
    config = started(trained, "checkpoint_every=5")
    whole, parts = RunFolder.create(tmp_path / "whole"), RunFolder.create(tmp_path / "parts")
    train_model(config, whole, threads=1)

    def stop(progress):
        if progress.generation == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(config, parts, threads=1, on_progress=stop)
    train_model(config, parts, threads=1, resume=True)
    assert whole.model_path.read_bytes() == parts.model_path.read_bytes()


def test_steps_may_differ_and_the_rest_of_the_network_may_not(trained):
    task = load_task("digits", n_steps=6, augment=False)
    assert prepare_program(started(trained, "network.n_steps=6"), task)[0].network.group("hidden").n == 8
    with pytest.raises(
        ConfigError,
        match=r"trained with network.hidden = \[8\], the configuration has \(9,\); set network.hidden=\[8\]",
    ):
        prepare_program(started(trained, "network.hidden=[9]"), task)
    with pytest.raises(ConfigError, match="network.weight_bits = 8, the configuration has 4"):
        prepare_program(started(trained, "network.weight_bits=4"), task)


def test_a_task_of_another_size_is_refused(trained):
    task = replace(load_task("digits", n_steps=4, augment=False), n_inputs=65)
    with pytest.raises(ConfigError, match=f"has 64 inputs, task 'digits' has {task.n_inputs}"):
        prepare_program(started(trained), task)
    with pytest.raises(ConfigError, match="has 10 classes, task 'digits' has 9; train anew"):
        prepare_program(started(trained), replace(load_task("digits", n_steps=4, augment=False), n_classes=9))


def test_a_model_that_was_not_trained_here_is_refused(trained, tmp_path):
    model = load_model(trained)
    other = tmp_path / "other.npz"
    save_model(other, Model(model.network, model.chip))
    with pytest.raises(
        ConfigError,
        match="does not say how it was trained; give a model that neurosim train or neurosim import has written",
    ):
        model_network(load_model(other), "start 'other.npz'")
    with pytest.raises(ModelFileError, match="missing"):
        prepare_program(started(tmp_path / "missing.npz"), load_task("digits", n_steps=4, augment=False))


def imported_model(fires: bool) -> Model:
    """A network as `neurosim import` would leave it: other names, excitatory weights, pictures numbered as a framework does."""
    draw = np.random.default_rng(5)
    groups = [
        Input("x", 64), LIF("1", 36, du=4095, dv=400, vth=100), LIF("3", 10, du=4095, vth=60 if fires else 131071),
    ]  # fmt: skip
    kernel = draw.integers(-20, 40, (1, 3, 3, 1)) * 2
    connections = [
        Conv("x", "1", kernel, (8, 8, 1)), Dense("1", "3", draw.integers(0, 90, (10, 36)), sign_mode="excitatory"),
    ]  # fmt: skip
    port = Port("x", (1, 8, 8), chip_order((1, 8, 8)))
    metadata = {
        "import": {"format": "nir"}, "readout": "3", "latency": 2, "inputs": port.to_dict(),
        "outputs": Port("3", (10,), np.arange(10)).to_dict(),
        "answer": {"fitness": "count" if fires else "likelihood"},
    }  # fmt: skip
    return Model(Network(groups, connections, name="cnn"), load_chip("unlimited"), metadata=metadata)


def test_an_imported_model_learns_on(tmp_path):
    path, folder = tmp_path / "cnn.npz", RunFolder.create(tmp_path / "on")
    save_model(path, imported_model(fires=False))
    network = model_network(load_model(path), "start")
    assert network.hidden == (36,)
    config = override(TrainConfig(), ["network.n_steps=4", "network.hidden=[36]", "augment=false", "batch=64", "epochs=3",
                                      "rule.warmup=2", "chip=unlimited", f"start={path.as_posix()}"])  # fmt: skip
    task = load_task("digits", n_steps=4, augment=False)
    before = evaluate_model(load_model(path), task, threads=1)["accuracy"]
    metrics = train_model(config, folder, threads=1)
    after = load_model(folder.model_path)
    assert metrics["test"]["accuracy"] > max(before, 0.5)
    assert evaluate_model(after, task, threads=1)["accuracy"] == metrics["test"]["accuracy"]
    assert after.metadata["inputs"] == {"group": "input", "shape": [1, 8, 8], "order": "whc"}
    assert after.metadata["import"] == {"format": "nir"}
    assert [type(c).__name__ for c in after.network.connections] == ["Conv", "Dense"]


def test_a_task_goes_to_the_input_lines_of_an_imported_model():
    task, model = load_task("digits", n_steps=4, augment=False), imported_model(fires=False)
    bound = task_to_learn(task, model)
    assert (bound.train_events.neuron != task.train_events.neuron).any()
    assert (bound.train_events.to_dense() == task.train_events.to_dense()[..., chip_order((1, 8, 8))]).all()
    assert task_to_learn(task, None) is task


def test_the_model_that_training_begins_with_may_be_gone_at_its_end(tmp_path):
    path, folder = tmp_path / "cnn.npz", RunFolder.create(tmp_path / "on")
    save_model(path, imported_model(fires=False))
    config = override(TrainConfig(), ["network.n_steps=4", "network.hidden=[36]", "augment=false", "batch=64", "epochs=1",
                                      "rule.warmup=2", "chip=unlimited", f"start={path.as_posix()}"])  # fmt: skip
    train_model(config, folder, threads=1, on_start=lambda start: path.unlink())
    assert load_model(folder.model_path).metadata["import"] == {"format": "nir"}


def test_an_imported_model_answers_by_its_spikes():
    found = evaluate_model(imported_model(fires=True), load_task("digits", n_steps=4, augment=False), threads=1)
    assert found["n"] == 360
    assert 0 < found["accuracy"] < 1


def floats_of(path: Path, task: str = "digits") -> Network:
    config = started(path, "method=direct")
    return describe_network(config, load_task(task, n_steps=4, augment=False), starting_model(config))


def test_floats_of_a_model_are_its_integers_over_its_scales(trained):
    model = load_model(trained)
    scales = {name.partition("/")[2]: scale for name, scale in model.scales.items() if name.startswith("group/")}
    again = quantize(floats_of(trained), 1.0, scales=scales).network
    for connection in model.network.connections:
        np.testing.assert_array_equal(again.connection(connection.name).weights, connection.weights)
    for group in (group for group in model.network.groups if isinstance(group, LIF)):
        found = again.group(group.name)
        assert (found.vth, found.du, found.dv) == (group.vth, group.du, group.dv)


def changed(path: Path, to: Path, **registers: object) -> Path:
    """A model whose hidden neurons have other registers."""
    model = load_model(path)
    groups = tuple(replace(g, **registers) if g.name == "hidden" else g for g in model.network.groups)
    save_model(to, replace(model, network=replace(model.network, groups=groups)))
    return to


def test_learned_decays_become_time_constants(trained, tmp_path):
    hidden = floats_of(changed(trained, tmp_path / "slow.npz", dv=100, du=999)).group("hidden")
    assert hidden.each("tau_mem")[0] == pytest.approx(time_constant(100, 1e-3)) == pytest.approx(0.0405, rel=0.01)
    assert hidden.each("tau_syn")[0] == pytest.approx(time_constant(1000, 1e-3))
    assert time_constant(0, 1e-3) is time_constant(4096, 1e-3) is None


def test_floats_are_refused_of_neurons_with_parameters_of_their_own(trained, tmp_path):
    words = "neurons of group 'hidden' have thresholds or biases of their own"
    for name, registers in (("vth", {"vth": np.arange(100, 108)}), ("bias", {"bias_mant": 3})):
        with pytest.raises(ConfigError, match=words):
            floats_of(changed(trained, tmp_path / f"{name}.npz", **registers))
    model = load_model(trained)
    save_model(tmp_path / "imported.npz", replace(model, metadata=dict(model.metadata) | {"import": {"format": "nir"}}))
    with pytest.raises(ConfigError, match="was imported, method 'direct' begins with models that neurosim train made"):
        floats_of(tmp_path / "imported.npz")
