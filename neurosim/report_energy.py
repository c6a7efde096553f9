"""What a study of energy says: lines for people, tables of plain values, and rows for machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurosim.costs.latency import HOPS
from neurosim.energytable import SYNAPTIC_KINDS
from neurosim.report import UNITS, accuracy_interval, bottleneck_lines, counter_name, tested
from neurosim.tables import Cell, Table, format_cell, format_energy, format_share

Study = Mapping[str, Any]

#: Parts of a core's energy -> operations that they contain.
CORE_PARTS = {
    "synapses": ("synaptic_operations", *SYNAPTIC_KINDS, "synapse_bits_read"),
    "neurons": ("neuron_updates_active", "neuron_updates_idle", "spikes"),
    "packets": ("messages", "messages_local", "input_messages", "input_spikes", *HOPS),
}


#: How to read `overview_table`.
OVERVIEW_LINES = (
    "energy is dynamic; ≥: counted work has no price; range: by the error that the table's authors measured, where they did",
    "static: power of the chip, used or not, for the time of the critical path; beside the energy, not in it",
)

#: Units of NeuroBench's metrics.
NEUROBENCH_UNITS = {
    "Footprint": "bytes in torch",
    "ParameterCount": "parameters",
    "ConnectionSparsity": "share of weights that are 0",
    "ActivationSparsity": "share of outputs that are 0",
    "SynapticOperations": "operations per sample",
    "MembraneUpdates": "updates per sample",
    "NeuronOperations": "operations per sample",
}


def range_text(energy: Study) -> str:
    """Return where the energy lies by its table's own uncertainty, or that nobody measured one."""
    found = energy.get("range_pj")
    if found is None:
        return "unknown" if energy.get("total_pj") is not None else ""
    return _span(format_energy(found[0]), format_energy(found[1]))


def bounded(energy: Study) -> str:
    """Return the energy as text, "at least" before it while something has no price."""
    total = energy.get("total_pj")
    if total is None:
        return "not known"
    return ("at least " if energy.get("unpriced") else "") + format_energy(total)


def ran_lines(study: Study) -> list[str]:
    """Return what ran where, in a few lines."""
    network = study["network"]
    inputs = sum(group["n"] for group in network["groups"] if group["kind"] == "input")
    neurons = sum(group["n"] for group in network["groups"]) - inputs
    synapses = sum(layer["macs"] for layer in (study.get("ann") or {"ann": {"layers": ()}})["ann"]["layers"])
    held = f", {synapses:,} synapses" if synapses else ""
    lines = [f"network        {inputs:,} inputs, {neurons:,} neurons{held}; {network['n_steps']:,} steps a sample"]
    source = study.get("source") or ""
    n = study.get("samples")
    ran = f"{'?' if n is None else f'{n:,}'} sample{'s' * (n != 1)}{' of ' * bool(source)}{source}"
    lines.append(f"ran            {ran}, on backend {study['backend']}")
    test = study.get("test")
    if test and test["n"]:
        low, high = accuracy_interval(test["n_correct"], test["n"])
        of = f"{test['n_correct']:,} of {test['n']:,} {tested(test)}; 95 % interval {low:.1%} to {high:.1%}"
        lines.append(f"accuracy       {test['accuracy']:.1%} ({of})")
    lines.append(f"chip           {study['chip']}: {study['chip_title']}")
    lines += bottleneck_lines(study)
    return lines


def overview_table(study: Study, per: str = "per_inference") -> Table:
    """One row for each energy table: sum, range, static energy beside it, operations without a price, kinds of its constants."""
    rows: list[tuple[Cell, ...]] = []
    for energy in study["energies"].get(per) or ():
        total = energy["total_pj"]
        sign = "≥ " * bool(energy["unpriced"])
        rows.append((
            energy["table"], "unknown" if total is None else sign + format_energy(total), range_text(energy), _static(energy),
            len(energy["unpriced"]), kinds_of(energy),
        ))  # fmt: skip
    columns = ("table", "energy", "range", "static", "unpriced", "constants")
    return Table(f"Energy per {UNITS[per]}", columns, tuple(rows))


def components_table(energy: Study) -> Table:
    """Energy by operation, the largest first."""
    total, constants = energy["total_pj"], energy["constants"]
    parts = sorted(((pj, name) for name, pj in energy["components_pj"].items() if pj), key=lambda part: -part[0])
    rows = [
        (counter_name(name), format_energy(pj), format_share(pj / total), f"{constants[name]['value']:g} pJ", constants[name]["kind"])
        for pj, name in parts
    ]  # fmt: skip
    return Table("By component", ("operation", "energy", "share", "price", "kind"), tuple(rows))


def groups_table(energy: Study) -> Table:
    """Energy by group: its neurons and packets, and the synapses that lead to it."""
    total = energy["total_pj"]
    rows = [
        (name, *(_priced(parts[key]) for key in ("neurons_pj", "synapses_pj", "total_pj")),
         format_share(None if parts["total_pj"] is None or not total else parts["total_pj"] / total))
        for name, parts in energy["by_group_pj"].items()
    ]  # fmt: skip
    return Table("By group", ("group", "neurons and packets", "synapses into it", "sum", "share"), tuple(rows))


def core_parts(parts: Mapping[str, float | None]) -> dict[str, float]:
    """Return what a core spends on synapses, neurons and packets, as far as it has prices."""
    return {part: sum(parts.get(name) or 0.0 for name in names) for part, names in CORE_PARTS.items()}


def cores_table(energy: Study, most: int | None = None) -> Table:
    """Energy by core in parts, the largest first where only `most` are listed; packets count where they are sent.

    That of learning is of one generation, named in the title, and its shares are of that generation.
    """
    total, of, rows = energy["total_pj"], energy.get("by_core_of"), []
    if of is not None:
        total = sum(pj for parts in energy["by_core_pj"].values() for pj in parts.values() if pj is not None)
    for owner, parts in energy["by_core_pj"].items():
        priced = {name: pj for name, pj in parts.items() if pj is not None}
        spent = sum(priced.values())
        if parts and (spent or owner not in ("outside", "chip")):
            split: list[float | None] = list(core_parts(parts).values())
            rows.append((spent, owner, split if of is None else [*split, _learning_part(parts)], not priced))
    n_cores, title = len(rows), "By core" + f", {of}" * bool(of)
    if most is not None and n_cores > most:
        rows = sorted(rows, key=lambda row: -row[0])[:most]
        title += f": the {most} that spend most of {n_cores:,}"
    cells = [
        (owner, *("no price" if none else _priced(pj) for pj in split), "no price" if none else format_energy(spent),
         format_share(spent / total if total else None))
        for spent, owner, split, none in rows
    ]  # fmt: skip
    return Table(title, ("core", *CORE_PARTS, *("learning",) * bool(of), "sum", "share"), tuple(cells))


def _learning_part(parts: Mapping[str, float | None]) -> float | None:
    """Return what a core spends on learning itself; None where it did something and nothing of it has a price."""
    running = {name for names in CORE_PARTS.values() for name in names}
    found = [pj for name, pj in parts.items() if name not in running]
    priced = [pj for pj in found if pj is not None]
    return sum(priced) if priced or not found else None


def times_table(study: Study) -> Table:
    """How long steps and inferences take, by each table and model; what bounds them is in `time_lines`."""
    rows = []
    for time in study["times"]:
        bound = "≥ " * bool(time["missing"] and time["total_s"] is not None)
        span = time["per_inference_range_s"]
        rows.append((
            time["table"], time["model"], bound + format_time(time["mean_step_s"]),
            bound + format_time(time["per_inference_s"]),
            "unknown" if span is None else _span(format_time(span[0]), format_time(span[1])),
        ))  # fmt: skip
    return Table("Time", ("table", "model", "mean step", "inference", "range"), tuple(rows))


def time_lines(study: Study) -> list[str]:
    """Return what the times rest on, or why there are none."""
    if study.get("no_cores"):
        return [f"time and cores: {study['no_cores']}"]
    if not study["times"]:
        return [f"time: no table of times for chip {study['chip']!r}; give one with --time"]
    samples = study["times"][0]["samples"]
    lines = [f"measured on {samples:,} sample{'s' * (samples != 1)}; critical-path: the slowest core, phases side by side, and the "
             "barrier; max-affine: the largest single term, a lower bound"]  # fmt: skip
    for time in study["times"]:
        if time["model"] == "critical-path":
            kinds = dict.fromkeys(c["kind"] for c in time["constants"].values())
            if time["barrier"] is not None:
                kinds[time["barrier"]["kind"]] = None
            lines.append(f"{time['table']} ({', '.join(kinds)}): {time['title']}; uncertainty: {time['uncertainty']}")
            longest = format_time(time["max_step_s"])
            lines.append(f"{time['table']}, most steps are bound by: {_bound_by(time)}; the longest takes {longest}")
            names = ", ".join(counter_name(item["operation"]) for item in time["missing"])
            lines += [f"{time['table']} has no time for {names}"] if names else []
    return lines


def steps_table(study: Study) -> Table:
    """What happens in each step, means over samples."""
    rows = study["per_step"]
    if not rows:
        return Table("Steps", (), ())
    tables = [name for name in rows[0] if name.endswith("_mean_s")]
    cells = [
        (row["step"], row["spikes"], row["synaptic_operations"], row["neuron_updates_active"], row["neuron_updates_idle"],
         row["messages"] + row["messages_local"], row["messages_in"], *(format_time(row[name]) for name in tables))
        for row in rows
    ]  # fmt: skip
    titles = ("step", "spikes", "synapses", "active", "idle", "sent", "received")
    names = (name.removesuffix("_mean_s").removeprefix(f"{study['chip']}-") for name in tables)
    return Table("Steps: means over samples", (*titles, *names), tuple(cells))


def neurobench_table(study: Study) -> Table:
    """The run in NeuroBench's terms; None where its definition does not fit."""
    found = (study.get("neurobench") or {}).get("neurobench")
    if not found:
        return Table("", (), ())
    rows: list[tuple[Cell, ...]] = []
    for name, value in found.items():
        unit = NEUROBENCH_UNITS.get(name, "")
        if isinstance(value, Mapping):
            rows += [(f"{name}: {inner}", each, unit) for inner, each in value.items()]
        else:
            rows.append((name, value, unit))
    return Table("In NeuroBench's terms (definitions of version 2.3.0)", ("metric", "value", "unit"), tuple(rows))


def unpriced_lines(energy: Study) -> list[str]:
    """Return what was counted and has no price, one line for each reason; counts are divided as the energy is."""
    reasons: dict[str, list[str]] = {}
    for item in energy["unpriced"]:
        text = f"{counter_name(item['counter'])} ({format_cell(item['count'] / (energy.get('per') or 1))})"
        reasons.setdefault(item["why"], []).append(text)
    return [f"{', '.join(names)}: {why}" for why, names in reasons.items()]


def source_lines(energy: Study, known: Study | None = None) -> list[str]:
    """Return the source of each price in use, those with the same source together; without those that `known` uses."""
    before = (known or {}).get("components_pj") or {}
    sources: dict[str, list[str]] = {}
    for name, constant in energy["constants"].items():
        if energy["components_pj"].get(name) and not before.get(name):
            sources.setdefault(constant["source"], []).append(counter_name(name))
    return [f"{', '.join(names)}: {source}" for source, names in sources.items()]


def kinds_of(energy: Study) -> str:
    """Return the kinds of the prices in use."""
    used = [c["kind"] for name, c in energy["constants"].items() if energy["components_pj"].get(name)]
    return ", ".join(dict.fromkeys(used)) or "none"


def ann_table(study: Study) -> Table:
    """Both networks in each format of arithmetic, per inference."""
    rows = [
        (row["format"], f"{row['mac']['value']:g} / {row['ac']['value']:g}", format_energy(row["ann_pj"]),
         format_energy(row["snn_accumulates_pj"]), format_energy(row["snn_neurons_pj"]), format_energy(row["snn_pj"]),
         _ratio(row["snn_pj"], row["ann_pj"]))
        for row in study["ann"]["arithmetic"]
    ]  # fmt: skip
    columns = ("format", "MAC / AC, pJ", "artificial", "synapses", "neurons", "spiking", "ratio")
    return Table("The same network as an artificial one: arithmetic per inference", columns, tuple(rows))


def ann_lines(study: Study) -> list[str]:
    """Return what both networks do, memory included, and how to read it."""
    found = study["ann"]
    ann, snn = found["ann"], found["snn"]
    lines = [
        f"artificial     {ann['macs']:,} multiply-accumulates in {ann['passes']:,} pass{'es' * (ann['passes'] != 1)}, "
        f"{ann['weights']:,} weights of {ann['weight_bits']:,} bits in all",
        f"spiking        {format_cell(snn['synaptic_operations'])} accumulates and {format_cell(snn['neuron_updates'])} neuron "
        f"updates in {snn['steps']:,} steps",
    ]
    memory = found["memory"]
    if memory is not None:
        lines.append(
            f"memory         {format_cell(memory['ann_words'])} words of 64 bits or {format_energy(memory['ann_pj'])} "
            f"artificial, {format_cell(memory['snn_words'])} or {format_energy(memory['snn_pj'])} spiking; "
            f"{memory['price']['value']:g} pJ a word ({memory['price']['source']})"
        )
    return lines + [f"reading        {text}" for text in found["reading"]]


def _static(energy: Study) -> str:
    """Return the static energy for the time of the critical path, or what is missing for it."""
    if energy.get("static_pj") is not None:
        return ("" if energy.get("time_is_complete") else "≥ ") + format_energy(energy["static_pj"])
    return "no time" if energy.get("static") else "no power"


def format_time(seconds: float | None) -> str:
    """Write a time with the unit that suits it.

    Examples
    --------
    >>> format_time(1.8e-6), format_time(0.0123), format_time(None)
    ('1.8 µs', '12.3 ms', 'unknown')
    """
    if seconds is None:
        return "unknown"
    value, unit = seconds * 1e9, "ns"
    for larger in ("µs", "ms", "s"):
        if abs(value) < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"


def _priced(pj: float | None) -> str:
    return "no price" if pj is None else format_energy(pj)


def _span(low: str, high: str) -> str:
    """Return a range, its unit once where both ends have the same."""
    return f"{low.split()[0] if low.split()[1] == high.split()[1] else low} to {high}"


def _bound_by(time: Study) -> str:
    """Return the term that is largest in most steps, where, and in how many."""
    if not time["bounds"]:
        return "unknown"
    steps = sum(bound["n_steps"] for bound in time["bounds"])
    first = time["bounds"][0]
    return f"{first['term']} on {first['where']} ({format_share(first['n_steps'] / steps)} of steps)"


def _ratio(part: float, whole: float) -> str:
    return f"{part / whole:.3g}" if whole else ""
