"""Train by surrogate gradients in snnTorch or spikingjelly: a script for an interpreter that has them, not part of neurosim.

usage: peer_direct.py DATA.npz SETTINGS.json

The network is the described one, in floats of 32 bits: LIF neurons that reset to zero, no current filter, a readout that adds
up what it receives. What can be done for all steps at once is: products and convolutions see (steps x samples) inputs, the
readout one sum of spikes. Spikes lie in memory as bytes, steps first, so that a batch is one gather and one conversion. Adam is
torch's fused one. Each library runs as it comes and compiled with `torch.compile` as a whole, convolutions in both orders of
memory, and what is fastest is asked for by the caller.

Settings: library, batch, keep (what a voltage keeps in a step), rate, threads, form (eager or compiled), order (plain or
channels-last), shape (width, height, channels; none without convolutions), layers (each with stride and padding, (x, y); none where
it is dense). The data hold spikes as bits, labels, and the weights of each layer in thresholds, "weights 0" and on.

It says {"torch": version, "library": version}, then reads a line {"do": what, "steps": n} and answers with one. "look": loss in
bits and messages per neuron and step of each hidden layer on the first batch; nothing is learned. "steps": the seconds that so
many steps of training took, samples drawn at random.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn


def snntorch_neuron(keep: float) -> nn.Module:
    """Return LIF neurons of snnTorch: (steps, ...) to spikes of the same shape."""
    import snntorch
    from snntorch import surrogate

    class Neurons(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = snntorch.Leaky(beta=keep, reset_mechanism="zero", spike_grad=surrogate.atan(alpha=2.0))

        def forward(self, drive: torch.Tensor) -> torch.Tensor:
            potential, spikes = torch.zeros_like(drive[0]), []
            for one in drive.unbind():
                spike, potential = self.cell(one, potential)
                spikes.append(spike)
            return torch.stack(spikes)

    return Neurons()


def spikingjelly_neuron(keep: float) -> nn.Module:
    """Return LIF neurons of spikingjelly in its multi-step mode."""
    from spikingjelly.activation_based import neuron, surrogate

    return neuron.LIFNode(
        tau=1 / (1 - keep), decay_input=False, v_reset=0.0, surrogate_function=surrogate.ATan(alpha=2.0),
        detach_reset=True, step_mode="m",
    )  # fmt: skip


def nothing_to_reset(net: nn.Module) -> None:
    """Leave a network alone, whose neurons begin anew by themselves."""


LIBRARIES: dict[str, Callable[[float], nn.Module]] = {"snntorch": snntorch_neuron, "spikingjelly": spikingjelly_neuron}


class Net(nn.Module):
    """Layers, each followed by neurons but for the readout."""

    def __init__(self, weights: list[np.ndarray], settings: dict[str, Any]) -> None:
        super().__init__()
        self.shape = settings["shape"]
        layers: list[nn.Module] = []
        picture = None
        for array, how in zip(weights, settings["layers"], strict=True):
            layer: nn.Module
            if how is None:
                array = array if picture is None else in_order_of_channels(array, picture)
                layer, picture = nn.Linear(array.shape[1], array.shape[0], bias=False), None
            else:
                array = np.ascontiguousarray(array[:, ::-1, ::-1].transpose(0, 3, 1, 2))  # ours are flipped
                layer = nn.Conv2d(array.shape[1], array.shape[0], array.shape[2:], *map(tuple, how), bias=False)
                picture = how_large(picture or self.shape, array, *how)
            layer.weight.data = torch.from_numpy(np.ascontiguousarray(array, np.float32))
            layers.append(layer)
        self.layers = nn.ModuleList(layers)
        make = LIBRARIES[settings["library"]]
        self.neurons = nn.ModuleList(make(settings["keep"]) for _ in layers[1:])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the sums of the readout (samples, classes) and the spikes of each hidden layer; x is (steps, samples, inputs)."""
        n_steps, n_samples = x.shape[:2]
        if self.shape is not None:
            width, height, channels = self.shape
            x = x.view(n_steps, n_samples, width, height, channels).permute(0, 1, 4, 2, 3)
        fired = []
        for layer, neurons in zip(self.layers, self.neurons, strict=False):
            if isinstance(layer, nn.Linear) and x.ndim > 3:
                x = x.flatten(2)
            drive = layer(x.flatten(0, 1))
            x = neurons(drive.unflatten(0, (n_steps, n_samples)))
            fired.append(x)
        return self.layers[-1](x.sum(0).flatten(1)), fired


def how_large(
    shape: tuple[int, int, int], kernel: np.ndarray, stride: list[int], padding: list[int]
) -> tuple[int, int, int]:
    """Return width, height and channels of what a convolution gives."""
    width, height = ((shape[i] + 2 * padding[i] - kernel.shape[2 + i]) // stride[i] + 1 for i in (0, 1))
    return width, height, kernel.shape[0]


def in_order_of_channels(weights: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Return weights of inputs in the order (x, y, channel) for inputs in the order (channel, x, y)."""
    return weights.reshape(-1, *shape).transpose(0, 3, 1, 2).reshape(len(weights), -1)


class Training:
    """A network, its Adam, and where its samples come from."""

    def __init__(self, found: Any, settings: dict[str, Any]) -> None:
        weights = [found[f"weights {i}"] for i in range(len(settings["layers"]))]
        self.settings, self.reset = settings, nothing_to_reset
        if settings["library"] == "spikingjelly":
            from spikingjelly.activation_based import functional

            self.reset = functional.reset_net
        self.plain = Net(weights, settings)
        if settings["order"] == "channels-last":
            self.plain = self.plain.to(memory_format=torch.channels_last)
        self.net = torch.compile(self.plain, dynamic=False) if settings["form"] == "compiled" else self.plain
        self.adam = torch.optim.Adam(self.plain.parameters(), lr=settings["rate"], fused=True)
        spikes = np.unpackbits(found["spikes"], axis=2, count=int(found["n_inputs"]))
        self.spikes = torch.from_numpy(np.ascontiguousarray(spikes.transpose(1, 0, 2)))
        self.labels = torch.from_numpy(found["labels"].astype(np.int64))
        self.generator = torch.Generator().manual_seed(1)

    def look(self) -> dict[str, Any]:
        """Return loss and rates on the first samples."""
        n = self.settings["batch"]
        with torch.no_grad():
            out, fired = self.plain(self.spikes[:, :n].float())
            loss = nn.functional.cross_entropy(out, self.labels[:n]) / math.log(2)
        self.reset(self.plain)
        return {"loss": float(loss), "rates": [float(x.mean()) for x in fired]}

    def steps(self, n: int) -> dict[str, Any]:
        """Train; return the seconds."""
        start = perf_counter()
        for _ in range(n):
            chosen = torch.randint(0, len(self.labels), (self.settings["batch"],), generator=self.generator)
            out, _ = self.net(self.spikes.index_select(1, chosen).float())
            loss = nn.functional.cross_entropy(out, self.labels.index_select(0, chosen))
            self.adam.zero_grad(set_to_none=True)
            loss.backward()
            self.adam.step()
            self.reset(self.plain)
        return {"seconds": perf_counter() - start, "loss": float(loss.detach()) / math.log(2)}


def main(path: str, settings_path: str) -> None:
    """Answer what is asked line by line."""
    with open(settings_path, encoding="utf-8") as file:
        settings = json.load(file)
    torch.set_num_threads(settings["threads"])
    if hasattr(os, "sched_setaffinity"):  # helping threads may not take a core more
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: settings["threads"]])
    with np.load(path) as found:
        training = Training(found, settings)
    library = __import__(settings["library"])
    say({"torch": torch.__version__, "library": getattr(library, "__version__", "")})
    for line in sys.stdin:
        asked = json.loads(line)
        say(training.look() if asked["do"] == "look" else training.steps(asked["steps"]))


def say(what: dict[str, Any]) -> None:
    """Answer one line."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
