"""What a suite of benchmarks says: tables for people, rows for machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurosim.report import counter_name
from neurosim.report_energy import format_time
from neurosim.tables import Cell, Table, format_energy, format_share

Results = Mapping[str, Any]


def own_energy(row: Results) -> Mapping[str, Any] | None:
    """Return the energy by the first table of the chip; None where that has no prices: others are not of this chip."""
    energies = row.get("energies") or ()
    return energies[0] if energies and energies[0]["total_pj"] is not None else None


def results_table(results: Results) -> Table:
    """One row for each network, chip and backend: accuracy, use of the chip, work, energy, time."""
    merged: dict[tuple[Cell, ...], list[str]] = {}
    for row in results["rows"]:
        cells = (row["network"], row["chip"], row["state"], *[None] * 5) if row["state"] != "ok" else _shown(row)
        merged.setdefault(cells, []).append(row["backend"])
    every = {", ".join(backends) for backends in merged.values()}
    columns = ("network", "chip", "accuracy", "cores (fullest)", "synaptic ops", "updates", "energy", "time")
    if len(every) > 1:  # where backends differ, or not all of them could run
        rows = [(*cells, ", ".join(backends)) for cells, backends in merged.items()]
        return Table("Per inference", (*columns, "backends"), tuple(rows))
    return Table("Per inference", columns, tuple(merged))


def about_lines(results: Results) -> list[str]:
    """Return where the energies and times of `results_table` come from."""
    prices: dict[str, list[str]] = {}
    for row in results["rows"]:
        if row["state"] == "ok" and row["energies"]:
            energy = row["energies"][0]
            known = ", ".join(energy["kinds"]) or "no prices are published"
            time = _critical(row)
            text = f"energy by {energy['table']} ({known}), " + (
                f"time by {time['table']}" if time else "no times are known"
            )
            chips = prices.setdefault(text, [])
            chips += [row["chip"]] if row["chip"] not in chips else []
    lines = [f"{', '.join(chips)}: {text}" for text, chips in prices.items()]
    return [*lines, "energy is dynamic only, without static power; ≥: some counted work has no price, or no time"]


def _shown(row: Results) -> tuple[Cell, ...]:
    """Return what people see of a row that could run."""
    energy = row["energies"][0] if row["energies"] else None
    limit, counts = row["bottleneck"], row["counts"]
    full = "" if limit is None else f" ({format_share(limit['share'])})"
    head = (row["network"], row["chip"], f"{row['accuracy']:.1%}", f"{row['cores']}{full}")
    if counts is None:
        return (*head, None, None, None, None)
    updates = counts["neuron_updates_active"] + counts["neuron_updates_idle"]
    return (*head, _whole(counts["synaptic_operations"]), _whole(updates), _at_least(energy), _time(row))


def refused_lines(results: Results) -> list[str]:
    """Return why networks are missing on chips or backends."""
    reasons: dict[str, list[str]] = {}
    for row in results["rows"]:
        if row["state"] != "ok":
            reasons.setdefault(row["why"], []).append(f"{row['network']} on {row['chip']}, {row['backend']}")
    return [f"{'; '.join(names)}: {why}" for why, names in reasons.items()]


def drives_table(results: Results) -> Table:
    """Energy and accuracy of each network at each share of its input."""
    ran = [row for row in results["drives"] if row["state"] == "ok" and row["counts"] is not None]
    where = ", ".join(dict.fromkeys(f"{row['chip']}, prices of {row['energies'][0]['table']}" for row in ran))
    rows = [
        (row["network"], row["kept_percent"], f"{row['activity']:.3f}", f"{row['accuracy']:.1%}",
         _whole(row["counts"]["synaptic_operations"]), _at_least(own_energy(row)))
        for row in ran
    ]  # fmt: skip
    columns = ("network", "input kept %", "spikes per unit and step", "accuracy", "synaptic ops", "energy")
    return Table(f"Driven by part of the input, on {where}", columns, tuple(rows))


def ann_table(results: Results) -> Table:
    """Each network as an artificial one, in 8-bit integers; networks are the same on every chip."""
    rows: list[tuple[Cell, ...]] = []
    seen = set()
    for row in results["rows"]:
        if row["state"] != "ok" or row["ann"] is None or row["network"] in seen:
            continue
        seen.add(row["network"])
        bits = next(each for each in row["ann"]["arithmetic"] if each["format"] == "int8")
        memory = row["ann"]["memory"]
        rows.append((
            row["network"], row["ann"]["macs"], format_energy(bits["ann_pj"]), format_energy(bits["snn_pj"]),
            None if memory is None else format_energy(memory["ann_pj"]), None if memory is None else format_energy(memory["snn_pj"]),
            round(row["spikes_per_synapse"], 3) if row["spikes_per_synapse"] is not None else None,
        ))  # fmt: skip
    columns = ("network", "MACs", "artificial", "spiking", "its memory", "spiking memory", "spikes per synapse")
    return Table("As artificial networks: int8 arithmetic and memory in 45 nm, per inference", columns, tuple(rows))


def wide_table(results: Results) -> Table:
    """One row for each network, chip and backend with the numbers that pictures show."""
    columns = (
        "network", "chip", "backend", "state", "why", "accuracy", "accuracy_low", "accuracy_high", "n", "neurons", "synapses",
        "weight_bits", "cores", "bottleneck", "bottleneck_share", "steps", "activity", "synaptic_operations", "spikes",
        "neuron_updates", "energy_pj", "energy_table", "energy_kinds", "static_pj", "time_s", "time_table", "ann_macs", "wall_s",
    )  # fmt: skip
    return Table("table", columns, tuple(tuple(_wide(row).get(name) for name in columns) for row in results["rows"]))


def machine_table(results: Results) -> Table:
    """Every energy, time and count as a row with unit, table, kind and source."""
    rows: list[tuple[Cell, ...]] = []
    for what, key in (("rows", ""), ("drives", "kept_percent")):
        for row in results[what]:
            if row["state"] == "ok":
                head = (row["network"], row["chip"], row["backend"] if not key else "", row.get(key, 100))
                rows += [(*head, *cells) for cells in _cells(row)]
    columns = ("network", "chip", "backend", "input_percent", "item", "value", "unit", "table", "kind", "source")
    return Table("numbers", columns, tuple(rows))


def _cells(row: Results) -> list[tuple[Cell, ...]]:
    cells: list[tuple[Cell, ...]] = [("accuracy", row["accuracy"], "share", "", "counted", f"{row['n']} samples")]
    if row["counts"] is None:
        return cells
    cells += [(name, n, "operations per inference", "", "counted", "neurosim") for name, n in row["counts"].items()]
    for energy in row["energies"]:
        kinds, table, source = ", ".join(energy["kinds"]), energy["table"], energy["uncertainty"]
        cells.append(("energy", energy["total_pj"], "pJ", table, kinds, source))
        cells += [
            (f"energy: {counter_name(n)}", pj, "pJ", table, kinds, source) for n, pj in energy["components_pj"].items()
        ]
        if energy["static_pj"] is not None:
            cells.append(
                ("static energy", energy["static_pj"], "pJ", table, "power x time", "static power of the table")
            )
    for time in row["times"]:
        cells.append(
            (f"time, {time['model']}", time["per_inference_s"], "s", time["table"], "model", time["uncertainty"])
        )
    return cells


def _wide(row: Results) -> dict[str, Cell]:
    found: dict[str, Cell] = {key: row.get(key) for key in ("network", "chip", "backend", "state", "why", "accuracy", "accuracy_low",
                              "accuracy_high", "n", "neurons", "synapses", "weight_bits", "cores", "steps", "activity", "wall_s")}  # fmt: skip
    if row["state"] != "ok":
        return found
    limit, counts, energy, time = row["bottleneck"], row["counts"], own_energy(row), _critical(row)
    if limit is not None:
        found |= {"bottleneck": f"{limit['resource']} of core {limit['core']}", "bottleneck_share": limit["share"]}
    if counts is not None:
        updates = counts["neuron_updates_active"] + counts["neuron_updates_idle"]
        found |= {"synaptic_operations": counts["synaptic_operations"], "spikes": counts["spikes"], "neuron_updates": updates,
                  "ann_macs": row["ann"]["macs"]}  # fmt: skip
    if energy is not None:
        found |= {"energy_pj": energy["total_pj"], "energy_table": energy["table"], "energy_kinds": ", ".join(energy["kinds"]),
                  "static_pj": energy["static_pj"]}  # fmt: skip
    if time is not None:
        found |= {"time_s": time["per_inference_s"], "time_table": time["table"]}
    return found


def _critical(row: Results) -> Mapping[str, Any] | None:
    return next((time for time in row["times"] if time["model"] == "critical-path"), None)


def _time(row: Results) -> str | None:
    time = _critical(row)
    if time is None or time["per_inference_s"] is None:
        return None
    return ("" if time["is_complete"] else "≥ ") + format_time(time["per_inference_s"])


def _at_least(energy: Results | None) -> str | None:
    """Return an energy in few letters, with a sign before it while something has no price."""
    if energy is None or energy["total_pj"] is None:
        return None
    return ("≥ " if energy["unpriced"] else "") + format_energy(energy["total_pj"])


def _whole(value: float) -> int:
    return round(value)
