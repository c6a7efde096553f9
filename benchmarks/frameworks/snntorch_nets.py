"""Networks of snnTorch 1.0 that its NIR writer can export with their meaning.

What the writer needs: every parameter an array with one entry per neuron; reset to zero, because it writes no other; no
delay of the reset, because `Synaptic` and `RLeaky` otherwise also lose the input of the step after a spike.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Sequence

import nir
import snntorch as snn
import torch
from snntorch.export_nir import export_to_nir
from torch import Tensor, nn

#: Of every neuron: see above; `init_hidden` keeps the state in the module, as the writer expects.
RESET = {"reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}
BETAS, N_SPEEDS = (0.8, 0.98), 8  # of the membranes of `recurrent_leaky`
DT = 1e-4  # what the writer takes a step for, in seconds


def leaky(beta: float, *shape: int) -> snn.Leaky:
    """Return leaky neurons of a shape, threshold 1."""
    return snn.Leaky(beta=torch.full(shape, beta), threshold=torch.ones(shape), **RESET)


def synaptic(alpha: float, beta: float, n: int) -> snn.Synaptic:
    """Return leaky neurons with synaptic currents, threshold 1."""
    return snn.Synaptic(alpha=torch.full((n,), alpha), beta=torch.full((n,), beta), threshold=torch.ones(n), **RESET)


class RecurrentSynaptic(snn.Synaptic):  # type: ignore[misc]
    """Neurons with a synaptic current that are given a second input, the recurrent one.

    `snn.RSynaptic` fails with ``reset_delay=False``; two inputs are two edges for the writer, which sees a `Synaptic`.
    """

    def forward(self, x: Tensor, recurrent: Tensor | None = None) -> Tensor:
        """Return the spikes of a step."""
        return super().forward(x if recurrent is None else x + recurrent)


class RecurrentCuba(nn.Module):
    """A recurrent layer with synaptic currents, and a readout with currents."""

    def __init__(self, n_in: int, n_hidden: int, n_out: int, alpha: float, beta: float) -> None:
        super().__init__()
        self.input_weights = nn.Linear(n_in, n_hidden, bias=False)
        self.hidden = RecurrentSynaptic(
            alpha=torch.full((n_hidden,), alpha),
            beta=torch.full((n_hidden,), beta),
            threshold=torch.ones(n_hidden),
            **RESET,
        )
        self.recurrent = nn.Linear(n_hidden, n_hidden, bias=False)
        self.readout_weights = nn.Linear(n_hidden, n_out, bias=False)
        self.readout = synaptic(alpha, beta, n_out)
        self.fed_back: Tensor | None = None

    def forward(self, x: Tensor, n_steps: int = 1) -> Tensor:
        """Return the readout's spikes of a step, or of the last of several with the same input."""
        for _ in range(n_steps):
            z = self.hidden(self.input_weights(x), self.fed_back)
            self.fed_back = self.recurrent(z)
            out = self.readout(self.readout_weights(z))
        return out


def dense(beta: float = 0.9, sizes: Sequence[int] = (784, 200, 10)) -> nn.Module:
    """Return dense layers of leaky neurons, without biases."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (n_pre, n_post) in enumerate(zip(sizes[:-1], sizes[1:], strict=True), 1):
        layers[f"fc{i}"] = nn.Linear(n_pre, n_post, bias=False)
        layers[f"lif{i}"] = leaky(beta, n_post)
    return nn.Sequential(layers)


def conv(beta: float = 0.9, channels: tuple[int, int] = (8, 16), side: int = 28, kernel: int = 5) -> nn.Module:
    """Return two convolutions, each with a bias and followed by a mean over squares of 2 x 2, and a dense layer."""
    first = side - kernel + 1
    second = first // 2 - kernel + 1
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(1, channels[0], kernel),
        lif1=leaky(beta, channels[0], first, first),
        pool1=nn.AvgPool2d(2),
        conv2=nn.Conv2d(channels[0], channels[1], kernel),
        lif2=leaky(beta, channels[1], second, second),
        pool2=nn.AvgPool2d(2),
        flatten=nn.Flatten(),
        fc3=nn.Linear(channels[1] * (second // 2) ** 2, 10),
        lif3=leaky(beta, 10),
    )
    with torch.no_grad():  # torch's own start leaves the second layer silent
        for name in ("conv1", "conv2", "fc3"):
            layers[name].weight *= 3.0
    return nn.Sequential(layers)


def recurrent_leaky(alpha: float = 0.8, beta: float = 0.9, sizes: tuple[int, int, int] = (40, 128, 10)) -> nn.Module:
    """Return a layer with currents, snnTorch's own recurrent layer, whose recurrent weights have biases, and a readout.

    Membranes of the recurrent layer are of eight speeds.
    """
    n_in, n_hidden, n_out = sizes
    betas = torch.linspace(*BETAS, N_SPEEDS).repeat_interleave(-(-n_hidden // N_SPEEDS))[:n_hidden]
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        fc1=nn.Linear(n_in, n_hidden, bias=False),
        lif1=synaptic(alpha, beta, n_hidden),
        fc2=nn.Linear(n_hidden, n_hidden, bias=False),
        hidden=snn.RLeaky(beta=betas, linear_features=n_hidden, **RESET),
        fc3=nn.Linear(n_hidden, n_out, bias=False),
        readout=synaptic(beta, beta, n_out),
    )
    with torch.no_grad():
        layers["hidden"].recurrent.weight *= 0.3
        layers["fc2"].weight *= 2.0
    return nn.Sequential(layers)


def recurrent_cuba(alpha: float = 0.8, beta: float = 0.9, sizes: tuple[int, int, int] = (40, 128, 10)) -> nn.Module:
    """Return `RecurrentCuba` of these sizes."""
    return RecurrentCuba(*sizes, alpha, beta)


def start(net: nn.Module) -> None:
    """Forget the state of all neurons, and how many samples there were."""
    for module in net.modules():
        if isinstance(module, snn.SpikingNeuron):
            for name in ("mem", "syn", "spk"):
                if hasattr(module, name):
                    setattr(module, name, torch.zeros(0))
        if isinstance(module, RecurrentCuba):
            module.fed_back = None


def run(net: nn.Module, x: Tensor) -> Tensor:
    """Return the output of all steps.

    Parameters
    ----------
    net : Module
    x : (n_steps, n_samples, ...) Tensor
    """
    start(net)
    return torch.stack([net(each) for each in x])


def export(net: nn.Module, sample: Tensor) -> nir.NIRGraph:
    """Return what snnTorch's writer makes of a network; `sample` is one step of one sample, without a batch axis."""
    start(net)
    # The writer finds the recurrent edge in the second step.
    more = [2] if isinstance(net, RecurrentCuba) else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the writer calls an old function of nirtorch
        graph = export_to_nir(net, sample[None], model_fwd_args=more, ignore_dims=[0])
    start(net)
    return graph
