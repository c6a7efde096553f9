"""Events as text: one event a line, with or without a head (.csv, .tsv, .txt)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neurosim.data.eventblock import Block, Size
from neurosim.data.eventfile import Recorded
from neurosim.data.formats.columns import EXACT, NAMES, find_columns, to_block
from neurosim.errors import DataError

BLOCK = 1 << 20  # bytes of text decoded together
LONGEST = 1 << 12  # bytes of a line
ORDER = ("t", "x", "y", "p")  # of columns without a head
COMMENTS = ("#", "%")
SIZE_LINE = "sensor_size"  # a comment of this word and two numbers: width and height
SIZE = re.compile(rf"[#%]\s*{SIZE_LINE}[\s:=]+(\d{{1,5}})[\s,]+(\d{{1,5}})\s*")
PLACES = re.compile(r"([xy])@(\d{1,5})")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
POLARITIES = {"true": 1.0, "on": 1.0, "false": 0.0, "off": 0.0}


class Layout(NamedTuple):
    """How the lines of a file are made.

    Attributes
    ----------
    separator : str or None
        None: white space.
    places : dict of str to int
        Place of each column in a line.
    n_head : int
        Lines before the first event.
    in_seconds : bool
        Whether the first time has a point: then times are seconds, else microseconds.
    size : (width, height) or None
    """

    separator: str | None
    places: dict[str, int]
    n_head: int
    in_seconds: bool
    size: Size | None


def open_file(path: Path, sensor_size: Size | None) -> Recorded:
    """Open a file of text: columns t, x, y, p as the head names them, or in this order."""
    layout = _layout(path)
    return Recorded(partial(_blocks, path, layout), sensor_size or layout.size)


def looks_like_text(head: bytes) -> bool:
    """Whether the first bytes of a file are a table: text, whose first line that is no comment has numbers or known names."""
    try:
        text = head[: head.rfind(b"\n") + 1 or len(head)].decode("ascii")
    except UnicodeDecodeError:
        return False
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith(COMMENTS):
            cells = _cells(line, _separator(line))
            return len(cells) > 1 and (
                all(map(NUMBER.fullmatch, cells[:2])) or any(_name(cell).lower() in NAMES["x"] for cell in cells)
            )
    return False


def _separator(line: str) -> str | None:
    return next((mark for mark in (",", ";", "\t") if mark in line), None)


def _cells(line: str, separator: str | None) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(separator)]


def _name(cell: str) -> str:
    """Return the name of a column without the number of places that some write behind it (x@346)."""
    return cell.partition("@")[0]


def _size_in(cells: list[str]) -> Size | None:
    """Return the size of the sensor as the names x@346 and y@260 give it."""
    found = {match[1]: int(match[2]) for match in map(PLACES.fullmatch, cells) if match}
    return (found["x"], found["y"]) if found.keys() == {"x", "y"} and min(found.values()) else None


def _layout(path: Path) -> Layout:
    """Read the first lines."""
    where, size, n_head = f"file {str(path)!r}", None, 0
    names: list[str] | None = None
    for lines in _lines(path, where):
        for line in lines:
            if _skipped(line):
                found = SIZE.fullmatch(line.strip())
                if found and min(map(int, found.groups())) > 0:
                    size = int(found[1]), int(found[2])
                n_head += 1
                continue
            separator = _separator(line)
            cells = _cells(line, separator)
            if names is None and not NUMBER.fullmatch(cells[0]):
                names, n_head = [_name(cell) for cell in cells], n_head + 1
                size = _size_in(cells) or size
                continue
            places = _places(names, len(cells), where)
            in_seconds = len(cells) > places["t"] and bool(set(cells[places["t"]]) & set(".eE"))
            return Layout(separator, places, n_head, in_seconds, size)
        if n_head > LONGEST:
            raise DataError(f"{where}: the first {n_head} lines are comments; give a table of events")
    return Layout(None, _places(names, len(ORDER), where), n_head, False, size)  # no events


def _places(names: list[str] | None, n_cells: int, where: str) -> dict[str, int]:
    if names is not None:
        return {column: names.index(name) for column, name in find_columns(names, where).items()}
    if n_cells != len(ORDER):
        raise DataError(
            f"{where}: its lines have {n_cells} columns and no head; name them in a first line, or have t, x, y, p in this order"
        )
    return {column: i for i, column in enumerate(ORDER)}


def _skipped(line: str) -> bool:
    return not line or line.isspace() or line.lstrip().startswith(COMMENTS)


def _lines(path: Path, where: str) -> Iterator[list[str]]:
    """Yield blocks of whole lines."""
    with path.open("rb") as stream:
        rest = b""
        while content := stream.read(BLOCK):
            whole = rest + content
            end = whole.rfind(b"\n") + 1
            rest = whole[end:]
            if len(rest) > LONGEST:
                raise DataError(f"{where}: a line is longer than {LONGEST} characters; this is no table of events")
            if end:
                yield whole[:end].decode("ascii", "replace").splitlines()
        if rest:
            yield rest.decode("ascii", "replace").splitlines()


def _blocks(path: Path, layout: Layout) -> Iterator[Block]:
    n_head = layout.n_head
    for lines in _lines(path, f"file {str(path)!r}"):
        skipped, n_head = min(n_head, len(lines)), n_head - min(n_head, len(lines))
        events = [line for line in lines[skipped:] if not _skipped(line)]
        if events:
            yield _decode(events, layout)


def _decode(lines: list[str], layout: Layout) -> Block:
    """Return the events of lines."""
    wanted = sorted(layout.places.values())
    try:
        table = np.loadtxt(lines, np.float64, comments=None, delimiter=layout.separator, usecols=wanted, ndmin=2)
        bad = np.zeros(len(lines), np.bool_)
    except ValueError:  # some line is no event, or not written as numbers: look at each
        rows = [_row(line, layout, wanted) for line in lines]
        bad = np.array([row is None for row in rows])
        table = np.array([[0.0] * len(wanted) if row is None else row for row in rows])
    columns = {column: table[:, wanted.index(place)] for column, place in layout.places.items()}
    t = columns["t"]
    if not layout.in_seconds:
        whole = (np.abs(t) < EXACT) & (np.floor(t) == t)
        bad |= ~whole
        t = np.where(whole, t, 0).astype(np.int64)
    block = to_block(t, columns["x"], columns.get("y"), columns.get("p"))
    if block.bad is not None:
        bad |= block.bad
    return block._replace(bad=bad if bad.any() else None, why="not a line of numbers")


def _row(line: str, layout: Layout, wanted: list[int]) -> list[float] | None:
    """Return the wanted numbers of a line; None: it has not got them."""
    cells = _cells(line, layout.separator)
    if len(cells) <= wanted[-1]:
        return None
    found = [cells[place] for place in wanted]
    if "p" in layout.places:
        i = wanted.index(layout.places["p"])
        found[i] = str(POLARITIES.get(found[i].lower(), found[i]))
    return [float(cell) for cell in found] if all(map(NUMBER.fullmatch, found)) else None
