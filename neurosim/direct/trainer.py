"""Training by gradients through time: batches, shards, Adam, and a state that resumes to the bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from neurosim.config import TrainConfig
from neurosim.data.task import Task
from neurosim.direct.batches import Batches
from neurosim.direct.eventlayer import EventInput, pays
from neurosim.direct.losses import balance_loss
from neurosim.direct.net import DirectNet, Prepared
from neurosim.directconfig import DirectConfig
from neurosim.errors import ConfigError, ModelFileError
from neurosim.events import Events
from neurosim.learning.build import READOUT
from neurosim.learning.keys import stream_key
from neurosim.network import Network
from neurosim.quantize import Quantized

STATE_VERSION = 1
STREAM_DROPOUT = 201
BETAS, TINY = (0.9, 0.999), 1e-8
TEST_BLOCK = 500  # samples run together where nothing is learned
EDGES = np.linspace(-4, 4, 161)  # of the histogram of potentials, in thresholds
KINDS = ("parameter", "mean", "square")  # arrays of a state: parameters and Adam's averages
Tensor = Any


class Update(NamedTuple):
    """What one batch showed."""

    generation: int  # from 1
    n_samples: int
    correct: int
    loss: float  # cross-entropy of the labels in bits, mean over samples
    balance: float  # mean balance loss of the layers that it looks at, without its weight
    rates: dict[str, float]  # size of messages per neuron and step of each hidden group


class _Part(NamedTuple):
    """What a shard of a batch gave."""

    gradients: dict[tuple[str, str], Tensor]
    loss: float
    balance: float
    correct: int
    sent: dict[str, float]


def learning_rate(config: DirectConfig, done: float) -> float:
    """Return the rate after a share of the run: a rise over `warmup`, then as `schedule` says.

    Examples
    --------
    >>> [round(learning_rate(DirectConfig(rate=1.0, warmup=0.5), x), 3) for x in (0.0, 0.25, 0.5, 0.75, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if done < config.warmup:
        return config.rate * done / config.warmup
    left = (1 - done) / (1 - config.warmup) if config.warmup < 1 else 0.0
    if config.schedule == "cosine":
        return config.rate * 0.5 * (1 - math.cos(math.pi * left))
    return config.rate * (left if config.schedule == "linear" else 1.0)


class DirectTrainer:
    """A float network learning a classification task by gradients.

    A batch is cut into `direct.shards` parts. Threads take parts, each computes on one core, and the gradients of the parts are added
    in their order: the same weights for any number of threads.

    Parameters
    ----------
    config : TrainConfig
    network : Network
        As `neurosim.learning.build.build_network` describes it; what is plastic is trained.
    task : Task
    threads : int

    Attributes
    ----------
    generation, n_generations : int
        Batches done and batches of the whole run.
    """

    def __init__(self, config: TrainConfig, network: Network, task: Task, threads: int = 2) -> None:
        self.config, self.direct, self.task = config, config.direct, task
        if config.batch < self.direct.shards:
            raise ConfigError(
                f"direct.shards: {self.direct.shards} parts of a batch of {config.batch}; lower it to {config.batch} or less"
            )
        self.n_generations = max(1, config.epochs * len(task.train_labels) // config.batch)
        self.generation = 0
        self.net = DirectNet(network, self.direct, config.network.n_steps)
        self.batches = Batches(task, config.batch, config.seed, config.network.n_steps, self.n_generations)
        self._hidden = [layer.group for layer in self.net.layers if layer.fires]
        if self.direct.balance > 0 and not self._balanced():
            raise ConfigError(
                f"direct.balance: {self.direct.balance} looks at hidden layers, and there is none; set direct.balance_layers=readout, or 0"
            )
        self._moments = {
            key: (torch.zeros_like(value), torch.zeros_like(value)) for key, value in self.net.parameters.items()
        }
        self._takes_events = self.net.takes_events and pays(task.train_events)
        helpers = min(threads, self.direct.shards) - 1
        self._pool = ThreadPoolExecutor(helpers) if helpers > 0 else None
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(1)  # a part is computed on one core, so that sums do not depend on their number

    def __enter__(self) -> DirectTrainer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
        self.batches.close()
        torch.set_num_threads(self._threads_before)

    def advance(self, most: int) -> list[Update]:
        """Learn from up to `most` batches, at least one if any is left."""
        found: list[Update] = []
        while self.generation < self.n_generations and len(found) < max(1, most):
            found.append(self._learn())
        return found

    def _learn(self) -> Update:
        frames, labels = self._batch()
        prepared = self.net.prepare()
        bounds = np.linspace(0, len(labels), self.direct.shards + 1).astype(int).tolist()
        parts = self._parts(prepared, frames, labels, list(zip(bounds[:-1], bounds[1:], strict=True)))
        total = parts[0].gradients
        for part in parts[1:]:
            for key, gradient in part.gradients.items():
                total[key] += gradient
        self._step(self.net.collect(prepared, total))
        for kind, name in self.net.parameters:
            if not math.isfinite(float(self.net.parameters[kind, name].sum())):
                raise ConfigError(
                    f"direct.rate: {self.direct.rate} made {kind} of {name!r} infinite in batch {self.generation + 1}; lower it, or set direct.clip=1"
                )
        self.generation += 1
        n, n_steps = len(labels), self.config.network.n_steps
        rates = {g.name: sum(part.sent[g.name] for part in parts) / (n * n_steps * g.n) for g in self._hidden}
        balance = sum(part.balance for part in parts) / len(parts)
        return Update(
            self.generation, n, sum(part.correct for part in parts), sum(part.loss for part in parts) / n / math.log(2),
            balance, rates,
        )  # fmt: skip

    def _parts(
        self,
        prepared: Prepared,
        frames: npt.NDArray[np.float32] | EventInput,
        labels: npt.NDArray[np.int64],
        bounds: Sequence[tuple[int, int]],
    ) -> list[_Part]:
        """Return what each shard of a batch gives; this thread computes those that no other has begun, from the last."""
        if self._pool is None:
            return [self._shard(prepared, frames, labels, *ends) for ends in bounds]
        jobs = [self._pool.submit(self._shard, prepared, frames, labels, *ends) for ends in bounds]
        mine = {
            i: self._shard(prepared, frames, labels, *bounds[i]) for i in reversed(range(len(jobs))) if jobs[i].cancel()
        }
        return [mine[i] if i in mine else job.result() for i, job in enumerate(jobs)]

    def _batch(self) -> tuple[npt.NDArray[np.float32] | EventInput, npt.NDArray[np.int64]]:
        """Return the inputs and labels of the next batch."""
        if not self._takes_events:
            return self.batches.frames(self.generation)
        rows, labels = self.batches.events(self.generation)
        return EventInput.trusted(*rows, self.config.network.n_steps, self.task.n_inputs), labels

    def _shard(
        self,
        prepared: Prepared,
        frames: npt.NDArray[np.float32] | EventInput,
        labels: npt.NDArray[np.int64],
        first: int,
        last: int,
    ) -> _Part:
        """Return the gradients of samples first to last - 1 of a batch."""
        config, n = self.direct, len(labels)
        x: Tensor | EventInput
        if isinstance(frames, EventInput):
            x = frames.part(first, last)
        else:
            x = torch.from_numpy(np.ascontiguousarray(frames[:, first:last]))
        target = torch.from_numpy(labels[first:last])
        out = self.net.run(prepared, x, self._kept(first, last))
        loss = torch.nn.functional.cross_entropy(out.logits, target, reduction="sum", label_smoothing=config.smoothing)
        whole = loss / n
        balance = 0.0
        if config.balance > 0:
            losses = [
                balance_loss(out.potentials[name] / self._unit(prepared, name), config.balance_norm)
                for name in self._balanced()
            ]
            mean = sum(losses) / len(losses)
            whole = whole + config.balance * mean * ((last - first) / n)
            balance = float(mean.detach())
        leaves = prepared.leaves()
        gradients = torch.autograd.grad(whole, list(leaves.values()))
        correct = int((out.logits.argmax(1) == target).sum())
        return _Part(dict(zip(leaves, gradients, strict=True)), float(loss.detach()), balance, correct, out.sent)

    @staticmethod
    def _unit(prepared: Prepared, name: str) -> float:
        """Return what potentials are divided by to be in thresholds, or in units of the float weights for the readout."""
        return prepared.neurons[name].scale if name == READOUT else 1.0

    def _balanced(self) -> list[str]:
        """Return the groups that the balance loss looks at."""
        hidden = [group.name for group in self._hidden]
        return {"hidden": hidden, "first": hidden[:1], "last": hidden[-1:], "readout": [READOUT]}[
            self.direct.balance_layers
        ]

    def _kept(self, first: int, last: int) -> dict[str, Tensor] | None:
        """Return which neurons are not dropped for samples of a batch, times what makes up for the others."""
        share = self.direct.dropout
        if share == 0:
            return None
        from neurosim.kernels.directhidden import draw_kept

        found = {}
        for g, group in enumerate(self._hidden):
            key = stream_key(self.config.seed, STREAM_DROPOUT, self.generation * len(self._hidden) + g)
            kept = np.empty((last - first) * group.n, np.float32)
            draw_kept(
                np.uint64(key), first * group.n, round(share * 2**32), np.float32(1) / np.float32(1 - share), kept
            )
            found[group.name] = torch.from_numpy(kept.reshape(-1, group.n))
        return found

    def _step(self, gradients: dict[tuple[str, str], Tensor]) -> None:
        """Move the parameters: Adam (arXiv:1412.6980) with decoupled decay of weights (arXiv:1711.05101)."""
        from neurosim.kernels.directadam import move, take_gradient

        config, step = self.direct, self.generation + 1
        rate = learning_rate(config, self.generation / self.n_generations)
        if config.clip > 0:
            norm = math.sqrt(sum(float((g * g).sum()) for g in gradients.values()))
            if norm > config.clip:
                gradients = {key: g * (config.clip / norm) for key, g in gradients.items()}
        size = rate * math.sqrt(1 - BETAS[1] ** step) / (1 - BETAS[0] ** step)
        for key, parameter in self.net.parameters.items():
            mean, square = self._moments[key]
            gradient = gradients[key]
            if gradient.stride() != parameter.stride():
                gradient = torch.empty_like(parameter).copy_(gradient)
            take_gradient(_in_memory(mean), _in_memory(square), _in_memory(gradient), *BETAS)
            if config.weight_decay and key[0] == "weight":
                parameter.mul_(1 - rate * config.weight_decay)
            move(_in_memory(parameter), _in_memory(mean), _in_memory(square.sqrt()), np.float32(size), np.float32(TINY))

    def float_network(self) -> Network:
        """Return the network in floats as it is now."""
        return self.net.float_network()

    def quantized(self) -> Quantized:
        """Return the network in chip integers as it is now."""
        return self.net.quantized()

    def widths(self) -> dict[str, list[float]]:
        """Return the surrogate widths of each group that fires, one or one for each step, in thresholds."""
        return {group.name: self.net.widths(group.name) for group in self._hidden}

    def potentials(self, events: Events, n_samples: int) -> dict[str, tuple[list[float], list[int]]]:
        """Return a histogram of the membrane potentials before firing of each hidden group: edges in thresholds, and counts."""
        prepared = self.net.prepare(train=False)
        found: dict[str, tuple[list[float], list[int]]] = {}
        counts = {group.name: np.zeros(len(EDGES) - 1, np.int64) for group in self._hidden}
        for first in range(0, min(n_samples, events.n_samples), TEST_BLOCK):
            last = min(first + TEST_BLOCK, n_samples, events.n_samples)
            out = self.net.run(prepared, torch.from_numpy(self.batches.test_frames(events, first, last)))
            for name in counts:
                clipped = np.clip(out.potentials[name].numpy(), EDGES[0], EDGES[-1])
                counts[name] += np.histogram(clipped, EDGES)[0]
        for name, counted in counts.items():
            found[name] = (EDGES.tolist(), counted.tolist())
        return found

    def predict(self, events: Events, chip: bool = True) -> npt.NDArray[np.int64]:
        """Return the class of each sample, in the chip's arithmetic or in floats, (n_samples,) int64."""
        prepared = self.net.prepare(train=False, chip=chip)
        found: list[npt.NDArray[np.int64]] = []
        with torch.no_grad():
            for first in range(0, events.n_samples, TEST_BLOCK):
                last = min(first + TEST_BLOCK, events.n_samples)
                out = self.net.run(prepared, torch.from_numpy(self.batches.test_frames(events, first, last)))
                found.append(
                    out.potentials[READOUT][-1].numpy().argmax(axis=1).astype(np.int64)
                )  # the first among equals
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return everything that changes during training."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for i, (key, parameter) in enumerate(self.net.parameters.items()):
            for kind, tensor in zip(KINDS, (parameter, *self._moments[key]), strict=True):
                arrays[f"{kind}.{i}"] = tensor.numpy().copy()
        names = ["/".join(key) for key in self.net.parameters]  # names of arrays in a file have no arrows
        return {"state": STATE_VERSION, "method": "direct", "generation": self.generation, "parameters": names}, arrays

    def restore(self, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], where: str) -> None:
        """Continue from a state.

        Raises
        ------
        ModelFileError
            If it is of another network or version.
        """
        if header.get("method") != "direct" or header.get("state") != STATE_VERSION:
            raise ModelFileError(f"{where}: is no checkpoint of method 'direct' of this version; train anew")
        if header.get("parameters") != ["/".join(key) for key in self.net.parameters]:
            raise ModelFileError(
                f"{where}: holds other parameters than the network learns; the network differs, train anew"
            )
        for i, (key, parameter) in enumerate(self.net.parameters.items()):
            for kind, tensor in zip(KINDS, (parameter, *self._moments[key]), strict=True):
                name = f"{kind}.{i}"
                if name not in arrays or arrays[name].shape != tuple(tensor.shape):
                    raise ModelFileError(
                        f"{where}: array {name!r} ({'/'.join(key)}) is missing or of another shape; the network differs, train anew"
                    )
                tensor.copy_(torch.from_numpy(np.array(arrays[name], np.float32)))
        self.generation = int(header["generation"])


def _in_memory(tensor: Tensor) -> npt.NDArray[np.float32]:
    """Return a tensor in the order of memory; nothing is copied."""
    found: npt.NDArray[np.float32] = torch.as_strided(tensor, (tensor.numel(),), (1,)).numpy()
    return found
