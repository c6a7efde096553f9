"""Lava as a backend: networks of its neurons and connections on its fixed-point CPU models."""

from __future__ import annotations

from types import TracebackType

import numpy.typing as npt

from neurosim.backend import (
    RunResult,
    Status,
    check_features,
    check_steps,
    check_threads,
    check_values,
    needed_features,
)
from neurosim.errors import BackendError
from neurosim.events import Events, check_events
from neurosim.network import Input, Network, replace_weights
from neurosim.program import Program, State
from neurosim_lava import place, schedule, translate
from neurosim_lava.session import Session, Worker
from neurosim_lava.wire import Arrays

# Seconds allowed before a stage counts as hung, some ten times what two busy cores needed.
START_S = 60.0
BUILD_S, BUILD_PER_PROCESS_S, BUILD_PER_WEIGHT_S = 30.0, 1.0, 2e-6
RUN_S, RUN_PER_PROCESS_STEP_S, RUN_PER_WEIGHT_STEP_S = 30.0, 5e-3, 1e-7
RUN_PER_DELAY_STEP_S = 10e-3  # Lava's delayed connections split their weights by delay anew in each step
READ_S, READ_PER_VALUE_S = 30.0, 1e-6


class LavaBackend:
    """Lava 0.10.0 in a process group of its own.

    Parameters
    ----------
    patience : float
        Factor on all time limits; raise it on a slow machine.
    hardware : bool
        Use a Loihi 2 board in place of the models on the CPU; needs Intel's lava-loihi. Never tried on a chip.
    """

    name = "lava"
    version = place.LAVA_VERSION
    #: All of Lava's own integer models, and multi-spike neurons as a Process of ours; LIF neurons with a refractory period Lava has
    #: in floats only.
    features = frozenset({
        "lif", "lif_reset", "lif_ternary", "lif_multispike", "sigma", "delta", "sigma_delta", "product", "graded_vec", "resonate", "atrlif",
        "dense", "sparse", "conv", "delays", "graded", "recurrent", "probe_state", "write_weights", "learning",
    })  # fmt: skip
    learner = "neurosim_lava.learn:LavaLearner"
    hardware = False

    def __init__(self, patience: float = 1.0, hardware: bool = False) -> None:
        self.patience = patience
        if hardware:
            self.hardware, self.name, self.features = True, LavaLoihiBackend.name, LavaLoihiBackend.features

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
        lava = place.found()
        missing = place.missing_for_chip(lava) if self.hardware else None
        if missing is not None:
            raise BackendError(f"backend {self.name!r} is not available: {missing}; use the backend 'lava'")
        return LavaRunner(network, lava, self.patience, program.models is not None, self.hardware)


class LavaLoihiBackend(LavaBackend):
    """Lava on a Loihi 2 board, as a backend with a name of its own; see `neurosim_lava.hardware`.

    Parameters
    ----------
    patience : float
        As in `LavaBackend`.
    """

    name = "lava-loihi"
    #: What lava-loihi is known to have models for; whether this installation has one is checked before a run.
    features = frozenset({
        "lif", "lif_reset", "sigma_delta", "graded_vec",
        "dense", "sparse", "delays", "graded", "recurrent", "write_weights",
    })  # fmt: skip
    hardware = True

    def __init__(self, patience: float = 1.0) -> None:
        super().__init__(patience)

    @classmethod
    def status(cls) -> Status:
        """Tell whether Lava and lava-loihi are found, without importing them."""
        lava = place.find()
        missing = None if lava is None else place.missing_for_chip(lava)
        return place.status() if missing is None else Status(False, missing)


class LavaRunner:
    """A network on Lava; made by `LavaBackend.open`.

    Parameters
    ----------
    network : Network
    lava : Place
    patience : float
        Factor on all time limits.
    graded : bool
        Whether spikes come with values.
    hardware : bool
        Run on a Loihi 2 board.
    """

    def __init__(
        self, network: Network, lava: place.Place, patience: float, graded: bool = False, hardware: bool = False
    ) -> None:
        self._loaded = network
        self._graded, self._hardware = graded, hardware
        self._network = network
        self._patience = patience
        self._worker = Worker(f"network {network.name!r}", lava, START_S * patience)
        self._closed = False

    @property
    def session(self) -> Session | None:
        """The process that runs Lava, once there is one."""
        return self._worker.current

    @property
    def _name(self) -> str:
        return (LavaLoihiBackend if self._hardware else LavaBackend).name

    def run(self, events: Events, n_steps: int | None = None, state: State | None = None) -> RunResult:
        """Run all samples, each from rest, in one Lava start where `schedule.plan` allows it.

        Parameters as in `neurosim.backend.Runner.run`; `state` is refused ("resume").
        """
        network = self._network
        if self._closed:
            raise BackendError(f"network {network.name!r}: this runner is closed; open the program again")
        if state is not None:
            check_features(self._name, LavaBackend.features, frozenset({"resume"}))
        events = check_events(events, network.n_inputs)
        steps = check_steps(events.n_steps if n_steps is None else n_steps)
        check_values(network, events)
        if not events.n_samples or all(isinstance(group, Input) for group in network.groups):
            found = translate.nothing_recorded(network)
        elif not self._hardware and (period := schedule.plan(network, steps, events.n_samples)) is not None:
            found = self._request(events, steps, period)
        else:
            samples = range(events.n_samples)
            found = translate.joined([self._request(events.take([sample]), steps, steps) for sample in samples])
        return translate.result(network, events, steps, found, self._name, LavaBackend.version, self._graded)

    def _request(self, events: Events, n_steps: int, period: int) -> Arrays:
        """Run samples in one Lava start."""
        header, arrays = translate.request(self._network, events, n_steps, period)
        header["kind"] = "hardware" if self._hardware else "run"
        return self._worker.session().request(header, arrays, self._limits(period * events.n_samples))

    def write_weights(self, connection: str, weights: npt.ArrayLike) -> None:
        """Replace the weights of a connection, in the shape of its description.

        The next run builds the network anew, which takes less time than one write of a large matrix through
        Lava's own interface, and gives new weights the same clipping and rounding as the first ones.
        """
        replace_weights(self._network.connection(connection), weights)  # an unknown connection is refused as well
        self._network = self._network.with_weights({connection: weights})

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
        delays = sum(schedule.longest_delays(network))
        limits = stage_limits(n_total, processes, weights, values, self._patience)
        return limits | {"run": limits["run"] + n_total * delays * RUN_PER_DELAY_STEP_S * self._patience}


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
