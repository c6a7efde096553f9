"""Tables, headings and JSON on the terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from neurosim.tables import Table

PIPE_WIDTH = 120


def make_console(stderr: bool = False) -> Console:
    """Return a console; one that is not a terminal gets a fixed width and no colours."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def show_heading(console: Console, text: str) -> None:
    """Write the title of a section."""
    console.print()
    console.print(text, style="bold")


def show_lines(console: Console, lines: Iterable[str]) -> None:
    """Write lines as they are, indented; long ones are broken by the terminal only."""
    for line in lines:
        console.print("  " + line, soft_wrap=True)


def show_table(console: Console, table: Table, title: bool = True, right: bool = False) -> None:
    """Write a table of plain values, nothing without rows; numbers right, and with `right` all but the first column."""
    if not table.rows:
        return
    from rich import box
    from rich.table import Table as RichTable

    from neurosim.tables import format_cell

    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for i, column in enumerate(table.columns):
        numbers = all(row[i] is None or isinstance(row[i], (int, float)) for row in table.rows)
        shown.add_column(column, justify="right" if numbers or (right and i > 0) else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*map(format_cell, row))
    if title:
        show_heading(console, table.title)
    console.print(shown)


def show_paths(paths: Iterable[Path], as_json: bool) -> None:
    """Name files that were written, a line each, or as JSON."""
    named = [str(path) for path in paths]
    if as_json:
        write_json(named)
        return
    for path in named:
        print(path)


def show_outcome(console: Console, files: Mapping[str, Path], next_steps: Iterable[str]) -> None:
    """Show the last sections of a command that fills a folder: what lies there, and what to try next."""
    show_heading(console, "Files")
    show_lines(console, [f"{name:<12} {path}" for name, path in files.items() if path.exists()])
    show_heading(console, "Next")
    show_lines(console, next_steps)


def write_json(data: Any) -> None:
    """Write a result as JSON to standard output."""
    print(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False))


def show_energy(console: Console, metrics: Any) -> None:
    """Write the energy of a run by operation with its sources, and what it leaves out."""
    from neurosim import report

    before: dict[str, Any] = {}
    for per in report.UNITS:
        energy = (metrics.get("energy") or {}).get(per)
        if energy:
            show_priced(console, energy, per, before.get(energy["table"]))
            before[energy["table"]] = energy
    for energy in before.values():
        show_heading(console, "About these energies")
        show_lines(console, [f"uncertainty: {energy['uncertainty']}"])
        show_lines(console, [f"not modelled: {text}" for text in energy["not_modelled"]])


def show_priced(console: Console, energy: Any, per: str, before: Any = None, most: int | None = None) -> None:
    """Write an energy by component, group and core, with what it rests on, but for sources that `before` has shown.

    Of more than `most` cores those that spend most are listed.
    """
    from neurosim import report, report_energy

    words = report.UNITS[per]
    show_heading(console, f"Energy per {words} by {energy['table']}: {report_energy.bounded(energy)}")
    lines = [energy["title"]]
    found_range = report_energy.range_text(energy)
    if energy.get("total_pj") is not None:
        lines.append(
            f"range {found_range}" if found_range != "unknown" else "range unknown: no uncertainty was measured"
        )
    show_lines(console, lines)
    if energy.get("total_pj") is not None:
        show_table(console, report_energy.components_table(energy), title=False, right=True)
        if energy.get("by_group_pj"):
            show_table(console, report_energy.groups_table(energy), title=False, right=True)
        if energy.get("by_core_pj"):
            show_table(console, report_energy.cores_table(energy, most), right=True)
        show_lines(console, [f"source of {text}" for text in report_energy.source_lines(energy, before)])
    if energy.get("unpriced"):
        show_heading(console, f"Not in the energy per {words} by {energy['table']}")
        show_lines(console, report_energy.unpriced_lines(energy))
