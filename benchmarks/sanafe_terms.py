"""What SANA-FE counts and neurosim does not, and the other way round, each found without looking at either's counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.sanafe_convert import Converted
from neurosim.backend import RunResult, SpikeTrain
from neurosim.energytable import EnergyTable
from neurosim.events import Events
from neurosim.mapping.route import ENTRY_TILE
from neurosim.network import Connection, Conv, Dense, IntegerConnection, Sparse

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
FORMS: dict[type, str] = {Dense: "", Sparse: "_sparse", Conv: "_conv"}


class Term(NamedTuple):
    """A difference: how many operations SANA-FE counts more, and what they cost."""

    n: int
    energy_pj: float


class Ran(NamedTuple):
    """Our run, with the spikes of all groups: rows of sample, step, group in the order of the description, neuron in SANA-FE's order."""

    converted: Converted
    result: RunResult
    trains: Ints
    n_samples: int
    n_steps: int


def all_trains(converted: Converted, result: RunResult, events: Events) -> Ints:
    """Return the spikes of inputs and neurons, sorted."""
    rows: list[Ints] = []
    offsets = converted.program.network.offsets
    for g, group in enumerate(converted.described.groups):
        order = converted.order[group.name]
        if group.is_input:
            first = offsets[group.name]
            at = np.repeat(np.arange(len(events.start) - 1, dtype=np.int32), np.diff(events.start))
            mine = (events.neuron >= first) & (events.neuron < first + group.n)
            fired = SpikeTrain(at[mine] // events.n_steps, at[mine] % events.n_steps, events.neuron[mine] - first)
        else:
            fired = result.spikes[group.name]
        columns = [fired.sample, fired.step, np.full(len(fired.step), g), order[fired.neuron]]
        rows.append(np.column_stack(columns).astype(np.int64))
    return sorted_rows(np.concatenate(rows))


def sorted_rows(rows: Ints) -> Ints:
    """Return rows in lexical order."""
    return rows[np.lexsort(rows.T[::-1])]


def unread(ran: Ran, table: EnergyTable) -> Term:
    """Synapses of the spikes of the last step: SANA-FE reads them in the step of the spike, we in the one that follows."""
    count, energy_pj = 0, 0.0
    last = ran.trains[ran.trains[:, 1] == ran.n_steps - 1]
    for connection in _connections(ran.converted):
        n = sum(map(len, map(_synapses(connection).targets, _fired(ran.converted, last, connection.source)[:, None])))
        count += n
        energy_pj += n * _price(table, "synaptic_operations" + FORMS[type(connection)])
    return Term(count, energy_pj)


def updates(ran: Ran, table: EnergyTable) -> tuple[Term, Term]:
    """Updates that only SANA-FE calls active, and, as a negative number, those that only we do.

    Made from our states and spikes. SANA-FE: v or the bias is not 0, or a spike arrived, also one of weight 0 or several that sum to 0. Ours:
    u, v, the sum of what arrived or the bias is not 0; u is what arrived in the step before, since the current has no memory.
    """
    network = ran.converted.program.network
    arrived = {group.name: np.zeros((ran.n_samples, ran.n_steps, group.n), np.bool_) for group in network.groups}
    for connection in _connections(ran.converted):
        synapses = _synapses(connection)
        for sample, step, neurons in _by_step(ran, connection.source):
            if step + 1 < ran.n_steps:
                arrived[connection.target][sample, step + 1, synapses.targets(neurons)] = True
    more = fewer = 0
    for group in ran.converted.described.groups:
        if not group.is_input:
            u, v = (ran.result.states[group.name, state] != 0 for state in ("u", "v"))
            always = (group.bias != 0)[ran.converted.order[group.name]] | _before(v)
            theirs, ours = always | arrived[group.name], always | u | _before(u)
            more += int((theirs & ~ours).sum())
            fewer += int((ours & ~theirs).sum())
    each = _price(table, "neuron_updates_active") - _price(table, "neuron_updates_idle")
    return Term(more, more * each), Term(-fewer, -fewer * each)


def _before(after: Bools) -> Bools:
    """Return states at the beginning of each step, from those at its end: (n_samples, n_steps, n)."""
    return np.concatenate([np.zeros_like(after[:, :1]), after[:, :-1]], axis=1)


def from_inputs(ran: Ran, table: EnergyTable) -> tuple[Term, Term]:
    """Packets of inputs, which SANA-FE's cores send; and links that they cross from SANA-FE's tiles but not from where our input enters."""
    height = ran.converted.program.chip.mesh[1]
    packets, links, energy_pj = 0, 0, 0.0
    groups = {group.name: group for group in ran.converted.described.groups}
    for connection in _connections(ran.converted):
        source, target = groups[connection.source], groups[connection.target]
        if not source.is_input:
            continue
        fired = _fired(ran.converted, ran.trains, connection.source)
        theirs = ran.converted.order[connection.source]
        own, synapses = target.place[ran.converted.order[connection.target]], _synapses(connection)
        for neuron, times in zip(*np.unique(fired, return_counts=True), strict=True):
            cores = np.unique(own[synapses.targets(np.array([neuron]))], axis=0)
            tiles = np.column_stack([cores[:, 0] // height, cores[:, 0] % height])
            tile = int(source.place[theirs[neuron], 0])
            away = np.abs(tiles - (tile // height, tile % height)).sum(axis=0)
            ours = np.abs(tiles - ENTRY_TILE).sum(axis=0)
            packets += int(times) * len(cores)
            links += int(times) * int((away - ours).sum())
            energy_pj += int(times) * float((away - ours) @ (_price(table, "hops_east"), _price(table, "hops_north")))
    return Term(packets, packets * _price(table, "messages")), Term(links, energy_pj)


def _price(table: EnergyTable, name: str) -> float:
    value = table.prices[name].value
    assert isinstance(value, (int, float))
    return float(value)


def _connections(converted: Converted) -> list[IntegerConnection]:
    return [c for c in converted.program.network.connections if not isinstance(c, Connection)]


def _fired(converted: Converted, trains: Ints, name: str) -> Ints:
    """Neurons of a group that fired, in our order, one for each spike."""
    index = [group.name for group in converted.described.groups].index(name)
    place = np.argsort(converted.order[name])
    return np.asarray(place[trains[trains[:, 2] == index, 3]], np.int64)


def _by_step(ran: Ran, name: str) -> list[tuple[int, int, Ints]]:
    index = [group.name for group in ran.converted.described.groups].index(name)
    mine = ran.trains[ran.trains[:, 2] == index]
    place = np.argsort(ran.converted.order[name])
    if not len(mine):
        return []
    key = mine[:, 0] * ran.n_steps + mine[:, 1]
    steps, first = np.unique(key, return_index=True)
    parts = np.split(place[mine[:, 3]], first[1:])
    return [(int(s) // ran.n_steps, int(s) % ran.n_steps, part) for s, part in zip(steps, parts, strict=True)]


class _Synapses(NamedTuple):
    """Targets of each source, each as the description stores them: all for a dense connection."""

    start: Ints
    row: Ints

    def targets(self, neurons: Ints) -> Ints:
        """Return the targets of some sources, one for each synapse."""
        return np.concatenate([self.row[self.start[j] : self.start[j + 1]] for j in neurons])


def _synapses(connection: IntegerConnection) -> _Synapses:
    if isinstance(connection, Dense):
        n_post, n_pre = connection.shape
        return _Synapses(np.arange(n_pre + 1) * n_post, np.tile(np.arange(n_post), n_pre))
    sparse = connection.as_sparse()
    return _Synapses(sparse.start, np.asarray(sparse.row))
