"""Training on Lava: members run on its neurons and synapses, votes are summed by its learning engine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.backend import check_features, needed_features
from neurosim.codes import KIND, KIND_ROWS, UPDATE_SIGNIFICANCE
from neurosim.errors import FeatureError
from neurosim.events import Events, check_events
from neurosim.learning.generation import Outcome, check_batch
from neurosim.learning.twin import TwinUpdates
from neurosim.learnplan import FACTORS, LearnPlan, Scales
from neurosim.network import LIF
from neurosim.program import Program
from neurosim_lava import place
from neurosim_lava.backend import START_S, stage_limits
from neurosim_lava.engine import sums
from neurosim_lava.members import Members
from neurosim_lava.session import Session, Worker
from neurosim_lava.wire import Arrays, Header

#: What a program that learns may need; the members' neurons are LIF.
FEATURES = frozenset({"lif", "dense", "sparse", "recurrent", "probe_state"})


#: The factors that members draw or trace.
KNOWN_FACTORS = ("trace", "random")


def check_rule(plan: LearnPlan) -> None:
    """Refuse variants of the rule that members on Lava do not know.

    Raises
    ------
    FeatureError
        If the plan has another factor, leaves samples without pairs, or perturbs one group at a time. All members run
        in one start, before any likelihood is known.
    """
    factor = next(name for name, code in FACTORS.items() if code == plan.factor)
    for known, found, limit in (
        (factor in KNOWN_FACTORS, f"factor {factor!r}", f"choose {' or '.join(KNOWN_FACTORS)}"),
        (plan.pair_every == 1, f"pair_every {plan.pair_every}", "set it to 1"),
        (plan.skip == 0, "skip", "set it to 1"),
        (not plan.one_group, "one_group", "turn it off"),
        (
            plan.n_learned == plan.n_weights,
            "biases or thresholds, not only weights",
            "set rule.biases and rule.thresholds to false",
        ),
        (
            plan.update != UPDATE_SIGNIFICANCE,
            "update 'significance', which needs squares of votes",
            "choose 'rounding'",
        ),
    ):
        if not known:
            raise FeatureError(f"rule: backend 'lava' does not learn with {found}; {limit}, or use backend 'simulator'")


class LavaLearner(TwinUpdates):
    """A program being trained on Lava; see `neurosim.learning.generation.Learner`.

    Parameters
    ----------
    program, plan, events, labels, threads
        As in `neurosim.learning.opening.open_learner`; `threads` changes nothing.
    patience : float
        Factor on all time limits.

    Raises
    ------
    FeatureError
        If the program needs what Lava's neurons have not, or the rule is one that `check_rule` refuses.
    """

    def __init__(
        self, program: Program, plan: LearnPlan, events: Events, labels: npt.NDArray[np.int64], threads: int,
        patience: float = 1.0,
    ) -> None:  # fmt: skip
        check_features("lava, learning", FEATURES, needed_features(program))
        check_rule(plan)
        for index, kind in zip(plan.connections, plan.plastic[:-1, KIND], strict=True):
            if kind != KIND_ROWS:
                raise FeatureError(
                    f"lava, learning: connection {program.network.connections[index].name!r} is sparse, Lava's learning engine "
                    "is driven for dense ones only; use the backend 'simulator'"
                )
        self.program, self.plan, self.events, self.labels = program, plan, events, labels
        self._inputs = events.to_dense()
        self._patience = patience
        self.weights: dict[str, npt.NDArray[np.int64]] = {}
        self._worker = Worker(f"network {program.network.name!r}", place.found(), START_S * patience)

    @property
    def session(self) -> Session | None:
        """The process that runs Lava, once there is one."""
        return self._worker.current

    def evaluate(
        self, ids: npt.NDArray[np.int64], response: npt.NDArray[np.int32], scales: Scales, key: int
    ) -> Outcome:
        """Run the population, in one Lava start, and sum its votes, in another; operations are not counted."""
        check_batch(ids, response, self.plan, self.program, self.events)
        members = Members(self.program, self.plan, scales)
        if len(ids):
            network = self.program.network.with_weights(self.weights)
            header, arrays = members.request(network, self.events, np.asarray(ids, np.int64), key)
            limits = self._limits(header, arrays)
            members.take(self._worker.session().request(header, arrays, limits, "members of a generation"))
        seen = members.learn(ids, self.labels, self._inputs, response.astype(np.int64), key)
        shapes = [connection.shape for connection in members.connections]
        votes = sums(self._worker, [members.terms(c) for c in range(len(shapes))], shapes, self._patience)
        return Outcome(
            votes=np.concatenate([part.T.ravel() for part in votes]),
            measured=seen.measured,
            predictions=seen.predictions,
            statistics=seen.statistics,
            counts=None,
        )

    def show(self, events: Events) -> None:
        """Take other input spikes; see `neurosim.learning.generation.Learner.show`."""
        self.events = check_events(events, self.program.network.n_inputs)
        self._inputs = self.events.to_dense()

    def close(self) -> None:
        """End Lava and all that belongs to it; calling it again does nothing."""
        self._worker.close()

    def _limits(self, header: Header, arrays: Arrays) -> dict[str, float]:
        """Return the seconds allowed for each stage of running all members."""
        network = self.program.network
        processes = len(network.groups) + len(network.connections) + len(header["drives"])
        weights = sum(c.shape[0] * c.shape[1] for c in network.connections)
        runs = header["n_samples"]
        neurons = sum(group.n for group in network.groups if isinstance(group, LIF))
        n_values = runs * (1 + 2 * header["rank"]) * neurons
        return stage_limits(runs * header["n_steps"], processes, weights, n_values, self._patience)
