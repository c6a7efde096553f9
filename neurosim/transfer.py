"""Begin training with the network of a model file, trained elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.config import NetworkConfig, TrainConfig
from neurosim.decays import decay_registers, time_constant
from neurosim.errors import ConfigError
from neurosim.exchange.binding import bind_task, inputs_of
from neurosim.faultychip import healthy_model
from neurosim.fixedpoint import lost_weight_bits
from neurosim.learning.build import INPUT, READOUT
from neurosim.modelfile import Model, load_model
from neurosim.network import AnyConnection, Connection, Conv, CubaLIF, Dense, Group, Input, Network, Probe
from neurosim.neurons import TernaryLIF
from neurosim.scale import VTH_MAX
from neurosim.tasks import Task

OWN = ("n_steps",)  # keys of the network that a later training may choose anew
KEPT = ("import", "inputs", "outputs")  # what a model that was imported keeps of that when it learns on


def starting_model(config: TrainConfig) -> Model | None:
    """Return the model that a training begins with, if `config.start` names one, with the thresholds of a healthy chip."""
    return healthy_model(load_model(config.start)) if config.start else None


def starting_network(
    config: TrainConfig, model: Model, n_inputs: int, n_classes: int, name: str
) -> tuple[Network, dict[str, float]]:
    """Return the network of the model that a training begins with, with all weights learning, and its scales.

    Parameters
    ----------
    config : TrainConfig
        Its network must be the model's, but for the number of steps.
    model : Model
        What `config.start` names.
    n_inputs, n_classes : int
        Of the task to learn.
    name : str
        Of the network in the new model.

    Raises
    ------
    ConfigError
        If the model was made by something else than training or import, or does not go with the configuration or the
        task.
    """
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


def starting_floats(config: TrainConfig, model: Model, network: Network) -> Network:
    """Return a network in floats with what a model holds, for training off the chip: its integers over its scales.

    Quantising the result chooses scales anew, so that it may round weights by up to half a step of theirs.

    Parameters
    ----------
    config : TrainConfig
        Its network must be the model's, but for the number of steps.
    model : Model
        What `config.start` names: one that training made, on the chip or off it.
    network : Network
        In floats, as `build_network` describes that of the configuration.

    Raises
    ------
    ConfigError
        If the model was imported, has neurons with parameters of their own, or does not go with the configuration or the
        task.
    """
    where = f"start {config.start!r}"
    if "import" in model.metadata:
        raise ConfigError(
            f"{where}: was imported, method 'direct' begins with models that neurosim train made; learn on by method=on-chip"
        )
    n_inputs, n_classes = (network.group(name).n for name in (INPUT, READOUT))
    held, scales = starting_network(config, model, n_inputs, n_classes, network.name)
    groups = tuple(
        _float_group(group, held.group(group.name), scales, network.dt, where) if isinstance(group, CubaLIF) else group
        for group in network.groups
    )
    connections: list[AnyConnection] = []
    for connection in network.connections:
        integers, scale = held.connection(connection.name), scales.get(f"connection/{connection.name}")
        assert isinstance(connection, Connection) and isinstance(integers, (Dense, Conv))
        if scale is None or integers.shape != connection.shape:
            raise ConfigError(
                f"{where}: connection {connection.name!r} has no scale or another shape than the task needs; train anew"
            )
        connections.append(replace(connection, weights=np.asarray(integers.weights) / scale))
    return replace(network, groups=groups, connections=tuple(connections))


def _float_group(group: CubaLIF, held: Group, scales: Mapping[str, float], dt: float, where: str) -> CubaLIF:
    """Return a group in floats with the threshold and the decays of one in chip integers."""
    scale = scales.get(f"group/{group.name}")
    vth, du, dv = (
        getattr(held, name, None) for name in ("vth_hi" if isinstance(held, TernaryLIF) else "vth", "du", "dv")
    )
    one_each = isinstance(vth, int) and isinstance(du, int) and isinstance(dv, int)
    if scale is None or not one_each or np.any(getattr(held, "bias_mant", 0)):
        raise ConfigError(
            f"{where}: neurons of group {group.name!r} have thresholds or biases of their own, which method 'direct' does not train; "
            "learn on by method=on-chip"
        )
    assert isinstance(vth, int) and isinstance(du, int) and isinstance(dv, int)
    found = group
    if np.isfinite(group.each("v_threshold")[0]):
        found = replace(found, v_threshold=vth / scale)
    if decay_registers(group, dt, "exact", []) != (du, dv):  # decays were learned
        found = replace(found, tau_mem=time_constant(dv, dt), tau_syn=time_constant(du + 1, dt))
    return found


def kept_metadata(start: Model | None) -> dict[str, Any]:
    """Return what a model that learns on keeps of the metadata of the one that it began with."""
    if start is None:
        return {}
    kept = {key: start.metadata[key] for key in KEPT if key in start.metadata}
    for key, group in (("inputs", INPUT), ("outputs", READOUT)):
        if key in kept:
            kept[key] = {**kept[key], "group": group}
    return kept


def task_to_learn(task: Task, start: Model | None) -> Task:
    """Return a task whose events go to the input lines of the model that a training begins with."""
    return task if start is None else bind_task(task, inputs_of(start.metadata))


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


def started_from(config: TrainConfig, model: Model, path: Path, where: str) -> TrainConfig:
    """Return the configuration with a model to start from, and with that model's network but for `n_steps`.

    Parameters
    ----------
    config : TrainConfig
    model : Model
    path : Path
        Its file.
    where : str
        How messages name it.
    """
    network = replace(model_network(model, where), n_steps=config.network.n_steps)
    config = replace(config, start=path.as_posix(), network=network)
    fitness = model.metadata.get("answer", {}).get("fitness")
    if "import" in model.metadata and fitness is not None:  # its readout may fire, where one of ours only integrates
        config = replace(config, rule=replace(config.rule, fitness=fitness))
    return config


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
