"""A chip as data: cores, mesh, capacities and bit widths, each with its source."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

from neurosim.errors import ChipError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT = 1  # of chip files; a reader refuses any other number

#: Chips that ship with neurosim, in `data/chips`.
PRESETS = ("loihi1", "loihi2", "unlimited")

#: How well a value of a chip file is known.
CHIP_KINDS = {
    "published": "stated by the maker or in a paper that was read",
    "second hand": "taken from a text that quotes the primary source",
    "source code": "read in the code of a tool for this chip",
    "inferred": "follows from other published values",
    "assumed": "nobody published it; the source says what was taken instead",
    "unknown": "not public; the value is None and nothing is checked",
    "unlimited": "no limit on purpose; the value is None and nothing is checked",
}
NO_VALUE = ("unknown", "unlimited")  # kinds whose value is None


class Constant(NamedTuple):
    """A value with its unit, where it comes from, and how well it is known."""

    value: int | float | str | tuple[int, ...] | tuple[str, ...] | None
    unit: str
    source: str
    kind: str


class _Field(NamedTuple):
    """What a chip file may say about one quantity."""

    form: str  # "count", "pair", "widths", "names", "cores" (a count for each core) or "sharing"
    minimum: int
    required: bool  # must be a number: unknown and unlimited are refused


_FIELDS = {
    "n_cores": _Field("count", 1, True),
    "mesh": _Field("pair", 1, True),
    "cores_per_tile": _Field("count", 1, True),
    "compartments_per_core": _Field("count", 1, False),
    "synapse_memory_bits_per_core": _Field("count", 1, False),
    "axons_in_per_core": _Field("count", 1, False),
    "axons_out_per_core": _Field("count", 1, False),
    "compartment_configs_per_core": _Field("count", 1, False),
    "threshold_configs_per_core": _Field("count", 1, False),
    "synapse_formats_per_core": _Field("count", 1, False),
    "weight_bits_max": _Field("count", 1, False),
    "state_bits": _Field("count", 1, False),
    "delay_max": _Field("count", 0, False),
    "tag_bits": _Field("count", 0, False),
    "synapse_word_bits": _Field("count", 1, True),
    "synapse_header_bits": _Field("count", 0, True),
    "synapses_per_chunk": _Field("count", 1, True),
    "weight_formats": _Field("widths", 1, False),
    "index_formats": _Field("widths", 1, False),
    "neuron_models": _Field("names", 0, False),
    "message_bits": _Field("count", 0, False),
    "trace_bits": _Field("count", 0, False),
    "pre_traces": _Field("count", 0, False),
    "post_traces": _Field("count", 0, False),
    "learning_accumulator_bits": _Field("count", 0, False),
    "embedded_processors": _Field("count", 0, False),
    "inputs_max": _Field("count", 0, False),
    "fan_in_max": _Field("count", 1, False),
    "fan_out_max": _Field("count", 1, False),
    "target_cores_max": _Field("count", 1, False),
    "weight_levels_per_neuron": _Field("count", 1, False),
    "groups_per_core": _Field("count", 1, False),
    "cores_per_group": _Field("count", 1, False),
    "compartments_by_core": _Field("cores", 1, False),
    "synapse_memory_bits_by_core": _Field("cores", 1, False),
    "shared_synapses": _Field("sharing", 0, False),
}
#: How a chip lets neurons of a convolution share stored synapses; `Chip.shared_synapses`.
SHARING = ("none", "shifted", "kernel")
#: What a learning rule finds on a chip, beside `tag_bits`; read by `neurosim.chipcost`.
_LEARNING = ("trace_bits", "pre_traces", "post_traces", "learning_accumulator_bits", "embedded_processors")
#: Limits that only some kinds of chip have.
_SPECIAL = (
    "inputs_max",
    "fan_in_max",
    "fan_out_max",
    "target_cores_max",
    "weight_levels_per_neuron",
    "groups_per_core",
    "cores_per_group",
    "compartments_by_core",
    "synapse_memory_bits_by_core",
    "shared_synapses",
)
#: Fields that files of earlier versions do not have; they are unknown there.
_LATER = ("neuron_models", "message_bits", *_LEARNING, *_SPECIAL)
_TEXTS = ("name", "title", "notes")
_LISTS = ("cannot", "energy_tables")  # of texts; may be left out


@dataclass(frozen=True)
class Chip:
    """Limits of a chip; None where a limit is unknown or where there is none (`provenance` tells which).

    Parameters
    ----------
    name, title, notes : str
        Name in messages, one line for people, and what the description leaves out.
    n_cores : int
        Cores that may hold neurons.
    mesh : (int, int)
        Width and height in tiles (routers).
    cores_per_tile : int
    compartments_per_core : int or None
        Neurons on a core.
    synapse_memory_bits_per_core : int or None
    axons_in_per_core : int or None
        Distinct presynaptic neurons that a core may listen to.
    axons_out_per_core : int or None
        Sum over the neurons of a core of the number of cores they send to.
    compartment_configs_per_core, threshold_configs_per_core, synapse_formats_per_core : int or None
        Different (du, dv), different vth and different synapse formats that a core may hold.
    weight_bits_max : int or None
        Bits stored for a weight.
    state_bits : int or None
        Bits of u and v, sign included.
    delay_max : int or None
        In steps, beyond the one step that every spike takes.
    tag_bits : int or None
        Bits beside a weight that learning may use.
    synapse_word_bits, synapse_header_bits, synapses_per_chunk : int
        Synapses of an axon are stored in chunks of at most `synapses_per_chunk`; a chunk costs
        `synapse_header_bits` more and is rounded up to `synapse_word_bits`.
    weight_formats, index_formats : tuple of int or None
        Widths in which weights and target indices can be stored, ascending; None stores the exact width.
    neuron_models : tuple of str or None
        Features of the neuron models that the chip has (`neurosim.neurons.MODEL_FEATURES`).
    message_bits : int or None
        Bits of the value of a spike; 0: spikes have none.
    trace_bits, pre_traces, post_traces : int or None
        Bits of a trace, and how many traces learning has for each presynaptic and each postsynaptic neuron.
    learning_accumulator_bits : int or None
        Bits of what learning adds to a weight, sign included.
    embedded_processors : int or None
        Ordinary processors on the chip, for what cores cannot do.
    inputs_max : int or None
        Input lines that may enter the chip.
    fan_in_max, fan_out_max : int or None
        Synapses that a neuron may receive and send.
    target_cores_max : int or None
        Cores that a neuron may send to.
    weight_levels_per_neuron : int or None
        Different weights, zero apart, among the synapses of a neuron (TrueNorth: one for each of four types of axon).
    groups_per_core, cores_per_group : int or None
        Groups that a core may hold, and cores over which a group may be spread (Speck: 1 and 1, a layer is a core).
    compartments_by_core, synapse_memory_bits_by_core : tuple of int or None
        Capacities of chips whose cores differ, one entry for each core; None: all are as `compartments_per_core` and
        `synapse_memory_bits_per_core` say, which hold the largest otherwise.
    shared_synapses : {"none", "shifted", "kernel"} or None
        What a core stores of a convolution: each synapse; one list for all sources whose targets are equal up to a
        shift; its kernel. None, where it is not known, is taken as "none".
    cannot : tuple of str
        What the chip cannot do, for people.
    energy_tables : tuple of str
        Tables of prices made for this chip (`neurosim.energy`), the first one to be used by default.
    provenance : dict of str to Constant
        Value, unit, source and kind of each quantity above.
    """

    name: str
    title: str
    notes: str
    n_cores: int
    mesh: tuple[int, int]
    cores_per_tile: int
    compartments_per_core: int | None
    synapse_memory_bits_per_core: int | None
    axons_in_per_core: int | None
    axons_out_per_core: int | None
    compartment_configs_per_core: int | None
    threshold_configs_per_core: int | None
    synapse_formats_per_core: int | None
    weight_bits_max: int | None
    state_bits: int | None
    delay_max: int | None
    tag_bits: int | None
    synapse_word_bits: int
    synapse_header_bits: int
    synapses_per_chunk: int
    weight_formats: tuple[int, ...] | None
    index_formats: tuple[int, ...] | None
    provenance: dict[str, Constant] = field(hash=False, repr=False)
    neuron_models: tuple[str, ...] | None = None
    message_bits: int | None = None
    trace_bits: int | None = None
    pre_traces: int | None = None
    post_traces: int | None = None
    learning_accumulator_bits: int | None = None
    embedded_processors: int | None = None
    inputs_max: int | None = None
    fan_in_max: int | None = None
    fan_out_max: int | None = None
    target_cores_max: int | None = None
    weight_levels_per_neuron: int | None = None
    groups_per_core: int | None = None
    cores_per_group: int | None = None
    compartments_by_core: tuple[int, ...] | None = None
    synapse_memory_bits_by_core: tuple[int, ...] | None = None
    shared_synapses: str | None = None
    cannot: tuple[str, ...] = ()
    energy_tables: tuple[str, ...] = ()

    @property
    def n_tiles(self) -> int:
        """Tiles of the mesh."""
        return self.mesh[0] * self.mesh[1]

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads, in types that JSON can hold; unknown values are named as such."""
        texts: dict[str, Any] = {"format": FORMAT, "name": self.name, "title": self.title, "notes": self.notes}
        texts |= {key: list(getattr(self, key)) for key in _LISTS if getattr(self, key)}
        return texts | {name: _entry(constant) for name, constant in self.provenance.items()}

    @classmethod
    def from_dict(cls, data: Table[str, Any], where: str = "chip description") -> Chip:
        """Make a chip from the content of a chip file, or say what is wrong with it.

        Parameters
        ----------
        data : mapping
            Content of a chip file or the result of `to_dict`.
        where : str
            Named in errors.
        """
        known = tuple(name for name in _FIELDS if name not in _LATER)
        check_keys(where, data, ("format", *_TEXTS, *known), (*_LATER, *_LISTS))
        check_format(where, data["format"], FORMAT)
        for key in _TEXTS:
            if not isinstance(data[key], str) or (key == "name" and not data[key]):
                raise ChipError(f"{where}: {key} {data[key]!r} is not a text; write it in quotes")
        provenance = {
            name: _read_field(where, name, data[name], rule) for name, rule in _FIELDS.items() if name in data
        }
        values = {name: constant.value for name, constant in provenance.items()}
        width, height = cast("tuple[int, int]", values["mesh"])
        n_cores, per_tile = cast("int", values["n_cores"]), cast("int", values["cores_per_tile"])
        if n_cores > width * height * per_tile:
            raise ChipError(
                f"{where}: n_cores {n_cores} exceeds {width} x {height} tiles of {per_tile} cores; "
                "enlarge mesh or cores_per_tile"
            )
        _check_by_core(where, values, n_cores)
        texts = {key: data[key] for key in _TEXTS} | {key: _texts(where, key, data) for key in _LISTS}
        return cls(**texts, **cast("dict[str, Any]", values), provenance=provenance)


def chip_names() -> tuple[str, ...]:
    """Return the names of the chips that ship with neurosim."""
    return PRESETS


def load_chip(name_or_path: str | Path) -> Chip:
    """Return a chip that ships with neurosim, or the chip of a file.

    Parameters
    ----------
    name_or_path : str or Path
        One of `chip_names`, or the path of a chip file; a path ends in ".toml".

    Examples
    --------
    >>> load_chip("loihi1").n_cores
    128
    """
    path = find_preset("chip", name_or_path, PRESETS, "chips")
    return Chip.from_dict(read_toml("chip", path), f"chip file '{path.name}'")


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
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ChipError(f"{what} file '{path}': cannot be read ({error.strerror}); check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ChipError(f"{what} file '{path}': not a TOML file ({error}); compare with a preset") from error


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


def _read_field(chip: str, name: str, entry: Any, rule: _Field) -> Constant:
    where = f"{chip}: {name}"
    check_entry(where, entry, tuple(CHIP_KINDS))
    value, kind = entry["value"], entry["kind"]
    if value in NO_VALUE or kind in NO_VALUE:
        if value != kind:
            raise ChipError(f"{where}: value {value!r} and kind {kind!r} disagree; write the same word in both")
        if rule.required:
            raise ChipError(
                f"{where}: {kind} is not possible, mapping needs the number; assume one and say so in its source"
            )
        return Constant(None, entry["unit"], entry["source"], kind)
    if rule.form == "count":
        return Constant(_integer(where, value, rule.minimum), entry["unit"], entry["source"], kind)
    if rule.form == "names":
        if not isinstance(value, (list, tuple)) or not value or not all(isinstance(name, str) for name in value):
            raise ChipError(f"{where}: value {value!r} is not a list of names; write it as a list of texts")
        return Constant(tuple(value), entry["unit"], entry["source"], kind)
    if rule.form == "sharing":
        if value not in SHARING:
            raise ChipError(f"{where}: value {value!r} is not known; choose one of {', '.join(SHARING)}")
        return Constant(value, entry["unit"], entry["source"], kind)
    if not isinstance(value, (list, tuple)) or not value or (rule.form == "pair" and len(value) != 2):
        need = {"pair": "[width, height]", "cores": "a list with a number for each core"}.get(
            rule.form, "a list of widths"
        )
        raise ChipError(f"{where}: value {value!r} is not {need}; write it as a list of integers")
    numbers = tuple(_integer(where, number, rule.minimum) for number in value)
    if rule.form == "widths" and any(a >= b for a, b in pairwise(numbers)):
        raise ChipError(f"{where}: value {value!r} does not rise; list the widths in ascending order")
    return Constant(numbers, entry["unit"], entry["source"], kind)


def _check_by_core(where: str, values: Table[str, Any], n_cores: int) -> None:
    """Refuse lists of capacities that do not fit the number of cores or what is said of the largest core."""
    for name in ("compartments", "synapse_memory_bits"):
        listed, largest = values.get(f"{name}_by_core"), values[f"{name}_per_core"]
        if listed is None:
            continue
        if len(listed) != n_cores:
            raise ChipError(
                f"{where}: {name}_by_core has {len(listed)} numbers, n_cores is {n_cores}; give one for each core"
            )
        if largest != max(listed):
            raise ChipError(
                f"{where}: {name}_per_core is {largest}, the largest of {name}_by_core {max(listed)}; make them equal"
            )


def _texts(where: str, key: str, data: Table[str, Any]) -> tuple[str, ...]:
    texts = data.get(key, [])
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) and text for text in texts):
        raise ChipError(f"{where}: {key} {texts!r} is not a list of texts; write each in quotes")
    return tuple(texts)


def _integer(where: str, value: Any, minimum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ChipError(f'{where}: value {value!r} is not an integer; give one, or "unknown"')
    if value < minimum:
        raise ChipError(f'{where}: value {value} is below {minimum}; give a larger one, or "unknown"')
    return value


def _entry(constant: Constant) -> dict[str, Any]:
    value: Any = constant.kind if constant.value is None else constant.value
    return constant._asdict() | {"value": list(value) if isinstance(value, tuple) else value}
