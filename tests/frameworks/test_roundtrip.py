"""NIR files that neurosim writes, read by snnTorch and by Norse: their spikes are those of the file, and nearly the chip's.

No training and no data. An optional job: python -m nox -s frameworks.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.backend import get_backend
from neurosim.chip import load_chip
from neurosim.compile_network import compile
from neurosim.events import Events, events_from_dense
from neurosim.exchange.nirexport import write_nir
from neurosim.exchange.nirfile import read_nir
from neurosim.floatsim import simulate
from neurosim.modelfile import Model
from neurosim.network import LIF, Connection, CubaLIF, Input, Network, Probe
from neurosim.quantize import Quantized, quantize

REASON = "needs torch, snntorch and norse: python -m nox -s frameworks"
torch = pytest.importorskip("torch", reason=REASON)
import_nir = pytest.importorskip("snntorch.import_nir", reason=REASON)
norse = pytest.importorskip("norse.torch", reason=REASON)
nir = pytest.importorskip("nir", reason=REASON)

N_SAMPLES, N_STEPS = 8, 50
DT = 1e-4  # snnTorch's readers know no other
N_IN, N_HIDDEN, N_OUT = 20, 30, 10
Spikes = npt.NDArray[np.bool_]


class Written(NamedTuple):
    """A quantised network, the file it was written to, and what went in."""

    quantized: Quantized
    path: Path
    events: Events


def written(folder: Path, *, current: bool, recurrent: bool) -> Written:
    """Quantise a random network and write it."""
    rng = np.random.default_rng(7)
    tau_syn = 5 * DT if current else None
    groups = [
        Input("input", N_IN),
        CubaLIF("hidden", N_HIDDEN, tau_mem=10 * DT, tau_syn=tau_syn),
        CubaLIF("output", N_OUT, tau_mem=20 * DT, tau_syn=tau_syn),
    ]
    connections = [
        Connection("input", "hidden", rng.normal(0.1, 0.3, (N_HIDDEN, N_IN))),
        Connection("hidden", "output", rng.normal(0.1, 0.3, (N_OUT, N_HIDDEN))),
    ]
    if recurrent:
        connections.append(Connection("hidden", "hidden", rng.normal(0, 0.2, (N_HIDDEN, N_HIDDEN))))
    quantized = quantize(Network(groups, connections, dt=DT), decay="euler")
    if not current:
        quantized = with_odd_thresholds(quantized)
    path = folder / "model.nir"
    assert not write_nir(Model(quantized.network, load_chip("loihi1"), dict(quantized.scales)), path)
    events = events_from_dense(np.random.default_rng(8).random((N_SAMPLES, N_STEPS, N_IN)) < 0.15)
    return Written(quantized, path, events)


def with_odd_thresholds(quantized: Quantized) -> Quantized:
    """Make thresholds that no sum of even weights meets exactly: there 32 bits may round up, and all later spikes differ."""
    groups = [replace(g, vth=int(g.vth) | 1) if isinstance(g, LIF) else g for g in quantized.network.groups]
    return replace(quantized, network=replace(quantized.network, groups=tuple(groups)))


def on_chip(model: Written) -> Spikes:
    """Return the output's spikes on the simulator, as early as layers that act at once have them."""
    network = model.quantized.network.with_probes([Probe("output")])
    with get_backend("simulator").open(compile(network, "unlimited")) as runner:
        spikes = runner.run(model.events, N_STEPS + 2).spikes["output"]
    found = np.zeros((N_SAMPLES, N_STEPS + 2, N_OUT), np.bool_)
    found[spikes.sample, spikes.step, spikes.neuron] = True
    return found[:, 2:]


def in_floats(path: Path, events: Events) -> Spikes:
    """Return the output's spikes of the file's graph, read without the integers beside it."""
    graph = nir.read(path)
    graph.metadata = {}
    model = read_nir(graph, dt=DT, spike="unit")
    found = simulate(model.network, events, N_STEPS + 2, decay="euler")
    return np.asarray(found.spikes["output"][:, 2:])


def stepped(events: Events) -> Any:
    return torch.from_numpy(events.to_dense().transpose(1, 0, 2).astype(np.float32))


def in_snntorch(path: Path, events: Events) -> Spikes:
    net = import_nir.import_from_nir(nir.read(path))
    return np.stack([net(x)[0].detach().numpy() for x in stepped(events)], axis=1) != 0


def in_norse(path: Path, events: Events) -> Spikes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Norse calls an old function of nirtorch
        net = norse.from_nir(nir.read(path), dt=DT)
    state, found = None, []
    for x in stepped(events):
        _, state = net(
            x, state
        )  # what it returns is the module that ran last but one: not the output where there is a cycle
        found.append(state.cache["output"].detach().numpy())
    return np.stack(found, axis=1) != 0


def check(model: Written, there: Spikes) -> None:
    here, floats = on_chip(model), in_floats(model.path, model.events)
    assert 0.02 < here.mean() < 0.5, "the output must fire, and not always, for this to say anything"
    assert np.mean(there != floats) < 1e-3  # 32 bits round a sum at the threshold otherwise
    assert np.mean(there != here) < 0.01  # the chip rounds each decay
    n_here, n_there = here.sum(axis=1), there.sum(axis=1)
    assert np.abs(n_here - n_there).max() <= 2


@pytest.mark.parametrize("current", [False, True], ids=["LIF", "CubaLIF"])
def test_snntorch_reads_what_we_write(current: bool, tmp_path: Path) -> None:
    model = written(tmp_path, current=current, recurrent=False)
    check(model, in_snntorch(model.path, model.events))


@pytest.mark.parametrize("recurrent", [False, True], ids=["forward", "recurrent"])
@pytest.mark.parametrize("current", [False, True], ids=["LIF", "CubaLIF"])
def test_norse_reads_what_we_write(current: bool, recurrent: bool, tmp_path: Path) -> None:
    model = written(tmp_path, current=current, recurrent=recurrent)
    check(model, in_norse(model.path, model.events))
