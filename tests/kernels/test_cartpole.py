"""The cart-pole in fixed point: kernel equals twin bit for bit, and both follow the equations in floats."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.kernels import cartpole as kernel
from neurosim.reference import cartpole as twin
from neurosim.reference.cartpole import ONE, CartPole
from neurosim.reference.noise import bits, fold

RANGES = (24 * ONE // 10, 3 * ONE, twin.END_ANGLE, 3 * ONE)
Floats = tuple[float, float, float, float]


def float_advance(state: Floats, right: bool) -> Floats:
    """The appendix of Barto, Sutton and Anderson 1983, with g as a magnitude, in Euler steps of 20 ms."""
    x, x_dot, theta, theta_dot = state
    g, m_c, m, length, mu_c, mu_p = 9.8, 1.0, 0.1, 0.5, 0.0005, 0.000002
    force = 10.0 if right else -10.0
    sin, cos, sign = math.sin(theta), math.cos(theta), (x_dot > 0) - (x_dot < 0)
    pushed = (-force - m * length * theta_dot**2 * sin + mu_c * sign) / (m_c + m)
    theta_acc = g * sin + cos * pushed - mu_p * theta_dot / (m * length)
    theta_acc /= length * (4 / 3 - m * cos**2 / (m_c + m))
    x_acc = (force + m * length * (theta_dot**2 * sin - theta_acc * cos) - mu_c * sign) / (m_c + m)
    return x + 0.02 * x_dot, x_dot + 0.02 * x_acc, theta + 0.02 * theta_dot, theta_dot + 0.02 * theta_acc


def as_floats(state: CartPole) -> Floats:
    place, speed, angle, turning = (part / ONE for part in state)
    return place, speed, angle, turning


def keep_upright(state: CartPole) -> bool:
    """A balance by hand."""
    place, speed, angle, turning = as_floats(state)
    return angle + 0.5 * turning + 0.05 * place + 0.1 * speed > 0


def random_states(n: int) -> list[CartPole]:
    """States all over what an episode can reach, and its corners."""
    rng = np.random.default_rng(5)
    limits = np.array([3 * ONE, 15 * ONE, ONE // 2, 15 * ONE])
    drawn = rng.integers(-limits, limits + 1, (n, 4))
    corners = np.array([[(-1) ** (i >> part & 1) for part in range(4)] for i in range(16)]) * limits
    small = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [-1, -1, -1, -1], [0, -1, 0, 1]])
    return [CartPole(*row) for row in np.concatenate([drawn, corners, small]).tolist()]


def test_advance_equals_twin() -> None:
    for state in random_states(300):
        for right in (False, True):
            moved = np.array(state, np.int64)
            kernel.advance(moved, right)
            assert tuple(moved.tolist()) == twin.advance(state, right)
            assert bool(kernel.has_failed(moved)) == twin.has_failed(CartPole(*moved.tolist()))


@pytest.mark.parametrize("key", [0, 1, 2**64 - 1])
def test_start_and_whole_episodes_equal_twin(key: int) -> None:
    moved, state = np.zeros(4, np.int64), twin.start(key)
    with np.errstate(over="ignore"):  # hashes wrap, and say so where kernels run as plain Python
        kernel.start(np.uint64(key), moved)
    t = 0
    while t < 300 and not twin.has_failed(state):
        assert tuple(moved.tolist()) == state
        right = keep_upright(state) if t % 8 else bool(bits(key, t) & 1)
        kernel.advance(moved, right)
        state = twin.advance(state, right)
        t += 1
    assert t > 100


@pytest.mark.parametrize("n_tuned", [2, 8, 13])
def test_code_equals_twin(n_tuned: int) -> None:
    drives, ranges, firing = np.zeros(4 * n_tuned, np.int64), np.array(RANGES), np.zeros(4 * n_tuned, np.int32)
    for state in random_states(50):
        expected = twin.drive(state, n_tuned, RANGES)
        kernel.drive(np.array(state, np.int64), ranges, drives)
        assert drives.tolist() == expected
        for t in range(4):
            n = kernel.list_firing(drives, t, 4, firing)
            assert firing[:n].tolist() == [i for i, each in enumerate(expected) if twin.fires(each, t, 4)]


def test_one_period_follows_the_equations() -> None:
    """Each of 20 x 200 periods of balance is off by less than 2**-20 from the equations in floats."""
    for key in range(20):
        state = twin.start(key)
        for _ in range(200):
            right = keep_upright(state)
            expected, state = float_advance(as_floats(state), right), twin.advance(state, right)
            np.testing.assert_allclose(as_floats(state), expected, rtol=0, atol=2**-20)
            assert not twin.has_failed(state)


def test_trajectory_follows_the_equations() -> None:
    """An upright pole multiplies any difference by about 1.08 a period, so the tolerance grows as fast; it is 0.02 in the end."""
    for key in range(20):
        state = twin.start(key)
        floats = as_floats(state)
        for t in range(100):
            right = keep_upright(state)
            state, floats = twin.advance(state, right), float_advance(floats, right)
            np.testing.assert_allclose(as_floats(state), floats, rtol=0, atol=2**-17 * 1.08**t)
            if t == 49:
                np.testing.assert_allclose(as_floats(state), floats, rtol=0, atol=1e-4)


def test_sine_and_cosine() -> None:
    for angle in range(-ONE // 2, ONE // 2 + 1, ONE // 997):
        assert abs(twin.sine(angle) / ONE - math.sin(angle / ONE)) < 2**-17
        assert abs(twin.cosine(angle) / ONE - math.cos(angle / ONE)) < 2**-17
    for angle in range(-twin.END_ANGLE, twin.END_ANGLE, 10_007):
        assert abs(twin.sine(angle) / ONE - math.sin(angle / ONE)) < 2**-21
        assert abs(twin.cosine(angle) / ONE - math.cos(angle / ONE)) < 2**-21


def test_constants() -> None:
    assert math.floor(math.radians(12) * ONE) == twin.END_ANGLE
    assert abs(twin.POLE_FRICTION / ONE - 0.000002 / (0.1 * 0.5)) < 2**-23
    for name in ("GRAVITY", "CART", "POLE", "POLE_MOMENT", "FORCE", "CART_FRICTION", "POLE_FRICTION", "TIME", "SIXTH",
                 "FOUR_THIRDS", "TWENTIETH", "TWELFTH", "THIRTIETH", "END_PLACE", "END_ANGLE", "START"):  # fmt: skip
        assert getattr(kernel, name) == getattr(twin, name)


def test_starts_are_uniform_within_their_limit() -> None:
    starts: npt.NDArray[np.int64] = np.array([twin.start(fold(3, i)) for i in range(2000)])
    assert np.abs(starts).max() <= ONE // 20
    np.testing.assert_allclose(starts.mean(axis=0), 0, atol=4 * ONE / 20 / math.sqrt(3 * 2000))
    np.testing.assert_allclose(starts.std(axis=0) / (ONE / 20), 1 / math.sqrt(3), rtol=0.05)


def test_an_episode_ends_beyond_the_track_or_twelve_degrees() -> None:
    inside = CartPole(twin.END_PLACE, 0, -twin.END_ANGLE, 0)
    assert not twin.has_failed(inside)
    assert twin.has_failed(inside._replace(place=-twin.END_PLACE - 1))
    assert twin.has_failed(inside._replace(angle=twin.END_ANGLE + 1))


def test_a_neuron_is_driven_fully_at_its_best_value() -> None:
    """Its neighbours have half; beyond the range the last one stays."""
    drives = np.array(twin.drive(CartPole(0, -5 * ONE, twin.END_ANGLE, 0), 5, RANGES)).reshape(4, 5)
    assert drives[0].tolist() == [0, ONE // 2, ONE, ONE // 2, 0]
    assert drives[1].tolist() == [ONE, ONE // 2, 0, 0, 0] and drives[2].tolist() == [0, 0, 0, ONE // 2, ONE]
