"""Which variant of the rule learns most from as many evaluations, and what does each default buy?"""

from __future__ import annotations

from statistics import mean, stdev

from benchmarks.measure import Cell, Options, Table
from benchmarks.track_learning import Row, accuracies
from neurosim.errors import DataError

SCALAR = ("augment=false", "network.n_steps=8", "epochs=2", "batch=64", "rule.form=scalar", "rule.momentum=0")
PAIRS = 16
TASK = "mnist:limit=6000"
#: Factors and ranks of a perturbation. Windows of time are the ranks of traces.
FACTORS = (
    ("trace", 1), ("trace", 2), ("trace", 4), ("random", 1), ("random", 2), ("random", 4), ("random", 8), ("gaussian", 1),
    ("full", 1), ("full-gaussian", 1),
)  # fmt: skip
STEPS = ("0.25", "1.0")
QUICK_TASK = "digits"
#: What is taken away from, or changed in, the settings of task mnist, three epochs of it.
SHORT = ("epochs=3",)
ABLATION: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "without changed copies": ("augment=false",),
    "without momentum, steps in proportion to votes": ("rule.momentum=0", "rule.step=0.5"),
    "the same, and one step for all rows": ("rule.momentum=0", "rule.step=0.5", "rule.row_step=false"),
    "the same, moved where significant only": ("rule.momentum=0", "rule.update=significance", "rule.chance=0.2"),
    "perturbation 0.25 instead of 1": ("rule.perturbation=0.25",),
    "four pairs for each sample": ("rule.pairs=4",),
    "a pair for every fourth sample": ("rule.pair_every=4",),
    "response averaged over 4 generations, not 128": ("rule.memory=2",),
    "error in 3 bits and sign, not 7": ("rule.error_bits=3",),
    "4 residual bits instead of 8": ("rule.residual_bits=4",),
    "constant step": ("rule.schedule=constant",),
    "biases learn": ("rule.biases=true",),
    "thresholds learn": ("rule.thresholds=true", "chip=unlimited"),
    "batches of 128": ("batch=128",),
    "16 steps of input": ("network.n_steps=16",),
}


def tables(options: Options) -> list[Table]:
    """Train every factor with every step, and the default rule with one thing changed at a time."""
    return [_factors(options), _ablation(options)]


def _factors(options: Options) -> Table:
    rows: list[list[Cell]] = []
    task, pairs = (QUICK_TASK, 2) if options.quick else (TASK, PAIRS)
    steps = STEPS[:1] if options.quick else STEPS
    note = (
        f"{task}, 256 hidden, scalar form, {pairs} antithetic pairs for each of 12,000 samples (two epochs), so 384,000 member "
        "evaluations in every run; perturbation 0.1. Test accuracy, mean and standard deviation over the seeds, by the size of the step."
    )
    try:
        for factor, rank in FACTORS[:1] if options.quick else FACTORS:
            chosen = (f"rule.factor={factor}", f"rule.rank={rank}", f"rule.pairs={pairs}", "rule.perturbation=0.1")
            found = [accuracies(Row("", (task,), (*SCALAR, *chosen, f"rule.step={step}")), options) for step in steps]
            rows.append([factor, rank, *(_shown(each) for each in found)])
    except DataError as error:
        note += f" Not measured: {error}."
    columns = ("pre factor", "rank", *(f"step {step}" for step in steps))
    return Table("Factors at equal evaluations", columns, rows, note)


def _ablation(options: Options) -> Table:
    rows: list[list[Cell]] = []
    note = (
        "`neurosim train mnist --set epochs=3`, 784-256-10, response form, with one change at a time; test accuracy over the seeds. "
        "All steps of a kind keep their size, unless the row says otherwise."
    )
    cases = dict(list(ABLATION.items())[:1]) if options.quick else ABLATION
    try:
        for what, settings in cases.items():
            found = accuracies(Row(what, ("mnist",), (*SHORT, *settings)), options)
            rows.append([what, _shown(found), " ".join(settings)])
    except DataError as error:
        note += f" Not measured: {error}."
    return Table("What each default buys", ("change", "test accuracy", "settings"), rows, note)


def _shown(found: list[float]) -> str:
    """Return mean and standard deviation in percent.

    Examples
    --------
    >>> _shown([0.98, 0.99])
    '98.50 +- 0.71'
    """
    spread = f" +- {100 * stdev(found):.2f}" if len(found) > 1 else ""
    return f"{100 * mean(found):.2f}{spread}"
