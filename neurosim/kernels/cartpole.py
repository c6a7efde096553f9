"""A pole on a cart, in fixed point; constants and equations as in `neurosim.reference.cartpole`."""

import numpy as np

from neurosim.kernels.jit import jit
from neurosim.kernels.noise import bits

FRACTION_BITS = 24
ONE = 1 << FRACTION_BITS
GRAVITY = 98 * ONE // 10
CART, POLE = ONE, ONE // 10
HALF_LENGTH = ONE // 2
POLE_MOMENT = POLE * HALF_LENGTH >> FRACTION_BITS
FORCE = 10 * ONE
CART_FRICTION = 5 * ONE // 10_000
POLE_FRICTION = 2 * ONE * ONE // 1_000_000 // POLE_MOMENT
TIME = 2 * ONE // 100
FOUR_THIRDS = 4 * ONE // 3
SIXTH, TWENTIETH, TWELFTH, THIRTIETH = ONE // 6, ONE // 20, ONE // 12, ONE // 30
END_PLACE = 24 * ONE // 10
END_ANGLE = 3513811
START = ONE // 20
FIRST_WORD_BITS = np.uint64(40)
PLACE, SPEED, ANGLE, TURNING = range(4)


@jit
def multiply(a, b):
    """Return the product of two fixed-point numbers, rounded down."""
    return (np.int64(a) * np.int64(b)) >> FRACTION_BITS


@jit
def sine(angle):
    """Return the sine, to the fifth power."""
    square = multiply(angle, angle)
    return angle - multiply(multiply(angle, multiply(square, SIXTH)), ONE - multiply(square, TWENTIETH))


@jit
def cosine(angle):
    """Return the cosine, to the sixth power."""
    square = multiply(angle, angle)
    return ONE - multiply(square >> 1, ONE - multiply(multiply(square, TWELFTH), ONE - multiply(square, THIRTIETH)))


@jit
def advance(state, right):
    """Advance ``state`` (4,) int64 in place by a control period of 20 ms with the force to one side."""
    speed, turning = state[SPEED], state[TURNING]
    force = FORCE if right else -FORCE
    sin, cos = sine(state[ANGLE]), cosine(state[ANGLE])
    mass = CART + POLE
    friction = CART_FRICTION * (np.int64(speed > 0) - np.int64(speed < 0))
    push = force + multiply(POLE_MOMENT, multiply(multiply(turning, turning), sin)) - friction
    pulled = multiply(GRAVITY, sin) - multiply(cos, (push << FRACTION_BITS) // mass) - multiply(POLE_FRICTION, turning)
    inertia = FOUR_THIRDS - (POLE * multiply(cos, cos)) // mass
    turning_change = (pulled << FRACTION_BITS) // multiply(HALF_LENGTH, inertia)
    speed_change = ((push - multiply(POLE_MOMENT, multiply(turning_change, cos))) << FRACTION_BITS) // mass
    state[PLACE] += multiply(TIME, speed)
    state[SPEED] += multiply(TIME, speed_change)
    state[ANGLE] += multiply(TIME, turning)
    state[TURNING] += multiply(TIME, turning_change)


@jit
def has_failed(state):
    """Whether the cart left its track or the pole fell."""
    return abs(state[PLACE]) > END_PLACE or abs(state[ANGLE]) > END_ANGLE


@jit
def start(key, state):
    """Write a start state by hash."""
    for i in range(4):
        state[i] = (np.int64(bits(key, i) >> FIRST_WORD_BITS) * (2 * START) >> FRACTION_BITS) - START


@jit
def drive(state, ranges, drives):
    """Write how strongly each tuned neuron is driven, (4 * n_tuned,) int64, 0..2**24."""
    n_tuned = len(drives) // 4
    for part in range(4):
        inside = min(max(state[part], -ranges[part]), ranges[part])
        place = (inside + ranges[part]) * (n_tuned - 1) * ONE // (2 * ranges[part])
        for i in range(n_tuned):
            drives[part * n_tuned + i] = max(np.int64(0), 2 * ONE - abs(place - i * ONE)) >> 1


@jit
def list_firing(drives, t, n_steps, firing):
    """List the neurons that fire in step t of a period with `n_steps` of input, and return how many."""
    n = 0
    for i in range(len(drives)):
        if drives[i] * n_steps > t << FRACTION_BITS:
            firing[n] = np.int32(i)
            n += 1
    return n
