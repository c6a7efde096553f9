"""Neurons trained by gradients: kernel against twin, and both against the chip's own neurons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.codes import DIRECT_HARD, DIRECT_INTEGRATE, DIRECT_SOFT, DIRECT_TERNARY
from neurosim.direct.surrogates import slope, step
from neurosim.directconfig import SURROGATES
from neurosim.fixedpoint import Profile
from neurosim.groups import LIF
from neurosim.kernels import direct as kernels
from neurosim.neurons import MultiSpikeLIF, TernaryLIF
from neurosim.reference import direct as twin
from neurosim.reference.models import update_model

MODELS = [DIRECT_HARD, DIRECT_SOFT, DIRECT_TERNARY, DIRECT_INTEGRATE]


def neurons(model: int, chip: bool, **changed) -> twin.Neurons:
    given = {
        "model": model, "chip": chip, "most": 5, "signed": True, "vth": 1500, "dv": 500, "du": 4095, "threshold": 1.0,
        "keep": 1 - 500 / 4096, "keep_current": 0.0, "scale": 1500.0 if chip else 1.0, "shape": 1, "through_reset": False,
    }  # fmt: skip
    given |= changed
    given["keep_current"] = 1 - (given["du"] + 1) / 4096
    return twin.Neurons(**given)


def currents(chip: bool, shape: tuple[int, int], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = rng.integers(-3000, 4000, shape) if chip else rng.normal(0.2, 1, shape)
    return drawn.astype(np.float32)


def run(forward, n: twin.Neurons, current: np.ndarray):
    n_steps, size = current.shape
    u, v = np.zeros(size), np.zeros(size)
    spikes, potential = np.zeros((n_steps, size), np.float32), np.zeros((n_steps, size), np.float32)
    sent = forward(n, current, u, v, 0, n_steps, spikes, potential)
    assert sent == np.abs(spikes).sum(dtype=np.float64)
    return spikes, potential, u, v


def kernel_forward(n, current, u, v, first, last, spikes, potential):
    return kernels.run_forward(
        n.model, n.chip, n.most, n.signed, n.vth, n.dv, n.du, n.threshold, n.keep, n.keep_current, current, u, v, first, last, spikes,
        potential, np.empty((2, kernels.BLOCK), np.float32),
    )  # fmt: skip


def go_back(n, widths, spikes, potential, by_spike, by_potential):
    """Run the kernel and return gradients by current, widths and the three numbers."""
    n_steps, size = spikes.shape
    by_u, by_v, by_current = np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros_like(spikes)
    blocks = -(-size // kernels.BLOCK)
    by_widths, sums = np.zeros((blocks, n_steps)), np.zeros((blocks, kernels.N_SUMS))
    kernels.run_backward(
        n.model, n.most, n.signed, n.threshold, n.keep, n.keep_current, n.scale, n.shape, n.through_reset, True, widths, spikes,
        potential, by_spike, by_spike if by_potential is None else by_potential, by_potential is not None, 0, n_steps, by_u, by_v,
        by_current, by_widths, sums, np.zeros((kernels.N_LANES, kernels.BLOCK)),
    )  # fmt: skip
    return by_current, by_widths.sum(axis=0), sums.sum(axis=0)


@pytest.mark.parametrize("du", [4095, 1000])
@pytest.mark.parametrize("chip", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_kernel_and_twin_go_forward_alike(model, chip, du):
    n, current = neurons(model, chip, du=du), currents(chip, (6, kernels.BLOCK + 30), 1)
    found, wanted = run(kernel_forward, n, current), run(twin.forward, n, current)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    assert model == DIRECT_INTEGRATE or found[0].any()


@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("shape", range(len(SURROGATES)))
@pytest.mark.parametrize("model", MODELS)
def test_kernel_and_twin_go_back_alike(model, shape, signed, through):
    n = neurons(model, False, shape=shape, signed=signed, through_reset=through, du=3000)
    size, n_steps = kernels.BLOCK + 30, 5
    spikes, potential, *_ = run(twin.forward, n, currents(False, (n_steps, size), 2))
    rng = np.random.default_rng(3)
    by_spike, by_potential = (rng.normal(size=spikes.shape).astype(np.float32) for _ in range(2))
    widths = rng.uniform(0.4, 1.2, n_steps).astype(np.float32)
    by_current, by_widths, sums = go_back(n, widths, spikes, potential, by_spike, by_potential)
    wanted = np.zeros_like(spikes)
    by_width, *numbers = twin.backward(
        n, widths, spikes, potential, by_spike, by_potential, 0, n_steps, np.zeros(size, np.float32), np.zeros(size, np.float32), wanted
    )  # fmt: skip
    np.testing.assert_allclose(by_current, wanted, rtol=2e-4, atol=1e-5)
    if model != DIRECT_INTEGRATE:
        np.testing.assert_allclose(by_widths, by_width, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(sums, numbers, rtol=1e-3, atol=1e-2)


@given(
    model=st.sampled_from([DIRECT_HARD, DIRECT_SOFT, DIRECT_TERNARY]), vth=st.integers(1, 131071), dv=st.integers(0, 4095),
    du=st.sampled_from([0, 1000, 4095, 4095]), most=st.integers(1, 127), signed=st.booleans(), seed=st.integers(0, 999), size=st.integers(1, 25),
)  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_spikes_and_voltages_are_those_of_the_chip(model, vth, dv, du, most, signed, seed, size):
    """Currents up to 2**25 weight units, beyond what 32 bits are exact for: u wraps and v saturates."""
    n = neurons(model, True, vth=vth, dv=dv, du=du, most=most, signed=signed)
    rng = np.random.default_rng(seed)
    current = rng.integers(-(2**size), 2**size, (6, 40)).astype(np.float32)
    spikes, _, u, v = run(kernel_forward, n, current)
    registers = {"du": du, "dv": dv, "vth": vth}
    group = {
        DIRECT_HARD: LIF("a", 40, **registers),
        DIRECT_SOFT: MultiSpikeLIF("a", 40, max_spikes=most, signed=signed, **registers),
        DIRECT_TERNARY: TernaryLIF("a", 40, vth_hi=vth, vth_lo=-vth, **registers),
    }[model]
    states = [np.zeros(40, np.int64), np.zeros(40, np.int64)]
    for t in range(len(current)):
        out = update_model(group, [current[t].astype(np.int64)], states, t + 1, Profile())
        states = out.states
        np.testing.assert_array_equal(spikes[t], out.value)
    np.testing.assert_array_equal(u, states[0])
    np.testing.assert_array_equal(v, states[1])


@pytest.mark.parametrize("kind", SURROGATES)
def test_slopes_are_the_derivatives_of_smooth_steps(kind):
    z = np.linspace(-3, 3, 6001) + 1e-4  # beside the corners
    h = 1e-6
    numeric = (step(kind, z + h) - step(kind, z - h)) / (2 * h)
    smooth = np.abs(np.abs(z) - 1) > 1e-3
    np.testing.assert_allclose(slope(kind, z)[smooth], numeric[smooth], atol=1e-5)
    far = np.linspace(-3000, 3000, 2_000_001)
    assert slope(kind, far).sum() * (far[1] - far[0]) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(
        twin.slope(list(SURROGATES).index(kind), z.astype(np.float32)), slope(kind, z), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("kind", SURROGATES)
@pytest.mark.parametrize("width", [0.3, 1.5])
def test_a_spike_passes_the_surrogate_of_its_distance_and_the_width_its_derivative(kind, width):
    x = np.linspace(-2, 4, 301).astype(np.float32)
    n = neurons(DIRECT_HARD, False, shape=list(SURROGATES).index(kind), signed=False, keep=0.0)
    spikes, potential, *_ = run(kernel_forward, n, x[None])
    one = np.ones_like(spikes)
    by_current, by_width, _ = go_back(n, np.array([width], np.float32), spikes, potential, one, None)
    z = (x.astype(np.float64) - 1) / width
    np.testing.assert_allclose(by_current[0], slope(kind, z) / width, rtol=1e-3, atol=1e-5)
    h = 1e-6
    wider = [step(kind, (x.astype(np.float64) - 1) / w) for w in (width + h, width - h)]
    corner = np.abs(np.abs(z) - 1) < 1e-3
    assert by_width[0] == pytest.approx(
        np.where(corner, -z * slope(kind, z) / width, (wider[0] - wider[1]) / (2 * h)).sum(), abs=0.05
    )


@pytest.mark.parametrize("vth", [1, 2, 3, 1000, 65537, 131071])
def test_quotients_at_a_whole_number_are_not_rounded_up(vth):
    """Voltages of one unit below, at and above a multiple of the threshold, in 32-bit floats."""
    k = np.array([1, 2, 3, 63, 64, 126, 127, 128])
    wanted = (k[:, None] * vth * 64 + np.arange(-64, 65, 64)).ravel()
    wanted = wanted[(wanted > 0) & (wanted < 2**23 - 1)]
    n = neurons(DIRECT_SOFT, True, vth=vth, dv=0, most=127)
    for sign in (1, -1):
        rest = np.concatenate([wanted - 1, wanted, wanted + 1])  # what is left from before, in units of v
        current = np.zeros((1, len(rest)), np.float32)
        spikes, potential = np.zeros_like(current), np.zeros_like(current)
        u, v = np.zeros(len(rest)), sign * rest.astype(np.float64)
        kernel_forward(n, current, u, v, 0, 1, spikes, potential)
        np.testing.assert_array_equal(spikes[0], sign * np.minimum(rest // (vth * 64), 127))
        np.testing.assert_array_equal(v, sign * rest - spikes[0].astype(np.float64) * vth * 64)


def test_currents_that_wrap_are_advanced_in_64_bits():
    """A block with a single current of 2**25 takes the other way, and the same integers come of it."""
    n, current = neurons(DIRECT_HARD, True, du=4095), currents(True, (6, 2 * kernels.BLOCK), 1)
    current[3, 7] = 2.0**25 + 4
    for a, b in zip(run(kernel_forward, n, current), run(twin.forward, n, current), strict=True):
        np.testing.assert_array_equal(a, b)
