"""What may stand at a key of a configuration: meaning, unit and range in the field's metadata, and the check."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import Field, field, fields
from typing import Any, NamedTuple

from neurosim.errors import ConfigError


class Key(NamedTuple):
    """What may stand at a key of the configuration."""

    text: str
    low: float = 0
    high: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    max_length: int = 0  # of a list
    positive: bool = False  # zero itself is excluded
    pattern: str = ""  # of the texts in a list; a list without one holds integers

    @property
    def limits(self) -> str:
        """The range or the choices in words, empty if any text will do."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.high is None:
            return ""
        high = f"{_written(self.high)} {self.unit}".rstrip()
        return f"above 0, at most {high}" if self.positive else f"{_written(self.low)}..{high}"

    @property
    def advice(self) -> str:
        """What to do about a number that is wrong."""
        return f"give one {self.limits}" if self.positive else f"give one in {self.limits}"


def with_key(default: Any, about: Key) -> Any:
    """Return a dataclass field that is a key of the configuration."""
    return field(default=default, metadata={"key": about})


def keyed_fields(config: Any) -> list[Field[Any]]:
    """Return the fields of a dataclass, or of an instance, that are keys."""
    return [each for each in fields(config) if "key" in each.metadata]


def check_fields(config: Any, prefix: str) -> None:
    """Check every key and store it in its own type: lists as tuples, whole numbers for floats as floats."""
    for each in keyed_fields(config):
        checked = _check(prefix + each.name, getattr(config, each.name), each.default, each.metadata["key"])
        object.__setattr__(config, each.name, checked)


def toml_value(value: str | float | tuple[int, ...] | tuple[str, ...]) -> str:
    """Write a value as TOML does."""
    if isinstance(value, str):
        return '"' + value + '"'
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else repr(value)


def _check(name: str, value: Any, default: Any, key: Key) -> Any:
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigError(f"{name}: {value!r} is not a truth value; write true or false")
        return value
    if isinstance(default, str):
        return value if value == default == "" else _check_text(name, value, key)
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)) or len(value) > key.max_length:
            limit = f"a list of at most {key.max_length} {'texts' if key.pattern else 'integers'}"
            advice = key.text[0].lower() + key.text[1:] if key.pattern else f"write it like {toml_value(default)}"
            raise ConfigError(f"{name}: {value!r} is not {limit}; {advice}")
        if key.pattern:
            for text in value:
                if not isinstance(text, str) or not re.fullmatch(key.pattern, text):
                    raise ConfigError(f"{name}: {text!r} cannot be read; {key.text[0].lower() + key.text[1:]}")
            return tuple(value)
        return tuple(_check_number(name, number, int, key) for number in value)
    return _check_number(name, value, type(default), key)


def _check_text(name: str, value: Any, key: Key) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{name}: {value!r} is not a text; write it in quotes")
    if key.choices and value not in key.choices:
        close = difflib.get_close_matches(value, key.choices, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"{name}: unknown choice {value!r}; choose {key.limits}{hint}")
    return value


def _check_number(name: str, value: Any, kind: type[int | float], key: Key) -> float:
    assert key.high is not None
    word = "an integer" if kind is int else "a finite number"
    allowed = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or value != value or value in (math.inf, -math.inf):
        raise ConfigError(f"{name}: {value!r} is not {word}; {key.advice}")
    if not key.low <= value <= key.high or (key.positive and value <= 0):
        raise ConfigError(f"{name}: {value!r} is out of range; {key.advice}")
    return kind(value)


def _written(limit: float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"
