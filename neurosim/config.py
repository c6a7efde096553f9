"""The configuration of a training run: every key with its default, unit, range and meaning, checked once."""

from __future__ import annotations

import difflib
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from neurosim.configkeys import Key, check_fields, keyed_fields, toml_value, with_key
from neurosim.errors import ConfigError
from neurosim.learnplan import FACTORS, FORMS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LINE = 110  # of the example file


@dataclass(frozen=True)
class NetworkConfig:
    """The network that is trained; keys as in `example_toml`."""

    hidden: tuple[int, ...] = with_key(
        (256,),
        Key(
            "Neurons of each hidden layer, a list; [] connects inputs and readout directly.",
            1,
            65536,
            max_length=16,
        ),
    )
    n_steps: int = with_key(
        16, Key("Time steps of input per sample; the network runs on for one more per connection.", 1, 1 << 14)
    )
    tau_mem: float = with_key(8e-3, Key("Membrane time constant.", 0, 100.0, unit="s", positive=True))
    tau_syn: float = with_key(
        0.0, Key("Time constant of the synaptic current; 0: no current filter.", 0.0, 100.0, unit="s")
    )
    threshold: float = with_key(
        1.0, Key("Firing threshold, in units of the weights before quantising.", 0, 1e6, positive=True)
    )
    gain: float = with_key(
        1.28,
        Key(
            "Initial weights are uniform within gain * threshold / sqrt(inputs); larger where few inputs fire.",
            0,
            100.0,
            positive=True,
        ),
    )
    weight_bits: int = with_key(8, Key("Bits of a weight on the chip, sign included.", 2, 8))
    dt: float = with_key(
        1e-3,
        Key("Length of a time step; only its ratio to the time constants matters.", 0, 1.0, unit="s", positive=True),
    )

    def __post_init__(self) -> None:
        check_fields(self, "network.")


@dataclass(frozen=True)
class RuleConfig:
    """The learning rule; keys as in `example_toml`."""

    form: str = with_key(
        "response",
        Key(
            "response: pairs measure how every readout answers and local errors use it; "
            "scalar: each pair broadcasts one fitness difference.",
            choices=tuple(FORMS),
        ),
    )
    factor: str = with_key(
        "trace",
        Key(
            "Presynaptic factor of the perturbation. trace: spike counts of the unperturbed run; "
            "random: +1 or -1 (only with form scalar).",
            choices=tuple(FACTORS),
        ),
    )
    rank: int = with_key(1, Key("Rank of a perturbation; for trace, the windows of time.", 1, 64))
    pairs: int = with_key(1, Key("Antithetic pairs per sample.", 1, 4096))
    pair_every: int = with_key(
        1, Key("Form response: only one of so many samples has pairs; the others use what is known.", 1, 65536)
    )
    skip: float = with_key(
        1.0,
        Key("No pairs for samples whose label already has a higher probability than this; 1: for all.", 1 / 1024, 1.0),
    )
    one_group: bool = with_key(False, Key("A pair perturbs one group of neurons, the next pair the next one."))
    gate: bool = with_key(
        True, Key("Form scalar: a pair moves the weights of neurons that came near their threshold, and no others.")
    )
    error_bits: int = with_key(7, Key("Bits of the readout's error, which is broadcast.", 2, 12))
    residual_bits: int = with_key(8, Key("Bits kept below a weight, where small votes add up.", 0, 16))
    perturbation: float = with_key(0.25, Key("Size of the perturbation per step, in thresholds.", 1 / 256, 64.0))
    step: float = with_key(
        0.5,
        Key("Typical weight change at the start, in 8-bit weight steps (1/256 of the range).", 1 / 256, 64.0),
    )
    row_step: bool = with_key(
        True,
        Key(
            "Measure the votes of each presynaptic neuron against their own root mean square, so that rare inputs learn as "
            "fast as frequent ones; false: one step for all."
        ),
    )
    memory: int = with_key(5, Key("The response is averaged over about 2**memory generations.", 0, 30))
    warmup: int = with_key(16, Key("Generations measured before weights move.", 0, 1_000_000))

    def __post_init__(self) -> None:
        check_fields(self, "rule.")
        if self.form == "response" and self.factor != "trace":
            raise ConfigError(
                f"rule.factor: {self.factor!r} does not go with rule.form 'response', which needs 'trace'; "
                "change one of them"
            )


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run; keys as in `example_toml`."""

    task: str = with_key("digits", Key("What to learn: the name of a task."))
    augment: bool = with_key(
        True, Key("Learn from changed copies of the training samples as well, as the task makes them.")
    )
    seed: int = with_key(1, Key("Everything random follows from it.", 0, (1 << 63) - 1))
    epochs: int = with_key(32, Key("Passes over the training samples.", 1, 1_000_000))
    batch: int = with_key(32, Key("Samples per generation.", 1, 1 << 16))
    chip: str = with_key("loihi1", Key("Chip preset or .toml file; the list: neurosim chips."))
    backend: str = with_key("simulator", Key("What runs the network; the list: neurosim backends."))
    energy_table: str = with_key("loihi1-davies2018", Key("Energy table or .toml file; docs/energy.md describes each."))
    start: str = with_key("", Key("Model file whose weights training begins with; empty: random weights."))
    evaluate_every: int = with_key(
        250, Key("Test accuracy is measured after every so many generations.", 1, 1_000_000_000)
    )
    checkpoint_every: int = with_key(
        500, Key("A checkpoint is written after every so many generations.", 1, 1_000_000_000)
    )
    network: NetworkConfig = field(default_factory=NetworkConfig)
    rule: RuleConfig = field(default_factory=RuleConfig)

    def __post_init__(self) -> None:
        check_fields(self, "")
        for name, kind in _TABLES.items():
            if not isinstance(getattr(self, name), kind):
                raise ConfigError(f"{name}: {getattr(self, name)!r} is not a {kind.__name__}; make one")

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration in types that JSON and TOML can hold; `from_dict` gives back an equal one."""
        data = asdict(self)
        data["network"]["hidden"] = list(self.network.hidden)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "configuration") -> TrainConfig:
        """Make a configuration; keys that are missing keep their defaults.

        Parameters
        ----------
        data : mapping
            As of `to_dict` or of a TOML file.
        where : str
            What error texts call the source.

        Raises
        ------
        ConfigError
            For unknown keys and for values of the wrong type or out of range.
        """
        flat: dict[str, Any] = {}
        for name, value in data.items():
            if name not in _TABLES:
                flat[name] = value
            elif isinstance(value, Mapping):
                flat |= {f"{name}.{key}": inner for key, inner in value.items()}
            else:
                raise ConfigError(f"{where}: {name} {value!r} is not a table; write [{name}] and its keys below it")
        return _with_values(cls(), flat, where)


_TABLES: dict[str, type[NetworkConfig | RuleConfig]] = {"network": NetworkConfig, "rule": RuleConfig}
_AnyConfig = NetworkConfig | RuleConfig | TrainConfig


def load_config(path: str | os.PathLike[str]) -> TrainConfig:
    """Read a configuration from a TOML file; keys that are missing keep their defaults.

    Raises
    ------
    ConfigError
        If the file cannot be read, or with the key, the value and the limits of what is wrong in it.
    """
    where = f"configuration {os.fspath(path)!r}"
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{where}: cannot be read ({error.strerror}); check the path, or begin with: neurosim train --example"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: not a TOML file ({error}); compare with: neurosim train --example") from error
    return TrainConfig.from_dict(data, where)


def override(config: TrainConfig, texts: Iterable[str]) -> TrainConfig:
    """Return the configuration with some keys set.

    Parameters
    ----------
    config : TrainConfig
    texts : iterable of str
        "key=value" with the value as in TOML; texts need no quotes. Keys of tables have a dot.

    Examples
    --------
    >>> override(TrainConfig(), ["rule.pairs=2", "network.hidden=[256]", "chip=loihi2"]).network.hidden
    (256,)
    """
    values: dict[str, Any] = {}
    for given in texts:
        key, equals, text = given.partition("=")
        if not equals:
            raise ConfigError(f"--set: {given!r} has no '='; write key=value, for instance epochs=5")
        values[key.strip()] = _parse(key.strip(), text.strip())
    return _with_values(config, values, "--set")


def assignments(config: TrainConfig) -> list[str]:
    """Return the "key=value" that `override` needs to make a configuration from the defaults.

    Examples
    --------
    >>> assignments(TrainConfig(seed=3, rule=RuleConfig(pairs=2)))
    ['seed=3', 'rule.pairs=2']
    """
    values = {key: (_get(config, key), default) for key, default in _defaults().items()}
    return [
        f"{key}={value if isinstance(value, str) else toml_value(value)}"
        for key, (value, default) in values.items()
        if value != default
    ]


def example_toml() -> str:
    """Return a commented TOML file with every key at its default."""
    lines = ["# Configuration of a training run. Every key may be left out; the values here are the defaults.", ""]
    lines += _example_lines(TrainConfig())
    for name in _TABLES:
        lines += [f"[{name}]", *_example_lines(getattr(TrainConfig(), name))]
    return "\n".join(lines).rstrip() + "\n"


def all_keys() -> dict[str, Key]:
    """Return every key of the configuration, those of tables with a dot."""
    keys = {each.name: each.metadata["key"] for each in keyed_fields(TrainConfig)}
    for name, table in _TABLES.items():
        keys |= {f"{name}.{each.name}": each.metadata["key"] for each in keyed_fields(table)}
    return keys


def _example_lines(config: _AnyConfig) -> list[str]:
    lines = []
    for each in keyed_fields(config):
        about: Key = each.metadata["key"]
        comment = about.text + (f" ({about.limits})" if about.limits else "")
        lines += textwrap.wrap(comment, LINE, initial_indent="# ", subsequent_indent="#   ")
        lines += [f"{each.name} = {toml_value(getattr(config, each.name))}", ""]
    return lines


def _parse(key: str, text: str) -> Any:
    """Read the value of an assignment: TOML, or the text itself for keys that hold texts."""
    default = _defaults().get(key)
    if isinstance(default, str) and not text.startswith(('"', "'")):
        return text
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text  # of the wrong type for its key, which the check says
    return parsed["value"] if set(parsed) == {"value"} else text


def _defaults() -> dict[str, Any]:
    config = TrainConfig()
    return {key: _get(config, key) for key in all_keys()}


def _get(config: TrainConfig, key: str) -> Any:
    found: Any = config
    for part in key.split("."):
        found = getattr(found, part)
    return found


def _with_values(config: TrainConfig, values: Mapping[str, Any], where: str) -> TrainConfig:
    """Return a copy with the keys set, after checking that each exists."""
    own: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {name: {} for name in _TABLES}
    known = all_keys()
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}; {_hint(key, tuple(known))}")
        table, dot, name = key.rpartition(".")
        (inner[table] if dot else own)[name] = value
    try:
        own |= {name: replace(getattr(config, name), **found) for name, found in inner.items()}
        return replace(config, **own)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _hint(key: str, known: tuple[str, ...]) -> str:
    if key in _TABLES:
        return f"it is a table, set one of its keys: {', '.join(k for k in known if k.startswith(key + '.'))}"
    close = difflib.get_close_matches(key, known, 1)
    if not close:  # the right name in the wrong table, or without one
        close = [k for k in known if k.rpartition(".")[2] == key.rpartition(".")[2]][:1]
    return f"did you mean {close[0]!r}?" if close else f"keys are {', '.join(known)}"
