"""When spikes arrive: layers of a framework act at once and recurrence takes a step, on the chip each connection takes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

Edge = tuple[str, str]


class Timing(NamedTuple):
    """What makes all branches meet at the right step.

    Attributes
    ----------
    lag : dict of str to int
        Steps by which each group is behind the framework.
    wait : dict of (source, target) to int
        Steps to add to the delays of each connection. Negative: it closes a loop of several connections, and must be so much faster
        than the one step that it takes; where its delays are shorter than that, it is late.
    """

    lag: dict[str, int]
    wait: dict[Edge, int]


def schedule(groups: Sequence[str], targets: Mapping[str, Sequence[str]]) -> Timing:
    """Return when each group is, counted in connections along the longest way forward, and how long branches must wait.

    Parameters
    ----------
    groups : sequence of str
        In the order in which feedback is looked for: inputs first. An edge to a group from which the search came is feedback.
    targets : mapping of str to sequence of str
        Of each group.

    Examples
    --------
    >>> schedule(["in", "a", "b"], {"in": ["a", "b"], "a": ["a", "b"], "b": ["a"]}).wait
    {('in', 'a'): 0, ('in', 'b'): 1, ('a', 'a'): 0, ('a', 'b'): 0, ('b', 'a'): -1}
    """
    order, feedback = _search(groups, targets)
    lag = {name: 0 for name in groups}
    for name in order:
        for target in targets[name]:
            if (name, target) not in feedback:
                lag[target] = max(lag[target], lag[name] + 1)
    wait = {}
    for name in groups:
        for target in targets[name]:
            wait[name, target] = lag[target] - lag[name] - (0 if (name, target) in feedback else 1)
    return Timing(lag, wait)


def _search(groups: Sequence[str], targets: Mapping[str, Sequence[str]]) -> tuple[list[str], set[Edge]]:
    """Walk in depth; return the groups so that all edges but feedback point onward, and the feedback."""
    done: list[str] = []
    feedback: set[Edge] = set()
    state = dict.fromkeys(groups, "new")
    for root in groups:
        if state[root] != "new":
            continue
        state[root] = "open"
        stack = [(root, iter(targets[root]))]
        while stack:
            name, rest = stack[-1]
            target = next(rest, None)
            if target is None:
                state[name] = "done"
                done.append(name)
                stack.pop()
            elif state[target] == "open":
                feedback.add((name, target))
            elif state[target] == "new":
                state[target] = "open"
                stack.append((target, iter(targets[target])))
    return done[::-1], feedback
