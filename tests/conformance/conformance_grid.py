"""Grids of small cases: every neuron model and connection at the edges of its parameters, many side by side in a network.

A case is a group, or two, with what leads into them. Cases of a grid share inputs and never touch each other, so
each is judged by itself; a backend that starts slowly runs them all in one start.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from neurosim.backend import RunResult
from neurosim.events import Events, events_from_dense
from neurosim.network import AnyConnection, Group, Input, Network, Probe

#: Inputs that cases may connect to, with the bits of their values.
N_LINES = 6
MESSAGE_BITS = {"bit": 1, "byte": 8, "wide": 24}


@dataclass
class Grid:
    """Cases that run side by side.

    Parameters
    ----------
    name : str
    n_samples, n_steps : int
    inputs : dict of name to (lines, bits of a value); 0 bits: binary
    """

    name: str
    n_samples: int = 2
    n_steps: int = 14
    inputs: dict[str, tuple[int, int]] = field(
        default_factory=lambda: {name: (N_LINES, bits) for name, bits in MESSAGE_BITS.items()}
    )
    cases: dict[str, list[str]] = field(default_factory=dict)  # name of a case: its groups
    groups: list[Group] = field(default_factory=list)
    connections: list[AnyConnection] = field(default_factory=list)

    def add(self, group: Group, *connections: AnyConnection) -> None:
        """Add a case of one group, named like it."""
        self.cases[group.name] = [group.name]
        self.groups.append(group)
        self.connections += connections

    @property
    def network(self) -> Network:
        """All cases and the inputs that they use, everything probed."""
        used = {c.source for c in self.connections}
        groups = [Input(name, n) for name, (n, _) in self.inputs.items() if name in used] + self.groups
        probes = [Probe(group.name, what) for group in groups for what in ("spikes", *group.states)]
        return Network(tuple(groups), tuple(self.connections), tuple(probes), name=self.name)

    @property
    def events(self) -> Events:
        """Values of either sign at every size that fits, in bursts with silence between them."""
        rng = np.random.default_rng(len(self.name))
        used = {c.source for c in self.connections}
        blocks = [np.zeros((self.n_samples, self.n_steps, 0), np.int64)]
        for name, (n, bits) in self.inputs.items():
            if name in used:
                shape = (self.n_samples, self.n_steps, n)
                largest = (1 << bits) - 1
                sizes = np.stack(
                    [np.full(shape, largest), rng.integers(0, largest + 1, shape), 1 + rng.integers(0, bits + 1, shape)]
                )
                size = np.minimum(np.take_along_axis(sizes, rng.integers(0, 3, (1, *shape)), axis=0)[0], largest)
                active = rng.random(shape) < np.where(np.arange(self.n_steps) % 7 < 5, 0.5, 0.0)[None, :, None]
                blocks.append(size * active * rng.choice([-1, 1], shape))
        return events_from_dense(np.concatenate(blocks, axis=2), graded=True)


def first_difference(found: RunResult, expected: RunResult, groups: list[str]) -> str | None:
    """Say what differs first in some groups, or None."""
    for name in groups:
        one, other = found.spikes[name], expected.spikes[name]
        for part in one._fields:
            a, b = getattr(one, part), getattr(other, part)
            if (a is None) != (b is None) or (a is not None and not np.array_equal(a, b)):
                return f"spikes of {name!r}, {part}: {_short(a)}, expected {_short(b)}"
    for key, states in expected.states.items():
        if key[0] in groups and not np.array_equal(found.states[key], states):
            where = tuple(int(x) for x in np.argwhere(found.states[key] != states)[0])
            return (
                f"{key[1]} of {key[0]!r} at sample, step, neuron {where}: {found.states[key][where]}, "
                f"expected {states[where]}"
            )
    return None


def differences(grid: Grid, found: RunResult, expected: RunResult) -> dict[str, str]:
    """Return the cases whose results differ, each with its first difference."""
    all_cases = {name: first_difference(found, expected, groups) for name, groups in grid.cases.items()}
    return {name: text for name, text in all_cases.items() if text is not None}


def _short(array: np.ndarray | None) -> str:
    return "none" if array is None else f"{array[:8].tolist()} ({len(array)} in all)"
