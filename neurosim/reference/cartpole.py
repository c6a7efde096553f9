"""A pole on a cart, in fixed point with Python's unbounded integers; twin of `neurosim.kernels.cartpole`.

Equations, constants and limits: Barto, Sutton, Anderson, IEEE Trans. Systems, Man, and Cybernetics 13, 1983, pages 834-846,
doi 10.1109/TSMC.1983.6313077, appendix. Start states: within 0.05 of upright rest, as in OpenAI Gym (arXiv:1606.01540).
"""

from __future__ import annotations

from typing import NamedTuple

from neurosim.reference.noise import bits

FRACTION_BITS = 24
ONE = 1 << FRACTION_BITS
GRAVITY = 98 * ONE // 10  # m/s^2
CART, POLE = ONE, ONE // 10  # masses, kg
HALF_LENGTH = ONE // 2  # m
POLE_MOMENT = POLE * HALF_LENGTH >> FRACTION_BITS  # mass times half length
FORCE = 10 * ONE  # N, to the left or to the right
CART_FRICTION = 5 * ONE // 10_000  # N
POLE_FRICTION = 2 * ONE * ONE // 1_000_000 // POLE_MOMENT  # 1/s^2 per rad/s: friction by mass and half length
TIME = 2 * ONE // 100  # s, of a control period
FOUR_THIRDS = 4 * ONE // 3
SIXTH, TWENTIETH, TWELFTH, THIRTIETH = (ONE // n for n in (6, 20, 12, 30))
END_PLACE = 24 * ONE // 10  # m
END_ANGLE = 3513811  # 12 degrees in rad
START = ONE // 20  # in m, m/s, rad, rad/s
FIRST_WORD_BITS = 40  # of a random word that are dropped


class CartPole(NamedTuple):
    """Place (m), speed, angle from upright (rad) and angular speed, each in 2**-24."""

    place: int
    speed: int
    angle: int
    turning: int


def multiply(a: int, b: int) -> int:
    """Return the product of two fixed-point numbers, rounded down."""
    return (a * b) >> FRACTION_BITS


def sine(angle: int) -> int:
    """Return the sine, to the fifth power; below half a radian it is off by less than 2**-19."""
    square = multiply(angle, angle)
    return angle - multiply(multiply(angle, multiply(square, SIXTH)), ONE - multiply(square, TWENTIETH))


def cosine(angle: int) -> int:
    """Return the cosine, to the sixth power."""
    square = multiply(angle, angle)
    return ONE - multiply(square >> 1, ONE - multiply(multiply(square, TWELFTH), ONE - multiply(square, THIRTIETH)))


def advance(state: CartPole, right: bool) -> CartPole:
    """Return the state after a control period of 20 ms (Euler's method) with the force to one side.

    The speeds may reach 16 and the angle half a radian: then no product leaves 63 bits.
    """
    place, speed, angle, turning = state
    force = FORCE if right else -FORCE
    sin, cos = sine(angle), cosine(angle)
    mass = CART + POLE
    friction = CART_FRICTION * ((speed > 0) - (speed < 0))
    push = force + multiply(POLE_MOMENT, multiply(multiply(turning, turning), sin)) - friction
    pulled = multiply(GRAVITY, sin) - multiply(cos, (push << FRACTION_BITS) // mass) - multiply(POLE_FRICTION, turning)
    inertia = FOUR_THIRDS - (POLE * multiply(cos, cos)) // mass
    turning_change = (pulled << FRACTION_BITS) // multiply(HALF_LENGTH, inertia)
    speed_change = ((push - multiply(POLE_MOMENT, multiply(turning_change, cos))) << FRACTION_BITS) // mass
    return CartPole(
        place + multiply(TIME, speed),
        speed + multiply(TIME, speed_change),
        angle + multiply(TIME, turning),
        turning + multiply(TIME, turning_change),
    )


def has_failed(state: CartPole) -> bool:
    """Whether the cart left its track of 2.4 m to each side or the pole leans by more than 12 degrees."""
    return abs(state.place) > END_PLACE or abs(state.angle) > END_ANGLE


def start(key: int) -> CartPole:
    """Return a start state, each part uniform in -0.05..0.05 by hash."""
    return CartPole(*(((bits(key, i) >> FIRST_WORD_BITS) * 2 * START >> FRACTION_BITS) - START for i in range(4)))


def drive(state: CartPole, n_tuned: int, ranges: tuple[int, ...]) -> list[int]:
    """Return how strongly each tuned neuron is driven, 0..2**24, n_tuned for each part of the state, in order.

    The best values of a part's neurons are spaced evenly over its range, the ends included; the drive falls in a straight
    line to 0 at the neighbour's neighbour. What lies outside the range counts as its end.

    Parameters
    ----------
    ranges : (4,)
        Each part is coded from minus to plus this much.
    """
    drives = []
    for value, reach in zip(state, ranges, strict=True):
        inside = min(max(value, -reach), reach)
        place = (inside + reach) * (n_tuned - 1) * ONE // (2 * reach)  # in neurons
        drives += [max(0, 2 * ONE - abs(place - i * ONE)) >> 1 for i in range(n_tuned)]
    return drives


def fires(drive_: int, t: int, n_steps: int) -> bool:
    """Whether a neuron with this drive fires in step t of a period with `n_steps` steps of input: in the first ones."""
    return drive_ * n_steps > t << FRACTION_BITS
