"""Put everything that a training run measured into one dictionary of plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from neurosim.backend import get_backend
from neurosim.compile_network import compile as compile_network
from neurosim.config import TrainConfig
from neurosim.counters import COLUMN, N_COUNTERS, OpCounts
from neurosim.energy import energy, load_energy_table
from neurosim.learning.build import READOUT, run_steps
from neurosim.learning.trainer import Trainer
from neurosim.mapping import utilisation_rows
from neurosim.network import LIF, Connection, Conv, CubaLIF, Dense, Input, Network, Probe
from neurosim.neurons import MODEL_FEATURES
from neurosim.program import Program
from neurosim.quantize import QuantNote
from neurosim.tasks import Task
from neurosim.version import VERSION

if TYPE_CHECKING:
    from neurosim.directrun import DirectRun

N_EXAMPLES = 40  # pictures in the report
N_WEIGHT_IMAGES = 16  # first-layer neurons shown as pictures
#: What neurons may learn by gradients, with its unit.
QUANTITIES: dict[Literal["v_threshold", "tau_mem", "tau_syn"], str] = {
    "v_threshold": "",
    "tau_mem": "s",
    "tau_syn": "s",
}


def counts_metrics(counts: OpCounts) -> dict[str, Any]:
    """Return counts as plain values: number of samples, totals, by group and connection, and the kind of each of these."""
    return {
        "samples": counts.n_samples,
        "totals": counts.totals(),
        "by_row": counts.by_row(),
        "kinds": dict(zip(counts.rows, counts.kinds, strict=True)) if counts.kinds else {},
    }


def unknown_counter(by_row: Mapping[str, Mapping[str, int]]) -> str | None:
    """Return a counter of stored counts that this version does not have; None if it has all."""
    return next((name for found in by_row.values() for name in found if name not in COLUMN), None)


def counts_matrix(rows: Sequence[str], by_row: Mapping[str, Mapping[str, int]]) -> npt.NDArray[np.int64]:
    """Return stored counts as the matrix of `OpCounts`, rows that counted nothing included."""
    matrix = np.zeros((len(rows), N_COUNTERS), np.int64)
    for i, row in enumerate(rows):
        for name, count in by_row.get(row, {}).items():
            matrix[i, COLUMN[name]] = count
    return matrix


def rule_metrics(
    config: TrainConfig, trainer: Trainer, history: list[dict[str, Any]], seconds: float
) -> dict[str, Any]:  # fmt: skip
    """Return what learning on the chip did, the metrics "training"."""
    learning = trainer.op_counts
    n_runs = trainer.generation * config.batch * (1 + 2 * config.rule.pairs)  # of a backend that counts nothing
    return {
        "method": "on-chip",
        "rule": dataclasses.asdict(config.rule),
        "tag_bits": config.rule.tag_bits,  # kept beside each weight
        "generations": trainer.generation,
        "samples": trainer.generation * config.batch,
        "member_evaluations": n_runs if learning is None else learning.n_steps // run_steps(config.network),
        "seconds": round(seconds, 3),
        "history": history,
    }


def direct_metrics(run: DirectRun, before: Network) -> dict[str, Any]:
    """Return what training by gradients did, the metrics "training".

    Parameters
    ----------
    run : DirectRun
        After its training.
    before : Network
        In floats, as the training began.
    """
    return {
        "method": "direct",
        "direct": dataclasses.asdict(run.config.direct),
        "generations": run.trainer.generation,
        "samples": run.samples,
        "seconds": round(run.seconds, 3),
        "history": run.history,
        "widths": run.trainer.widths(),
        "neurons": _learned_neurons(before, run.trainer.float_network()),
        "potentials": {"before": run.begin, "after": run.histograms()},
    }


def _learned_neurons(before: Network, after: Network) -> list[dict[str, Any]]:
    """Return thresholds and time constants of neurons that fire, before and after: group, quantity, unit, before, after."""
    found = []
    for old, new in zip(before.groups, after.groups, strict=True):
        if isinstance(old, CubaLIF) and isinstance(new, CubaLIF):
            for quantity, unit in QUANTITIES.items():
                values = [float(group.each(quantity)[0]) for group in (old, new)]
                if np.isfinite(values).all():  # else there is none: a readout's threshold, a voltage without leak
                    found.append({"group": old.name, "quantity": quantity, "unit": unit,
                                  "before": values[0], "after": values[1]})  # fmt: skip
    return found


def training_metrics(
    config: TrainConfig,
    task: Task,
    program: Program,
    notes: tuple[QuantNote, ...],
    training: dict[str, Any],
    learning: OpCounts | None,
    test: dict[str, Any],
    threads: int,
) -> dict[str, Any]:
    """Return the metrics of a finished run; the schema is what `neurosim.report` and `neurosim.figures.run` read.

    Parameters
    ----------
    config : TrainConfig
    task : Task
    program : Program
        With what was learned.
    notes : tuple of QuantNote
    training : dict
        As of `rule_metrics` or `direct_metrics`.
    learning : OpCounts or None
        What learning on the chip counted; None where nothing was.
    test : dict
        As of `neurosim.experiment.evaluate_model`.
    threads : int
    """
    priced = None
    if learning is not None:
        priced = energy(learning, load_energy_table(config.energy_table), per=max(1, learning.n_samples)).to_dict()
    described = describe_program(program)
    return {
        "neurosim": VERSION,
        "task": task.name,
        "seed": config.seed,
        "backend": config.backend,
        "threads": threads,
        "chip": described["chip"],
        "energy_table": config.energy_table,
        "config": config.to_dict(),
        "network": described["network"] | {"n_steps": run_steps(config.network)},
        "data": {
            "name": task.name,
            "n_train": len(task.train_labels),
            "n_test": len(task.test_labels),
            "source": task.source,
            "licence": task.licence,
            "attribution": task.attribution,
        },
        "training": training,
        "test": {key: test[key] for key in ("accuracy", "n", "n_correct", "classes", "confusion", "windows")},
        "counts": {
            "per_inference": test["counts"],
            "per_learning_step": None if learning is None else counts_metrics(learning),
        },
        "energy": {"per_inference": test["energy"], "per_learning_step": priced},
        "mesh": described["mesh"],
        "utilisation": described["utilisation"],
        "quantization": [
            {"object": note.owner, "quantity": note.quantity, "value": note.value, "note": note.text} for note in notes
        ],
        "raster": _raster(config, task, program, test["predictions"]),
        "examples": _examples(task, test["predictions"]),
        "weight_images": _weight_images(task, program.network),
    }


def describe_program(program: Program) -> dict[str, Any]:
    """Return what a program is in plain values: the metrics "network", "chip", "mesh" and "utilisation"."""
    groups: list[dict[str, Any]] = []
    for group in program.network.ordered_groups:
        entry: dict[str, Any] = {"name": group.name, "n": group.n, "kind": "input"}
        if not isinstance(group, (Input, CubaLIF)):
            entry["kind"] = MODEL_FEATURES[type(group)]
        if type(group) is LIF and group.is_uniform:
            entry |= {"du": group.du, "dv": group.dv, "vth": group.vth}
        groups.append(entry)
    connections: list[dict[str, Any]] = []
    for c in program.network.connections:
        assert not isinstance(c, Connection)
        n_post, n_pre = c.shape
        entry = {"name": c.name, "n_post": n_post, "n_pre": n_pre, "bits": c.num_weight_bits}
        if not isinstance(c, Dense):  # which stores all pairs; the others fewer weights
            entry["n_weights"] = int(np.size(c.weights)) if isinstance(c, Conv) else len(c.as_sparse().word)
        connections.append(entry | {"exp": c.weight_exp, "plastic": c.plastic})
    return {
        "network": {"name": program.network.name, "groups": groups, "connections": connections},
        "chip": program.chip.name,
        "mesh": {
            "width": program.chip.mesh[0],
            "height": program.chip.mesh[1],
            "cores_per_tile": program.chip.cores_per_tile,
            "cores": program.chip.n_cores,
        },
        "utilisation": _utilisation(program),
    }


def _utilisation(program: Program) -> list[dict[str, Any]]:
    """Return one entry per core, with what it uses of each resource."""
    cores: dict[int, dict[str, Any]] = {}
    for row in utilisation_rows(program.mapping):
        entry = {"core": row["core"], "site": row["site"], "tile": list(row["tile"]), "groups": list(row["groups"])}
        entry["resources"] = {}
        core = cores.setdefault(row["core"], entry)
        core["resources"][row["resource"]] = {key: row[key] for key in ("used", "limit", "share")}
    return list(cores.values())


def _raster(config: TrainConfig, task: Task, program: Program, predictions: list[int]) -> dict[str, Any]:
    """Run the first test sample again with every spike recorded."""
    network = program.network
    probes = tuple(Probe(group.name) for group in network.ordered_groups if group.name != READOUT)
    probed = network.with_probes([*probes, Probe(READOUT, "v")])
    n_steps = run_steps(config.network)
    with get_backend(config.backend).open(compile_network(probed, program.chip)) as runner:
        result = runner.run(task.test_events.take([0]), n_steps)
    groups = [
        {
            "name": name,
            "n": network.group(name).n,
            "step": train.step.tolist(),
            "neuron": train.neuron.tolist(),
        }
        for name, train in result.spikes.items()
    ]
    voltage = result.states[READOUT, "v"][0].T  # (n_classes, n_steps)
    return {
        "sample": 0,
        "label": int(task.test_labels[0]),
        "prediction": int(predictions[0]),
        "n_steps": n_steps,
        "groups": groups,
        "readout": {"name": READOUT, "v": voltage.tolist()},
    }


def _examples(task: Task, predictions: list[int]) -> list[dict[str, Any]]:
    """Return pictures of test samples in their order: every mistake that there is room for, then the first others."""
    if task.images is None:
        return []
    wrong = [i for i, answer in enumerate(predictions) if answer != task.test_labels[i]]
    order = (wrong + [i for i in range(len(predictions)) if i not in set(wrong)])[:N_EXAMPLES]
    return [
        {"image": task.images[i].tolist(), "label": int(task.test_labels[i]), "prediction": int(predictions[i])}
        for i in sorted(order)
    ]


def _weight_images(task: Task, network: Network) -> dict[str, Any] | None:
    """Return the weights of some first-layer neurons in the shape of the images."""
    if task.images is None or not network.connections:
        return None
    connection = network.connections[0]
    shape = task.images.shape[1:]
    if not isinstance(connection, Dense) or connection.shape[1] != int(np.prod(shape)):
        return None
    weights = np.asarray(connection.weights)[:N_WEIGHT_IMAGES]
    return {"connection": connection.name, "images": weights.reshape(len(weights), *shape).tolist()}
