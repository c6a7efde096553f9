"""The scale of a group: every limit holds, whatever the sizes of weights, threshold and bias."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurosim.errors import QuantizationError
from neurosim.network import LIF, Connection, CubaLIF, Dense, Input, Network
from neurosim.quantize import quantize
from neurosim.scale import choose_scale, largest_weight, needed_sign_mode


def random_network(rng: np.random.Generator) -> Network:
    """One group with up to three inputs; magnitudes over ten decades, bits and flags at random."""
    n = int(rng.integers(1, 5))
    inputs = [Input(f"in{k}", int(rng.integers(1, 6))) for k in range(int(rng.integers(1, 4)))]
    group = CubaLIF(
        "out",
        n,
        tau_mem=None if rng.random() < 0.3 else float(10 ** rng.uniform(-2.5, 0)),
        tau_syn=None if rng.random() < 0.3 else float(10 ** rng.uniform(-3.5, 0)),
        v_threshold=math.inf if rng.random() < 0.2 else float(10 ** rng.uniform(-3, 3)),
        bias=rng.normal(size=n) * 10 ** rng.uniform(-4, 3) * (rng.random() < 0.5),
    )
    connections = [
        Connection(
            source.name,
            "out",
            rng.normal(size=(n, source.n)) * 10 ** rng.uniform(-5, 5) * (rng.random() < 0.9),
            num_weight_bits=int(rng.integers(2, 9)),
            plastic=bool(rng.random() < 0.4),
        )
        for source in inputs
    ]
    return Network([*inputs, group], connections)


def test_any_network_fits_or_is_refused() -> None:
    rng = np.random.default_rng(5)
    fitted = 0
    for _ in range(500):
        network = random_network(rng)
        try:
            quantized = quantize(network)
        except QuantizationError as error:
            assert "becomes 0" in str(error)
            continue
        fitted += 1
        group, source = quantized.network.group("out"), network.group("out")
        assert isinstance(group, LIF) and isinstance(source, CubaLIF)
        scale = quantized.scales["group/out"]
        if math.isfinite(source.v_threshold):
            assert group.vth == round(scale * source.v_threshold) <= 16384
        for before, after in zip(network.connections, quantized.network.connections, strict=True):
            assert isinstance(before, Connection) and isinstance(after, Dense)
            exact = np.asarray(before.weights) * scale * (group.du + 1) / 4096 / 2.0**after.weight_exp
            half_step = (1 << (8 - before.num_weight_bits + (after.sign_mode == "mixed"))) / 2
            assert np.abs(np.asarray(after.weights) - exact).max() <= half_step * (1 + 1e-9)
            if before.plastic:
                assert after.weight_exp >= 0
                room = min(4, max(1, (1 << (before.num_weight_bits - 1)) - 1))  # fewer bits, fewer steps to grow into
                assert np.abs(exact).max() * room <= 256 + half_step
    assert fitted > 200


def test_sign_mode_follows_the_signs_unless_plastic() -> None:
    modes = {(1.0, 2.0): "excitatory", (-1.0, -2.0): "inhibitory", (-1.0, 1.0): "mixed", (0.0, 0.0): "excitatory"}
    for row, mode in modes.items():
        assert needed_sign_mode(Connection("a", "b", [row])) == mode
        assert needed_sign_mode(Connection("a", "b", [row], plastic=True)) == "mixed"


@pytest.mark.parametrize(("row", "largest"), [((1.0, 2.0), 255), ((-1.0, -2.0), 255), ((-1.0, 1.0), 254)])
def test_largest_weight_is_that_of_the_format(row: tuple[float, float], largest: int) -> None:
    assert largest_weight(Connection("a", "b", [row])) == largest


def test_scale_does_not_depend_on_the_unit() -> None:
    weights = np.random.default_rng(1).normal(size=(3, 4))
    for unit in (1e-9, 1e-3, 1.0, 1e6):
        group = CubaLIF("out", 3, v_threshold=2.0 * unit, bias=0.1 * unit)
        scale = choose_scale(group, [Connection("in", "out", weights * unit)], 1.0, 4.0)
        assert scale * unit == pytest.approx(254 / np.abs(weights).max())
