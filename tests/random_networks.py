"""Random networks, spikes and learning cases in chip integers, made from a generator or a seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import CREDIT_SHIFT, N_SCALES, NOISE_EXP
from neurosim.compile_network import compile
from neurosim.events import Events, events_from_dense
from neurosim.learnplan import LearnPlan, Scales, make_plan
from neurosim.network import LIF, AnyConnection, Dense, Group, Input, Network, Probe, Sparse
from neurosim.program import Program

MODES = {"mixed": (-256, 256), "excitatory": (0, 256), "inhibitory": (-255, 1), None: (-255, 256)}


def probe_everything(groups: list[Group]) -> list[Probe]:
    """Return probes of all spikes, currents and voltages."""
    probes = [Probe(group.name) for group in groups]
    return probes + [Probe(group.name, what) for group in groups if isinstance(group, LIF) for what in ("u", "v")]


def random_group(rng: np.random.Generator, name: str, largest: int) -> LIF:
    """Return a group whose decays and thresholds are often extreme."""
    n = int(rng.integers(1, largest + 1))
    return LIF(
        name,
        n,
        du=int(rng.choice([0, 1, 2048, 4094, 4095, int(rng.integers(4096))])),
        dv=int(rng.choice([0, 1, 2048, 4095, int(rng.integers(4096))])),
        vth=int(rng.choice([0, 20, 200, 2000, 131071])),
        bias_mant=rng.integers(-4096, 4096, n) * rng.integers(0, 2),
        bias_exp=rng.integers(0, 8, n),
    )


def random_connection(rng: np.random.Generator, source: Group, target: Group) -> AnyConnection:
    """Return a dense or sparse connection of any format, mode and exponent."""
    mode = [*MODES][int(rng.integers(len(MODES)))]
    low, high = MODES[mode]
    shape, exponent = (target.n, source.n), int(rng.choice([0, 0, -8, -3, -1, 1, 4, 7]))
    bits = int(rng.choice([8, 8, 1, 2, 5, 7]))
    kind = rng.integers(0, 4)
    if kind == 0:
        row, col = np.nonzero(rng.random(shape) < 0.3)
        data = rng.integers(low, high, len(row))
        return Sparse(source.name, target.name, shape, row, col, data, exponent, bits, mode)
    weights = rng.choice([low, high - 1], shape) if kind == 1 else rng.integers(low, high, shape)
    plastic = mode == "mixed" and bool(rng.integers(2))
    return Dense(source.name, target.name, weights, exponent, bits, mode, plastic)


def random_network(
    seed: int, n_inputs: int = 2, n_groups: int = 3, recurrent: bool = True, largest: int = 12
) -> Network:
    """Return a network with everything probed; about half of all possible connections, in any order."""
    rng = np.random.default_rng(seed)
    inputs: list[Group] = [Input(f"in{i}", int(rng.integers(1, largest + 1))) for i in range(n_inputs)]
    neurons: list[Group] = [random_group(rng, f"g{i}", largest) for i in range(n_groups)]
    pairs = [(source, target) for source in inputs for target in neurons]
    pairs += [(a, b) for i, a in enumerate(neurons) for b in (neurons if recurrent else neurons[i + 1 :])]
    connections = [random_connection(rng, *pair) for pair in pairs if rng.random() < 0.6]
    groups = inputs + neurons
    rng.shuffle(groups)
    rng.shuffle(connections)
    return Network(tuple(groups), tuple(connections), tuple(probe_everything(groups)))


def random_events(seed: int, n_samples: int, n_steps: int, n_inputs: int, rate: float = 0.4) -> Events:
    """Return Bernoulli spikes."""
    rng = np.random.default_rng(seed)
    return events_from_dense(rng.random((n_samples, n_steps, n_inputs)) < rate)


class LearningCase(NamedTuple):
    """Everything that one generation of learning needs."""

    program: Program
    plan: LearnPlan
    scales: Scales
    events: Events
    labels: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    response: npt.NDArray[np.int32]


#: Layouts of networks that learn: sizes, and the pairs that are connected ("*" marks plastic ones).
LAYOUTS: dict[str, tuple[dict[str, int], tuple[str, ...]]] = {
    "one hidden": ({"in": 7, "hidden": 9, "out": 3}, ("in>hidden*", "hidden>out*")),
    "wide": ({"in": 70, "hidden": 67, "out": 5}, ("in>hidden*", "hidden>out*")),
    "two hidden": ({"in": 7, "a": 9, "b": 8, "out": 3}, ("in>a*", "a>b*", "b>out*", "in>b")),
    "recurrent": ({"in": 7, "hidden": 9, "out": 3}, ("in>hidden*", "hidden>hidden*", "hidden>out*", "out>out")),
    "two inputs": (
        {"in": 5, "out": 3, "hidden": 9, "in2": 4},
        ("in2>hidden*", "in>hidden*", "hidden>out*", "in2>out*", "in>out"),
    ),
    "frozen readout": ({"in": 7, "hidden": 9, "out": 3}, ("in>hidden*", "hidden>out")),
    "no hidden": ({"in": 7, "out": 3}, ("in>out*",)),
    "no input": ({"drive": 5, "hidden": 9, "out": 3}, ("drive>drive*", "drive>hidden*", "hidden>out*")),
}
#: Every form of the rule with its factor and ranks.
RULES = [
    ("response", "trace", 1),
    ("response", "trace", 3),
    ("scalar", "trace", 1),
    ("scalar", "trace", 2),
    ("scalar", "random", 1),
    ("scalar", "random", 2),
    ("scalar", "gaussian", 1),
    ("scalar", "gaussian", 2),
    ("scalar", "full", 1),
    ("scalar", "full-gaussian", 1),
]
#: What else a plan can say, each with a rule that may say so.
VARIANTS: list[tuple[str, str, int, dict[str, int | bool]]] = [
    ("response", "trace", 2, {"pair_every": 2}),
    ("response", "trace", 1, {"one_group": True}),
    ("response", "trace", 2, {"one_group": True, "pair_every": 3}),
    ("scalar", "trace", 2, {"gate": True}),
    ("scalar", "trace", 1, {"one_group": True}),
    ("scalar", "random", 1, {"gate": True}),
    ("scalar", "random", 2, {"gate": True, "one_group": True}),
    ("scalar", "gaussian", 2, {"gate": True}),
    ("scalar", "gaussian", 1, {"one_group": True}),
    ("scalar", "full", 1, {"gate": True}),
    ("scalar", "full-gaussian", 1, {"gate": True, "one_group": True}),
    ("scalar", "full", 1, {"one_group": True, "skip": -300}),
    ("response", "trace", 1, {"skip": -256}),
    ("response", "trace", 2, {"skip": -300, "pair_every": 2, "one_group": True}),
    ("scalar", "trace", 2, {"skip": -256}),
    ("scalar", "trace", 1, {"skip": -300, "one_group": True}),
    ("scalar", "random", 2, {"skip": -256, "one_group": True}),
    ("scalar", "gaussian", 1, {"skip": -300}),
    ("scalar", "full-gaussian", 1, {"skip": -256}),
]
#: Exponents of the noise by factor, so that perturbations change who fires whatever the size of the draws.
NOISE_EXPONENT = {"trace": 6, "random": 8, "gaussian": 0, "full": 8, "full-gaussian": 4}


def learning_network(layout: str, seed: int, bits: int = 8) -> Network:
    """Return a layout with random weights; hidden groups with a threshold, a readout that only integrates."""
    rng = np.random.default_rng(seed)
    sizes, pairs = LAYOUTS[layout]
    groups: list[Group] = []
    for name, n in sizes.items():
        if name.startswith("in"):
            groups.append(Input(name, n))
        elif name == "out":
            groups.append(LIF(name, n, du=4095, dv=0, vth=131071))
        elif name == "drive":  # fires by itself
            groups.append(LIF(name, n, du=4095, dv=100, vth=100, bias_mant=rng.integers(900, 4000, n)))
        else:
            groups.append(LIF(name, n, du=3000, dv=400, vth=100, bias_mant=rng.integers(-9, 9, n)))
    connections = []
    for pair in pairs:
        source, target = pair.rstrip("*").split(">")
        weights = rng.integers(-110, 130, (sizes[target], sizes[source]))
        connections.append(
            Dense(source, target, weights, num_weight_bits=bits, sign_mode="mixed", plastic=pair.endswith("*"))
        )
    return Network(tuple(groups), tuple(connections))


def learning_case(
    layout: str,
    form: str = "scalar",
    factor: str = "trace",
    rank: int = 1,
    *,
    n_pairs: int = 2,
    n_samples: int = 3,
    n_steps: int = 8,
    bits: int = 8,
    seed: int = 1,
    pair_every: int = 1,
    one_group: bool = False,
    gate: bool = False,
    skip: int = 0,
) -> LearningCase:
    """Return a case whose perturbations change who fires; samples repeat and are out of order in `ids`."""
    rng = np.random.default_rng(seed)
    program = compile(learning_network(layout, seed, bits), "unlimited")
    plan = make_plan(
        program, "out", form=form, factor=factor, rank=rank, n_pairs=n_pairs, n_steps=n_steps, error_bits=7,
        residual_bits=8, pair_every=pair_every, one_group=one_group, gate=gate, skip=skip,
    )  # fmt: skip
    group = np.zeros((len(program.group_names), N_SCALES), np.int64)
    group[:, NOISE_EXP] = rng.integers(0, 3, len(group)) + NOISE_EXPONENT[factor]
    group[:, CREDIT_SHIFT] = rng.integers(1, 4, len(group))
    scales = Scales(group, np.full(len(plan.connections), 4, np.int64), temperature=6, fitness_shift=1)
    events = random_events(seed, n_samples, n_steps - 2, program.network.n_inputs, rate=0.3)
    response = rng.integers(-100, 101, (rank, plan.n_classes, program.network.n_neurons)).astype(np.int32)
    ids = np.concatenate([rng.permutation(n_samples), [0]]).astype(np.int64)
    return LearningCase(program, plan, scales, events, rng.integers(0, plan.n_classes, n_samples), ids, response)
