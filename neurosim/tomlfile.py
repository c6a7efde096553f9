"""Read TOML files of anybody: with limits, since what the parser takes grows with the square of a key's length."""

from __future__ import annotations

import os
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 1 << 20
MAX_DOTS = 1000  # in a line


def read_toml_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of a TOML file of up to 1 MiB.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no TOML, no UTF-8, too large, nested too deep, or has a number that is too long.
    """
    with open(path, "rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it exceeds the limit of {MAX_BYTES} bytes")
    text = content.decode("utf-8").replace("\r\n", "\n")
    most = max(line.count(".") for line in text.split("\n"))
    if most > MAX_DOTS:
        raise ValueError(f"a line has {most} dots, the limit is {MAX_DOTS}")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
