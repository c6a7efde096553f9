"""Networks trained in snnTorch and Norse and written by their own NIR writers keep their accuracy in 8-bit chip integers.

Builds, trains and exports in this job (2 to 11 minutes a network on two busy cores; ``NEUROSIM_BENCH_TRAINED`` names a folder of networks that
``python -m benchmarks.frameworks --out FOLDER`` made before), tests on all of MNIST's and the spoken digits' test samples. An
optional job: python -m nox -s frameworks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.frameworks.recipes import RECIPES
from benchmarks.track_import import KEPT, Found, Trained, compare, read, read_trained
from neurosim.data.folder import find_data
from neurosim.data.fsdd import FSDD
from neurosim.data.mnist import MNIST
from neurosim.errors import DataError
from neurosim.exchange.imported import chip_order, reorder_events
from neurosim.floatsim import simulate

REASON = "needs torch, snntorch and norse: python -m nox -s frameworks"
pytest.importorskip("torch", reason=REASON)
pytest.importorskip("snntorch", reason=REASON)
pytest.importorskip("norse", reason=REASON)
pytest.importorskip("nirtorch", reason=REASON)

#: Least accuracy of what is trained here, so that there is something to lose; and test samples.
TASKS = {"mnist": (0.97, 10_000), "fsdd": (0.85, 300)}
SETS = {"mnist": MNIST, "fsdd": FSDD}
#: Networks without biases: our floats give the framework's answers, but for what 32 bits round.
WITHOUT_BIASES = ("snntorch-mnist-dense", "snntorch-fsdd-cuba", "norse-fsdd-recurrent")

GetTrained = Callable[[str], tuple[Trained, Path]]


@pytest.fixture(scope="module")
def get_trained(tmp_path_factory: pytest.TempPathFactory) -> GetTrained:
    """Return a function that trains a network, once, and reads what was written."""
    from benchmarks.frameworks.train import train

    kept = os.environ.get(KEPT)
    folder = Path(kept) if kept else tmp_path_factory.mktemp("trained")

    def get(name: str) -> tuple[Trained, Path]:
        try:
            find_data(SETS[RECIPES[name].task])
        except DataError as error:
            pytest.skip(str(error))
        if not (folder / f"{name}.json").is_file():
            train(name, RECIPES[name], folder)
        return read_trained(folder, name), folder

    return get


@pytest.fixture(scope="module")
def get_found(get_trained: GetTrained) -> Callable[[str], Found]:
    """Return a function that compares a network with its integers, once."""
    known: dict[str, Found] = {}

    def get(name: str) -> Found:
        if name not in known:
            known[name] = compare(get_trained(name)[0])
        return known[name]

    return get


@pytest.mark.parametrize("name", RECIPES)
def test_integers_keep_the_accuracy_of_the_framework(name: str, get_found: Callable[[str], Found]) -> None:
    recipe, found = RECIPES[name], get_found(name)
    least, n_samples = TASKS[recipe.task]
    assert found.report["samples"] == n_samples
    assert found.framework is not None and found.framework >= least
    assert abs(found.integers - found.framework) <= recipe.points / 100
    assert abs(found.integers - found.floats) <= recipe.points / 100
    assert found.clipped == 0
    assert all(weight["bits"] == 8 for layer in found.report["layers"] for weight in layer["weights"])


@pytest.mark.parametrize("name", RECIPES)
def test_our_floats_answer_as_the_framework(name: str, get_found: Callable[[str], Found]) -> None:
    # Biases act a few steps early on the chip (test_conventions), which changes the answers to a few samples.
    found = get_found(name)
    share = 0.0005 if name in WITHOUT_BIASES else 0.02
    assert found.other_floats is not None and found.other_floats <= share * found.report["samples"]


@pytest.mark.parametrize("name", WITHOUT_BIASES)
def test_layers_of_trained_networks_fire_as_in_the_framework(name: str, get_trained: GetTrained) -> None:
    network, folder = get_trained(name)
    model = read(network)
    with np.load(folder / f"{name}.npz", allow_pickle=False) as kept:
        wanted = {key.removeprefix("layer."): kept[key] for key in kept if key.startswith("layer.")}
    first = next(iter(wanted.values()))
    n_samples, n_steps = first.shape[:2]
    events = reorder_events(network.data.events.take(np.arange(n_samples)), model.inputs)
    found = simulate(model.network, events, n_steps + max(model.lag.values()), decay="euler")
    for layer, there in wanted.items():
        if layer == list(wanted)[-1] and RECIPES[name].readout == "last":
            continue  # voltages: the answers are read from them
        here = found.spikes[layer][:, model.lag[layer] : model.lag[layer] + n_steps]
        there = there.reshape(n_samples, n_steps, -1)[..., chip_order(there.shape[2:])]
        assert there.any()
        assert np.mean(here != (there != 0)) < 1e-4, layer  # sums in 32 bits, in another order
