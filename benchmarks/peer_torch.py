"""Train 784-256-10 by surrogate gradients: a script for an interpreter that has torch, not part of neurosim.

usage: peer_torch.py DATA.npz SETTINGS.json

The network is the described one, in floats: LIF neurons that reset to zero, no current filter, a readout that adds up
what it receives. Backpropagation through time is written out and compiled, for speed: inputs do not depend on states, so
all steps of a batch are one product of matrices forward and one backward, with one fused loop over neurons between
them; the readout adds up spikes of all steps, so their error is the same in each. The clock runs while it trains. It
stops while it tests, and compiling comes before.

Settings: threads, and runs, each with seed, hidden (neurons), bfloat16 (products of matrices in it, or in float32),
surrogate and steep (`surrogate_of`), gain (initial weights are uniform within gain / sqrt(inputs)), batch, epochs, rate,
beta1, beta2 (Adam), warm (share of the run in which the rate rises), test_from (share of the run), test_every (updates),
stop_at (accuracy).
"""

from __future__ import annotations

import json
import sys
from time import perf_counter
from typing import Any

import numpy as np
import torch

Step = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
N_CLASSES = 10
TEST_BLOCK = 2000


def surrogate_of(kind: str, steep: float, x: torch.Tensor) -> torch.Tensor:
    """Return the pretended derivative of a spike; x is the distance to the threshold, in thresholds."""
    if kind == "fast sigmoid":
        return 1 / (1 + steep * x.abs()) ** 2
    if kind == "arctan":
        return 1 / (1 + (steep * x) ** 2)
    if kind == "rectangular":
        return (steep * x.abs() < 1).to(x.dtype)
    raise SystemExit(f"surrogate: {kind!r} is not one of fast sigmoid, arctan, rectangular")


def forward(
    drive: torch.Tensor, keep: float, kind: str, steep: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return spikes and surrogate slopes of all steps (batch, steps, neurons), and spikes added up; the threshold is 1."""
    v = torch.zeros_like(drive[:, 0])
    fired, slopes = [], []
    for t in range(drive.shape[1]):
        v = keep * v + drive[:, t]
        spike = (v > 1).to(v.dtype)
        slopes.append(surrogate_of(kind, steep, v - 1))
        fired.append(spike)
        v = v * (1 - spike)
    spikes = torch.stack(fired, 1)
    return spikes, torch.stack(slopes, 1), spikes.sum(1)


def backward(error: torch.Tensor, spikes: torch.Tensor, slopes: torch.Tensor, keep: float) -> torch.Tensor:
    """Return the gradient by the drive of each step, given that by every spike of a neuron (batch, neurons)."""
    gradient, parts = torch.zeros_like(error), []
    for t in reversed(range(spikes.shape[1])):
        gradient = error * slopes[:, t] + keep * gradient * (1 - spikes[:, t])
        parts.append(gradient)
    return torch.stack(parts[::-1], 1)


class Net:
    """Weights, their Adam, and one step of training."""

    def __init__(self, settings: dict[str, Any], n_inputs: int, n_steps: int, keep: float, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        n_hidden = settings["hidden"]
        self.n_steps, self.keep, self.settings = n_steps, keep, settings
        self.dtype = torch.bfloat16 if settings["bfloat16"] else torch.float32
        gains = (settings["gain"] / n_inputs**0.5, 1 / n_hidden**0.5)
        shapes = ((n_inputs, n_hidden), (n_hidden, N_CLASSES))
        self.weights = [
            gain * (2 * torch.rand(shape, generator=generator) - 1) for gain, shape in zip(gains, shapes, strict=True)
        ]
        self.optimizer = torch.optim.Adam(
            self.weights, lr=settings["rate"], betas=(settings["beta1"], settings["beta2"]), fused=True
        )
        self.gradients = torch.compile(self._gradients, dynamic=False)

    def _drive(self, x: torch.Tensor) -> torch.Tensor:
        """Return what every neuron receives in every step; x is (batch, steps, inputs)."""
        flat = x.reshape(-1, x.shape[-1]).to(self.dtype)
        return (flat @ self.weights[0].to(self.dtype)).float().view(len(x), self.n_steps, -1)

    def _gradients(self, x: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        s = self.settings
        spikes, slopes, count = forward(self._drive(x), self.keep, s["surrogate"], s["steep"])
        error = (torch.softmax(count @ self.weights[1], 1) - target) / len(x)
        by_drive = backward(error @ self.weights[1].T, spikes, slopes, self.keep)
        flat = x.reshape(-1, x.shape[-1]).to(self.dtype)
        return (flat.T @ by_drive.view(len(flat), -1).to(self.dtype)).float(), count.T @ error

    def learn(self, x: torch.Tensor, target: torch.Tensor, rate: float) -> None:
        """Take one step of Adam."""
        for weights, gradient in zip(self.weights, self.gradients(x, target), strict=True):
            weights.grad = gradient
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()

    def accuracy(self, x: torch.Tensor, labels: torch.Tensor) -> float:
        """Return the share of samples classified right."""
        right = 0
        for first in range(0, len(x), TEST_BLOCK):
            part = slice(first, first + TEST_BLOCK)
            s = self.settings
            count = forward(self._drive(x[part]), self.keep, s["surrogate"], s["steep"])[2]
            right += int(((count @ self.weights[1]).argmax(1) == labels[part]).sum())
        return right / len(x)


def rate_at(settings: dict[str, Any], done: float) -> float:
    """Return the learning rate after a share of the run: warm-up, then linearly to zero."""
    rising = min(1.0, (done + 1e-3) / settings["warm"]) if settings["warm"] else 1.0
    return float(settings["rate"] * rising * (1 - done))


def train(settings: dict[str, Any], data: dict[str, torch.Tensor], keep: float, seed: int) -> list[list[float]]:
    """Return seconds of training, samples seen and accuracy on the test images, as often as it was measured."""
    x, labels = data["train"], data["train_labels"]
    batch, n_steps = settings["batch"], x.shape[1]
    n_updates = int(settings["epochs"] * len(x) / batch)
    targets = torch.nn.functional.one_hot(labels, N_CLASSES).float()
    Net(settings, x.shape[2], n_steps, keep, seed).learn(x[:batch], targets[:batch], 0.0)  # compiles
    net = Net(settings, x.shape[2], n_steps, keep, seed)
    net.learn(x[:batch], targets[:batch], 0.0)  # finds what was compiled; Adam's averages start here
    net = Net(settings, x.shape[2], n_steps, keep, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    order, curve, seconds = torch.zeros(0, dtype=torch.int64), [], 0.0
    first_test = int(settings["test_from"] * n_updates)
    for update in range(n_updates):
        start = perf_counter()
        if len(order) < batch:
            order = torch.cat([order, torch.randperm(len(x), generator=generator)])
        chosen, order = order[:batch], order[batch:]
        net.learn(x[chosen], targets[chosen], rate_at(settings, update / n_updates))
        seconds += perf_counter() - start
        if update + 1 == n_updates or (update >= first_test and (update + 1) % settings["test_every"] == 0):
            right = net.accuracy(data["test"], data["test_labels"])
            curve.append([seconds, (update + 1) * batch, right])
            if right >= settings["stop_at"]:
                break
    return curve


def load(path: str) -> tuple[dict[str, torch.Tensor], float]:
    """Return spikes as (samples, steps, inputs) bytes, labels, and what a voltage keeps in a step."""
    found = np.load(path)
    n_inputs = int(found["n_inputs"])
    data = {name: torch.from_numpy(found[name].astype(np.int64)) for name in ("train_labels", "test_labels")}
    for name in ("train", "test"):
        data[name] = torch.from_numpy(np.unpackbits(found[name], axis=2, count=n_inputs))
    return data, float(found["keep"])


def main(path: str, settings_path: str) -> None:
    """Train once for each entry of the settings."""
    data, keep = load(path)
    with open(settings_path, encoding="utf-8") as file:
        asked = json.load(file)
    torch.set_num_threads(asked["threads"])
    torch.set_grad_enabled(False)
    curves = []
    for settings in asked["runs"]:
        curves.append(train(settings, data, keep, settings["seed"]))
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads(), "curves": curves}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
