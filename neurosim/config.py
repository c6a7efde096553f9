"""The configuration of a training run: every key with its default, unit, range and meaning, checked once."""

from __future__ import annotations

import difflib
import math
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from neurosim.codes import FIT_TRACE
from neurosim.configkeys import Key, check_fields, keyed_fields, toml_value, with_key
from neurosim.directconfig import DirectConfig
from neurosim.errors import ConfigError, one_line
from neurosim.faultconfig import FaultConfig
from neurosim.goals import FITNESS, READS, RESPONSES
from neurosim.groups import CUBA_MODELS
from neurosim.learnplan import FACTORS, FORMS, UPDATES
from neurosim.stepsize import SCHEDULES
from neurosim.tomlfile import read_toml_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LINE = 110  # of the example file
CONVOLUTION = r"(\d{1,4})c(\d{1,2})(?:s(\d{1,2}))?(?:p(\d{1,2}))?"  # channels, kernel, stride, padding
POOLING = r"p(\d{1,2})(?:s(\d{1,2}))?"  # window, stride


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
    convolutions: tuple[str, ...] = with_key(
        (),
        Key(
            "Layers of convolution before the hidden layers, each a text: 16c5s2 has 16 channels, kernels of 5 x 5, a stride of 2 "
            "(1 if left out); p1 at the end pads by 1. p2 alone pools windows of 2 x 2, side by side (p3s2: a stride of 2), with fixed "
            "weights: a spike where any of them has one; the sign of their sum with ternary neurons, their mean with multispike ones "
            "that send more than a spike. They need a task whose inputs are pictures.",
            max_length=16,
            pattern=f"{CONVOLUTION}|{POOLING}",
        ),
    )
    recurrent: bool = with_key(False, Key("Neurons of each hidden layer also hear each other, by weights that learn."))
    neuron: str = with_key(
        "lif",
        Key(
            "Model of the hidden neurons. ternary and multispike send messages with values, which chip loihi1 does not have.",
            choices=tuple(CUBA_MODELS),
        ),
    )
    max_spikes: int = with_key(
        15,
        Key(
            "Neuron multispike: the most spikes in one step, sent as one message; 1 without signs is LIF with a soft reset.",
            1,
            127,
        ),
    )
    signed: bool = with_key(
        False,
        Key(
            "Neuron multispike: spikes below the negative threshold are sent as well, as negative messages; such neurons are nearly linear."
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
    rate: float = with_key(
        0.0,
        Key(
            "Spikes per step and hidden neuron at the start: each hidden layer gets a gain with which it fires about so often on the "
            "first training samples, which deeper layers need; 0: gain for all.",
            0.0, 1.0,
        ),
    )  # fmt: skip
    weight_bits: int = with_key(8, Key("Bits of a weight on the chip, sign included.", 2, 8))
    readout_threshold: float = with_key(
        0.0,
        Key(
            "Firing threshold of the readout, in the same units; 0: it integrates only. rule.fitness count and first-spike "
            "need one.",
            0.0, 1e6,
        ),
    )  # fmt: skip
    readout_tau: float = with_key(0.0, Key("Membrane time constant of the readout; 0: no leak.", 0.0, 100.0, unit="s"))
    dt: float = with_key(
        1e-3,
        Key("Length of a time step; only its ratio to the time constants matters.", 0, 1.0, unit="s", positive=True),
    )

    def __post_init__(self) -> None:
        if self.weight_bits == 1:
            raise ConfigError(
                "network.weight_bits: 1 is out of range; a weight of one bit and both signs is -256 or 0, which cannot excite, "
                "give one in 2..8"
            )
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
    readout_perturbation: float = with_key(
        0.03125,
        Key("Form scalar: size of a readout's perturbation per step, in octaves of probability.", 1 / 256, 64.0),
    )
    step: float = with_key(
        0.5,
        Key(
            "Typical weight change at the start, in 8-bit weight steps (1/256 of the range); with significance or momentum, of "
            "each weight that moves.",
            1 / 256,
            64.0,
        ),
    )
    row_step: bool = with_key(
        True,
        Key(
            "Measure the votes of each presynaptic neuron against their own root mean square, so that rare inputs learn as "
            "fast as frequent ones; false: one step for all. Significance and momentum have one step in any case."
        ),
    )
    update: str = with_key(
        "rounding",
        Key(
            "How votes move weights. rounding: in proportion, rounded by chance; significance: by one step where a vote is "
            "larger than chance makes it.",
            choices=tuple(UPDATES),
        ),
    )
    chance: float = with_key(
        1.0,
        Key(
            "With significance, the share of weights that chance alone moves in the first generation; it falls as "
            "1 / (0.015 generation + 1).",
            2.0**-20, 1.0,
        ),
    )  # fmt: skip
    momentum: int = with_key(
        0,
        Key(
            "Weights move by one step in the direction of their votes averaged over about 2**momentum generations; "
            "0: in proportion to each generation's votes.",
            0, 12,
        ),
    )  # fmt: skip
    schedule: str = with_key("linear", Key("How the step falls over the run.", choices=SCHEDULES))
    halvings: int = with_key(
        4, Key("With schedule halving, how often the step is halved, in equal parts of the run.", 0, 8)
    )
    biases: bool = with_key(
        False,
        Key(
            "Learn a bias for each neuron as well, in units of the weights; a synapse from a source that always fires."
        ),
    )
    thresholds: bool = with_key(
        False, Key("Learn a threshold for each hidden neuron as well, in units of the weights.")
    )
    fitness: str = with_key(
        "likelihood",
        Key(
            "What is good. likelihood, count, first-spike: the log-probability of the label, from the readout's voltages, its spike "
            "counts, or the steps left after its first spikes; trace: minus the squared distance of its voltages from targets; "
            "function: one of your own (the last two with form scalar, from Python).",
            choices=tuple(FITNESS),
        ),
    )
    rate_cost: float = with_key(
        0.0,
        Key(
            "Fitness lost for each spike of every hidden neuron beyond the target rate, in bits; form response: taken off the "
            "local votes, in units of the readout's error.",
            0.0, 64.0,
        ),
    )  # fmt: skip
    rate_target: float = with_key(0.1, Key("Target rate of hidden neurons, in spikes per step.", 0.0, 1.0))
    balance_cost: float = with_key(
        0.0,
        Key(
            "Fitness lost where positive and negative voltages of the hidden neurons differ as much as at the start, in bits; only "
            "with form scalar.",
            0.0, 64.0,
        ),
    )  # fmt: skip
    window_labels: bool = with_key(
        True,
        Key("With rank above 1, learn one answer for each window of time where the task has a label for each step."),
    )
    window_response: str = with_key(
        "shared",
        Key(
            "With an answer for each window: windows share a response for each distance from cause to effect, or each window has its "
            "own, to what happens within it.",
            choices=tuple(RESPONSES),
        ),
    )
    window_read: str = with_key(
        "since",
        Key(
            "With an answer for each window: read what the readout got since the window began, or its voltage at the end of the window "
            "(for one that leaks).",
            choices=READS,
        ),
    )
    memory: int = with_key(5, Key("The response is averaged over about 2**memory generations.", 0, 30))
    warmup: int = with_key(16, Key("Generations measured before weights move.", 0, 1_000_000))

    @property
    def tag_bits(self) -> int:
        """What learning keeps beside each weight: its residual and, with momentum, the average of its votes in 16 bits."""
        return self.residual_bits + (16 if self.momentum else 0)

    @property
    def learns_neurons(self) -> bool:
        """Whether neurons learn parameters of their own, beside their weights."""
        return self.biases or self.thresholds

    def __post_init__(self) -> None:
        check_fields(self, "rule.")
        if self.form == "response" and self.factor != "trace":
            raise ConfigError(
                f"rule.factor: {self.factor!r} does not go with rule.form 'response', which needs 'trace'; "
                "change one of them"
            )
        if self.update == "significance" and (self.momentum or self.factor.startswith("full")):
            other, value = ("momentum", self.momentum) if self.momentum else ("factor", self.factor)
            raise ConfigError(
                f"rule.update: 'significance' does not go with rule.{other} {value!r}; change one of them"
            )
        if self.form == "response" and self.balance_cost:
            raise ConfigError(
                f"rule.balance_cost: {self.balance_cost} is taken off a fitness, which rule.form 'response' does not compare; "
                "set rule.form to 'scalar', or balance_cost to 0"
            )
        if self.form == "response" and FITNESS[self.fitness] >= FIT_TRACE:
            raise ConfigError(
                f"rule.fitness: {self.fitness!r} has no error for each readout, which rule.form 'response' needs; "
                "set rule.form to 'scalar'"
            )


MODES = ("batch", "stream")
METHODS = ("on-chip", "direct")


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run; keys as in `example_toml`."""

    task: str = with_key("digits", Key("What to learn: the name of a task."))
    augment: bool = with_key(
        True, Key("Learn from changed copies of the training samples as well, as the task makes them.")
    )
    seed: int = with_key(1, Key("Everything random follows from it.", 0, (1 << 63) - 1))
    method: str = with_key(
        "on-chip",
        Key(
            "on-chip: by the rule in [rule], which a chip could run; direct: by gradients off the chip, as [direct] says, and then "
            "onto it (needs torch).",
            choices=METHODS,
        ),
    )
    mode: str = with_key(
        "batch",
        Key(
            "batch: the votes of a batch move the weights together; stream: they move after every sample, nothing is stored "
            "from one sample to the next, and settings are translated from those of a batch.",
            choices=MODES,
        ),
    )
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
    direct: DirectConfig = field(default_factory=DirectConfig)
    faults: FaultConfig = field(default_factory=FaultConfig)

    def __post_init__(self) -> None:
        check_fields(self, "")
        for name, kind in _TABLES.items():
            if not isinstance(getattr(self, name), kind):
                raise ConfigError(f"{name}: {getattr(self, name)!r} is not a {kind.__name__}; make one")
        fires, reads_spikes = self.network.readout_threshold > 0, self.rule.fitness in ("count", "first-spike")
        if reads_spikes and not fires:
            raise ConfigError(
                f"rule.fitness: {self.rule.fitness!r} reads spikes, and a readout with network.readout_threshold 0 never fires; "
                "set the threshold, for instance to 1"
            )
        if fires and not reads_spikes and self.rule.fitness != "function":
            raise ConfigError(
                f"network.readout_threshold: {self.network.readout_threshold} lets the readout fire and start again from 0, and "
                f"rule.fitness {self.rule.fitness!r} reads its voltages; set 0, or rule.fitness to 'count'"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration in types that JSON and TOML can hold; `from_dict` gives back an equal one."""
        data = asdict(self)
        for name in ("hidden", "convolutions"):
            data["network"][name] = list(data["network"][name])
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


def as_stream(config: TrainConfig) -> TrainConfig:
    """Return the settings of a run that learns after every sample, from those of one that learns from batches.

    Everything counted in generations is counted in samples; the response and the mean squares of rows are averaged over
    as many samples as before; the step is divided by the root of the batch, as votes of single samples do not average out.
    Settings of a batch of one sample stay as they are.
    """
    size = config.batch
    rule = replace(
        config.rule,
        memory=min(30, config.rule.memory + size.bit_length() - 1),
        step=max(1 / 256, config.rule.step / math.isqrt(size)),
    )
    return replace(
        config, batch=1, rule=rule, evaluate_every=config.evaluate_every * size, checkpoint_every=config.checkpoint_every * size,
    )  # fmt: skip


_TABLES: dict[str, type[NetworkConfig | RuleConfig | DirectConfig | FaultConfig]] = {
    "network": NetworkConfig, "rule": RuleConfig, "direct": DirectConfig, "faults": FaultConfig,
}  # fmt: skip
_AnyConfig = NetworkConfig | RuleConfig | DirectConfig | FaultConfig | TrainConfig


def load_config(path: str | os.PathLike[str]) -> TrainConfig:
    """Read a configuration from a TOML file; keys that are missing keep their defaults.

    Raises
    ------
    ConfigError
        If the file cannot be read, or with the key, the value and the limits of what is wrong in it.
    """
    where = f"configuration {os.fspath(path)!r}"
    try:
        data = read_toml_file(path)
    except OSError as error:
        raise ConfigError(
            f"{where}: cannot be read ({error.strerror}); check the path, or begin with: neurosim train --example"
        ) from error
    except ValueError as error:
        raise ConfigError(
            one_line(f"{where}: not a TOML file ({error}); compare with: neurosim train --example")
        ) from error
    try:
        return TrainConfig.from_dict(data, where)
    except ConfigError as error:
        raise ConfigError(one_line(str(error))) from error


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
        lines += textwrap.wrap(comment, LINE, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
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
