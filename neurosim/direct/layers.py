"""A float network laid out for training by gradients: groups in order, and who feeds whom how many steps late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from neurosim.codes import DIRECT_HARD, DIRECT_INTEGRATE, DIRECT_SOFT, DIRECT_TERNARY
from neurosim.errors import ConfigError
from neurosim.network import Connection, ConvConnection, CubaLIF, Input, Network

QUANTITIES: tuple[Literal["tau_mem", "tau_syn", "v_threshold"], ...] = ("tau_mem", "tau_syn", "v_threshold")
#: Models of `CubaLIF` that are trained by gradients.
MODELS = {"lif": DIRECT_HARD, "multispike": DIRECT_SOFT, "ternary": DIRECT_TERNARY}


class Link(NamedTuple):
    """A connection into a layer."""

    connection: Connection
    late: int  # steps that what it brings lies behind the other inputs of its layer


@dataclass(frozen=True, eq=False)
class Layer:
    """A group, and what feeds it."""

    group: CubaLIF
    model: int  # a code DIRECT_*
    links: tuple[Link, ...]
    recurrent: Connection | None  # from the group to itself

    @property
    def fires(self) -> bool:
        """Whether it sends messages."""
        return self.model != DIRECT_INTEGRATE

    @property
    def incoming(self) -> tuple[Connection, ...]:
        """Every connection into the group."""
        own = () if self.recurrent is None else (self.recurrent,)
        return (*(link.connection for link in self.links), *own)


def layers_of(network: Network) -> tuple[Layer, ...]:
    """Return the groups of a network in the order in which a batch runs through them.

    On the chip a connection takes a step, so a group sees a sample as many steps late as its depth. A group that is run over all steps
    of a sample with its own clock gives the same messages; only where paths of different lengths meet, the longer one is late.

    Raises
    ------
    ConfigError
        For parts that cannot be trained by gradients.
    """
    inputs = [group for group in network.groups if isinstance(group, Input)]
    if len(inputs) != 1:
        raise ConfigError(f"network {network.name!r}: method 'direct' needs one input, found {len(inputs)}; join them")
    depth, layers = {inputs[0].name: 0}, []
    left = [group for group in network.groups if not isinstance(group, Input)]
    while left:
        ready = [group for group in left if _sources(network, group.name) <= set(depth)]
        if not ready:
            raise ConfigError(
                f"network {network.name!r}: groups {', '.join(group.name for group in left)} feed each other in a circle, which method "
                "'direct' trains only within a group; leave out the connection back"
            )
        for group in ready:
            layers.append(_layer(network, group, depth))
        left = [group for group in left if group.name not in depth]
    return tuple(layers)


def _sources(network: Network, name: str) -> set[str]:
    return {c.source for c in network.connections if c.target == name and c.source != name}


def _layer(network: Network, group: object, depth: dict[str, int]) -> Layer:
    """Check a group and its connections, and note its depth."""
    if not isinstance(group, CubaLIF):
        raise ConfigError(
            f"group {getattr(group, 'name', group)!r}: {type(group).__name__} is in chip integers, method 'direct' trains floats; describe "
            "it as CubaLIF"
        )
    if group.model not in MODELS:
        raise ConfigError(
            f"network.neuron: {group.model!r} has no surrogate gradient here; method 'direct' trains {', '.join(MODELS)}"
        )
    for quantity in QUANTITIES:
        if len(np.unique(group.each(quantity))) > 1:
            raise ConfigError(
                f"group {group.name!r}: {quantity} differs between neurons; method 'direct' has one for a group"
            )
    if np.any(np.asarray(group.bias)):
        raise ConfigError(f"group {group.name!r}: has a bias, which method 'direct' does not train; leave it out")
    threshold = float(group.each("v_threshold")[0])
    incoming = [c for c in network.connections if c.target == group.name]
    for connection in incoming:
        if type(connection) not in (Connection, ConvConnection) or connection.delays is not None:
            raise ConfigError(
                f"connection {connection.name!r}: method 'direct' trains dense and convolutional float connections without delays"
            )
    feeding = [c for c in incoming if c.source != group.name and isinstance(c, Connection)]
    own = [c for c in incoming if c.source == group.name and isinstance(c, Connection)]
    if not feeding:
        raise ConfigError(f"group {group.name!r}: receives nothing from outside; connect it")
    first = min(depth[c.source] for c in feeding)
    depth[group.name] = first + 1
    links = tuple(Link(c, depth[c.source] - first) for c in feeding)
    model = MODELS[group.model] if np.isfinite(threshold) else DIRECT_INTEGRATE
    if own and model == DIRECT_INTEGRATE:
        raise ConfigError(f"connection {own[0].name!r}: group {group.name!r} never fires; leave the connection out")
    return Layer(group, model, links, own[0] if own else None)
