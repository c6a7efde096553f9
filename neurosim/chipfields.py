"""What a chip file says of each quantity, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping as Table
from itertools import pairwise
from typing import Any, NamedTuple

from neurosim.errors import ChipError
from neurosim.sourced import Constant, check_entry

#: How well a value of a chip file is known.
CHIP_KINDS = {
    "published": "stated by the maker or in a paper that was read",
    "second hand": "taken from a text that quotes the primary source",
    "source code": "read in the code of a tool for this chip",
    "inferred": "follows from other published values",
    "assumed": "nobody published it; the source says what was taken instead",
    "unknown": "not public; the value is None and nothing is checked",
    "unlimited": "there is no such limit; the value is None and nothing is checked",
}
NO_VALUE = ("unknown", "unlimited")  # kinds whose value is None

#: How a chip lets neurons of a convolution share stored synapses; `Chip.shared_synapses`.
SHARING = ("none", "shifted", "kernel")
#: How potentials and currents decay; `Chip.decay_forms`.
DECAYS = ("factor", "shift", "none")
#: How sizes of a kernel and of its neurons are rounded up in memory; `Chip.address_padding`.
PADDING = ("none", "power_of_two")

LARGEST = 1 << 40  # of any number: sums over all cores stay within 64 bits
MAX_BITS = 1 << 7  # of a number: powers of two are made of it
MAX_CORES = 1 << 20  # tables with an entry for each core and tile are made; the largest machine has 1,036,800 cores


class Field(NamedTuple):
    """What a chip file may say about one quantity."""

    form: str = "count"  # "pair", "widths" (ascending), "cores" (a count for each), "names", "choice" or "choices"
    minimum: int = 1
    required: bool = False  # must be a number: unknown and unlimited are refused
    later: bool = False  # files of earlier versions do not have it, and it may be left out: unknown
    choices: tuple[str, ...] = ()
    maximum: int = LARGEST


#: The quantities of a chip, in the order in which they are shown.
FIELDS = {
    "n_cores": Field(required=True),
    "mesh": Field("pair", required=True),
    "cores_per_tile": Field(required=True),
    "compartments_per_core": Field(),
    "compartments_by_core": Field("cores", later=True),
    "synapse_memory_bits_per_core": Field(),
    "synapse_memory_bits_by_core": Field("cores", later=True),
    "axons_in_per_core": Field(),
    "axons_out_per_core": Field(),
    "compartment_configs_per_core": Field(),
    "threshold_configs_per_core": Field(),
    "synapse_formats_per_core": Field(),
    "groups_per_core": Field(later=True),
    "cores_per_group": Field(later=True),
    "inputs_max": Field(minimum=0, later=True),
    "fan_in_max": Field(later=True),
    "fan_out_max": Field(later=True),
    "target_cores_max": Field(later=True),
    "weight_bits_max": Field(maximum=MAX_BITS),
    "weight_levels_per_neuron": Field(later=True),
    "state_bits": Field(maximum=MAX_BITS),
    "state_fraction_bits": Field(minimum=0, later=True, maximum=MAX_BITS),
    "decay_forms": Field("choices", later=True, choices=DECAYS),
    "delay_max": Field(minimum=0),
    "delay_levels_per_neuron": Field(later=True),
    "tag_bits": Field(minimum=0, maximum=MAX_BITS),
    "synapse_word_bits": Field(required=True),
    "synapse_header_bits": Field(minimum=0, required=True),
    "synapses_per_chunk": Field(required=True),
    "weight_formats": Field("widths", maximum=MAX_BITS),
    "index_formats": Field("widths", maximum=MAX_BITS),
    "delay_bits": Field(minimum=0, later=True, maximum=MAX_BITS),
    "bits_per_synapse": Field(later=True),
    "axon_row_bits": Field(later=True),
    "shared_synapses": Field("choice", later=True, choices=SHARING),
    "address_padding": Field("choice", later=True, choices=PADDING),
    "neuron_models": Field("names", later=True),
    "message_bits": Field(minimum=0, later=True, maximum=MAX_BITS),
    "trace_bits": Field(minimum=0, later=True, maximum=MAX_BITS),
    "pre_traces": Field(minimum=0, later=True),
    "post_traces": Field(minimum=0, later=True),
    "learning_accumulator_bits": Field(minimum=0, later=True, maximum=MAX_BITS),
    "embedded_processors": Field(minimum=0, later=True),
}

_LISTS = {
    "pair": "[width, height]",
    "cores": "a list with a number for each core",
    "widths": "a list of widths",
}


def read_field(chip: str, name: str, entry: Any) -> Constant:
    """Return the value of a quantity with unit, source and kind, or say what is wrong with it.

    Parameters
    ----------
    chip : str
        Named in errors.
    name : str
        One of `FIELDS`.
    entry : dict
        ``value``, ``unit``, ``source`` and ``kind``.

    Raises
    ------
    ChipError
        If a key is missing or unknown, or the value is not of the form or below the smallest one.
    """
    where, rule = f"{chip}: {name}", FIELDS[name]
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
    return Constant(_read_value(where, value, rule), entry["unit"], entry["source"], kind)


def _read_value(where: str, value: Any, rule: Field) -> int | str | tuple[int, ...] | tuple[str, ...]:
    if rule.form == "count":
        return _integer(where, value, rule)
    if rule.form == "choice":
        if value not in rule.choices:
            raise ChipError(f"{where}: value {value!r} is not known; choose one of {', '.join(rule.choices)}")
        return str(value)
    if rule.form in ("names", "choices"):
        if not isinstance(value, (list, tuple)) or not value or not all(isinstance(name, str) for name in value):
            raise ChipError(f"{where}: value {value!r} is not a list of names; write it as a list of texts")
        for name in value:
            if rule.choices and name not in rule.choices:
                raise ChipError(f"{where}: value {name!r} is not known; choose from {', '.join(rule.choices)}")
        return tuple(value)
    if not isinstance(value, (list, tuple)) or not value or (rule.form == "pair" and len(value) != 2):
        raise ChipError(f"{where}: value {value!r} is not {_LISTS[rule.form]}; write it as a list of integers")
    numbers = tuple(_integer(where, number, rule) for number in value)
    if rule.form == "widths" and any(a >= b for a, b in pairwise(numbers)):
        raise ChipError(f"{where}: value {value!r} does not rise; list the widths in ascending order")
    return numbers


def _integer(where: str, value: Any, rule: Field) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ChipError(f'{where}: value {value!r} is not an integer; give one, or "unknown"')
    if value < rule.minimum:
        raise ChipError(f'{where}: value {value} is below {rule.minimum}; give a larger one, or "unknown"')
    if value > rule.maximum:
        raise ChipError(
            f'{where}: value {value} exceeds the limit of {rule.maximum}; give a smaller one, or "unlimited"'
        )
    return value


def check_together(where: str, values: Table[str, Any]) -> None:
    """Refuse quantities that contradict each other: too many cores for the mesh, lists that do not fit the cores."""
    width, height = values["mesh"]
    n_cores, per_tile = values["n_cores"], values["cores_per_tile"]
    for what, found in (("n_cores", n_cores), ("mesh", width * height)):
        if found > MAX_CORES:
            raise ChipError(f"{where}: {what} {found} exceeds the limit of {MAX_CORES}; describe a smaller chip")
    if n_cores > width * height * per_tile:
        raise ChipError(
            f"{where}: n_cores {n_cores} exceeds {width} x {height} tiles of {per_tile} cores; "
            "enlarge mesh or cores_per_tile"
        )
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
