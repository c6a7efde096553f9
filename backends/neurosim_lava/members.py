"""The caller's side of a generation on Lava: what members are given, and the rule applied to what their runs show."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.codes import FACTOR_TRACE, NOISE_EXP, PERTURBED, STAT_DRIVE, STAT_DRIVE_STEPS
from neurosim.events import Events
from neurosim.learnplan import LearnPlan, Scales
from neurosim.network import LIF, Input, Network
from neurosim.program import Program
from neurosim.reference.learn import Learner
from neurosim.reference.noise import fold
from neurosim_lava import translate
from neurosim_lava.lessons import Terms
from neurosim_lava.wire import Arrays, Header

Int64Array = npt.NDArray[np.int64]


class Members(Learner):
    """The rule of `neurosim.reference.learn` over runs that Lava made.

    The base class gives the noise, the softmax and the local votes; runs are looked up in what Lava returned, and
    products of factors are kept, for Lava's learning engine to sum, instead of being summed here.
    """

    def __init__(self, program: Program, plan: LearnPlan, scales: Scales) -> None:
        super().__init__(program, plan, scales, {})
        self._kept: list[list[tuple[int, Int64Array, Int64Array]]] = [[] for _ in self.connections]
        self._neurons = [group for group in self.groups if isinstance(group, LIF)]
        self._found: Arrays = {}
        self._next = 0  # run, counted over all samples

    @property
    def n_runs(self) -> int:
        """Runs of one sample."""
        return 1 + 2 * self.plan.n_pairs

    def request(self, network: Network, events: Events, ids: Int64Array, key: int) -> tuple[Header, Arrays]:
        """Describe all runs of a generation for the worker.

        Parameters
        ----------
        network : Network
            With the present weights.
        events : Events
        ids : (B,) int64
            Samples.
        key : int
            Names the generation's noise.
        """
        plan = self.plan
        runs = events.take(np.repeat(ids, self.n_runs))
        header, arrays = translate.request(network.with_probes(()), runs, plan.n_steps)
        self._choose_groups(0)  # the same for every pair (`learn.check_rule`)
        pair_keys = [[fold(fold(key, i), pair) for pair in range(plan.n_pairs)] for i in range(len(ids))]
        post = np.array([[self._post_factors(k) for k in keys] for keys in pair_keys], np.int8)
        index = {group.name: i for i, group in enumerate(self.groups)}
        for i, group in enumerate(self._neurons):
            if plan.group[index[group.name], PERTURBED]:
                arrays[f"post_{i}"] = post[:, :, :, self.slices[group.name]]
        drives: list[dict[str, Any]] = []
        everyone = np.ones((plan.rank, self.n_neurons), np.int64)
        for c, connection in enumerate(self.connections):
            if not plan.group[index[connection.target], PERTURBED]:
                continue
            if plan.factor != FACTOR_TRACE:
                signs = [[self._random_factors(k, everyone)[c] for k in keys] for keys in pair_keys]
                arrays[f"signs_{len(drives)}"] = np.array(signs, np.int8)
            drives.append(
                {"connection": connection.name, "source": connection.source, "target": connection.target,
                 "n": connection.shape[1]}
            )  # fmt: skip
        noise_exp = [int(self.scales.group[index[group.name], NOISE_EXP]) for group in self._neurons]
        header |= {"kind": "members", "n_pairs": plan.n_pairs, "rank": plan.rank, "noise_exp": noise_exp,
                   "windows": plan.factor == FACTOR_TRACE, "drives": drives}  # fmt: skip
        return header, arrays

    def take(self, found: Arrays) -> None:
        """Keep the worker's answer for `learn`."""
        self._found = found
        for i, group in enumerate(self._neurons):
            row = self.groups.index(group)
            self.statistics[[STAT_DRIVE, STAT_DRIVE_STEPS], row] = found[f"drive_{i}"]

    def terms(self, c: int) -> Terms:
        """Return the products that make up the votes of the c-th plastic connection."""
        n_post, n_pre = self.connections[c].shape
        kept = self._kept[c]
        return Terms(
            np.array([f for f, _, _ in kept], np.int64),
            np.array([post for _, post, _ in kept], np.int64).reshape(-1, n_post),
            np.array([pre for _, _, pre in kept], np.int64).reshape(-1, n_pre),
        )

    def _take_run(self) -> tuple[int, int, Int64Array]:
        """Return sample, run of the sample, and readout of the next run."""
        sample, run = divmod(self._next, self.n_runs)
        self._next += 1
        readout = self._neurons.index(self.groups[self.plan.readout])  # type: ignore[arg-type]
        return sample, run, self._found[f"final_{readout}"][sample, run].astype(np.int64)

    def _run_base(self, inputs: npt.NDArray[np.bool_]) -> tuple[Int64Array, Int64Array, npt.NDArray[np.bool_]]:
        sample, run, readout = self._take_run()
        assert run == 0
        trace = np.zeros((self.plan.rank, self.n_neurons), np.int64)
        near = np.zeros((self.plan.rank, self.n_neurons), np.bool_)
        for i, group in enumerate(self._neurons):
            trace[:, self.slices[group.name]] = self._found[f"trace_{i}"][sample]
            near[:, self.slices[group.name]] = self._found[f"near_{i}"][sample]
        n_inputs = sum(group.n for group in self.groups if isinstance(group, Input))
        for t in range(self.plan.n_steps - 1):  # what was fed needs no measuring
            trace[self._window(t + 1), :n_inputs] += self._inputs_at(inputs, t)
        self._count_traces(trace, near)
        return readout, trace, near

    def _run_member(
        self, inputs: npt.NDArray[np.bool_], pre: list[Int64Array], post: Int64Array, sign: int
    ) -> Int64Array:
        _, run, readout = self._take_run()
        assert sign == (1 if run % 2 else -1)
        return readout

    def _reward(self, fitness: int, pre: list[Int64Array], post: Int64Array, credit: Int64Array) -> None:
        self._keep(fitness, post, pre)

    def _vote(self, pre: list[Int64Array], credit: Int64Array) -> None:
        self._keep(1, credit, pre)  # zero in the scalar form, where the pairs were kept one by one

    def _keep(self, f: int, post: Int64Array, pre: list[Int64Array]) -> None:
        for kept, connection, factors in zip(self._kept, self.connections, pre, strict=True):
            local = post[:, self.slices[connection.target]]
            kept += [(f, a, b.copy()) for a, b in zip(local, factors, strict=True) if f and a.any() and b.any()]
