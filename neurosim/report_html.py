"""The report of a run as one HTML page that needs nothing else: no network, no scripts, no fonts."""

from __future__ import annotations

import base64
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neurosim import report, report_energy, report_quant
from neurosim.atomic import write_atomically
from neurosim.figures.direct import DIRECT_FIGURES
from neurosim.figures.energy import STUDY_FIGURES
from neurosim.figures.quant import QUANT_FIGURES
from neurosim.figures.run import DARK, FIGURES, LIGHT, draw
from neurosim.version import VERSION

Metrics = Mapping[str, Any]

TEMPLATE = Path(__file__).with_name("data") / "report.html.j2"
MAX_SVG_BYTES = 300_000  # larger drawings are stored as pictures of fixed size
PAPER, INK = (16, 21, 31), (255, 244, 214)  # colours of an example from no ink to full ink
FULL_INK = 16
STUDY_CORES = 16  # cores listed in a study of energy

ALT = {
    "accuracy": "Accuracy, and fitness or loss, over the generations",
    "raster": "Spikes of each group and voltages of the readout over the time steps of one sample",
    "confusion": "Answers of the network by true class",
    "surrogates": "Surrogate gradient of each layer, at the start and after training",
    "widths": "Width of the surrogate gradients over the training",
    "potentials": "Distribution of membrane potentials before and after training",
    "weights": "Weights of single neurons as pictures",
    "utilisation": "Share of each resource used on each core",
    "energy": "Energy by operation",
    "energy-components": "Share of each operation in the energy, by each table of prices",
    "energy-cores": "Energy of each core",
    "links": "Packets over each link of the mesh",
    "quant-rates": "Firing rate of each neuron in floats and in integers, by layer",
    "quant-weights": "Weights before and after rounding, by connection",
    "energy-ann": "Energy of the network and of an artificial network of the same shape",
}


def write_report(metrics: Metrics, path: str | os.PathLike[str]) -> None:
    """Write the report of a run, whole or not at all.

    Parameters
    ----------
    metrics : mapping
        As in the ``metrics.json`` of a run folder; parts that are missing are left out of the page.
    path : path-like
    """
    write_atomically(path, make_report(metrics).encode("utf-8"))


def make_report(metrics: Metrics) -> str:
    """Return the HTML of the report."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["cell"] = report.format_cell
    environment.filters["energy"] = report.format_energy
    environment.filters["share"] = report.format_share
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return page.render(
        version=metrics.get("neurosim", VERSION),
        title=_title(metrics),
        lead=_lead(metrics),
        headline=_headline(metrics),
        figures=_figures(metrics),
        direct=_direct(metrics),
        faults=[line.split("  ", 1) for line in report.fault_lines(metrics)],
        examples=_examples(metrics),
        sample=(metrics.get("raster") or {}).get("sample"),
        confusions=_worst_confusions(metrics),
        groups=report.network_table(metrics),
        connections=report.connections_table(metrics),
        quantization=report.quantization_table(metrics),
        quant=metrics.get("quant_error"),
        quant_tables=_quant_tables(metrics),
        imported=report_quant.import_lines(metrics["import"]) if metrics.get("import") else [],
        quant_lines=report_quant.quant_lines(metrics["quant_error"]) if metrics.get("quant_error") else [],
        rate_lines=report_quant.RATE_LINES,
        chip=metrics.get("chip") or "the chip",
        utilisation=report.fill_table(metrics),
        chip_cost=metrics.get("chip_cost"),
        chip_cost_tables=report.chip_cost_tables(metrics),
        counts=report.counts_table(metrics),
        counted=_counted(metrics),
        energies=_energies(metrics),
        study=metrics.get("study"),
        study_tables=_study_tables(metrics.get("study")),
        study_lines=_study_lines(metrics.get("study")),
        repeat=_repeat(metrics),
        next_steps=list(metrics.get("next_steps") or ()),
        data=_data_line(metrics),
    )


def _title(metrics: Metrics) -> str:
    name = str(metrics.get("task") or (metrics.get("network") or {}).get("name") or "run")
    name = name[:1].upper() + name[1:]
    if not metrics.get("training"):
        return name
    return (
        f"{name}, trained by gradients for the chip"
        if report.is_direct(metrics)
        else f"{name}, learned in chip integers"
    )


def _lead(metrics: Metrics) -> str:
    """One or two sentences on what ran where."""
    network, training = metrics.get("network") or {}, metrics.get("training") or {}
    neurons = sum(group["n"] for group in network.get("groups", ()) if group["kind"] != "input")
    weights = sum(map(report.n_weights, network.get("connections", ())))
    text = f"{neurons:,} spiking neurons and {weights:,} integer weights" if neurons else "A spiking network"
    text += f" for chip {metrics['chip']}" if metrics.get("chip") else ""
    text += f", run by the backend {metrics['backend']}" if metrics.get("backend") else ""
    text += f", {network['n_steps']} time steps per sample." if network.get("n_steps") else "."
    if training.get("generations") is not None:
        how = " by gradients, off the chip," if report.is_direct(metrics) else ""
        text += f" Trained{how} for {training['generations']:,} generations"
        text += f" on {training['samples']:,} samples" if training.get("samples") else ""
        text += f" in {_duration(training['seconds'])}." if training.get("seconds") is not None else "."
    return text


def _headline(metrics: Metrics) -> list[tuple[str, str, str]]:
    """The large numbers: value, what it is, one line of context."""
    cards = []
    test = metrics.get("test") or {}
    if test.get("accuracy") is not None:
        note = ""
        if test.get("n") and test.get("n_correct") is not None:
            low, high = report.accuracy_interval(test["n_correct"], test["n"])
            note = f"{test['n_correct']:,} of {test['n']:,} test {report.tested(test)}; "
            note += f"95 % interval {100 * low:.1f} to {100 * high:.1f} %"
        cards.append((f"{100 * test['accuracy']:.1f} %", "accuracy", note))
    if test.get("mean_length") is not None:
        note = f"{test['n_won']:,} of {test['n']:,} episodes reached the end, {test['max_length']:,}"
        cards.append((f"{test['mean_length']:.1f}", "control periods per episode", note))
    energy = (metrics.get("energy") or {}).get("per_inference")
    if energy:
        value, unpriced = report.format_energy(energy["total_pj"]), len(energy.get("unpriced") or ())
        note = f"{energy['table']}; {unpriced} counted operations have no price" if unpriced else energy["table"]
        cards.append(
            (f"≥ {value}" if unpriced and energy["total_pj"] is not None else value, "energy per inference", note)
        )
    synops = report.count_per(metrics, "per_inference", "synaptic_operations")
    if synops is not None:
        spikes = report.count_per(metrics, "per_inference", "spikes")
        cards.append(
            (
                f"{synops:,.0f}",
                "synaptic operations per inference",
                f"{spikes:,.0f} spikes, inputs included" if spikes is not None else "",
            )
        )
    cores = metrics.get("utilisation")
    if cores:
        cards.append(
            (
                f"{len(cores):,}",
                "core" if len(cores) == 1 else "cores",
                f"of chip {metrics['chip']}" if metrics.get("chip") else "",
            )
        )
    return cards


def _figures(metrics: Metrics) -> dict[str, dict[str, str]]:
    """Every figure of the run, of its study of energy and of what it lost in integers if there are such, by name."""
    study, quant = metrics.get("study") or {}, metrics.get("quant_error") or {}
    makers = {name: (make, metrics) for name, make in (FIGURES | DIRECT_FIGURES).items()}
    makers |= {name: (make, quant) for name, make in QUANT_FIGURES.items() if quant}
    makers |= {name: (make, study) for name, make in STUDY_FIGURES.items() if study and name not in makers}
    return {name: found for name, (make, source) in makers.items() if (found := _figure(name, make, source))}


def _figure(name: str, make: Any, metrics: Metrics) -> dict[str, str] | None:
    """A figure in both themes as data addresses; None if the metrics lack it."""
    found = {}
    for key, theme in (("light", LIGHT._replace(paper=None)), ("dark", DARK)):
        data, kind = draw(make, metrics, theme, "svg", name), "svg+xml"
        if data is not None and len(data) > MAX_SVG_BYTES:
            data, kind = draw(make, metrics, theme, "png", name), "png"
        if data is None:
            return None
        found[key] = _data_address(data, kind)
    return found | {"alt": ALT[name]}


def _direct(metrics: Metrics) -> dict[str, Any] | None:
    """What the page says about training by gradients; None for other runs."""
    if not report.is_direct(metrics):
        return None
    settings = metrics["training"]["direct"]
    return {
        "learned": settings["learn_width"] != "fixed",
        "balance": settings["balance"],
        "tables": [t for t in (report.widths_table(metrics), report.learned_neurons_table(metrics)) if t.rows],
    }


def _quant_tables(metrics: Metrics) -> list[report.Table]:
    """Tables of what the integers lost, and of the search of scales if there was one."""
    quant, search = metrics.get("quant_error"), metrics.get("scale_search")
    found = report_quant.quant_tables(quant) if quant else []
    return found + ([report_quant.search_table(search)] if quant and search else [])


def _study_tables(study: Metrics | None) -> list[report.Table]:
    """Tables of a study of energy: totals by each table of prices, times, and the cores that spend most."""
    if not study:
        return []
    found = [report_energy.overview_table(study, per) for per in report.UNITS]
    found.append(report_energy.times_table(study))
    for energy in (study["energies"].get("per_inference") or ())[:1]:
        if energy["total_pj"] is not None and energy["by_core_pj"]:
            found.append(report_energy.cores_table(energy, STUDY_CORES))
    if study.get("ann"):
        found.append(report_energy.ann_table(study))
    return [table for table in found if table.rows]


def _study_lines(study: Metrics | None) -> list[str]:
    """What times and the artificial network rest on."""
    if not study:
        return []
    return report_energy.time_lines(study) + (report_energy.ann_lines(study) if study.get("ann") else [])


def _examples(metrics: Metrics) -> list[dict[str, Any]]:
    """Example images with label and answer by name."""
    names = report.class_names(metrics)
    shown = []
    for example in metrics.get("examples") or ():
        label, prediction = example.get("label"), example.get("prediction")
        shown.append({
            "image": _data_address(picture(example["image"]), "png"),
            "label": _class_name(names, label), "prediction": _class_name(names, prediction),
            "wrong": label is not None and label != prediction,
        })  # fmt: skip
    return shown


def picture(rows: Sequence[Sequence[int]]) -> bytes:
    """Return a small PNG of an image with values 0..16, light ink on dark paper."""
    lines = bytearray()
    for row in rows:
        lines.append(0)  # no filter
        for value in row:
            level = min(max(int(value), 0), FULL_INK)
            lines += bytes((p * (FULL_INK - level) + i * level) // FULL_INK for p, i in zip(PAPER, INK, strict=True))
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 2, 0, 0, 0)  # 8 bits, RGB
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(lines), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _counted(metrics: Metrics) -> str:
    """Over how many samples the operations were counted."""
    samples = {per: found.get("samples") for per, found in (metrics.get("counts") or {}).items() if found}
    parts = [f"{samples['per_inference']:,} test samples"] if samples.get("per_inference") else []
    parts += (
        [f"{samples['per_learning_step']:,} training samples (all candidates together)"]
        if samples.get("per_learning_step")
        else []
    )
    return " and ".join(parts)


def _energies(metrics: Metrics) -> list[dict[str, Any]]:
    """What the page says about energy per inference and per training sample."""
    shown = []
    for per, words in report.UNITS.items():
        energy = (metrics.get("energy") or {}).get(per)
        if energy:
            prices = report.energy_table_rows(metrics, per).rows[:-1]  # the sum comes last
            shown.append({
                "words": words, "prices": [row for row in prices if row[1]], "total": energy.get("total_pj"),
                "unpriced": report.unpriced_table(metrics, per).rows,
                "range": report_energy.range_text(energy) if energy.get("range_pj") else "",
                "table": energy.get("table"), "title": energy.get("title"),
                "uncertainty": energy.get("uncertainty"), "not_modelled": energy.get("not_modelled") or (),
            })  # fmt: skip
    return shown


def _data_line(metrics: Metrics) -> str:
    """Where the data come from, and their licence."""
    data = metrics.get("data") or {}
    parts = [data.get("attribution") or data.get("name")]
    parts += [f"{key.capitalize()}: {data[key]}." for key in ("source", "licence") if data.get(key)]
    return " ".join(str(part) for part in parts if part)


def _worst_confusions(metrics: Metrics) -> list[tuple[str, str, int]]:
    """The most frequent errors: true class, answer, how often."""
    matrix, names = (metrics.get("test") or {}).get("confusion") or (), report.class_names(metrics)
    errors = sorted((-count, i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) if i != j and count)
    return [(names[i], names[j], -count) for count, i, j in errors[:6]]


def _repeat(metrics: Metrics) -> list[tuple[str, str]]:
    """What is needed to run this again."""
    network, training = metrics.get("network") or {}, metrics.get("training") or {}
    rule, direct = training.get("rule") or {}, training.get("direct") or {}
    facts = [
        ("neurosim", metrics.get("neurosim", VERSION)),
        ("task", metrics.get("task")),
        ("seed", metrics.get("seed")),
        ("chip", metrics.get("chip")),
        ("backend", metrics.get("backend")),
        ("threads", metrics.get("threads")),
        ("energy table", metrics.get("energy_table")),
        ("time steps", network.get("n_steps")),
        ("rule", ", ".join(f"{key} {value}" for key, value in rule.items()) or None),
        ("gradients", ", ".join(f"{key} {value}" for key, value in direct.items()) or None),
        ("command", metrics.get("command")),
    ]
    return [(name, str(value)) for name, value in facts if value is not None]


def _class_name(names: Sequence[str], index: int | None) -> str | None:
    return None if index is None else names[index] if 0 <= index < len(names) else str(index)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _data_address(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
