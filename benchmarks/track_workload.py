"""What do networks cost in NeuroBench's terms? `tests/costs/test_neurobench.py` holds the values against the package."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.mapped_networks import networks_of_others
from benchmarks.measure import Cell, Options, Table
from neurosim.compile_network import compile as compile_network
from neurosim.config import TrainConfig
from neurosim.costs.workload import Workload, workload
from neurosim.data.folder import data_roots
from neurosim.data.mnist import load_mnist
from neurosim.events import Events, events_from_dense
from neurosim.experiment import train_model
from neurosim.modelfile import load_model
from neurosim.network import Network
from neurosim.runfolder import RunFolder
from neurosim.tasks import load_task

MNIST_STEPS, MNIST_LEVEL = 32, 1024  # a pixel of value p has fired floor(t p / 1024) times after t steps
OXFORD_STEPS = 1900
QUICK_SAMPLES = 20


def tables(options: Options) -> list[Table]:
    """Measure the demo's network, and lava-dl's where its files are there."""
    found = {"digits, trained here": _digits(options)}
    home = next((folder for folder in data_roots() if (folder / "lava-models").is_dir()), None)
    note = ""
    if home is None or find_spec("h5py") is None:
        note = " Not measured, lava-dl's networks: " + ("the data are absent." if home is None else "h5py is missing.")
    else:
        read = networks_of_others(home)
        images = load_mnist("test").images.reshape(-1, 784)[: QUICK_SAMPLES if options.quick else None]
        found["MNIST, lava-dl's network"] = _measured(read["mnist (lava-dl)"](), _counted_up(images))
        found["Oxford, lava-dl's network"] = _measured(read["oxford"](), _oxford(home))
    columns = ("term", *found)
    note = "NeuroBench 2.3's terms by `neurosim.workload`, per sample where it applies; all test samples." + note
    return [Table("In NeuroBench's terms", columns, _rows(list(found.values())), note)]


def _digits(options: Options) -> Workload:
    config = TrainConfig(epochs=1) if options.quick else TrainConfig()
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(f"{folder}/run")
        train_model(config, run, threads=max(options.threads))
        network = load_model(run.model_path).network
    return _measured(network, load_task(config.task, n_steps=config.network.n_steps, augment=False).test_events)


def _measured(network: Network, events: Events) -> Workload:
    return workload(compile_network(network), events)


def _counted_up(images: npt.NDArray[np.uint8]) -> Events:
    """Return pixels as neurons that count up their value without a leak."""
    steps = np.arange(1, MNIST_STEPS + 1)[None, :, None]
    fired = steps * images[:, None, :].astype(np.int64) // MNIST_LEVEL
    return events_from_dense(np.diff(fired, axis=1, prepend=0) > 0)


def _oxford(home: Path) -> Events:
    """Return the input of the Oxford network, times to the nearest step."""
    line, _, time = np.load(home / "lava-models" / "oxford" / "input.npy").T
    spikes = np.zeros((1, OXFORD_STEPS, 200), np.bool_)
    step = np.rint(time).astype(np.int64)
    spikes[0, step[step < OXFORD_STEPS], line.astype(np.int64)[step < OXFORD_STEPS]] = True
    return events_from_dense(spikes)


def _rows(found: list[Workload]) -> list[list[Cell]]:
    terms = [work.neurobench() for work in found]
    operations = [term["NeuronOperations"] for term in terms]
    return [
        ["samples", *(work.n_samples for work in found)],
        ["steps", *(work.n_steps for work in found)],
        ["Footprint, bytes", *(term["Footprint"] for term in terms)],
        ["on the chip (Loihi 1), bytes", *(_bytes(work) for work in found)],
        ["ParameterCount", *(term["ParameterCount"] for term in terms)],
        ["ConnectionSparsity", *(term["ConnectionSparsity"] for term in terms)],
        ["ActivationSparsity", *(f"{term['ActivationSparsity']:.4f}" for term in terms)],
        ["Effective ACs", *(round(term["SynapticOperations"]["Effective_ACs"]) for term in terms)],
        ["spikes times stored synapses", *(round(sum(c.stored for c in w.connections) / w.n_samples) for w in found)],
        ["Dense", *(round(term["SynapticOperations"]["Dense"]) for term in terms)],
        ["MembraneUpdates", *(term["MembraneUpdates"] for term in terms)],
        ["NeuronOperations, effective", *(None if n is None else round(n["Effective Neuron Ops"]) for n in operations)],
        ["NeuronOperations, dense", *(None if n is None else round(n["Neuron Dense Ops"]) for n in operations)],
    ]  # fmt: skip


def _bytes(work: Workload) -> int | None:
    bits = work.footprint.chip_bits
    return None if bits is None else -(-bits // 8)
