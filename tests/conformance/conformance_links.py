"""Grids over the parameters of every kind of connection: formats, exponents, delays, values, geometry."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from conformance_grid import MESSAGE_BITS, N_LINES, Grid

from neurosim.connections import Conv, OneToOne
from neurosim.network import LIF, AnyConnection, Dense, Sparse
from neurosim.neurons import Sigma, SigmaDelta

RANGES = {"mixed": (-256, 255), "excitatory": (0, 255), "inhibitory": (-255, 0), "null": (0, 255)}
SPREAD = (0, 1, 2, 5, 17, 64, 127, 128, 200, 254, 255)  # weights between the ends that lose bits in some format


def weights_of(mode: str, rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
    """Return weights of a sign mode, the ends of its range and single bits among them."""
    low, high = RANGES[mode]
    magnitude = rng.choice([*SPREAD, 256], size)
    sign = {"mixed": rng.choice([-1, 1], size), "inhibitory": -1}.get(mode, 1)
    return np.clip(magnitude * sign, low, high)


def connect(
    kind: str,
    source: str,
    target: str,
    mode: str = "mixed",
    seed: int = 0,
    longest: int = 0,
    exponent: int = 0,
    bits: int = 8,
    message_bits: int = 0,
) -> AnyConnection:
    """Return a connection of one of the three kinds from all lines of an input to as many neurons."""
    rng = np.random.default_rng(seed)
    shape = (N_LINES, N_LINES)
    row, col = np.nonzero(rng.random(shape) < 0.6)
    size: dict[str, int | tuple[int, ...]] = {"dense": shape, "sparse": len(row), "one": N_LINES}
    weights = weights_of(mode, rng, size[kind])
    delays = None
    if longest:
        delays = rng.integers(0, longest + 1, size[kind])
        delays.flat[0] = longest
    if kind == "dense":
        return Dense(source, target, weights, exponent, bits, mode, delays=delays, num_message_bits=message_bits)
    if kind == "sparse":
        return Sparse(
            source, target, shape, row, col, weights, exponent, bits, mode, delays=delays, num_message_bits=message_bits
        )
    return OneToOne(
        source, target, N_LINES, weights, exponent, bits, mode, delays=delays, num_message_bits=message_bits
    )


def formats() -> Grid:
    """Every number of weight bits in every sign mode, dense and sparse."""
    grid = Grid("formats", n_steps=12)
    for i, (kind, mode, bits) in enumerate(product(("dense", "sparse"), RANGES, range(1, 9))):
        name = f"{kind} {mode} {bits} bits"
        grid.add(Sigma(name, N_LINES), connect(kind, "byte", name, mode, i, 0, (0, -2, 3)[i % 3], bits, 8 * (i % 2)))
    return grid


def exponents() -> Grid:
    """Every exponent on binary and graded sums of both signs; a negative one rounds down, and large sums wrap first."""
    grid = Grid("exponents", n_steps=12)
    for i, (kind, exponent, source) in enumerate(product(("dense", "sparse"), range(-8, 8), ("bit", "wide"))):
        name = f"{kind} exponent={exponent} {source}"
        bits = MESSAGE_BITS[source] if source == "wide" else 0
        grid.add(Sigma(name, N_LINES), connect(kind, source, name, "mixed", i, 0, exponent, 8, bits))
    return grid


def delays() -> Grid:
    """Every kind of connection with short and long delays, binary and graded; two samples follow each other."""
    grid = Grid("delays", n_steps=16)
    settings = product(("dense", "sparse", "one"), (1, 2, 7, 15), ("bit", "byte", "wide"))
    for i, (kind, longest, source) in enumerate(settings):
        bits = 0 if source == "bit" else MESSAGE_BITS[source]
        name = f"{kind} delay={longest} {source} exponent={(-3, 0, 4)[i % 3]}"
        grid.add(LIF(name, N_LINES, 1000, 200, 131071) if i % 2 else Sigma(name, N_LINES),
                 connect(kind, source, name, "mixed", i, longest, (-3, 0, 4)[i % 3], 8, bits))  # fmt: skip
    return grid


def longest_delays() -> Grid:
    """Delays up to 62 steps, the longest that the chip's register holds."""
    grid = Grid("longest delays", n_steps=70, n_samples=2)
    for i, (kind, longest) in enumerate(product(("dense", "sparse", "one"), (31, 62))):
        name = f"{kind} delay={longest}"
        grid.add(Sigma(name, N_LINES), connect(kind, "byte", name, "mixed", i, longest, -i, 8, 8 * (i % 2)))
    return grid


def several() -> Grid:
    """Several connections of different kinds into one port, and loops: what arrives is added after each exponent."""
    grid = Grid("several connections")
    for i, kinds in enumerate(product(("dense", "sparse", "one"), ("dense", "sparse", "one"))):
        name = f"{kinds[0]} and {kinds[1]}"
        first = connect(kinds[0], "bit", name, "mixed", i, i % 3, -4)
        second = connect(kinds[1], "byte", name, "mixed", 20 + i, 2 - i % 3, -5, 8, 8)
        loop = connect(kinds[i % 2], name, name, "mixed", 40 + i, i % 2, -2)
        grid.add(LIF(name, N_LINES, 900, 90, 60, 3, 1) if i % 2 else SigmaDelta(name, N_LINES, 90), first, second, loop)
    return grid


IMAGES = {"6x5x2": (6, 5, 2), "4x7x6": (4, 7, 6), "7x7x1": (7, 7, 1)}


def convolutions() -> Grid:
    """Kernels, strides, paddings, dilations and groups; binary and graded, sums that wrap into 24 bits."""
    grid = Grid("convolutions", n_steps=6, inputs={name: (int(np.prod(shape)), 16) for name, shape in IMAGES.items()})
    rng = np.random.default_rng(0)
    geometries = [  # kernel, stride, padding, dilation
        ((1, 1), 1, 0, 1), ((2, 3), 1, 0, 1), ((3, 3), 1, 1, 1), ((3, 2), 2, 1, 1), ((2, 2), (2, 1), (0, 2), 1),
        ((2, 2), 1, 0, 2), ((3, 2), (1, 2), (2, 1), (1, 2)), ((4, 5), 3, 2, 1), ((2, 2), 3, (3, 0), (2, 1)),
    ]  # fmt: skip
    for i, ((image, shape), (kernel, stride, padding, dilation)) in enumerate(product(IMAGES.items(), geometries)):
        for groups in {1, shape[2]} if shape[2] < 6 else {1, 2, 3, 6}:
            weights = rng.integers(-256, 256, (groups * (1 + i % 2), *kernel, shape[2] // groups))
            conv = Conv(image, f"conv {image} kernel={kernel} stride={stride} padding={padding} dilation={dilation} groups={groups}",
                        weights, shape, stride, padding, dilation, groups, 16 * ((i + groups) % 2))  # fmt: skip
            grid.add(Sigma(conv.target, conv.shape[0]), conv)
    return grid


LINK_GRIDS: dict[str, Callable[[], Grid]] = {
    "formats": formats,
    "exponents": exponents,
    "delays": delays,
    "longest_delays": longest_delays,
    "several": several,
    "convolutions": convolutions,
}
