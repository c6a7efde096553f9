"""How long a step takes: counts of each core and link times published times, by the slowest path or the largest term."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from neurosim.costs.corecounts import COUNTED, CoreCounts
from neurosim.costs.deliveries import DIRECTIONS
from neurosim.costs.latencyreport import Bound as Bound
from neurosim.costs.latencyreport import LatencyReport as LatencyReport
from neurosim.costs.latencyreport import Missing as Missing
from neurosim.costs.latencyreport import Seconds
from neurosim.costs.timetable import TimeTable as TimeTable
from neurosim.costs.timetable import load_time_table as load_time_table
from neurosim.costs.timetable import time_table_names as time_table_names
from neurosim.errors import ConfigError
from neurosim.fixedpoint import Int64Array

NS = 1e-9
_LOWER = "a lower bound, which nobody compared with a chip for these constants"
_NO_TIME = "the table has no time for it"

#: Counts of a core that its neurons cause, one after another, and those of packets that arrive.
GENERATE = ("neuron_updates_active", "neuron_updates_idle", "spikes", "messages", "messages_local")
PROCESS = ("messages_in", "synaptic_operations")
UPDATES = ("neuron_updates_active", "neuron_updates_idle")
HOPS = ("hops_east", "hops_west", "hops_north", "hops_south")


class _Term(NamedTuple):
    """A part of a step's time, the largest over its places; None: no time is known."""

    ns: Seconds | None  # (S, T)
    place: Int64Array | None  # (S, T) core or link where it is largest


def latency(counts: CoreCounts, table: TimeTable, model: str = "critical-path") -> LatencyReport:
    """Return how long each step takes.

    Parameters
    ----------
    counts : CoreCounts
        With samples and steps kept apart.
    table : TimeTable
        From `load_time_table`.
    model : {"critical-path", "max-affine"}
        ``max(generate, process) + barrier``, each the largest over cores (SANA-FE's "simple" model, in our words): a core
        updates its neurons and sends their packets one after another, a core serves the packets that reach it one after
        another, and the two overlap. Or the largest of the times for neurons, synapses, bits read, packets on a link, and
        the barrier (after Timcheck et al., arXiv:2601.10035): a lower bound.

    Notes
    -----
    A packet is paid for in the step in which it is sent, synapses included; they count in the step after.
    """
    if model not in MODELS:
        raise ConfigError(f"latency: unknown model {model!r}; choose one of {', '.join(MODELS)}")
    if not (counts.per_sample and counts.per_step):
        raise ConfigError("latency: samples or steps are summed up; count with per_sample=True and per_step=True")
    work = _Work(counts, table)
    terms, seconds, serial = MODELS[model](work)
    if "step" in table.times:
        work.used["step"] = counts.n_steps
        set_time = np.full(work.shape, table.of("step"), np.float64)
        terms["step"] = _Term(set_time, None)
        seconds = set_time if seconds is None else np.maximum(seconds, set_time)
        serial = None if serial is None else np.maximum(serial, set_time)
    used = {name: n for name, n in work.used.items() if n}
    unknown = [name for name in used if (table.barrier if name == "barrier" else table.of(name)) is None]
    return LatencyReport(
        table=table.name,
        title=table.title,
        model=model,
        seconds=None if seconds is None else seconds * NS,
        serial=None if serial is None else serial * NS,
        terms={name: None if term.ns is None else term.ns * NS for name, term in terms.items()},
        busy=work.busy(),
        bounds=_bounds(terms, counts),
        missing=tuple(Missing(name, used[name], table.unknown.get(name, _NO_TIME)) for name in unknown),
        constants={name: table.times[name] for name in used if name in table.times},
        barrier=table.barrier,
        n_tiles=counts.n_tiles,
        uncertainty=table.uncertainty if model == "critical-path" else f"{_LOWER}; the constants: {table.uncertainty}",
        uncertainty_percent=table.uncertainty_percent if model == "critical-path" else None,
        not_modelled=table.not_modelled,
    )


class _Work:
    """Counts and times side by side; notes which operations were asked for and how often they occur."""

    def __init__(self, counts: CoreCounts, table: TimeTable) -> None:
        self.counts, self.table = counts, table
        self.shape = counts.operations.shape[:2]
        self.used: dict[str, int] = {}
        parts = [counts.synaptic[:, 1:], counts.pending[:, None]]
        self.synaptic = np.concatenate(parts, axis=1)  # in the step of the spike

    def slowest(self, operations: tuple[str, ...]) -> _Term | None:
        """Return the time of the core that needs longest, None if the operations take no time of their own.

        Operations without a time are left out; where no operation has one, the term has none either.
        """
        parts: list[Seconds] = []
        takes_time = False
        for name in operations:
            for listed, n in self._counts(name):
                if listed not in self.table.not_work:
                    takes_time = True
                    self.used[listed] = self.used.get(listed, 0) + int(n.sum())
                    ns = self.table.of(listed)
                    parts += [] if ns is None else [np.asarray(n * ns, np.float64)]
        if not takes_time:
            return None
        return _largest(np.asarray(np.sum(parts, axis=0))) if parts else _Term(None, None)

    def _counts(self, name: str) -> list[tuple[str, Int64Array]]:
        """Return an operation's names in the table, each with its counts by core."""
        if name != "synaptic_operations":
            return [(name, self.counts.operations[:, :, :-1, COUNTED.index(name)])]
        return [(self.table.synaptic_name(kind), self.synaptic[..., i]) for i, kind in enumerate(self.counts.kinds)]

    def barrier(self) -> _Term | None:
        """Return the barrier's time, the same in each step."""
        if "barrier" in self.table.not_work:
            return None
        self.used["barrier"] = self.counts.n_steps
        known = self.table.barrier
        return _Term(None if known is None else np.full(self.shape, known.at(self.counts.n_tiles)), None)

    def links(self) -> _Term | None:
        """Return the time in which the busiest link carries its packets."""
        if "link_packets" in self.table.not_work:
            return None
        self.used["link_packets"] = int(self.counts.loads.sum())
        ns = self.table.of("link_packets")
        return _Term(None, None) if ns is None else _largest(np.asarray(self.counts.loads * ns, np.float64))

    def path(self) -> Seconds:
        """Return at most how long one packet travels: that with most links along x and along y, in ns."""
        arrived = self.counts.operations[..., COUNTED.index("messages_in")].sum(axis=-1)
        self.used |= {"within_tile": int(arrived.sum())} | {name: self.counts.total(name) for name in HOPS}
        east, west, north, south, tile = (self.table.of(name) or 0.0 for name in (*HOPS, "within_tile"))
        farthest = self.counts.farthest
        return np.asarray(
            (arrived > 0) * tile + farthest[..., 0] * max(east, west) + farthest[..., 1] * max(north, south)
        )

    def busy(self) -> dict[int, dict[str, float | None]]:
        """Return seconds by core and operation, over all steps."""
        found: dict[int, dict[str, float | None]] = {core: {} for core in self.counts.cores}
        for name in (*GENERATE, *PROCESS):
            for listed, n in self._counts(name):
                ns = self.table.of(listed)
                for core, count in zip(self.counts.cores, n.sum(axis=(0, 1)).tolist(), strict=True):
                    if count and listed not in self.table.not_work:
                        before = found[core].get(listed, 0.0)
                        found[core][listed] = None if ns is None or before is None else before + count * ns * NS
        return found


def _largest(by_place: Seconds) -> _Term:
    """Return the largest over cores, or over links."""
    if not by_place.shape[-1]:
        return _Term(np.zeros(by_place.shape[:2]), None)
    return _Term(by_place.max(axis=-1), by_place.argmax(axis=-1))


_Parts = tuple[dict[str, _Term], "Seconds | None", "Seconds | None"]  # terms, time of a step, the same without overlap


def _critical_path(work: _Work) -> _Parts:
    """Return the slowest core of each phase and the barrier, the phases side by side and one after the other."""
    found = {"generate": work.slowest(GENERATE), "process": work.slowest(PROCESS), "barrier": work.barrier()}
    terms = {name: term for name, term in found.items() if term is not None}
    known = {name: term.ns for name, term in terms.items() if term.ns is not None}
    if not known:
        return terms, None, None
    wait = known.pop("barrier", np.zeros(work.shape))
    phases = [np.zeros(work.shape), *known.values()]
    return terms, np.max(phases, axis=0) + wait, np.sum(phases, axis=0) + work.path() + wait


def _max_affine(work: _Work) -> _Parts:
    """Return the largest of the times of neurons, synapses, bits read, links and the barrier."""
    found = {
        "neurons": work.slowest(UPDATES),
        "synapses": work.slowest(("synaptic_operations",)),
        "reads": work.slowest(("synapse_bits_read",)),
        "links": work.links(),
        "barrier": work.barrier(),
    }
    terms = {name: term for name, term in found.items() if term is not None}
    known = [term.ns for term in terms.values() if term.ns is not None]
    return terms, np.max(known, axis=0) if known else None, None


#: Models of a step's time.
MODELS: dict[str, Callable[[_Work], _Parts]] = {"critical-path": _critical_path, "max-affine": _max_affine}


def _bounds(terms: dict[str, _Term], counts: CoreCounts) -> tuple[Bound, ...]:
    """Return which term is largest, and where, in how many steps; the first of equal ones."""
    known = {name: term for name, term in terms.items() if term.ns is not None}
    if not known:
        return ()
    names, parts = list(known), np.stack([term.ns for term in known.values() if term.ns is not None])
    found: Counter[tuple[str, str]] = Counter()
    for (sample, step), i in np.ndenumerate(parts.argmax(axis=0)):
        name, place = names[int(i)], known[names[int(i)]].place
        where = "chip" if place is None else _place(name, int(place[sample, step]), counts)
        found[name, where] += 1
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Bound(name, where, n) for (name, where), n in ordered)


def _place(term: str, index: int, counts: CoreCounts) -> str:
    if term != "links":
        return f"core {counts.cores[index]}"
    x, y, way = counts.links[index].tolist()
    return f"link ({x}, {y}) {DIRECTIONS[way]}"
