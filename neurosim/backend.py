"""The interface of a backend, and the registry that finds one by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from types import TracebackType
from typing import NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from neurosim.counters import OpCounts
from neurosim.errors import BackendError, ConfigError, DataError, FeatureError
from neurosim.events import Events
from neurosim.network import LIF, Connection, Conv, Dense, Input, Network
from neurosim.neurons import MODEL_FEATURES
from neurosim.program import Program, State

ENTRY_POINT_GROUP = "neurosim.backends"
MAX_THREADS = 256

#: What a backend may declare. A program that needs a feature the backend lacks is refused in `open`.
FEATURES = {
    "lif": "current-based leaky integrate-and-fire neurons",
    "per_neuron": "du, dv or thresholds of each neuron's own",
    "lif_reset": "LIF neurons with periodic reset",
    "lif_refractory": "LIF neurons with a refractory period",
    "lif_ternary": "LIF neurons with signed spikes",
    "lif_multispike": "LIF neurons with several spikes a step and soft reset",
    "sigma": "sigma neurons",
    "delta": "delta neurons",
    "sigma_delta": "sigma-delta neurons",
    "product": "neurons that multiply two inputs",
    "graded_vec": "graded vector neurons",
    "resonate": "resonate-and-fire neurons, both forms",
    "atrlif": "LIF neurons with adaptive threshold",
    "dense": "dense connections",
    "sparse": "sparse and one-to-one connections",
    "conv": "convolutions",
    "delays": "synaptic delays",
    "graded": "messages with values",
    "loihi1": "the arithmetic of the chip where Lava's differs",
    "lava-dl": "the arithmetic of lava-dl where Lava's differs",
    "recurrent": "connections that form a cycle",
    "probe_state": "recording u, v and other states",
    "resume": "starting from a given state, and returning the final one",
    "counts": "exact operation counts",
    "write_weights": "replacing weights between runs",
    "learning": "training by evolution strategies (see neurosim.learning)",
}

#: Built-in backends, in the form of entry points.
BUILT_IN = {
    "simulator": "neurosim.simulator:SimulatorBackend",
    "reference": "neurosim.simulator:ReferenceBackend",
}


class SpikeTrain(NamedTuple):
    """Spikes of one group, ordered by sample, then step, then neuron."""

    sample: npt.NDArray[np.int32]
    step: npt.NDArray[np.int32]  # from 0: step t of this array is the t-th step of the run
    neuron: npt.NDArray[np.int32]  # within the group
    value: npt.NDArray[np.int32] | None = None  # of graded messages; None: all 1


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run returns; None marks what the backend cannot observe.

    Parameters
    ----------
    spikes : dict of group to SpikeTrain
        For the groups whose spikes are probed.
    states : dict of (group, state) to (n_samples, n_steps, n) int32
        Values at the end of each step (after the reset), for probed states.
    counts : OpCounts or None
    final : State or None
    backend, version : str
        Which backend made this.
    """

    spikes: dict[str, SpikeTrain]
    states: dict[tuple[str, str], npt.NDArray[np.int32]]
    counts: OpCounts | None
    final: State | None
    backend: str
    version: str


class Runner(Protocol):
    """A program loaded on a backend; use it in a ``with`` block."""

    def run(self, events: Events, n_steps: int | None = None, state: State | None = None) -> RunResult:
        """Run all samples, each from rest or from its row of `state`.

        Parameters
        ----------
        events : Events
            Input spikes; a spike of step t reaches its targets in step t + 1.
        n_steps : int, optional
            Steps to run; ``events.n_steps`` by default. Later steps have no input.
        state : State, optional
            State to start from; needs the feature "resume".
        """
        ...

    def write_weights(self, connection: str, weights: npt.ArrayLike) -> None:
        """Replace the integer weights of a connection, in the shape of its description and after its border check."""
        ...

    def reset(self) -> None:
        """Restore the weights of the program."""
        ...

    def close(self) -> None:
        """Free what the runner holds; calling it again does nothing."""
        ...

    def __enter__(self) -> Runner: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Status(NamedTuple):
    """Whether a backend can be used here; the remedy is a command or None."""

    available: bool
    detail: str
    remedy: str | None = None


class Backend(Protocol):
    """A simulator or chip that runs programs."""

    name: str
    version: str
    features: frozenset[str]

    @classmethod
    def status(cls) -> Status:
        """Tell whether the backend can run here, cheaply, without starting it."""
        ...

    def open(self, program: Program, *, threads: int = 1, strict: bool = False) -> Runner:
        """Load a program.

        Parameters
        ----------
        program : Program
        threads : int
            Worker threads; results do not depend on it.
        strict : bool
            Raise `OverflowDetected` when a register overflows, instead of counting only.
        """
        ...


class LearningBackend(Backend, Protocol):
    """A backend with the feature "learning".

    `learner` is "module:class" of what trains on it, imported on first use. The class is called with ``(program, plan,
    events, labels, threads)``, all of them checked, and gives a `neurosim.learning.generation.Learner`.
    """

    learner: str


BackendClass = Callable[[], Backend]


def registered() -> dict[str, str]:
    """Return name -> "module:class" of the built-in and the installed backends."""
    found = {entry.name: entry.value for entry in entry_points(group=ENTRY_POINT_GROUP)}
    return found | BUILT_IN


def load_backend_class(name: str) -> type[Backend]:
    """Import the class of a registered backend."""
    table = registered()
    if name not in table:
        close = difflib.get_close_matches(name, table, 1)
        hint = f"did you mean {close[0]!r}?" if close else "see: neurosim backends"
        raise BackendError(f"unknown backend {name!r}; installed: {', '.join(sorted(table))}; {hint}")
    module, _, attribute = table[name].partition(":")
    return cast("type[Backend]", getattr(import_module(module), attribute))


def backend_status() -> dict[str, Status]:
    """Return the state of every registered backend, without starting any."""
    states = {}
    for name in registered():
        try:
            states[name] = load_backend_class(name).status()
        except ImportError as error:
            states[name] = Status(
                False, f"cannot be imported: {error}", "python -m pip install --force-reinstall neurosim-hal"
            )
    return states


def get_backend(name: str = "simulator") -> Backend:
    """Return the backend of that name, ready to open programs.

    Raises
    ------
    BackendError
        If the name is unknown or what the backend drives is not installed; the text has the remedy.
    """
    backend_class = load_backend_class(name)
    status = backend_class.status()
    if not status.available:
        remedy = f" Install it with: {status.remedy}" if status.remedy else ""
        raise BackendError(f"backend {name!r} is not available: {status.detail}.{remedy}")
    return backend_class()


def check_threads(threads: int) -> int:
    """Return the number of worker threads, or say why it cannot be."""
    valid = isinstance(threads, (int, np.integer)) and not isinstance(threads, bool) and 1 <= threads <= MAX_THREADS
    if not valid:
        raise ConfigError(f"threads: {threads!r} is not in 1..{MAX_THREADS}; give the number of worker threads")
    return int(threads)


def check_steps(n_steps: int) -> int:
    """Return the number of steps to run, or say why it cannot be."""
    if not isinstance(n_steps, (int, np.integer)) or isinstance(n_steps, bool) or int(n_steps) < 1:
        raise ConfigError(f"n_steps: {n_steps!r} is not a positive integer; give the number of steps to run")
    return int(n_steps)


def check_values(network: Network, events: Events) -> None:
    """Refuse input values that a message of a connection cannot hold."""
    if events.value is None:
        return
    for connection in network.connections:
        source = network.group(connection.source)
        if isinstance(connection, Connection) or not connection.num_message_bits or not isinstance(source, Input):
            continue
        first = network.offsets[source.name]
        mine = events.value[(events.neuron >= first) & (events.neuron < first + source.n)]
        limit = (1 << connection.num_message_bits) - 1
        worst = int(np.abs(mine.astype(np.int64)).max(initial=0))
        if worst > limit:
            raise DataError(
                f"events: a value of {worst} for input {source.name!r} exceeds the {limit} of connection "
                f"{connection.name!r}; scale the input or raise num_message_bits"
            )


def needed_features(program: Program) -> frozenset[str]:
    """Return the features that a program needs from a backend."""
    network = program.network
    needed = set()
    for group in network.groups:
        for model, feature in MODEL_FEATURES.items():
            if type(group) is model:
                needed.add(feature)
        if isinstance(group, LIF) and not group.is_uniform:
            needed.add("per_neuron")
    for connection in network.connections:
        assert not isinstance(connection, Connection)
        needed.add({Dense: "dense", Conv: "conv"}.get(type(connection), "sparse"))
        if connection.delays is not None:
            needed.add("delays")
        if connection.num_message_bits:
            needed.add("graded")
    if program.arithmetic != "lava-0.10":
        needed.add(program.arithmetic)
    if any(probe.what != "spikes" for probe in network.probes):
        needed.add("probe_state")
    if has_cycle({(c.source, c.target) for c in network.connections}):
        needed.add("recurrent")
    return frozenset(needed)


def has_cycle(edges: set[tuple[str, str]]) -> bool:
    """Whether a directed graph, (source, target) by name, has a cycle; a self-connection is one."""
    while edges:
        sources = {source for source, _ in edges}
        kept = {(source, target) for source, target in edges if target in sources}
        if kept == edges:
            return True
        edges = kept
    return False


def check_features(backend: str, features: frozenset[str], needed: frozenset[str]) -> None:
    """Refuse what a backend cannot do, by name."""
    missing = sorted(needed - features)
    if missing:
        described = ", ".join(f"{name} ({FEATURES.get(name, 'unknown')})" for name in missing)
        raise FeatureError(f"backend {backend!r} lacks: {described}; use the backend 'simulator'")
