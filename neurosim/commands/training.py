"""The commands that train: demo and train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.commands.options import Json, Out, Seed, Threads, usable_threads

if TYPE_CHECKING:
    from rich.console import Console

    from neurosim.config import TrainConfig
    from neurosim.episoderun import EpisodeStart
    from neurosim.experiment import TrainingStart
    from neurosim.program import Program
    from neurosim.runfolder import RunFolder

RUNS = Path("runs")
MAX_CORES = 16  # shown on a terminal; the report has all
INTERRUPTED = 130
#: What ``--method`` sets.
METHODS = {
    "direct": ("method=direct",),
    "response": ("method=on-chip", "rule.form=response", "rule.factor=trace"),
    "scalar": ("method=on-chip", "rule.form=scalar"),
}
#: Written out, as the table of tasks would load numpy; a test compares.
TASK_HELP = (
    "What to learn: digits, digits-ordered, mnist, nmnist, nmnist-saccades, fsdd, emg, ecg, yinyang, yinyang-latency, cartpole, "
    "with options as in nmnist:split=3 (docs/tasks.md); or a configuration file."
)


def demo(
    out: Out = None, seed: Seed = None, threads: Threads = None, as_json: Json = False,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training samples; fewer are faster.")] = None,
) -> None:  # fmt: skip
    """Learn to read handwritten digits on a simulated chip, and show what it costs."""
    from neurosim.config import TrainConfig
    from neurosim.runfolder import RunFolder, unique_run_path

    config = _with_options(TrainConfig(), seed, epochs)
    folder = RunFolder.create(out or unique_run_path(RUNS, "demo"))
    _train(config, folder, threads, as_json=as_json, resume=False)


def train(
    what: Annotated[str, typer.Argument(metavar="[TASK or CONFIG.toml]", help=TASK_HELP)] = "digits",
    assignments: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set one key of the "
                           "configuration, for instance rule.pairs=2; may be repeated.")] = None,
    method: Annotated[str | None, typer.Option(metavar="direct|response|scalar", help="How to train. direct: by gradients, off the chip "
                                               "(needs torch); response or scalar: on the chip, by that form of the rule.")] = None,
    out: Out = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUNFOLDER", help="Continue an interrupted run; the result "
                                                "is the same to the byte.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that holds an earlier run; its results "
                                        "are removed.")] = False,
    start: Annotated[Path | None, typer.Option("--from", metavar="MODEL", help="Begin with the network and weights of a model "
                                               "file or run folder instead of random weights.")] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a configuration file with every key, "
                                          "and stop.")] = False,
    backend: Annotated[str | None, typer.Option(help="What it learns on, if not what the configuration says; see: "
                                                "neurosim backends.")] = None,
    chip: Annotated[str | None, typer.Option(metavar="NAME or CHIP.toml", help="Short for --set chip=...; priced by that chip's first "
                    "energy table, unless energy_table is set.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Train nothing; show the network, and what learning would "
                                          "need of the chip.")] = False,
    seed: Seed = None, threads: Threads = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Train a network, on the chip or for it, and write model, metrics, plots and report into a folder."""
    from neurosim.config import example_toml
    from neurosim.errors import ConfigError
    from neurosim.runfolder import RunFolder, unique_run_path

    if example:
        print(example_toml(), end="")
        return
    if resume is not None:
        if assignments or force or dry_run or any(one is not None for one in (out, seed, backend, chip, start, method)):
            raise ConfigError(
                f"--resume {resume}: the run goes on with its own configuration and folder; "
                "leave out --set, --seed, --backend, --chip, --out, --from, --method, --force and --dry-run"
            )
        from neurosim.experiment import checkpoint_config

        folder = RunFolder.open(resume)
        _train(checkpoint_config(folder), folder, threads, as_json=as_json, resume=True)
        return
    config = _chosen(what, method, start, chip, assignments or (), seed, backend)
    _check_names(config)
    if dry_run:
        _show_plan(config, as_json)
        return
    if config.method == "direct":
        from neurosim.directrun import check_torch

        check_torch()
    folder = RunFolder.create(out or unique_run_path(RUNS, config.task), force=force)
    _train(config, folder, threads, as_json=as_json, resume=False)


def _chosen(
    what: str, method: str | None, start: Path | None, chip: str | None, assignments: Sequence[str], seed: int | None,
    backend: str | None,
) -> TrainConfig:  # fmt: skip
    """Return the configuration that a command line asks for: the task's or the file's, and what changes it, the last word to --set."""
    from neurosim.config import TrainConfig, load_config, override
    from neurosim.tasks import task_settings

    chosen = _method_settings(method)
    if what.endswith(".toml"):
        config = load_config(what)
    else:
        way = "direct" if method == "direct" else "on-chip"
        config = override(replace(TrainConfig(), task=what), task_settings(what, way))
    config = override(config, chosen)
    if start is not None:
        from neurosim.commands.inputs import load
        from neurosim.runfolder import model_file
        from neurosim.transfer import started_from

        config = started_from(config, load(start), model_file(start), f"--from {start}")
    config = config if chip is None else _for_chip(config, chip)
    config = _with_options(override(config, assignments), seed, None)
    return config if backend is None else replace(config, backend=backend)


def _method_settings(method: str | None) -> tuple[str, ...]:
    """Return the "key=value" that a method on the command line stands for."""
    from neurosim.errors import ConfigError

    if method is None:
        return ()
    if method not in METHODS:
        raise ConfigError(f"--method: unknown method {method!r}; choose one of {', '.join(METHODS)}")
    return METHODS[method]


def _for_chip(config: TrainConfig, chip: str) -> TrainConfig:
    """Return the configuration with a chip, and with its first energy table where the default would price it."""
    from neurosim.chip import load_chip
    from neurosim.config import TrainConfig
    from neurosim.studies.energystudy import tables_of

    config = replace(config, chip=chip)
    if config.energy_table != TrainConfig().energy_table:
        return config
    return replace(config, energy_table=tables_of(load_chip(chip))[0])


def _show_plan(config: TrainConfig, as_json: bool) -> None:
    """Show what is known before training: data, network, chip, and what learning would need of the chip."""
    from neurosim import report
    from neurosim.commands.show import make_console, show_heading, show_lines, show_table, write_json
    from neurosim.errors import ConfigError
    from neurosim.experiment import plan_training
    from neurosim.tasks import EPISODE_TASKS

    if config.task in EPISODE_TASKS:
        raise ConfigError(f"--dry-run: task {config.task!r} is played and has no samples to plan for; train it")
    start = plan_training(config)
    metrics = {"chip_cost": None if start.cost is None else start.cost.to_dict()}
    if as_json:
        write_json(metrics | {"config": config.to_dict(), "generations": start.n_generations})
        return
    console = make_console()
    _show_start(console, start)
    if start.cost is None:
        return
    for table in report.chip_cost_tables(metrics)[1:]:
        show_table(console, table)
    needs = report.chip_needs_table(metrics)
    show_table(console, needs._replace(columns=needs.columns[:-1], rows=tuple(row[:-1] for row in needs.rows)))
    show_lines(console, [f"limit of {row[0]}: {row[-1]}" for row in needs.rows])
    show_heading(console, "Would it learn on the chip?")
    show_lines(console, report.chip_cost_lines(metrics))
    show_lines(console, [f"not modelled: {text}" for text in start.cost.to_dict()["not_modelled"]])


def _with_options(config: TrainConfig, seed: int | None, epochs: int | None) -> TrainConfig:
    if seed is not None:
        config = replace(config, seed=seed)
    return config if epochs is None else replace(config, epochs=epochs)


def _check_names(config: TrainConfig) -> None:
    """Refuse what does not exist before a folder is made for it."""
    from neurosim.backend import get_backend
    from neurosim.chip import load_chip
    from neurosim.energy import load_energy_table
    from neurosim.tasks import parse_task

    parse_task(config.task)
    load_chip(config.chip)
    load_energy_table(config.energy_table)
    get_backend(config.backend)
    if config.method == "direct":
        from neurosim.directrun import check_direct

        check_direct(config)


def _train(config: TrainConfig, folder: RunFolder, threads: int | None, *, as_json: bool, resume: bool) -> None:
    """Train, showing everything on the terminal; with JSON, progress goes to stderr."""
    from neurosim.commands.progress import ProgressView
    from neurosim.commands.show import make_console, write_json
    from neurosim.episoderun import train_controller
    from neurosim.errors import NeurosimError
    from neurosim.experiment import train_model
    from neurosim.tasks import EPISODE_TASKS

    console = make_console(stderr=as_json)

    with ProgressView(console) as view:
        try:
            if config.task in EPISODE_TASKS:
                metrics = train_controller(
                    config, folder, threads=usable_threads(threads), resume=resume,
                    on_start=lambda start: _show_episode_start(console, start), on_progress=view.show,
                )  # fmt: skip
            else:
                metrics = train_model(
                    config, folder, threads=usable_threads(threads), resume=resume,
                    on_start=lambda start: _show_start(console, start), on_progress=view.show,
                )  # fmt: skip
        except NeurosimError:
            folder.discard_unused()
            raise
        except KeyboardInterrupt:
            interrupted = True
        else:
            interrupted = False
    if interrupted:
        make_console(stderr=True).print(interrupted_line(folder), soft_wrap=True)
        raise typer.Exit(INTERRUPTED)
    if as_json:
        write_json({"folder": str(folder.path), "metrics": metrics})
    else:
        _show_result(console, metrics, folder)


def interrupted_line(folder: RunFolder) -> str:
    """Return what to say after Ctrl-C: how to go on, if there is something to go on from."""
    if folder.latest_checkpoint() is None:
        return "interrupted before the first checkpoint; train again to begin anew"
    return f"interrupted; continue with: neurosim train --resume {folder.path}"


def _show_start(console: Console, start: TrainingStart) -> None:
    """Show the sections before training: data and network."""
    from neurosim.commands.show import show_heading, show_lines

    task, config = start.task, start.config
    show_heading(console, "Data")
    samples = f"{len(task.train_labels):,} to learn from, {len(task.test_labels):,} to test with"
    show_lines(console, [task.description, samples, task.attribution, f"{task.source}; {task.licence}"])
    often = f"{start.n_generations:,} generations of {config.batch} samples; seed {config.seed}"
    _show_network(console, config, start.program, [f"{_way_of_learning(config)}; {often}"])


def _way_of_learning(config: TrainConfig) -> str:
    """Return how a configuration trains, in words."""
    rule, direct = config.rule, config.direct
    if config.method == "on-chip":
        pairs = f"{rule.pairs} antithetic pair{'s' * (rule.pairs > 1)} per sample"
        return f"rule {rule.form}, factor {rule.factor}, rank {rule.rank}, {pairs}"
    seen = {"chip": "in the chip's integers", "float": "in floats, rounded at the end"}[direct.arithmetic]
    width = {"fixed": "of fixed width", "layer": "its width learned for each layer",
             "step": "its width learned for each layer and time step"}[direct.learn_width]  # fmt: skip
    learned = [name for name, on in (("thresholds", direct.learn_threshold), ("decays", direct.learn_decay)) if on]
    return (
        f"gradients through time, off the chip, {seen}; Adam at {direct.rate:g}, {direct.schedule}; surrogate {direct.surrogate}, {width}"
        + (f"; {' and '.join(learned)} learned" if learned else "")
        + (f"; potentials balanced by {direct.balance:g}" if direct.balance else "")
    )


def _show_episode_start(console: Console, start: EpisodeStart) -> None:
    """Show the sections before training: task and network."""
    from neurosim.commands.show import show_heading, show_lines
    from neurosim.tasks import EPISODE_TASKS

    config = start.config
    about, rule = EPISODE_TASKS[config.task], config.rule
    show_heading(console, "Task")
    show_lines(console, [about.summary, about.source, about.attribution])
    _show_network(console, config, start.program, [
        f"rule {rule.form}, factor {rule.factor}, {rule.pairs} antithetic pair{'s' * (rule.pairs > 1)} per start state; "
        f"{start.n_generations:,} generations of {config.batch} start states; seed {config.seed}",
        "train and test: share of the longest episode; fitness: control periods survived",
    ])  # fmt: skip


def _show_network(console: Console, config: TrainConfig, program: Program, learning: list[str]) -> None:
    """Show the network, the chip, and how it learns."""
    from neurosim import report
    from neurosim.commands.show import show_heading, show_lines, show_table
    from neurosim.metrics import describe_program

    described = describe_program(program)
    show_table(console, report.network_table(described)._replace(title="Network"))
    show_table(console, report.connections_table(described), title=False)
    show_heading(console, f"Chip {described['chip']}")
    show_table(
        console, report.fill_table(described, MAX_CORES), title=len(described["utilisation"]) > MAX_CORES, right=True
    )
    show_heading(console, "Learning" if config.method == "on-chip" else "Training")
    show_lines(console, learning)
    if config.backend == "simulator" and not _kernels_are_compiled():
        show_lines(console, ["compiling the kernels first, once on this machine: about 20 s"])


def _kernels_are_compiled() -> bool:
    """Whether the folder of this version's compiled kernels holds any."""
    from neurosim.kernels.jit import cache_folder

    return any(cache_folder().rglob("*.nbc"))


def _show_result(console: Console, metrics: dict[str, Any], folder: RunFolder) -> None:
    """Show the sections after training: result, operations, energy, files, what next."""
    from neurosim import report
    from neurosim.commands.show import show_energy, show_heading, show_lines, show_outcome, show_table

    show_heading(console, "Result")
    show_lines(console, report.summary_lines(metrics))
    show_table(console, report.counts_table(metrics))
    show_energy(console, metrics)
    files = {"report": folder.report_path, "model": folder.model_path, "metrics": folder.metrics_path,
             "plots": folder.plots, "checkpoints": folder.checkpoints}  # fmt: skip
    show_outcome(console, files, metrics["next_steps"])
