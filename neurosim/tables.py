"""Tables of plain values, and how their numbers are written."""

from __future__ import annotations

import csv
import io
from typing import NamedTuple

Cell = str | int | float | None


class Table(NamedTuple):
    """A table of plain values; None is a value that is not known."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def format_energy(pj: float | None) -> str:
    """Write an energy with the unit that suits it.

    Examples
    --------
    >>> format_energy(81.0), format_energy(1_234_567.0), format_energy(None)
    ('81 pJ', '1.23 µJ', 'unknown')
    """
    if pj is None:
        return "unknown"
    value, unit = pj, "pJ"
    for larger in ("nJ", "µJ", "mJ", "J"):
        if abs(value) < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"


def format_share(share: float | None) -> str:
    """Write a share in percent, with a bound for what would round to nothing."""
    if share is None:
        return ""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def format_cell(value: Cell) -> str:
    """Write a value of a table: thousands separated, floats with four digits, a dash for what is unknown."""
    if value is None:
        return "–"
    if isinstance(value, (bool, str)):
        return str(value)
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


def to_csv(table: Table) -> str:
    """Write a table as CSV with full precision; what is not known stays empty.

    Examples
    --------
    >>> to_csv(Table("t", ("a", "b"), ((1, None), (0.1, "x, y"))))
    'a,b\\n1,\\n0.1,"x, y"\\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return text.getvalue()
