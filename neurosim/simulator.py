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
    needed_features,
)
from neurosim.codes import FORMAT, FORMAT_DENSE8, OFFSET, PROBE_SPIKES, PROBE_U, PROBE_V, SHIFT
from neurosim.counters import N_COUNTERS, OVERFLOWS, OpCounts
from neurosim.errors import ConfigError, NetworkError, OverflowDetected
from neurosim.events import Events, check_events
from neurosim.fixedpoint import STATE_MAX, STATE_WRAP, truncate_weights
from neurosim.mapping.pack import mantissa_shift, pack
from neurosim.network import Dense
from neurosim.program import Program, State, rest_state
from neurosim.scratch import make_scratch
from neurosim.version import VERSION

PROBE_CODES = {"spikes": PROBE_SPIKES, "u": PROBE_U, "v": PROBE_V}
#: What u and v of a run can hold: u after one correction of a 32-bit sum, v after saturation.
STATE_LIMITS = {"u": 2**31 - STATE_WRAP, "v": STATE_MAX}
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
        rows.append((names.index(probe.group), PROBE_CODES[probe.what], n_columns))
        if probe.what == "spikes":
            spiking.append(probe.group)
            continue
        n = program.network.group(probe.group).n
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
        start = rest_state(self.program, events.n_samples) if state is None else self._check_state(state, events)
        final = State(start.u.copy(), start.v.copy(), start.fired.copy())
        trace = np.zeros((events.n_samples, steps, self._probes.n_columns), np.int32)
        counts, spikes = self._run(events, steps, final, trace)
        ops = OpCounts(self.program.rows, counts, events.n_samples, events.n_samples * steps)
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
        """Advance `state`, fill `trace`; return counts and probed spikes (n, 3): sample, step, neuron."""
        raise NotImplementedError

    def _check_state(self, state: State, events: Events) -> State:
        """Return the state in the kernels' types, or say what no run can have left behind."""
        shape = (events.n_samples, self.program.network.n_neurons)
        parts = {name: np.asarray(part) for name, part in zip(State._fields, state, strict=True)}
        for name, part in parts.items():
            if part.shape != shape:
                raise ConfigError(f"state: {name} has shape {part.shape}, need (n_samples, n_neurons) = {shape}")
            if part.dtype.kind not in ("b" if name == "fired" else "iu"):
                raise ConfigError(f"state: {name} is {part.dtype}; take the state that a run returned")
            limit = STATE_LIMITS.get(name)
            if limit is not None and part.size and int(np.abs(part.astype(np.int64)).max()) > limit:
                raise ConfigError(f"state: {name} leaves -{limit}..{limit}, which no run does; take the state of a run")
        return State(parts["u"].astype(np.int32), parts["v"].astype(np.int32), parts["fired"].astype(np.bool_))

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
        columns = (mine[:, 0], mine[:, 1], mine[:, 2] - first)
        return SpikeTrain(*(np.ascontiguousarray(column, dtype=np.int32) for column in columns))

    def _checked_weights(self, connection: str, weights: npt.ArrayLike) -> tuple[Dense, npt.NDArray[np.int64]]:
        """Return the connection and the weights as the chip holds them, after `Dense`'s own check."""
        old = self.program.network.connection(connection)
        if not isinstance(old, Dense):
            raise NetworkError(f"connection {connection!r}: only dense weights can be replaced; open a new program")
        new = Dense(old.source, old.target, weights, old.weight_exp, old.num_weight_bits, old.sign_mode, old.plastic)
        if new.shape != old.shape:
            raise NetworkError(f"connection {connection!r}: weights have shape {new.shape}, need {old.shape}")
        assert new.sign_mode is not None
        return old, truncate_weights(new.weights, new.num_weight_bits, new.sign_mode)

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
        self.reset()

    def reset(self) -> None:
        """Restore the weights of the program."""
        original = self.program.arrays
        self._written: dict[str, npt.NDArray[np.int64]] = {}
        self.arrays = original._replace(dense8=original.dense8.copy(), dense16=original.dense16.copy())

    def write_weights(self, connection: str, weights: npt.ArrayLike) -> None:
        """Replace the integer weights (n_post, n_pre) of a dense connection."""
        old, chip = self._checked_weights(connection, weights)
        self._written[connection] = chip
        index = self.program.connection_names.index(connection)
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
        """Choose formats anew: the new weights use bits that were zero in all old ones."""
        self.arrays = pack(self.program.network.with_weights(self._written), self.program.mapping)

    def _run(
        self, events: Events, n_steps: int, state: State, trace: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        bounds = np.linspace(0, events.n_samples, self.threads + 1).astype(int)
        blocks = [(int(a), int(b)) for a, b in zip(bounds[:-1], bounds[1:], strict=True) if b > a]

        def work(number: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
            return self._run_block(events, n_steps, blocks[number], state, trace, number)

        with ThreadPoolExecutor(self.threads) as pool:
            done = list(pool.map(work, range(len(blocks))))
        empty = np.zeros((0, 3), np.int32)
        counts = sum((part[0] for part in done), np.zeros((len(self.program.rows), N_COUNTERS), np.int64))
        return counts, np.concatenate([empty, *(part[1] for part in done)])

    def _run_block(
        self,
        events: Events,
        n_steps: int,
        block: tuple[int, int],
        state: State,
        trace: npt.NDArray[np.int32],
        number: int,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Run samples of one thread; again with more room if more spikes were probed than expected."""
        from neurosim.kernels.run import run_samples

        first, last = block
        initial = State(state.u[first:last].copy(), state.v[first:last].copy(), state.fired[first:last].copy())
        capacity = FIRST_CAPACITY * (last - first) if self._probes.spiking else 0
        while True:
            counts = np.zeros((len(self.program.rows), N_COUNTERS), np.int64)
            step, neuron, sample = (np.zeros(capacity, np.int32) for _ in range(3))
            with np.errstate(over="ignore"):
                n_recorded = run_samples(
                    self.arrays, self.scratch[number], events.start, events.neuron, events.n_steps, n_steps,
                    first, last, *state, self._probes.table, trace, step, neuron, sample, counts,
                )  # fmt: skip
            if n_recorded <= capacity:
                return counts, np.stack([sample, step, neuron], axis=1)[:n_recorded]
            capacity = int(n_recorded)
            for part, begin in zip(state, initial, strict=True):
                part[first:last] = begin


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
        """Replace the integer weights (n_post, n_pre) of a dense connection."""
        self.weights[connection] = self._checked_weights(connection, weights)[1]

    def _run(
        self, events: Events, n_steps: int, state: State, trace: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        from neurosim.reference.run import Chip

        chip = Chip(self.program, self.weights)
        dense, silent = events.to_dense(), np.zeros(events.n_inputs, np.bool_)
        spikes = [np.zeros((0, 3), np.int64)]
        for sample in range(events.n_samples):
            chip.u[:], chip.v[:], chip.fired[:] = state.u[sample], state.v[sample], state.fired[sample]
            for t in range(n_steps):
                chip.step(dense[sample, t] if t < events.n_steps else silent)
                for group, what in self._probes.columns:
                    value = (chip.u if what == "u" else chip.v)[chip.slices[group]]
                    trace[sample, t, self._probes.columns[group, what]] = value
                for group in self._probes.spiking:
                    neuron = np.nonzero(chip.fired[chip.slices[group]])[0] + chip.slices[group].start
                    spikes.append(np.stack([np.full_like(neuron, sample), np.full_like(neuron, t), neuron], axis=1))
            state.u[sample], state.v[sample], state.fired[sample] = chip.u, chip.v, chip.fired
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
    learner = "neurosim.learning.population:ReferenceLearner"

    @classmethod
    def status(cls) -> Status:
        """Tell that it is always available."""
        return Status(True, "built in, plain numpy, slow: the specification")

    def open(self, program: Program, *, threads: int = 1, strict: bool = False) -> ReferenceRunner:
        """Load a program; see `neurosim.backend.Backend.open`."""
        check_features(self.name, self.features, needed_features(program))
        return ReferenceRunner(program, threads, strict)
