"""A study of energy as rows for machines: every number with what it is of, unit, kind and source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurosim.report import UNITS
from neurosim.report_energy import kinds_of
from neurosim.tables import Cell, Table

Study = Mapping[str, Any]


def machine_table(study: Study) -> Table:
    """Every number of a study as a row: what, of what, value, unit, kind and source."""
    rows: list[tuple[Cell, ...]] = []
    for per, counts in study["counts"].items():
        if counts is not None:
            unit = f"operations per {UNITS[per]}"
            for name, n in counts["totals"].items():
                rows.append((per, "count", "", "", name, n / counts["samples"], unit, "counted", "neurosim"))
    for per, energies in study["energies"].items():
        for energy in energies:
            rows += _energy_rows(per, energy, (study["counts"][per] or {}).get("samples") or 1)
    rows += _utilisation_rows(study) + _time_rows(study)
    if study.get("ann"):
        rows += _ann_rows(study["ann"])
    columns = ("per", "what", "table", "of", "item", "value", "unit", "kind", "source")
    return Table("study", columns, tuple(rows))


def split(table: Table) -> list[Table]:
    """Return a table for each sort of number ("what"), named after it."""
    found: dict[str, list[tuple[Cell, ...]]] = {}
    for row in table.rows:
        found.setdefault(str(row[1]), []).append(row)
    return [Table(what, table.columns, tuple(rows)) for what, rows in found.items()]


def _energy_rows(per: str, energy: Study, samples: int) -> list[tuple[Cell, ...]]:
    table, rows = energy["table"], list[tuple[Cell, ...]]()
    made = f"counts x prices of {table}"
    kinds = kinds_of(energy)
    reasons = {item["counter"]: {"kind": "no price", "source": item["why"]} for item in energy["unpriced"]}
    rows.append((per, "energy_total", table, "", "dynamic", energy["total_pj"], "pJ", kinds, made))
    for end, value in zip(("low", "high"), energy.get("range_pj") or (), strict=False):
        rows.append((per, "energy_range", table, "", end, value, "pJ", kinds, energy["uncertainty"]))
    if energy.get("static_pj") is not None:
        power = energy["static"]["power_per_chip"]
        rows.append(
            (per, "energy_static", table, "", "static", energy["static_pj"], "pJ", power["kind"], power["source"])
        )
    for name, pj in energy["components_pj"].items():
        price = energy["constants"].get(name) or reasons[name]
        rows.append((per, "energy_by_component", table, "", name, pj, "pJ", price["kind"], price["source"]))
    for row, parts in energy["by_row_pj"].items():
        for name, pj in parts.items():
            price = energy["constants"].get(name) or reasons[name]
            rows.append((per, "energy_by_row", table, row, name, pj, "pJ", price["kind"], price["source"]))
    for owner, parts in (energy.get("by_core_pj") or {}).items():
        for name, pj in parts.items():
            price = energy["constants"].get(name) or reasons[name]
            core = f"core {owner}" if owner.isdecimal() else owner
            what = "energy_by_core" + "_of_a_generation" * ("by_core_of" in energy)
            rows.append((per, what, table, core, name, pj, "pJ", price["kind"], price["source"]))
    for group, parts in energy["by_group_pj"].items():
        for name, pj in parts.items():
            rows.append((per, "energy_by_group", table, group, name.removesuffix("_pj"), pj, "pJ", kinds, made))
    for item in energy["unpriced"]:
        rows.append(
            (
                per,
                "unpriced",
                table,
                "",
                item["counter"],
                item["count"] / samples,
                "operations",
                "no price",
                item["why"],
            )
        )
    for name, price in energy["constants"].items():
        rows.append(("", "price", table, "", name, price["value"], price["unit"], price["kind"], price["source"]))
    return rows


def _utilisation_rows(study: Study) -> list[tuple[Cell, ...]]:
    return [
        (
            "",
            "utilisation",
            study["chip"],
            f"core {core['core']}",
            f"{name} {key}",
            use[key],
            name,
            "counted",
            "mapping",
        )
        for core in study["utilisation"]
        for name, use in core["resources"].items()
        for key in ("used", "limit")
    ]


def _time_rows(study: Study) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for time in study["times"]:
        kinds = ", ".join(dict.fromkeys(c["kind"] for c in time["constants"].values())) or "none"
        name, model = time["table"], time["model"]
        for key in ("mean_step_s", "max_step_s", "per_inference_s", "slowest_sample_s"):
            rows.append(
                (
                    "per_inference",
                    "time",
                    name,
                    model,
                    key.removesuffix("_s"),
                    time[key],
                    "s",
                    kinds,
                    time["uncertainty"],
                )
            )
        for constant, value in time["constants"].items():
            rows.append(
                (
                    "",
                    "time_constant",
                    name,
                    model,
                    constant,
                    value["value"],
                    value["unit"],
                    value["kind"],
                    value["source"],
                )
            )
    for row in study["per_step"]:
        for key, value in row.items():
            if key != "step":
                unit = "s" if key.endswith("_s") else "operations per sample"
                rows.append(
                    (
                        "per_step",
                        "step",
                        "",
                        f"step {row['step']}",
                        key.removesuffix("_s"),
                        value,
                        unit,
                        "counted",
                        "neurosim",
                    )
                )
    for link in study["links"]:
        where = f"({link['x']}, {link['y']}) {link['direction']}"
        rows.append(
            (
                "per_inference",
                "link",
                study["chip"],
                where,
                "packets",
                link["packets"],
                "packets",
                "counted",
                "neurosim",
            )
        )
    return rows


def _ann_rows(found: Study) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = [
        ("per_inference", "ann", "", "artificial", "macs", found["ann"]["macs"], "operations", "counted", "neurosim"),
        ("per_inference", "ann", "", "artificial", "weights", found["ann"]["weights"], "weights", "counted", "neurosim"),
    ]  # fmt: skip
    for row in found["arithmetic"]:
        for key in ("ann_macs_pj", "ann_activations_pj", "ann_pj", "snn_accumulates_pj", "snn_neurons_pj", "snn_pj"):
            side, _, item = key.removesuffix("_pj").partition("_")
            source = f"{row['mac']['source']}; {row['ac']['source']}"
            cells = (f"{row['format']} {item or 'sum'}", row[key], "pJ", row["mac"]["kind"], source)
            rows.append(("per_inference", "ann", found["table"], {"ann": "artificial", "snn": "spiking"}[side], *cells))
    memory = found["memory"]
    if memory is not None:
        price = memory["price"]
        for key, side in (("ann", "artificial"), ("snn", "spiking")):
            rows.append(("per_inference", "ann", found["table"], side, "memory words", memory[f"{key}_words"], "words of 64 bits",
                         "assumed", "neurosim.costs.ann"))  # fmt: skip
            rows.append(("per_inference", "ann", found["table"], side, "memory", memory[f"{key}_pj"], "pJ", price["kind"],
                         price["source"]))  # fmt: skip
    return rows
