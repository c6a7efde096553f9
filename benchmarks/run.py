"""Run the benchmarks: results as JSON, and as tables for docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Options, Table
from benchmarks.tables import in_markdown, write_between_marks

#: One module per question, in the order of the report.
BENCHMARKS = (
    "time_kernels",
    "time_formats",
    "time_network",
    "time_peers",
    "time_population",
    "time_learning",
    "time_direct",
    "time_ceiling_population",
    "time_startup",
    "peakmem",
    "peakmem_events",
    "track_digits",
    "track_learning",
    "track_rules",
    "track_mnist_time",
    "track_direct",
    "track_faults",
    "track_direct_faults",
    "track_transfer",
    "track_lava_learning",
    "track_mapping",
    "track_sanafe",
    "track_workload",
    "track_lavadl",
    "track_import",
)
DOCUMENT = ROOT / "docs" / "benchmarks.md"
#: Libraries that numpy calls would take all cores; the plain numpy programs are meant to use one.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def run_benchmark(name: str, options: Options) -> list[Table]:
    """Run one benchmark in this process."""
    return list(import_module(f"benchmarks.{name}").tables(options))


def run_apart(name: str, options: Options) -> list[Table]:
    """Run one benchmark in a fresh process, so that none finds caches, threads or memory of another."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run_benchmark, name, options).result()


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and run what it asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small cases, few repeats: does everything work?")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="run this one; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="of all random workloads (default: 1)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="of track_digits")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/benchmarks.md")
    parser.add_argument("--from", dest="stored", type=Path, help="measure nothing, take the results of this JSON file")
    asked = parser.parse_args(arguments)
    results = _measure(asked) if asked.stored is None else json.loads(asked.stored.read_text(encoding="utf-8"))
    text = in_markdown(results)
    print(text)
    if asked.out is not None:
        asked.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if asked.docs:
        DOCUMENT.write_text(write_between_marks(DOCUMENT.read_text(encoding="utf-8"), text), encoding="utf-8")
    return 0


def _measure(asked: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.machine import describe_machine

    os.environ.update(ONE_THREAD)
    options = Options(asked.quick, asked.seed, tuple(asked.threads), tuple(asked.seeds))
    results: dict[str, Any] = {"machine": describe_machine(), "options": options._asdict(), "benchmarks": {}}
    for name in asked.only or BENCHMARKS:
        sys.stderr.write(f"{name} ...\n")
        results["benchmarks"][name] = [table._asdict() for table in run_apart(name, options)]
    return results
