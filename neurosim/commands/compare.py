"""The command that compares backends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from neurosim.commands.inputs import InputFile, Steps, TaskName, check_one_source, events_of, load, steps_of
from neurosim.commands.options import Json, ModelPath, Threads, usable_threads

if TYPE_CHECKING:
    from neurosim.compare import Comparison
    from neurosim.tables import Table

DIFFERENT = 1  # exit status, as that of cmp and diff


def compare(
    model: ModelPath,
    backends: Annotated[str, typer.Option(metavar="A,B[,...]", help="Two or more backends; every other one is "
                        "compared with the first.")] = "simulator,reference",
    source: InputFile = None,
    task: TaskName = None,
    sample: Annotated[int | None, typer.Option(min=0, help="First sample to run; 0 by default.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="How many samples to run; by default one of a task, "
                       "all of a file.")] = None,
    steps: Steps = None, threads: Threads = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Run a model on several backends and say whether every spike, current and voltage is equal.

    The exit status is 0 if all are equal and 1 if not.
    """
    from neurosim.commands.show import make_console, show_heading, show_lines, show_table, write_json
    from neurosim.compare import compare_backends

    check_one_source(source, task)
    loaded = load(model)
    events, _ = events_of(loaded, source, task, sample, samples)
    n_steps = steps or steps_of(loaded, source)
    names = [name.strip() for name in backends.split(",") if name.strip()]
    found = compare_backends(loaded, events, names, n_steps=n_steps, threads=usable_threads(threads))
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
