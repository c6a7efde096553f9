"""Programs spread over many small cores, with input values, for the tests of counts by core and of times."""

from __future__ import annotations

from dataclasses import replace

from model_networks import conv_network, model_network, random_values, wide_network
from random_networks import random_network

from neurosim.chip import Chip, load_chip
from neurosim.compile_network import compile
from neurosim.events import Events
from neurosim.network import Network
from neurosim.program import Program

#: Kinds of networks: plain LIF, every model, convolutions, sums beyond 32 bits and every exponent, the chip's arithmetic.
KINDS = ("random", "lava-dl", "models", "conv", "wide", "loihi1")
CHIP_MODELS = ("lif", "each", "reset", "refractory")


def scattered(compartments: int = 3, per_tile: int = 2) -> Chip:
    """Return Loihi 1 with small cores in a large mesh, without its limits on models and configurations."""
    return replace(
        load_chip("loihi1"), n_cores=512, mesh=(16, 16), cores_per_tile=per_tile, compartments_per_core=compartments,
        compartment_configs_per_core=None, threshold_configs_per_core=None, synapse_formats_per_core=None,
        neuron_models=None, message_bits=None,
    )  # fmt: skip


def network_of(kind: str, seed: int) -> tuple[Network, str]:
    """Return a random network of a kind, and the arithmetic that it is for."""
    if kind in ("random", "lava-dl"):
        return random_network(seed), {"random": "lava-0.10"}.get(kind, kind)
    if kind == "loihi1":
        network = model_network(seed, CHIP_MODELS)
        return replace(network, connections=tuple(replace(c, num_message_bits=0) for c in network.connections)), kind
    make = {"models": model_network, "conv": conv_network}
    return (wide_network(seed, seed % 16 - 8) if kind == "wide" else make[kind](seed)), "lava-0.10"


def case(
    kind: str, seed: int, chip: Chip | None = None, n_samples: int = 3, n_steps: int = 5
) -> tuple[Program, Events]:
    """Return a program on small cores and events for it."""
    network, arithmetic = network_of(kind, seed)
    program = compile(network, scattered() if chip is None else chip, arithmetic)
    return program, random_values(seed, n_samples, n_steps, network.n_inputs)
