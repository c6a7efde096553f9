"""The command that runs a suite of benchmarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from neurosim.commands.options import Json, Out, Seed, Threads, usable_threads

RUNS = Path("runs")
INTERRUPTED = 130


def bench(
    runs: Annotated[list[Path] | None, typer.Argument(metavar="[RUN...]", help="Run folders or models to measure; by default the "
                    "suite's own networks are trained.")] = None,
    suite: Annotated[Path | None, typer.Option(metavar="SUITE.toml", help="What to run; options come after it.")] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a suite with every key, and stop.")] = False,
    task: Annotated[str | None, typer.Option(help="What the networks learn and are tested with.")] = None,
    networks: Annotated[str | None, typer.Option(metavar="A;B[;...]", help="Networks to train, such as '16;64:bits=2;64:keep=25'; "
                        "with run folders none, unless named.")] = None,
    chips: Annotated[str | None, typer.Option(metavar="A,B[,...]", help="Chips or chip files.")] = None,
    backends: Annotated[str | None, typer.Option(metavar="A,B[,...]", help="Backends.")] = None,
    tables: Annotated[str | None, typer.Option(metavar="A,B[,...]", help="Energy tables; by default those of each chip.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training samples.")] = None,
    samples: Annotated[int | None, typer.Option(help="Test samples, the first ones.")] = None,
    out: Out = None, seed: Seed = None, threads: Threads = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Measure networks on chips and backends: accuracy, operations, energy and time, as a table, pictures, JSON and CSV.

    With the --out of an interrupted run, the same suite goes on where it stopped.
    """
    from neurosim.commands.progress import StepsView
    from neurosim.commands.show import make_console, write_json
    from neurosim.runfolder import unique_run_path
    from neurosim.studies.benchconfig import Suite, example_suite, load_suite
    from neurosim.studies.benchfolder import SUITE, BenchFolder
    from neurosim.studies.benchsuite import check_suite, run_suite

    if example:
        print(example_suite(), end="")
        return
    chosen = Suite() if suite is None else load_suite(suite)
    if runs:
        kept = chosen.networks if suite is not None else ()
        chosen = replace(
            chosen, runs=tuple(map(str, runs)), networks=kept if networks is None else _split(networks, ";")
        )
    elif networks is not None:
        chosen = replace(chosen, networks=_split(networks, ";"))
    given: dict[str, Any] = {"task": task, "epochs": epochs, "samples": samples, "seed": seed}
    given |= {key: None if text is None else _split(text, ",") for key, text in
              (("chips", chips), ("backends", backends), ("tables", tables))}  # fmt: skip
    chosen = replace(chosen, **{key: value for key, value in given.items() if value is not None})
    check_suite(chosen)
    folder = BenchFolder(out or unique_run_path(RUNS, "bench"))
    with StepsView(make_console(stderr=as_json)) as view:
        try:
            results = run_suite(chosen, folder, threads=usable_threads(threads), on_step=view.show)
        except KeyboardInterrupt:
            results = None
    if results is None:
        results = folder.open(chosen)
        written = _write(results, folder)
        line = f"interrupted; continue with: neurosim bench --suite {folder.path / SUITE} --out {folder.path}"
        make_console(stderr=True).print(line, soft_wrap=True)
        raise typer.Exit(INTERRUPTED)
    written = _write(results, folder)
    if as_json:
        write_json({"folder": str(folder.path), "files": [str(path) for path in written], "results": results})
        return
    _show(results, written)


def _split(text: str, mark: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(mark) if part.strip())


def _write(results: dict[str, Any], folder: Any) -> list[Path]:
    """Write tables and pictures of what is done."""
    from neurosim.atomic import write_atomically
    from neurosim.figures.bench import save_bench_plots
    from neurosim.report_bench import machine_table, wide_table
    from neurosim.studies.benchfolder import RESULTS
    from neurosim.tables import to_csv

    written = [folder.path / RESULTS]
    for table in (wide_table(results), machine_table(results)):
        path = folder.path / f"{table.title}.csv"
        write_atomically(path, to_csv(table).encode("utf-8"))
        written.append(path)
    return [*written, *save_bench_plots(results, folder.plots)]


def _show(results: dict[str, Any], written: list[Path]) -> None:
    """Show the results on the terminal."""
    from neurosim import report_bench
    from neurosim.commands.show import make_console, show_heading, show_lines, show_table
    from neurosim.studies.benchsuite import unequal_backends

    console = make_console()
    show_table(console, report_bench.results_table(results), right=True)
    show_lines(console, report_bench.about_lines(results))
    show_lines(console, report_bench.refused_lines(results))
    unequal = unequal_backends(results)
    n_backends = len({row["backend"] for row in results["rows"]})
    if n_backends > 1:
        show_lines(console, unequal or ["all backends give the same answers and counts"])
    show_table(console, report_bench.drives_table(results), right=True)
    show_table(console, report_bench.ann_table(results), right=True)
    show_heading(console, "Files")
    show_lines(console, map(str, written))
