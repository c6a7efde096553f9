"""Compare what backends make of the same events: whether all integers are equal, and where they first differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.backend import Backend, RunResult, SpikeTrain, get_backend
from neurosim.compile_network import compile as compile_network
from neurosim.errors import ConfigError
from neurosim.events import Events
from neurosim.modelfile import Model
from neurosim.network import Network, Probe

SPIKES = "spikes"


class Difference(NamedTuple):
    """One number that two results do not share; steps count from 0, a spike is 1 or its value, no spike is 0."""

    group: str
    quantity: str
    sample: int
    step: int
    neuron: int
    values: tuple[int, int]


class Compared(NamedTuple):
    """How one quantity of one group compares; of spikes, those are compared that either result has."""

    group: str
    quantity: str
    n_compared: int
    n_different: int


@dataclass(frozen=True)
class Comparison:
    """Two results side by side.

    Parameters
    ----------
    backends : (str, str)
        Which backends made them.
    compared : tuple of Compared
        In the order of the first result: spikes and states of each group.
    first : Difference or None
        The earliest difference: the smallest step over all samples, in it the first group, its states before its spikes.
    one_sided : tuple of (str, str)
        (group, quantity) that only one of the two results has.
    """

    backends: tuple[str, str]
    compared: tuple[Compared, ...]
    first: Difference | None
    one_sided: tuple[tuple[str, str], ...] = ()

    @property
    def equal(self) -> bool:
        """Whether everything compared is equal."""
        return self.first is None

    @property
    def n_compared(self) -> int:
        """Numbers compared."""
        return sum(row.n_compared for row in self.compared)

    @property
    def n_different(self) -> int:
        """Numbers that differ."""
        return sum(row.n_different for row in self.compared)

    def numbered_from(self, sample: int) -> Comparison:
        """Return the same with samples counted from that number: that of the first sample that was run."""
        if self.first is None:
            return self
        return replace(self, first=self.first._replace(sample=self.first.sample + sample))

    def to_dict(self) -> dict[str, Any]:
        """Return it in types that JSON can hold."""
        return {
            "backends": list(self.backends),
            "equal": self.equal,
            "n_compared": self.n_compared,
            "n_different": self.n_different,
            "first": None if self.first is None else self.first._asdict() | {"values": list(self.first.values)},
            "compared": [row._asdict() for row in self.compared],
            "one_sided": [list(key) for key in self.one_sided],
        }


def compare_results(a: RunResult, b: RunResult) -> Comparison:
    """Compare all spikes and states that two results of the same run have in common, without any tolerance.

    Raises
    ------
    ConfigError
        If the results differ in the shape of a state, so that they are not of the same run.
    """
    found = [(group, SPIKES) for group in a.spikes] + list(a.states)
    other = [(group, SPIKES) for group in b.spikes] + list(b.states)
    groups = list(dict.fromkeys(group for group, _ in found))
    order = {key: i for i, key in enumerate([*a.states, *((group, SPIKES) for group in groups)])}
    rows: list[Compared] = []
    firsts: list[Difference] = []
    for group, what in sorted((key for key in found if key in other), key=lambda key: groups.index(key[0])):
        if what == SPIKES:
            n, where, values = _spike_differences(a.spikes[group], b.spikes[group])
        else:
            n, where, values = _state_differences(a, b, (group, what))
        rows.append(Compared(group, what, n, len(where)))
        if len(where):
            i = int(np.lexsort((where[:, 2], where[:, 0], where[:, 1]))[0])
            sample, step, neuron = where[i].tolist()
            firsts.append(Difference(group, what, sample, step, neuron, (int(values[i, 0]), int(values[i, 1]))))
    first = min(firsts, key=lambda d: (d.step, groups.index(d.group), order[d.group, d.quantity]), default=None)
    one_sided = tuple(sorted(set(found) ^ set(other)))
    return Comparison((a.backend, b.backend), tuple(rows), first, one_sided)


def _state_differences(
    a: RunResult, b: RunResult, key: tuple[str, str]
) -> tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how many values there are, where they differ (k, 3) sample, step, neuron, and both values (k, 2)."""
    left, right = a.states[key], b.states[key]
    if left.shape != right.shape:
        raise ConfigError(
            f"{key[1]} of group {key[0]!r}: shapes {left.shape} ({a.backend}) and {right.shape} ({b.backend}) differ; "
            "compare results of the same network, events and steps"
        )
    where = np.argwhere(left != right)
    index = tuple(where.T)
    return left.size, where, np.stack([left[index], right[index]], axis=1).astype(np.int64)


def _spike_differences(a: SpikeTrain, b: SpikeTrain) -> tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how many spikes either train has, where they differ, and both values, as `_state_differences` does."""
    limits = [1 + max(int(part.max(initial=0)) for part in parts) for parts in zip(a[:3], b[:3], strict=True)]
    left, right = (np.ravel_multi_index([part.astype(np.int64) for part in train[:3]], limits) for train in (a, b))
    union = np.union1d(left, right)
    values = np.zeros((len(union), 2), np.int64)
    for column, (keys, train) in enumerate(((left, a), (right, b))):
        values[np.searchsorted(union, keys), column] = 1 if train.value is None else train.value
    differ = values[:, 0] != values[:, 1]
    where = np.stack(np.unravel_index(union[differ], limits), axis=1).astype(np.int64)
    return len(union), where, values[differ]


def compare_backends(
    model: Model, events: Events, names: Sequence[str], *, n_steps: int | None = None, threads: int = 1
) -> tuple[Comparison, ...]:
    """Run a model on several backends and compare every other one with the first.

    Parameters
    ----------
    model : Model
    events : Events
        The same for all.
    names : sequence of str
        At least two different backends. All are looked for before the first one runs.
    n_steps : int, optional
        As in `neurosim.backend.Runner.run`.
    threads : int

    Returns
    -------
    tuple of Comparison
        One for each backend after the first. Spikes of all groups with their values are compared, and their states
        (u, v and so on) where both backends have the feature "probe_state".

    Raises
    ------
    ConfigError
        If fewer than two backends are named, or one twice.
    BackendError
        If one is unknown, not installed, or lacks what the network needs.
    """
    if len(names) < 2 or len(set(names)) != len(names):
        raise ConfigError(
            f"backends: {', '.join(names) or 'none'} given, need two or more different ones; for instance simulator,lava"
        )
    backends = [get_backend(name) for name in names]
    results = [_run(backend, model, events, n_steps, threads) for backend in backends]
    return tuple(compare_results(results[0], result) for result in results[1:])


def probe_everything(network: Network, states: bool) -> Network:
    """Return the network with probes on the spikes of all groups, and on the states of all neurons if asked for."""
    probes = [Probe(group.name) for group in network.groups]
    if states:
        probes += [Probe(group.name, what) for group in network.groups for what in group.states]
    return network.with_probes(probes)


def _run(backend: Backend, model: Model, events: Events, n_steps: int | None, threads: int) -> RunResult:
    network = probe_everything(model.network, "probe_state" in backend.features)
    with backend.open(compile_network(network, model.chip, model.arithmetic), threads=threads) as runner:
        return runner.run(events, n_steps)
