"""How many members could a population evaluate per second, and which part of that does learning reach?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.ceiling import POPULATION, Ceiling, load_ceiling
from benchmarks.measure import Cell, Options, Table, Work, calls, time_together
from benchmarks.time_population import Problem, large_problem
from neurosim.codes import NOISE_EXP
from neurosim.compile_network import compile as compile_network
from neurosim.config import NetworkConfig, RuleConfig
from neurosim.events import Events
from neurosim.fixedpoint import DECAY_ONE, INPUT_SHIFT
from neurosim.learning.build import READOUT, build_network, run_steps
from neurosim.learning.trainer import Trainer
from neurosim.network import LIF, Dense
from neurosim.program import Program
from neurosim.reference.deliver import connection_matrices
from neurosim.reference.run import Chip

BATCH = 64  # samples of a generation
N_DIRS, N_DIRS_QUICK = 64, 4  # antithetic pairs of a sample
N_OUT = 16  # readout neurons of the C programs, filled up with weights of 0
HIDDEN = "hidden"
TAU_SYN = 5e-3  # of the network with a current filter, in s
#: Programs of `ceiling_population.c`.
PLAIN, WIDE, PROVEN = range(3)
PROGRAMS = {"plain": PLAIN, "vectors": WIDE, "vectors, ranges proven": PROVEN}


class Pairs(NamedTuple):
    """A population in the arrays of `ceiling_population.c`, which says their shapes."""

    n_steps: int
    n_hidden: int
    shifts: tuple[int, int]
    rows1: npt.NDArray[np.int8]
    rows2: npt.NDArray[np.int8]
    start: npt.NDArray[np.int64]
    neuron: npt.NDArray[np.int32]
    drive: npt.NDArray[np.int32]
    signs: npt.NDArray[np.uint64]
    settings: npt.NDArray[np.int32]


class Evaluated(NamedTuple):
    """What members gave."""

    voltages: npt.NDArray[np.int32]  # (n_samples, n_dirs, 2, N_OUT)
    n_fired: int  # hidden spikes
    n_proven: int  # hidden neurons of all samples that could do with narrow products


def tables(options: Options) -> list[Table]:
    """Measure the C programs and whole learning generations in turn, with and without a current filter."""
    ceiling, rows = load_ceiling(POPULATION), []
    for tau_syn in (0.0, TAU_SYN):
        rows += _rows(filtered_problem(options.seed, tau_syn), tau_syn > 0, ceiling, options)
    note = (
        f"784-256-10, about 820 input spikes in 8 steps, {BATCH} samples, {N_DIRS_QUICK if options.quick else N_DIRS} directions "
        "of two members; members per second, best of the repeats. C: input currents once a sample, both members of a direction "
        "side by side, layer by layer, states in registers over all steps, rows of int8 for spikes found in masks; no noise is made, nothing "
        "measured, voted or updated. Its readout voltages are checked equal to the reference, to the last bit. Ranges proven: where a sample's "
        "currents show that no voltage can fall to -2**19, a decay takes one multiplication and no clip; elsewhere it is the program above. "
        "neurosim: whole generations of the response form with their unperturbed runs, noise, votes and update."
    )
    if ceiling is None:
        note += " There is no C compiler here."
    elif not lanes(ceiling):
        note += " Neither AVX-512 nor AVX2 is here, so only the plain program ran."
    else:
        note += f" Vectors here: {lanes(ceiling)} neurons."
    columns = (
        "current filter", "C program", "threads", "C, 1/s", "median", "hidden activity, %", "neurons proven, %",
        "neurosim, 1/s", "neurosim / C",
    )  # fmt: skip
    return [Table("Ceiling of a population", columns, rows, note)]


def filtered_problem(seed: int, tau_syn: float) -> Problem:
    """Return the large problem of `time_population`, its current decaying with `tau_syn` (s; 0: no filter)."""
    problem = large_problem(seed)
    config = NetworkConfig(hidden=(256,), n_steps=problem.events.n_steps, tau_syn=tau_syn)
    network = build_network(config, problem.events.n_inputs, 10, seed, "large")
    return problem._replace(program=compile_network(network), n_steps=run_steps(config))


def make_pairs(program: Program, events: Events, noise_exp: int, n_dirs: int, seed: int) -> Pairs:
    """Return a population on input, one hidden group and a readout, with random signs.

    The drive of a step is what traces bring: the sum of the spike counts of the inputs that fire, times ``2**noise_exp``.
    """
    first, second = program.network.connections
    hidden, readout = (program.network.group(name) for name in (HIDDEN, READOUT))
    assert isinstance(hidden, LIF) and isinstance(readout, LIF), "only LIF groups have a C program"
    assert isinstance(first, Dense) and isinstance(second, Dense), "only dense rows have a C program"
    assert not np.any(hidden.bias) and not np.any(readout.bias), "the C programs know no bias"
    assert hidden.n % 256 == 0, "the C programs take 256 hidden neurons at a time"
    packed = []
    for connection in (first, second):
        weights = connection_matrices(connection).weights.T
        assert not (weights & 1).any(), "mixed weights of 8 bits are even"
        packed.append((weights >> 1).astype(np.int8))
    rows2 = np.zeros((hidden.n, N_OUT), np.int8)
    rows2[:, : readout.n] = packed[1]
    x = events.to_dense().astype(np.int64)
    drive = np.einsum("stj,sj->st", x, x.sum(axis=1))
    drive = drive << noise_exp if noise_exp >= 0 else drive >> -noise_exp
    rng = np.random.default_rng(seed)
    settings = [
        number
        for group in (hidden, readout)
        for number in (DECAY_ONE - 1 - int(group.du), DECAY_ONE - int(group.dv), int(group.vth) << INPUT_SHIFT)
    ]
    return Pairs(
        events.n_steps, hidden.n, (INPUT_SHIFT + 1 + first.weight_exp, INPUT_SHIFT + 1 + second.weight_exp),
        np.ascontiguousarray(packed[0]), rows2, events.start, events.neuron, drive.astype(np.int32),
        rng.integers(0, 2**64, (events.n_samples, n_dirs, hidden.n // 64), np.uint64), np.array(settings, np.int32),
    )  # fmt: skip


def c_work(ceiling: Ceiling, pairs: Pairs, program: int, samples: range, count: bool) -> tuple[Work, Evaluated]:
    """Return the work of evaluating a run of samples, and the arrays that it writes (counts of the first time)."""
    n = len(samples)
    first, last = pairs.start[samples.start * pairs.n_steps], pairs.start[samples.stop * pairs.n_steps]
    start = pairs.start[samples.start * pairs.n_steps : samples.stop * pairs.n_steps + 1] - first
    neuron = pairs.neuron[first:last].copy()
    drive, signs = (np.ascontiguousarray(part[samples.start : samples.stop]) for part in (pairs.drive, pairs.signs))
    sizes = np.array([pairs.n_steps, pairs.n_hidden, signs.shape[1], program, *pairs.shifts, count], np.int64)
    out, counts = np.zeros((n, signs.shape[1], 2, N_OUT), np.int32), np.zeros(2, np.int64)

    def work(times: int) -> None:
        ceiling(
            "evaluate_pairs", times, n, sizes, pairs.rows1, pairs.rows2, start, neuron, drive, signs, pairs.settings,
            out, counts,
        )  # fmt: skip

    work(1)
    return work, Evaluated(out, int(counts[0]), int(counts[1]))


def reference_voltages(
    program: Program, pairs: Pairs, events: Events, sample: int, direction: int
) -> npt.NDArray[np.int64]:
    """Return the readout voltages (2, n_classes) of both members of a direction, run by the reference."""
    x, voltages = events.take([sample]).to_dense()[0], []
    minus = np.unpackbits(pairs.signs[sample, direction].astype("<u8").view(np.uint8), bitorder="little")
    post = 1 - 2 * minus.astype(np.int64)
    n_steps = pairs.n_steps + 2
    for sign in (1, -1):
        chip = Chip(program)
        for t in range(n_steps):
            size = sign * int(pairs.drive[sample, t - 1]) if 0 < t <= pairs.n_steps else 0
            inputs = x[t] if t < len(x) else np.zeros(events.n_inputs, np.bool_)
            chip.step(inputs, lambda name, _, size=size: size * post if name == HIDDEN else None)  # type: ignore[misc]
        voltages.append(chip.state(READOUT, "v").copy())
    return np.array(voltages)


def check(
    ceiling: Ceiling, problem: Problem, pairs: Pairs, samples: Sequence[int], n_dirs: int
) -> dict[int, Evaluated]:
    """Raise AssertionError unless every C program gives the reference's voltages; return what each gave."""
    found = {code: _evaluate(ceiling, pairs, code, problem.events.n_samples) for code in available(ceiling).values()}
    for sample in samples:
        for direction in range(n_dirs):
            expected = reference_voltages(problem.program, pairs, problem.events, sample, direction)
            for code, evaluated in found.items():
                got = evaluated.voltages[sample, direction]
                np.testing.assert_array_equal(got[:, : expected.shape[1]], expected, err_msg=f"program {code}")
    plain = found[PLAIN]
    for code, evaluated in found.items():
        np.testing.assert_array_equal(evaluated.voltages, plain.voltages, err_msg=f"program {code}")
        assert evaluated.n_fired == plain.n_fired, f"program {code}"
    return found


def available(ceiling: Ceiling) -> dict[str, int]:
    """Return the C programs that this machine can run."""
    return PROGRAMS if lanes(ceiling) else {"plain": PLAIN}


def lanes(ceiling: Ceiling) -> int:
    """Return how many neurons a vector holds: 16 for AVX-512, 8 for AVX2, 0 without either."""
    told = np.zeros(1, np.int64)
    ceiling("tell_lanes", told)
    return int(told[0])


def _evaluate(ceiling: Ceiling, pairs: Pairs, program: int, n_samples: int) -> Evaluated:
    return c_work(ceiling, pairs, program, range(n_samples), count=True)[1]


def _rows(problem: Problem, filtered: bool, ceiling: Ceiling | None, options: Options) -> list[list[Cell]]:
    n_dirs = N_DIRS_QUICK if options.quick else N_DIRS
    problem = problem._replace(events=problem.events.take(np.arange(BATCH)), labels=problem.labels[:BATCH])
    works: dict[str, list[Work]] = {}
    with ExitStack() as stack:
        for threads in options.threads:
            trainer = stack.enter_context(_trainer(problem, n_dirs, threads, options.seed))
            trainer.step()
            works[f"neurosim {threads}"] = [calls(trainer.step)]
        noise_exp = int(trainer.scales.group[problem.program.group_names.index(HIDDEN), NOISE_EXP])
        pairs = make_pairs(problem.program, problem.events, noise_exp, n_dirs, options.seed)
        found = {} if ceiling is None else check(ceiling, problem, pairs, [0], 2)
        for code in found:
            for threads in options.threads:
                works[f"{code} {threads}"] = _shared(ceiling, pairs, code, threads)
        timings = time_together(works, options)
    members, rows = BATCH * n_dirs * 2, []
    for threads in options.threads:
        ours = members / timings[f"neurosim {threads}"].best_s
        for name, code in PROGRAMS.items():
            if code in found:
                timing = timings[f"{code} {threads}"]
                speed = members / timing.best_s
                activity = 100 * found[code].n_fired / (members * pairs.n_steps * pairs.n_hidden)
                proven = 100 * found[code].n_proven / (BATCH * pairs.n_hidden) if code == PROVEN else None
                rows.append([
                    "yes" if filtered else "no", name, threads, speed, members / timing.median_s, activity, proven,
                    ours, ours / speed,
                ])  # fmt: skip
        if not found:
            rows.append(["yes" if filtered else "no", "-", threads, None, None, None, None, ours, None])
    return rows


def _trainer(problem: Problem, n_pairs: int, threads: int, seed: int) -> Trainer:
    return Trainer(
        problem.program, READOUT, RuleConfig(pairs=n_pairs, warmup=1), problem.events, problem.labels,
        n_steps=problem.n_steps, n_generations=1 << 20, batch=BATCH, seed=seed, threads=threads,
    )  # fmt: skip


def _shared(ceiling: Ceiling | None, pairs: Pairs, program: int, threads: int) -> list[Work]:
    """Return the work of each thread, which has a part of the samples."""
    assert ceiling is not None
    edges = np.linspace(0, BATCH, threads + 1).astype(int).tolist()
    return [c_work(ceiling, pairs, program, range(a, b), False)[0] for a, b in zip(edges[:-1], edges[1:], strict=True)]
