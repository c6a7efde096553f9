"""Values with unit, source and kind, and the TOML files that hold them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Table
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from neurosim.errors import ChipError, one_line
from neurosim.tomlfile import read_toml_file

Made = TypeVar("Made")  # from a description


class Constant(NamedTuple):
    """A value with its unit, where it comes from, and how well it is known."""

    value: int | float | str | tuple[int, ...] | tuple[str, ...] | None
    unit: str
    source: str
    kind: str


def find_preset(what: str, name_or_path: str | Path, presets: tuple[str, ...], folder: str) -> Path:
    """Return the path of a preset or of the user's own ".toml" file."""
    name = str(name_or_path)
    if name.endswith(".toml"):
        return Path(name)
    if name not in presets:
        close = difflib.get_close_matches(name, presets, 1)
        hint = f"did you mean {close[0]!r}?" if close else "or give the path of a .toml file"
        raise ChipError(f"unknown {what} {name!r}; known: {', '.join(presets)}; {hint}")
    return Path(__file__).with_name("data") / folder / f"{name}.toml"


def read_toml(what: str, path: Path) -> dict[str, Any]:
    """Return the content of a TOML file, or say why it cannot be read."""
    try:
        return read_toml_file(path)
    except OSError as error:
        raise ChipError(f"{what} file '{path}': cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise ChipError(one_line(f"{what} file '{path}': not a TOML file ({error}); compare with a preset")) from error


def read_described(what: str, owner: str, path: Path, make: Callable[[Table[str, Any], str], Made]) -> Made:
    """Return what a TOML file describes; errors that quote it are kept to one line that can be read."""
    try:
        return make(read_toml(what, path), f"{owner} '{path.name}'")
    except ChipError as error:
        raise ChipError(one_line(str(error))) from error


def check_keys(where: str, data: Table[str, Any], known: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Refuse a table with unknown or missing keys, by name."""
    for key in data:
        if key not in known and key not in optional:
            close = difflib.get_close_matches(key, [*known, *optional], 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join([*known, *optional])}"
            raise ChipError(f"{where}: unknown key {key!r}; {hint}")
    missing = [key for key in known if key not in data]
    if missing:
        raise ChipError(f'{where}: missing {", ".join(missing)}; add it (a limit may be "unknown")')


def check_format(where: str, found: Any, expected: int) -> None:
    """Refuse files of another version of the format."""
    if found != expected or isinstance(found, bool):
        raise ChipError(
            f"{where}: format {found!r} cannot be read, this version reads {expected}; update the file or neurosim"
        )


def check_entry(where: str, entry: Any, kinds: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Refuse an entry without value, unit, source and a known kind."""
    if not isinstance(entry, dict):
        raise ChipError(f"{where}: {entry!r} is a bare value; give value, unit, source and kind")
    check_keys(where, entry, Constant._fields, optional)
    for key in ("unit", "source"):
        if not isinstance(entry[key], str) or not entry[key]:
            raise ChipError(f"{where}: {key} {entry[key]!r} is not a text; say where the value comes from")
    if entry["kind"] not in kinds:
        raise ChipError(f"{where}: unknown kind {entry['kind']!r}; choose one of {', '.join(kinds)}")


def read_texts(where: str, key: str, data: Table[str, Any]) -> tuple[str, ...]:
    """Return a list of texts that may be left out, or say what is wrong with it."""
    texts = data.get(key, [])
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) and text for text in texts):
        raise ChipError(f"{where}: {key} {texts!r} is not a list of texts; write each in quotes")
    return tuple(texts)


def read_amount(where: str, value: Any) -> float:
    """Return a number of at least 0, or refuse the value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ChipError(f"{where}: value {value!r} is not a number of at least 0; leave out what is unknown")
    return float(value)


def read_reasons(where: str, key: str, data: Table[str, Any], known: Sequence[str]) -> dict[str, str]:
    """Return the reasons of a table of a file, by name; none where it is left out."""
    reasons = data.get(key, {})
    if not isinstance(reasons, dict) or not all(isinstance(text, str) and text for text in reasons.values()):
        raise ChipError(f'{where}: {key} {reasons!r} is not a table of reasons; write NAME = "why"')
    check_keys(f"{where}: {key}", reasons, (), known)
    return dict(reasons)


def read_percent(where: str, data: Table[str, Any]) -> float | None:
    """Return the uncertainty in percent of a table; None where it is left out."""
    percent = data.get("uncertainty_percent")
    return None if percent is None else read_amount(f"{where}: uncertainty_percent", percent)


def check_texts(where: str, data: Table[str, Any], keys: Sequence[str]) -> None:
    """Refuse values of a table that are not texts, or empty."""
    for key in keys:
        if not isinstance(data[key], str) or not data[key]:
            raise ChipError(f"{where}: {key} {data[key]!r} is not a text; write it in quotes")


def check_listed_once(where: str, data: Table[str, Any], names: Sequence[str], parts: Sequence[str]) -> None:
    """Refuse a name that stands in two parts of a table; each part is a table by name that may be left out."""
    for name in names:
        places = [key for key in parts if name in data.get(key, {})]
        if len(places) > 1:
            raise ChipError(f"{where}: {name} is listed under {' and '.join(places)}; keep one")
