"""Lay sums of rank-one products out for Lava's learning engine, whose weights and factors have few bits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim_lava.wire import Arrays

Int64Array = npt.NDArray[np.int64]

WEIGHT_LOW, WEIGHT_HIGH = -256, 255  # of the engine's weights in sign mode MIXED
TRACE_LOW, TRACE_HIGH = -128, 127  # to which it clips y1 and y2
PRE_LIMIT = 63  # |B|: x1 = B + 64 is an unsigned trace of 7 bits, and a payload of 0 would be no spike
SCALE_BITS = 8  # the scales of y1 and y2 multiply to 256: the engine's shift by 10 less the rule's factor 4
DIGIT_BITS = 4  # digits -8..7 of f and post: 16 times a digit fits y1 and y2


class Terms(NamedTuple):
    """Rank-one products whose sum is wanted: the sum over s of ``f[s] * outer(post[s], pre[s])``."""

    f: Int64Array  # (S,)
    post: Int64Array  # (S, n_post)
    pre: Int64Array  # (S, n_pre)


class Lesson(NamedTuple):
    """Small products in the order in which an engine adds them, one in each step."""

    terms: Terms  # factors of one digit
    read: npt.NDArray[np.int8]  # (S,) after the step, add the weights << this to the total and clear them; -1: do not


def digits(values: Int64Array, n_bits: int) -> list[Int64Array]:
    """Return balanced digits of at least 2 bits, the lowest first, each in -half..half - 1.

    ``values == sum(d << (n_bits * i))``.

    Examples
    --------
    >>> [d.tolist() for d in digits(np.array([7, 8, -9, 100]), 4)]
    [[7, -8, 7, 4], [0, 1, -1, 6]]
    """
    assert n_bits >= 2  # digits -1 and 0 make no positive number
    half, found = 1 << (n_bits - 1), []
    while values.any():
        digit = ((values + half) & (2 * half - 1)) - half
        found.append(digit)
        values = (values - digit) >> n_bits
    return found


def make_lesson(terms: Terms) -> Lesson:
    """Split factors into digits, and read and clear the weights before any could leave -255..255.

    Products of equal place value share the weights. What is known before a step is a bound: the sum over the
    products since the last reading of ``abs(f) * max(abs(post)) * abs(pre)``, for each source.
    """
    planes: dict[int, list[Terms]] = {}
    f_digits, post_digits = digits(terms.f, DIGIT_BITS), digits(terms.post, DIGIT_BITS)
    largest = max([int(np.abs(d).max()) for d in f_digits] or [1]) * max(
        [int(np.abs(d).max()) for d in post_digits] or [1]
    )
    pre_bits = min((WEIGHT_HIGH // largest).bit_length(), PRE_LIMIT.bit_length())
    for i, f in enumerate(f_digits):
        for j, post in enumerate(post_digits):
            for k, pre in enumerate(digits(terms.pre, pre_bits)):
                kept = (f != 0) & post.any(axis=1) & pre.any(axis=1)
                place = DIGIT_BITS * (i + j) + pre_bits * k
                planes.setdefault(place, []).append(Terms(f[kept], post[kept], pre[kept]))
    parts = [(place, Terms(*map(np.concatenate, zip(*planes[place], strict=True)))) for place in sorted(planes)]
    if not parts:
        return Lesson(Terms(terms.f[:0], terms.post[:0], terms.pre[:0]), np.zeros(0, np.int8))
    read = np.concatenate([_readings(place, part) for place, part in parts])
    return Lesson(Terms(*map(np.concatenate, zip(*(part for _, part in parts), strict=True))), read)


def _readings(place: int, terms: Terms) -> npt.NDArray[np.int8]:
    """Return after which steps to read, the last one included."""
    read = np.full(len(terms.f), -1, np.int8)
    added = (np.abs(terms.f) * np.abs(terms.post).max(axis=1))[:, None] * np.abs(terms.pre)
    bound = np.zeros(terms.pre.shape[1], np.int64)
    for s, more in enumerate(added):
        if s and int((bound + more).max()) > WEIGHT_HIGH:
            read[s - 1] = place
            bound = np.zeros_like(bound)
        bound = bound + more
    read[-1:] = place
    return read


def post_shift(terms: Terms) -> int | None:
    """Return by how many bits to scale post so that post and f, scaled to 256 together, fit; None if none does."""
    shift: int
    for shift in (DIGIT_BITS, *range(SCALE_BITS + 1)):
        scaled = np.concatenate([terms.post.ravel() << shift, terms.f << (SCALE_BITS - shift)])
        if not scaled.size or (int(scaled.min()) >= TRACE_LOW and int(scaled.max()) <= TRACE_HIGH):
            return shift
    return None


def arrays_of(lesson: Lesson, weights: npt.NDArray[np.integer], i: int) -> Arrays:
    """Return the i-th engine's part of a request: graded spikes, y1, y2, readings, first weights."""
    shift = post_shift(lesson.terms)
    assert shift is not None and int(np.abs(lesson.terms.pre).max(initial=0)) <= PRE_LIMIT
    return {
        f"payload_{i}": (2 * (lesson.terms.pre + PRE_LIMIT + 1)).astype(np.int32),
        f"y1_{i}": (lesson.terms.post << shift).astype(np.int32),
        f"y2_{i}": (lesson.terms.f << (SCALE_BITS - shift)).astype(np.int32),
        f"read_{i}": lesson.read,
        f"weights_{i}": weights.astype(np.int16),
    }
