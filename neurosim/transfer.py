"""Begin training with the network of a model file, trained elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from neurosim.config import NetworkConfig, TrainConfig
from neurosim.errors import ConfigError
from neurosim.exchange.imported import Port
from neurosim.fixedpoint import lost_weight_bits
from neurosim.learning.build import INPUT, READOUT
from neurosim.modelfile import Model, load_model
from neurosim.network import AnyConnection, Connection, Conv, Group, Input, Network, Probe
from neurosim.scale import VTH_MAX

OWN = ("n_steps",)  # keys of the network that a later training may choose anew
KEPT = ("import", "inputs", "outputs")  # what a model that was imported keeps of that when it learns on


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
        If the model was made by something else than training or import, or does not go with the configuration or the
        task.
    ModelFileError
        If the file cannot be read.
    """
    model = load_model(config.start)
    where = f"start {config.start!r}"
    check_network(model, config, where)
    network = _named(model.network, model.readout)
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
    connections = tuple(_learning(c) for c in network.connections)
    probes = (Probe(READOUT), Probe(READOUT, "v")) if _fires(network) else (Probe(READOUT, "v"),)
    return replace(network, connections=connections, probes=probes, name=name), dict(model.scales)


def kept_metadata(config: TrainConfig) -> dict[str, Any]:
    """Return what a model that learns on keeps of the metadata of the one that it began with."""
    if not config.start:
        return {}
    metadata = load_model(config.start).metadata
    kept = {key: metadata[key] for key in KEPT if key in metadata}
    for key, group in (("inputs", INPUT), ("outputs", READOUT)):
        if key in kept:
            kept[key] = {**kept[key], "group": group}
    return kept


def starting_inputs(config: TrainConfig) -> Port | None:
    """Return how the model that a training begins with numbers its inputs, if it was imported."""
    kept = load_model(config.start).metadata.get("inputs") if config.start else None
    return None if kept is None else Port.from_dict(kept)


def model_network(model: Model, where: str) -> NetworkConfig:
    """Return the network settings that a model was trained with; of one that was imported, the sizes of its layers.

    An imported network stays as it is: of its settings only the number of layers counts, which says how many steps a
    sample takes.
    """
    metadata: Mapping[str, Any] = model.metadata
    trained: dict[str, Any] | None = metadata.get("config")
    if trained is not None and READOUT in [group.name for group in model.network.groups]:
        return TrainConfig.from_dict(trained, where).network
    if "import" in metadata:
        between = max(0, int(metadata.get("latency", 2)) - 1)
        sizes = [g.n for g in model.network.groups if not isinstance(g, Input) and g.name != model.readout]
        readout_threshold = 1.0 if _fires(_named(model.network, model.readout)) else 0.0
        return NetworkConfig(hidden=tuple(sizes[:between]), readout_threshold=readout_threshold)
    raise ConfigError(
        f"{where}: does not say how it was trained; give a model that neurosim train or neurosim import has written"
    )


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


def _fires(network: Network) -> bool:
    """Whether the readout sends spikes."""
    vth = getattr(network.group(READOUT), "vth", VTH_MAX)
    return bool((vth < VTH_MAX) if isinstance(vth, int) else (vth < VTH_MAX).any())


def _named(network: Network, readout: str) -> Network:
    """Return the network with the names that training uses for its inputs and for the group that answers."""
    inputs = [group.name for group in network.groups if isinstance(group, Input)]
    names = {readout: READOUT} | ({inputs[0]: INPUT} if len(inputs) == 1 else {})
    if all(old == new for old, new in names.items()):
        return network
    groups: tuple[Group, ...] = tuple(replace(g, name=names.get(g.name, g.name)) for g in network.groups)
    connections: tuple[AnyConnection, ...] = tuple(
        replace(c, source=names.get(c.source, c.source), target=names.get(c.target, c.target))
        for c in network.connections
    )
    return replace(network, groups=groups, connections=connections, probes=())


def _learning(connection: AnyConnection) -> AnyConnection:
    """Return a connection whose weights learn; of both signs, so weights of one sign lose their lowest bit."""
    assert not isinstance(connection, Connection)
    step = 1 << lost_weight_bits(connection.num_weight_bits, "mixed")
    if isinstance(connection, Conv):
        return replace(connection, plastic=True, weights=connection.weights // step * step)  # type: ignore[operator]
    return replace(connection, plastic=True, sign_mode="mixed")
