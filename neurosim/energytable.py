"""Tables of prices: what one operation costs on a device, each constant with unit, source and kind."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Mapping as Table
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosim.counters import COUNTERS, OVERFLOWS
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

FORMAT = 1  # of energy tables; a reader refuses any other number

#: Tables that ship with neurosim, in `data/energy`.
PRESETS = (
    "loihi1-davies2018",
    "loihi1-sanafe2026",
    "loihi2",
    "truenorth",
    "truenorth-components",
    "spinnaker1",
    "spinnaker2",
    "xylo-audio-2",
    "speck",
    "cpu-45nm",
)

#: What kind of number a constant is.
ENERGY_KINDS = {
    "simulated": "from a simulation made before silicon",
    "fitted": "a regression on measurements",
    "measured": "measured on the device",
    "all-in": "a measured total divided by a count; nothing may be added to it",
    "model constant": "used by a published cost model",
    "derived": "computed from published constants; the source says how",
    "assumed": "a published constant applied to an operation it was not published for; the source says which",
}

#: Synaptic operations of one kind of connection, or with values (`neurosim.program.Program.kinds`).
SYNAPTIC_KINDS = (
    "synaptic_operations_sparse",
    "synaptic_operations_one_to_one",
    "synaptic_operations_conv",
    "synaptic_operations_graded",
)

#: What a table can price: the counters that mean work, those of input lines apart, and the steps of the chip.
#: Input lines are the groups without neuron updates; their spikes and packets come from outside the chip.
#: Synaptic operations may have prices of their own by the kind of connection; `priced_as` says which one is used.
OPERATIONS = (
    "synaptic_operations",
    *SYNAPTIC_KINDS,
    *(name for name in COUNTERS if name not in OVERFLOWS and name != "synaptic_operations"),
    "input_spikes",
    "input_messages",
    "barriers",
)
#: Counters of input lines -> the operations that they are.
OF_INPUTS = {"spikes": "input_spikes", "messages": "input_messages"}

#: Power that a table may name: of a chip as a whole, used or not.
STATIC = ("power_per_chip",)


@dataclass(frozen=True)
class EnergyTable:
    """Prices of operations on one device.

    Parameters
    ----------
    name, title, notes : str
    prices : dict of str to Constant
        Energy in pJ of one operation, for some of `OPERATIONS`.
    unpriced : dict of str to str
        Why an operation has no price here, where the table says so.
    not_work : dict of str to str
        Operations that do not exist on this device, and why; they are left out of reports.
    included : dict of str to str
        Operations that the price of another one contains, and which; they are left out of reports.
    static : dict of str to Constant
        Power in mW that is spent whether or not anything happens; `STATIC`.
    information : dict of str to Constant
        Figures that are not part of the sum.
    uncertainty : str
        How wrong the sum may be.
    uncertainty_percent : float or None
        The same as a number, where somebody measured it.
    not_modelled : tuple of str
        What the sum leaves out altogether.
    """

    name: str
    title: str
    notes: str
    prices: dict[str, Constant]
    unpriced: dict[str, str]
    not_work: dict[str, str]
    included: dict[str, str]
    static: dict[str, Constant]
    information: dict[str, Constant]
    uncertainty: str
    uncertainty_percent: float | None
    not_modelled: tuple[str, ...]

    @classmethod
    def from_dict(cls, data: Table[str, Any], where: str = "energy table") -> EnergyTable:
        """Make a table from the content of a table file, or say what is wrong with it."""
        check_keys(
            where,
            data,
            ("format", "name", "title", "notes", "uncertainty", "not_modelled"),
            ("price", "unpriced", "not_work", "included", "static", "information", "uncertainty_percent"),
        )
        check_format(where, data["format"], FORMAT)
        check_texts(where, data, ("name", "title", "notes", "uncertainty"))
        percent = read_percent(where, data)
        not_modelled = read_texts(where, "not_modelled", data)
        prices = _constants(where, "price", data, OPERATIONS)
        for name, price in prices.items():
            if price.unit != "pJ":
                raise ChipError(f"{where}: price of {name} is in {price.unit!r}; prices are in pJ")
        static = _constants(where, "static", data, STATIC)
        for name, power in static.items():
            if power.unit != "mW":
                raise ChipError(f"{where}: static {name} is in {power.unit!r}; static power is in mW")
        reasons = {key: read_reasons(where, key, data, OPERATIONS) for key in ("unpriced", "not_work", "included")}
        check_listed_once(where, data, OPERATIONS, ("price", *reasons))
        return cls(
            data["name"], data["title"], data["notes"], prices, **reasons, static=static,
            information=_constants(where, "information", data, None), uncertainty=data["uncertainty"], uncertainty_percent=percent,
            not_modelled=not_modelled,
        )  # fmt: skip

    def priced_as(self, operation: str, kind: str = "") -> str:
        """Return the name under which the table lists an operation of a group or connection of some kind.

        Parameters
        ----------
        operation : str
            A counter.
        kind : str
            "input" for input lines; for connections "dense", "sparse", "one_to_one" or "conv", with " graded" behind it
            where messages have values; else "".

        Examples
        --------
        >>> load_energy_table("loihi1-sanafe2026").priced_as("synaptic_operations", "conv")
        'synaptic_operations_conv'
        >>> load_energy_table("loihi1-davies2018").priced_as("synaptic_operations", "conv")
        'synaptic_operations'
        """
        if kind == "input":
            return OF_INPUTS.get(operation, operation)
        if operation != "synaptic_operations":
            return operation
        listed = (*self.prices, *self.unpriced, *self.not_work, *self.included)
        return synaptic_name(kind, listed)

    def is_work(self, operation: str) -> bool:
        """Whether an operation exists on the device and is not part of another one's price."""
        return operation not in self.not_work and operation not in self.included


def synaptic_name(kind: str, listed: Collection[str]) -> str:
    """Return the name under which a table lists synaptic operations of a kind of connection.

    Messages with values come before the form of the connection; what has no entry of its own is "synaptic_operations".
    """
    form, _, graded = kind.partition(" ")
    names = [f"synaptic_operations_{graded}"] * bool(graded) + [f"synaptic_operations_{form}"]
    return next((name for name in names if name in listed), "synaptic_operations")


def energy_table_names() -> tuple[str, ...]:
    """Return the names of the energy tables that ship with neurosim."""
    return PRESETS


def load_energy_table(name_or_path: str | Path) -> EnergyTable:
    """Return a table that ships with neurosim, or the table of a file.

    Parameters
    ----------
    name_or_path : str or Path
        One of `energy_table_names`, or the path of a table file; a path ends in ".toml".

    Examples
    --------
    >>> load_energy_table("loihi1-davies2018").prices["hops_east"].value
    3.0
    """
    path = find_preset("energy table", name_or_path, PRESETS, "energy")
    return read_described("energy table", "energy table", path, EnergyTable.from_dict)


def _constants(where: str, key: str, data: Table[str, Any], known: Sequence[str] | None) -> dict[str, Constant]:
    entries = data.get(key, {})
    if not isinstance(entries, dict):
        raise ChipError(f"{where}: {key} {entries!r} is not a table; write [{key}.NAME]")
    if known is not None:
        check_keys(f"{where}: {key}", entries, (), known)
    constants = {}
    for name, entry in entries.items():
        owner = f"{where}: {key} of {name}"
        check_entry(owner, entry, tuple(ENERGY_KINDS))
        constants[name] = Constant(read_amount(owner, entry["value"]), entry["unit"], entry["source"], entry["kind"])
    return {name: constants[name] for name in known if name in constants} if known is not None else constants
