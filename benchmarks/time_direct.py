"""How long does a step of training by gradients take, beside snnTorch and spikingjelly?"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from benchmarks.measure import ROOT, Cell, Options, Table
from benchmarks.peers import ONE_THREAD, SCRIPTS, interpreter
from neurosim.config import TrainConfig, override
from neurosim.decays import decays_of
from neurosim.errors import DataError
from neurosim.learning.build import build_network
from neurosim.learning.keys import STREAM_ORDER, permutation, stream_key
from neurosim.network import ConvConnection, CubaLIF, Network
from neurosim.tasks import Task, load_task

N_STEPS, BATCH, RATE = 8, 128, 1e-3
N_SAMPLES, N_SAMPLES_QUICK = 8192, 512
ROUNDS, STEPS = 15, 20  # of each program in its turn
TRIAL_STEPS = 20  # of each form of a library, the fastest of which is compared
COMMON = [
    "task=mnist", "augment=false", "method=direct", f"network.n_steps={N_STEPS}", f"batch={BATCH}", "epochs=100000",
    f"direct.rate={RATE}", "direct.surrogate=arctan", "direct.schedule=constant", "direct.warmup=0",
]  # fmt: skip
NETWORKS = {
    "784-256-10": ["network.hidden=[256]"],
    "16c5s2-32c3s2-10": ["network.hidden=[]", 'network.convolutions=["16c5s2", "32c3s2"]'],
}
LIBRARIES = ("snntorch", "spikingjelly")
ARITHMETICS = ("float", "chip")
CLOSE = 1e-3  # relative: rates and losses of the first batch, where the order of additions decides a spike now and then


class Form(NamedTuple):
    """How a library is run."""

    library: str
    form: str  # "eager" or "compiled"
    order: str  # "plain" or "channels-last"

    def __str__(self) -> str:
        """Name it as tables do."""
        return f"{self.form}, {self.order}" if self.order != "plain" else self.form


class Program:
    """A process that trains when it is told to."""

    def __init__(self, command: Sequence[str], threads: int, neurosim: bool) -> None:
        limits = {name: str(threads) for name in ONE_THREAD}
        path = os.pathsep.join([str(ROOT), str(ROOT / "backends")]) if neurosim else ""
        self._command, self._environment = command, {**os.environ, **limits, "PYTHONPATH": path}

    def __enter__(self) -> Program:
        with ExitStack() as stack:
            self._errors = stack.enter_context(tempfile.TemporaryFile("w+"))
            self._process = stack.enter_context(
                subprocess.Popen(
                    self._command, env=self._environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=self._errors, text=True,
                )
            )  # fmt: skip
            self._answer()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()  # ends the process by ending its input

    def look(self) -> dict[str, Any]:
        """Return loss and rates of the first batch; neurosim learns from it."""
        return self._ask({"do": "look"})

    def seconds(self, steps: int) -> float:
        """Train; return the seconds of a step."""
        return float(self._ask({"do": "steps", "steps": steps})["seconds"]) / steps

    def _ask(self, what: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"training process ended with {self._process.wait()}: {self._errors.read()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def tables(options: Options) -> list[Table]:
    """Train every network with each library and with neurosim, in turn."""
    columns = (
        "network", "threads", "arithmetic", "neurosim, ms", "library", "form", "library, ms", "library / neurosim", "least",
        "most",
    )  # fmt: skip
    title = "A step of training by gradients"
    python = interpreter("direct")
    if python is None:
        return [Table(title, columns, [], "Not measured: NEUROSIM_BENCH_DIRECT names no Python (docs/benchmarks.md).")]
    try:
        task = load_task("mnist", n_steps=N_STEPS, augment=False)
    except DataError as error:
        return [Table(title, columns, [], f"Not measured: {error}.")]
    n = N_SAMPLES_QUICK if options.quick else N_SAMPLES
    task = replace(task, train_events=task.train_events.take(np.arange(n)), train_labels=task.train_labels[:n])
    rows: list[list[Cell]] = []
    for name in NETWORKS:
        for threads in options.threads:
            rows += _rows(name, threads, task, python, options)
    note = (
        f"MNIST in {N_STEPS} steps, batches of {BATCH}: the batch is taken from memory, run, its cross-entropy differentiated through time "
        "and Adam's step done; milliseconds, median of the rounds, in each of which all take their turn; the ratios are those within a "
        "round: median, least and most. The same spikes, weights at the start, leak, threshold, hard reset (its gradient cut), arctan "
        f"surrogate and readout; rates and losses of the first batch are checked equal within {100 * CLOSE:g} %. All in 32-bit floats; chip: "
        "neurosim sees weights, decays and states as the chip holds them. Libraries: products and convolutions of all steps at once, one readout of "
        "the summed spikes, fused Adam, input as bytes gathered by `index_select`; eager and `torch.compile`d, convolutions in both orders of "
        "memory, of which the fastest is compared; spikingjelly in its multi-step mode with torch's backend (its others need a GPU). Every "
        "process is bound to as many cores as it has threads; compiling is not in the times."
    )
    return [Table(title, columns, rows, note)]


def _rows(name: str, threads: int, task: Task, python: str, options: Options) -> list[list[Cell]]:
    """Measure one network with so many threads."""
    rounds, steps = (3, 2) if options.quick else (ROUNDS, STEPS)
    config = override(TrainConfig(seed=options.seed), [*COMMON, *NETWORKS[name]])
    network = build_network(config.network, task.n_inputs, task.n_classes, config.seed, "network", task.input_shape)
    forms = [
        Form(library, form, order)
        for library in LIBRARIES
        for form in (("eager",) if options.quick else ("eager", "compiled"))
        for order in (("plain", "channels-last") if config.network.convolutions else ("plain",))
    ]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_data(task, network, options.seed, folder / "data.npz")
        ours = {
            arithmetic: stack.enter_context(
                start_neurosim(python, folder / f"{arithmetic}.json", name, arithmetic, threads, len(task.train_labels), options)
            )
            for arithmetic in ARITHMETICS
        }  # fmt: skip
        chosen, peers, looks = {}, {}, []
        for library in LIBRARIES:
            trials = {}
            for form in forms:
                if form.library == library:
                    with start_peer(python, folder, form, network, threads) as program:
                        looks.append(program.look())
                        program.seconds(2)
                        trials[form] = min(program.seconds(max(1, steps // 2)) for _ in range(2))
            chosen[library] = min(trials, key=lambda form: trials[form])
            peers[library] = stack.enter_context(start_peer(python, folder, chosen[library], network, threads))
        check(ours["float"].look(), looks)
        everyone = {**ours, **peers}
        times: dict[str, list[float]] = {key: [] for key in everyone}
        for program in everyone.values():
            program.seconds(TRIAL_STEPS if not options.quick else 1)
        for _ in range(rounds):
            for key, program in everyone.items():
                times[key].append(program.seconds(steps))
    rows: list[list[Cell]] = []
    for arithmetic in ARITHMETICS:
        for library in LIBRARIES:
            ratios = [a / b for a, b in zip(times[library], times[arithmetic], strict=True)]
            rows.append(
                [name, threads, arithmetic, 1e3 * median(times[arithmetic]), library, str(chosen[library]),
                 1e3 * median(times[library]), median(ratios), min(ratios), max(ratios)]
            )  # fmt: skip
    return rows


def start_neurosim(
    python: str, path: Path, name: str, arithmetic: str, threads: int, n_samples: int, options: Options
) -> Program:
    """Start neurosim's training."""
    lines = [*COMMON, *NETWORKS[name], f"direct.arithmetic={arithmetic}", f"direct.shards={max(options.threads)}"]
    path.write_text(
        json.dumps({"threads": threads, "seed": options.seed, "n_samples": n_samples, "lines": lines}), encoding="utf-8"
    )
    return Program([python, "-m", "benchmarks.direct_worker", str(path)], threads, neurosim=True)


def start_peer(python: str, folder: Path, form: Form, network: Network, threads: int) -> Program:
    """Start a library's training."""
    hidden = next(group for group in network.groups if isinstance(group, CubaLIF))
    layers: list[list[list[int]] | None] = []
    shape = None
    for connection in network.connections:
        if isinstance(connection, ConvConnection):
            shape = shape or connection.input_shape
            layers.append([np.broadcast_to(one, 2).tolist() for one in (connection.stride, connection.padding)])
        else:
            layers.append(None)
    settings = {
        "library": form.library, "form": form.form, "order": form.order, "batch": BATCH, "rate": RATE, "threads": threads,
        "keep": 1 - float(decays_of(hidden, network.dt).mem[0]), "shape": shape, "layers": layers,
    }  # fmt: skip
    path = folder / "settings.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    command = [python, str(SCRIPTS / "peer_direct.py"), str(folder / "data.npz"), str(path)]
    return Program(command, threads, neurosim=False)


def write_data(task: Task, network: Network, seed: int, path: Path) -> None:
    """Write input spikes as bits (samples, steps, bytes of inputs), labels, and the weights of each layer in thresholds.

    Samples come in the order in which neurosim sees them, so that the first batch is the same for all.
    """
    order = permutation(stream_key(seed, STREAM_ORDER, 0), len(task.train_labels))
    arrays: dict[str, Any] = {
        "spikes": np.packbits(task.train_events.to_dense()[order], axis=2),
        "labels": task.train_labels[order],
        "n_inputs": np.array(task.n_inputs),
    }
    for i, connection in enumerate(network.connections):
        arrays[f"weights {i}"] = np.asarray(connection.weights)  # type: ignore[union-attr]
    np.savez(path, **arrays)


def check(ours: dict[str, Any], theirs: Sequence[dict[str, Any]]) -> None:
    """Refuse networks whose hidden rates or losses differ on the first batch, before anything is learned."""
    for other in theirs:
        for key in ("rates", "loss"):
            np.testing.assert_allclose(other[key], ours[key], rtol=CLOSE, err_msg=f"{key} of neurosim and a library")
