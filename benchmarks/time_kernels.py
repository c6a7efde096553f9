"""How fast are the kernels alone, beside C programs with the same arithmetic and data layout?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.ceiling import Ceiling, load_ceiling
from benchmarks.drivers import repeat_add_rows8, repeat_add_rows16, repeat_add_synapses, repeat_update_lif
from benchmarks.measure import Cell, Options, Table, Work, time_together
from neurosim.codes import TARGET_BITS
from neurosim.program import aligned_copy

Array = npt.NDArray[Any]

LIF = (4096 - 410, 4096 - 128, 400 << 6, 200 << 6)  # keep_u, keep_v, threshold, half
BYTES_PER_NEURON = 5 * 4 + 2  # sum, noise, u, v, bias; fired, near
N_POST = 256
N_SPIKES = 128  # per list of sources
CHECK_TIMES = 2

#: Name, and about how many bytes are worked on: what fits into the caches of a present core, and what does not.
LEVELS = (("L1", 16 << 10), ("L2", 400 << 10), ("L3", 6 << 20), ("DRAM", 256 << 20))
CSR_SIZES = ((2_000, 80_000), (10_000, 1_000_000), (100_000, 10_000_000))  # neurons, synapses


class Twins(NamedTuple):
    """A workload in both forms, with the memory of one thread."""

    kernel: Work
    c: Work | None
    written: list[tuple[Array, Array]]  # by the kernel and by the C program, which must be equal


class Case(NamedTuple):
    """One row of the table."""

    what: str
    size: str
    operations: int  # each time
    make: Callable[[int], list[Twins]]  # for so many threads


def tables(options: Options) -> list[Table]:
    """Measure every case with each number of threads."""
    ceiling, rows = load_ceiling(), []
    for case in cases(ceiling, options):
        for threads in options.threads:
            twins = case.make(threads)
            if ceiling is not None:
                check(case, twins[0])
            rows.append(_measure(case, twins, options))
    note = (
        "Operations per second, all threads together: neuron updates (exact current-based LIF, "
        f"{BYTES_PER_NEURON} bytes a neuron) or synaptic operations (rows of {N_POST} weights, {N_SPIKES} spikes a "
        "step; CSR with 10 % of the neurons firing). Best of the repeats, and the median of ours. "
    )
    note += (
        "The C programs give the same results (checked before they are timed) from the same data; they keep the sums of dense "
        "rows in registers over all spikes of a step, and fetch synapses ahead, as we do."
        if ceiling is not None
        else "No C compiler was found: the C programs are left out."
    )
    columns = ("kernel", "size", "threads", "neurosim, 1/s", "median, 1/s", "C, 1/s", "neurosim / C")
    return [Table("Kernels", columns, rows, note)]


def check(case: Case, twins: Twins) -> None:
    """Raise AssertionError unless kernel and C program write the same."""
    assert twins.c is not None
    twins.kernel(CHECK_TIMES)
    twins.c(CHECK_TIMES)
    for ours, theirs in twins.written:
        np.testing.assert_array_equal(ours, theirs, err_msg=f"{case.what}, {case.size}")


def _measure(case: Case, twins: list[Twins], options: Options) -> list[Cell]:
    programs = {"neurosim": [one.kernel for one in twins]}
    in_c = [one.c for one in twins if one.c is not None]
    if in_c:
        programs["C"] = in_c
    timings = time_together(programs, options)
    n, ours, theirs = len(twins) * case.operations, timings["neurosim"], timings.get("C")
    row: list[Cell] = [case.what, case.size, len(twins), n / ours.best_s, n / ours.median_s]
    return row + ([None, None] if theirs is None else [n / theirs.best_s, theirs.best_s / ours.best_s])


def _work(driver: Callable[..., object], *arguments: Any) -> Work:
    """Return the work of a driver, whose first argument is the number of times."""
    return lambda times: driver(times, *arguments)


def _c_work(ceiling: Ceiling | None, name: str, *arguments: Any) -> Work | None:
    return None if ceiling is None else lambda times: ceiling(name, times, *arguments)


def cases(ceiling: Ceiling | None, options: Options) -> list[Case]:
    """Return all workloads; quick: small ones."""
    levels = LEVELS[:2] if options.quick else LEVELS
    sizes = CSR_SIZES[:1] if options.quick else CSR_SIZES
    return [
        *(neuron_case(ceiling, name, n_bytes // BYTES_PER_NEURON, options.seed) for name, n_bytes in levels),
        *(dense_case(ceiling, name, n_bytes // N_POST, 8, options.seed) for name, n_bytes in levels),
        *(dense_case(ceiling, name, n_bytes // N_POST // 2, 16, options.seed) for name, n_bytes in levels),
        *(csr_case(ceiling, n, n_synapses, options.seed) for n, n_synapses in sizes),
    ]


def neuron_case(ceiling: Ceiling | None, level: str, n: int, seed: int) -> Case:
    """Return exact updates of n neurons, whose noise lets some of them fire."""

    def start() -> tuple[Array, ...]:
        rng = np.random.default_rng(seed)
        acc, noise, u, v = (rng.integers(-limit, limit, n).astype(np.int32) for limit in (5, 300, 20_000, 20_000))
        flags = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
        return acc, noise, u, v, np.full(n, 20, np.int32), *flags, np.zeros(5, np.int64)

    def one() -> Twins:
        a, b = start(), start()
        kernel = _work(repeat_update_lif, *a[:5], *LIF, *a[5:7], np.zeros(5, np.int64), a[7])
        c = _c_work(ceiling, "update_lif", n, *b[:5], *LIF, *b[5:])
        return Twins(kernel, c, list(zip(a, b, strict=True)))

    return Case("neuron update", f"{level}: {n:,} neurons", n, lambda threads: [one() for _ in range(threads)])


def dense_case(ceiling: Ceiling | None, level: str, n_pre: int, bits: int, seed: int) -> Case:
    """Return deliveries through rows of 8 or 16-bit weights; threads share the rows."""
    n_lists = max(8, n_pre // N_SPIKES)  # so that all rows are read, in random order

    def make(threads: int) -> list[Twins]:
        rng = np.random.default_rng(seed)
        low, high, kind = (-128, 128, np.int8) if bits == 8 else (-256, 256, np.int16)
        rows = aligned_copy(rng.integers(low, high, n_pre * N_POST, kind))  # as programs have them
        lists = rng.integers(0, n_pre, (n_lists, N_SPIKES), np.int32)
        driver = repeat_add_rows8 if bits == 8 else repeat_add_rows16
        twins = []
        for _ in range(threads):
            a, b = np.zeros(N_POST, np.int32), np.zeros(N_POST, np.int32)
            kernel = _work(driver, rows, N_POST, lists, a)
            c = _c_work(ceiling, f"sum_dense{bits}", rows, N_POST, lists, n_lists, N_SPIKES, b)
            twins.append(Twins(kernel, c, [(a, b)]))
        return twins

    return Case(f"dense{bits} rows", f"{level}: {n_pre:,} rows", n_lists * N_SPIKES * N_POST, make)


def csr_case(ceiling: Ceiling | None, n: int, n_synapses: int, seed: int) -> Case:
    """Return deliveries between n neurons with random targets, equally many each; threads share the synapses."""
    degree, n_spikes, n_lists = n_synapses // n, n // 10, 8

    def make(threads: int) -> list[Twins]:
        rng = np.random.default_rng(seed)
        start = np.arange(n + 1, dtype=np.int64) * degree
        target = np.sort(rng.integers(0, n, (n, degree), np.int32), axis=1).ravel()
        word = (rng.integers(-256, 256, n_synapses, np.int32) << TARGET_BITS) | target
        lists = np.sort(rng.integers(0, n, (n_lists, n_spikes), np.int32), axis=1)
        twins = []
        for _ in range(threads):
            a, b = np.zeros(n, np.int32), np.zeros(n, np.int32)
            kernel = _work(repeat_add_synapses, start, word, lists, a)
            c = _c_work(ceiling, "sum_words", start, word, lists, n_lists, n_spikes, b)
            twins.append(Twins(kernel, c, [(a, b)]))
        return twins

    return Case("CSR", f"{n:,} neurons, {n_synapses:,} synapses", n_lists * n_spikes * degree, make)
