"""A chip as data: cores, mesh, capacities and bit widths, each with its source."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from neurosim.chipfields import CHIP_KINDS as CHIP_KINDS
from neurosim.chipfields import FIELDS, check_together, read_field
from neurosim.chipfields import SHARING as SHARING
from neurosim.errors import ChipError
from neurosim.sourced import Constant as Constant
from neurosim.sourced import check_format, check_keys, find_preset, read_described, read_texts

FORMAT = 1  # of chip files; a reader refuses any other number

#: Chips that ship with neurosim, in `data/chips`.
PRESETS = (
    "loihi1",
    "loihi2",
    "truenorth",
    "spinnaker1",
    "spinnaker2",
    "xylo-audio-2",
    "speck",
    "cpu-45nm",
    "unlimited",
)

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
    state_fraction_bits : int or None
        Those of them below one unit of weight. None: 6.
    decay_forms : tuple of {"factor", "shift", "none"} or None
        How u and v decay: by any factor; by ``2**-k`` in a step (du + 1 and dv are powers of two; the chip adds 1 to du), or all
        of v at once (dv 4095); not at all, and u lasts one step (du 4095, dv 0).
    delay_max : int or None
        In steps, beyond the one step that every spike takes; 0: synapses have no delays.
    tag_bits : int or None
        Bits beside a weight that learning may use.
    synapse_word_bits, synapse_header_bits, synapses_per_chunk : int
        Synapses of an axon are stored in chunks of at most `synapses_per_chunk`; a chunk costs
        `synapse_header_bits` more and is rounded up to `synapse_word_bits`.
    weight_formats, index_formats : tuple of int or None
        Widths in which weights and target indices can be stored, ascending; None stores the exact width.
    delay_bits : int or None
        Bits that a synapse of a connection with delays takes for its delay; 0: none. None: 6.
    bits_per_synapse : int or None
        The whole stored synapse where it has one size, whatever its weight, index, delay and residual are.
    axon_row_bits : int or None
        Bits that an axon takes on a core of a crossbar, whatever its synapses: it has a row there. The memory of such a core is
        that of its rows, and nothing is stored for a synapse.
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
        Synapses that a neuron may receive, input lines included, and send.
    target_cores_max : int or None
        Cores that a neuron may send to.
    weight_levels_per_neuron : int or None
        Different weights, zero apart, among the synapses that a neuron receives (TrueNorth: one for each of four types of
        axon).
    delay_levels_per_neuron : int or None
        Different delays among the synapses that a neuron sends (TrueNorth: one, the delay belongs to the neuron).
    groups_per_core, cores_per_group : int or None
        Groups that a core may hold, and cores over which a group may be spread (Speck: 1 and 1, a layer is a core).
    compartments_by_core, synapse_memory_bits_by_core : tuple of int or None
        Capacities of chips whose cores differ, one entry for each core; None: all are as `compartments_per_core` and
        `synapse_memory_bits_per_core` say, which hold the largest otherwise.
    shared_synapses : {"none", "shifted", "kernel"} or None
        What a core stores of a convolution: each synapse; one list for all sources whose targets are equal up to a
        shift; its kernel. None, where it is not known, is taken as "none".
    address_padding : {"none", "power_of_two"} or None
        How a chip that stores kernels rounds up: number of weights of a kernel's area, output channels, width and height of
        what it computes. None is taken as "none".
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
    delay_bits: int | None = None
    bits_per_synapse: int | None = None
    axon_row_bits: int | None = None
    delay_levels_per_neuron: int | None = None
    state_fraction_bits: int | None = None
    decay_forms: tuple[str, ...] | None = None
    address_padding: str | None = None
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
        known = tuple(name for name, rule in FIELDS.items() if not rule.later)
        later = tuple(name for name, rule in FIELDS.items() if rule.later)
        check_keys(where, data, ("format", *_TEXTS, *known), (*later, *_LISTS))
        check_format(where, data["format"], FORMAT)
        for key in _TEXTS:
            if not isinstance(data[key], str) or (key == "name" and not data[key]):
                raise ChipError(f"{where}: {key} {data[key]!r} is not a text; write it in quotes")
        provenance = {name: read_field(where, name, data[name]) for name in FIELDS if name in data}
        values = {name: constant.value for name, constant in provenance.items()}
        check_together(where, values)
        texts = {key: data[key] for key in _TEXTS} | {key: read_texts(where, key, data) for key in _LISTS}
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
    return read_described("chip", "chip file", path, Chip.from_dict)


def _entry(constant: Constant) -> dict[str, Any]:
    value: Any = constant.kind if constant.value is None else constant.value
    return constant._asdict() | {"value": list(value) if isinstance(value, tuple) else value}
