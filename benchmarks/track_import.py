"""What do networks of other frameworks lose as chip integers: accuracy there, in our floats, and in 8 bits?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.frameworks.recipes import RECIPES
from benchmarks.measure import ROOT, Cell, Options, Table
from benchmarks.peers import ONE_THREAD, VARIABLES, interpreter
from neurosim.answers import Answer
from neurosim.data.folder import DataSet, find_data
from neurosim.data.labelled import Labelled, load_labelled
from neurosim.data.nmnist import NMNIST
from neurosim.errors import DataError
from neurosim.exchange.imported import Imported
from neurosim.exchange.nirfile import read_nir
from neurosim.studies.importstudy import Wanted, study_import
from neurosim.tasks import load_task

COLUMNS = (
    "network", "framework", "test samples", "framework, %", "our floats, %", "integers, %", "integers - framework, points",
    "other answers, floats", "other answers, integers", "weights clipped", "weights rounded to 0", "first other spike",
)  # fmt: skip
KEPT = "NEUROSIM_BENCH_TRAINED"  # names a folder of networks that were trained before
NIR_MODELS = DataSet("nir-models", "*.nir", ("cnn_sinabs.nir",), "https://github.com/neuromorphs/NIR, paper")
NMNIST_SHAPE = (2, 34, 34)
PUBLISHED = "0.954 to 0.985 on the test set, by tool"
QUICK = {"mnist": 200, "fsdd": 60, "nmnist": 20}  # test samples
QUICK_TRAINING = ("--epochs", "1", "--samples", "300")


class Trained(NamedTuple):
    """A network of a framework, what it answered there, and how it is read here.

    Attributes
    ----------
    name, framework : str
    path : Path
        Of the NIR file.
    dt : float
        In seconds.
    spike : {"unit", "impulse"}
    fitness : str
        How classes are read, as in `neurosim.answers.Answer`.
    data : Labelled
        Test samples.
    answers : (n_samples,) int64 or None
        Classes that the framework gave; None where it is not there.
    published : str
        Its accuracy in words, where it was not measured here.
    """

    name: str
    framework: str
    path: Path
    dt: float
    spike: str
    fitness: str
    data: Labelled
    answers: npt.NDArray[np.int64] | None
    published: str = ""


class Found(NamedTuple):
    """What importing a network gave."""

    framework: float | None  # accuracy, as the others
    floats: float
    integers: float
    other_floats: int | None  # answers unlike the framework's
    other_integers: int  # unlike our floats'
    clipped: int
    to_zero: int
    first: str
    report: dict[str, Any]


def tables(options: Options) -> list[Table]:
    """Train networks in their frameworks where there is a Python with them, import all, and compare on the test samples."""
    notes = []
    with tempfile.TemporaryDirectory() as scratch:
        networks = [
            network
            for source in (_trained(options, Path(scratch), notes), _sinabs(options, notes))
            for network in source
        ]
        rows = [row(network, compare(network)) for network in networks]
    notes.append(
        "Trained and measured in the framework with 32-bit floats, written by its own NIR writer, read with `read_nir` and "
        'quantised with `quantize(decay="euler")`, free scales, 8-bit weights. Our floats are the imported network in 64 bits. '
        "First other spike: sample, step of the chip and layer where integers first leave the floats, among all samples the earliest step."
    )
    return [Table("Networks of other frameworks as chip integers", COLUMNS, rows, " ".join(notes))]


def read_trained(folder: Path, name: str, limit: int | None = None) -> Trained:
    """Return a network that `benchmarks.frameworks` wrote, with the first test samples of its task."""
    about = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    with np.load(folder / f"{name}.npz", allow_pickle=False) as kept:
        answers, labels = kept["answers"].argmax(1), kept["labels"]
    task = load_task(about["task"], augment=False, test_only=True)
    data = Labelled(task.test_events, task.test_labels, task.name)
    if not np.array_equal(data.known_labels(), labels):
        raise DataError(
            f"network {name!r}: was tested on other samples than task {about['task']!r} has here; train it anew"
        )
    if limit is not None:
        data = data_head(data, limit)
        answers = answers[:limit]
    fitness = "count" if about["readout"] == "count" else "likelihood"
    return Trained(name, about["framework"], folder / f"{name}.nir", about["dt"], "unit", fitness, data, answers)


def data_head(data: Labelled, n: int) -> Labelled:
    """Return the first samples."""
    return Labelled(data.events.take(np.arange(n)), data.known_labels()[:n], data.name)


def read(network: Trained) -> Imported:
    """Import the NIR file of a network."""
    return read_nir(
        network.path, dt=network.dt, spike="impulse" if network.spike == "impulse" else "unit",
        input_values=network.data.events.value is not None,
    )  # fmt: skip


def compare(network: Trained, wanted: Wanted | None = None, threads: int = 1) -> Found:
    """Import a network, run all its samples in floats and in integers, and compare with what the framework answered."""
    model = read(network)
    wanted = wanted or Wanted(chip="unlimited", answer=Answer(model.outputs.group, network.fitness))
    report = study_import(model, wanted, calibrate=network.data, threads=threads)[1]["quant_error"]
    accuracy, labels = report["accuracy"], network.data.known_labels()
    floats = np.asarray(accuracy["predictions"]["float"])
    known = network.answers
    weights = [weight for layer in report["layers"] for weight in layer["weights"]]
    first = [(d["step"], d["sample"], layer["group"]) for layer in report["layers"] if (d := layer["divergence"])]
    step, sample, group = min(first) if first else (0, 0, "")
    return Found(
        None if known is None else float((known == labels).mean()), accuracy["float"], accuracy["integer"],
        None if known is None else int(np.count_nonzero(known != floats)), accuracy["differ"],
        sum(weight["clipped"] for weight in weights), sum(weight["rounded_to_zero"] for weight in weights),
        f"sample {sample}, step {step}, {group}" if first else "none", report,
    )  # fmt: skip


def row(network: Trained, found: Found) -> list[Cell]:
    """Return the row of a network."""
    percent = [None if x is None else f"{100 * x:.2f}" for x in (found.framework, found.floats, found.integers)]
    there = found.floats if found.framework is None else found.framework
    return [
        network.name, network.framework, network.data.events.n_samples, percent[0] or network.published, *percent[1:],
        f"{100 * (found.integers - there):+.2f}", found.other_floats, found.other_integers, found.clipped, found.to_zero, found.first,
    ]  # fmt: skip


def _trained(options: Options, scratch: Path, notes: list[str]) -> Iterator[Trained]:
    """Yield the networks of `RECIPES` whose data are there, trained anew or before."""
    python, kept = interpreter("frameworks"), os.environ.get(KEPT)
    if kept is None and python is None:
        notes.append(
            f"Not measured: {VARIABLES['frameworks']} does not name a Python that has torch, snntorch and norse."
        )
        return
    for name, recipe in RECIPES.items():
        folder = scratch if kept is None else Path(kept)
        if kept is None:
            quick = QUICK_TRAINING if options.quick else ()
            command = [
                str(python),
                "-m",
                "benchmarks.frameworks",
                name,
                "--out",
                str(folder),
                "--seed",
                str(options.seed),
                *quick,
            ]
            done = subprocess.run(
                command, cwd=ROOT, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=False
            )
            if done.returncode:
                notes.append(f"{name}: {done.stderr.strip().splitlines()[-1]}")
                continue
            sys.stderr.write(f"  {name} is trained\n")
        yield read_trained(folder, name, QUICK[recipe.task] if options.quick else None)


def _sinabs(options: Options, notes: list[str]) -> Iterator[Trained]:
    """Yield the network of the NIR paper that Sinabs wrote, with the recordings that are there."""
    try:
        path = find_data(NIR_MODELS) / "cnn_sinabs.nir"
        folder = find_data(NMNIST)
        data = load_labelled(
            folder, NMNIST_SHAPE, dt=1e-3, count="sum", limit=QUICK["nmnist"] if options.quick else None
        )
    except DataError as error:
        notes.append(f"cnn_sinabs: {error}.")
        return
    notes.append(
        f"cnn_sinabs: {data.events.n_samples} training samples of N-MNIST, counts in frames of 1 ms; published: {PUBLISHED}."
    )
    yield Trained("nmnist-conv (cnn_sinabs)", "sinabs", path, 1e-3, "impulse", "count", data, None, "published")
