"""Exact operation counts of a run by core, and by step and sample where asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.backend import check_features, check_steps, get_backend
from neurosim.counters import COLUMN, OpCounts
from neurosim.energy import EnergyTable, operations_of, price_of
from neurosim.energytable import OPERATIONS
from neurosim.errors import BackendError, ConfigError
from neurosim.events import Events, check_events
from neurosim.fixedpoint import Int64Array
from neurosim.listening import Heard, listen, with_ears
from neurosim.mapping.layout import ROUTE_COLUMNS
from neurosim.program import Program
from neurosim.traffic import DIRECTIONS, Traffic, spread, traffic_of

OUTSIDE, CHIP = "outside", "chip"  # beside cores: where input lines are, and what belongs to no core
SYNAPTIC = "synaptic_operations"
#: What a backend must have: totals to hold the counts against, states to tell active updates, and a start from any state.
NEEDED = frozenset({"counts", "probe_state", "resume", "sigma"})

#: What is counted at a core besides synaptic operations, in the order of `CoreCounts.operations`.
COUNTED = (
    "neuron_updates_active",
    "neuron_updates_idle",
    "spikes",
    "messages",
    "messages_local",
    "hops_east",
    "hops_west",
    "hops_north",
    "hops_south",
    "messages_in",
    "synapse_bits_read",
)
_SENT = slice(COUNTED.index("messages"), COUNTED.index("hops_south") + 1)
_AT = {name: i for i, name in enumerate(COUNTED)}
assert COUNTED[_SENT] == ROUTE_COLUMNS[: ROUTE_COLUMNS.index("synapse_bits_read")]


@dataclass(frozen=True, eq=False)
class CoreCounts:
    """What each core did; S samples and T steps, or 1 where they are summed up.

    Parameters
    ----------
    cores : tuple of int
        Numbers of the cores in use.
    tiles : tuple of (int, int)
        Tile of each.
    kinds : tuple of str
        Kinds of connections (`neurosim.program.Program.kinds`).
    operations : (S, T, n_cores + 1, 11) int64
        `COUNTED`; the last row is the world outside, where input lines are. Neuron updates and spikes of the core's
        neurons; packets that they send, to other cores and to their own, and links that those packets cross; packets
        that arrive (from outside and from the own core as well); bits of synapse memory that arriving packets read.
    synaptic : (S, T, n_cores, n_kinds) int64
        Synaptic operations at each core, in the step in which they reach the neurons: one step after the spike.
    pending : (S, n_cores, n_kinds) int64
        Those of the spikes of the last step, which the run did not deliver and no total contains.
    links : (n_links, 3) int64
        x and y of the tile that a link leaves, and its direction (`neurosim.traffic.DIRECTIONS`).
    loads : (S, T, n_links) int64
        Packets over each link.
    farthest : (S, T, 2) int64
        Most links along x, and along y, that a packet crossed (not summed up: the largest).
    n_samples, steps_per_sample : int
    per_sample, per_step : bool
        Whether samples and steps are kept apart.
    backend, version : str
    """

    cores: tuple[int, ...]
    tiles: tuple[tuple[int, int], ...]
    kinds: tuple[str, ...]
    operations: Int64Array
    synaptic: Int64Array
    pending: Int64Array
    links: Int64Array
    loads: Int64Array
    farthest: Int64Array
    n_samples: int
    steps_per_sample: int
    per_sample: bool
    per_step: bool
    backend: str
    version: str

    @property
    def n_steps(self) -> int:
        """Steps of the chip, over all samples; each ends with a barrier."""
        return self.n_samples * self.steps_per_sample

    @property
    def n_tiles(self) -> int:
        """Tiles with cores in use."""
        return len(set(self.tiles))

    def total(self, name: str) -> int:
        """Sum of one of `COUNTED`, or of "synaptic_operations", over everything."""
        return int(self.synaptic.sum() if name == SYNAPTIC else self._column(name).sum())

    def of(self, core: int | str, name: str) -> int:
        """One of `COUNTED`, or "synaptic_operations", of a core or of "outside"."""
        row = self._row(core)
        if name == SYNAPTIC:
            return 0 if core == OUTSIDE else int(self.synaptic[:, :, row].sum())
        return int(self._column(name)[:, :, row].sum())

    def by_core(self) -> dict[int | str, dict[str, int]]:
        """What each core, and the world outside, did: `COUNTED` and "synaptic_operations", where not 0."""
        owners: Iterable[int | str] = (*self.cores, OUTSIDE)
        names = (SYNAPTIC, *COUNTED)
        return {owner: {name: n for name in names if (n := self.of(owner, name))} for owner in owners}

    def by_kind(self, core: int) -> dict[str, int]:
        """Synaptic operations of a core by kind of connection, those that occur."""
        found = self.synaptic[:, :, self._row(core)].sum(axis=(0, 1)).tolist()
        return {kind: n for kind, n in zip(self.kinds, found, strict=True) if n}

    def by_link(self) -> dict[tuple[int, int, str], int]:
        """Packets over each link, by the tile that it leaves and its direction."""
        loads = self.loads.sum(axis=(0, 1)).tolist()
        return {(x, y, DIRECTIONS[way]): n for (x, y, way), n in zip(self.links.tolist(), loads, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """Return the sums in types that JSON can hold."""
        return {
            "n_samples": self.n_samples,
            "n_steps": self.n_steps,
            "backend": self.backend,
            "version": self.version,
            "cores": [
                {"core": owner, "tile": None if owner == OUTSIDE else list(self.tiles[self._row(owner)])} | found
                for owner, found in self.by_core().items()
            ],
            "links": [{"x": x, "y": y, "direction": way, "packets": n} for (x, y, way), n in self.by_link().items()],
        }

    def _row(self, core: int | str) -> int:
        if core == OUTSIDE:
            return len(self.cores)
        if core not in self.cores:
            raise ConfigError(f"core {core!r} is not in use; cores are {', '.join(map(str, self.cores))} and 'outside'")
        return self.cores.index(int(core))

    def _column(self, name: str) -> Int64Array:
        if name not in _AT:
            raise ConfigError(f"{name!r} is not counted by core; choose one of {', '.join((SYNAPTIC, *COUNTED))}")
        return np.asarray(self.operations[..., _AT[name]])


def count_per_core(
    program: Program,
    events: Events,
    n_steps: int | None = None,
    *,
    backend: str = "simulator",
    threads: int = 1,
    per_sample: bool = True,
    per_step: bool = True,
) -> CoreCounts:
    """Run all samples from rest and count what each core does.

    Parameters
    ----------
    program : Program
    events, n_steps
        As in `neurosim.backend.Runner.run`.
    backend : str
        One that counts, shows states and can start from any state.
    threads : int
    per_sample, per_step : bool
        Keep samples, and steps, apart. A sample and step take about 100 bytes for each core in use; times
        (`neurosim.latency`) need both.

    Raises
    ------
    FeatureError
        If the backend lacks what is needed.
    BackendError
        If its own totals differ from the sums over cores.

    Notes
    -----
    Spikes and states come from the backend, and which update was active from the specification
    (`neurosim.listening`); all else follows exactly from who fired (`neurosim.traffic`). Every sum is then held against the
    backend's own counters.
    """
    chosen = get_backend(backend)
    check_features(backend, frozenset(chosen.features), NEEDED)
    events = check_events(events, program.network.n_inputs)
    steps = check_steps(events.n_steps if n_steps is None else n_steps)
    traffic = traffic_of(program)
    kinds = tuple(dict.fromkeys(reach.kind for reach in traffic.reaches))
    counts = _empty(program, traffic, kinds, (events.n_samples, steps), (per_sample, per_step), (backend, chosen.version))
    width = max(len(traffic.crossed), (traffic.n_cores + 1) * (len(COUNTED) + len(kinds)))
    heard_program, ears = with_ears(program)
    theirs: OpCounts | None = None
    with chosen.open(heard_program, threads=threads) as runner:
        for heard in listen(program, ears, runner, events, steps, width):
            _count(program, traffic, heard, counts)
            theirs = heard.counts if theirs is None else theirs + heard.counts
    if theirs is not None:
        _check_totals(program, counts, theirs)
    return counts


def _empty(
    program: Program,
    traffic: Traffic,
    kinds: tuple[str, ...],
    size: tuple[int, int],
    apart: tuple[bool, bool],
    made_by: tuple[str, str],
) -> CoreCounts:
    """Return counts of nothing, with room for all."""
    shape = (size[0] if apart[0] else 1, size[1] if apart[1] else 1)
    n_cores = traffic.n_cores
    return CoreCounts(
        cores=tuple(use.core for use in program.mapping.cores),
        tiles=tuple(use.tile for use in program.mapping.cores),
        kinds=kinds,
        operations=np.zeros((*shape, n_cores + 1, len(COUNTED)), np.int64),
        synaptic=np.zeros((*shape, n_cores, len(kinds)), np.int64),
        pending=np.zeros((shape[0], n_cores, len(kinds)), np.int64),
        links=traffic.link,
        loads=np.zeros((*shape, len(traffic.link)), np.int64),
        farthest=np.zeros((*shape, 2), np.int64),
        n_samples=size[0],
        steps_per_sample=size[1],
        per_sample=apart[0],
        per_step=apart[1],
        backend=made_by[0],
        version=made_by[1],
    )


def _count(program: Program, traffic: Traffic, heard: Heard, counts: CoreCounts) -> None:
    """Add what happened in a piece of a run to `counts`, in place."""
    n_samples, n_steps = (part.stop - part.start for part in (heard.samples, heard.steps))
    n_rows, n_cores = n_samples * n_steps, traffic.n_cores
    operations = np.zeros((n_rows, n_cores + 1, len(COUNTED)), np.int64)
    first = np.flatnonzero(np.diff(traffic.core, prepend=-1))  # runs of neurons on one core
    active = np.add.reduceat(heard.active, first, axis=1, dtype=np.int64)
    held = np.bincount(traffic.core, minlength=n_cores + 1).astype(np.int64)
    np.add.at(operations[..., _AT["neuron_updates_active"]].T, traffic.core[first], active.T)
    operations[..., _AT["neuron_updates_idle"]] = held - operations[..., _AT["neuron_updates_active"]]
    operations[:, n_cores, _AT["neuron_updates_idle"]] = 0  # input lines are not updated
    at = heard.place, traffic.core[heard.neuron]
    np.add.at(operations[..., _AT["spikes"]], at, 1)
    for column in range(_SENT.start, _SENT.stop):
        sent = program.mapping.route[:, column - _SENT.start].astype(np.int64)
        np.add.at(operations[..., column], at, sent[heard.neuron])
    found = spread(traffic, counts.kinds, heard.place, heard.neuron, n_rows)
    operations[:, :n_cores, _AT["messages_in"]] = found.arrived
    operations[:, :n_cores, _AT["synapse_bits_read"]] = found.bits
    size = (n_samples, n_steps)
    _add(counts, counts.operations, heard, operations.reshape(*size, n_cores + 1, -1))
    _add(counts, counts.loads, heard, found.loads.reshape(*size, -1))
    synapses = found.synapses.reshape(*size, n_cores, -1)
    due = heard.steps.stop == counts.steps_per_sample  # the last step's spikes would arrive after the run
    if due:
        last = synapses[:, -1]
        counts.pending[heard.samples if counts.per_sample else slice(0, 1)] += (
            last if counts.per_sample else last.sum(axis=0)
        )
        synapses = synapses[:, :-1]
    later = slice(heard.steps.start + 1, heard.steps.stop + (0 if due else 1))
    _add(counts, counts.synaptic, heard._replace(steps=later), synapses)
    farthest = found.farthest.reshape(*size, 2)
    whole = counts.farthest[_place(counts, heard)]
    axes = tuple(axis for axis, apart in enumerate((counts.per_sample, counts.per_step)) if not apart)
    np.maximum(whole, farthest.max(axis=axes, keepdims=True) if axes else farthest, out=whole)


def _place(counts: CoreCounts, heard: Heard) -> tuple[slice, slice]:
    return heard.samples if counts.per_sample else slice(0, 1), heard.steps if counts.per_step else slice(0, 1)


def _add(counts: CoreCounts, whole: Int64Array, heard: Heard, part: Int64Array) -> None:
    """Add what a piece counted, (samples, steps, ...), to the sums that are kept, in place."""
    axes = tuple(axis for axis, apart in enumerate((counts.per_sample, counts.per_step)) if not apart)
    whole[_place(counts, heard)] += part.sum(axis=axes, keepdims=True) if axes else part


def _check_totals(program: Program, counts: CoreCounts, theirs: OpCounts) -> None:
    """Refuse a backend whose own totals are not the sums over cores."""
    rows = [theirs.rows.index(row) for row in program.rows]
    for name in (SYNAPTIC, *COUNTED):
        if name in COLUMN:
            found, expected = counts.total(name), int(theirs.matrix[rows, COLUMN[name]].sum())
            if found != expected:
                raise BackendError(
                    f"backend {counts.backend!r}: {name} are {expected} by its own count and {found} by core; "
                    "use the backend 'simulator' and report the difference"
                )


def core_energy(counts: CoreCounts, table: EnergyTable) -> dict[int | str, dict[str, float | None]]:
    """Return the energy of each core by operation, in pJ; None where there is no price.

    Parameters
    ----------
    counts : CoreCounts
    table : EnergyTable

    Returns
    -------
    dict
        By core, then "outside" (what spikes of input lines cost) and "chip" (barriers). A core pays for its neurons, the
        packets that they send with all links these cross, and for synapses and synapse memory that are read on it. The
        sum over all is that of `neurosim.energy.energy` for the same run.
    """
    report: dict[int | str, dict[str, float | None]] = {}
    for owner, found in counts.by_core().items():
        found.pop(SYNAPTIC, None)
        found.pop("messages_in", None)  # no table knows them; their energy is that of the packets sent
        done = operations_of(found, "input" if owner == OUTSIDE else "", table)
        if owner != OUTSIDE:
            for kind, n in counts.by_kind(int(owner)).items():
                for name, count in operations_of({SYNAPTIC: n}, kind, table).items():
                    done[name] = done.get(name, 0) + count
        report[owner] = {name: price_of(table, name, done[name]) for name in OPERATIONS if name in done}
    barriers = {"barriers": counts.n_steps} if table.is_work("barriers") else {}
    report[CHIP] = {name: price_of(table, name, n) for name, n in barriers.items()}
    return report
