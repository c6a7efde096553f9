"""Random networks of every neuron model and connection, in chip integers, made from a generator or a seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from random_networks import MODES, random_group

from neurosim.connections import Conv, OneToOne
from neurosim.events import Events, events_from_dense
from neurosim.network import LIF, AnyConnection, Dense, Group, Input, Network, Probe, Sparse
from neurosim.neurons import (
    ATRLIF,
    RF,
    Delta,
    GradedVec,
    LIFRefractory,
    LIFReset,
    MultiSpikeLIF,
    Neurons,
    ProdNeuron,
    RFIzhikevich,
    Sigma,
    SigmaDelta,
    TernaryLIF,
    rotation,
)

#: Every model; those that Lava does not have come last.
MODELS = ("lif", "reset", "ternary", "sigma", "delta", "sigma_delta", "product", "graded", "rf", "rf_iz", "atrlif",
          "refractory", "multispike", "each")  # fmt: skip
LAVA_MODELS = MODELS[:-3]  # Lava's own
RUN_BY_LAVA = (*LAVA_MODELS, "multispike")  # the last as a Process of ours


def random_model(rng: np.random.Generator, name: str, model: str, n: int) -> Neurons:
    """Return a group of a model with parameters that are often extreme."""
    lif = random_group(rng, name, 1)
    common = {
        "du": lif.du,
        "dv": lif.dv,
        "bias_mant": rng.integers(-500, 500, n) * rng.integers(0, 2),
        "bias_exp": rng.integers(0, 4, n),
    }
    vth = int(rng.choice([1, 5, 50, 500, 131071]))
    shifts = {"spike_exp": int(rng.integers(0, 3)), "state_exp": int(rng.integers(0, 3))}
    small = int(rng.choice([0, 1, 10, 300]))
    if model == "lif":
        return LIF(name, n, vth=vth, **common)
    if model == "each":
        wide = {"du": rng.integers(0, 4096, n), "dv": rng.integers(0, 4096, n), "vth": rng.integers(0, 500, n)}
        return LIF(name, n, **(common | wide))
    if model == "reset":
        return LIFReset(
            name,
            n,
            vth=vth,
            reset_interval=int(rng.choice([1, 2, 3, 6])),
            reset_offset=int(rng.integers(0, 7)),
            **common,
        )
    if model == "refractory":
        return LIFRefractory(name, n, vth=min(vth, 50), refractory_period=int(rng.integers(1, 5)), **common)
    if model == "ternary":
        return TernaryLIF(name, n, vth_hi=int(rng.integers(-5, 300)), vth_lo=int(rng.integers(-300, 5)), **common)
    if model == "multispike":
        return MultiSpikeLIF(
            name, n, vth=min(vth, 50), max_spikes=int(rng.integers(1, 20)), signed=bool(rng.integers(2)), **common
        )
    if model == "sigma":
        return Sigma(name, n)
    if model == "delta":
        return Delta(name, n, vth=small, cum_error=bool(rng.integers(2)), **shifts)
    if model == "sigma_delta":
        return SigmaDelta(name, n, vth=small, bias=rng.integers(-200, 200, n), act_mode=str(rng.choice(["relu", "unit"])),
                          cum_error=bool(rng.integers(2)), **shifts)  # fmt: skip
    if model == "product":
        return ProdNeuron(name, n, vth=small, exp=int(rng.integers(0, 12)))
    if model == "graded":
        return GradedVec(name, n, vth=small, relu=bool(rng.integers(2)))
    if model in ("rf", "rf_iz"):
        sine, cosine = rotation(float(rng.uniform(2, 30)), float(rng.uniform(0, 0.5)), 12)
        kind = RF if model == "rf" else RFIzhikevich
        return kind(name, n, sine, cosine, vth=max(small, 1), state_exp=int(rng.integers(0, 7)), decay_bits=12)
    assert model == "atrlif"
    decays = {key: int(rng.integers(0, 4096)) for key in ("delta_i", "delta_v", "delta_theta", "delta_r")}
    bias = {key: common[key] for key in ("bias_mant", "bias_exp")}
    return ATRLIF(name, n, theta_0=int(rng.integers(0, 200)), theta_step=int(rng.integers(0, 50)), **decays, **bias)


def random_link(rng: np.random.Generator, source: Group, target: Group, delays: bool = True) -> AnyConnection:
    """Return a connection of any kind: dense, sparse or one-to-one, with or without values and delays."""
    mode = [*MODES][int(rng.integers(len(MODES)))]
    low, high = MODES[mode]
    shape = (target.n, source.n)
    exponent, bits = int(rng.choice([0, 0, -8, -3, -1, 1, 4, 7])), int(rng.choice([8, 8, 1, 2, 5, 7]))
    message_bits = int(rng.choice([0, 8, 24]))
    longest = int(rng.integers(1, 7)) if delays and rng.random() < 0.4 else 0
    port = str(rng.choice(target.ports)) if len(target.ports) > 1 else ""

    def later(size: int | tuple[int, int]) -> np.ndarray | None:
        return rng.integers(0, longest + 1, size) if longest else None

    kind = rng.integers(0, 3)
    if kind == 0 and source.n == target.n:
        return OneToOne(source.name, target.name, source.n, rng.integers(low, high, source.n), exponent, bits, mode,
                        delays=later(source.n), num_message_bits=message_bits, port=port)  # fmt: skip
    if kind == 1:
        row, col = np.nonzero(rng.random(shape) < 0.4)
        return Sparse(source.name, target.name, shape, row, col, rng.integers(low, high, len(row)), exponent, bits, mode,
                      delays=later(len(row)), num_message_bits=message_bits, port=port)  # fmt: skip
    return Dense(source.name, target.name, rng.integers(low, high, shape), exponent, bits, mode,
                 delays=later(shape), num_message_bits=message_bits, port=port)  # fmt: skip


def model_network(
    seed: int,
    models: tuple[str, ...] = MODELS,
    n_groups: int = 3,
    delays: bool = True,
    recurrent: bool = True,
    n_inputs: int = 2,
) -> Network:
    """Return a network of models drawn from `models`, with everything probed.

    Without `recurrent` groups send to later groups only.
    """
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    sizes = [n, *(int(rng.integers(1, 7)) for _ in range(n_inputs - 1))]
    inputs: list[Group] = [Input(f"in{i}", size) for i, size in enumerate(sizes)]
    neurons: list[Group] = []
    for i in range(n_groups):
        size = n if rng.random() < 0.5 else int(rng.integers(1, 9))
        neurons.append(random_model(rng, f"g{i}", str(rng.choice(models)), size))
    groups = inputs + neurons
    pairs = [
        (a, b) for i, a in enumerate(groups) for j, b in enumerate(groups) if b in neurons and (recurrent or i < j)
    ]
    connections = [random_link(rng, a, b, delays) for a, b in pairs if rng.random() < 0.6]
    return Network(tuple(groups), tuple(connections), probe_states(groups))


def side_by_side(networks: list[Network]) -> Network:
    """Return networks as unconnected parts of one; the k-th one's groups are named "k:name"."""
    groups: list[Group] = []
    connections: list[AnyConnection] = []
    for k, network in enumerate(networks):
        groups += [replace(group, name=f"{k}:{group.name}") for group in network.groups]
        connections += [replace(c, source=f"{k}:{c.source}", target=f"{k}:{c.target}") for c in network.connections]
    return Network(tuple(groups), tuple(connections), probe_states(groups))


def probe_states(groups: list[Group]) -> tuple[Probe, ...]:
    """Return probes of all spikes and states."""
    return tuple(Probe(group.name, what) for group in groups for what in ("spikes", *group.states))


def conv_network(seed: int) -> Network:
    """Return an image, a convolution with random geometry, and sigma neurons that show its sums."""
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 3))
    shape = (int(rng.integers(3, 8)), int(rng.integers(3, 8)), groups * int(rng.integers(1, 3)))
    kernel = (groups * int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.integers(1, 4)), shape[2] // groups)
    conv = Conv(
        "image", "maps", rng.integers(-256, 256, kernel), shape, stride=(int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        padding=(int(rng.integers(0, 3)), int(rng.integers(0, 3))), dilation=1, groups=groups,
        num_message_bits=int(rng.choice([0, 24])),
    )  # fmt: skip
    maps: list[Group] = [Input("image", int(np.prod(shape))), Sigma("maps", conv.shape[0])]
    return Network(tuple(maps), (conv,), probe_states(maps))


def wide_network(seed: int, exponent: int) -> Network:
    """Return sigma neurons behind every kind of connection, with weights and delays that add up beyond 32 bits."""
    rng = np.random.default_rng(seed)
    row, col = np.nonzero(rng.random((5, 6)) < 0.8)
    n = len(row)
    groups: list[Group] = [Input("in", 6), *(Sigma(name, 5) for name in ("a", "b", "c", "d")), Sigma("e", 6)]
    weights, data = rng.integers(-256, 256, (5, 6)), rng.integers(-256, 256, n)
    connections: list[AnyConnection] = [
        Dense("in", "a", weights, exponent, num_message_bits=24),
        Dense("in", "b", weights, exponent, delays=rng.integers(0, 3, (5, 6)), num_message_bits=24),
        Sparse("in", "c", (5, 6), row, col, data, exponent, num_message_bits=24),
        Sparse("in", "d", (5, 6), row, col, data, exponent, delays=rng.integers(0, 3, n), num_message_bits=24),
        OneToOne("in", "e", 6, weights[0], exponent, delays=rng.integers(0, 3, 6), num_message_bits=24),
    ]
    return Network(tuple(groups), tuple(connections), probe_states(groups))


def random_values(seed: int, n_samples: int, n_steps: int, n_inputs: int, largest: int = 200) -> Events:
    """Return sparse events with values of either sign."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-largest, largest + 1, (n_samples, n_steps, n_inputs))
    return events_from_dense(values * (rng.random(values.shape) < 0.4), graded=True)
