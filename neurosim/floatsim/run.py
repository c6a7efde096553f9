"""Run a float network in blocks of samples: group by group over all steps, step by step where groups form a cycle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.backend import check_steps
from neurosim.decays import Decay
from neurosim.errors import DataError, NetworkError
from neurosim.events import Events, check_events
from neurosim.floatsim.deliver import Floats, Frames, Link
from neurosim.floatsim.dynamics import MODELS, Dynamics
from neurosim.network import CubaLIF, Input, Network

MAX_BYTES = 1 << 27  # of a block's arrays
Keys = Sequence[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class FloatResult:
    """What a float run returns.

    Parameters
    ----------
    spikes : dict of group to (n_samples, n_steps, n) bool
        Who sent a message; of inputs too.
    values : dict of group to (n_samples, n_steps, n) int
        The messages of groups that send numbers ("ternary", "multispike", inputs with values), 0 for none.
    states : dict of (group, "u" or "v") to (n_samples, n_steps, n) float64
        At the end of each step, after the reset.
    """

    spikes: dict[str, npt.NDArray[np.bool_]]
    values: dict[str, Frames] = field(default_factory=dict)
    states: dict[tuple[str, str], Floats] = field(default_factory=dict)


def simulate(
    network: Network, events: Events, n_steps: int | None = None, *, decay: Decay = "exact", record: Keys = (),
    spikes: Iterable[str] | None = None,
) -> FloatResult:  # fmt: skip
    """Run a network in floats, in the chip's timing: a spike of step t arrives in step t + 1, or later by its delay.

    The equations are those that `quantize` turns into registers (`docs/arithmetic.md`, section 9), in 64-bit floats.

    Parameters
    ----------
    network : Network
        Inputs, `CubaLIF` groups and float connections.
    events : Events
    n_steps : int, optional
        ``events.n_steps`` by default; later steps have no input.
    decay : {"exact", "euler"}
        As in `neurosim.quantize.quantize`.
    record : sequence of (group, "u" or "v")
        States to return.
    spikes : iterable of str, optional
        Groups whose spikes to return; all by default. The result takes a byte per neuron, step and sample: use
        `FloatSimulator.blocks` where that is too much.

    Raises
    ------
    NetworkError
        If a part of the network is in chip integers, or unknown.

    Examples
    --------
    >>> from neurosim.events import events_from_dense
    >>> from neurosim.network import Connection
    >>> net = Network([Input("in", 1), CubaLIF("out", 1)], [Connection("in", "out", [[0.6]])])
    >>> found = simulate(net, events_from_dense([[[1], [1], [0], [0]]]), record=[("out", "v")])
    >>> found.spikes["out"].ravel().tolist(), found.states["out", "v"].ravel().tolist()
    ([False, False, True, False], [0.0, 0.6, 0.0, 0.0])
    """
    simulator = FloatSimulator(network, decay=decay, record=record, spikes=spikes)
    parts = [part for _, part in simulator.blocks(events, n_steps)]
    if len(parts) == 1:
        return parts[0]
    return FloatResult(
        {key: np.concatenate([part.spikes[key] for part in parts]) for key in parts[0].spikes},
        {key: np.concatenate([part.values[key] for part in parts]) for key in parts[0].values},
        {key: np.concatenate([part.states[key] for part in parts]) for key in parts[0].states},
    )


class FloatSimulator:
    """A float network made ready to run.

    Parameters
    ----------
    network, decay, record, spikes
        As in `simulate`.
    """

    def __init__(
        self, network: Network, *, decay: Decay = "exact", record: Keys = (), spikes: Iterable[str] | None = None
    ) -> None:
        self.network = network
        self.dynamics: dict[str, Dynamics] = {}
        for group in network.groups:
            if isinstance(group, CubaLIF):
                self.dynamics[group.name] = Dynamics.of(group, network.dt, decay)
            elif not isinstance(group, Input):
                raise NetworkError(
                    f"group {group.name!r}: {type(group).__name__} is in chip integers, floatsim runs networks in floats; "
                    "run it on a backend, or describe it as CubaLIF"
                )
        self.links = [Link.of(connection) for connection in network.connections]
        self.record = tuple(dict.fromkeys(record))
        for name, state in self.record:
            if name not in self.dynamics or state not in ("u", "v"):
                raise NetworkError(
                    f"record: {name!r} has no state {state!r}; give (group, 'u') or (group, 'v') of a neuron group"
                )
        self.kept = tuple(group.name for group in network.groups) if spikes is None else tuple(dict.fromkeys(spikes))
        for name in self.kept:
            network.group(name)
        self.order = _components(network)

    def block_size(self, n_steps: int) -> int:
        """Return how many samples run together."""
        numbers = sum(10 * group.n for group in self.network.groups)
        numbers += sum(16 * self.network.group(name).n for name, _ in self.record)
        return max(1, MAX_BYTES // (n_steps * numbers))

    def blocks(
        self, events: Events, n_steps: int | None = None, size: int | None = None
    ) -> Iterator[tuple[int, FloatResult]]:
        """Run samples in blocks and give the first sample and the result of each.

        Parameters
        ----------
        events, n_steps
            As in `simulate`.
        size : int, optional
            Samples of a block; by default as many as fit into 128 MiB. Sums of floats may differ in their last digits with
            the size, because a product of matrices adds in an order of its own.
        """
        events = check_events(events, self.network.n_inputs)
        steps = check_steps(events.n_steps if n_steps is None else n_steps)
        for link in self.links:
            sends = self.dynamics.get(link.connection.source)
            if link.connection.num_message_bits and sends is not None and MODELS[sends.group.model] is np.bool_:
                raise NetworkError(
                    f"connection {link.connection.name!r}: group {sends.group.name!r} sends spikes without values; "
                    "use num_message_bits=0"
                )
        room = self.block_size(steps) if size is None else size
        if room < 1:
            raise DataError(f"blocks: size {room} is not positive; give a number of samples")
        for first in range(0, max(1, events.n_samples), room):
            yield first, self._run(events, first, min(first + room, events.n_samples), steps)

    def _run(self, events: Events, first: int, last: int, n_steps: int) -> FloatResult:
        """Run the samples from `first` to `last`; arrays are (n_steps, n_samples, n) inside."""
        n_samples = last - first
        sent: dict[str, Frames] = {}
        states: dict[tuple[str, str], Floats] = {}
        waiting = _Sums(self, (n_steps, n_samples))
        for members in self.order:
            name = members[0]
            if name not in self.dynamics:
                sent[name] = _input_frames(self.network, name, events, (first, last), n_steps)
            else:
                self._run_together(members, waiting, sent, states)
            for link in self.links:
                if link.connection.source in members and link.connection.target not in members:
                    link.deliver(sent[link.connection.source], 0, waiting.of(link.connection.target))
            for member in members:
                if member not in self.kept:
                    del sent[member]
        spikes = {name: _by_sample(sent[name] != 0) for name in self.kept}
        values = {name: _by_sample(sent[name]) for name in self.kept if sent[name].dtype != np.bool_}
        return FloatResult(spikes, values, {key: _by_sample(array) for key, array in states.items()})

    def _run_together(
        self, members: tuple[str, ...], waiting: _Sums, sent: dict[str, Frames], states: dict[tuple[str, str], Floats]
    ) -> None:
        """Advance groups that reach each other step by step; a group alone runs through all steps."""
        n_steps, n_samples = waiting.shape
        own = [link for link in self.links if {link.connection.source, link.connection.target} <= set(members)]
        running = [(name, self.dynamics[name], self.dynamics[name].rest(n_samples)) for name in members]
        for name, dynamics, _ in running:
            sent[name] = np.zeros((n_steps, n_samples, dynamics.group.n), MODELS[dynamics.group.model])
            for key in self.record:
                if key[0] == name:
                    states[key] = np.zeros((n_steps, n_samples, dynamics.group.n))
        for step in range(n_steps):
            for name, dynamics, state in running:
                sent[name][step] = dynamics.advance(waiting.of(name)[step], state)
                for recorded in ("u", "v"):
                    if (name, recorded) in states:
                        states[name, recorded][step] = getattr(state, recorded)
            for link in own:
                values = sent[link.connection.source][step : step + 1]
                link.deliver(values, step, waiting.of(link.connection.target))
        for name in members:
            waiting.forget(name)


class _Sums:
    """What arrives at each group in each step, (n_steps, n_samples, n) float64, from the first spike to it until it has run."""

    def __init__(self, simulator: FloatSimulator, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._sizes = {name: dynamics.group.n for name, dynamics in simulator.dynamics.items()}
        self._arrays: dict[str, Floats] = {}

    def of(self, name: str) -> Floats:
        if name not in self._arrays:
            self._arrays[name] = np.zeros((*self.shape, self._sizes[name]))
        return self._arrays[name]

    def forget(self, name: str) -> None:
        self._arrays.pop(name, None)


def _by_sample(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(array.transpose(1, 0, 2))


def _input_frames(network: Network, name: str, events: Events, samples: tuple[int, int], n_steps: int) -> Frames:
    """Return what an input sends, (n_steps, n_samples, n)."""
    n, first = network.group(name).n, network.offsets[name]
    bounds = events.start[samples[0] * events.n_steps : samples[1] * events.n_steps + 1]
    mine = slice(int(bounds[0]), int(bounds[-1]))
    sample, step = np.divmod(np.repeat(np.arange(len(bounds) - 1), np.diff(bounds)), max(1, events.n_steps))
    line = events.neuron[mine] - first
    inside = (line >= 0) & (line < n) & (step < n_steps)
    frames: Frames = np.zeros((n_steps, samples[1] - samples[0], n), np.bool_ if events.value is None else np.int32)
    frames[step[inside], sample[inside], line[inside]] = True if events.value is None else events.value[mine][inside]
    return frames


def _components(network: Network) -> list[tuple[str, ...]]:
    """Return groups that reach each other together, each such set after all that reach it."""
    names = [group.name for group in network.groups]
    reach = np.eye(len(names), dtype=np.bool_)
    for connection in network.connections:
        reach[names.index(connection.source), names.index(connection.target)] = True
    while np.any(longer := (reach.astype(np.int64) @ reach > 0) & ~reach):
        reach |= longer
    ancestors = reach.sum(axis=0)  # itself included: more in each later set
    order = sorted(range(len(names)), key=lambda i: (int(ancestors[i]), i))
    found: list[tuple[str, ...]] = []
    seen: set[int] = set()
    for i in order:
        if i not in seen:
            together = [j for j in order if reach[i, j] and reach[j, i]]
            seen.update(together)
            found.append(tuple(names[j] for j in together))
    return found
