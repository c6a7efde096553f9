"""What becomes of an imported model on a chip: its integers, what they lose on samples, and what a model file keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from neurosim.answers import Answer
from neurosim.backend import get_backend
from neurosim.chip import Chip, load_chip
from neurosim.compile_network import compile as compile_network
from neurosim.decays import Decay
from neurosim.energy import energy, load_energy_table
from neurosim.errors import ConfigError, DataError
from neurosim.events import Events
from neurosim.exchange.imported import Imported, reorder_events
from neurosim.metrics import counts_metrics, describe_program
from neurosim.modelfile import Model
from neurosim.network import AnyConnection, Connection, CubaLIF, Group, Input, Network
from neurosim.program import Program
from neurosim.quantize import quantize
from neurosim.quantized import Quantized
from neurosim.scale import VTH_MAX, ScaleForm
from neurosim.studies.quanterror import quantisation_report
from neurosim.studies.scalesearch import search_scales
from neurosim.version import VERSION

SEARCH_SAMPLES = 24  # of those for calibration, at most half, choose scales; the others judge them
ENERGY_TABLE = "loihi1-davies2018"  # of chips that name none
#: Called with what is being done, and how much of how much of it is done.
OnProgress = Callable[[str, int, int], None]


class Samples(Protocol):
    """Samples with or without labels, inputs numbered as in the framework (`neurosim.data.labelled.Labelled`)."""

    @property
    def events(self) -> Events: ...
    @property
    def labels(self) -> npt.NDArray[np.int64] | None: ...
    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Wanted:
    """How an imported model is to be quantised and mapped.

    Parameters
    ----------
    chip : str or Chip
        Name of a preset, path of a chip file, or a chip.
    decay : {"exact", "euler"}, optional
        By default as the reader of the model says, else exact.
    scale : {"free", "power-of-two"}
        As in `neurosim.quantize`.
    bits : int, optional
        1..8, of the weights of all float connections; by default their own.
    search : bool
        Choose scales on a part of the samples (`neurosim.studies.scalesearch`).
    n_steps : int, optional
        Steps to run a sample: by default those of the samples and what a spike takes to the output.
    answer : Answer, optional
        By default the class with most spikes of the output group, or with the largest last voltage where it is a readout.
    """

    chip: str | Chip = "loihi1"
    decay: Decay | None = None
    scale: ScaleForm = "free"
    bits: int | None = None
    search: bool = False
    n_steps: int | None = None
    answer: Answer | None = None


DEFAULT_WANTED = Wanted()


def study_import(
    imported: Imported, wanted: Wanted = DEFAULT_WANTED, *, calibrate: Samples | None = None, backend: str = "simulator",
    threads: int = 1, on_progress: OnProgress | None = None,
) -> tuple[Model, dict[str, Any]]:  # fmt: skip
    """Quantise an imported model, map it onto a chip, and measure on samples what the integers lose.

    Parameters
    ----------
    imported : Imported
        In floats, or in chip integers, which pass unchanged and have nothing to be compared with.
    wanted : Wanted
    calibrate : Samples, optional
        Without them parameters and weights are compared, and nothing runs.
    backend, threads
        Where the integers run.
    on_progress : callable, optional

    Returns
    -------
    model : Model
        Its metadata hold "import" (format, source, notes, lag), "inputs" and "outputs" (`neurosim.exchange.imported.Port`),
        "readout", "answer", "latency" (steps until an input reaches the output), and the steps of the samples if there were any.
    metrics : dict
        What `neurosim.report_html.write_report` shows: network, chip, utilisation, quantization, quant_error, scale_search, test,
        counts, energy and import, as far as they are known.

    Raises
    ------
    ConfigError
        If scales are to be searched without samples, or in a network that is in integers.
    QuantizationError, CapacityError
        If registers or the chip cannot hold it.
    DataError
        If the samples do not fit the model's inputs or outputs.
    """
    chip = wanted.chip if isinstance(wanted.chip, Chip) else load_chip(wanted.chip)
    network = _with_bits(imported.network, wanted.bits)
    decay = wanted.decay or _decay_of(imported.source)
    floats = _is_float(network)
    if wanted.search and not (floats and calibrate is not None):
        why = "samples are needed" if floats else f"network {network.name!r} is in chip integers"
        raise ConfigError(f"search of scales: {why}; give samples with calibrate, or import without the search")
    data = None if calibrate is None else _Data.of(imported, calibrate, wanted)
    quantized, search = _quantise(network, decay, wanted, data, on_progress)
    program = compile_network(quantized.network, chip, imported.arithmetic)
    program = replace(program, scales=dict(quantized.scales))
    answer = wanted.answer or _default_answer(imported, program)
    model = Model(
        program.network,
        chip,
        dict(quantized.scales),
        _metadata(imported, answer, data, decay),
        VERSION,
        imported.arithmetic,
    )
    metrics = _described(imported, program, quantized, data, backend)
    if search is not None:
        metrics["scale_search"] = search
    if floats:
        metrics["quant_error"] = _compare(
            network, quantized, data, answer, decay, backend, imported, threads, on_progress
        )
    if data is not None:
        metrics |= _run(model, program, data, answer, backend, threads)
    return model, metrics


@dataclass(frozen=True, eq=False)
class _Data:
    """Samples on the network's input lines: those to search scales on, and those to judge by."""

    search: Events
    events: Events
    labels: npt.NDArray[np.int64] | None
    name: str
    n_steps: int

    @classmethod
    def of(cls, imported: Imported, samples: Samples, wanted: Wanted) -> _Data:
        events, n_lines = samples.events, len(imported.inputs.order)
        if events.n_inputs != n_lines:
            raise DataError(
                f"data {samples.name!r}: has {events.n_inputs} input lines, the model has {n_lines} {imported.inputs.shape}; "
                "give samples of the kind that the model was trained on"
            )
        if events.n_samples < 1:
            raise DataError(f"data {samples.name!r}: has no sample; give at least one")
        n_classes = imported.network.group(imported.outputs.group).n
        if samples.labels is not None and int(np.max(samples.labels)) >= n_classes:
            raise DataError(
                f"data {samples.name!r}: class {int(np.max(samples.labels))} is not among the {n_classes} that the model answers "
                "with; give samples of the kind that the model was trained on"
            )
        n_steps = wanted.n_steps or events.n_steps + imported.latency
        lines = reorder_events(events, imported.inputs)
        n, every = events.n_samples, np.arange(events.n_samples)
        chosen = every[:: max(2, -(-n // SEARCH_SAMPLES))] if wanted.search else every[:0]  # spread: files lie by class
        judged = np.setdiff1d(every, chosen) if n > 1 else every
        labels = None if samples.labels is None else np.asarray(samples.labels, np.int64)[judged]
        return cls(lines.take(chosen), lines.take(judged), labels, samples.name, n_steps)


def _with_bits(network: Network, bits: int | None) -> Network:
    if bits is None:
        return network
    connections: list[AnyConnection] = [
        replace(c, num_weight_bits=bits) if isinstance(c, Connection) else c for c in network.connections
    ]
    return replace(network, connections=tuple(connections))


def _decay_of(source: Mapping[str, Any]) -> Decay:
    return "euler" if source.get("decay") == "euler" else "exact"


def _is_float(network: Network) -> bool:
    """Whether all of a network is in floats, so that floats can run."""
    return any(isinstance(g, CubaLIF) for g in network.groups) and all(
        isinstance(part, (Input, CubaLIF, Connection)) for part in (*network.groups, *network.connections)
    )


def _quantise(
    network: Network, decay: Decay, wanted: Wanted, data: _Data | None, on_progress: OnProgress | None
) -> tuple[Quantized, dict[str, Any] | None]:
    if not wanted.search or data is None:
        return quantize(network, decay=decay, scale=wanted.scale), None

    def told(group: str, done: int, of: int) -> None:
        if on_progress is not None:
            on_progress(f"scale of {group}", done, of)

    found = search_scales(network, data.search, decay=decay, scale=wanted.scale, n_steps=data.n_steps, on_progress=told)
    kept = found.to_dict() | {"samples": data.search.n_samples}
    return quantize(found.network, decay=decay, scales=found.scales), kept


def _default_answer(imported: Imported, program: Program) -> Answer | None:
    """Return how the output group answers: by its spikes, or by its voltage where it cannot fire; None without voltages."""
    group: Group = program.network.group(imported.outputs.group)
    if "v" not in group.states:
        return None
    fires = bool(np.any(np.asarray(getattr(group, "vth", 0)) < VTH_MAX))
    return Answer(group.name, "count" if fires else "likelihood", lag=imported.latency)


def _metadata(imported: Imported, answer: Answer | None, data: _Data | None, decay: Decay) -> dict[str, Any]:
    notes = [{"owner": note.owner, "kind": note.kind, "text": note.text} for note in imported.notes]
    found: dict[str, Any] = {
        "import": {"format": imported.format, "source": dict(imported.source), "notes": notes, "lag": dict(imported.lag),
                   "quantised_decay": decay},
        "inputs": imported.inputs.to_dict(),
        "outputs": imported.outputs.to_dict(),
        "readout": imported.outputs.group if answer is None else answer.readout,
        "latency": imported.latency,
    }  # fmt: skip
    if answer is not None:
        found["answer"] = answer.to_metadata()
    if data is not None:
        found |= {"n_steps": data.n_steps, "n_steps_input": data.events.n_steps}
    return found


def _described(
    imported: Imported, program: Program, quantized: Quantized, data: _Data | None, backend: str
) -> dict[str, Any]:
    """Return what is known before anything has run."""
    described = describe_program(program)
    found: dict[str, Any] = {
        "neurosim": VERSION, "backend": backend if data is not None else None, "chip": described["chip"],
        "network": described["network"], "mesh": described["mesh"], "utilisation": described["utilisation"],
        "quantization": [
            {"object": note.owner, "quantity": note.quantity, "value": note.value, "note": note.text}
            for note in quantized.notes
        ],
        "import": {
            "format": imported.format, "source": dict(imported.source),
            "notes": [{"owner": note.owner, "kind": note.kind, "text": note.text} for note in imported.notes],
        },
    }  # fmt: skip
    if data is not None:
        found["network"] = found["network"] | {"n_steps": data.n_steps}
    return found


def _compare(
    network: Network, quantized: Quantized, data: _Data | None, answer: Answer | None, decay: Decay, backend: str,
    imported: Imported, threads: int, on_progress: OnProgress | None,
) -> dict[str, Any]:  # fmt: skip
    """Return the error report, on the samples if there are any."""

    def told(done: int, of: int) -> None:
        if on_progress is not None:
            on_progress("floats and integers", done, of)

    if data is None:
        return quantisation_report(network, quantized, decay=decay)
    return quantisation_report(
        network, quantized, data.events, data.labels, decay=decay, backend=backend, answer=answer, n_steps=data.n_steps,
        arithmetic=imported.arithmetic, threads=threads, on_progress=told,
    )  # fmt: skip


def _run(
    model: Model, program: Program, data: _Data, answer: Answer | None, backend: str, threads: int
) -> dict[str, Any]:
    """Run the samples on the chip as it is mapped: answers, counts with packets, and energy."""
    probes = () if answer is None else answer.probes
    probed = replace(program, network=program.network.with_probes(probes))
    with get_backend(backend).open(probed, threads=threads) as runner:
        result = runner.run(data.events, data.n_steps)
    counts, priced = result.counts, None
    if counts is not None:
        table = load_energy_table((*model.chip.energy_tables, ENERGY_TABLE)[0])
        priced = energy(counts, table, per=counts.n_samples).to_dict()
    found: dict[str, Any] = {
        "counts": {"per_inference": None if counts is None else counts_metrics(counts), "per_learning_step": None},
        "energy": {"per_inference": priced, "per_learning_step": None},
        "energy_table": None if priced is None else priced["table"],
        "data": {"name": data.name, "n_test": data.events.n_samples},
    }
    if answer is not None and data.labels is not None:
        found["test"] = _tested(answer.classes(result)[:, -1], data.labels, program.network.group(answer.readout).n)
    return found


def _tested(answers: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], n_classes: int) -> dict[str, Any]:
    """Compare answers with labels, as `neurosim.experiment.evaluate_model` says it; negative labels are none."""
    known = labels >= 0
    confusion = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(confusion, (labels[known], answers[known]), 1)
    n, n_correct = int(known.sum()), int(np.trace(confusion))
    return {
        "accuracy": n_correct / n if n else None, "n": n, "n_correct": n_correct,
        "classes": [str(c) for c in range(n_classes)], "confusion": confusion.tolist(), "windows": None,
    }  # fmt: skip
