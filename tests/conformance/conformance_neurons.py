"""Grids over the parameters of every neuron model: each register at both ends of its range, and in the middle."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from conformance_grid import N_LINES, Grid

from neurosim.network import LIF, Dense
from neurosim.neurons import (
    ATRLIF,
    RF,
    Delta,
    GradedVec,
    LIFReset,
    MultiSpikeLIF,
    ProdNeuron,
    RFIzhikevich,
    Sigma,
    SigmaDelta,
    TernaryLIF,
    rotation,
)

DECAYS = (0, 1, 4094, 4095)
FULL = 131071  # largest threshold mantissa of LIF neurons
LARGEST = (1 << 23) - 1  # largest threshold of graded neurons
EXPONENTS = ((0, 0), (1, 0), (0, 1), (3, 2), (7, 0), (0, 7), (7, 7))  # spike_exp, state_exp


def drive(source: str, target: str, n: int, seed: int, exponent: int = 0, port: str = "") -> Dense:
    """Return random weights of both signs from an input, multiplied with its values."""
    weights = np.random.default_rng(seed).integers(-256, 256, (n, N_LINES))
    bits = {"bit": 1, "byte": 8, "wide": 24}[source]
    return Dense(source, target, weights, exponent, 8, "mixed", num_message_bits=bits, port=port)


def lif_decays() -> Grid:
    """Every pair of edge decays; currents that wrap on both sides, one also beyond 3 * 2**23."""
    grid = Grid("lif decays")
    for i, (du, dv) in enumerate(product(DECAYS, DECAYS)):
        source, exponent = (("bit", i % 8), ("byte", -3 + i % 8), ("wide", -8))[i % 3]
        grid.add(LIF(f"lif du={du} dv={dv}", 3, du, dv, vth=(40, 600, FULL)[i % 3]),
                 drive(source, f"lif du={du} dv={dv}", 3, i, exponent))  # fmt: skip
    return grid


def lif_thresholds() -> Grid:
    """Thresholds at both ends, with every edge of the bias; without input, so that each step is the bias alone."""
    grid = Grid("lif thresholds")
    for i, (vth, mantissa, exponent) in enumerate(product((0, 1, FULL), (-4096, -1, 0, 1, 4095), (0, 7))):
        name = f"lif vth={vth} bias={mantissa}<<{exponent}"
        grid.add(LIF(name, 2, DECAYS[i % 4], DECAYS[i // 4 % 4], vth, [mantissa, -mantissa // 2], [exponent, 3]))
    return grid


def lif_resets() -> Grid:
    """Reset intervals and offsets, the default of resetting in each step among them; three samples."""
    grid = Grid("lif resets", n_samples=3, n_steps=12)
    for i, (interval, offset) in enumerate(product((1, 2, 3, 4, 6, 12), (0, 1, 5, 17))):
        name = f"reset interval={interval} offset={offset}"
        grid.add(LIFReset(name, 3, DECAYS[i % 4], DECAYS[i // 4 % 4], 50, [7, -7, 0], 2,
                          reset_interval=interval, reset_offset=offset), drive("bit", name, 3, i))  # fmt: skip
    return grid


def lif_resets_between_starts() -> Grid:
    """Intervals whose common multiple is far longer than a sample."""
    grid = Grid("lif resets between starts", n_samples=2, n_steps=8)
    for interval, offset in ((7, 0), (11, 3), (13, 2), (1000, 5), (2**31 - 1, 4)):
        name = f"reset interval={interval} offset={offset}"
        grid.add(LIFReset(name, 2, 100, 100, 200, 30, 2, reset_interval=interval, reset_offset=offset),
                 drive("bit", name, 2, interval % 100))  # fmt: skip
    return grid


def ternary() -> Grid:
    """Both thresholds: equal, far apart, crossed, at the ends of their range, and one per neuron."""
    grid = Grid("ternary")
    thresholds = [(0, 0), (10, -10), (FULL, -FULL - 1), (-5, 5), (-FULL - 1, FULL), (FULL, FULL), (300, 0), (0, -300)]
    for i, ((high, low), source) in enumerate(product(thresholds, ("bit", "byte"))):
        name = f"ternary hi={high} lo={low} {source}"
        grid.add(TernaryLIF(name, 3, DECAYS[i % 4], DECAYS[i // 4 % 4], 0, [-40, 0, 40], 3, high, low),
                 drive(source, name, 3, i))  # fmt: skip
    own = TernaryLIF("ternary own thresholds", 3, 300, 30, 0, 5, 1, np.array([5, 50, 500]), np.array([-500, 60, -5]))
    grid.add(own, drive("bit", own.name, 3, 99))
    return grid


def multi_spike() -> Grid:
    """Largest messages, thresholds at both ends, with and without signs; voltages that saturate and currents that wrap."""
    grid = Grid("multispike")
    settings = product((1, 2, 15, 127), (1, 40, 1000, FULL), (True, False), ("bit", "byte"))
    for i, (cap, vth, signed, source) in enumerate(settings):
        name = f"multispike cap={cap} vth={vth} signed={signed} {source}"
        grid.add(MultiSpikeLIF(name, 3, (4095, 1000, 0)[i % 3], DECAYS[i % 4], vth, [-40, 0, 4095], (3, 7)[i % 2],
                               max_spikes=cap, signed=signed), drive(source, name, 3, i, (0, 3, 7)[i // 4 % 3]))  # fmt: skip
    return grid


def sigma() -> Grid:
    """Sums of every size; the largest wrap in 32 bits at the port and in the neuron."""
    grid = Grid("sigma")
    for i, (source, exponent) in enumerate(product(("bit", "byte", "wide"), (-8, -1, 0, 7))):
        name = f"sigma {source} exponent={exponent}"
        grid.add(Sigma(name, 3), drive(source, name, 3, i, exponent))
    return grid


def delta() -> Grid:
    """Thresholds and both exponents, with and without cumulative error; inputs up to 32 bits."""
    grid = Grid("delta")
    settings = product((0, 1, 100, LARGEST), (False, True), EXPONENTS)
    for i, (vth, cumulative, (spike_exp, state_exp)) in enumerate(settings):
        if vth << (spike_exp + state_exp) > LARGEST:
            continue
        name = f"delta vth={vth} cum_error={cumulative} spike_exp={spike_exp} state_exp={state_exp}"
        grid.add(
            Delta(name, 3, vth, cumulative, spike_exp, state_exp), drive(("byte", "wide", "bit")[i % 3], name, 3, i)
        )
    return grid


def sigma_delta() -> Grid:
    """Thresholds, exponents, activations and biases, with and without cumulative error."""
    grid = Grid("sigma delta")
    settings = product((0, 1, 500), (False, True), ((0, 0), (2, 1), (7, 7)), ("relu", "unit"))
    for i, (vth, cumulative, (spike_exp, state_exp), mode) in enumerate(settings):
        bias = ([0, 0, 0], [-32768, 32767, 5], [100, -100, 1])[i % 3]
        name = f"sigma-delta vth={vth} cum_error={cumulative} exponents={spike_exp},{state_exp} {mode} bias={bias[0]}"
        grid.add(SigmaDelta(name, 3, vth, bias, mode, cumulative, spike_exp, state_exp),
                 drive(("byte", "wide", "bit")[i // 2 % 3], name, 3, i))  # fmt: skip
    return grid


def products() -> Grid:
    """Thresholds and shifts; both ports from different inputs, both from one, and one left open."""
    grid = Grid("products")
    for i, (vth, exp) in enumerate(product((0, 1, 1000, LARGEST), (0, 1, 8, 31))):
        name = f"product vth={vth} exp={exp}"
        one, other = (("byte", "byte"), ("byte", "bit"), ("wide", "byte"))[i % 3]
        grid.add(
            ProdNeuron(name, 3, vth, exp),
            drive(one, name, 3, i, 0, "a_in1"),
            drive(other, name, 3, -1 - i % 5 + 50, 0, "a_in2"),
        )
    for port in ("a_in1", "a_in2"):
        grid.add(ProdNeuron(f"product of {port} alone", 2), drive("byte", f"product of {port} alone", 2, 5, 0, port))
    return grid


def graded() -> Grid:
    """Thresholds of both forms; -2**31, whose magnitude does not fit 32 bits, among the inputs."""
    grid = Grid("graded vectors")
    for i, (vth, relu, source) in enumerate(product((0, 1, 1000, LARGEST), (False, True), ("byte", "wide"))):
        name = f"graded vth={vth} relu={relu} {source}"
        grid.add(GradedVec(name, 3, vth, relu), drive(source, name, 3, i, 7 if source == "wide" else 0))
    for relu in (False, True):
        # Each line has the weight -128 << 7: values of 2**17 would make -2**31; 24 bits wrap around it.
        name = f"graded around -2**31 relu={relu}"
        weights = np.full((2, N_LINES), -128)
        grid.add(GradedVec(name, 2, 0, relu), Dense("wide", name, weights, 7, num_message_bits=24))
    return grid


def resonate() -> Grid:
    """Rotations at the ends of their range and between, decay bits, state exponents and thresholds of both forms."""
    grid = Grid("resonate")
    settings = product(
        (RF, RFIzhikevich),
        ((0, 1.0), (1.0, 1.0), (-1.0, 1.0), (0.5467, 0.7524), (0.95, -0.25)),
        ((0, 0), (1, 7), (6, 3), (12, 0), (12, 7)),
    )
    for i, (kind, (sine, cosine), (bits, state_exp)) in enumerate(settings):
        one = 1 << bits
        vth = (0, 1, 500, LARGEST >> state_exp)[i % 4]
        name = (
            f"{kind.__name__} decays={int(sine * one)},{int(cosine * one)} bits={bits} state_exp={state_exp} vth={vth}"
        )
        grid.add(kind(name, 3, int(sine * one), int(cosine * one), vth, state_exp, bits),
                 drive(("byte", "bit", "wide")[i % 3], name, 3, i, -2 * (i % 3 == 2), "a_real_in"),
                 drive(("bit", "byte")[i % 2], name, 3, 100 + i, 0, "a_imag_in"))  # fmt: skip
    sine, cosine = rotation(10, 0.07)
    for port in ("a_real_in", "a_imag_in"):
        name = f"RF of {port} alone"
        grid.add(RF(name, 2, sine, cosine, 200), drive("byte", name, 2, 7, 0, port))
    return grid


def atrlif() -> Grid:
    """Each decay at every edge while the others vary, thresholds and their steps at both ends, biases of both signs."""
    grid = Grid("adaptive thresholds")
    for i, (register, value) in enumerate(product(range(4), (0, 1, 2048, 4094, 4095))):
        decays = [(400, 100, 800, 200)[k] for k in range(4)]
        decays[register] = value
        name = f"atrlif decays={','.join(map(str, decays))}"
        grid.add(ATRLIF(f"{name} #{i}", 3, *decays, theta_0=(0, 5, 60)[i % 3], theta_step=(0, 4, 300)[i // 3 % 3],
                        bias_mant=[-30, 0, 30], bias_exp=3), drive(("bit", "byte")[i % 2], f"{name} #{i}", 3, i))  # fmt: skip
    for theta_0, theta_step, source in product((0, 1, FULL), (0, FULL), ("bit", "byte", "wide")):
        name = f"atrlif theta_0={theta_0} theta_step={theta_step} {source}"
        grid.add(
            ATRLIF(name, 3, 0, 0, 0, 0, theta_0, theta_step, [4095, -4096, 1], [7, 7, 0]),
            drive(source, name, 3, theta_0 % 97),
        )
    return grid


NEURON_GRIDS: dict[str, Callable[[], Grid]] = {
    "lif_decays": lif_decays,
    "lif_thresholds": lif_thresholds,
    "lif_resets": lif_resets,
    "lif_resets_between_starts": lif_resets_between_starts,
    "ternary": ternary,
    "multispike": multi_spike,
    "sigma": sigma,
    "delta": delta,
    "sigma_delta": sigma_delta,
    "products": products,
    "graded": graded,
    "resonate": resonate,
    "atrlif": atrlif,
}
