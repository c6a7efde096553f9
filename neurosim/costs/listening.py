"""Run a program with everything heard: who fired, and which neurons were active, in every step and sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.backend import Runner, RunResult
from neurosim.counters import OpCounts
from neurosim.events import Events
from neurosim.fixedpoint import ARITHMETICS, Int64Array, wrap_int32
from neurosim.graded_models import Sigma
from neurosim.mapping.layout import Mapping
from neurosim.mapping.pack import pack
from neurosim.mapping.pack_models import pack_models
from neurosim.mapping.route import OUTSIDE
from neurosim.network import AnyConnection, Connection, CubaLIF, Group, Input, IntegerConnection, Network, Probe
from neurosim.neurons import Neurons, rest_of
from neurosim.program import Program, State
from neurosim.reference.models import update_model

#: Values of states that are kept at a time, over samples, steps and neurons.
PIECE_VALUES = 1 << 22


class Ear(NamedTuple):
    """A group of sigma neurons that adds up what reaches one port of another group."""

    name: str
    group: str
    port: int


class Heard(NamedTuple):
    """What happened in a few steps of a few samples.

    Attributes
    ----------
    samples, steps : slice
        Of the whole run.
    place : (n_spikes,) int64
        Sample and step of each spike within the piece: ``sample * n_steps + step``.
    neuron : (n_spikes,) int64
        Which neuron or input line fired, in the program's numbering.
    active : (n_samples * n_steps, n_neurons) bool
        Whose update was active; never input lines.
    counts : OpCounts
        The backend's own.
    """

    samples: slice
    steps: slice
    place: Int64Array
    neuron: Int64Array
    active: npt.NDArray[np.bool_]
    counts: OpCounts


def with_ears(program: Program) -> tuple[Program, tuple[Ear, ...]]:
    """Return a program that also adds up what each port of each group receives, and where it does.

    Notes
    -----
    An ear is a group of `Sigma` neurons behind copies of the connections into a port: its state grows in each step by
    exactly the 32-bit sum that the port receives, whatever the connection's form, exponent or delays. Ears send nothing
    and stand behind all other groups, so the neurons of the program keep their numbers, their routes and their spikes.
    """
    network = program.network
    groups: list[Group] = list(network.groups)
    connections: list[AnyConnection] = list(network.connections)
    ears: list[Ear] = []
    taken = {group.name for group in groups}
    for group in network.groups:
        for port in ("", *group.ports):
            into = [c for c in _integer(network) if c.target == group.name and c.port == port]
            if into:
                name = _free(f"{port or 'input'} of {group.name}", taken)
                groups.append(Sigma(name, group.n))
                connections += [replace(connection, target=name, port="") for connection in into]
                ears.append(Ear(name, group.name, group.ports.index(port) if port else 0))
    probes = [Probe(group.name, what) for group in network.groups for what in ("spikes", *group.states)]
    probes += [Probe(ear.name, "sigma") for ear in ears]
    heard = replace(network, groups=tuple(groups), connections=tuple(connections), probes=tuple(probes))
    more = heard.n_neurons - network.n_neurons
    core = np.concatenate([program.mapping.core, np.full(more, OUTSIDE, np.int32)])
    silent = np.zeros((more, program.mapping.route.shape[1]), np.int32)
    mapping = Mapping(core, program.mapping.cores, np.concatenate([program.mapping.route, silent]))
    arrays, models = pack(heard, mapping, program.arithmetic), pack_models(heard, program.arithmetic)
    return replace(program, network=heard, mapping=mapping, arrays=arrays, models=models), tuple(ears)


def _integer(network: Network) -> list[IntegerConnection]:
    return [connection for connection in network.connections if not isinstance(connection, Connection)]


def _free(name: str, taken: set[str]) -> str:
    """Return the name, or a longer one that no group has, and take it."""
    while name in taken:
        name += "'"
    taken.add(name)
    return name


def listen(
    program: Program, ears: tuple[Ear, ...], runner: Runner, events: Events, n_steps: int, width: int
) -> Iterator[Heard]:
    """Run all samples in pieces and yield what happened in each.

    Parameters
    ----------
    program : Program
        Without ears.
    ears : tuple of Ear
    runner : Runner
        Of the program with ears.
    events : Events
    n_steps : int
    width : int
        Values that the caller keeps for each sample and step; pieces are small enough for `PIECE_VALUES` of them.
    """
    states = sum(group.n * (len(group.states) + len(group.ports)) for group in program.network.groups)
    per_step = max(states, width, 1)
    long = max(1, min(n_steps, PIECE_VALUES // per_step))
    many = max(1, PIECE_VALUES // (per_step * n_steps)) if long == n_steps else 1
    for first in range(0, events.n_samples, many):
        samples = slice(first, min(first + many, events.n_samples))
        state: State | None = None
        before = _rest(program, ears, samples.stop - samples.start)
        for begin in range(0, n_steps, long):
            steps = slice(begin, min(begin + long, n_steps))
            result = runner.run(_window(events, samples, steps), steps.stop - steps.start, state)
            state = result.final
            yield _heard(program, ears, result, samples, steps, before)


def _rest(program: Program, ears: tuple[Ear, ...], n_samples: int) -> dict[tuple[str, str], Int64Array]:
    """Return the states of a freshly loaded chip, by group and state: (n_samples, n) each."""
    rest = {(ear.name, "sigma"): np.zeros((n_samples, program.network.group(ear.group).n), np.int64) for ear in ears}
    for group in _neurons(program):
        for name, value in zip(group.states, rest_of(group), strict=True):
            rest[group.name, name] = np.full((n_samples, group.n), value, np.int64)
    return rest


def _neurons(program: Program) -> list[Neurons]:
    return [group for group in program.network.groups if not isinstance(group, (Input, CubaLIF))]


def _heard(
    program: Program,
    ears: tuple[Ear, ...],
    result: RunResult,
    samples: slice,
    steps: slice,
    before: dict[tuple[str, str], Int64Array],
) -> Heard:
    """Return what a run of a piece shows; `before` then holds the states after it."""
    network, profile = program.network, ARITHMETICS[program.arithmetic]
    n_samples, n_steps = samples.stop - samples.start, steps.stop - steps.start
    active = np.zeros((n_samples, n_steps, network.n_neurons), np.bool_)
    for t in range(n_steps):
        arrived: dict[tuple[str, int], Int64Array] = {}
        for ear in ears:
            total = result.states[ear.name, "sigma"][:, t].astype(np.int64)
            change = wrap_int32(total - before[ear.name, "sigma"])
            arrived[ear.group, ear.port] = wrap_int32(arrived.get((ear.group, ear.port), 0) + change)
            before[ear.name, "sigma"] = total
        for group in _neurons(program):
            none = np.zeros((n_samples, group.n), np.int64)
            sums = [arrived.get((group.name, port), none) for port in range(len(group.ports))]
            states = [before[group.name, name] for name in group.states]
            # the specification itself says what an active update is
            active[:, t, _where(program, group)] = update_model(
                group, sums, states, steps.start + t + 1, profile
            ).active
            for name in group.states:
                before[group.name, name] = result.states[group.name, name][:, t].astype(np.int64)
    trains = [(train, network.offsets[name]) for name, train in result.spikes.items()]
    none = np.zeros(0, np.int64)
    place = [train.sample.astype(np.int64) * n_steps + train.step for train, _ in trains]
    neuron = [train.neuron.astype(np.int64) + first for train, first in trains]
    assert result.counts is not None
    return Heard(
        samples,
        steps,
        np.concatenate([none, *place]),
        np.concatenate([none, *neuron]),
        active.reshape(n_samples * n_steps, -1),
        result.counts,
    )


def _where(program: Program, group: Group) -> slice:
    first = program.network.offsets[group.name]
    return slice(first, first + group.n)


def _window(events: Events, samples: slice, steps: slice) -> Events:
    """Return some steps of some samples; one silent step where the events end earlier."""
    n_samples = samples.stop - samples.start
    last = min(steps.stop, events.n_steps)
    if steps.start >= last:
        return Events(np.zeros(n_samples + 1, np.int64), np.zeros(0, np.int32), n_samples, 1, events.n_inputs)
    bounds = np.asarray(events.start, dtype=np.int64)
    rows = np.arange(samples.start, samples.stop)[:, None] * events.n_steps + np.arange(steps.start, last)
    index = [np.arange(bounds[row[0]], bounds[row[-1] + 1]) for row in rows]
    chosen = np.concatenate(index) if index else np.zeros(0, np.int64)
    lengths = (bounds[rows + 1] - bounds[rows]).ravel()
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    value = None if events.value is None else np.asarray(events.value)[chosen]
    return Events(start, np.asarray(events.neuron)[chosen], n_samples, last - steps.start, events.n_inputs, value)
