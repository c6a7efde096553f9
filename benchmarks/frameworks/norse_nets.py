"""Networks of Norse 1.1 that its NIR writer can export with their meaning.

What the writer needs: every parameter an array with one entry per neuron, a sample without a batch axis, and dt=1, because
it writes dt times the time constant. It writes `LIFCell` without the factor of its current, so that only the cells without
currents ("box") keep their meaning; and no recurrent cell, so that recurrence is a module of its own here.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import nir
import norse.torch as norse
import torch
from torch import Tensor, nn

DT = 1e-3  # Norse's own step, in seconds
GAIN = 4.0  # on the input weights that a recurrent network starts with: a spike of weight w moves v by d w only
STEEPNESS = 10.0  # of the surrogate gradient (a tanh), in 1 / v
SLOWEST, FASTEST, N_SPEEDS = 0.02, 0.3, 8  # parts that membranes of the recurrent network lose in a step
READOUT = 20 / 4096  # what readouts lose in a step: so little that their last voltage sums up a sample


def lif_box(decay: Tensor, v_th: float) -> norse.LIFBoxCell:
    """Return leaky neurons whose membranes lose these parts in a step, (n,)."""
    zeros = torch.zeros(len(decay))
    return norse.LIFBoxCell(
        norse.LIFBoxParameters(
            tau_mem_inv=decay / DT,
            v_leak=zeros,
            v_th=torch.full_like(zeros, v_th),
            v_reset=zeros,
            method="tanh",
            alpha=torch.as_tensor(STEEPNESS),
        ),
        dt=DT,
    )


def li_box(n: int, d: float) -> norse.LIBoxCell:
    """Return leaky integrators that never fire."""
    return norse.LIBoxCell(norse.LIBoxParameters(tau_mem_inv=torch.full((n,), d / DT), v_leak=torch.zeros(n)), dt=DT)


class RecurrentBox(norse.LIFBoxCell):  # type: ignore[misc]
    """Leaky neurons that are given a second input, the recurrent one: two edges for the writer, which sees a `LIFBoxCell`."""

    def forward(self, x: Tensor, recurrent: Tensor | None = None, state: Any = None) -> tuple[Tensor, Any]:
        """Return the spikes of a step, and the state."""
        return super().forward(x if recurrent is None else x + recurrent, state)


class RecurrentNet(nn.Module):
    """A recurrent layer and leaky integrators as readout."""

    def __init__(self, n_in: int, n_hidden: int, n_out: int, v_th: float) -> None:
        super().__init__()
        speeds = torch.logspace(math.log10(SLOWEST), math.log10(FASTEST), N_SPEEDS)
        decay = speeds.repeat_interleave(-(-n_hidden // N_SPEEDS))[:n_hidden]
        self.input_weights = nn.Linear(n_in, n_hidden, bias=False)
        self.hidden = RecurrentBox(lif_box(decay, v_th).p, dt=DT)
        self.recurrent = nn.Linear(n_hidden, n_hidden, bias=False)
        self.readout_weights = nn.Linear(n_hidden, n_out, bias=False)
        self.readout = li_box(n_out, READOUT)
        self.n_steps = 1  # of a call, with the same input; the writer needs two to see the recurrent edge
        with torch.no_grad():
            self.input_weights.weight *= GAIN

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return the readout's voltages of a step, and the state."""
        fed_back, hidden, readout = (None, None, None) if state is None else state
        for _ in range(self.n_steps):
            z, hidden = self.hidden(self.input_weights(x), fed_back, state=hidden)
            fed_back = self.recurrent(z)
            v, readout = self.readout(self.readout_weights(z), state=readout)
        return v, (fed_back, hidden, readout)


def dense(d: float = 0.2, v_th: float = 0.2, sizes: tuple[int, int, int] = (784, 256, 10)) -> nn.Module:
    """Return a layer of leaky neurons and one of leaky integrators, with biases."""
    n_in, n_hidden, n_out = sizes
    hidden = lif_box(torch.full((n_hidden,), d), v_th)
    return norse.SequentialState(nn.Linear(n_in, n_hidden), hidden, nn.Linear(n_hidden, n_out), li_box(n_out, READOUT))


def recurrent(v_th: float = 0.1, sizes: tuple[int, int, int] = (40, 128, 10)) -> nn.Module:
    """Return `RecurrentNet` of these sizes."""
    return RecurrentNet(*sizes, v_th)


def run(net: nn.Module, x: Tensor) -> Tensor:
    """Return the output of all steps.

    Parameters
    ----------
    net : Module
    x : (n_steps, n_samples, ...) Tensor
    """
    state, found = None, []
    for each in x:
        output, state = net(each, state)
        found.append(output)
    return torch.stack(found)


def export(net: nn.Module, sample: Tensor) -> nir.NIRGraph:
    """Return what Norse's writer makes of a network; `sample` is one step of one sample, without a batch axis."""
    if isinstance(net, RecurrentNet):
        net.n_steps = 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the writer calls an old function of nirtorch
        graph = norse.to_nir(net, sample, dt=1.0)
    if isinstance(net, RecurrentNet):
        net.n_steps = 1
    return graph
