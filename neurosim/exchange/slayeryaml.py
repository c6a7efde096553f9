"""Read the descriptions that come with SLAYER's weights: the little of YAML that they use."""

from __future__ import annotations

import re
from typing import Any

from neurosim.errors import ModelFileError

MAX_BYTES = 1 << 16
MAX_DIGITS = 40
MAX_DEPTH = 8
_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*:(?:\s+(.*))?$")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")


def read_yaml(text: str, where: str) -> dict[str, Any]:
    """Return a description as nested dicts, lists, numbers and strings.

    Read are maps by indentation, lists of one-line items (``- {dim: 250}``), one-line maps, comments, numbers, and words
    without quotes; everything else of YAML (quotes, anchors, tags, several documents) is refused.

    Parameters
    ----------
    text : str
        At most 64 KiB.
    where : str
        For errors.

    Raises
    ------
    ModelFileError
        With the number of the line.
    """
    if len(text) > MAX_BYTES:
        raise ModelFileError(
            f"{where}: {len(text)} characters are no description of a network; {MAX_BYTES} are allowed"
        )
    root: dict[str, Any] = {}
    levels: list[tuple[int, dict[str, Any]]] = [(0, root)]  # indentation and map of each level that is open
    waiting: str | None = None  # the last key of the innermost level, if its value is on the next lines
    for number, full in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", full.replace("\t", "    ")).rstrip()
        if not line:
            continue
        indent, content, here = len(line) - len(line.lstrip()), line.lstrip(), f"{where}, line {number}"
        if content.startswith("- "):
            items = None if waiting is None else levels[-1][1].setdefault(waiting, [])
            if not isinstance(items, list):
                raise ModelFileError(f"{here}: a list item without a key before it")
            items.append(_value(content[2:].strip(), here))
            continue
        if waiting is not None and indent > levels[-1][0] and waiting not in levels[-1][1]:
            inner: dict[str, Any] = {}
            levels[-1][1][waiting] = inner
            levels.append((indent, inner))
            waiting = None
        while indent < levels[-1][0]:
            levels.pop()
            waiting = None
        found = _KEY.match(content)
        if found is None or indent != levels[-1][0] or len(levels) > MAX_DEPTH:
            raise ModelFileError(f"{here}: {content[:40]!r} is not 'key: value' at the indentation of its level")
        key, value = found.group(1), (found.group(2) or "").strip()
        if key in levels[-1][1] or key == waiting:
            raise ModelFileError(f"{here}: {key!r} is given twice")
        waiting = None if value else key
        if value:
            levels[-1][1][key] = _value(value, here)
    return root


def _value(text: str, here: str) -> Any:
    """Return a number, a word, or a map on one line."""
    if text.startswith("{"):
        if not text.endswith("}") or "{" in text[1:]:
            raise ModelFileError(f"{here}: {text[:40]!r} is not a map on one line")
        parts = [part.strip() for part in text[1:-1].split(",") if part.strip()]
        pairs = [_KEY.match(part) for part in parts]
        if any(pair is None or not pair.group(2) for pair in pairs):
            raise ModelFileError(f"{here}: {text[:40]!r} is not made of 'key: value'")
        return {pair.group(1): _value(pair.group(2).strip(), here) for pair in pairs if pair is not None}
    if _NUMBER.match(text):
        if len(text) > MAX_DIGITS:
            raise ModelFileError(f"{here}: {text[:40]!r}... is a number of {len(text)} signs, {MAX_DIGITS} are read")
        return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
    if text[0] in "\"'[]{}&*!|>%@`":
        raise ModelFileError(f"{here}: {text[:40]!r} is YAML that is not read here; write a plain number or word")
    return text
