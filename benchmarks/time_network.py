"""How fast does a whole network run, beside plain numpy?"""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.measure import Cell, Options, Table, calls, time_together
from benchmarks.networks import Workload, layered, recurrent
from benchmarks.plain_numpy import NumpyNetwork
from neurosim.backend import get_backend
from neurosim.network import Input

N_STEPS = 100


def tables(options: Options) -> list[Table]:
    """Measure every network with each number of threads."""
    batches = (1, 4) if options.quick else (1, 256)
    sizes = (1_000, 20_000) if options.quick else (10_000, 1_000_000)
    workloads = [layered(batch, N_STEPS, options.seed) for batch in batches]
    workloads.append(recurrent(*sizes, N_STEPS, options.seed))
    rows = [row for workload in workloads for row in _rows(workload, options)]
    columns = (
        "network", "batch", "spikes per neuron and step", "threads", "neurosim, steps x samples/s", "median",
        "numpy, one thread", "neurosim / numpy",
    )  # fmt: skip
    note = (
        f"{N_STEPS} steps from rest, through `Runner.run`, with all operations counted; 784-256-10 with 10 % of the "
        "inputs firing in each step. Threads share a batch, so one sample runs on one thread. Results are checked equal "
        "to those of the numpy program, which counts nothing."
    )
    return [Table("Whole networks", columns, rows, note)]


def _rows(workload: Workload, options: Options) -> list[list[Cell]]:
    events, inputs = workload.events, workload.events.to_dense()
    plain = NumpyNetwork(workload.program, events.n_samples)
    rate = check(workload, plain)
    programs = {"numpy": [calls(partial(plain.run, inputs))]}
    for threads in options.threads:
        runner = get_backend("simulator").open(workload.program, threads=threads)
        programs[str(threads)] = [calls(partial(runner.run, events))]
    timings = time_together(programs, options)
    n = events.n_samples * events.n_steps
    return [
        [
            workload.name, events.n_samples, rate, threads, n / timings[str(threads)].best_s,
            n / timings[str(threads)].median_s, n / timings["numpy"].best_s,
            timings["numpy"].best_s / timings[str(threads)].best_s,
        ]
        for threads in options.threads
    ]  # fmt: skip


def check(workload: Workload, plain: NumpyNetwork) -> float:
    """Raise AssertionError unless both programs end in the same state; return spikes per neuron and step."""
    network, events = workload.program.network, workload.events
    with get_backend("simulator").open(workload.program, threads=1) as runner:
        result = runner.run(events)
    fired = plain.run(events.to_dense())
    assert result.final is not None and result.counts is not None
    for group in network.ordered_groups:
        where = slice(network.offsets[group.name], network.offsets[group.name] + group.n)
        np.testing.assert_array_equal(result.final.fired[:, where], fired[group.name])
        np.testing.assert_array_equal(result.final.u[:, where], plain.u[group.name])
        np.testing.assert_array_equal(result.final.v[:, where], plain.v[group.name])
    neurons = [group for group in network.groups if not isinstance(group, Input)]
    spikes = sum(result.counts.of(group.name, "spikes") for group in neurons)
    return spikes / (sum(group.n for group in neurons) * events.n_samples * events.n_steps)
