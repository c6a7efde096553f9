"""Learning cases on sparse and convolutional connections, delays, values, and every neuron model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from random_networks import LearningCase, random_events

from neurosim.codes import CREDIT_SHIFT, N_SCALES, NOISE_EXP
from neurosim.compile_network import compile
from neurosim.learnplan import Scales, make_plan
from neurosim.network import LIF, AnyConnection, Conv, Dense, Group, Input, Network, OneToOne, Sparse
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

READOUT = LIF("out", 3, du=4095, dv=0, vth=131071)


def hidden(name: str, n: int) -> LIF:
    return LIF(name, n, du=3000, dv=400, vth=100)


def even(rng: np.random.Generator, *shape: int, low: int = -110, high: int = 130) -> np.ndarray:
    """Return weights that 8 bits hold."""
    return rng.integers(low, high, shape) // 2 * 2


def dense(rng: np.random.Generator, source: Group, target: Group, **more: object) -> Dense:
    return Dense(source.name, target.name, even(rng, target.n, source.n), sign_mode="mixed", plastic=True, **more)  # type: ignore[arg-type]


def sparse(rng: np.random.Generator, source: Group, target: Group, share: float = 0.5, **more: object) -> Sparse:
    row, col = np.nonzero(rng.random((target.n, source.n)) < share)
    return Sparse(source.name, target.name, (target.n, source.n), row, col, even(rng, len(row), high=200), sign_mode="mixed",
                  plastic=True, **more)  # type: ignore[arg-type]  # fmt: skip


def _sparse(rng: np.random.Generator) -> Network:
    a, b = Input("in", 9), hidden("a", 11)
    return Network([a, b, READOUT], [sparse(rng, a, b), sparse(rng, b, READOUT, 0.7), sparse(rng, a, READOUT, 0.2)])


def _one_to_one(rng: np.random.Generator) -> Network:
    a, b = Input("in", 9), hidden("a", 9)
    one = OneToOne("in", "a", 9, even(rng, 9, low=60, high=250), sign_mode="mixed", plastic=True)
    return Network([a, b, READOUT], [one, dense(rng, b, READOUT)])


def _conv(rng: np.random.Generator) -> Network:
    a = Input("in", 6 * 5 * 2)
    first = Conv("in", "a", even(rng, 4, 3, 2, 2), (6, 5, 2), stride=(2, 1), padding=(1, 0), plastic=True)
    b = hidden("a", first.shape[0])
    second = Conv("a", "b", even(rng, 4, 2, 2, 2), first.output_shape, dilation=(1, 2), groups=2, plastic=True)
    c = hidden("b", second.shape[0])
    return Network([a, b, c, READOUT], [first, second, dense(rng, c, READOUT)])


def _fixed_conv(rng: np.random.Generator) -> Network:
    a = Input("in", 5 * 5)
    first = Conv("in", "a", rng.integers(-256, 256, (2, 3, 3, 1)), (5, 5, 1))
    b = hidden("a", first.shape[0])
    return Network([a, b, READOUT], [first, dense(rng, b, READOUT)])


def _conv_in_circles(rng: np.random.Generator) -> Network:
    a = Input("in", 5 * 4)
    first = Conv("in", "a", even(rng, 2, 3, 2, 1), (5, 4, 1), plastic=True)
    b = hidden("a", first.shape[0])
    return Network([a, b, READOUT], [first, sparse(rng, b, b, 0.3), dense(rng, b, READOUT)])


def _sparse_in_circles(rng: np.random.Generator) -> Network:
    a, b = Input("in", 9), hidden("a", 11)
    return Network([a, b, READOUT], [sparse(rng, a, b), sparse(rng, b, b, 0.3), dense(rng, b, READOUT)])


def _delays(rng: np.random.Generator) -> Network:
    a, b = Input("in", 9), hidden("a", 7)
    late = dense(rng, a, b, delays=rng.integers(0, 3, (7, 9)))
    return Network([a, b, READOUT], [late, sparse(rng, b, READOUT, delays=1), sparse(rng, b, b, 0.3, delays=2)])


def _values(rng: np.random.Generator) -> Network:
    a, b, c = Input("in", 9), hidden("a", 7), Input("in2", 4)
    heard = [sparse(rng, c, b, num_message_bits=24), dense(rng, c, READOUT)]
    return Network([a, c, b, READOUT], [dense(rng, a, b, num_message_bits=24), *heard, dense(rng, b, READOUT)])


LINK_NETWORKS: dict[str, Callable[[np.random.Generator], Network]] = {
    "sparse": _sparse, "one to one": _one_to_one, "conv": _conv, "fixed conv": _fixed_conv,
    "conv in circles": _conv_in_circles, "sparse in circles": _sparse_in_circles, "delays": _delays, "values": _values,
}  # fmt: skip

SINE, COSINE = rotation(7.0, 0.1)
COMMON = {"du": 3000, "dv": 400}
#: A hidden group of every model besides plain LIF, which fires often and not always.
MODEL_GROUPS: dict[str, Neurons] = {
    "each": LIF("a", 8, du=3000, dv=np.arange(300, 700, 50), vth=np.arange(60, 140, 10)),
    "reset": LIFReset("a", 8, vth=100, reset_interval=3, **COMMON),
    "refractory": LIFRefractory("a", 8, vth=100, refractory_period=2, **COMMON),
    "ternary": TernaryLIF("a", 8, vth_hi=100, vth_lo=-90, **COMMON),
    "multispike": MultiSpikeLIF("a", 8, vth=50, max_spikes=5, **COMMON),
    "unsigned": MultiSpikeLIF("a", 8, vth=50, max_spikes=5, signed=False, **COMMON),
    "sigma": Sigma("a", 8),
    "delta": Delta("a", 8, vth=40, spike_exp=1, state_exp=1),
    "cumulative": Delta("a", 8, vth=90, cum_error=True, state_exp=2),
    "sigma_delta": SigmaDelta("a", 8, vth=60, bias=20, spike_exp=0, state_exp=1),
    "product": ProdNeuron("a", 8, vth=10, exp=6),
    "graded": GradedVec("a", 8, vth=60),
    "rf": RF("a", 8, SINE, COSINE, vth=60, state_exp=2),
    "rf_iz": RFIzhikevich("a", 8, SINE, COSINE, vth=60, state_exp=2),
    "atrlif": ATRLIF("a", 8, delta_i=3000, delta_v=400, delta_theta=500, delta_r=900, theta_0=60, theta_step=20),
}


def model_network(rng: np.random.Generator, model: str) -> Network:
    """Return a group of a model between inputs and a readout, which hears values where the model sends some."""
    a, b = Input("in", 9), MODEL_GROUPS[model]
    bits = {"num_message_bits": 16} if b.graded else {}
    connections: list[AnyConnection] = [dense(rng, a, b), dense(rng, b, READOUT, **bits)]
    if len(b.ports) > 1:
        connections[0] = replace(connections[0], port=b.ports[0])  # type: ignore[type-var]
        connections.append(Dense("in", "a", even(rng, b.n, 9), sign_mode="mixed", port=b.ports[1]))
    return Network([a, b, READOUT], connections)


def link_case(name: str, form: str = "scalar", factor: str = "trace", rank: int = 1, *, n_pairs: int = 2,
              n_samples: int = 2, n_steps: int = 8, seed: int = 1) -> LearningCase:  # fmt: skip
    """Return a case on one of `LINK_NETWORKS` or `MODEL_GROUPS`."""
    rng = np.random.default_rng(seed)
    network = LINK_NETWORKS[name](rng) if name in LINK_NETWORKS else model_network(rng, name)
    program = compile(network, "unlimited")
    plan = make_plan(
        program, "out", form=form, factor=factor, rank=rank, n_pairs=n_pairs, n_steps=n_steps, error_bits=7,
        residual_bits=8,
    )  # fmt: skip
    group = np.zeros((len(program.group_names), N_SCALES), np.int64)
    group[:, NOISE_EXP] = rng.integers(6, 9, len(group)) + 2 * (factor != "trace")
    group[:, CREDIT_SHIFT] = rng.integers(1, 4, len(group))
    scales = Scales(group, np.full(len(plan.connections), 4, np.int64), temperature=6, fitness_shift=1)
    events = random_events(seed, n_samples, n_steps - 2, program.network.n_inputs, rate=0.3)
    if name == "values":
        events = events._replace(value=rng.choice([-3, -1, 1, 2, 5], len(events.neuron)).astype(np.int32))
    response = rng.integers(-100, 101, (rank, plan.n_classes, program.network.n_neurons)).astype(np.int32)
    ids = np.concatenate([rng.permutation(n_samples), [0]]).astype(np.int64)
    return LearningCase(program, plan, scales, events, rng.integers(0, plan.n_classes, n_samples), ids, response)
