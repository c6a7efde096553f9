"""The obvious numpy program for the same integer arithmetic: what one would write without neurosim."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from neurosim.network import LIF, Dense, Input, Sparse
from neurosim.program import Program

LIMIT, WRAP, LARGEST = 1 << 23, 1 << 24, (1 << 23) - 1

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class NumpyNetwork:
    """A network as plain arrays; a whole batch advances together.

    Dense weights of one sample are summed row by row; those of a batch by a product in float32, which is exact here
    (sums below 2**24). Sparse ones go through `numpy.bincount`. Weight exponents must be zero.
    """

    def __init__(self, program: Program, batch: int) -> None:
        network = program.network
        self.groups, self.batch = network.ordered_groups, batch
        self.deliver = [(c.source, c.target, _delivery(c, batch)) for c in network.connections]
        self.u = {g.name: np.zeros((batch, g.n), np.int64) for g in self.groups}
        self.v = {g.name: np.zeros((batch, g.n), np.int64) for g in self.groups}

    def run(self, inputs: BoolArray) -> dict[str, BoolArray]:
        """Run (batch, n_steps, n_inputs) spikes from rest; return who fired in the last step."""
        for state in (*self.u.values(), *self.v.values()):
            state[:] = 0
        fired = {g.name: np.zeros((self.batch, g.n), np.bool_) for g in self.groups}
        for t in range(inputs.shape[1]):
            acc = {g.name: np.zeros((self.batch, g.n), np.int64) for g in self.groups}
            for source, target, deliver in self.deliver:
                acc[target] += deliver(fired[source])
            for group in self.groups:
                fired[group.name] = inputs[:, t] if isinstance(group, Input) else self._update(group, acc[group.name])
        return fired

    def _update(self, group: object, acc: Int64Array) -> BoolArray:
        assert isinstance(group, LIF)
        u, v = self.u[group.name], self.v[group.name]
        u[:] = np.sign(u) * (np.abs(u) * (4095 - group.du) >> 12) + (acc << 6)
        u[:] = np.where(u > LIMIT, u - WRAP, np.where(u <= -LIMIT, u + WRAP, u))
        v[:] = np.clip(np.sign(v) * (np.abs(v) * (4096 - group.dv) >> 12) + u + group.bias, -LARGEST, LARGEST)
        fired: BoolArray = v > group.vth << 6
        v[fired] = 0
        return fired


def _delivery(connection: object, batch: int) -> Callable[[BoolArray], Int64Array]:
    assert isinstance(connection, (Dense, Sparse)) and connection.weight_exp == 0
    n_post, n_pre = connection.shape
    if isinstance(connection, Dense):
        rows = np.ascontiguousarray(np.asarray(connection.weights).T)
        if batch == 1:
            return lambda fired: rows[fired[0]].sum(axis=0)[None]
        floats = rows.astype(np.float32)
        return lambda fired: (fired.astype(np.float32) @ floats).astype(np.int64)
    target = np.asarray(connection.row).reshape(n_pre, -1)  # every neuron has equally many synapses here
    weight = np.asarray(connection.data).reshape(n_pre, -1).astype(np.float64)

    def sparse(fired: BoolArray) -> Int64Array:
        sums = [np.bincount(target[f].ravel(), weight[f].ravel(), n_post) for f in fired]
        return np.stack(sums).astype(np.int64)

    return sparse
