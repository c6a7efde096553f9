"""What the writers of Norse and snnTorch put into a file otherwise than one would think, and how such files are read.

An optional job: python -m nox -s frameworks.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from neurosim.events import Events, events_from_dense
from neurosim.exchange.nirfile import read_nir
from neurosim.floatsim import simulate

REASON = "needs torch, snntorch and norse: python -m nox -s frameworks"
torch = pytest.importorskip("torch", reason=REASON)
snn = pytest.importorskip("snntorch", reason=REASON)
norse = pytest.importorskip("norse.torch", reason=REASON)
snntorch_nets = pytest.importorskip("benchmarks.frameworks.snntorch_nets", reason=REASON)
norse_nets = pytest.importorskip("benchmarks.frameworks.norse_nets", reason=REASON)

N, N_IN, N_SAMPLES, N_STEPS = 12, 20, 4, 40


def events() -> Events:
    return events_from_dense(np.random.default_rng(5).random((N_SAMPLES, N_STEPS, N_IN)) < 0.2)


def inputs() -> Any:
    return torch.from_numpy(events().to_dense().transpose(1, 0, 2).astype(np.float32))


def weights(gain: float) -> Any:
    torch.manual_seed(2)
    layer = torch.nn.Linear(N_IN, N, bias=False)
    with torch.no_grad():
        layer.weight *= gain
    return layer


def norse_graph(net: Any, dt: float) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the writer calls an old function of nirtorch
        return norse.to_nir(net, torch.zeros(N_IN), dt=dt)


def here(graph: Any, **how: Any) -> Any:
    """Return the spikes of the only layer, in the framework's timing."""
    model = read_nir(graph, **how)
    found = simulate(model.network, events(), N_STEPS + 1, decay="euler")
    return found.spikes[model.outputs.group][:, 1:]


def there(run: Any, net: Any) -> Any:
    spikes = run(net, inputs()).detach().numpy().transpose(1, 0, 2) != 0
    assert 0.01 < spikes.mean() < 0.8, "it must fire, and not always, for this to say anything"
    return spikes


def test_norse_writes_time_constants_times_its_dt() -> None:
    net = norse.SequentialState(weights(4.0), norse_nets.lif_box(torch.full((N,), 0.2), 0.2))
    wanted = there(norse_nets.run, net)
    np.testing.assert_array_equal(here(norse_graph(net, 1.0), dt=1e-3, spike="unit"), wanted)
    np.testing.assert_array_equal(here(norse_graph(net, 1e-3), dt=1e-6, spike="unit"), wanted)


def test_norse_integrators_are_read_with_impulses() -> None:
    net = norse.SequentialState(weights(1.0), norse.IAFCell(norse.IAFParameters(v_th=torch.ones(N))))
    wanted = there(norse_nets.run, net)
    np.testing.assert_array_equal(here(norse_graph(net, 1.0), dt=1e-3, spike="impulse"), wanted)


def test_norse_writes_neurons_with_currents_too_weak() -> None:
    # w_in is 1 in the file, where tau_syn / dt is what its neurons have.
    p = norse.LIFParameters(
        tau_mem_inv=torch.full((N,), 100.0),
        tau_syn_inv=torch.full((N,), 200.0),
        v_leak=torch.zeros(N),
        v_th=torch.ones(N) * 0.2,
    )
    net = norse.SequentialState(weights(2.0), norse.LIFCell(p))
    wanted, graph = there(norse_nets.run, net), norse_graph(net, 1.0)
    assert here(graph, dt=1e-3, spike="unit").sum() < 0.5 * wanted.sum()
    neuron = next(node for node in graph.nodes.values() if type(node).__name__ == "CubaLIF")
    neuron.w_in = np.asarray(neuron.tau_syn) / 1e-3
    np.testing.assert_array_equal(here(graph, dt=1e-3, spike="unit"), wanted)


@pytest.mark.parametrize(("how", "same"), [({}, False), ({"reset_delay": False}, True)], ids=["delay", "no delay"])
def test_snntorch_does_not_write_the_delay_of_a_reset(how: dict[str, bool], same: bool) -> None:
    neurons = snn.Synaptic(
        alpha=torch.full((N,), 0.8), beta=torch.full((N,), 0.9), threshold=torch.ones(N), reset_mechanism="zero",
        init_hidden=True, **how,
    )  # fmt: skip
    net = torch.nn.Sequential(weights(1.0), neurons)
    graph = snntorch_nets.export(net, torch.zeros(N_IN))
    found = here(graph, dt=snntorch_nets.DT, spike="unit")
    assert np.array_equal(found, there(snntorch_nets.run, net)) == same


def test_snntorch_does_not_write_a_reset_by_subtraction() -> None:
    neurons = snn.Leaky(beta=torch.full((N,), 0.9), threshold=torch.ones(N), init_hidden=True)
    net = torch.nn.Sequential(weights(3.0), neurons)
    found = here(snntorch_nets.export(net, torch.zeros(N_IN)), dt=snntorch_nets.DT, spike="unit")
    assert not np.array_equal(found, there(snntorch_nets.run, net))
