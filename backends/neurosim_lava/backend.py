"""Lava as a backend: networks of LIF, Dense and Sparse on Lava's fixed-point CPU models."""

from __future__ import annotations

import dataclasses
from types import TracebackType

import numpy.typing as npt

from neurosim.backend import RunResult, Status, check_features, check_steps, check_threads, needed_features
from neurosim.errors import BackendError, NetworkError
from neurosim.events import Events, check_events
from neurosim.network import LIF, Dense, Network
from neurosim.program import Program, State
from neurosim_lava import place, translate
from neurosim_lava.session import Session, Worker

# Seconds allowed before a stage counts as hung, some ten times what two busy cores needed.
START_S = 60.0
BUILD_S, BUILD_PER_PROCESS_S, BUILD_PER_WEIGHT_S = 30.0, 1.0, 2e-6
RUN_S, RUN_PER_PROCESS_STEP_S, RUN_PER_WEIGHT_STEP_S = 30.0, 5e-3, 1e-7
READ_S, READ_PER_VALUE_S = 30.0, 1e-6


class LavaBackend:
    """Lava 0.10.0 in a process group of its own.

    Parameters
    ----------
    patience : float
        Factor on all time limits; raise it on a slow machine.
    """

    name = "lava"
    version = place.LAVA_VERSION
    features = frozenset({"lif", "dense", "sparse", "recurrent", "probe_state", "write_weights", "learning"})
    learner = "neurosim_lava.learn:LavaLearner"

    def __init__(self, patience: float = 1.0) -> None:
        self.patience = patience

    @classmethod
    def status(cls) -> Status:
        """Tell whether Lava is found, without importing it."""
        return place.status()

    def open(self, program: Program, *, threads: int = 1, strict: bool = False) -> LavaRunner:
        """Load a program.

        Parameters as in `neurosim.backend.Backend.open`; `threads` changes nothing, since Lava starts its own
        processes. Lava does not tell overflows, so `strict` is refused.
        """
        check_threads(threads)
        network = program.network
        if not network.is_quantized:
            raise BackendError(f"network {network.name!r}: it is not quantised; compile it first")
        check_features(self.name, self.features, needed_features(program) | ({"counts"} if strict else set()))
        return LavaRunner(network, place.found(), self.patience)


class LavaRunner:
    """A network on Lava; made by `LavaBackend.open`."""

    def __init__(self, network: Network, lava: place.Place, patience: float) -> None:
        self._loaded = network
        self._network = network
        self._patience = patience
        self._worker = Worker(f"network {network.name!r}", lava, START_S * patience)
        self._closed = False

    @property
    def session(self) -> Session | None:
        """The process that runs Lava, once there is one."""
        return self._worker.current

    def run(self, events: Events, n_steps: int | None = None, state: State | None = None) -> RunResult:
        """Run all samples, each from rest, in one Lava start.

        Parameters as in `neurosim.backend.Runner.run`; `state` is refused ("resume").
        """
        network = self._network
        if self._closed:
            raise BackendError(f"network {network.name!r}: this runner is closed; open the program again")
        if state is not None:
            check_features(LavaBackend.name, LavaBackend.features, frozenset({"resume"}))
        events = check_events(events, network.n_inputs)
        steps = check_steps(events.n_steps if n_steps is None else n_steps)
        if events.n_samples and any(isinstance(group, LIF) for group in network.groups):
            header, arrays = translate.request(network, events, steps)
            found = self._worker.session().request(header, arrays, self._limits(steps * events.n_samples))
        else:
            found = translate.nothing_recorded(network)
        return translate.result(network, events, steps, found, LavaBackend.name, LavaBackend.version)

    def write_weights(self, connection: str, weights: npt.ArrayLike) -> None:
        """Replace the weights of a dense connection.

        The next run builds the network anew, which takes less time than one write of a large matrix through
        Lava's own interface, and gives new weights the same clipping and rounding as the first ones.
        """
        old = self._network.connection(connection)
        if not isinstance(old, Dense):
            raise NetworkError(f"connection {connection!r}: only dense weights can be replaced; open a new program")
        new = dataclasses.replace(old, weights=weights)
        if new.shape != old.shape:
            raise NetworkError(f"connection {connection!r}: weights have shape {new.shape}, need {old.shape}")
        kept = tuple(new if c.name == connection else c for c in self._network.connections)
        self._network = dataclasses.replace(self._network, connections=kept)

    def reset(self) -> None:
        """Restore the weights of the program."""
        self._network = self._loaded

    def close(self) -> None:
        """End Lava and all that belongs to it; calling it again does nothing."""
        self._closed = True
        self._worker.close()

    def __enter__(self) -> LavaRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _limits(self, n_total: int) -> dict[str, float]:
        """Return the seconds allowed for each stage of a run of `n_total` steps over all samples."""
        network = self._network
        processes = 2 * len(network.groups) + len(network.connections)
        weights = sum(c.shape[0] * c.shape[1] for c in network.connections)
        values = n_total * sum(network.group(probe.group).n for probe in network.probes)
        return stage_limits(n_total, processes, weights, values, self._patience)


def stage_limits(n_steps: int, n_processes: int, n_weights: int, n_values: int, patience: float) -> dict[str, float]:
    """Return the seconds allowed for each stage of a request.

    Parameters
    ----------
    n_steps : int
        Over all samples.
    n_processes, n_weights : int
        Lava Processes, and weights in all connections.
    n_values : int
        Numbers that are read.
    patience : float
    """
    limits = {
        "build": BUILD_S + BUILD_PER_PROCESS_S * n_processes + BUILD_PER_WEIGHT_S * n_weights,
        "run": RUN_S + n_steps * (RUN_PER_PROCESS_STEP_S * n_processes + RUN_PER_WEIGHT_STEP_S * n_weights),
        "read": READ_S + READ_PER_VALUE_S * n_values,
    }
    return {stage: seconds * patience for stage, seconds in limits.items()}
