"""Train by gradients with neurosim: a process that answers what `peer_direct.py` answers, line by line.

usage: direct_worker.py SETTINGS.json

Settings: threads, seed, n_samples (of the task's training samples) and lines (of the configuration).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import torch

from neurosim.config import TrainConfig, override
from neurosim.direct.trainer import DirectTrainer
from neurosim.learning.build import build_network
from neurosim.tasks import Task, load_task


def main(settings_path: str) -> None:
    """Answer what is asked line by line."""
    with open(settings_path, encoding="utf-8") as file:
        settings = json.load(file)
    if hasattr(os, "sched_setaffinity"):  # before any thread is started
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: settings["threads"]])
    config = override(TrainConfig(seed=settings["seed"]), settings["lines"])
    task = few_to_learn_from(
        load_task(config.task, n_steps=config.network.n_steps, augment=False), settings["n_samples"]
    )
    network = build_network(config.network, task.n_inputs, task.n_classes, config.seed, "network", task.input_shape)
    with DirectTrainer(config, network, task, settings["threads"]) as trainer:
        say({"torch": torch.__version__, "library": ""})
        for line in sys.stdin:
            asked = json.loads(line)
            n = 1 if asked["do"] == "look" else asked["steps"]
            start = perf_counter()
            updates = trainer.advance(n)
            seconds = perf_counter() - start
            assert len(updates) == n, "the run is over: give it more epochs"
            say({"seconds": seconds, "loss": updates[-1].loss, "rates": list(updates[-1].rates.values())})


def few_to_learn_from(task: Task, n: int) -> Task:
    """Return a task with its first n samples to learn from."""
    return replace(task, train_events=task.train_events.take(np.arange(n)), train_labels=task.train_labels[:n])


def say(what: dict[str, Any]) -> None:
    """Answer one line."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
