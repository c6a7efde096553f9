"""Begin training with the network of a model file, trained elsewhere."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from neurosim.config import NetworkConfig, TrainConfig
from neurosim.errors import ConfigError
from neurosim.learning.build import READOUT
from neurosim.modelfile import Model, load_model
from neurosim.network import Dense, Input, Network, Probe

OWN = ("n_steps",)  # keys of the network that a later training may choose anew


def starting_network(config: TrainConfig, n_inputs: int, n_classes: int, name: str) -> tuple[Network, dict[str, float]]:
    """Return the network of the model that `config.start` names, with all weights learning, and its scales.

    Parameters
    ----------
    config : TrainConfig
        Its network must be the model's, but for the number of steps.
    n_inputs, n_classes : int
        Of the task to learn.
    name : str
        Of the network in the new model.

    Raises
    ------
    ConfigError
        If the model was made by something else than training, or does not go with the configuration or the task.
    ModelFileError
        If the file cannot be read.
    """
    model = load_model(config.start)
    where = f"start {config.start!r}"
    check_network(model, config, where)
    network = model.network
    inputs = sum(group.n for group in network.groups if isinstance(group, Input))
    classes = network.group(READOUT).n
    for found, needed, what, remedy in (
        (inputs, n_inputs, "inputs", "prepare the task's samples alike (pool, n_steps)"),
        (classes, n_classes, "classes", "train anew"),
    ):
        if found != needed:
            raise ConfigError(
                f"{where}: has {found} {what}, task {config.task!r} has {needed}; {remedy}, or start from a model of its own kind"
            )
    connections = tuple(replace(c, plastic=True) if isinstance(c, Dense) else c for c in network.connections)
    return replace(network, connections=connections, probes=(Probe(READOUT, "v"),), name=name), dict(model.scales)


def model_network(model: Model, where: str) -> NetworkConfig:
    """Return the network settings that a model was trained with."""
    trained: dict[str, Any] | None = model.metadata.get("config")
    if trained is None or READOUT not in [group.name for group in model.network.groups]:
        raise ConfigError(f"{where}: does not say how it was trained; give a model that neurosim train has written")
    return TrainConfig.from_dict(trained, where).network


def check_network(model: Model, config: TrainConfig, where: str) -> None:
    """Refuse a configuration whose network is another than the model's."""
    trained, given = asdict(model_network(model, where)), asdict(config.network)
    for key, value in trained.items():
        if key not in OWN and given[key] != value:
            shown = list(value) if isinstance(value, tuple) else value
            raise ConfigError(
                f"{where}: trained with network.{key} = {shown}, the configuration has {given[key]}; "
                f"set network.{key}={shown}, or start without it"
            )
