"""Load a program for learning on a backend."""

from __future__ import annotations

from importlib import import_module
from typing import cast

import numpy.typing as npt

from neurosim.aims import FitnessFunction, check_labels, check_targets
from neurosim.backend import LearningBackend, check_features, check_threads, check_values, get_backend
from neurosim.codes import (
    FIT_USER,
    WINDOWS_ONE,
)
from neurosim.errors import BackendError, ConfigError, FeatureError
from neurosim.events import Events, check_events
from neurosim.goals import Goal
from neurosim.learning.generation import Extra, Learner
from neurosim.learnplan import LearnPlan
from neurosim.program import Program


def open_learner(
    backend: str, program: Program, plan: LearnPlan, events: Events, labels: npt.ArrayLike, threads: int, *,
    targets: npt.ArrayLike | None = None, fitness: FitnessFunction | None = None,
) -> Learner:  # fmt: skip
    """Load a program for learning on a backend.

    Parameters
    ----------
    backend : str
        A registered backend with the feature "learning"; its attribute `learner` says what class to open.
    program, plan
        The program, and the learning rule laid out over it.
    events : Events
        Training samples.
    labels : (n_samples,) or (n_samples, R) integers
        0..n_classes - 1, one for each window where the plan's goal has windows; see `neurosim.aims.check_labels`.
    threads : int
        Does not change any result.
    targets : (n_samples, n_steps, C) integers, optional
        What the readout's voltages should be, for fitness "trace".
    fitness : callable, optional
        For fitness "function": see `neurosim.aims.FitnessFunction`.

    Raises
    ------
    BackendError
        If the backend is unknown or what it drives is not installed.
    FeatureError
        If it cannot learn.
    DataError
        If the labels do not fit the samples or the readout.
    """
    found = get_backend(backend)
    check_features(backend, found.features, frozenset({"learning"}))
    module, _, name = cast(LearningBackend, found).learner.partition(":")
    if not name:
        raise BackendError(
            f"backend {backend!r} has the feature 'learning' and no learner {module!r}: set its attribute to 'module:class'"
        )
    events = check_events(events, program.network.n_inputs)
    check_values(program.network, events)
    goal = plan.goal
    checked = check_labels(labels, events.n_samples, goal, plan.n_classes)
    extra = Extra(check_targets(targets, events.n_samples, plan.n_steps, goal, plan.n_classes), fitness)
    if (goal.kind == FIT_USER) != (fitness is not None):
        raise ConfigError(
            "rule: fitness 'function' and a function belong together; give fitness= a function and set rule.fitness to 'function', "
            "or neither"
        )
    learner = getattr(import_module(module), name)
    if goal == Goal():
        return cast(Learner, learner(program, plan, events, checked.ravel(), check_threads(threads)))
    if not getattr(learner, "any_goal", False):
        raise FeatureError(
            f"backend {backend!r}: learns from the likelihood of one label a sample only; leave rule.fitness, rule.rate_cost and "
            "rule.balance_cost at their defaults, or use the backend 'simulator'"
        )
    shaped = checked.ravel() if goal.windows == WINDOWS_ONE else checked
    return cast(Learner, learner(program, plan, events, shaped, check_threads(threads), extra))
