"""A faulty chip in use: the program that learns on it, the model that it holds, and what a run there shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np

from neurosim.chip import Chip
from neurosim.compile_network import compile as compile_network
from neurosim.config import TrainConfig
from neurosim.errors import ConfigError, ModelFileError, NetworkError
from neurosim.faultconfig import FaultConfig
from neurosim.faults import BoolArray, Faults, draw_faults, faulty_network, with_groups, with_stuck_weights
from neurosim.linkplan import has_lanes
from neurosim.modelfile import Model
from neurosim.network import LIF
from neurosim.program import Program
from neurosim.sourced import Constant

LEAST_LOSS = 0.005  # what is less cannot be told from chance; no share of it is given
LIMIT = "threshold_configs_per_core"
THRESHOLDS = ("vth", "vth_hi", "vth_lo")
COUNTS = ("stuck", "synapses", "dead", "neurons")  # how much is broken of how much


class FaultyChip(NamedTuple):
    """What a trainer is given to learn on a faulty chip."""

    program: Program
    stuck: dict[str, BoolArray]  # by connection, in the shape of its weights
    groups: dict[str, LIF]  # with thresholds that the program does not have


def break_program(program: Program, config: FaultConfig) -> FaultyChip:
    """Break the chip that a program is made for.

    Where all neurons are plain, the program keeps the described thresholds, which calibrate the learning rule, and the learner
    is given the others; a program of other models holds a threshold for each neuron itself. Thresholds that vary by
    accident take none of the different ones that a core may hold.
    """
    faults, chip = draw_faults(program.network, config), unlimited(program.chip)
    own = has_lanes(program)
    network = with_stuck_weights(program.network, faults) if own else faulty_network(program.network, faults)
    broken = compile_network(network, chip, program.arithmetic)
    return FaultyChip(replace(broken, scales=program.scales), faults.stuck, faults.groups if own else {})


def unlimited(chip: Chip) -> Chip:
    """Return the chip without a limit of different thresholds, which those that vary by accident do not count against."""
    if chip.threshold_configs_per_core is None:
        return chip
    unit = chip.provenance[LIMIT].unit
    lifted = Constant(
        None, unit, "a faulty chip, whose thresholds vary by accident and take none of its settings", "unlimited"
    )
    return replace(chip, threshold_configs_per_core=None, provenance=chip.provenance | {LIMIT: lifted})


def check_faults(config: TrainConfig) -> None:
    """Refuse settings that nothing can learn with on a faulty chip."""
    if config.rule.thresholds and (config.faults.dead or config.faults.threshold_spread):
        raise ConfigError(
            "rule.thresholds: on a chip whose thresholds are broken (faults.dead, faults.threshold_spread) none are learned; "
            "set rule.thresholds to false"
        )


def faulty_model(model: Model, config: FaultConfig) -> Model:
    """Return what a broken chip holds of a model; one that was on a faulty chip before is put on a healthy one first."""
    model = healthy_model(model)
    faults = draw_faults(model.network, config)
    metadata = model.metadata | {"faults": fault_metadata(config, model, faults)}
    return replace(model, network=faulty_network(model.network, faults), chip=unlimited(model.chip), metadata=metadata)


def fault_metadata(config: FaultConfig, model: Model, faults: Faults) -> dict[str, Any]:
    """Return what a model on a faulty chip says of it: the faults, how many, and the thresholds of a healthy chip."""
    described = {
        name: {key: _plain(getattr(model.network.group(name), key)) for key in THRESHOLDS if hasattr(group, key)}
        for name, group in faults.groups.items()
    }
    n_neurons = sum(dead.size for dead in faults.dead.values())
    counts = (faults.n_stuck, faults.n_synapses, faults.n_dead, n_neurons)
    return {"config": asdict(config), "thresholds": described} | dict(zip(COUNTS, counts, strict=True))


def healthy_model(model: Model) -> Model:
    """Return a model with the thresholds that it was made with; weights stay as the faulty chip held them.

    Raises
    ------
    ModelFileError
        If what its metadata say of faults does not go with its network.
    """
    if "faults" not in model.metadata:
        return model
    groups = []
    try:
        for name, thresholds in model.metadata["faults"]["thresholds"].items():
            group = model.network.group(name)
            if not isinstance(group, LIF) or not set(thresholds) <= {key for key in THRESHOLDS if hasattr(group, key)}:
                raise ModelFileError(_unknown(model))
            groups.append(replace(group, **{key: _register(value) for key, value in thresholds.items()}))
    except (AttributeError, KeyError, TypeError, NetworkError) as error:
        raise ModelFileError(_unknown(model)) from error
    metadata = {key: value for key, value in model.metadata.items() if key != "faults"}
    return replace(model, network=with_groups(model.network, groups), metadata=metadata)


def _unknown(model: Model) -> str:
    return f"model {model.network.name!r}: what it says of faults does not go with its network; train anew"


def _plain(register: Any) -> int | list[int]:
    return register if isinstance(register, int) else [int(vth) for vth in np.asarray(register)]


def _register(value: int | list[int]) -> Any:
    return value if isinstance(value, int) else np.array(value)


def won_back(healthy: float, before: float, after: float) -> float | None:
    """Return the share of the lost accuracy that learning won back; None where half a point or less was lost.

    Examples
    --------
    >>> won_back(1.0, 0.5, 0.75)
    0.5
    """
    lost = healthy - before
    return None if lost < LEAST_LOSS else (after - before) / lost


def fault_metrics(described: Mapping[str, Any], before: Sequence[float], after: float) -> dict[str, Any]:
    """Return what a run on a faulty chip measured.

    Parameters
    ----------
    described : mapping
        As `fault_metadata`.
    before : sequence of float
        Accuracies of the model that the run began with, on a healthy chip and on the faulty one; nothing if it began with random
        weights.
    after : float
        Accuracy on the faulty chip at the end.
    """
    counts = {key: described[key] for key in COUNTS}
    if not before:
        return counts | {"healthy": None, "before": None, "after": after, "won_back": None}
    healthy, faulty = before
    return counts | {"healthy": healthy, "before": faulty, "after": after, "won_back": won_back(healthy, faulty, after)}
