"""Write results as Markdown, and put them into a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.measure import Cell

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
_PREFIXES = ((1e9, " G"), (1e6, " M"), (1e3, " k"))


def in_markdown(results: Mapping[str, Any]) -> str:
    """Return the machine and every table of results as `python -m benchmarks` stores them."""
    options = results["options"]
    facts = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    lines = [f"Measured with {facts}, seed {options['seed']}."]
    if options["quick"]:
        lines += ["", "**Quick run: shows that the benchmarks work, not how fast neurosim is.**"]
    for tables in results["benchmarks"].values():
        for table in tables:
            lines += ["", f"### {table['title']}", ""]
            lines += [_row(table["columns"]), _row(["---"] * len(table["columns"]))]
            lines += [_row([shown(cell) for cell in row]) for row in table["rows"]]
            lines += ["", table["note"]] if table["note"] else []
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def shown(cell: Cell) -> str:
    """Return a cell as text: three digits of what was measured, all digits of what was counted.

    Examples
    --------
    >>> [shown(cell) for cell in (2_345_678_901.0, 0.01234, 12_345, None, "as is")]
    ['2.35 G', '0.0123', '12,345', '-', 'as is']
    """
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int):
        return f"{cell:,}"
    for size, prefix in _PREFIXES:
        if abs(cell) >= 0.9995 * size:
            return _three_digits(cell / size) + prefix
    return _three_digits(cell)


def _three_digits(x: float) -> str:
    return f"{x:.0f}" if abs(x) >= 99.95 else f"{x:.3g}" if abs(x) < 0.9995 else f"{x:#.3g}"


def write_between_marks(document: str, text: str) -> str:
    """Return the document with the text between its marks.

    Raises
    ------
    ValueError
        If it does not have both marks, once each and in order.
    """
    if document.count(BEGIN) != 1 or document.count(END) != 1 or document.index(BEGIN) > document.index(END):
        raise ValueError(f"document: need one {BEGIN} and, below it, one {END}; put them where the results belong")
    before, rest = document.split(BEGIN)
    return f"{before}{BEGIN}\n{text}{END}{rest.split(END)[1]}"
