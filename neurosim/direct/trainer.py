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
from neurosim.direct.batches import Batches, part_bounds
from neurosim.direct.eventlayer import EventInput, pays
from neurosim.direct.losses import balance_loss
from neurosim.direct.net import WEIGHT, DirectNet, Outcome, Prepared
from neurosim.directconfig import DirectConfig
from neurosim.errors import ConfigError, ModelFileError
from neurosim.events import Events
from neurosim.learning.build import READOUT
from neurosim.learning.keys import stream_key
from neurosim.network import Network
from neurosim.quantize import Quantized
from neurosim.reference.direct import Floats

STATE_VERSION = 1
STREAM_DROPOUT = 201
BETAS, TINY = (0.9, 0.999), 1e-8
TEST_BLOCK = 500  # samples run together where nothing is learned
EDGES = np.linspace(-4, 4, 161)  # of the histogram of potentials, in thresholds
KINDS = ("parameter", "mean", "square")  # arrays of a state: parameters and Adam's averages
Gradients = dict[tuple[str, str], Floats]  # by (kind, name)


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

    gradients: Gradients
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
            key: (np.zeros_like(value), np.zeros_like(value)) for key, value in self.net.parameters.items()
        }
        self._takes_events = self.net.takes_events and pays(task.train_events)
        helpers = min(threads, self.direct.shards) - 1
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(1)  # a part is computed on one core, so that sums do not depend on their number
        self._pool = (
            ThreadPoolExecutor(helpers, initializer=torch.set_num_threads, initargs=(1,)) if helpers > 0 else None
        )

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
        inputs, labels = self._batch()
        prepared = self.net.prepare(for_events=self._takes_events)
        parts = self._parts(prepared, inputs, labels)
        total = parts[0].gradients
        for part in parts[1:]:
            for key, gradient in part.gradients.items():
                total[key] += gradient
        self._step(self.net.collect(prepared, total))
        self.generation += 1
        n, n_steps = len(labels), self.config.network.n_steps
        rates = {g.name: sum(part.sent[g.name] for part in parts) / (n * n_steps * g.n) for g in self._hidden}
        balance = sum(part.balance for part in parts) / len(parts)
        return Update(
            self.generation, n, sum(part.correct for part in parts), sum(part.loss for part in parts) / n / math.log(2),
            balance, rates,
        )  # fmt: skip

    def _parts(
        self, prepared: Prepared, inputs: Sequence[Floats | EventInput], labels: npt.NDArray[np.int64]
    ) -> list[_Part]:
        """Return what each shard of a batch gives; this thread computes those that no other has begun, from the last."""
        bounds = part_bounds(len(labels), len(inputs))
        shards = [(prepared, each, labels, *ends) for each, ends in zip(inputs, bounds, strict=True)]
        if self._pool is None:
            return [self._shard(*shard) for shard in shards]
        jobs = [self._pool.submit(self._shard, *shard) for shard in shards]
        mine = {i: self._shard(*shards[i]) for i in reversed(range(len(jobs))) if jobs[i].cancel()}
        return [mine[i] if i in mine else job.result() for i, job in enumerate(jobs)]

    def _batch(self) -> tuple[Sequence[Floats | EventInput], npt.NDArray[np.int64]]:
        """Return the inputs of each shard of the next batch, and the labels of all."""
        n_parts = self.direct.shards
        if self._takes_events:
            return self.batches.events(self.generation, n_parts)
        frames, labels = self.batches.frames(self.generation)
        bounds = part_bounds(len(labels), n_parts)
        return [np.ascontiguousarray(frames[:, first:last]) for first, last in bounds], labels

    def _shard(
        self, prepared: Prepared, inputs: Floats | EventInput, labels: npt.NDArray[np.int64], first: int, last: int
    ) -> _Part:
        """Return the gradients of samples first to last - 1 of a batch."""
        from neurosim.kernels.directloss import cross_entropy

        config, n = self.direct, len(labels)
        kept = self._kept(first, last)
        out = self.net.run(prepared, inputs, kept)
        by_readout, found = np.zeros_like(out.potentials[READOUT]), np.empty(2)
        factor = 1 / (n * prepared.neurons[READOUT].scale)
        cross_entropy(out.logits, labels[first:last], config.smoothing, factor, by_readout[-1], found)
        by_potentials, balance = {READOUT: by_readout}, 0.0
        if config.balance > 0:
            balance = self._balance(prepared, out, by_potentials, config.balance * (last - first) / n)
        gradients = self.net.gradients(prepared, out, by_potentials, kept)
        return _Part(gradients, float(found[0]), balance, int(found[1]), out.sent)

    def _balance(self, prepared: Prepared, out: Outcome, by_potentials: dict[str, Floats], weight: float) -> float:
        """Return the balance loss, and add its gradients by potentials, times a weight."""
        names = self._balanced()
        potentials = [torch.from_numpy(out.potentials[name]).requires_grad_() for name in names]
        losses = [
            balance_loss(potential / self._unit(prepared, name), self.direct.balance_norm)
            for name, potential in zip(names, potentials, strict=True)
        ]
        mean = sum(losses) / len(losses)
        found = torch.autograd.grad(weight * mean, potentials)
        for name, gradient in zip(names, found, strict=True):
            by_potentials[name] = by_potentials.get(name, np.float32(0)) + gradient.numpy()
        return float(mean.detach())

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

    def _kept(self, first: int, last: int) -> dict[str, Floats] | None:
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
            found[group.name] = kept.reshape(-1, group.n)
        return found

    def _step(self, gradients: dict[tuple[str, str], tuple[Floats, float]]) -> None:
        """Move the parameters: Adam (arXiv:1412.6980) with decoupled decay of weights (arXiv:1711.05101)."""
        from neurosim.kernels.directadam import advance

        config, step = self.direct, self.generation + 1
        rate, share = learning_rate(config, self.generation / self.n_generations), 1.0
        if config.clip > 0:
            squares = (factor**2 * float((each * each).sum(dtype=np.float64)) for each, factor in gradients.values())
            norm = math.sqrt(sum(squares))
            share = min(1.0, config.clip / norm) if norm > 0 else 1.0
        size = rate * math.sqrt(1 - BETAS[1] ** step) / (1 - BETAS[0] ** step)
        for key, parameter in self.net.parameters.items():
            kind, name = key
            gradient, factor = gradients[key]
            kept = 1 - rate * config.weight_decay if kind == WEIGHT else 1.0
            arrays = [each.reshape(-1, order="A") for each in (parameter, *self._moments[key], gradient)]
            numbers = [np.float32(x) for x in (factor, share, kept)]
            if advance(*arrays, *numbers, *BETAS, np.float32(size), np.float32(TINY)):  # type: ignore[call-arg]
                raise ConfigError(
                    f"direct.rate: {config.rate} made {kind} of {name!r} infinite in batch {self.generation + 1}; lower it, or set direct.clip=1"
                )

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
        prepared = self.net.prepare()
        found: dict[str, tuple[list[float], list[int]]] = {}
        counts = {group.name: np.zeros(len(EDGES) - 1, np.int64) for group in self._hidden}
        for first in range(0, min(n_samples, events.n_samples), TEST_BLOCK):
            last = min(first + TEST_BLOCK, n_samples, events.n_samples)
            out = self.net.run(prepared, self.batches.test_frames(events, first, last))
            for name in counts:
                clipped = np.clip(out.potentials[name], EDGES[0], EDGES[-1])
                counts[name] += np.histogram(clipped, EDGES)[0]
        for name, counted in counts.items():
            found[name] = (EDGES.tolist(), counted.tolist())
        return found

    def predict(self, events: Events, chip: bool = True) -> npt.NDArray[np.int64]:
        """Return the class of each sample, in the chip's arithmetic or in floats, (n_samples,) int64."""
        prepared = self.net.prepare(chip=chip)
        found: list[npt.NDArray[np.int64]] = []
        for first in range(0, events.n_samples, TEST_BLOCK):
            last = min(first + TEST_BLOCK, events.n_samples)
            out = self.net.run(prepared, self.batches.test_frames(events, first, last))
            found.append(out.potentials[READOUT][-1].argmax(axis=1).astype(np.int64))  # the first among equals
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return everything that changes during training."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for i, (key, parameter) in enumerate(self.net.parameters.items()):
            for kind, array in zip(KINDS, (parameter, *self._moments[key]), strict=True):
                arrays[f"{kind}.{i}"] = array.copy()
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
            for kind, array in zip(KINDS, (parameter, *self._moments[key]), strict=True):
                name = f"{kind}.{i}"
                if name not in arrays or arrays[name].shape != array.shape:
                    raise ModelFileError(
                        f"{where}: array {name!r} ({'/'.join(key)}) is missing or of another shape; the network differs, train anew"
                    )
                array[...] = arrays[name]
        self.generation = int(header["generation"])
