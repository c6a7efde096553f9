"""Energy of counted operations: counts times the prices of a table, with everything unpriced named."""

from __future__ import annotations

import math
from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from neurosim.chip import Constant, check_entry, check_format, check_keys, find_preset, read_toml
from neurosim.counters import COUNTERS, OVERFLOWS, OpCounts
from neurosim.errors import ChipError, ConfigError

FORMAT = 1  # of energy tables; a reader refuses any other number

#: Tables that ship with neurosim, in `data/energy`.
PRESETS = ("loihi1-davies2018", "loihi1-sanafe2026", "loihi2", "cpu-45nm")

#: What kind of number a constant is.
ENERGY_KINDS = {
    "simulated": "from a simulation made before silicon",
    "fitted": "a regression on measurements",
    "measured": "measured on the device",
    "all-in": "a measured total divided by a count; nothing may be added to it",
    "model constant": "used by a published cost model",
    "assumed": "a published constant applied to an operation it was not published for; the source says which",
}

#: What a table can price: the counters that mean work, those of input lines apart, and the steps of the chip.
#: Input lines are the groups without neuron updates; their spikes and packets come from outside the chip.
OPERATIONS = (
    *(name for name in COUNTERS if name not in OVERFLOWS),
    "input_spikes",
    "input_messages",
    "barriers",
)
_OF_INPUTS = {"spikes": "input_spikes", "messages": "input_messages"}
_NO_PRICE = "the table has no price for it"


class Unpriced(NamedTuple):
    """Work that was counted and that the table does not price."""

    counter: str
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    why: str


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
    information : dict of str to Constant
        Figures that are not part of the sum, such as static power.
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
            ("price", "unpriced", "not_work", "information", "uncertainty_percent"),
        )
        check_format(where, data["format"], FORMAT)
        for key in ("name", "title", "notes", "uncertainty"):
            if not isinstance(data[key], str) or not data[key]:
                raise ChipError(f"{where}: {key} {data[key]!r} is not a text; write it in quotes")
        percent = data.get("uncertainty_percent")
        if percent is not None:
            percent = _number(f"{where}: uncertainty_percent", percent)
        if not isinstance(data["not_modelled"], list) or not all(
            isinstance(text, str) for text in data["not_modelled"]
        ):
            raise ChipError(
                f"{where}: not_modelled {data['not_modelled']!r} is not a list of texts; write what the sum leaves out"
            )
        prices = _constants(where, "price", data, OPERATIONS)
        for name, price in prices.items():
            if price.unit != "pJ":
                raise ChipError(f"{where}: price of {name} is in {price.unit!r}; prices are in pJ")
        unpriced, not_work = _reasons(where, "unpriced", data), _reasons(where, "not_work", data)
        for name in OPERATIONS:
            places = [
                key
                for key, table in (("price", prices), ("unpriced", unpriced), ("not_work", not_work))
                if name in table
            ]
            if len(places) > 1:
                raise ChipError(f"{where}: {name} is listed under {' and '.join(places)}; keep one")
        return cls(
            data["name"], data["title"], data["notes"], prices, unpriced, not_work, _constants(where, "information", data, None),
            data["uncertainty"], percent, tuple(data["not_modelled"]),
        )  # fmt: skip


@dataclass(frozen=True)
class EnergyReport:
    """Energy of a run by operation and by group or connection.

    Parameters
    ----------
    table, title : str
        Which prices were used.
    per : int
        What the energies were divided by, for instance the number of samples; counts are never divided.
    components : dict of str to (float or None)
        pJ of each operation in the order of `OPERATIONS`; None where operations were counted but have no price.
    by_row : dict of str to dict of str to (float or None)
        The same for each group and connection that did something; barriers belong to no row.
    total_pj : float or None
        Sum of what is priced, a lower bound if `unpriced` is not empty; None if the table prices nothing.
    unpriced : tuple of Unpriced
        Counted work that is missing in the total.
    constants : dict of str to Constant
        The prices used, with unit, source and kind.
    information : dict of str to Constant
        Figures of the table outside the sum.
    uncertainty : str
    uncertainty_percent : float or None
    not_modelled : tuple of str
    """

    table: str
    title: str
    per: int
    components: dict[str, float | None]
    by_row: dict[str, dict[str, float | None]]
    total_pj: float | None
    unpriced: tuple[Unpriced, ...]
    constants: dict[str, Constant]
    information: dict[str, Constant]
    uncertainty: str
    uncertainty_percent: float | None
    not_modelled: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every counted operation has a price."""
        return self.total_pj is not None and not self.unpriced

    def row_totals(self) -> dict[str, float | None]:
        """Sum of what is priced for each group and connection in pJ; None where nothing is."""
        return {row: _sum(parts.values()) for row, parts in self.by_row.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the report in types that JSON can hold."""
        return {
            "table": self.table,
            "title": self.title,
            "per": self.per,
            "total_pj": self.total_pj,
            "is_complete": self.is_complete,
            "components_pj": dict(self.components),
            "by_row_pj": {row: dict(parts) for row, parts in self.by_row.items()},
            "unpriced": [item._asdict() for item in self.unpriced],
            "constants": {name: constant._asdict() for name, constant in self.constants.items()},
            "information": {name: constant._asdict() for name, constant in self.information.items()},
            "uncertainty": self.uncertainty,
            "uncertainty_percent": self.uncertainty_percent,
            "not_modelled": list(self.not_modelled),
        }


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
    >>> load_energy_table("loihi1-davies2018").prices["hops_x"].value
    3.0
    """
    path = find_preset("energy table", name_or_path, PRESETS, "energy")
    return EnergyTable.from_dict(read_toml("energy table", path), f"energy table '{path.name}'")


def energy(counts: OpCounts, table: EnergyTable, per: int = 1) -> EnergyReport:
    """Multiply counts by prices.

    Parameters
    ----------
    counts : OpCounts
    table : EnergyTable
        From `load_energy_table`.
    per : int
        Divide all energies by it, for instance ``counts.n_samples``.
    """
    if isinstance(per, bool) or not isinstance(per, int) or per < 1:
        raise ConfigError(f"energy: per {per!r} is not a positive integer; give the number of samples or steps")
    per_row = {row: _work(found, table) for row, found in counts.by_row().items()}
    totals = dict.fromkeys(OPERATIONS, 0)
    for found in per_row.values():
        for name, count in found.items():
            totals[name] += count
    totals["barriers"] = 0 if "barriers" in table.not_work else counts.n_steps
    components = {name: _price(table, name, n, per) for name, n in totals.items() if n or name in table.prices}
    unpriced = [
        Unpriced(name, n, table.unpriced.get(name, _NO_PRICE))
        for name, n in totals.items()
        if n and name not in table.prices
    ]
    return EnergyReport(
        table=table.name,
        title=table.title,
        per=per,
        components=components,
        by_row={
            row: {name: _price(table, name, n, per) for name, n in found.items()}
            for row, found in per_row.items()
            if found
        },
        total_pj=_sum(components.values()) if table.prices else None,
        unpriced=tuple(unpriced),
        constants={name: table.prices[name] for name in components if name in table.prices},
        information=table.information,
        uncertainty=table.uncertainty,
        uncertainty_percent=table.uncertainty_percent,
        not_modelled=table.not_modelled,
    )


def _work(found: dict[str, int], table: EnergyTable) -> dict[str, int]:
    """Counters of one row that mean work on the device; input lines have names of their own."""
    is_input = "spikes" in found and "neuron_updates_active" not in found and "neuron_updates_idle" not in found
    named = {(_OF_INPUTS.get(name, name) if is_input else name): count for name, count in found.items()}
    return {name: named[name] for name in OPERATIONS if name in named and name not in table.not_work}


def _price(table: EnergyTable, name: str, count: int, per: int) -> float | None:
    if name not in table.prices:
        return None
    price = table.prices[name].value
    assert isinstance(price, (int, float))
    return count * price / per


def _sum(parts: Any) -> float | None:
    priced = [part for part in parts if part is not None]
    return math.fsum(priced) if priced else None


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ChipError(f"{where}: value {value!r} is not a number of at least 0; leave out what is unknown")
    return float(value)


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
        constants[name] = Constant(_number(owner, entry["value"]), entry["unit"], entry["source"], entry["kind"])
    return {name: constants[name] for name in known if name in constants} if known is not None else constants


def _reasons(where: str, key: str, data: Table[str, Any]) -> dict[str, str]:
    reasons = data.get(key, {})
    if not isinstance(reasons, dict) or not all(isinstance(text, str) and text for text in reasons.values()):
        raise ChipError(f'{where}: {key} {reasons!r} is not a table of reasons; write NAME = "why"')
    check_keys(f"{where}: {key}", reasons, (), OPERATIONS)
    return dict(reasons)
