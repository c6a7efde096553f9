"""Exact operation counts of a run by core, and by step and sample where asked for."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from neurosim.backend import check_features, check_steps, get_backend
from neurosim.costs.corecounts import COUNTED, OUTSIDE, SYNAPTIC
from neurosim.costs.corecounts import CoreCounts as CoreCounts
from neurosim.costs.deliveries import Deliveries, Spread, deliveries_of, spread
from neurosim.costs.listening import Heard, listen, with_ears
from neurosim.counters import COLUMN, OpCounts
from neurosim.energy import EnergyTable, operations_of, price_of
from neurosim.energytable import OPERATIONS
from neurosim.errors import BackendError
from neurosim.events import Events, check_events
from neurosim.fixedpoint import Int64Array
from neurosim.mapping import LearningNeeds
from neurosim.mapping.layout import ROUTE_COLUMNS
from neurosim.program import Program

CHIP = "chip"  # beside cores and the world outside: what belongs to none of them
#: What a backend must have: totals to hold the counts against, states to tell active updates, and a start from any state.
NEEDED = frozenset({"counts", "probe_state", "resume", "sigma"})

#: Counters of what a spike sends, by column of a mapping's route.
SENT = ROUTE_COLUMNS[: ROUTE_COLUMNS.index("synapse_bits_read")]


def count_per_core(
    program: Program,
    events: Events,
    n_steps: int | None = None,
    *,
    backend: str = "simulator",
    threads: int = 1,
    per_sample: bool = True,
    per_step: bool = True,
    learning: LearningNeeds | None = None,
) -> CoreCounts:
    """Run all samples from rest and count what each core does.

    Parameters
    ----------
    program : Program
        With the weights to be counted: `neurosim.network.Network.with_weights` gives a network others.
    events, n_steps
        As in `neurosim.backend.Runner.run`.
    backend : str
        One that counts, shows states and can start from any state.
    threads : int
    per_sample, per_step : bool
        Keep samples, and steps, apart. A sample and step take about 100 bytes for each core in use; times
        (`neurosim.costs.latency`) need both.
    learning : LearningNeeds, optional
        What the program was mapped with, if anything: stored synapses are wider by it, and more bits are read.

    Raises
    ------
    FeatureError
        If the backend lacks what is needed.
    BackendError
        If its own totals differ from the sums over cores.

    Notes
    -----
    Spikes and states come from the backend, and which update was active from the specification
    (`neurosim.costs.listening`); all else follows exactly from who fired (`neurosim.costs.deliveries`). Every sum is then held against the
    backend's own counters.
    """
    chosen = get_backend(backend)
    check_features(backend, frozenset(chosen.features), NEEDED)
    events = check_events(events, program.network.n_inputs)
    steps = check_steps(events.n_steps if n_steps is None else n_steps)
    deliveries = deliveries_of(program, learning)
    kinds = tuple(dict.fromkeys(reach.kind for reach in deliveries.reaches))
    counts = _empty(
        program, deliveries, kinds, (events.n_samples, steps), (per_sample, per_step), (backend, chosen.version)
    )
    width = max(len(deliveries.crossed), (deliveries.n_cores + 1) * (len(COUNTED) + len(kinds)))
    heard_program, ears = with_ears(program)
    theirs: OpCounts | None = None
    with chosen.open(heard_program, threads=threads) as runner:
        for heard in listen(program, ears, runner, events, steps, width):
            _count(program, deliveries, heard, counts)
            theirs = heard.counts if theirs is None else theirs + heard.counts
    if theirs is not None:
        _check_totals(program, counts, theirs)
    return counts


def _empty(
    program: Program,
    deliveries: Deliveries,
    kinds: tuple[str, ...],
    size: tuple[int, int],
    apart: tuple[bool, bool],
    made_by: tuple[str, str],
) -> CoreCounts:
    """Return counts of nothing, with room for all."""
    shape = (size[0] if apart[0] else 1, size[1] if apart[1] else 1)
    n_cores = deliveries.n_cores
    return CoreCounts(
        cores=tuple(use.core for use in program.mapping.cores),
        tiles=tuple(use.tile for use in program.mapping.cores),
        kinds=kinds,
        operations=np.zeros((*shape, n_cores + 1, len(COUNTED)), np.int64),
        synaptic=np.zeros((*shape, n_cores, len(kinds)), np.int64),
        pending=np.zeros((shape[0], n_cores, len(kinds)), np.int64),
        links=deliveries.link,
        loads=np.zeros((*shape, len(deliveries.link)), np.int64),
        farthest=np.zeros((*shape, 2), np.int64),
        n_samples=size[0],
        steps_per_sample=size[1],
        per_sample=apart[0],
        per_step=apart[1],
        backend=made_by[0],
        version=made_by[1],
    )


def _count(program: Program, deliveries: Deliveries, heard: Heard, counts: CoreCounts) -> None:
    """Add what happened in a piece of a run to `counts`, in place."""
    n_samples, n_steps = (part.stop - part.start for part in (heard.samples, heard.steps))
    found = spread(deliveries, counts.kinds, heard.place, heard.neuron, n_samples * n_steps)

    def apart(rows: Int64Array) -> Int64Array:
        return rows.reshape(n_samples, n_steps, *rows.shape[1:])

    _add(counts, counts.operations, heard, apart(_operations(program, deliveries, heard, found)))
    _add(counts, counts.loads, heard, apart(found.loads))
    farthest, place = apart(found.farthest), _place(counts, heard)
    axes = _summed(counts)
    farthest = farthest.max(axis=axes, keepdims=True) if axes else farthest
    counts.farthest[place] = np.maximum(counts.farthest[place], farthest)
    synapses = apart(found.synapses)  # they count in the step after the spike
    later = slice(heard.steps.start + 1, min(heard.steps.stop + 1, counts.steps_per_sample))
    _add(counts, counts.synaptic, heard._replace(steps=later), synapses[:, : later.stop - later.start])
    if heard.steps.stop == counts.steps_per_sample:  # what the last step sends would arrive after the run
        last = synapses[:, -1]
        counts.pending[place[0]] += last if counts.per_sample else last.sum(axis=0, keepdims=True)


def _operations(program: Program, deliveries: Deliveries, heard: Heard, found: Spread) -> Int64Array:
    """Return `COUNTED` of a piece of a run: (samples and steps, n_cores + 1, 11)."""
    n_cores = deliveries.n_cores
    operations = np.zeros((len(heard.active), n_cores + 1, len(COUNTED)), np.int64)
    column = {name: operations[..., i] for i, name in enumerate(COUNTED)}
    first = np.flatnonzero(np.diff(deliveries.core, prepend=-1))  # runs of neurons on one core
    active = np.add.reduceat(heard.active, first, axis=1, dtype=np.int64)
    np.add.at(column["neuron_updates_active"].T, deliveries.core[first], active.T)
    held = np.bincount(deliveries.core, minlength=n_cores + 1).astype(np.int64)
    held[n_cores] = 0  # input lines are not updated
    column["neuron_updates_idle"][:] = held - column["neuron_updates_active"]
    at = heard.place, deliveries.core[heard.neuron]
    np.add.at(column["spikes"], at, 1)
    for i, name in enumerate(SENT):
        np.add.at(column[name], at, program.mapping.route[heard.neuron, i].astype(np.int64))
    column["messages_in"][:, :n_cores] = found.arrived
    column["synapse_bits_read"][:, :n_cores] = found.bits
    return operations


def _summed(counts: CoreCounts) -> tuple[int, ...]:
    """Return the axes, of samples and steps, over which counts are summed up."""
    return tuple(axis for axis, apart in enumerate((counts.per_sample, counts.per_step)) if not apart)


def _place(counts: CoreCounts, heard: Heard) -> tuple[slice, slice]:
    """Return where the samples and steps of a piece are kept."""
    return heard.samples if counts.per_sample else slice(0, 1), heard.steps if counts.per_step else slice(0, 1)


def _add(counts: CoreCounts, whole: Int64Array, heard: Heard, part: Int64Array) -> None:
    """Add what a piece counted, (samples, steps, ...), to the sums that are kept, in place."""
    axes = _summed(counts)
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


class ByCore(Protocol):
    """What is counted by core."""

    @property
    def n_steps(self) -> int:
        """Steps of the chip; each ends with a barrier."""
        ...

    def by_core(self) -> dict[int | str, dict[str, int]]:
        """What each core, and the world outside, did."""
        ...

    def by_kind(self, core: int) -> dict[str, int]:
        """Synaptic operations of a core by kind of connection."""
        ...


def core_energy(counts: ByCore, table: EnergyTable) -> dict[int | str, dict[str, float | None]]:
    """Return the energy of each core by operation, in pJ; None where there is no price.

    Parameters
    ----------
    counts : CoreCounts, or `neurosim.learning.percore.LearningByCore`
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
