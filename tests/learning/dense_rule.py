"""The learning rule written with whole matrices: every member is a network with other weights, every vote a product.

Nothing is shared between runs and nothing is merged, so this is slow, and independent of kernels and twins: it has
its own time step. Only the hash of the noise and the log-softmax are taken from the reference; they have own tests.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from random_networks import LearningCase

from neurosim.codes import CREDIT_SHIFT, NOISE_EXP
from neurosim.learnplan import FACTORS, FORMS
from neurosim.network import LIF, Dense
from neurosim.reference.fitness import log_softmax
from neurosim.reference.noise import fold, normals, signs

Matrix = npt.NDArray[np.int64]


class Trial(NamedTuple):
    """One run of the network."""

    z: Matrix  # (C,) readout after the last step
    fired: dict[str, npt.NDArray[np.bool_]]  # (T, n) of each group
    near: dict[str, npt.NDArray[np.bool_]]  # (T, n) of each group of neurons


class Votes(NamedTuple):
    """What a generation gives, by plastic connection and by group."""

    votes: dict[str, Matrix]  # (n_post, n_pre)
    measured: dict[str, Matrix]  # (R, C, n)
    predictions: list[int]


def scaled(x: Matrix, keep: int) -> Matrix:
    return np.sign(x) * (np.abs(x) * keep >> 12)


class DenseRule:
    """A learning case, evaluated the long way."""

    def __init__(self, case: LearningCase) -> None:
        self.case, self.plan, network = case, case.plan, case.program.network
        self.groups = [g.name for g in network.ordered_groups]
        self.network, self.rank = network, case.plan.rank
        self.factor = next(name for name, code in FACTORS.items() if code == case.plan.factor)
        self.weights = {}
        for c in network.connections:
            assert isinstance(c, Dense) and c.sign_mode == "mixed" and c.weight_exp == 0
            lost = 9 - c.num_weight_bits
            self.weights[c.name] = (np.asarray(c.weights) >> lost) << lost
        self.plastic = [network.connections[i] for i in case.plan.connections]
        self.readout = self.groups[case.plan.readout]
        learning = {c.target for c in self.plastic}
        response = case.plan.form == FORMS["response"]
        self.learning = [g for g in self.groups if g in learning]
        self.perturbed = [g for g in self.learning if not (response and g == self.readout)]
        self.inputs = case.events.to_dense()
        self.offset = network.offsets

    def window(self, t: int) -> int:
        return t * self.rank // self.plan.n_steps

    def trial(self, sample: int, change: dict[str, Matrix] | None = None) -> Trial:
        """Run one sample with `change` (R, n_post, n_pre), in 1/64 weight units, added to the plastic weights."""
        network, n_steps = self.network, self.plan.n_steps
        fired = {g.name: np.zeros((n_steps + 1, g.n), bool) for g in network.groups}  # row t + 1 is step t
        near = {g.name: np.zeros((n_steps, g.n), bool) for g in network.groups}
        u = {g.name: np.zeros(g.n, np.int64) for g in network.groups}
        v = {g.name: np.zeros(g.n, np.int64) for g in network.groups}
        for t in range(n_steps):
            for g in network.groups:
                if not isinstance(g, LIF):
                    if t < self.inputs.shape[1]:
                        first = self.offset[g.name]
                        fired[g.name][t + 1] = self.inputs[sample, t, first : first + g.n]
                    continue
                current = np.zeros(g.n, np.int64)
                for c in network.connections:
                    if c.target == g.name:
                        spikes = fired[c.source][t].astype(np.int64)
                        current += 64 * (self.weights[c.name] @ spikes)
                        if change is not None and c.name in change:
                            trace = self.factor == "trace"
                            active = change[c.name][self.window(t)] if trace else change[c.name].sum(axis=0)
                            current += active @ spikes
                u[g.name] = scaled(u[g.name], 4095 - g.du) + current
                v[g.name] = scaled(v[g.name], 4096 - g.dv) + u[g.name] + g.bias
                assert np.abs(u[g.name]).max() < 1 << 23 and np.abs(v[g.name]).max() < 1 << 23
                near[g.name][t] = v[g.name] > (g.vth << 6) // 2
                fired[g.name][t + 1] = v[g.name] > g.vth << 6
                v[g.name][fired[g.name][t + 1]] = 0
        return Trial(v[self.readout], {name: rows[1:] for name, rows in fired.items()}, near)

    def traces(self, base: Trial) -> dict[str, Matrix]:
        """Return spike counts (R, n) by the window in which the spikes are delivered."""
        counts = {g: np.zeros((self.rank, rows.shape[1]), np.int64) for g, rows in base.fired.items()}
        for g, rows in base.fired.items():
            for t in range(1, self.plan.n_steps):
                counts[g][self.window(t)] += rows[t - 1]
        return counts

    def perturbed_by(self, slot: int, pair: int) -> list[str]:
        """Return the groups that a pair perturbs: all, or one after the other over the pairs of the generation."""
        if not self.plan.one_group or not self.perturbed:
            return self.perturbed
        before = sum(self.n_pairs(earlier) for earlier in range(slot))
        return [self.perturbed[(before + pair) % len(self.perturbed)]]

    def n_pairs(self, slot: int) -> int:
        return 0 if slot % self.plan.pair_every else self.plan.n_pairs

    def draw(self, key: int, n: int) -> Matrix:
        return (normals if self.factor in ("gaussian", "full-gaussian") else signs)(key, n)

    def directions(self, pair_key: int, active: list[str], traces: dict[str, Matrix]) -> dict[str, Matrix]:
        """Return what a pair adds to each plastic connection, (R, n_post, n_pre) before scaling.

        An outer product of post and pre factors for each rank, or a draw for every synapse. Sources that never fired in
        the base run have none.
        """
        found = {}
        for c in self.plastic:
            if c.target not in active:
                found[c.name] = np.zeros((self.rank, *c.shape), np.int64)
                continue
            n_post, n_pre = c.shape
            stream = fold(pair_key, len(self.groups) + self.network.connections.index(c))
            fired = traces[c.source].sum(axis=0) > 0
            if self.factor.startswith("full"):
                columns = [self.draw(fold(stream, j), n_post) for j in range(n_pre)]
                found[c.name] = np.stack(columns, axis=1)[None] * fired
                continue
            if self.factor == "trace":
                pre = traces[c.source]
            else:
                pre = np.stack([self.draw(fold(stream, r), n_pre) for r in range(self.rank)]) * fired
            post = self.post_factors(pair_key, c.target)
            found[c.name] = post[:, :, None] * pre[:, None, :]
        return found

    def post_factors(self, pair_key: int, group: str) -> Matrix:
        """Return the post factors (R, n) of a perturbed group."""
        stream, n = fold(pair_key, self.groups.index(group)), self.network.group(group).n
        return np.stack([self.draw(fold(stream, r), n) for r in range(self.rank)])

    def change(self, directions: dict[str, Matrix], sign: int) -> dict[str, Matrix]:
        """Return the change of every perturbed weight, (R, n_post, n_pre): sign * 2**exponent * direction."""
        found = {}
        for c in self.plastic:
            if c.target in self.perturbed:
                exponent = int(self.case.scales.group[self.groups.index(c.target), NOISE_EXP])
                assert exponent >= 0
                found[c.name] = sign * (1 << exponent) * directions[c.name]
        return found

    def likelihood(self, z: Matrix, label: int) -> int:
        return log_softmax(z, label, self.case.scales.temperature, self.plan.error_bits)[0]

    def evaluate(self, key: int) -> Votes:
        """Return the votes of the case's generation."""
        plan, scales = self.plan, self.case.scales
        votes = {c.name: np.zeros(c.shape, np.int64) for c in self.plastic}
        sizes = {g: self.network.group(g).n for g in self.groups}
        measured = {g: np.zeros((self.rank, plan.n_classes, sizes[g]), np.int64) for g in self.perturbed}
        predictions = []
        for slot, sample in enumerate(self.case.ids.tolist()):
            label = int(self.case.labels[sample])
            base = self.trial(sample)
            predictions.append(int(np.argmax(base.z)))
            traces = self.traces(base)
            unknown = self.likelihood(base.z, label) <= plan.skip  # samples that are well known have no pairs
            for pair in range(self.n_pairs(slot) if unknown else 0):
                pair_key, active = fold(fold(key, slot), pair), self.perturbed_by(slot, pair)
                directions = self.directions(pair_key, active, traces)
                plus, minus = (self.trial(sample, self.change(directions, sign)).z for sign in (1, -1))
                if plan.form == FORMS["response"]:
                    for g in active:
                        measured[g] += (plus - minus)[None, :, None] * self.post_factors(pair_key, g)[:, None, :]
                    continue
                difference = self.likelihood(plus, label) - self.likelihood(minus, label)
                fitness = int(np.sign(difference)) * min(127, abs(difference) >> scales.fitness_shift)
                for c in self.plastic:
                    counted = self.counted(c.target, base)
                    votes[c.name] += fitness * (counted[:, :, None] * directions[c.name]).sum(axis=0)
            if plan.form == FORMS["response"]:
                error = log_softmax(base.z, label, scales.temperature, plan.error_bits)[1]
                for c in self.plastic:
                    local = self.local_votes(c.target, error, base)
                    votes[c.name] += np.einsum("rk,rj->kj", local, traces[c.source])
        return Votes(votes, measured, predictions)

    def near(self, group: str, base: Trial) -> npt.NDArray[np.bool_]:
        """Return (R, n): whether a neuron came near its threshold in a window of the base run."""
        near = np.zeros((self.rank, self.network.group(group).n), bool)
        for t in range(self.plan.n_steps):
            near[self.window(t)] |= base.near[group][t]
        return near

    def counted(self, group: str, base: Trial) -> npt.NDArray[np.bool_]:
        """Return (R, n): whether a neuron's votes count in the scalar form; a gate asks who came near in that window.

        Only traces have windows: for the other factors it asks whether the neuron came near at all.
        """
        shape = (self.rank, self.network.group(group).n)
        if not self.plan.gate or group == self.readout:
            return np.ones(shape, bool)
        near = self.near(group, base)
        return near if self.factor == "trace" else np.broadcast_to(near.any(axis=0), shape)

    def local_votes(self, group: str, error: Matrix, base: Trial) -> Matrix:
        """Return minus the errors seen through each neuron's response, (R, n), where it came near firing."""
        n = self.network.group(group).n
        if group == self.readout:
            return np.broadcast_to(-error, (self.rank, n))
        where = slice(self.offset[group], self.offset[group] + n)
        total = -np.einsum("rok,o->rk", self.case.response[:, :, where].astype(np.int64), error)
        shift = int(self.case.scales.group[self.groups.index(group), CREDIT_SHIFT])
        near = self.near(group, base)
        return np.where(near, np.clip(np.sign(total) * (np.abs(total) >> shift), -4095, 4095), 0)
