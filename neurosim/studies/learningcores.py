"""What each core did in one generation of a finished run."""

from __future__ import annotations

from neurosim.config import TrainConfig
from neurosim.errors import ConfigError
from neurosim.experiment import answer_of, open_trainer, prepare_program
from neurosim.learning.percore import LearningByCore, learning_by_core
from neurosim.runfolder import RunFolder
from neurosim.runloop import checkpoint_config
from neurosim.tasks import EPISODE_TASKS, load_task
from neurosim.trainrun import TrainRun
from neurosim.transfer import starting_model, task_to_learn


def learning_cores(folder: RunFolder) -> LearningByCore:
    """Return what each core did in a generation of a run: the one after its newest checkpoint, or its last one again.

    It is repeated on the numpy twin, which takes seconds to minutes.

    Raises
    ------
    ConfigError, DataError, ModelFileError
        If the run plays episodes, was trained off the chip, learned by a function of the user's, has no checkpoint, or its task cannot be loaded.
    """
    config: TrainConfig = checkpoint_config(folder)
    if config.task.partition(":")[0] in EPISODE_TASKS:
        raise ConfigError(f"task {config.task!r}: episodes are not counted by core; choose a run on samples")
    if config.method == "direct":
        raise ConfigError(
            "method 'direct' trained off the chip, where no core works; choose a run that learned on the chip"
        )
    if config.rule.fitness == "function":
        raise ConfigError("rule.fitness: a function of yours is not kept with a run; call learning_by_core in Python")
    start = starting_model(config)
    task = task_to_learn(load_task(config.task, n_steps=config.network.n_steps, augment=config.augment), start)
    program, _ = prepare_program(config, task, start)
    with open_trainer(config, program, task, threads=1) as trainer:
        run = TrainRun(config, folder, task, trainer, answer_of(config, task), threads=1)
        run.restore()
        return learning_by_core(trainer)
