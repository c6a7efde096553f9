"""Small random networks of snnTorch and Norse, written by their writers: every layer here fires as it does there.

No training and no data: this holds the conventions (decay, reset, threshold, order, lag, recurrence), spike by spike, in
floats. An optional job: python -m nox -s frameworks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REASON = "needs torch, snntorch and norse: python -m nox -s frameworks"
torch = pytest.importorskip("torch", reason=REASON)
snntorch_nets = pytest.importorskip("benchmarks.frameworks.snntorch_nets", reason=REASON)
norse_nets = pytest.importorskip("benchmarks.frameworks.norse_nets", reason=REASON)
nir = pytest.importorskip("nir", reason=REASON)

from benchmarks.frameworks.recipes import Recipe  # noqa: E402
from benchmarks.frameworks.train import layers  # noqa: E402
from neurosim.events import Events, events_from_dense  # noqa: E402
from neurosim.exchange.imported import Imported, chip_order, reorder_events  # noqa: E402
from neurosim.exchange.nirfile import read_nir  # noqa: E402
from neurosim.floatsim import simulate  # noqa: E402

Build = Callable[[], Any]
#: Networks by name: framework, shape of a step, what builds it, factor on its weights so that all layers fire.
CASES: dict[str, tuple[str, tuple[int, ...], Build, float]] = {
    "snntorch dense": ("snntorch", (20,), lambda: snntorch_nets.dense(0.9, (20, 30, 12, 6)), 3.0),
    "snntorch conv": ("snntorch", (1, 16, 16), lambda: snntorch_nets.conv(0.8, (3, 4), 16), 2.0),
    "snntorch recurrent leaky": ("snntorch", (20,), lambda: snntorch_nets.recurrent_leaky(sizes=(20, 24, 6)), 1.5),
    "snntorch recurrent cuba": ("snntorch", (20,), lambda: snntorch_nets.recurrent_cuba(sizes=(20, 24, 6)), 1.0),
    "norse dense": ("norse", (20,), lambda: norse_nets.dense(sizes=(20, 30, 6)), 5.0),
    "norse recurrent": ("norse", (20,), lambda: norse_nets.recurrent(sizes=(20, 24, 6)), 2.0),
}
N_SAMPLES, N_STEPS = 6, 40


#: Layers with a bias, by network, and the layer of neurons that gets it.
BIASED = [
    ("snntorch conv", "conv1", "lif1"),
    ("snntorch conv", "conv2", "lif2"),
    ("snntorch conv", "fc3", "lif3"),
    ("snntorch recurrent leaky", "hidden.recurrent", "hidden"),
    ("norse dense", "0", "1"),
    ("norse dense", "2", "3"),
]


def build(name: str, biased: str = "") -> tuple[Recipe, Any]:
    """Return a network with random weights, and with random biases in one layer."""
    framework, shape, make, gain = CASES[name]
    torch.manual_seed(3)
    net = make()
    with torch.no_grad():
        for layer, module in net.named_modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
                module.weight *= gain
                if module.bias is not None:
                    module.bias *= 1.0 if layer == biased else 0.0
    return Recipe(framework, "", "", shape, 0, 0, 0.0, None, "count", 1.0, 0.0), net


def random_events(n_inputs: int) -> Events:
    rng = np.random.default_rng(5)
    return events_from_dense(rng.random((N_SAMPLES, N_STEPS, n_inputs)) < 0.2)


def imported(recipe: Recipe, net: Any, folder: Path) -> Imported:
    """Write the network with the framework's own writer, and read it."""
    path = folder / "model.nir"
    nir.write(path, recipe.nets.export(net, torch.zeros(recipe.shape)))
    return read_nir(path, dt=recipe.nets.DT, spike="unit")


def group_of(model: Imported, layer: str) -> str:
    """Return the group that a framework's layer became."""
    found = [group.name for group in model.network.groups if group.name in (layer, f"{layer}.lif")]
    assert len(found) == 1, (layer, [group.name for group in model.network.groups])
    return found[0]


def check_layers(recipe: Recipe, model: Imported, wanted: dict[str, Any], events: Events, late: int) -> None:
    """Hold each layer's spikes, or the voltages of readouts, against the framework's, which began `late` steps before."""
    lag = max(model.lag.values())
    readout = group_of(model, list(wanted)[-1])
    states = [(readout, "v")] if recipe.framework == "norse" else []
    found = simulate(model.network, reorder_events(events, model.inputs), N_STEPS + lag, decay="euler", record=states)
    for layer, all_steps in wanted.items():
        group, there = group_of(model, layer), all_steps[:, late:]
        first = model.lag[group]
        if (group, "v") in states:
            here = found.states[group, "v"][:, first : first + N_STEPS]
            np.testing.assert_allclose(here, there, rtol=0, atol=2e-5 * np.abs(there).max())
        else:
            assert 0.005 < there.mean() < 0.8, f"{layer} must fire, and not always, for this to say anything"
            here = found.spikes[group][:, first : first + N_STEPS]
            there = there.reshape(*there.shape[:2], -1)[..., chip_order(there.shape[2:])]
            np.testing.assert_array_equal(here, there != 0, err_msg=layer)


@pytest.mark.parametrize("name", CASES)
def test_every_layer_fires_as_in_the_framework(name: str, tmp_path: Path) -> None:
    recipe, net = build(name)
    events = random_events(int(np.prod(recipe.shape)))
    check_layers(recipe, imported(recipe, net, tmp_path), layers(recipe, net, events), events, 0)


@pytest.mark.parametrize(("name", "biased", "group"), BIASED)
def test_biases_act_from_the_first_step_of_the_chip(name: str, biased: str, group: str, tmp_path: Path) -> None:
    # A group that is k steps behind the framework has had its bias k times when its first input arrives.
    recipe, net = build(name, biased)
    events = random_events(int(np.prod(recipe.shape)))
    model = imported(recipe, net, tmp_path)
    early = model.lag[group_of(model, group)]
    assert early > 0
    silent = np.zeros((N_SAMPLES, early, events.n_inputs), np.bool_)
    padded = events_from_dense(np.concatenate([silent, events.to_dense()], axis=1))
    check_layers(recipe, model, layers(recipe, net, padded), events, early)
