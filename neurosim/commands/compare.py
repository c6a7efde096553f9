"""The command that compares: backends on one model, or two runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.commands.inputs import InputFile, Steps, TaskName, check_one_source, events_of, load, steps_of
from neurosim.commands.options import Json, ModelPath, Threads, usable_threads

if TYPE_CHECKING:
    from neurosim.compare import Comparison
    from neurosim.tables import Table

DIFFERENT = 1  # exit status, as that of cmp and diff
BACKENDS = "simulator,reference"


def compare(
    model: ModelPath,
    other: Annotated[Path | None, typer.Argument(metavar="[OTHER]", help="A second run folder or model: compare what both "
                     "measured instead of backends.")] = None,
    backends: Annotated[str | None, typer.Option(metavar="A,B[,...]", help="Two or more backends; every other one is "
                        f"compared with the first. By default {BACKENDS}.")] = None,
    source: InputFile = None,
    task: TaskName = None,
    sample: Annotated[int | None, typer.Option(min=0, help="First sample to run; 0 by default.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="How many samples to run; by default one of a task, "
                       "all of a file.")] = None,
    table: Annotated[str | None, typer.Option("--table", metavar="NAME or TABLE.toml", help="Of two runs: price both by this energy "
                     "table.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE.csv", help="Of two runs: write every number with unit, kind and "
                   "source, one a row.")] = None,
    steps: Steps = None, threads: Threads = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Run a model on several backends and say whether every spike, current and voltage is equal; or compare two runs.

    Of backends, the exit status is 0 if all are equal and 1 if not.
    """
    from neurosim.errors import ConfigError

    given = {"--backends": backends, "--input": source, "--task": task, "--sample": sample, "--samples": samples,
             "--steps": steps}  # fmt: skip
    if other is not None:
        wrong = [name for name, value in given.items() if value is not None]
        if wrong:
            raise ConfigError(
                f"{', '.join(wrong)}: for the comparison of backends; leave out, or leave out {str(other)!r}"
            )
        _compare_runs(model, other, table, csv, usable_threads(threads), as_json)
        return
    if table is not None or csv is not None:
        raise ConfigError("--table and --csv: for the comparison of two runs; give a second run folder")
    _compare_backends(
        model, backends or BACKENDS, source, task, sample, samples, steps, usable_threads(threads), as_json
    )


def _compare_backends(
    model: Path, backends: str, source: Path | None, task: str | None, sample: int | None, samples: int | None,
    steps: int | None, threads: int, as_json: bool,
) -> None:  # fmt: skip
    from neurosim.commands.show import make_console, show_heading, show_lines, show_table, write_json
    from neurosim.compare import compare_backends

    check_one_source(source, task)
    loaded = load(model)
    events, _ = events_of(loaded, source, task, sample, samples)
    n_steps = steps or steps_of(loaded, source)
    names = [name.strip() for name in backends.split(",") if name.strip()]
    found = compare_backends(loaded, events, names, n_steps=n_steps, threads=threads)
    equal = all(comparison.equal for comparison in found)
    first_sample, n_run = sample or 0, events.n_steps if n_steps is None else n_steps
    if as_json:
        run = {"first_sample": first_sample, "n_samples": events.n_samples, "n_steps": n_run}
        numbered = [comparison.numbered_from(first_sample).to_dict() for comparison in found]
        write_json({"equal": equal, "run": run, "comparisons": numbered})
    else:
        console = make_console()
        for comparison in found:
            a, b = comparison.backends
            show_heading(console, f"{a} and {b}: {'equal' if comparison.equal else 'DIFFERENT'}")
            show_lines(console, _summary(comparison.numbered_from(first_sample), events.n_samples, n_run))
            show_table(console, _rows(comparison), title=False)
    if not equal:
        raise typer.Exit(DIFFERENT)


def _compare_runs(a: Path, b: Path, table: str | None, csv: Path | None, threads: int, as_json: bool) -> None:
    """Show two runs side by side."""
    from neurosim.atomic import write_atomically
    from neurosim.commands.show import make_console, show_heading, show_lines, show_table, write_json
    from neurosim.studies.compareruns import compare_runs, machine_table, metrics_of, priced_anew, quantities_table
    from neurosim.tables import Table, to_csv

    runs = [metrics_of(path, threads=threads) for path in (a, b)]
    if table is not None:
        runs = [priced_anew(run, table) for run in runs]
    found = compare_runs(runs[0], runs[1], _names(a, b))
    if csv is not None:
        write_atomically(csv, to_csv(machine_table(found)).encode("utf-8"))
    if as_json:
        write_json(found)
        return
    console, names = make_console(), found["names"]
    show_heading(console, f"{names[0]} and {names[1]}")
    show_lines(console, [f"{name}: measured {how}" for name, how in zip(names, found["measured"], strict=True)])
    changed = [(row["key"], _text(row["a"]), _text(row["b"])) for row in found["configuration"]]
    show_table(console, Table("Configuration where it differs", ("key", *names), tuple(changed)))
    if not changed:
        show_lines(console, ["the same configuration"])
    show_heading(console, "Accuracy")
    show_lines(console, accuracy_lines(found))
    for what, title in ((("shape", "use"), "Network and chip"), (("operations",), "Operations"), (("time",), "Time")):
        show_table(console, quantities_table(found, what, title))
    show_table(console, _energies(found), right=True)
    tables = [" and ".join(dict.fromkeys(side.values())) or "no table" for side in found["tables"]]
    if tables[0] != tables[1]:
        show_lines(console, [f"priced by {tables[0]} and {tables[1]}: sums of different tables say little; "
                             "give --table to price both alike"])  # fmt: skip
    if csv is not None:
        show_lines(console, [f"written: {csv}"])


def accuracy_lines(found: dict[str, Any]) -> list[str]:
    """Return both accuracies, and whether their difference is more than chance, in lines."""
    accuracy = found["accuracy"]
    if accuracy is None:
        return ["neither run was tested with labels"]
    lines = []
    for name, side in zip(found["names"], (accuracy["a"], accuracy["b"]), strict=True):
        if side is None:
            lines.append(f"{name}: not tested")
        else:
            lines.append(
                f"{name}: {side['accuracy']:.1%} ({side['n_correct']:,} of {side['n']:,}; 95 % interval {side['low']:.1%} to "
                f"{side['high']:.1%})"
            )
    difference = accuracy["difference"]
    if difference is not None:
        word = "more than chance" if difference["beyond_chance"] else "no more than chance may give"
        lines.append(
            f"difference: {100 * difference['b_minus_a']:+.1f} points, 95 % interval {100 * difference['low']:+.1f} to "
            f"{100 * difference['high']:+.1f} (Newcombe 1998, for different samples): {word}"
        )
    return lines


def _energies(found: dict[str, Any]) -> Table:
    """Energies by component with the unit that suits each."""
    from neurosim.tables import Table, format_energy

    rows = [
        (row["item"], row["per"], *("no price" if row[side] is None else format_energy(row[side]) for side in ("a", "b")),
         f"{row['b'] / row['a']:.3g}" if row["a"] and row["b"] is not None else "", row["table"], row["kind"])
        for row in found["quantities"] if row["what"] == "energy"
    ]  # fmt: skip
    return Table("Energy", ("operation", "per", *found["names"], "ratio", "table", "kind"), tuple(rows))


def _names(a: Path, b: Path) -> tuple[str, str]:
    """Return short names of two paths that differ."""
    names = (a.name, b.name)
    return names if names[0] != names[1] else (str(a), str(b))


def _text(value: Any) -> str:
    return "–" if value is None else str(value)


def _summary(comparison: Comparison, n_samples: int, n_steps: int) -> list[str]:
    """Return the result in a few lines: what was compared, the first difference, what could not be compared."""
    of_run = f"{n_samples:,} sample{'s' * (n_samples != 1)} of {n_steps:,} steps"
    if comparison.n_compared == 0:
        lines = [f"nothing fired in {of_run}, and no state is shown by both: this says little"]
    elif comparison.first is None:
        lines = [f"all {comparison.n_compared:,} numbers of {of_run} are equal"]
    else:
        group, quantity, sample, step, neuron, values = comparison.first
        (a, b), (left, right) = comparison.backends, values
        lines = [
            f"{comparison.n_different:,} of {comparison.n_compared:,} numbers of {of_run} differ",
            f"first in step {step} of sample {sample}: group {group!r}, neuron {neuron}, {quantity}: "
            f"{a} has {left:,}, {b} has {right:,}",
        ]
    if comparison.one_sided:
        missing = ", ".join(f"{what} of {group}" for group, what in comparison.one_sided)
        lines.append(f"not compared, since only one of them shows it: {missing}")
    return lines


def _rows(comparison: Comparison) -> Table:
    from neurosim.tables import Table

    return Table("", ("group", "quantity", "compared", "different"), tuple(comparison.compared))
