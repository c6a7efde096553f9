"""Networks that every backend must run alike, many small ones side by side in each since some backends start slowly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.backend import RunResult
from neurosim.network import LIF, AnyConnection, Dense, Group, Input, Network, Probe, Sparse

FULL = 131071  # largest threshold: such groups hardly ever fire
EDGES = (0, 1, 2048, 4095)  # of the decay registers


class Case(NamedTuple):
    """A network with everything probed, its input spikes, and how long to run."""

    network: Network
    spikes: npt.NDArray[np.int8]  # (n_samples, n_steps, n_inputs)
    n_steps: int


def make_case(
    name: str,
    groups: Sequence[Group],
    connections: Sequence[AnyConnection],
    spikes: npt.NDArray[np.int8],
    n_steps: int = 0,
) -> Case:
    """Return the case with probes on everything."""
    probes = [Probe(group.name) for group in groups]
    probes += [Probe(group.name, what) for group in groups if isinstance(group, LIF) for what in ("u", "v")]
    return Case(
        Network(tuple(groups), tuple(connections), tuple(probes), name=name), spikes, n_steps or spikes.shape[1]
    )


def random_spikes(
    rng: np.random.Generator, n_samples: int, n_steps: int, n_inputs: int, rate: float
) -> npt.NDArray[np.int8]:
    """Return Bernoulli spikes."""
    return (rng.random((n_samples, n_steps, n_inputs)) < rate).astype(np.int8)


def decays() -> Case:
    """Every pair of edge values of du and dv; negative and positive currents, some of them large."""
    rng = np.random.default_rng(1)
    pairs = [(du, dv) for du in EDGES for dv in EDGES]
    groups: list[Group] = [Input("in", 8)]
    groups += [LIF(f"du{du} dv{dv}", 6, du, dv, vth=(40, 600, FULL)[i % 3]) for i, (du, dv) in enumerate(pairs)]
    weights = [rng.integers(-256, 256, (6, 8)) for _ in pairs]
    connections = [
        Dense("in", group.name, w, i % 8, 8, "mixed")
        for i, (group, w) in enumerate(zip(groups[1:], weights, strict=True))
    ]
    return make_case("decays", groups, connections, random_spikes(rng, 1, 40, 8, 0.3))


def thresholds_and_biases() -> Case:
    """Strict threshold at v = vth << 6, extreme thresholds, and every bias exponent with both signs."""
    exponent = np.arange(8)
    groups: list[Group] = [
        Input("in", 1),
        LIF("exact", 3, 4095, 4095, vth=10),
        LIF("zero", 3, 4095, 0, vth=0),
        LIF("full", 4, 4095, 0, vth=FULL, bias_mant=[4095, 4095, -4096, 1], bias_exp=[7, 6, 7, 0]),
        LIF("plus", 8, 4095, 100, vth=50, bias_mant=37, bias_exp=exponent),
        LIF("minus", 8, 4095, 100, vth=50, bias_mant=-37, bias_exp=exponent),
        LIF("silent", 2, 7, 9, vth=5),
    ]
    # 10 is not above the threshold 10, 12 is; a bias of 1 unit of v makes 10 enough.
    connections = [Dense("in", "exact", [[10], [12], [8]]), Dense("in", "zero", [[0], [2], [-2]])]
    spikes = np.zeros((1, 30, 1), np.int8)
    spikes[0, ::3] = 1
    return make_case("thresholds and biases", groups, connections, spikes)


def wrap_and_saturation() -> Case:
    """Currents at and beyond +-2**23 and 3 * 2**23, an input sum beyond 32 bits, voltages at their limits."""
    groups: list[Group] = [
        Input("eight", 8),
        Input("many", 1100),
        LIF("wrap", 4, 0, 0, vth=FULL),
        LIF("forget", 4, 4095, 4095, vth=FULL),
        LIF("long", 2, 4095, 0, vth=FULL),
    ]
    # 8 * 128 << 7 = 2**17, shifted by 6: exactly 2**23. Row 2 and 3 pass it by one weight of 2 at most.
    edge = np.repeat([[128], [-128], [126], [-130]], 8, axis=1)
    connections: list[AnyConnection] = [
        Dense("eight", "wrap", edge, 7, 8, "mixed"),
        Dense("eight", "forget", edge, 7, 8, "mixed"),
        Dense("many", "long", np.repeat([[254], [-256]], 1100, axis=1), 7, 8, "mixed"),
    ]
    spikes = np.zeros((2, 40, 1108), np.int8)
    spikes[0, :10, :8] = 1
    for step, lines in enumerate((4, 5, 12, 13, 16, 200, 1023, 1024, 1040, 1100)):
        spikes[0, 2 * step, 8 : 8 + lines] = 1
    spikes[1] = random_spikes(np.random.default_rng(2), 1, 40, 1108, 0.4)[0]
    return make_case("wrap and saturation", groups, connections, spikes)


def weights_of_mode(mode: str) -> Callable[[], Case]:
    """Return the case that holds every weight of a sign mode in every number of bits, one at a time, then mixed."""

    def case() -> Case:
        low, high = {"mixed": (-256, 255), "inhibitory": (-255, 0)}.get(mode, (0, 255))
        values = np.zeros(512 if mode == "mixed" else 256, np.int64)
        values[: high - low + 1] = np.arange(low, high + 1)
        weights = values.reshape(16, -1)
        n_pre = weights.shape[1]
        groups: list[Group] = [Input("in", n_pre)]
        groups += [LIF(f"{bits} bits", 16, 4095, 4095, vth=FULL) for bits in range(1, 9)]
        connections = [Dense("in", f"{bits} bits", weights, 0, bits, mode) for bits in range(1, 9)]
        spikes = np.zeros((1, n_pre + 10, n_pre), np.int8)
        spikes[0, np.arange(n_pre), np.arange(n_pre)] = 1
        spikes[0, n_pre:] = random_spikes(np.random.default_rng(3), 1, 10, n_pre, 0.5)[0]
        return make_case(f"weights {mode}", groups, connections, spikes)

    case.__doc__ = f"Every {mode} weight."
    return case


def exponents() -> Case:
    """Every weight exponent on sums of both signs: a negative exponent rounds the sum down, not each weight."""
    rng = np.random.default_rng(4)
    weights = rng.integers(-60, 60, (10, 12))
    groups: list[Group] = [Input("in", 12)]
    groups += [LIF(f"exp {e}", 10, 4095, 0, vth=FULL) for e in range(-8, 8)]
    connections = [Dense("in", f"exp {e}", weights, e, 8, "mixed") for e in range(-8, 8)]
    return make_case("exponents", groups, connections, random_spikes(rng, 1, 24, 12, 0.4))


def sparse() -> Case:
    """Sparse connections in all modes, with empty rows and columns, and one without any synapse."""
    rng = np.random.default_rng(5)
    groups: list[Group] = [Input("in", 20)]
    connections: list[AnyConnection] = []
    kinds = (
        ("mixed", 8, 0),
        ("mixed", 3, -3),
        ("excitatory", 8, 2),
        ("inhibitory", 5, -2),
        ("null", 6, 1),
        (None, 8, -1),
    )
    for mode, bits, exponent in kinds:
        row, col = np.nonzero(rng.random((9, 20)) < 0.2)
        low, high = {"excitatory": (0, 256), "null": (0, 256), "inhibitory": (-255, 1)}.get(str(mode), (-256, 256))
        name = f"{mode} {bits} bits"
        groups.append(LIF(name, 9, 900, 200, vth=150))
        connections.append(
            Sparse("in", name, (9, 20), row, col, rng.integers(low, high, len(row)), exponent, bits, mode)
        )
    nothing = np.zeros(0, np.int64)
    groups.append(LIF("unconnected", 3, 0, 0, vth=3, bias_mant=50))
    connections.append(Sparse("in", "unconnected", (3, 20), nothing, nothing, nothing))
    return make_case("sparse", groups, connections, random_spikes(rng, 2, 30, 20, 0.3))


def recurrence() -> Case:
    """Self-connections, loops over two groups, several connections into one group, unconnected parts, three samples.

    Everything fires up to the last step of each sample, so that spikes on the way at its end would show in the next.
    """
    rng = np.random.default_rng(6)
    row, col = np.nonzero(rng.random((7, 7)) < 0.4)
    groups: list[Group] = [
        LIF("a", 7, 600, 300, vth=60, bias_mant=rng.integers(0, 60, 7), bias_exp=5),
        Input("left", 5),
        LIF("b", 6, 2000, 0, vth=90, bias_mant=-3, bias_exp=2),
        Input("right", 4),
        LIF("island", 3, 4095, 10, vth=1, bias_mant=40),
        LIF("pacemaker", 2, 4095, 0, vth=0, bias_mant=4095, bias_exp=7),
    ]
    connections: list[AnyConnection] = [
        Sparse("a", "a", (7, 7), row, col, rng.integers(-100, 100, len(row)), 1),
        Dense("a", "b", rng.integers(-90, 120, (6, 7)), -1, 8),
        Dense("b", "a", rng.integers(-120, 90, (7, 6)), 0, 6),
        Dense("b", "b", rng.integers(-80, 0, (6, 6)), 0, 8),
        Dense("left", "b", rng.integers(0, 200, (6, 5)), -2, 7),
        Dense("right", "b", rng.integers(-200, 200, (6, 4)), 1, 8),
        Dense("pacemaker", "b", rng.integers(-30, 30, (6, 2)), -1, 8),
        Dense("island", "island", [[0, 30, -20], [5, 0, 0], [-255, 255, 0]], -3, 8),
    ]
    return make_case("recurrence", groups, connections, random_spikes(rng, 3, 30, 9, 0.35))


def longer_than_input() -> Case:
    """More steps than the events have: the rest is silent input."""
    groups: list[Group] = [Input("in", 3), LIF("out", 4, 300, 40, vth=20)]
    connections = [Dense("in", "out", [[90, 0, 30], [0, 90, 30], [30, 30, 30], [-90, 10, 250]])]
    return make_case(
        "longer than input", groups, connections, random_spikes(np.random.default_rng(7), 2, 6, 3, 0.5), 25
    )


def shorter_than_input() -> Case:
    """Fewer steps than the events have: later events are not played, and leave no trace in the next sample."""
    case = longer_than_input()
    spikes = random_spikes(np.random.default_rng(8), 3, 20, 3, 0.6)
    return Case(case.network, spikes, 7)


def no_input_spikes() -> Case:
    """Input lines that never fire."""
    case = longer_than_input()
    return Case(case.network, np.zeros((2, 5, 3), np.int8), 5)


def one_step() -> Case:
    """Samples of one step: nothing has time to arrive."""
    case = recurrence()
    return Case(case.network, case.spikes[:, :1], 1)


CASES: dict[str, Callable[[], Case]] = {
    "decays": decays,
    "thresholds_and_biases": thresholds_and_biases,
    "wrap_and_saturation": wrap_and_saturation,
    "weights_mixed": weights_of_mode("mixed"),
    "weights_excitatory": weights_of_mode("excitatory"),
    "weights_inhibitory": weights_of_mode("inhibitory"),
    "weights_null": weights_of_mode("null"),
    "exponents": exponents,
    "sparse": sparse,
    "recurrence": recurrence,
    "longer_than_input": longer_than_input,
    "shorter_than_input": shorter_than_input,
    "no_input_spikes": no_input_spikes,
    "one_step": one_step,
}


def spike_list(result: RunResult, group: str) -> list[tuple[int, int, int]]:
    """Return the spikes of a group as (sample, step, neuron) in the order of the result."""
    train = result.spikes[group]
    return list(zip(train.sample.tolist(), train.step.tolist(), train.neuron.tolist(), strict=True))
