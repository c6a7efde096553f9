"""Exported scripts of plain Lava Processes give the integers of the simulator when Lava runs them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conformance_cases import CASES, Case
from model_networks import LAVA_MODELS, conv_network, model_network, random_values
from random_networks import random_events, random_network

from neurosim.backend import get_backend
from neurosim.chip import load_chip
from neurosim.compare import probe_everything
from neurosim.compile_network import compile
from neurosim.events import Events, events_from_dense
from neurosim.modelfile import Model
from neurosim.network import Input, Network

pytestmark = pytest.mark.lava
TIME_LIMIT_S = 300


def run_script(script: Path) -> dict[str, npt.NDArray[Any]]:
    """Run a script where Lava is and neurosim is not, and return what it saved."""
    from neurosim_lava import place

    found = place.find()
    assert found is not None
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if found.folder is not None:
        environment["PYTHONPATH"] = str(found.folder)
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, cwd=script.parent, capture_output=True, text=True,
        timeout=TIME_LIMIT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with np.load(script.with_name(script.stem + "-result.npz")) as saved:
        return dict(saved)


def simulated(network: Network, events: Events, n_steps: int) -> dict[str, npt.NDArray[Any]]:
    """Return the simulator's spikes and final states in the form in which scripts save them."""
    with get_backend("simulator").open(compile(probe_everything(network, states=True), "unlimited")) as runner:
        result = runner.run(events, n_steps)
    found = {f"{group}.{what}": states[:, -1] for (group, what), states in result.states.items()}
    for group in network.groups:
        if not isinstance(group, Input):
            raster = np.zeros((events.n_samples, n_steps, group.n), np.int32)
            train = result.spikes[group.name]
            raster[train.sample, train.step, train.neuron] = 1 if train.value is None else train.value
            found[f"{group.name}.spikes"] = raster
    return found


def check(network: Network, events: Events, n_steps: int, folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Export, run on Lava, and compare everything that was saved; return it."""
    from neurosim_lava.export import export

    script, _ = export(Model(network, load_chip("unlimited")), events, n_steps, folder / "network.py")
    found, expected = run_script(script), simulated(network, events, n_steps)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values, err_msg=key)
    return found


@pytest.mark.parametrize("name", CASES)
def test_exported_script_gives_the_simulators_integers(lava: Any, tmp_path: Path, name: str) -> None:
    case: Case = CASES[name]()
    check(case.network, events_from_dense(case.spikes[:2]), case.n_steps, tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_exported_random_network_gives_the_simulators_integers(lava: Any, tmp_path: Path, seed: int) -> None:
    network = random_network(seed, n_inputs=2, n_groups=4, largest=7)
    check(network, random_events(seed, 2, 15, network.n_inputs), 15, tmp_path)


@pytest.mark.parametrize("model", LAVA_MODELS)
def test_every_exported_model_gives_the_simulators_integers(lava: Any, tmp_path: Path, model: str) -> None:
    """Two groups of the model, driven by values over all kinds of connections, with and without delays."""
    network = model_network(LAVA_MODELS.index(model), (model,), n_groups=2)
    found = check(network, random_values(7, 2, 20, network.n_inputs), 20, tmp_path)
    assert found["g0.spikes"].any() or found["g1.spikes"].any(), "neither group sends anything"


@pytest.mark.parametrize("seed", range(200, 204))
def test_exported_mixed_network_gives_the_simulators_integers(lava: Any, tmp_path: Path, seed: int) -> None:
    network = model_network(seed, LAVA_MODELS, n_groups=4)
    check(network, random_values(seed, 2, 15, network.n_inputs), 15, tmp_path)


@pytest.mark.parametrize("seed", range(2))
def test_exported_convolution_gives_the_simulators_integers(lava: Any, tmp_path: Path, seed: int) -> None:
    network = conv_network(seed)
    check(network, random_values(seed, 2, 6, network.n_inputs), 6, tmp_path)
