"""How fast does a whole network run, beside Lava and Brian2?"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.measure import Cell, Options, Table, calls, time_together
from benchmarks.networks import Workload, layered, random_events, recurrent
from benchmarks.peers import LavaRun, build_brian2, describe, interpreter, run_brian2, run_lava
from neurosim.backend import RunResult, get_backend
from neurosim.events import Events
from neurosim.network import Input, Probe

N_STEPS = 100  # timed, on neurosim and on Lava, which takes one more to start
RATE = 0.1  # of the inputs
BATCH = 256


def tables(options: Options) -> list[Table]:
    """Run every network on neurosim and on each peer that is there, in turn."""
    sizes = ((300, 6_000),) if options.quick else ((10_000, 1_000_000), (100_000, 10_000_000))
    networks: list[tuple[Callable[[], Workload], int]] = [(partial(layered, BATCH, N_STEPS, options.seed), 2_000)]
    networks += [
        (partial(recurrent, *size, N_STEPS, options.seed), 2_000 * 1_000 // max(size[0], 1_000)) for size in sizes
    ]
    rows = [row for make, long in networks for row in _rows(make(), max(N_STEPS, long), options)]
    missing = [name for name in ("lava", "brian2") if interpreter(name) is None]
    note = (
        f"Steps (times samples) per second. neurosim: {N_STEPS} steps through `Runner.run`, with input checked and all "
        f"operations counted. Lava 0.10, fixed point: a `run` of {N_STEPS} steps after one step that starts its processes, without "
        "probes. Its u and v after the run, and the spikes of all groups in a second run with sinks, are checked equal to ours, to "
        "the last bit. Brian2, C++ standalone, float64, one thread: what its loop over at least as many steps took, by its own "
        "clock, after an earlier run; the same weights and input with Euler steps, so spikes are about as many, not the same. "
        "Best of the rounds, in each of which all take their turn."
    )
    if missing:
        note += (
            f" Not here, so not measured: {' and '.join(missing)} (docs/benchmarks.md says how to name an interpreter)."
        )
    columns = (
        "network", "batch", "threads", "neurosim", "median", "Lava", "neurosim / Lava", "Brian2", "neurosim / Brian2",
        "spikes per neuron and step", "of Brian2",
    )  # fmt: skip
    return [Table("Other simulators", columns, rows, note)]


def _rows(workload: Workload, long: int, options: Options) -> list[list[Cell]]:
    """Measure one network: alone, and where it has input as a batch on each number of threads."""
    rng = np.random.default_rng(options.seed)
    n_inputs, has_input = workload.program.network.n_inputs, bool(len(workload.events.neuron))
    one = random_events(1, N_STEPS + 1, n_inputs, RATE if has_input else 0.0, rng)
    longer = random_events(1, long, n_inputs, RATE if has_input else 0.0, rng)
    cases: list[tuple[int, int, Events]] = [(1, 1, one)]
    if has_input:
        cases += [(workload.events.n_samples, threads, workload.events) for threads in options.threads]
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers = _start_peers(workload, one, longer, folder, options)
        runners = [get_backend("simulator").open(workload.program, threads=threads) for _, threads, _ in cases]
        result = runners[0].run(one)
        for _ in range(2 if options.quick else 3):
            for i, ((_, _, events), runner) in enumerate(zip(cases, runners, strict=True)):
                timing = time_together({"": [calls(partial(runner.run, events))]}, options)[""]
                seconds.setdefault(f"best {i}", []).append(timing.best_s)
                seconds.setdefault(f"median {i}", []).append(timing.median_s)
            for peer, run in peers.runs.items():
                seconds.setdefault(peer, []).append(run(result))
        for runner in runners:
            runner.close()
    per_second = {"lava": N_STEPS, "brian2": long}
    lava, brian2 = (per_second[p] / min(seconds[p]) if p in seconds else None for p in ("lava", "brian2"))
    n_neurons = sum(group.n for group in workload.program.network.groups if not isinstance(group, Input))
    assert result.counts is not None
    fired = sum(result.counts.of(g.name, "spikes") for g in workload.program.network.groups if not isinstance(g, Input))
    rows: list[list[Cell]] = []
    for i, (batch, threads, events) in enumerate(cases):
        ours = events.n_samples * events.n_steps / min(seconds[f"best {i}"])
        middle = events.n_samples * events.n_steps / median(seconds[f"median {i}"])
        rows.append([
            workload.name, batch, threads, ours, middle, lava, None if lava is None else ours / lava,
            brian2, None if brian2 is None else ours / brian2, fired / n_neurons / (N_STEPS + 1),
            None if peers.brian2_spikes is None else peers.brian2_spikes / n_neurons / long,
        ])  # fmt: skip
    return rows


class _Peers:
    """Peers made ready: each run takes our result to compare with, and returns seconds."""

    def __init__(self) -> None:
        self.runs: dict[str, Callable[[RunResult], float]] = {}
        self.brian2_spikes: int | None = None


def _start_peers(workload: Workload, one: Events, longer: Events, folder: Path, options: Options) -> _Peers:
    peers = _Peers()
    lava, brian2 = interpreter("lava"), interpreter("brian2")
    if lava is not None:
        path = folder / "lava.npz"
        describe(workload, one, path)
        check_spikes(workload, one, run_lava(lava, path, spikes=True))

        def lava_seconds(ours: RunResult) -> float:
            found = run_lava(lava, path, spikes=False)
            check_states(workload, ours, found)
            return found.seconds

        peers.runs["lava"] = lava_seconds
    if brian2 is not None:
        if shutil.which("g++") is None and shutil.which("clang++") is None:
            raise RuntimeError("Brian2 needs a C++ compiler, found none; unset its interpreter or install one")
        long_path, program = folder / "brian2.npz", folder / "brian2"
        describe(workload, longer, long_path)
        peers.brian2_spikes = build_brian2(brian2, long_path, program)
        peers.runs["brian2"] = lambda ours: min(run_brian2(program) for _ in range(3))
    return peers


def check_states(workload: Workload, ours: RunResult, lava: LavaRun) -> None:
    """Raise AssertionError unless u and v of every neuron are Lava's."""
    network = workload.program.network
    assert ours.final is not None
    for group in network.groups:
        if not isinstance(group, Input):
            where = slice(network.offsets[group.name], network.offsets[group.name] + group.n)
            np.testing.assert_array_equal(ours.final.u[0, where], lava.states[f"u {group.name}"], err_msg=group.name)
            np.testing.assert_array_equal(ours.final.v[0, where], lava.states[f"v {group.name}"], err_msg=group.name)


def check_spikes(workload: Workload, events: Events, lava: LavaRun) -> None:
    """Raise AssertionError unless all spikes of all steps are Lava's."""
    program = workload.program
    groups = [group for group in program.network.groups if not isinstance(group, Input)]
    probed = replace(program, network=program.network.with_probes([Probe(group.name) for group in groups]))
    with get_backend("simulator").open(probed, threads=1) as runner:
        result = runner.run(events)
    for group in groups:
        fired = np.zeros((group.n, events.n_steps), np.bool_)
        train = result.spikes[group.name]
        fired[train.neuron, train.step] = True
        np.testing.assert_array_equal(fired, lava.spikes[group.name], err_msg=group.name)
    check_states(workload, result, lava)
