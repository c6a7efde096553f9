"""What a suite of benchmarks runs: networks, chips, backends and rates, each key with its meaning and range."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from neurosim.configkeys import Key, check_fields, keyed_fields, toml_value, with_key
from neurosim.errors import ConfigError, one_line
from neurosim.tomlfile import read_toml_file

LINE = 110  # of the example file
NETWORK = r"(\d{1,5}(?:x\d{1,5})*)(?::(?:bits=([2-8]))?,?(?:keep=(\d{1,3}))?)?"  # hidden layers, bits, percent kept


class NetworkSpec(NamedTuple):
    """One network of a suite, to be trained."""

    name: str
    hidden: tuple[int, ...]
    bits: int
    keep: int  # percent of the weights that are kept after training, the largest


@dataclass(frozen=True)
class Suite:
    """A suite of benchmarks; keys as in `example_suite`."""

    task: str = with_key("digits", Key("What the networks learn and are tested with; the list: neurosim train --help."))
    networks: tuple[str, ...] = with_key(
        ("0", "16", "64", "256", "64:bits=2", "64:keep=50"),
        Key(
            "Networks to train: 64x32:bits=4,keep=25 has hidden layers of 64 and 32 neurons, weights of 4 bits (8 if left out), and "
            "keeps the largest 25 % of them after training (100 if left out), as sparse connections; 0 has no hidden layer.",
            max_length=64,
            pattern=NETWORK,
        ),
    )
    runs: tuple[str, ...] = with_key(
        (),
        Key(
            "Run folders or model files that take part as they are; tested with the task.", max_length=64, pattern=r".+"
        ),
    )
    chips: tuple[str, ...] = with_key(
        ("loihi1", "loihi2", "spinnaker2", "cpu-45nm"),
        Key("Chip presets or .toml files; the list: neurosim chips.", max_length=32, pattern=r".+"),
    )
    backends: tuple[str, ...] = with_key(
        ("simulator", "reference"),
        Key(
            "What runs the networks; all must give the same numbers. The list: neurosim backends.",
            max_length=8,
            pattern=r".+",
        ),
    )
    tables: tuple[str, ...] = with_key(
        (),
        Key("Energy tables or .toml files; [] takes those of each chip, and cpu-45nm.", max_length=16, pattern=r".+"),
    )
    epochs: int = with_key(4, Key("Passes over the training samples.", 1, 1_000_000))
    samples: int = with_key(120, Key("Test samples, the first ones.", 1, 10_000_000))
    drives: tuple[int, ...] = with_key(
        (0, 10, 25, 50, 75, 100),
        Key(
            "Percent of the input spikes that are kept, by chance: each network runs on the first chip with each, for energy "
            "against activity.",
            0, 100, max_length=32,
        ),
    )  # fmt: skip
    seed: int = with_key(1, Key("Everything random follows from it.", 0, (1 << 63) - 1))

    def __post_init__(self) -> None:
        check_fields(self, "")
        if not self.networks and not self.runs:
            raise ConfigError("networks: [] and no runs, nothing takes part; name a network, for instance '64'")
        for key in ("chips", "backends"):
            if not getattr(self, key):
                raise ConfigError(f"{key}: [] leaves nothing to run on; name one")
        for key in ("networks", "runs", "chips", "backends", "tables"):
            given = getattr(self, key)
            twice = next((name for name in given if given.count(name) > 1), None)
            if twice is not None:
                raise ConfigError(f"{key}: {twice!r} is there twice; name each once")
        for name in self.networks:
            parse_network(name)

    def to_dict(self) -> dict[str, Any]:
        """Return the suite in types that JSON and TOML can hold."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def to_toml(self) -> str:
        """Return the suite as a file that `load_suite` reads."""
        return "".join(f"{key} = {toml_value(getattr(self, key))}\n" for key in self.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str) -> Suite:
        """Make a suite; keys that are missing keep their defaults."""
        known = [each.name for each in fields(cls)]
        unknown = next((key for key in data if key not in known), None)
        if unknown is not None:
            raise ConfigError(f"{where}: unknown key {unknown!r}; known are {', '.join(known)}")
        given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        return cls(**given)


def parse_network(text: str) -> NetworkSpec:
    """Return what a network's name says.

    Examples
    --------
    >>> parse_network("64x32:bits=4,keep=25")
    NetworkSpec(name='64x32:bits=4,keep=25', hidden=(64, 32), bits=4, keep=25)
    """
    found = re.fullmatch(NETWORK, text)
    if found is None:
        raise ConfigError(f"networks: {text!r} cannot be read; write it like 64x32:bits=4,keep=25")
    sizes = tuple(int(size) for size in found[1].split("x"))
    hidden = () if sizes == (0,) else sizes
    keep = 100 if found[3] is None else int(found[3])
    if 0 in hidden or not 1 <= keep <= 100:
        raise ConfigError(f"networks: {text!r} has a layer without neurons, or keeps no 1..100 percent; change it")
    return NetworkSpec(text, hidden, int(found[2] or 8), keep)


def load_suite(path: Path) -> Suite:
    """Read a suite from a TOML file; keys that are missing keep their defaults.

    Raises
    ------
    ConfigError
        If the file cannot be read, or with the key, the value and the limits of what is wrong in it.
    """
    where = f"suite {str(path)!r}"
    try:
        data = read_toml_file(path)
    except OSError as error:
        raise ConfigError(
            f"{where}: cannot be read ({error.strerror}); begin with: neurosim bench --example"
        ) from error
    except ValueError as error:
        raise ConfigError(
            one_line(f"{where}: not a TOML file ({error}); compare with: neurosim bench --example")
        ) from error
    try:
        return Suite.from_dict(data, where)
    except ConfigError as error:
        raise ConfigError(one_line(str(error))) from error


def example_suite() -> str:
    """Return a commented TOML file with every key at its default."""
    lines = ["# A suite of benchmarks. Every key may be left out; the values here are the defaults.", ""]
    suite = Suite()
    for each in keyed_fields(suite):
        about: Key = each.metadata["key"]
        comment = about.text + (f" ({about.limits})" if about.limits else "")
        lines += textwrap.wrap(comment, LINE, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
        lines += [f"{each.name} = {toml_value(getattr(suite, each.name))}", ""]
    return "\n".join(lines).rstrip() + "\n"
