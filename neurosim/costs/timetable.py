"""Tables of times: how long one operation takes on a device, each constant with unit, source and kind."""

from __future__ import annotations

from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from neurosim.energytable import ENERGY_KINDS, SYNAPTIC_KINDS, synaptic_name
from neurosim.errors import ChipError
from neurosim.sourced import (
    Constant,
    check_entry,
    check_format,
    check_keys,
    check_listed_once,
    check_texts,
    find_preset,
    read_amount,
    read_described,
    read_percent,
    read_reasons,
    read_texts,
)

FORMAT = 1  # of time tables; a reader refuses any other number

#: Tables that ship with neurosim, in `data/time`.
PRESETS = ("loihi1-davies2018", "loihi1-sanafe2026", "loihi2-derived", "spinnaker1-realtime", "truenorth-realtime")

TIME_KINDS = ENERGY_KINDS | {
    "derived": "computed from other figures by published factors; the source says which",
    "design": "set by how the device is run, not a result of the work",
}

#: What may take time, all in ns. Of one core: synapses, neurons, packets sent and received, bits of synapse memory.
#: Of the mesh: a packet's way within a tile, over a link, and how long a packet keeps a link to itself.
TIMES = (
    "synaptic_operations",
    *SYNAPTIC_KINDS,
    "neuron_updates_active",
    "neuron_updates_idle",
    "spikes",
    "messages",
    "messages_local",
    "messages_in",
    "synapse_bits_read",
    "within_tile",
    "hops_east",
    "hops_west",
    "hops_north",
    "hops_south",
    "link_packets",
    "step",  # real-time chips: a step lasts so long, whatever happens in it
)
BETWEEN = ("steps", "linear")  # how a barrier's time follows from the number of tiles


class Barrier(NamedTuple):
    """Time of the barrier that ends a step, by the number of tiles in use."""

    tiles: tuple[int, ...]
    ns: tuple[float, ...]
    between: str
    unit: str
    source: str
    kind: str

    def at(self, n_tiles: int) -> float:
        """Return the time in ns; beyond the ends it is that of the nearest entry.

        Examples
        --------
        >>> barrier = Barrier((1, 5), (100.0, 300.0), "linear", "ns", "made up", "assumed")
        >>> barrier.at(2), barrier._replace(between="steps").at(2), barrier.at(9)
        (150.0, 100.0, 300.0)
        """
        below = max((i for i, n in enumerate(self.tiles) if n <= n_tiles), default=0)
        if self.between == "steps" or below + 1 == len(self.tiles) or n_tiles <= self.tiles[0]:
            return self.ns[below]
        share = (n_tiles - self.tiles[below]) / (self.tiles[below + 1] - self.tiles[below])
        return self.ns[below] + share * (self.ns[below + 1] - self.ns[below])

    def to_dict(self) -> dict[str, Any]:
        """Return it in types that JSON can hold."""
        return self._asdict() | {"tiles": list(self.tiles), "ns": list(self.ns)}


@dataclass(frozen=True)
class TimeTable:
    """Times of operations on one device.

    Parameters
    ----------
    name, title, notes : str
    times : dict of str to Constant
        In ns, for some of `TIMES`.
    barrier : Barrier or None
    unknown : dict of str to str
        Why an operation has no time here, where the table says so.
    not_work : dict of str to str
        Operations that take no time of their own on this device, and why.
    uncertainty : str
        How wrong the time of a step may be.
    uncertainty_percent : float or None
        The same as a number, where somebody measured it.
    not_modelled : tuple of str
        What is left out altogether.
    """

    name: str
    title: str
    notes: str
    times: dict[str, Constant]
    barrier: Barrier | None
    unknown: dict[str, str]
    not_work: dict[str, str]
    uncertainty: str
    uncertainty_percent: float | None
    not_modelled: tuple[str, ...]

    @classmethod
    def from_dict(cls, data: Table[str, Any], where: str = "time table") -> TimeTable:
        """Make a table from the content of a table file, or say what is wrong with it."""
        texts = ("name", "title", "notes", "uncertainty")
        check_keys(
            where,
            data,
            ("format", *texts, "not_modelled"),
            ("time", "barrier", "unknown", "not_work", "uncertainty_percent"),
        )
        check_format(where, data["format"], FORMAT)
        check_texts(where, data, texts)
        not_modelled = read_texts(where, "not_modelled", data)
        percent = read_percent(where, data)
        times = _times(where, data.get("time", {}))
        reasons = {key: read_reasons(where, key, data, (*TIMES, "barrier")) for key in ("unknown", "not_work")}
        check_listed_once(where, data, TIMES, ("time", *reasons))
        barrier = _barrier(where, data["barrier"]) if "barrier" in data else None
        return cls(
            data["name"], data["title"], data["notes"], times, barrier, **reasons, uncertainty=data["uncertainty"],
            uncertainty_percent=percent, not_modelled=not_modelled,
        )  # fmt: skip

    def of(self, name: str) -> float | None:
        """Time of one operation in ns; 0 where it takes none of its own, None where it is not known."""
        if name in self.times:
            value = self.times[name].value
            assert isinstance(value, float)
            return value
        return 0.0 if name in self.not_work else None

    def synaptic_name(self, kind: str) -> str:
        """Return the name under which the table lists synaptic operations of a kind of connection.

        Examples
        --------
        >>> load_time_table("loihi1-sanafe2026").synaptic_name("conv")
        'synaptic_operations_conv'
        >>> load_time_table("loihi1-davies2018").synaptic_name("conv graded")
        'synaptic_operations'
        """
        return synaptic_name(kind, (*self.times, *self.unknown, *self.not_work))


def time_table_names() -> tuple[str, ...]:
    """Return the names of the time tables that ship with neurosim."""
    return PRESETS


def load_time_table(name_or_path: str | Path) -> TimeTable:
    """Return a table that ships with neurosim, or the table of a file.

    Parameters
    ----------
    name_or_path : str or Path
        One of `time_table_names`, or the path of a table file; a path ends in ".toml".

    Examples
    --------
    >>> load_time_table("loihi1-davies2018").times["hops_east"].value
    4.1
    """
    path = find_preset("time table", name_or_path, PRESETS, "time")
    return read_described("time table", "time table", path, TimeTable.from_dict)


def _times(where: str, entries: Any) -> dict[str, Constant]:
    if not isinstance(entries, dict):
        raise ChipError(f"{where}: time {entries!r} is not a table; write [time.NAME]")
    check_keys(f"{where}: time", entries, (), TIMES)
    times = {}
    for name in (name for name in TIMES if name in entries):
        owner, entry = f"{where}: time of {name}", entries[name]
        check_entry(owner, entry, tuple(TIME_KINDS))
        if entry["unit"] != "ns":
            raise ChipError(f"{owner} is in {entry['unit']!r}; times are in ns")
        times[name] = Constant(read_amount(owner, entry["value"]), "ns", entry["source"], entry["kind"])
    return times


def _barrier(where: str, entry: Any) -> Barrier:
    owner = f"{where}: barrier"
    check_entry(owner, entry, tuple(TIME_KINDS), ("tiles", "between"))
    check_keys(owner, entry, (*Constant._fields, "tiles", "between"))
    if entry["unit"] != "ns":
        raise ChipError(f"{owner} is in {entry['unit']!r}; times are in ns")
    if entry["between"] not in BETWEEN:
        raise ChipError(f"{owner}: between {entry['between']!r} is not known; choose one of {', '.join(BETWEEN)}")
    tiles, value = entry["tiles"], entry["value"]
    if not _is_list(tiles) or not _is_list(value) or len(tiles) != len(value):
        raise ChipError(f"{owner}: tiles {tiles!r} and value {value!r} are not two lists of one length; give both")
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in tiles)
    if not whole or list(tiles) != sorted(set(tiles)):
        raise ChipError(f"{owner}: tiles {tiles!r} are not ascending positive integers; sort them")
    ns = tuple(read_amount(owner, one) for one in value)
    return Barrier(tuple(tiles), ns, entry["between"], "ns", entry["source"], entry["kind"])


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
