"""Train a network in its own framework, measure it there, write its NIR file beside what it computed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from benchmarks.frameworks.recipes import Recipe
from neurosim.events import Events
from neurosim.tasks import Task, load_task

CLIP = 1.0  # longest gradient
N_RECORDED = 20  # test samples whose spikes in all layers are kept
Floats = npt.NDArray[np.float32]


def batches(events: Events, index: npt.NDArray[np.int64], size: int, shape: tuple[int, ...]) -> Iterator[Tensor]:
    """Yield the samples of an index as (n_steps, n_samples, *shape), so many at a time."""
    for first in range(0, len(index), size):
        dense = events.take(index[first : first + size]).to_dense().transpose(1, 0, 2)
        yield torch.from_numpy(dense.reshape(*dense.shape[:2], *shape).astype(np.float32))


def fit(recipe: Recipe, net: nn.Module, task: Task, seed: int) -> None:
    """Train in place: surrogate gradients, cross entropy of what classes are read from."""
    rng = np.random.default_rng(seed)
    n = len(task.train_labels) if recipe.n_train is None else recipe.n_train
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs * -(-n // recipe.batch))
    loss_of = nn.CrossEntropyLoss()
    for epoch in range(recipe.epochs):
        order, begun, total = rng.permutation(n), perf_counter(), 0.0
        labels = torch.from_numpy(task.train_labels[order])
        parts = zip(
            batches(task.train_events, order, recipe.batch, recipe.shape), labels.split(recipe.batch), strict=True
        )
        for x, label in parts:
            optimizer.zero_grad()
            loss = loss_of(recipe.sharpness * recipe.answers(recipe.nets.run(net, x)), label)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), CLIP)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(label)
        sys.stderr.write(f"  epoch {epoch + 1}: loss {total / n:.4f}, {perf_counter() - begun:.0f} s\n")


@torch.no_grad()
def answers(recipe: Recipe, net: nn.Module, events: Events) -> Floats:
    """Return what the class of every sample is read from, (n_samples, n_classes)."""
    index = np.arange(events.n_samples)
    parts = [recipe.answers(recipe.nets.run(net, x)) for x in batches(events, index, 500, recipe.shape)]
    return np.asarray(torch.cat(parts).numpy())


@torch.no_grad()
def layers(recipe: Recipe, net: nn.Module, events: Events) -> dict[str, Floats]:
    """Return what every stateful module gave, (n_samples, n_steps, *shape) by its name in the network."""
    found: dict[str, list[Tensor]] = {}

    def watch(name: str, module: nn.Module) -> Any:
        def keep(_: nn.Module, __: Any, output: Any) -> None:
            found.setdefault(name, []).append(output[0] if isinstance(output, tuple) else output)

        return module.register_forward_hook(keep)

    stateful = [
        (name, module) for name, module in net.named_modules() if hasattr(module, "p") or hasattr(module, "mem")
    ]
    handles = [watch(name, module) for name, module in stateful]
    for x in batches(events, np.arange(events.n_samples), events.n_samples, recipe.shape):
        recipe.nets.run(net, x)
    for handle in handles:
        handle.remove()
    return {name: torch.stack(steps).transpose(0, 1).numpy() for name, steps in found.items()}


def train(name: str, recipe: Recipe, folder: Path, seed: int = 1) -> dict[str, Any]:
    """Build, train, measure and export; write NAME.nir, NAME.npz and NAME.json, and return what the last holds.

    The arrays of NAME.npz: ``answers`` (n_test, n_classes), what classes are read from on the whole test set; ``labels``; and for
    the first `N_RECORDED` test samples ``layer.NODE`` (n_samples, n_steps, *shape), the spikes or voltages of each layer.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    task = load_task(recipe.task, augment=False)
    net: nn.Module = getattr(recipe.nets, recipe.net)()
    begun = perf_counter()
    fit(recipe, net, task, seed)
    seconds = perf_counter() - begun
    found = answers(recipe, net, task.test_events)
    recorded = layers(recipe, net, task.test_events.take(np.arange(N_RECORDED)))
    nir.write(folder / f"{name}.nir", recipe.nets.export(net, torch.zeros(recipe.shape)))
    np.savez_compressed(
        folder / f"{name}.npz",
        answers=found,
        labels=task.test_labels,
        **{f"layer.{node}": spikes for node, spikes in recorded.items()},
    )
    about = {
        "name": name,
        "framework": f"{recipe.framework} {version(recipe.framework)}",
        "torch": torch.__version__,
        "nir": version("nir"),
        "nirtorch": version("nirtorch"),
        "task": recipe.task,
        "dt": recipe.nets.DT,
        "readout": recipe.readout,
        "n_train": recipe.n_train or len(task.train_labels),
        "n_test": len(task.test_labels),
        "accuracy": float((found.argmax(1) == task.test_labels).mean()),
        "seconds": seconds,
        "seed": seed,
    }
    (folder / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return about
