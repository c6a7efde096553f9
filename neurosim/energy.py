"""Energy of counted operations: counts times the prices of a table, with everything unpriced named."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from neurosim.chip import Constant
from neurosim.counters import OpCounts
from neurosim.energytable import ENERGY_KINDS as ENERGY_KINDS
from neurosim.energytable import OPERATIONS as OPERATIONS
from neurosim.energytable import EnergyTable as EnergyTable
from neurosim.energytable import energy_table_names as energy_table_names
from neurosim.energytable import load_energy_table as load_energy_table
from neurosim.errors import ConfigError

PJ_PER_MJ = 1e9  # and per mW s
_NO_PRICE = "the table has no price for it"


class Unpriced(NamedTuple):
    """Work that was counted and that the table does not price."""

    counter: str
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    why: str


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
        Sum of what is priced, the dynamic energy: a lower bound if `unpriced` is not empty; None if the table prices nothing.
    static_pj : float or None
        Energy of the static power for `seconds`, beside the total; None where power or time is not known.
    seconds : float or None
        Time of the chip, divided by `per` like the energies.
    unpriced : tuple of Unpriced
        Counted work that is missing in the total.
    constants : dict of str to Constant
        The prices used, with unit, source and kind.
    static : dict of str to Constant
        Static power of the table.
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
    static_pj: float | None
    seconds: float | None
    unpriced: tuple[Unpriced, ...]
    constants: dict[str, Constant]
    static: dict[str, Constant]
    information: dict[str, Constant]
    uncertainty: str
    uncertainty_percent: float | None
    not_modelled: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every counted operation has a price."""
        return self.total_pj is not None and not self.unpriced

    @property
    def range_pj(self) -> tuple[float, float] | None:
        """Where the dynamic energy lies by the table's own uncertainty in percent; None where nobody measured one."""
        if self.total_pj is None or self.uncertainty_percent is None:
            return None
        part = self.total_pj * self.uncertainty_percent / 100
        return max(0.0, self.total_pj - part), self.total_pj + part

    def row_totals(self) -> dict[str, float | None]:
        """Sum of what is priced for each group and connection in pJ; None where nothing is."""
        return {row: total(parts.values()) for row, parts in self.by_row.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the report in types that JSON can hold."""
        return {
            "table": self.table,
            "title": self.title,
            "per": self.per,
            "total_pj": self.total_pj,
            "range_pj": None if self.range_pj is None else list(self.range_pj),
            "static_pj": self.static_pj,
            "seconds": self.seconds,
            "is_complete": self.is_complete,
            "components_pj": dict(self.components),
            "by_row_pj": {row: dict(parts) for row, parts in self.by_row.items()},
            "unpriced": [item._asdict() for item in self.unpriced],
            "constants": {name: constant._asdict() for name, constant in self.constants.items()},
            "static": {name: constant._asdict() for name, constant in self.static.items()},
            "information": {name: constant._asdict() for name, constant in self.information.items()},
            "uncertainty": self.uncertainty,
            "uncertainty_percent": self.uncertainty_percent,
            "not_modelled": list(self.not_modelled),
        }


def energy(counts: OpCounts, table: EnergyTable, per: int = 1, seconds: float | None = None) -> EnergyReport:
    """Multiply counts by prices.

    Parameters
    ----------
    counts : OpCounts
    table : EnergyTable
        From `load_energy_table`.
    per : int
        Divide all energies by it, for instance ``counts.n_samples``.
    seconds : float, optional
        How long the chip took for all of it (`neurosim.costs.latency`): the static energy is the table's static power
        for that time. None: not known, and no static energy is given.
    """
    if isinstance(per, bool) or not isinstance(per, int) or per < 1:
        raise ConfigError(f"energy: per {per!r} is not a positive integer; give the number of samples or steps")
    if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
        raise ConfigError(f"energy: seconds {seconds!r} is not a time; give a finite number of at least 0")
    per_row = row_operations(counts, table)
    totals = dict.fromkeys(OPERATIONS, 0)
    for found in per_row.values():
        for name, count in found.items():
            totals[name] += count
    totals["barriers"] = counts.n_steps if table.is_work("barriers") else 0
    components = {name: price_of(table, name, n, per) for name, n in totals.items() if n or name in table.prices}
    unpriced = [
        Unpriced(name, n, table.unpriced.get(name, _NO_PRICE))
        for name, n in totals.items()
        if n and name not in table.prices
    ]
    power = table.static.get("power_per_chip")
    return EnergyReport(
        table=table.name,
        title=table.title,
        per=per,
        components=components,
        by_row={
            row: {name: price_of(table, name, n, per) for name, n in found.items()}
            for row, found in per_row.items()
            if found
        },
        total_pj=total(components.values()) if table.prices else None,
        static_pj=None if power is None or seconds is None else _number_of(power) * PJ_PER_MJ * seconds / per,
        seconds=None if seconds is None else seconds / per,
        unpriced=tuple(unpriced),
        constants={name: table.prices[name] for name in components if name in table.prices},
        static=table.static,
        information=table.information,
        uncertainty=table.uncertainty,
        uncertainty_percent=table.uncertainty_percent,
        not_modelled=table.not_modelled,
    )


def row_operations(counts: OpCounts, table: EnergyTable) -> dict[str, dict[str, int]]:
    """Return what each group and connection did, in the operations of a table, those that mean work on its device."""
    kinds = counts.kinds or tuple("input" if _is_silent_group(found) else "" for found in counts.by_row().values())
    return {
        row: operations_of(found, kind, table)
        for (row, found), kind in zip(counts.by_row().items(), kinds, strict=True)
    }


def operations_of(found: dict[str, int], kind: str, table: EnergyTable) -> dict[str, int]:
    """Return counters of a row of some kind under the names that a table lists them by, in the order of `OPERATIONS`."""
    named = {table.priced_as(name, kind): count for name, count in found.items()}
    return {name: named[name] for name in OPERATIONS if name in named and table.is_work(name)}


def price_of(table: EnergyTable, name: str, count: int, per: int = 1) -> float | None:
    """Return the energy of so many operations in pJ, divided by `per`; None where the table has no price."""
    return count * _number_of(table.prices[name]) / per if name in table.prices else None


def total(parts: Iterable[float | None]) -> float | None:
    """Return the sum of what is priced; None where nothing is."""
    priced = [part for part in parts if part is not None]
    return math.fsum(priced) if priced else None


def _is_silent_group(found: dict[str, int]) -> bool:
    """Whether a row spikes without updating neurons: that of input lines, where kinds are not known."""
    return "spikes" in found and "neuron_updates_active" not in found and "neuron_updates_idle" not in found


def _number_of(constant: Constant) -> float:
    assert isinstance(constant.value, (int, float))
    return float(constant.value)
