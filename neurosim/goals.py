"""What a learner wants of a run, in integers: how the readout is read, what is good, and what it costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurosim.codes import (
    FIT_COUNT,
    FIT_FIRST,
    FIT_LIKELIHOOD,
    FIT_TRACE,
    FIT_USER,
    FORM_SCALAR,
    WINDOWS_ONE,
    WINDOWS_OWN,
    WINDOWS_SHARED,
)
from neurosim.errors import ConfigError
from neurosim.fixedpoint import DECAY_ONE, RANGES
from neurosim.network import LIF

#: Every kind of fitness by name; "function" is one of the user's own.
FITNESS = {
    "likelihood": FIT_LIKELIHOOD, "count": FIT_COUNT, "first-spike": FIT_FIRST, "trace": FIT_TRACE, "function": FIT_USER,
}  # fmt: skip
RESPONSES = {"shared": WINDOWS_SHARED, "own": WINDOWS_OWN}
READS = ("since", "end")
VTH_MAX = RANGES["vth"].high  # fires only where v saturates: a group that integrates
FITNESS_RANGE = 1 << 62  # a user's fitness stays below, so that differences fit 64 bits
OCTAVE = 256  # a bit of likelihood
SQUARE = 1 << 16  # about the mean squared error of the start, for a trace (`calibrate.calibrate_temperature`)
RATE_BITS = 16  # fraction of the gain of the rate's cost
RESPONSE_BITS = 7  # of a response, and a sign


class Goal(NamedTuple):
    """What is wanted of a run, in integers; a part of `neurosim.learnplan.LearnPlan`.

    The defaults are the log-softmax of the readout's last voltages, with one label for a sample.
    """

    kind: int = FIT_LIKELIHOOD
    windows: int = WINDOWS_ONE
    n_windows: int = 1  # R where each window has an answer of its own, else 1
    since: int = 0  # 1: a window's voltage is what came since the window began
    keep: int = 0  # 0..4096: share of a readout's voltage that is left one window later
    voltages: int = 0  # 1: the voltages of all steps are needed
    rate_gain: int = 0
    rate_target: int = 0  # spikes of a neuron in a sample, in 1/256
    balance_gain: int = 0


class Wanted(NamedTuple):
    """What is wanted of a run, as users say it; keys as in `neurosim.config.RuleConfig`."""

    fitness: str = "likelihood"
    windowed: bool = False  # each window of time has an answer of its own
    window_response: str = "shared"
    window_read: str = "since"
    rate_cost: float = 0.0
    rate_target: float = 0.0
    balance_cost: float = 0.0


DEFAULT_WANTED = Wanted()


def make_goal(
    group: LIF, form: int, rank: int, n_steps: int, error_bits: int, n_hidden: int, wanted: Wanted = DEFAULT_WANTED
) -> Goal:
    """Return a goal in integers.

    Parameters
    ----------
    group : LIF
        The readout.
    form, rank, n_steps, error_bits : int
        Of the rule.
    n_hidden : int
        Neurons that are neither inputs nor readout.
    wanted : Wanted

    Raises
    ------
    ConfigError
        For unknown names and for combinations that make no sense.
    """
    for what, value, choices in (
        ("fitness", wanted.fitness, tuple(FITNESS)), ("window_response", wanted.window_response, tuple(RESPONSES)),
        ("window_read", wanted.window_read, READS),
    ):  # fmt: skip
        if value not in choices:
            raise ConfigError(f"rule: unknown {what} {value!r}; choose one of {', '.join(choices)}")
    kind = FITNESS[wanted.fitness]
    windowed = wanted.windowed and kind != FIT_TRACE
    _check_goal(group, kind, form, windowed, wanted)
    n_windows = rank if windowed else 1
    if n_windows > n_steps:
        raise ConfigError(f"rule: {n_windows} windows with an answer each, and {n_steps} steps; lower rule.rank")
    if (group.n * n_windows) << (error_bits + RESPONSE_BITS) >= 1 << 31:
        raise ConfigError(
            f"rule: the errors of {n_windows} windows of {group.n} readouts could bring a local vote beyond 32 bits; "
            "lower rule.rank or rule.error_bits"
        )
    spiking = kind in (FIT_COUNT, FIT_FIRST)
    since = windowed and not spiking and wanted.window_read == "since"
    keep = DECAY_ONE if windowed and not spiking and not since else 0
    for _ in range(max(1, n_steps // rank)):
        keep = keep * (DECAY_ONE - int(np.max(group.dv))) // DECAY_ONE
    unit = SQUARE * n_steps * group.n if kind == FIT_TRACE else OCTAVE  # what a cost of 1 is in the fitness
    if form == FORM_SCALAR:  # of a spike more by every hidden neuron
        rate_gain = round(wanted.rate_cost * unit * (1 << RATE_BITS)) // max(1, n_hidden)
    else:  # in the unit of the readout's errors
        rate_gain = round(wanted.rate_cost * (1 << error_bits))
    balance_gain = round(wanted.balance_cost * unit)
    if rate_gain * max(1, n_hidden) * n_steps >= FITNESS_RANGE:
        raise ConfigError(f"rule: rate_cost {wanted.rate_cost} could bring the fitness beyond 62 bits; lower it")
    return Goal(
        kind=kind,
        windows=RESPONSES[wanted.window_response] if windowed else WINDOWS_ONE,
        n_windows=n_windows,
        since=int(since),
        keep=keep,
        voltages=int(kind == FIT_TRACE or balance_gain > 0 or (windowed and not spiking)),
        rate_gain=rate_gain,
        rate_target=round(wanted.rate_target * n_steps * 256) if rate_gain else 0,
        balance_gain=balance_gain,
    )


def _check_goal(group: LIF, kind: int, form: int, windowed: bool, wanted: Wanted) -> None:
    """Refuse what makes no sense together."""
    silent = int(np.max(group.vth)) >= VTH_MAX
    if kind in (FIT_TRACE, FIT_USER) and form != FORM_SCALAR:
        raise ConfigError(
            f"rule: fitness {wanted.fitness!r} has no error for each readout, which form 'response' needs; set form 'scalar'"
        )
    if kind in (FIT_COUNT, FIT_FIRST) and silent:
        raise ConfigError(
            f"rule: fitness {wanted.fitness!r} reads spikes of readout {group.name!r}, which cannot fire (vth {VTH_MAX}); "
            "set network.readout_threshold above 0, or fitness 'likelihood'"
        )
    reads_voltages = windowed and kind in (FIT_LIKELIHOOD, FIT_USER)
    if reads_voltages and wanted.window_read == "since" and int(np.max(group.dv)) != 0:
        raise ConfigError(
            f"rule: window_read 'since' takes differences of voltages, and readout {group.name!r} leaks (dv "
            f"{int(np.max(group.dv))}); set window_read 'end', or network.readout_tau to 0"
        )
    if wanted.balance_cost and form != FORM_SCALAR:
        raise ConfigError(
            f"rule: balance_cost {wanted.balance_cost} is taken off a fitness, which form 'response' does not compare; set form "
            "'scalar', or balance_cost to 0"
        )
    if kind == FIT_USER and (wanted.rate_cost or wanted.balance_cost):
        raise ConfigError(
            "rule: rate_cost and balance_cost are terms of built-in kinds of fitness, found fitness 'function'; "
            "set both to 0"
        )
