"""The same network with fewer neurons in some groups, to try whether that would fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from neurosim.network import AnyConnection, Connection, Conv, Dense, Network, OneToOne, Sparse


def can_shrink(network: Network, group: str) -> bool:
    """Whether a group can lose neurons by itself: convolutions and one-to-one connections tie sizes together."""
    tied = [c for c in network.connections if isinstance(c, (Conv, OneToOne)) and group in (c.source, c.target)]
    return not tied and network.group(group).n > 1


def shrunk(network: Network, sizes: Mapping[str, int]) -> Network:
    """Return the network with the first neurons of some groups only, and the synapses between those that are left."""
    groups = [_cut_group(g, sizes[g.name]) if g.name in sizes else g for g in network.groups]
    n = {group.name: group.n for group in groups}
    connections = [_cut(c, n[c.target], n[c.source]) for c in network.connections]
    return replace(network, groups=tuple(groups), connections=tuple(connections))


def _cut_group(group: Any, n: int) -> Any:
    """Cut every array that has one entry for each neuron."""
    values = {field.name: getattr(group, field.name) for field in fields(group)}
    arrays = {name: value[:n] for name, value in values.items() if np.shape(value) == (group.n,)}
    return replace(group, n=n, **arrays)


def _cut(c: AnyConnection, n_post: int, n_pre: int) -> AnyConnection:
    if tuple(c.shape) == (n_post, n_pre):
        return c
    if isinstance(c, (Dense, Connection)):
        delays = getattr(c, "delays", None)
        changes: dict[str, Any] = {"weights": np.asarray(c.weights)[:n_post, :n_pre]}
        if delays is not None:
            changes["delays"] = delays[:n_post, :n_pre]
        return replace(c, **changes)
    assert isinstance(c, Sparse)
    row, col, data = (np.asarray(x) for x in (c.row, c.col, c.data))
    kept = (row < n_post) & (col < n_pre)
    delays = None if c.delays is None else np.asarray(c.delays)[kept]
    return replace(c, shape=(n_post, n_pre), row=row[kept], col=col[kept], data=data[kept], delays=delays)
