"""Train and test a controller: from a configuration to results and a run folder."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from typing import Any, NamedTuple

from neurosim.compile_network import compile as compile_network
from neurosim.config import TrainConfig, assignments
from neurosim.counters import OpCounts
from neurosim.directrun import check_direct
from neurosim.energy import energy, load_energy_table
from neurosim.episodeplan import N_ACTIONS, N_STATE
from neurosim.errors import ConfigError, DataError
from neurosim.figures.run import save_plots
from neurosim.learning.build import READOUT, build_network, run_steps
from neurosim.learning.episodes import (
    EPOCH,
    MAX_PERIODS,
    N_TUNED,
    EpisodeGeneration,
    EpisodeTrainer,
)
from neurosim.metrics import counts_metrics, describe_program
from neurosim.modelfile import Model, save_model
from neurosim.program import Program
from neurosim.quantize import QuantNote, quantize
from neurosim.report_html import write_report
from neurosim.runfolder import RunFolder
from neurosim.runloop import SMOOTHING, Progress, Run
from neurosim.tasks import EPISODE_TASKS
from neurosim.transfer import starting_model, starting_network
from neurosim.version import VERSION

N_TEST = 100  # episodes
WATCHED, FRESH = range(2)  # sets of start states: tested with while training, and at the end


class EpisodeStart(NamedTuple):
    """What is known before the first generation."""

    config: TrainConfig
    program: Program
    n_generations: int


class EpisodeRun(Run[EpisodeTrainer, EpisodeGeneration]):
    """A trainer of episodes at work in a run folder, tested on start states that it does not learn from."""

    KEPT = ("length", "test_length")

    def __init__(self, config: TrainConfig, folder: RunFolder, trainer: EpisodeTrainer) -> None:
        super().__init__(config, folder, trainer)
        self.length = 0.0
        self.test_length: float | None = None

    def _advance(self, most: int) -> list[EpisodeGeneration]:
        shown = self.trainer.step()
        self.length += (1.0 if shown.generation == 1 else SMOOTHING) * (shown.mean_length - self.length)
        return [shown]

    def _test(self) -> None:
        self.test_length = float(self.trainer.test(N_TEST, WATCHED).lengths.mean())

    def _point(self, shown: EpisodeGeneration, measured: bool) -> dict[str, Any]:
        return {
            "generation": shown.generation,
            "samples": shown.generation * self.config.batch,
            "episodes": shown.episodes,
            "fitness": round(self.length, 6),
            "test_length": self.test_length if measured else None,
            "ties": round(shown.ties, 6),
            "moved": round(shown.moved, 6),
        }

    def _progress(self, seconds: float) -> Progress:
        """Return where the run stands; its accuracies are shares of the longest episode."""
        generation = self.trainer.generation
        test = None if self.test_length is None else self.test_length / MAX_PERIODS
        return Progress(
            generation, self.trainer.n_generations, generation * self.config.batch, seconds, self.length / MAX_PERIODS,
            self.length, test,
        )  # fmt: skip


def prepare_controller(config: TrainConfig) -> tuple[Program, tuple[QuantNote, ...]]:
    """Describe the network of a configuration, quantise it, and map it onto its chip."""
    if config.network.rate:
        raise ConfigError(
            f"network.rate: {config.network.rate} is measured on training samples, which task {config.task!r} does not have; set it to 0"
        )
    name = f"{config.task}-{config.seed}"
    start = starting_model(config)
    if start is not None:
        started, scales = starting_network(config, start, N_STATE * N_TUNED, N_ACTIONS, name)
        return dataclasses.replace(compile_network(started, config.chip), scales=scales), ()
    quantized = quantize(build_network(config.network, N_STATE * N_TUNED, N_ACTIONS, config.seed, name))
    program = compile_network(quantized.network, config.chip)
    return dataclasses.replace(program, scales=dict(quantized.scales)), quantized.notes


def open_trainer(config: TrainConfig, program: Program, n_generations: int, threads: int) -> EpisodeTrainer:
    """Return a trainer of the program with the settings of a configuration."""
    return EpisodeTrainer(
        program, READOUT, config.rule, n_input_steps=config.network.n_steps, n_steps=run_steps(config.network),
        n_generations=n_generations, batch=config.batch, seed=config.seed, backend=config.backend, threads=threads,
    )  # fmt: skip


def train_controller(
    config: TrainConfig,
    folder: RunFolder,
    *,
    threads: int = 2,
    resume: bool = False,
    on_start: Callable[[EpisodeStart], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Train a network to act, and fill a run folder with model, checkpoints, metrics, plots and report.

    Parameters as in `neurosim.experiment.train_model`. An epoch is 1,024 start states.

    Returns
    -------
    metrics : dict
        What is in the folder's metrics.json; an inference is one decision.

    Raises
    ------
    KeyboardInterrupt
        After an interrupt: the generation is finished and a checkpoint written first.
    """
    if config.method == "direct":
        check_direct(config)  # which refuses a task that is played
    if config.faults.any:
        raise ConfigError(
            f"faults: task {config.task!r} is played, and players learn on healthy chips only; leave them out"
        )
    program, notes = prepare_controller(config)
    n_generations = max(1, config.epochs * EPOCH // config.batch)
    load_energy_table(config.energy_table)  # an unknown table is an error now, not after the training
    with open_trainer(config, program, n_generations, threads) as trainer:
        run = EpisodeRun(config, folder, trainer)
        if resume:
            run.restore()
        if on_start is not None:
            on_start(EpisodeStart(config, program, n_generations))
        run.train(on_progress)
        final = compile_network(program.network.with_weights(trainer.weights), program.chip)
        metadata = {
            "task": config.task,
            "readout": READOUT,
            "n_steps_input": config.network.n_steps,
            "n_steps": run_steps(config.network),
            "config": config.to_dict(),
        }
        model = Model(final.network, final.chip, dict(program.scales), metadata, VERSION)
        test = evaluate_controller(model, backend=config.backend, threads=threads)
        metrics = _metrics(config, final, notes, run, test, threads)
    save_model(folder.model_path, model)
    folder.write_metrics(metrics)
    folder.plots.mkdir(exist_ok=True)
    save_plots(metrics, folder.plots)
    write_report(metrics, folder.report_path)
    return metrics


def evaluate_controller(
    model: Model, *, backend: str = "simulator", threads: int = 2, n_episodes: int = N_TEST
) -> dict[str, Any]:
    """Play episodes with a trained model, from start states that its training has not seen.

    Returns
    -------
    dict
        mean_length, shortest, n, n_won, max_length, lengths, counts and energy per decision, backend.
    """
    if model.metadata.get("task") not in EPISODE_TASKS:
        raise DataError(f"model {model.network.name!r}: was not trained on a task that is played; give another model")
    config = dataclasses.replace(TrainConfig.from_dict(model.metadata["config"]), backend=backend)
    program = compile_network(model.network, model.chip, model.arithmetic)
    with open_trainer(config, program, 1, threads) as trainer:
        played = trainer.test(n_episodes, FRESH)
    lengths = played.lengths[:, 0]
    n_decisions = int(lengths.sum())
    counts = OpCounts(program.rows, played.counts, n_decisions, n_decisions * run_steps(config.network), program.kinds)
    return {
        "mean_length": float(lengths.mean()),
        "shortest": int(lengths.min()),
        "n": n_episodes,
        "n_won": int((lengths == MAX_PERIODS).sum()),
        "max_length": MAX_PERIODS,
        "lengths": lengths.tolist(),
        "counts": counts_metrics(counts),
        "energy": energy(counts, load_energy_table(config.energy_table), per=max(1, n_decisions)).to_dict(),
        "backend": backend,
    }


def _metrics(
    config: TrainConfig, program: Program, notes: tuple[QuantNote, ...], run: EpisodeRun, test: dict[str, Any], threads: int
) -> dict[str, Any]:  # fmt: skip
    trainer, about = run.trainer, EPISODE_TASKS[config.task]
    learning, described = trainer.op_counts, describe_program(program)
    settings = "".join(f" --set {shlex.quote(text)}" for text in assignments(config))
    return {
        "neurosim": VERSION,
        "task": config.task,
        "seed": config.seed,
        "backend": config.backend,
        "threads": threads,
        "chip": described["chip"],
        "energy_table": config.energy_table,
        "config": config.to_dict(),
        "network": described["network"] | {"n_steps": run_steps(config.network)},
        "data": {"name": config.task, "source": about.source, "attribution": about.attribution},
        "training": {
            "rule": dataclasses.asdict(config.rule),
            "generations": trainer.generation,
            "samples": trainer.generation * config.batch,
            "episodes": trainer.episodes,
            "seconds": round(run.seconds, 3),
            "history": run.history,
        },
        "test": {key: test[key] for key in ("mean_length", "shortest", "n", "n_won", "max_length", "lengths")},
        "counts": {"per_inference": test["counts"], "per_learning_step": counts_metrics(learning)},
        "energy": {
            "per_inference": test["energy"],
            "per_learning_step": energy(
                learning, load_energy_table(config.energy_table), per=max(1, learning.n_samples)
            ).to_dict(),
        },
        "mesh": described["mesh"],
        "utilisation": described["utilisation"],
        "quantization": [
            {"object": note.owner, "quantity": note.quantity, "value": note.value, "note": note.text} for note in notes
        ],
        "command": f"neurosim train{settings}",
        "next_steps": [
            f"neurosim inspect {run.folder.model_path}   # what is on the chip, core by core",
            f"neurosim evaluate {run.folder.model_path} --backend reference --limit 5   # the same numbers from the plain numpy twin",
            f"neurosim train {config.task} --set rule.factor=trace   # spike rates as pre factors",
        ],
    }
