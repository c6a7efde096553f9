"""Tables, headings and JSON on the terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
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


def show_table(console: Console, table: Table, title: bool = True) -> None:
    """Write a table of plain values; nothing without rows."""
    if not table.rows:
        return
    from rich import box
    from rich.table import Table as RichTable

    from neurosim.tables import format_cell

    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for i, column in enumerate(table.columns):
        numbers = all(row[i] is None or isinstance(row[i], (int, float)) for row in table.rows)
        shown.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*map(format_cell, row))
    if title:
        show_heading(console, table.title)
    console.print(shown)


def write_json(data: Any) -> None:
    """Write a result as JSON to standard output."""
    print(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False))


def show_energy(console: Console, metrics: Any) -> None:
    """Write the energy by operation with its sources, and what it leaves out."""
    from neurosim import report

    for per in report.UNITS:
        table = report.energy_table_rows(metrics, per)
        show_table(console, table._replace(rows=tuple(row for row in table.rows if row[1])))
        show_table(console, report.unpriced_table(metrics, per))
    found = (metrics.get("energy") or {}).get("per_inference")
    if found:
        show_heading(console, "About these energies")
        show_lines(console, [f"uncertainty: {found['uncertainty']}"])
        show_lines(console, [f"not modelled: {text}" for text in found["not_modelled"]])
