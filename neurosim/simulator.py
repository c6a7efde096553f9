"""The built-in backends: "simulator" (compiled kernels) and "reference" (their numpy twins)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.backend import (
    FEATURES,
    RunResult,
    SpikeTrain,
    Status,
    check_features,
    check_steps,
    check_threads,
    check_values,
    needed_features,
)
from neurosim.codes import FORMAT, FORMAT_CSR, FORMAT_DENSE8, FORMAT_LINK, OFFSET, PROBE_SPIKES, PROBE_U, SHIFT
from neurosim.counters import N_COUNTERS, OVERFLOWS, OpCounts
from neurosim.errors import ConfigError, OverflowDetected
from neurosim.events import Events, check_events
from neurosim.fixedpoint import STATE_MAX, STATE_WRAP
from neurosim.mapping.pack import mantissa_shift, pack
from neurosim.mapping.pack_models import chip_weights, pack_models
from neurosim.network import Connection, Dense, IntegerConnection, replace_weights
from neurosim.program import Program, State, aligned_copy, part_of, rest_state
from neurosim.scratch import ModelScratch, make_model_scratch, make_scratch
from neurosim.version import VERSION

#: What u and v of a run can hold: u after one correction of a 32-bit sum, v after saturation.
STATE_LIMITS = {"u": 2**31 - STATE_WRAP, "v": STATE_MAX}
BLOCKS_PER_THREAD = 4  # of samples: a thread that is held up leaves more of them to the others
FIRST_CAPACITY = 1024  # probed spikes per sample for which room is made at first


class _Probes(NamedTuple):
    """Probes as kernels read them, and where each group's states lie in the trace."""

    table: npt.NDArray[np.int64]  # (n_probes, 3) group, code, first column
    columns: dict[tuple[str, str], slice]
    n_columns: int
    spiking: tuple[str, ...]


def _probe_table(program: Program) -> _Probes:
    names, rows, columns, spiking, n_columns = program.group_names, [], {}, [], 0
    for probe in dict.fromkeys(program.network.probes):
        group = program.network.group(probe.group)
        code = PROBE_SPIKES if probe.what == "spikes" else PROBE_U + group.states.index(probe.what)
        rows.append((names.index(probe.group), code, n_columns))
        if probe.what == "spikes":
            spiking.append(probe.group)
            continue
        n = group.n
        columns[probe.group, probe.what] = slice(n_columns, n_columns + n)
        n_columns += n
    return _Probes(np.array(rows, np.int64).reshape(-1, 3), columns, n_columns, tuple(spiking))


class _Runner:
    """What the two built-in runners share: borders, probes, results, weights."""

    backend = ""

    def __init__(self, program: Program, threads: int, strict: bool) -> None:
        self.program, self.threads, self.strict = program, check_threads(threads), strict
        self._probes = _probe_table(program)

    def run(self, events: Events, n_steps: int | None = None, state: State | None = None) -> RunResult:
        """Run a batch of samples; see `neurosim.backend.Runner.run`."""
        events = check_events(events, self.program.network.n_inputs)
        steps = check_steps(events.n_steps if n_steps is None else n_steps)
        check_values(self.program.network, events)
        # Overwritten with the state at the end.
        final = rest_state(self.program, events.n_samples) if state is None else self._check_state(state, events)
        trace = np.zeros((events.n_samples, steps, self._probes.n_columns), np.int32)
        counts, spikes = self._run(events, steps, final, trace)
        ops = OpCounts(self.program.rows, counts, events.n_samples, events.n_samples * steps, self.program.kinds)
        self._check_overflow(ops)
        return RunResult(
            spikes={name: self._train(spikes, name) for name in self._probes.spiking},
            states={key: np.ascontiguousarray(trace[:, :, where]) for key, where in self._probes.columns.items()},
            counts=ops,
            final=final,
            backend=self.backend,
            version=VERSION,
        )

    def _run(
        self, events: Events, n_steps: int, state: State, trace: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Advance `state`, fill `trace`; return counts and probed spikes (n, 4): sample, step, neuron, value."""
        raise NotImplementedError

    def _check_state(self, state: State, events: Events) -> State:
        """Return the state in the kernels' types, or say what no run can have left behind."""
        rest = rest_state(self.program, events.n_samples)
        parts = {name: np.asarray(part) for name, part in zip(State._fields, state, strict=True)}
        for name, part in parts.items():
            shape = getattr(rest, name).shape
            if part.shape != shape:
                what = "(n_samples, n_neurons)" if name != "more" else "that of this program's own runs"
                raise ConfigError(f"state: {name} has shape {part.shape}, need {what} = {shape}")
            if part.dtype.kind not in ("b" if name == "fired" else "iu"):
                raise ConfigError(f"state: {name} is {part.dtype}; take the state that a run returned")
            limit = STATE_LIMITS.get(name) if self.program.models is None else None
            if limit is not None and part.size and int(np.abs(part.astype(np.int64)).max()) > limit:
                raise ConfigError(f"state: {name} leaves -{limit}..{limit}, which no run does; take the state of a run")
        if parts["more"].size and int(parts["more"][:, 0].min()) < 0:
            raise ConfigError("state: the number of steps done is negative; take the state that a run returned")
        kinds = {name: getattr(rest, name).dtype for name in State._fields}
        return State(**{name: np.array(part, kinds[name]) for name, part in parts.items()})  # copies

    def _check_overflow(self, counts: OpCounts) -> None:
        if not self.strict or not counts.overflows():
            return
        found = {row: n for row in counts.rows if (n := sum(counts.of(row, name) for name in OVERFLOWS))}
        row, n = next(iter(found.items()))
        raise OverflowDetected(
            f"group {row!r}: {n} register overflows in {counts.n_steps} steps (limit of u and v: 2**23); "
            "lower the weights or weight_exp, or run without strict"
        )

    def _train(self, spikes: npt.NDArray[np.int32], name: str) -> SpikeTrain:
        first = self.program.network.offsets[name]
        mine = spikes[(spikes[:, 2] >= first) & (spikes[:, 2] < first + self.program.network.group(name).n)]
        columns = [mine[:, 0], mine[:, 1], mine[:, 2] - first]
        if self._has_values(name):
            columns.append(mine[:, 3])
        return SpikeTrain(*(np.ascontiguousarray(column, dtype=np.int32) for column in columns))

    def _has_values(self, name: str) -> bool:
        """Whether the spikes of a group can have other values than 1."""
        group = self.program.network.group(name)
        return self.program.models is not None and group.graded

    def _checked_weights(self, connection: str, weights: npt.ArrayLike) -> tuple[IntegerConnection, IntegerConnection]:
        """Return the connection as it was and with its new weights, after its own check."""
        old = self.program.network.connection(connection)
        assert not isinstance(old, Connection)
        return old, replace_weights(old, weights)

    def reset(self) -> None:
        """Restore the weights of the program."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> _Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SimulatorRunner(_Runner):
    """A program on the compiled kernels."""

    backend = "simulator"

    def __init__(self, program: Program, threads: int = 1, strict: bool = False) -> None:
        super().__init__(program, threads, strict)
        self.arrays = program.arrays
        self.scratch = [make_scratch(program.arrays) for _ in range(self.threads)]
        self._pool: ThreadPoolExecutor | None = None  # made when a batch first needs it
        self.model_scratch: list[ModelScratch] = []
        if program.models is not None:
            self.model_scratch = [make_model_scratch(program.arrays, program.models) for _ in range(self.threads)]
        self.reset()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def reset(self) -> None:
        """Restore the weights of the program."""
        original = self.program.arrays
        self._written: dict[str, npt.ArrayLike] = {}
        self.models = self.program.models
        self.arrays = original._replace(dense8=aligned_copy(original.dense8), dense16=aligned_copy(original.dense16))

    def write_weights(self, connection: str, weights: npt.ArrayLike) -> None:
        """Replace the integer weights of a connection, in the shape of its description."""
        old, new = self._checked_weights(connection, weights)
        self._written[connection] = weights
        index = self.program.connection_names.index(connection)
        if not isinstance(new, Dense) or self.arrays.conn[index, FORMAT] in (FORMAT_LINK, FORMAT_CSR):
            self._repack()  # CSR where the old weights were mostly zero
            return
        chip = chip_weights(new.weights, new, self.program.arithmetic)
        first, shift = int(self.arrays.conn[index, OFFSET]), int(self.arrays.conn[index, SHIFT])
        where = slice(first, first + chip.size)
        if self.arrays.conn[index, FORMAT] != FORMAT_DENSE8:
            self.arrays.dense16[where] = chip.T.ravel()
            return
        mantissa = chip >> shift
        if mantissa_shift(old, chip) < shift or mantissa.min() < -128 or mantissa.max() > 127:
            self._repack()
            return
        self.arrays.dense8[where] = mantissa.T.ravel()

    def _repack(self) -> None:
        """Choose formats anew: the new weights use bits, or synapses, that were zero in all old ones."""
        network = self.program.network.with_weights(self._written)
        self.arrays = pack(network, self.program.mapping, self.program.arithmetic)
        self.models = pack_models(network, self.program.arithmetic)

    def _run(
        self, events: Events, n_steps: int, state: State, trace: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        threads = min(self.threads, events.n_samples)
        n_blocks = min(BLOCKS_PER_THREAD * threads, events.n_samples) if threads > 1 else threads
        bounds = [events.n_samples * i // n_blocks for i in range(n_blocks + 1)] if n_blocks else [0]
        waiting = iter(range(n_blocks))  # a thread takes the next block when it is done with one
        results: dict[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]] = {}

        def work(thread: int) -> None:
            while (i := next(waiting, None)) is not None:
                results[i] = self._run_block(events, n_steps, (bounds[i], bounds[i + 1]), state, trace, thread)

        if threads > 1 and self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads - 1)
        others = [self._pool.submit(work, thread) for thread in range(1, threads)] if self._pool is not None else []
        work(0)  # in this thread: one block needs no other
        for other in others:
            other.result()
        done = [results[i] for i in range(n_blocks)]
        empty = np.zeros((0, 4), np.int32)
        counts = sum((part[0] for part in done), np.zeros((len(self.program.rows), N_COUNTERS), np.int64))
        return counts, np.concatenate([empty, *(part[1] for part in done)])

    def _run_block(
        self,
        events: Events,
        n_steps: int,
        block: tuple[int, int],
        state: State,
        trace: npt.NDArray[np.int32],
        thread: int,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Run samples of one thread; again with more room if more spikes were probed than expected."""
        first, last = block
        capacity = FIRST_CAPACITY * (last - first) if self._probes.spiking else 0
        initial = part_of(state, slice(first, last)) if capacity else state  # for a second try
        while True:
            counts = np.zeros((len(self.program.rows), N_COUNTERS), np.int64)
            step, neuron, sample = (np.zeros(capacity, np.int32) for _ in range(3))
            value = np.ones(capacity, np.int32)
            with np.errstate(over="ignore"):
                n_recorded = self._run_kernel(
                    thread, events, n_steps, block, state, trace, (step, neuron, value, sample), counts
                )
            if n_recorded <= capacity:
                return counts, np.stack([sample, step, neuron, value], axis=1)[:n_recorded]
            capacity = int(n_recorded)
            for part, begin in zip(state, initial, strict=True):
                part[first:last] = begin

    def _run_kernel(
        self,
        thread: int,
        events: Events,
        n_steps: int,
        block: tuple[int, int],
        state: State,
        trace: npt.NDArray[np.int32],
        spikes: tuple[npt.NDArray[np.int32], ...],
        counts: npt.NDArray[np.int64],
    ) -> int:
        """Run samples on the kernel that the program needs; return how many spikes the probes saw."""
        step, neuron, value, sample = spikes
        if self.models is None:
            from neurosim.kernels.run import run_samples

            return int(run_samples(
                self.arrays, self.scratch[thread], events.start, events.neuron, events.n_steps, n_steps, *block,
                state.u, state.v, state.fired, self._probes.table, trace, step, neuron, sample, counts,
            ))  # fmt: skip
        from neurosim.kernels.run_models import run_model_samples

        values = np.zeros(0, np.int32) if events.value is None else events.value
        return int(run_model_samples(
            self.arrays, self.models, self.scratch[thread], self.model_scratch[thread], events.start, events.neuron,
            values, events.n_steps, n_steps, *block, state.u, state.v, state.fired, state.more, self._probes.table, trace,
            *spikes, counts,  # type: ignore[call-arg]
        ))  # fmt: skip


class ReferenceRunner(_Runner):
    """A program on the numpy twins: the specification, slow."""

    backend = "reference"

    def __init__(self, program: Program, threads: int = 1, strict: bool = False) -> None:
        super().__init__(program, threads, strict)
        self.weights: dict[str, npt.NDArray[np.int64]] = {}

    def reset(self) -> None:
        """Restore the weights of the program."""
        self.weights = {}

    def write_weights(self, connection: str, weights: npt.ArrayLike) -> None:
        """Replace the integer weights of a connection, in the shape of its description."""
        self._checked_weights(connection, weights)
        self.weights[connection] = np.asarray(weights)

    def _run(
        self, events: Events, n_steps: int, state: State, trace: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        from neurosim.reference.run import Chip

        chip = Chip(self.program, self.weights)
        dense, silent = events.to_values(), np.zeros(events.n_inputs, np.int32)
        spikes = [np.zeros((0, 4), np.int64)]
        for sample in range(events.n_samples):
            chip.load(State(*(part[sample] for part in state)))
            for t in range(n_steps):
                chip.step(dense[sample, t] if t < events.n_steps else silent)
                for group, what in self._probes.columns:
                    trace[sample, t, self._probes.columns[group, what]] = chip.state(group, what)
                for group in self._probes.spiking:
                    neuron = np.nonzero(chip.fired[chip.slices[group]])[0] + chip.slices[group].start
                    where = (np.full_like(neuron, sample), np.full_like(neuron, t), neuron, chip.value[neuron])
                    spikes.append(np.stack(where, axis=1))
            chip.store(State(*(part[sample] for part in state)))
        return chip.counts, np.concatenate(spikes).astype(np.int32)


class SimulatorBackend:
    """The compiled simulator."""

    name = "simulator"
    version = VERSION
    features = frozenset(FEATURES)
    learner = "neurosim.learning.population:SimulatorLearner"

    @classmethod
    def status(cls) -> Status:
        """Tell that it is always available."""
        return Status(True, "built in, compiled with numba")

    def open(self, program: Program, *, threads: int = 1, strict: bool = False) -> SimulatorRunner:
        """Load a program; see `neurosim.backend.Backend.open`."""
        check_features(self.name, self.features, needed_features(program))
        return SimulatorRunner(program, threads, strict)


class ReferenceBackend:
    """The numpy twins."""

    name = "reference"
    version = VERSION
    features = frozenset(FEATURES)
    learner = "neurosim.learning.twin:ReferenceLearner"

    @classmethod
    def status(cls) -> Status:
        """Tell that it is always available."""
        return Status(True, "built in, plain numpy, slow: the specification")

    def open(self, program: Program, *, threads: int = 1, strict: bool = False) -> ReferenceRunner:
        """Load a program; see `neurosim.backend.Backend.open`."""
        check_features(self.name, self.features, needed_features(program))
        return ReferenceRunner(program, threads, strict)
